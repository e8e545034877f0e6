"""Canaries: after every kind of login no secret stands in a log line, a page, a metric or a row (rule S17).

What must be had again lies sealed, what must be recognised as a hash, and what a login carries to its callback
only until it is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from werkzeug.test import TestResponse

from scim_server.directory import links, minting, passwords
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.engine import Database
from scim_server.directory.store.tables import metadata
from scim_server.directory.store.transaction import write
from scim_server.directory.vault import Vault
from sso.providers.oidc import OpenIdProvider
from tests.directory.desk import rows
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE, Trouble
from tests.running import House
from tests.sso import credentials
from tests.sso.visiting import LOOPBACK, Visitor, add_login

ADA = "ada@example.com"
CLIENT_SECRET = "canary-client-secret"
PASSWORD = "canary horse battery staple"
WRONG_PASSWORD = "canary of somebody who mistyped"
TOLD = ("audit_records", "events", "logins", "receipts", "mails")
"""What is written to be read."""


class Keeping(Visitor):
    """A browser that keeps every page it was shown."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.pages: list[TestResponse] = []

    def get(self, path: str, **rest: Any) -> TestResponse:
        self.pages.append(super().get(path, **rest))
        return self.pages[-1]

    def post(self, path: str, page: str = "/logout", /, **fields: str) -> TestResponse:
        self.pages.append(super().post(path, page, **fields))
        return self.pages[-1]

    def cookie(self, name: str) -> str:
        found = self.browser.get_cookie(name)
        assert found is not None
        return found.value


class Stage:
    """A house, a provider that remembers, and all secrets that came to pass between them, by what they are."""

    def __init__(self, house: House, provider: HostileProvider) -> None:
        self.house, self.provider = house, provider
        provider.client_secret = CLIENT_SECRET
        provider.tamper = self._issued
        self.id_tokens: list[str] = []
        self.sso = add_login(house, provider.issuer, client=("rp", CLIENT_SECRET))
        self.scim = house.client(connection="idp")
        self.ada: str = self.scim.user(ADA)["id"]
        self.visitors: list[Keeping] = []
        self.secrets: dict[str, str] = {
            "client secret": CLIENT_SECRET,
            "server key": house.settings.secret_key,
            "SCIM token": str(self.scim.token),
        }

    def _issued(self, token: str) -> str:
        self.id_tokens.append(token)
        return token

    def visitor(self) -> Keeping:
        self.visitors.append(Keeping(self.house, self.provider.authorize))
        return self.visitors[-1]

    def remember(self, which: str, **found: str) -> None:
        self.secrets |= {f"{name} of the {which}": value for name, value in found.items()}

    def try_login(self, which: str) -> tuple[Keeping, TestResponse]:
        """Go all the way, and remember every secret that there was on it."""
        visitor = self.visitor()
        answer = visitor.log_in(self.sso)
        asked = self.provider.seen["authorize"].query
        told = {name: asked[name] for name in ("state", "nonce")} | {"code": list(self.provider.grants)[-1]}
        told |= {"browser": visitor.cookie("scim_browser")}
        if answer.status_code == 303:
            told["session"] = visitor.cookie("scim_session")
        if "token" in self.provider.seen:
            told["verifier"] = self.provider.seen["token"].form["code_verifier"]
        if self.provider.access:
            told["access_token"] = list(self.provider.access)[-1]
        if self.id_tokens:
            told["id_token"] = self.id_tokens[-1]
            told["signature"] = self.id_tokens[-1].rpartition(".")[2]
        self.remember(which, **told)
        return visitor, answer

    def turn(self, knobs: Mapping[str, Any]) -> None:
        for name, value in knobs.items():
            setattr(self.provider, name, value)

    def link(self, which: str) -> str:
        """A password link's text."""
        with write(self.house.database, at_command_line(self.house.tenant.id)) as tx:
            text = links.issue(tx, self.ada)[0]
        self.remember(which, text=text)
        return text

    def pages(self) -> str:
        """Every page that anybody was shown; a redirect, which carries a login on its way, is none."""
        shown = [each for visitor in self.visitors for each in visitor.pages if each.status_code != 303]
        return "\n".join(each.text for each in shown)

    def found_in(self, text: str) -> list[str]:
        """The names of the secrets that stand in a text."""
        return [name for name, value in self.secrets.items() if value in text]


