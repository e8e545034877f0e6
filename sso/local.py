"""Passwords and one-time links, for those who have them: local accounts and break-glass.

An unknown name costs the same work and gets the same answer as a wrong password, and both are counted alike.
"""

from __future__ import annotations

import math
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from flask import Response, request

from scim_server.directory import (
    accounts,
    attempts,
    links,
    local_login,
    logins,
    passwords,
    throttle,
)
from scim_server.directory.errors import NotFound
from scim_server.directory.links import Link
from scim_server.directory.local_login import Candidate
from scim_server.directory.logins import Visit
from scim_server.directory.passwords import WeakPassword
from scim_server.directory.sessions import Origin
from scim_server.directory.standing import NotLetIn, hold, require
from scim_server.directory.throttle import Scale

from . import cookies, entering, login, pages, targets
from .door import LoginDoor, the_door, visit
from .errors import LoginRefused, Sentence

_WRONG = "Username and password do not match. Passwords are for accounts that were given one."
_MOST_TENANTS = 10  # in which one name is tried


class _Where(NamedTuple):
    """A candidate and its tenant."""

    tenant: str
    candidate: Candidate


def log_in() -> Response:
    """POST /login: username and password."""
    door, target = the_door(), pages.target(request.form.get("redirect"))
    username, password = request.form.get("username", "").strip()[:512], request.form.get("password", "")
    seen = visit("password")
    waiting = throttle.blocked_until(door.database, _scales(door, [], username, seen, known=True))
    if waiting is not None:  # before anything else is looked at: who is to wait costs as little as can be
        return _told_to_wait(door, seen, username, target, waiting)
    with door.checking_password():
        found = _candidates(door, username)
        scales = _scales(door, found, username, seen)
        waiting = throttle.blocked_until(door.database, scales)
        if waiting is not None:
            return _told_to_wait(door, seen, username, target, waiting)
        matching = _matching(found, password)
    choices = _choices(door, matching)
    if len(choices) > 1:
        throttle.succeeded(door.database, scales)
        return entering.go_on(door, next(iter(choices)), attempts.CHOOSE, {"target": target, "people": choices})
    for where in matching:
        try:
            response = _entered(door, where, password, target)
        except LoginRefused as error:  # who may not come in is shown what a stranger is shown (R13)
            _note(door, [where], seen, username, error.reason)
        else:
            throttle.succeeded(door.database, scales)
            return response
    throttle.failed(door.database, scales)
    if not matching:
        _note(door, found, seen, username, "wrong_password")
    return login.shown(target, status=401, username=username, problem=_WRONG)


def _told_to_wait(door: LoginDoor, seen: Visit, username: str, target: str, waiting: datetime) -> Response:
    if door.noise.is_worth_a_line(seen.address):
        _note(door, _candidates(door, username), seen, username, "throttled")
    else:
        door.observer.login(seen, logins.REFUSED, "password", "throttled")
    return login.shown(target, status=429, username=username, problem=_wait(waiting))


def enter_chosen(tenant: str, user_id: str, epoch: int, target: str) -> Response:
    """Enter one of several accounts whose password it was, unless it was ended since. Raises LoginRefused."""
    seen = visit("password")
    try:
        with the_door().write(tenant) as tx:
            person = hold(tx, user_id)
            if person.epoch != epoch:
                raise LoginRefused("account", "ended_meanwhile", Sentence.NO_ACCESS, user_id=user_id)
            origin = Origin("password", seen.address, seen.agent)
            return entering.session_response(tx, person, origin, target, None)
    except NotFound:
        raise LoginRefused("account", "unknown", Sentence.NO_ACCESS) from None


def confirmation() -> Response:
    """GET /login/confirm: an account that has a password is linked to a provider only with it (rule R6)."""
    state = request.args.get("state", "")
    attempt = attempts.look(the_door().database, state)
    if attempt is None or not _is_confirmation(attempt):
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    return _confirm_page(attempt, state)


def confirm() -> Response:
    """POST /login/confirm."""
    door, state = the_door(), request.form.get("state", "")
    attempt = attempts.look(door.database, state)
    if attempt is None or not _is_confirmation(attempt) or attempt.user_id is None or attempt.sso_connection is None:
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    candidate = local_login.of(door.read(attempt.tenant), attempt.user_id)
    if candidate is None:
        raise LoginRefused("account", "unknown", Sentence.NO_ACCESS)
    seen, where = visit("password"), _Where(attempt.tenant, candidate)
    if not _enters(door, where):  # it was turned off since the question was asked
        raise LoginRefused("account", "has_password", Sentence.NO_ACCESS, user_id=candidate.user_id)
    scales = _scales(door, [where], attempt.data["name"], seen)
    waiting = throttle.blocked_until(door.database, scales)
    if waiting is not None:
        return _confirm_page(attempt, state, status=429, problem=_wait(waiting))
    with door.checking_password():
        is_right = bool(_matching([where], request.form.get("password", "")))
    if not is_right:
        throttle.failed(door.database, scales)
        _note(door, [where], seen, attempt.data["name"], "wrong_password")
        return _confirm_page(attempt, state, status=401, problem="This is not the password of the account.")
    throttle.succeeded(door.database, scales)
    if attempts.take(door.database, state) is None:
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    sso = door.connection(attempt.sso_connection)
    if attempt.data["version"] != sso.version:
        raise LoginRefused("state", "connection_changed", Sentence.NOT_STARTED_HERE)
    return entering.confirmed(sso, entering.redeemed_of(attempt.data), candidate, attempt.data["target"])


def password_page(token: str) -> Response:
    """GET /password/<token>: choose a password by a one-time link. Looking uses nothing up."""
    return _password_page(_link(token), token)


