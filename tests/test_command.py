"""The command: what it prints, to whom, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mcp_orchestrator import errors
from mcp_orchestrator.cli.exits import KINDS, Exit
from mcp_orchestrator.cli.main import COMMANDS, main
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.rows import Status

HERE = Path(__file__).parent
ROOT = HERE.parent
HEAVY = {
    "anyio",
    "pydantic",
    "rich",
    "psutil",
    "mcp",
    "numpy",
    "pandas",
    "sklearn",
    "mlflow",
    "optuna",
    "pyarrow",
    "scipy",
}
LEARNING = {"numpy", "pandas", "sklearn", "mlflow", "optuna", "pyarrow", "scipy", "matplotlib", "skops"}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with foreign components, which is the working folder."""
    (tmp_path / "orchestrator.toml").write_text('[components]\ntoys = "toys"\n')
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "memory"), str(HERE)]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(*arguments: str, **how: Any) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="mcp-orchestrator", **how)


def answer(*arguments: str, code: int = 0, **how: Any) -> Any:
    """Return the one JSON document that a command prints."""
    result = ask(*arguments, "--json", **how)
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def start(*arguments: str, **how: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "mcp_orchestrator", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=how.get("stdin", subprocess.DEVNULL), stdout=pipe, stderr=pipe, text=True)


def imported(*arguments: str) -> set[str]:
    """Return the top-level modules that a whole process of the command loads, with nothing on its stdin."""
    command = [sys.executable, "-X", "importtime", "-m", "mcp_orchestrator", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines() if "|" in line}


# Start-up ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("train", "--help")], ids=" ".join)
def test_version_and_help_load_nothing_heavy(project: Path, arguments: tuple[str, ...]) -> None:
    assert "click" in (loaded := imported(*arguments))
    assert not loaded & HEAVY


@pytest.mark.parametrize("arguments", [("serve",), ("components",), ("runs",), ("status",)], ids=" ".join)
def test_the_command_process_loads_no_learning_library(project: Path, arguments: tuple[str, ...]) -> None:
    assert "mcp_orchestrator" in (loaded := imported(*arguments))
    assert not loaded & LEARNING
    assert arguments == ("serve",) or "rich" not in loaded, "nobody looks at a terminal here"


def test_the_help_names_each_command_in_a_whole_sentence_and_each_exit_code() -> None:
    said = ask("--help").stdout
    for name in COMMANDS:
        line = re.search(rf"^  {name} +(\S.*)$", said, re.MULTILINE)
        assert line, name
        assert not line[1].endswith("..."), f"the first sentence of {name} is cut off"
    for one in Exit:
        assert f"{one.value}  {one.meaning}" in said


def test_a_misspelt_command_is_met_by_the_near_one() -> None:
    result = ask("trian")
    assert result.exit_code == Exit.INPUT
    assert "train" in result.stderr


# Errors --------------------------------------------------------------------------------------------------------------


def kinds(base: type[errors.OrchestratorError]) -> set[str]:
    return {base.code}.union(*(kinds(one) for one in base.__subclasses__()))


def test_every_kind_of_error_has_an_exit_code() -> None:
    assert kinds(errors.OrchestratorError) - {"error"} == KINDS.keys()


