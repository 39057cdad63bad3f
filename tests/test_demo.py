"""The demo, once, from end to end: what it prints is what the server of its folder has on record."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from terminal import ask, start

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.core.journal import Journal

ROOT = Path(__file__).parent.parent
TOOLS = ["inspect_dataset", "run_ml_training_workflow", "run_ml_evaluation_workflow", "predict", "predict"]


@pytest.mark.slow
def test_the_demo_does_the_whole_job_through_the_server_and_leaves_nothing_outside_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home := tmp_path / "home").mkdir()
    (place := tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'memory'}")
    monkeypatch.setenv("MCP_ORCHESTRATOR_PRELOAD", "all")  # as anybody has it
    monkeypatch.chdir(place)
    with start("demo", "--seconds", "5") as command:
        said, log = command.communicate()
    assert command.returncode == Exit.OK, said + log
    assert [one.name for one in place.iterdir()] == ["demo-output"]
    assert list(home.iterdir()) == []
    folder = place / "demo-output"

    asked = [tool for tool in re.findall(r"^-> (\w+)\(", said, re.MULTILINE) if tool != "get_run"]
    assert asked == TOOLS
    tested, trained = Journal(folder / ".mcp-orchestrator").runs()
    for run in (trained, tested):
        assert f"run {run.id[:8]} {run.status}" in said
        assert run.result is not None
        for name, one in run.result["metrics"].items():
            figures = rf"{one['value']:.4g} +{one['low']:.4g} to {one['high']:.4g} +{run.result['baseline'][name]:.4g}"
            assert re.search(rf"^{name} +{figures}$", said, re.MULTILINE), name
        assert run.result["metrics"]["roc_auc"]["low"] > run.result["baseline"]["roc_auc"]
    assert "<- the same predictions" in said

    if (ROOT / "README.md").exists():  # it is not there when the wheel is tested
        shown = (ROOT / "README.md").read_text("utf-8").partition("```text demo\n")[2].partition("```")[0]
        assert shape(shown) <= shape(said)
        assert len(shape(shown)) > 15

    tables = [folder / "breast_cancer.csv", folder / "new_patients.csv"]
    rows = [list(csv.DictReader(one.read_text().splitlines())) for one in tables]
    assert [len(part) for part in rows] == [456, 113]
    assert not {tuple(row.values()) for row in rows[0]} & {tuple(row.values()) for row in rows[1]}
    assert "breast-cancer" in (folder / "report" / "model_card.md").read_text()
    assert (folder / "report" / "roc.png").read_bytes().startswith(b"\x89PNG")
    for line in said.partition("Where things lie")[2].splitlines():
        assert "demo-output/" not in line or (place / line.split()[-1]).exists(), line


def shape(text: str) -> set[str]:
    """Return the lines of a conversation without figures, digests and reasons; no rows of the leaderboard."""
    varying = re.compile(r"(?<=[ =']).?[0-9a-f.]*[0-9][0-9a-f.@]*|: .*|malignant|benign| +")
    plain = (varying.sub(" ", one) for one in text.splitlines())
    return {one.strip() for one in plain if re.match(r" *(->|<-|done|skipped|metric|prediction|trial)", one)}


def test_the_demo_touches_no_folder_that_another_program_made(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    result = ask("demo", "--folder", str(tmp_path))
    assert result.exit_code == Exit.REFUSED
    assert "--folder" in result.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["precious"]
