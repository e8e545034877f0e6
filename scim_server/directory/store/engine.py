"""Connections to the database, and statements written once.

SQLAlchemy writes the SQL and knows the dialects; the statements are then run on the driver itself. That
costs 12 µs instead of 60 µs a look-up on SQLite, and a look-up is most of what this server does. Connections
are in autocommit, transactions say BEGIN and COMMIT themselves.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import URL, ClauseElement, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import registry
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from ..errors import Contended, Unavailable

Row = tuple[Any, ...]

_BUSY_SECONDS = 10
_DEADLOCK = "40P01"  # https://www.postgresql.org/docs/current/errcodes-appendix.html


class Statement:
    """A statement, written for each dialect when it is first run there; parameters are given by name.

    ``source`` is a Core clause or SQL text. Text is written once for both databases, with marks where they
    differ: ``{ids}`` is a subquery over the JSON list in the parameter ``ids``, ``{named}`` one over a list of
    ``[id, display, folded display]``; ``{lock r}`` locks the rows of
    ``r`` against other writers, ``{lock r alone}`` also against new references to them, such as memberships
    (SQLite has locked everything already), and ``{free r}`` passes by those that somebody else has locked;
    ``{few c}`` tells SQLite's planner that few rows come from the table of ``c``, or after ANALYZE it would scan
    the next one into a Bloom filter.
    """

    __slots__ = ("_source", "_written", "gives_rows", "only_reads")

    def __init__(self, source: ClauseElement | str) -> None:
        self._source = source
        self.only_reads = not isinstance(source, str) or source.lstrip()[:6] in ("SELECT", "WITH R")
        self.gives_rows = _gives_rows(source)
        self._written: dict[str, tuple[str, dict[str, Any]]] = {}

    def written(self, dialect: Dialect) -> tuple[str, dict[str, Any]]:
        """The SQL, and the parameters that the clause itself fixed."""
        found = self._written.get(dialect.name)
        if found is None:
            source = self._source
            clause = text(_for_dialect(source, dialect.name)) if isinstance(source, str) else source
            compiled = clause.compile(dialect=dialect)
            fixed = {name: value for name, value in compiled.params.items() if value is not None}
            found = self._written[dialect.name] = (str(compiled), fixed)
        return found


def _gives_rows(source: ClauseElement | str) -> bool | None:
    """Whether a statement gives rows; None where its text does not tell, such as a PRAGMA."""
    if not isinstance(source, str) or source.split(maxsplit=1)[0] in ("SELECT", "WITH"):
        return True
    return "RETURNING" in source if source.split(maxsplit=1)[0] in ("INSERT", "UPDATE", "DELETE") else None


_MARKS = {
    "sqlite": {
        r"\{ids\}": "SELECT value FROM json_each(:ids)",
        r"\{named\}": """(SELECT json_extract(value, '$[0]') AS id, json_extract(value, '$[1]') AS display,
            json_extract(value, '$[2]') AS display_key FROM json_each(:named))""",
        r" \{(lock|free) \w+( alone)?\}": "",
        r"\{few (\S+)\}": r"likelihood(\1 IS NOT NULL, 0.0000001)",
    },
    "postgresql": {
        # An array that the planner can read: it would take a subquery for a hundred average ids, and in a tenant of
        # few large groups prefer to read every membership.
        r"(?<!NOT )IN \(\{ids\}\)": "= ANY (string_to_array(translate(:ids, '[]\"', ''), ','))",
        r"\{ids\}": "SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))",
        r"\{named\}": """(SELECT value ->> 0 AS id, value ->> 1 AS display, value ->> 2 AS display_key
            FROM jsonb_array_elements(CAST(:named AS jsonb)))""",
        r"\{lock (\w+)\}": r"FOR NO KEY UPDATE OF \1",
        r"\{lock (\w+) alone\}": r"FOR UPDATE OF \1",
        r"\{free (\w+)\}": r"FOR NO KEY UPDATE OF \1 SKIP LOCKED",
        r"\{few (\S+)\}": r"\1 IS NOT NULL",
    },
}


def _for_dialect(source: str, dialect: str) -> str:
    for mark, written in _MARKS[dialect].items():
        source = re.sub(mark, written, source)
    return source


def _dialect(name: str) -> Dialect:
    """The dialect with parameters by name, as both drivers take them in a dict."""
    found: type[Dialect] = registry.load(name)
    return found(paramstyle="named" if name == "sqlite" else "pyformat")  # type: ignore[call-arg]


class Result:
    """The rows of a statement, and how many it touched; the cursor is done with."""

    __slots__ = ("rowcount", "rows")

    def __init__(self, rows: list[Row], rowcount: int) -> None:
        self.rows, self.rowcount = rows, rowcount

    def fetchall(self) -> list[Row]:
        return self.rows

    def fetchone(self) -> Row | None:
        return self.rows[0] if self.rows else None


class Link:
    """One driver connection, in autocommit; used by one thread at a time."""

    __slots__ = ("_database", "driver")

    def __init__(self, database: Database, driver: Any) -> None:
        self._database, self.driver = database, driver

    def run(self, statement: Statement, parameters: Mapping[str, Any]) -> Result:
        """Run a statement. Raises Unavailable when the database is gone, or busy for longer than we wait."""
        sql, fixed = statement.written(self._database.dialect)
        return self.run_sql(sql, {**fixed, **parameters} if fixed else parameters, gives_rows=statement.gives_rows)

    def run_sql(
        self, sql: str, parameters: Mapping[str, Any] | None = None, *, gives_rows: bool | None = None
    ) -> Result:
        """Run SQL text; whether it gives rows is asked of the driver, which takes its time, unless it is told."""
        for observer in self._database.observers:
            observer(sql)
        try:
            cursor = self.driver.execute(sql, parameters or {})
            if gives_rows is None:
                gives_rows = cursor.description is not None
            return Result(cursor.fetchall() if gives_rows else [], cursor.rowcount)
        except self._database.operational_error as error:
            raise _unavailable(error) from error

    def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run one statement for several rows."""
        sql, _ = statement.written(self._database.dialect)
        for observer in self._database.observers:
            observer(sql)
        try:
            self.driver.cursor().executemany(sql, rows)
        except self._database.operational_error as error:
            raise _unavailable(error) from error

    @property
    def lost(self) -> bool:
        """Whether the server hung up."""
        return not self._database.is_sqlite and bool(self.driver.closed or self.driver.broken)


