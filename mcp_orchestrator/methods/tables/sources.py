"""What a caller means by ``data``: which of the sources it is, and whether it may be read."""

from __future__ import annotations

import re
from typing import Any

from mcp_orchestrator.component import Context
from mcp_orchestrator.errors import InvalidInput, NotAllowed
from mcp_orchestrator.methods.tables import columnar, delimited, records, server
from mcp_orchestrator.methods.tables.builtin import BUILTINS, builtin
from mcp_orchestrator.methods.tables.paths import allowed, kind_of, shown
from mcp_orchestrator.methods.tables.stream import Source, Stream, Tell
from mcp_orchestrator.settings import PREFIX, Settings
from mcp_orchestrator.values import Data

__all__ = ["source_of"]

SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+._-]*)://")
REMOTE = frozenset(
    {
        "http",
        "https",
        "ftp",
        "ftps",
        "sftp",
        "s3",
        "s3a",
        "gs",
        "gcs",
        "abfs",
        "abfss",
        "az",
        "hdfs",
        "hf",
        "file",
        "data",
        "ssh",
        "webhdfs",
        "oss",
        "cos",
        "dbfs",
    },
)


def source_of(ctx: Context, data: Data, *, query: str | None = None, table: str | None = None) -> Source:
    """Find out what ``data`` is; nothing is read yet.

    Raises:
        InvalidInput: it is none of the sources, the file is missing, or query and table do not fit it.
        NotAllowed: it may not be read.
        UnknownName: there is no such builtin table.

    """
    if query is not None and table is not None:
        raise InvalidInput("query", "cannot be given together with table.", then="Give one of them.")
    if not isinstance(data, str):
        return _plain("inline", f"inline ({len(data)} rows)", lambda _: _inline(data), query=query, table=table)
    text = data.strip()
    if text.startswith("builtin:"):
        name = text.removeprefix("builtin:")
        if name not in BUILTINS:
            builtin(name)
        opened: Any = lambda _: columnar.open_table(builtin(name))  # noqa: E731
        return _plain(name, text, opened, query=query, table=table, stamp=(text,))
    found = SCHEME.match(text)
    if found is None:
        return _file(ctx.settings, text, query=query, table=table)
    scheme = found["scheme"].lower()
    if scheme in REMOTE:
        raise NotAllowed(
            f"data: {scheme}:// addresses are not read. Download the file to a folder that may be read "
            f"({', '.join(map(str, ctx.settings.roots))}; setting {PREFIX}ROOTS) and give its path.",
        )
    url = server.parse_url(text)
    if url.get_backend_name() == "sqlite":
        return _file(ctx.settings, str(url.database), query=query, table=table, database=True)
    return Source(
        name=table or url.database or "query",
        origin=server.masked(url),
        open=lambda _: server.open_server(url, query=query, table=table),
    )


def _file(settings: Settings, given: str, *, query: str | None, table: str | None, database: bool = False) -> Source:
    if given in BUILTINS and not (settings.project / given).exists():
        raise InvalidInput("data", f"there is no file {given!r}.", then=f"Did you mean 'builtin:{given}'?")
    path = allowed(settings, given)
    kind, packed = ("sqlite", False) if database else kind_of(path, given)
    if query is not None and kind != "sqlite":
        raise InvalidInput("query", f"cannot be asked of {path.name}.", then="Leave it out; it is for databases.")
    if table is not None and kind not in {"sqlite", "excel"}:
        raise InvalidInput(
            "table", f"{path.name} holds one table.", then="Leave it out; it is for databases and workbooks."
        )
    most = settings.max_bytes

    def opened(tell: Tell) -> Stream:
        match kind:
            case "delimited":
                return delimited.open_delimited(path, packed=packed, most=most, tell=tell)
            case "json":
                return records.open_json(path, packed=packed, most=most, tell=tell)
            case "parquet":
                return columnar.open_parquet(path, tell=tell)
            case "arrow":
                return columnar.open_arrow(path, tell=tell)
            case "excel":
                from mcp_orchestrator.methods.tables import workbook  # loads an XML parser

                return workbook.open_workbook(path, sheet=table, most=most, tell=tell)
            case _:
                from mcp_orchestrator.methods.tables import sqlite  # loads another SQLite than ours

                return sqlite.open_sqlite(path, query=query, table=table)

    facts = path.stat()
    return Source(
        name=table or path.name.removesuffix(".gz").rpartition(".")[0] or path.name,
        origin=shown(settings, path),
        open=opened,
        stamp=(str(path), facts.st_size, facts.st_mtime_ns, table) if kind != "sqlite" else None,  # WAL changes neither
    )


def _inline(rows: list[dict[str, Any]]) -> Stream:
    return Stream(blocks=records.blocks_of(records.inline(rows)))


def _plain(
    name: str,
    origin: str,
    opened: Any,  # noqa: ANN401 - a function from Tell to Stream
    *,
    query: str | None,
    table: str | None,
    stamp: tuple[object, ...] | None = None,
) -> Source:
    if query is not None or table is not None:
        field = "query" if query is not None else "table"
        raise InvalidInput(
            field, f"cannot be asked of {name}.", then="Leave it out; it is for databases and workbooks."
        )
    return Source(name=name, origin=origin, open=opened, stamp=stamp)
