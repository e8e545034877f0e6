"""Logins half done: one-time, bound to a browser, a connection and a tenant, at most ten minutes old.

The browser carries ``state`` and a cookie; the rows hold hashes of both. Taking an attempt burns it, whatever
follows, so that an answer of a provider can be delivered once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from ..protocol.filters import instant
from . import minting
from .ids import new_id
from .store.engine import Database, Statement
from .store.transaction import Tx

LONGEST = timedelta(minutes=10)
MOST = 5
"""So many at once in one browser; the oldest gives way."""

PROVIDER, CONFIRM, CHOOSE, LOGOUT = "provider", "confirm", "choose", "logout"

_INSERT = Statement("""
    INSERT INTO attempts (tenant, id, browser, stage, sso_connection, user_id, data, created, expires)
    VALUES (:tenant, :id, :browser, :stage, :sso_connection, :user_id, :data, :created, :expires)""")
_DROP_OLDEST = Statement("""
    DELETE FROM attempts WHERE browser = :browser AND id NOT IN (
      SELECT t.id FROM attempts t WHERE t.browser = :browser ORDER BY t.created DESC, t.id LIMIT :keep)""")
_DROP_EXPIRED = Statement("DELETE FROM attempts WHERE expires < :now")
# By the hash of the state alone: it is the attempt that tells the tenant.
_TAKE = Statement("""
    DELETE FROM attempts WHERE id = :id
    RETURNING tenant, browser, stage, sso_connection, user_id, data, created, expires""")
_LOOK = Statement("""
    SELECT t.tenant, t.browser, t.stage, t.sso_connection, t.user_id, t.data, t.created, t.expires FROM attempts t
    WHERE t.id = :id""")
_DROP_CONNECTION = Statement("DELETE FROM attempts WHERE tenant = :tenant AND sso_connection = :sso_connection")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One login on its way. ``data`` belongs to its stage: nonce and verifier, or whom to let in."""

    tenant: str
    browser: str
    stage: str
    sso_connection: str | None
    user_id: str | None
    data: dict[str, Any] = field(repr=False)
    created: str
    expires: str

    def belongs_to(self, browser: str, stage: str, sso_connection: str | None = None) -> bool:
        """Whether it was started by this browser, for this stage and connection, and is not too old."""
        return (
            minting.same(minting.hashed(browser), self.browser)
            and (self.stage, self.sso_connection) == (stage, sso_connection)
            and not self.is_over
        )

    @property
    def is_over(self) -> bool:
        """Whether it is too old."""
        return self.expires <= instant(datetime.now(UTC))


def start(
    tx: Tx,
    browser: str,
    stage: str,
    data: dict[str, Any],
    *,
    sso_connection: str | None = None,
    user_id: str | None = None,
    state: str | None = None,
) -> str:
    """Begin, and return the state that finds it again."""
    state = state or minting.opaque()
    mine = minting.hashed(browser)
    tx.do(_DROP_EXPIRED, now=tx.now)
    tx.do(_DROP_OLDEST, browser=mine, keep=MOST - 1)
    tx.do(
        _INSERT,
        id=minting.hashed(state),
        browser=mine,
        stage=stage,
        sso_connection=sso_connection,
        user_id=user_id,
        data=orjson.dumps(data).decode(),
        created=f"{tx.now} {new_id()}",  # those of one moment in the order they came
        expires=instant(datetime.fromisoformat(tx.now) + LONGEST),
    )
    return state


def look(database: Database, state: str) -> Attempt | None:
    """An attempt, left where it is: for a page that is shown before the visitor acts."""
    row = database.run(_LOOK, {"id": minting.hashed(state)}).fetchone()
    return _attempt(row)


def take(database: Database, state: str) -> Attempt | None:
    """The attempt of a state, burned: of several who ask at once, one has it."""
    row = database.run(_TAKE, {"id": minting.hashed(state)}).fetchone()
    return _attempt(row)


def drop_of_connection(tx: Tx, sso_connection: str) -> None:
    """Forget the logins that are on their way through a provider."""
    tx.do(_DROP_CONNECTION, sso_connection=sso_connection)


def _attempt(row: tuple[Any, ...] | None) -> Attempt | None:
    if row is None:
        return None
    tenant, browser, stage, sso_connection, user_id, data, created, expires = row
    return Attempt(tenant, browser, stage, sso_connection, user_id, orjson.loads(data), created, expires)
