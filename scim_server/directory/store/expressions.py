"""SQL expressions that the two databases write differently."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text

Column = ColumnElement[Any]


class Key(FunctionElement[str]):
    """The text at a path of a JSON column, ordered by code point."""

    inherit_cache = False
    type = Text()

    def __init__(self, column: Column, path: str) -> None:
        self.path = path.replace("'", "''")
        super().__init__(column)


@compiles(Key, "sqlite")
def _key_sqlite(element: Key, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **kw)}, '$.\"{element.path}\"')"


@compiles(Key, "postgresql")
def _key_postgresql(element: Key, compiler: SQLCompiler, **kw: Any) -> str:
    path = element.path.replace("%", "%%")
    return f"(({compiler.process(element.clauses, **kw)} ->> '{path}') COLLATE \"C\")"


class Among(ColumnElement[bool]):
    """Whether an id is among those that a SELECT of one column gives.

    SQLite is quick with ``IN``, which it makes once. PostgreSQL looks the id up by ``EXISTS``: its ``IN`` under ``NOT``
    or ``OR`` goes through the whole list for every row when that is too long to be hashed.
    """

    inherit_cache = False
    type = Boolean()

    def __init__(self, resource_id: Column, ids: Select[Any]) -> None:
        (given,) = ids.selected_columns
        self.as_in = resource_id.in_(ids)
        self.as_exists = ids.where(given == resource_id).correlate(resource_id.table).exists()


@compiles(Among, "sqlite")
def _among_sqlite(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.as_in, **kw)})"


@compiles(Among, "postgresql")
def _among_postgresql(element: Among, compiler: SQLCompiler, **kw: Any) -> str:
    return f"({compiler.process(element.as_exists, **kw)})"


class ByCodePoint(FunctionElement[str]):
    """A text in the order of code points, whatever the order of its column or of the database."""

    inherit_cache = True
    type = Text()


@compiles(ByCodePoint, "sqlite")
def _by_code_point_sqlite(element: ByCodePoint, compiler: SQLCompiler, **kw: Any) -> str:
    return str(compiler.process(element.clauses, **kw))


@compiles(ByCodePoint, "postgresql")
def _by_code_point_postgresql(element: ByCodePoint, compiler: SQLCompiler, **kw: Any) -> str:
    return f'(({compiler.process(element.clauses, **kw)}) COLLATE "C")'


class Position(FunctionElement[int]):
    """Where a text stands in another, counted from 1; 0 when it does not."""

    inherit_cache = True


@compiles(Position, "sqlite")
def _position_sqlite(element: Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(Position, "postgresql")
def _position_postgresql(element: Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"
