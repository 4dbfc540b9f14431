"""MixMatch, mixup and plain training against slow versions, row by row."""

import math

import pytest
import torch
from torch import nn

from models import resnet18
from tests.method.linear import Linear, images, rows, slow_softmax
from utils.method.mixmatch import forward_interleaved, guess_labels, mixmatch, mixmatch_loss, sharpen
from utils.method.mixup import mixup, soft_cross_entropy, supervised
from utils.running.randomness import StepRandom

CLASSES, T, ALPHA, LAMBDA_U = 4, 0.5, 0.75, 10.0
OBJECTIVE = mixmatch(CLASSES, ALPHA, T, LAMBDA_U)


def batch(labelled=6, unlabelled=4, views=2):
    return [rows(labelled, 1), rows(unlabelled, 2, views)]


def step(number=0):
    return StepRandom("cpu", 0, "step", number)


def slow_guess(model, views):
    """The paper's eq. 6 and 7 for one image, given its augmentations."""
    p = [slow_softmax(model(view[None])[0].tolist()) for view in views]
    powers = [(sum(each) / len(views)) ** (1 / T) for each in zip(*p, strict=True)]
    return [power / sum(powers) for power in powers]


def slow_mixed(inputs, targets, random):
    """Every row mixed with its partner, in its own proportion: λ·row + (1 − λ)·partner, for images and targets."""
    order, shares = random.permutation(len(inputs)).tolist(), random.mixing(ALPHA, len(inputs)).tolist()
    pairs = [(i, j, λ) for i, (j, λ) in enumerate(zip(order, shares, strict=True))]
    mixed = [λ * inputs[i] + (1 - λ) * inputs[j] for i, j, λ in pairs]
    soft = [[λ * a + (1 - λ) * b for a, b in zip(targets[i], targets[j], strict=True)] for i, j, λ in pairs]
    return torch.stack(mixed), torch.tensor(soft)


def one_hot(labels):
    return [[float(label == c) for c in range(CLASSES)] for label in labels.tolist()]


def slow_inputs_and_targets(model, parts, random):
    x, u = parts
    guesses = [slow_guess(model, views) for views in zip(*u.views, strict=True)]
    inputs = [*x.views[0], *(image for view in u.views for image in view)]
    return slow_mixed(inputs, one_hot(x.labels) + guesses * len(u.views), random)


def slow_cross_entropy(logits, targets):
    found = [
        -sum(b * math.log(a) for a, b in zip(slow_softmax(row), target, strict=True))
        for row, target in zip(logits.tolist(), targets, strict=True)
    ]
    return sum(found) / len(found)


def slow_loss(logits, targets, labelled):
    p, q = [slow_softmax(row) for row in logits.tolist()], targets.tolist()
    square = [sum((a - b) ** 2 for a, b in zip(p[i], q[i], strict=True)) for i in range(labelled, len(p))]
    loss_x = slow_cross_entropy(logits[:labelled], q[:labelled])
    return loss_x + LAMBDA_U * sum(square) / (len(square) * CLASSES)


# --- guessed labels


@pytest.mark.parametrize("temperature", [0.25, 1.0])
def test_sharpening_raises_to_one_over_t_and_normalises(temperature):
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]])
    slow = [[v ** (1 / temperature) / sum(w ** (1 / temperature) for w in row) for v in row] for row in p.tolist()]
    torch.testing.assert_close(sharpen(p, temperature), torch.tensor(slow))


@pytest.mark.parametrize("views", [2, 3])
def test_a_guess_is_the_sharpened_mean_over_the_views_of_the_same_image(views):
    model, pictures = Linear(), [images(4, seed) for seed in range(views)]
    slow = [slow_guess(model, each) for each in zip(*pictures, strict=True)]
    found = guess_labels(model, pictures, T)
    torch.testing.assert_close(found, torch.tensor(slow))
    assert not found.requires_grad


def test_guessing_leaves_the_running_statistics_alone_and_normalises_by_the_batch():
    model = resnet18(CLASSES, (2, 3, 4, 5), seed=0).train()
    views = [images(4, seed, 32) for seed in (0, 1)]
    model(views[0])
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    found = guess_labels(model, views, 1.0)
    for norm, (mean, var) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert torch.equal(norm.running_var, var)
        assert (norm.momentum, norm.training) == (0.1, True)
    by_the_batch = model(torch.cat(views)).softmax(1)
    torch.testing.assert_close(found, (by_the_batch[:4] + by_the_batch[4:]) / 2)
    assert not torch.equal(norms[0].running_mean, before[0][0]), "training goes on updating them"


# --- interleaving


