"""What a run found: `results.json` as a dict, and `results.md` as Markdown tables.

All of it is made from the JSON files beside the weights: `results` is what such a file holds under that name, and
`configuration` the options that decided it. Accuracies are test accuracies in percent.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from datasets import naming
from utils.results import metrics, tables
from utils.running.options import BASELINES

# What is told of a network, and the titles of the columns that tell it.
NETWORK = ("widths", "parameters", "flops", "test_accuracy", "selection_accuracy", "selected_epoch", "seconds")
COMPRESSED = {"test_accuracy": "accuracy", "widths": "widths", "parameters": "parameters", "flops": "FLOPs"}
COSTS = {"parameters": "parameters", "flops": "FLOPs", "seconds": "time"}
MEASURES = {
    "average_incremental_accuracy": "average incremental accuracy (%)",
    "last_accuracy": "last accuracy (%)",
    "forgetting": "forgetting (points)",
    "backward_transfer": "backward transfer (points)",
    "parameters": "parameters at the end",
}
IN_SEQUENCE = {
    "alone": "alone",
    "joined": "joined",
    "within_task_accuracy": "told the set",
    "task_confusion": "taken for another set's",
}


# --- a run in words


def method(configuration: dict) -> str:
    """Name of what was trained: "EDE-Net", or "Baseline: replay"."""
    return f"Baseline: {configuration['baseline']}" if "baseline" in configuration else "EDE-Net"


def dataset(configuration: dict) -> str:
    """Name of the images that were learned: "cifar100", or "drawn stand-ins for cifar100"."""
    drawn = "drawn stand-ins for " if "dataset_stand_in" in configuration else ""
    return drawn + configuration["dataset"]


def title(name: str, configuration: dict) -> str:
    """The run in one line, with `name` in front."""
    taught = "MixMatch" if configuration["mixmatch"] else "supervised"
    compressed = "compressed" if configuration.get("prune") else "not compressed"
    return (
        f"{name}: {dataset(configuration)}, {configuration['split_type']}, {taught}, {compressed}, "
        f"recipe {configuration['recipe']}, seed {configuration['seed']}"
    )


def selection_note(selection: str | None) -> str:
    """Sentence on how epochs and compression were judged, for all that rests on it; None: neither was."""
    if selection is None:
        return "Nothing was held out: the last epoch of every task is kept, and the test set decided nothing."
    if selection == "test":
        return (
            'SELECTED ON THE TEST SET (selection="test"): the epochs kept and the compression accepted were chosen on '
            "the very images that the accuracies are of, which flatters them."
        )
    return "Epochs kept and compression accepted were judged on held-out training images; the test set decided nothing."


def stage_two_note(configuration: dict) -> str:
    """What the accuracies of stage two, or of a baseline, rest on, and what the baseline is."""
    baseline = f"This baseline is {BASELINES[configuration['baseline']]}. " if "baseline" in configuration else ""
    return baseline + selection_note(configuration.get("selection"))


def sequence_note(found: Iterable[dict]) -> str:
    """What a sequence's accuracies rest on: whether images were drawn, and each way to select once."""
    configurations = [each["configuration"] for each in found]
    notes = sorted({selection_note(each.get("selection")) for each in configurations})
    if any("dataset_stand_in" in each for each in configurations):
        notes.insert(0, "Drawn stand-in images, not the data sets' own.")
    return " ".join(notes)


def sequence_title(names: Sequence[str]) -> str:
    """Data sets in the order of learning: "MNIST + SVHN"."""
    return " + ".join(map(naming.title, names))


def class_ranges(bounds: Sequence[int]) -> list[str]:
    """First and last class of every task: ["0–9", "10–19"] for [0, 10, 20]."""
    return [f"{first}–{end - 1}" for first, end in pairwise(bounds)]


def classes_of(task: str) -> str:
    """First and last class of a task by its name: "0–9" for "0to10"."""
    return class_ranges([int(bound) for bound in task.split("to")])[0]


# --- a split


def stage_one(configuration: dict, tasks: Sequence[dict]) -> dict:
    """Content of stage one's results.json.

    Args:
        tasks: for each task "task" ("0to10"), "classes" (names), "before": the results of the temporary network, and
            "after": those of its compression, or None.

    Returns: "stage", "configuration", and "tasks": the same with `NETWORK` of both, "rounds" with that, "accepted" and
        "history" of every compression tried, and the temporary network's "history".
    """
    return {"stage": 1, "configuration": configuration, "tasks": [_task(**task) for task in tasks]}


