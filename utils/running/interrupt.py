"""SIGINT and SIGTERM ask a run to stop after the step at hand; a second one stops it at once.

Here they are noted. `utils.method.training.fit` looks after every step, saves and stops; `Run.each` between tasks.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interruption:
    """The signal that asked this process to stop, if any."""

    requested: int | None = None

    @classmethod
    @contextmanager
    def watched(cls) -> Iterator[None]:
        """In the main thread, within this block: a first signal sets `requested`, a second one does as before."""
        cls.requested, before = None, {}

        def note(number: int, frame: object) -> None:
            cls.requested = number
            signal.signal(number, before[number])

        if threading.current_thread() is threading.main_thread():
            before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
            for number in before:
                signal.signal(number, note)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            cls.requested = None
