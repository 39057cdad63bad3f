"""The agents and skills: clients can read their headers, what they name exists, and they are served and copied."""

from __future__ import annotations

import ast
import logging
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest
import yaml
from mcp import Client
from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp_types import TextContent
from terminal import answer, ask

from mcp_orchestrator import definitions
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.cli.main import main
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.definitions import Agent, agents
from mcp_orchestrator.errors import NotReady, UnknownName
from mcp_orchestrator.server.app import furnish
from mcp_orchestrator.server.shell import shell
from mcp_orchestrator.server.tools import published
from mcp_orchestrator.workflows.spec import TrainingSpec

AGENTS = agents()
FOLDER = next(iter(AGENTS.values())).path.parent
SKILLS = {path.parent.name: path for path in sorted((FOLDER.parent / "skills").glob("*/SKILL.md"))}
NAMES = {
    "ml-orchestrator",
    "data-engineer",
    "ml-engineer",
    "mlops-specialist",
    "observability-specialist",
    "performance-engineer",
    "data-pipeline-specialist",
    "infrastructure-specialist",
    "kubernetes-expert",
    "security-auditor",
}
# What Claude Code takes: keys of an agent's and of a skill's header, its own tools that we use, and its colours.
AGENT_KEYS = {"name", "description", "tools", "disallowedTools", "model", "skills", "color"}
SKILL_KEYS = {"name", "description", "allowed-tools", "license"}
THEIRS = {"Read", "Glob", "Grep", "Bash", "Edit", "Write"}
COLORS = {"red", "blue", "green", "yellow", "purple", "orange", "pink", "cyan"}
PLAIN, PLUGIN = "mcp__ml__", "mcp__plugin_mcp-orchestrator_ml__"
MEMORY = {"recall_memory", "remember", "log_task", "share_context", "send_message", "read_messages"}
TOOLS = {tool.name: set(tool.parameters["properties"]) for tool in published()}
NEEDED = {tool.name: set(tool.parameters.get("required", [])) for tool in published()}

each_agent = pytest.mark.parametrize("one", AGENTS.values(), ids=AGENTS)
each_page = pytest.mark.parametrize(
    "page", [*(one.path for one in AGENTS.values()), *SKILLS.values()], ids=[*AGENTS, *SKILLS]
)


def header(page: Path) -> dict[str, str]:
    """Return the header of a page as YAML, which is how clients read it."""
    found = re.match(r"---\n(.*?)\n---\n", page.read_text("utf-8"), re.DOTALL)
    assert found
    return yaml.safe_load(found[1])


def code(page: Path) -> Iterator[str]:
    """Yield what is written as code within the sentences and tables of a page."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    yield from re.findall(r"`([^`\n]+)`", prose)


def calls(page: Path) -> Iterator[tuple[str, dict[str, ast.expr]]]:
    """Yield the calls that a page shows, in its sentences and in its blocks of Python, with their arguments."""
    blocks = re.findall(r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    for text in (*blocks, *(one for one in code(page) if re.match(r"\w+\(.*\)$", one))):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert not node.args, f"{text}: arguments have names"
                yield node.func.id, {str(one.arg): one.value for one in node.keywords}


def section(one: Agent, heading: str) -> str:
    """Return a section of an agent's text."""
    found = re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", one.text(), re.MULTILINE | re.DOTALL)
    assert found, f"{one.name} has no section {heading!r}"
    return found[1]


# Headers -------------------------------------------------------------------------------------------------------------


def test_the_agents_of_the_mission_are_there() -> None:
    assert AGENTS.keys() == NAMES


@each_agent
def test_an_agent_has_the_header_that_clients_read(one: Agent) -> None:
    fields = header(one.path)
    assert fields.keys() <= AGENT_KEYS
    assert fields["name"] == one.path.stem == one.name
    assert re.fullmatch(r"[a-z][a-z-]{2,40}", one.name)
    assert fields["description"] == one.description
    assert one.description.startswith(definitions.USE)
    assert " - " in one.description
    assert 'for example "' in one.description, "what somebody says when the agent is needed"
    assert 150 <= len(one.description) <= 600
    assert 20 <= len(one.summary) <= 110
    assert fields["color"] in COLORS
    assert tuple(fields["tools"].split(", ")) == one.tools


@pytest.mark.requirement("build.skill")
@pytest.mark.parametrize("page", SKILLS.values(), ids=SKILLS)
def test_a_skill_has_the_header_that_clients_read(page: Path) -> None:
    fields = header(page)
    assert fields.keys() <= SKILL_KEYS
    assert fields["name"] == page.parent.name
    assert 40 <= len(fields["description"]) <= 1024
    assert " Use " in fields["description"], "when to take it"
    assert len(page.read_text("utf-8").splitlines()) <= 200


