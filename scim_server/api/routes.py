"""What each method of each path does (RFC 7644 §3.2). Users and groups are one pipeline, the kind an argument."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..directory import groups, lookup, tokens, users
from ..directory.actor import Actor
from ..directory.store.engine import Database
from ..directory.store.transaction import Tx, read, write
from ..protocol import discovery, documents, operations
from ..protocol.projection import Projection
from ..protocol.render import Stored
from ..protocol.schemas import GROUP, USER, ResourceType
from ..protocol.senders import Sender
from . import responses
from .auth import require_scope
from .errors import HttpError
from .requests import Query, Request, if_match, json_body, projection_of, query_from_body, query_from_string
from .responses import Response


@dataclass(frozen=True, slots=True)
class Call:
    """A request whose sender is known."""

    request: Request
    actor: Actor
    database: Database

    def sender(self) -> Sender:
        """How this sender's body is read; what it is forgiven lands on the audit record and in the log."""
        sender = Sender(strict=self.actor.strict, limits=self.request.limits)
        self.request.deviations = sender.deviations
        return sender

    def read(self) -> Tx:
        return read(self.database, self.actor)

    def write(self, sender: Sender | None = None) -> Any:
        deviations = sender.deviations if sender else ()
        return write(
            self.database,
            self.actor,
            request_id=self.request.id,
            deviations=deviations,
            begun=self.request.begun,
        )


Handler = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One row of the table: a path, its last part ``*`` for an id; the methods it takes, and the scope of each."""

    path: tuple[str, ...]
    methods: dict[str, tuple[Handler, str]]
    arguments: tuple[Any, ...] = ()


def dispatch(call: Call) -> Response:
    """Find the route and run it. Raises 404, 405 or whatever the handler raises."""
    request = call.request
    parts = tuple(request.path.split("/")[1:])
    route, held = _find(parts)
    method = "GET" if request.method == "HEAD" else request.method
    if method not in route.methods:
        allowed = ", ".join(sorted(route.methods))
        raise HttpError(405, f"{request.method[:20]} is not possible here; allowed: {allowed}.", (("Allow", allowed),))
    handler, scope = route.methods[method]
    require_scope(call.actor, scope)
    return handler(call, *route.arguments, *held)


def _find(parts: tuple[str, ...]) -> tuple[Route, tuple[str, ...]]:
    """The route of a path: as it stands, or with its last part as an id."""
    route = ROUTES.get(parts)
    if route is not None and parts[-1] != "*":
        return route, ()
    route = ROUTES.get((*parts[:-1], "*"))
    if route is None or len(parts) < 2:
        raise HttpError(404, "There is nothing at this URL. See /ResourceTypes for what there is.")
    return route, parts[-1:]


# ---------------------------------------------------------------------------------------- users and groups


def create(call: Call, kind: ResourceType) -> Response:
    """POST /Users, /Groups (RFC 7644 §3.3)."""
    projection, sender = projection_of(call.request), call.sender()
    document = documents.read(kind, json_body(call.request), sender)
    with call.write(sender) as tx:
        made = users.create(tx, document) if kind is USER else groups.create(tx, document, sender)
        _complete(tx, kind, made, projection)
    return responses.resource(call.request, made, projection, 201)


def get(call: Call, kind: ResourceType, resource_id: str) -> Response:
    """GET /Users/{id}, /Groups/{id} (§3.4.1)."""
    projection = projection_of(call.request)
    wanted = projection.wants(kind, _RELATED[kind.name])
    found = _VERBS[kind.name].get(call.read(), resource_id, related=wanted)
    return responses.resource(call.request, found, projection)


def replace(call: Call, kind: ResourceType, resource_id: str) -> Response:
    """PUT (§3.5.1)."""
    projection, sender, matches = projection_of(call.request), call.sender(), if_match(call.request)
    document = documents.read(kind, json_body(call.request), sender)
    with call.write(sender) as tx:
        if kind is USER:
            saved = users.replace(tx, resource_id, document, matches)
        else:
            saved = groups.replace(tx, resource_id, document, sender, matches)
        _complete(tx, kind, saved, projection)
    return responses.resource(call.request, saved, projection)


def patch(call: Call, kind: ResourceType, resource_id: str) -> Response:
    """PATCH (§3.5.2): a user comes back; a group is 204, unless attributes or the connection ask for it."""
    projection, sender, matches = projection_of(call.request), call.sender(), if_match(call.request)
    changes = operations.read(kind, json_body(call.request), sender)
    silent = kind is GROUP and not projection and call.actor.group_patch_status == 204
    with call.write(sender) as tx:
        saved = _VERBS[kind.name].patch(tx, resource_id, changes, sender, matches)
        if not silent:
            _complete(tx, kind, saved, projection)
    return responses.unchanged_body(saved) if silent else responses.resource(call.request, saved, projection)


def delete(call: Call, kind: ResourceType, resource_id: str) -> Response:
    """DELETE (§3.6)."""
    with call.write() as tx:
        _VERBS[kind.name].delete(tx, resource_id, if_match(call.request))
    return Response(204)


def find(call: Call, *kinds: ResourceType) -> Response:
    """GET /Users, /Groups with filter, sorting and paging (§3.4.2)."""
    return _search(call, kinds, query_from_string(call.request))


def find_by_post(call: Call, *kinds: ResourceType) -> Response:
    """POST /.search, /Users/.search, /Groups/.search (§3.4.3)."""
    return _search(call, kinds, query_from_body(call.request))


def _search(call: Call, kinds: Sequence[ResourceType], query: Query) -> Response:
    request, projection = call.request, query.projection
    page = lookup.find(
        call.read(), kinds, query.search, request.limits, lambda kind: projection.wants(kind, _RELATED[kind.name])
    )
    return responses.page(request, page.resources, page.total, query.search.start, projection)


_VERBS: dict[str, Any] = {"User": users, "Group": groups}
_RELATED = {"User": "groups", "Group": "members"}


def _complete(tx: Tx, kind: ResourceType, stored: Stored, projection: Projection) -> None:
    """Join what the answer to a change shows beside the document."""
    if stored.related is None and projection.wants(kind, _RELATED[kind.name]):
        _VERBS[kind.name].with_related(tx, [stored])


# ----------------------------------------------------------------------------------------------- discovery


def service_provider_config(call: Call) -> Response:
    """GET /ServiceProviderConfig (RFC 7643 §5)."""
    _refuse_filter(call)
    described = discovery.service_provider_config(call.request.limits)
    return responses.document(discovery.with_location(described, call.request.base))


def described(call: Call, documents: Callable[[], list[dict[str, Any]]]) -> Response:
    """GET /ResourceTypes, /Schemas: paged; a filter is refused with 403 (RFC 7644 §4)."""
    _refuse_filter(call)
    query, every = query_from_string(call.request), documents()
    first = query.search.start - 1
    shown = every[first : first + query.search.count]
    located = [discovery.with_location(each, call.request.base) for each in shown]
    return responses.documents(located, len(every), query.search.start)


def one_described(call: Call, documents: Callable[[], list[dict[str, Any]]], name: str) -> Response:
    """GET /ResourceTypes/{name}, /Schemas/{urn}."""
    _refuse_filter(call)
    for each in documents():
        if each["id"].lower() == name.lower():
            return responses.document(discovery.with_location(each, call.request.base))
    raise HttpError(404, "There is nothing of this name; the collection lists what there is.")


def _refuse_filter(call: Call) -> None:
    if "filter" in {name.lower() for name in call.request.query}:
        raise HttpError(403, "What the server says of itself cannot be filtered (RFC 7644 section 4).")


def me(call: Call) -> Response:
    """/Me (RFC 7644 §3.11): a connection's token stands for no person."""
    raise HttpError(501, "A connection's token stands for no person, so there is no /Me for it.")


