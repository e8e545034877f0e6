"""The life of a user over HTTP: statuses, headers, and what each answer shows (RFC 7644 §3)."""

import pytest

from tests.running import BASE, ENTERPRISE, PATCH_OP, USER, Scim


def test_create_answers_201_with_location_version_and_the_whole_resource(scim: Scim) -> None:
    answer = scim.post("/Users", {"schemas": [USER], "userName": "Ada", "name": {"givenName": "Ada"}})
    shown = answer.json
    assert answer.status == 201
    assert answer.headers["location"] == shown["meta"]["location"] == f"{BASE}/Users/{shown['id']}"
    assert answer.headers["etag"] == shown["meta"]["version"] == 'W/"1"'
    assert shown["meta"]["created"] == shown["meta"]["lastModified"]
    assert (shown["userName"], shown["name"], shown["active"]) == ("Ada", {"givenName": "Ada"}, True)


def test_what_a_get_shows_can_be_put_back_and_changes_nothing(scim: Scim) -> None:
    made = scim.user("ada", emails=[{"value": "ada@x.example", "primary": True}])
    scim.group("crew", made["id"])
    shown = scim.get(f"/Users/{made['id']}").json
    answer = scim.put(f"/Users/{made['id']}", shown)
    assert (answer.status, answer.json) == (200, shown)


def test_an_id_of_the_senders_is_ignored_in_a_post_and_moves_nothing_in_a_put(scim: Scim) -> None:
    ada, grace = scim.user("ada", id="1", meta={"created": "2000-01-01T00:00:00Z"}), scim.user("grace")
    assert ada["id"] != "1"
    assert ada["meta"]["created"] > "2020"
    answer = scim.put(f"/Users/{ada['id']}", {"schemas": [USER], "id": grace["id"], "userName": "ada", "title": "x"})
    assert (answer.status, answer.json["id"]) == (200, ada["id"])
    assert "title" not in scim.get(f"/Users/{grace['id']}").json


def test_a_put_clears_what_it_leaves_out_but_active_and_memberships(scim: Scim) -> None:
    made = scim.user("ada", active=False, title="Countess", emails=[{"value": "ada@x.example"}])
    scim.group("crew", made["id"])
    shown = scim.put(f"/Users/{made['id']}", {"schemas": [USER], "userName": "ada", "groups": []}).json
    assert set(shown) == {"schemas", "id", "userName", "active", "groups", "meta"}
    assert (shown["active"], shown["meta"]["created"]) == (False, made["meta"]["created"])


def test_a_put_to_an_unknown_id_creates_nothing(scim: Scim) -> None:
    assert scim.put("/Users/x", {"schemas": [USER], "userName": "ada"}).status == 404
    assert scim.get("/Users").json["totalResults"] == 0


@pytest.mark.parametrize("verb", ["POST", "PUT", "PATCH"])
def test_a_name_in_another_case_is_taken_and_nothing_changes(scim: Scim, verb: str) -> None:
    scim.user("Åse")
    other = scim.user("other")
    path = "/Users" if verb == "POST" else f"/Users/{other['id']}"
    body = {"schemas": [USER], "userName": "åSE", "title": "x"}
    if verb == "PATCH":
        operations = [{"op": "add", "path": name, "value": body[name]} for name in ("title", "userName")]
        body = {"schemas": [PATCH_OP], "Operations": operations}
    answer = scim.request(verb, path, body)
    assert (answer.status, answer.json["scimType"]) == (409, "uniqueness")
    assert scim.get(f"/Users/{other['id']}").json == other


def test_ones_own_name_in_another_case_is_no_conflict(scim: Scim) -> None:
    made = scim.user("ada")
    assert scim.put(f"/Users/{made['id']}", {"schemas": [USER], "userName": "ADA"}).json["userName"] == "ADA"


