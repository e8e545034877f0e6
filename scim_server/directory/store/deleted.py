"""Deleted resources: gone from the wire, kept for restoration."""

from __future__ import annotations

from typing import Any

from ...protocol.filters import comparable
from ...protocol.render import name_of
from ...protocol.schemas import RESOURCE_TYPES
from ..errors import NotFound
from ..ids import is_id
from .documents import COLUMNS, stored
from .engine import Statement
from .transaction import Tx

_LISTED_FROM = """ FROM resources r LEFT JOIN external_ids x
      ON x.tenant = r.tenant AND x.resource = r.id AND x.connection = :connection
    WHERE r.tenant = :tenant AND r.kind = :kind AND r.deleted IS NOT NULL ORDER BY r.deleted DESC LIMIT :count"""
_LISTED = Statement(f"SELECT {COLUMNS}, r.deleted {_LISTED_FROM}")
_NAMED = Statement("""
    SELECT r.id FROM resources r
    WHERE r.tenant = :tenant AND r.kind = :kind AND r.name = :name AND r.deleted IS NOT NULL
    ORDER BY r.deleted DESC LIMIT 1""")


def listed(tx: Tx, kind: str, count: int) -> list[dict[str, Any]]:
    """Deleted resources of a kind by name, the latest first."""
    name = name_of(RESOURCE_TYPES[kind]).name
    rows = tx.all(_LISTED, kind=kind, count=count, connection=tx.actor.connection)
    found = [(stored(row[:-1]), row[-1]) for row in rows]
    return [{"id": each.id, name: each.document[name], "deleted": deleted} for each, deleted in found]


def id_of(tx: Tx, kind: str, key: str) -> str:
    """The deleted resource with this id or name; of several with one name the latest. Raises NotFound."""
    if is_id(key):
        return key
    row = tx.one(_NAMED, kind=kind, name=comparable(name_of(RESOURCE_TYPES[kind]), key))
    if row is None:
        raise NotFound(f"No deleted {kind} is named {key}. List them with: scim-server {kind.lower()} list --deleted")
    return str(row[0])
