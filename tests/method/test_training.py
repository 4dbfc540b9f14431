"""The one training loop."""

import math
import signal
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from datasets.augment import Transform
from datasets.batches import Batches, Part
from models import EDENet, resnet18
from utils import training
from utils.console import Console
from utils.errors import Interrupted, UserError
from utils.interrupt import Interruption
from utils.mixmatch import mixmatch
from utils.mixup import Outcome, mixup, supervised
from utils.training import Schedule, accuracy, fit

CLASSES = 3
PLAN = Schedule(
    epochs=3, lr=1e-2, weight_decay=5e-4, clip_norm=5.0, evaluate_every=1, evaluate_last=1, save_every=1, amp="off"
)
CONSOLE = Console(quiet=True)


@pytest.fixture(autouse=True)
def _no_interruption(monkeypatch):
    monkeypatch.setattr(Interruption, "requested", None)


class Linear(nn.Module):
    def __init__(self, seed=0):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3 * 8 * 8, CLASSES, generator=torch.Generator().manual_seed(seed)) * 0.1)

    def forward(self, x):
        return x.flatten(1) @ self.weight


def images(count=12, size=8, seed=0):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def batches(steps=4, size=8, unlabelled=False):
    parts = [Part(images(size=size), torch.arange(12) % CLASSES, 4, Transform(padding=1))]
    if unlabelled:
        parts.append(Part(images(9, size, 1), None, 3, Transform(padding=1), views=2))
    return Batches(parts, steps, key=(0, "task", "phase"))


