"""The command line of the entry scripts: one call of an entry function, parsed and never evaluated.

    python train_classifier.py 'train_model(split_type="s50-t5", prune=True)'

A script ends with the calls that its user edits, and :func:`line` puts the command line before them::

    if __name__ == "__main__":
        with command.line(train_model, demo):  # a call on the command line takes the place of these
            train_model(split_type="s0-t10")
            # train_model(split_type="s50-t5")
"""

import ast
import difflib
import inspect
import re
import shlex
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from utils.errors import Interrupted, UserError, memory_full

# Far above any real call (a class order of 100 numbers has 400 characters), far below what strains the parser.
MAX_CHARACTERS = 10_000
NUMBERS = (int, float)  # not bool, although that is an int: -True is no literal

Function = Callable[..., object]


@contextmanager
def line(*functions: Function, options: Iterable[str] = (), example: str | None = None) -> Iterator[None]:
    """Run the call on the command line and exit; where there is none, run the body of the ``with`` statement.

    ``-h`` or ``--help`` prints the functions instead. Either way a :class:`UserError` becomes one line on stderr and
    exit code 2, :class:`Interrupted` its message and its own exit code, and Ctrl-C a line and exit code 130; other
    exceptions keep their traceback.

    Args:
        functions: what the command line may call, by ``__name__``.
        options: the names that ``**options`` of those functions stands for. Left empty, the functions check them.
        example: the call that ``--help`` shows; by default the first function with its defaults.

    Raises:
        SystemExit: after a call or the help (code 0), and in place of the exceptions above.
    """
    arguments = sys.argv[1:]
    example = shlex.quote(example or _example(functions[0]))
    try:
        if not arguments:
            yield
            return
        if {"-h", "--help"} & set(arguments):
            print(help_text(Path(sys.argv[0]).name, functions, options, example))
        elif len(arguments) > 1:
            raise UserError(
                f"found {len(arguments)} arguments, expected one call: put all of it in quotes, as in {example}"
            )
        else:
            parse_call(arguments[0], functions, options)()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        raise SystemExit(stop.exit_code) from None
    except (MemoryError, RuntimeError) as error:
        if (told := memory_full(error)) is None:
            raise
        print(f"error: {told}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:  # where nothing is under way that would have to be saved, or after a second Ctrl-C
        print("interrupted: the same command begins again, or goes on from what was saved", file=sys.stderr)
        raise SystemExit(130) from None
    # Raised while the with statement is being entered, so that its body, the calls at the script's foot, does not run.
    raise SystemExit(0)


def parse_call(text: str, functions: Sequence[Function], options: Iterable[str] = ()) -> partial:
    """Turn ``'name(literal, key=literal, ...)'`` into a call that is ready to run.

    Args:
        text: one call of one of ``functions``. Literals are numbers (with a sign or without), strings, True, False,
            None, and lists, tuples and dicts of literals.
        functions: those that may be called, by ``__name__``.
        options: see :func:`line`.

    Returns:
        The function with its arguments bound (``.func``, ``.args``, ``.keywords``); nothing has run.

    Raises:
        UserError: for anything else, pointing at the offending part; for arguments that the function does not take.
    """
    if len(text) > MAX_CHARACTERS:
        raise UserError(f"the call has {len(text):,} characters, expected at most {MAX_CHARACTERS:,}")
    text = text.strip()
    by_name = {function.__name__: function for function in functions}
    expected = "expected one call of " + " or ".join(f"{name}()" for name in by_name)
    if not text:
        raise UserError(f"the argument is empty, {expected}")
    try:
        match _parse(text):
            case ast.Call(func=ast.Name(id=name), args=args, keywords=keywords) if name in by_name:
                values = [_literal(text, node) for node in args]
                return _bind(by_name[name], values, _keyword_literals(text, keywords), options)
            case ast.Call(func=callee):
                raise UserError(f"found {_part(text, callee)}, {expected}")
            case other:
                raise UserError(f"found {_part(text, other)}, which is no call; {expected}")
    except (RecursionError, MemoryError):
        raise UserError(f"the call {_quoted(text)} is nested too deeply to be read") from None


def _parse(text: str) -> ast.expr:
    """The syntax tree of one expression."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as "\d" in a string: harmless, and no user's concern here
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        where = f" at {_position(error.lineno, error.offset)}" if error.lineno and error.offset else ""
        raise UserError(f"the call {_quoted(text)} cannot be read: {error.msg}{where}") from None
    except ValueError as error:  # null bytes, or bytes that are no text in the terminal's encoding
        raise UserError(f"the call {_quoted(text)} cannot be read: {error}") from None


def _literal(text: str, node: ast.expr) -> object:
    """The value that ``node`` spells out, or a UserError that points at the first part that is no literal."""
    match node:
        case ast.Constant(value=bool() | int() | float() | str() | None as value):
            return value
        case ast.UnaryOp(op=ast.UAdd() | ast.USub() as sign, operand=ast.Constant(value)) if type(value) in NUMBERS:
            return -value if isinstance(sign, ast.USub) else value
        case ast.List(elts=elements):
            return [_literal(text, element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_literal(text, element) for element in elements)
        case ast.Dict(keys=keys, values=values) if None not in keys:  # None stands for the ** in {**other}
            pairs = [(_literal(text, key), _literal(text, value)) for key, value in zip(keys, values, strict=True)]
            try:
                return dict(pairs)
            except TypeError:
                raise UserError(f"found {_part(text, node)}: a list or dict cannot be a key of a dict") from None
    raise _no_literal(text, node)


def _keyword_literals(text: str, keywords: list[ast.keyword]) -> dict[str, object]:
    """The arguments given by name; ``**mapping`` and a name given twice are refused."""
    values = {}
    for keyword in keywords:
        if keyword.arg is None:
            raise _no_literal(text, keyword)
        if keyword.arg in values:
            raise UserError(f"found {_part(text, keyword)}, but {_quoted(keyword.arg)} was given before: give it once")
        values[keyword.arg] = _literal(text, keyword.value)
    return values


def _bind(function: Function, args: list, keywords: dict[str, object], options: Iterable[str]) -> partial:
    """Check the arguments against the function's signature, before anything has run."""
    name, options = f"{function.__name__}()", list(options)
    known, takes_options = _keywords_of(function)
    if takes_options:
        known += options
    if options or not takes_options:
        for unknown in (key for key in keywords if key not in known):
            near = difflib.get_close_matches(unknown, known, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known) or 'none'}"
            raise UserError(f"{name} has no argument {_quoted(unknown)}; {hint}")
    try:
        inspect.signature(function).bind(*args, **keywords)
    except TypeError as error:
        raise UserError(f"{name}: {error}; expected {_signature(function)}") from None
    return partial(function, *args, **keywords)


