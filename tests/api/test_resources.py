"""The life of a user over HTTP: statuses, headers, and what each answer shows (RFC 7644 §3)."""

from tests.running import BASE, USER, Scim


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
