"""The main job, shown: from a table to a registered model and its predictions, through the real server.

Whatever is printed was answered by the server in this very conversation.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mcp_orchestrator.cli.report import estimates, leaderboard, save
from mcp_orchestrator.cli.sample import TARGET
from mcp_orchestrator.cli.screen import document, figure, heading, table
from mcp_orchestrator.cli.session import Printing, Session, session

if TYPE_CHECKING:
    from mcp_orchestrator.cli.conversation import Conversation

__all__ = ["demo"]

MARK = ".demo"
KNOWN, NEW = "breast_cancer.csv", "new_patients.csv"
MODEL = "breast-cancer"
ASKED = 5


@click.command(cls=Printing)
@click.option(
    "--folder", type=click.Path(file_okay=False, path_type=Path), default="demo-output", help="Where to work."
)
@click.option("--seconds", type=click.FloatRange(1, 600), default=20.0, help="Time limit of the search; 20 by default.")
@session
def demo(session: Session, folder: Path, seconds: float) -> None:
    """Show the whole job on a real table, over MCP.

    Writes the Wisconsin breast cancer table as CSV into a fresh folder (demo-output), starts the real server on it, and
    speaks to it as an agent does: inspect, train, evaluate on patients that were not in training, predict, and once
    more after a restart. Leaves nothing outside the folder.
    """
    import anyio

    begun = time.monotonic()
    place = _fresh(folder.absolute())
    say = not session.json
    if say:
        click.echo(f"Writing {KNOWN} and {NEW} to {folder}")
    subprocess.run(  # noqa: S603 - our own module
        [sys.executable, "-m", "mcp_orchestrator.cli.sample", place / KNOWN, place / NEW], check=True
    )
    found = anyio.run(_job, place, seconds, say)
    took = time.monotonic() - begun
    if session.json:
        document({**found, "folder": str(place), "seconds": took})
        return
    heading(f"All of it in {took:.0f} seconds. Where things lie")
    table(("what", "where"), _places(folder, found["artifacts"]))
    click.echo("\nLook at the experiments: " + click.style(f"mcp-orchestrator ui mlflow --project {folder}", bold=True))


async def _job(place: Path, seconds: float, say: bool) -> dict[str, Any]:  # noqa: FBT001 - anyio passes positions only
    from mcp_orchestrator.cli.conversation import connected

    records = _records(place / NEW)
    async with connected(place, quiet=not say) as talk:
        if say:
            await _greet(talk)
        seen = await talk.ask("inspect_dataset", data=KNOWN, target=TARGET)
        if say:
            _inspected(seen)
        trained = await talk.ask(
            "run_ml_training_workflow", data=seen["uri"], target=TARGET, name=MODEL, seconds=seconds, wait_seconds=50
        )
        trained = await _ended(talk, trained)
        if say:
            _trained(trained)
        tested = await _ended(
            talk, await talk.ask("run_ml_evaluation_workflow", model=MODEL, data=NEW, wait_seconds=50)
        )
        if say:
            _evaluated(tested)
        asked = [{name: value for name, value in row.items() if name != TARGET} for row in records]
        first = await talk.ask("predict", model=MODEL, records=asked)
        if say:
            _predicted(first, [row[TARGET] for row in records])
        calls = talk.calls
    async with connected(place, quiet=not say) as talk:
        if say:
            click.echo("\nThe server was ended and started again.")
        again = await talk.ask("predict", model=MODEL, records=asked)
        same = again["predictions"] == first["predictions"] and again["probabilities"] == first["probabilities"]
        if say:
            _answer("the same predictions" if same else "other predictions than before")
    return {"calls": calls + talk.calls, "same_after_restart": same, "artifacts": trained["artifacts"]}


async def _ended(talk: Conversation, run: dict[str, Any]) -> dict[str, Any]:
    """Wait for the end of a run that takes longer than one call may."""
    while run["status"] in {"queued", "running"}:
        run = await talk.ask("get_run", run_id=run["run_id"], wait_seconds=50)
    return run


async def _greet(talk: Conversation) -> None:
    client = talk.client
    tools = (await client.list_tools()).tools
    info = client.server_info
    click.echo(f"Started {info.name if info else 'the server'} over stdio, protocol {client.protocol_version}")
    click.echo(f"{len(tools)} tools: {', '.join(tool.name for tool in tools)}")


def _answer(text: str) -> None:
    click.echo(f"{click.style('<-', fg='green')} {text}")


def _inspected(seen: dict[str, Any]) -> None:
    profile = seen["profile"]
    _answer(f"{seen['rows']} rows, {seen['columns']} columns, {profile['task']}; {figure(profile['classes'])}")
    for text in [*profile["warnings"], *(f"may give the answer away: {name}" for name in profile["leakage_suspects"])]:
        click.echo(f"   {text}")
    click.echo(f"   frozen as {seen['uri']}")


def _trained(run: dict[str, Any]) -> None:
    _ran(run)
    heading("Leaderboard: the best candidates by cross-validation within the training part")
    leaderboard(run["leaderboard"])
    heading("Metrics on the test part, which was used once")
    estimates(run["metrics"], run["baseline"])
    model = run["model"]
    if model:
        aliases = f" ({', '.join(model['aliases'])})" if model["aliases"] else ""
        click.echo(
            f"\nRegistered: {model['name']} version {model['version']}{aliases}, sha256 {model['sha256'][:12]}..."
        )


def _ran(run: dict[str, Any]) -> None:
    _answer(f"run {run['run_id'][:8]} {run['status']} in {figure(run.get('seconds'))} s")
    for step in run["steps"]:
        reason = f": {step['reason']}" if step.get("reason") else ""
        click.echo(f"   {step['status']:8}{step['name']}{reason}")


def _evaluated(run: dict[str, Any]) -> None:
    _ran(run)
    heading("Metrics on patients that were not in training")
    estimates(run["metrics"], run.get("baseline") or {})
    if run.get("verdict"):
        click.echo(f"\nVerdict: {figure(run['verdict'])}")


def _predicted(answer: dict[str, Any], truth: list[str]) -> None:
    chances = [max(one.values()) for one in answer["probabilities"]]
    _answer(f"{len(truth)} predictions")
    table(("prediction", "probability", "truth"), zip(answer["predictions"], chances, truth, strict=True))


def _places(place: Path, artifacts: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Copy the files of the run under their own names to a folder for reading, and say where everything is."""
    home = place / ".mcp-orchestrator"
    return [
        *((path.name, str(path)) for path in save(artifacts, place / "report")),
        ("experiments (MLflow)", str(home / "mlflow.db")),
        ("runs and models", str(home / "orchestrator.db")),
        ("server's log", str(home / "logs" / "host.log")),
    ]


def _records(path: Path) -> list[dict[str, Any]]:
    """Return a few rows as records, numbers as numbers."""
    import csv

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:ASKED]
    return [{name: value if name == TARGET else float(value) for name, value in row.items()} for row in rows]


def _fresh(folder: Path) -> Path:
    """Return an empty folder; what an earlier demo left in it is removed, anything else is not touched."""
    from mcp_orchestrator.errors import NotReady

    if folder.exists() and not (folder / MARK).exists() and any(folder.iterdir()):
        message = f"{folder} is not empty, and no demo made it. Give another folder with --folder."
        raise NotReady(message)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    return folder
