"""Mails on their way: queued in the transaction of what they tell of, so that none is sent for nothing or lost.

Whichever worker is first takes one and moves its next try on; one that was sent is deleted. Without a mail server
nobody takes any, and they end by themselves.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..protocol.documents import Document
from ..protocol.filters import instant
from .ids import new_id
from .store.engine import Database, Statement
from .store.transaction import Tx

_LASTS = timedelta(days=1)
_RETRY = timedelta(minutes=2)

_DROP_OLD = Statement("DELETE FROM mails WHERE expires < :now")
_QUEUE = Statement("""
    INSERT INTO mails (tenant, id, recipient, subject, text, due, expires, tries)
    VALUES (:tenant, :id, :recipient, :subject, :text, :now, :expires, 0)""")
# Across tenants: whoever delivers knows none.
_NEXT = Statement("SELECT m.id FROM mails m WHERE m.due <= :now AND m.expires > :now ORDER BY m.due LIMIT 1")
_TAKE = Statement("""
    UPDATE mails SET due = :later, tries = tries + 1 WHERE id = :id AND due <= :now
    RETURNING id, recipient, subject, text""")
_SENT = Statement("DELETE FROM mails WHERE id = :id")


_ATOM = r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,.\"]+"
_MAILBOX = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@[\w-]+(?:\.[\w-]+)*")  # RFC 5322 §3.4.1, without its oddities


class Mail(NamedTuple):
    """One mail to send."""

    id: str
    recipient: str
    subject: str
    text: str


def queue(tx: Tx, recipient: str, subject: str, text: str) -> None:
    """Queue a mail; it goes out after the commit."""
    expires = instant(datetime.fromisoformat(tx.now) + _LASTS)
    tx.do(_DROP_OLD, now=tx.now)
    tx.do(_QUEUE, id=new_id(), recipient=recipient, subject=subject, text=text, now=tx.now, expires=expires)


def take(database: Database) -> Mail | None:
    """The next mail that is due; nobody else gets it for two minutes."""
    now = datetime.now(UTC)
    found = database.run(_NEXT, {"now": instant(now)}).fetchone()
    if found is None:
        return None
    given = {"id": found[0], "now": instant(now), "later": instant(now + _RETRY)}
    row = database.run(_TAKE, given).fetchone()
    return None if row is None else Mail(*row)


def sent(database: Database, mail: Mail) -> None:
    """Forget a mail that was sent."""
    database.run(_SENT, {"id": mail.id})


def mailbox(document: Document) -> str | None:
    """Where mail reaches a person: the primary address, or the first, or the username where it is one."""
    emails = [each for each in document.get("emails") or [] if each.get("value")]
    first = next((each for each in emails if each.get("primary")), emails[0] if emails else None)
    address = str(first["value"]) if first else str(document["userName"])
    return address if _MAILBOX.fullmatch(address) else None
