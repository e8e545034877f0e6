"""What the server says of itself (RFC 7643 §5-§7, RFC 7644 §4)."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.running import BASE, ENTERPRISE, GROUP, LIST, USER, House, Scim

CHARACTERISTICS = {
    "name", "type", "multiValued", "description", "required", "caseExact", "mutability", "returned", "uniqueness",
}  # fmt: skip
ONES = [
    "/ServiceProviderConfig", "/ResourceTypes/User", "/ResourceTypes/Group",
    f"/Schemas/{USER}", f"/Schemas/{GROUP}", f"/Schemas/{ENTERPRISE}",
]  # fmt: skip


def attributes(described: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in described:
        yield each
        yield from attributes(each.get("subAttributes", []))


def values(document: Any) -> Iterator[Any]:
    yield document
    inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for each in inner:
        yield from values(each)


def test_every_attribute_of_every_schema_has_every_characteristic(scim: Scim) -> None:
    schemas = scim.get("/Schemas").json["Resources"]
    assert {each["id"] for each in schemas} == {USER, GROUP, ENTERPRISE}
    for schema in schemas:
        rows = list(attributes(schema["attributes"]))
        assert len(rows) > 3
        for row in rows:
            assert set(row) >= CHARACTERISTICS, row["name"]
            assert (row["type"] == "complex") == ("subAttributes" in row)
            assert row["type"] != "reference" or row["referenceTypes"]


def test_the_schemas_of_the_rfc_are_told_as_the_rfc_has_them(scim: Scim) -> None:
    user = {each["name"]: each for each in scim.get(f"/Schemas/{USER}").json["attributes"]}
    assert (user["userName"]["required"], user["userName"]["uniqueness"], user["userName"]["caseExact"]) == (
        True, "server", False,
    )  # fmt: skip
    assert (user["password"]["mutability"], user["password"]["returned"]) == ("writeOnly", "never")
    assert user["groups"]["mutability"] == "readOnly"
    assert {"id", "externalId", "meta", "schemas"}.isdisjoint(user)
    enterprise = scim.get(f"/Schemas/{ENTERPRISE}").json
    assert enterprise["name"] == "EnterpriseUser"
    assert [each["name"] for each in enterprise["attributes"]] == [
        "employeeNumber", "costCenter", "organization", "division", "department", "manager",
    ]  # fmt: skip


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas"])
def test_nothing_is_null(scim: Scim, path: str) -> None:
    assert None not in list(values(scim.get(path).json))


@pytest.mark.parametrize("path", ONES)
def test_one_of_them_is_at_its_location_and_in_its_collection(scim: Scim, path: str) -> None:
    answer = scim.get(path)
    assert answer.status == 200
    assert answer.json["meta"]["location"] == BASE + path
    collection = path.rpartition("/")[0]
    assert not collection or answer.json in scim.get(collection).json["Resources"]


@pytest.mark.parametrize("path", ["/ResourceTypes/Thing", "/Schemas/urn:example:Thing", "/ServiceProviderConfig/x"])
def test_an_unknown_one_is_404(scim: Scim, path: str) -> None:
    answer = scim.get(path)
    assert (answer.status, answer.json["status"]) == (404, "404")


@pytest.mark.parametrize("path", ["/ResourceTypes", "/Schemas"])
def test_the_collections_come_page_by_page_but_are_not_filtered(scim: Scim, path: str) -> None:
    whole = scim.get(path).json
    assert whole["schemas"] == [LIST]
    assert whole["totalResults"] == whole["itemsPerPage"] == len(whole["Resources"])
    pages = [scim.get(path, startIndex=start, count=1).json for start in range(1, whole["totalResults"] + 2)]
    assert [each for page in pages for each in page["Resources"]] == whole["Resources"]
    assert [page["startIndex"] for page in pages] == list(range(1, len(pages) + 1))
    assert {page["totalResults"] for page in pages} == {whole["totalResults"]}
    assert pages[-1]["itemsPerPage"] == 0
    assert scim.get(path, filter='id eq "User"').status == 403


@pytest.mark.parametrize("path", ["/ServiceProviderConfig", "/ResourceTypes", "/Schemas", *ONES[1:]])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_cannot_be_written(scim: Scim, path: str, method: str) -> None:
    answer = scim.request(method, path, {})
    assert (answer.status, answer.headers["allow"]) == (405, "GET")


def test_the_configuration_tells_the_limits_that_are_set(house: House) -> None:
    config = house.client().get("/ServiceProviderConfig").json
    assert config["filter"] == {"supported": True, "maxResults": 1000}
    assert [config[name]["supported"] for name in ("patch", "bulk", "changePassword", "sort", "etag")] == [
        True, False, False, True, True,
    ]  # fmt: skip
    assert config["bulk"]["maxPayloadSize"] == 1_048_576
    assert config["pagination"]["defaultPaginationMethod"] == "index"
    assert [each["type"] for each in config["authenticationSchemes"]] == ["oauthbearertoken"]


def test_resource_types_name_schemas_that_can_be_fetched(scim: Scim) -> None:
    user, group = scim.get("/ResourceTypes").json["Resources"]
    assert (user["endpoint"], user["schema"]) == ("/Users", USER)
    assert user["schemaExtensions"] == [{"schema": ENTERPRISE, "required": False}]
    assert (group["endpoint"], group["schema"]) == ("/Groups", GROUP)


def test_there_is_no_me_for_a_connection(scim: Scim) -> None:
    assert {scim.request(method, "/Me", {}).status for method in ("GET", "POST", "PUT", "PATCH", "DELETE")} == {501}