def state_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_state(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def history_of(progress):
    return progress.history, progress.best_score, progress.best_epoch


# --- accuracy


def test_accuracy_is_correct_over_total_when_batches_are_unequal(monkeypatch):
    monkeypatch.setattr(training, "EVALUATION_BATCH", 4)
    labels = torch.arange(10) % CLASSES
    pictures = labels.byte().view(-1, 1, 1, 1).expand(10, 3, 8, 8).contiguous()
    wrong_rows = [8, 9]  # the whole of the last batch, which is half as long as the others
    pictures[wrong_rows] = (labels[wrong_rows].byte() + 1).view(-1, 1, 1, 1)

    class Reader(nn.Module):
        def __init__(self):
            super().__init__()
            self.anchor = nn.Parameter(torch.zeros(1))  # tells where the model computes

        def forward(self, x):
            return nn.functional.one_hot((x[:, 0, 0, 0] * 255).round().long() % CLASSES, CLASSES).float()

    assert accuracy(Reader(), pictures, labels) == 80.0
    assert training.count_correct(Reader(), pictures, labels) == 8
    monkeypatch.setattr(training, "EVALUATION_BATCH", 1)
    assert accuracy(Reader(), pictures, labels) == 80.0


def test_evaluating_changes_nothing_and_uses_the_running_statistics():
    model, pictures = resnet18(CLASSES, (2, 3, 4, 5), seed=0), images(20, 32)
    model.train()(torch.rand(8, 3, 32, 32))
    before = state_of(model)
    found = training.count_correct(model, pictures, torch.zeros(20, dtype=torch.long))
    assert same_state(before, model.state_dict())
    one_by_one = [int(model(pictures[row : row + 1] / 255).argmax()) for row in range(20)]
    assert found == one_by_one.count(0)


# --- which epoch is kept


def with_scores(scores, **options):
    states, left = [], list(scores)

    def evaluate(model):
        states.append(state_of(model))
        return left.pop(0)

    model = Linear()
    plan = replace(PLAN, epochs=len(scores), **options)
    return model, fit(model, batches(), supervised, plan, CONSOLE, "test", evaluate), states


@pytest.mark.parametrize(
    ("scores", "best"), [([50.0, 70.0, 60.0], 1), ([50.0, 70.0, 70.0, 60.0], 2), ([0.0, 0.0], 1), ([9.0, 1.0], 0)]
)
def test_the_best_epoch_is_kept_and_the_later_one_among_equals(scores, best):
    model, progress, states = with_scores(scores)
    assert progress.best_epoch == best
    assert progress.best_score == scores[best]
    assert same_state(model.state_dict(), states[best])
    assert [entry["accuracy"] for entry in progress.history] == scores
    assert not model.training


def test_without_a_score_the_last_epoch_is_kept():
    one, two = Linear(), Linear()
    progress = fit(one, batches(), supervised, PLAN, CONSOLE, "test")
    seen = []
    fit(two, batches(), supervised, PLAN, CONSOLE, "test", lambda model: seen.append(state_of(model)) or 0.0)
    assert same_state(one.state_dict(), seen[-1])
    assert all("accuracy" not in entry for entry in progress.history)


def test_evaluations_come_every_so_many_epochs_and_at_each_of_the_last():
    plan = replace(PLAN, epochs=20, evaluate_every=5, evaluate_last=3)
    assert [epoch for epoch in range(20) if plan.evaluates(epoch)] == [4, 9, 14, 17, 18, 19]
    assert replace(PLAN, epochs=2, evaluate_every=10, evaluate_last=5).evaluates(0)


# --- optimisation


def slow_training(model, plan):
    """Adam (Kingma & Ba 2015, algorithm 1) with an L2 penalty, gradients clipped and a half cosine, in float64."""
    weight = model.weight.detach().double()
    mean, square, count, norms = torch.zeros_like(weight), torch.zeros_like(weight), 0, []
    drawing = batches()
    for epoch in range(plan.epochs):
        rate = plan.lr * (1 + math.cos(math.pi * epoch / plan.epochs)) / 2
        for step in range(drawing.steps_per_epoch):
            (rows,) = drawing.draw(epoch * drawing.steps_per_epoch + step)
            x = rows.views[0].flatten(1).double()
            p = (x @ weight).softmax(1)
            gradient = x.T @ (p - nn.functional.one_hot(rows.labels, CLASSES)) / len(x)
            norms.append(float(gradient.norm()))
            gradient *= min(1.0, plan.clip_norm / norms[-1])
            gradient += plan.weight_decay * weight
            count += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            weight = weight - rate * (mean / (1 - 0.9**count)) / ((square / (1 - 0.999**count)).sqrt() + 1e-8)
    return weight.float(), norms


@pytest.mark.parametrize("clip", [0.5, 5.0])
@pytest.mark.parametrize("decay", [0.0, 5e-4, 0.05])
def test_training_equals_a_slow_version(clip, decay):
    plan, model = replace(PLAN, clip_norm=clip, weight_decay=decay), Linear()
    expected, norms = slow_training(model, plan)
    assert clip == 5.0 or max(norms) > clip, "here something is clipped"
    fit(model, batches(), supervised, plan, CONSOLE, "test")
    torch.testing.assert_close(model.weight.detach(), expected, atol=1e-4, rtol=1e-3)


@pytest.fixture
def updates():
    """(learning rate, gradient norm) of every update."""
    seen = []

    def look(optimizer, args, kwargs):
        (group,) = optimizer.param_groups
        norm = torch.cat([parameter.grad.flatten() for parameter in group["params"]]).norm()
        seen.append((group["lr"], float(norm)))

    handle = register_optimizer_step_pre_hook(look)
    yield seen
    handle.remove()


def test_the_learning_rate_falls_along_a_half_cosine_from_the_first_epoch_to_the_last(updates):
    plan = replace(PLAN, epochs=8, lr=5e-4)
    progress = fit(Linear(), batches(steps=2), supervised, plan, CONSOLE, "test")
    slow = [5e-4 * (1 + math.cos(math.pi * epoch / 8)) / 2 for epoch in range(8)]
    assert [rate for rate, _ in updates] == pytest.approx([rate for rate in slow for _ in range(2)])
    assert [entry["lr"] for entry in progress.history] == pytest.approx(slow)
    assert [entry["epoch"] for entry in progress.history] == list(range(1, 9))
    assert slow[0] == 5e-4
    assert 0 < slow[-1] < 5e-4 / 20


@pytest.mark.parametrize("amp", ["off", "bfloat16"])
def test_gradients_are_clipped_over_all_parameters_together(updates, amp):
    def steep(model, batch, random):
        outcome = supervised(model, batch, random)
        return outcome._replace(loss=outcome.loss * 1e4)

    model = resnet18(CLASSES, (2, 3, 4, 5), seed=0)
    fit(model, batches(size=32), steep, replace(PLAN, epochs=1, amp=amp), CONSOLE, "test")
    assert [norm for _, norm in updates] == pytest.approx([5.0] * 4, rel=1e-3)


def test_frozen_parameters_stay():
    net = EDENet([resnet18(2, (2, 3, 4, 5), seed=0), resnet18(1, (2, 3, 4, 5), seed=1)])
    net.train_heads_only()
    before = state_of(net)
    fit(net, batches(size=32), supervised, replace(PLAN, epochs=1), CONSOLE, "test")
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {f"submodels.{i}.head.{name}" for i in (0, 1) for name in ("weight", "bias")}


def test_the_loss_of_an_epoch_is_the_mean_over_its_steps():
    seen = []

    def noted(model, batch, random):
        outcome = supervised(model, batch, random)
        seen.append(float(outcome.loss.detach()))
        return outcome

    progress = fit(Linear(), batches(), noted, PLAN, CONSOLE, "test")
    slow = [sum(seen[epoch * 4 : epoch * 4 + 4]) / 4 for epoch in range(3)]
    assert [entry["loss"] for entry in progress.history] == pytest.approx(slow)


def test_a_training_is_a_function_of_its_key_alone():
    results = []
    for noise in (1, 2):
        torch.manual_seed(noise)
        model = resnet18(CLASSES, (2, 3, 4, 5), seed=0)
        fit(model, batches(size=32, unlabelled=True), mixmatch(CLASSES, 0.75, 0.5, 10.0), PLAN, CONSOLE, "test")
        results.append(state_of(model))
    assert same_state(*results)


# --- a loss that is no number


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize(("epoch", "step"), [(1, 1), (2, 3), (3, 5)])
def test_a_loss_that_is_no_number_ends_it_and_says_where(tmp_path, value, epoch, step):
    unfinished, calls = tmp_path / "unfinished.pt", []

    def broken(model, batch, random):
        calls.append(1)
        outcome = supervised(model, batch, random)
        return outcome._replace(loss=outcome.loss * value) if len(calls) == (epoch - 1) * 5 + step else outcome

    plan = replace(PLAN, lr=0.0123)
    with pytest.raises(UserError) as caught:
        fit(Linear(), batches(steps=5), broken, plan, CONSOLE, "task 0to3, training", unfinished=unfinished)
    message = str(caught.value)
    for part in ("task 0to3, training", f"epoch {epoch},", f"step {step},", f"{plan.learning_rate(epoch - 1):.3g}"):
        assert part in message
    assert message.isprintable(), "one line"
    if epoch > 1:
        saved = torch.load(unfinished, weights_only=True)
        assert all(torch.isfinite(value).all() for value in saved["model"].values()), "the last good one is kept"
        assert saved["progress"]["epoch"] == epoch - 1
    else:
        assert not unfinished.exists()


# --- interruption


def stopping_after(objective, updates):
    """The objective, with a signal arriving during update number `updates`."""
    calls = []

    def watched(*arguments):
        calls.append(1)
        if len(calls) == updates:
            Interruption.requested = signal.SIGINT
        return objective(*arguments)

    return watched


KINDS = {
    "supervised": (supervised, False),
    "mixup": (mixup(CLASSES, 0.75), False),
    "mixmatch": (mixmatch(CLASSES, 0.75, 0.5, 10.0), True),
}


def scored(model):
    """A score that depends on the weights, neither rising nor falling."""
    return float(model.head.bias.detach()[0].abs() * 1e4 % 100)


@pytest.mark.parametrize("kind", KINDS)
def test_an_interrupted_training_ends_up_where_an_undisturbed_one_does(tmp_path, kind):
    objective, unlabelled = KINDS[kind]
    drawing = batches(size=32, unlabelled=unlabelled)
    undisturbed = resnet18(CLASSES, (2, 3, 4, 5), seed=0)
    expected = fit(undisturbed, drawing, objective, PLAN, CONSOLE, "test", scored)
    for updates in (1, 4, 6, 12):  # the first step, an epoch's last, amidst one, and the very last
        unfinished = tmp_path / f"{updates}.pt"
        arguments = (PLAN, CONSOLE, "test", scored, unfinished)
        with pytest.raises(Interrupted) as caught:
            fit(resnet18(CLASSES, (2, 3, 4, 5), seed=0), drawing, stopping_after(objective, updates), *arguments)
        assert caught.value.exit_code == 130
        Interruption.requested = None
        other = resnet18(CLASSES, (2, 3, 4, 5), seed=9)  # its weights come from the file
        found = fit(other, batches(size=32, unlabelled=unlabelled), objective, *arguments)
        assert same_state(undisturbed.state_dict(), other.state_dict())
        assert history_of(found) == history_of(expected)


def test_a_training_interrupted_again_and_again_ends_up_the_same(tmp_path):
    undisturbed = Linear()
    expected = fit(undisturbed, batches(), supervised, PLAN, CONSOLE, "test")
    for _ in range(11):
        with pytest.raises(Interrupted):
            fit(Linear(), batches(), stopping_after(supervised, 1), PLAN, CONSOLE, "t", unfinished=tmp_path / "u.pt")
        Interruption.requested = None
    model = Linear(5)
    found = fit(model, batches(), supervised, PLAN, CONSOLE, "test", unfinished=tmp_path / "u.pt")
    assert same_state(undisturbed.state_dict(), model.state_dict())
    assert history_of(found) == history_of(expected)


def test_a_training_killed_between_saves_goes_on_from_the_last_save(tmp_path):
    class Killed(BaseException):
        pass

    def killed(model, batch, random, calls=[]):
        calls.append(1)
        if len(calls) == 11:  # in the third epoch; the second was saved
            raise Killed
        return supervised(model, batch, random)

    undisturbed, other, unfinished = Linear(), Linear(5), tmp_path / "unfinished.pt"
    fit(undisturbed, batches(), supervised, PLAN, CONSOLE, "test")
    with pytest.raises(Killed):
        fit(Linear(), batches(), killed, replace(PLAN, save_every=2), CONSOLE, "test", unfinished=unfinished)
    calls = []
    fit(other, batches(), lambda *a: calls.append(1) or supervised(*a), PLAN, CONSOLE, "test", unfinished=unfinished)
    assert len(calls) == 4, "the last epoch only"
    assert same_state(undisturbed.state_dict(), other.state_dict())


def test_heads_only_training_resumes_too(tmp_path):
    def network(seed):
        net = EDENet([resnet18(2, (2, 3, 4, 5), seed=seed), resnet18(1, (2, 3, 4, 5), seed=seed + 1)])
        net.train_heads_only()
        return net

    one, two, drawing = network(0), network(5), batches(size=32)
    fit(one, drawing, supervised, PLAN, CONSOLE, "test")
    arguments = (PLAN, CONSOLE, "test", None, tmp_path / "u.pt")
    with pytest.raises(Interrupted):
        fit(network(0), drawing, stopping_after(supervised, 6), *arguments)
    Interruption.requested = None
    fit(two, drawing, supervised, *arguments)
    assert same_state(one.state_dict(), two.state_dict())


# --- precision


def test_bfloat16_casts_the_forward_pass_and_nothing_else():
    dtypes, evaluated = [], []

    def noted(model, batch, random):
        outcome = supervised(model, batch, random)
        dtypes.append((outcome.logits.dtype, outcome.loss.dtype))
        return outcome

    def evaluate(model):
        evaluated.append(training.outputs(model, images(4, 32), torch.device("cpu")).dtype)
        return 0.0

    model = resnet18(CLASSES, (2, 3, 4, 5), seed=0)
    progress = fit(model, batches(size=32), noted, replace(PLAN, amp="bfloat16"), CONSOLE, "test", evaluate)
    assert set(dtypes) == {(torch.bfloat16, torch.float32)}
    assert set(evaluated) == {torch.float32}
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert all(math.isfinite(entry["loss"]) for entry in progress.history)


def test_without_autocast_all_is_float32():
    def noted(model, batch, random):
        outcome = supervised(model, batch, random)
        assert outcome.logits.dtype == torch.float32
        return outcome

    fit(Linear(), batches(), noted, replace(PLAN, amp="off"), CONSOLE, "test")


def test_the_objective_sees_a_model_in_training_mode_in_every_epoch():
    modes = []

    def noted(model, batch, random):
        modes.append(model.training)
        return Outcome(*supervised(model, batch, random))

    fit(Linear(), batches(), noted, PLAN, CONSOLE, "test", lambda model: model.eval() and 0.0)
    assert modes == [True] * 12
