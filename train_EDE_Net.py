"""Stage two of EDE-Net: the tasks' sub-models, joined at the output layer and fine-tuned task after task.

python train_EDE_Net.py 'train_model(split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'baseline("replay", split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'ablation(split_type="s0-t5", rehearsal_size=2000, seeds=[0, 1, 2])'
python train_EDE_Net.py 'evaluate(split_type="s0-t10", rehearsal_size=2000)'
python train_EDE_Net.py 'predict("cat.png", checkpoint="checkpoints/EDE_Net_cifar100_…/stage_10.pt")'
python train_EDE_Net.py 'compare("FOLDER", "FOLDER")'
python train_EDE_Net.py 'demo()'
"""

from functools import partial

import train_classifier
from datasets import synthetic, tasks
from datasets.rehearsal import require_room
from datasets.stream import TaskStream
from utils import ablation as grid
from utils import baselines, command, device, distributed, evaluation, figures, plan, recipes, report, setup, stage_two
from utils.comparison import compare
from utils.prediction import predict
from utils.run import Run

EXAMPLE = 'train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5", rehearsal_size=2000)'


def train_model(split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """Grows an EDE-Net over the tasks of a data set's split from the sub-models that `train_classifier.py` made.

    Args:
        split_list, split_type: as in `train_classifier.train_model`.
        prune: join the compressed sub-models; False joins the temporary ones.
        rehearsal_size: exemplars in all, shared evenly by the old classes.
        mixmatch: which of stage one's folders to take the sub-models from.
        **options: see `utils.recipes.Settings`, all by name.

    Started by `torchrun`, the processes train together, each with its part of every batch.

    Returns: the results, as written to `EDE_Net_<dataset>_<split_type>_resnet18_rehearsal_<size>/results.json`. With
        `dry_run=True` the plan, see `utils.plan`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    settings = recipes.settings(**options)
    train, test = setup.read(settings)
    split = setup.split(split_list, split_type, len(train.class_names), settings)
    require_room(rehearsal_size, split.bounds[-2])
    folder = setup.ede_net_folder(settings, split, rehearsal_size)
    arguments = setup.arguments(settings, split, train, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    if settings.dry_run:
        return plan.ede_net(settings, train, test, split, rehearsal_size, prune, mixmatch)
    with Run(folder, settings, 2, arguments, sharing="batches") as run:
        stage_one = setup.stage_one(settings, split, arguments)
        stream = TaskStream(train, test, split.order, split.bounds, run.data_device)
        del train, test  # the stream has what the split needs of them
        stage_two.adopt(run, stage_one, stream)
        for task in run.console.each(stream.tasks, "stage two, tasks"):
            if not stage_two.finished(run, stage_one, task):
                grow(run, stage_one, stream, task)
            run.forget(f"finetune_{task.name}.")
        return conclude(run, stage_one, stream)


def grow(run, stage_one, stream, task):
    """One task of stage two: join its sub-model, fine-tune the whole, keep exemplars, write the stage."""
    stream.begin(task)
    net, memory = stage_two.previous(run, task)
    submodel, source = stage_two.new_submodel(run, stage_one, task)
    net.grow(submodel)
    progress = stage_two.finetune(run, net, memory, stream, task) if task.index > 0 else None
    stage_two.remember(net, memory, stream, task, run.settings)
    stage_two.write_stage(run, net, memory, stream, task, progress, source)


def conclude(run, stage_one, stream):
    """The results, their table and their figures, once all stages are there."""
    made_of = stage_one.configuration if stage_one else None
    results = report.ede_net_results(stage_two.all_results(run, stream), run.configuration, made_of)
    draw = partial(figures.ede_net, run.folder, results, stream)
    return run.finish(results, report.ede_net_table(results), draw)


def baseline(kind, split_list=None, split_type=None, prune=True, rehearsal_size=2000, mixmatch=True, **options):
    """What EDE-Net stands against, on the same split and with the same files, tables and figures.

    Args:
        kind: "finetune", one network trained on task after task; "replay", the same with exemplars of the old classes;
            "joint", the same with all training images of all classes seen, the upper bound; "concatenate", stage one's
            sub-models joined and not fine-tuned. One network is stage one's temporary one, trained in every task
            with stage one's options; it always goes on from the task before.
        split_list, split_type: as in `train_classifier.train_model`.
        prune: of "concatenate": join the compressed sub-models.
        rehearsal_size: of "replay": exemplars in all, shared evenly by the old classes.
        mixmatch: train with unlabelled images too; of "concatenate": which of stage one's folders to take.
        **options: see `utils.recipes.Settings`, all by name.

    Returns: the results, as written to
        `baseline_<kind>_<dataset>_<split_type>_resnet18[_mixmatch][_rehearsal_<size>]/results.json`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    baselines.require_kind(kind)
    settings = recipes.settings(**options)
    plan.require_no_dry_run(settings)
    train, test = setup.read(settings)
    split = setup.split(split_list, split_type, len(train.class_names), settings)
    others = setup.unlabelled_images(settings) if mixmatch and kind != "concatenate" else None
    arguments = baselines.arguments(kind, settings, split, train, others, prune, mixmatch, rehearsal_size)
    folder = setup.baseline_folder(settings, split, kind, mixmatch, arguments.get("rehearsal_size", 0))
    with Run(folder, settings, kind, arguments) as run:
        stream = TaskStream(train, test, split.order, split.bounds, run.data_device, joint=kind == "joint")
        if kind == "concatenate":
            stage_one = setup.stage_one(settings, split, arguments)
            learn = partial(baselines.concatenate, run, stage_one, stream)
        else:
            stage_one, unlabelled = None, None if others is None else others.images.to(run.data_device)
            learn = partial(baselines.learn, run, stream, unlabelled)
        del train, test, others  # the stream has what the split needs of them
        stage_two.adopt(run, stage_one, stream)
        for task in run.console.each(stream.tasks, f"baseline {kind}, tasks"):
            if not stage_two.finished(run, stage_one, task):
                learn(task)
            run.forget(f"baseline_{task.name}.")
        return conclude(run, stage_one, stream)


def ablation(split_list=None, split_type=None, rehearsal_size=2000, seeds=[0, 1, 2], **options):
    """EDE-Net with and without MixMatch, compression and stage two, over several seeds: one table and one figure.

    Every training is a run of its own, which goes on and is skipped as usual when the ablation is called again.

    Args:
        split_list, split_type, rehearsal_size: as in `train_model`.
        seeds: of the repetitions, over which mean and sample standard deviation are taken.
        **options: see `utils.recipes.Settings`, all by name but seed and classifier_root.

    Returns: what is written to `ablation_<dataset>_<split_type>_rehearsal_<size>/ablation.json`.

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    grid.require_seeds(seeds, options)
    settings = recipes.settings(**options)
    plan.require_no_dry_run(settings)
    distributed.require_one_process()
    split = setup.split(split_list, split_type, len(setup.read(settings)[0].class_names), settings)
    require_room(rehearsal_size, split.bounds[-2])
    folder = setup.ablation_folder(settings, split, rehearsal_size)
    found = {cell: [] for cell in grid.CELLS}
    for seed in seeds:
        root = folder / f"seed_{seed}"
        common = {**options, "split_list": split.bounds, "split_type": split.type, "seed": seed}
        for mixmatch in (True, False):
            train_classifier.train_model(**{**common, "mixmatch": mixmatch, "checkpoint_root": str(root)})
        for cell in grid.CELLS:
            run = train_model if cell.stage_two else partial(baseline, "concatenate")
            parts = {"mixmatch": cell.mixmatch, "prune": cell.compression, "rehearsal_size": rehearsal_size}
            roots = {"classifier_root": str(root), "checkpoint_root": str(root / cell.name)}
            found[cell].append(run(**{**common, **parts, **roots}))
    return grid.write(folder, grid.summary(found, rehearsal_size))


def evaluate(
    split_list=None, split_type=None, rehearsal_size=2000, stage=None, baseline=None, mixmatch=True, **options
):
    """Counts again, from the saved files, what training reported of every stage or of one; a difference is an error.

    Args:
        split_list, split_type, rehearsal_size: which run, as in `train_model`; the rest of what it was trained with
            is read from its folder.
        stage: from 1; all that are saved if left out.
        baseline: the kind of a baseline that is meant in place of EDE-Net.
        mixmatch: of a baseline, whose folder it names: how it was trained.
        **options: see `utils.recipes.Settings`: those of where things are, and others only to be sure of them.

    Returns: a dict with "stages", see `utils.evaluation.stages`.

    Raises: `utils.errors.UserError` for what the caller can mend, and for a difference.
    """
    distributed.require_one_process()
    made_by = (rehearsal_size, baseline, mixmatch)
    folder, configuration, settings = evaluation.saved_run(split_list, split_type, *made_by, options)
    plan.require_no_dry_run(settings)
    train, test = setup.read(settings)
    evaluation.require_data(folder, configuration, settings, train)
    order = tasks.class_order(settings.class_order, len(train.class_names))
    where = device.choose(settings.device)
    stream = TaskStream(train, test, order, configuration["split_list"], device="cpu")
    found = evaluation.stages(folder, stage, stream, where)
    print(evaluation.stages_table(found, configuration))
    evaluation.require_reported(folder, found)
    return {"configuration": configuration, "stages": found}


def demo(**options):
    """Both stages on small stand-in images, within three minutes on two CPU cores.

    Args:
        **options: see `utils.recipes.Settings`, all by name; a new temporary folder is `checkpoint_root` if left out.
    """
    distributed.require_one_process()
    options = setup.demo_options(options)
    synthetic.write(options["data_root"])
    train_classifier.train_model(split_list=[0, 5, 10, 15], split_type="s0-t3", **options)
    return train_model(split_list=[0, 5, 10, 15], split_type="s0-t3", rehearsal_size=150, **options)


if __name__ == "__main__":
    with command.line(
        train_model, baseline, ablation, evaluate, predict, compare, demo, options=recipes.NAMES, example=EXAMPLE
    ):
        # The four CIFAR-100 splits; leave one active, or several to train them one after the other.
        train_model(split_list=[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], split_type="s0-t10", rehearsal_size=2000)
        # train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5")
        # train_model(split_list=[0, 50, 60, 70, 80, 90, 100], split_type="s50-t5")
        # train_model(split_list=[0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], split_type="s50-t10")
