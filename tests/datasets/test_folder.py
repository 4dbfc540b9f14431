"""People's own images: how a tree is read, normalised, named, and trained on."""

import json
import os
import shutil
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import TINY
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms.v2 import functional

import train_classifier
import train_EDE_Net
from datasets import augment, catalog, folder, image_file, image_set, normalisation
from datasets.stream import TaskStream
from models import EDENet, measure
from utils import checkpoint, recipes
from utils.errors import UserError

CLASSES = ("ant", "bee", "cat", "dog")
SPLIT = {"split_list": [0, 2, 4], "split_type": "s0-t2"}
REHEARSAL = 8


def save(path, seed, size=(20, 14), mode=None, **more):
    """Noise about a colour of its own, as an image file of any kind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 100, (size[1], size[0], 3)) + random.integers(0, 156, 3)
    image = Image.fromarray(pixels.astype(np.uint8))
    (image.convert(mode) if mode else image).save(path, **more)


def draw(root, classes=CLASSES, train=5, test=2, ending="png"):
    """A tree of noise images with a colour a class. The same arguments draw the same pixels."""
    for number, name in enumerate(classes):
        for part, count in (("train", train), ("test", test)):
            for k in range(count):
                save(root / part / name / f"{k}.{ending}", (number, part == "test", k))


def load(root, part="train", size=16):
    return catalog.load(f"folder:{root}", "nowhere", part, size)


def refusal(function, *arguments, **options):
    with pytest.raises(UserError) as caught:
        function(*arguments, **options)
    assert str(caught.value).isprintable(), "one line"
    return str(caught.value)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A data set of four classes. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("own") / "pets"
    draw(root)
    return root


@pytest.fixture(scope="module")
def others(tmp_path_factory):
    """Unlabelled images, at two depths."""
    root = tmp_path_factory.mktemp("own") / "holiday"
    for k in range(9):
        save(root / ("2020/june" if k % 2 else ".") / f"{k}.png", 100 + k)
    return root


@pytest.fixture
def copy(tree, tmp_path):
    return shutil.copytree(tree, tmp_path / "pets")


# --- what is read


@pytest.mark.parametrize("part", ["train", "test"])
def test_classes_images_and_order_are_those_of_torchvisions_image_folder(copy, part):
    save(copy / "train/bee/in/a/folder.JPG", 1)
    save(copy / "train/bee/5.jpeg", 2)
    (copy / "train/bee/notes.txt").write_text("not an image")
    found, theirs = load(copy, part), ImageFolder(str(copy / part))
    assert found.class_names == tuple(theirs.classes) == CLASSES
    assert found.labels.tolist() == theirs.targets
    assert found.images.shape == (len(theirs), 3, 16, 16)
    for image, (path, _) in zip(found.images, theirs.samples, strict=True):
        assert torch.equal(image, image_file.read(path, 16))
    assert (found.name, found.mean, found.std, found.mirror) == ("folder-pets", None, None, True)


def test_the_order_is_that_of_the_names_whenever_they_were_written(tree, tmp_path):
    draw(tmp_path / "pets", classes=CLASSES)
    backwards = tmp_path / "backwards"
    for path in sorted(tree.rglob("*.png"), reverse=True):
        (backwards / path.relative_to(tree)).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, backwards / path.relative_to(tree))
    for root in (tmp_path / "pets", backwards):
        assert torch.equal(load(root).images, load(tree).images)
        assert torch.equal(load(root).labels, load(tree).labels)


def test_a_test_set_may_have_some_of_the_classes(copy):
    shutil.rmtree(copy / "test/ant")
    assert load(copy, "test").class_names == CLASSES
    assert load(copy, "test").labels.unique().tolist() == [1, 2, 3]
    train, test = load(copy), load(copy, "test")
    message = refusal(TaskStream, train, test, range(4), [0, 2, 4])
    assert "folder-pets has no test image of 1 classes of the split, ant the first" in message
    assert len(TaskStream(train, test, [1, 2, 3, 0], [0, 2, 3]).tasks) == 2


def test_unlabelled_images_are_all_of_a_folder_at_any_depth(others):
    found = load(others, "unlabeled")
    paths = [others / f"{k}.png" for k in (0, 2, 4, 6, 8)] + [others / f"2020/june/{k}.png" for k in (1, 3, 5, 7)]
    assert torch.equal(found.images, torch.stack([image_file.read(path, 16) for path in paths]))
    assert not found.labels.any()


def test_a_tree_with_labels_can_be_the_unlabelled_one(tree):
    assert len(load(tree, "unlabeled")) == 4 * 7


def test_names_that_begin_with_a_dot_are_passed_over(copy):
    expected = len(load(copy)), len(load(copy, "unlabeled"))
    for name in (".thumbnails/1.png", "ant/._1.png", "ant/.git/1.png"):
        (copy / "train" / name).parent.mkdir(exist_ok=True)
        (copy / "train" / name).write_bytes(b"no image")
    assert (len(load(copy)), len(load(copy, "unlabeled"))) == expected
    hidden = copy.rename(copy.with_name(".pets"))
    assert (len(load(hidden)), len(load(hidden, "unlabeled"))) == expected


ODD = {
    "grey.png": {"mode": "L"},
    "transparent.png": {"mode": "RGBA"},
    "palette.png": {"mode": "P"},
    "black and white.png": {"mode": "1"},
    "16 bits.png": {"mode": "I;16"},
    "print.tiff": {"mode": "CMYK"},
    "one pixel.png": {"size": (1, 1)},
    "line.png": {"size": (300, 1)},
    "large.jpg": {"size": (1500, 700)},
    "photograph.jpg": {"size": (40, 30), "exif": 6},
    "animated.webp": {"save_all": True, "append_images": [Image.new("RGB", (20, 14))]},
}


@pytest.mark.parametrize("name", ODD)
def test_odd_images_are_read_as_single_files_are(copy, name):
    more = dict(ODD[name])
    if "exif" in more:
        turned = Image.Exif()
        turned[0x0112] = more["exif"]
        more["exif"] = turned
    if more.get("mode") == "I;16":
        Image.fromarray(np.arange(400, dtype=np.uint16).reshape(20, 20) * 100).save(copy / "train/ant" / name)
    else:
        save(copy / "train/ant" / name, 7, **more)
    found = load(copy)
    row = ImageFolder(str(copy / "train")).samples.index((str(copy / "train/ant" / name), 0))
    assert torch.equal(found.images[row], image_file.read(copy / "train/ant" / name, 16))
    assert found.images[row].float().std() > 0 or name in ("one pixel.png", "line.png")


def test_reading_leaves_the_filters_of_warnings_as_they_were(tree):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        before = list(warnings.filters)
        for _ in range(5):
            load(tree)
        assert warnings.filters == before


def test_a_tilde_is_the_home_folder(tree, monkeypatch):
    monkeypatch.setenv("HOME", str(tree.parent))
    assert len(load("~/pets")) == 20
    assert len(load(f"~/pets/../{tree.name}/")) == 20


@pytest.mark.parametrize("size", [8, 16, 33])
def test_images_come_in_the_size_asked_for(tree, size):
    assert load(tree, size=size).images.shape == (20, 3, size, size)


# --- what is refused


def emptied(path):
    for file in path.iterdir():
        file.unlink()


WRONG = {
    "no folder": (shutil.rmtree, ["pets is not there"]),
    "a file": (lambda root: [shutil.rmtree(root), root.write_text("x")], ["pets is not there or no folder"]),
    "no train": (
        lambda root: shutil.rmtree(root / "train"),
        ["pets has no folder train", "a folder of images for every"],
    ),
    "no test": (lambda root: shutil.rmtree(root / "test"), ["pets has no folder test"]),
    "no class": (
        lambda root: [shutil.rmtree(path) for path in (root / "train").iterdir()],
        ["train has no class folder"],
    ),
    "an empty class": (lambda root: emptied(root / "train/bee"), ["train/bee holds no image", ".png"]),
    "an empty class of test": (lambda root: emptied(root / "test/bee"), ["test/bee holds no image"]),
    "an unknown class": (lambda root: save(root / "test/elk/1.png", 1), ["test/elk", "not", "train"]),
    "a strange name": (lambda root: save(root / "train/b\nc/1.png", 1), ["'b\\nc'", "rename it"]),
    "a cut file": (
        lambda root: os.truncate(root / "train/cat/3.png", 99),
        ["train/cat/3.png cannot be read as an image"],
    ),
    "text": (
        lambda root: (root / "train/dog/0.png").write_text("woof"),
        ["train/dog/0.png cannot be read as an image"],
    ),
    "no range": (
        lambda root: Image.fromarray(np.zeros((4, 4), np.float32)).save(root / "train/ant/9.tiff"),
        ["train/ant/9.tiff has pixels of 32 bits"],
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_tree_that_is_no_data_set_is_refused_in_one_line(copy, tmp_path, wrong):
    spoil, words = WRONG[wrong]
    spoil(copy)
    options = {
        **TINY,
        **SPLIT,
        "mixmatch": False,
        "dataset": f"folder:{copy}",
        "checkpoint_root": str(tmp_path / "root"),
    }
    for entry in (train_classifier.train_model, train_EDE_Net.train_model):
        message = refusal(entry, **options)
        assert all(word in message for word in [*words, str(tmp_path)])
    assert not (tmp_path / "root").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: None, "is not there"),
        (lambda root: root.mkdir(), "holds no image"),
        (
            lambda root: save(root / "deep/er/1.png", 1) or os.truncate(root / "deep/er/1.png", 50),
            "deep/er/1.png cannot",
        ),
    ],
    ids=["missing", "empty", "damaged"],
)
def test_an_unlabelled_folder_that_cannot_be_read_is_refused_in_one_line(tree, tmp_path, make, words):
    make(tmp_path / "more")
    options = {**TINY, **SPLIT, "dataset": f"folder:{tree}", "checkpoint_root": str(tmp_path / "root")}
    message = refusal(train_classifier.train_model, unlabeled=f"folder:{tmp_path / 'more'}", **options)
    assert str(tmp_path / "more") in message
    assert words in message


@pytest.mark.parametrize("name", ["folder:", "folder:  ", "flowers", "Folder:x", ""])
@pytest.mark.parametrize("option", ["dataset", "unlabeled"])
def test_a_name_that_names_nothing_says_how_a_folder_is_named(tree, tmp_path, option, name):
    options = {**TINY, **SPLIT, "dataset": f"folder:{tree}", "checkpoint_root": str(tmp_path), option: name}
    message = refusal(train_classifier.train_model, **options)
    assert "folder:PATH" in message or (name == "" and option in message)


def test_more_pixels_than_there_is_memory_for_are_one_line(tree, stand_in):
    for size in (10**7, 10**30):  # more than the addresses of a process; more than a size can say
        for name in (f"folder:{tree}", "cifar10"):
            assert "give a smaller image_size" in refusal(catalog.load, name, stand_in, "train", size)


def test_classes_that_cannot_be_cut_so_are_told_as_ever(tree, tmp_path):
    options = {**TINY, "mixmatch": False, "dataset": f"folder:{tree}", "checkpoint_root": str(tmp_path)}
    assert 's0-t10" cuts 4 classes' in refusal(train_classifier.train_model, **options)


@pytest.mark.parametrize("option", [{"dataset": "folder:x"}, {"image_size": 16}], ids=str)
def test_the_sequence_takes_neither_option(option):
    assert "unknown option" in refusal(recipes.settings, recipes.MTIL, **option)


# --- named sets in other sizes


@pytest.mark.parametrize("size", [8, 16, 48])
def test_a_named_set_is_resized_as_torchvision_resizes_each_image(stand_in, monkeypatch, size):
    monkeypatch.setattr(catalog, "RESIZED_AT_ONCE", 7)
    plain, found = catalog.load("cifar100", stand_in, "test"), catalog.load("CIFAR-100", stand_in, "test", size)
    assert found.images.shape == (45, 3, size, size)
    for image, resized in zip(plain.images, found.images, strict=True):
        assert torch.equal(resized, functional.resize(image, [size, size], antialias=True))
    assert torch.equal(found.labels, plain.labels)
    assert (found.mean, found.std) == (plain.mean, plain.std)


def test_a_named_sets_unlabelled_images_are_its_training_images(stand_in):
    train, unlabelled = (catalog.load("cifar10", stand_in, part, 32) for part in ("train", "unlabeled"))
    assert torch.equal(train.images, unlabelled.images)


# --- normalisation


def slowly(images):
    """Mean and deviation of each channel, of pixels in [0, 1]."""
    pixels = images.permute(1, 0, 2, 3).flatten(1).numpy().astype(np.float64) / 255
    return pixels.mean(axis=1), pixels.std(axis=1)


@pytest.mark.parametrize(("order", "first"), [([0, 1, 2, 3], [0, 1]), ([3, 1, 0, 2], [3, 1]), ([2, 0, 1, 3], [2, 0])])
def test_a_folder_is_normalised_by_the_first_tasks_training_images(tree, order, first):
    train, test = load(tree), load(tree, "test")
    stream = TaskStream(train, test, order, [0, 2, 4])
    mean, std = slowly(train.images[(train.labels == first[0]) | (train.labels == first[1])])
    assert stream.mean == pytest.approx(mean, rel=1e-12)
    assert stream.std == pytest.approx(std, rel=1e-12)
    assert TaskStream(train, test, order, [0, 1, 4]).mean != pytest.approx(mean, rel=1e-3)


def test_images_of_later_tasks_and_of_the_test_set_have_no_part_in_it(tree, copy):
    expected = TaskStream(load(tree), load(tree, "test"), range(4), [0, 2, 4])
    for path in [*copy.glob("train/cat/*"), *copy.glob("train/dog/*"), *copy.glob("test/*/*")]:
        save(path, 1000)
    found = TaskStream(load(copy), load(copy, "test"), range(4), [0, 2, 4])
    assert (found.mean, found.std) == (expected.mean, expected.std)


def test_equal_pixels_are_divided_by_one_step_of_eight_bits():
    mean, std = normalisation.measured(torch.full((3, 3, 8, 8), 51, dtype=torch.uint8))
    assert mean == pytest.approx((0.2, 0.2, 0.2))
    assert std == (1 / 255,) * 3


def test_named_sets_keep_their_published_values(stand_in):
    stream = TaskStream(*(catalog.load("cifar100", stand_in, part, 16) for part in ("train", "test")), range(9), [0, 3])
    assert (stream.mean, stream.std) == (catalog.CATALOG["cifar100"].mean, catalog.CATALOG["cifar100"].std)


# --- names and fingerprints


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("folder:/data/flowers", "folder-flowers"),
        ("folder:/data/flowers/", "folder-flowers"),
        ("folder:/data/my flowers (2)", "folder-my_flowers__2_"),
        ("folder:/data/v1.0-a_b", "folder-v1.0-a_b"),
        ("folder:/data/花", "folder-花"),
        ("folder:/data/a/..", "folder-data"),
        (f"folder:/data/{'x' * 250}", f"folder-{'x' * 60}"),
        ("CIFAR-10", "cifar10"),
        ("SVNH", "svhn"),
    ],
)
def test_short_names_are_safe_in_file_names(name, short):
    assert catalog.short_name(name) == short


def test_a_relative_path_is_named_by_the_folder_it_leads_to(tree, monkeypatch):
    monkeypatch.chdir(tree)
    assert catalog.short_name("folder:.") == "folder-pets"
    assert len(load(".")) == 20


def one_pixel(root):
    image = Image.open(root / "train/cat/2.png")
    image.putpixel((9, 7), (1, 2, 3))
    image.save(root / "train/cat/2.png")


CHANGES = {
    "a pixel": one_pixel,
    # The last of the ants as the first of the bees: the images stay in their order.
    "a label": lambda root: (root / "train/ant/4.png").rename(root / "train/bee/+.png"),
    "a class's name": lambda root: [(root / part / "ant").rename(root / part / "aunt") for part in ("train", "test")],
    "an image more": lambda root: save(root / "train/dog/7.png", 1),
    "an image less": lambda root: (root / "train/dog/4.png").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_fingerprint_tells_other_images_labels_and_classes(tree, copy, change):
    before = load(tree, size=20).fingerprint()
    assert len(before) == 16
    assert load(copy, size=20).fingerprint() == before, "wherever they lie"
    CHANGES[change](copy)
    assert load(copy, size=20).fingerprint() != before


def test_an_image_set_takes_any_square_and_nothing_else():
    def made(*shape, **more):
        arguments = {"mean": None, "std": None, "mirror": True, **more}
        return image_set.ImageSet("x", torch.zeros(shape, dtype=torch.uint8), torch.tensor([0]), ("a",), **arguments)

    assert [len(made(1, 3, size, size)) for size in (1, 8, 500)] == [1, 1, 1]
    for shape in ((1, 3, 8, 9), (1, 1, 8, 8), (1, 3, 0, 0), (3, 8, 8)):
        assert "[N, 3, S, S]" in refusal(made, *shape)
    for half in ({"mean": (0.5,) * 3}, {"std": (0.5,) * 3}):
        assert "three positive deviations" in refusal(made, 1, 3, 8, 8, **half)


# --- both stages


@pytest.fixture(scope="module")
def trained(tree, others, tmp_path_factory):
    """Both stages, finished, at 16×16 with unlabelled images of a folder. Read it, or copy it; never write to it."""
    root = tmp_path_factory.mktemp("trained")
    options = {**TINY, **SPLIT, "dataset": f"folder:{tree}", "unlabeled": f"folder:{others}", "image_size": 16}
    first = train_classifier.train_model(**options, checkpoint_root=str(root))
    second = train_EDE_Net.train_model(**options, rehearsal_size=REHEARSAL, checkpoint_root=str(root))
    return SimpleNamespace(
        root=root,
        options=options,
        classifier=root / "classifier_folder-pets_s0-t2_resnet18_mixmatch",
        ede_net=root / f"EDE_Net_folder-pets_s0-t2_resnet18_rehearsal_{REHEARSAL}",
        stage_one=first,
        stage_two=second,
    )


@pytest.fixture
def trained_copy(trained, tmp_path):
    return shutil.copytree(trained.root, tmp_path / "root")


def again(trained, root, stage, **more):
    options = {**trained.options, "checkpoint_root": str(root), **more}
    if stage == 1:
        return train_classifier.train_model(**options)
    return train_EDE_Net.train_model(rehearsal_size=REHEARSAL, **options)


def test_the_files_are_where_the_short_name_says(trained):
    names = {path.name for path in trained.classifier.glob("*.pt")}
    assert names == {f"model_{name}{ending}.pt" for name in ("0to2", "2to4") for ending in ("", "_prune")}
    assert {path.name for path in trained.ede_net.glob("*.pt")} == {"stage_1.pt", "stage_2.pt"}
    assert (trained.ede_net / "exemplars.png").is_file()


def test_the_configuration_names_the_data_and_not_their_place(trained, tree, others):
    for results, fingerprints in ((trained.stage_one, 2), (trained.stage_two, 1)):
        configuration = results["configuration"]
        assert configuration["dataset"] == "folder-pets"
        assert configuration["image_size"] == 16
        assert configuration["dataset_fingerprint"] == load(tree).fingerprint()
        assert sum(name.endswith("_fingerprint") for name in configuration) == fingerprints
        assert str(tree.parent) not in json.dumps(configuration)
        assert str(others.parent) not in json.dumps(configuration)
    assert trained.stage_one["configuration"]["unlabeled"] == "folder-holiday"
    assert trained.stage_one["configuration"]["unlabeled_fingerprint"] == load(others, "unlabeled").fingerprint()


def test_networks_and_figures_are_of_the_size_asked_for(trained, tree):
    for task in trained.stage_one["tasks"]:
        model, _ = checkpoint.load_classifier(trained.classifier / f"model_{task['task']}_prune.pt")
        assert task["after"]["flops"] == measure.flops(model, 16)
    train = load(tree)
    mean, std = slowly(train.images[train.labels < 2])
    for t in (1, 2):
        net = EDENet.load(trained.ede_net / f"stage_{t}.pt")
        assert net.meta["image_size"] == 16
        assert net.meta["class_names"] == list(CLASSES[: 2 * t])
        assert trained.stage_two["flops"][t - 1] == measure.flops(net, 16) < measure.flops(net)
        for submodel in net.submodels:
            assert submodel.mean.flatten().tolist() == pytest.approx(mean, abs=1e-6)
            assert submodel.std.flatten().tolist() == pytest.approx(std, abs=1e-6)


def test_the_accuracies_are_those_of_the_test_images(trained, tree):
    net, test = EDENet.load(trained.ede_net / "stage_2.pt"), load(tree, "test")
    with torch.no_grad():
        right = net(augment.scaled(test.images)).argmax(dim=1) == test.labels
    assert trained.stage_two["last_accuracy"] == pytest.approx(100 * float(right.double().mean()))


def test_evaluate_finds_the_run_by_the_folders_name(trained, tree, tmp_path, capsys):
    options = {"split_type": "s0-t2", "rehearsal_size": REHEARSAL, "checkpoint_root": str(trained.root)}
    moved = shutil.copytree(tree, tmp_path / "elsewhere" / "pets")
    for root in (tree, moved):
        found = train_EDE_Net.evaluate(dataset=f"folder:{root}", **options)
        assert [each["accuracy"] for each in found["stages"]] == trained.stage_two["accuracy_matrix"]
    assert capsys.readouterr().out.count(" yes |") == 4
    one_pixel(moved)
    message = refusal(train_EDE_Net.evaluate, dataset=f"folder:{moved}", image_size=16, **options)
    assert "made with other images" in message
    assert trained.stage_two["configuration"]["dataset_fingerprint"] in message
    assert "image_size=16, not 32" in refusal(
        train_EDE_Net.evaluate, dataset=f"folder:{tree}", image_size=32, **options
    )
    assert "folder-pots" in refusal(train_EDE_Net.evaluate, dataset=f"folder:{tree.with_name('pots')}", **options)


def test_predict_reads_an_image_at_the_networks_size(trained, tree):
    path = trained.ede_net / "stage_2.pt"
    file = tree / "test/cat/1.png"
    with torch.no_grad():
        expected = EDENet.load(path)(augment.scaled(image_file.read(file, 16)[None]))[0].softmax(dim=0)
    found = train_EDE_Net.predict(str(file), checkpoint=str(path))
    assert [each["class"] for each in found] == [CLASSES[k] for k in expected.argsort(descending=True).tolist()]
    assert [each["probability"] for each in found] == pytest.approx(
        expected.sort(descending=True)[0].tolist(), abs=1e-5
    )


def test_a_checkpoint_that_tells_no_size_is_of_32_by_32(trained, tree, tmp_path, monkeypatch):
    content = torch.load(trained.ede_net / "stage_1.pt", weights_only=True)
    del content["image_size"]
    torch.save(content, tmp_path / "stage_1.pt")
    sizes, read = [], image_file.read
    monkeypatch.setattr(image_file, "read", lambda path, size: sizes.append(size) or read(path, size))
    train_EDE_Net.predict(tree / "test/cat/1.png", checkpoint=tmp_path / "stage_1.pt")
    assert sizes == [32]


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("stage", [1, 2])
def test_a_moved_folder_goes_on_and_other_images_do_not(trained, trained_copy, tree, others, tmp_path, stage):
    moved = {
        "dataset": f"folder:{shutil.copytree(tree, tmp_path / 'moved' / 'pets')}",
        "unlabeled": f"folder:{shutil.copytree(others, tmp_path / 'moved' / 'holiday')}",
    }
    before = {path: path.read_bytes() for path in trained_copy.rglob("*.pt")}
    again(trained, trained_copy, stage, **moved)
    one_pixel(tmp_path / "moved/pets")
    message = refusal(again, trained, trained_copy, stage, **moved)
    assert "dataset_fingerprint" in message
    assert trained.stage_one["configuration"]["dataset_fingerprint"] in message
    assert {path: path.read_bytes() for path in trained_copy.rglob("*.pt")} == before


@pytest.mark.usefixtures("without_figures")
def test_other_unlabelled_images_are_refused_in_stage_one_and_not_read_in_stage_two(
    trained, trained_copy, others, tmp_path
):
    changed = shutil.copytree(others, tmp_path / "holiday")
    save(changed / "10.png", 1)
    assert "unlabeled_fingerprint" in refusal(again, trained, trained_copy, 1, unlabeled=f"folder:{changed}")
    shutil.rmtree(changed)
    again(trained, trained_copy, 2, unlabeled=f"folder:{changed}")
    shutil.rmtree(trained_copy / trained.ede_net.name)
    message = refusal(again, trained, trained_copy, 2, unlabeled=f"folder:{tmp_path / 'others'}")
    assert "unlabeled='folder-holiday', stage two asks for 'folder-others'" in message


def test_stage_two_asks_for_stage_ones_size_and_images(trained, trained_copy, copy):
    shutil.rmtree(trained_copy / trained.ede_net.name)
    assert "image_size=16, stage two asks for 24" in refusal(again, trained, trained_copy, 2, image_size=24)
    one_pixel(copy)
    message = refusal(again, trained, trained_copy, 2, dataset=f"folder:{copy}")
    assert f"dataset_fingerprint='{trained.stage_one['configuration']['dataset_fingerprint']}'" in message


@pytest.mark.usefixtures("without_figures")
def test_another_named_set_in_any_spelling_is_learned_as_cifar100_is(tiny_options, tmp_path):
    options = {
        **tiny_options, "dataset": "CIFAR-10", "unlabeled": "cifar100", "image_size": 16, "split_list": [0, 2, 4],
        "epochs": 1, "finetune_epochs": 1, "prune": False, "checkpoint_root": str(tmp_path),
    }  # fmt: skip
    first = train_classifier.train_model(**options)
    second = train_EDE_Net.train_model(rehearsal_size=REHEARSAL, **options)
    assert (tmp_path / "classifier_cifar10_s0-t2_resnet18_mixmatch/model_2to4.pt").is_file()
    net = EDENet.load(tmp_path / f"EDE_Net_cifar10_s0-t2_resnet18_rehearsal_{REHEARSAL}/stage_2.pt")
    torch.testing.assert_close(net.submodels[1].mean.flatten(), torch.tensor(catalog.CATALOG["cifar10"].mean))
    for results in (first, second):
        assert results["configuration"]["dataset"] == "cifar10"
        assert "dataset_fingerprint" not in results["configuration"]
    train_classifier.train_model(**{**options, "dataset": "cifar10", "unlabeled": "CIFAR-100"})  # the same again
    there = {name: options[name] for name in ("data_root", "checkpoint_root", "split_list")}
    assert len(train_EDE_Net.evaluate(dataset="cifar10", rehearsal_size=REHEARSAL, **there)["stages"]) == 2
    assert "is the data set that is learned" in refusal(
        train_classifier.train_model, **{**options, "unlabeled": "cifar10"}
    )


def test_a_folder_prefix_is_told_from_names():
    assert [folder.is_folder(name) for name in ("folder:x", "cifar10", "folder", None, 3)] == [True, *[False] * 4]
