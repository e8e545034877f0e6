"""Mounted into somebody else's Flask application: its views are guarded, and everything else is left as it was."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from flask import Flask, session
from flask_wtf import CSRFProtect
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client, TestResponse

from scim_server.app import mount
from scim_server.config import Settings
from scim_server.directory import connections, links, sessions, sso_connections, tenants
from scim_server.directory.actor import at_command_line
from scim_server.directory.errors import Unavailable
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import write
from scim_server.directory.vault import Vault
from sso import current_person, login_required
from tests.directory.desk import statements
from tests.running import House
from tests.sso import credentials

MANUAL = Path(__file__).parents[2] / "docs/how-to/mount-into-flask.md"
PAGE = {"Accept": "text/html"}
KEY = "a key for the seals of this test"
PASSWORD = "seven-otters-juggle-violet-lamps"


class Mounted(House):
    """The house within another one's application."""

    def __init__(self, app: Flask, url: str, **settings: Any) -> None:
        self.app, self.settings = app, Settings(database_url=url, secret_key=KEY, **settings)
        self.database: Database = mount(app, self.settings)
        self.tenant = tenants.ensure_default(self.database)
        self.scim = self.client()

    def person(self, name: str = "ada@x.example", **attributes: Any) -> str:
        return str(self.scim.user(name, **attributes)["id"])

    def logged_in(self, user_id: str) -> Any:
        browser = self.app.test_client()
        browser.set_cookie("scim_session", credentials.session(self.database, self.tenant.id, user_id))
        return browser

    def link(self, user_id: str) -> str:
        with write(self.database, at_command_line(self.tenant.id)) as tx:
            return links.issue(tx, user_id)[0]

    def deactivate(self, user_id: str) -> None:
        self.scim.patch(f"/Users/{user_id}", {"op": "replace", "value": {"active": False}})


def somebodys() -> Flask:
    """An application with a key, routes, a session and error pages of its own."""
    app = Flask("somebodys")
    app.secret_key = "somebody's own"

    @app.get("/")
    def start() -> str:
        session["seen"] = session.get("seen", 0) + 1
        return f"{session['seen']}, {current_person()}"

    @app.route("/reports", methods=["GET", "POST"])
    @app.route("/reports/<path:rest>")
    @login_required
    def reports(rest: str = "") -> dict[str, Any]:
        person = current_person()
        assert person is not None
        return {**person._asdict(), "rest": rest}

    @app.get("/broken")
    def broken() -> str:
        raise RuntimeError("somebody's own bug")

    for status in (401, 404, 405, 500):
        app.register_error_handler(status, lambda error: (f"somebody's {error.code}", error.code))
    return app


@pytest.fixture
def mounted(database_url: str) -> Iterator[Mounted]:
    made = Mounted(somebodys(), database_url)
    yield made
    made.close()


def form_token(page: TestResponse) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def log_in(browser: Any, mounted: Mounted, user_id: str, name: str, under: str = "", **where: str) -> TestResponse:
    """Set a password by a link, log out, and log in with it."""
    setting, at = browser.get(f"{under}/password/{mounted.link(user_id)}"), f"{under}/login"
    action = re.search(r'action="([^"]+)"', setting.text)
    assert action is not None
    done = browser.post(action[1], data={"csrf_token": form_token(setting), "password": PASSWORD})
    assert (done.status_code, done.location) == (303, f"{under}/me")
    browser.post(f"{under}/logout", data={"csrf_token": form_token(browser.get(f"{under}/logout"))})
    page = browser.get(at, query_string=where)
    target = re.search(r'name="redirect" value="([^"]*)"', page.text)
    fields = {"redirect": target[1].replace("&amp;", "&")} if target else {}
    sent = {"csrf_token": form_token(page), "username": name, "password": PASSWORD, **fields}
    answer: TestResponse = browser.post(at, data=sent)
    return answer


