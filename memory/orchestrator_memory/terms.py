"""What a question looks for: its words, without those that every text has."""

from __future__ import annotations

import re

__all__ = ["MOST", "begins", "pairs", "quoted", "terms", "unjoined"]

MOST = 32
"""Terms of a question that are looked for; a question is a sentence, not a document."""
LONGEST = 4000
"""Characters of a question that are read."""
NAME = 100
"""Characters of a word or of a joined name; what is longer is none."""
SHORTEST, ENDING = 4, 3
"""Letters of a beginning at least, and of an ending at most."""
WORDS = re.compile(r"[^\W_]+(?:[_.@:/-]+[^\W_]+)*")
PARTS = re.compile(r"[^\W_]+")
LETTERS, INNER = re.compile(r"[A-Za-z]+"), re.compile(r"[a-z][A-Z]")
UNSPACED = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff]{2,}")
"""Runs of signs of the scripts of China, Japan and Korea."""
CAMEL = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
COMMON = """
a about above after again all also am an and any anything are as ask at be because been before being below between both
but by came can come could did do does doing done down during each either else ever every everything few find for from
further get gets getting give given go goes going got had has have having he her here hers him his how i if in instead
into is it its itself just know known let like look made make makes many may me might more most much must my need needs
no nor not now of off often on once one only or other others our ours out over own please recall remember same say see
shall she should show so some something still such take tell than that the their them then there these they thing things
this those through to too told try under until up upon us use used uses using very want wanted was way we were what when
where whether which while who whom why will with within without would yes yet you your
"""
STOP = frozenset(COMMON.split())


def terms(question: str) -> list[str]:
    """Return the words of a question, each once; joined names (``max_depth``, ``RandomForest``) and their parts.

    Of scripts that put no blanks between words there are `pairs` besides. Words that every text has are left out, but
    not where there are no others.
    """
    read = question[:LONGEST]
    found: dict[str, None] = {}
    for one in WORDS.findall(read.lower()):
        found.update(dict.fromkeys([one, *PARTS.findall(one)]))
    found.update(dict.fromkeys(name.lower() for name in unjoined(read)))
    found.update(dict.fromkeys(pairs(read)))
    short = [one for one in found if len(one) <= NAME]
    telling = [one for one in short if one not in STOP and (len(one) > 1 or one.isdigit())]
    return (telling or short)[:MOST]


def unjoined(text: str) -> list[str]:
    """Return the parts of each JoinedName of a text, with spaces between them."""
    if not INNER.search(text):
        return []
    names = dict.fromkeys(one for one in LETTERS.findall(text) if INNER.search(one))
    return [" ".join(CAMEL.findall(one)) for one in names]


def pairs(text: str) -> list[str]:
    """Return each two signs that stand together in a script that puts no blanks between words: they make words there.

    The index takes a run of such signs for one word.
    """
    if text.isascii():
        return []
    return list(dict.fromkeys(run[at : at + 2] for run in UNSPACED.findall(text) for at in range(len(run) - 1)))


def quoted(term: str) -> str:
    """Return a term as a phrase for FTS5, in which nothing is an operator."""
    return '"' + term.replace('"', '""') + '"'


def begins(word: str) -> str:
    """Return the beginning by which other forms of a word are found; none of a short word, or of a name."""
    return word[: max(SHORTEST, len(word) - ENDING)] if word.isalpha() and len(word) >= SHORTEST + 2 else ""
