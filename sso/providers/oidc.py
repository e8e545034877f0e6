"""OpenID Connect: Google, GitLab, Entra and any other provider (OpenID Connect Core §3.1).

Authlib builds the request and exchanges the code; what comes back is believed only as far as ``jose`` and
``claims`` let it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from .. import claims, discovery, identity
from ..claims import Expected
from ..errors import LoginRefused
from ..jose import BadToken, Signed
from .base import Desk, Redeemed, Started, client, exchanged, fetched

SCOPE = "openid email profile"


class OpenIdProvider:
    """One OpenID provider, for one connection."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        metadata = self._metadata()
        url, _ = client(self.desk, started.redirect_uri, SCOPE).create_authorization_url(
            metadata["authorization_endpoint"],
            state=state,
            nonce=started.nonce,
            code_verifier=started.verifier,
            **({"max_age": started.max_age} if started.max_age else {}),
        )
        return url, metadata.get("authorization_response_iss_parameter_supported") is True

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        if named is None and required:
            raise LoginRefused("callback", "iss_missing")
        if named is not None and named != self.desk.sso.issuer:
            raise LoginRefused("callback", "iss")

    def redeem(self, code: str, started: Started) -> Redeemed:
        metadata = self._metadata()
        session = client(self.desk, started.redirect_uri, SCOPE, method=_method(metadata))
        reply = exchanged(session, metadata["token_endpoint"], code, started)
        token = reply.get("id_token")
        if not isinstance(token, str):
            raise LoginRefused("id_token", "missing")
        signed = self._checked(token, reply["access_token"], started)
        userinfo = self._userinfo(metadata, reply["access_token"], signed.claims)
        try:
            proof = identity.of_claims(self.desk.sso, signed.claims, userinfo)
        except BadToken as error:
            raise LoginRefused("claims", error.reason) from None
        sid, ends = signed.claims.get("sid"), metadata.get("end_session_endpoint")
        return Redeemed(
            proof,
            idp_sid=sid if isinstance(sid, str) and sid.isprintable() and len(sid) <= 255 else None,
            auth_time=_auth_time(signed.claims),
            id_token=self.desk.vault.seal(token) if discovery.is_url(ends, self.desk.sso.issuer) else None,
        )

    def end_session_url(self) -> str | None:
        """Where the provider logs people out (OpenID RP-Initiated Logout §2.1), if it does. Raises LoginRefused."""
        url = self._metadata().get("end_session_endpoint")
        return str(url) if discovery.is_url(url, self.desk.sso.issuer) else None

    def logout_token(self, token: str) -> Mapping[str, Any]:
        """The claims of a good logout token (OpenID Back-Channel Logout §2.6). Raises BadToken, LoginRefused."""
        signed = self.signed(token)
        claims.check_logout_token(signed, Expected(self.desk.sso.issuer, self.desk.sso.client_id, time.time()))
        return signed.claims

    def signed(self, token: str) -> Signed:
        """A token that this provider signed. Raises BadToken, LoginRefused."""
        desk = self.desk
        known = discovery.published(desk.database, desk.sso, desk.network)
        return discovery.verified(desk.database, desk.sso, desk.network, token, known)

    def _metadata(self) -> dict[str, Any]:
        return discovery.published(self.desk.database, self.desk.sso, self.desk.network).metadata

    def _checked(self, token: str, access_token: str, started: Started) -> Signed:
        desk = self.desk
        expected = Expected(
            issuer=desk.sso.issuer,
            client_id=desk.sso.client_id,
            now=time.time(),
            nonce=started.nonce,
            access_token=access_token,
            max_age=started.max_age,
            extra_audiences=desk.sso.settings.extra_audiences,
        )
        try:
            signed = self.signed(token)
            claims.check_id_token(signed, expected)
        except BadToken as error:
            raise LoginRefused("id_token", error.reason) from None
        return signed

    def _userinfo(self, metadata: Mapping[str, Any], access_token: str, known: Mapping[str, Any]) -> Any:
        """What the userinfo endpoint says of the same subject (§5.3.2); Google and Entra say all in the token."""
        url = metadata.get("userinfo_endpoint")
        if self.desk.sso.kind in ("google", "entra") or not discovery.is_url(url, self.desk.sso.issuer):
            return None
        found = fetched(self.desk.network, str(url), access_token, "userinfo")
        if not isinstance(found, dict):
            raise LoginRefused("userinfo", "not_an_object")
        if found.get("sub") != known.get("sub"):
            raise LoginRefused("userinfo", "sub")
        return found


def _method(metadata: Mapping[str, Any]) -> str:
    """How the client proves itself: in a header where that is possible, as it is by default (Core §9)."""
    listed = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
    if isinstance(listed, list) and "client_secret_basic" not in listed and "client_secret_post" in listed:
        return "client_secret_post"
    return "client_secret_basic"


def _auth_time(known: Mapping[str, Any]) -> float | None:
    try:
        return claims.number(known, "auth_time")
    except BadToken:
        return None
