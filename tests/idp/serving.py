"""The plumbing of the providers: a server on loopback, what it was asked, and how it misbehaves on the wire."""

from __future__ import annotations

import contextlib
import gzip as gzipped
import http.client
import json
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import Any, ClassVar, Self
from urllib.parse import parse_qs, urlencode, urlsplit


class _Remove:
    def __repr__(self) -> str:
        return "REMOVE"


REMOVE: Any = _Remove()  # as the value of an override: leave the member out

Override = Mapping[str, Any] | Callable[[dict[str, Any]], Mapping[str, Any]]


def changed(members: Mapping[str, Any], *overrides: Override) -> dict[str, Any]:
    """The members with overrides laid on top: a mapping, or a function from the members to new ones."""
    result = dict(members)
    for override in overrides:
        result = dict(override(result)) if callable(override) else {**result, **override}
    return {name: value for name, value in result.items() if value is not REMOVE}


def with_query(url: str, parameters: Mapping[str, Any]) -> str:
    """The URL with parameters added to its query; a list repeats the parameter."""
    query = urlencode(parameters, doseq=True)
    return f"{url}{'&' if '?' in url else '?'}{query}" if query else url


@dataclass(frozen=True)
class Request:
    """What an endpoint was asked. Of a repeated parameter the last value counts; header names are lower case."""

    endpoint: str
    method: str
    path: str
    query: dict[str, str]
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes


@dataclass
class Reply:
    """What it answers: bytes and text as they are, anything else as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, Any] = field(default_factory=dict)

    def encoded(self) -> tuple[bytes, str]:
        """The body on the wire, and its media type."""
        match self.body:
            case bytes():
                return self.body, "application/octet-stream"
            case str():
                return self.body.encode(), "text/html; charset=utf-8"
            case _:
                return json.dumps(self.body).encode(), "application/json"


class Refused(Exception):
    """Raised on the way to an answer: `reply` is the answer."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply


def redirect(url: str) -> Reply:
    return Reply(302, "", {"Location": url})


@dataclass
class Trouble:
    """How an endpoint misbehaves; whatever is left alone stays as it is."""

    status: int | None = None
    location: str | None = None  # a redirect there, 302 unless `status` says otherwise
    body: Any = None  # bytes, text (as HTML) or anything else as JSON, in place of the usual body
    content_type: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)  # added, replaced or REMOVEd
    size: int = 0  # pad the body with spaces up to here: still valid JSON, only too long
    gzip: bool = False  # compressed after the padding, so that 10 MB travel as 10 kB
    hang: float = 0  # seconds before the first byte
    drip_head: float = 0  # seconds between any two bytes of status line and headers
    drip: float = 0  # seconds between any two bytes of the body: no single read times out
    cut: int | None = None  # close the connection after so many bytes; 0 answers nothing
    times: int | None = None  # over after so many requests; None lasts


