"""Exception -> status, scimType and a sentence (RFC 7644 §3.12): the one table of this door."""

from __future__ import annotations

from ..directory.errors import AlreadyTaken, NotFound, Refused, Unavailable, VersionMismatch
from ..protocol.errors import ScimError

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


class HttpError(Exception):
    """A refusal that is about HTTP: a status, a sentence, and headers that belong to the status."""

    def __init__(self, status: int, detail: str, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, headers


def told(error: Exception) -> tuple[int, str, str, tuple[tuple[str, str], ...]] | None:
    """Status, scimType (or empty), detail and headers for an exception; None for one that nobody foresaw."""
    match error:
        case ScimError():
            return error.status, error.scim_type, str(error), ()
        case HttpError():
            return error.status, "", error.detail, error.headers
        case NotFound():
            return 404, "", str(error), ()
        case AlreadyTaken():
            return 409, "uniqueness", str(error), ()
        case VersionMismatch():
            return 412, "", f"{error} Read it again and repeat the change.", ()
        case Refused():
            return 403, "", str(error), ()
        case Unavailable():
            return 503, "", str(error), (("Retry-After", "1"),)
        case _:
            return None


def body(status: int, scim_type: str, detail: str) -> dict[str, object]:
    """The JSON of an error; ``status`` is text, as RFC 7644 §3.12 has it."""
    out: dict[str, object] = {"schemas": [ERROR], "status": str(status), "detail": detail}
    if scim_type:
        out["scimType"] = scim_type
    return out
