"""Every path of the login and what answers it, in one table; and how it is hung into a Flask application."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import HTTPException

from scim_server.directory import logins, sso_connections
from scim_server.directory.errors import Unavailable

from . import callback, choosing, cookies, local, login, me, pages, signout, verify
from .door import LoginDoor, hang, request_id, the_door, visit
from .errors import LoginRefused, Sentence

_LARGEST_FORM = 65_536  # bytes
_ABOUT_NOBODY = ("state", "link")  # steps at which anybody can be refused without having begun anything


class Route(NamedTuple):
    """One row of the table. ``form`` tells whether it is one of our forms that posts here."""

    path: str
    method: str
    view: Callable[..., Response]
    form: bool = True


ROUTES = (
    Route("/login", "GET", login.page),
    Route("/login", "POST", local.log_in),
    Route("/login/confirm", "GET", local.confirmation),
    Route("/login/confirm", "POST", local.confirm),
    Route("/login/<connection>", "GET", login.one),
    Route("/login/<connection>", "POST", login.start),
    Route("/select-account", "GET", choosing.page),
    Route("/select-account", "POST", choosing.choose),
    Route("/sso/<connection>/callback", "GET", callback.answer),
    Route("/sso/<connection>/backchannel-logout", "POST", signout.back_channel, form=False),
    Route("/sso/<connection>/global-token-revocation", "POST", signout.revoke_globally, form=False),
    Route("/password/<token>", "GET", local.password_page),
    Route("/password/<token>", "POST", local.set_password),
    Route("/logout", "GET", signout.page),
    Route("/logout", "POST", signout.log_out),
    Route("/logout/done", "GET", signout.done),
    Route("/me", "GET", me.page),
    Route("/me/sessions", "POST", me.end_sessions),
    Route("/auth/verify", "GET", verify.verify),
    Route("/auth/verify/<tenant>", "GET", verify.verify),
    Route("/login-assets/<name>", "GET", pages.asset),
)


def install(app: Flask, door: LoginDoor) -> None:
    """Hang the login into an application; one that has no sessions of its own gets ours for the form token."""
    hang(app.extensions, door)
    app.config[cookies.HTTPS] = door.settings.base_url.startswith("https:")
    if app.secret_key is None:
        app.secret_key = door.vault.derived("forms")
        app.session_interface = cookies.FormSession(app.secret_key)
    blueprint = Blueprint("login", __name__, template_folder="templates")
    for route in ROUTES:
        blueprint.add_url_rule(route.path, _endpoint(route), route.view, methods=[route.method])
    without_form = {f"login.{_endpoint(route)}" for route in ROUTES if not route.form}

    @blueprint.before_request
    def begin() -> None:
        g.begun = time.perf_counter()
        request.max_content_length = _LARGEST_FORM
        if request.method == "POST" and request.endpoint not in without_form:
            pages.require_form_token()

    blueprint.after_request(pages.guard)
    blueprint.register_error_handler(LoginRefused, refused)
    blueprint.register_error_handler(Exception, failed)
    app.register_blueprint(blueprint)
    app.register_error_handler(Unavailable, _busy)  # what ``login_required`` meets in a view of somebody else's


def refused(error: LoginRefused) -> Response:
    """Write a refusal down under its step, and show its sentence."""
    door = the_door()
    connection = (request.view_args or {}).get("connection", "")
    if error.sentence not in (Sentence.NOTHING, Sentence.STALE_FORM, Sentence.BUSY, Sentence.CROWDED):
        _note(door, connection, error)
    return pages.message(error.sentence)


def _note(door: LoginDoor, connection: str, error: LoginRefused) -> None:
    sso = sso_connections.find(door.database, connection)
    seen = visit(sso.kind if sso else "local", sso)
    about_nobody = error.step in _ABOUT_NOBODY and error.user_id is None
    if about_nobody and not door.noise.is_worth_a_line(seen.address):
        door.observer.login(seen, logins.REFUSED, error.step, error.reason)
        return
    with door.write(sso.tenant if sso else door.default_tenant) as tx:
        logins.record(
            tx, seen, logins.REFUSED, step=error.step, reason=error.reason, user_id=error.user_id,
            subject=error.subject, name=error.name,
        )  # fmt: skip
    door.observer.login(seen, logins.REFUSED, error.step, error.reason)


def page_of_error(error: Exception) -> Any:
    """What outside the login's own paths goes wrong, shown as inside; for an application that is ours alone."""
    found = failed(error)
    return pages.guard(found) if isinstance(found, Response) else found


def failed(error: Exception) -> Any:
    """A page for whatever else goes wrong."""
    if isinstance(error, HTTPException):
        return pages.http_error(error)
    if isinstance(error, Unavailable):
        return pages.message(Sentence.UNAVAILABLE)
    the_door().observer.page_failed(request_id())
    return pages.message(Sentence.FAILED)


def _busy(_: Unavailable) -> Response:
    return Response("The server is busy; try again in a moment.\n", 503, {"Retry-After": "2"}, mimetype="text/plain")


def _endpoint(route: Route) -> str:
    return f"{route.view.__module__.rpartition('.')[2]}_{route.view.__name__}"
