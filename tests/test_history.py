"""All that can be read of a run: by command, by address, by tool; and how it is forgotten."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
import toys
from mcp_types import BlobResourceContents, TextResourceContents
from pydantic import BaseModel
from served import Served, served
from terminal import answer, ask, start

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.component import Capability
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Workflow
from mcp_orchestrator.core.executors import Workers
from mcp_orchestrator.core.history import history, step_of
from mcp_orchestrator.core.journal import Journal, steps
from mcp_orchestrator.core.journal.prune import old, prune
from mcp_orchestrator.core.output import log_of
from mcp_orchestrator.core.policy import Policy
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.core.run import Run
from mcp_orchestrator.core.tasks import Capacity
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import without_secrets

HERE = Path(__file__).parent
ROOT = HERE.parent
add, die, fail, nap, chatter = (
    Capability(one, component="toys") for one in (toys.add, toys.die, toys.fail, toys.nap, toys.chatter)
)


class Spec(BaseModel):
    folder: str = ""


class Answer(BaseModel):
    value: Any = None


async def eventful(run: Run, spec: Spec) -> Answer:
    await run.step("talk", chatter, text="hello")
    await run.skip("unwanted", "it was not asked for")
    tried = await run.step("tried", die, Policy(attempts=2, backoff=0.01), folder=spec.folder, times=1)
    await run.attempt("optional", fail, reason="bad luck")
    sums = await run.map("sum", add, [{"a": number} for number in range(3)])
    below = await run.child("below", "small", {})
    decision = await run.approval("promote", "Shall it be promoted?", tried=tried)
    return Answer(value=[sums, below["value"], decision.by])


async def small(run: Run, _spec: Spec) -> Answer:
    return Answer(value=await run.step("add", add, a=40, b=2))


async def napping(run: Run, spec: Spec) -> Answer:
    await run.step("talk", chatter, text="before")
    while not (Path(spec.folder) / "go").exists():
        await anyio.sleep(0.01)
    return Answer(value=await run.step("say", chatter, text="after"))


async def wide(run: Run, _spec: Spec) -> Answer:
    return Answer(value=await run.map("item", add, [{"a": number} for number in range(120)]))


WORKFLOWS = [
    Workflow("wide", Spec, wide, ("item",)),
    Workflow("eventful", Spec, eventful, ("talk", "unwanted", "tried", "optional", "sum", "below", "promote")),
    Workflow("small", Spec, small, ("add",)),
    Workflow("napping", Spec, napping, ("talk", "say")),
]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def engine_of(home: Path) -> AsyncGenerator[Engine]:
    """An engine whose steps run in worker processes."""
    settings = Settings.load(home, components={"toys": "toys"}, workers=2)
    executor = Workers(settings, preload=False)
    journal = Journal(settings.home)
    try:
        dispatcher = Dispatcher(executor, Resources(Capacity(cpus=2)))
        async with Engine(journal, dispatcher, WORKFLOWS).running() as engine:
            yield engine
    finally:
        await executor.close()
        journal.close()


async def do(folder: Path) -> str:
    """Let a run happen in which there is something of everything, and return its id."""
    async with engine_of(folder) as engine:
        run = await engine.submit("eventful", {"folder": str(folder)}, created_by="a test")
        with anyio.fail_after(60):
            row = await engine.wait(run)
            assert row.status is Status.WAITING, row.error
            await engine.decide(run, "promote", approved=True, by="ann", note="go on")
            row = await engine.wait(run)
    assert (row.status, row.error) == (Status.DEGRADED, None)
    assert row.result == {"value": [[1, 2, 3], 42, "ann"]}
    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project folder in which the eventful run happened; nothing in it is changed."""
    made = tmp_path_factory.mktemp("project")
    (made / "orchestrator.toml").write_text('[components]\ntoys = "toys"\n')
    (made / "run").write_text(anyio.run(do, made))
    return made