class Database:
    """A database and the connections that are open to it.

    ``url`` is an SQLAlchemy URL; ``postgresql://`` means psycopg 3. A connection that nobody uses waits on a
    list for the next who needs one, so there are as many as were ever needed at once, and none is left behind by
    a thread that ended. ``observers`` are called with the text of every statement: tests count with it.
    """

    def __init__(self, url: str, *, sqlite_synchronous: str = "FULL", statement_seconds: int = 30) -> None:
        self.url = normal_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _engine(self.url, sqlite_synchronous, statement_seconds)
        self.dialect = _dialect("sqlite" if self.is_sqlite else "postgresql")
        self.observers: list[Callable[[str], None]] = []
        self._idle: list[Link] = []
        driver = self.engine.dialect.dbapi
        assert driver is not None
        self.integrity_error: type[Exception] = driver.IntegrityError
        self.programming_error: type[Exception] = driver.ProgrammingError
        self.operational_error: tuple[type[Exception], ...] = (driver.OperationalError, driver.InterfaceError)

    def run(self, statement: Statement, parameters: Mapping[str, Any]) -> Result:
        """Run one statement by itself; a look-up is repeated once when the connection turns out to be lost."""
        link = self.take()
        try:
            return link.run(statement, parameters)
        except Unavailable:
            if not link.lost or not statement.only_reads:
                raise
            self.close()  # the others are lost too
            link = self.take()
            return link.run(statement, parameters)
        finally:
            self._give_back(link)

    def run_if_free(self, statement: Statement, parameters: Mapping[str, Any]) -> None:
        """Run one small change by itself, or leave it when SQLite's only writer is at work.

        On PostgreSQL the statement itself has to pass by a row that is locked: ``{free r}``.
        """
        link = self.take()
        try:
            if self.is_sqlite:
                link.run_sql("PRAGMA busy_timeout=0")
            link.run(statement, parameters)
        except Unavailable:
            pass
        finally:
            if self.is_sqlite:
                link.run_sql(f"PRAGMA busy_timeout={_BUSY_SECONDS * 1000}")
            self._give_back(link)

    def run_sql(self, sql: str) -> Result:
        """Run SQL text by itself."""
        link = self.take()
        try:
            return link.run_sql(sql)
        finally:
            self._give_back(link)

    @contextmanager
    def transaction(self) -> Iterator[Link]:
        """A write transaction, committed at the end or rolled back on any exception.

        SQLite takes its only writer's place at once, so that it never deadlocks.
        """
        link = self._begun()
        try:
            yield link
            link.run_sql("COMMIT")
        except BaseException:
            with suppress(Unavailable):
                link.run_sql("ROLLBACK")
            raise
        finally:
            self._give_back(link)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().driver.close()

    def _begun(self) -> Link:
        """A connection in a transaction; another one is tried when the first turns out to be lost."""
        begin = "BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN"
        link = self.take()
        try:
            link.run_sql(begin)
        except Unavailable:
            self._give_back(link)
            if not link.lost:
                raise
        else:
            return link
        self.close()
        link = self.take()
        try:
            link.run_sql(begin)
        except Unavailable:
            self._give_back(link)
            raise
        return link

    def take(self) -> Link:
        """An idle connection, or a new one. Raises Unavailable."""
        try:
            return self._idle.pop()
        except IndexError:
            pass
        try:
            pooled = self.engine.raw_connection()
        except self.operational_error as error:
            raise Unavailable("The database cannot be reached; try again.") from error
        driver = pooled.driver_connection
        pooled.detach()
        return Link(self, driver)

    def _give_back(self, link: Link) -> None:
        if link.lost:
            link.driver.close()
        else:
            self._idle.append(link)


