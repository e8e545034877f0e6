"""Secrets that are shown once: bearer tokens, one-time links, session ids. Only a hash is ever kept.

A token reads ``scs_<kind>_<id>_<secret><checksum>``: a prefix that secret scanners can look for, an id to find
the row by, 43 characters of secret (256 bits), and a CRC-32 so that a mistyped or invented token costs no
look-up. A fast hash is enough for so many random bits (OWASP ASVS 5.0.0, 6.5.2).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

_ALPHABET = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SHAPE = re.compile(r"scs_([a-z]+)_([0-9A-Za-z]{16})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})")
_NO_HASH = hashlib.sha256(b"").hexdigest()


class Minted(NamedTuple):
    """A fresh token: ``text`` goes to its owner, the rest into the database."""

    id: str
    text: str
    hash: str


def mint(kind: str) -> Minted:
    """A token of a kind, such as ``scim``."""
    identifier, secret = _random(16), _random(43)
    head = f"scs_{kind}_{identifier}_{secret}"
    return Minted(identifier, head + _checksum(head), hashed(secret))


def read(kind: str, text: str) -> tuple[str, str] | None:
    """The id and the hash that a token of this kind names; None for what cannot be one."""
    match = _SHAPE.fullmatch(text)
    if match is None or match[1] != kind or _checksum(text[:-6]) != match[4]:
        return None
    return match[2], hashed(match[3])


def same(given: str, kept: str | None) -> bool:
    """Whether two hashes are equal, in a time that does not tell; ``kept`` is None when there is no such row."""
    return hmac.compare_digest(given, kept or _NO_HASH) and kept is not None


def opaque() -> str:
    """256 random bits as text, for a cookie or a ``state``."""
    return secrets.token_urlsafe(32)


def hashed(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(text: str) -> str:
    number, digits = zlib.crc32(text.encode()), ""
    for _ in range(6):
        number, digit = divmod(number, 62)
        digits = _ALPHABET[digit] + digits
    return digits
