"""Ways to somebody else's account that an attacker tried, each of which must end before the account."""

from collections.abc import Iterator
from typing import Any

import pytest

from scim_server.directory import accounts, personal_tokens, sso_connections, tenants, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import write
from tests.directory.desk import rows
from tests.idp.hostile import HostileProvider
from tests.running import House
from tests.sso.local import KEPT
from tests.sso.visiting import LOOPBACK, Visitor, add_login, log_of

ADA = "ada@example.com"
MALLORY = {"sub": "u1", "email": "mallory@evil.example", "email_verified": True}


class Stage:
    """A house, its provider, and whoever is made in it."""

    def __init__(self, house: House, provider: HostileProvider, **settings: Any) -> None:
        self.house, self.provider = house, provider
        self.sso = add_login(house, provider.issuer, **settings)

    def change(self, verb: Any, *rest: Any, **named: Any) -> Any:
        with write(self.house.database, at_command_line(self.house.tenant.id)) as tx:
            return verb(tx, *rest, **named)

    def by_hand(self, name: str = ADA, *, password: bool = False, role: str = "member") -> str:
        made: str = self.change(users.create, {"userName": name}).id
        if password:
            self.change(accounts.set_password, made, KEPT)
        self.change(accounts.set_role, made, role)
        return made

    def comes(self, **person: Any) -> Visitor:
        """Somebody logs in at the provider as this person."""
        self.provider.person = person
        visitor = Visitor(self.house, self.provider.authorize)
        self.answer = visitor.log_in(self.sso)
        return visitor

    @property
    def reason(self) -> str:
        return str(log_of(self.house)[0]["reason"])


@pytest.fixture
def opened(database_url: str) -> Iterator[House]:
    house = House(database_url, provider_networks=LOOPBACK)
    yield house
    house.close()


@pytest.fixture
def stage(opened: House, provider: HostileProvider) -> Stage:
    return Stage(opened, provider)


def test_subjects_of_another_issuer_are_other_people(stage: Stage) -> None:
    """GitHub's user 1 is not the GitHub Enterprise Server's."""
    ada = stage.by_hand()
    visitor = stage.comes(sub="u1", email=ADA, email_verified=True)
    assert visitor.is_in
    with HostileProvider() as other:
        stage.sso = stage.change(sso_connections.change, stage.sso, issuer=other.issuer)
        assert not visitor.is_in, "what the old provider opened is closed"
        stage.provider = other
        mallory = stage.comes(**MALLORY)
        assert not mallory.is_in
        assert stage.reason == "unknown"
        causes = rows(stage.house.database, "SELECT cause FROM receipts WHERE user_id = :ada ORDER BY id", ada=ada)
        assert causes[-1] == ("issuer changed",)


def test_a_link_of_another_issuer_opens_nothing(stage: Stage) -> None:
    stage.by_hand()
    stage.comes(sub="u1", email=ADA, email_verified=True)
    rows(stage.house.database, "UPDATE identities SET issuer = 'https://old.example' RETURNING subject")
    assert not stage.comes(sub="u1", email=ADA, email_verified=True).is_in
    assert stage.reason == "other_issuer"


def test_a_break_glass_account_that_was_linked_is_opened_by_no_provider(stage: Stage) -> None:
    ada = stage.by_hand()
    visitor = stage.comes(sub="u1", email=ADA, email_verified=True)
    stage.change(accounts.set_break_glass, ada, on=True)
    assert not visitor.is_in
    assert not stage.comes(sub="u1", email=ADA, email_verified=True).is_in
    assert stage.reason == "break_glass"


@pytest.mark.parametrize("role", ["member", "system_admin"])
def test_an_external_id_opens_no_account_that_has_a_password(stage: Stage, role: str) -> None:
    """A SCIM token can write an externalId onto anybody; the password it does not know."""
    ada = stage.by_hand(password=True, role=role)
    stage.house.client("idp").patch(f"/Users/{ada}", {"op": "add", "path": "externalId", "value": "u1"})
    mallory = stage.comes(**MALLORY)
    assert not mallory.is_in
    if role == "member":
        assert stage.answer.headers["Location"].startswith("/login/confirm?state="), "the owner would know the password"
    else:
        assert stage.reason == "admin_needs_hand"


def test_an_external_id_opens_an_admin_whom_the_connection_itself_made(stage: Stage) -> None:
    scim = stage.house.client("idp")
    boss = scim.user("boss@example.com", externalId="u1")["id"]
    stage.change(accounts.set_role, boss, "admin")
    assert stage.comes(sub="u1", email="else@where.example", email_verified=False).is_in


