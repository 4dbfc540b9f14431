"""The command line: one call with literal arguments, parsed, never evaluated; every mistake is one clear line."""

import sys

import pytest
from torch.cuda import OutOfMemoryError

from utils.running import command
from utils.running.errors import Interrupted, UserError


def train_model(split_list=None, prune=True, **options):
    """Train the classifiers."""
    raise AssertionError("parsing must not run anything")


def demo():
    raise AssertionError("parsing must not run anything")


def parse(text):
    return command.parse_call(text, [train_model, demo])


@pytest.mark.parametrize("value", [None, -5e-4, 1e22, 'it\'s "é"\n', [0, [1, (2,)]], {"x": [1, {2: ()}]}])
def test_any_literal_is_read_as_python_reads_it(value):
    call = parse(f" train_model({value!r},\n prune={value!r})")
    assert call.func is train_model
    assert repr((*call.args, call.keywords)) == repr((value, {"prune": value}))


NO_LITERALS = ["cpu", "os.system('true')", "[0, [demo()]]", "[i for i in (1, 2)]", "f'{1}'", "2**8", "(x := 1)", "*[1]"]
NO_CALLS = ["", "train_model", "1", "demo(), demo()", "os.system('true')", "demo()()", "eval('demo()')", "--restart"]
NO_PYTHON = ["demo(", "demo(); demo()", "import os", "demo(\0)", "demo('\udcff')", "demo(" + "9" * 5000 + ")"]
DEEP = ["(" * 10**6, *(f"demo({unit * (9_900 // len(unit))})" for unit in ("(", "[", "{1:", "-", "a(", "()", "f'{"))]


@pytest.mark.parametrize(
    ("text", "word"),
    [*((f"train_model({argument})", "expected literals") for argument in NO_LITERALS),
     *((text, "expected") for text in (*NO_CALLS, *NO_PYTHON, *DEEP)),
     ("train_model([0, 1], True, 4)", "positional"), ("demo(epochs=1)", "epochs"), ("demo(a=1, a=1)", "twice"),
     ("train_model([0], split_list=[0])", "split_list"), ("train_model(**{'prune': 1})", "**")],
    ids=lambda text: text[:20],
)  # fmt: skip
def test_anything_else_is_refused_at_any_depth_before_anything_runs(refusal, text, word):
    message = refusal(parse, text)
    assert word in message
    assert len(message) < 500


def run_foot(monkeypatch, arguments, error=None):
    """Runs a script that ends with a call, whose entry function ends with `error`."""
    ran = []

    def train(epochs=400):
        ran.append(epochs)
        if error:
            raise error

    monkeypatch.setattr(sys, "argv", ["folder/train.py", *arguments])
    code = None
    try:
        with command.line(train, train_model, example="demo()"):
            train("foot")
    except SystemExit as stop:
        code = stop.code
    return ran, code


def test_a_call_on_the_command_line_or_help_takes_the_place_of_the_foot(monkeypatch, capsys):
    assert run_foot(monkeypatch, []) == (["foot"], None)
    assert run_foot(monkeypatch, ["train(epochs=3)"]) == ([3], 0)
    assert run_foot(monkeypatch, ["train(epochs=3,", "lr=1)"]) == ([], 2)
    assert run_foot(monkeypatch, ["--help"]) == ([], 0)
    text = capsys.readouterr().out
    for part in ("train(epochs=400)", "Train the classifiers.", "`lr`", "python train.py 'demo()'"):
        assert part in text
    with pytest.raises(ValueError, match="a bug"):  # which is not hidden
        run_foot(monkeypatch, ["train()"], ValueError("a bug"))


@pytest.mark.parametrize("arguments", [[], ["train()"]])
@pytest.mark.parametrize(
    ("error", "code", "word"),
    [(UserError("no data here"), 2, "error: no data here\n"), (Interrupted("saved", 15), 143, "saved; the same"),
     (KeyboardInterrupt(), 130, "the same command"), (MemoryError(), 2, "the memory is full"),
     (OutOfMemoryError("CUDA"), 2, "memory"), (RuntimeError("… can't allocate memory: you"), 2, "memory"),
     (PermissionError(13, "Permission denied", "/data/x"), 2, "/data/x: Permission denied"),
     (UserError("a\n\x1b[1m" + "x" * 10**6), 2, "a\\n\\x1b")],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_what_ends_a_script_is_one_short_line_with_its_exit_code(monkeypatch, capsys, arguments, error, code, word):
    """Issue 13.12 and 13.15: any `OSError` is one line with its file, and no line is longer than 500 characters."""
    assert run_foot(monkeypatch, arguments, error)[1] == code
    out, err = capsys.readouterr()
    assert out == ""
    assert word in err
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    assert len(err) < 520
