"""MixMatch against slow versions, row by row."""

import math

import pytest
import torch
from torch import nn

from datasets.batches import Rows
from models import resnet18
from utils.mixmatch import forward_interleaved, guess_labels, mixmatch, mixmatch_loss, sharpen
from utils.mixup import mix, mixup, soft_cross_entropy, supervised
from utils.randomness import StepRandom

CLASSES, T, ALPHA, LAMBDA_U = 4, 0.5, 0.75, 10.0


class Linear(nn.Module):
    """Logits that depend on a row alone, not on the batch around it."""

    def __init__(self, seed=0, classes=CLASSES):
        super().__init__()
        weight = torch.randn(3 * 4 * 4, classes, generator=torch.Generator().manual_seed(seed))
        self.weight = nn.Parameter(weight)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach().clone())
        return x.flatten(1) @ self.weight


def images(count, seed=0):
    return torch.rand(count, 3, 4, 4, generator=torch.Generator().manual_seed(seed))


def batch(labelled=6, unlabelled=4):
    labels = torch.arange(labelled) % CLASSES
    return [Rows([images(labelled, 1)], labels), Rows([images(unlabelled, 2), images(unlabelled, 3)], None)]


def step(number=0):
    return StepRandom("cpu", 0, "step", number)


def slow_softmax(logits):
    powers = [math.exp(value - max(logits)) for value in logits]
    return [power / sum(powers) for power in powers]


def slow_guess(model, one, two):
    """The paper's eq. 6 and 7 for one image, given two augmentations of it."""
    p = [slow_softmax(model(view[None])[0].tolist()) for view in (one, two)]
    mean = [(a + b) / 2 for a, b in zip(*p, strict=True)]
    powers = [value ** (1 / T) for value in mean]
    return [power / sum(powers) for power in powers]


def slow_inputs_and_targets(model, rows, random):
    """Every row mixed with its partner, in its own proportion: λ·row + (1 − λ)·partner, for images and targets."""
    x, u = rows
    inputs = [*x.views[0], *u.views[0], *u.views[1]]
    targets = [[float(label == c) for c in range(CLASSES)] for label in x.labels.tolist()]
    guesses = [slow_guess(model, one, two) for one, two in zip(*u.views, strict=True)]
    targets += guesses + guesses
    order, shares = random.permutation(len(inputs)).tolist(), random.mixing(ALPHA, len(inputs)).tolist()
    mixed = [λ * inputs[i] + (1 - λ) * inputs[j] for i, (j, λ) in enumerate(zip(order, shares, strict=True))]
    soft = [
        [λ * a + (1 - λ) * b for a, b in zip(targets[i], targets[j], strict=True)]
        for i, (j, λ) in enumerate(zip(order, shares, strict=True))
    ]
    return torch.stack(mixed), torch.tensor(soft)


def slow_loss(logits, targets, labelled):
    p = [slow_softmax(row) for row in logits.tolist()]
    q = targets.tolist()
    cross = [-sum(b * math.log(a) for a, b in zip(p[i], q[i], strict=True)) for i in range(labelled)]
    square = [sum((a - b) ** 2 for a, b in zip(p[i], q[i], strict=True)) for i in range(labelled, len(p))]
    return sum(cross) / labelled + LAMBDA_U * sum(square) / (len(square) * CLASSES)


# --- guessed labels


@pytest.mark.parametrize("temperature", [0.25, 0.5, 1.0])
def test_sharpening_raises_to_one_over_t_and_normalises(temperature):
    p = torch.tensor([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.0, 0.0, 1.0]])
    slow = [[v ** (1 / temperature) / sum(w ** (1 / temperature) for w in row) for v in row] for row in p.tolist()]
    torch.testing.assert_close(sharpen(p, temperature), torch.tensor(slow))


def test_a_guess_is_the_sharpened_mean_over_the_views_of_the_same_image():
    model, (_, u) = Linear(), batch()
    slow = [slow_guess(model, one, two) for one, two in zip(*u.views, strict=True)]
    torch.testing.assert_close(guess_labels(model, u.views, T), torch.tensor(slow))


def test_a_guess_does_not_depend_on_the_other_images():
    model, (_, u) = Linear(), batch()
    everything = guess_labels(model, u.views, T)
    for row in range(len(everything)):
        alone = guess_labels(model, [view[row : row + 1] for view in u.views], T)
        torch.testing.assert_close(alone[0], everything[row])


def test_guesses_have_no_gradient():
    assert not guess_labels(Linear(), batch()[1].views, T).requires_grad


