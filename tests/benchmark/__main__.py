"""`python -m tests.benchmark`: how fast it is, as ratios that the machine's own speed has little part in.

Both sides of every ratio are measured in the same run, taking turns; a figure is the median over the repeats, and is
held against the bound that it has to reach. No data is needed: images are noise. Prints one JSON object, in one line,
and then a Markdown table. On two CPU cores it takes about ten minutes; anything else that runs there spoils it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch

from tests.benchmark.figure import Figure, Plan
from tests.benchmark.memory import memory_figures
from tests.benchmark.training import augmentation_figures, epoch_figures, submodel_figures, training_figures
from utils.results import tables
from utils.running import device
from utils.running.errors import UserError
from utils.running.options import settings

FIGURES: dict[str, Callable[[Plan], Iterator[Figure]]] = {
    "augmentation": augmentation_figures,
    "training": training_figures,
    "submodels": submodel_figures,
    "epoch": epoch_figures,
    "memory": memory_figures,
}


def measure(names: Iterable[str], plan: Plan) -> list[Figure]:
    """The figures of these names, a line on the standard error for each as it is there."""
    found = []
    with device.prepared(plan.device, deterministic=False):
        for figure in (figure for name in names for figure in FIGURES[name](plan)):
            found.append(figure)
            print(f"{figure['name']}: {figure['ratio']:.3f}", file=sys.stderr, flush=True)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark", description="Measure how fast it is, in ratios.")
    parser.add_argument("--device", default="cpu", help='"cpu" or "cuda" (%(default)s)')
    parser.add_argument("--repeats", type=int, default=Plan.repeats, help="how often each is measured (%(default)s)")
    parser.add_argument("--amp", default="auto", help="precision of the training steps, as the option (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=FIGURES, metavar="NAME", help=f"of {', '.join(FIGURES)}")
    options = parser.parse_args(arguments)
    plan = Plan(settings({"amp": options.amp}), device.choose(options.device), options.repeats)
    machine = {
        "device": torch.cuda.get_device_name(plan.device) if plan.device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "cast_to": str(device.casting(options.amp, plan.device)),
    }
    figures = measure(options.only or FIGURES, plan)
    print(json.dumps({**machine, "figures": figures}))
    rows = [[f"{cell:.3f}" if isinstance(cell, float) else cell for cell in figure.values()] for figure in figures]
    print(f"\n{tables.markdown_table(list(figures[0]), rows)}" if figures else "")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
