"""The end is the end: each way in which an account ends, and everything that a person may hold (sso.md section 5)."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, Self

import pytest
from flask import Flask

from scim_server.directory import (
    actor,
    attempts,
    ending,
    groups,
    identities,
    linking,
    links,
    minting,
    personal_tokens,
    sso_connections,
    tenants,
    users,
)
from scim_server.directory.linking import NoAccount
from scim_server.directory.sessions import Lifetimes
from scim_server.directory.standing import NotLetIn
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx, write
from scim_server.protocol.senders import Sender
from tests.directory.credentials import (
    COUNTS,
    GOOD,
    PASSWORD,
    REFUSED,
    SETTINGS,
    Browser,
    Held,
    Person,
    chosen,
    confirmed,
    login,
    opened,
    program,
    redeemed,
    standing_of,
    with_session,
    with_token,
)
from tests.directory.desk import patch, rows
from tests.running import GROUP, USER, Answer, House, Scim

NAMES = count()
URN = f"{USER}:active"


@dataclass
class Place:
    """One database, and two processes of the server on it; the second is an application with connections of its own."""

    house: House
    other: House
    url: str
    folder: Path

    def person(self, **attributes: Any) -> Person:
        """Somebody in a new tenant."""
        return Person(self.house, f"person-{next(NAMES)}@x.example", **attributes)

    def program(self, person: Person, *arguments: str) -> None:
        done = program(self.url, self.folder, *arguments, "--tenant", person.tenant_name)
        assert done.exit_code == 0, done.output

    @property
    def apps(self) -> tuple[Flask, Flask]:
        return self.house.app, self.other.app


@pytest.fixture(scope="module")
def place(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    house, other = House(module_database_url, **SETTINGS), House(module_database_url, **SETTINGS)
    yield Place(house, other, module_database_url, tmp_path_factory.mktemp("data"))
    house.close()
    other.close()


# ------------------------------------------------------------------------------------------------- the ways


@dataclass
class Case:
    """A person, what they hold, and the groups that let them in."""

    place: Place
    person: Person
    held: Held
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def scim(self) -> Scim:
        return self.person.scim

    @property
    def url(self) -> str:
        return f"/Users/{self.person.id}"

    def program(self, *arguments: str) -> None:
        self.place.program(self.person, *arguments)


Does = Callable[[Case], Answer | None]


@dataclass(frozen=True)
class Way:
    """How an account ends, and how it is brought back; ``door`` and ``cause`` are what the receipt says."""

    end: Does
    back: Does
    cause: str
    door: str = "scim"
    gate: tuple[
        str, ...
    ] = ()  # groups, each in the one before; the person is in the last, and the first lets people in


def patched(*operations: dict[str, Any]) -> Does:
    return lambda case: case.scim.patch(case.url, *operations)


def replaced(active: object) -> Does:
    return lambda case: case.scim.put(case.url, {"schemas": [USER], "userName": case.person.name, "active": active})


def at_command_line(*arguments: str) -> Does:
    return lambda case: case.program(*[case.person.name if each == "PERSON" else each for each in arguments])


def nothing(case: Case) -> None:
    """Whoever was only logged out may come in at once."""


def active(value: object, *, op: str = "replace", path: str = "active") -> Way:
    return Way(patched({"op": op, "path": path, "value": value}), reactivated, "deactivated")


def without_path(value: dict[str, Any], op: str = "replace") -> Way:
    return Way(patched({"op": op, "value": value}), reactivated, "deactivated")


reactivated = patched({"op": "replace", "path": "active", "value": True})
restored = at_command_line("user", "restore", "PERSON")
unlocked = at_command_line("user", "unlock", "PERSON")


def members(op: str, group: str, *who: str, path: str = "members") -> Does:
    """A PATCH of the members of one group; ``who`` are names of groups, or the person."""

    def act(case: Case) -> Answer:
        ids = [case.groups.get(each, case.person.id) for each in who]
        operation: dict[str, Any] = {"op": op, "path": path.replace("ID", ids[0] if ids else "")}
        if path == "members" and (ids or op == "replace"):
            operation["value"] = [{"value": each} for each in ids]
        return case.scim.patch(f"/Groups/{case.groups[group]}", operation)

    return act


def group_replaced(group: str) -> Does:
    """A PUT that lists nobody."""
    return lambda case: case.scim.put(f"/Groups/{case.groups[group]}", {"schemas": [GROUP], "displayName": group})


def group_deleted(group: str) -> Does:
    return lambda case: case.scim.delete(f"/Groups/{case.groups[group]}")


def left(end: Does, back: Does, *gate: str, door: str = "scim") -> Way:
    return Way(end, back, "left the access group", door, gate or ("staff",))


def group_restored(case: Case) -> None:
    case.program("group", "restore", "staff" if "team" not in case.groups else "team")


def password_set(case: Case) -> None:
    assert Browser(case.place.other.app).posted(f"/password/{case.held.link}", password=PASSWORD) == 303


def put_outside(case: Case) -> None:
    case.scim.group("others")
    case.program("tenant", "set", "--access-group", "others")


rejoined = members("add", "staff", "person")
WAYS: dict[str, Way] = {
    "PATCH of active": active(False),
    "PATCH of active to 'False'": active("False"),
    "PATCH of active to 'false'": active("false"),
    "PATCH of active to 'FALSE' by Replace": active("FALSE", op="Replace"),
    "PATCH of active by Add": active(False, op="Add"),
    "PATCH of ACTIVE": active("False", path="ACTIVE"),
    "PATCH of active by its URN": active(False, path=URN),
    "PATCH without path": without_path({"active": False}),
    "PATCH without path, 'Active': 'False'": without_path({"Active": "False"}),
    "PATCH without path by REPLACE": without_path({"ACTIVE": "false"}, op="REPLACE"),
    "PATCH without path by its URN": without_path({URN: False}),
    "PATCH without path by add": without_path({"active": False, "displayName": "gone"}, op="add"),
    "the last of two operations": Way(
        patched({"op": "replace", "path": "active", "value": True}, {"op": "replace", "value": {"active": False}}),
        reactivated, "deactivated",
    ),
    "PUT": Way(replaced(False), replaced(True), "deactivated"),
    "PUT of 'False'": Way(replaced("False"), replaced("True"), "deactivated"),
    "DELETE": Way(lambda case: case.scim.delete(case.url), restored, "deleted"),
    "PATCH that removes from the access group": left(members("remove", "staff", "person"), rejoined),
    "PATCH that removes by a filter": left(
        members("remove", "staff", "person", path='members[value eq "ID"]'), rejoined
    ),
    "PATCH that removes all": left(members("remove", "staff"), rejoined),
    "PATCH that replaces the members": left(members("replace", "staff"), rejoined),
    "PUT of the access group": left(group_replaced("staff"), rejoined),
    "DELETE of the access group": left(group_deleted("staff"), group_restored),
    "PATCH that removes a nested group": left(
        members("remove", "staff", "team"), members("add", "staff", "team"), "staff", "team"
    ),
    "PATCH of a nested group": left(
        members("remove", "team", "person"), members("add", "team", "person"), "staff", "team"
    ),
    "PUT of a nested group": left(group_replaced("team"), members("add", "team", "person"), "staff", "team"),
    "DELETE of a group in between": left(group_deleted("team"), group_restored, "staff", "team", "crew"),
    "the access group becomes another": left(
        put_outside, at_command_line("tenant", "set", "--no-access-group"), door="cli"
    ),
    "user deactivate": Way(
        at_command_line("user", "deactivate", "PERSON"), at_command_line("user", "activate", "PERSON"),
        "deactivated", "cli",
    ),
    "user delete": Way(at_command_line("user", "delete", "PERSON"), restored, "deleted", "cli"),
    "user lock": Way(at_command_line("user", "lock", "PERSON", "--reason", "left"), unlocked, "locked", "cli"),
    "user sessions --revoke": Way(
        at_command_line("user", "sessions", "PERSON", "--revoke"), nothing, "revoked by an admin", "cli"
    ),
    "user password-clear": Way(at_command_line("user", "password-clear", "PERSON"), nothing, "password cleared", "cli"),
    "admin grant": Way(
        at_command_line("admin", "grant", "PERSON", "--role", "auditor"),
        at_command_line("admin", "revoke", "PERSON"), "role changed", "cli",
    ),
    "a password set by link": Way(password_set, nothing, "password set", "sso"),
}  # fmt: skip


def begin(place: Place, gate: tuple[str, ...]) -> Case:
    """Somebody who is in, by the groups that are named."""
    person = place.person()
    case = Case(place, person, held=None, groups={})  # type: ignore[arg-type]
    inner = person.id
    for each in reversed(gate):
        inner = case.groups[each] = person.scim.group(each, inner)["id"]
    if gate:
        case.program("tenant", "set", "--access-group", gate[0])
    case.held = person.hold()
    return case


def carried_out(does: Does, case: Case) -> Answer | None:
    answer = does(case)
    assert answer is None or answer.status in (200, 204), answer.body
    return answer


@pytest.mark.parametrize("name", WAYS)
def test_what_was_held_is_refused_by_every_process_and_never_comes_back(place: Place, name: str) -> None:
    way = WAYS[name]
    case = begin(place, way.gate)
    person, held = case.person, case.held
    assert [standing_of(app, held) for app in place.apps] == [GOOD, GOOD]
    before = len(person.receipts())

    answer = carried_out(way.end, case)
    assert redeemed(place.other.app, person, held, held.choices[0]) == REFUSED
    receipt, *rest = person.receipts()
    assert len(rest) == before
    assert {name: receipt[name] for name in COUNTS} == COUNTS | ({"links": 0} if way.end is password_set else {})
    assert (receipt["cause"], receipt["door"]) == (way.cause, way.door)
    assert receipt["milliseconds"] > 0
    if answer is not None:
        assert receipt["request_id"] == answer.headers["x-request-id"]

    carried_out(way.back, case)
    assert redeemed(place.house.app, person, held, held.choices[1]) == REFUSED
    fresh = chosen(place.house.app, person, person.half_done(attempts.CHOOSE))
    assert fresh.status_code == 303, "a new login gets in again"
    assert {with_session(app, person.open(), person.verify) for app in place.apps} == {200}


def test_without_an_end_all_of_it_lets_people_in(place: Place) -> None:
    """Or the refusals above would show nothing."""
    person = place.person()
    held = person.hold()
    assert confirmed(place.other.app, held.confirm).status_code == 303
    assert chosen(place.other.app, person, held.choices[0]).status_code == 303
    link = Browser(place.other.app)
    assert link.posted(f"/password/{held.link}", password=PASSWORD) == 303
    assert with_session(place.house.app, link.session, person.verify) == 200
    assert chosen(place.house.app, person, held.choices[1]).status_code == 403, "the new password ended it"


def test_a_password_works_again_after_reactivation(place: Place) -> None:
    person = place.person()
    attempt = {"username": person.name, "password": PASSWORD}
    person.scim.patch(f"/Users/{person.id}", {"op": "replace", "path": "active", "value": False})
    assert Browser(place.house.app).posted("/login", **attempt) == 401
    person.scim.patch(f"/Users/{person.id}", {"op": "replace", "path": "active", "value": True})
    browser = Browser(place.house.app)
    assert browser.posted("/login", **attempt) == 303
    assert browser.status(person.verify) == 200


@pytest.mark.parametrize("value", [False, "False", "false"])
def test_an_account_that_is_born_inactive_gets_nothing(place: Place, value: object) -> None:
    born = place.person(active=value, password=False)
    for give in (born.open, born.token, born.link):
        with pytest.raises(NotLetIn):
            give()
    assert chosen(place.house.app, born, born.half_done(attempts.CHOOSE)).status_code == 403
    assert born.receipts() == [], "there was nothing to end"


def test_leaving_one_of_two_groups_that_let_in_ends_nothing(place: Place) -> None:
    case = begin(place, ("staff", "team"))
    case.scim.patch(
        f"/Groups/{case.groups['staff']}", {"op": "add", "path": "members", "value": [{"value": case.person.id}]}
    )
    assert carried_out(members("remove", "team", "person"), case)
    assert standing_of(place.other.app, case.held) == GOOD
    assert carried_out(members("remove", "staff", "person"), case)
    assert redeemed(place.other.app, case.person, case.held, case.held.choices[0]) == REFUSED


def test_groups_that_let_nobody_in_end_nothing(place: Place) -> None:
    case = begin(place, ("staff",))
    other = case.groups["other"] = case.scim.group("other", case.person.id)["id"]
    carried_out(members("remove", "other", "person"), case)
    assert case.scim.delete(f"/Groups/{other}").status == 204
    assert (
        case.scim.patch(f"/Groups/{case.groups['staff']}", {"op": "replace", "value": {"displayName": "all"}}).status
        == 204
    )
    assert standing_of(place.other.app, case.held) == GOOD


def test_what_leaves_an_account_as_it_is_ends_nothing(place: Place) -> None:
    person = place.person()
    held = person.hold()
    for body in ({"active": True}, {"displayName": "Ada"}):
        assert person.scim.patch(f"/Users/{person.id}", {"op": "replace", "value": body}).status == 200
    assert person.scim.put(f"/Users/{person.id}", {"schemas": [USER], "userName": person.name}).status == 200
    assert person.scim.patch(f"/Users/{person.id}", {"op": "remove", "path": "active"}).status == 200
    assert standing_of(place.other.app, held) == GOOD
    refused = person.scim.patch(
        f"/Users/{person.id}", {"op": "replace", "path": "active", "value": False}, headers={"If-Match": 'W/"1"'}
    )
    assert refused.status == 412
    assert standing_of(place.other.app, held) == GOOD, "neither does what was refused"


# ------------------------------------------------------------------------------- what ends only what came by it


def two_connections(place: Place) -> tuple[Person, Held, str, str]:
    """Somebody who is logged in through two providers: what they hold, a session of the second, and the latter's id."""
    person = place.person()
    with person.write() as tx:
        second = login(tx, "second")
    return person, person.hold(), person.open(method="sso", sso_connection=second.id, subject="x"), second.id


