"""The recipes with additions and the ablation in small: whole runs on stand-in images."""

import json

import pytest
import torch

import train_classifier
import train_EDE_Net
from models import EDENet, ResNet18, cost
from tests.method.runs import identical, noting_trainings, stopping_every, until_it_ends
from tests.models.networks import changed
from utils.method import training
from utils.running import checkpoint
from utils.running.artefact import read_record
from utils.running.errors import UserError

pytestmark = pytest.mark.usefixtures("without_figures")

SPLIT = {"split_list": [0, 2, 4], "split_type": "s0-t2", "rehearsal_size": 8}
SMALL = {**SPLIT, "recipe": "cpu-plus", "batch_size": 8, "finetune_batch_size": 8, "warm_epochs": 3}


@pytest.fixture(scope="module")
def options(tiny_options):
    """The options of `cpu-plus` over two tasks, with files in a given folder."""
    return lambda folder, **more: {**tiny_options, **SMALL, "checkpoint_root": str(folder), **more}


def both_stages(options):
    for script in (train_classifier, train_EDE_Net):
        script.train_model(**options)


@pytest.fixture(scope="module")
def root(options, without_figures, tmp_path_factory):
    """Where both stages have run."""
    root = tmp_path_factory.mktemp("additions")
    both_stages(options(root))
    return root


def test_later_tasks_begin_with_the_network_before_and_see_the_exemplars_of_stage_two_and_no_other_old_image(
    root, options, monkeypatch, tmp_path
):
    trainings = noting_trainings(monkeypatch)
    train_classifier.train_model(**options(tmp_path))
    before, record = (next(tmp_path.glob(f"*/model_{name}")) for name in ("0to2.pt", "2to4.json"))
    before = checkpoint.load(before, ResNet18)
    made_from = {"warm_epochs": 3, "begun with": before.meta["fingerprint"]}
    assert read_record(record)["made_from"].items() >= made_from.items()
    temporary = next(each for each in trainings if each.title == "task 2to4, training")
    assert temporary.schedule.epochs == 3
    assert changed(before, temporary.state) == {"head.weight", "head.bias"}
    kept = EDENet.load(next(root.glob("EDE_Net_*")) / "stage_1.pt").meta["exemplars"]["images"]
    first, *_ = trainings
    assert len(first.batches.parts) == 2, "no task before, no exemplars"
    for each in trainings:
        if each.title.startswith("task 2to4"):
            _, old, unlabelled = each.batches.parts
            assert torch.equal(old.images, kept)
            assert unlabelled.labels is None


def test_sub_models_join_without_the_other_output_and_learn_in_their_late_half_and_all_predict_together(root):
    path = next(root.glob("classifier_*")) / "model_2to4_prune.pt"
    stage_one, reported = checkpoint.load(path, ResNet18), read_record(path.with_suffix(".json"))["results"]
    assert reported["parameters"] == cost.parameters(stage_one.without_other(2)), "that is judged, not the other output"
    first, second = (EDENet.load(next(root.glob("EDE_Net_*")) / f"stage_{t}.pt") for t in (1, 2))
    assert (stage_one.num_classes, second.described["classes_per_task"]) == (3, [2, 2])
    before, early = first.submodels[0].state_dict(), ("mean", "std", "stem", "stages.0.", "stages.1.")
    assert changed(second.submodels[0], before) == {name for name in before if not name.startswith(early)}
    assert (first.flip_average, second.flip_average) == (True, True)


def test_interrupted_anywhere_the_additions_end_with_the_same_bits(root, options, monkeypatch, tmp_path):
    stopping_every(monkeypatch, 7)
    assert until_it_ends(lambda: both_stages(options(tmp_path)))
    for kind in ("classifier", "EDE_Net"):
        assert identical(*(next(each.glob(f"{kind}_*")) for each in (root, tmp_path)))


def test_both_stages_have_to_agree_in_the_memory_which_is_known_before_stage_two(root, options, tmp_path):
    with pytest.raises(UserError, match="rehearsal_size"):
        train_EDE_Net.train_model(**options(tmp_path, rehearsal_size=24, classifier_root=str(root)))
    with pytest.raises(UserError, match="herding"):
        train_classifier.train_model(**options(tmp_path, exemplars="herding"))


def test_ablation_adds_one_after_the_other_and_goes_on(options, tmp_path, monkeypatch):
    small = options(tmp_path, epochs=1, finetune_epochs=1, seeds=[0])
    content = train_EDE_Net.ablation(**small)
    parts = [tuple(cell["parts"].values()) for cell in content["cells"] if cell["parts"]["stage two"]]
    assert parts == [(*(place < count for place in range(5)), True) for count in range(6)]
    whole = json.loads(next(tmp_path.glob("ablation_*/seed_0/*flipped/EDE_Net_*/results.json")).read_text())
    assert content["cells"][-2]["last_accuracy"]["mean"] == whole["last_accuracy"]
    monkeypatch.setattr(training, "fit", None)  # nothing is trained again
    assert train_EDE_Net.ablation(**small) == content
