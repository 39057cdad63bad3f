"""Registered models: listed, shown, promoted, rolled back, deleted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.report import estimates
from mcp_orchestrator.cli.screen import document, heading, note, table
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.tracking.versions import Version

__all__ = ["models"]


@click.command(cls=Printing)
@click.argument("name", required=False, shell_complete=completion.models)
@click.option("--promote", type=click.IntRange(1), metavar="VERSION", help="Make this version the champion.")
@click.option("--rollback", is_flag=True, help="Give the champion's place back to the version that held it before.")
@click.option("--delete", type=click.IntRange(1), metavar="VERSION", help="Delete this version for good.")
@click.option("--why", default="", help="The reason, which the history keeps; a deletion needs one.")
@click.option("--yes", is_flag=True, help="Do not ask before a deletion.")
@session
def models(
    session: Session,
    name: str | None,
    promote: int | None,
    delete: int | None,
    why: str,
    *,
    rollback: bool,
    yes: bool,
) -> None:
    """List models, show one, promote, roll back or delete.

    NAME shows all versions of a model, name@alias or name@3 one of them. The champion is the version that a name alone
    means.
    """
    asked = [option for option, given in (("promote", promote), ("rollback", rollback), ("delete", delete)) if given]
    if len(asked) > 1:
        message = "--promote, --rollback and --delete exclude each other."
        raise click.UsageError(message)
    if asked and not name:
        message = "Name the model: mcp-orchestrator models NAME --promote VERSION."
        raise click.UsageError(message)
    if delete:
        _deleted(session, str(name), delete, why, yes=yes)
        return
    if asked:
        _moved(session, str(name), promote, why)
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
        for gone in () if exact else orchestrator.versions.deletions(name):
            note(f"Version {gone.version} was deleted on {_moment(gone.at)} by {gone.by}: {gone.why}")


def _deleted(session: Session, name: str, version: int, why: str, *, yes: bool) -> None:
    if not why:
        message = "A deletion needs a reason: --why TEXT."
        raise click.UsageError(message)
    params = {"name": name, "version": version, "why": why}
    call = {"component": "production_registry", "capability": "delete", "params": params}
    if not yes:
        if session.json:
            message = "With --json, nobody can be asked; add --yes."
            raise click.UsageError(message)
        from mcp_orchestrator.server.moves import plan  # only a deletion shows it

        click.confirm(f"{plan(session.orchestrator().versions, call).text}\nDelete it?", abort=True, err=True)
    found = session.run(lambda orchestrator: orchestrator.call("production_registry", "delete", params))
    if session.json:
        document(found)
    else:
        kept = f" Some bytes stay: {found['kept']}." if found["kept"] else ""
        click.echo(f"{name}: version {version} is deleted, {found['freed']} bytes are free.{kept}")


def _moved(session: Session, name: str, promote: int | None, why: str) -> None:
    action = "promote" if promote else "rollback"
    params: dict[str, Any] = {"name": name, "why": why, **({"version": promote} if promote else {})}
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
