"""The company's SCIM client: python-scim's, over HTTP, with what it sent and was answered kept to be shown."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from typing import Any

import requests
from scim2_client import BaseSyncSCIMClient, RequestNetworkException

from ..directory.errors import Unavailable
from . import company

_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_SECONDS = 30


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as they went over the wire, without the token."""

    method: str
    url: str
    sent: Any
    status: int
    reason: str
    request_id: str
    answered: Any
    milliseconds: float


class ScimClient(BaseSyncSCIMClient):
    """python-scim's client on requests: it brings an engine for another library, which we do not need else."""

    def __init__(self, base: str, token: str) -> None:
        super().__init__()
        self._base = base
        self._session = requests.Session()
        self._session.trust_env = False  # no proxy of the user's shell stands between two ends of one machine
        self._session.headers["Authorization"] = f"Bearer {token}"
        self.last: Exchange | None = None

    def close(self) -> None:
        self._session.close()

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        begun = time.perf_counter()
        try:
            answer = self._session.request(method, self._base + url, timeout=_SECONDS, allow_redirects=False, **kwargs)
        except requests.RequestException as error:
            raise RequestNetworkException from error
        milliseconds = round((time.perf_counter() - begun) * 1000, 1)
        self.last = Exchange(
            method, str(answer.request.url), kwargs.get("json"), answer.status_code, answer.reason,
            answer.headers.get("X-Request-Id", ""), json.loads(answer.text) if answer.text else None, milliseconds,
        )  # fmt: skip
        return answer


class Sender:
    """What an identity provider's provisioning does: push people and groups, look, and switch somebody off."""

    def __init__(self, root: str, token: str) -> None:
        self._client = ScimClient(f"{root}/scim/v2", token)
        self._lock = threading.Lock()  # the desk answers several browsers
        try:
            self._client.discover()
        except RequestNetworkException:
            raise Unavailable(f"The demo's server does not answer at {root}.") from None

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def push(self) -> dict[str, str]:
        """Create whoever is not there yet, and the groups; returns the ids of the people by username."""
        known = self.find("userName", "User")
        for person in company.people():
            if person.username not in known:
                known[person.username] = self._create("User", person.resource)
        groups = self.find("displayName", "Group")
        for group in company.groups(known):
            if group["displayName"] not in groups:
                self._create("Group", group)
        return known

    def find(self, name: str, kind: str, text: str | None = None) -> dict[str, str]:
        """The ids of all resources of a kind, or of those that a filter finds, by name."""
        found = self.look(kind, [name], text)
        return {each[name]: each["id"] for each in found}

    def look(self, kind: str, attributes: list[str], text: str | None = None) -> list[dict[str, Any]]:
        """Resources of a kind, page by page."""
        found: list[dict[str, Any]] = []
        with self._lock:
            while True:
                asked: dict[str, Any] = {"attributes": ",".join(attributes), "startIndex": len(found) + 1}
                if text:
                    asked["filter"] = text
                page = self._client.query(kind, None, asked, check_request_payload=False, check_response_payload=False)
                assert isinstance(page, dict)
                rows = page.get("Resources", [])
                found += rows
                if not rows or len(found) >= page["totalResults"]:
                    return found

    def switch(self, user_id: str, *, active: bool) -> Exchange:
        """Say of somebody that they are active or not; a refusal is an exchange like any other."""
        operation = {"op": "replace", "path": "active", "value": active}
        with self._lock:
            self._client.modify(
                "User", user_id, {"schemas": [_PATCH], "Operations": [operation]},
                check_request_payload=False, check_response_payload=False, raise_scim_errors=False,
                params={"attributes": "userName,active"},
            )  # fmt: skip
            assert self._client.last is not None
            return self._client.last

    def _create(self, kind: str, resource: dict[str, Any]) -> str:
        with self._lock:
            made = self._client.create(kind, resource)
        return str(getattr(made, "id"))  # noqa: B009 - a model made of what the server publishes
