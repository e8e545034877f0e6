"""Bitbucket Cloud; scopes are set on its OAuth consumer."""

from __future__ import annotations

from .. import identity
from ..errors import LoginRefused
from .base import Desk, Redeemed, Started
from .oauth import OAuthProvider, Site, scopes

SCOPE = "account email"


class Bitbucket(OAuthProvider):
    """Its API tells the uuid and the addresses."""

    scope = SCOPE

    def __init__(self, desk: Desk) -> None:
        base = desk.sso.settings.base_url
        root, api = base or "https://bitbucket.org", f"{base}/2.0" if base else "https://api.bitbucket.org/2.0"
        super().__init__(desk, Site(root, api, "/site/oauth2/authorize", "/site/oauth2/access_token", (root,)))

    def redeem(self, code: str, started: Started) -> Redeemed:
        """Exchange the code and ask who it is. Raises LoginRefused."""
        reply = self.exchanged(code, started)
        granted = scopes(reply.get("scopes") or reply.get("scope"))
        if "email" not in granted or not {"account", "account:write"} & granted:
            raise LoginRefused("exchange", "scope")
        user = self.asked("/user", reply, "user")
        emails = self.asked("/user/emails?pagelen=100", reply, "emails")
        return Redeemed(identity.of_bitbucket(self.desk.sso, user, emails))
