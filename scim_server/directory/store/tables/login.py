"""How people get in, and what is known of it: login connections, accounts, identities, sessions, receipts."""

from sqlalchemy import Column, Float, ForeignKeyConstraint, Index, Integer, PrimaryKeyConstraint, String, Table, Text

from .base import metadata

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
