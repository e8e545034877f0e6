"""Entra ID: an issuer per tenant, no ``email_verified``, a pairwise subject, PKCE that discovery does not mention."""

from __future__ import annotations

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from typing import Any, ClassVar

from tests.idp.grants import CodeProvider, Grant
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE, Reply, Request
from tests.idp.signing import Key, b64

TENANT = "9b2f6a1e-5c7d-4e3a-8f10-2d4c6b8a0e12"
OTHER_TENANT = "1f0e9d8c-7b6a-4958-8776-6554433221f0"
MULTI = ("common", "organizations", "consumers")
CODES = {"invalid_client": 7000215, "invalid_grant": 54005, "invalid_request": 900144, "unsupported_grant_type": 70003}


@dataclass
class EntraPerson:
    """A member of the tenant; see ``guest``. ``oid`` stays when the app registration is replaced, ``sub`` does not."""

    oid: str = "6f7c2b8e-3d41-4a5b-9c60-7e8f90a1b2c3"
    name: str = "Ada Lovelace"
    upn: str = "ada@example.com"
    email: str | None = "ada@example.com"  # any text an administrator wrote: nobody verified it
    edov: Any = None  # the optional claim xms_edov; None leaves it out
    idp: str | None = None
    acct: int | None = None

    def subject(self, client_id: str) -> str:
        return b64(hashlib.sha256(f"{client_id}|{self.oid}".encode()).digest())

    @classmethod
    def guest(cls, email: str = "ada@partner.test", home: str = OTHER_TENANT, **more: Any) -> EntraPerson:
        """Invited from ``home`` (a tenant, or live.com, google.com, mail); the ``tid`` is the host's all the same."""
        idp = f"https://sts.windows.net/{home}/" if home.count("-") == 4 else home
        guest = {"oid": "0d9c8b7a-6f5e-4d3c-8b2a-190807f6e5d4", "upn": email, "email": email, "idp": idp, "acct": 1}
        return cls(**{**guest, **more})


