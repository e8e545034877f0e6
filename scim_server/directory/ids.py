"""Identifiers: UUIDv7 text (RFC 9562 §5.7), so that newer ids sort later."""

import os
import re
import time
import uuid
from datetime import datetime

_SHAPE = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def new_id() -> str:
    """A new id. The 12 bits after the milliseconds count quarter microseconds (RFC 9562 §6.2, method 3)."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = (rest << 12) // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=milliseconds << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random))


def first_id(moment: datetime) -> str:
    """What no id that was made at or after a moment sorts before."""
    return str(uuid.UUID(int=int(moment.timestamp() * 1000) << 80 | 0x7 << 76 | 0b10 << 62))


def is_id(text: str) -> bool:
    """Whether a text can be an id of ours at all; everything else is unknown without asking the database."""
    return _SHAPE.fullmatch(text) is not None
