"""panva's ``oidc-provider`` as a process: certified, and no line of code in common with us.

A client made by ``client()`` needs its redirect URIs beforehand, and can be made anew at any time. ``person`` says who
sits at the browser; the pages for login and consent answer themselves. The page that asks "log out?" is a form, as
RP-initiated logout has it: ``logout`` presses Yes.
"""

from __future__ import annotations

import http.cookiejar
import json
import os
import re
import select
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlencode, urljoin

from tests.idp.serving import Answer

MODULES_VARIABLE = "SCIM_TEST_NODE_MODULES"
HERE = Path(__file__).parent
MODULES = HERE.parents[1] / ".node" / "node_modules"


class NoNode(Exception):
    """There is no Node here, or no oidc-provider."""


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


class Browser:
    """A cookie jar: two of them are two people's browsers."""

    def __init__(self) -> None:
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay, jar)

    def visit(self, url: str, form: Mapping[str, str] | bytes | None = None) -> Answer:
        """GET, or POST where there is a form; redirects are not followed."""
        data = form if isinstance(form, bytes | None) else urlencode(form).encode()
        try:
            answer = self._opener.open(url, data, timeout=10)
        except urllib.error.HTTPError as failure:
            answer = failure
        with answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Answer(answer.status, headers, answer.read())


class NodeProvider:
    """The running provider."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.browser = Browser()

    def client(self, client_id: str = "rp", client_secret: str = "rp-secret", **metadata: Any) -> None:
        """Make or replace a client; ``redirect_uris`` is needed.

        As it is registered: ``post_logout_redirect_uris``, ``backchannel_logout_uri`` and so on.
        """
        registered = {
            "client_id": client_id,
            "client_secret": client_secret,
            "token_endpoint_auth_method": "client_secret_basic",
            **({"backchannel_logout_session_required": True} if "backchannel_logout_uri" in metadata else {}),
            **metadata,
        }
        self._control("__client", registered)

    def person(self, **claims: Any) -> None:
        """Who logs in from now on, by ``sub`` and further claims; without any, somebody who presses Cancel.

        A browser that is logged in stays so: give a new one to ``authorize``.
        """
        self._control("__person", claims or None)

    def logouts(self) -> list[dict[str, Any]]:
        """What became of the back-channel logouts: client, sub, sid, and error where it failed."""
        found: list[dict[str, Any]] = self._control("__logouts", None)
        return found

    def authorize(self, url: str, browser: Browser | None = None) -> str:
        """Visit an authorization URL and log in: the callback URL that the browser is sent to."""
        return self._leave(url, browser or self.browser)

    def logout(self, url: str, browser: Browser | None = None) -> str:
        """Visit a logout URL and press Yes: where the browser is sent, or "" when it stays.

        The back-channel calls are over by then.
        """
        return self._leave(url, browser or self.browser)

    def _leave(self, url: str, browser: Browser) -> str:
        form: dict[str, str] | None = None
        for _ in range(10):
            answer = browser.visit(url, form)
            form = None
            if answer.status in (302, 303):
                url = urljoin(url, answer.headers["location"])
                if not url.startswith(f"{self.issuer}/"):
                    return url
            elif answer.status == 200 and b'name="xsrf"' in answer.body:
                url, form = _confirmation(answer.body.decode())
            elif answer.status == 200 and b"Logged out" in answer.body:
                return ""
            else:
                raise AssertionError((url, answer))
        raise AssertionError(f"still at the provider: {url}")

    def _control(self, what: str, body: Any) -> Any:
        answer = Browser().visit(f"{self.issuer}/{what}", json.dumps(body).encode())
        assert answer.status == 200, answer.body
        return answer.json


def _confirmation(page: str) -> tuple[str, dict[str, str]]:
    action, secret = re.search(r'action="([^"]+)"', page), re.search(r'name="xsrf" value="([^"]+)"', page)
    assert action, page
    assert secret, page
    return action[1], {"xsrf": secret[1], "logout": "yes"}


def _modules() -> Path:
    """Where the package is; NoNode where it is not."""
    named = os.environ.get(MODULES_VARIABLE)
    folder = Path(named) if named else MODULES
    if not (folder / "oidc-provider" / "package.json").is_file():
        hint = f"set {MODULES_VARIABLE}, or `npm install --prefix {MODULES.parent} oidc-provider@9.13.3`"
        raise NoNode(f"no oidc-provider in {folder}: {hint}")
    return folder


@contextmanager
def serve(*, port: int = 0, claims_in_id_token: bool = True) -> Iterator[NodeProvider]:
    """The provider for as long as the block lasts: about a second to start, so share it and make clients.

    Without ``claims_in_id_token`` e-mail and name are in userinfo only, as OpenID Connect Core 5.4 has it.
    """
    program = shutil.which("node")
    if program is None:
        raise NoNode("no node on the path")
    settings = {"modules": str(_modules()), "port": port, "claims_in_id_token": claims_in_id_token}
    environment = {"PATH": os.defpath, "HOME": "/nonexistent", "NO_COLOR": "1"}
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            [program, "--no-warnings", str(HERE / "provider.mjs")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment,
        ) as process,
    ):  # fmt: skip
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(json.dumps(settings).encode() + b"\n")
            process.stdin.flush()
            yield NodeProvider(_first_line(process.stdout, log))
        finally:
            process.kill()  # nothing in it is worth an orderly end


def _first_line(output: IO[bytes], log: IO[bytes]) -> str:
    ready, _, _ = select.select([output], [], [], 30)
    line = output.readline().decode().strip() if ready else ""
    if not line:
        log.seek(0)
        raise RuntimeError(f"oidc-provider did not start:\n{log.read().decode()}")
    return line
