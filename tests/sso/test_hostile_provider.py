"""A provider that lies: each case is the honest baseline with one thing changed (facts: H1 to H33, and neighbours).

Refused means: 4xx, a page that tells nothing, no session, no link, the attempt burned, one line in the log and one
audit record under the rule's name. The baseline itself logs in, so every refusal is due to its one change.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.engine import Statement
from tests.directory.desk import rows
from tests.idp import signing
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE, Trouble
from tests.running import House, Scim
from tests.sso.visiting import LOOPBACK, Visitor, add_login, local, log_of

Change = Callable[[HostileProvider], None]


class Stage:
    """A house whose one person logs in through a provider that may lie."""

    def __init__(self, house: House, provider: HostileProvider, sso: SsoConnection, scim: Scim) -> None:
        self.house, self.provider, self.sso, self.scim = house, provider, sso, scim
        self.ada = scim.user("ada@example.com")["id"]

    def visitor(self) -> Visitor:
        return Visitor(self.house, self.provider.authorize)

    def count(self, table: str) -> int:
        return int(rows(self.house.database, f"SELECT count(*) FROM {table}")[0][0])

    def is_refused(self, visitor: Visitor, answer: Any, *, step: str = "", rule: str = "") -> None:
        """What a refusal must be, to the letter: at a step, or by a rule (``step: reason``)."""
        assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
        assert "ada@example.com" not in answer.text
        assert "Traceback" not in answer.text
        assert not visitor.is_in
        assert self.count("sessions") == 0
        assert self.count("identities") == 0
        line = log_of(self.house)[0]
        assert line["outcome"] == "refused"
        assert f"{line['step']}: {line['reason']}".startswith(rule or f"{step}: ")
        sql = "SELECT after FROM audit_records WHERE action = 'login.refused' ORDER BY id DESC"
        recorded = json.loads(rows(self.house.database, sql)[0][0])
        assert f"{recorded['step']}: {recorded['reason']}" == f"{line['step']}: {line['reason']}"


@pytest.fixture
def stage(database_url: str, provider: HostileProvider) -> Iterator[Stage]:
    house = House(database_url, provider_networks=LOOPBACK)
    yield Stage(house, provider, add_login(house, provider.issuer), house.client())
    house.close()


def setting(**knobs: Any) -> Change:
    """A change that sets knobs of the provider."""

    def change(provider: HostileProvider) -> None:
        for name, value in knobs.items():
            setattr(provider, name, value)

    return change


class Moment:
    """So many seconds from when a token is made, not from when these tests were read."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


def claim(**claims: Any) -> Change:
    def laid_over(members: dict[str, Any]) -> dict[str, Any]:
        return members | {
            name: time.time() + each.seconds if isinstance(each, Moment) else each for name, each in claims.items()
        }

    return setting(claims=laid_over)


def now(seconds: float) -> Any:
    return int(time.time() + seconds)


def unsigned(provider: HostileProvider) -> None:
    """``alg: none``, no ``kid``, an empty signature."""
    provider.alg, provider.header = "none", {"kid": REMOVE}


def hmac_with_public_key(encoding: str) -> Change:
    """HS256, keyed with what everybody can have (RFC 8725 §2.1)."""

    def change(provider: HostileProvider) -> None:
        secret = getattr(provider.key, encoding)
        provider.key, provider.alg = signing.shared_key(secret, provider.key.kid), "HS256"
        provider.metadata = {"id_token_signing_alg_values_supported": ["RS256", "HS256"]}

    return change


def key_in_header(name: str) -> Change:
    """A stranger's signature, with the stranger's key or its address in the header."""

    def change(provider: HostileProvider) -> None:
        stranger = signing.rsa_key("stranger").named(provider.key.kid)
        offered = {
            "jwk": stranger.jwk(), "jku": provider.url("elsewhere"), "x5u": provider.url("elsewhere"),
            "x5c": [signing.base64.b64encode(stranger.certificate).decode()],
        }  # fmt: skip
        provider.key, provider.header, provider.elsewhere = stranger, {name: offered[name]}, [stranger]

    return change


def both(*changes: Change) -> Change:
    def change(provider: HostileProvider) -> None:
        for each in changes:
            each(provider)

    return change


def discovery(**members: Any) -> Change:
    return setting(metadata=members)


def listing(*algorithms: str) -> Change:
    return discovery(id_token_signing_alg_values_supported=list(algorithms))


def with_hash(value: Any) -> Change:
    return claim(at_hash=value)