def _task(task: str, classes: Sequence[str], before: dict, after: dict | None) -> dict:
    def network(results: dict, *more: str) -> dict:
        return {name: results[name] for name in (*NETWORK, *more)}

    return {
        "task": task,
        "classes": classes,
        "before": network(before),
        "after": network(after) if after else None,
        "rounds": [network(each, "accepted", "history") for each in after["rounds"]] if after else [],
        "history": before["history"],
    }


def stage_one_table(results: dict) -> str:
    """Content of stage one's results.md, from its results.json."""
    rows = []
    for task in results["tasks"]:
        before, after, rounds = task["before"], task["after"] or dict.fromkeys(NETWORK), task["rounds"]
        accepted = sum(each["accepted"] for each in rounds)
        pairs = [cell for name in COMPRESSED for each in (before, after) for cell in tables.cells(each, name)]
        seconds = before["seconds"] + sum(each["seconds"] for each in rounds)
        rows.append([classes_of(task["task"]), *pairs, f"{accepted} of {len(rounds)}", tables.duration(seconds)])
    pairs = [cell for name in COMPRESSED.values() for cell in (name, "compressed")]
    total = sum((task["after"] or task["before"])["parameters"] for task in results["tasks"])
    return tables.page(
        f"# {title('Stage one', results['configuration'])}",
        "Test accuracy (%) among the task's own classes, before and after compression. "
        + selection_note(results["configuration"]["selection"]),
        tables.markdown_table(["task (classes)", *pairs, "accepted", "time"], rows),
        f"Parameters of all sub-models handed to stage two: {tables.parameters(total)}",
    )


def shares(results: dict) -> tuple[list[float], list[float], list[float]]:
    """Percentages of each task's test images: right among all outputs, right when told the task, taken for another's.

    Args:
        results: of a joined network, for each task the counts "correct" (among all outputs), "within" (among the
            task's own outputs) and "elsewhere" (taken for another task's class), of "total".
    """
    return tuple(metrics.percentages(results[name], results["total"]) for name in ("correct", "within", "elsewhere"))


def stage_two(configuration: dict, stages: Sequence[dict], stage_one: dict | None) -> dict:
    """Content of the results.json of stage two, or of a baseline.

    Args:
        stages: the results of the stage after each task.
        stage_one: the configuration of stage one, which made the sub-models; None for a baseline without any.

    Returns: among others "accuracy_matrix", "within_task_accuracy" and "task_confusion", whose entry [t][i] is of task
        i's test images after task t, see `shares`, and the protocol's measures, see `metrics`.
    """
    matrix, within, confusion = map(list, zip(*map(shares, stages), strict=True))
    last = stages[-1]
    sizes = last["total"]
    return {
        "stage": 2,
        "configuration": configuration,
        "stage_one": stage_one,
        "accuracy_matrix": matrix,
        "within_task_accuracy": within,
        "task_confusion": confusion,
        "test_images": sizes,
        "seen_accuracy": metrics.seen_accuracy(matrix, sizes),
        "average_incremental_accuracy": metrics.average_incremental_accuracy(matrix, sizes),
        "last_accuracy": metrics.last_accuracy(matrix, sizes),
        "last_within_task_accuracy": metrics.percentage(sum(last["within"]), sum(sizes)),
        "last_task_confusion": metrics.percentage(sum(last["elsewhere"]), sum(sizes)),
        "forgetting": metrics.forgetting(matrix),
        "backward_transfer": metrics.backward_transfer(matrix),
        "widths": last["widths"],
        **{name: [stage[name] for stage in stages] for name in (*COSTS, "history")},
    }


