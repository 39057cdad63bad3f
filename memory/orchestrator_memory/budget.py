"""How texts are made to fit: the long ones are cut, at the end of a sentence where there is one."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["BYTES", "LEAST", "cut", "fitted", "tokens"]

BYTES = 4
"""Bytes that are counted as a token; a tokenizer of a model counts English by about as many."""
LEAST = 240
"""Bytes of a text below which it is rather left out than cut."""
END = re.compile(r"[.!?](?=\s)|\n")


def tokens(size: int) -> int:
    """Return about how many tokens so many bytes are."""
    return -(-size // BYTES)


def fitted(texts: Sequence[str], most: int) -> list[str]:
    """Return as many of the texts as fit into ``most`` tokens, the first ones first, the longest ones cut.

    All have the same right to room: what short ones leave is shared by the long ones. One is left out when its share
    would be less than `LEAST` bytes; the first one never is.
    """
    for count in range(len(texts), 0, -1):
        sizes = [len(one.encode()) for one in texts[:count]]
        share = _share(sizes, most * BYTES)
        if share >= LEAST or share >= max(sizes) or count == 1:
            return [one if size <= share else cut(one, share) for one, size in zip(texts, sizes, strict=False)]
    return []


def cut(text: str, size: int) -> str:
    """Return the beginning of a text in at most ``size`` bytes, to the end of a sentence or of a word, with `` …``."""
    mark = " …"
    head = text.encode()[: max(0, size - len(mark.encode()))].decode(errors="ignore")
    ends = [found.end() for found in END.finditer(head)]
    if ends and ends[-1] > len(head) // 2:
        head = head[: ends[-1]]
    elif " " in head:
        head = head[: head.rindex(" ")]
    return head.rstrip() + mark


def _share(sizes: Sequence[int], room: int) -> int:
    """Return the size to which texts are cut so that all of them fill the room."""
    left = room
    for place, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - place)
        if size > share:
            return share
        left -= size
    return max(sizes)
