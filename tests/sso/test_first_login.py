"""The first login as a visitor meets it: who is let in, who is asked for a password, and what everybody else reads."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import TestResponse

from scim_server.directory import accounts, audit, groups, identities, sso_connections, tenants, users
from scim_server.directory.actor import at_command_line
from scim_server.directory.identities import Proof
from scim_server.directory.sso_connections import SsoConnection
from scim_server.directory.store.transaction import read, write
from scim_server.protocol.senders import Sender
from sso.providers import kinds
from sso.providers.base import Redeemed, Started
from tests.directory.desk import rows
from tests.running import House
from tests.sso.local import ADA, KEPT, PASSWORD
from tests.sso.visiting import Visitor, add_login, log_of


@dataclass
class Vouching:
    """A provider without a network: a code is the proof that it was made for."""

    proofs: dict[str, Proof] = field(default_factory=dict)

    def authorization_url(self, started: Started, state: str) -> tuple[str, bool]:
        return f"https://idp.example/authorize?state={state}&redirect_uri={started.redirect_uri}", False

    def check_issuer(self, named: str | None, *, required: bool) -> None:
        pass

    def redeem(self, code: str, started: Started) -> Redeemed:
        return Redeemed(self.proofs[code])

    def sends_back(self, proof: Proof) -> Callable[[str], str]:
        """What a browser does there in which this person is logged in."""
        code = f"code-{len(self.proofs)}"
        self.proofs[code] = proof

        def go(url: str) -> str:
            query = parse_qs(urlsplit(url).query)
            return f"{query['redirect_uri'][0]}?state={query['state'][0]}&code={code}"

        return go


class Entrance:
    """A house with one login connection through which proofs are given."""

    def __init__(self, house: House, provider: Vouching) -> None:
        self.house, self.provider = house, provider
        self.sso: SsoConnection = add_login(house, "https://idp.example")

    def change(self, verb: Callable[..., Any], *rest: Any, **named: Any) -> Any:
        """One verb of the directory, as at the command line."""
        with write(self.house.database, at_command_line(self.house.tenant.id)) as tx:
            return verb(tx, *rest, **named)

    def person(self, name: str = ADA, *, password: bool = False, **attributes: Any) -> str:
        made: str = self.change(users.create, {"userName": name, **attributes}).id
        if password:
            self.change(accounts.set_password, made, KEPT)
        return made

    def visitor(self, subject: str = "s-1", email: str = ADA, **rest: Any) -> Visitor:
        proof = Proof(subject, "https://idp.example", email, **{"proven": True, **rest})
        return Visitor(self.house, self.provider.sends_back(proof))

    def asked(self, visitor: Visitor) -> str:
        """Go up to the question for the password; the state of the form."""
        answer = visitor.log_in(self.sso)
        assert answer.status_code == 303, answer.text
        assert "/login/confirm?state=" in answer.headers["Location"]
        return answer.headers["Location"].partition("state=")[2]

    def linked(self) -> dict[str, str]:
        return dict(rows(self.house.database, "SELECT subject, user_id FROM identities"))

    def count(self, table: str) -> int:
        return int(rows(self.house.database, f"SELECT count(*) FROM {table}")[0][0])


@pytest.fixture
def entrance(house: House, monkeypatch: pytest.MonkeyPatch) -> Entrance:
    provider = Vouching()
    monkeypatch.setattr(kinds, "provider", lambda _desk: provider)
    return Entrance(house, provider)


def page_of(answer: TestResponse) -> tuple[int, str]:
    """Status and page, apart from the code by which the log is found."""
    return answer.status_code, re.sub(r"<code>[0-9a-f]{8}</code>", "<code/>", answer.text)


def test_a_proven_address_leads_into_the_account_of_that_name(entrance: Entrance) -> None:
    ada = entrance.person()
    visitor = entrance.visitor()
    answer = visitor.log_in(entrance.sso, "/app/reports?of=2026")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/app/reports?of=2026")
    assert visitor.is_in
    assert entrance.linked() == {"s-1": ada}


# R13: nobody learns who exists


def _nobody(entrance: Entrance) -> None:
    """There is no such account."""


def _inactive(entrance: Entrance) -> None:
    entrance.person(active=False)


def _inactive_and_linked(entrance: Entrance) -> None:
    ada = entrance.person()
    entrance.visitor().log_in(entrance.sso)
    entrance.change(users.replace, ada, {"userName": ADA, "active": False})


def _deleted(entrance: Entrance) -> None:
    entrance.change(users.delete, entrance.person())


def _deleted_and_linked(entrance: Entrance) -> None:
    ada = entrance.person()
    entrance.visitor().log_in(entrance.sso)
    entrance.change(users.delete, ada)


def _locked(entrance: Entrance) -> None:
    entrance.change(accounts.lock, entrance.person(), "on leave")


def _inactive_with_password(entrance: Entrance) -> None:
    ada = entrance.person(password=True)
    entrance.change(users.replace, ada, {"userName": ADA, "active": False})


def _another_subject(entrance: Entrance) -> None:
    entrance.person()
    entrance.visitor("s-0").log_in(entrance.sso)


def _break_glass(entrance: Entrance) -> None:
    entrance.change(accounts.set_break_glass, entrance.person(password=True), on=True)


def _outside(entrance: Entrance) -> None:
    entrance.person()
    gate = entrance.change(groups.create, {"displayName": "staff"}, Sender())
    entrance.change(tenants.set_access_group, gate.id)


def _ambiguous(entrance: Entrance) -> None:
    entrance.person()
    entrance.person("bob", emails=[{"value": ADA, "primary": True}])


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        (_inactive, "inactive"),
        (_inactive_and_linked, "inactive"),
        (_inactive_with_password, "inactive"),
        (_deleted, "unknown"),
        (_deleted_and_linked, "linked_to_deleted"),
        (_locked, "locked"),
        (_another_subject, "subject_mismatch"),
        (_break_glass, "break_glass"),
        (_outside, "not_in_access_group"),
        (_ambiguous, "ambiguous_email"),
        (_nobody, "unknown"),
    ],
)
def test_whoever_may_not_enter_reads_the_same(
    entrance: Entrance, stage: Callable[[Entrance], None], reason: str
) -> None:
    """The log alone tells why, and it names the subject and the address."""
    stranger = entrance.visitor("x-1", "nobody@corp.example").log_in(entrance.sso)
    assert stranger.status_code == 403
    stage(entrance)
    sessions, visitor = entrance.count("sessions"), entrance.visitor()
    answer = visitor.log_in(entrance.sso)
    assert page_of(answer) == page_of(stranger)
    assert [name for name, _ in answer.headers] == [name for name, _ in stranger.headers]
    assert not visitor.is_in
    assert entrance.count("sessions") == sessions
    told = log_of(entrance.house)[0]
    assert [told[name] for name in ("outcome", "step", "reason", "subject", "name", "connection")] == [
        "refused", "account", reason, "s-1", ADA, "idp",
    ]  # fmt: skip


def test_an_unproven_address_reads_the_same_too(entrance: Entrance) -> None:
    entrance.person()
    stranger = entrance.visitor("x-1", "nobody@corp.example", proven=False, doubt="email_unverified")
    answer = entrance.visitor(proven=False, doubt="email_unverified").log_in(entrance.sso)
    assert page_of(answer) == page_of(stranger.log_in(entrance.sso))
    assert log_of(entrance.house)[-1]["reason"] == "email_unverified"
    assert entrance.linked() == {}


def test_another_subject_of_a_known_address_is_an_alarm(entrance: Entrance) -> None:
    """A domain that was sold on: addresses return, subjects differ (R4)."""
    ada = entrance.person()
    entrance.visitor("s-1").log_in(entrance.sso)
    assert entrance.visitor("s-2").log_in(entrance.sso).status_code == 403
    record = audit.of(read(entrance.house.database, at_command_line(entrance.house.tenant.id)), ada)[0]
    assert record["action"] == "sso.subject_mismatch"
    assert record["after"] == {
        "step": "account", "reason": "subject_mismatch", "method": "oidc", "sso_connection": entrance.sso.id,
    }  # fmt: skip
    assert entrance.linked() == {"s-1": ada}


# R6: the password is asked for


def test_who_has_a_password_gives_it_once(entrance: Entrance) -> None:
    ada = entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    assert ADA in visitor.get(f"/login/confirm?state={state}").text
    assert not visitor.is_in
    assert entrance.linked() == {}
    answer = visitor.post("/login/confirm", state=state, password=PASSWORD)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me")
    assert visitor.is_in
    assert entrance.linked() == {"s-1": ada}
    again = entrance.visitor()
    assert again.log_in(entrance.sso).headers["Location"] == "/me"


def test_a_wrong_password_may_be_tried_again_and_binds_nothing(entrance: Entrance) -> None:
    entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    answer = visitor.post("/login/confirm", state=state, password="guess")
    assert answer.status_code == 401
    assert "not the password" in answer.text
    assert not visitor.is_in
    assert entrance.linked() == {}
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code == 303


def test_guessing_there_is_counted_with_guessing_at_the_door(entrance: Entrance) -> None:
    entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    for n in range(5):
        if n % 2:
            answer = visitor.post("/login/confirm", state=state, password="guess")
        else:
            answer = visitor.post("/login", username=ADA.upper(), password="guess")
        assert answer.status_code == 401
    for answer in (
        visitor.post("/login/confirm", state=state, password=PASSWORD),
        visitor.post("/login", username=ADA, password=PASSWORD),
    ):
        assert answer.status_code == 429
        assert re.search(r"Wait \d+ seconds", answer.text)
    assert entrance.linked() == {}


def test_the_question_is_for_one_browser_and_one_answer(entrance: Entrance) -> None:
    entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    other = entrance.visitor("s-2")
    entrance.asked(other)  # with a question of its own
    assert other.get(f"/login/confirm?state={state}").status_code == 400
    assert other.post("/login/confirm", state=state, password=PASSWORD).status_code == 400
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code == 303
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code == 400
    assert len(entrance.linked()) == 1


def test_an_answer_of_the_provider_is_no_question_of_ours(entrance: Entrance) -> None:
    entrance.person(password=True)
    visitor = entrance.visitor()
    state = parse_qs(urlsplit(visitor.start(entrance.sso).headers["Location"]).query)["state"][0]
    assert visitor.get(f"/login/confirm?state={state}").status_code == 400
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code == 400


def test_sessions_of_before_end_with_the_first_link(entrance: Entrance) -> None:
    """Whoever prepared the account is out (R7)."""
    entrance.person(password=True)
    early = Visitor(entrance.house)
    assert early.post("/login", username=ADA, password=PASSWORD).status_code == 303
    assert early.is_in
    visitor = entrance.visitor()
    visitor.post("/login/confirm", state=entrance.asked(visitor), password=PASSWORD)
    assert visitor.is_in
    assert not early.is_in


@pytest.mark.parametrize("end", ["lock", "deactivate", "delete", "clear"])
def test_who_was_ended_before_the_answer_is_out(entrance: Entrance, end: str) -> None:
    ada = entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    match end:
        case "lock":
            entrance.change(accounts.lock, ada, "on leave")
        case "deactivate":
            entrance.change(users.replace, ada, {"userName": ADA, "active": False})
        case "delete":
            entrance.change(users.delete, ada)
        case _:
            entrance.change(accounts.clear_password, ada)
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code in (400, 403)
    assert not visitor.is_in
    assert entrance.linked() == {}


def test_sso_only_asks_for_no_password(entrance: Entrance) -> None:
    """R7: end what was there before, or refuse where the tenant says SSO only."""
    entrance.person(password=True)
    entrance.change(sso_connections.change, entrance.sso, enforced=True)
    assert entrance.visitor().log_in(entrance.sso).status_code == 403
    assert log_of(entrance.house)[0]["reason"] == "has_password"


def test_sso_only_takes_none_either_where_it_was_asked_for_before(entrance: Entrance) -> None:
    entrance.person(password=True)
    visitor = entrance.visitor()
    state = entrance.asked(visitor)
    entrance.change(sso_connections.change, entrance.sso, enforced=True)
    assert visitor.post("/login/confirm", state=state, password=PASSWORD).status_code == 403
    assert not visitor.is_in
    assert entrance.linked() == {}


# Pushed and logged in through one connection; several at once


def test_who_was_pushed_under_the_subject_needs_no_address(entrance: Entrance) -> None:
    scim = entrance.house.client("idp")
    ada = scim.user("ada", externalId="oid-1")["id"]
    assert entrance.visitor("oid-1", "", proven=False).log_in(entrance.sso).status_code == 303
    assert entrance.linked() == {"oid-1": ada}
    assert scim.delete(f"/Users/{ada}").status == 204
    assert entrance.visitor("oid-1", "", proven=False).log_in(entrance.sso).status_code == 403
    again = scim.user("ada", externalId="oid-1")["id"]
    assert entrance.visitor("oid-1", "", proven=False).log_in(entrance.sso).status_code == 303
    assert entrance.linked() == {"oid-1": again}


def test_two_first_logins_at_the_same_moment_make_one_link(entrance: Entrance) -> None:
    ada = entrance.person()
    visitors = [entrance.visitor() for _ in range(4)]
    answers = [each.sent_back(entrance.sso) for each in visitors]
    together, told = threading.Barrier(4), []

    def come_back(visitor: Visitor, path: str) -> None:
        together.wait(20)
        told.append(visitor.get(path).status_code)

    threads = [threading.Thread(target=come_back, args=each) for each in zip(visitors, answers, strict=True)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    assert told == [303] * 4
    assert all(each.is_in for each in visitors)
    assert entrance.linked() == {"s-1": ada}
    with write(entrance.house.database, at_command_line(entrance.house.tenant.id)) as tx:
        assert [each.method for each in identities.of(tx, ada)] == ["email"]
