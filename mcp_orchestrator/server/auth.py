"""Bearer tokens: where they are kept, how a new one is made, and whose a presented one is.

A file holds a line for each: ``sha256:DIGEST subject scope,scope``. The tokens themselves are nowhere kept. The file is
read again when it has changed, so that a line that is taken out ends a token at once.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import re
import secrets
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple, Protocol

from mcp.server.auth.provider import AccessToken

from mcp_orchestrator.errors import InvalidInput, NotAllowed, NotReady
from mcp_orchestrator.server.scopes import SCOPES

__all__ = ["ENVIRONMENT", "Entry", "Tokens", "Verifier", "added", "digest", "read", "removed"]

ENVIRONMENT = "MCP_ORCHESTRATOR_TOKENS"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
SUBJECT = re.compile(r"[\w.@+-]{1,64}", re.ASCII)
LONGEST = 512
log = logging.getLogger(__name__)


class Verifier(Protocol):
    """Who knows tokens; the SDK's protocol of the same shape."""

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whose token it is and what it may do, or None."""
        ...


class Entry(NamedTuple):
    """A token that is known: by its digest, with whom it stands for and what it may do."""

    digest: str
    subject: str
    scopes: tuple[str, ...]

    def __str__(self) -> str:
        """Return it as a line of the file."""
        return f"{self.digest} {self.subject} {','.join(self.scopes)}"


class Tokens:
    """The tokens of a file, or of a text such as the environment holds."""

    def __init__(self, place: Path | None = None, text: str = "") -> None:
        """Read the tokens.

        Raises:
            InvalidInput: a line is none, or there is no token at all.
            NotAllowed: others can read the file.
            NotReady: the file cannot be read.

        """
        self._place, self._seen = place, _state(place)
        self._known = _parsed(text, ENVIRONMENT, plain=True) if place is None else read(place)
        if not self._known:
            then = "`mcp-orchestrator token new` makes one and notes it in the file of the project."
            raise InvalidInput(ENVIRONMENT if place is None else str(place), "holds no token.", then=then)

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return whose token it is; each known one is compared, in the same time whichever it is."""
        self._reread()
        presented, found = digest(token[:LONGEST]), None
        for one in self._known:
            if hmac.compare_digest(one.digest, presented):
                found = one
        if found is None or len(token) > LONGEST:
            return None
        return AccessToken(
            token=found.digest, client_id=found.subject, subject=found.subject, scopes=list(found.scopes)
        )

    def _reread(self) -> None:
        if self._place is None or (state := _state(self._place)) == self._seen:
            return
        self._seen = state
        try:
            self._known = read(self._place)
        except (InvalidInput, NotAllowed, NotReady) as error:
            log.error("no token is accepted until this is mended: %s", error)  # noqa: TRY400 - the message says all
            self._known = []


def digest(token: str) -> str:
    """Return how a token stands in the file."""
    return f"sha256:{hashlib.sha256(token.encode('utf-8', 'replace')).hexdigest()}"


def read(place: Path) -> list[Entry]:
    """Return the tokens of a file.

    Raises:
        InvalidInput: a line is none; a token itself does not belong there.
        NotAllowed: others can read the file.
        NotReady: the file cannot be read.

    """
    try:
        handle = os.open(place, os.O_RDONLY)
        with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
            if os.name == "posix" and stat.S_IMODE(os.fstat(handle).st_mode) & 0o077:
                message = f"{place}: others can read the tokens. chmod 600 {place}"
                raise NotAllowed(message)
            text = file.read()
    except OSError as error:
        if isinstance(error, NotAllowed):
            raise
        message = f"{place} cannot be read: {error.strerror}. `mcp-orchestrator token new` makes it."
        raise NotReady(message) from error
    return _parsed(text, str(place), plain=False)


def added(place: Path, subject: str, scopes: Iterable[str]) -> str:
    """Make a token, note its digest in a file that only its owner can read, and return the token.

    Raises:
        InvalidInput: the subject or a scope is none.
        NotAllowed: others can read the file.

    """
    known = read(place) if place.exists() else []
    token = secrets.token_urlsafe(32)
    _write(place, [*known, _entry(digest(token), subject, ",".join(scopes), "token")])
    return token


def removed(place: Path, which: str) -> list[Entry]:
    """Take the tokens of a subject, or the one whose digest begins so, out of a file, and return them."""
    known = read(place)
    begun = which if which.startswith("sha256:") else f"sha256:{which}"
    gone = [one for one in known if one.subject == which or (len(which) >= 6 and one.digest.startswith(begun))]  # noqa: PLR2004 - as ids of runs
    if gone:
        _write(place, [one for one in known if one not in gone])
    return gone


def _write(place: Path, entries: Iterable[Entry]) -> None:
    place.parent.mkdir(0o700, parents=True, exist_ok=True)
    beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{one}\n" for one in entries)
    beside.replace(place)


def _parsed(text: str, where: str, *, plain: bool) -> list[Entry]:
    lines = re.split(r"[\n;]", text)
    entries: list[Entry] = []
    for number, line in enumerate(lines, 1):
        parts = line.partition("#")[0].split()
        if not parts:
            continue
        place = f"{where}, line {number}"
        if len(parts) != 3:  # noqa: PLR2004 - token, subject, scopes
            raise InvalidInput(place, "is not `token subject scope,scope`.", allowed=SCOPES)
        first, subject, scopes = parts
        if not DIGEST.fullmatch(first):
            if not plain:
                then = "`mcp-orchestrator token new` makes a token and notes only its digest."
                raise InvalidInput(place, "is a token, or none; the file holds digests (sha256:...).", then=then)
            first = digest(first)
        entries.append(_entry(first, subject, scopes, place))
    return entries


def _entry(known: str, subject: str, scopes: str, place: str) -> Entry:
    if not SUBJECT.fullmatch(subject):
        raise InvalidInput(place, "the subject must be 1 to 64 letters, digits, and any of . _ @ + -")
    given = tuple(dict.fromkeys(one for one in scopes.split(",") if one))
    for one in given or ("",):
        if one not in SCOPES:
            raise InvalidInput(place, f"{one!r} is no scope.", allowed=SCOPES)
    return Entry(known, subject, given)


def _state(place: Path | None) -> tuple[int, ...]:
    try:
        found = None if place is None else place.stat()
    except OSError:
        return ()
    return () if found is None else (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_mode)
