"""What a sequence of data sets found: `results.json` as a dict, and `results.md` as a table."""

from collections.abc import Sequence
from pathlib import Path

from datasets import catalog
from utils import checkpoint, metrics, report, tables


def classifier_results(folder: Path) -> dict:
    """Stage one's results of every data set trained so far, read from the checkpoints."""
    found = {path: checkpoint.read(path, "classifier") for path in sorted(folder.glob("model_*.pt"))}
    datasets = {
        content["task"]: {**content["results"], "configuration": content["configuration"]} for content in found.values()
    }
    return {"stage": 1, "datasets": datasets}


def network_results(folder: Path) -> dict:
    """The results of every joined network so far, read from the checkpoints.

    For each: `alone` the accuracy (%) of stage one's networks among their own classes and `selection` how their epochs
    were chosen, `joined` the accuracy in the joined network among all outputs, `mean` that over the data sets,
    `elsewhere` the share (%) of test images taken for another data set's class.
    """
    networks = []
    for path in folder.glob("model_*.pt"):
        content = checkpoint.read(path, "ede_net")
        results, names = content["results"], content["datasets"]
        joined = [metrics.percentage(c, n) for c, n in zip(results["correct"], results["total"], strict=True)]
        networks.append(
            {
                "datasets": names,
                "num_per_class": content["num_per_class"],
                "alone": [source["alone"] for source in content["submodels"]],
                "selection": [source["selection"] for source in content["submodels"]],
                "stand_ins": any(source["stand_in"] for source in content["submodels"]),
                "joined": joined,
                "mean": sum(joined) / len(joined),
                "elsewhere": [
                    metrics.percentage(c, n) for c, n in zip(results["elsewhere"], results["total"], strict=True)
                ],
                **{name: results[name] for name in ("updates", "parameters", "flops", "seconds", "history")},
                "configuration": content["configuration"],
            }
        )
    networks.sort(key=lambda each: (len(each["datasets"]), each["datasets"], each["num_per_class"]))
    return {"stage": 2, "networks": networks}


def classifier_note(results: dict) -> str:
    """What stage one's accuracies rest on."""
    found = [each["configuration"] for each in results["datasets"].values()]
    return _note([each["selection"] for each in found], any("dataset_stand_in" in each for each in found))


def network_note(results: dict) -> str:
    """What the joined networks' accuracies rest on."""
    found = results["networks"]
    return _note([kind for each in found for kind in each["selection"]], any(each["stand_ins"] for each in found))


def _note(selections: Sequence[str], stand_ins: bool) -> str:
    return f"{f'{report.STAND_INS} ' * stand_ins}{report.selection_notes(selections)}"


def classifier_table(results: dict) -> str:
    """results.md of stage one."""
    rows = [
        [
            catalog.title(name),
            tables.percent(each["test_accuracy"]),
            report.widths(each["widths"]),
            tables.parameters(each["parameters"]),
            tables.flops(each["flops"]),
            tables.duration(each["seconds"]),
        ]
        for name, each in results["datasets"].items()
    ]
    header = ["data set", "accuracy", "widths", "parameters", "FLOPs", "time"]
    return "\n".join(
        [
            "# Stage one of the sequence: test accuracy (%) of each data set alone",
            "",
            classifier_note(results),
            "",
            tables.markdown_table(header, rows),
            "",
        ]
    )


def network_table(results: dict) -> str:
    """results.md of stage two."""
    rows = []
    for each in results["networks"]:
        for index, name in enumerate(each["datasets"]):
            first = index == 0
            rows.append(
                [
                    " + ".join(map(catalog.title, each["datasets"])) if first else "",
                    each["num_per_class"] if first else "",
                    catalog.title(name),
                    tables.percent(each["alone"][index]),
                    tables.percent(each["joined"][index]),
                    tables.percent(each["elsewhere"][index]),
                    tables.percent(each["mean"]) if first else "",
                    tables.parameters(each["parameters"]) if first else "",
                    tables.duration(each["seconds"]) if first else "",
                ]
            )
    header = [
        "sequence",
        "exemplars a class",
        "data set",
        "alone",
        "joined",
        "taken for another set's",
        "mean joined",
        "parameters",
        "time",
    ]
    return "\n".join(
        [
            "# EDE-Net over data sets",
            "",
            "Test accuracy (%): `alone` by stage one's network among the set's own classes; `joined` by the EDE-Net "
            "among the classes of all its data sets, without being told which set an image is from. "
            + network_note(results),
            "",
            tables.markdown_table(header, rows, align="lrl" + "r" * 6),
            "",
        ]
    )
