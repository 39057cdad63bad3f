"""What is published agrees with itself: versions, the registry's entry, the bundle, and the module for `mcp dev`."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server.mcpserver import MCPServer

from mcp_orchestrator.cli.main import COMMANDS
from mcp_orchestrator.release import version
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.settings import PREFIX, Settings

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# As @anthropic-ai/mcpb 2.1.2 has it; its licence lies beside it.
DATA = Path(__file__).parent / "data"
SCHEMA = DATA / "mcpb-manifest-0.4.schema.json"
ENTRY = DATA / "registry-server-2025-12-11.schema.json"
"""As published in github.com/modelcontextprotocol/static, with its licence beside it."""
PUBLISHED = "3fba09590c99f61735d234822279f4223fab9e300c0a81e81c91ab62a4114de0"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def manifest(name: str) -> dict[str, Any]:
    """Return one of the files by which we are published."""
    return json.loads((ROOT / name).read_text("utf-8"))


def test_the_version_is_the_same_wherever_it_stands() -> None:
    memory = tomllib.loads((ROOT / "memory" / "pyproject.toml").read_text("utf-8"))["project"]
    entry = manifest("server.json")
    changes = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert changes
    found = {
        "memory/pyproject.toml": memory["version"],
        "server.json": entry["version"],
        "server.json, its package": entry["packages"][0]["version"],
        "plugin.json": manifest(".claude-plugin/plugin.json")["version"],
        "bundle/manifest.json": manifest("bundle/manifest.json")["version"],
        "CHANGELOG.md": changes[1],
        "installed": version(),
    }
    assert found == dict.fromkeys(found, PROJECT["version"])
    assert "version" not in manifest(".claude-plugin/marketplace.json")["plugins"][0], "plugin.json says it"


# The registry's entry ------------------------------------------------------------------------------------------------


def test_the_registry_s_entry_is_valid() -> None:
    assert hashlib.sha256(ENTRY.read_bytes()).hexdigest() == PUBLISHED, "the schema is as it was published"
    schema, said = json.loads(ENTRY.read_text("utf-8")), manifest("server.json")
    assert said["$schema"] == schema["$id"]
    check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in check.iter_errors(said)] == []
    assert not check.is_valid({**said, "description": "long " * 21}), "it tells right from wrong"


def test_the_registry_s_entry_keeps_the_documented_limits() -> None:
    entry = manifest("server.json")
    assert 3 <= len(entry["name"]) <= 200
    assert re.fullmatch(r"[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+", entry["name"])
    assert 1 <= len(entry["title"]) <= 100
    assert 1 <= len(entry["description"]) <= 100
    assert re.fullmatch(r"\d+\.\d+\.\d+", entry["version"]), "a version, not a range"
    assert entry["name"].startswith("io.github."), "the namespace that a repository on GitHub proves"


def test_the_readme_names_the_registry_s_entry_once() -> None:
    marks = re.findall(r"mcp-name: *(\S+)", (ROOT / "README.md").read_text("utf-8"))
    assert marks == [manifest("server.json")["name"]]


def test_the_registry_s_entry_starts_a_command_and_sets_settings_that_there_are() -> None:
    [package] = manifest("server.json")["packages"]
    assert package["runtimeHint"] == "uvx"
    assert PROJECT["scripts"][package["identifier"]] == PROJECT["scripts"]["mcp-orchestrator"]
    [argument] = package["packageArguments"]
    assert argument == {"type": "positional", "value": "serve"}
    assert argument["value"] in COMMANDS
    fields = {PREFIX + field.upper() for field in Settings.model_fields}
    assert {one["name"] for one in package["environmentVariables"]} <= fields
    assert not any(one.get("isSecret") or one.get("isRequired") for one in package["environmentVariables"])


# The bundle ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle, built."""
    return built(tmp_path_factory.mktemp("bundle"))


