"""What each provider's claims prove: rules S15, R2 and R3, and the notes on the providers of sso.md section 1.3."""

from typing import Any

import pytest
from hypothesis import given, strategies as st

from scim_server.directory.identities import Proof
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from sso import identity
from sso.errors import LoginRefused
from sso.jose import BadToken

ADA = "ada@corp.example"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
OID = "0d2b6a1c-0000-4c51-9d5e-5a3f2f6f1a10"


def connection(kind: str, **settings: Any) -> SsoConnection:
    return SsoConnection(
        "t", "s", "c", "corp", kind, "https://idp.example", "us", "sealed", 1, "2026-11-01", SsoSettings(**settings)
    )


def proof(kind: str, claims: dict[str, Any], userinfo: dict[str, Any] | None = None, **settings: Any) -> Proof:
    return identity.of_claims(connection(kind, **settings), {"sub": "s-1", **claims}, userinfo)


def said(found: Proof) -> tuple[str | None, bool, str]:
    return found.email, found.proven, found.doubt


# Any OpenID Connect provider


@pytest.mark.parametrize("value", ["true", "True", "false", "", 1, 0, 1.0, None, [], [True], {"value": True}, False])
def test_only_json_true_says_that_an_address_is_verified(value: Any) -> None:
    assert said(proof("oidc", {"email": ADA, "email_verified": value})) == (ADA, False, "email_unverified")


def test_json_true_does() -> None:
    assert said(proof("oidc", {"email": ADA, "email_verified": True})) == (ADA, True, "")


def test_no_word_is_no_proof() -> None:
    assert said(proof("oidc", {"email": ADA})) == (ADA, False, "email_unverified")


def test_the_text_true_counts_behind_its_flag_and_no_other_text_does() -> None:
    assert proof("oidc", {"email": ADA, "email_verified": "true"}, text_email_verified=True).proven
    for value in ("True", "TRUE", " true", "false", "1", 1, "yes"):
        assert not proof("oidc", {"email": ADA, "email_verified": value}, text_email_verified=True).proven


def test_address_and_proof_come_from_the_same_place() -> None:
    """Or a verified private address would vouch for an unverified one at work."""
    other = "eve@home.example"
    token, userinfo = {"email": ADA, "email_verified": False}, {"email": other, "email_verified": True}
    assert said(proof("oidc", token, userinfo)) == (ADA, False, "email_unverified")
    assert said(proof("oidc", userinfo, token)) == (other, True, "")
    assert said(proof("oidc", {"email": ADA}, userinfo)) == (ADA, False, "email_unverified")
    assert said(proof("oidc", {"email_verified": True}, {"email": ADA})) == (ADA, False, "email_unverified")
    assert said(proof("oidc", {"email": ADA}, {"email_verified": True})) == (ADA, False, "email_unverified")


def test_what_the_signed_token_denies_userinfo_cannot_prove() -> None:
    told = {"email": ADA, "email_verified": False}, {"email": ADA, "email_verified": True}
    assert not proof("oidc", *told).proven


def test_the_signed_address_comes_first_where_both_are_proven() -> None:
    both = ({"email": each, "email_verified": True} for each in (ADA, "other@corp.example"))
    assert proof("oidc", *both).email == ADA


def test_userinfo_may_prove_an_address_that_the_token_does_not_contradict() -> None:
    for token in ({}, {"email": ADA}):
        assert said(proof("oidc", token, {"email": ADA, "email_verified": True})) == (ADA, True, "")


@pytest.mark.parametrize(
    "email", [None, "", 5, True, ["ada@corp.example"], {"value": ADA}, "a\n@corp.example", "a" * 321]
)
def test_what_is_no_address_proves_nothing(email: Any) -> None:
    assert said(proof("oidc", {"email": email, "email_verified": True})) == (None, False, "no_email")


@pytest.mark.parametrize(
    "email", ["\u212aim@corp.example", "ada@ｃorp.example", "ADA@Corp.Example", "a+b@corp.example"]
)
def test_an_address_is_kept_as_it_was_sent(email: str) -> None:
    """Normalising it before the match would itself be the hole (R3)."""
    assert proof("oidc", {"email": email, "email_verified": True}).email == email


def test_an_untrusted_connection_proves_nothing() -> None:
    assert said(proof("oidc", {"email": ADA, "email_verified": True}, email_trust="none")) == (
        ADA, False, "not_trusted",
    )  # fmt: skip


