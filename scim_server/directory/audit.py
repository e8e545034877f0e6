"""Who did what, through which door: before and after, in the transaction of the change.

Passwords and tokens never come here: documents hold no password, and a token is recorded by name and id.
"""

from __future__ import annotations

from typing import Any

import orjson

from .ids import new_id
from .store.engine import Statement
from .store.transaction import Tx

_INSERT = Statement("""
    INSERT INTO audit_records (tenant, id, at, door, actor, connection, request_id, action, target_kind, target,
      before, after, deviations)
    VALUES (:tenant, :id, :at, :door, :actor, :connection, :request_id, :action, :target_kind, :target,
      :before, :after, :deviations)""")
_LATEST = Statement("""
    SELECT a.id, a.at, a.door, a.actor, a.connection, a.request_id, a.action, a.target_kind, a.target, a.before,
      a.after, a.deviations
    FROM audit_records a WHERE a.tenant = :tenant AND a.target = :target ORDER BY a.id DESC LIMIT :limit""")


def record(
    tx: Tx, action: str, kind: str, target: str, *, before: object | None = None, after: object | None = None
) -> None:
    """Record a change: ``action`` is the name of the event, ``before`` and ``after`` are JSON documents."""
    actor = tx.actor
    tx.do(
        _INSERT,
        id=new_id(),
        at=tx.now,
        door=actor.door,
        actor=actor.name,
        connection=actor.connection,
        request_id=tx.request_id,
        action=action,
        target_kind=kind,
        target=target,
        before=_json(before),
        after=_json(after),
        deviations=_json(list(tx.deviations) or None),
    )


def of(tx: Tx, target: str, limit: int = 50) -> list[dict[str, Any]]:
    """The latest records about one resource, newest first."""
    names = (
        "id", "at", "door", "actor", "connection", "request_id", "action", "kind", "target", "before", "after",
        "deviations",
    )  # fmt: skip
    records = [dict(zip(names, row, strict=True)) for row in tx.all(_LATEST, target=target, limit=limit)]
    for each in records:
        for name in ("before", "after", "deviations"):
            each[name] = None if each[name] is None else orjson.loads(each[name])
    return records


def _json(value: object | None) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
