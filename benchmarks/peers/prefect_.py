"""The workflows of `engine.py` in Prefect, with the server that it starts itself; run by `engine.py`.

A result is kept, as a durable step's is.
"""

from __future__ import annotations

import json
import sys
import time

from prefect import flow, task

steps, items = int(sys.argv[2]), int(sys.argv[3])


@task(persist_result=True)
def add(a: int, b: int = 1) -> int:
    """Add two numbers."""
    return a + b


@flow
def linear(count: int) -> int:
    """Do steps that each need the one before."""
    value = 0
    for _ in range(count):
        value = add(value)
    return value


@flow
def fan(count: int) -> int:
    """Do steps that need nothing of each other."""
    return sum(one.result() for one in add.map(range(count)))


if __name__ == "__main__":
    linear(2)
    fan(5)
    began = time.perf_counter()
    if linear(steps) != steps:
        sys.exit("linear came to something else")
    middle = time.perf_counter()
    if fan(items) != items * (items + 1) // 2:
        sys.exit("fan came to something else")
    print(json.dumps({"linear": (middle - began) / steps, "fan": (time.perf_counter() - middle) / items}))
