"""Characters that are not text: controls, and those that turn, hide or join what stands around them.

What is taken out is listed in `DECEIVING`: controls, marks of direction (Trojan Source, CVE-2021-42574), characters
without width, tags and variation selectors (in which whole messages can be hidden), fillers, halves of surrogate pairs.
Two kinds are kept where writing needs them: the joiners between letters of scripts that shape by them (Arabic, the
scripts of India, ...) and between parts of an emoji, and the selector that makes a picture of a symbol. So a flag made
of tags becomes a black flag, and a text from right to left loses its marks of direction, not its letters.
"""

from __future__ import annotations

import re
import unicodedata

__all__ = ["cleaned", "deceiving"]

BREAKS = re.compile("\r\n|[\r\u000b\u000c\u0085\u2028\u2029]")
COLOURS = re.compile(r"\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]")
"""Orders to a terminal (ECMA-48), which are taken out whole."""
DECEIVING = (
    "\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff\ud800-\udfff"
)
SHAPED = (
    "\u0600-\u06ff\u0700-\u08ff\u0900-\u0dff\u0f00-\u109f\u1780-\u17ff\u1800-\u18af"
    "\ua840-\ua87f\ufb50-\ufdff\ufe70-\ufefc"
)
"""Scripts in which a joiner changes how letters look, or what a word means."""
PICTURES = (
    "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u21ff\u2300-\u23ff\u24c2\u25a0-\u27bf\u2900-\u2bff\u3030\u303d\u3297\u3299"
    "\U0001f000-\U0001faff"
)
GONE = re.compile(f"[{DECEIVING}]")
JOINERS = re.compile(
    f"(?<![{SHAPED}])\u200c|\u200c(?![{SHAPED}])"
    f"|(?<![{SHAPED}{PICTURES}\ufe0f])\u200d|\u200d(?![{SHAPED}{PICTURES}])"
    f"|(?<![{PICTURES}#*0-9])\ufe0f|(?<=[#*0-9])\ufe0f(?!\u20e3)"
)
RUNS = re.compile("([\u200c\u200d\ufe0f])[\u200c\u200d\ufe0f]*([\u200c\u200d\ufe0f])")
PLAIN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
"""What is to be done in a text of ASCII alone."""


def cleaned(text: str) -> str:
    """Return a text in normal form C, with line feeds for line ends, without characters that deceive a reader."""
    if text.isascii() and not PLAIN.search(text):
        return text.strip()
    text = GONE.sub("", COLOURS.sub("", BREAKS.sub("\n", text)))
    if not text.isascii():
        text = unicodedata.normalize("NFC", _joined(text))
    return text.strip()


def deceiving(text: str) -> bool:
    """Whether a text has characters that `cleaned` takes out."""
    return bool(GONE.search(text) or JOINERS.search(text) or RUNS.search(text.replace("\ufe0f\u200d", "")))


def _joined(text: str) -> str:
    """Return a text without the joiners and selectors that join and select nothing."""
    while True:
        shorter = JOINERS.sub("", RUNS.sub(_one, text))
        if shorter == text:
            return text
        text = shorter


def _one(run: re.Match[str]) -> str:
    """Return what stays of several joiners in a row: a selector and a joiner, as in a heart on fire, or the first."""
    return "\ufe0f\u200d" if run[0].startswith("\ufe0f") and "\u200d" in run[0] else run[0][0]
