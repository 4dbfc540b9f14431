"""What saved networks say again of the test images, and of an image file."""

import json
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REHEARSAL
from PIL import Image

import train_EDE_Net
import trainMTIL
from datasets import augment, catalog, image_file, synthetic
from models import EDENet, resnet18
from utils import checkpoint, prediction
from utils.errors import UserError

SETS = ["cifar10", "mnist"]


def again(finished, root=None, **more):
    options = {"split_type": "s0-t3", "rehearsal_size": REHEARSAL, "data_root": finished.options["data_root"]}
    return train_EDE_Net.evaluate(**{**options, **more}, checkpoint_root=str(root or finished.root))


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished.ede_net, tmp_path / finished.ede_net.name)
    return tmp_path / finished.ede_net.name


def damage_head(path):
    """Other weights of one class, so that another number of images is classified correctly."""
    content = torch.load(path, weights_only=True)
    name = next(name for name in content["model"] if name.endswith("head.bias"))
    content["model"][name][0] += 1000
    torch.save(content, path)


# A split's stages.


def test_every_stage_gives_what_training_reported_to_the_last_digit(finished, capsys):
    found = again(finished)["stages"]
    assert [each["stage"] for each in found] == [1, 2, 3]
    assert [each["accuracy"] for each in found] == finished.stage_two["accuracy_matrix"]
    assert [each["seen_accuracy"] for each in found] == finished.stage_two["seen_accuracy"]
    printed = capsys.readouterr().out
    assert printed.count(" yes |") == 3
    for name in ("average_incremental_accuracy", "last_accuracy", "forgetting", "backward_transfer"):
        assert f"| {name.replace('_', ' ')}" in printed
        assert f" {finished.stage_two[name]:.1f} |" in printed


@pytest.mark.parametrize("stage", [1, 3])
def test_one_stage_alone(finished, capsys, stage):
    [found] = again(finished, stage=stage)["stages"]
    assert found["stage"] == stage
    assert found["accuracy"] == finished.stage_two["accuracy_matrix"][stage - 1]
    assert "forgetting" not in capsys.readouterr().out


def test_a_network_that_was_changed_is_an_error_that_names_stage_and_counts(finished, copied, capsys):
    damage_head(copied / "stage_2.pt")
    with pytest.raises(UserError, match=r"does not give what training reported: stage 2: correct \[.*reported \["):
        again(finished, copied.parent)
    assert capsys.readouterr().out.count(" NO |") == 1
    again(finished, copied.parent, stage=3)


def test_results_that_were_changed_are_an_error(finished, copied):
    results = json.loads((copied / "results.json").read_text())
    results["accuracy_matrix"][1][0] += 1e-9
    (copied / "results.json").write_text(json.dumps(results))
    with pytest.raises(UserError, match=r"stage 2: accuracy .*results\.json"):
        again(finished, copied.parent)


def test_an_unfinished_run_is_evaluated_as_far_as_it_is(finished, copied, capsys):
    (copied / "stage_3.pt").unlink()
    (copied / "results.json").unlink()
    assert len(again(finished, copied.parent)["stages"]) == 2
    assert "forgetting" not in capsys.readouterr().out
    with pytest.raises(UserError, match="no saved stage 3: it has stage 1, 2"):
        again(finished, copied.parent, stage=3)


def test_the_class_order_is_the_runs_own(finished, copied):
    """Trained in one order and evaluated in another, most images would be wrong."""
    path = copied / "configuration.json"
    order = [2, 0, 1, *range(3, 9)]
    path.write_text(json.dumps({**json.loads(path.read_text()), "class_order": order}))
    with pytest.raises(UserError, match=r"stage_1\.pt is of other classes"):
        again(finished, copied.parent)
    with pytest.raises(UserError, match=r"class_order=\[2, 0, 1.*not \[0, 1, 2"):
        again(finished, copied.parent, class_order=list(range(9)))


