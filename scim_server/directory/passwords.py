"""Passwords: what may be one, what is kept of it, and whether one fits. No database, no web, no account.

The rules are those of ASVS 6.2 and NIST SP 800-63B-4 section 3.1.1.2: length counts, composition does not, nothing
is cut off, and what anybody would try first is refused. Kept is an argon2id hash with OWASP's parameters. Throttling,
and who may have a password at all, belong to whoever asks.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from .errors import Refused, Unavailable

LEAST, MOST = 8, 1024  # characters

_TOO_SHORT = f"Use at least {LEAST} characters; 15 or more are better, for example a few words in a row."
_TOO_LONG = f"Use at most {MOST:,} characters."
_COMMON = "Do not use a password that is tried first everywhere, such as password1 or 1qaz2wsx."
_OF_A_NAME = "Do not use your name, user name or e-mail address with little else beside it."
_TOO_SIMPLE = "Do not repeat the same few characters, and do not use a simple run such as abcdefgh or 11223344."
_NO_TEXT = "Leave out the character that is not valid Unicode text; no form could send it again."

CRITERIA: tuple[str, ...] = (_TOO_SHORT, _TOO_LONG, _COMMON, _OF_A_NAME, _TOO_SIMPLE)
"""What to show beside the form: the sentences that ``check`` refuses with."""

# OWASP Password Storage Cheat Sheet: 19 MiB, two passes, one lane.
_MEMORY, _PASSES, _LANES = 19 * 1024, 2, 1
_HASHER = PasswordHasher(time_cost=_PASSES, memory_cost=_MEMORY, parallelism=_LANES, hash_len=32, salt_len=16)
# Salt and hash are all zeros; the work is done as for any other.
_NOBODY = f"$argon2id$v=19$m={_MEMORY},t={_PASSES},p={_LANES}${'A' * 22}${'A' * 43}"

# A burst of sign-ins would otherwise take 19 MiB for each thread, and every core from those who are signed in.
_SLOTS = threading.BoundedSemaphore(2)
_PATIENCE = 5.0  # seconds

# UAX 15: four code points at most become one. Beyond that it is too long in any form, and is not normalised:
# that takes quadratic time for combining marks, half a second for 20,000 of them.
_MOST_AS_TYPED = 4 * MOST
_LITTLE = 4  # different characters: a year, or digits and a sign, add nothing to a name
_SEPARATOR = "\0"
_UP, _DOWN = {0, 1, ord("0") - ord("9"), ord("a") - ord("z")}, {0, -1, ord("9") - ord("0"), ord("z") - ord("a")}


class WeakPassword(Refused):
    """It would be guessed, or cannot be kept; the message says what to do, and never holds the password."""


def hashed(password: str) -> str:
    """What to keep of a password that passed ``check``. Raises WeakPassword when it is too long, Unavailable."""
    octets = _octets(password)
    if octets is None:
        raise WeakPassword(_TOO_LONG)
    with _slot():
        return _HASHER.hash(octets)


def matches(kept: str | None, password: str) -> bool:
    """Tell whether this is the password that was kept. Raises Unavailable.

    ``None`` stands for nobody and for somebody without a password: False, after the same work (ASVS 6.3.8).
    """
    octets = _octets(password)
    if octets is None:
        kept, octets = None, b""
    with _slot():
        try:
            _HASHER.verify(_NOBODY if kept is None else kept, octets)
        except VerifyMismatchError:
            return False
    return kept is not None


def needs_rehash(kept: str) -> bool:
    """Tell whether it was hashed with other parameters than today's: hash again at the next good sign-in."""
    return _HASHER.check_needs_rehash(kept)


def check(password: str, *, about: Sequence[str] = ()) -> None:
    """Refuse what would be guessed. Raises WeakPassword.

    ``about`` is what others know of the person (ASVS 6.2.11): user name, display name, e-mail address.
    """
    text = _normal(password)
    if text is None or len(text) > MOST:
        raise WeakPassword(_TOO_LONG)
    if len(text) < LEAST:
        raise WeakPassword(_TOO_SHORT)
    if any(unicodedata.category(character) == "Cs" for character in text):
        raise WeakPassword(_NO_TEXT)
    folded = _folded(text)
    if _is_simple(folded):
        raise WeakPassword(_TOO_SIMPLE)
    if folded in _commonest():
        raise WeakPassword(_COMMON)
    if _is_made_of(folded, about):
        raise WeakPassword(_OF_A_NAME)


def _normal(password: str) -> str | None:
    """NFC, SP 800-63B-4 section 3.1.1.2 (its third revision still had NFKC); None when it is far too long.

    Two keyboards then type the same é, and characters that merely look alike stay different.
    """
    return unicodedata.normalize("NFC", password) if len(password) <= _MOST_AS_TYPED else None


def _octets(password: str) -> bytes | None:
    """What is hashed; None when it is longer than any password that is kept."""
    text = _normal(password)
    # Half of a surrogate pair fits nothing that is kept. Encoding it must not fail: that error would hold the password.
    return text.encode(errors="surrogatepass") if text is not None and len(text) <= MOST else None


@contextmanager
def _slot() -> Iterator[None]:
    if not _SLOTS.acquire(timeout=_PATIENCE):
        raise Unavailable("Too many passwords are being checked at the moment; try again in a minute.")
    try:
        yield
    finally:
        _SLOTS.release()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _is_simple(folded: str) -> bool:
    """Up to three characters over and over, or each the same as, or the next after, the one before."""
    steps = {ord(after) - ord(before) for before, after in pairwise(folded)}
    return steps <= _UP or steps <= _DOWN or any(folded[period:] == folded[:-period] for period in (2, 3))


@cache
def _commonest() -> frozenset[str]:
    """The 30,000 commonest, in lower case. 11,611 have eight characters: ASVS 6.2.4 wants 3,000 that fit the rules."""
    # Takes 30 ms and 18 MB, and only those who set a password need it.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS  # type: ignore[import-untyped] # noqa: PLC0415

    return frozenset(FREQUENCY_LISTS["passwords"])


def _is_made_of(folded: str, about: Sequence[str]) -> bool:
    """Tell whether little is left without the names in it, forwards or backwards."""
    words: set[str] = set()
    for name in about:
        whole = _folded(name[:MOST]).strip()
        words.update((whole, whole.partition("@")[0], *re.findall(r"[^\W_]+", whole)))
    rest = folded
    # By length and then by letter: the order of a set differs from process to process.
    for word in sorted((word for word in words if len(word) > 2), key=lambda word: (-len(word), word)):
        rest = rest.replace(word, _SEPARATOR).replace(word[::-1], _SEPARATOR)
    return rest != folded and len(set(rest) - {_SEPARATOR}) <= _LITTLE
