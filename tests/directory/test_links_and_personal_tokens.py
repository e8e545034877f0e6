"""One-time links and personal tokens: what is kept, how long they last, and which doors they open (sso.md 5 and 6)."""

import hashlib
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
import time_machine

from scim_server.directory import audit, links, minting, personal_tokens
from scim_server.directory.errors import NotFound
from tests.directory.credentials import PASSWORD, Browser, Person, with_session, with_token
from tests.directory.desk import rows, statements
from tests.directory.remote import CLIENTS, at_once
from tests.running import House, Scim

NAMES = count()
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
NEW = "nine lanterns on 2 boats"


@pytest.fixture
def person(homes: tuple[House, House]) -> Person:
    """Somebody in a tenant of their own."""
    return Person(homes[0], f"link-{next(NAMES)}@x.example")


def works(person: Person, link: str) -> bool:
    return links.find(person.house.database, link) is not None


def stands_for(person: Person, token: str) -> str | None:
    found = personal_tokens.verify(person.house.database, token)
    return found.user.id if found else None


# ---------------------------------------------------------------------------------------------------- links


def test_of_many_who_use_a_link_at_once_one_succeeds(homes: tuple[House, House], person: Person) -> None:
    link, before = person.link(), len(person.receipts())
    browsers = [Browser(homes[number % 2].app) for number in range(CLIENTS)]
    passwords = {browser: f"{NEW} and {number}" for number, browser in enumerate(browsers)}
    statuses = at_once(lambda each: each.posted(f"/password/{link}", password=passwords[each]), browsers)
    # 429 is for those who would have taken the other half of the threads, 503 for a slow machine's at hashing.
    told = Counter(statuses)
    assert (told[303], told[404] + told[429] + told[503]) == (1, CLIENTS - 1), told
    assert len(person.receipts()) == before + 1
    winner = browsers[statuses.index(303)]
    assert winner.status(person.verify) == 200
    assert Browser(homes[0].app).posted("/login", username=person.name, password=passwords[winner]) == 303


def test_looking_at_a_link_uses_nothing_up(person: Person) -> None:
    link = person.link()
    browser = Browser(person.house.app)
    assert [browser.status(f"/password/{link}") for _ in range(3)] == [200] * 3
    assert browser.posted(f"/password/{link}", password="short") == 400
    assert browser.posted(f"/password/{link}", password=person.name) == 400
    assert browser.posted(f"/password/{link}", password=NEW) == 303
    assert browser.status(f"/password/{link}") == 404


def test_a_link_lets_in_and_the_password_of_before_no_longer_does(person: Person) -> None:
    session = person.open()
    browser, door = Browser(person.house.app), Browser(person.house.app)
    assert browser.posted(f"/password/{person.link()}", password=NEW) == 303
    assert browser.status(person.verify) == 200
    assert with_session(person.house.app, session, person.verify) == 401
    assert door.posted("/login", username=person.name, password=PASSWORD) == 401
    assert door.posted("/login", username=person.name, password=NEW) == 303
    actions = Counter(each["action"] for each in audit.of(person.look(), person.id))
    assert actions["password.set"] == 2, "one of them is the test's own"


def test_a_new_link_ends_those_of_before(person: Person) -> None:
    one, two = person.link(), person.link()
    assert (works(person, one), works(person, two)) == (False, True)


def test_only_the_hash_of_a_link_is_kept(person: Person) -> None:
    link = person.link()
    secret = link.rpartition("_")[2][:-6]
    [row] = rows(person.house.database, "SELECT * FROM links WHERE user_id = :id", id=person.id)
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert secret not in repr((row, audit.of(person.look(), person.id)))
    assert re.fullmatch(r"scs_link_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", link)


@pytest.mark.parametrize("lasts", [HOUR, 72 * HOUR, 1000 * HOUR])
def test_a_link_lasts_three_days_at_most(person: Person, clock: time_machine.Traveller, lasts: timedelta) -> None:
    with person.write() as tx:
        link, _ = links.issue(tx, person.id, lasts=lasts)
    clock.shift(min(lasts, 72 * HOUR) - MINUTE)
    assert works(person, link)
    clock.shift(MINUTE)
    assert not works(person, link)
    assert Browser(person.house.app).posted(f"/password/{link}", password=NEW) == 404


@pytest.mark.parametrize(
    ("changes", "survives"),
    [
        ({"userName": "new@x.example"}, False),
        ({"emails": [{"value": "new@x.example"}]}, False),
        ({"displayName": "New"}, True),
    ],
)
def test_a_link_ends_with_the_address_it_was_sent_to(person: Person, changes: object, survives: bool) -> None:
    link = person.link()
    assert person.scim.patch(f"/Users/{person.id}", {"op": "replace", "value": changes}).status == 200
    assert works(person, link) == survives


def test_what_is_no_link_opens_nothing(person: Person) -> None:
    link, token, session = person.link(), person.token(), person.open()
    spoilt = link[:-7] + ("0" if link[-7] != "0" else "1") + link[-6:]
    other_secret = minting.mint("link").text
    for each in (spoilt, other_secret, link[:-1], link.upper(), token, session, person.scim.token, "x", "%00", "é"):
        assert Browser(person.house.app).status(f"/password/{each}") == 404
    assert not links.find(person.house.database, link, purpose="e-mail change"), "it is for one purpose"
    assert works(person, link)


def test_another_tenant_ends_no_link(homes: tuple[House, House], person: Person) -> None:
    link, stranger = person.link(), Person(homes[0], f"link-{next(NAMES)}@x.example")
    with stranger.write() as tx:
        assert links.revoke_of(tx, person.id) == 0
        with pytest.raises(NotFound):
            links.issue(tx, person.id)
    found = links.find(person.house.database, link)
    assert found is not None
    with pytest.raises(NotFound), stranger.write() as tx:
        links.use(tx, found)
    assert works(person, link)


