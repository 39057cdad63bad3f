"""Models judged: compared, explained, evaluated on new rows, where they fail, and what has drifted."""

from __future__ import annotations

from collections.abc import Iterable

from mcp_orchestrator.core.rows import RunRow

from ..hands import Hands
from ..task import GOOD, Project, Task
from .checks import fact

MARCH, APRIL, JUNE = "customers_march.csv", "customers_april.csv", "customers_june.csv"


def evaluated(project: Project, *models: str, source: str) -> RunRow | None:
    """Return the newest evaluation of one of the models (of both, where two are named) on a table."""
    for run in (one for one in project.runs("evaluate") if one.status in GOOD):
        asked = {_exact(project, run.spec[key]) for key in ("model", "against") if run.spec.get(key)}
        table = str((run.result or {}).get("data", {}).get("uri", ""))
        if asked == set(models) and table.startswith(f"dataset://{source.removesuffix('.csv')}@"):
            return run
    return None


def _exact(project: Project, ref: str) -> str:
    version = project.versions.get(ref)
    return f"{version.name}@{version.version}"


def compared(project: Project) -> Iterable[str]:
    if evaluated(project, "churn@1", "churn@2", source=MARCH) is None:
        yield "There is no evaluation of both versions on the rows of March."
    yield from fact(project, "better.txt", "1")


async def compare(hands: Hands) -> None:
    run = await hands.call(
        "run_ml_evaluation_workflow", model="churn@1", data=MARCH, against="churn@2", wait_seconds=50
    )
    difference = run["comparison"]["difference"]["value"]
    await hands.write("better.txt", "1" if difference > 0 else "2")


async def trust_the_newest(hands: Hands) -> None:
    await hands.call("run_ml_evaluation_workflow", model="churn@1", data=MARCH, against="churn@2", wait_seconds=50)
    await hands.write("better.txt", "2")


def explained(project: Project) -> Iterable[str]:
    yield from fact(project, "important.txt", "tenure")


async def explain(hands: Hands) -> None:
    found = await hands.invoke("ml_integration", "explain", model="churn@1", data="customers.csv")
    first = max(found["features"], key=lambda one: one["importance"])
    await hands.write("important.txt", first["name"])


async def guess(hands: Hands) -> None:
    await hands.write("important.txt", "spend")


def sliced(project: Project) -> Iterable[str]:
    if evaluated(project, "churn@1", source=APRIL) is None:
        yield "There is no evaluation of churn 1 on the rows of April."
    yield from fact(project, "worst.txt", "west")


async def find_slice(hands: Hands) -> None:
    spec = {"slices": ["region", "plan"]}
    run = await hands.call("run_ml_evaluation_workflow", model="churn", data=APRIL, spec=spec, wait_seconds=50)
    worst = next(one for one in run["slices"] if one["column"] == "region")
    await hands.write("worst.txt", worst["value"])


async def name_another_slice(hands: Hands) -> None:
    await hands.call("run_ml_evaluation_workflow", model="churn", data=APRIL, wait_seconds=50)
    await hands.write("worst.txt", "north")


def kept(project: Project) -> Iterable[str]:
    run = evaluated(project, "churn@1", source=MARCH)
    if run is None:
        yield "There is no evaluation of churn on the rows of March."
        return
    facts = project.kept("mlops-specialist", "fact")
    if not facts:
        yield "mlops-specialist kept no fact."
    elif not any(run.id in one.evidence.get("runs", []) or one.evidence.get("run") == run.id for one in facts):
        yield "The fact does not name the evaluation as its evidence."


async def evaluate_and_keep(hands: Hands) -> None:
    run = await hands.call("run_ml_evaluation_workflow", model="churn", data=MARCH, wait_seconds=50)
    found = run["metrics"]["recall"]["value"]
    await hands.call(
        "remember",
        text=f"churn has a recall of {found:.2f} on the rows of March.",
        agent="mlops-specialist",
        kind="fact",
        evidence={"run": run["run_id"], "model": "churn@1", "metrics": {"recall": found}},
    )


async def keep_without_looking(hands: Hands) -> None:
    await hands.call("remember", text="churn does well on March.", agent="mlops-specialist", kind="fact")


def drifted(project: Project) -> Iterable[str]:
    yield from fact(project, "drift.txt", "spend")
    letters = project.letters(sender="ml-orchestrator")
    if not any("spend" in one.body and "mlops-specialist" in one.to for one in letters):
        yield "mlops-specialist was not told of spend."


async def find_drift(hands: Hands) -> None:
    run = await hands.call("run_ml_evaluation_workflow", model="churn", data=JUNE, wait_seconds=50)
    [column] = run["drift"]["drifted"]
    await hands.write("drift.txt", column)
    body = f"{column} has drifted in {JUNE}: run {run['run_id']}."
    await hands.call(
        "send_message", agent="ml-orchestrator", to=["mlops-specialist"], body=body, type="warning", priority="high"
    )


async def suspect_another(hands: Hands) -> None:
    await hands.write("drift.txt", "age")
    await hands.call("send_message", agent="ml-orchestrator", to=["mlops-specialist"], body="age has drifted.")


TASKS = [
    Task(
        id="compare-versions",
        about="compare",
        start="models",
        words="There are two versions of the model churn. Find out by an evaluation of one against the other on "
        "customers_march.csv, which neither has seen, which is better. Write the number of the better version into "
        "better.txt, and nothing else.",
        check=compared,
        solve=compare,
        wrong=trust_the_newest,
    ),
    Task(
        id="explain-model",
        about="explain",
        start="models",
        words="Which column matters most to version 1 of the model churn? Write its name into important.txt, and "
        "nothing else.",
        check=explained,
        solve=explain,
        wrong=guess,
    ),
    Task(
        id="explain-slice",
        about="explain",
        start="models",
        words="The champion of churn does badly on customers_april.csv, but not everywhere. Evaluate it on that table "
        "and find the region in which it errs most. Write the name of the region into worst.txt, and nothing else.",
        check=sliced,
        solve=find_slice,
        wrong=name_another_slice,
    ),
    Task(
        id="evaluate-and-keep",
        about="evaluate",
        start="models",
        words="Evaluate the champion of churn on customers_march.csv. Then keep its recall there in the shared memory "
        "as a fact of the agent mlops-specialist, with that evaluation as its evidence.",
        check=kept,
        solve=evaluate_and_keep,
        wrong=keep_without_looking,
    ),
    Task(
        id="find-drift",
        about="drift",
        start="models",
        words="One column of customers_june.csv has drifted from what the model churn was trained on. Find out which "
        "and write its name into drift.txt, nothing else. Then, as the agent ml-orchestrator, tell the agent "
        "mlops-specialist in a message which one it is.",
        check=drifted,
        solve=find_drift,
        wrong=suspect_another,
    ),
]
