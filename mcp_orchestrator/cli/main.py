"""The command ``mcp-orchestrator``: its groups, its errors and its exit codes.

Each command stands in a module that is imported when the command is used, so that a version, a help text and above all
``serve`` come without what the others need.
"""

from __future__ import annotations

import importlib
import json
from typing import Any

import click

from mcp_orchestrator.cli.exits import Exit, cause, exit_of
from mcp_orchestrator.cli.session import Session, shared
from orchestrator_memory.sqlite import sqlite3

__all__ = ["COMMANDS", "main"]

COMMANDS = {
    "serve": "server",
    "token": "token",
    "host": "host",
    "start": "state",
    "status": "state",
    "train": "training",
    "evaluate": "training",
    "predict": "prediction",
    "models": "models",
    "workflows": "workflows",
    "run": "workflows",
    "schedules": "schedules",
    "runs": "runs",
    "cancel": "runs",
    "resume": "runs",
    "approvals": "approvals",
    "approve": "approvals",
    "refuse": "approvals",
    "components": "components",
    "invoke": "components",
    "memory": "memory",
    "agents": "agents",
    "install": "install",
    "uninstall": "install",
    "ui": "pages",
    "doctor": "doctor",
    "demo": "demo",
}

EPILOG = f"""\b
Exit codes:
{chr(10).join(f"  {one.value}  {one.meaning}" for one in Exit)}

\b
Completion of commands, components, models and runs, for bash (zsh and fish likewise):
  eval "$(_MCP_ORCHESTRATOR_COMPLETE=bash_source mcp-orchestrator)"
"""


TOOLS = {"find_ml_components": "components", "list_runs": "runs"}  # what an error calls by its name for agents


class Failure(click.ClickException):
    """An error in the command's own form: one paragraph on stderr and an exit code."""

    def __init__(self, message: str, code: Exit, kind: str) -> None:
        """Take the message, the exit code and the error's stable code."""
        super().__init__(message)
        self.exit_code, self.kind = code, kind  # type: ignore[misc]  # a class variable in click, one of the instance here


class Main(click.Group):
    """The group; loads a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return the command."""
        del ctx
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = importlib.import_module(f"mcp_orchestrator.cli.{COMMANDS[cmd_name]}")
            self.commands[cmd_name] = getattr(module, cmd_name)
        return self.commands.get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; a misspelt one is met by the names that are near."""
        if args[0] not in COMMANDS and not args[0].startswith("-") and not ctx.resilient_parsing:
            from mcp_orchestrator.errors import suggestion

            ctx.fail(f"There is no command {args[0]!r}. {suggestion(args[0], COMMANDS)}".rstrip())
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own
        """Run the command and turn every error into one paragraph and an exit code."""
        wants_json = "--json" in ctx.args
        try:
            return super().invoke(ctx)
        except click.ClickException as error:
            if wants_json:
                _document(error.format_message(), "invalid_input", error.exit_code)
            raise
        except (click.exceptions.Exit, click.Abort, EOFError):
            raise
        except (Exception, KeyboardInterrupt, BaseExceptionGroup) as error:
            found = cause(error)
            session = ctx.ensure_object(Session)
            if session.debug or _closed(found):
                raise
            failure = _failure(found)
            if wants_json:
                _document(failure.message, failure.kind, failure.exit_code)
            raise failure from error


def _failure(error: BaseException) -> Failure:
    from mcp_orchestrator.errors import OrchestratorError
    from orchestrator_memory.door import NetworkPlace, NewerSchema
    from orchestrator_memory.errors import MemoryFailure

    if isinstance(error, OrchestratorError | MemoryFailure):
        message = str(error)
        for tool, name in TOOLS.items():
            message = message.replace(tool, f"`mcp-orchestrator {name}`")
        return Failure(message, exit_of(error.code), error.code)
    if isinstance(error, KeyboardInterrupt):
        return Failure("Interrupted.", Exit.CANCELLED, "cancelled")
    if isinstance(error, sqlite3.Error | NewerSchema | NetworkPlace):
        return Failure(f"The state cannot be used: {error}", Exit.STATE, "state_unavailable")
    message = f"{type(error).__name__}: {error} (unexpected; --debug shows where)"
    return Failure(message, Exit.UNEXPECTED, "unexpected")


def _closed(error: BaseException) -> bool:
    """Whether the reader of our output went away (``| head``), which click ends quietly."""
    return isinstance(error, BrokenPipeError)


def _document(message: str, kind: str, code: int) -> None:
    click.echo(json.dumps({"error": message, "code": kind, "exit": int(code)}))


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click's own
    if value and not ctx.resilient_parsing:
        from mcp_orchestrator.release import version

        click.echo(f"mcp-orchestrator {version()}")
        ctx.exit()


@click.group(cls=Main, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Show the version.")
def main() -> None:
    """Take a table of data to a registered, honestly evaluated model.

    Everything works on one project folder, whose state lies in its .mcp-orchestrator/. Agents get the same runs, models
    and components from `mcp-orchestrator serve`.
    """


main.params += shared()
