"""Recalled text as data: what somebody once wrote must not be taken for what somebody asks now."""

from __future__ import annotations

import re

__all__ = ["suspicions"]

ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget)\b.{0,40}\b(?:previous|prior|above|all|earlier)\b", re.IGNORECASE | re.DOTALL
)


def suspicions(text: str) -> tuple[str, ...]:
    """Return what a text has in it that looks like an attempt to give orders to its reader."""
    return ("gives orders",) if ORDERS.search(text) else ()
