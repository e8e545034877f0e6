"""The server as a tester meets it: ``Scim`` speaks to it in-process, ``serve`` starts the real program."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from scim_server.app import create_app
from scim_server.config import Settings
from scim_server.directory import connections, tenants, tokens
from scim_server.directory.actor import at_command_line
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import write

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
BASE = "http://scim.test/scim/v2"


@dataclass
class Answer:
    """What came back: status, headers by lower-case name, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def ids(self) -> list[str]:
        """The ids on a page, in order."""
        return [each["id"] for each in self.json["Resources"]]


class Scim:
    """A SCIM client on a WSGI application in this process, with the token of one connection."""

    def __init__(self, wsgi: Any, token: str | None) -> None:
        self.wsgi, self.token = wsgi, token

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        """``body`` is sent as JSON, bytes as they are; ``headers`` override the client's own."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None:
            sent["Content-Type"] = "application/scim+json"
        sent |= headers or {}
        path, _, raw_query = path.partition("?")
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": ("/scim/v2" + path).encode().decode("latin-1"),
            "QUERY_STRING": urlencode(query, quote_via=quote) if query else raw_query,
            "CONTENT_LENGTH": str(len(data)),
            "SERVER_NAME": "scim.test",
            "SERVER_PORT": "80",
            "HTTP_HOST": "scim.test",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(data),
        }
        for name, value in sent.items():
            key = name.upper().replace("-", "_")
            environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
        told: list[Any] = []
        body_parts = self.wsgi(environ, lambda status, headers, *_: told.extend((status, headers)))
        return Answer(int(told[0][:3]), {name.lower(): value for name, value in told[1]}, b"".join(body_parts))

    def get(self, path: str, **query: Any) -> Answer:
        return self.request("GET", path, query=query or None)

    def post(self, path: str, body: Any, **rest: Any) -> Answer:
        return self.request("POST", path, body, **rest)

    def put(self, path: str, body: Any, **rest: Any) -> Answer:
        return self.request("PUT", path, body, **rest)

    def patch(self, path: str, *operations: dict[str, Any], **rest: Any) -> Answer:
        return self.request("PATCH", path, {"schemas": [PATCH_OP], "Operations": list(operations)}, **rest)

    def delete(self, path: str, **rest: Any) -> Answer:
        return self.request("DELETE", path, **rest)

    def user(self, name: str, /, **attributes: Any) -> dict[str, Any]:
        """Create a user and return it as the server shows it."""
        schemas = [USER, ENTERPRISE] if ENTERPRISE in attributes else [USER]
        answer = self.post("/Users", {"schemas": schemas, "userName": name, **attributes})
        assert answer.status == 201, answer.body
        return answer.json

    def group(self, name: str, /, *members: str, **attributes: Any) -> dict[str, Any]:
        """Create a group with members given by id and return it as the server shows it."""
        listed = [{"value": member} for member in members]
        answer = self.post("/Groups", {"schemas": [GROUP], "displayName": name, "members": listed, **attributes})
        assert answer.status == 201, answer.body
        return answer.json


class House:
    """The application on one database, and clients for it; close it when done."""

    def __init__(self, url: str, **settings: Any) -> None:
        self.settings = Settings(database_url=url, **{"secret_key": "0" * 32, **settings})
        self.app = create_app(self.settings)
        self.database: Database = self.app.extensions["database"]
        self.tenant = tenants.ensure_default(self.database)

    def client(
        self, connection: str = "default", tenant: str = tenants.DEFAULT, *, strict: bool = False,
        group_patch_status: int = 204, scopes: tuple[str, ...] = tokens.SCOPES,
    ) -> Scim:  # fmt: skip
        """A client with a fresh token for a connection of a tenant, either made when it is not there."""
        known = {each.name: each for each in tenants.every(self.database)}
        found = known.get(tenant) or tenants.create(self.database, tenant)
        with write(self.database, at_command_line(found.id)) as tx:
            owner = connections.ensure(tx, connection)
            owner = connections.change(tx, owner.name, strict=strict, group_patch_status=group_patch_status)
            text, _ = tokens.issue(tx, owner, "test", expires_in=timedelta(days=1), scopes=scopes)
        return Scim(self.app.wsgi_app, text)

    def close(self) -> None:
        self.database.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Running:
    """The program, listening: its URL and a token."""

    root: str
    token: str
    environment: dict[str, str]
    process: subprocess.Popen[bytes]

    @property
    def scim(self) -> str:
        return f"{self.root}/scim/v2"


def program(*arguments: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run ``scim-server`` with arguments, in an environment of its own."""
    command = [sys.executable, "-c", "from scim_server.cli import main; main()", *arguments]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def serve(database_url: str, folder: Path, *, workers: int = 2, **settings: str) -> Iterator[Running]:
    """Start ``scim-server run`` on a free port with its own data folder, and stop it gracefully."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_SERVER_")}
    environment |= {
        "SCIM_SERVER_DATABASE_URL": database_url,
        "SCIM_SERVER_DATA_DIR": str(folder),
        "PYTHONPATH": os.pathsep.join(sys.path),
        **{f"SCIM_SERVER_{name.upper()}": value for name, value in settings.items()},
    }
    command = [sys.executable, "-c", "from scim_server.cli import main; main()", "run"]
    command += ["--port", str(port), "--workers", str(workers)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        root = f"http://127.0.0.1:{port}"
        _wait(f"{root}/readyz", process, folder / "server.log")
        issued = program("token", "issue", "--name", "test", "--json", environment=environment)
        assert issued.returncode == 0, issued.stderr
        yield Running(root, json.loads(issued.stdout)["token"], environment, process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(150):
        assert process.poll() is None, log.read_text()
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            pass
        time.sleep(0.1)
    raise AssertionError(f"{url} never answered:\n{log.read_text()}")
