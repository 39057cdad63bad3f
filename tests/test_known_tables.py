"""Well-known tables: the whole workflow reaches what a script written by hand reaches on the same rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, root_mean_squared_error
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mcp_orchestrator.app import Orchestrator
from mcp_orchestrator.settings import Settings

FAMILIES = {"digits": ["linear", "svm"]}
SMALL: dict[str, Any] = {"tuning": {"trials": 4, "seconds": 300}, "tracking": False, "gates": {"tracked": False}}


def part(orchestrator: Orchestrator, uri: str) -> pd.DataFrame:
    return pd.read_parquet(orchestrator.artifacts.path(uri.rpartition("@")[2]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["iris", "wine", "digits", "diabetes"])
def test_a_known_table_reaches_what_a_script_written_by_hand_reaches(name: str, tmp_path: Path) -> None:
    regression = name == "diabetes"
    metric = "rmse" if regression else "accuracy"
    with Orchestrator(tmp_path, in_process=True) as orchestrator:
        spec = {**SMALL, "families": FAMILIES.get(name, ["linear", "extra_trees"]), "metrics": [metric]}
        spec["tuning"] = {**SMALL["tuning"], "metric": metric}
        facts = orchestrator.train_model(f"builtin:{name}", "target", **spec).model_dump()
        train, test = (part(orchestrator, facts["data"]["split"][one]) for one in ("train", "test"))
    X, y = train.drop(columns="target"), train["target"].astype(float if regression else str)
    asked, truth = test.drop(columns="target"), test["target"].astype(float if regression else str)
    script = make_pipeline(StandardScaler(), Ridge() if regression else LogisticRegression(max_iter=1000)).fit(X, y)
    found = facts["metrics"][metric]
    if regression:
        by_hand = root_mean_squared_error(truth, script.predict(asked))
        folds = KFold(5, shuffle=True, random_state=0)
        validated = -cross_val_score(script, X, y, cv=folds, scoring="neg_root_mean_squared_error")
        assert found["low"] <= by_hand <= found["high"] or found["value"] < by_hand
        assert facts["validation"]["mean"] <= validated.mean() + validated.std()
    else:
        by_hand = accuracy_score(truth, script.predict(asked))
        folds = StratifiedKFold(5, shuffle=True, random_state=0)
        validated = cross_val_score(script, X, y, cv=folds)
        assert found["low"] <= by_hand <= found["high"] or found["value"] > by_hand
        assert facts["validation"]["mean"] >= validated.mean() - validated.std()
    assert any("baseline" in gate["name"] and gate["passed"] for gate in facts["gates"])


@pytest.mark.slow
def test_the_number_of_processors_does_not_change_the_result(tmp_path: Path) -> None:
    figures: list[Any] = []
    for workers in (1, 2):
        folder = tmp_path / str(workers)
        folder.mkdir()
        with Orchestrator(settings=Settings.load(folder, workers=workers)) as orchestrator:
            run = orchestrator.train_model(
                "builtin:wine",
                "target",
                **{**SMALL, "families": ["linear", "boosting"], "tuning": {"trials": 6, "seconds": 300}},
            )
            facts = run.model_dump(mode="json")
            figures.append([facts[key] for key in ("metrics", "leaderboard", "validation", "importance")])
            figures[-1].append(facts["model"]["sha256"])
    assert figures[0] == figures[1]