def test_with_a_connection_goes_all_that_its_people_hold(place: Place) -> None:
    person, held, elsewhere, _ = two_connections(place)
    provider = minting.opaque()
    with person.write() as tx:
        state = attempts.start(tx, provider, attempts.PROVIDER, {}, sso_connection=person.sso.id)
    place.program(person, "connection", "remove", "main")

    app, path = place.other.app, person.verify
    sessions_held = (held.through_provider, *held.sessions, elsewhere)
    assert [with_session(app, each, path) for each in sessions_held] == [401] * 4
    assert [with_token(app, each, path) for each in held.tokens] == [401, 401]
    assert Browser(app).status(f"/password/{held.link}") == 404
    callback = f"/sso/{person.sso.id}/callback?state={state}&code=x"
    assert Browser(app, browser=provider).status(callback) == 404
    assert attempts.take(place.other.database, state) is None
    assert confirmed(app, held.confirm).status_code == 400
    assert chosen(app, person, held.choices[0]).status_code == 400
    receipt = person.receipts()[0]
    assert (receipt["cause"], receipt["sessions"]) == ("connection removed", len(sessions_held))
    assert person.scim.get("/Users").status == 401, "its sender is gone too"


def test_somebody_who_had_nothing_to_do_with_a_removed_connection_notices_nothing(place: Place) -> None:
    person = place.person()
    bystander = Person(place.house, f"bystander-{person.name}", person.tenant_name)
    place.program(bystander, "user", "unlink", bystander.name, "--connection", "main")
    held = bystander.open()
    place.program(person, "connection", "remove", "main")
    assert with_session(place.other.app, held, bystander.verify) == 200


