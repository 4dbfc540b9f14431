"""Stage two of EDE-Net: the tasks' sub-models, joined at the output layer and fine-tuned task after task.

python train_EDE_Net.py 'train_model(split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'baseline("replay", split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'ablation(split_type="s0-t5", rehearsal_size=2000, seeds=[0, 1, 2])'
python train_EDE_Net.py 'evaluate("checkpoints/EDE_Net_cifar100_…")'
python train_EDE_Net.py 'predict("cat.png", checkpoint="checkpoints/EDE_Net_cifar100_…/stage_10.pt")'
python train_EDE_Net.py 'compare("FOLDER", "FOLDER")'
python train_EDE_Net.py 'demo()'

Arguments are checked before torch is imported, which takes seconds; what the caller can mend is a
`utils.running.errors.UserError`. Options are named in `utils.running.options`.
"""

from itertools import product

import train_classifier
from utils.results.compare import compare
from utils.results.evaluate import evaluate
from utils.results.predict import predict
from utils.running import command, processes
from utils.running.errors import UserError
from utils.running.options import settings

EXAMPLE = 'train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5", rehearsal_size=2000)'


def train_model(split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """Grows an EDE-Net over the tasks of a data set's split from the sub-models that `train_classifier.py` made.

    Args:
        split_list, split_type: as in `train_classifier.train_model`.
        prune: join the compressed sub-models; False joins the temporary ones.
        rehearsal_size: exemplars in all, shared evenly by the old classes.
        mixmatch: which of stage one's folders to take the sub-models from.

    Returns: the results, as written to `EDE_Net_<dataset>_<split_type>_resnet18_rehearsal_<size>/results.json`.
    """
    chosen = settings(options, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    processes.require_one()
    from datasets.memory import Memory
    from utils.method import data, stage_two

    split, memory = data.split(chosen, split_list, split_type, rehearsal_size), Memory(rehearsal_size)
    submodels = stage_two.submodels_of(chosen, split, prune, mixmatch, rehearsal_size)
    with stage_two.begin(chosen, split, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size) as run:
        stages = stage_two.Stages(run, memory)
        for task in run.each(split.tasks, "stage two, tasks"):
            if stages.begin(task, stage_two.made_from(chosen, task, submodels, memory)).done:
                continue
            net = stages.resume()  # with the exemplars kept so far
            net.grow(submodels.load(run, task))
            if task.index > 0:
                stages.finetune(net, stage_two.balanced_batches(run, memory, task))
            stage_two.remember(run, net, memory, task)
            stages.save(net, split.tasks[: task.index + 1])
        return conclude(stages, submodels.record(split.tasks[-1])["configuration"])


def conclude(stages, classifiers=None):
    """Writes and returns the results of all stages, and draws the exemplars of the last one.

    Args:
        classifiers: the configuration that stage one's networks were trained with, if there are any.
    """
    from utils.results import figures, report

    run = stages.run
    results = report.stage_two(run.configuration, [stage.results for stage in stages.artefacts], classifiers)
    figures.exemplars_kept(stages, run.folder / "exemplars", report.title(results))
    return run.finish(results, report.table(results), figures.stage_two)


def baseline(kind, split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """Trains what EDE-Net stands against, on the same split and with the same files, tables and figures.

    Args:
        kind: "finetune", "replay", "joint", "der" or "concatenate", see `utils.running.options.BASELINES`.
        split_list, split_type: as in `train_classifier.train_model`.
        prune: of "concatenate": join the compressed sub-models.
        rehearsal_size: of "replay" and "der": exemplars in all, shared evenly by the old classes.
        mixmatch: train with unlabelled images too; of "concatenate": which of stage one's folders to take.

    Returns: the results, as written to
        `baseline_<kind>_<dataset>_<split_type>_resnet18[_mixmatch][_rehearsal_<size>]/results.json`.
    """
    chosen = settings(options, kind=kind, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    processes.require_one()
    from utils.method import data, stage_two
    from utils.method.baselines import Baseline

    split = data.split(chosen, split_list, split_type, rehearsal_size)
    method = Baseline(chosen, split, kind, prune, mixmatch, rehearsal_size)
    with method.begin() as run:
        stages = stage_two.Stages(run, method.memory, method.network)
        for task in run.each(split.tasks, f"baseline {kind}, tasks"):
            method.see(task)
            if stages.begin(task, method.made_from(task)).done:
                continue
            net = stages.resume()
            stages.progress = method.learn(stages, net, task)
            if method.memory.size:
                stage_two.remember(run, net, method.memory, task)
            stages.save(net, split.tasks[: task.index + 1])
        return conclude(stages, method.submodels and method.submodels.record(split.tasks[-1])["configuration"])


def ablation(split_list=None, split_type=None, rehearsal_size=2000, seeds=[0, 1, 2], **options):
    """Trains EDE-Net with and without its parts, over several seeds: one table and one figure.

    The parts are MixMatch, compression and stage two, or the additions of a recipe that has some, one on top of the
    other. Every training is a run of its own. Started by `torchrun`, the processes share out seeds and stage ones.

    Args:
        split_list, split_type, rehearsal_size: as in `train_model`.
        seeds: of the repetitions, over which mean and sample standard deviation are taken.

    Returns: the content of `ablation_<dataset>_<split_type>_rehearsal_<size>/ablation.json`; None if others still work.
    """
    for name in {"seed", "classifier_root"} & options.keys():
        raise UserError(f"ablation() sets {name} itself: give seeds=[…] or checkpoint_root")
    chosen = settings(options, rehearsal_size=rehearsal_size, seeds=seeds)
    from utils.method import stage_one
    from utils.results import ablation as parts

    stage_one.sees_exemplars(chosen)  # or it is refused after hours
    folder, grid = parts.folder(chosen, split_list, split_type, rehearsal_size), parts.grid(chosen)
    if chosen.restart:
        raise UserError(f"ablation() is many runs, which restart=True cannot begin anew at once: delete {folder}")
    shared = {**options, "split_list": split_list, "split_type": split_type, "rehearsal_size": rehearsal_size}
    for seed, (name, cells) in processes.share(list(product(seeds, grid))):
        root, classifiers = folder / f"seed_{seed}", str(folder / f"seed_{seed}" / name)
        with processes.own_share():
            here = {**shared, "seed": seed}
            train_classifier.train_model(**{**here, **cells[0].options, "checkpoint_root": classifiers})
            for cell in cells:
                roots = {"classifier_root": classifiers, "checkpoint_root": str(root / cell.name)}
                train_model(**{**here, **cell.options, **roots})
                baseline("concatenate", **{**here, **cell.options, **roots})
    return None if chosen.dry_run else parts.write(folder, seeds, [cell for _, cells in grid for cell in cells])


def demo(**options):
    """Runs both stages on small stand-in images in a temporary folder, within three minutes on two CPU cores."""
    settings({"recipe": "demo", **options})
    processes.require_one()
    from datasets.stand_ins import demo_options

    options = {"split_list": [0, 5, 10, 15], "split_type": "s0-t3", "rehearsal_size": 150, **demo_options(options)}
    train_classifier.train_model(**options)
    return train_model(**options)


if __name__ == "__main__":
    with command.line(train_model, baseline, ablation, evaluate, predict, compare, demo, example=EXAMPLE):
        # The four CIFAR-100 splits; leave one active, or several to train them one after the other.
        train_model(split_list=[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], split_type="s0-t10", rehearsal_size=2000)
        # train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5")
        # train_model(split_list=[0, 50, 60, 70, 80, 90, 100], split_type="s50-t5")
        # train_model(split_list=[0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], split_type="s50-t10")
