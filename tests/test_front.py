"""The thin front: what a client sees of the host behind it, also when that dies."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fronts import HELLO, Front, front, host, kill
from served import environment

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.lines import bound
from mcp_orchestrator.host import reach
from mcp_orchestrator.host.front import ENDING
from mcp_orchestrator.host.front import Front as Pump
from mcp_orchestrator.settings import Settings
from orchestrator_memory import FileLock
from orchestrator_memory.sqlite import sqlite3

pytestmark = pytest.mark.usefixtures("unloaded")
COUNTER = """
import time
from pathlib import Path

def once(place: str, wait: bool = False) -> int:
    \"\"\"Count a call in a file and, if asked to, stay at work.\"\"\"
    with Path(place).open("a") as file:
        file.write("x")
    while wait:
        time.sleep(0.05)
    return len(Path(place).read_text())
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a component that counts how often it is called."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "counter.py").write_text(COUNTER)
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ncounter = "counter"\n')
    return tmp_path


@pytest.fixture(autouse=True)
def findable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Wait for a condition."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


# The way to the host -------------------------------------------------------------------------------------------------


def test_the_front_finds_project_and_home_as_the_settings_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text, variables in [
        ("", {}),
        ('home = "state"', {}),
        ('home = "/elsewhere/state"', {}),
        ('home = "state"', {"MCP_ORCHESTRATOR_HOME": "other"}),
    ]:
        (tmp_path / "orchestrator.toml").write_text(text)
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            settings = Settings.load(tmp_path)
            assert reach.place(str(tmp_path)) == (str(settings.project), str(settings.home))
            patch.setenv("MCP_ORCHESTRATOR_PROJECT", str(tmp_path))
            assert reach.place(None) == (str(settings.project), str(settings.home))


