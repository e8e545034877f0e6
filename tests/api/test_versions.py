"""Versions and preconditions (RFC 7644 §3.14, RFC 9110 §13)."""

from typing import Any

import pytest

from tests.running import GROUP, USER, House, Scim

TITLE = {"op": "replace", "path": "externalId", "value": "x"}


@pytest.fixture(params=["Users", "Groups"])
def made(request: pytest.FixtureRequest, scim: Scim) -> tuple[str, dict[str, Any]]:
    """The path of a fresh resource and the body to replace it with."""
    if request.param == "Users":
        return f"/Users/{scim.user('ada')['id']}", {"schemas": [USER], "userName": "ada", "title": "Countess"}
    return f"/Groups/{scim.group('crew')['id']}", {"schemas": [GROUP], "displayName": "crew", "externalId": "y"}


def test_the_etag_is_the_version_and_moves_with_every_change(scim: Scim, made: tuple[str, dict[str, Any]]) -> None:
    path, body = made
    tags = []
    for change in (lambda: scim.get(path), lambda: scim.patch(path, TITLE), lambda: scim.put(path, body)):
        tags.append(change().headers["etag"])
        assert scim.get(path).headers["etag"] == scim.get(path).json["meta"]["version"] == tags[-1]
    assert len(set(tags)) == 3
    assert scim.put(path, body).headers["etag"] == tags[-1]  # nothing changed


def test_a_client_that_holds_the_version_gets_304(scim: Scim, made: tuple[str, dict[str, Any]]) -> None:
    path, _ = made
    tag = scim.get(path).headers["etag"]
    for held in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        answer = scim.request("GET", path, headers={"If-None-Match": held})
        assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in answer.headers
    assert scim.request("GET", path, headers={"If-None-Match": '"other"'}).status == 200
    scim.patch(path, TITLE)
    assert scim.request("GET", path, headers={"If-None-Match": tag}).status == 200


def test_a_write_that_names_another_version_is_412_and_changes_nothing(
    scim: Scim, made: tuple[str, dict[str, Any]]
) -> None:
    path, body = made
    before = scim.get(path).json
    for stale in ('W/"99"', '"99"', "nonsense", 'W/"1', ""):
        headers = {"If-Match": stale}
        assert scim.put(path, body, headers=headers).status == 412
        assert scim.patch(path, TITLE, headers=headers).status == 412
        assert scim.delete(path, headers=headers).status == 412
    assert scim.get(path).json == before


def test_a_write_that_names_this_version_goes_through(scim: Scim, made: tuple[str, dict[str, Any]]) -> None:
    path, body = made
    assert scim.patch(path, TITLE, headers={"If-Match": scim.get(path).headers["etag"]}).status in (200, 204)
    assert scim.put(path, body, headers={"If-Match": f'"x", {scim.get(path).headers["etag"]}'}).status == 200
    assert scim.delete(path, headers={"If-Match": "*"}).status == 204


def test_a_precondition_on_what_does_not_exist_is_404(scim: Scim) -> None:
    assert scim.delete("/Users/x", headers={"If-Match": "*"}).status == 404


def test_joining_a_group_changes_a_users_etag_but_not_what_if_match_compares(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    before = scim.get(f"/Users/{ada}").headers["etag"]
    group = scim.group("crew", ada)["id"]
    joined = scim.get(f"/Users/{ada}").headers["etag"]
    assert joined != before
    assert scim.request("GET", f"/Users/{ada}", headers={"If-None-Match": before}).status == 200
    scim.patch(f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "fleet"})
    renamed = scim.get(f"/Users/{ada}")
    assert renamed.headers["etag"] not in (before, joined)
    assert renamed.json["meta"]["version"] == renamed.headers["etag"]
    assert scim.patch(f"/Users/{ada}", TITLE, headers={"If-Match": before}).status == 200
    assert scim.patch(f"/Users/{ada}", TITLE, headers={"If-Match": joined}).status == 412


def test_the_version_of_a_group_moves_when_members_come_or_go(scim: Scim) -> None:
    ada = scim.user("ada")["id"]
    path = f"/Groups/{scim.group('crew')['id']}"
    tags = [scim.get(path).headers["etag"]]
    join = {"op": "add", "path": "members", "value": [{"value": ada}]}
    for operation in (join, {"op": "remove", "path": "members"}, join):
        answer = scim.patch(path, operation)
        tags.append(answer.headers["etag"])
        assert scim.get(path).headers["etag"] == tags[-1]
    assert scim.patch(path, join).headers["etag"] == tags[-1]
    scim.delete(f"/Users/{ada}")
    tags.append(scim.get(path).headers["etag"])
    assert len(set(tags)) == 5


def test_two_connections_see_one_version(house: House) -> None:
    one, two = house.client("one"), house.client("two")
    path = f"/Users/{one.user('ada', externalId='1')['id']}"
    tag = two.get(path).headers["etag"]
    assert one.patch(path, {"op": "replace", "path": "title", "value": "x"}, headers={"If-Match": tag}).status == 200
    assert two.patch(path, {"op": "replace", "path": "title", "value": "y"}, headers={"If-Match": tag}).status == 412
