"""OAuth 2 without an ID token, as GitHub and Bitbucket have it: subject and addresses come from an API."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..errors import LoginRefused
from .base import Desk, Started, client, exchanged, fetched


class Site(NamedTuple):
    """Where a provider is: its pages, its API, the paths of the two endpoints, and the issuers it may name."""

    root: str
    api: str
    authorize: str
    token: str
    issuers: tuple[str, ...]


class OAuthProvider:
    """What such providers have in common."""

    scope = ""

    def __init__(self, desk: Desk, site: Site) -> None:
        self.desk, self.site = desk, site

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        """Where to send the browser; none of them promises to name itself."""
        url, _ = client(self.desk, started.redirect_uri, self.scope).create_authorization_url(
            self.site.root + self.site.authorize, state=state, code_verifier=started.verifier
        )
        return url, False

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        """Whether an answer that names its issuer comes from here. Raises LoginRefused."""
        if named is not None and named not in self.site.issuers:
            raise LoginRefused("callback", "iss")

    def exchanged(self, code: str, started: Started) -> dict[str, Any]:
        """The token reply. Raises LoginRefused."""
        session = client(self.desk, started.redirect_uri, self.scope)
        return exchanged(session, self.site.root + self.site.token, code, started)

    def asked(self, path: str, reply: dict[str, Any], step: str) -> Any:
        """What the API says with the access token. Raises LoginRefused."""
        return fetched(self.desk.network, self.site.api + path, reply["access_token"], step)


def scopes(granted: object) -> set[str]:
    """The scopes of a token reply, by blank or comma."""
    return set(str(granted or "").replace(",", " ").split())
