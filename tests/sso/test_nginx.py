"""An application behind nginx and Caddy: the configurations of the manual, run as they stand there."""

import datetime as dt
import ipaddress
import itertools
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from werkzeug.serving import WSGIRequestHandler, make_server

from scim_server.directory import links, tenants, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import read, write
from tests.running import GROUP, PATCH_OP, USER, Running, free_port, serve
from tests.sso import credentials

MANUAL = Path(__file__).parents[2] / "docs/how-to/protect-an-application.md"
PAGE = {"Accept": "text/html,*/*;q=0.8"}
PASSWORD = "seven-otters-juggle-violet-lamps"
COOKIE = "__Host-scim_session"
SPOOFED = {"Remote-User": "root", "Remote-Email": "root@x", "Remote-Name": "Root", "Remote-Groups": "admins"}
NUMBERS = itertools.count()  # the proxies share a database
WIDELY_READ = {"Remote_User": "root", "REMOTE_GROUPS": "admins", "remote-user": "root"}


def configuration(language: str) -> str:
    """The configuration that the manual shows."""
    found = re.search(rf"^```{language}\n(.*?)^```", MANUAL.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def put(text: str, **changes: str) -> str:
    """The text with parts replaced, each of which has to be there."""
    for old, new in changes.items():
        assert old in text, f"the manual no longer says {old}"
        text = text.replace(old, new)
    return text


# -------------------------------------------------------------------------------------------- what is started


@dataclass
class Place:
    """Where everything of one test module is."""

    folder: Path
    proxy: int
    server: int
    application: int

    @property
    def certificate(self) -> Path:
        return self.folder / "certificate.pem"

    @property
    def key(self) -> Path:
        return self.folder / "key.pem"


def certify(place: Place) -> None:
    """A certificate for this machine, signed by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    place.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    place.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )  # fmt: skip


def nginx(place: Place) -> list[str]:
    """Write the configuration; the command that starts it."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        absent("nginx is not installed: the manual's configuration is not tried", fatal=True)
    site = put(configuration("nginx"), **{
        "127.0.0.1:8000": f"127.0.0.1:{place.server}", "127.0.0.1:3000": f"127.0.0.1:{place.application}",
        "listen 443 ssl": f"listen 127.0.0.1:{place.proxy} ssl",
        "/etc/ssl/www.example.com.pem": str(place.certificate), "/etc/ssl/www.example.com.key": str(place.key),
    })  # fmt: skip
    temporary = "\n".join(
        f"{kind}_temp_path {place.folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    # As root, nginx would hand its work to somebody who cannot enter the test's folder.
    user = "user root;" if os.getuid() == 0 else ""
    path = place.folder / "nginx.conf"
    path.write_text(
        f"{user} daemon off; worker_processes 1; pid {place.folder}/nginx.pid; error_log stderr notice;\n"
        f"events {{ worker_connections 64; }}\nhttp {{ access_log off;\n{temporary}\n{site}\n}}\n"
    )
    return [str(program), "-p", str(place.folder), "-e", "stderr", "-c", str(path)]


def caddy(place: Place) -> list[str]:
    """Write the configuration; the command that starts it."""
    program = shutil.which("caddy")
    if program is None:
        absent("caddy is not installed: the manual's configuration is not tried")
    site = put(configuration("caddyfile"), **{
        "127.0.0.1:8000": f"127.0.0.1:{place.server}", "127.0.0.1:3000": f"127.0.0.1:{place.application}",
        "www.example.com {": f"https://127.0.0.1:{place.proxy} {{\n\ttls {place.certificate} {place.key}",
    })  # fmt: skip
    path = place.folder / "Caddyfile"
    path.write_text(
        f"{{\n\tadmin off\n\tauto_https off\n\tskip_install_trust\n"
        f"\tdefault_bind 127.0.0.1\n\tservers {{\n\t\tprotocols h1\n\t}}\n}}\n{site}"
    )
    return [str(program), "run", "--config", str(path), "--adapter", "caddyfile"]


def absent(reason: str, *, fatal: bool = False) -> None:
    # A skipped test must not pass for green where somebody relies on it.
    if fatal and os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@contextmanager
def started(command: list[str], place: Place) -> Iterator[None]:
    """A proxy that listens."""
    log = place.folder / "proxy.log"
    environment = {
        **os.environ,
        "HOME": str(place.folder),
        "XDG_DATA_HOME": str(place.folder),
        "XDG_CONFIG_HOME": str(place.folder),
    }
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stdout=file, stderr=file, cwd=place.folder)
    try:
        for _ in range(200):
            assert process.poll() is None, log.read_text()
            try:
                socket.create_connection(("127.0.0.1", place.proxy), 1).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        else:
            raise AssertionError(log.read_text())
        yield
    finally:
        process.terminate()
        process.wait(20)


class Quiet(WSGIRequestHandler):
    """Requests leave no lines on stderr, and headers are kept as they came: this server drops underscores itself."""

    def make_environ(self) -> dict[str, Any]:
        return {**super().make_environ(), "test.headers": self.headers.items()}

    def log(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def echo(port: int) -> Iterator[list[dict[str, Any]]]:
    """The application: it answers with what it was sent, and keeps it."""
    seen: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        headers = ((name.replace("_", "-").title(), unquote(value)) for name, value in environ["test.headers"])
        remote = {name: value for name, value in headers if name.startswith("Remote") and value}
        told = {
            "method": environ["REQUEST_METHOD"], "path": environ["PATH_INFO"], "query": environ["QUERY_STRING"],
            "body": body.decode(), "remote": remote,
        }  # fmt: skip
        seen.append(told)
        status = "401 Unauthorized" if told["path"] == "/own-401" else "200 OK"
        start_response(status, [("Content-Type", "application/json")])
        return [json.dumps(told).encode()]

    server = make_server("127.0.0.1", port, application, threaded=True, request_handler=Quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


# ------------------------------------------------------------------------------------------------- who visits


class World:
    """Server, application and proxy, and what a tester needs of each."""

    def __init__(self, place: Place, running: Running, database: Database, seen: list[dict[str, Any]]) -> None:
        self.place, self.running, self.database, self.seen = place, running, database, seen
        self.root = f"https://127.0.0.1:{place.proxy}"
        self.tenant = tenants.ensure_default(database).id
        self.sender = self.browser()

    def browser(self) -> "Browser":
        return Browser(self.root, self.place.certificate)

    def scim(self, method: str, path: str, body: dict[str, Any]) -> Any:
        """SCIM through the proxy."""
        answer = self.sender.ask(method, f"/scim/v2{path}", json=body, headers={
            "Authorization": f"Bearer {self.running.token}", "Content-Type": "application/scim+json",
        })  # fmt: skip
        assert answer.status_code in (200, 201, 204), answer.text
        return answer.json() if answer.content else None

    def person(self, **attributes: Any) -> tuple[str, str]:
        """Id and name of somebody new."""
        name = f"ada{next(NUMBERS)}@x.example"
        return self.scim("POST", "/Users", {"schemas": [USER], "userName": name, **attributes})["id"], name

    def group(self, name: str, *members: str) -> None:
        listed = [{"value": each} for each in members]
        self.scim("POST", "/Groups", {"schemas": [GROUP], "displayName": name, "members": listed})

    def deactivate(self, user_id: str) -> None:
        change = {"op": "replace", "path": "active", "value": False}
        self.scim("PATCH", f"/Users/{user_id}", {"schemas": [PATCH_OP], "Operations": [change]})

    def logged_in(self, user_id: str) -> "Browser":
        """A browser whose person has a session; the cookie is all that a login leaves."""
        browser = self.browser()
        browser.session.cookies.set(COOKIE, credentials.session(self.database, self.tenant, user_id), secure=True)
        return browser


class Browser:
    """A visitor who comes through the proxy and follows no redirect unseen."""

    def __init__(self, root: str, certificate: Path) -> None:
        self.root, self.session = root, requests.Session()
        self.session.trust_env, self.session.verify = False, str(certificate)

    def ask(self, method: str, path: str, **rest: Any) -> requests.Response:
        return self.session.request(method, self.root + path, allow_redirects=False, timeout=30, **rest)

    def get(self, path: str, **headers: str) -> requests.Response:
        return self.ask("GET", path, headers=headers)

    def send(self, path: str, page: requests.Response, **fields: str) -> requests.Response:
        """Send the form of a page."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert found is not None, page.text
        return self.ask("POST", path, data={"csrf_token": found[1], **fields}, headers={"Referer": self.root + path})


@pytest.fixture(scope="module", params=[nginx, caddy], ids=lambda each: each.__name__)
def world(
    request: pytest.FixtureRequest, module_database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    place = Place(tmp_path_factory.mktemp("proxy"), free_port(), 0, free_port())
    request.param(place)  # skips before anything is started
    certify(place)
    base_url = f"https://127.0.0.1:{place.proxy}"
    database = Database(module_database_url)
    with ExitStack() as stack:
        stack.callback(database.close)
        running = stack.enter_context(serve(module_database_url, place.folder, workers=2, base_url=base_url))
        place.server = int(running.root.rpartition(":")[2])
        seen = stack.enter_context(echo(place.application))
        stack.enter_context(started(request.param(place), place))
        yield World(place, running, database, seen)


# ------------------------------------------------------------------------------------------------- what happens


def test_a_visitor_is_led_to_the_login_and_back(world: World) -> None:
    ada, name = world.person(displayName="Ada Löwe 李", emails=[{"value": "ada@mail.example"}])
    world.group(f"Größe, XL {name}", ada)
    with write(world.database, at_command_line(world.tenant)) as tx:
        link, _ = links.issue(tx, ada)
    setting = world.browser()
    page = setting.get(f"/password/{link}")
    assert setting.send(f"/password/{link}", page, password=PASSWORD).status_code == 303

    browser, wanted = world.browser(), "/app/report?year=2026&part=a%26b"
    before = len(world.seen)
    sent_off = browser.get(wanted, **PAGE)
    assert sent_off.status_code == 302
    assert sent_off.headers["Location"].startswith(f"{world.root}/login?redirect=")
    assert len(world.seen) == before
    target = parse_qs(urlsplit(sent_off.headers["Location"]).query)["redirect"][0]
    assert target == wanted

    page = browser.get(sent_off.headers["Location"].removeprefix(world.root))
    entered = browser.send("/login", page, username=name, password=PASSWORD, redirect=target)
    assert (entered.status_code, entered.headers["Location"]) == (303, wanted)
    assert {each.name: each.secure for each in browser.session.cookies}[COOKIE]
    told = browser.get(wanted, **PAGE).json()
    assert (told["path"], told["query"]) == ("/app/report", "year=2026&part=a%26b")
    assert told["remote"] == {
        "Remote-User": name, "Remote-Email": "ada@mail.example", "Remote-Name": "Ada Löwe 李",
        "Remote-Groups": f"Größe, XL {name}",
    }  # fmt: skip


@pytest.mark.parametrize("spoofed", [SPOOFED, WIDELY_READ], ids=["as told", "as read by many"])
def test_what_a_visitor_calls_himself_never_arrives(world: World, spoofed: dict[str, str]) -> None:
    ada, name = world.person()
    told = world.logged_in(ada).get("/", **spoofed).json()["remote"]
    assert told == {
        "Remote-User": name, "Remote-Email": name, "Remote-Name": name,
    }  # fmt: skip
    before = len(world.seen)
    assert world.browser().get("/", **spoofed).status_code == 401
    assert len(world.seen) == before


def test_the_first_request_after_the_deactivation_is_refused(world: World) -> None:
    ada, _ = world.person()
    token = credentials.personal_token(world.database, world.tenant, ada)
    browser, script = world.logged_in(ada), world.browser()
    bearer = {"Authorization": f"Bearer {token}"}
    assert browser.get("/").status_code == script.get("/", **bearer).status_code == 200
    world.deactivate(ada)
    before = len(world.seen)
    for _ in range(5):  # whichever of the two workers answers
        assert browser.get("/").status_code == 401
        assert browser.get("/", **PAGE).status_code == 302
        assert script.get("/", **bearer).status_code == 401
    assert len(world.seen) == before


def test_a_script_brings_a_personal_token(world: World) -> None:
    ada, name = world.person()
    token = credentials.personal_token(world.database, world.tenant, ada)
    answer = world.browser().get("/api", Authorization=f"Bearer {token}")
    assert answer.json()["remote"]["Remote-User"] == name
    assert world.browser().get("/api", Authorization=f"Bearer {world.running.token}").status_code == 401


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", {"Accept": "application/json"}),
        ("GET", PAGE | {"X-Requested-With": "XMLHttpRequest"}),
        ("POST", PAGE),
        ("HEAD", {}),
    ],
    ids=str,
)
def test_what_is_no_page_gets_401(world: World, method: str, headers: dict[str, str]) -> None:
    answer = world.browser().ask(method, "/api", headers=headers, data=b"x" if method == "POST" else None)
    assert (answer.status_code, answer.headers.get("Location")) == (401, None)


@pytest.mark.parametrize(
    "name", ["X-Forwarded-Uri", "X-Forwarded-Host", "X-Forwarded-Method", "X-Original-URL", "Forwarded"]
)
def test_a_visitor_does_not_speak_for_the_proxy(world: World, name: str) -> None:
    ada, _ = world.person()
    assert world.logged_in(ada).get("/app", **{name: "//evil.example/"}).status_code == 200
    for headers in ({}, PAGE):
        answer = world.browser().get("/app", **headers, **{name: "//evil.example/"})
        assert answer.status_code == (302 if headers else 401)
        assert answer.headers.get("Location", world.root).startswith(world.root)
        assert "evil" not in answer.headers.get("Location", "")


def test_bodies_and_methods_pass(world: World) -> None:
    ada, _ = world.person()
    browser, body = world.logged_in(ada), "é" * 50_000
    for method in ("POST", "PUT", "PATCH"):
        told = browser.ask(method, "/save?x=1", data=body.encode()).json()
        assert (told["method"], told["path"], told["query"]) == (method, "/save", "x=1")
        assert told["body"] == body
    assert browser.ask("DELETE", "/save").json()["method"] == "DELETE"
    assert browser.ask("HEAD", "/save").status_code == 200


def test_the_question_itself_is_not_open_to_visitors(world: World) -> None:
    ada, _ = world.person()
    for browser in (world.browser(), world.logged_in(ada)):
        answer = browser.get("/auth/verify")
        assert "Remote-User" not in answer.headers


def test_what_the_application_refuses_itself_stays_as_it_is(world: World) -> None:
    ada, _ = world.person()
    answer = world.logged_in(ada).get("/own-401", **PAGE)
    assert (answer.status_code, answer.json()["path"]) == (401, "/own-401")


def test_a_long_list_of_groups_arrives(world: World) -> None:
    ada, _ = world.person()
    names = [f"a group whose name is rather long: number {number:03}" for number in range(150)]
    for name in names:
        world.group(f"{ada} {name}", ada)
    told = world.logged_in(ada).get("/").json()["remote"]["Remote-Groups"].split(",")
    assert len(",".join(told)) > 8192
    listed = users.get(read(world.database, at_command_line(world.tenant)), ada).related or []
    assert told == [each.display for each in listed]


def test_scim_is_served_beside_it(world: World) -> None:
    made = world.scim("POST", "/Users", {"schemas": [USER], "userName": f"beside{next(NUMBERS)}"})
    assert made["meta"]["location"] == f"{world.root}/scim/v2/Users/{made['id']}"
    assert world.browser().get("/scim/v2/Users").status_code == 401
