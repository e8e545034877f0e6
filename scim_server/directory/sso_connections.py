"""The login half of a connection: which provider, which client of it, and how far its word is trusted.

It has an id of its own, in a namespace apart from the sending half (rule R11); one connection may have both, and
then a subject that equals the ``externalId`` that was pushed is the same person. What a provider publishes of
itself is kept here too, so that all workers share one copy and one fetch.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from ..protocol.filters import instant
from . import attempts, audit, ending, identities, sessions
from .connections import Connection
from .errors import AlreadyTaken
from .ids import is_id, new_id
from .store.engine import Database, Statement
from .store.transaction import Tx

KINDS = ("google", "github", "gitlab", "bitbucket", "entra", "oidc")
TRUSTS = ("none", "verified_claim", "authoritative_domains")
FRESH = timedelta(hours=1)
"""So long a provider's metadata and keys are believed."""
_REFETCH = timedelta(minutes=1)

_COLUMNS = """o.tenant, o.id, o.connection, c.name, o.kind, o.issuer, o.client_id, o.client_secret, o.version,
    o.created, o.settings
    FROM sso_connections o JOIN connections c ON c.tenant = o.tenant AND c.id = o.connection AND c.removed IS NULL"""
# Looked up by id alone: it is the connection in the path that tells the tenant.
_BY_ID = Statement(f"SELECT {_COLUMNS} WHERE o.id = :id")
_EVERY = Statement(f"SELECT {_COLUMNS} WHERE o.tenant = :tenant ORDER BY c.name")
_ANYWHERE = Statement(f"SELECT {_COLUMNS} ORDER BY c.name, o.id")
_SAME_CLIENT = Statement(f"SELECT {_COLUMNS} WHERE o.issuer = :issuer AND o.client_id = :client_id ORDER BY o.tenant")
_OF = Statement(f"SELECT {_COLUMNS} WHERE o.tenant = :tenant AND o.connection = :connection")
_INSERT = Statement("""
    INSERT INTO sso_connections (tenant, id, connection, kind, issuer, client_id, client_secret, settings, version,
      created)
    VALUES (:tenant, :id, :connection, :kind, :issuer, :client_id, :client_secret, :settings, 1, :created)
    ON CONFLICT DO NOTHING""")
_UPDATE = Statement("""
    UPDATE sso_connections SET issuer = :issuer, client_id = :client_id, client_secret = :client_secret,
      settings = :settings, version = version + 1, metadata = NULL, keys = NULL, fetched = NULL, keys_fetched = NULL
    WHERE tenant = :tenant AND id = :id""")
_LOCK = Statement("SELECT o.id FROM sso_connections o WHERE o.tenant = :tenant AND o.id = :id {lock o alone}")
_DELETE = Statement("DELETE FROM sso_connections WHERE tenant = :tenant AND id = :id")
_PUBLISHED = Statement("""
    SELECT o.metadata, o.keys, o.fetched FROM sso_connections o
    WHERE o.id = :id AND o.version = :version AND o.fetched > :since""")
_KEEP = Statement("""
    UPDATE sso_connections SET metadata = :metadata, keys = :keys, fetched = :now, keys_fetched = NULL
    WHERE id = :id AND version = :version""")
_CLAIM_REFETCH = Statement("""
    UPDATE sso_connections SET keys_fetched = :now
    WHERE id = :id AND version = :version AND (keys_fetched IS NULL OR keys_fetched < :before)""")
_KEEP_KEYS = Statement("UPDATE sso_connections SET keys = :keys WHERE id = :id AND version = :version")


@dataclass(frozen=True, slots=True)
class SsoSettings:
    """What an operator may set of a login connection. The flags at the end excuse providers that break a rule."""

    base_url: str = ""  # of a self-managed GitHub or GitLab
    entra_tenant: str = ""
    domains: tuple[str, ...] = ()  # of addresses that may be matched; none is any
    email_trust: str = "verified_claim"
    jit: bool = False
    enforced: bool = False  # from then on passwords are for break-glass accounts
    max_age: int = 0  # seconds since the person last proved themselves to the provider; 0 asks for nothing
    extra_audiences: bool = False
    text_email_verified: bool = False

    def covers(self, email: str) -> bool:
        """Whether an address lies in one of the connection's domains."""
        return not self.domains or self.owns(email)

    def owns(self, email: str) -> bool:
        """Whether an address lies in a domain that is named here."""
        return email.rpartition("@")[2].lower() in self.domains


@dataclass(frozen=True, slots=True)
class SsoConnection:
    """One identity provider as one tenant logs in with it; ``client_secret`` is sealed."""

    tenant: str
    id: str
    connection: str
    name: str
    kind: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    version: int
    created: str
    settings: SsoSettings


@dataclass(frozen=True, slots=True)
class Published:
    """What a provider publishes of itself: its discovery document and its key set."""

    metadata: dict[str, Any]
    keys: dict[str, Any]


def create(
    tx: Tx,
    connection: Connection,
    kind: str,
    *,
    issuer: str,
    client_id: str,
    client_secret: str,
    settings: SsoSettings,
) -> SsoConnection:
    """Give a connection its login half; the secret is sealed. Raises AlreadyTaken when it has one."""
    made = SsoConnection(
        tx.tenant, new_id(), connection.id, connection.name, kind, issuer, client_id, client_secret, 1, tx.now, settings
    )
    if tx.do(_INSERT, **_row(made), connection=connection.id, kind=kind, created=tx.now) == 0:
        raise AlreadyTaken("name", f"The connection {connection.name} has a login already; change it with set.")
    audit.record(tx, "sso_connection.created", "Connection", connection.id, after=told(made))
    return made


