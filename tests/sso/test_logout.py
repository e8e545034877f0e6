"""Logout: here, at the provider and back, by the provider's back channel, and by Okta's Global Token Revocation.

The cases of facts 3.4 and their neighbours: each refused token is a good one with one thing changed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from scim_server.directory.vault import Vault
from tests.directory.desk import rows
from tests.idp import signing
from tests.idp.hostile import LOGOUT_EVENT, HostileProvider
from tests.idp.serving import REMOVE, Trouble
from tests.running import House
from tests.sso import credentials
from tests.sso.visiting import LOOPBACK, Visitor, add_login, local, log_of

ADA, BOB = "ada@example.com", "bob@example.com"
JSON = {"content_type": "application/json"}


class Stage:
    """Two people of one provider."""

    def __init__(self, house: House, provider: HostileProvider) -> None:
        self.house, self.provider = house, provider
        self.sso = add_login(house, provider.issuer)
        scim = house.client()
        self.ids: dict[str, str] = {each: scim.user(each)["id"] for each in (ADA, BOB)}
        self.anybody = house.app.test_client()

    def entered(self, who: str = ADA) -> Visitor:
        """A browser that is logged in through the provider, by a session of its own there."""
        self.provider.person = {"sub": f"sub-of-{who}", "email": who, "email_verified": True}
        visitor = Visitor(self.house, self.provider.authorize)
        assert visitor.log_in(self.sso).status_code == 303, log_of(self.house)[0]
        return visitor

    def by_password(self, who: str = ADA) -> Visitor:
        """A browser that is logged in without the provider."""
        visitor = Visitor(self.house)
        secret = credentials.session(self.house.database, self.house.tenant.id, self.ids[who])
        visitor.browser.set_cookie("scim_session", secret)
        return visitor

    def token(self, who: str = ADA) -> str:
        """A personal token."""
        return credentials.personal_token(self.house.database, self.house.tenant.id, self.ids[who])

    def counts(self, token: str) -> bool:
        answer = self.anybody.get("/auth/verify", headers={"Authorization": f"Bearer {token}"})
        return answer.status_code == 200

    # ------------------------------------------------------------------------------------ what the provider sends us

    def back_channel(self, token: str | list[str], **rest: Any) -> TestResponse:
        path = f"/sso/{self.sso.id}/backchannel-logout"
        return self.anybody.post(path, data={"logout_token": token}, **rest)

    def revocation_token(self, **changes: Any) -> str:
        """Okta's, by which it proves itself."""
        here = f"http://localhost/sso/{self.sso.id}/global-token-revocation"
        header, key, alg = (changes.pop(each, None) for each in ("header", "key", "alg"))
        claims = self.provider.base_claims() | {"aud": here, "jti": uuid.uuid4().hex} | changes
        known = {name: value for name, value in claims.items() if value is not REMOVE}
        return self.provider.mint(known, header=header, key=key, alg=alg, typ="global-token-revocation+jwt")

    def revoke(self, named: Any, token: str | None = None, **rest: Any) -> TestResponse:
        sent = {"Authorization": f"Bearer {token or self.revocation_token()}"}
        path = f"/sso/{self.sso.id}/global-token-revocation"
        return self.anybody.post(path, **{"data": json.dumps({"sub_id": named}), "headers": sent, **JSON, **rest})

    def subject(self, who: str = ADA) -> dict[str, str]:
        return {"format": "iss_sub", "iss": self.provider.issuer, "sub": f"sub-of-{who}"}


@pytest.fixture
def stage(database_url: str, provider: HostileProvider) -> Iterator[Stage]:
    house = House(database_url, provider_networks=LOOPBACK)
    yield Stage(house, provider)
    house.close()


# ----------------------------------------------------------------------------------------------- back-channel, good


def test_a_logout_token_ends_the_session_that_it_names(stage: Stage) -> None:
    bob, first, second = stage.entered(BOB), stage.entered(), stage.entered()
    inside, personal = stage.by_password(), stage.token()
    answer = stage.back_channel(stage.provider.logout_token())
    assert (answer.status_code, answer.data, answer.headers["Cache-Control"]) == (200, b"", "no-store")
    assert not second.is_in
    assert [each.is_in for each in (first, bob, inside)] == [True, True, True]
    assert stage.counts(personal)


