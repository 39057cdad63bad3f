"""Whether each message had one owner at a time and was worked on: from what its readers noted."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

__all__ = ["findings", "noted"]


@dataclass
class Hold:
    """A claim: it is one's own from when it was made to when its lease is over or it is given up."""

    fence: int
    by: str
    until: int
    begun: int | None = None
    ended: int | None = None
    counted: int = 0

    @property
    def over(self) -> int:
        """When nobody could rely on it any more."""
        return self.until if self.ended is None else min(self.until, self.ended)


def noted(folder: Path, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return what the readers have noted; the last line of one that writes may not be whole yet."""
    lines: list[dict[str, Any]] = []
    for name in names:
        path = folder / f"{name}.log"
        text = path.read_text("utf-8") if path.exists() else ""
        lines += [json.loads(line) for line in text.split("\n")[:-1]]
    return lines


def findings(lines: list[dict[str, Any]], states: Mapping[str, str]) -> list[str]:
    """Return what is wrong with what the readers noted, and with what became of the messages."""
    held: dict[str, dict[int, Hold]] = defaultdict(dict)
    found: list[str] = []
    for one in lines:
        uid, fence = one["uid"], one["fence"]
        hold = held[uid].get(fence)
        if one["what"] == "claimed":
            if hold is not None:
                found.append(f"{uid} was claimed twice with fence {fence}: by {hold.by} and {one['by']}")
            held[uid][fence] = Hold(fence, one["by"], one["until"])
        elif hold is None:
            found.append(f"{uid} was {one['what']} with fence {fence} by {one['by']}, who had not claimed it")
        else:
            _follow(hold, one)
    for uid, state in states.items():
        found += [f"{uid} {problem}" for problem in _problems(list(held[uid].values()), state)]
    return found


def _follow(hold: Hold, one: dict[str, Any]) -> None:
    match one["what"]:
        case "begun":
            hold.begun = one["at"]
        case "extended":
            hold.until = max(hold.until, one["until"])
        case "ending":
            hold.ended = one["at"]
        case "done":
            hold.counted = one["counted"]
        case _:
            pass


def _problems(holds: list[Hold], state: str) -> Iterator[str]:
    if state != "acked":
        yield f"is {state}"
    done = [one for one in holds if one.counted]
    if len(done) > 1:
        yield f"was acknowledged {len(done)} times"
    if not done and not any(one.ended for one in holds):
        yield "was never worked on to its end"
    if done and done[0].fence != max(one.fence for one in holds):
        yield "was claimed again after it was acknowledged"
    worked = sorted((one for one in holds if one.begun is not None), key=lambda one: one.begun or 0)
    for one, other in pairwise(worked):
        if other.fence <= one.fence:
            yield f"went back from fence {one.fence} to {other.fence}"
        if (other.begun or 0) < one.over:
            yield f"was worked on by {other.by} while it was that of {one.by}"
