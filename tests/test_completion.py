"""What is typed is completed wherever something is known that fits, in both eras."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from journaled import claimed, done, ended, submitted
from mcp.shared.exceptions import MCPError
from mcp_types import PromptReference, ResourceTemplateReference
from served import ROWS, TRAINED, Era, Served, served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.definitions import agents
from mcp_orchestrator.server import build
from mcp_orchestrator.server.completion import KNOWN
from mcp_orchestrator.settings import Settings

pytestmark = pytest.mark.anyio
ERAS: list[Era] = ["auto", "legacy"]
WORDS = {("prompt start_task", "task"), ("prompt build_ml_pipeline", "question"), ("prompt start_task", "agent")}
OPAQUE = {("run", "cursor"), ("run", "after")}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.load(tmp_path, workers=1)


async def fits(server: Served, where: str, argument: str, typed: str = "", **filled: str) -> list[str]:
    """Return what fits into an argument of a prompt, or a part of an address."""
    ref: Any = PromptReference(type="ref/prompt", name=where)
    if "://" in where:
        ref = ResourceTemplateReference(type="ref/resource", uri=where)
    found = await server.client.complete(ref, {"name": argument, "value": typed}, filled or None)
    return found.completion.values


async def test_each_argument_and_each_part_of_an_address_is_completed_or_known_to_be_free(tmp_path: Path) -> None:
    server = build(Orchestrator(tmp_path))
    places = {
        (f"prompt {prompt.name}", one.name)
        for prompt in await server.list_prompts()
        if prompt.name not in agents()  # their only argument is a task in words
        for one in prompt.arguments or ()
    }
    for template in await server.list_resource_templates():
        scheme, _, rest = template.uri_template.partition("://")
        parts = re.findall(r"\{\??([^}]+)\}", rest)
        places |= {(scheme, name) for part in parts for name in part.split(",")}
    free = WORDS - KNOWN.keys() | OPAQUE
    assert places - free == KNOWN.keys()


async def test_each_address_is_read_by_a_function_of_its_parts(tmp_path: Path) -> None:
    server = build(Orchestrator(tmp_path))
    for address, template in server._resource_manager._templates.items():
        known = inspect.signature(template.fn).parameters
        parsed = template.parsed_template
        assert {*parsed.variable_names, "ctx"} == known.keys(), address
        defaults = {name for name, one in known.items() if one.default == ""}
        assert defaults == set(parsed.query_variable_names), address
        assert template.description


@pytest.mark.parametrize("era", ERAS)
async def test_runs_steps_and_models_are_completed_by_what_there_is(settings: Settings, era: Era) -> None:
    held = Orchestrator(settings=settings)
    held.journal.owners.enter()
    failed = claimed(held.journal, submitted(held.journal, data="a", target="y"))
    done(held.journal, failed, "load")
    done(held.journal, failed, "split")
    ended(held.journal, failed, Status.FAILED, error="no")
    fine = claimed(held.journal, submitted(held.journal, data="b", target="y"))
    plots = [{"name": "plots/roc.png", "sha256": "0" * 64}, {"name": "card.md", "sha256": "0" * 64}]
    ended(held.journal, fine, Status.SUCCEEDED, result={"artifacts": plots})
    for version in (1, 2):
        held.versions.register("churn", TRAINED, run=str(version))
    held.versions.register("Price", TRAINED)
    held.versions.promote("churn", 1)
    held.journal.owners.leave()
    held.close()
    async with served(settings, era) as server:
        assert set(await fits(server, "run://{run_id}", "run_id")) == {failed.id, fine.id}
        assert await fits(server, "run://{run_id}", "run_id", fine.id[:9]) == [fine.id]
        assert (await fits(server, "triage_run", "run_id"))[0] == failed.id
        step = "run://{run_id}/steps/{step}"
        assert await fits(server, step, "step", run_id=failed.id) == ["load", "split"]
        assert await fits(server, step, "step", "s", run_id=failed.id) == ["split"]
        assert await fits(server, step, "step", run_id="0" * 32) == []
        assert await fits(server, step, "step") == []
        assert await fits(server, "run://{run_id}/plots/{plot}", "plot", run_id=fine.id) == ["roc"]
        assert await fits(server, "run://{run_id}/log{?step,level,cursor}", "level", "w") == ["warning"]
        assert set(await fits(server, "model://{name}", "name")) == {"churn", "Price"}
        assert await fits(server, "model://{name}", "name", "p") == ["Price"]
        assert set(await fits(server, "promote_model", "model", "churn@")) == {"churn@champion", "churn@1", "churn@2"}
        assert await fits(server, "promote_model", "model", "churn@c") == ["churn@champion"]
        assert set(await fits(server, "component://{name}", "name", "train")) == {"train", "training_data_loader"}
        assert "template:train" in await fits(server, "component://{name}", "name", "temp")
        assert await fits(server, "component://{name}", "nonsense") == []
        assert await fits(server, "nobody", "name") == []


@pytest.mark.parametrize("era", ERAS)
async def test_tables_that_lie_there_and_columns_that_were_seen_are_completed(settings: Settings, era: Era) -> None:
    project = settings.project
    (project / "data").mkdir()
    (project / ".hidden").mkdir()
    (project / "churn.csv").write_text("age,churned\n1,yes\n2,no\n")
    for other in ("data/prices.parquet", ".hidden/secret.csv", "notes.md", "model.pkl"):
        (project / other).write_text("x")
    (project / "elsewhere").symlink_to("/etc")
    async with served(settings, era) as server:
        known = await fits(server, "train_model", "data")
        assert known[:2] == ["churn.csv", "data/prices.parquet"]
        assert {one for one in known if not one.startswith("builtin:")} == set(known[:2])
        assert await fits(server, "build_ml_pipeline", "data", "builtin:i") == ["builtin:iris"]
        assert await fits(server, "train_model", "target", data="churn.csv") == []
        seen = await server.call("inspect_dataset", data="churn.csv")
        await server.call("inspect_dataset", data=ROWS)
        assert await fits(server, "train_model", "target", data="churn.csv") == ["churned", "age"]
        assert await fits(server, "train_model", "target", "a", data=seen["uri"]) == ["age"]
        assert seen["uri"] in await fits(server, "train_model", "data", "dataset://")


@pytest.mark.parametrize("era", ERAS)
async def test_the_procedures_are_prompts_with_what_they_are_about(settings: Settings, era: Era) -> None:
    async def prompted(server: Served, name: str, **arguments: str) -> str:
        found = await server.client.get_prompt(name, arguments)
        return found.messages[0].content.text  # type: ignore[union-attr]

    async with served(settings, era) as server:
        six = await prompted(server, "build_ml_pipeline", question="Who leaves?", data="churn.csv")
        assert six.startswith("# Build an ML pipeline")
        assert six.count("**Gate") == 6
        assert six.endswith("Who leaves?\nThe data: churn.csv\n")
        promote = await prompted(server, "promote_model", model="churn@5")
        assert "find_models(name='churn')" in promote
        assert "against='churn@champion'" in promote
        assert promote.index("Tell me") < promote.index('capability="promote"')
        assert f"run://{'a' * 32}/log" in await prompted(server, "triage_run", run_id="a" * 32)
        for name, arguments, said in (
            ("promote_model", {"modle": "x"}, "Did you mean 'model'"),
            ("train_model", {"data": "x"}, "target: The prompt train_model needs it"),
            ("promote_modl", {"model": "x"}, "There is no prompt 'promote_modl'. Did you mean 'promote_model'"),
            ("ml-orchestrator", {"tsk": "x"}, "Did you mean 'task'"),
        ):
            with pytest.raises(MCPError, match=said) as refusal:
                await prompted(server, name, **arguments)
            assert refusal.value.code == -32602


async def test_no_more_than_a_hundred_are_shown_and_the_rest_counted(settings: Settings) -> None:
    held = Orchestrator(settings=settings)
    for number in range(130):
        held.versions.register(f"model{number}", TRAINED)
    held.close()
    async with served(settings) as server:
        ref = ResourceTemplateReference(type="ref/resource", uri="model://{name}")
        found = (await server.client.complete(ref, {"name": "name", "value": ""})).completion
        assert (len(found.values), found.total, found.has_more) == (100, 130, True)
