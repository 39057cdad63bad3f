"""Pairs of related tables: two parts of a real one, or two samples of one law whose parameters have drifted.

The first of a pair is what was trained on before, the second what is trained on now; no row is in both. They are a mix:

- small real tables, on which the default settings are nearly as good as any: cancer, wine, iris, digits, diabetes;
- laws that a straight line tells, where there is little to tune: plane, sparse;
- laws that bend, step or depend on two columns at once, where the family matters: rings, steps, friedman, waves;
- tables as they come out of a business (`trade.py`), where family and settings matter: categories with gaps (mixed),
  rare classes and a category of many levels (churn), a target with a long tail (claims), forty columns of which six
  matter (sensors), seasons and prices (demand), classes that differ in shape (grades).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import trade
from sklearn import datasets
from trade import TARGET

__all__ = ["PAIRS", "TARGET", "Pair"]

Pair = tuple[pd.DataFrame, pd.DataFrame]
NAMES = ("amount", "duration", "distance", "speed", "weight", "height", "pressure", "moisture")


def real(name: str) -> pd.DataFrame:
    """Return a table of scikit-learn."""
    return getattr(datasets, f"load_{name}")(as_frame=True).frame


def digits() -> pd.DataFrame:
    """Return the pictures of three digits that are easily mistaken: ten classes would take most of the time."""
    rows = real("digits")
    return rows[rows[TARGET].isin([3, 5, 8])]


def halves(rows: pd.DataFrame, seed: int, most: int = 10_000) -> Pair:
    """Divide a table at random."""
    order = np.random.default_rng(seed).permutation(len(rows))[:most]
    return rows.iloc[order[::2]].reset_index(drop=True), rows.iloc[order[1::2]].reset_index(drop=True)


def divided(rows: pd.DataFrame, column: str, seed: int) -> Pair:
    """Divide a table by a covariate, which is left out: the lower half, the upper half, nine tenths of each."""
    rest, upper = rows.drop(columns=column), rows[column] > rows[column].median()
    one, other = (rest[part].sample(frac=0.9, random_state=seed).reset_index(drop=True) for part in (~upper, upper))
    return one, other


def renamed(pair: Pair) -> Pair:
    """Give the columns of the second table other names."""
    one, other = pair
    names = {name: f"measure_of_{place}" for place, name in enumerate(other.columns) if name != TARGET}
    return one, other.rename(columns=names)


def noised(pair: Pair, seed: int) -> Pair:
    """Add a tenth of its deviation to each column of the second table, at random."""
    chance, (one, other) = np.random.default_rng(seed + 7), pair
    rest = other.drop(columns=TARGET)
    noise = chance.normal(size=rest.shape) * rest.std().to_numpy() / 10
    return one, (rest + noise).assign(**{TARGET: other[TARGET]})


def drawn(law: Callable[[np.ndarray, float, np.random.Generator], np.ndarray], seed: int) -> Pair:
    """Draw two samples of a law: 500 rows, and 400 of one whose parameter has drifted, with other names."""

    def sample(number: int, rows: int, drift: float) -> pd.DataFrame:
        chance = np.random.default_rng([seed, number])
        x = chance.normal(size=(rows, len(NAMES)))
        return pd.DataFrame(x, columns=NAMES).assign(**{TARGET: law(x, drift, chance)})

    return renamed((sample(1, 500, 0.0), sample(2, 400, 0.2)))


def traded(law: Callable[[np.random.Generator, int, float], pd.DataFrame], seed: int) -> Pair:
    """Draw two samples of a table of `trade.py`: 500 rows, and 400 of one that has drifted."""
    one, other = (np.random.default_rng([seed, 11, number]) for number in (1, 2))
    return law(one, 500, 0.0), law(other, 400, 0.2)


def mixed(seed: int) -> Pair:
    """Draw two samples with categories and gaps; the effects of the levels have drifted, the names are the same."""

    def sample(number: int, rows: int, drift: float) -> pd.DataFrame:
        chance = np.random.default_rng([seed, 9, number])
        city, plan = chance.choice(list("ABCDEF"), rows), chance.choice(["basic", "plus", "pro"], rows)
        age, spent = chance.normal(45, 12, rows), chance.gamma(2, 50, rows)
        pull = {level: place / 2 - 1 + drift * (place % 3) for place, level in enumerate("ABCDEF")}
        odds = np.array([pull[one] for one in city]) + (plan == "pro") * (age > 45) * 1.5 + (spent - 100) / 80
        table = pd.DataFrame({"city": city, "plan": plan, "age": age, "spent": spent})
        table.loc[chance.random(rows) < 0.1, "spent"] = np.nan
        return table.assign(**{TARGET: np.where(odds + chance.logistic(size=rows) > 0.4, "stays", "leaves")})

    return sample(1, 500, 0.0), sample(2, 400, 0.3)


def rings(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Say which rows lie outside of a ring."""
    return (x[:, 0] ** 2 + x[:, 1] ** 2 + (0.3 + drift) * chance.normal(size=len(x)) > 1.4).astype(int)


