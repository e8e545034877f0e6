"""The login half of a connection at the command line: added, tested, changed, linked to people, removed."""

import json
import re
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from scim_server import config
from scim_server.directory import sso_connections
from scim_server.directory.vault import Vault
from sso.providers import kinds
from tests.cli.conftest import Program
from tests.directory.desk import rows
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE, Trouble
from tests.running import House, Scim

GUID = "0f2a1c9e-3b7d-4e58-9a61-5c2d8e7f4b10"
WITHOUT_DISCOVERY = {"github", "bitbucket"}


@pytest.fixture
def secret(tmp_path: Path) -> str:
    path = tmp_path / "client-secret"
    path.write_text("hidden at rest\n")
    return str(path)


@pytest.fixture
def add(program: Program, secret: str) -> Any:
    """Add a connection and return its login."""

    def add(kind: str, *options: str, name: str = "company", code: int = 0, **settings: str) -> Any:
        given = ["--name", name, "--kind", kind, "--client-id", "ours", "--client-secret-file", secret, *options]
        if code:
            return program.refused(code, "connection", "add", *given, **settings)
        result = program("connection", "add", *given, "--json", **settings)
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)["login"]

    return add


@pytest.fixture
def idp() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


def options_of(kind: str) -> list[str]:
    return {"oidc": ["--issuer", "https://idp.example.com/"], "entra": ["--entra-tenant", GUID]}.get(kind, [])


# --------------------------------------------------------------------------------------------------------- adding


@pytest.mark.parametrize("kind", sso_connections.KINDS)
def test_every_kind_can_be_added_and_says_what_the_console_needs(sqlite: Program, secret: str, kind: str) -> None:
    given = ["--kind", kind, "--client-id", "ours", "--client-secret-file", secret, *options_of(kind)]
    result = sqlite("connection", "add", "company", *given, base_url="https://accounts.example.com")
    assert result.exit_code == 0
    login = sqlite.json("connection", "show", "company")["login"]
    callback = f"https://accounts.example.com/sso/{login['id']}/callback"
    assert result.stderr.splitlines()[1:3] == [f"Enter at the provider ({kinds.CONSOLES[kind]}):", f"  {callback}"]
    assert login["kind"] == kind
    assert ("backchannel_logout_uri" in login) is (kind not in WITHOUT_DISCOVERY)
    assert "hidden" not in result.output + json.dumps(login)


def test_without_domains_it_says_what_that_means(sqlite: Program, secret: str) -> None:
    given = ["connection", "add", "--kind", "google", "--client-id", "ours", "--client-secret-file", secret]
    said = "No --domains: any address that the provider has proven may be matched.\n"
    assert sqlite(*given, "open").stderr.endswith(said)
    assert said not in sqlite(*given, "closed", "--domains", "example.com").stderr


def test_the_secret_is_kept_sealed_and_read_from_a_pipe_too(sqlite: Program, secret: str, tmp_path: Path) -> None:
    from click.testing import CliRunner

    from scim_server.cli import main
    from scim_server.directory.store.engine import Database

    given = ["connection", "add", "x", "--kind", "github", "--client-id", "ours", "--client-secret-file", "-", "--json"]
    assert CliRunner().invoke(main, given, input="hidden at rest\n", env=sqlite.environment).exit_code == 0
    database = Database(f"sqlite:///{tmp_path / 'scim-server.db'}")
    [(kept,)] = rows(database, "SELECT client_secret FROM sso_connections")
    database.close()
    assert "hidden" not in kept
    key = config.server_key(config.load(sqlite.environment))
    assert Vault(key).open(kept) == "hidden at rest"


def test_domains_are_kept_once_in_lower_case(add: Any) -> None:
    assert add("google", "--domains", " B.example,@a.example,b.example,")["domains"] == ["a.example", "b.example"]


