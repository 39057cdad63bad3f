"""The clients of the storm: they submit runs, answer questions, and ask again when nobody answered.

Each run has a ticket among its inputs; what was acknowledged is written down as ``ticket run``, a line each, so that
after the storm it can be seen whether a ticket became one run, and which end it found. Some clients speak MCP through
a front; one takes part by the Python API, in a process of its own (this file as a script), and may come to lead.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import secrets
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO, Any, cast

__all__ = ["Ask", "Client", "Lost", "Notes", "asked"]

PATIENCE = 90.0
MOST_TRIES = 100
KINDS = ("line", "line", "map", "below", "stumble", "question", "hold", "diamond")


def asked(chance: random.Random, file: str) -> dict[str, Any]:
    """Return the graph and the inputs of a run of some kind, with a new ticket and the answer that is right."""
    kind = chance.choice(KINDS)

    def step(name: str, value: Any, *after: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - a number or a reference
        params = {"file": file, "value": value, "milliseconds": chance.choice((0, 5, 20, 80))}
        return {
            "name": name,
            "component": "witness",
            "capability": "work",
            "params": params,
            "after": list(after),
            "attempts": 20,
            "backoff": 0.05,
            **more,
        }

    first = step("first", {"$input": "start"})
    steps, answer, added = [first], {"$from": "last"}, 2
    match kind:
        case "line":
            steps += [step("second", {"$from": "first"}), step("last", {"$from": "second"})]
            added = 3
        case "map":
            each = step("each", {"$item": ""}, "first", each=[1, 2, 3, 4], at_once=3)
            steps += [each, step("last", {"$from": "each[2]"})]
            added = 5
        case "below":
            inner: dict[str, Any] = {
                "name": "inner",
                "steps": [step("inside", 1), step("after", 5, "inside")],
                "outputs": {},
            }
            below: dict[str, Any] = {
                "name": "below",
                "workflow": "custom",
                "spec": {"graph": {"$literal": inner}},
                "after": ["first"],
            }
            steps += [below, step("last", {"$from": "first"}, "below")]
        case "stumble":
            params = {"file": file, "value": {"$from": "first"}}
            steps.append({**step("last", 0, retry="failed"), "capability": "stumble", "params": params})
        case "question":
            steps += [
                {"name": "asking", "approval": "Shall it go on?", "after": ["first"]},
                step("last", {"$from": "first"}, "asking"),
            ]
        case "hold":
            steps.append(step("last", {"$from": "first"}, on_crash="hold", attempts=1))
        case _:
            sides = [step(side, {"$from": "first"}) for side in ("left", "right")]
            steps += [*sides, step("last", {"$from": "left"}, "right")]
            added = 3
    start = 0 if kind == "map" else chance.randrange(100)
    inputs = {"start": start, "ticket": secrets.token_hex(8), "answer": start + added}
    graph = {
        "name": kind,
        "inputs": {"start": {"type": "integer"}, "ticket": {"type": "string"}, "answer": {"type": "integer"}},
        "steps": steps,
        "outputs": {"answer": answer},
    }
    return {"graph": graph, "inputs": inputs}


class Notes:
    """What was acknowledged, a line each, in a file that outlives whoever writes."""

    def __init__(self, path: Path) -> None:
        """Add to the file at ``path``."""
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, *words: str) -> None:
        """Add a line, whole."""
        os.write(self._handle, (" ".join(words) + "\n").encode())


class Lost(Exception):
    """The front has gone, or says nothing any more."""


class Ask:
    """A front as its client has it: requests and answers, a line of JSON each."""

    def __init__(self, project: Path, environment: dict[str, str]) -> None:
        """Start a front and introduce this client.

        Raises:
            Lost: it ended before it answered.

        """
        with (project / "fronts.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "mcp_orchestrator", "serve"],
                cwd=project,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._to, self._said = cast("IO[bytes]", self.process.stdin), cast("IO[bytes]", self.process.stdout)
        self._rest, self._last = b"", 0
        self._heard = select.poll()
        self._heard.register(self._said, select.POLLIN)
        try:
            self._introduce()
        except BaseException:
            self.process.kill()
            self.close()
            raise

    def _introduce(self) -> None:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "storm", "version": "1"}}
        self.request("initialize", about)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def tool(self, name: str, arguments: dict[str, Any], key: str = "") -> dict[str, Any]:
        """Call a tool and return its facts; ``key`` is the same when the same is asked for again.

        Raises:
            RuntimeError: the tool answered with an error.
            Lost: the front has gone.

        """
        params: dict[str, Any] = {"name": name, "arguments": arguments}
        if key:
            params["_meta"] = {"mcp-orchestrator/key": key}
        answer = self.request("tools/call", params)
        if answer.get("isError"):
            raise RuntimeError(answer["content"][0]["text"])
        return answer["structuredContent"]

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the result of a request.

        Raises:
            RuntimeError: the answer is an error.
            Lost: the front has gone.

        """
        self._last += 1
        self._send({"jsonrpc": "2.0", "id": self._last, "method": method, "params": params})
        while True:
            message = json.loads(self._line(method))
            if message.get("id") == self._last and "method" not in message:
                if "error" in message:
                    raise RuntimeError(message["error"]["message"])
                return message["result"]

    def close(self) -> None:
        """End the front as a client does that goes away, and wait until it has gone."""
        with contextlib.suppress(OSError):
            self._to.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._said.close()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._to.write(json.dumps(message).encode() + b"\n")
            self._to.flush()
        except OSError as error:
            raise Lost(str(error)) from error

    def _line(self, method: str) -> bytes:
        until = time.monotonic() + PATIENCE
        while b"\n" not in self._rest:
            if not self._heard.poll(max(0.0, until - time.monotonic()) * 1000):
                raise Lost(f"no answer to {method} within {PATIENCE:g} seconds")
            part = os.read(self._said.fileno(), 1 << 16)
            if not part:
                raise Lost("it ended")
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\n")
        return line


