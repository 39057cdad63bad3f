"""The host: started, shared, stopped, replaced; and orchestrators that have another one do their work."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from fronts import META, front, host, kill
from served import environment, training
from terminal import answer, ask, start

from mcp_orchestrator import version
from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.lines import Lines, bound, connected
from mcp_orchestrator.core.link import Hello
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.schedules import Schedules
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from mcp_orchestrator.host.control import ask as control
from mcp_orchestrator.host.control import stop
from mcp_orchestrator.host.files import log_file, rotate, tail
from mcp_orchestrator.host.process import Host
from mcp_orchestrator.host.reach import SOCKET, ours
from mcp_orchestrator.settings import Settings

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("unloaded")]
SPEC = {"data": "builtin:iris", "target": "wait"}
HERE = Path(__file__).parent


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "orchestrator.toml").write_text('workers = 2\n[components]\ntoys = "toys"\n')
    monkeypatch.setenv("PYTHONPATH", environment()["PYTHONPATH"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


async def until(true: Callable[[], object]) -> None:
    """Wait for a condition."""
    with anyio.fail_after(60):
        while not true():
            await anyio.sleep(0.01)


# From a terminal -----------------------------------------------------------------------------------------------------


def test_the_host_is_started_once_shown_and_stopped(project: Path) -> None:
    assert answer("host", "status")["running"] is False
    begun = answer("host", "start")
    assert begun["running"]
    assert begun["leads"]
    assert answer("host", "start")["pid"] == begun["pid"]
    shown = answer("host", "status")
    assert (shown["pid"], shown["version"], shown["clients"]) == (begun["pid"], version(), 0)
    assert str(begun["pid"]) in ask("host", "status").stdout
    home = project / ".mcp-orchestrator"
    assert {one.stat().st_mode & 0o077 for one in [home, *home.iterdir()]} == {0}, "all is for the owner only"
    assert answer("host", "stop")["stopped"]
    assert host(project) is None
    assert not Path(address(str(home), SOCKET)).exists()
    assert not answer("host", "stop")["stopped"]


def test_the_log_of_the_host_is_shown_from_its_end(project: Path) -> None:
    assert "no log yet" in ask("host", "logs").stderr
    log = log_file(project / ".mcp-orchestrator")
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {number}\n" for number in range(100)))
    assert ask("host", "logs", "--lines", "2").stdout == "line 98\nline 99\n"


def test_where_steps_run_can_be_said_when_the_host_is_started(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EXECUTOR", "EXECUTOR_ADDRESS"):
        monkeypatch.setenv(f"MCP_ORCHESTRATOR_{name}", "")
    result = ask("host", "start", "--executor", "dask", "--address", "tcp://127.0.0.1:1")
    assert result.exit_code != Exit.OK, "nothing listens there"
    assert "tcp://127.0.0.1:1" in result.stderr or "dask" in result.stderr
    assert ask("host", "start", "--executor", "desk").exit_code == Exit.INPUT


def test_what_keeps_the_host_from_starting_is_told(project: Path) -> None:
    (project / "orchestrator.toml").write_text("wokers = 2\n")
    result = ask("host", "start")
    assert result.exit_code == Exit.INPUT
    assert "workers" in result.stderr
    (project / "orchestrator.toml").write_text("")
    (project / ".mcp-orchestrator").write_text("")
    result = ask("host", "start")
    assert result.exit_code == Exit.STATE
    assert str(project / ".mcp-orchestrator") in result.stderr


def test_the_service_manager_is_told_when_it_is_ready_and_when_it_stops(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("notify")
        manager.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(project / "notify"))
        with command("host", "run") as process:
            assert manager.recv(100) == b"READY=1"
            assert answer("host", "status")["pid"] == process.pid
            process.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            _, errors = process.communicate()
    assert process.returncode == Exit.OK
    assert errors == ""


def test_a_host_is_stopped_although_its_front_is_held_and_its_client_reads_nothing(project: Path) -> None:
    with front(project) as client:
        client.begin()
        for _ in range(100):
            client.send("tools/list")
        os.kill(client.process.pid, signal.SIGSTOP)
        try:
            assert answer("host", "stop")["stopped"]
            assert host(project) is None
        finally:
            client.process.kill()


def test_a_host_that_cannot_end_is_ended_and_its_log_shows_what_kept_it(project: Path) -> None:
    (project / "sitecustomize.py").write_text(HELD)
    environ = {**environment(), "PYTHONPATH": f"{project}{os.pathsep}{environment()['PYTHONPATH']}"}
    with subprocess.Popen(
        [sys.executable, "-m", "mcp_orchestrator", "host", "run"], stderr=subprocess.PIPE, text=True, env=environ
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not answer("host", "status")["running"]:
                assert time.monotonic() < deadline
            process.terminate()
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1
    assert "Timeout" in errors
    assert "in kept" in errors
    assert host(project) is None


HELD = """
from mcp_orchestrator.core import pool
from mcp_orchestrator.host import begin


