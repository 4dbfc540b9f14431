"""The figures of the folders of both stages over one data set's tasks, drawn from their results."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import torch

from datasets.stream import Images, TaskStream
from utils import accuracy_curves, checkpoint, plotting, published, report, tables, training_curves
from utils.accuracy_curves import Curve
from utils.plotting import BLUE, LIGHT
from utils.stage_two import stage_file
from utils.training_curves import Training


def classifiers(folder: Path, results: dict) -> None:
    """Stage one: `training` and `compression`."""
    note = f"{_title(results)}. {report.selection_note(results['configuration']['selection'])}"
    panels = {
        f"classes {_classes(task)}": [
            Training(task["history"], chosen=task["before"]["selected_epoch"]),
            *[Training(each["history"], each["accepted"], each["selected_epoch"]) for each in task["rounds"]],
        ]
        for task in results["tasks"]
    }
    training_curves.draw(folder / "training", panels, "Stage one: loss, and accuracy on the images that judge", note)
    compression(folder / "compression", results, note)


def ede_net(folder: Path, results: dict, stream: TaskStream) -> None:
    """Stage two, or a baseline: `accuracy`, `accuracy_matrix`, `training` and `exemplars`.

    Args:
        stream: where the images of the exemplars in the last stage's file come from.
    """
    configuration, title = results["configuration"], _title(results)
    bounds = configuration["split_list"]
    curve = Curve("this run", bounds[1:], results["seen_accuracy"], results["average_incremental_accuracy"])
    marks = published.averages(configuration, results["test_images"])
    note = f"{title}. {protocol(configuration)} {published.PROTOCOL if marks else ''}"
    accuracy_curves.draw(folder / "accuracy", [curve], marks, "Accuracy on all classes seen, after each task", note)
    accuracy_matrix(folder / "accuracy_matrix", results, f"{title}. {protocol(configuration)}")
    panels = {
        f"task {index + 1}, {bounds[index + 1]} classes": [Training(history)]
        for index, history in enumerate(results["history"])
        if history
    }
    if panels:
        stage = "" if "baseline" in configuration else " in stage two"
        note = f"{title}. {protocol(configuration)} Nothing is held out{stage}: the last epoch is kept."
        heading = "Stage two: loss of fine-tuning" if stage else "Loss of training"
        training_curves.draw(folder / "training", panels, heading, note)
    last = stream.tasks[-1]
    lists = checkpoint.read(stage_file(folder, last.index), "ede_net")["exemplars"]
    stream.begin(last)
    exemplars = stream.exemplars(lists, configuration.get("rehearsal_size", 0))
    exemplar_sheet(folder / "exemplars", exemplars, stream.class_names, title)


def _title(results: dict) -> str:
    """The run in words, as in results.md, without that line's "#"."""
    configuration = results["configuration"]
    return report.heading("Stage one" if results["stage"] == 1 else report.method(configuration), configuration)[2:]


def protocol(configuration: dict) -> str:
    """What sets a run of stage two, or of a baseline, apart from others when figures are compared."""
    order = configuration["class_order"]
    orders = {"NoneType": "the data set's class order", "int": f"class order of seed {order}"}
    unlabelled = "unlabelled images of another data set by MixMatch" if configuration["mixmatch"] else "none unlabelled"
    chosen = " Stage one was SELECTED ON THE TEST SET." if configuration.get("selection") == "test" else ""
    order = orders.get(type(order).__name__, "a class order given as a list")
    exemplars = f"{configuration.get('rehearsal_size', 'no')} exemplars in all"
    words = f"This run: {exemplars}, {unlabelled}, {order}.{chosen}"
    return " ".join(filter(None, [report.method_note(configuration), words]))


def accuracy_matrix(path: Path, results: dict, caption: str) -> None:
    """A[t][i]: accuracy on task i's test images after task t, over all outputs seen so far."""
    bounds, matrix = results["configuration"]["split_list"], results["accuracy_matrix"]
    columns = [f"{i + 1}\n{a}–{b - 1}" for i, (a, b) in enumerate(pairwise(bounds))]
    rows = [f"{t + 1}: {bounds[t + 1]} classes" for t in range(len(matrix))]
    height = 1.6 + 0.26 * min(max(len(matrix), 3), 25)
    with plotting.picture(path, height, "Accuracy on each task's classes (%), among all seen", caption) as figure:
        axes = figure.subplots()
        plotting.heat_map(axes, matrix, rows, columns)
        axes.set_xlabel("on the test images of task, classes")
        axes.set_ylabel("after task")


