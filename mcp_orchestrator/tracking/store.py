"""MLflow's database in the state home: migrated once, shared by processes one at a time, telemetry off.

MLflow's first use of an empty database runs some seventy migrations; they run here once, into a file that takes its
place when it is complete. SQLite before 3.51.3 can corrupt a write-ahead log under several writers, so ours take turns.
"""

from __future__ import annotations

import importlib
import logging
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import StateUnavailable

if sys.platform == "win32":  # pragma: no cover - Windows
    import msvcrt
else:
    import fcntl

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["DATABASE", "artifacts_of", "client_of", "locked", "prepare"]

DATABASE = "mlflow.db"
BUILT = ".mlflow-new.db"
ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_ENABLE_ASYNC_LOGGING": "false"}

_mutex = threading.RLock()
_held: set[Path] = set()


def prepare(home: Path) -> Path:
    """Return the database of ``home``, made and migrated when it is not there yet, or was made by an older MLflow.

    Raises:
        StateUnavailable: a newer MLflow has written it.

    """
    place = home / DATABASE
    if not _is_made(place):
        with locked(home):
            if not _is_made(place):
                _make(home, place)
    return place


def client_of(home: Path) -> MlflowClient:
    """Return a client of the database in ``home``.

    Raises:
        StateUnavailable: a newer MLflow has written it.

    """
    place = prepare(home)
    _quiet()
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = f"sqlite:///{place}"
    try:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    except MlflowException as error:
        if "out-of-date database schema" not in str(error):
            raise
    with locked(home):
        _upgrade(place)
    return MlflowClient(tracking_uri=uri, registry_uri=uri)


def artifacts_of(home: Path) -> str:
    """Return where MLflow keeps files, as a URI."""
    return (home / "mlartifacts").absolute().as_uri()


@contextmanager
def locked(home: Path) -> Generator[None]:
    """Be the only writer of the database of ``home``, over all processes; a thread that is may become it again."""
    place = home / f"{DATABASE}.lock"
    with _mutex:
        if place in _held:
            yield
            return
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(place, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform == "win32":  # pragma: no cover - Windows
                msvcrt.locking(handle, msvcrt.LK_LOCK, 1)
            else:
                fcntl.flock(handle, fcntl.LOCK_EX)
            _held.add(place)
            yield
        finally:
            _held.discard(place)
            os.close(handle)


def _is_made(place: Path) -> bool:
    import sqlite3

    if not place.is_file():
        return False
    with closing(sqlite3.connect(place)) as connection:
        try:
            return connection.execute("SELECT 1 FROM alembic_version").fetchone() is not None
        except sqlite3.OperationalError:
            return False


def _make(home: Path, place: Path) -> None:
    _quiet()
    import sqlite3

    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    built = home / BUILT
    built.unlink(missing_ok=True)
    store = SqlAlchemyStore(f"sqlite:///{built}", artifacts_of(home))
    store.engine.dispose()
    with closing(sqlite3.connect(built)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    built.chmod(0o600)
    with built.open("rb") as file:
        os.fsync(file.fileno())
    built.replace(place)


def _upgrade(place: Path) -> None:
    """Bring the database to the schema of the installed MLflow, after a backup; a newer one is left as it is."""
    import sqlite3

    backup = place.with_name(f"{place.name}.before-upgrade")
    with closing(sqlite3.connect(place)) as connection, closing(sqlite3.connect(backup)) as copy:
        connection.backup(copy)
    command = [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{place}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - the installed MLflow
    if done.returncode:
        said = done.stderr.strip().rpartition("\n")[2]
        raise StateUnavailable(
            f"MLflow cannot upgrade {place} ({said}). A newer MLflow may have written it: install that again. "
            f"It is as it was; a copy is {backup}.",
        )


def _quiet() -> None:
    """Import MLflow without telemetry and without its notes on stderr, and set how its connections write."""
    os.environ.update(ENVIRONMENT)
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MLflow uses what SQLAlchemy is about to drop
        importlib.import_module("mlflow.store.tracking.sqlalchemy_store")
        importlib.import_module("mlflow.store.model_registry.sqlalchemy_store")
    if not event.contains(Engine, "connect", _tune):
        event.listen(Engine, "connect", _tune)


def _tune(connection: Any, _record: object) -> None:  # noqa: ANN401 - any driver's connection
    """Sync less: a power cut may cost the last entries of this projection, never its integrity."""
    import sqlite3

    if not isinstance(connection, sqlite3.Connection):
        return
    name = Path(connection.execute("PRAGMA database_list").fetchone()[2]).name
    if name == DATABASE:
        connection.execute("PRAGMA synchronous=NORMAL")
    elif name == BUILT:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=MEMORY")