def test_authority_over_a_domain_stands_for_the_claim_but_not_against_it() -> None:
    """A provider that says nothing of verification is believed for the domains it owns; one that denies is not."""
    authority: dict[str, Any] = {"email_trust": "authoritative_domains", "domains": ("corp.example",)}
    assert proof("oidc", {"email": ADA}, **authority).proven
    assert proof("oidc", {"email": ADA.upper(), "email_verified": True}, **authority).proven
    assert said(proof("oidc", {"email": "ada@home.example", "email_verified": True}, **authority))[1:] == (
        False, "not_trusted",
    )  # fmt: skip
    for value in (False, "false", None, 0):
        found = proof("oidc", {"email": ADA, "email_verified": value}, **authority)
        assert said(found)[1:] == (False, "email_unverified")


@pytest.mark.parametrize(
    "email",
    ["ada@sub.corp.example", "ada@corp.example.evil.example", "ada@notcorp.example", "ada@corp.example.", "ada"],
)
def test_a_domain_is_the_whole_domain(email: str) -> None:
    assert not proof("oidc", {"email": email}, email_trust="authoritative_domains", domains=("corp.example",)).proven


@pytest.mark.parametrize("sub", [None, "", 5, True, ["x"], "x" * 256, "a\x00b"])
def test_a_subject_is_text(sub: Any) -> None:
    with pytest.raises(BadToken):
        identity.of_claims(connection("oidc"), {"sub": sub, "email": ADA}, None)


def test_names_are_taken_from_the_first_who_tells_them() -> None:
    found = proof(
        "oidc", {"name": "Token", "family_name": "L"}, {"name": "Ada", "given_name": 5, "family_name": "\x1b"}
    )
    assert (found.name, found.given_name, found.family_name) == ("Ada", "", "L")
    assert len(proof("oidc", {"name": "x" * 999}).name) == 200


@given(
    st.dictionaries(
        st.sampled_from(["email", "email_verified", "hd", "name", "tid", "oid", "xms_edov", "idp", "acct"]),
        st.sampled_from([None, True, False, 1, 0, "true", "false", "", ADA, "corp.example", "a@gmail.com", [True], {}]),
    ),
    st.sampled_from(["oidc", "google", "gitlab"]),
)
def test_nothing_but_json_true_ever_proves(claims: dict[str, Any], kind: str) -> None:
    found = proof(kind, claims)
    assert not found.proven or claims["email_verified"] is True
    assert found.proven == (not found.doubt)


# Google


def test_google_is_believed_about_its_workspaces() -> None:
    found = proof("google", {"email": ADA, "email_verified": True, "hd": "corp.example"})
    assert (said(found), found.weak) == ((ADA, True, ""), False)


@pytest.mark.parametrize("email", ["ada@gmail.com", "Ada.L@GMAIL.com"])
def test_google_is_believed_about_gmail_but_never_for_an_admin(email: str) -> None:
    found = proof("google", {"email": email, "email_verified": True})
    assert (said(found), found.weak) == ((email, True, ""), True)


@pytest.mark.parametrize("hd", [None, "", True, 1, ["corp.example"]])
def test_a_consumer_account_on_a_foreign_address_is_not_verified(hd: Any) -> None:
    """Its mailbox was proven once, perhaps years ago; what counts is the claim hd, and only as text."""
    for extra in ({}, {"hd": hd}):
        found = proof("google", {"email": ADA, "email_verified": True, **extra})
        assert (said(found), found.weak) == ((ADA, False, "no_hosted_domain"), True)


def test_nor_is_it_where_the_operator_calls_the_connection_authoritative() -> None:
    authority: dict[str, Any] = {"email_trust": "authoritative_domains", "domains": ("corp.example",)}
    assert not proof("google", {"email": ADA, "email_verified": True}, **authority).proven
    assert proof("google", {"email": ADA, "email_verified": True, "hd": "corp.example"}, **authority).proven


@pytest.mark.parametrize(
    "email", ["ada@gmail.com.evil.example", "ada@notgmail.com", "ada@gmail.com@evil.example", "gmail.com"]
)
def test_what_looks_like_gmail_is_not(email: str) -> None:
    assert not proof("google", {"email": email, "email_verified": True}).proven


def test_a_workspace_still_has_to_say_verified() -> None:
    assert not proof("google", {"email": ADA, "email_verified": "true", "hd": "corp.example"}).proven


# Entra


def entra(claims: dict[str, Any], **settings: Any) -> Proof:
    known = {"tid": TENANT, "oid": OID, "sub": "pairwise-1", "email": ADA, **claims}
    given = {name: value for name, value in known.items() if value is not None}
    chosen = {"entra_tenant": TENANT, "email_trust": "authoritative_domains", "domains": ("corp.example",), **settings}
    return identity.of_claims(connection("entra", **chosen), given, {"email": "userinfo@corp.example"})


