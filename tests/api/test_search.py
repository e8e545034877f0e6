"""Finding, sorting and paging over HTTP (RFC 7644 §3.4.2, §3.4.3); the filters themselves are tested by the oracles."""

from typing import Any

import pytest

from tests.running import GROUP, LIST, SEARCH, USER, Answer, Scim


def crowd(scim: Scim, number: int = 5) -> list[str]:
    return [scim.user(f"user-{each}", title="T", nickName=f"N{9 - each}")["id"] for each in range(number)]


def three_ways(scim: Scim, kind: str, **query: Any) -> list[Answer]:
    """The same search as GET, as POST on the kind, and as POST on the root."""
    body = {"schemas": [SEARCH], **query}
    return [scim.get(f"/{kind}", **query), scim.post(f"/{kind}/.search", body), scim.post("/.search", body)]


def test_a_search_is_the_same_by_get_and_by_post(scim: Scim) -> None:
    ids = crowd(scim)
    scim.group("crew")
    query = {"filter": 'title eq "t"', "startIndex": 2, "count": 2, "sortBy": "nickName", "attributes": "nickName"}
    answers = three_ways(scim, "Users", **query)
    for answer in answers:
        assert answer.status == 200
        assert answer.json == answers[0].json
    page = answers[0].json
    assert page["schemas"] == [LIST]
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 2, 2)
    assert answers[0].ids == [ids[3], ids[2]]


def test_the_root_searches_both_kinds(scim: Scim) -> None:
    user = scim.user("crew", displayName="Crew")["id"]
    group = scim.group("Crew")["id"]
    root = scim.post("/.search", {"schemas": [SEARCH], "filter": 'displayName eq "crew"'})
    assert set(root.ids) == {user, group}
    assert {each["meta"]["resourceType"] for each in root.json["Resources"]} == {"User", "Group"}
    only_users = scim.post("/.search", {"schemas": [SEARCH], "filter": 'userName eq "crew"'})
    assert only_users.ids == [user]
    neither = scim.post("/.search", {"schemas": [SEARCH], "filter": 'shoeSize eq "44"'})
    assert (neither.status, neither.json["scimType"]) == (400, "invalidFilter")


def test_the_root_pages_through_both_kinds_without_a_gap(scim: Scim) -> None:
    ids = set(crowd(scim, 3)) | {scim.group(f"group-{each}")["id"] for each in range(3)}
    found = [
        each
        for start in (1, 3, 5)
        for each in scim.post("/.search", {"schemas": [SEARCH], "startIndex": start, "count": 2}).ids
    ]
    assert (len(found), set(found)) == (6, ids)


@pytest.mark.parametrize(
    ("asked", "start", "number"),
    [
        ({}, 1, 5),
        ({"startIndex": 0}, 1, 5),
        ({"startIndex": -3, "count": 2}, 1, 2),
        ({"startIndex": 5}, 5, 1),
        ({"startIndex": 6}, 6, 0),
        ({"startIndex": 1000, "count": 10}, 1000, 0),
        ({"count": 0}, 1, 0),
        ({"count": -1}, 1, 0),
        ({"count": 100_000}, 1, 5),
        ({"startIndex": 4, "count": 0}, 4, 0),
    ],
)
def test_a_page_says_where_it_starts_and_how_much_there_is(
    scim: Scim, asked: dict[str, int], start: int, number: int
) -> None:
    ids = crowd(scim)
    for answer in three_ways(scim, "Users", **asked):
        page = answer.json
        assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, start, number)
        assert answer.ids == ids[start - 1 : start - 1 + number]


@pytest.mark.parametrize("asked", [{"startIndex": "x"}, {"count": "1.5"}, {"count": "9" * 30}, {"sortOrder": "up"}])
def test_a_page_that_cannot_be_understood_is_400(scim: Scim, asked: dict[str, str]) -> None:
    assert [answer.status for answer in three_ways(scim, "Users", **asked)] == [400] * 3


def test_sorting_is_without_case_with_the_absent_last_and_the_other_way_round(scim: Scim) -> None:
    b, a, none, c = (scim.user(f"user-{n}", title=title)["id"] for n, title in enumerate(["b", "A", None, "C"]))
    assert scim.get("/Users", sortBy="title").ids == [a, b, c, none]
    assert scim.get("/Users", sortBy="TITLE", sortOrder="Descending").ids == [none, c, b, a]
    assert scim.get("/Users", sortBy=f"{USER}:title", sortOrder="ascending").ids == [a, b, c, none]
    assert scim.get("/Users", sortBy="meta.created", sortOrder="descending").ids == [c, none, a, b]


def test_sorting_by_several_values_takes_the_primary_or_the_first(scim: Scim) -> None:
    both = scim.user("both", emails=[{"value": "z@x.example"}, {"value": "a@x.example", "primary": True}])["id"]
    first = scim.user("first", emails=[{"value": "b@x.example"}, {"value": "a@x.example"}])["id"]
    assert scim.get("/Users", sortBy="emails").ids == [both, first]


@pytest.mark.parametrize("name", ["shoeSize", "password", "meta", "name", "members", "groups", "urn:x"])
def test_what_has_no_order_cannot_be_sorted_by(scim: Scim, name: str) -> None:
    answer = scim.get("/Users", sortBy=name)
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


def test_parameters_are_found_in_any_case_and_unknown_ones_ignored(scim: Scim) -> None:
    scim.user("ada")
    answer = scim.request("GET", "/Users?aadOptscim062020&FILTER=userName%20eq%20%22ADA%22&Attributes=userName&x=y")
    assert [set(each) for each in answer.json["Resources"]] == [{"schemas", "id", "userName"}]


def test_a_search_request_needs_its_schema_only_when_it_names_one(scim: Scim) -> None:
    assert scim.post("/Users/.search", {}).status == 200
    assert scim.post("/Users/.search", {"schemas": [USER]}).status == 400
    assert scim.post("/Users/.search", {"schemas": [SEARCH], "filter": 5}).status == 400


def test_members_are_found_by_id_and_by_name(scim: Scim) -> None:
    ada, group = scim.user("ada", displayName="Ada")["id"], scim.group("inner")["id"]
    crew = scim.post(
        "/Groups", {"schemas": [GROUP], "displayName": "crew", "members": [{"value": ada}, {"value": group}]}
    ).json["id"]
    for text in (
        f'members eq "{ada}"',
        f'members.value eq "{ada}"',
        f'members[value eq "{group}"]',
        'members.display eq "ada"',
        f'members[type eq "User" and value eq "{ada}"]',
        f'id eq "{crew}" and members eq "{ada}"',
    ):
        assert scim.get("/Groups", filter=text).ids == [crew], text
    assert scim.get("/Groups", filter=f'members[type eq "Group" and value eq "{ada}"]').ids == []
