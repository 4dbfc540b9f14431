"""The tables of docs/options.md are what the code prints."""

from pathlib import Path

import pytest

from utils.running import options

PAGE = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("marker", "sequence"), [("options", False), ("options of the sequence", True)])
def test_table_is_that_of_the_code(marker, sequence):
    table = PAGE.split(f"<!-- {marker} -->\n")[1].split(f"\n<!-- end of {marker} -->")[0]
    assert table == options.table(sequence=sequence), "put into docs/options.md what `options.table` returns"