def last_letter_of_the_signature(token: str) -> str:
    """The same bytes, spelled with the stray bits that a lenient decoder throws away."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return token[:-1] + alphabet[alphabet.index(token[-1]) + 1]


OTHER = "https://other.example"
REFUSED: dict[str, Change] = {
    # ------------------------------------------------------------------------------------------------------- issuer
    "H2 iss missing": claim(iss=REMOVE),
    "iss of another": claim(iss=OTHER),
    "iss with a slash more": setting(claims=lambda claims: claims | {"iss": claims["iss"] + "/"}),
    "iss in capitals": setting(claims=lambda claims: claims | {"iss": claims["iss"].replace("http", "HTTP")}),
    "iss in a list": setting(claims=lambda claims: claims | {"iss": [claims["iss"]]}),
    "iss null": claim(iss=None),
    "H3 discovery and token of another issuer": setting(iss=OTHER),
    "H4 discovery without issuer": both(discovery(issuer=REMOVE), claim(iss=OTHER)),
    "discovery without issuer, token honest": discovery(issuer=REMOVE),
    "discovery issuer with a slash more": setting(metadata=lambda it: it | {"issuer": it["issuer"] + "/"}),
    "discovery issuer null": discovery(issuer=None),
    "discovery issuer in a list": setting(metadata=lambda it: it | {"issuer": [it["issuer"]]}),
    # ----------------------------------------------------------------------------------------------------- audience
    "H5 aud another, azp us": claim(aud="other", azp="rp"),
    "H6 aud us, azp another": claim(azp="other"),
    "azp null": claim(azp=None),
    "azp in a list": claim(azp=["rp"]),
    "azp empty": claim(azp=""),
    "H7 aud missing": claim(aud=REMOVE),
    "H8 aud us and another, azp us": claim(aud=["rp", "other"], azp="rp"),
    "aud us and another": claim(aud=["rp", "other"]),
    "aud us twice": claim(aud=["rp", "rp"], azp="rp"),
    "aud another in a list": claim(aud=["other"]),
    "aud an empty list": claim(aud=[]),
    "aud a mapping": claim(aud={"rp": True}),
    "aud a part of us": claim(aud="r"),
    "aud with us inside": claim(aud="rp other"),
    "aud null": claim(aud=None),
    # ------------------------------------------------------------------------------------------------------ subject
    "H9 sub missing": claim(sub=REMOVE),
    "H10 sub an integer": claim(sub=5),
    "sub empty": claim(sub=""),
    "sub null": claim(sub=None),
    "sub true": claim(sub=True),
    "sub a list": claim(sub=["u1"]),
    "sub of 256 characters": claim(sub="x" * 256),
    "sub with NUL": claim(sub="u1\x00"),
    "sub with a line end": claim(sub="u1\r\nX: y"),
    "sub a lone surrogate": claim(sub="\ud800"),
    # -------------------------------------------------------------------------------------------------------- times
    "H11 expired an hour ago": claim(exp=Moment(-3600)),
    "expired two minutes ago": claim(exp=Moment(-120)),
    "H12 exp missing": claim(exp=REMOVE),
    "exp as text": claim(exp=str(now(300))),
    "exp true": claim(exp=True),
    "exp null": claim(exp=None),
    "exp negative": claim(exp=-1),
    "exp beyond all time": claim(exp=10**30),
    "H13 iat missing": claim(iat=REMOVE),
    "H14 iat a day ahead": claim(iat=Moment(86_400), exp=Moment(90_000)),
    "iat two minutes ahead": claim(iat=Moment(130)),
    "H15 iat a year ago": claim(iat=Moment(-365 * 86_400)),
    "iat two hours ago": claim(iat=Moment(-7200)),
    "iat as text": claim(iat=str(now(0))),
    "iat true": claim(iat=True),
    "nbf an hour ahead": claim(nbf=Moment(3600)),
    "nbf as text": claim(nbf="0"),
    "nbf null": claim(nbf=None),
    # -------------------------------------------------------------------------------------------------------- nonce
    "H16 nonce missing": claim(nonce=REMOVE),
    "nonce of another login": claim(nonce="another"),
    "nonce empty": claim(nonce=""),
    "nonce null": claim(nonce=None),
    "nonce in a list": setting(claims=lambda claims: claims | {"nonce": [claims["nonce"]]}),
    "nonce not ASCII": claim(nonce="nönce"),
    "nonce_supported false and no nonce": both(discovery(nonce_supported=False), claim(nonce=REMOVE)),
    # ---------------------------------------------------------------------------------------------------- signature
    "H17 signature altered": setting(tamper=signing.altered),
    "signature's last letter with stray bits": setting(tamper=last_letter_of_the_signature),
    "signature empty": setting(tamper=lambda token: token.rpartition(".")[0] + "."),
    "claims exchanged under an old signature": setting(
        tamper=lambda token: ".".join([token.split(".")[0], signing.b64(b'{"sub":"root"}'), token.split(".")[2]])
    ),
    "two parts": setting(tamper=lambda token: token.rpartition(".")[0]),
    "four parts": setting(tamper=lambda token: token + ".x"),
    "no token at all": setting(tamper=lambda _: "x"),
    "token empty": setting(tamper=lambda _: ""),
    "H18 kid not in the key set": setting(header={"kid": "k9"}),
    "kid an integer": setting(header={"kid": 1}),
    "kid empty": setting(header={"kid": ""}),
    "no kid, several keys of which one fits": both(
        setting(header={"kid": REMOVE}),
        lambda provider: provider.jwks.append(signing.rsa_key("k2")),
    ),
    "two keys of one kid": lambda provider: provider.jwks.insert(0, signing.rsa_key("k2").named("k1")),
    "key set empty": setting(jwks=[]),
    "key for encryption": setting(jwks=[signing.rsa_key("k1").jwk(use="enc")]),
    "key of another algorithm": setting(jwks=[signing.rsa_key("k1").jwk(alg="PS256")]),
    "key not for verifying": setting(jwks=[signing.rsa_key("k1").jwk(key_ops=["encrypt"])]),
    "key set with a secret of ours": both(
        setting(key=signing.shared_key(b"rp-secret", "k1"), alg="HS256"),
        setting(jwks=[signing.shared_key(b"rp-secret", "k1").jwk()]),
        listing("RS256", "HS256"),
    ),
    "H20 alg none, RS256 listed": unsigned,
    "H21 alg none, RS256 and none listed": both(unsigned, listing("RS256", "none")),
    "H22 alg none, no list": both(unsigned, discovery(id_token_signing_alg_values_supported=REMOVE)),
    "alg none, none alone listed": both(unsigned, listing("none")),
    "alg nOnE": both(unsigned, setting(header={"kid": REMOVE, "alg": "nOnE"}), listing("RS256", "nOnE")),
    "alg missing": setting(header={"alg": REMOVE}),
    "alg null": setting(header={"alg": None}),
    "alg in a list": setting(header={"alg": ["RS256"]}),
    "alg in small letters": setting(header={"alg": "rs256"}),
    "H23 HS256 with the public key in PEM": hmac_with_public_key("pem"),
    "HS256 with the public key in DER": hmac_with_public_key("der"),
    "HS256 with our client secret": both(
        setting(key=signing.shared_key(b"rp-secret", "k1"), alg="HS256"), listing("RS256", "HS256")
    ),
    "ES256 where RS256 is listed": both(
        setting(key=signing.ec_key("k1")), lambda provider: setattr(provider, "jwks", [provider.key])
    ),
    "PS256 where RS256 is listed": setting(alg="PS256"),
    "RS512 where RS256 is listed": setting(alg="RS512"),
    "header says RS256, signed RS512": both(setting(alg="RS512", header={"alg": "RS256"})),
    "no algorithm of ours listed": listing("HS256", "none", "XS256"),
    "algorithms not in a list": discovery(id_token_signing_alg_values_supported="RS256"),
    "key in the header as jwk": key_in_header("jwk"),
    "key in the header as jku": key_in_header("jku"),
    "key in the header as x5u": key_in_header("x5u"),
    "key in the header as x5c": key_in_header("x5c"),
    "critical header": setting(header={"crit": ["exp"], "exp": 1}),
    "unencoded payload": setting(header={"b64": False, "crit": ["b64"]}),
    # ---------------------------------------------------------------------------------------------------------- typ
    "a logout token": setting(header={"typ": "logout+jwt"}),
    "a logout token in full": setting(header={"typ": "application/logout+jwt"}),
    "a logout token in capitals": setting(header={"typ": "LOGOUT+JWT"}),
    # -------------------------------------------------------------------------------------------------- token reply
    "H24 no id_token": setting(token_reply={"id_token": REMOVE}),
    "id_token null": setting(token_reply={"id_token": None}),
    "id_token a mapping": setting(token_reply={"id_token": {"sub": "u1"}}),
    "H25 at_hash wrong": with_hash("AAAAAAAAAAAAAAAAAAAAAA"),
    "at_hash empty": with_hash(""),
    "at_hash null": with_hash(None),
    "at_hash of the whole digest": with_hash("A" * 43),
    "access_token missing": setting(token_reply={"access_token": REMOVE}),
    "token_type mac": setting(token_reply={"token_type": "mac"}),
    "token_type missing": setting(token_reply={"token_type": REMOVE}),
    "token_type a list": setting(token_reply={"token_type": ["Bearer"]}),
    "error beside the tokens": setting(token_reply={"error": "server_error"}),
    "token reply a list": setting(transport={"token": Trouble(body=[])}),
    "token reply null": setting(transport={"token": Trouble(body=b"null", content_type="application/json")}),
    "token reply HTML": setting(transport={"token": Trouble(body="<p>Sorry")}),
    "token reply 500": setting(transport={"token": Trouble(status=500)}),
    "token reply 403 with good tokens": setting(transport={"token": Trouble(status=403)}),
    "token reply 401 with good tokens": setting(transport={"token": Trouble(status=401)}),
    "token reply 202 with good tokens": setting(transport={"token": Trouble(status=202)}),
    "userinfo 401": setting(transport={"userinfo": Trouble(status=401)}),
    "userinfo signed as a token": setting(
        transport={"userinfo": Trouble(body="eyJhbGciOiJub25lIn0.e30.", content_type="application/jwt")}
    ),
    "id_token encrypted": setting(tamper=lambda token: f"{token}.x.y"),
    "id_token with blanks": setting(tamper=lambda token: f" {token} "),
    "id_token of a megabyte": claim(filler="x" * 150_000),
    "token reply refused": setting(client_secret="another"),
    # ----------------------------------------------------------------------------------------------------- callback
    "H26 iss missing though advertised": setting(callback={"iss": REMOVE}),
    "callback iss of another": setting(callback={"iss": OTHER}),
    "callback iss empty": setting(callback={"iss": ""}),
    "callback iss of another, not advertised": both(
        setting(callback={"iss": OTHER}), discovery(authorization_response_iss_parameter_supported=REMOVE)
    ),
    "H27 state that nobody started": setting(callback={"state": "nobody"}),
    "state missing": setting(callback={"state": REMOVE}),
    "state empty": setting(callback={"state": ""}),
    "H28 code missing": setting(callback={"code": REMOVE}),
    "code empty": setting(callback={"code": ""}),
    "code twice": setting(callback={"code": ["one", "two"]}),
    "iss twice": setting(callback=lambda it: it | {"iss": [it["iss"], OTHER]}),
    "code of nobody": setting(callback={"code": "nobody's"}),
    "H29 access_denied": setting(callback={"error": "access_denied", "error_description": "<b>ada@example.com</b>"}),
    "H30 access_denied without state": setting(callback={"error": "access_denied", "state": REMOVE}),
    "error beside a good code": setting(callback={"error": "x" * 5000}),
    # ------------------------------------------------------------------------------------------------------- e-mail
    "H33 email_verified the text false": claim(email_verified="false"),
    "email_verified the text true": both(claim(email_verified="true"), setting(userinfo={"email_verified": "true"})),
    "email_verified 1": both(claim(email_verified=1), setting(userinfo={"email_verified": 1})),
    "email_verified in a list": both(claim(email_verified=[True]), setting(userinfo={"email_verified": [True]})),
    "email_verified false in the token, true in userinfo": claim(email_verified=False),
    "another address in userinfo than in the token": both(
        claim(email_verified=REMOVE, email="eve@example.com"), setting(userinfo={"email": "ada@example.com"})
    ),
    "email_verified missing": both(claim(email_verified=REMOVE), setting(userinfo={"email_verified": REMOVE})),
    "email_verified false": both(claim(email_verified=False), setting(userinfo={"email_verified": False})),
    "verified another address in userinfo": both(
        claim(email_verified=False), setting(userinfo={"email": "eve@example.com", "email_verified": True})
    ),
    "email with KELVIN SIGN-like letters": setting(
        person={"sub": "u1", "email": "\u0430da@example.com", "email_verified": True}
    ),
    "email in a list": setting(person={"sub": "u1", "email": ["ada@example.com"], "email_verified": True}),
    "email with a blank": setting(person={"sub": "u1", "email": " ada@example.com", "email_verified": True}),
    "email missing": setting(person={"sub": "u1"}),
    # ----------------------------------------------------------------------------------------------------- userinfo
    "userinfo of another sub": setting(userinfo={"sub": "u2"}),
    "userinfo without sub": setting(userinfo={"sub": REMOVE}),
    "userinfo a list": setting(transport={"userinfo": Trouble(body=[])}),
    "userinfo 500": setting(transport={"userinfo": Trouble(status=500)}),
    # ---------------------------------------------------------------------------------------------------- transport
    "discovery redirects to a metadata address": setting(
        transport={"discovery": Trouble(location="http://169.254.169.254/latest/meta-data/")}
    ),
    "keys redirect": both(setting(transport={"jwks": Trouble(location="/elsewhere")})),
    "token endpoint redirects": setting(transport={"token": Trouble(status=307, location="/elsewhere")}),
    "discovery of 10 MB": setting(transport={"discovery": Trouble(size=10_000_000)}),
    "keys of 10 MB": setting(transport={"jwks": Trouble(size=10_000_000)}),
    "keys of 10 MB in 10 kB": setting(transport={"jwks": Trouble(size=10_000_000, gzip=True)}),
    "token reply of 10 MB": setting(transport={"token": Trouble(size=10_000_000)}),
    "userinfo of 10 MB": setting(transport={"userinfo": Trouble(size=10_000_000)}),
    "discovery says nothing": setting(transport={"discovery": Trouble(cut=0)}),
    "discovery is no JSON": setting(transport={"discovery": Trouble(body="<p>Hello")}),
    "discovery is a list": setting(transport={"discovery": Trouble(body=[])}),
    "discovery 404": setting(transport={"discovery": Trouble(status=404)}),
    "keys are no JSON": setting(transport={"jwks": Trouble(body="<p>Hello")}),
    "keys are a list": setting(transport={"jwks": Trouble(body=[])}),
    "keys without keys": setting(transport={"jwks": Trouble(body={})}),
    "keys not in a list": setting(transport={"jwks": Trouble(body={"keys": {"k1": {}}})}),
    "keys of nonsense": setting(jwks=[{"kty": "RSA", "kid": "k1", "n": "!!", "e": "AQAB"}]),
    "keys at a loopback service of ours": discovery(jwks_uri="file:///etc/passwd"),
    "keys missing in discovery": discovery(jwks_uri=REMOVE),
    "token endpoint missing in discovery": discovery(token_endpoint=REMOVE),
    "token endpoint with a script": discovery(token_endpoint="javascript:alert(1)"),
    "authorization endpoint missing": discovery(authorization_endpoint=REMOVE),
    "authorization endpoint with a script": discovery(authorization_endpoint="javascript:alert(1)//"),
    "authorization endpoint with a line end": discovery(authorization_endpoint="https://x.example/\r\nSet-Cookie: a=b"),
}


FALLS_BY: dict[str, tuple[str, ...]] = {
    "id_token: iss": (
        "H2 iss missing",
        "iss of another",
        "iss with a slash more",
        "iss in capitals",
        "iss in a list",
        "iss null",
    ),
    "discovery: issuer_mismatch": (
        "H3 discovery and token of another issuer",
        "discovery issuer with a slash more",
        "discovery issuer null",
        "discovery issuer in a list",
    ),
    "discovery: issuer_missing": (
        "H4 discovery without issuer",
        "discovery without issuer, token honest",
    ),
    "id_token: aud": (
        "H5 aud another, azp us",
        "H7 aud missing",
        "H8 aud us and another, azp us",
        "aud us and another",
        "aud us twice",
        "aud another in a list",
        "aud an empty list",
        "aud a mapping",
        "aud a part of us",
        "aud with us inside",
        "aud null",
    ),
    "id_token: azp": (
        "H6 aud us, azp another",
        "azp null",
        "azp in a list",
        "azp empty",
    ),
    "id_token: sub": (
        "H9 sub missing",
        "H10 sub an integer",
        "sub empty",
        "sub null",
        "sub true",
        "sub a list",
        "sub of 256 characters",
        "sub with NUL",
        "sub with a line end",
    ),
    "id_token: claims_not_json": ("sub a lone surrogate",),
    "id_token: exp": (
        "H11 expired an hour ago",
        "expired two minutes ago",
        "H12 exp missing",
        "exp as text",
        "exp true",
        "exp null",
        "exp negative",
        "exp beyond all time",
    ),
    "id_token: iat": (
        "H13 iat missing",
        "H14 iat a day ahead",
        "iat two minutes ahead",
        "H15 iat a year ago",
        "iat two hours ago",
        "iat as text",
        "iat true",
    ),
    "id_token: nbf": (
        "nbf an hour ahead",
        "nbf as text",
        "nbf null",
    ),
    "id_token: nonce": (
        "H16 nonce missing",
        "nonce of another login",
        "nonce empty",
        "nonce null",
        "nonce in a list",
        "nonce not ASCII",
        "nonce_supported false and no nonce",
    ),
    "id_token: signature": (
        "H17 signature altered",
        "signature empty",
        "claims exchanged under an old signature",
        "header says RS256, signed RS512",
        "key in the header as jwk",
        "key in the header as jku",
        "key in the header as x5u",
        "key in the header as x5c",
    ),
    "id_token: signature_not_base64url": ("signature's last letter with stray bits",),
    "id_token: not_a_token": (
        "two parts",
        "four parts",
        "no token at all",
        "token empty",
        "id_token encrypted",
        "id_token of a megabyte",
    ),
    "id_token: key": (
        "H18 kid not in the key set",
        "kid empty",
        "two keys of one kid",
        "key set empty",
        "keys without keys",
        "keys not in a list",
    ),
    "id_token: key_name": ("kid an integer",),
    "id_token: key_not_named": ("no kid, several keys of which one fits",),
    "id_token: key_does_not_fit": (
        "key for encryption",
        "key of another algorithm",
        "key not for verifying",
        "keys of nonsense",
    ),
    "id_token: algorithm": (
        "key set with a secret of ours",
        "H20 alg none, RS256 listed",
        "H21 alg none, RS256 and none listed",
        "H22 alg none, no list",
        "alg nOnE",
        "alg missing",
        "alg null",
        "alg in a list",
        "alg in small letters",
        "H23 HS256 with the public key in PEM",
        "HS256 with the public key in DER",
        "HS256 with our client secret",
        "ES256 where RS256 is listed",
        "PS256 where RS256 is listed",
        "RS512 where RS256 is listed",
    ),
    "discovery: no_algorithm": (
        "alg none, none alone listed",
        "no algorithm of ours listed",
        "algorithms not in a list",
    ),
    "id_token: critical_header": (
        "critical header",
        "unencoded payload",
    ),
    "id_token: typ": (
        "a logout token",
        "a logout token in full",
        "a logout token in capitals",
    ),
    "id_token: missing": (
        "H24 no id_token",
        "id_token null",
        "id_token a mapping",
    ),
    "id_token: at_hash": (
        "H25 at_hash wrong",
        "at_hash empty",
        "at_hash null",
        "at_hash of the whole digest",
    ),
    "exchange: no_access_token": ("access_token missing",),
    "exchange: token_type": (
        "token_type mac",
        "token_type missing",
        "token_type a list",
    ),
    "exchange: refused_by_provider": (
        "error beside the tokens",
        "token reply a list",
        "token reply null",
        "token reply 403 with good tokens",
        "token reply 401 with good tokens",
        "token reply 202 with good tokens",
        "token reply refused",
        "code of nobody",
    ),
    "exchange: not_json": ("token reply HTML",),
    "exchange: status": ("token reply 500",),
    "userinfo: status": (
        "userinfo 401",
        "userinfo 500",
    ),
    "userinfo: not_json": ("userinfo signed as a token",),
    "id_token: header_not_json": ("id_token with blanks",),
    "callback: iss_missing": ("H26 iss missing though advertised",),
    "callback: iss": (
        "callback iss of another",
        "callback iss empty",
        "callback iss of another, not advertised",
    ),
    "state: unknown": (
        "H27 state that nobody started",
        "state missing",
        "state empty",
        "H30 access_denied without state",
    ),
    "callback: code_missing": (
        "H28 code missing",
        "code empty",
    ),
    "callback: repeated_parameter": (
        "code twice",
        "iss twice",
    ),
    "provider: access_denied": ("H29 access_denied",),
    "provider: error": ("error beside a good code",),
    "account: email_unverified": (
        "H33 email_verified the text false",
        "email_verified the text true",
        "email_verified 1",
        "email_verified in a list",
        "email_verified false in the token, true in userinfo",
        "another address in userinfo than in the token",
        "email_verified missing",
        "email_verified false",
        "verified another address in userinfo",
    ),
    "account: email_not_plain": (
        "email with KELVIN SIGN-like letters",
        "email with a blank",
    ),
    "account: no_email": (
        "email in a list",
        "email missing",
    ),
    "userinfo: sub": (
        "userinfo of another sub",
        "userinfo without sub",
    ),
    "userinfo: not_an_object": ("userinfo a list",),
    "discovery: redirect": ("discovery redirects to a metadata address",),
    "keys: redirect": ("keys redirect",),
    "exchange: redirect": ("token endpoint redirects",),
    "discovery: too_large": ("discovery of 10 MB",),
    "keys: too_large": (
        "keys of 10 MB",
        "keys of 10 MB in 10 kB",
    ),
    "exchange: too_large": ("token reply of 10 MB",),
    "userinfo: too_large": ("userinfo of 10 MB",),
    "discovery: unreachable": ("discovery says nothing",),
    "discovery: not_json": ("discovery is no JSON",),
    "discovery: not_an_object": ("discovery is a list",),
    "discovery: status": ("discovery 404",),
    "keys: not_json": ("keys are no JSON",),
    "keys: not_an_object": ("keys are a list",),
    "discovery: jwks_uri_missing": (
        "keys at a loopback service of ours",
        "keys missing in discovery",
    ),
    "discovery: token_endpoint_missing": (
        "token endpoint missing in discovery",
        "token endpoint with a script",
    ),
    "discovery: authorization_endpoint_missing": (
        "authorization endpoint missing",
        "authorization endpoint with a script",
        "authorization endpoint with a line end",
    ),
}
"""The step and reason in the log, and the cases that end there."""
RULE_OF = {case: rule for rule, cases in FALLS_BY.items() for case in cases}


def test_every_case_is_expected_to_fall_by_one_rule() -> None:
    assert set(RULE_OF) == set(REFUSED)


@pytest.mark.parametrize("case", REFUSED)
def test_a_lie_is_refused_by_its_rule(stage: Stage, case: str) -> None:
    visitor = stage.visitor()
    REFUSED[case](stage.provider)
    stage.is_refused(visitor, visitor.log_in(stage.sso), rule=RULE_OF[case])
    is_burned = RULE_OF[case] != "state: unknown"  # that attempt was not named
    assert stage.count("attempts") == (0 if is_burned else 1)


@pytest.mark.parametrize("case", [name for name in REFUSED if name[0] == "H" and name[1].isdigit()][::4])
def test_the_second_login_is_looked_at_as_closely_as_the_first(stage: Stage, case: str) -> None:
    """Authlib's own checks took a foreign issuer at the second login, having eaten their options at the first."""
    for _ in range(3):
        visitor = stage.visitor()
        REFUSED[case](stage.provider)
        stage.is_refused(visitor, visitor.log_in(stage.sso), rule=RULE_OF[case])
        stage.provider.reset()
    assert stage.visitor().log_in(stage.sso).status_code == 303


