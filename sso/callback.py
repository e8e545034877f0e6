"""A provider's answer: one story, each step refused under its own name (rules S10 to S14, R14).

The attempt is found and burned before anything else the provider says is looked at.
"""

from __future__ import annotations

from typing import Any

from flask import Response, request

from scim_server.directory import attempts
from scim_server.directory.attempts import Attempt
from scim_server.directory.sso_connections import SsoConnection

from . import cookies, entering
from .door import LoginDoor, the_door
from .errors import LoginRefused, Sentence
from .providers import kinds
from .providers.base import Started

# RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6, GitHub. No others: what a visitor may choose must not become a label.
_ERRORS = frozenset({
    "access_denied", "invalid_request", "invalid_scope", "server_error", "temporarily_unavailable",
    "unauthorized_client", "unsupported_response_type", "account_selection_required", "consent_required",
    "interaction_required", "login_required", "invalid_request_object", "invalid_request_uri",
    "registration_not_supported", "request_not_supported", "request_uri_not_supported", "application_suspended",
    "redirect_uri_mismatch",
})  # fmt: skip


def answer(connection: str) -> Response:
    """GET /sso/<connection>/callback."""
    door = the_door()
    sso = door.connection(connection)
    if attempts.look(door.database, request.args.get("state", "")) is None:
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)  # and takes nobody's place at the provider
    with door.at_provider():  # before the attempt is burned: a browser that is told to wait asks again
        attempt = _attempt(door, sso)
        started = _started(attempt.data)
        provider = kinds.provider(door.desk(sso))
        provider.check_issuer(_given("iss"), required=started.iss_required)
        if _given("error") is not None:
            raise LoginRefused("provider", _error(), Sentence.PROVIDER_NO)
        code = _given("code")
        if not code:
            raise LoginRefused("callback", "code_missing")
        redeemed = provider.redeem(code, started)
    return entering.through_provider(sso, redeemed, attempt.data["target"])


def _attempt(door: LoginDoor, sso: SsoConnection) -> Attempt:
    """The login that this answer belongs to, burned whatever follows (S11)."""
    attempt = attempts.take(door.database, request.args.get("state", ""))
    if attempt is None:
        raise LoginRefused("state", "unknown", Sentence.NOT_STARTED_HERE)
    if attempt.is_over:
        raise LoginRefused("state", "too_old", Sentence.NOT_STARTED_HERE)
    browser = cookies.read(cookies.BROWSER)
    if attempt.tenant != sso.tenant or not attempt.belongs_to(browser, attempts.PROVIDER, sso.id):
        raise LoginRefused("state", "not_of_this_browser", Sentence.NOT_STARTED_HERE)
    if attempt.data["version"] != sso.version:
        raise LoginRefused("state", "connection_changed", Sentence.NOT_STARTED_HERE)
    if any(len(values) > 1 for values in request.args.listvalues()):
        raise LoginRefused("callback", "repeated_parameter")  # RFC 6749 §3.1
    return attempt


def _started(data: dict[str, Any]) -> Started:
    names = ("redirect_uri", "verifier", "nonce", "max_age", "iss_required")
    return Started(**{name: data[name] for name in names})


def _given(name: str) -> str | None:
    return request.args.get(name)


def _error() -> str:
    """The provider's error code where it is one; its text is nobody's to read."""
    code = request.args.get("error", "")
    return code if code in _ERRORS else "error"