@pytest.fixture
def run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of the eventful run, whose project is the working folder."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "memory"), str(HERE)]))
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.chdir(folder)
    return (folder / "run").read_text()


def test_each_attempt_says_where_it_ran_and_how_it_ended(folder: Path, run: str) -> None:
    journal = Journal(folder / ".mcp-orchestrator")
    found = history(journal, journal.run(run))
    tried = step_of(found, "tried")
    assert tried is not None
    assert [(one.number, one.status) for one in tried.attempts] == [(1, "lost"), (2, "done")]
    assert "ended before it answered" in tried.attempts[0].error
    assert all(one.executor and re.match(r"process \d+", one.worker) for one in tried.attempts)
    assert len({one.worker for one in tried.attempts}) == 2
    assert all(one.waited is not None and one.ran is not None for one in tried.attempts)
    assert (tried.params, tried.result) == ({"folder": str(folder), "times": 1}, 2)
    optional = step_of(found, "optional")
    assert optional is not None
    assert [(one.status, one.error) for one in optional.attempts] == [("failed", "RuntimeError: bad luck")]
    assert found.used.attempts == 7
    assert found.used.retries == 1
    assert found.used.ran == pytest.approx(sum(one.ran or 0 for one in found.attempts), abs=0.001)
    assert [(one.name, one.status, one.decided_by) for one in found.approvals] == [("promote", "approved", "ann")]
    assert found.about["created_by"] == "a test"
    [child] = found.children
    assert history(journal, journal.run(child)).about["parent"] == run


@pytest.mark.anyio
async def test_a_step_names_the_references_that_it_uses_and_those_that_it_gave(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "home")
    row = await journal.submit("train", {})
    table, model, card = f"dataset://t@{'0' * 64}", f"model://{'1' * 64}", f"artifact://{'2' * 64}"
    params = {"data": table, "notes": ["no reference: model://x y", {"again": table}]}
    result = {"uri": model, "from": table, "files": [{"uri": card}, {"uri": card}], "score": 0.5}
    noted = steps.Noted(name="fit", position=0, status="done", component="c", params=params, result=result)
    await journal.do(steps.note, row.id, noted)
    [step] = history(journal, row).steps
    assert (step.uses, step.gave) == ([table], [model, card])
    journal.close()


# By command ----------------------------------------------------------------------------------------------------------


def test_the_command_shows_steps_attempts_and_totals(run: str) -> None:
    text = ask("runs", run[:8], "--steps").stdout
    tried = [line.split() for line in text.splitlines() if line.startswith("tried")]
    assert [(line[1], line[2], line[3]) for line in tried] == [("toys.die", "lost", "1"), ("toys.die", "done", "2")]
    assert "it was not asked for" in text
    assert "Shall it be promoted?" in text
    facts = answer("runs", run[:8], "--steps")
    assert facts["run_id"] == run
    assert facts["resources"]["attempts"] == 7
    [sums] = [one for one in facts["steps"] if one["name"] == "sum[1]"]
    assert (sums["params"], sums["result"], sums["capability"]) == ({"a": 1}, 2, "add")
    assert facts["children"][0] in text


def test_the_command_shows_the_log_of_a_run_of_a_step_and_from_a_level_up(run: str) -> None:
    text = ask("runs", run, "--log").stdout
    assert "talk stdout: hello" in text
    assert "talk output: raw" in text
    [warned] = [line for line in ask("runs", run, "--log", "--level", "warning").stdout.splitlines() if "WARN" in line]
    assert "toys.fail failed" in warned
    lines = [json.loads(line) for line in ask("runs", run, "--log", "talk", "--json").stdout.splitlines()]
    assert {one["step"] for one in lines} == {"talk"}
    assert [one["message"] for one in lines if one.get("logger") in {"stdout", "stderr"}] == ["hello", "hello"]
    result = ask("runs", run, "--log", "tolk")
    assert result.exit_code == Exit.UNKNOWN
    assert "Did you mean 'talk'" in result.stderr


