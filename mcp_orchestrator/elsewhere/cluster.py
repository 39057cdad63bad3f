"""A Dask cluster on this machine, in a process of its own.

``python -m mcp_orchestrator.elsewhere.cluster PLACES THREADS`` writes the address of its scheduler, as a line of JSON,
and ends when its standard input is closed: also when the process that started it was killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys

import psutil

__all__ = ["main"]


async def main(places: int, threads: int) -> None:
    """Start a scheduler and workers on 127.0.0.1, and stay until the standard input is closed."""
    from distributed import LocalCluster

    async with LocalCluster(
        n_workers=places,
        threads_per_worker=threads,
        memory_limit=psutil.virtual_memory().total // places,
        processes=True,
        host="127.0.0.1",
        dashboard_address=None,
        worker_dashboard_address=None,
        asynchronous=True,
    ) as cluster:
        print(json.dumps(cluster.scheduler_address), flush=True)  # noqa: T201 - the one thing it has to say
        os.dup2(2, 1)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2])))
