"""How soon another process leads when the leader is killed, and how soon the step that was cut off runs again.

Two hosts of one state home: one leads, one waits. The leader is killed by SIGKILL in the middle of a step, which notes
when it begins. Beside it, in each round, what the machine takes to fork a process and to see it end.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import anyio

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.leadership import Leadership

MOST_LEAD, MOST_STEP = 0.050, 0.200
PATIENCE = 120.0
LINGER = '''
import time
from pathlib import Path

def linger(place: str) -> int:
    """Note when it begins, and stay."""
    with Path(place).open("a") as file:
        file.write(f"{time.monotonic()}\\n")
    while True:
        time.sleep(0.01)
'''


def start(folder: Path) -> subprocess.Popen[bytes]:
    """Start a host, which waits where there is one already."""
    path = os.pathsep.join([str(folder), *(one for one in sys.path if one)])
    command = [sys.executable, "-m", "mcp_orchestrator", "host", "run", "--project", str(folder)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)


def fork() -> float:
    """Return the seconds that it takes to fork a process and to see it end."""
    began = time.monotonic()
    if (child := os.fork()) == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return time.monotonic() - began


def leads(leadership: Leadership, process: subprocess.Popen[bytes]) -> bool:
    """Whether a process leads."""
    leader = leadership.leader()
    return leader is not None and leader.pid == process.pid


def begun(place: Path) -> list[float]:
    """Return when the step began, each time."""
    return [float(line) for line in place.read_text().split()] if place.exists() else []


async def submit(folder: Path, place: Path) -> str:
    """Ask the leader for a run of one step that lingers."""
    step = {"name": "linger", "component": "linger", "capability": "linger", "params": {"place": str(place)}}
    async with Orchestrator(folder).running(kind="benchmark") as orchestrator:
        return await orchestrator.submit("custom", {"graph": {"name": "linger", "steps": [step]}})


async def cancel(folder: Path, run: str) -> None:
    """End a run."""
    async with Orchestrator(folder).running(kind="benchmark") as orchestrator:
        await orchestrator.cancel(run)


def until(true: Callable[[], bool], what: str) -> None:
    """Wait until a function is true, looking all the time."""
    end = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > end:
            raise SystemExit(f"{what}: not within {PATIENCE:g} seconds")
        time.sleep(0.0005)


def main() -> None:
    """Print the figures and fail when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    led: list[float] = []
    again: list[float] = []
    forks: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "linger.py").write_text(LINGER)
        (folder / "orchestrator.toml").write_text('workers = 2\n[components]\nlinger = "linger"\n')
        sys.path.insert(0, name)
        leadership = Leadership(folder / ".mcp-orchestrator")
        leader = start(folder)
        until(lambda: leads(leadership, leader), "a first leader")
        for number in range(given.rounds):
            waiting = start(folder)
            place = folder / f"begun{number}"
            run = anyio.run(submit, folder, place)
            until(lambda place=place: len(begun(place)) == 1, "the step")
            time.sleep(4)  # the one that waits has its libraries loaded by then
            forks.append(median(fork() for _ in range(9)))
            killed = time.monotonic()
            leader.kill()
            until(lambda waiting=waiting: leads(leadership, waiting), "another leader")
            led.append(time.monotonic() - killed)
            until(lambda place=place: len(begun(place)) == 2, "the step again")
            again.append(begun(place)[1] - killed)
            leader.wait()
            anyio.run(cancel, folder, run)
            leader = waiting
        leader.terminate()
        leader.wait()
    machine = median(forks)
    print(f"{given.rounds} take-overs beside a fork of {machine * 1000:.2f} ms (medians, and the slowest)")
    for what, figures, most in (("another leads", led, MOST_LEAD), ("the step runs again", again, MOST_STEP)):
        middle = median(figures)
        text = f"{middle * 1000:.1f} ms ({max(figures) * 1000:.1f}), {middle / machine:.0f} forks"
        print(f"{what:>20}: {text}; at most {most * 1000:.0f} ms: {'passed' if middle <= most else 'NOT passed'}")
    sys.exit(not (median(led) <= MOST_LEAD and median(again) <= MOST_STEP))


if __name__ == "__main__":
    main()
