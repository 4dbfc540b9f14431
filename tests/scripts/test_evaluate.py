"""What saved networks say again of the test images and of an image file."""

import json
import shutil

import pytest
import torch
from PIL import Image

import train_EDE_Net
import trainMTIL
from datasets import augment, catalog
from models import EDENet
from utils.results import evaluate
from utils.running import checkpoint
from utils.running.errors import UserError


@pytest.fixture
def evaluated(stand_in):
    """Evaluates a folder of `finished`, with these arguments beside."""
    return lambda folder, *more: train_EDE_Net.evaluate(str(folder), *more, data_root=str(stand_in), device="cpu")


def test_every_stage_gives_what_training_reported_to_the_last_digit(finished, evaluated):
    found = evaluated(finished.ede_net)
    assert list(found) == ["stage_1", "stage_2", "stage_3"]
    for each in found.values():
        assert all(each[name] == each["reported"][name] for name in each["reported"])
    assert evaluated(finished.ede_net, 2) == {"stage_2": found["stage_2"]}


def test_the_sequences_networks_give_what_training_reported(finished_sequence, stand_in):
    found = trainMTIL.evaluate(str(finished_sequence.ede_net), data_root=str(stand_in), device="cpu")
    assert list(found) == ["model_mnist_2", "model_mnist_svhn_2", "model_mnist_svhn_cifar10_2"]
    assert found["model_mnist_svhn_2"]["total"] == [50, 50]


def test_other_weights_or_other_counts_are_an_error(finished, evaluated, tmp_path):
    folder = shutil.copytree(finished.ede_net, tmp_path / "run")
    record = json.loads((folder / "stage_2.json").read_text())
    del record["checksum"]
    record["results"]["correct"][0] += 1
    (folder / "stage_2.json").write_text(json.dumps({**record, "checksum": checkpoint.fingerprint(record)}))
    with pytest.raises(UserError, match=r"does not give what training reported: stage_2: correct \[.*reported \["):
        evaluated(folder)
    shutil.copy(folder / "stage_1.pt", folder / "stage_2.pt")
    with pytest.raises(UserError, match=r"stage_2\.pt is not the network"):
        evaluated(folder)


def test_a_folder_without_such_networks_is_named_and_nothing_in_it_called_damaged(finished, evaluated, tmp_path):
    for folder in (finished.classifier, tmp_path / "nowhere"):
        with pytest.raises(UserError, match=folder.name) as caught:
            evaluated(folder)
        assert "damaged" not in str(caught.value)
    with pytest.raises(UserError, match="folder:PATH"):  # whose data lie where only the user knows
        evaluate.tested({"image_size": 16}, {"dataset": "folder-flowers"}, "data", None)


def test_a_folder_of_images_may_have_been_moved(tmp_path):
    for place in ("train/a", "train/b", "test/a", "test/b"):
        (tmp_path / "new" / place).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "new" / place / "1.png")
    meta, configuration = {"image_size": 16, "tasks": [["0to2", 0, 2]]}, {"dataset": "folder-old", "class_order": None}
    where = ("data", f"folder:{tmp_path / 'new'}")
    assert evaluate.tested(meta, configuration, *where)
    for wrong in ({"dataset": "cifar100"}, {"tasks": [["0to3", 0, 3]]}):  # of another kind, or of more classes
        with pytest.raises(UserError, match="found 2 of folder-new"):
            evaluate.tested({**meta, **wrong}, {**configuration, **wrong}, *where)


def test_a_test_image_saved_to_a_file_is_predicted_as_it_was_evaluated(finished, stand_in, tmp_path, capsys):
    path, test = finished.ede_net / "stage_3.pt", catalog.load("cifar100", stand_in, "test")
    net = EDENet.load(path)
    with torch.no_grad():
        expected = net(augment.scaled(test.images[7:8]))[0].softmax(0)
    Image.fromarray(test.images[7].permute(1, 2, 0).numpy()).save(tmp_path / "cat.png")
    found = train_EDE_Net.predict(str(tmp_path / "cat.png"), checkpoint=str(path), top=3, device="cpu")
    assert [each["output"] for each in found] == expected.argsort(descending=True)[:3].tolist()
    for each in found:
        assert each["probability"] == pytest.approx(float(expected[each["output"]]), abs=1e-5)
        assert each["class"] == test.class_names[each["output"]]
    assert found[0]["class"] in capsys.readouterr().out
