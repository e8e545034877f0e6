"""An OpenID provider that does whatever a test wants: honest as made, and each lie is one knob."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any, ClassVar

from tests.idp import signing
from tests.idp.grants import CodeProvider, Grant
from tests.idp.serving import REMOVE, Override, Reply, Request, changed, redirect, with_query
from tests.idp.signing import Key

LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"


class HostileProvider(CodeProvider):
    """The baseline of facts/sso.md 3.2; set knobs to leave it, ``reset()`` to return.

    An override is a mapping laid over the members, where ``REMOVE`` as value drops one, or a function from the members
    to new ones. ``path`` puts the whole provider below a path, which is then part of the issuer.
    """

    PATHS: ClassVar[dict[str, str]] = {
        "discovery": "/.well-known/openid-configuration",
        "jwks": "/jwks",
        "authorize": "/authorize",
        "token": "/token",
        "userinfo": "/userinfo",
        "logout": "/logout",
        "elsewhere": "/elsewhere",  # the key set that a header's jku or a redirect points to: nobody should come
    }

    def __init__(self, path: str = "") -> None:
        self.prefix = path
        super().__init__()

    def reset(self) -> None:
        super().reset()
        self.issuer = self.base + self.prefix
        self.iss = self.issuer  # what it calls itself in discovery, tokens and callback
        self.clock: Callable[[], float] = time.time
        self.skew = 0.0  # seconds by which its clock is ahead
        self.key = signing.rsa_key("k1")  # what signs
        self.alg: str | None = None  # how, and the header's alg; None: as the key is made for
        self.header: Override = {}  # over the JOSE header
        self.claims: Override = {}  # over the claims of the ID token
        self.tamper: Callable[[str], str] | None = None  # the last word on the finished ID token
        self.metadata: Override = {}  # over the discovery document
        self.jwks: list[Key | dict[str, Any]] = [self.key]  # published: keys, or members as they are
        self.elsewhere: list[Key | dict[str, Any]] = []  # what the set at url("elsewhere") holds
        self.userinfo: Override = {}  # over what userinfo tells
        self.logout_callback: Override = {}  # over the parameters of the way back from logout
        self.last_sid = "no-login-yet"
        self._rotations = 1

    def new_person(self) -> Any:
        return {"sub": "u1", "email": "ada@example.com", "email_verified": True, "name": "Ada Lovelace"}

    def path(self, endpoint: str) -> str:
        return self.prefix + self.PATHS[endpoint]

    def now(self) -> int:
        return int(self.clock() + self.skew)

    def rotate(self, *, same_kid: bool = False) -> Key:
        """Replace the key, in the set too; the new one is called like the old one, or k2, k3, …"""
        self._rotations += 1
        name = f"k{self._rotations}"
        self.key = signing.rsa_key(name).named(self.key.kid if same_kid else name)
        self.jwks = [self.key]
        return self.key

    # ---------------------------------------------------------------------------------------------------------- tokens

    def id_token_claims(self, grant: Grant) -> dict[str, Any]:
        """Who it is, besides what every ID token has."""
        return dict(grant.person)

    def userinfo_claims(self, grant: Grant) -> dict[str, Any]:
        return dict(grant.person)

    def base_claims(self) -> dict[str, Any]:
        now = self.now()
        return {"iss": self.iss, "aud": self.client_id, "iat": now, "exp": now + 300}

    def mint(
        self, claims: dict[str, Any], *, header: Override | None = None, key: Key | None = None,
        alg: str | None = None, typ: str = "JWT",
    ) -> str:  # fmt: skip
        """Sign claims, by default with the key and algorithm of now."""
        key = key or self.key
        alg = alg or self.alg or key.alg
        named = {} if key.kid is None else {"kid": key.kid}
        return signing.compact(changed({"typ": typ, "alg": alg, **named}, header or {}), claims, key, alg)

    def login_claims(self, grant: Grant, access_token: str) -> dict[str, Any]:
        """The claims of a login's ID token before ``claims``."""
        members = self.base_claims() | self.id_token_claims(grant) | {"sid": grant.sid}
        members["at_hash"] = signing.half_hash(self.alg or self.key.alg, access_token)
        if "nonce" in grant.asked:
            members["nonce"] = grant.asked["nonce"]
        if "max_age" in grant.asked:
            members["auth_time"] = members["iat"]
        return members

    def _login_token(self, grant: Grant, access_token: str) -> str:
        token = self.mint(changed(self.login_claims(grant, access_token), self.claims), header=self.header)
        return self.tamper(token) if self.tamper else token

    def id_token(
        self, *, header: Override | None = None, key: Key | None = None, alg: str | None = None, **claims: Any
    ) -> str:
        """An ID token outside of any login; ``claims`` are overrides."""
        members = self.base_claims() | dict(self.person_claims()) | {"sid": self.last_sid}
        return self.mint(changed(members, claims), header=header, key=key, alg=alg)

    def person_claims(self) -> dict[str, Any]:
        return self.id_token_claims(Grant("", {}, self.person, ("openid", "profile", "email"), self.last_sid))

    def logout_token(
        self, *, header: Override | None = None, key: Key | None = None, alg: str | None = None, **claims: Any
    ) -> str:
        """A back-channel logout token for the person and the last session; ``claims`` are overrides."""
        members = self.base_claims()
        members |= {"exp": members["iat"] + 120, "jti": uuid.uuid4().hex, "events": {LOGOUT_EVENT: {}}}
        members |= {"sub": self.person_claims().get("sub", REMOVE), "sid": self.last_sid}
        return self.mint(changed(members, claims), header=header, key=key, alg=alg, typ="logout+jwt")

    # ------------------------------------------------------------------------------------------------------- endpoints

    def callback_parameters(self, grant: Grant) -> dict[str, Any]:
        self.last_sid = grant.sid
        return super().callback_parameters(grant) | {"iss": self.iss}

    def refused_parameters(self, query: dict[str, str], error: str, description: str) -> dict[str, Any]:
        return super().refused_parameters(query, error, description) | {"iss": self.iss}

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": " ".join(grant.scopes),
            "id_token": self._login_token(grant, access_token),
        }

    def discovered(self) -> dict[str, Any]:
        """The discovery document before ``metadata``."""
        return {
            "issuer": self.iss,
            "authorization_endpoint": self.url("authorize"),
            "token_endpoint": self.url("token"),
            "userinfo_endpoint": self.url("userinfo"),
            "jwks_uri": self.url("jwks"),
            "end_session_endpoint": self.url("logout"),
            "scopes_supported": ["openid", "email", "profile"],
            "response_types_supported": ["code"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": sorted(self.client_auth),
            "code_challenge_methods_supported": ["S256"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "nonce", "email", "email_verified", "name"],
            "authorization_response_iss_parameter_supported": True,
            "backchannel_logout_supported": True,
            "backchannel_logout_session_supported": True,
        }

    def on_discovery(self, _request: Request) -> Reply:
        return Reply(body=changed(self.discovered(), self.metadata))

    def on_jwks(self, _request: Request) -> Reply:
        return Reply(body=self.published(self.jwks))

    def on_elsewhere(self, _request: Request) -> Reply:
        return Reply(body=self.published(self.elsewhere))

    def published(self, keys: list[Key | dict[str, Any]]) -> dict[str, Any]:
        return {"keys": [each.jwk() if isinstance(each, Key) else each for each in keys]}

    def on_userinfo(self, request: Request) -> Reply:
        grant = self.bearer(request)
        if grant is None:
            return Reply(401, {"error": "invalid_token"}, {"WWW-Authenticate": 'Bearer error="invalid_token"'})
        return Reply(body=changed(self.userinfo_claims(grant), self.userinfo))

    def on_logout(self, request: Request) -> Reply:
        asked = request.query | request.form
        back = asked.get("post_logout_redirect_uri")
        if not back:
            return Reply(200, "You are logged out.")
        state = {"state": asked["state"]} if "state" in asked else {}
        return redirect(with_query(back, changed(state, self.logout_callback)))
