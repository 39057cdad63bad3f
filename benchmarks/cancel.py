"""How long it takes from the word to the moment when nothing of a step runs any more, children of children included.

Each round starts the four kinds of `burning.py` in turn, kills each while it burns, and looks whether anything is
left; between them a bare process is forked and killed, for comparison. All the while a thread asks the event loop for
a sign of life over a socket. Wanted: 95 % within 250 ms of the end of the grace, which is 0 here.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles

import anyio
import psutil

from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.kill import works
from mcp_orchestrator.core.tasks import Task
from mcp_orchestrator.settings import Settings

KINDS = {"loop": 1, "product": 1, "deaf": 2, "fits": 4}
"""The steps, and how many processes each of them has at least."""
WANTED = 0.25


async def rounds(folder: Path, count: int) -> dict[str, list[float]]:
    """Return the seconds that the ends of each kind took, and those of a bare process."""
    settings = Settings.load(folder, components={"burning": "burning"}, workers=2)
    found: dict[str, list[float]] = {"bare process": [], **{kind: [] for kind in KINDS}, "a ping meanwhile": []}
    workers = Workers(settings)
    await workers.start()
    try:
        for _ in range(count):
            for kind, least in KINDS.items():
                mark = folder / "mark"
                mark.unlink(missing_ok=True)
                task = Task(component="burning", capability=kind, params={"mark": str(mark)}, cpus=2)
                ref = await workers.submit(task, lambda _fraction, _message: None)
                processes = await burning(mark, least)
                with pinging(found["a ping meanwhile"]):
                    began = time.perf_counter()
                    await workers.kill(ref)
                    found[kind].append(time.perf_counter() - began)
                if left := [pid for pid in processes if works(pid)]:
                    sys.exit(f"{kind}: the processes {left} still work")
                found["bare process"].append(bare())
    finally:
        await workers.close()
    return found


@contextmanager
def pinging(longest: list[float]) -> Generator[None]:
    """Ask the event loop for a sign of life again and again, from a thread, and add the longest that one took."""
    ours, theirs = socket.socketpair()
    loop, over, took = asyncio.get_running_loop(), threading.Event(), list[float]()

    def ask() -> None:
        while not over.is_set():
            began = time.perf_counter()
            theirs.send(b"?")
            if not theirs.recv(1):
                return
            took.append(time.perf_counter() - began)
            over.wait(0.001)

    loop.add_reader(ours, lambda: ours.send(ours.recv(1)))
    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        loop.remove_reader(ours)
        ours.close()
        thread.join()
        theirs.close()
        longest.extend([max(took)] if took else [])


async def burning(mark: Path, least: int) -> list[int]:
    """Wait until a step burns in all its processes, and return these."""
    with anyio.fail_after(120):
        while True:
            if len(found := family(mark)) >= least:
                return found
            await anyio.sleep(0.02)


def family(mark: Path) -> list[int]:
    """Return the processes of a step that has begun: those that it named, and those that descend from it."""
    pids = [int(one) for one in mark.read_text().split()] if mark.exists() else []
    born = psutil.Process(pids[0]).children(recursive=True) if pids else []
    return sorted({*pids, *(one.pid for one in born)})


def bare() -> float:
    """Return the seconds from the kill of a process that does nothing else than burn to its end."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    began = time.perf_counter()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return time.perf_counter() - began


def main() -> None:
    """Print the distributions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    asked = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent))
    with tempfile.TemporaryDirectory() as folder:
        found = anyio.run(rounds, Path(folder), asked.rounds)
    print(f"{'from the word to the end':26}{'median':>10}{'95 %':>10}{'worst':>10}{'ratio':>8}")
    reference = median(found["bare process"])
    worst = 0.0
    for kind, seconds in found.items():
        late = quantiles(seconds, n=20)[-1]
        worst = max(worst, late)
        ratio = median(seconds) / reference
        figures = "".join(f"{one * 1000:7.1f} ms" for one in (median(seconds), late, max(seconds)))
        print(f"{kind:26}{figures}{ratio:8.1f}")
    if worst > WANTED:
        sys.exit(f"95 % of the ends took up to {worst * 1000:.0f} ms; wanted: {WANTED * 1000:.0f} ms")


if __name__ == "__main__":
    main()
