"""Secrets in texts: found by their shape, by the name that they are given, or because they are known.

The part that tells what it was stays, the rest becomes ``[redacted: ...]``. Texts of machine learning are full of long
runs of digits and letters that are no secrets (digests, ids of runs, encoded data), so a value without a shape of its
own counts only under a name that says so. Each shape is looked for only where its hint occurs, and none goes far back:
the time grows with the length of the text, whatever stands in it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import NamedTuple

__all__ = ["known", "named", "redacted", "redacted_value", "shown"]


class Shape(NamedTuple):
    """What a secret looks like: group 1 stays, group 2 is the secret."""

    what: str
    hints: tuple[str, ...]
    """What occurs in every text that has one, in small letters."""
    pattern: re.Pattern[str]
    secret: Callable[[str], bool] = lambda _: True


def _shape(what: str, hints: str, pattern: str, secret: Callable[[str], bool] = lambda _: True) -> Shape:
    return Shape(what, tuple(hints.split()), re.compile(pattern, re.ASCII), secret)


PLACEHOLDER = re.compile(
    r"<.*|\{.*|\(.*|\[.*|\$[{(].*|\$[A-Z_]+|%\w*%|%[s(].*|\.{1,3}/?.*|~?/.*|[A-Z]:\\.*|x+|\*+|-+|"
    r"(?:your|my|the|some|example|dummy|fake)[-_ ].*|.*(?:[_-]here|\.\.\.)|os\.environ.*|getenv.*|"
    r"(?:none|null|nil|true|false|required|optional|string|str|text|hidden|secret|token|password|passwd|passphrase|pass|"
    r"redacted|missing|empty|unset|changeme|prompt|env|bytes|integer|number|any|bearer|basic)",
    re.IGNORECASE | re.DOTALL,
)
PROSE = re.compile(r"[A-Za-z]?[a-z]*(?:[-_./:][a-z]+)*[.,;:!?]?|[A-Za-z_]+(?:\.[A-Za-z_]+)+")
"""Words and paths in small letters, and attributes in code."""
LEAST = 8


def _told(value: str) -> bool:
    """Whether a value is one, and does not stand in place of one."""
    return not PLACEHOLDER.fullmatch(value)


def _quoted(value: str) -> bool:
    """Whether a value in quotes may be a password."""
    return _told(value) and " " not in value.strip()


def _password(value: str) -> bool:
    """Whether a value without quotes may be a password, and is not prose."""
    return _told(value) and not PROSE.fullmatch(value)


def _token(value: str) -> bool:
    """Whether a value looks drawn rather than written: of many letters and digits, none much more often than others."""
    digits = sum(one.isdigit() for one in value)
    mixed = value.lower() != value and value.upper() != value
    if len(value) < 2 * LEAST or not digits or digits == len(value) or not (mixed or digits > 2):  # noqa: PLR2004
        return False
    counts = Counter(value[:200])
    whole = counts.total()
    return _told(value) and -sum(n / whole * math.log2(n / whole) for n in counts.values()) >= 3  # noqa: PLR2004 - bits


OURS = "".join(f"(?<!{one})" for one in ("model", "dataset", "artifact", "memory", "run"))
SECRET_NAME = r"(?:pass(?:word|wd|phrase)|pwd|secret)"  # noqa: S105 - a name
TOKEN_NAME = (
    r"(?:(?:secret[_-]?access|api|access|secret|private|account|encryption|signing|auth|shared[_-]?access)[_-]?key|"  # noqa: S105 - a name
    r"credentials?|(?:auth|access|refresh|bearer|api|session|id|bot)?[_-]?token)"
)
GIVEN = r"\\?[\"']?[ \t]{0,3}(?::=|=>|=|:)[ \t]{0,3}"
BARE = r"[^\s\"'`,;<>()\[\]{}&|]"
HINTS = "pass pwd secret"
KEYS = "key token secret credential"
SHAPES = (
    _shape(
        "private key",
        "private",
        r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----)"
        r"((?:(?!-----)[\s\S])++-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
        r"|(?:(?:\\[nr]|\s){0,4}[A-Za-z0-9+/=]{16,}+)++)",
    ),
    _shape("AWS key", "akia asia abia acca", r"\b(AKIA|ASIA|ABIA|ACCA)([0-9A-Z]{16})\b"),
    _shape("Google key", "aiza", r"(?<![\w-])(AIza)([\w-]{35})(?![\w-])"),
    _shape("Google token", "ya29. gocspx- 1//0", r"(?<![\w-])(ya29\.|GOCSPX-|1//0)([\w-]{24,})"),
    _shape("GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_", r"(gh[pousr]_|github_pat_)([A-Za-z0-9_]{22,})"),
    _shape("GitLab token", "gl", r"\b(gl(?:pat|rt|dt|ptt|cbt|agent|soat|ft|imt|oas)-)([\w.-]{20,})"),
    _shape("Slack token", "xox xapp-", r"\b(xox[abcdeprs](?:\.xox[a-z])?-|xapp-)([A-Za-z0-9-]{10,})"),
    _shape("Slack address", "hooks.slack.com", r"(hooks\.slack\.com/(?:services|workflows)/)([\w/-]{20,})"),
    _shape("Discord address", "discord", r"(discord(?:app)?\.com/api/webhooks/)([\w/-]{20,})"),
    _shape("Anthropic key", "sk-ant-", r"(?<![\w-])(sk-ant-)([\w-]{20,})"),
    _shape("API key", "sk-", r"(?<![\w-])(sk-(?:proj|svcacct|admin|or-v1|lf)-)([\w-]{20,})"),
    _shape("API key", "sk-", r"(?<![\w-])(sk-)([A-Za-z0-9]{32,})(?![\w-])"),
    _shape("Stripe key", "_live_ _test_ whsec_", r"\b([srp]k_(?:live|test)_|whsec_)([A-Za-z0-9+/=]{16,})"),
    _shape("Hugging Face token", "hf_", r"\b(hf_)([A-Za-z0-9]{34,})\b"),
    _shape("npm token", "npm_", r"\b(npm_)([A-Za-z0-9]{36,})\b"),
    _shape("PyPI token", "pypi-", r"\b(pypi-)([\w-]{50,})"),
    _shape("cloud token", "dop_v1_ dapi sg.", r"\b(dop_v1_|dapi|SG\.)([\w.-]{32,})", _token),
    _shape("web token", "eyj", r"(?<![\w-])(eyJ)([\w-]{8,}+\.[\w-]{8,}+(?:\.[\w-]+)*)"),
    _shape("token", "bearer basic", r"(?i)\b((?:bearer|basic) {1,3})([\w.~+/=-]{12,4096})", _token),
    _shape(
        "authorization",
        "authorization",
        r"(?i)(authorization\\?[\"']?\s{0,3}[:=]\s{0,3}\\?[\"']?(?:[a-z]{2,12} {1,3})?)([\w.~+/=-]{8,4096})",
        _password,
    ),
    _shape("password", "://", rf"{OURS}(://[^\s/@:\"'<>\[\]]{{0,200}}:)([^\s/@\"'<>]{{1,400}}+)(?=@)", _told),
    _shape("token", "://", rf"{OURS}(://)([^\s/@:\"'<>\[\]]{{16,400}}+)(?=@)", _token),
    _shape("signature", "sig", r"(?i)([?&](?:sig|signature|x-amz-signature|x-goog-signature)=)([\w%+/=-]{16,})"),
    _shape(
        "token", KEYS, r"(?i)([?&](?:access_token|api_?key|auth_?token|token|key|secret)=)([\w%+/=.~-]{12,})", _token
    ),
    _shape("password", HINTS, rf"(?i)({SECRET_NAME}{GIVEN}\\?\")([^\"\n\\]{{6,400}}+)(?=\\?\")", _quoted),
    _shape("password", HINTS, rf"(?i)({SECRET_NAME}{GIVEN}\\?')([^'\n\\]{{6,400}}+)(?=\\?')", _quoted),
    _shape("password", HINTS, rf"(?i)((?:{SECRET_NAME}|[_-]pass){GIVEN})({BARE}{{6,400}})", _password),
    _shape("password", "--pass", rf"(?i)(--pass(?:word|wd|phrase)?[ =]\"?)({BARE}{{6,400}})", _password),
    _shape("token", KEYS, rf"(?i)({TOKEN_NAME}{GIVEN}[\"'\\]{{0,2}})({BARE}{{16,4096}})", _token),
    _shape("token", KEYS, rf"(?i)(--(?:api-key|token|secret|access-key)[ =]\"?)({BARE}{{16,4096}})", _token),
)
PASSWORDS = re.compile(rf"(?i)(?:.*[^a-z])?pass|.*{SECRET_NAME}", re.DOTALL)
TOKENS = re.compile(rf"(?i).*{TOKEN_NAME}", re.DOTALL)
SHORTEST = 6
NAMED = re.compile(
    r"(?i)(?:.*_)?(?:PASSWORD|PASSWD|PASSPHRASE|PASS|SECRET|TOKEN|(?:API|ACCESS|SECRET|PRIVATE|AUTH)_?KEY|CREDENTIALS?)"
)
OF_HINT = [
    (hint, [number for number, one in enumerate(SHAPES) if hint in one.hints])
    for hint in sorted({hint for one in SHAPES for hint in one.hints})
]
LONG, SEVERAL = 4000, 2000
"""Characters of a text, and texts, of which it is remembered what they may have: what is shown is shown again."""
_known: list[str] = []


def known(values: Iterable[str]) -> None:
    """Have these values redacted from now on, wherever they occur; those of less than 8 characters are left out."""
    fresh = {one for one in values if len(one) >= LEAST and one not in "[redacted: known secret]"}
    _known[:] = sorted({*_known, *fresh}, key=lambda one: (-len(one), one))


def named(environ: Mapping[str, str]) -> list[str]:
    """Return the values of those variables of an environment whose names say that they are secret; paths are none."""
    return [
        value
        for name, value in environ.items()
        if NAMED.fullmatch(name) and _password(value) and not value.startswith(("/", "./", "~"))
    ]


def redacted(text: str) -> tuple[str, int]:
    """Return a text with ``[redacted: ...]`` in place of secrets, and how many there were."""
    found = 0
    for value in _known:
        if value in text:
            found += text.count(value)
            text = text.replace(value, "[redacted: known secret]")
    for number in _likely(text):
        text, more = _without(text, SHAPES[number])
        found += more
    return text, found


def shown(text: str) -> str:
    """Return a text that was kept without the secrets whose shapes are known by now."""
    if len(text) > LONG or _remembered(text) or any(value in text for value in _known):
        return redacted(text)[0]
    return text


def _likely(text: str) -> tuple[int, ...]:
    """Return which shapes a text may have, by what must stand in its small letters."""
    small = text.lower()
    likely = [numbers for hint, numbers in OF_HINT if hint in small]
    return tuple(sorted({number for numbers in likely for number in numbers})) if likely else ()


_remembered = lru_cache(SEVERAL)(_likely)


def redacted_value(name: str, value: str) -> tuple[str, int]:
    """Return a value that stands under a name without its secrets, and how many there were."""
    kept, found = redacted(value)
    if found or len(kept) < SHORTEST:
        return kept, found
    if (PASSWORDS.fullmatch(name) and _quoted(kept)) or (TOKENS.fullmatch(name) and _token(kept)):
        return "[redacted: value of a secret name]", 1
    return kept, 0


def _without(text: str, shape: Shape) -> tuple[str, int]:
    found = 0

    def replacement(one: re.Match[str]) -> str:
        nonlocal found
        if one[2].startswith("[redacted: ") or not shape.secret(one[2]):
            return one[0]
        found += 1
        return f"{one[1]}[redacted: {shape.what}]"

    return shape.pattern.sub(replacement, text), found
