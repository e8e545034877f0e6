"""A person's own page: who they are here, and on which devices they are logged in."""

from __future__ import annotations

from flask import Response, abort, request

from scim_server.directory import identities, sessions, users
from scim_server.directory.errors import NotFound
from scim_server.directory.sessions import Session

from . import cookies, pages
from .door import current_session, the_door
from .verify import login_required


@login_required
def page() -> Response:
    """GET /me."""
    session, door = _session(), the_door()
    tx = door.read(session.tenant)
    person = users.with_related(tx, [session.user])[0]
    return pages.page(
        "me.html", document=person.document, groups=[each.display for each in person.related or []], session=session,
        sessions=sessions.of(tx, person.id, door.lifetimes), identities=identities.of(tx, person.id),
    )  # fmt: skip


@login_required
def end_sessions() -> Response:
    """POST /me/sessions: end one session, all others, or all."""
    session, door = _session(), the_door()
    which = request.form.get("which", "")
    try:
        with door.write(session.tenant, session.actor) as tx:
            if which in ("others", "all"):
                keep = session.id if which == "others" else ""
                sessions.end_others(tx, session.user.id, keep, "ended by the person")
            else:
                sessions.end(tx, session.user.id, which, "ended by the person")
    except NotFound:
        pass  # it has ended, which is what was wanted
    ended_here = which in ("all", session.id)
    response = pages.go(pages.at("/logout/done" if ended_here else "/me"))
    if ended_here:
        cookies.take_back(response, cookies.SESSION)
    return response


def _session() -> Session:
    session = current_session()
    if session is None:
        abort(401)  # a personal token is for applications; it opens no page of ours
    return session
