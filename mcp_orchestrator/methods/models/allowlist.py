"""The types that a stored model may hold besides scikit-learn's own estimators: reviewed one by one, and constant.

skops itself trusts the public estimators of scikit-learn, numpy's and scipy's ufuncs and plain containers. Everything
else must stand here by its full name. The list belongs to the program: the list inside a model file is never believed.
A type may join when making it runs no code of the file's choosing, opens nothing, and its content cannot crash the
process, or `mcp_orchestrator.methods.models.bounds` checks that content.
"""

from __future__ import annotations

__all__ = ["ALLOWED", "OURS"]

OURS: tuple[str, ...] = ("mcp_orchestrator.methods.columns.encoding.Encoder",)
"""Transformers of this package: one full name a line."""

_ENSEMBLES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",  # content checked by `bounds`
    "sklearn.tree._tree.Tree",  # content checked by `bounds`
    "sklearn.utils._bunch.Bunch",  # voting and stacking keep their members in one
)
_CALIBRATION = (
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
)
_NEIGHBORS = (
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._ball_tree.BallTree",  # content checked by `bounds`
    "sklearn.neighbors._ball_tree.BallTree64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._kd_tree.KDTree64",
)
_NUMERICS = (
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",  # a member of each BSpline
    "scipy.interpolate._bsplines.BSpline",  # content checked by `bounds`
    "scipy.interpolate._bsplines._BSpline",  # what it holds from scipy 1.18 on; content checked by `bounds`
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
)
_PROCESSES = (
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    *(
        f"sklearn.gaussian_process.kernels.{name}"
        for name in (
            "CompoundKernel",
            "ConstantKernel",
            "DotProduct",
            "Exponentiation",
            "Matern",
            "Product",
            "RationalQuadratic",
            "RBF",
            "Sum",
            "WhiteKernel",
        )
    ),
)
_CHOICES = (
    "functools.partial",  # of a callable that is itself allowed: categories of gradient boosting
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.utils.validation.check_array",
    *(
        f"sklearn.model_selection._split.{name}"
        for name in (
            "GroupKFold",
            "GroupShuffleSplit",
            "KFold",
            "RepeatedKFold",
            "RepeatedStratifiedKFold",
            "ShuffleSplit",
            "StratifiedGroupKFold",
            "StratifiedKFold",
            "StratifiedShuffleSplit",
            "TimeSeriesSplit",
        )
    ),
)
_SCORERS = (
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    *(
        f"sklearn.metrics._classification.{name}"
        for name in (
            "accuracy_score",
            "balanced_accuracy_score",
            "brier_score_loss",
            "f1_score",
            "jaccard_score",
            "log_loss",
            "matthews_corrcoef",
            "precision_score",
            "recall_score",
        )
    ),
    "sklearn.metrics._ranking.average_precision_score",
    "sklearn.metrics._ranking.roc_auc_score",
    *(
        f"sklearn.metrics._regression.{name}"
        for name in (
            "explained_variance_score",
            "max_error",
            "mean_absolute_error",
            "mean_absolute_percentage_error",
            "mean_squared_error",
            "median_absolute_error",
            "r2_score",
            "root_mean_squared_error",
        )
    ),
)
_LIGHTGBM = (
    "collections.OrderedDict",
    "collections.defaultdict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
)

ALLOWED: tuple[str, ...] = (
    *OURS,
    *_ENSEMBLES,
    *_CALIBRATION,
    *_NEIGHBORS,
    *_NUMERICS,
    *_PROCESSES,
    *_CHOICES,
    *_SCORERS,
    *_LIGHTGBM,
)