async def kept(_pool):
    import time
    time.sleep(600)


begin.ENDS_WITHIN = 0.5
pool.Pool.close = kept
"""


@contextmanager
def command(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """Start a command, and end it if a test fails."""
    with start(*arguments) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_second_host_waits_and_takes_over_and_the_client_goes_on(project: Path) -> None:
    with command("host", "run") as one:
        deadline = time.monotonic() + 60
        while host(project) is None:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with front(project) as client, command("host", "run") as two:
            client.begin()
            assert two.stderr is not None
            assert "waits to take over" in two.stderr.readline()
            assert kill(project).pid == one.pid
            assert client.call("list_runs")["runs"] == []
            found = host(project)
            assert found is not None
            assert found.pid == two.pid
            two.terminate()
            assert two.wait(60) == Exit.OK


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["host", "command"])
def test_a_training_of_a_command_is_the_host_s_and_outlives_either(project: Path, killed: str) -> None:
    answer("host", "start")
    spec = '{"families": ["linear"], "tracking": false}'
    arguments = ("train", "builtin:iris", "--target", "target", "--trials", "2", "--spec", spec, "--json")
    journal = Journal(project / ".mcp-orchestrator")
    with command(*arguments) as process:
        deadline = time.monotonic() + 60
        while not any(step.finished for run in journal.runs() for step in journal.steps(run.id)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        if killed == "host":
            kill(project)
            said, errors = process.communicate()
            assert process.returncode == Exit.OK, errors
            [document] = [json.loads(said)]
            assert document["status"] in {"succeeded", "degraded"}
        else:
            process.kill()
    [run] = journal.runs()
    found = answer("runs", run.id, "--follow")
    assert found["status"] in {"succeeded", "degraded"}
    done = [one.step for one in journal.events(run.id, most=10_000) if one.kind == "step_done"]
    assert len(done) == len(set(done)), "no finished step ran again"


# The host in this process --------------------------------------------------------------------------------------------


class Hosted:
    """A host in the event loop of a test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.go = anyio.Event()
        self.orchestrator = Orchestrator(settings=settings, in_process=True)
        self.orchestrator.engine.workflows["train"] = training(self.go)
        self.ended = anyio.Event()
        self.host: Host | None = None

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Host]:
        with bound(address(str(self.settings.home), SOCKET)) as listener:
            self.host = Host(self.orchestrator, listener, logged=False)
            async with anyio.create_task_group() as group:
                group.start_soon(self._run, self.host)
                await until(lambda: self.orchestrator.leads)
                yield self.host
                self.host.end("the test is over")

    async def _run(self, host: Host) -> None:
        await host.run()
        self.ended.set()

    async def greeted(self, kind: str = "front", version: str | None = None) -> Lines:
        """Connect as another process does."""
        lines = connected(address(str(self.settings.home), SOCKET))
        await lines.send(Hello(kind=kind, version=version or ours()).encoded())
        assert await lines.receive() is not None
        return lines

    async def status(self) -> dict[str, Any]:
        return await control(self.settings.home, "status")


@pytest.fixture
def hosted(tmp_path: Path) -> Hosted:
    return Hosted(Settings.load(tmp_path, workers=2))


async def test_a_stopped_host_puts_its_runs_back_and_the_next_one_goes_on(hosted: Hosted, tmp_path: Path) -> None:
    async with hosted.running():
        run = await hosted.orchestrator.submit("train", SPEC)
        await until(lambda: hosted.orchestrator.journal.run(run).status is Status.RUNNING)
        assert (await hosted.status())["busy"]
        assert await stop_in_thread(hosted)
        await hosted.ended.wait()
    row = hosted.orchestrator.journal.run(run)
    assert (row.status, row.cut) == (Status.QUEUED, 0), "a stop in good order is no crash"
    after = Hosted(hosted.settings)
    after.go.set()
    async with after.running():
        await until(lambda: after.orchestrator.journal.run(run).status is Status.SUCCEEDED)


async def stop_in_thread(hosted: Hosted, *, drain: bool = False) -> bool:
    """Ask for the stop; there is no lock of a host process to wait for."""
    return await stop(hosted.settings.home, drain=drain)


