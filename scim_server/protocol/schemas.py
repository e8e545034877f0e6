"""The attribute table: one row per attribute of every resource type (RFC 7643 §2, §4, §7).

Validation, PATCH, filters, projection, storage and discovery all read these rows, so that they cannot
disagree. The rows come from the schemas that scim2-models defines; departures are listed in
``_AS_WE_SERVE``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from scim2_models import EnterpriseUser, Group, User

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """One attribute with its characteristics (RFC 7643 §7).

    ``schema`` is empty for the common attributes (``id``, ``externalId``, ``meta``, ``schemas``), which
    no schema lists. ``parent`` is set on sub-attributes. ``subs`` maps lower-case names to
    sub-attributes.
    """

    name: str
    type: str
    schema: str = ""
    multi_valued: bool = False
    description: str = ""
    required: bool = False
    case_exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    parent: Attribute | None = None
    in_extension: bool = False
    subs: dict[str, Attribute] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The name a client would use: ``name.givenName``, ``urn:…:User:department``."""
        if self.parent is not None:
            return f"{self.parent.path}.{self.name}"
        return f"{self.schema}:{self.name}" if self.in_extension else self.name

    @property
    def read_only(self) -> bool:
        return self.mutability == "readOnly"

    @property
    def complex(self) -> bool:
        return self.type == "complex"

    def __repr__(self) -> str:
        return f"<Attribute {self.path}>"


@dataclass(frozen=True, slots=True, eq=False)
class Extension:
    """A schema extension of a resource type (RFC 7643 §3.3)."""

    urn: str
    name: str
    description: str
    attributes: dict[str, Attribute]
    required: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ResourceType:
    """A kind of resource: its endpoint, its schema and its extensions (RFC 7643 §6).

    ``attributes`` and ``extensions`` are keyed in lower case, since names are case-insensitive
    (RFC 7643 §2.1).
    """

    name: str
    endpoint: str
    urn: str
    description: str
    attributes: dict[str, Attribute]
    extensions: dict[str, Extension]

    def resolve(self, name: str, sub: str | None = None, urn: str | None = None) -> Attribute | None:
        """Find an attribute, or the sub-attribute ``sub`` of it; None when there is none.

        Without ``urn`` only core and common attributes are looked at: an extension attribute is named
        with its schema (RFC 7644 §3.10).
        """
        table: Mapping[str, Attribute] = self.attributes
        if urn is not None and urn.lower() != self.urn.lower():
            extension = self.extensions.get(urn.lower())
            if extension is None:
                return None
            table = extension.attributes
        found = table.get(name.lower())
        if found is None or sub is None:
            return found
        return found.subs.get(sub.lower())

    def resolve_key(self, text: str) -> Attribute | None:
        """Find what a dotted or URN-qualified name stands for, such as ``name.givenName``."""
        urn, rest = self.split_urn(text)
        name, _, sub = rest.partition(".")
        return self.resolve(name, sub or None, urn)

    def split_urn(self, text: str) -> tuple[str | None, str]:
        """Part ``urn:…:User:department`` into schema and name; the schema is None where there is none.

        The whole text may be a schema's URN; the name is then empty.
        """
        if text[:4].lower() != "urn:":
            return None, text
        lowered = text.lower()
        for urn in (self.urn, *(extension.urn for extension in self.extensions.values())):
            if lowered == urn.lower():
                return urn, ""
            if lowered.startswith(urn.lower() + ":"):
                return urn, text[len(urn) + 1 :]
        urn, _, name = text.rpartition(":")
        return urn, name

    def unqualified_extension(self, name: str) -> Attribute | None:
        """Find an extension attribute named without its URN, as Entra's tutorial writes ``manager``."""
        for extension in self.extensions.values():
            if name.lower() in extension.attributes:
                return extension.attributes[name.lower()]
        return None

    def every_attribute(self) -> Iterator[Attribute]:
        """Walk all top-level attributes: common, core, then those of the extensions."""
        yield from self.attributes.values()
        for extension in self.extensions.values():
            yield from extension.attributes.values()


