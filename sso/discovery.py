"""What an OpenID provider publishes: its metadata and keys, checked, kept for an hour, shared by all workers.

S1 to S3 of the design's facts; OpenID Connect Discovery §4.3.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from scim_server.directory import sso_connections
from scim_server.directory.sso_connections import Published, SsoConnection
from scim_server.directory.store.engine import Database

from . import jose
from .errors import LoginRefused, Sentence
from .jose import BadToken, KeyNotFound, Signed
from .network import Network, ProviderUnreachable

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def url_of(issuer: str) -> str:
    """Where a provider's metadata is (OpenID Connect Discovery §4.1)."""
    return issuer.rstrip("/") + "/.well-known/openid-configuration"


def published(database: Database, sso: SsoConnection, network: Network) -> Published:
    """The provider's metadata and keys, fetched when there are none or they are an hour old. Raises LoginRefused."""
    now = datetime.now(UTC)
    known = sso_connections.published(database, sso, now)
    if known is not None:
        return known
    metadata = _fetched(network, url_of(sso.issuer), "discovery")
    check(metadata, sso.issuer)
    found = Published(metadata, _keys(network, metadata))
    sso_connections.keep_published(database, sso, found, now)
    return found


def check(metadata: dict[str, Any], issuer: str) -> None:
    """Whether metadata is that of the configured issuer and can be logged in with. Raises LoginRefused."""
    if metadata.get("issuer") != issuer:
        raise LoginRefused("discovery", "issuer_mismatch" if "issuer" in metadata else "issuer_missing")
    for name in _ENDPOINTS:
        if not is_url(metadata.get(name), issuer):
            raise LoginRefused("discovery", f"{name}_missing")
    if not jose.algorithms(metadata):
        raise LoginRefused("discovery", "no_algorithm")


def is_url(value: object, issuer: str) -> bool:
    """Whether a value is a URL that may be followed: https, or http where the issuer itself is."""
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme in ("https", urlsplit(issuer).scheme) and bool(parts.hostname) and not parts.fragment
    except ValueError:
        return False


def verified(database: Database, sso: SsoConnection, network: Network, token: str, known: Published) -> Signed:
    """A token whose signature holds by the provider's keys, which are fetched anew once a minute at most.

    Raises BadToken.
    """
    allowed = jose.algorithms(known.metadata)
    try:
        return jose.verified(token, known.keys, allowed)
    except KeyNotFound:
        if not sso_connections.may_refetch_keys(database, sso, datetime.now(UTC)):
            raise
    try:
        keys = _keys(network, known.metadata)
    except LoginRefused as error:
        raise BadToken(error.reason) from None
    sso_connections.keep_keys(database, sso, keys)
    return jose.verified(token, keys, allowed)


def _keys(network: Network, metadata: dict[str, Any]) -> dict[str, Any]:
    return _fetched(network, metadata["jwks_uri"], "keys")


def _fetched(network: Network, url: str, step: str) -> dict[str, Any]:
    try:
        value, _ = network.get_json(url)
    except ProviderUnreachable as error:
        raise LoginRefused(step, error.category, Sentence.PROVIDER_DOWN) from None
    if not isinstance(value, dict):
        raise LoginRefused(step, "not_an_object")
    return value
