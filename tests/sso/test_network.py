"""Calls to identity providers (sso.md sections 3.3 and 6): real sockets on loopback, allowed and not."""

import gzip
import json
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import requests
from authlib.integrations.requests_client import OAuth2Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from scim_server.config import networks
from sso.addresses import admit
from sso.network import Network, ProviderBusy, ProviderUnreachable

LOOPBACK = networks("127.0.0.0/8, ::1/128")
OUTSIDE = "93.184.216.34"
SECONDS = 0.5

Line = socket.socket
Play = Callable[[Line], None]


class Provider:
    """A server that plays what a test says, once it has read a request; remembers who came and what was said."""

    def __init__(self, play: Play, tls: ssl.SSLContext | None, address: str) -> None:
        self.play, self.tls = play, tls
        self.listening = socket.create_server(
            (address, 0), family=socket.AF_INET6 if ":" in address else socket.AF_INET
        )
        self.port: int = self.listening.getsockname()[1]
        self.came = 0
        self.heard: list[bytes] = []
        self.end, self.ended = socket.socketpair()
        self.threads = [threading.Thread(target=self.accept)]
        self.threads[0].start()

    def url(self, host: str = "127.0.0.1", scheme: str = "") -> str:
        return f"{scheme or ('https' if self.tls else 'http')}://{host}:{self.port}/x"

    def accept(self) -> None:
        """Until the end, and then whoever is still in the queue: who came is to be counted exactly."""
        while self.listening in select.select([self.listening, self.ended], [], [])[0]:
            line, _ = self.listening.accept()
            self.came += 1
            self.threads.append(threading.Thread(target=self.serve, args=[line]))
            self.threads[-1].start()

    def serve(self, line: Line) -> None:
        with ExitStack() as opened, suppress(OSError):
            opened.enter_context(line)
            if self.tls:
                line = opened.enter_context(self.tls.wrap_socket(line, server_side=True))
            request = b""
            while not _is_whole(request):
                if not (piece := line.recv(65_536)):
                    break
                request += piece
            if request:
                self.heard.append(request)
                self.play(line)

    def close(self) -> None:
        self.end.close()
        for thread in self.threads:  # the first adds to them until it ends
            thread.join(10)
        self.listening.close()
        self.ended.close()


def _is_whole(request: bytes) -> bool:
    head, end, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
    return bool(end) and len(body) >= int(length[1] if length else 0)


@contextmanager
def provider(
    play: Play | bytes, *, tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Provider]:
    def recite(line: Line) -> None:
        assert isinstance(play, bytes)
        line.sendall(play)

    opened = Provider(recite if isinstance(play, bytes) else play, tls, address)
    try:
        yield opened
    finally:
        opened.close()


