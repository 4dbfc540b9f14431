"""What a run found: `results.json` as a dict, and `results.md` as Markdown tables.

All of it is made from the JSON files beside the weights: `results` is what such a file holds under that name, and
`configuration` the options that decided it. Accuracies are test accuracies in percent. The folders of the sequence of
data sets are shared by several runs: their results are "stage" and "runs", each in the form of a split's.
"""

import reprlib
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise
from statistics import fmean, stdev

from utils.results import metrics, tables
from utils.running.options import BASELINES

# What is told of a network or a run, and the titles of the columns that tell it.
COMPRESSED = {"test_accuracy": "accuracy", "widths": "widths", "parameters": "parameters", "flops": "FLOPs"}
COSTS = {"parameters": "parameters", "flops": "FLOPs", "seconds": "time"}
MEASURES = {
    "average_incremental_accuracy": "average incremental",
    "last_accuracy": "last",
    "last_within_task_accuracy": "told the task",
    "last_task_confusion": "taken for another's",
    "forgetting": "forgetting",
    "backward_transfer": "backward transfer",
    "parameters": "parameters",
}
# How epochs and compression were judged, by `selection`; None: neither was.
NOTES = {
    None: "Baselines that are trained have nothing held out and keep the last epoch of every task.",
    "validation": "Epochs kept and compression accepted were judged on held-out training images, not on the test set.",
    "test": 'SELECTED ON THE TEST SET (selection="test"): the epochs kept and the compression accepted were chosen on '
    "the very images that the accuracies are of, which flatters them.",
}


# --- a run in words


def runs(results: dict) -> list[dict]:
    """The runs in a results.json: its content, or those of a sequence's folder."""
    return results.get("runs", [results])


def method(configuration: dict) -> str:
    """Name of what was trained in stage two: "EDE-Net", or "Baseline: replay"."""
    return f"Baseline: {configuration['baseline']}" if "baseline" in configuration else "EDE-Net"


def name(run: dict) -> str:
    """A run in few words, such as "EDE-Net, cifar100, rehearsal_size=2000"."""
    configuration = run["configuration"]
    drawn = "drawn stand-ins for " if "dataset_stand_in" in configuration else ""
    learned = drawn + (configuration.get("dataset") or " → ".join(configuration["data_list"]))
    what = "Stage one" if run.get("stage") == 1 else method(configuration)
    return ", ".join([what, learned, *_options(configuration, "rehearsal_size", "num_per_class")])


def title(results: dict) -> str:
    """The run in one line, or all runs of a results.json of several."""
    told = ("split_type", "mixmatch", "prune", "class_order", "selection", "recipe", "seed")
    return "; ".join(", ".join([name(run), *_options(run["configuration"], *told)]) for run in runs(results))


def _options(configuration: dict, *names: str) -> list[str]:
    return [f"{each}={reprlib.repr(configuration[each])}" for each in names if each in configuration]


def notes(configurations: Iterable[dict]) -> str:
    """What the baselines are, and how epochs and compression were judged, for all that rests on it: each once."""
    found = {}
    for each in configurations:
        if "baseline" in each:
            found[f"{method(each)}: {BASELINES[each['baseline']]}."] = None
        found[NOTES[each.get("selection")]] = None
        if each.get("dataset_stand_in"):
            found["The images are drawn stand-ins."] = None
    return " ".join(found)


def caption(results: dict) -> str:
    """What stands under every figure of a results.json."""
    return f"{title(results)}. {notes(run['configuration'] for run in runs(results))}"


def task_label(task: str) -> str:
    """A task by its name in files: its first and last class, "0–9" for "0to10"; a data set by its name."""
    first, _, end = task.partition("to")
    return f"{first}–{int(end) - 1}" if first.isdigit() and end.isdigit() else task


def task_labels(configuration: dict) -> list[str]:
    """The same for all tasks of stage two."""
    bounds = configuration["split_list"]
    return configuration.get("data_list") or [f"{first}–{end - 1}" for first, end in pairwise(bounds)]


