"""Checks the indices inside a loaded model that compiled code follows without looking.

An allowed type says nothing about its content: scikit-learn walks the nodes of its trees without bounds checks, so a
crafted file could make a prediction read foreign memory or never end. Children must lie inside their tree and after
their parent, and features inside the width of the input that the estimator checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import Tampered

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_bounds"]

_TREES = "sklearn.tree._classes"
_ENSEMBLES = ("sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._hist_gradient_boosting")


def check_bounds(estimator: object) -> None:
    """Look at everything that ``estimator`` holds.

    Raises:
        Tampered: an index points outside the array that it is an index of.

    """
    _walk(estimator, width=0, seen=set())


def _walk(thing: Any, width: int, seen: set[int]) -> None:  # noqa: ANN401 - any part of a model
    """Visit ``thing``; ``width`` is the number of features that its owner has checked its input for (0: none)."""
    import numpy as np

    if thing is None or isinstance(thing, str | bytes | int | float | type) or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, np.ndarray):
        parts = list(thing.ravel()) if thing.dtype == object else []
    elif isinstance(thing, dict):
        parts = list(thing.values())
    elif isinstance(thing, list | tuple | set):
        parts = list(thing)
    elif _check_leaf(thing, width):
        return
    else:
        members: dict[str, Any] = getattr(thing, "__dict__", {})
        parts, width = list(members.values()), _width(thing, members, width)
    for part in parts:
        _walk(part, width, seen)


def _width(owner: object, members: dict[str, Any], given: int) -> int:
    """Return how many features the trees directly below ``owner`` may ask for.

    An ensemble checks its input once and hands it to its trees unchecked, so theirs is the ensemble's; a tree that
    stands alone checks its own.
    """
    module = type(owner).__module__
    if module == _TREES and given:
        return given
    return int(members.get("n_features_in_", 0)) if module == _TREES or module.startswith(_ENSEMBLES) else 0


def _check_leaf(thing: Any, width: int) -> bool:  # noqa: ANN401
    """Check a type that has indices inside; say whether it was one."""
    import numpy as np

    kind = f"{type(thing).__module__}.{type(thing).__qualname__}"
    if kind == "sklearn.tree._tree.Tree":
        parents = np.flatnonzero(thing.children_left != -1)
        for children in (thing.children_left, thing.children_right):
            _follow(parents, children[parents], len(thing.value), kind)
        _inside(thing.feature[parents], width, kind)
    elif kind == "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor":
        parents = np.flatnonzero(thing.nodes["is_leaf"] == 0)
        nodes = thing.nodes[parents]
        for side in ("left", "right"):
            _follow(parents, nodes[side], len(thing.nodes), kind)
        _inside(nodes["feature_idx"], width, kind)
        categories = len(thing.raw_left_cat_bitsets)
        _inside(nodes["bitset_idx"][nodes["is_categorical"] != 0], categories, kind)
    elif kind.startswith(("sklearn.neighbors._kd_tree.", "sklearn.neighbors._ball_tree.")):
        data, index, nodes, _ = (np.asarray(part) for part in thing.get_arrays())
        _inside(index, len(data), kind)
        _inside(np.asarray([len(data) - len(index)]), 1, kind)
        _inside(nodes["idx_start"], len(data) + 1, kind)
        _inside(nodes["idx_end"], len(data) + 1, kind)
    elif kind in {"scipy.interpolate._bsplines.BSpline", "scipy.interpolate._bsplines._BSpline"}:
        _inside(np.asarray([len(thing.t) - thing.k - 1]), len(thing.c) + 1, kind)
    else:
        return False
    return True


def _follow(parents: np.ndarray, children: np.ndarray, count: int, kind: str) -> None:
    if bool((children <= parents).any()):
        _refuse(kind)
    _inside(children, count, kind)


def _inside(indices: np.ndarray, size: int, kind: str) -> None:
    if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < size):
        _refuse(kind)


def _refuse(kind: str) -> None:
    raise Tampered(
        f"The model holds a {kind} whose indices point outside it: it is damaged, or made to do harm. Train again."
    )
