"""Alembic's entry: connects to the URL it is handed and runs the revisions in one transaction."""

from typing import Any

from alembic import context
from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from scim_server.directory.store.tables import metadata

_LOCK = 7_643_7_644  # any fixed number: only one machine migrates at a time

engine = create_engine(context.config.attributes["url"], poolclass=NullPool)
if engine.dialect.name == "sqlite":  # BEGIN is ours, so that a second program that starts at once waits for the first

    @event.listens_for(engine, "connect")
    def _autocommit(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


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
