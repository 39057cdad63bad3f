"""Database servers that SQLAlchemy reaches: asked in a transaction that is never committed, secrets never shown."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mcp_orchestrator.errors import DataRejected, InvalidInput, MissingLibrary, NotAllowed
from mcp_orchestrator.methods.tables.records import blocks_of
from mcp_orchestrator.methods.tables.stream import Stream
from mcp_orchestrator.values import SECRET

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Engine

__all__ = ["SERVERS", "distinct_names", "masked", "open_server", "parse_url", "refuse_writing"]

READS = re.compile(r"(?is)\s*(?:--[^\n]*\n\s*|/\*.*?\*/\s*)*(select|with|values|table)\b")
EMBEDDED = frozenset({"sqlite", "duckdb", "access", "firebird", "shillelagh"})
"""Engines inside this process, whose SQL can read any file; only SQLite is confined (see ``sqlite``)."""
SERVERS = frozenset(
    {
        "postgresql",
        "mysql",
        "mariadb",
        "mssql",
        "oracle",
        "snowflake",
        "bigquery",
        "redshift",
        "databricks",
        "clickhouse",
        "trino",
    }
)
"""Engines elsewhere, which may take their time; others are asked too, where their dialect is installed."""
DRIVERS = {
    "psycopg": "psycopg[binary]",
    "psycopg2": "psycopg2-binary",
    "MySQLdb": "mysqlclient",
    "cx_Oracle": "oracledb",
    "snowflake": "snowflake-sqlalchemy",
    "bigquery": "sqlalchemy-bigquery",
    "redshift": "sqlalchemy-redshift",
    "databricks": "databricks-sqlalchemy",
    "clickhouse": "clickhouse-sqlalchemy",
    "trino": "trino[sqlalchemy]",
}
"""What to install for a driver or a dialect, where it is called otherwise."""
PORTION = 5000


def parse_url(text: str) -> URL:
    """Read a database URL; its text appears in no message, since it may hold a password.

    Raises:
        InvalidInput: it is no URL of a database.
        NotAllowed: the engine would run in this process and could read any file.

    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    scheme = text.partition("://")[0]
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        form = "dialect+driver://user:password@host:port/database"
        raise InvalidInput("data", f"the {scheme}:// URL cannot be read.", then=f"Its form is {form}.") from None
    if url.get_backend_name() not in EMBEDDED:
        return url
    if url.drivername not in {"sqlite", "sqlite+pysqlite"}:
        raise NotAllowed(
            f"data: a {url.drivername} database can read any file of this machine. Export the table as Parquet or CSV.",
        )
    if not url.database or url.database == ":memory:" or url.database.startswith("file:") or url.query:
        raise InvalidInput(
            "data", "a SQLite URL names a file and nothing else.", then="Write sqlite:///folder/file.db."
        )
    return url


def masked(url: URL) -> str:
    """Return the URL as text without its secrets."""
    hidden = {name: "hidden" for name in url.query if SECRET.search(name)}
    return url.update_query_dict(hidden).render_as_string(hide_password=True)


def open_server(url: URL, *, query: str | None, table: str | None) -> Stream:
    """Open a query or a table of a database server.

    Raises:
        InvalidInput: the query is missing or does not only read, or the server refuses it or cannot be reached.
        MissingLibrary: the driver is not installed.

    """
    from sqlalchemy.exc import SQLAlchemyError

    statement = _statement(query, table)
    engine = _engine(url)
    options: dict[str, Any] = {"stream_results": True, "max_row_buffer": PORTION}
    if url.get_backend_name() == "postgresql":
        options["postgresql_readonly"] = True
    try:
        connection = engine.connect().execution_options(**options)
    except (SQLAlchemyError, TypeError, ValueError) as error:  # the last two from a driver that is given too much
        raise _refused(error, url) from None
    try:
        result = connection.execute(statement)
        names = distinct_names(list(result.keys()))
    except SQLAlchemyError as error:
        connection.close()
        raise _refused(error, url) from None
    except DataRejected:
        connection.close()
        raise

    def rows() -> Iterator[dict[str, Any]]:
        try:
            for portion in result.partitions(PORTION):
                for row in portion:
                    yield dict(zip(names, row, strict=True))
        except SQLAlchemyError as error:
            raise _refused(error, url) from None
        finally:
            connection.close()  # rolls back

    return Stream(blocks=blocks_of(rows(), names))


def _statement(query: str | None, table: str | None) -> Any:  # noqa: ANN401 - what SQLAlchemy executes
    import sqlalchemy

    if query is not None:
        refuse_writing(query)
        return sqlalchemy.text(query)
    if table is None:
        raise InvalidInput("query", "is required for a database.", then="Give a query that selects rows, or a table.")
    schema, _, name = table.rpartition(".")
    return sqlalchemy.select(sqlalchemy.text("*")).select_from(sqlalchemy.table(name, schema=schema or None))


def refuse_writing(query: str) -> None:
    """Refuse a query that does not begin like one that reads.

    Raises:
        InvalidInput: it does not.

    """
    if not READS.match(query):
        raise InvalidInput("query", "must read rows and nothing else.", then="Begin it with SELECT or WITH.")


def distinct_names(names: Sequence[str]) -> list[str]:
    """Return the names of a query's columns.

    Raises:
        DataRejected: two columns share a name.

    """
    twice = next((name for name, times in Counter(names).items() if times > 1), None)
    if twice is not None:
        raise DataRejected("the query gives two columns of this name.", column=twice, then="Rename one with AS.")
    return list(names)


def _engine(url: URL) -> Engine:
    import sqlalchemy
    from sqlalchemy.exc import NoSuchModuleError

    dialect = url.get_backend_name()
    try:
        return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, hide_parameters=True)
    except NoSuchModuleError:
        if dialect in DRIVERS:
            raise MissingLibrary(f"A {dialect}:// source", DRIVERS[dialect], None) from None
        raise InvalidInput("data", f"there is no database dialect {url.drivername!r} here.") from None
    except ImportError as error:
        library = (error.name or url.get_driver_name()).partition(".")[0]
        raise MissingLibrary(f"A {url.drivername}:// source", DRIVERS.get(library, library), None) from None


def _refused(error: Exception, url: URL) -> InvalidInput:
    text = (str(getattr(error, "orig", None) or error).strip().splitlines() or [type(error).__name__])[0]
    secrets = [url.password or "", *(str(value) for name, value in url.query.items() if SECRET.search(name))]
    for secret in filter(None, secrets):
        text = text.replace(secret, "***")
    return InvalidInput("query", f"{url.get_backend_name()} at {url.host or 'this machine'} answered: {text}")
