"""Where a run computes, and how the device is used."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from utils.running import device, processes


@pytest.mark.parametrize("deterministic", [False, True])
def test_the_switches_are_a_runs_and_end_with_it(monkeypatch, a_run, deterministic):
    chosen, matmul, cudnn = [], torch.backends.cuda.matmul, torch.backends.cudnn
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    before = cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32
    where = torch.device("cuda:1")
    with pytest.raises(ValueError, match="a bug"), device.prepared(where, deterministic):  # noqa: PT012
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert (cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32) == (not deterministic, True, True)
        with device.switched(tf32=False, benchmark=False):
            assert (cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32) == (False, False, False)
        raise ValueError("a bug")
    assert (cudnn.benchmark, matmul.allow_tf32, cudnn.allow_tf32) == before
    assert not torch.are_deterministic_algorithms_enabled()
    assert chosen == [torch.device("cuda:1")]
    with a_run(deterministic=deterministic):
        assert torch.are_deterministic_algorithms_enabled() is deterministic
        assert (matmul.allow_tf32, chosen) == (False, [torch.device("cuda:1")])


@pytest.mark.parametrize(
    ("name", "rank", "expected"), [("cuda", 1, "cuda:1"), ("auto", 2, "cuda:2"), ("cpu", 1, "cpu")]
)
def test_each_process_of_a_machine_has_its_own_gpu(monkeypatch, name, rank, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(processes, "place", lambda: processes.Place(rank, 3, rank))
    asked = []
    monkeypatch.setattr(torch, "zeros", lambda *size, device: asked.append(device) or SimpleNamespace(item=lambda: 0))
    assert str(device.choose(name)) == expected
    assert asked == [torch.device(expected)]


@pytest.mark.parametrize("name", ["mps", "meta", "gpu", "cuda:99", "cpu:x", ""])
def test_fault_7_devices_that_are_not_there_or_not_supported_are_refused_in_one_line(refusal, name):
    assert "cannot be used here" in refusal(device.choose, name)


@pytest.mark.parametrize(("capability", "dtype"), [((6, 1), None), ((7, 0), torch.float16), ((8, 0), torch.bfloat16)])
def test_autocast_is_used_where_it_pays(monkeypatch, capability, dtype):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda where: capability)
    assert device.casting("auto", torch.device("cuda")) is dtype
    assert device.casting("off", torch.device("cuda")) is None
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": capability[0] == 8}, raising=False)
    assert device.casting("auto", torch.device("cpu")) is (torch.bfloat16 if capability[0] == 8 else None)


def test_every_network_of_a_process_is_translated(monkeypatch):
    """`torch.compile` gives up after some translations of the same code, of which every network needs its own."""
    translated = []

    class Network(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 1

    def counting(graph, inputs):
        translated.append(graph)
        return graph.forward

    limit = "recompile_limit" if hasattr(torch._dynamo.config, "recompile_limit") else "cache_size_limit"
    monkeypatch.setattr(torch._dynamo.config, limit, 2)
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=counting))
    for width in range(1, 5):
        device.compiled(Network(width, width))(torch.rand(2, width))
    assert len(translated) == 4
