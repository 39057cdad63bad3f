"""Steps on other machines: what stays at home, what a place refuses, and what is left of a worker that was killed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import psutil
import pytest

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.kill import works
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.tasks import Capacity, Task
from mcp_orchestrator.elsewhere import dask, place, placed
from mcp_orchestrator.elsewhere.away import Away
from mcp_orchestrator.elsewhere.dask import Dask
from mcp_orchestrator.elsewhere.placement import stays
from mcp_orchestrator.elsewhere.ray import Ray
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, NotReady, WorkerLost
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.testing import Bench

DIGEST = "0" * 64
PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
EXERCISES = {"exercises": "mcp_orchestrator.testing.exercises"}
needs_dask = pytest.mark.skipif(find_spec("distributed") is None, reason="the extra dask is not installed")
needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="the extra ray is not installed")


def until(holds: Callable[[], object]) -> None:
    """Wait until something holds; a minute of waiting is a failure."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it never held"
        time.sleep(0.01)


# What stays at home --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component", "capability", "params", "home"),
    [
        ("training_data_loader", "load", {"source": "builtin:iris"}, True),
        ("production_registry", "promote", {"name": "m", "version": 1}, True),
        ("production_registry", "track", {"model": f"model://{DIGEST}", "name": "m"}, True),
        ("automl_orchestrator", "start", {"data": f"dataset://t@{DIGEST}", "target": "y"}, False),
        ("automl_orchestrator", "start", {"data": f"dataset://t@{DIGEST}", "target": "y", "name": "kept"}, True),
        ("automl_orchestrator", "start", {"data": "table.csv", "target": "y"}, True),
        ("automl_orchestrator", "propose", {"name": "r", "data": f"dataset://t@{DIGEST}"}, True),
        ("automl_orchestrator", "tell", {"name": "r"}, True),
        ("automl_orchestrator", "score", {"data": f"dataset://t@{DIGEST}"}, False),
        ("automl_orchestrator", "conclude", {"name": "r", "data": f"dataset://t@{DIGEST}"}, False),
        ("ml_integration", "fit", {"data": f"dataset://t@{DIGEST}", "target": "y"}, False),
        ("ml_integration", "evaluate", {"model": f"model://{DIGEST}", "data": f"dataset://t@{DIGEST}"}, False),
        ("ml_integration", "evaluate", {"model": "churn@champion", "data": f"dataset://t@{DIGEST}"}, True),
        ("performance_validation", "validate", {"model": f"model://{DIGEST}", "data": "builtin:iris"}, False),
        (
            "performance_validation",
            "validate",
            {"model": f"model://{DIGEST}", "data": "builtin:iris", "against": "churn"},
            True,
        ),
        ("nobody", "nothing", {}, True),
    ],
)
def test_a_step_stays_at_home_when_it_needs_what_only_the_home_has(
    component: str, capability: str, params: dict[str, Any], home: bool
) -> None:
    task = Task(component=component, capability=capability, params=params, run="r", step="s")
    assert stays(Registry(), task) is home


def test_a_single_call_stays_at_home() -> None:
    task = Task(component="ml_integration", capability="fit", params={"data": f"dataset://t@{DIGEST}"})
    assert stays(Registry(), task)


@pytest.mark.parametrize(("line", "module"), [(Dask, "distributed"), (Ray, "ray")])
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    line: Any, module: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingLibrary, match=rf'pip install "mcp-ml-orchestrator\[{line.name}\]"'):
        anyio.run(Away(settings, line).start)


# A place -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hello(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """What a host says to a place in this process, whose folder is the test's own."""
    monkeypatch.chdir(settings.project)
    probe = ArtifactStore(settings.home / "artifacts").put(b"probe", name="probe").sha256
    given = settings.model_copy(update={"components": EXERCISES, "artifacts": settings.home.as_uri()})

    def said(life: str = "first", **changed: Any) -> str:
        about = {
            "home": "home",
            "token": life,
            "version": place.version(place.PACKAGE),
            "probe": probe,
            "preload": False,
        }
        return json.dumps({**about, "settings": given.model_dump(mode="json"), **changed})

    yield said
    for life in ("first", "second"):
        place.leave("home", life)


def greeted(hello: str) -> dict[str, Any]:
    return place.greet(hello, name="a", cpus=1)


def asked(capability: str, life: str = "first", key: str = "k", /, **fields: Any) -> dict[str, Any]:
    """Have the place run a task, and return the outcome."""
    about: dict[str, Any] = {"params": {}, "run": "r", "step": "s", **fields}
    task = Task(component="exercises", capability=capability, **about)
    here = place.find("home", life)
    return here.ask(here.perform, key, task.plain(), lambda _fraction, _message: None).result(60)["outcome"]


