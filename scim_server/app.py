"""The front door: wires every room together. ``create_app`` for embedding and tests, ``wsgi`` for the server."""

from __future__ import annotations

import hmac
import os

from flask import Flask, Response, jsonify, request
from werkzeug.middleware.proxy_fix import ProxyFix

from sso import routes as login
from sso.door import LoginDoor
from sso.network import Network

from . import config, postman
from .api.door import ScimDoor
from .directory.errors import Unavailable
from .directory.store import migrate
from .directory.store.engine import Database
from .directory.vault import Vault
from .postman import Postman
from .telemetry import Exposition, Telemetry

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(settings: config.Settings) -> Flask:
    """The whole server as a Flask application, its database at the schema this program knows."""
    app = Flask(__name__, static_folder=None)
    database = mount(app, settings)
    _add_operations(app, settings, database)
    app.register_error_handler(Exception, login.page_of_error)
    return app


def mount(app: Flask, settings: config.Settings) -> Database:
    """Give an application of somebody else's the SCIM door and the login; its views may use ``login_required``.

    SCIM is served in front of Flask's dispatch (design decision 14). The database is returned, and kept as
    ``app.extensions["database"]``.
    """
    database = Database(
        settings.database,
        sqlite_synchronous=settings.sqlite_synchronous,
        statement_seconds=settings.statement_seconds,
    )
    app.extensions["database"] = database
    if settings.smtp_url:
        Postman(database, postman.server(settings.smtp_url, settings.mail_from)).start()
    telemetry = Telemetry()
    network = Network(settings.provider_networks, slots=max(1, settings.threads // 2))
    vault = Vault(config.server_key(settings))
    login.install(app, LoginDoor(settings, database, network, vault, telemetry))
    app.wsgi_app = ScimDoor(  # type: ignore[method-assign]
        app.wsgi_app, database, settings.limits, settings.base_url, telemetry
    )
    if settings.proxy_hops:
        hops = settings.proxy_hops
        app.wsgi_app = ProxyFix(app.wsgi_app, hops, hops, hops, hops, hops)  # type: ignore[method-assign]
    return database


def wsgi() -> Flask:
    """What the HTTP server loads in each worker process."""
    return create_app(config.load(os.environ))


def _add_operations(app: Flask, settings: config.Settings, database: Database) -> None:
    """``/healthz``, ``/readyz`` and ``/metrics``: terse, for machines."""
    exposition = Exposition(database)

    @app.get("/healthz")
    def healthz() -> Response:
        return jsonify(status="ok")

    @app.get("/readyz")
    def readyz() -> tuple[Response, int]:
        checks = {"database": False, "schema": False}
        try:
            checks["schema"] = migrate.at_head(database)
            checks["database"] = True
        except Unavailable:
            pass
        ready = all(checks.values())
        listed = [{"check": name, "ok": ok} for name, ok in checks.items()]
        return jsonify(status="ok" if ready else "not ready", checks=listed), 200 if ready else 503

    @app.get("/metrics")
    def metrics() -> Response | tuple[str, int]:
        if not _may_see_metrics(settings):
            return "Set SCIM_SERVER_METRICS_TOKEN and send it as a bearer token.\n", 403
        try:
            return Response(exposition.text(), content_type=exposition.media_type)
        except Unavailable as error:
            return f"{error}\n", 503

    @app.after_request
    def guard(response: Response) -> Response:
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        return response


def _may_see_metrics(settings: config.Settings) -> bool:
    """With the token if there is one; else from this machine, unless a proxy passed the request on."""
    if settings.metrics_token:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return hmac.compare_digest(given.encode(), settings.metrics_token.encode())
    proxied = any(name in request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"))
    return not proxied and request.remote_addr in ("127.0.0.1", "::1")
