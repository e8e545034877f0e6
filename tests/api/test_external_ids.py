"""``externalId`` is what one sender calls a resource (RFC 7643 §3.1): each connection of a tenant has its own."""

from tests.running import GROUP, USER, House


def test_another_connection_neither_sees_nor_overwrites_it(house: House) -> None:
    entra, okta = house.client("entra"), house.client("okta")
    ada = entra.user("ada", externalId="entra-1")["id"]
    assert "externalId" not in okta.get(f"/Users/{ada}").json
    assert okta.get("/Users", filter='externalId eq "entra-1"').ids == []
    assert okta.put(f"/Users/{ada}", {"schemas": [USER], "userName": "ada", "externalId": "okta-1"}).status == 200
    assert okta.patch(f"/Users/{ada}", {"op": "replace", "path": "title", "value": "Countess"}).status == 200
    assert entra.get(f"/Users/{ada}").json["externalId"] == "entra-1"
    assert okta.get(f"/Users/{ada}").json["externalId"] == "okta-1"
    assert entra.get("/Users", filter='externalId eq "entra-1"').ids == [ada]
    assert okta.get("/Users", filter="externalId pr", sortBy="externalId").ids == [ada]


def test_removing_ones_own_leaves_the_others(house: House) -> None:
    entra, okta = house.client("entra"), house.client("okta")
    crew = entra.group("crew", externalId="entra-1")["id"]
    okta.patch(f"/Groups/{crew}", {"op": "add", "path": "externalId", "value": "okta-1"})
    okta.put(f"/Groups/{crew}", {"schemas": [GROUP], "displayName": "crew"})
    assert "externalId" not in okta.get(f"/Groups/{crew}").json
    assert entra.get(f"/Groups/{crew}").json["externalId"] == "entra-1"


def test_two_tokens_of_one_connection_share_it(house: House) -> None:
    old, new = house.client("entra"), house.client("entra")
    ada = old.user("ada", externalId="1")["id"]
    assert new.get("/Users", filter='externalId eq "1"').ids == [ada]


def test_it_is_compared_to_the_letter_and_need_not_be_unique(house: House) -> None:
    scim = house.client()
    one, two = scim.user("one", externalId="X")["id"], scim.user("two", externalId="X")["id"]
    assert scim.get("/Users", filter='externalId eq "X"').ids == [one, two]
    assert scim.get("/Users", filter='externalId eq "x"').ids == []
