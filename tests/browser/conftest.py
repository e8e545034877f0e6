"""One browser for the folder, a fresh context for each visitor, and nothing it does may leave this machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.browser import stage
from tests.browser.stage import Place, Site, Sites

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_QUIET = [  # Chromium looks for updates, lists and its maker; a test has none of that
    "--disable-background-networking", "--disable-component-update", "--disable-default-apps", "--disable-sync",
    "--disable-domain-reliability", "--disable-client-side-phishing-detection", "--no-first-run", "--no-pings",
    "--metrics-recording-only", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]  # fmt: skip
_PATIENCE = 10_000  # milliseconds
# Playwright sees neither a refused form nor a refused style; the page itself does.
_WATCH = "addEventListener('securitypolicyviolation', e => violated(`${e.effectiveDirective} ${e.blockedURI}`))"


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium. Of this folder alone: Playwright's event loop would be in the way of others' tests."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        reason = f"NO BROWSER: not one page of the login was looked at. Install one of: {', '.join(_NAMES)}"
        # Skipped pages must not pass for green where somebody relies on them.
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    expect.set_options(timeout=_PATIENCE)
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=[*_QUIET, *sandbox])
        yield launched
        launched.close()


@pytest.fixture(scope="package")
def issuer() -> Iterator[str]:
    """The provider; its page names a style sheet elsewhere, which the browser does not get."""
    with stage.provider() as found:
        yield found


@pytest.fixture(scope="package")
def sites(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sites]:
    """Sites for the pages that are looked at; where a page is drawn from is no matter to it."""
    opened = Sites(sqlite_template, tmp_path_factory.mktemp("sites"), "http://localhost:9")
    yield opened
    opened.close()


@pytest.fixture
def site(database_url: str) -> Iterator[Site]:
    """A site of this test's own, once for each dialect."""
    opened = Site(database_url)
    yield opened
    opened.close()


class Visitor:
    """Somebody with a browser of their own, and a list of what went wrong in it."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.troubles: list[str] = []
        self.asked: list[str] = []
        context.set_default_timeout(_PATIENCE)
        context.on("request", self._note_request)
        context.on("console", self._note_console)
        context.on("weberror", lambda error: self.troubles.append(f"script: {error.error}"))
        context.expose_function("violated", lambda told: self.troubles.append(f"policy: {told}"))
        context.add_init_script(_WATCH)
        self.page: Page = context.new_page()

    def goes(self, place: Place) -> Page:
        """Go there, and fill in and send what there is to be sent."""
        self.context.add_cookies(
            [{"name": name, "value": value, "url": place.root} for name, value in place.cookies.items()]
        )
        self.page.goto(place.url)
        if place.open:
            self.page.locator("summary", has_text=place.open).click()
        for label, text in place.fill.items():
            self.page.get_by_label(label).fill(text)
        if place.press:
            with self.page.expect_navigation():
                self.page.get_by_role("button", name=place.press).click()
        return self.page

    def cookies(self) -> dict[str, Any]:
        """Our cookies as the browser keeps them, by name."""
        return {each["name"]: each for each in self.context.cookies() if each["domain"] == "127.0.0.1"}

    def _note_request(self, request: Request) -> None:
        # What the provider's page loads is its own affair; where it leads is ours.
        if request.is_navigation_request() or _is_ours(request.frame.url):
            self.asked.append(request.url)

    def _note_console(self, message: ConsoleMessage) -> None:
        where, at = message.location["url"], message.page.url if message.page else ""
        # A page that is answered with 4xx or 5xx is said so, which is meant; whatever a page loads is not.
        meant = "the server responded with a status of" in message.text and where == at
        if _is_ours(where) or _is_ours(at):
            self.troubles += [] if meant else [f"console {message.type}: {message.text} ({where})"]


def _is_ours(url: str) -> bool:
    """The provider is at ``localhost``."""
    return urlsplit(url).hostname == "127.0.0.1"


Visit = Callable[..., Visitor]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open a browser for somebody; in the end nothing may have gone wrong in any."""
    opened: list[Visitor] = []

    def visit(**options: Any) -> Visitor:
        opened.append(Visitor(browser.new_context(**options)))
        return opened[-1]

    yield visit
    for each in opened:
        each.context.close()
    assert [trouble for each in opened for trouble in each.troubles] == []
