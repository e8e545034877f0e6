"""A desk at which the verbs of the directory are tried, and a crowd of people to try them on."""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from scim_server.directory import audit, connections, groups, tenants, tokens, users
from scim_server.directory.actor import Actor, at_command_line
from scim_server.directory.store import documents, members
from scim_server.directory.store.engine import Database, Statement
from scim_server.directory.store.transaction import Tx, read, write
from scim_server.protocol import operations
from scim_server.protocol.operations import Operation
from scim_server.protocol.render import Stored
from scim_server.protocol.schemas import RESOURCE_TYPES
from scim_server.protocol.senders import Sender
from tests.running import PATCH_OP


class Desk:
    """Somebody with a connection in a tenant of their own; every method is one transaction."""

    def __init__(self, database: Database, tenant: str, connection: str = "main") -> None:
        self.database = database
        known = {each.name: each for each in tenants.every(database)}
        self.tenant = known.get(tenant) or tenants.create(database, tenant)
        with write(database, at_command_line(self.tenant.id)) as tx:
            self.connection = connections.ensure(tx, connection)
        self.actor = Actor(
            tenant=self.tenant.id,
            door="scim",
            name="token:test",
            connection=self.connection.id,
            connection_name=connection,
            scopes=frozenset(tokens.SCOPES),
        )

    def write(self, **request: Any) -> AbstractContextManager[Tx]:
        return write(self.database, self.actor, **request)

    def look(self) -> Tx:
        return read(self.database, self.actor)

    def user(self, name: str, **attributes: Any) -> Stored:
        with self.write() as tx:
            return users.create(tx, {"userName": name, **attributes})

    def group(self, name: str, *members: str) -> Stored:
        with self.write() as tx:
            return groups.create(tx, {"displayName": name, "members": [{"value": each} for each in members]}, Sender())

    def patch_user(self, user_id: str, *changes: dict[str, Any]) -> Stored:
        with self.write() as tx:
            return users.patch(tx, user_id, patch("User", *changes), Sender())

    def patch_group(self, group_id: str, *changes: dict[str, Any]) -> Stored:
        with self.write() as tx:
            return groups.patch(tx, group_id, patch("Group", *changes), Sender())

    def members(self, group_id: str) -> set[str]:
        related = groups.get(self.look(), group_id).related or []
        return {each.id for each in related}

    def groups_of(self, user_id: str) -> dict[str, str]:
        """The groups of a user by name, each with ``direct`` or ``indirect``."""
        return {each.display: each.type for each in users.get(self.look(), user_id).related or []}

    def audit(self, target: str) -> list[dict[str, Any]]:
        """The records about a resource, oldest first."""
        return audit.of(self.look(), target)[::-1]

    def actions(self, target: str) -> list[str]:
        return [each["action"] for each in self.audit(target)]

    def events(self, target: str) -> list[tuple[str, Any]]:
        """The events about a resource, oldest first: type and data."""
        sql = "SELECT type, data FROM events WHERE target = :target ORDER BY id"
        return [(kind, json.loads(data)) for kind, data in rows(self.database, sql, target=target)]


def rows(database: Database, sql: str, **parameters: Any) -> list[tuple[Any, ...]]:
    """The answer to a statement of the test's own, whose parameters read ``:name``."""
    return database.run(Statement(sql), parameters).fetchall()


def patch(kind: str, *changes: dict[str, Any]) -> list[Operation]:
    """PATCH operations as a door hands them to a verb."""
    body = {"schemas": [PATCH_OP], "Operations": list(changes)}
    return operations.read(RESOURCE_TYPES[kind], body, Sender())


def crowd(tx: Tx, number: int, name: str = "crowd") -> tuple[list[str], str]:
    """That many people, and a group of them all: rows alone, neither audited nor told, which is much quicker."""
    made = [_person(tx, f"{name}-{n}") for n in range(number)]
    group = documents.insert(tx, "Group", {"displayName": name}).id
    documents.count(tx, "User", number)
    documents.count(tx, "Group", 1)
    members.add(tx, group, dict.fromkeys(made))
    return made, group


def _person(tx: Tx, name: str) -> str:
    document = {"userName": name, "active": True, "externalId": f"x-{name}", "emails": [{"value": f"{name}@x.example"}]}
    return documents.insert(tx, "User", document).id


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """Everything that is asked of the database inside the block."""
    seen: list[str] = []
    database.observers.append(seen.append)
    try:
        yield seen
    finally:
        database.observers.remove(seen.append)