@dataclass(frozen=True)
class Answer:
    """What ``ask`` got; header names are lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def ask(
    url: str, *, form: Mapping[str, Any] | None = None, headers: Mapping[str, str] | None = None, timeout: float = 10
) -> Answer:
    """GET, or POST where there is a form; redirects are not followed."""
    parts = urlsplit(url)
    assert parts.hostname, url
    sent = dict(headers or {})
    if form is not None:
        sent.setdefault("Content-Type", "application/x-www-form-urlencoded")
    body = None if form is None else urlencode(form, doseq=True)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
    try:
        connection.request("GET" if form is None else "POST", target, body, sent)
        with connection.getresponse() as response:
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
    finally:
        connection.close()


class Fake:
    """A server with one method ``on_<endpoint>`` for each of ``PATHS``; starts on entering, stops on leaving.

    ``reset()`` sets every knob to the baseline and forgets what was asked.
    """

    PATHS: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        self.reset()

    def reset(self) -> None:
        """Back to the baseline; the port stays."""
        self.transport: dict[str, Trouble] = {}  # endpoint -> how it misbehaves
        self.requests: list[Request] = []  # all that was asked, in order of arrival

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.stop()
        self._thread.join()
        # A knob that raises answers 500, which a test of refusals would take for success.
        if self._server.failures and kind is None:
            raise self._server.failures[0]

    @property
    def counts(self) -> Counter[str]:
        """How often each endpoint was asked; ``unknown`` counts every other path."""
        return Counter(each.endpoint for each in list(self.requests))

    @property
    def seen(self) -> dict[str, Request]:
        """The last request of each endpoint."""
        return {each.endpoint: each for each in list(self.requests)}

    def path(self, endpoint: str) -> str:
        return self.PATHS[endpoint]

    def url(self, endpoint: str) -> str:
        """Where an endpoint is."""
        return self.base + self.path(endpoint)

    def redirected(self, url: str) -> str:
        """GET a URL as a browser would, and say where it is sent."""
        answer = ask(url)
        assert answer.status in (302, 303), (answer.status, answer.body)
        return answer.headers["location"]

    def authorize(self, url: str) -> str:
        """Visit an authorization URL: the callback URL that the browser is sent to."""
        return self.redirected(url)

    def answer(self, request: Request) -> Reply:
        """What the endpoint says to a request."""
        handler: Callable[[Request], Reply] | None = getattr(self, f"on_{request.endpoint}", None)
        try:
            return handler(request) if handler else Reply(404, "not found")
        except Refused as refused:
            return refused.reply


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # joined at the end, so that none outlives its test
    request_queue_size = 128

    def __init__(self, fake: Fake) -> None:
        self.fake = fake
        self.closing = threading.Event()
        self.failures: list[BaseException] = []
        self.trouble_lock = threading.Lock()
        self._open: set[socket.socket] = set()
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_bind(self) -> None:
        # Not HTTPServer's, which asks the name service who 127.0.0.1 is.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    def stop(self) -> None:
        self.closing.set()
        self.shutdown()
        for each in list(self._open):  # a client that keeps a connection and says nothing holds nobody up
            with contextlib.suppress(OSError):  # gone meanwhile
                each.shutdown(socket.SHUT_RDWR)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        failure = sys.exception()
        if failure and not isinstance(failure, OSError):  # a client that gave up is what some tests are about
            self.failures.append(failure)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 30

    def _serve(self) -> None:
        self.close_connection = True
        fake, request = self.server.fake, self._request()
        fake.requests.append(request)
        trouble = self._trouble(fake, request.endpoint)
        if trouble.hang and self.server.closing.wait(trouble.hang):
            return
        try:
            reply = fake.answer(request)
        except Exception as failure:  # noqa: BLE001
            self.server.failures.append(failure)
            reply = Reply(500, traceback.format_exc())
        self._send(reply, trouble)

    do_GET = do_POST = _serve  # noqa: N815

    def log_message(self, *_: Any) -> None:
        """Nothing: `Fake.requests` tells."""

    def _request(self) -> Request:
        fake, parts = self.server.fake, urlsplit(self.path)
        endpoint = next((name for name in fake.PATHS if fake.path(name) == parts.path), "unknown")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        form = _last(body.decode()) if is_form else {}
        return Request(endpoint, self.command, parts.path, _last(parts.query), form, headers, body)

    def _trouble(self, fake: Fake, endpoint: str) -> Trouble:
        with self.server.trouble_lock:
            trouble = fake.transport.get(endpoint)
            if trouble and trouble.times is not None:
                if trouble.times <= 0:
                    return Trouble()
                trouble.times -= 1
            return trouble or Trouble()

    def _send(self, reply: Reply, trouble: Trouble) -> None:
        body, media_type = (reply if trouble.body is None else Reply(body=trouble.body)).encoded()
        body = body.ljust(trouble.size)
        headers = {"Content-Type": media_type, **({} if trouble.body is not None else reply.headers)}
        status = trouble.status or reply.status
        if trouble.location is not None:
            headers["Location"], status = trouble.location, trouble.status or 302
        if trouble.content_type:
            headers["Content-Type"] = trouble.content_type
        if trouble.gzip:
            body, headers["Content-Encoding"] = gzipped.compress(body), "gzip"
        headers = changed({**headers, "Content-Length": len(body), "Connection": "close"}, trouble.headers)
        lines = [f"HTTP/1.1 {status} {_phrase(status)}", *(f"{name}: {value}" for name, value in headers.items())]
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if trouble.cut is not None:
            self.wfile.write((head + body)[: trouble.cut])
        elif self._write(head, trouble.drip_head):
            self._write(body, trouble.drip)

    def _write(self, data: bytes, pause: float) -> bool:
        """Whether all of it could be said before the server stops."""
        if not pause:
            self.wfile.write(data)
            return True
        for at in range(len(data)):
            if self.server.closing.wait(pause):
                return False
            self.wfile.write(data[at : at + 1])
        return True


def _last(text: str) -> dict[str, str]:
    return {name: values[-1] for name, values in parse_qs(text, keep_blank_values=True).items()}


def _phrase(status: int) -> str:
    return HTTPStatus(status).phrase if status in set(HTTPStatus) else "Odd"
