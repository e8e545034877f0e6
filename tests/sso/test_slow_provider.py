"""A provider that hangs, against the real program in two processes: SCIM and passwords go on (facts, figure A17)."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple

from scim_server.directory import accounts, passwords
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import write
from tests.directory.desk import rows
from tests.idp.hostile import HostileProvider
from tests.idp.serving import Answer, Trouble, ask
from tests.running import House, Running, serve
from tests.sso.remote import Remote
from tests.sso.visiting import LOOPBACK, add_login

PASSWORD = "correct horse battery staple"
ADA, BOB = "ada@example.com", "bob@example.com"
CROWD, THREADS = 60, 40
"""Half of a worker's threads may wait for providers: of two workers that is 40, so some of the crowd find no slot."""


class Timed(NamedTuple):
    """An answer, and how many seconds it took."""

    answer: Answer
    seconds: float


def timed(call: Callable[[], Answer]) -> Timed:
    begun = time.perf_counter()
    return Timed(call(), time.perf_counter() - begun)


def test_a_hung_provider_holds_up_nobody_else(database_url: str, tmp_path: Path) -> None:
    house = House(database_url)
    settings = {"threads": str(THREADS), "provider_networks": ",".join(map(str, LOOPBACK))}
    house.client().user(ADA)
    with_password(house, BOB)
    with (
        HostileProvider() as provider,
        serve(database_url, tmp_path, secret_key=house.settings.secret_key, **settings) as running,
        ThreadPoolExecutor(CROWD) as crowd,
    ):
        sso = add_login(house, provider.issuer).id
        browsers = [Remote(running.root) for _ in range(CROWD)]
        callbacks = [provider.authorize(each.start(sso)) for each in browsers]
        provider.transport["token"] = Trouble(hang=60)
        sent = [
            crowd.submit(timed, lambda browser=browser, callback=callback: browser.get(callback))  # type: ignore[misc]
            for browser, callback in zip(browsers, callbacks, strict=True)
        ]
        until_settled(provider, sent)
        waiting = [each for each in sent if not each.done()]
        assert 30 <= len(waiting) <= THREADS
        others_go_on(running, lambda: not any(each.done() for each in waiting))

        wait(sent)
        for each in waiting:
            answer, seconds = each.result()
            assert answer.status == 400
            assert b"cannot be reached" in answer.body
            assert seconds < 8, "five, and what a busy machine takes for the rest"
        told_to_wait = [each.result().answer for each in sent if each not in waiting]
        assert {each.status for each in told_to_wait} == {429}
        assert {each.headers["refresh"] for each in told_to_wait} == {"3"}
        assert not any(each.is_in for each in browsers)

        provider.transport.clear()
        for browser, callback, first in zip(browsers, callbacks, sent, strict=True):
            burned = first in waiting
            assert browser.get(callback).status == (400 if burned else 303), "who was told to wait comes again"
            assert browser.is_in is not burned
        reasons = rows(house.database, "SELECT step, count(*) FROM logins WHERE reason = 'timeout' GROUP BY step")
        assert reasons == [("exchange", len(waiting))]
    house.close()


def with_password(house: House, name: str) -> None:
    user_id = house.client().user(name)["id"]
    with write(house.database, at_command_line(house.tenant.id)) as tx:
        accounts.set_password(tx, user_id, passwords.hashed(PASSWORD))


def until_settled(provider: HostileProvider, sent: list[Future[Timed]]) -> None:
    """Wait until everybody either hangs at the provider or has an answer."""
    ends = time.monotonic() + 4  # before the first gives up
    while provider.counts["token"] + sum(each.done() for each in sent) < CROWD:
        assert time.monotonic() < ends, (provider.counts, sum(each.done() for each in sent))
        time.sleep(0.01)


def others_go_on(running: Running, they_hang: Callable[[], bool]) -> None:
    """SCIM and passwords, in every worker, for as long as the others hang."""
    bearer = {"Authorization": f"Bearer {running.token}"}
    bob, took, rounds = Remote(running.root), [], 0
    while rounds < 10 and they_hang():
        for _ in range(3):
            read = timed(lambda: ask(f"{running.scim}/Users?count=1", headers=bearer))
            assert (read.answer.status, read.answer.json["totalResults"]) == (200, 2)
            took.append(read.seconds)
        login = timed(lambda: bob.post("/login", username=BOB, password=PASSWORD))
        assert (login.answer.status, login.answer.headers["location"]) == (303, "/me")
        assert bob.is_in
        took.append(login.seconds)
        rounds += they_hang()
    assert rounds >= 2, "answered while the others hung"
    assert max(took) < 2, "nobody waited for a hung call, which takes five"
