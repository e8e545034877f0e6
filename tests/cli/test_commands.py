"""Every command, as people and as programs read it: tables, JSON, exit status, and one line when it fails."""

import getpass
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from scim_server import __version__
from scim_server.cli import main
from scim_server.directory import actor
from scim_server.directory.store import migrate
from scim_server.directory.store.engine import Database
from tests.cli.conftest import Program
from tests.directory.desk import rows
from tests.running import House, Scim


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    """Every command below a group."""
    found: list[tuple[str, ...]] = []
    for name, each in group.commands.items():
        found += commands(each, *path, name) if isinstance(each, click.Group) else [(*path, name)]
    return found


EVERY = commands(main)
USER_VERBS = (
    "access", "activate", "deactivate", "delete", "password-clear", "password-link", "sessions", "unlock",
)  # fmt: skip
"""Those that take a person and nothing else."""


@pytest.mark.parametrize("path", [(), *EVERY], ids=" ".join)
def test_every_command_has_help(sqlite: Program, path: tuple[str, ...]) -> None:
    for flag in ("--help", "-h"):
        result = sqlite(*path, flag)
        assert result.exit_code == 0
        assert re.search(r"\n  [A-Z]\w+ \w[^\n]+", result.stdout), "it says what it does"


def groups(group: click.Group, name: str = "scim-server") -> list[tuple[str, click.Group]]:
    """A group and every group below it."""
    below = [groups(each, f"{name} {word}") for word, each in group.commands.items() if isinstance(each, click.Group)]
    return [(name, group), *(found for each in below for found in each)]


@pytest.mark.parametrize("group", [each for _, each in groups(main)], ids=[name for name, _ in groups(main)])
def test_what_a_command_does_is_not_cut_where_its_group_lists_it(group: click.Group) -> None:
    context = click.Context(group, terminal_width=78)  # what is left of a terminal of 80 columns
    listed = group.get_help(context).partition("\nCommands:\n")[2]
    assert [line.split()[0] for line in listed.splitlines()] == sorted(group.commands), "a line for each"
    assert "..." not in listed


@pytest.mark.parametrize("path", EVERY, ids=" ".join)
def test_a_command_that_is_misused_says_so_with_status_2(sqlite: Program, path: tuple[str, ...]) -> None:
    result = sqlite(*path, "--no-such-option")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "No such option" in result.stderr


@pytest.mark.parametrize("path", [each for each in EVERY if each[0] != "demo"], ids=" ".join)  # it has its own settings
def test_no_command_runs_with_a_wrong_setting(sqlite: Program, path: tuple[str, ...]) -> None:
    arguments = _REQUIRED.get(path, [])
    names = [each for each in _command(path).params if isinstance(each, click.Argument)]
    told = sqlite.refused(2, *path, *arguments, *("x" for _ in names), prot="80")
    assert told == "SCIM_SERVER_PROT is not a setting; did you mean SCIM_SERVER_PORT?"


_REQUIRED: dict[tuple[str, ...], list[str]] = {
    ("tenant", "set"): ["--no-access-group"],
    ("token", "issue"): ["--name", "x"],
    ("user", "link"): ["--connection", "x", "--subject", "x"],
    ("user", "lock"): ["--reason", "x"],
    ("user", "token", "issue"): ["--name", "x"],
    ("user", "unlink"): ["--connection", "x"],
}
"""Options without which a command is not even looked at."""


def _command(path: tuple[str, ...]) -> click.Command:
    found: click.Command = main
    for name in path:
        assert isinstance(found, click.Group)
        found = found.commands[name]
    return found


def test_the_version_is_told(sqlite: Program) -> None:
    assert sqlite("--version").stdout == f"scim-server, version {__version__}\n"


# ------------------------------------------------------------------------------------------ what goes wrong


