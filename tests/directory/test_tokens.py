"""Bearer tokens: their shape, what is kept of them, and when they open the door (sso.md section 6)."""

import hashlib
import hmac
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from scim_server.directory import minting, tokens
from scim_server.directory.errors import NotFound, Refused, Unavailable
from scim_server.directory.store.engine import Database
from scim_server.directory.tokens import Token
from tests.directory.desk import Desk, rows, statements
from tests.running import House, Scim

SHAPE = re.compile(r"scs_scim_[0-9A-Za-z]{16}_[0-9A-Za-z]{43}[0-9A-Za-z]{6}")
DAY = timedelta(days=1)


def issue(desk: Desk, **options: object) -> tuple[str, Token]:
    with desk.write() as tx:
        return tokens.issue(tx, desk.connection, "okta", **{"expires_in": DAY, **options})  # type: ignore[arg-type]


def works(database: Database, text: str) -> bool:
    return tokens.verify(database, text) is not None


def of(desk: Desk, token_id: str) -> Token:
    [found] = [each for each in tokens.every(desk.look()) if each.id == token_id]
    return found


class Clock:
    """Stands in for ``datetime`` in one module: time passes when a test says so."""

    def __init__(self) -> None:
        self.moment = datetime.now(UTC)

    def now(self, zone: object) -> datetime:
        return self.moment

    def fromisoformat(self, text: str) -> datetime:
        return datetime.fromisoformat(text)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tokens, "datetime", clock)
    return clock


def test_a_token_is_one_word_with_a_prefix_and_a_checksum(ours: Desk) -> None:
    text, kept = issue(ours)
    assert SHAPE.fullmatch(text)
    assert re.fullmatch(r"\w+", text), "a double click selects it"
    assert text.split("_")[2] == kept.id
    assert len({issue(ours)[0] for _ in range(20)}) == 20


def test_a_token_names_its_bearer(ours: Desk) -> None:
    verified = tokens.verify(ours.database, issue(ours)[0])
    assert verified is not None
    assert (verified.actor.tenant, verified.actor.connection) == (ours.tenant.id, ours.connection.id)
    assert (verified.actor.door, verified.actor.name) == ("scim", "token:okta")
    assert verified.actor.scopes == {"scim:read", "scim:write"}


def test_only_a_hash_is_kept(ours: Desk) -> None:
    text, kept = issue(ours)
    secret = text.rpartition("_")[2][:-6]
    [row] = rows(ours.database, "SELECT * FROM tokens WHERE id = :id", id=kept.id)
    assert hashlib.sha256(secret.encode()).hexdigest() in row
    assert secret not in repr(row)
    assert secret not in repr(kept)
    assert secret not in repr(ours.audit(kept.id))


@pytest.mark.parametrize("place", [12, 30, -8, -1])
def test_a_mistyped_token_is_refused_without_a_look_up(ours: Desk, place: int) -> None:
    text, _ = issue(ours)
    mistyped = list(text)
    mistyped[place] = "a" if mistyped[place] != "a" else "b"
    with statements(ours.database) as seen:
        assert not works(ours.database, "".join(mistyped))
    assert seen == []


@pytest.mark.parametrize("text", ["", "x", "scs_scim_", "scs_scim_" + "a" * 16 + "_" + "a" * 49, "\n", "é" * 75])
def test_what_is_no_token_is_refused_without_a_look_up(ours: Desk, text: str) -> None:
    with statements(ours.database) as seen:
        assert not works(ours.database, text)
    assert seen == []


def test_a_token_with_something_after_it_is_no_token(ours: Desk) -> None:
    text, _ = issue(ours)
    assert not works(ours.database, text + "\n")
    assert not works(ours.database, f"{text} {text}")


def forged(text: str, *, identifier: str | None = None, secret: str | None = None) -> str:
    """A token with a good checksum that nobody issued."""
    _, _, own, rest = text.split("_")
    head = f"scs_scim_{identifier or own}_{secret or rest[:-6]}"
    return head + minting._checksum(head)


