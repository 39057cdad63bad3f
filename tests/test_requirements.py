"""The mission and the tests say the same: each behaviour is proved, or listed as not built."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.requirements import REQUIREMENTS
from tests.unbuilt import NOT_BUILT

# The length of the list of what is not built, at the last change. It may only go down: set it to the new length.
CEILING = 121

pytestmark = pytest.mark.checkout

KNOWN = {row.id for row in REQUIREMENTS}


def marks(source: str) -> Iterator[str]:
    """Yield the ids of the ``requirement`` marks in a test module's source, wherever they stand."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=ast.Attribute(attr="requirement", value=ast.Attribute(attr="mark")), args=arguments):
                yield from (str(argument.value) for argument in arguments if isinstance(argument, ast.Constant))
            case _:
                pass


@cache
def proved() -> dict[str, list[str]]:
    """Return the ids that tests claim to prove, with the files they stand in.

    ``component.*`` is claimed by the tests that are crossed with every component: it stands for those that there are.
    """
    places: dict[str, list[str]] = {}
    for path in sorted(Path(__file__).parent.rglob("test_*.py")):
        for name in marks(path.read_text("utf-8")):
            for one in (f"component.{built}" for built in components()) if name == "component.*" else (name,):
                places.setdefault(one, []).append(path.name)
    return places


def components() -> list[str]:
    """Return the names of the components that have a known answer."""
    files = (Path(__file__).parents[1] / "mcp_orchestrator" / "components").glob("*/*.py")
    return [path.stem for path in files if "def known_answer(" in path.read_text("utf-8")]


def test_each_behaviour_is_proved_by_a_test_or_listed_as_not_built() -> None:
    silent = KNOWN - proved().keys() - NOT_BUILT.keys()
    assert not silent, f"Mark the tests that prove these, or list them in unbuilt.py: {sorted(silent)}"


def test_a_test_names_only_behaviours_that_are_in_the_list() -> None:
    unknown = {name: files for name, files in proved().items() if name not in KNOWN}
    assert not unknown, f"These ids are not in requirements.py: {unknown}"


def test_what_is_proved_is_not_listed_as_not_built() -> None:
    done = {name: files for name, files in proved().items() if name in NOT_BUILT}
    assert not done, f"Remove them from unbuilt.py and lower CEILING: {done}"


def test_what_is_not_built_is_a_behaviour_of_the_mission() -> None:
    assert NOT_BUILT.keys() <= KNOWN


def test_the_list_of_what_is_not_built_only_shrinks() -> None:
    assert len(NOT_BUILT) == CEILING, "The list must not grow; when it shrank, lower CEILING to its length."


def test_ids_are_unique_and_sentences_are_sentences() -> None:
    twice = [name for name, times in Counter(row.id for row in REQUIREMENTS).items() if times > 1]
    assert not twice
    assert all(row.sentence.endswith(".") and ": " in row.source and "/" not in row.source for row in REQUIREMENTS)


@pytest.mark.parametrize(
    "source",
    [
        "@pytest.mark.requirement('a.b')\ndef test_x(): ...",
        "pytestmark = pytest.mark.requirement('a.b')",
        "cases = [pytest.param(1, marks=pytest.mark.requirement('a.b'))]",
    ],
)
def test_a_mark_is_found_wherever_it_stands(source: str) -> None:
    assert list(marks(source)) == ["a.b"]
