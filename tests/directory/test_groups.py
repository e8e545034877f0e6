"""The verbs of a group: members are a set of rows, and groups may contain groups, in a circle too."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from scim_server.directory import groups, lookup, users
from scim_server.directory.errors import AlreadyTaken, NotFound, VersionMismatch
from scim_server.directory.ids import new_id
from scim_server.directory.lookup import Search
from scim_server.directory.store import documents, members
from scim_server.limits import Limits
from scim_server.protocol.errors import InvalidValue
from scim_server.protocol.schemas import GROUP
from scim_server.protocol.senders import Sender
from tests.directory.desk import Desk, crowd, patch, rows

RENAME = {"op": "replace", "path": "displayName", "value": "new name"}


def add(*ids: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": each} for each in ids]}


def remove(*ids: str) -> dict[str, Any]:
    return add(*ids) | {"op": "remove"}


def put(desk: Desk, group_id: str, name: str, *ids: str, sender: Sender | None = None) -> Any:
    with desk.write() as tx:
        document = {"displayName": name, "members": [{"value": each} for each in ids]}
        return groups.replace(tx, group_id, document, sender or Sender())


def told(desk: Desk, verb: Callable[..., Any]) -> str:
    with pytest.raises(NotFound) as refused, desk.write() as tx:
        verb(tx)
    return str(refused.value)


def changes(group_id: str, **expected: Any) -> list[Callable[..., Any]]:
    """Every verb that changes a group, on this one."""
    return [
        lambda tx: groups.replace(tx, group_id, {"displayName": "x"}, Sender(), **expected),
        lambda tx: groups.patch(tx, group_id, patch("Group", RENAME), Sender(), **expected),
        lambda tx: groups.delete(tx, group_id, **expected),
    ]


def test_a_group_is_made_with_its_members(ours: Desk) -> None:
    ada, grace = ours.user("ada").id, ours.user("grace").id
    crew = ours.group("Crew", ada, grace, ada)
    assert (crew.version, crew.document) == (1, {"displayName": "Crew"})
    assert ours.members(crew.id) == {ada, grace}
    assert ours.groups_of(ada) == {"Crew": "direct"}


def test_a_display_name_is_taken_in_every_letter_case_but_a_user_may_have_it(ours: Desk) -> None:
    ours.group("Crew")
    with pytest.raises(AlreadyTaken) as refused:
        ours.group("CREW")
    assert refused.value.attribute == "displayName"
    ours.user("Crew")


def test_adding_counts_each_member_once(ours: Desk) -> None:
    ada, grace = ours.user("ada").id, ours.user("grace").id
    crew = ours.group("crew", ada)
    saved = ours.patch_group(crew.id, add(ada, grace, grace))
    assert (saved.version, ours.members(crew.id)) == (2, {ada, grace})
    assert ours.events(crew.id)[-1] == ("membership.added", {"members": [grace]})


def test_what_is_in_already_or_out_already_leaves_no_trace(ours: Desk) -> None:
    ada, grace = ours.user("ada").id, ours.user("grace").id
    crew = ours.group("crew", ada)
    assert ours.patch_group(crew.id, add(ada)).version == 1
    assert ours.patch_group(crew.id, remove(grace)).version == 1
    assert ours.patch_group(crew.id, add(grace), remove(grace)).version == 1
    assert put(ours, crew.id, "crew", ada).version == 1
    assert ours.actions(crew.id) == ["group.created"]
    assert [kind for kind, _ in ours.events(crew.id)] == ["group.created", "membership.added"]


def test_operations_on_members_are_carried_out_in_order(ours: Desk) -> None:
    one, two, three = (ours.user(name).id for name in ("one", "two", "three"))
    crew = ours.group("crew", one)
    ours.patch_group(crew.id, add(two), remove(one), add(three), remove(two), add(one))
    assert ours.members(crew.id) == {one, three}
    assert ours.events(crew.id)[-1] == ("membership.added", {"members": [three]})


def test_replace_makes_the_members_those_that_are_listed(ours: Desk) -> None:
    one, two, three = (ours.user(name).id for name in ("one", "two", "three"))
    crew = ours.group("crew", one, two)
    saved = put(ours, crew.id, "Crew", two, three)
    assert (saved.version, saved.document, ours.members(crew.id)) == (2, {"displayName": "Crew"}, {two, three})
    told = dict(ours.events(crew.id)[2:])
    assert told["group.updated"] == {"before": {"displayName": "crew"}, "after": {"displayName": "Crew"}}
    assert (told["membership.added"], told["membership.removed"]) == ({"members": [three]}, {"members": [one]})
    assert put(ours, crew.id, "Crew").version == 3
    assert ours.members(crew.id) == set()


def test_members_that_exist_nowhere_are_refused_unless_others_do(ours: Desk) -> None:
    ada, nobody = ours.user("ada").id, new_id()
    with pytest.raises(InvalidValue, match="does not exist"):
        ours.group("crew", nobody)
    sender = Sender()
    crew = ours.group("crew", ada)
    put(ours, crew.id, "crew", ada, nobody, sender=sender)
    assert ours.members(crew.id) == {ada}
    assert sender.deviations == [f"unknown-member: {nobody}"]


def test_too_many_members_for_one_request_are_refused_with_the_number(ours: Desk) -> None:
    people = [ours.user(f"person {number}").id for number in range(3)]
    sender = Sender(limits=Limits(members=2))
    with pytest.raises(InvalidValue, match="at most 2 values"), ours.write() as tx:
        groups.create(tx, {"displayName": "crew", "members": [{"value": each} for each in people]}, sender)


def test_a_person_of_another_tenant_cannot_be_made_a_member(ours: Desk, theirs: Desk) -> None:
    ada, stranger = ours.user("ada").id, theirs.user("stranger").id
    crew = ours.group("crew", ada)
    with pytest.raises(InvalidValue, match="does not exist"):
        ours.patch_group(crew.id, add(stranger))
    put(ours, crew.id, "crew", ada, stranger)
    assert ours.members(crew.id) == {ada}
    assert theirs.groups_of(stranger) == {}


def test_another_tenants_group_is_as_unknown_as_one_that_never_was(ours: Desk, theirs: Desk) -> None:
    ada = ours.user("ada").id
    crew, gone = ours.group("crew", ada), ours.group("gone", ada)
    with ours.write() as tx:
        groups.delete(tx, gone.id)
    for verb in [*changes(crew.id), lambda tx: groups.get(tx, crew.id), lambda tx: groups.restore(tx, gone.id)]:
        assert told(theirs, verb) == "There is no Group with this id."
    for verb in changes(new_id()):
        assert told(theirs, verb) == "There is no Group with this id."
    for text in (None, 'displayName eq "crew"', f'members.value eq "{ada}"', "members pr"):
        assert lookup.find(theirs.look(), [GROUP], Search(filter=text), Limits(), lambda _: True).total == 0
    assert members.members_of(theirs.look(), [crew.id]) == {crew.id: []}
    assert members.groups_of(theirs.look(), [ada]) == {ada: []}
    with theirs.write() as tx:
        assert members.remove(tx, crew.id, [ada]) == members.retain(tx, crew.id, []) == []
        members.touch_groups_of(tx, ada)
    assert ours.members(crew.id) == {ada}
    assert groups.get(ours.look(), crew.id).version == 1


def test_a_version_that_was_not_expected_is_refused_by_every_change(ours: Desk) -> None:
    crew = ours.group("crew")
    ours.patch_group(crew.id, RENAME)
    for change in changes(crew.id, if_match=lambda version: version == 1):
        with pytest.raises(VersionMismatch), ours.write() as tx:
            change(tx)
    assert groups.get(ours.look(), crew.id).version == 2


def test_a_deleted_group_is_absent_everywhere_and_restored_with_its_members(ours: Desk) -> None:
    ada = ours.user("ada").id
    crew = ours.group("crew", ada)
    everyone = ours.group("everyone", crew.id)
    with ours.write() as tx:
        groups.delete(tx, crew.id)
    assert told(ours, lambda tx: groups.get(tx, crew.id)) == "There is no Group with this id."
    assert (ours.groups_of(ada), ours.members(everyone.id)) == ({}, set())
    rival = ours.group("Crew")
    with pytest.raises(AlreadyTaken, match="crew is another group by now; rename that one first"), ours.write() as tx:
        groups.restore(tx, crew.id)
    with ours.write() as tx:
        groups.delete(tx, rival.id)
        assert groups.restore(tx, crew.id).version == 3
    assert ours.groups_of(ada) == {"crew": "direct", "everyone": "indirect"}
    assert ours.members(everyone.id) == {crew.id}
    assert ours.actions(crew.id) == ["group.created", "group.deleted", "group.restored"]


def test_a_person_is_in_each_group_once_and_direct_wins(ours: Desk) -> None:
    ada = ours.user("ada").id
    inner = ours.group("inner", ada)
    outer = ours.group("outer", inner.id, ada)
    ours.group("outermost", outer.id, inner.id)
    assert ours.groups_of(ada) == {"inner": "direct", "outer": "direct", "outermost": "indirect"}


def test_groups_in_a_circle_are_walked_once(ours: Desk) -> None:
    ada = ours.user("ada").id
    one = ours.group("one", ada)
    two = ours.group("two", one.id)
    three = ours.group("three", two.id)
    ours.patch_group(one.id, add(three.id, one.id))
    assert ours.groups_of(ada) == {"one": "direct", "two": "indirect", "three": "indirect"}
    assert ours.members(one.id) == {ada, one.id, three.id}
    with ours.write() as tx:
        groups.delete(tx, two.id)
    assert ours.groups_of(ada) == {"one": "direct"}


@pytest.mark.timeout(30)  # a walk that starts over at each group it meets again takes hours
def test_a_deep_and_a_dense_nesting_are_read(ours: Desk) -> None:
    with ours.write() as tx:
        people, bottom = crowd(tx, 50)
        chain = [bottom, *(documents.insert(tx, "Group", {"displayName": f"level {n}"}).id for n in range(200))]
        for inner, outer in pairwise(chain):
            members.add(tx, outer, {inner: None})
        ring = [documents.insert(tx, "Group", {"displayName": f"ring {n}"}).id for n in range(40)]
        for each in ring:
            members.add(tx, each, dict.fromkeys([*ring, people[0]]))
    ours.database.run_sql("ANALYZE")  # as PostgreSQL does by itself, within a minute
    shown = ours.groups_of(people[0])
    page = lookup.find(ours.look(), [GROUP], Search(filter=f'members.value eq "{people[0]}"'), Limits(), lambda _: True)
    assert len(shown) == 201 + 40
    assert page.total == 1 + 40


def test_deleting_a_member_hides_the_membership_and_keeps_the_row(ours: Desk) -> None:
    ada = ours.user("ada").id
    crew = ours.group("crew", ada)
    with ours.write() as tx:
        users.delete(tx, ada)
    assert ours.members(crew.id) == set()
    assert rows(ours.database, "SELECT member_id FROM memberships") == [(ada,)]


def test_the_record_of_a_large_change_holds_its_size(ours: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "_MOST_RECORDED", 2)
    people = [ours.user(f"person {number}").id for number in range(3)]
    crew = ours.group("crew", *people)
    assert ours.events(crew.id)[-1] == ("membership.added", {"members": 3})
    assert ours.audit(crew.id)[-1]["after"]["members"] == {"added": 3}