def test_an_answer_to_a_login_of_a_connection_that_was_changed_is_refused(place: Place) -> None:
    person, browser = place.person(), minting.opaque()
    with person.write() as tx:
        data = {"version": person.sso.version}
        state = attempts.start(tx, browser, attempts.PROVIDER, data, sso_connection=person.sso.id)
    place.program(person, "connection", "set", "main", "--domains", "x.example")
    answer = Browser(place.other.app, browser=browser).get(f"/sso/{person.sso.id}/callback?state={state}&code=x")
    assert answer.status_code == 400


def test_an_unlinked_person_loses_all_that_was_held(place: Place) -> None:
    person, held, elsewhere, _ = two_connections(place)
    place.program(person, "user", "unlink", person.name, "--connection", "main")
    app, path = place.other.app, person.verify
    sessions_held = (held.through_provider, *held.sessions, elsewhere)
    assert [with_session(app, each, path) for each in sessions_held] == [401] * 4
    assert [with_token(app, each, path) for each in held.tokens] == [401, 401]
    assert Browser(app).status(f"/password/{held.link}") == 404
    assert chosen(app, person, held.choices[0]).status_code == 403, "nobody is this subject now"
    assert person.receipts()[0]["cause"] == "unlinked"


# ------------------------------------------------------------------------------------------------- receipts