@pytest.mark.requirement("card.subagents")
@each_agent
def test_the_tools_of_an_agent_exist_and_are_named_as_both_installations_call_them(one: Agent) -> None:
    assert len(set(one.tools)) == len(one.tools)
    plain = [tool.removeprefix(PLAIN) for tool in one.tools if tool.startswith(PLAIN)]
    plugin = [tool.removeprefix(PLUGIN) for tool in one.tools if tool.startswith(PLUGIN)]
    assert plain == plugin
    assert set(plain) <= TOOLS.keys()
    assert set(plain) >= MEMORY
    assert {tool for tool in one.tools if not tool.startswith("mcp__")} <= THEIRS
    assert all(len(tool) <= 128 for tool in one.tools)


def test_who_conducts_has_every_tool_and_who_audits_none_that_writes_files() -> None:
    conducts = {tool.removeprefix(PLAIN) for tool in AGENTS["ml-orchestrator"].tools}
    assert conducts >= TOOLS.keys()
    audits = set(AGENTS["security-auditor"].tools)
    assert not audits & {"Bash", "Edit", "Write", f"{PLAIN}predict", f"{PLAIN}control_run", f"{PLAIN}run_workflow"}


# Texts ---------------------------------------------------------------------------------------------------------------


@each_agent
def test_an_agent_says_how_it_works_what_it_must_not_do_and_what_it_hands_back(one: Agent) -> None:
    lines = one.path.read_text("utf-8").splitlines()
    assert 50 <= len(lines) <= 110
    assert one.text().startswith(f"# {one.title}\n")
    assert one.title.lower().replace(" ", "-") == one.name
    assert len(re.findall(r"^- ", section(one, "Rules"), re.MULTILINE)) >= 4
    assert len(section(one, "Your report").split()) >= 30
    figures = re.findall(r"(?<![\w.\n])\.?\d[\d.,]*", one.text().partition("## Memory")[0])
    assert len(figures) >= 8, "limits and figures, not phrases"


def test_no_two_agents_say_the_same() -> None:
    said = [line for one in AGENTS.values() for line in one.text().partition("## Memory")[0].splitlines()]
    said = [line for line in said if len(line) > 30]
    assert len(said) > 400
    assert len(set(said)) == len(said)


@each_agent
def test_an_agent_hands_over_to_others_that_there_are(one: Agent) -> None:
    heading = "What is yours, and what you hand over" if one.name == "ml-orchestrator" else "You hand over"
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", section(one, heading)))
    assert len(named) >= 3
    assert named <= NAMES - {one.name}
    if one.name == "ml-orchestrator":
        assert named >= {"performance-engineer", "data-pipeline-specialist", "infrastructure-specialist"}
    else:
        assert "ml-orchestrator" in one.path.read_text("utf-8").partition("## You hand over")[2]


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_agent_is_somebody_s_to_hand_over_to(name: str) -> None:
    assert [one.name for one in AGENTS.values() if one.name != name and f"`{name}`" in one.text()]


@each_agent
def test_an_agent_uses_the_memory_before_and_after_a_task_in_its_own_name(one: Agent) -> None:
    text = " ".join(section(one, "Memory").split())
    assert "never an instruction" in text
    found = re.findall(r'agent="([a-z-]+)"', text)
    assert len(found) >= 3
    assert set(found) == {one.name}
    queries = re.search(r"recall_memory\(queries=(\[.*?\])", text)
    assert queries
    assert 2 <= len(ast.literal_eval(queries[1])) <= 3
    for action in ("start", "delegate", "settle", "finish"):
        assert f'log_task(action="{action}"' in text
    for call in ("read_messages(agent=", "send_message(", "remember(", "read_messages(acknowledge="):
        assert call in text
    [to] = set(re.findall(r'to="([a-z-]+)"', text))
    assert to in NAMES - {one.name}


@pytest.mark.requirement("card.subagents", "build.skill")
@each_page
def test_calls_name_tools_and_arguments_that_there_are(page: Path) -> None:
    found = list(calls(page))
    assert found
    for name, arguments in found:
        assert name in TOOLS, f"there is no tool {name}"
        assert arguments.keys() <= TOOLS[name], f"{name} has no argument {arguments.keys() - TOOLS[name]}"
        assert arguments.keys() >= NEEDED[name], f"{name} needs {NEEDED[name] - arguments.keys()}"


def test_both_agents_of_the_conversation_speak_under_their_names_and_close_their_tasks() -> None:
    page = SKILLS["two-agents"]
    spoken = [(name, {key: ast.unparse(value) for key, value in given.items()}) for name, given in calls(page)]
    said = {
        (name, given.get("agent"), given.get("action")) for name, given in spoken if name in MEMORY - {"share_context"}
    }
    for one in ("ml-orchestrator", "ml-engineer"):
        assert ("log_task", repr(one), "'start'") in said
        assert ("log_task", repr(one), "'finish'") in said
        assert ("send_message", repr(one), None) in said
        assert ("remember", repr(one), None) in said
    kinds = [given["type"] for name, given in spoken if name == "send_message"]
    assert kinds == ["'delegation'", "'delegation_result'", "'revision'", "'accepted'"]
    speaks = MEMORY - {"recall_memory"}
    assert not [(name, given) for name, given in spoken if name in speaks and "agent" not in given]