# -------------------------------------------------------------------------------------------------- tokens


def test_a_personal_token_stands_for_its_person(person: Person) -> None:
    token = person.token()
    assert stands_for(person, token) == person.id
    answer = person.house.app.test_client().get(person.verify, headers={"Authorization": f"bearer  {token} "})
    assert (answer.status_code, answer.headers["Remote-User"]) == (200, person.name)


def test_only_the_hash_of_a_token_is_kept(person: Person) -> None:
    token = person.token()
    secret = token.rpartition("_")[2][:-6]
    [row] = rows(person.house.database, "SELECT * FROM personal_tokens WHERE user_id = :id", id=person.id)
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert secret not in repr((row, audit.of(person.look(), person.id), personal_tokens.of(person.look(), person.id)))
    assert re.fullmatch(r"scs_user_[0-9A-Za-z]{16}_[0-9A-Za-z]{49}", token)


def test_a_token_expires_or_is_permanent(person: Person, clock: time_machine.Traveller) -> None:
    day, ever = person.token(expires_in=DAY), person.token()
    clock.shift(DAY - MINUTE)
    assert (stands_for(person, day), stands_for(person, ever)) == (person.id, person.id)
    clock.shift(MINUTE)
    assert stands_for(person, day) is None
    clock.shift(3650 * DAY)
    assert stands_for(person, ever) == person.id


def test_a_token_is_revoked_once_and_by_nobody_else(homes: tuple[House, House], person: Person) -> None:
    token, kept = person.token(), person.token()
    identifier = token.split("_")[2]
    neighbour = Person(homes[0], f"link-{next(NAMES)}@x.example", person.tenant_name)
    stranger = Person(homes[0], f"link-{next(NAMES)}@x.example")
    for each, whose in ((neighbour, neighbour.id), (stranger, stranger.id), (stranger, person.id)):
        with pytest.raises(NotFound), each.write() as tx:
            personal_tokens.revoke(tx, whose, identifier)
        assert identifier not in {one.id for one in personal_tokens.of(each.look(), whose)}
    with person.write() as tx:
        personal_tokens.revoke(tx, person.id, identifier)
    assert (stands_for(person, token), stands_for(person, kept)) == (None, person.id)
    with pytest.raises(NotFound), person.write() as tx:
        personal_tokens.revoke(tx, person.id, identifier)
    assert [bool(each.revoked) for each in personal_tokens.of(person.look(), person.id)] == [True, False]


def test_use_of_a_token_is_written_down_once_a_minute(person: Person, clock: time_machine.Traveller) -> None:
    clock.move_to(datetime(2026, 11, 21, 9, 30, 10, tzinfo=UTC), tick=False)
    token = person.token()
    with statements(person.house.database) as seen:
        for _ in range(5):
            clock.shift(timedelta(seconds=1))
            assert stands_for(person, token)
    assert sum("UPDATE" in each for each in seen) == 1
    [told] = personal_tokens.of(person.look(), person.id)
    assert (told.last_used or "").startswith("2026-11-21T09:30:11")


def test_what_is_no_token_stands_for_nobody(person: Person) -> None:
    token = person.token()
    spoilt = token[:-7] + ("0" if token[-7] != "0" else "1") + token[-6:]
    identifier = token.split("_")[2]
    forged = re.sub(identifier, minting.mint("user").id, token)
    for each in ("", "x", token[:-1], spoilt, forged, minting.mint("user").text, person.link(), person.open()):
        assert stands_for(person, each) is None
        assert with_token(person.house.app, each, person.verify) == 401


# --------------------------------------------------------------------------------------------- which door


def test_a_personal_token_opens_neither_scim_nor_a_page(person: Person) -> None:
    token = person.token()
    assert with_token(person.house.app, token, person.verify) == 200
    for path in ("/Users", f"/Users/{person.id}", "/ServiceProviderConfig", "/Me"):
        assert Scim(person.house.app.wsgi_app, token).get(path).status == 401
    assert Scim(person.house.app.wsgi_app, token).delete(f"/Users/{person.id}").status == 401
    assert with_token(person.house.app, token, "/me") == 401
    assert with_session(person.house.app, token, person.verify) == 401, "nor is it a cookie"


def test_a_token_of_a_sender_opens_no_page(person: Person) -> None:
    token = person.scim.token
    assert token is not None
    assert person.scim.get("/Users").status == 200
    assert {with_token(person.house.app, token, path) for path in (person.verify, "/auth/verify", "/me")} == {401}
    assert {with_session(person.house.app, token, path) for path in (person.verify, "/me")} == {401}
    assert Browser(person.house.app).status(f"/password/{token}") == 404


def test_a_session_is_no_bearer_token(person: Person) -> None:
    secret = person.open()
    assert with_token(person.house.app, secret, person.verify) == 401
    assert Scim(person.house.app.wsgi_app, secret).get("/Users").status == 401
    cookie = {"Cookie": f"scim_session={secret}"}
    assert Scim(person.house.app.wsgi_app, None).request("GET", "/Users", headers=cookie).status == 401


def test_a_token_that_does_not_count_is_not_made_good_by_a_cookie(person: Person) -> None:
    client = person.house.app.test_client()
    client.set_cookie("scim_session", person.open())
    token = person.token()
    with person.write() as tx:
        personal_tokens.revoke(tx, person.id, token.split("_")[2])
    assert client.get(person.verify).status_code == 200
    assert client.get(person.verify, headers={"Authorization": f"Bearer {token}"}).status_code == 401
