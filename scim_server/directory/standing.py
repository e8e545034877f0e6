"""Whether a person may be let in, and whether what they hold still counts: the one condition of every look-up.

Sessions, personal tokens and links are found by a query that also demands this, so a credential whose owner was
ended is refused wherever it is shown; no handler can forget to ask (design decision 10).
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from ..protocol.render import Stored
from .errors import NotFound, Refused
from .ids import is_id
from .store.engine import Statement
from .store.transaction import Tx

JOINED = """
    JOIN resources r ON r.tenant = {each}.tenant AND r.id = {each}.user_id AND r.kind = 'User'
    LEFT JOIN accounts a ON a.tenant = r.tenant AND a.id = r.id"""
# A lock ends what was opened before it began, also when it is over by now.
_COUNTS = """r.deleted IS NULL AND r.active AND coalesce(a.epoch, 0) = {each}.epoch
    AND (a.locked_from IS NULL OR a.locked_from > :now
      OR (a.locked_until <= :now AND {each}.created >= a.locked_from))"""

_HOLD = Statement("""
    SELECT r.kind, r.id, r.version, r.created, r.modified, r.body, r.active, r.guarded FROM resources r
    WHERE r.tenant = :tenant AND r.id = :id AND r.kind = 'User' AND r.deleted IS NULL {lock r}""")
_ACCOUNT = Statement("""
    SELECT a.epoch, a.role, a.password_hash, a.locked_from, a.locked_until FROM accounts a
    WHERE a.tenant = :tenant AND a.id = :id""")
_GATE = Statement("SELECT t.access_group FROM tenants t WHERE t.id = :tenant")
_INSIDE = Statement("""
    WITH RECURSIVE up (origin, group_id) AS (
      SELECT m.member_id, m.group_id FROM memberships m WHERE m.tenant = :tenant AND m.member_id IN ({ids})
      UNION
      SELECT up.origin, m.group_id FROM up CROSS JOIN memberships m
      WHERE m.tenant = :tenant AND m.member_id = up.group_id AND m.member_kind = 'Group'
        AND EXISTS (SELECT 1 FROM resources u WHERE u.tenant = :tenant AND u.id = up.group_id AND u.deleted IS NULL)
    )
    SELECT DISTINCT up.origin FROM up CROSS JOIN resources g
    WHERE up.group_id = :gate AND g.tenant = :tenant AND g.id = up.group_id AND g.deleted IS NULL""")


def joined(each: str) -> str:
    """The tables that ``counts`` looks at, joined to a table of credentials."""
    return JOINED.replace("{each}", each)


def counts(each: str) -> str:
    """The condition under which a row of a table of credentials still counts; takes ``:now``."""
    return _COUNTS.replace("{each}", each)


class NotLetIn(Refused):
    """A person who exists cannot come in; ``reason`` is one word for the login log."""

    def __init__(self, reason: str) -> None:
        super().__init__(_SENTENCES[reason])
        self.reason = reason


_SENTENCES = {
    "inactive": "The account is inactive.",
    "locked": "The account is locked.",
    "not_in_access_group": "The account is not in the group that gives access.",
}


class Standing:
    """A person as login sees them, held against other writers until the transaction ends."""

    __slots__ = ("active", "epoch", "guarded", "locked_from", "locked_until", "password_hash", "role", "user")

    def __init__(self, user: Stored, *, active: bool, guarded: bool, account: tuple[object, ...] | None) -> None:
        self.user, self.active, self.guarded = user, active, guarded
        epoch, role, password_hash, locked_from, locked_until = account or (0, None, None, None, None)
        self.epoch = int(str(epoch))
        self.role = _text(role)
        self.password_hash = _text(password_hash)
        self.locked_from, self.locked_until = _text(locked_from), _text(locked_until)

    def is_locked(self, now: str) -> bool:
        began = self.locked_from is not None and self.locked_from <= now
        return began and (self.locked_until is None or self.locked_until > now)


def hold(tx: Tx, user_id: str) -> Standing:
    """A living person. Raises NotFound.

    The account is read after the lock: what a row that was waited for is joined to would be read as it was before.
    """
    row = tx.one(_HOLD, id=user_id) if is_id(user_id) else None
    if row is None:
        raise NotFound("There is no User with this id.")
    account = tx.one(_ACCOUNT, id=user_id)
    return Standing(Stored(*row[:6]), active=bool(row[6]), guarded=bool(row[7]), account=account)


def require(tx: Tx, standing: Standing) -> None:
    """Demand that a person may come in now. Raises NotLetIn."""
    if not standing.active:
        raise NotLetIn("inactive")
    if standing.is_locked(tx.now):
        raise NotLetIn("locked")
    if not standing.guarded and not is_inside(tx, standing.user.id):
        raise NotLetIn("not_in_access_group")


def is_inside(tx: Tx, user_id: str) -> bool:
    """Whether a person is in the group that gives access, or the tenant has none."""
    gate = access_group(tx)
    return gate is None or user_id in inside(tx, [user_id], gate)


def inside(tx: Tx, ids: Iterable[str], gate: str | None) -> set[str]:
    """Those of people and groups that are in a group, directly or by nesting: one statement for all of them."""
    return {row[0] for row in tx.all(_INSIDE, ids=orjson.dumps(list(ids)).decode(), gate=gate)}


def access_group(tx: Tx) -> str | None:
    """The id of the group whose members may come in; None is everybody."""
    row = tx.one(_GATE)
    return row[0] if row else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)
