"""Resources in the database: insert, lock, save, serve, delete. Text and index are written together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import orjson

from ...protocol import render
from ...protocol.documents import Document, arranged
from ...protocol.render import Entry, Index, Stored
from ...protocol.schemas import RESOURCE_TYPES
from ..errors import AlreadyTaken, NotFound, Refused, VersionMismatch
from ..ids import is_id, new_id
from .engine import Row, Statement
from .tables import PREFIX
from .transaction import Tx

IfMatch = Callable[[int], bool]
"""Whether a version is one that the writer accepts (``If-Match``)."""

COLUMNS = "r.kind, r.id, r.version, r.created, r.modified, r.body, x.value"
_FROM = """
    FROM resources r LEFT JOIN external_ids x
      ON x.tenant = r.tenant AND x.resource = r.id AND x.connection = :connection
    WHERE r.tenant = :tenant AND r.id = :id AND r.kind = :kind"""
_GET = Statement(f"SELECT {COLUMNS} {_FROM} AND r.deleted IS NULL")
# A row that was waited for is read as it is now, but what is joined to it as it was before: so the externalId is read
# after the lock.
_LOCKED = """r.kind, r.id, r.version, r.created, r.modified, r.body, r.guarded
    FROM resources r WHERE r.tenant = :tenant AND r.id = :id AND r.kind = :kind"""
_LOCK = Statement(f"SELECT {_LOCKED} AND r.deleted IS NULL {{lock r}}")
_LOCK_ALONE = Statement(f"SELECT {_LOCKED} AND r.deleted IS NULL {{lock r alone}}")
_LOCK_DELETED = Statement(f"SELECT {_LOCKED} AND r.deleted IS NOT NULL {{lock r alone}}")
_EXTERNAL = Statement("""
    SELECT x.value FROM external_ids x
    WHERE x.tenant = :tenant AND x.resource = :resource AND x.connection = :connection""")
_INSERT = Statement("""
    INSERT INTO resources (tenant, id, kind, version, created, modified, name, display, active, keys, body)
    VALUES (:tenant, :id, :kind, 1, :now, :now, :name, :display, :active, :keys, :body)""")
_UPDATE = Statement("""
    UPDATE resources SET version = :version, modified = :now, name = :name, display = :display,
      active = coalesce(:active, active), keys = :keys, body = :body
    WHERE tenant = :tenant AND id = :id""")
_TOUCH = Statement("UPDATE resources SET version = :version, modified = :now WHERE tenant = :tenant AND id = :id")
_DELETE = Statement("""
    UPDATE resources SET version = version + 1, modified = :now, deleted = :now WHERE tenant = :tenant AND id = :id""")
_RESTORE = Statement("""
    UPDATE resources SET version = :version, modified = :now, deleted = NULL WHERE tenant = :tenant AND id = :id""")
_COUNT = Statement("""
    INSERT INTO totals (tenant, kind, living) VALUES (:tenant, :kind, :by)
    ON CONFLICT (tenant, kind) DO UPDATE SET living = totals.living + :by""")
_DROP_ENTRIES = Statement("DELETE FROM entries WHERE tenant = :tenant AND resource = :resource")
_ADD_ENTRY = Statement("""
    INSERT INTO entries (tenant, resource, attribute, position, value, prefix, keys)
    VALUES (:tenant, :resource, :attribute, :position, :value, :prefix, :keys)""")
_SET_EXTERNAL = Statement("""
    INSERT INTO external_ids (tenant, resource, connection, value)
    VALUES (:tenant, :resource, :connection, :value)
    ON CONFLICT (tenant, resource, connection) DO UPDATE SET value = excluded.value""")
_DROP_EXTERNAL = Statement("""
    DELETE FROM external_ids WHERE tenant = :tenant AND resource = :resource AND connection = :connection""")


def stored(row: Row) -> Stored:
    """A row of COLUMNS as a value."""
    return Stored(*row)


def get(tx: Tx, kind: str, resource_id: str) -> Stored:
    """One living resource, ready to be served. Raises NotFound."""
    return stored(_fetch(tx, _GET, kind, resource_id))


def lock(tx: Tx, kind: str, resource_id: str, if_match: IfMatch | None = None) -> Stored:
    """One resource, kept from other writers until the transaction ends. Raises NotFound, VersionMismatch."""
    return _locked(tx, _LOCK, kind, resource_id, if_match)


def lock_alone(
    tx: Tx, kind: str, resource_id: str, if_match: IfMatch | None = None, *, deleted: bool = False
) -> Stored:
    """The same for one that comes or goes: whoever makes it a member waits too, so that no group is missed."""
    return _locked(tx, _LOCK_DELETED if deleted else _LOCK_ALONE, kind, resource_id, if_match)


def _locked(tx: Tx, statement: Statement, kind: str, resource_id: str, if_match: IfMatch | None) -> Stored:
    *columns, guarded = _fetch(tx, statement, kind, resource_id)
    if guarded and tx.actor.door == "scim":
        raise Refused(
            "This is a break-glass account, which no identity provider may change. "
            "An operator can: scim-server admin break-glass USERNAME --off"
        )
    held = Stored(*columns)
    if if_match is not None and not if_match(held.version):
        raise VersionMismatch(f"The {kind.lower()} has changed since the version in If-Match.")
    row = tx.one(_EXTERNAL, resource=resource_id, connection=tx.actor.connection)
    held.external_id = row[0] if row else None
    return held


def _fetch(tx: Tx, statement: Statement, kind: str, resource_id: str) -> Row:
    row = None
    if is_id(resource_id):
        row = tx.one(statement, id=resource_id, kind=kind, connection=tx.actor.connection)
    if row is None:
        raise NotFound(f"There is no {kind} with this id.")
    return row


def insert(tx: Tx, kind: str, document: Document) -> Stored:
    """Keep a new resource. Raises AlreadyTaken when its name belongs to another."""
    resource_id = new_id()
    document = arranged(RESOURCE_TYPES[kind], document)
    made = render.index(RESOURCE_TYPES[kind], document)
    body = render.text(RESOURCE_TYPES[kind], resource_id, document)
    external_id = document.get("externalId")
    try:
        tx.do(_INSERT, id=resource_id, kind=kind, now=tx.now, body=body, **_columns(made))
    except tx.database.integrity_error as error:
        raise _taken(kind) from error
    _add_entries(tx, resource_id, made.entries)
    if external_id is not None:
        _set_external(tx, resource_id, external_id)
    return Stored(kind, resource_id, 1, tx.now, tx.now, body, external_id)


def save(tx: Tx, held: Stored, document: Document) -> Stored:
    """Keep a changed document under the next version; the same object comes back when nothing changed.

    Raises AlreadyTaken when its name belongs to another.
    """
    kind = RESOURCE_TYPES[held.kind]
    document = arranged(kind, document)
    body = render.text(kind, held.id, document)
    external_id = document.get("externalId")
    if body == held.body and external_id == held.external_id:
        return held
    made, before = render.index(kind, document), render.index(kind, held.document)
    version = held.version + 1
    try:
        tx.do(_UPDATE, id=held.id, version=version, now=tx.now, body=body, **_columns(made))
    except tx.database.integrity_error as error:
        raise _taken(held.kind) from error
    if made.entries != before.entries:
        tx.do(_DROP_ENTRIES, resource=held.id)
        _add_entries(tx, held.id, made.entries)
    if external_id != held.external_id:
        _set_external(tx, held.id, external_id)
    return Stored(held.kind, held.id, version, held.created, tx.now, body, external_id)


def touch(tx: Tx, held: Stored) -> Stored:
    """The next version of a resource whose rows elsewhere changed, such as a group's members."""
    tx.do(_TOUCH, id=held.id, version=held.version + 1, now=tx.now)
    return Stored(held.kind, held.id, held.version + 1, held.created, tx.now, held.body, held.external_id)


