"""An artefact is done when its record says that it was made from what is wanted; whatever else is there is refused."""

import json

import pytest
import torch

from models import ResNet18
from tests.models.networks import network
from tests.running.conftest import files, save
from utils.running import checkpoint

WANTED = {"lr": 0.1, "images": "x", "sub-model": "one", "epochs": 0}


def weights(run, name, **made_from):
    return checkpoint.fingerprint(run.artefact(name, made_from).load(ResNet18).state_dict())


@pytest.mark.parametrize("kept", [("model_a.pt", "model_a.json"), ("model_a.pt",), ("unfinished/model_a.training.pt",)])
def test_4_and_7_what_is_recorded_as_wanted_is_done_and_anything_else_refused_with_names_and_the_two_ways_out(
    a_run, tmp_path, refusal, kept
):
    """Issue 13.4 and 13.7, issue 11 fault 2: also without its record."""
    with a_run() as run:
        artefact = run.artefact("model_a", WANTED)
        artefact.save(network(), {"widths": (1, 2)})
        artefact.save_training({"model": network().state_dict()})
        for name in set(files(run.folder)) - {*kept}:
            (run.folder / name).unlink()
    with a_run() as run:
        artefact = run.artefact("model_a", WANTED)
        assert artefact.done == ("model_a.json" in kept)
        assert not artefact.done or artefact.results == {"widths": [1, 2]}
        assert (artefact.saved_training() is not None) == (kept[0].startswith("unfinished"))
        message = refusal(lambda: run.artefact("model_a", {**WANTED, "images": "y", "new": 1}).saved_training())
    assert "lr" not in message
    differing = ('images (there "x", now "y")', "new (there null, now 1)")
    for part in (*differing, str(tmp_path / "run" / kept[-1]), "another checkpoint_root", "restart=True"):
        assert part in message


def test_14_a_record_that_is_not_what_was_written_is_named(a_run, refusal):
    """Issue 13.14: a key that is missing, another type, another number; whatever it is."""
    with a_run() as run:
        save(run, "model_a", {"test_accuracy": 50.0, "history": [{"loss": 1.0}]}, lr=0.1)
        path = run.folder / "model_a.json"
        good = json.loads(path.read_text())
        wrongs = [{**good, name: value} for name in good for value in (None, 3)]
        wrongs += [{name: good[name] for name in good if name != left} for left in good]
        wrongs += [{**good, "results": {**good["results"], "test_accuracy": 51.0}}, [], {}]
        for wrong in wrongs:
            path.write_text(json.dumps(wrong))
            assert str(path) in refusal(run.artefact, "model_a", {"lr": 0.1})


def test_3_weights_that_are_not_finite_are_never_written(a_run, tmp_path, refusal):
    """Issue 13.3."""
    spoilt = network()
    torch.nn.init.constant_(spoilt.head.bias, float("nan"))
    with a_run() as run:
        artefact = run.artefact("model_a", {})
        assert "learning rate" in refusal(artefact.save, spoilt, {})
        assert "learning rate" in refusal(artefact.save_training, {"model": spoilt.state_dict()})
        assert not artefact.done
    assert files(tmp_path / "run") == {}


@pytest.mark.parametrize("damage", ["pt cut", "json cut", "pt of another"])
def test_what_a_sibling_made_from_the_same_is_taken_over_and_a_damaged_one_passed_by_and_named(a_run, tmp_path, damage):
    for name in ("run_0", "run_1"):
        with a_run(name) as run:
            made = save(run, "model_a", lr=0.1)
            save(run, "model_b", seed=1, lr=0.1)
    damaged, before = tmp_path / "run_0" / f"model_a.{damage.split()[0]}", files(tmp_path / "run_1")
    other = (tmp_path / "run_0" / "model_b.pt").read_bytes()
    damaged.write_bytes(damaged.read_bytes()[:-200] if "cut" in damage else other)
    with a_run("run_2", siblings="run_*") as run:
        assert run.artefact("model_a", {"lr": 0.1}).done
        assert not run.artefact("model_b", {"lr": 0.2}).done
        assert weights(run, "model_a", lr=0.1) == made.fingerprint
    assert set(files(tmp_path / "run_2")) == {"model_a.pt", "model_a.json"}
    assert str(damaged) in (tmp_path / "run_2" / "log.txt").read_text()
    assert files(tmp_path / "run_1") == before
    with a_run("run_3", siblings="run_*", restart=True) as run:
        assert not run.artefact("model_a", {"lr": 0.1}).done
    with a_run("run_4", siblings="run_*", dry_run=True) as run:
        assert weights(run, "model_a", lr=0.1) == made.fingerprint
    assert not (tmp_path / "run_4").exists()


def test_fault_1_nothing_is_taken_over_that_does_not_belong_to_what_is_there(a_run, refusal):
    """Issue 11 fault 1: a compressed network of another teacher; and a network beside which its record lies no more."""
    with a_run("run_1") as run:
        teacher = save(run, "model_a", lr=0.1)
        save(run, "model_a_prune", teacher=teacher.fingerprint)
    with a_run("run_2", siblings="run_*") as run:
        own = save(run, "model_a", seed=1, lr=0.2)
        assert not run.artefact("model_a_prune", {"teacher": own.fingerprint}).done
        (run.folder / "model_a.json").unlink()
        assert "made from something else" in refusal(run.artefact, "model_a", {"lr": 0.1})
