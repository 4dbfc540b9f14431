"""Batch-norm over a batch that several processes share: the statistics are those of all its rows.

PyTorch's `SyncBatchNorm` does the same on GPUs only; this one runs wherever `torch.distributed` does. Without it a
process would normalise its rows by their own means, and the losses would not be those of one process with all rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from utils.distributed import Team


class _Sum(torch.autograd.Function):
    """Sum over the processes. Each one's value reaches every loss, so the gradient is the sum of all gradients."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, value: Tensor) -> Tensor:
        total = value.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """A batch-norm that in training normalises [B, C, H, W] by the means and deviations over all processes' rows.

    The momentum may be 0 (running statistics stay as they are), but not None.
    """

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> "GlobalBatchNorm2d":
        """One that shares the parameters, statistics and mode of `norm`."""
        this = cls(norm.num_features, norm.eps, norm.momentum, device="meta")
        this._parameters, this._buffers, this.training = norm._parameters, norm._buffers, norm.training
        return this

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        # First the mean and then the deviations from it: E[x²] - E[x]² would lose digits where the mean is large.
        rows = values.new_full((1,), values.numel() / values.shape[1])
        sums = _Sum.apply(torch.cat([values.sum(dim=(0, 2, 3)), rows]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(1, -1, 1, 1)
        variance = _Sum.apply(centred.square().sum(dim=(0, 2, 3))) / count
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * count / (count - 1), self.momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(x.dtype)


@contextmanager
def global_statistics(model: nn.Module, team: Team) -> Iterator[None]:
    """Within this block the model's batch-norms see the rows of all processes; names and weights stay the same."""
    if team.alone:
        yield
        return
    found = [
        (parent, name, norm)
        for parent in model.modules()
        for name, norm in parent.named_children()
        if isinstance(norm, nn.BatchNorm2d)
    ]
    try:
        for parent, name, norm in found:
            setattr(parent, name, GlobalBatchNorm2d.of(norm))
        yield
    finally:
        for parent, name, norm in found:
            norm.train(getattr(parent, name).training)
            setattr(parent, name, norm)