def target_of(answer: TestResponse) -> dict[str, str]:
    """What the login is told about where to go on to."""
    assert answer.location.startswith("http://localhost/login?redirect=")
    return {"redirect": parse_qs(urlsplit(answer.location).query)["redirect"][0]}


# ------------------------------------------------------------------------------------------------ its views


def test_the_program_of_the_manual_runs(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = re.search(r"^```python\n(.*?)^```", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    assert program is not None
    for name, value in {
        "APPLICATION_KEY": "somebody's own", "SCIM_SERVER_DATABASE_URL": database_url, "SCIM_SERVER_SECRET_KEY": KEY,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "manual"}
    exec(program[1], names)
    app: Flask = names["app"]
    database: Database = app.extensions["database"]
    browser = app.test_client()
    assert browser.get("/").text == "Everybody may read this."
    assert browser.get("/reports", headers=PAGE).location == "http://localhost/login?redirect=%2Freports"
    assert browser.get("/login").status_code == 200
    database.close()


def test_a_page_leads_to_the_login_and_back(mounted: Mounted) -> None:
    ada, browser = mounted.person(displayName="Ada"), mounted.app.test_client()
    mounted.scim.group("crew", ada)
    wanted = "/reports/a%20b/%C3%A9?year=2026&part=%26&q=%2F"
    sent_off = browser.get(wanted, headers=PAGE)
    assert sent_off.status_code == 303
    assert target_of(sent_off) == {"redirect": wanted}
    entered = log_in(browser, mounted, ada, "ada@x.example", redirect=wanted)
    assert (entered.status_code, entered.location) == (303, wanted)
    assert browser.get(entered.location).json == {
        "id": ada, "tenant": mounted.tenant.id, "username": "ada@x.example", "email": "ada@x.example", "name": "Ada",
        "groups": ["crew"], "rest": "a b/é",
    }  # fmt: skip


@pytest.mark.parametrize("path", ["/reports/\\evil.example", "/reports/%09x", "/reports/" + "x" * 3000])
def test_an_odd_page_leads_to_the_login_all_the_same(mounted: Mounted, path: str) -> None:
    answer = mounted.app.test_client().get(path, headers=PAGE)
    entered = log_in(mounted.app.test_client(), mounted, mounted.person(), "ada@x.example", **target_of(answer))
    assert entered.location in ("/me", quote(path, safe="/%"))


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {}),
        ("GET", {"Accept": "application/json"}),
        ("GET", PAGE | {"X-Requested-With": "XMLHttpRequest"}),
        ("POST", PAGE),
        ("HEAD", PAGE),
    ],
    ids=str,
)
def test_what_is_no_page_gets_the_applications_own_401(mounted: Mounted, method: str, headers: dict[str, str]) -> None:
    answer = mounted.app.test_client().open("/reports", method=method, headers=headers)
    assert answer.status_code == 401
    assert method == "HEAD" or answer.text == "somebody's 401"


def test_whoever_is_ended_is_out_with_the_next_request(mounted: Mounted) -> None:
    ada = mounted.person()
    browser, token = mounted.logged_in(ada), credentials.personal_token(mounted.database, mounted.tenant.id, ada)
    script, bearer = mounted.app.test_client(), {"Authorization": f"Bearer {token}"}
    assert browser.get("/reports").json["id"] == script.get("/reports", headers=bearer).json["id"] == ada
    mounted.deactivate(ada)
    assert browser.get("/reports").status_code == script.get("/reports", headers=bearer).status_code == 401
    assert browser.get("/").text == "1, None"


def test_whoever_is_ended_is_out_also_where_a_test_keeps_a_context(mounted: Mounted) -> None:
    ada = mounted.person()
    browser = mounted.logged_in(ada)
    with mounted.app.app_context():  # as the fixtures of many applications do: ``g`` then outlives a request
        assert browser.get("/reports").status_code == 200
        mounted.deactivate(ada)
        assert browser.get("/reports").status_code == 401


