"""What must hold after a storm: the journal beside what really ran, and beside what clients were told."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import RunRow, Status, StepRow

__all__ = ["Finding", "findings"]

EVERYTHING = 1_000_000


@dataclass(frozen=True)
class Finding:
    """Something that must not be: what, and which."""

    what: str
    which: str


@dataclass(frozen=True)
class Line:
    """A line of the witness."""

    run: str
    step: str
    attempt: int
    process: int
    what: str
    at: int


def findings(project: Path, journal: Journal) -> list[Finding]:
    """Return all that must not be."""
    rows = {row.id: row for row in journal.runs(most=EVERYTHING)}
    seen = defaultdict[tuple[str, str], list[Line]](list)
    for text in (project / "truth").read_text().splitlines():
        run, step, attempt, process, what, at = text.split()
        seen[run, step].append(Line(run, step, int(attempt), int(process), what, int(at)))
    found = [*_whole(journal), *_ended(journal, rows), *_once(journal), *_acknowledged(project, rows)]
    for row in rows.values():
        steps = journal.steps(row.id)
        found += [*_answer(row), *_steps(journal, row, steps, seen)]
    found += [Finding("a run that nobody knows had steps", run) for run in {run for run, _ in seen} - rows.keys()]
    return found


def _whole(journal: Journal) -> Iterator[Finding]:
    """The database passes its own checks."""
    db = journal.door.read()
    yield from (Finding("integrity", one[0]) for one in db.execute("PRAGMA integrity_check") if one[0] != "ok")
    yield from (Finding("foreign keys", str(tuple(one))) for one in db.execute("PRAGMA foreign_key_check"))


def _ended(journal: Journal, rows: dict[str, RunRow]) -> Iterator[Finding]:
    """Nothing stays at work: no run, step or attempt, and no question of a run that has ended stays open."""
    yield from (
        Finding("a run has not ended", f"{row.id} {row.status}") for row in rows.values() if not row.status.final
    )
    db = journal.door.read()
    for table, name in (("step", "name"), ("attempt", "step")):
        text = f"SELECT run, {name}, status FROM {table} WHERE status IN ('running', 'retry_wait')"  # noqa: S608
        yield from (Finding(f"{table} not ended", " ".join(one)) for one in db.execute(text))
    for one in journal.approvals():
        if rows[one.run].status.final:
            yield Finding("a question of an ended run is open", f"{one.run} {one.name} {rows[one.run].status}")


def _once(journal: Journal) -> Iterator[Finding]:
    """No step is completed twice, and no run ends twice."""
    db = journal.door.read()
    text = "SELECT run, step, count(*) FROM event WHERE kind='step_done' GROUP BY run, step HAVING count(*)>1"
    yield from (Finding("a step was completed twice", f"{one[0]} {one[1]}") for one in db.execute(text))
    kinds = ",".join(f"'run_{one}'" for one in Status if one.final)
    text = f"SELECT run, count(*) FROM event WHERE kind IN ({kinds}) GROUP BY run HAVING count(*)<>1"  # noqa: S608
    yield from (Finding("a run ended several times", one[0]) for one in db.execute(text))


def _acknowledged(project: Path, rows: dict[str, RunRow]) -> Iterator[Finding]:
    """What was acknowledged is there, and a ticket became one run, however often it was asked for."""
    runs = defaultdict[str, set[str]](set)
    for row in rows.values():
        if ticket := row.spec.get("inputs", {}).get("ticket"):
            runs[ticket].add(row.id)
    for ticket, ids in runs.items():
        if len(ids) > 1:
            yield Finding("one submission made several runs", f"{ticket} {sorted(ids)}")
    for text in (project / "notes").read_text().splitlines():
        ticket, run = text.split()
        if run not in runs[ticket]:
            yield Finding("an acknowledged run is not there", f"{ticket} {run}")


def _answer(row: RunRow) -> Iterator[Finding]:
    """A run that succeeded has the right answer."""
    wanted = row.spec.get("inputs", {}).get("answer")
    if row.status is Status.SUCCEEDED and wanted is not None and (row.result or {})["outputs"]["answer"] != wanted:
        yield Finding("a wrong answer", f"{row.id}: {row.result}, wanted {wanted}")


def _steps(
    journal: Journal, row: RunRow, steps: list[StepRow], seen: dict[tuple[str, str], list[Line]]
) -> Iterator[Finding]:
    """What is done had really been done, and did not begin again; no two attempts of a step were at work at once."""
    done = {one.step: one.at for one in journal.events(row.id, most=EVERYTHING) if one.kind == "step_done"}
    again = [one.name.partition(":")[0] for one in journal.approvals(row.id) if one.status == "approved"]
    held = {one["name"] for one in row.spec.get("graph", {}).get("steps", []) if one.get("on_crash") == "hold"}
    for step in steps:
        lines = seen.pop((row.id, step.name), [])
        which = f"{row.id} {step.name} ({row.status}, {step.status})"
        if step.component == "witness" and step.status == "done" and not any(one.what == "ended" for one in lines):
            yield Finding("a step is done that never ended", which)
        for one in lines:
            if one.what == "begun" and one.at > done.get(step.name, one.at):
                yield Finding("a finished step began again", f"{which} {one}, done at {done[step.name]}")
        for before, after in itertools.pairwise(lines):
            if after.what != "begun" and (before.what != "begun" or before.process != after.process):
                yield Finding("two attempts were at work at once", f"{which} {before} {after}")
        if step.name in held and sum(one.what == "begun" for one in lines) > 1 + again.count(step.name):
            yield Finding("a step to be held began again without being asked about", f"{which} {lines}")
    for (run, step), lines in seen.items():
        if run == row.id and row.status is Status.SUCCEEDED:  # of one that was cut off, its beginning may be lost
            yield Finding("a step ran that the journal does not know", f"{run} {step} {lines}")
