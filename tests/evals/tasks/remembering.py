"""What the team knows: found, used, corrected, and kept for others."""

from __future__ import annotations

from collections.abc import Iterable

from ..hands import Hands
from ..task import Project, Task
from .checks import fact, trained


def heeded(project: Project) -> Iterable[str]:
    yield from trained(project, "loans", "defaulted")
    for version in project.models("loans"):
        if "officer_grade" in project.columns(version):
            yield f"loans {version.version} was trained with officer_grade."


async def heed(hands: Hands) -> None:
    found = await hands.call("recall_memory", queries=["column of loans.csv that must not be used", "leak in loans"])
    assert "officer_grade" in found["memories"][0]["text"]
    await hands.train("loans.csv", "defaulted", "loans", features=[{"name": "officer_grade", "kind": "drop"}])


async def train_without_asking(hands: Hands) -> None:
    await hands.train("loans.csv", "defaulted", "loans")


def current(project: Project) -> Iterable[str]:
    yield from fact(project, "limit.txt", "0.85")


async def recall_current(hands: Hands) -> None:
    found = await hands.call("recall_memory", queries=["recall from which a churn model may go live"])
    [text] = [one["text"] for one in found["memories"] if "go live" in one["text"]]
    await hands.write("limit.txt", text.split("a recall of ")[1].split(" on")[0])


async def recall_outdated(hands: Hands) -> None:
    await hands.write("limit.txt", "0.70")


def corrected(project: Project) -> Iterable[str]:
    for one in project.memory.memories.list(agent="trainee", superseded=True):
        if one.superseded_by is None:
            yield "What the trainee wrote still stands."
            continue
        new = project.memory.memories.get(one.superseded_by)
        if new.agent != "ml-engineer" or "tenure" not in new.body:
            yield f"It was replaced by {new.agent}: {new.body[:80]!r}."


async def correct(hands: Hands) -> None:
    found = await hands.call("recall_memory", queries=["what decides who leaves in customers.csv"], agent="trainee")
    run = await hands.train("customers.csv", "churned", "churn")
    first = max(run["importance"], key=lambda one: one["importance"])["name"]
    await hands.call(
        "remember",
        text=f"In customers.csv {first} decides who leaves; the region does not matter.",
        agent="ml-engineer",
        kind="insight",
        evidence={"run": run["run_id"]},
        supersedes=[found["memories"][0]["uid"]],
    )


async def contradict(hands: Hands) -> None:
    await hands.call(
        "remember", text="In customers.csv tenure decides who leaves.", agent="ml-engineer", kind="insight"
    )


def decided(project: Project) -> Iterable[str]:
    found = project.kept("ml-orchestrator", "decision")
    chosen = [one for one in found if "average_precision" in one.body.replace(" ", "_")]
    if not chosen:
        yield "ml-orchestrator kept no decision for average precision."
    elif not any(one.data.get("rationale") for one in chosen):
        yield "The decision has no rationale in its details."


async def decide(hands: Hands) -> None:
    await hands.call(
        "remember",
        text="Churn models are chosen by average_precision from now on.",
        agent="ml-orchestrator",
        kind="decision",
        details={"rationale": "only a tenth of the customers leave", "alternatives": ["accuracy"]},
    )


async def note(hands: Hands) -> None:
    await hands.call("remember", text="Churn models: average_precision.", agent="ml-orchestrator")


def shared(project: Project) -> Iterable[str]:
    entry = project.memory.context.get("objectives")
    if entry.value != {"target": "churned", "recall": 0.9, "until": "May"}:
        yield f"The objectives are {entry.value}."
    elif entry.by != "ml-engineer":
        yield f"{entry.by} changed them."


async def share(hands: Hands) -> None:
    read = await hands.call("share_context", key="objectives")
    version = read["context"][0]["version"]
    await hands.call("share_context", key="objectives", value={"recall": 0.9}, expected=version, agent="ml-engineer")


async def share_elsewhere(hands: Hands) -> None:
    await hands.call("share_context", key="objective", value={"recall": 0.9}, expected=0, agent="ml-engineer")


def outlined(project: Project) -> Iterable[str]:
    entry = project.memory.context.get("phase")
    if not isinstance(entry.value, dict) or entry.value.get("name") != "training":
        yield f"The phase is {entry.value!r}."


async def outline(hands: Hands) -> None:
    await hands.call("share_context", key="phase", value={"name": "training"}, expected=0, agent="ml-orchestrator")


async def outline_in_words(hands: Hands) -> None:
    await hands.call("share_context", key="phase", value="we train", expected=0, agent="ml-orchestrator")


TASKS = [
    Task(
        id="recall-lesson",
        about="recall",
        start="team",
        words="Train a model for defaulted on loans.csv and register it as loans. Somebody of the team has found out "
        "that one column must not be used, and why: look into the shared memory, and leave that column out. Keep the "
        "search short: at most 4 trials and 20 seconds.",
        check=heeded,
        solve=heed,
        wrong=train_without_asking,
    ),
    Task(
        id="recall-current",
        about="recall",
        start="team",
        words="What recall must a churn model have before it may go live? The shared memory has what was decided last. "
        "Write the number into limit.txt, and nothing else.",
        check=current,
        solve=recall_current,
        wrong=recall_outdated,
    ),
    Task(
        id="correct-memory",
        about="remember",
        start="team",
        words="In the shared memory the agent trainee says that in customers.csv the region decides who leaves. That "
        "is wrong. Find out with a quick training which column really decides, and keep that as an insight of the "
        "agent ml-engineer that replaces (supersedes) what the trainee wrote.",
        check=corrected,
        solve=correct,
        wrong=contradict,
    ),
    Task(
        id="keep-decision",
        about="remember",
        start="team",
        words="As the agent ml-orchestrator, keep in the shared memory the decision that churn models are chosen by "
        "average_precision from now on. Its rationale, which belongs to the details of the decision: only a tenth of "
        "the customers leave.",
        check=decided,
        solve=decide,
        wrong=note,
    ),
    Task(
        id="share-objective",
        about="share context",
        start="team",
        words="What all agents share has objectives. As the agent ml-engineer, raise the recall in them to 0.9, and "
        "leave the rest of the objectives as it is.",
        check=shared,
        solve=share,
        wrong=share_elsewhere,
    ),
    Task(
        id="share-phase",
        about="share context",
        words="As the agent ml-orchestrator, tell all agents through the shared context under the key phase that the "
        'phase has the name training: the value is an object whose field name is "training".',
        check=outlined,
        solve=outline,
        wrong=outline_in_words,
    ),
]