def compression(path: Path, results: dict, caption: str) -> None:
    """Test accuracy, parameters and FLOPs of every sub-model before and after compression, as bars."""
    tasks = results["tasks"]
    measures = {
        "test_accuracy": ("test accuracy (%)", 1, lambda a, b: f"{b - a:+.1f}".replace("-", "−")),
        "parameters": ("parameters (M)", 1e6, _percent_less),
        "flops": ("FLOPs (M)", 1e6, _percent_less),
    }
    title = "Sub-models before and after compression"
    with plotting.picture(path, 5.0, title, f"{caption} {_sums(tasks)}", legend=1) as figure:
        rows = figure.subplots(len(measures), 1, sharex=True)
        for axes, (name, (label, unit, change)) in zip(rows, measures.items(), strict=True):
            for x, task in enumerate(tasks):
                before, after = task["before"][name], task["after"] and task["after"][name]
                first = x == 0
                left = x - 0.2 if after is not None else x
                axes.bar(left, before / unit, 0.38, color=LIGHT, edgecolor="black", linewidth=0.5, hatch="////",
                         label="before" if first else None)  # fmt: skip
                if after is not None:
                    axes.bar(x + 0.2, after / unit, 0.38, color=BLUE, edgecolor="black", linewidth=0.5,
                             label="after" if first else None)  # fmt: skip
                    axes.annotate(change(before, after), (x, max(before, after) / unit), (0, 2), ha="center",
                                  textcoords="offset points", fontsize=6.5)  # fmt: skip
            axes.set_ylabel(label)
            axes.grid(True, axis="y")
            axes.margins(y=0.12)
        rows[-1].set_xticks(range(len(tasks)), [_classes(task) for task in tasks])
        rows[-1].set_xlabel("classes of the task")
        plotting.legend_under_title(figure, rows[0].get_legend_handles_labels()[0], columns=2)


def _classes(task: dict) -> str:
    """The task's first and last class: "0–9" for "0to10"."""
    first, end = map(int, task["task"].split("to"))
    return f"{first}–{end - 1}"


def _percent_less(before: float, after: float) -> str:
    return f"{100 * (after - before) / before:+.0f} %".replace("-", "−") if after != before else "±0"


def _sums(tasks: Sequence[dict]) -> str:
    before = [task["before"] for task in tasks]
    after = [task["after"] or task["before"] for task in tasks]
    texts = [
        f"{tables.parameters(sum(each['parameters'] for each in part))} parameters, "
        f"{tables.flops(sum(each['flops'] for each in part))} FLOPs"
        for part in (before, after)
    ]
    return f"All sub-models together: {texts[0]} before, {texts[1]} after."


def exemplar_sheet(path: Path, exemplars: Images, class_names: Sequence[str], caption: str) -> None:
    """The first exemplars of every class, a class a line; nothing where none are kept.

    Args:
        exemplars: uint8 [N, 3, H, W] with labels 0..len(class_names)-1, in the order in which they are kept.
    """
    if len(exemplars) == 0:  # a memory that has less than one image a class after the last task
        return
    counts = torch.bincount(exemplars.labels.cpu(), minlength=len(class_names)).tolist()
    blocks = 1 if len(class_names) <= 20 else 2 if len(class_names) <= 50 else 3
    lines = -(-len(class_names) // blocks)
    across = min(max(counts), {1: 20, 2: 9, 3: 6}[blocks])
    names = 0.06 * max(map(len, class_names)) + 0.15  # inches, about
    cell = min(0.27, max(0.1, (plotting.WIDTH / blocks - names) / across))
    shown = "all" if across >= max(counts) else f"the first {across}"
    each = f"{counts[0]}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    note = f"{caption}. {each} exemplars of every class, {sum(counts)} in all; shown: {shown} of each class."
    with plotting.picture(path, 0.75 + cell * max(lines, 4), "Exemplars kept", note) as figure:
        for block, axes in enumerate(figure.subplots(1, blocks, squeeze=False)[0]):
            labels = range(block * lines, min((block + 1) * lines, len(class_names)))
            sheet, size = _montage(exemplars, labels, lines, across)
            axes.imshow(sheet, interpolation="nearest")
            axes.set_yticks([(row + 0.5) * size for row in range(len(labels))], [class_names[k] for k in labels])
            axes.set_xticks([])
            axes.tick_params(length=0, labelsize=6.5)
            axes.spines[:].set_visible(False)


def _montage(exemplars: Images, labels: Sequence[int], lines: int, across: int) -> tuple:
    """uint8 [H, W, 3]: a line a class, white where it has fewer exemplars; and the height of a line in pixels."""
    height, width = exemplars.images.shape[2] + 2, exemplars.images.shape[3] + 2
    sheet = torch.full((lines * height, across * width, 3), 255, dtype=torch.uint8)
    for row, label in enumerate(labels):
        chosen = exemplars.images[exemplars.labels == label][:across].cpu().permute(0, 2, 3, 1)
        for column, image in enumerate(chosen):
            top, left = row * height + 1, column * width + 1
            sheet[top : top + height - 2, left : left + width - 2] = image
    return sheet.numpy(), height
