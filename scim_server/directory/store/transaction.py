"""Transactions, each bound to one tenant when it is opened.

Statements name ``:tenant`` and a transaction fills it in; no verb handles a tenant id, so none can mistake
one for another.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ...protocol.filters import instant
from ..actor import Actor
from .engine import Database, Link, Row, Statement


class Tx:
    """A look at, or a change to, one tenant.

    ``now`` is one moment for the whole transaction, as UTC text. ``deviations`` are what the request was
    forgiven; they end up on its audit record. ``begun`` is the reading of ``time.perf_counter`` when the request
    came in.
    """

    __slots__ = ("_link", "_now", "actor", "after_commit", "begun", "database", "deviations", "request_id", "tenant")

    def __init__(
        self,
        database: Database,
        actor: Actor,
        link: Link | None = None,
        *,
        request_id: str | None = None,
        deviations: Sequence[str] = (),
        begun: float | None = None,
    ) -> None:
        self.database, self.actor, self.tenant = database, actor, actor.tenant
        self._link: Link | Database = link or database
        self.request_id, self.deviations = request_id, deviations
        self.begun = time.perf_counter() if begun is None else begun
        self.after_commit: list[Callable[[], None]] = []
        self._now: str | None = None

    @property
    def now(self) -> str:
        if self._now is None:
            self._now = instant(datetime.now(UTC))
        return self._now

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        parameters["tenant"] = self.tenant
        return self._link.run(statement, parameters).rows

    def one(self, statement: Statement, **parameters: Any) -> Row | None:
        parameters["tenant"] = self.tenant
        return self._link.run(statement, parameters).fetchone()

    def do(self, statement: Statement, **parameters: Any) -> int:
        """Run a change and return how many rows it touched."""
        parameters["tenant"] = self.tenant
        return self._link.run(statement, parameters).rowcount

    def do_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        """Run a change for several rows; only inside ``write``."""
        assert isinstance(self._link, Link)
        if rows:
            self._link.run_many(statement, [{**row, "tenant": self.tenant} for row in rows])


def read(database: Database, actor: Actor) -> Tx:
    """Look without a transaction: each statement sees what is committed when it runs."""
    return Tx(database, actor)


@contextmanager
def write(
    database: Database,
    actor: Actor,
    *,
    request_id: str | None = None,
    deviations: Sequence[str] = (),
    begun: float | None = None,
) -> Iterator[Tx]:
    """Change: everything inside is committed together, or on any exception not at all."""
    with database.transaction() as link:
        tx = Tx(database, actor, link, request_id=request_id, deviations=deviations, begun=begun)
        yield tx
    for each in tx.after_commit:
        each()
