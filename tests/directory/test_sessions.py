"""Sessions: opened, found, listed, ended, and over by themselves (sso.md section 5, ASVS 7)."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine

from scim_server.directory import accounts, audit, sessions
from scim_server.directory.errors import NotFound
from scim_server.directory.sessions import Lifetimes, Session
from scim_server.directory.standing import NotLetIn
from tests.directory.credentials import PASSWORD, SETTINGS, Browser, Person, login, with_session, with_token
from tests.directory.desk import rows, statements
from tests.running import House

LIFETIMES = Lifetimes()  # two hours without use, twelve in all
NAMES = count()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def home(module_database_url: str) -> Iterator[House]:
    opened = House(module_database_url, **SETTINGS)
    yield opened
    opened.close()


@pytest.fixture
def person(home: House) -> Person:
    """Somebody in a tenant of their own."""
    return Person(home, f"session-{next(NAMES)}@x.example")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """Time stands still, until a test moves it."""
    with time_machine.travel(datetime.now(UTC), tick=False) as traveller:
        yield traveller


def find(person: Person, secret: str) -> Session | None:
    return sessions.find(person.house.database, secret, LIFETIMES)


def used(person: Person, secret: str) -> bool:
    """Whether a session still counts; using it is noted, as at a door."""
    found = find(person, secret)
    if found is not None:
        sessions.note_seen(person.house.database, found)
    return found is not None


def id_of(person: Person, secret: str) -> str:
    found = find(person, secret)
    assert found is not None
    return found.id


def listed(person: Person) -> list[str]:
    return [each.id for each in sessions.of(person.look(), person.id, LIFETIMES)]


def test_only_the_hash_of_a_secret_is_kept(person: Person) -> None:
    secret = person.open()
    [row] = rows(person.house.database, "SELECT * FROM sessions WHERE user_id = :id", id=person.id)
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert secret not in repr(row)
    assert secret not in repr(audit.of(person.look(), person.id))
    assert secret not in repr(find(person, secret))


def test_a_secret_has_256_bits_and_none_is_like_another(person: Person) -> None:
    secrets = {person.open() for _ in range(20)}
    assert len(secrets) == 20
    assert {len(each) for each in secrets} == {43}


def test_what_is_no_secret_finds_nothing(person: Person) -> None:
    secret = person.open()
    [kept] = rows(person.house.database, "SELECT secret_hash, id FROM sessions WHERE user_id = :id", id=person.id)
    for each in ("", "x", secret[:-1], secret + "x", secret.swapcase(), "\udcff", "é", *kept):
        assert find(person, each) is None


def test_a_session_tells_of_its_person(person: Person) -> None:
    found = find(person, person.open(address="192.0.2.7", agent="Firefox"))
    assert found is not None
    assert (found.tenant, found.user.id, found.method) == (person.tenant, person.id, "password")
    assert (found.actor.door, found.actor.name, found.actor.tenant) == ("ui", f"user:{person.id}", person.tenant)
    with person.write() as tx:
        accounts.set_role(tx, person.id, "auditor")
    again = find(person, person.open())
    assert again is not None
    assert again.role == "auditor"


def test_to_find_one_is_one_statement(person: Person) -> None:
    secret = person.open()
    with statements(person.house.database) as seen:
        assert find(person, secret)
    assert len(seen) == 1


# ------------------------------------------------------------------------------------------------- how long


def test_a_session_ends_when_it_is_not_used(person: Person, clock: time_machine.Traveller) -> None:
    secret = person.open()
    clock.shift(LIFETIMES.idle - MINUTE)
    assert with_session(person.house.app, secret, person.verify) == 200
    clock.shift(LIFETIMES.idle - MINUTE)
    assert with_session(person.house.app, secret, person.verify) == 200, "it was used meanwhile"
    clock.shift(LIFETIMES.idle)
    assert with_session(person.house.app, secret, person.verify) == 401
    assert listed(person) == []


def test_a_session_ends_in_any_case(person: Person, clock: time_machine.Traveller) -> None:
    secret = person.open()
    for _ in range(11):
        clock.shift(HOUR)
        assert used(person, secret)
    clock.shift(HOUR)
    assert not used(person, secret)
    assert listed(person) == []


def test_limits_are_those_of_the_settings(module_database_url: str, clock: time_machine.Traveller) -> None:
    house = House(module_database_url, **SETTINGS, session_idle_minutes=5, session_hours=1)
    try:
        person = Person(house, f"session-{next(NAMES)}@x.example")
        browser = Browser(house.app)
        assert browser.posted("/login", username=person.name, password=PASSWORD) == 303
        for _ in range(14):
            clock.shift(4 * MINUTE)
            assert browser.status(person.verify) == 200
        clock.shift(4 * MINUTE)
        assert browser.status(person.verify) == 401, "the hour is over"
        assert browser.posted("/login", username=person.name, password=PASSWORD) == 303
        clock.shift(5 * MINUTE)
        assert browser.status(person.verify) == 401
    finally:
        house.close()


def test_use_is_written_down_once_a_minute(person: Person, clock: time_machine.Traveller) -> None:
    clock.move_to(datetime(2026, 11, 21, 9, 30, 10, tzinfo=UTC), tick=False)
    secret = person.open()
    with statements(person.house.database) as seen:
        for _ in range(40):
            clock.shift(timedelta(seconds=1))
            assert used(person, secret)
        assert not any("UPDATE" in each for each in seen)
        clock.shift(MINUTE)
        assert used(person, secret)
    assert sum("UPDATE" in each for each in seen) == 1
    [(last_seen,)] = rows(person.house.database, "SELECT last_seen FROM sessions WHERE user_id = :id", id=person.id)
    assert last_seen.startswith("2026-11-21T09:31:50")


def test_sessions_that_are_long_over_are_forgotten(person: Person, clock: time_machine.Traveller) -> None:
    person.open()
    for _ in range(2):
        clock.shift(16 * DAY)
        person.open()
    kept = rows(person.house.database, "SELECT created FROM sessions WHERE user_id = :id", id=person.id)
    assert len(kept) == 2


# ------------------------------------------------------------------------------------------ listed and ended


def test_a_list_has_the_last_used_first(person: Person, clock: time_machine.Traveller) -> None:
    laptop = person.open(address="192.0.2.7", agent="Firefox")
    clock.shift(5 * MINUTE)
    phone = person.open(address="2001:db8::7", agent="Safari", method="sso", sso_connection=person.sso.id)
    told = sessions.of(person.look(), person.id, LIFETIMES)
    assert [(each.agent, each.address, each.connection) for each in told] == [
        ("Safari", "2001:db8::7", "main"), ("Firefox", "192.0.2.7", None),
    ]  # fmt: skip
    clock.shift(5 * MINUTE)
    assert used(person, laptop)
    assert listed(person) == [id_of(person, laptop), id_of(person, phone)]


def test_one_is_ended_and_the_others_stay(person: Person) -> None:
    one, other = person.open(), person.open()
    ended = id_of(person, one)
    with person.write() as tx:
        sessions.end(tx, person.id, ended, "ended by the person")
    assert (find(person, one), listed(person)) == (None, [id_of(person, other)])
    with pytest.raises(NotFound), person.write() as tx:
        sessions.end(tx, person.id, ended, "again")


def test_all_others_are_ended(person: Person) -> None:
    here, *others = (person.open() for _ in range(4))
    with person.write() as tx:
        assert sessions.end_others(tx, person.id, id_of(person, here), "ended by the person") == 3
    assert [find(person, each) for each in others] == [None] * 3
    with person.write() as tx:
        assert sessions.end_others(tx, person.id, "", "ended by the person") == 1
        assert sessions.end_others(tx, person.id, "", "ended by the person") == 0
    assert find(person, here) is None


def test_nobody_ends_or_lists_those_of_another(home: House, person: Person) -> None:
    neighbour = Person(home, f"session-{next(NAMES)}@x.example", person.tenant_name)
    stranger = Person(home, f"session-{next(NAMES)}@x.example")
    secret = person.open()
    identifier = id_of(person, secret)
    for each, whose in ((neighbour, neighbour.id), (stranger, stranger.id), (stranger, person.id)):
        with pytest.raises(NotFound), each.write() as tx:
            sessions.end(tx, whose, identifier, "mine now")
        with each.write() as tx:
            assert sessions.end_others(tx, whose, "", "mine now") == 0
        assert sessions.of(each.look(), whose, LIFETIMES) == []
    with stranger.write() as tx:
        assert sessions.end_of_connection(tx, person.sso.id, "mine now") == []
    assert find(person, secret)


def test_a_person_ends_their_own_at_their_page(home: House, person: Person) -> None:
    here, one, two, three = (Browser(home.app, session=person.open()) for _ in range(4))
    assert one.post("/me/sessions", which=id_of(person, two.session)).location == "/me"
    assert [each.status(person.verify) for each in (here, one, two, three)] == [200, 200, 401, 200]
    here.post("/me/sessions", which="others")
    assert [each.status(person.verify) for each in (here, one, three)] == [200, 401, 401]
    stranger = Person(home, f"session-{next(NAMES)}@x.example").open()
    here.post("/me/sessions", which=id_of(person, stranger))
    assert find(person, stranger), "nor does an id that was seen elsewhere"
    assert here.post("/me/sessions", which="all").location == "/logout/done"
    assert here.status(person.verify) == 401


def test_after_logout_the_same_cookie_is_refused(home: House, person: Person) -> None:
    secret, other = person.open(), person.open()
    assert Browser(home.app, session=secret).posted("/logout") == 303
    assert with_session(home.app, secret, person.verify) == 401
    assert with_session(home.app, other, person.verify) == 200


def test_a_login_begins_a_new_session_and_ends_the_one_before(home: House, person: Person) -> None:
    """A secret that somebody planted in the browser, or knew before, is worth nothing (ASVS 7.2.4)."""
    planted = person.open()
    browser = Browser(home.app, session=planted)
    assert browser.posted("/login", username=person.name, password=PASSWORD) == 303
    assert browser.session != planted
    assert with_session(home.app, planted, person.verify) == 401
    assert browser.status(person.verify) == 200


def test_through_a_provider_they_end_by_its_session_by_subject_or_all(person: Person) -> None:
    with person.write() as tx:
        other = login(tx, f"other-{next(NAMES)}").id
    here, token = person.sso.id, person.token()
    secrets = {
        "a1": person.open(method="sso", sso_connection=here, subject="a", idp_sid="1"),
        "a2": person.open(method="sso", sso_connection=here, subject="a", idp_sid="2"),
        "b1": person.open(method="sso", sso_connection=here, subject="b", idp_sid="3"),
        "elsewhere": person.open(method="sso", sso_connection=other, subject="a", idp_sid="1"),
        "password": person.open(),
    }

    def living() -> list[str]:
        return [name for name, secret in secrets.items() if find(person, secret)]

    with person.write() as tx:
        assert sessions.end_of_connection(tx, here, "logout", idp_sid="1") == [person.id]
    assert living() == ["a2", "b1", "elsewhere", "password"]
    with person.write() as tx:
        sessions.end_of_connection(tx, here, "logout", subject="a")
    assert living() == ["b1", "elsewhere", "password"]
    with person.write() as tx:
        sessions.end_of_connection(tx, here, "logout")
        assert sessions.end_of_connection(tx, here, "logout") == []
    assert living() == ["elsewhere", "password"]
    assert with_token(person.house.app, token, person.verify) == 200


# ---------------------------------------------------------------------------------------- who gets none at all


def test_a_session_is_opened_only_for_those_who_may_come_in(home: House, person: Person) -> None:
    refused = {}
    url = f"/Users/{person.id}"
    person.scim.patch(url, {"op": "replace", "path": "active", "value": False})
    with pytest.raises(NotLetIn) as refused["inactive"]:
        person.open()
    person.scim.patch(url, {"op": "replace", "path": "active", "value": True})
    with person.write() as tx:
        accounts.lock(tx, person.id, "left")
    with pytest.raises(NotLetIn) as refused["locked"]:
        person.open()
    assert [(reason, each.value.reason) for reason, each in refused.items()] == [(each, each) for each in refused]
    person.scim.delete(url)
    with pytest.raises(NotFound):
        person.open()
    stranger = Person(home, f"session-{next(NAMES)}@x.example")
    with pytest.raises(NotFound), stranger.write() as tx:
        accounts.lock(tx, person.id, "not mine")


def test_an_address_or_a_browser_may_be_called_anything(person: Person) -> None:
    secret = person.open(address="a" * 1000, agent="b" * 100_000)
    [told] = sessions.of(person.look(), person.id, LIFETIMES)
    assert (told.address, told.agent) == ("a" * 100, "b" * 200)
    assert find(person, secret)
