"""Tenants and their connections: names, settings, and the wall between tenants."""

import pytest

from scim_server.directory import connections, tenants
from scim_server.directory.errors import AlreadyTaken, NotFound
from scim_server.directory.store.engine import Database
from tests.directory.desk import Desk, rows
from tests.running import House


def test_tenants_are_listed_by_name_and_found_by_it(database: Database) -> None:
    second, first = tenants.create(database, "second"), tenants.create(database, "first")
    assert tenants.every(database) == [first, second]
    assert tenants.named(database, "first") == first


def test_a_tenants_name_is_taken_once(database: Database) -> None:
    tenants.create(database, "acme")
    with pytest.raises(AlreadyTaken, match="a tenant named acme already"):
        tenants.create(database, "acme")


def test_an_unknown_tenant_is_told_with_the_way_out(database: Database) -> None:
    with pytest.raises(NotFound, match=r"no tenant named acme\. Make it with: scim-server tenant create acme"):
        tenants.named(database, "acme")


def test_the_default_tenant_is_made_once(database: Database) -> None:
    assert tenants.ensure_default(database) == tenants.ensure_default(database)


def test_the_default_tenant_is_made_once_by_two_at_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    quicker = tenants.create(database, tenants.DEFAULT)
    found = tenants.named
    answers = iter([NotFound("not yet")])

    def not_yet(database: Database, name: str) -> tenants.Tenant:
        for error in answers:
            raise error
        return found(database, name)

    monkeypatch.setattr(tenants, "named", not_yet)
    assert tenants.ensure_default(database) == quicker


def test_a_connection_is_tolerant_and_answers_204_unless_told_otherwise(ours: Desk) -> None:
    with ours.write() as tx:
        plain = connections.create(tx, "plain")
        odd = connections.create(tx, "odd", strict=True, group_patch_status=200)
    assert (plain.strict, plain.group_patch_status) == (False, 204)
    assert connections.named(ours.look(), "odd") == odd
    assert [each.name for each in connections.every(ours.look())] == ["main", "odd", "plain"]


def test_a_connections_name_is_taken_once_in_a_tenant(ours: Desk, theirs: Desk) -> None:
    with pytest.raises(AlreadyTaken, match="a connection named main already"), ours.write() as tx:
        connections.create(tx, "main")
    assert ours.connection.id != theirs.connection.id


def test_ensure_finds_or_makes(ours: Desk) -> None:
    with ours.write() as tx:
        assert connections.ensure(tx, "main") == ours.connection
        assert connections.ensure(tx, "other") == connections.named(tx, "other")


def test_another_tenants_connection_is_unknown(ours: Desk, theirs: Desk) -> None:
    with ours.write() as tx:
        connections.create(tx, "secret")
    with pytest.raises(NotFound, match="no connection named secret"):
        connections.named(theirs.look(), "secret")
    with pytest.raises(NotFound), theirs.write() as tx:
        connections.change(tx, "secret", strict=True)
    assert [each.name for each in connections.every(theirs.look())] == ["main"]


def test_a_changed_setting_is_recorded_and_an_unchanged_one_is_not(ours: Desk) -> None:
    with ours.write() as tx:
        assert connections.change(tx, "main", strict=False, group_patch_status=204) == ours.connection
        assert connections.change(tx, "main", strict=True).strict
        assert connections.change(tx, "main", group_patch_status=200).group_patch_status == 200
    created, *changed = ours.audit(ours.connection.id)
    assert created["action"] == "connection.created"
    assert [each["action"] for each in changed] == ["connection.updated"] * 2
    assert [(each["before"]["strict"], each["after"]["strict"]) for each in changed] == [(False, True), (True, True)]


def test_a_changed_setting_takes_hold_with_the_next_request(house: House) -> None:
    scim = house.client("okta")
    path = f"/Groups/{scim.group('crew')['id']}"
    change = {"op": "replace", "path": "displayName", "value": "crew 1"}
    assert scim.patch(path, change).status == 204
    house.client("okta", group_patch_status=200)
    assert scim.patch(path, change | {"value": "crew 2"}).status == 200


def test_one_tenants_token_finds_nothing_of_another_tenant(house: House) -> None:
    ours, theirs = house.client(tenant="ours"), house.client(tenant="theirs")
    user = ours.user("ada")["id"]
    group = ours.group("crew", user)["id"]
    unknown = user[:-6] + "000000"
    for kind, known, verb in [
        (kind, known, verb)
        for kind, known in (("Users", user), ("Groups", group))
        for verb in ("GET", "PUT", "PATCH", "DELETE")
    ]:
        body = None if verb in ("GET", "DELETE") else _body(kind, verb)
        answers = [theirs.request(verb, f"/{kind}/{each}", body) for each in (known, unknown)]
        assert answers[0].status == answers[1].status == 404
        assert answers[0].body == answers[1].body
    assert theirs.get("/Users").json["totalResults"] == theirs.get("/Groups").json["totalResults"] == 0
    assert theirs.user("ada")["id"] != user
    assert ours.get(f"/Users/{user}").json["meta"]["version"].startswith('W/"1')


def _body(kind: str, verb: str) -> dict[str, object]:
    if verb == "PATCH":
        schema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
        return {"schemas": [schema], "Operations": [{"op": "add", "path": "externalId", "value": "x"}]}
    name = "userName" if kind == "Users" else "displayName"
    return {"schemas": [f"urn:ietf:params:scim:schemas:core:2.0:{kind[:-1]}"], name: "x"}


def test_every_primary_key_begins_with_the_tenant(database: Database) -> None:
    """So that the tables can be sharded by it (design decision 8)."""
    from scim_server.directory.store.tables import metadata

    keys = {name: next(iter(table.primary_key.columns)).name for name, table in metadata.tables.items()}
    assert keys.pop("tenants") == "id"
    assert keys.pop("throttles") == "key"  # what is counted before any tenant is known
    assert set(keys.values()) == {"tenant"}
    assert rows(database, "SELECT count(*) FROM tenants") == [(0,)]
