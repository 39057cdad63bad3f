"""The evaluations: each task can be solved, no checker passes what was not done, and the driver drives and counts."""

from __future__ import annotations

import json
import shlex
import sys
import threading
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from evals import endpoint
from evals.driver import main
from evals.endpoint import Endpoint, asked
from evals.hands import Hands, Spent
from evals.homes import Homes
from evals.person import Person
from evals.play import Limits, Result, check, follow, play
from evals.report import summary, table
from evals.tap import Tap
from evals.task import Task
from evals.tasks import TASKS
from mcp import Client

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import build

pytestmark = pytest.mark.anyio
ABOUT = {
    "train", "compare", "explain", "predict", "promote", "roll back", "recall", "remember", "message", "delegate",
    "recover", "evaluate", "drift", "custom graph", "cancel", "share context",
}  # fmt: skip
LIGHT = [one for one in TASKS.values() if one.start in {"tables", "team"}]
WITH_MODELS = [one for one in TASKS.values() if one.start in {"models", "damaged", "stopped"}]
# All are played by the driver, through a server of their own: `python -m tests.evals.driver --scripted`, and --wrong.
QUICK = ["recall-current", "share-objective", "claim-work", "delegate-infrastructure", "settle-delegation", "log-work"]
SLOW = ["predict-table", "roll-back", "explain-slice", "cancel-run"]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return Homes(tmp_path_factory.mktemp("homes"))


@asynccontextmanager
async def here(project: Path, person: Person, spent: Spent | None = None, *, name: str = "") -> AsyncGenerator[Hands]:
    """Connect to a server in this process, as `hands` does to one in another."""
    del name
    server = build(Orchestrator(project, in_process=True))
    async with Client(server, elicitation_callback=person.answer) as client:
        yield Hands(project, client, person, spent or Spent())


async def played(task: Task, homes: Homes, place: Path, *, wrong: bool = False) -> tuple[list[str], Hands]:
    """Play a task by its script, and return what its checker says, and what played it."""
    project = homes.copy(task.start, place)
    way = task.wrong if wrong else task.solve
    assert way is not None
    async with here(project, Person(task.asks)) as hands:
        await follow(way, hands)
    return check(task, project), hands


# The tasks ----------------------------------------------------------------------------------------------------------


def test_the_tasks_are_about_everything_that_agents_are_asked_for() -> None:
    assert len(TASKS) >= 25
    assert {one.about for one in TASKS.values()} == ABOUT
    assert all(one.id == key for key, one in TASKS.items())
    assert sum(one.wrong is not None for one in TASKS.values()) == len(TASKS)


@pytest.mark.parametrize("task", LIGHT, ids=lambda one: one.id)
def test_a_project_that_nobody_touched_solves_no_task(task: Task, homes: Homes, tmp_path: Path) -> None:
    assert check(task, homes.copy(task.start, tmp_path))


def test_a_state_that_a_checker_did_not_foresee_solves_nothing(homes: Homes, tmp_path: Path) -> None:
    task = replace(TASKS["share-phase"], check=lambda project: project.rows("customers.csv")[9999].values())
    assert check(task, homes.copy("tables", tmp_path)) == ["The checker failed: IndexError: list index out of range"]


@pytest.mark.slow
@pytest.mark.parametrize("task", WITH_MODELS, ids=lambda one: one.id)
def test_a_project_with_models_and_runs_that_nobody_touched_solves_no_task(
    task: Task, homes: Homes, tmp_path: Path
) -> None:
    assert check(task, homes.copy(task.start, tmp_path))


@pytest.mark.parametrize("name", QUICK)
async def test_a_task_is_solved_by_its_script_and_not_by_a_hasty_one(name: str, homes: Homes, tmp_path: Path) -> None:
    task = TASKS[name]
    problems, hands = await played(task, homes, tmp_path / "right")
    assert (problems, hands.spent.stopped) == ([], "")
    assert 0 < hands.spent.calls <= task.calls
    assert (await played(task, homes, tmp_path / "wrong", wrong=True))[0]


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
async def test_a_task_about_models_is_solved_by_its_script_and_not_by_a_hasty_one(
    name: str, homes: Homes, tmp_path: Path
) -> None:
    task = TASKS[name]
    problems, hands = await played(task, homes, tmp_path / "right")
    assert (problems, hands.spent.stopped) == ([], "")
    assert [yes for _, yes in hands.person.heard] == [True] * bool(task.asks)
    problems, hasty = await played(task, homes, tmp_path / "wrong", wrong=True)
    assert problems
    assert not any(yes for _, yes in hasty.person.heard)


# A model behind an address ------------------------------------------------------------------------------------------

CALLS: list[tuple[str, Any]] = [
    ("share_context", {"key": "phase", "value": {"name": "training"}, "agent": "ml-orchestrator"}),
    ("write_file", {"path": "../outside.txt", "text": "no"}),
    ("write_file", None),
    ("write_file", {"path": "notes.txt", "text": "phase"}),
    ("share_context", {"key": "phase", "value": {"name": "training"}, "expected": 0, "agent": "ml-orchestrator"}),
]