class Entra(HostileProvider):
    """``person`` is an ``EntraPerson``; all knobs of ``HostileProvider`` apply.

    ``tenant`` may be one of ``MULTI``: discovery then names the issuer ``…/{tenantid}/v2.0``, as Microsoft does.
    """

    PATHS: ClassVar[dict[str, str]] = {
        "discovery": "/{tenant}/v2.0/.well-known/openid-configuration",
        "jwks": "/{tenant}/discovery/v2.0/keys",
        "authorize": "/{tenant}/oauth2/v2.0/authorize",
        "token": "/{tenant}/oauth2/v2.0/token",
        "logout": "/{tenant}/oauth2/v2.0/logout",
        "userinfo": "/oidc/userinfo",  # on Microsoft Graph, in truth
        "elsewhere": "/elsewhere",
    }

    def __init__(self, tenant: str = TENANT) -> None:
        self.tenant = tenant
        super().__init__(f"/{tenant}/v2.0")

    def reset(self) -> None:
        super().reset()
        self.enforce_pkce = None
        self.tid = TENANT if self.tenant in MULTI else self.tenant  # of the tokens
        # Of discovery alone: tokens follow `tid`.
        self.iss = self.issuer_of("{tenantid}") if self.tenant in MULTI else self.issuer

    def new_person(self) -> EntraPerson:
        return EntraPerson()

    def path(self, endpoint: str) -> str:
        return self.PATHS[endpoint].replace("{tenant}", self.tenant)

    def issuer_of(self, tid: str) -> str:
        return f"{self.base}/{tid}/v2.0"

    def answer_as(self, tid: str = OTHER_TENANT) -> None:
        """Issue the tokens of another tenant, ``iss`` too: all tenants share Microsoft's signing keys."""
        self.tid = tid

    def callback_parameters(self, grant: Grant) -> dict[str, Any]:
        self.last_sid = grant.sid
        return CodeProvider.callback_parameters(self, grant) | {"session_state": str(uuid.uuid4())}

    def refused_parameters(self, query: dict[str, str], error: str, description: str) -> dict[str, Any]:
        return CodeProvider.refused_parameters(self, query, error, description)

    def base_claims(self) -> dict[str, Any]:
        begun = self.now() - 300  # Entra dates its tokens back by five minutes
        return {"aud": self.client_id, "iss": self.issuer_of(self.tid), "iat": begun, "nbf": begun, "exp": begun + 3900}

    def id_token_claims(self, grant: Grant) -> dict[str, Any]:
        who: EntraPerson = grant.person
        optional = {"idp": who.idp, "acct": who.acct, "xms_edov": who.edov}
        profile = {"name": who.name, "preferred_username": who.upn, "oid": who.oid} if "profile" in grant.scopes else {}
        mail = {"email": who.email} if "email" in grant.scopes and who.email is not None else {}
        return {
            **{name: value for name, value in optional.items() if value is not None},
            **mail,
            **profile,
            "rh": f"1.{b64(self.tid.encode())[:40]}.",
            "sub": who.subject(self.client_id),
            "tid": self.tid,
            "uti": secrets.token_urlsafe(16),
            "ver": "2.0",
        }

    def login_claims(self, grant: Grant, access_token: str) -> dict[str, Any]:
        # auth_time is an optional claim, and comes unasked with max_age.
        asked = {"auth_time": self.now()} if "max_age" in grant.asked else {}
        claims = self.base_claims() | self.id_token_claims(grant) | {"sid": grant.sid} | asked
        return claims | {"nonce": grant.asked.get("nonce", REMOVE)}

    def userinfo_claims(self, grant: Grant) -> dict[str, Any]:
        who: EntraPerson = grant.person
        given, _, family = who.name.rpartition(" ")
        return {
            "sub": who.subject(self.client_id),
            "name": who.name,
            "family_name": family,
            "given_name": given,
            "picture": "https://graph.microsoft.com/v1.0/me/photo/$value",
            **({} if who.email is None else {"email": who.email}),
        }

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        members = super().token_members(grant, access_token)
        return {**members, "expires_in": 3737, "ext_expires_in": 3737}

    def token_refused(self, error: str, description: str, request: Request) -> Reply:
        code, trace = CODES.get(error, 90000), str(uuid.uuid4())
        body = {
            "error": error,
            "error_description": f"AADSTS{code}: {description} Trace ID: {trace} Timestamp: 2026-11-20 09:00:00Z",
            "error_codes": [code],
            "timestamp": "2026-11-20 09:00:00Z",
            "trace_id": trace,
            "correlation_id": str(uuid.uuid4()),
            "error_uri": f"{self.base}/error?code={code}",
        }
        return Reply(401 if error == "invalid_client" else 400, body)

    def published(self, keys: list[Key | dict[str, Any]]) -> dict[str, Any]:
        return {"keys": [self._described(each) if isinstance(each, Key) else each for each in keys]}

    def _described(self, key: Key) -> dict[str, Any]:
        certificate = key.certificate
        return key.jwk(
            x5t=b64(hashlib.sha1(certificate).digest()),
            x5c=[base64.b64encode(certificate).decode()],
            cloud_instance_name="microsoftonline.com",
            issuer=self.iss,
        )

    def discovered(self) -> dict[str, Any]:
        return {
            "token_endpoint": self.url("token"),
            "token_endpoint_auth_methods_supported": [
                "client_secret_post", "private_key_jwt", "client_secret_basic", "self_signed_tls_client_auth",
            ],
            "jwks_uri": self.url("jwks"),
            "response_modes_supported": ["query", "fragment", "form_post"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "issuer": self.iss,
            "request_uri_parameter_supported": False,
            "userinfo_endpoint": self.url("userinfo"),
            "authorization_endpoint": self.url("authorize"),
            "device_authorization_endpoint": f"{self.base}/{self.tenant}/oauth2/v2.0/devicecode",
            "http_logout_supported": True,
            "frontchannel_logout_supported": True,
            "end_session_endpoint": self.url("logout"),
            "claims_supported": [
                "sub", "iss", "cloud_instance_name", "cloud_instance_host_name", "cloud_graph_host_name",
                "msgraph_host", "aud", "exp", "iat", "auth_time", "acr", "nonce", "preferred_username", "name",
                "tid", "ver", "at_hash", "c_hash", "email",
            ],
            "kerberos_endpoint": f"{self.base}/{self.tenant}/kerberos",
            "tenant_region_scope": "EU",
            "cloud_instance_name": "microsoftonline.com",
            "cloud_graph_host_name": "graph.windows.net",
            "msgraph_host": "graph.microsoft.com",
            "rbac_url": "https://pas.windows.net",
        }  # fmt: skip
