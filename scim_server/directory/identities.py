"""Who is who at a provider: (connection, subject) is a person, once and for all (design decision 11).

An identity outlives deactivation and deletion: a person who is restored finds it again, and another who gets the
same name or address later does not inherit it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..protocol.render import Stored
from . import audit, ending, events, mails
from .errors import AlreadyTaken, NotFound
from .store.engine import Statement
from .store.transaction import Tx

_COLUMNS = """i.sso_connection, c.name, i.subject, i.issuer, i.user_id, i.method, i.linked, i.last_email, i.last_used
    FROM identities i
    JOIN sso_connections o ON o.tenant = i.tenant AND o.id = i.sso_connection
    JOIN connections c ON c.tenant = o.tenant AND c.id = o.connection
    WHERE i.tenant = :tenant"""
_BY_SUBJECT = Statement(f"SELECT {_COLUMNS} AND i.sso_connection = :sso_connection AND i.subject = :subject")
_BY_USER = Statement(f"SELECT {_COLUMNS} AND i.sso_connection = :sso_connection AND i.user_id = :user_id")
_OF = Statement(f"SELECT {_COLUMNS} AND i.user_id = :user_id ORDER BY i.linked, c.name")
_INSERT = Statement("""
    INSERT INTO identities (tenant, sso_connection, subject, user_id, issuer, pairwise, method, linked, last_email,
      last_used)
    VALUES (:tenant, :sso_connection, :subject, :user_id, :issuer, :pairwise, :method, :now, :last_email, :last_used)
    ON CONFLICT DO NOTHING""")
_USED = Statement("""
    UPDATE identities SET last_used = :now, last_email = coalesce(:last_email, last_email)
    WHERE tenant = :tenant AND sso_connection = :sso_connection AND subject = :subject""")
_DELETE = Statement("""
    DELETE FROM identities
    WHERE tenant = :tenant AND sso_connection = :sso_connection AND subject = :subject""")
_OF_CONNECTION = Statement("""
    DELETE FROM identities WHERE tenant = :tenant AND sso_connection = :sso_connection RETURNING user_id""")


_NOTICE = """Hello,

a login with {name} was connected to your account on {at} UTC. From now on it can be used to log in.

If that was not you, tell your administrator at once.
"""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a provider has shown of a visitor, whatever the provider: the one plain value that login goes on with.

    ``email`` is what was claimed. It is ``proven`` only where this connection's trust says so; else ``doubt`` is
    the word for the login log. ``weak`` marks a provider whose proof never links an admin (rule R5).
    """

    subject: str
    issuer: str
    email: str | None = None
    proven: bool = False
    doubt: str = ""
    weak: bool = False
    pairwise: str | None = None
    name: str = ""
    given_name: str = ""
    family_name: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """One link between a person and a provider; moments are UTC text."""

    sso_connection: str
    connection: str
    subject: str
    issuer: str
    user_id: str
    method: str
    linked: str
    last_email: str | None
    last_used: str | None


def of_subject(tx: Tx, sso_connection: str, subject: str) -> Identity | None:
    """Who a subject is."""
    return _identity(tx.one(_BY_SUBJECT, sso_connection=sso_connection, subject=subject))


def at_connection(tx: Tx, sso_connection: str, user_id: str) -> Identity | None:
    """Who a person is at one provider."""
    return _identity(tx.one(_BY_USER, sso_connection=sso_connection, user_id=user_id))


def of(tx: Tx, user_id: str) -> list[Identity]:
    """All identities of a person, the oldest first."""
    return [Identity(*row) for row in tx.all(_OF, user_id=user_id)]


def link(tx: Tx, sso_connection: str, proof: Proof, user: Stored, method: str) -> None:
    """Bind a subject to a person, whose row the transaction holds, and tell their mailbox (R6). Raises AlreadyTaken."""
    user_id = user.id
    used = tx.now if tx.actor.door == "sso" else None
    row = {"sso_connection": sso_connection, "subject": proof.subject, "user_id": user_id}
    if (
        tx.do(
            _INSERT, **row, issuer=proof.issuer, pairwise=proof.pairwise, method=method, now=tx.now,
            last_email=shown(proof.email), last_used=used,
        ) == 0
    ):  # fmt: skip
        raise AlreadyTaken("subject", "This identity, or another of this connection, is linked to an account already.")
    told = {"sso_connection": sso_connection, "subject": proof.subject, "method": method, "email": shown(proof.email)}
    audit.record(tx, "identity.linked", "User", user_id, after=told)
    events.append(tx, {"identity.linked": told}, user_id)
    if (mailbox := mails.mailbox(user.document)) is not None:
        identity = of_subject(tx, sso_connection, proof.subject)
        name = identity.connection if identity else ""
        mails.queue(tx, mailbox, f"{name} was connected to your account", _NOTICE.format(name=name, at=tx.now[:16]))


def note_use(tx: Tx, sso_connection: str, proof: Proof) -> bool:
    """Write down that an identity was used, and the address that the provider named; it is for display only.

    Tells whether it is there still, and keeps it from being undone until the transaction ends.
    """
    row = {"sso_connection": sso_connection, "subject": proof.subject}
    return tx.do(_USED, **row, now=tx.now, last_email=shown(proof.email)) == 1


def unlink(tx: Tx, identity: Identity, cause: str = "unlinked") -> None:
    """Undo a link, and end all that its person holds."""
    given = {"sso_connection": identity.sso_connection, "subject": identity.subject}
    if tx.do(_DELETE, **given) == 0:
        raise NotFound("There is no such link; it may have been undone already.")
    ending.end(tx, [identity.user_id], cause)
    audit.record(tx, "identity.unlinked", "User", identity.user_id, before={**given, "cause": cause})
    events.append(tx, {"identity.unlinked": given}, identity.user_id)


def forget_connection(tx: Tx, sso_connection: str) -> list[str]:
    """Undo all links of a connection that is removed, and tell whose they were."""
    return [row[0] for row in tx.all(_OF_CONNECTION, sso_connection=sso_connection)]


def shown(text: str | None) -> str | None:
    """An address that may be kept and shown: printable and not endless."""
    return text if text and len(text) <= 320 and text.isprintable() else None


def _identity(row: tuple[object, ...] | None) -> Identity | None:
    return None if row is None else Identity(*row)  # type: ignore[arg-type]
