"""What operators see: one JSON line per request on stdout, and Prometheus metrics.

No name, address, filter or body ever stands in a label or a line: ids, paths, counts and times do.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import orjson
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily

from . import __version__
from .api.requests import Request
from .api.responses import Response
from .directory import figures
from .directory.figures import Figures
from .directory.ids import is_id
from .directory.logins import Visit
from .directory.store.engine import Database

_RESOURCES = {"Users", "Groups", "Schemas", "ResourceTypes", "ServiceProviderConfig", "Me", "Bulk", ".search"}
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
_LIVE = "mostrecent"

_REGISTRY = CollectorRegistry()
_REQUESTS = Counter(
    "scim_server_scim_requests",
    "SCIM requests answered",
    ("connection", "resource", "method", "status", "scim_type"),
    registry=_REGISTRY,
)
_SECONDS = Histogram(
    "scim_server_scim_request_duration_seconds",
    "Time from request to answer",
    ("resource", "method"),
    buckets=(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=_REGISTRY,
)
_LAST = Gauge(
    "scim_server_scim_last_request_timestamp_seconds",
    "When a connection was last heard of",
    ("connection",),
    multiprocess_mode=_LIVE,  # type: ignore[arg-type]
    registry=_REGISTRY,
)
_REFUSED = Counter("scim_server_scim_auth_failures", "Requests without a good token", ("reason",), registry=_REGISTRY)
_LOGINS = Counter("scim_server_logins", "Logins", ("method", "outcome", "reason"), registry=_REGISTRY)
_BUILD = Gauge(
    "scim_server_build_info",
    "Always 1; the label tells the version",
    ("version",),
    multiprocess_mode=_LIVE,  # type: ignore[arg-type]
    registry=_REGISTRY,
)


class Telemetry:
    """The observer of the SCIM door, and the log of the rest."""

    def __init__(self) -> None:
        self._children: dict[tuple[object, ...], Any] = {}
        _BUILD.labels(__version__).set(1)

    def handled(self, request: Request, response: Response, seconds: float) -> None:
        """Count and log one SCIM request."""
        resource = request.path[1:].partition("/")[0]
        resource = resource if resource in _RESOURCES else "other"
        method = request.method if request.method in _METHODS else "other"
        connection = request.actor.connection_name if request.actor else ""
        self._child(_REQUESTS, connection, resource, method, str(response.status), response.scim_type).inc()
        self._child(_SECONDS, resource, method).observe(seconds)
        if request.actor:
            self._child(_LAST, connection).set(time.time())
        elif response.status == 401:
            reason = "invalid" if request.headers.get("authorization") else "missing"
            self._child(_REFUSED, reason).inc()
        line = {
            "event": "scim.request",
            "request_id": request.id,
            "tenant": request.actor.tenant if request.actor else "",
            "connection": connection,
            "actor": request.actor.name if request.actor else "",
            "method": method,
            "path": _logged(request.path),
            "status": response.status,
            "duration_ms": round(seconds * 1000, 2),
        }
        if response.scim_type:
            line["scim_type"] = response.scim_type
        if request.deviations:
            line["deviations"] = [entry.partition(":")[0] for entry in request.deviations]
        log("info", line)

    def failed(self, request: Request) -> None:
        """Log what nobody foresaw, with its traceback; called inside an ``except``."""
        log("error", {"event": "scim.failure", "request_id": request.id, "traceback": traceback.format_exc()})

    def login(self, visit: Visit, outcome: str, step: str, reason: str) -> None:
        """Count and log one login; neither name nor address stands in the line, its reference leads to both."""
        self._child(_LOGINS, visit.method, outcome, reason).inc()
        line = {
            "event": "login",
            "request_id": visit.reference,
            "connection": visit.sso_connection or "",
            "method": visit.method,
            "outcome": outcome,
        }
        log("info", line | ({"step": step, "reason": reason} if reason else {}))

    def alarm(self, event: str, request_id: str) -> None:
        """Log what an operator wants to be woken for."""
        log("warning", {"event": event, "request_id": request_id})

    def page_failed(self, request_id: str) -> None:
        """Log what nobody foresaw at a page; called inside an ``except``."""
        log("error", {"event": "page.failure", "request_id": request_id, "traceback": traceback.format_exc()})

    def _child(self, metric: Any, *labels: str) -> Any:
        """A metric with its labels bound, which costs a seventh of binding them each time."""
        key = (metric, *labels)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = metric.labels(*labels)
        return child


def _logged(path: str) -> str:
    """A path without what may be personal: somebody may ask for a user by e-mail address where an id belongs."""
    parts = path[1:200].split("/")
    plain = len(parts) < 2 or parts[0] not in ("Users", "Groups") or is_id(parts[1]) or parts[1] == ".search"
    return path[:200] if plain else f"/{parts[0]}/?"


def log(level: str, fields: dict[str, Any]) -> None:
    """Write one line; orjson escapes CR, LF and control characters, so that a line stays one."""
    line = orjson.dumps({"ts": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, **fields})
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()


class JsonFormatter(logging.Formatter):
    """The same shape for what the HTTP server and libraries log."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {
            "ts": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(fields, default=str).decode()


class _Counted:
    """The figures of the directory as gauges; counted anew once a minute, since a scrape may come every few seconds."""

    def __init__(self, database: Database) -> None:
        self._database, self._at, self._held = database, 0.0, Figures({}, {})

    def collect(self) -> Iterator[GaugeMetricFamily]:
        if time.monotonic() - self._at > _COUNTED_FOR or not self._held.users:
            self._at, self._held = time.monotonic(), figures.take(self._database)
        users = GaugeMetricFamily("scim_server_users", "Accounts by state and source", labels=("state", "source"))
        for state, number in self._held.users.items():
            users.add_metric((state, "synced"), number)
        yield users
        yield GaugeMetricFamily("scim_server_sessions", "Sessions that are open", value=self._held.sessions)
        expiry = GaugeMetricFamily(
            "scim_server_token_expiry_timestamp_seconds", "When a token expires", labels=("kind", "id")
        )
        for token, at in self._held.token_expiry.items():
            expiry.add_metric(("scim", token), at)
        yield expiry


_COUNTED_FOR = 60.0


class Exposition:
    """What ``/metrics`` answers: the metrics of all worker processes, and the figures of the directory."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, database: Database) -> None:
        self._counted = _Counted(database)

    def text(self) -> bytes:
        """Prometheus' text format. Raises Unavailable."""
        registry = _REGISTRY
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        directory = CollectorRegistry()
        directory.register(self._counted)
        return generate_latest(registry) + generate_latest(directory)
