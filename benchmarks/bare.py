"""The hand-written script that the workflow is measured against: the same fits with scikit-learn alone, nothing else.

It is run as a foreign component, so that it gets the same warm process as the workflow's steps.
"""

from __future__ import annotations

import multiprocessing
import time
from typing import Any

_work: list[Any] = []
"""What forked children inherit instead of receiving."""


def script(path: str, target: str, candidates: list[dict[str, Any]], members: list[dict[str, Any]], cpus: int) -> float:
    """Read a table, fit every candidate on every fold it was given, fit the winner, test it; return the seconds."""
    import pandas as pd
    from sklearn.ensemble import VotingClassifier
    from sklearn.model_selection import StratifiedKFold, train_test_split

    from mcp_orchestrator.methods.metrics import evaluate
    from mcp_orchestrator.methods.training.pipelines import Shape, build, infer_features

    started = time.perf_counter()
    table = pd.read_csv(path)
    X, y = table.drop(columns=target), table[target]
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=0)
    features, shape = (
        infer_features(X_train.assign(**{target: y_train}), target),
        Shape(rows=len(y_train), classes=y.nunique()),
    )
    folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(X_train, y_train))
    jobs = [(one["family"], one["params"], fold) for one in candidates for fold in range(one["folds"])]

    def fit(job: tuple[str, dict[str, Any], int]) -> float:
        family, params, fold = job
        train, held = folds[fold]
        model = build(family, params, features, shape).fit(X_train.iloc[train], y_train.iloc[train])
        return float(model.score(X_train.iloc[held], y_train.iloc[held]))

    _work.append(fit)
    with multiprocessing.get_context("fork").Pool(cpus) as pool:
        pool.map(_call, jobs, chunksize=1)
    final = [(f"{place}", build(one["family"], one["params"], features, shape)) for place, one in enumerate(members)]
    weights = [one["weight"] for one in members]
    model = VotingClassifier(final, voting="soft", weights=weights) if len(final) > 1 else final[0][1]
    model.fit(X_train, y_train)
    evaluate("classification", y_test, model.predict(X_test), model.predict_proba(X_test), list(model.classes_))
    return time.perf_counter() - started


def _call(job: tuple[str, dict[str, Any], int]) -> float:
    return _work[-1](job)
