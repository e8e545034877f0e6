"""What the views of the login work with: settings, database, network and key, one of each per application."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from threading import BoundedSemaphore
from typing import Any, Protocol
from urllib.parse import urlsplit

from flask import current_app, g, request

from scim_server.config import Settings
from scim_server.directory import local_login, sessions, sso_connections, tenants
from scim_server.directory.actor import Actor
from scim_server.directory.logins import Visit
from scim_server.directory.sessions import Lifetimes, Session
from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx, read, write
from scim_server.directory.vault import Vault

from . import cookies
from .errors import LoginRefused, Sentence
from .network import Network, ProviderBusy
from .noise import Noise
from .providers.base import Desk

_EXTENSION = "scim_server.login"
_SESSION = "scim_server.session"


class Observer(Protocol):
    """Whoever counts and logs logins."""

    def login(self, visit: Visit, outcome: str, step: str, reason: str) -> None:
        """Called once for each login that succeeded or was refused."""

    def alarm(self, event: str, request_id: str) -> None:
        """Called for what an operator wants to be woken for, such as ``break_glass.used``."""

    def page_failed(self, request_id: str) -> None:
        """Called inside an ``except`` for what nobody foresaw."""


@dataclass(frozen=True)
class LoginDoor:
    """The login of one application."""

    settings: Settings
    database: Database
    network: Network
    vault: Vault
    observer: Observer
    noise: Noise = field(default_factory=Noise)

    @property
    def multi(self) -> bool:
        """Whether a person may have an account in several tenants."""
        return self.settings.tenancy_mode == "multi"

    @cached_property
    def lifetimes(self) -> Lifetimes:
        return Lifetimes(
            timedelta(minutes=self.settings.session_idle_minutes), timedelta(hours=self.settings.session_hours)
        )

    @cached_property
    def default_tenant(self) -> str:
        return tenants.ensure_default(self.database).id

    def passwords_work(self, tx: Tx, *, guarded: bool) -> bool:
        """Whether a password lets somebody of a tenant in."""
        return local_login.may_use_password(tx, self.settings.password_local_login, guarded=guarded)

    def passwords_offered(self) -> str:
        """How the login page shows the password form: ``open``, ``folded`` for break-glass accounts alone, or not."""
        policy = self.settings.password_local_login
        if policy == local_login.OFF:
            return ""
        if policy == local_login.EVERYONE or self.multi:
            return "open"
        return "folded" if local_login.is_enforced(self.read(self.default_tenant)) else "open"

    def desk(self, sso: SsoConnection) -> Desk:
        return Desk(sso, self.database, self.network, self.vault)

    def read(self, tenant: str) -> Tx:
        return read(self.database, _actor(tenant))

    @contextmanager
    def write(self, tenant: str, actor: Actor | None = None) -> Iterator[Tx]:
        with write(self.database, actor or _actor(tenant), request_id=request_id(), begun=g.get("begun")) as tx:
            yield tx

    def connections(self) -> list[SsoConnection]:
        """The login connections that a visitor may choose from."""
        if self.multi:
            return sso_connections.anywhere(self.database)
        return sso_connections.every(self.read(self.default_tenant))

    def connection(self, identifier: str) -> SsoConnection:
        """The login connection of a path. Raises LoginRefused."""
        found = sso_connections.find(self.database, identifier)
        if found is None:
            raise LoginRefused("connection", "unknown", Sentence.NOTHING)
        return found

    @cached_property
    def _hashing(self) -> BoundedSemaphore:
        return BoundedSemaphore(max(1, self.settings.threads // 2))

    @contextmanager
    def checking_password(self) -> Iterator[None]:
        """While a password is hashed or waits for its turn: half of the threads stay free for everybody else."""
        if not self._hashing.acquire(blocking=False):
            raise LoginRefused("password", "crowded", Sentence.CROWDED)
        try:
            yield
        finally:
            self._hashing.release()

    @contextmanager
    def at_provider(self) -> Iterator[None]:
        """While a provider is asked: only so many at once, so that a slow one holds up nobody else."""
        try:
            slot = self.network.slot()
            slot.__enter__()
        except ProviderBusy:
            raise LoginRefused("network", "busy", Sentence.BUSY) from None
        try:
            yield
        finally:
            slot.__exit__(None, None, None)


def the_door() -> LoginDoor:
    """The login of the application that answers this request."""
    door: LoginDoor = current_app.extensions[_EXTENSION]
    return door


def hang(extensions: dict[str, Any], door: LoginDoor) -> None:
    """Make a door the one of an application."""
    extensions[_EXTENSION] = door


def root() -> str:
    """Our address as browsers reach it, without a slash at the end."""
    configured: str = the_door().settings.base_url
    return (configured or request.host_url.rstrip("/")) + request.root_path.rstrip("/")


def host() -> str:
    """The host and port of that address."""
    return urlsplit(root()).netloc


def request_id() -> str:
    """What this request is called in the log, and in what a visitor is told."""
    if "request_id" not in g:
        g.request_id = secrets.token_hex(4)
    found: str = g.request_id
    return found


def visit(method: str, sso: SsoConnection | None = None) -> Visit:
    """From where this request comes, for the login log."""
    agent = request.headers.get("User-Agent", "")
    halves = (sso.id, sso.connection) if sso else (None, None)
    return Visit(method, request.remote_addr or "", agent, request_id(), *halves)


def current_session() -> Session | None:
    """The session of the browser that asks, if it counts; looked up once per request."""
    known = request.environ  # and not ``g``, which a test of somebody's application may keep over several requests
    if _SESSION not in known:
        secret = cookies.read(cookies.SESSION)
        door = the_door()
        known[_SESSION] = session = sessions.find(door.database, secret, door.lifetimes) if secret else None
        if session is not None:
            sessions.note_seen(door.database, session)
    found: Session | None = known[_SESSION]
    return found


def _actor(tenant: str) -> Actor:
    return Actor(tenant=tenant, door="sso", name="login")
