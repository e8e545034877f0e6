"""Calls to identity providers, guarded: nobody's settings make this server a way into the network it stands in.

Who may enter a provider's address chooses what this server connects to, and a provider may answer with anything
or not at all. So the address of the *connected* socket is tested before a byte is sent, a call ends at its deadline
whatever it is waiting for, an answer is bounded, and nothing is followed, retried, reused or kept. What an answer
means is left to the callers.
"""

from __future__ import annotations

import io
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from ipaddress import IPv4Network, IPv6Network
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import orjson
import requests
from requests.adapters import BaseAdapter
from requests.exceptions import InvalidURL
from requests.structures import CaseInsensitiveDict
from requests.utils import DEFAULT_CA_BUNDLE_PATH, get_encoding_from_headers

from .addresses import ProviderUnreachable, admit

__all__ = ["Network", "ProviderBusy", "ProviderUnreachable"]

S = TypeVar("S", bound=requests.Session)

_PORTS = {"http": 80, "https": 443}
_HEADERS_AND_FRAMING = 65_536


class ProviderBusy(Exception):
    """All slots are taken."""


class Network:
    """The way out to identity providers; one for each process, shared by its threads."""

    def __init__(
        self,
        allowed: Sequence[IPv4Network | IPv6Network] = (),
        *,
        seconds: float = 5.0,
        most_bytes: int = 262_144,
        slots: int = 4,
    ) -> None:
        self._adapter = _Adapter(tuple(allowed), seconds, most_bytes)
        self._slots = threading.BoundedSemaphore(slots)

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Take one of the slots, or raise ProviderBusy at once.

        A hung provider may hold at most half of a worker's threads, so that SCIM and passwords go on.
        """
        if not self._slots.acquire(blocking=False):
            raise ProviderBusy("Too many calls to identity providers are under way; try again in a few seconds.")
        try:
            yield
        finally:
            self._slots.release()

    def guard(self, session: S) -> S:
        """Make every request through a session a guarded one: what fails is told as ProviderUnreachable."""
        session.trust_env = False  # neither proxies nor .netrc
        session.adapters.clear()
        for prefix in ("https://", "http://", ""):  # the last for whatever else there is, to be refused
            session.mount(prefix, self._adapter)
        prepare = session.prepare_request

        def prepared(request: requests.Request) -> requests.PreparedRequest:
            _target(str(request.url))
            try:
                return prepare(request)
            except InvalidURL as failure:
                raise _no_url() from failure

        # Before requests reads it, which trips over some in its own ways: endpoints are what a provider says they are.
        session.prepare_request = prepared  # type: ignore[method-assign]
        return session

    def session(self) -> requests.Session:
        """A guarded session."""
        return self.guard(requests.Session())

    def get_json(self, url: str, *, headers: Mapping[str, str] | None = None) -> tuple[Any, Mapping[str, str]]:
        """GET a JSON value of any kind; returns it with the headers of the answer, which must be a 200."""
        with self.session() as session:
            response = session.get(url, headers={"Accept": "application/json", **(headers or {})})
        if response.status_code != 200:
            raise _status(response)
        return response.json(), response.headers


class _Response(requests.Response):
    """A response that tells its failures in our words, also to whoever asks in those of requests, as Authlib does."""

    @property
    def ok(self) -> bool:
        return self.status_code < 400

    def raise_for_status(self) -> None:
        if not self.ok:
            raise _status(self)

    def json(self, **_: Any) -> Any:
        # Not the json module: it takes NaN, and 100 KiB of "[" are a RecursionError.
        with suppress(orjson.JSONDecodeError):
            return orjson.loads(self.content)
        raise ProviderUnreachable("not_json", f"{_host(self.url)} answered with something other than JSON.")


def _status(response: requests.Response) -> ProviderUnreachable:
    return ProviderUnreachable("status", f"{_host(response.url)} answered with status {response.status_code}.")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


class _Adapter(BaseAdapter):
    """How a guarded session reaches a provider: each request over a connection of its own. Keeps nothing."""

    def __init__(self, allowed: tuple[IPv4Network | IPv6Network, ...], seconds: float, most_bytes: int) -> None:
        super().__init__()
        self._allowed, self._seconds, self._most_bytes = allowed, seconds, most_bytes

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Ask, and read the whole answer. What a caller says of timeout, verify, cert and proxies is ignored."""
        target = _target(request.url or "")
        deadline = _Deadline(self._seconds)
        with _told(target.host, deadline), ExitStack() as opened:
            line = opened.enter_context(self._connect(target, deadline))
            opened.enter_context(deadline.cuts(line))
            if target.secure:
                server_name = target.host.rstrip(".")
                line = opened.enter_context(self._trust.wrap_socket(line, server_hostname=server_name))
            _ask(line, target, request)
            reply = opened.enter_context(_Reply(line, request.method, self._most_bytes + _HEADERS_AND_FRAMING))
            reply.begin()
            if 300 <= reply.status < 400:
                raise ProviderUnreachable("redirect", f"{target.host} redirects; enter the address it redirects to.")
            body = _body(reply, self._most_bytes)
            # An answer that ends where its connection ends looks complete when the deadline was what ended it.
            deadline.left()
        return _response(request, reply, body)

    def close(self) -> None:
        """Nothing is open between calls."""

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context()  # the machine's, where a company's own authority is, or SSL_CERT_FILE
        context.load_verify_locations(DEFAULT_CA_BUNDLE_PATH)
        return context

    def _connect(self, target: _Target, deadline: _Deadline) -> socket.socket:
        """Connect to the first address of a name that may be and can be connected to."""
        found = _resolve(target.host, target.port, deadline.left())
        last: Exception = OSError(0, "it has no address")
        for done, (family, _, _, _, address) in enumerate(found):
            try:
                # Tested before as well: whether an address refuses or is refused would tell what listens inside.
                admit(str(address[0]), self._allowed, secure=target.secure)
                return self._connected(family, address, target, deadline.left() / (len(found) - done))
            except (OSError, ProviderUnreachable) as failure:
                last = failure
        raise last

    def _connected(
        self, family: socket.AddressFamily, address: tuple[Any, ...], target: _Target, seconds: float
    ) -> socket.socket:
        line = socket.socket(family, socket.SOCK_STREAM)
        try:
            line.settimeout(seconds)
            line.connect(address)
            admit(line.getpeername()[0], self._allowed, secure=target.secure)
            line.settimeout(self._seconds)
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            line.close()
            raise
        return line


