"""From a proof to an account, every combination: a decision table, and an oracle that says the rules once more."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings, strategies as st

from scim_server.directory import accounts, identities, linking, standing, users
from scim_server.directory.actor import Actor, at_command_line
from scim_server.directory.linking import ANY_EMAIL, POLICIES, SUBJECT_ONLY, VERIFIED_EMAIL, NoAccount
from scim_server.directory.sso_connections import TRUSTS, SsoConnection
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx, write
from scim_server.protocol.render import Stored
from sso import identity
from tests.directory.desk import Desk
from tests.sso.gate import ADA, HASH, connect, proven


@dataclass(frozen=True)
class Case:
    """All that a decision depends on."""

    kind: str = "oidc"
    hosted: bool = True  # Google's hd
    trust: str = "verified_claim"
    verified: Any = True  # None: the claim is absent
    domains: tuple[str, ...] = ("corp.example",)
    account: str = "active"  # inactive, deleted, none
    locked: bool = False
    link: str = "none"  # same, other: what this connection knows of the account
    password: bool = False
    role: str = "member"
    guarded: bool = False
    policy: str = VERIFIED_EMAIL
    jit: bool = False
    passwords_work: bool = True

    @property
    def weak(self) -> bool:
        return self.kind == "gitlab" or (self.kind == "google" and not self.hosted)


def oracle(case: Case) -> str:
    """The rules once more, written to be read: ``enter``, ``ask`` for the password, ``create`` or ``refuse``."""
    may_enter = case.account == "active" and not case.locked
    if case.link == "same":
        return "enter" if may_enter and not case.guarded else "refuse"  # R1, R13: only the subject counts
    ours = "corp.example" in case.domains
    trusted = {
        "none": False,
        "verified_claim": case.verified is True,
        "authoritative_domains": ours and case.verified in (True, None),
    }[case.trust]
    if case.kind == "google" and not case.hosted:
        trusted = False
    if case.policy == SUBJECT_ONLY or not (trusted or case.policy == ANY_EMAIL) or (case.domains and not ours):
        return "refuse"  # R2
    if case.account == "deleted":
        return "refuse"  # R13
    if case.account == "none":
        return "create" if case.jit and trusted and ours else "refuse"  # R12
    if case.link == "other" or not may_enter or case.guarded or (case.weak and case.role in ("system_admin", "admin")):
        return "refuse"  # R4, R13, R5
    if not case.password:
        return "enter"
    return "ask" if case.passwords_work else "refuse"  # R6, R7


class _Undo(Exception):
    pass


def decision(database: Database, tenant: str, case: Case) -> tuple[str, str]:
    """What the house decides, and with which word; nothing of it stays."""
    told = ("", "")
    try:
        with write(database, Actor(tenant=tenant, door="sso", name="login")) as tx:
            told = _decided(tx, case)
            raise _Undo
    except _Undo:
        return told


def _decided(tx: Tx, case: Case) -> tuple[str, str]:
    sso = connect(tx, kind=case.kind, email_trust=case.trust, domains=case.domains, jit=case.jit)
    made = None if case.account == "none" else _staged(tx, sso, case)
    claims = {"sub": "s-1", "email": ADA}
    claims |= {} if case.verified is None else {"email_verified": case.verified}
    claims |= {"hd": "corp.example"} if case.hosted else {}
    proof = identity.of_claims(sso, claims, None)
    assert proof.weak == case.weak
    try:
        found = linking.find(tx, sso, proof, policy=case.policy, passwords_work=case.passwords_work)
    except NoAccount as error:
        return "refuse", error.reason
    known = identities.of_subject(tx, sso.id, "s-1")
    if found.needs_password:
        assert made is not None
        assert (known, found.person.user.id) == (None, made.id)
        return "ask", ""
    assert known is not None
    assert known.user_id == found.person.user.id
    if made is not None and made.id == known.user_id:
        return "enter", known.method
    assert found.person.role is None, "the lowest role (R12)"
    return "create", known.method


def _staged(tx: Tx, sso: SsoConnection, case: Case) -> Stored:
    made = users.create(tx, {"userName": ADA})
    if case.password:
        accounts.set_password(tx, made.id, HASH)
    accounts.set_role(tx, made.id, case.role)
    accounts.set_break_glass(tx, made.id, on=case.guarded)
    if case.link != "none":
        subject = "s-1" if case.link == "same" else "s-0"
        identities.link(tx, sso.id, proven(subject), standing.hold(tx, made.id).user, "email")
    if case.locked:
        accounts.lock(tx, made.id, "on leave")
    if case.account == "inactive":
        users.replace(tx, made.id, {"userName": ADA, "active": False})
    if case.account == "deleted":
        users.delete(tx, made.id)
    return made


@pytest.fixture(scope="module")
def crowded(module_database_url: str) -> Iterator[tuple[Database, str]]:
    """A database in which each decision is tried and undone; a spare admin lets the other one go."""
    opened = Database(module_database_url)
    desk = Desk(opened, "table", "other")
    with write(opened, at_command_line(desk.tenant.id)) as tx:
        accounts.set_role(tx, users.create(tx, {"userName": "spare"}).id, "admin")
    yield opened, desk.tenant.id
    opened.close()


TABLE = [
    ("the plain first login", Case(), "enter", "email"),
    ("a known subject", Case(link="same"), "enter", "email"),
    ("a known subject, any address", Case(link="same", verified=False, domains=("else.example",)), "enter", "email"),
    ("a known subject where only subjects count", Case(link="same", policy=SUBJECT_ONLY), "enter", "email"),
    ("a known subject with a password", Case(link="same", password=True, passwords_work=False), "enter", "email"),
    ("a known admin of a weak provider", Case(link="same", kind="gitlab", role="admin"), "enter", "email"),
    ("a known subject of somebody inactive", Case(link="same", account="inactive"), "refuse", "inactive"),
    ("a known subject of somebody locked", Case(link="same", locked=True), "refuse", "locked"),
    ("a known subject of somebody deleted", Case(link="same", account="deleted"), "refuse", "linked_to_deleted"),
    ("a deleted one is not made anew", Case(link="same", account="deleted", jit=True), "refuse", "linked_to_deleted"),
    ("nobody", Case(account="none"), "refuse", "unknown"),
    ("somebody deleted", Case(account="deleted"), "refuse", "unknown"),
    ("somebody inactive", Case(account="inactive"), "refuse", "inactive"),
    ("somebody locked", Case(locked=True), "refuse", "locked"),
    ("somebody inactive with a password", Case(account="inactive", password=True), "refuse", "inactive"),
    ("only subjects count", Case(policy=SUBJECT_ONLY), "refuse", "not_linked"),
    ("an unproven address", Case(verified=False), "refuse", "email_unverified"),
    ("a proof in words", Case(verified="true"), "refuse", "email_unverified"),
    ("no word of proof", Case(verified=None), "refuse", "email_unverified"),
    ("an unproven address, unsafely", Case(verified=False, policy=ANY_EMAIL), "enter", "email"),
    ("a provider that is not trusted", Case(trust="none"), "refuse", "not_trusted"),
    ("an authority that says nothing", Case(trust="authoritative_domains", verified=None), "enter", "email"),
    ("an authority that denies", Case(trust="authoritative_domains", verified=False), "refuse", "email_unverified"),
    ("an authority over nothing", Case(trust="authoritative_domains", domains=()), "refuse", "not_trusted"),
    ("a domain that is not ours", Case(domains=("else.example",)), "refuse", "domain_not_allowed"),
    ("not ours, unsafely", Case(domains=("else.example",), policy=ANY_EMAIL), "refuse", "domain_not_allowed"),
    ("any domain", Case(domains=()), "enter", "email"),
    ("a consumer account on our address", Case(kind="google", hosted=False), "refuse", "no_hosted_domain"),
    ("a workspace", Case(kind="google"), "enter", "email"),
    ("another subject of the same address", Case(link="other"), "refuse", "subject_mismatch"),
    ("another subject, unsafely", Case(link="other", policy=ANY_EMAIL), "refuse", "subject_mismatch"),
    ("another subject with the password", Case(link="other", password=True), "refuse", "subject_mismatch"),
    ("an admin by a weak provider", Case(kind="gitlab", role="admin"), "refuse", "admin_needs_hand"),
    ("the owner by a weak provider", Case(kind="gitlab", role="system_admin"), "refuse", "admin_needs_hand"),
    ("a user manager by a weak provider", Case(kind="gitlab", role="user_manager"), "enter", "email"),
    ("an admin by another provider", Case(role="admin"), "enter", "email"),
    ("a break-glass account", Case(guarded=True), "refuse", "break_glass"),
    ("a password", Case(password=True), "ask", ""),
    ("a password where none works", Case(password=True, passwords_work=False), "refuse", "has_password"),
    ("made at login", Case(account="none", jit=True), "create", "created"),
    ("made anew after a deletion", Case(account="deleted", link="other", jit=True), "refuse", "left_before"),
    ("not made in any domain", Case(account="none", jit=True, domains=()), "refuse", "unknown"),
    ("not made unproven", Case(account="none", jit=True, verified=False, policy=ANY_EMAIL), "refuse", "unknown"),
]  # fmt: skip


@pytest.mark.parametrize(("case", "verdict", "word"), [pytest.param(*row[1:], id=row[0]) for row in TABLE])
def test_the_decision_table(crowded: tuple[Database, str], case: Case, verdict: str, word: str) -> None:
    assert decision(*crowded, case) == (verdict, word)
    assert oracle(case) == verdict


CASES = st.builds(
    Case,
    kind=st.sampled_from(["oidc", "google", "gitlab"]),
    hosted=st.booleans(),
    trust=st.sampled_from(TRUSTS),
    verified=st.sampled_from([True, True, False, None, "true", "false"]),
    domains=st.sampled_from([(), ("corp.example",), ("corp.example", "else.example"), ("else.example",)]),
    account=st.sampled_from(["active", "active", "inactive", "deleted"]),
    locked=st.booleans(),
    link=st.sampled_from(["none", "none", "same", "other"]),
    password=st.booleans(),
    role=st.sampled_from(["member", "auditor", "user_manager", "admin", "system_admin"]),
    guarded=st.booleans(),
    policy=st.sampled_from(POLICIES),
    jit=st.booleans(),
    passwords_work=st.booleans(),
) | st.builds(  # where there is nobody, nothing is known of them
    Case,
    account=st.just("none"),
    trust=st.sampled_from(TRUSTS),
    verified=st.sampled_from([True, False]),
    domains=st.sampled_from([(), ("corp.example",), ("else.example",)]),
    policy=st.sampled_from(POLICIES),
    jit=st.booleans(),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@example(Case(role="admin", password=True, guarded=True))
@given(CASES)
def test_every_combination_is_decided_as_the_rules_say(crowded: tuple[Database, str], case: Case) -> None:
    assert decision(*crowded, case)[0] == oracle(case)