@each_page
def test_actions_on_tasks_are_given_what_they_need_and_take(page: Path) -> None:
    from mcp_orchestrator.server.tools.tasks import NEEDS, TAKES

    for name, arguments in calls(page):
        if name == "log_task":
            action = ast.literal_eval(arguments["action"])
            given = arguments.keys() - {"action", "agent"}
            assert set(NEEDS[action]) <= given <= TAKES[action], action


@each_agent
def test_an_agent_has_the_tools_that_its_text_names(one: Agent) -> None:
    named = {text.partition("(")[0] for text in code(one.path)} & TOOLS.keys()
    assert {f"{PLAIN}{name}" for name in named} <= set(one.tools)


@each_page
def test_components_capabilities_and_their_parameters_exist(page: Path) -> None:
    registry = Registry()
    for name, arguments in calls(page):
        if name != "invoke_ml_component":
            continue
        component, capability = (ast.literal_eval(arguments[key]) for key in ("component", "capability"))
        if component is ...:  # the form of the call, not one
            continue
        capability = registry.get(component).capabilities[capability]
        params = arguments["params"]
        assert isinstance(params, ast.Dict)
        given = {cast("ast.Constant", key).value for key in params.keys}
        assert given <= capability.schema["properties"].keys()
        assert given >= set(capability.schema.get("required", []))


@each_page
def test_specifications_that_are_shown_can_be_trained_with(page: Path) -> None:
    for name, arguments in calls(page):
        if name == "run_ml_training_workflow" and "spec" in arguments:
            values = {key: ast.literal_eval(value) for key, value in arguments.items()}
            flat = {key: values[key] for key in values.keys() - {"spec", "wait_seconds"}}
            assert TrainingSpec.model_validate(TrainingSpec.of(flat, values["spec"])).target == values["target"]


@each_page
def test_commands_and_options_exist(page: Path) -> None:
    for text in code(page):
        if text.startswith("mcp-orchestrator "):
            assert ask(*shlex.split(text)[1:], "--help").exit_code == Exit.OK, text


# Served as prompts ---------------------------------------------------------------------------------------------------


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def furnished() -> MCPServer[Any]:
    """Return a server with all that ours offers, and no orchestrator behind it."""
    server = shell()
    furnish(server)
    return server


@pytest.mark.anyio
@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_every_agent_is_a_prompt_that_takes_a_task(era: Any) -> None:
    async with Client(furnished(), mode=era) as client:
        prompts = {one.name: one for one in (await client.list_prompts()).prompts}
        for one in AGENTS.values():
            shown = prompts[one.name]
            assert (shown.title, shown.description) == (one.title, one.description)
            assert [(argument.name, argument.required) for argument in shown.arguments or []] == [("task", False)]
        [message] = (await client.get_prompt("data-engineer", {"task": "Look at orders.csv"})).messages
        text = cast("TextContent", message.content).text
        assert text.startswith(AGENTS["data-engineer"].text())
        assert text.endswith("## Your task\n\nLook at orders.csv\n")
        [message] = (await client.get_prompt("data-engineer")).messages
        assert "Ask what is to be done" in cast("TextContent", message.content).text
        with pytest.raises(MCPError, match="Did you mean 'task'"):
            await client.get_prompt("data-engineer", {"tasks": "x"})


@pytest.mark.anyio
async def test_listing_prompts_reads_no_text(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_agent: Agent) -> str:
        raise AssertionError

    monkeypatch.setattr(Agent, "text", fail)
    async with Client(furnished()) as client:
        assert {one.name for one in (await client.list_prompts()).prompts} >= NAMES


@pytest.mark.anyio
async def test_a_server_without_the_files_works_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(definitions, "PLACES", (tmp_path / "none",))
    with pytest.raises(NotReady, match="Install mcp-ml-orchestrator again"):
        agents()
    with caplog.at_level(logging.WARNING, "mcp_orchestrator"):
        server = furnished()
    assert "agents are not offered" in caplog.text
    async with Client(server) as client:
        names = {one.name for one in (await client.list_prompts()).prompts}
        assert "train_model" in names
        assert not names & NAMES


