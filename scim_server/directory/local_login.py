"""Whose password may let them in, and where their account is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

import orjson

from ..protocol.filters import comparable, instant
from ..protocol.render import name_of
from ..protocol.schemas import USER
from . import standing
from .standing import Standing
from .store.engine import Database, Statement
from .store.transaction import Tx

EVERYONE, BREAK_GLASS_ONLY, OFF = "everyone", "break_glass_only", "off"

_REMEMBERED = timedelta(days=30)

_BY_NAME = Statement("""
    SELECT r.id, a.password_hash, r.guarded FROM resources r
    LEFT JOIN accounts a ON a.tenant = r.tenant AND a.id = r.id
    WHERE r.tenant = :tenant AND r.kind = 'User' AND r.name = :name AND r.deleted IS NULL""")
# CROSS JOIN: a look-up by name in each tenant, not a walk through all people.
_ANYWHERE = Statement("""
    SELECT t.id, r.id, a.password_hash, r.guarded FROM tenants t CROSS JOIN resources r
    LEFT JOIN accounts a ON a.tenant = r.tenant AND a.id = r.id
    WHERE r.tenant = t.id AND r.kind = 'User' AND r.name = :name AND r.deleted IS NULL ORDER BY t.id LIMIT :most""")
_BY_ID = Statement("""
    SELECT r.id, a.password_hash, r.guarded FROM resources r
    LEFT JOIN accounts a ON a.tenant = r.tenant AND a.id = r.id
    WHERE r.tenant = :tenant AND r.kind = 'User' AND r.id = :id AND r.deleted IS NULL""")
_SEEN = Statement("""
    SELECT 1 FROM sessions s
    WHERE s.tenant = :tenant AND s.user_id = :id AND s.address = :address AND s.created > :since LIMIT 1""")
_SETTINGS = Statement("SELECT o.settings FROM sso_connections o WHERE o.tenant = :tenant")


class Candidate(NamedTuple):
    """An account that a name may stand for, read without holding it: checking a password takes long."""

    user_id: str
    password_hash: str | None
    guarded: bool


def folded(username: str) -> str:
    """A username in the form in which names are compared: all spellings of one name are one."""
    return str(comparable(name_of(USER), username))


def named(tx: Tx, username: str) -> Candidate | None:
    """The account with this username; NUL is in nobody's, and PostgreSQL takes none."""
    return None if "\0" in username else _candidate(tx.one(_BY_NAME, name=folded(username)))


def anywhere(database: Database, username: str, most: int) -> list[tuple[str, Candidate]]:
    """The accounts with this username in whatever tenant: the name is all that a visitor has given."""
    if "\0" in username:
        return []
    rows = database.run(_ANYWHERE, {"name": folded(username), "most": most}).rows
    return [(row[0], Candidate(row[1], row[2], bool(row[3]))) for row in rows]


def of(tx: Tx, user_id: str) -> Candidate | None:
    """The account with this id."""
    return _candidate(tx.one(_BY_ID, id=user_id))


def knows(tx: Tx, user_id: str, address: str) -> bool:
    """Whether this person was let in from an address lately."""
    since = instant(datetime.fromisoformat(tx.now) - _REMEMBERED)
    return tx.one(_SEEN, id=user_id, address=address[:100], since=since) is not None


def may_use_password(tx: Tx, policy: str, *, guarded: bool) -> bool:
    """Whether a password lets somebody in at all, by the installation's policy and the tenant's connections."""
    if policy == OFF or guarded:
        return policy != OFF
    return policy == EVERYONE or not is_enforced(tx)


def is_enforced(tx: Tx) -> bool:
    """Whether the tenant has a connection that everybody but break-glass accounts has to use."""
    return any(orjson.loads(row[0])["enforced"] for row in tx.all(_SETTINGS))


def still(tx: Tx, candidate: Candidate) -> Standing | None:
    """The account, held, if its password is still the one that was checked."""
    person = standing.hold(tx, candidate.user_id)
    return person if person.password_hash == candidate.password_hash else None


def _candidate(row: tuple[object, ...] | None) -> Candidate | None:
    return None if row is None else Candidate(str(row[0]), None if row[1] is None else str(row[1]), bool(row[2]))
