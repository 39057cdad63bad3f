"""What the bytes of a text file are: their encoding, whether quotes occur, and whether they are text at all."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from mcp_orchestrator.errors import DataRejected
from mcp_orchestrator.methods.tables.stream import told

__all__ = ["Bytes", "opened", "scan"]

BLOCK = 1 << 22
WINDOW = 1 << 16
MARKS = (  # UTF-32 first: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
LEGACY = [
    "cp1252",
    "cp1250",
    "cp1251",
    "cp1253",
    "cp1254",
    "cp1255",
    "cp1256",
    "koi8_r",
    "shift_jis",
    "euc_jp",
    "gb18030",
    "big5",
    "euc_kr",
    "mac_roman",
]
CENTRAL = re.compile(rb"[\xa3\xa5\xaf\xb3\xb9\xbc\xbe][A-Za-z\xc0-\xff]|[A-Za-z\xc0-\xff]\xbf[A-Za-z\xc0-\xff]")
"""Bytes inside words that are signs in Western but letters in Central Europe: the detector cannot tell the two."""


@dataclass(frozen=True, kw_only=True)
class Bytes:
    """What one look at all bytes of a file says."""

    encoding: str
    size: int
    quotes: int
    nul: bool
    warning: str = ""


@contextmanager
def opened(path: Path, *, packed: bool) -> Generator[BinaryIO]:
    """Open a file, through gzip when it is ``packed``.

    Raises:
        DataRejected: the packed file is damaged.

    """
    try:
        with cast("BinaryIO", gzip.open(path, "rb")) if packed else path.open("rb") as file:
            yield file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataRejected(f"{path.name} is not a whole gzip file: {told(error)}.", then="Pack it again.") from error


def scan(path: Path, *, packed: bool, most: int) -> Bytes:
    """Look at every byte once, a block at a time.

    Raises:
        DataRejected: the file is empty, larger than ``most`` bytes when unpacked, or UTF-8 with damaged places.

    """
    size = quotes = 0
    nul = False
    bad: bytes | None = None
    with opened(path, packed=packed) as file:
        head = file.read(BLOCK)
        wide = _wide(head)
        decoder = codecs.getincrementaldecoder(wide or "utf-8")()
        block = head
        while block:
            size += len(block)
            if size > most:
                raise DataRejected(
                    f"{path.name} unpacks to more than {most:,} bytes.", then="Raise the setting max_bytes."
                )
            quotes += block.count(b'"')
            nul = nul or (not wide and b"\0" in block)
            following = file.read(BLOCK)
            if bad is None:
                try:
                    decoder.decode(block, final=not following)
                except UnicodeDecodeError as error:
                    if wide:
                        raise DataRejected(f"{path.name} is not valid {wide.upper()}: {error.reason}.") from error
                    begin = max(0, error.start - WINDOW // 2)
                    bad = error.object[begin : begin + WINDOW]
            block = following
    if not size or not head.strip(b" \t\r\n\xef\xbb\xbf"):
        raise DataRejected(f"{path.name} is empty.", then="Give a file with a header and rows.")
    if bad is None:
        return Bytes(encoding=wide or "utf-8", size=size, quotes=quotes, nul=nul)
    encoding = _proved(path, _legacy(path, bad), packed=packed)
    warning = f"The file is not UTF-8; it was read as {encoding}, a guess from its bytes. Check letters with accents."
    return Bytes(encoding=encoding, size=size, quotes=quotes, nul=nul, warning=warning)


def _wide(head: bytes) -> str:
    """Return UTF-16 or UTF-32 by the mark, or by the zero bytes that Western text has in every second place."""
    for mark, encoding in MARKS:
        if head.startswith(mark):
            return encoding
    even, odd = head[:WINDOW:2].count(0), head[1:WINDOW:2].count(0)
    half = max(1, len(head[:WINDOW]) // 2)
    if odd / half > 0.4 and even / half < 0.05:
        return "utf-16-le"
    if even / half > 0.4 and odd / half < 0.05:
        return "utf-16-be"
    return ""


def _proved(path: Path, encoding: str, *, packed: bool) -> str:
    """Return the encoding if all bytes have a meaning in it; Western text that has others is Latin-1.

    Raises:
        DataRejected: a byte has no meaning.

    """
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with opened(path, packed=packed) as file:
            while block := file.read(BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        if encoding == "cp1252":
            return "latin-1"
        raise DataRejected(
            f"{path.name} is neither UTF-8 nor, as its first letters suggest, {encoding}: {error.reason}.",
            then="Export it again as UTF-8.",
        ) from error
    return encoding


def _legacy(path: Path, window: bytes) -> str:
    """Guess the encoding of text that is not UTF-8 from the bytes around the first place that shows it."""
    text = window.decode("utf-8", errors="replace")
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    sound = sum(character > "\x7f" for character in text) - broken
    if sound > 3 * broken:
        place = text.index("\N{REPLACEMENT CHARACTER}")
        near = text[max(0, place - 20) : place + 20].replace("\n", " ").replace("\r", " ")
        raise DataRejected(f"{path.name} is UTF-8 with damaged bytes, first near {near!r}.", then="Export it again.")
    from charset_normalizer import from_bytes

    lines = b"\n".join(line for line in window.splitlines() if not line.isascii()) or window
    guesses = list(from_bytes(lines, cp_isolation=LEGACY))
    western = any("cp1252" in guess.could_be_from_charset for guess in guesses) or not guesses
    if western and not CENTRAL.search(lines):
        return "cp1252"
    return next((guess.encoding for guess in guesses if guess.encoding != "cp1252"), "cp1252")
