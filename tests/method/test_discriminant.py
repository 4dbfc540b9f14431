"""The discriminant that is added to the joined network's logits."""

import torch
from torch.distributions import MultivariateNormal

from datasets.images import Images
from datasets.memory import Memory
from tests.models.networks import joined
from utils.method import discriminant

GENERATOR = torch.Generator().manual_seed(0)


def test_outputs_are_log_densities_of_gaussians_with_one_shrunken_covariance():
    labels = torch.tensor([0] * 5 + [1] * 9 + [2] * 7)
    features = torch.randn(21, 4, generator=GENERATOR).double() + labels[:, None]
    weights, biases = discriminant.discriminant(features, labels, shrinkage=0.3)

    means = [features[:5].mean(dim=0), features[5:14].mean(dim=0), features[14:].mean(dim=0)]
    apart = [row - means[label] for row, label in zip(features, labels, strict=True)]
    within = sum(torch.outer(row, row) for row in apart) / 21
    covariance = 0.7 * within + 0.3 * within.diagonal().diag()
    new = torch.randn(6, 4, generator=GENERATOR).double()
    wanted = torch.stack([MultivariateNormal(mean, covariance).log_prob(new) for mean in means], dim=1)
    torch.testing.assert_close((new @ weights.T + biases).softmax(dim=1), wanted.softmax(dim=1))


def test_it_is_of_the_exemplars_features_averaged_as_predictions_are_and_added_to_the_logits():
    net, plain = joined(2, 3), joined(2, 3)
    net.flip_average = plain.flip_average = True
    images = torch.randint(0, 256, (15, 3, 32, 32), dtype=torch.uint8, generator=GENERATOR)
    kept = Images(images, torch.arange(15) // 3, torch.arange(15))
    discriminant.add(net, Memory(15, classes=[kept.select(kept.labels == label) for label in range(5)]), weight=0.5)
    x = images / 255
    with torch.no_grad():
        features = (plain.features(x, every_stage=True) + plain.features(x.flip(3), every_stage=True)) / 2
        weights, biases = discriminant.discriminant(features, kept.labels)
        wanted = plain(x) + 0.5 * (features.double() @ weights.T + biases)
        torch.testing.assert_close(net(x).double(), wanted.double(), rtol=1e-3, atol=1e-3)
        assert torch.equal(net.train()(x), plain.train()(x)), "not in training"
    single = Memory(5, classes=[kept.select(torch.tensor([3 * label])) for label in range(5)])
    discriminant.add(plain, single, weight=0.5)
    assert plain.discriminant is None, "of one exemplar a class there is none"
