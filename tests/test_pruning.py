"""How narrow a network gets, and the rounds of compression."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from models import resnet18
from models.pruning import halfway, kept_channels, stage_widths
from utils import compress
from utils.recipes import settings

WIDTHS = (8, 12, 16, 20)


def norms_of(model):
    """The batch-norms, stage by stage: the stem's with the first, a shortcut's with its own."""
    stages = []
    for number, (one, two) in enumerate(model.stages):
        extra = model.stem_bn if number == 0 else one.shortcut[1]
        stages.append([extra, one.bn1, one.bn2, two.bn1, two.bn2])
    return stages


def with_scales(widths=WIDTHS, seed=0):
    """A network whose batch-norm scales are all different in size, of either sign, and larger stage by stage."""
    model = resnet18(3, widths, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    for number, stage in enumerate(norms_of(model)):
        for norm in stage:
            norm.weight.data = torch.randn(norm.num_features, generator=generator) * 1.7**number
    return model


def slow_counts(model, percent):
    """Every scale in one Python list; the share `percent` of them lies below the threshold. Counts in order of size."""
    everything = sorted(abs(scale) for stage in norms_of(model) for norm in stage for scale in norm.weight.tolist())
    threshold = everything[int(percent * len(everything))]
    return [
        sorted(sum(abs(scale) >= threshold for scale in norm.weight.tolist()) for norm in stage)
        for stage in norms_of(model)
    ]


def test_there_are_twenty_counts_five_a_stage():
    assert [len(counts) for counts in kept_channels(with_scales(), 0.5)] == [5, 5, 5, 5]


def test_every_batch_norm_is_counted_once():
    model = with_scales()
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 20
    for number, stage in enumerate(norms_of(model)):
        for norm in stage:
            norm.weight.data.fill_(0.001)
            counts = kept_channels(model, 0.01)
            norm.weight.data.fill_(0.0)  # now the smallest of all: below the threshold, and no other is
            fewer = kept_channels(model, norm.num_features / sum(5 * width for width in WIDTHS))
            assert sum(map(sum, counts)) > sum(map(sum, fewer))
            assert [sum(a) - sum(b) for a, b in zip(counts, fewer, strict=True)][number] > 0
            norm.weight.data.fill_(1.0)


@pytest.mark.parametrize("percent", [0.1, 0.3, 0.5, 0.77, 0.95])
@pytest.mark.parametrize("seed", [0, 1])
def test_counts_equal_a_slow_version(percent, seed):
    model = with_scales(seed=seed)
    assert [sorted(stage) for stage in kept_channels(model, percent)] == slow_counts(model, percent)


@pytest.mark.parametrize("percent", [0.1, 0.5, 0.9])
def test_one_threshold_for_all_scales_together(percent):
    model = with_scales()
    everything = 5 * sum(WIDTHS)
    counts = kept_channels(model, percent)
    assert sum(map(sum, counts)) == everything - int(percent * everything)
    shares = [sum(stage) / (5 * width) for stage, width in zip(counts, WIDTHS, strict=True)]
    assert shares[0] < 1 - percent < shares[3], "the stage of the larger scales keeps more"


def test_a_negative_scale_counts_by_its_size():
    model = with_scales()
    turned = with_scales()
    for stage in norms_of(turned):
        for norm in stage:
            norm.weight.data.abs_()
    assert kept_channels(model, 0.5) == kept_channels(turned, 0.5)


def test_widths_are_the_mean_of_the_stage():
    counts = [[1, 2, 3, 4, 5], [10, 10, 10, 10, 12], [7, 7, 7, 7, 6], [20, 0, 0, 0, 0]]
    assert stage_widths(counts, (64, 64, 64, 64), min_width=1, multiple=1) == (3, 10, 7, 4)


def test_a_network_gets_four_widths_of_its_own():
    model = with_scales((40, 40, 40, 40))
    widths = stage_widths(kept_channels(model, 0.5), model.widths, 1, 1)
    assert len(set(widths)) == 4
    means = [sum(stage) / 5 for stage in slow_counts(model, 0.5)]
    assert all(abs(width - mean) <= 0.5 for width, mean in zip(widths, means, strict=True))


def test_no_stage_is_narrower_than_the_least_width():
    assert stage_widths([[0] * 5, [3] * 5, [8] * 5, [9] * 5], (64,) * 4, min_width=8, multiple=1) == (8, 8, 8, 9)


def test_no_stage_is_wider_than_before():
    assert stage_widths([[9] * 5, [9] * 5, [4] * 5, [2] * 5], (5, 10, 4, 3), min_width=8, multiple=8) == (5, 8, 4, 3)
    assert stage_widths([[7] * 5] * 4, (7, 7, 7, 7), min_width=8, multiple=1) == (7, 7, 7, 7)


def test_widths_are_multiples_where_asked():
    assert stage_widths([[11] * 5, [12] * 5, [20] * 5, [29] * 5], (64,) * 4, 8, 8) == (8, 16, 24, 32)


def test_halfway_lies_between_the_good_widths_and_the_failed_ones():
    assert halfway((64, 32, 16, 8), (32, 16, 8, 8), 1) == (48, 24, 12, 8)


@pytest.mark.parametrize(
    ("good", "failed", "multiple"), [((12, 16, 32, 64), (12, 8, 16, 32), 8), ((6, 16, 32, 64), (6, 16, 16, 32), 16)]
)
def test_halfway_never_leaves_the_room_between_the_two(good, failed, multiple):
    middle = halfway(good, failed, multiple)
    assert all(low <= width <= high for low, width, high in zip(failed, middle, good, strict=True)), middle


def test_measuring_changes_nothing():
    model = with_scales()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for percent in (0.1, 0.5, 0.9):
        stage_widths(kept_channels(model, percent), model.widths, 1, 1)
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


# --- rounds


OPTIONS = replace(settings(), percent=0.5, min_width=2, width_multiple=1, max_accuracy_loss=4.0, max_rounds=8)


def compressed(scores, teacher_score=80.0, widths=WIDTHS, **options):
    """Runs `compress` with a fake distillation that gives the attempts these scores, in order."""
    calls, models = [], []

    def distil(number, widths):
        calls.append((number, widths))
        models.append(with_scales(widths, seed=number))
        return models[-1], scores[len(calls) - 1]

    teacher = with_scales(widths)
    attempts = compress.compress(teacher, teacher_score, distil, replace(OPTIONS, **options))
    assert [attempt.model for attempt in attempts] == models
    return SimpleNamespace(
        attempts=attempts,
        widths=[widths for _, widths in calls],
        numbers=[number for number, _ in calls],
        models=models,
        teacher=teacher,
        result=compress.result(attempts),
    )


def next_widths(model, options=OPTIONS):
    means = [sum(stage) / 5 for stage in slow_counts(model, options.percent)]
    return tuple(min(now, max(int(m + 0.5), options.min_width)) for m, now in zip(means, model.widths, strict=True))


def test_every_round_starts_from_the_network_accepted_last():
    run = compressed([79.0, 78.0, 77.0], max_rounds=3)
    assert run.widths == [next_widths(model) for model in (run.teacher, run.models[0], run.models[1])]
    assert run.numbers == [1, 2, 3]
    assert all(attempt.accepted for attempt in run.attempts)
    assert run.result.model is run.models[2]


def test_the_bound_is_below_the_teacher_not_below_the_last_network():
    run = compressed([77.0, 74.0, 90.0], max_rounds=3)
    assert [attempt.accepted for attempt in run.attempts] == [True, False, True]


def test_a_network_exactly_at_the_bound_is_accepted():
    assert compressed([76.0], max_rounds=1).result is not None
    assert compressed([75.9, 0.0], max_rounds=1).result is None


def test_the_bound_holds_for_every_number_of_images_right():
    for right in range(10, 251):  # of 250: 4 points are 10 images
        run = compressed([100 * (right - 10) / 250], teacher_score=100 * right / 250, max_rounds=1)
        assert run.attempts[0].accepted


def test_after_a_failure_there_is_one_attempt_half_way():
    run = compressed([79.0, 50.0, 78.0])
    good, failed = run.widths[0], run.widths[1]
    assert len(run.widths) == 3
    assert all(abs(w - (a + b) / 2) <= 0.5 for w, a, b in zip(run.widths[2], good, failed, strict=True))
    assert run.result.model is run.models[2]


def test_when_the_attempt_half_way_fails_too_the_last_good_network_stays():
    run = compressed([79.0, 50.0, 51.0])
    assert len(run.attempts) == 3
    assert run.result.model is run.models[0]


def test_when_the_first_round_fails_half_way_starts_from_the_teacher():
    run = compressed([10.0, 78.0])
    assert all(abs(w - (a + b) / 2) <= 0.5 for w, a, b in zip(run.widths[1], WIDTHS, run.widths[0], strict=True))
    assert run.result.model is run.models[1]


def test_when_nothing_is_accepted_there_is_no_result_and_the_teacher_is_kept():
    run = compressed([10.0, 11.0])
    assert len(run.attempts) == 2
    assert run.result is None


def test_the_least_width_ends_it():
    run = compressed([80.0] * 50, min_width=4, max_rounds=50)
    assert run.widths[-1] == (4, 4, 4, 4)
    assert len(run.widths) < 10
    assert compressed([], widths=(4, 4, 4, 4), min_width=4).attempts == []


def test_widths_only_get_smaller():
    run = compressed([80.0] * 20, max_rounds=20)
    for before, after in zip([WIDTHS, *run.widths], run.widths, strict=False):
        assert after != before
        assert all(a <= b for a, b in zip(after, before, strict=True))


@pytest.mark.parametrize("rounds", [0, 1, 2])
def test_no_more_rounds_than_allowed(rounds):
    assert len(compressed([80.0] * 9, max_rounds=rounds).attempts) == rounds


def test_no_attempt_half_way_where_nothing_lies_between():
    run = compressed([10.0, 10.0], widths=(3, 3, 3, 3), min_width=2, percent=0.3)
    assert len(run.widths) == len(set(run.widths))
    assert (3, 3, 3, 3) not in run.widths


def test_compressing_leaves_the_teacher_as_it_was():
    teacher = with_scales()
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    compress.compress(teacher, 80.0, lambda number, widths: (with_scales(widths, number), 80.0), OPTIONS)
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