def begun(life: str = "first", key: str = "hanging") -> list[int]:
    """Start a task that never ends, and return its processes."""
    pids: list[int] = []
    here = place.find("home", life)
    task = Task(component="exercises", capability="hang", params={}, run="r", step="s")
    here.ask(here.perform, key, task.plain(), lambda _, message: pids.extend(int(one) for one in message.split()))
    until(lambda: len(pids) == 2)
    return pids


def running(pids: list[int]) -> list[int]:
    return [pid for pid in pids if works(pid)]


def test_a_place_answers_and_keeps_what_it_writes_in_a_folder_of_its_own(hello: Callable[..., str]) -> None:
    facts = greeted(hello())
    assert facts["cpus"] == 1
    assert Path(facts["folder"]).parent == Path.cwd() / ".mcp-orchestrator" / "places"
    assert asked("echo", params={"value": [1]})["value"] == [1]


def test_a_place_of_another_version_takes_no_work(hello: Callable[..., str]) -> None:
    assert "install the same there" in greeted(hello(version="0.0.1"))["problem"]
    with pytest.raises(WorkerLost, match="no place"):
        place.find("home", "first")


def test_a_place_that_cannot_reach_the_artifacts_says_so(hello: Callable[..., str]) -> None:
    assert DIGEST in greeted(hello(probe=DIGEST))["problem"]


def test_a_place_without_a_foreign_component_says_which(hello: Callable[..., str], settings: Settings) -> None:
    given = settings.model_copy(update={"components": {"mine": "no_such_package.mine"}, "artifacts": "/"})
    assert "no_such_package.mine" in greeted(hello(settings=given.model_dump(mode="json")))["problem"]


def test_a_component_of_another_version_is_refused(hello: Callable[..., str]) -> None:
    greeted(hello())
    outcome = asked("echo", params={"value": 1}, version="99")
    assert outcome["code"] == NotReady.code
    assert "99 at home" in outcome["error"]


def test_a_task_that_is_killed_before_it_comes_never_begins(hello: Callable[..., str], tmp_path: Path) -> None:
    greeted(hello())
    here = place.find("home", "first")
    assert not here.ask(here.kill, "k", 0.0).result(60)["running"]
    assert asked("echo", params={"value": 1})["code"] == "cancelled"
    assert asked("echo", "first", "another", params={"value": 1})["value"] == 1


def test_a_home_that_begins_a_new_life_finds_nothing_of_the_last_one_running(hello: Callable[..., str]) -> None:
    greeted(hello())
    pids = begun()
    greeted(hello("second"))
    assert not running(pids)
    with pytest.raises(WorkerLost):
        place.find("home", "first")
    assert asked("echo", "second", params={"value": 2})["value"] == 2


