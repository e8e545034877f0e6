"""Invented people and groups, written straight into the tables: a million take a minute or two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from scim_server.directory.ids import new_id
from scim_server.directory.store import documents
from scim_server.directory.store.documents import _ADD_ENTRY, _INSERT, _SET_EXTERNAL
from scim_server.directory.store.engine import Statement
from scim_server.directory.store.tables import PREFIX
from scim_server.directory.store.transaction import Tx
from scim_server.protocol import render
from scim_server.protocol.documents import Document, arranged
from scim_server.protocol.schemas import ENTERPRISE, USER

BATCH = 5_000

_JOIN = Statement("""
    INSERT INTO memberships (tenant, group_id, member_id, member_kind, created)
    VALUES (:tenant, :group, :member, 'User', :now)""")


def person(number: int) -> Document:
    """A person of about 1.2 KB, as an identity provider would push one."""
    name = f"person{number}"
    return {
        "userName": f"{name}@corp.example",
        "externalId": f"external-{number}",
        "displayName": f"Person Number {number}",
        "name": {"formatted": f"Person {number}", "familyName": f"Number{number}", "givenName": "Person"},
        "title": "Harbour pilot",
        "preferredLanguage": "en-GB",
        "locale": "en-GB",
        "timezone": "Europe/Berlin",
        "active": True,
        "emails": [
            {"value": f"{name}@corp.example", "type": "work", "primary": True},
            {"value": f"{name}@home.example", "type": "home"},
        ],
        "phoneNumbers": [{"value": f"+49 30 {number:08}", "type": "work"}],
        "addresses": [{"streetAddress": f"Quay {number}", "locality": "Hamburg", "country": "DE", "type": "work"}],
        ENTERPRISE: {"employeeNumber": str(number), "department": f"Dock {number % 50}", "costCenter": "4711"},
    }


def load(tx: Tx, first: int, count: int) -> list[str]:
    """Write ``count`` people numbered from ``first``; returns their ids."""
    ids: list[str] = []
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        people = [(new_id(), arranged(USER, person(number))) for number in numbers]
        tx.do_many(_INSERT, [_row(tx, each, document) for each, document in people])
        tx.do_many(_ADD_ENTRY, [row for each, document in people for row in _entries(each, document)])
        connection = tx.actor.connection
        tx.do_many(
            _SET_EXTERNAL,
            [{"resource": each, "connection": connection, "value": d["externalId"]} for each, d in people],
        )
        ids += [each for each, _ in people]
    documents.count(tx, "User", count)
    return ids


def join(tx: Tx, group: str, members: list[str]) -> None:
    """Make people members of a group."""
    tx.do_many(_JOIN, [{"group": group, "member": member, "now": tx.now} for member in members])


def _row(tx: Tx, resource_id: str, document: Document) -> dict[str, Any]:
    made = render.index(USER, document)
    return {
        "id": resource_id,
        "kind": "User",
        "now": tx.now,
        "name": made.name,
        "display": made.display,
        "active": made.active,
        "keys": orjson.dumps(made.keys).decode(),
        "body": render.text(USER, resource_id, document),
    }


def _entries(resource_id: str, document: Document) -> Iterator[dict[str, Any]]:
    for position, entry in enumerate(render.index(USER, document).entries):
        yield {
            "resource": resource_id,
            "attribute": entry.attribute,
            "position": position,
            "value": entry.value,
            "prefix": None if entry.value is None else entry.value[:PREFIX],
            "keys": orjson.dumps(entry.keys).decode(),
        }
