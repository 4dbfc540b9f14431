"""The figures of the results folders, drawn from what their `results.json` holds."""

from collections.abc import Sequence
from pathlib import Path

from torch.nn.utils.rnn import pad_sequence
from torchvision.utils import make_grid

from utils.method.stage_two import Stages
from utils.results import plotting, report

COMPRESSED = {
    "test accuracy (%)": ("test_accuracy", 1),
    "parameters (M)": ("parameters", 1e6),
    "FLOPs (G)": ("flops", 1e9),
}
CONFUSION = {
    "within_task_accuracy": "accuracy when told the task (%)",
    "task_confusion": "images taken for a class of another task (%)",
}
LARGEST_SHEET = 25  # exemplars of a class


def stage_one(folder: Path, results: dict) -> None:
    """Draws `training` and `compression` of stage one."""
    note = report.caption(results)
    tasks = {report.task_label(task["task"]): task for run in report.runs(results) for task in run["tasks"]}
    panels, networks = {}, {}
    for name, task in tasks.items():
        rounds = task["after"]["rounds"] if task["after"] else []
        panels[name] = [each["history"] for each in (task["before"], *rounds)]
        networks |= {f"{name}, {side}": task[side] for side in ("before", "after") if task[side]}
    title = "Stage one: loss, and accuracy on the images that judge"
    caption = f"One line after the other: the temporary network, and the compressions of it. {note}"
    plotting.trainings(folder / "training", panels, title, caption)

    panels = {
        label: [{"mean": network[measure] / unit, "deviation": None} for network in networks.values()]
        for label, (measure, unit) in COMPRESSED.items()
    }
    title = "Sub-models before and after compression, by the task's classes"
    plotting.bars(folder / "compression", [*networks], panels, title, note)


def stage_two(folder: Path, results: dict) -> None:
    """Draws `accuracy`, `accuracy_matrix`, `confusion` and `training` of stage two, or of a baseline.

    Nothing is drawn of trainings where there were none.
    """
    note, found = report.caption(results), {report.name(run): run for run in report.runs(results)}
    tasks = [report.task_labels(run["configuration"]) for run in found.values()]
    curves = {label: report.group([run]) for label, run in found.items()}
    plotting.seen_accuracy(folder / "accuracy", curves, note)
    matrices = {label: run["accuracy_matrix"] for label, run in found.items()}
    title = "Accuracy on the test images of each task (%), among all classes seen"
    plotting.heat_maps(folder / "accuracy_matrix", matrices, tasks, title, note)
    errors = {
        f"{label}: {meaning}": run[measure] for measure, meaning in CONFUSION.items() for label, run in found.items()
    }
    plotting.heat_maps(folder / "confusion", errors, tasks * 2, "Errors within a task and between them", note)
    panels = {label: [history for history in run["history"] if history] for label, run in found.items()}
    if any(panels.values()):
        title = "Loss of the trainings, one line a task; the last epoch is kept"
        plotting.trainings(folder / "training", panels, title, note)


def exemplars_kept(stages: Stages, path: Path, title: str) -> None:
    """Draws `exemplars` of the network after the last task, unless that is older than the figure."""
    if not stages.run.dry and (stages.current.model or not path.with_suffix(".png").exists()):
        names = stages.load(stages.current).meta["class_names"]
        exemplars(path, stages.memory.images(), names, title)


def exemplars(path: Path, kept: object, class_names: Sequence[str], title: str) -> None:
    """Draws the first exemplars of every class, a class a line; nothing where none are kept.

    Args:
        path: of the figure, without its ending.
        kept: exemplars in the order in which they are kept: ``images`` uint8 [N, 3, H, W] and ``labels`` int64 [N] in
            0..len(class_names)-1.
        title: of the run, for the caption.
    """
    shown = [kept.images[kept.labels == label][:LARGEST_SHEET] for label in range(len(class_names))]
    across = max(map(len, shown))
    if across == 0:  # a memory that has less than one image a class after the last task
        return
    cells = pad_sequence(shown, batch_first=True, padding_value=255)
    sheet = make_grid(cells.flatten(0, 1), nrow=across, padding=1, pad_value=255).permute(1, 2, 0)
    height = 0.75 + min(0.2 * max(len(shown), 4), 12)
    caption = f"{title}. {len(kept.labels)} exemplars in all; shown: at most {across} of a class."
    with plotting.picture(path, height, "Exemplars kept", caption) as figure:
        axes = figure.subplots()
        axes.imshow(sheet.numpy(), interpolation="nearest")
        axes.set_yticks([(line + 0.5) * len(sheet) / len(shown) for line in range(len(shown))], class_names)
        axes.set_xticks([])
        axes.tick_params(length=0, labelsize=6.5)
        axes.spines[:].set_visible(False)
