"""Logout: here and at the provider, by the provider's back channel, and by Okta's Global Token Revocation."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from flask import Response, jsonify, request

from scim_server.directory import attempts, ending, identities, linking, logout_tokens, sessions
from scim_server.directory.errors import NotFound, Refused
from scim_server.directory.sessions import Session
from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.transaction import Tx
from scim_server.protocol.filters import instant

from . import claims, cookies, pages
from .claims import Expected
from .door import LoginDoor, current_session, root, the_door
from .errors import LoginRefused, Sentence
from .jose import BadToken
from .providers import kinds
from .providers.oidc import OpenIdProvider

_GTR_TYPE = "global-token-revocation+jwt"


def page() -> Response:
    """GET /logout: asks; nothing ends by a link from elsewhere."""
    return pages.page("logout.html", person=current_session(), target=pages.target(request.args.get("redirect")))


def log_out() -> Response:
    """POST /logout: the session ends here, then at the provider where it has a way (OpenID RP-Initiated Logout)."""
    door, session = the_door(), current_session()
    where = pages.at("/logout/done")
    if session is not None:
        with suppress(NotFound), door.write(session.tenant, session.actor) as tx:
            sessions.end(tx, session.user.id, session.id, "logged out")
        where = _at_provider(door, session) or where
    response = pages.go(where)
    cookies.take_back(response, cookies.SESSION)
    return response


def done() -> Response:
    """GET /logout/done: the end of a logout, from here or back from the provider."""
    door, state = the_door(), request.args.get("state")
    if state is not None:
        attempt = attempts.take(door.database, state)
        browser = cookies.read(cookies.BROWSER)
        if attempt is None or not attempt.belongs_to(browser, attempts.LOGOUT, attempt.sso_connection):
            raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    return pages.page("logged_out.html")


def back_channel(connection: str) -> Response:
    """POST /sso/<connection>/backchannel-logout (OpenID Back-Channel Logout §2.5 to §2.8)."""
    door = the_door()
    sso = door.connection(connection)
    try:
        with door.at_provider():
            found = _openid(door, sso).logout_token(_one_field("logout_token"))
        with door.write(sso.tenant) as tx:
            _take_once(tx, sso, found)
            _end_by_provider(tx, sso, found)
    except BadToken as error:
        return _refusal(400, f"The logout token does not count: {error.reason}.")
    except LoginRefused as error:
        return _busy(error) or _refusal(400, f"The logout token cannot be checked: {error.reason}.")
    return Response(status=200)


def _take_once(tx: Tx, sso: SsoConnection, found: Mapping[str, Any]) -> None:
    """Remember a provider's token until it has expired. Raises BadToken when it was taken before."""
    until = instant(datetime.fromtimestamp(claims.number(found, "exp") + claims.LEEWAY, UTC))
    if not logout_tokens.take(tx, sso.id, str(found["jti"]), until):
        raise BadToken("replay")


def _end_by_provider(tx: Tx, sso: SsoConnection, found: Mapping[str, Any]) -> None:
    """End what a logout token names: its session, or all of its person there where we do not know that session.

    One that was logged out here is known still: the provider tells of its end too, and other devices stay.
    """
    sid, cause = found.get("sid"), "back-channel logout"
    if sid is not None and sessions.knows_sid(tx, sso.id, sid):
        sessions.end_of_connection(tx, sso.id, cause, idp_sid=sid)
    elif "sub" in found:
        sessions.end_of_connection(tx, sso.id, cause, subject=found["sub"])


def revoke_globally(connection: str) -> Response:
    """POST /sso/<connection>/global-token-revocation: Okta's Universal Logout ends sessions and tokens alike.

    204 when it is done, 404 for nobody we know (draft-parecki-oauth-global-token-revocation).
    """
    door = the_door()
    sso = door.connection(connection)
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return _refusal(401, "Send a signed token as a bearer token.", {"WWW-Authenticate": "Bearer"})
    try:
        with door.at_provider():
            _check_revocation(door, sso, token.strip())
    except (BadToken, LoginRefused) as error:
        told = f"The token does not count: {error.reason}."
        return _busy(error) or _refusal(401, told, {"WWW-Authenticate": "Bearer"})
    body = request.get_json(silent=True)
    named = body.get("sub_id") if isinstance(body, dict) else None
    if not isinstance(named, dict):
        return _refusal(400, "The body has to name a person as sub_id.")
    with door.write(sso.tenant) as tx:
        user_id = _person(tx, sso, named)
        if user_id is None:
            return _refusal(404, "There is nobody of this name.")
        ending.end(tx, [user_id], "global token revocation")
    return Response(status=204)


def _at_provider(door: LoginDoor, session: Session) -> str | None:
    """Where the provider ends its own session, if it does and gave us what it wants to see."""
    if session.sso_connection is None or session.id_token is None:
        return None
    try:
        sso = door.connection(session.sso_connection)
        with door.at_provider():
            url = _openid(door, sso).end_session_url()
    except (LoginRefused, BadToken):
        return None  # logged out here it is, whatever the provider does
    if url is None:
        return None
    try:
        hint = door.vault.open(session.id_token)
    except Refused:
        return None  # sealed with a key that this server has no more
    browser = cookies.browser()
    with door.write(sso.tenant) as tx:
        state = attempts.start(tx, browser, attempts.LOGOUT, {}, sso_connection=sso.id)
    query = {
        "id_token_hint": hint,
        "post_logout_redirect_uri": f"{root()}/logout/done",
        "client_id": sso.client_id,
        "state": state,
    }
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _openid(door: LoginDoor, sso: SsoConnection) -> OpenIdProvider:
    found = kinds.openid(door.desk(sso))
    if found is None:
        raise BadToken("not_openid")
    return found


def _one_field(name: str) -> str:
    values = request.form.getlist(name)
    if len(values) != 1:
        raise BadToken("missing")
    return values[0]


def _check_revocation(door: LoginDoor, sso: SsoConnection, token: str) -> None:
    signed = _openid(door, sso).signed(token)
    if str(signed.header.get("typ", "")).lower() != _GTR_TYPE:
        raise BadToken("typ")
    here = f"{root()}/sso/{sso.id}/global-token-revocation"
    claims.check_revocation_token(signed, Expected(sso.issuer, here, time.time()))
    with door.write(sso.tenant) as tx:
        _take_once(tx, sso, signed.claims)


def _person(tx: Tx, sso: SsoConnection, named: dict[str, object]) -> str | None:
    """Whom a subject identifier names (RFC 9493): by subject, or by address among those linked to this provider."""
    if named.get("format") == "iss_sub" and named.get("iss") == sso.issuer:
        subject = str(named.get("sub"))
        known = identities.of_subject(tx, sso.id, subject) if claims.is_text(subject) else None
        return known.user_id if known else None
    if named.get("format") == "email":
        linked = linking.linked_by_email(tx, sso, str(named.get("email")))
        return linked[0] if len(linked) == 1 else None
    return None


def _busy(error: BadToken | LoginRefused) -> Response | None:
    """The answer where a provider could not be asked for now; who is told so tries again."""
    if isinstance(error, LoginRefused) and error.sentence is Sentence.BUSY:
        return _refusal(503, "Busy; try again in a moment.", {"Retry-After": "2"})
    return None


def _refusal(status: int, text: str, headers: dict[str, str] | None = None) -> Response:
    response = jsonify(error="invalid_request", error_description=text)
    response.status_code = status
    response.headers.update(headers or {})
    return response
