"""``/auth/verify``: what a proxy is told about whoever asks, and what it costs to ask with every request."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, strategies as st
from werkzeug.test import TestResponse

from scim_server.directory import tenants
from scim_server.protocol.filters import instant
from sso import verify
from tests.directory.desk import rows, statements
from tests.running import House
from tests.sso import credentials

PAGE = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
FORWARDED = {"X-Forwarded-Method": "GET", "X-Forwarded-Uri": "/app/report?year=2026&part=2"}


class Asking:
    """A person with a session, and a proxy that asks about them."""

    def __init__(self, house: House, name: str = "ada@x.example", /, tenant: str | None = None, **attributes: Any):
        self.house, self.tenant = house, tenant or house.tenant.id
        named = {each.id: each.name for each in tenants.every(house.database)}
        self.scim = house.client(tenant=named[self.tenant])
        self.id: str = self.scim.user(name, **attributes)["id"]
        self.secret = credentials.session(house.database, self.tenant, self.id)
        self.browser = house.app.test_client()
        self.browser.set_cookie("scim_session", self.secret)

    def ask(self, path: str = "/auth/verify", **headers: str) -> TestResponse:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.browser.get(path, headers=sent)


def remote(answer: TestResponse) -> dict[str, str]:
    """The headers that are meant for the application, as it reads them."""
    assert answer.status_code == 200
    return {name: value for name, value in answer.headers.items() if name.startswith("Remote-")}


def ask_anybody(house: House, headers: Mapping[str, str]) -> TestResponse:
    return house.app.test_client().get("/auth/verify", headers=dict(headers))


# ----------------------------------------------------------------------------------------------- who is in


def test_the_application_is_told_who_it_is(house: House) -> None:
    ada = Asking(house, displayName="Ada Lovelace", emails=[{"value": "a@x.example"}, {"value": "b@x.example",
        "primary": True}])  # fmt: skip
    ada.scim.group("crew", ada.id)
    ada.scim.group("Night shift", ada.id)
    answer = ada.ask()
    told = remote(answer)
    shown = [each["display"] for each in ada.scim.get(f"/Users/{ada.id}").json["groups"]]
    assert told.pop("Remote-Groups").split(",") == shown
    assert sorted(shown) == ["Night shift", "crew"]
    assert told == {
        "Remote-User": "ada@x.example", "Remote-Email": "b@x.example", "Remote-Name": "Ada Lovelace",
    }  # fmt: skip
    assert answer.data == b""
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Set-Cookie" not in answer.headers


def test_what_is_not_known_is_told_as_far_as_it_is(house: House) -> None:
    assert remote(Asking(house, "ada").ask()) == {
        "Remote-User": "ada", "Remote-Email": "", "Remote-Name": "ada", "Remote-Groups": "",
    }  # fmt: skip
    assert remote(Asking(house, "bob@x.example", name={"formatted": "Bob B."}).ask()) == {
        "Remote-User": "bob@x.example", "Remote-Email": "bob@x.example", "Remote-Name": "Bob B.", "Remote-Groups": "",
    }  # fmt: skip


def test_head_is_answered_like_get(house: House) -> None:
    ada = Asking(house)
    assert ada.browser.head("/auth/verify").headers["Remote-User"] == "ada@x.example"
    assert house.app.test_client().head("/auth/verify").status_code == 401


def test_a_personal_token_stands_for_its_person(house: House) -> None:
    ada = Asking(house)
    token = credentials.personal_token(house.database, ada.tenant, ada.id)
    answer = ask_anybody(house, {"Authorization": f"Bearer {token}"})
    assert remote(answer)["Remote-User"] == "ada@x.example"
    assert ask_anybody(house, {"Authorization": f"bearer  {token} "}).status_code == 200
    for wrong in ("", "x", token[:-1], token + "x", token.replace("scs_user", "scs_scim"), str(ada.scim.token)):
        assert ask_anybody(house, {"Authorization": f"Bearer {wrong}"}).status_code == 401


def test_a_bearer_token_speaks_for_itself_whatever_cookie_comes_with_it(house: House) -> None:
    ada, bob = Asking(house), Asking(house, "bob")
    token = credentials.personal_token(house.database, bob.tenant, bob.id)
    assert remote(ada.ask(Authorization=f"Bearer {token}"))["Remote-User"] == "bob"
    assert ada.ask(Authorization=f"Bearer {ada.scim.token}").status_code == 401
    assert remote(ada.ask(Authorization="Basic YTpi"))["Remote-User"] == "ada@x.example"  # the application's own


@pytest.mark.parametrize("end", ["deactivate", "delete", "alter what is shown"])
def test_the_next_request_after_the_end_is_refused(house: House, end: str) -> None:
    ada = Asking(house)
    token = credentials.personal_token(house.database, ada.tenant, ada.id)
    assert ada.ask().status_code == 200
    if end == "deactivate":
        ada.scim.patch(f"/Users/{ada.id}", {"op": "replace", "value": {"active": False}})
    elif end == "delete":
        ada.scim.delete(f"/Users/{ada.id}")
    else:
        ada.browser.set_cookie("scim_session", ada.secret[:-1])
        token = token[:-1]
    assert ada.ask().status_code == 401
    assert ask_anybody(house, {"Authorization": f"Bearer {token}"}).status_code == 401


def test_a_name_stands_for_a_person_within_one_tenant_only(house: House) -> None:
    strangers = tenants.create(house.database, "strangers")
    ada, eve = Asking(house, "ada"), Asking(house, "ada", tenant=strangers.id)
    assert (ada.ask().status_code, eve.ask().status_code) == (200, 403)
    assert (ada.ask("/auth/verify/default").status_code, eve.ask("/auth/verify/default").status_code) == (200, 403)
    assert (ada.ask("/auth/verify/strangers").status_code, eve.ask("/auth/verify/strangers").status_code) == (403, 200)
    assert ada.ask("/auth/verify/nobody").status_code == 403
    assert not [name for name in eve.ask().headers if name[0].startswith("Remote-")]


# ------------------------------------------------------------------------------------------- names and headers

ODD = [
    "a\r\nRemote-Groups: admins", "a\nb", "a\rb", "a\x00b", "a\tb", "a\x85b", "a\u2028b", "a\u202eb", "\u00a0a",
    "Zoë Ωμέγα 李", "%0D%0A", "50 %", " ada", "ada ", "a  b", "\U0001f9d1\u200d\U0001f680", '"quoted"; x=y', "a,b",
]  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_a_name_is_one_line_of_ascii_and_reads_back_as_it_was(name: str) -> None:
    text = verify._header(name)
    assert text.isascii()
    assert text.isprintable()
    assert text == text.strip()
    assert unquote(text) == name


@given(st.text(), st.text())
def test_two_names_never_look_the_same(one: str, two: str) -> None:
    assert (verify._header(one) == verify._header(two)) == (one == two)


@given(st.lists(st.text(min_size=1)))
def test_a_group_never_looks_like_two(groups: list[str]) -> None:
    person = verify.Person("id", "tenant", "ada", "", "", tuple(groups))
    line = verify._told(person).headers["Remote-Groups"]
    assert [unquote(each) for each in line.split(",") if line] == groups


def test_half_a_character_is_no_reason_to_fail() -> None:
    assert verify._header("\ud800") == "%ED%A0%80"


def test_a_line_end_in_a_name_starts_no_header(house: House) -> None:
    ada = Asking(house, displayName="Ada\r\nRemote-Groups: admins\r\n\r\n<p>", userType="x")
    ada.scim.group("crew,admins", ada.id)
    told = remote(ada.ask())
    assert told["Remote-Name"] == "Ada%0D%0ARemote-Groups: admins%0D%0A%0D%0A<p>"
    assert told["Remote-Groups"] == "crew%2Cadmins"


# --------------------------------------------------------------------------------------------- who is not in


def test_nginx_is_told_401(house: House) -> None:
    answer = ask_anybody(house, PAGE)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer realm=login")
    assert not [name for name in answer.headers if name[0].startswith("Remote-")]


def test_a_page_behind_traefik_or_caddy_leads_to_the_login_and_back(house: House) -> None:
    answer = ask_anybody(house, PAGE | FORWARDED)
    assert answer.status_code == 302
    assert answer.location == "http://localhost/login?redirect=%2Fapp%2Freport%3Fyear%3D2026%26part%3D2"


@pytest.mark.parametrize(
    "asked",
    [
        {"Accept": "application/json"},
        {"Accept": "*/*"},
        {},
        PAGE | {"X-Requested-With": "XMLHttpRequest"},
        PAGE | {"X-Forwarded-Method": "POST"},
    ],
    ids=str,
)
def test_what_is_no_page_is_told_401(house: House, asked: dict[str, str]) -> None:
    assert ask_anybody(house, FORWARDED | asked).status_code == 401


@pytest.mark.parametrize("uri", ["//evil.example/", "https://evil.example/", "/\\evil.example", "evil", ""])
def test_an_address_elsewhere_is_no_way_on(house: House, uri: str) -> None:
    answer = ask_anybody(house, PAGE | {"X-Forwarded-Uri": uri})
    assert answer.location == "http://localhost/login?redirect=%2Fme"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "localhost, evil.example", "", "localhost:1"]
)
@pytest.mark.parametrize("base_url", ["", "https://accounts.example"])
def test_a_foreign_host_is_no_way_on(database_url: str, host: str, base_url: str) -> None:
    house = House(database_url, base_url=base_url)
    answer = ask_anybody(house, PAGE | FORWARDED | {"X-Forwarded-Host": host, "X-Forwarded-Proto": "https"})
    house.close()
    assert (answer.status_code, answer.location) == (302, f"{base_url or 'http://localhost'}/login")


def test_our_own_host_is_a_way_on(database_url: str) -> None:
    house = House(database_url, base_url="https://accounts.example")
    answer = ask_anybody(house, PAGE | FORWARDED | {"X-Forwarded-Host": "accounts.example"})
    house.close()
    assert answer.location.startswith("https://accounts.example/login?redirect=%2Fapp")


# --------------------------------------------------------------------------------------------------- its cost


def test_a_request_costs_two_statements(house: House) -> None:
    ada = Asking(house)
    assert ada.ask().status_code == 200  # finds the default tenant, once in the life of a process
    with statements(house.database) as seen:
        ada.ask()
    assert len(seen) == 1 + 1, seen  # the session with its person; the groups
    ada.scim.group("outer", ada.scim.group("inner", ada.id)["id"])
    with statements(house.database) as seen:
        ada.ask()
    assert len(seen) == 1 + 2, seen  # groups that are themselves in a group take a second one
    with statements(house.database) as seen:
        ada.ask("/auth/verify/default")
        ask_anybody(house, PAGE)
    assert len(seen) == 1 + 2, seen  # nobody costs nothing


def test_a_refusal_costs_one_statement(house: House) -> None:
    ada = Asking(house)
    ada.browser.set_cookie("scim_session", "nobodys")
    with statements(house.database) as seen:
        assert ada.ask().status_code == 401
    assert len(seen) == 1, seen
    with statements(house.database) as seen:
        assert ask_anybody(house, {"Authorization": "Bearer nobodys"}).status_code == 401
    assert not seen  # it cannot be a token: nothing is looked up


def test_the_use_of_a_session_or_token_is_written_once_a_minute(house: House) -> None:
    ada = Asking(house)
    token = credentials.personal_token(house.database, ada.tenant, ada.id)
    _used_long_ago(house)
    with statements(house.database) as seen:
        for _ in range(5):
            assert ada.ask().status_code == 200
            assert ask_anybody(house, {"Authorization": f"Bearer {token}"}).status_code == 200
    for table in ("sessions", "personal_tokens"):
        written = [each for each in seen if each.split()[:2] == ["UPDATE", table]]
        assert 1 <= len(written) <= 2, seen  # two where the minute ended meanwhile
    assert _last_used(house) > (LONG_AGO, LONG_AGO)


@pytest.mark.parametrize("table", ["sessions", "personal_tokens"])
def test_whoever_is_at_work_on_the_row_holds_no_request_up(database_url: str, table: str) -> None:
    house = House(database_url, statement_seconds=3600)  # longer than a test may last
    ada = Asking(house)
    token = credentials.personal_token(house.database, ada.tenant, ada.id)
    _used_long_ago(house)
    with house.database.transaction() as link, statements(house.database) as seen:
        link.run_sql(f"UPDATE {table} SET epoch = epoch")
        answer = ask_anybody(house, {"Authorization": f"Bearer {token}"}) if table == "personal_tokens" else ada.ask()
        assert answer.status_code == 200
    used = dict(zip(("sessions", "personal_tokens"), _last_used(house), strict=True))
    house.close()
    assert any(each.split()[:2] == ["UPDATE", table] for each in seen), "it was not even tried"
    assert used[table] == LONG_AGO


LONG_AGO = instant(datetime.now(UTC) - timedelta(minutes=5))


def _used_long_ago(house: House) -> None:
    house.database.run_sql(f"UPDATE sessions SET last_seen = '{LONG_AGO}'")
    house.database.run_sql(f"UPDATE personal_tokens SET last_used = '{LONG_AGO}'")


def _last_used(house: House) -> tuple[str, ...]:
    return rows(house.database, "SELECT s.last_seen, p.last_used FROM sessions s, personal_tokens p")[0]
