"""Sorting and paging are what Python makes of the served resources by the rules of RFC 7644 §3.4.2.3 and §3.4.2.4."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from scim_server.protocol.schemas import GROUP, USER, Attribute, ResourceType
from tests.oracles.expressions import choice, filters_for, leaves
from tests.oracles.population import Population, populated


@pytest.fixture(scope="module")
def everybody(module_database_url: str) -> Iterator[Population]:
    with populated(module_database_url) as population:
        yield population


def sortable(kind: ResourceType) -> list[Attribute]:
    """Not by the lists that are joined in from rows, nor by ``schemas``."""
    unordered = {"groups", "members", "schemas"}
    return [leaf for leaf in leaves(kind) if (leaf.parent or leaf).name not in unordered and leaf.name != "version"]


def sorted_by_rule(shown: list[dict[str, Any]], leaf: Attribute, *, descending: bool) -> list[str]:
    """Absent values last in ascending and first in descending order; equal ones by id, always ascending."""
    by_id = sorted(shown, key=lambda each: each["id"])
    having = [each for each in by_id if value(each, leaf) is not None]
    absent = [each for each in by_id if value(each, leaf) is None]
    having.sort(key=lambda each: value(each, leaf), reverse=descending)  # stable, so equal ones stay as they were
    return [each["id"] for each in (absent + having if descending else having + absent)]


def value(shown: dict[str, Any], leaf: Attribute) -> Any:
    """What a resource is sorted by: of several values the primary one, else the first."""
    head = leaf.parent or leaf
    held = shown.get(head.schema, {}) if head.in_extension else shown
    found = held.get(head.name)
    if leaf is not head and found is not None:
        if head.multi_valued:
            found = next((each for each in found if each.get("primary")), found[0])
        found = found.get(leaf.name)
    if leaf.type == "dateTime":
        return datetime.fromisoformat(found)
    if not isinstance(found, str):
        return found
    text = unicodedata.normalize("NFC", found)
    return text if leaf.case_exact else unicodedata.normalize("NFC", text.casefold())


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize("kind", [USER, GROUP], ids=["User", "Group"])
def test_each_attribute_gives_the_order_of_the_rfc(everybody: Population, kind: ResourceType, descending: bool) -> None:
    shown = list(everybody.served[kind.name].values())
    for leaf in sortable(kind):
        found, _ = everybody.search(kind, sort_by=leaf.path, descending=descending)
        assert (leaf.path, found) == (leaf.path, sorted_by_rule(shown, leaf, descending=descending))


def test_a_complex_attribute_is_sorted_by_its_value(everybody: Population) -> None:
    for name in ("emails", "photos", "roles", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"):
        assert everybody.search(USER, sort_by=name) == everybody.search(USER, sort_by=f"{name}.value")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    text=st.none() | filters_for(USER),
    leaf=st.none() | choice(sortable(USER)),
    descending=st.booleans(),
    count=st.integers(1, 40),
)
def test_pages_hold_everybody_who_matches_once_and_in_order(
    everybody: Population, text: str | None, leaf: Attribute | None, descending: bool, count: int
) -> None:
    order = {"sort_by": leaf.path if leaf else None, "descending": descending}
    whole, total = everybody.search(USER, text, **order)
    assert total == len(whole)
    paged: list[str] = []
    for start in range(1, total + count + 1, count):
        page, told = everybody.search(USER, text, start=start, count=count, **order)
        assert told == total
        assert len(page) <= count
        paged += page
    assert paged == whole
    if text is not None:
        wanted = everybody.in_memory(USER, text)
        assert whole == [each for each in everybody.search(USER, **order)[0] if each in wanted]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(start=st.integers(1, 120), count=st.integers(0, 120))
def test_any_window_is_that_part_of_the_whole(everybody: Population, start: int, count: int) -> None:
    whole, total = everybody.search(USER, sort_by="emails.value")
    assert everybody.search(USER, sort_by="emails.value", start=start, count=count) == (
        whole[start - 1 : start - 1 + count],
        total,
    )