def answer(body: bytes = b"{}", *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def forever(start: bytes, again: bytes = b"", *, pause: float = 0.0) -> Play:
    """Say ``start``, then the same for as long as somebody is there."""

    def play(line: Line) -> None:
        line.sendall(start)
        while again:
            line.sendall(again)
            time.sleep(pause)
        line.recv(1)

    return play


def within() -> Network:
    return Network(LOOPBACK, seconds=SECONDS)


def patient() -> Network:
    """Where the deadline is not what a test is about: a busy machine takes its time over a handshake."""
    return Network(LOOPBACK)


def refused(network: Network, url: str) -> str:
    """The category a call is refused with."""
    with pytest.raises(ProviderUnreachable) as caught:
        network.get_json(url)
    assert re.fullmatch(r"[^\n]+\.", str(caught.value)), "a sentence"
    return caught.value.category


# Answers


def test_an_answer_is_json_and_headers() -> None:
    with provider(answer(b'{"issuer": "x"}', "Cache-Control: max-age=60", "X-Two: 1", "X-Two: 2")) as idp:
        value, headers = within().get_json(idp.url(), headers={"X-Asked": "yes"})
    assert value == {"issuer": "x"}
    assert (headers["cache-control"], headers["X-Two"]) == ("max-age=60", "1, 2")
    [heard] = idp.heard
    assert heard.startswith(b"GET /x HTTP/1.1\r\n")
    assert f"\r\nHost: 127.0.0.1:{idp.port}\r\n".encode() in heard
    for said in (b"X-Asked: yes", b"Accept: application/json", b"Accept-Encoding: identity", b"Connection: close"):
        assert said + b"\r\n" in heard


@pytest.mark.parametrize("value", [[], [1], "text", 5, None, True, {"a": {"b": []}}])
def test_any_json_value_will_do(value: Any) -> None:
    with provider(answer(json.dumps(value).encode())) as idp:
        assert within().get_json(idp.url())[0] == value


@pytest.mark.parametrize(
    "body", [b"", b"<html>secret</html>", b"{", b"NaN", b"\xff\xfe{}", b"[" * 100_000], ids=lambda body: repr(body[:9])
)
def test_what_is_not_json_is_told_without_a_word_of_it(body: bytes) -> None:
    with provider(answer(body)) as idp, pytest.raises(ProviderUnreachable) as caught:
        within().get_json(idp.url())
    assert caught.value.category == "not_json"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", ["201 Created", "400 Bad", "404 Not Found", "500 Oops", "503 Later"])
def test_another_status_than_200_is_told(status: str) -> None:
    with provider(answer(b'{"secret": 1}', status=status)) as idp, pytest.raises(ProviderUnreachable) as caught:
        within().get_json(idp.url())
    assert caught.value.category == "status"
    assert status[:3] in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See", "304 Same", "307 Go", "308 Gone"])
def test_no_redirect_is_followed(status: str) -> None:
    with provider(answer(b"", "Location: http://169.254.169.254/latest", status=status)) as idp:
        assert refused(within(), idp.url()) == "redirect"
    assert idp.came == 1


def test_a_redirect_is_not_followed_by_a_session_that_wants_to() -> None:
    with provider(answer(b"", "Location: /y", status="302 Found")) as idp, within().session() as session:
        with pytest.raises(ProviderUnreachable) as caught:
            session.post(idp.url(), data={"a": "b"}, allow_redirects=True)
        assert caught.value.category == "redirect"
    assert idp.came == 1


def test_a_guarded_session_gives_ordinary_responses() -> None:
    said = answer("ü".encode(), "Content-Type: text/plain; charset=utf-8", status="404 Gone")
    with provider(said) as idp, within().session() as session:
        response = session.post(idp.url(), params={"q": "1"}, data={"a": "ü"}, stream=True)
    assert isinstance(response, requests.Response)
    assert (response.status_code, response.reason, response.text, response.ok) == (404, "Gone", "ü", False)
    assert (response.url, response.request.method) == (f"{idp.url()}?q=1", "POST")
    assert not response
    with pytest.raises(ProviderUnreachable) as caught:
        response.raise_for_status()
    assert caught.value.category == "status"
    assert idp.heard[0].endswith(b"\r\n\r\na=%C3%BC")


@pytest.mark.parametrize("body", ["ü", "ü".encode()])
def test_a_body_arrives_as_it_is(body: str | bytes) -> None:
    with provider(answer()) as idp, within().session() as session:
        response = session.put(idp.url(), data=body)
        response.raise_for_status()
    assert response
    assert idp.heard[0].endswith(b"\r\n\r\n\xc3\xbc")


def test_an_answer_without_a_body() -> None:
    with provider(b"HTTP/1.1 204 No\r\n\r\n") as idp, within().session() as session:
        assert session.get(idp.url()).content == b""
        assert session.head(idp.url()).content == b""


# Addresses


SPELLINGS = ["127.0.0.1", "localhost", "0.0.0.0", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "[::ffff:127.0.0.1]"]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "host", [*SPELLINGS, "[::1]", "[::]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]"]
)
def test_loopback_is_refused_however_it_is_spelled(host: str, scheme: str) -> None:
    with provider(answer()) as idp, pytest.raises(ProviderUnreachable) as caught:
        Network().get_json(idp.url(host, scheme))
    assert caught.value.category == "address"
    assert "SCIM_SERVER_PROVIDER_NETWORKS" in str(caught.value)
    assert idp.came == 0, "who listens inside is not to be told by how a connection fails"


@pytest.mark.parametrize("host", SPELLINGS[:2] + SPELLINGS[3:7])
def test_loopback_is_reached_where_it_is_allowed(host: str) -> None:
    with provider(answer()) as idp:
        assert within().get_json(idp.url(host))[0] == {}