def only_key_unnamed(provider: HostileProvider) -> None:
    provider.header = {"kid": REMOVE}


def signed_with(key: signing.Key) -> Change:
    def change(provider: HostileProvider) -> None:
        provider.key, provider.jwks = key, [key]
        provider.metadata = {"id_token_signing_alg_values_supported": ["RS256", key.alg]}

    return change


ADMITTED: dict[str, Change] = {
    "H1 nothing changed": setting(),
    "H19 no kid, the only key": only_key_unnamed,
    "no list of algorithms": discovery(id_token_signing_alg_values_supported=REMOVE),
    "aud in a list": claim(aud=["rp"]),
    "azp us": claim(azp="rp"),
    "at_hash missing": claim(at_hash=REMOVE),
    "sub of 255 characters": both(claim(sub="x" * 255), setting(userinfo={"sub": "x" * 255})),
    "clock 50 seconds behind": setting(skew=-50),
    "clock 50 seconds ahead": setting(skew=50),
    "exp with a fraction": claim(exp=Moment(300.5)),
    "ES256 listed": signed_with(signing.ec_key("k1")),
    "ES384 listed": signed_with(signing.ec_key("k1", "P-384")),
    "EdDSA listed": signed_with(signing.ed25519_key("k1")),
    "PS256 listed": both(setting(alg="PS256"), listing("RS256", "PS256")),
    "token_type in small letters": setting(token_reply={"token_type": "bearer"}),
    "iss not advertised and missing": both(
        setting(callback={"iss": REMOVE}), discovery(authorization_response_iss_parameter_supported=REMOVE)
    ),
    "address in capitals": setting(person={"sub": "u1", "email": "ADA@Example.COM", "email_verified": True}),
    "address in userinfo alone": claim(email=REMOVE, email_verified=REMOVE),
    "proof in userinfo alone": claim(email_verified=REMOVE),
    "no userinfo endpoint": discovery(userinfo_endpoint=REMOVE),
    "client_secret_post alone": setting(client_auth={"client_secret_post"}),
    "other keys beside ours": lambda provider: provider.jwks.extend(
        [signing.ec_key("e1"), {"kty": "weird", "kid": "w"}, {"nothing": 1}]
    ),
}


