"""Where a run computes, in which precision, and how the device is used."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from utils.running.errors import UserError

# With deterministic algorithms cuBLAS wants to be told how much memory it has, before its first product.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

PRECISIONS = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def choose(name: str, local_rank: int = 0, processes: int = 1) -> torch.device:
    """The device called `name`; "auto" is CUDA where there is one, else the CPU.

    Args:
        local_rank: which of a machine's GPUs is this process's, where the name says none.
        processes: how many there are, which cannot all have one GPU.

    Raises: `UserError` if it cannot be used here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    elif ":" in name and processes > 1:
        raise UserError(f'device="{name}" is one GPU for {processes} processes: give "cuda"')
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise ValueError("CPUs and GPUs by CUDA or ROCm are supported")
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, TypeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f'device="{name}" cannot be used here ({reason}): give "auto", "cpu" or "cuda"') from error
    return device


@dataclass(frozen=True)
class Casting:
    """How a training step's forward pass is cast: `dtype` None is full precision; float16 needs a loss scaler."""

    device_type: str
    dtype: torch.dtype | None

    @property
    def scaled(self) -> bool:
        return self.dtype is torch.float16

    def autocast(self) -> AbstractContextManager:
        return torch.autocast(self.device_type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)


def casting(amp: str, device: torch.device) -> Casting:
    """The casting for the option `amp`: "off", "bfloat16", "float16", or "auto".

    "auto" casts where it pays: bfloat16 on GPUs and CPUs with instructions for it, else float16 on GPUs from Volta
    (capability 7.0) on, and not at all on older GPUs, Pascal's for instance, whose float16 units are few.
    """
    if amp == "off":
        return Casting(device.type, None)
    if amp != "auto":
        return Casting(device.type, PRECISIONS[amp])
    if device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
        if capability >= (8, 0):
            return Casting("cuda", torch.bfloat16)
        return Casting("cuda", torch.float16 if capability >= (7, 0) else None)
    return Casting(device.type, torch.bfloat16 if device.type == "cpu" and cpu_multiplies_bfloat16() else None)


# Where `torch.compile` translates to, for the tests: "inductor" needs a C++ compiler on the CPU, and takes its time.
BACKEND = "inductor"


def compiled(model: nn.Module, device: torch.device) -> nn.Module:
    """`model` with its passes translated by `torch.compile`; it shares the weights.

    Raises: `UserError` for a GPU older than capability 7.0, for which there is no translator.
    """
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (7, 0):
        found = ".".join(map(str, torch.cuda.get_device_capability(device)))
        raise UserError(f"compile=True needs a GPU of capability 7.0 or newer, this one has {found}: leave it out")
    torch._dynamo.reset()  # it gives up after some translations of the same code, and every network is another one
    return torch.compile(model, backend=BACKEND)


@contextmanager
def prepared(device: torch.device, deterministic: bool) -> Iterator[None]:
    """The library's switches as a training wants them within this block.

    TF32 products and the fastest convolution, found by trying, on CUDA; with `deterministic` algorithms that give the
    same bits in every run instead of the fastest.
    """
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    if device.type == "cuda":
        torch.cuda.set_device(device)
        matmul.allow_tf32 = cudnn.allow_tf32 = True
        cudnn.benchmark = not deterministic
    if deterministic:
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark, enabled = before
        torch.use_deterministic_algorithms(enabled)


@contextmanager
def full_precision() -> Iterator[None]:
    """float32 products on CUDA are exact ones within this block: no TF32, and the algorithm is not chosen by timing."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark
    matmul.allow_tf32 = cudnn.allow_tf32 = cudnn.benchmark = False
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.benchmark = before


def cpu_multiplies_bfloat16() -> bool:
    """Whether this CPU has bfloat16 dot products (AVX512-BF16 or AMX), as far as this PyTorch can tell."""
    if not hasattr(torch.cpu, "get_capabilities"):
        return False
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))
