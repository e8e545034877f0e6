"""Sessions of people: open, find, list, end. A row each; the browser holds a secret of which only the hash is kept.

Finding one is one indexed join that also demands that its person is active, not locked and in the same epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..protocol.filters import instant
from ..protocol.render import Stored
from . import audit, minting, standing
from .actor import Actor
from .errors import NotFound
from .ids import is_id, new_id
from .standing import Standing
from .store.engine import Database, Statement
from .store.transaction import Tx

_TO_THE_MINUTE = len("2026-01-31T09:30")
_KEPT = timedelta(days=30)

_INSERT = Statement("""
    INSERT INTO sessions (tenant, id, secret_hash, user_id, epoch, method, sso_connection, subject, idp_sid, id_token,
      auth_time, created, last_seen, expires, address, agent)
    VALUES (:tenant, :id, :secret_hash, :user_id, :epoch, :method, :sso_connection, :subject, :idp_sid, :id_token,
      :auth_time, :now, :now, :expires, :address, :agent)""")
_FORGET = Statement("DELETE FROM sessions WHERE tenant = :tenant AND user_id = :user_id AND expires < :before")
# Looked up by the hash alone: it is the session that tells the tenant.
_FIND = Statement(f"""
    SELECT s.tenant, s.id, s.method, s.sso_connection, s.auth_time, s.created, s.last_seen, s.expires, s.idp_sid,
      s.id_token, a.role, r.kind, r.id, r.version, r.created, r.modified, r.body
    FROM sessions s {standing.joined("s")}
    WHERE s.secret_hash = :hash AND s.revoked IS NULL AND s.expires > :now AND s.last_seen > :idle_since
      AND {standing.counts("s")}""")
_SEEN = Statement("""
    UPDATE sessions SET last_seen = :now WHERE tenant = :tenant AND id IN (
      SELECT s.id FROM sessions s WHERE s.tenant = :tenant AND s.id = :id {free s})""")
_LISTED = Statement(f"""
    SELECT s.id, s.method, c.name, s.created, s.last_seen, s.expires, s.address, s.agent
    FROM sessions s {standing.joined("s")}
    LEFT JOIN sso_connections o ON o.tenant = s.tenant AND o.id = s.sso_connection
    LEFT JOIN connections c ON c.tenant = o.tenant AND c.id = o.connection
    WHERE s.tenant = :tenant AND s.user_id = :user_id AND s.revoked IS NULL AND s.expires > :now
      AND s.last_seen > :idle_since AND {standing.counts("s")}
    ORDER BY s.last_seen DESC, s.id DESC""")
_END_ONE = Statement("""
    UPDATE sessions SET revoked = :now, ended_by = :cause
    WHERE tenant = :tenant AND id = :id AND user_id = :user_id AND revoked IS NULL""")
_END_OTHERS = Statement("""
    UPDATE sessions SET revoked = :now, ended_by = :cause
    WHERE tenant = :tenant AND user_id = :user_id AND id <> :keep AND revoked IS NULL AND expires > :now""")
_OF_CONNECTION = """
    UPDATE sessions SET revoked = :now, ended_by = :cause
    WHERE tenant = :tenant AND sso_connection = :sso_connection AND revoked IS NULL"""
_END_CONNECTION = Statement(f"{_OF_CONNECTION} RETURNING user_id")
_END_SUBJECT = Statement(f"{_OF_CONNECTION} AND subject = :subject RETURNING user_id")
_END_SID = Statement(f"{_OF_CONNECTION} AND idp_sid = :idp_sid RETURNING user_id")
_KNOWS_SID = Statement("""
    SELECT 1 FROM sessions s
    WHERE s.tenant = :tenant AND s.sso_connection = :sso_connection AND s.idp_sid = :idp_sid LIMIT 1""")


class Lifetimes(NamedTuple):
    """How long a session lasts: without use, and at most."""

    idle: timedelta = timedelta(hours=2)
    absolute: timedelta = timedelta(hours=12)


class Origin(NamedTuple):
    """How a person proved who they are, and from where."""

    method: str
    address: str = ""
    agent: str = ""
    sso_connection: str | None = None
    subject: str | None = None
    idp_sid: str | None = None
    id_token: str | None = None  # sealed
    auth_time: str | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A session that counts, with its person. Moments are UTC text."""

    tenant: str
    id: str
    method: str
    sso_connection: str | None
    auth_time: str
    created: str
    last_seen: str
    expires: str
    idp_sid: str | None
    id_token: str | None
    role: str | None
    user: Stored

    @property
    def actor(self) -> Actor:
        """This person, at a page."""
        return Actor(tenant=self.tenant, door="ui", name=f"user:{self.user.id}")


