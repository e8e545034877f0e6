"""How a person gets in, apart from providers: password, lock, role, break-glass."""

from __future__ import annotations

from typing import Any

from . import audit, ending, events, guards, standing
from .errors import Refused
from .guards import ADMINS, ROLES
from .standing import Standing
from .store.engine import Statement
from .store.transaction import Tx

_SET = {
    column: Statement(f"""
        INSERT INTO accounts (tenant, id, epoch, {column}) VALUES (:tenant, :id, 0, :value)
        ON CONFLICT (tenant, id) DO UPDATE SET {column} = :value""")
    for column in ("role", "password_hash", "password_set", "locked_from", "locked_until", "lock_reason", "locked_by")
}
_GUARD = Statement("UPDATE resources SET guarded = :guarded WHERE tenant = :tenant AND id = :id")
_READ = Statement("""
    SELECT a.epoch, a.role, a.password_set, a.locked_from, a.locked_until, a.lock_reason, a.locked_by, r.guarded,
      r.active
    FROM resources r LEFT JOIN accounts a ON a.tenant = r.tenant AND a.id = r.id
    WHERE r.tenant = :tenant AND r.id = :id""")


def described(tx: Tx, user_id: str) -> dict[str, Any]:
    """What is kept of an account beside its document; no secret."""
    names = (
        "epoch", "role", "password_set", "locked_from", "locked_until", "lock_reason", "locked_by", "break_glass",
        "active",
    )  # fmt: skip
    row = tx.one(_READ, id=user_id)
    found = dict(zip(names, row or (None,) * len(names), strict=True))
    return found | {
        "role": found["role"] or ROLES[-1],
        "epoch": found["epoch"] or 0,
        "break_glass": bool(found["break_glass"]),
        "active": bool(found["active"]),
    }


def set_password(tx: Tx, user_id: str, password_hash: str) -> None:
    """Give a person a password; everything that the account holds ends. Raises NotFound, NotLetIn.

    It was checked and hashed before: that takes long, and a transaction must not.
    """
    person = standing.hold(tx, user_id)
    standing.require(tx, person)
    ending.end(tx, [user_id], "password set")
    _change(tx, user_id, password_hash=password_hash, password_set=tx.now)
    audit.record(tx, "password.set", "User", user_id)


def keep_rehashed(tx: Tx, user_id: str, password_hash: str) -> None:
    """Keep the same password under today's parameters."""
    _change(tx, user_id, password_hash=password_hash)


def clear_password(tx: Tx, user_id: str) -> None:
    """Take a person's password away, with everything that the account holds. Raises NotFound."""
    standing.hold(tx, user_id)
    ending.end(tx, [user_id], "password cleared")
    _change(tx, user_id, password_hash=None, password_set=None)
    audit.record(tx, "password.cleared", "User", user_id)


def lock(tx: Tx, user_id: str, reason: str, *, since: str | None = None, until: str | None = None) -> None:
    """Keep a person out, beside ``active``, which stays the sender's; ``since`` may be in the future.

    Raises NotFound, Refused.
    """
    person = standing.hold(tx, user_id)
    since = since or tx.now
    if until is not None and until <= max(since, tx.now):
        raise Refused("The lock would be over before it begins; give a later end.")
    guards.keep_an_admin(tx, [user_id])
    if since <= tx.now or _began(person, tx.now):
        ending.end(tx, [user_id], "locked")
    _change(tx, user_id, locked_from=since, locked_until=until, lock_reason=reason, locked_by=tx.actor.name)
    told = {"reason": reason, "from": since, "until": until}
    audit.record(tx, "user.locked", "User", user_id, after=told)
    events.append(tx, {"user.locked": told}, user_id)


def unlock(tx: Tx, user_id: str) -> None:
    """Let a person in again; what the lock ended stays ended. Raises NotFound, Refused when there is no lock."""
    person = standing.hold(tx, user_id)
    if person.locked_from is None:
        raise Refused("The account is not locked.")
    if _began(person, tx.now):
        ending.end(tx, [user_id], "locked")
    _change(tx, user_id, locked_from=None, locked_until=None, lock_reason=None, locked_by=None)
    audit.record(tx, "user.unlocked", "User", user_id)
    events.append(tx, {"user.unlocked": {}}, user_id)


def set_role(tx: Tx, user_id: str, role: str) -> None:
    """Give a person a role; as at each change of privilege, sessions of before end. Raises NotFound, Refused."""
    assert role in ROLES
    person = standing.hold(tx, user_id)
    before = person.role or ROLES[-1]
    if before == role:
        return
    if before in ADMINS and role not in ADMINS:
        guards.keep_an_admin(tx, [user_id])
    ending.end(tx, [user_id], "role changed")
    _change(tx, user_id, role=None if role == ROLES[-1] else role)
    audit.record(tx, "role.changed", "User", user_id, before={"role": before}, after={"role": role})


def set_break_glass(tx: Tx, user_id: str, *, on: bool) -> None:
    """Mark an account as break-glass: out of senders' and providers' reach, its password good where others' are not.

    With the mark all ends that it holds, since a provider may have opened it; without it too, where the mark alone
    let it in. Raises NotFound, Refused.
    """
    person = standing.hold(tx, user_id)
    if person.guarded == on:
        return
    let_in_by_the_mark = not on and not standing.is_inside(tx, user_id)
    if let_in_by_the_mark:
        guards.keep_an_admin(tx, [user_id])
    tx.do(_GUARD, id=user_id, guarded=on)
    if on or let_in_by_the_mark:
        ending.end(tx, [user_id], "break-glass on" if on else "break-glass off")
    audit.record(tx, "break_glass.on" if on else "break_glass.off", "User", user_id)


def _began(person: Standing, now: str) -> bool:
    return person.locked_from is not None and person.locked_from <= now


def _change(tx: Tx, user_id: str, **values: str | None) -> None:
    for column, value in values.items():
        tx.do(_SET[column], id=user_id, value=value)