def plane(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Say which rows lie above a plane."""
    return (x @ np.array([2, -1, 1 + drift, 0, 0, 0, 0.5, 0]) + chance.normal(size=len(x)) > 0).astype(int)


def steps(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Say on which of four steps a row stands."""
    level = np.floor(1.5 * x[:, 0]) + 2 * (x[:, 1] > drift) * (x[:, 2] > 0) + 0.4 * chance.normal(size=len(x))
    return np.digitize(level, [-1, 0.5, 2])


def friedman(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Return a value after Friedman (1991)."""
    bent = 10 * np.sin(np.pi * (1 + drift) * x[:, 0] * x[:, 1] / 4) + 20 * (x[:, 2] - 0.5) ** 2
    return bent + 10 * x[:, 3] + 5 * x[:, 4] + chance.normal(size=len(x))


def sparse(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Return a value that depends on two columns, in a straight line."""
    return (3 + drift) * x[:, 0] - 2 * x[:, 1] + 2 * chance.normal(size=len(x))


def waves(x: np.ndarray, drift: float, chance: np.random.Generator) -> np.ndarray:
    """Return a value that goes up and down."""
    return np.sin(2 * x[:, 0]) + np.cos((2 + drift) * x[:, 1]) * x[:, 2] + 0.3 * chance.normal(size=len(x))


PAIRS: dict[str, Callable[[int], Pair]] = {
    "cancer": lambda seed: halves(real("breast_cancer"), seed),
    "cancer by texture": lambda seed: divided(real("breast_cancer"), "mean texture", seed),
    "wine, renamed": lambda seed: renamed(halves(real("wine"), seed)),
    "iris": lambda seed: halves(real("iris"), seed),
    "digits, renamed": lambda seed: renamed(halves(digits(), seed)),
    "diabetes, noised": lambda seed: noised(halves(real("diabetes"), seed), seed),
    "diabetes by age": lambda seed: divided(real("diabetes"), "age", seed),
    "rings": lambda seed: drawn(rings, seed),
    "plane": lambda seed: drawn(plane, seed),
    "steps": lambda seed: drawn(steps, seed),
    "friedman": lambda seed: drawn(friedman, seed),
    "sparse": lambda seed: drawn(sparse, seed),
    "waves": lambda seed: drawn(waves, seed),
    "mixed": mixed,
    "churn": lambda seed: traded(trade.churn, seed),
    "claims": lambda seed: traded(trade.claims, seed),
    "sensors": lambda seed: traded(trade.sensors, seed),
    "demand": lambda seed: traded(trade.demand, seed),
    "grades": lambda seed: renamed(traded(trade.grades, seed)),
}
"""By name; each takes a seed."""
