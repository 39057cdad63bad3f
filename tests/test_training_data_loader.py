"""The component that loads tables: parts of a split, leaks between them, and what is refused before training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcp_orchestrator.component import Context
from mcp_orchestrator.components.data import training_data_loader as loader
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.errors import DataRejected, InvalidInput, OrchestratorError
from mcp_orchestrator.methods import tables
from mcp_orchestrator.settings import Settings


def call(ctx: Context, capability: str, /, **params: Any) -> Any:
    return getattr(loader, capability).call(ctx, params)


def test_all_known_answers_come_out(ctx: Context) -> None:
    checks = list(loader.known_answer(ctx))
    assert [check for check in checks if not check.passed] == []
    assert len(checks) == 8


def test_loading_and_profiling_answer_alike(ctx: Context) -> None:
    dataset = call(ctx, "load", source="builtin:wine", target="target", name="vines")
    assert (dataset.name, dataset.rows, dataset.profile.target) == ("vines", 178, "target")
    assert call(ctx, "profile", data=dataset.uri, target="target") == dataset.profile
    assert call(ctx, "profile", data="builtin:wine").target is None


# Splits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "test", "sizes", "classes"),
    [
        ("builtin:iris", 0.2, (120, 30), {"setosa": 10, "versicolor": 10, "virginica": 10}),
        ("builtin:iris", 0.5, (75, 75), {"setosa": 25, "versicolor": 25, "virginica": 25}),
        ("builtin:breast_cancer", 0.2, (455, 114), {"benign": 72, "malignant": 42}),
    ],
)
def test_a_split_keeps_the_shares_of_the_classes(
    ctx: Context,
    data: str,
    test: float,
    sizes: tuple[int, int],
    classes: dict[str, int],
) -> None:
    parts = call(ctx, "split", data=data, target="target", test=test)
    assert parts.sizes == {"train": sizes[0], "test": sizes[1]}
    assert parts.classes["test"] == classes
    assert (parts.train.rows, parts.test.rows) == sizes
    assert parts.method == "stratified by 'target', seed 0"


def test_the_parts_are_the_table(ctx: Context) -> None:
    import pandas as pd

    whole = tables.frame(ctx, "builtin:wine")
    parts = call(ctx, "split", data="builtin:wine", target="target", test=0.3, seed=5)
    train, test = tables.frame(ctx, parts.train.uri), tables.frame(ctx, parts.test.uri)
    joined = pd.concat([train, test], ignore_index=True)
    order = list(whole.columns)
    pd.testing.assert_frame_equal(
        joined.sort_values(order, ignore_index=True), whole.sort_values(order, ignore_index=True)
    )
    assert tables.describe(ctx, parts.test.uri).profile.target == "target"


def test_the_same_seed_gives_the_same_parts_and_another_one_others(ctx: Context) -> None:
    first, again, other = (call(ctx, "split", data="builtin:iris", target="target", seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.digest != other.digest
    assert first.test.sha256 != other.test.sha256


def test_without_classes_rows_are_drawn_at_random(ctx: Context) -> None:
    parts = call(ctx, "split", data="builtin:diabetes", target="target")
    assert (parts.sizes, parts.classes, parts.method) == ({"train": 353, "test": 89}, {}, "at random, seed 0")
    loose = call(ctx, "split", data="builtin:iris", target="target", stratify=False, seed=3)
    assert sorted(loose.classes["test"].values()) != [10, 10, 10]


def grouped(ctx: Context, rows: int = 300) -> str:
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    user = draw.integers(0, 40, rows)
    frame = pd.DataFrame(
        {
            "user": user,
            "x": draw.normal(size=rows),
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(draw.integers(0, 50, rows), "D"),
            "y": np.where(draw.random(rows) < 0.25, "yes", "no"),
        },
    )
    return tables.freeze_frame(ctx, frame).uri


@pytest.mark.requirement("validation.groups")
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_whole_groups_stay_in_one_part_with_size_and_classes_nearly_kept(ctx: Context, seed: int) -> None:
    parts = call(ctx, "split", data=grouped(ctx), target="y", group="user", seed=seed)
    train, test = (tables.frame(ctx, one.uri) for one in (parts.train, parts.test))
    assert not set(train["user"]) & set(test["user"])
    assert abs(len(test) - 60) <= 6
    assert abs((test["y"] == "yes").mean() - (train["y"] == "yes").mean()) < 0.08
    assert parts.method == f"whole groups of 'user', seed {seed}"


@pytest.mark.requirement("validation.groups")
def test_the_latest_rows_are_the_test_part_and_no_day_is_divided(ctx: Context) -> None:
    parts = call(ctx, "split", data=grouped(ctx), target="y", time="when")
    train, test = (tables.frame(ctx, one.uri) for one in (parts.train, parts.test))
    assert train["when"].max() < test["when"].min()
    assert 60 <= len(test) <= 60 + 15
    assert call(ctx, "split", data=grouped(ctx), target="y", time="when", seed=9).test == parts.test


def test_rows_without_a_target_are_left_out_and_counted(ctx: Context) -> None:
    rows = [{"x": place, "y": None if place % 5 == 0 else place % 2} for place in range(100)]
    parts = call(ctx, "split", data=rows, target="y")
    assert (parts.dropped, sum(parts.sizes.values())) == (20, 80)
    assert any("20 rows were left out" in one for one in parts.warnings)
    assert tables.frame(ctx, parts.train.uri)["y"].notna().all()


def test_a_table_of_several_row_groups_is_split_like_a_small_one(ctx: Context) -> None:
    import numpy as np
    import pandas as pd

    rows = 100_000
    frame = pd.DataFrame({"n": np.arange(rows), "y": np.where(np.arange(rows) % 4, "no", "yes")})
    parts = call(ctx, "split", data=tables.freeze_frame(ctx, frame).uri, target="y")
    train, test = (tables.frame(ctx, one.uri)["n"].to_numpy() for one in (parts.train, parts.test))
    assert parts.classes["test"] == {"no": 15_000, "yes": 5_000}
    assert np.array_equal(np.sort(np.concatenate([train, test])), np.arange(rows))
    assert np.array_equal(train, np.sort(train))


@pytest.mark.parametrize(
    ("params", "error", "says"),
    [
        ({"target": "z"}, InvalidInput, "target: the table has no column 'z'"),
        ({"group": "usr"}, InvalidInput, "group: .*Did you mean 'user'"),
        ({"time": "then"}, InvalidInput, "time: the table has no column"),
        ({"group": "user", "time": "when"}, InvalidInput, "together with group"),
        ({"target": "user", "group": "user"}, InvalidInput, "cannot also decide"),
        ({"time": "y"}, DataRejected, "column 'y': holds text"),
        ({"test": 1.0}, InvalidInput, "test: .*less than 1"),
        ({"test": 0}, InvalidInput, "test: .*greater than 0"),
        ({"seed": -1}, InvalidInput, "seed"),
        ({"test": 0.001, "target": "y"}, DataRejected, "cannot hold all 2 classes"),
    ],
)
def test_a_split_that_cannot_be_made_says_why(
    ctx: Context, params: dict[str, Any], error: type[OrchestratorError], says: str
) -> None:
    data = grouped(ctx)
    before = len(list((ctx.settings.home / "artifacts").rglob("*")))
    with pytest.raises(error, match=says):
        call(ctx, "split", data=data, **params)
    assert len(list((ctx.settings.home / "artifacts").rglob("*"))) == before


@pytest.mark.parametrize(
    ("rows", "params", "says"),
    [
        ([{"x": 1, "y": "a"}], {}, "1 usable rows cannot be divided"),
        ([{"x": place, "y": "a" if place else "b"} for place in range(9)], {"target": "y"}, "one row"),
        ([{"g": 1, "y": place} for place in range(9)], {"group": "g"}, "one group only"),
        ([{"t": 1, "y": place} for place in range(9)], {"time": "t"}, "one time only"),
    ],
)
def test_rows_that_allow_no_two_parts_are_refused(
    ctx: Context, rows: list[dict[str, Any]], params: dict[str, str], says: str
) -> None:
    with pytest.raises(DataRejected, match=says):
        call(ctx, "split", data=rows, **params)


# Leaks ---------------------------------------------------------------------------------------------------------------


def kinds(leaks: Any) -> dict[str, int]:
    return {one.kind: one.count for one in leaks.leaks}


@pytest.mark.requirement("data.leakage")
def test_every_planted_leak_is_found_and_a_clean_split_has_none(ctx: Context) -> None:
    import pandas as pd

    parts = call(ctx, "split", data="builtin:breast_cancer", target="target")
    clean = call(ctx, "leakage", train=parts.train.uri, test=parts.test.uri, target="target")
    assert clean.clean
    assert (clean.train_rows, clean.test_rows) == (455, 114)
    train, test = tables.frame(ctx, parts.train.uri), tables.frame(ctx, parts.test.uri)
    turned = train.iloc[10:13].assign(
        target=train["target"].iloc[10:13].map({"benign": "malignant", "malignant": "benign"})
    )
    planted = pd.concat([train.iloc[:5], test, turned], ignore_index=True)
    uri = tables.freeze_frame(ctx, planted).uri
    found = call(ctx, "leakage", train=parts.train.uri, test=uri, target="target")
    assert kinds(found) == {"duplicate_rows": 5, "same_features": 3}
    assert found.leaks[0].rows == [1, 2, 3, 4, 5]
    assert found.leaks[1].rows == [120, 121, 122]


def test_groups_times_identifiers_and_giveaways_are_leaks(ctx: Context) -> None:
    import numpy as np
    import pandas as pd

    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "order_id": [f"order-{place:04d}" for place in range(300)],
            "user": np.arange(300) // 3,
            "when": pd.Timestamp("2024-01-01") + pd.to_timedelta(np.arange(300), "D"),
            "x": draw.normal(size=300),
            "y": np.where(draw.random(300) < 0.4, "yes", "no"),
        },
    )
    frame["answer"] = frame["y"].map({"yes": 1, "no": 0})
    train = tables.freeze_frame(ctx, frame.iloc[:200]).uri
    test = tables.freeze_frame(ctx, frame.iloc[196:].assign(x=draw.normal(size=104))).uri
    found = call(ctx, "leakage", train=train, test=test, target="y", group="user", time="when")
    assert kinds(found) == {"identifier_overlap": 4, "group_overlap": 5, "time_overlap": 4, "giveaway_column": 1}
    assert found.leaks[-1].columns == ["answer"]
    assert not found.clean


def test_parts_are_compared_whatever_types_their_files_gave_them(ctx: Context, settings: Settings) -> None:
    (settings.project / "train.csv").write_text("a,b,y\n1,x,0\n2,y,1\n3,z,0\n")
    (settings.project / "test.csv").write_text("a,b,y,extra\n2.0,y,1,5\n,x,0,6\n7.5,w,1,7\n")
    found = call(ctx, "leakage", train="train.csv", test="test.csv", target="y")
    assert kinds(found) == {"duplicate_rows": 1}
    assert any("extra" in one for one in found.warnings)
    with pytest.raises(InvalidInput, match="target: the table has no column 'extra'"):
        call(ctx, "leakage", train="train.csv", test="test.csv", target="extra")


# What is refused before training -------------------------------------------------------------------------------------


CLASSES = {"target": "y", "task": "classification"}
VALUES = {"target": "y", "task": "regression"}


def table(rows: int = 40, **columns: Any) -> list[dict[str, Any]]:
    """Rows with a usable feature, a target of two classes, and the columns given as functions of the row."""
    made = {"x": lambda place: (place * 37 % 41) / 4, "y": lambda place: "ab"[place % 2], **columns}
    return [{name: value(place) if callable(value) else value for name, value in made.items()} for place in range(rows)]


def test_a_good_table_is_accepted_with_its_features_and_classes(ctx: Context) -> None:
    rows = table(empty=None, same=1, id=lambda place: place, gap=lambda place: None if place % 3 else 5.5 + place)
    verdict = call(ctx, "check", data=rows, target="y")
    assert (verdict.task, verdict.rows, verdict.classes) == ("classification", 40, {"a": 20, "b": 20})
    assert verdict.features == ["x", "gap"]
    assert set(verdict.dropped) == {"empty", "same", "id"}
    assert any("no value at all, and will not help: empty" in one for one in verdict.warnings)
    assert verdict.profile.target == "y"
    assert call(ctx, "check", data="builtin:diabetes", target="target").task == "regression"


@pytest.mark.requirement("data.validation")
@pytest.mark.parametrize(
    ("data", "params", "error", "says"),
    [
        (table(), {"target": "Y"}, InvalidInput, "target: the table has no column 'Y'"),
        (table(), {"target": "y", "task": "clustering"}, InvalidInput, "task: .*'classification' or 'regression'"),
        (table(y=None), {"target": "y"}, DataRejected, "column 'y': has no value at all"),
        (table(y="a"), {"target": "y"}, DataRejected, "column 'y': every row is of the class 'a'"),
        (table(y=7.5), VALUES, DataRejected, "column 'y': every value is 7.5"),
        (
            table(y=lambda place: "b" if place == 4 else "a"),
            {"target": "y"},
            DataRejected,
            "column 'y', row 5: the class 'b' has one row",
        ),
        (table(1), {"target": "y"}, DataRejected, "has 1 row, and at least 10"),
        (table(9), {"target": "y"}, DataRejected, "has 9 rows, and at least 10"),
        (
            table(y=lambda place: "ab"[place % 2] if place < 6 else None),
            {"target": "y"},
            DataRejected,
            "6 rows have a value of 'y'",
        ),
        (
            table(x=None),
            {"target": "y"},
            DataRejected,
            "No column is left to learn 'y' from .x: every value is missing",
        ),
        (table(x=1), {"target": "y"}, DataRejected, "x: every value is the same"),
        ([{"y": row["y"]} for row in table()], {"target": "y"}, DataRejected, "there is no other column"),
        (table(), VALUES, InvalidInput, "task: a regression needs numbers, and 'y' holds text such as 'a'"),
        (table(y=lambda place: place / 7), CLASSES, InvalidInput, "task: 'y' has 40 different values"),
        (table(150, y=lambda place: place), CLASSES, InvalidInput, "too many for classes.*regression"),
        (
            table(y=lambda place: f"2024-01-{place % 28 + 1:02d}"),
            {"target": "y"},
            InvalidInput,
            "target: 'y' holds dates",
        ),
        ("no.csv", {"target": "y"}, InvalidInput, "data: there is no file 'no.csv'"),
        ("empty.csv", {"target": "y"}, DataRejected, "empty.csv is empty"),
        ("twice.csv", {"target": "y"}, DataRejected, "column 'x': 2 columns have this name"),
        ("/etc/passwd", {"target": "y"}, OrchestratorError, "outside the folders that may be read"),
    ],
)
def test_a_table_that_cannot_be_learned_from_is_refused_by_field_and_fix(
    ctx: Context,
    data: Any,
    params: dict[str, str],
    error: type[OrchestratorError],
    says: str,
) -> None:
    (ctx.settings.project / "empty.csv").write_text("")
    (ctx.settings.project / "twice.csv").write_text("x,x,y\n1,2,a\n")
    with pytest.raises(error, match=says) as caught:
        call(ctx, "check", data=data, **params)
    assert str(caught.value).endswith((".", "?"))


def test_two_equal_columns_are_said_but_not_refused(ctx: Context) -> None:
    verdict = call(ctx, "check", data=table(again=lambda place: (place * 37 % 41) / 4), target="y")
    assert any("same values: x, again" in one for one in verdict.warnings)


def test_a_table_in_another_home_is_unknown_here(ctx: Context, tmp_path: Path) -> None:
    frozen = call(ctx, "load", source="builtin:iris")
    settings = Settings.load(tmp_path / "elsewhere")
    other = Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))
    with pytest.raises(OrchestratorError, match="no dataset"):
        call(other, "profile", data=frozen.uri)
    assert call(other, "load", source="builtin:iris").uri == frozen.uri
