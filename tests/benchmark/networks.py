"""What training steps cost: with more sub-models, and with widths that are no multiple of anything."""

from collections.abc import Callable
from functools import partial

from torch import nn

from models import EDENet, cost, resnet18
from models.widths import stage_widths
from tests.benchmark.figure import CLASSES, Figure, Plan, Widths, alternate, milliseconds, quotients
from tests.benchmark.training import adam, bare_steps, ready, soft_targets
from utils.results import tables

MULTIPLE = 8  # what widths are rounded to


def steps_of(model: nn.Module, classes: int, rows: int, steps: int, plan: Plan) -> Callable[[], None]:
    """So many bare training steps of a network on batches of so many rows."""
    settings, inputs, targets = plan.settings, ready(rows, plan), soft_targets(rows, classes, plan)
    return partial(bare_steps, model, adam(model, settings), steps, [inputs], targets, settings.amp)


def submodel_figures(plan: Plan) -> list[Figure]:
    """A training step of t sub-models over t steps of one: what joining them costs."""
    figures = []
    for count in plan.submodels:
        steps, rows = max(1, plan.single_steps // count), plan.settings.finetune_batch_size
        works = []
        for size, updates in ((count, steps), (1, steps * count)):
            model = EDENet(resnet18(CLASSES, plan.compressed, seed=number) for number in range(size)).to(plan.device)
            works.append(steps_of(model, model.num_classes, rows, updates, plan))
        joined, single = alternate(works, plan)
        details = {
            "ms_per_image": milliseconds(joined, steps * rows),
            "ms_per_image_of_one": milliseconds(single, steps * count * rows),
        }
        name = f"{count} sub-model{'s' if count > 1 else ''} {tables.widths(plan.compressed)}"
        meaning = f"time per image with {count} sub-models / {count} times that of one"
        figures.append(Figure(name, meaning, quotients(joined, single), at_most=1.05, details=details))
    return figures


def rounded(widths: Widths, plan: Plan) -> Widths:
    """The widths as `width_multiple=8` would have them, for a network pruned from the narrow one."""
    counts = [[width] for width in widths]
    return stage_widths(counts, plan.narrow, plan.settings.min_width, MULTIPLE)


def width_figures(plan: Plan) -> list[Figure]:
    """A training step with the widths that compression finds over one with widths rounded to multiples of 8."""
    figures = []
    for widths in plan.odd:
        pair = [resnet18(CLASSES, each, seed=0).to(plan.device) for each in (widths, rounded(widths, plan))]
        steps, rows = plan.narrow_steps, plan.settings.batch_size
        exact, even = alternate([steps_of(model, CLASSES, rows, steps, plan) for model in pair], plan)
        details = {
            "ms_per_step": milliseconds(exact, steps),
            "ms_per_step_rounded": milliseconds(even, steps),
            "parameters": [cost.parameters(model) for model in pair],
            "flops": [cost.flops(model) for model in pair],
        }
        name = f"widths {tables.widths(widths)} / {tables.widths(pair[1].widths)}"
        meaning = f"time per training step / that with widths rounded to multiples of {MULTIPLE}"
        figures.append(Figure(name, meaning, quotients(exact, even), details=details))
    return figures
