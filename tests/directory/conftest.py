"""What the tests of the directory stand on: a database, and the desks of two tenants in it."""

from collections.abc import Iterator

import pytest

from scim_server.directory.store.engine import Database
from tests.directory.desk import Desk


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def ours(database: Database) -> Desk:
    """The tenant that a test is about."""
    return Desk(database, "ours")


@pytest.fixture
def theirs(database: Database) -> Desk:
    """The tenant on the other side of the wall."""
    return Desk(database, "theirs")
