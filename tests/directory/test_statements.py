"""How many statements each hot request costs: the same for few people and for many (warehouse's QueryRecorder)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from scim_server.directory import tokens
from tests.directory.desk import Desk, crowd, statements
from tests.running import USER, Answer, House, Scim

FEW, MANY = 10, 3_000


@dataclass
class Town:
    """A tenant with so many people, and a group of all of them."""

    house: House
    scim: Scim
    people: list[str]
    group: str
    name: str

    def user(self, number: int = 0) -> str:
        return f"/Users/{self.people[number]}"

    @property
    def everybody(self) -> str:
        return f"/Groups/{self.group}"


@pytest.fixture(scope="module")
def towns(module_database_url: str) -> Iterator[dict[int, Town]]:
    house = House(module_database_url)
    made = {}
    for number in (FEW, MANY):
        name = f"town-{number}"
        scim = house.client(tenant=name)
        with Desk(house.database, name, connection="default").write() as tx:
            people, group = crowd(tx, number, name)
        made[number] = Town(house, scim, people, group, name)
    if not house.database.is_sqlite:
        house.database.run_sql("ANALYZE")
    yield made
    house.close()


@pytest.fixture(autouse=True)
def _unnoted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The use of a token is noted once in each minute of the clock: one statement more, now and then."""
    monkeypatch.setattr(tokens, "note_use", lambda *_: None)


@pytest.fixture(params=(FEW, MANY), ids=lambda number: f"{number} people")
def town(request: pytest.FixtureRequest, towns: dict[int, Town]) -> Town:
    return towns[request.param]


THE_END = 1 + 1 + 4 + 1 + 1
"""Is it an admin + epoch + sessions, tokens, links, half-done logins + receipt + its time, after the commit."""


def cost(town: Town, request: Callable[[], Answer], status: int) -> int:
    """The number of statements of one request, which must be answered with this status."""
    with statements(town.house.database) as seen:
        answer = request()
    assert answer.status == status, answer.body
    return len(seen)


def added(town: Town, member: str, op: str = "add") -> Answer:
    return town.scim.patch(town.everybody, {"op": op, "path": "members", "value": [{"value": member}]})


# Only the driver of SQLite tells what it runs; what is counted is the same code.
@pytest.mark.parametrize("module_database_url", ["sqlite"], indirect=True)
def test_the_observer_sees_what_the_driver_runs(town: Town) -> None:
    driver: list[str] = []
    [link] = town.house.database._idle
    link.driver.set_trace_callback(driver.append)
    with statements(town.house.database) as seen:
        town.scim.get(town.user())
        town.scim.user(f"traced-{town.name}")
    link.driver.set_trace_callback(None)
    assert len(seen) == len(driver)
    assert [text.split()[0] for text in seen] == [text.split()[0] for text in driver]


def test_get_of_a_user(town: Town) -> None:
    assert cost(town, lambda: town.scim.get(town.user()), 200) == 1 + 1 + 1  # token + resource + groups


def test_get_of_a_user_whose_group_is_in_a_group(town: Town) -> None:
    user = town.scim.user(f"nested-{town.name}")["id"]
    inner = town.scim.group(f"inner-{town.name}", user)["id"]
    town.scim.group(f"outer-{town.name}", inner)
    asked = lambda: town.scim.get(f"/Users/{user}")  # noqa: E731
    assert cost(town, asked, 200) == 1 + 1 + 1 + 1  # token + resource + groups + the groups above


def test_get_of_a_user_without_groups(town: Town) -> None:
    assert cost(town, lambda: town.scim.get(town.user(), excludedAttributes="groups"), 200) == 1 + 1  # token + resource


def test_get_of_a_group(town: Town) -> None:
    assert cost(town, lambda: town.scim.get(town.everybody), 200) == 1 + 1 + 1  # token + resource + members


@pytest.mark.parametrize("wanted", ['userName eq "{town}-7"', 'externalId eq "x-{town}-7"'])
def test_a_look_up_that_finds(town: Town, wanted: str) -> None:
    text = wanted.format(town=town.name)
    assert cost(town, lambda: town.scim.get("/Users", filter=text), 200) == 1 + 1 + 1  # token + page + groups


