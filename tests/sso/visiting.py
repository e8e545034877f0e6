"""A visitor at the login: a browser of the test's own on a house, and the connections that it logs in through."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

from werkzeug.test import TestResponse

from scim_server import config
from scim_server.directory import connections, logins, sso_connections
from scim_server.directory.actor import at_command_line
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from scim_server.directory.store.transaction import read, write
from scim_server.directory.vault import Vault
from tests.running import House

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
"""For ``House(url, provider_networks=LOOPBACK)``: the tests' providers live here."""


def add_login(
    house: House,
    issuer: str,
    *,
    kind: str = "oidc",
    name: str = "idp",
    tenant: str | None = None,
    client: tuple[str, str] = ("rp", "rp-secret"),
    **settings: Any,
) -> SsoConnection:
    """Give a tenant a login connection, as ``scim-server connection add`` does."""
    vault = Vault(config.server_key(house.settings))
    with write(house.database, at_command_line(tenant or house.tenant.id)) as tx:
        held = connections.ensure(tx, name)
        return sso_connections.create(
            tx, held, kind, issuer=issuer, client_id=client[0], client_secret=vault.seal(client[1]),
            settings=SsoSettings(**settings),
        )  # fmt: skip


class Visitor:
    """One browser. ``provider`` turns an authorization URL into the callback URL that the provider sends it to."""

    def __init__(self, house: House, provider: Callable[[str], str] | None = None) -> None:
        self.house, self.provider = house, provider
        self.browser = house.app.test_client()

    def get(self, path: str, **rest: Any) -> TestResponse:
        return self.browser.get(path, **rest)

    def post(self, path: str, page: str = "/logout", /, **fields: str) -> TestResponse:
        """Send a form, with the token that a page of ours carries."""
        return self.browser.post(path, data={"csrf_token": self.form_token(page), **fields})

    def form_token(self, page: str = "/logout") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page).text)
        if found is None:
            found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/login").text)
        assert found is not None
        return found[1]

    def start(self, sso: SsoConnection, target: str = "/me") -> TestResponse:
        """Press the connection's button."""
        return self.post(f"/login/{sso.id}", f"/login/{sso.id}", redirect=target)

    def sent_back(self, sso: SsoConnection, target: str = "/me") -> str:
        """Press the button and go through the provider, up to the callback: its path and query."""
        started = self.start(sso, target)
        assert started.status_code == 303, started.text
        assert self.provider is not None
        return local(self.provider(started.headers["Location"]))

    def log_in(self, sso: SsoConnection, target: str = "/me") -> TestResponse:
        """The whole way; the answer is what the callback says. Where the start is refused, the answer to that."""
        started = self.start(sso, target)
        if started.status_code != 303:
            return started
        assert self.provider is not None
        return self.get(local(self.provider(started.headers["Location"])))

    @property
    def is_in(self) -> bool:
        """Whether this browser holds a session that counts."""
        return self.get("/me").status_code == 200


def local(url: str) -> str:
    """Path and query of a URL of ours."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def log_of(house: House) -> list[dict[str, Any]]:
    """The login log of the default tenant, newest first."""
    return logins.latest(read(house.database, at_command_line(house.tenant.id)))