def test_a_logout_token_without_sid_ends_all_of_a_person_there(stage: Stage) -> None:
    bob, first, second = stage.entered(BOB), stage.entered(), stage.entered()
    inside, personal = stage.by_password(), stage.token()
    assert stage.back_channel(stage.provider.logout_token(sid=REMOVE)).status_code == 200
    assert not first.is_in
    assert not second.is_in
    assert bob.is_in
    assert inside.is_in, "this session is no business of the provider's"
    assert stage.counts(personal), "only Global Token Revocation ends them"


def test_a_logout_token_with_sid_alone_is_enough(stage: Stage) -> None:
    first, second = stage.entered(), stage.entered()
    assert stage.back_channel(stage.provider.logout_token(sub=REMOVE)).status_code == 200
    assert (first.is_in, second.is_in) == (True, False)


def test_a_sid_that_nobody_knows_falls_back_to_the_person(stage: Stage) -> None:
    """The provider may name sessions otherwise than in its ID tokens: rather one session too many."""
    bob, ada = stage.entered(BOB), stage.entered()
    assert stage.back_channel(stage.provider.logout_token(sid="unheard-of")).status_code == 200
    assert (ada.is_in, bob.is_in) == (False, True)


def test_a_session_that_has_ended_is_known_still(stage: Stage) -> None:
    """A logout here leads to the provider, which then sends its token: the person's other devices stay."""
    phone, laptop = stage.entered(), stage.entered()
    laptop.post("/logout")
    assert stage.back_channel(stage.provider.logout_token()).status_code == 200
    assert phone.is_in


@pytest.mark.parametrize("claims", [{"sub": "nobody"}, {"sub": "nobody", "sid": REMOVE}, {"sub": REMOVE}], ids=str)
def test_a_logout_of_nobody_is_done(stage: Stage, claims: dict[str, Any]) -> None:
    """Back-Channel Logout 2.8: whoever is out already is out."""
    ada = stage.entered()
    assert stage.back_channel(stage.provider.logout_token(**{"sid": "unheard-of", **claims})).status_code == 200
    assert ada.is_in


def test_a_session_of_another_connection_stays(stage: Stage) -> None:
    """The same subject and the same sid at another provider are somebody else's."""
    with HostileProvider() as other:
        theirs = add_login(stage.house, other.issuer, name="other")
        ada = stage.entered()
        for sid in (stage.provider.last_sid, REMOVE):
            sent = {"logout_token": other.logout_token(sub=f"sub-of-{ADA}", sid=sid)}
            assert stage.anybody.post(f"/sso/{theirs.id}/backchannel-logout", data=sent).status_code == 200
        assert ada.is_in
        assert stage.back_channel(other.logout_token()).status_code == 400
        assert ada.is_in


def test_the_audit_tells_who_was_logged_out_and_why(stage: Stage) -> None:
    stage.entered()
    stage.back_channel(stage.provider.logout_token())
    sql = "SELECT target, after FROM audit_records WHERE action = 'session.revoked'"
    [(target, after)] = rows(stage.house.database, sql)
    assert (target, json.loads(after)["cause"]) == (stage.ids[ADA], "back-channel logout")


# -------------------------------------------------------------------------------------------- back-channel, refused

Forge = Callable[[HostileProvider], str]


def token(**changes: Any) -> Forge:
    """A logout token with one thing changed."""
    return lambda provider: provider.logout_token(**changes)


def listing(*algorithms: str, **changes: Any) -> Forge:
    """The same, from a provider that lists other algorithms."""

    def forge(provider: HostileProvider) -> str:
        provider.metadata = {"id_token_signing_alg_values_supported": list(algorithms)}
        return provider.logout_token(**changes)

    return forge


def at(**moments: float) -> Forge:
    """The same, with moments given in seconds from now."""
    return lambda provider: provider.logout_token(**{name: provider.now() + by for name, by in moments.items()})


