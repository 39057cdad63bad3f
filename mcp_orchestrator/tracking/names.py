"""What models and aliases may be called, and how a reference to one is written."""

from __future__ import annotations

import re

from mcp_orchestrator.errors import InvalidInput

__all__ = ["DIGEST", "check_alias", "check_name", "parse"]

DIGEST = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"(?![0-9a-f]{64}$)[A-Za-z0-9][\w.-]{0,79}", re.ASCII)
ALIAS = re.compile(r"(?!latest$|v\d+$)[A-Za-z][\w-]{0,39}", re.ASCII)
REF = re.compile(r"(?:model://)?(?P<name>[^@/]+)(?:@(?P<which>[^@/]+))?")


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a model.

    Raises:
        InvalidInput: it cannot.

    """
    if not NAME.fullmatch(name):
        raise InvalidInput(
            "name",
            f"{name!r} cannot name a model.",
            then="Begin with a letter or digit, then letters, digits, _ . or -, up to 80 in all.",
        )


def check_alias(alias: str) -> None:
    """Refuse what cannot be an alias.

    Raises:
        InvalidInput: it cannot.

    """
    if not ALIAS.fullmatch(alias):
        raise InvalidInput(
            "alias",
            f"{alias!r} cannot be an alias.",
            then="Begin with a letter, then letters, digits, _ or -, up to 40 in all; "
            "'latest' and 'v1', 'v2'... already mean versions.",
        )


def parse(ref: str) -> tuple[str, str | None]:
    """Split a reference into the name, or digest, and what stands behind the @.

    Raises:
        InvalidInput: it is not a reference to a model.

    """
    match = REF.fullmatch(ref)
    if match is None:
        raise InvalidInput(
            "model", f"{ref!r} is not a reference.", then="Write name, name@alias, name@3 or model://digest."
        )
    return match["name"], match["which"]
