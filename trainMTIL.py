"""EDE-Net over whole data sets: MNIST → SVHN → CIFAR-10, told apart without a task label.

python trainMTIL.py 'train_MTIL_classifier(data_type="MNIST")'
python trainMTIL.py 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'
python trainMTIL.py 'evaluate("checkpoints/MTIL/EDE_Net_resnet18")'
python trainMTIL.py 'predict("digit.png", checkpoint="checkpoints/MTIL/EDE_Net_resnet18/model_mnist_svhn_5.pt")'
"""

from utils.results.evaluate import evaluate
from utils.results.predict import predict
from utils.running import command, processes
from utils.running.options import settings

SEQUENCE = ["MNIST", "SVNH", "cifar10"]
EXAMPLE = 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'


def train_MTIL_classifier(data_type="MNIST", num_class=10, batch_size=128, **options):
    """Stage one: trains a data set's ResNet-18, or those of several, supervised.

    Args:
        data_type: MNIST, SVHN (or SVNH), CIFAR-10, … in any letter case, or a list, shared out under `torchrun`.
        num_class: how many classes each has; a check.
        batch_size: images a batch.
        **options: see `utils.running.options`, all by name.

    Returns: the results of all data sets trained so far, as written to `MTIL/classifier_resnet18/results.json`; of a
        dry run the trainings and their seconds.
    """
    chosen = settings({"batch_size": batch_size, **options}, sequence=True, num_class=num_class)
    from utils.method import sequence, stage_one
    from utils.results import figures, report
    from utils.running.run import Run

    names = sequence.known_names(data_type if isinstance(data_type, list | tuple) else [data_type])
    if not (mine := processes.share(names)):
        return None  # there are more processes than data sets
    tasks = [task for name in mine for task in sequence.tasks(chosen, [name], num_class)]
    with Run(sequence.folder(chosen, "classifier"), chosen, {}, own=[f"model_{name}" for name in mine]) as run:
        for task in run.each(tasks, "stage one, data sets"):
            shared = {"dataset": task.name, "num_class": num_class}
            run.configuration = sequence.configuration(chosen, [task], "network", "choice", **shared)
            stage_one.train_temporary(run, task, stage_one.Foreign())
        results = report.sequence_one(run.recorded("model_*").values())
        return run.finish(results, report.table(results), figures.stage_one)


def train_EDE_Net(data_list=SEQUENCE, num_per_class=5, batch_size=128, **options):
    """Stage two: joins the data sets' networks one after the other, fine-tuned on a few exemplars of every class.

    Args:
        data_list: two data sets or more, in the order of learning; the shorter sequences' networks are kept.
        num_per_class: exemplars of every class of every data set.
        batch_size: exemplars a batch.

    Returns: the results of all networks so far, as written to `MTIL/EDE_Net_resnet18/results.json`; of a dry run the
        trainings and their seconds.
    """
    chosen = settings({"finetune_batch_size": batch_size, **options}, sequence=True, num_per_class=num_per_class)
    processes.require_one()
    from datasets.memory import Memory
    from utils.method import sequence, stage_two
    from utils.results import figures, report
    from utils.running.run import Run

    names = sequence.known_names(data_list, least=2)
    tasks, memory = sequence.tasks(chosen, names, num_per_class=num_per_class), Memory(per_class=num_per_class)
    submodels = sequence.submodels_of(chosen)
    own = [f"model_{'_'.join(names[:count])}_{num_per_class}" for count in range(1, len(names) + 1)]
    shared = {"num_per_class": num_per_class, "selection": chosen.selection}
    with Run(sequence.folder(chosen, "EDE_Net"), chosen, {}, own) as run:
        stages = stage_two.Stages(run, memory)
        for task in run.each(tasks, "stage two, data sets"):
            joined = tasks[: task.index + 1]
            shared["data_list"] = names[: len(joined)]
            run.configuration = sequence.configuration(chosen, joined, "finetune", **shared)
            if stages.begin(task, stage_two.made_from(chosen, task, submodels, memory), own[task.index]).done:
                continue
            net, updates = stages.resume(), 0
            net.grow(submodels.load(run, task))
            stage_two.remember(run, net, memory, task)  # first: it is trained on exemplars alone, the new ones too
            if task.index > 0:
                updates = stages.finetune(net, sequence.exemplar_batches(run, memory, joined))
            alone = [submodels.record(each)["results"]["test_accuracy"] for each in joined]
            stages.save(net, joined, updates=updates, alone=alone)
        results = report.sequence_two(run.recorded("model_*").values())
        figures.exemplars_kept(stages, run.folder / own[-1].replace("model_", "exemplars_"), " → ".join(names))
        return run.finish(results, report.table(results), figures.stage_two)


def demo(**options):
    """Runs the whole sequence on small stand-in images in a temporary folder, within three minutes on two CPU cores."""
    settings({"recipe": "demo", **options}, sequence=True)
    processes.require_one()
    from datasets.stand_ins import demo_options

    options = demo_options({"batch_size": 32, **options}, sets=("mnist", "svhn", "cifar10"))
    train_MTIL_classifier(data_type=SEQUENCE, **options)
    for num_per_class in (1, 5, 20):
        results = train_EDE_Net(SEQUENCE, num_per_class=num_per_class, **options)
    return results


if __name__ == "__main__":
    with command.line(train_MTIL_classifier, train_EDE_Net, evaluate, predict, demo, example=EXAMPLE, sequence=True):
        train_MTIL_classifier(data_type="MNIST", num_class=10, batch_size=128)
        # train_MTIL_classifier(data_type="SVNH", num_class=10, batch_size=128)
        # train_MTIL_classifier(data_type="cifar10", num_class=10, batch_size=128)
        # train_EDE_Net(data_list=["MNIST", "SVNH"], num_per_class=5)  # or 1, 20, 50
        # train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)