def table(results: dict) -> str:
    """Content of results.md, from results.json."""
    if results["stage"] == 1:
        return _stage_one_page(results)
    return "\n".join(map(_stage_two_page, runs(results)))


# --- stage one


def stage_one(configuration: dict, tasks: Sequence[dict]) -> dict:
    """Content of stage one's results.json.

    Args:
        tasks: for each task "task" ("0to10"), "classes" (names), "before": the results of the temporary network, and
            "after": those of its compression with all its "rounds", or None.
    """
    return {"stage": 1, "configuration": configuration, "tasks": tasks}


def sequence_one(networks: Iterable[dict]) -> dict:
    """Content of the results.json of the sequence's stage one, from the JSON files of its networks: a run for each."""
    found = []
    for each in networks:
        name, classes = each["configuration"]["dataset"], each["made_from"]["classes"]
        task = {"task": name, "classes": classes, "before": each["results"], "after": None}
        found.append(stage_one(each["configuration"], [task]))
    return {"stage": 1, "runs": found}


def _stage_one_page(results: dict) -> str:
    rows, total = [], 0
    for task in [task for run in runs(results) for task in run["tasks"]]:
        before, after = task["before"], task["after"] or {**dict.fromkeys(COMPRESSED), "rounds": []}
        pairs = [cell for name in COMPRESSED for each in (before, after) for cell in tables.cells(each, name)]
        accepted = sum(each["accepted"] for each in after["rounds"])
        seconds = before["seconds"] + sum(each["seconds"] for each in after["rounds"])
        ends = [f"{accepted} of {len(after['rounds'])}", tables.duration(seconds)]
        rows.append([task_label(task["task"]), *pairs, *ends])
        total += after["parameters"] or before["parameters"]
    header = [cell for name in COMPRESSED.values() for cell in (name, "compressed")]
    return tables.page(
        f"# {title(results)}",
        "Test accuracy (%) among the task's own classes, before and after compression. "
        + notes(run["configuration"] for run in runs(results)),
        tables.markdown_table(["task (classes)", *header, "accepted", "time"], rows),
        f"Parameters of all sub-models handed to stage two: {tables.parameters(total)}",
    )


# --- stage two


def stage_two(configuration: dict, stages: Sequence[dict], stage_one: dict | None) -> dict:
    """Content of the results.json of stage two, or of a baseline.

    Args:
        stages: the results of the stage after each task.
        stage_one: the configuration of stage one, which made the sub-models; None for a baseline without any.

    Returns: the protocol's measures, see `metrics`, and with an entry [t][i] for task i's test images after task t, in
        percent, "accuracy_matrix"; "within_task_accuracy", among the task's own outputs, as if told the task;
        "task_confusion", the share taken for another task's class.
    """
    counts = {name: [stage[name] for stage in stages] for name in ("correct", "within", "elsewhere")}
    sizes = stages[-1]["total"]
    matrix, within, confusion = ([metrics.percentages(row, sizes) for row in rows] for rows in counts.values())
    seen, seen_within, seen_confusion = (metrics.seen_accuracy(rows, sizes) for rows in counts.values())
    return {
        "stage": 2,
        "configuration": configuration,
        "stage_one": stage_one,
        "accuracy_matrix": matrix,
        "within_task_accuracy": within,
        "task_confusion": confusion,
        "test_images": sizes,
        "seen_accuracy": seen,
        "average_incremental_accuracy": metrics.average_incremental_accuracy(seen),
        "last_accuracy": seen[-1],
        "last_within_task_accuracy": seen_within[-1],
        "last_task_confusion": seen_confusion[-1],
        "forgetting": metrics.forgetting(matrix),
        "backward_transfer": metrics.backward_transfer(matrix),
        "widths": stages[-1]["widths"],
        **{name: [stage[name] for stage in stages] for name in (*COSTS, "history")},
    }


