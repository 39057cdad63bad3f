"""A run for people: how it went, what was measured against what, what was made, and where it lies."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli.screen import figure, heading, table

if TYPE_CHECKING:
    from mcp_orchestrator.view import RunView

__all__ = ["COLOURS", "estimates", "leaderboard", "report", "save"]

COLOURS = {
    "done": "green",
    "succeeded": "green",
    "skipped": "yellow",
    "degraded": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "running": "cyan",
    "yes": "green",
    "no": "red",
}
STEP = ("name", "status", "seconds", "reason")
MODEL = ("name", "version", "aliases", "estimator", "uri")
TOP, SOME = 10, 5
Facts = Mapping[str, Any]


def report(run: RunView) -> None:
    """Print a run, as far as it has come."""
    facts = run.model_dump(mode="json")
    took = f" in {run.seconds:.1f} s" if run.seconds is not None else f", {run.progress:.0%} {run.message}"
    click.secho(f"{run.workflow} {run.run_id}: {run.status}{took}", fg=COLOURS.get(run.status), bold=True)
    for text in filter(None, (facts.get("verdict"), run.error, *facts.get("warnings", ()))):
        click.echo(text)
    if run.steps:
        heading("Steps")
        table(("step", *STEP[1:]), [_cells(step.model_dump(), STEP) for step in run.steps], styles=COLOURS)
    if facts.get("leaderboard"):
        heading(f"Leaderboard, best {facts.get('metric', 'score')} by cross-validation first")
        leaderboard(facts["leaderboard"])
    if facts.get("metrics"):
        heading("Metrics on rows that no fit has seen")
        estimates(facts["metrics"], facts.get("baseline") or {})
    _reasons(facts)
    if facts.get("gates"):
        heading("Gates")
        columns = ("name", "passed", "measured", "limit", "reason")
        table(columns, [_cells(row, columns) for row in facts["gates"]], styles=COLOURS)
    _made(run.run_id, facts)


def estimates(metrics: Facts, baseline: Facts) -> None:
    """Print metrics with their intervals beside what a guess without the features reaches."""
    rows = [
        [name, one["value"], f"{figure(one['low'])} to {figure(one['high'])}", baseline.get(name)]
        for name, one in metrics.items()
    ]
    table(("metric", "value", "95 % interval", "baseline"), rows)


def leaderboard(entries: list[Facts]) -> None:
    """Print the best candidates."""
    columns = [name for name in entries[0] if not isinstance(entries[0][name], Mapping | list)]
    table(columns, [_cells(entry, columns) for entry in entries[:TOP]], styles=COLOURS)
    if len(entries) > TOP:
        click.echo(f"and {len(entries) - TOP} more")


def save(artifacts: Iterable[Facts], folder: Path) -> list[Path]:
    """Copy the files of a run under their own names into a folder, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(one["path"], folder / Path(one["name"]).name)) for one in artifacts if one.get("path")]


def _reasons(facts: Facts) -> None:
    """Print what the model looks at, where it is worse, whether the data drifted, and how another model compares."""
    if facts.get("importance"):
        heading("What the model looks at most")
        columns = ("name", "importance", "sd")
        table(columns, [_cells(one, columns) for one in facts["importance"][:SOME]])
    if facts.get("slices"):
        worse = [one for one in facts["slices"] if one.get("worse")]
        heading(f"Slices: {len(worse) or 'none'} clearly worse than the rest")
        if worse:
            columns = ("column", "value", "rows", "error", "elsewhere")
            cells = [[*_cells(one, columns[:3]), one["error"]["value"], one["elsewhere"]] for one in worse[:TOP]]
            table(columns, cells)
    if drift := facts.get("drift"):
        moved = [one for one in drift["columns"] if one["verdict"] != "steady"]
        heading(f"Drift since training: {len(moved) or 'none'} of {len(drift['columns'])} columns")
        if moved:
            columns = ("column", "verdict", "test", "effect", "adjusted_p", "note")
            table(columns, [_cells(one, columns) for one in moved[:TOP]])
    if comparison := facts.get("comparison"):
        heading(f"Against {comparison['against']}")
        click.echo(comparison["says"])


def _made(run: str, facts: Facts) -> None:
    """Print the model, the files, and what can be done now."""
    model: Facts = facts.get("model") or {}
    if model.get("name"):
        heading("Model")
        table(("what", "value"), [[key, model[key]] for key in MODEL if model.get(key)])
    if facts.get("artifacts"):
        heading("Files")
        table(("name", "path"), [[one["name"], one.get("path") or one["uri"]] for one in facts["artifacts"]])
        click.echo(f"mcp-orchestrator runs {run[:8]} --save FOLDER copies them under these names")
    if model.get("name"):
        heading("Next")
        click.echo(f"mcp-orchestrator predict {model['name']} FILE")
        click.echo(f"mcp-orchestrator evaluate {model['name']} FILE")
        click.echo("mcp-orchestrator ui mlflow")


def _cells(row: Facts, columns: Iterable[str]) -> list[Any]:
    return [row.get(name) for name in columns]