class RowNumbers(nn.Module):
    """Logits that say which row they are of; remembers its sub-batches."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def forward(self, x):
        numbers = x[:, 0, 0, 0]
        self.parts.append(numbers.tolist())
        return torch.stack([numbers, -numbers], dim=1)


def numbered(count):
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous()


@pytest.mark.parametrize(("count", "size"), [(12, 4), (13, 4), (5, 128), (16, 1)])
def test_logits_come_back_row_by_row(count, size):
    model = RowNumbers()
    logits = forward_interleaved(model, numbered(count), size)
    assert logits.tolist() == [[row, -row] for row in range(count)]
    assert sorted(row for part in model.parts for row in part) == list(range(count)), "every row goes through once"


@pytest.mark.parametrize(("labelled", "unlabelled"), [(128, 64), (5, 13)])
def test_every_sub_batch_holds_a_fair_share_of_every_kind_of_row_and_none_is_ragged(labelled, unlabelled):
    count, model = labelled + 2 * unlabelled, RowNumbers()
    forward_interleaved(model, numbered(count), labelled)
    assert len(model.parts) == round(count / labelled) > 1
    kinds = [(0, labelled), (labelled, labelled + unlabelled), (labelled + unlabelled, count), (0, count)]
    for first, last in kinds:
        shares = [sum(first <= row < last for row in part) for part in model.parts]
        assert max(shares) - min(shares) <= 1


# --- the whole step


@pytest.mark.parametrize(("number", "parts"), [(0, (6, 4, 2)), (2, (3, 7, 2)), (3, (6, 4, 3))])
def test_a_step_equals_a_slow_version(number, parts):
    model, rows_of_the_batch = Linear(), batch(*parts)
    outcome = OBJECTIVE(model, rows_of_the_batch, step(number))
    inputs, targets = slow_inputs_and_targets(model, rows_of_the_batch, step(number))
    torch.testing.assert_close(outcome.inputs, inputs)
    torch.testing.assert_close(outcome.logits, model(inputs))
    assert float(outcome.loss.detach()) == pytest.approx(slow_loss(model(inputs), targets, parts[0]), rel=1e-4)
    outcome.loss.backward()
    found, model.weight.grad = model.weight.grad, None
    mixmatch_loss(model(inputs), targets, parts[0], LAMBDA_U).backward()  # here the guessed labels are constants
    torch.testing.assert_close(found, model.weight.grad)


def test_the_forward_pass_is_interleaved_in_sub_batches_as_large_as_the_labelled_part():
    model = Linear()
    OBJECTIVE(model, batch(6, 6), step())
    assert [len(seen) for seen in model.seen] == [12, 6, 6, 6], "a guess of both views, then the training pass"


def test_a_row_stays_nearer_to_itself_than_to_its_partner():
    shares = [share for number in range(50) for share in step(number).mixing(ALPHA, 40).tolist()]
    assert all(0.5 <= share <= 1.0 for share in shares)
    assert len(set(shares)) > 1900, "every row in a proportion of its own"
    assert sum(shares) / 2000 == pytest.approx(0.778, abs=0.015), "the mean of max(λ, 1−λ) for Beta(0.75, 0.75)"


def test_every_weight_learns_under_autocast_and_the_loss_is_in_full_precision():
    """Labels are guessed without a gradient in the same autocast: what was cast there must not be used again."""
    model = resnet18(CLASSES, (4, 4, 8, 8), seed=0).train()
    with torch.autocast("cpu", torch.bfloat16):
        outcome = OBJECTIVE(model, batch(), step())
    assert (outcome.logits.dtype, outcome.loss.dtype) == (torch.bfloat16, torch.float32)
    outcome.loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


# --- without unlabelled images


def test_supervised_training_is_plain_cross_entropy():
    model, x = Linear(), rows(6)
    outcome = supervised(model, [x], step())
    slow = slow_cross_entropy(model(x.views[0]), one_hot(x.labels))
    assert float(outcome.loss.detach()) == pytest.approx(slow, rel=1e-5)
    assert torch.equal(outcome.inputs, x.views[0])
    torch.testing.assert_close(soft_cross_entropy(outcome.logits, torch.tensor(one_hot(x.labels))), outcome.loss)


def test_mixup_mixes_over_all_parts_of_the_batch():
    """Stage two's case: exemplars and current images are mixed with each other too."""
    model, old, new = Linear(), rows(5, 1, classes=2), rows(4, 2)
    outcome = mixup(CLASSES, ALPHA)(model, [old, new], step(3))
    labels = torch.cat([old.labels, new.labels])
    inputs, targets = slow_mixed([*old.views[0], *new.views[0]], one_hot(labels), step(3))
    torch.testing.assert_close(outcome.inputs, inputs)
    torch.testing.assert_close(outcome.logits, model(inputs))
    assert float(outcome.loss.detach()) == pytest.approx(slow_cross_entropy(model(inputs), targets.tolist()), rel=1e-4)
    assert any((i < 5) != (j < 5) for i, j in enumerate(step(3).permutation(9).tolist()))