REFUSED: dict[str, Forge] = {
    "alg none": token(alg="none", header={"kid": REMOVE}),
    "alg none, listed": listing("RS256", "none", alg="none", header={"kid": REMOVE}),
    "another algorithm": token(alg="PS256"),
    "an elliptic key that is not listed": token(key=signing.ec_key("k1")),
    "HS256 with our secret, listed": listing("RS256", "HS256", key=signing.shared_key(b"rp-secret", "k1")),
    "HS256 with the public key, listed": listing(
        "RS256", "HS256", key=signing.shared_key(signing.rsa_key("k1").pem, "k1")
    ),
    "a stranger's signature": token(key=signing.rsa_key("stranger").named("k1")),
    "signature altered": lambda provider: signing.altered(provider.logout_token()),
    "signature empty": lambda provider: provider.logout_token().rpartition(".")[0] + ".",
    "no token": lambda _: "x",
    "empty": lambda _: "",
    "typ missing": token(header={"typ": REMOVE}),
    "typ of any token": token(header={"typ": "JWT"}),
    "aud another": token(aud="other"),
    "aud us and another": token(aud=["rp", "other"]),
    "aud missing": token(aud=REMOVE),
    "iss another": token(iss="https://other.example"),
    "iss missing": token(iss=REMOVE),
    "azp another": token(azp="other"),
    "no events": token(events=REMOVE),
    "events empty": token(events={}),
    "another event": token(events={"http://schemas.openid.net/event/other": {}}),
    "event not an object": token(events={LOGOUT_EVENT: True}),
    "event in a list": token(events={LOGOUT_EVENT: [{}]}),
    "event null": token(events={LOGOUT_EVENT: None}),
    "events as text": token(events=LOGOUT_EVENT),
    "events in a list": token(events=[LOGOUT_EVENT]),
    "with nonce": token(nonce="n"),
    "with an empty nonce": token(nonce=""),
    "with nonce null": token(nonce=None),
    "expired": at(iat=-240, exp=-120),
    "exp missing": token(exp=REMOVE),
    "exp as text": token(exp="9999999999"),
    "exp three minutes after iat": at(iat=0, exp=180),
    "iat missing": token(iat=REMOVE),
    "iat ahead": at(iat=130, exp=190),
    "nbf ahead": at(nbf=130),
    "jti missing": token(jti=REMOVE),
    "jti empty": token(jti=""),
    "jti a number": token(jti=5),
    "neither sub nor sid": token(sub=REMOVE, sid=REMOVE),
    "sub a number": token(sub=5),
    "sub empty": token(sub=""),
    "sid null": token(sid=None),
    "an ID token": lambda provider: provider.id_token(),
    "an ID token that calls itself a logout token": lambda provider: provider.id_token(header={"typ": "logout+jwt"}),
}


@pytest.mark.parametrize("case", REFUSED)
def test_another_token_ends_nothing(stage: Stage, case: str) -> None:
    ada = stage.entered()
    if "listed" in case:
        stage.house.database.run_sql("UPDATE sso_connections SET fetched = NULL")
    answer = stage.back_channel(REFUSED[case](stage.provider))
    assert (answer.status_code, answer.headers["Cache-Control"]) == (400, "no-store")
    assert answer.get_json()["error"] == "invalid_request"
    assert ada.is_in
    assert stage.back_channel(stage.provider.logout_token()).status_code == 200, "it was that one thing"
    assert not ada.is_in


def test_a_logout_token_counts_once(database_url: str, stage: Stage) -> None:
    """In whichever process: two applications share the database."""
    other = House(database_url, provider_networks=LOOPBACK)
    told = stage.provider.logout_token(sid=REMOVE)
    assert stage.back_channel(told).status_code == 200
    ada = stage.entered()
    again = f"/sso/{stage.sso.id}/backchannel-logout"
    for app in (stage.house.app, other.app):
        answer = app.test_client().post(again, data={"logout_token": told})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (400, "no-store")
    other.close()
    assert ada.is_in


def test_the_same_jti_of_another_provider_is_another_token(stage: Stage) -> None:
    with HostileProvider() as evil:
        theirs = add_login(stage.house, evil.issuer, name="evil")
        ada = stage.entered()
        sent = {"logout_token": evil.logout_token(jti="taken")}
        assert stage.anybody.post(f"/sso/{theirs.id}/backchannel-logout", data=sent).status_code == 200
        assert stage.back_channel(stage.provider.logout_token(jti="taken")).status_code == 200
        assert not ada.is_in


