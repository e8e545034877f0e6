"""Our cookies. Over https their names begin with ``__Host-``, which a browser takes from no other host or path."""

from __future__ import annotations

from flask import Flask, Request, Response, current_app, request
from flask.sessions import SecureCookieSessionInterface

from scim_server.directory import minting

HTTPS = "SCIM_SERVER_HTTPS"
SESSION = "scim_session"
BROWSER = "scim_browser"
LAST = "scim_last"
_FORM = "scim_form"
_YEAR = 365 * 24 * 3600


def name_of(cookie: str, asked: Request) -> str:
    """What a cookie is called on this connection."""
    return f"__Host-{cookie}" if is_secure(asked) else cookie


def is_secure(asked: Request) -> bool:
    """Whether the browser reaches us over https; the server's BASE_URL tells where a proxy ends TLS."""
    return asked.is_secure or bool(current_app.config.get(HTTPS))


def read(cookie: str) -> str:
    """The value that the browser sent, or nothing."""
    return request.cookies.get(name_of(cookie, request), "")[:200]


def browser() -> str:
    """What this browser is known by while it logs in; a new value where it has none yet."""
    return read(BROWSER) or minting.opaque()


def give(response: Response, cookie: str, value: str, *, lasting: bool = False) -> None:
    """Set a cookie that scripts and other sites do not see; it goes with the browser unless it is a lasting one."""
    response.set_cookie(
        name_of(cookie, request), value, max_age=_YEAR if lasting else None, path="/", httponly=True,
        secure=is_secure(request), samesite="Lax",
    )  # fmt: skip


def take_back(response: Response, cookie: str) -> None:
    """Delete a cookie."""
    response.delete_cookie(
        name_of(cookie, request), path="/", httponly=True, secure=is_secure(request), samesite="Lax"
    )  # fmt: skip


class FormSession(SecureCookieSessionInterface):
    """Flask's own session, which holds the form token alone, under the same rules as our cookies.

    An application that gives itself a key later on has the session it expects.
    """

    def __init__(self, key: str) -> None:
        self._key = key

    def get_cookie_name(self, app: Flask) -> str:
        return name_of(_FORM, request) if self._is_ours(app) else super().get_cookie_name(app)

    def get_cookie_secure(self, app: Flask) -> bool:
        return is_secure(request) if self._is_ours(app) else super().get_cookie_secure(app)

    def get_cookie_samesite(self, app: Flask) -> str | None:
        return "Lax" if self._is_ours(app) else super().get_cookie_samesite(app)

    def _is_ours(self, app: Flask) -> bool:
        return app.secret_key == self._key
