"""The WSGI callable of the SCIM door: one request in, one answer out, whatever happens.

It stands in front of Flask (``app.wsgi_app``) and takes what lies under ``/scim/v2``; the rest goes on.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from ..directory.errors import Contended
from ..directory.store.engine import Database
from ..limits import Limits
from . import responses
from .auth import require_token
from .requests import PREFIX, Request, from_environ
from .responses import Response
from .routes import Call, dispatch

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

_RETRIES = 3
_ALWAYS = (("Cache-Control", "private, no-cache"), ("X-Content-Type-Options", "nosniff"))
_STATUS = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Observer(Protocol):
    """Whoever counts and logs requests."""

    def handled(self, request: Request, response: Response, seconds: float) -> None:
        """Called once per request, after the answer is made."""

    def failed(self, request: Request) -> None:
        """Called inside an ``except`` for what nobody foresaw."""


class ScimDoor:
    """WSGI middleware that serves SCIM and passes everything else on."""

    def __init__(
        self, inner: WSGIApplication, database: Database, limits: Limits, base_url: str, observer: Observer
    ) -> None:
        self.inner, self.database, self.limits = inner, database, limits
        self.base_url, self.observer = base_url, observer

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if not path.startswith(PREFIX) or path[len(PREFIX) : len(PREFIX) + 1] not in ("", "/"):
            return self.inner(environ, start_response)
        begun = time.perf_counter()
        request = from_environ(environ, self.base_url, self.limits, secrets.token_hex(8), begun)
        response = self.answer(request)
        headers = [("X-Request-Id", request.id), *_ALWAYS, *response.headers]
        if response.status not in (204, 304):
            headers += [
                ("Content-Type", _media_type(request.headers.get("accept") or "")),
                ("Content-Length", str(len(response.body))),
            ]
        self.observer.handled(request, response, time.perf_counter() - begun)
        start_response(_STATUS[response.status], headers)
        return [b""] if request.method == "HEAD" else [response.body]

    def answer(self, request: Request) -> Response:
        """Authenticate, dispatch, and turn whatever is raised into an answer."""
        try:
            actor = require_token(self.database, request)
            request.actor = actor
            return _dispatched(Call(request, actor, self.database))
        except Exception as failure:  # noqa: BLE001 - the last place: nothing gets out but an answer
            response = responses.error(failure)
            if response is None:
                self.observer.failed(request)
                response = responses.internal_error(request.id)
            return response


def _dispatched(call: Call) -> Response:
    """Dispatch, and again when a deadlock undid it: to be the one that gives way is no fault of the client's."""
    for _ in range(_RETRIES):
        with suppress(Contended):
            return dispatch(call)
    return dispatch(call)


def _media_type(accept: str) -> str:
    """``application/scim+json`` (RFC 7644 §3.1), unless a client names plain JSON only."""
    if "application/json" in accept and "scim+json" not in accept and "*/*" not in accept:
        return "application/json"
    return "application/scim+json"