class Client(threading.Thread):
    """A client that keeps submitting runs through a front, with another front when that one has gone."""

    def __init__(self, project: Path, environment: dict[str, str], seed: int, most: int) -> None:
        """Submit at most ``most`` runs before the storm is over."""
        super().__init__(daemon=True)
        self._project, self._environment, self._most = project, environment, most
        self._chance = random.Random(seed)  # noqa: S311 - a storm, no secret
        self._notes = Notes(project / "notes")
        self._front: Ask | None = None
        self.over = threading.Event()
        self.silent: list[str] = []
        self.errors: list[str] = []
        self.submitted = 0

    def run(self) -> None:
        """Work until the storm is over."""
        while not self.over.is_set():
            wanted = asked(self._chance, str(self._project / "truth"))
            run = self._until_answered("run_workflow", {**wanted, "wait_seconds": 0}, wanted["inputs"]["ticket"])
            if run is not None:
                self.submitted += 1
                self._notes.add(wanted["inputs"]["ticket"], run["run_id"])
                if self._chance.random() < 0.5:
                    self._until_answered("get_run", {"run_id": run["run_id"], "wait_seconds": 1})
                if self._chance.random() < 0.1:
                    action = self._chance.choice(("cancel", "pause"))
                    self._until_answered("control_run", {"run_id": run["run_id"], "action": action})
                if self._chance.random() < 0.2:
                    self._until_answered("list_runs", {})
            self.over.wait(self._chance.expovariate(5))
            if self.submitted >= self._most:
                self.over.wait(0.5)
        if self._front is not None:
            self._front.close()

    def _until_answered(self, tool: str, arguments: dict[str, Any], key: str = "") -> dict[str, Any] | None:
        """Call a tool, again and again while nobody answers; None when it was refused, or the storm is over."""
        tries = 0
        while not self.over.is_set() or (key and tries < MOST_TRIES):
            tries += 1
            try:
                self._front = self._front or Ask(self._project, self._environment)
                return self._front.tool(tool, arguments, key)
            except Lost as lost:
                if "no answer" in str(lost):
                    self.silent.append(f"{tool}: {lost}")
                if self._front is not None:
                    self._front.process.kill()
                    self._front.close()
                    self._front = None
            except RuntimeError as error:
                self.errors.append(f"{tool}: {error}")
                if not key:
                    return None
                self.over.wait(0.2)
        return None


# A client by the Python API ----------------------------------------------------------------------------------------


async def member(project: Path, seed: int) -> None:
    """Take part until told to end: submit runs, each twice with the same key, and answer what runs ask."""
    import anyio

    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.rows import Status
    from mcp_orchestrator.errors import OrchestratorError

    chance = random.Random(seed)  # noqa: S311 - a storm, no secret
    notes = Notes(project / "notes")

    async with Orchestrator(project, preload=False).running(kind="client") as orchestrator:

        async def submit() -> None:
            while True:
                wanted = asked(chance, str(project / "truth"))
                ticket = wanted["inputs"]["ticket"]
                for _ in range(2):
                    with contextlib.suppress(OrchestratorError):
                        notes.add(ticket, await orchestrator.submit("custom", wanted, key=f"member:{ticket}"))
                await anyio.sleep(chance.expovariate(1))

        async def decide() -> None:
            while True:
                for one in orchestrator.journal.approvals():
                    with contextlib.suppress(OrchestratorError):
                        await orchestrator.decide(one.run, one.name, approved=True, by="storm")
                for row in orchestrator.journal.runs(status=[Status.PAUSED]):
                    with contextlib.suppress(OrchestratorError):
                        await orchestrator.resume(row.id)
                await anyio.sleep(0.1)

        async with anyio.create_task_group() as group:
            group.start_soon(decide)
            if seed:
                group.start_soon(submit)
            with anyio.open_signal_receiver(signal.SIGTERM) as signals:
                async for _ in signals:
                    break
            group.cancel_scope.cancel()


if __name__ == "__main__":
    import anyio

    anyio.run(member, Path(sys.argv[1]), int(sys.argv[2]))