def test_each_of_several_people_gets_a_receipt_of_their_own(place: Place) -> None:
    one = place.person()
    two, three = (Person(place.house, f"{each}-{one.name}", one.tenant_name) for each in ("two", "three"))
    team = one.scim.group("team", one.id, two.id)["id"]
    staff = one.scim.group("staff", team, three.id)["id"]
    place.program(one, "tenant", "set", "--access-group", "staff")
    one.hold()
    for _ in range(4):
        two.open()
    two.link()
    stays = three.open()
    answer = one.scim.patch(f"/Groups/{staff}", {"op": "remove", "path": f'members[value eq "{team}"]'})
    told = [{name: each.receipts()[0][name] for name in COUNTS} for each in (one, two)]
    assert told == [COUNTS, {"sessions": 4, "tokens": 0, "links": 1, "attempts": 0}]
    assert {each.receipts()[0]["request_id"] for each in (one, two)} == {answer.headers["x-request-id"]}
    assert [each.receipts()[0]["cause"] for each in (one, two, three)] == ["left the access group"] * 2 + [
        "password set"
    ]
    assert with_session(place.other.app, stays, three.verify) == 200


def test_a_receipt_counts_what_still_counted(place: Place) -> None:
    person = place.person()
    with person.write() as tx:
        long_over = opened(tx, person.id, lifetimes=Lifetimes(absolute=timedelta(0)))
        personal_tokens.issue(tx, person.id, "expired", expires_in=timedelta(0))
        links.issue(tx, person.id, lasts=timedelta(0))
    logged_out, _ = person.open(), person.open()
    assert Browser(place.house.app, session=logged_out).posted("/logout") == 303
    assert {with_session(place.house.app, each, person.verify) for each in (long_over, logged_out)} == {401}
    person.scim.delete(f"/Users/{person.id}")
    assert {name: person.receipts()[0][name] for name in COUNTS} == {
        "sessions": 1,
        "tokens": 0,
        "links": 0,
        "attempts": 0,
    }


