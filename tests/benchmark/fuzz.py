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
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import train_classifier
import train_EDE_Net
from datasets import catalog, image_file, stand_ins
from models import EDENet
from utils.results import compare
from utils.running import artefact, checkpoint, command, options
from utils.running.errors import LONGEST_LINE, one_line, told

MEMORY = 2 * 10**9  # bytes beyond what the process has
SECONDS = 20
GOOD = ("one clear line", "worked")
SPLIT = {"split_list": [0, 2, 4], "split_type": "s0-t2", "rehearsal_size": 8}
SMALL = {"recipe": "demo", "widths": (2, 2, 2, 2), "epochs": 1, "distill_epochs": 1, "finetune_epochs": 1}
ODD = [
    None,
    True,
    -1,
    0,
    1,
    2**31,
    2**63,
    10**400,
    0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "a\0b",
    "a\nb",
    "x" * 10**4,
]
ODD += [[], [0] * 10**4, [2**63] * 4, {}, "folder:", "folder:/", "~", (1, 2), [[]], b"bytes"]


def prepare(root: Path) -> dict[str, tuple[Path, Callable[[Path], object]]]:
    """Makes a file of every kind; returns, by kind, where it lies and how it is read (what is read compares equal)."""
    data, runs = root / "data", root / "runs"
    stand_ins.write(data, train_per_class=12, test_per_class=4, classes=4)
    shared = {**SPLIT, **SMALL, "data_root": str(data), "checkpoint_root": str(runs)}
    train_classifier.train_model(**shared, mixmatch=False)
    train_EDE_Net.train_model(**shared, mixmatch=False)
    folder = next(runs.glob("EDE_Net_*"))
    other = shutil.copytree(folder, root / "other")
    found: dict[str, tuple[Path, Callable[[Path], object]]] = {
        "stage_2.pt": (folder / "stage_2.pt", lambda path: checkpoint.fingerprint(EDENet.load(path).state_dict())),
        "stage_2.json": (folder / "stage_2.json", artefact.read_record),
        "results.json": (folder / "results.json", lambda path: compare.read([str(path.parent), str(other)])),
    }
    for name, entry in catalog.CATALOG.items():
        for file in entry.archive.parts["train"]:
            path = next(path for path in (data / file.removesuffix(".gz"), data / file) if path.exists())
            found[f"{name} {path.name}"] = (
                path,
                lambda path, name=name: catalog.load(name, data, "train").fingerprint(),
            )
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    for kind in ("png", "jpg", "bmp", "ppm", "tif", "webp"):
        path = root / f"picture.{kind}"
        picture.save(path)
        found[path.name] = (path, lambda path: image_file.read(path).tolist())
    return found


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The bytes with some flipped, cut, doubled, taken from elsewhere or set to one value."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        a, b = sorted(rng.randrange(len(found) + 1) for _ in range(2))
        b = min(b, a + rng.choice((1, 4, 64, len(found))))
        match rng.randrange(6):
            case 0 if a < len(found):
                found[a] ^= 1 << rng.randrange(8)
            case 1:
                del found[a:b]
            case 2:
                found[a:a] = found[a:b]
            case 3:
                found[a:b] = bytes([rng.choice((0, 1, 127, 128, 255))]) * (b - a)
            case 4:
                found[a:b] = rng.randbytes(b - a)
            case _:
                del found[a:]
        found = found or bytearray(b"\0")
    return bytes(found)


def damaged_json(content: bytes, rng: random.Random) -> bytes:
    """A JSON file with a value taken away or replaced by an odd one."""
    root = json.loads(content)
    place = root
    while isinstance(place, dict | list) and place:
        key = rng.choice(list(place) if isinstance(place, dict) else range(len(place)))
        if rng.random() < 0.3 or not isinstance(place[key], dict | list) or not place[key]:
            if rng.random() < 0.5:
                del place[key]
            else:
                place[key] = rng.choice([each for each in ODD if not isinstance(each, bytes)])
            break
        place = place[key]
    return json.dumps(root).encode()


def case(found: dict, rng: random.Random) -> tuple[str, Callable[[], object], object]:
    """A random case: its kind, what it does, and what that gives if it works (None: anything)."""
    if rng.random() < 0.2:
        given = {name: rng.choice(ODD) for name in rng.sample(sorted(options.OPTIONS), rng.choice((1, 1, 3)))}
        return "options", lambda: options.settings(given), None
    if rng.random() < 0.1:
        call = damaged(b'train_model(split_list=[0, 10, 20], recipe="cpu", seed=-1, widths=(1, 2, 3, 4))', rng)
        text = call.decode(errors="replace")
        return "call", lambda: command.parse_call(text, [train_classifier.train_model]), None
    kind = rng.choice(sorted(found))
    path, read, before, whole = found[kind]
    json_too = path.suffix == ".json" and rng.random() < 0.7
    path.write_bytes((damaged_json if json_too else damaged)(before, rng))
    return kind, lambda: read(path), whole


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


def fuzz(minutes: float, seed: int, most: int = 10**9) -> dict[str, Counter]:
    """Runs cases for so many minutes, or as many as `most`; returns for every kind how often each outcome came."""
    torch.set_num_threads(1)
    counts: dict[str, Counter] = {}
    with tempfile.TemporaryDirectory() as root:
        kinds = prepare(Path(root))
        found = {}
        for kind, (path, read) in kinds.items():
            # Whatever is taken for weights has to be those that were written; other formats have no checksum.
            whole = read(path)
            found[kind] = (path, read, path.read_bytes(), whole if path.suffix == ".pt" else None)
        end, number = time.monotonic() + 60 * minutes, 0
        while time.monotonic() < end and number < most:
            rng = random.Random(f"{seed} {number}")
            kind, does, expected = case(found, rng)
            came = outcome(does, expected)
            if kind in found:
                found[kind][0].write_bytes(found[kind][2])
            counts.setdefault(kind, Counter())[came.split(":")[0]] += 1
            if came not in GOOD:
                print(f"seed {seed}, case {number}, {kind}: {came}", file=sys.stderr)
            number += 1
    return counts


if __name__ == "__main__":
    found = fuzz(float(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    total = sum(found.values(), Counter())
    for kind, counts in sorted({**found, "all": total}.items()):
        print(f"{kind:32} {sum(counts.values()):6} cases: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    sys.exit(0 if set(total) <= set(GOOD) else 1)
