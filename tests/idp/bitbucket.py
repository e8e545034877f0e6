"""Bitbucket Cloud as an OAuth 2 provider: HTTP Basic only, ``scopes`` in place of ``scope``, e-mails on pages."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import quote

from tests.idp.grants import BASIC, CodeProvider, Grant
from tests.idp.serving import Override, Refused, Reply, Request, changed, with_query


@dataclass
class BitbucketPerson:
    """An account; names can change, ``uuid`` and ``account_id`` cannot."""

    uuid: str = "{5a1c2c3e-1a2b-4c5d-8e9f-0a1b2c3d4e5f}"
    account_id: str = "557058:2f1d4c3b-9a8e-4f7d-b6c5-a4e3d2c1b0f9"
    nickname: str = "ada"
    display_name: str = "Ada Lovelace"
    emails: list[dict[str, Any]] = field(default_factory=lambda: [email("ada@example.com", primary=True)])


def email(address: str, *, primary: bool = False, confirmed: bool = True) -> dict[str, Any]:
    """One entry of ``/user/emails``."""
    return {"type": "email", "email": address, "is_primary": primary, "is_confirmed": confirmed}


class Bitbucket(CodeProvider):
    """``person`` is a ``BitbucketPerson``; the API is at ``api``. Scopes are the consumer's, whatever is asked for."""

    PATHS: ClassVar[dict[str, str]] = {
        "authorize": "/site/oauth2/authorize",
        "token": "/site/oauth2/access_token",
        "user": "/2.0/user",
        "emails": "/2.0/user/emails",
    }

    def reset(self) -> None:
        super().reset()
        self.enforce_pkce = False  # undocumented: sent in vain
        self.client_auth = {BASIC}
        self.scopes = ("account", "email")
        self.page_size = 10
        self.user: Override = {}  # over the body of /user
        self.emails: Override = {}  # over each entry of /user/emails
        self.page: Override = {}  # over each page of /user/emails, `next` included

    def new_person(self) -> BitbucketPerson:
        return BitbucketPerson()

    @property
    def api(self) -> str:
        return f"{self.base}/2.0"

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        return {
            "scopes": " ".join(grant.scopes),
            "access_token": access_token,
            "expires_in": 7200,
            "token_type": "bearer",
            "state": "authorization_code",
            "refresh_token": secrets.token_urlsafe(12),
        }

    def token_refused(self, error: str, description: str, request: Request) -> Reply:
        if error == "invalid_client":
            error, description = "unauthorized_client", "Invalid OAuth client credentials"
        return Reply(400, {"error_description": description, "error": error})

    def on_user(self, request: Request) -> Reply:
        who: BitbucketPerson = self._caller(request, "account").person
        page = f"{self.base}/{quote(who.uuid)}/"
        body = {
            "display_name": who.display_name,
            "links": {
                "self": {"href": f"{self.api}/users/{quote(who.uuid)}"},
                "avatar": {"href": f"{self.base}/avatars/{who.nickname}/128"},
                "repositories": {"href": f"{self.api}/repositories/{quote(who.uuid)}"},
                "snippets": {"href": f"{self.api}/snippets/{quote(who.uuid)}"},
                "html": {"href": page},
                "hooks": {"href": f"{self.api}/workspaces/{quote(who.uuid)}/hooks"},
            },
            "created_on": "2017-03-01T09:12:44.318270+00:00",
            "type": "user",
            "uuid": who.uuid,
            "has_2fa_enabled": None,
            "is_staff": False,
            "account_id": who.account_id,
            "nickname": who.nickname,
            "account_status": "active",
            "location": None,
        }
        return Reply(body=changed(body, self.user))

    def on_emails(self, request: Request) -> Reply:
        grant = self._caller(request, "email")
        size, number = int(request.query.get("pagelen", self.page_size)), int(request.query.get("page", 1))
        every = [changed({**each, "links": self._link(each)}, self.emails) for each in grant.person.emails]
        values = every[(number - 1) * size : number * size]
        page = {"values": values, "pagelen": size, "size": len(every), "page": number}
        if number * size < len(every):
            page["next"] = with_query(self.url("emails"), {"pagelen": size, "page": number + 1})
        return Reply(body=changed(page, self.page))

    def _link(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {"self": {"href": f"{self.url('emails')}/{entry['email']}"}}

    def _caller(self, request: Request, scope: str) -> Grant:
        grant = self.bearer(request)
        if grant is None:
            raise _refused(401, {"message": "Token is invalid, expired, or not supported for this endpoint."})
        if scope not in grant.scopes:
            detail = {"granted": list(grant.scopes), "required": [scope]}
            message = "Your credentials lack one or more required privilege scopes."
            raise _refused(403, {"message": message, "detail": detail})
        return grant


def _refused(status: int, error: dict[str, Any]) -> Refused:
    return Refused(Reply(status, {"type": "error", "error": error}))
