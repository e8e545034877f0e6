"""``attributes`` and ``excludedAttributes`` (RFC 7644 §3.9) on a served document."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .errors import InvalidValue
from .schemas import Attribute, ResourceType

_ALWAYS = ("schemas", "id")


@dataclass(frozen=True, slots=True)
class Projection:
    """What a client wants to see: names it asked for, or names it does not want; never both."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.only or self.without)

    def wants(self, kind: ResourceType, name: str) -> bool:
        """Whether a top-level attribute is to be returned at all; ``members`` is not fetched otherwise."""
        if self.only:
            return any((_head(kind, each) or "").lower() == name.lower() for each in self.only)
        return not any(each.lower() in (name.lower(), f"{kind.urn}:{name}".lower()) for each in self.without)

    def apply(self, kind: ResourceType, resource: dict[str, Any]) -> dict[str, Any]:
        """The resource reduced to what was asked for; ``schemas`` and ``id`` always stay."""
        out = {name: resource[name] for name in _ALWAYS if name in resource} if self.only else dict(resource)
        for each in self.only:
            _copy(kind, each, resource, out)
        for each in self.without:
            _drop(kind, each, out)
        _tidy(kind, (*self.only, *self.without), out)
        return out


def read(attributes: Iterable[str], excluded: Iterable[str]) -> Projection:
    """Build a projection from the two parameters. Raises InvalidValue when both are given."""
    only = tuple(name for each in attributes if (name := each.strip()))
    without = tuple(name for each in excluded if (name := each.strip()))
    if only and without:
        raise InvalidValue(detail='"attributes" and "excludedAttributes" cannot be used together.')
    return Projection(only, without)


def _resolve(kind: ResourceType, name: str) -> tuple[str | None, Attribute | None]:
    """What a requested name stands for: the URN of an extension, or an attribute; a filter in it is left out."""
    plain = name.partition("[")[0]
    extension = kind.extensions.get(plain.lower())
    if extension is not None:
        return extension.urn, None
    return None, kind.resolve_key(plain)


def _head(kind: ResourceType, name: str) -> str | None:
    urn, attribute = _resolve(kind, name)
    if attribute is None:
        return urn
    return (attribute.parent or attribute).name


def _copy(kind: ResourceType, name: str, source: dict[str, Any], out: dict[str, Any]) -> None:
    urn, attribute = _resolve(kind, name)
    if urn is not None and urn in source:
        out[urn] = source[urn]
    if attribute is None:
        return
    if attribute.in_extension:
        if attribute.schema not in source:
            return
        source, out = source[attribute.schema], out.setdefault(attribute.schema, {})
    head = attribute.parent or attribute
    if head.name not in source:
        return
    value = source[head.name]
    if head is attribute:
        out[head.name] = value
    elif isinstance(value, list):
        held = out.setdefault(head.name, [{} for _ in value])
        for entry, each in zip(held, value, strict=True):
            if attribute.name in each:
                entry[attribute.name] = each[attribute.name]
    elif attribute.name in value:
        out.setdefault(head.name, {})[attribute.name] = value[attribute.name]


def _drop(kind: ResourceType, name: str, out: dict[str, Any]) -> None:
    urn, attribute = _resolve(kind, name)
    if urn is not None:
        out.pop(urn, None)
    if attribute is None:
        return
    if attribute.in_extension:
        if attribute.schema not in out:
            return
        out[attribute.schema] = dict(out[attribute.schema])
        out = out[attribute.schema]
    head = attribute.parent or attribute
    if head.returned == "always" or head.name not in out:
        return
    value = out[head.name]
    if head is attribute:
        del out[head.name]
    elif isinstance(value, list):
        out[head.name] = [{k: v for k, v in each.items() if k != attribute.name} for each in value]
    else:
        out[head.name] = {k: v for k, v in value.items() if k != attribute.name}


def _tidy(kind: ResourceType, names: Iterable[str], out: dict[str, Any]) -> None:
    """Nothing empty is shown (RFC 7643 §2.5), and ``schemas`` names what is there (§3)."""
    for each in names:
        _, attribute = _resolve(kind, each)
        if attribute is None or (attribute.parent is None and not attribute.in_extension):
            continue
        key = attribute.schema if attribute.in_extension else (attribute.parent or attribute).name
        if key in out:
            out[key] = _without_empty(out[key])
            if not out[key]:
                del out[key]
    absent = {extension.urn for extension in kind.extensions.values()} - out.keys()
    if "schemas" in out:
        out["schemas"] = [urn for urn in out["schemas"] if urn not in absent]


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: kept for name, each in value.items() if (kept := _without_empty(each)) not in ({}, [])}
    if isinstance(value, list):
        return [kept for each in value if (kept := _without_empty(each)) not in ({}, [])]
    return value