def test_a_place_ends_everything_when_its_home_is_silent(
    hello: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(place, "PATIENCE", 2.0)
    greeted(hello())
    here = place.find("home", "first")
    here.heard += 3600
    pids = begun()
    assert len(running(pids)) == 2
    here.heard -= 7200
    until(lambda: not running(pids))
    until(lambda: here.closed)


def test_what_a_step_printed_comes_back_once(hello: Callable[..., str]) -> None:
    greeted(hello())
    here = place.find("home", "first")

    def said(text: str) -> str:
        task = Task(component="exercises", capability="say", params={"text": text}, run="r", step="s")
        return here.ask(here.perform, text, task.plain(), lambda _fraction, _message: None).result(60)["log"]

    first, second = said("one"), said("two")
    assert ("raw one" in first, "raw two" in first) == (True, False)
    assert ("raw one" in second, "raw two" in second) == (False, True)


# Clusters ------------------------------------------------------------------------------------------------------------


class Cluster:
    """A Dask scheduler and its workers, started as the page says, each worker in a folder of its own."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address
        self.started: list[subprocess.Popen[bytes]] = []
        self.settings = {"executor": "dask", "executor_address": address, "artifacts": str(folder / "shared")}
        self.environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SCHEDULER": address,
            "SHARED": str(folder / "shared"),
            "DASK_DISTRIBUTED__SCHEDULER__DASHBOARD__ENABLED": "false",
        }

    def start(self, role: str) -> None:
        """Start what the page says for a scheduler or a worker."""
        folder = self.folder / f"{role}-{len(self.started)}"
        folder.mkdir()
        with (folder / "log").open("wb") as log:
            command = ["bash", "-c", f"exec {commands(role)}"]
            self.started.append(
                subprocess.Popen(command, cwd=folder, env=self.environment, stdout=log, stderr=log, process_group=0)
            )

    def stop(self) -> None:
        for one in reversed(self.started):
            one.terminate()
        for one in self.started:
            one.wait(60)


def commands(role: str) -> str:
    """Return the commands that the page has for a role."""
    found = re.search(rf"^```sh {role}\n(.*?)^```", PAGE.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    assert found, role
    return found[1].strip()


@contextlib.contextmanager
def cluster(folder: Path, workers: int) -> Generator[Cluster]:
    import socket

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    made = Cluster(folder, address)
    try:
        made.start("scheduler")
        for _ in range(workers):
            made.start("worker")
        anyio.run(_there, address, workers)
        yield made
    finally:
        made.stop()


async def _there(address: str, workers: int) -> None:
    from distributed import Client  # pyright: ignore[reportMissingImports]

    async with Client(address, asynchronous=True, timeout=60) as client:
        if workers:
            await client.wait_for_workers(workers, timeout=60)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two Dask workers in two processes, with separate folders and a shared one."""
    pytest.importorskip("distributed")
    with cluster(tmp_path_factory.mktemp("cluster"), 2) as made:
        yield made


@needs_dask
@pytest.mark.slow
@pytest.mark.requirement("engine.elsewhere")
@pytest.mark.checkout  # reads docs/scaling.md
def test_the_commands_of_the_page_train_a_model_on_two_workers(two: Cluster, tmp_path: Path) -> None:
    said = subprocess.run(
        ["bash", "-c", commands("home")], cwd=tmp_path, env=two.environment, capture_output=True, check=False
    )
    assert said.returncode == 0, said.stderr.decode()
    answer = json.loads(said.stdout)
    assert answer["status"] == "succeeded"
    with Orchestrator(tmp_path) as home:
        ran = {one.step: one.executor for one in home.journal.attempts(answer["run_id"])}
        assert {ran[step] for step in ("tune", "fit", "test")} == {"dask"}
        assert {ran[step] for step in ("load", "register")} <= {"local", ""}  # of a quick one it is not kept
        flower = {"sepal length (cm)": 5.1, "sepal width (cm)": 3.5, "petal length (cm)": 1.4, "petal width (cm)": 0.2}
        assert len(home.predict("scaled", [flower])["predictions"]) == 1


@needs_dask
@pytest.mark.slow
@pytest.mark.checkout  # reads docs/scaling.md
def test_a_run_succeeds_although_one_of_two_workers_is_killed(two: Cluster, tmp_path: Path) -> None:
    home = Orchestrator(settings=Settings.load(tmp_path, **two.settings))
    seen: dict[str, list[int]] = {}

    async def kill_in_the_middle(run: str) -> None:
        """Kill the process of the worker that has the search, once our own processes below it are at work."""
        while not (busy := [one for one in home.journal.attempts(run) if one.step == "tune" and one.worker.get("pid")]):
            await anyio.sleep(0.01)
        worker = psutil.Process(busy[0].worker["pid"])
        while not (below := [one.pid for one in worker.children(recursive=True)]):
            await anyio.sleep(0.01)
        seen.update(worker=[worker.pid], below=below)
        os.kill(worker.pid, signal.SIGKILL)

    async def work() -> Any:
        async with home.running():
            spec = {
                "data": "builtin:wine",
                "target": "target",
                "tuning": {"trials": 8, "trials_as": "step"},
                "tracking": False,
            }
            run = await home.submit("train", spec)
            with anyio.fail_after(240):
                async with anyio.create_task_group() as group:
                    group.start_soon(kill_in_the_middle, run)
                    return await home.wait(run)

    view = anyio.run(work)
    assert view.status == "succeeded", view.error
    tries = [one for one in home.journal.attempts(view.run_id) if one.step == "tune"]
    assert [one.status for one in tries] == ["lost", "done"]
    assert tries[0].worker["pid"] != tries[1].worker["pid"]
    assert not [one for one in home.journal.attempts(view.run_id) if one.number > 1 and one.step != "tune"]
    until(lambda: not running([*seen["worker"], *seen["below"]]))


@needs_dask
def test_without_a_scheduler_the_error_says_how_to_start_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask, "CONNECT", 0.5)
    changed = settings.model_copy(update={"executor_address": "tcp://127.0.0.1:9"})
    with pytest.raises(NotReady, match="dask scheduler"):
        anyio.run(Away(changed, Dask).start)


