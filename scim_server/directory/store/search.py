"""Searching: filter, sorting, counting, paging (RFC 7644 §3.4.2).

The statement depends on the shape of the filter alone. It is made once per shape, unless that is
long, and run with the values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import FromClause, Select, and_, bindparam, case, func, literal_column, null, or_, select

from ...protocol.errors import InvalidValue
from ...protocol.filters import Constant, Node, Some, size
from ...protocol.render import Stored
from ...protocol.schemas import RESOURCE_TYPES, Attribute, ResourceType
from .columns import Column, of_entry, of_members, of_resource
from .conditions import TENANT, Conditions, living, parameters
from .documents import stored
from .engine import Statement
from .expressions import Key
from .tables import entries, external_ids, memberships, resources
from .transaction import Tx

_TOTALS = Statement("SELECT t.kind, t.living FROM totals t WHERE t.tenant = :tenant")
_KEPT_TERMS = 8
"""Statements of longer filters are made anew each time: clients choose the shapes, and one of 64 terms takes 3 MB."""


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
    values = {**parameters(wheres), "base": base, "connection": tx.actor.connection}
    made = _statement if _is_short(*wheres.values()) else _statement.__wrapped__
    found: list[Stored] = []
    if count > 0:
        statement = made(shape, sort, counting=False)
        rows = tx.all(statement, **values, limit=count, offset=start - 1)
        found = [stored(row) for row in rows]
        if len(found) < count and (found or start == 1):
            return Page(found, start - 1 + len(found))
    if all(node == Constant(value=True) for node in wheres.values()):
        return Page(found, sum(living for kind, living in tx.all(_TOTALS) if kind in wheres))
    row = tx.one(made(shape, None, counting=True), **values)
    assert row is not None
    return Page(found, row[0])


def member_ids(tx: Tx, group: str, where: Node) -> list[str]:
    """The members of a group that a filter between brackets selects."""
    attribute = RESOURCE_TYPES["Group"].attributes["members"]
    values = {**parameters({"Group": Some(attribute, where)}), "base": "", "group": group}
    made = _member_statement if _is_short(where) else _member_statement.__wrapped__
    return [row[0] for row in tx.all(made(where), **values)]


def _is_short(*nodes: Node) -> bool:
    """Whether the statement for these trees is worth keeping."""
    return sum(size(node) for node in nodes) <= _KEPT_TERMS


# --------------------------------------------------------------------------------------------- statements


@lru_cache(maxsize=256)
def _statement(shape: tuple[tuple[str, Node], ...], sort: Sort | None, *, counting: bool) -> Statement:
    """The statement for one shape; Compare leaves its value out of equality, so that their number is bounded."""
    sql = Conditions([node for _, node in shape])
    kinds = [
        and_(resources.c.kind == literal_column(f"'{kind}'"), sql.for_kind(RESOURCE_TYPES[kind], node))
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
    query = query.where(resources.c.tenant == TENANT, resources.c.deleted.is_(None), or_(*kinds))
    if not counting:
        query = query.order_by(*_order(sort)).limit(bindparam("limit")).offset(bindparam("offset"))
    return Statement(query)


@lru_cache(maxsize=256)
def _member_statement(where: Node) -> Statement:
    sql = Conditions([where])
    member = resources.alias("member")
    query = (
        select(memberships.c.member_id)
        .join(member, living(member, memberships.c.member_id))
        .where(
            memberships.c.tenant == TENANT,
            memberships.c.group_id == bindparam("group"),
            sql.compile(where, of_members(memberships, member), positive=True),
        )
    )
    return Statement(query)


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
        return of_resource(kind, attribute)
    entry = entries.alias()
    primary = case((Key(entry.c["keys"], "primary") == literal_column("'true'"), 0), else_=1)
    return (
        select(of_entry(entry, head, attribute))
        .where(
            entry.c.tenant == TENANT,
            entry.c.resource == resources.c.id,
            entry.c.attribute == literal_column(f"'{head.path}'"),
        )
        .order_by(primary, entry.c.position)
        .limit(literal_column("1"))
        .scalar_subquery()
    )
