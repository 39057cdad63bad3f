"""What a call would change in the registry of models, as a person is asked about it: from the registry as it is now.

Where it is known which alias moves, and it moves once, the call is bound to how often it has moved: what a person says
yes to is then done to that state, or not at all.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, cast

from mcp_orchestrator.errors import InvalidInput, NotReady, UnknownName
from mcp_orchestrator.server.scopes import moved, unseen
from mcp_orchestrator.tracking.aliases import holders
from mcp_orchestrator.tracking.consents import key
from mcp_orchestrator.tracking.deletions import free
from mcp_orchestrator.tracking.needs import naming, needing, same
from mcp_orchestrator.tracking.versions import CHALLENGER, CHAMPION, Version, Versions
from mcp_orchestrator.workflows.references import Missing, Reference, follow, referring, resolve

__all__ = ["MOST", "UNSEEN", "Plan", "legible", "plan"]

MOST = 50
FEW = 5
SHOWN = 200
UNSEEN = "A graph within the graph is made while it runs: it may move any alias of any model."


class Plan(NamedTuple):
    """What a call would change.

    ``lines`` tell it, one for each change; ``generations`` are how often each alias has moved that would move, and
    ``places`` where the call can say so.
    """

    lines: list[str]
    generations: dict[str, int]
    places: list[tuple[str, dict[str, Any]]]

    @property
    def text(self) -> str:
        """What the person reads."""
        return self.lines[0] if len(self.lines) == 1 else "\n".join(f"- {line}" for line in self.lines)

    def bind(self, generations: Mapping[str, int]) -> None:
        """Have the call do what it does to this state, or not at all."""
        for alias, params in self.places:
            params.setdefault("generation", generations[alias])


class Move(NamedTuple):
    """One capability that changes the registry, as it stands in a call."""

    capability: str
    params: dict[str, Any]
    known: dict[str, Any]
    step: str = ""
    repeated: bool = False


def plan(versions: Versions, call: dict[str, Any]) -> Plan:
    """Return what a call would change in the registry as it is now.

    Raises:
        InvalidInput: it would change more than a person can read at once.
        NotReady: what it wants to replace, or to go back to, is not there.
        UnknownName: there is no such model or version.

    """
    found = list(_moves(call))
    if len(found) > MOST:
        problem = f"changes the registry of models in {len(found)} places, at most {MOST}."
        raise InvalidInput("graph", problem, then="Send it in parts, so that a person can read each.")
    generations: dict[str, int] = {}
    places: list[tuple[str, dict[str, Any]]] = []
    times = Counter(_alias(one) for one in found)
    lines: list[str] = []
    for one in found:
        alias = _alias(one)
        once = not one.repeated and (times[alias] == 1 or alias is None)
        lines.append(f"Step {one.step!r}: {_step(versions, one, once=once)}" if one.step else _line(versions, one))
        if _deletes(one):  # which is not done to another state than was shown, nor out of its model's history
            champion = (one.known["name"], CHAMPION)
            generations[key(*champion)] = versions.generation(*champion)
        elif alias is not None:
            generations[key(*alias)] = versions.generation(*alias)
            if once:
                places.append((key(*alias), one.params))
    return Plan([*lines, *([UNSEEN] if unseen(call) else [])], generations, places)


def _moves(call: dict[str, Any]) -> Iterator[Move]:
    """Yield what moves aliases in a call, or in a graph anywhere within one, in its order."""
    inputs, graph = _object(call.get("inputs")), _object(call.get("graph"))
    if call.get("graph") is None:
        inputs, graph = _object(inputs.get("inputs")), _object(inputs.get("graph"))
    asked = {name: _object(one) for name, one in _object(graph.get("inputs")).items()}
    inputs = {**{name: one["default"] for name, one in asked.items() if "default" in one}, **inputs}
    steps = cast("object", graph.get("steps"))
    own = {id(one) for one in cast("list[object]", steps)} if isinstance(steps, list) else set[int]()
    for one in moved(call):
        params = _object(one.get("params"))
        known = dict(_filled(params, inputs) if id(one) in own else params)
        known |= {"version": _number(known["version"])} if "version" in known else {}
        yield Move(one["capability"], params, known, str(one.get("name", "")), one.get("each") is not None)


def _number(version: object) -> object:
    """Read a number of a version as its parameter is read."""
    whole = isinstance(version, str) and version.isascii() and version.isdecimal()
    return int(cast("str", version)) if whole or (isinstance(version, float) and version.is_integer()) else version


def _object(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _filled(params: dict[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters with the inputs of the graph in the places that refer to them."""

    def fill(value: object) -> Any:  # noqa: ANN401 - any JSON value
        def look(reference: Reference) -> Any:  # noqa: ANN401 - any JSON value
            if reference.kind != "$input" or reference.name not in inputs:
                raise Missing(reference.name)
            return follow(inputs[reference.name], reference.path, reference.name)

        try:
            return resolve(value, look)
        except Missing:
            return value

    return {name: fill(value) for name, value in params.items()}


