"""Channel means and deviations of images, for data sets of which none are published."""

import torch
from torch import Tensor

# One step of 8 bits. Where all pixels are alike the deviation would be 0, by which nothing can be divided.
SMALLEST = 1 / 255

Channels = tuple[float, float, float]


def measured(images: Tensor) -> tuple[Channels, Channels]:
    """Mean and standard deviation of each channel over all pixels of uint8 [N, 3, H, W], of pixels in [0, 1].

    Computed in float64 from how often each of the 256 values occurs, so that nothing is lost over many images. A
    deviation is at least `SMALLEST`.
    """
    values = torch.arange(256, dtype=torch.float64) / 255
    means, deviations = [], []
    for channel in images.unbind(dim=1):
        counts = channel.flatten().bincount(minlength=256).double()
        mean = counts @ values / counts.sum()
        means.append(float(mean))
        deviations.append(max(float((counts @ (values - mean) ** 2 / counts.sum()).sqrt()), SMALLEST))
    return tuple(means), tuple(deviations)