def said_openai(number: int) -> dict[str, Any]:
    """Return an answer as chat completions have it."""
    message: dict[str, Any] = {"role": "assistant", "content": "Done."}
    if number < len(CALLS):
        tool, arguments = CALLS[number]
        text = "{broken" if arguments is None else json.dumps(arguments)
        call = {"id": f"call{number}", "type": "function", "function": {"name": tool, "arguments": text}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"choices": [{"message": message}], "usage": {"prompt_tokens": 100, "completion_tokens": 7}}


def said_anthropic(number: int) -> dict[str, Any]:
    """Return an answer as messages have it."""
    content: list[dict[str, Any]] = [{"type": "text", "text": "Done."}]
    if number < len(CALLS):
        tool, arguments = CALLS[number]
        content.append({"type": "tool_use", "id": f"call{number}", "name": tool, "input": arguments})
    usage = {"input_tokens": 60, "cache_read_input_tokens": 40, "output_tokens": 7}
    return {"content": content, "usage": usage}


class Loopback:
    """A model's address on this machine that says what it is told to, and keeps what it was asked."""

    def __init__(self, path: str) -> None:
        """Speak the dialect of a path."""
        self.path = path
        self.asked: list[tuple[dict[str, str], dict[str, Any]]] = []
        self.status = 200

    @contextmanager
    def open(self) -> Generator[str]:
        """Answer until the block ends; the value is the address."""
        loopback = self

        class Answering(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                loopback.asked.append(({key.lower(): value for key, value in self.headers.items()}, body))
                say = said_anthropic if self.path.endswith("/messages") else said_openai
                answer = json.dumps(say(len(loopback.asked) - 1)).encode()
                self.send_response(loopback.status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
                del format, args

        with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}{self.path}"
            finally:
                server.shutdown()
                thread.join()


async def driven(loopback: Loopback, homes: Homes, place: Path, limits: Limits) -> Result:
    """Have the model behind an address play a task."""
    with loopback.open() as url:
        agent = asked(Endpoint.of(url, "small", "secret", 500))
        return await play(TASKS["share-phase"], agent, homes, place, limits)


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a model's calls go to a server in this process, which starts faster than one of its own."""
    monkeypatch.setattr(endpoint, "hands", here)


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
async def test_a_model_behind_an_address_works_with_the_tools_until_it_is_done(
    path: str, homes: Homes, tmp_path: Path
) -> None:
    loopback = Loopback(path)
    result = await driven(loopback, homes, tmp_path, Limits())
    assert (result.solved, result.problems, result.stopped) == (True, [], "")
    assert (result.calls, result.tool_errors, len(loopback.asked)) == (5, 3, 6)
    assert (result.tokens, result.counted) == (6 * 107, "as the endpoint reports")
    assert (tmp_path / "shop" / "notes.txt").read_text() == "phase"
    assert not (tmp_path / "outside.txt").exists()
    headers, body = loopback.asked[-1]
    if path.endswith("/messages"):
        names = {one["name"] for one in body["tools"]}
        told, words = body["system"], body["messages"][0]["content"]
        answers = [one["content"][0] for one in body["messages"][2::2]]
        assert headers["x-api-key"] == "secret"
        assert [one["is_error"] for one in answers] == [True, True, True, False, False]
    else:
        names = {one["function"]["name"] for one in body["tools"]}
        told, words = body["messages"][0]["content"], body["messages"][1]["content"]
        answers = [one for one in body["messages"] if one["role"] == "tool"]
        assert headers["authorization"] == "Bearer secret"
    assert {"share_context", "predict", "write_file", "read_file", "list_files"} <= names
    assert words == TASKS["share-phase"].words
    assert "write_file" in told
    assert "expected" in str(answers[0]["content"])


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize(
    ("status", "limits", "stopped"),
    [
        (200, Limits(calls=2), "the limit of 2 calls"),
        (200, Limits(tokens=200), "the limit of 200 tokens"),
        (500, Limits(), "The endpoint answered 500"),
        (302, Limits(), "The endpoint answered 302"),
    ],
    ids=["calls", "tokens", "broken", "elsewhere"],
)
async def test_what_stops_a_model_is_reported_and_the_state_decides(
    status: int, limits: Limits, stopped: str, homes: Homes, tmp_path: Path
) -> None:
    loopback = Loopback("/v1/messages")
    loopback.status = status
    result = await driven(loopback, homes, tmp_path, limits)
    assert result.stopped.startswith(stopped)
    assert not result.solved
    assert "NO" in table([result])
    assert summary([result])["by_about"] == {"share context": [0, 1]}


# A program ----------------------------------------------------------------------------------------------------------

PROGRAM = """
import json, subprocess, sys

task, config = sys.argv[1:]
assert "share" in task and "training" in task, task
server = json.load(open(config))["mcpServers"]["ml"]
process = subprocess.Popen([server["command"], *server["args"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

def ask(number, method, params):
    line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
    process.stdin.write(line.encode() + b"\\n")
    process.stdin.flush()
    for line in process.stdout:
        answer = json.loads(line)
        if answer.get("id") == number:
            return answer["result"]

hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "program", "version": "1"}}
ask(1, "initialize", hello)
said = {"key": "phase", "value": {"name": "training"}, "agent": "ml-orchestrator"}
assert ask(2, "tools/call", {"name": "share_context", "arguments": said})["isError"]
ask(3, "tools/call", {"name": "share_context", "arguments": {**said, "expected": 0}})
process.stdin.close()
print(json.dumps({"usage": {"input_tokens": 40, "output_tokens": 2, "service_tier": "standard"}}))
sys.exit(process.wait())
"""


@pytest.mark.slow
def test_a_program_solves_a_task_through_the_configuration_that_it_is_given(tmp_path: Path) -> None:
    program, out = tmp_path / "program.py", tmp_path / "report.json"
    program.write_text(PROGRAM)
    command = shlex.join([sys.executable, str(program), "{task}", "{config}"])
    line = ["--command", command, "--only", "share-phase", "--work", str(tmp_path / "work"), "--out", str(out)]
    result = CliRunner().invoke(main, line)
    log = tmp_path / "work" / "share-phase" / "agent.log"
    assert result.exit_code == 0, (result.output, log.read_text())
    assert "1 of 1 solved; 2 calls, 1 of them refused" in result.output
    report = json.loads(out.read_text())
    assert report["summary"]["solved"] == 1
    assert report["command"] == command
    [one] = report["results"]
    assert (one["calls"], one["tool_errors"], one["stopped"]) == (2, 1, "")
    assert (one["tokens"], one["counted"]) == (42, "as the command reports")


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"confirm": {"type": "boolean"}, "note": {"type": "string"}}}
FORM = {"message": "Promotion: 'churn'", "requestedSchema": SCHEMA}
YES = {"action": "accept", "content": {"confirm": True}}