OUT_OF_REACH = [
    ("mysql://x/y", "sqlite:///"),
    ("nonsense", "sqlite:///"),
    ("postgresql://h:port/db", "sqlite:///"),
    ("postgresql://nobody:hidden@127.0.0.1:1/nothing", "cannot be reached"),
    ("postgresql:///nothing?host=/nonexistent", "cannot be reached"),
    ("sqlite:////dev/null/folder/new.db", "cannot be made"),
    ("sqlite:////proc/new.db", "cannot be"),
]


@pytest.mark.parametrize(("url", "says"), OUT_OF_REACH)
@pytest.mark.parametrize("path", [("token", "list"), ("db", "upgrade"), ("user", "show", "x"), ("run",)], ids=" ".join)
def test_a_database_out_of_reach_is_one_line_and_status_4(
    unsettled: Callable[..., Program], url: str, says: str, path: tuple[str, ...]
) -> None:
    told = unsettled(database_url=url).refused(4, *path, *(["--port", "1024"] if path == ("run",) else []))
    assert says in told
    assert "\n" not in told
    assert "hidden" not in told


def test_a_data_folder_that_cannot_be_made_is_one_line(unsettled: Callable[..., Program]) -> None:
    for path in (["tenant", "list"], ["db", "upgrade"]):
        told = unsettled(data_dir="/dev/null/var").refused(4, *path)
        assert re.search(r"/dev/null/var\S* cannot be made: Not a directory\. See SCIM_SERVER_DATA_DIR\.$", told)


def test_run_needs_a_data_folder_beside_any_database(program: Program) -> None:
    told = program.refused(2, "run", "--port", "1024", data_dir="/dev/null/var")
    assert re.search(r"/dev/null/var/\S+ cannot be made: Not a directory\. See SCIM_SERVER_DATA_DIR\.$", told)


def test_a_file_that_is_no_database_is_one_line(unsettled: Callable[..., Program], tmp_path: Path) -> None:
    (tmp_path / "scim-server.db").write_text("Dear diary, this is not a database at all." * 100)
    assert "file is not a database" in unsettled().refused(4, "tenant", "list")


def test_a_database_of_another_version_is_left_alone(program: Program) -> None:
    _at(program, "0000x")
    told = program.refused(4, "tenant", "list")
    assert told.startswith("The database is at revision 0000x, which this version does not know.")
    assert program.refused(4, "db", "upgrade") == told


def _at(program: Program, revision: str) -> None:
    database = Database(program.environment["SCIM_SERVER_DATABASE_URL"])
    database.run_sql(f"UPDATE alembic_version SET version_num = '{revision}'")
    database.close()


@pytest.mark.parametrize(
    "path",
    [
        ("connection", "list"),
        ("connection", "add", "x"),
        ("connection", "show", "default"),
        ("connection", "set", "default"),
        ("connection", "test", "default"),
        ("connection", "remove", "default"),
        ("tenant", "set", "--no-access-group"),
        ("token", "list"),
        ("token", "issue", "--name", "x"),
        ("token", "rotate", "x"),
        ("token", "revoke", "x"),
        ("logins",),
        ("user", "create", "x"),
        ("user", "lock", "x", "--reason", "x"),
        ("user", "link", "x", "--connection", "x", "--subject", "x"),
        ("user", "unlink", "x", "--connection", "x"),
        ("user", "token", "issue", "x", "--name", "x"),
        ("user", "token", "list", "x"),
        ("user", "token", "revoke", "x", "x"),
        *(("user", verb, "x") for verb in USER_VERBS),
        *(("admin", verb, "x") for verb in ("grant", "revoke", "break-glass")),
        *((noun, *rest) for noun in ("user", "group") for rest in (("list",), ("show", "x"), ("restore", "x"))),
    ],
    ids=" ".join,
)
def test_an_unknown_tenant_is_told_with_the_way_out(sqlite: Program, path: tuple[str, ...]) -> None:
    told = sqlite.refused(3, *path, "--tenant", "acme")
    assert told == "There is no tenant named acme. Make it with: scim-server tenant create acme"


