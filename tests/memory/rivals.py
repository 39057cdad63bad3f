"""Processes that want the same: messages of one inbox, or the same key of the shared context: rivals.py WHAT FOLDER.

The readers of one inbox note beside the database what they claim, work on and acknowledge, and one after the other is
killed in the middle of it; `ownership` compares what they noted. A process that was killed is back at once.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from hammer import forked
from ownership import findings, noted

from orchestrator_memory.door import now
from orchestrator_memory.errors import NotFound, Stale
from orchestrator_memory.store import MemoryStore
from orchestrator_memory.values import Message

__all__ = ["broadcasts", "merges", "queue"]

PROJECT, POOL = "rivals", "pool"
LEASE = 0.3
NAMES = [f"reader{number}" for number in range(6)]


def opened(folder: Path) -> MemoryStore:
    """Open the memory of the rivals."""
    return MemoryStore.open(folder / "memory.db", PROJECT)


class Reader:
    """One process that works through the inbox of the pool until nothing is left of it."""

    def __init__(self, folder: Path, name: str) -> None:
        """Go on beside the others."""
        self.store, self.by = opened(folder), f"{name}-{os.getpid()}"
        self.chance = random.Random(self.by)  # noqa: S311 - no secret
        self.log = os.open(folder / f"{name}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, message: Message, **more: Any) -> None:
        """Write a line, in one write, so that a kill leaves all of it or nothing."""
        assert message.receipt is not None
        line = {"what": what, "uid": message.uid, "fence": message.receipt.attempts, "at": now(), "by": self.by, **more}
        os.write(self.log, json.dumps(line).encode() + b"\n")

    def work(self) -> None:
        """Work until nothing waits and nobody holds anything; what died is given another chance."""
        mail = self.store.messages
        while True:
            claimed = mail.claim(POOL, by=self.by, most=self.chance.randint(1, 4), lease=LEASE)
            for message in claimed:
                self.note("claimed", message, until=message.receipt.until if message.receipt else None)
            for message in claimed:
                self.settle(message)
            if not claimed:
                for message in mail.dead(POOL):
                    with suppress(NotFound):  # another has
                        mail.revive(POOL, message.uid)
                if not mail.inbox(POOL, most=1):
                    return
                time.sleep(0.01)

    def settle(self, message: Message) -> None:
        """Work on a message, if it still is one's own, seldom for longer than it is; say what became of it."""
        assert message.receipt is not None
        mail, fence, until, at = self.store.messages, message.receipt.attempts, message.receipt.until or 0, now()
        if at >= until:
            self.note("late", message)
            return
        kind = self.chance.random()
        self.note("begun", message, at=at)
        try:
            if kind < 0.1:
                least = now() + round(LEASE * 1_000_000)
                mail.extend(POOL, message.uid, fence, LEASE)
                self.note("extended", message, until=least)
            time.sleep(LEASE * 1.1 if 0.1 <= kind < 0.12 else self.chance.uniform(0, 0.01))
            self.note("ending", message)
            if 0.12 <= kind < 0.17:
                mail.nack(POOL, message.uid, fence, note="not now", delay=self.chance.uniform(0, 0.02))
                self.note("returned", message)
            else:
                counted = mail.ack(POOL, [message.uid], fence=fence)
                self.note("done", message, counted=counted)
        except Stale:
            self.note("lost", message)