def stage_two_table(results: dict) -> str:
    """Content of the results.md of stage two, or of a baseline, from its results.json."""
    configuration, count = results["configuration"], len(results["accuracy_matrix"])
    size = configuration.get("rehearsal_size")
    rows = []
    for t, row in enumerate(results["accuracy_matrix"]):
        stage = {name: results[name][t] for name in ("seen_accuracy", *COSTS)}
        accuracies = [*tables.cells(stage, "seen_accuracy"), *map(tables.percent, row), *[""] * (count - len(row))]
        rows.append([t + 1, configuration["split_list"][t + 1], *accuracies, *tables.cells(stage, *COSTS)])
    for measure, label in (("within_task_accuracy", "told the task"), ("task_confusion", "taken for another's")):
        values = [results[f"last_{measure}"], *results[measure][-1]]
        rows.append([label, "", *map(tables.percent, values), *[""] * len(COSTS)])
    header = ["after task", "classes", "all seen", *[f"task {i + 1}" for i in range(count)], *COSTS.values()]
    end = tables.cells({**results, "parameters": results["parameters"][-1]}, *MEASURES)
    return tables.page(
        f"# {title(method(configuration) + (f', {size} exemplars' if size else ''), configuration)}",
        "Test accuracy (%) over all classes seen, and on each task's classes among them. Last two lines, after the "
        "last task: accuracy among the task's own classes; and the share of images taken for a class of another task. "
        + stage_two_note(configuration),
        tables.markdown_table(header, rows),
        tables.markdown_table(["measure", "value"], zip(MEASURES.values(), end, strict=True)),
    )


# --- a sequence of data sets


def sequence_one(networks: Sequence[dict]) -> dict:
    """Content of the results.json of the sequence's stage one, from the JSON files of its networks.

    Returns: "stage" and "datasets": by name the network's results with their "configuration".
    """
    found = {
        each["configuration"]["dataset"]: {**each["results"], "configuration": each["configuration"]}
        for each in networks
    }
    return {"stage": 1, "datasets": found}


def sequence_one_table(results: dict) -> str:
    """Content of the results.md of the sequence's stage one, from its results.json."""
    found, measures = results["datasets"], ("test_accuracy", "widths", *COSTS)
    rows = [[naming.title(name), *tables.cells(each, *measures)] for name, each in found.items()]
    return tables.page(
        "# Stage one of the sequence: test accuracy (%) of each data set alone",
        sequence_note(found.values()),
        tables.markdown_table(["data set", "accuracy", "widths", *COSTS.values()], rows),
    )


def sequence_two(networks: Sequence[dict]) -> dict:
    """Content of the results.json of the sequence's stage two, from the JSON files of its networks.

    Returns: "stage" and "networks", shorter sequences and fewer exemplars first. For each network "datasets",
        "num_per_class", and with one value a data set "alone" (accuracy of stage one's network among the set's own
        classes), and "joined", "within_task_accuracy" and "task_confusion", see `shares`; "mean" is that of "joined".
    """
    found = []
    for network in networks:
        configuration, results = network["configuration"], network["results"]
        joined, within, confusion = shares(results)
        found.append(
            {
                "datasets": configuration["data_list"],
                "num_per_class": configuration["num_per_class"],
                "alone": results["alone"],
                "joined": joined,
                "mean": sum(joined) / len(joined),
                "within_task_accuracy": within,
                "task_confusion": confusion,
                **{name: results[name] for name in ("updates", *COSTS, "history")},
                "configuration": configuration,
            }
        )
    found.sort(key=lambda each: (len(each["datasets"]), each["datasets"], each["num_per_class"]))
    return {"stage": 2, "networks": found}


def sequence_two_table(results: dict) -> str:
    """Content of the results.md of the sequence's stage two, from its results.json."""
    rows = []
    for network in results["networks"]:
        for index, name in enumerate(network["datasets"]):
            each = {**network, **{measure: network[measure][index] for measure in IN_SEQUENCE}}
            names = [sequence_title(network["datasets"]), naming.title(name), network["num_per_class"]]
            rows.append([*names, *tables.cells(each, *IN_SEQUENCE, "mean", "parameters", "seconds")])
    header = ["sequence", "data set", "exemplars a class", *IN_SEQUENCE.values(), "mean joined", "parameters", "time"]
    return tables.page(
        "# EDE-Net over data sets",
        "Test accuracy (%): `alone` by stage one's network among the set's own classes; `joined` by the EDE-Net among "
        "the classes of all its data sets, without being told which set an image is from; `told the set` by the "
        f"EDE-Net among the set's own classes. {sequence_note(results['networks'])}",
        tables.markdown_table(header, rows, left=2),
    )