class _Target(NamedTuple):
    """What a URL says of whom to call."""

    secure: bool
    host: str
    port: int
    authority: str


def _target(url: str) -> _Target:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as failure:
        raise _no_url() from failure
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise _no_url()
    port = _PORTS[parts.scheme] if port is None else port
    return _Target(parts.scheme == "https", parts.hostname, port, parts.netloc)


def _no_url() -> ProviderUnreachable:
    return ProviderUnreachable("address", "An address begins with https:// and a host, and holds no user or password.")


class _Deadline:
    """The end of a call: asked before a wait, and enforced on the waits that ask nobody."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        return time.monotonic() >= self._ends

    def left(self) -> float:
        """How many seconds are left. Raises TimeoutError for none."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left

    @contextmanager
    def cuts(self, line: socket.socket) -> Iterator[None]:
        """Shut a connection down when time is up: a socket's own timeout begins anew with every byte."""
        # A descriptor of its own: the socket's goes to TLS, and once closed its number is soon another's.
        with line.dup() as held:
            timer = threading.Timer(self.left(), _shut_down, [held])
            timer.daemon = True
            timer.start()
            try:
                yield
            finally:
                timer.cancel()
                timer.join()


def _shut_down(line: socket.socket) -> None:
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)


@contextmanager
def _told(host: str, deadline: _Deadline) -> Iterator[None]:
    """Tell what went wrong on the way in one of our words."""
    try:
        yield
    # ValueError too: http.client lets some odd answers through to int() and read().
    except (OSError, HTTPException, ValueError, zlib.error) as failure:
        if deadline.passed or isinstance(failure, TimeoutError):
            raise ProviderUnreachable("timeout", f"{host} did not answer in time.") from failure
        if isinstance(failure, ssl.SSLError):
            reason = getattr(failure, "verify_message", None) or failure.reason or "the connection broke"
            raise ProviderUnreachable("tls", f"No secure connection to {host}: {reason}.") from failure
        reason = failure.strerror if isinstance(failure, OSError) else None
        message = f"{host} could not be reached: {reason or 'it does not answer as a web server does'}."
        raise ProviderUnreachable("unreachable", message) from failure


