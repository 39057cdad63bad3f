"""Training and evaluation from a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli import completion
from mcp_orchestrator.cli.inputs import JSON, TABLE, priority
from mcp_orchestrator.cli.screen import document, note
from mcp_orchestrator.cli.session import Printing, Session, session
from mcp_orchestrator.cli.work import announce, detach, leave, work

if TYPE_CHECKING:
    from mcp_orchestrator.app import Orchestrator
    from mcp_orchestrator.view import RunView

__all__ = ["evaluate", "train"]


@click.command(cls=Printing)
@click.argument("file", type=TABLE)
@click.option("--target", required=True, metavar="COLUMN", help="The column to predict.")
@click.option("--metric", help="What the search optimises; by default what fits the task.")
@click.option("--seconds", type=float, help="Time limit of the search.")
@click.option("--trials", type=int, help="Candidates to try.")
@click.option("--name", help="Name to register the model under; by default from file and target.")
@click.option("--seed", type=int, help="Makes the run repeatable.")
@click.option("--test-fraction", type=float, help="Share of rows locked away for one final test.")
@click.option("--spec", type=JSON, default="{}", help="More of the specification: JSON, @file, or - for stdin.")
@priority
@click.option("--detach", "detached", is_flag=True, help="Print the run's id and let it go on without this terminal.")
@click.option("--announce", "descriptor", type=int, hidden=True)
@session
def train(
    session: Session,
    file: str,
    target: str,
    spec: dict[str, Any],
    descriptor: int | None,
    *,
    priority: int,
    detached: bool,
    **flat: Any,  # noqa: ANN401 - the fields of the specification that have an option
) -> None:
    """Train a model on a table, test and register it.

    The steps: check, split, tune, fit, calibrate, test once, explain, register, and promote if the gates are passed.

    FILE is CSV, TSV, JSON lines, Parquet, Feather, Excel, SQLite, builtin:NAME or a database address. Ctrl-C cancels
    the run; `mcp-orchestrator resume` goes on after its last finished step.
    """
    from mcp_orchestrator.workflows.spec import TrainingSpec

    whole = TrainingSpec.of({"data": file, "target": target, **flat}, spec)
    if detached:
        rest = {key: value for key, value in whole.items() if key not in {"data", "target"}}
        settings = session.settings()
        arguments = ["train", file, "--target", target, "--project", str(settings.project), f"--priority={priority}"]
        run = detach(settings.home, arguments, rest)
        if session.json:
            document({"run_id": run, "status": "running"})
        else:
            click.echo(run)
            note(f"Follow it with: mcp-orchestrator runs {run[:8]} --follow")
        return

    async def doing(orchestrator: Orchestrator) -> RunView:
        run = await orchestrator.submit("train", whole, priority=priority)
        if descriptor is not None:
            announce(descriptor, run, orchestrator.settings.home)
        return await work(orchestrator, run, quiet=session.json)

    leave(session, session.run(doing, preload=True))


@click.command(cls=Printing)
@click.argument("model", shell_complete=completion.models)
@click.argument("file", type=TABLE)
@click.option("--against", metavar="MODEL", shell_complete=completion.models, help="Compare with it on the same rows.")
@click.option("--spec", type=JSON, default="{}", help="More of the specification: JSON, @file, or - for stdin.")
@priority
@session
def evaluate(
    session: Session, model: str, file: str, against: str | None, spec: dict[str, Any], *, priority: int
) -> None:
    """Test a registered model on new labelled rows.

    MODEL is a name, name@alias or name@version; FILE is a table as for train, with the target in it.
    """
    from mcp_orchestrator.workflows.spec import join

    whole = join({"model": model, "data": file, "against": against}, spec, inner={})

    async def doing(orchestrator: Orchestrator) -> RunView:
        run = await orchestrator.submit("evaluate", whole, priority=priority)
        return await work(orchestrator, run, quiet=session.json)

    leave(session, session.run(doing, preload=True))
