"""A browser on the running program, as ``visiting.Visitor`` is one on an application in this process."""

from __future__ import annotations

import re

from tests.idp.node import Browser
from tests.idp.serving import Answer

_FORM_TOKEN = re.compile(rb'name="csrf_token" value="([^"]+)"')


class Remote:
    """Cookies of its own, and a connection of its own for each request, so that every worker is met."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.browser = Browser()
        self._form_token = b""

    def get(self, path: str) -> Answer:
        """Ask for a path, or for a URL that a provider sends the browser to."""
        return self.browser.visit(path if path.startswith("http") else self.root + path)

    def post(self, path: str, /, **fields: str) -> Answer:
        """Send a form, with the token that a page of ours carries."""
        if not self._form_token:
            found = _FORM_TOKEN.search(self.get("/logout").body) or _FORM_TOKEN.search(self.get("/login").body)
            assert found is not None
            self._form_token = found[1]
        return self.browser.visit(self.root + path, {"csrf_token": self._form_token.decode(), **fields})

    def start(self, sso: str) -> str:
        """Press a connection's button: the provider's URL that the browser is sent to."""
        answer = self.post(f"/login/{sso}")
        assert answer.status == 303, answer
        return answer.headers["location"]

    @property
    def is_in(self) -> bool:
        """Whether this browser holds a session that counts."""
        return self.get("/auth/verify").status == 200
