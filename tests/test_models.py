"""Models are stored safely, come back the same, and are refused when anything about them was changed."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestRegressor,
    StackingClassifier,
)
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.errors import DataRejected, InvalidInput, Tampered, UnknownName
from mcp_orchestrator.methods.models import load, loading, open_file, save, store
from mcp_orchestrator.methods.models.bounds import check_bounds
from mcp_orchestrator.methods.models.manifests import MODEL, describe, inspect, read
from mcp_orchestrator.methods.models.persistence import dumps, loads
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.versions import Versions
from mcp_orchestrator.values import Trained, Value

CLASSES = ["setosa", "versicolor", "virginica"]


class Spec(Value):
    """A feature as the store sees it."""

    name: str
    kind: str


@pytest.fixture(scope="module")
def iris() -> pd.DataFrame:
    inputs, codes = load_iris(return_X_y=True, as_frame=True)
    frame = pd.DataFrame(inputs).iloc[::2].reset_index(drop=True)
    frame["color"] = pd.Series(["red", "green", "blue"] * 25)
    frame["note"] = "a small flower, " + frame["color"]
    frame["species"] = [CLASSES[code] for code in np.asarray(codes)[::2]]
    return frame


@pytest.fixture(autouse=True)
def cold() -> None:
    loading._memory.clear()


def numeric(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[:, :4]


def keep(ctx: Context, frame: pd.DataFrame, estimator: Any = None, **more: Any) -> Trained:
    estimator = LogisticRegression(C=0.5, max_iter=500) if estimator is None else estimator
    inputs = more.pop("inputs", numeric(frame))
    given: dict[str, Any] = {
        "task": "classification",
        "target": "species",
        "features": [Spec(name=name, kind="numeric") for name in inputs.columns],
        "classes": CLASSES,
        "facts": {"metrics": {"accuracy": 0.9}, "nothing": float("nan")},
    }
    return store(ctx, estimator.fit(inputs, frame["species"]), **(given | more))


def everything() -> ColumnTransformer:
    length = ["sepal length (cm)", "petal length (cm)"]
    return ColumnTransformer(
        [
            ("scaled", StandardScaler(), length),
            ("splines", SplineTransformer(n_knots=3), length),
            ("hot", OneHotEncoder(handle_unknown="ignore"), ["color"]),
            ("ordinal", OrdinalEncoder(), ["color"]),
            ("targets", TargetEncoder(cv=2), ["color"]),
            ("words", TfidfVectorizer(), "note"),
        ]
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "linear over every kind of feature": lambda: make_pipeline(everything(), LogisticRegression(max_iter=500)),
    "boosted histograms": lambda: HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=5),
    "boosted trees": lambda: GradientBoostingClassifier(n_estimators=3),
    "forest": lambda: ExtraTreesClassifier(3),
    "tree": DecisionTreeClassifier,
    "neighbors": KNeighborsClassifier,
    "network": lambda: MLPClassifier((3,), max_iter=2000, learning_rate_init=0.05, random_state=0),
    "vectors": SVC,
    "calibrated": lambda: CalibratedClassifierCV(LogisticRegression(max_iter=500), cv=2, method="isotonic"),
    "stacked": lambda: StackingClassifier([("a", DecisionTreeClassifier())], LogisticRegression(), cv=2),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_model_of_each_family_comes_back_with_identical_predictions(
    ctx: Context, iris: pd.DataFrame, family: str
) -> None:
    inputs = iris.drop(columns="species") if "every kind" in family else numeric(iris)
    estimator = FAMILIES[family]()
    ref = keep(ctx, iris, estimator, inputs=inputs)
    loading._memory.clear()
    back = load(ctx, ref.uri)
    assert back.estimator is not estimator
    assert back.predict(inputs).tolist() == estimator.predict(inputs).tolist()
    if hasattr(estimator, "predict_proba"):
        assert np.array_equal(np.asarray(back.predict_proba(inputs)), estimator.predict_proba(inputs))
    else:
        assert back.predict_proba(inputs) is None


@pytest.mark.parametrize("estimator", [Ridge(), HistGradientBoostingRegressor(max_iter=3), RandomForestRegressor(3)])
def test_a_regression_model_comes_back_with_identical_predictions(
    ctx: Context, iris: pd.DataFrame, estimator: Any
) -> None:
    inputs, target = numeric(iris).iloc[:, 1:], iris.iloc[:, 0]
    specs = [Spec(name=name, kind="numeric") for name in inputs]
    ref = store(ctx, estimator.fit(inputs, target), task="regression", target=str(target.name), features=specs)
    loading._memory.clear()
    back = load(ctx, ref.uri)
    assert back.predict(inputs).tolist() == estimator.predict(inputs).tolist()
    assert back.predict_proba(inputs) is None
    assert ref.classes == []


def test_everything_that_was_recorded_comes_back(ctx: Context, iris: pd.DataFrame) -> None:
    ref = keep(ctx, iris, reference=iris.head(20))
    loading._memory.clear()
    back = load(ctx, ref.uri)
    assert (back.task, back.target, back.classes, back.sha256) == ("classification", "species", CLASSES, ref.sha256)
    assert back.facts == {"metrics": {"accuracy": 0.9}, "nothing": "NaN"}
    assert back.trained == ref == describe(ctx, ref.uri)
    assert ref.estimator == "LogisticRegression"
    assert ref.features == list(numeric(iris).columns)
    pd.testing.assert_frame_equal(back.reference(), iris.head(20))  # type: ignore[arg-type]
    assert back.warnings == []


@pytest.mark.slow
def test_equal_models_have_equal_digests_in_every_process_and_others_do_not(ctx: Context, iris: pd.DataFrame) -> None:
    ref = keep(ctx, iris)
    assert keep(ctx, iris).sha256 == ref.sha256
    assert keep(ctx, iris, LogisticRegression(C=0.6, max_iter=500)).sha256 != ref.sha256
    iris.to_parquet(ctx.settings.project / "iris.parquet")
    program = (
        "import sys, hashlib, pandas as pd\n"
        "from sklearn.linear_model import LogisticRegression\n"
        "from mcp_orchestrator.methods.models.persistence import dumps\n"
        "frame = pd.read_parquet(sys.argv[1])\n"
        "model = LogisticRegression(C=0.5, max_iter=500).fit(frame.iloc[:, :4], frame['species'])\n"
        "print(hashlib.sha256(dumps(model)).hexdigest())\n"
    )
    command = [sys.executable, "-c", program, str(ctx.settings.project / "iris.parquet")]
    answer = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    assert answer == read(ctx, ref.sha256).files[MODEL]


@pytest.mark.parametrize(
    ("values", "fitted_on_codes"),
    [
        (["no", "yes"], True),
        (["no", "yes"], False),
        (["yes", "no"], False),
        ([False, True], True),
        ([True, False], False),
        ([3, 7], True),
        ([1, 0], False),
    ],
)
def test_predictions_are_the_original_class_values_and_probabilities_stand_in_their_order(
    ctx: Context, iris: pd.DataFrame, values: list[Any], *, fitted_on_codes: bool
) -> None:
    inputs = numeric(iris)
    is_second = (iris["species"] == "setosa").to_numpy()
    target = is_second.astype(int) if fitted_on_codes else np.array(values)[is_second.astype(int)]
    model = LogisticRegression(max_iter=500).fit(inputs, target)
    specs = [Spec(name=name, kind="numeric") for name in inputs]
    ref = store(ctx, model, task="classification", target="species", features=specs, classes=values)
    back = load(ctx, ref.uri)
    answers = back.predict(inputs).tolist()
    assert answers == [values[int(second)] for second in is_second]
    assert {type(answer) for answer in answers} == {type(values[0])}
    probabilities = back.predict_proba(inputs)
    assert probabilities is not None
    assert ((probabilities[:, 1] > 0.5) == is_second).all()


def test_columns_are_taken_by_name_and_a_missing_one_is_named(ctx: Context, iris: pd.DataFrame) -> None:
    back = load(ctx, keep(ctx, iris).uri)
    inputs = numeric(iris)
    assert back.predict(inputs[inputs.columns[::-1]].assign(extra=1)).tolist() == back.predict(inputs).tolist()
    with pytest.raises(InvalidInput, match=r"'petal width \(cm\)' is missing.*'petal_width \(cm\)'"):
        back.predict(inputs.rename(columns={"petal width (cm)": "petal_width (cm)"}))
    with pytest.raises(InvalidInput, match="no row"):
        back.predict(inputs.head(0))
    with pytest.raises(DataRejected, match="wide"):
        back.predict(inputs.assign(**{inputs.columns[0]: "wide"}))


def test_a_dropped_column_may_be_absent(ctx: Context, iris: pd.DataFrame) -> None:
    inputs = iris.drop(columns="species")
    some = ColumnTransformer([("some", StandardScaler(), list(inputs.columns[:4]))])
    specs = [Spec(name=name, kind="drop" if name in {"note", "color"} else "numeric") for name in inputs]
    ref = keep(ctx, iris, make_pipeline(some, LogisticRegression(max_iter=500)), inputs=inputs, features=specs)
    back = load(ctx, ref.uri)
    assert back.predict(numeric(iris)).tolist() == back.predict(inputs).tolist()


def _shout(values: Any) -> Any:
    return values


class Homemade(LogisticRegression):
    """A class that is on no list."""


@pytest.mark.requirement("safety.models")
@pytest.mark.parametrize(
    ("estimator", "named"),
    [
        (make_pipeline(FunctionTransformer(_shout), LogisticRegression(max_iter=500)), "_shout"),
        (Homemade(max_iter=500), "Homemade"),
    ],
)
def test_code_of_your_own_is_refused_by_name_and_nothing_is_written(
    ctx: Context, iris: pd.DataFrame, estimator: Any, named: str
) -> None:
    with pytest.raises(InvalidInput, match=named):
        keep(ctx, iris, estimator)
    assert not list(ctx.settings.home.rglob("*"))


@pytest.mark.parametrize("classes", [["a", "b", "c"], ["setosa", "versicolor"], []])
def test_classes_that_the_estimator_does_not_know_are_refused(
    ctx: Context, iris: pd.DataFrame, classes: list[str]
) -> None:
    with pytest.raises(InvalidInput, match="setosa"):
        keep(ctx, iris, classes=classes)


def test_a_tuned_threshold_survives(ctx: Context, iris: pd.DataFrame) -> None:
    inputs, target = numeric(iris), iris["species"] == "virginica"
    model = TunedThresholdClassifierCV(LogisticRegression(max_iter=500), cv=2, scoring="f1").fit(inputs, target)
    specs = [Spec(name=name, kind="numeric") for name in inputs]
    ref = store(ctx, model, task="classification", target="species", features=specs, classes=[False, True])
    loading._memory.clear()
    back = load(ctx, ref.uri)
    assert back.estimator.best_threshold_ == model.best_threshold_
    assert back.predict(inputs).tolist() == model.predict(inputs).tolist()


@pytest.mark.requirement("safety.models", "versions.integrity", "python.load")
@pytest.mark.parametrize("name", ["manifest.json", "model.skops", "reference.parquet"])
@pytest.mark.parametrize("warm", [True, False])
def test_one_changed_byte_is_refused_and_the_file_is_named(
    ctx: Context, iris: pd.DataFrame, name: str, *, warm: bool
) -> None:
    ref = keep(ctx, iris, reference=iris.head(20))
    assert {state.state for state in inspect(ctx, ref.sha256)} == {"intact"}
    if not warm:
        loading._memory.clear()
    place = ctx.artifacts.path({**read(ctx, ref.sha256).files, "manifest.json": ref.sha256}[name])
    held = bytearray(place.read_bytes())
    held[len(held) // 2] ^= 1
    place.write_bytes(held)
    with pytest.raises(Tampered, match=name):
        load(ctx, ref.uri).reference()
    assert {state.name: state.state for state in inspect(ctx, ref.sha256)}[name] == "changed"


def test_a_removed_file_is_named(ctx: Context, iris: pd.DataFrame) -> None:
    ref = keep(ctx, iris)
    ctx.artifacts.path(read(ctx, ref.sha256).files[MODEL]).unlink()
    with pytest.raises(Tampered, match=r"model\.skops of the model is missing"):
        load(ctx, ref.uri)
    assert [state.state for state in inspect(ctx, ref.sha256)] == ["intact", "missing"]


def test_an_unchanged_model_is_loaded_once(ctx: Context, iris: pd.DataFrame) -> None:
    ref = keep(ctx, iris)
    assert load(ctx, ref.uri).estimator is load(ctx, ref.uri).estimator


@pytest.mark.parametrize(
    ("ref", "error", "named"),
    [
        ("model://" + "0" * 64, UnknownName, "0000"),
        ("flowers", UnknownName, "flower"),
        ("flower@chalenger", UnknownName, "champion"),
        ("flower@9", UnknownName, "9"),
        ("a/b", InvalidInput, "name@alias"),
    ],
)
def test_an_unknown_model_is_refused_with_what_there_is(
    ctx: Context, iris: pd.DataFrame, ref: str, error: type[Exception], named: str
) -> None:
    with Versions(ctx.settings.home) as versions:
        versions.register("flower", keep(ctx, iris))
        versions.promote("flower", 1)
    with pytest.raises(error, match=named):
        load(ctx, ref)


@pytest.mark.parametrize(
    ("ref", "c"),
    [
        ("flower", 0.5),
        ("flower@champion", 0.5),
        ("model://flower@champion", 0.5),
        ("flower@1", 0.5),
        ("flower@2", 0.1),
        ("flower@latest", 0.1),
        ("model://flower@v2", 0.1),
    ],
)
def test_a_registered_model_is_found_by_name_alias_and_version(
    ctx: Context, iris: pd.DataFrame, ref: str, c: float
) -> None:
    with Versions(ctx.settings.home) as versions:
        versions.register("flower", keep(ctx, iris))
        versions.register("flower", keep(ctx, iris, LogisticRegression(C=0.1, max_iter=500)))
        versions.promote("flower", 1)
    assert c == load(ctx, ref).estimator.C


def test_an_artifact_that_is_no_model_is_refused(ctx: Context) -> None:
    stored = ctx.artifacts.put(b"{}", name="facts.json")
    with pytest.raises(InvalidInput, match="not a model"):
        load(ctx, f"model://{stored.sha256}")


def _elsewhere(tmp_path: Path) -> Context:
    settings = Settings.load(tmp_path / "elsewhere")
    return Context(settings=settings, artifacts=ArtifactStore(settings.home / "artifacts"))


@pytest.mark.requirement("python.save", "python.load")
def test_a_saved_file_opens_in_another_home_with_the_same_digest_and_predictions(
    ctx: Context, iris: pd.DataFrame, tmp_path: Path
) -> None:
    ref = keep(ctx, iris, reference=iris.head(20))
    before = load(ctx, ref.uri).predict(numeric(iris)).tolist()
    path = save(ctx, ref.uri, tmp_path / "flower.model")
    there = _elsewhere(tmp_path)
    assert open_file(there, path) == ref
    loading._memory.clear()
    assert load(there, ref.uri).predict(numeric(iris)).tolist() == before
    assert [file.name for file in tmp_path.iterdir() if "flower" in file.name] == ["flower.model"]


def test_a_model_is_not_saved_into_a_missing_folder(ctx: Context, iris: pd.DataFrame, tmp_path: Path) -> None:
    ref = keep(ctx, iris)
    with pytest.raises(InvalidInput, match="no folder"):
        save(ctx, ref.uri, tmp_path / "nowhere" / "flower.model")
    with pytest.raises(InvalidInput, match="is a folder"):
        save(ctx, ref.uri, tmp_path)


def _rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return path


def _swap(parts: dict[str, bytes]) -> None:
    parts["model.skops"] = dumps(LogisticRegression())


def _escape(parts: dict[str, bytes]) -> None:
    parts["../../evil.py"] = b"boom"


def _strip(parts: dict[str, bytes]) -> None:
    del parts["manifest.json"]


def _lose(parts: dict[str, bytes]) -> None:
    del parts["model.skops"]


def _forge(parts: dict[str, bytes]) -> None:
    """Name the swapped model in the manifest as well, and let it be a pickle."""
    import hashlib
    import pickle

    parts["model.skops"] = pickle.dumps(LogisticRegression())
    manifest = json.loads(parts["manifest.json"])
    manifest["files"]["model.skops"] = hashlib.sha256(parts["model.skops"]).hexdigest()
    parts["manifest.json"] = json.dumps(manifest).encode()


@pytest.mark.parametrize(
    ("change", "error", "named"),
    [
        (_swap, Tampered, r"model\.skops"),
        (_lose, Tampered, r"model\.skops"),
        (_escape, InvalidInput, "evil"),
        (_strip, InvalidInput, "not those of a model"),
        (_forge, Tampered, "not a skops file"),
    ],
)
def test_a_changed_file_is_refused_and_nothing_is_stored(  # noqa: PLR0917 - fixtures and cases
    ctx: Context,
    iris: pd.DataFrame,
    tmp_path: Path,
    change: Callable[[dict[str, bytes]], None],
    error: type[Exception],
    named: str,
) -> None:
    path = _rewritten(save(ctx, keep(ctx, iris).uri, tmp_path / "flower.model"), change)
    there = _elsewhere(tmp_path)
    with pytest.raises(error, match=named):
        open_file(there, path)
    assert not there.settings.home.exists()
    assert not list(tmp_path.rglob("evil.py"))


def test_what_is_no_saved_model_is_refused(ctx: Context, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no file"):
        open_file(ctx, tmp_path / "missing")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(InvalidInput, match="not a saved model"):
        open_file(ctx, tmp_path / "text")


@pytest.mark.requirement("safety.models")
def test_a_skops_file_with_a_foreign_type_is_not_loaded() -> None:
    content = io.BytesIO(dumps(LogisticRegression()))
    with zipfile.ZipFile(content) as archive:
        schema = archive.read("schema.json").decode()
    schema = schema.replace('"sklearn.linear_model._logistic"', '"os"').replace('"LogisticRegression"', '"system"')
    evil = io.BytesIO()
    with zipfile.ZipFile(evil, "w") as archive:
        archive.writestr("schema.json", schema)
    with pytest.raises(Tampered, match=r"os\.system"):
        loads(evil.getvalue())


def _break_tree(model: Any) -> None:
    state = model.tree_.__getstate__()
    state["nodes"]["left_child"][0] = 10_000
    model.tree_.__setstate__(state)


def _loop_tree(model: Any) -> None:
    state = model.tree_.__getstate__()
    state["nodes"]["right_child"][0] = 0
    model.tree_.__setstate__(state)


def _break_histogram(model: Any) -> None:
    model._predictors[0][0].nodes["feature_idx"][0] = 77


def _widen_forest(model: Any) -> None:
    """Each tree alone is sound, but the forest hands it fewer columns than it asks for."""
    model.n_features_in_ = 1


def _break_neighbors(model: Any) -> None:
    state = list(model._tree.__getstate__())
    state[1] = state[1] + 1_000_000
    model._tree.__setstate__(tuple(state))


@pytest.mark.requirement("safety.models")
@pytest.mark.parametrize(
    ("estimator", "damage"),
    [
        (DecisionTreeClassifier(), _break_tree),
        (DecisionTreeClassifier(), _loop_tree),
        (HistGradientBoostingClassifier(max_iter=2, min_samples_leaf=5), _break_histogram),
        (ExtraTreesClassifier(3, random_state=0), _widen_forest),
        (KNeighborsClassifier(algorithm="kd_tree"), _break_neighbors),
    ],
)
def test_indices_that_point_outside_are_refused_before_they_are_followed(
    iris: pd.DataFrame, estimator: Any, damage: Callable[[Any], None]
) -> None:
    model = estimator.fit(numeric(iris), iris["species"])
    check_bounds(model)
    damage(model)
    with pytest.raises(Tampered, match="outside"):
        loads(dumps(model))
