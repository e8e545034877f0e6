"""Figures for operators: how many accounts in which state, and when tokens expire. No personal data."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from .store.engine import Database, Statement

# Across tenants on purpose: an operator watches the installation.
_USERS = Statement("""
    SELECT CASE WHEN r.deleted IS NOT NULL THEN 'deleted' WHEN r.active THEN 'active' ELSE 'inactive' END AS state,
      count(*)
    FROM resources r WHERE r.kind = 'User' GROUP BY state""")
_EXPIRIES = Statement("SELECT t.id, t.expires FROM tokens t WHERE t.revoked IS NULL AND t.expires IS NOT NULL")


class Figures(NamedTuple):
    """``users`` counts accounts by state; ``token_expiry`` has Unix seconds by token id."""

    users: dict[str, int]
    token_expiry: dict[str, float]


def take(database: Database) -> Figures:
    """Count. Raises Unavailable."""
    users = {"active": 0, "inactive": 0, "deleted": 0}
    users.update((state, number) for state, number in database.run(_USERS, {}).rows)
    expiries = {name: datetime.fromisoformat(at).timestamp() for name, at in database.run(_EXPIRIES, {}).rows}
    return Figures(users, expiries)
