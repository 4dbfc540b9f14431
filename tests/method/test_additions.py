"""The recipes with additions, DER and the ablation in small: whole runs on stand-in images."""

import json

import pytest
import torch
from PIL import Image

import train_classifier
import train_EDE_Net
from datasets import stand_ins
from models import EDENet
from utils.method import training
from utils.results import figures
from utils.running import checkpoint
from utils.running.errors import Interrupted, UserError
from utils.running.interrupt import Interruption

TINY = {
    "split_list": [0, 2, 4, 6],
    "split_type": "s0-t3",
    "rehearsal_size": 12,
    "widths": (4, 4, 6, 8),
    "epochs": 2,
    "distill_epochs": 1,
    "batch_size": 8,
    "unlabeled_batch_size": 4,
    "other_exemplars": 2,
    "min_width": 2,
}
FINETUNING = {"finetune_epochs": 2, "finetune_batch_size": 8}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Both stages of `cpu-plus` over three tasks."""
    root = tmp_path_factory.mktemp("additions")
    sets = ("cifar100", "cifar10")
    stand_ins.write(root / "data", train_per_class=10, test_per_class=3, classes=6, sets=sets)
    for script in (train_classifier, train_EDE_Net):
        script.train_model(**options(root, root))
    return root


def options(root, runs, **more):
    shared = {"recipe": "cpu-plus", "data_root": str(root / "data"), "checkpoint_root": str(runs), "device": "cpu"}
    return {**TINY, **FINETUNING, **shared, **more}


def weights(folder):
    return {path.name: checkpoint.read(path, None)["model"] for path in sorted(folder.rglob("*.pt"))}


def test_later_tasks_see_the_exemplars_of_stage_two_and_no_other_old_image(root, monkeypatch, tmp_path):
    seen, fit = {}, training.fit

    def noting(model, batches, *arguments, **more):
        seen[arguments[3]] = batches.parts
        return fit(model, batches, *arguments, **more)

    monkeypatch.setattr(training, "fit", noting)
    train_classifier.train_model(**options(root, tmp_path))
    for index in (1, 2):
        kept = EDENet.load(next(root.glob("EDE_Net_*")) / f"stage_{index}.pt").meta["exemplars"]["images"]
        name = f"{TINY['split_list'][index]}to{TINY['split_list'][index + 1]}"
        for phase in ("training", "distillation1"):
            _, old, unlabelled = seen[f"task {name}, {phase}"]
            assert torch.equal(old.images, kept)
            assert unlabelled.labels is None
    assert len(seen["task 0to2, training"]) == 2  # no task before, no exemplars


def test_sub_models_join_without_the_other_output(root):
    stage_one = checkpoint.read(next(root.glob("classifier_*")) / "model_2to4_prune.pt", "classifier")
    assert stage_one["num_classes"] == 3
    assert EDENet.load(next(root.glob("EDE_Net_*")) / "stage_3.pt").classes_per_task == [2, 2, 2]


def test_interrupted_anywhere_the_additions_end_with_the_same_bits(root, monkeypatch, tmp_path):
    update, count = training.Updates.update, []

    def stopping(self, *arguments):
        count.append(1)
        if len(count) % 5 == 0:
            Interruption.requested = 2
        return update(self, *arguments)

    monkeypatch.setattr(training.Updates, "update", stopping)
    for script in (train_classifier, train_EDE_Net):
        for _ in range(60):
            try:
                script.train_model(**options(root, tmp_path))
                break
            except Interrupted:
                continue
    one, other = weights(root), weights(tmp_path)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name][key], other[name][key]) for name in one for key in one[name])


def test_stage_one_and_two_have_to_agree_in_the_memory(root, tmp_path):
    more = {"rehearsal_size": 24, "classifier_root": str(root), "checkpoint_root": str(tmp_path)}
    with pytest.raises(UserError, match="rehearsal_size"):
        train_EDE_Net.train_model(**options(root, tmp_path, **more))


def test_exemplars_that_stage_two_has_yet_to_choose_are_refused(root, tmp_path):
    with pytest.raises(UserError, match="herding"):
        train_classifier.train_model(**options(root, tmp_path, exemplars="herding"))


def test_der_freezes_what_it_has_and_is_counted_again_as_reported(root, tmp_path):
    results = train_EDE_Net.baseline("der", **options(root, tmp_path))
    folder = next(tmp_path.glob("baseline_der_*"))
    first, second = (checkpoint.read(folder / f"stage_{t}.pt", "der")["model"] for t in (1, 2))
    frozen = [name for name in first if name.startswith("submodels.0.stages") and name.endswith("weight")]
    assert all(torch.equal(first[name], second[name]) for name in frozen)
    rows = torch.cat([second[f"submodels.{number}.head.weight"] for number in (0, 1)], dim=1).norm(dim=1)
    old = len(first["submodels.0.head.bias"])
    assert rows[old:].mean().item() == pytest.approx(rows[:old].mean().item(), rel=1e-5), "the new rows are aligned"
    assert len(results["seen_accuracy"]) == 3
    train_EDE_Net.evaluate(str(folder), data_root=str(root / "data"))
    Image.new("RGB", (40, 30)).save(tmp_path / "image.png")
    found = train_EDE_Net.predict(str(tmp_path / "image.png"), checkpoint=str(folder / "stage_3.pt"))
    assert len(found) == 5


def test_ablation_adds_one_after_the_other_and_goes_on(root, tmp_path, monkeypatch):
    for name in ("stage_one", "stage_two", "exemplars"):
        monkeypatch.setattr(figures, name, lambda *arguments: None)  # they take longer than so small trainings
    small = options(root, tmp_path, epochs=1, split_list=[0, 2, 4], split_type="s0-t2", seeds=[0])
    content = train_EDE_Net.ablation(**small)
    parts = [tuple(cell["parts"].values()) for cell in content["cells"] if cell["parts"]["stage two"]]
    assert parts == [(i > 0, i > 1, i > 2, True) for i in range(4)]
    whole = json.loads(next(tmp_path.glob("ablation_*/seed_0/*distilled/EDE_Net_*/results.json")).read_text())
    assert content["cells"][-2]["last_accuracy"]["mean"] == whole["last_accuracy"]
    monkeypatch.setattr(training, "fit", None)  # nothing is trained again
    assert train_EDE_Net.ablation(**small) == content
