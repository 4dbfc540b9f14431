"""The figures of the results folders, drawn from what their `results.json` holds."""

from collections.abc import Sequence
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING

from datasets import naming
from utils.results import curves, plotting, published, report
from utils.results.curves import Curve, Training

if TYPE_CHECKING:
    from torch import Tensor

MATRIX = "Accuracy on the test images of each {} (%), among all classes seen"
CONFUSION = {
    "within_task_accuracy": "accuracy among the {}'s own classes (%): told the {}",
    "task_confusion": "images taken for a class of another {} (%)",
}
FITTED = "Stage one: loss, and accuracy on the images that judge"
TUNED = "Stage two: loss of fine-tuning"
LAST = "The last epoch is kept."


# --- a split


def stage_one(folder: Path, results: dict) -> None:
    """Draws `training` and `compression` of stage one."""
    configuration, tasks = results["configuration"], results["tasks"]
    note = f"{report.title('Stage one', configuration)}. {report.selection_note(configuration['selection'])}"
    names = [report.classes_of(task["task"]) for task in tasks]
    panels = {}
    for name, task in zip(names, tasks, strict=True):
        row = [Training(task["history"], task["before"]["selected_epoch"])]
        for each in task["rounds"]:
            look = curves.ACCEPTED if each["accepted"] else curves.REJECTED
            row.append(Training(each["history"], each["selected_epoch"], look))
        panels[f"classes {name}"] = row
    curves.trainings(folder / "training", panels, FITTED, note)

    sides = [side for side in ("before", "after") if any(task[side] for task in tasks)]
    units = {
        "test accuracy (%)": ("test_accuracy", 1),
        "parameters (M)": ("parameters", 1e6),
        "FLOPs (M)": ("flops", 1e6),
    }
    panels = {
        label: {side: [_bar(task[side], measure, unit) for task in tasks] for side in sides}
        for label, (measure, unit) in units.items()
    }
    title = "Sub-models before and after compression, by the task's classes"
    plotting.bars(folder / "compression", names, panels, title, note)


def _bar(network: dict | None, measure: str, unit: float) -> dict:
    return {"mean": network[measure] / unit if network else nan, "deviation": None}


def stage_two(folder: Path, results: dict) -> None:
    """Draws `accuracy`, `accuracy_matrix`, `confusion` and `training` of stage two, or of a baseline.

    Nothing is drawn of trainings where there were none.
    """
    configuration, bounds = results["configuration"], results["configuration"]["split_list"]
    note = f"{report.title(report.method(configuration), configuration)}. {_protocol(configuration)}"
    marks = published.averages(configuration, results["test_images"])
    curve = Curve(bounds[1:], results["seen_accuracy"], average=results["average_incremental_accuracy"])
    seen_accuracy(folder / "accuracy", {"this run": curve}, marks, note)

    stages = [f"{t + 1}, {seen} classes" for t, seen in enumerate(bounds[1:])]
    tasks = [f"{i + 1}\n{classes}" for i, classes in enumerate(report.class_ranges(bounds))]
    axes = {"rows": ("after task", stages), "columns": ("on the test images of task, classes", tasks)}
    _matrices(folder, results["accuracy_matrix"], results, "task", axes, note)

    panels = {
        f"task {stage}": [Training(history)]
        for stage, history in zip(stages, results["history"], strict=True)
        if history
    }
    if panels:
        title = "Loss of training" if "baseline" in configuration else TUNED
        curves.trainings(folder / "training", panels, title, f"{note} {LAST}")


def seen_accuracy(path: Path, found: dict[str, Curve], marks: dict[str, float], note: str, pdf: bool = False) -> None:
    """Draws the figure of the field: accuracy on all classes seen after each task.

    Args:
        path: of the figure, without its ending.
        found: runs, or means over some, by name.
        marks: published averages to stand beside them.
    """
    title = "Accuracy on all classes seen, after each task"
    caption = f"{note} Unlabelled images too with mixmatch=True. {published.PROTOCOL}" if marks else note
    curves.accuracy(path, {"": found}, title, "classes seen", caption, marks, pdf)


def _matrices(folder: Path, accuracy: Sequence, confusion: dict[str, Sequence], of: str, axes: dict, note: str) -> None:
    """Draws `accuracy_matrix`, and `confusion` with its two measures; `of`: what a column is, "task" or "data set"."""
    plotting.heat_maps(folder / "accuracy_matrix", {"": accuracy}, title=MATRIX.format(of), caption=note, **axes)
    panels = {title.replace("{}", of): confusion[name] for name, title in CONFUSION.items()}
    title = f"Errors within a {of} and between them"
    plotting.heat_maps(folder / "confusion", panels, title=title, caption=note, **axes)


def _protocol(configuration: dict) -> str:
    """What sets a run of stage two, or of a baseline, apart from others when figures are compared."""
    order = configuration["class_order"]
    orders = {"NoneType": "the data set's class order", "int": f"class order of seed {order}"}
    exemplars = f"{configuration.get('rehearsal_size', 'no')} exemplars in all"
    taught = "unlabelled images of another data set by MixMatch" if configuration["mixmatch"] else "none unlabelled"
    order = orders.get(type(order).__name__, "a class order given as a list")
    return f"This run: {exemplars}, {taught}, {order}. {report.stage_two_note(configuration)}"


