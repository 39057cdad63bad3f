"""What a durable step costs: beside a bare commit to SQLite in the same folder, and beside other engines.

``linear`` is a workflow of steps that each need the one before, ``fan`` one whose steps need nothing of each other.
Every step is on the disk before anything that needs it starts. The reference is a transaction that inserts one row of
two columns; for comparison, one that inserts what the journal does for a step: its row and its event. Each round runs
all of them in turn, and the reference for as long as a workflow, so that both meet the same machine. What counts are
the medians of the rounds; the best round tells what a quiet machine gives. With ``--peers``, DBOS and Prefect do the
same workflows, each with its own default settings in an environment of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import anyio
import nothing
from others import NEEDED, peer
from pydantic import BaseModel

from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import Executor, Inline, Workers
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.journal.schema import SCHEMA
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.settings import Settings
from orchestrator_memory.sqlite import sqlite3

STEPS, ITEMS, CPUS = 100, 1000, 2
LEAST, LONGEST = 5, 0.1
"""How many commits the reference makes at least, and for how many seconds at most."""
KINDS = ("inline NORMAL", "inline FULL", "isolated NORMAL", "isolated FULL")
MOST_TIMES = {"inline NORMAL": 10.0, "inline FULL": 2.0}
LEAST_A_SECOND = {"inline NORMAL": 15_000.0, "isolated NORMAL": 4_000.0}
LEAST_TIMES = {"dbos": 10.0, "prefect": 50.0}
EQUALS = {"dbos": "inline FULL", "prefect": "inline NORMAL"}
"""With which of ours another engine is compared: DBOS flushes each step to the disk, Prefect none."""
ADD = Capability(nothing.add, component="nothing")


class Spec(BaseModel):
    """How many steps, what the first of a chain begins with, and how many processors each takes.

    One in a process of its own takes one.
    """

    count: int
    start: int = 0
    cpus: int = 0


class Sum(BaseModel):
    """What the steps added up."""

    value: int


@dataclass
class Figures:
    """What a round showed: seconds a step, seconds of this process's processor time a step, commits a step.

    ``narrow`` and ``wide`` are the seconds that a bare commit of a row, and of a step's row and event, took beside it.
    """

    seconds: float
    cpu: float
    commits: float
    narrow: float
    wide: float


@dataclass
class Reference:
    """A database of its own beside the journal, which bare transactions go to."""

    connection: sqlite3.Connection

    @classmethod
    def at(cls, folder: Path, synchronous: str) -> Reference:
        """Open it, with the tables of the journal and one of two columns."""
        connection = sqlite3.connect(folder / "reference.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={synchronous}")
        connection.executescript(";\n".join(SCHEMA))
        connection.execute("CREATE TABLE narrow(number INTEGER, text TEXT)")
        return cls(connection)

    def narrow(self, seconds: float) -> float:
        """Return the seconds that a transaction takes that inserts one row, measured for so many seconds."""
        count, began = 0, time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or count < LEAST:
            self.connection.execute("INSERT INTO narrow VALUES(1, 'x')")
            count += 1
        return took / count

    def wide(self, seconds: float) -> float:
        """Return the seconds that a transaction takes that inserts what the journal does for a step."""
        db, run, at, number = self.connection, os.urandom(16).hex(), time.time_ns() // 1000, 0
        began = time.perf_counter()
        while (took := time.perf_counter() - began) < seconds or number < LEAST:
            number += 1
            db.execute("BEGIN IMMEDIATE")
            db.execute(
                "INSERT INTO step(run, name, position, component, capability, inputs, params, status, result, started, "
                "ended) VALUES(?,?,?,'nothing','add',?,'{\"a\": 1}','done','2',?,?)",
                (run, f"step {number}", number, run * 2, at, at),
            )
            db.execute("INSERT INTO event(run, step, kind, data, at) VALUES(?,?,'step_done','{}',?)", (run, "s", at))
            db.execute("COMMIT")
        return took / number


@dataclass
class Subject:
    """An engine that is measured."""

    engine: Engine
    reference: Reference
    cpus: int
    commits: int = 0
    last: float = 0.0
    found: dict[str, list[Figures]] = field(default_factory=lambda: {"linear": [], "fan": []})

    async def round(self, workflow: str, count: int) -> Figures:
        """Measure a run of ``count`` steps between two halves of the reference."""
        narrow, wide = [self.reference.narrow(self.last / 2)], [self.reference.wide(self.last / 2)]
        self.commits = 0
        cpu, began = time.process_time(), time.perf_counter()
        row = await self.engine.wait(await self.engine.submit(workflow, {"count": count, "cpus": self.cpus}))
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        if row.result != {"value": count if workflow == "linear" else count * (count + 1) // 2}:
            raise SystemExit(f"{workflow} came to {row.status}, {row.result or row.error}")
        commits = self.commits / count
        self.last = min(seconds, LONGEST)
        narrow, wide = [*narrow, self.reference.narrow(self.last / 2)], [*wide, self.reference.wide(self.last / 2)]
        figures = Figures(seconds / count, cpu / count, commits, sum(narrow) / 2, sum(wide) / 2)
        self.found[workflow].append(figures)
        return figures


async def linear(run: Run, spec: Spec) -> Sum:
    """Do steps that each need the one before."""
    value, policy = spec.start, Policy(cpus=spec.cpus)
    for number in range(spec.count):
        value = await run.step(f"step {number}", ADD, policy, a=value)
    return Sum(value=value)


async def fan(run: Run, spec: Spec) -> Sum:
    """Do steps that need nothing of each other."""
    items = [{"a": number} for number in range(spec.count)]
    return Sum(value=sum(await run.map("step", ADD, items, Policy(cpus=spec.cpus))))


@asynccontextmanager
async def subject(folder: Path, kind: str) -> AsyncGenerator[Subject]:
    """Run an engine of a kind in a folder of its own."""
    executing, _, synchronous = kind.partition(" ")
    settings = Settings.load(folder, components={"nothing": "nothing"}, workers=CPUS)
    isolated = executing == "isolated"
    executor: Executor = (
        Workers(settings, preload=False) if isolated else Inline(settings, Registry(settings.components))
    )
    journal = Journal(settings.home, synchronous=synchronous)
    workflows = [Workflow(one.__name__, Spec, one, ()) for one in (linear, fan)]
    dispatcher = Dispatcher(executor, Resources(Capacity(cpus=CPUS)))
    reference = Reference.at(folder, synchronous)
    try:
        await executor.start()
        async with Engine(journal, dispatcher, workflows).running() as engine:
            one = Subject(engine, reference, int(isolated))

            def committed(_runs: object, _operations: object) -> None:
                one.commits += 1

            journal.writer.listeners.append(committed)
            yield one
    finally:
        await executor.close()
        journal.close()
        reference.connection.close()


async def measured(folder: Path, rounds: int, steps: int, items: int, kinds: tuple[str, ...]) -> dict[str, Subject]:
    """Run the rounds, and return what they found by kind; a first round warms up and is thrown away."""
    async with AsyncExitStack() as stack:
        subjects: dict[str, Subject] = {}
        for number, kind in enumerate(kinds):
            place = folder / str(number)
            place.mkdir()
            subjects[kind] = await stack.enter_async_context(subject(place, kind))
        for number in range(rounds + 1):
            for one in subjects.values():
                for workflow, count in (("linear", steps), ("fan", items)):
                    await one.round(workflow, count)
                    if number == 0:
                        one.found[workflow].clear()
        return subjects


def table(subjects: dict[str, Subject]) -> list[str]:
    """Print the figures and return the bars that were not reached."""
    missed: list[str] = []
    load = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(f"medians (best) of the rounds; load {load} on {os.cpu_count()} processors")
    if busy := os.getloadavg()[0] > (os.cpu_count() or 1):
        print("others use the processors: how many steps there are a second is shown, but not judged")
    print(f"{'':24}{'us a step':>18}{'cpu us':>8}{'a second':>18}{'to a commit':>15}{'to its own':>12}{'commits':>9}")
    for kind, one in subjects.items():
        for workflow, found in one.found.items():
            took = [one.seconds for one in found]
            times = [one.seconds / one.narrow for one in found]
            own = median(one.seconds / one.wide for one in found)
            cpu, commits = median(one.cpu for one in found) * 1e6, median(one.commits for one in found)
            speed = 1 / median(took)
            name = f"{kind} {workflow}"
            print(
                f"{name:24}{median(took) * 1e6:9.1f} ({min(took) * 1e6:6.1f}){cpu:8.1f}{speed:9.0f} "
                f"({1 / min(took):6.0f}){median(times):7.2f} ({min(times):5.2f}){own:12.2f}{commits:9.2f}"
            )
            if workflow == "linear" and median(times) > (most := MOST_TIMES.get(kind, float("inf"))):
                missed.append(f"{name}: {median(times):.2f} times a commit, wanted at most {most:g}")
            if workflow == "fan" and not busy and speed < (least := LEAST_A_SECOND.get(kind, 0.0)):
                missed.append(f"{name}: {speed:.0f} a second, wanted at least {least:g}")
    return missed


def beside(rounds: int, steps: int, items: int, place: Path | None) -> list[str]:
    """Measure ours and the others in turn, print it, and return the bars that were not reached."""
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*KINDS, *NEEDED)}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(dir=place) as folder:
            ours = anyio.run(measured, Path(folder), 3, steps, items, KINDS)
        for kind, one in ours.items():
            found[kind].append({what: median(one.seconds for one in figures) for what, figures in one.found.items()})
        for name in NEEDED:
            found[name].append(peer(name, steps, items, place))
    missed: list[str] = []
    print(
        f"{'':16}{'us a step':>12}{'a second':>12}{'times ours':>12}{'in fan-out':>12}   (medians of {rounds} rounds)"
    )
    for name, theirs in found.items():
        pairs = list(zip(theirs, found[EQUALS.get(name, name)], strict=True))
        slower, times = (median(one[what] / own[what] for one, own in pairs) for what in ("linear", "fan"))
        took, speed = median(one["linear"] for one in theirs) * 1e6, 1 / median(one["fan"] for one in theirs)
        print(f"{name:16}{took:12.0f}{speed:12.0f}{slower:12.1f}{times:12.1f}")
        if times < (least := LEAST_TIMES.get(name, 0.0)):
            missed.append(f"{name}: ours is {times:.1f} times as fast in fan-out, wanted at least {least:g}")
    return missed


def main() -> None:
    """Print the figures, and end with an error when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--items", type=int, default=ITEMS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--folder", type=Path, help="where to measure; default: the folder for temporary files")
    parser.add_argument("--peers", type=int, nargs="?", const=3, default=0, help="rounds with other engines, too")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as name:
        subjects = anyio.run(measured, Path(name), asked.rounds, asked.steps, asked.items, tuple(asked.kinds))
    missed = table(subjects)
    if asked.peers:
        missed += beside(asked.peers, asked.steps, asked.items, asked.folder)
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
