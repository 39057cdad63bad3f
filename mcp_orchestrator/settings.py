"""Settings: the mission's defaults, overridden by ``orchestrator.toml`` and then by the environment.

Every field can be set in the file ``orchestrator.toml`` of the project folder, or as ``MCP_ORCHESTRATOR_<FIELD>``.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mcp_orchestrator.errors import InvalidInput, suggestion

__all__ = ["PREFIX", "Settings"]

PREFIX = "MCP_ORCHESTRATOR_"
FILE = "orchestrator.toml"
IN_FILE = ("components", "pools", "limits", "rates")


class Settings(BaseModel):
    """Where the state lives, what may be read, and the limits of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    project: Annotated[Path, Field(description="The project folder; relative paths start here.")] = Path()
    home: Annotated[Path, Field(description="Folder of the state.")] = Path(".mcp-orchestrator")
    network_home: Annotated[
        bool,
        Field(description="Allow a state home on the file system of another machine, where locks may not hold."),
    ] = False
    roots: Annotated[
        tuple[Path, ...],
        Field(description="Folders below which files may be read; the project folder when empty."),
    ] = ()
    workers: Annotated[int, Field(ge=0, le=256, description="Steps that run side by side; 0 means one a core.")] = 0
    max_concurrent_workflows: Annotated[int, Field(ge=1, le=1000, description="Runs that work at once.")] = 10
    training_timeout: Annotated[float, Field(gt=0, description="Seconds that a training run may take.")] = 3600
    evaluation_timeout: Annotated[float, Field(gt=0, description="Seconds that an evaluation run may take.")] = 1800
    component_timeout: Annotated[float, Field(gt=0, description="Seconds that one component call may take.")] = 3600
    max_rows: Annotated[int, Field(ge=1, description="Rows that a table may have.")] = 50_000_000
    max_bytes: Annotated[int, Field(ge=1, description="Bytes that a source file may have.")] = 8 * 1024**3
    worker_memory_mb: Annotated[int, Field(ge=0, description="Memory of one worker in MB; 0 means no limit.")] = 0
    run_log_mb: Annotated[
        int,
        Field(ge=0, le=100_000, description="Most that the log of one run holds, in MB; 0 means no limit."),
    ] = 20
    memory_mb: Annotated[
        int,
        Field(ge=0, description="Memory that steps may lease in MB; 0 means memory_share of the machine's."),
    ] = 0
    memory_share: Annotated[float, Field(gt=0, le=1, description="Share of the memory that steps may lease.")] = 0.8
    allocation_timeout: Annotated[
        float,
        Field(gt=0, description="Seconds that a step may wait for a graphics processor."),
    ] = 300
    ageing: Annotated[
        float,
        Field(gt=0, description="Seconds of waiting that are worth a level of priority."),
    ] = 60
    host_idle_seconds: Annotated[
        float, Field(gt=0, description="Seconds after which a host that has nothing to do ends.")
    ] = 900
    task_keep_seconds: Annotated[
        float, Field(gt=0, description="Seconds for which an ended task can be asked for; its run stays.")
    ] = 604_800
    http_rate: Annotated[
        int, Field(ge=0, description="Requests a minute that one token may make over HTTP; 0 means no limit.")
    ] = 1200
    http_body_mb: Annotated[int, Field(ge=1, le=1024, description="Most that a request over HTTP may hold, in MB.")] = 4
    http_seconds: Annotated[
        float, Field(gt=0, le=600, description="Seconds that the body of a request over HTTP may take.")
    ] = 30
    http_origins: Annotated[
        tuple[str, ...], Field(description="Origins of web pages that may call the server over HTTP.")
    ] = ()
    log_level: Annotated[str, Field(description="Level of the log on stderr.")] = "WARNING"
    preload: Annotated[
        Literal["all", "models", "nothing"],
        Field(description="What is loaded ahead of the first step: the ML libraries with the tracker or without it."),
    ] = "all"
    executor: Annotated[
        Literal["local", "dask", "ray"],
        Field(description="Where steps run: on this machine, or on the workers of a Dask or a Ray cluster."),
    ] = "local"
    executor_address: Annotated[
        str,
        Field(description="Address of the cluster; empty starts one on this machine."),
    ] = ""
    executor_places: Annotated[
        int,
        Field(ge=1, le=64, description="Worker processes of a cluster that is started on this machine."),
    ] = 2
    artifacts: Annotated[
        str,
        Field(description="Folder or fsspec URL that all machines share; the state home when empty."),
    ] = ""
    components: Annotated[
        dict[str, str],
        Field(description="Foreign components: name = 'package.module' or 'package.module:Class'."),
    ] = Field(default_factory=dict)
    pools: Annotated[
        dict[str, Annotated[int, Field(ge=1)]],
        Field(description="Named slots that steps may ask for: name = how many."),
    ] = Field(default_factory=dict)
    limits: Annotated[
        dict[str, Annotated[int, Field(ge=1)]],
        Field(description="How many steps work at once: 'component:x', 'workflow:x', 'client:x' or 'total' = number."),
    ] = Field(default_factory=dict)
    rates: Annotated[
        dict[str, tuple[Annotated[int, Field(ge=1)], Annotated[float, Field(gt=0)]]],
        Field(description="How many steps start in how many seconds: key as for limits = [number, seconds]."),
    ] = Field(default_factory=dict)

    @field_validator("roots", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file or the environment holds
        return tuple(part for part in value.split(os.pathsep) if part) if isinstance(value, str) else value

    @field_validator("http_origins", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:  # noqa: ANN401 - whatever the file or the environment holds
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @classmethod
    def load(cls, project: Path | str | None = None, **overrides: Any) -> Settings:  # noqa: ANN401
        """Read file and environment for ``project`` (default: the working folder).

        Raises:
            InvalidInput: a setting is unknown, or its value is not acceptable.

        """
        base = Path(project or os.environ.get(f"{PREFIX}PROJECT") or Path.cwd()).resolve()
        values = {**_from_file(base / FILE), **_from_environment(), **overrides, "project": base}
        try:
            read = cls.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            field = str(first["loc"][0])
            raise InvalidInput(
                f"setting {field}",
                str(first["msg"]),
                then=suggestion(field, cls.model_fields),
            ) from error
        return read.model_copy(
            update={
                "home": base / read.home,
                "roots": tuple((base / root).resolve() for root in read.roots) or (base,),
                "workers": read.workers or _cores(),
            },
        )


def _from_file(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(path), f"is not valid TOML: {error}") from error


def _from_environment() -> dict[str, str]:
    names = {f"{PREFIX}{name.upper()}": name for name in Settings.model_fields}
    return {
        name: os.environ[variable]
        for variable, name in names.items()
        if name not in {*IN_FILE, "project"} and os.environ.get(variable)
    }


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
