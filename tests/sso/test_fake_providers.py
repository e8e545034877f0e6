"""Full logins at GitHub, GitLab, Bitbucket, Entra and Google by their documented wire shapes (facts: 1.2, 1.3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from scim_server.directory import accounts
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.transaction import write
from sso.errors import Sentence
from sso.providers.oauth import OAuthProvider, Site
from tests.directory.desk import rows
from tests.idp import bitbucket, github
from tests.idp.bitbucket import Bitbucket, BitbucketPerson
from tests.idp.entra import OTHER_TENANT, TENANT, Entra, EntraPerson
from tests.idp.github import GitHub, GitHubPerson
from tests.idp.gitlab import GitLab
from tests.idp.grants import CodeProvider
from tests.idp.hostile import HostileProvider
from tests.idp.serving import REMOVE
from tests.running import House
from tests.sso.visiting import LOOPBACK, Visitor, add_login, log_of

ADA = "ada@example.com"


class Gate:
    """A house whose one person, Ada, was pushed by the same connection that people log in with."""

    def __init__(self, house: House, provider: CodeProvider, issuer: str, kind: str, **settings: Any) -> None:
        self.house, self.provider = house, provider
        self.sso = add_login(house, issuer, kind=kind, **settings)
        self.scim = house.client(connection="idp")
        self.ada: str = self.scim.user(ADA)["id"]

    def enter(self) -> str:
        """Log in in a new browser; who that is."""
        visitor = Visitor(self.house, self.provider.authorize)
        answer = visitor.log_in(self.sso)
        assert (answer.status_code, answer.headers.get("Location")) == (303, "/me"), log_of(self.house)[0]
        return visitor.get("/auth/verify").headers["Remote-User"]

    def refusal(self) -> str:
        """Log in in a new browser, in vain; the step and the reason that the log tells and the page does not."""
        before = self.count("identities"), self.count("sessions")
        visitor = Visitor(self.house, self.provider.authorize)
        answer = visitor.log_in(self.sso)
        assert answer.status_code in (400, 403), answer.status_code
        assert not visitor.is_in
        assert (self.count("identities"), self.count("sessions")) == before
        line = log_of(self.house)[0]
        assert line["outcome"] == "refused"
        assert any(each.title in answer.text for each in Sentence)
        assert "@" not in answer.text
        return f"{line['step']} {line['reason']}"

    def count(self, table: str) -> int:
        return int(rows(self.house.database, f"SELECT count(*) FROM {table}")[0][0])

    def link(self) -> tuple[str, str]:
        """The one link that there is: subject and method."""
        [found] = rows(self.house.database, "SELECT subject, method FROM identities")
        return found[0], found[1]

    def make_admin(self) -> None:
        with write(self.house.database, at_command_line(self.house.tenant.id)) as tx:
            accounts.set_role(tx, self.ada, "admin")


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """Providers on this machine may be called."""
    opened = House(database_url, provider_networks=LOOPBACK)
    yield opened
    opened.close()


# -------------------------------------------------------------------------------------------------------------- GitHub


@pytest.fixture(scope="module")
def the_github() -> Iterator[GitHub]:
    with GitHub() as provider:
        yield provider


@pytest.fixture
def hub(house: House, the_github: GitHub) -> Gate:
    the_github.reset()
    return Gate(house, the_github, the_github.base, "github", base_url=the_github.base)


def test_github_is_asked_at_its_own_addresses(house: House) -> None:
    sso = add_login(house, "https://github.com", kind="github")
    url = urlsplit(Visitor(house).start(sso).headers["Location"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == "https://github.com/login/oauth/authorize"
    asked = {name: value for name, [value] in parse_qs(url.query).items()}
    assert asked["scope"] == "read:user user:email"
    assert asked["code_challenge_method"] == "S256"
    assert "nonce" not in asked


def test_github_lets_in_by_the_primary_verified_address(hub: Gate) -> None:
    who: GitHubPerson = hub.provider.person
    others = [github.email(f"{n}@example.com") for n in range(60)]
    who.emails, who.public_email = [*others, *who.emails], "eve@example.com"  # not on the first page of thirty
    hub.scim.user("eve@example.com")
    assert hub.enter() == ADA
    assert hub.link() == ("583231", "email")
    assert hub.provider.seen["token"].headers["accept"] == "application/json"
    assert hub.enter() == ADA
    assert hub.count("identities") == 1


GITHUB_REFUSES: dict[str, tuple[Callable[[GitHub], None], str]] = {
    "primary not verified": (
        lambda hub: setattr(hub.person, "emails", [github.email(ADA, primary=True, verified=False)]),
        "account email_unverified",
    ),
    "verified, but not primary": (
        lambda hub: setattr(hub.person, "emails", [github.email(ADA), github.email("x@example.com", primary=True)]),
        "account unknown",
    ),
    "verified as text": (lambda hub: setattr(hub, "emails", {"verified": "true"}), "account email_unverified"),
    "no primary address": (lambda hub: setattr(hub.person, "emails", [github.email(ADA)]), "account no_email"),
    "the public address alone": (
        lambda hub: (setattr(hub.person, "emails", []), setattr(hub.person, "public_email", ADA)),  # type: ignore[func-returns-value]
        "account no_email",
    ),
    "the noreply address": (
        lambda hub: setattr(hub.person, "emails", [github.email(hub.person.noreply, primary=True)]),
        "account noreply_address",
    ),
    "the scope taken away": (lambda hub: setattr(hub, "scopes", ("read:user",)), "exchange scope"),
    "the reply without scope": (lambda hub: setattr(hub, "token_reply", {"scope": REMOVE}), "exchange scope"),
    "an error as 200": (
        lambda hub: setattr(hub, "token_error", "bad_verification_code"), "exchange refused_by_provider",
    ),
    "an error as 200, beside a token": (
        lambda hub: setattr(hub, "token_reply", {"error": "access_denied"}), "exchange refused_by_provider",
    ),
    "the person's no": (lambda hub: hub.deny(), "provider access_denied"),
    "an id of text": (lambda hub: setattr(hub, "user", {"id": "583231"}), "claims id"),
    "no id": (lambda hub: setattr(hub, "user", {"id": REMOVE}), "claims id"),
    "id true": (lambda hub: setattr(hub, "user", {"id": True}), "claims id"),
    "another's iss in the callback": (
        lambda hub: setattr(hub, "callback", {"iss": "https://evil.example"}), "callback iss",
    ),
    "an empty iss in the callback": (lambda hub: setattr(hub, "callback", {"iss": ""}), "callback iss"),
}  # fmt: skip


@pytest.mark.parametrize("case", GITHUB_REFUSES)
def test_github_does_not_let_in_with(hub: Gate, case: str) -> None:
    change, reason = GITHUB_REFUSES[case]
    assert isinstance(hub.provider, GitHub)
    if case == "the noreply address":
        hub.scim.user(hub.provider.person.noreply)
    change(hub.provider)
    assert hub.refusal() == reason


@pytest.mark.parametrize("path", ["", "/login/oauth"])
def test_github_may_name_itself_in_the_callback(hub: Gate, path: str) -> None:
    """RFC 9207, which it has announced: with its site or with the path of its OAuth endpoints."""
    hub.provider.callback = {"iss": hub.provider.base + path}
    assert hub.enter() == ADA


def test_a_renamed_github_account_stays_the_same_person(hub: Gate) -> None:
    assert hub.enter() == ADA
    hub.provider.person = GitHubPerson(login="countess", emails=[github.email("new@example.com", primary=True)])
    assert hub.enter() == ADA


def test_who_takes_over_a_github_name_and_address_is_another_person(hub: Gate) -> None:
    assert hub.enter() == ADA
    hub.provider.person = GitHubPerson(id=999)
    assert hub.refusal() == "account subject_mismatch"


def test_a_person_made_anew_does_not_inherit_the_github_account(hub: Gate) -> None:
    """R13: the id stays with the account that was deleted, though name and address are in use again."""
    assert hub.enter() == ADA
    hub.scim.delete(f"/Users/{hub.ada}")
    assert hub.refusal() == "account linked_to_deleted"
    hub.scim.user(ADA)
    assert hub.refusal() == "account linked_to_deleted"


def test_githubs_word_makes_no_admin(house: House, the_github: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """R5, of github.com; a company's own server may."""
    the_github.reset()
    gate = Gate(house, the_github, the_github.base, "github", base_url=the_github.base)
    gate.make_admin()
    assert gate.enter() == ADA
    cloud = add_login(house, "https://github.com", kind="github", name="cloud")
    monkeypatch.setattr("sso.providers.github.GitHub.__init__", _at(the_github))
    gate.sso = cloud
    assert gate.refusal() == "account admin_needs_hand"


