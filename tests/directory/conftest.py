"""What the tests of the directory stand on: a database, and the desks of two tenants in it."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine

from scim_server.directory.store.engine import Database
from tests.directory.credentials import SETTINGS
from tests.directory.desk import Desk
from tests.running import House


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


@pytest.fixture(scope="module")
def homes(module_database_url: str) -> Iterator[tuple[House, House]]:
    """Two processes of the server on one database."""
    one, other = House(module_database_url, **SETTINGS), House(module_database_url, **SETTINGS)
    yield one, other
    one.close()
    other.close()


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, until a test moves it."""
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller
