"""Resolved filter -> SQL; sorting, counting, paging (RFC 7644 §3.4.2).

A comparison of a single value looks at a column or at the folded value in ``resources.keys``. One of a
multi-valued attribute is ``id IN (SELECT …)`` over rows: entries, memberships, or the groups a user is in.
SQL's third truth value is kept out: a comparison that meets NULL is false, and so is true when negated.

The statement depends on the shape of the filter alone. It is made once per shape and run with the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Alias,
    ColumnElement,
    FromClause,
    Numeric,
    Select,
    and_,
    bindparam,
    case,
    cast,
    exists,
    false,
    func,
    literal_column,
    not_,
    null,
    or_,
    select,
    true,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import Text

from ...protocol.errors import InvalidValue
from ...protocol.filters import Compare, Constant, Either, Every, Node, Not, Present, Some, comparisons
from ...protocol.render import Stored
from ...protocol.schemas import ENTERPRISE, RESOURCE_TYPES, Attribute, ResourceType
from .documents import stored
from .engine import Statement
from .tables import PREFIX, entries, external_ids, memberships, resources
from .transaction import Tx

Column = ColumnElement[Any]
Columns = Callable[[Attribute], Column]

_TENANT: Column = bindparam("tenant")
_BASE = bindparam("base", type_=Text)


@dataclass(frozen=True, slots=True)
class Sort:
    """The attribute to sort by in each kind that has it."""

    by: tuple[tuple[str, Attribute], ...]
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a search: the resources on it, and how many there are altogether."""

    resources: list[Stored]
    total: int


def find(tx: Tx, wheres: Mapping[str, Node], sort: Sort | None, *, start: int, count: int, base: str) -> Page:
    """Find resources of each kind named in ``wheres`` that satisfy its tree.

    ``start`` counts from 1. ``base`` is the base URL that ``$ref`` and ``meta.location`` are compared with.
    The total is counted only where the page itself does not tell it.
    """
    shape = tuple(wheres.items())
    parameters = {**_values(wheres), "base": base, "connection": tx.actor.connection}
    found: list[Stored] = []
    if count > 0:
        statement = _statement(shape, sort, counting=False)
        rows = tx.all(statement, **parameters, limit=count, offset=start - 1)
        found = [stored(row) for row in rows]
        if len(found) < count and (found or start == 1):
            return Page(found, start - 1 + len(found))
    row = tx.one(_statement(shape, sort=None, counting=True), **parameters)
    assert row is not None
    return Page(found, row[0])


def member_ids(tx: Tx, group: str, where: Node) -> list[str]:
    """The members of a group that a filter between brackets selects."""
    attribute = RESOURCE_TYPES["Group"].attributes["members"]
    parameters = {**_values({"Group": Some(attribute, where)}), "base": "", "group": group}
    return [row[0] for row in tx.all(_member_statement(where), **parameters)]


# --------------------------------------------------------------------------------------------- statements


@lru_cache(maxsize=1024)
def _statement(shape: tuple[tuple[str, Node], ...], sort: Sort | None, *, counting: bool) -> Statement:
    """The statement for one shape; Compare leaves its value out of equality, so shapes are few."""
    sql = _Sql([node for _, node in shape])
    kinds = [
        and_(resources.c.kind == literal_column(f"'{kind}'"), sql.of_resource(RESOURCE_TYPES[kind], node))
        for kind, node in shape
    ]
    source: FromClause = resources
    if sql.uses_external_id or not counting:
        source = resources.outerjoin(
            external_ids,
            and_(
                external_ids.c.tenant == resources.c.tenant,
                external_ids.c.resource == resources.c.id,
                external_ids.c.connection == bindparam("connection"),
            ),
        )
    shown: list[Column] = [resources.c[name] for name in ("kind", "id", "version", "created", "modified", "body")]
    columns = [func.count()] if counting else [*shown, external_ids.c.value]
    query: Select[Any] = select(*columns).select_from(source)
    query = query.where(resources.c.tenant == _TENANT, resources.c.deleted.is_(None), or_(*kinds))
    if not counting:
        query = query.order_by(*_order(sort)).limit(bindparam("limit")).offset(bindparam("offset"))
    return Statement(query)


@lru_cache(maxsize=256)
def _member_statement(where: Node) -> Statement:
    sql = _Sql([where])
    member = resources.alias("member")
    query = (
        select(memberships.c.member_id)
        .join(member, _same(member, memberships.c.member_id))
        .where(
            memberships.c.tenant == _TENANT,
            memberships.c.group_id == bindparam("group"),
            sql.compile(where, _member_columns(memberships, member), positive=True),
        )
    )
    return Statement(query)


