"""Which provider a connection is with, by its kind: issuer, implementation, and what its console must contain."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from scim_server.directory.errors import Refused
from scim_server.directory.sso_connections import SsoSettings

from .base import Desk, Provider
from .bitbucket import SCOPE as BITBUCKET_SCOPE, Bitbucket
from .github import SCOPE as GITHUB_SCOPE, GitHub
from .oidc import SCOPE as OPENID_SCOPE, OpenIdProvider

_GUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CLOUD = {
    "google": "https://accounts.google.com",
    "github": "https://github.com",
    "gitlab": "https://gitlab.com",
    "bitbucket": "https://bitbucket.org",
}
_ENTRA = "https://login.microsoftonline.com"
CONSOLES: Mapping[str, str] = {
    "google": "Google Cloud console, APIs & Services, Credentials, OAuth client of type Web application: "
    "Authorised redirect URIs",
    "github": "GitHub, Settings, Developer settings, OAuth Apps: Authorization callback URL",
    "gitlab": "GitLab, Preferences or Admin, Applications: Redirect URI; scopes openid, email, profile; confidential",
    "bitbucket": "Bitbucket, Workspace settings, OAuth consumers: Callback URL; permissions Account: Email and Read; "
    "private consumer",
    "entra": "Entra admin center, App registrations, Authentication, platform Web: Redirect URIs; "
    "Token configuration: optional claims email and xms_edov in the ID token",
    "oidc": "The client at the provider: redirect URI; confidential, authorization code flow, PKCE S256",
}


def provider(desk: Desk) -> Provider:
    """The implementation for a connection."""
    kind = desk.sso.kind
    return GitHub(desk) if kind == "github" else Bitbucket(desk) if kind == "bitbucket" else OpenIdProvider(desk)


def openid(desk: Desk) -> OpenIdProvider | None:
    """The same where it speaks OpenID Connect."""
    found = provider(desk)
    return found if isinstance(found, OpenIdProvider) else None


def scope_of(kind: str) -> str:
    """The scopes that are asked for."""
    return {"github": GITHUB_SCOPE, "bitbucket": BITBUCKET_SCOPE}.get(kind, OPENID_SCOPE)


def issuer_of(kind: str, settings: SsoSettings, issuer: str) -> str:
    """The issuer of a connection, from what the operator gave. Raises Refused with what is missing."""
    if kind == "oidc":
        if not issuer:
            raise Refused("An OpenID Connect connection needs --issuer, exactly as the provider writes it.")
        return _checked(issuer, "--issuer")
    if kind == "entra":
        tenant = settings.entra_tenant
        if not _GUID.fullmatch(tenant):
            raise Refused(
                "An Entra connection needs --entra-tenant, the directory's GUID in lower case; "
                "common and organizations would let every directory in."
            )
        wanted = f"{issuer.rstrip('/') or _ENTRA}"
        return _checked(wanted if wanted.endswith(f"/{tenant}/v2.0") else f"{wanted}/{tenant}/v2.0", "--issuer")
    if issuer:
        raise Refused(f"A {kind} connection takes no --issuer; a self-managed server is named by --base-url.")
    if settings.base_url:
        if kind == "google":
            raise Refused("There is no self-managed Google; leave --base-url away.")
        return _checked(settings.base_url, "--base-url")
    return _CLOUD[kind]


def _checked(url: str, option: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("https", "http") and parts.hostname and not (parts.query or parts.fragment)
        good = good and parts.username is None and parts.port != 0 and url.isascii() and url.isprintable()
    except ValueError:
        good = False
    if not good:
        raise Refused(f"{option} must be a URL such as https://idp.example.com.")
    return url
