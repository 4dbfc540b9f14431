"""Where a run computes, in which precision, and how the device is used."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from utils.running import processes
from utils.running.errors import UserError

# With deterministic algorithms cuBLAS wants to be told how much memory it has, before its first product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def choose(name: str) -> torch.device:
    """The device called `name`; "auto" is CUDA where there is one, else the CPU. "cuda" is this process's GPU.

    Raises: `UserError` if it cannot be used here, or is one GPU for several processes.
    """
    place = processes.place()
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{place.local_rank}"
    elif ":" in name and place.size > 1:
        raise UserError(f'device="{name}" is one GPU for {place.size} processes: give "cuda"')
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError("CPUs and GPUs by CUDA or ROCm are supported")
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'device="{name}" cannot be used here ({reason}): give "auto", "cpu" or "cuda"') from error
    return device


def casting(amp: str, device: torch.device) -> torch.dtype | None:
    """What a training step's forward pass is cast to by the option `amp`: "off", "bfloat16", "float16", or "auto".

    None is full precision; float16 needs a loss scaler. "auto" casts where it pays: bfloat16 on GPUs and CPUs with
    instructions for it, else float16 on GPUs from Volta (capability 7.0) on, and not at all on older GPUs, Pascal's for
    instance, whose float16 units are few.
    """
    if amp == "auto" and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        amp = "bfloat16" if capability >= (8, 0) else "float16" if capability >= (7, 0) else "off"
    elif amp == "auto":
        found = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
        amp = "bfloat16" if found.get("avx512_bf16") or found.get("amx_bf16") else "off"
    return {"bfloat16": torch.bfloat16, "float16": torch.float16, "off": None}[amp]


def compiled(model: nn.Module) -> nn.Module:
    """`model` with its passes translated by `torch.compile`; it shares the weights."""
    torch._dynamo.reset()  # it gives up after some translations of the same code, and every network is another one
    return torch.compile(model)


@contextmanager
def switched(tf32: bool, benchmark: bool) -> Iterator[None]:
    """Within this block, whether products on CUDA may be in TF32 instead of exact float32, and whether cuDNN chooses a
    convolution's algorithm by timing."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = tf32
    cudnn.benchmark = benchmark
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


@contextmanager
def prepared(device: torch.device, deterministic: bool) -> Iterator[None]:
    """The library's switches as a training wants them within this block.

    TF32 products and the fastest convolution, found by trying, on CUDA; with `deterministic` algorithms that give the
    same bits in every run instead of the fastest.
    """
    cuda, before = device.type == "cuda", torch.are_deterministic_algorithms_enabled()
    if cuda:
        torch.cuda.set_device(device)
    torch.use_deterministic_algorithms(deterministic or before)
    try:
        with switched(tf32=cuda, benchmark=cuda and not deterministic):
            yield
    finally:
        torch.use_deterministic_algorithms(before)
