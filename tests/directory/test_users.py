"""The verbs of a person's account: what each does, what it refuses, and that another tenant sees nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from scim_server.directory import lookup, users
from scim_server.directory.errors import AlreadyTaken, DirectoryError, NotFound, VersionMismatch
from scim_server.directory.ids import is_id, new_id
from scim_server.directory.lookup import Search
from scim_server.directory.store import deleted
from scim_server.limits import Limits
from scim_server.protocol.schemas import USER
from scim_server.protocol.senders import Sender
from tests.directory.desk import Desk, patch, rows, statements

RENAME = {"op": "replace", "path": "userName", "value": "new name"}


def found(desk: Desk, text: str | None = None) -> list[str]:
    """The names that a search finds."""
    page = lookup.find(desk.look(), [USER], Search(filter=text), Limits(), lambda _: False)
    assert page.total == len(page.resources)
    return [each.document["userName"] for each in page.resources]


def deactivate(desk: Desk, user_id: str) -> None:
    desk.patch_user(user_id, {"op": "replace", "path": "active", "value": False})


def test_a_new_account_is_active_at_version_one(ours: Desk) -> None:
    made = ours.user("ada")
    assert is_id(made.id)
    assert (made.version, made.document) == (1, {"userName": "ada", "active": True})
    assert users.get(ours.look(), made.id).document == made.document


def test_a_new_account_may_start_inactive(ours: Desk) -> None:
    assert ours.user("ada", active=False).document["active"] is False


@pytest.mark.parametrize("rival", ["Ada", "ADA", "ada"])
def test_a_user_name_is_taken_in_every_letter_case(ours: Desk, rival: str) -> None:
    ours.user("aDa")
    with pytest.raises(AlreadyTaken) as refused:
        ours.user(rival)
    assert refused.value.attribute == "userName"
    assert found(ours) == ["aDa"]


def test_what_python_takes_for_one_name_both_databases_do(ours: Desk) -> None:
    ours.user("STRASSE-Ä")
    for rival in ("straße-ä", "Strasse-A\u0308"):
        with pytest.raises(AlreadyTaken):
            ours.user(rival)


def test_a_name_is_free_in_another_tenant(ours: Desk, theirs: Desk) -> None:
    assert ours.user("ada").id != theirs.user("ada").id


def test_replace_clears_what_the_document_leaves_out(ours: Desk) -> None:
    made = ours.user("ada", nickName="Countess", emails=[{"value": "ada@x.example"}])
    with ours.write() as tx:
        saved = users.replace(tx, made.id, {"userName": "ada"})
    assert (saved.version, saved.document) == (2, {"userName": "ada", "active": True})
    assert found(ours, 'emails.value eq "ada@x.example"') == []


def test_replace_without_active_neither_ends_nor_revives_an_account(ours: Desk) -> None:
    made = ours.user("ada")
    deactivate(ours, made.id)
    with ours.write() as tx:
        saved = users.replace(tx, made.id, {"userName": "ada", "nickName": "Countess"})
    assert saved.document["active"] is False


def test_patch_saves_what_the_operations_make_of_it(ours: Desk) -> None:
    made = ours.user("ada")
    saved = ours.patch_user(made.id, RENAME, {"op": "add", "path": "nickName", "value": "Countess"})
    assert saved.document == {"userName": "new name", "nickName": "Countess", "active": True}
    assert users.get(ours.look(), made.id).version == saved.version == 2


def test_a_rename_to_a_taken_name_is_refused_and_changes_nothing(ours: Desk) -> None:
    ours.user("New Name")
    made = ours.user("ada")
    with pytest.raises(AlreadyTaken):
        ours.patch_user(made.id, {"op": "add", "path": "nickName", "value": "Countess"}, RENAME)
    assert users.get(ours.look(), made.id).document == made.document


def test_a_rename_frees_the_old_name(ours: Desk) -> None:
    ours.patch_user(ours.user("ada").id, RENAME)
    ours.user("ada")
    assert found(ours) == ["new name", "ada"]


def test_a_change_that_changes_nothing_leaves_no_trace(ours: Desk) -> None:
    made = ours.user("ada", emails=[{"value": "ada@x.example"}])
    with ours.write() as tx:
        assert users.replace(tx, made.id, made.document).version == 1
    assert ours.patch_user(made.id, {"op": "replace", "path": "userName", "value": "ada"}).version == 1
    assert ours.actions(made.id) == ["user.created"]
    assert [kind for kind, _ in ours.events(made.id)] == ["user.created"]
    assert users.get(ours.look(), made.id).modified == made.created


def test_a_version_that_was_not_expected_is_refused_by_every_change(ours: Desk) -> None:
    made = ours.user("ada")
    ours.patch_user(made.id, RENAME)
    stale = lambda version: version == 1  # noqa: E731
    for change in changes(made.id, if_match=stale):
        with pytest.raises(VersionMismatch), ours.write() as tx:
            change(tx)
    assert users.get(ours.look(), made.id).version == 2


def changes(user_id: str, **expected: Any) -> list[Callable[..., Any]]:
    """Every verb that changes an account, on this one."""
    return [
        lambda tx: users.replace(tx, user_id, {"userName": "x"}, **expected),
        lambda tx: users.patch(tx, user_id, patch("User", RENAME), Sender(), **expected),
        lambda tx: users.delete(tx, user_id, **expected),
    ]


def test_another_tenants_account_is_as_unknown_as_one_that_never_was(ours: Desk, theirs: Desk) -> None:
    made = ours.user("ada")
    gone = ours.user("grace")
    with ours.write() as tx:
        users.delete(tx, gone.id)
    for verb in [*changes(made.id), lambda tx: users.get(tx, made.id), lambda tx: users.restore(tx, gone.id)]:
        assert told(theirs, verb) == "There is no User with this id."
    for verb in changes(new_id()):
        assert told(theirs, verb) == "There is no User with this id."
    assert found(theirs) == found(theirs, 'userName eq "ada"') == found(theirs, f'id eq "{made.id}"') == []
    assert theirs.audit(made.id) == []
    assert deleted.listed(theirs.look(), "User", 10) == []
    assert users.get(ours.look(), made.id).document == made.document


def told(desk: Desk, verb: Callable[..., Any]) -> str:
    with pytest.raises(NotFound) as refused, desk.write() as tx:
        verb(tx)
    return str(refused.value)


@pytest.mark.parametrize("unlike_an_id", ["", "1", "ADA", "'; --", "\x00", "0" * 36])
def test_what_is_no_id_is_unknown_without_asking_the_database(ours: Desk, unlike_an_id: str) -> None:
    with statements(ours.database) as seen, pytest.raises(NotFound):
        users.get(ours.look(), unlike_an_id)
    assert seen == []


def test_a_group_is_no_user(ours: Desk) -> None:
    group = ours.group("crew")
    for verb in [*changes(group.id), lambda tx: users.get(tx, group.id)]:
        assert told(ours, verb) == "There is no User with this id."


def test_a_deleted_account_is_absent_and_its_name_free(ours: Desk) -> None:
    made = ours.user("ada", emails=[{"value": "ada@x.example"}])
    ours.group("crew", made.id)
    with ours.write() as tx:
        users.delete(tx, made.id)
    for verb in [*changes(made.id), lambda tx: users.get(tx, made.id)]:
        assert told(ours, verb) == "There is no User with this id."
    assert found(ours) == found(ours, 'emails.value eq "ada@x.example"') == []
    assert ours.user("Ada").id != made.id


def test_a_restored_account_is_as_it_was_with_its_memberships(ours: Desk) -> None:
    made = ours.user("ada", externalId="hr-1", nickName="Countess")
    crew = ours.group("crew", made.id)
    ours.group("all", crew.id)
    with ours.write() as tx:
        users.delete(tx, made.id)
    assert ours.members(crew.id) == set()
    with ours.write() as tx:
        restored = users.restore(tx, made.id)
    assert (restored.document, restored.version) == (made.document, 3)
    assert ours.groups_of(made.id) == {"crew": "direct", "all": "indirect"}
    assert ours.members(crew.id) == {made.id}
    assert ours.actions(made.id) == ["user.created", "user.deleted", "user.restored"]


def test_restoring_is_refused_while_a_rival_has_the_name(ours: Desk) -> None:
    made = ours.user("ada")
    with ours.write() as tx:
        users.delete(tx, made.id)
    rival = ours.user("Ada")
    with pytest.raises(AlreadyTaken, match="ada belongs to another account by now; rename"), ours.write() as tx:
        users.restore(tx, made.id)
    ours.patch_user(rival.id, RENAME)
    with ours.write() as tx:
        assert users.restore(tx, made.id).document["userName"] == "ada"


def test_only_what_is_deleted_can_be_restored(ours: Desk) -> None:
    made = ours.user("ada")
    assert told(ours, lambda tx: users.restore(tx, made.id)) == "There is no User with this id."


def test_of_several_deleted_accounts_with_one_name_the_latest_is_meant(ours: Desk) -> None:
    for _ in range(2):
        last = ours.user("Ångström")
        with ours.write() as tx:
            users.delete(tx, last.id)
    assert [each["userName"] for each in deleted.listed(ours.look(), "User", 10)] == ["Ångström"] * 2
    for key in ("ångström", "A\u030angstro\u0308m", last.id):
        assert deleted.id_of(ours.look(), "User", key) == last.id
    with pytest.raises(NotFound, match="No deleted User is named x"):
        deleted.id_of(ours.look(), "User", "x")


def test_deleting_and_restoring_gives_each_group_of_the_person_a_new_version(ours: Desk) -> None:
    made = ours.user("ada")
    crew, others = ours.group("crew", made.id), ours.group("others")

    def versions() -> list[int]:
        sql = "SELECT version FROM resources WHERE id = :id"
        return [rows(ours.database, sql, id=group.id)[0][0] for group in (crew, others)]

    with ours.write() as tx:
        users.delete(tx, made.id)
    assert versions() == [2, 1]
    with ours.write() as tx:
        users.restore(tx, made.id)
    assert versions() == [3, 1]


def test_an_external_id_belongs_to_the_connection_that_set_it(ours: Desk) -> None:
    made = ours.user("ada", externalId="hr-1")
    assert users.get(ours.look(), made.id).external_id == "hr-1"
    other = Desk(ours.database, "ours", connection="other")
    assert users.get(other.look(), made.id).external_id is None
    other.patch_user(made.id, {"op": "add", "path": "externalId", "value": "crm-1"})
    assert found(other, 'externalId eq "crm-1"') == found(ours, 'externalId eq "hr-1"') == ["ada"]
    assert found(other, 'externalId eq "hr-1"') == []


@pytest.mark.parametrize(
    ("before", "change", "expected"),
    [
        ({"active": True}, {"path": "active", "value": False}, ["user.deactivated"]),
        ({"active": False}, {"path": "active", "value": True}, ["user.activated"]),
        ({}, RENAME, ["user.renamed"]),
        ({}, {"path": "nickName", "value": "Countess"}, ["user.updated"]),
        ({}, {"value": {"active": False, "userName": "new name"}}, ["user.deactivated", "user.renamed"]),
    ],
)
def test_a_change_is_told_as_what_it_amounts_to(
    ours: Desk, before: dict[str, Any], change: dict[str, Any], expected: list[str]
) -> None:
    made = ours.user("ada", **before)
    saved = ours.patch_user(made.id, {"op": "replace", **change})
    told = ours.events(made.id)[1:]
    assert [kind for kind, _ in told] == expected
    assert all(data == {"before": made.document, "after": saved.document} for _, data in told)
    assert ours.actions(made.id)[1:] == expected[:1]


def test_a_verb_outside_of_write_is_a_mistake_of_ours_and_no_half_change(ours: Desk) -> None:
    with pytest.raises((AssertionError, DirectoryError)):
        users.create(ours.look(), {"userName": "ada"})