@pytest.mark.parametrize("case", ADMITTED)
def test_what_is_not_a_lie_is_let_in(stage: Stage, case: str) -> None:
    visitor = stage.visitor()
    ADMITTED[case](stage.provider)
    answer = visitor.log_in(stage.sso)
    assert (answer.status_code, answer.headers.get("Location")) == (303, "/me"), answer.text
    assert visitor.is_in
    assert stage.count("attempts") == 0


def test_the_request_carries_pkce_state_and_nonce_afresh(stage: Stage) -> None:
    seen = []
    for _ in range(2):
        asked = parse_qs(urlsplit(stage.visitor().start(stage.sso).headers["Location"]).query)
        assert asked["code_challenge_method"] == ["S256"]
        assert asked["response_type"] == ["code"]
        assert asked["redirect_uri"] == [f"http://localhost/sso/{stage.sso.id}/callback"]
        seen.append({asked[name][0] for name in ("state", "nonce", "code_challenge")})
        assert all(len(each) >= 43 for each in seen[-1])
    assert not seen[0] & seen[1]


def test_a_missing_iss_costs_no_token_request(stage: Stage) -> None:
    stage.provider.callback = {"iss": REMOVE}
    stage.visitor().log_in(stage.sso)
    assert stage.provider.counts["token"] == 0


