"""EDE-Net over whole data sets: MNIST → SVHN → CIFAR-10, told apart without a task label.

python trainMTIL.py 'train_MTIL_classifier(data_type="MNIST")'
python trainMTIL.py 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'
python trainMTIL.py 'evaluate(num_per_class=5)'
python trainMTIL.py 'predict("digit.png", checkpoint="checkpoints/MTIL/EDE_Net_resnet18/model_mnist_svhn_5.pt")'
python trainMTIL.py 'demo()'
"""

from functools import partial

from datasets import catalog, synthetic
from utils import command, distributed, recipes, sequence, sequence_evaluation, sequence_figures, sequence_report, setup
from utils.prediction import predict
from utils.run import Run
from utils.stage_one import train_temporary

SEQUENCE = ["MNIST", "SVNH", "cifar10"]
EXAMPLE = 'train_EDE_Net(data_list=["MNIST", "SVNH", "cifar10"], num_per_class=5)'


def train_MTIL_classifier(data_type="MNIST", num_class=10, batch_size=128, **options):
    """Stage one: trains one data set's ResNet-18, supervised.

    Args:
        data_type: MNIST, FashionMNIST, SVHN (or SVNH), CIFAR-10, …, in any letter case.
        num_class: how many classes the data set has; a check.
        batch_size: images a batch.
        **options: see `utils.recipes.Settings`, all by name.

    Returns: the results of all data sets trained so far, as written to `MTIL/classifier_resnet18/results.json`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    settings = recipes.settings(recipes.MTIL, batch_size=batch_size, **options)
    name = catalog.canonical_name(data_type)
    train, test = sequence.read(name, num_class, settings)
    folder = sequence.classifier_folder(settings)
    arguments = {**setup.described("dataset", name, train), "num_class": num_class}
    with Run(folder, settings, 1, arguments, only=name) as run:
        images = sequence.classifier_images(train, test, settings, run.data_device)
        train_temporary(run, images)
        results = sequence_report.classifier_results(folder)
        draw = partial(sequence_figures.classifiers, folder, results)
        return run.finish(results, sequence_report.classifier_table(results), draw)


def train_EDE_Net(data_list=SEQUENCE, num_per_class=5, batch_size=128, **options):
    """Stage two: joins the data sets' networks one after the other, fine-tuned on a few exemplars of every class.

    Args:
        data_list: two data sets or more, in the order of learning; the shorter sequences' networks are kept.
        num_per_class: exemplars of every class of every data set.
        batch_size: exemplars a batch.
        **options: see `utils.recipes.Settings`, all by name.

    Returns: the results of all networks so far, as written to `MTIL/EDE_Net_resnet18/results.json`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    settings = recipes.settings(recipes.MTIL, **{"finetune_batch_size": batch_size, **options})
    names = sequence.known_names(data_list)
    folder = sequence.network_folder(settings)
    for count in range(2, len(names) + 1):
        joined = names[:count]
        stem = sequence.network_stem(joined, num_per_class)
        arguments = {"data_list": joined, "num_per_class": num_per_class}
        with Run(folder, settings, 2, arguments, only=stem) as run:
            if not sequence.finished(run, joined, num_per_class):
                sequence.join(run, joined, num_per_class)
            run.forget(f"finetune_{stem}.")
            results = sequence_report.network_results(folder)
            draw = partial(sequence_figures.stage_two, folder, results, stem, settings.data_root)
            run.finish(results, sequence_report.network_table(results), draw)
    return results


def evaluate(data_list=None, num_per_class=None, **options):
    """Counts again, from the saved files, what training reported of the joined networks; a difference is an error.

    Args:
        data_list: the networks of these data sets only.
        num_per_class: the networks of so many exemplars a class only.
        **options: see `utils.recipes.Settings`; those of where things are count.

    Returns: a list, see `utils.sequence_evaluation.networks`.

    Raises: `utils.errors.UserError` for what the caller can mend, and for a difference.
    """
    settings = recipes.settings(recipes.MTIL, **options)
    names = None if data_list is None else sequence.known_names(data_list)
    found = sequence_evaluation.networks(settings, names, num_per_class)
    print(sequence_evaluation.networks_table(found))
    sequence_evaluation.require_reported(settings, found)
    return found


def demo(**options):
    """The whole sequence on small stand-in images, within three minutes on two CPU cores.

    Args:
        **options: see `utils.recipes.Settings`, all by name; a new temporary folder is `checkpoint_root` if left out.
    """
    distributed.require_one_process()
    options = setup.demo_options({"batch_size": 32, **options})
    synthetic.write(options["data_root"], sets=("mnist", "svhn", "cifar10"))
    for name in SEQUENCE:
        train_MTIL_classifier(data_type=name, **options)
    for num_per_class in (1, 5, 20):
        results = train_EDE_Net(SEQUENCE, num_per_class=num_per_class, **options)
    return results


if __name__ == "__main__":
    with command.line(
        train_MTIL_classifier, train_EDE_Net, evaluate, predict, demo, options=recipes.MTIL_NAMES, example=EXAMPLE
    ):
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
