"""Clients are told of the server: the right file, that entry and nothing else, and the server starts from it."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from terminal import answer, ask

from mcp_orchestrator.cli.clients import CLIENTS, command, ours
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.splice import commented, drop, find, put
from mcp_orchestrator.errors import InvalidInput, NotReady

FILES = {
    ("claude-code", "project"): "project/.mcp.json",
    ("claude-code", "user"): "home/.claude.json",
    ("claude-desktop", "user"): "home/.config/Claude/claude_desktop_config.json",
    ("cursor", "project"): "project/.cursor/mcp.json",
    ("cursor", "user"): "home/.cursor/mcp.json",
    ("vscode", "project"): "project/.vscode/mcp.json",
    ("vscode", "user"): "home/.config/Code/User/mcp.json",
}
OTHERS = """\
{
\t"theme" : "dark",   "numbers": [1.50, 1e400, 12345678901234567890, -0],
\t"mcpServers": {
\t\t"files": { "command": "npx", "args": ["-y", "files", "Ünïcode \\u00e9"] }
\t},
\t"projects": {}
}
"""
MAC = "Library/Application Support"
VARIABLES = ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "MCP_ORCHESTRATOR_PROJECT", "MCP_ORCHESTRATOR_HOME")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder, and a home in which all clients have been started once, on Linux."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(sys, "platform", "linux")
    for folder in ("home/.config/Claude", "home/.config/Code/User", "home/.cursor", "project"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def entries(path: Path, client: str) -> dict[str, Any]:
    """Return the servers in a client's file."""
    return json.loads(path.read_bytes())[CLIENTS[client].section]


def leftovers(path: Path) -> set[str]:
    """Return the names of what lies beside a file."""
    return {one.name for one in path.parent.iterdir()} - {path.name}


# What is written starts the server -----------------------------------------------------------------------------------


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("client", "scope"),
    [("claude-code", "project"), ("claude-desktop", "user"), ("cursor", "user"), ("vscode", "project")],
)
async def test_what_is_written_starts_the_server_from_any_folder(
    project: Path, tmp_path: Path, client: str, scope: str
) -> None:
    said = answer("install", client, "--scope", scope, "--yes")
    path = tmp_path / FILES[client, scope]
    assert said["path"] == str(path)
    entry = entries(path, client)["ml"]
    assert entry.get("type", "stdio") == "stdio"
    assert Path(entry["command"]).is_absolute()
    started = StdioServerParameters(command=entry["command"], args=entry["args"], cwd=tmp_path)
    async with Client(stdio_client(started)) as server:
        names = {tool.name for tool in (await server.list_tools()).tools}
        status = (await server.call_tool("get_orchestrator_status", {})).structured_content
    assert {"run_ml_training_workflow", "predict"} <= names
    assert status is not None
    assert status["project"] == str(project)


@pytest.mark.parametrize(("client", "scope"), FILES)
def test_a_client_s_file_is_the_one_that_its_maker_names(tmp_path: Path, client: str, scope: str) -> None:
    assert answer("install", client, "--scope", scope, "--yes")["path"] == str(tmp_path / FILES[client, scope])
    assert ours(entries(tmp_path / FILES[client, scope], client)["ml"])
    assert leftovers(tmp_path / FILES[client, scope]).isdisjoint({".part"})


@pytest.mark.parametrize(
    ("client", "system", "environment", "place"),
    [
        ("claude-code", "darwin", {"HOME": "/u"}, "/u/.claude.json"),
        ("claude-code", "linux", {"HOME": "/u", "CLAUDE_CONFIG_DIR": "/c"}, "/c/.claude.json"),
        ("claude-code", "win32", {"USERPROFILE": "/u", "HOME": "/no"}, "/u/.claude.json"),
        (
            "claude-desktop",
            "darwin",
            {"HOME": "/u"},
            "/u/Library/Application Support/Claude/claude_desktop_config.json",
        ),
        ("claude-desktop", "win32", {"USERPROFILE": "/u", "APPDATA": "/a"}, "/a/Claude/claude_desktop_config.json"),
        ("claude-desktop", "linux", {"HOME": "/u", "XDG_CONFIG_HOME": "/x"}, "/x/Claude/claude_desktop_config.json"),
        ("cursor", "win32", {"USERPROFILE": "/u", "APPDATA": "/a"}, "/u/.cursor/mcp.json"),
        ("vscode", "darwin", {"HOME": "/u"}, f"/u/{MAC}/Code/User/mcp.json"),
        ("vscode", "win32", {"USERPROFILE": "/u", "APPDATA": "/a"}, "/a/Code/User/mcp.json"),
        ("vscode", "linux", {"HOME": "/u"}, "/u/.config/Code/User/mcp.json"),
    ],
)
def test_each_system_has_its_places(client: str, system: str, environment: dict[str, str], place: str) -> None:
    found = CLIENTS[client].place("user", Path("/p"), system=system, environment=environment)
    assert found.as_posix() == place


