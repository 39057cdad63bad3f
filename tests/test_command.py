"""The command: what it prints, to whom, and with which exit code it ends."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from terminal import answer, ask

from mcp_orchestrator import errors
from mcp_orchestrator.cli.exits import KINDS, Exit
from mcp_orchestrator.cli.main import COMMANDS, main
from orchestrator_memory.errors import MemoryFailure

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


@pytest.mark.parametrize("arguments", [("serve", "--embedded"), ("components",), ("runs",), ("status",)], ids=" ".join)
def test_the_command_process_loads_no_learning_library(project: Path, arguments: tuple[str, ...]) -> None:
    assert "mcp_orchestrator" in (loaded := imported(*arguments))
    assert not loaded & LEARNING
    assert arguments == ("serve", "--embedded") or "rich" not in loaded, "nobody looks at a terminal here"


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


def kinds(base: type[errors.OrchestratorError | MemoryFailure]) -> set[str]:
    return {base.code}.union(*(kinds(one) for one in base.__subclasses__()))


def test_every_kind_of_error_has_an_exit_code() -> None:
    known = kinds(errors.OrchestratorError) | kinds(MemoryFailure)
    assert known - {"error", "memory_failure"} == KINDS.keys()


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
        (("models", "a", "--delete", "1"), Exit.INPUT, "--why"),
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
