"""The command line of the entry scripts: one call of an entry function, parsed and never evaluated; its help.

    python train_classifier.py 'train_model(split_type="s50-t5", prune=True)'

A script ends with the calls that its user edits, and `line` puts the command line before them. Nothing here imports
torch, which takes seconds: a mistake in the call is told at once.
"""

import ast
import inspect
import shlex
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from utils.running import console, options
from utils.running.errors import Interrupted, UserError, one_line, told

# Far above any real call, far below what strains the parser.
MAX_CHARACTERS = 10_000


@contextmanager
def line(*functions: Callable, example: str, sequence: bool = False) -> Iterator[None]:
    """Runs the call on the command line and exits; where there is none, runs the body of the `with` statement.

    `-h` or `--help` prints the functions and options instead. What a user can mend becomes one line on stderr and exit
    code 2, `Interrupted` its message and its own exit code, Ctrl-C a line and exit code 130; other exceptions keep
    their traceback.

    Args:
        functions: what the command line may call, by `__name__`.
        example: a call that `--help` shows.
        sequence: whether `**options` are those of the sequence of data sets.

    Raises: `SystemExit` after a call or the help (code 0), and in place of the exceptions above.
    """
    console.prepare_streams()
    arguments = sys.argv[1:]
    try:
        if not arguments:
            yield
            return
        if {"-h", "--help"} & set(arguments):
            console.show(help_text(functions, example, sequence))
        elif len(arguments) > 1:
            raise UserError(f"found {len(arguments)} arguments, expected one call in quotes, as in '{example}'")
        else:
            parse_call(arguments[0], functions)()
    except (Exception, KeyboardInterrupt) as error:
        message, code = told(error), 2
        if isinstance(error, Interrupted):
            message, code = str(error), error.exit_code
        elif isinstance(error, KeyboardInterrupt):  # nothing was under way, or it was a second Ctrl-C
            message, code = "interrupted: the same command begins again, or goes on from what was saved", 130
        elif message is None:
            raise
        console.show(one_line(f"error: {message}" if code == 2 else message), sys.stderr)
        raise SystemExit(code) from None
    # Raised while the with statement is being entered, so that its body, the calls at the script's foot, does not run.
    raise SystemExit(0)


def parse_call(text: str, functions: Sequence[Callable]) -> partial:
    """Turns `'name(literal, key=literal, ...)'` into a call that is ready to run: nothing has run.

    Raises: `UserError` for anything else, and for arguments that the function does not take.
    """
    by_name = {function.__name__: function for function in functions}
    expected = "expected one call of " + " or ".join(f"{name}()" for name in by_name)
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"the call has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise UserError(f"found {text[:60]!r}, which is no call{at}: {expected}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in by_name:
        raise UserError(f"found {text[:60]!r}, {expected}")
    names = [keyword.arg for keyword in call.keywords]
    if None in names or len(set(names)) < len(names):
        raise UserError(f"found ** or a name twice in {text[:60]!r}: write the arguments out, each once")
    try:
        positional = [ast.literal_eval(node) for node in call.args]
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (ValueError, TypeError, RecursionError, MemoryError):
        raise UserError(
            f"found {text[:60]!r}, expected literals as arguments: numbers, strings in quotes, True, False, None, or "
            "lists, tuples and dicts of those"
        ) from None
    function = by_name[call.func.id]
    try:
        inspect.signature(function).bind(*positional, **keywords)
    except TypeError as error:
        raise UserError(f"{function.__name__}(): {error}; expected {_signature(function)}") from None
    return partial(function, *positional, **keywords)


def help_text(functions: Sequence[Callable], example: str, sequence: bool) -> str:
    """What `--help` prints: every function's signature and first docstring paragraph, an example, the options."""
    script = Path(sys.argv[0]).name
    parts = [
        f"usage: python {script} ['CALL']",
        "CALL is one call of a function below; its arguments are numbers, strings, True, False, None, or lists,\n"
        f"tuples and dicts of those. Without it, the calls at the foot of {script} run.",
    ]
    for function in functions:
        summary = (inspect.getdoc(function) or "").split("\n\n")[0]
        parts.append(f"  {_signature(function)}\n" + textwrap.indent(summary, "      "))
    parts.append(f"example:\n  python {script} '{example}'")
    return "\n\n".join([*parts, "options, given by name:", options_table(sequence)])


def _signature(function: Callable) -> str:
    """The signature as a user types it: strings in double quotes, so that the whole can stand in single ones."""
    return function.__name__ + str(inspect.signature(function)).replace("'", '"')


def options_table(sequence: bool = False) -> str:
    """All options as a Markdown table: each recipe's default, what is accepted, and what it is for."""
    recipes = options.RECIPES[:-1]
    rows = [["option", *recipes, "accepts", "meaning"]]
    for name in options.names(sequence):
        paper, *others = (repr(options.value(name, recipe, sequence)).replace("'", '"') for recipe in recipes)
        differing = [f"`{each}`" if each != paper else "" for each in others]
        option = options.OPTIONS[name]
        rows.append([f"`{name}`", f"`{paper}`", *differing, option.check.words, option.help])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(f"| {line} |" for line in [lines[0], " | ".join("-" * width for width in widths), *lines[1:]])


def command_line(script: str, function: str, arguments: dict[str, Any], chosen: options.Settings) -> str:
    """The shell command of a call: its `arguments`, and the options that differ from their recipe's defaults."""
    given = {
        name: each
        for name in options.names(chosen.sequence)
        if (each := getattr(chosen, name)) != options.value(name, chosen.recipe, chosen.sequence)
        and name not in ("restart", "dry_run")
    }
    call = f"{function}({', '.join(f'{name}={each!r}' for name, each in {**arguments, **given}.items())})"
    return f"python {script} " + (shlex.quote(call) if '"' in call else "'{}'".format(call.replace("'", '"')))
