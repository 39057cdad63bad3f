"""One task played: a fresh project folder, an agent at work in it, and what its checker says of what is left."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import anyio

from .hands import Failed, Hands, Spent, end_host, hands
from .homes import Homes
from .person import Person
from .task import Project, Task, Way

__all__ = ["Agent", "Limits", "Result", "by_script", "check", "follow", "play"]

SHOWN = 500
"""Characters of a failure that a report has."""


@dataclass(frozen=True)
class Limits:
    """How much an agent may use for a task; None is the task's own limit of calls, or no limit of tokens."""

    seconds: float = 600.0
    calls: int | None = None
    tokens: int | None = None


@dataclass
class Result:
    """How a task went."""

    task: str
    about: str
    solved: bool
    problems: list[str]
    calls: int
    tool_errors: int
    tokens: int
    counted: str
    seconds: float
    failures: list[str]
    questions: list[tuple[str, bool]]
    stopped: str = ""

    def plain(self) -> dict[str, Any]:
        """Return the result as JSON values."""
        return asdict(self)


Agent = Callable[[Task, Path, Person, Limits, Spent], Awaitable[None]]
"""Works on a task in a project folder, and writes down what it uses; it may fail with whatever it likes."""


async def play(task: Task, agent: Agent, homes: Homes, place: Path, limits: Limits) -> Result:
    """Have an agent work on a task in a new folder below ``place``, and check what it leaves."""
    project, person, spent = homes.copy(task.start, place), Person(task.asks), Spent()
    begun = time.monotonic()
    try:
        with anyio.move_on_after(limits.seconds) as scope:
            async with task.beside(project):
                await agent(task, project, person, limits, spent)
        if scope.cancelled_caught:
            spent.stopped = f"the limit of {limits.seconds:g} seconds"
    except Exception as error:  # noqa: BLE001 - whatever an agent fails with, the state decides
        spent.stopped = "; ".join(_words(error))[:SHOWN]
    seconds = time.monotonic() - begun
    await end_host(project)
    problems = check(task, project)
    return Result(
        task=task.id,
        about=task.about,
        solved=not problems,
        problems=problems,
        calls=spent.calls,
        tool_errors=len(spent.failures),
        tokens=spent.tokens,
        counted=spent.counted,
        seconds=round(seconds, 1),
        failures=spent.failures,
        questions=person.heard,
        stopped=spent.stopped,
    )


def check(task: Task, folder: Path) -> list[str]:
    """Return what is wrong with a project folder in which nobody works any more."""
    project = Project(folder)
    try:
        return list(task.check(project))
    except Exception as error:  # noqa: BLE001 - a state that no checker foresaw solves nothing, and ends no round
        return [f"The checker failed: {type(error).__name__}: {error}"]
    finally:
        project.close()


def by_script(which: Literal["right", "wrong", "nothing"]) -> Agent:
    """Return an agent that follows the script of a task: the way that solves it, the hasty one, or none."""

    async def work(task: Task, project: Path, person: Person, limits: Limits, spent: Spent) -> None:
        del limits
        way = {"right": task.solve, "wrong": task.wrong, "nothing": None}[which]
        if way is not None:
            async with hands(project, person, spent) as agent:
                await follow(way, agent)

    return work


async def follow(way: Way, agent: Hands) -> None:
    """Go a task's way, as far as the tools let it go."""
    try:
        await way(agent)
    except Failed as error:
        agent.spent.stopped = str(error)[:SHOWN]


def _words(error: BaseException) -> list[str]:
    if isinstance(error, BaseExceptionGroup):
        return [word for one in error.exceptions for word in _words(one)]
    return [f"{type(error).__name__}: {error}"]