def test_a_logout_token_comes_as_one_field_of_a_form(stage: Stage) -> None:
    ada, path = stage.entered(), f"/sso/{stage.sso.id}/backchannel-logout"
    one, two = stage.provider.logout_token(), stage.provider.logout_token()
    assert stage.back_channel([one, two]).status_code == 400
    assert stage.anybody.post(path, json={"logout_token": one}).status_code == 400
    assert stage.anybody.post(path, data=f"logout_token={one}", content_type="text/plain").status_code == 400
    assert stage.anybody.post(path, query_string={"logout_token": one}).status_code == 400
    assert stage.anybody.post(path).status_code == 400
    assert ada.is_in
    assert stage.back_channel(one).status_code == 200, "none of this took it"


@pytest.mark.parametrize("door", ["backchannel-logout", "global-token-revocation"])
def test_the_providers_doors_are_for_post(stage: Stage, door: str) -> None:
    ada = stage.entered()
    query = {"logout_token": stage.provider.logout_token()}
    for method in ("GET", "PUT", "DELETE"):
        answer = stage.anybody.open(f"/sso/{stage.sso.id}/{door}", method=method, query_string=query)
        assert answer.status_code == 405
    assert stage.anybody.post(f"/sso/{uuid.uuid4()}/{door}").status_code == 404
    assert ada.is_in


def test_a_provider_without_openid_sends_no_logout_tokens(stage: Stage) -> None:
    hub = add_login(stage.house, stage.provider.base, kind="github", name="hub", base_url=stage.provider.base)
    ada, sent = stage.entered(), {"logout_token": stage.provider.logout_token()}
    assert stage.anybody.post(f"/sso/{hub.id}/backchannel-logout", data=sent).status_code == 400
    headers = {"Authorization": f"Bearer {stage.revocation_token()}"}
    body = {"sub_id": stage.subject()}
    answer = stage.anybody.post(f"/sso/{hub.id}/global-token-revocation", json=body, headers=headers)
    assert answer.status_code == 401
    assert ada.is_in


# ------------------------------------------------------------------------------------------ Global Token Revocation


@pytest.mark.parametrize("by", ["subject", "email"])
def test_global_token_revocation_ends_sessions_and_tokens(stage: Stage, by: str) -> None:
    bob, ada, inside = stage.entered(BOB), stage.entered(), stage.by_password()
    mine, theirs = stage.token(), stage.token(BOB)
    named = stage.subject() if by == "subject" else {"format": "email", "email": "ADA@Example.com"}
    answer = stage.revoke(named)
    assert (answer.status_code, answer.data) == (204, b"")
    assert not ada.is_in
    assert not inside.is_in
    assert not stage.counts(mine)
    assert bob.is_in
    assert stage.counts(theirs)
    [found] = rows(stage.house.database, "SELECT user_id, cause, sessions, tokens FROM receipts")
    assert found == (stage.ids[ADA], "global token revocation", 2, 1)
    assert stage.entered().is_in, "and may log in anew"


NOBODY: dict[str, Callable[[Stage], Any]] = {
    "unknown subject": lambda it: it.subject("nobody"),
    "subject of another issuer": lambda it: it.subject() | {"iss": "https://other.example"},
    "subject without issuer": lambda it: {"format": "iss_sub", "sub": f"sub-of-{ADA}"},
    "unknown address": lambda _: {"format": "email", "email": "eve@example.com"},
    "an address that is not linked to this provider": lambda _: {"format": "email", "email": BOB},
    "an address that is none": lambda _: {"format": "email", "email": "%"},
    "another format": lambda it: {"format": "opaque", "id": it.ids[ADA]},
    "no format": lambda _: {"email": ADA},
}


@pytest.mark.parametrize("case", NOBODY)
def test_global_token_revocation_of_nobody_is_404(stage: Stage, case: str) -> None:
    ada, bob = stage.entered(), stage.by_password(BOB)
    assert stage.revoke(NOBODY[case](stage)).status_code == 404
    assert ada.is_in
    assert bob.is_in


@pytest.mark.parametrize("body", ["{}", "[]", "{", "", '{"sub_id": "ada"}', '{"sub_id": [{}]}'])
def test_global_token_revocation_names_somebody(stage: Stage, body: str) -> None:
    ada = stage.entered()
    assert stage.revoke(None, data=body).status_code == 400
    assert ada.is_in


