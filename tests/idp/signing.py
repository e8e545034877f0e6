"""Keys and tokens made by hand, so that what a library refuses to sign can be signed too.

Stands on ``cryptography`` alone: a mistake that authlib or joserfc make on both sides would go unseen.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | bytes

HASHES: dict[str, hashes.HashAlgorithm] = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
    "P-521": (ec.SECP521R1(), "ES512"),
    "secp256k1": (ec.SECP256K1(), "ES256K"),
}


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    """The reverse of ``b64``."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _number(value: int, size: int = 0) -> str:
    return b64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


@dataclass(frozen=True)
class Key:
    """A signing key: what the header and the key set call it, and the algorithm it signs with unless told another."""

    kid: str | None
    alg: str
    private: PrivateKey

    def named(self, kid: str | None) -> Key:
        """The same key under another name."""
        return replace(self, kid=kid)

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """The public half. Without ``alg``, so that the list in the discovery document alone decides on algorithms."""
        named = {} if self.kid is None else {"kid": self.kid}
        return {**_parameters(self.private), **named, "use": "sig", **changes}

    @property
    def pem(self) -> bytes:
        """The public half as PEM, which everybody can have: the "secret" of an HS256 forgery."""
        return self._encoded(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        """The public half as DER."""
        return self._encoded(serialization.Encoding.DER)

    def _encoded(self, encoding: serialization.Encoding) -> bytes:
        assert not isinstance(self.private, bytes)
        return self.private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def certificate(self) -> bytes:
        """A self-signed certificate as DER, for ``x5c``, ``x5t`` and ``x5u``."""
        assert not isinstance(self.private, bytes)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"signing key {self.kid}")])
        day = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
        builder = x509.CertificateBuilder(name, name, self.private.public_key(), 1, day, day.replace(year=2050))
        return builder.sign(self.private, _digest_of(self.private)).public_bytes(serialization.Encoding.DER)


def _digest_of(private: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def _parameters(private: PrivateKey) -> dict[str, Any]:
    match private:
        case rsa.RSAPrivateKey():
            public = private.public_key().public_numbers()
            return {"kty": "RSA", "n": _number(public.n), "e": _number(public.e)}
        case ec.EllipticCurvePrivateKey():
            point, size = private.public_key().public_numbers(), (private.key_size + 7) // 8
            curve = next(name for name, (known, _) in CURVES.items() if known.name == private.curve.name)
            return {"kty": "EC", "crv": curve, "x": _number(point.x, size), "y": _number(point.y, size)}
        case ed25519.Ed25519PrivateKey():
            return {"kty": "OKP", "crv": "Ed25519", "x": b64(private.public_key().public_bytes_raw())}
        case bytes():
            return {"kty": "oct", "k": b64(private)}


@cache
def rsa_key(kid: str = "k1") -> Key:
    """An RSA-2048 key, each kid with its own and the same one on each call: about 50 ms for the first."""
    return Key(kid, "RS256", rsa.generate_private_key(65537, 2048))


@cache
def ec_key(kid: str = "ec1", curve: str = "P-256") -> Key:
    """A key on one of ``CURVES``, the same one on each call."""
    shape, alg = CURVES[curve]
    return Key(kid, alg, ec.generate_private_key(shape))


@cache
def ed25519_key(kid: str = "ed1") -> Key:
    """An Ed25519 key, the same one on each call."""
    return Key(kid, "EdDSA", ed25519.Ed25519PrivateKey.generate())


def shared_key(secret: bytes, kid: str | None = None, alg: str = "HS256") -> Key:
    """An HMAC key."""
    return Key(kid, alg, secret)


def compact(header: Mapping[str, Any], claims: Mapping[str, Any] | bytes, key: Key, alg: str | None = None) -> str:
    """A JWS signed with ``alg``, whatever the header says; ``none`` (in any case) leaves the signature empty."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{b64(json.dumps(header).encode())}.{b64(payload)}"
    return f"{signed}.{b64(_signature(alg or key.alg, key.private, signed.encode()))}"


def _signature(alg: str, private: PrivateKey, data: bytes) -> bytes:
    if alg.lower() == "none":
        return b""
    if isinstance(private, bytes):
        return hmac.digest(private, data, f"sha{alg[2:]}")
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(data)
    digest = HASHES[alg[2:5]]
    if isinstance(private, ec.EllipticCurvePrivateKey):
        size = (private.key_size + 7) // 8
        parts = utils.decode_dss_signature(private.sign(data, ec.ECDSA(digest)))
        return b"".join(part.to_bytes(size, "big") for part in parts)
    if alg.startswith("PS"):
        return private.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    return private.sign(data, padding.PKCS1v15(), digest)


def half_hash(alg: str, text: str) -> str:
    """``at_hash`` and ``c_hash`` (OpenID Connect Core 3.1.3.6); EdDSA has no size in its name and hashes with 512."""
    size = alg[2:5] if alg[2:5] in HASHES else "512" if alg.lower().startswith("ed") else "256"
    digest = hashlib.new(f"sha{size}", text.encode()).digest()
    return b64(digest[: len(digest) // 2])


def opened(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims, unverified."""
    header, claims, _ = token.split(".")
    return json.loads(unb64(header)), json.loads(unb64(claims))


def altered(token: str) -> str:
    """The token with another signature at its end."""
    head, _, signature = token.rpartition(".")
    raw = unb64(signature)
    return f"{head}.{b64(raw[:-3] + bytes(each ^ 0xFF for each in raw[-3:]))}"
