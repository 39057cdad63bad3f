"""From a table to the matrix that an estimator takes: one transformer, learned on the training part only.

It does in one pass what a ColumnTransformer of half a dozen parts does, without their overhead (some 10 ms a call, most
of the time of a single prediction), and all that it learns are plain lists and arrays, which skops stores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from mcp_orchestrator.errors import InvalidInput, suggestion
from mcp_orchestrator.methods.columns import coercion
from mcp_orchestrator.methods.columns.levels import codes_of, levels_of, target_means

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Matrix = NDArray[np.float64]

__all__ = ["Encoder"]

COMMON = 30
KNOTS = (0.1, 0.3, 0.5, 0.7, 0.9)


class Encoder(TransformerMixin, BaseEstimator):
    """Numbers, truths, dates, categories and texts as one matrix of floats.

    Args:
        numeric: Columns of numbers.
        boolean: Columns of truths.
        date: Columns of dates: year, month, day, weekday, days since the first, and the hour where there is one.
        categorical: Columns of categories: one column a level up to ``one_hot`` levels; above, by ``high``.
        text: Columns of texts: TF-IDF of the ``terms`` most frequent words.
        fill: Fill missing numbers with the median and say in a further column where; otherwise leave them missing.
        scale: Bring numbers to mean 0 and deviation 1.
        hinges: Add to each number its excess over five quantiles, so that a linear model can bend.
        high: ``target`` (the mean of the target, learned across folds), ``codes`` (rank by frequency) or ``common``
            (one column for each of the most frequent levels).
        one_hot: Most levels with a column each.
        terms: Most words of a text column.
        classes: Number of classes of the target; 0 for a regression.
        seed: Seed of the folds of target encoding.

    """

    def __init__(  # noqa: D107 - said above; scikit-learn wants plain parameters
        self,
        *,
        numeric: list[str] | None = None,
        boolean: list[str] | None = None,
        date: list[str] | None = None,
        categorical: list[str] | None = None,
        text: list[str] | None = None,
        fill: bool = True,
        scale: bool = True,
        hinges: bool = False,
        high: str = "target",
        one_hot: int = 12,
        terms: int = 300,
        classes: int = 0,
        seed: int = 0,
    ) -> None:
        self.numeric = numeric
        self.boolean = boolean
        self.date = date
        self.categorical = categorical
        self.text = text
        self.fill = fill
        self.scale = scale
        self.hinges = hinges
        self.high = high
        self.one_hot = one_hot
        self.terms = terms
        self.classes = classes
        self.seed = seed

    def fit(self, X: pd.DataFrame, y: Any = None) -> Self:  # noqa: ANN401 - labels or values
        """Learn from a table."""
        self.fit_transform(X, y)
        return self

    def fit_transform(self, X: pd.DataFrame, y: Any = None) -> Matrix:  # noqa: ANN401
        """Learn from a table and return its matrix, in which no row's target helps to encode that row."""
        names = self._columns()
        self._check(X, names)
        self.feature_names_in_ = np.asarray(names, dtype=object)
        self.n_features_in_ = len(names)
        self._learn_dates(X)
        dense = self._dense(X)
        categories, encoded = self._learn_categories(X, y)
        numbers = np.hstack([self._learn_numbers(dense), encoded])
        self.center_, self.width_ = _spread(numbers) if self.scale else (np.zeros(0), np.ones(0))
        return self._joined(numbers, categories, self._learn_texts(X))

    def transform(self, X: pd.DataFrame) -> Matrix:
        """Return the matrix of a table.

        Raises:
            InvalidInput: a column is missing, or holds something that is not of its kind.

        """
        self._check(X, self._columns())
        categories, encoded = self._categories(X)
        return self._joined(np.hstack([self._numbers(self._dense(X)), encoded]), categories, self._texts(X))

    def __sklearn_is_fitted__(self) -> bool:
        """Whether `fit` was called."""
        return hasattr(self, "n_features_in_")

    # Columns and blocks

    def _columns(self) -> list[str]:
        return [
            *(self.numeric or ()),
            *(self.boolean or ()),
            *(self.date or ()),
            *(self.categorical or ()),
            *(self.text or ()),
        ]

    def _check(self, X: pd.DataFrame, names: list[str]) -> None:
        missing = [name for name in names if name not in X.columns]
        if missing:
            listed = ", ".join(repr(name) for name in missing[:10]) + (", ..." if len(missing) > 10 else "")
            raise InvalidInput(
                "columns",
                f"the table lacks {listed}.",
                then=suggestion(missing[0], [str(name) for name in X.columns if name not in names])
                or "Give every feature.",
            )

    def _dense(self, X: pd.DataFrame) -> Matrix:
        """Return numbers, truths and parts of dates side by side, missing ones as NaN."""
        columns = [_block(X, self.numeric or [])]
        columns += [coercion.truths(X[name])[:, None] for name in self.boolean or ()]
        columns += [self._parts(X[name], place) for place, name in enumerate(self.date or ())]
        return np.hstack(columns)

    def _joined(self, numbers: Matrix, categories: Matrix, texts: Matrix) -> Matrix:
        if self.scale:
            numbers = (numbers - self.center_) / self.width_
        joined = np.hstack([numbers, categories, texts])
        return joined if joined.shape[1] else np.zeros((len(joined), 1))

    # Numbers

    def _learn_numbers(self, dense: Matrix) -> Matrix:
        missing = np.isnan(dense)
        columns = list(zip(dense.T, missing.T, strict=True))
        self.medians_ = np.array([0.0 if gap.all() else np.median(column[~gap]) for column, gap in columns])
        self.gaps_ = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)) if self.fill else np.zeros(0, dtype=int)
        self.bends_, self.knots_ = np.zeros(0, dtype=int), np.zeros(0)
        if self.hinges:
            knots = [_inner_quantiles(column[~gap]) for column, gap in columns]
            self.bends_ = np.repeat(np.arange(len(knots)), [len(some) for some in knots])
            self.knots_ = np.concatenate([*knots, np.zeros(0)])
        return self._numbers(dense)

    def _numbers(self, dense: Matrix) -> Matrix:
        if not self.fill:
            return dense
        missing = np.isnan(dense)
        gaps = missing[:, self.gaps_].astype(float)
        filled = np.where(missing, self.medians_, dense)
        bends = np.maximum(filled[:, self.bends_] - self.knots_, 0)
        return np.hstack([filled, gaps, bends])

    # Dates

    def _learn_dates(self, X: pd.DataFrame) -> None:
        self.origins_: list[float] = []
        self.hours_: list[bool] = []
        for name in self.date or ():
            times = coercion.dates(X[name]).dropna()
            self.origins_.append(float(times.min().timestamp()) if len(times) else 0.0)
            self.hours_.append(bool((times != times.dt.normalize()).any()))

    def _parts(self, values: pd.Series, place: int) -> Matrix:
        times = coercion.dates(values)
        clock = times.dt
        seconds = times.to_numpy(dtype="datetime64[us]").astype(np.int64) / 1e6
        elapsed = np.where(times.isna(), np.nan, (seconds - self.origins_[place]) / 86400)
        parts = [clock.year, clock.month, clock.day, clock.day_of_week]
        columns = [part.to_numpy(dtype=float, na_value=np.nan) for part in parts] + [elapsed]
        if self.hours_[place]:
            columns.append((clock.hour + clock.minute / 60).to_numpy(dtype=float, na_value=np.nan))
        return np.column_stack(columns)

    # Categories

    def _learn_categories(self, X: pd.DataFrame, y: Any) -> tuple[Matrix, Matrix]:  # noqa: ANN401
        self.levels_: list[list[str]] = []
        self.ways_: list[str] = []
        self.means_: list[Matrix] = []
        learned: list[Matrix] = []
        for name in self.categorical or ():
            levels = levels_of(X[name])
            way = "one" if len(levels) <= self.one_hot else self.high
            means = np.zeros(0)
            if way == "target":
                codes = codes_of(X[name], {level: code for code, level in enumerate(levels)})
                across, means = target_means(codes, len(levels), y, binary=self.classes > 0, seed=self.seed)
                learned.append(across)
            self.levels_.append(levels[:COMMON] if way == "common" else levels)
            self.ways_.append(way)
            self.means_.append(means)
        self.__dict__.pop("_lookups", None)
        flags, values = self._categories(X)
        return flags, np.column_stack(learned) if learned else values

    def _categories(self, X: pd.DataFrame) -> tuple[Matrix, Matrix]:
        """Return the columns of zeros and ones, and the columns of numbers that stand for a level."""
        rows = len(X)
        flags, values = [np.zeros((rows, 0))], [np.zeros((rows, 0))]
        for place, name in enumerate(self.categorical or ()):
            size = len(self.levels_[place])
            codes = codes_of(X[name], self._lookup(place))
            if self.ways_[place] == "target":
                values.append(self.means_[place][codes][:, None])  # an unknown level, -1, has the overall mean
            elif self.ways_[place] == "codes":
                values.append(np.where(codes < 0, size, codes)[:, None].astype(float))
            else:
                hot = np.zeros((rows, size + 1))
                hot[np.arange(rows), codes] = 1
                flags.append(hot[:, 1 if size == 2 else 0 : size])
        return np.hstack(flags), np.hstack(values)

    def _lookup(self, place: int) -> dict[str, int]:
        """Return the codes of a column's levels; the dictionaries are made once and not stored with the model."""
        if "_lookups" not in self.__dict__:
            self._lookups = [{level: code for code, level in enumerate(levels)} for levels in self.levels_]
        return self._lookups[place]

    def __getstate__(self) -> dict[str, Any]:
        """Return what is stored: everything but the dictionaries that can be made again."""
        return {name: value for name, value in super().__getstate__().items() if name != "_lookups"}

    # Texts

    def _learn_texts(self, X: pd.DataFrame) -> Matrix:
        from sklearn.feature_extraction.text import TfidfVectorizer

        self.words_: list[TfidfVectorizer | None] = []
        for name in self.text or ():
            seen = coercion.texts(X[name])
            words = TfidfVectorizer(
                max_features=self.terms,
                min_df=2 if len(seen) > 50 else 1,
                sublinear_tf=True,
                strip_accents="unicode",
            )
            try:
                words.fit(seen)
            except ValueError:  # no word occurs often enough: the column says nothing
                self.words_.append(None)
            else:
                self.words_.append(words)
        return self._texts(X)

    def _texts(self, X: pd.DataFrame) -> Matrix:
        parts = [np.zeros((len(X), 0))]
        for name, words in zip(self.text or (), self.words_, strict=True):
            if words is not None:
                parts.append(words.transform(coercion.texts(X[name])).toarray())
        return np.hstack(parts)