def test_the_providers_own_words_are_shown_to_nobody(stage: Stage) -> None:
    stage.provider.callback = {"error": "access_denied", "error_description": "call +1 555 now"}
    answer = stage.visitor().log_in(stage.sso)
    assert "said no" in answer.text
    assert "555" not in answer.text
    assert log_of(stage.house)[0]["reason"] == "access_denied"
    stage.provider.callback = {"error": "access_denied", "error_description": "call +1 555 now", "state": "x"}
    answer = stage.visitor().log_in(stage.sso)
    assert "said no" not in answer.text
    assert log_of(stage.house)[0]["step"] == "state"


@pytest.mark.parametrize(("claims", "admitted"), [({}, True), ({"auth_time": REMOVE}, False)])
def test_max_age_demands_an_auth_time(
    database_url: str, provider: HostileProvider, claims: Any, admitted: bool
) -> None:
    """H31 and H32: what was asked for is remembered and enforced."""
    bad = [now(-3600), "now", True, None, now(3600)]
    house = House(database_url, provider_networks=LOOPBACK)
    sso = add_login(house, provider.issuer, max_age=1)
    stage = Stage(house, provider, sso, house.client())
    visitor = stage.visitor()
    for change in (claims, *([] if admitted else [{"auth_time": each} for each in bad])):
        provider.claims = change
        answer = visitor.log_in(sso)
        assert parse_qs(urlsplit(provider.seen["authorize"].query["redirect_uri"]).query) == {}
        assert provider.seen["authorize"].query["max_age"] == "1"
        if admitted:
            assert answer.status_code == 303
        else:
            stage.is_refused(visitor, answer, step="id_token")
    house.close()


