"""What JSON schemas tell of two ends before anything runs: whether a path exists, and whether an answer can fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from mcp_orchestrator.errors import nearest
from mcp_orchestrator.workflows.references import shown

__all__ = ["ANY", "NoSuchPath", "Schema", "at", "clash", "kinds"]

Schema = Mapping[str, Any]
ANY: Schema = {}
DEEPEST = 6
ARRAY, OBJECT = frozenset({"array"}), frozenset({"object"})
NAMES: Mapping[type, str] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


class NoSuchPath(LookupError):
    """A field that a schema says can never be there."""


def at(schema: Schema, path: tuple[str | int, ...], root: Schema | None = None) -> Schema:
    """Return the schema of what stands at ``path``; `ANY` where it is not known.

    Raises:
        NoSuchPath: nothing can stand there; the message names the fields that can.

    """
    root = schema if root is None else root
    schema = _plain(schema, root)
    if not path:
        return {**schema, "$defs": root.get("$defs", {})} if schema else ANY
    choices = _choices(schema, root)
    if len(choices) > 1:
        kept: list[Schema] = []
        problem: NoSuchPath | None = None
        for one in choices:
            try:
                kept.append(at(one, path, root))
            except NoSuchPath as error:
                problem = problem if problem is not None and one.get("type") == "null" else error
        if not kept and problem is not None:
            raise problem
        return kept[0] if len(kept) == 1 else {"anyOf": kept, "$defs": root.get("$defs", {})} if all(kept) else ANY
    return _below(choices[0], path, root)


def _below(schema: Schema, path: tuple[str | int, ...], root: Schema) -> Schema:
    part, rest = path[0], path[1:]
    kind = schema.get("type")
    if isinstance(part, int):
        if kind not in {None, "array"}:
            raise NoSuchPath(f"{shown((part,))} asks for an item, and this is no list but {kind}.")
        return at(schema.get("items", ANY) or ANY, rest, root) if isinstance(schema.get("items"), dict) else ANY
    if kind not in {None, "object"}:
        raise NoSuchPath(f"there is no {part!r} in a value of type {kind}.")
    properties: Mapping[str, Any] = schema.get("properties", {})
    if part in properties:
        return at(properties[part], rest, root)
    more = schema.get("additionalProperties")
    if isinstance(more, dict):
        return at(cast("Schema", more), rest, root)
    if properties and not more:
        raise NoSuchPath(f"there is no {part!r}. {nearest(part, properties)}")
    return ANY


def kinds(schema: Schema, root: Schema | None = None) -> frozenset[str]:
    """Return the JSON types that a value may have; empty when that is not known."""
    root = schema if root is None else root
    found: set[str] = set()
    for one in _choices(_plain(schema, root), root):
        kind = one.get("type")
        if isinstance(kind, list):
            found |= set(cast("list[str]", kind))
        elif isinstance(kind, str):
            found.add(kind)
        elif values := one.get("enum", [one["const"]] if "const" in one else []):
            found |= {_kind(value) for value in values}
        else:
            return frozenset()
    return frozenset(found)


def clash(given: Schema, wanted: Schema, depth: int = 0) -> str:
    """Say why no value of ``given`` can ever be one of ``wanted``; an empty string when some can, or it is not known.

    Each schema carries its own ``$defs``.
    """
    has, takes = kinds(given), kinds(wanted)
    if not has or not takes or depth > DEEPEST:
        return ""
    common = _wide(has) & _wide(takes)
    if not common - {"null"} and (has - {"null"}):
        return f"gives {_either(has)}, and {_either(takes)} is taken."
    if common - {"null"} == ARRAY:
        return _inside(given, wanted, depth)
    if common - {"null"} == OBJECT:
        return _missing(given, wanted, depth)
    return ""


def _inside(given: Schema, wanted: Schema, depth: int) -> str:
    try:
        ends = at(given, (0,)), at(wanted, (0,))
    except NoSuchPath:
        return ""
    reason = clash(*ends, depth + 1)
    return f"each item {reason}" if reason else ""


def _missing(given: Schema, wanted: Schema, depth: int) -> str:
    source = [one for one in _choices(_plain(given, given), given) if one.get("type") == "object"]
    target = [one for one in _choices(_plain(wanted, wanted), wanted) if one.get("type") == "object"]
    if len(source) != 1 or len(target) != 1:
        return ""
    has: Mapping[str, Any] = source[0].get("properties", {})
    if not has or source[0].get("additionalProperties"):
        return ""
    takes: Mapping[str, Any] = target[0].get("properties", {})
    lacking = [name for name in target[0].get("required", []) if name not in has]
    if lacking:
        return f"has no {', '.join(map(repr, lacking))}, which must be there."
    for name in takes.keys() & has.keys():
        if reason := clash(at(given, (name,)), at(wanted, (name,)), depth + 1):
            return f"{name!r} {reason}"
    return ""


def _plain(schema: Schema, root: Schema) -> Schema:
    """Follow ``$ref`` and join ``allOf`` of one."""
    for _ in range(50):
        if "$ref" in schema:
            name = str(schema["$ref"]).rpartition("/")[2]
            schema = cast("Schema", root.get("$defs", {}).get(name, ANY))
        elif len(schema.get("allOf", ())) == 1:
            schema = cast("Schema", schema["allOf"][0])
        else:
            return schema
    return ANY


def _choices(schema: Schema, root: Schema) -> list[Schema]:
    """Return the alternatives of a schema, those within alternatives included."""
    inner: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    if not inner:
        return [schema]
    return [part for one in inner for part in _choices(_plain(one, root), root)]


def _kind(value: object) -> str:
    return NAMES.get(type(value), "null")


def _wide(names: frozenset[str]) -> frozenset[str]:
    """Let whole numbers and numbers stand for each other: 3 is both, and 3.0 may be."""
    return names | {"integer", "number"} if names & {"integer", "number"} else names


def _either(names: frozenset[str]) -> str:
    return " or ".join(sorted(names))
