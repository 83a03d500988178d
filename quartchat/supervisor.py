"""Child processes that are kept running: restarted when they die, ended in order.

Each child has a session of its own, so that Ctrl-C reaches the parent alone, and a
pipe as stdin, its lifeline: when the parent is gone, however, the child sees the end
of it and stops by itself (`process.follow_lifeline`).
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import structlog

from quartchat.process import StartError

CONFIG_EXIT = 2  # a child's exit code for settings that no restart makes right
FIRST_PAUSE_S = 0.2  # before the first restart; doubles with each that follows at once
MAX_PAUSE_S = 10.0
STABLE_S = 10.0  # a child that ran this long begins again with the first pause

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Program:
    """One child: `python -m <arguments>`."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    fds: tuple[int, ...] = ()  # inherited, under the same numbers
    patience_s: float = 6.0  # from SIGTERM to SIGKILL
    on_exit: Callable[[int], None] = lambda _pid: None


class Supervisor:
    """The children of one parent; leaving the context ends them all, the last group first."""

    def __init__(self) -> None:
        self._groups: list[list[_Child]] = []
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        while self._groups:
            await asyncio.gather(*(child.stop() for child in self._groups.pop()))

    def start(self, *programs: Program) -> None:
        """Start a group; its members are ended together, before those started earlier."""
        self._groups.append([_Child(program, self._failure) for program in programs])

    async def failure(self) -> None:
        """Wait until a child can never run, and raise its `StartError`."""
        await self._failure


async def first(*coroutines: Coroutine[Any, Any, object]) -> None:
    """Run them side by side until one ends; cancel the others, and raise what it raised."""
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


class _Child:
    """Keeps one program running until `stop`."""

    def __init__(self, program: Program, failure: asyncio.Future[None]) -> None:
        self._program = program
        self._failure = failure
        self._stop = asyncio.Event()
        self._task = asyncio.create_task(self._keep(), name=f"child {program.name}")

    async def stop(self) -> None:
        self._stop.set()
        await self._task

    async def _keep(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            started = time.monotonic()
            code = await self._run()
            if self._stop.is_set():
                return
            if code == CONFIG_EXIT:  # it has said why
                if not self._failure.done():
                    error = StartError(f"{self._program.name} cannot start", CONFIG_EXIT)
                    self._failure.set_exception(error)
                return
            if time.monotonic() - started > STABLE_S:
                pause_s = FIRST_PAUSE_S
            log.warning("child died", name=self._program.name, code=code)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), pause_s * random.uniform(0.5, 1))  # noqa: S311
                return
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _run(self) -> int:
        """Run the program once, to its end or ours; return its exit code."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", *self._program.arguments),
            stdin=asyncio.subprocess.PIPE,
            env=self._program.environment,
            pass_fds=self._program.fds,
            start_new_session=True,
        )
        exited, stopped = asyncio.create_task(child.wait()), asyncio.create_task(self._stop.wait())
        await asyncio.wait((exited, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not exited.done():
            await self._end(child, exited)
        self._program.on_exit(child.pid)
        return exited.result()

    async def _end(self, child: asyncio.subprocess.Process, exited: asyncio.Task[int]) -> None:
        with suppress(ProcessLookupError):
            child.terminate()
        await asyncio.wait((exited,), timeout=self._program.patience_s)
        if not exited.done():
            log.warning("child killed", name=self._program.name, after_s=self._program.patience_s)
            os.killpg(child.pid, signal.SIGKILL)
            await exited
