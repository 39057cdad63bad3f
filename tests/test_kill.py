"""What descends from a process is found and ended, by what Linux tells and by what other systems tell."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from mcp_orchestrator.core import kill, watchdog
from mcp_orchestrator.core.kill import MARK, birth, descendants, end, identity, mark, sweep, works
from mcp_orchestrator.core.watchdog import memory, share

BURNING = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "print(flush=True)\\nwhile True: pass"], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
while True: pass
"""


@pytest.fixture(params=["linux", "elsewhere"])
def system(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    if request.param == "elsewhere":
        monkeypatch.setattr(kill, "LINUX", False)
        monkeypatch.setattr(watchdog, "LINUX", False)
    elif sys.platform != "linux":
        pytest.skip("asks /proc")
    kill._owner.cache_clear()
    yield request.param
    kill._owner.cache_clear()


@contextmanager
def burning(**environment: str) -> Generator[tuple[subprocess.Popen[str], int]]:
    """Yield a process that burns, and the id of its child, which burns as well."""
    command = [sys.executable, "-c", BURNING]
    env = {**os.environ, **environment}
    with ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env, start_new_session=True)
        )
        stack.callback(process.kill)
        assert process.stdout is not None
        child = int(process.stdout.readline())
        stack.callback(end, child)
        yield process, child


def test_a_process_is_ended_with_what_descends_from_it(system: str) -> None:
    with burning() as (process, child):
        assert descendants(process.pid) == [child]
        assert works(process.pid)
        assert works(child)
        assert end(process.pid, birth(process.pid)) == 2
        assert not works(process.pid)
        assert not works(child)
        assert (descendants(process.pid), end(process.pid)) == ([], 0)


def test_the_birth_of_a_process_tells_it_from_any_other(system: str) -> None:
    assert birth(os.getpid()) == birth(os.getpid()) > 0
    with burning() as (process, _):
        assert birth(process.pid) >= birth(os.getpid())
        end(process.pid)
        process.wait()
        assert birth(process.pid) == 0


def test_what_a_dead_owner_left_is_swept_and_nothing_else(system: str, tmp_path: Path) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    with burning() as (owner, _):
        end(owner.pid)
        owner.wait()
        dead = f"{owner.pid}.1"
    with (
        burning(**{MARK: f"{identity(home)}:{dead}:1:r/s/1"}) as (left, child),
        burning(**{MARK: f"{identity(other)}:{dead}:1:r/s/1"}) as (foreign, _),
        burning(**{MARK: mark(identity(home), "1", "r/s/1")}) as (ours, _),
        burning() as (unmarked, _),
    ):
        assert sweep(home) >= 2
        assert not works(left.pid)
        assert not works(child)
        assert all(works(one.pid) for one in (foreign, ours, unmarked))
        assert sweep(home) == 0


def test_a_marked_process_is_ended_with_its_worker_though_nothing_else_ties_them(system: str, tmp_path: Path) -> None:
    sign = mark(identity(tmp_path), "7", "r/s/1")
    with burning(**{MARK: sign}) as (tied, child), burning() as (worker, _):
        end(worker.pid, birth(worker.pid), sign)
        assert not works(tied.pid)
        assert not works(child)


def test_memory_counts_a_process_with_what_descends_from_it(system: str) -> None:
    with burning() as (process, child):
        whole = memory(process.pid, 10_000)
        resident = sum(psutil.Process(pid).memory_info().rss for pid in (process.pid, child)) / (1 << 20)
        assert whole == pytest.approx(resident, rel=0.2)
        assert share(process.pid) + share(child) <= whole * 1.2
        assert memory(process.pid, 0) == pytest.approx(share(process.pid) + share(child), rel=0.2)
    assert memory(process.pid, 10_000) == 0
