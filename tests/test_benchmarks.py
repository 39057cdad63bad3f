"""The benchmark of the engine in a short form: what its figures count, and when it says that a bar was missed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = [pytest.mark.anyio, pytest.mark.checkout]
ROOT = Path(__file__).parent.parent


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Generator[ModuleType]:
    """The benchmark, as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield importlib.import_module("engine")
    for name in ("engine", "nothing", "others"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("kind", ["inline NORMAL", "inline FULL", "isolated NORMAL"])
async def test_each_step_of_a_chain_has_a_commit_of_its_own_and_is_there_to_read(
    engine: Any, kind: str, tmp_path: Path
) -> None:
    async with engine.subject(tmp_path, kind) as subject:
        figures = await subject.round("linear", 12)
        assert figures.commits >= 1
        assert min(figures.seconds, figures.narrow, figures.wide) > 0
        journal = subject.engine.journal
        (row,) = journal.runs()
        assert [one.result for one in journal.steps(row.id)] == list(range(1, 13))
        assert [one.kind for one in journal.events(row.id)].count("step_done") == 12


async def test_steps_that_need_nothing_of_each_other_share_commits(engine: Any, tmp_path: Path) -> None:
    subjects = await engine.measured(tmp_path, 2, 5, 200, ("inline NORMAL",))
    found = subjects["inline NORMAL"].found
    assert [len(one) for one in found.values()] == [2, 2]
    assert all(one.commits >= 1 for one in found["linear"])
    assert all(one.commits < 0.5 for one in found["fan"])


@pytest.mark.requirement("speed.many")
async def test_a_hundred_runs_side_by_side_lose_and_mix_up_no_result(engine: Any, tmp_path: Path) -> None:
    async with engine.subject(tmp_path, "isolated NORMAL") as subject:
        asked: dict[str, int] = {}
        for number in range(100):
            spec = {"start": 1000 * number, "count": 1 + number % 4, "cpus": 1}
            asked[await subject.engine.submit("linear", spec)] = 1000 * number + 1 + number % 4
        assert len(asked) == 100
        for run, answer in asked.items():
            row = await subject.engine.wait(run)
            assert row.result == {"value": answer}
            assert [one.attempt for one in subject.engine.journal.steps(run)] == [1] * row.spec["count"]


async def test_the_reference_writes_as_much_as_the_journal_does_for_a_step(engine: Any, tmp_path: Path) -> None:
    async with engine.subject(tmp_path, "inline NORMAL") as subject:
        await subject.round("linear", 3)
        count = "SELECT count(*) FROM {}"
        size = "SELECT avg(length(run) + length(name) + length(inputs) + length(params) + length(result)) FROM step"
        db, own = subject.reference.connection, subject.engine.journal.door.read()
        assert db.execute(size).fetchone()[0] == pytest.approx(own.execute(size).fetchone()[0], rel=0.1)
        wide = [db.execute(count.format(table)).fetchone()[0] for table in ("step", "event")]
        assert wide[0] == wide[1] >= 2 * engine.LEAST
        assert db.execute(count.format("narrow")).fetchone()[0] >= 2 * engine.LEAST


@pytest.mark.parametrize("case", [(9e-6, True, 0), (11e-6, True, 1), (500e-6, True, 2), (500e-6, False, 1)])
async def test_a_bar_that_is_missed_is_named_and_speed_is_judged_only_where_the_processors_are_free(
    engine: Any,
    case: tuple[float, bool, int],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    step, free, missed = case
    load = 0.0 if free else 2.0 * (os.cpu_count() or 1)
    monkeypatch.setattr(engine.os, "getloadavg", lambda: (load, load, load))
    figures = [engine.Figures(step, step, 1.0, 1e-6, 3e-6)]
    subject = engine.Subject(None, None, 0, found={"linear": figures, "fan": figures})
    named = engine.table({"inline NORMAL": subject})
    assert len(named) == missed
    assert all(one.startswith("inline NORMAL") for one in named)
    assert ("not judged" in capsys.readouterr().out) is not free


async def test_another_engine_that_fails_is_an_error_with_what_it_said(
    engine: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = sys.modules["others"]
    (tmp_path / "peers").mkdir()
    script = tmp_path / "peers" / "dbos_.py"
    monkeypatch.setattr(others, "HERE", tmp_path)
    monkeypatch.setattr(others, "environment", lambda _name: Path(sys.executable))
    script.write_text("import sys; sys.exit('no such thing')")
    with pytest.raises(SystemExit, match="no such thing"):
        engine.peer("dbos", 1, 2, tmp_path)
    script.write_text("import json, os, sys; print(json.dumps([*sys.argv[2:], os.environ['DO_NOT_TRACK']]))")
    assert engine.peer("dbos", 1, 2, tmp_path) == ["1", "2", "1"]
