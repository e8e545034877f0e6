"""One-time links: 256 bits, only the hash kept, bound to one account, used once.

A link of an account that was ended, renamed or given another address counts no more; whoever holds one cannot
change the address it belongs to (rule R8 of the design's linking rules).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..protocol.filters import instant
from ..protocol.render import Stored
from . import audit, minting, standing
from .errors import NotFound
from .store.engine import Database, Statement
from .store.transaction import Tx

_KIND = "link"
PASSWORD = "password"  # noqa: S105 - the purpose of a link
LONGEST = timedelta(hours=72)

_INSERT = Statement("""
    INSERT INTO links (tenant, id, secret_hash, user_id, epoch, purpose, created, created_by, expires)
    VALUES (:tenant, :id, :secret_hash, :user_id, :epoch, :purpose, :now, :created_by, :expires)""")
_FIND = Statement(f"""
    SELECT l.secret_hash, l.tenant, l.id, l.purpose, r.kind, r.id, r.version, r.created, r.modified, r.body
    FROM links l {standing.joined("l")}
    WHERE l.id = :id AND l.purpose = :purpose AND l.used IS NULL AND l.revoked IS NULL AND l.expires > :now
      AND {standing.counts("l")}""")
_USE = Statement("""
    UPDATE links SET used = :now
    WHERE tenant = :tenant AND id = :id AND used IS NULL AND revoked IS NULL AND expires > :now""")
_REVOKE = Statement("""
    UPDATE links SET revoked = :now WHERE tenant = :tenant AND user_id = :user_id AND used IS NULL AND revoked IS NULL
    RETURNING id""")


@dataclass(frozen=True, slots=True)
class Link:
    """A link that counts, and whose it is."""

    tenant: str
    id: str
    purpose: str
    user: Stored


def issue(tx: Tx, user_id: str, purpose: str = PASSWORD, *, lasts: timedelta = LONGEST) -> tuple[str, str]:
    """Make a link; earlier ones of this account die. Returns its text, which cannot be had again, and its end.

    Raises NotFound, NotLetIn.
    """
    person = standing.hold(tx, user_id)
    standing.require(tx, person)
    revoke_of(tx, user_id)
    minted = minting.mint(_KIND)
    expires = instant(datetime.fromisoformat(tx.now) + min(lasts, LONGEST))
    tx.do(
        _INSERT,
        id=minted.id,
        secret_hash=minted.hash,
        user_id=user_id,
        epoch=person.epoch,
        purpose=purpose,
        now=tx.now,
        created_by=tx.actor.name,
        expires=expires,
    )
    audit.record(tx, "link.issued", "User", user_id, after={"purpose": purpose, "expires": expires})
    return minted.text, expires


def find(database: Database, text: str, purpose: str = PASSWORD) -> Link | None:
    """The link of a text, if it counts."""
    named = minting.read(_KIND, text)
    if named is None:
        return None
    identifier, given = named
    now = instant(datetime.now(UTC))
    row = database.run(_FIND, {"id": identifier, "purpose": purpose, "now": now}).fetchone()
    if not minting.same(given, row[0] if row else None) or row is None:
        return None
    return Link(row[1], row[2], row[3], Stored(*row[4:]))


def use(tx: Tx, link: Link) -> None:
    """Use a link up: of several at once, one wins. Raises NotFound."""
    if tx.do(_USE, id=link.id, now=tx.now) == 0:
        raise NotFound("This link has been used or is too old. Ask for a new one.")


def revoke_of(tx: Tx, user_id: str) -> int:
    """End the links of an account, and tell how many there were."""
    return len(tx.all(_REVOKE, user_id=user_id, now=tx.now))