def test_a_receipt_names_who_ended_it_and_events_tell_of_it(place: Place) -> None:
    person = place.person()
    person.hold()
    person.scim.delete(f"/Users/{person.id}")
    receipt = person.receipts()[0]
    assert (receipt["actor"], receipt["door"], receipt["cause"]) == ("token:test", "scim", "deleted")
    sql = "SELECT type, data FROM events WHERE target = :target ORDER BY id"
    told = {kind: json.loads(data) for kind, data in rows(place.house.database, sql, target=person.id)}
    assert told["session.revoked"] == {"cause": "deleted", "count": 3}
    assert told["token.revoked"] == {"cause": "deleted", "count": 2}
    assert "user.deleted" in told


def test_what_is_undone_ends_nothing_and_leaves_no_receipt(place: Place) -> None:
    person = place.person()
    held, before = person.hold(), person.receipts()
    with suppress(RuntimeError), person.write() as tx:
        ending.end(tx, [person.id], "deactivated")
        raise RuntimeError("power cut")
    assert standing_of(place.other.app, held) == GOOD
    assert person.receipts() == before


def test_another_tenant_sees_no_receipt(place: Place) -> None:
    person, stranger = place.person(), place.person()
    assert person.receipts()
    assert ending.receipts_of(stranger.look(), person.id) == []
    held = person.hold()
    with stranger.write() as tx:
        ending.end(tx, [person.id], "deactivated")
    assert standing_of(place.other.app, held) == GOOD


# ---------------------------------------------------------------------------------------------------- races


class Reached:
    """Waits until somebody is about to run a statement that begins so; on SQLite, until they wait for their turn."""

    def __init__(self, database: Database, *beginnings: str) -> None:
        self.database, self.event = database, threading.Event()
        self.beginnings = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE") if database.is_sqlite else beginnings

    def __call__(self, sql: str) -> None:
        if sql.lstrip().startswith(self.beginnings):
            self.event.set()

    def __enter__(self) -> Self:
        self.database.observers.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        self.database.observers.remove(self)


