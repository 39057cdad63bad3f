"""Fitted models on the disk: stored whole, loaded only when nothing was changed and every type inside is allowed.

A model is a manifest and its files in the artifact store; ``model://<digest of the manifest>`` names it for good. Bytes
are checked against their digests before anything reads them, and the only format is skops under our own allow-list.
"""

from __future__ import annotations

import platform
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import version
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel
from pydantic_core import from_json, to_json

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import DataRejected, InvalidInput, OrchestratorError
from mcp_orchestrator.methods.models.archives import open_file, save
from mcp_orchestrator.methods.models.interface import check_classes, coded, inputs, known, labels_of
from mcp_orchestrator.methods.models.manifests import MODEL, REFERENCE, Manifest, content, read, resolve
from mcp_orchestrator.methods.models.persistence import loads, persist
from mcp_orchestrator.values import Trained

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from mcp_orchestrator.methods.training.pipelines import FeatureSpec

__all__ = ["Loaded", "load", "open_file", "save", "store"]

LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "skops")
KEPT = 4
PROBE = 8

Task = Literal["classification", "regression"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Loaded:
    """A model in memory, with everything that was recorded about it."""

    sha256: str
    manifest: Manifest
    estimator: Any
    _ctx: Context = field(repr=False)

    @property
    def uri(self) -> str:
        """The reference that always means this model."""
        return f"model://{self.sha256}"

    @property
    def trained(self) -> Trained:
        """The reference with its facts."""
        return self.manifest.trained(self.sha256)

    @property
    def task(self) -> Task:
        """Classification or regression."""
        return self.manifest.task

    @property
    def target(self) -> str:
        """The column that is predicted."""
        return self.manifest.target

    @property
    def classes(self) -> list[Any]:
        """The original class values, in the order of the probabilities."""
        return self.manifest.classes

    @property
    def facts(self) -> dict[str, Any]:
        """What was recorded when the model was stored."""
        return self.manifest.facts

    @property
    def warnings(self) -> list[str]:
        """The libraries that are not the ones the model was trained with."""
        present = _libraries()
        return [
            f"trained with {name} {then}, loaded with {present[name]}"
            for name, then in self.manifest.libraries.items()
            if name != "python" and present.get(name) != then
        ]

    @cached_property
    def features(self) -> list[FeatureSpec]:
        """The columns that the model was trained with."""
        from mcp_orchestrator.methods.training.pipelines import FeatureSpec

        return [FeatureSpec.model_validate(feature) for feature in self.manifest.features]

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Return one prediction a row: an original class value, or a number.

        Raises:
            InvalidInput: a column is missing, or there is no row.
            DataRejected: the rows hold something that the model cannot use.

        """
        found = self._call("predict", frame)
        if self.task == "regression" or not coded(self.estimator, self.classes):
            return found
        return labels_of(self.classes)[found.astype(int)]

    def predict_proba(self, frame: pd.DataFrame) -> np.ndarray | None:
        """Return the probabilities by class, in the order of ``classes``; None where the model has none.

        Raises:
            InvalidInput: a column is missing, or there is no row.
            DataRejected: the rows hold something that the model cannot use.

        """
        if self.task == "regression" or not hasattr(self.estimator, "predict_proba"):
            return None
        found = self._call("predict_proba", frame)
        if coded(self.estimator, self.classes):
            return found
        order = known(self.estimator)
        return found[:, [order.index(label) for label in self.classes]]

    def reference(self) -> pd.DataFrame | None:
        """Return the sample of the training part that was stored with the model.

        Raises:
            Tampered: the stored sample was changed.

        """
        import pandas as pd

        if REFERENCE not in self.manifest.files:
            return None
        return pd.read_parquet(BytesIO(content(self._ctx, self.manifest, REFERENCE)))

    def _call(self, method: str, frame: pd.DataFrame) -> np.ndarray:
        import numpy as np

        rows = inputs(self.estimator, self.manifest.features, frame)
        try:
            return np.asarray(getattr(self.estimator, method)(rows))
        except OrchestratorError:
            raise
        except (ValueError, TypeError) as error:
            raise DataRejected(
                f"The model cannot use these rows: {error}",
                then="Give the same columns, of the same kinds, as in training.",
            ) from error


def store(
    ctx: Context,
    estimator: object,
    *,
    task: Task,
    target: str,
    features: Sequence[BaseModel],
    classes: Sequence[Any] = (),
    reference: pd.DataFrame | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Trained:
    """Store a fitted estimator, after making sure that what was stored loads and predicts the same.

    ``classes`` are the original class values, in the order of the columns of the probabilities when the estimator was
    fitted on their codes 0, 1, 2...; ``reference`` is a sample of the training part.

    Raises:
        InvalidInput: the estimator cannot be stored safely, or its classes are not the given ones; nothing is written.

    """
    labels = [label.item() if hasattr(label, "item") else label for label in classes]
    check_classes(estimator, task, labels)
    specs = [feature.model_dump(mode="json") for feature in features]
    encoded, restored = persist(estimator)
    parts = {MODEL: encoded}
    if reference is not None:
        _check_same(estimator, restored, inputs(estimator, specs, reference.head(PROBE)))
        parts[REFERENCE] = _parquet(reference)
    manifest = Manifest(
        files={name: ctx.artifacts.put(part, name=name).sha256 for name, part in parts.items()},
        bytes=sum(len(part) for part in parts.values()),
        estimator=_name(estimator),
        task=task,
        target=target,
        features=specs,
        classes=labels,
        libraries=_libraries(),
        facts=from_json(to_json(dict(facts or {}), inf_nan_mode="strings")),
    )
    sha256 = ctx.artifacts.put(manifest.encoded(), name="manifest.json", media="application/json").sha256
    _remember(ctx, Loaded(sha256=sha256, manifest=manifest, estimator=restored, _ctx=ctx))
    return manifest.trained(sha256)


def load(ctx: Context, ref: str) -> Loaded:
    """Load a model by ``model://digest``, ``name``, ``name@alias`` or ``name@version``, or answer it from memory.

    Raises:
        UnknownName: there is no such model.
        Tampered: a file was changed, or holds a type that is not allowed.

    """
    sha256 = resolve(ctx, ref)
    held = _recall(ctx, sha256)
    if held is not None:
        return held
    manifest = read(ctx, sha256)
    loaded = Loaded(sha256=sha256, manifest=manifest, estimator=loads(content(ctx, manifest, MODEL)), _ctx=ctx)
    _remember(ctx, loaded)
    return loaded


_memory: OrderedDict[str, tuple[Loaded, list[tuple[object, ...]]]] = OrderedDict()
_mutex = threading.Lock()


def _remember(ctx: Context, loaded: Loaded) -> None:
    with _mutex:
        _memory[loaded.sha256] = (loaded, _stamp(ctx, loaded))
        while len(_memory) > KEPT:
            _memory.popitem(last=False)


def _recall(ctx: Context, sha256: str) -> Loaded | None:
    """Return the model when this process holds it and its files have not been touched since they were checked."""
    with _mutex:
        loaded, stamp = _memory.pop(sha256, (None, []))
        if loaded is None or stamp != _stamp(ctx, loaded):
            return None
        _memory[sha256] = (loaded, stamp)
    return loaded


def _stamp(ctx: Context, loaded: Loaded) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for file in (loaded.sha256, *loaded.manifest.files.values()):
        try:
            place = ctx.artifacts.path(file)
            state = place.stat()
        except (LookupError, OSError):
            found.append((object(),))  # equals no other stamp, so the files are looked at again
        else:
            found.append((str(place), state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))
    return found


def _check_same(estimator: Any, restored: Any, rows: Any) -> None:  # noqa: ANN401
    import numpy as np

    if not np.array_equal(np.asarray(estimator.predict(rows)), np.asarray(restored.predict(rows))):
        raise InvalidInput(
            "estimator",
            f"{_name(estimator)} does not predict the same after it was stored by skops.",
            then="Choose another estimator.",
        )


def _parquet(frame: pd.DataFrame) -> bytes:
    import pyarrow as pa

    buffer = BytesIO()
    try:
        frame.to_parquet(buffer, index=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError) as error:
        raise DataRejected(f"The sample of the training data cannot be stored: {error}") from error
    return buffer.getvalue()


@cache
def _libraries() -> dict[str, str]:
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def _name(estimator: Any) -> str:  # noqa: ANN401
    steps = getattr(estimator, "steps", None)
    return type(steps[-1][1] if steps else estimator).__name__
