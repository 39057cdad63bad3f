"""The card of a model as Markdown: only what was recorded. What could have been measured and was not is called so."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp_orchestrator.methods.models import Loaded
    from mcp_orchestrator.methods.report.facts import Facts

__all__ = ["card"]

ROWS = 15
COLUMNS = 60
TITLES = {
    "roc": "ROC curve",
    "precision_recall": "Precision and recall",
    "calibration": "Calibration",
    "confusion": "Confusion matrix",
    "predicted_actual": "Predicted against actual",
    "residuals": "Residuals",
    "importance": "Feature importance",
    "tuning": "Tuning history",
    "leaderboard": "Leaderboard",
}
UNMEASURED = "Not measured."


def card(loaded: Loaded, facts: Facts | None = None, pictures: Sequence[str] = ()) -> str:
    """Describe a model: what it is, what it learned from, how, how well, and how to get it again.

    ``facts`` are those of its training, where they are known; ``pictures`` are paths relative to the card.
    """
    parts = [
        *_head(loaded, facts),
        *(() if facts is None else _data(facts)),
        *_features(loaded),
        *(() if facts is None else _training(facts)),
        *_metrics(facts),
        *(() if facts is None else _leaderboard(facts)),
        *_importance(facts),
        *(() if facts is None else _limits(facts)),
        *_pictures(pictures),
        *_again(loaded, facts),
    ]
    return "\n".join(parts).strip() + "\n"


def _head(loaded: Loaded, facts: Facts | None) -> Iterator[str]:
    trained = loaded.trained
    yield f"# {_text(facts.name if facts else trained.estimator)}"
    yield ""
    yield (
        f"Predicts {_code(loaded.target)} ({loaded.task}) from {len(_used(loaded))} columns. "
        "What it is to be used for was not stated.\n"
    )
    rows = [
        ("Estimator", _code(trained.estimator)),
        ("Model", _code(loaded.uri)),
        ("Classes", ", ".join(_code(label) for label in loaded.classes[:COLUMNS])),
        ("Run", _code(facts.run) if facts and facts.run else ""),
    ]
    yield from _table(("", ""), (row for row in rows if row[1]))


def _data(facts: Facts) -> Iterator[str]:
    yield from _heading("Data")
    found, split = facts.dataset, facts.split
    rows = [
        ("Table", _code(found["uri"]) if "uri" in found else ""),
        ("Source", _code(found["source"]) if "source" in found else ""),
        (
            "Size",
            f"{found['rows']:,} rows, {found['columns']:,} columns" if {"rows", "columns"} <= found.keys() else "",
        ),
        ("Split", _text(split.get("method", ""))),
        ("Parts", ", ".join(f"{_text(part)} {rows:,} rows" for part, rows in split.get("sizes", {}).items())),
        ("Digest of the split", _code(split["digest"]) if "digest" in split else ""),
    ]
    yield from _table(("", ""), (row for row in rows if row[1]))


def _features(loaded: Loaded) -> Iterator[str]:
    yield from _heading("Features")
    used = _used(loaded)
    rows = ((_code(one.name), one.kind, _text(one.reason)) for one in used[:COLUMNS])
    yield from _table(("Column", "Used as", "Why"), rows)
    if len(used) > COLUMNS:
        yield f"\nand {len(used) - COLUMNS} more."
    dropped = [one for one in loaded.features if one.kind == "drop"]
    if dropped:
        reasons = (f"{_code(one.name)} ({_text(one.reason)})" if one.reason else _code(one.name) for one in dropped)
        yield "\nLeft out: " + ", ".join(reasons) + "."


def _training(facts: Facts) -> Iterator[str]:
    yield from _heading("Training")
    if facts.choice:
        yield f"{_text(facts.choice)}\n"
    over = f" over {facts.folds} folds" if facts.folds else ""
    spread = "" if facts.sd is None else f", standard deviation {_figure(facts.sd)}"
    score = "" if facts.score is None else f"{_figure(facts.score)}{over}{spread}"
    rows = [
        ("Trials", f"{facts.trials:,}"),
        ("Search ended by", _text(facts.stopped_by)),
        (f"Validated {_text(facts.metric)}", score),
        ("Ensemble", _text(facts.ensemble)),
        ("Seed", str(facts.seed)),
    ]
    yield from _table(("", ""), (row for row in rows if row[1]))
    yield ""
    yield from _table(
        ("Member", "Share", "Parameters"),
        ((_code(one.family), _figure(one.weight), _params(one.params)) for one in facts.members),
    )


def _metrics(facts: Facts | None) -> Iterator[str]:
    yield from _heading("Metrics")
    if facts is None or not facts.metrics:
        yield UNMEASURED
        return
    rows = facts.split.get("sizes", {}).get("test")
    yield f"On {'' if rows is None else f'the {rows:,} '}rows that were locked away before anything was fitted.\n"
    first = [facts.metric] if facts.metric in facts.metrics else []
    names = [*first, *(name for name in facts.metrics if name not in first)]
    yield from _table(
        ("Metric", "Value", "95 % interval", "Baseline"),
        (
            (
                f"**{_text(name)}**" if name == facts.metric else _text(name),
                _figure(facts.metrics[name].value),
                f"{_figure(facts.metrics[name].low)} to {_figure(facts.metrics[name].high)}",
                _figure(facts.baseline[name]) if name in facts.baseline else "not measured",
            )
            for name in names
        ),
    )


def _leaderboard(facts: Facts) -> Iterator[str]:
    if not facts.leaderboard:
        return
    yield from _heading("Leaderboard")
    better = "higher" if facts.greater_is_better else "lower"
    shown = facts.leaderboard[:ROWS]
    yield f"{_text(facts.metric)} on the training part, {better} is better; {len(shown)} of {len(facts.leaderboard)}.\n"
    yield from _table(
        ("Trial", "Family", "Score", "Deviation", "State"),
        (
            (
                str(one.get("trial", "")),
                _code(one.get("family", "")),
                _figure(one.get("score")),
                _figure(one.get("sd")),
                _text(": ".join(part for part in (one.get("state", ""), one.get("reason", "")) if part)),
            )
            for one in shown
        ),
    )


def _importance(facts: Facts | None) -> Iterator[str]:
    yield from _heading("Importance of the features")
    if facts is None or not facts.importance:
        yield UNMEASURED
        return
    yield f"How much {_text(facts.metric)} gets worse when the column is shuffled.\n"
    yield from _table(
        ("Column", "Loss", "Deviation"),
        ((_code(one.name), _figure(one.importance), _figure(one.sd)) for one in facts.importance[:ROWS]),
    )


def _limits(facts: Facts) -> Iterator[str]:
    if facts.warnings:
        yield from _heading("Warnings")
        yield from (f"- {_text(one)}" for one in facts.warnings)
    undone = [one for one in facts.steps if one.get("status") not in {"done", "running"}]
    if undone:
        yield from _heading("What was not done")
        yield from _table(
            ("Step", "Status", "Reason"),
            ((_text(one["name"]), _text(one["status"]), _text(one.get("reason", ""))) for one in undone),
        )


def _pictures(pictures: Sequence[str]) -> Iterator[str]:
    if pictures:
        yield from _heading("Pictures")
        for path in pictures:
            name = path.rpartition("/")[2].removesuffix(".png")
            yield f"![{TITLES.get(name, _text(name))}]({path})"


def _again(loaded: Loaded, facts: Facts | None) -> Iterator[str]:
    yield from _heading("How to get it again")
    yield from _table(
        ("Library", "Version"), ((_text(name), _text(one)) for name, one in loaded.manifest.libraries.items())
    )
    if facts is not None:
        yield f"\nThe training specification, with seed {facts.seed}:\n\n~~~json"
        yield json.dumps(facts.spec, indent=2, ensure_ascii=False, default=str)
        yield "~~~"


def _used(loaded: Loaded) -> list[Any]:
    return [one for one in loaded.features if one.kind != "drop"]


def _heading(text: str) -> Iterator[str]:
    yield f"\n## {text}\n"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + " --- |" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _params(params: dict[str, Any]) -> str:
    return ", ".join(_code(f"{name}={value}") for name, value in params.items()) or "defaults"


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _text(text: object) -> str:
    """Return text on one line, in which nothing is markup."""
    line = " ".join(str(text).split())
    for sign, shown in (("\\", "\\\\"), ("|", "\\|"), ("<", "&lt;"), ("*", "\\*"), ("`", "\\`"), ("[", "\\[")):
        line = line.replace(sign, shown)
    return line


def _code(text: object) -> str:
    """Return a name as it is written, in code style."""
    line = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{line}`" if line else "(empty)"
