"""Fixtures that every test may use."""

from __future__ import annotations

import contextlib
import gc
import os
import random
import signal
import sys
import time
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.settings import Settings

MANY = 300
prepare()
# What a test starts has few steps to do, and nothing to track: loading all ahead would be most of its work.
os.environ.setdefault("MCP_ORCHESTRATOR_PRELOAD", "models")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start each test with the same random numbers: what passes today passes tomorrow."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)


@pytest.fixture(autouse=True, scope="module")
def few_files_open() -> Generator[None]:
    """Let go of what a module's orchestrators opened: a process of tests has hundreds of them, any other one or two."""
    yield
    if psutil.Process().num_fds() > MANY:
        gc.collect()


@pytest.fixture(autouse=True)
def no_host_left(request: pytest.FixtureRequest) -> Generator[None]:
    """End the hosts that a test started in its folder."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    for lock in folder.rglob("host.lock") if folder else ():
        leadership = Leadership(lock.parent, "host")
        while (host := leadership.leader()) is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(host.pid, signal.SIGKILL)
            time.sleep(0.01)


@pytest.fixture
def unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let servers that a test starts load nothing ahead: what they do needs no ML library."""
    monkeypatch.setenv("MCP_ORCHESTRATOR_PRELOAD", "nothing")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose project folder is the test's own."""
    return Settings.load(tmp_path)


@pytest.fixture
def ctx(settings: Settings) -> Context:
    """A context that keeps everything in the test's own folder."""
    return Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))
