"""The schema: what the revisions make is what the tables say, on both databases, back and forth."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.pool import NullPool

from scim_server.directory.errors import SchemaMismatch, Unavailable
from scim_server.directory.store import migrate
from scim_server.directory.store.engine import Database, normal_url
from scim_server.directory.store.tables import metadata
from tests.directory.desk import rows

INDEXES = {  # Alembic compares neither what is partial nor, on SQLite, what is unique
    "uq_resources_living_name": ("UNIQUE", "tenant, kind, name", "deleted IS NULL"),
    "ix_resources_living": ("", "tenant, kind, id", "deleted IS NULL"),
    "ix_memberships_nested": ("", "tenant, group_id, member_id", "member_kind = 'Group'"),
    "ix_memberships_member": ("", "tenant, member_id, group_id", ""),
    "ix_external_ids_value": ("", "tenant, connection, value", ""),
    "ix_entries_prefix": ("", "tenant, attribute, prefix", ""),
    "uq_tokens_id": ("UNIQUE", "id", ""),
    "uq_connections_living_name": ("UNIQUE", "tenant, name", "removed IS NULL"),
    "uq_sso_connections_id": ("UNIQUE", "id", ""),
    "uq_sso_connections_connection": ("UNIQUE", "tenant, connection", ""),
    "ix_sso_connections_client": ("", "issuer, client_id", ""),
    "uq_identities_user": ("UNIQUE", "tenant, sso_connection, user_id", ""),
    "ix_identities_user": ("", "tenant, user_id", ""),
    "uq_sessions_secret_hash": ("UNIQUE", "secret_hash", ""),
    "ix_sessions_user": ("", "tenant, user_id", ""),
    "ix_sessions_subject": ("", "tenant, sso_connection, subject", ""),
    "ix_sessions_expires": ("", "expires", ""),
    "uq_personal_tokens_id": ("UNIQUE", "id", ""),
    "ix_personal_tokens_user": ("", "tenant, user_id", ""),
    "uq_links_id": ("UNIQUE", "id", ""),
    "ix_links_user": ("", "tenant, user_id", ""),
    "uq_attempts_id": ("UNIQUE", "id", ""),
    "ix_attempts_browser": ("", "browser, created", ""),
    "ix_attempts_user": ("", "tenant, user_id", ""),
    "ix_attempts_expires": ("", "expires", ""),
    "ix_logout_tokens_expires": ("", "expires", ""),
    "ix_logins_user": ("", "tenant, user_id, id", ""),
    "ix_receipts_user": ("", "tenant, user_id, id", ""),
    "ix_throttles_since": ("", "since", ""),
    "ix_mails_due": ("", "due", ""),
    "ix_audit_records_target": ("", "tenant, target, id", ""),
}


def inside(url: str, look: Callable[[Any], Any]) -> Any:
    """Look at a database through SQLAlchemy."""
    engine = create_engine(normal_url(url), poolclass=NullPool)
    with engine.begin() as connection:
        found = look(connection)
    engine.dispose()
    return found


def tables(url: str) -> set[str]:
    return set(inside(url, lambda connection: inspect(connection).get_table_names()))


def at(url: str, revision: str) -> None:
    """Pretend that another version of the program has been at the database."""
    inside(url, lambda connection: connection.execute(text(f"UPDATE alembic_version SET version_num = '{revision}'")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    """The URL of an SQLite file that does not exist yet."""
    return f"sqlite:///{tmp_path}/new.db"


def test_the_revisions_make_what_the_tables_say(database_url: str) -> None:
    def differences(connection: Any) -> Any:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)

    assert inside(database_url, differences) == []


def test_every_index_is_made_as_meant(database_url: str) -> None:
    database = Database(database_url)
    source = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    if not database.is_sqlite:
        source = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT LIKE 'pk_%'"
    made = {name: sql.replace("::text", "").replace('"', "") for name, sql in rows(database, source)}
    database.close()
    assert set(made) - {"uq_tenants_name", "alembic_version_pkc"} == set(INDEXES)
    for name, (unique, columns, where) in INDEXES.items():
        assert ("UNIQUE" in made[name]) == bool(unique), made[name]
        assert f"({columns})" in made[name]
        assert where in made[name].replace("(member_kind)", "member_kind")
        assert ("WHERE" in made[name]) == bool(where), made[name]


def test_text_that_is_ordered_sorts_by_code_point(database_url: str) -> None:
    names = ["Z", "a", "z", "\u00e9", "\ufffd", "\U0001f600"]
    database = Database(database_url)
    listed = " UNION ALL ".join(f"SELECT '{name}' AS value" for name in reversed(names))
    order = "value" if database.is_sqlite else 'value COLLATE "C"'
    assert [row[0] for row in rows(database, f"SELECT value FROM ({listed}) v ORDER BY {order}")] == names
    if not database.is_sqlite:
        sql = "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE collation_name = 'C'"
        assert {"resources.name", "entries.value", "external_ids.value"} <= {row[0] for row in rows(database, sql)}
    database.close()


def test_an_upgrade_creates_file_and_folder(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/some/folder/new.db"
    assert migrate.current(url) is None
    assert list(tmp_path.iterdir()) == [], "to look does not create anything"
    migrate.upgrade(url)
    assert migrate.current(url) == migrate.head()
    assert tables(url) == {*metadata.tables, "alembic_version"}


def test_an_upgrade_of_what_is_up_to_date_changes_nothing(database_url: str) -> None:
    before = tables(database_url)
    migrate.upgrade(database_url)
    assert tables(database_url) == before
    assert migrate.current(database_url) == migrate.head()


def test_a_downgrade_leaves_nothing_and_can_be_taken_back(database_url: str) -> None:
    command.downgrade(migrate._config(database_url), "base")
    assert tables(database_url) == {"alembic_version"}
    assert migrate.current(database_url) is None
    migrate.upgrade(database_url)
    assert tables(database_url) == {*metadata.tables, "alembic_version"}


def test_a_database_that_a_newer_version_wrote_is_left_alone(database_url: str) -> None:
    at(database_url, "9999")
    with pytest.raises(SchemaMismatch, match=r"at revision 9999, which this version does not know\. Install"):
        migrate.upgrade(database_url)
    assert migrate.current(database_url) == "9999"


def test_the_server_sees_whether_the_schema_is_its_own(database_url: str) -> None:
    database = Database(database_url)
    assert migrate.at_head(database)
    at(database_url, "0000")
    assert not migrate.at_head(database)
    rows(database, "DELETE FROM alembic_version")
    assert not migrate.at_head(database)
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, file: str) -> Iterator[str]:
    """A database in which nothing has been made yet."""
    if request.param == "sqlite":
        yield file
    else:
        with request.getfixturevalue("postgres_server").database() as url:
            yield url


def test_an_empty_database_is_seen_as_one(empty: str) -> None:
    assert migrate.current(empty) is None
    database = Database(empty)
    assert not migrate.at_head(database)
    database.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://nobody@127.0.0.1:1/nothing",
        "postgresql:///nothing?host=/nonexistent",
        "sqlite:////dev/null/nothing/new.db",
        "sqlite:////proc/nothing.db",
    ],
)
def test_a_database_out_of_reach_is_told_in_one_line(url: str) -> None:
    with pytest.raises(Unavailable) as told:
        migrate.upgrade(url)
    assert "\n" not in str(told.value)


def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("Dear diary, this is not a database at all." * 100)
    with pytest.raises(Unavailable, match="file is not a database"):
        migrate.upgrade(f"sqlite:///{tmp_path}/notes.db")


def test_sqlite_is_kept_as_we_mean_it(file: str) -> None:
    """Durable, with foreign keys: each connection must be told, and a file remembers only WAL."""
    migrate.upgrade(file)
    database = Database(file)
    settings = {name: rows(database, f"PRAGMA {name}") for name in ("journal_mode", "synchronous", "foreign_keys")}
    assert settings == {"journal_mode": [("wal",)], "synchronous": [(2,)], "foreign_keys": [(1,)]}
    database.close()
    quick = Database(file, sqlite_synchronous="NORMAL")
    assert rows(quick, "PRAGMA synchronous") == [(1,)]
    quick.close()
    assert sqlite3.sqlite_version_info >= (3, 40)


def test_programs_that_start_at_once_on_a_new_sqlite_file_all_find_it_made(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "SCIM_SERVER_DATA_DIR": str(tmp_path / "var")}
    command = [sys.executable, "-c", "from scim_server.cli import main; main()", "db", "upgrade"]
    started = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(4)]
    assert [each.wait(60) for each in started] == [0, 0, 0, 0]
