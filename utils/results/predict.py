"""What a saved EDE-Net takes an image file for."""

from utils.results import tables
from utils.running.console import show
from utils.running.options import path_of, require_arguments


def predict(image, checkpoint, top=5, device="auto"):
    """Prints the likeliest classes of an image file, with their probability and the task or data set each is of.

    Args:
        image: a file of any size and mode, see `datasets.image_file`.
        checkpoint: a whole EDE-Net: a `stage_<t>.pt`, or a `model_<data>_<data>_…_<num_per_class>.pt`.
        top: how many classes, or all where there are fewer.
        device: as in all options.

    Returns: a list of dicts, likeliest first: "class" (its name), "probability" (0..1, over all classes of the
        network), "output" (its number in the network), "of" (its task or data set).

    Raises: `UserError` for what the caller can mend.
    """
    require_arguments(top=top, device=device)
    image, checkpoint = path_of("image", image), path_of("checkpoint", checkpoint)
    import torch  # which takes seconds: after the call has been checked

    from datasets import augment, image_file
    from models.der import DERNet
    from models.ede_net import EDENet
    from utils.running import checkpoint as checkpoints
    from utils.running import device as devices

    where = devices.choose(device)
    net = checkpoints.load(checkpoint, EDENet, DERNet, device=where)
    pixels = image_file.read(image, net.meta["image_size"])
    with torch.inference_mode():
        probability = net(augment.scaled(pixels[None].to(where)))[0].double().softmax(dim=0).cpu()
    origins = [
        f"task {index} ({name}, classes {first}–{last - 1})"
        for index, (name, first, last) in enumerate(net.meta["tasks"], start=1)
        for _ in range(first, last)
    ]
    found = []
    for output in probability.argsort(descending=True, stable=True)[:top].tolist():
        name, share = net.meta["class_names"][output], float(probability[output])
        found.append({"class": name, "probability": share, "output": output, "of": origins[output]})
    rows = [[each["class"], f"{100 * each['probability']:.2f}", each["of"]] for each in found]
    table = tables.markdown_table(["class", "probability (%)", "of"], rows)
    show(f"{image}, by {checkpoint}\n\n{table}")
    return found