def test_more_audiences_count_where_the_operator_excuses_them(database_url: str, provider: HostileProvider) -> None:
    """H8 with the flag of rule S5: our name in ``azp`` is then demanded."""
    house = House(database_url, provider_networks=LOOPBACK)
    sso = add_login(house, provider.issuer, extra_audiences=True)
    stage = Stage(house, provider, sso, house.client())
    for claims in ({"aud": ["rp", "other"]}, {"aud": ["other"], "azp": "rp"}, {"aud": ["rp", 1], "azp": "rp"}):
        provider.claims = claims
        visitor = stage.visitor()
        stage.is_refused(visitor, visitor.log_in(sso), step="id_token")
    provider.claims = {"aud": ["rp", "other"], "azp": "rp"}
    assert stage.visitor().log_in(sso).status_code == 303
    house.close()


def test_a_linked_subject_needs_no_address_any_more(stage: Stage) -> None:
    """H33, and the address that changed at the provider: the subject is the person."""
    assert stage.visitor().log_in(stage.sso).status_code == 303
    for person in ({"email_verified": "false"}, {"email": "other@example.com"}, {"email": None}):
        stage.provider.person = {"sub": "u1", "email": "ada@example.com", "email_verified": True} | person
        visitor = stage.visitor()
        assert visitor.log_in(stage.sso).status_code == 303
        assert visitor.get("/auth/verify").headers["Remote-User"] == "ada@example.com"
    assert stage.count("identities") == 1


