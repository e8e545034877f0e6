"""How people get in, beside their providers: locks, roles, the last admin, break-glass, the group that gives access."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import time_machine

from scim_server.directory import accounts, attempts, audit, groups, standing, tenants, users
from scim_server.directory.errors import NotFound, Refused
from scim_server.directory.standing import NotLetIn
from scim_server.protocol.filters import instant
from scim_server.protocol.senders import Sender
from tests.directory.credentials import (
    GOOD,
    REFUSED,
    Browser,
    Held,
    Person,
    chosen,
    program,
    redeemed,
    standing_of,
    with_session,
    with_token,
)
from tests.directory.desk import patch, rows
from tests.directory.remote import at_once
from tests.running import ERROR, USER, House, Scim

NAMES = count()
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
OFF = {"op": "replace", "path": "active", "value": False}


@pytest.fixture
def person(homes: tuple[House, House]) -> Person:
    """Somebody in a tenant of their own."""
    return Person(homes[0], f"account-{next(NAMES)}@x.example")


@pytest.fixture
def run(module_database_url: str, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """The program: its exit status, and what it says of a failure."""

    def command(person: Person, *arguments: str) -> tuple[int, str]:
        done = program(module_database_url, tmp_path, *arguments, "--tenant", person.tenant_name)
        return done.exit_code, done.stderr

    return command


def neighbour(person: Person, **attributes: Any) -> Person:
    """Somebody else of the same tenant."""
    return Person(person.house, f"account-{next(NAMES)}@x.example", person.tenant_name, **attributes)


def lock(person: Person, *, since: timedelta | None = None, until: timedelta | None = None) -> None:
    """Lock somebody from or until so far from now."""
    now = datetime.now(UTC)
    moments = {name: instant(now + span) for name, span in (("since", since), ("until", until)) if span is not None}
    with person.write() as tx:
        accounts.lock(tx, person.id, "contract ends", **moments)


def unlock(person: Person) -> None:
    with person.write() as tx:
        accounts.unlock(tx, person.id)


def all_refused(person: Person, held: Held, choice: int = 0) -> bool:
    return redeemed(person.house.app, person, held, held.choices[choice]) == REFUSED


def causes(person: Person) -> list[str]:
    """Why somebody was ended, the latest first; all begins with the password of the test's own."""
    found = [each["cause"] for each in person.receipts()]
    assert found.pop() == "password set"
    return found


# ----------------------------------------------------------------------------------------------------- locks


def test_a_lock_stands_beside_active_and_the_sender_cannot_lift_it(person: Person) -> None:
    held = person.hold()
    lock(person)
    url = f"/Users/{person.id}"
    assert person.scim.get(url).json["active"] is True
    assert person.scim.patch(url, {"op": "replace", "path": "active", "value": True}).json["active"] is True
    body = {"schemas": [USER], "userName": person.name, "active": True}
    assert person.scim.put(url, body).status == 200
    assert all_refused(person, held)
    with pytest.raises(NotLetIn, match="locked"):
        person.open()
    described = accounts.described(person.look(), person.id)
    assert described["lock_reason"] == "contract ends"
    assert described["locked_by"].startswith("cli")


def test_a_lock_and_an_inactive_account_have_to_be_lifted_both(person: Person) -> None:
    url = f"/Users/{person.id}"
    lock(person)
    person.scim.patch(url, OFF)
    unlock(person)
    with pytest.raises(NotLetIn, match="inactive"):
        person.open()
    person.scim.patch(url, {"op": "replace", "path": "active", "value": True})
    assert person.open()


def test_before_a_future_lock_begins_all_goes_on(person: Person, clock: time_machine.Traveller) -> None:
    held = person.hold()
    lock(person, since=2 * HOUR, until=3 * HOUR)
    assert standing_of(person.house.app, held) == GOOD
    assert person.open()
    clock.shift(2 * HOUR - timedelta(seconds=1))
    assert with_token(person.house.app, held.tokens[0], person.verify) == 200
    assert with_session(person.house.app, person.open(), person.verify) == 200
    assert causes(person) == []


