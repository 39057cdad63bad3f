"""What configurations promise, learned from the trials on this table and from those on related ones together.

A Gaussian process (kriging) over all families. The scores of a family have a level and a surface over its parameters;
tables have a level each, and share the rest in the degree that makes what was seen most likely (a multi-task process:
Bonilla et al. 2008, Swersky et al. 2013). So what an unrelated table says is found out after a few trials, and counts
for little from then on. Scores are compared by the logarithm of what is missing to a perfect one, which has no units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from mcp_orchestrator.methods.training.families import Choice, Params, Space

if TYPE_CHECKING:
    import numpy as np

__all__ = ["Configuration", "Outcome", "Places", "distances", "places", "promises", "worths"]

LEVEL, SURFACE, TABLE = 1.0, 0.5, 9.0
"""Variances: of the levels of families, of the surface within one, and of the levels of tables, which are not known."""
LENGTH = 0.3
"""How far a score tells of its surroundings, in parts of the range of a parameter."""
OPTION = 0.5
"""How far two options of a choice are apart, in parts of a range."""
SHARED = (0.1, 0.5, 0.8, 0.95)
"""How much tables may have in common."""
NOISE = (0.01, 0.05, 0.2)
"""Variances that the noise of a score may have, in parts of the spread of the scores of a table."""
LEAST = 1e-4
"""What is missing to a perfect score counts as at least so much of the most that is missing in the table."""
FAR = 4.0
"""How many spreads behind the best a trial counts at most: how bad the bad ones are says nothing."""

Configuration = tuple[str, Params]


class Outcome(NamedTuple):
    """A configuration and what it was worth on its table; more is better."""

    tried: Configuration
    worth: float


class Places(NamedTuple):
    """Configurations as points: coordinates within the ranges, the number of the family, and of its parameters."""

    x: np.ndarray
    family: np.ndarray
    parameters: np.ndarray


class _Process(NamedTuple):
    likelihood: float
    shared: float
    noise: float
    factor: np.ndarray
    weights: np.ndarray


def worths(scores: Sequence[float], best: float) -> list[float]:
    """Return what the scores of one table are worth, ``best`` being a perfect one; what is missing halves for .69."""
    missing = [abs(best - one) for one in scores]
    least = LEAST * max(missing, default=0.0) or 1.0
    return [-math.log(max(one, least)) for one in missing]


def places(configurations: Sequence[Configuration], spaces: Mapping[str, Space]) -> Places:
    """Return where configurations lie; the options of a choice are all equally far from each other."""
    import numpy as np

    numbers = {name: number for number, name in enumerate(spaces)}
    rows: list[list[float]] = []
    for name, params in configurations:
        row: list[float] = []
        for key, part in spaces[name].items():
            if isinstance(part, Choice):
                row += [OPTION / math.sqrt(2) * (one == params[key]) for one in part.options]
            else:
                ends = (part.low, part.high, params[key])
                low, high, at = (math.log(one) if part.log else float(one) for one in ends)
                row.append((at - low) / (high - low))
        rows.append(row)
    x = np.zeros((len(rows), max(map(len, rows), default=1)))
    for at, row in zip(x, rows, strict=True):
        at[: len(row)] = row
    own = [numbers[name] for name, _ in configurations]
    return Places(x, np.array(own, dtype=int), np.array([len(spaces[name]) for name, _ in configurations], dtype=float))


def distances(one: Places, other: Places) -> np.ndarray:
    """Return the squared distances, infinite between families."""
    import numpy as np

    width = min(one.x.shape[1], other.x.shape[1])  # what one of them lacks is zero in the other, or of another family
    apart = (one.x**2).sum(1)[:, None] + (other.x**2).sum(1)[None] - 2 * one.x[:, :width] @ other.x[:, :width].T
    return np.where(one.family[:, None] == other.family[None], np.maximum(apart, 0.0), np.inf)


def promises(
    here: Sequence[Outcome],
    elsewhere: Sequence[Sequence[Outcome]],
    waiting: Sequence[Configuration],
    asked: Sequence[Configuration],
    spaces: Mapping[str, Space],
) -> np.ndarray:
    """Return by how much each configuration is expected to exceed the best so far (expected improvement).

    ``here`` are the outcomes on this table, ``elsewhere`` those of related ones, by table. Those that are ``waiting``
    count as if they had come out as expected. There must be an outcome here.
    """
    import numpy as np

    y, tables = _levelled(here, elsewhere)
    tried = [one.tried for group in (here, *elsewhere) for one in group]
    known = places(tried, spaces)
    process = _fitted(known, tables, y, list(product(SHARED if elsewhere else SHARED[:1], NOISE)))
    if waiting:
        more = places(waiting, spaces)
        expected, _ = _told(process, known, tables, more)
        known = places([*tried, *waiting], spaces)
        tables, y = np.append(tables, np.zeros(len(waiting), dtype=int)), np.append(y, expected)
        process = _fitted(known, tables, y, [(process.shared, process.noise)])
    own = Places(*(part[tables == 0] for part in known))
    best = _told(process, known, tables, own)[0].max()
    mean, deviation = _told(process, known, tables, places(asked, spaces))
    return _improvement((mean - best) / deviation) * deviation


def _levelled(here: Sequence[Outcome], elsewhere: Sequence[Sequence[Outcome]]) -> tuple[np.ndarray, np.ndarray]:
    """Return worths in spreads of the better half of a table, about the level of their table, and the tables."""
    import numpy as np

    groups = [np.array([one.worth for one in group]) for group in (here, *elsewhere)]
    above = [np.maximum(one, 2 * np.median(one) - one.max()) for one in groups]
    spread = max(1e-6, float(np.mean([one.std() for one in above[1:] or above])))
    groups = [np.maximum(groups[0], groups[0].max() - FAR * spread), *above[1:]]
    y = np.concatenate([(one - one.mean()) / spread for one in groups])
    return y, np.repeat(np.arange(len(groups)), [len(one) for one in groups])


def _covariance(one: Places, other: Places, together: np.ndarray, shared: float) -> np.ndarray:
    import numpy as np

    apart = distances(one, other) / (LENGTH**2 * np.sqrt(one.parameters)[:, None])
    alike = np.isfinite(apart) * (LEVEL + SURFACE * np.exp(-apart / 2))
    return alike * np.where(together, 1.0, shared) + TABLE * together


def _fitted(known: Places, tables: np.ndarray, y: np.ndarray, settings: Sequence[tuple[float, float]]) -> _Process:
    """Return the process that makes what was seen most likely."""
    import numpy as np

    together, found = tables[:, None] == tables[None], list[_Process]()
    for shared, noise in settings:
        factor = np.linalg.cholesky(_covariance(known, known, together, shared) + noise * np.eye(len(y)))
        weights = np.linalg.solve(factor.T, np.linalg.solve(factor, y))
        likelihood = float(-y @ weights / 2 - np.log(np.diag(factor)).sum())
        found.append(_Process(likelihood, shared, noise, factor, weights))
    return max(found, key=lambda one: one.likelihood)


def _told(process: _Process, known: Places, tables: np.ndarray, asked: Places) -> tuple[np.ndarray, np.ndarray]:
    """Return what is expected of configurations on this table, and the deviations."""
    import numpy as np

    together = np.broadcast_to(tables[None] == 0, (len(asked.family), len(tables)))
    covariance = _covariance(asked, known, together, process.shared)
    explained = (np.linalg.solve(process.factor, covariance.T) ** 2).sum(0)
    return covariance @ process.weights, np.sqrt(np.maximum(LEVEL + SURFACE + TABLE - explained, 1e-9))


def _improvement(z: np.ndarray) -> np.ndarray:
    """Return the mean of what exceeds zero of normal variables with these means and deviation one."""
    import numpy as np

    above = np.array([math.erfc(-one / math.sqrt(2)) / 2 for one in z])
    return z * above + np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