def test_whoever_has_no_name_is_audited_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 4711")

    monkeypatch.setattr(getpass, "getuser", nameless)
    assert re.fullmatch(r"cli:\d+", actor.at_command_line("x").name)


# ------------------------------------------------------------------------------------------------------ db


def test_db_check_and_upgrade(unsettled: Callable[..., Program]) -> None:
    program = unsettled()
    missing = program("db", "check", "--json")
    assert (missing.exit_code, json.loads(missing.stdout)["ok"]) == (4, False)
    assert missing.stderr == "scim-server: Bring it up with: scim-server db upgrade\n"
    assert program("db", "upgrade").stdout == f"The database is at revision {migrate.head()}.\n"
    assert program("db", "upgrade").stdout == f"The database is at revision {migrate.head()} already.\n"
    assert program.json("db", "check") == {"revision": migrate.head(), "known": migrate.head(), "ok": True}
    assert re.search(r"^ok +yes$", program("db", "check").stdout, re.MULTILINE)


def test_db_check_tells_a_newer_schema_with_status_4(program: Program) -> None:
    _at(program, "9999")
    result = program("db", "check")
    assert result.exit_code == 4
    assert "Install the version that wrote it" in result.stderr


def test_a_first_command_makes_the_database(unsettled: Callable[..., Program], tmp_path: Path) -> None:
    assert [each["name"] for each in unsettled().json("tenant", "list")] == ["default"]
    assert (tmp_path / "scim-server.db").exists()


# -------------------------------------------------------------------------------- tenant, connection, token


def test_tenants(program: Program) -> None:
    made = program.json("tenant", "create", "acme")
    assert set(made) == {"id", "name", "created"}
    assert [each["name"] for each in program.json("tenant", "list")] == ["acme", "default"]
    assert program("tenant", "list").stdout.splitlines()[1].split()[:2] == [made["id"], "acme"]
    assert program.refused(1, "tenant", "create", "acme") == "There is a tenant named acme already."
    assert "name     other\n" in program("tenant", "create", "other").stdout


def test_connections(program: Program) -> None:
    assert program.json("connection", "list") == []
    assert program("connection", "list").stdout == "(none)\n"
    made = program.json("connection", "add", "okta", "--strict", "--group-patch-status", "200")
    assert (made["name"], made["strict"], made["group_patch_status"]) == ("okta", True, 200)
    made |= {"login": None}
    assert program.json("connection", "show", "okta") == made
    assert program.json("connection", "list") == [made]
    changed = program.json("connection", "set", "okta", "--tolerant")
    assert changed == made | {"strict": False}
    assert re.search(r"^strict +no$", program("connection", "set", "okta").stdout, re.MULTILINE)
    assert program.json("connection", "set", "okta", "--group-patch-status", "204")["group_patch_status"] == 204
    assert program.refused(1, "connection", "add", "okta") == "There is a connection named okta already."
    unknown = "There is no connection named entra. List them with: scim-server connection list"
    assert program.refused(3, "connection", "show", "entra") == unknown
    assert program.refused(3, "connection", "set", "entra", "--strict") == unknown
    assert program("connection", "add", "x", "--group-patch-status", "418").exit_code == 2


def test_a_connection_belongs_to_one_tenant(program: Program) -> None:
    program("tenant", "create", "acme")
    program("connection", "add", "okta", "--tenant", "acme")
    assert program.json("connection", "list") == []
    assert len(program.json("connection", "list", "--tenant", "acme")) == 1


def test_an_issued_token_is_shown_once_and_opens_the_door(program: Program, house: House) -> None:
    issued = program.json("token", "issue", "--name", "okta", "--connection", "okta")
    assert set(issued) == {"token", "id", "expires"}
    assert Scim(house.app.wsgi_app, issued["token"]).get("/Users").status == 200
    [listed] = program.json("token", "list")
    assert (listed["id"], listed["name"], listed["connection"]) == (issued["id"], "okta", "okta")
    assert listed["created_by"].startswith("cli:")
    assert issued["token"] not in program("token", "list").stdout
    again = program("token", "issue", "--name", "okta")
    assert again.stderr == "Copy the token now: it cannot be shown again.\n"
    assert re.search(r"^token +scs_scim_\w+$", again.stdout, re.MULTILINE)


