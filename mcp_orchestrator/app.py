"""The orchestrator: the one place where the parts are put together.

Surfaces with an event loop enter `Orchestrator.running` and use the coroutines; a script uses the plain methods
(`train_model`, `predict`, `evaluate`, `save_model`, `load_model`), which start a loop in a thread of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Coroutine, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

from anyio import to_thread
from anyio.from_thread import BlockingPortal, start_blocking_portal

from mcp_orchestrator.component import Context
from mcp_orchestrator.core.artifacts import ArtifactStore
from mcp_orchestrator.core.dispatch import Dispatcher
from mcp_orchestrator.core.engine import Engine, Watcher
from mcp_orchestrator.core.executors import InProcess, Workers
from mcp_orchestrator.core.journal import Journal
from mcp_orchestrator.core.journal.events import emit
from mcp_orchestrator.core.leadership import Leadership
from mcp_orchestrator.core.machine import capacity
from mcp_orchestrator.core.participant import Participant
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.core.resources import Resources
from mcp_orchestrator.core.rows import RunRow, Status
from mcp_orchestrator.core.schedules import Schedules
from mcp_orchestrator.core.tasks import Executor
from mcp_orchestrator.errors import StateUnavailable, StepFailed
from mcp_orchestrator.release import version
from mcp_orchestrator.settings import Settings
from mcp_orchestrator.tracking.reserved import MEMORY
from mcp_orchestrator.tracking.versions import Version, Versions
from mcp_orchestrator.view import RunView, view
from mcp_orchestrator.workflows import WORKFLOWS
from mcp_orchestrator.workflows.chronicle import Chronicle
from mcp_orchestrator.workflows.clearing import clearing
from orchestrator_memory.door import NetworkPlace
from orchestrator_memory.marks import marked
from orchestrator_memory.sqlite import sqlite3

if TYPE_CHECKING:
    from types import TracebackType

    from orchestrator_memory.store import MemoryStore

__all__ = ["Orchestrator", "version"]

T = TypeVar("T")


class Orchestrator(Participant):
    """Trains, evaluates, registers and predicts in one project folder, and remembers its runs."""

    _memory: MemoryStore | None = None

    def __init__(
        self,
        project: Path | str | None = None,
        *,
        settings: Settings | None = None,
        in_process: bool = False,
        preload: bool = True,
    ) -> None:
        """Open the state of a project folder (default: the working folder).

        With ``in_process``, components run in threads of this process instead of worker processes: lighter for a
        script, but a run cannot be stopped in the middle of a step. Without ``preload``, whatever the settings say,
        workers import the ML libraries when they need them, which suits a single call.

        Raises:
            InvalidInput: a setting is not acceptable.
            StateUnavailable: the state home cannot be made or opened.

        """
        self.settings = settings or Settings.load(project)
        self.registry = Registry(self.settings.components)
        self.fresh = not (self.settings.home / "orchestrator.db").exists()
        try:
            self.journal = Journal(self.settings.home, anywhere=self.settings.network_home)
            self.versions = Versions(self.settings.home)
        except (OSError, sqlite3.Error, NetworkPlace) as error:
            raise self._unavailable(error) from error
        self._remembering = threading.Lock()
        self.leadership = Leadership(self.settings.home)
        self.artifacts = ArtifactStore.of(self.settings)
        ahead = self.settings.preload
        workers = Workers(self.settings, preload=preload and ahead != "nothing", tracking=ahead == "all")
        self.executor: Executor = InProcess(self.settings, self.registry) if in_process else workers
        self.resources = resources = Resources.of(self.settings, capacity(self.settings), tell=self._happened)
        if self.settings.executor != "local":
            from mcp_orchestrator.elsewhere import placed  # noqa: PLC0415 - only who has a cluster needs it

            self.executor = placed(self.settings, self.registry, self.executor, resources.resize)
        self.dispatcher = Dispatcher(self.executor, resources)
        self.chronicle = Chronicle(
            self.journal,
            lambda: self.memory,
            lambda name: marked(self.settings.home / MEMORY, self.settings.project.name, name),
            lambda: self.engine.workflows,
        )
        clear = clearing(self.versions, self.dispatcher, self.settings.component_timeout)
        self.engine = Engine(
            self.journal,
            self.dispatcher,
            WORKFLOWS(self.settings, self.registry),
            most=self.settings.max_concurrent_workflows,
            version_of=lambda name: self.registry.get(name).about.version,
            companions=[Schedules(self.journal).run, self.chronicle.run, clear],
        )
        self._portal: BlockingPortal | None = None
        self._stack = ExitStack()

    # For surfaces with an event loop ---------------------------------------------------------------------------------

    async def train(
        self, spec: Mapping[str, Any], *, wait: float | None = 0, watcher: Watcher | None = None
    ) -> RunView:
        """Start a training run and wait up to ``wait`` seconds for it (None: to its end)."""
        return await self.wait(await self.submit("train", spec), wait, watcher)

    async def wait(self, run: str, seconds: float | None = None, watcher: Watcher | None = None) -> RunView:
        """Wait for a run's end, or until it needs a person, at most ``seconds``."""
        return self.view(await self.until_still(run, seconds, watcher))

    def view(self, row: RunRow) -> RunView:
        """Return what there is to say about a run."""
        return view(self.engine.seen(row), self.journal.steps(row.id))

    async def initialize(self) -> dict[str, Any]:
        """Make the state home ready and start what takes time to start; calling it again changes nothing."""
        created, self.fresh = self.fresh, False
        await self.warm()
        return {"initialized": True, "created": created, **await to_thread.run_sync(self.status)}

    def status(self) -> dict[str, Any]:
        """Return the state of the orchestrator as plain values; needs no running engine."""
        runs = [self.engine.seen(row) for row in self.journal.runs(most=1000)]
        return {
            "version": version(),
            "project": str(self.settings.project),
            "home": str(self.settings.home),
            "roots": [str(root) for root in self.settings.roots],
            "workers": self.settings.workers,
            "components": len(self.registry),
            "models": len(self.versions.list()),
            "runs": {state.value: count for state in Status if (count := sum(row.status is state for row in runs))},
            "active": [self.view(row).brief() for row in runs if not row.status.final],
        }

    def context(self) -> Context:
        """Return a context for calling capabilities in this process."""
        return Context(settings=self.settings, artifacts=self.artifacts, cpus=self.settings.workers)

    def models(self, name: str | None = None) -> list[Version]:
        """Return the registered versions, of one model or of all."""
        return self.versions.list(name)

    @property
    def memory(self) -> MemoryStore:
        """What the agents of this project did, learned and told each other; opened when it is first asked for.

        Raises:
            StateUnavailable: it cannot be opened.

        """
        with self._remembering:
            if self._memory is None:
                from orchestrator_memory.store import MemoryStore  # noqa: PLC0415 - loads SQLModel

                anywhere = self.settings.network_home
                try:
                    path = self.settings.home / MEMORY
                    self._memory = MemoryStore.open(path, self.settings.project.name, anywhere=anywhere)
                except (OSError, sqlite3.Error, NetworkPlace) as error:
                    raise self._unavailable(error) from error
            return self._memory

    @property
    def remembers(self) -> bool:
        """Whether the memory is open, so that to ask for it takes no time."""
        return self._memory is not None

    async def settle(self) -> None:
        """Write down in the memory what has become of runs."""
        await self.chronicle.settle()

    # For scripts -----------------------------------------------------------------------------------------------------

    def train_model(self, data: Any, target: str, **spec: Any) -> RunView:  # noqa: ANN401
        """Train on a table and return the finished run; ``spec`` takes the fields of `TrainingSpec`.

        ``data`` is a path, a reference, rows as dictionaries, or a pandas DataFrame.

        Raises:
            InvalidInput: a field is not acceptable; nothing was written.
            StepFailed: a required step failed.

        """
        return self._finished(lambda: self.train({"data": self._given(data), "target": target, **spec}, wait=None))

    def evaluate(self, model: str, data: Any, **spec: Any) -> RunView:  # noqa: ANN401
        """Evaluate a model on a table and return the finished run; ``spec`` takes the fields of `EvaluationSpec`."""

        async def work() -> RunView:
            return await self.wait(await self.submit("evaluate", {"model": model, "data": self._given(data), **spec}))

        return self._finished(work)

    def predict(self, model: str, data: Any) -> dict[str, Any]:  # noqa: ANN401
        """Return ``predictions`` and, for a classifier, ``probabilities`` by class, a row each."""
        return self._sync(lambda: self.call("ml_integration", "predict", {"model": model, "data": self._given(data)}))

    def save_model(self, model: str, path: Path | str) -> Path:
        """Write a model as one portable file, whole or not at all, and return its path."""
        from mcp_orchestrator.methods.models import save  # noqa: PLC0415 - light only when needed

        return save(self.context(), model, Path(path))

    def load_model(self, path: Path | str, name: str | None = None) -> Version | str:
        """Read a file that `save_model` wrote, checking its digests; register it when a ``name`` is given.

        Returns the registered version, or the ``model://`` reference.

        Raises:
            Tampered: a digest does not match.

        """
        from mcp_orchestrator.methods.models import open_file  # noqa: PLC0415 - light only when needed

        trained = open_file(self.context(), Path(path))
        return self.versions.register(name, trained) if name else trained.uri

    def __enter__(self) -> Self:
        """Start working in a thread of its own."""
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop working."""
        self.close()

    def close(self) -> None:
        """End the workers; runs that are unfinished continue when somebody recovers them."""
        self._stack.close()
        self._portal = None
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    # Inside ----------------------------------------------------------------------------------------------------------

    def _unavailable(self, error: Exception) -> StateUnavailable:
        place = f"The state home {self.settings.home} cannot be used: {error}"
        return StateUnavailable(f"{place.rstrip('.')}. Choose another with MCP_ORCHESTRATOR_HOME.")

    def _happened(self, kind: str, data: dict[str, Any]) -> None:
        """Write down what happened to no run in particular."""
        self.journal.post(emit, "", "", kind, data)

    def _start(self) -> BlockingPortal:
        if self._portal is None:
            self._portal = self._stack.enter_context(start_blocking_portal())
            self._stack.enter_context(
                self._portal.wrap_async_context_manager(self.running(recover=False, kind="script"))
            )
        return self._portal

    def _sync(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        return self._start().call(work)

    def _finished(self, work: Callable[[], Coroutine[Any, Any, RunView]]) -> RunView:
        run = self._sync(work)
        self._sync(self.settle)
        if run.status in {Status.FAILED, Status.CANCELLED}:
            message = f"Run {run.run_id} {run.status}: {run.error or 'cancelled'}"
            raise StepFailed(message)
        return run

    def _given(self, data: Any) -> Any:  # noqa: ANN401 - a DataFrame becomes a reference
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(data, pandas.DataFrame):
            from mcp_orchestrator.methods.tables import (  # noqa: PLC0415 - the caller has pandas already
                freeze_frame,  # pyright: ignore[reportUnknownVariableType]  # a frame of pandas, which is untyped
            )

            return freeze_frame(self.context(), data).uri
        return str(data) if isinstance(data, Path) else data
