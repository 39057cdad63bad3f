"""The benchmark of warm searches: how trials are counted, checked on curves that were made up."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator, Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.checkout
ROOT = Path(__file__).parent.parent


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> Generator[ModuleType]:
    """The benchmark, as a module; the environment is as it was afterwards."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    prepared = importlib.import_module("mcp_orchestrator.core.environment").QUIET
    for name, value in prepared.items():
        monkeypatch.setenv(name, value)
    yield importlib.import_module("warm")
    for name in ("warm", "pairs", "trade"):
        sys.modules.pop(name, None)


def row(warm: Any, seed: int, cold: Sequence[float | None], other: Sequence[float | None], name: str = "one") -> Any:
    trained = [
        warm.Trained(run="r", task="t", scores=list(scores), test=0.0, baseline=0.5, began=[], won=False)
        for scores in (cold, other)
    ]
    return warm.Row(name, seed, *trained, None, found=True)


def test_a_curve_is_in_parts_of_what_the_cold_search_gains_and_what_was_given_up_changes_nothing(warm: Any) -> None:
    one = row(warm, 0, [0.6, None, 0.9], [None, 0.7, 1.0])
    assert warm.curve(one.cold, one.cold) == pytest.approx([0.25, 0.25, 1])
    assert warm.curve(one.warm, one.cold) == pytest.approx([0, 0.5, 1.25])


def test_trials_are_counted_until_the_mean_curve_is_where_that_of_the_cold_searches_ends(warm: Any) -> None:
    rows = [
        row(warm, 0, [0.6, 0.7, 0.7, 0.7], [0.6, 0.6, 0.6, 0.8]),  # by itself 4 trials for 2
        row(warm, 1, [0.6, 0.6, 0.6, 0.7], [0.7, 0.8, 0.8, 0.8]),  # by itself 1 for 4
    ]
    assert [one.ratio for one in rows] == [2, 0.25]
    assert warm.needed(rows) == (4, 2)  # .5, 1.5 and 0.5 and 1.5 in parts: one at the second trial, in the mean
    assert warm.ratio(rows) == 0.5


def test_a_level_that_is_never_reached_counts_as_one_trial_more(warm: Any) -> None:
    assert warm.needed([row(warm, 0, [0.6, 0.9], [0.6, 0.7])]) == (2, 3)


def test_the_interval_of_the_median_is_a_point_where_all_seeds_agree_and_wide_where_they_do_not(warm: Any) -> None:
    cold, far, late = [0.6, 0.6, 0.6, 0.8], [0.6, 1.1, 1.1, 1.1], [0.6, 0.6, 0.6, 0.85]
    assert warm.again([[row(warm, seed, cold, far) for seed in range(5)]]) == (0.5, 0.5)
    assert warm.again([[row(warm, seed, cold, late) for seed in range(5)]]) == (1, 1)
    assert warm.again([[row(warm, seed, cold, far if seed % 2 else late) for seed in range(5)]]) == (0.5, 1)


def test_what_was_measured_is_read_as_it_was_written_and_a_missed_bar_is_said(
    warm: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row(warm, seed, [0.6, 0.6, 0.9, 0.9], [0.6, 0.6, 0.6, 0.9]) for seed in range(2)]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(warm.json.dumps(asdict(one)) for one in rows))
    assert warm.read(file) == rows
    assert warm.judged(rows) == ["the median is above 0.5"]
    assert "median 1.33 [1.33, 1.33] of 1 pairs" in capsys.readouterr().out
