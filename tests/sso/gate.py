"""Where proofs are tried on accounts: a tenant with one connection that pushes people and lets them log in."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

from scim_server.directory import connections, linking, sso_connections
from scim_server.directory.actor import Actor, at_command_line
from scim_server.directory.identities import Proof
from scim_server.directory.linking import VERIFIED_EMAIL, Found, NoAccount
from scim_server.directory.sso_connections import SsoConnection, SsoSettings
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx, write
from tests.directory.desk import Desk, rows

ADA = "ada@corp.example"
HASH = "$argon2id$kept"  # of a password that nobody gives


def connect(tx: Tx, name: str = "idp", kind: str = "oidc", **chosen: Any) -> SsoConnection:
    """A connection with both halves: it pushes, and people log in with it."""
    held = connections.ensure(tx, name)
    return sso_connections.create(
        tx, held, kind, issuer=f"https://{name}.example", client_id="us", client_secret="sealed",
        settings=SsoSettings(**chosen),
    )  # fmt: skip


def proven(subject: str = "s-1", email: str | None = ADA, **rest: Any) -> Proof:
    return Proof(subject, "https://idp.example", email, **{"proven": True, **rest})


class Gate:
    """A tenant with one login connection; every method is one transaction."""

    def __init__(self, database: Database, name: str = "ours", **chosen: Any) -> None:
        self.database = database
        self.desk = Desk(database, name, "idp")
        with self.write() as tx:
            self.sso = connect(tx, **chosen)

    def write(self) -> AbstractContextManager[Tx]:
        return write(self.database, Actor(tenant=self.desk.tenant.id, door="sso", name="login"))

    def enter(self, proof: Proof, sso: SsoConnection | None = None, **rest: Any) -> Found:
        with self.write() as tx:
            return linking.find(
                tx, sso or self.sso, proof, **{"policy": VERIFIED_EMAIL, "passwords_work": True, **rest}
            )

    def refusal(self, proof: Proof, sso: SsoConnection | None = None, **rest: Any) -> str:
        before = self.linked()
        with pytest.raises(NoAccount) as refused:
            self.enter(proof, sso, **rest)
        assert self.linked() == before
        return refused.value.reason

    def linked(self) -> dict[str, str]:
        """Which subject is whom."""
        return dict(rows(self.database, "SELECT subject, user_id FROM identities ORDER BY subject"))

    def change(self, verb: Callable[..., Any], *rest: Any, **named: Any) -> Any:
        """One verb of the directory, as at the command line."""
        with write(self.database, at_command_line(self.desk.tenant.id)) as tx:
            return verb(tx, *rest, **named)
