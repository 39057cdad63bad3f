"""Processes of every kind killed at random moments while clients work: the short form of ``benchmarks/storm.py``."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("storm", "aftermath", "crowd")


@pytest.fixture
def storm(monkeypatch: pytest.MonkeyPatch) -> Generator[ModuleType]:
    """The benchmark, as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("storm")
    for name in OURS:
        sys.modules.pop(name, None)


@pytest.mark.slow
@pytest.mark.checkout
@pytest.mark.skipif(sys.platform != "linux", reason="finds the processes of the storm in /proc")
@pytest.mark.requirement("engine.durable")
def test_whatever_is_killed_no_run_is_lost_no_finished_step_runs_again_and_no_process_is_left(
    storm: Any, tmp_path: Path
) -> None:
    told = storm.storm(tmp_path, kills=25, seed=3, seconds=120, pause=0.4)
    assert told.findings == []
    assert told.kills.total() == 25
    assert told.runs["succeeded"] > 10
    assert told.attempts > told.steps / 2