def test_the_command_draws_the_timeline(run: str, tmp_path: Path) -> None:
    text = ask("runs", run, "--timeline", env={"COLUMNS": "90"}).stdout
    assert text.startswith(f"eventful {run[:8]}: degraded, ")
    assert max(map(len, text.splitlines())) <= 95
    [tried] = [line for line in text.splitlines() if line.startswith("tried")]
    assert "(2 attempts)" in tried
    assert "◆" in text
    picture = tmp_path / "run.png"
    assert "Drew" in ask("runs", run, "--timeline", str(picture)).stderr
    assert picture.read_bytes().startswith(b"\x89PNG")
    names = [one["name"] for one in answer("runs", run, "--timeline")["lanes"]]
    assert names[-3:] == ["sum[2]", "below", "promote"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--steps",), "needs the id of a run"),
        (("RUN", "--steps", "--log"), "give one of them"),
        (("RUN", "--level", "info"), "belongs to --log"),
        (("RUN", "--timeline", "a.jpg"), "ends in .png"),
        (("RUN", "--timeline", "nowhere/a.png"), "there is no folder"),
        (("prune",), "--older-than"),
        (("prune", "--older-than", "-1"), "not in the range"),
    ],
)
def test_what_does_not_fit_is_refused(run: str, arguments: tuple[str, ...], says: str) -> None:
    result = ask("runs", *(run if one == "RUN" else one for one in arguments))
    assert result.exit_code == Exit.INPUT
    assert says in result.stderr


def test_events_are_shown_in_order(run: str) -> None:
    kinds = [one["kind"] for one in answer("runs", run, "--events")]
    assert kinds[0] == "run_submitted"
    assert kinds[-1] == "run_degraded"
    assert kinds.index("approval_asked") < kinds.index("run_waiting") < kinds.index("approval_approved")
    followed = ask("runs", run, "--events", "--follow", "--json").stdout.splitlines()
    assert [json.loads(one)["kind"] for one in followed] == kinds


@pytest.mark.anyio
async def test_a_log_is_followed_until_its_run_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "memory"), str(HERE)]))
    async with engine_of(tmp_path) as engine:
        run = await engine.submit("napping", {"folder": str(tmp_path)})
        with start("--project", str(tmp_path), "runs", run, "--log", "--follow") as process:
            assert process.stdout is not None
            lines: list[str] = []
            with anyio.fail_after(60):
                while not any("stdout: before" in one for one in lines):
                    lines.append(await anyio.to_thread.run_sync(process.stdout.readline))
                (tmp_path / "go").touch()
                lines += (await anyio.to_thread.run_sync(process.stdout.read)).splitlines()
                assert (await engine.wait(run)).status is Status.SUCCEEDED
                assert await anyio.to_thread.run_sync(process.wait) == 0
    assert sum("stdout: after" in one for one in lines) == 1
    assert sum("stdout: before" in one for one in lines) == 1


# By address and by tool ----------------------------------------------------------------------------------------------


async def text_of(server: Served, address: str) -> str:
    [content] = (await server.client.read_resource(address)).contents
    return cast("TextResourceContents", content).text


