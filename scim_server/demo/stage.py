"""The whole demo: a folder, the server, the provider, the people and the desk; each cleared away at the end."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import requests

from .. import config
from ..directory import accounts, connections, sso_connections, tenants, tokens
from ..directory.actor import at_command_line
from ..directory.errors import Refused, Unavailable
from ..directory.sso_connections import SsoSettings
from ..directory.store import migrate
from ..directory.store.engine import Database
from ..directory.store.transaction import write
from ..directory.vault import Vault
from . import company, desk, finding, provider, web
from .acting import Actor
from .finding import Running
from .sender import Sender

Tell = Callable[[str], None]

_MARK = "this-is-a-demo"
_LOG = "server.log"
_PATIENCE = 60  # seconds that the server may take to start, or to stop
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def play(port: int, data_dir: Path | None, tell: Tell, announce: Callable[[Running], None]) -> None:
    """Run the demo until it is told to stop. Raises Refused, Unavailable.

    The provider and the desk listen at the two ports after the server's; 0 is three free ones. A ``data_dir`` that is
    named stays.
    """
    with _interruptible(), ExitStack() as stack:
        try:
            process = _raise(stack, port, data_dir, tell, announce)
            process.wait()
            raise Unavailable("The demo's server ended by itself.")
        except KeyboardInterrupt:
            tell("Stopping …")


def _raise(
    stack: ExitStack, port: int, data_dir: Path | None, tell: Tell, announce: Callable[[Running], None]
) -> subprocess.Popen[bytes]:
    """Start everything, in the order in which one part needs another."""
    _refuse_taken(port)
    places = [stack.enter_context(web.served(port and port + number)) for number in (1, 2)]
    folder = stack.enter_context(_folder(data_dir))
    environment = _environment(folder, port or _free_port())
    settings = config.load(environment)
    root = f"http://{web.HOST}:{settings.port}"
    migrate.upgrade(settings.database)
    database = Database(settings.database)
    stack.callback(database.close)
    stack.enter_context(provider.running(places[0], (root, f"http://localhost:{settings.port}")))
    token = _connect(database, settings, places[0].url)
    tell("Starting the server …")
    process = stack.enter_context(_server(environment, folder / _LOG, root))
    sender = Sender(root, token)
    stack.callback(sender.close)
    _fill(sender, database, tell)
    addresses = {"server": root, "provider": places[0].url}
    stack.enter_context(desk.running(places[1], Actor(sender, database), addresses))
    running = Running(
        os.getpid(), root, places[0].url, places[1].url, str(settings.data_dir), settings.database, token
    )  # fmt: skip
    stack.enter_context(finding.noted(running))
    announce(running)
    return process


@contextmanager
def _interruptible() -> Iterator[None]:
    """Whoever says stop is heard once; what follows is cleared away in peace."""

    def stop(*_: Any) -> None:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, stop) for each in _SIGNALS}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _folder(data_dir: Path | None) -> Iterator[Path]:
    """The folder of the data. Raises Refused for one with something else in it: the people are pushed into it."""
    if data_dir is None:
        with tempfile.TemporaryDirectory(prefix="scim-server-demo-") as made:
            yield Path(made)
        return
    folder = data_dir.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()) and not (folder / _MARK).exists():
            raise Refused(f"The folder {data_dir} holds something else; the demo wants an empty one or its own.")
        (folder / _MARK).touch()
    except OSError as error:
        raise Refused(f"The folder {data_dir} cannot be used: {error.strerror}.") from None
    yield folder


def _environment(folder: Path, port: int) -> dict[str, str]:
    """The server's settings: none of the caller's, whose database is not for invented people."""
    rest = {name: value for name, value in os.environ.items() if not name.startswith(config.PREFIX)}
    return rest | {
        "SCIM_SERVER_DATA_DIR": str(folder),
        "SCIM_SERVER_HOST": web.HOST,
        "SCIM_SERVER_PORT": str(port),
        "SCIM_SERVER_PROVIDER_NETWORKS": "127.0.0.0/8,::1/128",
        "SCIM_SERVER_PASSWORD_LOCAL_LOGIN": "off",
    }


def _connect(database: Database, settings: config.Settings, issuer: str) -> str:
    """Make the one connection that people are pushed by and log in with; returns its SCIM token."""
    tenant = tenants.ensure_default(database)
    secret = Vault(config.server_key(settings)).seal(secrets.token_urlsafe())
    with write(database, at_command_line(tenant.id)) as tx:
        held = connections.ensure(tx, company.CONNECTION)
        token, _ = tokens.issue(tx, held, "demo", expires_in=timedelta(days=1))
        login = sso_connections.of(tx, held)
        if login is None:
            sso_connections.create(
                tx, held, "oidc", issuer=issuer, client_id=provider.CLIENT_ID, client_secret=secret,
                settings=SsoSettings(domains=(company.DOMAIN,)),
            )  # fmt: skip
        else:  # of an earlier demo in this folder, whose provider had other keys and perhaps another port
            sso_connections.change(tx, login, issuer=issuer, client_secret=secret)
    return token


@contextmanager
def _server(environment: dict[str, str], log: Path, root: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program itself, in a process of its own, until the block ends. Raises Unavailable."""
    command = [sys.executable, "-P", "-c", "from scim_server.cli import main; main()", "run"]
    with log.open("ab") as file:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        _wait_for(process, root, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], root: str, log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < until:
        with requests.Session() as session, suppress(requests.RequestException):
            session.trust_env = False
            if session.get(f"{root}/readyz", timeout=2).ok:
                return
        time.sleep(0.1)
    told = log.read_text("utf-8", errors="replace").strip().rpartition("\n")[2]
    raise Unavailable(f"The demo's server did not start: {told or 'it said nothing'}")


def _fill(sender: Sender, database: Database, tell: Tell) -> None:
    """Push everybody through SCIM, and make an admin, which SCIM cannot."""
    tell(f"Pushing {len(company.people())} people by SCIM …")
    ids = sender.push()
    with write(database, at_command_line(tenants.ensure_default(database).id)) as tx:
        accounts.set_role(tx, ids[company.ADA.username], "admin")


def _refuse_taken(port: int) -> None:
    with web.served(port):
        pass


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((web.HOST, 0))
        return int(probe.getsockname()[1])
