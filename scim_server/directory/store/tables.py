"""Every table. Moments are fixed-width UTC text, whose order is the order of time on every database.

A resource is one row, whatever its kind: users and groups share identity, version, text and index, and
memberships, external ids and the search over both kinds need not care which is which.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeEngine

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _ordered() -> TypeEngine[str]:
    """Text that sorts by code point on both databases, as Python does."""
    return Text().with_variant(Text(collation="C"), "postgresql")


def _json() -> TypeEngine[str]:
    """JSON text; PostgreSQL keeps it parsed, so that filters need not."""
    return Text().with_variant(JSONB(), "postgresql")


tenants = Table(
    "tenants",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created", Text, nullable=False),
    Column("access_group", String(36)),  # who is not in it cannot log in
)

connections = Table(
    "connections",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("strict", Boolean, nullable=False),
    Column("group_patch_status", Integer, nullable=False),
    Column("created", Text, nullable=False),
    Column("removed", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
)
Index(
    "uq_connections_living_name",
    connections.c.tenant,
    connections.c.name,
    unique=True,
    sqlite_where=connections.c.removed.is_(None),
    postgresql_where=connections.c.removed.is_(None),
)

sso_connections = Table(
    "sso_connections",  # the login half of a connection: how people of one identity provider get in
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("connection", String(36), nullable=False),
    Column("kind", Text, nullable=False),
    Column("issuer", Text, nullable=False),
    Column("client_id", Text, nullable=False),
    Column("client_secret", Text, nullable=False),  # sealed
    Column("settings", Text, nullable=False),
    Column("version", Integer, nullable=False),  # rises with each change; what was fetched for an older one is dropped
    Column("created", Text, nullable=False),
    Column("metadata", Text),  # the provider's discovery document and keys, shared by all workers
    Column("keys", Text),
    Column("fetched", Text),
    Column("keys_fetched", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "connection"], ["connections.tenant", "connections.id"]),
    Index("uq_sso_connections_id", "id", unique=True),  # looked up before the tenant is known
    Index("uq_sso_connections_connection", "tenant", "connection", unique=True),
    Index("ix_sso_connections_client", "issuer", "client_id"),
)

tokens = Table(
    "tokens",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(16), nullable=False),
    Column("connection", String(36), nullable=False),
    Column("name", Text, nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Text),
    Column("revoked", Text),
    Column("replaced_by", String(16)),
    Column("last_used", Text),
    Column("last_address", Text),
    Column("last_agent", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "connection"], ["connections.tenant", "connections.id"]),
    Index("uq_tokens_id", "id", unique=True),  # looked up before the tenant is known
)

resources = Table(
    "resources",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("version", BigInteger, nullable=False),
    Column("created", _ordered(), nullable=False),
    Column("modified", _ordered(), nullable=False),
    Column("deleted", Text),
    Column("name", _ordered(), nullable=False),  # folded userName, or displayName of a group
    Column("display", Text, nullable=False),  # what others show for it
    Column("active", Boolean),
    Column("guarded", Boolean, nullable=False, server_default=false()),  # break-glass: out of every sender's reach
    Column("keys", _json(), nullable=False),  # folded single values by path
    Column("body", Text, nullable=False),  # see protocol.render
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
)
Index(
    "uq_resources_living_name",
    resources.c.tenant,
    resources.c.kind,
    resources.c.name,
    unique=True,
    sqlite_where=resources.c.deleted.is_(None),
    postgresql_where=resources.c.deleted.is_(None),
)
Index(
    "ix_resources_living",
    resources.c.tenant,
    resources.c.kind,
    resources.c.id,
    sqlite_where=resources.c.deleted.is_(None),
    postgresql_where=resources.c.deleted.is_(None),
)

totals = Table(
    "totals",  # how many resources live, so that an unfiltered list need not count them
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("living", BigInteger, nullable=False),
    PrimaryKeyConstraint("tenant", "kind"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
)

external_ids = Table(
    "external_ids",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("resource", String(36), nullable=False),
    Column("connection", String(36), nullable=False),
    Column("value", _ordered(), nullable=False),
    PrimaryKeyConstraint("tenant", "resource", "connection"),
    ForeignKeyConstraint(["tenant", "resource"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("ix_external_ids_value", "tenant", "connection", "value"),
    sqlite_with_rowid=False,
)

entries = Table(
    "entries",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("resource", String(36), nullable=False),
    Column("attribute", Text, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("value", _ordered()),
    Column("prefix", _ordered()),  # the first PREFIX characters of value: what an index can hold
    Column("keys", _json(), nullable=False),  # the other sub-attributes, folded
    PrimaryKeyConstraint("tenant", "resource", "attribute", "position"),
    ForeignKeyConstraint(["tenant", "resource"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("ix_entries_prefix", "tenant", "attribute", "prefix"),
)

PREFIX = 200
"""Characters of a value that are indexed; PostgreSQL refuses index rows of more than 2,700 bytes."""

memberships = Table(
    "memberships",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("group_id", String(36), nullable=False),
    Column("member_id", String(36), nullable=False),
    Column("member_kind", String(16), nullable=False),
    Column("display", Text),  # as the sender called the member when it joined; else it is shown as it calls itself
    Column("display_key", _ordered()),  # the same, folded
    Column("created", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "group_id", "member_id"),
    ForeignKeyConstraint(["tenant", "group_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    ForeignKeyConstraint(["tenant", "member_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("ix_memberships_member", "tenant", "member_id", "group_id"),
    sqlite_with_rowid=False,
)
Index(
    "ix_memberships_nested",
    memberships.c.tenant,
    memberships.c.group_id,
    memberships.c.member_id,
    sqlite_where=memberships.c.member_kind == text("'Group'"),
    postgresql_where=memberships.c.member_kind == text("'Group'"),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("at", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("connection", String(36)),
    Column("request_id", Text),
    Column("action", Text, nullable=False),
    Column("target_kind", Text),
    Column("target", Text),
    Column("before", Text),
    Column("after", Text),
    Column("deviations", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("ix_audit_records_target", "tenant", "target", "id"),
)

events = Table(
    "events",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("at", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("data", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
)

accounts = Table(
    "accounts",  # how a person gets in, where that differs from the default; many people have no row
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),  # of the sessions and tokens that count
    Column("role", Text),
    Column("password_hash", Text),
    Column("password_set", Text),
    Column("locked_from", Text),
    Column("locked_until", Text),
    Column("lock_reason", Text),
    Column("locked_by", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
)

identities = Table(
    "identities",  # a subject of a provider is this person; they outlive deletion, so that nobody inherits them
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("sso_connection", String(36), nullable=False),
    Column("subject", Text, nullable=False),
    Column("user_id", String(36), nullable=False),
    Column("issuer", Text, nullable=False),
    Column("pairwise", Text),  # Entra's sub, beside its oid
    Column("method", Text, nullable=False),
    Column("linked", Text, nullable=False),
    Column("last_email", Text),
    Column("last_used", Text),
    PrimaryKeyConstraint("tenant", "sso_connection", "subject"),
    ForeignKeyConstraint(["tenant", "sso_connection"], ["sso_connections.tenant", "sso_connections.id"]),
    ForeignKeyConstraint(["tenant", "user_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("uq_identities_user", "tenant", "sso_connection", "user_id", unique=True),
    Index("ix_identities_user", "tenant", "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("user_id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("method", Text, nullable=False),
    Column("sso_connection", String(36)),
    Column("subject", Text),
    Column("idp_sid", Text),
    Column("id_token", Text),  # sealed; kept only where the provider wants it back at logout
    Column("auth_time", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("last_seen", Text, nullable=False),
    Column("expires", Text, nullable=False),
    Column("revoked", Text),
    Column("ended_by", Text),
    Column("address", Text),
    Column("agent", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "user_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("uq_sessions_secret_hash", "secret_hash", unique=True),  # looked up before the tenant is known
    Index("ix_sessions_user", "tenant", "user_id"),
    Index("ix_sessions_subject", "tenant", "sso_connection", "subject"),
    Index("ix_sessions_expires", "expires"),
)

personal_tokens = Table(
    "personal_tokens",
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("user_id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("name", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Text),
    Column("revoked", Text),
    Column("last_used", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "user_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("uq_personal_tokens_id", "id", unique=True),
    Index("ix_personal_tokens_user", "tenant", "user_id"),
)

links = Table(
    "links",  # one-time links that let a person in without a credential, to set one
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(16), nullable=False),
    Column("secret_hash", String(64), nullable=False),
    Column("user_id", String(36), nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Text, nullable=False),
    Column("used", Text),
    Column("revoked", Text),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant", "user_id"], ["resources.tenant", "resources.id"], ondelete="CASCADE"),
    Index("uq_links_id", "id", unique=True),
    Index("ix_links_user", "tenant", "user_id"),
)

attempts = Table(
    "attempts",  # logins half done
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(64), nullable=False),  # hash of the state that the browser carries
    Column("browser", String(64), nullable=False),  # hash of the cookie of the browser that started it
    Column("stage", Text, nullable=False),
    Column("sso_connection", String(36)),
    Column("user_id", String(36)),  # once it is known
    Column("data", Text, nullable=False),
    Column("created", Text, nullable=False),
    Column("expires", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("uq_attempts_id", "id", unique=True),
    Index("ix_attempts_browser", "browser", "created"),
    Index("ix_attempts_user", "tenant", "user_id"),
    Index("ix_attempts_expires", "expires"),
)

logout_tokens = Table(
    "logout_tokens",  # those already taken, so that none is taken twice
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("sso_connection", String(36), nullable=False),
    Column("jti_hash", String(64), nullable=False),
    Column("expires", Text, nullable=False),
    PrimaryKeyConstraint("tenant", "sso_connection", "jti_hash"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("ix_logout_tokens_expires", "expires"),
)

logins = Table(
    "logins",  # the login log: who tried to get in, and at which step it ended
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("at", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("method", Text, nullable=False),
    Column("step", Text),
    Column("reason", Text),
    Column("sso_connection", String(36)),
    Column("user_id", String(36)),
    Column("subject", Text),
    Column("name", Text),  # the e-mail address or username that was claimed
    Column("address", Text),
    Column("agent", Text),
    Column("reference", Text),  # the code that the visitor reads
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("ix_logins_user", "tenant", "user_id", "id"),
)

receipts = Table(
    "receipts",  # for each ended account: what ended with it, and how soon
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("user_id", String(36), nullable=False),
    Column("at", Text, nullable=False),
    Column("cause", Text, nullable=False),
    Column("door", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("request_id", Text),
    Column("sessions", Integer, nullable=False),
    Column("tokens", Integer, nullable=False),
    Column("links", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("milliseconds", Float),  # from the request to the end of its commit
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("ix_receipts_user", "tenant", "user_id", "id"),
)

throttles = Table(
    "throttles",  # failed passwords, by hash of account and address; counted before any tenant is known
    metadata,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("since", Text, nullable=False),
    Column("blocked_until", Text),
    Index("ix_throttles_since", "since"),
)

mails = Table(
    "mails",  # on their way: written beside the change that they tell of, sent by whichever worker is first
    metadata,
    Column("tenant", String(36), nullable=False),
    Column("id", String(36), nullable=False),
    Column("recipient", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("due", Text, nullable=False),  # not before; moved on with each try
    Column("expires", Text, nullable=False),
    Column("tries", Integer, nullable=False),
    PrimaryKeyConstraint("tenant", "id"),
    ForeignKeyConstraint(["tenant"], ["tenants.id"]),
    Index("ix_mails_due", "due"),
)