def test_another_subject_with_the_same_address_is_stopped(stage: Stage) -> None:
    """R4: a domain that was sold, or an account made anew."""
    assert stage.visitor().log_in(stage.sso).status_code == 303
    stage.provider.person = {"sub": "u2", "email": "ada@example.com", "email_verified": True}
    visitor = stage.visitor()
    assert visitor.log_in(stage.sso).status_code == 403
    assert not visitor.is_in
    assert log_of(stage.house)[0]["reason"] == "subject_mismatch"
    [(target,)] = rows(stage.house.database, "SELECT target FROM audit_records WHERE action = 'sso.subject_mismatch'")
    assert target == stage.ada


# ------------------------------------------------------------------------------------------------------------ sequences


@pytest.mark.parametrize("same_kid", [False, True])
def test_a_rotated_key_is_fetched_once(stage: Stage, same_kid: bool) -> None:
    assert stage.visitor().log_in(stage.sso).status_code == 303
    stage.provider.rotate(same_kid=same_kid)
    assert stage.visitor().log_in(stage.sso).status_code == 303
    assert stage.visitor().log_in(stage.sso).status_code == 303
    assert stage.provider.counts["jwks"] == 2
    assert stage.provider.counts["discovery"] == 1


def test_bad_tokens_cost_one_key_fetch_a_minute(stage: Stage) -> None:
    stage.visitor().log_in(stage.sso)
    stage.provider.header = {"kid": "k9"}
    for _ in range(25):
        stage.visitor().log_in(stage.sso)
    url = f"/sso/{stage.sso.id}/backchannel-logout"
    for n in range(200):
        token = stage.provider.logout_token(header={"kid": f"unknown-{n}"})
        assert stage.visitor().browser.post(url, data={"logout_token": token}).status_code == 400
    assert stage.provider.counts["jwks"] == 2


