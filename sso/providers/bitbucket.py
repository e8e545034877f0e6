"""Bitbucket Cloud: OAuth 2 without an ID token; scopes are set on its OAuth consumer."""

from __future__ import annotations

from .. import identity
from ..errors import LoginRefused
from .base import Desk, Redeemed, Started, client, exchanged, fetched

SCOPE = "account email"


class Bitbucket:
    """bitbucket.org."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        base = desk.sso.settings.base_url
        self.site = base or "https://bitbucket.org"
        self.api = f"{base}/2.0" if base else "https://api.bitbucket.org/2.0"

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        url, _ = client(self.desk, started.redirect_uri, SCOPE).create_authorization_url(
            f"{self.site}/site/oauth2/authorize", state=state, code_verifier=started.verifier
        )
        return url, False

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        if named is not None and named != self.site:
            raise LoginRefused("callback", "iss")

    def redeem(self, code: str, started: Started) -> Redeemed:
        session = client(self.desk, started.redirect_uri, SCOPE)
        reply = exchanged(session, f"{self.site}/site/oauth2/access_token", code, started)
        granted = str(reply.get("scopes", reply.get("scope", ""))).replace(",", " ").split()
        if "email" not in granted or not {"account", "account:write"} & set(granted):
            raise LoginRefused("exchange", "scope")
        token = reply["access_token"]
        user = fetched(self.desk.network, f"{self.api}/user", token, "user")
        emails = fetched(self.desk.network, f"{self.api}/user/emails?pagelen=100", token, "emails")
        return Redeemed(identity.of_bitbucket(self.desk.sso, user, emails))
