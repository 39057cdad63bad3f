"""A program that solves tasks by itself, and connects to the server as it is used to."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import click

from mcp_orchestrator.definitions import agent as definition

from .hands import SERVE, Spent, environment
from .person import Person
from .play import Agent, Limits
from .task import Task
from .tokens import KINDS, METHOD, count

__all__ = ["commanded", "configuration"]

RULES = """\
You work alone in the project folder {project}, with the tools of its MCP server ml; files that you are asked for go
into that folder. Nobody answers questions. Do what you are asked and nothing else; what you say at the end is not
read, only what you leave in the project counts. Never touch the folder .mcp-orchestrator yourself. The task:

{words}"""
PLACES = ("{task}", "{project}", "{config}")


def commanded(command: str) -> Agent:
    """Return an agent that is a program: {task}, {project} and {config} in its command line stand for what it needs.

    {config} is a file as `.mcp.json` is, which starts the server. The program works in the project folder; what it says
    goes into `agent.log` beside that.
    """
    line = shlex.split(command)
    if not any("{task}" in part for part in line):
        message = f"--command: {{task}} must stand in it, where the task goes. Known: {', '.join(PLACES)}."
        raise click.UsageError(message)

    async def work(task: Task, project: Path, person: Person, limits: Limits, spent: Spent) -> None:
        config, log = project.parent / ".mcp.json", project.parent / "calls.jsonl"
        config.write_text(json.dumps(configuration(project, log, task, limits.calls or task.calls), indent=1), "utf-8")
        filled = {"{task}": told(task, project), "{project}": str(project), "{config}": str(config)}
        try:
            code = await _run([_filled(part, filled) for part in line], project)
            spent.stopped = f"the command ended with {code}" if code else ""
        finally:
            _read(log, person, spent)
            if used := _reported(project.parent / "agent.log"):
                spent.tokens, spent.counted = used, "as the command reports"

    return work


def configuration(project: Path, log: Path, task: Task, most: int) -> dict[str, Any]:
    """Return what tells a client how to start the server: by way of the tap, which notes what is called."""
    tap = ["-m", f"{__package__}.tap", str(log), json.dumps(task.asks), str(most)]
    server = [sys.executable, *SERVE, str(project)]
    variables = {"PYTHONPATH": environment()["PYTHONPATH"]}
    return {
        "mcpServers": {"ml": {"type": "stdio", "command": sys.executable, "args": [*tap, *server], "env": variables}}
    }


def told(task: Task, project: Path) -> str:
    """Return the whole text that a program is given: the agent that it is, the rules, and the words of the task."""
    text = RULES.format(project=project, words=task.words)
    if not task.agent:
        return text
    page = definition(task.agent).path.read_text("utf-8").split("---\n", 2)[2]
    return f"{page.strip()}\n\n{text}"


def _filled(part: str, given: dict[str, str]) -> str:
    """Fill the places of one argument, each once: what is put in is not looked at again."""
    place = min((one for one in PLACES if one in part), key=part.index, default=None)
    if place is None:
        return part
    before, _, after = part.partition(place)
    return before + given[place] + _filled(after, given)


async def _run(line: list[str], project: Path) -> int:
    """Run a program to its end; when that is not waited for, end it with all that it started."""
    with (project.parent / "agent.log").open("ab") as log:
        process = await anyio.open_process(
            line, stdin=None, stdout=log, stderr=log, cwd=project, env=environment(), start_new_session=True
        )
        try:
            return await process.wait()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            with anyio.CancelScope(shield=True):
                await process.aclose()


def _reported(log: Path) -> int:
    """Return the tokens in the ``usage`` of what a program says last, if that is JSON; 0 where it is not."""
    lines = log.read_text("utf-8", errors="replace").splitlines() if log.exists() else []
    try:
        usage = json.loads(lines[-1])["usage"]
        return sum(value for name, value in usage.items() if name in KINDS and isinstance(value, int))
    except (IndexError, KeyError, ValueError, TypeError, AttributeError):
        return 0


def _read(log: Path, person: Person, spent: Spent) -> None:
    """Read what the tap has noted."""
    for line in log.read_text("utf-8").splitlines() if log.exists() else ():
        one = json.loads(line)
        if "question" in one:
            person.heard.append((one["question"], one["yes"]))
            continue
        spent.calls += 1
        spent.tokens += count(json.dumps(one["arguments"])) + count(one["said"])
        if not one["good"]:
            spent.failures.append(f"{one['tool']}: {one['said'][:300]}")
    spent.counted = f"{METHOD} of calls and answers"
