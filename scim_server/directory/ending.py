"""The end is the end: everything that an account holds is refused from the moment this is committed.

The epoch rises, so each session, personal token and link of an older one counts no more whatever else happens;
beside that the rows themselves are ended, which tells how many there were. A receipt keeps what ended, why and
how soon after the request.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import orjson

from . import events
from .errors import Unavailable
from .ids import new_id
from .store.engine import Statement
from .store.transaction import Tx

_RAISE_EPOCH = Statement("""
    INSERT INTO accounts (tenant, id, epoch)
    SELECT r.tenant, r.id, 1 FROM resources r WHERE r.tenant = :tenant AND r.id IN ({ids}) AND r.kind = 'User'
    ON CONFLICT (tenant, id) DO UPDATE SET epoch = accounts.epoch + 1""")
_HELD = {
    "sessions": Statement("""
        UPDATE sessions SET revoked = :now, ended_by = :cause
        WHERE tenant = :tenant AND user_id IN ({ids}) AND revoked IS NULL AND expires > :now RETURNING user_id"""),
    "tokens": Statement("""
        UPDATE personal_tokens SET revoked = :now
        WHERE tenant = :tenant AND user_id IN ({ids}) AND revoked IS NULL AND (expires IS NULL OR expires > :now)
        RETURNING user_id"""),
    "links": Statement("""
        UPDATE links SET revoked = :now
        WHERE tenant = :tenant AND user_id IN ({ids}) AND revoked IS NULL AND used IS NULL AND expires > :now
        RETURNING user_id"""),
    "attempts": Statement("DELETE FROM attempts WHERE tenant = :tenant AND user_id IN ({ids}) RETURNING user_id"),
}
_RECEIPT = Statement("""
    INSERT INTO receipts (tenant, id, user_id, at, cause, door, actor, request_id, sessions, tokens, links, attempts)
    VALUES (:tenant, :id, :user_id, :at, :cause, :door, :actor, :request_id, :sessions, :tokens, :links, :attempts)""")
_CONFIRM = Statement("""
    UPDATE receipts SET milliseconds = :milliseconds WHERE tenant = :tenant AND id IN ({ids})""")
_OF = Statement("""
    SELECT t.at, t.cause, t.door, t.actor, t.request_id, t.sessions, t.tokens, t.links, t.attempts, t.milliseconds
    FROM receipts t WHERE t.tenant = :tenant AND t.user_id = :user_id ORDER BY t.id DESC LIMIT :limit""")


def end(tx: Tx, user_ids: Sequence[str], cause: str) -> None:
    """End what these people hold; ``cause`` is one word or two, such as ``deactivated``."""
    if not user_ids:
        return
    ids = orjson.dumps(list(user_ids)).decode()
    tx.do(_RAISE_EPOCH, ids=ids)
    ended = {
        kind: Counter(row[0] for row in tx.all(statement, ids=ids, now=tx.now, cause=cause))
        for kind, statement in _HELD.items()
    }
    receipts: list[dict[str, Any]] = [
        {
            "id": new_id(), "user_id": each, "at": tx.now, "cause": cause, "door": tx.actor.door,
            "actor": tx.actor.name, "request_id": tx.request_id,
            **{kind: number[each] for kind, number in ended.items()},
        }
        for each in user_ids
    ]  # fmt: skip
    tx.do_many(_RECEIPT, receipts)
    for each in user_ids:
        told = {"session.revoked": ended["sessions"][each], "token.revoked": ended["tokens"][each]}
        events.append(tx, {kind: {"cause": cause, "count": n} for kind, n in told.items() if n}, each)
    _confirm_after_commit(tx, [each["id"] for each in receipts])


def receipts_of(tx: Tx, user_id: str, limit: int = 20) -> list[dict[str, Any]]:
    """The receipts of one person, newest first; ``milliseconds`` is from the request to the end of its commit."""
    names = (
        "at", "cause", "door", "actor", "request_id", "sessions", "tokens", "links", "attempts", "milliseconds",
    )  # fmt: skip
    return [dict(zip(names, row, strict=True)) for row in tx.all(_OF, user_id=user_id, limit=limit)]


def _confirm_after_commit(tx: Tx, ids: list[str]) -> None:
    """Note how long it took, once it is committed; without that figure the end is no less an end."""

    def confirm() -> None:
        milliseconds = round((time.perf_counter() - tx.begun) * 1000, 3)
        with suppress(Unavailable):
            row = {"tenant": tx.tenant, "ids": orjson.dumps(ids).decode(), "milliseconds": milliseconds}
            tx.database.run(_CONFIRM, row)

    tx.after_commit.append(confirm)
