"""The authorization-code grant (RFC 6749 4.1) with PKCE (RFC 7636), common to all providers made here."""

from __future__ import annotations

import base64
import binascii
import copy
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tests.idp.serving import Fake, Override, Reply, Request, changed, redirect, with_query
from tests.idp.signing import b64

BASIC, POST = "client_secret_basic", "client_secret_post"


@dataclass
class Grant:
    """One login at the provider: what was asked, and who it was."""

    code: str
    asked: dict[str, str]  # the query of the authorization URL
    person: Any  # as it was at that moment
    scopes: tuple[str, ...]
    sid: str
    redeemed: bool = False


class CodeProvider(Fake):
    """Logs in whoever is in ``person``, without asking. ``PATHS`` must have ``authorize`` and ``token``."""

    def reset(self) -> None:
        super().reset()
        self.client_id = "rp"
        self.client_secret = "rp-secret"
        self.person: Any = self.new_person()
        # True demands PKCE and checks it, None checks it where it was sent, False takes no notice.
        self.enforce_pkce: bool | None = True
        self.client_auth: set[str] = {BASIC, POST}
        self.codes_once = True  # False redeems a code again and again
        self.scopes: tuple[str, ...] | None = None  # what is granted; None: what was asked for
        self.callback: Override = {}  # over the parameters of the callback; a list repeats one
        self.token_reply: Override = {}  # over the members of the token reply
        self.grants: dict[str, Grant] = {}  # by code
        self.access: dict[str, Grant] = {}  # by access token

    def new_person(self) -> Any:
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------- what providers differ in

    def callback_parameters(self, grant: Grant) -> dict[str, Any]:
        state = {"state": grant.asked["state"]} if "state" in grant.asked else {}
        return {"code": grant.code, **state}

    def refused_parameters(self, query: dict[str, str], error: str, description: str) -> dict[str, Any]:
        state = {"state": query["state"]} if "state" in query else {}
        return {"error": error, "error_description": description, **state}

    def new_access_token(self) -> str:
        return secrets.token_urlsafe(24)

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        raise NotImplementedError

    def token_answer(self, members: dict[str, Any], request: Request) -> Reply:
        return Reply(body=members, headers={"Cache-Control": "no-store", "Pragma": "no-cache"})

    def token_refused(self, error: str, description: str, request: Request) -> Reply:
        challenge = {"WWW-Authenticate": 'Basic realm="token"'} if error == "invalid_client" else {}
        body = {"error": error, "error_description": description}
        return Reply(401 if error == "invalid_client" else 400, body, {"Cache-Control": "no-store", **challenge})

    # ------------------------------------------------------------------------------------------------------- endpoints

    def on_authorize(self, request: Request) -> Reply:
        query = request.query
        back = query.get("redirect_uri")
        if query.get("client_id") != self.client_id or not back:
            return Reply(400, "unknown client_id, or no redirect_uri")
        if fault := self._fault(query):
            return redirect(with_query(back, changed(self.refused_parameters(query, *fault), self.callback)))
        scopes = tuple(query.get("scope", "").split()) if self.scopes is None else self.scopes
        grant = Grant(secrets.token_urlsafe(24), query, copy.deepcopy(self.person), scopes, secrets.token_hex(8))
        self.grants[grant.code] = grant
        return redirect(with_query(back, changed(self.callback_parameters(grant), self.callback)))

    def _fault(self, query: dict[str, str]) -> tuple[str, str] | None:
        if query.get("response_type") != "code":
            return "unsupported_response_type", "only code"
        if self.enforce_pkce and not query.get("code_challenge"):
            return "invalid_request", "code_challenge is required"
        # Without a method the challenge is the verifier itself (RFC 7636 4.3), in sight of everybody.
        plain = "code_challenge" in query and query.get("code_challenge_method") != "S256"
        if self.enforce_pkce is not False and plain:
            return "invalid_request", "code_challenge_method must be S256"
        return None

    def on_token(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply(405, "POST only", {"Allow": "POST"})
        if fault := self._client_fault(request) or self._grant_fault(request.form):
            return self.token_refused(*fault, request)
        grant = self.grants[request.form["code"]]
        grant.redeemed = True
        access_token = self.new_access_token()
        self.access[access_token] = grant
        return self.token_answer(changed(self.token_members(grant, access_token), self.token_reply), request)

    def _client_fault(self, request: Request) -> tuple[str, str] | None:
        basic, posted = "authorization" in request.headers, "client_secret" in request.form
        if basic and posted:
            return "invalid_request", "more than one way of authentication (RFC 6749 2.3)"
        method, given = (BASIC, _basic(request)) if basic else (POST, _posted(request))
        if method not in self.client_auth or given != (self.client_id, self.client_secret):
            return "invalid_client", f"unknown client, or wrong secret, or not by {method}"
        return None

    def _grant_fault(self, form: dict[str, str]) -> tuple[str, str] | None:
        if form.get("grant_type") != "authorization_code":
            return "unsupported_grant_type", "only authorization_code"
        grant = self.grants.get(form.get("code", ""))
        if grant is None or (grant.redeemed and self.codes_once):
            return "invalid_grant", "unknown code, or redeemed before"
        if form.get("redirect_uri") != grant.asked["redirect_uri"]:
            return "invalid_grant", "another redirect_uri than was asked for"
        if self.enforce_pkce is not False and not _proves(form.get("code_verifier", ""), grant):
            return "invalid_grant", "code_verifier does not match"
        return None

    def bearer(self, request: Request) -> Grant | None:
        """The login that the request's access token belongs to."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return self.access.get(token) if scheme.lower() == "bearer" else None


def _basic(request: Request) -> tuple[str, str] | None:
    scheme, _, encoded = request.headers["authorization"].partition(" ")
    try:
        name, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return (unquote_plus(name), unquote_plus(secret)) if scheme.lower() == "basic" else None


def _posted(request: Request) -> tuple[str, str]:
    return request.form.get("client_id", ""), request.form.get("client_secret", "")


def _proves(verifier: str, grant: Grant) -> bool:
    challenge = grant.asked.get("code_challenge")
    if challenge is None:
        return not verifier  # RFC 9700 2.1.1: a verifier for a code without challenge is a downgrade
    # RFC 7636 4.1: between 43 and 128 characters
    return 43 <= len(verifier) <= 128 and b64(hashlib.sha256(verifier.encode()).digest()) == challenge
