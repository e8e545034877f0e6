"""The directory: tenants, connections, tokens, resources with their index, memberships, audit, events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ORDERED = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
JSON = sa.Text().with_variant(postgresql.JSONB(), "postgresql")


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
        sa.UniqueConstraint("name", name="uq_tenants_name"),
    )
    op.create_table(
        "audit_records",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("connection", sa.String(length=36), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("target_kind", sa.Text(), nullable=True),
        sa.Column("target", sa.Text(), nullable=True),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.Column("deviations", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_audit_records_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_audit_records"),
    )
    op.create_index("ix_audit_records_target", "audit_records", ["tenant", "target", "id"], unique=False)

    op.create_table(
        "connections",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("strict", sa.Boolean(), nullable=False),
        sa.Column("group_patch_status", sa.Integer(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_connections_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_connections"),
    )
    op.create_index("uq_connections_tenant_name", "connections", ["tenant", "name"], unique=True)

    op.create_table(
        "events",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_events_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_events"),
    )
    op.create_table(
        "resources",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created", ORDERED, nullable=False),
        sa.Column("modified", ORDERED, nullable=False),
        sa.Column("deleted", sa.Text(), nullable=True),
        sa.Column("name", ORDERED, nullable=False),
        sa.Column("display", sa.Text(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=True),
        sa.Column("keys", JSON, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_resources_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_resources"),
    )
    op.create_index(
        "ix_resources_living",
        "resources",
        ["tenant", "kind", "id"],
        unique=False,
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    )
    op.create_index(
        "uq_resources_living_name",
        "resources",
        ["tenant", "kind", "name"],
        unique=True,
        sqlite_where=sa.text("deleted IS NULL"),
        postgresql_where=sa.text("deleted IS NULL"),
    )

    op.create_table(
        "entries",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("resource", sa.String(length=36), nullable=False),
        sa.Column("attribute", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("value", ORDERED, nullable=True),
        sa.Column("prefix", ORDERED, nullable=True),
        sa.Column("keys", JSON, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "resource"],
            ["resources.tenant", "resources.id"],
            name="fk_entries_tenant_resource_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "resource", "attribute", "position", name="pk_entries"),
    )
    op.create_index("ix_entries_prefix", "entries", ["tenant", "attribute", "prefix"], unique=False)

    op.create_table(
        "totals",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("living", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_totals_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "kind", name="pk_totals"),
    )
    op.create_table(
        "external_ids",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("resource", sa.String(length=36), nullable=False),
        sa.Column("connection", sa.String(length=36), nullable=False),
        sa.Column("value", ORDERED, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "resource"],
            ["resources.tenant", "resources.id"],
            name="fk_external_ids_tenant_resource_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "resource", "connection", name="pk_external_ids"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_external_ids_value", "external_ids", ["tenant", "connection", "value"], unique=False)

    op.create_table(
        "memberships",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("group_id", sa.String(length=36), nullable=False),
        sa.Column("member_id", sa.String(length=36), nullable=False),
        sa.Column("member_kind", sa.String(length=16), nullable=False),
        sa.Column("display", sa.Text(), nullable=True),
        sa.Column("display_key", ORDERED, nullable=True),
        sa.Column("created", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant", "group_id"],
            ["resources.tenant", "resources.id"],
            name="fk_memberships_tenant_group_id_resources",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "member_id"],
            ["resources.tenant", "resources.id"],
            name="fk_memberships_tenant_member_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "group_id", "member_id", name="pk_memberships"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_memberships_member", "memberships", ["tenant", "member_id", "group_id"], unique=False)
    op.create_index(
        "ix_memberships_nested",
        "memberships",
        ["tenant", "group_id", "member_id"],
        unique=False,
        sqlite_where=sa.text("member_kind = 'Group'"),
        postgresql_where=sa.text("member_kind = 'Group'"),
    )

    op.create_table(
        "tokens",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("connection", sa.String(length=36), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=True),
        sa.Column("revoked", sa.Text(), nullable=True),
        sa.Column("replaced_by", sa.String(length=16), nullable=True),
        sa.Column("last_used", sa.Text(), nullable=True),
        sa.Column("last_address", sa.Text(), nullable=True),
        sa.Column("last_agent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "connection"],
            ["connections.tenant", "connections.id"],
            name="fk_tokens_tenant_connection_connections",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_tokens"),
    )
    op.create_index("uq_tokens_id", "tokens", ["id"], unique=True)


def downgrade() -> None:
    for table in (
        "events",
        "audit_records",
        "memberships",
        "entries",
        "external_ids",
        "totals",
        "resources",
        "tokens",
        "connections",
        "tenants",
    ):
        op.drop_table(table)
