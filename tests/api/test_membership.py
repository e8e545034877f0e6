"""Groups and their members on the wire: what comes back, how it follows every change, nesting included."""

import pytest

from tests.running import GROUP, House, Scim


def join(*ids: str) -> dict[str, object]:
    return {"op": "add", "path": "members", "value": [{"value": each} for each in ids]}


def groups_of(scim: Scim, user: str) -> dict[str, str]:
    return {each["display"]: each["type"] for each in scim.get(f"/Users/{user}").json.get("groups", [])}


def members_of(scim: Scim, group: str) -> set[str]:
    return {each["value"] for each in scim.get(f"/Groups/{group}").json.get("members", [])}


def test_a_patch_of_a_group_is_204_or_200_as_the_connection_says(house: House) -> None:
    silent, telling = house.client(), house.client("checker", group_patch_status=200)
    ada, path = silent.user("ada")["id"], f"/Groups/{silent.group('crew')['id']}"
    quiet = silent.patch(path, join(ada))
    assert (quiet.status, quiet.body) == (204, b"")
    assert quiet.headers["etag"] == silent.get(path).headers["etag"]
    asked = silent.patch(path, join(ada), query={"attributes": "displayName"})
    assert (asked.status, set(asked.json)) == (200, {"schemas", "id", "displayName"})
    told = telling.patch(path, join(ada))
    assert (told.status, told.json) == (200, telling.get(path).json)


def test_members_carry_type_display_and_a_reference_that_leads_to_them(scim: Scim) -> None:
    ada, inner = scim.user("ada", displayName="Ada")["id"], scim.group("inner")["id"]
    shown = scim.get(f"/Groups/{scim.group('crew', ada, inner)['id']}").json["members"]
    assert {each["value"]: (each["type"], each["display"]) for each in shown} == {
        ada: ("User", "Ada"),
        inner: ("Group", "inner"),
    }
    for each in shown:
        path = each["$ref"].partition("/scim/v2")[2]
        assert scim.get(path).json["id"] == each["value"]


def test_groups_of_a_user_are_direct_or_by_nesting_and_follow_every_change(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    inner = scim.group("inner", ada)["id"]
    middle = scim.group("middle", inner)["id"]
    outer = scim.group("outer", middle)["id"]
    assert groups_of(scim, ada) == {"inner": "direct", "middle": "indirect", "outer": "indirect"}
    scim.patch(f"/Groups/{outer}", join(ada))
    assert groups_of(scim, ada) == {"inner": "direct", "middle": "indirect", "outer": "direct"}
    scim.patch(f"/Groups/{middle}", {"op": "remove", "path": f'members[value eq "{inner}"]'})
    assert groups_of(scim, ada) == {"inner": "direct", "outer": "direct"}
    scim.patch(f"/Groups/{inner}", {"op": "replace", "path": "displayName", "value": "core"})
    assert groups_of(scim, ada) == {"core": "direct", "outer": "direct"}
    scim.put(f"/Groups/{outer}", {"schemas": [GROUP], "displayName": "outer"})
    scim.delete(f"/Groups/{inner}")
    assert "groups" not in scim.get(f"/Users/{ada}").json


def test_groups_in_a_circle_are_read_once_each(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    first = scim.group("first", ada)["id"]
    second = scim.group("second", first)["id"]
    assert scim.patch(f"/Groups/{first}", join(second, first)).status == 204
    assert groups_of(scim, ada) == {"first": "direct", "second": "indirect"}
    assert members_of(scim, first) == {ada, first, second}
    assert scim.get("/Users", filter=f'groups.value eq "{second}"').ids == [ada]


def test_adding_who_is_in_and_removing_who_is_not_changes_nothing(scim: Scim) -> None:
    ada, grace = scim.user("ada")["id"], scim.user("grace")["id"]
    path = f"/Groups/{scim.group('crew', ada)['id']}"
    before = scim.get(path).json
    assert scim.patch(path, join(ada)).status == 204
    assert scim.patch(path, {"op": "remove", "path": "members", "value": [{"value": grace}]}).status == 204
    assert scim.patch(path, {"op": "remove", "path": f'members[value eq "{grace}"]'}).status == 204
    assert scim.get(path).json == before


def test_the_last_word_on_a_member_counts(scim: Scim) -> None:
    ada, grace = scim.user("ada")["id"], scim.user("grace")["id"]
    group = scim.group("crew", ada)["id"]
    leave = {"op": "remove", "path": f'members[value eq "{ada}"]'}
    scim.patch(f"/Groups/{group}", leave, join(ada, grace), {"op": "remove", "path": f'members[value eq "{grace}"]'})
    assert members_of(scim, group) == {ada}
    scim.patch(f"/Groups/{group}", {"op": "replace", "path": "members", "value": [{"value": grace}]}, join(ada))
    assert members_of(scim, group) == {ada, grace}
    scim.patch(f"/Groups/{group}", join(ada), {"op": "remove", "path": "members"})
    assert members_of(scim, group) == set()


@pytest.mark.parametrize("sub", ["value", "type", "$ref"])
def test_a_member_cannot_be_turned_into_another(scim: Scim, sub: str) -> None:
    ada = scim.user("ada")["id"]
    group = scim.group("crew", ada)["id"]
    path = f'members[value eq "{ada}"].{sub}'
    answer = scim.patch(f"/Groups/{group}", {"op": "replace", "path": path, "value": "x"})
    assert (answer.status, answer.json["scimType"]) == (400, "mutability")
    assert members_of(scim, group) == {ada}


def test_a_put_without_members_empties_the_group(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    group = scim.group("crew", ada)["id"]
    assert scim.put(f"/Groups/{group}", {"schemas": [GROUP], "displayName": "crew"}).status == 200
    assert members_of(scim, group) == set()


def test_deactivation_keeps_memberships(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    group = scim.group("crew", ada)["id"]
    scim.patch(f"/Users/{ada}", {"op": "replace", "path": "active", "value": False})
    assert members_of(scim, group) == {ada}
    assert groups_of(scim, ada) == {"crew": "direct"}