@pytest.mark.requirement("cli.errors")
@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("components", "toyss"), Exit.UNKNOWN, "'toys'"),
        (("invoke", "toys", "ad"), Exit.UNKNOWN, "'add'"),
        (("invoke", "toys", "add", "--params", '{"c": 1}'), Exit.INPUT, "no such parameter"),
        (("invoke", "toys", "add", "--params", '{"a": "x"}'), Exit.INPUT, "a: "),
        (("invoke", "toys", "add", "--params", "{"), Exit.INPUT, "not JSON"),
        (("invoke", "toys", "add", "--params", "[1]"), Exit.INPUT, "no JSON object"),
        (("invoke", "toys", "add", "--params", "@none.json"), Exit.INPUT, "none.json"),
        (("invoke", "toys", "fail", "--params", '{"reason": "no luck"}'), Exit.FAILED, "no luck"),
        (("runs", "abcdef"), Exit.UNKNOWN, "mcp-orchestrator runs"),
        (("cancel", "abcdef"), Exit.UNKNOWN, "abcdef"),
        (("models", "nobody"), Exit.UNKNOWN, "nobody"),
        (("models", "--promote", "1"), Exit.INPUT, "NAME"),
        (("models", "a", "--promote", "1", "--rollback"), Exit.INPUT, "exclude"),
        (("predict", "m", "x.csv", "--output", "x.pdf"), Exit.INPUT, ".csv"),
        (("predict", "m", "x.csv", "--output", "nowhere/x.csv"), Exit.INPUT, "does not exist"),
        (("ui", "mlflow"), Exit.REFUSED, "Train a model first"),
        (("serve", "--http", "8080x"), Exit.INPUT, "HOST:PORT"),
        (("serve", "--http", "0.0.0.0:8080"), Exit.INPUT, "127.0.0.1"),
        (("status", "--project", "nowhere"), Exit.INPUT, "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_an_error_is_one_paragraph_and_an_exit_code(
    project: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result = ask(*arguments)
    assert result.exit_code == code, result.output
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not result.stdout


def test_a_state_home_that_cannot_be_made_is_an_error_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "file").touch()
    monkeypatch.setenv("MCP_ORCHESTRATOR_HOME", str(project / "file" / "home"))
    result = ask("status")
    assert result.exit_code == Exit.STATE
    assert "MCP_ORCHESTRATOR_HOME" in result.stderr


def test_a_missing_library_is_named_with_the_line_that_installs_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mcp_orchestrator.core import registry

    monkeypatch.setattr(registry, "find_spec", lambda _name: None)
    result = ask("invoke", "early_stopping", "brackets")
    assert result.exit_code == Exit.MISSING
    assert "pip install" in result.stderr


@pytest.mark.requirement("cli.json")
@pytest.mark.parametrize("arguments", [("components", "toyss"), ("train", "x.csv")], ids=" ".join)
def test_an_error_is_a_document_too_where_json_is_asked_for(project: Path, arguments: tuple[str, ...]) -> None:
    result = ask(*arguments, "--json")
    found = json.loads(result.stdout)
    assert found["exit"] == result.exit_code != 0
    assert found["error"] in result.stderr
    assert found["code"] in KINDS


def test_debug_shows_where_an_error_was_raised(project: Path) -> None:
    with pytest.raises(errors.UnknownName):
        CliRunner().invoke(main, ["--debug", "components", "toyss"], catch_exceptions=False)


