"""The models of scim2-models as an oracle for us, with the departures of ``docs/reference`` and no others.

Its own classes are narrower than ours where the schema is not: e-mail addresses and URIs have to be valid,
``type`` is forced into lower case, ``manager`` needs ``$ref``. Here such values are plain text; every
characteristic of RFC 7643 §7 stays what scim2-models says, and ``test_filters`` checks that ours agree.
"""

import unicodedata
from typing import Annotated, Any

import scim2_models
from pydantic import Field
from scim2_models import URN, CaseExact, ComplexAttribute, Mutability, Required, ResourceType, ScimPolicy, ScimProvider
from scim2_server.utils import load_default_service_provider_config


class Value(ComplexAttribute):
    value: str | None = None
    display: str | None = None
    type: str | None = None
    primary: bool | None = None


class Photo(Value):
    value: Annotated[str | None, CaseExact.true] = None


class Address(scim2_models.Address):
    type: str | None = None


class GroupMembership(ComplexAttribute):
    value: Annotated[str | None, Mutability.read_only, CaseExact.true] = None
    ref: Annotated[str | None, Mutability.read_only, CaseExact.true] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display: Annotated[str | None, Mutability.read_only] = None
    type: Annotated[str | None, Mutability.read_only] = None


class Manager(ComplexAttribute):
    value: Annotated[str | None, CaseExact.true] = None
    ref: Annotated[str | None, Mutability.read_only, CaseExact.true] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    display_name: Annotated[str | None, Mutability.read_only] = None


class EnterpriseUser(scim2_models.EnterpriseUser):
    manager: Manager | None = None


class User(scim2_models.User[scim2_models.AnyExtension]):
    __schema__ = URN("urn:ietf:params:scim:schemas:core:2.0:User")

    profile_url: Annotated[str | None, CaseExact.true] = None
    emails: list[Value] | None = None
    phone_numbers: list[Value] | None = None
    ims: list[Value] | None = None
    photos: list[Photo] | None = None
    addresses: list[Address] | None = None
    groups: Annotated[list[GroupMembership] | None, Mutability.read_only] = None


class GroupMember(ComplexAttribute):
    value: Annotated[str | None, Mutability.immutable, CaseExact.true] = None
    ref: Annotated[str | None, Mutability.immutable, CaseExact.true] = Field(
        None, serialization_alias="$ref", validation_alias="$ref"
    )
    type: Annotated[str | None, Mutability.immutable] = None
    display: str | None = None


class Group(scim2_models.Group):
    display_name: Annotated[str | None, Required.true] = None
    members: list[GroupMember] | None = None


MODELS: dict[str, Any] = {"User": User[EnterpriseUser], "Group": Group}


def key(binding: Any, text: str) -> str:
    """How text is compared: what ``protocol.filters.fold`` promises, written down a second time."""
    text = unicodedata.normalize("NFC", text)
    exact = binding.case_exact or binding.urn.endswith(":meta.location")  # a reference is (RFC 7643 §2.3.7)
    return text if exact else unicodedata.normalize("NFC", text.casefold())


TOLERANT = ScimPolicy(
    unknown=ScimPolicy.Unknown.ignore,
    remove_value_as_filter=ScimPolicy.RemoveValue.apply,
    unmatched_path_filter=ScimPolicy.UnmatchedPathFilter.create,
    comparison_key=key,
)

PROVIDER = ScimProvider(
    models=[User, EnterpriseUser, Group],
    resource_types=[ResourceType.from_resource(model) for model in MODELS.values()],
    config=load_default_service_provider_config(),
    policy=TOLERANT,
)
