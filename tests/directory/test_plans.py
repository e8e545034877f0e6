"""The hot statements find their rows by an index, on both databases: the plan tells."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scim_server.directory.store.engine import Link, Result
from tests.directory.desk import Desk, crowd
from tests.running import House, Scim

WALKED = ("SCAN up", "SCAN json_each", "SCAN anon_", "SCAN (subquery", "SCAN CONSTANT")
"""What SQLite may go through from end to end: rows that the statement itself has just made."""


@pytest.fixture(scope="module")
def town(module_database_url: str) -> Iterator[tuple[House, Scim, str, str]]:
    house = House(module_database_url)
    scim = house.client(tenant="town")
    with Desk(house.database, "town", connection="default").write() as tx:
        people, _ = crowd(tx, 1_000)
        _, crew = crowd(tx, 10, "crew")
    house.database.run_sql("ANALYZE")
    if not house.database.is_sqlite:
        house.database.run_sql("SET enable_seqscan = off")  # a small table is quicker read than looked up in
    yield house, scim, people[7], crew
    house.close()


def plans(house: House, scim: Scim, path: str, query: Mapping[str, str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The plan of each statement that a GET asks of the database."""
    asked: list[tuple[str, Any]] = []
    run = Link.run_sql

    def noted(self: Link, sql: str, parameters: Mapping[str, Any] | None = None) -> Result:
        asked.append((sql, parameters))
        return run(self, sql, parameters)

    monkeypatch.setattr(Link, "run_sql", noted)
    answer = scim.get(path, **query)
    monkeypatch.undo()
    assert answer.status == 200
    explain, column = ("EXPLAIN QUERY PLAN", 3) if house.database.is_sqlite else ("EXPLAIN", 0)
    link = house.database.take()
    told = [link.run_sql(f"{explain} {sql}", parameters).rows for sql, parameters in asked if "UPDATE" not in sql]
    house.database._give_back(link)
    return ["\n".join(row[column] for row in rows) for rows in told]


REQUESTS = [
    ("/Users/{user}", {}, ["uq_tokens_id", "pk_resources", "ix_memberships_member"]),
    ("/Groups/{group}", {}, ["uq_tokens_id", "pk_resources", "pk_memberships"]),
    ("/Users", {"filter": 'userName eq "crowd-7"'}, ["uq_resources_living_name"]),
    ("/Groups", {"filter": 'displayName eq "crew"'}, ["uq_resources_living_name"]),
    ("/Users", {"filter": 'userName sw "crowd-77"'}, ["uq_resources_living_name"]),
    ("/Users", {"filter": 'externalId eq "x-crowd-7"'}, ["ix_external_ids_value"]),
    ("/Users", {"filter": 'emails.value eq "crowd-7@x.example"'}, ["ix_entries_prefix"]),
    ("/Users", {"filter": 'emails[value eq "crowd-7@x.example"]'}, ["ix_entries_prefix"]),
    ("/Users", {"filter": 'id eq "{user}"'}, ["pk_resources|ix_resources_living"]),
    ("/Groups", {"filter": 'members.value eq "{user}"'}, ["ix_memberships_member"]),
    ("/Groups", {"filter": 'members eq "{user}"', "excludedAttributes": "members"}, ["ix_memberships_member"]),
    ("/Users", {"count": "10"}, ["ix_resources_living", "ix_memberships_member"]),
]


@pytest.mark.parametrize(("path", "query", "expected"), REQUESTS, ids=lambda value: str(value)[:50])
def test_a_hot_request_is_answered_from_indexes(
    town: tuple[House, Scim, str, str],
    path: str,
    query: dict[str, str],
    expected: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    house, scim, user, group = town
    query = {name: value.format(user=user, group=group) for name, value in query.items()}
    told = plans(house, scim, path.format(user=user, group=group), query, monkeypatch)
    text = "\n\n".join(told)
    for name in expected:
        names = [_as_called(each, house) for each in name.split("|")]
        assert any(each in text for each in names), f"{name} is not used:\n{text}"
    lines = [line.strip() for line in text.splitlines()]
    assert [line for line in lines if line.startswith("SCAN") and not line.startswith(WALKED)] == [], text
    assert [line for line in lines if "Seq Scan on" in line] == [], text


def _as_called(index: str, house: House) -> str:
    """SQLite has names of its own for primary keys, and none where the table is its key."""
    if not house.database.is_sqlite or not index.startswith("pk_"):
        return index
    return {"pk_resources": "sqlite_autoindex_resources_1", "pk_memberships": "USING PRIMARY KEY"}[index]
