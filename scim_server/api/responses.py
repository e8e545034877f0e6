"""Stored text and rows -> HTTP."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..protocol import render
from ..protocol.projection import Projection
from ..protocol.render import Stored
from ..protocol.schemas import RESOURCE_TYPES
from . import errors
from .requests import Request, if_none_match

LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@dataclass(slots=True)
class Response:
    """What goes out; ``scim_type`` is told to the metrics."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    scim_type: str = ""


def resource(request: Request, stored: Stored, projection: Projection, status: int = 200) -> Response:
    """One resource; 304 when a GET's client holds this version already (RFC 7644 §3.14)."""
    tag = render.etag(stored)
    if request.method in ("GET", "HEAD") and if_none_match(request, tag):
        return Response(304, headers=(("ETag", tag),))
    headers = (("ETag", tag), ("Location", render.location(stored, request.base)))
    return Response(status, _shown(stored, request.base, projection, tag).encode(), headers)


def unchanged_body(stored: Stored) -> Response:
    """204 with the version, for a change whose result nobody asked to see."""
    return Response(204, headers=(("ETag", render.etag(stored)),))


def page(request: Request, found: Sequence[Stored], total: int, start: int, projection: Projection) -> Response:
    """A ListResponse (RFC 7644 §3.4.2) of stored resources."""
    return listing([_shown(each, request.base, projection) for each in found], total, start)


def listing(texts: Sequence[str], total: int, start: int) -> Response:
    """A ListResponse of resources given as JSON text."""
    head = (
        f'{{"schemas":["{LIST}"],"totalResults":{total},"startIndex":{start},"itemsPerPage":{len(texts)},"Resources":['
    )
    return Response(200, (head + ",".join(texts) + "]}").encode())


def _shown(stored: Stored, base: str, projection: Projection, tag: str | None = None) -> str:
    text = render.serve(stored, base, tag)
    if not projection:
        return text
    return orjson.dumps(projection.apply(RESOURCE_TYPES[stored.kind], orjson.loads(text))).decode()


def document(described: dict[str, Any], status: int = 200) -> Response:
    """Any JSON document."""
    return Response(status, orjson.dumps(described))


def documents(described: Iterable[dict[str, Any]], total: int, start: int) -> Response:
    """A ListResponse of JSON documents."""
    return listing([orjson.dumps(each).decode() for each in described], total, start)


def error(failure: Exception) -> Response | None:
    """The answer for a foreseen failure; None for any other."""
    told = errors.told(failure)
    if told is None:
        return None
    status, scim_type, detail, headers = told
    return Response(status, orjson.dumps(errors.body(status, scim_type, detail)), headers, scim_type)


def internal_error(request_id: str) -> Response:
    """500 without a word of what happened; the log has it under the request's id."""
    detail = f"The server failed to handle this request; its log tells why under request id {request_id}."
    return Response(500, orjson.dumps(errors.body(500, "", detail)))
