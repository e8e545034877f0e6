"""Passwords at the login page: who gets in, what a stranger learns, and how guessing is slowed down."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2
import pytest
import time_machine
from werkzeug.test import TestResponse

from scim_server.directory import accounts, audit, groups, links, passwords, sso_connections, tenants, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.passwords import hashed
from scim_server.directory.store.tables import metadata
from scim_server.directory.store.transaction import read, write
from scim_server.protocol.senders import Sender
from tests.directory.desk import rows
from tests.running import House
from tests.sso.local import ADA, HERE, KEPT, NOBODY, OTHER, PASSWORD, THERE, change, enforce, log_in, person
from tests.sso.test_targets import GOOD, PAYLOADS
from tests.sso.visiting import Visitor, add_login, log_of


class Verifications:
    """Counts what argon2 verifies."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.number = 0
        real = argon2.PasswordHasher.verify

        def verify(hasher: argon2.PasswordHasher, kept: str, octets: bytes) -> bool:
            self.number += 1
            return real(hasher, kept, octets)

        monkeypatch.setattr(argon2.PasswordHasher, "verify", verify)

    def of(self, act: Callable[[], TestResponse]) -> tuple[int, TestResponse]:
        before = self.number
        answer = act()
        return self.number - before, answer


@pytest.fixture
def verified(monkeypatch: pytest.MonkeyPatch) -> Verifications:
    return Verifications(monkeypatch)


def page_of(answer: TestResponse, name: str) -> tuple[int, str]:
    """Status and page, apart from what differs from form to form: the token and the name that was typed."""
    text = re.sub(r'name="csrf_token" value="[^"]+"', "", answer.text)
    return answer.status_code, text.replace(f'value="{name}"', "")


def session_of(visitor: Visitor) -> str:
    found = visitor.browser.get_cookie("scim_session")
    return found.value if found else ""


# In, and not in


@pytest.mark.parametrize("typed", [ADA, ADA.upper(), f"  {ADA} "])
def test_name_and_password_let_in(house: House, typed: str, verified: Verifications) -> None:
    ada, visitor = person(house), Visitor(house)
    number, answer = verified.of(lambda: log_in(visitor, typed))
    assert (number, answer.status_code, answer.headers["Location"]) == (1, 303, "/me")
    assert visitor.is_in
    assert [log_of(house)[0][name] for name in ("outcome", "method", "user_id")] == ["succeeded", "password", ada]


def _wrong(house: House) -> None:
    person(house, kept=hashed(OTHER))


def _no_password(house: House) -> None:
    person(house, kept=None)


def _deleted(house: House) -> None:
    change(house, users.delete, person(house))


def _inactive(house: House) -> None:
    change(house, users.replace, person(house), {"userName": ADA, "active": False})


def _locked(house: House) -> None:
    change(house, accounts.lock, person(house), "on leave")


def _outside(house: House) -> None:
    person(house)
    gate = change(house, groups.create, {"displayName": "staff"}, Sender())
    change(house, tenants.set_access_group, gate.id)


def _not_allowed(house: House) -> None:
    person(house)
    enforce(house)


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (_wrong, "wrong_password"),
        (_no_password, "wrong_password"),
        (_deleted, "wrong_password"),
        (_inactive, "inactive"),
        (_locked, "locked"),
        (_outside, "not_in_access_group"),
        (_not_allowed, "password_not_allowed"),
    ],
)
def test_whoever_may_not_enter_reads_what_a_stranger_reads(
    house: House, stage: Callable[[House], None], reason: str, verified: Verifications
) -> None:
    """The same page after the same work, the right password of somebody who left included (R13, ASVS 6.3.8)."""
    stage(house)
    visitor = Visitor(house)
    number, answer = verified.of(lambda: log_in(visitor))
    logged = len(log_of(house))
    stranger_number, stranger = verified.of(lambda: log_in(Visitor(house), NOBODY))
    assert page_of(answer, ADA) == page_of(stranger, NOBODY)
    assert (answer.status_code, number, stranger_number) == (401, 1, 1)
    assert [name for name, _ in answer.headers] == [name for name, _ in stranger.headers]
    assert not visitor.is_in
    assert (logged, log_of(house)[1]["reason"], log_of(house)[0]["reason"]) == (1, reason, "wrong_password")


@pytest.mark.parametrize(
    "typed", ["", " ", "\x00", "ada\x00", "%", "ad_@corp.example", "ada@corp.example\u200b", "x" * 9999]
)
def test_odd_names_are_nobodys(house: House, typed: str, verified: Verifications) -> None:
    person(house)
    number, answer = verified.of(lambda: log_in(Visitor(house), typed))
    assert (number, answer.status_code) == (1, 401)


