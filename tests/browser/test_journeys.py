"""The whole way in and out, in Chromium, with a provider on another site."""

import re

import pytest
from playwright.sync_api import Page, expect

from scim_server.directory import tenants
from tests.browser.conftest import Visit
from tests.browser.stage import ADA, AGENTS, PASSWORD, Place, Site
from tests.directory.desk import rows

FOCUSED = """() => { const it = document.activeElement;
    return (it.labels?.[0]?.innerText || it.innerText).replace(/\\s+/g, ' ') }"""


def _heading(page: Page, text: str) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text(text)


def _press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name).click()


def _log_in_by_password(page: Page, password: str = PASSWORD, name: str = ADA) -> None:
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    _press(page, "Log in with a password")


def _tab_to(page: Page, name: str) -> list[str]:
    """Press Tab until something of this name has the focus; returns what had it on the way."""
    passed: list[str] = []
    while (found := page.evaluate(FOCUSED)) != name:
        passed.append(found)
        assert len(passed) < 20, passed
        page.keyboard.press("Tab")
    return passed[1:]


@pytest.mark.parametrize("scripts", [True, False], ids=["scripts", "no scripts"])
def test_a_login_by_mouse(scripts: bool, site: Site, issuer: str, visit: Visit) -> None:
    site.person(displayName="Ada Lovelace")
    site.connect("Company", issuer)
    visitor = visit(java_script_enabled=scripts)
    page = visitor.goes(Place(f"{site.root}/me"))
    _heading(page, "Log in")
    _press(page, "Continue with Company")
    expect(page).to_have_url(re.compile(f"^{issuer}/"))
    _press(page, "u-ada")
    expect(page).to_have_url(f"{site.root}/me")
    _heading(page, "Ada Lovelace")
    expect(page.locator("dl")).to_contain_text("You log in withCompany")
    assert {"/".join(url.split("/")[:3]) for url in visitor.asked} == {site.root, issuer}


def test_a_login_and_a_logout_by_keyboard(site: Site, issuer: str, visit: Visit) -> None:
    site.person(displayName="Ada Lovelace")
    site.connect("Company", issuer)
    page = visit().goes(Place(f"{site.root}/login"))
    assert _tab_to(page, "Log in with a password") == ["Continue with Company", "Username", "Password"]
    for _ in range(3):
        page.keyboard.press("Shift+Tab")
    assert page.evaluate(FOCUSED) == "Continue with Company"
    page.keyboard.press("Enter")
    expect(page.get_by_placeholder("sub")).to_be_focused()
    page.keyboard.type("u-ada")
    page.keyboard.press("Enter")
    _heading(page, "Ada Lovelace")
    _tab_to(page, "Log out of this device")
    page.keyboard.press("Enter")
    _heading(page, "Log out")
    _tab_to(page, "Log out")
    page.keyboard.press("Enter")
    _heading(page, "End Session")  # at the provider, which has a session of its own
    _tab_to(page, "End session")
    page.keyboard.press("Space")
    _heading(page, "You are logged out")
    page.goto(f"{site.root}/me")
    _heading(page, "Log in")


def test_one_is_led_back_to_where_one_was_going(site: Site, issuer: str, visit: Visit) -> None:
    site.person()
    site.connect("Company", issuer)
    page = visit().goes(Place(f"{site.root}/login?redirect=/logout%3Fa%3Db"))
    _press(page, "Continue with Company")
    _press(page, "u-ada")
    expect(page).to_have_url(f"{site.root}/logout?a=b")


def test_a_login_starts_by_an_act_and_not_by_a_link(site: Site, issuer: str, visit: Visit) -> None:
    sso = site.connect("Company", issuer)
    visitor = visit()
    page = visitor.goes(Place(f"{site.root}/login/{sso.id}"))
    _heading(page, "Log in with Company")
    assert not [url for url in visitor.asked if url.startswith(issuer)]
    _press(page, "Continue with Company")
    expect(page).to_have_url(re.compile(f"^{issuer}/"))


def test_a_stranger_reads_a_sentence_and_a_code_that_the_log_has(site: Site, issuer: str, visit: Visit) -> None:
    site.connect("Company", issuer)
    page = visit().goes(Place(f"{site.root}/login"))
    _press(page, "Continue with Company")
    _press(page, "u-unknown")
    _heading(page, "You have no access here")
    code = page.locator("code").inner_text()
    noted = rows(site.database, "SELECT step, name FROM logins WHERE reference = :code", code=code)
    assert noted == [("account", "nobody@example.com")]
    assert re.fullmatch("[0-9a-f]{8}", code)


