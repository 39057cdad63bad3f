"""What the scheduler costs as the number of steps grows, and whether it keeps its promises, by a virtual clock.

Runs of ten steps come at once, from twenty clients, with five priorities and mixed needs (processors, memory, graphics
processors, a limit on one component), ten runs a worker. The largest simulation has 10,000 runs and 1,000 workers. The
scheduler is the one that the engine uses; time is simulated, and only the scheduler's own work is measured.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import time
from dataclasses import dataclass, field
from itertools import count
from statistics import fmean

from mcp_orchestrator.core.ask import Ask, State
from mcp_orchestrator.core.scheduler import Scheduler
from mcp_orchestrator.core.tasks import Capacity, Need

RUNS, STEPS, CLIENTS, PRIORITIES, AGEING = 10, 10, 20, 5, 60.0
MOST_TIMES = 2.0
NEEDS = [
    (0.60, Need(cpus=1), ""),
    (0.15, Need(cpus=2, memory_mb=4000), ""),
    (0.10, Need(cpus=4, memory_mb=16_000), ""),
    (0.05, Need(cpus=1, gpus=1), ""),
    (0.10, Need(cpus=1), "component:slow"),
]


@dataclass
class Figures:
    """What a simulation showed; waits in simulated seconds."""

    runs: int
    workers: int
    steps: int = 0
    started: int = 0
    spent: float = 0.0
    examined: int = 0
    waited: list[list[float]] = field(default_factory=lambda: [[] for _ in range(PRIORITIES)])
    busy: float = 0.0
    took: float = 0.0

    def line(self) -> dict[str, object]:
        """Return the figures in short."""
        return {
            "runs": self.runs,
            "workers": self.workers,
            "steps": self.steps,
            "microseconds a step": round(1e6 * self.spent / self.steps, 1),
            "requests looked at a step": round(self.examined / self.steps, 2),
            "workers busy": f"{self.busy / (self.workers * self.took):.0%}",
            "mean wait of the first step by priority, s": [round(fmean(one), 1) for one in self.waited],
            "longest wait, s": round(max(map(max, self.waited)), 1),
            "all it took, s": round(self.took, 1),
        }


@dataclass
class _Run:
    number: int
    priority: int
    left: int
    asked: float = 0.0


def simulate(runs: int, workers: int, seed: int = 0) -> Figures:
    """Let ``runs`` runs of ten steps share the workers, until all have ended.

    Raises:
        AssertionError: more was granted than there is, or something was left waiting.

    """
    chance, figures, numbers = random.Random(seed), Figures(runs, workers), count()  # noqa: S311 - a simulation
    capacity = Capacity(cpus=workers, memory_mb=workers * 2000, gpus=max(1, workers // 20))
    scheduler = Scheduler(capacity, limits={"component:slow": max(1, workers // 5)}, ageing=AGEING)
    now, ends, held = 0.0, list[tuple[float, int, Ask]](), 0
    weights = [weight for weight, _, _ in NEEDS]

    def ask(run: _Run) -> None:
        _, need, key = chance.choices(NEEDS, weights)[0]
        keys = (key,) if key else ()
        run.asked = now
        began = time.perf_counter()
        one = scheduler.ask(need, now, priority=run.priority, fair=f"client {run.number % CLIENTS}", keys=keys)
        figures.spent += time.perf_counter() - began
        one.holder = run
        begin([one] if one.state is State.GRANTED else [])

    def begin(asks: list[Ask]) -> None:
        nonlocal held
        for one in asks:
            held += one.cpus
            run: _Run = one.holder
            if run.left == STEPS:
                figures.waited[run.priority].append(now - run.asked)
            figures.started += 1
            length = chance.expovariate(1 / 5)
            figures.busy += length * one.cpus
            heapq.heappush(ends, (now + length, next(numbers), one))
        if held > workers or min(scheduler.ledger.free.values()) < 0:
            raise AssertionError(held)

    for number in range(runs):
        ask(_Run(number, chance.randrange(PRIORITIES), STEPS))
    while ends:
        now, _, ended = heapq.heappop(ends)
        held -= ended.cpus
        began = time.perf_counter()
        started = scheduler.release(ended, now)
        figures.spent += time.perf_counter() - began
        figures.steps += 1
        begin(started)
        run: _Run = ended.holder
        run.left -= 1
        if run.left:
            ask(run)
    if scheduler.waiting or figures.steps != runs * STEPS:
        raise AssertionError(len(scheduler.waiting))
    figures.examined, figures.took = scheduler.examined, now
    return figures


def main() -> None:
    """Simulate, print, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1000, 10_000])
    asked = parser.parse_args()
    figures = [simulate(runs, max(1, runs // RUNS)) for runs in asked.runs]
    for one in figures:
        print(json.dumps(one.line()))
    first, last = figures[0], figures[-1]
    ratio = (last.spent / last.steps) / (first.spent / first.steps)
    times = last.steps / first.steps
    print(f"{times:g} times the steps: a step costs {ratio:.2f} times as much (bar {MOST_TIMES})")
    means = [fmean(one) for one in last.waited]
    if means != sorted(means, reverse=True):
        raise SystemExit(f"a higher priority did not wait less: {means}")
    if ratio > MOST_TIMES:
        raise SystemExit("the cost grows faster than the number of steps")


if __name__ == "__main__":
    main()
