"""Tenants: walls inside one installation. A single-tenant installation has one, ``default``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ..protocol.filters import instant
from . import audit, guards, standing
from .errors import AlreadyTaken, NotFound
from .ids import new_id
from .store.engine import Database, Statement
from .store.transaction import Tx

DEFAULT = "default"

_INSERT = Statement("INSERT INTO tenants (id, name, created) VALUES (:id, :name, :created) ON CONFLICT DO NOTHING")
_ALL = Statement("SELECT t.id, t.name, t.created FROM tenants t ORDER BY t.name")
_SET_ACCESS_GROUP = Statement("UPDATE tenants SET access_group = :access_group WHERE id = :tenant")
_LOCK_GROUPS = Statement("""
    SELECT r.id FROM resources r WHERE r.tenant = :tenant AND r.kind = 'Group' AND r.deleted IS NULL ORDER BY r.id
    {lock r}""")
_PEOPLE = Statement("""
    SELECT r.id FROM resources r
    WHERE r.tenant = :tenant AND r.kind = 'User' AND r.deleted IS NULL AND r.active""")
_BY_NAME = Statement("SELECT t.id, t.name, t.created FROM tenants t WHERE t.name = :name")


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant: ``name`` is what people type, ``id`` what the tables hold."""

    id: str
    name: str
    created: str


def create(database: Database, name: str) -> Tenant:
    """Create a tenant. Raises AlreadyTaken."""
    tenant = Tenant(new_id(), name, instant(datetime.now(UTC)))
    row = {"id": tenant.id, "name": tenant.name, "created": tenant.created}
    if database.run(_INSERT, row).rowcount == 0:
        raise AlreadyTaken("name", f"There is a tenant named {name} already.")
    return tenant


def every(database: Database) -> list[Tenant]:
    """All tenants by name."""
    return [Tenant(*row) for row in database.run(_ALL, {}).fetchall()]


def named(database: Database, name: str) -> Tenant:
    """Find a tenant by its name. Raises NotFound."""
    row = database.run(_BY_NAME, {"name": name}).fetchone()
    if row is None:
        raise NotFound(f"There is no tenant named {name}. Make it with: scim-server tenant create {name}")
    return Tenant(*row)


def find(database: Database, identifier: str) -> Tenant | None:
    """The tenant with this id."""
    return next((each for each in every(database) if each.id == identifier), None)


def ensure_default(database: Database) -> Tenant:
    """The tenant of a single-tenant installation, made when it is missing."""
    try:
        return named(database, DEFAULT)
    except NotFound:
        pass
    try:
        return create(database, DEFAULT)
    except AlreadyTaken:  # another process was quicker
        return named(database, DEFAULT)


def set_access_group(tx: Tx, group_id: str | None) -> None:
    """Let only the members of a group come in, or everybody; who is not in it is ended."""
    tx.all(_LOCK_GROUPS)  # who leaves a group at this moment is waited for, or would stay
    before = standing.access_group(tx)
    tx.do(_SET_ACCESS_GROUP, access_group=group_id)
    if group_id is not None:
        guards.end_outsiders(tx, [row[0] for row in tx.all(_PEOPLE)])
    told = ({"access_group": before}, {"access_group": group_id})
    audit.record(tx, "tenant.updated", "Tenant", tx.tenant, before=told[0], after=told[1])