def _values(wheres: Mapping[str, Node]) -> dict[str, Any]:
    """The parameters of a filter, named in the order in which its comparisons are written."""
    out: dict[str, Any] = {}
    for number, each in enumerate(leaf for node in wheres.values() for leaf in comparisons(node)):
        value = _plain_version(each) if each.attribute.path == "meta.version" else each.value
        if isinstance(value, bool):
            value = "true" if value else "false"
        out[f"v{number}"] = value
        if each.op == "eq" and isinstance(value, str):
            out[f"v{number}_prefix"] = value[:PREFIX]
        elif each.op == "sw":
            out[f"v{number}_end"] = _successor(value)
        elif each.op == "ew":
            out[f"v{number}_length"] = len(value)
    return out


def _plain_version(compare: Compare) -> str:
    """A user's version as served carries a digest of the groups behind a dash; the row has the number."""
    value = str(compare.value)
    head, dash, _ = value.rpartition("-")
    return f'{head}"' if dash and value.startswith('W/"') else value


def _successor(prefix: str) -> str:
    """The least text that is greater than every text with this prefix, by code point."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            return prefix[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)
        prefix = prefix[:-1]
    return "\U0010ffff" * 2


# ------------------------------------------------------------------------------------ dialect differences


class _Key(FunctionElement[str]):
    """The text at a path of a JSON column, ordered by code point."""

    inherit_cache = False
    type = Text()

    def __init__(self, column: Column, path: str) -> None:
        self.path = path.replace("'", "''")
        super().__init__(column)


@compiles(_Key, "sqlite")
def _key_sqlite(element: _Key, compiler: SQLCompiler, **kw: Any) -> str:
    return f"json_extract({compiler.process(element.clauses, **kw)}, '$.\"{element.path}\"')"


@compiles(_Key, "postgresql")
def _key_postgresql(element: _Key, compiler: SQLCompiler, **kw: Any) -> str:
    path = element.path.replace("%", "%%")
    return f"(({compiler.process(element.clauses, **kw)} ->> '{path}') COLLATE \"C\")"


class _ByCodePoint(FunctionElement[str]):
    """A text in the order of code points, whatever the order of its column or of the database."""

    inherit_cache = True
    type = Text()


@compiles(_ByCodePoint, "sqlite")
def _by_code_point_sqlite(element: _ByCodePoint, compiler: SQLCompiler, **kw: Any) -> str:
    return str(compiler.process(element.clauses, **kw))


@compiles(_ByCodePoint, "postgresql")
def _by_code_point_postgresql(element: _ByCodePoint, compiler: SQLCompiler, **kw: Any) -> str:
    return f'(({compiler.process(element.clauses, **kw)}) COLLATE "C")'


class _Position(FunctionElement[int]):
    """Where a text stands in another, counted from 1; 0 when it does not."""

    inherit_cache = True


@compiles(_Position, "sqlite")
def _position_sqlite(element: _Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"instr({compiler.process(element.clauses, **kw)})"


@compiles(_Position, "postgresql")
def _position_postgresql(element: _Position, compiler: SQLCompiler, **kw: Any) -> str:
    return f"strpos({compiler.process(element.clauses, **kw)})"


# ------------------------------------------------------------------------------------- the tree, compiled


class _Sql:
    """Compiles resolved trees; the number of a comparison names its parameters."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.uses_external_id = False
        self.numbers = {
            id(each): number for number, each in enumerate(leaf for node in nodes for leaf in comparisons(node))
        }

    def of_resource(self, kind: ResourceType, node: Node) -> Column:
        def column(attribute: Attribute) -> Column:
            self.uses_external_id |= attribute.path == "externalId"
            return _resource_column(kind, attribute)

        return self.compile(node, column, positive=True)

    def compile(self, node: Node, columns: Columns, *, positive: bool) -> Column:
        """The condition for a tree, or with ``positive`` false for its negation."""
        match node:
            case Constant(value):
                return true() if value == positive else false()
            case Not(inner):
                return self.compile(inner, columns, positive=not positive)
            case Every(terms) | Either(terms):
                parts = [self.compile(term, columns, positive=positive) for term in terms]
                return and_(*parts) if isinstance(node, Every) == positive else or_(*parts)
            case Present(attribute):
                condition = self.present(attribute, columns)
                return condition if positive else not_(condition)
            case Some(attribute, where):
                ids = self.having(attribute, where)
                return resources.c.id.in_(ids) if positive else resources.c.id.not_in(ids)
            case Compare(attribute):
                column = columns(attribute)
                condition = self.compare(node, column)
                return condition if positive else or_(column.is_(None), not_(condition))

    def present(self, attribute: Attribute, columns: Columns) -> Column:
        """``pr``, two-valued: the column is there and not empty text."""
        if attribute.name in ("schemas", "members", "groups"):
            return resources.c.id.in_(self.having(attribute, Constant(True)))
        if attribute.multi_valued and attribute.complex:  # an entry may hold nothing but empty text
            anything = Either(tuple(Present(sub) for sub in attribute.subs.values()))
            return resources.c.id.in_(self.having(attribute, anything))
        if attribute.complex:
            return or_(*(self.present(sub, columns) for sub in attribute.subs.values()))
        column = columns(attribute)
        if attribute.type == "boolean" or attribute.type in ("integer", "decimal"):
            return column.is_not(None)
        return and_(column.is_not(None), column != literal_column("''"))

    def compare(self, node: Compare, column: Column) -> Column:
        number = self.numbers[id(node)]
        value: Column = bindparam(f"v{number}")
        prefix = _indexed_prefix(column)
        if node.attribute.type in ("integer", "decimal"):
            column = cast(column, Numeric)
        elif node.op in ("sw", "gt", "ge", "lt", "le"):
            column = _ByCodePoint(column)
        match node.op:
            case "eq" if prefix is not None:
                return and_(prefix == bindparam(f"v{number}_prefix"), column == value)
            case "eq":
                return column == value
            case "co":
                return _Position(column, value) > 0
            case "sw":  # a range, so that an index serves
                return and_(column >= value, column < bindparam(f"v{number}_end"))
            case "ew":
                length: Column = bindparam(f"v{number}_length")
                return and_(
                    func.length(column) >= length, func.substr(column, func.length(column) - length + 1) == value
                )
            case "gt":
                return column > value
            case "ge":
                return column >= value
            case "lt":
                return column < value
            case _:
                return column <= value

    def having(self, attribute: Attribute, where: Node) -> Select[Any]:
        """The ids of resources with an entry of this attribute that satisfies ``where``."""
        if attribute.name == "members":
            return self.having_member(where)
        if attribute.name == "groups":
            return self.in_group(where)
        entry = entries.alias()
        return select(entry.c.resource).where(
            entry.c.tenant == _TENANT,
            entry.c.attribute == literal_column(f"'{attribute.path}'"),
            self.compile(where, lambda sub: _entry_column(entry, attribute, sub), positive=True),
        )

    def having_member(self, where: Node) -> Select[Any]:
        membership, member = memberships.alias(), resources.alias()
        return (
            select(membership.c.group_id)
            .join(member, _same(member, membership.c.member_id))
            .where(
                membership.c.tenant == _TENANT,
                self.compile(where, _member_columns(membership, member), positive=True),
            )
        )

    def in_group(self, where: Node) -> Select[Any]:
        """Users in a group that satisfies ``where``, directly or by nesting (as they are served)."""
        membership, group = memberships.alias(), resources.alias()
        direct = (
            select(membership.c.member_id)
            .join(group, _same(group, membership.c.group_id))
            .where(membership.c.tenant == _TENANT, self.compile(where, _group_columns(group, "direct"), positive=True))
        )
        top, edge, child = resources.alias(), memberships.alias(), resources.alias()
        below = (
            select(edge.c.group_id.label("root"), edge.c.member_id.label("below"))
            .join(top, _same(top, edge.c.group_id))
            .join(child, _same(child, edge.c.member_id))
            .where(
                edge.c.tenant == _TENANT,
                edge.c.member_kind == literal_column("'Group'"),
                self.compile(where, _group_columns(top, "indirect"), positive=True),
            )
            .cte(recursive=True)
        )
        step, leaf = memberships.alias(), resources.alias()
        below = below.union(
            select(below.c.root, step.c.member_id)
            .join(step, and_(step.c.tenant == _TENANT, step.c.group_id == below.c.below))
            .join(leaf, _same(leaf, step.c.member_id))
            .where(step.c.member_kind == literal_column("'Group'"))
        )
        last, straight = memberships.alias(), memberships.alias()
        indirect = (
            select(last.c.member_id)
            .join(below, and_(last.c.tenant == _TENANT, last.c.group_id == below.c.below))
            .where(
                ~exists().where(
                    straight.c.tenant == _TENANT,
                    straight.c.group_id == below.c.root,
                    straight.c.member_id == last.c.member_id,
                )
            )
        )
        both = direct.union(indirect).subquery()
        return select(both.c.member_id)


