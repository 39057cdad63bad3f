"""What agents do, from its start to its outcome, and what they give to each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

from pydantic import Field

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.errors import InvalidInput, NotReady
from mcp_orchestrator.server.quick import quickly
from mcp_orchestrator.server.recollections import TaskAnswer
from mcp_orchestrator.server.session import Session, orchestrator, sent_again
from mcp_orchestrator.server.speaker import Voice, voice
from mcp_orchestrator.server.tools.memory import Speaker
from orchestrator_memory.values import Delegation

__all__ = ["log_task"]

Action = Literal["start", "progress", "finish", "delegate", "settle"]
NEEDS: dict[str, tuple[str, ...]] = {
    "start": ("description",),
    "progress": ("task",),
    "finish": ("task", "outcome"),
    "delegate": ("task", "to", "reason"),
    "settle": ("task", "outcome"),
}
TAKES: dict[str, set[str]] = {
    "start": {"description", "parent", "phase", "type", "run"},
    "progress": {"task", "progress", "phase", "description", "tokens"},
    "finish": {"task", "outcome", "insights", "description", "tokens", "run"},
    "delegate": {"task", "to", "reason", "type"},
    "settle": {"task", "outcome", "to", "type", "description"},
}


async def log_task(
    ctx: Session,
    *,
    action: Annotated[Action, Field(description="settle ends a delegation.")],
    agent: Speaker = None,
    task: Annotated[str | None, Field(description="Its uid.")] = None,
    description: Annotated[str | None, Field(description="Or a note.")] = None,
    outcome: Annotated[str | None, Field(description="success, partial, failure, cancelled.")] = None,
    insights: Annotated[list[str] | None, Field(description="What was learned.")] = None,
    progress: Annotated[float | None, Field(description="0-1.")] = None,
    phase: Annotated[str | None, Field(description="Of a workflow.")] = None,
    parent: Annotated[str | None, Field(description="Task above.")] = None,
    to: Annotated[str | None, Field(description="Agent.")] = None,
    reason: Annotated[str | None, Field(description="Of a delegation.")] = None,
    type: Annotated[str | None, Field(description="Kind of work.")] = None,  # noqa: A002
    tokens: Annotated[int | None, Field(description="Spent.")] = None,
    run: Annotated[str | None, Field(description="run_id.")] = None,
) -> TaskAnswer:
    """Record what you do, and what you delegate to other agents."""
    given = {"task": task, "description": description, "outcome": outcome, "insights": insights, "progress": progress}
    given |= {"phase": phase, "parent": parent, "to": to, "reason": reason, "type": type, "tokens": tokens, "run": run}
    said = _Said(orchestrator(ctx), voice(ctx), agent, _checked(action, given), again=sent_again(ctx))

    def write() -> TaskAnswer:
        return said.done(action)

    return await quickly(said.orchestrator, write)


def _checked(action: str, given: dict[str, Any]) -> dict[str, Any]:
    known = {name: value for name, value in given.items() if value is not None}
    for name in NEEDS[action]:
        if name not in known:
            raise InvalidInput(name, f"is required to {action} a task.", then=f"It needs: {', '.join(NEEDS[action])}.")
    for name in known:
        if name not in TAKES[action]:
            raise InvalidInput(name, f"is nothing that {action} takes.", allowed=sorted(TAKES[action]))
    return known


class _Said(NamedTuple):
    """What is said of a task, and by whom; an action is a method."""

    orchestrator: Orchestrator
    by: Voice
    agent: str | None
    given: dict[str, Any]
    again: bool

    def done(self, action: Action) -> TaskAnswer:
        name, given = self.by.name(self.agent), self.given
        tasks = self.orchestrator.memory.tasks
        task: str = given.get("task", "")
        spent = {"tokens_out": given.get("tokens", 0)}
        then = [f'log_task(action="finish", task="{task}", outcome=..., insights=[...]) ends it']
        match action:
            case "start":
                return self._started(name)
            case "progress":
                if self.again and spent["tokens_out"]:
                    raise NotReady(f"The orchestrator ended over this; {READ.format(task)} tells whether it was noted.")
                about = {"phase": given.get("phase"), "note": given.get("description")}
                one = tasks.progress(task, given.get("progress"), agent=name, **about, **spent)
            case "finish":
                about = {"insights": given.get("insights", ()), "note": given.get("description", "")}
                about |= {"run": self._run()}
                one = tasks.finish(task, given["outcome"], agent=name, **about, **spent)
                then = ['remember(text, kind="insight", evidence={"run": ...}) keeps what others should know']
            case "delegate":
                part = tasks.delegate(task, given["to"], given["reason"], agent=name, type=given.get("type", ""))
                one = tasks.get(task)
                then = [f'send_message(to=["{part.to}"], body=..., task="{task}", type="delegation") tells {part.to}']
            case "settle":
                part = _open(tasks.get(task).delegations, given)
                tasks.settle(task, part.number, given["outcome"], agent=name, note=given.get("description", ""))
                one = tasks.get(task)
        return TaskAnswer.of(one, then)

    def _started(self, name: str) -> TaskAnswer:
        given = self.given
        about: dict[str, Any] = {name: given.get(name, "") for name in ("type", "phase")}
        one = self.orchestrator.memory.tasks.start(
            name,
            given["description"],
            parent=given.get("parent"),
            run=self._run(),
            key=self.by.request,
            session=self.by.session,
            **about,
        )
        then = [f'log_task(action="finish", task="{one.uid}", outcome=..., insights=[...]) ends it']
        return TaskAnswer.of(one, [*then, "recall_memory(queries) tells what is known about such tasks"])

    def _run(self) -> str | None:
        return self.orchestrator.journal.run(self.given["run"]).id if "run" in self.given else None


READ = "memory://.../tasks/{}"


def _open(parts: list[Delegation], given: dict[str, Any]) -> Delegation:
    """Return the delegation that is meant: the only one to that agent of that type that is open, or ended like this."""
    fits = [one for one in parts if given.get("to") in {None, one.to} and given.get("type") in {None, one.type}]
    chosen = [one for one in fits if one.outcome == "open"] or [one for one in fits if one.outcome == given["outcome"]]
    if len({one.number for one in chosen}) == 1:
        return chosen[0]
    listed = [f"to={one.to} type={one.type or '-'} ({one.outcome})" for one in parts]
    if not parts:
        raise InvalidInput("task", "has no delegation.", then='log_task(action="delegate", ...) makes one.')
    raise InvalidInput("to", "does not say which delegation is meant.", allowed=listed)