def test_from_when_a_future_lock_begins_nothing_of_before_counts_again(
    person: Person, clock: time_machine.Traveller
) -> None:
    """Neither while it lasts nor when it is over, and no job has to run for it."""
    lock(person, since=HOUR, until=2 * HOUR)
    clock.shift(HOUR - timedelta(minutes=5))
    held = person.hold()
    assert standing_of(person.house.app, held) == GOOD, "opened when the lock was known already"
    clock.shift(timedelta(minutes=5))
    tokens, sessions = held.tokens, held.every_session

    def counting() -> set[int]:
        app, verify = person.house.app, person.verify
        return {with_token(app, each, verify) for each in tokens} | {
            with_session(app, each, verify) for each in sessions
        }

    assert counting() == {401}
    assert Browser(person.house.app).posted(f"/password/{held.link}", password="nine lanterns on 2 boats") == 404
    for give in (person.open, person.token, person.link):
        with pytest.raises(NotLetIn, match="locked"):
            give()
    clock.shift(HOUR)
    assert counting() == {401}
    assert Browser(person.house.app).status(f"/password/{held.link}") == 404
    fresh = person.open()
    assert with_session(person.house.app, fresh, person.verify) == 200
    unlock(person)
    assert counting() == {401}


def test_a_half_done_login_does_not_outlive_a_future_lock(person: Person, clock: time_machine.Traveller) -> None:
    lock(person, since=timedelta(minutes=3), until=timedelta(minutes=6))
    waiting, late = person.half_done(attempts.CHOOSE), person.half_done(attempts.CHOOSE)
    clock.shift(timedelta(minutes=3))
    assert chosen(person.house.app, person, waiting).status_code == 403
    assert chosen(person.house.app, person, late).status_code == 403


@pytest.mark.parametrize("until", [None, HOUR])
def test_unlocked_before_it_begins_a_lock_ended_nothing(person: Person, until: timedelta | None) -> None:
    held = person.hold()
    lock(person, since=timedelta(minutes=5), until=until)
    unlock(person)
    assert standing_of(person.house.app, held) == GOOD
    assert causes(person) == []


def test_unlocked_after_it_began_what_it_ended_stays_ended(person: Person, clock: time_machine.Traveller) -> None:
    held = person.hold()
    lock(person, since=timedelta(minutes=5))
    clock.shift(timedelta(minutes=6))
    unlock(person)
    assert all_refused(person, held)
    assert person.open()
    assert causes(person) == ["locked"]


def test_a_lock_that_began_in_the_past_ends_all_the_same(person: Person) -> None:
    held = person.hold()
    lock(person, since=-DAY)
    assert all_refused(person, held)
    unlock(person)
    assert all_refused(person, held, 1)


def test_a_lock_that_began_and_is_put_off_revives_nothing(person: Person, clock: time_machine.Traveller) -> None:
    held = person.hold()
    lock(person, since=timedelta(minutes=1))
    clock.shift(timedelta(minutes=2))
    lock(person, since=DAY)
    assert all_refused(person, held)
    assert person.open(), "until then a new login works"


def test_a_lock_that_would_be_over_at_once_is_refused(person: Person) -> None:
    held = person.hold()
    for since, until in ((None, -HOUR), (HOUR, HOUR), (DAY, HOUR), (-DAY, -HOUR)):
        with pytest.raises(Refused, match="over before it begins"):
            lock(person, since=since, until=until)
    assert standing_of(person.house.app, held) == GOOD
    with pytest.raises(Refused, match="not locked"):
        unlock(person)


def test_another_tenant_locks_and_unlocks_nobody(homes: tuple[House, House], person: Person) -> None:
    stranger = Person(homes[0], f"account-{next(NAMES)}@x.example")
    held = person.hold()
    for verb, *rest in (
        (accounts.lock, "x"),
        (accounts.unlock,),
        (accounts.clear_password,),
        (accounts.set_role, "admin"),
    ):
        with pytest.raises(NotFound), stranger.write() as tx:
            verb(tx, person.id, *rest)
    assert standing_of(person.house.app, held) == GOOD


# ------------------------------------------------------------------------------------ roles and the last admin


