"""The command at work: runs, models, predictions, completion and pages."""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import re
import signal
import urllib.request
from pathlib import Path

import psutil
import pytest
from journaled import claimed, done, ended, submitted
from terminal import answer, ask, start

from mcp_orchestrator.cli.exits import Exit
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import Status
from mcp_orchestrator.tracking.versions import Versions

HERE = Path(__file__).parent
ROOT = HERE.parent


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with foreign components, which is the working folder."""
    (tmp_path / "orchestrator.toml").write_text('[components]\ntoys = "toys"\n')
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "memory"), str(HERE)]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Runs ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(project: Path) -> dict[str, str]:
    """Runs as a server leaves them behind: ended, failed, waiting, and cut off when its process was killed."""
    journal = Journal(project / ".mcp-orchestrator")
    made = {name: submitted(journal, number=name) for name in ("done", "failed", "waiting", "cut")}
    journal.owners.enter()
    rows = {name: claimed(journal, made[name]) for name in ("done", "failed", "cut")}
    done(journal, rows["done"], "load")
    metrics = {"metrics": {"auc": {"value": 0.9, "low": 0.8, "high": 0.95}}}
    ended(journal, rows["done"], Status.SUCCEEDED, result=metrics)
    ended(journal, rows["failed"], Status.FAILED, error="no luck", error_code="step_failed")
    journal.owners.leave()
    return made


@pytest.mark.requirement("cli.workflows")
def test_runs_are_listed_and_one_whose_process_died_does_not_count_as_running(runs: dict[str, str]) -> None:
    listed = {one["run_id"]: one["status"] for one in answer("runs")}
    assert listed == {
        runs["done"]: "succeeded",
        runs["failed"]: "failed",
        runs["waiting"]: "queued",
        runs["cut"]: "queued",
    }
    assert [one["run_id"] for one in answer("runs", "--status", "failed")] == [runs["failed"]]
    assert answer("runs", "--status", "running") == []
    assert len(answer("runs", "--most", "2")) == 2
    assert runs["done"] in ask("runs").stdout


@pytest.mark.requirement("workflow.logged")
@pytest.mark.requirement("events.durable", "events.lifecycle")
def test_a_run_is_shown_by_the_beginning_of_its_id_with_its_steps_metrics_and_events(runs: dict[str, str]) -> None:
    short = runs["done"][:8]
    assert answer("runs", short)["steps"][0]["name"] == "load"
    kinds = [one["kind"] for one in answer("runs", short, "--events")]
    assert kinds == ["run_submitted", "run_started", "step_started", "step_done", "run_succeeded"]
    said = ask("runs", short).stdout
    assert "0.8 to 0.95" in said
    assert "\x1b[" not in said, "a pipe gets no colours"


@pytest.mark.parametrize(("name", "code"), [("done", Exit.OK), ("failed", Exit.FAILED)])
def test_following_a_run_ends_as_the_run_did(runs: dict[str, str], name: str, code: int) -> None:
    assert answer("runs", runs[name], "--follow", code=code)["run_id"] == runs[name]


def test_a_run_that_waits_is_cancelled_and_one_that_ended_is_not(runs: dict[str, str]) -> None:
    for name in ("waiting", "cut"):
        assert answer("cancel", runs[name])["status"] == "cancelled"
    result = ask("cancel", runs["done"])
    assert result.exit_code == Exit.REFUSED
    assert "already ended" in result.stderr


def test_a_run_that_was_cut_off_is_taken_up_where_it_is_resumed(runs: dict[str, str]) -> None:
    found = answer("resume", runs["cut"], code=Exit.INPUT)
    assert found["status"] == "failed"
    assert found["error_code"] == "invalid_input", "its specification is none, and that was seen only by working on it"


def test_resuming_a_run_that_succeeded_is_refused(runs: dict[str, str]) -> None:
    result = ask("resume", runs["done"])
    assert result.exit_code == Exit.REFUSED
    assert "succeeded" in result.stderr


# Completion ----------------------------------------------------------------------------------------------------------


def completed(words: str) -> list[str]:
    given = words.split(" ")
    environment = {
        "_MCP_ORCHESTRATOR_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["mcp-orchestrator", *given]),
        "COMP_CWORD": str(len(given)),
    }
    result = ask(env=environment)
    return [line.partition(",")[2] for line in result.stdout.splitlines() if line]


def test_the_shell_completes_what_there_is(runs: dict[str, str]) -> None:
    assert completed("comp") == ["components"]
    assert completed("components early") == ["early_stopping"]
    assert completed("invoke toys ad") == ["add"]
    assert completed("invoke nobody ad") == []
    assert completed(f"runs {runs['done'][:10]}") == [runs["done"]]
    assert completed("predict ") == []


def test_completion_makes_no_state(project: Path) -> None:
    assert completed("runs ") == []
    assert completed("evaluate ") == []
    assert not (project / ".mcp-orchestrator").exists()


# Training and what follows -------------------------------------------------------------------------------------------


QUICK = '{"families": ["linear"], "tracking": false}'


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which a model of the flowers was trained from the terminal."""
    project = tmp_path_factory.mktemp("flowers")
    arguments = ("train", "builtin:iris", "--target", "target", "--name", "flowers", "--trials", "1", "--spec", QUICK)
    result = ask(*arguments, "--project", str(project))
    assert result.exit_code == Exit.OK, result.output
    (project / "said").write_text(result.stdout)
    (project / "steps").write_text(result.stderr)
    return project