UNPROVEN: dict[str, Callable[[Stage], str]] = {
    "no token": lambda _: "x",
    "alg none": lambda it: it.revocation_token(alg="none", header={"kid": REMOVE}),
    "HS256 with our secret": lambda it: it.revocation_token(key=signing.shared_key(b"rp-secret", "k1")),
    "a stranger's signature": lambda it: it.revocation_token(key=signing.rsa_key("stranger").named("k1")),
    "aud our client": lambda it: it.revocation_token(aud="rp"),
    "aud missing": lambda it: it.revocation_token(aud=REMOVE),
    "aud another connection's door": lambda it: it.revocation_token(
        aud=f"http://localhost/sso/{uuid.uuid4()}/global-token-revocation"
    ),
    "iss another": lambda it: it.revocation_token(iss="https://other.example"),
    "expired": lambda it: it.revocation_token(exp=it.provider.now() - 120),
    "exp missing": lambda it: it.revocation_token(exp=REMOVE),
    "iat missing": lambda it: it.revocation_token(iat=REMOVE),
    "jti missing": lambda it: it.revocation_token(jti=REMOVE),
    "typ of any token": lambda it: it.revocation_token(header={"typ": "JWT"}),
    "an ID token": lambda it: it.provider.id_token(),
    "a logout token": lambda it: it.provider.logout_token(),
    "a personal token": lambda it: it.token(),
}


@pytest.mark.parametrize("case", UNPROVEN)
def test_global_token_revocation_by_nobody_is_401(stage: Stage, case: str) -> None:
    ada, personal = stage.entered(), stage.token()
    answer = stage.revoke(stage.subject(), UNPROVEN[case](stage))
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert ada.is_in
    assert stage.counts(personal)


def test_global_token_revocation_needs_a_bearer_token(stage: Stage) -> None:
    ada = stage.entered()
    for headers in ({}, {"Authorization": "Basic cnA6cnAtc2VjcmV0"}, {"Authorization": stage.revocation_token()}):
        assert stage.revoke(stage.subject(), headers=headers).status_code == 401
    assert ada.is_in


def test_a_revocation_token_counts_once(database_url: str, stage: Stage) -> None:
    proof = stage.revocation_token()
    stage.entered()
    assert stage.revoke(stage.subject(), proof).status_code == 204
    ada = stage.entered()
    assert stage.revoke(stage.subject(), proof).status_code == 401
    other = House(database_url, provider_networks=LOOPBACK)
    stage.anybody = other.app.test_client()
    assert stage.revoke(stage.subject(), proof).status_code == 401
    other.close()
    assert ada.is_in


# ---------------------------------------------------------------------------------------------------- logout from here


def test_looking_at_the_logout_page_ends_nothing(stage: Stage) -> None:
    ada = stage.entered()
    for path in ("/logout", "/logout?redirect=/", "/logout/done", "/logout?state=x"):
        assert ada.get(path).status_code == 200
    assert ada.browser.head("/logout").status_code == 200
    assert ada.is_in


def test_somebody_elses_form_ends_nothing(stage: Stage) -> None:
    ada = stage.entered()
    good = ada.form_token()
    strangers = Visitor(stage.house).form_token()
    for form in ({}, {"csrf_token": ""}, {"csrf_token": "x"}, {"csrf_token": strangers}):
        assert ada.browser.post("/logout", data=form).status_code == 400
    foreign = {"Origin": "https://evil.example"}
    assert ada.browser.post("/logout", data={"csrf_token": good}, headers=foreign).status_code == 400
    assert ada.browser.post("/logout", query_string={"csrf_token": good}).status_code == 400
    assert ada.is_in


def test_a_cookie_that_is_put_back_after_logout_opens_nothing(stage: Stage) -> None:
    ada, other = stage.entered(), stage.entered()
    cookie = ada.browser.get_cookie("scim_session")
    assert cookie is not None
    assert ada.post("/logout").status_code == 303
    assert ada.browser.get_cookie("scim_session") is None
    ada.browser.set_cookie("scim_session", cookie.value)
    for path in ("/me", "/auth/verify"):
        assert ada.get(path).status_code == 401
    assert other.is_in, "the other device stays"


