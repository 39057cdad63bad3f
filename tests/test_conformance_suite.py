"""What others say of the protocol: its conformance suite, and its inspector. They need Node 22; `make conformance`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from served import environment

ROOT = Path(__file__).parents[1]
SUITES = ROOT / "build" / "suites" / "node_modules"
SUITE = SUITES / "@modelcontextprotocol" / "conformance" / "dist" / "index.js"
INSPECTOR = SUITES / "@modelcontextprotocol" / "inspector" / "clients" / "launcher" / "build" / "index.js"
NEWER = 22
REVISIONS = {"2025-11-25": 84, "2026-07-28": 196}
"""The revisions of the protocol, and how many checks their requirements have at least."""
PRODUCT = {
    "2025-11-25": """server-initialize ping completion-complete tools-list resources-list prompts-list
        dns-rebinding-protection server-session-lifecycle server-sse-multiple-streams""",
    "2026-07-28": """completion-complete tools-list resources-list prompts-list sep-2164-resource-not-found
        dns-rebinding-protection caching http-header-validation""",
}
"""Scenarios that say something of a server that has not what the suite names."""
SHOWN = {"run_ml_training_workflow", "run_ml_evaluation_workflow", "run_workflow", "get_run"}
"""Tools whose answers are shown on a page."""
SKILLS = ("sep-2640-skills-enumeration", "sep-2640-skills-manifest")
"""Those of the extension for skills, which belong to no revision."""


def node() -> str | None:
    """Return a Node that is new enough, if there is one with the suites."""
    found = [SUITES / "node" / "bin" / "node", Path(sys.executable).parent / "node", shutil.which("node")]
    for one in found:
        if one is None or not Path(one).exists() or not (SUITE.exists() and INSPECTOR.exists()):
            continue
        said = subprocess.run([one, "--version"], capture_output=True, text=True, check=False).stdout
        if said.startswith("v") and int(said[1:].partition(".")[0]) >= NEWER:
            return str(one)
    return None


NODE = node()
pytestmark = [
    pytest.mark.checkout,
    pytest.mark.slow,
    pytest.mark.skipif(NODE is None, reason=f"needs Node {NEWER} and the suites: `make conformance` gets both"),
]


def run(*given: object, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a program of Node."""
    wanted = [str(NODE), *map(str, given)]
    known = {**environment(), "MCP_INSPECTOR_SECRET_STORE": "memory", "HOME": str(folder), "NO_COLOR": "1"}
    known["PATH"] = f"{Path(str(NODE)).parent}{os.pathsep}{known['PATH']}"
    return subprocess.run(wanted, cwd=folder, env=known, capture_output=True, text=True, timeout=300, check=False)


@contextmanager
def serving(folder: Path, *command: object, said_on: str) -> Generator[str]:
    """Start a server and return the address that it says on ``stdout`` or ``stderr``."""
    wanted = [sys.executable, *map(str, command)]
    with (folder / "log").open("a") as log:
        streams: dict[str, Any] = {"stdout": log, "stderr": log, said_on: subprocess.PIPE}
        process = subprocess.Popen(wanted, cwd=folder, env=environment(), text=True, **streams)
        said = getattr(process, said_on)
        try:
            yield next(word for line in said for word in line.split() if word.startswith("http://"))
        finally:
            process.terminate()
            process.communicate(timeout=60)


def judged(out: Path) -> tuple[int, list[str]]:
    """Return how many checks succeeded, and which did neither that nor do not apply."""
    checks: list[dict[str, Any]] = [one for file in out.rglob("checks.json") for one in json.loads(file.read_text())]
    wrong = [f"{one['id']}: {one.get('errorMessage')}" for one in checks if one["status"] in {"FAILURE", "WARNING"}]
    return sum(one["status"] == "SUCCESS" for one in checks), wrong