def test_a_place_that_the_environment_does_not_tell_is_an_error() -> None:
    with pytest.raises(NotReady, match="APPDATA"):
        CLIENTS["vscode"].place("user", Path("/p"), system="win32", environment={"USERPROFILE": "/u"})


def test_uvx_takes_the_package_by_its_name_and_needs_no_path_of_this_machine(project: Path) -> None:
    words = command(project, uvx=True)
    assert words == ["uvx", "--from", "mcp-ml-orchestrator", "mcp-orchestrator", "serve", "--project", str(project)]
    answer("install", "cursor", "--uvx", "--yes")
    assert entries(project / ".cursor/mcp.json", "cursor")["ml"]["args"] == words[1:]
    assert answer("uninstall", "cursor", "--yes")["action"] == "remove"


def test_a_command_that_may_be_gone_tomorrow_is_not_written(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", "/home/u/.cache/uv/archive-v0/x")
    refused = ask("install", "cursor", "--yes")
    assert (refused.exit_code, "--uvx" in refused.stderr) == (Exit.REFUSED, True)
    monkeypatch.undo()
    monkeypatch.setattr(sysconfig, "get_path", lambda *_: str(project))
    with pytest.raises(NotReady, match="no command mcp-orchestrator"):
        command(project)


# Nothing else is changed ---------------------------------------------------------------------------------------------


def test_the_rest_of_the_file_stays_to_the_character(tmp_path: Path) -> None:
    path = tmp_path / FILES["claude-code", "user"]
    path.write_text(OTHERS, "utf-8")
    path.chmod(0o640)
    backup = Path(answer("install", "claude-code", "--scope", "user", "--yes")["backup"])
    added = path.read_text("utf-8")
    at = OTHERS.index("\n\t},")
    assert added.startswith(OTHERS[:at] + ',\n\t\t"ml": {\n\t\t\t"type": "stdio",')
    assert added.endswith("\n\t\t}" + OTHERS[at:])
    assert backup.read_text("utf-8") == OTHERS
    assert {one.stat().st_mode & 0o777 for one in (path, backup)} == {0o640}
    second = Path(answer("uninstall", "claude-code", "--scope", "user", "--yes")["backup"])
    assert path.read_text("utf-8") == OTHERS
    assert second != backup
    assert second.read_text("utf-8") == added
    assert leftovers(path) == {backup.name, second.name, ".config", ".cursor"}


def test_a_new_file_is_for_its_owner_and_has_no_backup(tmp_path: Path) -> None:
    assert answer("install", "claude-code", "--scope", "user", "--yes")["backup"] is None
    assert (tmp_path / "home/.claude.json").stat().st_mode & 0o777 == 0o600


def test_done_twice_it_changes_nothing(project: Path) -> None:
    assert answer("install", "vscode", "--yes")["action"] == "add"
    before = (project / ".vscode/mcp.json").read_bytes()
    again = answer("install", "vscode")
    assert (again["action"], again["difference"], again["backup"]) == ("none", [], None)
    assert (project / ".vscode/mcp.json").read_bytes() == before
    assert answer("install", "vscode", "--uvx", "--yes")["action"] == "replace"
    assert answer("uninstall", "vscode", "--yes")["action"] == "remove"
    assert answer("uninstall", "vscode", "--yes")["action"] == "none"
    assert json.loads((project / ".vscode/mcp.json").read_text()) == {"servers": {}}


def test_uninstall_makes_no_file(project: Path) -> None:
    assert answer("uninstall", "cursor", "--yes")["action"] == "none"
    assert not (project / ".cursor").exists()


def test_several_projects_of_one_user_stand_side_by_side(tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    answer("install", "claude-desktop", "--yes")
    answer("install", "claude-desktop", "--yes", "--name", "second", "--project", str(tmp_path / "second"))
    servers = entries(tmp_path / FILES["claude-desktop", "user"], "claude-desktop")
    assert [one["args"][-1] for one in servers.values()] == [str(tmp_path / "project"), str(tmp_path / "second")]
    answer("uninstall", "claude-desktop", "--yes")
    assert set(entries(tmp_path / FILES["claude-desktop", "user"], "claude-desktop")) == {"second"}


def test_a_link_to_the_file_stays_a_link(project: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    (project / ".mcp.json").symlink_to(real)
    answer("install", "claude-code", "--yes")
    assert (project / ".mcp.json").is_symlink()
    assert ours(entries(real, "claude-code")["ml"])


# Shown and asked before it is done -----------------------------------------------------------------------------------


def test_the_change_is_shown_and_made_only_when_it_is_agreed_to(project: Path) -> None:
    (project / ".mcp.json").write_text('{\n  "kept": true\n}\n')
    refused = ask("install", "claude-code", input="n\n")
    assert refused.exit_code == Exit.UNEXPECTED
    assert '+    "ml": {' in refused.stdout
    assert (project / ".mcp.json").read_text() == '{\n  "kept": true\n}\n'
    agreed = ask("install", "claude-code", input="y\n")
    assert agreed.exit_code == Exit.OK
    assert ".mcp.json.before" in agreed.stderr
    assert json.loads((project / ".mcp.json").read_text())["kept"] is True


def test_a_dry_run_shows_the_change_and_writes_nothing(project: Path) -> None:
    shown = ask("install", "vscode", "--dry-run")
    assert '+    "ml": {' in shown.stdout
    assert answer("install", "vscode", "--dry-run")["action"] == "add"
    assert not list(project.iterdir())


def test_nobody_can_be_asked_where_a_document_is_wanted(project: Path) -> None:
    assert answer("install", "vscode", code=Exit.INPUT)["code"] == "invalid_input"
    assert not list(project.iterdir())


def test_what_another_program_wrote_meanwhile_is_not_lost(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / ".mcp.json").write_text("{}")

    def confirm(*_given: Any, **_how: Any) -> bool:
        (project / ".mcp.json").write_text('{"new": 1}')
        return True

    monkeypatch.setattr(click, "confirm", confirm)
    refused = ask("install", "claude-code")
    assert (refused.exit_code, "try again" in refused.stderr) == (Exit.REFUSED, True)
    assert (project / ".mcp.json").read_text() == '{"new": 1}'
    assert leftovers(project / ".mcp.json") == set()


# What cannot be done is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "code", "said"),
    [
        (b'{\n  // mine\n  "servers": {}\n}', Exit.INPUT, '"servers" by hand:\n{\n  "ml": {'),
        (b'{"servers": {"a": {},},}', Exit.INPUT, "by hand"),
        (b'{"servers": {"a": {}', Exit.INPUT, "line 1 column"),
        (b"[1]", Exit.INPUT, "holds no JSON object"),
        (b'{"servers": []}', Exit.INPUT, "'servers' something that is no JSON object"),
        (b'{"servers": {}, "servers": {}}', Exit.INPUT, "'servers' 2 times"),
        (b"[" * 100_000, Exit.INPUT, "Nothing was written"),
        (b'{"a": "\xff"}', Exit.INPUT, "is not UTF-8"),
        (b'{"servers": {"ml": {"command": "other", "args": ["serve"]}}}', Exit.REFUSED, "--name"),
        (b'{"servers": {"ml": {"url": "http://x/mcp"}}}', Exit.REFUSED, "another server under 'ml'"),
    ],
    ids=["comments", "commas", "broken", "list", "no-section", "twice", "deep", "bytes", "other", "url"],
)
@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_a_file_that_cannot_be_changed_safely_stays_as_it_is(
    project: Path, what: str, content: bytes, code: Exit, said: str
) -> None:
    path = project / ".vscode/mcp.json"
    path.parent.mkdir()
    path.write_bytes(content)
    refused = ask(what, "vscode", "--yes")
    assert refused.exit_code == code
    assert "Traceback" not in refused.stderr
    if what == "install" or "hand" not in said:
        assert said in refused.stderr
    assert path.read_bytes() == content
    assert leftovers(path) == set()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("claude-desktop", "--scope", "project"), Exit.INPUT, "Allowed: user"),
        (("emacs",), Exit.INPUT, "claude-desktop"),
        (("cursor", "--name", "a b"), Exit.INPUT, "--name"),
        (("cursor", "--project", "nowhere"), Exit.INPUT, "nowhere"),
    ],
)
def test_a_bad_argument_is_refused_with_what_is_allowed(
    project: Path, arguments: tuple[str, ...], code: Exit, said: str
) -> None:
    refused = ask("install", *arguments, "--yes")
    assert refused.exit_code == code
    assert said in refused.stderr
    assert not list(project.iterdir())


