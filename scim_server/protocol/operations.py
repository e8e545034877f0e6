"""PATCH request -> checked operations (RFC 7644 §3.5.2), each with its path resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from scim2_models import InvalidPathException, Path

from .documents import holds_nul
from .errors import InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, NoTarget
from .filters import Node, check_size, entry_filter
from .schemas import Attribute, Extension, ResourceType
from .senders import Deviation, Sender

PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at: an attribute, a sub-attribute of it, perhaps of selected entries only."""

    attribute: Attribute  # top-level, never a sub-attribute
    sub: Attribute | None = None
    where: Node | None = None

    @property
    def leaf(self) -> Attribute:
        return self.sub or self.attribute


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation: ``op`` is add, replace or remove.

    ``target`` is an attribute, a whole extension, or None: then ``value`` is an object whose keys are
    attributes or paths.
    """

    op: str
    target: Target | Extension | None
    value: Any


def read(kind: ResourceType, body: Any, sender: Sender) -> list[Operation]:
    """Check a PATCH body and resolve its paths. Raises InvalidSyntax, InvalidPath, InvalidValue or NoTarget."""
    if not isinstance(body, dict):
        raise InvalidSyntax(detail='The body must be a JSON object with "schemas" and "Operations".')
    fields = {key.lower(): value for key, value in body.items()}
    _check_schemas(fields.get("schemas"), sender)
    listed = fields.get("operations")
    if not isinstance(listed, list) or not listed:
        raise InvalidSyntax(detail='"Operations" must be a list with at least one operation.')
    if len(listed) > sender.limits.patch_operations:
        raise InvalidValue(detail=f"A PATCH takes at most {sender.limits.patch_operations} operations.")
    return [_operation(kind, each, sender) for each in listed]


def _check_schemas(listed: Any, sender: Sender) -> None:
    if listed is None:
        sender.note(
            Deviation.MISSING_PATCH_SCHEMA,
            "schemas",
            lambda: InvalidSyntax(detail=f'"schemas" must hold "{PATCH_OP}".'),
        )
    elif not isinstance(listed, list) or PATCH_OP.lower() not in {str(urn).lower() for urn in listed}:
        raise InvalidSyntax(detail=f'"schemas" must hold "{PATCH_OP}".')


def _operation(kind: ResourceType, each: Any, sender: Sender) -> Operation:
    if not isinstance(each, dict):
        raise InvalidSyntax(detail='Each of "Operations" must be an object with "op".')
    fields = {key.lower(): value for key, value in each.items()}
    op = fields.get("op")
    if not isinstance(op, str) or op.lower() not in ("add", "replace", "remove"):
        raise InvalidSyntax(detail='"op" must be "add", "replace" or "remove".')
    op, path, value = op.lower(), fields.get("path"), fields.get("value")
    if path is not None and not isinstance(path, str):
        raise InvalidPath(detail='"path" must be text.')
    if path is None or not path.strip():
        if op == "remove":
            raise NoTarget(detail='A "remove" needs a "path".')
        return Operation(op, None, _object(value, sender))
    if op != "remove" and "value" not in fields:
        raise InvalidValue(detail=f'An "{op}" needs a "value".')
    target = resolve(kind, path.strip(), sender)
    return Operation(op, target, _object(value, sender) if target is None else value)


def _object(value: Any, sender: Sender) -> Mapping[str, Any]:
    """The value of an operation without a path: an object, or (SCIM for Keycloak) one as JSON text."""
    if isinstance(value, str):
        try:
            parsed = orjson.loads(value)
        except orjson.JSONDecodeError:
            parsed = None
        if holds_nul(parsed):
            raise InvalidValue(detail="Text must not hold U+0000.")
        if isinstance(parsed, dict):
            sender.note(Deviation.JSON_IN_TEXT, "value", lambda: InvalidValue(detail='"value" must be an object.'))
            return parsed
    if not isinstance(value, dict):
        raise InvalidValue(detail='Without "path", "value" must be an object of attributes.')
    return value


def resolve(kind: ResourceType, path: str, sender: Sender) -> Target | Extension | None:
    """Find what a path points at; None for the resource itself, named by its schema's URN.

    Raises InvalidPath for what is not in the grammar or does not exist, InvalidFilter for a bad filter
    between brackets.
    """
    lowered = path.lower()
    if lowered == kind.urn.lower():
        return None
    if lowered in kind.extensions:
        return kind.extensions[lowered]
    parsed = _parsed(path, sender)
    name, sub = parsed.parts[0], parsed.parts[1] if len(parsed.parts) > 1 else None
    attribute = kind.resolve(name, urn=parsed.schema)
    if attribute is None and parsed.schema is None:
        attribute = _unqualified(kind, name, sender)
    if attribute is None:
        raise InvalidPath(detail='"path" names an attribute that this resource does not have.')
    leaf = None
    if sub is not None:
        leaf = attribute.subs.get(sub.lower())
        if leaf is None:
            raise InvalidPath(detail=f'"path" names a sub-attribute that "{attribute.path}" does not have.')
    if parsed.value_filter is None:
        return Target(attribute, leaf)
    if not attribute.multi_valued:
        raise InvalidPath(detail=f'"{attribute.path}" has one value; brackets select from several.')
    return Target(attribute, leaf, entry_filter(attribute, parsed.value_filter))


def _parsed(path: str, sender: Sender) -> Path:  # type: ignore[type-arg]
    try:
        check_size(path, sender.limits)
        parsed: Path = Path(path)  # type: ignore[type-arg]
    except InvalidFilter as error:
        raise InvalidPath(detail=str(error).replace("filter", "path")) from None
    except InvalidPathException:
        raise InvalidPath(detail='"path" is not in the grammar of RFC 7644 section 3.5.2.') from None
    if "\x00" in path or not parsed.parts:
        raise InvalidPath(detail='"path" names no attribute.')
    return parsed


def _unqualified(kind: ResourceType, name: str, sender: Sender) -> Attribute | None:
    found = kind.unqualified_extension(name)
    if found is not None:
        where = found.path
        sender.note(Deviation.UNQUALIFIED_EXTENSION, where, lambda: InvalidPath(detail=f'The path is "{where}".'))
    return found