def test_an_external_id_makes_nobody_an_admin_whom_another_made(stage: Stage) -> None:
    boss = stage.by_hand("boss@example.com", role="admin")
    stage.house.client("idp").patch(f"/Users/{boss}", {"op": "add", "path": "externalId", "value": "u1"})
    assert not stage.comes(**MALLORY).is_in
    assert stage.reason == "admin_needs_hand"


@pytest.mark.parametrize(("sender", "enters"), [("hr", False), ("idp", True)])
def test_a_rename_by_another_sender_opens_no_admin(stage: Stage, sender: str, enters: bool) -> None:
    """CVE-2022-1680: a sender changes an admin's address to its own and logs in as the admin."""
    boss = stage.by_hand("boss@example.com", role="admin")
    change = {"op": "replace", "path": "userName", "value": "mallory@example.com"}
    assert stage.house.client(sender).patch(f"/Users/{boss}", change).status == 200
    assert stage.comes(sub="u9", email="mallory@example.com", email_verified=True).is_in == enters
    if not enters:
        assert stage.reason == "admin_needs_hand"


def test_an_admin_made_by_hand_is_found_by_address(stage: Stage) -> None:
    stage.by_hand(role="admin")
    assert stage.comes(sub="u1", email=ADA, email_verified=True).is_in


@pytest.mark.parametrize("way", ["deleted", "renamed and inactive"])
def test_just_in_time_brings_nobody_back(opened: House, provider: HostileProvider, way: str) -> None:
    stage = Stage(opened, provider, jit=True, domains=("example.com",))
    scim = opened.client("hr")
    ada = scim.user(ADA, emails=[{"value": ADA, "primary": True}])["id"]
    if way == "deleted":
        assert scim.delete(f"/Users/{ada}").status == 204
    else:
        changes = {"active": False, "userName": "gone-ada"}
        assert scim.patch(f"/Users/{ada}", {"op": "replace", "value": changes}).status == 200
    assert not stage.comes(sub="u1", email=ADA, email_verified=True).is_in
    assert stage.reason in ("left_before", "inactive")
    assert stage.comes(sub="u2", email="new@example.com", email_verified=True).is_in


@pytest.mark.parametrize(
    ("theirs", "chooses"),
    [({}, True), ({"email_trust": "none"}, False), ({"max_age": 60}, False), ({"extra_audiences": True}, False)],
)
def test_one_tenants_trust_decides_for_no_other(
    database_url: str, provider: HostileProvider, theirs: dict[str, Any], chooses: bool
) -> None:
    house = House(database_url, provider_networks=LOOPBACK, tenancy_mode="multi")
    stage = Stage(house, provider)
    stage.by_hand()
    stranger = house.client(tenant="north")
    stranger.user(ADA)
    north = tenants.named(house.database, "north").id
    add_login(house, provider.issuer, tenant=north, **theirs)
    visitor = stage.comes(sub="u1", email=ADA, email_verified=True)
    assert stage.answer.headers["Location"].startswith("/select-account") == chooses
    assert visitor.is_in != chooses
    assert rows(house.database, "SELECT count(*) FROM sessions WHERE tenant = :north", north=north) == [(0,)]
    house.close()


def test_a_link_made_by_hand_ends_what_was_held_before(stage: Stage) -> None:
    """R7 holds whoever links."""
    from scim_server.directory import linking

    ada = stage.by_hand()
    text, _ = stage.change(personal_tokens.issue, ada, "old", expires_in=None)
    stage.change(linking.by_hand, stage.sso, ada, "u1")
    asked = stage.house.app.test_client().get("/auth/verify", headers={"Authorization": f"Bearer {text}"})
    assert asked.status_code == 401
    assert stage.comes(sub="u1", email="else@where.example", email_verified=False).is_in


def test_strangers_fill_no_tables(stage: Stage) -> None:
    browser = stage.house.app.test_client()
    for n in range(60):
        assert browser.get(f"/password/x{n}").status_code == 404
        assert browser.get(f"/sso/{stage.sso.id}/callback?state=x{n}").status_code == 400
    [(lines,)] = rows(stage.house.database, "SELECT count(*) FROM logins")
    [(records,)] = rows(stage.house.database, "SELECT count(*) FROM audit_records WHERE action = 'login.refused'")
    assert lines == records == 20, "so many from one place in a quarter of an hour; the rest is counted and logged"