@pytest.mark.anyio
async def test_a_run_can_be_read_by_its_addresses(folder: Path, run: str) -> None:
    async with served(Settings.load(folder)) as server:
        whole = json.loads(await text_of(server, f"run://{run}"))
        assert whole["resources"]["attempts"] == 7
        assert [one["status"] for one in whole["attempts"] if one["step"] == "tried"] == ["lost", "done"]
        step = json.loads(await text_of(server, f"run://{run}/steps/sum%5B2%5D"))
        assert (step["params"], step["result"]) == ({"a": 2}, 3)
        kinds = [one["kind"] for one in json.loads(await text_of(server, f"run://{run}/events"))["events"]]
        assert "step_retry" in kinds
        last = json.loads(await text_of(server, f"run://{run}/events"))["events"][-2]["seq"]
        rest = json.loads(await text_of(server, f"run://{run}/events?after={last}"))
        assert [one["kind"] for one in rest["events"]] == ["run_degraded"]
        log = json.loads(await text_of(server, f"run://{run}/log?step=talk"))
        assert "hello" in [one["message"] for one in log["lines"]]
        warned = json.loads(await text_of(server, f"run://{run}/log?level=warning"))["lines"]
        assert [one["step"] for one in warned] == ["optional"]
        assert "◆" in await text_of(server, f"run://{run}/timeline")
        [picture] = (await server.client.read_resource(f"run://{run}/timeline.png")).contents
        assert picture.mime_type == "image/png"
        blob = base64.b64decode(cast("BlobResourceContents", picture).blob)
        assert blob.startswith(b"\x89PNG")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("run://0123456789/events", "There is no run"),
        ("run://RUN/steps/tolk", "Did you mean 'talk'"),
        ("run://RUN/log?level=loud", "Allowed: debug"),
        ("run://RUN/log?cursor=x", "is not a cursor"),
        ("run://RUN/events?after=x", "is not a cursor"),
    ],
)
async def test_an_address_that_leads_nowhere_says_so(folder: Path, run: str, address: str, says: str) -> None:
    async with served(Settings.load(folder)) as server:
        with pytest.raises(Exception, match=re.escape(says)):
            await server.client.read_resource(address.replace("RUN", run))


@pytest.mark.anyio
async def test_a_run_in_full_tells_its_attempts_and_briefly_does_not(folder: Path, run: str) -> None:
    async with served(Settings.load(folder)) as server:
        full = await server.call("get_run", run_id=run, detail="full")
        assert full["approvals"][0]["decided_by"] == "ann"
        assert len(full["attempts"]) == full["resources"]["attempts"] == 7
        assert len(full["children"]) == 1
        assert not {"attempts", "resources"} & (await server.call("get_run", run_id=run)).keys()


# Forgetting ----------------------------------------------------------------------------------------------------------


