"""Short work on the memory is done by the event loop, and the loop waits for nobody."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator
from pathlib import Path

import anyio
import pytest
from served import served

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.server import quick
from mcp_orchestrator.server.quick import quickly
from mcp_orchestrator.settings import Settings
from orchestrator_memory.door import Busy, Door

pytestmark = pytest.mark.anyio
LIMIT = 60


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """What work usually takes: nothing is known yet."""
    known: dict[str, float] = {}
    monkeypatch.setattr(quick, "_usual", known)
    return known


@pytest.fixture
def held(tmp_path: Path) -> Generator[Orchestrator]:
    orchestrator = Orchestrator(tmp_path, in_process=True)
    yield orchestrator
    orchestrator.close()


async def test_work_of_a_kind_is_done_by_the_loop_once_it_is_known_to_be_short(
    held: Orchestrator, usual: dict[str, float]
) -> None:
    def work() -> int:
        assert held.memory.door.path.exists()
        return threading.get_ident()

    here = threading.get_ident()
    assert await quickly(held, work) != here  # the memory is not open
    [kind] = usual
    usual[kind] = quick.QUICK / 2
    assert await quickly(held, work) == here
    usual[kind] = quick.QUICK * 2
    assert await quickly(held, work) != here
    for _ in range(60):
        await quickly(held, work)
    assert usual[kind] < quick.QUICK
    assert await quickly(held, work) == here


async def test_one_long_time_is_remembered_at_once_and_what_fails_counts_too(
    held: Orchestrator, usual: dict[str, float], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0005, 1.0, 1.5])
    assert held.memory

    def work() -> None:
        raise KeyError("no such thing")

    monkeypatch.setattr(time, "thread_time", lambda: next(clock))
    for took in (0.0005, 0.5):
        with pytest.raises(KeyError, match="no such thing"):
            await quickly(held, work)
        assert list(usual.values()) == [pytest.approx(took)]


async def test_while_somebody_else_writes_the_loop_goes_on_and_the_work_waits_in_a_thread(
    held: Orchestrator, usual: dict[str, float]
) -> None:
    store = held.memory

    def work() -> int:
        store.memories.remember("It was waited for.")
        return threading.get_ident()

    await quickly(held, work)
    for kind in usual:
        usual[kind] = 0.0
    other = Door(store.door.path)
    ended: list[int] = []

    async def call() -> None:
        ended.append(await quickly(held, work))

    async with anyio.create_task_group() as tasks:
        with other.turn():
            tasks.start_soon(call)
            for _ in range(20):
                await anyio.sleep(0)
            assert ended == []
        with anyio.fail_after(LIMIT):
            while not ended:
                await anyio.sleep(0.01)
    assert ended[0] != threading.get_ident()
    assert store.memories.list()[0].times == 2
    other.close()


async def test_agents_who_take_their_names_while_others_write_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async with served(Settings.load(tmp_path)) as server:
        with anyio.fail_after(LIMIT):
            for turn in range(5):
                async with anyio.create_task_group() as tasks:
                    for name in ("anna", "bert", f"guest{turn}"):
                        about = {"text": f"{name} in {turn}", "agent": name}
                        tasks.start_soon(lambda about=about: server.call("remember", **about))
                        tasks.start_soon(lambda name=name: server.call("send_message", to=[], body="x", agent=name))
                    tasks.start_soon(lambda: server.call("recall_memory", queries=["in"]))
        found = await server.call("recall_memory", queries=["guest4"])
        assert ["agent=guest4" in one["text"] for one in found["memories"]] == [True]
        assert len(server.orchestrator.memory.memories.list(most=50)) == 15


def test_a_turn_holds_over_several_transactions_and_nobody_writes_in_between(tmp_path: Path) -> None:
    one, other = Door(tmp_path / "a.db"), Door(tmp_path / "a.db")
    with one.turn(), one.turn(wait=False):
        with one.write() as db:
            db.execute("CREATE TABLE t(x)")
        with pytest.raises(Busy), other.turn(wait=False):
            pass
        with one.write() as db:
            db.execute("INSERT INTO t VALUES(1)")
        with pytest.raises(Busy):
            other.begin(wait=False)
    with other.turn(wait=False), other.write(wait=False) as db:
        assert db.execute("SELECT x FROM t").fetchone()["x"] == 1
    with other.turn():
        seen: list[type[BaseException]] = []

        def attempt() -> None:
            try:
                with other.turn(wait=False):
                    pass
            except Busy as error:
                seen.append(type(error))

        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
        assert seen == [Busy]
    one.close()
    other.close()
