"""The end is the end, over two worker processes and under load (sso.md section 5, claim A6 of section 9).

Whatever was asked after the answer to the request that ended an account was there, is refused.
"""

import http.client
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from scim_server.directory import (
    connections,
    ending,
    identities,
    links,
    personal_tokens,
    sso_connections,
    standing,
    tenants,
)
from scim_server.directory.actor import at_command_line
from scim_server.directory.identities import Proof
from scim_server.directory.sso_connections import SsoSettings
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import read, write
from tests.directory.credentials import opened, program
from tests.directory.remote import Remote as Sender
from tests.running import GROUP, USER, Running, serve
from tests.sso.remote import Remote

SESSIONS, TOKENS = 50, 20
CONNECTIONS = 14  # kept alive: over so many, both workers are asked
TIMES = 3
"""So often each credential is shown before the end, and again after it."""


class Asked(NamedTuple):
    """One request: which credential it showed, when it began, and how it was answered."""

    credential: int
    begun: float
    status: int


@dataclass
class Hammer:
    """Shows credentials over connections that are kept, each in a thread of its own, until it is stopped."""

    address: str
    credentials: list[dict[str, str]]
    asked: list[Asked] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    stopped: bool = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CONNECTIONS)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self.stopped = True
            for each in threads:
                each.join(30)
        assert not self.failures, self.failures

    def wait_until_each_was_shown(self, since: float = 0) -> None:
        """Until each credential was shown and answered so often from a moment on."""

        def done() -> bool:
            shown = Counter(each.credential for each in self.asked if each.begun > since)
            return bool(self.failures) or all(shown[each] >= TIMES for each in range(len(self.credentials)))

        with self.changed:
            assert self.changed.wait_for(done, 60)

    def _work(self, first: int) -> None:
        own = range(first, len(self.credentials), CONNECTIONS)
        try:
            with closing(http.client.HTTPConnection(self.address, timeout=30)) as wire:
                while not self.stopped:
                    for each in own:
                        self._ask(wire, each)
        except BaseException as failure:  # noqa: BLE001 - told by at_work, in the thread of the test
            with self.changed:
                self.failures.append(failure)
                self.changed.notify_all()

    def _ask(self, wire: http.client.HTTPConnection, credential: int) -> None:
        begun = time.perf_counter()
        wire.request("GET", "/auth/verify", headers=self.credentials[credential])
        with wire.getresponse() as answer:
            answer.read()
            status = answer.status
        with self.changed:
            self.asked.append(Asked(credential, begun, status))
            self.changed.notify_all()


