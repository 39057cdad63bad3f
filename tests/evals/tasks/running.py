"""Runs: graphs of one's own, questions to people, and runs that were paused, failed or were cut off."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.rows import Status

from ..hands import Hands
from ..task import GOOD, Project, Task
from .checks import trained

SPLIT: dict[str, Any] = {
    "name": "split",
    "component": "training_data_loader",
    "capability": "split",
    "params": {"data": "orders_new.csv", "target": "returned", "seed": 1},
}


TRAIN: dict[str, Any] = {
    "name": "train",
    "component": "ml_integration",
    "capability": "train",
    "params": {"data": {"$from": "split.train.uri"}, "target": "returned", "estimator": "linear", "seed": 1},
}


def raced(project: Project) -> Iterable[str]:
    for run in project.runs("custom"):
        if run.status not in GOOD:
            continue
        steps = list(project.steps(run).values())
        tried = {one.params.get("estimator") for one in steps if one.capability == "train" and one.status == "done"}
        tests = [one for one in steps if one.capability in {"evaluate", "validate"} and one.status == "done"]
        if {"linear", "neighbors"} <= tried and len(tests) >= 2 and any(one.capability == "split" for one in steps):
            return
    yield "No graph that has ended split the table, trained linear and neighbors, and tested both."


async def race(hands: Hands) -> None:
    each = {"each": ["linear", "neighbors"], "params": TRAIN["params"] | {"estimator": {"$item": ""}}}
    test = {
        "name": "test",
        "component": "ml_integration",
        "capability": "evaluate",
        "each": {"$from": "train"},
        "params": {"model": {"$item": "model.uri"}, "data": {"$from": "split.test.uri"}, "metrics": ["accuracy"]},
    }
    await _run(hands, "race", SPLIT, TRAIN | each, test)


async def race_alone(hands: Hands) -> None:
    await _run(hands, "race", SPLIT, TRAIN)


async def _run(hands: Hands, name: str, *steps: dict[str, Any]) -> None:
    graph = {"name": name, "steps": list(steps)}
    await hands.ended(await hands.call("run_workflow", graph=graph, wait_seconds=50))


def asking(project: Project) -> Iterable[str]:
    versions = project.models("asked")
    if not versions:
        yield "No model is called asked."
    for version in versions:
        decided = project.journal.approvals(version.run) if version.run else []
        if not any(one.status == "approved" for one in decided):
            yield f"Nobody has said yes in the run that registered asked {version.version}."


KEEP: dict[str, Any] = {
    "name": "keep",
    "component": "production_registry",
    "capability": "register",
    "params": {"model": {"$from": "train.model.uri"}, "name": "asked"},
}


async def ask(hands: Hands) -> None:
    sure = {"name": "sure", "approval": "Shall the model be registered?", "after": ["train"]}
    await _run(hands, "asked", SPLIT, TRAIN, sure, KEEP | {"after": ["sure"]})


async def register_at_once(hands: Hands) -> None:
    await _run(hands, "asked", SPLIT, TRAIN, KEEP)


def cancelled(project: Project) -> Iterable[str]:
    yield from _stand(project, houses=(Status.CANCELLED,), customers=(Status.PAUSED,))


def resumed(project: Project) -> Iterable[str]:
    yield from _stand(project, houses=(Status.PAUSED,), customers=GOOD)


def _stand(project: Project, **expected: tuple[Status, ...]) -> Iterable[str]:
    for name, states in expected.items():
        found = project.runs("train", data=f"{name}.csv")
        if [one.status for one in found if one.status not in states] or not found:
            yield f"Trainings on {name}.csv: {', '.join(one.status for one in found)}."


async def cancel(hands: Hands) -> None:
    await hands.call("control_run", run_id=await _paused(hands, "houses.csv"), action="cancel")


async def resume(hands: Hands) -> None:
    run = await hands.call("control_run", run_id=await _paused(hands, "customers.csv"), action="resume")
    await hands.ended(await hands.call("get_run", run_id=run["run_id"], wait_seconds=50))


async def cancel_both(hands: Hands) -> None:
    for table in ("houses.csv", "customers.csv"):
        await hands.call("control_run", run_id=await _paused(hands, table), action="cancel")


async def _paused(hands: Hands, table: str) -> str:
    listed = await hands.call("list_runs", status="paused")
    [run] = [one["run_id"] for one in listed["runs"] if table in one["about"]]
    return run


def repaired(project: Project) -> Iterable[str]:
    runs = project.runs("custom")
    failed = [one.id for one in runs if one.status is Status.FAILED]
    good = [one for one in runs if one.status in GOOD and one.spec["graph"].get("name") == "nightly"]
    steps = [step for one in good for step in project.steps(one).values()]
    if not any(one.capability == "train" and one.params.get("target") == "price" for one in steps):
        yield "No graph nightly that has ended well trains for price."
    lessons = project.kept("ml-engineer", "lesson")
    if not any("price" in one.body and set(failed) & set(one.evidence.get("runs", [])) for one in lessons):
        yield "ml-engineer kept no lesson about price with the failed run as its evidence."


async def repair(hands: Hands) -> None:
    failed = (await hands.call("list_runs", status="failed"))["runs"][0]
    assert "price" in failed["error"]
    await _nightly(hands, "price")
    await hands.call(
        "remember",
        text="The graph nightly failed since its target is called price, not prize.",
        agent="ml-engineer",
        kind="lesson",
        evidence={"run": failed["run_id"]},
    )


async def repair_something_else(hands: Hands) -> None:
    await _nightly(hands, "rooms")
    await hands.call("remember", text="nightly works again", agent="ml-engineer", kind="lesson")


async def _nightly(hands: Hands, target: str) -> None:
    train = TRAIN | {"params": TRAIN["params"] | {"target": target}}
    await _run(hands, "nightly", SPLIT | {"params": {"data": "houses.csv"}}, train)


def finished(project: Project) -> Iterable[str]:
    runs = project.runs("train")
    if len(runs) != 1:
        yield f"There are {len(runs)} trainings, not one."
    yield from trained(project, "churn", "churned")
    text = project.text("run.txt")
    if text is None or not any(one.id == text and one.status in GOOD for one in runs):
        yield f"run.txt says {text!r}, which is no run that ended well."


async def see_to_the_end(hands: Hands) -> None:
    [line] = (await hands.call("list_runs"))["runs"]
    run = await hands.ended(await hands.call("get_run", run_id=line["run_id"], wait_seconds=50))
    await hands.write("run.txt", run["run_id"])


async def begin_another(hands: Hands) -> None:
    run = await hands.train("customers.csv", "churned", "churn")
    await hands.write("run.txt", run["run_id"])


def survived(project: Project) -> Iterable[str]:
    yield from trained(project, "churn", "churned", better_than=0.8)
    if len(project.runs("train")) > 1:
        yield "More than one training was started."


async def go_on(hands: Hands) -> None:
    await hands.train("customers.csv", "churned", "churn", tuning={"trials": 4})


async def start_twice(hands: Hands) -> None:
    for seed in (0, 1):
        await hands.train("customers.csv", "churned", "churn", seed=seed)


@asynccontextmanager
async def power_cut(project: Path) -> AsyncGenerator[None]:
    """Kill the host with -9 once, as soon as a training has split its table."""
    async with anyio.create_task_group() as group:
        group.start_soon(_kill_once, project / ".mcp-orchestrator")
        yield
        group.cancel_scope.cancel()


async def _kill_once(home: Path) -> None:
    while not (home / "orchestrator.db").exists():
        await anyio.sleep(0.02)
    journal = Journal(home)
    try:
        while True:
            host = Leadership(home, "host").leader()
            runs = journal.runs(workflow="train", status=[Status.RUNNING])
            if host and any(step.name == "split" and step.finished for one in runs for step in journal.steps(one.id)):
                with suppress(ProcessLookupError):
                    os.kill(host.pid, signal.SIGKILL)
                return
            await anyio.sleep(0.01)
    finally:
        journal.close()


TASKS = [
    Task(
        id="graph-race",
        about="custom graph",
        words="Run a workflow of your own, as one graph: split orders_new.csv by the target returned, train the "
        "estimators linear and neighbors on the training part, and evaluate both on the test part.",
        check=raced,
        solve=race,
        wrong=race_alone,
    ),
    Task(
        id="graph-approval",
        about="custom graph",
        words="Run a workflow of your own, as one graph: split orders_new.csv by the target returned, train the "
        "estimator linear on the training part, then ask a person whether the model shall be registered, and only "
        "after a yes register it under the name asked. See that it comes to its end; do not answer the question "
        "yourself.",
        check=asking,
        solve=ask,
        wrong=register_at_once,
        asks=((),),
    ),
    Task(
        id="cancel-run",
        about="cancel",
        start="stopped",
        words="Two trainings are paused. Cancel the one on houses.csv, and leave the other one as it is.",
        check=cancelled,
        solve=cancel,
        wrong=cancel_both,
    ),
    Task(
        id="resume-run",
        about="recover",
        start="stopped",
        words="Two trainings are paused. Have the one on customers.csv go on to its end, and leave the other one as it "
        "is. Start no new training.",
        check=resumed,
        solve=resume,
        wrong=cancel_both,
    ),
    Task(
        id="repair-graph",
        about="recover",
        start="stopped",
        words="The graph nightly failed. Find out why, and run it (under the same name) so that it ends well and "
        "trains for the column that was meant. Then keep what went wrong in the shared memory as a lesson of the agent "
        "ml-engineer, with the failed run as its evidence; name the right column in it.",
        check=repaired,
        solve=repair,
        wrong=repair_something_else,
    ),
    Task(
        id="recover-cut-run",
        about="recover",
        start="cut",
        words="A training was at work when the machine lost its power. See to it that this very run comes to its end, "
        "without starting another training, and write its run id (all of it) into run.txt, nothing else.",
        check=finished,
        solve=see_to_the_end,
        wrong=begin_another,
    ),
    Task(
        id="recover-killed-server",
        about="recover",
        words="Train a model for churned on customers.csv, with 4 trials, and register it as churn. The machine is not "
        "reliable: if the server goes down meanwhile, see to it that the one training comes to its end all the same.",
        check=survived,
        solve=go_on,
        wrong=start_twice,
        beside=power_cut,
    ),
]
