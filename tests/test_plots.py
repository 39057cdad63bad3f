"""Plots show what they are given: the figures are checked on the drawn axes, and odd input neither fails nor leaks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from sklearn.metrics import average_precision_score, roc_auc_score

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.methods import plots
from mcp_orchestrator.methods.judgement.reliability import reliability_of_labels
from mcp_orchestrator.methods.plots import canvas

RNG = np.random.default_rng(0)
SIGNAL = RNG.normal(size=200)
CODES = (SIGNAL + RNG.normal(size=200) > 0).astype(int)
SECOND = 1 / (1 + np.exp(-SIGNAL))
PAIR = np.column_stack([1 - SECOND, SECOND])
MANY = RNG.dirichlet(np.ones(20), size=600)
MANY_CODES = np.array([RNG.choice(20, p=row) for row in MANY])
ACTUAL = SIGNAL * 1000 + 5000
PREDICTED = ACTUAL + RNG.normal(size=200) * 300

DRAWN: list[Figure] = []


@pytest.fixture(autouse=True)
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the figures that a plot makes, to look at what stands on them."""
    real = canvas.png

    def keep(figure: Figure) -> bytes:
        DRAWN.append(figure)
        return real(figure)

    DRAWN.clear()
    for module in ("bars", "classes", "trials", "values"):
        monkeypatch.setattr(f"mcp_orchestrator.methods.plots.{module}.png", keep)
    yield
    DRAWN.clear()


def words() -> str:
    """Return all texts on the last figure."""
    figure = DRAWN[-1]
    parts = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        parts += [text.get_text() for text in axes.texts]
        parts += [label.get_text() for label in (*axes.get_xticklabels(), *axes.get_yticklabels())]
        legend = axes.get_legend()
        parts += [text.get_text() for text in legend.get_texts()] if legend else []
    return "\n".join(parts)


LONG = "a name that is so long that nobody will ever want to read it"
ALL: dict[str, Callable[[], bytes]] = {
    "roc": lambda: plots.roc(CODES, PAIR, ["no", "yes"]),
    "roc of many": lambda: plots.roc(MANY_CODES, MANY, [f"class {place}" for place in range(20)]),
    "precision_recall": lambda: plots.precision_recall(CODES, PAIR, ["no", "yes"]),
    "precision_recall of many": lambda: plots.precision_recall(MANY_CODES, MANY, list(range(20))),
    "calibration": lambda: plots.calibration(reliability_of_labels(CODES, PAIR), "yes"),
    "confusion": lambda: plots.confusion(CODES, (SECOND > 0.5).astype(int), [False, True]),
    "confusion of many": lambda: plots.confusion(MANY_CODES, MANY.argmax(axis=1), list(range(20))),
    "confusion of long names": lambda: plots.confusion(CODES, CODES, [LONG, LONG[::-1]]),
    "importance of long names": lambda: plots.importance([LONG, LONG.upper()], [12345.678, 0.1], metric=LONG),
    "predicted_actual of large values": lambda: plots.predicted_actual(ACTUAL * 1e6, PREDICTED * 1e6, LONG),
    "residuals of large values": lambda: plots.residuals(ACTUAL * 1e6, PREDICTED * 1e6, LONG),
    "residuals": lambda: plots.residuals(ACTUAL, PREDICTED, "price"),
    "predicted_actual": lambda: plots.predicted_actual(ACTUAL, PREDICTED, "price"),
    "importance": lambda: plots.importance(["a", "b"], [0.2, -0.1], [0.01, 0.02], metric="accuracy"),
    "tuning": lambda: plots.tuning([0.5, None, 0.7, float("nan")], metric="accuracy", greater_is_better=True),
    "leaderboard": lambda: plots.leaderboard(["a", "b"], [0.1, 0.2], metric="log_loss", greater_is_better=False),
}


