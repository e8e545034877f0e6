"""Document -> the text that is stored; stored text and rows -> the text that is served.

A resource is stored as the JSON text that will be served, open at the end: what belongs to the request
(base URL, the reader's externalId, groups or members, meta) is appended when it is read. The base URL
inside the text (``manager.$ref``) is marked by a character that JSON text cannot contain. So a read is
a look-up and a few joins of text: nothing is parsed or validated again.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

import orjson

from .documents import Document
from .filters import comparable
from .schemas import ENTERPRISE, Attribute, ResourceType

BASE_MARK = "\x01"
"""Stands for the base URL in stored text. JSON escapes control characters, so no sender can write it."""

_BASE_TEXT = "\ue000base\ue000"


class Related(NamedTuple):
    """A member of a group, or a group of a user. ``type`` is User or Group, or direct or indirect."""

    id: str
    type: str
    display: str


@dataclass(slots=True)
class Stored:
    """A resource as it is kept: everything that ``serve`` needs.

    ``created`` and ``modified`` are UTC text. ``related`` is None when groups or members were not asked for.
    """

    kind: str
    id: str
    version: int
    created: str
    modified: str
    body: str
    external_id: str | None = None
    related: list[Related] | None = None

    @property
    def document(self) -> Document:
        """The document without the server's own attributes; ``externalId`` is the reader's."""
        document: Document = orjson.loads(self.body.replace(BASE_MARK, "") + "}")
        document.pop("schemas")
        document.pop("id")
        manager = document.get(ENTERPRISE, {}).get("manager")
        if manager is not None:
            manager.pop("$ref", None)
        if self.external_id is not None:
            document["externalId"] = self.external_id
        return document


def etag(stored: Stored) -> str:
    """``W/"3"``, or for a user in groups ``W/"3-1f2e3d4c"``.

    A change of membership does not touch the user's row, so the groups joined in are part of the tag: a 304
    never hides one. ``If-Match`` compares the version alone.
    """
    if stored.kind == "User" and stored.related:
        digest = zlib.crc32("\n".join([text for each in stored.related for text in each]).encode())
        return f'W/"{stored.version}-{digest:08x}"'
    return f'W/"{stored.version}"'


def text(kind: ResourceType, resource_id: str, document: Document) -> str:
    """The stored text of a document: JSON without externalId, open at the end."""
    schemas = [kind.urn, *(extension.urn for extension in kind.extensions.values() if extension.urn in document)]
    body: dict[str, Any] = {"schemas": schemas, "id": resource_id}
    body |= {name: value for name, value in document.items() if name != "externalId"}
    manager = document.get(ENTERPRISE, {}).get("manager")
    if manager is None or "value" not in manager:
        return orjson.dumps(body).decode()[:-1]
    reference = f"{_BASE_TEXT}/Users/{quote(manager['value'], safe='')}"
    body[ENTERPRISE] = {**document[ENTERPRISE], "manager": {**manager, "$ref": reference}}
    written = orjson.dumps(body).decode()[:-1]
    return written.replace(f'"$ref":"{_BASE_TEXT}', f'"$ref":"{BASE_MARK}')  # a sender's quotes are escaped


def serve(stored: Stored, base: str, tag: str | None = None) -> str:
    """The JSON text of a resource for a client that reaches us at ``base`` (``https://host/scim/v2``).

    ``tag`` is its ETag, where the caller has worked it out already.
    """
    body = stored.body.replace(BASE_MARK, base) if BASE_MARK in stored.body else stored.body
    if stored.external_id is not None:
        body = f'{body},"externalId":{_json(stored.external_id)}'
    if stored.related:
        entries = _groups(stored.related, base) if stored.kind == "User" else _members(stored.related, base)
        body = f'{body},"{"groups" if stored.kind == "User" else "members"}":[{",".join(entries)}]'
    version = (tag or etag(stored)).replace('"', '\\"')
    return (
        f'{body},"meta":{{"resourceType":"{stored.kind}","created":"{stored.created}","lastModified":'
        f'"{stored.modified}","location":"{base}/{stored.kind}s/{stored.id}","version":"{version}"}}}}'
    )


def location(stored: Stored, base: str) -> str:
    """The URL of a resource (RFC 7644 §3.1)."""
    return f"{base}/{stored.kind}s/{stored.id}"


def _groups(related: Iterable[Related], base: str) -> list[str]:
    return [
        f'{{"value":"{each.id}","$ref":"{base}/Groups/{each.id}","display":{_json(each.display)},"type":"{each.type}"}}'
        for each in related
    ]


def _members(related: Iterable[Related], base: str) -> list[str]:
    return [
        f'{{"value":"{each.id}","$ref":"{base}/{each.type}s/{each.id}","display":{_json(each.display)},'
        f'"type":"{each.type}"}}'
        for each in related
    ]


def _json(value: str) -> str:
    return orjson.dumps(value).decode()


# ------------------------------------------------------------------------------------------ what to index


class Entry(NamedTuple):
    """One entry of a multi-valued attribute as it is indexed: ``value`` and all sub-attributes, folded."""

    attribute: str
    value: str | None
    keys: dict[str, Any]


@dataclass(slots=True)
class Index:
    """What the store keeps beside the text so that filters and sorting run in the database.

    ``name`` is the folded name that is unique, ``display`` what others show for this resource, ``active``
    whether the account may be used (None where the document does not say: then it stays as it is), ``keys`` the
    folded single values by path, ``entries`` a row for each value of a multi-valued attribute.
    """

    name: str
    display: str
    active: bool | None
    keys: dict[str, Any]
    entries: list[Entry]


def index(kind: ResourceType, document: Document) -> Index:
    """Work out what is to be indexed of a document."""
    keys: dict[str, Any] = {}
    schemas = [kind.urn, *(extension.urn for extension in kind.extensions.values() if extension.urn in document)]
    entries = [Entry("schemas", urn.lower(), {}) for urn in schemas]
    for attribute in kind.every_attribute():
        holder = document.get(attribute.schema) or {} if attribute.in_extension else document
        value = holder.get(attribute.name)
        if value is None or attribute.name == "externalId":
            continue
        if attribute.multi_valued:
            entries += [_entry(attribute, each) for each in value]
        elif attribute.complex:
            for sub in attribute.subs.values():
                if sub.name in value:
                    keys[sub.path] = key(sub, value[sub.name])
        else:
            keys[attribute.path] = key(attribute, value)
    name_attribute = name_of(kind)
    name = document[name_attribute.name]
    display = document.get("displayName") or name
    return Index(comparable(name_attribute, name), display, document.get("active"), keys, entries)


def name_of(kind: ResourceType) -> Attribute:
    """The attribute that names a resource and is unique."""
    return kind.attributes["username" if kind.name == "User" else "displayname"]


def _entry(attribute: Attribute, value: Any) -> Entry:
    if not isinstance(value, dict):
        return Entry(attribute.path, key(attribute, value), {})
    keys = {name: key(attribute.subs[name.lower()], item) for name, item in value.items()}
    return Entry(attribute.path, keys.pop("value", None), keys)


def key(attribute: Attribute, value: Any) -> Any:
    """A value as the index holds it: booleans as text, since databases disagree on what JSON's are."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return comparable(attribute, value)