# The command ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_agents_are_listed_and_shown(project: Path) -> None:
    found = {one["name"]: one for one in answer("agents", "list")}
    assert found.keys() == NAMES
    assert {one["installed"] for one in found.values()} == {"missing"}
    assert found["security-auditor"]["description"] == AGENTS["security-auditor"].description
    assert AGENTS["security-auditor"].summary in ask("agents", "list").stdout
    assert ask("agents", "show", "ml-engineer").stdout == AGENTS["ml-engineer"].path.read_text("utf-8")
    assert answer("agents", "show", "ml-engineer")["text"] == AGENTS["ml-engineer"].text()


def test_an_unknown_agent_is_met_by_the_near_one(project: Path) -> None:
    with pytest.raises(UnknownName):
        definitions.agent("x")
    for arguments in (("show", "ml-enginer"), ("install", "data-engineer", "ml-enginer")):
        result = ask("agents", *arguments)
        assert result.exit_code == Exit.UNKNOWN
        assert "'ml-engineer'" in result.stderr
    assert not list(project.iterdir()), "nothing is written when one name is wrong"


def test_installing_copies_into_the_project_and_again_changes_nothing(project: Path) -> None:
    done = answer("agents", "install")
    assert {one["action"] for one in done["agents"]} == {"add"}
    place = project / ".claude" / "agents"
    assert {one.name for one in place.iterdir()} == {f"{name}.md" for name in NAMES}
    for one in AGENTS.values():
        assert (place / one.path.name).read_bytes() == one.path.read_bytes()
    before = {one.name: one.stat().st_mtime_ns for one in place.iterdir()}
    assert {one["action"] for one in answer("agents", "install")["agents"]} == {"none"}
    assert {one.name: one.stat().st_mtime_ns for one in place.iterdir()} == before
    assert {one["installed"] for one in answer("agents", "list")} == {"same"}


def test_a_file_that_was_changed_is_kept_unless_forced(project: Path) -> None:
    mine = project / "mine" / "data-engineer.md"
    mine.parent.mkdir()
    mine.write_text("# My own\n")
    install = ("agents", "install", "data-engineer", "ml-engineer", "data-engineer", "--to", "mine")
    done = {one["name"]: one for one in answer(*install, code=Exit.REFUSED)["agents"]}
    assert {name: one["action"] for name, one in done.items()} == {"data-engineer": "keep", "ml-engineer": "add"}
    assert "-# My own" in done["data-engineer"]["difference"]
    assert mine.read_text() == "# My own\n"
    assert (mine.parent / "ml-engineer.md").exists()
    said = ask(*install)
    assert said.exit_code == Exit.REFUSED
    assert "data-engineer" in said.stderr
    assert "--force" in said.stderr
    forced = {one["name"]: one["action"] for one in answer(*install, "--force")["agents"]}
    assert forced == {"data-engineer": "replace", "ml-engineer": "none"}
    assert mine.read_bytes() == AGENTS["data-engineer"].path.read_bytes()


def test_a_dry_run_shows_what_would_change_and_writes_nothing(project: Path) -> None:
    result = ask("agents", "install", "--dry-run")
    assert result.exit_code == Exit.OK
    assert result.stdout.count(" add ") == len(NAMES)
    assert not list(project.iterdir())
    place = project / ".claude" / "agents"
    place.mkdir(parents=True)
    (place / "ml-engineer.md").write_text("# My own\n")
    result = ask("agents", "install", "ml-engineer", "--dry-run")
    assert result.exit_code == Exit.REFUSED, "as it would end"
    assert "-# My own" in result.stdout
    result = ask("agents", "install", "ml-engineer", "--dry-run", "--force")
    assert result.exit_code == Exit.OK
    assert "replace" in result.stdout
    assert (place / "ml-engineer.md").read_text() == "# My own\n"


def test_what_cannot_be_written_is_named_and_leaves_no_half_file(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".claude").write_text("a file")
    result = ask("agents", "install")
    assert result.exit_code == Exit.REFUSED
    assert "--to" in result.stderr
    assert "Traceback" not in result.output

    def full(_path: Path, _target: Path) -> Path:
        raise OSError(28, "No space left on device")

    (project / "there").mkdir()
    (project / "there" / "ml-engineer.md").write_text("mine")
    monkeypatch.setattr(Path, "replace", full)
    result = ask("agents", "install", "ml-engineer", "--to", "there", "--force")
    assert result.exit_code == Exit.REFUSED
    assert "No space left" in result.stderr
    assert [(one.name, one.read_text()) for one in (project / "there").iterdir()] == [("ml-engineer.md", "mine")]


def test_names_are_completed_and_none_twice(project: Path) -> None:
    from mcp_orchestrator.cli.completion import agents as complete

    group = main.get_command(click.Context(main), "agents")
    assert isinstance(group, click.Group)
    context = click.Context(group.commands["install"])
    context.params = {"names": ("data-engineer",)}
    parameter = group.commands["install"].params[0]
    assert [one.value for one in complete(context, parameter, "data-")] == ["data-pipeline-specialist"]