def test_a_client_that_was_never_started_is_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "project"))
    refused = ask("install", "claude-desktop", "--yes")
    assert refused.exit_code == Exit.REFUSED
    assert "start it once" in refused.stderr
    assert not list((tmp_path / "project").iterdir())


def test_a_place_that_is_no_folder_is_an_error_in_one_paragraph(project: Path) -> None:
    (project / ".cursor").write_text("")
    refused = ask("install", "cursor", "--yes")
    assert refused.exit_code == Exit.REFUSED
    assert "Traceback" not in refused.stderr


# The text of a file --------------------------------------------------------------------------------------------------

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
LAYOUTS: list[Callable[[object], str]] = [
    json.dumps,
    lambda value: json.dumps(value, indent="\t"),
    lambda value: json.dumps(value, indent=4, ensure_ascii=False) + "\n",
    lambda value: json.dumps(value, indent=2).replace("\n", "\r\n"),
    lambda value: " " + json.dumps(value, separators=(" ,", " : ")),
]


@settings(deadline=None)
@given(
    top=st.dictionaries(st.text(max_size=4).map("x".__add__), VALUES, max_size=3),
    servers=st.none() | st.dictionaries(st.text(max_size=4).map("x".__add__), VALUES, max_size=3),
    layout=st.sampled_from(LAYOUTS),
    value=VALUES.filter(lambda one: one is not None),
    last=st.booleans(),
)
def test_an_entry_comes_and_goes_and_all_else_stays(
    top: dict[str, Any], servers: dict[str, Any] | None, layout: Callable[[object], str], value: object, *, last: bool
) -> None:
    there = {} if servers is None else {"servers": servers}
    text = layout({**top, **there} if last else {**there, **top})
    added = put(text, "servers", "ml", value)
    assert json.loads(added) == {**json.loads(text), "servers": {**(servers or {}), "ml": value}}
    assert find(added, "servers", "ml") == value
    assert find(text, "servers", "ml") is None
    assert put(added, "servers", "ml", value) == added
    gone = drop(added, "servers", "ml")
    assert json.loads(gone) == {**json.loads(text), "servers": servers or {}}
    if servers is not None:
        assert gone == text


