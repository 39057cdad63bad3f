"""How soon the server answers, and how much memory it takes, beside a server of the same SDK that has one tool.

Each round starts both, one right after the other and in changing order, so that both meet the same machine; a first
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
from statistics import median
from typing import IO, Any, cast

import psutil

MOST_TIMES, MOST_MB = 1.3, 90
BARE = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare")
@server.tool()
async def add(a: int, b: int) -> int:
    "Add two numbers."
    return a + b
server.run("stdio")
"""
COMMANDS = {"bare": [sys.executable, "-c", BARE], "ours": [sys.executable, "-m", "mcp_orchestrator", "serve"]}
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "benchmark", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "benchmark", "version": "1"}}
LIGHT = ["get_orchestrator_status", "find_ml_components", "find_models", "list_runs"]


@dataclass
class Figures:
    """What a start showed: seconds to the first answer and to the tools, processor seconds, MB at rest and in use."""

    first: float
    tools: float
    cpu: float
    mb: float
    mb_in_use: float


def start(command: list[str], folder: str, *, legacy: bool) -> Figures:
    """Start a server, ask, and end it."""
    path = os.pathsep.join(one for one in sys.path if one)
    began = time.perf_counter()
    process = subprocess.Popen(
        command,
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
        server = psutil.Process(process.pid)
        times, mb = server.cpu_times(), server.memory_info().rss / 1e6
        for name in {one["name"] for one in listed["tools"]} & set(LIGHT):
            ask(process, "tools/call", {"name": name, "arguments": {}}, legacy=legacy)
        return Figures(first, tools, times.user + times.system, mb, server.memory_info().rss / 1e6)
    finally:
        process.communicate()


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
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds + 1):
            order = sorted(COMMANDS, reverse=bool(number % 2))
            rounds.append({name: start(COMMANDS[name], folder, legacy=given.legacy) for name in order})
    counted = rounds[1:]
    print(f"{'':>12} {'bare':>8} {'ours':>8} {'ratio':>7}   (medians of {len(counted)} rounds)")
    for name, unit in {"first": "s", "tools": "s", "cpu": "s", "mb": "MB", "mb_in_use": "MB"}.items():
        pairs = [(getattr(one["bare"], name), getattr(one["ours"], name)) for one in counted]
        bare, ours = (median(side) for side in zip(*pairs, strict=True))
        ratio = median(b / a for a, b in pairs)
        print(f"{name:>12} {bare:>8.3f} {ours:>8.3f} {ratio:>7.3f}   {unit}")
    times = median(one["ours"].first / one["bare"].first for one in counted)
    most = max(one["ours"].mb_in_use for one in counted)
    passed = times <= MOST_TIMES and most <= MOST_MB
    print(f"first answer {times:.2f} x (at most {MOST_TIMES}), memory {most:.0f} MB (at most {MOST_MB})", end=": ")
    print("passed" if passed else "NOT passed")
    sys.exit(not passed)


if __name__ == "__main__":
    main()
