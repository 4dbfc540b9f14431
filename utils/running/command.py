"""The command line of the entry scripts: one call of an entry function, parsed and never evaluated.

    python train_classifier.py 'train_model(split_type="s50-t5", prune=True)'

A script ends with the calls that its user edits, and `line` puts the command line before them. Nothing here imports
torch, which takes seconds: a mistake in the call is told at once.
"""

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from utils.running import console, options
from utils.running.errors import Interrupted, UserError, one_line, told

# Far above any real call (a class order of 100 numbers has 400 characters), far below what strains the parser.
MAX_CHARACTERS = 10_000

Function = Callable[..., object]


@contextmanager
def line(*functions: Function, example: str, sequence: bool = False) -> Iterator[None]:
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
            raise UserError(
                f"found {len(arguments)} arguments, expected one call: put all of it in quotes, as in '{example}'"
            )
        else:
            parse_call(arguments[0], functions, sequence)()
    except Interrupted as stop:
        _end(str(stop), stop.exit_code)
    except KeyboardInterrupt:  # where nothing is under way that would have to be saved, or after a second Ctrl-C
        _end("interrupted: the same command begins again, or goes on from what was saved", 130)
    except Exception as error:
        message = told(error)
        if message is None:
            raise
        _end(f"error: {one_line(message)}", 2)
    # Raised while the with statement is being entered, so that its body, the calls at the script's foot, does not run.
    raise SystemExit(0)


def _end(message: str, code: int) -> None:
    console.show(message, sys.stderr)
    raise SystemExit(code) from None


def parse_call(text: str, functions: Sequence[Function], sequence: bool = False) -> partial:
    """Turns `'name(literal, key=literal, ...)'` into a call that is ready to run: nothing has run.

    Raises: `UserError` for anything else, and for arguments and options that the function does not take.
    """
    by_name = {function.__name__: function for function in functions}
    expected = "expected one call of " + " or ".join(f"{name}()" for name in by_name)
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"the call has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        at = f" at column {error.offset}" if isinstance(error, SyntaxError) and error.offset else ""
        raise UserError(f"found {_quoted(text)}, which is no call{at}: {expected}") from None
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.func.id not in by_name:
        raise UserError(f"found {_quoted(text)}, {expected}")
    given = [keyword.arg for keyword in call.keywords]
    if None in given or len(set(given)) < len(given):
        raise UserError(f"found ** or a name twice in {_quoted(text)}: write the arguments out, each once")
    function = by_name[call.func.id]
    keywords = {keyword.arg: _literal(text, keyword.value) for keyword in call.keywords}
    positional = [_literal(text, node) for node in call.args]
    return partial(function, *positional, **_checked(function, positional, keywords, sequence))


def _literal(text: str, node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        found = _quoted(ast.get_source_segment(text.strip(), node) or text)
        raise UserError(
            f"found {found}, expected a literal: a number, a string in quotes, True, False, None, or a list, tuple or "
            "dict of those"
        ) from None


def _checked(function: Function, positional: list, keywords: dict[str, object], sequence: bool) -> dict[str, object]:
    """The keywords, once the arguments fit the function's signature and its options are accepted."""
    parameters = inspect.signature(function).parameters.values()
    named = {parameter.name for parameter in parameters}
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        options.settings({name: each for name, each in keywords.items() if name not in named}, sequence, named)
    try:
        inspect.signature(function).bind(*positional, **keywords)
    except TypeError as error:
        raise UserError(f"{function.__name__}(): {error}; expected {_signature(function)}") from None
    return keywords


def help_text(functions: Sequence[Function], example: str, sequence: bool) -> str:
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
    return "\n\n".join([*parts, "options, given by name:", options.table(sequence)])


def _signature(function: Function) -> str:
    """The signature as a user types it: strings in double quotes, so that the whole can stand in single ones."""
    return function.__name__ + str(inspect.signature(function)).replace("'", '"')


def _quoted(part: str) -> str:
    """A part of a call in quotes, its end left out if it is long; `repr` escapes what would not stay on one line."""
    return repr(part if len(part) <= 60 else part[:60] + "…")
