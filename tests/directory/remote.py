"""A client that speaks to the real program, from as many threads as a test likes."""

import http.client
import json
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from tests.running import Answer, Running, Scim

CLIENTS = 16
_NONE: Mapping[str, str] = {}

Item = TypeVar("Item")
Got = TypeVar("Got")


class Remote(Scim):
    """``Scim`` over HTTP, with a new connection for each request, so that both workers get some."""

    def __init__(self, running: Running, token: str | None = None) -> None:
        super().__init__(None, token or running.token)
        self.root = running.root

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Answer:
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/scim+json", **(headers or {})}
        url = f"/scim/v2{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        return self.send(method, url, None if body is None else json.dumps(body).encode(), sent)

    def send(self, method: str, url: str, body: bytes | None = None, headers: Mapping[str, str] = _NONE) -> Answer:
        """Any request to the server, with the headers that are given and no others."""
        with closing(http.client.HTTPConnection(self.root.removeprefix("http://"), timeout=30)) as wire:
            wire.request(method, url, body, dict(headers))
            answer = wire.getresponse()
            told = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, told, answer.read())


def at_once(work: Callable[[Item], Got], items: Iterable[Item]) -> list[Got]:
    """Do something with every item, each in a thread, all of which start together."""
    listed = list(items)
    gate = threading.Barrier(len(listed))

    def started(item: Item) -> Got:
        gate.wait()
        return work(item)

    with ThreadPoolExecutor(len(listed)) as pool:
        return list(pool.map(started, listed))