def _block(X: pd.DataFrame, names: list[str]) -> Matrix:
    """Return columns of numbers as one matrix; at once where all are numbers already."""
    if not names:
        return np.zeros((len(X), 0))
    part = X[names]
    if all(dtype.kind in "fiub" for dtype in part.dtypes):
        found = part.to_numpy(dtype=float, na_value=np.nan)
        return np.where(np.isfinite(found), found, np.nan)
    return np.column_stack([coercion.numbers(X[name]) for name in names])


def _spread(numbers: Matrix) -> tuple[Matrix, Matrix]:
    """Return mean and deviation of each column, as StandardScaler has them (deviation 1 for a constant)."""
    from sklearn.preprocessing import StandardScaler

    if not numbers.shape[1]:
        return np.zeros(0), np.ones(0)
    scaler = StandardScaler().fit(numbers)
    return np.asarray(scaler.mean_), np.asarray(scaler.scale_)


def _inner_quantiles(column: Matrix) -> Matrix:
    """Return the distinct quantiles strictly inside the range, for a column of more than a few values."""
    if len(np.unique(column)) <= 2 * len(KNOTS):
        return np.zeros(0)
    knots = np.unique(np.quantile(column, KNOTS))
    return knots[(knots > column.min()) & (knots < column.max())]
