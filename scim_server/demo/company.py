"""The invented company: who works there, who is in which group, and who only pretends."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

NAME = "Analytical Engines"
DOMAIN = "analytical.example"
CONNECTION = "Demo IdP"
EVERYBODY = "Everybody"

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_DEPARTMENTS = ("Engineering", "Finance", "People", "Sales", "Support")
_GIVEN = (
    "Amara", "Bruno", "Chiara", "Daniel", "Elif", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaya", "Lena", "Mateo",
    "Nadia",
)  # fmt: skip
_FAMILY = (
    "Abend", "Birkholm", "Castellan", "Dorfmann", "Eklund", "Farrow", "Grünwald", "Halloran", "Ibsgaard", "Jaworski",
    "Kessler", "Lindqvist", "Morandi", "Nakamura",
)  # fmt: skip


def _plain(name: str) -> str:
    return name.lower().replace("ü", "ue")


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account; ``subject`` is the number that the provider and SCIM's ``externalId`` share."""

    subject: str
    given: str
    family: str
    department: str
    active: bool = True

    @property
    def name(self) -> str:
        return f"{self.given} {self.family}"

    @property
    def username(self) -> str:
        return f"{_plain(self.given)}.{_plain(self.family)}@{DOMAIN}"

    @property
    def resource(self) -> dict[str, Any]:
        """The person as a SCIM client pushes them."""
        return {
            "schemas": [_USER, _ENTERPRISE],
            "userName": self.username,
            "externalId": self.subject,
            "displayName": self.name,
            "name": {"givenName": self.given, "familyName": self.family},
            "emails": [{"value": self.username, "type": "work", "primary": True}],
            "active": self.active,
            _ENTERPRISE: {"employeeNumber": self.subject, "department": self.department},
        }


@dataclass(frozen=True, slots=True)
class Persona:
    """Somebody whom a visitor can be at the provider; ``claims`` are what it says of them."""

    subject: str
    name: str
    role: str
    expected: str
    email: str
    proven: bool = True
    username: str | None = None  # of the account that HR may end

    @property
    def claims(self) -> dict[str, object]:
        given, _, family = self.name.partition(" ")
        return {
            "name": self.name, "given_name": given, "family_name": family,
            "email": self.email, "email_verified": self.proven,
        }  # fmt: skip


GRACE = Person("1002", "Grace", "Hopper", "Engineering")
ADA = Person("1001", "Ada", "Lovelace", "People")
CHARLES = Person("1003", "Charles", "Babbage", "Finance", active=False)


def _of(person: Person, role: str, expected: str) -> Persona:
    return Persona(person.subject, person.name, role, expected, person.username, username=person.username)


PERSONAS = (
    _of(GRACE, "employee", "gets in"),
    _of(ADA, "admin", "gets in, and cannot be deactivated: the last admin"),
    _of(CHARLES, "has left", "is refused: the account is inactive"),
    Persona(
        "9999", "Mallory Mask", "claims Grace's address", "is refused: the address is not proven", GRACE.username, False
    ),
)


def people() -> list[Person]:
    """Everybody with an account: the personas first, then people who are only there to be many."""
    crowd = product(_FAMILY, _GIVEN)
    return [ADA, GRACE, CHARLES] + [
        Person(str(2000 + number), given, family, _DEPARTMENTS[number % len(_DEPARTMENTS)])
        for number, (family, given) in enumerate(crowd)
    ]


def groups(ids: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The groups as a SCIM client pushes them; ``ids`` are those of the people by username."""
    for name in (*_DEPARTMENTS, EVERYBODY):
        inside = [each for each in people() if name in (each.department, EVERYBODY)]
        members = [{"value": ids[each.username], "type": "User"} for each in inside]
        yield {"schemas": [_GROUP], "displayName": name, "members": members}
