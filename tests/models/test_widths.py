"""How narrow a network gets: one threshold for all batch-norm scales, one width a stage."""

import pytest
from torch import nn

from models.widths import halfway, kept_channels, norms_by_stage, stage_widths
from tests.models.networks import norms_of, same_state, slow_counts, state_of, with_scales


def test_there_are_twenty_counts_five_a_stage_of_every_batch_norm_once():
    model = with_scales()
    assert [len(counts) for counts in kept_channels(model, 0.5)] == [5, 5, 5, 5]
    assert [set(group) for group in norms_by_stage(model)] == [set(stage) for stage in norms_of(model)]
    assert sum(isinstance(module, nn.BatchNorm2d) for module in model.modules()) == 20


@pytest.mark.parametrize("percent", [0.1, 0.5, 0.95])
def test_counts_equal_a_slow_version(percent):
    model = with_scales()
    assert [sorted(stage) for stage in kept_channels(model, percent)] == slow_counts(model, percent)


def test_a_threshold_above_all_scales_is_the_largest():
    assert sum(map(sum, kept_channels(with_scales(), 1.0))) == 1


def test_widths_are_the_mean_of_the_stage():
    counts = [[1, 2, 3, 4, 5], [10, 10, 10, 10, 12], [7, 7, 7, 7, 6], [20, 0, 0, 0, 0]]
    assert stage_widths(counts, (64, 64, 64, 64), min_width=1, multiple=1) == (3, 10, 7, 4)


def test_widths_stay_between_the_least_and_those_before():
    assert stage_widths([[0] * 5, [3] * 5, [8] * 5, [9] * 5], (64,) * 4, min_width=8, multiple=1) == (8, 8, 8, 9)
    assert stage_widths([[9] * 5, [9] * 5, [4] * 5, [2] * 5], (5, 10, 4, 3), min_width=8, multiple=8) == (5, 8, 4, 3)
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
    before = state_of(model)
    for percent in (0.1, 0.5, 0.9):
        stage_widths(kept_channels(model, percent), model.widths, 1, 1)
    assert same_state(before, model)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