def _keywords_of(function: Function) -> tuple[list[str], bool]:
    """The arguments that can be given by name, and whether there is a ``**options`` besides."""
    parameters = inspect.signature(function).parameters.values()
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    takes_options = any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters)
    return [parameter.name for parameter in parameters if parameter.kind in named], takes_options


def help_text(script: str, functions: Sequence[Function], options: Iterable[str], example: str) -> str:
    """What ``--help`` prints: every function's signature and first docstring paragraph, the options, one example."""
    paragraphs = [
        f"usage: python {script} ['CALL']",
        _wrapped(
            "CALL is one call of a function below; its arguments are numbers, strings, True, False, None, or lists, "
            f"tuples and dicts of those. Without it, the calls at the foot of {script} run."
        ),
    ]
    for function in functions:
        summary = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
        described = _wrapped(_signature(function), "  ", " " * 6)
        paragraphs.append(described + ("\n" + _wrapped(summary, " " * 4, " " * 4) if summary else ""))
    if options := ", ".join(options):
        paragraphs.append("options, given by name:\n" + _wrapped(options, "  ", "  "))
    paragraphs.append(f"example:\n  python {script} {example}")
    return "\n\n".join(paragraphs)


def _signature(function: Function) -> str:
    """The signature as a user types it: without annotations, strings in double quotes."""
    signature = inspect.signature(function)
    bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in signature.parameters.values()]
    return function.__name__ + _double_quoted(
        str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    )


def _example(function: Function) -> str:
    """A call of ``function`` that spells out its leading arguments' defaults, where they have one to show."""
    shown = [
        f"{parameter.name}={_double_quoted(repr(parameter.default))}"
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default not in (parameter.empty, None)
    ]
    return f"{function.__name__}({', '.join(shown)})"


def _double_quoted(source: str) -> str:
    """Double quotes around the strings, so that the whole call can stand in the shell's single ones."""
    return source.replace("'", '"')


def _wrapped(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(
        text, 100, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )


def _no_literal(text: str, node: ast.expr | ast.keyword) -> UserError:
    return UserError(
        f"found {_part(text, node)}, expected a literal: a number, a string in double quotes, True, False, None, "
        "or a list, tuple or dict of those"
    )


def _part(text: str, node: ast.expr | ast.keyword) -> str:
    """What ``node`` looks like in ``text``, and where it stands."""
    before = _lines(text)[node.lineno - 1].encode()[: node.col_offset].decode()  # ast counts columns in bytes
    return f"{_quoted(ast.get_source_segment(text, node) or text)} at {_position(node.lineno, len(before) + 1)}"


def _position(line_number: int, column: int) -> str:
    return f"column {column}" if line_number == 1 else f"line {line_number}, column {column}"


def _lines(text: str) -> list[str]:
    """The lines as Python counts them; str.splitlines knows more line ends."""
    return re.split(r"\r\n|\r|\n", text)


def _quoted(part: str) -> str:
    """``part`` in quotes, its end left out if it is long; ``repr`` escapes all that would not stay on one line."""
    return repr(part if len(part) <= 40 else part[:40] + "...")