def _at(provider: GitHub) -> Callable[..., None]:
    """github.com itself, reached at the fake."""

    def init(self: Any, desk: Any) -> None:
        site = Site(provider.base, provider.api, "/login/oauth/authorize", "/login/oauth/access_token", ())
        OAuthProvider.__init__(self, desk, site)

    return init


# -------------------------------------------------------------------------------------------------------------- GitLab


@pytest.fixture(scope="module")
def the_gitlab() -> Iterator[GitLab]:
    with GitLab() as provider:
        yield provider


def lab(house: House, provider: GitLab, **settings: Any) -> Gate:
    provider.reset()
    return Gate(house, provider, provider.issuer, "gitlab", base_url=provider.base, **settings)


def test_a_self_managed_gitlab_is_not_believed_unless_the_operator_says_so(house: House, the_gitlab: GitLab) -> None:
    gate = lab(house, the_gitlab, email_trust="none")
    assert gate.refusal() == "account not_trusted"


def test_gitlab_lets_in_by_the_verified_claim(house: House, the_gitlab: GitLab) -> None:
    gate = lab(house, the_gitlab, email_trust="verified_claim")
    gate.make_admin()
    assert gate.enter() == ADA
    assert gate.link() == ("1207", "email"), "not sub_legacy"
    the_gitlab.person.username, the_gitlab.person.email, the_gitlab.person.verified = "countess", "x@y.example", False
    assert gate.enter() == ADA


