"""The login page, and the start of a login through a provider."""

from __future__ import annotations

import secrets
from dataclasses import asdict

from flask import Response, request

from scim_server.directory import attempts, minting
from scim_server.directory.sso_connections import SsoConnection

from . import cookies, pages
from .door import LoginDoor, current_session, root, the_door
from .providers import kinds
from .providers.base import Started

_MANY = 6
"""From so many connections on, a visitor names an address first."""


def page() -> Response:
    """GET /login: the ways in; for a visitor who is in already, the way on."""
    target = pages.target(request.args.get("redirect"))
    if current_session() is not None:
        return pages.go(target)
    return shown(target)


def shown(target: str, *, status: int = 200, username: str = "", problem: str = "") -> Response:
    """The login page; ``problem`` is a sentence about the password form."""
    door, email = the_door(), request.args.get("email", "").strip()[:320]
    offered = _offered(door, email)
    ask_first = offered is None
    response = pages.page(
        "login.html", status, connections=_last_first(offered or []), ask_first=ask_first, email=email, target=target,
        passwords=door.passwords_offered(), username=username, problem=problem,
        nothing=not ask_first and not offered and not email,
    )  # fmt: skip
    cookies.give(response, cookies.BROWSER, cookies.browser())
    return response


def one(connection: str) -> Response:
    """GET /login/<connection>: a link from elsewhere leads here, and the visitor goes on by a button.

    A login begins by an act of the visitor and not by somebody's link (OWASP ASVS 5.0.0, 7.6.2).
    """
    sso = the_door().connection(connection)
    target = pages.target(request.args.get("redirect"))
    response = pages.page("connection.html", connection=sso, target=target)
    cookies.give(response, cookies.BROWSER, cookies.browser())
    return response


def start(connection: str) -> Response:
    """POST /login/<connection>: begin a login and send the browser to the provider."""
    door = the_door()
    sso = door.connection(connection)
    started = Started(
        redirect_uri=f"{root()}/sso/{sso.id}/callback",
        verifier=secrets.token_urlsafe(48),
        nonce=minting.opaque(),
        max_age=sso.settings.max_age,
    )
    state, browser = minting.opaque(), cookies.browser()
    with door.at_provider():
        url, iss_required = kinds.provider(door.desk(sso)).authorization_url(started, state)
    data = asdict(started) | {
        "iss_required": iss_required, "version": sso.version, "target": pages.target(request.form.get("redirect")),
    }  # fmt: skip
    with door.write(sso.tenant) as tx:
        attempts.start(tx, browser, attempts.PROVIDER, data, sso_connection=sso.id, state=state)
    response = pages.go(url)
    cookies.give(response, cookies.BROWSER, browser)
    return response


def _offered(door: LoginDoor, email: str) -> list[SsoConnection] | None:
    """The connections to choose from; None asks for an address first."""
    every = door.connections()
    if email:
        named = [each for each in every if each.settings.domains and each.settings.owns(email)]
        return _told_apart(named) or [each for each in every if not each.settings.domains and not door.multi]
    return None if every and (door.multi or len(every) >= _MANY) else every


def _told_apart(offered: list[SsoConnection]) -> list[SsoConnection]:
    """Of several tenants' connections that look alike and ask the same of the same provider, one stands for all."""
    last = cookies.read(cookies.LAST)
    alike = {
        (each.name, each.kind, each.issuer, each.client_id, each.settings.max_age): each
        for each in sorted(offered, key=lambda each: each.id == last)
    }
    return list(alike.values())


def _last_first(offered: list[SsoConnection]) -> list[SsoConnection]:
    """The one that this browser used last stands first, the others by name."""
    last = cookies.read(cookies.LAST)
    return sorted(offered, key=lambda each: (each.id != last, each.name.casefold()))
