"""A checklist for prompts: what a reader needs in order to do the task, looked for by rules.

It finds what is written, not whether it is good: a prompt that passes every check may still ask for the wrong thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

__all__ = ["CHECKS", "Finding", "check_prompt"]

VERBS = (
    "add|analyze|annotate|answer|argue|arrange|assess|build|calculate|categorize|check|choose|"
    "cite|classify|clean|compare|complete|compose|compute|condense|continue|convert|correct|"
    "count|create|critique|debug|decide|define|describe|design|detect|determine|discuss|draft|"
    "draw|edit|estimate|evaluate|examine|expand|explain|extract|fill|find|fix|format|"
    "generate|give|group|identify|implement|improve|infer|interpret|judge|label|list|locate|"
    "make|match|merge|name|normalize|optimize|order|organize|outline|paraphrase|parse|plan|"
    "predict|prepare|produce|propose|prove|provide|rank|rate|read|recommend|refactor|remove|"
    "rename|rephrase|replace|report|respond|return|review|revise|rewrite|score|search|select|"
    "separate|show|simplify|solve|sort|split|state|structure|suggest|summarize|tag|tell|test|"
    "transcribe|transform|translate|turn|update|use|validate|verify|write"
)
START = r"(?:^|[.!?:;]\s+|\n\s*(?:[-*+]|\d+[.)])?\s*)"
TASK = re.compile(
    rf"{START}(?:please\s+|now\s+|then\s+|carefully\s+)*(?:{VERBS})\b"
    rf"|\b(?:your (?:task|job|goal) is|you (?:will|should|must|need to|have to)|i (?:want|need|would like) you to)\b",
    re.IGNORECASE,
)
OUTPUT = re.compile(
    r"\b(?:json|yaml|xml|csv|markdown|html|table|bullets?|bullet points?|numbered list|list of|schema|code block|"
    r"(?:output|response|answer) format|format|in (?:one|two|three|\d+) (?:words?|sentences?|paragraphs?|lines?)|"
    r"(?:at most|no more than|up to|exactly|within|under|about|around|maximum of) \d+ (?:words?|sentences?|lines?|"
    r"items?|characters?|paragraphs?|tokens?)|yes or no|true or false|respond (?:only )?with|return only|reply with)\b",
    re.IGNORECASE,
)
LIMITS = re.compile(
    r"\b(?:must|only|exactly|at least|at most|no more than|never|always|do not|don't|without|unless|except|if)\b|\d"
    r"|[\"“'`].+?[\"”'`]",
    re.IGNORECASE,
)
CONTEXT = re.compile(
    r"\b(?:you are|act as|as an? \w+ (?:expert|engineer|analyst|teacher|writer|assistant)|audience|readers?|context|"
    r"background|given|below|following|because|so that|in order to|the goal|purpose|used (?:for|by|to))\b",
    re.IGNORECASE,
)
EXAMPLES = re.compile(
    r"\b(?:for example|for instance|e\.g\.|examples?|such as|input\s*:|output\s*:)|```", re.IGNORECASE
)
STRUCTURE = re.compile(r"(?m)^\s*(?:#{1,6}\s|[-*+]\s|\d+[.)]\s|```|<\w+>)|\n\s*\n")
VAGUE = re.compile(
    r"\b(?:some|something|stuff|things?|etc|maybe|perhaps|somehow|nice|good|better|properly|appropriate(?:ly)?|"
    r"as needed|and so on|kind of|sort of|a bit|whatever|interesting|various)\b",
    re.IGNORECASE,
)
UNFINISHED = re.compile(r"\b(?:TODO|TBD|FIXME|XXX)\b|lorem ipsum|\?\?\?", re.IGNORECASE)
LONG = 120
SENTENCE = 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: its share of the score, how far it is met, and what to do."""

    name: str
    weight: float
    score: float
    says: str


Check = Callable[[str], tuple[float, str]]


def _task(text: str) -> tuple[float, str]:
    if TASK.search(text):
        return 1.0, "It says what to do."
    if "?" in text:
        return 0.6, "It asks a question; say what to do with it."
    return 0.0, "Say what to do, with a verb: summarize, classify, extract."


def _output(text: str) -> tuple[float, str]:
    if OUTPUT.search(text):
        return 1.0, "It says what the answer looks like."
    return 0.0, "Say what the answer looks like: its format and its length."


def _limits(text: str) -> tuple[float, str]:
    found = len(LIMITS.findall(text))
    if found >= 3:
        return 1.0, "It sets limits and names particulars."
    return found / 3, "Set limits: what must be there, what must not, how many."


def _context(text: str) -> tuple[float, str]:
    found = len({match.lower() for match in CONTEXT.findall(text)})
    if found >= 2:
        return 1.0, "It gives context."
    return found / 2, "Give context: for whom, from what, what for."


def _examples(text: str) -> tuple[float, str]:
    if EXAMPLES.search(text):
        return 1.0, "It shows an example."
    return 0.0, "Show one example of input and answer."


def _structure(text: str) -> tuple[float, str]:
    if len(text.split()) <= LONG or len(STRUCTURE.findall(text)) >= 3:
        return 1.0, "It is short, or in parts."
    return 0.0, f"It is longer than {LONG} words: divide it by headings, lists or paragraphs."


def _clarity(text: str) -> tuple[float, str]:
    words = text.split()
    if UNFINISHED.search(text):
        return 0.0, "It holds an unfinished place (TODO, ???)."
    vague = VAGUE.findall(text)
    sentences = [part for part in re.split(r"[.!?\n]+", text) if part.strip()]
    longest = max((len(part.split()) for part in sentences), default=0)
    score = max(0.0, 1 - 12 * len(vague) / max(len(words), 1)) * min(1.0, SENTENCE / max(longest, 1))
    if score == 1:
        return 1.0, "It is plain."
    hints = [f"say it without {', '.join(sorted({one.lower() for one in vague})[:5])}"] if vague else []
    hints += [f"the longest sentence has {longest} words"] if longest > SENTENCE else []
    return score, f"Be plain: {'; '.join(hints)}."


CHECKS: dict[str, tuple[float, Check]] = {
    "task": (0.25, _task),
    "output": (0.15, _output),
    "limits": (0.15, _limits),
    "context": (0.15, _context),
    "examples": (0.10, _examples),
    "structure": (0.10, _structure),
    "clarity": (0.10, _clarity),
}


def check_prompt(text: str) -> Iterator[Finding]:
    """Run every check on a prompt."""
    for name, (weight, check) in CHECKS.items():
        score, says = check(text)
        yield Finding(name, weight, score, says)