def test_guessing_leaves_the_running_statistics_of_batch_norm_alone():
    model = resnet18(CLASSES, (2, 3, 4, 5), seed=0).train()
    views = [torch.rand(4, 3, 32, 32), torch.rand(4, 3, 32, 32)]
    model(views[0])
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [(norm.running_mean.clone(), norm.running_var.clone(), norm.momentum) for norm in norms]
    guess_labels(model, views, T)
    for norm, (mean, var, momentum) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert torch.equal(norm.running_var, var)
        assert norm.momentum == momentum
    model(views[0])
    assert not torch.equal(norms[0].running_mean, before[0][0]), "training goes on updating them"


def test_the_statistics_are_thawed_even_after_an_error():
    model = resnet18(CLASSES, (2, 3, 4, 5), seed=0).train()
    with pytest.raises(RuntimeError):
        guess_labels(model, [torch.rand(2, 5, 32, 32)], T)
    assert all(module.momentum == 0.1 for module in model.modules() if isinstance(module, nn.BatchNorm2d))


# --- interleaving


class RowNumbers(nn.Module):
    """Gives back what is written in each row, and remembers the sub-batches."""

    def __init__(self):
        super().__init__()
        self.parts = []

    def forward(self, x):
        rows = x[:, 0, 0, 0]
        self.parts.append(rows.tolist())
        return torch.stack([rows, -rows], dim=1)


def numbered(count):
    return torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 3, 4, 4).contiguous()


@pytest.mark.parametrize(
    ("count", "size"), [(12, 4), (13, 4), (11, 4), (256, 128), (250, 128), (5, 128), (1, 1), (7, 3), (8, 128), (16, 1)]
)
def test_logits_come_back_row_by_row(count, size):
    model = RowNumbers()
    logits = forward_interleaved(model, numbered(count), size)
    assert logits[:, 0].tolist() == list(range(count))
    assert logits[:, 1].tolist() == [-float(row) for row in range(count)]
    assert sorted(row for part in model.parts for row in part) == list(range(count)), "every row goes through once"


@pytest.mark.parametrize(("labelled", "unlabelled"), [(128, 64), (16, 8), (10, 7), (9, 4), (5, 13)])
def test_every_sub_batch_holds_a_fair_share_of_every_kind_of_row(labelled, unlabelled):
    count = labelled + 2 * unlabelled
    model = RowNumbers()
    forward_interleaved(model, numbered(count), labelled)
    assert len(model.parts) == round(count / labelled) > 1
    kinds = [(0, labelled), (labelled, labelled + unlabelled), (labelled + unlabelled, count)]
    for first, last in kinds:
        shares = [sum(first <= row < last for row in part) for part in model.parts]
        assert max(shares) - min(shares) <= 1
    lengths = [len(part) for part in model.parts]
    assert max(lengths) - min(lengths) <= 1, "and no sub-batch is ragged"


def test_interleaving_equals_one_pass_in_evaluation_mode():
    model, inputs = resnet18(CLASSES, (2, 3, 4, 5), seed=0).eval(), torch.rand(11, 3, 32, 32)
    torch.testing.assert_close(forward_interleaved(model, inputs, 4), model(inputs))


def test_gradients_flow_through_interleaving():
    model, inputs = Linear(), images(11)
    (forward_interleaved(model, inputs, 4) ** 2).mean().backward()
    split, model.weight.grad = model.weight.grad, None
    (model(inputs) ** 2).mean().backward()
    torch.testing.assert_close(split, model.weight.grad)


# --- loss


def test_the_loss_equals_a_slow_version():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(14, CLASSES, generator=generator)
    targets = torch.rand(14, CLASSES, generator=generator).softmax(1)
    assert float(mixmatch_loss(logits, targets, 6, LAMBDA_U)) == pytest.approx(slow_loss(logits, targets, 6), rel=1e-5)


