"""The server as a client meets it: a process of its own, over stdio and HTTP, in both eras of the protocol."""

from __future__ import annotations

import http.client
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import anyio
import pytest
from anyio import to_thread
from mcp import Client
from mcp.shared.exceptions import MCPDeprecationWarning
from served import SERVE, Era, burning, environment, facts, gone, over_stdio, text

from mcp_orchestrator.server.tools import published

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unloaded")]
ENDS: list[tuple[Literal["stdio", "http"], Era]] = [
    ("stdio", "auto"),
    ("stdio", "legacy"),
    ("http", "auto"),
    ("http", "legacy"),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ntoys = "toys"\n')
    return tmp_path


@asynccontextmanager
async def over_http(project: Path) -> AsyncGenerator[str]:
    command = [sys.executable, *SERVE, "--http", "127.0.0.1:0"]
    with subprocess.Popen(command, cwd=project, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            line = await to_thread.run_sync(process.stderr.readline)
            assert line.startswith("MCP over HTTP: http://127.0.0.1:"), line
            yield line.split()[-1]
        finally:
            process.terminate()


@asynccontextmanager
async def connected(transport: str, era: Era, project: Path) -> AsyncGenerator[Client]:
    if transport == "stdio":
        async with over_stdio(project, era) as client:
            yield client
    else:
        async with over_http(project) as url, Client(url, mode=era) as client:
            yield client


@pytest.mark.requirement("card.server")
@pytest.mark.parametrize(("transport", "era"), ENDS)
async def test_a_client_lists_and_calls_the_tools(transport: str, era: Era, project: Path) -> None:
    async with connected(transport, era, project) as client:
        assert [one.name for one in (await client.list_tools()).tools] == [one.name for one in published()]
        assert facts(await client.call_tool("get_orchestrator_status"))["project"] == str(project)
        refusal = await client.call_tool("get_run", {"run_id": "0123456789"})
        assert refusal.is_error
        assert "list_runs" in text(refusal)


@pytest.mark.requirement("mcp.long")
@pytest.mark.parametrize(("transport", "era"), [("stdio", "legacy"), ("http", "auto")])
async def test_the_server_answers_while_a_worker_is_busy_and_ends_it_when_the_client_gives_up(
    transport: str,
    era: Era,
    project: Path,
) -> None:
    async with connected(transport, era, project) as client, anyio.create_task_group() as group:
        burn = {"component": "toys", "capability": "burn", "params": {"folder": str(project)}}
        group.start_soon(client.call_tool, "invoke_ml_component", burn)
        processes = await burning(project)
        assert facts(await client.call_tool("list_runs"))["runs"] == []
        if era == "legacy":
            with pytest.warns(MCPDeprecationWarning, match="ping is removed"):
                await client.send_ping()  # pyright: ignore[reportDeprecated]
        group.cancel_scope.cancel()
        with anyio.CancelScope(shield=True):
            await gone(processes)


async def test_over_http_a_session_has_its_names_until_it_ends_and_all_without_one_share_theirs(project: Path) -> None:
    said: dict[str, Any] = {"to": ["bob"], "body": "I am ann", "agent": "ann"}
    async with over_http(project) as url, Client(url) as one, Client(url) as two:
        async with Client(url, mode="legacy") as three:
            facts(await three.call_tool("send_message", said))
            async with Client(url, mode="legacy") as four:
                for other in (one, four):
                    refusal = await other.call_tool("send_message", said)
                    assert "Another session speaks as 'ann'" in text(refusal)
        with anyio.fail_after(60):  # a session ends a moment after its client
            while "Another session" in text(sent := await one.call_tool("send_message", said)):
                await anyio.sleep(0.02)
        facts(sent)
        facts(await two.call_tool("send_message", said))
        async with Client(url, mode="legacy") as five:
            assert "Another session" in text(await five.call_tool("send_message", said))


@pytest.mark.requirement("mcp.http")
@pytest.mark.parametrize(
    ("header", "value", "status"), [("Host", "example.org", 421), ("Origin", "http://example.org", 403)]
)
async def test_http_refuses_foreign_hosts_and_origins(header: str, value: str, status: int, project: Path) -> None:
    async with over_http(project) as url:
        place = urlsplit(url)
        connection = http.client.HTTPConnection(place.hostname or "", place.port)
        connection.request("POST", place.path, b"{}", {"Content-Type": "application/json", header: value})
        assert connection.getresponse().status == status
        connection.close()
