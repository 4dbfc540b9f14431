"""MNIST → SVHN → CIFAR-10: whole data sets in sequence, fine-tuned on exemplars alone."""

import shutil
import signal
from types import SimpleNamespace

import pytest
import torch

import trainMTIL
from datasets.memory import Memory
from models import EDENet
from tests.method.runs import answers, images_of, networks, noting_trainings
from tests.models.networks import same_state
from utils.method import sequence, training
from utils.running.errors import Interrupted, UserError
from utils.running.options import settings

pytestmark = pytest.mark.usefixtures("without_figures")

NAMES = ["mnist", "svhn", "cifar10"]


def test_stage_one_trains_each_set_alone_supervised_digits_without_a_flip(finished_sequence, tmp_path, monkeypatch):
    trainings, options = noting_trainings(monkeypatch), {**finished_sequence.options, "checkpoint_root": str(tmp_path)}
    trainMTIL.train_MTIL_classifier(["MNIST", "SVNH", "Cifar10"], **options)
    assert [path.name for path in sorted(tmp_path.rglob("*.pt"))] == [f"model_{name}.pt" for name in sorted(NAMES)]
    assert [len(each.batches.parts) for each in trainings] == [1, 1, 1]
    assert [each.batches.parts[0].transform.flip for each in trainings] == [False, False, True]
    with pytest.raises(UserError, match="num_class=9, but mnist has 10 classes"):
        trainMTIL.train_MTIL_classifier("MNIST", **options, num_class=9)
    with pytest.raises(UserError, match="num_per_class=13, but a class of mnist has 12 training images"):
        trainMTIL.train_EDE_Net(NAMES, **options, num_per_class=13)
    options["lr"], update = 0.01, training.Updates.update
    monkeypatch.setattr(training.Updates, "update", lambda *each: signal.raise_signal(signal.SIGINT) or update(*each))
    with pytest.raises(Interrupted):
        trainMTIL.train_MTIL_classifier(NAMES, **options, restart=True)
    monkeypatch.setattr(training.Updates, "update", update)
    assert len(trainMTIL.train_MTIL_classifier(NAMES, **options)["runs"]) == 3, (
        "a restart, stopped in the first, goes on"
    )


def test_joined_networks_have_thirty_outputs_told_apart_without_a_task_label(finished_sequence):
    nets = networks(finished_sequence.ede_net)
    assert [*nets] == ["model_mnist_2.pt", "model_mnist_svhn_2.pt", "model_mnist_svhn_cifar10_2.pt"]
    net, found = nets["model_mnist_svhn_cifar10_2.pt"], finished_sequence.stage_two["runs"][-1]
    assert net.described["classes_per_task"] == [10, 10, 10]
    for number, name in enumerate(NAMES):
        images, labels = images_of(finished_sequence.options, "test", name)
        right = answers(net, images) == 10 * number + labels
        assert found["accuracy_matrix"][-1][number] == pytest.approx(100 * float(right.double().mean()))
    alone = networks(finished_sequence.classifier)
    assert same_state(nets["model_mnist_2.pt"].submodels[0], alone["model_mnist.pt"])


def test_stage_two_is_fine_tuned_on_exemplars_of_every_set_with_a_floor_on_updates(
    finished_sequence, tmp_path, monkeypatch
):
    folder = shutil.copytree(finished_sequence.root, tmp_path / "root") / "MTIL" / "EDE_Net_resnet18"
    trainings = noting_trainings(monkeypatch)
    options = {**finished_sequence.options, "checkpoint_root": str(tmp_path / "root")}
    results = trainMTIL.train_EDE_Net(["MNIST", "SVNH", "CIFAR-10"], 1, **options)
    runs = {each["configuration"]["num_per_class"]: each for each in results["runs"]}
    assert runs[1]["updates"] == [0, 3, 3]
    for count, each in zip((2, 3), trainings, strict=True):
        parts, kept = each.batches.parts, EDENet.load(folder / f"model_{'_'.join(NAMES[:count])}_1.pt").meta
        assert [part.labels.tolist() for part in parts] == [[*range(10 * k, 10 * k + 10)] for k in range(count)]
        assert torch.equal(torch.cat([part.images for part in parts]), kept["exemplars"]["images"])
        assert [part.transform.flip for part in parts] == [False, False, True][:count]
        assert (sum(part.size for part in parts), each.batches.steps_per_epoch) == (min(32, 10 * count), 1)
        assert each.schedule.epochs == 3, "one batch an epoch"
    few, more = (EDENet.load(folder / f"model_mnist_svhn_cifar10_{count}.pt").meta for count in (1, 2))
    for label in range(30):
        one, two = (each["exemplars"]["indices"][each["exemplars"]["labels"] == label] for each in (few, more))
        assert one.tolist() == two[:1].tolist(), "more exemplars begin with the fewer"


def test_a_batch_holds_as_many_exemplars_of_each_set_but_for_one(finished_sequence):
    chosen, memory = settings({**finished_sequence.options, "finetune_batch_size": 32}, sequence=True), Memory()
    net = EDENet.load(finished_sequence.ede_net / "model_mnist_svhn_cifar10_2.pt")
    memory.load_state_dict(net.meta["exemplars"], 30)
    run = SimpleNamespace(settings=chosen, device=torch.device("cpu"), data_device="cpu")
    batches = sequence.exemplar_batches(run, memory, sequence.tasks(chosen, NAMES))
    assert [part.size for part in batches.parts] == [11, 11, 10]
