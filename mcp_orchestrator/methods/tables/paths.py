"""Which file a caller may mean: below the allowed roots, a regular file, and of a kind that holds a table."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from mcp_orchestrator.errors import InvalidInput, NotAllowed, suggestion
from mcp_orchestrator.settings import PREFIX, Settings

__all__ = ["KINDS", "allowed", "kind_of", "shown"]

KINDS = {
    "delimited": (".csv", ".tsv", ".tab", ".psv", ".txt", ".data"),
    "json": (".json", ".jsonl", ".ndjson"),
    "parquet": (".parquet", ".pq"),
    "arrow": (".feather", ".arrow", ".ipc"),
    "excel": (".xlsx", ".xlsm"),
    "sqlite": (".db", ".sqlite", ".sqlite3", ".db3"),
}
BY_SUFFIX = {suffix: kind for kind, suffixes in KINDS.items() for suffix in suffixes}
PACKED = frozenset({"delimited", "json"})
EXECUTABLE = frozenset({".pkl", ".pickle", ".joblib", ".dill", ".npy", ".npz"})
LISTED = 1000
LONGEST = 1000


def allowed(settings: Settings, given: str) -> Path:
    """Return the real path of a file that may be read.

    Symbolic links are resolved before the roots are compared, and nothing outside the roots is looked at, so an answer
    does not tell whether a file exists there.

    Raises:
        NotAllowed: the file lies outside the roots or in the state home, or is a device, a pipe or a socket.
        InvalidInput: there is no such file, or it is a folder, too large, or not a path.

    """
    if "\0" in given or not given.strip() or len(given) > LONGEST:
        raise InvalidInput("data", "is not a path.", then="Give the path of a file.")
    try:
        path = (settings.project / Path(given).expanduser()).resolve()
        home = settings.home.resolve()
    except (OSError, RuntimeError) as error:
        raise InvalidInput("data", f"{given!r} cannot be resolved: {error}") from error
    roots = [root.resolve() for root in settings.roots]
    if not any(path.is_relative_to(root) for root in roots):
        raise NotAllowed(
            f"data: {given!r} lies outside the folders that may be read: {', '.join(map(str, roots))}. "
            f"Move the file there, or add its folder to the setting {PREFIX}ROOTS.",
        )
    within = [root for root in roots if root.is_relative_to(home)]  # a project may stand in its own state home
    if path.is_relative_to(home) and not any(path.is_relative_to(root) for root in within):
        raise NotAllowed(
            f"data: {given!r} lies in the state home {home}, which holds no sources. Use a dataset:// reference.",
        )
    _refuse_kind(settings, path, given)
    return path


def _refuse_kind(settings: Settings, path: Path, given: str) -> None:
    """Refuse what is missing, no regular file, too large, or not this user's to read."""
    try:
        found = path.stat()
    except FileNotFoundError:
        raise InvalidInput("data", f"there is no file {given!r}.", then=_near(path)) from None
    except OSError as error:
        raise InvalidInput("data", f"{given!r} cannot be read: {error.strerror}.") from error
    if stat.S_ISDIR(found.st_mode):
        raise InvalidInput("data", f"{given!r} is a folder, not a file.", then=_listing(_files(path)))
    if not stat.S_ISREG(found.st_mode):
        raise NotAllowed(f"data: {given!r} is a device, a pipe or a socket, not a regular file.")
    if found.st_size > settings.max_bytes:
        raise InvalidInput(
            "data",
            f"{given!r} has {found.st_size:,} bytes, more than the {settings.max_bytes:,} that are allowed.",
            then=f"Raise the setting {PREFIX}MAX_BYTES to read it.",
        )
    if not os.access(path, os.R_OK):
        raise NotAllowed(f"data: {given!r} may not be read by this user. Change the permissions of the file.")


def kind_of(path: Path, given: str) -> tuple[str, bool]:
    """Return the kind of table in a file by its ending, and whether it is packed with gzip.

    Raises:
        NotAllowed: the format can run code when it is opened.
        InvalidInput: the ending is none that is known to hold a table.

    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] == [".gz"]
    if packed:
        suffixes.pop()
    last = suffixes[-1] if suffixes else ""
    if last in EXECUTABLE:
        raise NotAllowed(
            f"data: {given!r} is a pickle, which can run code when it is opened. Save it as CSV or Parquet."
        )
    kind = BY_SUFFIX.get(last)
    if kind is None or (packed and kind not in PACKED):
        raise InvalidInput(
            "data",
            f"{given!r} does not end like a table.",
            allowed=[*BY_SUFFIX, *(f"{suffix}.gz" for suffix, of in BY_SUFFIX.items() if of in PACKED)],
            then="Save the table in one of these formats.",
        )
    return kind, packed


def shown(settings: Settings, path: Path) -> str:
    """Return the path as people write it: relative to the project folder where it lies below it."""
    return str(path.relative_to(settings.project)) if path.is_relative_to(settings.project) else str(path)


def _near(path: Path) -> str:
    if not path.parent.is_dir():
        return f"There is no folder {path.parent.name!r} either."
    files = _files(path.parent)
    return suggestion(path.name, files) or _listing(files)


def _files(folder: Path) -> list[str]:
    """Return the names of the first files in a folder that end like tables."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry, _ in zip(entries, range(LISTED), strict=False)]
    except OSError:
        return []
    tables = (name for name in names if Path(name.removesuffix(".gz")).suffix.lower() in BY_SUFFIX)
    return sorted(name for name in tables if os.path.isfile(folder / name))  # noqa: PTH113 - False for a link to itself


def _listing(files: list[str]) -> str:
    return f"Tables in that folder: {', '.join(files[:10])}{', ...' if len(files) > 10 else ''}." if files else ""
