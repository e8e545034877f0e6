"""From a proof to an account: rules R1 to R12 (sso.md section 4), one by one."""

import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from scim_server.directory import (
    accounts,
    audit,
    identities,
    linking,
    links,
    personal_tokens,
    sessions,
    standing,
    users,
)
from scim_server.directory.linking import ANY_EMAIL, POLICIES, SUBJECT_ONLY, VERIFIED_EMAIL, Found, NoAccount
from scim_server.directory.sessions import Lifetimes, Origin
from scim_server.directory.store.engine import Database
from tests.directory.desk import Desk, rows
from tests.sso.gate import ADA, HASH, Gate, connect, proven


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    opened = Database(database_url)
    yield opened
    opened.close()


@pytest.fixture
def gate(database: Database) -> Gate:
    return Gate(database)


# R1: subject, then the externalId that the same connection pushed, then the address


def test_a_subject_that_was_pushed_as_external_id_needs_no_address(gate: Gate) -> None:
    pushed = gate.desk.user("ada", externalId="oid-1")
    for policy in POLICIES:
        assert gate.enter(proven("oid-1", None, proven=False), policy=policy).person.user.id == pushed.id
    assert gate.linked() == {"oid-1": pushed.id}


def test_the_subject_comes_before_the_external_id_and_that_before_the_address(gate: Gate) -> None:
    by_address, by_push = gate.desk.user(ADA), gate.desk.user("bob", externalId="oid-1")
    assert gate.enter(proven("oid-1")).person.user.id == by_push.id
    gate.desk.patch_user(by_push.id, {"op": "replace", "path": "externalId", "value": "oid-2"})
    gate.desk.patch_user(by_address.id, {"op": "add", "path": "externalId", "value": "oid-1"})
    assert gate.enter(proven("oid-1")).person.user.id == by_push.id


def test_an_external_id_of_another_connection_says_nothing(gate: Gate) -> None:
    """It is opaque text, scoped to who sent it (R10, R11)."""
    Desk(gate.database, "ours", "another").user("ada", externalId="oid-1")
    Desk(gate.database, "theirs", "idp").user("eve", externalId="oid-1")
    assert gate.refusal(proven("oid-1", None)) == "no_email"


@pytest.mark.parametrize("subject", ["OID-1", "oid-1 ", "oid", "ｏid-1"])
def test_an_external_id_is_compared_to_the_letter(gate: Gate, subject: str) -> None:
    gate.desk.user("ada", externalId="oid-1")
    assert gate.refusal(proven(subject, None)) == "no_email"


def test_our_own_ids_are_no_external_ids(gate: Gate) -> None:
    """Grafana CVE-2025-41115: a pushed id that was taken for an internal one."""
    victim = gate.desk.user("ada")
    assert gate.refusal(proven(victim.id, None)) == "no_email"


def test_two_who_were_pushed_under_one_id_are_nobody(gate: Gate) -> None:
    for name in ("ada", "bob"):
        gate.desk.user(name, externalId="oid-1")
    assert gate.refusal(proven("oid-1")) == "ambiguous_external_id"


def test_who_was_deleted_and_pushed_anew_is_found_again(gate: Gate) -> None:
    first = gate.desk.user(ADA, externalId="oid-1")
    gate.enter(proven("oid-1"))
    gate.change(users.delete, first.id)
    assert gate.refusal(proven("oid-1")) == "linked_to_deleted"
    second = gate.desk.user(ADA, externalId="oid-1")
    assert gate.enter(proven("oid-1")).person.user.id == second.id
    assert gate.linked() == {"oid-1": second.id}
    assert "identity.unlinked" in gate.desk.actions(first.id)


def test_who_was_deleted_and_made_anew_without_the_id_does_not_inherit(gate: Gate) -> None:
    """A new person may have got the old one's address (R13)."""
    first = gate.desk.user(ADA, externalId="oid-1")
    gate.enter(proven("oid-1"))
    gate.change(users.delete, first.id)
    second = gate.desk.user(ADA)
    assert gate.refusal(proven("oid-1")) == "linked_to_deleted"
    assert gate.enter(proven("oid-2")).person.user.id == second.id


