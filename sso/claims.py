"""What the claims of a signed token must say: pure functions, the clock an argument.

S4 to S9 and S13 of the design's facts; OpenID Connect Core §3.1.3.7, OpenID Back-Channel Logout §2.6.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .jose import BadToken, Signed

LEEWAY = 60  # seconds that clocks may differ
OLDEST = 3600  # seconds since a token was made
LOGOUT_TYPE = "logout+jwt"
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST_LOGOUT = 120
_HASHES = {"256": hashlib.sha256, "384": hashlib.sha384, "512": hashlib.sha512, "SA": hashlib.sha512}


@dataclass(frozen=True, slots=True)
class Expected:
    """What this login started with. ``now`` is in Unix seconds, ``max_age`` 0 where none was asked for."""

    issuer: str
    client_id: str
    now: float
    nonce: str = ""
    access_token: str | None = None
    max_age: int = 0
    extra_audiences: bool = False


def check_id_token(signed: Signed, expected: Expected) -> None:
    """Everything that an ID token must say. Raises BadToken."""
    header, claims = signed
    if str(header.get("typ", "")).lower().removeprefix("application/") == LOGOUT_TYPE:
        raise BadToken("typ")
    _parties(claims, expected)
    subject_of(claims)
    _times(claims, expected.now)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode("utf-8", "replace"), expected.nonce.encode()):
        raise BadToken("nonce")
    if "at_hash" in claims:
        _access_token_hash(claims["at_hash"], str(header["alg"]), expected.access_token)
    if expected.max_age:
        _login_age(claims, expected)


def check_logout_token(signed: Signed, expected: Expected) -> None:
    """Everything that a logout token must say, but for its replay. Raises BadToken."""
    header, claims = signed
    if str(header.get("typ", "")).lower().removeprefix("application/") != LOGOUT_TYPE:
        raise BadToken("typ")
    _parties(claims, expected)
    _times(claims, expected.now)
    if number(claims, "exp") - number(claims, "iat") > _LONGEST_LOGOUT:
        raise BadToken("exp")
    if "nonce" in claims:
        raise BadToken("nonce")
    if not is_text(claims.get("jti")):
        raise BadToken("jti")
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        raise BadToken("events")
    if "sub" not in claims and "sid" not in claims:
        raise BadToken("nobody")
    for name in ("sub", "sid"):
        if name in claims and not is_text(claims[name]):
            raise BadToken(name)


def check_revocation_token(signed: Signed, expected: Expected) -> None:
    """Everything that the token of a Global Token Revocation must say; its audience is our endpoint."""
    _parties(signed.claims, expected)
    _times(signed.claims, expected.now)
    if not is_text(signed.claims.get("jti")):
        raise BadToken("jti")


def subject_of(claims: Mapping[str, Any]) -> str:
    """The subject: text of 1 to 255 characters (S6). Raises BadToken."""
    subject = claims.get("sub")
    if not is_text(subject):
        raise BadToken("sub")
    return str(subject)


def number(claims: Mapping[str, Any], name: str) -> float:
    """A claim that is a moment in Unix seconds. Raises BadToken."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise BadToken(name)
    return float(value)


def is_text(value: object) -> bool:
    """Text that can be kept, compared and shown."""
    return isinstance(value, str) and 0 < len(value) <= 255 and value.isprintable()


def _parties(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        raise BadToken("iss")
    audience, party = claims.get("aud"), claims.get("azp")
    if "azp" in claims and party != expected.client_id:
        raise BadToken("azp")
    if audience in (expected.client_id, [expected.client_id]):
        return
    listed = isinstance(audience, list) and all(isinstance(each, str) for each in audience)
    if not (expected.extra_audiences and listed and expected.client_id in (audience or ()) and party):
        raise BadToken("aud")


def _times(claims: Mapping[str, Any], now: float) -> None:
    if number(claims, "exp") + LEEWAY <= now:
        raise BadToken("exp")
    made = number(claims, "iat")
    if not now - OLDEST - LEEWAY <= made <= now + LEEWAY:
        raise BadToken("iat")
    if "nbf" in claims and number(claims, "nbf") > now + LEEWAY:
        raise BadToken("nbf")


def _access_token_hash(given: object, algorithm: str, access_token: str | None) -> None:
    """OpenID Connect Core §3.1.3.6: the left half of the access token's hash."""
    made = _HASHES["SA" if algorithm.startswith("Ed") else algorithm[2:]]
    digest = made((access_token or "").encode()).digest()
    wanted = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(given, str) or not given.isascii() or not hmac.compare_digest(given.encode(), wanted):
        raise BadToken("at_hash")


def _login_age(claims: Mapping[str, Any], expected: Expected) -> None:
    at = number(claims, "auth_time")
    if at > expected.now + LEEWAY or at + expected.max_age + LEEWAY < expected.now:
        raise BadToken("auth_time")
