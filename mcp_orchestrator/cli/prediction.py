"""Predictions from a terminal."""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.inputs import TABLE, records
from mcp_orchestrator.cli.progress import Bar
from mcp_orchestrator.cli.screen import document, note, table, terminal
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator

__all__ = ["predict"]

SHOWN = 20


@click.command(cls=Printing)
@click.argument("model", shell_complete=completion.models)
@click.argument("file", type=TABLE)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write all to a .csv or .json file.")
@session
def predict(session: Session, model: str, file: str, output: Path | None) -> None:
    """Predict the rows of a table with a registered model.

    MODEL is a name, name@alias or name@version. FILE is a table as for train, or - for JSON records on stdin. A
    terminal shows the first rows, a pipe gets all of them as CSV.
    """
    _check(output)
    rows = records(sys.stdin) if file == "-" else None

    async def doing(orchestrator: Orchestrator) -> dict[str, Any]:
        from mcp_orchestrator.values import INLINE_ROWS

        with Bar(f"predict {model}", quiet=session.json) as bar:
            if rows is None:
                whole = {"model": model, "data": file}
                return await orchestrator.call("ml_integration", "predict", whole, watch=bar.report)
            parts: list[dict[str, Any]] = []
            for start in range(0, len(rows), INLINE_ROWS):
                some = {"model": model, "data": rows[start : start + INLINE_ROWS]}
                parts.append(await orchestrator.call("ml_integration", "predict", some))
                bar.report(min(1.0, (start + INLINE_ROWS) / len(rows)), "")
            return _joined(parts)

    found = session.run(doing)
    if output is not None:
        output.write_text(_text(found, output.suffix), "utf-8")
        note(f"Wrote {len(found['predictions'])} predictions to {output}.")
    if session.json:
        document(found)
    elif output is None:
        _shown(found)


def _check(output: Path | None) -> None:
    """Refuse an output that cannot be written before any work is done."""
    if output is None:
        return
    if output.suffix not in {".csv", ".json"}:
        message = f"{output} ends with neither .csv nor .json."
        raise click.BadParameter(message, param_hint="--output")
    if not output.absolute().parent.is_dir():
        message = f"the folder {output.absolute().parent} does not exist; make it first."
        raise click.BadParameter(message, param_hint="--output")


def _joined(parts: list[dict[str, Any]]) -> dict[str, Any]:
    """Join the answers to the parts of a long list of records."""
    lists = [key for key, value in parts[0].items() if isinstance(value, list)]
    return parts[0] | {key: [row for part in parts for row in part[key]] for key in lists}


def _rows(found: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return predictions as the columns and rows of a table."""
    probabilities: list[dict[str, float]] | None = found.get("probabilities")
    classes = list(probabilities[0]) if probabilities else []
    columns = ["row", "prediction", *(f"probability {name}" for name in classes)]
    chances = probabilities or [{} for _ in found["predictions"]]
    pairs = zip(found["predictions"], chances, strict=True)
    return columns, [[number, value, *chance.values()] for number, (value, chance) in enumerate(pairs, start=1)]


def _text(found: dict[str, Any], suffix: str) -> str:
    if suffix == ".json":
        return json.dumps(found, indent=2) + "\n"
    file = io.StringIO()
    columns, rows = _rows(found)
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()


def _shown(found: dict[str, Any]) -> None:
    if not terminal():
        click.echo(_text(found, ".csv"), nl=False)
        return
    columns, rows = _rows(found)
    table(columns, rows[:SHOWN])
    if len(rows) > SHOWN:
        note(f"The first {SHOWN} of {len(rows)} rows; --output FILE writes all.")
