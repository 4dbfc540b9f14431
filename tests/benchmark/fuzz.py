"""Damages files, options and calls and counts what comes of it: `python -m tests.benchmark.fuzz MINUTES [SEED]`.

Every case runs in a fork with limits of memory and time. It ends well with what it would have given undamaged, or with
one clear line; a traceback, a case that is killed, or other weights are faults, which are printed with their seed.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import train_EDE_Net
from datasets import catalog, files, image_file
from models import EDENet
from utils.results import compare, tables
from utils.running import artefact, checkpoint, command, options
from utils.running.errors import LONGEST_LINE, one_line, told

MEMORY = 2 * 10**9  # bytes beyond what the process has
SECONDS = 20
GOOD = ("one clear line", "worked")
NUMBERS = [-1, 0, 1, 2**31, 2**63, 10**400, 0.5, 1e308, float("nan"), float("inf"), True, None]
ODD = [*NUMBERS, "", "a\0b", "a\nb", "x" * 10**4, [], [0] * 10**4, [2**63] * 4, {}, "folder:", "folder:/", "~", [[]]]


def readers(data: Path, run: Path) -> dict[Path, Callable]:
    """A file of every kind of data and of a folder of results, and how each is read."""
    stage, other = max(run.glob("stage_*.pt")), shutil.copytree(run, run.parent / "other")
    found = {
        stage: lambda: checkpoint.fingerprint(EDENet.load(stage).state_dict()),
        stage.with_suffix(".json"): partial(artefact.read_record, stage.with_suffix(".json")),
        run / "results.json": partial(compare.read, [run, other]),
    }
    for name in ("cifar100", "cifar10", "mnist", "svhn"):
        for file in catalog.CATALOG[name].parts["train"]:
            found[files.find(data, file)] = partial(catalog.load, name, data, "train")
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    for kind in ("png", "jpg", "bmp", "ppm", "tif", "webp"):
        path = data / f"picture.{kind}"
        picture.save(path)
        found[path] = partial(image_file.read, path)
    return found


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The bytes with some flipped, cut, doubled, drawn anew or set to one value, or without their end."""
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        a, b = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        b = min(b, a + rng.choice((1, 4, 64, len(content) + 1)))
        piece = content[a:b]
        flipped = bytes([piece[0] ^ 1 << rng.randrange(8)]) + piece[1:] if piece else b""
        constant = rng.choice((b"\0", b"\1", b"\x7f", b"\x80", b"\xff")) * len(piece)
        inside = rng.choice((flipped, b"", 2 * piece, rng.randbytes(len(piece)), constant, None))
        content = content[:a] if inside is None else content[:a] + inside + content[b:]
    return content


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON file with a value taken away or replaced by an odd one."""
    root = json.loads(content)
    place, key = rng.choice(list(places(root)))
    if rng.random() < 0.5:
        del place[key]
    else:
        place[key] = rng.choice(ODD)
    return json.dumps(root).encode()


def places(value: object) -> Iterator[tuple[dict | list, object]]:
    """Every key and every index in a JSON value, with what it is of."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def case(found: dict[Path, Callable], contents: dict[Path, bytes], rng: random.Random) -> tuple[Path | str, Callable]:
    """A random case: the file that is damaged, or the kind, and what is done."""
    if rng.random() < 0.2:
        given = {name: rng.choice(ODD) for name in rng.sample(sorted(options.OPTIONS), rng.choice((1, 1, 3)))}
        return "options", partial(options.settings, given)
    if rng.random() < 0.1:
        call = damaged(b'train_model(split_list=[0, 10, 20], recipe="cpu", seed=-1, widths=(1, 2, 3, 4))', rng)
        return "call", partial(command.parse_call, call.decode(errors="replace"), [train_EDE_Net.train_model])
    path = rng.choice(list(found))
    damage = damaged_json if path.suffix == ".json" and rng.random() < 0.7 else damaged
    path.write_bytes(damage(contents[path], rng))
    return path, found[path]


def outcome(does: Callable[[], object], expected: object) -> str:
    """What comes of a case, found in a fork with limits of memory and time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        signal.alarm(SECONDS)
        try:
            given = does()
            text = "worked" if expected is None or given == expected else "other content"
        except Exception as error:
            message = told(error)
            fine = message is not None and len(one_line(message)) <= LONGEST_LINE and "memory is full" not in message
            text = "one clear line" if fine else f"traceback: {error!r}"[:300]
        os.write(writer, text.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text if os.WIFEXITED(status) and text else f"killed by signal {os.WTERMSIG(status)}"


def fuzz(data: Path, run: Path, minutes: float, seed: int, most: int = 10**9) -> dict[str, Counter]:
    """Runs cases for so many minutes, or as many as `most`; returns for every kind how often each outcome came.

    Files of stand-ins in `data` and of a finished run's folder of results are damaged, and mended.
    """
    torch.set_num_threads(1)
    counts, found = defaultdict(Counter), readers(data, run)
    contents = {path: path.read_bytes() for path in found}
    # Whatever is taken for weights has to be those that were written; other formats have no checksum.
    weights = {path: read() for path, read in found.items() if path.suffix == ".pt"}
    end, number = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end and number < most:
        what, does = case(found, contents, random.Random(f"{seed} {number}"))
        came = outcome(does, weights.get(what))
        if what in found:
            what.write_bytes(contents[what])
        counts[getattr(what, "name", what)][came.split(":")[0]] += 1
        if came not in GOOD:
            print(f"seed {seed}, case {number}, {what}: {came}", file=sys.stderr)
        number += 1
    return counts


def main(minutes: float, seed: int = 0) -> int:
    """Fuzzes, and prints what came of it as a table; returns the exit code."""
    with tempfile.TemporaryDirectory() as root:
        data, runs = Path(root, "data"), Path(root, "runs")
        tiny = {"widths": (2, 2, 2, 2), "epochs": 1, "distill_epochs": 1, "finetune_epochs": 1}
        train_EDE_Net.demo(data_root=str(data), checkpoint_root=str(runs), **tiny)
        counts = fuzz(data, next(runs.glob("EDE_Net_*")), minutes, seed)
    total = sum(counts.values(), Counter())
    rows = [(kind, each.total(), *(each[name] for name in total)) for kind, each in sorted(counts.items())]
    print(tables.markdown_table(("kind", "cases", *total), [*rows, ("all", total.total(), *total.values())]))
    return 0 if set(total) <= set(GOOD) else 1


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), *map(int, sys.argv[2:])))
