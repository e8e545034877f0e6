"""PATCH gives what scim2-models gives on the whole object, whether applied to a document or to rows (RFC 7644 §3.5.2).

Where we differ on purpose, and what therefore is not generated:

========================================  ==========================================  =================================
request                                   we                                          the library
========================================  ==========================================  =================================
a filter or list marks several primary    the last one is, so that one is             refuses (see _may_differ)
the text "" (single value, entry, text    none: such senders clear by ""              keeps the text
for ``manager``)                          (quirks: empty-text-for-none)
``add`` of null                           changes nothing (an ``add`` needs a value)  refuses, or unassigns in an object
``manager``: an id, a list of one         Entra's reference                           refuses
equal entries in one ``add``              one entry                                   as many entries
null among the entries of a list          left out                                    refuses
``remove`` with a value on what is no     the path is removed: RFC 7644 §3.5.2.2      refuses
list, or behind a filter                  knows no value there
``remove`` of a list with value ``[]``    the list is removed, as with null           changes nothing
``emails[type eq "work"].value`` as key   is that path (Entra)                        drops it in silence
an unknown attribute as path              invalidPath: a typing error                 drops it in silence
a member named again with other           the same member: a set of ids               the member twice
``display`` or ``type``
========================================  ==========================================  =================================
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from pydantic import ValidationError
from scim2_models import Context, PatchOp, SCIMException

from scim_server.directory import groups, tenants, users
from scim_server.directory.actor import Actor
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import write
from scim_server.protocol import documents, operations, patch
from scim_server.protocol.errors import ScimError
from scim_server.protocol.schemas import ENTERPRISE, GROUP, USER
from scim_server.protocol.senders import Sender
from tests.oracles.changes import BODIES, REQUESTS
from tests.oracles.expressions import choice
from tests.oracles.models import MODELS, TOLERANT
from tests.running import PATCH_OP

REFUSED = "refused"
Json = dict[str, Any]


def by_us(body: Json, request: list[Json]) -> Any:
    document = documents.read(USER, body, Sender())
    held = copy.deepcopy(document)
    try:
        changes = operations.read(USER, {"schemas": [PATCH_OP], "Operations": request}, Sender())
        return patch.apply(USER, document, changes, Sender()).document
    except ScimError:
        return REFUSED
    finally:
        assert document == held


def by_scim2(kind: str, body: Json, request: list[Json]) -> Any:
    """What the library makes of it, or why it refuses."""
    message = {"schemas": [PATCH_OP], "Operations": request}
    with TOLERANT:
        resource = MODELS[kind].model_validate(body)
        try:
            change = PatchOp[MODELS[kind]].model_validate(message, scim_ctx=Context.RESOURCE_PATCH_REQUEST)
            change.patch(resource)
        except (SCIMException, ValidationError) as error:
            return f"{REFUSED}: {error}"
        shown = resource.model_dump()
    return {name: value for name, value in shown.items() if name != "schemas"}


def _may_differ(refusal: str) -> bool:
    return "Multiple values marked as primary" in refusal


@settings(max_examples=2_500, deadline=None, derandomize=True)
@given(body=BODIES, request=REQUESTS)
def test_a_patch_of_a_person_gives_what_the_library_gives_or_both_refuse(body: Json, request: list[Json]) -> None:
    ours, theirs = by_us(copy.deepcopy(body), copy.deepcopy(request)), by_scim2("User", body, request)
    if not isinstance(theirs, str):
        assert ours == theirs
    elif not _may_differ(theirs):
        assert ours == REFUSED


@settings(max_examples=500, deadline=None, derandomize=True)
@given(body=BODIES, request=REQUESTS)
def test_what_a_patch_leaves_could_have_been_put_by_the_strictest(body: Json, request: list[Json]) -> None:
    patched = by_us(body, request)
    if patched != REFUSED:
        assert documents.read(USER, {"schemas": [USER.urn, ENTERPRISE], **patched}, Sender(strict=True)) == patched


# ------------------------------------------------------------------------------------------ groups in the store

PEOPLE, TEAMS, MOST = 8, 4, 8
CANDIDATES = range(PEOPLE + TEAMS)


@dataclass(repr=False)
class Team:
    """A database with twelve candidates for membership: people first, then groups."""

    database: Database
    actor: Actor
    ids: list[str]

    def member(self, number: int) -> Json:
        kind = "User" if number < PEOPLE else "Group"
        return {"value": self.ids[number], "type": kind, "display": f"{kind}{number}"}


@pytest.fixture(scope="module")
def team(module_database_url: str) -> Iterator[Team]:
    with closing(Database(module_database_url)) as database:
        actor = Actor(tenants.ensure_default(database).id, "scim", "oracle", "oracle")
        with write(database, actor) as tx:
            people = [users.create(tx, {"userName": f"User{number}"}) for number in range(PEOPLE)]
            teams = [groups.create(tx, {"displayName": f"Group{number}"}, Sender()) for number in CANDIDATES[PEOPLE:]]
        yield Team(database, actor, [each.id for each in [*people, *teams]])


class _Undone(Exception):
    """Ends a transaction, so that the next example finds the database as it was."""


_SOME = st.lists(choice(CANDIDATES), min_size=1, max_size=4, unique=True)
_ANY = st.lists(choice(CANDIDATES), max_size=MOST, unique=True)
_NAMES = choice(["Crew", "crew", "Staff"])
_CHANGES = choice([
    st.tuples(st.just("add"), _SOME),
    st.tuples(st.just("add in object"), _SOME),
    st.tuples(st.just("remove listed"), _SOME),
    st.tuples(st.just("remove one"), choice(CANDIDATES)),
    st.tuples(st.just("remove one of type"), choice(CANDIDATES)),
    st.tuples(st.just("remove type"), choice(["User", "Group"])),
    st.tuples(st.just("remove but"), choice(CANDIDATES)),
    st.tuples(st.just("replace"), _ANY),
    st.tuples(st.just("replace in object"), _ANY),
    st.tuples(st.just("clear"), st.none()),
    st.tuples(st.just("rename"), _NAMES),
]).flatmap(lambda chosen: chosen)  # fmt: skip
Change = tuple[str, Any]


def operation(team: Team, change: Change) -> Json:
    """The PATCH operation for a change."""
    name, value = change
    match name:
        case "add" | "replace":
            return {"op": name, "path": "members", "value": [team.member(each) for each in value]}
        case "add in object" | "replace in object":
            return {"op": name.split()[0], "value": {"members": [team.member(each) for each in value]}}
        case "remove listed":
            return {"op": "remove", "path": "members", "value": [{"value": team.ids[each]} for each in value]}
        case "remove one":
            return {"op": "remove", "path": f'members[value eq "{team.ids[value]}"]'}
        case "remove one of type":
            return {"op": "remove", "path": f'members[type eq "user" and display eq "USER{value}"]'}
        case "remove type":
            return {"op": "remove", "path": f'members[type eq "{value}"]'}
        case "remove but":
            return {"op": "remove", "path": f'members[not (value eq "{team.ids[value]}")]'}
        case "rename":
            return {"op": "replace", "path": "displayName", "value": value}
        case _:
            return {"op": "remove", "path": "members"}


def changed(members: set[int], change: Change) -> set[int]:
    """What a change makes of a plain set."""
    name, value = change
    match name:
        case "add" | "add in object":
            return members | set(value)
        case "replace" | "replace in object":
            return set(value)
        case "remove listed":
            return members - set(value)
        case "remove one":
            return members - {value}
        case "remove one of type":
            return members - ({value} if value < PEOPLE else set())
        case "remove type":
            return {each for each in members if (each < PEOPLE) != (value == "User")}
        case "remove but":
            return members & {value}
        case "rename":
            return members
        case _:
            return set()


@settings(max_examples=400, deadline=None, derandomize=True)
@given(start=_ANY, requests=st.lists(st.lists(_CHANGES, min_size=1, max_size=4), min_size=1, max_size=3))
def test_members_in_rows_are_the_set_and_the_list_that_python_and_the_library_have(
    team: Team, start: list[int], requests: list[list[Change]]
) -> None:
    name, expected = "First", set(start)
    body = {"schemas": [GROUP.urn], "displayName": name, "members": [team.member(each) for each in start]}
    with suppress(_Undone), write(team.database, team.actor) as tx:
        group = groups.create(tx, documents.read(GROUP, body, Sender()), Sender())
        for request in requests:
            before, told = (name, expected), [operation(team, change) for change in request]
            for change in request:
                name = change[1] if change[0] == "rename" else name
                expected = changed(expected, change)
            body = {"schemas": [GROUP.urn], **by_scim2("Group", body, told)}
            changes = operations.read(GROUP, {"schemas": [PATCH_OP], "Operations": told}, Sender())
            patched = groups.patch(tx, group.id, changes, Sender())

            shown = groups.get(tx, group.id)
            members = [{"value": each.id, "type": each.type, "display": each.display} for each in shown.related or ()]
            assert shown.document["displayName"] == name == body["displayName"]
            assert {each["value"] for each in members} == {team.ids[each] for each in expected}
            assert members == sorted(body.get("members", []), key=lambda each: each["value"])
            assert patched.version == group.version + ((name, expected) != before)
            group = shown
        raise _Undone
