"""The writer of the journal: one thread, one connection, and as many operations in a transaction as are waiting.

An operation is a function of the connection and of the run that it is about. Those that wait while the disk is busy
are committed together: with one flush to the disk a hundred runs advance by a step (group commit; DeWitt et al.,
"Implementation techniques for main memory database systems", SIGMOD 1984).
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from orchestrator_memory.door import Door

__all__ = ["Writer"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Entry = tuple[Callable[..., Any], tuple[Any, ...], "asyncio.Future[Any] | None"]
PATIENCE = 0.005
log = logging.getLogger(__name__)


class Writer:
    """Commits operations in the order in which they were given."""

    def __init__(self, door: Door) -> None:
        """Write through ``door``; the thread starts with the first operation."""
        self._door = door
        self._entries: list[Entry] = []
        self._mutex = threading.Lock()
        self._wake: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.listeners: list[Callable[[set[str]], None]] = []

    async def do(self, operation: Callable[[sqlite3.Connection, str, *Ts], T], run: str, *args: *Ts) -> T:
        """Commit an operation and return its answer; what it raises undoes it alone.

        Once given, it is committed even if the caller is cancelled.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        with self._mutex:
            self._entries.append((operation, (run, *args), future))
        if self._thread is None:
            self._start()
        self._wake.put("commit")
        return await future

    def post(self, operation: Callable[[sqlite3.Connection, str, *Ts], Any], run: str, *args: *Ts) -> None:
        """Give an operation that nobody waits for: it goes with the next one that is waited for, or in a moment."""
        loop = asyncio.get_running_loop()
        with self._mutex:
            self._entries.append((operation, (run, *args), None))
        if self._timer is None:
            self._timer = loop.call_later(PATIENCE, self._flush)

    def close(self) -> None:
        """Commit what was given and end the thread."""
        thread, self._thread = self._thread, None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if thread is not None:
            self._wake.put("end")
            thread.join()
        elif self._entries:
            self._commit()

    def _flush(self) -> None:
        self._timer = None
        if self._entries:
            if self._thread is None:
                self._start()
            self._wake.put("commit")

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        told = ""
        while told != "end":
            told = self._wake.get()
            self._commit()

    def _commit(self) -> None:
        with self._mutex:
            entries, self._entries = self._entries, []
        if not entries:
            return
        answers: list[Any] = []
        try:
            with self._door.write() as db:
                for operation, args, _ in entries:
                    answers.append(operation(db, *args))
        except Exception as error:  # noqa: BLE001 - whatever it is goes to those who wait
            answers = [error] if len(entries) == 1 else self._singly(entries)
        self._deliver(entries, answers)

    def _singly(self, entries: list[Entry]) -> list[Any]:
        """Do again, each in a transaction of its own, what failed together."""
        answers: list[Any] = []
        for operation, args, _ in entries:
            try:
                with self._door.write() as db:
                    answers.append(operation(db, *args))
            except Exception as error:  # noqa: BLE001 - one that fails must not undo the others
                answers.append(error)
        return answers

    def _deliver(self, entries: list[Entry], answers: list[Any]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for (operation, _, future), answer in zip(entries, answers, strict=True):
            if future is not None:
                loops.setdefault(future.get_loop(), []).append((future, answer))
            elif isinstance(answer, Exception):
                log.error("a note to the journal was lost: %s", operation.__name__, exc_info=answer)
        runs = {args[0] for _, args, _ in entries} if self.listeners else set[str]()
        for listener in self.listeners:
            listener(runs)
        for loop, settled in loops.items():
            try:
                loop.call_soon_threadsafe(_settle, settled)
            except RuntimeError:  # the loop has ended, and nobody waits any more
                log.debug("answers came after the loop had ended")


def _settle(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in settled:
        if future.done():
            continue
        if isinstance(answer, Exception):
            future.set_exception(answer)
        else:
            future.set_result(answer)
