"""The workflows of `engine.py` in DBOS with its SQLite; run by `engine.py` in an environment of its own.

Asynchronous steps, since these are the fastest that it has, and its default settings but for the log.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from dbos import DBOS

folder, steps, items = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
DBOS(
    config={
        "name": "benchmark",
        "system_database_url": f"sqlite:///{folder}/dbos.sqlite",
        "log_level": "ERROR",
        "run_admin_server": False,
    }
)


@DBOS.step()
async def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@DBOS.workflow()
async def linear(count: int) -> int:
    """Do steps that each need the one before."""
    value = 0
    for _ in range(count):
        value = await add(value)
    return value


@DBOS.workflow()
async def fan(count: int) -> int:
    """Do steps that need nothing of each other."""
    return sum(await asyncio.gather(*(add(number) for number in range(count))))


async def main() -> None:
    """Warm up, measure and print seconds a step."""
    await linear(5)
    await fan(20)
    began = time.perf_counter()
    if await linear(steps) != steps:
        sys.exit("linear came to something else")
    middle = time.perf_counter()
    if await fan(items) != items * (items + 1) // 2:
        sys.exit("fan came to something else")
    print(json.dumps({"linear": (middle - began) / steps, "fan": (time.perf_counter() - middle) / items}))


DBOS.launch()
asyncio.run(main())
DBOS.destroy()