def dump(database: Database, *tables: str) -> str:
    """All rows of tables, or of all there are, as text."""
    names = tables or tuple(metadata.tables)
    return "\n".join(f"{name}: {row}" for name in names for row in rows(database, f"SELECT * FROM {name}"))


@pytest.fixture
def stage(database_url: str) -> Iterator[Stage]:
    house = House(database_url, provider_networks=LOOPBACK, secret_key="canary-server-key-" + "0" * 32)
    with HostileProvider() as provider:
        yield Stage(house, provider)
    house.close()


# ----------------------------------------------------------------------------------------------------------- the story


def logs_in(stage: Stage) -> None:
    visitor, answer = stage.try_login("good login")
    assert answer.status_code == 303
    assert visitor.log_in(stage.sso).status_code == 303
    stage.remember("renewed login", session=visitor.cookie("scim_session"))


REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "stranger": ({"person": {"sub": "u9", "email": "eve@example.com", "email_verified": True}}, 403),
    "wrong nonce": ({"claims": {"nonce": "another"}}, 400),
    "missing id_token": ({"token_reply": {"id_token": REMOVE}}, 400),
    "provider's no": ({"callback": {"error": "access_denied"}}, 403),
    "broken token endpoint": ({"transport": {"token": Trouble(status=500)}}, 400),
    "reply of nonsense": ({"transport": {"token": Trouble(body=f"<p>{CLIENT_SECRET}")}}, 400),
    "error that repeats us": ({"token_reply": {"error": "x", "error_description": CLIENT_SECRET}}, 400),
    "broken userinfo": ({"transport": {"userinfo": Trouble(cut=0)}}, 400),
}


def is_refused(stage: Stage) -> None:
    """By the account, by the token, by the provider and by the network."""
    for which, (knobs, status) in REFUSED.items():
        before = {name: getattr(stage.provider, name) for name in knobs}
        stage.turn(knobs)
        _, answer = stage.try_login(which)
        assert answer.status_code == status, which
        stage.turn(before)


def meets_what_nobody_foresaw(stage: Stage) -> None:
    """In the midst of the secrets; the traceback is logged."""

    def broken(*_: Any) -> None:
        raise RuntimeError("unforeseen")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OpenIdProvider, "_checked", broken)
        _, answer = stage.try_login("failure")
    assert answer.status_code == 500


def uses_passwords(stage: Stage) -> None:
    path = f"/password/{stage.link('used link')}"
    visitor = stage.visitor()
    form = {"csrf_token": visitor.form_token(), "password": PASSWORD}
    for status in (303, 404):
        visitor.pages.append(visitor.browser.post(path, data=form))
        assert visitor.pages[-1].status_code == status
    stage.remember("set password", password=PASSWORD, session=visitor.cookie("scim_session"))
    visitor = stage.visitor()
    for password, status in ((WRONG_PASSWORD, 401), (PASSWORD, 303)):
        assert visitor.post("/login", "/login", username=ADA, password=password).status_code == status
    stage.remember("password login", mistyped=WRONG_PASSWORD, session=visitor.cookie("scim_session"))
    assert visitor.post("/logout").location == "/logout/done"
    stage.link("unused link")


def uses_tokens(stage: Stage) -> None:
    house = stage.house
    personal = credentials.personal_token(house.database, house.tenant.id, stage.ada)
    logout = stage.provider.logout_token()
    stage.remember("person", token=personal)
    stage.remember("provider", logout_token=logout)
    anybody = house.app.test_client()
    for bearer, status in ((personal, 200), (personal[:-1], 401)):
        assert anybody.get("/auth/verify", headers={"Authorization": f"Bearer {bearer}"}).status_code == status
    for status in (200, 400):
        answer = anybody.post(f"/sso/{stage.sso.id}/backchannel-logout", data={"logout_token": logout})
        assert answer.status_code == status


