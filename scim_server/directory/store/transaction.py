"""Transactions, each bound to one tenant when it is opened.

Statements name ``:tenant`` and a transaction fills it in; no verb handles a tenant id, so none can mistake
one for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from ...protocol.filters import instant
from ..actor import Actor
from .engine import Database, Row, Statement


class Tx:
    """A look at, or a change to, one tenant.

    ``now`` is one moment for the whole transaction, as UTC text. ``deviations`` are what the request was
    forgiven; they end up on its audit record.
    """

    __slots__ = ("actor", "database", "deviations", "now", "request_id", "tenant")

    def __init__(
        self, database: Database, actor: Actor, request_id: str | None = None, deviations: Sequence[str] = ()
    ) -> None:
        self.database, self.actor, self.tenant = database, actor, actor.tenant
        self.request_id, self.deviations = request_id, deviations
        self.now = instant(datetime.now(UTC))

    def all(self, statement: Statement, **parameters: Any) -> list[Row]:
        return self.database.run(statement, {**parameters, "tenant": self.tenant}).fetchall()

    def one(self, statement: Statement, **parameters: Any) -> Row | None:
        return self.database.run(statement, {**parameters, "tenant": self.tenant}).fetchone()

    def do(self, statement: Statement, **parameters: Any) -> int:
        """Run a change and return how many rows it touched."""
        return self.database.run(statement, {**parameters, "tenant": self.tenant}).rowcount

    def do_many(self, statement: Statement, rows: Sequence[Mapping[str, Any]]) -> None:
        if rows:
            self.database.run_many(statement, [{**row, "tenant": self.tenant} for row in rows])


def read(database: Database, actor: Actor) -> Tx:
    """Look without a transaction: each statement sees what is committed when it runs."""
    return Tx(database, actor)


@contextmanager
def write(
    database: Database, actor: Actor, *, request_id: str | None = None, deviations: Sequence[str] = ()
) -> Iterator[Tx]:
    """Change: everything inside is committed together, or on any exception not at all."""
    database.begin()
    try:
        yield Tx(database, actor, request_id, deviations)
        database.commit()
    except BaseException:
        if database.in_transaction:
            database.rollback()
        raise
