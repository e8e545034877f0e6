"""What the browser keeps of us, over http on this machine and over https."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit, Visitor
from tests.browser.stage import Place, Site, Sites

OURS = ("scim_browser", "scim_form", "scim_last", "scim_session")
LARGEST = 4096  # bytes; what browsers promise to keep (RFC 6265 §6.1)


@pytest.fixture
def plain_site(sites: Sites) -> Iterator[Site]:
    opened = sites.fresh("plain")
    yield opened
    opened.close()


@pytest.fixture
def secure_site(sites: Sites) -> Iterator[Site]:
    opened = sites.fresh("secure", https=True)
    yield opened
    opened.close()


def _log_in(visitor: Visitor, site: Site) -> None:
    page = visitor.goes(Place(f"{site.root}/login", press="Continue with Company"))
    page.get_by_role("button", name="u-ada").click()
    expect(page).to_have_url(f"{site.root}/me")


def _bytes(visitor: Visitor) -> int:
    return sum(len(f"{name}={each['value']}; ".encode()) for name, each in visitor.cookies().items())


def _flags(visitor: Visitor) -> dict[str, tuple[bool, bool, str, str]]:
    return {
        name: (each["httpOnly"], each["secure"], each["sameSite"], each["path"])
        for name, each in sorted(visitor.cookies().items())
    }


def test_cookies_over_http_on_this_machine(plain_site: Site, issuer: str, visit: Visit) -> None:
    plain_site.person()
    plain_site.connect("Company", issuer)
    visitor = visit()
    _log_in(visitor, plain_site)
    assert _flags(visitor) == dict.fromkeys(OURS, (True, False, "Lax", "/"))
    lasting = [name for name, each in visitor.cookies().items() if each["expires"] != -1]
    assert lasting == ["scim_last"]


def test_cookies_over_https_are_bound_to_our_host(secure_site: Site, issuer: str, visit: Visit) -> None:
    secure_site.person()
    secure_site.connect("Company", issuer)
    visitor = visit(ignore_https_errors=True)
    _log_in(visitor, secure_site)
    assert _flags(visitor) == dict.fromkeys([f"__Host-{name}" for name in OURS], (True, True, "Lax", "/"))
    assert {each["domain"] for each in visitor.cookies().values()} == {"127.0.0.1"}
    assert visitor.page.evaluate("document.cookie") == ""
    before = visitor.cookies()["__Host-scim_session"]["value"]
    visitor.context.clear_cookies(name="__Host-scim_session")
    _log_in(visitor, secure_site)
    assert visitor.cookies()["__Host-scim_session"]["value"] != before


def test_fifty_started_logins_leave_the_cookies_small(secure_site: Site, issuer: str, visit: Visit) -> None:
    secure_site.person()
    sso = secure_site.connect("Company", issuer)
    visitor = visit(ignore_https_errors=True)
    ask = visitor.context.request
    form = re.search(r'name="csrf_token" value="([^"]+)"', ask.get(f"{secure_site.root}/login").text())
    assert form
    for _ in range(50):
        started = ask.post(
            f"{secure_site.root}/login/{sso.id}", form={"csrf_token": form[1]}, max_redirects=0
        )  # fmt: skip
        assert started.status == 303, started.text()
    assert 0 < _bytes(visitor) < LARGEST
    _log_in(visitor, secure_site)
    assert _bytes(visitor) < LARGEST