def test_logout_without_a_session_is_done(stage: Stage) -> None:
    answer = Visitor(stage.house).post("/logout")
    assert (answer.status_code, answer.location) == (303, "/logout/done")


def test_a_session_without_a_provider_ends_here(stage: Stage) -> None:
    visitor = stage.by_password()
    assert visitor.post("/logout").location == "/logout/done"
    assert not visitor.is_in
    assert "end_session" not in stage.provider.counts


# ----------------------------------------------------------------------------------- and at the provider (RP-initiated)


def test_logout_goes_on_to_the_provider_with_all_that_it_wants(stage: Stage) -> None:
    issued: list[str] = []
    stage.provider.tamper = lambda text: issued.append(text) or text  # type: ignore[func-returns-value]
    ada = stage.entered()
    where = urlsplit(ada.post("/logout").location)
    assert f"{where.scheme}://{where.netloc}{where.path}" == stage.provider.url("logout")
    asked = {name: value for name, [value] in parse_qs(where.query).items()}
    assert len(asked.pop("state")) >= 43
    assert asked == {
        "id_token_hint": issued[0], "client_id": "rp", "post_logout_redirect_uri": "http://localhost/logout/done",
    }  # fmt: skip
    assert not ada.is_in


def test_the_id_token_lies_sealed_in_the_database(stage: Stage) -> None:
    issued: list[str] = []
    stage.provider.tamper = lambda text: issued.append(text) or text  # type: ignore[func-returns-value]
    stage.entered()
    [row] = rows(stage.house.database, "SELECT * FROM sessions")
    [(sealed,)] = rows(stage.house.database, "SELECT id_token FROM sessions")
    assert not [each for each in row for part in issued[0].split(".") if part in str(each)]
    assert Vault(stage.house.settings.secret_key).open(sealed) == issued[0]


def test_the_way_back_needs_the_state_that_went_there(stage: Stage) -> None:
    ada = stage.entered()
    back = local(stage.provider.redirected(ada.post("/logout").location))
    assert Visitor(stage.house).get(back).status_code == 400, "another browser"
    ada = stage.entered()
    back = local(stage.provider.redirected(ada.post("/logout").location))
    assert ada.get(back).status_code == 200
    assert ada.get(back).status_code == 400
    stage.provider.logout_callback = {"state": "guessed"}
    ada = stage.entered()
    assert ada.get(local(stage.provider.redirected(ada.post("/logout").location))).status_code == 400
    stage.provider.logout_callback = {"state": REMOVE}
    ada = stage.entered()
    assert ada.get(local(stage.provider.redirected(ada.post("/logout").location))).status_code == 200


def test_the_state_of_a_login_is_none_of_a_logout(stage: Stage) -> None:
    ada = stage.entered()
    started = parse_qs(urlsplit(ada.start(stage.sso).headers["Location"]).query)["state"][0]
    assert ada.get(f"/logout/done?state={started}").status_code == 400
    left = parse_qs(urlsplit(ada.post("/logout").location).query)["state"][0]
    answer = ada.get(f"/sso/{stage.sso.id}/callback", query_string={"state": left, "code": "c"})
    assert answer.status_code == 400


def test_a_provider_without_a_logout_keeps_no_id_token_here(stage: Stage) -> None:
    stage.provider.metadata = {"end_session_endpoint": REMOVE}
    ada = stage.entered()
    assert rows(stage.house.database, "SELECT id_token FROM sessions") == [(None,)]
    assert ada.post("/logout").location == "/logout/done"
    assert not ada.is_in


@pytest.mark.parametrize("end", ["javascript:alert(1)//", "//evil.example", "http://x.example/#f", 5])
def test_a_logout_that_is_no_address_is_none(stage: Stage, end: Any) -> None:
    stage.provider.metadata = {"end_session_endpoint": end}
    assert stage.entered().post("/logout").location == "/logout/done"


def test_a_provider_that_is_down_holds_no_logout_up(stage: Stage) -> None:
    ada = stage.entered()
    stage.house.database.run_sql("UPDATE sso_connections SET fetched = NULL")
    stage.provider.transport["discovery"] = Trouble(status=503)
    assert ada.post("/logout").location == "/logout/done"
    assert not ada.is_in