def test_test_images_of_another_data_set_are_noticed(finished, tmp_path):
    synthetic.write(tmp_path, train_per_class=2, test_per_class=4, classes=9, sets=("cifar100",))
    with pytest.raises(UserError, match=r"total \[12\], reported \[15\]"):
        again(finished, data_root=str(tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rehearsal_size": 32}, r"rehearsal_32 is not there.*python train_EDE_Net.py .*rehearsal_size=32"),
        ({"split_list": [0, 3, 6, 8]}, r"split_list=\[0, 3, 6, 9\], not \[0, 3, 6, 8\]"),
        ({"seed": 7}, "seed=0, not 7"),
        ({"split_type": "three"}, "split_type"),
        ({"stage": 0}, "no saved stage 0"),
        ({"stage": True}, "no saved stage True"),
        ({"stage": "2"}, "no saved stage '2'"),
        ({"sead": 1}, 'did you mean "seed"'),
    ],
    ids=str,
)
def test_what_does_not_fit_the_run_is_named(finished, options, message):
    with pytest.raises(UserError, match=message):
        again(finished, **options)


def test_a_split_is_found_by_its_list_too(finished):
    assert len(again(finished, split_list=[0, 3, 6, 9], split_type=None, stage=1)["stages"]) == 1


# The sequence's networks.


@pytest.fixture(scope="module")
def sequence(tmp_path_factory):
    """Options of a tiny run over two data sets, finished."""
    root = tmp_path_factory.mktemp("sequence")
    synthetic.write(root / "data", train_per_class=6, test_per_class=4, sets=SETS)
    options = {
        "recipe": "demo",
        "amp": "off",
        "device": "cpu",
        "widths": [4, 4, 4, 4],
        "epochs": 1,
        "min_updates": 1,
        "finetune_epochs": 1,
        "data_root": str(root / "data"),
        "checkpoint_root": str(root),
    }
    for name in SETS:
        trainMTIL.train_MTIL_classifier(name, batch_size=16, **options)
    for count in (1, 2):
        trainMTIL.train_EDE_Net(SETS, num_per_class=count, batch_size=16, **options)
    return options


def test_the_sequences_networks_give_what_training_reported(sequence, capsys):
    found = trainMTIL.evaluate(**sequence)
    assert [each["num_per_class"] for each in found] == [1, 2]
    for each in found:
        assert each["total"] == [40, 40]
        assert all(each[name] == each["reported"][name] for name in ("correct", "elsewhere", "total", "alone"))
    assert capsys.readouterr().out.count(" yes |") == 4
    [found] = trainMTIL.evaluate(data_list=["CIFAR-10", "MNIST"], num_per_class=2, **sequence)
    assert found["num_per_class"] == 2


def test_a_changed_network_of_the_sequence_is_an_error(sequence, tmp_path):
    shutil.copytree(f"{sequence['checkpoint_root']}/MTIL", tmp_path / "MTIL")
    damage_head(tmp_path / "MTIL" / "EDE_Net_resnet18" / "model_cifar10_mnist_1.pt")
    with pytest.raises(UserError, match=r"cifar10 \+ mnist, 1 a class: (correct|elsewhere) \[.*reported \["):
        trainMTIL.evaluate(**{**sequence, "checkpoint_root": str(tmp_path)})


def test_another_accuracy_of_stage_one_is_an_error(sequence, tmp_path):
    shutil.copytree(f"{sequence['checkpoint_root']}/MTIL", tmp_path / "MTIL")
    path = tmp_path / "MTIL" / "classifier_resnet18" / "model_mnist.pt"
    content = torch.load(path, weights_only=True)
    content["results"]["test_accuracy"] += 1e-9
    torch.save(content, path)
    with pytest.raises(UserError, match=r"cifar10 \+ mnist, 2 a class: alone \[.*reported \["):
        trainMTIL.evaluate(num_per_class=2, **{**sequence, "checkpoint_root": str(tmp_path)})


