"""The choice of somebody who may enter accounts in several tenants: by what a provider proved, or by one password."""

from __future__ import annotations

from flask import Response, request

from scim_server.directory import attempts, tenants
from scim_server.directory.attempts import Attempt

from . import cookies, entering, local, pages
from .door import LoginDoor, the_door
from .errors import LoginRefused, Sentence


def page() -> Response:
    """GET /select-account."""
    door, state = the_door(), request.args.get("state", "")
    attempt = _of_this_browser(attempts.look(door.database, state))
    accounts = [{"id": each, "tenant": name} for each, name in _offered(door, attempt).items()]
    return pages.page("choice.html", accounts=accounts, state=state)


def choose() -> Response:
    """POST /select-account: enter the chosen account; one that was ended since the page was shown is not."""
    door, chosen = the_door(), request.form.get("account", "")
    attempt = _of_this_browser(attempts.take(door.database, request.form.get("state", "")))
    target = attempt.data["target"]
    if chosen in attempt.data.get("people", {}):
        user_id, epoch = attempt.data["people"][chosen]
        return local.enter_chosen(chosen, user_id, epoch, target)
    if chosen not in attempt.data.get("among", {}):
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    epoch, version = attempt.data["among"][chosen]
    sso = door.connection(chosen)
    if sso.version != version:
        raise LoginRefused("state", "connection_changed", Sentence.NOT_STARTED_HERE)
    return entering.into(sso, entering.redeemed_of(attempt.data), target, epoch)


def _of_this_browser(attempt: Attempt | None) -> Attempt:
    browser = cookies.read(cookies.BROWSER)
    if attempt is None or not attempt.belongs_to(browser, attempts.CHOOSE, attempt.sso_connection):
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    return attempt


def _offered(door: LoginDoor, attempt: Attempt) -> dict[str, str]:
    """What there is to choose from, each by the name of its tenant."""
    whose = {each: door.connection(each).tenant for each in attempt.data.get("among", {})}
    whose |= {each: each for each in attempt.data.get("people", {})}
    names = {each.id: each.name for each in tenants.every(door.database)}
    return {each: names.get(tenant, "") for each, tenant in whose.items()}
