"""Secrets in texts: found by their shape, and replaced by what they were."""

from __future__ import annotations

import re

__all__ = ["redacted"]

SHAPES = {
    "private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)",
    "AWS key": r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
    "GitHub token": r"\b(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,})",
}
SECRET = re.compile("|".join(f"({shape})" for shape in SHAPES.values()))
NAMES = list(SHAPES)


def redacted(text: str) -> tuple[str, int]:
    """Return a text with ``[redacted: ...]`` in place of secrets, and how many there were."""
    return SECRET.subn(lambda found: f"[redacted: {NAMES[(found.lastindex or 1) - 1]}]", text)
