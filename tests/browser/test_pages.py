"""Every page by itself: usable by everybody, in both colour schemes, on a small screen, under our policy."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from flask import Flask
from playwright.sync_api import Page

from scim_server.app import mount
from scim_server.config import Settings
from scim_server.directory import sso_connections
from scim_server.directory.errors import Unavailable
from sso.devices import named
from sso.errors import Sentence
from tests.browser.conftest import Visit
from tests.browser.stage import AGENTS, KEY, PAGES, Place, Sites

SMALL, LARGE = {"width": 320, "height": 640}, {"width": 1280, "height": 800}
RULES = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
TOKENS = {"username", "current-password", "new-password", "email"}
FIELDS = "input:not([type=hidden], .d-none)"
ABOUT_FIELDS = """fields => fields.map(field => ({
    labels: field.labels.length,
    token: field.autocomplete,
    invalid: field.ariaInvalid === 'true',
    told: (field.getAttribute('aria-describedby') || '').split(' ').filter(Boolean)
        .map(id => document.getElementById(id)?.innerText || ''),
    paste: field.dispatchEvent(new ClipboardEvent('paste', {cancelable: true})),
}))"""
SIZES = "all => all.filter(each => each.checkVisibility()).map(each => [each.offsetWidth, each.offsetHeight])"
# Resolves when the second of two violations has been told.
REFUSED = """() => new Promise(done => {
    let told = 0
    addEventListener('securitypolicyviolation', () => { if (++told == 2) done() })
    const script = document.createElement('script')
    script.text = '1'
    document.body.append(script)
    new Image().src = 'http://localhost:9/x.png'
})"""
RING = """() => { const style = getComputedStyle(document.activeElement);
    return [document.activeElement.tagName, style.outlineStyle, parseFloat(style.outlineWidth)] }"""


@pytest.mark.parametrize("name", PAGES)
def test_a_page_serves_everybody(name: str, sites: Sites, visit: Visit) -> None:
    place = PAGES[name](sites)
    # Colours that still pass into one another when axe looks are neither scheme's.
    visitor = visit(viewport=SMALL, reduced_motion="reduce")
    page = visitor.goes(place)
    assert [url for url in visitor.asked if not url.startswith(f"{place.root}/")] == []
    assert page.locator("script, style, [style], [onclick]").count() == 0
    assert page.evaluate("document.styleSheets.length") == 2
    assert page.evaluate("document.documentElement.scrollWidth") == SMALL["width"]
    assert page.locator("html").get_attribute("lang") == "en"
    assert page.locator("h1").count() == 1
    assert all(min(size) >= 24 for size in page.locator("button, input, .btn, summary").evaluate_all(SIZES))
    _look_at_fields(page)
    for scheme, size in ("light", LARGE), ("dark", SMALL):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        assert _violations(page) == [], scheme


def _look_at_fields(page: Page) -> None:
    for field in page.locator(FIELDS).evaluate_all(ABOUT_FIELDS):
        assert field["labels"] == 1
        assert field["token"] in TOKENS
        assert all(field["told"])
        assert field["paste"], "pasting was prevented"
    if page.title().startswith("Error: "):
        problem = page.get_by_role("alert").inner_text()
        wrong = [field for field in page.locator(FIELDS).evaluate_all(ABOUT_FIELDS) if field["invalid"]]
        assert wrong
        assert all(problem in field["told"] for field in wrong)
    else:
        assert page.get_by_role("alert").count() == 0


def _violations(page: Page) -> list[Any]:
    found = Axe().run(page, options=RULES).response["violations"]
    return [(each["id"], [(node["html"], node["failureSummary"]) for node in each["nodes"]]) for each in found]


def test_a_violation_of_the_policy_is_seen(sites: Sites, visit: Visit) -> None:
    """So that the silence of the others means something."""
    visitor = visit()
    page = visitor.goes(PAGES["login with passwords only"](sites))
    page.evaluate(REFUSED)
    seen = " ".join(visitor.troubles)
    visitor.troubles.clear()
    assert "policy: script-src-elem" in seen
    assert "policy: img-src" in seen


def test_titles_tell_pages_apart(sites: Sites, visit: Visit) -> None:
    names = (
        "login with three connections", "login through one connection", "confirm", "select account", "password link",
        "password link that was used", "logout", "logged out", "me", "nothing outside the login", "sentence NO_ACCESS",
    )  # fmt: skip
    ask = visit().context.request
    titles = []
    for place in [PAGES[name](sites) for name in names]:
        cookie = "; ".join(f"{name}={value}" for name, value in place.cookies.items())
        answer = ask.get(place.url, headers={"Cookie": cookie, "Accept": "text/html"})
        titles += re.findall("<title>(.+)</title>", answer.text())
    assert len(set(titles)) == len(names), titles
    assert all("· 127.0.0.1:" in title for title in titles)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_focus_is_seen_wherever_the_keyboard_leads(scheme: str, sites: Sites, visit: Visit) -> None:
    visitor = visit(color_scheme=scheme)
    for name in ("login with a wrong folded password", "me", "password link", "sentence NO_ACCESS"):
        page = visitor.goes(PAGES[name](sites))
        page.evaluate("document.activeElement.blur()")
        for _ in range(4):
            page.keyboard.press("Tab")
            tag, style, width = page.evaluate(RING)
            assert tag == "BODY" or (style == "solid" and width >= 2), (name, tag, style, width)


def test_a_wrong_address_is_told_by_status_too(sites: Sites, visit: Visit) -> None:
    site = sites["bare"]
    page = visit().page
    statuses = {}
    for path in ("/nowhere", "/me/sessions", "/broken", "/login-assets/nothing.css"):
        answer = page.goto(site.root + path)
        assert answer
        statuses[path] = (answer.status, page.get_by_role("heading").inner_text(), answer.headers.get("allow"))
        assert "default-src 'none'; style-src 'self'" in answer.headers["content-security-policy"]
    nothing = "There is nothing here"
    assert statuses == {
        "/nowhere": (404, nothing, None),
        "/me/sessions": (405, nothing, "OPTIONS, POST"),
        "/broken": (500, "Something went wrong", None),
        "/login-assets/nothing.css": (404, nothing, None),
    }


def test_a_program_that_asks_at_a_wrong_address_gets_no_page(sites: Sites, visit: Visit) -> None:
    site = sites["bare"]
    answer = visit().context.request.get(f"{site.root}/nowhere", headers={"Accept": "application/json"})
    assert answer.status == 404
    assert "stylesheet" not in answer.text()


def test_an_application_that_mounts_us_keeps_its_own_pages(sqlite_template: Path, tmp_path: Path) -> None:
    path = shutil.copyfile(sqlite_template, tmp_path / "host.db")
    host = Flask("host")
    database = mount(host, Settings(database_url=f"sqlite:///{path}", secret_key=KEY))
    try:
        answer = host.test_client().get("/nowhere", headers={"Accept": "text/html"})
        assert (answer.status_code, b"stylesheet" in answer.data) == (404, False)
    finally:
        database.close()


def test_a_busy_database_is_told_on_the_login_page_itself(
    sites: Sites, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy of the page names providers, and must not fail with what the page is about."""
    site = sites["one"]

    def busy(*_: object) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(sso_connections, "every", busy)
    page = visit().goes(Place(f"{site.root}/login"))
    assert page.get_by_role("heading").inner_text() == Sentence.UNAVAILABLE.title


def test_people_know_their_devices_by_name() -> None:
    names = ["Edge on Windows", "Safari on iPhone", "Firefox on Linux", "curl", "Unknown device"]
    assert [named(agent) for agent in AGENTS] == names
    assert named("x" * 500) == "x" * 40
    assert named(None) == "Unknown device"
