"""What a login through a provider starts with, and what comes back of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from requests import Response

from scim_server.directory.identities import Proof
from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.engine import Database
from scim_server.directory.vault import Vault

from ..errors import LoginRefused, Sentence
from ..network import Network, ProviderUnreachable


@dataclass(frozen=True, slots=True)
class Started:
    """What a login carries to its callback. ``iss_required``: the provider promised to name itself (RFC 9207)."""

    redirect_uri: str
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    max_age: int = 0
    iss_required: bool = False


@dataclass(frozen=True, slots=True)
class Redeemed:
    """What a code was good for. ``id_token``, sealed, only where the provider wants it back at logout."""

    proof: Proof
    idp_sid: str | None = None
    auth_time: float | None = None
    id_token: str | None = field(default=None, repr=False)


class Desk(NamedTuple):
    """What a provider works with: whose connection, over which network, with which key."""

    sso: SsoConnection
    database: Database
    network: Network
    vault: Vault


class Provider(Protocol):
    """One kind of provider, for one connection."""

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        """Where to send the browser, and whether the answer must name its issuer. Raises LoginRefused."""

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        """Whether the answer comes from this provider (RFC 9207 §2.4). Raises LoginRefused."""

    def redeem(self, code: str, started: Started) -> Redeemed:
        """Exchange the code and find out who it is. Raises LoginRefused."""


def client(desk: Desk, redirect_uri: str, scope: str, *, method: str = "client_secret_basic") -> OAuth2Session:
    """Authlib's client for this connection: PKCE S256 always, every call guarded."""
    return desk.network.guard(
        OAuth2Session(
            client_id=desk.sso.client_id,
            client_secret=desk.vault.open(desk.sso.client_secret),
            token_endpoint_auth_method=method,
            scope=scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
    )


def exchanged(session: OAuth2Session, url: str, code: str, started: Started) -> dict[str, Any]:
    """The token reply (RFC 6749 §5.1). Raises LoginRefused."""
    session.register_compliance_hook("access_token_response", _require_ok)
    try:
        reply = session.fetch_token(
            url, code=code, code_verifier=started.verifier, headers={"Accept": "application/json"}
        )
    except ProviderUnreachable as error:
        raise unreachable("exchange", error) from None
    except (AuthlibBaseError, ValueError, TypeError, AttributeError, KeyError):
        raise LoginRefused("exchange", "refused_by_provider") from None
    if not isinstance(reply, Mapping) or not _is_text(reply.get("access_token")):
        raise LoginRefused("exchange", "no_access_token")
    token_type = reply.get("token_type")
    if not isinstance(token_type, str) or token_type.lower() != "bearer":
        raise LoginRefused("exchange", "token_type")
    return dict(reply)


def fetched(network: Network, url: str, access_token: str, step: str) -> Any:
    """What an API says with the access token. Raises LoginRefused."""
    headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
    try:
        value, _ = network.get_json(url, headers=headers)
    except ProviderUnreachable as error:
        raise unreachable(step, error) from None
    return value


def unreachable(step: str, error: ProviderUnreachable) -> LoginRefused:
    """A failure of the network, by its category."""
    return LoginRefused(step, error.category, Sentence.PROVIDER_DOWN)


def _require_ok(response: Response) -> Response:
    """Tokens come with 200 (RFC 6749 §5.1); Authlib would take them with any status below 500."""
    if response.status_code != 200:
        raise LoginRefused("exchange", "refused_by_provider" if response.status_code < 500 else "status")
    return response


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable() and bool(value)