def _unavailable(error: Exception) -> Unavailable:
    if getattr(error, "sqlstate", None) == _DEADLOCK:
        return Contended("Others are changing the same resources; try again.")
    return Unavailable("The database cannot be reached or is busy; try again.")


_USABLE = (
    "The database's URL cannot be read; SCIM_SERVER_DATABASE_URL is one like "
    "sqlite:///var/scim-server.db or postgresql://user:password@host/name."
)


def normal_url(url: str) -> URL:
    """The URL with the driver that we ship; plain ``postgresql://`` and ``postgres://`` are psycopg.

    Raises Unavailable for what is no URL of a database that we know.
    """
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1) if url.startswith("postgres://") else url)
    except (ArgumentError, ValueError):
        raise Unavailable(_USABLE) from None
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise Unavailable(_USABLE)
    if parsed.get_backend_name() == "postgresql" and parsed.drivername != "postgresql+psycopg":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: URL, synchronous: str, statement_seconds: int) -> Engine:
    if url.get_backend_name() != "sqlite":
        try:
            arguments = {
                "autocommit": True,
                "connect_timeout": 5,
                "options": f"-c statement_timeout={statement_seconds}s",
            }
            return create_engine(url, poolclass=NullPool, connect_args=arguments)
        except ModuleNotFoundError:
            raise Unavailable("PostgreSQL needs its driver: pip install 'scim-server[postgres]'") from None
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None  # BEGIN and COMMIT are ours
        for pragma in (
            "journal_mode=wal",
            f"synchronous={synchronous}",
            "foreign_keys=on",
            f"busy_timeout={_BUSY_SECONDS * 1000}",
            "cache_size=-32000",
            "temp_store=memory",
            "mmap_size=268435456",
        ):
            connection.execute(f"pragma {pragma}")

    return engine