def _alias(move: Move) -> tuple[str, str] | None:
    """Return which alias of which model is moved, where that is known."""
    alias = CHAMPION if move.capability == "promote" else move.known.get("alias", CHAMPION)
    name = move.known.get("name")
    known = move.capability != "delete" and isinstance(name, str) and isinstance(alias, str)
    return (cast("str", name), cast("str", alias)) if known else None


def _step(versions: Versions, move: Move, *, once: bool) -> str:
    """Tell the change of a step, which may be about what steps before it make."""
    try:
        return _line(versions, move) if once else f"{_about(move)}.{_reason(move.known)}"
    except (UnknownName, NotReady) as error:
        return f"{_about(move)}. As things are now: {error}{_reason(move.known)}"


def _line(versions: Versions, move: Move) -> str:
    """Tell one change in a sentence, with the versions' main metric beside each other."""
    known, alias = move.known, _alias(move)
    if _deletes(move):
        gone = versions.get(f"{known['name']}@{known['version']}")
        return f"{_deletion(versions, gone)}{_reason(known)}"
    if alias is None or (move.capability != "rollback" and not _plain(known.get("version"))):
        return f"{_about(move)}.{_reason(known)}"
    name, which = alias
    now = next((one for one in versions.list(name) if which in one.aliases), None)
    _expected(move, now, name, which, versions)
    number = _former(versions, name, which) if move.capability == "rollback" else known.get("version")
    then = versions.get(f"{name}@{number}") if number is not None else None
    deed = {"promote": "Promotion", "rollback": "Rollback"}.get(move.capability, "Alias")
    held, holds = _called(now, "no version"), _called(then, "no version (it is taken away)")
    also = f" It stops being the {CHALLENGER}." if which == CHAMPION and then and CHALLENGER in then.aliases else ""
    whole = f"{deed}: {which!r} of model {name!r} goes from {held} to {holds}.{_measured(now, then)}"
    return f"{whole}{also if move.capability == 'promote' else ''}{_reason(known)}"


def _deletes(move: Move) -> bool:
    """Whether a certain version of a certain model is deleted."""
    name, version = move.known.get("name"), move.known.get("version")
    return move.capability == "delete" and isinstance(name, str) and version is not None and _plain(version)


def _deletion(versions: Versions, gone: Version) -> str:
    """Tell what goes with a version, and what refers to it.

    Raises:
        NotReady: an alias points to it.

    """
    db, name = versions.door.read(), gone.name
    free(db, name, gone.version)
    twins = [one for one in same(db, gone.sha256) if one != f"{name}@{gone.version}"]
    users = list(dict.fromkeys([*needing(db, gone.sha256), *naming(db, name, gone.version)]))
    stays = f" Its bytes stay, since {_few(twins)} is the same model." if twins else ""
    used = (
        f" It is still referred to by {_few(users)}."
        if users
        else " No run or schedule that is still to work names it."
    )
    left = [one.version for one in versions.list(name) if one.version != gone.version]
    others = f"versions left: {_few(map(str, sorted(left, reverse=True)))}" if left else "no version is left then"
    return (
        f"Deletion, for good: version {gone.version} of model {name!r} ({gone.estimator}, {_sized(gone.bytes)}, no "
        f"alias; {others}).{_measured(gone, None)}{stays}{used}"
    )


