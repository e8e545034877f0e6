"""One database connection per thread, and statements compiled once.

SQLAlchemy writes the SQL and knows the dialects; the statements are then run on the driver itself. That
costs 12 µs instead of 60 µs a look-up on SQLite, and a look-up is most of what this server does. Connections
are in autocommit, transactions say BEGIN and COMMIT themselves.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, cast

from sqlalchemy import URL, ClauseElement, Engine, create_engine, event, make_url, text
from sqlalchemy.dialects import registry
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import NullPool

from ..errors import Unavailable

Row = tuple[Any, ...]

_BUSY_SECONDS = 10


class _Cursor(Protocol):
    rowcount: int

    def fetchall(self) -> list[Row]: ...
    def fetchone(self) -> Row | None: ...


class Statement:
    """A statement, written for each dialect when it is first run there; parameters are given by name.

    ``source`` is a Core clause or SQL text. Text is written once for both databases, with two marks where
    they differ: ``{ids}`` is a subquery over the JSON list in the parameter ``ids``, and ``{lock r}`` locks
    the rows of ``r`` (SQLite has locked everything already).
    """

    __slots__ = ("_source", "_written")

    def __init__(self, source: ClauseElement | str) -> None:
        self._source = source
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


def _for_dialect(source: str, dialect: str) -> str:
    if dialect == "sqlite":
        return re.sub(r"\{lock \w+\}", "", source).replace("{ids}", "SELECT value FROM json_each(:ids)")
    listed = "SELECT jsonb_array_elements_text(CAST(:ids AS jsonb))"
    return re.sub(r"\{lock (\w+)\}", r"FOR UPDATE OF \1", source).replace("{ids}", listed)


def _dialect(name: str) -> Dialect:
    """The dialect with parameters by name, as both drivers take them in a dict."""
    found: type[Dialect] = registry.load(name)
    return found(paramstyle="named" if name == "sqlite" else "pyformat")  # type: ignore[call-arg]


class Database:
    """A database, reached by one connection of each thread.

    ``url`` is an SQLAlchemy URL; ``postgresql://`` means psycopg 3. ``observers`` are called with the text of
    every statement: tests count with it.
    """

    def __init__(self, url: str, *, sqlite_synchronous: str = "FULL") -> None:
        self.url = normal_url(url)
        self.is_sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _engine(self.url, sqlite_synchronous)
        self.dialect = _dialect("sqlite" if self.is_sqlite else "postgresql")
        self.observers: list[Callable[[str], None]] = []
        self._local = threading.local()
        driver = self.engine.dialect.dbapi
        assert driver is not None
        self.integrity_error: type[Exception] = driver.IntegrityError
        self.operational_error: tuple[type[Exception], ...] = (driver.OperationalError, driver.InterfaceError)

    def run(self, statement: Statement, parameters: Mapping[str, Any]) -> _Cursor:
        """Run a statement on this thread's connection.

        Raises Unavailable when the database is gone, or busy for longer than it is waited for.
        """
        sql, fixed = statement.written(self.dialect)
        return self.run_sql(sql, {**fixed, **parameters} if fixed else parameters)

    def run_sql(self, sql: str, parameters: Mapping[str, Any] | None = None) -> _Cursor:
        for observer in self.observers:
            observer(sql)
        connection = self._connection()
        try:
            return cast(_Cursor, connection.execute(sql, parameters or {}))
        except self.operational_error as error:
            if self._lost(connection):
                self.close()
                if not self.in_transaction and _only_reads(sql):
                    return self._again(sql, parameters or {})
            raise Unavailable("The database cannot be reached or is busy; try again.") from error

    def run_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run one statement for several rows."""
        sql, _ = statement.written(self.dialect)
        for observer in self.observers:
            observer(sql)
        try:
            self._connection().cursor().executemany(sql, rows)
        except self.operational_error as error:
            raise Unavailable("The database cannot be reached or is busy; try again.") from error

    @property
    def in_transaction(self) -> bool:
        return bool(getattr(self._local, "in_transaction", False))

    def begin(self) -> None:
        """Open a write transaction. SQLite takes its only writer's place at once, so that it never deadlocks."""
        assert not self.in_transaction, "transactions do not nest"
        self.run_sql("BEGIN IMMEDIATE" if self.is_sqlite else "BEGIN")
        self._local.in_transaction = True

    def commit(self) -> None:
        self.run_sql("COMMIT")
        self._local.in_transaction = False

    def rollback(self) -> None:
        self._local.in_transaction = False
        try:
            self.run_sql("ROLLBACK")
        except Unavailable:
            self.close()

    def close(self) -> None:
        """Close this thread's connection; the next statement opens a new one."""
        held = getattr(self._local, "connection", None)
        self._local.connection = None
        self._local.in_transaction = False
        if held is not None:
            held.close()

    def _again(self, sql: str, parameters: Mapping[str, Any]) -> _Cursor:
        try:
            return cast(_Cursor, self._connection().execute(sql, parameters))
        except self.operational_error as error:
            raise Unavailable("The database cannot be reached; try again.") from error

    def _connection(self) -> Any:
        held = getattr(self._local, "connection", None)
        if held is None:
            try:
                pooled = self.engine.raw_connection()
            except self.operational_error as error:
                raise Unavailable("The database cannot be reached; try again.") from error
            held = self._local.connection = pooled.driver_connection
            pooled.detach()
        return held

    def _lost(self, connection: Any) -> bool:
        return not self.is_sqlite and bool(connection.closed or connection.broken)


def normal_url(url: str) -> URL:
    """The URL with the driver that we ship; plain ``postgresql://`` is psycopg."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql" and parsed.drivername != "postgresql+psycopg":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return parsed


def _only_reads(sql: str) -> bool:
    return sql.lstrip("( ")[:6].upper() in ("SELECT", "WITH R")


def _engine(url: URL, synchronous: str) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, poolclass=NullPool, connect_args={"autocommit": True, "connect_timeout": 5})
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