@pytest.mark.parametrize(
    ("kind", "options", "trust"),
    [
        ("google", [], "verified_claim"),
        ("github", [], "verified_claim"),
        ("bitbucket", [], "verified_claim"),
        ("gitlab", [], "verified_claim"),
        ("gitlab", ["--base-url", "https://git.example.com"], "none"),
        ("entra", ["--entra-tenant", GUID], "authoritative_domains"),
        ("oidc", ["--issuer", "https://idp.example.com"], "verified_claim"),
        ("oidc", ["--issuer", "https://idp.example.com", "--email-trust", "none"], "none"),
    ],
)
def test_how_far_an_address_is_trusted_follows_from_the_kind_unless_it_is_said(
    sqlite: Program, secret: str, kind: str, options: list[str], trust: str
) -> None:
    given = ["--kind", kind, "--client-id", "ours", "--client-secret-file", secret, *options]
    assert sqlite.json("connection", "add", "company", *given)["login"]["email_trust"] == trust


@pytest.mark.parametrize(
    ("kind", "options", "issuer"),
    [
        ("google", [], "https://accounts.google.com"),
        ("gitlab", ["--base-url", "https://git.example.com/"], "https://git.example.com"),
        ("github", ["--base-url", "https://git.example.com"], "https://git.example.com"),
        ("entra", ["--entra-tenant", GUID], f"https://login.microsoftonline.com/{GUID}/v2.0"),
        ("entra", ["--entra-tenant", GUID, "--issuer", "https://login.example"], f"https://login.example/{GUID}/v2.0"),
        ("oidc", ["--issuer", "https://idp.example.com/realms/x/"], "https://idp.example.com/realms/x/"),
    ],
)
def test_the_issuer_follows_from_the_kind_or_is_kept_as_it_was_written(
    sqlite: Program, secret: str, kind: str, options: list[str], issuer: str
) -> None:
    given = ["--kind", kind, "--client-id", "ours", "--client-secret-file", secret, *options]
    assert sqlite.json("connection", "add", "company", *given)["login"]["issuer"] == issuer


@pytest.mark.parametrize(
    ("kind", "options", "says"),
    [
        ("oidc", [], "needs --issuer"),
        ("oidc", ["--issuer", "idp.example.com"], "--issuer must be a URL"),
        ("oidc", ["--issuer", "https://user@idp.example.com"], "--issuer must be a URL"),
        ("entra", [], "needs --entra-tenant"),
        ("entra", ["--entra-tenant", "common"], "common and organizations would let every directory in"),
        ("google", ["--issuer", "https://accounts.google.com"], "takes no --issuer"),
        ("google", ["--base-url", "https://google.example"], "no self-managed Google"),
        ("github", ["--base-url", "git.example.com"], "--base-url must be a URL"),
        ("github", ["--jit", "on"], "add --domains"),
        ("github", ["--domains", "example"], "example is none"),
        ("github", ["--domains", "ada@example.com"], "ada@example.com is none"),
        ("github", ["--domains", "exämple.com"], "exämple.com is none"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line_and_nothing_is_kept(
    sqlite: Program, secret: str, kind: str, options: list[str], says: str
) -> None:
    given = ["--kind", kind, "--client-id", "ours", "--client-secret-file", secret, *options]
    told = sqlite.refused(1, "connection", "add", "company", *given)
    assert says in told
    assert "\n" not in told
    assert sqlite.json("connection", "list") == []


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["company", "--kind", "google"], "A login needs --client-id and --client-secret-file."),
        (["company", "--kind", "google", "--client-id", "x"], "A login needs --client-secret-file."),
        (["company", "--client-id", "x"], "Options of the login need --kind."),
        (["company", "--enforced", "on"], "Options of the login need --kind."),
        (["company", "--name", "company"], "Give the name of the connection, once."),
        (["--kind", "google"], "Give the name of the connection, once."),
        (["company", "--kind", "okta"], "Invalid value for '--kind'"),
        (["company", "--kind", "google", "--client-secret-file", "/nowhere"], "does not exist"),
    ],
)
def test_a_misused_add_says_what_is_missing(sqlite: Program, given: list[str], says: str) -> None:
    result = sqlite("connection", "add", *given)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in re.sub(r"\s+", " ", result.stderr)


