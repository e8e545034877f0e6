"""GitLab as an OpenID provider: an ID token of few claims, the rest in userinfo, and no sign of RFC 9207."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.idp import signing
from tests.idp.grants import CodeProvider, Grant
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE


@dataclass
class GitLabPerson:
    """An account. ``verified`` is GitLab's "confirmed": a self-managed instance can say so without proof."""

    id: int = 1207
    username: str = "ada"
    name: str = "Ada Lovelace"
    email: str = "ada@example.com"
    verified: Any = True
    public_email: str | None = None  # what the ID token holds when the scope email was not asked for
    groups: tuple[str, ...] = ("analysts", "analysts/engines")


class GitLab(HostileProvider):
    """``person`` is a ``GitLabPerson``; all knobs of ``HostileProvider`` apply."""

    PATHS: ClassVar[dict[str, str]] = {
        **HostileProvider.PATHS,
        "jwks": "/oauth/discovery/keys",
        "authorize": "/oauth/authorize",
        "token": "/oauth/token",
        "userinfo": "/oauth/userinfo",
    }

    def reset(self) -> None:
        super().reset()
        self.enforce_pkce = None
        self.jwks = [self.key.jwk(alg="RS256"), signing.rsa_key("ci").jwk(alg="RS256")]  # the other signs for pipelines

    def new_person(self) -> GitLabPerson:
        return GitLabPerson()

    def callback_parameters(self, grant: Grant) -> dict[str, Any]:
        return CodeProvider.callback_parameters(self, grant)

    def refused_parameters(self, query: dict[str, str], error: str, description: str) -> dict[str, Any]:
        return CodeProvider.refused_parameters(self, query, error, description)

    def id_token_claims(self, grant: Grant) -> dict[str, Any]:
        who: GitLabPerson = grant.person
        legacy = hashlib.sha256(f"{who.id}-gitlab".encode()).hexdigest()
        named: dict[str, Any] = {"sub": str(who.id), "sub_legacy": legacy}
        if "email" in grant.scopes:
            named |= {"email": who.email, "email_verified": who.verified}
        elif who.public_email:
            named |= {"email": who.public_email, "email_verified": who.verified}
        return {**named, "groups_direct": list(who.groups)}

    def userinfo_claims(self, grant: Grant) -> dict[str, Any]:
        who: GitLabPerson = grant.person
        return {
            **self.id_token_claims(grant),
            "name": who.name,
            "nickname": who.username,
            "preferred_username": who.username,
            "website": "",
            "profile": f"{self.base}/{who.username}",
            "picture": f"{self.base}/uploads/-/system/user/avatar/{who.id}/avatar.png",
            "groups": list(who.groups),
            "https://gitlab.org/claims/groups/developer": list(who.groups),
        }

    def login_claims(self, grant: Grant, access_token: str) -> dict[str, Any]:
        now = self.now()
        claims = self.base_claims() | {"exp": now + 120, "auth_time": now - 60} | self.id_token_claims(grant)
        return claims | {"nonce": grant.asked.get("nonce", REMOVE)}

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        members = super().token_members(grant, access_token)
        return {**members, "expires_in": 7200, "refresh_token": secrets.token_hex(32), "created_at": self.now()}

    def discovered(self) -> dict[str, Any]:
        return {
            "issuer": self.iss,
            "authorization_endpoint": self.url("authorize"),
            "token_endpoint": self.url("token"),
            "revocation_endpoint": f"{self.base}/oauth/revoke",
            "introspection_endpoint": f"{self.base}/oauth/introspect",
            "userinfo_endpoint": self.url("userinfo"),
            "jwks_uri": self.url("jwks"),
            "scopes_supported": ["api", "read_api", "read_user", "sudo", "openid", "profile", "email"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment", "form_post"],
            "grant_types_supported": ["authorization_code", "client_credentials", "device_code", "refresh_token"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claim_types_supported": ["normal"],
            "claims_supported": [
                "iss", "sub", "aud", "exp", "iat", "sub_legacy", "name", "nickname", "preferred_username", "email",
                "email_verified", "website", "profile", "picture", "groups", "groups_direct",
            ],
            "code_challenge_methods_supported": ["plain", "S256"],
        }  # fmt: skip
