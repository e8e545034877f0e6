"""Bearer token -> Actor. Refuses by default: the door calls this before it looks at anything else."""

from __future__ import annotations

from ..directory import tokens
from ..directory.actor import Actor
from ..directory.store.engine import Database
from .errors import HttpError
from .requests import Request

_CHALLENGE = 'Bearer realm="scim"'


def require_token(database: Database, request: Request) -> Actor:
    """The bearer of a good token. Raises 401 with a challenge (RFC 6750 §3)."""
    scheme, _, text = (request.headers.get("authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise HttpError(
            401, "Send a token of this server as 'Authorization: Bearer <token>'.", (("WWW-Authenticate", _CHALLENGE),)
        )
    verified = tokens.verify(database, text.strip())
    if verified is None:
        raise HttpError(
            401,
            "The token is unknown, revoked or expired. Issue one with: scim-server token issue",
            (("WWW-Authenticate", f'{_CHALLENGE}, error="invalid_token"'),),
        )
    if verified.use_is_old:
        tokens.note_use(database, verified, request.address, request.headers.get("user-agent") or "")
    return verified.actor


def require_scope(actor: Actor, scope: str) -> None:
    """Raises 403 when the token does not carry the scope."""
    if not actor.may(scope):
        raise HttpError(403, f"This token does not carry the scope {scope}.")
