"""How narrow a network gets: one threshold for all batch-norm scales, one width a stage."""

import pytest
from torch import nn

from models.widths import halfway, kept_channels, stage_widths
from tests.models.networks import same_state, slow_counts, state_of, with_scales


def test_counts_equal_a_slow_version_and_measuring_changes_nothing():
    """One of every batch-norm, those of one residual stage together."""
    model = with_scales()
    before = state_of(model)
    assert sum(map(len, kept_channels(model, 0.5))) == 20 == sum(isinstance(m, nn.BatchNorm2d) for m in model.modules())
    for percent in (0.1, 0.5, 0.95):
        assert [sorted(stage) for stage in kept_channels(model, percent)] == slow_counts(model, percent)
    assert sum(map(sum, kept_channels(model, 1.0))) == 1, "a threshold above all scales is the largest"
    assert same_state(before, model)
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())


def test_widths_are_the_mean_of_the_stage_between_the_least_and_those_before():
    counts = [[1, 2, 3, 4, 5], [10, 10, 10, 10, 12], [7, 7, 7, 7, 6], [20, 0, 0, 0, 0]]
    assert stage_widths(counts, (64,) * 4, min_width=1, multiple=1) == (3, 10, 7, 4)
    assert stage_widths([[0] * 5, [3] * 5, [8] * 5, [9] * 5], (64,) * 4, min_width=8, multiple=1) == (8, 8, 8, 9)
    assert stage_widths([[9] * 5, [9] * 5, [4] * 5, [2] * 5], (5, 10, 4, 3), min_width=8, multiple=8) == (5, 8, 4, 3)
    assert stage_widths([[11] * 5, [12] * 5, [20] * 5, [29] * 5], (64,) * 4, 8, 8) == (8, 16, 24, 32)


@pytest.mark.parametrize(
    ("good", "failed", "multiple", "middle"),
    [
        ((64, 32, 16, 8), (32, 16, 8, 8), 1, (48, 24, 12, 8)),
        ((12, 16, 32, 64), (12, 8, 16, 32), 8, (12, 16, 24, 48)),
        ((6, 16, 32, 64), (6, 16, 16, 32), 16, (6, 16, 32, 48)),
    ],
)
def test_halfway_lies_between_the_good_widths_and_the_failed_ones(good, failed, multiple, middle):
    assert halfway(good, failed, multiple) == middle
