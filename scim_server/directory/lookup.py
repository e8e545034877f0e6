"""Searching people and groups (RFC 7644 §3.4.2): filter text to a page of resources, with what belongs to each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..limits import Limits
from ..protocol import filters
from ..protocol.filters import Constant, Node
from ..protocol.schemas import ResourceType
from . import groups, users
from .store import search
from .store.search import Page
from .store.transaction import Tx

_VERBS: dict[str, Any] = {"User": users, "Group": groups}


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for. ``start`` counts from 1; ``base`` is the base URL that ``$ref`` is compared with."""

    filter: str | None = None
    sort_by: str | None = None
    descending: bool = False
    start: int = 1
    count: int = 100
    base: str = ""


def find(
    tx: Tx, kinds: Sequence[ResourceType], wanted: Search, limits: Limits, related: Callable[[ResourceType], bool]
) -> Page:
    """Find resources of these kinds; ``related`` tells for which of them groups or members are to be joined.

    Raises InvalidFilter, and InvalidValue for an attribute that cannot be sorted by.
    """
    wheres: dict[str, Node] = {kind.name: Constant(True) for kind in kinds}
    if wanted.filter is not None and len(kinds) == 1:
        wheres = {kinds[0].name: filters.parse(kinds[0], wanted.filter, limits)}
    elif wanted.filter is not None:
        wheres = filters.parse_for(kinds, wanted.filter, limits)
    sort = search.sort_by(kinds, wanted.sort_by, descending=wanted.descending) if wanted.sort_by else None
    page = search.find(tx, wheres, sort, start=wanted.start, count=wanted.count, base=wanted.base)
    for kind in kinds:
        if related(kind):
            _VERBS[kind.name].with_related(tx, [each for each in page.resources if each.kind == kind.name])
    return page
