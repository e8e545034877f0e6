"""What is written down of a change, in its transaction: all of it or nothing, and never a secret."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scim_server.directory import audit, events, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.engine import Database, Statement
from scim_server.directory.store.tables import metadata
from scim_server.directory.store.transaction import write
from tests.directory.desk import Desk, rows
from tests.running import GROUP, USER, House, Scim

CANARY = "canary-G7pQ"


def contents(database: Database) -> dict[str, list[Any]]:
    """Every row of every table, but of tokens, which note the minute of their use."""
    names = set(metadata.tables) - {"tokens"}
    return {name: sorted(map(str, rows(database, f"SELECT * FROM {name}"))) for name in names}


def test_a_record_tells_who_did_what_through_which_door(house: House) -> None:
    scim = house.client("okta")
    answer = scim.post("/Users", {"schemas": [USER], "userName": "ada", "active": "True"})
    [record] = _records(house, answer.json["id"])
    assert record["at"] == answer.json["meta"]["created"]
    assert (record["door"], record["actor"], record["action"]) == ("scim", "token:test", "user.created")
    assert (record["kind"], record["before"]) == ("User", None)
    assert record["after"] == {"userName": "ada", "active": True}
    assert record["deviations"] == ["text-boolean: active"]
    sql = "SELECT c.name FROM audit_records a JOIN connections c ON c.id = a.connection WHERE a.id = :id"
    assert rows(house.database, sql, id=record["id"]) == [("okta",)]


def _records(house: House, target: str) -> list[dict[str, Any]]:
    """The records about a resource of the default tenant, oldest first."""
    with write(house.database, at_command_line(house.tenant.id)) as tx:
        return audit.of(tx, target)[::-1]


def test_a_record_carries_the_id_that_the_sender_was_given(house: House, scim: Scim) -> None:
    answer = scim.post("/Groups", {"schemas": [GROUP], "displayName": "crew"})
    [record] = _records(house, answer.json["id"])
    assert record["request_id"] == answer.headers["x-request-id"]


def test_a_change_is_recorded_with_before_and_after(ours: Desk) -> None:
    made = ours.user("ada", nickName="Countess")
    saved = ours.patch_user(made.id, {"op": "remove", "path": "nickName"})
    with ours.write() as tx:
        users.delete(tx, made.id)
    told = [(each["action"], each["before"], each["after"]) for each in ours.audit(made.id)]
    assert told == [
        ("user.created", None, made.document),
        ("user.updated", made.document, saved.document),
        ("user.deleted", saved.document, None),
    ]


def test_the_command_line_is_a_door_of_its_own(ours: Desk) -> None:
    made = ours.user("ada")
    with write(ours.database, at_command_line(ours.tenant.id)) as tx:
        users.delete(tx, made.id)
    assert [each["door"] for each in ours.audit(made.id)] == ["scim", "cli"]
    assert ours.audit(made.id)[1]["actor"].startswith("cli:")


def test_another_tenant_sees_no_record(ours: Desk, theirs: Desk) -> None:
    made = ours.user("ada")
    assert len(ours.audit(made.id)) == 1
    assert theirs.audit(made.id) == []


def test_records_and_events_are_those_of_the_transaction(ours: Desk) -> None:
    with ours.write() as tx:
        made = users.create(tx, {"userName": "ada"})
    sql = "SELECT at FROM {table} WHERE target = :id UNION SELECT created FROM resources WHERE id = :id"
    for table in ("audit_records", "events"):
        assert rows(ours.database, sql.format(table=table), id=made.id) == [(tx.now,)]


CHANGES: dict[str, Callable[[Scim, str, str], Any]] = {
    "create user": lambda scim, user, group: scim.post("/Users", {"schemas": [USER], "userName": "new"}),
    "replace user": lambda scim, user, group: scim.put(f"/Users/{user}", {"schemas": [USER], "userName": "new"}),
    "patch user": lambda scim, user, group: scim.patch(f"/Users/{user}", {"op": "add", "value": {"active": False}}),
    "delete user": lambda scim, user, group: scim.delete(f"/Users/{user}"),
    "create group": lambda scim, user, group: scim.post(
        "/Groups", {"schemas": [GROUP], "displayName": "new", "members": [{"value": user}]}
    ),
    "replace group": lambda scim, user, group: scim.put(f"/Groups/{group}", {"schemas": [GROUP], "displayName": "new"}),
    "patch group": lambda scim, user, group: scim.patch(f"/Groups/{group}", {"op": "remove", "path": "members"}),
    "delete group": lambda scim, user, group: scim.delete(f"/Groups/{group}"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
@pytest.mark.parametrize("broken", [audit, events], ids=["audit", "events"])
def test_a_change_that_cannot_be_written_down_does_not_happen(
    house: House, scim: Scim, change: Callable[..., Any], broken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = scim.user("ada", emails=[{"value": "ada@x.example"}], externalId="hr-1")["id"]
    group = scim.group("crew", user)["id"]
    before = contents(house.database)
    with monkeypatch.context() as patch:
        patch.setattr(broken, "_INSERT", Statement("INSERT INTO nowhere (tenant) VALUES (:tenant)"))
        assert change(scim, user, group).status in (500, 503)
    assert contents(house.database) == before
    assert change(scim, user, group).status < 300, "and the connection is fit for the next one"
    assert contents(house.database) != before


def test_no_password_and_no_token_is_ever_written_down(
    house: House, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    scim = house.client()
    assert scim.token is not None
    secrets = [CANARY, scim.token, scim.token.rpartition("_")[2][:-6]]
    answers = [scim.post("/Users", {"schemas": [USER], "userName": "ada", "password": CANARY})]
    path = f"/Users/{answers[0].json['id']}"
    answers += [
        scim.put(path, {"schemas": [USER], "userName": "grace", "password": CANARY}),
        scim.patch(path, {"op": "replace", "path": "password", "value": CANARY}),
        scim.patch(path, {"op": "replace", "value": {"password": CANARY, "nickName": "Amazing"}}),
        scim.patch(path, {"op": "add", "path": f"{USER}:password", "value": CANARY}),
        scim.get("/Users", filter=f'password eq "{CANARY}"'),
        scim.get("/Users", attributes="password"),
        scim.request("POST", "/Users/.search", {"filter": f'userName eq "x" and password sw "{CANARY}"'}),
        scim.post("/Users", {"schemas": [USER], "userName": "ada", "passwort": 1, "password": {"x": CANARY}}),
        scim.get("/Users", headers={"Authorization": f"Bearer {scim.token}x"}),
    ]  # fmt: skip
    assert [answer.status for answer in answers[:5]] == [201, 200, 200, 200, 200]
    kept = "".join(map(str, contents(house.database).values()))
    kept += "".join(capfd.readouterr())
    kept += "".join(answer.body.decode() + str(answer.headers) for answer in answers)
    for file in tmp_path.iterdir():
        kept += file.read_bytes().decode(errors="replace")
    assert "Amazing" in kept, "or we look in the wrong place"
    assert [secret for secret in secrets if secret in kept] == []