def _sized(size: int) -> str:
    scale, unit = (1e6, "MB") if size >= 10**6 else (1e3, "kB")
    return f"{size / scale:.1f} {unit}" if size >= 10**3 else f"{size} bytes"


def _few(names: Iterable[str]) -> str:
    known = list(names)
    return ", ".join(known[:FEW]) + (f" and {len(known) - FEW} more" if len(known) > FEW else "")


def _expected(move: Move, now: Version | None, name: str, alias: str, versions: Versions) -> None:
    """Refuse what would be refused after the person was asked.

    Raises:
        NotReady: another version holds the alias than the one that is to be replaced, or it moved since.

    """
    replaced, generation = move.known.get("instead_of"), move.known.get("generation")
    present = versions.generation(name, alias)
    if isinstance(replaced, int) and (now is None or now.version != replaced):
        message = (
            f"Version {replaced} of {name!r} is not {alias!r}: {_called(now, 'no version')} is. Nothing was changed."
        )
        raise NotReady(message)
    if isinstance(generation, int) and generation != present:
        message = f"The alias {alias!r} of {name!r} is at generation {present}, not {generation}. Nothing was changed."
        raise NotReady(message)


def _former(versions: Versions, name: str, alias: str) -> int | None:
    past = holders(versions.door.read(), name, alias)
    if len(past) < 2:  # noqa: PLR2004 - the present one, and one before
        raise NotReady(f"No version of {name!r} was {alias!r} before the present one; there is nothing to go back to.")
    return past[-2]


def _about(move: Move) -> str:
    """Tell a change of which not everything is known yet, or of a kind that is told by its parameters."""
    hidden = {"why", "instead_of", "generation", "fence"}
    said = ", ".join(f"{name} {_said(value)}" for name, value in move.known.items() if name not in hidden)
    return f"production_registry.{move.capability}: {said}{', for each item of a list' if move.repeated else ''}"


def _said(value: object) -> str:
    if not referring(value):
        return _quoted(value)
    inner = cast("dict[str, Any]", value)
    return f"as step {_quoted(inner['$from'])} answers" if "$from" in inner else f"as {_quoted(inner)} says"


def _plain(value: object) -> bool:
    return value is None or (isinstance(value, int) and not isinstance(value, bool))


def _called(version: Version | None, none: str) -> str:
    return none if version is None else f"version {version.version}"


def _measured(now: Version | None, then: Version | None) -> str:
    """Tell the first metric of the versions, which is the one that was optimised or asked for."""
    known = [one for one in (now, then) if one is not None]
    name = next((name for one in reversed(known) for name in one.metrics), None)
    told = [
        f"version {one.version} {figure.value:.4g} ({figure.low:.4g} to {figure.high:.4g})"
        if name is not None and (figure := one.metrics.get(name)) is not None
        else f"version {one.version} unknown"
        for one in known
    ]
    return f" {name}: {', '.join(dict.fromkeys(told))}." if name is not None else ""


def _reason(known: Mapping[str, Any]) -> str:
    """Quote the reason that was given: it is the agent's word, and stands as such."""
    return f" The reason that was given: {_quoted(known['why'])}." if known.get("why") else ""


def _quoted(value: object) -> str:
    return legible(json.dumps(value, ensure_ascii=False, default=str))


def legible(text: str, most: int = SHOWN) -> str:
    """Return the beginning of a text of somebody else, on one line and without signs that hide or turn others."""
    shown = "".join(one if one.isprintable() else f"\\u{ord(one):04x}" for one in text[:most])
    return shown if len(text) <= most else f"{shown}..."