def test_who_is_restored_finds_the_old_link(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.enter(proven())
    gate.change(users.delete, made.id)
    gate.change(users.restore, made.id)
    assert gate.enter(proven(email="moved@corp.example")).person.user.id == made.id


def test_who_was_pushed_is_still_subject_to_the_other_rules(gate: Gate) -> None:
    pushed = gate.desk.user("ada", externalId="oid-1", active=False)
    assert gate.refusal(proven("oid-1")) == "inactive"
    gate.desk.patch_user(pushed.id, {"op": "replace", "path": "active", "value": True})
    gate.change(accounts.set_role, pushed.id, "admin")
    assert gate.refusal(proven("oid-1", weak=True)) == "admin_needs_hand"
    gate.change(accounts.set_break_glass, pushed.id, on=True)
    assert gate.refusal(proven("oid-1")) == "break_glass"


def test_a_pushed_person_who_is_another_subject_already_stays_that(gate: Gate) -> None:
    pushed = gate.desk.user(ADA, externalId="oid-1")
    gate.enter(proven("s-1"))
    assert gate.refusal(proven("oid-1")) == "subject_mismatch"
    assert gate.linked() == {"s-1": pushed.id}


# R2, R3: which strings are the same address

LOOK_ALIKES = [
    ("kim@corp.example", "\u212aim@corp.example"),  # KELVIN SIGN
    ("\u212aim@corp.example", "kim@corp.example"),
    ("strasse@corp.example", "straße@corp.example"),
    ("straße@corp.example", "strasse@corp.example"),
    ("straße@corp.example", "straße@corp.example"),  # equal, and outside ASCII all the same
    ("ada@corp.example", "ada@ｃorp.example"),  # full-width
    ("ada@corp.example", "ａda@corp.example"),
    ("ada@corp.example", "\u0430da@corp.example"),  # Cyrillic
    ("kim@corp.example", "k\u0131m@corp.example"),  # dotless
    ("kim@corp.example", "KİM@corp.example"),
    ("ada@corp.example", "ad\u200ba@corp.example"),  # zero width
    ("ada@corp.example", "ada@corp.example\u200b"),
    ("ada@corp.example", "ada\u00ad@corp.example"),
    ("ada@corp.example", "ada@corp。example"),
    ("ada@corp.example", "ada@corp.example."),
    ("ada@corp.example", "ada+work@corp.example"),
    ("ada+work@corp.example", "ada@corp.example"),
    ("adal@corp.example", "ada.l@corp.example"),
    ("ada.l@corp.example", "adal@corp.example"),
    ("ada@corp.example", " ada@corp.example"),
    ("ada@corp.example", '"ada"@corp.example'),
    ("ada@corp.example", "ada@corp.example@corp.example"),
    ("ada@corp.example", "ada(work)@corp.example"),
    ("ada@xn--mnchen-3ya.example", "ada@münchen.example"),
    ("ada@corp.example", "ada"),
    ("ada@corp.example", "@corp.example"),
    ("ada@corp.example", "%@corp.example"),
    ("ada@corp.example", "ad_@corp.example"),
]  # fmt: skip


@pytest.mark.parametrize(("kept", "claimed"), LOOK_ALIKES)
def test_what_merely_looks_alike_is_never_linked(gate: Gate, kept: str, claimed: str) -> None:
    gate.desk.user(kept)
    by_name = gate.desk.user("somebody", emails=[{"value": kept, "primary": True}])
    for policy in (VERIFIED_EMAIL, ANY_EMAIL):
        assert gate.refusal(proven(email=claimed), policy=policy) in ("unknown", "email_not_plain")
    gate.change(users.delete, by_name.id)
    assert gate.refusal(proven(email=claimed)) in ("unknown", "email_not_plain")


@pytest.mark.parametrize("claimed", ["ADA@CORP.EXAMPLE", "Ada@Corp.Example", "ada@corp.example"])
def test_case_alone_makes_no_difference(gate: Gate, claimed: str) -> None:
    made = gate.desk.user("Ada@corp.example")
    assert gate.enter(proven(email=claimed)).person.user.id == made.id


def test_a_username_that_is_no_address_is_found_by_the_primary_address(gate: Gate) -> None:
    made = gate.desk.user("ada", emails=[{"value": "Ada@Corp.example", "primary": True}, {"value": "ada@home.example"}])
    assert gate.refusal(proven(email="ada@home.example")) == "unknown"
    assert gate.enter(proven()).person.user.id == made.id


def test_a_username_that_is_an_address_is_the_only_one(gate: Gate) -> None:
    """Or whoever may edit the addresses of an account could take it over."""
    gate.desk.user("bob@corp.example", emails=[{"value": ADA, "primary": True}])
    assert gate.refusal(proven()) == "unknown"


def test_two_accounts_of_one_address_are_nobody(gate: Gate) -> None:
    """Grafana CVE-2022-39229: a username may equal another's address."""
    gate.desk.user(ADA)
    other = gate.desk.user("bob", emails=[{"value": ADA, "primary": True}])
    assert gate.refusal(proven()) == "ambiguous_email"
    gate.change(users.delete, other.id)
    assert not gate.enter(proven()).needs_password


def test_an_address_in_another_tenant_is_nobodys_here(gate: Gate) -> None:
    Desk(gate.database, "theirs").user(ADA)
    assert gate.refusal(proven()) == "unknown"


def test_an_address_that_changes_later_changes_nothing(gate: Gate) -> None:
    made, other = gate.desk.user(ADA), gate.desk.user("bob@corp.example")
    gate.enter(proven())
    found = gate.enter(proven(email="bob@corp.example"))
    assert found.person.user.id == made.id != other.id
    told = identities.of(gate.desk.look(), made.id)
    assert [each.last_email for each in told] == ["bob@corp.example"]


# R4 to R8: what a first link demands, and what it ends


def test_a_mismatch_tells_whose_account_it_is_about(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.enter(proven())
    with pytest.raises(NoAccount) as refused:
        gate.enter(proven("s-2"))
    assert (refused.value.reason, refused.value.user_id) == ("subject_mismatch", made.id)


def test_an_admin_who_undoes_the_link_lets_the_new_subject_in(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.enter(proven())
    gate.change(lambda tx: identities.unlink(tx, identities.of(tx, made.id)[0]))
    assert gate.enter(proven("s-2")).person.user.id == made.id


def test_a_link_is_audited_and_told_to_the_mailbox(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.enter(proven())
    record = next(each for each in audit.of(gate.desk.look(), made.id) if each["action"] == "identity.linked")
    assert record["after"] == {"sso_connection": gate.sso.id, "subject": "s-1", "method": "email", "email": ADA}
    assert [row[0] for row in rows(gate.database, "SELECT recipient FROM mails")] == [ADA]
    gate.enter(proven())
    assert len(rows(gate.database, "SELECT id FROM mails")) == 1, "told once"


def test_a_password_is_asked_for_and_nothing_is_bound_before(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.change(accounts.set_password, made.id, HASH)
    found = gate.enter(proven())
    assert (found.needs_password, found.person.user.id, gate.linked()) == (True, made.id, {})
    with gate.write() as tx:
        linking.confirm(tx, gate.sso, proven(), made.id)
    assert gate.linked() == {"s-1": made.id}
    assert not gate.enter(proven()).needs_password


def test_a_password_taken_in_time_does_not_bring_back_who_was_ended_meanwhile(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.change(accounts.set_password, made.id, HASH)
    gate.enter(proven())
    gate.change(accounts.lock, made.id, "on leave")
    with pytest.raises(NoAccount, match="locked"), gate.write() as tx:
        linking.confirm(tx, gate.sso, proven(), made.id)
    assert gate.linked() == {}


def _prepared(gate: Gate, user_id: str) -> tuple[str, str, str]:
    """What somebody may have prepared before the owner's first login: session, token, link."""
    with gate.write() as tx:
        session = sessions.open_for(tx, standing.hold(tx, user_id), Origin("password"), Lifetimes())
        link, _ = links.issue(tx, user_id)
        token, _ = personal_tokens.issue(tx, user_id, "mine", expires_in=timedelta(days=1))
    return session, token, link


def _alive(gate: Gate, held: tuple[str, str, str]) -> list[bool]:
    session, token, link = held
    return [
        sessions.find(gate.database, session, Lifetimes()) is not None,
        personal_tokens.verify(gate.database, token) is not None,
        links.find(gate.database, link) is not None,
    ]


@pytest.mark.parametrize("prepared", ["session", "password"])
def test_the_first_link_ends_what_was_there_before(gate: Gate, prepared: str) -> None:
    """Against an account that was made or entered before its owner came (USENIX Security 2022, pre-hijacking)."""
    made = gate.desk.user(ADA)
    if prepared == "password":
        gate.change(accounts.set_password, made.id, HASH)
    held = _prepared(gate, made.id)
    assert _alive(gate, held) == [True, True, True]
    if gate.enter(proven()).needs_password:
        with gate.write() as tx:
            linking.confirm(tx, gate.sso, proven(), made.id)
    assert gate.linked() == {"s-1": made.id}
    assert _alive(gate, held) == [False, False, False]


def test_each_kind_of_thing_prepared_is_enough(gate: Gate) -> None:
    for n, kind in enumerate(("session", "token", "link")):
        made = gate.desk.user(f"p{n}@corp.example")
        with gate.write() as tx:
            match kind:
                case "session":
                    sessions.open_for(tx, standing.hold(tx, made.id), Origin("link"), Lifetimes())
                case "token":
                    personal_tokens.issue(tx, made.id, "mine", expires_in=None)
                case _:
                    links.issue(tx, made.id)
        gate.enter(proven(f"s-{n}", f"p{n}@corp.example"))
        epochs = rows(gate.database, "SELECT epoch FROM accounts WHERE id = :id", id=made.id)
        assert epochs == [(1,)], kind


def test_a_later_link_and_a_later_login_end_nothing_but_links(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    gate.enter(proven())
    held = _prepared(gate, made.id)
    gate.enter(proven())
    assert _alive(gate, held) == [True, True, True]
    with gate.write() as tx:
        other = connect(tx, "second")
    gate.enter(proven("x-1"), other)
    assert _alive(gate, held) == [True, True, False]
    assert gate.linked() == {"s-1": made.id, "x-1": made.id}


# R9: what a sender may change


def test_a_rename_by_a_sender_ends_links_and_touches_nothing_else(gate: Gate) -> None:
    """GitLab CVE-2022-1680: an address that was changed by SCIM, and then a reset mail."""
    made = gate.desk.user(ADA, emails=[{"value": ADA, "primary": True}])
    gate.enter(proven())
    changes = [
        {"op": "replace", "path": "userName", "value": "eve@evil.example"},
        {"op": "replace", "path": 'emails[value eq "ada@corp.example"].value', "value": "eve@evil.example"},
    ]
    for change in changes:
        session, token, link = _prepared(gate, made.id)
        before = rows(gate.database, "SELECT * FROM identities")
        mails, held = rows(gate.database, "SELECT * FROM mails"), rows(gate.database, "SELECT id FROM links")
        gate.desk.patch_user(made.id, change)
        assert _alive(gate, (session, token, link)) == [True, True, False]
        assert rows(gate.database, "SELECT * FROM identities") == before
        assert rows(gate.database, "SELECT * FROM mails") == mails
        assert rows(gate.database, "SELECT id FROM links") == held
    record = gate.desk.audit(made.id)[-1]
    assert [each["emails"][0]["value"] for each in (record["before"], record["after"])] == [ADA, "eve@evil.example"]
    assert gate.refusal(proven("s-9", "eve@evil.example")) == "subject_mismatch"
    assert gate.enter(proven()).person.user.id == made.id


def test_a_change_of_anything_else_leaves_links_alone(gate: Gate) -> None:
    made = gate.desk.user(ADA)
    held = _prepared(gate, made.id)
    gate.desk.patch_user(made.id, {"op": "add", "path": "displayName", "value": "Ada"})
    assert _alive(gate, held) == [True, True, True]


# R12: accounts made at the first login


@pytest.fixture
def just_in_time(database: Database) -> Gate:
    return Gate(database, jit=True, domains=("corp.example",))


def test_an_account_is_made_with_what_was_proven_and_no_more(just_in_time: Gate) -> None:
    found = just_in_time.enter(proven(name="Ada Lovelace", given_name="Ada", family_name="Lovelace"))
    document = users.get(just_in_time.desk.look(), found.person.user.id).document
    assert document["userName"] == ADA
    assert document["emails"] == [{"value": ADA, "type": "work", "primary": True}]
    assert (document["active"], document["displayName"]) == (True, "Ada Lovelace")
    assert found.person.role is None
    assert found.person.password_hash is None
    assert {"user.created", "identity.linked"} <= set(just_in_time.desk.actions(found.person.user.id))


@pytest.mark.parametrize("email", ["ada@else.example", "\u212aim@corp.example", "ada@sub.corp.example", None])
def test_none_is_made_for_another_address(just_in_time: Gate, email: str | None) -> None:
    just_in_time.refusal(proven(email=email))
    assert rows(just_in_time.database, "SELECT id FROM resources") == []


def test_who_is_refused_is_not_made_anew_beside(just_in_time: Gate) -> None:
    just_in_time.desk.user(ADA, active=False)
    assert just_in_time.refusal(proven()) == "inactive"
    assert just_in_time.refusal(proven(), policy=SUBJECT_ONLY) == "not_linked"


# At the same moment


def at_once(number: int, act: Callable[[int], Any]) -> list[Any]:
    """What each of several says who act together; an exception is what it says too."""
    together, told = threading.Barrier(number), [None] * number

    def run(n: int) -> None:
        together.wait(20)
        try:
            told[n] = act(n)
        except Exception as error:  # noqa: BLE001 - it is looked at
            told[n] = error  # type: ignore[call-overload]

    threads = [threading.Thread(target=run, args=(n,)) for n in range(number)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(60)
    return told


def test_first_logins_at_the_same_moment_make_one_link(gate: Gate) -> None:
    for n in range(5):
        made, claimed = gate.desk.user(f"p{n}@corp.example"), proven(f"s-{n}", f"p{n}@corp.example")
        told = at_once(4, lambda _, claimed=claimed: gate.enter(claimed).person.user.id)
        assert told == [made.id] * 4
    assert len(gate.linked()) == 5
    assert len(rows(gate.database, "SELECT id FROM mails")) == 5


def test_two_subjects_at_the_same_moment_do_not_share_an_account(gate: Gate) -> None:
    for n in range(5):
        gate.desk.user(f"p{n}@corp.example")
        told = at_once(2, lambda who, n=n: gate.enter(proven(f"s-{n}-{who}", f"p{n}@corp.example")))
        refused = [each for each in told if isinstance(each, NoAccount)]
        assert [each.reason for each in refused] == ["subject_mismatch"]
        assert len([each for each in told if isinstance(each, Found)]) == 1
    assert len(gate.linked()) == 5


def test_an_account_made_at_the_same_moment_is_one_account(just_in_time: Gate) -> None:
    told = at_once(4, lambda _: just_in_time.enter(proven()))
    assert {each.reason for each in told if isinstance(each, NoAccount)} <= {"unknown"}
    assert [each for each in told if not isinstance(each, NoAccount | Found)] == []
    assert len({each.person.user.id for each in told if isinstance(each, Found)}) == 1
    assert len(rows(just_in_time.database, "SELECT id FROM resources")) == len(just_in_time.linked()) == 1