def grant(person: Person, role: str = "admin") -> Person:
    with person.write() as tx:
        accounts.set_role(tx, person.id, role)
    return person


def test_a_role_given_anew_ends_what_was_opened_under_the_old_one(person: Person) -> None:
    held = person.hold()
    grant(person, "member")
    assert standing_of(person.house.app, held) == GOOD, "it was a member before"
    grant(person, "auditor")
    assert all_refused(person, held)
    grant(person, "auditor")
    assert causes(person) == ["role changed"]
    changed = next(each for each in audit.of(person.look(), person.id) if each["action"] == "role.changed")
    assert (changed["before"], changed["after"]) == ({"role": "member"}, {"role": "auditor"})


def test_no_sender_gives_a_role(person: Person) -> None:
    url = f"/Users/{person.id}"
    for value in ({"roles": [{"value": "admin"}]}, {"role": "admin"}, {"guarded": False, "epoch": 0}):
        person.scim.patch(url, {"op": "replace", "value": value})
    body = {"schemas": [USER], "userName": person.name, "roles": [{"value": "system_admin", "primary": True}]}
    assert person.scim.put(url, body).status == 200
    assert accounts.described(person.look(), person.id)["role"] == "member"


ENDS: dict[str, Callable[[Scim, Person], Any]] = {
    "PATCH": lambda scim, person: scim.patch(f"/Users/{person.id}", OFF),
    "PATCH without path": lambda scim, person: scim.patch(
        f"/Users/{person.id}", {"op": "Replace", "value": {"Active": "False"}}
    ),
    "PUT": lambda scim, person: scim.put(
        f"/Users/{person.id}", {"schemas": [USER], "userName": person.name, "active": False}
    ),
    "DELETE": lambda scim, person: scim.delete(f"/Users/{person.id}"),
}


def assert_refused(answer: Any, word: str) -> None:
    assert answer.status == 403
    assert answer.json["schemas"] == [ERROR]
    assert answer.json["status"] == "403"
    assert word in answer.json["detail"]


@pytest.mark.parametrize("end", ENDS)
def test_no_sender_ends_the_last_admin(person: Person, end: str) -> None:
    held = grant(person).hold()
    before = person.scim.get(f"/Users/{person.id}").body
    assert_refused(ENDS[end](person.scim, person), "last active admin")
    assert person.scim.get(f"/Users/{person.id}").body == before
    assert standing_of(person.house.app, held) == GOOD
    grant(neighbour(person))
    assert ENDS[end](person.scim, person).status in (200, 204)
    assert all_refused(person, held)


def test_no_verb_ends_the_last_admin(person: Person) -> None:
    grant(person, "system_admin")
    for verb, *rest in (
        (users.delete,),
        (accounts.lock, "left"),
        (accounts.set_role, "auditor"),
        (users.patch, patch("User", OFF), Sender()),
    ):
        with pytest.raises(Refused, match="last active admin"), person.write() as tx:
            verb(tx, person.id, *rest)
    with pytest.raises(Refused, match="last active admin"):
        lock(person, since=DAY)
    grant(person, "admin")
    assert causes(person) == ["role changed", "role changed"], "from one tier of admins to the other is no loss"


@pytest.mark.parametrize(
    "arguments",
    ["user deactivate WHO", "user delete WHO", "user lock WHO --reason left", "admin revoke WHO",
     "admin grant WHO --role user_manager"],
)  # fmt: skip
def test_no_command_ends_the_last_admin(person: Person, run: Callable[..., tuple[int, str]], arguments: str) -> None:
    grant(person)
    words = [person.name if each == "WHO" else each for each in arguments.split()]
    code, said = run(person, *words)
    assert code == 1
    assert said.startswith("scim-server: This is the last active admin")
    grant(neighbour(person))
    assert run(person, *words) == (0, "")


def no_use(person: Person) -> dict[str, Callable[[], object]]:
    """Ways in which somebody is an admin to no avail."""
    url = f"/Users/{person.id}"
    return {
        "inactive": lambda: person.scim.patch(url, OFF),
        "deleted": lambda: person.scim.delete(url),
        "locked": lambda: lock(person),
        "locked for a while": lambda: lock(person, until=HOUR),
        "locked before long": lambda: lock(person, since=HOUR),
        "demoted": lambda: grant(person, "member"),
    }