@pytest.mark.parametrize("name", ALL)
def test_each_plot_is_a_png_with_all_its_text_inside_the_sheet(name: str) -> None:
    picture = ALL[name]()
    assert picture.startswith(b"\x89PNG\r\n")
    assert picture == ALL[name](), "the same input gives the same bytes"
    figure = DRAWN[-1]
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 >= -0.01, "something is cut on the left"
    assert box.y0 >= -0.01, "something is cut at the bottom"
    assert box.x1 <= width + 0.01, "something is cut on the right"
    assert box.y1 <= height + 0.01, "something is cut at the top"


def test_curves_carry_the_areas_that_scikit_learn_computes() -> None:
    plots.roc(CODES, PAIR, ["no", "yes"])
    assert f"yes (AUC {roc_auc_score(CODES, SECOND):.3f})" in words()
    plots.precision_recall(CODES, PAIR, ["no", "yes"])
    assert f"yes (AP {average_precision_score(CODES, SECOND):.3f})" in words()
    assert f"chance ({CODES.mean():.3f})" in words()


def test_of_many_classes_the_most_frequent_are_drawn_and_a_class_without_rows_is_not() -> None:
    plots.roc(MANY_CODES, MANY, [f"class {place}" for place in range(20)])
    frequent = np.argsort(-np.bincount(MANY_CODES, minlength=20), kind="stable")[:7]
    assert [line for line in words().split("\n") if "class" in line and "AUC" in line] == [
        f"class {place} (AUC {roc_auc_score(place == MANY_CODES, MANY[:, place]):.3f})" for place in frequent
    ]
    plots.roc(np.array([0, 1, 0, 1]), np.eye(3)[[0, 1, 0, 1]], ["a", "b", "never seen"])
    assert "never seen" not in words()


def test_the_confusion_matrix_counts_every_row_once() -> None:
    plots.confusion(np.array([0, 0, 1, 2, 2, 2]), np.array([0, 1, 1, 2, 2, 0]), ["a", "b", "c"])
    counts = {(text.get_position(), text.get_text()) for text in DRAWN[-1].axes[0].texts}
    assert counts == {((0, 0), "1"), ((1, 0), "1"), ((1, 1), "1"), ((2, 2), "2"), ((0, 2), "1")}
    assert "66.67 % of 6 rows are right" in words()
    plots.confusion(MANY_CODES, MANY.argmax(axis=1), list(range(20)))
    assert sum(int(text.get_text()) for text in DRAWN[-1].axes[0].texts) == len(MANY_CODES)
    assert "9 others" in words()
    (image,) = (one for one in DRAWN[-1].axes[0].get_children() if isinstance(one, AxesImage))
    shares = np.asarray(image.get_array())
    assert np.allclose(shares.sum(axis=1), 1)


def test_calibration_shows_each_bin_where_it_was_measured() -> None:
    found = reliability_of_labels(CODES, PAIR)
    plots.calibration(found, "yes")
    points = DRAWN[-1].axes[0].lines[1].get_xydata()
    assert np.allclose(np.asarray(points), [(one.said, one.happened.value) for one in found.bins])
    assert f"expected calibration error {found.calibration_error:.3f}" in words()


def test_a_regression_is_described_by_its_own_figures() -> None:
    plots.predicted_actual(ACTUAL, PREDICTED, "price")
    left = ACTUAL - PREDICTED
    fit = 1 - (left**2).sum() / ((ACTUAL - ACTUAL.mean()) ** 2).sum()
    assert f"R² {fit:.3f}" in words()
    assert "200 rows" in words()
    dots: Any = DRAWN[-1].axes[0].collections[0].get_offsets()
    assert np.allclose(dots, np.column_stack([ACTUAL, PREDICTED]))
    plots.residuals(ACTUAL, PREDICTED, "price")
    dots = DRAWN[-1].axes[0].collections[0].get_offsets()
    assert np.allclose(dots, np.column_stack([PREDICTED, left]))


def test_of_very_many_rows_some_are_drawn() -> None:
    values = RNG.normal(size=50_000)
    plots.predicted_actual(values, values * 0.9, "price")
    assert len(DRAWN[-1].axes[0].collections[0].get_offsets()) == 2000  # type: ignore[arg-type]
    assert "50,000 rows" in words()