@pytest.mark.parametrize("typed", ["", PASSWORD.upper(), PASSWORD + "\x00", "x" * 10_000])
def test_odd_passwords_are_wrong(house: House, typed: str, verified: Verifications) -> None:
    person(house)
    number, answer = verified.of(lambda: log_in(Visitor(house), password=typed))
    assert (number, answer.status_code) == (1, 401)


def test_a_form_too_large_for_any_password_costs_no_work(house: House, verified: Verifications) -> None:
    person(house)
    number, answer = verified.of(lambda: log_in(Visitor(house), password="x" * 1_000_000))
    assert (number, answer.status_code) == (0, 413)


def test_a_name_in_another_tenant_is_a_strangers(house: House) -> None:
    other = tenants.create(house.database, "other")
    with write(house.database, at_command_line(other.id)) as tx:
        accounts.set_password(tx, users.create(tx, {"userName": ADA}).id, KEPT)
    assert log_in(Visitor(house)).status_code == 401


def test_what_was_typed_is_shown_as_text_and_the_password_nowhere(house: House) -> None:
    canary, person_id = "kanarienvogel-7781", person(house)
    page = log_in(Visitor(house), "<b>ada</b>", canary).text
    assert "<b>" not in page
    assert "&lt;b&gt;" in page
    assert canary not in page
    log_in(Visitor(house), ADA, canary)
    kept = "".join(str(rows(house.database, f"SELECT * FROM {each}")) for each in metadata.tables)
    assert person_id in kept
    assert canary not in kept


# Guessing


def test_guessing_is_told_to_wait_and_the_right_password_waits_too(house: House, verified: Verifications) -> None:
    person(house)
    visitor = Visitor(house)
    with time_machine.travel(datetime.now(UTC), tick=False) as clock:
        assert [log_in(visitor, password="guess").status_code for _ in range(5)] == [401] * 5
        number, answer = verified.of(lambda: log_in(visitor))
        assert (number, answer.status_code) == (0, 429)
        assert "Wait 1 seconds" in answer.text
        assert "throttled" in {each["reason"] for each in log_of(house)}
        clock.shift(timedelta(seconds=1))
        assert log_in(visitor, password="guess").status_code == 401
        assert "Wait 2 seconds" in log_in(visitor).text
        clock.shift(timedelta(seconds=2))
        assert log_in(visitor).status_code == 303
        assert visitor.is_in


def test_another_address_is_not_locked_out(house: House) -> None:
    person(house)
    for _ in range(5):
        log_in(Visitor(house), password="guess")
    assert log_in(Visitor(house)).status_code == 429
    assert log_in(Visitor(house), address=THERE).status_code == 303


def test_a_name_that_nobody_has_is_throttled_alike(house: House) -> None:
    person(house)
    with time_machine.travel(datetime.now(UTC), tick=False):
        for name in (ADA, NOBODY):
            for _ in range(5):
                assert log_in(Visitor(house), name, "guess").status_code == 401
        known, unknown = log_in(Visitor(house), ADA), log_in(Visitor(house), NOBODY)
        assert known.status_code == 429
        assert page_of(known, ADA) == page_of(unknown, NOBODY)


@pytest.mark.parametrize(
    "spellings", [(ADA, ADA.upper(), "Ada@corp.example ", " " + ADA), ("josé", "jose\u0301", "JOSÉ")]
)
def test_spellings_of_one_name_share_one_count(house: House, spellings: tuple[str, ...]) -> None:
    person(house, spellings[0])
    for n in range(5):
        assert log_in(Visitor(house), spellings[n % len(spellings)], "guess").status_code == 401
    for spelling in spellings:
        assert log_in(Visitor(house), spelling).status_code == 429


def test_a_good_password_starts_the_count_anew(house: House) -> None:
    person(house)
    for _ in range(3):
        for _ in range(4):
            assert log_in(Visitor(house), password="guess").status_code == 401
        assert log_in(Visitor(house)).status_code == 303


def test_the_right_password_of_somebody_who_may_not_enter_counts_as_a_failure(house: House) -> None:
    """Or it would show itself by never being told to wait."""
    _inactive(house)
    assert [log_in(Visitor(house)).status_code for _ in range(6)] == [401] * 5 + [429]


# Where passwords are not for everybody


@pytest.fixture(params=["everyone", "break_glass_only", "off"])
def policed(request: pytest.FixtureRequest, database_url: str, tmp_path: Path) -> Iterator[tuple[str, House]]:
    """A house with an enforced connection, under each policy."""
    opened = House(database_url, data_dir=tmp_path, password_local_login=request.param)
    enforce(opened)
    yield request.param, opened
    opened.close()


