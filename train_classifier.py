"""Stage one of EDE-Net: for every task a temporary ResNet-18, trained with MixMatch and compressed by distillation.

python train_classifier.py 'train_model(split_type="s0-t10", prune=True, mixmatch=True)'
"""

from utils.running import command, processes
from utils.running.options import settings

EXAMPLE = 'train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5", prune=True, mixmatch=True)'


def train_model(split_list=None, split_type=None, prune=True, mixmatch=True, rehearsal_size=2000, **options):
    """Trains and compresses the sub-models of all tasks of a data set's split.

    Args:
        split_list: the tasks' borders in the class order, rising from 0, as [0, 10, …, 100]; may end early.
        split_type: "sA-tB", A classes first and the rest in B tasks; gives the split_list if that is left out.
            With neither, "s0-t10".
        prune: compress each network step by step.
        mixmatch: train with unlabelled images too; False is supervised training.
        rehearsal_size: the memory's size in stage two; matters here with `other_exemplars` only.
        **options: see `utils.running.options`, all by name.

    Started by `torchrun`, the processes share out the tasks; those that end before the last one return None.

    Returns: the results, as written to `classifier_<dataset>_<split_type>_resnet18[_mixmatch]/results.json`; of a dry
        run the trainings and their seconds.

    Raises: `utils.running.errors.UserError` for what the caller can mend.
    """
    chosen = settings(options, prune=prune, mixmatch=mixmatch, rehearsal_size=rehearsal_size)
    if chosen.restart or chosen.dry_run:  # a process cannot tell what is old from what another one has just written
        processes.require_one("restart=True begins anew" if chosen.restart else "dry_run=True adds up all trainings")
    if chosen.warm_epochs:
        processes.require_one("with warm_epochs every task begins with the one before")
    from datasets.memory import Memory  # torch takes seconds: after the call has been checked
    from utils.method import compression, data, stage_one
    from utils.results import figures, report

    split = data.split(chosen, split_list, split_type, rehearsal_size)
    unlabelled, described = data.unlabelled(chosen) if mixmatch else (None, {})
    mine, memory, network = processes.share(split.tasks), Memory(rehearsal_size), None
    with stage_one.begin(chosen, split, {"prune": prune, "mixmatch": mixmatch, **described}, rehearsal_size) as run:
        for task in run.each(split.tasks, "stage one, tasks"):
            if task in mine:
                foreign = stage_one.foreign_images(chosen, memory, unlabelled)
                network = stage_one.train_temporary(run, task, foreign, network if chosen.warm_epochs else None)
                if prune:
                    compression.compress(run, task, foreign, network)
            # For `other_exemplars`, a function of the seed: every process goes through all tasks.
            memory.add(task, chosen.seed)
        found = stage_one.results_of(run, split.tasks, prune)
        if found is None:
            return run.console.say("the other processes of this job are still at work; the last one writes the results")
        results = report.stage_one(run.configuration, found)
        return run.finish(results, report.table(results), figures.stage_one)


if __name__ == "__main__":
    with command.line(train_model, example=EXAMPLE):
        # The four CIFAR-100 splits; leave one active, or several to train them one after the other.
        train_model(
            split_list=[0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100], split_type="s0-t10", prune=True, mixmatch=True
        )
        # train_model(split_list=[0, 20, 40, 60, 80, 100], split_type="s0-t5")
        # train_model(split_list=[0, 50, 60, 70, 80, 90, 100], split_type="s50-t5")
        # train_model(split_list=[0, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100], split_type="s50-t10")