# --- exemplars


def exemplars(path: Path, kept: object, class_names: Sequence[str], title: str) -> None:
    """Draws the first exemplars of every class, a class a line; nothing where none are kept.

    Args:
        path: of the figure, without its ending.
        kept: exemplars in the order in which they are kept: ``images`` uint8 [N, 3, H, W] and ``labels`` int64 [N] in
            0..len(class_names)-1.
        title: of the run, for the caption.
    """
    counts = [int((kept.labels == label).sum()) for label in range(len(class_names))]
    if not any(counts):  # a memory that has less than one image a class after the last task
        return
    blocks = 1 if len(counts) <= 20 else 2 if len(counts) <= 50 else 3  # side by side
    lines = -(-len(counts) // blocks)
    across = min(max(counts), 20 // blocks)
    note = f"{title}. {sum(counts)} exemplars in all, at most {max(counts)} of a class; shown: at most {across}."
    with plotting.picture(path, 0.75 + 0.2 * max(lines, 4), "Exemplars kept", note) as figure:
        for block, axes in enumerate(figure.subplots(1, blocks, squeeze=False)[0]):
            labels = range(block * lines, min((block + 1) * lines, len(counts)))
            sheet = _sheet(kept, labels, lines, across).permute(1, 2, 0)
            axes.imshow(sheet.numpy(), interpolation="nearest")
            middles = [(line + 0.5) * len(sheet) / lines for line in range(len(labels))]
            axes.set_yticks(middles, [class_names[label] for label in labels])
            axes.set_xticks([])
            axes.tick_params(length=0, labelsize=6.5)
            axes.spines[:].set_visible(False)


def _sheet(kept: object, labels: Sequence[int], lines: int, across: int) -> "Tensor":
    """uint8 [3, H, W]: a line a class, white where it has fewer exemplars."""
    import torch
    from torchvision.utils import make_grid

    cells = torch.full((lines, across, *kept.images.shape[1:]), 255, dtype=torch.uint8)
    for line, label in zip(cells, labels, strict=False):
        chosen = kept.images[kept.labels == label][:across]
        line[: len(chosen)] = chosen
    return make_grid(cells.flatten(0, 1), nrow=across, padding=1, pad_value=255)


# --- a sequence of data sets


def sequence_one(folder: Path, results: dict) -> None:
    """Draws `training` of the sequence's stage one: a panel for every data set trained so far."""
    found = results["datasets"]
    panels = {naming.title(name): [Training(each["history"], each["selected_epoch"])] for name, each in found.items()}
    note = f"Each data set alone, supervised. {report.sequence_note(found.values())}"
    curves.trainings(folder / "training", panels, FITTED, note)


def sequence_two(folder: Path, results: dict) -> None:
    """Draws `accuracy`, `accuracy_matrix`, `confusion` and `training` of every joined network so far."""
    networks, note = results["networks"], report.sequence_note(results["networks"])
    _few_exemplars(folder / "accuracy", networks, note)

    names = list(dict.fromkeys(name for each in reversed(networks) for name in each["datasets"]))
    rows = {measure: [] for measure in ("joined", *CONFUSION)}
    for each in networks:
        for measure, cells in rows.items():
            values = dict(zip(each["datasets"], each[measure], strict=True))
            cells.append([values.get(name) for name in names])
    labels = [f"{report.sequence_title(each['datasets'])}\n{each['num_per_class']} a class" for each in networks]
    axes = {"rows": ("", labels), "columns": ("on the test images of", [naming.title(name) for name in names])}
    _matrices(folder, rows["joined"], rows, "data set", axes, note)

    panels = {label: [Training(each["history"])] for label, each in zip(labels, networks, strict=True)}
    curves.trainings(folder / "training", panels, TUNED, f"{note} {LAST}")


def _few_exemplars(path: Path, networks: Sequence[dict], note: str) -> None:
    """Accuracy of every data set in the joined network over exemplars a class, a panel for each sequence."""
    panels: dict[str, dict[str, Curve]] = {}
    for title in dict.fromkeys(report.sequence_title(each["datasets"]) for each in networks):
        found = [each for each in networks if report.sequence_title(each["datasets"]) == title]
        x = [str(each["num_per_class"]) for each in found]
        panels[title] = {
            naming.title(name): Curve(x, [each["joined"][index] for each in found], level=found[0]["alone"][index])
            for index, name in enumerate(found[0]["datasets"])
        }
        panels[title]["mean"] = Curve(x, [each["mean"] for each in found])
    caption = (
        "Thin lines: by stage one's network alone, among the set's own classes. In the joined network an image is told "
        f"apart among the classes of all sets, without being told its set. {note}"
    )
    curves.accuracy(path, panels, "Accuracy in the joined network", "exemplars a class", caption)