def counts(journal: Journal) -> dict[str, int]:
    tables = ("run", "step", "attempt", "event", "approval", "artifact")
    read = journal.door.read()
    return {name: read.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}  # noqa: S608


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, str]:
    """A project folder of the test's own in which the eventful run happened, and its id."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "memory"), str(HERE)]))
    monkeypatch.chdir(tmp_path)
    return tmp_path, anyio.run(do, tmp_path)


def test_pruning_forgets_old_runs_with_their_logs_after_asking(project: tuple[Path, str]) -> None:
    folder, run = project
    home = folder / ".mcp-orchestrator"
    journal = Journal(home)
    before = counts(journal)
    assert min(before[name] for name in ("run", "step", "attempt", "event", "approval")) > 0
    assert answer("runs", "prune", "--older-than", "1", "--yes")["pruned"] == 0
    assert "No run ended" in ask("runs", "prune", "--older-than", "1").stdout
    refused = ask("runs", "prune", "--older-than", "0", input="n\n")
    assert refused.exit_code != 0
    assert "Forget 2 runs" in refused.stderr
    assert counts(journal) == before
    assert "--yes" in ask("runs", "prune", "--older-than", "0", "--json").stderr
    assert log_of(home, run).exists()
    last = journal.events(most=1000)[-1]
    assert answer("runs", "prune", "--older-than", "0", "--yes")["pruned"] == 2
    assert counts(journal) == {**dict.fromkeys(before, 0), "event": 1, "artifact": before["artifact"]}
    assert journal.events() == [last], "the number of the newest event is not given again"
    assert not log_of(home, run).exists()
    assert answer("runs") == []


@pytest.mark.anyio
async def test_a_run_that_is_needed_or_at_work_is_not_forgotten(tmp_path: Path) -> None:
    async with engine_of(tmp_path) as engine:
        run = await engine.submit("eventful", {"folder": str(tmp_path)})
        with anyio.fail_after(60):
            assert (await engine.wait(run)).status is Status.WAITING
        [child] = engine.journal.runs(parent=run)
        assert child.status.final
        assert old(engine.journal, 2**60) == []
        assert prune(engine.journal, [run]) == 0
        await engine.cancel(run)
        assert {one.id for one in old(engine.journal, 2**60)} == {run, child.id}
        assert prune(engine.journal, [run, child.id]) == 2
        assert engine.journal.runs() == []


# Secrets, and much of everything -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("postgresql://ann:s3cret@host/db?sslmode=require", "postgresql://ann:***@host/db?sslmode=require"),
        ("mysql+pymysql://ann:s3:cr/et@host", "mysql+pymysql://ann:***@host"),
        ("https://host/a?token=abc&n=1&api_key=d#x", "https://host/a?token=hidden&n=1&api_key=hidden#x"),
        ("dataset://iris@0123", "dataset://iris@0123"),
        ("a mail to ann@host: key=1", "a mail to ann@host: key=1"),
        ({"data": ["sqlite:///a.db", {"url": "x://u:p@h"}]}, {"data": ["sqlite:///a.db", {"url": "x://u:***@h"}]}),
        ({"n": 1.5, "none": None}, {"n": 1.5, "none": None}),
    ],
)
def test_urls_are_shown_without_their_secrets(given: object, shown: object) -> None:
    assert without_secrets(given) == shown


@pytest.mark.anyio
async def test_no_surface_shows_the_password_of_a_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    journal = Journal(tmp_path / ".mcp-orchestrator")
    url = "postgresql://ann:s3cret@host/db"
    row = await journal.submit("train", {"data": url, "target": "y"})
    noted = steps.Noted(name="load", position=0, status="done", component="c", params={"data": url}, result=url)
    await journal.do(steps.note, row.id, noted)
    async with served(Settings.load(tmp_path)) as server:
        texts = [
            await text_of(server, f"run://{row.id}"),
            await text_of(server, f"run://{row.id}/steps/load"),
            json.dumps(await server.call("list_runs")),
        ]
    texts.append(await anyio.to_thread.run_sync(lambda: ask("runs", row.id, "--steps", "--json").stdout))
    assert not [text for text in texts if "s3cret" in text]
    assert "ann:***@host" in texts[1]
    journal.close()


@pytest.mark.anyio
async def test_many_attempts_and_events_come_in_pages(tmp_path: Path) -> None:
    async with engine_of(tmp_path) as engine:
        run = await engine.submit("wide", {})
        with anyio.fail_after(60):
            assert (await engine.wait(run)).status is Status.SUCCEEDED
    async with served(Settings.load(tmp_path)) as server:
        names: list[str] = []
        cursor: str | None = None
        while True:
            page = await server.call("get_run", run_id=run, detail="full", cursor=cursor)
            assert len(page["attempts"]) <= 50
            names += [one["step"] for one in page["attempts"]]
            if (cursor := page.get("next_cursor")) is None:
                break
        assert sorted(names) == sorted(f"item[{number}]" for number in range(120))
        assert page["resources"]["attempts"] == 120
        seen: list[int] = []
        address: str | None = f"run://{run}/events"
        while address is not None:
            facts = json.loads(await text_of(server, address))
            seen += [one["seq"] for one in facts["events"]]
            address = facts.get("next")
        known = server.orchestrator.journal.events(run, most=10_000)
        assert seen == [one.seq for one in known]
        assert "item[120 items]" in await text_of(server, f"run://{run}/timeline")
        lines = json.loads(await text_of(server, f"run://{run}/log?step=item"))
        assert (len(lines["lines"]), lines["more"]) == (200, True)
        rest = json.loads(await text_of(server, f"run://{run}/log?step=item&cursor={lines['cursor']}"))
        assert (len(rest["lines"]), rest["more"]) == (40, False)