def _same(table: FromClause, resource_id: Column) -> Column:
    """A living resource with this id."""
    return and_(table.c.tenant == _TENANT, table.c.id == resource_id, table.c.deleted.is_(None))


# ------------------------------------------------------------------------------------------------ columns


def _resource_column(kind: ResourceType, attribute: Attribute) -> Column:
    """Where a single value of a resource is kept."""
    match attribute.path:
        case "id":
            return resources.c.id
        case "externalId":
            return external_ids.c.value
        case "meta.created":
            return resources.c.created
        case "meta.lastModified":
            return resources.c.modified
        case "meta.resourceType":
            return resources.c.kind
        case "meta.location":
            return _url(kind.endpoint, resources.c.id)
        case "meta.version":
            return literal_column("'W/\"'").concat(cast(resources.c.version, Text)).concat(literal_column("'\"'"))
        case path if path == f"{ENTERPRISE}:manager.$ref":
            return _url("/Users", _Key(resources.c["keys"], f"{ENTERPRISE}:manager.value"))
        case "userName" | "displayName" if attribute.uniqueness == "server":
            return resources.c.name
        case path:
            return _Key(resources.c["keys"], path)


def _entry_column(entry: FromClause, head: Attribute, sub: Attribute) -> Column:
    if sub is head or sub.name == "value":
        return entry.c.value
    return _Key(entry.c["keys"], sub.name)


