"""What is prepared before the server is whole, or is kept between answers, is what the SDK answers by itself.

The host answers who it is before its tools are even imported, and keeps the schemas of answers once they are made. Here
each such answer through the front is held, byte for byte of its JSON values, against one of a server in this process
that the SDK serves alone, made anew and whole before it is asked.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from fronts import HELLO, META, Front, front
from mcp.server.mcpserver import MCPServer
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter
from served import environment

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import build
from mcp_orchestrator.server.shell import shell
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
LISTS = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"]
ODD: list[dict[str, Any]] = [
    {},
    {"cursor": None},
    {"cursor": ""},
    {"cursor": "eyJvZmZzZXQiOiA1fQ"},
    {"cursor": 5},
    {"limit": 1, "nobody": [{}]},
    {"_meta": {"progressToken": 7, "example.org/x": {"a": [None, 1e300]}}},
    {"_meta": {"progressToken": [], "mcp-orchestrator/request": "someone:1", "mcp-orchestrator/resent": True}},
    {"_meta": {"io.modelcontextprotocol/clientCapabilities": {"extensions": {"example.org/none": {}}}}},
    {"_meta": {"io.modelcontextprotocol/logLevel": "debug"}},
]
WRONG = {"io.modelcontextprotocol/protocolVersion": "1999-01-01"}
Answers = dict[Any, dict[str, Any]]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 1\n[components]\ntoys = "toys"\n')
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    return tmp_path


def questions(*, modern: bool) -> list[dict[str, Any]]:
    """Return all that is asked of one connection, the introduction first."""
    asked: list[dict[str, Any]] = []
    if modern:
        asked += [{"method": "server/discover", "params": one} for one in ({}, *ODD, {"_meta": WRONG})]
        asked.append({"method": "initialize", "params": HELLO})
    else:
        asked += [{"method": "initialize", "params": HELLO}, {"method": "notifications/initialized"}]
        asked += [{"method": "ping", "params": one} for one in ODD]
        asked += [{"method": "server/discover", "params": {}}]
    asked += [{"method": method, "params": one} for method in LISTS for one in ODD]
    asked += [{"method": method} for method in LISTS]
    return [_whole(number, one, modern=modern) for number, one in enumerate(asked)]


def _whole(number: int, one: Mapping[str, Any], *, modern: bool) -> dict[str, Any]:
    said = {"jsonrpc": "2.0", **one}
    if not one["method"].startswith("notifications/"):
        said["id"] = number
    if modern and "params" in one and one["method"] != "initialize":
        said["params"] = {**one["params"], "_meta": {**META, **one["params"].get("_meta", {})}}
    return said


def through(client: Front, asked: list[dict[str, Any]]) -> Answers:
    """Ask all at once, and return the answers by their ids."""
    assert client.process.stdin
    assert client.process.stdout
    client.process.stdin.write(b"".join(json.dumps(one).encode() + b"\n" for one in asked))
    client.process.stdin.flush()
    found: Answers = {}
    wanted = {one["id"] for one in asked if "id" in one}
    while found.keys() != wanted:
        said = json.loads(client.process.stdout.readline())
        if "id" in said:
            found[said["id"]] = said
    return found


@asynccontextmanager
async def alone(server: MCPServer[Any]) -> AsyncGenerator[Any]:
    """Have the SDK serve a server in memory, and yield the client's streams."""
    lowlevel = server._lowlevel_server
    async with create_client_server_memory_streams() as (ours, theirs), anyio.create_task_group() as group:
        group.start_soon(lowlevel.run, *theirs, lowlevel.create_initialization_options())
        yield ours
        await ours[1].aclose()


async def by_the_sdk(project: Path, asked: list[dict[str, Any]]) -> Answers:
    """Ask a server that is made anew, and return the answers by their ids, as they would be on the wire."""
    found: Answers = {}
    async with alone(build(Orchestrator(settings=Settings.load(project)))) as (read, write):

        async def ask() -> None:
            for one in asked:
                await write.send(SessionMessage(jsonrpc_message_adapter.validate_json(json.dumps(one), by_name=False)))

        async with anyio.create_task_group() as group:
            group.start_soon(ask)
            while len(found) < sum("id" in one for one in asked):
                said = json.loads((await read.receive()).message.model_dump_json(by_alias=True, exclude_unset=True))
                if "id" in said:
                    found[said["id"]] = said
    return found


def differing(asked: list[dict[str, Any]], ours: Answers, theirs: Answers) -> list[tuple[Any, ...]]:
    """Return the questions that were answered differently, with the answers."""
    return [
        (one, ours[one["id"]], theirs[one["id"]])
        for one in asked
        if "id" in one and ours[one["id"]] != theirs[one["id"]]
    ]


@pytest.mark.parametrize("modern", [True, False], ids=["2026-07-28", "2025-11-25"])
@pytest.mark.slow
async def test_what_is_answered_early_or_kept_is_what_the_sdk_answers(modern: bool, project: Path) -> None:
    asked = questions(modern=modern)
    with front(project, modern=modern) as cold:
        early = through(cold, asked)  # asked before the host is there, and answered as far as it is when it comes
        with front(project, modern=modern) as warm:
            kept = through(warm, asked)
            theirs = await by_the_sdk(project, asked)
            assert differing(asked, early, theirs) == []
            assert differing(asked, kept, theirs) == []
            assert sum("result" in one for one in theirs.values()) > len(LISTS) * 4
            assert sum("error" in one for one in theirs.values()) > 2

            step = {"name": "sum", "component": "toys", "capability": "add", "params": {"a": 1, "b": 2}}
            warm.call("run_workflow", graph={"name": "one", "steps": [step]})
            warm.call("remember", text="Columns of dates are read as text.", agent="ann")
            again = [{**one, "id": f"again {one['id']}"} for one in asked if one.get("method") in LISTS]
            after = through(warm, again)
            first = asked[:1] if modern else asked[:2]
            assert differing(again, after, await by_the_sdk(project, [*first, *again])) == []


@pytest.mark.parametrize("modern", [True, False], ids=["2026-07-28", "2025-11-25"])
async def test_a_server_that_is_whole_before_it_is_asked_says_the_same_of_itself(modern: bool, tmp_path: Path) -> None:
    """The first answer is given by a server that has nothing yet: did it show, clients would ask for nothing."""
    first = questions(modern=modern)[:1]
    async with alone(shell()) as (read, write):
        await write.send(SessionMessage(jsonrpc_message_adapter.validate_python(first[0], by_name=False)))
        said = json.loads((await read.receive()).message.model_dump_json(by_alias=True, exclude_unset=True))
    assert said == (await by_the_sdk(tmp_path, first))[0]
    assert {"tools", "prompts", "resources", "completions"} <= said["result"]["capabilities"].keys()