def test_an_empty_secret_is_refused(sqlite: Program, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text(" \n")
    given = ["--kind", "google", "--client-id", "x", "--client-secret-file", str(tmp_path / "empty")]
    result = sqlite("connection", "add", "company", *given)
    assert (result.exit_code, "The file of the client secret is empty." in result.stderr) == (2, True)


def test_a_sender_gets_its_login_by_the_same_command_and_only_one(program: Program, add: Any) -> None:
    held = program.json("connection", "add", "company", "--strict")
    login = add("google")
    shown = program.json("connection", "show", "company")
    assert (shown["id"], shown["strict"], shown["login"]["id"]) == (held["id"], True, login["id"])
    assert [(each["name"], each["login"]) for each in program.json("connection", "list")] == [("company", "google")]
    assert add("github", code=1) == "The connection company has a login already; change it with set."


# ------------------------------------------------------------------------------------------------ changing, removing


def test_a_login_is_changed_without_its_secret(program: Program, house: House, add: Any) -> None:
    before = add("google")
    changed = program.json("connection", "set", "company", "--domains", "a.example", "--jit", "on", "--max-age", "60")
    expected = before | {"domains": ["a.example"], "jit": True, "max_age": 60}
    assert changed["login"] == expected
    assert program.json("connection", "show", "company")["login"] == expected
    told = program.refused(1, "connection", "set", "company", "--domains", "")
    assert told == "Accounts are made at login only in domains that you name: add --domains."
    assert program.json("connection", "set", "company", "--enforced", "on", "--jit", "off", "--domains", "")[
        "login"
    ] == (before | {"max_age": 60, "enforced": True})


def test_an_issuer_moves_with_what_it_follows_from(program: Program, add: Any) -> None:
    add("gitlab")
    given = ("connection", "set", "company", "--base-url", "https://git.example.com/")
    assert program.json(*given)["login"]["issuer"] == "https://git.example.com"


def test_a_sender_without_login_has_none_to_change_test_or_remove(program: Program) -> None:
    program("connection", "add", "company")
    for path in (("set", "company", "--jit", "off"), ("test", "company"), ("remove", "company", "--login-only")):
        told = program.refused(3, "connection", *path)
        assert told == (
            "The connection company has no login. Add one with: scim-server connection add company --kind …"
        )
    assert len(program.json("connection", "list")) == 1


def test_a_login_is_removed_and_the_sender_stays(program: Program, scim: Scim, house: House, add: Any) -> None:
    add("oidc", "--issuer", "https://idp.example.com")
    token = program.json("token", "issue", "--name", "x", "--connection", "company")["token"]
    program("user", "create", "ada@example.com")
    program("user", "link", "ada@example.com", "--connection", "company", "--subject", "s-1")
    told = program.json("connection", "remove", "company", "--login-only")
    assert told == {"name": "company", "removed": True, "people_logged_out": 1, "identities": 1, "tokens": 0}
    assert program.json("connection", "show", "company")["login"] is None
    assert Scim(house.app.wsgi_app, token).get("/Users").status == 200
    assert program.json("user", "access", "ada@example.com")["identities"] == []


def test_a_connection_is_removed_with_its_tokens_and_its_name_is_free(program: Program, house: House, add: Any) -> None:
    add("google")
    token = program.json("token", "issue", "--name", "x", "--connection", "company")["token"]
    made = Scim(house.app.wsgi_app, token).user("ada@example.com")
    told = program.json("connection", "remove", "company")
    assert told == {"name": "company", "removed": True, "people_logged_out": 0, "identities": 0, "tokens": 1}
    assert Scim(house.app.wsgi_app, token).get("/Users").status == 401
    assert program.json("connection", "list") == []
    assert program.json("user", "show", made["id"])["resource"]["active"], "people stay"
    add("github")
    assert program.refused(3, "connection", "remove", "other").startswith("There is no connection named other.")


# ---------------------------------------------------------------------------------------------------------- links


def test_a_subject_is_linked_and_unlinked_by_hand(program: Program, add: Any) -> None:
    add("oidc", "--issuer", "https://idp.example.com")
    ada = program.json("user", "create", "ada@example.com")["id"]
    program("user", "create", "eve@example.com")
    link = ("user", "link", "ada@example.com", "--connection", "company", "--subject", "s-1")
    assert program.json(*link) == {"id": ada, "connection": "company", "subject": "s-1"}
    [identity] = program.json("user", "access", ada)["identities"]
    assert (identity["connection"], identity["subject"], identity["method"]) == ("company", "s-1", "by hand")
    assert program.json(*link)["subject"] == "s-1", "said twice is said once"
    assert program.refused(1, *link[:-1], "s-2") == (
        "The account is another subject of this connection; undo that link first."
    )
    assert program.refused(1, "user", "link", "eve@example.com", *link[3:]) == (
        "This subject is linked to another account; undo that link first."
    )
    undo = ("user", "unlink", "ada@example.com", "--connection", "company")
    assert program.json(*undo) == {"id": ada, "connection": "company", "subject": "s-1", "linked": False}
    assert program.refused(3, *undo) == "The account is not linked to company."


def test_a_subject_of_a_deleted_account_is_taken_over_by_hand(program: Program, add: Any) -> None:
    add("oidc", "--issuer", "https://idp.example.com")
    for name in ("ada@example.com", "ada.l@example.com"):
        program("user", "create", name)
    program("user", "link", "ada@example.com", "--connection", "company", "--subject", "s-1")
    program("user", "delete", "ada@example.com")
    program.json("user", "link", "ada.l@example.com", "--connection", "company", "--subject", "s-1")
    assert len(program.json("user", "access", "ada.l@example.com")["identities"]) == 1


def test_a_connection_without_login_links_nobody(program: Program) -> None:
    program("connection", "add", "company")
    program("user", "create", "ada@example.com")
    for path in (("link", "ada@example.com", "--subject", "x"), ("unlink", "ada@example.com")):
        told = program.refused(3, "user", *path, "--connection", "company")
        assert told == "The connection company has no login."


# ----------------------------------------------------------------------------------------------------------- test


def checks(program: Program, code: int = 0, **settings: str) -> dict[str, tuple[bool, str]]:
    given = {"provider_networks": "127.0.0.0/8", **settings}
    result = program("connection", "test", "company", "--json", **given)
    assert result.exit_code == code, result.output
    if code:
        assert result.stderr == "scim-server: The connection cannot be used like this; see above.\n"
    return {each["check"]: (each["ok"], each["says"]) for each in json.loads(result.stdout)}


def test_a_good_connection_passes_and_tells_what_the_console_must_contain(
    program: Program, add: Any, idp: HostileProvider
) -> None:
    login = add("oidc", "--issuer", idp.issuer, "--domains", "example.com")
    found = checks(program)
    assert list(found) == [
        "client secret", "discovery", "clock", "algorithms", "keys", "logout at the provider",
        "provider's console must contain", "redirect URI", "domains",
    ]  # fmt: skip
    assert all(ok for ok, _ in found.values())
    assert found["keys"][1] == f"1 at {idp.url('jwks')}"
    assert login["redirect_uri"] in found["provider's console must contain"][1]
    assert "the address in the browser" in found["redirect URI"][1], "the port may be another"
    assert "set SCIM_SERVER_BASE_URL" in found["redirect URI"][1]
    assert idp.counts == {"discovery": 1, "jwks": 1}
    secure = checks(program, base_url="https://accounts.example.com")
    assert secure["redirect URI"] == (True, f"https://accounts.example.com/sso/{login['id']}/callback")


def warnings(program: Program, **settings: str) -> dict[str, str]:
    result = program("connection", "test", "company", provider_networks="127.0.0.0/8", **settings)
    assert result.exit_code == 0, result.output
    return dict(re.findall(r"^(.*?) +warn +(.*)$", result.stdout, re.MULTILINE))


def test_what_may_be_meant_is_a_warning_and_no_failure(sqlite: Program, secret: str, idp: HostileProvider) -> None:
    given = ["--kind", "oidc", "--client-id", "ours", "--client-secret-file", secret, "--issuer", idp.issuer]
    told = sqlite("connection", "add", "company", "--domains", "example.com", *given)
    assert told.stderr.splitlines()[-1] == (
        "SCIM_SERVER_BASE_URL is not set: at login the address in the browser stands in place of http://127.0.0.1:8000."
    )
    idp.transport = {"discovery": Trouble(headers={"Date": formatdate(usegmt=True)})}
    assert warnings(sqlite, base_url="https://accounts.example.com") == {}
    assert list(warnings(sqlite)) == ["redirect URI"]
    assert "for localhost only" in warnings(sqlite, base_url="http://accounts.example.com")["redirect URI"]
    idp.transport = {"discovery": Trouble(headers={"Date": "noon"})}
    assert "does not tell its time" in warnings(sqlite, base_url="https://accounts.example.com")["clock"]
    listed = json.loads(sqlite("connection", "test", "company", "--json", provider_networks="127.0.0.0/8").stdout)
    assert [each["check"] for each in listed if each["warn"]] == ["clock", "redirect URI"]
    assert all(each["ok"] for each in listed)


@pytest.mark.parametrize(
    ("knobs", "failing"),
    [
        ({"metadata": {"issuer": "https://other.example"}}, ("discovery", "issuer mismatch: configured")),
        ({"metadata": {"issuer": REMOVE}}, ("discovery", "issuer missing")),
        ({"metadata": {"jwks_uri": REMOVE}}, ("discovery", "jwks uri missing")),
        ({"metadata": {"id_token_signing_alg_values_supported": ["none"]}}, ("discovery", "no algorithm")),
        ({"transport": {"discovery": Trouble(status=500)}}, ("discovery", "answered with status 500")),
        ({"transport": {"discovery": Trouble(body="<p>")}}, ("discovery", "other than JSON")),
        ({"transport": {"discovery": Trouble(body=[])}}, ("discovery", "is no JSON object")),
        ({"transport": {"jwks": Trouble(status=404)}}, ("keys", "answered with status 404")),
        ({"jwks": []}, ("keys", "0 at")),
        ({"transport": {"discovery": Trouble(headers={"Date": formatdate(0)})}}, ("clock", "set the clock by NTP")),
    ],
)
def test_what_is_wrong_at_the_provider_is_told_with_status_4(
    sqlite: Program, secret: str, idp: HostileProvider, knobs: dict[str, Any], failing: tuple[str, str]
) -> None:
    given = ["--kind", "oidc", "--client-id", "ours", "--client-secret-file", secret, "--issuer", idp.issuer]
    sqlite("connection", "add", "company", *given)
    for name, value in knobs.items():
        setattr(idp, name, value)
    check, says = failing
    found = checks(sqlite, 4)
    assert [name for name, (ok, _) in found.items() if not ok] == [check]
    assert says in found[check][1]


def test_a_provider_inside_is_reached_only_where_the_operator_allows_it(
    sqlite: Program, secret: str, idp: HostileProvider
) -> None:
    given = ["--kind", "oidc", "--client-id", "ours", "--client-secret-file", secret, "--issuer", idp.issuer]
    sqlite("connection", "add", "company", *given)
    found = checks(sqlite, 4, provider_networks="10.0.0.0/8")
    assert "SCIM_SERVER_PROVIDER_NETWORKS" in found["discovery"][1]
    assert idp.requests == []


def test_a_secret_of_another_key_is_told_with_the_way_out(sqlite: Program, secret: str, idp: HostileProvider) -> None:
    given = ["--kind", "oidc", "--client-id", "ours", "--client-secret-file", secret, "--issuer", idp.issuer]
    sqlite("connection", "add", "company", *given, secret_key="a" * 32)
    found = checks(sqlite, 4, secret_key="b" * 32)
    assert "connection set NAME --client-secret-file FILE" in found["client secret"][1]
    sqlite("connection", "set", "company", "--client-secret-file", secret, secret_key="b" * 32)
    assert checks(sqlite, secret_key="b" * 32)["client secret"][0]


@pytest.mark.parametrize(("kind", "api"), [("github", "/api/v3/user"), ("bitbucket", "/2.0/user")])
def test_a_provider_without_discovery_is_asked_whether_its_api_answers(
    sqlite: Program, secret: str, idp: HostileProvider, kind: str, api: str
) -> None:
    given = ["--kind", kind, "--client-id", "ours", "--client-secret-file", secret, "--base-url", idp.base]
    sqlite("connection", "add", "company", *given)
    ok, says = checks(sqlite)["API"]
    assert (ok, says) == (True, f"{idp.base}{api.removesuffix('/user')} answers")
    assert [each.path for each in idp.requests] == [api]
    sqlite("connection", "set", "company", "--base-url", "http://127.0.0.1:1")
    assert not checks(sqlite, 4)["API"][0]