def test_an_unforeseen_error_says_its_kind_and_how_to_see_more(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcp_orchestrator.cli.session import Session

    def crash(_session: Session) -> None:
        message = "surprise"
        raise RuntimeError(message)

    monkeypatch.setattr(Session, "settings", crash)
    result = ask("components")
    assert result.exit_code == Exit.UNEXPECTED
    assert "RuntimeError: surprise" in result.stderr
    assert "--debug" in result.stderr


# State, components ---------------------------------------------------------------------------------------------------


@pytest.mark.requirement("cli.start", "cli.status")
def test_start_makes_the_home_once_and_status_shows_it(project: Path) -> None:
    home = project / ".mcp-orchestrator"
    assert answer("start")["created"] is True
    assert (home / "orchestrator.db").exists()
    assert answer("start")["created"] is False
    found = answer("status")
    assert found["home"] == str(home)
    assert found["components"] == len(answer("components"))
    assert str(home) in ask("status").stdout


def test_another_project_is_chosen_before_or_after_the_command(project: Path) -> None:
    (other := project / "other").mkdir()
    for arguments in (("--project", "other", "status"), ("status", "--project", "other")):
        assert answer(*arguments)["project"] == str(other)


@pytest.mark.requirement("cli.components")
def test_components_are_listed_found_and_described(project: Path) -> None:
    every = {one["name"]: one for one in answer("components")}
    assert {"toys", "early_stopping"} <= every.keys()
    assert every["toys"]["tier"] == 0
    assert [one["name"] for one in answer("components", "--tier", "0")] == ["toys"]
    assert {one["name"] for one in answer("components", "--query", "early stopping")} < every.keys()
    described = answer("components", "toys")
    add = next(one for one in described["capabilities"] if one["name"] == "add")
    assert add["description"] == "Add two numbers."
    assert add["parameters"]["required"] == ["a"]
    said = ask("components", "early_stopping").stdout
    for one in answer("components", "early_stopping")["capabilities"]:
        assert f"invoke early_stopping {one['name']} --params" in said


@pytest.mark.requirement("cli.components")
def test_the_example_that_a_description_shows_can_be_run_as_it_stands(project: Path) -> None:
    import shlex

    line = re.search(
        r"^mcp-orchestrator (invoke early_stopping brackets .*)$",
        ask("components", "early_stopping").stdout,
        re.MULTILINE,
    )
    assert line
    assert answer(*shlex.split(line[1]))


@pytest.mark.requirement("registry.versions", "invoke.timed")
@pytest.mark.requirement("cli.components")
def test_health_is_the_known_answer_computed_in_a_worker(project: Path) -> None:
    [found] = answer("components", "early_stopping", "--health")
    assert {"name", "tier", "family", "version", "healthy", "seconds"} <= found.keys()
    assert found["healthy"] is True
    assert found["checks"]
    assert all(one["passed"] for one in found["checks"])
    [foreign] = answer("components", "toys", "--health")
    assert foreign["healthy"] is None, "nobody knows an answer of the toys"


@pytest.mark.parametrize("way", ["inline", "file", "stdin"])
def test_parameters_come_inline_from_a_file_or_from_stdin(project: Path, way: str) -> None:
    text = '{"a": 2, "b": 3}'
    (project / "p.json").write_text(text)
    params = {"inline": text, "file": "@p.json", "stdin": "-"}[way]
    assert answer("invoke", "toys", "add", "--params", params, input=text) == 5


def test_what_json_cannot_say_is_said_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    from mcp_orchestrator.cli.screen import document

    document({"a": float("nan"), "b": [float("inf")]})
    assert json.loads(capsys.readouterr().out) == {"a": "NaN", "b": ["Infinity"]}


# Runs ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def runs(project: Path) -> dict[str, str]:
    """Runs as a server leaves them behind: ended, failed, waiting, and cut off when its process was killed."""
    journal = Journal(project / ".mcp-orchestrator")
    made = {name: journal.submit("train", {"number": name}).id for name in ("done", "failed", "waiting", "cut")}
    journal.owners.enter()
    for name in ("done", "failed", "cut"):
        assert journal.claim(made[name])
    journal.begin(made["done"], "load", "toys", "add", "")
    journal.finish(made["done"], "load", "done", result=1)
    journal.settle(
        made["done"], Status.SUCCEEDED, result={"metrics": {"auc": {"value": 0.9, "low": 0.8, "high": 0.95}}}
    )
    journal.settle(made["failed"], Status.FAILED, error="no luck", code="step_failed")
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


@pytest.mark.requirement("events.durable", "events.lifecycle")
def test_a_run_is_shown_by_the_beginning_of_its_id_with_its_steps_metrics_and_events(runs: dict[str, str]) -> None:
    short = runs["done"][:8]
    assert answer("runs", short)["steps"][0]["name"] == "load"
    assert [one["kind"] for one in answer("runs", short, "--events")] == ["step_started", "step_done", "run_succeeded"]
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


# Pages ---------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.requirement("tracking.page")
def test_the_page_of_the_tracker_answers_and_ends_with_all_its_processes(project: Path) -> None:
    import urllib.request

    import psutil

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