_Found = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[Any, ...]]]


def _resolve(host: str, port: int, seconds: float) -> _Found:
    """The addresses of a name. Raises TimeoutError."""
    answer: Future[_Found] = Future()

    def look_up() -> None:
        try:
            answer.set_result(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except ValueError:
            answer.set_exception(_no_url())
        except OSError as failure:
            answer.set_exception(failure)

    # getaddrinfo knows no time limit; one that is too slow is left to end by itself.
    threading.Thread(target=look_up, daemon=True).start()
    return answer.result(seconds)


def _ask(line: socket.socket, target: _Target, request: requests.PreparedRequest) -> None:
    headers = request.headers.copy()
    headers.update({"Host": target.authority, "Accept-Encoding": "identity", "Connection": "close"})
    body = request.body.encode() if isinstance(request.body, str) else request.body
    connection = HTTPConnection(target.host, target.port)
    connection.sock = line
    connection.request(request.method or "GET", request.path_url, body, headers)


class _Reply(HTTPResponse):
    """An answer whose every byte counts, framing included: http.client reads without end for a chunk of size -1."""

    def __init__(self, line: socket.socket, method: str | None, most_bytes: int) -> None:
        super().__init__(line, method=method)
        self.fp = io.BufferedReader(_Metered(self.fp.detach(), most_bytes))


class _Metered(io.RawIOBase):
    """A stream that gives up beyond a number of bytes."""

    def __init__(self, inner: io.RawIOBase, most_bytes: int) -> None:
        self._inner, self._left = inner, most_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._inner.readinto(buffer)
        self._left -= count or 0
        if self._left < 0:
            raise _too_large()
        return count

    def close(self) -> None:
        self._inner.close()
        super().close()


def _body(reply: HTTPResponse, most_bytes: int) -> bytes:
    body = b""
    while len(body) <= most_bytes and (piece := reply.read(most_bytes + 1 - len(body))):
        body += piece
    if len(body) > most_bytes:
        raise _too_large()
    if reply.length:
        raise IncompleteRead(b"", reply.length)
    return _unpacked(body, reply.getheader("Content-Encoding", ""), most_bytes)


def _unpacked(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """Undo a compression that was not asked for; some servers compress whatever one says."""
    if not body or encoding.lower() not in ("gzip", "x-gzip", "deflate"):
        return body
    unpacking = zlib.decompressobj(wbits=32 + zlib.MAX_WBITS)
    body = unpacking.decompress(body, most_bytes + 1)
    if len(body) > most_bytes:
        raise _too_large()
    if not unpacking.eof:
        raise IncompleteRead(b"")
    return body


def _too_large() -> ProviderUnreachable:
    return ProviderUnreachable("too_large", "The answer is larger than any that an identity provider has to give.")


def _response(request: requests.PreparedRequest, reply: HTTPResponse, body: bytes) -> requests.Response:
    response = _Response()
    response.request, response.url = request, request.url or ""
    response.status_code, response.reason = reply.status, reply.reason
    response.headers = CaseInsensitiveDict({name: reply.getheader(name, "") for name in reply.headers})
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = io.BytesIO(body)
    return response
