"""Full logins and logouts at providers that others wrote: oidc-provider-mock, Canaille, and panva's oidc-provider.

The last shares no code with us and is certified; it delivers back-channel logout to the real program.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import oidc_provider_mock
import pytest
from pytest_iam import Server as Canaille

from scim_server.directory import sso_connections
from scim_server.directory.actor import at_command_line
from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.engine import Statement
from scim_server.directory.store.transaction import write
from scim_server.directory.vault import Vault
from tests.directory.desk import rows
from tests.idp import node
from tests.idp.serving import ask
from tests.running import House, free_port, serve
from tests.sso.remote import Remote
from tests.sso.visiting import LOOPBACK, Visitor, add_login, local, log_of

ADA, EVE = "ada@example.com", "eve@example.com"
ASKED = 16
"""So many fresh connections, and each of two workers was asked at least once."""


class Elsewhere(Protocol):
    """An independent provider, where Ada and Eve have accounts."""

    issuer: str
    settings: dict[str, Any]  # what a connection with it needs for its word to count

    def register(self, client: tuple[str, str], redirect_uri: str, back: str) -> None:
        """Make a client: id and secret, where a login leads back to, and where a logout does."""

    def sit(self, who: str) -> None:
        """Who sits at a fresh browser from now on, by address."""

    def authorize(self, url: str) -> str:
        """Visit an authorization URL and log in: the callback URL."""

    def logout(self, url: str) -> str:
        """Visit a logout URL and agree: where the browser is sent."""


# ----------------------------------------------------------------------------------------------------- three of a kind


class Mock:
    """oidc-provider-mock: takes any client, asks for a subject, checks no PKCE."""

    settings: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, port: int) -> None:
        self.issuer, self.who = f"http://localhost:{port}", ADA

    def register(self, client: tuple[str, str], redirect_uri: str, back: str) -> None:
        pass

    def sit(self, who: str) -> None:
        self.who = who

    def authorize(self, url: str) -> str:
        return ask(url, form={"sub": self.who}).headers["location"]

    def logout(self, url: str) -> str:
        page = ask(url).body.decode()
        action, back = re.search(r'action="([^"]+)"', page), re.search(r'name="redirect_uri" value="([^"]+)"', page)
        assert action, page
        assert back, page
        return ask(urljoin(url, action[1]), form={"redirect_uri": unescape(back[1])}).headers["location"]


class Iam:
    """Canaille in a thread: demands PKCE, names itself in the callback, lists ``none``, says nothing of verifying."""

    settings: dict[str, Any] = {"email_trust": "authoritative_domains", "domains": ("example.com",)}  # noqa: RUF012

    def __init__(self, server: Canaille) -> None:
        self.server, self.issuer = server, server.url.rstrip("/")
        self.people = {each: server.random_user(user_name=each.partition("@")[0], emails=[each]) for each in (ADA, EVE)}

    def register(self, client: tuple[str, str], redirect_uri: str, back: str) -> None:
        made = self.server.models.Client(
            client_id=client[0],
            client_secret=client[1],
            client_name="us",
            client_uri="http://localhost",
            redirect_uris=[redirect_uri],
            post_logout_redirect_uris=[back],
            grant_types=["authorization_code"],
            response_types=["code"],
            scope=["openid", "profile", "email"],
            token_endpoint_auth_method="client_secret_basic",
            client_id_issued_at=dt.datetime.now(dt.UTC),
        )
        self.server.backend.save(made)
        made.audience = [made]  # it must be known before it can be its own audience
        self.server.backend.save(made)
        for each in self.people.values():
            self.server.consent(each, made)

    def sit(self, who: str) -> None:
        self.server.login(self.people[who])

    def authorize(self, url: str) -> str:
        return ask(url).headers["location"]

    logout = authorize


class Certified:
    """panva's oidc-provider in Node."""

    settings: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, provider: node.NodeProvider) -> None:
        self.provider, self.issuer = provider, provider.issuer

    def register(self, client: tuple[str, str], redirect_uri: str, back: str, **metadata: Any) -> None:
        self.provider.client(*client, redirect_uris=[redirect_uri], post_logout_redirect_uris=[back], **metadata)

    def sit(self, who: str) -> None:
        self.provider.browser = node.Browser()
        self.provider.person(sub=f"sub-of-{who}", email=who, email_verified=True)

    def authorize(self, url: str) -> str:
        return self.provider.authorize(url)

    def logout(self, url: str) -> str:
        return self.provider.logout(url)


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    people = [oidc_provider_mock.User(sub=each, claims={"email": each, "email_verified": True}) for each in (ADA, EVE)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
        with oidc_provider_mock.run_server_in_thread(user_claims=people) as server:
            yield Mock(server.server_port)


@pytest.fixture(scope="session")
def iam_server_port() -> int:
    """Not portpicker's, which asks at every address of the machine."""
    return free_port()


@pytest.fixture(scope="module")
def canaille(request: pytest.FixtureRequest) -> Iterator[Iam]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # the plug-in sets it too, and leaves it
        yield Iam(request.getfixturevalue("iam_server"))


@pytest.fixture(scope="session")
def iam_server(iam_server: Canaille) -> Iterator[Canaille]:
    yield iam_server
    iam_server.httpd.shutdown()
    iam_server.httpd.server_close()  # which the plug-in leaves to the garbage collector


@pytest.fixture(scope="module")
def certified() -> Iterator[Certified]:
    try:
        with node.serve() as provider:
            yield Certified(provider)
    except node.NoNode as reason:
        # Where somebody relies on them, tests that were skipped must not pass for green.
        if os.environ.get("CI") and shutil.which("node"):
            pytest.fail(str(reason), pytrace=False)
        pytest.skip(str(reason))


# ----------------------------------------------------------------------------------------------------------- the stage


class Stage:
    """A house with a client of its own at the provider; Ada has an account, Eve has none."""

    def __init__(self, house: House, elsewhere: Elsewhere, **settings: Any) -> None:
        self.house, self.elsewhere = house, elsewhere
        client = (f"rp-{uuid.uuid4()}", "rp-secret")
        self.sso: SsoConnection = add_login(house, elsewhere.issuer, client=client, **(elsewhere.settings | settings))
        elsewhere.register(client, f"http://localhost/sso/{self.sso.id}/callback", "http://localhost/logout/done")
        elsewhere.sit(ADA)
        self.scim = house.client(connection="idp")
        self.ada: str = self.scim.user(ADA)["id"]

    def visitor(self) -> Visitor:
        return Visitor(self.house, self.elsewhere.authorize)

    def entered(self) -> Visitor:
        visitor = self.visitor()
        answer = visitor.log_in(self.sso)
        assert answer.status_code == 303, log_of(self.house)[0]
        assert visitor.is_in
        return visitor

    def refusal(self) -> str:
        visitor = self.visitor()
        answer = visitor.log_in(self.sso)
        assert 400 <= answer.status_code < 500, answer.status_code
        assert not visitor.is_in
        assert rows(self.house.database, "SELECT count(*) FROM sessions") == [(0,)]
        line = log_of(self.house)[0]
        return f"{line['step']} {line['reason']}"

    def sent_away(self) -> tuple[Visitor, str]:
        """Ada, logging out here: her browser, and the provider's URL that it is sent to."""
        visitor = self.entered()
        url = visitor.post("/logout").headers["Location"]
        assert url.startswith(f"{self.elsewhere.issuer}/"), url
        assert not visitor.is_in, "logged out here it is, before the provider is asked"
        return visitor, url


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    opened = House(database_url, provider_networks=LOOPBACK)
    yield opened
    opened.close()


@pytest.fixture(params=["mock", "canaille", "certified"])
def stage(request: pytest.FixtureRequest, house: House) -> Stage:
    return Stage(house, request.getfixturevalue(request.param))


@pytest.fixture(params=["canaille", "certified"])
def strict(request: pytest.FixtureRequest, house: House) -> Stage:
    """Only providers that check PKCE."""
    return Stage(house, request.getfixturevalue(request.param))


# --------------------------------------------------------------------------------------------------------------- login


def test_a_known_person_is_let_in_and_recognised(stage: Stage) -> None:
    first = stage.entered()
    assert first.get("/auth/verify").headers["Remote-User"] == ADA
    linked = rows(stage.house.database, "SELECT subject, user_id, method FROM identities")
    assert [(user, method) for _, user, method in linked] == [(stage.ada, "email")]
    second = stage.entered()
    assert first.is_in, "another browser ends no session"
    assert second.get("/auth/verify").headers["Remote-User"] == ADA
    assert rows(stage.house.database, "SELECT subject, user_id, method FROM identities") == linked
    assert rows(stage.house.database, "SELECT count(*) FROM attempts") == [(0,)]


def test_an_unknown_person_is_refused(stage: Stage) -> None:
    stage.elsewhere.sit(EVE)
    assert stage.refusal() == "account unknown"
    assert rows(stage.house.database, "SELECT count(*) FROM identities") == [(0,)]


def test_a_person_who_was_deactivated_is_refused(stage: Stage) -> None:
    visitor = stage.entered()
    stage.scim.patch(f"/Users/{stage.ada}", {"op": "replace", "value": {"active": False}})
    assert not visitor.is_in
    visitor.log_in(stage.sso)
    assert not visitor.is_in
    assert log_of(stage.house)[0]["reason"] == "inactive"


def test_the_provider_checks_the_verifier(strict: Stage) -> None:
    visitor = strict.visitor()
    callback = visitor.sent_back(strict.sso)
    [(data,)] = rows(strict.house.database, "SELECT data FROM attempts")
    spoiled = json.dumps(json.loads(data) | {"verifier": "x" * 64})
    strict.house.database.run(Statement("UPDATE attempts SET data = :data RETURNING id"), {"data": spoiled})
    assert visitor.get(callback).status_code == 400
    assert not visitor.is_in
    assert log_of(strict.house)[0]["step"] == "exchange"


def test_a_code_is_redeemed_once(strict: Stage) -> None:
    visitor = strict.visitor()
    callback = visitor.sent_back(strict.sso)
    assert visitor.get(callback).status_code == 303
    assert visitor.get(callback).status_code == 400
    assert visitor.is_in


def test_the_wrong_secret_is_refused(strict: Stage) -> None:
    wrong = Vault(strict.house.settings.secret_key).seal("another")
    with write(strict.house.database, at_command_line(strict.sso.tenant)) as tx:
        sso_connections.change(tx, strict.sso, client_secret=wrong)
    assert strict.refusal() == "exchange refused_by_provider"


def test_whoever_presses_cancel_is_not_let_in(house: House, certified: Certified) -> None:
    stage = Stage(house, certified)
    certified.provider.person()
    assert stage.refusal() == "provider access_denied"


# ------------------------------------------------------------------------------------------------------------ Canaille


def test_an_address_of_which_nothing_is_said_is_not_verified(house: House, canaille: Iam) -> None:
    stage = Stage(house, canaille, email_trust="verified_claim")
    assert stage.refusal() == "account email_unverified"


def test_a_subject_that_was_pushed_needs_no_address(house: House, canaille: Iam) -> None:
    stage = Stage(house, canaille, email_trust="none", domains=())
    assert stage.refusal() == "account not_trusted"
    stage.scim.user("countess@house.test", externalId="ada")
    assert stage.entered().get("/auth/verify").headers["Remote-User"] == "countess@house.test"


def test_a_provider_that_lists_none_signs_all_the_same(house: House, canaille: Iam) -> None:
    stage = Stage(house, canaille)
    stage.entered()
    [(metadata,)] = rows(house.database, "SELECT metadata FROM sso_connections")
    assert "none" in json.loads(metadata)["id_token_signing_alg_values_supported"]


# -------------------------------------------------------------------------------------------------------------- logout


def test_logout_leads_to_the_provider_and_back(stage: Stage) -> None:
    visitor, url = stage.sent_away()
    asked = {name: value for name, [value] in parse_qs(urlsplit(url).query).items()}
    assert asked.keys() == {"id_token_hint", "post_logout_redirect_uri", "client_id", "state"}
    back = stage.elsewhere.logout(url)
    assert back == f"http://localhost/logout/done?{urlencode({'state': asked['state']})}"
    assert visitor.get(local(back)).status_code == 200
    assert visitor.get(local(back)).status_code == 400, "once"


def test_a_way_back_with_another_state_is_refused(stage: Stage) -> None:
    visitor, url = stage.sent_away()
    back = local(stage.elsewhere.logout(url))
    assert visitor.get("/logout/done?state=guessed").status_code == 400
    assert stage.visitor().get(back).status_code == 400, "in another browser"
    assert visitor.get(back).status_code == 400, "and then no more at all"


def test_a_way_back_without_state_is_a_page_that_does_nothing(stage: Stage) -> None:
    visitor, url = stage.sent_away()
    stateless = re.sub(r"[&?]state=[^&]*", "", url)
    back = stage.elsewhere.logout(stateless)
    assert back == "http://localhost/logout/done"
    other = stage.entered()
    for each in (visitor, other):
        assert each.get("/logout/done").status_code == 200
    assert other.is_in


def test_the_session_at_the_provider_ends_too(house: House, certified: Certified) -> None:
    stage = Stage(house, certified)
    stage.entered()
    certified.provider.person()  # from now on nobody logs in there, but whoever is in stays so
    _, url = stage.sent_away()
    certified.logout(url)
    assert stage.visitor().log_in(stage.sso).status_code == 403
    assert log_of(house)[0]["reason"] == "access_denied"


def test_back_channel_logout_reaches_every_worker(database_url: str, tmp_path: Path, certified: Certified) -> None:
    """Delivered by the provider to the real program: two processes, and none lets the session in afterwards."""
    house = House(database_url)
    client = (f"rp-{uuid.uuid4()}", "rp-secret")
    sso = add_login(house, certified.issuer, client=client)
    for who in (ADA, EVE):
        house.client().user(who)
    networks = ",".join(map(str, LOOPBACK))
    with serve(database_url, tmp_path, secret_key=house.settings.secret_key, provider_networks=networks) as running:
        here = f"{running.root}/sso/{sso.id}"
        back_channel = {"backchannel_logout_uri": f"{here}/backchannel-logout"}
        certified.register(client, f"{here}/callback", f"{running.root}/logout/done", **back_channel)

        def entered() -> Remote:
            browser = Remote(running.root)
            assert browser.get(certified.authorize(browser.start(sso.id))).status == 303
            return browser

        def delivered() -> None:
            told = certified.provider.logouts()[-1]
            assert (told["client"], told["sub"], told.get("error")) == (client[0], f"sub-of-{ADA}", None)

        certified.sit(EVE)
        eve = entered()
        certified.sit(ADA)
        one, other = entered(), entered()  # in two browsers here, by one session there
        assert all(each.is_in for each in [one, other, eve] * ASKED), "in every worker"
        certified.logout(one.post("/logout").headers["location"])
        delivered()
        assert not any(each.is_in for each in [one, other] * ASKED), "in no worker"

        alone = entered()
        assert alone.is_in
        assert certified.logout(f"{certified.issuer}/session/end") == "", "there, without a word to us in the browser"
        delivered()
        assert not any(alone.is_in for _ in range(ASKED))
        assert all(eve.is_in for _ in range(ASKED))
    causes = rows(house.database, "SELECT ended_by FROM sessions WHERE subject = :ada", ada=f"sub-of-{ADA}")
    assert sorted(causes) == [("back-channel logout",), ("back-channel logout",), ("logged out",)]
    house.close()
