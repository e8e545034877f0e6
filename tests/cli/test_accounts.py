"""How people get in, at the command line: accounts by hand, locks, links, tokens, roles, and what is told of it all."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scim_server.directory import guards, links, logins, personal_tokens
from scim_server.directory.logins import Visit
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import read, write
from tests.cli.conftest import Program
from tests.directory.desk import rows
from tests.running import House, Scim

LAST_ADMIN = (
    "This is the last active admin of the tenant, who cannot be deactivated, locked, deleted, demoted or taken "
    "out of the access group. Make another admin first: scim-server admin grant USERNAME"
)


@pytest.fixture
def ada(program: Program) -> str:
    """The id of an account made by hand."""
    return str(program.json("user", "create", "ada@example.com")["id"])


def access(program: Program, key: str = "ada@example.com") -> dict[str, Any]:
    found: dict[str, Any] = program.json("user", "access", key)
    return found


def receipts(program: Program, key: str = "ada@example.com") -> list[dict[str, Any]]:
    """What ended each time, without the moments."""
    names = ("cause", "door", "sessions", "tokens", "links", "attempts")
    return [{name: each[name] for name in names} for each in access(program, key)["receipts"]]


def actions(program: Program, target: str) -> list[str]:
    database = Database(program.environment["SCIM_SERVER_DATABASE_URL"])
    told = rows(database, "SELECT action FROM audit_records WHERE target = :target ORDER BY id", target=target)
    database.close()
    return [row[0] for row in told]


def hold_all(program: Program, key: str = "ada@example.com") -> tuple[str, str]:
    """Give an account a personal token and a link; their texts."""
    token = program.json("user", "token", "issue", key, "--name", "laptop")["token"]
    return token, program.json("user", "password-link", key)["link"].rpartition("/")[2]


def count(database: Database, token: str, link: str) -> tuple[bool, bool]:
    """Whether they open anything."""
    return personal_tokens.verify(database, token) is not None, links.find(database, link) is not None


# ------------------------------------------------------------------------------------------------- the account


def test_an_account_is_made_by_hand(program: Program, scim: Scim) -> None:
    made = program.json("user", "create", "ada@example.com", "--display-name", "Ada Lovelace")
    shown = scim.get(f"/Users/{made['id']}").json
    assert (shown["userName"], shown["displayName"], shown["active"]) == ("ada@example.com", "Ada Lovelace", True)
    assert shown["emails"] == [{"value": "ada@example.com", "type": "work", "primary": True}]
    assert program.refused(1, "user", "create", "ADA@example.com").startswith("Another User has this")


def test_the_address_of_an_account_may_be_another_than_its_name(program: Program, scim: Scim) -> None:
    made = program.json("user", "create", "ada", "--email", "ada@example.com", "--inactive")
    shown = scim.get(f"/Users/{made['id']}").json
    assert ([each["value"] for each in shown["emails"]], shown["active"]) == (["ada@example.com"], False)
    plain = program.json("user", "create", "grace")["id"]
    assert "emails" not in scim.get(f"/Users/{plain}").json


def test_an_account_without_a_name_is_refused(sqlite: Program) -> None:
    assert sqlite.refused(1, "user", "create", "") == '"userName" is required and must not be empty.'


def test_deactivation_ends_what_the_account_holds_and_activation_brings_none_of_it_back(
    program: Program, house: House, ada: str
) -> None:
    held = hold_all(program)
    assert count(house.database, *held) == (True, True)
    assert program.json("user", "deactivate", "ADA@example.com") == {"id": ada, "active": False}
    assert count(house.database, *held) == (False, False)
    assert program.json("user", "activate", ada) == {"id": ada, "active": True}
    assert count(house.database, *held) == (False, False)
    assert receipts(program) == [
        {"cause": "deactivated", "door": "cli", "sessions": 0, "tokens": 1, "links": 1, "attempts": 0}
    ]
    assert access(program)["receipts"][0]["milliseconds"] > 0


def test_nothing_is_issued_to_who_may_not_come_in(program: Program, ada: str) -> None:
    program("user", "deactivate", ada)
    assert program.refused(1, "user", "token", "issue", ada, "--name", "x") == "The account is inactive."
    assert program.refused(1, "user", "password-link", ada) == "The account is inactive."


def test_an_account_is_deleted_with_what_it_holds(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    assert program.json("user", "delete", ada) == {"id": ada, "deleted": True}
    assert count(house.database, *held) == (False, False)
    assert program.refused(3, "user", "access", ada) == "There is no User with this id."
    program("user", "restore", ada)
    assert count(house.database, *held) == (False, False)
    assert [each["cause"] for each in receipts(program)] == ["deleted"]


# -------------------------------------------------------------------------------------------------------- lock


def test_a_lock_ends_what_the_account_holds_and_tells_why(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    told = program.json("user", "lock", ada, "--reason", "laptop lost", "--until", "2999-12-31")
    assert told == {
        "id": ada,
        "locked": True,
        "from": None,
        "until": "2999-12-31T00:00:00.000000Z",
        "reason": "laptop lost",
    }
    assert count(house.database, *held) == (False, False)
    account = access(program)["account"]
    assert (account["lock_reason"], account["locked_until"]) == ("laptop lost", "2999-12-31T00:00:00.000000Z")
    assert account["locked_by"].startswith("cli:")
    assert account["active"]
    assert program.refused(1, "user", "password-link", ada) == "The account is locked."
    assert program.json("user", "unlock", ada) == {"id": ada, "locked": False}
    assert count(house.database, *held) == (False, False)
    assert program.refused(1, "user", "unlock", ada) == "The account is not locked."
    assert actions(program, ada)[-2:] == ["user.locked", "user.unlocked"]


def test_a_lock_of_the_future_ends_nothing_yet(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    since = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    program("user", "lock", ada, "--reason", "leaves", "--from", since)
    assert count(house.database, *held) == (True, True)
    assert receipts(program) == []


def test_a_lock_that_is_over_before_it_begins_is_refused(program: Program, ada: str) -> None:
    told = program.refused(1, "user", "lock", ada, "--reason", "x", "--until", "2001-01-01")
    assert told == "The lock would be over before it begins; give a later end."


@pytest.mark.parametrize("moment", ["tomorrow", "31.12.2026", "2026-13-01", ""])
def test_a_moment_that_is_none_is_told_with_an_example(sqlite: Program, moment: str) -> None:
    result = sqlite("user", "lock", "x", "--reason", "x", "--until", moment)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "2026-12-31T18:00+01:00" in re.sub(r"\s+", "", result.stderr)


# --------------------------------------------------------------------------------------- passwords and sessions


def test_a_password_link_is_shown_once_and_takes_the_place_of_earlier_ones(
    program: Program, house: House, ada: str
) -> None:
    assert "are a guess" in program("user", "password-link", ada).stderr
    first = program.json("user", "password-link", ada)["link"]
    assert first.startswith("http://127.0.0.1:8000/password/scs_link_")
    result = program("user", "password-link", ada, base_url="https://accounts.example.com", invite_expire_hours="2")
    assert result.stderr == "Hand it over now: it cannot be shown again.\n"
    told = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert told["link"].startswith("https://accounts.example.com/password/scs_link_")
    lasts = datetime.fromisoformat(told["expires"]) - datetime.now(UTC)
    assert timedelta(hours=1, minutes=59) < lasts <= timedelta(hours=2)
    found = [links.find(house.database, each.rpartition("/")[2]) for each in (first, told["link"])]
    assert [each is not None for each in found] == [False, True]


def test_a_password_is_taken_away(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    assert program.json("user", "password-clear", ada) == {"id": ada, "password": False}
    assert count(house.database, *held) == (False, False)
    assert access(program)["account"]["password_set"] is None
    assert actions(program, ada)[-1] == "password.cleared"


def test_sessions_are_listed_and_everything_is_revoked(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    assert program.json("user", "sessions", ada) == []
    assert program.json("user", "sessions", ada, "--revoke") == {"sessions": 0, "tokens": 1, "links": 1, "attempts": 0}
    assert count(house.database, *held) == (False, False)
    assert [each["cause"] for each in receipts(program)] == ["revoked by an admin"]


# ------------------------------------------------------------------------------------------------------ tokens


def test_personal_tokens(program: Program, house: House, ada: str) -> None:
    issued = program.json("user", "token", "issue", ada, "--name", "laptop")
    assert set(issued) == {"token", "id", "expires"}
    assert personal_tokens.verify(house.database, issued["token"]) is not None
    lasts = datetime.fromisoformat(issued["expires"]) - datetime.now(UTC)
    assert round(lasts / timedelta(days=1)) == 90
    again = program("user", "token", "issue", ada, "--name", "script", "--expires-days", "0")
    assert again.stderr == "Copy the token now: it cannot be shown again.\n"
    assert re.search(r"^expires +-$", again.stdout, re.MULTILINE)
    listed = program.json("user", "token", "list", ada)
    assert [each["name"] for each in listed] == ["laptop", "script"]
    assert issued["token"] not in json.dumps(listed)
    assert program.json("user", "token", "revoke", ada, issued["id"]) == {"id": issued["id"], "revoked": True}
    assert personal_tokens.verify(house.database, issued["token"]) is None
    told = program.refused(3, "user", "token", "revoke", ada, issued["id"])
    assert told == "There is no such token; it may have ended already."


def test_a_persons_token_is_no_other_persons_to_revoke(program: Program, house: House, ada: str) -> None:
    program("user", "create", "grace@example.com")
    issued = program.json("user", "token", "issue", ada, "--name", "x")
    program.refused(3, "user", "token", "revoke", "grace@example.com", issued["id"])
    assert personal_tokens.verify(house.database, issued["token"]) is not None


def test_a_personal_token_is_no_token_of_a_sender(program: Program, house: House, ada: str) -> None:
    issued = program.json("user", "token", "issue", ada, "--name", "x")
    assert Scim(house.app.wsgi_app, issued["token"]).get("/Users").status == 401


# ------------------------------------------------------------------------------------------- admins, break-glass


def test_roles_are_granted_and_revoked(program: Program, house: House, ada: str) -> None:
    held = hold_all(program)
    assert program.json("admin", "grant", ada, "--role", "auditor") == {"id": ada, "role": "auditor"}
    assert count(house.database, *held) == (False, False), "as at each change of privilege"
    assert program.json("admin", "revoke", ada) == {"id": ada, "role": "member"}
    assert program.json("admin", "grant", ada) == {"id": ada, "role": "admin"}
    assert actions(program, ada)[-3:] == ["role.changed"] * 3


@pytest.mark.parametrize("role", guards.ROLES)
def test_every_role_can_be_given(program: Program, ada: str, role: str) -> None:
    assert program.json("admin", "grant", ada, "--role", role) == {"id": ada, "role": role}
    assert access(program)["account"]["role"] == role


def test_the_last_admin_stays(program: Program, scim: Scim, ada: str) -> None:
    program("admin", "grant", ada)
    for path in (
        ("admin", "revoke", ada),
        ("admin", "grant", ada, "--role", "auditor"),
        ("user", "lock", ada, "--reason", "x"),
        ("user", "deactivate", ada),
        ("user", "delete", ada),
    ):
        assert program.refused(1, *path) == LAST_ADMIN
    refused = scim.patch(f"/Users/{ada}", {"op": "replace", "path": "active", "value": False})
    assert (refused.status, refused.json["detail"]) == (403, LAST_ADMIN)
    program("admin", "grant", program.json("user", "create", "grace@example.com")["id"])
    assert program.json("admin", "revoke", ada) == {"id": ada, "role": "member"}


def test_a_break_glass_account_is_out_of_every_senders_reach(program: Program, scim: Scim, ada: str) -> None:
    assert program.json("admin", "break-glass", ada) == {"id": ada, "break_glass": True}
    assert access(program)["account"]["break_glass"]
    for answer in (
        scim.patch(f"/Users/{ada}", {"op": "replace", "path": "active", "value": False}),
        scim.delete(f"/Users/{ada}"),
    ):
        assert answer.status == 403
        assert answer.json["detail"].startswith("This is a break-glass account")
    assert program.json("admin", "break-glass", ada, "--off") == {"id": ada, "break_glass": False}
    assert scim.delete(f"/Users/{ada}").status == 204
    assert actions(program, ada)[1:3] == ["break_glass.on", "break_glass.off"]


# ------------------------------------------------------------------------------------------------ the access group


def test_only_members_of_the_access_group_stay(program: Program, house: House, scim: Scim, ada: str) -> None:
    grace = program.json("user", "create", "grace@example.com")["id"]
    scim.group("staff", grace)
    outside, inside = hold_all(program), hold_all(program, grace)
    told = program.json("tenant", "set", "--access-group", "Staff")
    assert told["access_group"] == program.json("group", "show", "staff")["resource"]["id"]
    assert count(house.database, *outside) == (False, False)
    assert count(house.database, *inside) == (True, True)
    assert [each["cause"] for each in receipts(program)] == ["left the access group"]
    assert not access(program)["account"]["in_access_group"]
    not_in = "The account is not in the group that gives access."
    assert program.refused(1, "user", "password-link", ada) == not_in
    assert program.json("tenant", "set", "--no-access-group") == {"tenant": "default", "access_group": None}
    program.json("user", "password-link", ada)


@pytest.mark.parametrize("options", [(), ("--access-group", "x", "--no-access-group"), ("--access-group", "")])
def test_a_tenant_is_told_one_thing(sqlite: Program, options: tuple[str, ...]) -> None:
    result = sqlite("tenant", "set", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Give --access-group or --no-access-group." in result.stderr


def test_an_access_group_has_to_be_there(sqlite: Program) -> None:
    assert sqlite.refused(3, "tenant", "set", "--access-group", "staff") == "There is no Group with this id."


# ---------------------------------------------------------------------------------------------------- what is told


def test_access_is_told_in_sections_for_people(program: Program, ada: str) -> None:
    hold_all(program)
    program("user", "deactivate", ada)
    told = program("user", "access", ada).stdout
    assert re.search(r"^active +no$", told, re.MULTILINE)
    assert re.findall(r"^(\w+)$", told, re.MULTILINE) == ["identities", "sessions", "tokens", "receipts"]
    assert re.search(r"deactivated +cli +cli:", told)


def test_the_login_log_is_shown_newest_first_and_of_one_person(program: Program, house: House, ada: str) -> None:
    with write(house.database, _login(house)) as tx:
        for name, user_id in (("ada@example.com", ada), ("eve@example.com", None)):
            visit = Visit("password", "192.0.2.7", "curl", "0a1b2c3d")
            logins.record(
                tx, visit, logins.REFUSED, step="password", reason="wrong_password", user_id=user_id, name=name
            )
    shown = program.json("logins")
    assert [each["name"] for each in shown] == ["eve@example.com", "ada@example.com"]
    assert shown == logins.latest(read(house.database, _login(house)))
    assert [each["name"] for each in program.json("logins", "--user", "ada@example.com")] == ["ada@example.com"]
    assert len(program.json("logins", "--count", "1")) == 1
    text = program("logins").stdout
    assert re.search(r"refused +- +password +password +wrong_password +eve@example.com +192.0.2.7 +0a1b2c3d", text)
    program("user", "delete", ada)
    assert len(program.json("logins", "--user", ada)) == 1
    assert program.refused(3, "logins", "--user", "nobody") == "There is no User with this id."


def _login(house: House) -> Any:
    from scim_server.directory.actor import Actor

    return Actor(tenant=house.tenant.id, door="sso", name="login")
