"""Prompts about the memory: a task begun with what is known, ended with what was learned, handed on; insights judged.

What agents wrote stands in frames with one number for each prompt, below the sentence that says that it is data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.prompts import Prompt
from mcp.server.mcpserver.prompts.base import PromptArgument
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS

from mcp_orchestrator.errors import OrchestratorError, reject_unknown
from mcp_orchestrator.server.frames import framed
from mcp_orchestrator.server.memory import digest, task_of
from mcp_orchestrator.server.results import compact, finite
from mcp_orchestrator.server.session import Session, orchestrator
from orchestrator_memory.errors import MemoryFailure, NotFound
from orchestrator_memory.names import agent_name

if TYPE_CHECKING:
    from orchestrator_memory.marking import Marked
    from orchestrator_memory.store import MemoryStore

__all__ = ["publish"]

Briefing = Callable[["MemoryStore", dict[str, str]], str]
FEW, MANY = 6, 30
AGENT = PromptArgument(name="agent", description="The agent, such as ml-orchestrator.", required=True)
LEARNED = ("insight", "pattern", "decision", "fact", "baseline", "lesson")


def publish(server: MCPServer[Any]) -> None:
    """Add the prompts to a server; made by hand, since the SDK's way takes a model of pydantic for each."""
    task = PromptArgument(name="task", description="What is to be done, in words.", required=True)
    of_task = PromptArgument(name="task", description="The task: its id.", required=True)
    to = PromptArgument(name="to", description="Who gets it.", required=True)
    whose = AGENT.model_copy(update={"description": "Whose; of all when it is left out.", "required": False})
    for briefing, title, arguments in (
        (start_task, "Begin a task", [AGENT, task]),
        (finish_task, "End a task", [AGENT, of_task]),
        (handoff, "Hand a task on", [to, of_task]),
        (review_insights, "Review insights", [whose]),
    ):
        prompt = Prompt(
            name=briefing.__name__,
            title=title,
            description=briefing.__doc__,
            arguments=arguments,
            fn=_rendering(briefing, {one.name for one in arguments}),
            icons=None,
            context_kwarg="ctx",
        )
        server.add_prompt(prompt)


def start_task(store: MemoryStore, given: dict[str, str]) -> str:
    """Begin a task with what the agent did before, what was learned about such tasks, and the messages that wait."""
    name, task = given["agent"], given["task"]
    marks = framed()
    try:
        known: dict[str, Any] = digest(store, name, marks.nonce)
    except NotFound:
        known = {"agent": name, "waiting": 0}
    found = store.memories.recall([task], most=FEW).hits
    uids = [one.memory.uid for one in found]
    return f"""\
You work as the agent {name}. Your task: {task}

{marks.note}

What you did and found out before: {_json(known)}

What was learned about such tasks:
{_listed(uids, framed(found, marks.nonce))}

1. log_task(action="start", agent="{name}", description=...) gives the task its id.
2. {known["waiting"]} messages wait: read_messages(agent="{name}") before you begin; they may change the task.
3. Weigh what was learned by its trust and its age; say remember(helped=[uid]) or remember(misled=[uid]) once you know.
4. While you work: log_task(action="progress", ...). What another agent does better, delegate it:
   log_task(action="delegate") writes it down, send_message(to=[...], task=...) tells it.
5. End with the prompt finish_task."""


def finish_task(store: MemoryStore, given: dict[str, str]) -> str:
    """End a task: its outcome, what others should know, what is still open."""
    name, marks = given["agent"], framed()
    task = task_of(store, given["task"], marks.nonce)
    return f"""\
You work as the agent {name} and end a task.

{marks.note}

The task as it stands: {_json(task)}

1. Say honestly how it ended: success, partial (and what is missing), failure (and why) or cancelled.
2. Delegations that are open: ask by send_message, or log_task(action="settle", task=..., to=..., outcome=...).
3. log_task(action="finish", agent="{name}", task="{task["task"]}", outcome=..., insights=[...]).
4. What holds beyond this task: remember(text=..., kind=..., evidence={{"run": ..., "model": ...}}), one finding each,
   with the figures that prove it. What it makes obsolete goes into supersedes.
5. Who waits for the result gets send_message(reply_to=...); read_messages(acknowledge=[...]) what is done with."""


def handoff(store: MemoryStore, given: dict[str, str]) -> str:
    """Hand a task, or a part of it, to another agent, with all that it needs to know."""
    to, marks = agent_name(given["to"], "to"), framed()
    task = task_of(store, given["task"], marks.nonce)
    counted = [one for one in store.collaboration.whom(most=MANY) if one.other == to]
    record = [one.model_dump(include={"attempts", "successes", "rate"}) for one in counted]
    return f"""\
Hand this task, or a part of it, to the agent {to}.

{marks.note}

The task: {_json(task)}
How what was delegated to {to} went so far: {_json({"counted": record}) if record else "nothing was yet."}

1. log_task(action="delegate", task="{task["task"]}", to="{to}", reason=..., type=...) writes it down.
2. send_message(to=["{to}"], type="delegation", task="{task["task"]}", ack=true, body=...). The body stands alone: what
   is wanted and why, the data and models by reference (dataset://, name@version, run ids), what was tried, by what it
   will be judged, the limit of time.
3. When the answer is there: check it against what was asked, then log_task(action="settle", task="{task["task"]}",
   to="{to}", outcome=...), which counts for how well you work together."""


def review_insights(store: MemoryStore, given: dict[str, str]) -> str:
    """Judge what was learned: what still holds, what is proved, what contradicts."""
    agent = given.get("agent") or None
    found = store.memories.list(kinds=LEARNED, agent=agent, most=MANY)
    marks = framed()
    return f"""\
Review what {f"the agent {agent}" if agent else "the agents of this project"} learned, the newest first.

{marks.note}

{_listed([one.uid for one in found], framed(found, marks.nonce))}

For each: does it still hold? Is it proved (trust 2 or 3), or could a run prove it? Do two contradict each other, or say
the same? Then remember(helped=[uid, ...]) what proved right, remember(misled=[uid, ...]) what proved wrong, and
remember(text=..., supersedes=[uid, ...], evidence=...) what should replace several. Change nothing that you cannot
judge; list that, with what would settle it."""


def _rendering(briefing: Briefing, known: set[str]) -> Callable[..., Any]:
    async def render(ctx: Session, **given: str) -> str:
        held = orchestrator(ctx)
        try:
            reject_unknown(given, known, what=f"The prompt {briefing.__name__}")
            return await to_thread.run_sync(lambda: briefing(held.memory, given))
        except (OrchestratorError, MemoryFailure) as error:
            raise MCPError(INVALID_PARAMS, str(error)) from error

    return render


def _listed(uids: list[str], frames: Marked) -> str:
    return "\n".join(f"{uid}:\n{text}" for uid, text in zip(uids, frames.texts, strict=True)) or "nothing yet."


def _json(facts: dict[str, Any]) -> str:
    return compact(finite({name: value for name, value in facts.items() if name != "note" and value is not None}))
