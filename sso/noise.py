"""Strangers at the door: what they bring about is written down, but only so often for each place that they come from.

An answer to a login that nobody began, or a link that nobody was given, costs a stranger one request; it must not
cost us a row in the database each time. Beyond the bound it is counted and logged alone. Kept in each process.
"""

from __future__ import annotations

import threading
import time

from scim_server.directory.throttle import network_of

_WINDOW = 900.0  # seconds
_FREE = 20
_PLACES = 10_000


class Noise:
    """Counts refusals that are about nobody, by the network they come from."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted: dict[str, tuple[float, int]] = {}

    def is_worth_a_line(self, address: str) -> bool:
        """Whether one more from there is written down."""
        place, now = network_of(address), time.monotonic()
        with self._lock:
            since, count = self._counted.get(place, (now, 0))
            if now - since > _WINDOW:
                since, count = now, 0
            if len(self._counted) >= _PLACES and place not in self._counted:
                self._counted.clear()
            self._counted[place] = (since, count + 1)
        return count < _FREE
