"""People's own images: how a tree is read, and how one image file is."""

import os
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

from datasets import catalog, image_file

CLASSES = ("ant", "bee", "cat", "dog")


def save(path, seed, size=(20, 14), mode=None, **more):
    """Noise about a colour of its own, as an image file of any kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 100, (size[1], size[0], 3)) + random.integers(0, 156, 3)
    image = Image.fromarray(pixels.astype(np.uint8))
    (image.convert(mode) if mode else image).save(path, **more)


def load(root, part="train", size=16):
    return catalog.load(f"folder:{root}", "nowhere", part, size)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A data set of four classes with five training and two test images. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("own") / "pets"
    for number, name in enumerate(CLASSES):
        for part, count in (("train", 5), ("test", 2)):
            for k in range(count):
                save(root / part / name / f"{k}.png", (number, part == "test", k))
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "pets")


# --- what is read


@pytest.mark.parametrize("part", ["train", "test"])
def test_classes_images_and_order_are_those_of_torchvisions_image_folder(copy, part):
    for place in ("in/a/folder.JPG", "in/b.png", "in a/1.bmp", "in-/1.webp", "5.jpeg", "10.png"):
        save(copy / "train/bee" / place, 1)
    (copy / "train/bee/notes.txt").write_text("not an image")
    found, theirs = load(copy, part), ImageFolder(str(copy / part))
    assert found.class_names == tuple(theirs.classes) == CLASSES
    assert found.labels.tolist() == theirs.targets
    assert found.images.shape == (len(theirs), 3, 16, 16)
    for image, (path, _) in zip(found.images, theirs.samples, strict=True):
        assert torch.equal(image, image_file.read(path, 16))
    assert (found.name, found.mean, found.std, found.mirror) == ("folder-pets", None, None, True)


def test_unlabelled_images_are_all_of_a_folder_at_any_depth(tmp_path):
    paths = [tmp_path / name for name in ("10.png", "9.png", "2020/1.png", "2020/june/0.png")]
    for seed, path in enumerate(paths):
        save(path, seed)
    found = load(tmp_path, "unlabeled")
    assert torch.equal(found.images, torch.stack([image_file.read(path, 16) for path in paths]))
    assert not found.labels.any()


LINKS = {
    "ant/loop": ".",
    "ant/up": "..",
    "ant/root": "/",
    "ant/+again.png": "0.png",
    "ape": "ant",
    "all": ".",
}


def test_links_into_or_above_the_data_set_and_names_that_begin_with_a_dot_add_nothing(tree, copy):
    for name in (".thumbnails/1.png", "ant/._1.png", "ant/.git/1.png"):
        (copy / "train" / name).parent.mkdir(exist_ok=True)
        (copy / "train" / name).write_bytes(b"no image")
    for name, target in LINKS.items():
        (copy / "train" / name).symlink_to(target)
    hidden = copy.rename(copy.with_name(".pets"))
    for part in ("train", "unlabeled"):
        found, plain = load(hidden, part), load(tree, part)
        assert torch.equal(found.images, plain.images)
        assert (found.labels.tolist(), found.class_names) == (plain.labels.tolist(), plain.class_names)


def test_a_link_that_leads_out_is_followed_and_its_loops_end(copy, tmp_path):
    save(tmp_path / "more/deep/1.png", 7)
    for number in (1, 2):
        (tmp_path / f"more/loop{number}").symlink_to(".")
        (tmp_path / f"more/deep/loop{number}").symlink_to("..")
        (copy / f"train/bee/more{number}").symlink_to(tmp_path / "more")
    save(tmp_path / "elsewhere/ape/1.png", 8)
    save(tmp_path / "elsewhere/2.png", 9)
    (tmp_path / "elsewhere/ape/up").symlink_to("..")
    (copy / "train/ape").symlink_to(tmp_path / "elsewhere/ape")
    (copy / "train/ant/one.png").symlink_to(tmp_path / "more/deep/1.png")
    assert load(copy).labels.bincount().tolist() == [6, 1, 6, 5, 5]
    assert load(copy, "test").labels.unique().tolist() == [0, 2, 3, 4], "it may have some of the classes only"


# --- what is refused

WRONG = {
    "pets/test: No such file": shutil.rmtree,
    "has no class folder": lambda test: [shutil.rmtree(test / name) for name in CLASSES],
    "bee holds no image": lambda test: [path.unlink() for path in (test / "bee").iterdir()],
    "elk is of a class": lambda test: save(test / "elk/1.png", 1),
    "test/cat/1.png cannot be read as": lambda test: os.truncate(test / "cat/1.png", 99),
    "test/dog/9.png cannot be read": lambda test: os.mkfifo(test / "dog/9.png"),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_tree_that_is_no_data_set_is_refused(copy, refusal, words):
    WRONG[words](copy / "test")
    assert words in refusal(load, copy, "test")


# --- one image file


TURNED = Image.Exif()
TURNED[0x0112] = 6
ODD = {
    "grey.png": {"mode": "L"},
    "opaque.png": {"mode": "RGBA"},
    "palette.bmp": {"mode": "P"},
    "print.tiff": {"mode": "CMYK"},
    "line.png": {"size": (300, 1)},
    "photograph.jpg": {"size": (40, 30), "exif": TURNED},
    "animated.webp": {"save_all": True, "append_images": [Image.new("RGB", (20, 14))]},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_turned_made_rgb_cut_square_and_resized(tmp_path, name):
    save(tmp_path / name, 7, **ODD[name])
    with Image.open(tmp_path / name) as image:
        rgb = image.transpose(Image.Transpose.ROTATE_270) if "exif" in ODD[name] else image
        rgb = Image.fromarray(np.asarray(rgb.convert("RGB")))
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    square = functional.pil_to_tensor(rgb.crop((left, top, left + side, top + side)))
    assert torch.equal(image_file.read(tmp_path / name, 16), functional.resize(square, [16, 16], antialias=True))


def test_what_is_transparent_shows_white(tmp_path):
    Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(tmp_path / "clear.png")
    assert (image_file.read(tmp_path / "clear.png", 4) == 255).all()


def test_of_sixteen_bits_the_high_eight_are_taken_and_thirty_two_are_refused(tmp_path, refusal):
    deep = np.arange(400, dtype=np.uint16).reshape(20, 20) * 160
    (tmp_path / "deep.pgm").write_bytes(b"P5\n20 20\n65535\n" + deep.astype(">u2").tobytes())
    for kind in ("png", "tiff"):
        Image.fromarray(deep).save(tmp_path / f"deep.{kind}")
    high = torch.from_numpy((deep >> 8).astype(np.uint8)).expand(3, 20, 20)
    for kind in ("png", "tiff", "pgm"):
        assert torch.equal(image_file.read(tmp_path / f"deep.{kind}", 20), high)
    for kind in (np.int32, np.float32):
        Image.fromarray(np.zeros((4, 4), kind)).save(tmp_path / "deep.tiff")
        assert "32 bits" in refusal(image_file.read, tmp_path / "deep.tiff")


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICO", "PDF"])
def test_other_formats_are_refused_whatever_their_name_and_start_no_program(tmp_path, monkeypatch, refusal, kind):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with (tmp_path / "evil.png").open("wb") as file:
        Image.new("RGB", (20, 20), "red").save(file, kind)
    assert "evil.png cannot be read as an image" in refusal(image_file.read, tmp_path / "evil.png")


def test_an_image_of_too_many_pixels_is_refused_by_its_header(tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    for size in ("13000 13000", "64001 1000", "900000 900000"):
        (tmp_path / "vast.ppm").write_text(f"P6 {size} 255 ")
        assert "pixels" in refusal(image_file.read, tmp_path / "vast.ppm")