def test_ipv6_is_reached_where_it_is_allowed() -> None:
    try:
        idp = provider(answer(), address="::1")
        with idp as opened:
            assert within().get_json(opened.url("[::1]"))[0] == {}
            assert refused(Network(networks("127.0.0.0/8")), opened.url("[::1]")) == "address"
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert f"Host: [::1]:{opened.port}".encode() in opened.heard[0]


INSIDE = """
    0.0.0.0 0.1.2.3 10.0.0.1 100.64.0.1 127.0.0.1 127.255.255.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.9
    192.0.2.1 192.88.99.1 192.168.1.1 198.18.0.1 198.51.100.1 203.0.113.1 224.0.0.1 239.1.1.1 240.0.0.1
    255.255.255.255 :: ::1 ::7f00:1 ::ffff:10.0.0.1 ::ffff:0:10.0.0.1 64:ff9b::a00:1 64:ff9b:1::a00:1 100::1 2001::1
    2001:0:4136:e378:8000:63bf:f5ff:fffe 2001:db8::1 2001:2::1 2001:10::1 2002:a00:1::1 3fff::1 5f00::1 fc00::1
    169.254.1.1 fd12:3456::1 fe80::1 fe80::1%eth0 fec0::1 ff02::1 ff0e::1
"""
NEVER = "169.254.169.254 169.254.170.2 169.254.170.23 fd00:ec2::254 fd00:ec2::23 100.100.100.200 168.63.129.16"
PUBLIC = "1.1.1.1 93.184.216.34 2606:4700::1111 ::ffff:1.1.1.1 64:ff9b::101:101 2002:101:101::1"


def admitted(network: Network, address: str, *, secure: bool) -> bool:
    with suppress(ProviderUnreachable):
        admit(address, network._adapter._allowed, secure=secure)
        return True
    return False


@pytest.mark.parametrize("address", [*INSIDE.split(), *NEVER.split()])
def test_what_is_not_public_is_refused(address: str) -> None:
    assert not admitted(Network(), address, secure=True)


@pytest.mark.parametrize("address", PUBLIC.split())
def test_what_is_public_is_called_over_tls_only(address: str) -> None:
    assert admitted(Network(), address, secure=True)
    assert not admitted(Network(), address, secure=False)


@pytest.mark.parametrize("address", [*INSIDE.split(), *PUBLIC.split()])
def test_the_operator_allows_what_is_inside(address: str) -> None:
    everything = Network(networks("0.0.0.0/0, ::/0"))
    assert admitted(everything, address, secure=True)
    assert admitted(everything, address, secure=False)


@pytest.mark.parametrize(
    "address", [*NEVER.split(), "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"]
)
def test_nobody_allows_the_metadata_of_the_cloud(address: str) -> None:
    assert not admitted(Network(networks("0.0.0.0/0, ::/0")), address, secure=True)


def test_an_allowed_network_is_allowed_in_its_mapped_spelling_and_no_other_is() -> None:
    network = Network(networks("10.1.0.0/16, fd12::/32"))
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "fd12::1"):
        assert admitted(network, address, secure=False)
    for address in ("10.2.0.1", "::ffff:10.2.0.1", "fd12:1::1", "127.0.0.1"):
        assert not admitted(network, address, secure=True)


def found(*addresses: str) -> list[tuple[Any, ...]]:
    """What getaddrinfo says of a name with these addresses."""
    families = {4: socket.AF_INET, 6: socket.AF_INET6}
    return [(families[ip_address(each).version], socket.SOCK_STREAM, 6, "", (each, 443)) for each in addresses]


