"""The recipes with additions and the ablation in small: whole runs on stand-in images."""

import json

import pytest
import torch

import train_classifier
import train_EDE_Net
from datasets import stand_ins
from models import EDENet
from tests.method.runs import identical, noting_trainings, stopping_every, until_it_ends
from utils.method import training
from utils.running import checkpoint
from utils.running.errors import UserError

pytestmark = pytest.mark.usefixtures("without_figures")

TINY = {
    "recipe": "cpu-plus",
    "device": "cpu",
    "split_list": [0, 2, 4],
    "split_type": "s0-t2",
    "rehearsal_size": 8,
    "widths": (4, 4, 6, 8),
    "epochs": 2,
    "distill_epochs": 1,
    "batch_size": 8,
    "unlabeled_batch_size": 4,
    "other_exemplars": 2,
    "min_width": 2,
    "finetune_epochs": 2,
    "finetune_batch_size": 8,
}


IMAGE = torch.zeros(1, 3, 32, 32)


def both_stages(root, runs, **more):
    for script in (train_classifier, train_EDE_Net):
        script.train_model(**options(root, runs, **more))


def options(root, runs, **more):
    return {**TINY, "data_root": str(root / "data"), "checkpoint_root": str(runs), **more}


@pytest.fixture(scope="module")
def root(without_figures, tmp_path_factory):
    """Both stages of `cpu-plus` over two tasks."""
    root = tmp_path_factory.mktemp("additions")
    stand_ins.write(root / "data", train_per_class=10, test_per_class=3, classes=4, sets=("cifar100", "cifar10"))
    both_stages(root, root)
    return root


def test_later_tasks_see_the_exemplars_of_stage_two_and_no_other_old_image(root, monkeypatch, tmp_path):
    trainings = noting_trainings(monkeypatch)
    train_classifier.train_model(**options(root, tmp_path))
    kept = EDENet.load(next(root.glob("EDE_Net_*")) / "stage_1.pt").meta["exemplars"]["images"]
    first, *_ = trainings
    assert len(first.batches.parts) == 2, "no task before, no exemplars"
    for each in trainings:
        if each.title.startswith("task 2to4"):
            _, old, unlabelled = each.batches.parts
            assert torch.equal(old.images, kept)
            assert unlabelled.labels is None


def test_sub_models_join_without_the_other_output(root):
    stage_one = checkpoint.read(next(root.glob("classifier_*")) / "model_2to4_prune.pt", "classifier")
    assert stage_one["num_classes"] == 3
    assert EDENet.load(next(root.glob("EDE_Net_*")) / "stage_2.pt").classes_per_task == [2, 2]


def test_stage_two_leaves_the_early_half_as_it_was_and_predicts_by_the_mean_over_mirror_images(root):
    first, second = (EDENet.load(next(root.glob("EDE_Net_*")) / f"stage_{t}.pt") for t in (1, 2))
    before, after = (net.submodels[0].state_dict() for net in (first, second))
    kept = {name for name in before if torch.equal(before[name], after[name])}
    early = {name for name in before if name.startswith(("mean", "std", "stem", "stages.0.", "stages.1."))}
    assert early <= kept
    assert kept - early == set(), "and all else has learned"
    assert (first.flip_average, second.flip_average) == (True, True)
    assert (first.discriminant, second.discriminant.weight.shape) == (None, (4, second.features(IMAGE).shape[1]))


def test_interrupted_anywhere_the_additions_end_with_the_same_bits(root, monkeypatch, tmp_path):
    stopping_every(monkeypatch, 7)
    assert until_it_ends(lambda: both_stages(root, tmp_path))
    for kind in ("classifier", "EDE_Net"):
        assert identical(*(next(each.glob(f"{kind}_*")) for each in (root, tmp_path)))


def test_stage_one_and_two_have_to_agree_in_the_memory_which_is_known_before_stage_two(root, tmp_path):
    with pytest.raises(UserError, match="rehearsal_size"):
        train_EDE_Net.train_model(**options(root, tmp_path, rehearsal_size=24, classifier_root=str(root)))
    with pytest.raises(UserError, match="herding"):
        train_classifier.train_model(**options(root, tmp_path, exemplars="herding"))


def test_ablation_adds_one_after_the_other_and_goes_on(root, tmp_path, monkeypatch):
    small = options(root, tmp_path, epochs=1, finetune_epochs=1, seeds=[0])
    content = train_EDE_Net.ablation(**small)
    parts = [tuple(cell["parts"].values()) for cell in content["cells"] if cell["parts"]["stage two"]]
    assert parts == [(*(place < count for place in range(5)), True) for count in range(6)]
    whole = json.loads(next(tmp_path.glob("ablation_*/seed_0/*discriminant/EDE_Net_*/results.json")).read_text())
    assert content["cells"][-2]["last_accuracy"]["mean"] == whole["last_accuracy"]
    monkeypatch.setattr(training, "fit", None)  # nothing is trained again
    assert train_EDE_Net.ablation(**small) == content
