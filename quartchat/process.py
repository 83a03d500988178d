"""What each process does about its own life: signals, exit deadline, lifeline, limits.

Loads nothing slow, so that the signal handlers are there as early as can be.
"""

import os
import queue
import signal
import sys
import threading
import time
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import asyncio

MAX_FILES = 1 << 20  # containers report hard limits of a billion, and tables are sized by it
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class StartError(Exception):
    """The process cannot go on; the message is one line for a person."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def complain(message: str) -> None:
    """Say in one line on stderr why the process ends."""
    sys.stderr.write(f"quartchat: {message}\n")
    sys.stderr.flush()


def exit_on_signals() -> None:
    """Until `stop_event` takes over there is nothing to clean up: a signal just ends it."""

    def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
        os._exit(0)

    for number in STOP_SIGNALS:
        signal.signal(number, leave)


def stop_event(deadline_s: float) -> "asyncio.Event":
    """Return an event that SIGTERM or SIGINT sets; to be called in the running loop.

    `deadline_s` after the signal the process ends with exit code 0, come what may:
    on Python >= 3.12 `Server.wait_closed()` waits for every open connection
    (pgjones/hypercorn#308), and a reader that never reads keeps its own open for ever.
    The waiting thread exists before the signal, since a handler may not take locks.
    A second Ctrl-C ends the process at once.
    """
    import asyncio  # noqa: PLC0415  (a quarter of the time until the first handler)

    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()  # its put() is safe in a handler

    def exit_late() -> NoReturn:
        signals.get()
        time.sleep(deadline_s)
        os._exit(0)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and stop.is_set():
            os._exit(128 + number)
        signals.put(number)
        with suppress(RuntimeError):  # the loop is closed: the process is about to end
            loop.call_soon_threadsafe(stop.set)

    threading.Thread(target=exit_late, name="exit deadline", daemon=True).start()
    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
    return stop


def follow_lifeline() -> None:
    """End with the parent, even if that was killed hard: it alone holds our stdin's other end.

    Unlike Linux's PR_SET_PDEATHSIG this works on macOS, and for the parent's death only.
    """

    def watch() -> None:
        while os.read(0, 1024):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


def raise_file_limit() -> None:
    """Allow as many open files, that is streams, as the system lets this user have."""
    import resource  # noqa: PLC0415  (not on every platform)

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(ValueError, OSError):  # macOS refuses more than its own maximum
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
