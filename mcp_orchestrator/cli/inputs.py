"""What comes in from a command line: JSON in an argument, in a file or on stdin, and tables by their path."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, TextIO, cast

import click

__all__ = ["JSON", "TABLE", "priority", "records"]

priority = click.option(
    "--priority", type=click.IntRange(-10, 10), default=0, help="Runs of a higher one begin first; 0 by default."
)


class Json(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - generic only in newer versions of click
    """A JSON object: as it is, from a file (``@file``), or from stdin (``-``)."""

    name = "json|@file|-"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:  # noqa: ANN401
        """Return the object."""
        if not isinstance(value, str):
            return value
        text, place = value, "The text"
        if value == "-":
            text, place = sys.stdin.read(), "Standard input"
        elif value.startswith("@"):
            path = Path(value[1:])
            try:
                text, place = path.read_text("utf-8"), str(path)
            except (OSError, UnicodeDecodeError) as error:
                self.fail(f"{path} cannot be read: {error}.", param, ctx)
        try:
            found = json.loads(text)
        except json.JSONDecodeError as error:
            self.fail(f"{place} is not JSON: {error}. Give a JSON object, @file or -.", param, ctx)
        if not isinstance(found, dict):
            self.fail(f"{place} holds no JSON object, but {type(found).__name__}.", param, ctx)
        return found  # pyright: ignore[reportUnknownVariableType] - any JSON object


class Table(click.ParamType):  # pyright: ignore[reportMissingTypeArgument] - the same
    """A table: a path, which counts from the working folder, or a reference such as ``builtin:iris``."""

    name = "table"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:  # noqa: ANN401
        """Return a path as an absolute one, whether there is such a file or not; a reference or address as it is."""
        del param, ctx
        place = str(value)
        scheme = place.partition(":")[0]
        return place if place == "-" or (":" in place and len(scheme) > 1) else str(Path.cwd() / place)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """Let the shell complete a path."""
        return click.Path().shell_complete(ctx, param, incomplete)


JSON, TABLE = Json(), Table()


def records(stream: TextIO) -> list[dict[str, Any]]:
    """Read records: a JSON list of objects, one object, or one object a line.

    Raises:
        InvalidInput: what was read is none of these.

    """
    from mcp_orchestrator.errors import InvalidInput

    text = stream.read()
    try:
        found = json.loads(text)
    except json.JSONDecodeError:
        found = [_line(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    rows = cast("list[Any]", found if isinstance(found, list) else [found])
    if not rows or not all(isinstance(row, dict) for row in rows):
        then = 'Give a list of objects such as [{"age": 41}], one object, or one object a line.'
        raise InvalidInput("stdin", "holds no records.", then=then)
    return rows


def _line(number: int, line: str) -> Any:  # noqa: ANN401 - any JSON value
    from mcp_orchestrator.errors import InvalidInput

    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"stdin, line {number}", f"is not JSON: {error}.", then="Give JSON records.") from error
