"""HTTP -> plain values. Nothing below this room sees a header or a query string."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

from ..directory.actor import Actor
from ..directory.lookup import Search
from ..limits import Limits
from ..protocol import projection
from ..protocol.documents import holds_nul
from ..protocol.errors import InvalidSyntax, InvalidValue
from ..protocol.projection import Projection
from .errors import HttpError

PREFIX = "/scim/v2"
SEARCH_REQUEST = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"

_JSON_TYPES = ("application/scim+json", "application/json")
_MOST_NAMES = 200  # each is looked for in each resource of a page
_DIGITS = re.compile(r"[+-]?[0-9]{1,15}")
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_HOST = re.compile(r"(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?")


@dataclass(slots=True)
class Request:
    """One request. ``path`` is below the SCIM root, ``base`` is that root as the client reaches it."""

    method: str
    path: str
    base: str
    headers: Headers
    query: dict[str, str]
    read_body: Callable[[], bytes]
    address: str
    id: str
    limits: Limits
    begun: float = 0.0  # time.perf_counter() when it came in
    deviations: list[str] = field(default_factory=list)
    actor: Actor | None = None  # set when the token has been verified


def from_environ(
    environ: Mapping[str, Any], base_url: str, limits: Limits, request_id: str, begun: float = 0.0
) -> Request:
    """Build the request value from a WSGI environment (PEP 3333)."""
    path = environ.get("PATH_INFO", "")[len(PREFIX) :].encode("latin-1", "replace").decode("utf-8", "replace")
    root = base_url or f"{environ['wsgi.url_scheme']}://{_host(environ)}"
    query = environ.get("QUERY_STRING", "")
    return Request(
        method=environ["REQUEST_METHOD"],
        path=path[:-1] if len(path) > 1 and path.endswith("/") else path,
        base=root + environ.get("SCRIPT_NAME", "") + PREFIX,
        headers=Headers(environ),
        query=dict(parse_qsl(query, keep_blank_values=True)) if query else {},
        read_body=cache(lambda: _body(environ, limits)),  # a request may be carried out again, its body read once
        address=environ.get("REMOTE_ADDR", ""),
        id=request_id,
        limits=limits,
        begun=begun,
    )


def _host(environ: Mapping[str, Any]) -> str:
    """The host the client asked for; our own when it names none, or one that cannot stand in a URL and in JSON."""
    host: str = environ.get("HTTP_HOST", "")
    return host if _HOST.fullmatch(host) else f"{environ['SERVER_NAME']}:{environ['SERVER_PORT']}"


class Headers:
    """Headers by lower-case name, looked up in the WSGI environment when asked for."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def get(self, name: str) -> str | None:
        found: str | None = self._environ.get(_environ_key(name))
        return found


@cache
def _environ_key(name: str) -> str:
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"


