"""Signed tokens of a provider: which algorithms and keys count, and nothing a token says about either does.

S2 and S3 of the design's facts; RFC 8725 §3.1, §3.2. joserfc checks the signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import import_key
from joserfc.jws import JWSRegistry

ALGORITHMS = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"}
)  # fmt: skip
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "EdDSA": "Ed25519", "Ed25519": "Ed25519"}
_SMALLEST_RSA = 2048
_LONGEST = 65_536


class BadToken(Exception):
    """A token that does not count; ``reason`` is one word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeyNotFound(BadToken):
    """No key of the set made this signature; with a newer set one may."""


class _Registry(JWSRegistry):
    """joserfc's algorithms, with room for the headers that providers send; which one counts was decided before.

    ``EdDSA`` is by now spelled ``Ed25519`` (RFC 9864), but it is what providers still send.
    """

    max_header_length = 8192

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


_REGISTRY = _Registry(strict_check_header=False)


class Signed(NamedTuple):
    """A token whose signature holds: header and claims."""

    header: dict[str, Any]
    claims: dict[str, Any]


def algorithms(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Ours among those the provider announces; RS256 alone where it announces nothing (OpenID Core §15.1)."""
    listed = metadata.get("id_token_signing_alg_values_supported", ["RS256"])
    if not isinstance(listed, list):
        return frozenset()
    return ALGORITHMS & {each for each in listed if isinstance(each, str)}


def verified(token: str, keys: Mapping[str, Any], allowed: frozenset[str]) -> Signed:
    """Check a compact JWS. Raises BadToken, and KeyNotFound where newer keys might help."""
    if len(token) > _LONGEST:
        raise BadToken("not_a_token")
    parts = token.split(".")
    if len(parts) != 3:
        raise BadToken("not_a_token")
    header = _object(parts[0], "header")
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in allowed:
        raise BadToken("algorithm")
    if "crit" in header or "b64" in header:
        raise BadToken("critical_header")
    try:
        _decoded(parts[2])
    except ValueError:
        raise BadToken("signature_not_base64url") from None
    key = _key(header, algorithm, keys)
    try:
        jws.deserialize_compact(token, import_key(key), registry=_REGISTRY)
    except (JoseError, ValueError, TypeError, KeyError):
        raise KeyNotFound("signature") from None
    return Signed(header, _object(parts[1], "claims"))


def _key(header: Mapping[str, Any], algorithm: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """The key that the token names; without a name, the only one there is."""
    listed = keys.get("keys")
    known = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    name = header.get("kid")
    if name is None:
        found = known
        if len(known) > 1:
            raise BadToken("key_not_named")
    elif isinstance(name, str):
        found = [each for each in known if each.get("kid") == name]
    else:
        raise BadToken("key_name")
    if len(found) != 1:
        raise KeyNotFound("key")
    key = found[0]
    if not _fits(key, algorithm):
        raise KeyNotFound("key_does_not_fit")
    return key


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    """Whether a key is a public one for this algorithm and for signatures (RFC 7517 §4)."""
    if key.get("kty") != _KEY_TYPES[algorithm[:2]] or key.get("use", "sig") != "sig":
        return False
    if key.get("alg", algorithm) != algorithm and {key.get("alg"), algorithm} != {"EdDSA", "Ed25519"}:
        return False
    operations = key.get("key_ops")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        return False
    if key["kty"] == "RSA":
        return _bits(key.get("n")) >= _SMALLEST_RSA
    return key.get("crv") == _CURVES[algorithm]


def _bits(number: object) -> int:
    if not isinstance(number, str):
        return 0
    try:
        return int.from_bytes(_decoded(number)).bit_length()
    except ValueError:
        return 0


def _object(part: str, what: str) -> dict[str, Any]:
    """A part of a token as JSON; what cannot be stored as text anywhere is refused with the rest."""
    try:
        value = orjson.loads(_decoded(part))
    except ValueError:
        raise BadToken(f"{what}_not_json") from None
    if not isinstance(value, dict):
        raise BadToken(f"{what}_not_json")
    return value


def _decoded(part: str) -> bytes:
    """Base64url without padding, in its one spelling: a last letter with stray bits is another text (RFC 7515 §2)."""
    try:
        raw = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("not base64url") from None
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != part:
        raise ValueError("not base64url")
    return raw