def bulk(call: Call) -> Response:
    """POST /Bulk (RFC 7644 §3.7), as ServiceProviderConfig says."""
    raise HttpError(501, "Bulk is not supported; send the operations one by one.")


def _read(handler: Handler) -> dict[str, tuple[Handler, str]]:
    return {"GET": (handler, tokens.READ)}


def _resource_routes(kind: ResourceType) -> list[Route]:
    name = kind.endpoint[1:]
    return [
        Route((name,), {**_read(find), "POST": (create, tokens.WRITE)}, (kind,)),
        Route((name, ".search"), {"POST": (find_by_post, tokens.READ)}, (kind,)),
        Route(
            (name, "*"),
            {
                **_read(get),
                "PUT": (replace, tokens.WRITE),
                "PATCH": (patch, tokens.WRITE),
                "DELETE": (delete, tokens.WRITE),
            },
            (kind,),
        ),
    ]


_ME = dict.fromkeys(("GET", "POST", "PUT", "PATCH", "DELETE"), (me, tokens.READ))

EVERY_ROUTE: list[Route] = [
    *_resource_routes(USER),
    *_resource_routes(GROUP),
    Route((".search",), {"POST": (find_by_post, tokens.READ)}, (USER, GROUP)),
    Route(("ServiceProviderConfig",), _read(service_provider_config)),
    Route(("ResourceTypes",), _read(described), (discovery.resource_types,)),
    Route(("ResourceTypes", "*"), _read(one_described), (discovery.resource_types,)),
    Route(("Schemas",), _read(described), (discovery.schemas,)),
    Route(("Schemas", "*"), _read(one_described), (discovery.schemas,)),
    Route(("Me",), _ME),
    Route(("Bulk",), {"POST": (bulk, tokens.WRITE)}),
]
ROUTES = {route.path: route for route in EVERY_ROUTE}
