"""Every random number is a function of the seed and of what it is for.

No random state is carried from one step to the next: a training's step draws from a generator seeded by (seed, what is
trained, purpose, step). So a resumed run draws what the undisturbed run would have drawn, tasks can be trained in any
order or on different processes, and nothing random has to be saved.
"""

import hashlib

import numpy as np
import torch


def derive(*key: object) -> int:
    """A 32-bit seed from a key of strings and integers, the same on every platform."""
    text = "\x1f".join(str(part) for part in key)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def generator(device: torch.device | str, *key: object) -> torch.Generator:
    """A torch generator on `device` seeded by the key."""
    return torch.Generator(device).manual_seed(derive(*key))


class StepRandom:
    """The random values of one training step: `torch` on the device, `numpy` on the host (for Beta variates)."""

    def __init__(self, device: torch.device | str, *key: object):
        self.torch = generator(device, *key, "torch")
        self.numpy = np.random.default_rng(derive(*key, "numpy"))

    def mixing(self, alpha: float, count: int) -> torch.Tensor:
        """λ' = max(λ, 1−λ) with λ ~ Beta(α, α) for each row: it stays nearer to its first part (MixMatch, eq. 8–9).

        Returns: float32 [count] on the device, in 0.5..1.
        """
        share = self.numpy.beta(alpha, alpha, count).astype(np.float32)
        return torch.from_numpy(np.maximum(share, 1 - share)).to(self.torch.device, non_blocking=True)

    def permutation(self, count: int) -> torch.Tensor:
        """A random order of `count` rows, int64, on the device."""
        return torch.randperm(count, generator=self.torch, device=self.torch.device)
