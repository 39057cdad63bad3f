"""What it costs to send a step away: a no-op, many no-ops side by side, and a kill, on each executor that is installed.

Ratios are to the worker processes of the same run.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import anyio

from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.tasks import Executor
from mcp_orchestrator.elsewhere.away import Away
from mcp_orchestrator.elsewhere.dask import Dask
from mcp_orchestrator.elsewhere.ray import Ray
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.testing import Bench

ONE_BY_ONE, SIDE_BY_SIDE, KILLS = 100, 400, 15
EXECUTORS: dict[str, tuple[str, Callable[[Settings], Executor]]] = {
    "worker processes": ("anyio", lambda settings: Workers(settings, preload=False)),
    "dask": ("distributed", lambda settings: Away(settings, Dask)),
    "ray": ("ray", lambda settings: Away(settings, Ray)),
}


def main() -> None:
    """Measure and print."""
    first: tuple[float, ...] = ()
    print(f"{'executor':18}  start s  no-op ms  ratio  no-ops/s  ratio  kill p50 ms    p95")
    for name, (library, make) in EXECUTORS.items():
        if find_spec(library) is None:
            print(f"{name:18} not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            with Bench(make, Path(folder)) as bench:
                started = time.perf_counter() - began
                bench.run(bench.done, bench.task("echo", {"value": 0}))
                single, many = bench.run(one_by_one, bench), bench.run(side_by_side, bench)
                kills = bench.run(killed, bench)
        first = first or (single, many)
        p50, p95 = statistics.median(kills), sorted(kills)[int(len(kills) * 0.95)]
        print(
            f"{name:18} {started:8.1f} {single * 1e3:9.2f} {single / first[0]:6.1f} {many:9.0f} {many / first[1]:6.2f} "
            f"{p50 * 1e3:12.1f} {p95 * 1e3:6.1f}"
        )


async def one_by_one(bench: Bench) -> float:
    """Return the median seconds of a no-op, one after the other."""
    seconds: list[float] = []
    for number in range(ONE_BY_ONE):
        began = time.perf_counter()
        (await bench.done(bench.task("echo", {"value": number}))).answer()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


async def side_by_side(bench: Bench) -> float:
    """Return how many no-ops a second are done when one is under way for each processor."""
    left = iter(range(SIDE_BY_SIDE))
    places = (await bench.executor.capacity()).cpus

    async def some() -> None:
        for number in left:
            (await bench.done(bench.task("echo", {"value": number}))).answer()

    began = time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(places):
            group.start_soon(some)
    return SIDE_BY_SIDE / (time.perf_counter() - began)


async def killed(bench: Bench) -> list[float]:
    """Return the seconds from a kill until the step and the child that left its process group are gone."""
    seconds: list[float] = []
    for _ in range(KILLS):
        ref, _ = await bench.hanging()
        began = time.perf_counter()
        await bench.executor.kill(ref)
        seconds.append(time.perf_counter() - began)
    return seconds


if __name__ == "__main__":
    main()
