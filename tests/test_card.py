"""The card says what was recorded, calls what was not measured so, and no name in it is taken for markup."""

from __future__ import annotations

from typing import Any

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.methods.models import Loaded, load
from mcp_orchestrator.methods.models.examples import example_model
from mcp_orchestrator.methods.report.card import card
from mcp_orchestrator.methods.report.facts import Facts
from mcp_orchestrator.methods.training.importance import Influence
from mcp_orchestrator.methods.training.pipelines import FeatureSpec, Member
from mcp_orchestrator.values import Estimate


@pytest.fixture
def loaded(ctx: Context) -> Loaded:
    return load(ctx, example_model(ctx, 1.0)[0].uri)


def facts(**changed: Any) -> Facts:
    given: dict[str, Any] = {
        "run": "r-1",
        "name": "flowers",
        "task": "classification",
        "target": "target",
        "metric": "log_loss",
        "greater_is_better": False,
        "classes": [0, 1, 2],
        "estimator": "LogisticRegression",
        "model": "model://" + "0" * 64,
        "dataset": {"uri": "dataset://iris@" + "a" * 64, "source": "builtin:iris", "rows": 150, "columns": 5},
        "split": {"method": "stratified", "digest": "d" * 64, "sizes": {"train": 120, "test": 30}},
        "features": [FeatureSpec(name="width", kind="numeric")],
        "members": [Member(family="linear", params={"C": 0.5}, weight=1.0)],
        "choice": "linear is within one standard error of the best.",
        "ensemble": "none",
        "folds": 5,
        "fold_scores": [0.1, 0.2],
        "score": 0.1234,
        "sd": 0.0123,
        "trials": 31,
        "stopped_by": "patience",
        "leaderboard": [
            {"trial": 4, "family": "linear", "score": 0.1234, "sd": 0.01, "state": "complete", "reason": ""},
            {"trial": 7, "family": "svm", "score": None, "sd": None, "state": "failed", "reason": "did not converge"},
        ],
        "metrics": {
            "accuracy": Estimate(value=0.9667, low=0.83, high=0.99),
            "log_loss": Estimate(value=0.111, low=0.05, high=0.19),
        },
        "baseline": {"accuracy": 0.3333},
        "importance": [Influence(name="petal width", importance=0.25, sd=0.02)],
        "warnings": ["the class 2 has few rows"],
        "steps": [
            {"name": "load", "status": "done", "reason": ""},
            {"name": "calibrate", "status": "skipped", "reason": "fewer than 3,000 rows"},
        ],
        "spec": {"data": "builtin:iris", "target": "target", "seed": 7},
        "seed": 7,
    }
    return Facts.model_validate(given | changed)


def section(text: str, title: str) -> str:
    return text.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.requirement("training.card")
def test_every_recorded_fact_stands_in_its_section(loaded: Loaded) -> None:
    text = card(loaded, facts(), ["plots/roc.png"])
    assert text.startswith("# flowers\n")
    assert loaded.uri in text
    assert "150 rows, 5 columns" in section(text, "Data")
    assert "train 120 rows, test 30 rows" in section(text, "Data")
    assert "| `petal width (cm)` | numeric |" in section(text, "Features")
    training = section(text, "Training")
    assert "0.1234 over 5 folds, standard deviation 0.0123" in training
    assert "| `linear` | 1 | `C=0.5` |" in training
    metrics = section(text, "Metrics")
    assert "| **log_loss** | 0.111 | 0.05 to 0.19 | not measured |" in metrics
    assert "| accuracy | 0.9667 | 0.83 to 0.99 | 0.3333 |" in metrics
    assert metrics.index("log_loss") < metrics.index("accuracy"), "the metric that it was chosen by comes first"
    assert "the 30 rows that were locked away" in metrics
    assert "| 7 | `svm` |  |  | failed: did not converge |" in section(text, "Leaderboard")
    assert "| `petal width` | 0.25 | 0.02 |" in section(text, "Importance of the features")
    assert "- the class 2 has few rows" in section(text, "Warnings")
    assert "| calibrate | skipped | fewer than 3,000 rows |" in section(text, "What was not done")
    assert "load" not in section(text, "What was not done")
    assert "![ROC curve](plots/roc.png)" in text
    again = section(text, "How to get it again")
    assert '"seed": 7' in again
    assert f"| scikit-learn | {loaded.manifest.libraries['scikit-learn']} |" in again


@pytest.mark.parametrize("title", ["Metrics", "Importance of the features"])
def test_what_was_not_measured_is_called_so(loaded: Loaded, title: str) -> None:
    assert section(card(loaded), title).strip() == "Not measured."
    assert section(card(loaded, facts(metrics={}, importance=[])), title).strip() == "Not measured."


def test_sections_without_facts_are_left_out(loaded: Loaded) -> None:
    text = card(loaded)
    titles = [line.removeprefix("## ") for line in text.splitlines() if line.startswith("## ")]
    assert titles == ["Features", "Metrics", "Importance of the features", "How to get it again"]
    text = card(loaded, facts(leaderboard=[], warnings=[], steps=[]))
    for title in ("Leaderboard", "Warnings", "What was not done", "Pictures"):
        assert f"## {title}" not in text


def test_names_cannot_break_out_of_their_place(loaded: Loaded) -> None:
    evil = "a|b\n\n# Ignore <img src=x> `code` *bold* [link](http://x)"
    text = card(loaded, facts(name=evil, warnings=[evil], importance=[Influence(name=evil, importance=1, sd=0)]))
    assert text.startswith("# a\\|b # Ignore &lt;img")
    assert "<img" not in text.replace("`a\\|b # Ignore <img src=x> 'code' *bold* [link](http://x)`", "")
    assert [line for line in text.splitlines() if line.startswith("# ")] == [text.splitlines()[0]]
    row = next(line for line in section(text, "Importance of the features").splitlines() if "Ignore" in line)
    assert row.replace("\\|", "").count("|") == 4


def test_equal_facts_give_equal_cards(loaded: Loaded) -> None:
    assert card(loaded, facts()) == card(loaded, facts())
    assert card(loaded, facts()) != card(loaded, facts(seed=8))
