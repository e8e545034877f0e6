"""Failed passwords slow the guesser down and never lock the owner out (OWASP ASVS 5.0.0, 6.3.1)."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from scim_server.directory import throttle
from scim_server.directory.store.engine import Database
from scim_server.directory.throttle import WINDOW, Scale
from tests.directory.desk import rows

ADA, HERE, THERE = "ada@corp.example", "192.0.2.1", "198.51.100.7"
START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
FREE_HERE, FREE_ADDRESS, FREE_ACCOUNT = 5, 50, 100


class Guesser:
    """Tries passwords for a name from an address; the clock is the test's."""

    def __init__(self, database: Database, clock: time_machine.Traveller, address: str = HERE) -> None:
        self.database, self.clock, self.address = database, clock, address

    def scales(self, name: str = ADA, *, known: bool = False) -> list[Scale]:
        return throttle.scales("t", name, self.address, known_address=known)

    def wait(self, name: str = ADA, *, known: bool = False) -> timedelta:
        """How long a try is refused from now on."""
        until = throttle.blocked_until(self.database, self.scales(name, known=known))
        return timedelta(0) if until is None else until - datetime.now(UTC)

    def fail(self, times: int = 1, name: str = ADA) -> None:
        for _ in range(times):
            throttle.failed(self.database, self.scales(name))

    def sit_out(self, name: str = ADA) -> None:
        self.clock.shift(self.wait(name))


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


@pytest.fixture
def guesser(database: Database, clock: time_machine.Traveller) -> Guesser:
    return Guesser(database, clock)


def test_the_first_few_failures_cost_nothing(guesser: Guesser) -> None:
    assert not guesser.wait()
    guesser.fail(FREE_HERE - 1)
    assert not guesser.wait()


def test_each_further_one_doubles_the_wait_up_to_the_window(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE - 1)
    waits = []
    for _ in range(12):
        guesser.fail()
        waits.append(guesser.wait())
    assert waits[:4] == [timedelta(seconds=each) for each in (1, 2, 4, 8)]
    assert waits[-1] == WINDOW == max(waits)


def test_a_wait_is_over_when_it_is_over(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE)
    guesser.clock.shift(timedelta(seconds=0.999))
    assert guesser.wait()
    guesser.clock.shift(timedelta(seconds=0.001))
    assert not guesser.wait()


def test_waiting_buys_one_more_try_and_not_a_fresh_start(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE)
    guesser.sit_out()
    guesser.fail()
    assert guesser.wait() == timedelta(seconds=2)


def test_patience_buys_a_guesser_no_more_than_fifteen_tries_in_a_window(guesser: Guesser) -> None:
    tries = 0
    while datetime.now(UTC) < START + WINDOW:
        guesser.sit_out()
        guesser.fail()
        tries += 1
    assert tries <= 15


def test_failures_of_long_ago_are_forgotten(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE - 1)
    guesser.clock.shift(WINDOW + timedelta(seconds=1))
    guesser.fail(FREE_HERE - 1)
    assert not guesser.wait()
    guesser.fail()
    assert guesser.wait() == timedelta(seconds=1)


def test_a_wait_outlasts_the_window_in_which_it_began(guesser: Guesser) -> None:
    """What is swept is what counts no more; somebody else's failure must not open the door."""
    guesser.fail()
    guesser.clock.shift(WINDOW - timedelta(seconds=1))
    guesser.fail(20)
    guesser.clock.shift(timedelta(seconds=2))
    Guesser(guesser.database, guesser.clock, THERE).fail(name="somebody else")
    assert guesser.wait() == WINDOW - timedelta(seconds=2)


def test_a_good_password_forgets_the_failures_of_this_browser_alone(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE - 1)
    throttle.succeeded(guesser.database, guesser.scales())
    guesser.fail(FREE_HERE - 1)
    assert not guesser.wait()
    counted = dict(rows(guesser.database, "SELECT key, failures FROM throttles"))
    both, address, account = (each.key for each in guesser.scales())
    assert (counted[both], counted[address], counted[account]) == (4, 8, 8)


def test_another_address_is_not_locked_out(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE + 4)
    assert guesser.wait()
    assert not Guesser(guesser.database, guesser.clock, THERE).wait()


def test_another_name_from_the_same_address_is_not_either(guesser: Guesser) -> None:
    guesser.fail(FREE_HERE + 4)
    assert not guesser.wait("bob@corp.example")


def test_one_address_may_not_go_through_all_names(guesser: Guesser) -> None:
    """Password spraying: one try each."""
    for n in range(FREE_ADDRESS - 1):
        guesser.fail(name=f"person-{n}")
    assert not guesser.wait("the next one")
    guesser.fail(name="the next one")
    assert guesser.wait("and another")
    assert not Guesser(guesser.database, guesser.clock, THERE).wait("and another")


def test_many_addresses_may_not_go_at_one_account_and_its_owner_gets_in_all_the_same(guesser: Guesser) -> None:
    for n in range(FREE_ACCOUNT):
        Guesser(guesser.database, guesser.clock, f"203.0.113.{n}").fail()
    stranger = Guesser(guesser.database, guesser.clock, THERE)
    assert stranger.wait() == timedelta(seconds=1)
    assert not stranger.wait(known=True), "the owner was let in from there before"


def test_names_that_do_not_exist_are_counted_alike(guesser: Guesser) -> None:
    """Nothing here looks at who exists: the key is made of what was typed."""
    for name in (ADA, "nobody"):
        guesser.fail(FREE_HERE, name)
    assert guesser.wait(ADA) == guesser.wait("nobody") == timedelta(seconds=1)


def test_tenants_do_not_share_a_count(database: Database, guesser: Guesser) -> None:
    guesser.fail(FREE_HERE + 4)
    assert throttle.blocked_until(database, throttle.scales("u", ADA, HERE, known_address=False)) is None


def test_parts_of_a_key_cannot_be_shifted_against_each_other() -> None:
    keys = {
        throttle.scales("t", name, address, known_address=True)[0].key for name, address in [("ab", "c"), ("a", "bc")]
    }
    assert len(keys) == 2


def test_no_name_is_kept(guesser: Guesser) -> None:
    """People type passwords into the field of the name."""
    guesser.fail(name="hunter2 by mistake")
    assert "hunter2" not in str(rows(guesser.database, "SELECT * FROM throttles"))


def test_failures_at_the_same_moment_are_all_counted(database: Database) -> None:
    scales = throttle.scales("t", ADA, HERE, known_address=False)
    together = threading.Barrier(8)

    def fail() -> None:
        together.wait(20)
        for _ in range(5):
            throttle.failed(database, scales)

    threads = [threading.Thread(target=fail) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert {row[0] for row in rows(database, "SELECT failures FROM throttles")} == {40}