def find(database: Database, identifier: str) -> SsoConnection | None:
    """The login connection with this id, in whatever tenant."""
    row = database.run(_BY_ID, {"id": identifier}).fetchone() if is_id(identifier) else None
    return _sso(row)


def of(tx: Tx, connection: Connection) -> SsoConnection | None:
    """The login half of a connection."""
    return _sso(tx.one(_OF, connection=connection.id))


def every(tx: Tx) -> list[SsoConnection]:
    """All login connections of the tenant by name."""
    return [_made(row) for row in tx.all(_EVERY)]


def anywhere(database: Database) -> list[SsoConnection]:
    """All login connections of the installation: for an operator, and to find those of an address's domain."""
    return [_made(row) for row in database.run(_ANYWHERE, {}).rows]


def same_client(database: Database, sso: SsoConnection) -> list[SsoConnection]:
    """The connections, in whatever tenant, to which this provider proves the same: same issuer, same client.

    And the same trust: what was proved is judged by one connection's settings, which must not speak for another's.
    """
    rows = database.run(_SAME_CLIENT, {"issuer": sso.issuer, "client_id": sso.client_id}).rows
    return [found for found in map(_made, rows) if (found.kind, _trust(found)) == (sso.kind, _trust(sso))]


def _trust(sso: SsoConnection) -> SsoSettings:
    """The settings by which a proof is judged; domains count for it where they are what makes an address proven."""
    domains = sso.settings.domains if sso.settings.email_trust == "authoritative_domains" else ()
    return replace(sso.settings, domains=domains, jit=False, enforced=False)


def change(tx: Tx, sso: SsoConnection, **changes: Any) -> SsoConnection:
    """Change what is given; every worker goes by it from the next login on.

    Another issuer is another provider, whose subjects are other people: links and sessions of the old one end.
    """
    own = {each.name for each in fields(SsoSettings)}
    settings = replace(sso.settings, **{name: value for name, value in changes.items() if name in own})
    rest = {name: value for name, value in changes.items() if name not in own}
    changed = replace(sso, settings=settings, **rest)
    if changed != sso:
        if changed.issuer != sso.issuer:
            _end_all(tx, sso, "issuer changed")
        tx.do(_UPDATE, **_row(changed))
        changed = replace(changed, version=sso.version + 1)
        audit.record(tx, "sso_connection.updated", "Connection", sso.connection, before=told(sso), after=told(changed))
    return changed


def remove(tx: Tx, sso: SsoConnection) -> dict[str, int]:
    """Remove the login half: its sessions, links and half-done logins end. Returns how many people and links."""
    ended = _end_all(tx, sso, "connection removed")
    tx.do(_DELETE, id=sso.id)
    audit.record(tx, "sso_connection.removed", "Connection", sso.connection, before=told(sso))
    return ended


def _end_all(tx: Tx, sso: SsoConnection, cause: str) -> dict[str, int]:
    """End what came through a connection, and all that its people hold."""
    tx.one(_LOCK, id=sso.id)
    unlinked = identities.forget_connection(tx, sso.id)  # first: a login on its way is waited for, and its session ends
    ending.end(tx, sorted(unlinked), cause)  # before single sessions are ended, or the receipt would not count them
    others = sessions.end_of_connection(tx, sso.id, cause)
    ending.end(tx, others, cause)
    attempts.drop_of_connection(tx, sso.id)
    return {"people": len({*unlinked, *others}), "identities": len(unlinked)}


def told(sso: SsoConnection) -> dict[str, Any]:
    """What may be shown of a login connection; not its secret."""
    return {"id": sso.id, "kind": sso.kind, "issuer": sso.issuer, "client_id": sso.client_id} | asdict(sso.settings)


def published(database: Database, sso: SsoConnection, now: datetime) -> Published | None:
    """What is known of the provider, unless it is too old."""
    row = database.run(
        _PUBLISHED, {"id": sso.id, "version": sso.version, "since": instant(now - FRESH)}
    ).fetchone()  # fmt: skip
    return None if row is None else Published(orjson.loads(row[0]), orjson.loads(row[1]))


def keep_published(database: Database, sso: SsoConnection, published: Published, now: datetime) -> None:
    """Keep what was fetched, for all workers."""
    documents = {"metadata": _json(published.metadata), "keys": _json(published.keys)}
    database.run(_KEEP, {"id": sso.id, "version": sso.version, "now": instant(now), **documents})


def may_refetch_keys(database: Database, sso: SsoConnection, now: datetime) -> bool:
    """Take the one turn that there is in a minute, over all workers, to fetch the keys anew."""
    row = {"id": sso.id, "version": sso.version, "now": instant(now), "before": instant(now - _REFETCH)}
    return database.run(_CLAIM_REFETCH, row).rowcount == 1


def keep_keys(database: Database, sso: SsoConnection, keys: dict[str, Any]) -> None:
    """Keep a key set that was fetched anew."""
    database.run(_KEEP_KEYS, {"id": sso.id, "version": sso.version, "keys": _json(keys)})


def _sso(row: tuple[Any, ...] | None) -> SsoConnection | None:
    return None if row is None else _made(row)


def _made(row: tuple[Any, ...]) -> SsoConnection:
    known = orjson.loads(row[10])
    settings = SsoSettings(**{**known, "domains": tuple(known["domains"])})
    return SsoConnection(*[*row[:10], settings])


def _row(sso: SsoConnection) -> dict[str, Any]:
    return {
        "id": sso.id, "issuer": sso.issuer, "client_id": sso.client_id, "client_secret": sso.client_secret,
        "settings": _json(asdict(sso.settings)),
    }  # fmt: skip


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
