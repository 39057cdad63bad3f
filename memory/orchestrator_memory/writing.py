"""A memory as it is written: what was given is checked, cleaned and brought into columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from orchestrator_memory.errors import Refused
from orchestrator_memory.evidence import details, evidence, merged
from orchestrator_memory.intake import Text, number, taken, values
from orchestrator_memory.terms import pairs, unjoined
from orchestrator_memory.values import Impact, Kind, Memory, Origin

__all__ = ["BODY", "IMPORTANCE", "TITLE", "TRUST", "Draft", "again", "chosen", "digest", "draft", "indexed"]

BODY, TITLE, LABEL, LABELS, WORDS = 16 * 1024, 200, 100, 50, 8 * 1024
"""Bytes of a body, of a title, of a label; labels of a memory; bytes that are searched besides title and body."""
TRUST = {"tool": 0, "import": 0, "agent": 1, "user": 3, "run": 3}
PROVED = 2
"""The trust of what an agent says, and a run proves."""
IMPORTANCE = {None: 0.5, "low": 0.3, "medium": 0.5, "high": 0.7, "critical": 0.9}
KINDS, ORIGINS, IMPACTS = get_args(Kind), get_args(Origin), get_args(Impact)
NEW = {"valid_to": None, "superseded_by": None, "times": 1, "used": 0, "helpful": 0, "harmful": 0, "version": 1}
"""What holds of every memory that is new."""
NOTHING = Text("")
EMPTY = {list: "[]", dict: "{}"}
encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


@dataclass(frozen=True)
class Draft:
    """The columns of a memory, its lists and objects as values, and how many secrets were taken out of it."""

    columns: dict[str, Any]
    tags: list[str]
    data: dict[str, Any]
    evidence: dict[str, Any]
    aliases: list[str]
    flags: list[str]
    secrets: int

    def row(self) -> dict[str, Any]:
        """Return all columns as SQLite takes them."""
        given = {"tags": self.tags, "data": self.data, "evidence": self.evidence, "flags": self.flags}
        return self.columns | {name: encode(one) if one else EMPTY[type(one)] for name, one in given.items()}

    def memory(self, **more: Any) -> Memory:  # noqa: ANN401 - what a memory has besides
        """Return the memory that a new row is, without reading it again."""
        kept = (
            NEW | self.columns | {"tags": self.tags, "data": self.data, "evidence": self.evidence, "flags": self.flags}
        )
        del kept["digest"]
        return Memory.made(kept | more)


def draft(
    body: str,
    *,
    kind: str,
    title: str,
    area: str,
    tags: Iterable[str],
    aliases: Iterable[str],
    data: Mapping[str, Any] | None,
    impact: str | None,
    importance: float | None,
    confidence: float | None,
    proof: Mapping[str, Any] | None,
    run: str | None,
    origin: str,
    trust: int | None,
    proved: bool,
    source: str,
) -> Draft:
    """Check what a memory is made of.

    Raises:
        Refused: something of it is not acceptable.

    """
    chosen("kind", kind, KINDS)
    chosen("origin", origin, ORIGINS)
    if impact is not None:
        chosen("impact", impact, IMPACTS)
    text, headline = taken("body", body, BODY), _taken("title", title, TITLE)
    place, origin_text = _taken("area", area, LABEL), _taken("source", source, 1000)
    told, secrets = _values("data", details(kind, data))
    proven, more = _values("evidence", evidence(proof))
    labels, others = _labels("tags", tags), _labels("aliases", aliases)
    flags = sorted({*text.flags, *headline.flags})
    own = run if run is not None else next(iter(proven.get("runs", [])), None)
    columns = {
        "run": None if own is None else taken("run", own, 200).text,
        "kind": kind,
        "area": place.text.casefold(),
        "title": headline.text,
        "body": text.text,
        "impact": impact,
        "importance": number("importance", IMPORTANCE[impact] if importance is None else importance),
        "confidence": number("confidence", confidence),
        "origin": origin,
        "trust": _trust(origin, trust, proved=proved),
        "source": origin_text.text,
        "digest": digest(kind, headline.text, text.text),
    }
    found = text.secrets + headline.secrets + place.secrets + origin_text.secrets + secrets + more
    return Draft(columns, labels, told, proven, others, flags, found)


def digest(kind: str, title: str, body: str) -> bytes:
    """Return what tells whether two memories say the same: letters' case and white space do not count."""
    same = "\0".join(" ".join(part.casefold().split()) for part in (kind, title, body))
    return hashlib.blake2b(same.encode(), digest_size=16).digest()