@pytest.mark.parametrize(
    "how", ["inactive", "deleted", "locked", "locked for a while", "locked before long", "demoted"]
)
def test_an_admin_who_cannot_come_in_is_no_other_admin(person: Person, how: str) -> None:
    other = grant(neighbour(person))
    grant(person)
    no_use(other)[how]()
    assert_refused(person.scim.patch(f"/Users/{person.id}", OFF), "last active admin")


def test_an_admin_of_another_tenant_is_no_other_admin(homes: tuple[House, House], person: Person) -> None:
    grant(Person(homes[0], f"account-{next(NAMES)}@x.example"))
    grant(person)
    assert_refused(person.scim.delete(f"/Users/{person.id}"), "last active admin")


def test_no_sender_takes_the_last_admin_out_of_the_access_group(person: Person) -> None:
    grant(person)
    plain = neighbour(person)
    team = person.scim.group("team", person.id)["id"]
    staff = person.scim.group("staff", team, plain.id)["id"]
    with person.write() as tx:
        tenants.set_access_group(tx, staff)
    held = person.hold()
    out = {"op": "remove", "path": "members"}
    for answer in (
        person.scim.patch(f"/Groups/{staff}", out),
        person.scim.patch(f"/Groups/{team}", out),
        person.scim.delete(f"/Groups/{team}"),
        person.scim.delete(f"/Groups/{staff}"),
    ):
        assert_refused(answer, "last active admin")
    assert standing_of(person.house.app, held) == GOOD

    outside = grant(neighbour(person, password=False))
    assert_refused(person.scim.patch(f"/Groups/{team}", out), "last active admin")
    assert_refused(person.scim.patch(f"/Users/{person.id}", OFF), "last active admin")
    with outside.write() as tx:
        accounts.set_break_glass(tx, outside.id, on=True)
    assert person.scim.patch(f"/Groups/{team}", out).status == 204, "the other comes in by breaking the glass"
    assert all_refused(person, held)


def test_no_command_shuts_the_last_admin_out(person: Person, run: Callable[..., tuple[int, str]]) -> None:
    grant(person)
    person.scim.group("empty")
    code, said = run(person, "tenant", "set", "--access-group", "empty")
    assert (code, standing.access_group(person.look())) == (1, None)
    assert "last active admin" in said


@pytest.mark.parametrize("end", ["PATCH", "PUT", "DELETE"])
def test_of_two_admins_who_are_ended_at_once_one_stays(homes: tuple[House, House], person: Person, end: str) -> None:
    pair = [grant(person), grant(neighbour(person))]
    for _ in range(5):
        clients = [Scim(home.app.wsgi_app, person.scim.token) for home in homes]
        answers = at_once(lambda each: ENDS[end](*each).status, zip(clients, pair, strict=True))
        assert sorted(answers) == ([204, 403] if end == "DELETE" else [200, 403])
        gone = pair[answers.index(403) - 1]
        assert [each.id for each in pair if each.id != gone.id] == admins(person)
        if end == "DELETE":
            with person.write() as tx:
                users.restore(tx, gone.id)
        else:
            person.scim.patch(f"/Users/{gone.id}", {"op": "replace", "path": "active", "value": True})


def admins(person: Person) -> list[str]:
    """The admins of the tenant who are active."""
    sql = """SELECT a.id FROM accounts a JOIN resources r ON r.tenant = a.tenant AND r.id = a.id
        WHERE a.tenant = :tenant AND a.role = 'admin' AND r.active AND r.deleted IS NULL"""
    return [row[0] for row in rows(person.house.database, sql, tenant=person.tenant)]


# ----------------------------------------------------------------------------------------------- break-glass


def break_glass(person: Person, *, on: bool = True) -> Person:
    with person.write() as tx:
        accounts.set_break_glass(tx, person.id, on=on)
    return person


