"""What a training is remembered for: what it was like, what won, by how much, and what did not help.

The sentences are made of the run's figures and of nothing else. A later training compares its fingerprint with the one
kept here and starts from these configurations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mcp_orchestrator.core.rows import RunRow
from mcp_orchestrator.core.workflow import Lesson
from mcp_orchestrator.workflows.summary import TrainingSummary

__all__ = ["configurations", "lesson", "lessons", "trials"]

BEST = 8
OF_A_FAMILY = 2
TRIALS = 32
SHOWN = 4
STOPS = {
    "seconds": "The time limit cut the search after {trials} trials: more time may find better.",
    "patience": "The search ended by itself after {trials} trials, as nothing better was found.",
}


def lesson(row: RunRow) -> Lesson:
    """Return what a finished run of the training workflow is remembered for."""
    return lessons(row.id, TrainingSummary.model_validate(row.result))


def lessons(run: str, summary: TrainingSummary) -> Lesson:
    """Return what a training is remembered for.

    ``data`` holds what a later search needs: task, metric, fingerprint, the best configurations, and how all the others
    did.
    """
    name, best = summary.model.get("name", ""), configurations(summary.leaderboard)
    target, told = summary.spec.get("target", ""), list(_insights(summary, best))
    table = str(summary.data.get("source") or summary.data.get("uri", ""))
    measured = summary.metrics.get(summary.metric)
    sure = measured is not None and math.isfinite(measured.value)
    promoted = "champion" in summary.model.get("aliases", [])
    data: dict[str, Any] = {
        "task": summary.task,
        "metric": summary.metric,
        "greater_is_better": summary.search.get("greater_is_better"),
        "fingerprint": summary.fingerprint,
        "configurations": best,
        "tried": trials(summary.leaderboard),
        "score": summary.validation.get("mean"),
        "baseline": summary.baseline.get(summary.metric),
        "trials": summary.search.get("trials", len(summary.leaderboard)),
        "stopped_by": summary.search.get("stopped_by", ""),
        "model": summary.model.get("uri", ""),
        "identity": summary.warm_start.get("identity", ""),
        "began": [one["run"] for one in summary.warm_start.get("from", [])],
    }
    return Lesson(
        kind="pattern",
        title=f"Training of {name}: {summary.model.get('estimator', '')}"[:200],
        body=f"{target} of {table[:200]}, run {run}. {summary.verdict}. {' '.join(told)}"[:8000],
        area="training",
        tags=tuple(dict.fromkeys(filter(None, ["training", summary.task, summary.metric, str(target)[:80]]))),
        data=data,
        evidence={
            "run": run,
            "model": [f"{name}@{summary.model['version']}"] if "version" in summary.model else [],
            "dataset": [one] if (one := str(summary.data.get("uri", ""))) else [],
            "metrics": {key: one.value for key, one in summary.metrics.items() if math.isfinite(one.value)},
        },
        impact="high" if promoted else "medium",
        confidence=0.95 if sure else 0.5,
        insights=tuple(f"{name} ({target}): {one}" for one in told),
    )


def configurations(leaderboard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the best configurations of a search, best first, at most two of a family.

    Those that were given up, and those that failed, are not among them.
    """
    found: list[dict[str, Any]] = []
    for one in leaderboard:
        if one["state"] in {"pruned", "failed"} or one["score"] is None:
            continue
        own = {name: one[name] for name in ("family", "params", "score", "sd")}
        same = [other for other in found if other["family"] == one["family"]]
        if len(same) < OF_A_FAMILY and all(other["params"] != one["params"] for other in same):
            found.append(own)
    return found[:BEST]


def trials(leaderboard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was tried with its score, best first, also what was given up: the best of each family, then the best.

    Parameters and scores are rounded: they tell where it is worth while to look.
    """
    scored = [one for one in leaderboard if one["state"] != "failed" and one["score"] is not None]
    seen = [one["family"] for one in scored]
    heads = {seen.index(family) for family in seen}
    rest = [place for place in range(len(scored)) if place not in heads]
    kept = sorted([*sorted(heads), *rest][:TRIALS])
    return [
        {
            "family": one["family"],
            "params": {name: _rounded(value, 4) for name, value in one["params"].items()},
            "score": _rounded(one["score"], 6),
        }
        for one in (scored[place] for place in kept)
    ]


def _rounded(value: Any, digits: int) -> Any:  # noqa: ANN401 - a parameter
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value


def _insights(summary: TrainingSummary, best: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what the figures say, a sentence each."""
    metric = summary.metric
    measured, baseline = summary.metrics.get(metric), summary.baseline.get(metric)
    if measured is not None and math.isfinite(measured.value):
        figures = f"{measured.value:.4g} [{measured.low:.4g}, {measured.high:.4g}]"
        against = "" if baseline is None else f"; the baseline {baseline:.4g}"
        yield f"{_winner(summary)} reached {metric} {figures} on unseen rows{against}."
    tops: dict[str, float] = {}
    for one in best:
        tops.setdefault(one["family"], one["score"])
    (first, top), *rest = tops.items() or [("", 0.0)]
    if rest:
        behind = [f"{family} {abs(top - score):.3g}" for family, score in rest[:SHOWN]]
        yield f"In the folds {first} was ahead with {metric} {top:.4g}; behind it by {', '.join(behind)}."
    choice = str(summary.search.get("choice", ""))
    if "one standard error" in choice:
        yield choice
    calibration = str(summary.search.get("calibration", ""))
    if calibration.startswith(("kept", "not kept")):
        yield f"Calibration was {calibration}."
    stopped = str(summary.search.get("stopped_by", ""))
    if stopped in STOPS:
        yield STOPS[stopped].format(trials=summary.search.get("trials"))
    sources = summary.warm_start.get("from", [])
    if sources:
        runs = ", ".join(str(one["run"]) for one in sources)
        won = "one of them won" if summary.warm_start.get("won") else "none of them won"
        yield f"The search began with what worked in run {runs}; {won}."
    failed = [one.name for one in summary.gates if not one.passed]
    if failed:
        yield f"It was not promoted: {', '.join(failed)}."


def _winner(summary: TrainingSummary) -> str:
    members = summary.model.get("members", [])
    if len(members) == 1:
        params = ", ".join(f"{name} {_short(value)}" for name, value in members[0]["params"].items())
        return f"{members[0]['family']} with {params}" if params else str(members[0]["family"])
    return f"a blend of {', '.join(str(one['family']) for one in members)}"


def _short(value: Any) -> str:  # noqa: ANN401 - a parameter
    return f"{value:.3g}" if isinstance(value, float) else str(value)