def _body(environ: Mapping[str, Any], limits: Limits) -> bytes:
    """The body, bounded whether or not its length is told beforehand. Raises 413."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isdigit() and int(length) > limits.body_bytes:
        raise _too_large(limits)
    most = int(length) if length.isdigit() else limits.body_bytes + 1
    stream, parts, left = environ["wsgi.input"], [], most
    while left > 0 and (part := stream.read(min(left, 65536))):
        parts.append(part)
        left -= len(part)
    body = b"".join(parts)
    if len(body) > limits.body_bytes:
        raise _too_large(limits)
    return body


def _too_large(limits: Limits) -> HttpError:
    return HttpError(413, f"The body is larger than {limits.body_bytes} bytes; send fewer resources or values.")


def json_body(request: Request) -> Any:
    """The JSON of the body. Raises 415 for another media type and InvalidSyntax for what is no JSON."""
    media = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if media and media not in _JSON_TYPES:
        raise HttpError(415, "Send the body as application/scim+json or application/json.")
    raw = request.read_body()
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise InvalidSyntax(detail="The body is not valid JSON in UTF-8.") from None
    if b"\\u0000" in raw and holds_nul(body):
        raise InvalidValue(detail="Text must not hold U+0000.")
    return body


@dataclass(frozen=True, slots=True)
class Query:
    """A search (RFC 7644 §3.4.2, §3.4.3): from a query string or from the body of ``.search``."""

    search: Search
    projection: Projection


def query_from_string(request: Request) -> Query:
    """The search that a GET asks for; parameters that nobody knows are ignored."""
    return _query({name.lower(): value for name, value in request.query.items()}, request)


def query_from_body(request: Request) -> Query:
    """The search that a POST to ``.search`` asks for."""
    body = json_body(request)
    if not isinstance(body, dict):
        raise InvalidSyntax(detail="The body must be a SearchRequest object.")
    fields = {name.lower(): value for name, value in body.items()}
    listed = fields.get("schemas")
    if listed is not None and (not isinstance(listed, list) or SEARCH_REQUEST not in listed):
        raise InvalidSyntax(detail=f'"schemas" must hold "{SEARCH_REQUEST}".')
    return _query(fields, request)


def _query(fields: Mapping[str, Any], request: Request) -> Query:
    text = _text(fields, "filter")
    order = (_text(fields, "sortorder") or "ascending").lower()
    if order not in ("ascending", "descending"):
        raise InvalidValue(detail='"sortOrder" must be "ascending" or "descending".')
    count = _number(fields, "count", request.limits.page_default)
    search = Search(
        filter=text if text and text.strip() else None,
        sort_by=_text(fields, "sortby") or None,
        descending=order == "descending",
        start=max(1, _number(fields, "startindex", 1)),
        count=min(max(0, count), request.limits.page_max),
        base=request.base,
    )
    return Query(search, projection.read(_names(fields, "attributes"), _names(fields, "excludedattributes")))


def projection_of(request: Request) -> Projection:
    """``attributes`` and ``excludedAttributes`` of a request for one resource (RFC 7644 §3.9)."""
    if not request.query:
        return _EVERYTHING
    fields = {name.lower(): value for name, value in request.query.items()}
    return projection.read(_names(fields, "attributes"), _names(fields, "excludedattributes"))


_EVERYTHING = Projection()


def _text(fields: Mapping[str, Any], name: str) -> str | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    raise InvalidValue(detail=f'"{name}" must be text.')


def _number(fields: Mapping[str, Any], name: str, default: int) -> int:
    """A whole number, from a query string or from JSON."""
    value = fields.get(name)
    if value is None or value == "":
        return default
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**15:
        return value
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    raise InvalidValue(detail=f'"{"startIndex" if name == "startindex" else name}" must be a whole number.')


def _names(fields: Mapping[str, Any], name: str) -> list[str]:
    """A list of attribute names: separated by commas in a query string, a list in JSON."""
    value = fields.get(name)
    if value is None:
        return []
    if isinstance(value, str):
        value = value.split(",")
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise InvalidValue(detail=f'"{name}" must be a list of attribute names.')
    names = list(dict.fromkeys(value))
    if len(names) > _MOST_NAMES:
        raise InvalidValue(detail=f'"{name}" takes at most {_MOST_NAMES} names.')
    return names


def if_match(request: Request) -> Callable[[int], bool] | None:
    """The precondition of a write (RFC 9110 §13.1.1): the version part alone is compared.

    A malformed tag matches no version, so that a write that was meant to be conditional never is not.
    """
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    versions = {tag.partition("-")[0] for tag in _ETAG.findall(header)}
    return lambda version: str(version) in versions


def if_none_match(request: Request, etag: str) -> bool:
    """Whether the client holds this version already (RFC 9110 §13.1.2, weak comparison)."""
    header = request.headers.get("if-none-match")
    if header is None:
        return False
    return header.strip() == "*" or etag.removeprefix("W/").strip('"') in _ETAG.findall(header)
