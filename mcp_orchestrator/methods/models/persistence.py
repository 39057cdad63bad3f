"""Estimators as bytes and back, by skops under our own allow-list; never pickle.

The bytes are put into a canonical form: skops names its parts by memory addresses and stamps the time, so that the same
model would get another digest in each process.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from typing import Any

from mcp_orchestrator.errors import InvalidInput, Tampered
from mcp_orchestrator.methods.models.allowlist import ALLOWED
from mcp_orchestrator.methods.models.bounds import check_bounds

__all__ = ["LARGEST", "allowed_in", "dumps", "loads", "pack", "persist"]

LARGEST = 4 << 30

_EPOCH = (1980, 1, 1, 0, 0, 0)
_SCHEMA = "schema.json"


def persist(estimator: object) -> tuple[bytes, Any]:
    """Return a fitted estimator as bytes, equal for equal models, and what is loaded from them.

    Raises:
        InvalidInput: the estimator holds something that cannot be stored safely.

    """
    from skops import io as skops
    from skops.io.exceptions import UnsupportedTypeException, UntrustedTypesFoundException

    try:
        content = _canonical(skops.dumps(estimator))
        return content, _construct(content)
    except UntrustedTypesFoundException as error:
        raise InvalidInput(
            "estimator",
            f"{type(estimator).__name__} holds types that are not on the allow-list of stored models: {_types(error)}.",
            then="Use estimators and transformers of scikit-learn; functions and classes of your own cannot be stored.",
        ) from error
    except (UnsupportedTypeException, TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(
            "estimator",
            f"{type(estimator).__name__} cannot be stored by skops: {error}",
            then="Use estimators and transformers of scikit-learn.",
        ) from error


def dumps(estimator: object) -> bytes:
    """Return a fitted estimator as bytes.

    Raises:
        InvalidInput: the estimator holds something that cannot be stored safely.

    """
    return persist(estimator)[0]


def loads(content: bytes) -> Any:  # noqa: ANN401 - an estimator, which has no type
    """Return the estimator in ``content``; whether the libraries are as old as it is the caller's question.

    Raises:
        Tampered: the bytes are no skops file, hold a type that is not allowed, or indices that point outside.

    """
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        estimator = _construct(content)
    except UntrustedTypesFoundException as error:
        raise Tampered(f"The model holds types that are not on the allow-list: {_types(error)}.") from error
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise Tampered(
            f"The model is not a skops file that can be read here: {type(error).__name__}: {error}"
        ) from error
    check_bounds(estimator)
    return estimator


def allowed_in(content: bytes) -> list[str]:
    """Return the names on the allow-list that may occur in the bytes of a model.

    Raises:
        Tampered: it would unpack to more than a model may have.

    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
            raise Tampered(f"The model unpacks to more than {LARGEST >> 20} MB; it is not loaded.")
        schema = archive.read(_SCHEMA).decode()
    return [
        name
        for name in ALLOWED
        for module, _, kind in (name.rpartition("."),)
        if f'"{kind}"' in schema and f'"{module}"' in schema
    ]


def pack(parts: dict[str, bytes]) -> bytes:
    """Return a zip file that depends on nothing but names and content."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in parts.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, compresslevel=1)
    return buffer.getvalue()


def _construct(content: bytes) -> Any:  # noqa: ANN401
    from sklearn.exceptions import InconsistentVersionWarning
    from skops import io as skops

    # not the whole list: skops walks it for each object in the file, a third of the time of loading a forest
    trusted = allowed_in(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InconsistentVersionWarning)
        return skops.loads(content, trusted=trusted)


def _types(error: Exception) -> str:
    return str(error).partition("[")[2].partition("]")[0]


def _canonical(content: bytes) -> bytes:
    """Number objects and files by their first appearance; leave out the identity of plain values, which is unused."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        numbers: dict[int, int] = {}
        files: dict[str, str] = {}
        schema = _renumber(json.loads(archive.read(_SCHEMA)), numbers, files)
        parts = {new: _without_padding(archive.read(old)) for old, new in files.items()}
    return pack({_SCHEMA: json.dumps(schema, separators=(",", ":")).encode(), **parts})


def _without_padding(part: bytes) -> bytes:
    """Zero what lies between the fields of an array of records, such as a tree's nodes: it is whatever memory held."""
    import numpy as np

    if b"|V" not in part[:1024]:
        return part
    array = np.load(io.BytesIO(part), allow_pickle=False)
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names or ():
        clean[name] = array[name]
    buffer = io.BytesIO()
    np.save(buffer, clean if array.dtype.names else array, allow_pickle=False)
    return buffer.getvalue()


def _renumber(node: Any, numbers: dict[int, int], files: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(node, list):
        items: list[Any] = node
        return [_renumber(item, numbers, files) for item in items]
    if not isinstance(node, dict):
        return node
    fields: dict[str, Any] = node
    plain = fields.get("__loader__") == "JsonNode"
    answer: dict[str, Any] = {}
    for key, value in fields.items():
        if key == "__id__" and isinstance(value, int):
            if not plain:
                answer[key] = numbers.setdefault(value, len(numbers) + 1)
        elif key == "file" and isinstance(value, str):
            answer[key] = files.setdefault(value, f"{len(files)}.{value.rpartition('.')[2]}")
        else:
            answer[key] = _renumber(value, numbers, files)
    return answer
