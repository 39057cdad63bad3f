"""How soon a client is answered, with a host at work and without one, and how much memory the host takes.

The reference without a host is a server of the same SDK that has one tool; with a host, it is ``python -c pass``. Each
round starts all of them, one right after the other and in changing order, so that all meet the same machine; a first
round fills the caches and is thrown away. What counts are the medians of the rounds' ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any, cast

import psutil

from mcp_orchestrator.core.leadership import Leadership

MOST_COLD, MOST_WARM, MOST_MB = 1.3, 5.0, 90
BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
async def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b
server.run("stdio")
"""
OURS = [sys.executable, "-m", "mcp_orchestrator", "serve"]
COMMANDS = {"bare": [sys.executable, "-c", BARE], "cold": OURS, "warm": OURS}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
LIGHT = ["get_orchestrator_status", "find_ml_components", "find_models", "list_runs"]


@dataclass
class Figures:
    """What a start showed: seconds to the first answer and to the tools.

    Of the server or the host: seconds of processor, and MB at rest and in use.
    """

    first: float
    tools: float
    cpu: float
    mb: float
    mb_in_use: float


def start(name: str, folder: str, *, legacy: bool) -> Figures:
    """Start a server, ask, and end it; a cold one has no host before, a warm one has."""
    path = os.pathsep.join(one for one in sys.path if one)
    if name == "cold":
        end_host(folder)
    began = time.perf_counter()
    process = subprocess.Popen(
        COMMANDS[name],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        ask(process, "initialize" if legacy else "server/discover", HELLO if legacy else {}, legacy=legacy)
        first = time.perf_counter() - began
        listed = ask(process, "tools/list", {}, legacy=legacy)
        tools = time.perf_counter() - began
        server = psutil.Process(process.pid) if name == "bare" else host(folder)
        if server is None:
            raise SystemExit("the front answered without a host")
        times, mb = server.cpu_times(), server.memory_info().rss / 1e6
        for one in {one["name"] for one in listed["tools"]} & set(LIGHT):
            ask(process, "tools/call", {"name": one, "arguments": {}}, legacy=legacy)
        return Figures(first, tools, times.user + times.system, mb, server.memory_info().rss / 1e6)
    finally:
        process.communicate()


def host(folder: str) -> psutil.Process | None:
    """Return the host of a project folder, if it has one."""
    found = Leadership(Path(folder) / ".mcp-orchestrator", "host").leader()
    return psutil.Process(found.pid) if found else None


def end_host(folder: str) -> None:
    """End the host of a project folder, and return when it is gone."""
    if (found := host(folder)) is not None:
        found.terminate()
        found.wait(60)


def nothing() -> float:
    """Return the seconds that Python takes to do nothing."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.perf_counter() - began


def ask(process: subprocess.Popen[bytes], method: str, params: dict[str, Any], *, legacy: bool) -> dict[str, Any]:
    """Send a request and return its result."""
    given = params if legacy else {**params, "_meta": META}
    messages: list[dict[str, Any]] = [{"jsonrpc": "2.0", "id": method, "method": method, "params": given}]
    if method == "initialize":
        messages.append({"jsonrpc": "2.0", "method": "notifications/initialized"})
    sender, receiver = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
    sender.write("".join(json.dumps(one) + "\n" for one in messages).encode())
    sender.flush()
    for line in receiver:
        message = json.loads(line)
        if message.get("id") == method:
            return message["result"]
    raise SystemExit(f"the server ended without an answer to {method}")


def main() -> None:
    """Print the figures and fail when a bar is not reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--legacy", action="store_true", help="speak the protocol of 2025-11-25")
    given = parser.parse_args()
    rounds: list[dict[str, Figures]] = []
    nothings: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        try:
            for number in range(given.rounds + 1):
                order = ["bare", "cold"] if number % 2 else ["cold", "bare"]
                rounds.append({name: start(name, folder, legacy=given.legacy) for name in order})
                begun = nothing()
                warm = [start("warm", folder, legacy=given.legacy) for _ in range(2)]
                rounds[-1]["warm"] = warm[number % 2]
                nothings.append((begun + nothing()) / 2)
        finally:
            end_host(folder)
    counted, idle = rounds[1:], nothings[1:]
    print(f"{'':>12} {'bare':>8} {'cold':>8} {'ratio':>7} {'warm':>8}   (medians of {len(counted)} rounds)")
    for name, unit in {"first": "s", "tools": "s", "cpu": "s", "mb": "MB", "mb_in_use": "MB"}.items():
        bare, cold, warm = (median(getattr(one[kind], name) for one in counted) for kind in ("bare", "cold", "warm"))
        ratio = median(getattr(one["cold"], name) / getattr(one["bare"], name) for one in counted)
        print(f"{name:>12} {bare:>8.3f} {cold:>8.3f} {ratio:>7.3f} {warm:>8.3f}   {unit}")
    colds = median(one["cold"].first / one["bare"].first for one in counted)
    warms = median(one["warm"].first / least for one, least in zip(counted, idle, strict=True))
    most = max(one[kind].mb_in_use for one in counted for kind in ("cold", "warm"))
    passed = colds <= MOST_COLD and warms <= MOST_WARM and most <= MOST_MB
    print(f"first answer without a host {colds:.2f} x the bare server's (at most {MOST_COLD}),")
    print(f"with one {warms:.2f} x `python -c pass`, which takes {median(idle) * 1000:.1f} ms (at most {MOST_WARM}),")
    print(f"memory of the host {most:.0f} MB (at most {MOST_MB}): {'passed' if passed else 'NOT passed'}")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