def test_a_person_is_looked_up_once(mounted: Mounted) -> None:
    browser = mounted.logged_in(mounted.person())
    browser.get("/reports")
    with statements(mounted.database) as seen:
        browser.get("/reports")  # asks for a session, and for the person
    assert len(seen) == 1 + 1, seen  # the session with its person; the groups


def test_a_scim_token_opens_no_view(mounted: Mounted) -> None:
    answer = mounted.app.test_client().get("/reports", headers={"Authorization": f"Bearer {mounted.scim.token}"})
    assert answer.status_code == 401


def test_a_database_that_cannot_be_reached_lets_nobody_in(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = mounted.logged_in(mounted.person())

    def gone(*_: object) -> None:
        raise Unavailable("gone")

    monkeypatch.setattr(sessions, "find", gone)
    answer = browser.get("/reports", headers=PAGE)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")


# -------------------------------------------------------------------------------------------- is left as it was


def test_errors_and_routes_stay_the_applications_own(mounted: Mounted) -> None:
    browser = mounted.app.test_client()
    assert browser.get("/nothing", headers=PAGE).text == "somebody's 404"
    assert browser.post("/broken").text == "somebody's 405"
    assert (browser.get("/broken").status_code, browser.get("/broken").text) == (500, "somebody's 500")
    assert "Content-Security-Policy" not in browser.get("/").headers
    for path in ("/healthz", "/metrics"):  # those of the server are not mounted
        assert browser.get(path).status_code == 404


def test_what_comes_after_does_not_change_the_login(mounted: Mounted) -> None:
    answer = mounted.app.test_client().get("/login")
    assert answer.status_code == 200
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("when", ["before", "after"])
def test_key_and_session_stay_the_applications_own(database_url: str, when: str) -> None:
    app, plain = somebodys(), somebodys()
    if when == "after":
        app.secret_key = None
    mounted = Mounted(app, database_url)
    app.secret_key = plain.secret_key
    ada, browser = mounted.person(), app.test_client()
    cookie = browser.get("/").headers["Set-Cookie"]
    assert cookie == plain.test_client().get("/").headers["Set-Cookie"]
    assert cookie.startswith("session=")
    assert log_in(browser, mounted, ada, "ada@x.example").status_code == 303
    assert browser.get("/").text.startswith("2, Person(")  # it counted on
    browser.post("/logout", data={"csrf_token": form_token(browser.get("/logout"))})
    assert browser.get("/").text == "3, None"
    mounted.close()


def test_an_application_without_a_key_has_forms_that_work(database_url: str) -> None:
    app = Flask("keyless")
    mounted = Mounted(app, database_url)
    ada, browser = mounted.person(), app.test_client()
    assert log_in(browser, mounted, ada, "ada@x.example").status_code == 303
    assert browser.get_cookie("scim_form") is not None
    assert browser.get_cookie("session") is None
    mounted.close()


def test_csrfprotect_gets_along_with_the_login(mounted: Mounted) -> None:
    csrf = CSRFProtect(mounted.app)
    csrf.exempt(mounted.app.blueprints["login"])
    ada, browser = mounted.person(), mounted.app.test_client()
    assert log_in(browser, mounted, ada, "ada@x.example").status_code == 303
    assert browser.post("/reports").status_code == 400  # somebody's own views stay protected
    assert browser.post("/logout").status_code == 400  # and ours
    posted = browser.post("/sso/nobodys/backchannel-logout", data={"logout_token": "x"})
    assert posted.status_code == 404


def test_scim_is_served(mounted: Mounted) -> None:
    ada = mounted.person()
    assert mounted.scim.get(f"/Users/{ada}").json["meta"]["location"] == f"http://scim.test/scim/v2/Users/{ada}"
    anybody = mounted.app.test_client().get("/scim/v2/Users")
    assert (anybody.status_code, anybody.content_type) == (401, "application/scim+json")


# ------------------------------------------------------------------------------------------------ under a path


def github(mounted: Mounted) -> SsoConnection:
    with write(mounted.database, at_command_line(mounted.tenant.id)) as tx:
        held = connections.ensure(tx, "hub")
        return sso_connections.create(
            tx, held, "github", issuer="https://github.com", client_id="us", client_secret=Vault(KEY).seal("secret"),
            settings=SsoSettings(),
        )  # fmt: skip


class Below:
    """A client that asks by the URL which browsers know, so that cookies for https come back."""

    def __init__(self, client: Any, root: str) -> None:
        self.client, self.base = client, root.removesuffix("/accounts")

    def get(self, path: str, **rest: Any) -> Any:
        return self.client.get(path, base_url=self.base, **rest)

    def post(self, path: str, **rest: Any) -> Any:
        return self.client.post(path, base_url=self.base, **rest)


@pytest.fixture(params=["", "https://www.example.com"], ids=["as asked", "by its URL"])
def under(request: pytest.FixtureRequest, database_url: str) -> Iterator[tuple[Mounted, Any, str]]:
    """An application below /accounts of another one, a browser, and the root of its URLs."""
    mounted = Mounted(somebodys(), database_url, base_url=request.param)
    outer = DispatcherMiddleware(Flask("outer"), {"/accounts": mounted.app})
    base = request.param or "http://localhost"
    yield mounted, Client(outer, TestResponse), f"{base}/accounts"
    mounted.close()


def test_below_a_path_a_page_leads_to_the_login_and_back(under: tuple[Mounted, Any, str]) -> None:
    mounted, client, root = under
    ada, browser = mounted.person(), Below(client, root)
    sent_off = browser.get("/accounts/reports?x=1", headers=PAGE)
    assert sent_off.location == f"{root}/login?redirect=%2Faccounts%2Freports%3Fx%3D1"
    entered = log_in(browser, mounted, ada, "ada@x.example", under="/accounts", redirect="/accounts/reports?x=1")
    assert entered.location == "/accounts/reports?x=1"
    assert browser.get(entered.location).json["id"] == ada


def test_below_a_path_every_address_of_ours_is_below_it(under: tuple[Mounted, Any, str]) -> None:
    mounted, client, root = under
    ada, browser, sso = mounted.person(), Below(client, root), github(mounted)
    for page in ("/login", "/logout", "/logout/done", f"/login/{sso.id}", f"/password/{mounted.link(ada)}"):
        answer = browser.get(f"/accounts{page}")
        assert answer.status_code == 200
        local = re.findall(r'(?:href|action|src)="(/[^"]*)"', answer.text)
        assert local
        assert [each for each in local if not each.startswith("/accounts/")] == []
    page = browser.get(f"/accounts/login/{sso.id}")
    started = browser.post(f"/accounts/login/{sso.id}", data={"csrf_token": form_token(page)})
    given = parse_qs(urlsplit(started.location).query)
    assert given["redirect_uri"] == [f"{root}/sso/{sso.id}/callback"]
    assert log_in(browser, mounted, ada, "ada@x.example", under="/accounts").location == "/accounts/me"
    asked = browser.get("/accounts/logout")
    ended = browser.post("/accounts/me/sessions", data={"csrf_token": form_token(asked), "which": "all"})
    assert ended.location == "/accounts/logout/done"


def test_below_a_path_scim_is_below_it(under: tuple[Mounted, Any, str]) -> None:
    mounted, client, root = under
    ada = mounted.person()
    asked = {"Authorization": f"Bearer {mounted.scim.token}"}
    answer = Below(client, root).get(f"/accounts/scim/v2/Users/{ada}", headers=asked)
    assert answer.json["meta"]["location"] == f"{root}/scim/v2/Users/{ada}"


def test_below_a_path_a_proxy_is_told_the_way(under: tuple[Mounted, Any, str]) -> None:
    _, client, root = under
    answer = Below(client, root).get("/accounts/auth/verify", headers=PAGE | {"X-Forwarded-Uri": "/app"})
    assert answer.location == f"{root}/login?redirect=%2Fapp"
