"""The outbox: each change writes its events beside it, in the same transaction, for whoever delivers them."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from .ids import new_id
from .store.engine import Statement
from .store.transaction import Tx

_INSERT = Statement("""
    INSERT INTO events (tenant, id, at, type, target, data) VALUES (:tenant, :id, :at, :type, :target, :data)""")


def append(tx: Tx, events: Mapping[str, object], target: str) -> None:
    """Append one event per entry: its type, such as ``user.deactivated``, and its data."""
    tx.do_many(
        _INSERT,
        [
            {"id": new_id(), "at": tx.now, "type": kind, "target": target, "data": orjson.dumps(data).decode()}
            for kind, data in events.items()
        ],
    )
