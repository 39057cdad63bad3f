"""How long it takes from the death of the leader to the next one, and to the new attempt of the step that was cut off.

Each round starts two processes that take part by the Python API. The first leads and has a step at work; it is killed
by SIGKILL, and the other one takes over. A fork of a bare process, and the start of Python, are measured beside it.

Who follows has neither workers nor workflows, which would hold memory for nothing: its first step waits for what is to
be imported. A standby that is to go on at once starts its executor and looks at the workflows beforehand (``warm``).
Wanted: the median of the takeovers within 50 ms, that of the new attempts on a warm standby within 200 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

import anyio

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.settings import Settings

LEADS, BEGINS, WARM = "another leads", "step begins again", "the same, warm"
WANTED = {LEADS: 0.05, WARM: 0.2}
PATIENCE = 120.0


async def member(project: Path, *, warm: bool) -> None:
    """Take part, and submit the run if this process leads, until it is killed or its input ends."""
    async with Orchestrator(project).running(kind="client") as orchestrator:
        if warm and isinstance(executor := orchestrator.executor, Workers):
            await executor.start()
            orchestrator.engine.workflow("custom")
            while not executor.processes:  # noqa: ASYNC110 - nobody tells
                await anyio.sleep(0.01)
        print("ready", flush=True)
        if orchestrator.leadership.leads:
            params = {"mark": str(project / "mark"), "until": str(project / "until")}
            step = {"name": "last", "component": "lasting", "capability": "last", "params": params}
            graph = {"name": "lasting", "steps": [step], "outputs": {"answer": {"$from": "last"}}}
            await orchestrator.submit("custom", {"graph": graph})
        await anyio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)


def until(condition: Callable[[], bool], what: str) -> float:
    """Wait until something is so, and return the time at which it was seen."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what} did not happen within {PATIENCE:g} seconds")
        time.sleep(0.0005)
    return time.monotonic()


def takeover(project: Path, *, warm: bool) -> tuple[float, float]:
    """Kill a leader at work, and return the seconds until another leads and until the step has begun again."""
    (project / "orchestrator.toml").write_text('workers = 2\n[components]\nlasting = "lasting"\n')
    home, mark = Settings.load(project).home, project / "mark"
    path = os.pathsep.join([str(Path(__file__).parent), *(one for one in sys.path if one)])
    members: list[subprocess.Popen[bytes]] = []
    try:
        with (project / "members.log").open("wb") as log:
            for more in ([], ["--warm"] if warm else []):
                members.append(
                    subprocess.Popen(
                        [sys.executable, __file__, "--member", str(project), *more],
                        env={**os.environ, "PYTHONPATH": path},
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                    )
                )
                if (said := members[-1].stdout) is None or said.readline() != b"ready\n":
                    sys.exit(f"a member ended:\n{(project / 'members.log').read_text()}")
        leader, standby = members
        until(lambda: begun(mark) == 1, "the first attempt")
        time.sleep(0.05)  # what was said about it is on the disk
        died = time.monotonic()
        leader.kill()
        leads = until(lambda: leading(home) == standby.pid, "a takeover")
        until(lambda: begun(mark) > 1, "another attempt")
        again = int(mark.read_text().split()[2]) / 1e9
        (project / "until").touch()
        journal = Journal(home)
        until(lambda: journal.runs()[0].status.final, "the end of the run")
        row = journal.runs()[0]
        journal.close()
        if row.status is not Status.SUCCEEDED or begun(mark) != 2:
            sys.exit(f"the run {row.status}, after {begun(mark)} attempts: {row.error}")
        return leads - died, again - died
    finally:
        for one in members:
            one.kill()
            one.communicate()


def begun(mark: Path) -> int:
    """Return how many attempts have begun."""
    return mark.read_text().count("\n") if mark.exists() else 0


def leading(home: Path) -> int:
    """Return the process that wrote last that it leads, without touching its lock."""
    try:
        return int(json.loads((home / "leader.lock").read_text())["pid"])
    except ValueError:
        return 0


def fork() -> float:
    """Return the seconds from the fork of a process that does nothing to its end."""
    began = time.monotonic()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - began


def python() -> float:
    """Return the seconds that it takes to start Python and end it."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-S", "-c", "pass"], check=True)
    return time.monotonic() - began


def main() -> None:
    """Print the figures, and end with an error when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--member", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.member is not None:
        anyio.run(partial(member, asked.member, warm=asked.warm))
        return
    found: dict[str, list[float]] = {"fork": [], "python": [], LEADS: [], BEGINS: [], WARM: []}
    for _ in range(asked.rounds):
        for name in (BEGINS, WARM):
            with tempfile.TemporaryDirectory() as folder:
                found["fork"].append(fork())
                found["python"].append(python())
                leads, begins = takeover(Path(folder), warm=name == WARM)
                found[LEADS].append(leads)
                found[name].append(begins)
    print(f"{'':20}{'median':>11}{'best':>11}{'worst':>11}{'forks':>9}   (load {os.getloadavg()[0]:.1f})")
    for name, seconds in found.items():
        figures = "".join(f"{one * 1000:8.1f} ms" for one in (median(seconds), min(seconds), max(seconds)))
        print(f"{name:20}{figures}{median(seconds) / median(found['fork']):9.1f}")
    missed = [
        f"{name}: wanted within {most * 1000:g} ms" for name, most in WANTED.items() if median(found[name]) > most
    ]
    if missed:
        sys.exit("\n".join(missed))


if __name__ == "__main__":
    main()
