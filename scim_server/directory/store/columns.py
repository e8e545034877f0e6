"""Where each attribute is kept: a column, a key of the folded values, or a row of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Alias, ColumnElement, FromClause, bindparam, case, cast, func, literal_column
from sqlalchemy.types import Text

from ...protocol.schemas import ENTERPRISE, Attribute, ResourceType
from .expressions import Key
from .tables import entries, external_ids, resources

Column = ColumnElement[Any]
Columns = Callable[[Attribute], Column]
"""Tells where a single value of an attribute is found."""

_BASE = bindparam("base", type_=Text)


def of_resource(kind: ResourceType, attribute: Attribute) -> Column:
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
            return _url("/Users", Key(resources.c["keys"], f"{ENTERPRISE}:manager.value"))
        case "userName" | "displayName" if attribute.uniqueness == "server":
            return resources.c.name
        case path:
            return Key(resources.c["keys"], path)


def of_entry(entry: FromClause, head: Attribute, sub: Attribute) -> Column:
    if sub is head or sub.name == "value":
        return entry.c.value
    return Key(entry.c["keys"], sub.name)


def indexed_prefix(column: Column) -> Column | None:
    """The beginning of an entry's value, which the index holds; None for every other column."""
    table = getattr(column, "table", None)
    if isinstance(table, Alias) and table.element is entries and column.key == "value":
        prefix: Column = table.c.prefix
        return prefix
    return None


def of_members(membership: FromClause, member: FromClause) -> Columns:
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


def of_groups(group: FromClause, how: str) -> Columns:
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
    return func.coalesce(func.nullif(Key(resource.c["keys"], "displayName"), literal_column("''")), resource.c.name)


def _url(endpoint: str, resource_id: Column) -> Column:
    return cast(_BASE, Text).concat(literal_column(f"'{endpoint}/'", Text)).concat(resource_id)
