"""What every test stands on: no network, none of the caller's settings, and fresh migrated databases."""

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url

from tests import postgres
from tests.running import House, Scim

DIALECTS = ("sqlite", "postgresql")


@pytest.fixture(scope="session", autouse=True)
def _sealed() -> Iterator[None]:
    """Sockets reach this machine only, and SCIM_SERVER_* of the caller's shell reaches no test."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("SCIM_SERVER_")]:
            patch.delenv(name)
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(connect: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, address: Any) -> Any:
        if self.family != socket.AF_UNIX and not _is_loopback(str(address[0])):
            # Not an OSError, which a client would take for an ordinary failure and swallow.
            raise RuntimeError(f"a test wanted to connect to {address}: only this machine is allowed")
        return connect(self, address)

    return guarded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.Postgres]:
    """One server for each xdist worker, started by the first test that asks: about a second."""
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres.serve())
        except postgres.NoPostgres as reason:
            # Skipped PostgreSQL tests must not pass for green where somebody relies on them.
            if os.environ.get("CI"):
                pytest.fail(str(reason), pytrace=False)
            pytest.skip(str(reason))
        yield server


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    _migrate(f"sqlite:///{path}")
    assert not path.with_name("template.db-wal").exists(), "upgrade() left a connection open: a copy would be torn"
    return path


@pytest.fixture(scope="session")
def postgres_template(postgres_server: postgres.Postgres) -> Iterator[str]:
    """The name of a migrated PostgreSQL database, to be copied."""
    with postgres_server.database() as url:
        _migrate(url)
        yield str(make_url(url).database)


def _migrate(url: str) -> None:
    from scim_server.directory.store.migrate import upgrade  # here, so that tests of the law need no database

    upgrade(url)


@pytest.fixture(params=DIALECTS)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A fresh migrated database of this test's own; the test runs once for each dialect."""
    with _copy(request, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=DIALECTS)
def module_database_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, shared by a module: for tests that only read, or each make a tenant of their own."""
    with _copy(request, tmp_path_factory.mktemp("module")) as url:
        yield url


def _copy(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[str]:
    # By name, so that a run of the SQLite half alone starts no PostgreSQL.
    if request.param == "sqlite":
        return _copied_file(request.getfixturevalue("sqlite_template"), folder / "test.db")
    template = request.getfixturevalue("postgres_template")
    server: postgres.Postgres = request.getfixturevalue("postgres_server")
    return server.database(template)


@contextmanager
def _copied_file(template: Path, path: Path) -> Iterator[str]:
    shutil.copyfile(template, path)
    yield f"sqlite:///{path}"


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """The application on a fresh database, once for each dialect."""
    opened = House(database_url)
    yield opened
    opened.close()


@pytest.fixture
def scim(house: House) -> Scim:
    """A tolerant client of the default tenant."""
    return house.client()
