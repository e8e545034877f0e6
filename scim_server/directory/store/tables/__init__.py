"""Every table. Moments are fixed-width UTC text, whose order is the order of time on every database.

A resource is one row, whatever its kind: users and groups share identity, version, text and index, and
memberships, external ids and the search over both kinds need not care which is which.

``directory``  who exists; ``login``  how they get in.
"""

from . import login
from .base import metadata
from .directory import PREFIX, entries, external_ids, memberships, resources

__all__ = ["PREFIX", "entries", "external_ids", "login", "memberships", "metadata", "resources"]
