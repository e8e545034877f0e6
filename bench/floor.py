"""The floor: a bare WSGI callable that looks one resource up by its primary key and sends its text.

No authentication, no routing, no headers read: the least that a server of this kind could do. It keeps one
driver connection, as our own server does.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from scim_server.config import load
from scim_server.directory.store.engine import Database, Statement

_GET = Statement("SELECT r.body FROM resources r WHERE r.tenant = :tenant AND r.id = :id")


def wsgi() -> Callable[..., Iterable[bytes]]:
    """What the HTTP server loads: ``/<tenant>/<id>`` answers with the stored text."""
    database = Database(load(os.environ).database)
    sql, _ = _GET.written(database.dialect)
    connection = database.take().driver

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        _, tenant, resource = environ["PATH_INFO"].split("/")
        row = connection.execute(sql, {"tenant": tenant, "id": resource}).fetchone()
        body = row[0].encode()
        start_response("200 OK", [("Content-Type", "application/scim+json"), ("Content-Length", str(len(body)))])
        return [body]

    return application
