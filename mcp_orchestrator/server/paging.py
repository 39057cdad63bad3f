"""Results that are too large for one answer: kept for a day in the state home, and given in pages by a cursor.

A cursor says which result and where the page begins, sealed with the key of the state home for who asked: it is good
after a restart and in another process, and for nobody else. A page comes from the result that was kept; nothing is
computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
import time
from pathlib import Path
from typing import Any

from mcp_orchestrator.errors import InvalidInput
from mcp_orchestrator.server.sealing import secret

__all__ = ["Pages"]

FOLDER = "results"
DAY = 86_400
MOST, MOST_BYTES = 200, 256 << 20
CURSOR = re.compile(r"([0-9a-f]{16})\.(0|[1-9][0-9]{0,11})\.([0-9a-f]{24})", re.ASCII)
AGAIN = "Call again without cursor."


class Pages:
    """The results that a state home keeps, as one ``subject`` may see them (None where no token is needed)."""

    def __init__(self, home: Path, subject: str | None) -> None:
        """Take the state home; nothing is read or made yet."""
        self._home, self._folder, self._subject = home, home / FOLDER, subject or ""

    def keep(self, about: str, result: Any) -> str:  # noqa: ANN401 - any JSON value
        """Keep the result of what was asked (``about``) and return the cursor of its first page.

        Of those that are kept, the ones of the day before, and the oldest beyond 200 or 256 MB, go.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        name = secrets.token_hex(8)
        part = self._folder / f".{name}"
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump({"about": about, "result": result}, file, separators=(",", ":"), allow_nan=False)
        part.replace(self._folder / name)
        self._tidy()
        return self.cursor(name, 0)

    def cursor(self, name: str, begin: int) -> str:
        """Return the cursor of the page of a kept result that begins at an atom."""
        return f"{name}.{begin}.{self._seal(name, begin)}"

    def find(self, about: str, cursor: str) -> tuple[str, Any, int]:
        """Return the name of the result of a cursor, the result, and where the page begins.

        Raises:
            InvalidInput: it is no cursor, that of somebody else or of another call, or the result is not kept any more.

        """
        fits = CURSOR.fullmatch(cursor)
        if fits is None or not hmac.compare_digest(fits[3], self._seal(fits[1], int(fits[2]))):
            raise InvalidInput("cursor", "is not one that was given to you.", then=f"Take next_cursor as is. {AGAIN}")
        try:
            kept: dict[str, Any] = json.loads((self._folder / fits[1]).read_bytes())
        except FileNotFoundError:
            raise InvalidInput("cursor", "has expired: results are kept for a day at most.", then=AGAIN) from None
        if kept["about"] != about:
            raise InvalidInput("cursor", f"is of {kept['about']}, and {about} was asked for.", then=AGAIN)
        return fits[1], kept["result"], int(fits[2])

    def _seal(self, name: str, begin: int) -> str:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        said = json.dumps(["page", name, begin, self._subject]).encode()
        return hmac.new(secret(self._home), said, hashlib.sha256).hexdigest()[:24]

    def _tidy(self) -> None:
        known: list[tuple[float, int, Path]] = []
        for one in self._folder.iterdir():
            with contextlib.suppress(FileNotFoundError):  # another process tidies too
                about = one.stat()
                known.append((about.st_mtime, about.st_size, one))
        size = 0
        for number, (made, more, path) in enumerate(sorted(known, reverse=True)):
            size += more
            if number and (number >= MOST or size > MOST_BYTES or made < time.time() - DAY):
                path.unlink(missing_ok=True)
