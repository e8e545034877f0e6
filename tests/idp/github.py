"""GitHub as an OAuth 2 provider: an Enterprise Server's paths, so that pages and API share one base."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

from tests.idp.grants import CodeProvider, Grant
from tests.idp.serving import REMOVE, Override, Refused, Reply, Request, changed, with_query

DOCUMENTATION = "https://docs.github.com"
TROUBLE = f"{DOCUMENTATION}/apps/managing-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/"
# What GitHub calls the errors of RFC 6749 5.2; all come as 200.
ERRORS = {
    "invalid_client": ("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."),
    "invalid_grant": ("bad_verification_code", "The code passed is incorrect or expired."),
    "redirect_uri_mismatch": (
        "redirect_uri_mismatch",
        "The redirect_uri MUST match the registered callback URL for this application.",
    ),
}


@dataclass
class GitHubPerson:
    """An account; ``login`` can be renamed and taken by another, ``id`` cannot."""

    id: int = 583231
    login: str = "ada"
    name: str | None = "Ada Lovelace"
    public_email: str | None = None  # what the profile shows: anything verified, or nothing
    emails: list[dict[str, Any]] = field(default_factory=lambda: [email("ada@example.com", primary=True)])

    @property
    def noreply(self) -> str:
        return f"{self.id}+{self.login}@users.noreply.github.com"


def email(address: str, *, primary: bool = False, verified: bool = True) -> dict[str, Any]:
    """One entry of ``/user/emails``."""
    visibility = "private" if primary else None
    return {"email": address, "primary": primary, "verified": verified, "visibility": visibility}


class GitHub(CodeProvider):
    """``person`` is a ``GitHubPerson``; the API is at ``api``."""

    PATHS: ClassVar[dict[str, str]] = {
        "authorize": "/login/oauth/authorize",
        "token": "/login/oauth/access_token",
        "user": "/api/v3/user",
        "emails": "/api/v3/user/emails",
    }

    def reset(self) -> None:
        super().reset()
        self.enforce_pkce = None  # S256 since July 2025, not demanded
        self.token_error: str | None = None  # the token endpoint answers 200 with this error
        self.user: Override = {}  # over the body of /user
        self.emails: Override = {}  # over each entry of /user/emails

    def new_person(self) -> GitHubPerson:
        return GitHubPerson()

    @property
    def api(self) -> str:
        return f"{self.base}/api/v3"

    def deny(self) -> None:
        """The person presses Cancel."""
        self.callback = lambda members: {
            "error": "access_denied",
            "error_description": "The user has denied your application access.",
            "error_uri": f"{TROUBLE}#access-denied",
            "state": members.get("state", REMOVE),
        }

    def new_access_token(self) -> str:
        return f"gho_{secrets.token_hex(18)}"

    def on_authorize(self, request: Request) -> Reply:
        # GitHub knows neither response_type nor grant_type.
        return super().on_authorize(replace(request, query={"response_type": "code", **request.query}))

    def on_token(self, request: Request) -> Reply:
        if self.token_error:
            return self.token_refused(self.token_error, "", request)
        return super().on_token(replace(request, form={"grant_type": "authorization_code", **request.form}))

    def token_members(self, grant: Grant, access_token: str) -> dict[str, Any]:
        return {"access_token": access_token, "scope": ",".join(grant.scopes), "token_type": "bearer"}

    def token_answer(self, members: dict[str, Any], request: Request) -> Reply:
        if "application/json" in request.headers.get("accept", ""):
            return Reply(body=members)
        form = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Reply(body=urlencode(members), headers=form)

    def token_refused(self, error: str, description: str, request: Request) -> Reply:
        error, description = ERRORS.get(error, (error, description))
        uri = f"{TROUBLE}#{error.replace('_', '-')}"
        return self.token_answer({"error": error, "error_description": description, "error_uri": uri}, request)

    def on_user(self, request: Request) -> Reply:
        grant = self._caller(request)
        return Reply(body=changed(self._profile(grant.person), self.user), headers=self._headers(grant))

    def on_emails(self, request: Request) -> Reply:
        grant = self._caller(request)
        if not {"user:email", "user"} & set(grant.scopes):
            page = "/rest/users/emails#list-email-addresses-for-the-authenticated-user"
            raise _refused(404, "Not Found", page)
        size = min(int(request.query.get("per_page", 30)), 100)
        page_number = int(request.query.get("page", 1))
        every = [changed(each, self.emails) for each in grant.person.emails]
        headers = self._headers(grant)
        if page_number * size < len(every):
            following = with_query(self.url("emails"), {"per_page": size, "page": page_number + 1})
            headers["Link"] = f'<{following}>; rel="next"'
        return Reply(body=every[(page_number - 1) * size : page_number * size], headers=headers)

    def _caller(self, request: Request) -> Grant:
        if not request.headers.get("user-agent"):
            raise Refused(Reply(403, "Request forbidden by administrative rules. Please set a User-Agent header."))
        if grant := self.bearer(request):
            return grant
        raise _refused(
            401, "Bad credentials" if "authorization" in request.headers else "Requires authentication", "/rest"
        )

    def _headers(self, grant: Grant) -> dict[str, Any]:
        return {
            "X-OAuth-Scopes": ", ".join(grant.scopes),
            "X-OAuth-Client-Id": self.client_id,
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": "2022-11-28",
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": "4987",
            "Cache-Control": "private, max-age=60, s-maxage=60",
        }

    def _profile(self, who: GitHubPerson) -> dict[str, Any]:
        api, page = f"{self.api}/users/{who.login}", f"{self.base}/{who.login}"
        links = ("followers", "subscriptions", "organizations", "repos", "received_events")
        return {
            "login": who.login,
            "id": who.id,
            "node_id": "MDQ6VXNlcjU4MzIzMQ==",
            "avatar_url": f"{self.base}/avatars/u/{who.id}?v=4",
            "gravatar_id": "",
            "url": api,
            "html_url": page,
            **{f"{name}_url": f"{api}/{name}" for name in links},
            "following_url": f"{api}/following{{/other_user}}",
            "gists_url": f"{api}/gists{{/gist_id}}",
            "starred_url": f"{api}/starred{{/owner}}{{/repo}}",
            "events_url": f"{api}/events{{/privacy}}",
            "type": "User",
            "user_view_type": "private",
            "site_admin": False,
            "name": who.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": who.public_email,
            "hireable": None,
            "bio": None,
            "twitter_username": None,
            "notification_email": who.public_email,
            "public_repos": 8,
            "public_gists": 8,
            "followers": 20,
            "following": 0,
            "created_at": "2011-01-25T18:44:36Z",
            "updated_at": "2026-10-22T11:25:16Z",
            "private_gists": 0,
            "total_private_repos": 2,
            "owned_private_repos": 2,
            "disk_usage": 1024,
            "collaborators": 0,
            "two_factor_authentication": True,
            "plan": {"name": "free", "space": 976562499, "collaborators": 0, "private_repos": 10000},
        }


def _refused(status: int, message: str, page: str) -> Refused:
    body = {"message": message, "documentation_url": DOCUMENTATION + page, "status": str(status)}
    return Refused(Reply(status, body))