def test_the_front_loads_next_to_nothing() -> None:
    code = (
        "import sys; before = set(sys.modules); import mcp_orchestrator.host.front; print(*set(sys.modules) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "mcp_orchestrator.host.reach" in loaded
    heavy = {"click", "pydantic", "anyio", "asyncio", "mcp", "subprocess", "sqlite3", "importlib.metadata", "tomllib"}
    assert not loaded & heavy


@pytest.mark.parametrize("modern", [False, True])
def test_two_clients_share_one_host_which_outlives_them(project: Path, modern: bool) -> None:
    with front(project, modern=modern) as one, front(project, modern=not modern) as two:
        one.begin()
        two.begin()
        before = host(project)
        assert before is not None
        assert one.call("get_orchestrator_status")["project"] == str(project)
        place = str(project / "count")
        asked = {"component": "counter", "capability": "once", "params": {"place": place}}
        assert one.call("invoke_ml_component", **asked)["result"] == 1
        assert two.call("invoke_ml_component", **asked)["result"] == 2
    assert host(project) == before
    with front(project) as three:
        three.begin()
        assert host(project) == before


def test_what_is_asked_through_a_pipe_that_ends_at_once_is_answered(project: Path) -> None:
    asked = [
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    command = [sys.executable, "-m", "mcp_orchestrator", "serve", "--project", str(project)]
    given = "".join(json.dumps(one) + "\n" for one in asked)
    with front(project) as client:  # a host is there
        client.begin()
    done = subprocess.run(command, input=given, capture_output=True, text=True, env=environment(), check=True)
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2]


def test_a_socket_and_a_lock_that_a_killed_host_left_are_no_obstacle(project: Path) -> None:
    with front(project) as client:
        client.begin()
    before = kill(project)
    until(lambda: host(project) is None)
    assert Path(address(str(project / ".mcp-orchestrator"), reach.SOCKET)).is_socket()
    with front(project) as client:
        client.begin()
        after = host(project)
    assert after is not None
    assert after.pid != before.pid


# When the host dies --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("modern", [False, True])
def test_a_client_does_not_notice_that_the_host_was_killed_between_two_calls(project: Path, modern: bool) -> None:
    with front(project, modern=modern) as client:
        client.begin()
        before = kill(project)
        assert client.call("list_runs")["runs"] == []
        after = host(project)
        assert after is not None
        assert after.pid != before.pid
        assert [one["id"] for one in client.seen if "id" in one] == [1, 3 - modern], "each is answered once"
    assert "going on with the next one" in (project / "stderr").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("modern", [False, True])
def test_a_call_that_the_host_died_over_is_not_made_twice(project: Path, modern: bool) -> None:
    place = project / "count"
    with front(project, modern=modern) as client:
        client.begin()
        params = {"place": str(place), "wait": True}
        asked = {"component": "counter", "capability": "once", "params": params}
        number = client.send("tools/call", {"name": "invoke_ml_component", "arguments": asked})
        listed = client.send("tools/call", {"name": "get_run", "arguments": {"run_id": "0" * 32}})
        assert client.answer(listed)["result"]["isError"]
        until(place.exists)
        kill(project)
        result = client.answer(number)["result"]
        assert result["isError"]
        assert "not done again" in result["content"][0]["text"]
        assert place.read_text() == "x", "it was called once"
        again = {**asked, "params": {"place": str(place)}}
        assert client.call("invoke_ml_component", **again)["result"] == 2, "asked for anew, it is done"


@pytest.mark.slow
def test_a_training_whose_host_was_killed_is_one_run_and_ends(project: Path) -> None:
    with front(project) as client:
        client.begin()
        spec = {"families": ["linear"], "tracking": False}
        training = {"data": "builtin:iris", "target": "target", "trials": 2, "wait_seconds": 50, "spec": spec}
        number = client.send("tools/call", {"name": "run_ml_training_workflow", "arguments": training})
        journal = Journal(project / ".mcp-orchestrator")
        until(lambda: any(step.finished for run in journal.runs() for step in journal.steps(run.id)))
        kill(project)
        answer = client.answer(number)["result"]
        assert not answer["isError"], answer
        [run] = journal.runs()
        assert answer["structuredContent"]["run_id"] == run.id
        while client.call("get_run", run_id=run.id)["status"] not in {"succeeded", "degraded"}:
            pass
        finished = [one.step for one in journal.events(run.id, most=10_000) if one.kind == "step_done"]
        assert len(finished) == len(set(finished)), "no finished step ran again"


@pytest.mark.slow
def test_a_training_outlives_the_client_that_was_killed_and_another_finds_its_history(project: Path) -> None:
    with front(project) as client:
        client.begin()
        spec = {"families": ["linear"], "tracking": False}
        training = {"data": "builtin:iris", "target": "target", "trials": 2, "wait_seconds": 0, "spec": spec}
        run = client.call("run_ml_training_workflow", **training)["run_id"]
        client.process.send_signal(signal.SIGKILL)
    with front(project) as other:
        other.begin()
        while (found := other.call("get_run", run_id=run))["status"] in {"queued", "running"}:
            pass
    assert found["status"] in {"succeeded", "degraded"}
    assert found["metrics"]["accuracy"]["value"] > 0.8
    events = Journal(project / ".mcp-orchestrator").events(run, most=10_000)
    told = [one.data["fraction"] for one in events if one.kind == "run_progress"]
    assert told == sorted(told)
    assert len(told) > 1


# When there is none to be had ----------------------------------------------------------------------------------------


def failure(client: Front) -> str:
    """Return the error that a request is answered with."""
    return client.answer(client.send("initialize", {}))["error"]["message"]


def test_a_host_that_cannot_start_is_answered_with_its_own_words(project: Path) -> None:
    (project / "orchestrator.toml").write_text("workers = -1\n")
    with front(project) as client:
        said = failure(client)
        assert "setting workers" in said
        assert "setting workers" in (project / "stderr").read_text()
        (project / "orchestrator.toml").write_text("workers = 1\n")
        client.begin()
        assert client.call("list_runs")["runs"] == [], "mended, it works without a new front"


def test_a_host_that_cannot_open_its_state_answers_what_was_asked_with_the_reason(project: Path) -> None:
    with front(project) as client:
        client.begin()
        client.call("list_runs")
    kill(project)
    with closing(sqlite3.connect(project / ".mcp-orchestrator" / "orchestrator.db")) as db, db:
        db.execute("INSERT INTO migration VALUES('journal', 99, 0)")
    with front(project) as client:
        client.begin()  # who it is, it says before it opens the state
        said = client.answer(client.send("tools/list", {}))["error"]["message"]
        assert "newer version" in said
        assert "newer version" in client.answer(client.send("tools/list", {}))["error"]["message"]


def test_a_home_that_cannot_be_made_is_named_with_the_setting_that_chooses_another(project: Path) -> None:
    (project / "file").write_text("")
    with front(project, MCP_ORCHESTRATOR_HOME="file/home") as client:
        said = failure(client)
        assert str(project / "file" / "home") in said
        assert "MCP_ORCHESTRATOR_HOME" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_home_that_is_read_only_is_named(project: Path) -> None:
    home = project / ".mcp-orchestrator"
    home.mkdir(mode=0o500)
    with front(project) as client:
        assert "MCP_ORCHESTRATOR_HOME" in failure(client)


def test_a_home_on_a_full_disk_is_named(project: Path) -> None:
    """A limit on the size of files stands for the disk: what is written past it fails likewise."""
    import resource

    command = [sys.executable, "-m", "mcp_orchestrator", "host", "run", "--project", str(project)]

    def fill() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=fill, check=False)
    assert done.returncode == 8, done.stderr
    assert str(project / ".mcp-orchestrator") in done.stderr
    assert "Traceback" not in done.stderr
    assert host(project) is None


