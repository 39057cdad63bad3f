"""The guide for agents: short, the same as prompt and as resource, and true to what there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from served import Era, served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.errors import OrchestratorError
from mcp_orchestrator.server.guide import ADDRESS, guide
from mcp_orchestrator.server.results import Figure, RunAnswer
from mcp_orchestrator.server.shell import INSTRUCTIONS
from mcp_orchestrator.server.skills import skills
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.view import StepView

pytestmark = pytest.mark.anyio
TOOLS = {one.name: one.parameters["properties"] for one in published()}
MARKED = re.findall(r"`([^`]+)`", guide())
CALLS = [ast.parse(one.replace("{...}", "{}")).body[0].value for one in MARKED if "(" in one]  # type: ignore[attr-defined]
FIELDS = [*RunAnswer.model_fields, *Figure.model_fields, *StepView.model_fields, "gates", "uri", "spec", "against"]
ANSWERED = {"skipped", "failed", "status", "cursor", "next_cursor", "left_out", "next", "agent", "champion", "waiting"}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_guide_is_a_prompt_and_a_resource_and_what_begins_points_to_it(tmp_path: Path, era: Era) -> None:
    async with served(Settings.load(tmp_path), era) as server:
        [page] = (await server.client.read_resource(ADDRESS)).contents
        assert (page.text, page.mime_type) == (guide(), "text/markdown")  # type: ignore[union-attr]
        assert ADDRESS in {str(one.uri) for one in (await server.client.list_resources()).resources}
        [message] = (await server.client.get_prompt("guide")).messages
        assert message.content.text == guide()  # type: ignore[union-attr]
        assert ADDRESS in (server.client.instructions or "")
    assert len(INSTRUCTIONS.encode()) <= 2048


def test_the_guide_costs_at_most_1500_tokens() -> None:
    assert len(guide().encode()) <= 1500 * 3.7, "3.9 bytes for a token of o200k were measured of it"


@pytest.mark.parametrize("call", CALLS, ids=ast.unparse)
def test_each_call_in_the_guide_names_a_tool_its_arguments_and_their_values(call: ast.Call, tmp_path: Path) -> None:
    assert isinstance(call.func, ast.Name)
    known: dict[str, Any] = TOOLS[call.func.id]
    assert not call.args, "arguments have names"
    given = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
    assert given.keys() <= known.keys()
    for name, value in given.items():
        if "enum" in known[name] and value != "...":
            assert value in known[name]["enum"]
    registry = Orchestrator(tmp_path).registry
    if "component" in given:
        capability = registry.get(given["component"]).capability(given["capability"])
        assert given["params"].keys() <= capability.schema["properties"].keys()
    if call.func.id == "find_ml_components" and "name" in given:
        assert given["name"] in {"train", "custom", *(one.name for one in registry)}


async def test_whatever_else_the_guide_names_is_there(tmp_path: Path) -> None:
    async with served(Settings.load(tmp_path)) as server:
        templates = [one.uri_template for one in (await server.client.list_resource_templates()).resource_templates]
    codes = {f"[{one.code}]" for one in OrchestratorError.__subclasses__()}
    schemes = {"dataset://", "skill://", "builtin:iris", "<data ...>"}
    models = {"churn", "churn@3", "churn@champion"}
    actions = {"pause", "resume", "rollback", 'detail="full"'}
    states = {str(one) for one in Status}
    known = codes | schemes | models | actions | states | set(FIELDS) | ANSWERED | skills().keys() | TOOLS.keys()
    unknown = [one for one in MARKED if "(" not in one and one not in known]
    assert [one for one in unknown if not any(place.startswith(one) for place in templates)] == []
    assert {"pause", "resume"} <= set(TOOLS["control_run"]["action"]["enum"])
    assert "full" in TOOLS["get_run"]["detail"]["enum"]
    assert "rollback" in Orchestrator(tmp_path).registry.get("production_registry").capabilities
