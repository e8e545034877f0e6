"""GitHub: OAuth 2 without an ID token. Subject and addresses come from its API, never from the token reply."""

from __future__ import annotations

from .. import identity
from ..errors import LoginRefused
from .base import Desk, Redeemed, Started, client, exchanged, fetched

SCOPE = "read:user user:email"


class GitHub:
    """github.com, or a GitHub Enterprise Server by its base URL."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        base = desk.sso.settings.base_url
        self.site = base or "https://github.com"
        self.api = f"{base}/api/v3" if base else "https://api.github.com"

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        url, _ = client(self.desk, started.redirect_uri, SCOPE).create_authorization_url(
            f"{self.site}/login/oauth/authorize", state=state, code_verifier=started.verifier
        )
        return url, False

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        if named is not None and named not in (self.site, f"{self.site}/login/oauth"):
            raise LoginRefused("callback", "iss")

    def redeem(self, code: str, started: Started) -> Redeemed:
        session = client(self.desk, started.redirect_uri, SCOPE)
        reply = exchanged(session, f"{self.site}/login/oauth/access_token", code, started)
        granted = str(reply.get("scope", "")).replace(",", " ").split()
        if not {"user:email", "user"} & set(granted):  # people can take it away on GitHub's page
            raise LoginRefused("exchange", "scope")
        token = reply["access_token"]
        user = fetched(self.desk.network, f"{self.api}/user", token, "user")
        emails = fetched(self.desk.network, f"{self.api}/user/emails?per_page=100", token, "emails")
        return Redeemed(identity.of_github(self.desk.sso, user, emails))
