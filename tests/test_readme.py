"""The README cannot go stale: its commands parse, its tables are the code's defaults, its map is the repository."""

import ast
import importlib
import re
from dataclasses import fields
from itertools import chain
from pathlib import Path

import pytest
import torch

from datasets import catalog, tasks
from models import EDENet, resnet18
from utils import checkpoint, command, recipes
from utils.recipes import CIL, MTIL, Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DEMO = "pip install -r requirements.txt && python train_EDE_Net.py 'demo()'"
TESTS = "pip install -r requirements.txt -r tests/requirements.txt && python -m pytest"
COMMANDS = sorted(set(re.findall(r"python (train\w*\.py) '([^'\n]*)'", README)))
SCRIPTS = ("train_classifier.py", "train_EDE_Net.py", "trainMTIL.py")


def section(title: str) -> str:
    """What stands under a heading of the second level."""
    return README.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def code(title: str) -> str:
    """The first block of code under a heading."""
    return re.search(r"```\w*\n(.*?)```", section(title), re.DOTALL)[1]


def entry_functions(script: str) -> list:
    """The functions that the script gives to `command.line`."""
    module = importlib.import_module(script.removesuffix(".py"))
    calls = [node for node in ast.walk(ast.parse((ROOT / script).read_text())) if isinstance(node, ast.Call)]
    [line] = [call for call in calls if ast.unparse(call.func) == "command.line"]
    return [getattr(module, argument.id) for argument in line.args]


def parsed(script: str, text: str):
    """The call, bound to its function."""
    return command.parse_call(text, entry_functions(script), recipes.NAMES)


# The commands.


@pytest.mark.parametrize(("script", "text"), COMMANDS, ids=lambda value: value[:40])
def test_every_command_is_a_call_with_accepted_options(script, text):
    given = parsed(script, text).keywords
    table = MTIL if script == "trainMTIL.py" else CIL
    recipes.settings(table, **{name: value for name, value in given.items() if name in recipes.NAMES})
    if given.keys() & {"split_list", "split_type"}:
        tasks.resolve_split(given.get("split_list"), given.get("split_type"))
    for name in [given.get("data_type", "mnist"), *given.get("data_list", [])]:
        catalog.canonical_name(name)


@pytest.mark.parametrize("script", SCRIPTS[:2])
@pytest.mark.parametrize("split_type", ["s0-t10", "s0-t5", "s50-t5", "s50-t10"])
def test_the_four_splits_have_their_command_in_both_stages(script, split_type):
    assert any(parsed(*each).keywords.get("split_type") == split_type for each in COMMANDS if each[0] == script)


def test_the_sequence_has_its_commands():
    calls = [parsed(*each) for each in COMMANDS if each[0] == "trainMTIL.py"]
    trained = {catalog.canonical_name(call.keywords["data_type"]) for call in calls if "data_type" in call.keywords}
    assert trained == {"mnist", "svhn", "cifar10"}
    assert {1, 5, 20, 50} <= {call.keywords.get("num_per_class") for call in calls}


@pytest.mark.parametrize("line", [DEMO, TESTS])
def test_demo_and_tests_are_one_line_of_code_each(line):
    assert README.splitlines().count(line) == 1
    assert line in (ROOT / ".ci" / "run").read_text()


# The options.


def options_of(table: dict) -> tuple[Settings, Settings]:
    return recipes.settings(table, recipe="paper"), recipes.settings(table, recipe="cpu")


def rows(first_cell: str) -> dict[str, list[str]]:
    """The table under "Options" whose header begins so: the option's name -> its other cells."""
    lines = iter(section("Options").splitlines())
    next(line for line in lines if line.startswith(f"| {first_cell} |"))
    next(lines)
    cells = []
    for line in lines:
        if not line.startswith("|"):
            break
        cells.append([cell.strip() for cell in line.strip().strip("|").split("|")])
    assert len({row[0] for row in cells}) == len(cells)
    return {row[0].strip("`"): row[1:] for row in cells}


def value(cell: str) -> object:
    return ast.literal_eval(cell.strip("`"))


def test_options_table_names_every_option_and_no_other():
    assert list(rows("option")) == [item.name for item in fields(Settings)]


@pytest.mark.parametrize("name", recipes.NAMES)
def test_options_table_has_the_defaults(name):
    paper, cpu = (getattr(settings, name) for settings in options_of(CIL))
    in_paper, in_cpu, meaning = rows("option")[name]
    assert value(in_paper) == paper, f"paper: {paper!r}"
    assert (value(in_cpu) if in_cpu else value(in_paper)) == cpu, f"cpu: {cpu!r}"
    assert (in_cpu == "") == (paper == cpu), "the cell of cpu is to be empty where it is that of paper"
    assert meaning


def test_sequence_table_has_its_own_defaults():
    (paper, cpu), plain = options_of(MTIL), options_of(CIL)
    own = {
        name
        for name in recipes.MTIL_NAMES
        if [getattr(paper, name), getattr(cpu, name)] != [getattr(general, name) for general in plain]
    }
    table = rows("option of the sequence")
    assert set(table) == own - {"recipe"}
    for name, (in_paper, in_cpu) in table.items():
        assert value(in_paper) == getattr(paper, name)
        assert value(in_cpu or in_paper) == getattr(cpu, name)


# The map.


def mapped() -> list[str]:
    return re.findall(r"^(\S+) {2,}\S", code("The repository's map"), re.MULTILINE)


def test_every_path_of_the_map_exists():
    assert mapped()
    assert [path for path in mapped() if not (ROOT / path).exists()] == []


def test_every_module_is_in_the_map_once():
    modules = chain.from_iterable((ROOT / folder).glob("*.py") for folder in (".", "datasets", "models", "utils"))
    names = {str(path.relative_to(ROOT)) for path in modules if path.name != "__init__.py"}
    assert {path for path in mapped() if path.endswith(".py")} == names
    assert len(mapped()) == len(set(mapped()))


# The lines of Python.


def test_lines_that_use_a_trained_network_run(tmp_path, capsys):
    names = [f"class {k}" for k in range(5)]
    path = tmp_path / "stage_2.pt"
    net = EDENet([resnet18(2, (2, 2, 2, 2)), resnet18(3, (2, 2, 2, 2))])
    checkpoint.write_ede_net(path, net, {"class_names": names})
    lines, count = re.subn(r'load\("[^"]*"\)', f"load({str(path)!r})", code("Using a trained network"))
    assert count == 1
    with torch.random.fork_rng():
        exec(lines, {})
    assert set(ast.literal_eval(capsys.readouterr().out)) <= set(names)
