"""What a person may hold, and the doors at which it is shown: session, personal token, link, half-done logins."""

import functools
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from flask import Flask

from scim_server.cli import main
from scim_server.directory import (
    accounts,
    attempts,
    connections,
    ending,
    identities,
    links,
    minting,
    passwords,
    personal_tokens,
    sessions,
    sso_connections,
    standing,
)
from scim_server.directory.actor import at_command_line
from scim_server.directory.identities import Proof
from scim_server.directory.sessions import Lifetimes, Origin
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from scim_server.directory.store.engine import Statement
from scim_server.directory.store.transaction import Tx, read, write
from sso.providers.base import Redeemed
from tests.running import House

SETTINGS: Any = {"tenancy_mode": "multi", "secret_key": "a key that is long enough for tests"}
"""Of a house in which each test has a tenant of its own."""
PASSWORD = "a heron reads 9 maps"
ISSUER = "https://idp.example"

_TENANT_OF = Statement("SELECT r.tenant FROM resources r WHERE r.id = :id")


class Browser:
    """A browser at one application: it keeps cookies, and sends the form token with what it posts."""

    def __init__(self, app: Flask, **cookies: str) -> None:
        self.client = app.test_client()
        page = self.client.get("/login").get_data(as_text=True)
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', page)
        assert found, page
        self.form_token = found[1]
        for name, value in cookies.items():
            self.client.set_cookie(f"scim_{name}", value)

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, path: str, **form: str) -> Any:
        return self.client.post(path, data={"csrf_token": self.form_token, **form})

    def status(self, path: str) -> int:
        return int(self.get(path).status_code)

    def posted(self, path: str, **form: str) -> int:
        return int(self.post(path, **form).status_code)

    @property
    def session(self) -> str:
        """The secret of the session that the browser was given last."""
        cookie = self.client.get_cookie("scim_session")
        assert cookie is not None
        return str(cookie.value)


def with_session(app: Flask, secret: str, path: str) -> int:
    """The answer to a session's cookie."""
    client = app.test_client()
    client.set_cookie("scim_session", secret)
    return int(client.get(path).status_code)


def with_token(app: Flask, token: str, path: str) -> int:
    """The answer to a personal token."""
    return int(app.test_client().get(path, headers={"Authorization": f"Bearer {token}"}).status_code)


@dataclass(frozen=True)
class Held:
    """All that one person holds. A half-done login is the browser's cookie and its state."""

    sessions: Sequence[str]
    through_provider: str  # a session too, opened by the connection
    tokens: Sequence[str]
    link: str
    confirm: tuple[str, str]
    choices: Sequence[tuple[str, str]]
    verify: str  # where an application asks about people of this tenant

    @property
    def every_session(self) -> tuple[str, ...]:
        return (*self.sessions, self.through_provider)


COUNTS = {"sessions": 3, "tokens": 2, "links": 1, "attempts": 1}
"""What a receipt says of all that ``Person.hold`` gives."""


class Person:
    """Somebody in a tenant of their own, with a password, and with a subject at the tenant's provider."""

    def __init__(self, house: House, name: str, tenant: str = "", *, password: bool = True, **attributes: Any) -> None:
        self.house, self.name = house, name
        self.tenant_name = tenant or name.partition("@")[0]
        self.verify = f"/auth/verify/{self.tenant_name}"
        self.scim = house.client("main", tenant=self.tenant_name)
        self.id: str = self.scim.user(name, **attributes)["id"]
        [[self.tenant]] = house.database.run(_TENANT_OF, {"id": self.id}).rows
        with self.write() as tx:
            connection = connections.ensure(tx, "main")
            self.sso = sso_connections.of(tx, connection) or login(tx, "main")
            if password:
                accounts.set_password(tx, self.id, password_hash())
            identities.link(tx, self.sso.id, self.proof, standing.hold(tx, self.id).user, "by hand")

    @property
    def proof(self) -> Proof:
        return Proof(f"subject of {self.name}", ISSUER)

    @contextmanager
    def write(self) -> Iterator[Tx]:
        with write(self.house.database, at_command_line(self.tenant)) as tx:
            yield tx

    def look(self) -> Tx:
        return read(self.house.database, at_command_line(self.tenant))

    def open(self, **origin: Any) -> str:
        """A session, by its secret."""
        with self.write() as tx:
            return opened(tx, self.id, **origin)

    def token(self, *, expires_in: timedelta | None = None) -> str:
        with self.write() as tx:
            return personal_tokens.issue(tx, self.id, "script", expires_in=expires_in)[0]

    def link(self) -> str:
        with self.write() as tx:
            return links.issue(tx, self.id)[0]

    def half_done(self, stage: str) -> tuple[str, str]:
        """A login that waits for the account's password, or for a choice."""
        browser = minting.opaque()
        data: dict[str, Any] = {"target": "/me", "redeemed": asdict(Redeemed(self.proof))}
        with self.write() as tx:
            person = standing.hold(tx, self.id)
            if stage == attempts.CHOOSE:
                data["among"] = {self.sso.id: (person.epoch, self.sso.version)}
                return browser, attempts.start(tx, browser, stage, data, sso_connection=self.sso.id)
            data |= {"name": self.name, "version": self.sso.version}
            started = attempts.start(tx, browser, stage, data, sso_connection=self.sso.id, user_id=self.id)
            return browser, started

    def hold(self) -> Held:
        """One of everything, of some two."""
        return Held(
            sessions=(self.open(), self.open()),
            through_provider=self.open(method="sso", sso_connection=self.sso.id, subject=self.proof.subject),
            tokens=(self.token(), self.token(expires_in=timedelta(days=1))),
            link=self.link(),
            confirm=self.half_done(attempts.CONFIRM),
            choices=(self.half_done(attempts.CHOOSE), self.half_done(attempts.CHOOSE)),
            verify=self.verify,
        )

    def receipts(self) -> list[dict[str, Any]]:
        return ending.receipts_of(self.look(), self.id)


