"""What goes out: JSON for programs, plain columns for pipes, tables and colours for people at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import click

__all__ = ["document", "figure", "heading", "note", "table", "terminal"]


def terminal() -> bool:
    """Whether a person reads stdout."""
    return sys.stdout.isatty()


def document(value: object) -> None:
    """Print a value as one JSON document; a NaN or an infinity, which JSON has not, as its name."""
    from pydantic_core import to_json

    click.echo(to_json(value, indent=2, inf_nan_mode="strings", fallback=str).decode())


def heading(text: str) -> None:
    """Print a line that begins a part."""
    click.echo()
    click.secho(text, bold=True)


def note(text: str) -> None:
    """Say something beside the answer, on stderr."""
    click.secho(text, err=True, dim=True)


def figure(value: object) -> str:
    """Return a value as a cell: four significant digits, nothing for nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        pairs = cast("Mapping[Any, Any]", value)
        return ", ".join(f"{key}={figure(one)}" for key, one in pairs.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(figure(one) for one in cast("Sequence[Any]", value))
    return str(value)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, styles: Mapping[str, str] | None = None) -> None:
    """Print rows below the names of their columns; in a pipe, as plain columns that nothing is cut from.

    ``styles`` gives the colour of a cell by its text.
    """
    cells = [[figure(cell) for cell in row] for row in rows]
    if not terminal():
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        for row in [list(columns), *cells]:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in cells:
        shown.add_row(*(Text(cell, style=(styles or {}).get(cell, "")) for cell in row))
    Console().print(shown)