def built(folder: Path) -> Path:
    """Build the bundle as `make bundle` does."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "bundle.py", folder], capture_output=True, text=True, check=True
    )
    return Path(done.stdout.strip())


def test_the_bundle_s_manifest_is_valid() -> None:
    schema = json.loads(SCHEMA.read_text("utf-8"))
    said = manifest("bundle/manifest.json")
    check = jsonschema.Draft7Validator(schema, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in check.iter_errors(said)] == []
    assert check.is_valid({**said, "server": {**said["server"], "type": "uvx"}}) is False, "it tells right from wrong"
    assert said["manifest_version"] == "0.4", "the first that knows uv"


def test_the_bundle_holds_what_its_manifest_and_its_project_name(bundle: Path) -> None:
    said = manifest("bundle/manifest.json")
    assert bundle.name == f"{said['name']}-{PROJECT['version']}.mcpb"
    names = set(zipfile.ZipFile(bundle).namelist())
    assert {"manifest.json", said["icon"], said["server"]["entry_point"], "pyproject.toml"} <= names
    assert {PROJECT["readme"], *PROJECT["license-files"]} <= names, "a build asks for them"
    assert {f"agents/{one.name}" for one in (ROOT / "agents").iterdir()} <= names
    sources = {f"{one.relative_to(ROOT).as_posix()}" for one in (ROOT / "mcp_orchestrator").rglob("*.py")}
    assert sources <= names
    assert not [name for name in names if name.endswith((".pyc", ".db")) or name.startswith(("tests/", ".mcp-orch"))]


def test_the_same_sources_make_the_same_bundle(bundle: Path, tmp_path: Path) -> None:
    assert built(tmp_path).read_bytes() == bundle.read_bytes()


def test_a_bundle_of_another_version_is_not_built(tmp_path: Path) -> None:
    for name in ("bundle", "scripts"):
        (tmp_path / name).mkdir()
    said = {**manifest("bundle/manifest.json"), "version": "9.9.9"}
    (tmp_path / "bundle" / "manifest.json").write_text(json.dumps(said))
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    (tmp_path / "scripts" / "bundle.py").write_bytes((ROOT / "scripts" / "bundle.py").read_bytes())
    done = subprocess.run(
        [sys.executable, tmp_path / "scripts" / "bundle.py", tmp_path / "dist"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "9.9.9" in done.stderr
    assert not (tmp_path / "dist").exists()


@pytest.mark.anyio
async def test_the_server_starts_from_the_bundle_alone(bundle: Path, tmp_path: Path) -> None:
    place, project = tmp_path / "bundle", tmp_path / "project"
    project.mkdir()
    zipfile.ZipFile(bundle).extractall(place)
    config = json.loads((place / "manifest.json").read_text("utf-8"))["server"]["mcp_config"]
    values = {"${__dirname}": str(place), "${user_config.project}": str(project)}
    given: list[str] = config["args"]
    words = [values.get(one, one) for one in given]
    assert (config["command"], words[:4]) == ("uv", ["run", "--directory", str(place), "--no-dev"])
    assert words[4] in PROJECT["scripts"], "the command that uv makes of the project"
    assert not [one for one in words if "${" in one]
    paths = os.pathsep.join([str(place), str(place / "memory")])
    environment = {**os.environ, "PYTHONPATH": paths}
    asked = "import mcp_orchestrator, orchestrator_memory as m; print(mcp_orchestrator.__file__, m.__file__)"
    files = subprocess.run(
        [sys.executable, "-c", asked], cwd=project, env=environment, capture_output=True, text=True, check=True
    )
    assert all(Path(one).is_relative_to(place) for one in files.stdout.split())
    command = StdioServerParameters(
        command=sys.executable, args=["-m", "mcp_orchestrator", *words[5:], "--embedded"], cwd=place, env=environment
    )
    async with Client(stdio_client(command)) as client:
        names = {tool.name for tool in (await client.list_tools()).tools}
        prompts = {prompt.name for prompt in (await client.list_prompts()).prompts}
        status = (await client.call_tool("get_orchestrator_status", {})).structured_content
    assert {tool.name for tool in published()} == names
    assert "ml-orchestrator" in prompts, "the agents are found there"
    assert status is not None
    assert status["project"] == str(project)


# The module for `mcp dev` and `mcp run` ------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_the_module_for_development_has_the_whole_server_and_opens_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("PROJECT", "HOME"):
        monkeypatch.delenv(PREFIX + name, raising=False)
    place = ROOT / "mcp_orchestrator" / "server" / "dev.py"
    spec = importlib.util.spec_from_file_location("server_module", place)  # as `mcp dev` does
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert isinstance(module.mcp, MCPServer)
    assert {tool.name for tool in await module.mcp.list_tools()} == {tool.name for tool in published()}
    assert not list(tmp_path.iterdir()), "nothing is opened before somebody connects"
    async with Client(module.mcp) as client:
        status = (await client.call_tool("get_orchestrator_status", {})).structured_content
    assert status is not None
    assert status["project"] == str(tmp_path)
    assert f"/{place.relative_to(ROOT)}\n" in (ROOT / "docs" / "clients.md").read_text("utf-8")
