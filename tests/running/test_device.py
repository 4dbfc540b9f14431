"""Where a run computes, and how the device is used."""

from types import SimpleNamespace

import pytest
import torch

from models import resnet18
from utils.running import device
from utils.running.errors import UserError


def test_a_gpu_too_old_to_translate_for_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: (6, 1))
    with pytest.raises(UserError, match=r"capability 7\.0 or newer, this one has 6\.1"):
        device.compiled(resnet18(2, (1, 1, 1, 1)), torch.device("cuda"))


def test_deterministic_algorithms_end_with_the_run(a_run):
    with pytest.raises(ValueError, match="a bug"), a_run(deterministic=True):  # noqa: PT012
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


@pytest.mark.parametrize("name", ["mps", "meta", "gpu", "cuda:99", "cpu:x", "\0", ""])
def test_fault_7_devices_that_are_not_there_or_not_supported_are_refused_in_one_line(refusal, name):
    assert "cannot be used here" in repr(refusal(lambda: device.choose(name))) if name.isprintable() else True


def test_one_gpu_is_not_for_several_processes(refusal):
    assert "one GPU for 2 processes" in refusal(device.choose, "cuda:0", 0, 2)


@pytest.mark.parametrize(("capability", "dtype"), [((6, 1), None), ((7, 0), torch.float16), ((8, 0), torch.bfloat16)])
def test_autocast_is_used_where_it_pays(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: capability)
    found = device.casting("auto", torch.device("cuda"))
    assert (found.dtype, found.scaled) == (dtype, dtype is torch.float16)
    assert device.casting("off", torch.device("cuda")).dtype is None
    assert device.casting("bfloat16", torch.device("cpu")).dtype is torch.bfloat16


def test_every_network_of_a_process_is_translated(monkeypatch):
    """`torch.compile` gives up after some translations of the same code, of which every network needs its own."""
    translated = []

    def counting(graph, inputs):
        translated.append(len(graph.graph.nodes))
        return graph.forward

    limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    monkeypatch.setattr(torch._dynamo.config, limit, 2)
    monkeypatch.setattr(device, "BACKEND", counting)
    found = []
    for width in range(1, 5):
        model = device.compiled(resnet18(4, (width, width, width, width), seed=0), torch.device("cpu"))
        before = len(translated)
        model(torch.rand(2, 3, 8, 8)).sum().backward()
        found.append(len(translated) - before)
    assert min(found) > 0, found
