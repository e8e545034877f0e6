"""What the server says of itself (RFC 7643 §5-§7, RFC 7644 §4), as plain dicts without nulls.

Locations are relative to the base URL; ``with_location`` completes one for a client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..limits import Limits
from .schemas import RESOURCE_TYPES, Attribute, ResourceType

_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
_RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_DOCUMENTATION = "https://datatracker.ietf.org/doc/html/rfc7644"


def service_provider_config(limits: Limits) -> dict[str, Any]:
    """RFC 7643 §5, with ``pagination`` (RFC 9865).

    ``securityEvents`` (RFC 9967) is left out while there are none: python-scim's client refuses what it does not know.
    """
    return {
        "schemas": [_CONFIG],
        "documentationUri": _DOCUMENTATION,
        "patch": {"supported": True},
        "bulk": {"supported": False, "maxOperations": 1000, "maxPayloadSize": limits.body_bytes},
        "filter": {"supported": True, "maxResults": limits.page_max},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": False,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": limits.page_default,
            "maxPageSize": limits.page_max,
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A token issued by this server, sent as 'Authorization: Bearer <token>'.",
                "specUri": "https://datatracker.ietf.org/doc/html/rfc6750",
                "primary": True,
            }
        ],
        "meta": {"resourceType": "ServiceProviderConfig", "location": "/ServiceProviderConfig"},
    }


def resource_types(kinds: Mapping[str, ResourceType] = RESOURCE_TYPES) -> list[dict[str, Any]]:
    """RFC 7643 §6."""
    return [
        {
            "schemas": [_RESOURCE_TYPE],
            "id": kind.name,
            "name": kind.name,
            "endpoint": kind.endpoint,
            "description": kind.description,
            "schema": kind.urn,
            "schemaExtensions": [
                {"schema": extension.urn, "required": extension.required} for extension in kind.extensions.values()
            ],
            "meta": {"resourceType": "ResourceType", "location": f"/ResourceTypes/{kind.name}"},
        }
        for kind in kinds.values()
    ]


def schemas(kinds: Mapping[str, ResourceType] = RESOURCE_TYPES) -> list[dict[str, Any]]:
    """RFC 7643 §7: every schema with the characteristics of every attribute."""
    described = []
    for kind in kinds.values():
        core = [attribute for attribute in kind.attributes.values() if attribute.schema]
        described.append(_schema(kind.urn, kind.name, kind.description, core))
        for extension in kind.extensions.values():
            rows = list(extension.attributes.values())
            described.append(_schema(extension.urn, extension.name, extension.description, rows))
    return described


def _schema(urn: str, name: str, description: str, attributes: list[Attribute]) -> dict[str, Any]:
    return {
        "schemas": [_SCHEMA],
        "id": urn,
        "name": name,
        "description": description,
        "attributes": [_attribute(attribute) for attribute in attributes],
        "meta": {"resourceType": "Schema", "location": f"/Schemas/{urn}"},
    }


def _attribute(attribute: Attribute) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": attribute.name,
        "type": attribute.type,
        "multiValued": attribute.multi_valued,
        "description": attribute.description,
        "required": attribute.required,
        "caseExact": attribute.case_exact,
        "mutability": attribute.mutability,
        "returned": attribute.returned,
        "uniqueness": attribute.uniqueness,
    }
    if attribute.canonical_values:
        out["canonicalValues"] = list(attribute.canonical_values)
    if attribute.reference_types:
        out["referenceTypes"] = list(attribute.reference_types)
    if attribute.subs:
        out["subAttributes"] = [_attribute(sub) for sub in attribute.subs.values()]
    return out


def with_location(described: dict[str, Any], base: str) -> dict[str, Any]:
    """The same with its location completed for a client that reaches us at ``base``."""
    meta = described["meta"]
    return {**described, "meta": {**meta, "location": base + meta["location"]}}
