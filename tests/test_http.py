"""The server over HTTP: who may ask, what is refused and with which status, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from anyio import to_thread
from click.testing import CliRunner
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from served import SERVE, TOYS, Era, environment, facts, text, training

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.cli.main import main
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.errors import InvalidInput, NotAllowed
from mcp_orchestrator.server.auth import Tokens, added, digest, read, removed
from mcp_orchestrator.server.http import Access, application, listen, web
from mcp_orchestrator.server.rate import Rate
from mcp_orchestrator.server.scopes import PROMOTE, READ, RUN, allows, needed
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
TOOLS = {one.name: one for one in published()}
TOKENS = {"ann": ["ml:run"], "bob": ["ml:run"], "eve": ["ml:read"], "zoe": ["ml:promote"]}
PROMOTION = {"component": "production_registry", "capability": "promote", "params": {"name": "m", "version": 1}}
TRAIN = {"data": "table.csv", "target": "wait", "wait_seconds": 0}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, components=TOYS, workers=1, http_body_mb=1, http_seconds=1, http_rate=0)


class Place:
    """A server that is reached over HTTP, and the tokens of those who may."""

    def __init__(self, url: str, tokens: dict[str, str], file: Path, go: anyio.Event) -> None:
        self.url, self.tokens, self.file, self.go = url, tokens, file, go

    async def ask(
        self, who: str | None, method: str = "tools/list", name: str = "", arguments: object = None, **headers: str
    ) -> httpx2.Response:
        """Ask as the newer era does."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        }
        params = {"_meta": meta, **({"name": name, "arguments": arguments or {}} if name else {})}
        told = {
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": "2026-07-28",
            "Mcp-Method": method,
            **({"Mcp-Name": name} if name else {}),
            **({"Authorization": f"Bearer {self.tokens.get(who, who)}"} if who else {}),
            **headers,
        }
        said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with httpx2.AsyncClient(timeout=60) as client:
            return await client.post(self.url, json=said, headers=told)

    @asynccontextmanager
    async def client(self, who: str | None, era: Era = "auto") -> AsyncGenerator[Client]:
        """Connect the SDK's client with a token."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(self.url, http_client=http), mode=era) as client,
        ):
            yield client


@asynccontextmanager
async def served(settings: Settings, *, open: bool = False, read_only: bool = False) -> AsyncGenerator[Place]:  # noqa: A002 - to all
    """Serve over HTTP from this process; ``open`` asks for no token."""
    orchestrator = Orchestrator(settings=settings)
    orchestrator.executor = orchestrator.dispatcher.executor = Workers(settings, preload=False)
    go, file = anyio.Event(), settings.project / "tokens"
    orchestrator.engine.workflows["train"] = training(go)
    tokens = {} if open else {who: added(file, who, scopes) for who, scopes in TOKENS.items()}
    access = Access(tokens=None if open else file, read_only=read_only)
    verifier = access.verifier(settings)
    with listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        app, gate = application(orchestrator, "127.0.0.1", port, access, verifier)
        server = web(gate, own=False)
        async with app.router.lifespan_context(app), anyio.create_task_group() as group:
            group.start_soon(server.serve, [listener])
            try:
                yield Place(f"http://127.0.0.1:{port}/mcp", tokens, file, go)
            finally:
                gate.end()
                server.should_exit = True


def run_of(answer: httpx2.Response) -> str:
    """Return the run that an answer tells of."""
    return answer.json()["result"]["structuredContent"]["run_id"]


# Whose a request is --------------------------------------------------------------------------------------------------


@pytest.mark.requirement("mcp.http")
async def test_a_request_without_a_known_token_is_refused_and_told_where_to_learn_of_tokens(settings: Settings) -> None:
    async with served(settings) as place:
        origin = place.url.removesuffix("/mcp")
        metadata = f"{origin}/.well-known/oauth-protected-resource/mcp"
        for who, error in ((None, False), ("0" * 43, True), (digest(place.tokens["ann"]), True)):
            answer = await place.ask(who)
            assert answer.status_code == 401
            challenge = answer.headers["WWW-Authenticate"]
            assert f'resource_metadata="{metadata}"' in challenge
            assert ('error="invalid_token"' in challenge) is error
        async with httpx2.AsyncClient() as client:
            told = (await client.get(metadata)).json()
            assert (told["resource"], told["scopes_supported"]) == (place.url, [READ, RUN, PROMOTE])
            for method in ("GET", "DELETE"):
                assert (await client.request(method, place.url)).status_code == 401
        assert (await place.ask("ann")).status_code == 200


async def test_a_token_that_is_taken_out_of_the_file_is_refused_at_once(settings: Settings) -> None:
    async with served(settings) as place:
        assert (await place.ask("bob")).status_code == 200
        assert [one.subject for one in removed(place.file, "bob")] == ["bob"]
        assert (await place.ask("bob")).status_code == 401
        assert (await place.ask("ann")).status_code == 200
        place.file.chmod(0o644)
        assert (await place.ask("ann")).status_code == 401, "others can read the tokens now"


@pytest.mark.requirement("safety.access")
@pytest.mark.parametrize(
    ("who", "tool", "arguments", "wanted"),
    [
        ("eve", "remember", {"text": "x", "agent": "eve"}, RUN),
        ("eve", "run_ml_training_workflow", TRAIN, RUN),
        ("ann", "invoke_ml_component", PROMOTION, PROMOTE),
        ("ann", "run_workflow", {"graph": {"steps": [{"name": "p", **PROMOTION}]}}, PROMOTE),
        ("ann", "run_workflow", {"graph": json.dumps({"steps": [{"name": "p", **PROMOTION}]})}, PROMOTE),
    ],
)
async def test_a_call_beyond_the_scope_of_its_token_is_refused_and_names_the_scope(
    settings: Settings, who: str, tool: str, arguments: dict[str, Any], wanted: str
) -> None:
    async with served(settings) as place:
        answer = await place.ask(who, "tools/call", tool, arguments)
        assert answer.status_code == 403
        assert 'error="insufficient_scope"' in answer.headers["WWW-Authenticate"]
        assert f'scope="{wanted}"' in answer.headers["WWW-Authenticate"]
        allowed = await place.ask("zoe", "tools/call", tool, arguments)
        assert allowed.status_code == 200, allowed.text


@pytest.mark.parametrize("era", ERAS)
async def test_a_token_that_reads_sees_all_tools_and_calls_those_that_read(settings: Settings, era: Era) -> None:
    async with served(settings) as place, place.client("eve", era) as client:
        assert {one.name for one in (await client.list_tools()).tools} == TOOLS.keys()
        assert facts(await client.call_tool("list_runs"))["runs"] == []


async def test_a_session_can_be_used_with_the_tokens_of_its_subject_alone_and_each_with_its_own_scope(
    settings: Settings,
) -> None:
    async with served(settings) as place:
        place.tokens["ann, reading"] = added(place.file, "ann", ["ml:read"])
        begin = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        accept = {"Accept": "application/json, text/event-stream"}

        async def say(who: str, method: str, params: dict[str, Any], session: str = "") -> httpx2.Response:
            headers = {**accept, "Authorization": f"Bearer {place.tokens[who]}"}
            headers |= {"Mcp-Session-Id": session} if session else {}
            said = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            async with httpx2.AsyncClient(timeout=60) as client:
                return await client.post(place.url, json=said, headers=headers)

        session = (await say("ann", "initialize", begin)).headers["mcp-session-id"]
        train = {"name": "run_ml_training_workflow", "arguments": TRAIN}
        assert (await say("ann", "tools/list", {}, session)).status_code == 200
        assert (await say("bob", "tools/list", {}, session)).status_code == 404
        assert (await say("ann, reading", "tools/list", {}, session)).status_code == 200
        assert (await say("ann, reading", "tools/call", train, session)).status_code == 403


@pytest.mark.parametrize("action", ["cancel", "pause", "resume"])
async def test_the_run_of_another_subject_is_seen_and_left_alone(settings: Settings, action: str) -> None:
    async with served(settings) as place:
        run = run_of(await place.ask("ann", "tools/call", "run_ml_training_workflow", TRAIN))
        seen = await place.ask("bob", "tools/call", "get_run", {"run_id": run, "wait_seconds": 0})
        assert run_of(seen) == run
        refusal = (await place.ask("zoe", "tools/call", "control_run", {"run_id": run, "action": action})).json()
        assert refusal["result"]["isError"]
        assert "[not_allowed]" in refusal["result"]["content"][0]["text"]
        own = await place.ask("ann", "tools/call", "control_run", {"run_id": run, "action": "cancel"})
        assert run_of(own) == run


async def test_two_subjects_work_at_once_and_speak_in_their_own_names(settings: Settings) -> None:
    said: dict[str, Any] = {"to": [], "body": "I am here", "agent": "trainer"}
    async with served(settings) as place, AsyncExitStack() as stack:
        ann, bob = [await stack.enter_async_context(place.client(who)) for who in ("ann", "bob")]
        legacy = await stack.enter_async_context(place.client("ann", "legacy"))
        facts(await ann.call_tool("send_message", said))
        facts(await legacy.call_tool("send_message", said))
        assert "Another session speaks as 'trainer'" in text(await bob.call_tool("send_message", said))
        runs: list[str] = []

        async def train(client: Client) -> None:
            runs.append(facts(await client.call_tool("run_ml_training_workflow", TRAIN))["run_id"])

        async with anyio.create_task_group() as group:
            group.start_soon(train, ann)
            group.start_soon(train, bob)
        place.go.set()
        for client, run in zip((bob, ann), runs, strict=True):
            ended = facts(await client.call_tool("get_run", {"run_id": run, "wait_seconds": 50}))
            assert ended["status"] == "succeeded"


# What is refused whoever asks ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("open", [True, False], ids=["open", "with tokens"])
async def test_foreign_hosts_and_origins_are_refused_at_every_address(settings: Settings, *, open: bool) -> None:  # noqa: A002 - to all
    async with served(settings, open=open) as place:
        who = None if open else "ann"
        origin = place.url.removesuffix("/mcp")
        assert (await place.ask(who, Host="example.org")).status_code == 421
        assert (await place.ask(who, Origin="http://example.org")).status_code == 403
        assert (await place.ask(who, Origin=origin)).status_code == 200
        async with httpx2.AsyncClient() as client:
            for path in ("/.well-known/oauth-protected-resource/mcp", "/other"):
                assert (await client.get(f"{origin}{path}", headers={"Host": "example.org"})).status_code == 421


async def test_the_name_behind_a_proxy_is_the_servers_own(settings: Settings) -> None:
    orchestrator = Orchestrator(settings=settings)
    access = Access(url="https://ml.example.org/mcp")
    _, gate = application(orchestrator, "127.0.0.1", 8765, access, Tokens(text="secret ann ml:run"))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(gate), base_url="https://ml.example.org") as client:
        answer = await client.post("/mcp", json={})
        assert answer.status_code == 401
        place = "https://ml.example.org/.well-known/oauth-protected-resource/mcp"
        assert f'resource_metadata="{place}"' in answer.headers["WWW-Authenticate"]
        assert (await client.get(place)).json()["resource"] == "https://ml.example.org/mcp"
        assert (await client.post("/mcp", json={}, headers={"Host": "ml.example.com"})).status_code == 421


@pytest.mark.parametrize("how", ["declared", "in pieces"])
async def test_a_body_of_50_mb_is_refused_before_it_is_there(settings: Settings, how: str) -> None:
    size, sent = 50 * 1024**2, 0
    async with served(settings, open=True) as place:
        address = place.url.split("/")[2]
        head = f"POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
        host, _, port = address.partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            length = f"Content-Length: {size}" if how == "declared" else "Transfer-Encoding: chunked"
            await stream.send(f"{head}{length}\r\n\r\n".encode())
            piece = b"0" * 65536
            with anyio.CancelScope() as sending:
                while how == "in pieces" and sent < size:
                    try:
                        await stream.send(b"10000\r\n" + piece + b"\r\n")
                    except (anyio.BrokenResourceError, anyio.ClosedResourceError):
                        sending.cancel()
                    sent += len(piece)
                    with anyio.move_on_after(0.001):
                        assert b" 413 " in await stream.receive()
                        return
            assert b" 413 " in await stream.receive()
            assert sent < size


@pytest.mark.parametrize(("body", "status"), [(b"{", b" 408 "), (b"", b" 408 ")])
async def test_a_body_that_does_not_come_is_not_waited_for(settings: Settings, body: bytes, status: bytes) -> None:
    async with served(settings, open=True) as place:
        address = place.url.split("/")[2]
        host, _, port = address.partition(":")
        async with await anyio.connect_tcp(host, int(port)) as stream:
            head = f"POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Length: 100\r\n\r\n"
            await stream.send(head.encode() + body)
            with anyio.fail_after(60):
                assert status in await stream.receive()


async def test_a_connection_that_says_nothing_is_closed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_orchestrator.server.patience.Patient.within", 0.2)
    async with served(settings, open=True) as place:
        host, _, port = place.url.split("/")[2].partition(":")
        for said in (b"", b"POST /mcp HTT"):
            async with await anyio.connect_tcp(host, int(port)) as stream:
                await stream.send(said) if said else None
                with anyio.fail_after(60), pytest.raises(anyio.EndOfStream):
                    await stream.receive()
        assert (await place.ask(None)).status_code == 200


async def test_more_requests_than_allowed_are_refused_for_their_subject_alone(settings: Settings) -> None:
    async with served(settings.model_copy(update={"http_rate": 2})) as place:
        assert [(await place.ask("ann")).status_code for _ in range(2)] == [200, 200]
        refusal = await place.ask("ann")
        assert refusal.status_code == 429
        assert 1 <= int(refusal.headers["Retry-After"]) <= 30
        assert (await place.ask("bob")).status_code == 200


def test_a_rate_comes_back_as_time_goes_by() -> None:
    now = 0.0
    rate = Rate(60, lambda: now)
    assert [rate.wait("a") for _ in range(60)] == [0.0] * 60
    assert rate.wait("a") == pytest.approx(1.0)
    assert rate.wait("b") == 0.0
    now = 1.5
    assert [rate.wait("a"), rate.wait("a")] == [0.0, pytest.approx(0.5)]


# Reading alone -------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("safety.access")
@pytest.mark.parametrize("era", ERAS)
async def test_a_read_only_server_lists_what_reads_and_refuses_the_rest(settings: Settings, era: Era) -> None:
    async with served(settings, read_only=True) as place, place.client("zoe", era) as client:
        listed = {one.name for one in (await client.list_tools()).tools}
        hints = {name: one.annotations for name, one in TOOLS.items()}
        assert listed == {name for name, hint in hints.items() if hint and hint.read_only_hint}
        assert facts(await client.call_tool("list_runs"))["runs"] == []
        for name in TOOLS.keys() - listed:
            refusal = await client.call_tool(name, TRAIN)
            assert refusal.is_error
            assert "This server is read-only" in text(refusal)
        assert facts(await client.call_tool("list_runs"))["runs"] == []


# Addresses and tokens ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", ""), ("192.168.1.7", ""), ("::", ""), ("127.0.0.1", "https://ml.example.org")])  # noqa: S104 - that is the point  # fmt: skip
def test_what_others_can_reach_is_refused_without_tokens(host: str, url: str) -> None:
    with pytest.raises(InvalidInput, match=r"no token is asked for.*token new"):
        listen(host, 0, url)


@pytest.mark.parametrize("host", ["example.org", "", "localhost.example.org"])
def test_an_address_is_one_of_this_machine(host: str) -> None:
    with pytest.raises(InvalidInput, match="no address of this machine"):
        listen(host, 0, known=True)


def test_all_addresses_are_taken_with_tokens_and_a_name(tmp_path: Path) -> None:
    assert added(tmp_path / "tokens", "ann", [RUN])
    with pytest.raises(InvalidInput, match="url: is required"):
        listen("0.0.0.0", 0, known=True)  # noqa: S104 - that is the point
    with listen("0.0.0.0", 0, "https://ml.example.org/mcp", known=True) as listener:  # noqa: S104 - that is the point
        assert listener.family is socket.AF_INET


async def test_answers_are_sent_as_they_come_and_wait_for_no_further_bytes() -> None:
    found = asyncio.Event()
    delays: list[int] = []

    async def met(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        delays.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        found.set()
        writer.close()

    with listen("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(met, sock=listener) as server:
            port = server.sockets[0].getsockname()[1]
            async with await anyio.connect_tcp("127.0.0.1", port):
                await found.wait()
    assert delays == [1]


def test_the_file_holds_digests_that_only_its_owner_can_read(tmp_path: Path) -> None:
    place = tmp_path / "new" / "tokens"
    token = added(place, "ann", [RUN, READ])
    assert token not in place.read_text()
    assert place.stat().st_mode & 0o777 == 0o600
    assert read(place) == [(digest(token), "ann", (RUN, READ))]
    place.chmod(0o640)
    with pytest.raises(NotAllowed, match="chmod 600"):
        Tokens(place)
    with pytest.raises(NotAllowed):
        added(place, "bob", [RUN])


@pytest.mark.parametrize(
    ("line", "problem"),
    [("", "holds no token"), ("x ann", "is not"), ("x ann ml:all", "no scope"), ("x a/b ml:run", "subject")],
)
def test_a_line_that_is_no_token_is_refused(line: str, problem: str) -> None:
    with pytest.raises(InvalidInput, match=problem):
        Tokens(text=line)


def test_a_token_itself_does_not_belong_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "tokens").touch(0o600)
    (tmp_path / "tokens").write_text("secret ann ml:run\n")
    with pytest.raises(InvalidInput, match="digests"):
        Tokens(tmp_path / "tokens")


async def test_tokens_of_the_environment_are_taken_as_they_are_or_as_digests(settings: Settings) -> None:
    known = Tokens(text=f"one ann ml:run; {digest('two')} bob ml:read,ml:promote")
    found = [await known.verify_token(one) for one in ("one", "two", "three", digest("two"))]
    assert [one and (one.subject, one.scopes) for one in found] == [
        ("ann", [RUN]),
        ("bob", [READ, PROMOTE]),
        None,
        None,
    ]


def test_each_scope_includes_those_before_it_and_a_graph_needs_what_its_steps_need() -> None:
    assert [[allows([given], wanted) for wanted in (READ, RUN, PROMOTE)] for given in (READ, RUN, PROMOTE)] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]
    assert not allows(["ml:admin"], READ)
    inner = {"workflow": "custom", "inputs": {"graph": {"steps": [{"workflow": "custom", "spec": {"a": [PROMOTION]}}]}}}
    assert needed("tools/call", {"name": "run_workflow", "arguments": inner}, TOOLS) == PROMOTE
    assert needed("tools/call", {"name": "run_workflow", "arguments": {"workflow": "train"}}, TOOLS) == RUN
    deep = {"name": "run_workflow", "arguments": {"graph": '{"a":' * 100_000}}
    assert needed("tools/call", deep, TOOLS) == RUN, "it is refused further on, as no graph"
    assert needed("tasks/update", {}, TOOLS) == PROMOTE
    assert needed("resources/read", {}, TOOLS) == READ


# From a terminal -----------------------------------------------------------------------------------------------------


def test_tokens_are_made_listed_and_ended_from_a_terminal(tmp_path: Path) -> None:
    def ask(*words: str) -> str:
        result = CliRunner().invoke(main, ["token", *words, "--project", str(tmp_path)])
        assert result.exit_code == 0, result.output
        return result.stdout

    token = ask("new", "ann").strip()
    other = json.loads(ask("new", "bob", "--scope", "ml:read", "--scope", "ml:promote", "--json"))
    place = tmp_path / ".mcp-orchestrator" / "tokens"
    assert other == {"token": other["token"], "subject": "bob", "scopes": [READ, PROMOTE], "file": str(place)}
    assert read(place) == [(digest(token), "ann", (RUN,)), (digest(other["token"]), "bob", (READ, PROMOTE))]
    assert [one["subject"] for one in json.loads(ask("list", "--json"))] == ["ann", "bob"]
    assert token not in ask("list")
    ask("revoke", digest(token)[7:15])
    assert [one.subject for one in read(place)] == ["bob"]
    refused = CliRunner().invoke(main, ["token", "revoke", "bo", "--project", str(tmp_path)])
    assert refused.exit_code == 3
    assert "'bob'" in refused.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--tokens", "none"], "is for --http"),
        (["--http", "0.0.0.0:0"], "no token is asked for"),
        (["--http", "0", "--tokens", "none"], "cannot be read"),
        (["--http", "0", "--url", "ftp://example.org"], "no token is asked for"),
        (["--http", "0", "--url", "http://localhost/other"], "no address of the server"),
    ],
    ids=lambda one: one if isinstance(one, str) else one[1],
)
def test_what_cannot_be_served_is_refused_before_it_is(tmp_path: Path, words: list[str], problem: str) -> None:
    refused = CliRunner().invoke(main, ["serve", *words, "--project", str(tmp_path)])
    assert refused.exit_code in {2, 4}
    assert problem in refused.stderr
    assert "MCP over HTTP" not in refused.stderr


async def test_a_client_on_stdio_can_be_given_a_server_that_only_reads(tmp_path: Path) -> None:
    words = ["-m", "mcp_orchestrator", "serve", "--read-only"]
    started = StdioServerParameters(command=sys.executable, args=words, cwd=tmp_path, env=environment())
    with (tmp_path / "stderr").open("w") as errors:
        async with Client(stdio_client(started, errlog=errors)) as client:
            assert "run_workflow" not in {one.name for one in (await client.list_tools()).tools}
            assert "read-only" in text(await client.call_tool("run_workflow", {"workflow": "train"}))
            assert facts(await client.call_tool("list_runs"))["runs"] == []


# How it ends ---------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def process(project: Path, *options: str) -> AsyncGenerator[tuple[subprocess.Popen[str], str]]:
    """Start the command and yield it with the address that it tells."""
    command = [sys.executable, *SERVE, "--http", "127.0.0.1:0", *options]
    with subprocess.Popen(command, cwd=project, env=environment(), stderr=subprocess.PIPE, text=True) as started:
        try:
            assert started.stderr
            line = await to_thread.run_sync(started.stderr.readline)
            yield started, line.split()[-1]
        finally:
            started.kill()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.slow
async def test_told_to_end_while_a_call_works_the_server_answers_it_and_ends(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ntoys = "toys"\n')
    call = {"component": "toys", "capability": "await_file", "params": {"folder": str(tmp_path), "name": "go"}}
    async with process(tmp_path) as (server, url):
        answers: list[dict[str, Any]] = []
        async with Client(url, mode="legacy") as idle, Client(url) as client:

            async def work() -> None:
                answers.append(facts(await client.call_tool("invoke_ml_component", call)))

            for one in (idle, client):
                await one.list_tools()  # who has not, asks after the answer
            async with anyio.create_task_group() as group:
                group.start_soon(work)
                with anyio.fail_after(60):
                    while not (tmp_path / "go.waiting").exists():
                        await anyio.sleep(0.02)
                    server.send_signal(signal.SIGTERM)
                    await refused(url)
                    assert server.poll() is None
                    (tmp_path / "go").touch()
        assert answers[0]["result"] == 1
        with anyio.fail_after(60):
            assert await to_thread.run_sync(server.wait) == 0
        assert server.stderr
        assert "Traceback" not in server.stderr.read()


async def refused(url: str) -> None:
    """Wait until a server takes no more connections."""
    host, _, port = url.split("/")[2].partition(":")
    while True:
        try:
            async with await anyio.connect_tcp(host, int(port)):
                await anyio.sleep(0.02)
        except OSError:
            return


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("one", [signal.SIGTERM, signal.SIGINT])
async def test_a_server_that_is_interrupted_as_it_begins_ends_without_a_traceback(
    tmp_path: Path, one: signal.Signals
) -> None:
    async with process(tmp_path) as (server, _):
        server.send_signal(one)
        with anyio.fail_after(60):
            assert await to_thread.run_sync(server.wait) == 0
        assert server.stderr
        assert "Traceback" not in server.stderr.read()
