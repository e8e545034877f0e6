"""What a tolerant connection forgives and a strict one refuses, deviation by deviation."""

from collections.abc import Callable
from typing import Any

import pytest

from scim_server.directory import audit
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import read
from scim_server.protocol.senders import Deviation
from tests.running import ENTERPRISE, GROUP, USER, Answer, House, Scim

Ada = dict[str, Any]


def post(**attributes: Any) -> Callable[[Scim, Ada], Answer]:
    body = {"schemas": [USER, ENTERPRISE], "userName": "grace", **attributes}
    return lambda scim, _: scim.post("/Users", body)


def patch(op: str, path: str | None, value: Any) -> Callable[[Scim, Ada], Answer]:
    operation = {"op": op, "value": value} | ({"path": path} if path else {})
    return lambda scim, ada: scim.patch(f"/Users/{ada['id']}", operation)


def without_schemas(scim: Scim, ada: Ada) -> Answer:
    return scim.request("PATCH", f"/Users/{ada['id']}", {"Operations": [{"op": "add", "path": "title", "value": "x"}]})


def group_with_a_stranger(scim: Scim, ada: Ada) -> Answer:
    members = [{"value": ada["id"]}, {"value": "nobody"}]
    return scim.post("/Groups", {"schemas": [GROUP], "displayName": "crew", "members": members})


PRIMARY = {"value": "a@x.example", "primary": True}
MANAGER = f"{ENTERPRISE}:manager"
DEVIATIONS: dict[Deviation, tuple[Callable[[Scim, Ada], Answer], str]] = {
    Deviation.TEXT_BOOLEAN: (post(active="False"), "active"),
    Deviation.TEXT_REFERENCE: (patch("add", MANAGER, "boss"), MANAGER),
    Deviation.LIST_FOR_SINGLE: (patch("add", MANAGER, [{"value": "boss"}]), MANAGER),
    Deviation.SINGLE_FOR_LIST: (post(emails={"value": "a@x.example"}), "emails"),
    Deviation.PATH_AS_KEY: (post(**{"name.givenName": "Grace"}), "name.givenName"),
    Deviation.UNKNOWN_ATTRIBUTE: (post(shoeSize=44), "shoeSize"),
    Deviation.UNKNOWN_SCHEMA: (post(schemas=[USER, "urn:example:Shoe"]), "urn:example:Shoe"),
    Deviation.SEVERAL_PRIMARIES: (post(emails=[PRIMARY, {**PRIMARY, "type": "home"}]), "emails"),
    Deviation.REMOVE_WITH_VALUE: (patch("remove", "emails", [{"value": "ada@x.example"}]), "emails"),
    Deviation.CREATED_BY_FILTER: (patch("replace", 'emails[type eq "home"].value', "h@x.example"), "emails"),
    Deviation.UNQUALIFIED_EXTENSION: (patch("add", "manager", {"value": "boss"}), MANAGER),
    Deviation.MISSING_PATCH_SCHEMA: (without_schemas, "schemas"),
    Deviation.EMPTY_FOR_NONE: (patch("replace", MANAGER, ""), MANAGER),
    Deviation.UNKNOWN_MEMBER: (group_with_a_stranger, "nobody"),
    Deviation.JSON_IN_TEXT: (patch("replace", None, '{"title": "Countess"}'), "value"),
}


def ada(scim: Scim) -> Ada:
    return scim.user(
        "ada", emails=[{"value": "ada@x.example"}], **{ENTERPRISE: {"manager": {"value": "nobody in particular"}}}
    )


def test_every_deviation_is_here() -> None:
    assert set(DEVIATIONS) == set(Deviation)


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_a_tolerant_connection_accepts_and_records_it(house: House, deviation: Deviation) -> None:
    scim = house.client()
    request, where = DEVIATIONS[deviation]
    held = ada(scim)
    answer = request(scim, held)
    assert answer.status in (200, 201), answer.body
    record = audit.of(read(house.database, at_command_line(house.tenant.id)), answer.json["id"])[0]
    assert record["deviations"] == [f"{deviation}: {where}"]


@pytest.mark.parametrize("deviation", DEVIATIONS)
def test_a_strict_connection_refuses_it_and_nothing_changes(house: House, deviation: Deviation) -> None:
    scim = house.client(strict=True)
    held = ada(scim)
    answer = DEVIATIONS[deviation][0](scim, held)
    assert (answer.status, answer.json["status"]) == (400, "400")
    assert answer.json["detail"]
    assert scim.get("/Users").json["totalResults"] == 1
    assert scim.get("/Groups").json["totalResults"] == 0
    assert scim.get(f"/Users/{held['id']}").json == held


def test_what_is_to_the_letter_leaves_no_deviation(house: House) -> None:
    made = house.client(strict=True).user("grace", active=False, title="Admiral")
    record = audit.of(read(house.database, at_command_line(house.tenant.id)), made["id"])[0]
    assert (record["action"], record["deviations"]) == ("user.created", None)


def test_known_members_are_added_and_unknown_ones_told_but_not_when_all_are_unknown(house: House) -> None:
    scim, strict = house.client(), house.client("strict one", strict=True)
    held = ada(scim)
    group = scim.group("crew")["id"]
    stranger = {"op": "add", "path": "members", "value": [{"value": "nobody"}]}
    both = {"op": "add", "path": "members", "value": [{"value": "nobody"}, {"value": held["id"]}]}
    for client, operation in ((scim, stranger), (strict, stranger), (strict, both)):
        refused = client.patch(f"/Groups/{group}", operation)
        assert (refused.status, refused.json["scimType"]) == (400, "invalidValue")
        assert "members" not in scim.get(f"/Groups/{group}").json
    assert scim.patch(f"/Groups/{group}", both).status == 204
    assert [each["value"] for each in scim.get(f"/Groups/{group}").json["members"]] == [held["id"]]
    record = audit.of(read(house.database, at_command_line(house.tenant.id)), group)[0]
    assert record["deviations"] == ["unknown-member: nobody"]