def delete(tx: Tx, held: Stored) -> None:
    """Hide a resource: absent everywhere on the wire and its name free, but restorable."""
    tx.do(_DELETE, id=held.id, now=tx.now)


def restore(tx: Tx, held: Stored) -> Stored:
    """Bring a deleted resource back as it was. Raises AlreadyTaken when its name belongs to another by now."""
    version = held.version + 1
    try:
        tx.do(_RESTORE, id=held.id, version=version, now=tx.now)
    except tx.database.integrity_error as error:
        raise _taken(held.kind) from error
    return Stored(held.kind, held.id, version, held.created, tx.now, held.body, held.external_id)


def count(tx: Tx, kind: str, by: int) -> None:
    """Note that so many more live, or fewer. The last lock that a verb takes: all who create or delete meet here."""
    tx.do(_COUNT, kind=kind, by=by)


def _columns(made: Index) -> dict[str, Any]:
    return {"name": made.name, "display": made.display, "active": made.active, "keys": _json(made.keys)}


def _add_entries(tx: Tx, resource_id: str, entries: Iterable[Entry]) -> None:
    tx.do_many(
        _ADD_ENTRY,
        [
            {
                "resource": resource_id,
                "attribute": entry.attribute,
                "position": position,
                "value": entry.value,
                "prefix": None if entry.value is None else entry.value[:PREFIX],
                "keys": _json(entry.keys),
            }
            for position, entry in enumerate(entries)
        ],
    )


def _set_external(tx: Tx, resource_id: str, value: str | None) -> None:
    """externalId belongs to the connection that sets it; another connection has its own."""
    connection = tx.actor.connection
    if connection is None:
        return
    if value is None:
        tx.do(_DROP_EXTERNAL, resource=resource_id, connection=connection)
    else:
        tx.do(_SET_EXTERNAL, resource=resource_id, connection=connection, value=value)


def _taken(kind: str) -> AlreadyTaken:
    attribute = "userName" if kind == "User" else "displayName"
    return AlreadyTaken(attribute, f'Another {kind} has this "{attribute}" already (letter case does not count).')


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