def test_entra_is_known_by_oid_and_its_pairwise_sub_is_kept_beside() -> None:
    """The sub changes when the app registration is replaced."""
    found = entra({})
    assert (found.subject, found.pairwise) == (OID, "pairwise-1")


@pytest.mark.parametrize("tid", ["", "common", TENANT.upper(), "9188040d-6c67-4c5b-b112-36a304b66dad", 5, None])
def test_the_directory_is_pinned(tid: Any) -> None:
    with pytest.raises(LoginRefused, match="claims: tid"):
        entra({"tid": tid, "xms_edov": True})


@pytest.mark.parametrize("oid", [None, "", 5, True, "x" * 256, "a\nb"])
def test_without_an_oid_nobody_is_known(oid: Any) -> None:
    with pytest.raises(LoginRefused, match="claims: oid"):
        entra({"oid": oid})


def test_a_pairwise_sub_is_demanded_too() -> None:
    with pytest.raises(BadToken, match="sub"):
        entra({"sub": None})


@pytest.mark.parametrize("edov", [True, "true", "True", 1, "1"])
@pytest.mark.parametrize("guest", [{}, {"idp": "https://sts.windows.net/other/"}, {"acct": 1}])
def test_a_domain_owner_who_verified_is_believed_even_of_guests(edov: Any, guest: dict[str, Any]) -> None:
    for trust in ("verified_claim", "authoritative_domains"):
        assert said(entra({"xms_edov": edov, "email": "g@else.example", **guest}, email_trust=trust))[1:] == (True, "")


@pytest.mark.parametrize("edov", [False, "false", 0, "0", None, "yes", 2, "TRUE", [True], 1.5])
def test_nothing_else_is_that_claim(edov: Any) -> None:
    assert said(entra({"xms_edov": edov}, email_trust="verified_claim"))[1:] == (False, "email_unverified")


def test_the_directory_is_believed_about_its_own_people_in_its_own_domains() -> None:
    assert said(entra({})) == (ADA, True, "")
    assert said(entra({"acct": 0})) == (ADA, True, "")
    assert said(entra({"email": "ada@else.example"}))[1:] == (False, "email_unverified")


@pytest.mark.parametrize(
    "guest", [{"idp": "https://sts.windows.net/other/"}, {"idp": "live.com"}, {"acct": 1}, {"acct": "1"}]
)
def test_a_guest_brings_an_address_from_elsewhere(guest: dict[str, Any]) -> None:
    """Guests carry the resource tenant's tid."""
    assert said(entra(guest)) == (ADA, False, "guest")


@pytest.mark.parametrize("claim", ["preferred_username", "upn", "unique_name", "verified_primary_email"])
def test_names_for_display_are_never_an_address(claim: str) -> None:
    """nOAuth: whoever writes them can name anybody."""
    found = entra({"email": None, claim: ADA, "email_verified": True, "xms_edov": True})
    assert said(found) == (None, False, "no_email")


def test_email_verified_means_nothing_at_entra() -> None:
    assert not entra({"email_verified": True}, email_trust="verified_claim").proven


def test_entra_untrusted_proves_nothing() -> None:
    assert said(entra({"xms_edov": True}, email_trust="none"))[1:] == (False, "not_trusted")


# GitLab


def test_gitlab_com_is_weak_and_a_server_of_ones_own_is_not() -> None:
    claims = {"email": ADA, "email_verified": True, "sub_legacy": "old"}
    cloud, own = proof("gitlab", claims), proof("gitlab", claims, base_url="https://git.corp.example")
    assert (cloud.proven, cloud.weak, cloud.subject) == (True, True, "s-1")
    assert (own.proven, own.weak) == (True, False)


def test_an_instance_that_confirms_without_proof_can_be_distrusted() -> None:
    claims = {"email": ADA, "email_verified": True}
    assert not proof("gitlab", claims, base_url="https://git.corp.example", email_trust="none").proven


# GitHub


def github(*emails: Any, user: Any = None, **settings: Any) -> Proof:
    about = {"id": 583231, "login": "ada", "email": "public@corp.example", "name": "Ada"} if user is None else user
    return identity.of_github(connection("github", **settings), about, list(emails))


def listed(email: Any, *, primary: Any = True, verified: Any = True) -> dict[str, Any]:
    return {"email": email, "primary": primary, "verified": verified, "visibility": None}


def test_github_is_known_by_its_number_and_the_primary_verified_address() -> None:
    found = github(listed("old@corp.example", primary=False), listed(ADA))
    assert (found.subject, said(found), found.weak, found.name) == ("583231", (ADA, True, ""), True, "Ada")


