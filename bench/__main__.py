"""``python -m bench``: measure the hot requests against the floor, in turns, and print the ratios.

--people N     how many people the directory holds (default 1000)
--group N      size of the large group that a member is added to and removed from (default 10000)
--database U   SQLAlchemy URL of an empty database (default: a new SQLite file)
--seconds S    length of one measurement (default 1), of which each request gets --rounds (default 5)
--json FILE    write the figures there too
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from scim_server.directory import connections, groups, sessions, standing, tenants, tokens
from scim_server.directory.actor import Actor, at_command_line
from scim_server.directory.sessions import Lifetimes, Origin
from scim_server.directory.store import migrate
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import write
from scim_server.protocol.senders import Sender

from . import people
from .client import hammer

PORT, FLOOR_PORT = 8471, 8472
Requests = Callable[[int], bytes]


def main() -> None:
    """Run the suite."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        url = options.database or f"sqlite:///{folder}/bench.db"
        print(f"loading {options.people} people …", file=sys.stderr)
        prepared = _prepare(url, options.people, options.group)
        with _server(url, folder, "scim_server.app:wsgi", PORT), _server(url, folder, "bench.floor:wsgi", FLOOR_PORT):
            figures = _measure(_scenarios(prepared), options.seconds, options.rounds)
    _report(figures, options, url)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--people", type=int, default=1_000)
    parser.add_argument("--group", type=int, default=10_000)
    parser.add_argument("--database", default="")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _prepare(url: str, count: int, group_size: int) -> dict[str, Any]:
    """Load the directory: people, a group of ten, a large group."""
    migrate.upgrade(url)
    database = Database(url)
    tenant = tenants.ensure_default(database)
    with write(database, at_command_line(tenant.id)) as tx:
        owner = connections.ensure(tx, connections.DEFAULT)
        token, _ = tokens.issue(tx, owner, "bench", expires_in=timedelta(days=1))
    actor = Actor(tenant=tenant.id, door="cli", name="bench", connection=owner.id)
    with write(database, actor) as tx:
        ids = people.load(tx, 0, max(count, group_size + 2) if group_size > count else count)
        small = groups.create(tx, {"displayName": "small"}, Sender()).id
        large = groups.create(tx, {"displayName": "large"}, Sender()).id
        people.join(tx, small, ids[:10])
        people.join(tx, large, ids[:group_size])
        session = sessions.open_for(tx, standing.hold(tx, ids[0]), Origin("bench"), Lifetimes())
    database.run_sql("ANALYZE")
    if not database.is_sqlite:
        database.run_sql("ANALYZE")  # as PostgreSQL does by itself, within a minute
    database.close()
    return {"tenant": tenant.id, "token": token, "ids": ids, "small": small, "large": large, "session": session}