def test_a_tokens_life_and_scopes_can_be_chosen(program: Program) -> None:
    def days(*options: str) -> int | None:
        expires = program.json("token", "issue", "--name", "x", *options)["expires"]
        return round((datetime.fromisoformat(expires) - datetime.now(UTC)) / timedelta(days=1)) if expires else None

    assert [days(), days("--expires-days", "7"), days("--expires-days", "0")] == [365, 7, None]
    program("token", "issue", "--name", "reader", "--read-only")
    scopes = {each["name"]: each["scopes"] for each in program.json("token", "list")}
    assert scopes == {"x": "scim:read scim:write", "reader": "scim:read"}
    assert program("token", "issue", "--name", "x", "--expires-days", "-1").exit_code == 2
    assert program("token", "issue").exit_code == 2


def test_a_token_is_rotated_and_revoked(program: Program, house: House) -> None:
    old = program.json("token", "issue", "--name", "okta")
    new = program.json("token", "rotate", old["id"], "--overlap-days", "3")
    assert set(new) == {"token", "id", "expires"}

    def statuses() -> list[int]:
        return [Scim(house.app.wsgi_app, each["token"]).get("/Users").status for each in (old, new)]

    assert statuses() == [200, 200]
    assert set(program.json("token", "revoke", old["id"])) == {"id", "revoked"}
    assert statuses() == [401, 200]
    assert re.search(r"^revoked +2", program("token", "revoke", new["id"]).stdout, re.MULTILINE)
    assert statuses() == [401, 401]
    told = program.refused(1, "token", "rotate", old["id"])
    assert told == "This token is revoked; issue a new one with: scim-server token issue"
    for verb in ("rotate", "revoke"):
        told = program.refused(3, "token", verb, "x")
        assert told == "There is no token with this id. List them with: scim-server token list"
    assert program("token", "rotate", old["id"], "--overlap-days", "31").exit_code == 2


# ------------------------------------------------------------------------------------------- user and group


@pytest.fixture
def people(scim: Scim) -> dict[str, dict[str, Any]]:
    """Two people and a group, made over SCIM in the database that the program works on."""
    shown = {name: scim.user(name) for name in ("ada", "Ångström")}
    shown["Équipe"] = scim.group("Équipe", shown["ada"]["id"])
    return shown


def test_people_and_groups_are_listed(program: Program, people: dict[str, Any]) -> None:
    listed = program.json("user", "list")
    assert [each["id"] for each in listed] == [people["ada"]["id"], people["Ångström"]["id"]]
    assert set(listed[0]) == {"id", "userName", "display", "active", "modified"}
    assert "Ångström" in program("user", "list").stdout
    assert [each["displayName"] for each in program.json("group", "list")] == ["Équipe"]
    assert [each["userName"] for each in program.json("user", "list", "--filter", 'userName eq "ADA"')] == ["ada"]
    some = program("user", "list", "--count", "1")
    assert (len(some.stdout.splitlines()), some.stderr) == (2, "1 of 2\n")
    assert program("user", "list", "--count", "0").exit_code == 2


@pytest.mark.parametrize("text", ["nickname eq", "x eq 1", 'userName eq "x" and', "(" * 50, 'password eq "x"'])
def test_a_filter_that_cannot_be_read_is_one_line_and_status_1(sqlite: Program, text: str) -> None:
    told = sqlite.refused(1, "user", "list", "--filter", text)
    assert "\n" not in told