def meet(place: Place, person: Person, first: Callable[[Tx], object], second: Callable[[], Any], *waits: str) -> Any:
    """What comes of ``second``, which begins when ``first`` has done its work and not yet committed it.

    ``waits`` are beginnings of the statement at which it has to wait.
    """
    with ThreadPoolExecutor(1) as pool, Reached(place.other.database, *waits) as reached:
        with person.write() as tx:
            first(tx)
            done = pool.submit(second)
            assert reached.event.wait(10)
        return done.result(30)


def enter(place: Place, person: Person) -> str | None:
    """Log in as a provider's answer does, in the other process; None is refused."""
    try:
        with write(place.other.database, actor.at_command_line(person.tenant)) as tx:
            return entered(tx, person)
    except NoAccount:
        return None


def entered(tx: Tx, person: Person) -> str:
    linking.find(tx, person.sso, person.proof, policy=linking.SUBJECT_ONLY, passwords_work=True)
    return opened(tx, person.id, method="sso", sso_connection=person.sso.id, subject=person.proof.subject)


def unlink(tx: Tx, person: Person) -> None:
    identity = identities.of_subject(tx, person.sso.id, person.proof.subject)
    assert identity is not None
    identities.unlink(tx, identity)


def remove_connection(tx: Tx, person: Person) -> None:
    sso_connections.remove(tx, person.sso)


def deactivate(tx: Tx, person: Person) -> None:
    users.patch(tx, person.id, patch("User", {"op": "replace", "path": "active", "value": False}), Sender())


@pytest.mark.parametrize("end", [unlink, remove_connection, deactivate])
def test_a_login_that_meets_the_end_does_not_get_in(place: Place, end: Callable[[Tx, Person], None]) -> None:
    person = place.person()
    waits = "SELECT r.kind" if end is deactivate else "UPDATE identities"
    assert meet(place, person, lambda tx: end(tx, person), lambda: enter(place, person), waits) is None


@pytest.mark.parametrize("end", [unlink, remove_connection, deactivate])
def test_a_session_that_is_being_opened_when_the_end_comes_ends_too(
    place: Place, end: Callable[[Tx, Person], None]
) -> None:
    person, secrets = place.person(), list[str]()

    def do() -> None:
        with write(place.other.database, actor.at_command_line(person.tenant)) as tx:
            end(tx, person)

    waits = ("SELECT r.kind", "DELETE FROM identities", "SELECT o.id")
    meet(place, person, lambda tx: secrets.append(entered(tx, person)), do, *waits)
    assert with_session(place.other.app, secrets[0], person.verify) == 401


def test_two_requests_that_each_close_one_of_two_ways_in_close_both(place: Place) -> None:
    """Each sees the other's way still open, unless they take turns."""
    case = begin(place, ("staff", "team"))
    crew = case.scim.group("crew", case.person.id)["id"]
    carried_out(members("add", "staff", "crew"), replace(case, groups=case.groups | {"crew": crew}))
    leave = {"op": "remove", "path": "members"}
    elsewhere = Scim(place.other.app.wsgi_app, case.scim.token)
    answer = meet(
        place,
        case.person,
        lambda tx: groups.patch(tx, case.groups["team"], patch("Group", leave), Sender()),
        lambda: elsewhere.patch(f"/Groups/{crew}", leave),
        "SELECT t.id FROM tenants",
    )
    assert answer.status == 204
    assert redeemed(place.other.app, case.person, case.held, case.held.choices[0]) == REFUSED


def test_who_leaves_a_group_while_it_becomes_the_access_group_is_out(place: Place) -> None:
    person = place.person()
    staff = person.scim.group("staff", person.id)["id"]
    held = person.hold()

    def gate() -> None:
        with write(place.other.database, actor.at_command_line(person.tenant)) as tx:
            tenants.set_access_group(tx, staff)

    leave = patch("Group", {"op": "remove", "path": "members"})
    meet(place, person, lambda tx: groups.patch(tx, staff, leave, Sender()), gate, "SELECT r.id FROM resources")
    assert redeemed(place.other.app, person, held, held.choices[0]) == REFUSED
