"""Stage one of EDE-Net: for every task a temporary ResNet-18, trained with MixMatch and compressed by distillation.

python train_classifier.py 'train_model(split_type="s0-t10", prune=True, mixmatch=True)'
"""

from functools import partial

from datasets.stream import TaskStream
from utils import command, figures, plan, recipes, report, setup
from utils.run import Run
from utils.stage_one import compress_by_distillation, task_file, task_images, train_temporary

EXAMPLE = 'train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5", prune=True, mixmatch=True)'


def train_model(split_list=None, split_type=None, prune=True, mixmatch=True, **options):
    """Trains and compresses the sub-models of all tasks of a data set's split, each on its own.

    Args:
        split_list: the tasks' borders in the class order, rising from 0, as [0, 10, …, 100]; may end early.
        split_type: "sA-tB", A classes first and the rest in B tasks; gives the split_list if that is left out.
            With neither, "s0-t10".
        prune: compress each network step by step.
        mixmatch: train with unlabelled images too; False is plain supervised training.
        **options: see `utils.recipes.Settings`, all by name.

    Started by `torchrun`, the processes share out the tasks.

    Returns: the results, as written to `classifier_<dataset>_<split_type>_resnet18[_mixmatch]/results.json`. With
        `dry_run=True` the plan, see `utils.plan`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    settings = recipes.settings(**options)
    train, test = setup.read(settings)
    split = setup.split(split_list, split_type, len(train.class_names), settings)
    others = setup.unlabelled_images(settings) if mixmatch else None
    folder = setup.classifier_folder(settings, split, mixmatch)
    arguments = setup.arguments(settings, split, train, prune=prune, mixmatch=mixmatch)
    if mixmatch:
        arguments |= setup.described("unlabeled", settings.unlabeled, others)
    if settings.dry_run:
        return plan.classifiers(settings, train, test, others, split, prune)
    with Run(folder, settings, 1, arguments, free=["prune"], sharing="tasks") as run:
        run.adopt("classifier_*", lambda index, name: [f"model_{name}.pt", f"model_{name}_prune.pt"])
        stream = TaskStream(train, test, split.order, split.bounds, run.data_device)
        unlabelled = None if others is None else others.images.to(run.data_device)
        del train, test, others  # the stream has what the split needs of them
        for task in run.console.each(run.share(stream.tasks), "stage one, tasks"):
            images = task_images(stream, task, unlabelled, settings)
            train_temporary(run, images)
            if prune:
                compress_by_distillation(run, images)
        run.wait_for([task_file(folder, task.name, compressed=prune) for task in stream.tasks])
        results = report.classifier_results(folder, stream, run.configuration, prune)
        draw = partial(figures.classifiers, folder, results)
        return run.finish(results, report.classifier_table(results), draw)


if __name__ == "__main__":
    with command.line(train_model, options=recipes.NAMES, example=EXAMPLE):
        # The four CIFAR-100 splits; leave one active, or several to train them one after the other.
        train_model(
            split_list=[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], split_type="s0-t10", prune=True, mixmatch=True
        )
        # train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5")
        # train_model(split_list=[0, 50, 60, 70, 80, 90, 100], split_type="s50-t5")
        # train_model(split_list=[0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], split_type="s50-t10")
