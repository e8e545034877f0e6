"""Tenants, connections, tokens; people and groups as resources; audit and events."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    false,
    text,
)

from .base import json, metadata, ordered

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
    Column("created", ordered(), nullable=False),
    Column("modified", ordered(), nullable=False),
    Column("deleted", Text),
    Column("name", ordered(), nullable=False),  # folded userName, or displayName of a group
    Column("display", Text, nullable=False),  # what others show for it
    Column("active", Boolean),
    Column("guarded", Boolean, nullable=False, server_default=false()),  # break-glass: out of every sender's reach
    Column("keys", json(), nullable=False),  # folded single values by path
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
    Column("value", ordered(), nullable=False),
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
    Column("value", ordered()),
    Column("prefix", ordered()),  # the first PREFIX characters of value: what an index can hold
    Column("keys", json(), nullable=False),  # the other sub-attributes, folded
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
    Column("display_key", ordered()),  # the same, folded
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
