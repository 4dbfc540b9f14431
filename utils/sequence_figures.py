"""The figures of the folders of a sequence of data sets."""

from collections.abc import Sequence
from pathlib import Path

import torch

from datasets import catalog
from datasets.stream import Images
from utils import checkpoint, figures, plotting, sequence_report, training_curves
from utils.training_curves import Training

ALONE = (
    "Dashed: by stage one's network alone, among the set's own classes. In the joined network an image is told apart "
    "among the classes of all sets, without being told its set."
)


def classifiers(folder: Path, results: dict) -> None:
    """Stage one: `training`, a panel for every data set trained so far."""
    panels = {
        catalog.title(name): [Training(each["history"], chosen=each["selected_epoch"])]
        for name, each in results["datasets"].items()
    }
    title = "Stage one: loss, and accuracy on the images that judge"
    note = f"Each data set alone, supervised. {sequence_report.classifier_note(results)}"
    training_curves.draw(folder / "training", panels, title, note)


def stage_two(folder: Path, results: dict, stem: str, data_root: str) -> None:
    """All pictures of stage two's folder, the exemplars those of the network whose files end in `stem`."""
    networks(folder, results)
    exemplars(folder, stem, data_root)


def networks(folder: Path, results: dict) -> None:
    """Stage two: `accuracy`, `accuracy_matrix` and `training`, of every joined network so far."""
    found = results["networks"]
    sequences: dict[tuple[str, ...], list[dict]] = {}
    for each in found:
        sequences.setdefault(tuple(each["datasets"]), []).append(each)
    based = sequence_report.network_note(results)
    accuracy(folder / "accuracy", sequences, f"{ALONE} {based}")
    names = list(dict.fromkeys(name for each in reversed(found) for name in each["datasets"]))
    rows = [[dict(zip(each["datasets"], each["joined"], strict=True)).get(name) for name in names] for each in found]
    labels = [f"{_title(each['datasets'])}, {each['num_per_class']} a class" for each in found]
    title = "Accuracy on each data set (%), among the classes of all"
    with plotting.picture(folder / "accuracy_matrix", 1.2 + 0.26 * max(3, len(rows)), title, based) as figure:
        plotting.heat_map(figure.subplots(), rows, labels, [catalog.title(name) for name in names])
    panels = {
        f"{' + '.join(map(catalog.title, each['datasets']))}\n{each['num_per_class']} a class": [
            Training(each["history"])
        ]
        for each in found
    }
    note = f"Nothing is held out in stage two: the last epoch is kept. {based}"
    training_curves.draw(folder / "training", panels, "Stage two: loss of fine-tuning", note)


def accuracy(path: Path, sequences: dict[tuple[str, ...], Sequence[dict]], note: str) -> None:
    """Accuracy of every data set in the joined network over exemplars a class, a panel for each sequence."""
    counts = sorted({each["num_per_class"] for row in sequences.values() for each in row})
    columns = min(2, len(sequences))
    lines = -(-len(sequences) // columns)
    names = list(dict.fromkeys(name for row in reversed(sequences) for name in row))
    with plotting.picture(path, 0.9 + 2.4 * lines, "Accuracy in the joined network", note, legend=1) as figure:
        grid = figure.subplots(lines, columns, squeeze=False, sharey=True)
        handles = {}
        for axes, (joined, row) in zip(grid.flat, sequences.items(), strict=False):
            places = [counts.index(each["num_per_class"]) for each in row]
            for index, name in enumerate(joined):
                style = {**plotting.line_style(names.index(name)), "linestyle": "-"}
                values = [each["joined"][index] for each in row]
                [handles[catalog.title(name)]] = axes.plot(places, values, label=catalog.title(name), **style)
                if row[0]["alone"][index] is not None:
                    axes.axhline(row[0]["alone"][index], color=style["color"], linestyle="--", linewidth=0.8)
            mean = [each["mean"] for each in row]
            [handles["mean"]] = axes.plot(places, mean, color="black", marker="x", linestyle=":", label="mean")
            axes.set_title(_title(joined))
            axes.set_xticks(range(len(counts)), counts)
            axes.set_xlabel("exemplars a class")
            axes.grid(True, axis="y")
        for axes in grid.flat[len(sequences) :]:
            axes.set_visible(False)
        for axes in grid[:, 0]:
            axes.set_ylabel("test accuracy (%)")
        handles["mean"] = handles.pop("mean")  # the last one
        plotting.legend_under_title(figure, list(handles.values()), columns=6)


def exemplars(folder: Path, stem: str, data_root: str) -> None:
    """`exemplars_<stem>`: the sheet of those that the network `model_<stem>.pt` was fine-tuned on."""
    content = checkpoint.read(folder / f"model_{stem}.pt", "ede_net")
    images, labels, indices, names, offset = [], [], [], [], 0
    for name, rows in zip(content["datasets"], content["exemplars"], strict=True):
        train = catalog.load(name, data_root, "train")
        images.append(train.images[rows])
        labels.append(train.labels[rows] + offset)
        names += [f"{catalog.title(name)} {each}" for each in train.class_names]
        offset += len(train.class_names)
        indices.append(torch.tensor(rows))
    kept = Images(torch.cat(images), torch.cat(labels), torch.cat(indices))
    figures.exemplar_sheet(folder / f"exemplars_{stem}", kept, names, _title(content["datasets"]))


def _title(names: Sequence[str]) -> str:
    return " + ".join(map(catalog.title, names))