def test_the_sequences_folders_have_their_figures(sequence):
    found = {
        folder: sorted(path.stem for path in Path(sequence["checkpoint_root"], "MTIL", folder).glob("*.png"))
        for folder in ("classifier_resnet18", "EDE_Net_resnet18")
    }
    exemplars = ["exemplars_cifar10_mnist_1", "exemplars_cifar10_mnist_2"]
    assert found == {
        "classifier_resnet18": ["training"],
        "EDE_Net_resnet18": ["accuracy", "accuracy_matrix", *exemplars, "training"],
    }


def test_a_network_that_is_not_there_is_named(sequence):
    with pytest.raises(UserError, match="num_per_class=3"):
        trainMTIL.evaluate(num_per_class=3, **sequence)


# Image files.


def saved(folder, name, pixels, mode=None, **more):
    path = folder / name
    image = Image.fromarray(pixels)
    (image.convert(mode) if mode else image).save(path, **more)
    return path


@pytest.fixture
def colours():
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_an_image_of_the_networks_size_stays_as_it_is(tmp_path, colours):
    found = image_file.read(saved(tmp_path, "a.png", colours))
    assert torch.equal(found, torch.from_numpy(colours).permute(2, 0, 1))


@pytest.mark.parametrize("shape", [(64, 100), (100, 64)], ids=str)
def test_the_middle_square_is_resized_as_torchvision_does(tmp_path, shape):
    pixels = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    middle = pixels[:, 18:82] if shape[1] == 100 else pixels[18:82]
    middle = torch.from_numpy(middle).permute(2, 0, 1).float()
    expected = torch.nn.functional.interpolate(middle[None], (32, 32), mode="bilinear", antialias=True)[0]
    found = image_file.read(saved(tmp_path, "a.png", pixels))
    assert found.shape == (3, 32, 32)
    assert (found.float() - expected).abs().max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (2000, 1500)], ids=str)
def test_any_size_is_read(tmp_path, size):
    found = image_file.read(saved(tmp_path, "a.png", np.full((*size, 3), (10, 200, 30), dtype=np.uint8)))
    assert torch.equal(found, torch.tensor([10, 200, 30], dtype=torch.uint8).view(3, 1, 1).expand(3, 32, 32))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
def test_any_mode_is_read(tmp_path, colours, mode):
    name = "a.tiff" if mode in ("CMYK", "YCbCr") else "a.png"
    found = image_file.read(saved(tmp_path, name, colours, mode))
    assert found.dtype == torch.uint8
    assert found.shape == (3, 32, 32)
    assert bool((found[0] == found[1]).all()) == (mode in ("1", "L", "LA"))


def test_sixteen_bits_are_reduced_to_eight(tmp_path):
    pixels = np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64
    found = image_file.read(saved(tmp_path, "a.png", pixels))
    assert torch.equal(found[0], torch.from_numpy((pixels >> 8).astype(np.uint8)))


def test_what_is_transparent_shows_white(tmp_path, colours):
    alpha = np.zeros((32, 32, 1), dtype=np.uint8)
    alpha[:16] = 255
    found = image_file.read(saved(tmp_path, "a.png", np.concatenate([colours, alpha], axis=2)))
    assert torch.equal(found[:, :16], torch.from_numpy(colours[:16]).permute(2, 0, 1))
    assert bool((found[:, 16:] == 255).all())


def test_a_photograph_is_turned_upright(tmp_path):
    pixels = np.zeros((32, 32), dtype=np.uint8)
    pixels[:16] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    found = image_file.read(saved(tmp_path, "a.png", pixels, exif=exif))
    assert not found[:, :16].any()
    assert bool((found[:, 16:] == 255).all())