# RFC 7643 §8.7.1 requires neither sub-attribute of manager; Entra sends `value` alone. Names of people and
# of groups are unique here (Okta and Entra match groups by name).
_AS_WE_SERVE: dict[str, dict[str, Any]] = {
    f"{ENTERPRISE}:manager.value": {"required": False},
    f"{ENTERPRISE}:manager.$ref": {"required": False},
    "Group:displayName": {"uniqueness": "server"},
}

_META = (
    Attribute("resourceType", "string", case_exact=True, mutability="readOnly"),
    Attribute("created", "dateTime", mutability="readOnly"),
    Attribute("lastModified", "dateTime", mutability="readOnly"),
    Attribute("location", "reference", case_exact=True, mutability="readOnly", reference_types=("uri",)),
    Attribute("version", "string", case_exact=True, mutability="readOnly"),
)


def _common() -> Iterable[Attribute]:
    """The attributes every resource has (RFC 7643 §3.1)."""
    yield Attribute("schemas", "reference", multi_valued=True, required=True, returned="always", case_exact=False)
    yield Attribute("id", "string", case_exact=True, mutability="readOnly", returned="always", uniqueness="server")
    yield Attribute("externalId", "string", case_exact=True)
    meta = Attribute("meta", "complex", mutability="readOnly")
    for sub in _META:
        meta.subs[sub.name.lower()] = Attribute(
            sub.name,
            sub.type,
            case_exact=sub.case_exact,
            mutability=sub.mutability,
            reference_types=sub.reference_types,
            parent=meta,
        )
    yield meta


def _attribute(definition: Mapping[str, Any], schema: str, prefix: str, parent: Attribute | None) -> Attribute:
    """Build a row, and those of its sub-attributes, from a schema's JSON (RFC 7643 §7)."""
    where = f"{prefix}.{definition['name']}" if parent else f"{prefix}:{definition['name']}"
    values = {**definition, **_AS_WE_SERVE.get(where, {})}
    attribute = Attribute(
        name=values["name"],
        type=values["type"],
        schema=schema,
        multi_valued=values.get("multiValued", False),
        description=values.get("description") or "",
        required=values.get("required", False),
        case_exact=values.get("caseExact", False),
        mutability=values.get("mutability", "readWrite"),
        returned=values.get("returned", "default"),
        uniqueness=values.get("uniqueness") or "none",
        canonical_values=tuple(values.get("canonicalValues") or ()),
        reference_types=tuple(values.get("referenceTypes") or ()),
        parent=parent,
        in_extension=":extension:" in schema,
    )
    for sub in values.get("subAttributes") or ():
        attribute.subs[sub["name"].lower()] = _attribute(sub, schema, where, attribute)
    return attribute


def _rows(model: type[Any], prefix: str) -> tuple[str, str, dict[str, Attribute]]:
    schema = model.to_schema().model_dump(mode="json")
    rows = (_attribute(each, schema["id"], prefix, None) for each in schema["attributes"])
    return schema["id"], schema.get("description") or "", {row.name.lower(): row for row in rows}


def _resource_type(model: type[Any], endpoint: str, extensions: Iterable[Extension] = ()) -> ResourceType:
    urn, description, rows = _rows(model, model.__name__)
    common = {row.name.lower(): row for row in _common()}
    return ResourceType(
        name=model.__name__,
        endpoint=endpoint,
        urn=urn,
        description=description.strip() or f"{model.__name__} account",
        attributes=common | rows,
        extensions={extension.urn.lower(): extension for extension in extensions},
    )


def _enterprise() -> Extension:
    urn, description, rows = _rows(EnterpriseUser, ENTERPRISE)
    return Extension(urn, EnterpriseUser.__name__, description.strip(), rows)


USER = _resource_type(User, "/Users", [_enterprise()])
GROUP = _resource_type(Group, "/Groups")
RESOURCE_TYPES: dict[str, ResourceType] = {"User": USER, "Group": GROUP}
