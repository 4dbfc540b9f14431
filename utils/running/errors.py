"""The exceptions that end a run without a traceback, see `utils.running.command.line`."""

LONGEST_LINE = 500  # characters


class UserError(Exception):
    """Something the user can mend: a wrong option, a missing or damaged file, a folder in use.

    The message is one line that says what was found, what was expected and what to do.
    """


class Interrupted(Exception):  # noqa: N818 - nothing went wrong: the user asked the run to stop
    """A run that was asked to stop by a signal, has saved its state and can go on later.

    `exit_code` is by the shells' convention 128 + the signal's number: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(f"{message}; the same command, without restart=True, goes on from there")
        self.exit_code = 128 + number


def one_line(text: str) -> str:
    """The text on one line of at most 500 characters: what is not printable escaped, the middle left out."""
    plain = "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
    return plain if len(plain) <= LONGEST_LINE else f"{plain[:300]} … {plain[-(LONGEST_LINE - 303) :]}"


def told(error: BaseException) -> str | None:
    """What to tell of an exception that a user can do something about; None for any other."""
    if isinstance(error, UserError):
        return str(error)
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & {"MemoryError", "OutOfMemoryError"} or "can't allocate memory" in str(error):
        return 'the memory is full: give smaller batches or widths, data_device="cpu", or another device'
    if "TorchDynamoException" in kinds:
        return f"compile=True does not work here ({str(error).splitlines()[0][:160]}): leave it out"
    if isinstance(error, OSError):
        place, reason = error.filename or "a file", error.strerror or error
        return f"{place}: {reason}: mend it, then run the same command again; what was written before is unchanged"
    return None
