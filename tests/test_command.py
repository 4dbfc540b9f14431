"""The command line: one call with literal arguments, parsed, never evaluated; every mistake is one clear line."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from utils import command
from utils.errors import Interrupted, UserError

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=200)


def train_model(split_list=[0, 10], split_type="s0-t10", prune=True, **options):
    """Train the classifiers
    of all tasks.

    More than the help shows.
    """
    raise AssertionError("parsing must not run anything")


def demo():
    raise AssertionError("parsing must not run anything")


def parse(text, **kwargs):
    return command.parse_call(text, [train_model, demo], **kwargs)


def message_of(text, **kwargs):
    with pytest.raises(UserError) as caught:
        parse(text, **kwargs)
    message = str(caught.value)
    assert message.isprintable(), "one line, without control characters"
    assert len(message) < 500
    return message


# --- what is accepted


@pytest.mark.parametrize(
    ("text", "args", "keywords"),
    [
        ("train_model()", (), {}),
        (" train_model( prune = False,\n epochs=1_000 )\n", (), {"prune": False, "epochs": 1000}),
        ('train_model([0, 5, 10], "s0-t2", lr=-5e-4)', ([0, 5, 10], "s0-t2"), {"lr": -5e-4}),
        ("train_model(class_order=None, widths=(64, +128))", (), {"class_order": None, "widths": (64, 128)}),
        ("train_model(a={'x': [1, {2: ()}]})", (), {"a": {"x": [1, {2: ()}]}}),
    ],
)
def test_a_call_with_literals_is_read_as_python_reads_it(text, args, keywords):
    call = parse(text)
    assert (call.func, call.args, call.keywords) == (train_model, args, keywords)


def test_the_documented_commands_are_read():
    bounds = list(range(0, 101, 10))
    call = parse(f'train_model(split_list={bounds}, split_type="s0-t10", prune=True, mixmatch=True)')
    assert call.keywords == {"split_list": bounds, "split_type": "s0-t10", "prune": True, "mixmatch": True}
    assert parse("demo()").func is demo


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
LITERALS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(SCALARS | st.tuples(SCALARS, SCALARS), inner, max_size=4)
    ),
    max_leaves=20,
)


@DETERMINISTIC
@given(st.lists(LITERALS, max_size=3), st.dictionaries(st.sampled_from(["epochs", "λ", "x"]), LITERALS))
def test_any_literal_survives_the_round_trip_through_its_repr(args, keywords):
    arguments = [repr(value) for value in args] + [f"{name}={value!r}" for name, value in keywords.items()]
    call = parse(f"train_model({', '.join(arguments)})")
    # Compared by repr, which tells 1 from True and from 1.0, and 0.0 from -0.0.
    assert repr(call.args) == repr(tuple(args))
    assert repr(call.keywords) == repr(keywords)


# --- what is refused


@pytest.mark.parametrize(
    ("argument", "part", "column"),
    [
        ("cpu", "cpu", 20),
        ("s0-t10", "s0-t10", 20),
        ("os.system('true')", "os.system('true')", 20),
        ("[1, x.y]", "x.y", 24),
        ("[0, [demo()]]", "demo()", 25),
        ("[i for i in (1, 2)]", "[i for i in (1, 2)]", 20),
        ("{'é': __name__}", "__name__", 26),
        ("{**{'a': 1}}", "{**{'a': 1}}", 20),
        ("{1, 2}", "{1, 2}", 20),
        ("f'{1}'", "f'{1}'", 20),
        ("b'raw'", "b'raw'", 20),
        ("1j", "1j", 20),
        ("...", "...", 20),
        ("2**8", "2**8", 20),
        ("-(1)*2", "-(1)*2", 20),
        ("--1", "--1", 20),
        ("-True", "-True", 20),
        ("~1", "~1", 20),
        ("not 1", "not 1", 20),
        ("1 if 1 else 2", "1 if 1 else 2", 20),
        ("(x := 1)", "x := 1", 21),
        ("lambda: 1", "lambda: 1", 20),
        ("[1][0]", "[1][0]", 20),
    ],
)
def test_whatever_is_no_literal_is_refused_and_pointed_at(argument, part, column):
    message = message_of(f"train_model(device={argument})")
    assert f"found {part!r} at column {column}, expected a literal" in message


@pytest.mark.parametrize("argument", ["*[1]", "**{'prune': True}", "1, *[2]", "i for i in [1]", "demo()"])
def test_unpacking_and_nested_calls_are_refused(argument):
    assert "expected a literal" in message_of(f"train_model({argument})")


def test_a_later_line_is_named_too():
    assert "found 'x' at line 3, column 4" in message_of("train_model(\n  prune=True,\n a=x)")


@pytest.mark.parametrize(
    "text",
    ["os.system('true')", "train_model.__call__()", "eval('demo()')", "demo()()", "(lambda: 1)()", "__import__('os')"],
)
def test_only_the_entry_functions_can_be_called(text):
    assert "expected one call of train_model() or demo()" in message_of(text)


@pytest.mark.parametrize("text", ["train_model", "1", "demo() or demo()", "[demo()]", "demo(), demo()", "--restart"])
def test_what_is_no_call_is_refused(text):
    assert "expected one call of train_model() or demo()" in message_of(text)


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_an_empty_argument_is_refused(text):
    assert "the argument is empty" in message_of(text)


@pytest.mark.parametrize(
    "text", ["demo(", "demo())", "demo(); demo()", "import os", "x = demo()", "demo(a=1, 2)", "train_model(lr=1e)", "#"]
)
def test_broken_syntax_is_one_line(text):
    assert "cannot be read" in message_of(text)


@pytest.mark.parametrize("text", ["demo(\0)", "demo('\udcff')", "demo(" + "9" * 5000 + ")"])
def test_text_that_python_cannot_take_in_is_one_line(text):
    message_of(text)


@pytest.mark.parametrize("unit", ["(", "[", "{1:", "-", "not ", "a(", "a.", "1+", "()", "lambda:", "1**", "f'{", "1,"])
@pytest.mark.parametrize("length", [100, 5_000, 9_900, 1_000_000])
def test_any_depth_of_nesting_is_one_line(unit, length):
    message_of(f"demo({unit * (length // len(unit))}")
    message_of(f"demo({unit * (length // len(unit))}1)")


def test_a_deep_but_legal_nesting_is_read():
    assert parse(f"train_model(a={'[' * 150}{']' * 150})").keywords["a"][0][0] != []


def test_a_name_given_twice_is_refused():
    message = message_of("train_model(prune=True, prune=False)")
    assert "found 'prune=False' at column 25" in message
    assert "give it once" in message


def test_unhashable_keys_are_refused():
    assert "cannot be a key" in message_of("train_model(a={[1]: 2})")


def test_a_harmless_warning_of_the_parser_stays_silent(recwarn):
    assert parse(r'train_model(data_root="C:\data")').keywords == {"data_root": r"C:\data"}
    assert not recwarn.list


WORDS = ["train_model", "demo", "x", "os.system", "__import__", "lambda", "for", "in", "if", "else", "await", "yield"]
SIGNS = [*"()[]{},=:.-+*@;#\"'\\", "**", ":=", "f'"]
VALUES = ["1", "2.5e3", "1e999", "'a'", "True", "None", "é"]
BLANKS = [*" \n\r\f\0\u2028"]
FRAGMENTS = st.lists(st.sampled_from([*WORDS, *SIGNS, *VALUES, *BLANKS])).map("".join)


@DETERMINISTIC
@given(st.text() | FRAGMENTS | FRAGMENTS.map("demo({})".format) | FRAGMENTS.map("train_model([{}])".format))
@example("demo(\f\n\x0b x)")
def test_any_other_text_is_refused_in_one_line_and_runs_nothing(text):
    try:
        call = parse(text)  # the entry functions raise AssertionError if they run
    except UserError as error:
        message = str(error)
    else:
        assert call.func in (train_model, demo)
        message = ""
    assert message.isprintable()


# --- the arguments' names


def test_a_misspelt_argument_is_answered_with_the_nearest_name():
    call = 'train_model(splt_type="s0-t10")'
    assert "no argument 'splt_type'; did you mean 'split_type'?" in message_of(call, options=["epochs"])
    assert "did you mean 'epochs'?" in message_of("train_model(epoch=3)", options=["epochs"])


def test_without_a_near_name_all_are_listed():
    message = message_of("train_model(zzz=3)", options=["epochs"])
    assert message.endswith("it takes split_list, split_type, prune, epochs")
    assert message_of("demo(zzz=3)").endswith("it takes none")


def test_options_are_left_to_the_function_unless_their_names_are_given():
    assert parse("train_model(anything=1)").keywords == {"anything": 1}
    assert "no argument 'epochs'" in message_of("demo(epochs=1)", options=["epochs"])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("train_model([0, 1], 's0-t1', True, 4)", "too many positional arguments"),
        ("train_model([0, 1], split_list=[0, 1])", "multiple values for argument 'split_list'"),
        ("demo(1)", "too many positional arguments"),
    ],
)
def test_arguments_that_do_not_fit_the_signature_are_refused_before_anything_runs(text, problem):
    assert problem in message_of(text)


# --- a script's foot


def run_foot(monkeypatch, arguments, call=None, foot=None):
    """Run a script that ends with the statement ``foot`` and whose entry function ``train`` is ``call``."""
    ran = []

    def train(epochs=400, device="auto", **options):
        """Train it."""
        ran.append(("call", epochs))
        if call:
            call()

    monkeypatch.setattr(sys, "argv", ["folder/train.py", *arguments])
    code = None
    try:
        with command.line(train, demo, options=["lr"]):
            ran.append("foot")
            if foot:
                foot()
    except SystemExit as stop:
        code = stop.code
    return ran, code


def raising(error):
    def function():
        raise error

    return function


def test_without_an_argument_the_calls_at_the_foot_run(monkeypatch):
    assert run_foot(monkeypatch, []) == (["foot"], None)


def test_a_call_on_the_command_line_takes_the_place_of_the_foot(monkeypatch):
    assert run_foot(monkeypatch, ["train(epochs=3)"]) == ([("call", 3)], 0)


@pytest.mark.parametrize("place", ["call", "foot"])
def test_a_users_error_is_one_line_on_stderr_and_exit_code_2(monkeypatch, capsys, place):
    arguments = ["train()"] if place == "call" else []
    _, code = run_foot(monkeypatch, arguments, **{place: raising(UserError("no data here"))})
    assert code == 2
    assert capsys.readouterr() == ("", "error: no data here\n")


@pytest.mark.parametrize("place", ["call", "foot"])
@pytest.mark.parametrize("exit_code", [130, 143])
def test_an_interrupted_run_says_how_to_go_on_and_keeps_its_exit_code(monkeypatch, capsys, place, exit_code):
    arguments = ["train()"] if place == "call" else []
    _, code = run_foot(monkeypatch, arguments, **{place: raising(Interrupted("run it again", exit_code))})
    assert code == exit_code
    assert capsys.readouterr() == ("", "run it again\n")


@pytest.mark.parametrize("place", ["call", "foot"])
def test_ctrl_c_before_anything_is_begun_is_one_line_and_exit_code_130(monkeypatch, capsys, place):
    arguments = ["train()"] if place == "call" else []
    _, code = run_foot(monkeypatch, arguments, **{place: raising(KeyboardInterrupt())})
    assert code == 130
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert "the same command" in err


def test_other_exceptions_are_not_hidden(monkeypatch):
    with pytest.raises(ValueError, match="a bug"):
        run_foot(monkeypatch, ["train()"], call=raising(ValueError("a bug")))
    with pytest.raises(ValueError, match="a bug"):
        run_foot(monkeypatch, [], foot=raising(ValueError("a bug")))


def test_several_arguments_are_refused_with_an_example(monkeypatch, capsys):
    assert run_foot(monkeypatch, ["train(epochs=3,", "lr=1)"]) == ([], 2)
    assert "found 2 arguments" in (error := capsys.readouterr().err)
    assert "'train(epochs=400, device=\"auto\")'" in error


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_shows_functions_defaults_options_and_an_example(monkeypatch, capsys, flag):
    assert run_foot(monkeypatch, [flag]) == ([], 0)
    text = capsys.readouterr().out
    assert '  train(epochs=400, device="auto", **options)\n    Train it.\n' in text
    assert "  demo()\n" in text
    assert "options, given by name:\n  lr\n" in text
    assert text.endswith("  python train.py 'train(epochs=400, device=\"auto\")'\n")


def test_help_shows_the_first_paragraph_only():
    text = command.help_text("train.py", [train_model], [], "'demo()'")
    assert "    Train the classifiers of all tasks.\n" in text
    assert "More than" not in text


def test_the_example_of_the_help_may_be_given(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit), command.line(train_model, example="train_model(prune=False)"):
        pass
    assert capsys.readouterr().out.endswith("example:\n  python train.py 'train_model(prune=False)'\n")


def test_the_example_made_from_the_defaults_is_a_call_that_can_be_read(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with pytest.raises(SystemExit), command.line(train_model):
        pass
    *_, program, script, argument = shlex.split(capsys.readouterr().out.splitlines()[-1])
    assert (program, script) == ("python", "train.py")
    call = parse(argument)
    assert call.keywords == {"split_list": [0, 10], "split_type": "s0-t10", "prune": True}


def test_a_real_process_runs_nothing_but_the_call(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from utils import command\n"
        "def hello(name='you'):\n"
        "    print('hello', name)\n"
        "if __name__ == '__main__':\n"
        "    with command.line(hello):\n"
        "        hello('foot')\n"
    )

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, str(script), *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    assert run() == (0, "hello foot\n", "")
    assert run("hello(name='shell')") == (0, "hello shell\n", "")
    code, out, err = run("hello(name=open('written', 'w').name)")
    assert (code, out) == (2, "")
    assert err.startswith("error: found \"open('written', 'w').name\" at column 12, expected a literal")
    assert err.count("\n") == 1
    assert not (tmp_path / "written").exists()
