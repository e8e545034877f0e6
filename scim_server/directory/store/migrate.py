"""The schema of the database: Alembic, driven from code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from sqlalchemy.exc import DatabaseError  # with all its kinds, such as a file that is no database
from sqlalchemy.pool import NullPool

from ..errors import SchemaMismatch, Unavailable
from .engine import Database, Statement, normal_url

_SCRIPTS = Path(__file__).parent / "migrations"
_CURRENT = Statement("SELECT version_num FROM alembic_version")


def _config(url: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes["url"] = normal_url(url)
    return config


def head() -> str:
    """The revision that this program knows."""
    found = ScriptDirectory(str(_SCRIPTS)).get_current_head()
    assert found is not None
    return found


def current(url: str) -> str | None:
    """The revision that the database is at; None for an empty one. Raises Unavailable."""
    parsed = normal_url(url)
    if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").exists():
        return None
    engine = create_engine(parsed, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except DatabaseError as error:
        raise Unavailable(f"The database cannot be reached: {_plain(error)}") from error
    finally:
        engine.dispose()


def upgrade(url: str) -> None:
    """Bring the database to ``head()``, creating it where it is an SQLite file.

    Raises SchemaMismatch when it is at a revision unknown here: a newer program has been at it.
    """
    parsed = normal_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        _make_private(Path(parsed.database))
    refuse_newer(url)
    try:
        command.upgrade(_config(url), "head")
    except DatabaseError as error:
        raise Unavailable(f"The database cannot be changed: {_plain(error)}") from error


def _make_private(file: Path) -> None:
    """The database's file, readable by nobody else: it holds people and the hashes of tokens."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not file.exists():
            file.touch(mode=0o600)
    except OSError as error:
        raise Unavailable(f"{file} cannot be made: {error.strerror}. See SCIM_SERVER_DATA_DIR.") from error


def refuse_newer(url: str) -> None:
    """Raise SchemaMismatch when the database is at a revision that this program does not know."""
    found = current(url)
    known = {script.revision for script in ScriptDirectory(str(_SCRIPTS)).walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The database is at revision {found}, which this version does not know. Install the version that wrote it."
        )


def at_head(database: Database) -> bool:
    """Whether the database has the schema of this program; one statement."""
    try:
        row: Any = database.run(_CURRENT, {}).fetchone()
    except (Unavailable, database.programming_error) as error:
        if "alembic_version" in str(error.__cause__ or error):  # there is no such table: nothing was made yet
            return False
        raise
    return row is not None and row[0] == head()


def _plain(error: DatabaseError) -> str:
    return str(error.orig).strip().splitlines()[0]
