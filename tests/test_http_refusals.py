"""What is refused over HTTP, each with its status and what it says; tests/test_http.py has who may do what.

Requests of nobody, of somebody else and from elsewhere; files that are not to be read; and what is no request at all.
"""

from __future__ import annotations

import json
import os
import pickle
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import psutil
import pytest
from fronts import META
from fuzzing import Fuzz, counted
from fuzzing_http import Web, broken, half, server
from served import TOYS
from test_http import TRAIN, Place, served

from mcp_orchestrator.server import http
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
TASKS = {**META, CAPABILITIES: {"extensions": {"io.modelcontextprotocol/tasks": {}}}}
ROOM = 100 << 20
"""Bytes of memory that a process may have more than before."""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    return project


@pytest.fixture
def settings(project: Path) -> Settings:
    return Settings.load(project, components=TOYS, workers=1, http_rate=0)


# Whose a request is, and where it comes from -------------------------------------------------------------------------


class Case(NamedTuple):
    """A request, and how it is refused: the status, and words of the answer."""

    what: str
    who: str | None
    status: int
    words: str
    header: tuple[str, str] | None = None
    tool: str = ""


CASES = [
    Case("no token", None, 401, "A valid token is required: Authorization: Bearer TOKEN."),
    Case("a wrong token", "0" * 43, 401, "A valid token is required"),
    Case("a token in the address alone", None, 401, "A valid token", ("X-Token", "ann")),
    Case("a wrong scope", "eve", 403, "The request needs the scope ml:run", tool="run_ml_training_workflow"),
    Case("a foreign Host", "ann", 421, "This server is not called so", ("Host", "example.org")),
    Case("its own name at another port", "ann", 421, "This server is not called so", ("Host", "localhost:1")),
    Case("a foreign Origin", "ann", 403, "This origin is not allowed", ("Origin", "http://example.org")),
    Case("an Origin of nowhere", "ann", 403, "This origin is not allowed", ("Origin", "null")),
    Case("a foreign Host, no token", None, 421, "This server is not called so", ("Host", "example.org")),
]


@pytest.mark.requirement("mcp.http")
async def test_who_may_not_ask_is_refused_with_the_status_that_says_why_and_nothing_begins(settings: Settings) -> None:
    async with served(settings) as place:
        for case in CASES:
            method = "tools/call" if case.tool else "tools/list"
            more = dict([case.header] if case.header else [])
            answer = await place.ask(case.who, method, case.tool, TRAIN, **more)
            assert (case.what, answer.status_code) == (case.what, case.status)
            assert case.words in answer.text, case.what
            assert "result" not in answer.text, case.what
            assert ("WWW-Authenticate" in answer.headers) is (case.status == 401 or bool(case.tool)), case.what
        seen = await place.ask("ann", "tools/call", "list_runs")
        assert seen.json()["result"]["structuredContent"]["runs"] == []


async def test_the_task_of_another_subject_is_no_task(settings: Settings) -> None:
    async with served(settings) as place:
        begun = await said(place, "ann", "tools/call", name="run_ml_training_workflow", arguments=TRAIN)
        task: str = begun.json()["result"]["taskId"]
        for method in ("tasks/get", "tasks/update", "tasks/cancel"):
            theirs = await said(place, "zoe", method, taskId=task, inputResponses={})
            nobodys = await said(place, "zoe", method, taskId="0" * len(task), inputResponses={})
            assert theirs.status_code == nobodys.status_code == 400
            assert theirs.json()["error"]["code"] == -32602
            assert theirs.json() == json.loads(nobodys.text.replace("0" * len(task), task)), "nothing is given away"
        assert (await said(place, "ann", "tasks/get", taskId=task)).json()["result"]["status"] == "working"


async def said(place: Place, who: str, method: str, **params: Any) -> httpx2.Response:
    """Ask as a client does that knows tasks."""
    headers = {
        "Accept": "application/json, text/event-stream",
        "Authorization": f"Bearer {place.tokens[who]}",
        "MCP-Protocol-Version": "2026-07-28",
        "Mcp-Method": method,
        "Mcp-Name": params.get("taskId") or params["name"],
    }
    whole = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": TASKS}}
    async with httpx2.AsyncClient(timeout=60) as client:
        return await client.post(place.url, json=whole, headers=headers)