def sequence_two(networks: Iterable[dict]) -> dict:
    """Content of the results.json of the sequence's stage two, from the JSON files of its networks.

    The networks of a sequence and of the shorter ones that it goes on from, with as many exemplars, are the stages of a
    run, whose results have besides: "updates" of every stage; "alone", the accuracy of stage one's network of each data
    set among its own classes; "mean", that of the data sets' accuracies in the end.
    """
    found, content = {}, []
    for each in sorted(networks, key=lambda each: len(each["configuration"]["data_list"])):
        names, count = tuple(each["configuration"]["data_list"]), each["configuration"]["num_per_class"]
        before = found.get((names[:-1], count), {"fingerprint": None})
        if each["made_from"]["stage before"] == before["fingerprint"]:  # else the shorter sequence was made anew since
            found[names, count] = each
    for names, count in sorted(found, key=lambda key: (len(key[0]), *key)):
        stages = [found[names[: length + 1], count] for length in range(len(names))]
        goes_on = any(longer[: len(names)] == names != longer for longer, other in found if other == count)
        if goes_on or len(stages) == 1:
            continue
        last = stages[-1]
        bounds = [0, *accumulate(len(each["made_from"]["classes"]) for each in stages)]
        results = stage_two({**last["configuration"], "split_list": bounds}, [each["results"] for each in stages], None)
        updates = [each["results"]["updates"] for each in stages]
        mean = fmean(results["accuracy_matrix"][-1])
        content.append({**results, "updates": updates, "alone": last["results"]["alone"], "mean": mean})
    return {"stage": 2, "runs": content}


def _stage_two_page(results: dict) -> str:
    configuration, count = results["configuration"], len(results["accuracy_matrix"])
    rows = []
    for t, row in enumerate(results["accuracy_matrix"]):
        accuracies = [*map(tables.written, [results["seen_accuracy"][t], *row]), *[""] * (count - len(row))]
        costs = tables.cells({name: results[name][t] for name in COSTS}, *COSTS)
        rows.append([t + 1, configuration["split_list"][t + 1], *accuracies, *costs])
    for name in ("within_task_accuracy", "task_confusion"):
        values = [results[f"last_{name}"], *results[name][-1]]
        rows.append([MEASURES[f"last_{name}"], "", *map(tables.written, values), *[""] * len(COSTS)])
    if "alone" in results:
        rows.append(["stage one alone", "", "", *map(tables.written, results["alone"]), *[""] * len(COSTS)])
    header = ["after task", "classes", "all seen", *[f"task {i + 1}" for i in range(count)], *COSTS.values()]
    measures = {**MEASURES, "mean": "mean of the tasks"} if "mean" in results else MEASURES
    ends = tables.cells({**results, "parameters": results["parameters"][-1]}, *measures)
    return tables.page(
        f"# {title(results)}",
        "Test accuracy (%) over all classes seen, and on each task's classes among them. Last lines, after the last "
        "task: accuracy among the task's own classes; and the share of images taken for a class of another task. "
        + notes([configuration]),
        tables.markdown_table(header, rows),
        tables.markdown_table(["measure", "value"], zip(measures.values(), ends, strict=True)),
    )


# --- runs that differ by the seed only


def group(results: Sequence[dict]) -> dict:
    """Mean and deviation over runs that differ by the seed.

    Returns: "configuration", what their options have in common; "seeds"; "test_images"; and as dicts of "mean" and
        "deviation" (None for one run) "seen_accuracy" after each task, and `MEASURES` at the end.
    """
    ends = [{**each, "parameters": each["parameters"][-1]} for each in results]
    return {
        "configuration": {name: value for name, value in results[0]["configuration"].items() if name != "seed"},
        "seeds": [each["configuration"]["seed"] for each in results],
        "test_images": results[0]["test_images"],
        "seen_accuracy": [_spread(row) for row in zip(*[each["seen_accuracy"] for each in results], strict=True)],
        **{name: _spread([each[name] for each in ends]) for name in MEASURES},
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    """Mean and sample standard deviation; nothing of a measure that one task alone does not have."""
    if None in values:
        return {"mean": None, "deviation": None}
    return {"mean": fmean(values), "deviation": stdev(values) if len(values) > 1 else None}
