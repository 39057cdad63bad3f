"""How many tokens a text has: by o200k where bpe-openai is installed, else a quarter of its bytes."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

__all__ = ["KINDS", "METHOD", "count"]

KINDS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
"""What Anthropic's endpoint, and programs that report likewise, count apart."""

METHOD = "o200k" if find_spec("bpe_openai") else "bytes/4"
"""How tokens are counted that no endpoint reports."""


def count(text: str) -> int:
    """Return the number of tokens of a text, by `METHOD`."""
    if METHOD == "o200k":
        return _encoding().count(text)
    return -(-len(text.encode()) // 4)


@cache
def _encoding() -> Any:
    import bpe_openai  # pyright: ignore[reportMissingImports]

    return bpe_openai.get_encoding("o200k_base")
