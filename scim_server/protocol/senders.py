"""What senders may deviate in from the RFCs, each deviation by name.

A tolerant connection (the default) accepts all of them and the name is kept on the audit record of the
request; a strict connection refuses the first one. Which sender needs which is told in
``docs/reference/deviations.md``.
"""

from collections.abc import Callable
from enum import StrEnum

from ..limits import Limits
from .errors import ScimError


class Deviation(StrEnum):
    """A departure from the letter of RFC 7643 or 7644 that a tolerant connection accepts."""

    TEXT_BOOLEAN = "text-boolean"  # Entra: "active": "False"
    TEXT_REFERENCE = "text-reference"  # Entra: "manager": "<id>", a member as a bare id
    LIST_FOR_SINGLE = "list-for-single-value"  # Entra's tutorial: "manager": [{…}]
    SINGLE_FOR_LIST = "single-value-for-list"  # OneLogin: "emails": {…}
    PATH_AS_KEY = "path-as-key"  # Entra: "name.givenName", "urn:…:User:department" as keys of a body
    UNKNOWN_ATTRIBUTE = "unknown-attribute"
    UNKNOWN_SCHEMA = "unknown-schema"  # Entra's ADSCIM group schema
    SEVERAL_PRIMARIES = "several-primaries"  # PingFederate
    REMOVE_WITH_VALUE = "remove-with-value"  # Entra, JumpCloud, authentik: the value selects what goes
    CREATED_BY_FILTER = "created-by-filter"  # Entra: replace emails[type eq "work"].value on nobody's entry
    UNQUALIFIED_EXTENSION = "unqualified-extension"  # Entra's tutorial: path "manager" without its URN
    MISSING_PATCH_SCHEMA = "missing-patch-schema"
    EMPTY_FOR_NONE = "empty-text-for-none"  # the SCIM validator clears by ""
    UNKNOWN_MEMBER = "unknown-member"  # Entra sends references it has not created yet
    JSON_IN_TEXT = "json-in-text"  # SCIM for Keycloak: the value object as JSON text


class Sender:
    """How the body of one request is read: the limits, whether to the letter, and what was forgiven.

    ``note`` takes a deviation, the attribute it was seen at, and the error that a strict connection
    answers with. It raises that error when ``strict`` is set and remembers the deviation otherwise.
    """

    __slots__ = ("deviations", "limits", "strict")

    def __init__(self, *, strict: bool = False, limits: Limits | None = None) -> None:
        self.strict = strict
        self.limits = limits or Limits()
        self.deviations: list[str] = []

    def note(self, deviation: Deviation, where: str, error: Callable[[], ScimError]) -> None:
        """Remember the deviation, or raise what it costs a strict connection."""
        if self.strict:
            raise error()
        entry = f"{deviation}: {where[:_LONGEST]}"
        if len(self.deviations) < _MOST and entry not in self.deviations:
            self.deviations.append(entry)


_MOST = 50  # a body of ten thousand odd values need not be told in full
_LONGEST = 120