def test_the_policy_says_whose_passwords_work(policed: tuple[str, House]) -> None:
    policy, house = policed
    person(house)
    change(house, accounts.set_break_glass, person(house, "glass"), on=True)
    works = {name: log_in(Visitor(house), name).status_code == 303 for name in (ADA, "glass")}
    assert works == {ADA: policy == "everyone", "glass": policy != "off"}


def test_a_link_sets_a_password_and_opens_no_other_way_in(policed: tuple[str, House]) -> None:
    policy, house = policed
    ada = person(house, kept=None)
    text, _ = change(house, links.issue, ada)
    visitor = Visitor(house)
    answer = visitor.post(f"/password/{text}", f"/password/{text}", password=PASSWORD)
    assert answer.status_code == (303 if policy == "everyone" else 200)
    assert visitor.is_in == (policy == "everyone")
    assert (log_in(Visitor(house)).status_code == 303) == (policy == "everyone")


def test_the_page_offers_what_works(policed: tuple[str, House]) -> None:
    policy, house = policed
    page = Visitor(house).get("/login").text
    assert ('name="password"' in page) == (policy != "off")
    assert ("<details" in page) == (policy == "break_glass_only")


def test_a_connection_that_is_not_enforced_leaves_passwords_alone(house: House) -> None:
    person(house)
    sso = add_login(house, "https://idp.example")
    assert log_in(Visitor(house)).status_code == 303
    change(house, sso_connections.change, sso, enforced=True)
    assert log_in(Visitor(house)).status_code == 401


def test_breaking_the_glass_is_heard(house: House) -> None:
    enforce(house)
    glass = person(house, "glass")
    change(house, accounts.set_break_glass, glass, on=True)
    assert log_in(Visitor(house), "glass").status_code == 303
    records = audit.of(read(house.database, at_command_line(house.tenant.id)), glass)
    told = [each["after"] for each in records if each["action"] == "break_glass.used"]
    assert told == [{"address": HERE, "method": "password"}]
    assert log_in(Visitor(house), "glass", "guess").status_code == 401
    events = rows(house.database, "SELECT type FROM events WHERE target = :glass", glass=glass)
    assert [kind for (kind,) in events].count("break_glass.used") == 1


# What a login changes


def test_a_password_under_old_parameters_is_hashed_again(house: House) -> None:
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    ada, visitor = person(house, kept=old), Visitor(house)
    assert log_in(visitor).status_code == 303
    ((kept,),) = rows(house.database, "SELECT password_hash FROM accounts WHERE id = :id", id=ada)
    assert not passwords.needs_rehash(kept)
    assert kept != old
    assert visitor.is_in, "the password is the same, nothing ends"
    assert log_in(Visitor(house)).status_code == 303


def test_a_login_gives_a_new_session_and_ends_the_old(house: House) -> None:
    person(house)
    visitor = Visitor(house)
    log_in(visitor)
    first = session_of(visitor)
    log_in(visitor)
    second = session_of(visitor)
    assert first != second
    thief = Visitor(house)
    thief.browser.set_cookie("scim_session", first)
    assert not thief.is_in
    assert visitor.is_in


def test_a_session_that_was_planted_is_not_taken_up(house: House) -> None:
    """Fixation: the value that was there before is worth nothing after (ASVS 7.2.4)."""
    person(house)
    planted, visitor = "x" * 43, Visitor(house)
    for cookie in ("scim_session", "scim_browser"):
        visitor.browser.set_cookie(cookie, planted)
    log_in(visitor)
    found = {name: visitor.browser.get_cookie(name) for name in ("scim_session", "scim_browser")}
    assert all(each is not None and each.value != planted for each in found.values())
    attacker = Visitor(house)
    attacker.browser.set_cookie("scim_session", planted)
    assert not attacker.is_in


def test_a_login_in_one_browser_leaves_others_alone(house: House) -> None:
    person(house)
    one, two = Visitor(house), Visitor(house)
    log_in(one)
    log_in(two)
    assert one.is_in
    assert two.is_in


def test_a_failed_login_ends_no_session(house: House) -> None:
    person(house)
    visitor = Visitor(house)
    log_in(visitor)
    assert log_in(visitor, password="guess").status_code == 401
    assert visitor.is_in


def test_the_way_on_is_a_path_of_ours(house: House) -> None:
    person(house)
    visitor = Visitor(house)
    assert log_in(visitor, redirect="/app?x=1").headers["Location"] == "/app?x=1"
    for payload in PAYLOADS:
        answer = visitor.get("/login", query_string={"redirect": payload})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/me"), payload
    for path in GOOD:
        assert visitor.get("/login", query_string={"redirect": path}).status_code == 303
    for payload in ("//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil.example"):
        assert log_in(visitor, redirect=payload).headers["Location"] == "/me"
