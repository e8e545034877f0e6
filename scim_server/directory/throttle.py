"""Failed passwords are counted, so that guessing is slow, without locking the owner out (OWASP ASVS 5.0.0, 6.3.1).

Counted by account and address together, by address, and by account. Only the first two stop an owner's own
browser; the third stops strangers' addresses and spares those from which the owner has been let in.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from ..protocol.filters import instant
from . import minting
from .store.engine import Database, Statement

WINDOW = timedelta(minutes=15)

_BLOCKED = Statement("""
    SELECT max(t.blocked_until) FROM throttles t WHERE t.key IN ({ids}) AND t.blocked_until > :now""")
_COUNT = Statement("""
    INSERT INTO throttles (key, failures, since) VALUES (:key, 1, :now)
    ON CONFLICT (key) DO UPDATE SET
      failures = CASE WHEN throttles.since < :before THEN 1 ELSE throttles.failures + 1 END,
      since = CASE WHEN throttles.since < :before THEN :now ELSE throttles.since END
    RETURNING failures""")
_BLOCK = Statement("UPDATE throttles SET blocked_until = :until WHERE key = :key")
_FORGET = Statement("DELETE FROM throttles WHERE key = :key")
_DROP_OLD = Statement("""
    DELETE FROM throttles WHERE since < :before AND (blocked_until IS NULL OR blocked_until < :now)""")


class Scale(NamedTuple):
    """What is counted, and how many failures within the window are free."""

    key: str
    free: int


def scales(tenant: str, name: str, address: str, *, known_address: bool) -> list[Scale]:
    """What a try with this name from this address is counted on; names need not exist."""
    place = network_of(address)
    found = [Scale(_key("both", tenant, name, place), 5), Scale(_key("address", place), 50)]
    if not known_address:
        found.append(Scale(_key("account", tenant, name), 100))
    return found


def network_of(address: str) -> str:
    """Where an address is: of IPv6 a whole /64 belongs to whoever has one of its addresses (RFC 6177)."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(IPv6Network((int(found), 64), strict=False)) if isinstance(found, IPv6Address) else address


def blocked_until(database: Database, counted: Iterable[Scale]) -> datetime | None:
    """Until when a try is refused unseen; None lets it through."""
    keys = "[" + ",".join(f'"{each.key}"' for each in counted) + "]"
    row = database.run(_BLOCKED, {"ids": keys, "now": instant(datetime.now(UTC))}).fetchone()
    return datetime.fromisoformat(row[0]) if row and row[0] else None


def failed(database: Database, counted: Iterable[Scale]) -> None:
    """Count a failure: past the free ones each doubles the wait, from one second to the whole window."""
    now = datetime.now(UTC)
    before = instant(now - WINDOW)
    database.run(_DROP_OLD, {"before": before, "now": instant(now)})
    for each in counted:
        row = database.run(_COUNT, {"key": each.key, "now": instant(now), "before": before}).fetchone()
        over = int(row[0]) - each.free if row else 0
        if over >= 0:
            wait = min(timedelta(seconds=2 ** min(over, 10)), WINDOW)
            database.run(_BLOCK, {"key": each.key, "until": instant(now + wait)})


def succeeded(database: Database, counted: Iterable[Scale]) -> None:
    """Forget the failures of this account from this address."""
    database.run(_FORGET, {"key": next(iter(counted)).key})


def _key(*parts: str) -> str:
    return minting.hashed("\x00".join(parts))
