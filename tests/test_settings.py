"""Settings: the mission's defaults, file and environment, and refusal by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.settings import PREFIX, Settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away what the environment of the tests may set."""
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.mark.requirement("settings.workflows")
@pytest.mark.requirement("settings.timeouts")
def test_the_defaults_are_those_of_the_mission(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path)
    assert settings.max_concurrent_workflows == 10
    assert (settings.training_timeout, settings.evaluation_timeout) == (3600, 1800)
    assert settings.home == tmp_path.resolve() / ".mcp-orchestrator"
    assert settings.roots == (tmp_path.resolve(),)
    assert settings.workers >= 1


@pytest.mark.requirement("settings.sources")
def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "orchestrator.toml").write_text("workers = 3\ntraining_timeout = 60\nroots = ['data']\n", "utf-8")
    monkeypatch.setenv(f"{PREFIX}WORKERS", "5")
    settings = Settings.load(tmp_path)
    assert (settings.workers, settings.training_timeout, settings.evaluation_timeout) == (5, 60, 1800)
    assert settings.roots == (tmp_path.resolve() / "data",)


def test_roots_in_the_environment_are_separated_like_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}ROOTS", os.pathsep.join(["a", str(tmp_path / "b")]))
    assert Settings.load(tmp_path).roots == (tmp_path.resolve() / "a", tmp_path.resolve() / "b")


@pytest.mark.requirement("settings.sources")
@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("worker = 3", "worker.*workers"),
        ("workers = -1", "workers.*greater than or equal to 0"),
        ("max_concurrent_workflows = 0", "max_concurrent_workflows"),
        ("training_timeout = 'soon'", "training_timeout.*number"),
        ("workers = ", "orchestrator.toml.*not valid TOML"),
    ],
)
def test_an_unknown_or_unfit_setting_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "orchestrator.toml").write_text(text, "utf-8")
    with pytest.raises(InvalidInput, match=said):
        Settings.load(tmp_path)


def test_a_component_from_elsewhere_is_set_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "orchestrator.toml").write_text('[components]\npricing = "shop.pricing:Pricing"\n', "utf-8")
    assert Settings.load(tmp_path).components == {"pricing": "shop.pricing:Pricing"}
