"""Login: sso_connections, accounts, identities, sessions, personal tokens, links, half-done logins, receipts."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "throttles",
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("since", sa.Text(), nullable=False),
        sa.Column("blocked_until", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("key", name="pk_throttles"),
    )
    op.create_index("ix_throttles_since", "throttles", ["since"], unique=False)
    op.create_table(
        "attempts",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("sso_connection", sa.String(length=36), nullable=True),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_attempts_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_attempts"),
    )
    op.create_index("ix_attempts_browser", "attempts", ["browser", "created"], unique=False)
    op.create_index("ix_attempts_expires", "attempts", ["expires"], unique=False)
    op.create_index("ix_attempts_user", "attempts", ["tenant", "user_id"], unique=False)
    op.create_index("uq_attempts_id", "attempts", ["id"], unique=True)
    op.create_table(
        "logins",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("step", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sso_connection", sa.String(length=36), nullable=True),
        sa.Column("user_id", sa.String(length=36), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.Column("reference", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_logins_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_logins"),
    )
    op.create_index("ix_logins_user", "logins", ["tenant", "user_id", "id"], unique=False)
    op.create_table(
        "logout_tokens",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("sso_connection", sa.String(length=36), nullable=False),
        sa.Column("jti_hash", sa.String(length=64), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_logout_tokens_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "sso_connection", "jti_hash", name="pk_logout_tokens"),
    )
    op.create_index("ix_logout_tokens_expires", "logout_tokens", ["expires"], unique=False)
    op.create_table(
        "mails",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("due", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_mails_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_mails"),
    )
    op.create_index("ix_mails_due", "mails", ["due"], unique=False)
    op.create_table(
        "receipts",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("door", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("sessions", sa.Integer(), nullable=False),
        sa.Column("tokens", sa.Integer(), nullable=False),
        sa.Column("links", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_receipts_tenant_tenants"),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_receipts"),
    )
    op.create_index("ix_receipts_user", "receipts", ["tenant", "user_id", "id"], unique=False)
    op.create_table(
        "accounts",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_set", sa.Text(), nullable=True),
        sa.Column("locked_from", sa.Text(), nullable=True),
        sa.Column("locked_until", sa.Text(), nullable=True),
        sa.Column("lock_reason", sa.Text(), nullable=True),
        sa.Column("locked_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "id"],
            ["resources.tenant", "resources.id"],
            name="fk_accounts_tenant_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_accounts"),
    )
    op.create_table(
        "links",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.Column("used", sa.Text(), nullable=True),
        sa.Column("revoked", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"],
            ["resources.tenant", "resources.id"],
            name="fk_links_tenant_user_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_links"),
    )
    op.create_index("ix_links_user", "links", ["tenant", "user_id"], unique=False)
    op.create_index("uq_links_id", "links", ["id"], unique=True)
    op.create_table(
        "personal_tokens",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=True),
        sa.Column("revoked", sa.Text(), nullable=True),
        sa.Column("last_used", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"],
            ["resources.tenant", "resources.id"],
            name="fk_personal_tokens_tenant_user_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_personal_tokens"),
    )
    op.create_index("ix_personal_tokens_user", "personal_tokens", ["tenant", "user_id"], unique=False)
    op.create_index("uq_personal_tokens_id", "personal_tokens", ["id"], unique=True)
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("sso_connection", sa.String(length=36), nullable=True),
        sa.Column("subject", sa.Text(), nullable=True),
        sa.Column("idp_sid", sa.Text(), nullable=True),
        sa.Column("id_token", sa.Text(), nullable=True),
        sa.Column("auth_time", sa.Text(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("last_seen", sa.Text(), nullable=False),
        sa.Column("expires", sa.Text(), nullable=False),
        sa.Column("revoked", sa.Text(), nullable=True),
        sa.Column("ended_by", sa.Text(), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("agent", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"],
            ["resources.tenant", "resources.id"],
            name="fk_sessions_tenant_user_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_expires", "sessions", ["expires"], unique=False)
    op.create_index("ix_sessions_subject", "sessions", ["tenant", "sso_connection", "subject"], unique=False)
    op.create_index("ix_sessions_user", "sessions", ["tenant", "user_id"], unique=False)
    op.create_index("uq_sessions_secret_hash", "sessions", ["secret_hash"], unique=True)
    op.create_table(
        "sso_connections",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("connection", sa.String(length=36), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("client_secret", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=True),
        sa.Column("keys", sa.Text(), nullable=True),
        sa.Column("fetched", sa.Text(), nullable=True),
        sa.Column("keys_fetched", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "connection"],
            ["connections.tenant", "connections.id"],
            name="fk_sso_connections_tenant_connection_connections",
        ),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_sso_connections"),
    )
    op.create_index("ix_sso_connections_client", "sso_connections", ["issuer", "client_id"], unique=False)
    op.create_index("uq_sso_connections_connection", "sso_connections", ["tenant", "connection"], unique=True)
    op.create_index("uq_sso_connections_id", "sso_connections", ["id"], unique=True)
    op.create_table(
        "identities",
        sa.Column("tenant", sa.String(length=36), nullable=False),
        sa.Column("sso_connection", sa.String(length=36), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("user_id", sa.String(length=36), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("pairwise", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("linked", sa.Text(), nullable=False),
        sa.Column("last_email", sa.Text(), nullable=True),
        sa.Column("last_used", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant", "sso_connection"],
            ["sso_connections.tenant", "sso_connections.id"],
            name="fk_identities_tenant_sso_connection_sso_connections",
        ),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"],
            ["resources.tenant", "resources.id"],
            name="fk_identities_tenant_user_id_resources",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant", "sso_connection", "subject", name="pk_identities"),
    )
    op.create_index("ix_identities_user", "identities", ["tenant", "user_id"], unique=False)
    op.create_index("uq_identities_user", "identities", ["tenant", "sso_connection", "user_id"], unique=True)
    op.add_column("connections", sa.Column("removed", sa.Text(), nullable=True))
    op.drop_index("uq_connections_tenant_name", table_name="connections")
    op.create_index(
        "uq_connections_living_name",
        "connections",
        ["tenant", "name"],
        unique=True,
        sqlite_where=sa.text("removed IS NULL"),
        postgresql_where=sa.text("removed IS NULL"),
    )
    op.add_column("resources", sa.Column("guarded", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("tenants", sa.Column("access_group", sa.String(length=36), nullable=True))


def downgrade() -> None:
    for table in (
        "identities",
        "sso_connections",
        "sessions",
        "personal_tokens",
        "links",
        "accounts",
        "receipts",
        "mails",
        "logout_tokens",
        "logins",
        "attempts",
        "throttles",
    ):
        op.drop_table(table)
    op.drop_index("uq_connections_living_name", table_name="connections")
    op.execute("DELETE FROM tokens WHERE connection IN (SELECT id FROM connections WHERE removed IS NOT NULL)")
    op.execute("DELETE FROM connections WHERE removed IS NOT NULL")
    for table, column in (("connections", "removed"), ("resources", "guarded"), ("tenants", "access_group")):
        op.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
    op.create_index("uq_connections_tenant_name", "connections", ["tenant", "name"], unique=True)
