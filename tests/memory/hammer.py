"""Processes that write to one database at once, and are killed at random moments: hammer.py FOLDER.

It forks its processes, so that one that was killed is back in a moment; no database is open where it forks.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from blows import OVER, PROJECT, Worker, noted
from wreckage import findings

from orchestrator_memory.store import MemoryStore

__all__ = ["hammer", "starts"]


class Hammer:
    """Processes of which each has its name for good, whatever becomes of it."""

    def __init__(self, folder: Path, count: int, seed: int) -> None:
        """Start them all."""
        self.folder, self.chance = folder, random.Random(seed)  # noqa: S311 - no secret
        self.names = [f"worker{number}" for number in range(count)]
        self.pids = {name: self.fork(name) for name in self.names}
        self.killed: dict[str, list[float]] = {name: [] for name in self.names}
        self.errors: list[str] = []

    def fork(self, name: str) -> int:
        """Start a process of a name."""
        return forked(lambda: Worker(self.folder, name, self.names).work(), self.folder / "errors")

    def rage(self, kills: int, pause: float) -> None:
        """Kill so many, a random while apart, each back at once."""
        for _ in range(kills):
            time.sleep(self.chance.expovariate(1 / pause))
            name = self.chance.choice(self.names)
            with suppress(ProcessLookupError):
                os.kill(self.pids[name], signal.SIGKILL)
            self.ended(name, -signal.SIGKILL)
            self.killed[name].append(time.monotonic())
            self.pids[name] = self.fork(name)

    def over(self) -> None:
        """Let all end what they are about."""
        (self.folder / OVER).touch()
        for name in self.names:
            self.ended(name, 0)

    def ended(self, name: str, code: int) -> None:
        """Wait for the end of a process, which must be the one that was wanted."""
        found = os.waitstatus_to_exitcode(os.waitpid(self.pids[name], 0)[1])
        if found != code:
            self.errors.append(f"{name} ended with {found}, not with {code}")

    def pace(self, name: str) -> float:
        """Return the acknowledged writes of a name by the second in which it was at work."""
        lines = noted(self.folder, name)
        begun = [one["ready"] for one in lines if "ready" in one]
        ends = [*self.killed[name], *(one["ended"] for one in lines if "ended" in one)]
        alive = sum(max(0.0, min(end for end in ends if end >= start) - start) for start in begun)
        return sum("done" in one for one in lines) / alive


def hammer(folder: Path, *, count: int = 8, kills: int, pause: float, seed: int) -> dict[str, Any]:
    """Hammer on the database of an empty folder; return what was done and what is wrong afterwards."""
    began = time.monotonic()
    running = Hammer(folder, count, seed)
    running.rage(kills, pause)
    running.over()
    said = (folder / "errors").read_text("utf-8") if (folder / "errors").exists() else ""
    wrong = findings(folder, running.names)
    done = [line for name in running.names for line in noted(folder, name) if "done" in line]
    return {
        "seconds": time.monotonic() - began,
        "kills": kills,
        "writes": {kind: sum(one["done"] == kind for one in done) for kind in sorted({one["done"] for one in done})},
        "again": sum(len(keys) - len(set(keys)) for keys in (_begun(folder, name) for name in running.names)),
        "pace": sorted(running.pace(name) for name in running.names),
        "findings": [*running.errors, *filter(None, [said]), *wrong],
    }


def _begun(folder: Path, name: str) -> list[str]:
    return [one["key"] for one in noted(folder, name) if "begun" in one]


def starts(folder: Path, *, rounds: int = 15, count: int = 8) -> dict[str, Any]:
    """Let processes be the first to open a database, all at the same moment, and write; in so many new folders."""
    wrong: list[str] = []
    for number in range(rounds):
        place = folder / f"first{number}"
        place.mkdir()
        gate = os.pipe()

        def first(name: str, place: Path = place, gate: tuple[int, int] = gate) -> None:
            os.close(gate[1])
            os.read(gate[0], 1)  # until all are there
            with MemoryStore.open(place / "memory.db", PROJECT) as store:
                store.memories.remember(f"{name} was here", agent=name)

        pids = [forked(lambda name=f"first{one}": first(name), folder / "errors") for one in range(count)]
        os.close(gate[0])
        os.close(gate[1])
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        wrong += [f"a first start of round {number} ended with {code}" for code in codes if code]
        with MemoryStore.open(place / "memory.db", PROJECT) as store:
            bodies = sorted(one.body for one in store.memories.list(most=count + 1))
        if bodies != sorted(f"first{one} was here" for one in range(count)):
            wrong.append(f"round {number} kept {len(bodies)} of {count} writes")
    said = (folder / "errors").read_text("utf-8") if (folder / "errors").exists() else ""
    return {"starts": rounds * count, "findings": [*wrong, *filter(None, [said])]}


def forked(work: Callable[[], None], errors: Path) -> int:
    """Do work in a process of its own; what goes wrong is appended to a file, and its exit code is 1."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - there is nobody above
        with errors.open("a") as file:
            file.write(traceback.format_exc())
    finally:
        os._exit(code)


def main() -> None:
    """Print what came of it, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--starts", type=int, metavar="ROUNDS")
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--pause", type=float, default=0.2)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    found = (
        starts(given.folder, rounds=given.starts)
        if given.starts
        else hammer(given.folder, kills=given.kills, pause=given.pause, seed=given.seed)
    )
    print(json.dumps(found))
    sys.exit(bool(found["findings"]))


if __name__ == "__main__":
    main()
