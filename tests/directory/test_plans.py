"""The hot statements find their rows by an index, in a tenant that is mostly one large group: the plan tells."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from scim_server.directory.store.engine import Database, Link, Result
from tests.directory.desk import Desk, crowd
from tests.running import House, Scim

PEOPLE = 5_000
MADE_ON_THE_WAY = ("SCAN up", "SCAN json_each", "SCAN anon_", "SCAN (subquery", "SCAN CONSTANT ROW")
"""What SQLite may go through from end to end: rows that the statement itself has just made."""


@dataclass
class Town:
    house: House
    scim: Scim
    user: str
    group: str


@pytest.fixture(scope="module")
def town(module_database_url: str) -> Iterator[Town]:
    house = House(module_database_url)
    scim = house.client(tenant="town")
    with Desk(house.database, "town", connection="default").write() as tx:
        people, _ = crowd(tx, PEOPLE)
        _, crew = crowd(tx, 10, "crew")
    for number in range(20):  # a table of one row is rightly scanned
        house.client(f"connection-{number}")
    house.database.run_sql("ANALYZE")
    yield Town(house, scim, people[7], crew)
    house.close()


def asked(town: Town, path: str, query: Mapping[str, str], patch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """The statements of a GET, with their values."""
    seen: list[tuple[str, Any]] = []
    run = Link.run_sql

    def noted(self: Link, sql: str, parameters: Mapping[str, Any] | None = None, **how: Any) -> Result:
        seen.append((sql, parameters))
        return run(self, sql, parameters, **how)

    with patch.context() as patched:
        patched.setattr(Link, "run_sql", noted)
        assert town.scim.get(path, **query).status == 200
    return [(sql, parameters) for sql, parameters in seen if not sql.lstrip().startswith("UPDATE")]


def explained(database: Database, how: str, sql: str, parameters: Any) -> list[tuple[Any, ...]]:
    link = database.take()
    try:
        return link.run_sql(f"{how} {sql}", parameters).rows
    finally:
        database._give_back(link)


def check_sqlite(database: Database, statements: list[tuple[str, Any]], expected: str) -> None:
    """No table is gone through from end to end, and this index is used."""
    plans = [explained(database, "EXPLAIN QUERY PLAN", *each) for each in statements]
    lines = [row[3] for plan in plans for row in plan]
    assert [line for line in lines if line.startswith("SCAN") and not line.startswith(MADE_ON_THE_WAY)] == []
    own = {"pk_memberships": "USING PRIMARY KEY"}  # SQLite has no name for a key that is the table itself
    assert any(own.get(expected, expected) in line for line in lines), "\n".join(lines)


def check_postgresql(database: Database, statements: list[tuple[str, Any]], expected: str) -> None:
    """No statement looks at more than a few rows, and this index is used."""
    for sql, parameters in statements:
        [[plan]] = explained(database, "EXPLAIN (ANALYZE, FORMAT JSON)", sql, parameters)
        assert visited(plan[0]["Plan"]) < 200, json.dumps(plan, indent=1)
    used = str([explained(database, "EXPLAIN", *each) for each in statements])
    assert expected in used, used


def visited(node: dict[str, Any]) -> float:
    """The rows that a plan laid hands on, those that it threw away too."""
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Join Filter", 0)
    return rows * node["Actual Loops"] + sum(visited(each) for each in node.get("Plans", []))


REQUESTS = [
    ("/Users/{user}", {}, "ix_memberships_member"),
    ("/Users/{user}", {"excludedAttributes": "groups"}, "ix_resources_living"),
    ("/Groups/{group}", {}, "pk_memberships"),
    ("/Users", {"filter": 'userName eq "crowd-7"'}, "uq_resources_living_name"),
    ("/Users", {"filter": 'userName sw "crowd-77"'}, "uq_resources_living_name"),
    ("/Groups", {"filter": 'displayName eq "crew"'}, "uq_resources_living_name"),
    ("/Users", {"filter": 'externalId eq "x-crowd-7"'}, "ix_external_ids_value"),
    ("/Users", {"filter": 'emails.value eq "crowd-7@x.example"'}, "ix_entries_prefix"),
    ("/Users", {"filter": 'emails[value eq "crowd-7@x.example"]'}, "ix_entries_prefix"),
    ("/Groups", {"filter": 'members.value eq "{user}"', "excludedAttributes": "members"}, "ix_memberships_member"),
    ("/Groups", {"filter": 'members eq "{user}"', "excludedAttributes": "members"}, "ix_memberships_member"),
]


@pytest.mark.parametrize(("path", "query", "index"), REQUESTS, ids=[str(each[:2]) for each in REQUESTS])
def test_a_look_up_is_answered_from_an_index(
    town: Town, path: str, query: dict[str, str], index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"user": town.user, "group": town.group}
    query = {name: value.format(**names) for name, value in query.items()}
    statements = asked(town, path.format(**names), query, monkeypatch)
    check = check_sqlite if town.house.database.is_sqlite else check_postgresql
    check(town.house.database, statements, index)
