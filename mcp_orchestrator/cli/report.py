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
    "passed": "green",
    "skipped": "yellow",
    "degraded": "yellow",
    "failed": "red",
    "cancelled": "magenta",
    "running": "cyan",
}
MOST = 10


def report(run: RunView) -> None:
    """Print a run."""
    facts = run.model_dump(mode="json")
    took = f" in {run.seconds:.1f} s" if run.seconds is not None else f", {run.progress:.0%} {run.message}"
    click.secho(f"{run.workflow} {run.run_id}: {run.status}{took}", fg=COLOURS.get(run.status), bold=True)
    if run.steps:
        heading("Steps")
        table(STEP, [_cells(step.model_dump(), STEP) for step in run.steps], styles=COLOURS)
    if facts.get("metrics"):
        heading("Metrics, each with its 95 % interval")
        estimates(facts["metrics"], facts.get("baseline") or {})
    if facts.get("leaderboard"):
        heading("Leaderboard, best first")
        leaderboard(facts["leaderboard"])
    if facts.get("gates"):
        heading("Gates")
        rows: list[Mapping[str, Any]] = facts["gates"]
        table(list(rows[0]), [_cells(row, list(rows[0])) for row in rows], styles={"yes": "green", "no": "red"})
    if model := facts.get("model"):
        heading("Model")
        table(("what", "value"), [pair for pair in model.items() if pair[1] not in (None, [], {})])
    if facts.get("artifacts"):
        heading("Files")
        table(("name", "path"), [[one.get("name"), one.get("path") or one.get("uri")] for one in facts["artifacts"]])


STEP = ("name", "status", "seconds", "reason")


def estimates(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> None:
    """Print metrics with their intervals beside what a guess without the features reaches."""
    rows = [
        [name, one["value"], f"{figure(one['low'])} to {figure(one['high'])}", baseline.get(name)]
        for name, one in metrics.items()
    ]
    table(("metric", "value", "95 % interval", "baseline"), rows)


def leaderboard(entries: list[Mapping[str, Any]]) -> None:
    """Print the best candidates."""
    columns = [name for name in entries[0] if not isinstance(entries[0][name], Mapping | list)]
    table(columns, [_cells(entry, columns) for entry in entries[:MOST]])
    if len(entries) > MOST:
        click.echo(f"and {len(entries) - MOST} more")


def save(artifacts: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Copy the files of a run under their own names into a folder, and return where they are."""
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(shutil.copyfile(one["path"], folder / Path(one["name"]).name)) for one in artifacts if one.get("path")]


def _cells(row: Mapping[str, Any], columns: list[str] | tuple[str, ...]) -> list[Any]:
    return [row.get(name) for name in columns]