def queue(folder: Path, *, messages: int, kills: int, seed: int) -> dict[str, Any]:
    """Have six readers work through one inbox while one after the other is killed; return what came of it."""
    with opened(folder) as store:
        sent = [
            store.messages.send("lead", f"job {number}", to=[POOL], priority=("normal", "high")[number % 7 == 0])
            for number in range(messages)
        ]
        uids = [one.message.uid for one in sent]
    chance, errors = random.Random(seed), folder / "errors"  # noqa: S311 - no secret
    pids = {name: forked(lambda one=name: Reader(folder, one).work(), errors) for name in NAMES}
    wrong: list[str] = []
    killed = 0
    while pids:
        for name, pid in list(pids.items()):
            if (ended := os.waitpid(pid, os.WNOHANG))[0]:
                del pids[name]
                if ended[1]:
                    wrong.append(f"{name} ended with {os.waitstatus_to_exitcode(ended[1])}")
        done = sum(one["what"] == "done" for one in noted(folder, NAMES))
        if pids and killed < kills and done >= messages * killed / (kills + 1):  # all along the work
            time.sleep(chance.uniform(0, 0.01))
            name = chance.choice(list(pids))
            os.kill(pids[name], signal.SIGKILL)
            if os.waitpid(pids[name], 0)[1] == signal.SIGKILL:
                killed += 1
            pids[name] = forked(lambda one=name: Reader(folder, one).work(), errors)
        time.sleep(0.005)
    with opened(folder) as store:
        states = {uid: store.messages.get(uid).receipts[0].state for uid in uids}
    if errors.exists():
        wrong.append(errors.read_text("utf-8"))
    lines = noted(folder, NAMES)
    told = {what: sum(one["what"] == what for one in lines) for what in ("claimed", "done", "returned", "late", "lost")}
    return {"messages": messages, "kills": killed, **told, "findings": [*wrong, *findings(lines, states)]}


def merges(folder: Path, *, processes: int = 8, each: int = 50) -> dict[str, Any]:
    """Have processes merge into one key, all at once; return how many merges were kept."""

    def work(name: str) -> None:
        with opened(folder) as store:
            for number in range(each):
                store.context.merge("insights", lambda value, n=number: {**(value or {}), f"{name} {n}": n}, agent=name)

    _together(folder, [lambda one=f"agent{number}": work(one) for number in range(processes)])
    with opened(folder) as store:
        entry = store.context.get("insights")
        heard = store.context.history("insights", most=200)
    versions = [one.version for one in heard]
    wanted = {f"agent{one} {number}": number for one in range(processes) for number in range(each)}
    wrong = [] if entry.value == wanted else [f"{len(entry.value)} of {len(wanted)} merges were kept"]
    if versions != list(range(entry.version, entry.version - len(versions), -1)):
        wrong.append(f"the history has versions {versions}")
    return {"merges": processes * each, "kept": len(entry.value), "version": entry.version, "findings": wrong}


def broadcasts(folder: Path, *, processes: int = 6, each: int = 50) -> dict[str, Any]:
    """Have agents tell each other things, all at once, while the last of them only come to be known."""
    names = [f"agent{number}" for number in range(processes)]
    listeners = [f"listener{number}" for number in range(4)]

    def speak(name: str) -> None:
        with opened(folder) as store:
            for number in range(each):
                store.messages.send(name, f"{name} {number}")

    def listen(name: str) -> None:
        with opened(folder) as store:
            store.agents.register(name)
            while store.messages.unread(name) < processes * each:
                time.sleep(0.005)

    _together(
        folder, [*(lambda one=one: speak(one) for one in names), *(lambda one=one: listen(one) for one in listeners)]
    )
    wrong: list[str] = []
    with opened(folder) as store:
        store.agents.register("late")
        for name in (*names, *listeners, "late"):
            got = sorted(one.body for one in _all(store, name))
            wanted = sorted(f"{other} {number}" for other in names for number in range(each) if other != name)
            if got != wanted:
                wrong.append(f"{name} has {len(got)} of {len(wanted)} messages")
    return {"broadcasts": processes * each, "findings": wrong}


def _all(store: MemoryStore, name: str) -> list[Message]:
    """Return all that waits for an agent, however much."""
    found: list[Message] = []
    while more := store.messages.claim(name, by="judge", most=200):
        found += more
    return found


def _together(folder: Path, works: list[Any]) -> None:
    opened(folder).close()
    pids = [forked(work, folder / "errors") for work in works]
    codes = [os.waitpid(pid, 0)[1] for pid in pids]
    if any(codes):
        raise SystemExit((folder / "errors").read_text("utf-8"))


def main() -> None:
    """Print what came of it, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["queue", "merges", "broadcasts"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    if given.what == "queue":
        found = queue(given.folder, messages=given.messages, kills=given.kills, seed=given.seed)
    else:
        found = {"merges": merges, "broadcasts": broadcasts}[given.what](given.folder)
    print(json.dumps(found))
    sys.exit(bool(found["findings"]))


if __name__ == "__main__":
    main()