@pytest.mark.parametrize(("noun", "name"), [("user", "Ångström"), ("group", "Équipe")])
def test_one_is_shown_by_id_or_by_name_in_any_case(
    program: Program, people: dict[str, Any], noun: str, name: str
) -> None:
    decomposed = "A\u030angstro\u0308m" if noun == "user" else "E\u0301quipe"
    for key in (people[name]["id"], name, name.upper(), name.lower(), decomposed):
        shown = program.json(noun, "show", key)
        assert shown["resource"]["id"] == people[name]["id"]
        assert [each["action"] for each in shown["changes"]] == [f"{noun}.created"]
    text = program(noun, "show", name).stdout
    assert name in text
    assert f"{noun}.created  scim  token:test" in text


@pytest.mark.parametrize(
    "key", ["nobody", 'no"body', "no\\body", "", "\x01", "x" * 10_000, "0190a000-0000-7000-8000-000000000000"]
)
def test_whoever_does_not_exist_is_status_3(program: Program, key: str) -> None:
    for noun in ("user", "group"):
        for verb in ("show", "restore"):
            told = program(noun, verb, "--", key)
            assert (told.exit_code, told.stdout) == (3, ""), told.stderr
            assert told.stderr.startswith("scim-server: There is no") or "No deleted" in told.stderr


@pytest.mark.parametrize(
    "path",
    [
        *(("user", verb) for verb in USER_VERBS),
        ("user", "lock", "--reason", "x"),
        ("user", "token", "list"),
        ("user", "token", "issue", "--name", "x"),
        *(("admin", verb) for verb in ("grant", "revoke", "break-glass")),
    ],
    ids=" ".join,
)
def test_whoever_does_not_exist_has_no_account_to_change(sqlite: Program, path: tuple[str, ...]) -> None:
    told = sqlite.refused(3, *path, "nobody")
    assert told == "There is no User with this id."


@pytest.mark.parametrize(("noun", "name"), [("user", "Ångström"), ("group", "Équipe")])
def test_a_deleted_one_is_listed_and_restored_by_id_or_name(
    program: Program, people: dict[str, Any], scim: Scim, noun: str, name: str
) -> None:
    identifier = people[name]["id"]
    path = f"/{noun.title()}s/{identifier}"
    attribute = "userName" if noun == "user" else "displayName"
    for key in (name, name.upper(), identifier):
        assert scim.delete(path).status == 204
        [listed] = program.json(noun, "list", "--deleted")
        assert (listed["id"], listed[attribute]) == (identifier, name)
        assert program.json(noun, "restore", key) == {"id": identifier, attribute: name, "restored": True}
        assert scim.get(path).status == 200
        assert program.json(noun, "list", "--deleted") == []
    assert program("group", "list", "--deleted").stdout == "(none)\n"
    changes = program.json(noun, "show", identifier)["changes"]
    assert changes[0]["action"] == f"{noun}.restored"
    assert changes[0]["actor"].startswith("cli:")


def test_restoring_beside_a_rival_is_refused_and_names_it(program: Program, people: dict[str, Any], scim: Scim) -> None:
    scim.delete(f"/Users/{people['ada']['id']}")
    scim.user("ADA")
    told = program.refused(1, "user", "restore", people["ada"]["id"])
    assert told == "ada belongs to another account by now; rename that one first."
    scim.delete(f"/Groups/{people['Équipe']['id']}")
    scim.group("équipe")
    told = program.refused(1, "group", "restore", "ÉQUIPE")
    assert told == "Équipe is another group by now; rename that one first."


# --------------------------------------------------------------------------------------- doctor and config


def test_doctor_finds_nothing_to_mend(program: Program) -> None:
    program("token", "issue", "--name", "x")
    looked = program.json("doctor")
    assert all(each["ok"] for each in looked)
    names = ["data folder", "base URL", "database", "schema", "database version", "tokens"]
    names += ["server key", "login over https"]
    assert [each["check"] for each in looked] == names
    assert program("doctor").exit_code == 0


def test_doctor_tells_what_is_to_be_mended_with_status_4(program: Program) -> None:
    program("token", "issue", "--name", "short", "--expires-days", "5")
    result = program("doctor", "--json")
    assert result.exit_code == 4
    [bad] = [each for each in json.loads(result.stdout) if not each["ok"]]
    assert bad["check"] == "tokens"
    assert "short on 2" in bad["says"]
    assert "scim-server token rotate" in bad["says"]
    assert result.stderr == "scim-server: Something needs mending; see above.\n"
    _at(program, "0000")
    told = program("doctor")
    assert told.exit_code == 4
    assert "run: scim-server db upgrade" in told.stdout