def test_a_primary_address_that_is_not_verified_proves_nothing_and_no_other_steps_in() -> None:
    for verified in (False, None, "true", 1):
        found = github(listed(ADA, verified=verified), listed("other@corp.example", primary=False))
        assert said(found) == (ADA, False, "email_unverified")


@pytest.mark.parametrize("emails", [[], ["ada@corp.example"], [None], [{"email": ADA, "verified": True}]])
def test_no_primary_address_is_no_address_and_the_public_one_is_not_looked_at(emails: list[Any]) -> None:
    assert said(github(*emails)) == (None, False, "no_email")


@pytest.mark.parametrize("emails", [None, {}, "ada@corp.example", {"message": "Not Found"}, 5])
def test_an_answer_of_another_shape_holds_no_address(emails: Any) -> None:
    assert said(identity.of_github(connection("github"), {"id": 5}, emails)) == (None, False, "no_email")


@pytest.mark.parametrize("primary", [1, "true", None, {}])
def test_primary_is_json_true_too(primary: Any) -> None:
    assert github(listed(ADA, primary=primary)).email is None


@pytest.mark.parametrize("email", ["583231+ada@users.noreply.github.com", "ada@USERS.noreply.github.com"])
def test_a_noreply_address_never_matches(email: str) -> None:
    assert said(github(listed(email))) == (email, False, "noreply_address")


@pytest.mark.parametrize("number", [True, False, 0, -1, "583231", 5.0, None, [], {}])
def test_a_github_id_is_a_positive_number(number: Any) -> None:
    """A text could be made to look like another's number; ``login`` can be renamed and taken again."""
    with pytest.raises(LoginRefused, match="claims: id"):
        github(listed(ADA), user={"id": number, "login": "ada"})


@pytest.mark.parametrize("user", [[], "ada", 583231, {"message": "Bad credentials"}])
def test_a_github_answer_of_another_shape_is_nobody(user: Any) -> None:
    with pytest.raises(LoginRefused, match="claims: id"):
        github(listed(ADA), user=user)


def test_authority_does_not_replace_githubs_own_verification() -> None:
    authority: dict[str, Any] = {"email_trust": "authoritative_domains", "domains": ("corp.example",)}
    assert github(listed(ADA), **authority).proven
    assert said(github(listed(ADA, verified=False), **authority))[1:] == (False, "email_unverified")
    assert said(github(listed("a@else.example"), **authority))[1:] == (False, "not_trusted")
    assert said(github(listed(ADA), email_trust="none"))[1:] == (False, "not_trusted")


def test_an_enterprise_server_is_not_weak() -> None:
    assert not github(listed(ADA), base_url="https://git.corp.example").weak


# Bitbucket

UUID = "{8c4f1d34-6f0e-4b0f-9c1b-0d6a2f1c7a11}"


def bitbucket(*emails: Any, uuid: Any = UUID) -> Proof:
    user = {"uuid": uuid, "username": "ada", "nickname": "ada", "display_name": "Ada"}
    return identity.of_bitbucket(connection("bitbucket"), user, {"values": list(emails), "pagelen": 10})


def confirmed(email: str, *, is_primary: Any = True, is_confirmed: Any = True) -> dict[str, Any]:
    return {"email": email, "is_primary": is_primary, "is_confirmed": is_confirmed, "type": "email"}


def test_bitbucket_is_known_by_its_uuid_and_the_primary_confirmed_address() -> None:
    found = bitbucket(confirmed("old@corp.example", is_primary=False), confirmed(ADA))
    assert (found.subject, said(found), found.weak, found.name) == (UUID, (ADA, True, ""), True, "Ada")


def test_unconfirmed_addresses_are_listed_too_and_prove_nothing() -> None:
    for value in (False, None, "true", 1):
        assert said(bitbucket(confirmed(ADA, is_confirmed=value))) == (ADA, False, "email_unverified")
    assert said(bitbucket(confirmed(ADA, is_primary=False))) == (None, False, "no_email")


@pytest.mark.parametrize("uuid", [None, "", 5, True, ["x"], "x" * 256, "a\x00"])
def test_a_bitbucket_uuid_is_text(uuid: Any) -> None:
    with pytest.raises(LoginRefused, match="claims: uuid"):
        bitbucket(confirmed(ADA), uuid=uuid)


@pytest.mark.parametrize("emails", [None, [], [confirmed(ADA)], {"values": None}, {"values": {"0": confirmed(ADA)}}])
def test_a_bitbucket_answer_of_another_shape_holds_no_address(emails: Any) -> None:
    found = identity.of_bitbucket(connection("bitbucket"), {"uuid": UUID}, emails)
    assert said(found) == (None, False, "no_email")
