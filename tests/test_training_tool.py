"""The main job over the protocol: a messy table becomes a model that outlives the server; and what is refused."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest
from mcp import Client
from served import facts, gone, over_stdio, text

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import build

pytestmark = pytest.mark.anyio
GOOD = ["works well", "love it", "all is fine, thank you"]
BAD = ["refund now, please", "bad service", "never again, refund"]
FAST = {"families": ["linear"], "ensemble": "none"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "orchestrator.toml").write_text("workers = 2\n")
    customers(tmp_path / "customers.csv", 240)
    return tmp_path


def customers(path: Path, rows: int) -> None:
    """Write a table with text, numbers, dates and missing values, 30 % of whose rows are of one class."""
    chance = random.Random(7)  # noqa: S311 - a table
    lines = ["comment,age,income,joined,city,churned"]
    for row in range(rows):
        leaves = row % 10 < 3
        comment = chance.choice(BAD if leaves != (chance.random() < 0.15) else GOOD)
        age = "" if chance.random() < 0.1 else str(round(chance.gauss(52 if leaves else 38, 9)))
        joined = f"20{chance.randint(10, 24)}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}"
        city = chance.choice(["Rome", "Oslo", "Lima", ""])
        lines.append(
            f'"{comment} {row}",{age},{chance.gauss(30000, 5000):.2f},{joined},{city},{"yes" if leaves else "no"}'
        )
    path.write_text("\n".join(lines) + "\n")


RECORDS = [
    {"comment": "refund now, please", "age": 60, "income": 28000, "joined": "2012-03-04", "city": "Rome"},
    {"comment": "love it", "age": None, "income": 31000.5, "joined": "2023-01-31", "city": None},
]


@pytest.mark.slow
@pytest.mark.requirement("training.tables", "engine.steps")
@pytest.mark.requirement("mcp.train", "mcp.evaluate", "mcp.restart")
async def test_three_calls_take_a_table_to_a_model_that_answers_the_same_after_a_restart(project: Path) -> None:
    told: list[float] = []

    async def tell(progress: float, total: float | None, message: str | None) -> None:
        del total, message
        told.append(progress)

    async with over_stdio(project) as client:
        seen = facts(await client.call_tool("inspect_dataset", {"data": "customers.csv", "target": "churned"}))
        kinds = {one["name"]: one["kind"] for one in seen["profile"]["columns"]}
        assert (kinds["comment"], kinds["age"], kinds["joined"]) == ("text", "numeric", "date")
        training = {"data": seen["uri"], "target": "churned", "name": "churn", "trials": 3, "wait_seconds": 50}
        run = facts(
            await client.call_tool("run_ml_training_workflow", {**training, "spec": FAST}, progress_callback=tell)
        )
        assert run["status"] in {"succeeded", "degraded"}, run
        assert {"run_id", "degraded", "steps", "baseline", "leaderboard", "artifacts", "next"} <= run.keys()
        assert all(step["status"] in {"done", "skipped"} for step in run["steps"])
        assert (run["model"]["name"], run["model"]["version"]) == ("churn", 1)
        measured = run["metrics"]["roc_auc"]
        assert measured["low"] <= measured["value"] <= measured["high"]
        assert measured["value"] > run["baseline"]["roc_auc"]
        assert all(Path(one["path"]).is_file() for one in run["artifacts"])
        assert told == sorted(set(told))
        asked = facts(await client.call_tool("predict", {"model": "churn", "records": RECORDS}))
        assert len(asked["predictions"]) == len(asked["probabilities"]) == 2
        assert [round(sum(one.values()), 9) for one in asked["probabilities"]] == [1, 1]
    async with over_stdio(project, "legacy") as client:
        assert facts(await client.call_tool("predict", {"model": "churn", "records": RECORDS})) == asked
        tested = await client.call_tool("run_ml_evaluation_workflow", {"model": "churn", "data": "customers.csv"})
        assert facts(tested)["metrics"]["roc_auc"]["value"] > run["baseline"]["roc_auc"]
        again = facts(await client.call_tool("get_run", {"run_id": run["run_id"], "detail": "full"}))
        assert again["metrics"] == run["metrics"]
        assert again["spec"]["tuning"]["trials"] == 3


@pytest.mark.slow
@pytest.mark.requirement("engine.cancel", "mcp.long")
async def test_a_cancelled_training_frees_the_processor_while_the_server_goes_on_answering(project: Path) -> None:
    customers(project / "many.csv", 4000)
    async with over_stdio(project) as client:
        training = {"data": "many.csv", "target": "churned", "trials": 500, "seconds": 600, "wait_seconds": 0}
        run = facts(await client.call_tool("run_ml_training_workflow", training))["run_id"]
        with anyio.fail_after(45):
            while not (busy := await searching(client, run)):
                await anyio.sleep(0.05)
        stopped = facts(await client.call_tool("control_run", {"run_id": run, "action": "cancel"}))
        assert stopped["status"] == "cancelled"
        await gone(busy)
        assert facts(await client.call_tool("get_run", {"run_id": run}))["status"] == "cancelled"
        assert facts(await client.call_tool("find_models"))["models"] == []


async def searching(client: Client, run: str) -> list[psutil.Process]:
    """Return the worker that searches and its children, once they have used processors for a second."""
    steps = facts(await client.call_tool("get_run", {"run_id": run, "wait_seconds": 0}))["steps"]
    if not any((one["name"], one["status"]) == ("tune", "running") for one in steps):
        return []
    [server] = [one for one in psutil.Process().children() if "serve" in one.cmdline()]
    leaders = [one for starter in server.children() for one in starter.children() if one.children()]
    search = [one for leader in leaders for one in (leader, *leader.children(recursive=True))]
    return search if sum(map(used, search)) > 1 else []


def used(process: psutil.Process) -> float:
    """Return the processor seconds of a process; none when it is gone."""
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0
    return times.user + times.system


# What is refused -----------------------------------------------------------------------------------------------------


ROWS = "".join(f"{row % 7},{'ab'[row % 2]}\n" for row in range(20))
REFUSED: dict[str, tuple[str | None, dict[str, Any], str]] = {
    "a file that is not there": (None, {"data": "t.csx"}, r"t\.csx.*t\.csv"),
    "an empty file": ("", {}, r"t\.csv.*empty"),
    "a file outside the roots": (None, {"data": "/etc/passwd"}, r"/etc/passwd.*outside.*ROOTS"),
    "a path that climbs out": (None, {"data": "../t.csv"}, r"\.\./t\.csv.*outside"),
    "an address": (None, {"data": "http://127.0.0.1/t.csv"}, r"http:// addresses are not read.*Download"),
    "the address of a file": (None, {"data": "file:///etc/passwd"}, r"file:// addresses are not read"),
    "an address of nothing": (None, {"data": "://"}, r"data"),
    "an address of ours that is no table": (None, {"data": "run://"}, r"query.*database"),
    "a database that is not there": (None, {"data": "sqlite:///t.db"}, r"t\.db"),
    "a target that is not there": (None, {"target": "z"}, r"target.*'z'.*y"),
    "one class": ("x,y\n" + "1,a\n2,a\n3,a\n" * 9, {}, r"'y'.*every row is of the class 'a'"),
    "a class with one row": ("x,y\n" + ROWS + "9,c\n", {}, r"'y', row 21: the class 'c' has one row.*add rows"),
    "a target that is all missing": ("x,y\n" + "1,\n2,\n" * 9, {}, r"'y': has no value at all.*Choose another"),
    "one row": ("x,y\n1,a\n", {}, r"1 row"),
    "duplicate columns": (
        "x,x,y\n" + "1,2,a\n2,3,b\n" * 9,
        {},
        r"'x': 2 columns have this name.*Rename",
    ),
    "an unknown parameter": (None, {"spec": {"folds": 3}}, r"folds"),
    "a wrong type": (None, {"spec": {"validation": {"folds": "many"}}}, r"validation\.folds.*integer"),
    "negative trials": (None, {"trials": -1}, r"trials: must be a whole number of at least 1"),
    "negative trials inside": (
        None,
        {"spec": {"tuning": {"trials": -1}}},
        r"tuning\.trials.*greater than or equal to 1",
    ),
    "an unknown metric": (None, {"metric": "acuracy"}, r"acuracy.*accuracy"),
    "a metric of another task": (None, {"metric": "r2"}, r"r2.*classification"),
}


@asynccontextmanager
async def here(project: Path) -> AsyncGenerator[tuple[Client, Orchestrator]]:
    """Serve from this process, in which components run too."""
    orchestrator = Orchestrator(project, in_process=True)
    async with Client(build(orchestrator)) as client:
        yield client, orchestrator


@pytest.mark.requirement("data.validation", "safety.whole", "safety.roots", "mcp.errors")
@pytest.mark.parametrize(("content", "given", "said"), REFUSED.values(), ids=REFUSED.keys())
async def test_bad_input_is_refused_before_a_run_exists_and_leaves_nothing(
    content: str | None,
    given: dict[str, Any],
    said: str,
    tmp_path: Path,
) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + ROWS if content is None else content)
    async with here(tmp_path) as (client, orchestrator):
        result = await client.call_tool("run_ml_training_workflow", {"data": "t.csv", "target": "y", **given})
        assert result.is_error
        assert re.search(said, text(result), re.DOTALL), text(result)
        assert orchestrator.journal.runs() == []
        assert orchestrator.models() == []
