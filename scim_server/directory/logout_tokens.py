"""Logout tokens that were taken already: none counts twice."""

from __future__ import annotations

from . import minting
from .store.engine import Statement
from .store.transaction import Tx

_DROP_OLD = Statement("DELETE FROM logout_tokens WHERE expires < :now")
_TAKE = Statement("""
    INSERT INTO logout_tokens (tenant, sso_connection, jti_hash, expires)
    VALUES (:tenant, :sso_connection, :jti_hash, :expires) ON CONFLICT DO NOTHING""")


def take(tx: Tx, sso_connection: str, jti: str, until: str) -> bool:
    """Take a token by its ``jti``; False when it was taken before. It is remembered until it has expired."""
    tx.do(_DROP_OLD, now=tx.now)
    return tx.do(_TAKE, sso_connection=sso_connection, jti_hash=minting.hashed(jti), expires=until) == 1
