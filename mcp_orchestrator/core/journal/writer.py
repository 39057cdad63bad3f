"""The writer of the journal: one connection, and in a transaction as many operations as are waiting.

An operation is a function of the connection and of the run that it is about. Those that wait while the disk is busy
are committed together: with one flush to the disk a hundred runs advance by a step (group commit; DeWitt et al.,
"Implementation techniques for main memory database systems", SIGMOD 1984).

A transaction that is expected to take less time than waking a thread and being woken by it is committed by the event
loop itself; one that is not, or that somebody else's transaction stands in the way of, by a thread.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from orchestrator_memory.door import Busy, Door
from orchestrator_memory.sqlite import sqlite3

__all__ = ["Writer"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Operation = Callable[..., Any]
Entry = tuple[Operation, tuple[Any, ...], "asyncio.Future[Any] | None"]
Listener = Callable[[set[str], list[Operation]], None]
PATIENCE = 0.005
QUICK = 0.0004
log = logging.getLogger(__name__)


class Writer:
    """Commits operations in the order in which they were given."""

    def __init__(self, door: Door) -> None:
        """Write through ``door``; a thread is started when it is first needed."""
        self._door = door
        self._entries: deque[Entry] = deque()
        self._mutex = threading.Lock()  # one commit at a time, in the order of the entries
        self._wake: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._turn: asyncio.Handle | None = None
        self._given = False
        self._usual = 0.0
        self.listeners: list[Listener] = []

    async def do(self, operation: Callable[[sqlite3.Connection, str, *Ts], T], run: str, *args: *Ts) -> T:
        """Commit an operation and return its answer; what it raises undoes it alone.

        Once given, it is committed even if the caller is cancelled.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._entries.append((operation, (run, *args), future))
        if self._turn is None:
            if getattr(loop, "_ready", True):  # what else is given in this turn of the loop goes with it
                self._turn = loop.call_soon(self._commit_or_give)
            else:
                self._commit_or_give()
        return await future

    def post(self, operation: Callable[[sqlite3.Connection, str, *Ts], Any], run: str, *args: *Ts) -> None:
        """Give an operation that nobody waits for: it goes with the next one that is waited for, or in a moment."""
        self._entries.append((operation, (run, *args), None))
        if self._timer is None and self._turn is None:
            self._timer = asyncio.get_running_loop().call_later(PATIENCE, self._late)

    def close(self) -> None:
        """Commit what was given and end the thread."""
        thread, self._thread = self._thread, None
        for handle in (self._timer, self._turn):
            if handle is not None:
                handle.cancel()
        self._timer = self._turn = None
        if thread is not None:
            self._wake.put("end")
            thread.join()
        self._commit()

    def _late(self) -> None:
        """Commit what nobody waits for, unless it went with something else: the timer is set once, not for each."""
        self._timer = None
        if self._turn is None:
            self._commit_or_give()

    def _commit_or_give(self) -> None:
        """Commit in this turn of the loop if that is quick, otherwise have the thread do it."""
        self._turn = None
        if not self._entries:
            return
        if self._usual <= QUICK and not self._given:
            try:
                self._commit(wait=False)
            except Busy:
                log.debug("somebody else is writing")
            else:
                return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="journal", daemon=True)
            self._thread.start()
        self._given = True
        self._wake.put("commit")

    def _work(self) -> None:
        told = ""
        while told != "end":
            told = self._wake.get()
            self._given = False
            self._commit()

    def _commit(self, *, wait: bool = True) -> None:
        if not self._mutex.acquire(blocking=wait):
            raise Busy(str(self._door.path))
        try:
            began = time.perf_counter()
            entries: list[Entry] = []
            answers: list[Any] = []
            try:
                with self._door.write(wait=wait) as db:
                    entries = self._taken()
                    for operation, args, _ in entries:
                        answers.append(operation(db, *args))
            except Busy:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it is goes to those who wait
                entries = entries or self._taken()
                answers = [error] if len(entries) == 1 else self._singly(entries)
            took = (time.perf_counter() - began) / max(1.0, len(entries) / 8)
            self._usual = took if took > QUICK * 4 else 0.8 * self._usual + 0.2 * took
            self._deliver(entries, answers)
        finally:
            self._mutex.release()

    def _taken(self) -> list[Entry]:
        return [self._entries.popleft() for _ in range(len(self._entries))]

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
        if self.listeners:
            runs, operations = {args[0] for _, args, _ in entries}, [operation for operation, _, _ in entries]
            for listener in self.listeners:
                listener(runs, operations)
        here = asyncio._get_running_loop()  # noqa: SLF001 - None in a thread, where the public function raises
        others: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any]]] = {}
        for (operation, _, future), answer in zip(entries, answers, strict=True):
            if future is None:
                if isinstance(answer, Exception):
                    log.error("a note to the journal was lost: %s", operation.__name__, exc_info=answer)
            elif (loop := future.get_loop()) is here:
                _settle(future, answer)
            else:
                others.setdefault(loop, []).append((future, answer))
        for loop, settled in others.items():
            try:
                loop.call_soon_threadsafe(_settle_all, settled)
            except RuntimeError:  # the loop has ended, and nobody waits any more
                log.debug("answers came after the loop had ended")


def _settle_all(settled: list[tuple[asyncio.Future[Any], Any]]) -> None:
    for future, answer in settled:
        _settle(future, answer)


def _settle(future: asyncio.Future[Any], answer: Any) -> None:  # noqa: ANN401 - what the operation returned or raised
    if future.done():
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
