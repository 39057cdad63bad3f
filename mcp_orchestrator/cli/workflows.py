"""Workflows and graphs: listed, described, checked and run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli.inputs import JSON, priority
from mcp_orchestrator.cli.screen import document, heading, note, table
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.work import leave, work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.core.workflow import Workflow
    from mcp_orchestrator.view import RunView
    from mcp_orchestrator.workflows.offers import Offer

__all__ = ["known", "request", "run", "workflows"]


@click.command(cls=Printing)
@click.argument("name", required=False)
@click.option("--query", default="", metavar="WORDS", help="Only those that have to do with these words.")
@session
def workflows(session: Session, name: str | None, query: str) -> None:
    """List workflows and templates, or describe one.

    A template is a graph that can be changed and run: `mcp-orchestrator workflows template:train > mine.json`.
    """
    from mcp_orchestrator.workflows import offers

    if name is not None:
        _described(session, offers.offer(known(session), name))
        return
    found = offers.find(known(session), query)
    if session.json:
        document([{"name": one.name, "kind": one.kind, "summary": one.summary, "steps": one.steps} for one in found])
    else:
        table(
            ("name", "kind", "steps", "summary"), [[one.name, one.kind, len(one.steps), one.summary] for one in found]
        )


@click.command(cls=Printing)
@click.argument("what", metavar="NAME|FILE")
@click.option("--inputs", type=JSON, default="{}", help="What it takes: JSON, @file, or - for stdin.")
@click.option("--check", "only_check", is_flag=True, help="Only say whether it can be run; starts nothing.")
@priority
@session
def run(session: Session, what: str, inputs: dict[str, Any], *, only_check: bool, priority: int) -> None:
    """Run a workflow, a template, or a graph from a file.

    NAME is what `mcp-orchestrator workflows` lists, FILE a graph as JSON (- for stdin). The whole is checked before
    anything starts. Ctrl-C cancels the run; `mcp-orchestrator resume` goes on after its finished steps.
    """
    workflow, spec = request(what, inputs)
    if only_check:
        _checked(session, workflow, spec, given=bool(inputs))
        return

    async def doing(orchestrator: Orchestrator) -> RunView:
        started = await orchestrator.submit(workflow, spec, priority=priority)
        return await work(orchestrator, started, quiet=session.json)

    found = session.run(doing, preload=True)
    leave(session, found)
    outputs = found.model_dump(mode="json").get("outputs")
    if outputs and not session.json:
        heading("Outputs")
        click.echo(json.dumps(outputs, indent=2, ensure_ascii=False))


def known(session: Session) -> Mapping[str, Workflow]:
    """Return the workflows of the project by their names."""
    from mcp_orchestrator.workflows import WORKFLOWS

    return {one.name: one for one in WORKFLOWS(session.settings())}


def request(what: str, inputs: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the workflow and its specification for a name, a file with a graph, or ``-``."""
    from mcp_orchestrator.workflows.custom import asked

    if what == "-" or what.endswith(".json") or Path(what).is_file():
        graph = JSON.convert(what if what == "-" else f"@{what}", None, click.get_current_context(silent=True))
        return asked(None, graph, inputs)
    return asked(what, None, inputs)


def _checked(session: Session, workflow: str, spec: dict[str, Any], *, given: bool) -> None:
    from mcp_orchestrator.core.registry import Registry
    from mcp_orchestrator.errors import UnknownName
    from mcp_orchestrator.workflows.catalog import Catalog
    from mcp_orchestrator.workflows.checking import check
    from mcp_orchestrator.workflows.custom import NAME
    from mcp_orchestrator.workflows.graph import read, refuse
    from mcp_orchestrator.workflows.ordering import order

    there = known(session)
    if workflow not in there:
        raise UnknownName("workflow", workflow, there)
    steps = list(there[workflow].steps)
    if workflow == NAME:
        graph = read(spec["graph"])
        catalog = Catalog(Registry(session.settings().components), there)
        refuse(check(graph, catalog, spec["inputs"] if given else None))
        steps = order(graph.steps)
    else:
        there[workflow].checked(spec)
    if session.json:
        document({"workflow": workflow, "valid": True, "steps": steps})
    else:
        click.echo(f"It can be run: {' -> '.join(steps)}")


def _described(session: Session, one: Offer) -> None:
    if session.json:
        document({"name": one.name, "kind": one.kind, "summary": one.summary, "steps": one.steps, **one.details})
        return
    if one.kind == "template":
        click.echo(json.dumps(one.details["graph"], indent=2, ensure_ascii=False))
        if sys.stdout.isatty():
            note(f"{one.summary} Run it with: mcp-orchestrator run {one.name} --inputs JSON")
        return
    click.secho(f"{one.name}: {one.summary}", bold=True)
    rows = [
        [name, "default" in how, how.get("description", "")] for name, how in one.details["spec"]["properties"].items()
    ]
    table(("field", "may be left out", "meaning"), rows)
    if "example" in one.details:
        heading("Example of a graph")
        click.echo(json.dumps(one.details["example"], indent=2))
