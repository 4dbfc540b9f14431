"""`python -m tests.benchmark`: how fast it is, as ratios that the machine's own speed has little part in.

Both sides of every ratio are measured in the same run, taking turns; a figure is the median over the repeats, and is
held against the bound that it has to reach. No data is needed: images are noise. Prints one JSON object, in one line,
and then a Markdown table. On two CPU cores it takes about ten minutes; anything else that runs there spoils it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from tests.benchmark.figure import Figure, Plan, with_amp
from tests.benchmark.memory import memory_figures
from tests.benchmark.networks import submodel_figures, width_figures
from tests.benchmark.obvious import augmentation_figures, epoch_figures
from tests.benchmark.training import distillation_figures, stage_one_figures, stage_two_figures
from utils.results import tables
from utils.running import device
from utils.running.errors import UserError

FIGURES: dict[str, Callable[[Plan], list[Figure]]] = {
    "augmentation": augmentation_figures,
    "stage_one": stage_one_figures,
    "distillation": distillation_figures,
    "stage_two": stage_two_figures,
    "submodels": submodel_figures,
    "epoch": epoch_figures,
    "memory": memory_figures,
    "widths": width_figures,
}


def measure(names: Sequence[str], plan: Plan) -> list[Figure]:
    """The figures of these names, a line on the standard error for each as it is there."""
    found = []
    for name in names:
        for figure in FIGURES[name](plan):
            print(f"{figure.name}: {figure.ratio:.3f}", file=sys.stderr, flush=True)
            found.append(figure)
    return found


def machine(plan: Plan) -> dict:
    """On what it was measured."""
    where = plan.device
    casting = device.casting(plan.settings.amp, where)
    return {
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "amp": plan.settings.amp,
        "cast_to": None if casting.dtype is None else str(casting.dtype).removeprefix("torch."),
    }


def table(figures: Sequence[Figure]) -> str:
    """The figures as a Markdown table."""
    header = ("figure", "ratio", "min", "max", "bound", "holds", "what is divided by what")
    rows = [
        (
            figure.name,
            *(f"{value:.3f}" for value in (figure.ratio, min(figure.ratios), max(figure.ratios))),
            figure.bound,
            {True: "yes", False: "no", None: None}[figure.holds],
            figure.meaning,
        )
        for figure in figures
    ]
    return tables.markdown_table(header, rows)


def main(arguments: Sequence[str] | None = None, plan: Plan | None = None) -> None:
    """The command line; `plan` says how much is measured, as much as `Plan` does if not given."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description="Measure how fast it is, in ratios.")
    parser.add_argument("--device", default="cpu", help='"cpu" or "cuda" (%(default)s)')
    parser.add_argument("--threads", type=int, help="threads of PyTorch (as many as it takes by itself)")
    parser.add_argument("--repeats", type=int, help="how often each figure is measured (5)")
    parser.add_argument("--amp", help='precision of the training steps, as the option of that name ("auto")')
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME", help=f"of {', '.join(FIGURES)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where to write the JSON object too")
    options = parser.parse_args(arguments)
    plan = replace(plan or Plan(), device=device.choose(options.device))
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    if options.repeats is not None:
        plan = replace(plan, repeats=options.repeats)
    if options.amp is not None:
        plan = replace(plan, settings=with_amp(plan.settings, options.amp))
    if plan.device.type == "cuda":  # as a run does
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    figures = measure(options.only or FIGURES, plan)
    line = json.dumps({**machine(plan), "figures": [figure.record() for figure in figures]})
    if options.json is not None:
        options.json.write_text(line + "\n")
    print(f"{line}\n\n{table(figures)}")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
