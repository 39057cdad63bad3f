"""One of the processes of the hammer: it writes all kinds of things, and notes elsewhere what was acknowledged.

What it is about to do is noted first, with a key, and what has begun and was not acknowledged is done again, with the
same key, by the process that comes after it.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator_memory.errors import Held
from orchestrator_memory.store import MemoryStore

__all__ = ["OVER", "PROJECT", "Worker", "noted"]

OVER = "over"
"""A file of this name in the folder ends the work."""
PROJECT = "hammer"
ALIVE = 1.0
"""Seconds that a reservation lasts whose holder was killed."""


def noted(folder: Path, name: str) -> list[dict[str, Any]]:
    """Return what a worker has noted."""
    path = folder / f"{name}.log"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def chance_of(seed: str) -> random.Random:
    """Return what is random and the same for the same seed."""
    return random.Random(seed)  # noqa: S311 - no secret


class Worker:
    """One agent at work on the database of a folder."""

    def __init__(self, folder: Path, name: str, others: list[str]) -> None:
        """Go on with what the last process of this name has begun."""
        self.folder, self.name = folder, name
        self.others = [one for one in others if one != name]
        before = noted(folder, name)
        self.log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        done = {one["key"] for one in before if "done" in one}
        begun = [one for one in before if "begun" in one]
        self.open = {one["key"]: one["begun"] for one in begun if one["key"] not in done}
        self.count = len({one["key"] for one in begun})
        self.store = MemoryStore.open(folder / "memory.db", PROJECT)

    def note(self, **facts: Any) -> None:
        """Write a line, in one write, so that a kill leaves all of it or nothing."""
        os.write(self.log, json.dumps(facts).encode() + b"\n")

    def work(self) -> None:
        """Write until it is over."""
        self.note(ready=time.monotonic())
        for key, kind in self.open.items():
            self.blow(kind, key)
        chance = chance_of(f"{self.name} {self.count}")
        while not (self.folder / OVER).exists():
            self.count += 1
            self.blow(chance.choice(list(BLOWS)), f"{self.name}x{self.count}")
        self.note(ended=time.monotonic())

    def blow(self, kind: str, key: str) -> None:
        """Do one thing, between two notes."""
        self.note(begun=kind, key=key)
        self.note(done=kind, key=key, **BLOWS[kind](self, key))

    def remember(self, key: str) -> dict[str, Any]:
        """Write a memory; its key is a word that only it has."""
        return {"uid": self.store.memories.remember(f"What {key} found out", agent=self.name, title=key).memory.uid}

    def task(self, key: str) -> dict[str, Any]:
        """Start a task, give a part of it to another, and finish it."""
        tasks = self.store.tasks
        task = tasks.start(self.name, f"The task {key}", key=key)
        if not task.delegations:
            tasks.delegate(task.uid, chance_of(key).choice(self.others), "because", agent=self.name)
        tasks.finish(task.uid, "success", agent=self.name, insights=[key])
        return {"uid": task.uid}

    def send(self, key: str) -> dict[str, Any]:
        """Send a message to three others."""
        to = chance_of(key).sample(self.others, 3)
        return {"uid": self.store.messages.send(self.name, f"The message {key}", to=to, key=key).message.uid, "to": to}

    def acknowledge(self, _key: str) -> dict[str, Any]:
        """Claim some messages and acknowledge one by one."""
        claimed = self.store.messages.claim(self.name, by=str(os.getpid()), most=5, lease=30.0)
        uids = [one.uid for one in claimed if one.receipt is not None]
        for one in claimed:
            if one.receipt is not None:
                self.store.messages.ack(self.name, [one.uid], fence=one.receipt.attempts)
        return {"uids": uids}

    def merge(self, key: str) -> dict[str, Any]:
        """Count in what all share; the same key counts once."""

        def counted(value: Any) -> Any:
            ledger: dict[str, Any] = value or {"total": 0, "by": {}, "last": {}}
            if ledger["last"].get(self.name) == key:
                return ledger
            by: dict[str, int] = ledger["by"] | {self.name: ledger["by"].get(self.name, 0) + 1}
            return {"total": ledger["total"] + 1, "by": by, "last": ledger["last"] | {self.name: key}}

        return {"version": self.store.context.merge("ledger", counted, agent=self.name).version}

    def reserve(self, _key: str) -> dict[str, Any]:
        """Take what only one can have, if nobody has it, and give it back."""
        try:
            held = self.store.reservations.reserve("slot", self.name, seconds=ALIVE)
        except Held:
            return {"fence": None}
        self.store.reservations.release(held.fence)
        return {"fence": held.fence}


BLOWS: dict[str, Callable[[Worker, str], dict[str, Any]]] = {
    "remember": Worker.remember,
    "task": Worker.task,
    "send": Worker.send,
    "acknowledge": Worker.acknowledge,
    "merge": Worker.merge,
    "reserve": Worker.reserve,
}
