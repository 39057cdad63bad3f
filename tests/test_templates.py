"""The built-in workflows as graphs come to the same facts as the workflows that they show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.view import RunView
from mcp_orchestrator.workflows.custom import asked

pytestmark = [pytest.mark.anyio, pytest.mark.slow]
FAMILIES = ["linear", "neighbors"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def ran(orchestrator: Orchestrator, workflow: str, inputs: dict[str, Any]) -> dict[str, Any]:
    with anyio.fail_after(300):
        run = await orchestrator.wait(await orchestrator.submit(*asked(workflow, None, inputs)))
    assert run.status in {Status.SUCCEEDED, Status.DEGRADED}, run.error
    return run.model_dump(mode="json")


def steps(run: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["status"] for one in run["steps"]}


@pytest.mark.slow
@pytest.mark.requirement("custom.graph")
async def test_the_templates_come_to_the_facts_of_the_workflows(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, workers=2)
    asked_for = {"data": "builtin:iris", "target": "target", "name": "iris", "seed": 7, "families": FAMILIES}
    async with Orchestrator(settings=settings, in_process=True).running() as orchestrator:
        spec = {**asked_for, "tuning": {"trials": 3, "seconds": 120, "method": "random"}, "tracking": False}
        train = await ran(orchestrator, "train", {**spec, "gates": {"tracked": False}})
        inputs = {**asked_for, "trials": 3, "method": "random", "tracking": False, "limits": {"tracked": False}}
        graph = await ran(orchestrator, "template:train", inputs)
        found = graph["outputs"]
        assert {key: found[key] for key in ("metrics", "baseline", "task", "metric", "gates")} == {
            key: train[key] for key in ("metrics", "baseline", "task", "metric", "gates")
        }
        assert found["model"]["sha256"] == train["model"]["sha256"]
        assert found["model"]["version"] == train["model"]["version"] + 1
        assert found["promoted"] is ("champion" in train["model"]["aliases"])
        same = {name: status for name, status in steps(train).items() if name not in {"champion", "compare"}}
        assert same.items() <= steps(graph).items()
        assert {one["name"] for one in found["artifacts"]} == {one["name"] for one in train["artifacts"]}

        tested = {"model": "iris", "data": "builtin:iris"}
        evaluation = await ran(orchestrator, "evaluate", tested)
        again = await ran(orchestrator, "template:evaluate", tested)
        for key in ("metrics", "baseline", "verdict", "passed"):
            assert again["outputs"][key] == evaluation[key], key


def test_a_view_of_a_graph_keeps_its_outputs_beside_the_facts_of_the_run() -> None:
    facts = {"run_id": "1" * 32, "workflow": "custom", "status": "succeeded", "outputs": {"status": 3}}
    assert RunView.model_validate(facts).model_dump()["outputs"] == {"status": 3}
