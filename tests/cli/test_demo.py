"""``scim-server demo``: the whole of it started as a visitor starts it, walked through, and stopped."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests

from scim_server.demo.company import ADA, CHARLES, GRACE, PERSONAS, people
from tests.cli.conftest import Program

MALLORY = PERSONAS[-1]
LAST_LINE = "Ctrl-C ends the demo.\n"
PROGRAM = "from scim_server.cli import main; main()"

pytestmark = pytest.mark.timeout(300)  # each start is four processes and two hundred people, on a machine that is busy


@dataclass
class Demo:
    """A demo that runs: what it printed, and where its second terminal finds it."""

    process: subprocess.Popen[str]
    environment: dict[str, str]
    printed: str

    def address(self, label: str) -> str:
        found = re.search(rf"^  {label} +(http://\S+?)/?(?:  .*)?$", self.printed, re.MULTILINE)
        assert found, self.printed
        return found[1]

    @property
    def server(self) -> str:
        return self.address("Log in").removesuffix("/login")

    @property
    def desk(self) -> str:
        return self.address("HR desk")

    @property
    def second_terminal(self) -> Program:
        return Program({"XDG_RUNTIME_DIR": self.environment["XDG_RUNTIME_DIR"]})

    def switch(self, username: str, *options: str) -> Any:
        """``demo deactivate``, which answers what was said and what it did."""
        return self.second_terminal.json("demo", "deactivate", username, *options)

    def stop(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """End it, and tell its exit status and what it said on stderr."""
        self.process.send_signal(number)
        said = self.process.communicate(timeout=60)[1]
        return self.process.returncode, said

    @property
    def leaves_a_child(self) -> bool:
        """Whether any process of its group still lives."""
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


def surroundings(folder: Path) -> dict[str, str]:
    """The environment of a visitor whose own server has other data, which the demo must not touch."""
    (folder / "temporary").mkdir()
    (folder / "runtime").mkdir()
    return os.environ | {
        "TMPDIR": str(folder / "temporary"),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "PYTHONPATH": os.pathsep.join(sys.path),
        "SCIM_SERVER_DATABASE_URL": f"sqlite:///{folder / 'production.db'}",
        "SCIM_SERVER_DATA_DIR": str(folder / "production"),
    }


@contextmanager
def started(environment: dict[str, str], *arguments: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "demo", "--port", "0", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    with process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line == LAST_LINE:
                    break
            assert lines[-1:] == [LAST_LINE], process.communicate()[1]
            yield Demo(process, environment, "".join(lines))
        finally:
            if process.poll() is None:
                process.terminate()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    with started(surroundings(tmp_path_factory.mktemp("visitor"))) as running:
        yield running
        assert running.stop(signal.SIGTERM)[0] == 0
        assert not running.leaves_a_child


class Browser:
    """A browser without pictures: keeps cookies, follows links, presses buttons."""

    def __init__(self, demo: Demo) -> None:
        self.demo, self._session = demo, requests.Session()
        self._session.trust_env = False
        self._session.headers["Accept"] = "text/html"

    def open(self, url: str, **rest: Any) -> requests.Response:
        return self._session.get(url, timeout=30, **rest)

    def press(
        self, page: requests.Response, button: str, headers: dict[str, str] | None = None, **fields: str
    ) -> requests.Response:
        """Press the button of this label: send the form around it, to where that leads."""
        [form] = [each for each in re.findall(r"<form.*?</form>", page.text, re.DOTALL) if button in _label(each)]
        action = re.search(r'<form[^>]* action="([^"]*)"', form)
        url = requests.compat.urljoin(page.url, unescape(action[1]) if action else page.url)
        sent = {unescape(name): unescape(value) for name, value in re.findall(r'name="([^"]*)" value="([^"]*)"', form)}
        return self._session.post(url, sent | fields, timeout=30, headers=headers)

    def log_in(self, subject: str) -> requests.Response:
        """From our login page to the provider, and back as the persona of this number."""
        there = self.press(self.open(f"{self.demo.server}/login"), "Continue with")
        assert there.url.startswith(f"{self.demo.address('Identity provider')}/oauth2/authorize?")
        return self.press(there, "Grace Hopper", sub=subject)  # all personas are in one form

    def me(self) -> int:
        return self.open(f"{self.demo.server}/me", allow_redirects=False).status_code


def _label(form: str) -> str:
    """The text of a form, with what its buttons are called for those who cannot see them."""
    return " ".join([*re.findall(r'aria-label="([^"]*)"', form), re.sub(r"<[^>]*>", "", form)])


@pytest.fixture
def browser(demo: Demo) -> Browser:
    """A browser, and Grace as at the beginning: active, and nowhere logged in."""
    demo.switch(GRACE.username)
    demo.switch(GRACE.username, "--active")
    return Browser(demo)


# ------------------------------------------------------------------------------------------- the story


def test_who_is_deactivated_at_the_desk_is_out_at_the_next_click(demo: Demo, browser: Browser) -> None:
    page = browser.log_in(GRACE.subject)
    assert (page.status_code, page.url) == (200, f"{demo.server}/me")
    assert "Grace Hopper" in page.text
    assert "Engineering" in page.text
    assert browser.me() == 200

    desk = browser.press(browser.open(f"{demo.desk}/"), "Deactivate Grace Hopper through SCIM")
    assert browser.me() == 303, "refused at the next request"
    assert desk.url.removesuffix("#done") == f"{demo.desk}/"
    assert re.search(r"1 session of grace\.hopper@analytical\.example ended, [\d.]+ ms after", desk.text)
    assert "PATCH http://127.0.0.1:" in desk.text
    assert "deactivated by token:demo" in desk.text
    assert browser.log_in(GRACE.subject).status_code == 403

    assert "is active" in browser.press(desk, "Reactivate Grace Hopper through SCIM").text
    assert browser.me() == 303, "the old session stays dead"
    assert browser.log_in(GRACE.subject).url == f"{demo.server}/me"


@pytest.mark.parametrize(
    ("subject", "reason"),
    [(CHARLES.subject, "account: inactive"), (MALLORY.subject, "account: email_unverified")],
    ids=["deactivated", "unproven"],
)
def test_who_may_not_come_in_is_refused_and_only_the_desk_tells_why(
    demo: Demo, browser: Browser, subject: str, reason: str
) -> None:
    refused = browser.log_in(subject)
    assert refused.status_code == 403
    assert "You have no access here" in refused.text
    assert browser.me() == 303
    code = re.search(r"Code: <code>(\w+)</code>", refused.text)
    assert code
    assert reason.partition(": ")[2] not in refused.text
    [row] = [each for each in browser.open(f"{demo.desk}/").text.split("<tr>") if code[1] in each]
    assert reason in row


def test_the_admin_gets_in_and_as_the_last_one_cannot_be_ended(demo: Demo, browser: Browser) -> None:
    assert browser.log_in(ADA.subject).url == f"{demo.server}/me"
    desk = browser.press(browser.open(f"{demo.desk}/"), "Deactivate Ada Lovelace")
    assert "Refused: This is the last active admin" in desk.text
    assert "answered 403" in desk.text
    assert browser.me() == 200


def test_who_says_no_at_the_provider_is_not_logged_in(demo: Demo, browser: Browser) -> None:
    there = browser.press(browser.open(f"{demo.server}/login"), "Continue with")
    no = re.search(r'<a href="([^"]*)">Nobody', there.text)
    assert no
    refused = browser.open(unescape(no[1]))
    assert refused.status_code == 403
    assert "The identity provider said no" in refused.text
    assert browser.me() == 303


def test_a_logout_goes_by_the_provider(demo: Demo, browser: Browser) -> None:
    browser.log_in(GRACE.subject)
    there = browser.press(browser.open(f"{demo.server}/logout"), "Log out")
    assert there.url.startswith(f"{demo.address('Identity provider')}/oauth2/end_session?")
    assert browser.press(there, "Log out").url.startswith(f"{demo.server}/logout/done")
    assert browser.me() == 303


def test_everybody_was_pushed_by_a_scim_client(demo: Demo) -> None:
    folder = re.search(r"SCIM_SERVER_DATA_DIR=(\S+)", demo.printed)
    assert folder
    operator = Program({"SCIM_SERVER_DATA_DIR": folder[1]})
    listed = operator.json("user", "list", "--count", "1000")
    assert {each["userName"] for each in listed} == {each.username for each in people()}
    assert len(listed) == 199
    shown = operator.json("user", "show", people()[-1].username)
    assert [(each["action"], each["actor"]) for each in shown["changes"]] == [("user.created", "token:demo")]


# ----------------------------------------------------------------------------------- the second terminal


def test_the_command_ends_an_account_as_the_desk_does(demo: Demo, browser: Browser) -> None:
    browser.log_in(GRACE.subject)
    told = demo.second_terminal("demo", "deactivate", GRACE.username.upper())
    assert browser.me() == 303
    assert (told.exit_code, told.stderr) == (0, "")
    assert re.search(rf"^1 session of {re.escape(GRACE.username)} ended, [\d.]+ ms after", told.stdout, re.MULTILINE)
    assert told.stdout.startswith(f"PATCH {demo.server}/scim/v2/Users/")

    again = demo.switch(GRACE.username, "--active")
    assert (again["active"], again["exchange"]["status"], again["receipt"]) == (True, 200, None)
    browser.log_in(GRACE.subject)
    ended = demo.switch(GRACE.username)
    assert ended["receipt"]["sessions"] == 1
    assert ended["receipt"]["request_id"] == ended["exchange"]["request_id"]
    assert "scs_scim_" not in json.dumps(ended)
    desk = browser.open(f"{demo.desk}/").text
    [_, latest, *_] = desk.partition('aria-label="Receipts"')[2].split("<tr>")[1:]
    cells = re.findall(r"<td[^>]*>(.*?)</td>", latest)
    assert cells[1:] == [GRACE.username, "deactivated", "token:demo", "1"], "the desk knows of what it did not do"


def test_without_a_session_no_time_is_told_in_which_one_ended(demo: Demo, browser: Browser) -> None:
    assert browser.me() == 303
    told = demo.second_terminal("demo", "deactivate", GRACE.username)
    assert told.stdout.splitlines()[-1] == f"{GRACE.username} may not log in any more, and was not logged in."


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [(ADA.username, 1, "last active admin"), ("nobody", 3, "no account nobody"), ('x" or id pr or "', 3, "no account")],
    ids=["the last admin", "nobody", "a filter"],
)
def test_the_command_tells_in_a_line_what_cannot_be_done(demo: Demo, name: str, code: int, says: str) -> None:
    told = demo.second_terminal("demo", "deactivate", name)
    assert told.exit_code == code
    assert re.fullmatch(rf"scim-server: .*{says}.*\n", told.stderr)


def test_without_a_demo_the_command_says_how_to_start_one(tmp_path: Path) -> None:
    told = Program({"XDG_RUNTIME_DIR": str(tmp_path)}).refused(3, "demo", "deactivate", "x")
    assert told == "No demo is running. Start one with: scim-server demo"


def test_a_file_that_another_user_left_in_its_place_is_not_believed(
    demo: Demo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [noted] = Path(demo.environment["XDG_RUNTIME_DIR"]).iterdir()
    me = os.getuid()
    (tmp_path / noted.name.replace(str(me), str(me + 1))).write_bytes(noted.read_bytes())
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    told = Program({"XDG_RUNTIME_DIR": str(tmp_path)}).refused(3, "demo", "deactivate", GRACE.username)
    assert "somebody else's" in told


# ---------------------------------------------------------------------------------------------- its pages


@pytest.mark.parametrize("label", ["HR desk", "Identity provider"])
def test_its_pages_have_strict_headers_and_load_nothing_from_elsewhere(demo: Demo, label: str) -> None:
    page = Browser(demo).open(f"{demo.address(label)}/")
    assert page.status_code == 200
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert (page.headers["X-Content-Type-Options"], page.headers["Cache-Control"]) == ("nosniff", "no-store")
    assert set(re.findall(r'(?:src|<link[^>]* href)="([^"]*)"', page.text)) <= {"/demo.css", "data:,"}
    assert Browser(demo).open(f"{demo.address(label)}/demo.css").headers["Content-Type"] == "text/css"
    assert Browser(demo).open(f"{demo.address(label)}/nothing").status_code == 404


@pytest.mark.parametrize("label", ["HR desk", "Identity provider"])
def test_its_pages_answer_to_no_foreign_name(demo: Demo, label: str) -> None:
    page = Browser(demo).open(f"{demo.address(label)}/", headers={"Host": "evil.example"})
    assert page.status_code == 421
    assert "token" not in page.text


def test_the_desk_takes_no_form_of_anybody_elses(demo: Demo, browser: Browser) -> None:
    browser.log_in(GRACE.subject)
    for token in ("", "x", "é"):
        desk = browser.open(f"{demo.desk}/")
        assert browser.press(desk, "Deactivate Grace Hopper", token=token).status_code == 400
    assert browser.me() == 200


@pytest.mark.parametrize(
    "said",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
@pytest.mark.parametrize("label", ["HR desk", "Identity provider"])
def test_its_pages_take_nothing_from_a_page_of_elsewhere(
    demo: Demo, browser: Browser, label: str, said: dict[str, str]
) -> None:
    page = browser.open(f"{demo.desk}/" if label == "HR desk" else f"{demo.server}/login")
    if label == "Identity provider":
        page = browser.press(page, "Continue with")
    button = "Deactivate Grace Hopper" if label == "HR desk" else "Grace Hopper"
    ours = {"Origin": "/".join(page.url.split("/")[:3]), "Sec-Fetch-Site": "same-origin"}
    refused = browser.press(page, button, headers=ours | said, sub=GRACE.subject)
    assert (refused.status_code, refused.text) == (403, "A page of another site sent this.\n")
    assert browser.me() == 303
    assert browser.press(page, button, headers=ours, sub=GRACE.subject).status_code == 200, "its own pages may"


# ----------------------------------------------------------------------------------- starting and stopping


def test_ctrl_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with started(surroundings(tmp_path)) as demo:
        assert [path.name for path in (tmp_path / "runtime").iterdir()] == [f"scim-server-demo-{os.getuid()}.json"]
        assert len(list((tmp_path / "temporary").iterdir())) == 1
        os.killpg(demo.process.pid, signal.SIGINT)  # as a terminal does it: to the demo and to its server
        said = demo.process.communicate(timeout=60)[1]
        assert (demo.process.returncode, said.splitlines()[-1]) == (0, "Stopping …")
        assert "Traceback" not in said
        assert not demo.leaves_a_child
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert list((tmp_path / "temporary").iterdir()) == []


def test_a_folder_that_is_named_stays_and_is_taken_up_again_and_without_its_server_it_ends(tmp_path: Path) -> None:
    environment, folder = surroundings(tmp_path), tmp_path / "kept"
    with started(environment, "--data-dir", str(folder)) as demo:
        assert Browser(demo).log_in(GRACE.subject).status_code == 200
        demo.switch(GRACE.username)
        assert demo.stop(signal.SIGINT)[0] == 0
        assert not demo.leaves_a_child
    assert (folder / "scim-server.db").exists()
    with started(environment, "--data-dir", str(folder)) as demo:
        browser = Browser(demo)
        assert browser.log_in(GRACE.subject).status_code == 403
        demo.switch(GRACE.username, "--active")
        assert browser.log_in(GRACE.subject).url == f"{demo.server}/me"
        [server] = children(demo.process.pid)
        os.kill(server, signal.SIGTERM)
        said = demo.process.communicate(timeout=60)[1]
        assert (demo.process.returncode, said.splitlines()[-1]) == (
            4,
            "scim-server: The demo's server ended by itself.",
        )
        assert not demo.leaves_a_child
    assert list((tmp_path / "runtime").iterdir()) == []


def children(process: int) -> list[int]:
    listed = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    return [int(pid) for pid, parent in map(str.split, listed.splitlines()) if int(parent) == process]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["server", "provider", "desk"])
def test_a_taken_port_is_one_line(unsettled: Callable[..., Program], number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        told = unsettled().refused(1, "demo", "--port", str(port - number))
    assert told == f"Cannot listen at 127.0.0.1 port {port}: Address already in use. Choose with --port."


def test_a_folder_with_something_else_in_it_is_left_alone(unsettled: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "scim-server.db").touch()
    told = unsettled().refused(1, "demo", "--port", "0", "--data-dir", str(tmp_path))
    assert told == f"The folder {tmp_path} holds something else; the demo wants an empty one or its own."
    assert [path.name for path in tmp_path.iterdir()] == ["scim-server.db"]


@pytest.mark.parametrize("package", ["oidc_provider_mock", "scim2_client"])
def test_a_missing_extra_is_one_line_with_the_fix(tmp_path: Path, package: str) -> None:
    command = [sys.executable, "-c", f"import sys; sys.modules[{package!r}] = None; {PROGRAM}", "demo"]
    told = subprocess.run(
        command, env=surroundings(tmp_path), capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert (told.returncode, told.stdout) == (1, "")
    assert told.stderr == (
        f"scim-server: The demo needs the package {package}. Install it with: pip install 'scim-server[demo]'\n"
    )
