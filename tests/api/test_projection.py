"""``attributes`` and ``excludedAttributes`` wherever a resource is answered (RFC 7644 §3.9)."""

from typing import Any

import pytest

from tests.running import ENTERPRISE, GROUP, SEARCH, USER, Scim

FULL: dict[str, Any] = {
    "schemas": [USER, ENTERPRISE],
    "userName": "ada",
    "displayName": "Ada",
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "emails": [{"value": "ada@x.example", "type": "work"}],
    "password": "Analytical!",
    ENTERPRISE: {"department": "Engines", "costCenter": "1842"},
}
ALWAYS = {"schemas", "id"}

ONLY = {
    "userName": {"userName": "ada"},
    "USERNAME, displayname": {"userName": "ada", "displayName": "Ada"},
    "name.givenName": {"name": {"givenName": "Ada"}},
    f"{USER}:name.familyName": {"name": {"familyName": "Lovelace"}},
    "emails.value": {"emails": [{"value": "ada@x.example"}]},
    'emails[type eq "work"]': {"emails": FULL["emails"]},
    ENTERPRISE: {ENTERPRISE: FULL[ENTERPRISE]},
    f"{ENTERPRISE}:department": {ENTERPRISE: {"department": "Engines"}},
    "id": {},
    "password": {},
    "nothing": {},
}
WITHOUT = {
    "name,emails,active": {"userName", "displayName", ENTERPRISE, "meta"},
    f"NAME,{ENTERPRISE}": {"userName", "displayName", "emails", "active", "meta"},
    "id,schemas,meta": {"userName", "displayName", "name", "emails", "active", ENTERPRISE},
}


def of(resource: dict[str, Any]) -> dict[str, Any]:
    """What is shown beside ``id`` and ``schemas``, which always are."""
    assert set(resource) >= ALWAYS
    return {name: value for name, value in resource.items() if name not in ALWAYS}


@pytest.mark.parametrize("names", ONLY)
def test_only_what_is_asked_for_comes(scim: Scim, names: str) -> None:
    made = scim.post(f"/Users?attributes={names}", FULL)
    assert made.status == 201
    path, body = f"/Users/{made.json['id']}", {"schemas": [SEARCH], "attributes": names.split(",")}
    shown = [
        made.json,
        scim.get(path, attributes=names).json,
        scim.get("/Users", attributes=names).json["Resources"][0],
        scim.request("PUT", path, FULL, query={"attributes": names}).json,
        scim.patch(path, {"op": "add", "path": "title", "value": "Countess"}, query={"attributes": names}).json,
        scim.post("/Users/.search", body).json["Resources"][0],
        scim.post("/.search", body).json["Resources"][0],
    ]
    assert [of(each) for each in shown] == [ONLY[names]] * 7


@pytest.mark.parametrize("names", WITHOUT)
def test_what_is_excluded_does_not_come(scim: Scim, names: str) -> None:
    made = scim.post(f"/Users?excludedAttributes={names}", FULL)
    path, body = f"/Users/{made.json['id']}", {"schemas": [SEARCH], "excludedAttributes": names.split(",")}
    shown = [
        made.json,
        scim.get(path, excludedAttributes=names).json,
        scim.get("/Users", excludedAttributes=names).json["Resources"][0],
        scim.request("PUT", path, FULL, query={"excludedAttributes": names}).json,
        scim.patch(path, {"op": "remove", "path": "title"}, query={"excludedAttributes": names}).json,
        scim.post("/Users/.search", body).json["Resources"][0],
        scim.post("/.search", body).json["Resources"][0],
    ]
    assert [set(of(each)) for each in shown] == [WITHOUT[names]] * 7


def test_members_come_or_not_as_asked(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    group = scim.group("crew", ada)["id"]
    path = f"/Groups/{group}"
    assert "members" not in scim.get(path, excludedAttributes="members").json
    assert "members" not in scim.get("/Groups", attributes="displayName").json["Resources"][0]
    assert of(scim.get(path, attributes="members.value").json) == {"members": [{"value": ada}]}
    asked = scim.patch(path, {"op": "add", "path": "externalId", "value": "x"}, query={"attributes": "externalId"})
    assert (asked.status, of(asked.json)) == (200, {"externalId": "x"})
    put = scim.request("PUT", path, {"schemas": [GROUP], "displayName": "crew"}, query={"attributes": "members"})
    assert of(put.json) == {}


def test_groups_of_a_user_come_or_not_as_asked(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    crew = scim.group("crew", ada)["id"]
    assert of(scim.get(f"/Users/{ada}", attributes="groups.value").json) == {"groups": [{"value": crew}]}
    assert "groups" not in scim.get(f"/Users/{ada}", excludedAttributes="groups").json


def test_one_of_the_two_at_a_time(scim: Scim) -> None:
    answer = scim.get("/Users", attributes="userName", excludedAttributes="name")
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


def test_a_password_never_comes(scim: Scim) -> None:
    made = scim.post("/Users", FULL).json
    for answer in (scim.get(f"/Users/{made['id']}"), scim.get(f"/Users/{made['id']}", attributes="password,userName")):
        assert b"nalytical" not in answer.body
        assert "password" not in answer.json