def opened(tx: Tx, user_id: str, *, lifetimes: Lifetimes | None = None, **origin: Any) -> str:
    """A session of somebody, by its secret."""
    person = standing.hold(tx, user_id)
    return sessions.open_for(tx, person, Origin(**{"method": "password", **origin}), lifetimes or Lifetimes())


def login(tx: Tx, name: str) -> SsoConnection:
    """The login half of a connection, at a provider that is never asked."""
    return sso_connections.create(
        tx, connections.ensure(tx, name), "oidc",
        issuer=ISSUER, client_id=name, client_secret="sealed", settings=SsoSettings(),
    )  # fmt: skip


def chosen(app: Flask, person: Person, waiting: tuple[str, str]) -> Any:
    """The answer to a choice."""
    browser, state = waiting
    return Browser(app, browser=browser).post("/select-account", state=state, account=person.sso.id)


def confirmed(app: Flask, waiting: tuple[str, str], password: str = PASSWORD) -> Any:
    """The answer to the account's password, which a login waited for."""
    browser, state = waiting
    return Browser(app, browser=browser).post("/login/confirm", state=state, password=password)


def standing_of(app: Flask, held: Held) -> dict[str, set[int]]:
    """What everything that is held is answered with, where showing it uses nothing up."""
    half_done = [
        Browser(app, browser=browser).status(f"/select-account?state={state}") for browser, state in held.choices
    ]
    browser, state = held.confirm
    return {
        "session": {with_session(app, each, held.verify) for each in held.every_session},
        "token": {with_token(app, each, held.verify) for each in held.tokens},
        "link": {Browser(app).status(f"/password/{held.link}")},
        "confirm": {Browser(app, browser=browser).status(f"/login/confirm?state={state}")},
        "choose": set(half_done),
    }  # fmt: skip


GOOD = {"session": {200}, "token": {200}, "link": {200}, "confirm": {200}, "choose": {200}}


def redeemed(app: Flask, person: Person, held: Held, waiting: tuple[str, str]) -> dict[str, set[int]]:
    """What it is answered with when somebody goes on with it; of the choices, ``waiting`` is used up."""
    return {
        "session": {with_session(app, each, path) for each in held.every_session for path in (held.verify, "/me")},
        "token": {with_token(app, each, path) for each in held.tokens for path in (held.verify, "/me")},
        "link": {Browser(app).posted(f"/password/{held.link}", password="another good one, 7 of them")},
        "confirm": {confirmed(app, held.confirm).status_code},
        "choose": {chosen(app, person, waiting).status_code},
    }


REFUSED = {"session": {401}, "token": {401}, "link": {404}, "confirm": {400}, "choose": {403}}


@functools.cache
def password_hash() -> str:
    """The hash of PASSWORD; it takes long to make."""
    return passwords.hashed(PASSWORD)


def program(database_url: str, folder: Path, *arguments: str) -> Result:
    """``scim-server`` in this process, whatever its exit status."""
    environment = {"SCIM_SERVER_DATABASE_URL": database_url, "SCIM_SERVER_DATA_DIR": str(folder)}
    result = CliRunner().invoke(main, arguments, env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