@pytest.mark.parametrize("revision", REVISIONS)
def test_all_checks_of_a_revision_succeed_twice_in_a_row(revision: str, tmp_path: Path) -> None:
    with serving(tmp_path, ROOT / "tests" / "conformance_server.py", tmp_path, said_on="stdout") as address:
        for turn in ("one", "two"):
            out = tmp_path / turn
            done = run(SUITE, "server", "--url", address, "--requirements", revision, "-o", out, folder=tmp_path)
            succeeded, wrong = judged(out)
            assert not wrong
            assert done.returncode == 0, done.stdout[-2000:]
            assert succeeded >= REVISIONS[revision]


@pytest.mark.parametrize("revision", PRODUCT)
def test_the_server_itself_passes_what_needs_nothing_of_the_suite_s(revision: str, tmp_path: Path) -> None:
    with serving(tmp_path, "-m", "mcp_orchestrator", "serve", "--http", "0", said_on="stderr") as address:
        for scenario in PRODUCT[revision].split():
            passes(scenario, address, tmp_path, "--spec-version", revision)


@pytest.mark.parametrize("scenario", SKILLS)
def test_the_server_s_skills_are_as_the_extension_has_them(scenario: str, tmp_path: Path) -> None:
    with serving(tmp_path, "-m", "mcp_orchestrator", "serve", "--http", "0", said_on="stderr") as address:
        passes(scenario, address, tmp_path)


def passes(scenario: str, address: str, folder: Path, *options: str) -> None:
    """Run a scenario whose checks must all succeed."""
    out = folder / scenario
    done = run(SUITE, "server", "--url", address, "--scenario", scenario, *options, "-o", out, folder=folder)
    succeeded, wrong = judged(out)
    assert not wrong
    assert done.returncode == 0, done.stdout[-2000:]
    assert succeeded, done.stdout[-2000:]


@pytest.mark.requirement("card.inspector")
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_the_inspector_finds_nothing_to_complain_of(era: str, tmp_path: Path) -> None:
    server = (sys.executable, "-m", "mcp_orchestrator", "serve", "--project", tmp_path)
    asked = ("--cli", *server, "--protocol-era", era, "--format", "json", "-q")
    listed = run(INSPECTOR, *asked, "--method", "tools/list", "--strict", folder=tmp_path)
    assert listed.returncode == 0, listed.stderr
    assert "arning" not in listed.stderr
    names = {one["name"] for one in json.loads(listed.stdout)["result"]["tools"]}
    assert {"run_ml_training_workflow", "invoke_ml_component"} <= names
    found = run(INSPECTOR, *asked, "--method", "tools/list", "--app-info", folder=tmp_path)
    pages = [json.loads(line) for line in found.stdout.splitlines()]
    assert {one["toolName"] for one in pages if one["hasApp"]} == SHOWN
    assert {one["resourceMimeType"] for one in pages if one["hasApp"]} == {"text/html;profile=mcp-app"}
    call = ("--method", "tools/call", "--tool-name", "find_ml_components", "--tool-args-json", '{"query": "scorer"}')
    found = run(INSPECTOR, *asked, *call, folder=tmp_path)
    assert json.loads(found.stdout)["result"]["structuredContent"]["components"]
    load = ("--load", "--load-requests", "300", "--load-concurrency", "4")
    loaded = json.loads(run(INSPECTOR, *asked, *call, *load, folder=tmp_path).stdout)["result"]
    assert (loaded["ok"], loaded["errors"], loaded["toolErrors"]) == (300, 0, 0)


def test_the_inspector_verifies_each_file_of_each_skill(tmp_path: Path) -> None:
    server = (sys.executable, "-m", "mcp_orchestrator", "serve", "--project", tmp_path)
    asked = ("--cli", *server, "--protocol-era", "modern", "--format", "json", "-q")
    done = run(INSPECTOR, *asked, "--method", "skills/list", "--verify", "--require-digests", folder=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    for name in ("build-ml-pipeline", "two-agents"):
        assert f"skill://{name}/SKILL.md" in done.stdout
