"""How a device is used: translated networks, deterministic algorithms, images that live elsewhere."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from datasets.augment import Transform
from datasets.batches import Batches, Part, moved
from models import EDENet, resnet18
from utils import device, training
from utils.console import Console
from utils.errors import UserError
from utils.mixmatch import mixmatch
from utils.mixup import mixup
from utils.recipes import Settings
from utils.run import Run

CPU = torch.device("cpu")
PLAN = training.Schedule(
    lr=1e-2, weight_decay=5e-4, clip_norm=5.0, amp="off", epochs=2, evaluate_every=1, evaluate_last=1, save_every=1
)


def images(count: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 8, 8), generator=torch.Generator().manual_seed(0)).byte()


def parts() -> list[Part]:
    return [Part(images(8), torch.arange(8) % 4, 4, Transform(1)), Part(images(6), None, 2, Transform(1), views=2)]


@pytest.mark.parametrize("kind", ["mixmatch", "joined"])
def test_a_translated_network_learns_the_same(monkeypatch, kind):
    monkeypatch.setattr(device, "BACKEND", "eager")  # traced and translated back to PyTorch's own calls

    def trained(compile: bool) -> dict:
        if kind == "mixmatch":
            model, objective, rows = resnet18(4, (2, 2, 2, 2), seed=0), mixmatch(4, 0.75, 0.5, 10.0), parts()
        else:
            model = EDENet(resnet18(2, (2, 2, 2, 2), seed=seed) for seed in range(2))
            objective, rows = mixup(4, 0.75), parts()[:1]
        plan = replace(PLAN, compile=compile)
        training.fit(model, Batches(rows, 2, key=(0,)), objective, plan, Console(quiet=True), "test", lambda m: 0.0)
        return model.state_dict()

    plain, translated = trained(False), trained(True)
    assert plain.keys() == translated.keys()
    for name, value in plain.items():
        assert torch.allclose(value.float(), translated[name].float(), atol=1e-5), name


def test_evaluation_is_never_translated(monkeypatch):
    seen = []

    def translated(model, where):
        seen.append(model)
        return torch.nn.Sequential(model)

    monkeypatch.setattr(device, "compiled", translated)
    model, judged = resnet18(4, (2, 2, 2, 2), seed=0), []
    plan = replace(PLAN, compile=True)
    batches = Batches(parts()[:1], 2, key=(0,))
    training.fit(model, batches, mixup(4, 0.75), plan, Console(quiet=True), "test", lambda m: judged.append(m) or 0.0)
    assert seen == [model]
    assert judged == [model] * 2


def test_a_gpu_too_old_to_translate_for_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: (6, 1))
    with pytest.raises(UserError, match=r"capability 7\.0 or newer, this one has 6\.1"):
        device.compiled(resnet18(2, (1, 1, 1, 1)), torch.device("cuda"))


def test_deterministic_algorithms_end_with_the_run(tmp_path):
    assert not torch.are_deterministic_algorithms_enabled()
    run = Run(tmp_path, Settings(device="cpu", deterministic=True), 1, {})
    with pytest.raises(ValueError, match="a bug"), run:  # noqa: PT012
        assert torch.are_deterministic_algorithms_enabled()
        raise ValueError("a bug")
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize("deterministic", [False, True])
def test_on_cuda_the_fastest_or_the_same_algorithms_are_chosen(monkeypatch, deterministic):
    chosen = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    before = torch.backends.cudnn.benchmark
    with device.prepared(torch.device("cuda:1"), deterministic):
        assert torch.backends.cudnn.benchmark is not deterministic
        assert torch.backends.cuda.matmul.allow_tf32
        with device.full_precision():
            assert not torch.backends.cudnn.benchmark
            assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.benchmark == before
    assert not torch.backends.cuda.matmul.allow_tf32
    assert chosen == [torch.device("cuda:1")]


@pytest.mark.parametrize(
    ("name", "rank", "expected"), [("cuda", 1, "cuda:1"), ("auto", 2, "cuda:2"), ("cpu", 1, "cpu")]
)
def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch, name, rank, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = []
    monkeypatch.setattr(torch, "zeros", lambda *size, device: asked.append(device) or SimpleNamespace(item=lambda: 0))
    assert str(device.choose(name, rank)) == expected
    assert asked == [torch.device(expected)]


def test_images_on_the_cpu_reach_a_gpu_through_pinned_memory():
    calls = []
    pinned = SimpleNamespace(to=lambda where, non_blocking: calls.append((str(where), non_blocking)) or "there")
    rows = SimpleNamespace(device=CPU, pin_memory=lambda: calls.append("pinned") or pinned)
    assert moved(rows, torch.device("cuda:0")) == "there"
    assert calls == ["pinned", ("cuda:0", True)]


def test_batches_are_made_where_they_are_asked_for(monkeypatch):
    """ "meta" stands for a GPU: what is sent there is uint8, a batch at a time."""
    sent = []
    monkeypatch.setattr("datasets.batches.moved", lambda rows, where: sent.append((rows, str(where))) or rows)
    batches = Batches(parts(), 2, key=(0,))
    batches.device = torch.device("cpu")
    batches.draw(0)
    copied = [rows for rows, where in sent if rows.dtype == torch.uint8]
    assert [len(rows) for rows in copied] == [4, 2], "each image once, however many views are made of it"


def test_images_kept_on_the_cpu_give_the_same_batches():
    here, asked = Batches(parts(), 2, key=(0,)), Batches(parts(), 2, key=(0,), device="cpu")
    for one, other in zip(here.draw(3), asked.draw(3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one.views, other.views, strict=True))


def test_every_network_of_a_process_is_translated(monkeypatch):
    """`torch.compile` gives up after some translations of the same code, of which every network needs its own."""
    translated = []

    def counting(graph, inputs):
        translated.append(len(graph.graph.nodes))
        return graph.forward

    monkeypatch.setattr(device, "BACKEND", counting)
    found = []
    for width in range(1, 11):
        model = device.compiled(resnet18(4, (width, width, width, width), seed=0), CPU)
        before = len(translated)
        model(torch.rand(2, 3, 8, 8)).sum().backward()
        found.append(len(translated) - before)
    assert min(found) > 0, found