@pytest.mark.parametrize("verified", [False, None, "true", 1])
def test_gitlabs_unconfirmed_address_lets_nobody_in(house: House, the_gitlab: GitLab, verified: Any) -> None:
    gate = lab(house, the_gitlab)
    the_gitlab.person.verified = verified
    assert gate.refusal() == "account email_unverified"


def test_gitlab_com_links_no_admin(house: House, the_gitlab: GitLab) -> None:
    the_gitlab.reset()
    gate = Gate(house, the_gitlab, the_gitlab.issuer, "gitlab")
    gate.make_admin()
    assert gate.refusal() == "account admin_needs_hand"


# ----------------------------------------------------------------------------------------------------------- Bitbucket


@pytest.fixture(scope="module")
def the_bitbucket() -> Iterator[Bitbucket]:
    with Bitbucket() as provider:
        yield provider


@pytest.fixture
def bucket(house: House, the_bitbucket: Bitbucket) -> Gate:
    the_bitbucket.reset()
    return Gate(house, the_bitbucket, the_bitbucket.base, "bitbucket", base_url=the_bitbucket.base)


def test_bitbucket_lets_in_by_the_primary_confirmed_address(bucket: Gate) -> None:
    who: BitbucketPerson = bucket.provider.person
    who.emails = [bitbucket.email(f"{n}@example.com") for n in range(40)] + who.emails  # not on the first page of ten
    assert bucket.enter() == ADA
    assert bucket.link() == (who.uuid, "email")
    who.nickname, who.emails = "countess", []
    assert bucket.enter() == ADA


def test_bitbucket_gets_the_client_secret_in_a_header(bucket: Gate) -> None:
    """It refuses one in the form."""
    assert bucket.enter() == ADA
    asked = bucket.provider.seen["token"]
    assert asked.headers["authorization"].startswith("Basic ")
    assert not {"client_secret", "client_id"} & asked.form.keys()


