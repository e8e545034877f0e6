"""How much one request may ask for. ``config`` fills it from the environment."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a request; each is a setting, and the error that it causes tells the bound."""

    body_bytes: int = 1_048_576
    filter_length: int = 4_096  # characters, also of a PATCH path
    filter_depth: int = 20  # nested parentheses and brackets
    filter_terms: int = 64  # comparisons joined by and / or
    patch_operations: int = 2_000
    members: int = 10_000  # members named in one request
    values: int = 1_000  # values of any other multi-valued attribute
    name_length: int = 512  # characters of userName, externalId and a group's displayName
    page_default: int = 100
    page_max: int = 1_000