def test_metadata_is_not_believed_for_more_than_an_hour(stage: Stage) -> None:
    stage.visitor().log_in(stage.sso)
    old = "UPDATE sso_connections SET fetched = '2026-01-01T00:00:00.000000Z' RETURNING id"
    stage.house.database.run(Statement(old), {})
    stage.provider.metadata = {"issuer": OTHER}
    visitor = stage.visitor()
    assert visitor.log_in(stage.sso).status_code == 400
    assert not visitor.is_in
    stage.provider.metadata = {}
    assert stage.visitor().log_in(stage.sso).status_code == 303


def test_an_answer_counts_once(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    assert visitor.get(callback).status_code == 303
    again = visitor.get(callback)
    assert again.status_code == 400
    assert stage.provider.counts["token"] == 1
    assert visitor.is_in, "a repeated answer ends nobody's session"


def test_an_old_cookie_does_not_bring_an_answer_back(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    cookie = visitor.browser.get_cookie("scim_browser")
    assert cookie is not None
    assert visitor.get(callback).status_code == 303
    other = stage.visitor()
    other.browser.set_cookie("scim_browser", cookie.value)
    assert other.get(callback).status_code == 400
    assert not other.is_in


def test_an_answer_counts_in_the_browser_that_asked(stage: Stage) -> None:
    visitor, thief = stage.visitor(), stage.visitor()
    thief.start(stage.sso)
    callback = visitor.sent_back(stage.sso)
    assert thief.get(callback).status_code == 400
    assert not thief.is_in
    assert visitor.get(callback).status_code == 400, "and then no more at all"


def test_an_answer_older_than_ten_minutes_counts_no_more(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    stage.house.database.run(
        Statement("UPDATE attempts SET expires = '2026-01-01T00:00:00.000000Z' RETURNING id"), {}
    )  # fmt: skip
    stage.is_refused(visitor, visitor.get(callback), step="state")


def test_an_answer_of_one_provider_counts_at_no_other(stage: Stage) -> None:
    with HostileProvider() as evil:
        theirs = add_login(stage.house, evil.issuer, name="evil")
        visitor = stage.visitor()
        callback = visitor.sent_back(stage.sso)
        mixed = callback.replace(stage.sso.id, theirs.id)
        answer = visitor.get(mixed)
        assert answer.status_code == 400
        assert evil.counts["token"] == 0, "the code went nowhere"
        assert visitor.get(callback).status_code == 400, "burned"
        assert not visitor.is_in


def test_another_tenants_connection_does_not_take_the_answer(stage: Stage) -> None:
    stranger = stage.house.client(tenant="strangers")
    stranger.user("ada@example.com")
    tenant = rows(stage.house.database, "SELECT id FROM tenants WHERE name = 'strangers'")[0][0]
    theirs = add_login(stage.house, stage.provider.issuer, tenant=tenant)
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    assert visitor.get(callback.replace(stage.sso.id, theirs.id)).status_code == 400
    assert not visitor.is_in


def test_a_changed_connection_takes_no_answer_to_the_old_one(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    stage.house.database.run(Statement("UPDATE sso_connections SET version = version + 1 RETURNING id"), {})
    stage.is_refused(visitor, visitor.get(callback), step="state")


def test_a_browser_has_five_logins_on_their_way_at_most(stage: Stage) -> None:
    visitor = stage.visitor()
    callbacks = [visitor.sent_back(stage.sso) for _ in range(8)]
    assert stage.count("attempts") == 5
    assert [visitor.get(each).status_code for each in callbacks[:3]] == [400, 400, 400]
    assert visitor.get(callbacks[-1]).status_code == 303
    assert sum(len(each) for each in visitor.browser._cookies) < 4093  # type: ignore[attr-defined, union-attr]


def test_a_wrong_verifier_is_the_providers_to_refuse(stage: Stage) -> None:
    visitor = stage.visitor()
    callback = visitor.sent_back(stage.sso)
    [(data,)] = rows(stage.house.database, "SELECT data FROM attempts")
    spoiled = json.dumps(json.loads(data) | {"verifier": "x" * 64})
    stage.house.database.run(Statement("UPDATE attempts SET data = :data RETURNING id"), {"data": spoiled})
    stage.is_refused(visitor, visitor.get(callback), step="exchange")


def test_a_provider_at_a_forbidden_address_is_never_asked(database_url: str, provider: HostileProvider) -> None:
    house = House(database_url)  # no network is allowed
    stage = Stage(house, provider, add_login(house, provider.issuer), house.client())
    visitor = stage.visitor()
    stage.is_refused(visitor, visitor.log_in(stage.sso), step="discovery")
    assert provider.requests == []
    house.close()


def test_where_a_login_leads_to_is_ours(stage: Stage) -> None:
    for wanted, to in (("/app?x=1", "/app?x=1"), ("//evil.example", "/me"), ("https://evil.example/", "/me")):
        assert stage.visitor().log_in(stage.sso, wanted).headers["Location"] == to
    assert local("http://localhost/a?b=c") == "/a?b=c"
