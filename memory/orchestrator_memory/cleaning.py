"""Characters that are not text: controls, and those that turn, hide or join what stands around them."""

from __future__ import annotations

import re
import unicodedata

__all__ = ["cleaned"]

DECEIVING = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ufe00-\ufe0d\U000e0000-\U000e007f\U000e0100-\U000e01ef\ud800-\udfff]"
)


def cleaned(text: str) -> str:
    """Return a text in normal form C, with line feeds for line ends, without characters that deceive a reader."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return unicodedata.normalize("NFC", DECEIVING.sub("", lines)).strip()
