"""The sites that the browser visits, and the catalogue of their pages, each made ready to be looked at."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server

from scim_server.directory import (
    accounts,
    attempts,
    connections,
    links,
    passwords,
    sessions,
    sso_connections,
    standing,
    tenants,
    users,
)
from scim_server.directory.actor import at_command_line
from scim_server.directory.sessions import Lifetimes, Origin
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from scim_server.directory.store.transaction import write
from scim_server.directory.vault import Vault
from sso import pages
from sso.errors import Sentence
from tests.running import House, free_port

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
KEY = "0123456789abcdef" * 4
PASSWORD = "correct horse battery staple"
ADA = "ada@example.com"
LONG_NAME = "maximiliane.friederike.von-und-zu-hohenstein-waldburg@verwaltung.niederlassung-sued.example.com"
PEOPLE = (
    {"sub": "u-ada", "name": "Ada Lovelace", "email": ADA, "email_verified": True},
    {"sub": "u-unknown", "name": "Nobody", "email": "nobody@example.com", "email_verified": True},
)
_KHTML = "(KHTML, like Gecko)"
AGENTS = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 {_KHTML} Chrome/155.0.0.0 Safari/537.36 Edg/155.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605.1.15 {_KHTML} Version/19.1 Safari/604.1",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "curl/8.17.0",
    "",
)


class _Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        """Nothing: the tests look at the browser."""


class Site:
    """The application on a database of its own, served to browsers."""

    def __init__(self, database_url: str, *, https: bool = False, **settings: Any) -> None:
        port = free_port()
        self.root = f"{'https' if https else 'http'}://127.0.0.1:{port}"
        settings = {"secret_key": KEY, "provider_networks": LOOPBACK, "base_url": self.root} | settings
        self.house = House(database_url, **settings)
        self.database, self.tenant = self.house.database, self.house.tenant.id
        self.devices: list[str] = []  # secrets of sessions
        self._known: dict[str, str] = {}
        app = self.house.app

        @app.get("/sentences/<name>")
        def sentence(name: str) -> Any:
            return pages.guard(pages.message(Sentence[name]))

        @app.get("/broken")
        def broken() -> Any:
            raise RuntimeError("this page is broken")

        self._server = make_server(
            "127.0.0.1", port, app, threaded=True, request_handler=_Quiet, ssl_context="adhoc" if https else None
        )
        # A browser keeps lines open on which it asks nothing more: nobody waits for those.
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self.house.close()

    def write(self, tenant: str = "") -> Any:
        return write(self.database, at_command_line(tenant or self.tenant))

    def person(self, name: str = ADA, *, tenant: str = "", password: str = "", **attributes: Any) -> str:
        """Make a person and return their id."""
        with self.write(tenant) as tx:
            user_id = users.create(tx, {"userName": name, **attributes}).id
            if password:
                accounts.set_password(tx, user_id, passwords.hashed(password))
        return user_id

    def known(self, name: str, **attributes: Any) -> str:
        """The id of the person of this name, made when they are first asked for."""
        if name not in self._known:
            self._known[name] = self.person(name, **attributes)
        return self._known[name]

    def connect(self, name: str, issuer: str, *, tenant: str = "", **settings: Any) -> SsoConnection:
        """Make a login connection to a provider."""
        secret = Vault(KEY).seal("secret")
        with self.write(tenant) as tx:
            return sso_connections.create(
                tx, connections.ensure(tx, name), "oidc", issuer=issuer, client_id="us", client_secret=secret,
                settings=SsoSettings(**settings),
            )  # fmt: skip

    def link(self, user_id: str) -> str:
        """The path of a one-time link."""
        with self.write() as tx:
            text, _ = links.issue(tx, user_id, lasts=timedelta(hours=1))
        return f"/password/{text}"

    def session(self, user_id: str, agent: str = "", *, tenant: str = "", sso: SsoConnection | None = None) -> str:
        """Log a person in on some device; returns the secret that its browser holds."""
        method, through = ("sso", sso.id) if sso else ("password", None)
        origin = Origin(method, "2001:db8:85a3::8a2e:370:7334", agent, through, "u-ada" if sso else None)
        with self.write(tenant) as tx:
            return sessions.open_for(tx, standing.hold(tx, user_id), origin, Lifetimes())

    def attempt(self, stage: str, sso: SsoConnection, data: dict[str, Any], user_id: str | None = None) -> str:
        """Begin the second half of a login, for the browser whose cookie is ``scim_browser=me``."""
        proof = {"subject": "u-ada", "issuer": sso.issuer}
        data = {"target": "/me", "redeemed": {"proof": proof}, **data}
        with self.write() as tx:
            return attempts.start(tx, "me", stage, data, sso_connection=sso.id, user_id=user_id)


class Sites:
    """Sites by name, each made when it is first asked for, on a copy of a migrated SQLite file."""

    def __init__(self, template: Path, folder: Path, issuer: str) -> None:
        self.template, self.folder, self.issuer = template, folder, issuer
        self._made: dict[str, Site] = {}
        self._closing = ExitStack()

    def __getitem__(self, name: str) -> Site:
        if name not in self._made:
            self._made[name] = site = self.fresh(name, **SETTINGS.get(name, {}))
            self._closing.callback(site.close)
            FURNISHED[name](site, self.issuer)
        return self._made[name]

    def fresh(self, name: str, **settings: Any) -> Site:
        """A site with nobody and nothing in it; the caller closes it."""
        path = self.folder / f"{name}.db"
        shutil.copyfile(self.template, path)
        return Site(f"sqlite:///{path}", **settings)

    def close(self) -> None:
        self._closing.close()


def _connections(number: int) -> Callable[[Site, str], None]:
    names = (
        "Google", "Entra ID of the whole company", "github.com", "Bitbucket", "ADFS Süd", "الدخول الموحد",
        "a-very-long-connection-name-without-any-place-to-break-it-at-all", "Zitadel",
    )  # fmt: skip

    def furnish(site: Site, issuer: str) -> None:
        for name in names[:number]:
            site.connect(name, issuer)

    return furnish


def _enforced(site: Site, issuer: str) -> None:
    site.connect("Company", issuer, enforced=True)


def _two_tenants(site: Site, issuer: str) -> None:
    for name in ("Company", "A second company with quite a long name, Ltd."):
        tenant = tenants.create(site.database, name).id
        site.person(tenant=tenant)
        site.connect("Company", issuer, tenant=tenant, domains=("example.com",))


FURNISHED: dict[str, Callable[[Site, str], None]] = {
    "bare": _connections(0),
    "one": _connections(1),
    "three": _connections(3),
    "eight": _connections(8),
    "folded": _enforced,
    "no_passwords": _connections(0),
    "tenants": _two_tenants,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "no_passwords": {"password_local_login": "off"},
    "tenants": {"tenancy_mode": "multi"},
}


@dataclass
class Place:
    """Where a page is: its address, the cookies it wants, and what is filled in and sent there first."""

    url: str
    cookies: dict[str, str] = field(default_factory=dict)
    fill: dict[str, str] = field(default_factory=dict)
    open: str = ""  # a fold to open first
    press: str = ""

    @property
    def root(self) -> str:
        return "/".join(self.url.split("/")[:3])


Maker = Callable[[Sites], Place]


def _at(site: str, path: str) -> Maker:
    return lambda sites: Place(sites[site].root + path)


def _one_connection(sites: Sites) -> Place:
    site = sites["one"]
    return Place(f"{site.root}/login/{_only(site).id}")


def _only(site: Site) -> SsoConnection:
    return sso_connections.anywhere(site.database)[0]


def _wrong_password(site: str) -> Maker:
    fill = {"Username": LONG_NAME, "Password": "wrong"}
    fold = "Log in with a password" if site == "folded" else ""
    return lambda sites: Place(
        f"{sites[site].root}/login", fill=fill, open=fold, press="Log in with a password"
    )  # fmt: skip


def _confirm(*, wrong: bool) -> Maker:
    def make(sites: Sites) -> Place:
        site = sites["one"]
        user_id = site.known(LONG_NAME, password=PASSWORD)
        state = site.attempt(attempts.CONFIRM, _only(site), {"name": LONG_NAME, "version": 1}, user_id)
        url = f"{site.root}/login/confirm?state={state}"
        fill = {"Password of this account": "wrong"} if wrong else {}
        return Place(url, {"scim_browser": "me"}, fill, press="Connect and log in" if wrong else "")

    return make


def _choice(sites: Sites) -> Place:
    site = sites["tenants"]
    found = sso_connections.anywhere(site.database)
    state = site.attempt(attempts.CHOOSE, found[0], {"among": {each.id: (0, each.version) for each in found}})
    return Place(f"{site.root}/select-account?state={state}", {"scim_browser": "me"})


def _password_link(password: str = "") -> Maker:
    def make(sites: Sites) -> Place:
        site = sites["bare"]
        path = site.link(site.known(LONG_NAME))
        fill = {"New password": password} if password else {}
        return Place(site.root + path, fill=fill, press="Set the password" if password else "")

    return make


def _used_link(sites: Sites) -> Place:
    site = sites["bare"]
    user_id = site.known("used@example.com")
    first = site.link(user_id)
    site.link(user_id)
    return Place(site.root + first)


def _password_set(sites: Sites) -> Place:
    site = sites["folded"]
    return Place(
        site.root + site.link(site.known(ADA)), fill={"New password": PASSWORD}, press="Set the password"
    )  # fmt: skip


def _logged_in(path: str) -> Maker:
    def make(sites: Sites) -> Place:
        site = sites["one"]
        return Place(site.root + path, {"scim_session": site.session(site.known(LONG_NAME, password=PASSWORD))})

    return make


def _me(sites: Sites) -> Place:
    site = sites["three"]
    names = {"displayName": "Ada Lovelace", "emails": [{"value": LONG_NAME, "type": "work"}, {"value": ADA}]}
    user_id = site.known(ADA, **names)
    site.devices = site.devices or [site.session(user_id, each, sso=_only(site)) for each in AGENTS]
    return Place(f"{site.root}/me", {"scim_session": site.devices[1]})


PAGES: dict[str, Maker] = {
    "login with nothing set up": _at("no_passwords", "/login"),
    "login with passwords only": _at("bare", "/login"),
    "login with one connection": _at("one", "/login"),
    "login with three connections": _at("three", "/login"),
    "login that asks for an address first": _at("eight", "/login"),
    "login for an address": _at("eight", "/login?email=" + LONG_NAME),
    "login for an address of nobody": _at("tenants", "/login?email=" + LONG_NAME),
    "login with a folded password": _at("folded", "/login"),
    "login with a wrong password": _wrong_password("one"),
    "login with a wrong folded password": _wrong_password("folded"),
    "login through one connection": _one_connection,
    "confirm": _confirm(wrong=False),
    "confirm with a wrong password": _confirm(wrong=True),
    "select account": _choice,
    "password link": _password_link(),
    "password link with a weak password": _password_link("password1"),
    "password link that was used": _used_link,
    "password set": _password_set,
    "logout": _logged_in("/logout"),
    "logout of nobody": _at("bare", "/logout"),
    "logged out": _at("bare", "/logout/done"),
    "me": _me,
    "me on one device": _logged_in("/me"),
    "nothing outside the login": _at("bare", "/nowhere/at/all"),
    "nothing to get there": _at("bare", "/me/sessions"),
    "broken outside the login": _at("bare", "/broken"),
} | {f"sentence {each.name}": _at("bare", f"/sentences/{each.name}") for each in Sentence}


@contextmanager
def provider() -> Iterator[str]:
    """An independent provider in a process of its own; yields its issuer, which is another site than ours."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    for each in PEOPLE:
        command += ["--user-claims", json.dumps(each)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    rest = threading.Thread(target=process.stderr.read)
    try:
        said = next((line for line in process.stderr if b"running on" in line), None)
        assert said, "the provider did not start"
        rest.start()  # or the pipe would fill up
        yield f"http://localhost:{port}"
    finally:
        process.kill()
        process.wait()
        if rest.ident:
            rest.join()
        process.stderr.close()
