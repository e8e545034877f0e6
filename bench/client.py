"""A small HTTP client: a few connections kept open, one request outstanding on each."""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable


def hammer(
    port: int, request: Callable[[int], bytes], seconds: float, connections: int = 4
) -> tuple[float, list[float]]:
    """Send requests for a while; returns answers per second and the seconds that each answer took.

    ``request`` gives the bytes of the n-th request. Raises AssertionError on an answer that is not 2xx.
    """
    selector = selectors.DefaultSelector()
    sent = 0
    times: list[float] = []
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    begun = time.perf_counter()
    for each in sockets:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        each.sendall(request(sent))
        selector.register(each, selectors.EVENT_READ, [time.perf_counter(), b""])
        sent += 1
    until = begun + seconds
    open_requests = connections
    while open_requests:
        for key, _ in selector.select():
            state = key.data
            state[1] += key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
            if not _complete(state[1]):
                continue
            now = time.perf_counter()
            assert state[1][9:10] == b"2", state[1][:500]
            times.append(now - state[0])
            if now >= until:
                open_requests -= 1
                selector.unregister(key.fileobj)
                continue
            state[0], state[1] = now, b""
            key.fileobj.sendall(request(sent))  # type: ignore[union-attr]
            sent += 1
    elapsed = time.perf_counter() - begun
    for each in sockets:
        each.close()
    selector.close()
    return len(times) / elapsed, times


def _complete(answer: bytes) -> bool:
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    at = answer.find(b"content-length: ", 0, head)
    if at < 0:
        return True
    length = int(answer[at + 16 : answer.index(b"\r\n", at)])
    return len(answer) >= head + 4 + length
