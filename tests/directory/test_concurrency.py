"""Many clients at once, at the real program with two worker processes: nothing lost, nothing doubled, no 5xx."""

import os
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from itertools import count, pairwise
from pathlib import Path

import pytest

from scim_server.directory import users
from scim_server.directory.store import members as members_in_store
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx
from scim_server.protocol.senders import Sender
from tests.directory.desk import Desk, patch, rows
from tests.directory.remote import CLIENTS, Remote, at_once
from tests.running import GROUP, USER, Answer, House, Running, Scim, serve

_NAMES = count()


@pytest.fixture(scope="module")
def running(module_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serve(module_database_url, tmp_path_factory.mktemp("data")) as started:
        yield started


@pytest.fixture
def client(running: Running) -> Remote:
    return Remote(running)


@pytest.fixture
def name() -> str:
    """A name that no other test uses."""
    return f"test-{next(_NAMES)}"


def people(client: Remote, name: str, number: int) -> list[str]:
    return [client.user(f"{name}-{n}")["id"] for n in range(number)]


def change(client: Remote, op: str, group: str, *members: str) -> Answer:
    value = [{"value": each} for each in members]
    return client.patch(f"/Groups/{group}", {"op": op, "path": "members", "value": value})


def members(client: Scim, group: str) -> list[str]:
    return [each["value"] for each in client.get(f"/Groups/{group}").json.get("members", [])]


def version(answer: Answer) -> int:
    return int(answer.headers["etag"].removeprefix('W/"').removesuffix('"'))


def test_members_added_at_once_are_all_in_once(client: Remote, name: str) -> None:
    ids, group = people(client, name, CLIENTS * 4), client.group(name)["id"]
    shares = [ids[n::CLIENTS] for n in range(CLIENTS)]
    answers = at_once(lambda share: [change(client, "add", group, each) for each in share], shares)
    assert {answer.status for each in answers for answer in each} == {204}
    assert sorted(members(client, group)) == sorted(ids)
    assert version(client.get(f"/Groups/{group}")) == 1 + len(ids)


def test_one_member_added_by_everybody_is_in_once(client: Remote, name: str) -> None:
    [person], group = people(client, name, 1), client.group(name)["id"]
    answers = at_once(lambda _: change(client, "add", group, person), range(CLIENTS))
    assert {answer.status for answer in answers} == {204}
    assert members(client, group) == [person]
    assert version(client.get(f"/Groups/{group}")) == 2


def test_adds_and_removes_at_once_end_as_each_client_left_its_own(client: Remote, name: str) -> None:
    ids = people(client, name, CLIENTS)
    group = client.group(name, *ids[::2])["id"]

    def to_and_fro(number: int) -> set[int]:
        turns = ["remove", "add", "remove"] if number % 2 == 0 else ["add", "remove", "add"]
        return {change(client, op, group, ids[number]).status for op in turns}

    assert at_once(to_and_fro, range(CLIENTS)) == [{204}] * CLIENTS
    assert members(client, group) == sorted(ids[1::2])


def test_of_many_creates_of_one_user_name_one_succeeds(client: Remote, name: str) -> None:
    def create(number: int) -> int:
        return client.post("/Users", {"schemas": [USER], "userName": name if number % 2 else name.upper()}).status

    assert Counter(at_once(create, range(CLIENTS))) == {201: 1, 409: CLIENTS - 1}
    assert client.get("/Users", filter=f'userName eq "{name}"').json["totalResults"] == 1


def test_of_many_creates_of_one_group_one_succeeds(client: Remote, name: str) -> None:
    body = {"schemas": [GROUP], "displayName": name}
    statuses = at_once(lambda _: client.post("/Groups", body).status, range(CLIENTS))
    assert Counter(statuses) == {201: 1, 409: CLIENTS - 1}


def test_of_many_writers_with_one_version_one_wins(client: Remote, name: str) -> None:
    shown = client.user(name)
    seen = {"If-Match": shown["meta"]["version"]}

    def write(number: int) -> Answer:
        operation = {"op": "replace", "path": "nickName", "value": f"writer {number}"}
        return client.patch(f"/Users/{shown['id']}", operation, headers=seen)

    answers = at_once(write, range(CLIENTS))
    assert Counter(answer.status for answer in answers) == {200: 1, 412: CLIENTS - 1}
    [winner] = [number for number, answer in enumerate(answers) if answer.status == 200]
    assert client.get(f"/Users/{shown['id']}").json["nickName"] == f"writer {winner}"


def test_replaces_of_one_user_follow_one_another(client: Remote, name: str) -> None:
    user = client.user(name)["id"]

    def replace(number: int) -> Answer:
        emails = [{"value": f"{number}-{n}@x.example"} for n in range(3)]
        return client.put(f"/Users/{user}", {"schemas": [USER], "userName": name, "emails": emails})

    answers = at_once(replace, range(CLIENTS))
    assert {answer.status for answer in answers} == {200}
    assert sorted(version(answer) for answer in answers) == list(range(2, CLIENTS + 2))
    kept = client.get(f"/Users/{user}").json
    [last] = [answer.json for answer in answers if version(answer) == CLIENTS + 1]
    assert kept == last
    found = [client.get("/Users", filter=f'emails.value eq "{n}-0@x.example"').ids for n in range(CLIENTS)]
    assert [ids for ids in found if ids] == [[user]]


def test_a_user_deleted_while_being_added_is_in_no_group(client: Remote, name: str) -> None:
    for _ in range(3):
        [user] = people(client, f"{name}-{next(_NAMES)}", 1)
        groups = [client.group(f"{name}-{next(_NAMES)}")["id"] for _ in range(CLIENTS - 1)]

        def act(group: str, user: str = user) -> int:
            return change(client, "add", group, user).status if group else client.delete(f"/Users/{user}").status

        first, *rest = at_once(act, ["", *groups])
        assert first == 204
        assert set(rest) <= {204, 400}  # 400: there is no such user any more
        assert [members(client, group) for group in groups] == [[]] * len(groups)


def test_groups_that_contain_one_another_can_be_made_and_deleted_at_once(client: Remote, name: str) -> None:
    """Each writer holds one group and wants the next: on PostgreSQL the way into a deadlock, if there is one."""
    for _ in range(4):
        ring = [client.group(f"{name}-{next(_NAMES)}")["id"] for _ in range(4)]
        pairs = list(pairwise([*ring, ring[0]]))

        def act(job: tuple[str, str, str]) -> set[int]:
            what, group, other = job
            if what == "delete":
                return {client.delete(f"/Groups/{group}").status}
            return {change(client, op, group, other).status for op in ("add", "remove", "add")}

        jobs = [("change", *pair) for pair in pairs] + [("change", *pair[::-1]) for pair in pairs]
        jobs += [("delete", group, "") for group in ring[:2]]
        assert set().union(*at_once(act, jobs)) <= {204, 400, 404}
        left = {group: members(client, group) for group in ring[2:]}
        assert all(set(inside) <= set(ring[2:]) for inside in left.values())


def test_two_deletions_that_wait_for_one_another_both_succeed(
    house: House, scim: Scim, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deadlock on PostgreSQL, made for certain; the one that has to give way is carried out again."""
    one = scim.group("one")["id"]
    other = scim.group("other", one)["id"]
    scim.patch(f"/Groups/{one}", {"op": "add", "path": "members", "value": [{"value": other}]})
    meeting, touch = threading.Barrier(2), members_in_store.touch_groups_of

    def touch_when_both_hold_their_own(tx: Tx, member: str) -> None:
        with suppress(threading.BrokenBarrierError):  # nobody else comes on SQLite, nor when it is repeated
            meeting.wait(0.5)
        touch(tx, member)

    monkeypatch.setattr(members_in_store, "touch_groups_of", touch_when_both_hold_their_own)
    assert at_once(lambda group: scim.delete(f"/Groups/{group}").status, [one, other]) == [204, 204]
    assert rows(house.database, "SELECT count(*) FROM audit_records WHERE action = 'group.deleted'") == [(2,)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def test_killed_under_load_it_keeps_what_it_acknowledged_and_nothing_by_half(database_url: str, folder: Path) -> None:
    acknowledged: list[str] = []
    group = ""
    for lap in range(3):
        with serve(database_url, folder) as running:
            client = Remote(running)
            group = group or client.group("crew")["id"]
            assert set(acknowledged) <= set(members(client, group))
            killed = threading.Timer(0.4, os.killpg, (running.process.pid, signal.SIGKILL))
            killed.start()
            kept = at_once(partial(_push_until_killed, client, group), [f"{lap}-{number}" for number in range(8)])
            killed.join()
            running.process.wait()
        assert sum(map(len, kept)) >= 8, "there was no load to speak of"
        acknowledged += [user for each in kept for user in each]
    house = House(database_url)
    assert set(acknowledged) <= set(members(house.client(), group))
    _check_that_all_is_whole(house.database, group)
    house.close()


def _push_until_killed(client: Remote, group: str, name: str) -> list[str]:
    """Create users and add each to the group; tells those that were acknowledged in both."""
    kept: list[str] = []
    try:
        for number in count():
            user = client.user(f"{name}-{number}")["id"]
            assert change(client, "add", group, user).status == 204
            kept.append(user)
    except (OSError, HTTPException):
        return kept
    raise AssertionError("nobody was killed")


def _check_that_all_is_whole(database: Database, group: str) -> None:
    """Each change has its version, its audit record, its event and its rows, or none of them."""
    people = _column(database, "SELECT id FROM resources WHERE kind = 'User'")
    assert _column(database, "SELECT target FROM audit_records WHERE action = 'user.created'") == people
    assert _column(database, "SELECT target FROM events WHERE type = 'user.created'") == people
    assert set(_column(database, "SELECT resource FROM entries")) == {*people, group}
    inside = _column(database, "SELECT member_id FROM memberships")
    told = rows(database, "SELECT data FROM events WHERE type = 'membership.added'")
    records = rows(database, "SELECT id FROM audit_records WHERE action = 'group.updated'")
    [[last]] = rows(database, "SELECT version FROM resources WHERE id = :id", id=group)
    assert len(inside) == len(told) == len(records) == last - 1
    if database.is_sqlite:
        assert rows(database, "PRAGMA integrity_check") == [("ok",)]
        assert rows(database, "PRAGMA foreign_key_check") == []


def _column(database: Database, sql: str) -> list[str]:
    return sorted(row[0] for row in rows(database, sql))


def test_a_writer_who_waited_sees_the_external_id_that_was_written_meanwhile(database_url: str) -> None:
    """What is joined to a row that was waited for must not be older than the row."""
    house = House(database_url)
    ours = Desk(house.database, "race", connection="default")
    ada = ours.user("ada", externalId="before").id
    client = house.client(tenant="race")
    answers: list[Answer] = []
    change = {"op": "replace", "path": "externalId", "value": "before"}
    waiting = threading.Thread(target=lambda: answers.append(client.patch(f"/Users/{ada}", change)))
    with ours.write() as tx:
        users.patch(tx, ada, patch("User", {"op": "replace", "path": "externalId", "value": "meanwhile"}), Sender())
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join()
    assert answers[0].json["externalId"] == "before"
    assert client.get(f"/Users/{ada}").json["externalId"] == "before"
    house.close()


def test_uploads_that_stall_do_not_hold_up_the_others(running: Running, client: Remote) -> None:
    host, port = running.root.removeprefix("http://").split(":")
    head = (
        f"POST /scim/v2/Users HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {running.token}\r\nContent-Length: 500\r\n"
    )
    stalled = [socket.create_connection((host, int(port))) for _ in range(8)]
    try:
        for each in stalled:
            each.sendall(f"{head}Content-Type: application/scim+json\r\nContent-Length: 500\r\n\r\n{{".encode())
        assert client.get("/Users").status == 200
    finally:
        for each in stalled:
            each.close()
