"""A tenant's senders: each identity provider that pushes is a connection, with its settings."""

from __future__ import annotations

from dataclasses import dataclass

from . import audit
from .errors import AlreadyTaken, NotFound
from .ids import new_id
from .store.engine import Statement
from .store.transaction import Tx

DEFAULT = "default"

_INSERT = Statement("""
    INSERT INTO connections (tenant, id, name, strict, group_patch_status, created)
    VALUES (:tenant, :id, :name, :strict, :group_patch_status, :created) ON CONFLICT DO NOTHING""")
_FROM_TENANT = (
    "SELECT c.id, c.name, c.strict, c.group_patch_status, c.created FROM connections c"
    " WHERE c.tenant = :tenant AND c.removed IS NULL"
)
_ALL = Statement(_FROM_TENANT + " ORDER BY c.name")
_BY_NAME = Statement(_FROM_TENANT + " AND c.name = :name {lock c}")
_UPDATE = Statement("""
    UPDATE connections SET strict = :strict, group_patch_status = :group_patch_status
    WHERE tenant = :tenant AND id = :id""")
_REMOVE = Statement("UPDATE connections SET removed = :now WHERE tenant = :tenant AND id = :id")
_REVOKE_TOKENS = Statement("""
    UPDATE tokens SET revoked = :now WHERE tenant = :tenant AND connection = :id AND revoked IS NULL RETURNING id""")


@dataclass(frozen=True, slots=True)
class Connection:
    """One sender. ``strict`` refuses every deviation from the RFCs; ``group_patch_status`` is the answer to a
    PATCH of a group that asks for no attributes: 204, or 200 for checkers that demand a body."""

    id: str
    name: str
    strict: bool
    group_patch_status: int
    created: str


def create(tx: Tx, name: str, *, strict: bool = False, group_patch_status: int = 204) -> Connection:
    """Create a connection. Raises AlreadyTaken."""
    made = Connection(new_id(), name, strict, group_patch_status, tx.now)
    if tx.do(_INSERT, **_row(made), name=name, created=tx.now) == 0:
        raise AlreadyTaken("name", f"There is a connection named {name} already.")
    audit.record(tx, "connection.created", "Connection", made.id, after=_told(made))
    return made


def every(tx: Tx) -> list[Connection]:
    """All connections by name."""
    return [_connection(row) for row in tx.all(_ALL)]


def named(tx: Tx, name: str) -> Connection:
    """Find a connection by its name. Raises NotFound."""
    row = tx.one(_BY_NAME, name=name)
    if row is None:
        raise NotFound(f"There is no connection named {name}. List them with: scim-server connection list")
    return _connection(row)


def ensure(tx: Tx, name: str) -> Connection:
    """Find a connection by its name, or make it."""
    try:
        return named(tx, name)
    except NotFound:
        return create(tx, name)


def change(tx: Tx, name: str, *, strict: bool | None = None, group_patch_status: int | None = None) -> Connection:
    """Change the settings that are given. Raises NotFound."""
    held = named(tx, name)
    changed = Connection(
        held.id,
        held.name,
        held.strict if strict is None else strict,
        held.group_patch_status if group_patch_status is None else group_patch_status,
        held.created,
    )
    if changed != held:
        tx.do(_UPDATE, **_row(changed))
        audit.record(tx, "connection.updated", "Connection", held.id, before=_told(held), after=_told(changed))
    return changed


def remove(tx: Tx, connection: Connection) -> int:
    """Remove a connection: its tokens end, its people stay (release). Returns how many tokens ended.

    Its login half, if it has one, is removed by ``sso_connections.remove`` before.
    """
    ended = len(tx.all(_REVOKE_TOKENS, id=connection.id, now=tx.now))
    tx.do(_REMOVE, id=connection.id, now=tx.now)
    audit.record(tx, "connection.removed", "Connection", connection.id, before=_told(connection))
    return ended


def _connection(row: tuple[str, str, bool, int, str] | tuple[object, ...]) -> Connection:
    identifier, name, strict, status, created = row
    return Connection(str(identifier), str(name), bool(strict), int(str(status)), str(created))


def _row(connection: Connection) -> dict[str, object]:
    return {
        "id": connection.id,
        "strict": connection.strict,
        "group_patch_status": connection.group_patch_status,
    }


def _told(connection: Connection) -> dict[str, object]:
    return {**_row(connection), "name": connection.name}