def test_the_tap_answers_forms_as_the_person_in_both_eras_and_ends_calls_at_the_limit(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as log:
        tap = Tap(log, Person((("churn",),)), most=1)
        meta = {"io.modelcontextprotocol/clientCapabilities": {"roots": {}}}
        call = {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": "invoke", "_meta": meta}}
        [sent], _ = tap.up(call)
        assert sent["params"]["_meta"] == {
            "io.modelcontextprotocol/clientCapabilities": {"roots": {}, "elicitation": {"form": {}}}
        }
        requests = {"approve": {"method": "elicitation/create", "params": FORM}}
        wanted = {"resultType": "input_required", "inputRequests": requests, "requestState": "sealed"}
        [again], shown = tap.down({"jsonrpc": "2.0", "id": 7, "result": wanted})
        assert (again["id"], again["params"]["requestState"], shown) == (7, "sealed", [])
        assert again["params"]["inputResponses"] == {"approve": YES}
        [back], shown = tap.down({"jsonrpc": "2.0", "id": "s1", "method": "elicitation/create", "params": FORM})
        assert (back, shown) == ({"jsonrpc": "2.0", "id": "s1", "result": YES}, [])
        done = {"jsonrpc": "2.0", "id": 7, "result": {"content": [{"type": "text", "text": "moved"}]}}
        assert tap.down(done) == ([], [done])
        to_server, [refused] = tap.up({**call, "id": 8})
        assert to_server == []
        assert refused["result"]["isError"]
    noted = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [one.get("yes", one.get("good")) for one in noted] == [True, True, True, False]
    assert noted[2]["said"] == "moved"


def test_the_person_says_no_to_what_nobody_asked_for() -> None:
    person = Person((("rollback", "'returns'"),))
    assert person.form("Promotion: 'champion' of model 'returns'", SCHEMA) == {"action": "decline"}
    assert person.form("Rollback: 'champion' of model 'returns'", SCHEMA) == YES


# The command line ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ([], "Give one of"),
        (["--scripted", "--wrong"], "Give one of"),
        (["--scripted", "--only", "trian"], "'trian' is no task"),
        (["--scripted", "--out", "no/such/folder/report.json"], "there is no folder"),
        (["--command", "agent"], "{task} must stand in it"),
        (["--endpoint", "http://127.0.0.1/v1/messages"], "--model"),
        (["--endpoint", "http://127.0.0.1/v1/answers", "--model", "m"], "must be an http address"),
        (["--endpoint", "file:///messages", "--model", "m"], "must be an http address"),
        (["--endpoint", "http://127.0.0.1/messages", "--model", "m", "--key-from", "NO_SUCH_KEY"], "NO_SUCH_KEY"),
    ],
)
def test_what_the_driver_cannot_do_is_refused_before_anything_starts(line: list[str], words: str) -> None:
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2
    assert words in " ".join(result.output.replace("│", " ").split())


def test_the_driver_lists_the_tasks_with_their_words() -> None:
    result = CliRunner().invoke(main, ["--list", "--only", "drift"])
    assert result.exit_code == 0
    assert result.output.split()[:2] == ["find-drift", "drift"]
    assert TASKS["find-drift"].words in result.output
