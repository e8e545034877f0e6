"""What an application gets: ``/auth/verify`` for a proxy in front of it, ``login_required`` for one that mounts us.

Each request asks the directory, so an account that ended is out with the next one.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote, urlencode

from flask import Response, abort, current_app, make_response, redirect, request
from werkzeug.datastructures import WWWAuthenticate
from werkzeug.exceptions import Unauthorized

from scim_server.directory import personal_tokens, tenants
from scim_server.directory.errors import NotFound
from scim_server.directory.store.members import groups_of
from scim_server.protocol.render import Stored

from . import pages
from .door import current_session, host, root, the_door

P = ParamSpec("P")
R = TypeVar("R")

_ASKING, _PERSON = "scim_server.asking", "scim_server.person"  # what a request knows already
_PLAIN = "".join(chr(each) for each in range(0x20, 0x7F) if chr(each) != "%")
_EDGES = re.compile(r"^ | $")  # blanks that a header loses
_CHALLENGE = WWWAuthenticate("bearer", {"realm": "login"})  # a personal token would do (RFC 9110 §15.5.2)


class Person(NamedTuple):
    """Who is logged in: ``id`` is stable, the rest may change."""

    id: str
    tenant: str
    username: str
    email: str
    name: str
    groups: tuple[str, ...]


def current_person() -> Person | None:
    """Whoever is logged in in this browser, or bears a personal token; looked up once per request."""
    if _PERSON not in request.environ:
        found = _asking()
        request.environ[_PERSON] = None if found is None else _person(*found)
    known: Person | None = request.environ[_PERSON]
    return known


def login_required(view: Callable[P, R]) -> Callable[P, R]:
    """Let only people who are logged in into a view; others are sent to log in, or get 401 where no page is asked."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        if _asking() is None:
            _turn_away()
        entered: R = current_app.ensure_sync(view)(*args, **kwargs)
        return entered

    return guarded


def verify(tenant: str = tenants.DEFAULT) -> Response:
    """GET /auth/verify: 200 with ``Remote-*`` headers; else 401, or 302 to the login for a page behind a proxy.

    nginx's ``auth_request`` wants 401; Traefik and Caddy pass our answer on to the browser and say for which page
    in ``X-Forwarded-*``. A name means a person within one tenant only, so people of another one are refused.
    """
    found = _asking()
    if found is not None:
        return _told(_person(*found)) if found[0] == _id_of(tenant) else Response(status=403)
    wanted = request.headers.get("X-Forwarded-Uri")
    if wanted is None or request.headers.get("X-Forwarded-Method", "GET") != "GET" or not _wants_page():
        return Response(status=401, headers={"WWW-Authenticate": _CHALLENGE.to_header()})
    here = request.headers.get("X-Forwarded-Host", host()) == host()
    return _to_login(wanted if here else None, 302)


def _turn_away() -> NoReturn:
    if request.method == "GET" and _wants_page():
        path = quote(request.root_path.rstrip("/") + request.path, safe="/!$&'()*+,;=:@~")
        query = request.query_string.decode("latin-1")
        abort(_to_login(f"{path}?{query}" if query else path, 303))
    raise Unauthorized(www_authenticate=_CHALLENGE)


def _to_login(wanted: str | None, status: int) -> Response:
    query = "" if wanted is None else f"?{urlencode({'redirect': pages.target(wanted)})}"
    return make_response(redirect(f"{root()}/login{query}", status))


def _asking() -> tuple[str, Stored] | None:
    """Tenant and account of whoever asks. A bearer token speaks for itself, whatever cookie comes with it."""
    if _ASKING not in request.environ:
        request.environ[_ASKING] = _look_up()
    found: tuple[str, Stored] | None = request.environ[_ASKING]
    return found


def _look_up() -> tuple[str, Stored] | None:
    scheme, _, text = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        bearer = personal_tokens.verify(the_door().database, text.strip())
        return None if bearer is None else (bearer.tenant, bearer.user)
    session = current_session()
    return None if session is None else (session.tenant, session.user)


def _id_of(tenant: str) -> str | None:
    door = the_door()
    if tenant == tenants.DEFAULT:
        return door.default_tenant
    if not tenant.isprintable():  # NUL is in no name, and PostgreSQL takes none
        return None
    try:
        return tenants.named(door.database, tenant).id
    except NotFound:
        return None


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
    response.headers["Remote-Groups"] = ",".join(_header(each, apart=",") for each in person.groups)
    return response


def _header(text: str, apart: str = "") -> str:
    """A name in printable ASCII, the rest percent-encoded, so that two names never look the same.

    Raw UTF-8 would arrive as something else with every other server, proxy and framework (RFC 9110 §5.5).
    """
    encoded = quote(text, safe=_PLAIN.replace(apart, ""), errors="surrogatepass")
    return _EDGES.sub("%20", encoded)


def _wants_page() -> bool:
    """Whether a browser asks for a page, not a script for data."""
    accepts = request.headers.get("Accept", "")
    return "text/html" in accepts and request.headers.get("X-Requested-With", "").lower() != "xmlhttprequest"
