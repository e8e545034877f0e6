"""Random SCIM filters (RFC 7644 §3.4.2.2) that name every attribute of a kind in every form."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Iterator
from datetime import timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from scim_server.protocol.schemas import Attribute, ResourceType
from tests.oracles.population import BINARIES, EMPTIED, GROUP_IDS, GROUPS, PEOPLE, TEXTS, URLS, USER_IDS, moment
from tests.running import BASE, ENTERPRISE, GROUP, USER

Filters = st.SearchStrategy[str]

TEXT_OPERATORS = ("eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le")
OPERATORS = {"boolean": ("eq", "ne"), "binary": ("eq", "ne")}

_REFERENCES = [
    *URLS,
    *(f"{BASE}/Users/{each}" for each in USER_IDS[:9]),
    *(f"{BASE}/Groups/{each}" for each in GROUP_IDS),
]
_IDS = [*USER_IDS[:20], *GROUP_IDS]


def leaves(kind: ResourceType) -> Iterator[Attribute]:
    """Every attribute that has a value to compare.

    A password is refused; a user's ``meta.version`` is served with a digest of the groups behind it, which a
    filter leaves aside on purpose.
    """
    for head in kind.every_attribute():
        for leaf in head.subs.values() if head.complex else [head]:
            if leaf.name != "password" and (leaf.path != "meta.version" or kind.name == "Group"):
                yield leaf


def filters_for(kind: ResourceType) -> Filters:
    """Any filter on this kind of resource."""
    heads = [head for head in kind.every_attribute() if head.name != "password"]
    single = [leaf for leaf in leaves(kind) if not (leaf.parent or leaf).multi_valued]
    several = [leaf for leaf in leaves(kind) if (leaf.parent or leaf).multi_valued]
    atoms = st.one_of(
        any_of(comparison(kind, leaf) for leaf in single),
        any_of(comparison(kind, leaf) for leaf in several),
        any_of(_pr(_path(kind, each)) for each in [*single, *several, *heads]),
        any_of(value_path(kind, head) for head in heads if head.multi_valued),
    )
    return joined(atoms)


def any_of(strategies: Iterable[Filters]) -> Filters:
    """Like ``one_of``, without looking at all of them for each example."""
    return choice(strategies).flatmap(lambda chosen: chosen)


def choice(options: Iterable[Any]) -> st.SearchStrategy[Any]:
    """Like ``sampled_from``, whose description of itself would be megabytes long."""
    held = list(options)
    return st.integers(0, len(held) - 1).map(lambda position: held[position])


def joined(atoms: Filters) -> Filters:
    """Atoms under and, or, not and parentheses, in any letter case."""
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            st.tuples(inner, _word("and", "or"), inner).map(" ".join),
            st.tuples(_word("not", "not "), inner).map(lambda t: f"{t[0]}({t[1]})"),
            inner.map("({})".format),
        ),
        max_leaves=5,
    )


def comparison(kind: ResourceType, leaf: Attribute) -> Filters:
    """``emails.type eq "work"``; a value may be named by its list: ``emails eq "a@x.test"``."""
    head = leaf.parent or leaf
    listed = head is not leaf and head.multi_valued and leaf.name == "value"
    return _compare(_path(kind, leaf, head) if listed else _path(kind, leaf), leaf)


def value_path(kind: ResourceType, head: Attribute) -> Filters:
    """``emails[type eq "work" and primary eq true]``, or with ``.value eq "…"`` behind it (Entra)."""
    if not head.complex:
        inner, behind = _compare(_named("value"), head), st.just("")
    else:
        tests = [_compare(_named(sub.name), sub) for sub in head.subs.values()]
        inner = any_of([*tests, *tests, *(_pr(_named(sub.name)) for sub in head.subs.values())])
        behind = st.one_of(st.just(""), st.just(""), inner.map(".{}".format))
    return st.tuples(_path(kind, head), joined(inner), behind).map(lambda t: f"{t[0]}[{t[1]}]{t[2]}")


def _compare(path: Filters, leaf: Attribute) -> Filters:
    tested = st.tuples(path, _word(*OPERATORS.get(leaf.type, TEXT_OPERATORS)), _literal(leaf)).map(" ".join)
    if leaf.name in EMPTIED or leaf.path in EMPTIED:  # null: see the differences in test_filters
        return tested
    nothing = st.tuples(path, _word("eq", "ne"), _word("null")).map(" ".join)
    return any_of([tested] * 5 + [nothing])


def _pr(path: Filters) -> Filters:
    return st.tuples(path, _word("pr")).map(" ".join)


def _path(kind: ResourceType, *attributes: Attribute) -> Filters:
    plain = [each.path for each in attributes]
    return _named(*plain, *plain, *(path if path.startswith("urn:") else f"{kind.urn}:{path}" for path in plain))


def _named(*names: str) -> Filters:
    return choice([form(name) for name in names for form in (str, str, str.lower, str.upper, str.swapcase)])


def _word(*words: str) -> Filters:
    return choice([form(word) for word in words for form in (str, str, str.upper, str.title)])


def _literal(leaf: Attribute) -> Filters:
    match leaf.type:
        case "boolean":
            return choice(["true", "false", "True", "FALSE", '"true"', '"False"', '"TRUE"'])
        case "dateTime":
            return _moments()
        case "binary":
            return choice(BINARIES).map(_quoted)
    known = {
        "schemas": [USER, GROUP, ENTERPRISE, ENTERPRISE.upper(), "urn:"],
        "meta.version": [f'W/"{number}"' for number in range(4)],
        "meta.resourceType": ["User", "Group", "user", "Us"],
        "groups.type": ["direct", "Indirect", "dir", "in"],
        "members.type": ["User", "Group", "user", "G", "UP"],
        "groups.display": _NAMES,
        "members.display": _NAMES,
        "displayName": [*_NAMES, *TEXTS],
    }
    if leaf.path in known:
        return _any_form(known[leaf.path])
    if leaf.type == "reference":
        return _any_form(_REFERENCES)
    if leaf.name == "id" or (leaf.name == "value" and leaf.case_exact):
        return _any_form(_IDS)
    return _any_form(TEXTS)


_NAMES = [f"{TEXTS[number * 3]}{number:02}" for number in range(GROUPS)]
_FORMS = (
    str, str, str, str.lower, str.upper, str.swapcase,
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: text[: len(text) // 2 + 1],
    lambda text: text[len(text) // 2 :],
    lambda text: text[1:-1],
    lambda text: text[:1],
    lambda text: text + "a",
    lambda _: "",
)  # fmt: skip


def _any_form(texts: Iterable[str]) -> Filters:
    """A text that somebody has, or nearly; long ones are cut to what a filter may hold."""
    chosen = st.tuples(choice(texts), choice(_FORMS)).map(lambda t: t[1](t[0][:400]))
    anything = st.text(max_size=3, alphabet=st.characters(exclude_categories=["Cs", "Cc"]))
    written = st.tuples(any_of([chosen] * 6 + [anything]), st.booleans())
    return written.map(lambda t: json.dumps(t[0], ensure_ascii=t[1]))


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _moments() -> Filters:
    """A moment at which somebody was made, one before or after, in any time zone."""
    return st.tuples(
        st.integers(-1, PEOPLE + 12),
        choice([timedelta(0), timedelta(microseconds=1), timedelta(hours=1)]),
        st.integers(-12, 14),
    ).map(lambda t: _quoted((moment(t[0]) + t[1]).astimezone(timezone(timedelta(hours=t[2]))).isoformat()))
