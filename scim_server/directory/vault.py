"""Secrets that must be had again, such as a provider's client secret: sealed with the server's key."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .errors import Refused


class Vault:
    """Seals and opens with keys derived from the server's key, which is never used itself."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._fernet = Fernet(base64.urlsafe_b64encode(self.derived("vault")))

    def derived(self, purpose: str) -> bytes:
        """32 bytes for one purpose (RFC 5869)."""
        return HKDF(hashes.SHA256(), 32, salt=None, info=b"scim-server " + purpose.encode()).derive(self._key)

    def seal(self, secret: str) -> str:
        """Text that only this server's key opens."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """What was sealed. Raises Refused when it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise Refused(
                "A stored secret was sealed with another server key. Set SCIM_SERVER_SECRET_KEY back to the old one, "
                "or store the secret anew with: scim-server connection set NAME --client-secret-file FILE"
            ) from None
