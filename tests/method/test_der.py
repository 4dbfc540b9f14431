"""DER's network and loss."""

import pytest
import torch

from datasets.batches import Rows
from models.der import DERNet, WithAuxiliary
from models.resnet import ResNet18
from utils.method.baselines import with_auxiliary
from utils.method.mixup import mix, soft_cross_entropy
from utils.running.randomness import StepRandom

WIDTHS = (4, 4, 4, 6)


def grown() -> DERNet:
    """After the expansion for a second task: two and three classes."""
    net = DERNet()
    net.expand(ResNet18(2, WIDTHS, seed=0), seed=0)
    net.expand(ResNet18(3, WIDTHS, seed=1), seed=1)
    return net


def head_rows(net: DERNet) -> torch.Tensor:
    """The linear layer over all features: [number of classes, sum of the last widths]."""
    return torch.cat([submodel.head.weight for submodel in net.submodels], dim=1)


def test_one_linear_layer_over_all_features_whose_new_rows_are_scaled_to_the_mean_length_of_the_old():
    net, images = grown().eval(), torch.rand(4, 3, 16, 16)
    net.submodels[1].head.weight.data[2:] *= 7
    before = head_rows(net).detach().clone()
    net.align(2)
    lengths = head_rows(net).norm(dim=1)
    assert lengths[2:].mean().item() == pytest.approx(lengths[:2].mean().item(), rel=1e-5)
    assert torch.equal(head_rows(net)[:2], before[:2])
    bias = net.submodels[0].head.bias  # one is enough
    torch.testing.assert_close(net(images), net.features(images) @ head_rows(net).T + bias)
    assert net.num_classes == 5
    torch.testing.assert_close(WithAuxiliary(net, new=3, seed=0)(images)[0], net(images))


def test_auxiliary_loss_takes_all_old_classes_for_one():
    model = WithAuxiliary(grown(), new=3, seed=0).eval()
    rows = Rows([torch.rand(7, 3, 16, 16)], torch.tensor([0, 1, 0, 1, 2, 3, 4]))
    outcome = with_auxiliary(2, 5, 0.75)(model, [rows], StepRandom("cpu", "step"))
    random = StepRandom("cpu", "step")
    order, share = random.permutation(7), random.mixing(0.75, 7)
    inputs, targets = mix(rows.views[0], torch.eye(5)[rows.labels], order, share)
    _, merged = mix(rows.views[0], torch.eye(4)[[0, 0, 0, 0, 1, 2, 3]], order, share)
    logits, auxiliary = model(inputs)
    expected = soft_cross_entropy(logits, targets) + soft_cross_entropy(auxiliary, merged)
    assert outcome.loss.item() == pytest.approx(expected.item(), rel=1e-5)
