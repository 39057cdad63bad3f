"""The contract of a component: a module whose capabilities are typed functions.

A component is one file below ``components/``; its name is the file's name, its family the folder's, its description
the module's docstring. It holds::

    ABOUT = About(tier=3, libraries=("scipy",))

    @capability(example={"p_values": [0.01, 0.2]}, contrast={"p_values": [0.01, 0.02]})
    def correct(p_values: Annotated[list[float], Field(description="...")]) -> Corrected:
        \"\"\"Adjust p-values for the number of tests.\"\"\"

    def known_answer(ctx: Context) -> Iterator[Check]:
        \"\"\"Where the figures come from.\"\"\"

The signature is the JSON schema, the docstring's first line the summary, ``example`` at once documentation, contract
test and health check. ``contrast`` holds the parameters to change in the example so that an honest answer must
change. A first parameter ``ctx: Context`` is injected and is not part of the schema. Nothing heavy is imported at the
top of a component, so that finding and describing all of them costs little.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeVar, cast, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError, create_model

from mcp_orchestrator.errors import InvalidInput, reject_unknown
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.values import Artifact

__all__ = ["About", "Artifacts", "Capability", "Check", "Context", "capability", "current", "problem_of"]

P = ParamSpec("P")
R = TypeVar("R")


class Artifacts(Protocol):
    """A store of files under the SHA-256 of their bytes."""

    def put(self, content: bytes | Path, *, name: str, media: str = ...) -> Artifact:
        """Store bytes, or the file at a path, whole or not at all."""
        ...

    def path(self, sha256: str) -> Path:
        """Return where the bytes lie.

        Raises:
            UnknownName: nothing is stored under that digest.

        """
        ...

    def files(self) -> Iterator[Path]:
        """Give the files that lie here, in no order."""
        ...

    def remove(self, sha256: str, *, since: int) -> int | None:
        """Remove bytes here unless they were stored again ``since`` (microseconds UTC).

        Returns how many they were, 0 where nothing lay, and None where they stay.
        """
        ...

    def share(self, name: str, path: Path) -> None:
        """Give a small file, which may change, to the other machines under ``name``; alone, do nothing."""
        ...

    def refresh(self, name: str, path: Path) -> None:
        """Bring the file that was shared under ``name`` to ``path``, if there is one; alone, do nothing."""
        ...

    def apart(self, folder: Path) -> Artifacts:
        """Return a store of the same kind in another folder."""
        ...


class Report(Protocol):
    """Receives the progress of a running capability."""

    def __call__(self, fraction: float | None, message: str, /) -> None:
        """Take the fraction done (0 to 1, or None where unknown) and one line of text."""
        ...


def _silent(_fraction: float | None, _message: str, /) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """What a capability may ask for: where to keep things, how much to use, and whom to tell.

    ``by`` is who approved what it does, where that was asked for.
    """

    settings: Settings
    artifacts: Artifacts
    seed: int = 0
    cpus: int = 1
    run: str = ""
    step: str = ""
    by: str = ""
    report: Report = _silent


current: ContextVar[Context] = ContextVar("current")


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """The header of a component.

    ``libraries`` are the import names it needs beyond the standard library, ``extra`` the optional dependency that
    brings them (None: the core install does), ``aliases`` other names it answers to.
    """

    tier: int
    libraries: tuple[str, ...] = ()
    extra: str | None = None
    aliases: tuple[str, ...] = ()
    version: str = "1"


@dataclass(frozen=True, slots=True)
class Check:
    """One known answer: what came out, what must come out, and how far apart they may be."""

    name: str
    got: object
    expected: object
    within: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the answer is the known one; a NaN never is."""
        if isinstance(self.got, int | float) and isinstance(self.expected, int | float):
            return math.isfinite(self.got) and abs(self.got - self.expected) <= self.within
        return self.got == self.expected


