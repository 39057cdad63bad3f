"""Leadership of a state home: one leader, followers that ask it, and what happens when it dies."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from served import environment

from mcp_orchestrator.core.address import address
from mcp_orchestrator.core.answers import listen
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.lines import bound, connected, stranger
from mcp_orchestrator.core.link import Hello, Link, LinkLost
from mcp_orchestrator.core.membership import SOCKET, Member
from mcp_orchestrator.core.tasks import Report
from mcp_orchestrator.errors import NotReady, StateUnavailable, UnknownName

pytestmark = pytest.mark.anyio
HELLO = Hello(kind="test", version="1")
HOLD = """
import sys, time
from pathlib import Path
from mcp_orchestrator.core.leadership import Leadership
leadership = Leadership(Path(sys.argv[1]))
assert leadership.acquire("other", "9")
print(leadership.epoch, flush=True)
sys.stdin.read()
"""
LEAD = """
import sys, anyio
from contextlib import asynccontextmanager
from pathlib import Path
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.link import Hello
from mcp_orchestrator.core.membership import Member

@asynccontextmanager
async def lead(former):
    yield

async def hang(params, report):
    print("asked", flush=True)
    await anyio.sleep_forever()

async def main():
    home = Path(sys.argv[1])
    member = Member(home, Leadership(home), Hello(kind="other"), lead=lead, handlers={"do": hang})
    async with member.taking_part():
        print("leads", flush=True)
        await anyio.sleep_forever()

anyio.run(main)
"""


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@contextmanager
def another(code: str, home: Path) -> Generator[subprocess.Popen[str]]:
    """Run a script in a process of its own, which is killed at the end if it has not ended."""
    command = [sys.executable, "-c", code, str(home)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


# The lock ------------------------------------------------------------------------------------------------------------


def test_one_process_leads_until_it_dies_and_the_next_has_a_greater_epoch(tmp_path: Path) -> None:
    ours = Leadership(tmp_path)
    with another(HOLD, tmp_path) as process:
        theirs = int(said(process))
        assert not ours.acquire()
        leader = ours.leader()
        assert leader is not None
        assert (leader.pid, leader.kind, leader.version, leader.epoch) == (process.pid, "other", "9", theirs)
        assert ours.alive(theirs)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not ours.alive(theirs)
    assert ours.leader() is None
    assert ours.acquire("mine")
    assert ours.epoch > theirs
    assert not ours.alive(theirs)
    assert Leadership(tmp_path).alive(ours.epoch)


def test_looking_who_leads_does_not_keep_anybody_from_leading(tmp_path: Path) -> None:
    looking, wanting = Leadership(tmp_path), Leadership(tmp_path)
    assert wanting.acquire()
    wanting.release()
    for _ in range(50):
        assert looking.leader() is None
        assert wanting.acquire()
        wanting.release()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"epoch": 1}', "\x00" * 40])
def test_a_lock_file_that_says_nothing_sensible_is_no_obstacle(tmp_path: Path, text: str) -> None:
    (tmp_path / "leader.lock").write_text(text)
    leadership = Leadership(tmp_path)
    assert leadership.leader() is None
    assert leadership.acquire("mine")
    assert json.loads((tmp_path / "leader.lock").read_text())["pid"] == os.getpid()


def test_the_number_that_the_journal_gave_is_what_others_see(tmp_path: Path) -> None:
    leadership = Leadership(tmp_path)
    leadership.acquire("mine")
    leadership.number(41)
    assert leadership.epoch == 41
    assert Leadership(tmp_path).alive(41)


# The socket ----------------------------------------------------------------------------------------------------------


def test_a_socket_is_for_its_owner_and_one_left_by_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = address(str(tmp_path), SOCKET)
    bound(path).close()  # the file stays, as after a kill
    with pytest.raises(ConnectionRefusedError):
        connected(path)
    with bound(path):
        assert Path(path).stat().st_mode & 0o777 == 0o600
        connected(path).close()


def test_a_file_that_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / SOCKET
    path.write_text("precious")
    with pytest.raises(FileExistsError, match="no socket"):
        bound(str(path))
    assert path.read_text() == "precious"


def test_a_long_home_has_its_sockets_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tempfile

    (short := tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(short))
    home = str(tmp_path / ("x" * 120))
    path = address(home, SOCKET)
    if len(path) > 107:
        pytest.skip("the temporary folder of this test is itself too long for a socket")
    assert path == address(home, SOCKET)
    assert path != address(home + "y", SOCKET)
    folder = Path(path).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    bound(path).close()
    folder.chmod(0o755)
    with pytest.raises(PermissionError, match="alone"):
        address(home, SOCKET)


def test_another_user_is_known_by_the_kernel_and_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert stranger(ours) is None
        if sys.platform == "linux" and os.getuid() != 0:
            monkeypatch.setattr(os, "getuid", lambda: 4242)
            assert stranger(ours) is not None


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root can be two users")
async def test_a_second_user_is_told_whose_orchestrator_it_is(tmp_path: Path) -> None:
    code = """