def indexed(one: Draft, tags: Iterable[str], data: Mapping[str, Any], proof: Mapping[str, Any]) -> str:
    """Return what is searched besides title and body: labels, reasons, identifiers, parts of what is written as one."""
    said: list[str] = [one.columns["area"], *tags, *one.aliases]
    said += [data[name] for name in ("rationale",) if isinstance(data.get(name), str)]
    said += [text for text in data.get("alternatives", ()) if isinstance(text, str)]
    said += [name for several in ("runs", "models", "datasets") for name in proof.get(several, ())]
    said += [str(name) for name in proof.get("metrics", ())]
    said += [one.columns["run"] or ""]
    text = f"{one.columns['title']} {one.columns['body']}"
    said += [*unjoined(text), *pairs(text)]
    return _joined(said)


def again(old: Memory, words: str, one: Draft, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a memory that is written once more: what both writings say together.

    ``given`` has ``impact``, ``importance``, ``expires`` and ``pinned`` as the caller named them, and the time ``at``.
    """
    tags = sorted({*old.tags, *one.tags})[:LABELS]
    data, proof = merged(old.data, one.data), merged(old.evidence, one.evidence)
    graded = given["impact"] is not None or given["importance"] is not None
    ended = old.expires is not None and old.expires <= given["at"]
    return {
        "words": _joined([*indexed(one, tags, data, proof).split("\n"), *words.split("\n")]),
        "tags": values("tags", tags)[0],
        "data": values("data", data)[0],
        "evidence": values("evidence", proof)[0],
        "flags": encode(sorted({*old.flags, *one.flags})),
        "run": one.columns["run"] or old.run,
        "impact": given["impact"] or old.impact,
        "importance": one.columns["importance"] if graded else old.importance,
        "confidence": old.confidence if one.columns["confidence"] is None else one.columns["confidence"],
        "trust": max(old.trust, one.columns["trust"]),
        "pinned": int(old.pinned or given["pinned"]),
        "expires_at": given["expires"] if given["expires"] is not None or ended else old.expires,
        "updated_at": given["at"],
    }


def chosen(field: str, value: str, allowed: Iterable[str]) -> None:
    """Refuse a value that is not one of those allowed."""
    if value not in (several := tuple(allowed)):
        raise Refused(field, f"{str(value)[:80]!r} is not one of them.", allowed=several)


def _taken(field: str, text: str, most: int) -> Text:
    return taken(field, text, most, empty=True) if text else NOTHING


def _values(field: str, given: dict[str, Any]) -> tuple[dict[str, Any], int]:
    if not given:
        return {}, 0
    text, secrets = values(field, given)
    return json.loads(text), secrets


def _labels(field: str, given: Iterable[str]) -> list[str]:
    if isinstance(given, str):
        raise Refused(field, "is one text.", then="Give a list of texts.")
    if not given:
        return []
    several = "\n".join(" ".join(one.split()) for one in given)  # all at once, as each pass has its price
    kept = _taken(field, several, LABEL * LABELS).text.casefold().split("\n")
    labels = sorted({" ".join(one.split()) for one in kept} - {""})
    if len(labels) > LABELS:
        raise Refused(field, f"has {len(labels)} values, {LABELS} are kept.")
    for one in labels:
        if len(one.encode()) > LABEL:
            raise Refused(field, f"{one[:40]!r}… has {len(one.encode())} bytes, {LABEL} are kept.")
    return labels


def _trust(origin: str, asked: int | None, *, proved: bool) -> int:
    most = max(TRUST[origin], PROVED if proved and origin == "agent" else 0)
    if asked is None:
        return most
    if not 0 <= asked <= most:
        raise Refused("trust", f"is {asked}; what comes from {origin!r} has at most {most}.")
    return asked


def _joined(said: Iterable[str]) -> str:
    return "\n".join(dict.fromkeys(filter(None, said))).encode()[:WORDS].decode(errors="ignore")