@pytest.mark.parametrize("attribute", ["userName", "externalId", "emails.value"])
def test_a_look_up_that_finds_nobody(town: Town, attribute: str) -> None:
    text = f'{attribute} eq "nobody"'
    assert cost(town, lambda: town.scim.get("/Users", filter=text), 200) == 1 + 1  # token + page


@pytest.mark.parametrize("start", [1, 5])
def test_a_page(town: Town, start: int) -> None:
    count = 100 if len(town.people) > 100 else 5
    asked = lambda: town.scim.get("/Users", startIndex=start, count=count)  # noqa: E731
    assert cost(town, asked, 200) == 1 + 1 + 1 + 1  # token + page + total + groups


def test_a_page_of_groups_without_members(town: Town) -> None:
    asked = lambda: town.scim.get("/Groups", excludedAttributes="members")  # noqa: E731
    assert cost(town, asked, 200) == 1 + 1  # token + page


def test_patch_of_a_member(town: Town) -> None:
    newcomer = town.scim.user(f"newcomer-{town.name}")["id"]
    # token + BEGIN and COMMIT + lock and externalId + members + version + audit + events
    sum_of_parts = 1 + 2 + 2 + 1 + 1 + 1 + 1
    assert cost(town, lambda: added(town, newcomer), 204) == sum_of_parts
    assert cost(town, lambda: added(town, newcomer), 204) == 1 + 2 + 2 + 1 + 1  # … + members + whether all are known
    # … + whether the group gives access
    assert cost(town, lambda: added(town, newcomer, "remove"), 204) == sum_of_parts + 1
    assert cost(town, lambda: added(town, newcomer, "remove"), 204) == 1 + 2 + 2 + 1  # it was out already


def test_patch_of_active(town: Town) -> None:
    def patched(active: bool) -> int:
        change = {"op": "replace", "path": "active", "value": active}
        return cost(town, lambda: town.scim.patch(town.user(1), change), 200)

    # token + BEGIN and COMMIT + lock and externalId + row + audit + events + groups
    sum_of_parts = 1 + 2 + 2 + 1 + 1 + 1 + 1
    assert (patched(active=False), patched(active=True)) == (sum_of_parts + THE_END, sum_of_parts)


def test_post(town: Town) -> None:
    body = {"schemas": [USER], "userName": f"posted-{town.name}", "externalId": f"posted-{town.name}"}
    body |= {"emails": [{"value": "a@x.example"}, {"value": "b@x.example"}]}
    # token + BEGIN and COMMIT + row + entries + externalId + total + audit + events
    assert cost(town, lambda: town.scim.post("/Users", body), 201) == 1 + 2 + 1 + 1 + 1 + 1 + 1 + 1
    # token + BEGIN and ROLLBACK + the row that is taken
    assert cost(town, lambda: town.scim.post("/Users", body), 409) == 1 + 2 + 1


def test_put(town: Town) -> None:
    body: dict[str, Any] = town.scim.get(town.user(2)).json
    changed = body | {"nickName": "Two", "emails": [{"value": "two@x.example"}]}
    # token + BEGIN and COMMIT + lock and externalId + row + entries out and in + links of the old address + audit
    # + events + groups
    assert cost(town, lambda: town.scim.put(town.user(2), changed), 200) == 1 + 2 + 2 + 1 + 2 + 1 + 1 + 1 + 1
    # token + BEGIN and COMMIT + lock and externalId + groups
    assert cost(town, lambda: town.scim.put(town.user(2), changed), 200) == 1 + 2 + 2 + 1


def test_delete(town: Town) -> None:
    # token + BEGIN and COMMIT + lock and externalId + its groups' lock and versions + row + total + audit + events
    assert cost(town, lambda: town.scim.delete(town.user(3)), 204) == 1 + 2 + 2 + 1 + 1 + 1 + 1 + 1 + 1 + THE_END
