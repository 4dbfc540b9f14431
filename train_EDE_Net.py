"""Stage two of EDE-Net: the tasks' sub-models, joined at the output layer and fine-tuned task after task.

python train_EDE_Net.py 'train_model(split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'baseline("replay", split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'ablation(split_type="s0-t5", rehearsal_size=2000, seeds=[0, 1, 2])'
python train_EDE_Net.py 'evaluate("checkpoints/EDE_Net_cifar100_…")'
python train_EDE_Net.py 'predict("cat.png", checkpoint="checkpoints/EDE_Net_cifar100_…/stage_10.pt")'
python train_EDE_Net.py 'compare("FOLDER", "FOLDER")'
python train_EDE_Net.py 'demo()'

The functions import torch, which takes seconds, after their arguments have been checked.
"""

from itertools import product

import train_classifier
from utils.running import command, processes
from utils.running.errors import UserError
from utils.running.options import require_arguments, settings

EXAMPLE = 'train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5", rehearsal_size=2000)'


def train_model(split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """Grows an EDE-Net over the tasks of a data set's split from the sub-models that `train_classifier.py` made.

    Args:
        split_list, split_type: as in `train_classifier.train_model`.
        prune: join the compressed sub-models; False joins the temporary ones.
        rehearsal_size: exemplars in all, shared evenly by the old classes.
        mixmatch: which of stage one's folders to take the sub-models from.
        **options: see `utils.running.options`, all by name.

    Returns: the results, as written to `EDE_Net_<dataset>_<split_type>_resnet18_rehearsal_<size>/results.json`; of a
        dry run the trainings and their seconds.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    chosen = settings(options)
    require_arguments(prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    processes.require_one()
    from datasets.memory import Memory, require_room
    from utils.method import data, stage_two
    from utils.running.run import Run

    split = data.split(chosen, split_list, split_type)
    require_room(rehearsal_size, split.bounds[-2])
    submodels = stage_two.submodels_of(chosen, split, prune, mixmatch, rehearsal_size)
    place = stage_two.place(chosen, split, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    with Run(*place, siblings="EDE_Net_*") as run:
        before = None
        for task in run.each(split.tasks, "stage two, tasks"):
            memory = Memory(rehearsal_size)
            stage = stage_two.stage(run, task, before, submodels, memory)
            if not stage.done:
                net = stage_two.after(run, before, memory)
                net.grow(submodels.load(run, task))
                progress = None
                if task.index > 0:
                    progress = stage_two.finetune(run, stage, net, stage_two.balanced_batches(run, memory, task))
                stage_two.remember(run, net, memory, task)
                stage_two.save(stage, net, memory, split.tasks[: task.index + 1], progress)
            before = stage
        return conclude(run, split.tasks, before, submodels.configuration)


def conclude(run, tasks, last, stage_one):
    """Writes and returns the results of all stages, and draws the exemplars of the last one."""
    from utils.method import stage_two
    from utils.results import figures, report

    results = report.stage_two(run.configuration, stage_two.results_of(run, tasks), stage_one)
    sheet = run.folder / "exemplars"
    if not run.dry and (last.model or not sheet.with_suffix(".png").exists()):
        figures.exemplars(
            sheet, *stage_two.exemplars_of(last), report.title(report.method(run.configuration), run.configuration)
        )
    return run.finish(results, report.stage_two_table(results), figures.stage_two)


def baseline(kind, split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """Trains what EDE-Net stands against, on the same split and with the same files, tables and figures.

    Args:
        kind: "finetune", one network trained on task after task; "replay", the same with exemplars of the old classes;
            "joint", the same with all training images of all classes seen, the upper bound; "der", a network more for
            every task, those before frozen, under one linear layer; "concatenate", stage one's sub-models joined and
            not fine-tuned. One network is stage one's temporary one, trained in every task with stage one's options;
            it always goes on from the task before.
        split_list, split_type: as in `train_classifier.train_model`.
        prune: of "concatenate": join the compressed sub-models.
        rehearsal_size: of "replay" and "der": exemplars in all, shared evenly by the old classes.
        mixmatch: train with unlabelled images too; of "concatenate": which of stage one's folders to take.
        **options: see `utils.running.options`, all by name.

    Returns: the results, as written to
        `baseline_<kind>_<dataset>_<split_type>_resnet18[_mixmatch][_rehearsal_<size>]/results.json`.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    chosen = settings(options)
    require_arguments(kind=kind, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    processes.require_one()
    from datasets.memory import Memory, require_room
    from models.der import DERNet
    from models.ede_net import EDENet
    from utils.method import baselines, data, der, stage_two
    from utils.running.run import Run

    split = data.split(chosen, split_list, split_type)
    require_room(rehearsal_size, split.bounds[-2])
    mixmatch = mixmatch and kind != "der"
    unlabelled, described = data.unlabelled(chosen) if mixmatch and kind != "concatenate" else (None, {})
    submodels = (
        stage_two.submodels_of(chosen, split, prune, mixmatch, rehearsal_size) if kind == "concatenate" else None
    )
    size = rehearsal_size if kind in baselines.WITH_MEMORY else 0
    network, learn = (DERNet, der.learn) if kind == "der" else (EDENet, baselines.learn)
    folder, _, configuration = baselines.place(chosen, split, kind, prune, mixmatch, size)
    with Run(folder, chosen, {**configuration, **described}, siblings="baseline_*") as run:
        before, seen = None, []
        for task in run.each(split.tasks, f"baseline {kind}, tasks"):
            memory = Memory(size)
            stage = baselines.stage(run, kind, task, before, memory, unlabelled, submodels)
            if not stage.done:
                net = stage_two.after(run, before, memory, network)
                progress = None
                if submodels:
                    net.grow(submodels.load(run, task))
                else:
                    images = baselines.labelled_images(kind, task, memory, seen)
                    progress = learn(run, stage, net, task, images, unlabelled)
                if size:
                    stage_two.remember(run, net, memory, task)
                stage_two.save(stage, net, memory, split.tasks[: task.index + 1], progress)
            before = stage
            if kind == "joint":
                seen.append(task.train)  # what the protocol forbids
        return conclude(run, split.tasks, before, submodels and submodels.configuration)


def ablation(split_list=None, split_type=None, rehearsal_size=2000, seeds=[0, 1, 2], **options):
    """Trains EDE-Net with and without its parts, over several seeds: one table and one figure.

    The parts are MixMatch, compression and stage two; with a recipe that has additions to the faithful method, these
    one on top of the other.

    Every training is a run of its own, which goes on and is skipped as usual when the ablation is called again. Started
    by `torchrun`, the processes share out the seeds and the stage ones.

    Args:
        split_list, split_type, rehearsal_size: as in `train_model`.
        seeds: of the repetitions, over which mean and sample standard deviation are taken.
        **options: see `utils.running.options`, all by name but seed and classifier_root.

    Returns: what is written to `ablation_<dataset>_<split_type>_rehearsal_<size>/ablation.json`; None where other
        processes are still at work.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    for name in {"seed", "classifier_root"} & options.keys():
        raise UserError(f"ablation() sets {name} itself: give seeds=[…] or checkpoint_root")
    chosen = settings(options)
    require_arguments(rehearsal_size=rehearsal_size, seeds=seeds)
    from utils.results import ablation as grid

    folder, groups = grid.folder(chosen, split_list, split_type, rehearsal_size), grid.groups(chosen)
    shared = {**options, "split_list": split_list, "split_type": split_type, "rehearsal_size": rehearsal_size}
    for seed, group in processes.share(list(product(seeds, groups))):
        root, here = folder / f"seed_{seed}", {**shared, "seed": seed}
        with processes.own_share():
            train_classifier.train_model(**{**here, **group.options, "checkpoint_root": str(root / group.folder)})
            for cell in group.cells:
                roots = {"classifier_root": str(root / group.folder), "checkpoint_root": str(root / cell.name)}
                train_model(**{**here, **cell.options, **roots})
                baseline("concatenate", **{**here, **cell.options, **roots})
    return None if chosen.dry_run else grid.collect(folder, seeds, groups)


def evaluate(folder, stage=None, data_root="data", dataset=None, device="auto"):
    """Counts again, from the saved files, what training reported of every stage or of one; a difference is an error.

    Args: see `utils.results.evaluate`.
    """
    require_arguments(stage=stage, data_root=data_root, device=device)
    from utils.results import evaluate as evaluation

    return evaluation.evaluate(folder, stage, data_root, dataset, device)


def predict(image, checkpoint, top=5, device="auto"):
    """Prints the likeliest classes of an image file, with their probability and the task or data set each is of.

    Args: see `utils.results.predict`.
    """
    require_arguments(top=top, device=device)
    from utils.results import predict as prediction

    return prediction.predict(image, checkpoint, top, device)


def compare(*folders, output=None):
    """Draws the runs of several folders of stage two or of baselines into one figure and one table; mean ± deviation.

    Args: see `utils.results.compare`.
    """
    from utils.results import compare as comparison

    return comparison.compare(*folders, output=output)


def demo(**options):
    """Runs both stages on small stand-in images, within three minutes on two CPU cores.

    Args:
        **options: see `utils.running.options`, all by name; `checkpoint_root` is a new temporary folder if left out.
    """
    settings({"recipe": "demo", **options})
    processes.require_one()
    from datasets import stand_ins
    from utils.method.data import demo_options

    options = demo_options(options)
    stand_ins.write(options["data_root"])
    train_classifier.train_model(split_list=[0, 5, 10, 15], split_type="s0-t3", rehearsal_size=150, **options)
    return train_model(split_list=[0, 5, 10, 15], split_type="s0-t3", rehearsal_size=150, **options)


if __name__ == "__main__":
    with command.line(train_model, baseline, ablation, evaluate, predict, compare, demo, example=EXAMPLE):
        # The four CIFAR-100 splits; leave one active, or several to train them one after the other.
        train_model(
            split_list=[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100],
            split_type="s0-t10",
            prune=True,
            rehearsal_size=2000,
            mixmatch=True,
        )
        # train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5")
        # train_model(split_list=[0, 50, 60, 70, 80, 90, 100], split_type="s50-t5")
        # train_model(split_list=[0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], split_type="s50-t10")