@pytest.mark.requirement("training.importance")
def test_features_and_candidates_are_ranked_and_the_rest_is_said() -> None:
    plots.importance([f"f{place}" for place in range(30)], [place / 100 for place in range(30)], metric="accuracy")
    labels = [label.get_text() for label in DRAWN[-1].axes[0].get_yticklabels()]
    assert labels == [f"f{place}" for place in range(29, 14, -1)]
    assert "the first 15 of 30" in words()
    for greater, best in ((True, "b"), (False, "a")):
        plots.leaderboard(["a", "b"], [0.1, 0.2], [0.01, 0.01], metric="m", greater_is_better=greater, baseline=0.5)
        assert DRAWN[-1].axes[0].get_yticklabels()[0].get_text() == best
        assert "baseline 0.500" in words()


@pytest.mark.parametrize(("greater", "best"), [(True, "0.900 in trial 3"), (False, "0.500 in trial 2")])
def test_the_tuning_history_names_the_best_trial_and_those_without_a_score(best: str, *, greater: bool) -> None:
    plots.tuning([0.7, 0.5, 0.9, None, float("nan")], metric="score", greater_is_better=greater)
    assert f"Best score {best} of 5, 2 stopped early or failed" in words()


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.importance([], []),
        lambda: plots.leaderboard([], [], metric="m", greater_is_better=True),
        lambda: plots.tuning([None, float("nan")], metric="m", greater_is_better=True),
    ],
)
def test_nothing_to_draw_is_refused(draw: Callable[[], bytes]) -> None:
    with pytest.raises(InvalidInput):
        draw()


@pytest.mark.parametrize(
    ("label", "shown"),
    [
        ("price in $ and $$", r"price in \$ and \$\$"),
        ("two\nlines\tand more", "two lines and more"),
        ("x" * 60, "x" * 15 + "…" + "x" * 8),
        (True, "True"),
        ("価格", "価格"),
    ],
)
def test_any_name_can_be_drawn(label: object, shown: str) -> None:
    assert canvas.short(label) == shown
    assert plots.roc(CODES, PAIR, ["no", label])
    assert plots.confusion(CODES, CODES, ["no", label])
    assert plots.importance([str(label)], [0.1])


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plots.predicted_actual(np.full(5, 3.0), np.full(5, 3.0), "y"),
        lambda: plots.residuals(np.full(5, 3.0), np.full(5, 3.0), "y"),
        lambda: plots.importance(["a"], [0.0]),
        lambda: plots.leaderboard(["a"], [0.5], metric="m", greater_is_better=True),
        lambda: plots.tuning([0.5], metric="m", greater_is_better=True),
        lambda: plots.tuning([1e9, 0.5, 0.4, 0.45, 0.41], metric="m", greater_is_better=False),
        lambda: plots.confusion(np.array([0]), np.array([1]), ["a", "b"]),
        lambda: plots.calibration(reliability_of_labels(np.array([1]), np.array([[0.0, 1.0]]))),
    ],
)
def test_the_smallest_and_flattest_cases_are_drawn(draw: Callable[[], bytes]) -> None:
    assert draw().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.12345, "0.123"),
        (12.345, "12.35"),
        (1234.5, "1,234"),
        (123456.0, "1.2e+05"),
        (0.00001, "1e\N{MINUS SIGN}05"),
        (0, "0.000"),
        (float("nan"), "n/a"),
    ],
)
def test_figures_are_written_short(value: float, shown: str) -> None:
    assert canvas.number(value) == shown


def test_drawing_needs_no_pyplot() -> None:
    program = (
        "import sys, numpy as np\n"
        "from mcp_orchestrator.methods import plots\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plots.predicted_actual(np.arange(3.0), np.arange(3.0), 'y')\n"
        "print('matplotlib.pyplot' in sys.modules)\n"
    )
    answer = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert answer.stdout.strip() == "False"
