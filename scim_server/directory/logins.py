"""The login log: who tried to get in, and the step at which it ended. What a visitor reads tells nothing of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from . import audit
from .identities import shown
from .ids import first_id, new_id
from .store.engine import Statement
from .store.transaction import Tx

_INSERT = Statement("""
    INSERT INTO logins (tenant, id, at, outcome, method, step, reason, sso_connection, user_id, subject, name, address,
      agent, reference)
    VALUES (:tenant, :id, :at, :outcome, :method, :step, :reason, :sso_connection, :user_id, :subject, :name, :address,
      :agent, :reference)""")
_FORGET = Statement("DELETE FROM logins WHERE tenant = :tenant AND id < :before")
_LATEST = """
    SELECT l.at, l.outcome, l.method, l.step, l.reason, c.name, l.user_id, l.subject, l.name, l.address, l.agent,
      l.reference
    FROM logins l
    LEFT JOIN sso_connections o ON o.tenant = l.tenant AND o.id = l.sso_connection
    LEFT JOIN connections c ON c.tenant = o.tenant AND c.id = o.connection
    WHERE l.tenant = :tenant {which} ORDER BY l.id DESC LIMIT :limit"""
_ALL = Statement(_LATEST.replace("{which}", ""))
_OF = Statement(_LATEST.replace("{which}", "AND l.user_id = :user_id"))

SUCCEEDED, REFUSED = "succeeded", "refused"
KEPT = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Visit:
    """From where somebody tries to get in, and through what."""

    method: str
    address: str
    agent: str
    reference: str = ""
    sso_connection: str | None = None
    connection: str | None = None  # the same by the id of the whole connection, under which the audit has it


def record(
    tx: Tx,
    visit: Visit,
    outcome: str,
    *,
    step: str | None = None,
    reason: str | None = None,
    user_id: str | None = None,
    subject: str | None = None,
    name: str | None = None,
) -> None:
    """Write one line of the log; a refusal also into the audit, under the rule that it fell by."""
    tx.do(_FORGET, before=first_id(datetime.fromisoformat(tx.now) - KEPT))
    tx.do(
        _INSERT,
        id=new_id(),
        at=tx.now,
        outcome=outcome,
        method=visit.method,
        step=step,
        reason=reason,
        sso_connection=visit.sso_connection,
        user_id=user_id,
        subject=shown(subject),
        name=shown(name),
        address=visit.address[:100],
        agent=visit.agent[:200],
        reference=visit.reference,
    )
    if outcome == REFUSED:
        told = {"step": step, "reason": reason, "method": visit.method, "sso_connection": visit.sso_connection}
        action = "sso.subject_mismatch" if reason == "subject_mismatch" else "login.refused"
        audit.record(tx, action, "User" if user_id else "Connection", user_id or visit.connection or "", after=told)


def latest(tx: Tx, *, user_id: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
    """The latest lines, of one person or of all, newest first."""
    names = (
        "at", "outcome", "method", "step", "reason", "connection", "user_id", "subject", "name", "address", "agent",
        "reference",
    )  # fmt: skip
    rows = tx.all(_ALL, limit=limit) if user_id is None else tx.all(_OF, user_id=user_id, limit=limit)
    return [dict(zip(names, row, strict=True)) for row in rows]
