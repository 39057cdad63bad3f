"""What can be invoked: our own components, found as files, and foreign code that was registered by name.

Foreign code joins without being touched, by an entry point of the group ``mcp_orchestrator.components`` or by the
setting ``[components] name = "package.module"`` (its public typed functions) or ``"package.module:Class"`` (the
public typed methods of an instance made without arguments). Nothing else can ever be invoked: a caller names a
component, not an import path.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from types import ModuleType
from typing import Any, get_type_hints

from mcp_orchestrator.component import About, Capability, Check, Context
from mcp_orchestrator.core.health import KNOWN_ANSWER, known
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, NotReady, OrchestratorError, UnknownName

__all__ = ["Component", "Registry", "house"]

GROUP = "mcp_orchestrator.components"
HOUSE = "mcp_orchestrator.components"
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Component:
    """A registered component; ``problem`` is what keeps it from being loaded, and then it can do nothing."""

    name: str
    family: str
    about: About
    summary: str
    capabilities: Mapping[str, Capability[..., Any]]
    known_answer: Callable[[Context], Iterator[Check]] | None
    source: str
    problem: OrchestratorError | None = None

    @property
    def missing(self) -> str | None:
        """What keeps it from working: why it cannot be loaded, or the first library that is not installed.

        Libraries are looked up without importing any.
        """
        if self.problem is not None:
            return str(self.problem)
        return next((name for name in self.about.libraries if find_spec(name) is None), None)

    def capability(self, name: str) -> Capability[..., Any]:
        """Return a capability that can run here; ``known_answer`` is one that every component with a known answer has.

        Raises:
            UnknownName: the component has no such capability.
            MissingLibrary: a library that it needs is not installed.
            OrchestratorError: its ``problem``.

        """
        if self.problem is not None:
            raise self.problem
        found = self.capabilities.get(name)
        if found is None and name == KNOWN_ANSWER and self.known_answer is not None:
            found = known(self.name, self.known_answer)
        if found is None:
            raise UnknownName(f"capability of {self.name}", name, self.capabilities)
        if self.about.libraries and (missing := self.missing):
            raise MissingLibrary(self.name, missing, self.about.extra)
        return found


class Registry:
    """All components by name; found on first use, importing no ML library."""

    def __init__(self, foreign: Mapping[str, str] | None = None) -> None:
        """Take the ``foreign`` components of the settings, ``name -> "package.module[:Class]"``."""
        self._foreign = dict(foreign or {})
        self._found: dict[str, Component] | None = None

    def __iter__(self) -> Iterator[Component]:
        """Go through the components in the order of tier and name."""
        return iter(sorted(self._all().values(), key=lambda one: (one.about.tier, one.name)))

    def __len__(self) -> int:
        """Count the components."""
        return len(self._all())

    def get(self, name: str) -> Component:
        """Return a component by its name or alias.

        Raises:
            UnknownName: nothing is registered under that name.

        """
        found = self._all()
        if name in found:
            return found[name]
        for one in found.values():
            if name in one.about.aliases:
                return one
        raise UnknownName("component", name, found, then="List them with find_ml_components.")

    def find(self, query: str = "") -> list[Component]:
        """Return the components in whose name, family, summary or capabilities all words stand, best first."""
        words = query.lower().split()

        def score(one: Component) -> int:
            name = f"{one.name} {' '.join(one.about.aliases)}".lower()
            text = " ".join(
                [one.family, one.summary, *one.capabilities, *(c.summary for c in one.capabilities.values())]
            ).lower()
            return (
                sum(3 * (word in name) + (word in text) for word in words)
                if all(w in name + " " + text for w in words)
                else 0
            )

        found = [(score(one), one) for one in self]
        return [one for points, one in sorted(found, key=lambda pair: -pair[0]) if points or not words]

    def _all(self) -> dict[str, Component]:
        if self._found is None:
            found = {one.name: one for one in house()}
            named = {point.name: point.value for point in entry_points(group=GROUP)} | self._foreign
            for name, target in named.items():
                if name in found:
                    raise InvalidInput(
                        f"components.{name}", "is the name of a built-in component.", then="Choose another."
                    )
                found[name] = _guest(name, target)
            self._found = found
        return self._found


def house() -> Iterator[Component]:
    """Go through the components of our own, importing them; one whose import fails says so, and the others work."""
    package = importlib.import_module(HOUSE)
    for info in pkgutil.walk_packages(package.__path__, f"{HOUSE}."):
        if info.ispkg:
            continue
        family, _, name = info.name.removeprefix(f"{HOUSE}.").rpartition(".")
        try:
            module = importlib.import_module(info.name)
        except Exception as error:  # noqa: BLE001 - whatever a module does when it is imported is its own failure
            reason = f"Component {name} cannot be loaded: {type(error).__name__}: {error}."
            yield _broken(name, family, info.name, NotReady(f"{reason} Mend {info.name.replace('.', '/')}.py."))
            continue
        about = getattr(module, "ABOUT", None)
        if isinstance(about, About):
            things = vars(module).values()
            own: list[Capability[..., Any]] = [one for one in things if isinstance(one, Capability)]
            yield Component(
                name=name,
                family=family,
                about=about,
                summary=_summary(module),
                capabilities={one.name: one for one in own if one.component == name},
                known_answer=getattr(module, "known_answer", None),
                source=info.name,
            )


def _broken(name: str, family: str, source: str, problem: OrchestratorError) -> Component:
    log.warning("component %s cannot be loaded: %s", name, problem)
    return Component(name, family, About(tier=0), "It cannot be loaded.", {}, None, source, problem)


def _guest(name: str, target: str) -> Component:
    try:
        return _wrap(name, target)
    except InvalidInput as error:
        return _broken(name, "foreign", target, error)


def _wrap(name: str, target: str) -> Component:
    """Make a component of a foreign module's functions or of a foreign class's methods.

    Raises:
        InvalidInput: it cannot be loaded, or has nothing that can be called.

    """
    path, _, attribute = target.partition(":")
    try:
        module = importlib.import_module(path)
        holder: Any = getattr(module, attribute) if attribute else module
    except Exception as error:  # whatever foreign code does when it is imported is its own failure
        reason = f"{target!r} cannot be loaded: {type(error).__name__}: {error}"
        raise InvalidInput(f"components.{name}", reason) from error
    if attribute and not inspect.isclass(holder):
        raise InvalidInput(f"components.{name}", f"{target!r} is not a class; give a module or a class.")
    functions = _methods(holder) if attribute else _functions(module)
    capabilities = {key: Capability(function, component=name) for key, function in functions.items()}
    if not capabilities:
        raise InvalidInput(f"components.{name}", f"{target!r} has no public function with a type for each parameter.")
    return Component(name, "foreign", About(tier=0), _summary(holder), capabilities, None, target)


def _functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    return {
        key: value
        for key, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and _public(key, value)
    }


def _methods(holder: type) -> dict[str, Callable[..., Any]]:
    """Return functions that make an instance and call its method, with the method's own signature."""

    def bound(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(**params: Any) -> Any:  # noqa: ANN401 - the foreign method's own types are checked before
            return getattr(holder(), method.__name__)(**params)

        signature = inspect.signature(method)
        own = [one for one in signature.parameters.values() if one.name != "self"]
        hints = get_type_hints(method, include_extras=True)
        call.__name__, call.__doc__, call.__annotations__ = method.__name__, method.__doc__, hints
        call.__signature__ = signature.replace(parameters=own)  # type: ignore[attr-defined]  # read by inspect
        return call

    return {key: bound(value) for key, value in inspect.getmembers(holder, inspect.isfunction) if _public(key, value)}


def _public(name: str, function: Callable[..., Any]) -> bool:
    parameters = [one for one in inspect.signature(function).parameters.values() if one.name != "self"]
    typed = all(one.annotation is not one.empty and one.kind is not one.VAR_POSITIONAL for one in parameters)
    return (
        not name.startswith("_")
        and typed
        and inspect.signature(function).return_annotation is not inspect.Signature.empty
    )


def _summary(thing: object) -> str:
    return (inspect.getdoc(thing) or "").partition("\n")[0]
