"""Bearer tokens for machines: mint, verify, rotate, revoke. Only a hash is kept; the token is shown once.

A token names tenant and connection; nothing else in a request does.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..protocol.filters import instant
from . import audit, minting
from .actor import Actor
from .connections import Connection
from .errors import NotFound, Refused
from .store.engine import Database, Statement
from .store.transaction import Tx

READ, WRITE = "scim:read", "scim:write"
SCOPES = (READ, WRITE)
DEFAULT_DAYS = 365
LONGEST_OVERLAP = timedelta(days=30)

_KIND = "scim"
_TO_THE_MINUTE = len("2026-01-31T09:30")

_INSERT = Statement("""
    INSERT INTO tokens (tenant, id, connection, name, secret_hash, scopes, created, created_by, expires)
    VALUES (:tenant, :id, :connection, :name, :secret_hash, :scopes, :created, :created_by, :expires)""")
# Looked up by id alone: it is the token that tells the tenant.
_VERIFY = Statement("""
    SELECT t.secret_hash, t.expires, t.revoked, t.last_used, t.tenant, t.name, t.scopes, c.id, c.name, c.strict,
      c.group_patch_status
    FROM tokens t JOIN connections c ON c.tenant = t.tenant AND c.id = t.connection
    WHERE t.id = :id AND c.removed IS NULL""")
_NOTE_USE = Statement("""
    UPDATE tokens SET last_used = :now, last_address = :address, last_agent = :agent
    WHERE tenant = :tenant AND id IN (
      SELECT t.id FROM tokens t WHERE t.tenant = :tenant AND t.id = :id {free t})""")
_COLUMNS = """t.id, t.name, c.name, t.scopes, t.created, t.created_by, t.expires, t.revoked, t.replaced_by,
    t.last_used, t.last_address, t.last_agent
    FROM tokens t JOIN connections c ON c.tenant = t.tenant AND c.id = t.connection WHERE t.tenant = :tenant"""
_ALL = Statement(f"SELECT {_COLUMNS} ORDER BY t.created, t.id")
_ONE = Statement(f"SELECT {_COLUMNS} AND t.id = :id {{lock t}}")
_REVOKE = Statement("UPDATE tokens SET revoked = :now WHERE tenant = :tenant AND id = :id")
_REPLACE = Statement("""
    UPDATE tokens SET expires = :expires, replaced_by = :replaced_by WHERE tenant = :tenant AND id = :id""")
_CONNECTION_OF = Statement("SELECT t.connection FROM tokens t WHERE t.tenant = :tenant AND t.id = :id")


@dataclass(frozen=True, slots=True)
class Token:
    """What may be told of a token; moments are UTC text."""

    id: str
    name: str
    connection: str
    scopes: str
    created: str
    created_by: str
    expires: str | None = None
    revoked: str | None = None
    replaced_by: str | None = None
    last_used: str | None = None
    last_address: str | None = None
    last_agent: str | None = None


def issue(
    tx: Tx, connection: Connection, name: str, *, expires_in: timedelta | None, scopes: tuple[str, ...] = SCOPES
) -> tuple[str, Token]:
    """Mint a token; returns its text, which cannot be had again, and what is kept of it."""
    identifier, text, secret_hash = minting.mint(_KIND)
    made = Token(identifier, name, connection.name, " ".join(scopes), tx.now, tx.actor.name, _after(tx, expires_in))
    tx.do(
        _INSERT,
        id=identifier,
        connection=connection.id,
        name=name,
        secret_hash=secret_hash,
        scopes=made.scopes,
        created=tx.now,
        created_by=made.created_by,
        expires=made.expires,
    )
    audit.record(tx, "token.issued", "Token", identifier, after={"name": name, "expires": made.expires})
    return text, made


class Verified(NamedTuple):
    """A good token: who it makes the bearer, and whether its use is to be noted."""

    actor: Actor
    id: str
    use_is_old: bool


def verify(database: Database, text: str) -> Verified | None:
    """Find out who bears a token: one statement, which also demands that it is not revoked or expired."""
    named = minting.read(_KIND, text)
    if named is None:
        return None
    identifier, given = named
    row = database.run(_VERIFY, {"id": identifier}).fetchone()
    if not minting.same(given, row[0] if row else None) or row is None:
        return None
    now = instant(datetime.now(UTC))
    _, expires, revoked, used, tenant, name, scopes, connection, connection_name, strict, status = row
    if revoked is not None or (expires is not None and expires <= now):
        return None
    actor = Actor(
        tenant=tenant,
        door="scim",
        name=f"token:{name}",
        connection=connection,
        connection_name=connection_name,
        scopes=frozenset(scopes.split()),
        strict=bool(strict),
        group_patch_status=status,
    )
    return Verified(actor, identifier, used is None or used[:_TO_THE_MINUTE] != now[:_TO_THE_MINUTE])


def note_use(database: Database, verified: Verified, address: str, agent: str) -> None:
    """Write down when and from where a token was used; a busy database is no reason to make a request wait."""
    row = {"now": instant(datetime.now(UTC)), "address": address[:100], "agent": agent[:200]}
    database.run_if_free(_NOTE_USE, {**row, "tenant": verified.actor.tenant, "id": verified.id})


def every(tx: Tx) -> list[Token]:
    """All tokens of the tenant, oldest first."""
    return [Token(*row) for row in tx.all(_ALL)]


def rotate(tx: Tx, token_id: str, *, overlap: timedelta, expires_in: timedelta | None) -> tuple[str, Token]:
    """Mint a successor; the old token goes on working for ``overlap`` and then expires.

    Raises NotFound, Refused when it is revoked or the overlap is longer than 30 days.
    """
    old = _one(tx, token_id)
    if old.revoked is not None:
        raise Refused("This token is revoked; issue a new one with: scim-server token issue")
    if overlap > LONGEST_OVERLAP:
        raise Refused("Both tokens can work side by side for 30 days at most; give a shorter --overlap-days.")
    row = tx.one(_CONNECTION_OF, id=token_id)
    assert row is not None
    connection = Connection(row[0], old.connection, strict=False, group_patch_status=204, created="")
    text, made = issue(tx, connection, old.name, expires_in=expires_in, scopes=tuple(old.scopes.split()))
    until = _after(tx, overlap)
    assert until is not None
    until = min(until, old.expires) if old.expires else until
    tx.do(_REPLACE, id=token_id, expires=until, replaced_by=made.id)
    audit.record(tx, "token.rotated", "Token", token_id, after={"expires": until, "replaced_by": made.id})
    return text, made


def revoke(tx: Tx, token_id: str) -> Token:
    """End a token: refused from the moment this is committed. Raises NotFound."""
    token = _one(tx, token_id)
    if token.revoked is None:
        tx.do(_REVOKE, id=token_id, now=tx.now)
        audit.record(tx, "token.revoked", "Token", token_id)
    return _one(tx, token_id)


def _one(tx: Tx, token_id: str) -> Token:
    row = tx.one(_ONE, id=token_id)
    if row is None:
        raise NotFound("There is no token with this id. List them with: scim-server token list")
    return Token(*row)


def _after(tx: Tx, span: timedelta | None) -> str | None:
    return None if span is None else instant(datetime.fromisoformat(tx.now) + span)
