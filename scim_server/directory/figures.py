"""Figures for operators: accounts by state, open sessions, and when tokens expire. No personal data."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from ..protocol.filters import instant
from .store.engine import Database, Statement

# Across tenants on purpose: an operator watches the installation.
_USERS = Statement("""
    SELECT CASE WHEN r.deleted IS NOT NULL THEN 'deleted' WHEN r.active THEN 'active' ELSE 'inactive' END AS state,
      count(*)
    FROM resources r WHERE r.kind = 'User' GROUP BY state""")
_EXPIRIES = Statement("SELECT t.id, t.expires FROM tokens t WHERE t.revoked IS NULL AND t.expires IS NOT NULL")


_SESSIONS = Statement("SELECT count(*) FROM sessions s WHERE s.revoked IS NULL AND s.expires > :now")


class Figures(NamedTuple):
    """``users`` counts accounts by state; ``token_expiry`` has Unix seconds by token id; ``sessions`` are open ones."""

    users: dict[str, int]
    token_expiry: dict[str, float]
    sessions: int = 0


def take(database: Database) -> Figures:
    """Count. Raises Unavailable."""
    users = {"active": 0, "inactive": 0, "deleted": 0}
    users.update((state, number) for state, number in database.run(_USERS, {}).rows)
    expiries = {name: datetime.fromisoformat(at).timestamp() for name, at in database.run(_EXPIRIES, {}).rows}
    sessions = database.run(_SESSIONS, {"now": instant(datetime.now(UTC))}).rows[0][0]
    return Figures(users, expiries, sessions)
