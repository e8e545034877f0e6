"""Alembic's entry: connects to the URL it is handed and runs the revisions in one transaction."""

from alembic import context
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from scim_server.directory.store.tables import metadata

_LOCK = 7_643_7_644  # any fixed number: only one machine migrates at a time

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        transactional_ddl=True,
    )
    with context.begin_transaction():
        if connection.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        context.run_migrations()
    connection.commit()
engine.dispose()
