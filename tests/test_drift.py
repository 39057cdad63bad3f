from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.statistics.drift import ColumnDrift, Drift, compare

REFERENCE_ROWS = 3000


def table(rows: int, seed: int, shift: float = 0.0) -> pd.DataFrame:
    """Ten columns of numbers and five of categories; the first three move by ``shift`` standard deviations."""
    random = np.random.default_rng(seed)
    numbers = random.normal(size=(rows, 10))
    numbers[:, :3] += shift
    frame = pd.DataFrame(numbers, columns=[f"x{place}" for place in range(10)])
    for place in range(5):
        frame[f"c{place}"] = random.choice(["a", "b", "c"], rows, p=[0.5, 0.3, 0.2])
    return frame


def of(found: Drift, column: str) -> ColumnDrift:
    return next(one for one in found.columns if one.column == column)


@pytest.mark.slow
@pytest.mark.requirement("data.drift")
@pytest.mark.parametrize("rows", [100, 500])
def test_a_table_that_did_not_change_seldom_raises_an_alarm(rows: int) -> None:
    reference = table(REFERENCE_ROWS, 0)
    alarms = [bool(compare(reference, table(rows, seed)).drifted) for seed in range(1, 61)]
    assert sum(alarms) <= 3


@pytest.mark.requirement("data.drift")
def test_a_shift_of_a_third_of_a_standard_deviation_is_found_in_the_right_columns() -> None:
    reference = table(REFERENCE_ROWS, 0)
    found = [compare(reference, table(500, seed, shift=0.33)) for seed in range(1, 21)]
    drifted = [column for one in found for column in one.drifted]
    assert len(drifted) >= 0.95 * 60
    assert set(drifted) == {"x0", "x1", "x2"}
    assert np.mean([of(one, "x0").effect or 0 for one in found]) == pytest.approx(0.33, abs=0.05)


def test_a_trifle_in_a_large_table_is_suspect_and_no_alarm() -> None:
    found = compare(table(20_000, 0), table(20_000, 1, shift=0.05))
    assert not found.drifted
    assert {"x0", "x1", "x2"} <= set(found.suspect)


def test_categories_that_change_their_shares_have_drifted() -> None:
    before = pd.DataFrame({"c": ["a"] * 500 + ["b"] * 500})
    now = pd.DataFrame({"c": ["a"] * 400 + ["b"] * 100})
    column = of(compare(before, now), "c")
    assert (column.verdict, column.test) == ("drifted", "chi-squared")
    assert column.effect == pytest.approx(0.3)


def test_unseen_categories_are_named() -> None:
    before = pd.DataFrame({"c": ["a", "b"] * 200})
    now = pd.DataFrame({"c": ["a", "b"] * 30 + ["new"] * 40})
    column = of(compare(before, now), "c")
    assert column.unseen == ["new"]
    assert column.verdict == "drifted"


def test_a_few_unseen_categories_are_named_without_an_alarm() -> None:
    before = pd.DataFrame({"c": ["a", "b"] * 200})
    column = of(compare(before, pd.DataFrame({"c": ["a", "b"] * 100 + ["odd"]})), "c")
    assert (column.unseen, column.verdict) == (["odd"], "steady")


def test_values_that_go_missing_have_drifted_though_the_rest_stayed() -> None:
    random = np.random.default_rng(0)
    before, now = pd.DataFrame({"x": random.normal(size=1000)}), pd.DataFrame({"x": random.normal(size=400)})
    now.loc[:150, "x"] = np.nan
    column = of(compare(before, now), "x")
    assert (column.verdict, column.test) == ("drifted", "missing values")
    assert (column.missing_before, column.missing_now) == pytest.approx((0, 151 / 400))


def test_a_strong_effect_is_not_hidden_by_a_weaker_one_with_a_smaller_p_value() -> None:
    random = np.random.default_rng(0)
    before = pd.DataFrame({"x": random.exponential(size=50_000)})
    now = pd.DataFrame({"x": before["x"] + 0.08})
    now.loc[:100, "x"] = np.nan
    before.loc[:7000, "x"] = np.nan
    column = of(compare(before, now), "x")
    assert (column.verdict, column.test) == ("drifted", "missing values")


def test_a_column_that_is_gone_has_drifted() -> None:
    before = pd.DataFrame({"x": range(50), "y": range(50)})
    assert compare(before, before.drop(columns="y")).drifted == ["y"]


@pytest.mark.parametrize(
    "values",
    [[1.5] * 100, [float("nan")] * 100, ["same"] * 100, [True] * 100, [None] * 100, [float("inf")] * 50 + [1.0] * 50],
)
def test_a_column_without_spread_is_steady_or_not_compared(values: list[object]) -> None:
    frame = pd.DataFrame({"x": values})
    assert of(compare(frame, frame), "x").verdict in {"steady", "not compared"}


def test_free_text_and_dates_are_not_compared_and_say_why() -> None:
    frame = pd.DataFrame(
        {"text": [f"row number {row}" for row in range(60)], "day": pd.date_range("2024-01-01", periods=60)}
    )
    later = frame.assign(day=frame["day"] + pd.Timedelta(days=400))
    found = compare(frame, later)
    assert {one.verdict for one in found.columns} == {"not compared"}
    assert all(one.note for one in found.columns)


def test_the_kind_that_the_model_knows_decides() -> None:
    before = pd.DataFrame({"code": [str(row % 40) for row in range(400)]})
    now = pd.DataFrame({"code": [str(row % 40 + 15) for row in range(400)]})
    assert of(compare(before, now, kinds={"code": "numeric"}), "code").test == "Kolmogorov-Smirnov"
    assert of(compare(before, now, kinds={"code": "categorical"}), "code").test == "chi-squared"
    assert of(compare(before, now, kinds={"code": "drop"}), "code").verdict == "not compared"


def test_numbers_written_otherwise_are_the_same_category() -> None:
    before, now = pd.DataFrame({"c": [1, 2] * 100}), pd.DataFrame({"c": [1.0, 2.0] * 100})
    column = of(compare(before, now), "c")
    assert (column.verdict, column.unseen) == ("steady", [])


def test_a_column_that_turned_into_words_has_drifted() -> None:
    before = pd.DataFrame({"x": np.arange(200.0)})
    column = of(compare(before, pd.DataFrame({"x": ["oops"] * 200})), "x")
    assert (column.verdict, column.missing_now) == ("drifted", 1)


def test_an_empty_table_is_refused() -> None:
    frame = pd.DataFrame({"x": [1.0, 2.0]})
    with pytest.raises(DataRejected, match="no row"):
        compare(frame, frame.head(0))
