"""The way to the places of a Ray cluster: an actor a node, which holds the node's processors and runs our own pool.

Ray carries: a task is a call of the actor that yields progress and then the answer. Telemetry is off, and there is no
dashboard.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncGenerator
from typing import Any

import psutil

from mcp_orchestrator.elsewhere import place
from mcp_orchestrator.elsewhere.line import Tell
from mcp_orchestrator.errors import InvalidInput, MissingLibrary, NotReady, WorkerLost
from mcp_orchestrator.settings import Settings

__all__ = ["Holder", "Ray"]

ANSWER = 60.0
STORE = 80 << 20  # the least that Ray accepts: artifacts do not go through it


class Ray:
    """A cluster of Ray: the one at ``executor_address``, or one with ``executor_places`` actors on this machine."""

    name = "ray"

    def __init__(self, settings: Settings, home: str, token: str) -> None:
        """Take what tells hosts (``home``) and their lives (``token``) apart."""
        self._settings, self._home, self._token = settings, home, token
        self._ray: Any = None
        self._folder = ""
        self._actors: dict[str, Any] = {}

    async def open(self) -> None:
        """Connect to the cluster, or start one.

        Raises:
            MissingLibrary: ray is not installed.
            InvalidInput: the address is one of Ray's client, which cannot carry progress.
            NotReady: no cluster answers.

        """
        address = self._settings.executor_address
        if address.startswith("ray://"):
            then = "Run this program on a node of the cluster, with executor_address = auto."
            raise InvalidInput("setting executor_address", "Ray's client (ray://) cannot carry progress.", then=then)
        quiet = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
        os.environ.update({name: value for name, value in quiet.items() if name not in os.environ})
        try:
            import ray
        except ImportError as error:
            raise MissingLibrary("executor = ray", "ray", "ray") from error
        options: dict[str, Any] = {"address": address}
        if not address:
            if not {"RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"} & os.environ.keys():
                os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)  # otherwise Ray keeps one in the home folder
            self._folder = tempfile.mkdtemp(prefix="mcp-ray-")  # not the state home: Ray's sockets need a short path
            cpus = self._threads * self._settings.executor_places
            options = {"address": "local", "num_cpus": cpus, "num_gpus": 0, "object_store_memory": STORE}
            options |= {"include_dashboard": False, "_temp_dir": self._folder}
        self._ray = ray
        try:
            await asyncio.to_thread(self._init, **options)
        except (ConnectionError, ValueError, RuntimeError) as error:
            self._ray = None
            shutil.rmtree(self._folder, ignore_errors=True)
            then = "Start one with: ray start --head" if address else ""
            raise NotReady(f"No Ray cluster answers at {address or 'this machine'}: {error}. {then}") from error

    async def greet(self, hello: str) -> dict[str, dict[str, Any]]:
        """Greet the actors of all nodes, made where there are none, and return their answers by address."""
        wanted = await asyncio.to_thread(self._wanted)
        answers = await asyncio.gather(*(self._greeted(address, hello, **one) for address, one in wanted.items()))
        return dict(zip(wanted, answers, strict=True))

    async def perform(self, address: str, key: str, task: str, tell: Tell) -> dict[str, Any]:
        """Have a place run a task.

        Raises:
            WorkerLost: the actor or its node died.

        """
        actor = self._actor(address)
        call = actor.perform.options(num_returns="streaming").remote(self._home, self._token, key, task)
        try:
            async for said in call:
                message: dict[str, Any] = await said
                if "outcome" in message:
                    return message
                tell(message["fraction"], message["message"])
        except self._ray.exceptions.RayActorError as error:
            self._actors.pop(address, None)
            raise WorkerLost(f"The Ray actor on {address} died while it worked on {key}.") from error
        raise WorkerLost(f"The Ray actor on {address} gave no answer for {key}.")

    async def kill(self, address: str, key: str, grace: float) -> dict[str, Any]:
        """Have a place end a task.

        Raises:
            WorkerLost: the actor or its node died.

        """
        try:
            return await self._actor(address).kill.remote(self._home, self._token, key, grace)
        except self._ray.exceptions.RayActorError as error:
            raise WorkerLost(f"The Ray actor on {address} died.") from error

    async def close(self) -> None:
        """Close our places, and the cluster if it was started here."""
        if self._ray is None:
            return
        ray, self._ray = self._ray, None
        await asyncio.gather(*(self._left(one) for one in self._actors.values()), return_exceptions=True)
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors.clear()
        await asyncio.to_thread(ray.shutdown)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _init(self, **options: Any) -> None:  # noqa: ANN401 - Ray's own
        self._ray.init(**options, log_to_driver=False, configure_logging=False)

    @property
    def _threads(self) -> int:
        return max(1, self._settings.workers // self._settings.executor_places)

    def _wanted(self) -> dict[str, dict[str, Any]]:
        """Return the places that there should be by address, with their processors and the node to be on."""
        if not self._settings.executor_address:
            share = (psutil.virtual_memory().total >> 20) // self._settings.executor_places
            facts = {"cpus": self._threads, "memory_mb": share, "node": ""}
            return {f"place-{number}": facts for number in range(self._settings.executor_places)}
        nodes = [one for one in self._ray.nodes() if one["Alive"] and one["Resources"].get("CPU", 0) >= 1]
        return {
            f"{one['NodeManagerAddress']}-{one['NodeID'][:8]}": {
                "cpus": int(one["Resources"]["CPU"]),
                "memory_mb": int(one["Resources"].get("memory", 0)) >> 20,
                "node": one["NodeID"],
            }
            for one in nodes
        }

    async def _greeted(self, address: str, hello: str, *, cpus: int, memory_mb: int, node: str) -> dict[str, Any]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        if address not in self._actors:
            bound = {"scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=False)} if node else {}
            options = {"num_cpus": cpus, "max_concurrency": 1000, "max_restarts": 0, **bound}
            self._actors[address] = self._ray.remote(Holder).options(**options).remote()
        try:
            async with asyncio.timeout(ANSWER):
                return await self._actors[address].greet.remote(hello, address, cpus, memory_mb)
        except self._ray.exceptions.RayError as error:
            self._actors.pop(address, None)
            then = "mcp-ml-orchestrator must be installed there, in the same version."
            return {"problem": f"The Ray actor on {address} did not start: {error}. {then}"}
        except TimeoutError:
            return {"problem": f"The Ray actor on {address} found no {cpus} free processors in {ANSWER:g} seconds."}

    def _actor(self, address: str) -> Any:  # noqa: ANN401 - an actor of Ray
        if address not in self._actors:
            raise WorkerLost(f"There is no Ray actor on {address} any more.")
        return self._actors[address]

    async def _left(self, actor: Any) -> None:  # noqa: ANN401 - an actor of Ray
        await asyncio.wait_for(actor.leave.remote(self._home, self._token), ANSWER)


class Holder:
    """What runs in the actor's process; Ray calls its coroutines in one event loop."""

    async def greet(self, hello: str, name: str, cpus: int, memory_mb: int) -> dict[str, Any]:
        """Open the place of a host, or keep it open; see `place.greet`."""
        return await asyncio.to_thread(place.greet, hello, name=name, cpus=cpus, memory_mb=memory_mb)

    async def perform(self, home: str, token: str, key: str, task: str) -> AsyncGenerator[dict[str, Any]]:
        """Run a task, and yield its progress and then its answer."""
        here, loop = place.find(home, token), asyncio.get_running_loop()
        said: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

        def tell(fraction: float | None, message: str) -> None:
            loop.call_soon_threadsafe(said.put_nowait, {"fraction": fraction, "message": message})

        answer = asyncio.wrap_future(here.ask(here.perform, key, json.loads(task), tell))
        answer.add_done_callback(lambda _: said.put_nowait(None))
        while (message := await said.get()) is not None:
            yield message
        yield await answer

    async def kill(self, home: str, token: str, key: str, grace: float) -> dict[str, Any]:
        """End a task."""
        here = place.find(home, token)
        return await asyncio.wrap_future(here.ask(here.kill, key, grace))

    async def leave(self, home: str, token: str) -> None:
        """Close the place of a host."""
        await asyncio.to_thread(place.leave, home, token)