# The pump alone, between a client and a host of the test -------------------------------------------------------------


class Ends:
    """A pump whose client and host are the test."""

    def __init__(self, home: Path) -> None:
        home.mkdir()
        self.lock = FileLock(home / "host.lock")
        self.lock.acquire()
        self.listener = bound(address(str(home), reach.SOCKET))
        theirs, to_front = os.pipe()
        from_front, ours = os.pipe()
        self.client_in, self.client_out = os.fdopen(to_front, "wb", 0), os.fdopen(from_front, "rb")
        self.front_in, self.front_out = os.fdopen(theirs, "rb"), os.fdopen(ours, "wb")
        self.pump = Pump(str(home), str(home), self.front_in, self.front_out)
        self.thread = threading.Thread(target=self.pump.run)
        self.thread.start()

    def meet(self, version: str | None = None) -> tuple[socket.socket, Any]:
        """Accept the front as a host does, and read its greeting."""
        connection, _ = self.listener.accept()
        hello = {"kind": "host", "version": version or reach.ours(), "pid": 1}
        connection.sendall(json.dumps({"hello": hello}).encode() + b"\n")
        lines = connection.makefile("rb")
        assert json.loads(lines.readline())["hello"]["kind"] == "front"
        return connection, lines

    def say(self, message: dict[str, Any]) -> None:
        self.client_in.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    def hear(self) -> dict[str, Any]:
        return json.loads(self.client_out.readline())


@pytest.fixture
def ends(tmp_path: Path) -> Any:
    made = Ends(tmp_path / "home")
    yield made
    made.client_in.close()
    made.listener.close()
    made.thread.join(30)
    assert not made.thread.is_alive()
    for one in (made.client_out, made.front_in, made.front_out):
        one.close()
    made.lock.release()


def reply(connection: socket.socket, number: Any) -> None:
    connection.sendall(json.dumps({"jsonrpc": "2.0", "id": number, "result": {}}).encode() + b"\n")


def test_the_next_host_meets_the_client_anew_and_gets_what_is_not_answered_marked(ends: Ends) -> None:
    connection, lines = ends.meet()
    ends.say({"id": 1, "method": "initialize", "params": {}})
    assert json.loads(lines.readline())["id"] == 1
    reply(connection, 1)
    assert ends.hear()["id"] == 1
    ends.say({"method": "notifications/initialized"})
    ends.say({"id": 2, "method": "logging/setLevel", "params": {"level": "info"}})
    ends.say({"id": 3, "method": "resources/subscribe", "params": {"uri": "run://a"}})
    ends.say({"id": 4, "method": "resources/subscribe", "params": {"uri": "run://b"}})
    ends.say({"id": 5, "method": "resources/unsubscribe", "params": {"uri": "run://a"}})
    assert [json.loads(lines.readline()).get("id") for _ in range(5)] == [None, 2, 3, 4, 5]
    for number in (2, 3, 4, 5):
        reply(connection, number)
        assert ends.hear()["id"] == number
    ends.say({"id": "six", "method": "tools/call", "params": {"name": "x"}})
    ends.say({"id": 7, "method": "tools/call", "params": {"name": "y", "_meta": {"progressToken": 1}}})
    ends.say({"method": "notifications/cancelled", "params": {"requestId": 7}})
    got = [json.loads(lines.readline()) for _ in range(3)]
    first = got[0]["params"]["_meta"]
    assert first["mcp-orchestrator/request"].endswith(":six")
    assert "mcp-orchestrator/resent" not in first
    lines.close()
    connection.close()

    connection, lines = ends.meet()
    again = [json.loads(lines.readline()) for _ in range(5)]
    assert [one["method"] for one in again] == [
        "initialize",
        "notifications/initialized",
        "logging/setLevel",
        "resources/subscribe",
        "tools/call",
    ]
    assert again[3]["params"] == {"uri": "run://b"}
    assert again[4]["id"] == "six"
    assert again[4]["params"]["_meta"] == {**first, "mcp-orchestrator/resent": True}
    for one in again:
        if "id" in one:
            reply(connection, one["id"])
    assert ends.hear()["id"] == "six", "the client hears nothing of the introduction"
    lines.close()
    connection.close()
    ends.meet()[0].close()