@needs_dask
@pytest.mark.checkout  # reads docs/scaling.md
def test_a_cluster_without_workers_is_refused(tmp_path: Path) -> None:
    with cluster(tmp_path, 0) as made, pytest.raises(NotReady, match="no workers"):
        anyio.run(Away(Settings.load(tmp_path, **made.settings), Dask).start)


@needs_dask
@pytest.mark.checkout  # reads docs/scaling.md
def test_a_worker_that_joins_later_is_found_and_takes_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcp_orchestrator.elsewhere import away

    monkeypatch.setattr(away, "GREET_EVERY", 0.1)
    told: list[int] = []

    def make(settings: Settings) -> Away:
        return Away(settings, Dask, lambda found: told.append(found.cpus), preload=False)

    with cluster(tmp_path, 1) as made, Bench(make, tmp_path, **made.settings) as bench:
        made.start("worker")
        until(lambda: told[-1] == 2)

        async def work() -> set[int]:
            refs = [(await bench.hanging())[0] for _ in range(2)]
            for one in refs:
                await bench.executor.kill(one)
            return {one.pid for one in refs}

        assert told == [1, 2]
        assert len(bench.run(work)) == 2


@needs_dask
def test_a_cluster_of_our_own_ends_with_a_home_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import anyio, sys\n"
        "from mcp_orchestrator.elsewhere.away import Away\n"
        "from mcp_orchestrator.elsewhere.dask import Dask\n"
        "from mcp_orchestrator.settings import Settings\n"
        "async def main():\n"
        "    await Away(Settings.load(sys.argv[1], executor_places=1), Dask, preload=False).start()\n"
        "    print('started', flush=True)\n"
        "    await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as home:
        assert home.stdout is not None
        assert home.stdout.readline() == b"started\n"
        below = [one.pid for one in psutil.Process(home.pid).children(recursive=True)]
        assert len(running(below)) >= 3
        home.kill()
    until(lambda: not running(below))


@needs_ray
def test_the_client_of_ray_is_refused(settings: Settings) -> None:
    changed = settings.model_copy(update={"executor_address": "ray://127.0.0.1:10001"})
    with pytest.raises(InvalidInput, match="cannot carry progress"):
        anyio.run(Away(changed, Ray).start)


@pytest.mark.slow
@pytest.mark.parametrize("line", [pytest.param(Dask, marks=needs_dask), pytest.param(Ray, marks=needs_ray)])
def test_the_death_of_a_cluster_s_worker_is_told_and_the_next_task_goes_to_another(line: Any, tmp_path: Path) -> None:
    with Bench(lambda settings: Away(settings, line, preload=False), tmp_path) as bench:

        async def work() -> tuple[str, list[int], Any]:
            ref, pids = await bench.hanging()
            os.kill(ref.pid, signal.SIGKILL)
            outcome = await bench.executor.wait(ref)
            return outcome.code, pids, (await bench.done(bench.task("echo", {"value": 3}))).answer()

        code, pids, answer = bench.run(work)
        assert (code, answer) == ("worker_lost", 3)
        until(lambda: not running(pids))


def test_a_cluster_s_processors_are_what_is_granted(settings: Settings) -> None:
    class Line:
        name = "fake"

        def __init__(self, *_: Any) -> None: ...

        async def open(self) -> None: ...

        async def close(self) -> None: ...

        async def greet(self, _: str) -> dict[str, dict[str, Any]]:
            sizes = {"a": 2, "b": 6}
            return {
                **{name: {"cpus": cpus, "memory_mb": 1000, "pid": 1} for name, cpus in sizes.items()},
                "c": {"problem": "is too old"},
            }

    told: list[Capacity] = []

    async def work() -> None:
        away = Away(settings, Line, told.append)  # type: ignore[arg-type]  # as much of one as this needs
        await away.start()
        with pytest.raises(InvalidInput, match="5000 MB"):
            await away.submit(Task(component="c", capability="d", params={}, memory_mb=5000), lambda *_: None)
        await away.close()

    anyio.run(work)
    assert told == [Capacity(cpus=8, memory_mb=2000, widest=6)]


@pytest.mark.requirement("engine.elsewhere")
def test_the_setting_chooses_the_executor(settings: Settings, ctx: Context) -> None:
    from mcp_orchestrator.core.executors import InProcess

    registry = Registry()
    home = InProcess(settings, registry)
    assert placed(settings, registry, home) is home
    for name in ("dask", "ray"):
        away = placed(settings.model_copy(update={"executor": name}), registry, home)
        assert (away.name, away.abilities.elsewhere) == (name, True)
