"""Eighty nasty people in fourteen groups: nested, circular, empty, and one deleted in the middle of a chain."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import orjson
import pytest
from scim2_models import ScimFilter

from scim_server.directory import connections, groups, lookup, tenants, users
from scim_server.directory.actor import Actor, at_command_line
from scim_server.directory.lookup import Search
from scim_server.directory.store.engine import Database
from scim_server.directory.store.transaction import Tx, read, write
from scim_server.limits import Limits
from scim_server.protocol import documents, filters, render
from scim_server.protocol.schemas import ENTERPRISE, GROUP, RESOURCE_TYPES, USER, ResourceType
from scim_server.protocol.senders import Sender
from tests.oracles.models import MODELS, TOLERANT
from tests.running import BASE

PEOPLE, GROUPS = 80, 14
LIMITS = Limits()

# Both of a pair are there where databases and Python are known to differ: case, form, wildcards, ends of ranges.
TEXTS = (
    "Ada", "ada", "ADA LOVELACE", "Ada Byron", "adamant", "José", unicodedata.normalize("NFD", "José"), "jose",
    "Straße", "STRASSE", "İstanbul", "istanbul", "ISTANBUL", "Анна", "АННА", "Ångström", "K", "ﬁsh", "fish", "ſ",
    "50%", "5_0", "500", "%", "_", "back\\slash", 'say "hi"', "O'Brien", "a\tb", " ", " ada", "ada ", "[x]", "(y)",
    "true", "null", "\U0001f600", "\ud7ff", "\ue000", "\uffff", "\U0010ffff", "x" * 199, "x" * 200, "x" * 201,
    "X" * 350, "x" * 350 + "y", "x" * 300 + "ß", "q" * 5000, "work", "WORK", "home", "other",
)  # fmt: skip
URLS = ("https://x.test/Ada", "https://x.test/ada", "https://X.test/%20", "urn:x")
BINARIES = ("QWRh", "YWRh", "AAAA")
EMPTIED = ("title", "nickName", "displayName", "name.middleName", "display", "locality", "department")
"""Attributes where some people have an empty text, which is a value but not present."""

ODD: dict[int, dict[str, Any]] = {
    0: {"emails": [{"display": ""}], "name": {"middleName": ""}, ENTERPRISE: {"department": ""}},
    1: {"emails": [{"display": ""}, {"primary": False}], ENTERPRISE: {"manager": {"value": "nobody"}}},
    2: {"emails": [{"type": "work", "primary": True}, {"value": "b", "display": ""}], "title": ""},
    4: {each: None for each in USER.attributes if each not in {"username", "schemas"}},
}
"""People whose attributes hold next to nothing."""

_ids = Random(7)
_VERSION_7 = 0xFFFF_FFFF_FFFF_0FFF_3FFF_FFFF_FFFF_FFFF, 0x7000_8000_0000_0000_0000
USER_IDS, GROUP_IDS = (
    tuple(str(UUID(int=_ids.getrandbits(128) & _VERSION_7[0] | _VERSION_7[1])) for _ in range(number))
    for number in (PEOPLE, GROUPS + 1)
)
DELETED = GROUP_IDS[GROUPS]

START = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
STEP = timedelta(hours=7, microseconds=1)


def moment(number: int) -> datetime:
    return START + number // 2 * STEP  # in pairs: equal moments are sorted by id


def person(number: int) -> dict[str, Any]:
    """The body that creates a person: by chance, but the same in every run."""
    chance = Random(number)
    body: dict[str, Any] = {"schemas": [USER.urn], "userName": f"{_text(chance, 400)}{number:02}"}
    for attribute in USER.attributes.values():
        if attribute.read_only or attribute.name in {"schemas", "userName", "password"} or chance.random() < 0.4:
            continue
        if attribute.multi_valued:
            entries = [_object(chance, attribute) for _ in range(chance.randint(1, 4))]
            if chance.random() < 0.5 and "primary" in attribute.subs:
                entries = [{**entry, "primary": position == 1} for position, entry in enumerate(entries)]
            body[attribute.name] = entries
        else:
            body[attribute.name] = _value(chance, attribute)
    if number in ODD:
        return {**body, **ODD[number]}
    if chance.random() < 0.6:
        body[ENTERPRISE] = _object(chance, USER.extensions[ENTERPRISE.lower()])
    return body


def _object(chance: Random, holder: Any) -> dict[str, Any]:
    subs = getattr(holder, "subs", None) or holder.attributes
    out = {sub.name: _value(chance, sub) for sub in subs.values() if not sub.read_only and chance.random() < 0.6}
    out.pop("primary", None)
    return out


def _value(chance: Random, attribute: Any) -> Any:
    if attribute.name in EMPTIED and chance.random() < 0.2:
        return ""
    if attribute.complex:
        return _object(chance, attribute)
    if attribute.path.endswith("manager.value"):
        return chance.choice(USER_IDS)
    if attribute.name == "type" and chance.random() < 0.6:
        return chance.choice(("work", "home", "Work"))
    match attribute.type:
        case "boolean":
            return chance.random() < 0.5
        case "reference":
            return chance.choice(URLS)
        case "binary":
            return chance.choice(BINARIES)
        case _:
            return _text(chance, 500 if attribute.name == "externalId" else 10_000)


def _text(chance: Random, longest: int) -> str:
    return chance.choice([text for text in TEXTS if len(text) <= longest])


def circle(number: int) -> list[str]:
    """The members of a group: some people, then the groups that make a chain, a circle and a knot."""
    nested = {0: [1], 1: [2], 2: [0], 3: [3], 4: [5, 6], 5: [7], 6: [7], 7: [4], 8: [GROUPS], 9: [0, 4, 8]}
    chance = Random(1000 + number)
    staff = chance.sample(USER_IDS, chance.randint(0, 9)) if number != 10 else []
    return [*staff, *(GROUP_IDS[each] for each in nested.get(number, ()))]


@dataclass(repr=False)  # a failing test is told without two megabytes of people
class Population:
    """Everybody as they are served, and the three ways to ask who satisfies a filter."""

    tx: Tx
    served: dict[str, dict[str, dict[str, Any]]]  # kind -> id -> JSON
    models: dict[str, dict[str, Any]]

    def search(self, kind: ResourceType, text: str | None = None, **rest: Any) -> tuple[list[str], int]:
        """The ids that the database finds, and the total."""
        wanted = Search(filter=text, base=BASE, **{"count": 1000, **rest})
        page = lookup.find(self.tx, [kind], wanted, LIMITS, lambda _: False)
        return [each.id for each in page.resources], page.total

    def by_sql(self, kind: ResourceType, text: str) -> set[str]:
        found, total = self.search(kind, text)
        assert len(found) == len(set(found)) == total
        return set(found)

    def in_memory(self, kind: ResourceType, text: str) -> set[str]:
        node = filters.parse(kind, text, LIMITS)
        return {each for each, shown in self.served[kind.name].items() if filters.matches(node, shown)}

    def by_scim2(self, kind: ResourceType, text: str) -> set[str]:
        parsed = ScimFilter[MODELS[kind.name]](text)
        with TOLERANT:
            return {each for each, model in self.models[kind.name].items() if parsed.match(model)}


@contextmanager
def populated(url: str) -> Iterator[Population]:
    """Fill a database and look at it."""
    with closing(Database(url)) as database:
        actor = _actor(database)
        with pytest.MonkeyPatch.context() as patch:
            ids, clock = iter([*USER_IDS, *GROUP_IDS]), SimpleNamespace(now=filters.instant(START))
            patch.setattr("scim_server.directory.store.documents.new_id", lambda: next(ids))
            patch.setattr(Tx, "now", property(lambda _: clock.now))
            _fill(database, actor, clock)
        yield _as_served(read(database, actor))


def _as_served(tx: Tx) -> Population:
    served, models = {}, {}
    for kind in RESOURCE_TYPES.values():
        page = lookup.find(tx, [kind], Search(count=1000), LIMITS, lambda _: True)
        shown = [orjson.loads(render.serve(each, BASE)) for each in page.resources]
        served[kind.name] = {each["id"]: each for each in shown}
        with TOLERANT:
            models[kind.name] = {each["id"]: MODELS[kind.name].model_validate(each) for each in shown}
    return Population(tx, served, models)


def _actor(database: Database) -> Actor:
    tenant = tenants.ensure_default(database)
    with write(database, at_command_line(tenant.id)) as tx:
        connection = connections.ensure(tx, "oracle")
    return Actor(tenant.id, "scim", "oracle", connection.id)


def _fill(database: Database, actor: Actor, clock: SimpleNamespace) -> None:
    sender = Sender()
    with write(database, actor) as tx:
        for number in range(PEOPLE):
            clock.now = filters.instant(moment(number))
            users.create(tx, documents.read(USER, person(number), sender))
        for number in range(GROUPS + 1):
            clock.now = filters.instant(moment(number))
            name = f"{TEXTS[number * 3]}{number:02}"
            groups.create(tx, documents.read(GROUP, {"schemas": [GROUP.urn], "displayName": name}, sender), sender)
        for number in range(GROUPS):
            clock.now = filters.instant(moment(number + 5))
            held = groups.get(tx, GROUP_IDS[number]).document
            external = {"externalId": TEXTS[number]} if number % 2 else {}
            listed = [{"value": each} for each in circle(number)]
            groups.replace(tx, GROUP_IDS[number], {**held, **external, "members": listed}, sender)
        # A chain through the deleted group, which nobody may see or be a member through.
        inner = {"displayName": "Gone", "members": [{"value": GROUP_IDS[11]}, {"value": USER_IDS[0]}]}
        groups.replace(tx, DELETED, inner, sender)
        groups.delete(tx, DELETED)
        for number in range(0, PEOPLE, 3):
            clock.now = filters.instant(moment(number + 11))
            held = users.get(tx, USER_IDS[number]).document
            users.replace(tx, USER_IDS[number], {**held, "userType": "Changed"})