async def test_a_host_ends_although_its_fronts_ask_and_take_no_answers(hosted: Hosted) -> None:
    asked: dict[str, Any] = {"jsonrpc": "2.0", "method": "tools/list", "params": {"_meta": META}}
    async with hosted.running():
        deaf = [await hosted.greeted() for _ in range(3)]
        for one in deaf:
            for number in range(30):  # the answers to these are more than the system keeps for who does not read
                await one.send(json.dumps({**asked, "id": number}).encode())
        with anyio.fail_after(60):
            assert await stop_in_thread(hosted)
            await hosted.ended.wait()
        for one in deaf:
            one.close()


async def test_a_host_that_is_drained_lets_its_runs_end(hosted: Hosted) -> None:
    async with hosted.running():
        run = await hosted.orchestrator.submit("train", SPEC)
        await stop_in_thread(hosted, drain=True)
        assert (await hosted.status())["draining"]
        hosted.go.set()
        with anyio.fail_after(60):
            await hosted.ended.wait()
    assert hosted.orchestrator.journal.run(run).status is Status.SUCCEEDED


async def test_a_host_with_nothing_to_do_ends_and_one_with_a_client_does_not(tmp_path: Path) -> None:
    hosted = Hosted(Settings.load(tmp_path, host_idle_seconds=0.3))
    async with hosted.running():
        lines = await hosted.greeted()
        with anyio.move_on_after(1):
            await hosted.ended.wait()
        assert not hosted.ended.is_set()
        assert (await hosted.status())["clients"] == 1
        lines.close()
        with anyio.fail_after(60):
            await hosted.ended.wait()


async def test_a_host_whose_folder_was_removed_ends(tmp_path: Path) -> None:
    hosted = Hosted(Settings.load(tmp_path / "project"))
    async with hosted.running():
        shutil.rmtree(tmp_path / "project")
        with anyio.fail_after(60):
            await hosted.ended.wait()


async def test_a_host_that_has_a_schedule_does_not_end(tmp_path: Path) -> None:
    hosted = Hosted(Settings.load(tmp_path, host_idle_seconds=0.1))
    schedules = Schedules(hosted.orchestrator.journal)
    schedules.add(hosted.orchestrator.engine.workflow("train"), "yearly", SPEC, "0 0 1 1 *")
    async with hosted.running():
        with anyio.move_on_after(1):
            await hosted.ended.wait()
        assert not hosted.ended.is_set()
        schedules.pause("yearly")
        with anyio.fail_after(60):
            await hosted.ended.wait()


async def test_an_older_host_hands_over_when_it_is_idle_and_not_before(hosted: Hosted) -> None:
    async with hosted.running():
        run = await hosted.orchestrator.submit("train", SPEC)
        newer = await hosted.greeted(version="999.1")
        await until(lambda: hosted.host is not None and hosted.host.retiring)
        with anyio.move_on_after(0.6):
            await hosted.ended.wait()
        assert not hosted.ended.is_set(), "a run is at work"
        hosted.go.set()
        with anyio.fail_after(60):
            await hosted.ended.wait()
        assert b"ending" in (await newer.receive() or b""), "the front is told"
        newer.close()
    assert hosted.orchestrator.journal.run(run).status is Status.SUCCEEDED


@pytest.mark.parametrize("theirs", ["0.0.0", "no version", ""])
async def test_a_newer_host_stays(hosted: Hosted, theirs: str) -> None:
    async with hosted.running() as running:
        lines = await hosted.greeted(version=theirs or None)
        await until(lambda: running.clients == 1)
        assert not running.retiring
        lines.close()


async def test_a_session_is_served_over_the_socket_and_ends_with_its_connection(hosted: Hosted) -> None:
    async with hosted.running() as running:
        lines = await hosted.greeted()
        await lines.send(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}')
        assert json.loads(await lines.receive() or b"{}")["id"] == 1
        await lines.send(b"{ nonsense")
        refused = json.loads(await lines.receive() or b"{}")
        assert (refused["id"], refused["error"]["code"]) == (None, -32600)
        await lines.send(b'{"jsonrpc": "2.0", "id": 2, "method": "ping"}')
        assert json.loads(await lines.receive() or b"{}")["id"] == 2
        lines.close()
        await until(lambda: running.clients == 0)


def test_a_log_that_has_grown_is_begun_anew_and_three_are_kept(tmp_path: Path) -> None:
    code = """
import os, sys
from pathlib import Path
from mcp_orchestrator.host.files import redirect, rotate, log_file
home = Path(sys.argv[1])
redirect(log_file(home))
for number in range(6):
    print(f"part {number} " + "x" * 100, flush=True)
    os.write(2, b"raw\\n")
    rotate(home, most=100)
"""
    (tmp_path / "logs").mkdir()
    subprocess.run([sys.executable, "-c", code, tmp_path], env=environment(), check=True)
    files = sorted(one.name for one in (tmp_path / "logs").iterdir())
    assert files == ["host.log", "host.log.1", "host.log.2", "host.log.3"]
    log = log_file(tmp_path)
    assert log.read_text() == ""
    assert [next(tail(log.with_name(f"host.log.{one}"), 2))[:6] for one in (1, 2, 3)] == ["part 5", "part 4", "part 3"]
    assert not rotate(tmp_path)