@pytest.fixture(scope="module")
def running(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(module_database_url, tmp_path_factory.mktemp("data"), workers=2) as started:
        yield started


@pytest.fixture
def database(module_database_url: str) -> Iterator[Database]:
    opened = Database(module_database_url)
    yield opened
    opened.close()


@pytest.fixture
def client(running: Running) -> Sender:
    return Sender(running)


@dataclass(frozen=True)
class Case:
    """Who is to be ended, by what."""

    client: Sender
    running: Running
    name: str
    user: str
    group: str
    link: str


def typed(*words: str) -> Callable[[Case], None]:
    """The command line, in a process that is neither of the workers; ``NAME`` stands for who is to be ended."""

    def end(case: Case) -> None:
        environment = case.running.environment
        given = [each.replace("NAME", case.name) for each in words]
        done = program(environment["SCIM_SERVER_DATABASE_URL"], Path(environment["SCIM_SERVER_DATA_DIR"]), *given)
        assert done.exit_code == 0, done.stderr

    return end


def password_set(case: Case) -> None:
    """The person opens a one-time link in a browser and chooses a password."""
    answer = Remote(case.running.root).post(f"/password/{case.link}", password="a heron reads 9 maps")
    assert answer.status == 303, answer


OFF: dict[str, Any] = {"op": "replace", "path": "active", "value": False}
ENDS: dict[str, Callable[[Case], Any]] = {
    "PATCH": lambda case: case.client.patch(f"/Users/{case.user}", OFF),
    "PATCH without path": lambda case: case.client.patch(
        f"/Users/{case.user}", {"op": "Replace", "value": {"Active": "False"}}
    ),
    "PUT": lambda case: case.client.put(
        f"/Users/{case.user}", {"schemas": [USER], "userName": case.name, "active": False}
    ),
    "DELETE": lambda case: case.client.delete(f"/Users/{case.user}"),
    "removal from the access group": lambda case: case.client.patch(
        f"/Groups/{case.group}", {"op": "remove", "path": f'members[value eq "{case.user}"]'}
    ),
    "PUT of the access group": lambda case: case.client.put(
        f"/Groups/{case.group}", {"schemas": [GROUP], "displayName": f"staff of {case.name}"}
    ),
    "DELETE of the access group": lambda case: case.client.delete(f"/Groups/{case.group}"),
    "user lock": typed("user", "lock", "NAME", "--reason", "left"),
    "user deactivate": typed("user", "deactivate", "NAME"),
    "user delete": typed("user", "delete", "NAME"),
    "user sessions --revoke": typed("user", "sessions", "NAME", "--revoke"),
    "user unlink": typed("user", "unlink", "NAME", "--connection", "idp of NAME"),
    "connection remove": typed("connection", "remove", "idp of NAME"),
    "tenant set --access-group": typed("tenant", "set", "--access-group", "others than NAME"),
    "a password set by a link": password_set,
    "admin grant": typed("admin", "grant", "NAME"),  # the last one: who is an admin then may not be shut out
}


def hold(database: Database, tenant: str, user: str) -> list[dict[str, str]]:
    """The headers that show each session and each token of somebody."""
    with write(database, at_command_line(tenant)) as tx:
        sessions = [{"Cookie": f"scim_session={opened(tx, user)}"} for _ in range(SESSIONS)]
        issued = (personal_tokens.issue(tx, user, "script", expires_in=None)[0] for _ in range(TOKENS))
        return sessions + [{"Authorization": f"Bearer {each}"} for each in issued]


@pytest.mark.parametrize("end", ENDS)
def test_nothing_that_is_asked_after_the_answer_is_let_in(
    client: Sender, running: Running, database: Database, end: str
) -> None:
    tenant = tenants.ensure_default(database).id
    name = f"{end.replace(' ', '-')}@x.example"
    user = client.user(name)["id"]
    group = client.group(f"staff of {name}", user)["id"]
    client.group(f"others than {name}")
    with write(database, at_command_line(tenant)) as tx:
        tenants.set_access_group(tx, group)
        idp = connections.ensure(tx, f"idp of {name}")
        sso = sso_connections.create(
            tx, idp, "oidc", issuer="https://idp.example", client_id="rp", client_secret="", settings=SsoSettings()
        )
        identities.link(tx, sso.id, Proof(name, sso.issuer), standing.hold(tx, user).user, "by hand")
        link, _ = links.issue(tx, user)
    credentials = hold(database, tenant, user)
    hammer = Hammer(running.root.removeprefix("http://"), credentials)
    with hammer.at_work():
        hammer.wait_until_each_was_shown()
        asked = time.perf_counter()
        answer = ENDS[end](Case(client, running, name, user, group, link))
        answered = time.perf_counter()
        hammer.wait_until_each_was_shown(answered)
    assert answer is None or answer.status in (200, 204), answer.body

    after = [each for each in hammer.asked if each.begun > answered]
    assert len(after) >= TIMES * (SESSIONS + TOKENS)
    assert [each for each in after if each.status != 401] == []
    before = [each for each in hammer.asked if each.begun < asked]
    assert {each.credential for each in before if each.status == 200} == set(range(SESSIONS + TOKENS))
    assert {each.status for each in hammer.asked} == {200, 401}
    receipt = ending.receipts_of(read(database, at_command_line(tenant)), user)[0]
    assert (receipt["sessions"], receipt["tokens"]) == (SESSIONS, TOKENS)
    assert 0 < receipt["milliseconds"] <= 1000 * (answered - asked)