def set_password(token: str) -> Response:
    """POST /password/<token>: the password is set, everything else of the account ends, a session begins."""
    door, link = the_door(), _link(token)
    password, document = request.form.get("password", ""), link.user.document
    try:
        passwords.check(password, about=[document["userName"], document.get("displayName") or ""])
    except WeakPassword as error:
        return _password_page(link, token, status=400, problem=str(error))
    with door.checking_password():
        password_hash, seen = passwords.hashed(password), visit("link")
    try:
        with door.write(link.tenant) as tx:
            hold(tx, link.user.id)  # before the link, in the order of whoever ends the account
            links.use(tx, link)
            accounts.set_password(tx, link.user.id, password_hash)
            person = hold(tx, link.user.id)
            if not door.passwords_work(tx, guarded=person.guarded):
                return pages.page("password_set.html")
            origin = Origin("link", seen.address, seen.agent)
            return entering.session_response(tx, person, origin, pages.at(targets.HOME), None)
    except (NotFound, NotLetIn):
        raise LoginRefused("link", "used", Sentence.LINK_USED) from None


def _link(token: str) -> Link:
    found = links.find(the_door().database, token)
    if found is None:
        raise LoginRefused("link", "unknown", Sentence.LINK_USED)
    return found


def _password_page(link: Link, token: str, *, status: int = 200, problem: str = "") -> Response:
    name = link.user.document["userName"]
    return pages.page("password.html", status, username=name, token=token, problem=problem, criteria=passwords.CRITERIA)


def _confirm_page(attempt: attempts.Attempt, state: str, *, status: int = 200, problem: str = "") -> Response:
    sso = the_door().connection(attempt.sso_connection or "")
    return pages.page("confirm.html", status, name=attempt.data["name"], state=state, connection=sso, problem=problem)


def _is_confirmation(attempt: attempts.Attempt) -> bool:
    return attempt.belongs_to(cookies.read(cookies.BROWSER), attempts.CONFIRM, attempt.sso_connection)


def _candidates(door: LoginDoor, username: str) -> list[_Where]:
    """The accounts of a name: one, or one for each tenant where there are several."""
    if door.multi:
        return [_Where(*each) for each in local_login.anywhere(door.database, username, _MOST_TENANTS)]
    candidate = local_login.named(door.read(door.default_tenant), username)
    return [] if candidate is None else [_Where(door.default_tenant, candidate)]


def _matching(found: list[_Where], password: str) -> list[_Where]:
    """Those whose password it is; where there is nobody, the same work is done on nobody's."""
    if not found:
        passwords.matches(None, password)
    return [each for each in found if passwords.matches(each.candidate.password_hash, password)]


def _choices(door: LoginDoor, matching: list[_Where]) -> dict[str, tuple[str, int]]:
    """Where one password opens accounts in several tenants: by tenant, who it is and the account's epoch."""
    if len(matching) < 2:
        return {}
    found = {}
    for where in matching:
        with suppress(NotFound, NotLetIn), door.write(where.tenant) as tx:
            person = local_login.still(tx, where.candidate)
            if person is not None and _enters(door, where):
                require(tx, person)
                found[where.tenant] = (person.user.id, person.epoch)
    return found


def _scales(door: LoginDoor, found: list[_Where], username: str, seen: Visit, *, known: bool = False) -> list[Scale]:
    known = known or any(
        local_login.knows(door.read(each.tenant), each.candidate.user_id, seen.address) for each in found
    )
    tenant = "" if door.multi else door.default_tenant
    return throttle.scales(tenant, local_login.folded(username), seen.address, known_address=known)


def _enters(door: LoginDoor, where: _Where) -> bool:
    return door.passwords_work(door.read(where.tenant), guarded=where.candidate.guarded)


def _entered(door: LoginDoor, where: _Where, password: str, target: str) -> Response:
    """Open a session for somebody whose password it was. Raises LoginRefused."""
    if not _enters(door, where):
        raise LoginRefused("account", "password_not_allowed", Sentence.NO_ACCESS)
    seen = visit("password")
    rehashed = passwords.hashed(password) if passwords.needs_rehash(where.candidate.password_hash or "") else None
    try:
        with door.write(where.tenant) as tx:
            person = local_login.still(tx, where.candidate)
            if person is None:
                raise NotFound("The password was changed meanwhile.")
            if rehashed is not None:
                accounts.keep_rehashed(tx, person.user.id, rehashed)
            origin = Origin("password", seen.address, seen.agent)
            return entering.session_response(tx, person, origin, target, None)
    except NotFound:
        raise LoginRefused("account", "unknown", Sentence.NO_ACCESS) from None


def _note(door: LoginDoor, found: list[_Where], seen: Visit, username: str, reason: str) -> None:
    """Write a refused password down, with each account that the name stood for.

    What nobody is called is kept only where it reads like an address: people type passwords where a name belongs.
    """
    name = username if found or "@" in username else None
    about: list[tuple[str, str | None]] = [(each.tenant, each.candidate.user_id) for each in found]
    for tenant, user_id in about or [(door.default_tenant, None)]:
        with door.write(tenant) as tx:
            logins.record(tx, seen, logins.REFUSED, step="password", reason=reason, user_id=user_id, name=name)
    door.observer.login(seen, "refused", "password", reason)


def _wait(until: datetime) -> str:
    seconds = max(1, math.ceil((until - datetime.now(UTC)).total_seconds()))
    span = f"{seconds} seconds" if seconds < 90 else f"{math.ceil(seconds / 60)} minutes"
    return f"Too many tries that failed. Wait {span} and try again."
