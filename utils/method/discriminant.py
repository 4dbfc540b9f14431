"""A linear discriminant over the features of all sub-models, added to the joined network's logits.

A head sees the last features of its own sub-model alone, and what tells its task from the others is learned from few
exemplars. They are too few to train one layer over the features of all sub-models and residual stages, but enough for
its closed form: linear discriminant analysis with a covariance shared by all classes, as in Deep SLDA (Hayes & Kanan
2020, arXiv 1909.01520, section 3).
"""

from functools import partial

import torch
from torch import Tensor, nn

from datasets.memory import Memory
from models.ede_net import EDENet
from utils.method import training

SHRINKAGE = 0.3  # γ below
SMALLEST_VARIANCE = 1e-8  # of a channel that is the same in all images


def discriminant(features: Tensor, labels: Tensor, shrinkage: float = SHRINKAGE) -> tuple[Tensor, Tensor]:
    """Weights and biases of the classes' log-probabilities, up to what all classes of an image have in common.

    With μ_k the mean of a class, Σ the covariance around the classes' means, and Λ the inverse of (1−γ)·Σ + γ·diag(Σ)
    (Schäfer & Strimmer 2005, "A shrinkage approach to large-scale covariance matrix estimation", target D), a class has
    the weights Λμ_k and the bias −½·μ_k·Λμ_k.

    Args:
        features: [N, D], of at least one image of each class.
        labels: int64 [N], 0..C−1.

    Returns: float64 [C, D] and [C].
    """
    features, count = features.double(), int(labels.max()) + 1
    means = torch.stack([features[labels == label].mean(dim=0) for label in range(count)])
    centred = features - means[labels]
    covariance = centred.T @ centred / len(features)
    variances = covariance.diagonal() + SMALLEST_VARIANCE
    weights = torch.linalg.solve((1 - shrinkage) * covariance + shrinkage * variances.diag(), means.T).T
    return weights, -0.5 * (weights * means).sum(dim=1)


@torch.no_grad()
def add(net: EDENet, memory: Memory, weight: float) -> None:
    """Gives the network the discriminant of the exemplars of all its classes, times `weight`.

    None where no class has two, which tell nothing of how a class varies.
    """
    kept, where = memory.images(), next(net.parameters()).device
    if len(kept) <= net.num_classes:
        return
    features_of = partial(net.eval().averaged, partial(net.features, every_stage=True))
    features = training.outputs(features_of, kept.images, where)
    found = discriminant(features, kept.labels.to(where))
    net.discriminant = nn.Linear(features.shape[1], net.num_classes).to(where)
    for parameter, values in zip((net.discriminant.weight, net.discriminant.bias), found, strict=True):
        parameter.copy_(weight * values)
