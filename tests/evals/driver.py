"""Has an agent solve the tasks and reports how it did: ``python -m tests.evals.driver --help``."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import click

from .command import commanded
from .endpoint import Endpoint, asked
from .homes import Homes
from .play import Agent, Limits, Result, by_script, play
from .report import table, write
from .task import Task
from .tasks import TASKS

__all__ = ["main"]


@click.command()
@click.option("--command", help="A program that solves a task; {task}, {project} and {config} stand for what it needs.")
@click.option("--endpoint", metavar="URL", help="Or an address that ends in /chat/completions or /messages.")
@click.option("--model", help="With --endpoint: the name of the model.")
@click.option("--key-from", metavar="VARIABLE", help="With --endpoint: the variable that has its key.")
@click.option("--most-output", default=4096, show_default=True, help="With --endpoint: tokens of one answer.")
@click.option("--scripted", is_flag=True, help="Or the scripts of the tasks: all must be solved.")
@click.option("--wrong", is_flag=True, help="Or what a hasty agent might do: none may pass.")
@click.option("--untouched", is_flag=True, help="Or nothing at all: none may pass.")
@click.option("--only", multiple=True, metavar="ID", help="Only this task, or what it is about; more than once.")
@click.option("--list", "listed", is_flag=True, help="List the tasks and end.")
@click.option("--seconds", default=600.0, show_default=True, help="Most that a task may take.")
@click.option("--calls", type=click.IntRange(1), help="Most calls for a task; its own limit otherwise.")
@click.option("--tokens", type=click.IntRange(1), help="Most tokens for a task, as far as they are known.")
@click.option("--work", type=click.Path(path_type=Path), help="A new folder for the projects; kept.")
@click.option("--out", type=click.Path(path_type=Path), help="Where the report goes as JSON.")
def main(only: tuple[str, ...], work: Path | None, out: Path | None, *, listed: bool, **given: Any) -> None:
    """Have an agent solve tasks, each in a project folder of its own, and report how it did."""
    tasks = chosen(only)
    if listed:
        for one in tasks:
            click.echo(f"{one.id:24} {one.about:14} {one.words}")
        return
    agent, hopeless = _agent(**{key: given[key] for key in WAYS})
    if given["wrong"]:
        tasks = [one for one in tasks if one.wrong is not None]
    limits = Limits(given["seconds"], given["calls"], given["tokens"])
    place = _place(work, out)
    report = out or place / "report.json"
    about = {"command": given["command"], "endpoint": given["endpoint"], "model": given["model"]}
    about |= {"script": next((key for key in ("scripted", "wrong", "untouched") if given[key]), None)}
    results: list[Result] = []

    def keep(result: Result) -> None:
        results.append(result)
        write(report, results, about)
        click.echo(f"{result.task}: {'solved' if result.solved else 'NOT solved'} in {result.seconds} s", err=True)

    anyio.run(_round, tasks, agent, place, limits, keep)
    click.echo(table(results))
    click.echo(f"The projects are in {place}, the report in {report}.")
    if any(one.solved == hopeless for one in results):
        sys.exit(1)


WAYS = ("command", "endpoint", "model", "key_from", "most_output", "scripted", "wrong", "untouched")


def chosen(only: tuple[str, ...]) -> list[Task]:
    """Return the tasks of these ids, or about these things; all without any."""
    known = {*TASKS, *(one.about for one in TASKS.values())}
    for name in only:
        if name not in known:
            message = f"{name!r} is no task and nothing that a task is about. There are: {', '.join(sorted(known))}."
            raise click.UsageError(message)
    return [one for one in TASKS.values() if not only or one.id in only or one.about in only]


def _agent(
    *,
    command: str | None,
    endpoint: str | None,
    model: str | None,
    key_from: str | None,
    most_output: int,
    scripted: bool,
    wrong: bool,
    untouched: bool,
) -> tuple[Agent, bool]:
    """Return the agent that was asked for, and whether it must fail at everything."""
    ways = [bool(command), bool(endpoint), scripted, wrong, untouched]
    if sum(ways) != 1:
        message = "Give one of --command, --endpoint, --scripted, --wrong and --untouched."
        raise click.UsageError(message)
    if command:
        return commanded(command), False
    if endpoint:
        if not model:
            message = "--endpoint needs --model, the name of the model."
            raise click.UsageError(message)
        if key_from and not os.environ.get(key_from):
            message = f"--key-from: the variable {key_from} is empty."
            raise click.UsageError(message)
        key = os.environ[key_from] if key_from else ""
        return asked(Endpoint.of(endpoint, model, key, most_output)), False
    return by_script("right" if scripted else "wrong" if wrong else "nothing"), not scripted


def _place(work: Path | None, out: Path | None) -> Path:
    if out is not None and not out.absolute().parent.is_dir():
        message = f"--out: there is no folder {out.absolute().parent}."
        raise click.UsageError(message)
    if work is None:
        return Path(tempfile.mkdtemp(prefix="evaluations-"))
    if work.exists() and any(work.iterdir()):
        message = f"--work: {work} is not empty."
        raise click.UsageError(message)
    work.mkdir(parents=True, exist_ok=True)
    return work.resolve()


async def _round(tasks: list[Task], agent: Agent, place: Path, limits: Limits, keep: Callable[[Result], None]) -> None:
    homes = Homes(place / "homes")
    for one in tasks:
        keep(await play(one, agent, homes, place / one.id, limits))


if __name__ == "__main__":
    main()