def test_the_first_rows_are_the_labelled_ones():
    good, bad = torch.tensor([[9.0, -9.0]]), torch.tensor([[-9.0, 9.0]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    assert mixmatch_loss(torch.cat([bad, good]), targets, 1, 10.0) == pytest.approx(18.0, rel=1e-3)
    assert mixmatch_loss(torch.cat([good, bad]), targets, 1, 10.0) == pytest.approx(10.0, rel=1e-3)


def test_cross_entropy_on_soft_targets_is_the_usual_one_on_hard_ones():
    logits, labels = torch.randn(5, CLASSES), torch.tensor([0, 3, 2, 1, 1])
    hard = nn.functional.one_hot(labels, CLASSES).float()
    torch.testing.assert_close(soft_cross_entropy(logits, hard), nn.functional.cross_entropy(logits, labels))


# --- the whole step


@pytest.mark.parametrize("number", range(6))
@pytest.mark.parametrize(("labelled", "unlabelled"), [(6, 4), (8, 4), (3, 7)])
def test_a_step_equals_a_slow_version(number, labelled, unlabelled):
    model, rows = Linear(), batch(labelled, unlabelled)
    outcome = mixmatch(CLASSES, ALPHA, T, LAMBDA_U)(model, rows, step(number))
    inputs, targets = slow_inputs_and_targets(model, rows, step(number))
    torch.testing.assert_close(outcome.inputs, inputs)
    torch.testing.assert_close(outcome.logits, model(inputs))
    assert float(outcome.loss.detach()) == pytest.approx(slow_loss(model(inputs), targets, labelled), rel=1e-4)


def test_no_gradient_flows_through_the_guessed_labels():
    model, rows = Linear(), batch()
    mixmatch(CLASSES, ALPHA, T, LAMBDA_U)(model, rows, step()).loss.backward()
    found, model.weight.grad = model.weight.grad, None
    inputs, targets = slow_inputs_and_targets(model, rows, step())  # constants, as they come from Python numbers
    mixmatch_loss(model(inputs), targets, 6, LAMBDA_U).backward()
    torch.testing.assert_close(found, model.weight.grad)


def test_logits_belong_to_the_inputs_row_for_row():
    model = Linear()
    outcome = mixmatch(CLASSES, ALPHA, T, LAMBDA_U)(model, batch(8, 4), step())
    for row in range(16):
        torch.testing.assert_close(outcome.logits[row], model(outcome.inputs[row : row + 1])[0])


def test_targets_stay_with_their_inputs_when_mixed():
    """Inputs that hold their own targets in their first pixels still do after mixing."""
    targets = torch.rand(10, CLASSES).softmax(1)
    inputs = targets.view(10, CLASSES, 1, 1).repeat(1, 1, 2, 2)
    mixed, soft = mix(inputs, targets, torch.randperm(10), torch.rand(10))
    torch.testing.assert_close(mixed[:, :, 0, 0], soft)
    torch.testing.assert_close(soft.sum(1), torch.ones(10))


def test_a_row_stays_nearer_to_itself_than_to_its_partner():
    shares = [share for number in range(50) for share in step(number).mixing(ALPHA, 40).tolist()]
    assert all(0.5 <= share <= 1.0 for share in shares)
    assert max(shares) > 0.99
    assert min(shares) < 0.51
    assert len(set(shares)) > 1900, "every row in a proportion of its own"
    assert sum(shares) / 2000 == pytest.approx(0.778, abs=0.015), "the mean of max(λ, 1−λ) for Beta(0.75, 0.75)"


def test_the_step_is_a_function_of_its_random_values():
    one, two, other = (mixmatch(CLASSES, ALPHA, T, LAMBDA_U)(Linear(), batch(), step(n)).loss for n in (0, 0, 1))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


# --- without unlabelled images


def test_supervised_training_is_plain_cross_entropy():
    model, (x, _) = Linear(), batch()
    outcome = supervised(model, [x], step())
    slow = [
        -math.log(slow_softmax(row)[label]) for row, label in zip(model(x.views[0]).tolist(), x.labels, strict=True)
    ]
    assert float(outcome.loss.detach()) == pytest.approx(sum(slow) / len(slow), rel=1e-5)
    assert torch.equal(outcome.inputs, x.views[0])


def test_mixup_mixes_over_all_parts_of_the_batch():
    """Stage two's case: exemplars and current images are mixed with each other too."""
    old, new = Rows([images(5, 1)], torch.tensor([0, 1, 0, 1, 0])), Rows([images(4, 2)], torch.tensor([2, 3, 2, 3]))
    model = Linear()
    outcome = mixup(CLASSES, ALPHA)(model, [old, new], step(3))
    rows, labels = torch.cat([old.views[0], new.views[0]]), [0, 1, 0, 1, 0, 2, 3, 2, 3]
    random = step(3)
    order, shares = random.permutation(9).tolist(), random.mixing(ALPHA, 9).tolist()
    inputs = torch.stack([shares[i] * rows[i] + (1 - shares[i]) * rows[j] for i, j in enumerate(order)])
    torch.testing.assert_close(outcome.inputs, inputs)
    assert any((i < 5) != (j < 5) for i, j in enumerate(order))
    p = [slow_softmax(row) for row in model(inputs).tolist()]
    slow = [
        -shares[i] * math.log(p[i][labels[i]]) - (1 - shares[i]) * math.log(p[i][labels[j]])
        for i, j in enumerate(order)
    ]
    assert float(outcome.loss.detach()) == pytest.approx(sum(slow) / 9, rel=1e-4)


def test_every_weight_learns_under_autocast():
    """Labels are guessed without a gradient in the same autocast: what was cast there must not be used again."""
    model = resnet18(5, (4, 4, 8, 8), seed=0).train()
    with torch.autocast("cpu", torch.bfloat16):
        loss = mixmatch(5, alpha=0.75, sharpening=0.5, lambda_u=1.0)(model, batch(), step()).loss
    loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None] == []
