"""The providers work by themselves: a client that is not ours logs in at each, and meets the lies it ordered."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from tests.idp import bitbucket, entra, github, node, signing
from tests.idp.bitbucket import Bitbucket
from tests.idp.entra import OTHER_TENANT, Entra, EntraPerson
from tests.idp.github import GitHub
from tests.idp.gitlab import GitLab
from tests.idp.hostile import LOGOUT_EVENT, HostileProvider
from tests.idp.serving import REMOVE, Answer, Fake, Trouble, ask, with_query

BACK = "http://rp.test/callback"


class Client:
    """One login as a client would do it: ``start``, ``redeem``, and the ID token verified."""

    def __init__(
        self, authorize: str, token: str, visit: Callable[[str], str], scope: str = "openid email profile", **more: str
    ) -> None:
        self.token_url = token
        self.verifier, self.state, self.nonce = (secrets.token_urlsafe(32) for _ in range(3))
        query = {
            "response_type": "code",
            "client_id": "rp",
            "redirect_uri": BACK,
            "scope": scope,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": signing.b64(hashlib.sha256(self.verifier.encode()).digest()),
            "code_challenge_method": "S256",
            **more,
        }
        location = visit(with_query(authorize, query))
        assert location.startswith(f"{BACK}?")
        self.callback = {name: value[0] for name, value in parse_qs(urlsplit(location).query).items()}

    def redeem(self, **form: str) -> Answer:
        basic = base64.b64encode(b"rp:rp-secret").decode()
        return ask(
            self.token_url,
            form={
                "grant_type": "authorization_code",
                "code": self.callback["code"],
                "redirect_uri": BACK,
                "code_verifier": self.verifier,
                **form,
            },
            headers={"Authorization": f"Basic {basic}", "Accept": "application/json"},
        )


def discovered(issuer: str) -> dict[str, Any]:
    document: dict[str, Any] = ask(f"{issuer}/.well-known/openid-configuration").json
    return document


def start(provider: HostileProvider, **more: str) -> Client:
    return Client(provider.url("authorize"), provider.url("token"), provider.authorize, **more)


def log_in(issuer: str, visit: Callable[[str], str], **more: str) -> tuple[dict[str, Any], dict[str, Any], Client]:
    """Claims of the verified ID token, userinfo, and the client."""
    metadata = discovered(issuer)
    client = Client(metadata["authorization_endpoint"], metadata["token_endpoint"], visit, **more)
    assert client.callback["state"] == client.state
    answer = client.redeem()
    assert answer.status == 200, answer.body
    assert answer.json["token_type"] == "Bearer"
    claims = verified(answer.json["id_token"], metadata)
    assert (claims["aud"], claims["nonce"]) == ("rp", client.nonce)
    bearer = {"Authorization": f"Bearer {answer.json['access_token']}"}
    return claims, ask(metadata["userinfo_endpoint"], headers=bearer).json, client


def verified(token: str, metadata: dict[str, Any], algorithms: list[str] | None = None) -> dict[str, Any]:
    keys = KeySet.import_key_set(ask(metadata["jwks_uri"]).json)
    return jwt.decode(token, keys, algorithms=algorithms or ["RS256"]).claims


@pytest.fixture
def hostile() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


# ------------------------------------------------------------------------------------------------------------ hostile


def test_the_baseline_is_honest(hostile: HostileProvider) -> None:
    claims, userinfo, client = log_in(hostile.issuer, hostile.authorize, max_age="60")
    assert claims["iss"] == client.callback["iss"] == hostile.issuer
    assert claims.items() >= {"sub": "u1", "email": "ada@example.com", "email_verified": True}.items()
    assert claims["exp"] - claims["iat"] == 300
    assert claims["auth_time"] == claims["iat"]
    assert userinfo["sub"] == "u1"
    assert hostile.counts == {"discovery": 1, "authorize": 1, "token": 1, "jwks": 1, "userinfo": 1}
    assert hostile.seen["authorize"].query["nonce"] == client.nonce
    assert hostile.seen["token"].form["code_verifier"] == client.verifier


def test_it_starts_and_stops_at_once() -> None:
    with HostileProvider():
        pass
    begun = time.perf_counter()
    with HostileProvider() as provider:
        assert discovered(provider.issuer)["issuer"] == provider.issuer
        started = time.perf_counter()
    assert started - begun < 0.5  # 5 ms on an idle machine
    assert time.perf_counter() - started < 1


def test_it_checks_its_client(hostile: HostileProvider) -> None:
    def refused(**form: str) -> str:
        answer = start(hostile).redeem(**form)
        assert answer.status == 400
        return str(answer.json["error"])

    assert refused(code_verifier="x" * 43) == "invalid_grant"
    assert refused(code_verifier="") == "invalid_grant"
    assert refused(redirect_uri=f"{BACK}/other") == "invalid_grant"
    assert refused(code="guessed") == "invalid_grant"
    assert refused(client_secret="rp-secret") == "invalid_request"
    hostile.client_secret = "another"
    assert start(hostile).redeem().status == 401
    hostile.reset()
    client = start(hostile)
    assert [client.redeem().status for _ in range(2)] == [200, 400]
    hostile.codes_once = False
    assert client.redeem().status == 200
    assert start(hostile, code_challenge_method="plain").callback["error"] == "invalid_request"
    hostile.enforce_pkce = False
    assert start(hostile).redeem(code_verifier="").status == 200


def minted(provider: HostileProvider) -> str:
    return str(start(provider).redeem().json["id_token"])


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated:joserfc.errors.SecurityWarning")  # RFC 9864; providers use it
def test_every_algorithm_can_sign(hostile: HostileProvider) -> None:
    keys = [
        *((signing.rsa_key(), alg) for alg in ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")),
        *((signing.ec_key(curve, curve), alg) for curve, (_, alg) in signing.CURVES.items()),
        *((signing.ed25519_key(), alg) for alg in ("EdDSA", "Ed25519")),
        *((signing.shared_key(b"s" * 64, "hs"), alg) for alg in ("HS256", "HS384", "HS512")),
    ]
    for key, alg in keys:
        hostile.key, hostile.alg, hostile.jwks = key, alg, [key]
        claims = verified(minted(hostile), {"jwks_uri": hostile.url("jwks")}, [alg])
        assert claims["sub"] == "u1"


def test_tokens_lie_as_ordered(hostile: HostileProvider) -> None:
    def opened() -> tuple[dict[str, Any], dict[str, Any]]:
        return signing.opened(minted(hostile))

    hostile.claims = {"sub": REMOVE, "aud": ["rp", "other"], "exp": hostile.now() - 3600}
    header, claims = opened()
    assert header == {"typ": "JWT", "alg": "RS256", "kid": "k1"}
    assert "sub" not in claims
    assert (claims["aud"], claims["iat"] - claims["exp"]) == (["rp", "other"], 3600)
    hostile.claims = lambda claims: {"sub": 5, "iat": claims["iat"] - 86_400}
    assert opened()[1].keys() == {"sub", "iat"}
    hostile.reset()

    hostile.alg, hostile.header = "none", {"kid": REMOVE, "jku": hostile.url("elsewhere")}
    token = minted(hostile)
    assert token.endswith(".")
    assert signing.opened(token)[0] == {"typ": "JWT", "alg": "none", "jku": hostile.url("elsewhere")}
    hostile.reset()

    hostile.key = signing.shared_key(signing.rsa_key("k1").pem, "k1")
    assert opened()[0] == {"typ": "JWT", "alg": "HS256", "kid": "k1"}
    hostile.reset()

    hostile.tamper = signing.altered
    with pytest.raises(JoseError):
        verified(minted(hostile), {"jwks_uri": hostile.url("jwks")})
    hostile.reset()

    hostile.iss = "https://evil.test"
    assert opened()[1]["iss"] == start(hostile).callback["iss"] == discovered(hostile.issuer)["issuer"] == hostile.iss
    hostile.skew = 600
    assert opened()[1]["iat"] > time.time() + 590
    hostile.reset()
    assert opened()[1]["iss"] == hostile.issuer


def test_answers_lie_as_ordered(hostile: HostileProvider) -> None:
    hostile.metadata = {"issuer": REMOVE, "id_token_signing_alg_values_supported": ["RS256", "none"]}
    assert "issuer" not in discovered(hostile.issuer)
    hostile.token_reply = {"id_token": REMOVE, "token_type": "mac"}
    assert start(hostile).redeem().json.keys() == {"access_token", "token_type", "expires_in", "scope"}
    hostile.callback = {"code": REMOVE, "iss": REMOVE, "error": "access_denied", "state": "guessed"}
    assert start(hostile).callback == {"error": "access_denied", "state": "guessed"}
    hostile.callback = {"state": ["a", "b"]}
    location = hostile.redirected(with_query(hostile.url("authorize"), hostile.seen["authorize"].query))
    assert parse_qs(urlsplit(location).query)["state"] == ["a", "b"]
    hostile.reset()
    hostile.userinfo = {"sub": "u2"}
    assert log_in(hostile.issuer, hostile.authorize)[1]["sub"] == "u2"
    hostile.person["email_verified"] = "false"
    assert log_in(hostile.issuer, hostile.authorize)[0]["email_verified"] == "false"


def test_keys_rotate(hostile: HostileProvider) -> None:
    first = minted(hostile)
    for same_kid, kid in ((True, "k1"), (False, "k3")):
        assert hostile.rotate(same_kid=same_kid).kid == kid
        second = minted(hostile)
        assert signing.opened(second)[0]["kid"] == kid
        verified(second, {"jwks_uri": hostile.url("jwks")})
        with pytest.raises((JoseError, ValueError)):
            verified(first, {"jwks_uri": hostile.url("jwks")})


def test_logout(hostile: HostileProvider) -> None:
    claims, _, _ = log_in(hostile.issuer, hostile.authorize)
    metadata = discovered(hostile.issuer)
    told = verified(hostile.logout_token(), metadata)
    assert (told["sub"], told["sid"], told["events"]) == ("u1", claims["sid"], {LOGOUT_EVENT: {}})
    assert told["exp"] - told["iat"] == 120
    assert signing.opened(hostile.logout_token())[0]["typ"] == "logout+jwt"
    assert hostile.logout_token(alg="none").endswith(".")
    header, claims = signing.opened(hostile.logout_token(header={"typ": REMOVE}, sub=REMOVE, nonce="n", aud="other"))
    assert "typ" not in header
    assert "sub" not in claims
    assert (claims["nonce"], claims["aud"]) == ("n", "other")
    assert "events" not in verified(hostile.id_token(nonce="n"), metadata)
    asked = {"post_logout_redirect_uri": BACK, "state": "s", "id_token_hint": "t"}
    assert hostile.redirected(with_query(metadata["end_session_endpoint"], asked)) == f"{BACK}?state=s"
    hostile.logout_callback = {"state": "guessed"}
    assert hostile.redirected(with_query(metadata["end_session_endpoint"], asked)) == f"{BACK}?state=guessed"
    assert hostile.seen["logout"].query == asked


def test_trouble_on_the_wire(hostile: HostileProvider) -> None:
    def jwks(**trouble: Any) -> Answer:
        hostile.transport["jwks"] = Trouble(**trouble)
        return ask(hostile.url("jwks"), timeout=0.2)

    usual = jwks()
    assert jwks(status=500).status == 500
    assert jwks(location=hostile.url("elsewhere")).headers["location"] == hostile.url("elsewhere")
    assert jwks(body="<html>").headers["content-type"].startswith("text/html")
    assert jwks(body={"keys": []}).json == {"keys": []}
    assert jwks(content_type="text/plain", headers={"Content-Length": REMOVE}).json == usual.json
    padded = jwks(size=10_000_000)
    assert (len(padded.body), padded.json) == (10_000_000, usual.json)
    assert len(jwks(size=10_000_000, gzip=True).body) < 20_000
    with pytest.raises(TimeoutError):
        jwks(hang=60)
    with pytest.raises(TimeoutError):
        jwks(drip_head=0.3)
    begun = time.perf_counter()
    assert jwks(drip=0.0002) == usual
    assert time.perf_counter() - begun > 0.0002 * len(usual.body)
    with pytest.raises(ConnectionError):
        jwks(cut=0)
    assert [jwks(status=500, times=1).status, ask(hostile.url("jwks")).status] == [500, 200]
    assert hostile.counts["elsewhere"] == 0


def test_a_hung_request_does_not_outlive_the_provider() -> None:
    with ThreadPoolExecutor(1) as pool, HostileProvider() as provider:
        provider.transport["jwks"] = Trouble(hang=60)
        hung = pool.submit(ask, provider.url("jwks"))
        while not provider.counts["jwks"]:
            time.sleep(0.01)
        begun = time.perf_counter()
    assert time.perf_counter() - begun < 5
    with pytest.raises(ConnectionError):
        hung.result()


def test_a_knob_that_raises_is_told() -> None:
    def broken(claims: dict[str, Any]) -> dict[str, Any]:
        raise LookupError(claims["sub"])

    def log_in_there() -> None:
        with HostileProvider() as provider:
            provider.claims = broken
            assert start(provider).redeem().status == 500

    with pytest.raises(LookupError, match="u1"):
        log_in_there()


# ------------------------------------------------------------------------------------------------------------- github

AGENT = {"User-Agent": "rp"}


def called(url: str, token: str) -> Answer:
    return ask(url, headers={**AGENT, "Authorization": f"Bearer {token}"})


def test_github() -> None:
    with GitHub() as provider:
        who = provider.person
        who.emails = [github.email(f"{n}@example.com") for n in range(40)] + who.emails + [github.email(who.noreply)]
        client = Client(
            provider.url("authorize"), provider.url("token"), provider.authorize, scope="read:user user:email"
        )
        assert client.callback.keys() == {"code", "state"}
        reply = client.redeem().json
        assert (reply["scope"], reply["token_type"]) == ("read:user,user:email", "bearer")
        token = reply["access_token"]
        user = called(f"{provider.api}/user", token)
        assert (user.json["id"], user.json["login"], user.json["email"]) == (583231, "ada", None)
        assert user.headers["x-oauth-scopes"] == "read:user, user:email"
        assert len(called(f"{provider.api}/user/emails", token).json) == 30
        emails = called(f"{provider.api}/user/emails?per_page=100", token).json
        assert [each["email"] for each in emails if each["primary"]] == ["ada@example.com"]
        assert called(f"{provider.api}/user", "guessed").status == 401
        assert ask(f"{provider.api}/user", headers={"Authorization": f"Bearer {token}"}).status == 403


def test_github_misbehaves() -> None:
    with GitHub() as provider:

        def start(**more: str) -> Client:
            return Client(provider.url("authorize"), provider.url("token"), provider.authorize, **more)

        answer = start().redeem(code_verifier="x" * 43)
        assert (answer.status, answer.json["error"]) == (200, "bad_verification_code")
        provider.token_error = "incorrect_client_credentials"
        assert start().redeem().json["error"] == "incorrect_client_credentials"
        provider.reset()
        provider.scopes = ("read:user",)
        reply = start().redeem().json
        assert reply["scope"] == "read:user"
        assert called(f"{provider.api}/user/emails", reply["access_token"]).status == 404
        provider.reset()
        provider.person.login = "renamed"
        provider.person.emails = [github.email("ada@example.com", primary=True, verified=False)]
        provider.user = {"id": "583231"}
        token = start(scope="user:email").redeem().json["access_token"]
        user = called(f"{provider.api}/user", token).json
        assert (user["login"], user["id"]) == ("renamed", "583231")
        assert called(f"{provider.api}/user/emails", token).json[0]["verified"] is False
        client = start()
        form = {"client_id": "rp", "client_secret": "rp-secret", "code": client.callback["code"]}
        form |= {"redirect_uri": BACK, "code_verifier": client.verifier}
        plain = ask(provider.url("token"), form=form)
        assert plain.headers["content-type"].startswith("application/x-www-form-urlencoded")
        assert parse_qs(plain.body.decode()).keys() == {"access_token", "scope", "token_type"}
        provider.deny()
        assert start().callback["error"] == "access_denied"


# ---------------------------------------------------------------------------------------------------------- bitbucket


def test_bitbucket() -> None:
    with Bitbucket() as provider:
        client = Client(provider.url("authorize"), provider.url("token"), provider.authorize, scope="account email")
        reply = client.redeem().json
        assert reply["scopes"] == "account email"
        assert "scope" not in reply
        token = reply["access_token"]
        assert called(f"{provider.api}/user", token).json["uuid"] == provider.person.uuid
        assert "username" not in called(f"{provider.api}/user", token).json
        page = called(f"{provider.api}/user/emails", token).json
        assert [(each["email"], each["is_primary"], each["is_confirmed"]) for each in page["values"]] == [
            ("ada@example.com", True, True)
        ]
        assert called(f"{provider.api}/user", "guessed").status == 401


def test_bitbucket_misbehaves() -> None:
    with Bitbucket() as provider:

        def token() -> str:
            client = Client(provider.url("authorize"), provider.url("token"), provider.authorize)
            return str(client.redeem(code_verifier="ignored").json["access_token"])

        form = {"grant_type": "authorization_code", "code": "c", "client_id": "rp", "client_secret": "rp-secret"}
        posted = ask(provider.url("token"), form=form)
        assert (posted.status, posted.json["error"]) == (400, "unauthorized_client")
        others = [bitbucket.email(f"{n}@example.com", confirmed=False) for n in range(10)]
        provider.person.emails = others + provider.person.emails
        first = called(f"{provider.api}/user/emails", token()).json
        assert len(first["values"]) == 10
        second = called(first["next"], token()).json
        assert [each["email"] for each in second["values"]] == ["ada@example.com"]
        assert "next" not in second
        provider.page = {"next": "http://169.254.169.254/"}
        assert called(first["next"], token()).json["next"] == "http://169.254.169.254/"
        provider.scopes = ("account",)
        assert called(f"{provider.api}/user/emails", token()).status == 403


# ------------------------------------------------------------------------------------------------------ gitlab, entra


def test_gitlab() -> None:
    with GitLab() as provider:
        claims, userinfo, client = log_in(provider.issuer, provider.authorize)
        assert client.callback.keys() == {"code", "state"}
        assert claims.keys() == {
            "iss", "sub", "aud", "exp", "iat", "nonce", "auth_time", "sub_legacy", "email", "email_verified",
            "groups_direct",
        }  # fmt: skip
        assert claims["sub"] == userinfo["sub"] == "1207"
        assert userinfo["preferred_username"] == "ada"
        provider.person.public_email = "public@example.com"
        assert log_in(provider.issuer, provider.authorize, scope="openid")[0]["email"] == "public@example.com"
        provider.claims = {"email_verified": False}
        assert log_in(provider.issuer, provider.authorize)[0]["email_verified"] is False


def test_entra() -> None:
    with Entra() as provider:
        assert "code_challenge_methods_supported" not in discovered(provider.issuer)
        assert provider.issuer.endswith("/v2.0")
        claims, userinfo, client = log_in(provider.issuer, provider.authorize)
        assert "iss" not in client.callback
        assert (claims["tid"], claims["oid"], claims["ver"]) == (provider.tid, provider.person.oid, "2.0")
        assert (claims["sub"], claims["iss"]) == (userinfo["sub"], provider.issuer)
        assert not {"email_verified", "xms_edov", "idp", "acct"} & claims.keys()
        answer = start(provider).redeem(code_verifier="x" * 43)
        assert (answer.status, answer.json["error_codes"]) == (400, [54005])

        provider.person = EntraPerson.guest(edov="1")
        guest = log_in(provider.issuer, provider.authorize)[0]
        assert (guest["acct"], guest["xms_edov"], guest["tid"]) == (1, "1", provider.tid)
        assert guest["idp"] == f"https://sts.windows.net/{OTHER_TENANT}/"
        provider.answer_as(OTHER_TENANT)
        other = log_in(provider.issuer, provider.authorize)[0]
        assert (other["tid"], other["iss"]) == (OTHER_TENANT, f"{provider.base}/{OTHER_TENANT}/v2.0")


def test_entra_for_many_tenants() -> None:
    with Entra("common") as provider:
        assert discovered(provider.issuer)["issuer"] == f"{provider.base}/{{tenantid}}/v2.0"
        claims = log_in(provider.issuer, provider.authorize)[0]
        assert claims["iss"] == f"{provider.base}/{entra.TENANT}/v2.0"


@pytest.mark.parametrize("kind", [HostileProvider, GitHub, GitLab, Bitbucket, Entra])
def test_every_endpoint_is_there(kind: type[Fake]) -> None:
    with kind() as provider:
        for endpoint in provider.PATHS:
            assert ask(provider.url(endpoint)).status != 404
            assert provider.seen[endpoint].method == "GET"
        assert ask(f"{provider.base}/nowhere").status == 404
        assert provider.counts["unknown"] == 1
        provider.reset()
        assert not provider.counts


# --------------------------------------------------------------------------------------------------------------- node


@pytest.fixture(scope="module")
def certified() -> Iterator[node.NodeProvider]:
    try:
        with node.serve() as provider:
            yield provider
    except node.NoNode as reason:
        pytest.skip(str(reason))


@pytest.fixture
def listener() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """A URL for back-channel logout, and what came."""
    came: list[dict[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/logout", came
        server.shutdown()
        thread.join()


def test_oidc_provider(certified: node.NodeProvider, listener: tuple[str, list[dict[str, list[str]]]]) -> None:
    url, came = listener
    certified.client(redirect_uris=[BACK], post_logout_redirect_uris=[f"{BACK}/bye"], backchannel_logout_uri=url)
    certified.person(sub="u7", email="grace@example.com", email_verified=True, name="Grace Hopper")
    browser = node.Browser()
    claims, userinfo, client = log_in(certified.issuer, lambda at: certified.authorize(at, browser))
    assert client.callback["iss"] == claims["iss"] == certified.issuer
    expected = {"sub": "u7", "email": "grace@example.com", "email_verified": True, "name": "Grace Hopper"}
    assert userinfo == expected
    assert claims.items() >= expected.items()
    assert client.redeem(code_verifier="x" * 43).json["error"] == "invalid_grant"

    metadata = discovered(certified.issuer)
    again = Client(
        metadata["authorization_endpoint"], metadata["token_endpoint"], lambda at: certified.authorize(at, browser)
    )
    hint = again.redeem().json["id_token"]
    query = {"id_token_hint": hint, "post_logout_redirect_uri": f"{BACK}/bye", "state": "s"}
    back = certified.logout(with_query(metadata["end_session_endpoint"], query), browser)
    assert back == f"{BACK}/bye?state=s"
    told = verified(came[0]["logout_token"][0], metadata)
    assert (told["sub"], told["sid"]) == ("u7", claims["sid"])
    assert certified.logouts()[-1] == {"client": "rp", "sub": "u7", "sid": claims["sid"]}
    assert certified.logout(metadata["end_session_endpoint"], browser) == ""


def test_oidc_provider_says_no(certified: node.NodeProvider) -> None:
    certified.client("rp", redirect_uris=[BACK])
    metadata = discovered(certified.issuer)

    def start(**more: str) -> Client:
        fresh = node.Browser()
        at = metadata["authorization_endpoint"], metadata["token_endpoint"]
        return Client(*at, lambda url: certified.authorize(url, fresh), **more)

    certified.person()
    assert start().callback["error"] == "access_denied"
    certified.person(sub="u8")
    assert start().redeem(code_verifier="x" * 43).json["error"] == "invalid_grant"
    assert start(code_challenge="").callback["error"] == "invalid_request"
    with pytest.raises(AssertionError, match="redirect_uri"):
        certified.client("broken", redirect_uris=[])


def test_without_node_there_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(node.MODULES_VARIABLE, "/nowhere")
    with pytest.raises(node.NoNode, match="oidc-provider"), node.serve():
        pass
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(node.NoNode, match="no node"), node.serve():
        pass
