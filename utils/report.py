"""What a run found: `results.json` as a dict, and `results.md` as a table."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from datasets.stream import TaskStream
from utils import checkpoint, metrics, tables
from utils.baselines import KINDS
from utils.stage_one import task_file

MEASURES = ("widths", "parameters", "flops", "test_accuracy", "selection_accuracy", "selected_epoch", "seconds")


def selection_note(selection: str | None) -> str:
    """How epochs and compression were judged, for every table that rests on it; None: neither was."""
    if selection is None:
        return "Nothing was held out: the last epoch of every task is kept, and the test set decided nothing."
    if selection == "test":
        return (
            'SELECTED ON THE TEST SET (selection="test"): the epochs kept and the compression accepted were chosen on '
            "the very images that the accuracies are of, which flatters them."
        )
    return "Epochs kept and compression accepted were judged on held-out training images; the test set decided nothing."


def selection_notes(selections: Iterable[str]) -> str:
    """The same for results that rest on several choices: each way once."""
    return " ".join(selection_note(selection) for selection in sorted(set(selections)))


def widths(values: Sequence[int]) -> str:
    """16-32-64-128."""
    return "-".join(map(str, values))


STAND_INS = "Drawn stand-in images, not the data sets' own."


def dataset(configuration: dict) -> str:
    """What was learned: "cifar100", or "drawn stand-ins for cifar100"."""
    return f"{'drawn stand-ins for ' * ('dataset_stand_in' in configuration)}{configuration['dataset']}"


def heading(title: str, configuration: dict) -> str:
    """The first line of results.md."""
    compressed = "compressed" if configuration.get("prune") else "not compressed"
    return (
        f"# {title}: {dataset(configuration)}, {configuration['split_type']}, "
        f"{'MixMatch' if configuration['mixmatch'] else 'supervised'}, {compressed}, "
        f"recipe {configuration['recipe']}, seed {configuration['seed']}"
    )


def method(configuration: dict) -> str:
    """What was trained: "EDE-Net", or "Baseline: replay"."""
    return f"Baseline: {configuration['baseline']}" if "baseline" in configuration else "EDE-Net"


def method_and_memory(configuration: dict) -> str:
    """The same with the size of the memory, where it has one."""
    size = configuration.get("rehearsal_size")
    return method(configuration) + (f", {size} exemplars" if size else "")


def method_note(configuration: dict) -> str:
    """What a baseline is, in a sentence; nothing of EDE-Net."""
    return f"This baseline is {KINDS[configuration['baseline']]}." if "baseline" in configuration else ""


def classifier_results(folder: Path, stream: TaskStream, configuration: dict, prune: bool) -> dict:
    """Stage one's results, read from the checkpoints, which alone hold them.

    Accuracies are percentages over the task's own classes; `before` is the temporary network, `after` the compressed
    one (None without compression), `rounds` every compression tried.
    """
    results = []
    for task in stream.tasks:
        before = checkpoint.read(task_file(folder, task.name, compressed=False), "classifier")["results"]
        compressed = checkpoint.read(task_file(folder, task.name, compressed=True), "classifier") if prune else None
        results.append(
            {
                "task": task.name,
                "classes": stream.class_names[task.first : task.last],
                "before": {name: before[name] for name in MEASURES},
                "after": {name: compressed["results"][name] for name in MEASURES} if compressed else None,
                "rounds": [
                    {name: attempt[name] for name in (*MEASURES, "accepted", "history")}
                    for attempt in compressed["rounds"]
                ]
                if compressed
                else [],
                "history": before["history"],
            }
        )
    return {"stage": 1, "configuration": configuration, "tasks": results}


def classifier_table(results: dict) -> str:
    """results.md of stage one."""
    rows = []
    for task in results["tasks"]:
        first, last = task["task"].split("to")
        before, after = task["before"], task["after"]
        final = after or before
        rows.append(
            [
                f"{first}–{int(last) - 1}",
                tables.percent(before["test_accuracy"]),
                tables.percent(after["test_accuracy"]) if after else None,
                widths(before["widths"]),
                widths(after["widths"]) if after else None,
                tables.parameters(before["parameters"]),
                tables.parameters(after["parameters"]) if after else None,
                tables.flops(before["flops"]),
                tables.flops(final["flops"]) if after else None,
                f"{sum(attempt['accepted'] for attempt in task['rounds'])} of {len(task['rounds'])}",
                tables.duration(before["seconds"] + sum(attempt["seconds"] for attempt in task["rounds"])),
            ]
        )
    header = [
        "task (classes)",
        "accuracy",
        "compressed",
        "widths",
        "compressed",
        "parameters",
        "compressed",
        "FLOPs",
        "compressed",
        "accepted",
        "time",
    ]
    configuration = results["configuration"]
    total = sum((task["after"] or task["before"])["parameters"] for task in results["tasks"])
    return "\n".join(
        [
            heading("Stage one", configuration),
            "",
            "Test accuracy (%) among the task's own classes, before and after compression. "
            + selection_note(configuration["selection"]),
            "",
            tables.markdown_table(header, rows),
            "",
            f"Parameters of all sub-models handed to stage two: {tables.parameters(total)}",
            "",
        ]
    )


def ede_net_results(stages: Sequence[dict], configuration: dict, stage_one: dict | None) -> dict:
    """The results of stage two, or of a baseline, from the `results` of every stage's checkpoint.

    `stage_one` is the configuration of stage one, of which the sub-models are; None of a baseline without sub-models.
    `accuracy_matrix[t][i]` is the accuracy (%) on task i's test images after task t, over all outputs seen.
    """
    sizes = stages[-1]["total"]
    matrix = [
        [metrics.percentage(c, n) for c, n in zip(stage["correct"], stage["total"], strict=True)] for stage in stages
    ]
    return {
        "stage": 2,
        "configuration": configuration,
        "stage_one": stage_one,
        "accuracy_matrix": matrix,
        "test_images": sizes,
        "seen_accuracy": metrics.seen_accuracy(matrix, sizes),
        "average_incremental_accuracy": metrics.average_incremental_accuracy(matrix, sizes),
        "last_accuracy": metrics.last_accuracy(matrix, sizes),
        "forgetting": metrics.forgetting(matrix),
        "backward_transfer": metrics.backward_transfer(matrix),
        "widths": stages[-1]["widths"],
        "parameters": [stage["parameters"] for stage in stages],
        "flops": [stage["flops"] for stage in stages],
        "seconds": [stage["seconds"] for stage in stages],
        "history": [stage["history"] for stage in stages],
    }


def ede_net_table(results: dict) -> str:
    """results.md of stage two, or of a baseline."""
    configuration, matrix = results["configuration"], results["accuracy_matrix"]
    count = len(matrix)
    rows = [
        [
            f"{t + 1}",
            configuration["split_list"][t + 1],
            tables.percent(results["seen_accuracy"][t]),
            *[tables.percent(matrix[t][i]) if i <= t else "" for i in range(count)],
            tables.parameters(results["parameters"][t]),
            tables.flops(results["flops"][t]),
            tables.duration(results["seconds"][t]),
        ]
        for t in range(count)
    ]
    header = [
        "after task",
        "classes",
        "all seen",
        *[f"task {i + 1}" for i in range(count)],
        "parameters",
        "FLOPs",
        "time",
    ]
    summary = [
        ["average incremental accuracy (%)", tables.percent(results["average_incremental_accuracy"])],
        ["last accuracy (%)", tables.percent(results["last_accuracy"])],
        ["forgetting (points)", tables.percent(results["forgetting"])],
        ["backward transfer (points)", tables.percent(results["backward_transfer"])],
        ["parameters at the end", tables.parameters(results["parameters"][-1])],
    ]
    notes = [
        method_note(configuration),
        "Test accuracy (%) over all classes seen, and on each task's classes among them.",
        selection_note(configuration.get("selection")),
    ]
    return "\n".join(
        [
            heading(method_and_memory(configuration), configuration),
            "",
            " ".join(note for note in notes if note),
            "",
            tables.markdown_table(header, rows),
            "",
            tables.markdown_table(["measure", "value"], summary),
            "",
        ]
    )