BITBUCKET_REFUSES: dict[str, tuple[Callable[[Bitbucket], None], str]] = {
    "an unconfirmed address": (
        lambda it: setattr(it.person, "emails", [bitbucket.email(ADA, primary=True, confirmed=False)]),
        "account email_unverified",
    ),
    "confirmed as text": (lambda it: setattr(it, "emails", {"is_confirmed": "true"}), "account email_unverified"),
    "an address that is not primary": (
        lambda it: setattr(it.person, "emails", [bitbucket.email(ADA)]), "account no_email",
    ),
    "the scope email missing": (lambda it: setattr(it, "scopes", ("account",)), "exchange scope"),
    "the scope account missing": (lambda it: setattr(it, "scopes", ("email",)), "exchange scope"),
    "the reply without scopes": (lambda it: setattr(it, "token_reply", {"scopes": REMOVE}), "exchange scope"),
    "no uuid": (lambda it: setattr(it, "user", {"uuid": REMOVE}), "claims uuid"),
    "a uuid that is none": (lambda it: setattr(it, "user", {"uuid": 7}), "claims uuid"),
    "only form authentication": (
        lambda it: setattr(it, "client_auth", {"client_secret_post"}), "exchange refused_by_provider",
    ),
    "another's iss in the callback": (
        lambda it: setattr(it, "callback", {"iss": "https://evil.example"}), "callback iss",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BITBUCKET_REFUSES)
def test_bitbucket_does_not_let_in_with(bucket: Gate, case: str) -> None:
    change, reason = BITBUCKET_REFUSES[case]
    assert isinstance(bucket.provider, Bitbucket)
    change(bucket.provider)
    assert bucket.refusal() == reason


def test_bitbuckets_further_pages_are_not_followed(bucket: Gate) -> None:
    """Whatever ``next`` says: a hundred addresses are enough, and it may point anywhere."""
    assert isinstance(bucket.provider, Bitbucket)
    bucket.provider.page = {"next": bucket.provider.url("user") + "/elsewhere"}
    assert bucket.enter() == ADA
    assert bucket.provider.counts == {"authorize": 1, "token": 1, "user": 1, "emails": 1}


# --------------------------------------------------------------------------------------------------------------- Entra


@pytest.fixture(scope="module")
def the_entra() -> Iterator[Entra]:
    with Entra() as provider:
        yield provider


def directory(house: House, provider: Entra, **settings: Any) -> Gate:
    provider.reset()
    given = {"email_trust": "authoritative_domains", "domains": ("example.com",)} | settings
    return Gate(house, provider, provider.issuer, "entra", entra_tenant=TENANT, **given)


def test_entra_lets_in_its_own_people_of_a_domain_that_is_its_own(house: House, the_entra: Entra) -> None:
    gate = directory(house, the_entra)
    assert gate.enter() == ADA
    assert gate.link() == (the_entra.person.oid, "email")
    [(pairwise,)] = rows(house.database, "SELECT pairwise FROM identities")
    assert pairwise == the_entra.person.subject("rp")


def test_a_new_app_registration_changes_nobody(house: House, the_entra: Entra) -> None:
    """The pairwise subject changes with it, the object id does not."""
    gate = directory(house, the_entra)
    assert gate.enter() == ADA
    the_entra.claims = {"sub": "of-the-new-registration", "email": "other@example.com"}
    assert gate.enter() == ADA


def test_the_same_pairwise_subject_is_no_proof(house: House, the_entra: Entra) -> None:
    gate = directory(house, the_entra)
    subject = the_entra.person.subject("rp")
    assert gate.enter() == ADA
    the_entra.person = EntraPerson(oid="11111111-2222-4333-8444-555555555555", email=None)
    the_entra.claims = {"sub": subject}
    assert gate.refusal() == "account no_email"


@pytest.mark.parametrize("edov", [True, "true", "True", 1, "1"])
def test_entra_lets_in_a_guest_whose_domain_owner_verified_the_address(
    house: House, the_entra: Entra, edov: Any
) -> None:
    gate = directory(house, the_entra, domains=("example.com", "partner.test"))
    gate.scim.user("ada@partner.test")
    the_entra.person = EntraPerson.guest(edov=edov)
    assert gate.enter() == "ada@partner.test"


ENTRA_REFUSES: dict[str, tuple[dict[str, Any], Callable[[Entra], None], str]] = {
    "a guest": ({}, lambda it: setattr(it, "person", EntraPerson.guest(ADA)), "account guest"),
    "a guest by e-mail code": (
        {}, lambda it: setattr(it, "person", EntraPerson.guest(ADA, home="mail", acct=None)), "account guest",
    ),
    "a guest who is marked by acct alone": (
        {}, lambda it: setattr(it, "person", EntraPerson(acct=1)), "account guest",
    ),
    "a guest whose address nobody verified": (
        {}, lambda it: setattr(it, "person", EntraPerson.guest(ADA, edov=False)), "account guest",
    ),
    "xms_edov of another shape": (
        {"email_trust": "verified_claim"}, lambda it: setattr(it, "person", EntraPerson(edov="yes")),
        "account email_unverified",
    ),
    "xms_edov 0": (
        {"email_trust": "verified_claim"}, lambda it: setattr(it, "person", EntraPerson(edov="0")),
        "account email_unverified",
    ),
    "an address that an administrator wrote": (
        {"email_trust": "verified_claim"}, lambda it: None, "account email_unverified",
    ),
    "an email_verified that Entra does not know": (
        {"email_trust": "verified_claim"}, lambda it: setattr(it, "claims", {"email_verified": True}),
        "account email_unverified",
    ),
    "a domain that is not named": ({"domains": ("other.test",)}, lambda it: None, "account email_unverified"),
    "no trust at all": ({"email_trust": "none"}, lambda it: setattr(it.person, "edov", True), "account not_trusted"),
    "preferred_username alone": ({}, lambda it: setattr(it.person, "email", None), "account no_email"),
    "upn and unique_name": (
        {}, lambda it: setattr(it, "claims", {"email": REMOVE, "upn": ADA, "unique_name": ADA}), "account no_email",
    ),
    "another tenant's token": ({}, lambda it: it.answer_as(OTHER_TENANT), "id_token iss"),
    "another tenant's tid": ({}, lambda it: setattr(it, "claims", {"tid": OTHER_TENANT}), "claims tid"),
    "no tid": ({}, lambda it: setattr(it, "claims", {"tid": REMOVE}), "claims tid"),
    "no oid": ({}, lambda it: setattr(it, "claims", {"oid": REMOVE}), "claims oid"),
    "an issuer for all tenants": (
        {}, lambda it: setattr(it, "metadata", {"issuer": f"{it.base}/{{tenantid}}/v2.0"}),
        "discovery issuer_mismatch",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ENTRA_REFUSES)
def test_entra_does_not_let_in(house: House, the_entra: Entra, case: str) -> None:
    settings, change, reason = ENTRA_REFUSES[case]
    gate = directory(house, the_entra, **settings)
    change(the_entra)
    assert gate.refusal() == reason


def test_the_object_id_pairs_what_scim_pushed_with_who_logs_in(house: House, the_entra: Entra) -> None:
    """No address is looked at: there is none, and the name is another."""
    gate = directory(house, the_entra, email_trust="none", domains=())
    the_entra.person = EntraPerson(email=None, upn="someone@elsewhere.test")
    gate.scim.user("al@house.test", externalId=the_entra.person.oid)
    assert gate.enter() == "al@house.test"
    assert gate.link() == (the_entra.person.oid, "external_id")
    assert gate.enter() == "al@house.test"


def test_an_object_id_of_another_connection_pairs_nobody(house: House, the_entra: Entra) -> None:
    """R10: an externalId means something to its own sender only."""
    gate = directory(house, the_entra, email_trust="none")
    house.client(connection="other").user("al@house.test", externalId=the_entra.person.oid)
    assert gate.refusal() == "account not_trusted"


def test_entra_is_not_asked_for_userinfo(house: House, the_entra: Entra) -> None:
    gate = directory(house, the_entra)
    assert gate.enter() == ADA
    assert the_entra.counts["userinfo"] == 0
    assert the_entra.seen["authorize"].query["code_challenge_method"] == "S256", "though nothing advertises it"


# -------------------------------------------------------------------------------------------------------------- Google


@pytest.fixture(scope="module")
def the_google() -> Iterator[HostileProvider]:
    with HostileProvider() as provider:
        yield provider


@pytest.fixture
def google(house: House, the_google: HostileProvider) -> Gate:
    the_google.reset()
    return Gate(house, the_google, the_google.issuer, "google")


def person(email: str = ADA, **claims: Any) -> dict[str, Any]:
    return {"sub": "u1", "email": email, "email_verified": True, **claims}


def test_google_lets_in_with_a_hosted_domain(google: Gate) -> None:
    google.make_admin()
    google.provider.person = person(hd="example.com")
    assert google.enter() == ADA
    assert google.provider.counts["userinfo"] == 0


GOOGLE_REFUSES: dict[str, tuple[dict[str, Any], str]] = {
    "a consumer account on a company's address": (person(), "account no_hosted_domain"),
    "hd empty": (person(hd=""), "account no_hosted_domain"),
    "hd no text": (person(hd=True), "account no_hosted_domain"),
    "an unverified address, hd or not": (
        person(hd="example.com", email_verified=False), "account email_unverified",
    ),
    "verified as text": (person(hd="example.com", email_verified="true"), "account email_unverified"),
    "an address that looks like gmail's": (person("ada@notgmail.com"), "account no_hosted_domain"),
    "an address below gmail's": (person("ada@gmail.com.example.com"), "account no_hosted_domain"),
}  # fmt: skip


@pytest.mark.parametrize("case", GOOGLE_REFUSES)
def test_google_does_not_let_in(google: Gate, case: str) -> None:
    google.provider.person, reason = GOOGLE_REFUSES[case]
    if google.provider.person["email"] != ADA:
        google.scim.user(google.provider.person["email"])
    assert google.refusal() == reason


def test_google_is_the_authority_for_gmail(google: Gate) -> None:
    google.scim.user("ada@gmail.com")
    google.provider.person = person("ada@gmail.com")
    assert google.enter() == "ada@gmail.com"


def test_a_gmail_address_makes_no_admin(google: Gate) -> None:
    """R5."""
    google.ada = google.scim.user("ada@gmail.com")["id"]
    google.make_admin()
    google.provider.person = person("ada@gmail.com")
    assert google.refusal() == "account admin_needs_hand"


def test_a_resold_domain_is_stopped(google: Gate) -> None:
    """Address and ``hd`` come back, the subject does not (R4)."""
    google.provider.person = person(hd="example.com")
    assert google.enter() == ADA
    google.provider.person = person(hd="example.com", sub="u2")
    assert google.refusal() == "account subject_mismatch"
