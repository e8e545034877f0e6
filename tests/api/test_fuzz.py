"""Malformed and mutated requests: never a 5xx, never an answer that is no SCIM, and the directory stays readable.

Seeded, so that a failure comes back. ``SCIM_FUZZ`` sets how many requests are sent to each database.
"""

import json
import os
import random
from typing import Any

from tests.running import ENTERPRISE, ERROR, GROUP, PATCH_OP, SEARCH, USER, House, Scim

REQUESTS = int(os.environ.get("SCIM_FUZZ", "3000"))

ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1.5,
    10**30,
    "",
    " ",
    "x" * 600,
    "\u0000",
    "\ud7ff\ue000",
    "İß\u0301",
    "%",
    "_",
    "\\",
    '"',
    "'; DROP TABLE resources; --",
    "${jndi:x}",
    [],
    {},
    [[]],
    [{}],
    {"value": None},
    [None],
    {"$ref": "x"},
    "true",
    "False",
    {"a": {"b": {"c": []}}},
    ["a", 1, None],
    "2026-13-45T99:99:99Z",
    USER,
    ENTERPRISE,
    "members",
    "\U0010ffff",
]
NAMES = [
    "userName",
    "USERNAME",
    "name",
    "name.givenName",
    "emails",
    "emails.value",
    'emails[type eq "work"]',
    "active",
    "id",
    "meta",
    "meta.created",
    "groups",
    "members",
    "members.value",
    "externalId",
    "password",
    "schemas",
    "manager",
    "title",
    f"{ENTERPRISE}:manager",
    f"{ENTERPRISE}:manager.value",
    ENTERPRISE,
    USER,
    f"{USER}:userName",
    "displayName",
    "x",
    "",
    "addresses",
    "roles[primary eq true].value",
    "urn:foo:bar",
    "a.b.c",
    "[",
    "]",
    "emails[",
    "emails[]",
    "emails[type]",
    "$ref",
    "members.$ref",
    "photos",
    "x509Certificates",
    "phoneNumbers",
    "__class__",
    "nickName",
    "profileUrl",
    "\x00",
]
OPERATORS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "EQ", "and", "or", "not", "==", ""]
LITERALS = [
    '"a"',
    '"',
    "a",
    "true",
    "null",
    "1",
    "-1.5e9",
    '"\\u0000"',
    '"\\ud800"',
    '"%"',
    '"2026-01-31T09:30:00Z"',
    "(",
    "",
]


class Mutator:
    """Makes requests that are nearly right."""

    def __init__(self, seed: int, ids: list[str]) -> None:
        self.random, self.ids = random.Random(seed), ids

    def value(self) -> Any:
        pick = self.random.random()
        if pick < 0.5:
            return self.random.choice(ODD)
        if pick < 0.7:
            return self.random.choice(self.ids)
        return {self.random.choice(NAMES): self.value() for _ in range(self.random.randint(0, 3))}

    def mutated(self, document: Any) -> Any:
        if isinstance(document, dict) and document and self.random.random() < 0.8:
            key = self.random.choice(list(document))
            if self.random.random() < 0.2:
                return {k: v for k, v in document.items() if k != key}
            return {**document, key: self.mutated(document[key])}
        if isinstance(document, list) and document and self.random.random() < 0.8:
            place = self.random.randrange(len(document))
            return [*document[:place], self.mutated(document[place]), *document[place + 1 :]]
        return self.value()

    def operation(self) -> dict[str, Any]:
        op = {"op": self.random.choice(["add", "Replace", "remove", "move", None])}
        if self.random.random() < 0.8:
            op["path"] = self.random.choice(NAMES)
        if self.random.random() < 0.8:
            op["value"] = self.value()  # type: ignore[assignment]
        return op

    def filter(self) -> str:
        words = []
        for _ in range(self.random.randint(1, 4)):
            term = [self.random.choice(NAMES), self.random.choice(OPERATORS), self.random.choice(LITERALS)]
            self.random.shuffle(term) if self.random.random() < 0.1 else None
            words += [*term, self.random.choice(["and", "or", "and not (", ")", "[", ""])]
        return " ".join(words)

    def body(self) -> Any:
        user = {
            "schemas": [USER],
            "userName": f"u{self.random.random()}",
            "name": {"givenName": "x"},
            "emails": [{"value": "a@x", "type": "work", "primary": True}],
            ENTERPRISE: {"manager": {"value": "1"}},
        }
        group = {"schemas": [GROUP], "displayName": f"g{self.random.random()}", "members": [{"value": self.ids[0]}]}
        patch = {"schemas": [PATCH_OP], "Operations": [self.operation() for _ in range(self.random.randint(1, 3))]}
        search = {"schemas": [SEARCH], "filter": self.filter(), "count": 3, "attributes": ["userName"]}
        body = self.random.choice([user, group, patch, patch, search])
        for _ in range(self.random.randint(0, 3)):
            body = self.mutated(body)
        return body

    def raw(self) -> bytes:
        text = json.dumps(self.body()).encode()
        if self.random.random() < 0.1:
            place = self.random.randrange(len(text) + 1)
            return text[:place] + bytes([self.random.randrange(256)]) + text[place + self.random.randint(0, 2) :]
        return text

    def request(self) -> tuple[str, str, bytes | None, dict[str, str]]:
        kind = self.random.choice(["Users", "Groups", "", "Schemas", "ResourceTypes", "Me", "Users/.search", ".search"])
        path = f"/{kind}"
        if self.random.random() < 0.6:
            path += "/" + self.random.choice([*self.ids, "x", "..", "%00", "é", "'", "a/b", "0" * 300])
        if self.random.random() < 0.5:
            names = ["filter", "sortBy", "sortOrder", "count", "startIndex", "attributes", "excludedAttributes"]
            pairs = [
                (name, self.filter() if name == "filter" else str(self.random.choice([*ODD, *NAMES])))
                for name in self.random.sample(names, self.random.randint(1, 3))
            ]
            path += "?" + "&".join(f"{name}={_quoted(value)}" for name, value in pairs)
        method = self.random.choice(["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "BREW"])
        headers = {}
        for name, values in {
            "If-Match": ['W/"1"', "*", "x", '"', ""],
            "If-None-Match": ["*", 'W/"1-2"', ","],
            "Accept": ["*/*", "text/html", ""],
            "Content-Type": ["application/json", "text/xml", "", "application/scim+json; charset=utf-8"],
        }.items():
            if self.random.random() < 0.15:
                headers[name] = self.random.choice(values)
        return method, path, self.raw() if method in ("POST", "PUT", "PATCH") else None, headers


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))


def test_no_mutated_request_makes_the_server_fail(house: House) -> None:
    scim: Scim = house.client()
    ids = [scim.user(f"seed{n}", emails=[{"value": f"s{n}@x", "type": "work"}])["id"] for n in range(4)]
    ids.append(scim.group("seed", *ids)["id"])
    mutator = Mutator(2026, ids)
    for number in range(REQUESTS):
        method, path, body, headers = mutator.request()
        answer = scim.request(method, path, body, headers=headers)
        sent = (number, method, path, body, headers)
        assert answer.status < 500 or answer.status == 501, (sent, answer)
        if answer.status >= 400 and method != "HEAD":
            assert answer.json["schemas"] == [ERROR], (sent, answer)
            assert answer.json["status"] == str(answer.status), (sent, answer)
            assert answer.json["detail"], (sent, answer)
    assert scim.get("/Users").status == scim.get("/Groups").status == 200
