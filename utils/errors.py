"""The exceptions that end a run without a traceback."""


class UserError(Exception):
    """Something the user can mend: a wrong option, a missing or damaged file, a folder in use.

    The message is one line that says what was found, what was expected and what to do. The entry scripts print it
    without a traceback and exit with code 2; from Python it is raised as it is.
    """


def memory_full(error: BaseException | None) -> UserError | None:
    """What to say of an exception that means that the machine's or the GPU's memory is full; None for any other."""
    named = {kind.__name__ for kind in type(error).__mro__} & {"MemoryError", "OutOfMemoryError"}
    if named or "can't allocate memory" in str(error):
        return UserError('the memory is full: give smaller batches or widths, data_device="cpu", or another device')
    return None


class Interrupted(Exception):  # noqa: N818 - nothing went wrong: the user asked the run to stop
    """A run that was asked to stop, has saved its state and can go on later.

    The message says how to go on. The entry scripts print it and exit with ``exit_code``, by the shells' convention
    128 + the signal's number: 130 after SIGINT, 143 after SIGTERM.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
