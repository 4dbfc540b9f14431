"""What a saved EDE-Net takes an image file for."""

from itertools import pairwise
from os import PathLike
from pathlib import Path

import torch

from datasets import augment, catalog, image_file
from models.ede_net import EDENet
from utils import checkpoint, tables
from utils import device as devices
from utils.errors import UserError


def predict(image, checkpoint, top=5, device="auto"):
    """Prints the likeliest classes of an image file, with their probability and the task or data set each is of.

    Args:
        image: a file of any size and mode that PIL reads; see `datasets.image_file.read` for how it is made
            as small and square as the images that the network was trained on.
        checkpoint: a whole EDE-Net: a `stage_<t>.pt`, or a `model_<data>_<data>_…_<num_per_class>.pt`.
        top: how many classes, or all where there are fewer.
        device: as in all options.

    Returns: a list of dicts, likeliest first: "class" (its name), "probability" (0..1, over all classes of the
        network), "output" (its number in the network), "of" (its task or data set).

    Raises: `utils.errors.UserError` for what the caller can mend.
    """
    for name, value in (("image", image), ("checkpoint", checkpoint)):
        if not isinstance(value, (str, PathLike)):
            raise UserError(f"{name}={value!r} is not accepted: expected the path of a file")
    if not isinstance(top, int) or isinstance(top, bool) or top < 1:
        raise UserError(f"top={top!r} is not accepted: expected a whole number from 1 up")
    net = load(checkpoint, device)
    found = likeliest(net, image_file.read(image, size_of(net)), top)
    header = ["class", "probability (%)", "of"]
    rows = [[each["class"], f"{100 * each['probability']:.2f}", each["of"]] for each in found]
    print(f"{image}, by {checkpoint}\n\n{tables.markdown_table(header, rows, align='lrl')}")
    return found


def load(path: str | PathLike[str], device: str) -> EDENet:
    """The network of a file, on the device of this name."""
    return checkpoint.load_ede_net(Path(path), devices.choose(device))


def size_of(net: EDENet) -> int:
    """The height and width of the images that the network was trained on; files that say none are of 32×32."""
    return net.meta.get("image_size", 32)


def likeliest(net: EDENet, image: torch.Tensor, top: int) -> list[dict]:
    """The `top` likeliest classes of one image, uint8 [3, H, W]; see `predict` for what is returned."""
    where = next(net.parameters()).device
    with torch.inference_mode():
        probability = net.eval()(augment.scaled(image[None].to(where)))[0].double().softmax(dim=0).cpu()
    values, outputs = probability.sort(descending=True, stable=True)
    origins = origin_of_outputs(net)
    return [
        {"class": net.meta["class_names"][output], "probability": value, "output": output, "of": origins[output]}
        for value, output in zip(values[:top].tolist(), outputs[:top].tolist(), strict=True)
    ]


def origin_of_outputs(net: EDENet) -> list[str]:
    """For every output the task, "task 2 (classes 5–9)", or the data set, "SVHN", that it is of."""
    origins = []
    for index, (first, last) in enumerate(pairwise(task_borders(net))):
        if "datasets" in net.meta:
            title = catalog.title(net.meta["datasets"][index])
        else:
            title = f"task {index + 1} (classes {first}–{last - 1})"
        origins += [title] * (last - first)
    return origins


def task_borders(net: EDENet) -> list[int]:
    """[0, …]: where the outputs of every task begin, and where the last ones end.

    A baseline has one network for all tasks: its borders are those of the split that its file tells.
    """
    split = net.meta.get("configuration", {}).get("split_list", [])
    if net.num_classes in split:
        return split[: split.index(net.num_classes) + 1]
    return [*map(net.offset, range(len(net.submodels) + 1))]
