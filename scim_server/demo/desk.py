"""The company's HR desk: who works there, a button that ends an account through SCIM, and what that did."""

from __future__ import annotations

import hmac
import json
import secrets
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..directory.errors import DirectoryError, NotFound
from . import company, web
from .acting import Actor, Outcome, State

_OUTCOMES = 5
_RECEIPTS = 5
_LOGINS = 8


class Desk:
    """The desk's one page and its one form."""

    def __init__(self, actor: Actor, addresses: dict[str, str]) -> None:
        self._actor, self._addresses = actor, addresses
        self._token = secrets.token_urlsafe(32)  # one for the process: who can read the page may press its buttons
        self._outcomes: deque[Outcome] = deque(maxlen=_OUTCOMES)

    def view(self, environ: dict[str, Any]) -> web.Answer:
        """Whatever is asked of the desk."""
        asked = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        try:
            if asked == ("GET", "/"):
                return self._page()
            if asked == ("POST", "/switch"):
                return self._switch(web.form(environ))
        except DirectoryError as error:
            return web.page("error.html", "503 Service Unavailable", name="That did not work", description=str(error))
        return web.page("error.html", "404 Not Found", name="There is nothing here", description="")

    def _page(self) -> web.Answer:
        states = self._actor.states(_RECEIPTS)
        rows = [(each, states.get(each.username or "")) for each in company.PERSONAS]
        return web.page(
            "desk.html", company=company.NAME, rows=rows, outcomes=list(reversed(self._outcomes)), token=self._token,
            receipts=_latest(states), logins=self._actor.logins(_LOGINS), shown=_shown, **self._addresses,
        )  # fmt: skip

    def _switch(self, sent: dict[str, str]) -> web.Answer:
        if not hmac.compare_digest(sent.get("token", "").encode(), self._token.encode()):
            return web.page("error.html", "400 Bad Request", name="This page is too old", description="Load it again.")
        try:
            self._outcomes.append(self._actor.switch(sent.get("username", ""), active=sent.get("active") == "true"))
        except NotFound as error:
            return web.page("error.html", "404 Not Found", name="Nobody", description=str(error))
        return web.Answer("303 See Other", at="/#done")


@contextmanager
def running(place: web.Served, actor: Actor, addresses: dict[str, str]) -> Iterator[None]:
    """Open the desk at a place."""
    with place.showing(web.answering(Desk(actor, addresses).view)):
        yield


def _latest(states: dict[str, State]) -> list[dict[str, Any]]:
    """The latest receipts of all, whoever caused them: this desk, a second terminal, a provider."""
    found = [{**receipt, "username": name} for name, state in states.items() for receipt in state.receipts]
    return sorted(found, key=lambda each: str(each["at"]), reverse=True)[:_RECEIPTS]


def _shown(body: Any) -> str:
    return "" if body is None else json.dumps(body, indent=2, ensure_ascii=False)
