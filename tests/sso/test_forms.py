"""Forms act with our token alone, and looking changes nothing (OWASP ASVS 5.0.0, 3.5.1 and 3.5.3)."""

import hashlib
import re

import pytest

from scim_server.directory import attempts, links
from scim_server.directory.store.tables import metadata
from sso.routes import ROUTES
from tests.directory.desk import rows
from tests.running import House
from tests.sso.local import ADA, OTHER, PASSWORD, change, log_in, person
from tests.sso.visiting import Visitor, add_login


def fill(route: str, values: dict[str, str]) -> str:
    return re.sub(r"<(\w+)>", lambda match: values[match[1]], route)


class Staged:
    """Somebody logged in, with something to find behind each path."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.ada = person(house)
        self.visitor = Visitor(house)
        assert log_in(self.visitor).status_code == 303
        sso = add_login(house, "https://idp.example")
        bob = person(house, "bob")
        link, _ = change(house, links.issue, bob)
        browser = self.visitor.browser.get_cookie("scim_browser")
        assert browser is not None
        redeemed = {"proof": {"subject": "s-1", "issuer": "https://idp.example", "email": "bob@corp.example"}}
        data = {"target": "/me", "redeemed": redeemed, "name": "bob", "among": [sso.id]}
        self.states = {
            stage: change(house, attempts.start, browser.value, stage, data, sso_connection=sso.id, user_id=bob)
            for stage in (attempts.CONFIRM, attempts.CHOOSE)
        }
        self.values = {"connection": sso.id, "token": link, "name": "login.css", "tenant": house.tenant.name}
        self.fields = {
            "/login": {"username": ADA, "password": PASSWORD},
            "/login/confirm": {"state": self.states[attempts.CONFIRM], "password": PASSWORD},
            "/select-account": {"state": self.states[attempts.CHOOSE], "account": sso.id},
            "/password/<token>": {"password": OTHER},
            "/me/sessions": {"which": "all"},
        }

    def fingerprint(self) -> str:
        """A hash of every table, apart from what is noted of mere use."""
        kept = hashlib.sha256()
        for name, table in sorted(metadata.tables.items()):
            columns = ", ".join(each.name for each in table.columns if each.name not in ("last_seen", "last_used"))
            found = rows(self.house.database, f"SELECT {columns} FROM {name}") if name != "throttles" else []
            kept.update(repr((name, sorted(map(repr, found)))).encode())
        return kept.hexdigest()


@pytest.fixture
def staged(house: House) -> Staged:
    return Staged(house)


FORMS = [each.path for each in ROUTES if each.method == "POST" and each.form]


def test_every_unsafe_route_of_the_login_is_in_the_table(house: House) -> None:
    found = {
        (rule.rule, method)
        for rule in house.app.url_map.iter_rules()
        if rule.endpoint.startswith("login.")
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD"}
    }
    assert found == {(each.path, each.method) for each in ROUTES}
    assert {method for _, method in found} == {"GET", "POST"}


@pytest.mark.parametrize("path", FORMS)
def test_a_form_without_our_token_does_nothing(staged: Staged, path: str) -> None:
    url, fields = fill(path, staged.values), staged.fields.get(path, {})
    strange, before = Visitor(staged.house).form_token(), staged.fingerprint()
    for token in ({}, {"csrf_token": ""}, {"csrf_token": "x"}, {"csrf_token": strange}):
        answer = staged.visitor.browser.post(url, data={**fields, **token})
        assert answer.status_code == 400, answer.text
        assert "open for too long" in answer.text
    own = staged.visitor.form_token()
    for origin in ("https://evil.example", "http://localhost.evil.example", "http://localhost:81"):
        answer = staged.visitor.browser.post(url, data={**fields, "csrf_token": own}, headers={"Origin": origin})
        assert answer.status_code == 400
    answer = staged.visitor.browser.post(f"{url}?csrf_token={own}", data=fields)
    assert answer.status_code == 400, "a token in the address would end up in logs"
    assert staged.fingerprint() == before
    assert staged.visitor.is_in


def test_with_the_token_a_form_of_this_browser_acts(staged: Staged) -> None:
    """Or the test above would pass for the wrong reason."""
    own = staged.visitor.form_token()
    before = staged.fingerprint()
    headers = {"Origin": "http://localhost"}
    staged.visitor.browser.post("/me/sessions", data={"which": "all", "csrf_token": own}, headers=headers)
    assert staged.fingerprint() != before
    assert not staged.visitor.is_in


@pytest.mark.parametrize("which", ["", "x", "a\x00b", "'; DROP TABLE sessions; --", "x" * 9999])
def test_a_session_that_there_is_not_ends_quietly(staged: Staged, which: str) -> None:
    answer = staged.visitor.post("/me/sessions", which=which)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me")
    assert staged.visitor.is_in


@pytest.mark.parametrize("path", [each.path for each in ROUTES if each.method == "POST" and not each.form])
def test_what_a_provider_posts_needs_its_own_proof(staged: Staged, path: str) -> None:
    before = staged.fingerprint()
    answer = staged.visitor.browser.post(fill(path, staged.values), data={"logout_token": "x"})
    assert answer.status_code in (400, 401)
    assert staged.fingerprint() == before


# Looking

ANSWERED_ELSEWHERE = {"/sso/<connection>/callback"}  # the end of a login, with a state of its own that is burned


def pages(staged: Staged) -> list[str]:
    """Every page, with something to show; again with what else its address may carry."""
    paths = [each.path for each in ROUTES if each.method == "GET" and each.path not in ANSWERED_ELSEWHERE]
    queries = {
        "/login/confirm": [f"?state={staged.states[attempts.CONFIRM]}"],
        "/select-account": [f"?state={staged.states[attempts.CHOOSE]}"],
        "/login": ["", "?email=ada@corp.example", "?redirect=/app", "?username=ada&password=x"],
        "/logout": ["", "?redirect=/app"],
        "/me": ["", "?which=all"],
    }
    return [fill(path, staged.values) + query for path in paths for query in queries.get(path, [""])]


def seen(visitor: Visitor, path: str, method: str) -> int:
    with visitor.browser.open(path, method=method) as answer:  # a style sheet is an open file
        return answer.status_code


def test_looking_at_every_page_changes_nothing(staged: Staged) -> None:
    before, stranger = staged.fingerprint(), Visitor(staged.house)
    for path in pages(staged):
        for method in ("GET", "HEAD"):
            assert seen(staged.visitor, path, method) in (200, 303), path
            if "state=" not in path:  # another browser is refused there, which is logged
                assert seen(stranger, path, method) in (200, 303, 401), path
            assert staged.fingerprint() == before, path
    assert staged.visitor.is_in


def test_a_page_that_is_looked_at_still_works_afterwards(staged: Staged) -> None:
    """Mail scanners open links before people do."""
    token = staged.values["token"]
    for _ in range(3):
        assert Visitor(staged.house).get(f"/password/{token}").status_code == 200
    answer = Visitor(staged.house).post(f"/password/{token}", f"/password/{token}", password=OTHER)
    assert answer.status_code == 303
