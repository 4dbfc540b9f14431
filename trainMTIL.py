"""EDE-Net over whole data sets: MNIST → SVHN → CIFAR-10, told apart without a task label.

python trainMTIL.py 'train_MTIL_classifier(data_type="MNIST")'
python trainMTIL.py 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'
python trainMTIL.py 'evaluate("checkpoints/MTIL/EDE_Net_resnet18")'
python trainMTIL.py 'predict("digit.png", checkpoint="checkpoints/MTIL/EDE_Net_resnet18/model_mnist_svhn_5.pt")'
python trainMTIL.py 'demo()'
"""

from utils.running import command, processes
from utils.running.options import require_arguments, settings

SEQUENCE = ["MNIST", "SVNH", "cifar10"]
EXAMPLE = 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'


def train_MTIL_classifier(data_type="MNIST", num_class=10, batch_size=128, **options):
    """Stage one: trains a data set's ResNet-18, or those of several, supervised.

    Args:
        data_type: MNIST, FashionMNIST, SVHN (or SVNH), CIFAR-10, …, in any letter case; or a list of such names, which
            the processes share out where `torchrun` started several.
        num_class: how many classes each has; a check.
        batch_size: images a batch.
        **options: see `utils.running.options`, all by name.

    Returns: the results of all data sets trained so far, as written to `MTIL/classifier_resnet18/results.json`; of a
        dry run the trainings and their seconds.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    chosen = settings({"batch_size": batch_size, **options}, sequence=True)
    require_arguments(num_class=num_class)
    from utils.method import sequence, stage_one
    from utils.results import figures, report
    from utils.running.run import Run

    names = sequence.known_names(data_type if isinstance(data_type, list | tuple) else [data_type])
    results = None
    for name in processes.share(names):
        tasks = sequence.tasks(chosen, [name], num_class)
        configuration = sequence.classifier_configuration(chosen, tasks[0], num_class)
        with Run(sequence.classifier_folder(chosen), chosen, configuration, own=[f"model_{name}"]) as run:
            for task in run.each(tasks, "stage one, data sets"):
                stage_one.train_temporary(run, task, stage_one.Foreign())
            results = report.sequence_one([*run.recorded("model_*").values()])
            results = run.finish(results, report.sequence_one_table(results), figures.sequence_one)
    return results


def train_EDE_Net(data_list=SEQUENCE, num_per_class=5, batch_size=128, **options):
    """Stage two: joins the data sets' networks one after the other, fine-tuned on a few exemplars of every class.

    Args:
        data_list: two data sets or more, in the order of learning; the shorter sequences' networks are kept.
        num_per_class: exemplars of every class of every data set.
        batch_size: exemplars a batch.
        **options: see `utils.running.options`, all by name.

    Returns: the results of all networks so far, as written to `MTIL/EDE_Net_resnet18/results.json`; of a dry run the
        trainings and their seconds.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    chosen = settings({"finetune_batch_size": batch_size, **options}, sequence=True)
    require_arguments(num_per_class=num_per_class)
    processes.require_one()
    from datasets.memory import Memory
    from utils.method import sequence, stage_two
    from utils.results import figures, report
    from utils.running.run import Run

    names = sequence.known_names(data_list, least=2)
    submodels = sequence.submodels_of(chosen)
    own = [sequence.network_name(names[:count], num_per_class) for count in range(1, len(names) + 1)]
    with Run(sequence.network_folder(chosen), chosen, {}, own=own) as run:
        before, tasks = None, sequence.tasks(chosen, names)
        for task in run.each(tasks, "stage two, data sets"):
            joined = tasks[: task.index + 1]
            run.configuration = sequence.network_configuration(chosen, joined, num_per_class)
            memory = Memory(per_class=num_per_class)
            stage = sequence.stage(run, joined, before, submodels, memory)
            if not stage.done:
                net = stage_two.after(run, before, memory)
                net.grow(submodels.load(run, task))
                stage_two.remember(run, net, memory, task)
                batches = stage_two.exemplar_batches(run, memory, joined)
                progress = stage_two.finetune(run, stage, net, batches) if task.index > 0 else None
                sequence.save(stage, net, memory, joined, progress, batches.steps_per_epoch, submodels)
            before = stage
        networks = run.recorded("model_*").values()
        results = report.sequence_two([each for each in networks if len(each["configuration"]["data_list"]) > 1])
        if before.model and not run.dry:
            title = report.sequence_title(names)
            figures.exemplars(run.folder / f"exemplars_{own[-1][6:]}", *stage_two.exemplars_of(before), title)
        return run.finish(results, report.sequence_two_table(results), figures.sequence_two)


def evaluate(folder, stage=None, data_root="data", dataset=None, device="auto"):
    """Counts again, from the saved files, what training reported of a folder's networks; see `train_EDE_Net.py`."""
    require_arguments(stage=stage, device=device)
    from utils.results import evaluate as evaluation

    return evaluation.evaluate(folder, stage, data_root, dataset, device)


def predict(image, checkpoint, top=5, device="auto"):
    """Prints the likeliest classes of an image file, with the data set each is of; see `train_EDE_Net.py`."""
    require_arguments(top=top, device=device)
    from utils.results import predict as prediction

    return prediction.predict(image, checkpoint, top, device)


def demo(**options):
    """Runs the whole sequence on small stand-in images, within three minutes on two CPU cores.

    Args:
        **options: see `utils.running.options`, all by name; `checkpoint_root` is a new temporary folder if left out.
    """
    settings({"recipe": "demo", **options}, sequence=True)
    processes.require_one()
    from datasets import stand_ins
    from utils.method.data import demo_options

    options = demo_options({"batch_size": 32, **options})
    stand_ins.write(options["data_root"], sets=("mnist", "svhn", "cifar10"))
    train_MTIL_classifier(data_type=SEQUENCE, **options)
    for num_per_class in (1, 5, 20):
        results = train_EDE_Net(SEQUENCE, num_per_class=num_per_class, **options)
    return results


if __name__ == "__main__":
    with command.line(train_MTIL_classifier, train_EDE_Net, evaluate, predict, demo, example=EXAMPLE, sequence=True):
        train_MTIL_classifier(data_type="MNIST", num_class=10, batch_size=128)
        # train_MTIL_classifier(data_type="SVNH", num_class=10, batch_size=128)
        # train_MTIL_classifier(data_type="cifar10", num_class=10, batch_size=128)
        # train_EDE_Net(data_list=["MNIST", "SVNH"], num_per_class=1)
        # train_EDE_Net(data_list=["MNIST", "SVNH"], num_per_class=5)
        # train_EDE_Net(data_list=["MNIST", "SVNH"], num_per_class=20)
        # train_EDE_Net(data_list=["MNIST", "SVNH"], num_per_class=50)
        # train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=1)
        # train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)
        # train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=20)
        # train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=50)
