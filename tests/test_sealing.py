"""What a client keeps between the parts of a call is sealed with a key that outlives the process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.request_state import InvalidRequestState
from mcp_types import InputRequiredResult

from mcp_orchestrator.errors import NotAllowed
from mcp_orchestrator.server.sealing import FILE, Kept, keep, secret

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_another_process_of_the_home_unseals_what_one_sealed_and_a_stranger_does_not(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    sealed = Kept(tmp_path).seal(b"what was asked")
    assert Kept(tmp_path).unseal(sealed) == b"what was asked"
    with pytest.raises(InvalidRequestState):
        Kept(tmp_path / "other").unseal(sealed)
    with pytest.raises(InvalidRequestState):
        Kept(tmp_path).unseal(sealed[:-2] + ("AA" if sealed[-2:] != "AA" else "BB"))


def test_many_who_begin_at_once_agree_on_one_key_that_only_the_owner_reads(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        known = set(pool.map(secret, [tmp_path] * 64))
    assert len(known) == 1
    assert len(known.pop()) == 32
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [one.name for one in tmp_path.iterdir()] == [FILE]


@pytest.mark.parametrize(("spoil", "problem"), [
    (lambda place: place.chmod(0o640), "others can read"),
    (lambda place: place.write_bytes(b"short"), "holds no key"),
])  # fmt: skip
def test_a_key_that_is_none_of_ours_is_refused(tmp_path: Path, spoil: Callable[[Path], object], problem: str) -> None:
    assert secret(tmp_path)
    spoil(tmp_path / FILE)
    with pytest.raises(NotAllowed, match=problem):
        secret(tmp_path)


async def test_a_call_that_was_begun_with_one_server_is_ended_with_the_next_one(tmp_path: Path) -> None:
    begun = (await call(server(tmp_path)))["result"]
    assert begun["resultType"] == "input_required"
    assert "half done" not in begun["requestState"]
    ended = await call(server(tmp_path), requestState=begun["requestState"], inputResponses={})
    assert ended["result"]["content"][0]["text"] == "half done, and done"
    (tmp_path / FILE).unlink()
    refused = await call(server(tmp_path), requestState=begun["requestState"], inputResponses={})
    assert refused["error"]["data"] == {"reason": "invalid_request_state"}


def server(home: Path) -> MCPServer[Any]:
    """Return a server with a tool that answers in two parts."""
    made: MCPServer[Any] = MCPServer("halves")
    keep(made, home)

    @made.tool(structured_output=False)
    async def halves(ctx: Context[Any, Any]) -> InputRequiredResult | str:  # pyright: ignore[reportUnusedFunction]
        known = ctx.request_state
        return f"{known}, and done" if known else InputRequiredResult(request_state="half done")

    return made


async def call(to: MCPServer[Any], **more: Any) -> dict[str, Any]:
    """Call the tool over HTTP as the newer era does."""
    app = to.streamable_http_app()
    about = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    }
    headers = {
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": "tools/call",
        "Mcp-Name": "halves",
    }
    params = {"name": "halves", "arguments": {}, "_meta": about, **more}
    said = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://127.0.0.1:1") as client,
    ):
        return (await client.post("/mcp", json=said, headers=headers)).json()