def _indexed_prefix(column: Column) -> Column | None:
    """The beginning of an entry's value, which the index holds; None for every other column."""
    table = getattr(column, "table", None)
    if isinstance(table, Alias) and table.element is entries and column.key == "value":
        prefix: Column = table.c.prefix
        return prefix
    return None


def _member_columns(membership: FromClause, member: FromClause) -> Columns:
    def column(sub: Attribute) -> Column:
        match sub.name:
            case "value":
                return membership.c.member_id
            case "type":
                return func.lower(membership.c.member_kind)
            case "$ref":
                users = membership.c.member_kind == literal_column("'User'")
                return case(
                    (users, _url("/Users", membership.c.member_id)), else_=_url("/Groups", membership.c.member_id)
                )
            case _:
                return func.coalesce(membership.c.display_key, _folded_display(member))

    return column


def _group_columns(group: FromClause, how: str) -> Columns:
    def column(sub: Attribute) -> Column:
        match sub.name:
            case "value":
                return group.c.id
            case "type":
                return literal_column(f"'{how}'", Text)
            case "$ref":
                return _url("/Groups", group.c.id)
            case _:
                return _folded_display(group)

    return column


def _folded_display(resource: FromClause) -> Column:
    return func.coalesce(func.nullif(_Key(resource.c["keys"], "displayName"), literal_column("''")), resource.c.name)


def _url(endpoint: str, resource_id: Column) -> Column:
    return cast(_BASE, Text).concat(literal_column(f"'{endpoint}/'", Text)).concat(resource_id)


# ------------------------------------------------------------------------------------------------ sorting


def sort_by(kinds: Sequence[ResourceType], name: str, *, descending: bool) -> Sort:
    """Find what ``sortBy`` names (RFC 7644 §3.4.2.3). Raises InvalidValue."""
    by = []
    for kind in kinds:
        attribute = kind.resolve_key(name)
        if attribute is None:
            continue
        if attribute.complex:
            attribute = attribute.subs.get("value")
        head = attribute.parent or attribute if attribute else None
        if attribute is None or head is None or head.name in ("members", "groups", "password", "schemas"):
            raise InvalidValue(detail='"sortBy" names an attribute that has no order; use one with a single value.')
        by.append((kind.name, attribute))
    if not by:
        raise InvalidValue(detail='"sortBy" names an attribute that does not exist here.')
    return Sort(tuple(by), descending)


def _order(sort: Sort | None) -> list[Column]:
    """Absent values last in ascending order, first in descending (§3.4.2.3); ties by id, so pages are stable."""
    if sort is None:
        return [resources.c.id.asc()]
    columns = {kind: _sort_column(RESOURCE_TYPES[kind], attribute) for kind, attribute in sort.by}
    if len(columns) == 1:
        column = next(iter(columns.values()))
    else:
        column = case(*((resources.c.kind == literal_column(f"'{k}'"), c) for k, c in columns.items()), else_=null())
    ordered = column.desc().nulls_first() if sort.descending else column.asc().nulls_last()
    return [ordered, resources.c.id.asc()]


def _sort_column(kind: ResourceType, attribute: Attribute) -> Column:
    head = attribute.parent
    if head is None or not head.multi_valued:
        return _resource_column(kind, attribute)
    entry = entries.alias()
    primary = case((_Key(entry.c["keys"], "primary") == literal_column("'true'"), 0), else_=1)
    return (
        select(_entry_column(entry, head, attribute))
        .where(
            entry.c.tenant == _TENANT,
            entry.c.resource == resources.c.id,
            entry.c.attribute == literal_column(f"'{head.path}'"),
        )
        .order_by(primary, entry.c.position)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
