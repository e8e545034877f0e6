"""Pages on loopback: one style, strict headers, no host but this machine, no form of anybody else's.

The standard library's server does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, NamedTuple
from urllib.parse import parse_qs
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from jinja2 import Environment, FileSystemLoader

from ..directory.errors import Refused

HOST = "127.0.0.1"
_HERE = Path(__file__).parent
_STYLE = "/demo.css"
_LONGEST_FORM = 10_000
_HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_POLICY = "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; frame-ancestors 'none'; form-action "

loader = FileSystemLoader(_HERE / "templates")
templates = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)

Start = Callable[..., Any]
App = Callable[[dict[str, Any], Start], Iterable[bytes]]


class Answer(NamedTuple):
    """What a page answers; ``at`` sends the browser on."""

    status: str
    text: str = ""
    at: str | None = None


def page(template: str, status: str = "200 OK", **values: object) -> Answer:
    """A page of ours."""
    return Answer(status, templates.get_template(template).render(values))


def form(environ: dict[str, Any]) -> dict[str, str]:
    """The fields that a form sent."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    sent = environ["wsgi.input"].read(min(length, _LONGEST_FORM)).decode(errors="replace")
    return {name: values[-1] for name, values in parse_qs(sent).items()}


def answering(view: Callable[[dict[str, Any]], Answer]) -> App:
    """A view as a WSGI application."""

    def app(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        answer = view(environ)
        headers = [("Content-Type", "text/html; charset=utf-8")]
        if answer.at is not None:
            headers.append(("Location", answer.at))
        body = answer.text.encode()
        start(answer.status, [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return app


@contextmanager
def served(port: int) -> Iterator[Served]:
    """Listen at a port of this machine, 0 for a free one, until the block ends. Raises Refused when it is taken."""
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        raise Refused(f"Cannot listen at {HOST} port {port}: {error.strerror}. Choose with --port.") from None
    try:
        yield Served(server)
    finally:
        server.server_close()


class Served:
    """A place where an application can be shown."""

    def __init__(self, server: _Server) -> None:
        self._server = server
        self.port: int = server.server_port
        self.url = f"http://{HOST}:{self.port}"

    @contextmanager
    def showing(self, app: App, *, forms_lead_to: Sequence[str] = ()) -> Iterator[None]:
        """Show an application; its forms lead to itself, and from there to the addresses that are named."""
        self._server.set_app(_guarded(app, self.port, " ".join(["'self'", *forms_lead_to])))
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._server.shutdown()
            thread.join()


def _guarded(app: App, port: int, form_action: str) -> App:
    """Answer by our own names alone, or a page of elsewhere could read ours by a name that it points here."""
    style = (_HERE / "static/demo.css").read_bytes()
    hosts = {f"{name}:{port}" for name in (HOST, "localhost")}
    added = [*_HEADERS.items(), ("Content-Security-Policy", _POLICY + form_action)]

    def guarded(environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        def begin(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            ours = {name.lower() for name, _ in added}
            return start(status, [each for each in headers if each[0].lower() not in ours] + added, *rest)

        if environ.get("HTTP_HOST") not in hosts:
            begin("421 Misdirected Request", [("Content-Type", "text/plain")])
            return [b"Ask for this page by its address on this machine.\n"]
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD") and not _is_of_ours(environ):
            begin("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"A page of another site sent this.\n"]
        if environ["PATH_INFO"] == _STYLE:
            begin("200 OK", [("Content-Type", "text/css"), ("Content-Length", str(len(style)))])
            return [style]
        return app(environ, begin)

    return guarded


def _is_of_ours(environ: dict[str, Any]) -> bool:
    """Whether a page of the same address sent a form; programs, which say nothing of it, carry no one's browser."""
    site, origin = environ.get("HTTP_SEC_FETCH_SITE"), environ.get("HTTP_ORIGIN")
    return site in (None, "same-origin", "none") and origin in (None, f"http://{environ['HTTP_HOST']}")


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """As the parent does it, but without asking the network what this machine is called."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the parent's
        """The terminal is for the visitor."""
