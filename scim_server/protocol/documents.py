"""Request body -> checked, normalised document.

A *document* is a plain dict with canonical names in the order of the attribute table, holding only what
has a value (RFC 7643 §2.5: null, an empty list and absence are one). The server's own attributes (``id``,
``meta``, ``groups``) and ``password`` are left out. Values are kept as sent: nothing is trimmed, folded or
reformatted. Extensions stand under their URN.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from .errors import Immutable, InvalidSyntax, InvalidValue
from .schemas import Attribute, ResourceType
from .senders import Deviation, Sender

Document = dict[str, Any]

_IDENTIFIERS = frozenset({"userName", "externalId", "displayName"})
"""Attributes that are looked up by an index, and so are bounded in length (a user's displayName is not)."""

_IGNORED = frozenset({"schemas", "password"})
"""Read elsewhere, or accepted and dropped: a password is never stored from a SCIM body, nor returned."""


def read(kind: ResourceType, body: Any, sender: Sender) -> Document:
    """Check the body of a POST or PUT and return the document it describes (RFC 7644 §3.3, §3.5.1).

    Raises InvalidSyntax for what is no resource of this kind and InvalidValue for a value that the schema
    does not allow; both name the attribute.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax(detail=f"The body must be a JSON object that describes a {kind.name}.")
    _check_schemas(kind, body, sender)
    document: Document = {}
    for key, value in body.items():
        _take(kind, document, key, value, sender)
    check_required(kind, document)
    return arranged(kind, document)


def _check_schemas(kind: ResourceType, body: Mapping[str, Any], sender: Sender) -> None:
    """``schemas`` has to be there and to name this kind's schema (RFC 7643 §3)."""
    listed = next((value for key, value in body.items() if key.lower() == "schemas"), None)
    if not isinstance(listed, list) or not listed or not all(isinstance(urn, str) for urn in listed):
        raise InvalidSyntax(detail=f'"schemas" must be a list that holds "{kind.urn}".')
    known = {kind.urn.lower(), *kind.extensions}
    if kind.urn.lower() not in {urn.lower() for urn in listed}:
        raise InvalidSyntax(detail=f'"schemas" must hold "{kind.urn}".')
    for urn in listed:
        if urn.lower() not in known:
            sender.note(
                Deviation.UNKNOWN_SCHEMA, urn, lambda: InvalidSyntax(detail='"schemas" names a schema unknown here.')
            )


def _take(kind: ResourceType, document: Document, key: str, value: Any, sender: Sender) -> None:
    """Put one key of a body where it belongs in the document."""
    lowered = key.lower()
    if lowered in _IGNORED:
        return
    extension = kind.extensions.get(lowered)
    if extension is not None:
        if value is None:
            return
        if not isinstance(value, dict):
            raise InvalidValue(detail=f'"{extension.urn}" must be an object.')
        for sub_key, sub_value in value.items():
            found = extension.attributes.get(sub_key.lower())
            if found is None:
                unknown(f"{extension.urn}:{sub_key}", sender)
            else:
                assign(document, found, normalise(found, sub_value, sender))
        return
    attribute = kind.attributes.get(lowered) or qualified(kind, key, sender)
    if attribute is None:
        unknown(key, sender)
    elif not attribute.read_only:
        assign(document, attribute, normalise(attribute, value, sender))


def qualified(kind: ResourceType, key: str, sender: Sender) -> Attribute | None:
    """Find what a key that is a path stands for: ``name.givenName``, ``urn:…:User:department``, ``manager``."""
    if "[" in key:
        raise InvalidSyntax(detail="A key with a filter in brackets is understood in PATCH only.")
    found = kind.resolve_key(key)
    deviation = Deviation.PATH_AS_KEY
    if found is None:
        found, deviation = kind.unqualified_extension(key), Deviation.UNQUALIFIED_EXTENSION
    if found is not None:
        path = found.path
        sender.note(deviation, path, lambda: InvalidSyntax(detail=f'"{path}" must stand in its own object.'))
    return found


def unknown(key: str, sender: Sender) -> None:
    """An attribute that no schema has: ignored, or refused where the connection is strict."""
    sender.note(
        Deviation.UNKNOWN_ATTRIBUTE,
        key,
        lambda: InvalidSyntax(detail="The body names an attribute that this resource does not have."),
    )


def assign(document: Document, attribute: Attribute, value: Any) -> None:
    """Set, or with None unset, an attribute or sub-attribute in the document."""
    holder = document
    if attribute.in_extension:
        holder = document.setdefault(attribute.schema, {})
    if attribute.parent is not None:
        holder = holder.setdefault(attribute.parent.name, {})
    if value is None:
        holder.pop(attribute.name, None)
    else:
        holder[attribute.name] = value


def check_required(kind: ResourceType, document: Document) -> None:
    """Every required attribute has a value (RFC 7643 §2.2)."""
    for attribute in kind.attributes.values():
        if attribute.required and attribute.name != "schemas" and not (document.get(attribute.name) or "").strip():
            raise InvalidValue(detail=f'"{attribute.name}" is required and must not be empty.')


def arranged(kind: ResourceType, document: Document) -> Document:
    """The document in the order of the attribute table, so that equal documents give equal text."""
    out: Document = {}
    for attribute in kind.attributes.values():
        value = document.get(attribute.name)
        if value is None or value in ({}, []):
            continue
        out[attribute.name] = _arranged_value(attribute, value)
    for extension in kind.extensions.values():
        held = document.get(extension.urn) or {}
        rows = {
            row.name: _arranged_value(row, held[row.name])
            for row in extension.attributes.values()
            if held.get(row.name) not in (None, {}, [])
        }
        if rows:
            out[extension.urn] = rows
    return out


def _arranged_value(attribute: Attribute, value: Any) -> Any:
    if not attribute.complex:
        return value
    if attribute.multi_valued:
        return [{sub.name: entry[sub.name] for sub in attribute.subs.values() if sub.name in entry} for entry in value]
    return {sub.name: value[sub.name] for sub in attribute.subs.values() if sub.name in value}


# ------------------------------------------------------------------------------------------------ values


def normalise(attribute: Attribute, value: Any, sender: Sender) -> Any:
    """Check a value against its attribute and return it in canonical form, or None where there is none.

    Raises InvalidValue, naming the attribute and what it takes.
    """
    if value is None:
        return None
    if attribute.multi_valued:
        return _several(attribute, value, sender)
    return single(attribute, value, sender)


def _several(attribute: Attribute, value: Any, sender: Sender) -> list[Any] | None:
    if isinstance(value, dict) and attribute.complex:
        sender.note(Deviation.SINGLE_FOR_LIST, attribute.path, lambda: _wrong(attribute, "a list"))
        value = [value]
    if not isinstance(value, list):
        raise _wrong(attribute, "a list")
    most = sender.limits.members if attribute.name == "members" else sender.limits.values
    if len(value) > most:
        raise too_many(attribute, most)
    items = [item for each in value if (item := single(attribute, each, sender)) not in (None, {})]
    if len(items) > 1:
        items = list({orjson.dumps(item, option=orjson.OPT_SORT_KEYS): item for item in items}.values())
        _at_most_one_primary(attribute, items, sender)
    return items or None


def _at_most_one_primary(attribute: Attribute, items: list[Any], sender: Sender) -> None:
    """``primary`` true at most once (RFC 7643 §2.4); PingFederate marks two: the first keeps it."""
    if "primary" not in attribute.subs:
        return
    primaries = [item for item in items if item.get("primary") is True]
    if len(primaries) > 1:
        sender.note(
            Deviation.SEVERAL_PRIMARIES,
            attribute.path,
            lambda: several_primaries(attribute),
        )
        for item in primaries[1:]:
            item["primary"] = False


def single(attribute: Attribute, value: Any, sender: Sender) -> Any:
    """Check one value: that of a single-valued attribute, or one entry of a multi-valued one."""
    if value is None:
        return None
    if attribute.complex:
        return _complex(attribute, value, sender)
    if attribute.type == "boolean":
        return _boolean(attribute, value, sender)
    if attribute.type == "integer":
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(attribute, "a whole number")
        return value
    if attribute.type == "decimal":
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _wrong(attribute, "a number")
        return value
    if not isinstance(value, str):
        raise _wrong(attribute, "text")
    if attribute.type == "dateTime":
        moment(attribute, value)
    if _is_identifier(attribute) and len(value) > sender.limits.name_length:
        raise InvalidValue(detail=f'"{attribute.path}" takes at most {sender.limits.name_length} characters.')
    return value


def _is_identifier(attribute: Attribute) -> bool:
    if attribute.name not in _IDENTIFIERS or attribute.parent is not None or attribute.in_extension:
        return False
    return attribute.name != "displayName" or attribute.uniqueness == "server"


def moment(attribute: Attribute, text: str) -> datetime:
    """Read a dateTime (RFC 7643 §2.3.5), or raise InvalidValue."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(attribute, "a date and time such as 2026-01-31T09:30:00Z") from None


def _boolean(attribute: Attribute, value: Any, sender: Sender) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        sender.note(Deviation.TEXT_BOOLEAN, attribute.path, lambda: _wrong(attribute, "true or false without quotes"))
        return value.lower() == "true"
    raise _wrong(attribute, "true or false")


def _complex(attribute: Attribute, value: Any, sender: Sender) -> dict[str, Any] | None:
    value = _as_object(attribute, value, sender)
    out: dict[str, Any] = {}
    for key, item in value.items():
        sub = attribute.subs.get(key.lower())
        if sub is None:
            unknown(f"{attribute.path}.{key}", sender)
        elif not sub.read_only:
            checked = normalise(sub, item, sender)
            if checked is not None and not (checked == "" and sub.name == "value"):
                out[sub.name] = checked
    if "$ref" in attribute.subs:
        _derive_reference(out)
    return out or None


def _derive_reference(out: dict[str, Any]) -> None:
    """A reference is kept by its id alone: ``$ref`` follows from it, or (when it is all there is) tells it."""
    reference = out.pop("$ref", None)
    if reference and "value" not in out:
        out["value"] = reference.rstrip("/").rpartition("/")[2]


def _as_object(attribute: Attribute, value: Any, sender: Sender) -> Mapping[str, Any]:
    """Forgive a reference sent as bare text, and Entra's list round a single manager."""
    if isinstance(value, dict):
        return value
    reference = "$ref" in attribute.subs
    if isinstance(value, list) and reference and not attribute.multi_valued and len(value) <= 1:
        sender.note(Deviation.LIST_FOR_SINGLE, attribute.path, lambda: _wrong(attribute, "an object"))
        value = value[0] if value else {}
    if isinstance(value, dict):
        return value
    if isinstance(value, str) and reference:
        sender.note(
            Deviation.TEXT_REFERENCE if value else Deviation.EMPTY_FOR_NONE,
            attribute.path,
            lambda: _wrong(attribute, 'an object with "value"'),
        )
        return {"value": value}
    raise _wrong(attribute, "an object")


def _wrong(attribute: Attribute, wanted: str) -> InvalidValue:
    return InvalidValue(detail=f'"{attribute.path}" must be {wanted}.')


def immutable(attribute: Attribute) -> Immutable:
    """The error for a write to an attribute that the server owns (RFC 7644 §3.12 ``mutability``)."""
    return Immutable(detail=f'"{attribute.path}" is set by the server and cannot be written.')


def too_many(attribute: Attribute, most: int) -> InvalidValue:
    """The error for more values than a request may name."""
    return InvalidValue(detail=f'"{attribute.path}" takes at most {most} values in one request.')


def several_primaries(attribute: Attribute) -> InvalidValue:
    """The error for ``primary`` true more than once (RFC 7643 §2.4)."""
    return InvalidValue(detail=f'Only one value of "{attribute.path}" can be primary.')


def holds_nul(value: Any) -> bool:
    """Whether text anywhere in a JSON value holds U+0000, which PostgreSQL cannot keep.

    Not recursive, since JSON may be deep.
    """
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            if "\x00" in each:
                return True
        elif isinstance(each, dict):
            waiting += [*each.keys(), *each.values()]
        elif isinstance(each, list):
            waiting += each
    return False
