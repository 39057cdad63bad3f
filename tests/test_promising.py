"""What promises most to a search that knows of trials on related data: known answers, and who is not misled."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from optuna.study import Study
from scipy.stats import norm
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from mcp_orchestrator.methods.search import kriging
from mcp_orchestrator.methods.search.kriging import Configuration, Outcome, distances, places, promises, worths
from mcp_orchestrator.methods.search.promising import moved, promising
from mcp_orchestrator.methods.search.proposals import Proposals
from mcp_orchestrator.methods.search.starts import Earlier, Past, Start, checked
from mcp_orchestrator.methods.search.studies import in_memory
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, chosen

SHAPE = Shape(rows=300, classes=2)
SPACES = {name: FAMILIES[name].space(SHAPE) for name in ("splines", "linear", "neighbors")}
GRID = [10**power for power in np.linspace(-3, 2, 41)]


def bent(value: float) -> Configuration:
    return "splines", {"C": float(value)}


def hill(top: float, family: str = "splines", height: float = 0.9, values: Any = GRID[::4]) -> list[Past]:
    """Trials of a family whose score is best at a value."""
    return [Past(family=family, params={"C": one}, score=height - 0.02 * math.log10(one / top) ** 2) for one in values]


def outcomes(trials: list[Past]) -> list[Outcome]:
    values = worths([one.score for one in trials], 1.0)
    return [Outcome((one.family, one.params), worth) for one, worth in zip(trials, values, strict=True)]


def told(*trials: Past) -> Study:
    """A study that has had these trials."""
    study = in_memory(greater_is_better=True)
    for one in trials:
        study.enqueue_trial({"family": one.family, **{f"{one.family}.{key}": at for key, at in one.params.items()}})
        trial = study.ask()
        trial.suggest_categorical("family", list(SPACES))
        for key, part in SPACES[one.family].items():
            part.suggest(trial, f"{one.family}.{key}")
        study.tell(trial, one.score)
    return study


def test_what_is_expected_is_what_the_process_of_another_library_expects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kriging, "NOISE", (0.05,))
    here = outcomes(hill(0.3, values=GRID[::8]))
    asked = [bent(value) for value in GRID[1::4]]
    worth = np.array([one.worth for one in here])
    above = np.maximum(worth, 2 * np.median(worth) - worth.max())
    y = (np.maximum(worth, worth.max() - 4 * above.std()) - worth.mean()) / above.std()
    x = np.array([[(math.log10(one.tried[1]["C"]) + 3) / 5] for one in here])
    process = GaussianProcessRegressor(
        ConstantKernel(10.0) + ConstantKernel(0.5) * RBF(0.3), alpha=0.05, optimizer=None
    ).fit(x, y)
    at = np.array([[(math.log10(params["C"]) + 3) / 5] for _, params in asked])
    mean, deviation = process.predict(at, return_std=True)
    z = (mean - process.predict(x).max()) / deviation
    expected = deviation * (z * norm.cdf(z) + norm.pdf(z))
    assert promises(here, [], [], asked, SPACES) == pytest.approx(expected, abs=1e-6)


def test_the_place_of_the_best_is_learned_from_a_related_table_and_a_stranger_is_found_out() -> None:
    here = hill(10.0, values=[1e-3, 1.0])
    asked = [bent(value) for value in GRID]
    related = promises(outcomes(here), [outcomes(hill(10.0, height=0.7))], [], asked, SPACES)
    assert GRID[int(related.argmax())] == pytest.approx(10.0, rel=2.5)
    alone = promises(outcomes(here), [], [], asked, SPACES)
    assert related.max() != pytest.approx(alone.max(), rel=0.01)
    more = hill(10.0, values=GRID[::6])
    misled = promises(outcomes(more), [outcomes(hill(0.002, height=0.7))], [], asked, SPACES)
    assert GRID[int(misled.argmax())] > 1


def test_what_is_waiting_promises_less_than_before() -> None:
    here, asked = outcomes(hill(10.0, values=GRID[::8])), [bent(value) for value in GRID]
    first = promises(here, [], [], asked, SPACES)
    best = asked[int(first.argmax())]
    then = promises(here, [], [best], asked, SPACES)
    assert then[asked.index(best)] < 0.8 * first.max()


def test_scores_are_compared_without_their_units_and_a_perfect_one_is_finite() -> None:
    assert np.diff(worths([4.0, 2.0, 1.0], 0.0)) == pytest.approx([math.log(2)] * 2)
    assert np.diff(worths([4e9, 2e9, 1e9], 0.0)) == pytest.approx([math.log(2)] * 2)
    assert np.diff(worths([0.6, 0.8, 0.9], 1.0)) == pytest.approx([math.log(2)] * 2)
    assert all(map(math.isfinite, worths([0.5, 1.0], 1.0)))
    assert all(map(math.isfinite, worths([0.0, 0.0], 0.0)))


def test_options_are_equally_far_from_each_other_and_families_infinitely() -> None:
    near = [("neighbors", {"n_neighbors": 60, "weights": weights}) for weights in ("uniform", "distance")]
    points = places([*near, ("neighbors", {"n_neighbors": 1, "weights": "uniform"}), bent(1.0)], SPACES)
    apart = distances(points, points)
    assert apart[0, 1] == pytest.approx(0.25)
    assert apart[0, 2] == pytest.approx(1)
    assert apart[1, 2] == pytest.approx(1.25)
    assert np.isinf(apart[:3, 3]).all()


def test_what_is_tried_next_lies_near_the_best_but_not_next_to_what_was_tried() -> None:
    trials = hill(0.3, values=[0.001, 0.1, 1.0, 50.0])
    family, params = promising(told(*trials), {"splines": SPACES["splines"]}, [], [], seed=1) or bent(0)
    places = [math.log(one.params["C"]) / math.log(1e5) for one in trials]
    at = math.log(params["C"]) / math.log(1e5)
    assert family == "splines"
    assert min(abs(at - one) for one in places) >= 0.05
    assert 0.01 < params["C"] < 10


def test_where_all_is_near_what_was_tried_something_new_is_tried_all_the_same() -> None:
    trials = hill(0.3, values=GRID)
    found = promising(told(*trials), {"splines": SPACES["splines"]}, [], [], seed=1)
    assert found is not None
    assert found[1]["C"] not in GRID


def test_nothing_is_promised_where_nothing_has_a_score() -> None:
    assert promising(in_memory(greater_is_better=True), SPACES, [bent(1.0)], [], seed=0) is None


def test_a_batch_has_two_of_a_family_at_most_and_the_same_study_the_same_one() -> None:
    families = chosen(["splines", "linear", "neighbors"], SHAPE)
    earlier = [Earlier(greater_is_better=True, trials=[*hill(3.0), *hill(1.0, "linear", 0.7)])]
    first = [Start(family="splines", params={"C": 3.0}), Start(family="linear", params={"C": 1.0})]

    def asked() -> list[Configuration]:
        study = in_memory(greater_is_better=True)
        proposals = Proposals(study, families, SHAPE, "bayesian", 0, first, earlier)
        for score in (0.9, 0.7):
            study.tell(proposals.ask().trial, score)
        return [(one.family, one.params) for one in (proposals.ask() for _ in range(4))]

    once = asked()
    assert once == asked()
    assert Counter(family for family, _ in once)["splines"] == 2
    assert len({str(one) for one in once}) == 4


def test_a_step_is_as_wide_as_it_is_meant_to_be_and_stays_within_the_bounds() -> None:
    chance = np.random.default_rng(0)
    found = [moved({"C": 0.3}, SPACES["splines"], 0.12, chance)["C"] for _ in range(400)]
    assert np.std([math.log(value / 0.3) / math.log(1e5) for value in found]) == pytest.approx(0.12, abs=0.02)
    near = [moved({"n_neighbors": 50, "weights": "uniform"}, SPACES["neighbors"], 0.25, chance) for _ in range(400)]
    assert all(isinstance(one["n_neighbors"], int) and 1 <= one["n_neighbors"] <= 60 for one in near)
    assert 0.05 < sum(one["weights"] == "distance" for one in near) / 400 < 0.15  # another option, a fifth of the time


def test_of_what_was_tried_earlier_only_what_can_be_tried_here_is_learned_from() -> None:
    trials = [*hill(1.0, values=[1e-6, 1.0]), Past(family="gone", params={}, score=1.0)]
    (found,) = checked([Earlier(greater_is_better=True, trials=trials)], chosen([], SHAPE), SHAPE)
    assert [(one.family, one.params) for one in found.trials] == [bent(1.0)]


def test_a_plan_of_starts_goes_on_with_what_promises_most_and_the_usual_settings_in_turn() -> None:
    families = chosen(["splines", "linear"], SHAPE)
    proposals = Proposals(
        in_memory(greater_is_better=True), families, SHAPE, "bayesian", 0, [Start(family="splines", params={"C": 3.0})]
    )
    assert [one is None for one in proposals.plan] == [False, True, True, *[False, True] * 3]
    assert all(one != other for one, other in pairwise(one for one in proposals.plan if one is not None))