def test_a_host_that_ends_in_good_order_is_replaced_when_something_is_asked(ends: Ends) -> None:
    connection, lines = ends.meet()
    connection.sendall(json.dumps({"jsonrpc": "2.0", "method": ENDING}).encode() + b"\n")
    lines.close()
    connection.close()
    ends.listener.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ends.listener.accept()
    ends.listener.settimeout(None)
    ends.say({"id": 1, "method": "ping"})
    connection, lines = ends.meet()
    assert json.loads(lines.readline())["method"] == "ping"
    lines.close()
    connection.close()


LISTEN = {
    "id": 1,
    "method": "subscriptions/listen",
    "params": {"notifications": {"resourceSubscriptions": ["run://a"]}},
}


def test_who_only_listens_starts_no_host_and_comes_back_to_one_that_others_started(
    ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcp_orchestrator.host.front.LOOK_EVERY", 0.05)
    connection, lines = ends.meet()
    ends.say(LISTEN)
    assert json.loads(lines.readline())["id"] == 1
    path = Path(ends.listener.getsockname())
    path.rename(path.with_suffix(".away"))  # nobody takes clients
    connection.sendall(json.dumps({"jsonrpc": "2.0", "method": ENDING}).encode() + b"\n")
    lines.close()
    connection.close()
    ends.listener.settimeout(0.3)
    with pytest.raises(TimeoutError):
        ends.listener.accept()
    ends.listener.settimeout(30)
    path.with_suffix(".away").rename(path)
    ends.listener.accept()[0].close()  # it looks whether somebody is there
    ends.listener.settimeout(None)
    connection, lines = ends.meet()
    assert json.loads(lines.readline())["method"] == "subscriptions/listen"
    lines.close()
    connection.close()
    ends.meet()[0].close()


def test_a_client_that_listened_is_not_waited_for_when_it_goes(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_orchestrator.host.front.LINGER", 3600)
    connection, lines = ends.meet()
    ends.say(LISTEN)
    assert json.loads(lines.readline())["id"] == 1
    ends.client_in.close()
    assert lines.readline() == b"", "it says that nothing more comes"
    lines.close()
    connection.close()


def test_a_client_cannot_name_its_requests_as_another_front_does(ends: Ends) -> None:
    connection, lines = ends.meet()
    forged = {"mcp-orchestrator/request": "somebody:1", "mcp-orchestrator/else": 1}
    ends.say({"id": 1, "method": "tools/call", "params": {"name": "x", "_meta": forged}})
    meta = json.loads(lines.readline())["params"]["_meta"]
    assert meta["mcp-orchestrator/request"].endswith(":1")
    assert not meta["mcp-orchestrator/request"].startswith("somebody")
    lines.close()
    connection.close()
    ends.meet()[0].close()


def test_what_kills_every_host_is_answered_with_an_error_after_three(ends: Ends) -> None:
    ends.say({"id": 1, "method": "tools/list"})
    for _ in range(3):
        connection, lines = ends.meet()
        assert json.loads(lines.readline())["id"] == 1
        lines.close()
        connection.close()
    answer = ends.hear()
    assert (answer["id"], answer["error"]["code"]) == (1, -32603)
    assert "3 times" in answer["error"]["message"]
    assert "logs" in answer["error"]["message"]


def test_another_version_is_noted_once_and_used(ends: Ends, capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        connection, lines = ends.meet("0.0.1")
        ends.say({"id": 1, "method": "ping"})
        lines.readline()
        reply(connection, 1)
        assert ends.hear()["id"] == 1
        lines.close()
        connection.close()
    ends.meet("0.0.1")[0].close()
    assert capfd.readouterr().err.count("version 0.0.1") == 1


def test_who_belongs_to_another_user_says_so(ends: Ends) -> None:
    ends.say({"id": 1, "method": "ping"})
    connection, _ = ends.listener.accept()
    with connection, connection.makefile("rb") as lines:
        assert json.loads(lines.readline())["hello"]["kind"] == "front"
        assert json.loads(lines.readline())["method"] == "ping"
        connection.sendall(b'{"refused": "This orchestrator belongs to user 7."}\n')
    assert "user 7" in ends.hear()["error"]["message"]


def test_what_is_no_json_is_answered_and_reaches_no_host(ends: Ends) -> None:
    connection, lines = ends.meet()
    ends.client_in.write(b"{ nonsense\n")
    refused = ends.hear()
    assert (refused["id"], refused["error"]["code"]) == (None, -32700)
    ends.say({"id": 1, "method": "ping"})
    assert json.loads(lines.readline())["id"] == 1
    reply(connection, 1)
    assert ends.hear()["id"] == 1
    lines.close()
    connection.close()


def test_a_client_that_is_gone_ends_the_front(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pump = Pump(str(tmp_path), str(tmp_path / "file"), io.BytesIO(b""), io.BytesIO())
    pump.run()
