"""Components: listed, described, examined and invoked."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.inputs import JSON
from mcp_orchestrator.cli.progress import Bar
from mcp_orchestrator.cli.screen import document, heading, table
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.health import Examined
    from mcp_orchestrator.core.registry import Component

__all__ = ["components", "invoke"]


@click.command(cls=Printing)
@click.argument("name", required=False, shell_complete=completion.components)
@click.option("--health", is_flag=True, help="Let each component compute its known answer, in a worker.")
@click.option("--tier", type=click.IntRange(0, 6), help="Only this tier; 0 is foreign code that was registered.")
@click.option("--query", default="", metavar="WORDS", help="Only components that have to do with these words.")
@session
def components(session: Session, name: str | None, tier: int | None, query: str, *, health: bool) -> None:
    """List the components, describe or examine them.

    With --health, a component that misses a check is shown with what it answered and what it must answer; the exit code
    is then 5.
    """
    from mcp_orchestrator.core.registry import Registry

    registry = Registry(session.settings().components)
    chosen = [registry.get(name)] if name else registry.find(query)
    chosen = [one for one in chosen if tier is None or one.about.tier == tier]
    if health:
        _examined(session, chosen)
    elif name:
        _described(session, chosen[0])
    elif session.json:
        document([_line(one) for one in chosen])
    else:
        rows = [[one.name, one.about.tier, one.family, list(one.capabilities), _summary(one)] for one in chosen]
        table(("name", "tier", "family", "capabilities", "summary"), rows)


@click.command(cls=Printing)
@click.argument("component", shell_complete=completion.components)
@click.argument("capability", shell_complete=completion.capabilities)
@click.option("--params", type=JSON, default="{}", help="Parameters: a JSON object, @file, or - for stdin.")
@session
def invoke(session: Session, component: str, capability: str, params: dict[str, Any]) -> None:
    """Call a capability of a component; prints JSON.

    `mcp-orchestrator components COMPONENT` shows the capabilities, their parameters and an example of each.
    """

    async def work(orchestrator: Orchestrator) -> Any:  # noqa: ANN401 - any JSON value
        with Bar(f"{component}.{capability}", quiet=session.json) as bar:
            return await orchestrator.call(component, capability, params, watch=bar.report)

    document(session.run(work))


def _line(one: Component) -> dict[str, Any]:
    return {
        "name": one.name,
        "tier": one.about.tier,
        "family": one.family,
        "version": one.about.version,
        "summary": one.summary,
        "capabilities": list(one.capabilities),
        "missing": one.missing,
    }


def _summary(one: Component) -> str:
    if one.problem is not None:
        return str(one.problem)
    return one.summary if one.missing is None else f"[needs {one.missing}] {one.summary}"


def _described(session: Session, one: Component) -> None:
    capabilities = [
        {
            "name": each.name,
            "description": each.description,
            "example": dict(each.example or {}),
            "parameters": each.schema,
        }
        for each in one.capabilities.values()
    ]
    if session.json:
        document({**_line(one), "capabilities": capabilities})
        return
    click.secho(f"{one.name}  (tier {one.about.tier}, {one.family}, version {one.about.version})", bold=True)
    click.echo(_summary(one))
    for each in one.capabilities.values():
        heading(each.name)
        click.echo(each.summary)
        rows = [
            [
                key,
                _kind(how),
                json.dumps(how["default"]) if "default" in how else "required",
                how.get("description", ""),
            ]
            for key, how in each.schema.get("properties", {}).items()
        ]
        if rows:
            table(("parameter", "type", "default", "meaning"), rows)
        if each.example is not None:
            click.echo(f"mcp-orchestrator invoke {one.name} {each.name} --params '{json.dumps(dict(each.example))}'")


def _kind(schema: dict[str, Any]) -> str:
    """Say a parameter's type in a word or two."""
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    if "anyOf" in schema:
        return " | ".join(_kind(one) for one in schema["anyOf"] if one.get("type") != "null")
    return str(schema.get("type") or schema.get("$ref", "any").rpartition("/")[2])


def _examined(session: Session, chosen: list[Component]) -> None:
    async def work(orchestrator: Orchestrator) -> list[Examined]:
        from mcp_orchestrator.core.health import examine

        with Bar("known answers", quiet=session.json) as bar:
            return await examine(chosen, orchestrator.call, bar.report)

    with tempfile.TemporaryDirectory(
        prefix="mcp-orchestrator-"
    ) as folder:  # what they compute is none of the project's
        found = session.run(work, preload=len(chosen) > 1, home=Path(folder))
    if session.json:
        document(found)
    else:
        columns = ("name", "tier", "family", "version", "healthy", "seconds", "detail")
        rows = [[getattr(one, column) for column in columns] for one in found]
        table(columns, rows, styles={"yes": "green", "no": "red"})
    if any(one.healthy is False for one in found):
        click.get_current_context().exit(Exit.FAILED)