@contextmanager
def _server(url: str, folder: str, target: str, port: int) -> Iterator[None]:
    """The same HTTP server for both: one worker, one thread."""
    environment = os.environ | {
        "SCIM_SERVER_DATABASE_URL": url,
        "SCIM_SERVER_DATA_DIR": folder,
        "PROMETHEUS_MULTIPROC_DIR": folder,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    command = [sys.executable, "-m", "granian", "--interface", "wsgi", "--factory", "--workers", "1"]
    command += ["--blocking-threads", "1", "--port", str(port), "--log-level", "warning", target]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1).close()
                break
            except urllib.error.HTTPError:
                break
            except (urllib.error.URLError, ConnectionError):
                time.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def _scenarios(prepared: dict[str, Any]) -> list[tuple[str, int, Requests]]:
    ids, token = prepared["ids"], prepared["token"]
    some = ids[:: max(1, len(ids) // 997)]
    others = some[1:]  # the first one is logged in
    head = f"Host: 127.0.0.1\r\nAuthorization: Bearer {token}\r\nAccept: application/scim+json\r\n"

    def get(path: Callable[[int], str]) -> Requests:
        return lambda n: f"GET /scim/v2{path(n)} HTTP/1.1\r\n{head}\r\n".encode()

    def patch(group: str) -> Requests:
        def request(n: int) -> bytes:
            member = {"value": ids[-1 - (n // 2) % 2]}
            op = {"op": "remove" if n % 2 else "add", "path": "members", "value": [member]}
            body = json.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [op]})
            lines = f"PATCH /scim/v2/Groups/{group} HTTP/1.1\r\n{head}Content-Type: application/scim+json\r\n"
            return f"{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()

        return request

    def switch(n: int) -> bytes:
        """Somebody is deactivated, and at the next request active again."""
        op = {"op": "replace", "path": "active", "value": bool(n % 2)}
        body = json.dumps({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [op]})
        path = f"/scim/v2/Users/{others[n // 2 % len(others)]}"
        lines = f"PATCH {path} HTTP/1.1\r\n{head}Content-Type: application/scim+json\r\n"
        return f"{lines}Content-Length: {len(body)}\r\n\r\n{body}".encode()

    def numbered(n: int) -> int:
        return n * 7919 % len(ids)

    floor = f"/{prepared['tenant']}/"
    return [
        ("floor", FLOOR_PORT, lambda n: f"GET {floor}{some[n % len(some)]} HTTP/1.1\r\nHost: x\r\n\r\n".encode()),
        ("GET user", PORT, get(lambda n: f"/Users/{some[n % len(some)]}")),
        (
            "filter userName eq",
            PORT,
            get(lambda n: f"/Users?filter=userName%20eq%20%22person{numbered(n)}%40corp.example%22"),
        ),
        (
            "filter externalId eq",
            PORT,
            get(lambda n: f"/Users?filter=externalId%20eq%20%22external-{numbered(n)}%22"),
        ),
        ("list of 100", PORT, get(lambda n: f"/Users?startIndex={1 + n % 5 * 100}&count=100")),
        ("PATCH member, group of 10", PORT, patch(prepared["small"])),
        ("PATCH member, large group", PORT, patch(prepared["large"])),
        ("PATCH active off and on", PORT, switch),
        (
            "GET /auth/verify",
            PORT,
            lambda _: (
                f"GET /auth/verify HTTP/1.1\r\nHost: x\r\nCookie: scim_session={prepared['session']}\r\n\r\n".encode()
            ),
        ),
    ]


def _measure(scenarios: list[tuple[str, int, Requests]], seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """Every scenario once per round, so that a disturbance of the machine falls on all of them."""
    rates: dict[str, list[float]] = {name: [] for name, _, _ in scenarios}
    times: dict[str, list[float]] = {name: [] for name, _, _ in scenarios}
    for _ in range(rounds):
        for name, port, request in scenarios:
            rate, taken = hammer(port, request, seconds)
            rates[name].append(rate)
            times[name] += taken
    floor = statistics.median(rates["floor"])
    return {
        name: {
            "per_second": statistics.median(found),
            "of_floor": statistics.median(found) / floor,
            "p50_ms": statistics.median(times[name]) * 1000,
            "p99_ms": statistics.quantiles(times[name], n=100)[98] * 1000,
        }
        for name, found in rates.items()
    }


def _report(figures: dict[str, dict[str, float]], options: argparse.Namespace, url: str) -> None:
    print(f"{'':28}{'per second':>12}{'of floor':>10}{'p50 ms':>9}{'p99 ms':>9}")
    for name, row in figures.items():
        print(f"{name:28}{row['per_second']:>12.0f}{row['of_floor']:>9.0%} {row['p50_ms']:>8.2f} {row['p99_ms']:>8.2f}")
    one, hundred = figures["GET user"]["per_second"], figures["list of 100"]["per_second"]
    print(f"\nlist of 100 takes {one / hundred:.1f} times a GET (target: at most 3)")
    small, large = (figures[f"PATCH member, {name}"]["per_second"] for name in ("group of 10", "large group"))
    print(f"PATCH of a member in the large group takes {small / large:.2f} times that in a group of ten (target: 1.2)")
    if options.json:
        about = {
            "people": options.people,
            "group": options.group,
            "database": url.partition(":")[0],
            "python": platform.python_version(),
            "machine": f"{os.cpu_count()} cores",
        }
        options.json.write_text(json.dumps({"about": about, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