@dataclass(frozen=True, slots=True)
class Listed:
    """What a person may see of a session: the device and when it was used."""

    id: str
    method: str
    connection: str | None
    created: str
    last_seen: str
    expires: str
    address: str | None
    agent: str | None


def open_for(tx: Tx, person: Standing, origin: Origin, lifetimes: Lifetimes) -> str:
    """Open a session and return its secret. Raises NotLetIn when the person may not come in."""
    standing.require(tx, person)
    secret, identifier = minting.opaque(), new_id()
    now = datetime.fromisoformat(tx.now)
    tx.do(_FORGET, user_id=person.user.id, before=instant(now - _KEPT))
    tx.do(
        _INSERT,
        id=identifier,
        secret_hash=minting.hashed(secret),
        user_id=person.user.id,
        epoch=person.epoch,
        method=origin.method,
        sso_connection=origin.sso_connection,
        subject=origin.subject,
        idp_sid=origin.idp_sid,
        id_token=origin.id_token,
        auth_time=origin.auth_time or tx.now,
        now=tx.now,
        expires=instant(now + lifetimes.absolute),
        address=origin.address[:100],
        agent=origin.agent[:200],
    )
    told = {"session": identifier, "method": origin.method, "sso_connection": origin.sso_connection}
    audit.record(tx, "session.opened", "User", person.user.id, after=told)
    return secret


def find(database: Database, secret: str, lifetimes: Lifetimes) -> Session | None:
    """The session of a secret, if it counts: one statement."""
    now = datetime.now(UTC)
    row = database.run(
        _FIND,
        {"hash": minting.hashed(secret), "now": instant(now), "idle_since": instant(now - lifetimes.idle)},
    ).fetchone()
    return None if row is None else Session(*[*row[:11], Stored(*row[11:])])


def note_seen(database: Database, session: Session) -> None:
    """Write down that a session was used, once a minute; a busy database is no reason to wait."""
    now = instant(datetime.now(UTC))
    if session.last_seen[:_TO_THE_MINUTE] != now[:_TO_THE_MINUTE]:
        database.run_if_free(_SEEN, {"tenant": session.tenant, "id": session.id, "now": now})


def of(tx: Tx, user_id: str, lifetimes: Lifetimes) -> list[Listed]:
    """The sessions of a person that count, the last used first."""
    idle_since = instant(datetime.fromisoformat(tx.now) - lifetimes.idle)
    return [Listed(*row) for row in tx.all(_LISTED, user_id=user_id, now=tx.now, idle_since=idle_since)]


def end(tx: Tx, user_id: str, session_id: str, cause: str) -> None:
    """End one session of a person. Raises NotFound."""
    if not is_id(session_id) or tx.do(_END_ONE, id=session_id, user_id=user_id, now=tx.now, cause=cause) == 0:
        raise NotFound("There is no such session; it may have ended already.")
    audit.record(tx, "session.revoked", "User", user_id, after={"session": session_id, "cause": cause})


def end_others(tx: Tx, user_id: str, keep: str, cause: str) -> int:
    """End every session of a person but one (an empty id: all), and tell how many."""
    ended = tx.do(_END_OTHERS, user_id=user_id, keep=keep, now=tx.now, cause=cause)
    if ended:
        audit.record(tx, "session.revoked", "User", user_id, after={"count": ended, "cause": cause})
    return ended


def knows_sid(tx: Tx, sso_connection: str, idp_sid: str) -> bool:
    """Whether a session was opened by this session of a provider, be it over by now."""
    return tx.one(_KNOWS_SID, sso_connection=sso_connection, idp_sid=idp_sid) is not None


def end_of_connection(
    tx: Tx, sso_connection: str, cause: str, *, subject: str | None = None, idp_sid: str | None = None
) -> list[str]:
    """End sessions that were opened through a provider: all, those of a subject, or those of its session.

    Returns whose they were.
    """
    given = {"sso_connection": sso_connection, "now": tx.now, "cause": cause}
    if idp_sid is not None:
        rows = tx.all(_END_SID, **given, idp_sid=idp_sid)
    elif subject is not None:
        rows = tx.all(_END_SUBJECT, **given, subject=subject)
    else:
        rows = tx.all(_END_CONNECTION, **given)
    people = sorted({row[0] for row in rows})
    for each in people:
        told = {"sso_connection": sso_connection, "cause": cause}
        audit.record(tx, "session.revoked", "User", each, after=told)
    return people