import os, socket, sys
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
print(connection.makefile().readline())
"""
    way = [one for one in [tmp_path, *tmp_path.parents] if one.stat().st_mode & 0o011 == 0]
    async with serving(tmp_path, {}) as path:
        Path(path).chmod(0o666)
        for one in way:
            one.chmod(one.stat().st_mode | 0o011)
        try:
            done = await anyio.run_process([sys.executable, "-c", code, path])
        finally:
            for one in way:
                one.chmod(one.stat().st_mode & ~0o011)
    assert b"belongs to user 0, not to user 65534" in done.stdout


# The link ------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving(home: Path, handlers: dict[str, Any], peers: list[Hello] | None = None) -> AsyncGenerator[str]:
    path = address(str(home), SOCKET)
    with bound(path) as listener:
        async with anyio.create_task_group() as group:
            group.start_soon(partial(listen, listener, HELLO, handlers, peers=peers))
            yield path
            group.cancel_scope.cancel()


async def test_requests_are_answered_side_by_side_with_their_progress_and_their_errors(tmp_path: Path) -> None:
    gate = anyio.Event()

    async def wait(params: dict[str, Any], report: Report) -> Any:
        report(0.5, "half")
        await gate.wait()
        return params

    async def open_gate(_params: dict[str, Any], _report: Report) -> None:
        gate.set()

    async def refuse(_params: dict[str, Any], _report: Report) -> None:
        raise UnknownName("thing", "x", ["y"])

    told: list[tuple[float | None, str]] = []
    answers: list[Any] = []
    handlers = {"wait": wait, "open": open_gate, "refuse": refuse}
    with anyio.fail_after(30):
        async with serving(tmp_path, handlers) as path, Link.opened(path, HELLO) as link:
            async with anyio.create_task_group() as group:

                async def first() -> None:
                    answers.append(await link.ask("wait", {"n": 1}, lambda *one: told.append(one)))

                group.start_soon(first)
                with pytest.raises(UnknownName, match="thing 'x'"):
                    await link.ask("refuse", {})
                while not told:
                    await anyio.sleep(0.001)
                assert await link.ask("open", {}) is None
            assert answers == [{"n": 1}]
            assert told == [(0.5, "half")]
            with pytest.raises(ValueError, match="'other' is not known"):
                await link.ask("other", {})


async def test_a_message_of_64_megabytes_comes_through_whole(tmp_path: Path) -> None:
    async def echo(params: dict[str, Any], _report: Report) -> Any:
        return params["text"]

    text = "ä\n" * (16 * 1024**2)
    with anyio.fail_after(60):
        async with serving(tmp_path, {"echo": echo}) as path, Link.opened(path, HELLO) as link:
            assert await link.ask("echo", {"text": text}) == text


async def test_a_cancelled_request_has_stopped_on_the_other_side_when_control_returns(tmp_path: Path) -> None:
    begun, stopped = anyio.Event(), anyio.Event()

    async def work(_params: dict[str, Any], _report: Report) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    with anyio.fail_after(30):
        async with serving(tmp_path, {"work": work}) as path, Link.opened(path, HELLO) as link:
            async with anyio.create_task_group() as group:
                group.start_soon(link.ask, "work", {})
                await begun.wait()
                group.cancel_scope.cancel()
            assert stopped.is_set()


@pytest.mark.parametrize(
    "line",
    [
        b"{ nonsense",
        b"[1]",
        b"[" * 100_000,
        b'{"verb": "wait", "params": {}}',
        b'{"id": 1, "verb": "wait"}',
        b'{"id": 2}',
        b'{"id": 1, "verb": "wait", "params": {}}\n{"id": 1, "verb": "wait", "params": {}}',
    ],
    ids=["no JSON", "no object", "deep", "no id", "no params", "nothing asked", "an id twice"],
)
async def test_what_is_no_request_ends_its_connection_and_no_other(line: bytes, tmp_path: Path) -> None:
    async def wait(_params: dict[str, Any], _report: Report) -> None:
        await anyio.sleep_forever()

    async def echo(params: dict[str, Any], _report: Report) -> Any:
        return params

    with anyio.fail_after(30):
        async with serving(tmp_path, {"wait": wait, "echo": echo}) as path, Link.opened(path, HELLO) as link:
            lines = connected(path)
            await lines.send(HELLO.encoded() + b"\n" + line)
            assert b"hello" in (await lines.receive() or b"")
            while (said := await lines.receive()) is not None:
                assert json.loads(said)["code"] == "cancelled"
            assert await link.ask("echo", {"n": 1}) == {"n": 1}
            lines.close()


@pytest.mark.parametrize("ends", ["who answers", "who asks"])
async def test_who_takes_no_answer_is_not_waited_for_at_the_end(
    ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = anyio.Event()

    async def much(_params: dict[str, Any], _report: Report) -> str:
        answered.set()
        return "x" * 10**7

    monkeypatch.setattr("mcp_orchestrator.core.answers.GRACE", 0.1)
    peers: list[Hello] = []
    with anyio.fail_after(30):
        async with serving(tmp_path, {"much": much}, peers) as path:
            lines = connected(path)
            await lines.send(HELLO.encoded() + b'\n{"id": 1, "verb": "much", "params": {}}')
            await answered.wait()
            assert len(peers) == 1
            if ends == "who asks":
                lines._connection.shutdown(socket.SHUT_WR)
                while peers:
                    await anyio.sleep(0.001)
    lines.close()


async def test_who_goes_away_ends_what_it_asked_for(tmp_path: Path) -> None:
    begun, stopped = anyio.Event(), anyio.Event()

    async def work(_params: dict[str, Any], _report: Report) -> None:
        begun.set()
        try:
            await anyio.sleep_forever()
        finally:
            stopped.set()

    with anyio.fail_after(30):
        async with serving(tmp_path, {"work": work}) as path:
            lines = connected(path)
            await lines.send(HELLO.encoded())
            await lines.send(b'{"id": 1, "verb": "work", "params": {}}')
            await begun.wait()
            lines.close()
            await stopped.wait()


async def test_what_is_no_greeting_ends_the_connection_and_nothing_else(tmp_path: Path) -> None:
    async def echo(params: dict[str, Any], _report: Report) -> Any:
        return params

    with anyio.fail_after(30):
        async with serving(tmp_path, {"echo": echo}) as path:
            lines = connected(path)
            await lines.send(b"GET / HTTP/1.1")
            assert await lines.receive() is not None, "its own greeting"
            assert await lines.receive() is None
            lines.close()
            async with Link.opened(path, HELLO) as link:
                assert await link.ask("echo", {"still": "there"}) == {"still": "there"}


# Leader and followers ------------------------------------------------------------------------------------------------


class Part:
    """A member of the tests: it notes when it leads, and answers with its name."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.reigns: list[bool] = []
        self.began = anyio.Event()
        handlers = {"who": self.who}
        self.member = Member(home, Leadership(home), Hello(kind=name), lead=self.lead, handlers=handlers)

    @asynccontextmanager
    async def lead(self, former: bool) -> AsyncGenerator[None]:
        self.reigns.append(former)
        self.began.set()
        yield

    async def who(self, _params: dict[str, Any], _report: Report) -> str:
        return self.name


