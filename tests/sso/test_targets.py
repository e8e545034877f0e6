"""Where a login may lead to: a path of this server and nothing else (rule R14)."""

from urllib.parse import urljoin, urlsplit

import pytest
from hypothesis import given, strategies as st

from sso.targets import HOME, local

ORIGIN = "https://accounts.example"

ABSOLUTE = [
    "https://evil.example", "http://evil.example/", "HTTPS://evil.example", "https:evil.example", "https:/evil.example",
    "https:///evil.example", "http:\\\\evil.example", "ftp://evil.example", "ws://evil.example", "file:///etc/passwd",
    "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)", "javascript://%0aalert(1)",
    "data:text/html,<script>alert(1)</script>", "vbscript:msgbox(1)", "blob:https://evil.example/x",
    "view-source:https://evil.example", "mailto:eve@evil.example", "about:blank", "//evil.example",
]  # fmt: skip
HOSTS = [
    "//evil.example/me", "///evil.example", "////evil.example", "//evil.example:443", "//user@evil.example",
    "//accounts.example@evil.example", "//accounts.example.evil.example", "//evil.example#/me", "//evil.example?/me",
    "//[::1]/", "//0x7f.1/", "//2130706433/", "//localhost", "//evil%2eexample", "//ｅvil.example", "//evil。example",
    "/.//evil.example", "/..//evil.example", "/me//evil.example", "/me/..//evil.example", "/me/../..//evil.example",
]  # fmt: skip
BACKSLASHES = [
    "\\\\evil.example", "/\\evil.example", "\\/evil.example", "/\\/evil.example", "/\\\\evil.example", "\\evil.example",
    "/me\\..\\..\\evil.example", "/.\\evil.example", "/?next=\\\\evil.example",
]  # fmt: skip
CONTROLS = [
    "/\t/evil.example", "/\n/evil.example", "/\r/evil.example", "/\r\n/evil.example", "\t//evil.example",
    " //evil.example", "\x00//evil.example", "/\x00/evil.example", "/\x0b/evil.example", "/\x7f/evil.example",
    "\n/me", " /me", "/me ", "/me\r\nSet-Cookie: scim_session=x", "/me\nLocation: //evil.example", "/\x1b[2J",
    "/\u00a0/evil.example", "/\u2028/evil.example", "/\u200b/evil.example", "\ufeff//evil.example",
]  # fmt: skip
LOOK_ALIKES = ["/／evil.example", "／／evil.example", "∕∕evil.example", "⁄⁄evil.example", "/＼evil.example", "/ｍe"]
NO_PATHS = ["", "me", "evil.example", "me/..", "?next=/me", "#/me", ".", "..", "@evil.example", "/" + "a" * 2048]
PAYLOADS = ABSOLUTE + HOSTS + BACKSLASHES + CONTROLS + LOOK_ALIKES + NO_PATHS

GOOD = [
    "/", "/me", "/me?which=all", "/app/reports/7?from=2026-01-01&to=2026-02-01#total", "/a;b=c/d,e", "/%C3%A9t%C3%A9",
    "/@ada", "/me?next=https://elsewhere.example//x", "/me#//x", "/a:b", "/.well-known/x", "/%2f%2fevil.example",
]  # fmt: skip


def as_a_browser_reads(target: str) -> str:
    """WHATWG URL: tabs and line ends are dropped, spaces and controls at the ends too, and ``\\`` is ``/``."""
    text = "".join(each for each in target if each not in "\t\r\n").strip("".join(map(chr, range(0x21))))
    return urljoin(ORIGIN + "/login", text.replace("\\", "/"))


def test_there_are_as_many_payloads_as_were_asked_for() -> None:
    assert len(set(PAYLOADS)) == len(PAYLOADS) >= 60


@pytest.mark.parametrize("payload", PAYLOADS)
def test_whatever_is_not_plainly_a_path_of_ours_leads_home(payload: str) -> None:
    assert local(payload) == HOME


def test_no_target_leads_home() -> None:
    assert local(None) == HOME


@pytest.mark.parametrize("path", GOOD)
def test_a_path_of_ours_is_kept_as_it_is(path: str) -> None:
    assert local(path) == path


@given(
    st.text(st.sampled_from("/\\.?#@:%;aehlopstv \t\n\r\x00\x7f\u3002\uff0f"), max_size=24)
    | st.sampled_from(PAYLOADS + GOOD).flatmap(lambda one: st.sampled_from(PAYLOADS + GOOD).map(lambda two: one + two))
)
def test_whatever_is_asked_for_stays_on_this_server(text: str) -> None:
    target = local(text)
    assert urlsplit(as_a_browser_reads(target))[:2] == urlsplit(ORIGIN)[:2]
    assert target.startswith("/")
    assert not target.startswith("//")
    assert target.isascii()
    assert target.isprintable()
