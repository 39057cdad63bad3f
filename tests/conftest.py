"""Fixtures that every test may use."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.environment import prepare
from mcp_orchestrator.settings import Settings

prepare()


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Start each test with the same random numbers: what passes today passes tomorrow."""
    random.seed(0)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings whose project folder is the test's own."""
    return Settings.load(tmp_path)


@pytest.fixture
def ctx(settings: Settings) -> Context:
    """A context that keeps everything in the test's own folder."""
    return Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))
