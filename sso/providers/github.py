"""GitHub: github.com, or an Enterprise Server by its base URL."""

from __future__ import annotations

from .. import identity
from ..errors import LoginRefused
from .base import Desk, Redeemed, Started
from .oauth import OAuthProvider, Site, scopes

SCOPE = "read:user user:email"


class GitHub(OAuthProvider):
    """Its API tells the numeric id and the addresses; the token reply tells only what was granted."""

    scope = SCOPE

    def __init__(self, desk: Desk) -> None:
        base = desk.sso.settings.base_url
        root = base or "https://github.com"
        api = f"{base}/api/v3" if base else "https://api.github.com"
        issuers = (root, f"{root}/login/oauth")
        super().__init__(desk, Site(root, api, "/login/oauth/authorize", "/login/oauth/access_token", issuers))

    def redeem(self, code: str, started: Started) -> Redeemed:
        """Exchange the code and ask who it is. Raises LoginRefused."""
        reply = self.exchanged(code, started)
        if not {"user:email", "user"} & scopes(reply.get("scope")):  # people can take it away on GitHub's page
            raise LoginRefused("exchange", "scope")
        user = self.asked("/user", reply, "user")
        emails = self.asked("/user/emails?per_page=100", reply, "emails")
        return Redeemed(identity.of_github(self.desk.sso, user, emails))