def a_png_of(width, height):
    """The header of a PNG file, with no pixel in it."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


@pytest.mark.parametrize(
    "content",
    [b"", b"no image", b"\x89PNG\r\n\x1a\n", a_png_of(32, 32), a_png_of(60_000, 60_000), b"GIF89a" + bytes(20)],
    ids=["empty", "text", "beginning", "no pixels", "bomb", "gif"],
)
def test_what_is_no_image_is_named(tmp_path, content):
    path = tmp_path / "cat.png"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cat\.png cannot be read as an image"):
        image_file.read(path)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_a_file_that_is_cut_short_is_named(tmp_path, colours, ending):
    path = saved(tmp_path, f"cat.{ending}", colours)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"cat\.\w+ cannot be read as an image"):
        image_file.read(path)


def test_pixels_of_unknown_range_are_named(tmp_path):
    path = saved(tmp_path, "cat.tiff", np.zeros((8, 8), dtype=np.float32))
    with pytest.raises(UserError, match=r"cat\.tiff has pixels of 32 bits"):
        image_file.read(path)


@pytest.mark.parametrize("place", ["nowhere.png", "."])
def test_a_missing_file_is_named(tmp_path, place):
    with pytest.raises(UserError, match="is not there"):
        image_file.read(tmp_path / place)


# Predictions.


def test_a_test_image_saved_to_a_file_is_predicted_as_it_was_evaluated(finished, tmp_path, capsys):
    path = finished.ede_net / "stage_3.pt"
    net, test = EDENet.load(path), catalog.load("cifar100", finished.options["data_root"], "test")
    with torch.no_grad():
        expected = net(augment.scaled(test.images[7:8]))[0].softmax(0)
    file = saved(tmp_path, "cat.png", test.images[7].permute(1, 2, 0).numpy())
    found = train_EDE_Net.predict(str(file), checkpoint=str(path))
    assert [each["output"] for each in found] == expected.argsort(descending=True)[:5].tolist()
    for each in found:
        assert each["probability"] == pytest.approx(float(expected[each["output"]]), abs=1e-5)
        assert each["class"] == test.class_names[each["output"]]
        task = each["output"] // 3
        assert each["of"] == f"task {task + 1} (classes {3 * task}–{3 * task + 2})"
    printed = capsys.readouterr().out
    assert printed.count("\n|") == 7
    assert found[0]["class"] in printed
    assert sum(each["probability"] for each in prediction.likeliest(net, test.images[7], 9)) == pytest.approx(1)


def test_the_sequences_classes_are_told_with_their_data_set(sequence, tmp_path):
    file = saved(tmp_path, "one.png", np.zeros((28, 28), dtype=np.uint8))
    path = f"{sequence['checkpoint_root']}/MTIL/EDE_Net_resnet18/model_cifar10_mnist_2.pt"
    found = trainMTIL.predict(file, checkpoint=path, top=50)
    assert len(found) == 20
    assert all(each["of"] == ("CIFAR-10" if each["output"] < 10 else "MNIST") for each in found)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"top": 0}, "top=0"),
        ({"top": 2.5}, "top=2.5"),
        ({"image": 5}, "image=5"),
        ({"checkpoint": "nowhere.pt"}, "nowhere.pt is not there"),
        ({"checkpoint": "classifier"}, 'holds "classifier"'),
        ({"device": "tpu"}, "device"),
    ],
    ids=str,
)
def test_wrong_arguments_of_predict_are_named(finished, tmp_path, colours, more, message):
    if more == {"checkpoint": "classifier"}:
        more = {"checkpoint": finished.classifier / "model_0to3.pt"}
    arguments = {"image": saved(tmp_path, "a.png", colours), "checkpoint": finished.ede_net / "stage_1.pt", **more}
    with pytest.raises(UserError, match=message):
        train_EDE_Net.predict(**arguments)


def test_equal_probabilities_are_told_in_the_order_of_the_outputs(tmp_path):
    net = EDENet([resnet18(3, (2, 2, 2, 2))])
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    checkpoint.write_ede_net(tmp_path / "stage_1.pt", net, {"class_names": ["a", "b", "c"]})
    found = prediction.likeliest(EDENet.load(tmp_path / "stage_1.pt"), torch.zeros(3, 32, 32, dtype=torch.uint8), top=2)
    assert [each["class"] for each in found] == ["a", "b"]
