"""Errors: one family, a code each, and a message that says what, which, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_orchestrator import errors
from mcp_orchestrator.errors import (
    InvalidInput,
    MissingLibrary,
    OrchestratorError,
    StepFailed,
    UnknownName,
    reject_unknown,
    revive,
)

LINE = 'pip install "mcp-ml-orchestrator[boosting]"'


def kinds(base: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    for kind in base.__subclasses__():
        if kind.__module__ == errors.__name__:
            yield kind
            yield from kinds(kind)


@pytest.mark.requirement("python.errors")
def test_every_kind_has_a_code_of_its_own_and_derives_from_a_builtin_that_fits() -> None:
    found = list(kinds(OrchestratorError))
    assert {kind.__name__ for kind in found} == set(errors.__all__) - {"OrchestratorError"}
    assert len({kind.code for kind in found}) == len(found)
    builtin = {LookupError, ValueError, PermissionError, RuntimeError, ImportError, TimeoutError, OSError}
    assert all(builtin & set(kind.__mro__) for kind in found)


@pytest.mark.requirement("python.errors")
@pytest.mark.parametrize(
    ("error", "says"),
    [
        (UnknownName("model", "chrun", ["churn", "price"]), "There is no model 'chrun'. Did you mean 'churn'?"),
        (UnknownName("model", "x", ["churn"], then="Train one."), "There is no model 'x'. Known: churn. Train one."),
        (UnknownName("model", "x"), "There is no model 'x'."),
        (InvalidInput("folds", "must be at least 2.", allowed=[2, 3]), "folds: must be at least 2. Allowed: 2, 3."),
        (
            MissingLibrary("It", "lightgbm", "boosting"),
            f"It needs the library 'lightgbm', which is not installed. Install it with: {LINE}",
        ),
    ],
)
def test_a_message_says_what_which_and_what_to_do_next(error: OrchestratorError, says: str) -> None:
    assert str(error) == says


@pytest.mark.parametrize("kind", list(kinds(OrchestratorError)), ids=lambda kind: kind.__name__)
def test_an_error_comes_back_as_its_own_kind_from_another_process(kind: type[OrchestratorError]) -> None:
    again = revive(kind.code, "what happened")
    assert type(again) is kind
    assert str(again) == "what happened"


def test_an_unknown_code_comes_back_as_a_failed_step() -> None:
    assert type(revive("no_such_code", "text")) is StepFailed


def test_an_unknown_key_is_refused_with_the_nearest_one() -> None:
    reject_unknown({"trials": 1}, ["trials", "seconds"], what="tuning")
    with pytest.raises(InvalidInput, match=r"trails: tuning has no such parameter. Did you mean 'trials'\?"):
        reject_unknown({"trails": 1}, ["trials", "seconds"], what="tuning")
