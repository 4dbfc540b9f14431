"""The one training loop: Adam, the schedule, which epoch is kept, and going on bit for bit."""

import math
import signal
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from datasets.augment import Transform
from datasets.batches import Batches, Part
from datasets.images import Images
from tests.method.linear import Linear
from tests.models.networks import network, same_state, state_of
from utils.method import training
from utils.method.mixmatch import mixmatch
from utils.method.mixup import supervised
from utils.method.training import Schedule, accuracy, fit
from utils.running.console import Console
from utils.running.errors import Interrupted, UserError
from utils.running.interrupt import Interruption
from utils.running.options import settings
from utils.running.run import Run

OPTIONS = {"device": "cpu", "amp": "off", "evaluate_every": 1, "save_every": 1}
MIXMATCH = mixmatch(3, 0.75, 0.5, 10.0)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run in which trainings are saved after every epoch."""
    monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", 0)
    with Run(tmp_path / "run", settings({"device": "cpu"}), {}) as begun:
        yield begun
        Interruption.requested = None


def linear(seed=0):
    return Linear(seed, classes=3, size=8)


def pixels(count=12, size=8, seed=0):
    return torch.randint(0, 256, (count, 3, size, size), generator=torch.Generator().manual_seed(seed)).byte()


def batches(steps=4, size=8, unlabelled=False):
    parts = [Part(pixels(size=size), torch.arange(12) % 3, 4, Transform(padding=1))]
    if unlabelled:
        parts.append(Part(pixels(9, size, 1), None, 3, Transform(padding=1), views=2))
    return Batches(parts, steps, key=(0, "task", "phase"))


def schedule(epochs=3, lr=1e-2, **more):
    return Schedule(settings({**OPTIONS, **more}), epochs, lr)


def trained(model, evaluate=None, artefact=None, objective=supervised, planned=None, drawing=None):
    unsaved = SimpleNamespace(run=SimpleNamespace(dry=False, console=Console()), saved_training=lambda: None)
    unsaved.save_training = lambda content: None
    planned, drawing = planned or schedule(), drawing or batches()
    return fit(model, drawing, objective, planned, artefact or unsaved, "task 0to3", evaluate)


def at_update(number, change, objective=supervised):
    """The objective, whose outcome is changed at one update, counted from 1."""
    calls = []

    def changing(*arguments):
        calls.append(1)
        outcome = objective(*arguments)
        return change(outcome) if len(calls) == number else outcome

    return changing


def test_accuracy_is_correct_over_total_by_the_running_statistics_and_evaluating_changes_nothing(monkeypatch):
    monkeypatch.setattr(training, "EVALUATION_BATCH", 4)
    model, images = network().train(), pixels(10, 32)
    before, one_by_one = state_of(model), torch.cat([network()(image[None] / 255) for image in images])
    torch.testing.assert_close(training.predictions(model, images), one_by_one, atol=1e-5, rtol=1e-5)
    labels = one_by_one.argmax(dim=1)
    labels[8:] = (labels[8:] + 1) % 3  # wrong: the whole of the last batch
    assert accuracy(model.train(), Images(images, labels, labels)) == 80.0
    assert same_state(before, model)


@pytest.mark.parametrize(("scores", "best"), [([50.0, 70.0, 70.0, 60.0], 2), ([0.0, 0.0], 1), ([9.0, 1.0], 0)])
def test_the_best_epoch_is_kept_and_the_later_one_among_equals(scores, best):
    states, left, model = [], list(scores), linear()

    def evaluate(model):
        states.append(state_of(model))
        return left.pop(0)

    progress = trained(model, evaluate, planned=schedule(len(scores)))
    assert (progress.best_epoch, progress.best_score) == (best, scores[best])
    assert same_state(model, states[best])
    assert [entry["accuracy"] for entry in progress.history] == scores
    assert not model.training


def test_evaluations_come_every_so_many_epochs_and_at_each_of_the_last():
    planned = schedule(20, evaluate_every=5, evaluate_last=3)
    assert [epoch for epoch in range(20) if planned.evaluates(epoch)] == [4, 9, 14, 17, 18, 19]


def slow_training(model, planned):
    """Adam (Kingma & Ba 2015, algorithm 1) with an L2 penalty, gradients clipped and a half cosine, in float64."""
    weight = model.weight.detach().double()
    mean, square, count, norms, losses = torch.zeros_like(weight), torch.zeros_like(weight), 0, [], []
    drawing = batches()
    for epoch in range(planned.epochs):
        rate = planned.lr * (1 + math.cos(math.pi * epoch / planned.epochs)) / 2
        for step in range(drawing.steps_per_epoch):
            (rows,) = drawing.draw(epoch * drawing.steps_per_epoch + step)
            x = rows.views[0].flatten(1).double()
            p = (x @ weight).softmax(1)
            losses.append(float(-p[range(len(x)), rows.labels].log().mean()))
            gradient = x.T @ (p - nn.functional.one_hot(rows.labels, 3)) / len(x)
            norms.append(float(gradient.norm()))
            gradient *= min(1.0, planned.settings.clip_norm / norms[-1])
            gradient += planned.settings.weight_decay * weight
            count += 1
            mean = 0.9 * mean + 0.1 * gradient
            square = 0.999 * square + 0.001 * gradient**2
            weight = weight - rate * (mean / (1 - 0.9**count)) / ((square / (1 - 0.999**count)).sqrt() + 1e-8)
    return weight.float(), norms, torch.tensor(losses).view(planned.epochs, -1).mean(1).tolist()


@pytest.mark.parametrize(("clip", "decay"), [(0.5, 0.05), (50.0, 5e-4)])
def test_training_equals_a_slow_version_to_the_last_epoch(clip, decay):
    planned, model = schedule(clip_norm=clip, weight_decay=decay), linear()
    expected, norms, losses = slow_training(model, planned)
    assert (max(norms) > clip) == (clip == 0.5)
    progress = trained(model, planned=planned)
    slow = [1e-2 * (1 + math.cos(math.pi * epoch / 3)) / 2 for epoch in range(3)]
    assert [entry["lr"] for entry in progress.history] == pytest.approx(slow)
    assert [entry["loss"] for entry in progress.history] == pytest.approx(losses, rel=1e-3)
    torch.testing.assert_close(model.weight.detach(), expected, atol=1e-4, rtol=1e-3)


def test_gradients_are_clipped_over_all_weights_together_and_bfloat16_is_of_the_forward_pass_alone():
    modes, dtypes = [], set()

    def steep(model, *arguments):
        modes.append(model.training)
        outcome = supervised(model, *arguments)
        dtypes.add((outcome.logits.dtype, outcome.loss.dtype))
        return outcome._replace(loss=outcome.loss * 1e4)

    model, planned = network(), schedule(amp="bfloat16")
    trained(model, lambda model: model.eval() and 0.0, None, steep, planned, batches(1, size=32))
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    assert float(gradients.norm()) == pytest.approx(5.0, rel=1e-3)
    assert modes == [True] * 3
    assert dtypes == {(torch.bfloat16, torch.float32)}
    assert {training.predictions(model, pixels(4, 32)).dtype, *(p.dtype for p in model.parameters())} == {torch.float32}
    # float16 is scaled, by which an update whose gradient is not finite is left out.
    trained(network(), None, None, at_update(2, infinitely_steep), schedule(amp="float16"), batches(2, size=32))


def infinitely_steep(outcome):
    """The loss is finite, its gradient is not: the weights would not be, either."""
    edge = torch.zeros((), requires_grad=True) + 0 * outcome.logits.sum()
    return outcome._replace(loss=edge.sqrt())


def not_finite_and_asked_to_stop(outcome):
    Interruption.requested = signal.SIGTERM
    return outcome._replace(loss=outcome.loss * math.nan)


@pytest.mark.parametrize(("change", "epoch", "step"), [(infinitely_steep, 1, 1), (not_finite_and_asked_to_stop, 2, 3)])
def test_a_loss_that_is_no_number_ends_it_says_where_and_keeps_the_last_good_training(run, change, epoch, step):
    artefact, planned = run.artefact("model", {}), schedule(lr=0.0123)
    objective = at_update((epoch - 1) * 5 + step, change)
    with pytest.raises(UserError) as caught:
        trained(linear(), None, artefact, objective, planned, batches(steps=5))
    for part in ("task 0to3", f"epoch {epoch},", f"step {step},", f"{planned.learning_rate(epoch - 1):.3g}"):
        assert part in str(caught.value)
    saved = artefact.saved_training()
    assert (saved and saved["progress"]["epoch"]) == (None if epoch == 1 else epoch - 1)
    assert all(torch.isfinite(value).all() for value in (saved["model"] if saved else {}).values())


def stop(outcome):
    Interruption.requested = signal.SIGINT
    return outcome


def scored(model):
    """A score that depends on the weights, neither rising nor falling."""
    return float(next(reversed(model.state_dict().values()))[0].abs() * 1e4 % 100)


def test_an_interrupted_training_ends_up_where_an_undisturbed_one_does(run):
    drawing, planned, undisturbed = batches(3, 32, unlabelled=True), schedule(2), network()
    expected = trained(undisturbed, scored, None, MIXMATCH, planned, drawing)
    for update in (3, 5, 6):  # after an epoch's last step, amidst one, and after the very last
        artefact = run.artefact(f"model{update}", {})
        with pytest.raises(Interrupted) as caught:
            trained(network(), scored, artefact, at_update(update, stop, MIXMATCH), planned, drawing)
        assert caught.value.exit_code == 130
        Interruption.requested = None
        other = network(seed=9)  # its weights come from the file
        found = trained(other, scored, artefact, MIXMATCH, planned, drawing)
        assert same_state(undisturbed, other)
        one, two = ({**vars(each), "seconds": 0, "best_state": 0} for each in (found, expected))
        assert one == two


def test_a_killed_training_goes_on_from_its_last_save_which_came_a_minute_after_the_one_before(run, monkeypatch):
    def kill(outcome):
        raise SystemExit

    undisturbed, other = linear(), linear(5)
    trained(undisturbed)
    for seconds, epochs in ((60, None), (0, 2)):
        monkeypatch.setattr(training, "SECONDS_BETWEEN_SAVES", seconds)
        with pytest.raises(SystemExit):  # in the third epoch
            trained(linear(), None, run.artefact("model", {}), at_update(11, kill), schedule(save_every=2))
        saved = run.artefact("model", {}).saved_training()
        assert (saved and saved["progress"]["epoch"]) == epochs
    with pytest.raises(UserError, match=r"model\.training\.pt"):  # of another network
        trained(network(), None, run.artefact("model", {}), drawing=batches(size=32))
    trained(other, None, run.artefact("model", {}))
    assert same_state(undisturbed, other)
