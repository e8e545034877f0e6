"""From what a provider proved to the account that may be entered: the rules R1 to R13 of the design's facts.

A subject that is known is that person, whatever its address says now. A new one is bound once: to whom the same
connection pushed under that very id, or to the account whose username is the proven e-mail address.
"""

from __future__ import annotations

from typing import NamedTuple

from ..protocol.documents import Document
from ..protocol.filters import comparable
from ..protocol.render import Stored, name_of
from ..protocol.schemas import USER
from . import audit, ending, guards, identities, links, standing, users
from .errors import AlreadyTaken, NotFound, Refused
from .identities import Identity, Proof
from .sso_connections import SsoConnection
from .standing import NotLetIn, Standing
from .store.engine import Statement
from .store.transaction import Tx

SUBJECT_ONLY, VERIFIED_EMAIL, ANY_EMAIL = "subject_only", "verified_email", "any_email_unsafe"
POLICIES = (SUBJECT_ONLY, VERIFIED_EMAIL, ANY_EMAIL)

_BY_EXTERNAL_ID = Statement("""
    SELECT r.id FROM external_ids x CROSS JOIN resources r
    WHERE x.tenant = :tenant AND x.connection = :connection AND x.value = :value
      AND r.tenant = x.tenant AND r.id = x.resource AND r.kind = 'User' AND r.deleted IS NULL""")
_BY_NAME = Statement("""
    SELECT r.kind, r.id, r.version, r.created, r.modified, r.body FROM resources r
    WHERE r.tenant = :tenant AND r.kind = 'User' AND r.name = :name AND r.deleted IS NULL""")
_BY_EMAIL = Statement("""
    SELECT DISTINCT r.kind, r.id, r.version, r.created, r.modified, r.body FROM entries e CROSS JOIN resources r
    WHERE e.tenant = :tenant AND e.attribute = 'emails' AND e.prefix = :prefix AND e.value = :email
      AND r.tenant = e.tenant AND r.id = e.resource AND r.kind = 'User' AND r.deleted IS NULL""")
_GONE = Statement("""
    SELECT 1 FROM resources r
    WHERE r.tenant = :tenant AND r.kind = 'User' AND r.name = :name AND r.deleted IS NOT NULL
    UNION ALL SELECT 1 FROM entries e WHERE e.tenant = :tenant AND e.attribute = 'emails' AND e.prefix = :prefix
      AND e.value = :email
    LIMIT 1""")
_LIVING = Statement("""
    SELECT r.deleted FROM resources r WHERE r.tenant = :tenant AND r.id = :id AND r.kind = 'User'""")
_HELD = Statement("""
    SELECT 1 FROM sessions s WHERE s.tenant = :tenant AND s.user_id = :id AND s.revoked IS NULL
    UNION ALL SELECT 1 FROM personal_tokens p WHERE p.tenant = :tenant AND p.user_id = :id AND p.revoked IS NULL
    UNION ALL SELECT 1 FROM links l
      WHERE l.tenant = :tenant AND l.user_id = :id AND l.revoked IS NULL AND l.used IS NULL
    LIMIT 1""")


_ALL = 10_000  # records of one person


