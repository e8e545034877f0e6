"""Deleted is gone from the wire, everywhere and at once (RFC 7644 §3.6); restored from inside, it is back as it was."""

from scim_server.directory import groups, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import write
from tests.running import ENTERPRISE, GROUP, USER, House, Scim


def restore(house: House, kind: str, resource_id: str) -> None:
    with write(house.database, at_command_line(house.tenant.id)) as tx:
        (users if kind == "User" else groups).restore(tx, resource_id)


def test_a_deleted_user_is_nowhere(scim: Scim) -> None:
    ada = scim.user("ada", emails=[{"value": "ada@x.example"}], externalId="1")["id"]
    crew = scim.group("crew", ada)["id"]
    gone = scim.delete(f"/Users/{ada}")
    assert (gone.status, gone.body) == (204, b"")
    for method, body in (("GET", None), ("PUT", {"schemas": [USER], "userName": "ada"}), ("DELETE", None)):
        assert scim.request(method, f"/Users/{ada}", body).status == 404
    assert scim.patch(f"/Users/{ada}", {"op": "replace", "path": "active", "value": True}).status == 404
    for text in (None, f'id eq "{ada}"', 'userName eq "ada"', 'externalId eq "1"', 'emails.value eq "ada@x.example"'):
        assert scim.get("/Users", **({"filter": text} if text else {})).json["totalResults"] == 0
    assert "members" not in scim.get(f"/Groups/{crew}").json
    assert scim.get("/Groups", filter=f'members.value eq "{ada}"').ids == []
    refused = scim.patch(f"/Groups/{crew}", {"op": "add", "path": "members", "value": [{"value": ada}]})
    assert refused.status == 400


def test_a_deleted_manager_is_still_named(scim: Scim) -> None:
    boss = scim.user("boss")["id"]
    ada = scim.user("ada", **{ENTERPRISE: {"manager": {"value": boss}}})["id"]
    scim.delete(f"/Users/{boss}")
    assert scim.get(f"/Users/{ada}").json[ENTERPRISE]["manager"]["value"] == boss
    assert scim.get("/Users", filter=f'{ENTERPRISE}:manager eq "{boss}"').ids == [ada]


def test_a_deleted_group_leaves_its_members_and_the_groups_it_was_in(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    inner = scim.group("inner", ada)["id"]
    outer = scim.group("outer", inner)["id"]
    assert scim.delete(f"/Groups/{inner}").status == 204
    assert scim.get(f"/Groups/{inner}").status == scim.delete(f"/Groups/{inner}").status == 404
    assert "groups" not in scim.get(f"/Users/{ada}").json
    assert "members" not in scim.get(f"/Groups/{outer}").json
    assert scim.get("/Groups").ids == [outer]


def test_the_name_is_free_at_once_and_the_new_one_has_another_id(scim: Scim) -> None:
    ada, crew = scim.user("ada")["id"], scim.group("crew")["id"]
    scim.delete(f"/Users/{ada}")
    scim.delete(f"/Groups/{crew}")
    assert scim.user("ADA")["id"] != ada
    assert scim.group("CREW")["id"] != crew


def test_a_restored_user_is_back_in_its_groups(house: House) -> None:
    scim = house.client()
    ada = scim.user("ada", externalId="1", emails=[{"value": "ada@x.example"}])
    crew = scim.group("crew", ada["id"])
    before = scim.get(f"/Users/{ada['id']}").json
    scim.delete(f"/Users/{ada['id']}")
    between = scim.get(f"/Groups/{crew['id']}").headers["etag"]
    restore(house, "User", ada["id"])
    after = scim.get(f"/Users/{ada['id']}").json
    assert after | {"meta": None} == before | {"meta": None}
    assert after["meta"]["version"] != before["meta"]["version"]
    shown = scim.get(f"/Groups/{crew['id']}")
    assert [each["value"] for each in shown.json["members"]] == [ada["id"]]
    assert shown.headers["etag"] not in (between, crew["meta"]["version"])
    assert scim.get("/Users", filter='emails.value eq "ADA@x.example" and externalId eq "1"').ids == [ada["id"]]


def test_a_restored_group_has_its_members_again(house: House) -> None:
    scim = house.client()
    ada = scim.user("ada")["id"]
    crew = scim.group("crew", ada)["id"]
    scim.delete(f"/Groups/{crew}")
    restore(house, "Group", crew)
    assert [each["value"] for each in scim.get(f"/Groups/{crew}").json["members"]] == [ada]
    assert [each["value"] for each in scim.get(f"/Users/{ada}").json["groups"]] == [crew]


def test_memberships_made_while_a_member_was_gone_stay_as_they_are(house: House) -> None:
    scim = house.client()
    ada, grace = scim.user("ada")["id"], scim.user("grace")["id"]
    crew = scim.group("crew", ada)["id"]
    scim.delete(f"/Users/{ada}")
    scim.put(f"/Groups/{crew}", {"schemas": [GROUP], "displayName": "crew", "members": [{"value": grace}]})
    restore(house, "User", ada)
    assert [each["value"] for each in scim.get(f"/Groups/{crew}").json["members"]] == [grace]
