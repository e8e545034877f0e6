"""A person's own API tokens. They stand for the person, so they end with the account; SCIM never takes them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..protocol.filters import instant
from ..protocol.render import Stored
from . import audit, minting, standing
from .errors import NotFound
from .store.engine import Database, Statement
from .store.transaction import Tx

_KIND = "user"
_TO_THE_MINUTE = len("2026-01-31T09:30")

_INSERT = Statement("""
    INSERT INTO personal_tokens (tenant, id, secret_hash, user_id, epoch, name, created, created_by, expires)
    VALUES (:tenant, :id, :secret_hash, :user_id, :epoch, :name, :now, :created_by, :expires)""")
_FIND = Statement(f"""
    SELECT p.secret_hash, p.tenant, p.last_used, r.kind, r.id, r.version, r.created, r.modified, r.body
    FROM personal_tokens p {standing.joined("p")}
    WHERE p.id = :id AND p.revoked IS NULL AND (p.expires IS NULL OR p.expires > :now) AND {standing.counts("p")}""")
_USED = Statement("""
    UPDATE personal_tokens SET last_used = :now WHERE tenant = :tenant AND id IN (
      SELECT p.id FROM personal_tokens p WHERE p.tenant = :tenant AND p.id = :id {free p})""")
_OF = Statement("""
    SELECT p.id, p.name, p.created, p.created_by, p.expires, p.revoked, p.last_used FROM personal_tokens p
    WHERE p.tenant = :tenant AND p.user_id = :user_id ORDER BY p.created, p.id""")
_REVOKE = Statement("""
    UPDATE personal_tokens SET revoked = :now
    WHERE tenant = :tenant AND id = :id AND user_id = :user_id AND revoked IS NULL""")


@dataclass(frozen=True, slots=True)
class PersonalToken:
    """What may be told of a token; no ``expires`` is a permanent one."""

    id: str
    name: str
    created: str
    created_by: str
    expires: str | None = None
    revoked: str | None = None
    last_used: str | None = None


@dataclass(frozen=True, slots=True)
class Bearer:
    """The person whom a good token stands for."""

    tenant: str
    user: Stored


def issue(tx: Tx, user_id: str, name: str, *, expires_in: timedelta | None) -> tuple[str, PersonalToken]:
    """Mint a token for a person who may come in; its text cannot be had again. Raises NotFound, NotLetIn."""
    person = standing.hold(tx, user_id)
    standing.require(tx, person)
    minted = minting.mint(_KIND)
    expires = None if expires_in is None else instant(datetime.fromisoformat(tx.now) + expires_in)
    made = PersonalToken(minted.id, name, tx.now, tx.actor.name, expires)
    tx.do(
        _INSERT,
        id=minted.id,
        secret_hash=minted.hash,
        user_id=user_id,
        epoch=person.epoch,
        name=name,
        now=tx.now,
        created_by=made.created_by,
        expires=expires,
    )
    told = {"token": minted.id, "name": name, "expires": expires}
    audit.record(tx, "personal_token.issued", "User", user_id, after=told)
    return minted.text, made


def verify(database: Database, text: str) -> Bearer | None:
    """Find out for whom a token stands: one statement, which demands that the token and its person still count."""
    named = minting.read(_KIND, text)
    if named is None:
        return None
    identifier, given = named
    now = instant(datetime.now(UTC))
    row = database.run(_FIND, {"id": identifier, "now": now}).fetchone()
    if not minting.same(given, row[0] if row else None) or row is None:
        return None
    if (row[2] or "")[:_TO_THE_MINUTE] != now[:_TO_THE_MINUTE]:
        database.run_if_free(_USED, {"tenant": row[1], "id": identifier, "now": now})
    return Bearer(row[1], Stored(*row[3:]))


def of(tx: Tx, user_id: str) -> list[PersonalToken]:
    """The tokens of a person, ended ones too."""
    return [PersonalToken(*row) for row in tx.all(_OF, user_id=user_id)]


def revoke(tx: Tx, user_id: str, token_id: str) -> None:
    """End a token. Raises NotFound."""
    if tx.do(_REVOKE, id=token_id, user_id=user_id, now=tx.now) == 0:
        raise NotFound("There is no such token; it may have ended already.")
    audit.record(tx, "personal_token.revoked", "User", user_id, after={"token": token_id})