@pytest.mark.parametrize("change", [{"identifier": "0" * 16}, {"secret": "0" * 43}])
def test_a_forged_token_is_compared_in_constant_time_known_id_or_not(
    ours: Desk, change: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def noted(one: str, other: str) -> bool:
        compared.append((len(one), len(other)))
        return compare(one, other)

    monkeypatch.setattr(hmac, "compare_digest", noted)
    text, _ = issue(ours)
    assert works(ours.database, forged(text))
    assert not works(ours.database, forged(text, **change))
    assert compared == [(64, 64)] * 2


def test_verifying_is_one_statement(ours: Desk) -> None:
    text, _ = issue(ours)
    with statements(ours.database) as seen:
        assert works(ours.database, text)
    assert len(seen) == 1


def test_a_token_expires(ours: Desk, clock: Clock) -> None:
    text, kept = issue(ours)
    assert kept.expires is not None
    clock.moment = datetime.fromisoformat(kept.expires) - timedelta(microseconds=1)
    assert works(ours.database, text)
    clock.moment = datetime.fromisoformat(kept.expires)
    assert not works(ours.database, text)


def test_a_token_may_last_for_ever(ours: Desk, clock: Clock) -> None:
    text, kept = issue(ours, expires_in=None)
    clock.moment += timedelta(days=40_000)
    assert kept.expires is None
    assert works(ours.database, text)


@pytest.fixture
def another_worker(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


def test_a_revoked_token_is_refused_by_every_worker_at_once(ours: Desk, another_worker: Database) -> None:
    text, kept = issue(ours)
    assert works(another_worker, text)
    with ours.write() as tx:
        assert tokens.revoke(tx, kept.id).revoked == tx.now
    assert not works(another_worker, text)
    assert not works(ours.database, text)


def test_revoking_twice_keeps_the_first_moment_and_one_record(ours: Desk) -> None:
    _, kept = issue(ours)
    moments = set()
    for _ in range(2):
        with ours.write() as tx:
            moments.add(tokens.revoke(tx, kept.id).revoked)
    assert len(moments) == 1
    assert ours.actions(kept.id) == ["token.issued", "token.revoked"]


def test_rotation_lets_both_work_until_the_overlap_is_over(ours: Desk, clock: Clock) -> None:
    old, kept = issue(ours, expires_in=timedelta(days=365), scopes=(tokens.READ,))
    with ours.write() as tx:
        new, successor = tokens.rotate(tx, kept.id, overlap=7 * DAY, expires_in=timedelta(days=365))
    assert works(ours.database, old)
    assert works(ours.database, new)
    assert (successor.name, successor.connection, successor.scopes) == (kept.name, kept.connection, tokens.READ)
    assert of(ours, kept.id).replaced_by == successor.id
    clock.moment += 7 * DAY + timedelta(minutes=1)
    assert not works(ours.database, old)
    assert works(ours.database, new)
    assert ours.actions(kept.id) == ["token.issued", "token.rotated"]


def test_rotation_never_lengthens_the_life_of_the_old_token(ours: Desk) -> None:
    _, kept = issue(ours)
    with ours.write() as tx:
        tokens.rotate(tx, kept.id, overlap=7 * DAY, expires_in=None)
    assert of(ours, kept.id).expires == kept.expires


def test_a_rotation_without_overlap_ends_the_old_token(ours: Desk) -> None:
    old, kept = issue(ours)
    with ours.write() as tx:
        tokens.rotate(tx, kept.id, overlap=timedelta(0), expires_in=None)
    assert not works(ours.database, old)


def test_rotation_is_refused_for_a_revoked_token_and_beyond_30_days(ours: Desk) -> None:
    _, kept = issue(ours)
    with pytest.raises(Refused, match="30 days at most"), ours.write() as tx:
        tokens.rotate(tx, kept.id, overlap=31 * DAY, expires_in=None)
    with ours.write() as tx:
        tokens.revoke(tx, kept.id)
    with pytest.raises(Refused, match="revoked; issue a new one"), ours.write() as tx:
        tokens.rotate(tx, kept.id, overlap=DAY, expires_in=None)


def test_another_tenants_token_is_unknown(ours: Desk, theirs: Desk) -> None:
    text, kept = issue(ours)
    with pytest.raises(NotFound, match="no token with this id"), theirs.write() as tx:
        tokens.revoke(tx, kept.id)
    with pytest.raises(NotFound), theirs.write() as tx:
        tokens.rotate(tx, kept.id, overlap=DAY, expires_in=None)
    assert tokens.every(theirs.look()) == []
    assert works(ours.database, text)


def used(desk: Desk, text: str, *, address: str = "192.0.2.7", agent: str = "Okta SCIM Client 1.0.0") -> bool:
    """Use a token as the door does; tells whether the use was noted."""
    verified = tokens.verify(desk.database, text)
    assert verified is not None
    if verified.use_is_old:
        tokens.note_use(desk.database, verified, address, agent)
    return verified.use_is_old


def test_its_use_is_noted_at_most_once_a_minute(ours: Desk, clock: Clock) -> None:
    clock.moment = clock.moment.replace(second=0, microsecond=0)
    text, kept = issue(ours)
    assert [used(ours, text), used(ours, text)] == [True, False]
    noted = of(ours, kept.id)
    assert (noted.last_address, noted.last_agent) == ("192.0.2.7", "Okta SCIM Client 1.0.0")
    clock.moment += timedelta(seconds=59)
    assert not used(ours, text)
    clock.moment += timedelta(seconds=1)
    assert used(ours, text, agent="x" * 10_000)
    assert of(ours, kept.id).last_used != noted.last_used
    assert len(of(ours, kept.id).last_agent or "") == 200


def test_a_request_succeeds_although_its_use_cannot_be_noted(scim: Scim, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Database.run

    def busy(self: Database, statement: object, parameters: object) -> object:
        if statement is tokens._NOTE_USE:
            raise Unavailable
        return run(self, statement, parameters)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "run", busy)
    assert scim.get("/Users").status == 200


def test_a_token_without_scim_write_reads_and_changes_nothing(house: House) -> None:
    writer, reader = house.client(), house.client(scopes=(tokens.READ,))
    user = writer.user("ada")["id"]
    assert reader.get(f"/Users/{user}").status == 200
    assert reader.request("POST", "/Users/.search", {}).status == 200
    for method, path in (("POST", "/Users"), ("PUT", f"/Users/{user}"), ("PATCH", f"/Users/{user}")):
        assert reader.request(method, path, {}).status == 403
    assert reader.delete(f"/Users/{user}").json["detail"] == "This token does not carry the scope scim:write."
    assert writer.get(f"/Users/{user}").json["meta"]["version"] == 'W/"1"'


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)  # PostgreSQL's readers never meet a writer
def test_a_request_does_not_wait_for_a_writer_to_note_the_use_of_its_token(house: House) -> None:
    scim = house.client()
    ada = scim.user("ada")["id"]
    house.database.run_sql("UPDATE tokens SET last_used = NULL")
    answers: list[int] = []
    reading = threading.Thread(target=lambda: answers.append(scim.get(f"/Users/{ada}").status))
    with house.database.transaction():
        reading.start()
        reading.join(5)  # half of what a writer would wait
        assert answers == [200]
    reading.join()
    assert house.database.run_sql("SELECT last_used FROM tokens").rows == [(None,)]
    scim.get(f"/Users/{ada}")
    assert house.database.run_sql("SELECT last_used FROM tokens").rows != [(None,)]
