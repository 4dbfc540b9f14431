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


def test_a_test_set_may_have_some_of_the_classes(copy):
    shutil.rmtree(copy / "test/ant")
    assert load(copy, "test").class_names == CLASSES
    assert load(copy, "test").labels.unique().tolist() == [1, 2, 3]


def test_unlabelled_images_are_all_of_a_folder_at_any_depth(tree, tmp_path):
    for k in range(9):
        save(tmp_path / ("2020/june" if k % 2 else ".") / f"{k}.png", 100 + k)
    paths = [tmp_path / f"{k}.png" for k in (0, 2, 4, 6, 8)] + [tmp_path / f"2020/june/{k}.png" for k in (1, 3, 5, 7)]
    found = load(tmp_path, "unlabeled")
    assert torch.equal(found.images, torch.stack([image_file.read(path, 16) for path in paths]))
    assert not found.labels.any()
    assert len(load(tree, "unlabeled")) == 4 * 7, "a tree with labels can be the unlabelled one"


def test_names_that_begin_with_a_dot_are_passed_over(tree, copy):
    for name in (".thumbnails/1.png", "ant/._1.png", "ant/.git/1.png"):
        (copy / "train" / name).parent.mkdir(exist_ok=True)
        (copy / "train" / name).write_bytes(b"no image")
    hidden = copy.rename(copy.with_name(".pets"))
    for part in ("train", "unlabeled"):
        assert load(hidden, part).fingerprint() == load(tree, part).fingerprint(), (
            "and images are told wherever they lie"
        )


LINKS = {
    "to itself": ("ant/loop", "."),
    "above": ("ant/up", ".."),
    "far above": ("ant/root", "/"),
    "to a class beside": ("ant/beside", "../bee"),
    "to the test images": ("ant/test", "../../test/ant"),
    "to a class, as a class": ("ape", "ant"),
    "to all classes, as a class": ("all", "."),
    "to a file that is there": ("ant/+again.png", "0.png"),
    "to nothing": ("ant/nothing", "nowhere"),
}


@pytest.mark.parametrize("link", LINKS)
def test_a_link_into_or_above_the_data_set_adds_nothing(tree, copy, link):
    name, target = LINKS[link]
    (copy / "train" / name).symlink_to(target)
    for part in ("train", "unlabeled"):
        assert load(copy, part).fingerprint() == load(tree, part).fingerprint()


def test_a_link_that_leads_out_is_followed_and_its_loops_end(copy, tmp_path):
    save(tmp_path / "more/deep/1.png", 7)
    for number in (1, 2):
        (tmp_path / f"more/loop{number}").symlink_to(".")
        (tmp_path / f"more/deep/loop{number}").symlink_to("..")
        (copy / f"train/bee/more{number}").symlink_to(tmp_path / "more")
    save(tmp_path / "elsewhere/elk/1.png", 8)
    save(tmp_path / "elsewhere/2.png", 9)
    (tmp_path / "elsewhere/elk/up").symlink_to("..")
    (copy / "train/elk").symlink_to(tmp_path / "elsewhere/elk")
    (copy / "train/ant/one.png").symlink_to(tmp_path / "more/deep/1.png")
    assert load(copy).labels.bincount().tolist() == [6, 6, 5, 5, 1]


# --- what is refused

WRONG = {
    "no folder": (shutil.rmtree, "pets/train: No such file"),
    "no test": (lambda root: shutil.rmtree(root / "test"), "pets/test: No such file"),
    "a file": (
        lambda root: [shutil.rmtree(root / "test"), (root / "test").write_text("x")],
        "pets/test: Not a directory",
    ),
    "no class": (lambda root: [shutil.rmtree(root / "test" / name) for name in CLASSES], "test has no class folder"),
    "an empty class": (lambda root: [path.unlink() for path in (root / "test/bee").iterdir()], "bee holds no image"),
    "an unknown class": (lambda root: save(root / "test/elk/1.png", 1), "test/elk"),
    "a cut file": (lambda root: os.truncate(root / "test/cat/1.png", 99), "test/cat/1.png cannot be read as"),
    "text": (lambda root: (root / "test/dog/0.png").write_text("woof"), "test/dog/0.png cannot be read as an image"),
    "a broken link": (lambda root: (root / "test/dog/9.png").symlink_to("x"), "test/dog/9.png cannot be read"),
    "a pipe": (lambda root: os.mkfifo(root / "test/dog/9.png"), "test/dog/9.png cannot be read"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_tree_that_is_no_data_set_is_refused(copy, refusal, wrong):
    spoil, words = WRONG[wrong]
    spoil(copy)
    assert words in refusal(load, copy, "test")


def test_a_folder_without_images_is_no_unlabelled_set_nor_one_with_too_long_a_name(tmp_path, refusal):
    assert "holds no image" in refusal(load, tmp_path, "unlabeled")
    assert "File name too long" in refusal(load, "x" * 300)


# --- one image file


def turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


ODD = {
    "grey.png": {"mode": "L"},
    "transparent.png": {"mode": "RGBA"},
    "palette.png": {"mode": "P"},
    "black and white.png": {"mode": "1"},
    "print.tiff": {"mode": "CMYK"},
    "plain.ppm": {},
    "plain.bmp": {},
    "line.png": {"size": (300, 1)},
    "large.jpg": {"size": (1500, 700)},
    "photograph.jpg": {"size": (40, 30), "exif": turned()},
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
    high = torch.from_numpy((deep >> 8).astype(np.uint8)).expand(3, 20, 20)
    for kind in ("png", "tiff", "pgm"):
        if kind != "pgm":
            Image.fromarray(deep).save(tmp_path / f"deep.{kind}")
        assert torch.equal(image_file.read(tmp_path / f"deep.{kind}", 20), high)
    for kind in (np.int32, np.float32):
        Image.fromarray(np.zeros((4, 4), kind)).save(tmp_path / "deep.tiff")
        assert "32 bits" in refusal(image_file.read, tmp_path / "deep.tiff")


@pytest.mark.parametrize("kind", ["EPS", "GIF", "ICO", "PDF"])
def test_other_formats_are_refused_whatever_their_name_and_start_no_program(tmp_path, monkeypatch, refusal, kind):
    for start in ("Popen", "check_call"):
        monkeypatch.setattr(subprocess, start, lambda *_, **__: pytest.fail("a program was started"))
    with (tmp_path / "evil.png").open("wb") as file:
        Image.new("RGB", (20, 20), "red").save(file, kind)
    assert "evil.png cannot be read as an image" in refusal(image_file.read, tmp_path / "evil.png")


def test_an_image_of_too_many_pixels_is_refused_by_its_header(tmp_path, refusal, monkeypatch):
    monkeypatch.setattr(Image.Image, "load", lambda *_: pytest.fail("decoded"))
    for size in ("13000 13000", "64001 1000", "900000 900000"):
        (tmp_path / "vast.ppm").write_text(f"P6 {size} 255 ")
        assert "pixels" in refusal(image_file.read, tmp_path / "vast.ppm")
