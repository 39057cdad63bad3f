"""Progress of long work, on stderr: a bar at a terminal, a line a step elsewhere, nothing beside a JSON document."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

import click

if TYPE_CHECKING:
    from rich.progress import Progress

    from mcp_orchestrator.core.rows import RunRow

__all__ = ["Bar"]


class Bar:
    """A bar with what is being done, for the length of a block."""

    def __init__(self, title: str, *, quiet: bool = False, lines: bool = False) -> None:
        """Take the title; with ``lines``, each new step gets a line where there is no terminal, unless ``quiet``."""
        self._title, self._lines = title, lines and not quiet
        self._progress: Progress | None = None
        self._said = ""

    def __enter__(self) -> Self:
        """Show the bar, if somebody looks."""
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                Progress,
                SpinnerColumn,
                TaskProgressColumn,
                TextColumn,
                TimeElapsedColumn,
            )

            message = TextColumn("[dim]{task.fields[message]}", markup=True)
            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TaskProgressColumn(),
                TimeElapsedColumn(),
                message,
                console=Console(stderr=True),
                transient=True,
            )
            self._progress.add_task(self._title, total=None, message="")
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the bar away."""
        if self._progress is not None:
            self._progress.stop()

    def report(self, fraction: float | None, message: str) -> None:
        """Show how far the work is, where that is known, and what is being done."""
        if self._progress is not None:
            from rich.markup import escape

            task = self._progress.task_ids[0]
            self._progress.update(task, message=escape(message))
            if fraction is not None:
                self._progress.update(task, total=1.0, completed=fraction)
        elif self._lines and (step := message.partition(":")[0]) not in {"", self._said}:
            self._said = step
            click.echo(f"{0 if fraction is None else fraction:4.0%}  {step}", err=True)

    async def watch(self, row: RunRow) -> None:
        """Show how far a run is."""
        self.report(row.progress, row.message or str(row.status))
