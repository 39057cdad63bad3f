"""The text by which a person's yes reaches a server that cannot ask: bound to one change, once, for ten minutes.

The agent gets it with what is to be shown, and sends it back after the person has said yes. Its second half is an HMAC
under a key of the state home, over all that the yes is about, so that none can be made up.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path

from mcp_orchestrator.server.sealing import secret
from mcp_orchestrator.tracking.consents import Consent

__all__ = ["genuine", "parts", "text"]

FORM = re.compile(r"([0-9a-f]{16})\.([0-9a-f]{32})")
LABEL = b"mcp-orchestrator/confirmation/1"


def text(home: Path, consent: Consent) -> str:
    """Return what is to be sent back for a consent."""
    return f"{consent.id}.{_mark(home, consent)}"


def parts(given: str) -> tuple[str, str]:
    """Return the id of the consent and the mark of a confirmation; two empty texts when it is none."""
    found = FORM.fullmatch(given.strip())
    return (found[1], found[2]) if found else ("", "")


def genuine(home: Path, consent: Consent, mark: str) -> bool:
    """Whether the mark was made here, for this consent."""
    return hmac.compare_digest(_mark(home, consent), mark)


def _mark(home: Path, consent: Consent) -> str:
    bound = [consent.id, consent.tool, consent.call, consent.generations, consent.subject, consent.expires]
    key = hmac.digest(secret(home), LABEL, "sha256")
    said = json.dumps(bound, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(key, said, hashlib.sha256).hexdigest()[:32]
