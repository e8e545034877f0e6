"""Each limit can be set, and is named when it is met."""

from collections.abc import Callable
from typing import Any

import pytest

from scim_server.limits import Limits
from tests.running import GROUP, USER, Answer, House, Scim


def create(scim: Scim, **attributes: Any) -> Answer:
    return scim.post("/Users", {"schemas": [USER], "userName": "ada", **attributes})


def find(text: str) -> Callable[[Scim], Answer]:
    return lambda scim: scim.get("/Users", filter=text)


def patch(number: int) -> Callable[[Scim], Answer]:
    operations = [{"op": "replace", "path": "title", "value": str(each)} for each in range(number)]
    return lambda scim: scim.patch(f"/Users/{scim.user('grace')['id']}", *operations)


def members(number: int) -> Callable[[Scim], Answer]:
    def ask(scim: Scim) -> Answer:
        listed = [{"value": scim.user(f"user-{each}")["id"]} for each in range(number)]
        return scim.post("/Groups", {"schemas": [GROUP], "displayName": "crew", "members": listed})

    return ask


def mails(number: int) -> Callable[[Scim], Answer]:
    return lambda scim: create(scim, emails=[{"value": f"{each}@x.example"} for each in range(number)])


Case = tuple[dict[str, int], Callable[[Scim], Answer], Callable[[Scim], Answer], int, str]
CASES: list[Case] = [
    (
        {"max_body_bytes": 1024},
        lambda scim: create(scim, title="x" * 900),
        lambda scim: create(scim, title="x" * 1024),
        413,
        "1024",
    ),
    ({"max_filter_length": 64}, find(f'title eq "{"x" * 50}"'), find(f'title eq "{"x" * 60}"'), 400, "64"),
    ({"max_filter_depth": 3}, find("(((title pr)))"), find("((((title pr))))"), 400, "3"),
    ({"max_filter_terms": 3}, find("title pr or " * 2 + "title pr"), find("title pr or " * 3 + "title pr"), 400, "3"),
    ({"max_patch_operations": 3}, patch(3), patch(4), 400, "3"),
    ({"max_members": 3}, members(3), members(4), 400, "3"),
    ({"max_values": 3}, mails(3), mails(4), 400, "3"),
]


@pytest.mark.parametrize("case", CASES, ids=[str(each[0]) for each in CASES])
def test_a_limit_can_be_set_and_is_named_when_it_is_met(database_url: str, case: Case) -> None:
    settings, within, beyond, status, named = case
    house = House(database_url, **settings)
    try:
        assert beyond(house.client(tenant="beyond")).status == status
        answer = beyond(house.client(tenant="again"))
        assert named in answer.json["detail"]
        assert within(house.client(tenant="within")).status < 300
    finally:
        house.close()


@pytest.mark.parametrize("attribute", ["userName", "externalId"])
def test_a_name_has_a_length(scim: Scim, attribute: str) -> None:
    most = Limits().name_length
    assert create(scim, **{attribute: "x" * most}).status == 201
    answer = create(scim, **{attribute: "y" * (most + 1)})
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")
    assert str(most) in answer.json["detail"]
    assert attribute in answer.json["detail"]


def test_pages_are_as_large_as_is_set(database_url: str) -> None:
    house = House(database_url, page_default=2, page_max=100)
    try:
        scim = house.client()
        for each in range(3):
            scim.user(f"user-{each}")
        assert len(scim.get("/Users").ids) == 2
        assert len(scim.get("/Users", count=1000).ids) == 3
        config = scim.get("/ServiceProviderConfig").json
        assert (config["filter"]["maxResults"], config["pagination"]["defaultPageSize"]) == (100, 2)
    finally:
        house.close()


def test_a_body_whose_length_nobody_tells_is_bounded_too(house: House) -> None:
    scim = house.client()
    answer = scim.post("/Users", b" " * (Limits().body_bytes + 1), headers={"Content-Length": ""})
    assert answer.status == 413


def test_a_list_does_not_grow_beyond_the_limit_one_request_at_a_time(database_url: str) -> None:
    house = House(database_url, max_values=3)
    try:
        scim = house.client()
        path = f"/Users/{mails(3)(scim).json['id']}"
        before = scim.get(path).json
        for operation in (
            {"op": "add", "path": "emails", "value": [{"value": "fourth@x.example"}]},
            {"op": "add", "path": 'emails[type eq "work"].value', "value": "fourth@x.example"},
        ):
            answer = scim.patch(path, operation)
            assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")
            assert "3" in answer.json["detail"]
        assert scim.get(path).json == before
    finally:
        house.close()
