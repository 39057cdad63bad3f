"""Project folders in which tasks begin: each is made once, upon another one, and copied for every task."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.view import RunView

from .tables import write_all
from .task import NAME

__all__ = ["HOMES", "Homes"]

QUICK: dict[str, Any] = {"families": ["linear"], "tuning": "none", "ensemble": "none", "tracking": False}
WITHIN = 60.0
SOCKETS = shutil.ignore_patterns("*.sock")


class Home(NamedTuple):
    """How a folder is made: upon which other one, and what is added to it."""

    upon: str | None
    make: Callable[[Path], None]


class Homes:
    """The prepared folders below one folder."""

    def __init__(self, folder: Path) -> None:
        """Begin with none."""
        self._folder = folder

    def copy(self, name: str, place: Path) -> Path:
        """Return a copy of a prepared folder in ``place``, which must not have one."""
        copied = place / NAME
        shutil.copytree(self._made(name), copied, ignore=SOCKETS)
        return copied

    def _made(self, name: str) -> Path:
        place = self._folder / name / NAME
        if not place.exists():
            draft = self._folder / f"{name}.part" / NAME
            shutil.rmtree(draft.parent, ignore_errors=True)
            home = HOMES[name]
            if home.upon is None:
                draft.mkdir(parents=True)
            else:
                shutil.copytree(self._made(home.upon), draft, ignore=SOCKETS)
            home.make(draft)
            draft.parent.rename(place.parent)
        return place


def models(project: Path) -> None:
    """Train what is in use: churn 1 is good and 2 is not, returns 2 followed 1 and is worse, price has one version."""
    blind = {"features": [{"name": "tenure", "kind": "drop"}]}
    no_notes: list[dict[str, str]] = [{"name": "credit_note", "kind": "drop"}]
    no_weight = [*no_notes, {"name": "weight", "kind": "drop"}]
    with Orchestrator(project, in_process=True) as orchestrator:
        for data, target, name, more in (
            ("customers.csv", "churned", "churn", {}),
            ("customers.csv", "churned", "churn", blind),
            ("orders.csv", "returned", "returns", {"features": no_notes}),
            ("orders.csv", "returned", "returns", {"features": no_weight}),
            ("houses.csv", "price", "price", {}),
        ):
            orchestrator.train_model(data, target, name=name, **QUICK, **more)  # not tracked: no gate lets it through
        for name, version in (("churn", 1), ("returns", 1), ("returns", 2), ("price", 1)):
            orchestrator.versions.promote(name, version, by="ml-engineer", why="in use")


def damaged(project: Path) -> None:
    """Change one byte of the model of returns 1, as a bad disk does."""
    with Orchestrator(project, in_process=True) as orchestrator:
        store = orchestrator.artifacts
        files = json.loads(store.path(orchestrator.versions.get("returns@1").sha256).read_text())["files"]
        [path] = [store.path(digest) for name, digest in files.items() if name.endswith(".skops")]
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def team(project: Path) -> None:
    """Write what a team knows, asks and has given away."""
    with Orchestrator(project, in_process=True) as orchestrator:
        memory = orchestrator.memory
        say = memory.memories.remember
        say(
            "officer_grade in loans.csv is filled in after a loan has defaulted: never use it to predict defaulted.",
            agent="data-engineer",
            kind="lesson",
            area="loans",
            impact="high",
        )
        say("income and debt in loans.csv are as of the day of the request.", agent="data-engineer", kind="fact")
        old = say("A churn model may go live from a recall of 0.70 on.", agent="ml-orchestrator", kind="decision")
        new = say("A churn model may go live from a recall of 0.85 on.", agent="ml-orchestrator", kind="decision")
        memory.memories.supersede(old.memory.uid, new.memory.uid, agent="ml-orchestrator")
        say(
            "In customers.csv the region decides who leaves; nothing else matters.",
            agent="trainee",
            kind="insight",
            area="customers",
        )
        memory.context.patch(
            "objectives", {"target": "churned", "recall": 0.85, "until": "May"}, expected=0, agent="ml-orchestrator"
        )
        send = memory.messages.send
        send(
            "ml-engineer",
            "Which columns of customers.csv have missing values? Name them all, please.",
            to=["data-engineer"],
            type="question",
            subject="missing values",
            ack=True,
        )
        for table in ("customers_march.csv", "customers_june.csv"):
            send(
                "ml-orchestrator",
                f"Count the rows of {table} and answer with the number.",
                to=["ml-engineer"],
                type="work",
                subject=f"count {table}",
            )
        task = memory.tasks.start("ml-orchestrator", "Churn model for May", type="training")
        memory.tasks.delegate(task.uid, "data-engineer", "Check customers.csv", agent="ml-orchestrator", type="data")
        send(
            "data-engineer",
            "customers.csv is checked: 240 rows, no duplicates, age has gaps. Nothing stands in the way.",
            to=["ml-orchestrator"],
            type="delegation_result",
            subject="customers.csv is checked",
            task=task.uid,
        )


def stopped(project: Path) -> None:
    """Leave two trainings paused, and a graph failed over a column that there is not."""
    graph = {
        "name": "nightly",
        "inputs": {"target": {"type": "string", "default": "prize"}},
        "steps": [
            {
                "name": "split",
                "component": "training_data_loader",
                "capability": "split",
                "params": {"data": "houses.csv"},
            },
            {
                "name": "train",
                "component": "ml_integration",
                "capability": "train",
                "params": {
                    "data": {"$from": "split.train.uri"},
                    "target": {"$input": "target"},
                    "estimator": "linear",
                },
            },
        ],
    }

    with Orchestrator(project, in_process=True) as orchestrator:

        async def leave() -> list[RunView]:
            ids = [
                await orchestrator.submit("train", {"data": data, "target": target, "name": name, **QUICK})
                for data, target, name in (
                    ("customers.csv", "churned", "churn-paused"),
                    ("houses.csv", "price", "price-paused"),
                )
            ]
            for one in ids:
                await orchestrator.pause(one)
            failed = await orchestrator.submit("custom", {"graph": graph, "inputs": {}})
            return [await orchestrator.wait(one) for one in (*ids, failed)]

        found = orchestrator._sync(leave)
    states = [str(one.status) for one in found]
    if states != ["paused", "paused", "failed"]:
        message = f"The runs are {states}."
        raise AssertionError(message)


CUT = """
import sys
from mcp_orchestrator.app import Orchestrator
with Orchestrator(sys.argv[1], in_process=True) as orchestrator:
    orchestrator.train_model("customers.csv", "churned", name="churn", families=["linear"], ensemble="none",
        tracking=False, tuning={"trials": 6})
"""


def cut(project: Path) -> None:
    """Kill a process with -9 in the middle of a training."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
    with subprocess.Popen([sys.executable, "-c", CUT, str(project)], env=environment) as process:
        journal, until = Journal(project / ".mcp-orchestrator"), time.monotonic() + WITHIN
        while not any("split" in _done(journal, one.id) for one in journal.runs()) and time.monotonic() < until:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    [run] = journal.runs()
    journal.close()
    if run.status.final:
        message = f"The run was {run.status} before it could be cut."
        raise AssertionError(message)


def _done(journal: Journal, run: str) -> set[str]:
    return {one.name for one in journal.steps(run) if one.finished}


HOMES = {
    "tables": Home(None, write_all),
    "models": Home("tables", models),
    "damaged": Home("models", damaged),
    "team": Home("tables", team),
    "stopped": Home("tables", stopped),
    "cut": Home("tables", cut),
}
