"""Claims -> who somebody is and whether an address is proven: pure, one function per kind of provider.

The first link is made by an address, so what counts as proof is decided here and nowhere else (facts on each
provider: rules S15, R2, R3; "an address is a first-link heuristic and nothing else", OWASP ASVS 5.0.0, 6.8.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from scim_server.directory.identities import Proof
from scim_server.directory.sso_connections import SsoConnection

from .claims import subject_of
from .errors import LoginRefused

Claims = Mapping[str, Any]

_NAME = 200  # characters of a name that are kept
_TRUE = (True, "true", "True", 1, "1")


def of_claims(sso: SsoConnection, claims: Claims, userinfo: Claims | None) -> Proof:
    """The proof in an ID token, with what the userinfo endpoint adds. Raises LoginRefused, BadToken."""
    if sso.kind == "entra":
        return _entra(sso, claims)
    source = _source(claims, userinfo)
    email = _text(source.get("email"))
    doubt = _doubt(sso, source, email)
    weak = (sso.kind == "google" and not _hosted(source)) or (sso.kind == "gitlab" and not sso.settings.base_url)
    proof = Proof(subject_of(claims), sso.issuer, email, proven=not doubt, doubt=doubt, weak=weak)
    return _named(proof, userinfo or {}, claims)


def of_github(sso: SsoConnection, user: Any, emails: Any) -> Proof:
    """The numeric id, and the primary address if it is verified; the public profile's address is not looked at."""
    number = user.get("id") if isinstance(user, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int) or number <= 0:
        raise LoginRefused("claims", "id")
    email, doubt = _primary(emails, "verified", address="email", primary="primary")
    if email and email.lower().endswith("@users.noreply.github.com"):
        doubt = "noreply_address"
    return _of_api(sso, str(number), email, doubt, user.get("name"))


def of_bitbucket(sso: SsoConnection, user: Any, emails: Any) -> Proof:
    """The uuid, and the primary address if it is confirmed."""
    uuid = user.get("uuid") if isinstance(user, Mapping) else None
    if not isinstance(uuid, str) or not uuid.isprintable() or not 0 < len(uuid) <= 255:
        raise LoginRefused("claims", "uuid")
    listed = emails.get("values") if isinstance(emails, Mapping) else None
    email, doubt = _primary(listed, "is_confirmed", address="email", primary="is_primary")
    return _of_api(sso, uuid, email, doubt, user.get("display_name"))


def _of_api(sso: SsoConnection, subject: str, email: str | None, doubt: str, name: object) -> Proof:
    if sso.settings.email_trust != "verified_claim":
        doubt = doubt or _untrusted(sso, email)
    return Proof(
        subject, sso.issuer, email, proven=not doubt, doubt=doubt, weak=not sso.settings.base_url, name=_name(name)
    )


def _primary(emails: Any, proof: str, *, address: str, primary: str) -> tuple[str | None, str]:
    """The primary address of a list, and what speaks against it."""
    rows: Iterable[Any] = emails if isinstance(emails, list) else ()
    for each in rows:
        if isinstance(each, Mapping) and each.get(primary) is True:
            return _text(each.get(address)), "" if each.get(proof) is True else "email_unverified"
    return None, "no_email"


def _entra(sso: SsoConnection, claims: Claims) -> Proof:
    """Microsoft Entra: ``tid`` is pinned, ``oid`` is the person, and ``email`` is proven by nothing in itself.

    It counts when the domain's owner verified it (``xms_edov``), or for the tenant's own people in a domain that the
    operator names as theirs; a guest brings an address from elsewhere. Microsoft: never key on ``email`` or ``upn``.
    """
    if claims.get("tid") != sso.settings.entra_tenant:
        raise LoginRefused("claims", "tid")
    oid = claims.get("oid")
    if not isinstance(oid, str) or not oid.isprintable() or not 0 < len(oid) <= 255:
        raise LoginRefused("claims", "oid")
    email = _text(claims.get("email"))
    owner_verified = _is_true(claims.get("xms_edov"))
    guest = "idp" in claims or claims.get("acct") not in (None, 0, "0")
    trust = sso.settings.email_trust
    if trust == "none":
        doubt = "not_trusted"
    elif not email:
        doubt = "no_email"
    elif owner_verified or (trust == "authoritative_domains" and not guest and sso.settings.owns(email)):
        doubt = ""
    else:
        doubt = "guest" if guest else "email_unverified"
    proof = Proof(oid, sso.issuer, email, proven=not doubt, doubt=doubt, pairwise=subject_of(claims))
    return _named(proof, claims)


def _source(claims: Claims, userinfo: Claims | None) -> Claims:
    """Where address and proof are taken from: both from the same place, the signed one wherever it says both."""
    if "email" in claims and "email_verified" in claims:
        return claims
    found = userinfo or {}
    return found if "email" in found and found["email"] == claims.get("email", found["email"]) else claims


def _doubt(sso: SsoConnection, source: Claims, email: str | None) -> str:
    if not email:
        return "no_email"
    trusts_claim = sso.settings.email_trust == "verified_claim"
    doubt = "" if trusts_claim else _untrusted(sso, email)
    if doubt:
        return doubt
    if not _verified(sso, source) and (trusts_claim or "email_verified" in source):
        return "email_unverified"  # a provider that owns the domain need not say so, but may deny it
    if sso.kind == "google" and not _hosted(source) and not email.lower().endswith("@gmail.com"):
        return "no_hosted_domain"  # proven once, perhaps years ago
    return ""


def _untrusted(sso: SsoConnection, email: str | None) -> str:
    if sso.settings.email_trust == "authoritative_domains" and email and sso.settings.owns(email):
        return ""
    return "not_trusted"


def _verified(sso: SsoConnection, source: Claims) -> bool:
    value = source.get("email_verified")
    return value is True or (sso.settings.text_email_verified and value == "true")


def _hosted(source: Claims) -> bool:
    return isinstance(source.get("hd"), str) and bool(source["hd"])


def _is_true(value: object) -> bool:
    return any(value is each or (value == each and type(value) is type(each)) for each in _TRUE)


def _named(proof: Proof, *sources: Claims) -> Proof:
    """The proof with the names that a new account would get, from the first source that has them."""
    found = (
        next((text for each in sources if (text := _name(each.get(claim)))), "")
        for claim in ("name", "given_name", "family_name")
    )
    name, given_name, family_name = found
    return replace(proof, name=name, given_name=given_name, family_name=family_name)


def _name(value: object) -> str:
    return value[:_NAME] if isinstance(value, str) and value.isprintable() else ""


def _text(value: object) -> str | None:
    """An address as it was sent, never normalised: that would make one address of two."""
    return value if isinstance(value, str) and value.isprintable() and 0 < len(value) <= 320 else None