async def test_more_sessions_than_the_server_has_room_for_are_refused_and_the_others_go_on(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CONNECTIONS", 3)
    async with served(settings, open=True) as place, httpx2.AsyncClient(timeout=60) as client:
        begin = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
        asked = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": begin}
        accept = {"Accept": "application/json, text/event-stream"}
        answers = [await client.post(place.url, json=asked, headers=accept) for _ in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 503]
        own = {**accept, "Mcp-Session-Id": answers[0].headers["mcp-session-id"]}
        listed = await client.post(place.url, json={"jsonrpc": "2.0", "id": 2, "method": "tools/list"}, headers=own)
        assert listed.status_code == 200


# Files that are not to be read ---------------------------------------------------------------------------------------


class Boom:
    """What makes a folder when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


FILES = {
    "../outside.csv": "lies outside the folders that may be read",
    "{parent}/outside.csv": "lies outside the folders that may be read",
    "sub/../../outside.csv": "lies outside the folders that may be read",
    "link.csv": "lies outside the folders that may be read",
    "linked/outside.csv": "lies outside the folders that may be read",
    "file:///etc/passwd": "file:// addresses are not read",
    "file://{parent}/outside.csv": "file:// addresses are not read",
    "http://127.0.0.1/table.csv": "http:// addresses are not read",
    "HTTPS://127.0.0.1/table.csv": "addresses are not read",
    "model.pkl": "is a pickle, which can run code when it is opened",
    "model.joblib": "is a pickle, which can run code when it is opened",
    "pickle2.csv": "is not a text file",
    "pickle5.csv": "is not a text file",
    "pickle5.parquet": "is not a readable Parquet file",
    "pickle5.json": "is not valid JSON",
    "pickle5.db": "is not a readable SQLite database",
    "pickle5.xlsx": "is not a workbook",
}


@pytest.mark.requirement("safety.roots")
async def test_a_file_that_is_not_to_be_read_is_refused_and_leaves_nothing(settings: Settings, project: Path) -> None:
    (project / "sub").mkdir()
    (project.parent / "outside.csv").write_text("password,y\nhunter2,1\n")
    (project / "link.csv").symlink_to(project.parent / "outside.csv")
    (project / "linked").symlink_to(project.parent)
    for name in (one for one in FILES if one.startswith(("model", "pickle"))):
        protocol = 2 if "2" in name else 5
        (project / name).write_bytes(pickle.dumps(Boom(project / "ran"), protocol))
    async with served(settings) as place:
        before = kept(settings)
        for name, words in FILES.items():
            given = name.format(parent=project.parent)
            params = {"component": "training_data_loader", "capability": "load", "params": {"source": given}}
            calls: dict[str, dict[str, Any]] = {"inspect_dataset": {"data": given}, "invoke_ml_component": params}
            for tool, arguments in calls.items():
                answer = await place.ask("zoe", "tools/call", tool, arguments)
                result = answer.json()["result"]
                assert (answer.status_code, result.get("isError"), name) == (200, True, name), tool
                assert words in result["content"][0]["text"], tool
                assert "hunter2" not in answer.text
        assert kept(settings) == before
    assert not (project / "ran").exists(), "nothing was unpickled"


def kept(settings: Settings) -> dict[str, int]:
    """Return how much is kept, but for what the journal says of who worked."""
    return {name: count for name, count in counted(settings.home).items() if name != "orchestrator.db event"}


# What is no request --------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_broken_requests_are_refused_and_change_nothing_and_the_server_goes_on(project: Path) -> None:
    with server(project) as (process, url), closing(Web(url, modern=True)) as web:
        fuzz = Fuzz(web, project)
        name = f"{web.host}:{web.port}"
        before, there = psutil.Process(process.pid).memory_info().rss, counted(fuzz.home)
        for what, (sent, statuses) in broken(name).items():
            web.refused(what, sent, statuses)
            web.raw(sent[: len(sent) // 2], cut=True)
        assert set(web.held(half(name), 20)) == {b"HTTP/1.1 408"}
        assert counted(fuzz.home) == there
        fuzz.run(40)
        assert not fuzz.crashes
        assert fuzz.refused > 15
        assert psutil.Process(process.pid).memory_info().rss < before + ROOM
        assert "Traceback" not in (project / "stderr").read_text()