def is_ended(stage: Stage) -> None:
    assert not stage.scim.patch(f"/Users/{stage.ada}", {"op": "replace", "value": {"active": False}}).json["active"]


def test_no_secret_is_told_or_kept(stage: Stage, capfd: pytest.CaptureFixture[str]) -> None:
    for step in (logs_in, is_refused, meets_what_nobody_foresaw, uses_passwords, uses_tokens, is_ended):
        step(stage)

    log = "".join(capfd.readouterr())
    assert log.count('"event":"login"') > len(REFUSED)
    assert "unforeseen" in log
    assert stage.found_in(log) == []

    assert "under the code below" in stage.pages()
    assert stage.found_in(stage.pages()) == []

    metrics = stage.house.app.test_client().get("/metrics").text
    assert "scim_server_logins_total" in metrics
    assert stage.found_in(metrics) == []

    for table in TOLD:
        rows_of_it = dump(stage.house.database, table)
        assert rows_of_it, f"{table} was not even written"
        assert stage.found_in(rows_of_it) == [], table
    assert stage.found_in(dump(stage.house.database)) == []


def test_what_is_kept_is_a_hash_or_sealed(stage: Stage) -> None:
    for step in (logs_in, uses_passwords, uses_tokens):
        step(stage)
    database, vault = stage.house.database, Vault(stage.house.settings.secret_key)
    hashes = {row[0] for row in rows(database, "SELECT secret_hash FROM sessions")}
    for which in ("good login", "renewed login", "set password", "password login"):
        assert minting.hashed(stage.secrets[f"session of the {which}"]) in hashes
    for kind, table, which in (
        ("user", "personal_tokens", "token of the person"), ("link", "links", "text of the unused link"),
    ):  # fmt: skip
        named = minting.read(kind, stage.secrets[which])
        assert named in rows(database, f"SELECT id, secret_hash FROM {table}")
    [(password_hash,)] = rows(database, "SELECT password_hash FROM accounts")
    assert passwords.matches(password_hash, PASSWORD)
    [(client_secret,)] = rows(database, "SELECT client_secret FROM sso_connections")
    assert vault.open(client_secret) == CLIENT_SECRET
    sealed = [row[0] for row in rows(database, "SELECT id_token FROM sessions WHERE id_token IS NOT NULL")]
    assert sorted(vault.open(each) for each in sealed) == sorted(stage.id_tokens)


def test_a_login_on_its_way_keeps_nonce_and_verifier_until_it_is_there(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    asked = stage.provider.seen["authorize"].query
    [row] = rows(stage.house.database, "SELECT * FROM attempts")
    assert asked["nonce"] in str(row)
    for secret in (asked["state"], visitor.cookie("scim_browser"), CLIENT_SECRET):
        assert secret not in dump(stage.house.database)
    stage.provider.transport["token"] = Trouble(status=500)
    assert visitor.get(callback).status_code == 400
    verifier = stage.provider.seen["token"].form["code_verifier"]
    assert verifier in str(row)
    left = dump(stage.house.database)
    assert not [each for each in (asked["nonce"], verifier) if each in left], "burned, though it came to nothing"


def test_a_secret_would_be_seen(stage: Stage) -> None:
    """The canaries sing: each place that is searched is one where they would be found."""
    logs_in(stage)
    session = stage.secrets["session of the good login"]
    told = "UPDATE logins SET agent = :secret WHERE id IN (SELECT max(id) FROM logins) RETURNING id"
    rows(stage.house.database, told, secret=f"x {session}")
    for tables in (("logins",), ()):
        assert stage.found_in(dump(stage.house.database, *tables)) == ["session of the good login"]
