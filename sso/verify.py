"""What an application gets: ``/auth/verify`` for a proxy in front of it, ``login_required`` for one that mounts us.

Each request asks the directory, so an account that ended is out with the next one.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from flask import Response, abort, redirect, request

from scim_server.directory import personal_tokens
from scim_server.directory.store.members import groups_of
from scim_server.protocol.render import Stored

from . import targets
from .door import current_session, host, root, the_door

P = ParamSpec("P")
R = TypeVar("R")


class Person(NamedTuple):
    """Who is logged in: ``id`` is stable, the rest may change."""

    id: str
    tenant: str
    username: str
    email: str
    name: str
    groups: tuple[str, ...]


def current_person() -> Person | None:
    """Whoever is logged in in this browser, or bears a personal token."""
    found = _asking()
    return None if found is None else _person(*found)


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only people who are logged in into a view; others are sent to log in, or get 401 where no page is asked."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if _asking() is None:
            if request.method == "GET" and _wants_page():
                wanted = request.full_path.removesuffix("?")
                abort(redirect(f"{root()}/login?{urlencode({'redirect': wanted})}", 303))
            abort(401)
        return view(*args, **kwargs)

    return guarded


def verify() -> Response:
    """GET /auth/verify: 200 with ``Remote-*`` headers; else 401, or 302 to the login for a page behind a proxy.

    nginx's ``auth_request`` wants 401; Traefik and Caddy pass our answer on to the browser and say for which page
    in ``X-Forwarded-*``.
    """
    found = _asking()
    if found is not None:
        return _told(_person(*found))
    wanted = request.headers.get("X-Forwarded-Uri")
    if wanted is None or request.headers.get("X-Forwarded-Method", "GET") != "GET" or not _wants_page():
        return Response(status=401, headers={"WWW-Authenticate": "Cookie"})
    here = request.headers.get("X-Forwarded-Host", host()) == host()
    query = f"?{urlencode({'redirect': targets.local(wanted)})}" if here else ""
    return redirect(f"{root()}/login{query}", 302)  # type: ignore[return-value]


def _asking() -> tuple[str, Stored] | None:
    """Tenant and account of whoever asks."""
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        bearer = personal_tokens.verify(the_door().database, text.strip())
        return None if bearer is None else (bearer.tenant, bearer.user)
    session = current_session()
    return None if session is None else (session.tenant, session.user)


def _person(tenant: str, user: Stored) -> Person:
    document: dict[str, Any] = user.document
    groups = groups_of(the_door().read(tenant), [user.id])[user.id]
    emails = document.get("emails") or []
    first = next((each for each in emails if each.get("primary")), emails[0] if emails else {})
    name = document.get("displayName") or (document.get("name") or {}).get("formatted") or document["userName"]
    email = str(first.get("value", "")) or (document["userName"] if "@" in document["userName"] else "")
    return Person(user.id, tenant, document["userName"], email, name, tuple(each.display for each in groups))


def _told(person: Person) -> Response:
    response = Response(status=200)
    response.headers["Remote-User"] = _header(person.username)
    response.headers["Remote-Email"] = _header(person.email)
    response.headers["Remote-Name"] = _header(person.name)
    response.headers["Remote-Groups"] = _header(",".join(each.replace(",", "%2C") for each in person.groups))
    return response


def _header(text: str) -> str:
    """UTF-8 as WSGI wants it (PEP 3333), on one line whatever a sender called somebody."""
    return "".join(each if each.isprintable() else quote(each) for each in text).encode().decode("latin-1")


def _wants_page() -> bool:
    """Whether a browser asks for a page, not a script for data."""
    accepts = request.headers.get("Accept", "")
    return "text/html" in accepts and request.headers.get("X-Requested-With", "").lower() != "xmlhttprequest"