@pytest.mark.parametrize("end", ENDS)
def test_no_sender_reaches_a_break_glass_account(person: Person, run: Callable[..., tuple[int, str]], end: str) -> None:
    held = break_glass(person).hold()
    before = person.scim.get(f"/Users/{person.id}").body
    assert_refused(ENDS[end](person.scim, person), "break-glass account")
    rename = {"op": "replace", "value": {"displayName": "x"}}
    assert_refused(person.scim.patch(f"/Users/{person.id}", rename), "break-glass account")
    assert person.scim.get(f"/Users/{person.id}").body == before
    assert standing_of(person.house.app, held) == GOOD
    assert run(person, "user", "deactivate", person.name) == (0, ""), "an operator can"
    assert all_refused(person, held)


def test_a_break_glass_account_needs_no_group(person: Person) -> None:
    break_glass(person)
    staff = person.scim.group("staff", person.id)["id"]
    with person.write() as tx:
        tenants.set_access_group(tx, staff)
    held = person.hold()
    assert person.scim.patch(f"/Groups/{staff}", {"op": "remove", "path": "members"}).status == 204
    assert person.scim.delete(f"/Groups/{staff}").status == 204
    assert standing_of(person.house.app, held) == GOOD
    assert person.open()


def test_without_the_glass_an_account_outside_the_group_ends(person: Person) -> None:
    inside = break_glass(neighbour(person))
    staff = person.scim.group("staff", inside.id)["id"]
    break_glass(person)
    with person.write() as tx:
        tenants.set_access_group(tx, staff)
    held, kept = person.hold(), inside.hold()
    break_glass(person, on=False)
    break_glass(inside, on=False)
    assert all_refused(person, held)
    assert causes(person)[:2] == ["break-glass off", "break-glass on"]
    assert standing_of(inside.house.app, kept) == GOOD


# ---------------------------------------------------------------------------------------------- access group


def gate(person: Person, group_id: str | None) -> None:
    with person.write() as tx:
        tenants.set_access_group(tx, group_id)


def test_a_group_that_becomes_the_access_group_ends_whoever_is_outside(person: Person) -> None:
    outside, nested = neighbour(person), neighbour(person)
    team = person.scim.group("team", nested.id)["id"]
    staff = person.scim.group("staff", person.id, team)["id"]
    held = {each: each.hold() for each in (person, nested, outside)}
    gate(person, staff)
    assert [standing_of(each.house.app, held[each]) == GOOD for each in held] == [True, True, False]
    assert all_refused(outside, held[outside])
    assert [causes(each) for each in held] == [[], [], ["left the access group"]]
    for give in (outside.open, outside.token, outside.link):
        with pytest.raises(NotLetIn) as refused:
            give()
        assert refused.value.reason == "not_in_access_group"
    gate(person, None)
    assert outside.open()
    assert all_refused(outside, held[outside], 1)


def test_groups_in_a_circle_give_access_to_all_in_it(person: Person) -> None:
    one = person.scim.group("one")["id"]
    other = person.scim.group("other", one, person.id)["id"]
    add = {"op": "add", "path": "members", "value": [{"value": other}]}
    assert person.scim.patch(f"/Groups/{one}", add).status == 204
    gate(person, one)
    held = person.hold()
    remove = {"op": "remove", "path": "members", "value": [{"value": person.id}]}
    assert person.scim.patch(f"/Groups/{other}", remove).status == 204
    assert all_refused(person, held)


def test_a_deleted_access_group_gives_access_to_nobody_until_it_is_back(person: Person) -> None:
    staff = person.scim.group("staff", person.id)["id"]
    gate(person, staff)
    assert person.open()
    assert person.scim.delete(f"/Groups/{staff}").status == 204
    with pytest.raises(NotLetIn):
        person.open()
    with person.write() as tx:
        groups.restore(tx, staff)
    assert person.open()


def test_the_access_group_of_one_tenant_is_none_of_another(homes: tuple[House, House], person: Person) -> None:
    stranger = Person(homes[0], f"account-{next(NAMES)}@x.example")
    held = stranger.hold()
    gate(person, person.scim.group("staff")["id"])
    with pytest.raises(NotLetIn):
        person.open()
    assert standing_of(stranger.house.app, held) == GOOD
    assert stranger.open()
