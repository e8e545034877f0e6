"""Resolved filter -> SQL condition.

A comparison of a single value looks at a column or at the folded value in ``resources.keys``. One of a
multi-valued attribute is ``id IN (SELECT …)`` over rows: entries, memberships, or the groups a user is in.
SQL's third truth value is kept out: a comparison that meets NULL is false, and so is true when negated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    FromClause,
    Numeric,
    Select,
    and_,
    bindparam,
    cast,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
)

from ...protocol.filters import Compare, Constant, Either, Every, Node, Not, Present, Some, comparisons
from ...protocol.schemas import Attribute, ResourceType
from .columns import Column, Columns, indexed_prefix, of_entry, of_groups, of_members, of_resource
from .expressions import Among, ByCodePoint, Position
from .tables import PREFIX, entries, memberships, resources

TENANT: Column = bindparam("tenant")


class Conditions:
    """Compiles resolved trees; the number of a comparison names its parameters."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.uses_external_id = False
        self.numbers = {
            id(each): number for number, each in enumerate(leaf for node in nodes for leaf in comparisons(node))
        }

    def for_kind(self, kind: ResourceType, node: Node) -> Column:
        """The condition for a whole filter on one kind of resource."""

        def column(attribute: Attribute) -> Column:
            self.uses_external_id |= attribute.path == "externalId"
            return of_resource(kind, attribute)

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
                among = Among(resources.c.id, self.having(attribute, where))
                return among if positive else not_(among)
            case Compare(attribute):
                column = columns(attribute)
                condition = self.compare(node, column)
                return condition if positive else or_(column.is_(None), not_(condition))

    def present(self, attribute: Attribute, columns: Columns) -> Column:
        """``pr``, two-valued: the column is there and not empty text."""
        if attribute.name in ("schemas", "members", "groups"):
            return Among(resources.c.id, self.having(attribute, Constant(True)))
        if attribute.multi_valued and attribute.complex:  # an entry may hold nothing but empty text
            anything = Either(tuple(Present(sub) for sub in attribute.subs.values()))
            return Among(resources.c.id, self.having(attribute, anything))
        if attribute.complex:
            return or_(*(self.present(sub, columns) for sub in attribute.subs.values()))
        column = columns(attribute)
        if attribute.type == "boolean" or attribute.type in ("integer", "decimal"):
            return column.is_not(None)
        return and_(column.is_not(None), column != literal_column("''"))

    def compare(self, node: Compare, column: Column) -> Column:
        number = self.numbers[id(node)]
        value: Column = bindparam(f"v{number}")
        prefix = indexed_prefix(column)
        if node.attribute.type in ("integer", "decimal"):
            column = cast(column, Numeric)
        elif node.op in ("sw", "gt", "ge", "lt", "le"):
            column = ByCodePoint(column)
        match node.op:
            case "eq" if prefix is not None:
                return and_(prefix == bindparam(f"v{number}_prefix"), column == value)
            case "eq":
                return column == value
            case "co":
                return Position(column, value) > 0
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
            entry.c.tenant == TENANT,
            entry.c.attribute == literal_column(f"'{attribute.path}'"),
            self.compile(where, lambda sub: of_entry(entry, attribute, sub), positive=True),
        )

    def having_member(self, where: Node) -> Select[Any]:
        membership, member = memberships.alias(), resources.alias()
        return (
            select(membership.c.group_id)
            .join(member, living(member, membership.c.member_id))
            .where(
                membership.c.tenant == TENANT,
                self.compile(where, of_members(membership, member), positive=True),
            )
        )

    def in_group(self, where: Node) -> Select[Any]:
        """Users in a group that satisfies ``where``, directly or by nesting (as they are served)."""
        membership, group = memberships.alias(), resources.alias()
        direct = (
            select(membership.c.member_id)
            .join(group, living(group, membership.c.group_id))
            .where(membership.c.tenant == TENANT, self.compile(where, of_groups(group, "direct"), positive=True))
        )
        top, edge, child = resources.alias(), memberships.alias(), resources.alias()
        below = (
            select(edge.c.group_id.label("root"), edge.c.member_id.label("below"))
            .join(top, living(top, edge.c.group_id))
            .join(child, living(child, edge.c.member_id))
            .where(
                edge.c.tenant == TENANT,
                edge.c.member_kind == literal_column("'Group'"),
                self.compile(where, of_groups(top, "indirect"), positive=True),
            )
            .cte(recursive=True)
        )
        step, leaf = memberships.alias(), resources.alias()
        below = below.union(
            select(below.c.root, step.c.member_id)
            .join(step, and_(step.c.tenant == TENANT, step.c.group_id == below.c.below))
            .join(leaf, living(leaf, step.c.member_id))
            .where(step.c.member_kind == literal_column("'Group'"))
        )
        last, straight = memberships.alias(), memberships.alias()
        indirect = (
            select(last.c.member_id)
            .join(below, and_(last.c.tenant == TENANT, last.c.group_id == below.c.below))
            .where(
                ~exists().where(
                    straight.c.tenant == TENANT,
                    straight.c.group_id == below.c.root,
                    straight.c.member_id == last.c.member_id,
                )
            )
        )
        both = direct.union(indirect).subquery()
        return select(both.c.member_id)


def living(table: FromClause, resource_id: Column) -> Column:
    """A living resource with this id."""
    return and_(table.c.tenant == TENANT, table.c.id == resource_id, table.c.deleted.is_(None))


# --------------------------------------------------------------------------------------------- parameters


def parameters(wheres: Mapping[str, Node]) -> dict[str, Any]:
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