class NoAccount(Exception):
    """The visitor cannot enter; ``reason`` is for the log, ``user_id`` the account it is about, if there is one."""

    def __init__(self, reason: str, user_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.user_id = reason, user_id


class Found(NamedTuple):
    """Who may be entered. ``needs_password`` asks for the account's own password before it is bound (rule R6)."""

    person: Standing
    needs_password: bool = False


def find(tx: Tx, sso: SsoConnection, proof: Proof, *, policy: str, passwords_work: bool) -> Found:
    """The account that a proof opens, bound if it was not before. Raises NoAccount."""
    known = identities.of_subject(tx, sso.id, proof.subject)
    pushed = _pushed_under(tx, sso, proof.subject)
    if known is not None and (pushed is None or _lives(tx, known.user_id)):
        return Found(_known(tx, sso, proof, known))
    if pushed is not None:
        if known is not None:  # the person was deleted and pushed anew under the same id
            identities.unlink(tx, known, "pushed anew")
        return _adopt(tx, sso, proof, pushed, "external_id", passwords_work=passwords_work)
    user = _by_email(tx, sso, proof, policy)
    if user is None:
        return Found(_created(tx, sso, proof))
    return _adopt(tx, sso, proof, user.id, "email", passwords_work=passwords_work)


def confirm(tx: Tx, sso: SsoConnection, proof: Proof, user_id: str) -> Standing:
    """Bind a subject to an account whose password was just given. Raises NoAccount."""
    return _bind(tx, sso, proof, user_id, "password")


def linked_by_email(tx: Tx, sso: SsoConnection, email: str) -> list[str]:
    """Accounts with this address that are linked to this connection."""
    if not is_plain_address(email):
        return []
    return [each.id for each in _named(tx, email) if identities.at_connection(tx, sso.id, each.id)]


def by_hand(tx: Tx, sso: SsoConnection, user_id: str, subject: str) -> None:
    """Bind a subject as an admin says; one that was a deleted account's is taken over. Raises NotFound, Refused."""
    old = identities.of_subject(tx, sso.id, subject)
    if old is not None and not _lives(tx, old.user_id):
        identities.unlink(tx, old, "linked to another account by hand")
    standing.hold(tx, user_id)
    try:
        _bind(tx, sso, Proof(subject, sso.issuer), user_id, "by hand")
    except NoAccount as error:
        raise Refused(_BY_HAND.get(error.reason, f"The account cannot be linked: {error.reason}.")) from None


_BY_HAND = {
    "break_glass": "A break-glass account stays apart from every provider.",
    "subject_mismatch": "The account is another subject of this connection; undo that link first.",
    "subject_taken": "This subject is linked to another account; undo that link first.",
    "inactive": "The account is inactive; activate it first.",
    "locked": "The account is locked; unlock it first.",
    "not_in_access_group": "The account is not in the group that gives access; add it first.",
}


def _known(tx: Tx, sso: SsoConnection, proof: Proof, identity: Identity) -> Standing:
    user_id = identity.user_id
    if identity.issuer != proof.issuer:
        raise NoAccount("other_issuer", user_id)
    try:
        person = standing.hold(tx, user_id)
        standing.require(tx, person)
    except NotFound:
        raise NoAccount("linked_to_deleted", user_id) from None
    except NotLetIn as error:
        raise NoAccount(error.reason, user_id) from None
    if person.guarded:
        raise NoAccount("break_glass", user_id)
    if not identities.note_use(tx, sso.id, proof):
        raise NoAccount("not_linked", user_id)  # undone since it was looked up
    return person


def _lives(tx: Tx, user_id: str) -> bool:
    row = tx.one(_LIVING, id=user_id)
    return row is not None and row[0] is None


def _pushed_under(tx: Tx, sso: SsoConnection, subject: str) -> str | None:
    """Whom the sending half of the same connection pushed with the subject as externalId."""
    rows = tx.all(_BY_EXTERNAL_ID, connection=sso.connection, value=subject)
    if len(rows) > 1:
        raise NoAccount("ambiguous_external_id")
    return rows[0][0] if rows else None


def _by_email(tx: Tx, sso: SsoConnection, proof: Proof, policy: str) -> Stored | None:
    """The account whose name is the proven address; None when there is none. Raises NoAccount."""
    email = proof.email
    if policy == SUBJECT_ONLY:
        raise NoAccount("not_linked")
    if not email:
        raise NoAccount("no_email")
    if not proof.proven and policy != ANY_EMAIL:
        raise NoAccount(proof.doubt or "email_unproven")
    if not is_plain_address(email):
        raise NoAccount("email_not_plain")
    if not sso.settings.covers(email):
        raise NoAccount("domain_not_allowed")
    found = _named(tx, email)
    if len(found) > 1:
        raise NoAccount("ambiguous_email")
    return found[0] if found else None


def is_plain_address(email: str) -> bool:
    """Whether an address may be matched at all: pure ASCII, and one ``@`` with something on both sides.

    Normalising what a provider sent before the match would itself be the hole (K is not KELVIN SIGN).
    """
    local, at, domain = email.partition("@")
    return email.isascii() and email.isprintable() and " " not in email and bool(local and at and domain) and (
        "@" not in domain
    )  # fmt: skip


def _named(tx: Tx, email: str) -> list[Stored]:
    """Accounts with this username; and where the username is no address, with this primary e-mail."""
    wanted = email.lower()
    rows = tx.all(_BY_NAME, name=comparable(name_of(USER), email))
    rows += tx.all(_BY_EMAIL, email=wanted, prefix=wanted[:200])
    found = {row[1]: Stored(*row) for row in rows}
    return [each for each in found.values() if wanted in _addresses(each.document)]


def _addresses(document: Document) -> set[str]:
    """By which addresses an account may be matched, in lower case; look-alikes outside ASCII are none."""
    name = document["userName"]
    if "@" in name:
        return {name.lower()} if name.isascii() else set()
    values = [str(each.get("value", "")) for each in document.get("emails", []) if each.get("primary")]
    return {value.lower() for value in values if value.isascii()}


def _adopt(tx: Tx, sso: SsoConnection, proof: Proof, user_id: str, method: str, *, passwords_work: bool) -> Found:
    """Bind an account that was found, or ask for its password first (R6). Raises NoAccount."""
    person = standing.hold(tx, user_id)
    _require_linkable(proof, person)
    if person.role in guards.ADMINS and not _vouched_for(tx, sso, person.user, method):
        raise NoAccount("admin_needs_hand", user_id)
    _require_free(tx, sso, proof, user_id)
    if person.password_hash is None:
        return Found(_bind(tx, sso, proof, user_id, method))
    if not passwords_work:
        raise NoAccount("has_password", user_id)
    try:
        standing.require(tx, person)
    except NotLetIn as error:
        raise NoAccount(error.reason, user_id) from None
    return Found(person, needs_password=True)


def _vouched_for(tx: Tx, sso: SsoConnection, user: Stored, method: str) -> bool:
    """Whether what leads to an admin was not put there by another sender, who would so become the admin.

    An externalId counts for accounts that this connection made; an address where a person or this connection set it.
    """
    records = [each for each in audit.of(tx, user.id, _ALL) if each["kind"] == "User"]
    if method == "external_id":
        return any(each["action"] == "user.created" and each["connection"] == sso.connection for each in records)
    now = _addresses(user.document)
    changes = (each for each in records if _addresses_of(each["after"]) == now != _addresses_of(each["before"]))
    set_by = next(changes, None)
    return set_by is not None and (set_by["door"] != "scim" or set_by["connection"] == sso.connection)


def _addresses_of(document: Document | None) -> set[str] | None:
    return _addresses(document) if document and "userName" in document else None


def _bind(tx: Tx, sso: SsoConnection, proof: Proof, user_id: str, method: str) -> Standing:
    try:
        person = standing.hold(tx, user_id)
        standing.require(tx, person)
    except NotFound:
        raise NoAccount("unknown") from None
    except NotLetIn as error:
        raise NoAccount(error.reason, user_id) from None
    _require_linkable(proof, person)
    if _require_free(tx, sso, proof, user_id):
        return person  # another login of the same person was quicker
    first = not identities.of(tx, user_id)
    if first and (person.password_hash is not None or tx.one(_HELD, id=user_id)):
        ending.end(tx, [user_id], "first login through a provider")  # what somebody prepared for this day (R7)
        person = standing.hold(tx, user_id)
    links.revoke_of(tx, user_id)
    try:
        identities.link(tx, sso.id, proof, person.user, method)
    except AlreadyTaken:
        raise NoAccount("subject_taken", user_id) from None
    return person


def _require_linkable(proof: Proof, person: Standing) -> None:
    """Refuse a break-glass account, which stays apart from providers, and an admin to a weak proof (R5)."""
    if person.guarded:
        raise NoAccount("break_glass", person.user.id)
    if proof.weak and person.role in guards.ADMINS:
        raise NoAccount("admin_needs_hand", person.user.id)


def _require_free(tx: Tx, sso: SsoConnection, proof: Proof, user_id: str) -> bool:
    """Refuse an account that is another subject of this connection (R4); tell whether it is this one."""
    held = identities.at_connection(tx, sso.id, user_id)
    if held is not None and held.subject != proof.subject:
        raise NoAccount("subject_mismatch", user_id)
    return held is not None


def _was_here(tx: Tx, email: str) -> bool:
    """Whether an address was a deleted person's name, or is among anybody's: who was ended stays out (R13)."""
    wanted = email.lower()
    name = comparable(name_of(USER), email)
    return tx.one(_GONE, name=name, email=wanted, prefix=wanted[:200]) is not None


def _created(tx: Tx, sso: SsoConnection, proof: Proof) -> Standing:
    """A new account, where the connection has just-in-time turned on for its own domains (R12)."""
    email = proof.email or ""
    if not (sso.settings.jit and proof.proven and sso.settings.owns(email)):
        raise NoAccount("unknown")
    if _was_here(tx, email):
        raise NoAccount("left_before")
    document: Document = {
        "userName": email,
        "emails": [{"value": email, "type": "work", "primary": True}],
        "active": True,
    }
    names = {"givenName": proof.given_name, "familyName": proof.family_name}
    if any(names.values()):
        document["name"] = {name: value for name, value in names.items() if value}
    if proof.name:
        document["displayName"] = proof.name
    try:
        made = users.create(tx, document)
    except AlreadyTaken:
        raise NoAccount("unknown") from None
    return _bind(tx, sso, proof, made.id, "created")
