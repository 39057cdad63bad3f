"""Each executor passes the suite that is shipped for executors."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcp_orchestrator.core.executors import Inline, InProcess, Workers
from mcp_orchestrator.core.registry import Registry
from mcp_orchestrator.elsewhere.away import Away
from mcp_orchestrator.elsewhere.dask import Dask
from mcp_orchestrator.elsewhere.ray import Ray
from mcp_orchestrator.testing import Bench, ExecutorConformance


class TestInline(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        folder = tmp_path_factory.mktemp("inline")
        with Bench(lambda settings: Inline(settings, Registry(settings.components)), folder) as bench:
            yield bench


class TestInProcess(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        folder = tmp_path_factory.mktemp("threads")
        with Bench(lambda settings: InProcess(settings, Registry(settings.components)), folder) as bench:
            yield bench


class TestWorkers(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        with Bench(lambda settings: Workers(settings, preload=False), tmp_path_factory.mktemp("local")) as bench:
            yield bench


class TestDask(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        pytest.importorskip("distributed")
        with Bench(lambda settings: Away(settings, Dask, preload=False), tmp_path_factory.mktemp("dask")) as bench:
            yield bench


class TestRay(ExecutorConformance):
    @pytest.fixture(scope="class")
    @classmethod
    def bench(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
        pytest.importorskip("ray")
        with Bench(lambda settings: Away(settings, Ray, preload=False), tmp_path_factory.mktemp("ray")) as bench:
            yield bench