def test_a_wrong_password_and_then_the_right_one(site: Site, visit: Visit) -> None:
    site.person(password=PASSWORD)
    page = visit().goes(Place(f"{site.root}/login"))
    _log_in_by_password(page, "wrong")
    expect(page).to_have_title(re.compile("^Error: Log in"))
    expect(page.get_by_role("alert")).to_contain_text("do not match")
    expect(page.get_by_label("Username")).to_have_value(ADA)
    password = page.get_by_label("Password")
    expect(password).to_be_focused()
    expect(password).to_have_value("")
    password.fill(PASSWORD)
    page.keyboard.press("Enter")
    _heading(page, ADA)


def test_a_password_by_a_link_that_works_once(site: Site, visit: Visit) -> None:
    link = site.root + site.link(site.person())
    page = visit().goes(Place(link))
    new = page.get_by_label("New password")
    new.fill("password1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("tried first everywhere")
    expect(new).to_be_focused()
    new.fill(PASSWORD)
    page.keyboard.press("Enter")
    _heading(page, ADA)
    other = visit().goes(Place(link))
    _heading(other, "This link no longer works")
    other.get_by_role("link", name="Go to the login").click()
    _log_in_by_password(other)
    _heading(other, ADA)


def test_an_account_with_a_password_is_connected_by_it(site: Site, issuer: str, visit: Visit) -> None:
    site.person(password=PASSWORD)
    site.connect("Company", issuer)
    page = visit().goes(Place(f"{site.root}/login"))
    _press(page, "Continue with Company")
    _press(page, "u-ada")
    _heading(page, "Connect your account")
    password = page.get_by_label("Password of this account")
    password.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the password")
    expect(password).to_be_focused()
    password.fill(PASSWORD)
    page.keyboard.press("Enter")
    _heading(page, ADA)
    expect(page.locator("dl")).to_contain_text("You log in withCompany")


def test_a_choice_between_accounts(database_url: str, issuer: str, visit: Visit) -> None:
    site = Site(database_url, tenancy_mode="multi")
    try:
        for name in ("North", "South"):
            tenant = tenants.create(site.database, name).id
            site.person(tenant=tenant, displayName=f"Ada of the {name}")
            site.connect("Company", issuer, tenant=tenant, domains=("example.com",))
        page = visit().goes(Place(f"{site.root}/login", fill={"Your e-mail address at work": ADA}, press="Continue"))
        _press(page, "Continue with Company")
        _press(page, "u-ada")
        _heading(page, "Choose an account")
        _press(page, "South")
        _heading(page, "Ada of the South")
    finally:
        site.close()


def test_people_see_their_devices_and_log_out_of_the_others(site: Site, visit: Visit) -> None:
    user_id = site.person(password=PASSWORD)
    here, there = visit(user_agent=AGENTS[2]), visit(user_agent=AGENTS[1])
    for each in (here, there):
        each.goes(Place(f"{site.root}/login"))
        _log_in_by_password(each.page)
        _heading(each.page, ADA)
    site.session(user_id, AGENTS[0])
    here.page.reload()
    devices = here.page.get_by_role("listitem")
    expect(devices).to_have_count(3)
    expect(devices.filter(has_text="this device")).to_contain_text("Firefox on Linux")
    _press(here.page, "Log out of Edge on Windows")
    expect(devices).to_have_count(2)
    _press(here.page, "Log out everywhere else")
    expect(devices).to_have_count(1)
    _press(there.page, "Log out everywhere else")  # a page that is still open when its session has ended
    _heading(there.page, "Log in")
    here.page.reload()
    _heading(here.page, ADA)


def test_the_session_dies_in_the_browser_when_the_account_is_deactivated(site: Site, visit: Visit) -> None:
    user_id = site.person(password=PASSWORD)
    scim = site.house.client()
    page = visit().goes(Place(f"{site.root}/login"))
    _log_in_by_password(page)
    _heading(page, ADA)
    answer = scim.patch(f"/Users/{user_id}", {"op": "replace", "path": "active", "value": False})
    assert answer.json["active"] is False
    page.reload()
    _heading(page, "Log in")
    _log_in_by_password(page)
    expect(page.get_by_role("alert").or_(page.get_by_role("heading", name="no access"))).to_be_visible()


def test_the_provider_used_last_stands_first(site: Site, issuer: str, visit: Visit) -> None:
    site.person()
    for name in ("alpha", "Beta", "gamma"):
        site.connect(name, issuer)
    visitor = visit()
    page = visitor.goes(Place(f"{site.root}/login"))
    buttons = page.get_by_role("button", name="Continue with")
    expect(buttons).to_have_text([f"Continue with {name}" for name in ("alpha", "Beta", "gamma")])
    _press(page, "Continue with gamma")
    _press(page, "u-ada")
    _heading(page, ADA)
    visitor.context.clear_cookies(name="scim_session")
    page.goto(f"{site.root}/login")
    expect(buttons).to_have_text([f"Continue with {name}" for name in ("gamma", "alpha", "Beta")])