def test_a_patch_is_all_or_nothing(scim: Scim) -> None:
    made = scim.user("ada", emails=[{"value": "ada@x.example"}])
    good = [{"op": "add", "path": "title", "value": "x"}, {"op": "remove", "path": "emails"}]
    for bad in ({"op": "add", "path": "shoeSize", "value": 44}, {"op": "remove", "path": "userName"}):
        assert scim.patch(f"/Users/{made['id']}", *good, bad).status == 400
    assert scim.get(f"/Users/{made['id']}").json == made


def test_a_patch_that_changes_nothing_moves_neither_version_nor_last_modified(scim: Scim) -> None:
    made = scim.user("ada", title="x", emails=[{"value": "ada@x.example"}])
    answer = scim.patch(
        f"/Users/{made['id']}",
        {"op": "add", "path": "title", "value": "x"},
        {"op": "add", "path": "emails", "value": [{"value": "ada@x.example"}]},
        {"op": "remove", "path": "nickName"},
    )
    assert answer.json == made


def test_schemas_lists_what_is_there(scim: Scim) -> None:
    made = scim.post("/Users", {"schemas": [USER, ENTERPRISE], "userName": "ada"}).json
    path = f"/Users/{made['id']}"
    assert made["schemas"] == [USER]
    add = {"op": "add", "path": f"{ENTERPRISE}:department", "value": "Engines"}
    assert scim.patch(path, add).json["schemas"] == [USER, ENTERPRISE]
    assert scim.patch(path, {"op": "remove", "path": add["path"]}).json["schemas"] == [USER]


def test_values_come_back_as_they_were_sent(scim: Scim) -> None:
    odd = {
        "displayName": ' e\u0301é 👩‍👩‍👧 \t\n"\\ ',
        "profileUrl": "no url",
        "timezone": "Pacific Standard Time",
        "nickName": "",
    }
    made = scim.user("ada", **odd, phoneNumbers=[{"value": " +1 (555) 01 "}])
    shown = scim.get(f"/Users/{made['id']}").json
    assert {name: shown.get(name) for name in odd} == odd
    assert shown["phoneNumbers"] == [{"value": " +1 (555) 01 "}]


@pytest.mark.parametrize(
    "content_type", ["application/scim+json", "application/json; charset=utf-8", "APPLICATION/JSON"]
)
def test_a_body_is_json_by_either_name(scim: Scim, content_type: str) -> None:
    body = {"schemas": [USER], "userName": "ada"}
    assert scim.post("/Users", body, headers={"Content-Type": content_type}).status == 201


@pytest.mark.parametrize(
    ("accept", "answered"),
    [
        ("application/json", "application/json"),
        ("application/json; charset=utf-8", "application/json"),
        ("application/json, */*", "application/scim+json"),
        ("application/json, application/scim+json;q=0.5", "application/scim+json"),
        ("*/*", "application/scim+json"),
        ("text/html", "application/scim+json"),
    ],
)
def test_the_media_type_is_scim_unless_plain_json_alone_is_asked_for(scim: Scim, accept: str, answered: str) -> None:
    for path, status in (("/Users", 200), ("/Users/x", 404)):
        answer = scim.request("GET", path, headers={"Accept": accept})
        assert (answer.status, answer.headers["content-type"]) == (status, answered)


def test_head_is_get_without_the_body(scim: Scim) -> None:
    path = f"/Users/{scim.user('ada')['id']}"
    got, head = scim.get(path), scim.request("HEAD", path)
    assert (head.status, head.body, head.headers["etag"]) == (200, b"", got.headers["etag"])
    assert head.headers["content-length"] == str(len(got.body))


@pytest.mark.parametrize("path", ["/Users/", "/Groups/", "/ServiceProviderConfig/", "/.search/", "/Users/.search/"])
def test_a_trailing_slash_does_not_matter(scim: Scim, path: str) -> None:
    assert scim.request("POST" if "search" in path else "GET", path, {}).status == 200
