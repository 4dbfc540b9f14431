"""A small, fixed part of the fuzzing: whatever is damaged, there is one clear line or what was asked for."""

import shutil
from collections import Counter

from tests.benchmark import fuzz


def test_damaged_files_options_and_calls_end_in_one_clear_line_or_work(finished, stand_in, tmp_path):
    data = shutil.copytree(stand_in, tmp_path / "data")
    run = shutil.copytree(finished.ede_net, tmp_path / "run")
    counts = sum(fuzz.fuzz(data, run, minutes=5, seed=0, most=60).values(), Counter())
    assert set(counts) <= set(fuzz.GOOD)
    assert counts["one clear line"] > 30