async def test_the_first_leads_the_others_ask_it_and_one_of_them_leads_next(tmp_path: Path) -> None:
    one, two = Part(tmp_path, "one"), Part(tmp_path, "two")
    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            leave = anyio.Event()

            async def first(*, task_status: Any) -> None:
                async with one.member.taking_part():
                    task_status.started()
                    await leave.wait()

            await group.start(first)
            async with two.member.taking_part():
                assert (one.member.leads, two.member.leads) == (True, False)
                assert await two.member.ask("who", {}) == "one"
                leave.set()
                await two.began.wait()
                assert await two.member.ask("who", {}) == "two"
                assert two.reigns == [True], "it knows that another led before"
    assert one.reigns == [False]
    assert not Path(address(str(tmp_path), SOCKET)).exists()
    assert Leadership(tmp_path).leader() is None


@pytest.mark.parametrize("again", [False, True])
async def test_a_request_that_the_leader_died_over_is_repeated_only_if_that_is_harmless(
    tmp_path: Path, again: bool
) -> None:
    async def do(_params: dict[str, Any], _report: Report) -> str:
        return "done by the next"

    @asynccontextmanager
    async def lead(_former: bool) -> AsyncGenerator[None]:
        yield

    member = Member(tmp_path, Leadership(tmp_path), HELLO, lead=lead, handlers={"do": do})
    with another(LEAD, tmp_path) as process, anyio.fail_after(60):
        assert said(process) == "leads"
        async with member.taking_part():
            assert not member.leads
            answers: list[Any] = []

            async def ask() -> None:
                try:
                    answers.append(await member.ask("do", {"run": "r1"}, again=again))
                except NotReady as error:
                    answers.append(error)

            async with anyio.create_task_group() as group:
                group.start_soon(ask)
                assert await anyio.to_thread.run_sync(said, process) == "asked"
                process.kill()
            if again:
                assert answers == ["done by the next"]
            else:
                assert "do r1" in str(answers[0])
                assert "not done again" in str(answers[0])
            assert await member.ask("do", {}) == "done by the next"


async def test_a_leader_that_does_not_answer_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcp_orchestrator.core.membership.PATIENCE", 0.2)
    with another(HOLD, tmp_path) as process:
        said(process)
        part = Part(tmp_path, "one")
        with pytest.raises(StateUnavailable, match=f"Process {process.pid} .other. leads .* does not answer"):
            async with part.member.taking_part():
                pass


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="mine"):
        async with Part(tmp_path, "one").member.taking_part():
            raise KeyError("mine")


async def test_a_link_that_is_lost_says_so(tmp_path: Path) -> None:
    async def hang(_params: dict[str, Any], _report: Report) -> None:
        await anyio.sleep_forever()

    with anyio.fail_after(30):
        async with anyio.create_task_group() as group:
            leave = anyio.Event()

            async def serve(*, task_status: Any) -> None:
                async with serving(tmp_path, {"hang": hang}) as path:
                    task_status.started(path)
                    await leave.wait()

            path = await group.start(serve)
            async with Link.opened(path, HELLO) as link:
                leave.set()
                with pytest.raises(LinkLost):
                    await link.ask("hang", {})
                with pytest.raises(LinkLost):
                    await link.ask("hang", {})