# Orchestrators that follow -------------------------------------------------------------------------------------------


@asynccontextmanager
async def pair(settings: Settings) -> AsyncGenerator[tuple[Orchestrator, Orchestrator, anyio.Event, anyio.Event]]:
    """A leader and a follower, the word that the training waits for, and the one that ends the leader."""
    go, leave = anyio.Event(), anyio.Event()
    made = [Orchestrator(settings=settings, in_process=True) for _ in range(2)]
    for one in made:
        one.engine.workflows["train"] = training(go)

    async def lead(*, task_status: Any) -> None:
        async with made[0].running():
            task_status.started()
            await leave.wait()

    with anyio.fail_after(120):
        async with anyio.create_task_group() as group:
            await group.start(lead)
            async with made[1].running():
                yield made[0], made[1], go, leave
                leave.set()


async def test_a_follower_has_its_work_done_and_sees_it(project: Path) -> None:
    settings = Settings.load(project)
    async with pair(settings) as (leader, follower, go, _):
        assert (leader.leads, follower.leads, leader.followers) == (True, False, 1)
        assert await follower.call("toys", "add", {"a": 2, "b": 3}) == 5
        with pytest.raises(InvalidInput, match="no such parameter"):
            await follower.call("toys", "add", {"c": 3})
        with pytest.raises(UnknownName, match="nobody"):
            await follower.call("nobody", "add", {})
        assert (await follower.initialize())["initialized"]
        run = await follower.submit("train", SPEC, key="mine")
        assert await follower.submit("train", SPEC, key="mine") == run
        seen: list[RunRow] = []

        async def watch(row: RunRow) -> None:
            seen.append(row)
            if row.status is Status.RUNNING:
                go.set()

        assert (await follower.wait(run, 60, watch)).status is Status.SUCCEEDED
        assert seen[-1].status is Status.SUCCEEDED
        assert [one.progress for one in seen] == sorted(one.progress for one in seen)
        with pytest.raises(NotReady, match="already ended"):
            await follower.cancel(run)


async def test_a_follower_stops_and_resumes_runs_of_the_leader(project: Path) -> None:
    async with pair(Settings.load(project)) as (leader, follower, _, _):
        run = await leader.submit("train", SPEC)
        await until(lambda: leader.journal.run(run).status is Status.RUNNING)
        assert (await follower.wait(run, 0.05)).status is Status.RUNNING
        assert (await follower.cancel(run[:8])).status is Status.CANCELLED
        again = await follower.resume(run)
        assert again.id != run, "what has ended stays as it is"
        assert leader.journal.run(run).status is Status.CANCELLED
        await follower.cancel(again.id)


async def test_a_follower_takes_the_runs_over_when_the_leader_leaves(project: Path) -> None:
    async with pair(Settings.load(project)) as (leader, follower, go, leave):
        run = await follower.submit("train", SPEC)
        await until(lambda: leader.journal.run(run).status is Status.RUNNING)
        ended: list[Status] = []

        async def wait() -> None:
            ended.append((await follower.wait(run)).status)

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            leave.set()
            await until(lambda: follower.leads)
            go.set()
        assert ended == [Status.SUCCEEDED]
        assert follower.leadership.epoch > 1


def test_asking_an_orchestrator_that_does_not_work_says_so(project: Path) -> None:
    orchestrator = Orchestrator(project, in_process=True)
    with pytest.raises(NotReady, match="running"):
        anyio.run(orchestrator.submit, "train", SPEC)


def test_a_clock_that_jumps_moves_no_leadership(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asks the clock on the wall: with one that runs backwards by years, all goes on as before."""
    back = iter(range(10**9, 0, -(10**6)))
    monkeypatch.setattr(time, "time", lambda: float(next(back)))

    async def work() -> tuple[bool, Any]:
        async with pair(Settings.load(project)) as (leader, follower, _, leave):
            leave.set()
            await until(lambda: follower.leads)
            return leader.leads, await follower.call("toys", "add", {"a": 1, "b": 1})

    assert anyio.run(work) == (False, 2)


def test_the_folder_of_a_home_is_for_its_owner(project: Path) -> None:
    answer("start")
    assert os.stat(project / ".mcp-orchestrator").st_mode & 0o777 == 0o700  # noqa: PTH116