def test_the_address_of_the_connected_socket_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever comes between a look-up and a connection: it is who answers that is tested, and nothing is sent."""
    connect = socket.socket.connect
    with provider(answer()) as idp:
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found(OUTSIDE))
        monkeypatch.setattr(socket.socket, "connect", lambda line, _: connect(line, ("127.0.0.1", idp.port)))
        assert refused(Network(), "https://login.example/x") == "address"
    assert idp.came == 1
    assert idp.heard == []


def test_a_name_that_changes_its_address_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(answer()) as idp:
        answers = iter([OUTSIDE, "127.0.0.1"])
        asked: list[str] = []
        tried: list[str] = []

        def rebinding(host: str, port: int, **_: Any) -> list[tuple[Any, ...]]:
            asked.append(host)
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

        def connect(line: Line, address: Any) -> None:
            tried.append(address[0])
            raise ConnectionRefusedError

        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        monkeypatch.setattr(socket.socket, "connect", connect)
        assert refused(Network(), idp.url("login.example", "https")) == "unreachable"
        assert (asked, tried) == (["login.example"], [OUTSIDE])
        assert refused(Network(), idp.url("login.example", "https")) == "address"
        assert tried == [OUTSIDE]
    assert idp.came == 0


def test_of_several_addresses_one_that_may_be_called_and_answers_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with provider(answer()) as idp:
        every = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, idp.port)) for each in ("10.0.0.1", "127.0.0.2")]
        every += [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", idp.port))]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: every)
        assert within().get_json("http://login.example/")[0] == {}
        assert idp.came == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "login.example",
        "//login.example/x",
        "ftp://login.example/x",
        "file:///etc/passwd",
        "data:application/json,{}",
        "https://",
        "https:///x",
        "https://user@login.example/",
        "https://user:password@login.example/",
        "https://:@login.example/",
        "https://login.example:port/",
        "https://login.example:99999/",
        "https://[::1/",
        "//[::1/",
        "https://\N{SNOWMAN}@login.example/",
        "https://*.example/",
        f"https://{'a' * 64}.example/",
        "https://a..b/",
        "http+unix://x/y",
        "HTTPS+x://y/",
    ],
)
def test_what_cannot_be_called_is_refused_in_the_same_words(url: str) -> None:
    with pytest.raises(ProviderUnreachable) as caught:
        Network().get_json(url)
    assert caught.value.category == "address"
    assert "password" not in str(caught.value).replace("user or password", "")


def test_a_name_that_nobody_knows_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert refused(within(), "https://login.example/") == "unreachable"


def test_a_closed_port_is_unreachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    assert refused(within(), f"http://127.0.0.1:{port}/") == "unreachable"


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0-secret\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", b"HTTP/1.1 abc\r\n\r\n"]
)
def test_what_is_no_whole_http_answer_is_unreachable(said: bytes) -> None:
    with provider(said) as idp, pytest.raises(ProviderUnreachable) as caught:
        within().get_json(idp.url())
    assert caught.value.category == "unreachable"
    assert "secret" not in str(caught.value)


# Time


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIPPED = OK + b"Content-Encoding: gzip\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BOMB = gzip.compress(b" " * 20_000_000)


@contextmanager
def in_time(seconds: float = SECONDS) -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert seconds * 0.9 <= time.monotonic() - begun < seconds + 1


@pytest.mark.parametrize(
    "play",
    [
        pytest.param(forever(b""), id="silence"),
        pytest.param(forever(b"H", b"T", pause=0.02), id="status line"),
        pytest.param(forever(OK, b"X", pause=0.02), id="header"),
        pytest.param(forever(OK, b"X: y\r\n", pause=0.02), id="headers"),
        pytest.param(forever(CONTINUE, CONTINUE, pause=0.02), id="continue"),
        pytest.param(forever(OK + b"\r\n"), id="no body"),
        pytest.param(forever(OK + b"\r\n{", b" ", pause=0.02), id="body"),
        pytest.param(forever(OK + b"Content-Length: 1000\r\n\r\n{", b" ", pause=0.02), id="body with length"),
        pytest.param(forever(CHUNKED, b"1\r\n \r\n", pause=0.02), id="chunks"),
        pytest.param(forever(CHUNKED + b"1;", b"x", pause=0.02), id="chunk size"),
        pytest.param(forever(CHUNKED + b"0\r\n", b"X: y\r\n", pause=0.02), id="trailers"),
        pytest.param(forever(GZIPPED, gzip.compress(b""), pause=0.02), id="gzip members"),
    ],
)
def test_a_call_ends_at_its_deadline(play: Play) -> None:
    with provider(play) as idp, in_time():
        assert refused(within(), idp.url()) == "timeout"


def test_a_whole_answer_cut_off_by_the_deadline_is_no_answer() -> None:
    """Without a length an answer ends where its connection ends, and here the deadline ends it."""
    with provider(forever(OK + b"\r\n{}")) as idp, in_time():
        assert refused(within(), idp.url()) == "timeout"


def test_who_does_not_read_what_is_sent_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf, within().session() as session, in_time():
        with pytest.raises(ProviderUnreachable) as caught:
            session.post(f"http://127.0.0.1:{deaf.getsockname()[1]}/", data=b"x" * 30_000_000)
        assert caught.value.category == "timeout"


def test_a_name_service_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: over.wait(10) and [])
    with in_time():
        assert refused(within(), "https://login.example/") == "timeout"
    over.set()


def test_all_addresses_of_a_name_share_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[str] = []

    def hanging(line: Line, address: Any) -> None:
        tried.append(address[0])
        time.sleep(line.gettimeout() or 60)
        raise TimeoutError

    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found(*(f"93.184.216.{each}" for each in range(1, 9))))
    monkeypatch.setattr(socket.socket, "connect", hanging)
    with in_time():
        assert refused(Network(seconds=SECONDS), "https://login.example/") == "timeout"
    assert len(tried) > 6, "one that hangs leaves time for the others"


def test_a_call_leaves_no_thread_and_no_descriptor_behind() -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").is_dir() else 0

    with provider(answer()) as idp, provider(forever(b"")) as hung:
        network = within()
        network.get_json(idp.url())
        before, threads = descriptors(), set(threading.enumerate())
        for _ in range(5):
            network.get_json(idp.url())
        assert refused(network, hung.url()) == "timeout"
        ours = {
            each for each in threading.enumerate() if each not in threads and each not in idp.threads + hung.threads
        }
        for thread in [*idp.threads[1:], *hung.threads[1:], *ours]:
            thread.join(1)
        assert not [each for each in ours if each.is_alive()]
        assert descriptors() <= before


# Size


@pytest.mark.parametrize(
    "play",
    [
        pytest.param(answer(b" " * 10_000_000), id="10 MB"),
        pytest.param(forever(OK + b"\r\n", b" " * 65_536), id="endless"),
        pytest.param(forever(CHUNKED, b"10000\r\n" + b" " * 65_536 + b"\r\n"), id="chunks"),
        pytest.param(forever(CHUNKED, b"1\r\n \r\n" * 10_000), id="tiny chunks"),
        pytest.param(forever(CHUNKED + b"-1\r\n", b" " * 65_536), id="negative chunk"),
        pytest.param(forever(CHUNKED + b"0\r\n", b"X: y\r\n" * 10_000), id="trailers"),
        pytest.param(forever(CONTINUE, CONTINUE * 1_000), id="continue"),
        pytest.param(answer(BOMB, "Content-Encoding: gzip"), id="gzip bomb"),
        pytest.param(forever(GZIPPED, gzip.compress(b"") * 1_000), id="gzip members"),
    ],
)
def test_a_large_answer_is_not_read_to_its_end(play: Play | bytes) -> None:
    begun = time.monotonic()
    with provider(play) as idp:
        assert refused(Network(LOOPBACK, seconds=20), idp.url()) == "too_large"
        assert time.monotonic() - begun < 10


@pytest.mark.parametrize("line", [b"HTTP/1.1 200 " + b"x" * 70_000, b"X: " + b"y" * 70_000, b"X: y\r\n" * 200])
def test_large_headers_are_refused(line: bytes) -> None:
    with provider((b"" if line.startswith(b"HTTP") else OK) + line + b"\r\n\r\n") as idp:
        assert refused(within(), idp.url()) in {"unreachable", "too_large"}


@pytest.mark.parametrize("packed", [False, True])
def test_the_bound_is_on_what_is_read_in_the_end(*, packed: bool) -> None:
    network = Network(LOOPBACK, most_bytes=1_000)
    for size, fits in ((1_000, True), (1_001, False)):
        body = b'"' + b"x" * (size - 2) + b'"'
        said = answer(gzip.compress(body), "Content-Encoding: gzip") if packed else answer(body)
        with provider(said) as idp:
            if fits:
                assert len(network.get_json(idp.url())[0]) == size - 2
            else:
                assert refused(network, idp.url()) == "too_large"


@pytest.mark.parametrize("body", [gzip.compress(b"{}", mtime=0)[:-4], b"{}"], ids=["cut off", "not packed"])
def test_what_cannot_be_unpacked_is_unreachable(body: bytes) -> None:
    with provider(answer(body, "Content-Encoding: gzip")) as idp:
        assert refused(within(), idp.url()) == "unreachable"


def test_chunks_are_put_together() -> None:
    with provider(CHUNKED + b'2;x=y\r\n{"\r\n6\r\na": 1}\r\n0\r\nTrailer: x\r\n\r\n') as idp:
        assert within().get_json(idp.url())[0] == {"a": 1}


# TLS


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(private + made.public_bytes(Encoding.PEM))
    return path


def server_tls(path: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with provider(answer(), tls=server_tls(certificate(tmp_path, "localhost"))) as idp:
        assert refused(patient(), idp.url("localhost")) == "tls"
        with patient().session() as session:
            session.verify = False
            with pytest.raises(ProviderUnreachable, match="self-signed") as caught:
                session.get(idp.url("localhost"), verify=False)
            assert caught.value.category == "tls"
    assert idp.heard == []


def test_the_machine_vouches_for_a_company_s_own_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with provider(answer(), tls=server_tls(path)) as idp:
        assert patient().get_json(idp.url("localhost"))[0] == {}
        assert refused(patient(), idp.url("127.0.0.1")) == "tls", "the certificate is another name's"
    assert len(idp.heard) == 1


@pytest.mark.parametrize("scenario", ["drip", "bomb"])
def test_over_tls_time_and_size_are_bounded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: str) -> None:
    path = certificate(tmp_path, "localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    play = forever(OK + b"\r\n{", b" ", pause=0.02) if scenario == "drip" else forever(OK + b"\r\n", b" " * 65_536)
    with provider(play, tls=server_tls(path)) as idp:
        if scenario == "drip":
            with in_time():
                assert refused(within(), idp.url("localhost")) == "timeout"
        else:
            assert refused(Network(LOOPBACK), idp.url("localhost")) == "too_large"


def test_a_handshake_that_hangs_ends_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute, in_time():
        assert refused(within(), f"https://127.0.0.1:{mute.getsockname()[1]}/") == "timeout"


def test_a_handshake_that_drips_ends_at_the_deadline() -> None:
    def drip(line: Line) -> None:
        line.sendall(b"\x16\x03\x03\x40\x00")
        while True:
            line.sendall(b"\x02")
            time.sleep(0.02)

    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            line, _ = listening.accept()
            with line, suppress(OSError):
                drip(line)

        thread = threading.Thread(target=serve)
        thread.start()
        # A handshake may also be refused at once for what it contains; it must not outlast the deadline.
        begun = time.monotonic()
        assert refused(within(), f"https://127.0.0.1:{listening.getsockname()[1]}/") in {"timeout", "tls"}
        assert time.monotonic() - begun < SECONDS + 1
        thread.join(5)


def test_a_server_without_tls_is_told_as_such() -> None:
    def say_plain() -> None:
        line, _ = listening.accept()
        with line:
            line.recv(1_000)
            line.sendall(answer())

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=say_plain)
        thread.start()
        assert refused(patient(), f"https://127.0.0.1:{listening.getsockname()[1]}/") == "tls"
        thread.join(5)


# What the caller's surroundings have no say in


def test_proxies_and_netrc_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with provider(answer(b"[]")) as proxy, provider(answer()) as idp, within().session() as session:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, proxy.url())
            monkeypatch.setenv(name.upper(), proxy.url())
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert within().get_json(idp.url())[0] == {}
        session.proxies = {"http": proxy.url()}
        assert session.get(idp.url(), proxies={"http": proxy.url()}).json() == {}
    assert proxy.came == 0
    assert all(b"authorization" not in heard.lower() for heard in idp.heard)


def test_a_session_keeps_no_cookie_and_no_connection() -> None:
    with provider(answer(b"{}", "Set-Cookie: a=b; Path=/")) as idp, within().session() as session:
        for _ in range(2):
            assert session.get(idp.url()).status_code == 200
        assert not session.cookies
    assert idp.came == 2
    assert all(b"cookie" not in heard.lower() for heard in idp.heard)


def test_nothing_is_tried_twice() -> None:
    with provider(b"") as idp:
        assert refused(within(), idp.url()) == "unreachable"
    assert idp.came == 1


def test_no_adapter_of_a_session_goes_round_the_guard() -> None:
    with provider(answer()) as idp, requests.Session() as session:
        session.mount("http://127.0.0.1", requests.adapters.HTTPAdapter())
        assert Network().guard(session) is session
        with pytest.raises(ProviderUnreachable):
            session.get(idp.url())
        prepared = requests.Request("GET", "http://login.example/").prepare()
        for url in ("ftp://login.example/", "https://user@login.example/", "https://login.example:x/"):
            prepared.url = url
            with pytest.raises(ProviderUnreachable) as caught:
                session.send(prepared)
            assert caught.value.category == "address"
    assert idp.came == 0


# Authlib


def client(network: Network) -> OAuth2Session:
    return network.guard(OAuth2Session("us", "secret", default_timeout=60))


def test_authlib_fetches_a_token_through_the_guard() -> None:
    with provider(answer(b'{"access_token": "t", "token_type": "Bearer"}')) as idp, client(within()) as session:
        token = session.fetch_token(idp.url(), grant_type="authorization_code", code="c", code_verifier="v" * 43)
        assert token["access_token"] == "t"
        assert session.get(idp.url()).json()["token_type"] == "Bearer"
    asked, userinfo = idp.heard
    assert asked.startswith(b"POST /x ")
    assert b"code=c" in asked
    assert b"Authorization: Bearer t\r\n" in userinfo


@pytest.mark.parametrize(
    ("said", "category"),
    [
        (answer(b"{}", status="503 Later"), "status"),
        (answer(b"<html>"), "not_json"),
        (answer(b"<html>", status="429 Slow"), "not_json"),
        (answer(b"", "Location: http://169.254.169.254/", status="302 Found"), "redirect"),
        (answer(b" " * 1_000_000), "too_large"),
        (forever(b""), "timeout"),
    ],
)
def test_what_fails_under_authlib_is_told_in_our_words(said: Play | bytes, category: str) -> None:
    with provider(said) as idp, client(within()) as session:
        with pytest.raises(ProviderUnreachable) as caught:
            session.fetch_token(idp.url(), code="c")
        assert caught.value.category == category


@pytest.mark.parametrize("endpoint", ["token", "ftp://x/", "http://169.254.169.254/latest", "https://localhost/"])
def test_authlib_calls_no_endpoint_that_the_guard_refuses(endpoint: str) -> None:
    with client(Network()) as session, pytest.raises(ProviderUnreachable) as caught:
        session.fetch_token(endpoint, code="c")
    assert caught.value.category == "address"


# Slots


def test_slots_are_taken_at_once_or_not_at_all() -> None:
    network = Network(slots=2)
    begun = time.monotonic()
    with network.slot(), network.slot(), pytest.raises(ProviderBusy), network.slot():
        pytest.fail("there were two")
    assert time.monotonic() - begun < 0.1
    with pytest.raises(KeyError), network.slot():
        raise KeyError
    with network.slot(), network.slot():
        pass


def test_hung_providers_leave_the_others_alone() -> None:
    network = Network(LOOPBACK, seconds=SECONDS, slots=1)
    outcomes: list[str] = []

    def hang() -> None:
        with network.slot():
            taken.set()
            outcomes.append(refused(network, hung.url()))

    taken = threading.Event()
    with provider(forever(b"")) as hung:
        thread = threading.Thread(target=hang)
        thread.start()
        assert taken.wait(5)
        with pytest.raises(ProviderBusy), network.slot():
            pytest.fail("it was taken")
        thread.join(5)
    assert outcomes == ["timeout"]
    with network.slot():
        pass


# The setting


def test_networks_are_read() -> None:
    assert [str(each) for each in networks(" 10.0.0.0/8, ::1/128,192.0.2.7 ,")] == [
        "10.0.0.0/8",
        "::1/128",
        "192.0.2.7/32",
    ]
    assert networks("") == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("10.0.0.1/8", "the network is 10.0.0.0/8"),
        ("10.0.0.0/8, intranet", "'intranet' is not a network; write it like 10.0.0.0/8"),
        ("10.0.0.0/8;::1", "is not a network"),
        ("10.0.0.0/33", "is not a network"),
    ],
)
def test_what_is_no_network_is_named(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        networks(text)
