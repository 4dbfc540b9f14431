"""MixMatch and mixup against slow versions, row by row."""

import math

import pytest
import torch

from tests.method.linear import Linear, images, rows, slow_softmax
from tests.models.networks import changed, network, state_of
from utils.method.mixmatch import forward_interleaved, guess_labels, mixmatch, mixmatch_loss
from utils.method.mixup import mixup
from utils.running.randomness import StepRandom

CLASSES, T, ALPHA, LAMBDA_U = 4, 0.4, 0.75, 10.0
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


def test_guessing_leaves_the_running_statistics_alone_and_normalises_by_the_batch():
    model, views = network(CLASSES).train(), [images(4, seed, 32) for seed in (0, 1)]
    before = state_of(model)
    found = guess_labels(model, views, 1.0)
    assert {name.split(".")[-1] for name in changed(model, before)} == {"num_batches_tracked"}
    by_the_batch = model(torch.cat(views)).softmax(1)
    torch.testing.assert_close(found, (by_the_batch[:4] + by_the_batch[4:]) / 2)
    assert "stem_bn.running_mean" in changed(model, before), "training goes on updating them"


@pytest.mark.parametrize(("labelled", "unlabelled", "parts"), [(128, 64, 2), (5, 13, 6), (9, 1, 1), (1, 8, 17)])
def test_logits_come_back_row_by_row_and_every_sub_batch_holds_a_fair_share_of_every_kind_of_row(
    labelled, unlabelled, parts
):
    count, model = labelled + 2 * unlabelled, Linear()
    numbered = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, 4, 4)
    logits, dealt = forward_interleaved(model, numbered, labelled), [part[:, 0, 0, 0] for part in model.seen]
    torch.testing.assert_close(logits, model(numbered))
    assert len(dealt) == parts
    kinds = [(0, labelled), (labelled, labelled + unlabelled), (labelled + unlabelled, count), (0, count)]
    for first, last in kinds:
        shares = [int(((first <= part) & (part < last)).sum()) for part in dealt]
        assert max(shares) - min(shares) <= 1
        assert sum(shares) == last - first, "every row goes through once"


@pytest.mark.parametrize(
    ("number", "parts", "passes"),
    [(0, (6, 6, 2), [12, 6, 6, 6]), (2, (3, 7, 2), [14, 3, 3, 3, 3, 3, 2]), (3, (6, 4, 3), [12, 6, 6, 6])],
)
def test_a_step_equals_a_slow_version(number, parts, passes):
    """A guess of all views of the same images at once, then the training pass in sub-batches, as many as X fits in."""
    model, (x, u) = Linear(), batch(*parts)
    outcome = OBJECTIVE(model, [x, u], step(number))
    assert [len(seen) for seen in model.seen] == passes
    guesses = [slow_guess(model, views) for views in zip(*u.views, strict=True)]
    images_of_all = [*x.views[0], *(image for view in u.views for image in view)]
    inputs, targets = slow_mixed(images_of_all, one_hot(x.labels) + guesses * len(u.views), step(number))
    torch.testing.assert_close(outcome.inputs, inputs)
    torch.testing.assert_close(outcome.logits, model(inputs))
    assert float(outcome.loss.detach()) == pytest.approx(slow_loss(model(inputs), targets, parts[0]), rel=1e-4)
    outcome.loss.backward()
    found, model.weight.grad = model.weight.grad, None
    mixmatch_loss(model(inputs), targets, parts[0], LAMBDA_U).backward()  # here the guessed labels are constants
    torch.testing.assert_close(found, model.weight.grad)


def test_a_row_stays_nearer_to_itself_than_to_its_partner():
    shares = [share for number in range(50) for share in step(number).mixing(ALPHA, 40).tolist()]
    assert all(0.5 <= share <= 1.0 for share in shares)
    assert len(set(shares)) > 1900, "every row in a proportion of its own"
    assert sum(shares) / 2000 == pytest.approx(0.778, abs=0.015), "the mean of max(λ, 1−λ) for Beta(0.75, 0.75)"


def test_every_weight_learns_under_autocast_and_the_loss_is_in_full_precision():
    """Labels are guessed without a gradient in the same autocast: what was cast there must not be used again."""
    model = network(CLASSES, (4, 4, 8, 8)).train()
    with torch.autocast("cpu", torch.bfloat16):
        outcome = OBJECTIVE(model, batch(), step())
    assert (outcome.logits.dtype, outcome.loss.dtype) == (torch.bfloat16, torch.float32)
    outcome.loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []


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
