"""Results as the runs leave them, small and made by hand: every number is decided by `task`, `stage` and `seed`."""

from utils.results import report

SPLIT = {"dataset": "cifar100", "split_type": "s0-t3", "split_list": [0, 3, 6, 9], "class_order": None, "seed": 0}
CONFIGURATION = {**SPLIT, "mixmatch": True, "prune": True, "selection": "validation", "recipe": "demo"}
STAGE_ONE = {**CONFIGURATION, "lambda_u": 10.0, "weight_decay": 0.0005}
STAGE_TWO = {**CONFIGURATION, "rehearsal_size": 30, "weight_decay": 0.0005, "finetune_lr": 0.002}
SEQUENCE = ["mnist", "svhn", "cifar10"]


def network(task, width=16, **more):
    """Results of a network of stage one."""
    return {
        "widths": [width, 2 * width, 4 * width, 8 * width],
        "parameters": 1000 * width * width,
        "flops": 10_000 * width * width,
        "test_accuracy": 60.0 + task + width / 4,
        "seconds": 5.0,
        "history": [{"epoch": n, "loss": (2.0 + task) / n, "lr": 0.1, "accuracy": 10.0 * n} for n in (1, 2, 3)],
        **more,
    }


def stage_one(**options):
    """Content of stage one's results.json: of every compression, the first round was accepted and the second not."""
    found = []
    for task in range(3):
        rounds = [network(task, 8, accepted=True), network(task, 4, accepted=False)]
        after = {**network(task, 8), "rounds": rounds}
        found.append({"task": f"{3 * task}to{3 * task + 3}", "before": network(task), "after": after})
    return report.stage_one({**STAGE_ONE, **options}, found)


def stage(task, seed=0, **more):
    """Results of the stage after a task: of 100 test images a task."""
    correct = [70 - 10 * (task - i) + seed for i in range(task + 1)]
    return {
        "correct": correct,
        "within": [count + 20 for count in correct],
        "elsewhere": [5 * task + i for i in range(task + 1)],
        "total": [100] * (task + 1),
        "widths": [[8, 16, 32, 64]] * (task + 1),
        "parameters": 64_000 * (task + 1),
        "flops": 640_000 * (task + 1),
        "seconds": 2.0 * task,
        "history": [{"epoch": n, "loss": (3.0 + task) / n, "lr": 0.1} for n in (1, 2)] if task else [],
        **more,
    }


def stage_two(tasks=3, seed=0, stage_one=STAGE_ONE, configuration=STAGE_TWO, **options):
    """Content of the results.json of stage two."""
    configuration = {**configuration, "seed": seed, **options}
    return report.stage_two(
        {**configuration, "split_list": configuration["split_list"][: tasks + 1]},
        [stage(task, seed) for task in range(tasks)],
        stage_one and {**stage_one, "seed": seed},
    )


def baseline(kind, seed=0, **options):
    """Content of the results.json of a baseline of one network."""
    own = {**SPLIT, "mixmatch": True, "recipe": "demo", "lambda_u": 10.0, "weight_decay": 0.0005, "baseline": kind}
    return stage_two(seed=seed, stage_one=None, configuration=own, **options)


def of_sequence(results, before=None, **options):
    """JSON file of a network of the sequence, of either stage."""
    configuration = {"selection": "validation", "seed": 0, "class_order": None, "recipe": "demo", **options}
    made_from = {"classes": [*"0123456789"], "stage before": None if before == "[]" else before}
    own = {"fingerprint": str(options.get("data_list")), "configuration": configuration, "results": results}
    return {"made_from": made_from, **own}


def sequence_one(**options):
    """Content of the results.json of the sequence's stage one, of which one network has these options."""
    *others, last = SEQUENCE
    networks = [of_sequence(network(0), dataset=name) for name in others]
    return report.sequence_one([*networks, of_sequence(network(0), dataset=last, **options)])


def joined(names, count, correct, **options):
    """JSON file of a joined network with these counts of correct images, of 100 a data set."""
    results = stage(len(names) - 1, correct=correct, updates=200, alone=[99.0, 90.0, 80.0][: len(names)])
    return of_sequence(results, str(names[:-1]), data_list=names, num_per_class=count, **options)


def sequence_two():
    """Content of the results.json of the sequence's stage two."""
    stale = {**joined(SEQUENCE, 1, [9, 9, 9]), "made_from": {"stage before": "another network of the first two"}}
    networks = [
        joined(SEQUENCE, 5, [60, 50, 40]),
        joined(SEQUENCE[:2], 5, [70, 60]),
        joined(SEQUENCE[:1], 5, [90]),
        joined(SEQUENCE, 2, [30, 20, 10]),  # of which the first network is missing
        joined(SEQUENCE[:1], 1, [80]),
        joined(SEQUENCE[:2], 1, [50, 40], selection="test", dataset_stand_in=True),
    ]
    return report.sequence_two([*networks, stale])
