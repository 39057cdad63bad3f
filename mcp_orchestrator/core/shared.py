"""A store of files that several machines reach: a folder, or any URL that fsspec knows.

A file appears under its name only when it is whole: it is written under a temporary name and then moved.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from mcp_orchestrator.errors import InvalidInput, MissingLibrary, StateUnavailable

__all__ = ["Folder", "Remote", "Shared", "shared_at"]


class Shared(Protocol):
    """Files by name; a name is a relative path with slashes."""

    url: str

    def put(self, path: Path, name: str, *, again: bool = False) -> None:
        """Copy a file there under a name; one that is there already stays, unless it is to be written ``again``."""
        ...

    def get(self, name: str, path: Path) -> bool:
        """Copy a file from there to ``path``; return whether there is one of that name."""
        ...


def shared_at(url: str) -> Shared:
    """Return the store at a folder or URL.

    Raises:
        InvalidInput: it is no address of a store.
        MissingLibrary: the library for such addresses is not installed.

    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"}:
        return Folder(Path(unquote(parts.path)))
    if "://" in url:
        return Remote(url)
    if not Path(url).is_absolute():
        raise InvalidInput("setting artifacts", f"{url!r} is no absolute path and no URL.", then="Write it in full.")
    return Folder(Path(url))


class Folder:
    """A folder that all machines see under the same path."""

    def __init__(self, folder: Path) -> None:
        """Use ``folder``, which is made on the first write."""
        self.folder = folder
        self.url = folder.as_uri()

    def put(self, path: Path, name: str, *, again: bool = False) -> None:
        """Copy a file there under a name; one that is there already stays, unless it is to be written ``again``."""
        final = self.folder / name
        if final.exists() and not again:
            return
        final.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, temporary = tempfile.mkstemp(dir=final.parent, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as target, path.open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)
                target.flush()
                os.fsync(target.fileno())
            Path(temporary).replace(final)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def get(self, name: str, path: Path) -> bool:
        """Copy a file from there to ``path``; return whether there is one of that name."""
        try:
            shutil.copyfile(self.folder / name, path)
        except FileNotFoundError:
            return False
        return True


class Remote:
    """A store that fsspec reaches; how it asks for credentials is the matter of its own library."""

    def __init__(self, url: str) -> None:
        """Connect to ``url``.

        Raises:
            MissingLibrary: fsspec, or its library for this kind of address, is not installed.
            InvalidInput: fsspec knows no such addresses.

        """
        try:
            fsspec: Any = import_module("fsspec.core")  # only who uses such a store has it
        except ImportError as error:
            raise MissingLibrary(f"The store {url}", "fsspec", "remote") from error
        self.url = url
        self._fs: Any
        try:
            self._fs, root = fsspec.url_to_fs(url)
        except ImportError as error:
            library = str(error).removeprefix("Install ").split(" ", 1)[0]
            raise MissingLibrary(f"The store {url}", library, None) from error
        except ValueError as error:
            raise InvalidInput("setting artifacts", f"{url!r} cannot be used: {error}.") from error
        self._root = str(root).rstrip("/")

    def put(self, path: Path, name: str, *, again: bool = False) -> None:
        """Copy a file there under a name; one that is there already stays, unless it is to be written ``again``.

        Raises:
            StateUnavailable: the store cannot be written.

        """
        final = f"{self._root}/{name}"
        temporary = f"{final.rpartition('/')[0]}/.part-{uuid4().hex}"
        try:
            if not again and self._fs.exists(final):
                return
            self._fs.makedirs(final.rpartition("/")[0], exist_ok=True)
            self._fs.put_file(str(path), temporary)
            self._fs.mv(temporary, final)
        except OSError as error:
            raise StateUnavailable(f"The shared store {self.url} cannot be written: {error}.") from error

    def get(self, name: str, path: Path) -> bool:
        """Copy a file from there to ``path``; return whether there is one of that name.

        Raises:
            StateUnavailable: the store cannot be read.

        """
        try:
            self._fs.get_file(f"{self._root}/{name}", str(path))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise StateUnavailable(f"The shared store {self.url} cannot be read: {error}.") from error
        return True
