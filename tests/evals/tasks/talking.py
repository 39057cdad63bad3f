"""Agents that talk: answers, warnings, work that is taken or given away, and a name that somebody else has."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from orchestrator_memory.values import Message

from ..hands import Hands, hands
from ..person import Person
from ..task import Project, Task


def _acknowledged(letter: Message, agent: str) -> bool:
    return any(one.agent == agent and one.state == "acked" for one in letter.receipts)


def answered(project: Project) -> Iterable[str]:
    [question] = project.letters(subject="missing values")
    replies = project.letters(sender="data-engineer", reply_to=question.uid)
    if not any("age" in one.body and "spend" not in one.body and "ml-engineer" in one.to for one in replies):
        yield "No answer to ml-engineer names age, the one column with gaps."
    if not _acknowledged(question, "data-engineer"):
        yield "The question was not acknowledged."


async def answer(agent: Hands) -> None:
    box = await agent.call("read_messages", agent="data-engineer")
    [uid] = [one["uid"] for one in box["messages"]]
    seen = await agent.call("inspect_dataset", data="customers.csv")
    gaps = [one["name"] for one in seen["profile"]["columns"] if one["missing"]]
    await agent.call(
        "send_message",
        agent="data-engineer",
        to=[],
        reply_to=uid,
        body=f"Gaps are in: {', '.join(gaps)}.",
        type="result",
    )
    await agent.call("read_messages", agent="data-engineer", acknowledge=[uid])


async def answer_without_looking(agent: Hands) -> None:
    box = await agent.call("read_messages", agent="data-engineer")
    [uid] = [one["uid"] for one in box["messages"]]
    await agent.call("send_message", agent="data-engineer", to=[], reply_to=uid, body="None has gaps.")
    await agent.call("read_messages", agent="data-engineer", acknowledge=[uid])


def warned(project: Project) -> Iterable[str]:
    found = project.letters(sender="ml-orchestrator", type="warning", broadcast=True)
    if not any("loans.csv" in one.body for one in found):
        yield "No warning about loans.csv went to all."
    elif not any(one.priority in {"high", "urgent"} for one in found):
        yield "The warning is not of a high priority."


async def warn(agent: Hands) -> None:
    body = "loans.csv will be replaced tonight: finish what reads it."
    await agent.call("send_message", agent="ml-orchestrator", to=[], body=body, type="warning", priority="high")


async def warn_one(agent: Hands) -> None:
    body = "loans.csv will be replaced tonight."
    await agent.call(
        "send_message", agent="ml-orchestrator", to=["ml-engineer"], body=body, type="warning", priority="high"
    )


def claimed(project: Project) -> Iterable[str]:
    work = project.letters(type="work")
    done = [one for one in work if _acknowledged(one, "ml-engineer")]
    left = [one for one in work if any(two.state == "unread" for two in one.receipts)]
    if len(done) != 1 or len(left) != 1:
        yield f"{len(done)} pieces of work are done and {len(left)} wait, of {len(work)}."
        return
    replies = project.letters(sender="ml-engineer", reply_to=done[0].uid)
    if not any("160" in one.body and "ml-orchestrator" in one.to for one in replies):
        yield "ml-orchestrator did not get the number of rows."


async def claim(agent: Hands) -> None:
    box = await agent.call("read_messages", agent="ml-engineer", claim=1)
    [letter] = box["messages"]
    table = next(one for one in ("customers_march.csv", "customers_june.csv") if one in letter["text"])
    seen = await agent.call("inspect_dataset", data=table)
    body = f"{table} has {seen['rows']} rows."
    await agent.call("send_message", agent="ml-engineer", to=[], reply_to=letter["uid"], body=body, type="result")
    await agent.call("read_messages", agent="ml-engineer", acknowledge=[letter["uid"]])


async def claim_both(agent: Hands) -> None:
    box = await agent.call("read_messages", agent="ml-engineer", claim=2)
    uids = [one["uid"] for one in box["messages"]]
    await agent.call("send_message", agent="ml-engineer", to=[], reply_to=uids[0], body="160 rows.")
    await agent.call("read_messages", agent="ml-engineer", acknowledge=uids)


def handed_over(project: Project) -> Iterable[str]:
    parts = [part for one in project.tasks("ml-orchestrator") for part in one.delegations]
    if not any(one.to == "infrastructure-specialist" for one in parts):
        yield "No task has a part that is delegated to infrastructure-specialist."
    letters = project.letters(sender="ml-orchestrator", type="delegation")
    if not any("infrastructure-specialist" in one.to and one.task for one in letters):
        yield "infrastructure-specialist was not sent the delegation with its task."
    if project.journal.runs():
        yield "A run was started, which nobody has asked for."


async def hand_over(agent: Hands) -> None:
    me, to = "ml-orchestrator", "infrastructure-specialist"
    wish = "The disk under the state home is 95 % full, and nothing is backed up: move it, and back it up every night."
    task = (await agent.call("log_task", action="start", agent=me, description="Disk and backup"))["task"]
    await agent.call("log_task", action="delegate", agent=me, task=task, to=to, reason=wish, type="infrastructure")
    await agent.call("send_message", agent=me, to=[to], body=wish, task=task, type="delegation", ack=True)


async def tell_another(agent: Hands) -> None:
    me, to = "ml-orchestrator", "data-engineer"
    task = (await agent.call("log_task", action="start", agent=me, description="Disk and backup"))["task"]
    await agent.call("log_task", action="delegate", agent=me, task=task, to=to, reason="The disk is full.")
    await agent.call("send_message", agent=me, to=[to], body="The disk is full.", task=task, type="delegation")


def settled(project: Project) -> Iterable[str]:
    for one in project.tasks("ml-orchestrator"):
        if one.outcome != "running":
            yield f"The task {one.description!r} has ended as {one.outcome}."
        if [part.outcome for part in one.delegations] != ["success"]:
            yield f"The delegation stands as {[part.outcome for part in one.delegations]}."
    [letter] = project.letters(type="delegation_result")
    if not _acknowledged(letter, "ml-orchestrator"):
        yield "The result was not acknowledged."


async def settle(agent: Hands) -> None:
    me = "ml-orchestrator"
    box = await agent.call("read_messages", agent=me)
    [letter] = box["messages"]
    await agent.call("log_task", action="settle", agent=me, task=letter["task"], to="data-engineer", outcome="success")
    await agent.call("read_messages", agent=me, acknowledge=[letter["uid"]])


async def end_too_much(agent: Hands) -> None:
    await settle(agent)
    task = (await agent.call("read_messages", agent="ml-orchestrator"))["messages"]
    assert not task
    box = await agent.call("log_task", action="start", agent="ml-orchestrator", description="Churn model for May")
    await agent.call("log_task", action="finish", agent="ml-orchestrator", task=box["task"], outcome="success")


def logged(project: Project) -> Iterable[str]:
    found = project.tasks("performance-engineer")
    if [one.outcome for one in found] != ["partial"]:
        yield f"The tasks of performance-engineer ended as {[one.outcome for one in found]}."
    elif not found[0].insights:
        yield "The task has no insight."


async def log(agent: Hands) -> None:
    me = "performance-engineer"
    task = (await agent.call("log_task", action="start", agent=me, description="Trainings twice as fast"))["task"]
    learned = ["Half of the time of a training goes into the search"]
    await agent.call("log_task", action="finish", agent=me, task=task, outcome="partial", insights=learned)


async def log_success(agent: Hands) -> None:
    me = "performance-engineer"
    task = (await agent.call("log_task", action="start", agent=me, description="Trainings twice as fast"))["task"]
    await agent.call("log_task", action="finish", agent=me, task=task, outcome="success", insights=["It is fast now"])


def renamed(project: Project) -> Iterable[str]:
    if not any("weight" in one.body for one in project.kept("trainer-2", "insight")):
        yield "trainer-2 kept no insight about weight."
    if any("weight" in one.body for one in project.kept("trainer")):
        yield "It was kept under the name of somebody else."


async def take_another_name(agent: Hands) -> None:
    said = "Heavy orders come back: weight decides in orders.csv."
    await agent.refused("remember", text=said, agent="trainer", kind="insight")
    await agent.call("remember", text=said, agent="trainer-2", kind="insight")


async def take_any_name(agent: Hands) -> None:
    await agent.call("remember", text="weight decides in orders.csv.", agent="ml-engineer", kind="insight")


@asynccontextmanager
async def trainer(project: Path) -> AsyncGenerator[None]:
    """Be another session that works as trainer."""
    async with hands(project, Person(), name="colleague") as other:
        await other.call("remember", text="I am at work on houses.csv.", agent="trainer")
        yield


TASKS = [
    Task(
        id="answer-question",
        about="message",
        start="team",
        words="You are the agent data-engineer. A question waits in your inbox: answer it with what is really in the "
        "table, as a reply to who has asked, and acknowledge it.",
        check=answered,
        solve=answer,
        wrong=answer_without_looking,
    ),
    Task(
        id="warn-all",
        about="message",
        start="team",
        words="As the agent ml-orchestrator, send a message of the type warning and of high priority to all agents, "
        "also to those who come later: loans.csv will be replaced tonight.",
        check=warned,
        solve=warn,
        wrong=warn_one,
    ),
    Task(
        id="claim-work",
        about="message",
        start="team",
        words="You are the agent ml-engineer. Two pieces of work wait in your inbox, and others may take them as well. "
        "Claim exactly one, do it, answer it as a reply, and acknowledge it. The other one must stay as it is.",
        check=claimed,
        solve=claim,
        wrong=claim_both,
    ),
    Task(
        id="delegate-infrastructure",
        about="delegate",
        words="The disk under the state home of this project is 95 % full, and nothing is backed up. See to it that it "
        "is moved to a bigger disk and backed up every night.",
        check=handed_over,
        solve=hand_over,
        wrong=tell_another,
        agent="ml-orchestrator",
    ),
    Task(
        id="settle-delegation",
        about="delegate",
        start="team",
        words="You are the agent ml-orchestrator and have delegated the check of customers.csv. The result is in your "
        "inbox. If it is good, settle the delegation as a success and acknowledge the message. The task itself goes "
        "on: do not finish it, and start no other.",
        check=settled,
        solve=settle,
        wrong=end_too_much,
    ),
    Task(
        id="log-work",
        about="delegate",
        words="You are the agent performance-engineer. Log a task, that trainings are to become twice as fast, and "
        "finish it as a partial success with one insight: half of the time of a training goes into the search.",
        check=logged,
        solve=log,
        wrong=log_success,
    ),
    Task(
        id="recover-name",
        about="recover",
        words="You are the agent trainer. Keep in the shared memory as an insight that heavy orders come back, since "
        "the column weight decides in orders.csv. If another session works under your name at the moment, take the "
        "name trainer-2.",
        check=renamed,
        solve=take_another_name,
        wrong=take_any_name,
        beside=trainer,
    ),
]