@dataclass(frozen=True, eq=False)
class Capability(Generic[P, R]):
    """A typed function of a component, with its schema, its example and its contrast."""

    function: Callable[..., R]
    example: Mapping[str, Any] | None = None
    contrast: Mapping[str, Any] | None = None
    before: Callable[[Context], None] | None = None
    component: str = ""
    at_home: bool | str = False

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, as it is, in the context of this process."""
        return self.function(current.get(), *args, **kwargs) if self.wants_context else self.function(*args, **kwargs)

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The docstring's first line."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def description(self) -> str:
        """The whole docstring."""
        return inspect.getdoc(self.function) or ""

    @cached_property
    def wants_context(self) -> bool:
        """Whether the first parameter is the injected context."""
        return next(iter(inspect.signature(self.function).parameters), "") == "ctx"

    @cached_property
    def parameters(self) -> type[BaseModel]:
        """A model of the parameters that refuses unknown ones."""
        hints = get_type_hints(self.function, include_extras=True)
        fields: dict[str, Any] = {
            name: (hints[name], ... if parameter.default is parameter.empty else parameter.default)
            for name, parameter in inspect.signature(self.function).parameters.items()
            if name != "ctx"
        }
        return create_model(
            f"{self.component}.{self.name}",
            __config__=ConfigDict(extra="forbid", arbitrary_types_allowed=False),
            **fields,
        )

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(self.parameters.model_fields)

    @property
    def _what(self) -> str:
        return f"{self.component}.{self.name}" if self.component else self.name

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of the parameters."""
        return without_titles(self.parameters.model_json_schema())

    @cached_property
    def returns(self) -> TypeAdapter[R]:
        """An adapter for the answer."""
        return TypeAdapter(get_type_hints(self.function, include_extras=True)["return"])

    def validate(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return the parameters, checked and completed with the defaults.

        Raises:
            InvalidInput: a parameter is unknown, missing, or not acceptable; the message says which and why.

        """
        if not params.keys() <= self._names:
            reject_unknown(params, self.parameters.model_fields, what=self._what)
        try:
            return dict(vars(self.parameters.model_validate(dict(params))))
        except ValidationError as error:
            raise problem_of(error, what=self._what) from error

    def call(self, ctx: Context, params: Mapping[str, Any]) -> R:
        """Check the parameters and call the function in ``ctx``."""
        values = self.validate(params)
        token = current.set(ctx)
        try:
            return self.function(ctx, **values) if self.wants_context else self.function(**values)
        finally:
            current.reset(token)


class _Decorator(Protocol):
    @overload
    def __call__(self, function: Callable[Concatenate[Context, P], R], /) -> Capability[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Capability[P, R]: ...


def capability(
    *,
    example: Mapping[str, Any],
    contrast: Mapping[str, Any],
    before: Callable[[Context], None] | None = None,
    at_home: bool | str = False,
) -> _Decorator:
    """Make a function a capability of the component whose module it stands in.

    ``before`` makes what the example names (a registered model, say) and may be called more than once. A capability
    that reads or writes more of the state home than artifacts (sources, studies, the registry, tracking) runs
    ``at_home`` also where steps go to other machines: always, or only when the parameter of that name is given.
    """

    def decorate(function: Callable[..., Any], /) -> Capability[..., Any]:
        return Capability(function, example, contrast, before, function.__module__.rpartition(".")[2], at_home)

    return decorate  # type: ignore[return-value]  # the overloads above say what the closure cannot


def problem_of(error: ValidationError, *, what: str = "") -> InvalidInput:
    """Turn a validation error into one that names the field, the problem and the allowed values."""
    first = error.errors(include_url=False)[0]
    if isinstance(raised := first.get("ctx", {}).get("error"), InvalidInput):
        return raised
    place = ".".join(str(part) for part in first["loc"]) or what
    message = str(first["msg"]).removeprefix("Value error, ")
    if first["type"] == "missing":
        return InvalidInput(place, "is required.", then=f"Give it to {what}." if what else "")
    more = len(error.errors(include_url=False)) - 1
    given = repr(first.get("input"))
    shown = given if len(given) <= 80 else given[:77] + "..."  # noqa: PLR2004 - one line of a terminal
    return InvalidInput(place, f"{message} (given: {shown}).", then=f"{more} more problem(s)." if more else "")


def without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Drop the generated ``title`` keys, which cost tokens and say nothing."""

    def clean(node: Any, *, names: bool = False) -> Any:  # noqa: ANN401 - any JSON value
        if isinstance(node, dict):
            items = cast("dict[str, Any]", node)
            return {
                key: clean(value, names=key in {"properties", "$defs"} and not names)
                for key, value in items.items()
                if names or key != "title"
            }
        if isinstance(node, list):
            parts = cast("list[Any]", node)
            return [clean(part) for part in parts]
        return node

    return clean(schema)


def checks(answer: Callable[[Context], Iterator[Check]], ctx: Context) -> list[Check]:
    """Run a component's known answer."""
    return list(answer(ctx))