@pytest.mark.parametrize("text", ["", " \n", "{}", '{"servers": {}}', '{"other": "ml"}'])
def test_where_there_is_no_entry_nothing_is_dropped(text: str) -> None:
    if text.strip():
        assert drop(text, "servers", "ml") == text
    assert json.loads(put(text, "servers", "ml", {"a": 1}))["servers"] == {"ml": {"a": 1}}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ('{"a": "// no, /* no */ comment,]"}', True),
        ('{"a": 1, // one\n "b": [2, /* two */ ], }', True),
        ('{"a": 1 "b": 2}', False),
        ("// only", False),
    ],
)
def test_comments_are_told_from_errors(text: str, is_one: bool) -> None:
    assert commented(text) is is_one


def test_the_mark_of_windows_editors_is_kept(project: Path) -> None:
    (project / ".mcp.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    answer("install", "claude-code", "--yes")
    written = (project / ".mcp.json").read_bytes()
    assert written.startswith(b'\xef\xbb\xbf{"a": 1, "mcpServers": ')
    assert os.path.basename(json.loads(written[3:])["mcpServers"]["ml"]["command"]) == "mcp-orchestrator"  # noqa: PTH119


@pytest.mark.parametrize(
    ("entry", "is_ours"),
    [
        ({"command": "C:\\apps\\mcp-orchestrator.exe", "args": ["serve"]}, True),
        ({"command": "python", "args": ["-m", "mcp_orchestrator", "serve"]}, True),
        ({"command": "uvx", "args": ["mcp-ml-orchestrator", "serve"]}, True),
        ({"command": "mcp-orchestrator", "args": []}, False),
        ({"command": "npx", "args": ["serve", 1, None]}, False),
        ({"url": "http://127.0.0.1:1/mcp"}, False),
        ("mcp-orchestrator serve", False),
    ],
)
def test_an_entry_of_ours_is_known_however_it_was_installed(entry: object, is_ours: bool) -> None:
    assert ours(entry) is is_ours


def test_a_scope_that_a_client_has_not_is_an_error_of_the_field() -> None:
    with pytest.raises(InvalidInput) as caught:
        CLIENTS["claude-desktop"].place("project", Path("/p"))
    assert caught.value.field == "--scope"
