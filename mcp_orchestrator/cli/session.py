"""What the commands share: the options that all of them have, and the orchestrator of the project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.settings import Settings

__all__ = ["Command", "Printing", "Session", "session"]

T = TypeVar("T")


@dataclass
class Session:
    """One call of the command."""

    project: Path | None = None
    json: bool = False
    debug: bool = False

    def settings(self) -> Settings:
        """Return the settings of the project."""
        from mcp_orchestrator.settings import Settings

        return Settings.load(self.project)

    def orchestrator(self, *, preload: bool = False, home: Path | None = None) -> Orchestrator:
        """Open the orchestrator of the project, or of another ``home``; nothing runs yet."""
        from mcp_orchestrator import logs
        from mcp_orchestrator.app import Orchestrator

        settings = self.settings()
        if home is not None:
            settings = settings.model_copy(update={"home": home})
        logs.start(settings.log_level)
        return Orchestrator(settings=settings, preload=preload)

    def run(
        self,
        work: Callable[[Orchestrator], Awaitable[T]],
        *,
        preload: bool = False,
        home: Path | None = None,
    ) -> T:
        """Do ``work`` with an orchestrator at work; runs that other processes left behind are not touched.

        With ``preload``, workers have the ML libraries from the start, which pays when there is more than one call.
        """
        import anyio

        async def main() -> T:
            async with self.orchestrator(preload=preload, home=home).running(
                recover=False, kind="command"
            ) as orchestrator:
                return await work(orchestrator)

        return anyio.run(main)


session = click.make_pass_decorator(Session, ensure=True)


class Command(click.Command):
    """A command with the options that all commands have."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        """Add the options."""
        super().__init__(*args, **kwargs)
        self.params += shared()


class Printing(Command):
    """A command whose answer can be had as JSON."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - click's own
        """Add ``--json``."""
        super().__init__(*args, **kwargs)
        self.params.append(_kept("--json", is_flag=True, help="Print one JSON document on stdout and nothing else."))


def shared() -> list[click.Parameter]:
    """Return the options that the group and all commands have."""
    folder = click.Path(exists=True, file_okay=False, path_type=Path)
    return [
        _kept("--project", type=folder, metavar="DIR", help="Project folder; the working folder by default."),
        _kept("--debug", is_flag=True, help="Show the traceback of an error."),
    ]


def _kept(name: str, **how: Any) -> click.Option:  # noqa: ANN401 - click's own
    """Return an option whose value goes into the session instead of the command's parameters."""

    def keep(ctx: click.Context, _parameter: click.Parameter, value: object) -> None:
        if value:
            setattr(ctx.ensure_object(Session), name.removeprefix("--"), value)

    return click.Option([name], expose_value=False, callback=keep, **how)
