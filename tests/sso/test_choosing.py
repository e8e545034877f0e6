"""Somebody with an account in several tenants chooses one, and enters that one alone."""

import re
from collections.abc import Iterator

import pytest

from scim_server.directory import accounts, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import write
from tests.directory.desk import rows
from tests.idp.hostile import HostileProvider
from tests.running import House
from tests.sso.local import ADA, KEPT, PASSWORD, log_in
from tests.sso.visiting import LOOPBACK, Visitor, add_login

TENANTS = ("default", "north", "south")


class Town:
    """A house of several tenants, with one person in each."""

    def __init__(self, house: House, *, password: str | None) -> None:
        self.house = house
        self.people: dict[str, str] = {}
        for name in TENANTS:
            house.client(tenant=name)
            with write(house.database, at_command_line(self.tenant(name))) as tx:
                self.people[name] = users.create(tx, {"userName": ADA}).id
                if password is not None:
                    accounts.set_password(tx, self.people[name], password)

    def tenant(self, name: str) -> str:
        return str(rows(self.house.database, "SELECT id FROM tenants WHERE name = :name", name=name)[0][0])

    def deactivate(self, name: str) -> None:
        scim = self.house.client(tenant=name)
        change = {"op": "replace", "path": "active", "value": False}
        assert scim.patch(f"/Users/{self.people[name]}", change).status == 200


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    opened = House(database_url, provider_networks=LOOPBACK, tenancy_mode="multi", password_local_login="everyone")
    yield opened
    opened.close()


def offered(visitor: Visitor, path: str) -> dict[str, str]:
    """The names on the buttons, and what each stands for."""
    page = visitor.get(path)
    assert page.status_code == 200, page.text
    found = re.findall(r'name="account" value="([^"]+)"><bdi>([^<]+)</bdi>', page.text)
    return {name: value for value, name in found}


def choose(visitor: Visitor, path: str, account: str) -> int:
    state = path.partition("state=")[2]
    return visitor.post("/select-account", state=state, account=account).status_code


def tenant_of(visitor: Visitor) -> str:
    """In which tenant a browser is logged in."""
    cookie = visitor.browser.get_cookie("scim_session")
    assert cookie is not None
    sql = "SELECT t.name FROM sessions s JOIN tenants t ON t.id = s.tenant WHERE s.revoked IS NULL ORDER BY s.id DESC"
    return str(rows(visitor.house.database, sql)[0][0])


def test_one_password_in_several_tenants_leads_to_the_choice(house: House) -> None:
    town, visitor = Town(house, password=KEPT), Visitor(house)
    path = log_in(visitor, ADA, PASSWORD).headers["Location"]
    assert path.startswith("/select-account?state=")
    accounts = offered(visitor, path)
    assert set(accounts) == set(TENANTS)
    assert choose(visitor, path, accounts["north"]) == 303
    assert tenant_of(visitor) == "north"
    assert choose(visitor, path, accounts["south"]) == 400, "the choice is made once"
    assert town.people


def test_only_accounts_that_may_be_entered_are_offered(house: House) -> None:
    town, visitor = Town(house, password=KEPT), Visitor(house)
    town.deactivate("south")
    path = log_in(visitor, ADA, PASSWORD).headers["Location"]
    assert set(offered(visitor, path)) == {"default", "north"}
    town.deactivate("north")
    assert choose(visitor, path, town.tenant("north")) == 403
    assert not visitor.is_in
    assert log_in(visitor, ADA, PASSWORD).headers["Location"] == "/me", "one is left, and entered at once"


def test_the_choice_belongs_to_the_browser(house: House) -> None:
    town, visitor, thief = Town(house, password=KEPT), Visitor(house), Visitor(house)
    path = log_in(visitor, ADA, PASSWORD).headers["Location"]
    thief.get("/login")
    assert thief.get(path).status_code == 400
    assert choose(thief, path, town.tenant("north")) == 400
    assert not thief.is_in


@pytest.mark.parametrize("account", ["", "elsewhere", "01a1fd05-4991-7eaa-8f53-f6666df5ba70"])
def test_what_was_not_offered_cannot_be_chosen(house: House, account: str) -> None:
    Town(house, password=KEPT)
    visitor = Visitor(house)
    path = log_in(visitor, ADA, PASSWORD).headers["Location"]
    assert choose(visitor, path, account) == 400
    assert not visitor.is_in


def test_a_proven_identity_chooses_among_the_tenants_of_its_client(house: House) -> None:
    town = Town(house, password=None)
    with HostileProvider() as provider:
        provider.person = {"sub": "u1", "email": ADA, "email_verified": True}
        logins = {name: add_login(house, provider.issuer, tenant=town.tenant(name)) for name in TENANTS[:2]}
        add_login(house, provider.issuer, tenant=town.tenant("south"), client=("another", "s"))
        visitor = Visitor(house, provider.authorize)
        path = visitor.log_in(logins["default"]).headers["Location"]
        accounts = offered(visitor, path)
        assert set(accounts) == {"default", "north"}, "another client's connection proves nothing to the third"
        assert rows(house.database, "SELECT count(*) FROM identities") == [(0,)], "nothing is bound by looking"
        assert choose(visitor, path, accounts["north"]) == 303
        assert tenant_of(visitor) == "north"
        assert rows(house.database, "SELECT tenant FROM identities") == [(town.tenant("north"),)]