@pytest.fixture
def flowers(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project, as the working folder."""
    monkeypatch.chdir(trained)
    return trained


@pytest.mark.requirement("cli.workflows")
@pytest.mark.slow
def test_training_shows_its_steps_metrics_against_the_baseline_and_the_model(flowers: Path) -> None:
    said, steps = (flowers / "said").read_text(), (flowers / "steps").read_text()
    assert re.search(r"^accuracy +0\.\d+ +0\.\d+ to [01][.\d]* +0\.3", said, re.MULTILINE)
    assert re.search(r"^track +skipped .*not asked for", said, re.MULTILINE)
    assert "flowers" in said
    assert "model_card.md" in said
    shown = [int(share) for share in re.findall(r"^ *(\d+)%  \w+$", steps, re.MULTILINE)]
    assert len(shown) > 2
    assert shown == sorted(shown)
    assert shown[-1] == 100
    [run] = answer("runs")
    whole = answer("runs", run["run_id"])
    assert whole["metrics"]["accuracy"]["low"] < whole["metrics"]["accuracy"]["value"]
    assert whole["model"]["name"] == "flowers"


def test_the_files_of_a_run_are_saved_under_their_names(flowers: Path, tmp_path: Path) -> None:
    [run] = answer("runs")
    result = ask("runs", run["run_id"], "--save", str(tmp_path / "report"))
    saved = {one.name for one in (tmp_path / "report").iterdir()}
    assert "model_card.md" in saved
    assert (tmp_path / "report" / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert all(name in result.stderr for name in saved)


@pytest.mark.slow
@pytest.mark.requirement("cli.workflows")
def test_an_evaluation_ends_with_a_verdict(flowers: Path) -> None:
    found = answer("evaluate", "flowers@1", "builtin:iris")
    assert found["status"] == "succeeded"
    assert found["metrics"]["accuracy"]["value"] > found["baseline"]["accuracy"]
    assert found["verdict"] in ask("runs", found["run_id"]).stdout


@pytest.mark.slow
def test_predictions_of_a_file_of_stdin_and_of_many_records_are_the_same(flowers: Path) -> None:
    names = ["sepal length (cm)", "sepal width (cm)", "petal length (cm)", "petal width (cm)"]
    rows = [dict(zip(names, values, strict=True)) for values in [(5.1, 3.5, 1.4, 0.2), (6.7, 3.0, 5.2, 2.3)]]
    with (flowers / "new.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    of_file = answer("predict", "flowers", "new.csv")
    assert of_file["predictions"] == ["setosa", "virginica"]
    assert all(sum(one.values()) == pytest.approx(1) for one in of_file["probabilities"])
    lines = "\n".join(json.dumps(row) for row in rows * 150)
    of_many = answer("predict", "flowers", "-", input=lines)
    assert of_many["predictions"] == of_file["predictions"] * 150
    assert of_many["probabilities"][298:] == [pytest.approx(one) for one in of_file["probabilities"]]


@pytest.mark.slow
def test_a_pipe_and_a_file_get_the_predictions_as_csv(flowers: Path) -> None:
    piped = ask("predict", "flowers", "builtin:iris").stdout
    assert ask("predict", "flowers", "builtin:iris", "--output", "out.csv").exit_code == Exit.OK
    assert (flowers / "out.csv").read_text() == piped
    rows = list(csv.DictReader(io.StringIO(piped)))
    assert len(rows) == 150
    assert rows[0]["prediction"] == "setosa"
    assert float(rows[0]["probability setosa"]) > 0.5
    ask("predict", "flowers", "builtin:iris", "--output", "out.json")
    assert [row["prediction"] for row in rows] == json.loads((flowers / "out.json").read_text())["predictions"]


@pytest.mark.parametrize("text", ["", "[]", "[1]", "{", "nothing"])
def test_records_that_are_none_are_refused(flowers: Path, text: str) -> None:
    result = ask("predict", "flowers", "-", input=text)
    assert result.exit_code == Exit.INPUT
    assert "stdin" in result.stderr


@pytest.mark.requirement("rollback.version")
@pytest.mark.slow
def test_a_model_is_promoted_and_rolled_back(flowers: Path) -> None:
    assert answer("models")[0]["aliases"] == [], "its experiments were not tracked, so its gates were not passed"
    assert "version 1 is the champion" in ask("models", "flowers", "--promote", "1").stdout
    assert answer("models", "flowers@champion")[0]["version"] == 1
    assert "champion" in ask("models").stdout
    result = ask("models", "flowers", "--rollback")
    assert result.exit_code == Exit.REFUSED
    assert "nothing to go back to" in result.stderr


@pytest.mark.slow
def test_a_version_is_deleted_after_a_question_that_says_what_goes(flowers: Path) -> None:
    with Versions(flowers / ".mcp-orchestrator") as versions:
        versions.register("flowers", versions.get("flowers@1"), run="another")
        versions.promote("flowers", 1)
    held = ask("models", "flowers", "--delete", "1", "--why", "old")
    assert (held.exit_code, "is 'champion'; nothing was deleted" in held.stderr) == (Exit.REFUSED, True)
    assert ask("models", "flowers", "--delete", "2", "--why", "old", "--json").exit_code == Exit.INPUT
    no = ask("models", "flowers", "--delete", "2", "--why", "old", input="n\n")
    assert "Its bytes stay, since flowers@1 is the same model" in no.stderr
    assert len(answer("models", "flowers")) == 2
    done = ask("models", "flowers", "--delete", "2", "--why", "old", "--yes").stdout
    assert done == "flowers: version 2 is deleted, 0 bytes are free. Some bytes stay: flowers@1 is the same model.\n"
    assert [one["version"] for one in answer("models", "flowers")] == [1]
    assert "Version 2 was deleted on" in ask("models", "flowers").stderr
    gone = ask("predict", "flowers@2", "builtin:iris")
    assert (gone.exit_code, "was deleted on" in gone.stderr) == (Exit.UNKNOWN, True)


def test_models_are_completed_with_their_versions_and_aliases(flowers: Path) -> None:
    assert completed("predict fl") == ["flowers"]
    assert "flowers@1" in completed("evaluate flowers@")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "nowhere.csv", "--target", "x"), Exit.INPUT, "nowhere.csv"),
        (("train", "/etc/passwd", "--target", "x"), Exit.REFUSED, "MCP_ORCHESTRATOR_ROOTS"),
        (("train", "builtin:iris", "--target", "targets"), Exit.INPUT, "'targets'"),
        (("train", "builtin:iris", "--target", "target", "--metric", "acuracy"), Exit.INPUT, "accuracy"),
        (("train", "builtin:iris", "--target", "target", "--spec", '{"folds": 3}'), Exit.INPUT, "folds"),
        (("train", "builtin:iris", "--target", "target", "--trials", "-1"), Exit.INPUT, "trials"),
        (("train", "nowhere.csv", "--target", "x", "--detach"), Exit.INPUT, "nowhere.csv"),
        (("evaluate", "nobody", "builtin:iris"), Exit.UNKNOWN, "nobody"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.slow
def test_what_cannot_be_trained_or_evaluated_is_refused_before_any_run(
    project: Path, capfd: pytest.CaptureFixture[str], arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = ask(*arguments)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert answer("runs") == []


@pytest.mark.slow
def test_an_interrupted_training_is_cancelled_and_says_how_to_go_on(project: Path) -> None:
    with start("train", "builtin:iris", "--target", "target", "--seconds", "600", "--trials", "5000") as command:
        assert command.stderr is not None
        assert any("tune" in line for line in command.stderr), "it ended before it began to tune"
        workers = psutil.Process(command.pid).children(recursive=True)
        command.send_signal(signal.SIGINT)
        rest = command.stderr.read()
        assert command.wait(60) == Exit.CANCELLED
    [run] = answer("runs")
    assert run["status"] == "cancelled"
    assert f"mcp-orchestrator resume {run['run_id'][:8]}" in rest
    assert workers
    assert not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.slow
def test_a_detached_training_goes_on_without_the_command_that_started_it(project: Path) -> None:
    arguments = ("--target", "target", "--trials", "1", "--spec", QUICK, "--detach", "--json")
    with start("train", "builtin:iris", *arguments) as command:
        begun = json.loads(command.communicate()[0])
    found = answer("runs", begun["run_id"], "--follow")
    assert found["status"] == "succeeded"
    assert found["model"]["version"] == 1


# Servers -------------------------------------------------------------------------------------------------------------


def test_the_server_over_http_ends_quietly_with_an_interrupt(project: Path) -> None:
    with start("serve", "--http", "127.0.0.1:0") as command:
        assert command.stderr is not None
        address = re.search(r"http://(127\.0\.0\.1:\d+)/mcp", command.stderr.readline())
        assert address
        assert "No token is asked for" in command.stderr.readline()
        connection = http.client.HTTPConnection(address[1], timeout=60)
        connection.request("GET", "/")  # is answered once the server works, and until then waits
        assert connection.getresponse().status == http.HTTPStatus.NOT_FOUND
        connection.close()
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == Exit.OK
        assert command.stderr.read() == ""


# Pages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.requirement("tracking.page")
def test_the_page_of_the_tracker_answers_and_ends_with_all_its_processes(project: Path) -> None:
    (project / ".mcp-orchestrator").mkdir()
    (project / ".mcp-orchestrator" / "mlflow.db").touch()
    with start("ui", "mlflow") as command:
        assert command.stdout is not None
        said = command.stdout.readline()
        address = re.search(r"http://127\.0\.0\.1:\d+", said)
        assert address, command.communicate()
        with urllib.request.urlopen(f"{address[0]}/api/2.0/mlflow/experiments/get?experiment_id=0", timeout=20) as page:  # noqa: S310 - our own
            assert json.load(page)["experiment"]["name"] == "Default"
        family = psutil.Process(command.pid).children(recursive=True)
        assert family
        command.send_signal(signal.SIGINT)
        assert command.wait(60) == Exit.OK
    assert not [one for one in family if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]
