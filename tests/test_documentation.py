"""The documentation tells the truth: its examples run, its links lead somewhere, and nothing is left out."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import anyio
import click
import pytest
from _pytest.mark import ParameterSet
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("[RA]*.md")), *sorted((ROOT / "docs").glob("*.md"))]
DEFINITIONS = [*sorted((ROOT / "agents").glob("*.md")), *sorted((ROOT / "skills").glob("*/SKILL.md"))]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> Iterator[tuple[str, str, str]]:
    """Yield place, info string and text of the fenced blocks in a language."""
    for page in PAGES:
        text = page.read_text("utf-8")
        for found in FENCE.finditer(text):
            if found["info"].split(" ")[0] == language:
                line = text.count("\n", 0, found.start()) + 1
                yield f"{page.name}:{line}", found["info"], found["body"]


def examples() -> list[ParameterSet]:
    """Return the Python examples; those marked ``python no-run`` show a fragment."""
    return [pytest.param(place, body, id=place) for place, info, body in blocks("python") if "no-run" not in info]


@pytest.mark.requirement("python.example")
@pytest.mark.parametrize(("place", "source"), examples())
def test_a_python_example_runs_as_it_is_printed(
    place: str,
    source: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from sklearn.datasets import load_breast_cancer

    load_breast_cancer(as_frame=True).frame.to_csv(tmp_path / "cancer.csv", index=False)
    monkeypatch.chdir(tmp_path)
    exec(compile(source, place, "exec"), {"__name__": "__example__"})  # noqa: S102 - our own pages
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.anyio
@pytest.mark.parametrize(("place", "source"), [pytest.param(one, body, id=one) for one, _, body in blocks("json")])
async def test_a_client_s_configuration_starts_the_server_as_it_is_printed(
    place: str, source: str, tmp_path: Path
) -> None:
    if "mcpServers" not in source:
        pytest.skip(f"{place} configures no client")
    entry = json.loads(source)["mcpServers"]["ml"]
    assert entry["command"] == "mcp-orchestrator"
    arguments = [one.replace("/path/to/your/project", str(tmp_path)) for one in entry["args"]]
    started = StdioServerParameters(command=sys.executable, args=["-m", "mcp_orchestrator", *arguments], cwd=tmp_path)
    async with Client(stdio_client(started)) as client:
        state = (await client.call_tool("get_orchestrator_status", {})).structured_content
    assert state is not None
    assert state["project"] == str(tmp_path)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("page", [*PAGES, *DEFINITIONS], ids=lambda page: page.name)
def test_a_link_to_a_file_leads_to_one(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [target for target in targets if target and "://" not in target]
    assert not [target for target in local if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(r"`((?:\w[\w.-]*/)+[\w-]+\.(?:py|md|toml|txt|json))`", page.read_text("utf-8"))
    homes = (ROOT, ROOT / "mcp_orchestrator")
    assert not [name for name in named if not any((home / name).exists() for home in homes)]


def documented() -> str:
    """Return the text of README.md and docs/."""
    return "\n".join(page.read_text("utf-8") for page in PAGES if page.name != "AGENTS.md")


def tools() -> dict[str, set[str]]:
    """Return the server's tools with their parameters."""
    from mcp_orchestrator.server.tools import published

    return {tool.name: set(tool.parameters.get("properties", {})) for tool in published()}


def test_every_tool_and_parameter_is_documented() -> None:
    text = documented()
    missing = {name for name in tools() if f"`{name}`" not in text}
    page = (ROOT / "docs" / "tools.md").read_text("utf-8")
    sections = {
        found[1]: found[2] for found in re.finditer(r"^## `(\w+)`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    }
    silent = {
        (name, one) for name, known in tools().items() for one in known if f"`{one}`" not in sections.get(name, "")
    }
    assert not missing
    assert not silent
    assert sections.keys() <= tools().keys(), "docs/tools.md documents a tool that there is not"


def test_every_prompt_and_resource_is_documented(tmp_path: Path) -> None:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.server.app import build

    server = build(Orchestrator(tmp_path, in_process=True))
    names = [prompt.name for prompt in anyio.run(server.list_prompts)]
    names += [str(one.uri_template) for one in anyio.run(server.list_resource_templates)]
    page = (ROOT / "docs" / "tools.md").read_text("utf-8")
    assert names
    assert not [name for name in names if f"`{name}`" not in page]


def test_every_command_and_option_is_documented() -> None:
    from mcp_orchestrator.cli.main import main

    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    sections = {
        found[1]: found[2] for found in re.finditer(r"^## `([\w-]+)`$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    }
    context = click.Context(main)
    names = main.list_commands(context)
    assert sections.keys() == set(names)
    common = page.partition("\n## ")[0]
    silent: list[tuple[str, str]] = []
    for name in names:
        command = main.get_command(context, name)
        assert command is not None
        inner = command.commands.values() if isinstance(command, click.Group) else ()
        for one in (command, *inner):
            options = {
                text
                for parameter in one.params
                for text in parameter.opts
                if text.startswith("--") and not getattr(parameter, "hidden", False)
            }
            silent += [(name, text) for text in options if f"`{text}" not in sections[name] + common]
    assert not silent


def test_every_setting_is_documented_with_its_default() -> None:
    from mcp_orchestrator.settings import PREFIX, Settings

    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", page, re.MULTILINE))
    assert rows.keys() == Settings.model_fields.keys()
    assert PREFIX in page
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, bool):
            assert rows[name] == str(field.default).lower(), name
        elif isinstance(field.default, int | float):
            assert float(rows[name].replace(",", "").replace("`", "")) == float(field.default), name
