"""What a sender with a good token must not be able to do to the others, nor to itself by mistake."""

import json
from typing import Any

import pytest

from scim_server.directory.store import search
from tests.running import ENTERPRISE, LIST, USER, House, Scim


def refused(answer: Any, status: int = 400) -> None:
    assert answer.status == status, answer
    assert answer.json["status"] == str(status)


def test_nul_does_not_come_in_by_json_in_text(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    refused(scim.patch(f"/Users/{ada}", {"op": "replace", "value": json.dumps({"displayName": "a\x00b"})}))


@pytest.mark.parametrize("depth", [3, 900])
def test_lists_in_lists_are_no_manager(scim: Scim, depth: int) -> None:
    manager = json.loads("[" * depth + "]" * depth)
    refused(scim.post("/Users", {"schemas": [USER], "userName": "ada", ENTERPRISE: {"manager": manager}}))


def test_deep_json_beside_a_nul_is_refused(scim: Scim) -> None:
    body = f'{{"schemas":["{USER}"],"userName":"ada\\u0000","x":{"[" * 900}{"]" * 900}}}'
    refused(scim.post("/Users", body.encode()))


@pytest.mark.parametrize("name", ["", " ", "\t\n"])
def test_a_blank_name_is_none(scim: Scim, name: str) -> None:
    refused(scim.post("/Users", {"schemas": [USER], "userName": name}))


def test_a_list_of_attributes_is_bounded(scim: Scim) -> None:
    names = ",".join(f"emails.x{number}" for number in range(201))
    refused(scim.get("/Users", attributes=names))
    assert scim.get("/Users", attributes="userName," * 5000).json["schemas"] == [LIST]  # one name, again and again


def test_what_is_to_be_removed_is_bounded_and_found_quickly(scim: Scim) -> None:
    emails = [{"value": f"{number}@x.example"} for number in range(1000)]
    ada = scim.user("ada", emails=emails)["id"]
    listed = {"op": "remove", "path": "emails", "value": emails[1:]}
    refused(scim.patch(f"/Users/{ada}", {**listed, "value": [*emails, {"value": "x"}]}))
    assert scim.patch(f"/Users/{ada}", listed).json["emails"] == emails[:1]


def test_selections_of_members_are_bounded(scim: Scim) -> None:
    crew = scim.group("crew")["id"]
    operations = [{"op": "remove", "path": f'members[display sw "{number}"]'} for number in range(21)]
    refused(scim.patch(f"/Groups/{crew}", *operations))
    assert scim.patch(f"/Groups/{crew}", *operations[:20]).status == 204


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/Schemas", f"/Schemas/{USER}", "/ResourceTypes/User"])
def test_discovery_refuses_filters(scim: Scim, path: str) -> None:
    refused(scim.get(path, filter='name eq "x"'), 403)


def test_statements_of_long_filters_are_not_kept(scim: Scim) -> None:
    crew = scim.group("crew")["id"]
    kept = search._statement.cache_info().currsize, search._member_statement.cache_info().currsize
    for term in ('title eq "x"', "title pr"):
        for number in range(9, 20):
            assert scim.get("/Users", filter=" or ".join([term] * number)).json["totalResults"] == 0
    selected = " or ".join(["display pr"] * 9)
    assert scim.patch(f"/Groups/{crew}", {"op": "remove", "path": f"members[{selected}]"}).status == 204
    assert (search._statement.cache_info().currsize, search._member_statement.cache_info().currsize) == kept


def test_the_total_of_a_list_is_what_lives(house: House) -> None:
    scim = house.client()
    people = [scim.user(f"person-{number}")["id"] for number in range(5)]
    crew = scim.group("crew", *people)["id"]
    scim.delete(f"/Users/{people[0]}")
    scim.delete(f"/Users/{people[0]}")  # there is nothing to delete any more
    refused(scim.post("/Users", {"schemas": [USER], "userName": "person-1"}), 409)
    assert scim.get("/Users", count=2).json["totalResults"] == scim.get("/Users", count=0).json["totalResults"] == 4
    assert scim.get("/Groups", count=0).json["totalResults"] == 1
    everything = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "count": 0}
    assert scim.post("/.search", everything).json["totalResults"] == 5
    scim.delete(f"/Groups/{crew}")
    assert scim.post("/.search", everything).json["totalResults"] == 4
    assert house.client(tenant="other").get("/Users", count=0).json["totalResults"] == 0
