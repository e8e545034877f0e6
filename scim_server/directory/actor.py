"""Who acts, through which door, in which tenant."""

from __future__ import annotations

import getpass
import os
from typing import NamedTuple


class Actor(NamedTuple):
    """Whoever a transaction is opened for. ``name`` is what the audit record says.

    A SCIM actor carries its connection and how that connection wants to be treated: ``strict`` refuses
    every deviation, ``group_patch_status`` is 204 or 200.
    """

    tenant: str
    door: str
    name: str
    connection: str | None = None
    connection_name: str = ""
    scopes: frozenset[str] = frozenset()
    strict: bool = False
    group_patch_status: int = 204

    def may(self, scope: str) -> bool:
        """Whether a scope such as ``scim:write`` was granted."""
        return scope in self.scopes


def at_command_line(tenant: str) -> Actor:
    """Whoever sits at the command line of the server's machine."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that has no name
        name = str(os.getuid())
    return Actor(tenant=tenant, door="cli", name=f"cli:{name}")
