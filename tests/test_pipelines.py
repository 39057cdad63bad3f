"""Columns to features, features to a matrix, families to pipelines that take raw tables and can be stored."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder

from mcp_orchestrator.errors import DataRejected, InvalidInput, MissingLibrary, UnknownName
from mcp_orchestrator.methods.columns.encoding import Encoder
from mcp_orchestrator.methods.columns.targets import read_target, task_of
from mcp_orchestrator.methods.models.persistence import dumps, loads
from mcp_orchestrator.methods.search.folds import folds_of, holdout
from mcp_orchestrator.methods.training import families as families_module
from mcp_orchestrator.methods.training.estimators import Shape
from mcp_orchestrator.methods.training.families import FAMILIES, Choice, Family, Range, chosen, family_named
from mcp_orchestrator.methods.training.pipelines import FeatureSpec, build, infer_features

ROWS = 120
BINARY, SEVERAL, REGRESSION = (Shape(rows=ROWS, classes=classes) for classes in (2, 3, 0))
WORDS = ["red", "green", "blue", "round", "square", "soft", "hard", "warm", "cold", "sweet"]


def table(rows: int = ROWS) -> pd.DataFrame:
    """A bit of everything, with holes."""
    order = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "id": [f"u-{place:05d}" for place in range(rows)],
            "size": order.normal(size=rows),
            "count": order.integers(0, 9, rows),
            "written": [f"{value:.2f}" for value in order.normal(size=rows)],
            "color": order.choice(["red", "green", "blue"], rows),
            "town": order.choice([f"town {place}" for place in range(40)], rows),
            "member": order.random(rows) < 0.5,
            "since": pd.Timestamp("2024-03-01") + pd.to_timedelta(order.integers(0, 400, rows), "D"),
            "note": [" ".join(order.choice(WORDS, 6)) for _ in range(rows)],
            "same": "x",
            "empty": None,
        },
    )
    for name in ("size", "color", "since", "note"):
        frame.loc[order.random(rows) < 0.1, name] = None
    return frame


def answers(shape: Shape) -> Any:
    frame = table()
    size = frame["size"].fillna(0) + (frame["color"] == "red")
    if not shape.classes:
        return size.to_numpy(dtype=float)
    return pd.qcut(size, shape.classes, labels=False).to_numpy()


def features() -> list[FeatureSpec]:
    return infer_features(table().assign(y=answers(BINARY)), "y")


# What columns are -----------------------------------------------------------------------------------------------------


@pytest.mark.requirement("build.problem")
@pytest.mark.parametrize(
    ("values", "name", "kind"),
    [
        ([0.1 * place for place in range(40)], "x", "numeric"),
        ([1, 2, 3, 4] * 10, "x", "numeric"),
        (list(range(40)), "x", "drop"),
        (list(range(100, 500, 10)), "customer_id", "drop"),
        (list(range(100, 500, 10)), "distance", "numeric"),
        ([*range(100, 490, 10), None], "customerId", "drop"),
        (["1.5", "2", None, "n/a"] * 10, "x", "numeric"),
        ([True, False] * 20, "x", "boolean"),
        (["yes", "no", None, "no"] * 10, "x", "boolean"),
        (["a", "b", "c", None] * 10, "x", "categorical"),
        (["2024-01-31", "2024-02-01", None, "2023-12-31 17:30"] * 10, "x", "date"),
        ([pd.Timestamp("2024-01-31"), pd.NaT] * 20, "x", "date"),
        ([pd.Timedelta(hours=3), pd.Timedelta(days=1)] * 20, "x", "numeric"),
        ([f"key-{place}" for place in range(40)], "x", "drop"),
        ([f"the {one} {other} thing" for one in WORDS for other in WORDS[:4]], "x", "text"),
        ([None] * 40, "x", "drop"),
        (["", "?"] * 20, "x", "drop"),
        ([7] * 40, "x", "drop"),
        ([[1], [2]] * 20, "x", "drop"),
    ],
)
def test_the_kind_of_a_column_is_inferred(values: list[Any], name: str, kind: str) -> None:
    frame = pd.DataFrame({name: values, "other": np.arange(40) % 7 / 2, "y": [0, 1] * 20})
    found = infer_features(frame, "y")[0]
    assert (found.name, found.kind) == (name, kind)
    assert bool(found.reason) >= (kind == "drop")


def test_a_given_kind_stands_and_the_rest_is_inferred() -> None:
    frame = table().assign(y=answers(BINARY))
    asked = [FeatureSpec(name="count", kind="categorical"), FeatureSpec(name="note", kind="drop")]
    found = {one.name: one for one in infer_features(frame, "y", asked, apart=["town"])}
    assert (found["count"].kind, found["count"].levels) == ("categorical", 9)
    assert [found[name].kind for name in ("note", "town", "size")] == ["drop", "drop", "numeric"]


@pytest.mark.parametrize(
    ("asked", "target", "says"),
    [
        ([FeatureSpec(name="sise", kind="numeric")], "y", "'size'"),
        ([FeatureSpec(name="y", kind="numeric")], "y", "is the target"),
        ([], "Y", "no column 'Y'"),
    ],
)
def test_a_feature_or_target_that_is_no_column_is_refused_by_name(
    asked: list[FeatureSpec], target: str, says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        infer_features(table().assign(y=1), target, asked)


def test_a_table_without_a_usable_column_is_refused_with_the_reasons() -> None:
    with pytest.raises(DataRejected, match="same: every value is the same"):
        infer_features(table()[["same", "empty"]].assign(y=[0, 1] * 60), "y")


# The matrix -----------------------------------------------------------------------------------------------------------


@pytest.mark.requirement("data.engineering")
def test_dates_become_their_parts() -> None:
    frame = pd.DataFrame({"d": ["2024-02-29", "2024-03-02 06:30", None]})
    matrix = Encoder(date=["d"], fill=False, scale=False).fit_transform(frame)
    assert matrix[0].tolist() == [2024, 2, 29, 3, 0, 0]
    assert_allclose(matrix[1], [2024, 3, 2, 5, 2 + 6.5 / 24, 6.5])
    assert np.isnan(matrix[2]).all()


@pytest.mark.requirement("data.engineering")
def test_missing_numbers_are_filled_with_the_median_and_said_in_a_column_of_their_own() -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0, None, 9.0], "b": [1.0, 2.0, 3.0, 4.0]})
    encoder = Encoder(numeric=["a", "b"], scale=False).fit(frame)
    assert encoder.transform(frame).tolist() == [[1, 1, 0], [2, 2, 0], [2, 3, 1], [9, 4, 0]]
    assert encoder.transform(pd.DataFrame({"a": [np.inf], "b": [None]})).tolist() == [[2, 2.5, 1]]


@pytest.mark.requirement("data.engineering")
def test_few_levels_get_a_column_each_and_an_unknown_one_none() -> None:
    frame = pd.DataFrame({"c": ["a", "b", "a", "c", None, "a"], "two": ["x", "y", "x", "x", "y", "y"]})
    encoder = Encoder(categorical=["c", "two"], scale=False).fit(frame)
    found = encoder.transform(pd.DataFrame({"c": ["a", "new", None], "two": ["x", "y", "new"]}))
    assert found[:, :4].sum(axis=1).tolist() == [1, 0, 1]
    assert found[:, 4].tolist() == [0, 1, 0] or found[:, 4].tolist() == [1, 0, 0]
    assert found.shape == (3, 5)


@pytest.mark.parametrize("value", [3, 3.0, "3", " 3 ", np.int64(3), np.float32(3)])
def test_a_category_is_the_same_in_whatever_type_it_comes(value: object) -> None:
    encoder = Encoder(categorical=["c"], scale=False).fit(pd.DataFrame({"c": [1, 2, 3, 3]}))
    found = encoder.transform(pd.DataFrame({"c": pd.Series([value], dtype=object)}))
    assert found.tolist() == [[1, 0, 0]]


def test_a_single_row_and_many_are_encoded_alike() -> None:
    encoder = build("linear", {}, features(), BINARY).named_steps["features"].fit(table(), answers(BINARY))
    whole = encoder.transform(table())
    assert_array_equal(np.vstack([encoder.transform(table().iloc[[row]]) for row in range(20)]), whole[:20])


def test_many_levels_are_encoded_by_the_target_as_scikit_learn_does_it() -> None:
    order = np.random.default_rng(1)
    frame = pd.DataFrame({"c": order.choice([f"level {place}" for place in range(50)], 600)})
    y = order.integers(0, 2, 600)
    encoder = Encoder(categorical=["c"], classes=2, scale=False).fit(frame, y)
    known = TargetEncoder(target_type="binary").fit(frame.to_numpy(), y)
    assert_allclose(encoder.transform(frame), known.transform(frame.to_numpy()))
    assert encoder.transform(pd.DataFrame({"c": ["never seen"]})).item() == pytest.approx(y.mean())


def test_target_encoding_does_not_leak_the_target_of_noise_into_the_training_matrix() -> None:
    order = np.random.default_rng(2)
    frame = pd.DataFrame({"c": order.choice([f"level {place}" for place in range(300)], 600)})
    y = order.integers(0, 2, 600)
    encoder = Encoder(categorical=["c"], classes=2, scale=False)
    across = np.corrcoef(encoder.fit_transform(frame, y)[:, 0], y)[0, 1]
    naive = np.corrcoef(encoder.transform(frame)[:, 0], y)[0, 1]
    assert across < 0.1
    assert naive > 0.5


def test_a_number_may_bend_for_a_linear_model_at_its_quantiles() -> None:
    values = np.linspace(0, 10, 101)
    matrix = Encoder(numeric=["a"], hinges=True, scale=False).fit_transform(pd.DataFrame({"a": values}))
    assert_allclose(matrix[:, 1:], np.maximum(values[:, None] - [1, 3, 5, 7, 9], 0), atol=1e-12)


@pytest.mark.requirement("data.engineering")
def test_the_words_of_a_text_count_and_unknown_ones_do_not() -> None:
    texts = ["red round thing"] * 30 + ["blue square thing"] * 30
    encoder = Encoder(text=["t"], terms=4, scale=False).fit(pd.DataFrame({"t": texts}))
    found = encoder.transform(pd.DataFrame({"t": ["RED!", "unheard", None]}))
    assert found.shape == (3, 4)
    assert (found > 0).sum(axis=1).tolist() == [1, 0, 0]


def test_a_text_that_never_repeats_a_word_gives_no_column() -> None:
    frame = pd.DataFrame({"t": [f"word{place}" for place in range(60)], "a": np.arange(60.0)})
    assert Encoder(text=["t"], numeric=["a"]).fit_transform(frame).shape == (60, 1)


# Pipelines ------------------------------------------------------------------------------------------------------------


def test_the_linear_pipeline_is_scaling_and_logistic_regression() -> None:
    order = np.random.default_rng(3)
    frame = pd.DataFrame(order.normal(3, 7, (200, 4)), columns=list("abcd"))
    y = (frame["a"] + frame["b"] > 6).to_numpy().astype(int)
    ours = build("linear", {"C": 0.5}, infer_features(frame.assign(y=y), "y"), Shape(rows=200, classes=2)).fit(frame, y)
    direct = make_pipeline(StandardScaler(), LogisticRegression(C=0.5, max_iter=1000)).fit(frame.to_numpy(), y)
    assert_array_equal(ours.predict(frame), direct.predict(frame.to_numpy()))
    assert_allclose(ours.predict_proba(frame), direct.predict_proba(frame.to_numpy()), rtol=1e-12)


@pytest.mark.requirement("training.families")
@pytest.mark.parametrize("shape", [BINARY, SEVERAL, REGRESSION], ids=["binary", "several", "regression"])
@pytest.mark.parametrize("family", [one for one in FAMILIES.values() if one.installed], ids=lambda one: one.name)
def test_each_family_learns_a_raw_table_and_predicts_the_same_after_it_was_stored(family: Family, shape: Shape) -> None:
    if not family.fits(shape):
        pytest.skip("not for this task")
    settings = {**family.defaults(shape)[0], **({"n_estimators": 5} if "trees" in family.name + family.summary else {})}
    pipeline = build(family, settings, features(), shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        pipeline.fit(table(), answers(shape))
    stored = loads(dumps(pipeline))
    assert_array_equal(stored.predict(table()), pipeline.predict(table()))
    records = [dict.fromkeys(table().columns), {**table().iloc[0].to_dict(), "color": "mauve", "count": "3"}]
    assert len(stored.predict(pd.DataFrame(records, dtype=object).assign(more=1))) == 2
    score = stored.score(table(), answers(shape))
    assert score > (0.3 if shape.classes == 0 else 1.2 / shape.classes)


def test_a_table_that_lacks_a_column_is_refused_by_its_name() -> None:
    pipeline = build("linear", {}, features(), BINARY).fit(table(), answers(BINARY))
    with pytest.raises(InvalidInput, match=r"lacks 'size', 'town'.*Did you mean 'sizes'"):
        pipeline.predict(table().rename(columns={"size": "sizes"}).drop(columns="town"))


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("size", "big", "size: 'big' in row 3 is not a number"),
        ("since", "soon", "since: 'soon' in row 3 is not a date"),
        ("member", "perhaps", "member: 'perhaps' in row 3 is not a yes or a no"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_by_column_and_row(column: str, value: str, says: str) -> None:
    pipeline = build("linear", {}, features(), BINARY).fit(table(), answers(BINARY))
    rows = table().head(5).astype(object)
    rows.loc[2, column] = value
    with pytest.raises(InvalidInput, match=says):
        pipeline.predict(rows)


@pytest.mark.parametrize("name", ["C1", "n_jobs", "random_state"])
def test_a_parameter_that_is_unknown_or_not_the_callers_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}: LogisticRegression \(linear\) has no such parameter"):
        build("linear", {name: 1}, features(), BINARY)


def test_parameters_reach_the_estimator_below_a_calibration_or_a_scaled_target() -> None:
    assert build("svm", {"C": 7.0}, features(), BINARY).named_steps["model"].estimator.C == 7.0
    assert build("svr", {"C": 7.0}, features(), REGRESSION).named_steps["model"].regressor.C == 7.0


# Families -------------------------------------------------------------------------------------------------------------


def test_a_family_answers_to_its_aliases_and_an_unknown_one_gets_a_suggestion() -> None:
    assert family_named(" Logistic_Regression ") is FAMILIES["linear"]
    with pytest.raises(UnknownName, match="'boosting'"):
        family_named("bosting")


def test_a_family_that_does_not_fit_or_is_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"'svm' does not fit a classification with 5000 rows\. Allowed: linear"):
        chosen(["svm"], Shape(rows=5000, classes=2))
    monkeypatch.setattr(families_module, "find_spec", lambda _name: None)
    with pytest.raises(MissingLibrary, match=r"lightgbm.*\[boosting\]"):
        chosen(["lightgbm"], BINARY)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("classes", [0, 2])
@pytest.mark.parametrize("family", FAMILIES.values(), ids=lambda one: one.name)
def test_what_is_tried_first_and_every_point_of_the_grid_lie_in_the_space(
    family: Family, classes: int, *, balance: bool
) -> None:
    shape = Shape(rows=100, classes=classes, balance=balance)
    if not family.fits(shape):
        return
    space: dict[str, Range | Choice] = dict(family.space(shape))
    for settings in [*family.defaults(shape), *family.grid(shape)[:50]]:
        assert set(settings) == set(space)
        for name, value in settings.items():
            part = space[name]
            assert value in part.options if isinstance(part, Choice) else part.low <= value <= part.high


# Targets and folds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "task"),
    [
        (["a", "b"], "classification"),
        ([True, False], "classification"),
        ([0, 1, 2], "classification"),
        ([0.0, 1.0, None], "classification"),
        ([1.5, 2.5, 3.5], "regression"),
        (list(range(30)), "regression"),
    ],
)
def test_the_task_is_told_from_the_target(values: list[Any], task: str) -> None:
    assert task_of(pd.Series(values)) == task


def test_classes_are_sorted_plain_values_and_rows_without_one_are_left_out() -> None:
    found = read_target(pd.DataFrame({"y": [1.0, 0.0, None, 1.0, 0.0]}), "y")
    assert (found.classes, found.y.tolist(), found.rows.tolist(), found.without) == (
        [0, 1],
        [1, 0, 1, 0],
        [0, 1, 3, 4],
        1,
    )
    assert read_target(pd.DataFrame({"y": [True, False] * 2}), "y").classes == [False, True]
    assert read_target(pd.DataFrame({"y": ["b", "a"] * 2}), "y").classes == ["a", "b"]


@pytest.mark.parametrize(
    ("values", "task", "says"),
    [
        (["a"] * 9, "auto", "every row is of the class 'a'"),
        (["a"] * 9 + ["b"], "auto", r"row 10: the class 'b' has one row"),
        ([None] * 9, "auto", "0 row"),
        ([2.5] * 9, "regression", "every value is 2.5"),
        ([f"k{place // 2}" for place in range(900)], "auto", "450 classes"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused_with_the_place(values: list[Any], task: Any, says: str) -> None:
    with pytest.raises(DataRejected, match=says):
        read_target(pd.DataFrame({"y": values}), "y", task)


def test_a_regression_of_words_is_refused() -> None:
    with pytest.raises(InvalidInput, match="A regression needs numbers"):
        read_target(pd.DataFrame({"y": ["a", "b"] * 9}), "y", "regression")


def test_folds_keep_the_shares_of_the_classes() -> None:
    target = read_target(pd.DataFrame({"y": [0] * 90 + [1] * 10}), "y")
    assert [int(target.y[fold.test].sum()) for fold in folds_of(target, 5)] == [2] * 5


@pytest.mark.requirement("validation.groups")
def test_folds_never_divide_a_group() -> None:
    groups = pd.Series(np.arange(120) // 6)
    for fold in folds_of(read_target(pd.DataFrame({"y": [0, 1] * 60}), "y"), 5, groups=groups):
        assert not set(groups[fold.train]) & set(groups[fold.test])


@pytest.mark.requirement("validation.groups")
def test_folds_never_learn_from_the_future() -> None:
    times = pd.Series(np.random.default_rng(0).permutation(120))
    target = read_target(pd.DataFrame({"y": np.arange(120) / 7}), "y")
    folds = [*folds_of(target, 4, times=times), *holdout(target, groups=None, times=times, seed=0)]
    assert all(times[fold.train].max() < times[fold.test].min() for fold in folds)
    assert times[folds[0].test].max() == 119


def test_a_rare_class_does_not_cut_the_folds_of_a_long_table() -> None:
    target = read_target(pd.DataFrame({"y": [0] * 198 + [1] * 2}), "y")
    assert len(folds_of(target, 5)) == 5


def test_many_classes_with_few_rows_each_have_as_many_folds_as_rows() -> None:
    frame = pd.DataFrame({"x": range(600), "y": [f"class {place % 150}" for place in range(600)]})
    assert len(folds_of(read_target(frame, "y"), 5)) == 4


def test_groups_that_do_not_allow_two_folds_are_refused() -> None:
    with pytest.raises(DataRejected, match="1 groups"):
        folds_of(read_target(pd.DataFrame({"y": [0, 1] * 9}), "y"), 5, groups=pd.Series(["g"] * 18))
