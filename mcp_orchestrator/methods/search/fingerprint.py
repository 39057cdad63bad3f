"""The fingerprint of a training problem: cheap facts that tell whether what worked there will work here.

It is taken of what a search may see, the training part, and holds no value of the table: what the columns and the
target are like, and how far three plain models get on a few hundred rows. Where a straight line, a tree and the nearest
rows do equally well on two tables, the same families and settings tend to win on both (landmarking; Pfahringer and
others, 2000).
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import warnings
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from mcp_orchestrator.methods.columns.features import KINDS, used
from mcp_orchestrator.methods.training.families import LINEAR, TREES, Encoding
from mcp_orchestrator.methods.training.pipelines import Shape, preprocessor
from mcp_orchestrator.values import Value

if TYPE_CHECKING:
    import numpy as np

    from mcp_orchestrator.methods.search.problem import Problem

__all__ = ["Fingerprint", "fingerprint"]

MARKED = 600
"""Rows that the plain models are tried on."""
LOOKED = 5000
WIDE = 60
"""Columns of numbers whose correlation is measured."""
NAMED = 200
NUMBERED = re.compile(
    r"[a-z]|([a-z]|col|column|feat|feature|var|variable|attr|attribute|unnamed:)?[ _.-]?\d+", re.IGNORECASE
)
"""Names that only number the columns: equal ones say nothing. Nor do those of a table that differ by digits alone."""
DIGITS = re.compile(r"\d+")
PLAIN = frozenset({"class", "label", "outcome", "target", "y"})
"""Names of targets that say as little."""


class Fingerprint(Value):
    """Numbers by name, labels by name, and the names of the columns that are used."""

    numbers: dict[str, float] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    names: list[str] = Field(default_factory=list)


def fingerprint(problem: Problem) -> Fingerprint:
    """Return the fingerprint of a problem; the same rows always have the same one.

    ``rows`` and ``columns`` are decimal logarithms, ``classes`` a binary one; the kinds of columns and ``missing`` are
    shares; ``entropy`` is 1 where all classes are equally frequent; ``correlation`` is the mean absolute one between
    numbers; ``linear``, ``tree`` and ``near`` are the skill of plain models, from 0 (knows nothing) to 1.
    """
    features = used(problem.features)
    kinds = [one.kind for one in features]
    columns = [one.name for one in features]
    numbers = {
        "rows": math.log10(len(problem.target.y)),
        "columns": math.log10(1 + len(columns)),
        **{kind: kinds.count(kind) / len(kinds) for kind in KINDS if kind != "drop"},
        "missing": float(problem.frame[columns].isna().to_numpy().mean()),
        **_of_target(problem),
        **_correlation(problem, [one.name for one in features if one.kind == "numeric"]),
        **_landmarks(problem),
    }
    names = _telling(columns)
    labels = {
        "task": problem.target.task,
        "metric": problem.metric.name,
    }
    if problem.target.name.casefold() not in PLAIN:
        labels["target"] = problem.target.name
    if names:
        schema = json.dumps(sorted((one.name, one.kind) for one in features))
        labels["schema"] = hashlib.sha256(schema.encode()).hexdigest()[:16]
    return Fingerprint(
        numbers={name: round(value, 4) for name, value in numbers.items() if math.isfinite(value)},
        labels=labels,
        names=names[:NAMED],
    )


def _telling(columns: Sequence[str]) -> list[str]:
    """Return the names that do more than number the columns, in order."""
    often = Counter(DIGITS.sub("#", name).casefold() for name in columns)
    alone = {name for name in columns if not DIGITS.search(name) or often[DIGITS.sub("#", name).casefold()] == 1}
    return sorted(name for name in alone if not NUMBERED.fullmatch(name))


def _of_target(problem: Problem) -> dict[str, float]:
    import numpy as np

    y = problem.target.y
    if not problem.target.classes:
        deviation = float(y.std())
        return {"skewness": float((((y - y.mean()) / deviation) ** 3).mean()) if deviation else 0.0}
    shares = np.bincount(y, minlength=len(problem.target.classes)) / len(y)
    known = shares[shares > 0]
    entropy = float(-(known * np.log(known)).sum() / math.log(len(shares)))
    return {"classes": math.log2(len(shares)), "entropy": entropy}


def _correlation(problem: Problem, names: list[str]) -> dict[str, float]:
    import numpy as np
    import pandas as pd

    from mcp_orchestrator.methods.columns.coercion import numbers

    if len(names) < 2:
        return {}
    part = problem.frame[names[:WIDE]].head(LOOKED)
    table = pd.DataFrame({name: numbers(part[name]) for name in part})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a column without variance has no correlation
        found = table.corr().abs().to_numpy()
    apart = found[np.triu_indices_from(found, k=1)]
    known = apart[np.isfinite(apart)]
    return {"correlation": float(known.mean())} if len(known) else {}


def _landmarks(problem: Problem) -> dict[str, float]:
    """Return how far plain models get on a part of the rows, in two folds that do not depend on a seed."""
    import numpy as np
    from sklearn.linear_model import Ridge, RidgeClassifier
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    classes = bool(problem.target.classes)
    order = np.random.default_rng(0).permutation(len(problem.target.y))[:MARKED]
    halves = [order[0::2], order[1::2]]
    models: dict[str, tuple[Encoding, Any]] = {
        "linear": (LINEAR, RidgeClassifier() if classes else Ridge()),
        "tree": (TREES, (DecisionTreeClassifier if classes else DecisionTreeRegressor)(random_state=0)),
        "near": (LINEAR, (KNeighborsClassifier if classes else KNeighborsRegressor)()),
    }
    pairs = [(halves[0], halves[1]), (halves[1], halves[0])]
    found: dict[str, float] = {}
    for name, (encoding, model) in models.items():
        skills = [_skill(problem, encoding, model, train, test) for train, test in pairs]
        if None not in skills:
            found[name] = sum(one for one in skills if one is not None) / len(skills)
    return found


def _skill(
    problem: Problem,
    encoding: Encoding,
    model: Any,  # noqa: ANN401 - of several classes
    train: np.ndarray,
    test: np.ndarray,
) -> float | None:
    """Return the share of what the prior leaves open that a model explains; None where it cannot be fitted."""
    import numpy as np

    y, classes = problem.target.y, len(problem.target.classes)
    encoder = preprocessor(problem.features, encoding, Shape(rows=len(train), classes=classes))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # columns that are constant in a half
            model.fit(encoder.fit_transform(problem.frame.iloc[train], y[train]), y[train])
            said = model.predict(encoder.transform(problem.frame.iloc[test]))
    except (ValueError, ArithmeticError):
        return None
    truth = y[test]
    if classes:
        present = np.unique(truth)
        recall = float(np.mean([(said[truth == one] == one).mean() for one in present]))
        skill = (recall - 1 / len(present)) / (1 - 1 / len(present)) if len(present) > 1 else math.nan
    else:
        spread = float(((truth - truth.mean()) ** 2).sum())
        skill = 1 - float(((truth - said) ** 2).sum()) / spread if spread else math.nan
    return min(1.0, max(0.0, skill)) if math.isfinite(skill) else None
