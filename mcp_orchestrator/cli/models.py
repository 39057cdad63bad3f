"""Registered models: listed, shown, promoted, rolled back."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.report import estimates
from mcp_orchestrator.cli.screen import document, heading, table
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.tracking.versions import Version

__all__ = ["models"]


@click.command(cls=Printing)
@click.argument("name", required=False, shell_complete=completion.models)
@click.option("--promote", type=click.IntRange(1), metavar="VERSION", help="Make this version the champion.")
@click.option("--rollback", is_flag=True, help="Give the champion's place back to the version that held it before.")
@session
def models(session: Session, name: str | None, promote: int | None, *, rollback: bool) -> None:
    """List the registered models, show one, promote or roll back.

    NAME shows all versions of a model, name@alias or name@3 one of them. The champion is the version that a name alone
    means.
    """
    if promote and rollback:
        message = "--promote and --rollback exclude each other."
        raise click.UsageError(message)
    if (promote or rollback) and not name:
        message = "Name the model: mcp-orchestrator models NAME --promote VERSION."
        raise click.UsageError(message)
    if promote or rollback:
        _moved(session, str(name), promote)
        return
    orchestrator = session.orchestrator()
    exact = name is not None and ("@" in name or "://" in name)
    found = [orchestrator.versions.get(name)] if name and exact else orchestrator.versions.list(name)
    if session.json:
        document(found)
    elif name is None:
        _listed(found)
    else:
        for one in found:
            _shown(one)


def _moved(session: Session, name: str, promote: int | None) -> None:
    action = "promote" if promote else "rollback"
    params: dict[str, Any] = {"name": name, **({"version": promote} if promote else {})}
    found = session.run(lambda orchestrator: orchestrator.call("production_registry", action, params))
    if session.json:
        document(found)
    else:
        before = found["previous"] if found["previous"] != found["version"] else None
        instead = f", instead of version {before}" if before else ""
        click.echo(f"{name}: version {found['version']} is the {found['alias']}{instead}.")


def _listed(found: list[Version]) -> None:
    rows = [
        [one.name, one.version, one.aliases, one.task, one.target, one.estimator, _first(one), _moment(one.created)]
        for one in found
    ]
    table(("name", "version", "aliases", "task", "target", "estimator", "metric", "created"), rows)


def _shown(one: Version) -> None:
    aliases = f" ({', '.join(one.aliases)})" if one.aliases else ""
    heading(f"{one.name} version {one.version}{aliases}")
    facts = {
        "task": one.task,
        "target": one.target,
        "estimator": one.estimator,
        "features": one.features,
        "classes": one.classes,
        "created": _moment(one.created),
        "run": one.run,
        "uri": one.uri,
        "sha256": one.sha256,
    }
    table(("what", "value"), [pair for pair in facts.items() if pair[1]])
    if one.metrics:
        estimates({key: value.model_dump() for key, value in one.metrics.items()}, {})


def _first(one: Version) -> str:
    return next((f"{key} {value.value:.4g}" for key, value in one.metrics.items()), "")


def _moment(microseconds: int) -> str:
    return datetime.fromtimestamp(microseconds / 1e6, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
