"""The last step of every login, whatever it began with: the account that may be entered, a session, the way on."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

from flask import Response

from scim_server.directory import attempts, audit, events, linking, local_login, logins, minting, sessions
from scim_server.directory.errors import NotFound, Unavailable
from scim_server.directory.identities import Proof
from scim_server.directory.linking import Found, NoAccount
from scim_server.directory.local_login import Candidate
from scim_server.directory.sessions import Origin
from scim_server.directory.sso_connections import SsoConnection, same_client
from scim_server.directory.standing import NotLetIn, Standing
from scim_server.directory.store.transaction import Tx
from scim_server.protocol.filters import instant

from . import cookies, pages
from .door import LoginDoor, current_session, the_door, visit
from .errors import LoginRefused, Sentence
from .providers.base import Redeemed

_PAGES = {attempts.CHOOSE: "/select-account", attempts.CONFIRM: "/login/confirm"}


class _Undo(Exception):
    """Undoes a transaction that was only to show what would happen."""


def through_provider(sso: SsoConnection, redeemed: Redeemed, target: str) -> Response:
    """Let in whom a provider proved: at once, after the account's password, or after a choice. Raises LoginRefused."""
    door = the_door()
    choices = _choices(door, sso, redeemed.proof) if door.multi else []
    if len(choices) > 1:
        data: dict[str, object] = {
            "target": target,
            "redeemed": asdict(redeemed),
            "among": {each.id: (epoch, each.version) for each, epoch in choices},
        }
        return go_on(door, sso.tenant, attempts.CHOOSE, data, sso=sso)
    return into(choices[0][0] if choices else sso, redeemed, target)


def into(sso: SsoConnection, redeemed: Redeemed, target: str, epoch: int | None = None) -> Response:
    """Enter the account that one connection leads to, unless it was ended since ``epoch``. Raises LoginRefused."""
    door, proof = the_door(), redeemed.proof
    try:
        with door.write(sso.tenant) as tx:
            found = _find(door, tx, sso, proof)
            if epoch not in (None, found.person.epoch):
                raise NoAccount("ended_meanwhile", found.person.user.id)
            if not found.needs_password:
                return _opened(tx, found.person, sso, redeemed, target)
            data = {
                "target": target, "redeemed": asdict(redeemed), "version": sso.version,
                "name": found.person.user.document["userName"],
            }  # fmt: skip
    except NoAccount as error:
        raise _refused(error, proof) from None
    return go_on(door, sso.tenant, attempts.CONFIRM, data, sso=sso, user_id=found.person.user.id)


def confirmed(sso: SsoConnection, redeemed: Redeemed, candidate: Candidate, target: str) -> Response:
    """Bind and enter an account whose password was just given. Raises LoginRefused."""
    try:
        with the_door().write(sso.tenant) as tx:
            if local_login.still(tx, candidate) is None:
                raise NoAccount("password_changed", candidate.user_id)
            person = linking.confirm(tx, sso, redeemed.proof, candidate.user_id)
            return _opened(tx, person, sso, redeemed, target)
    except NoAccount as error:
        raise _refused(error, redeemed.proof) from None


def session_response(tx: Tx, person: Standing, origin: Origin, target: str, sso: SsoConnection | None) -> Response:
    """Open a session and go on; the session that this browser had before ends. Raises LoginRefused."""
    door = the_door()
    try:
        secret = sessions.open_for(tx, person, origin, door.lifetimes)
    except NotLetIn as error:
        raise LoginRefused("account", error.reason, Sentence.NO_ACCESS, user_id=person.user.id) from None
    name, seen = str(person.user.document["userName"]), visit(sso.kind if sso else origin.method, sso)
    logins.record(tx, seen, logins.SUCCEEDED, user_id=person.user.id, name=name)
    if person.guarded:
        told = {"address": seen.address, "method": origin.method}
        audit.record(tx, "break_glass.used", "User", person.user.id, after=told)
        events.append(tx, {"break_glass.used": told}, person.user.id)
        tx.after_commit.append(lambda: door.observer.alarm("break_glass.used", seen.reference))
    old = current_session()
    if old is not None:
        tx.after_commit.append(lambda: _end(door, old))
    tx.after_commit.append(lambda: door.observer.login(seen, logins.SUCCEEDED, "", ""))
    response = pages.go(target)
    cookies.give(response, cookies.SESSION, secret)
    cookies.give(response, cookies.BROWSER, minting.opaque())
    if sso is not None:
        cookies.give(response, cookies.LAST, sso.id, lasting=True)
    return response


def redeemed_of(data: dict[str, object]) -> Redeemed:
    """What a provider proved, as an attempt kept it."""
    kept = dict(data["redeemed"])  # type: ignore[call-overload]
    return Redeemed(**{**kept, "proof": Proof(**kept["proof"])})


def _opened(tx: Tx, person: Standing, sso: SsoConnection, redeemed: Redeemed, target: str) -> Response:
    seen = visit(sso.kind, sso)
    at = redeemed.auth_time
    origin = Origin(
        method="sso",
        address=seen.address,
        agent=seen.agent,
        sso_connection=sso.id,
        subject=redeemed.proof.subject,
        idp_sid=redeemed.idp_sid,
        id_token=redeemed.id_token,
        auth_time=None if at is None else instant(datetime.fromtimestamp(at, UTC)),
    )
    return session_response(tx, person, origin, target, sso)


def _find(door: LoginDoor, tx: Tx, sso: SsoConnection, proof: Proof) -> Found:
    works = door.passwords_work(tx, guarded=False)
    return linking.find(tx, sso, proof, policy=door.settings.sso_link, passwords_work=works)


def _choices(door: LoginDoor, sso: SsoConnection, proof: Proof) -> list[tuple[SsoConnection, int]]:
    """The connections, in whatever tenant, through which this proof opens an account, and the account's epoch.

    Nothing is bound yet.
    """
    found = []
    for each in same_client(door.database, sso):
        with suppress(NoAccount, _Undo), door.write(each.tenant) as tx:
            found.append((each, _find(door, tx, each, proof).person.epoch))
            raise _Undo
    return found


def go_on(
    door: LoginDoor,
    tenant: str,
    stage: str,
    data: dict[str, object],
    *,
    sso: SsoConnection | None = None,
    user_id: str | None = None,
) -> Response:
    """Keep what was proved for the page of the next stage, bound to this browser."""
    browser = cookies.browser()
    with door.write(tenant) as tx:
        state = attempts.start(tx, browser, stage, data, sso_connection=sso.id if sso else None, user_id=user_id)
    response = pages.go(f"{pages.at(_PAGES[stage])}?state={state}")
    cookies.give(response, cookies.BROWSER, browser)
    return response


def _refused(error: NoAccount, proof: Proof) -> LoginRefused:
    return LoginRefused(
        "account", error.reason, Sentence.NO_ACCESS, user_id=error.user_id, subject=proof.subject, name=proof.email
    )


def _end(door: LoginDoor, old: sessions.Session) -> None:
    with suppress(NotFound, Unavailable), door.write(old.tenant, old.actor) as tx:
        sessions.end(tx, old.user.id, old.id, "replaced by a new login")
