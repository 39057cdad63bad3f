"""Studies on the disk: Optuna's journal, one file a study, with what was asked and which rules are attached.

A study is searched by one process at a time, which holds a lock on a file beside it; anybody may read it, ask it to
stop, or attach rules.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName

if os.name == "posix":
    import fcntl

if TYPE_CHECKING:
    from optuna.study import Study

__all__ = ["NAME", "Studies", "in_memory"]

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$"  # spelt out: as \w, which is all of Unicode here, it takes 6 MB
ASKED = "asked"
IDENTITY = "identity"


class Studies:
    """The studies of a state home."""

    def __init__(self, ctx: Context) -> None:
        """Use the folder ``studies`` of the state home."""
        self.folder = ctx.settings.home / "studies"

    def names(self) -> list[str]:
        """Return the names of all studies."""
        return sorted(path.stem for path in self.folder.glob("*.log"))

    def create(self, name: str, asked: dict[str, Any], *, greater_is_better: bool) -> Study:
        """Open a study, or begin it with what is ``asked``.

        Raises:
            InvalidInput: a study of that name was begun with another question.

        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._path(name).exists():
            study = self.open(name)
            before = study.user_attrs.get(ASKED)
            if before != asked:
                changed = sorted(key for key in {*asked, *(before or {})} if (before or {}).get(key) != asked.get(key))
                raise InvalidInput(
                    "name",
                    f"the study {name!r} was begun with another {', '.join(changed)}.",
                    then="Choose another name, or resume it with more trials.",
                )
            return study
        import optuna

        direction = "maximize" if greater_is_better else "minimize"
        study = optuna.create_study(study_name=name, storage=self._storage(name), direction=direction)
        study.set_user_attr(ASKED, asked)
        study.set_user_attr(IDENTITY, uuid4().hex)
        return study

    def open(self, name: str) -> Study:
        """Return a study.

        Raises:
            UnknownName: there is no such study.

        """
        import optuna

        if not re.match(NAME, name) or not self._path(name).exists():
            raise UnknownName("study", name, self.names())
        return optuna.load_study(study_name=name, storage=self._storage(name))

    def asked(self, study: Study) -> dict[str, Any]:
        """Return what a study was begun with."""
        return dict(study.user_attrs.get(ASKED, {}))

    def identity(self, name: str) -> str:
        """Return what tells a study from an earlier one of the same name."""
        return str(self.open(name).user_attrs.get(IDENTITY, name))

    @contextmanager
    def searching(self, name: str) -> Generator[None]:
        """Be the one process that searches a study.

        Raises:
            NotReady: another process is searching it.

        """
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(self.folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.name == "posix":
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError as error:
                    raise NotReady(f"The study {name!r} is being searched. Wait for its end, or stop it.") from error
            self._flag(name).unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def stop(self, name: str) -> bool:
        """Ask the search of a study to end after the trials under way; return whether one is running.

        Raises:
            UnknownName: there is no such study.

        """
        self.open(name)
        try:
            with self.searching(name):
                return False
        except NotReady:
            self._flag(name).touch(0o600)
            return True

    def stop_asked(self, name: str) -> bool:
        """Whether somebody asked for the end."""
        return self._flag(name).exists()

    def note(self, name: str, topic: str, value: dict[str, Any] | None) -> None:
        """Keep something beside a study, whole or not at all; None removes it."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = self.folder / f"{name}.{topic}.json"
        if value is None:
            place.unlink(missing_ok=True)
            return
        part = place.with_suffix(".part")
        part.write_text(json.dumps(value), "utf-8")
        part.replace(place)

    def noted(self, name: str, topic: str) -> dict[str, Any] | None:
        """Return what is kept beside a study."""
        place = self.folder / f"{name}.{topic}.json"
        return json.loads(place.read_text("utf-8")) if place.exists() else None

    def remove(self, name: str) -> None:
        """Remove a study with everything beside it, unless it is being searched.

        Raises:
            NotReady: it is.

        """
        with self.searching(name):
            for place in (*self.folder.glob(f"{name}.log*"), *self.folder.glob(f"{name}.*.json*")):
                place.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _flag(self, name: str) -> Path:
        return self.folder / f"{name}.stop"

    def _storage(self, name: str) -> Any:  # noqa: ANN401 - optuna's
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        quiet()
        return JournalStorage(JournalFileBackend(str(self._path(name))))


def in_memory(*, greater_is_better: bool) -> Study:
    """Return a study that ends with the process."""
    import optuna

    quiet()
    return optuna.create_study(direction="maximize" if greater_is_better else "minimize")


def quiet() -> None:
    """Leave Optuna's own progress lines out of the log."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
