"""The repository is a plugin of Claude Code: manifests with known keys, whose paths, versions and commands exist."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.checkout

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# The keys that `claude plugin validate` of version 2.1.329 takes without a warning.
PLUGIN_KEYS = {
    *("name", "displayName", "version", "description", "author", "homepage", "repository", "license", "keywords"),
    *("icon", "commands", "agents", "skills", "hooks", "mcpServers", "lspServers", "outputStyles", "userConfig"),
    *("channels", "dependencies", "workflows", "network", "settings", "experimental"),
}


def manifest(name: str) -> dict[str, Any]:
    """Return a manifest of the plugin."""
    return json.loads((ROOT / name).read_text("utf-8"))


def test_the_plugin_agrees_with_the_project() -> None:
    plugin = manifest(".claude-plugin/plugin.json")
    assert plugin.keys() <= PLUGIN_KEYS
    assert plugin["name"] == "mcp-orchestrator", "it stands in the names of the tools that the agents list"
    assert plugin["version"] == PROJECT["version"]
    assert plugin["license"] == PROJECT["license"]
    assert plugin["author"].keys() <= {"name", "email", "url"}
    assert all(isinstance(word, str) for word in plugin["keywords"])
    assert 20 <= len(plugin["description"]) <= 200


def test_the_parts_of_the_plugin_stand_where_clients_look() -> None:
    assert list((ROOT / "agents").glob("*.md"))
    assert list((ROOT / "skills").glob("*/SKILL.md"))
    assert not [one for one in (ROOT / "agents").iterdir() if one.suffix != ".md"], (
        "each file there is taken for an agent"
    )
    assert not [one for one in (ROOT / "skills").iterdir() if not (one / "SKILL.md").is_file()]
    assert {one.name for one in (ROOT / ".claude-plugin").iterdir()} == {"plugin.json", "marketplace.json", "icon.png"}
    head = (ROOT / ".claude-plugin" / "icon.png").read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", head[16:24])
    assert width == height
    assert 512 <= width <= 2048


def test_the_plugin_s_server_is_started_by_a_command_that_is_installed() -> None:
    servers = manifest(".mcp.json")["mcpServers"]
    assert servers == {"ml": {"command": "mcp-orchestrator", "args": ["serve"]}}
    assert PROJECT["scripts"]["mcp-orchestrator"] == "mcp_orchestrator.__main__:main"


def test_a_clone_can_be_added_as_a_marketplace_of_this_plugin() -> None:
    market = manifest(".claude-plugin/marketplace.json")
    assert market.keys() == {"name", "owner", "metadata", "plugins"}
    assert market["owner"]["name"]
    [entry] = market["plugins"]
    assert entry["name"] == manifest(".claude-plugin/plugin.json")["name"]
    assert (ROOT / entry["source"] / ".claude-plugin" / "plugin.json").is_file()
    assert "version" not in entry, "the plugin says it"
    assert f"claude plugin install {entry['name']}@{market['name']}" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.skipif(shutil.which("claude") is None, reason="Claude Code is not installed")
@pytest.mark.parametrize("name", [".", ".claude-plugin/marketplace.json"])
def test_the_client_s_own_check_passes(tmp_path: Path, name: str) -> None:
    offline = {"DISABLE_AUTOUPDATER": "1", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}
    checked = subprocess.run(
        ["claude", "plugin", "validate", "--strict", ROOT / name],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path), **offline},
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