@pytest.mark.parametrize(
    ("base_url", "state", "says"),
    [
        ("https://accounts.example.com", "yes", "https://accounts.example.com"),
        ("", "warn", "SCIM_SERVER_BASE_URL is not set"),
        ("http://localhost:8000", "warn", "people log in over plain http"),
        ("http://accounts.example.com", "no", "people log in over plain http"),
    ],
)
def test_doctor_warns_of_what_may_be_meant_and_fails_for_what_cannot(
    sqlite: Program, tmp_path: Path, base_url: str, state: str, says: str
) -> None:
    assert "no login is set up" in sqlite("doctor").stdout
    (tmp_path / "secret").write_text("hidden")
    login = ["--kind", "google", "--client-id", "x", "--client-secret-file", str(tmp_path / "secret")]
    sqlite("connection", "add", "company", *login)
    settings = {"base_url": base_url} if base_url else {}
    told = sqlite("doctor", **settings)
    assert re.search(rf"^login over https +{state} +.*{re.escape(says)}", told.stdout, re.MULTILINE)
    assert told.exit_code == (4 if state == "no" else 0)
    found = json.loads(sqlite("doctor", "--json", **settings).stdout)[-1]
    assert (found["ok"], found["warn"]) == {"yes": (True, False), "warn": (True, True), "no": (False, False)}[state]


def test_doctor_survives_a_database_out_of_reach(unsettled: Callable[..., Program]) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/nothing", "nonsense"):
        result = unsettled(database_url=url)("doctor")
        assert result.exit_code == 4
        assert re.search(r"^database +no ", result.stdout, re.MULTILINE)


def test_config_is_shown_with_origin_and_without_secrets(sqlite: Program, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("hidden" * 6)
    told = sqlite("config", "show", "--origin", secret_key_file=str(tmp_path / "key"), metrics_token="hidden")
    assert told.exit_code == 0
    assert "hidden" not in told.stdout
    assert re.search(rf"^SCIM_SERVER_SECRET_KEY +\(set\) +file {tmp_path}/key ", told.stdout, re.MULTILINE)
    rows = {row["name"]: row for row in sqlite.json("config", "show", "--origin")}
    assert rows["SCIM_SERVER_DATA_DIR"]["value"] == str(tmp_path)
    assert set(rows["SCIM_SERVER_PORT"]) == {"name", "value", "origin", "text"}
    assert set(sqlite.json("config", "show")[0]) == {"name", "value", "text"}


def test_what_is_changed_at_the_command_line_is_audited(program: Program) -> None:
    issued = program.json("token", "issue", "--name", "x", "--connection", "okta")
    program("token", "revoke", issued["id"])
    database = Database(program.environment["SCIM_SERVER_DATABASE_URL"])
    told = rows(database, "SELECT door, action FROM audit_records ORDER BY id")
    database.close()
    assert told == [("cli", "connection.created"), ("cli", "token.issued"), ("cli", "token.revoked")]


@pytest.mark.parametrize("name", ["", " ", "two\nlines", "x" * 101, "\x1b[2J"])
def test_a_name_is_one_line_that_can_be_read(program: Program, name: str) -> None:
    for command in (["tenant", "create", name], ["connection", "add", name], ["token", "issue", "--name", name]):
        told = program(*command)
        assert (told.exit_code, "printable" in told.stderr) == (2, True)


def test_no_sender_speaks_to_the_terminal(program: Program, scim: Scim) -> None:
    scim.user("\x1b[2Jada\x07", displayName="a\x1b]0;title\x07")
    told = program("user", "list").stdout
    assert "\\x1b[2Jada\\x07" in told
    assert told.replace("\n", "").isprintable()
