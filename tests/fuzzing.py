"""Calls and frames that nobody should send, made from the schemas that the server publishes."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, cast

from fronts import META, Front
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

__all__ = ["FRAMES", "Fuzz", "counted", "nested"]

LONGEST = 30_000
"""Characters of the JSON of a refusal."""
HOSTILE = [
    "",
    "\0",
    "\ud800",
    "../../etc/passwd",
    "/etc/passwd",
    "http://127.0.0.1/x.csv",
    "model.pkl",
    "builtin:none",
    "dataset://0",
    "model://m@",
    "run://",
    "'; DROP TABLE runs; --",
    "{",
    "[[[",
    "x" * 20_000,
]
NUMBERS = [0, -1, 2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, True]
METHODS = ["", "tools/call", "tools/list", "tasks/get", "resources/read", "prompts/get", "nothing", "a" * 5000, "\0"]


def nested(depth: int, kind: str = "array") -> str:
    """Return JSON that is nested so deeply."""
    opens, closes = ('{"a":', "}") if kind == "object" else ("[", "]")
    return opens * depth + "1" + closes * depth


FRAMES: list[bytes] = [
    b"{",
    b"\0\0\0",
    b"\xff\xfe\xfd",
    b"null",
    b"5",
    b'"method"',
    b"[]",
    b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]',
    b'{"id": [], "method": "ping"}',
    b'{"jsonrpc":"2.0","id":{"a":1},"method":"tools/call","params":{}}',
    b'{"jsonrpc":"2.0","id":null,"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":true,"method":"tools/list"}',
    b'{"jsonrpc":"2.0","id":"a","method":["tools/list"]}',
    b'{"jsonrpc":"2.0","id":"b","method":"tools/call","params":[1,2]}',
    b'{"jsonrpc":"2.0","id":"c","method":"tools/call","params":"x"}',
    b'{"jsonrpc":"2.0","id":"d","method":"tools/call","params":{"name":{},"arguments":5,"_meta":7}}',
    b'{"jsonrpc":"2.0","id":"e","method":"resources/subscribe","params":[]}',
    b'{"jsonrpc":"2.0","id":"f","method":"tools/call","params":{"name":"list_runs","arguments":{"limit":NaN}}}',
    b'{"jsonrpc":"2.0","id":"g","method":"tools/call","params":{"name":"\\ud800","arguments":{}}}',
    b'{"jsonrpc":"1.0","id":"h","method":"tools/list"}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":[1]}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":5}',
    b'{"jsonrpc":"2.0","id":"nobody asked","result":{}}',
    b'{"jsonrpc":"2.0","id":"i","method":"tools/list","params":' + b"9" * 10_000 + b"}",
    nested(100_000).encode(),
    nested(100_000, "object").encode(),
    b'{"jsonrpc":"2.0","id":"j","method":"tools/call","params":{"name":"run_workflow","arguments":{"graph":'
    + nested(500, "object").encode()
    + b"}}}",
]


class Client(Protocol):
    """A client's end of a server, whatever is in between."""

    def send(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request and return its id."""
        ...

    def answer(self, number: int) -> dict[str, Any]:
        """Return the answer to a request."""
        ...

    def ask(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request and return its result."""
        ...


class Fuzz:
    """Sends what nobody should, and sees to it that each is answered without a traceback and changes nothing."""

    def __init__(self, client: Client, project: Path) -> None:
        """Take a client's end of a server, and the project that it serves."""
        self.client, self.home = client, project / ".mcp-orchestrator"
        self.tools: list[dict[str, Any]] = client.ask("tools/list")["tools"]
        client.ask("tools/call", {"name": "recall_memory", "arguments": {"queries": ["x"]}})  # opens the memory
        self.calls = self.refused = 0
        self.crashes: list[str] = []

    def run(self, calls: int, number: int = 0) -> None:
        """Make so many calls."""

        @seed(number)
        @settings(
            max_examples=calls,
            deadline=None,
            database=None,
            suppress_health_check=(HealthCheck.too_slow,),
            derandomize=False,
        )
        @given(st.sampled_from(self.tools).flatmap(lambda tool: st.tuples(st.just(tool["name"]), _arguments(tool))))
        def once(call: tuple[str, Any]) -> None:
            self.call(*call)

        while self.calls < calls:
            once()
            number += 1

    def call(self, tool: str, arguments: Any) -> None:
        """Make a call, and judge its answer."""
        before = counted(self.home)
        answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
        self.calls += 1
        if "error" in answer or answer["result"].get("isError"):
            self.refused += 1
            assert len(json.dumps(answer)) < LONGEST, (tool, arguments, answer)
            after = counted(self.home)
            assert after == before, (tool, arguments, answer, before, after)

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer, result or error."""
        answer = self.client.answer(self.client.send(method, params))
        said = json.dumps(answer)
        assert "Traceback (most" not in said, said
        assert '.py\\", line' not in said, said
        if "[internal]" in said or answer.get("error", {}).get("code") == -32603:
            self.crashes.append(f"{method} {json.dumps(params)[:300]}: {said[:300]}")
        return answer

    def frame(self, line: bytes) -> None:
        """Send a line as it is, where the client is a front's; what follows is answered."""
        process = cast("Front", self.client).process
        assert process.stdin
        process.stdin.write(line + b"\n")
        process.stdin.flush()
        assert "error" not in self.ask("tools/list", {})

    def methods(self) -> None:
        """Ask for methods that there are not, and for those that there are without what they need."""
        for method in METHODS:
            for params in ({}, {"name": 5}, {"uri": "\0"}, {"taskId": "x" * 5000}):
                self.ask(method, {**params, "_meta": META})


def counted(home: Path) -> dict[str, int]:
    """Return how much is kept: rows of the tables that calls write to, and files."""
    rows: dict[str, int] = {}
    for name in ("orchestrator.db", "memory.db"):
        if not (home / name).exists():
            continue
        with closing(sqlite3.connect(f"file:{home / name}?mode=ro", uri=True, timeout=30)) as base:
            for (table,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'").fetchall():
                if not any(word in table for word in ("fts", "sqlite_", "agent", "session", "speaker", "owner")):
                    rows[f"{name} {table}"] = base.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0]  # noqa: S608
    rows["files"] = sum(1 for folder in ("artifacts", "datasets", "studies") for _ in (home / folder).rglob("*"))
    return {key: count for key, count in rows.items() if count}


def _arguments(tool: dict[str, Any]) -> st.SearchStrategy[Any]:
    schema = tool["inputSchema"]
    known = {name: st.one_of(_fitting(one), _anything()) for name, one in schema["properties"].items()}
    required = {name: known.pop(name) for name in schema.get("required", ())}
    usual = st.fixed_dictionaries(required, optional=known)
    odd = st.dictionaries(st.sampled_from([*known, *required, "nobody", ""]), _anything(), max_size=4)
    return st.one_of(usual, usual, odd)


def _fitting(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if "anyOf" in schema:
        return st.one_of([_fitting(one) for one in schema["anyOf"]])
    items = _fitting(schema["items"]) if "items" in schema else _anything()
    fitting: dict[str, st.SearchStrategy[Any]] = {
        "string": st.one_of(st.text(max_size=20), st.sampled_from(HOSTILE)),
        "integer": st.integers(-5, 60),
        "number": st.floats(-1, 2, allow_nan=False),
        "boolean": st.booleans(),
        "array": st.lists(items, max_size=3),
        "object": st.dictionaries(st.text(max_size=8), _anything(), max_size=3),
    }
    return fitting.get(schema.get("type", ""), _anything())


def _anything() -> st.SearchStrategy[Any]:
    leaves = st.one_of(st.none(), st.sampled_from(HOSTILE), st.sampled_from(NUMBERS), st.text(max_size=10))
    return st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=6,
    )
