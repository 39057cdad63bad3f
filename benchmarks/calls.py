"""What a trivial call costs: a tool that adds two numbers, published by us and by a bare server of the same SDK.

In memory, over stdio (ours through the thin front and its host) and over HTTP, in both eras, with the client of the
SDK, whose own share is in both figures. The two take turns, so that both meet the same machine; what counts is the
median of the rounds' ratios. ``list_runs`` of a project without runs is the lightest of our own tools that looks at the
disk; it is shown, and not judged.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from statistics import median
from typing import IO, Literal, cast

import anyio
from adding import bare, ours
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import app
from mcp_orchestrator.settings import Settings

MOST = 1.5
SCRIPT = Path(__file__).with_name("adding.py")
PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(one for one in sys.path if one)}
Era = Literal["auto", "legacy"]
ERAS: dict[Era, str] = {"auto": "2026-07-28", "legacy": "2025-11-25"}
Rounds = list[tuple[float, float, float]]


@contextmanager
def started(*words: str) -> Generator[str]:
    """Start a server that says when it is there, and yield the last word of that: its address, if it has one."""
    command = [sys.executable, str(SCRIPT), *words]
    with subprocess.Popen(command, env=PATHS, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = cast("IO[str]", process.stderr if words[:2] == ("ours", "http") else process.stdout)
            yield said.readline().split()[-1]
        finally:
            process.terminate()


@asynccontextmanager
async def pair(how: str, era: Era, project: Path) -> AsyncGenerator[tuple[Client, Client]]:
    """Connect one client to the bare server and one to ours."""
    async with AsyncExitStack() as stack:
        if how == "memory":
            ours()
            ends = bare(), app.build(Orchestrator(settings=Settings.load(project)))
        elif how == "http":
            ends = (
                stack.enter_context(started("bare", "http")),
                stack.enter_context(started("ours", "http", str(project))),
            )
        else:
            stack.enter_context(started("ours", "host", str(project)))
            commands = [str(SCRIPT), "bare", "stdio"], ["-m", "mcp_orchestrator", "serve", "--project", str(project)]
            ends = tuple(
                stdio_client(StdioServerParameters(command=sys.executable, args=one, env=PATHS)) for one in commands
            )
        one, two = [await stack.enter_async_context(Client(end, mode=era)) for end in ends]
        yield one, two


async def taken(client: Client, tool: str, count: int) -> float:
    """Return the seconds that a call takes, of so many."""
    given = {"a": 1, "b": 2} if tool == "add" else {}
    began = time.perf_counter()
    results = [await client.call_tool(tool, given) for _ in range(count)]
    took = (time.perf_counter() - began) / count
    if any(one.is_error or (tool == "add" and one.structured_content != {"result": 3}) for one in results):
        raise SystemExit(f"{tool} answered {results[0]}")
    return took


async def measured(how: str, era: Era, rounds: int, count: int) -> Rounds:
    """Return for each round what a call of the bare server, of ours, and of ``list_runs`` took."""
    found: Rounds = []
    with tempfile.TemporaryDirectory() as folder:
        async with pair(how, era, Path(folder)) as (one, two):
            asked = [(one, "add"), (two, "add"), (two, "list_runs")]
            for number in range(rounds + 1):
                turn = asked if number % 2 else asked[::-1]
                times = [await taken(client, tool, count) for client, tool in turn]
                found.append(tuple(times if number % 2 else times[::-1]))  # pyright: ignore[reportArgumentType] - three
    return found[1:]


def main() -> None:
    """Print the figures and fail when the bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--calls", type=int, default=5, help="calls of each kind in a round")
    given = parser.parse_args()
    failed = False
    print(f"{'':>18} {'bare':>8} {'ours':>8} {'ratio':>7} {'list_runs':>10}   (ms; medians of {given.rounds} rounds)")
    for how in ("memory", "stdio", "http"):
        for era, name in ERAS.items():
            found = anyio.run(measured, how, era, given.rounds, given.calls)
            one, two, runs = (median(each) * 1000 for each in zip(*found, strict=True))
            ratio = median(each[1] / each[0] for each in found)
            failed = failed or ratio > MOST
            print(f"{how:>7} {name} {one:>8.3f} {two:>8.3f} {ratio:>7.2f} {runs:>10.3f}", flush=True)
    print(f"a trivial call may take {MOST} times a bare server's: {'NOT passed' if failed else 'passed'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
