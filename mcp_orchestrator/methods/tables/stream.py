"""What a source gives: blocks of columns, either as text that is still to be read or already typed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Source", "Stream", "Tell", "told"]

Tell = Callable[[float], None]


@dataclass(kw_only=True)
class Stream:
    """The blocks of one table, in order; ``warnings`` and ``unnamed`` are complete when the blocks are read."""

    blocks: Iterator[pa.RecordBatch]
    typed: bool = False
    warnings: list[str] = field(default_factory=list[str])
    unnamed: set[str] = field(default_factory=set[str])


@dataclass(frozen=True, kw_only=True)
class Source:
    """A table that may be read: its name, where it came from (without secrets), and how to open it.

    ``stamp`` changes whenever the content may have changed; None means that it cannot be known cheaply.
    """

    name: str
    origin: str
    open: Callable[[Tell], Stream]
    stamp: tuple[object, ...] | None = None


def told(error: BaseException | None) -> str:
    """Return the first line of what a library says, as a part of a sentence."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(". ") if lines else type(error).__name__
