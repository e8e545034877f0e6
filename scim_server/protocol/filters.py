"""Filter text -> resolved tree (RFC 7644 §3.4.2.2), and its evaluation on a document in memory.

scim2-models parses; here the tree is bound to the attribute table, once, with all the rules that both
readers of a filter must share: which names exist, what a literal may be, how text is folded, what ``ne``
means. The SQL compiler (``directory.store.conditions``) and ``matches`` below walk the same resolved tree, so
they cannot disagree about them.

The tree is two-valued: a comparison with an absent value is false, never unknown.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from scim2_models import InvalidFilterException, ScimFilter
from scim2_models.path import (
    AttrPath,
    CompareOperator,
    Comparison,
    FilterNode,
    FilterVisitor,
    LogicalExpr,
    LogicalOperator,
    Not as NotNode,
    Present as PresentNode,
    ValuePath,
)

from ..limits import Limits
from .errors import InvalidFilter
from .schemas import Attribute, ResourceType


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison of one single value: ``op`` is eq, co, sw, ew, gt, ge, lt or le (``ne`` is Not of eq).

    ``value`` is folded already (text, bool or number), ``literal`` is as written. Neither takes part in
    equality, so that filters of one shape are equal: the SQL of a shape is compiled once.
    """

    attribute: Attribute
    op: str
    value: Any = field(compare=False)
    literal: Any = field(compare=False, default=None)


@dataclass(frozen=True, slots=True)
class Present:
    """The attribute has a value (``pr``)."""

    attribute: Attribute


@dataclass(frozen=True, slots=True)
class Some:
    """At least one entry of a multi-valued attribute satisfies ``where``."""

    attribute: Attribute
    where: Node


@dataclass(frozen=True, slots=True)
class Not:
    """Negation."""

    node: Node


@dataclass(frozen=True, slots=True)
class Every:
    """Conjunction."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Either:
    """Disjunction."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Constant:
    """Always true or never."""

    value: bool


Node = Compare | Present | Some | Not | Every | Either | Constant


# ------------------------------------------------------------------------------------------------ folding


def fold(attribute: Attribute, text: str) -> str:
    """The form in which text of this attribute is compared, stored beside the value as sent.

    NFC, and case-folded unless the attribute is caseExact (RFC 7643 §2.2, RFC 7644 §3.4.2.2). Computed
    here and nowhere else: databases disagree on case.
    """
    if text.isascii():
        return text if attribute.case_exact else text.lower()
    text = unicodedata.normalize("NFC", text)
    return text if attribute.case_exact else unicodedata.normalize("NFC", text.casefold())


def instant(moment: datetime) -> str:
    """A moment as fixed-width UTC text, in which the order of text is the order of time."""
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).isoformat(timespec="microseconds")[:-6] + "Z"


def comparable(attribute: Attribute, value: Any) -> Any:
    """A stored value in the form that filters compare."""
    if attribute.type == "dateTime":
        return instant(datetime.fromisoformat(value))
    return fold(attribute, value) if isinstance(value, str) else value


# ------------------------------------------------------------------------------------------------ parsing

# Look-ups by name are the hottest requests of every sender and the grammar costs 80 µs: the plainest form
# is read here.
_SIMPLE = re.compile(r'\s*([A-Za-z][A-Za-z0-9_-]*)\s+eq\s+"([^"\\\x00-\x1f\ud800-\udfff]*)"\s*', re.IGNORECASE)

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[()\[\]]|\b(?:and|or)\b', re.IGNORECASE | re.DOTALL)


def parse(kind: ResourceType, text: str, limits: Limits) -> Node:
    """Read a filter for one kind of resource. Raises InvalidFilter."""
    simple = _SIMPLE.fullmatch(text) if len(text) <= limits.filter_length else None
    if simple is not None:
        attribute = kind.resolve(simple[1])
        if attribute is not None and attribute.type == "string" and not attribute.multi_valued:
            _refuse_secret(attribute)
            return Compare(attribute, "eq", fold(attribute, simple[2]), simple[2])
    return parse_for([kind], text, limits)[kind.name]


def parse_for(kinds: Sequence[ResourceType], text: str, limits: Limits) -> dict[str, Node]:
    """Read a filter for several kinds at once, as the root ``/.search`` does (RFC 7644 §3.4.2.1).

    An attribute that only some kinds have is false for the others; one that none has is InvalidFilter.
    Returns the tree for each kind by name.
    """
    check_size(text, limits)
    try:
        tree = ScimFilter(text).ast
    except InvalidFilterException as error:
        raise InvalidFilter(detail=f"The filter cannot be read: {_where(error)}.") from None
    return {kind.name: _Resolver(kind, kinds).visit(tree) for kind in kinds}


def check_size(text: str, limits: Limits) -> None:
    """Bound length, nesting and number of terms before anything recursive looks at the text."""
    if len(text) > limits.filter_length:
        raise InvalidFilter(detail=f"The filter is longer than {limits.filter_length} characters.")
    depth = terms = 0
    for token in _TOKEN.finditer(text):
        match token[0][0]:
            case "(" | "[":
                depth += 1
                if depth > limits.filter_depth:
                    raise InvalidFilter(detail=f"The filter nests more than {limits.filter_depth} levels.")
            case ")" | "]":
                depth -= 1
            case '"':
                pass
            case _:
                terms += 1
    if terms >= limits.filter_terms:
        raise InvalidFilter(detail=f"The filter has more than {limits.filter_terms} terms.")


def _where(error: InvalidFilterException) -> str:
    """Only the position is told: a filter is never echoed, and the parser's other words are its own."""
    found = re.search(r"column \d+", str(error))
    return f"it is not in the SCIM filter grammar at {found[0]}" if found else "it is not in the SCIM filter grammar"


def entry_filter(attribute: Attribute, node: FilterNode) -> Node:
    """Bind the filter between the brackets of a path to the entries of a multi-valued attribute."""
    return _EntryResolver(attribute).visit(node)


class _Binder(FilterVisitor[Node]):
    """What resolving a whole filter and one between brackets have in common."""

    def visit_not(self, node: NotNode) -> Node:
        return Not(self.visit(node.expr))

    def visit_logical_expr(self, node: LogicalExpr) -> Node:
        terms = tuple(self.visit(term) for term in node.terms)
        return Every(terms) if node.op == LogicalOperator.and_ else Either(terms)


class _Resolver(_Binder):
    """Binds a filter to a kind of resource."""

    def __init__(self, kind: ResourceType, kinds: Sequence[ResourceType]) -> None:
        self.kind, self.kinds = kind, kinds

    def _find(self, path: AttrPath) -> Attribute | None:
        found = _find(self.kind, path)
        if found is None and not any(_find(other, path) for other in self.kinds):
            raise InvalidFilter(detail="The filter names an attribute that does not exist here.")
        if found is not None:
            _refuse_secret(found)
        return found

    def visit_comparison(self, node: Comparison) -> Node:
        found = self._find(node.attr_path)
        if found is None:
            return Constant(False)
        leaf = _leaf(found)
        head = leaf.parent or leaf
        if not head.multi_valued:
            return comparison(leaf, str(node.op), node.value)
        if node.op == CompareOperator.ne:  # no value equals
            return Not(_some_entry(head, leaf, "eq", node.value))
        return _some_entry(head, leaf, str(node.op), node.value)

    def visit_present(self, node: PresentNode) -> Node:
        found = self._find(node.attr_path)
        if found is None:
            return Constant(False)
        head = found.parent
        if head is not None and head.multi_valued:
            return Some(head, Present(found))
        return Present(found)

    def visit_value_path(self, node: ValuePath) -> Node:
        found = self._find(node.attr_path)
        if found is None:
            return Constant(False)
        if not found.multi_valued:
            raise InvalidFilter(detail=f'"{found.path}" has one value; brackets select from several.')
        return Some(found, entry_filter(found, node.val_filter))


def _some_entry(head: Attribute, leaf: Attribute, op: str, value: Any) -> Node:
    """A comparison over all entries; null equals an attribute that is absent and an entry without it."""
    test = Some(head, comparison(leaf, op, value))
    return Either((Not(Present(head)), test)) if value is None and op == "eq" else test


class _EntryResolver(_Binder):
    """Binds a filter to the entries of one multi-valued attribute."""

    def __init__(self, attribute: Attribute) -> None:
        self.attribute = attribute

    def _find(self, path: AttrPath) -> Attribute:
        found = self.attribute.subs.get(path.attr.lower()) if path.uri is None and path.sub_attr is None else None
        if found is None and not self.attribute.complex and path.attr.lower() == "value":
            found = self.attribute  # an entry that is a plain value is called `value` (RFC 7643 §2.4)
        if found is None:
            raise InvalidFilter(detail=f'The filter names a sub-attribute that "{self.attribute.path}" does not have.')
        return found

    def visit_comparison(self, node: Comparison) -> Node:
        return comparison(self._find(node.attr_path), str(node.op), node.value)

    def visit_present(self, node: PresentNode) -> Node:
        return Present(self._find(node.attr_path))

    def visit_value_path(self, node: ValuePath) -> Node:
        raise InvalidFilter(detail="One pair of brackets cannot hold another.")


def _find(kind: ResourceType, path: AttrPath) -> Attribute | None:
    """What a name stands for; Entra asks for ``manager eq "…"`` without its URN."""
    found = kind.resolve(path.attr, path.sub_attr, path.uri)
    if found is None and path.uri is None:
        found = kind.unqualified_extension(path.attr)
        return found.subs.get(path.sub_attr.lower()) if found and path.sub_attr else found
    return found


def _leaf(attribute: Attribute) -> Attribute:
    """A complex attribute is compared by its ``value`` (RFC 7644 §3.4.2.2; Entra's ``manager eq "…"``)."""
    if not attribute.complex:
        return attribute
    if "value" not in attribute.subs:
        raise InvalidFilter(detail=f'"{attribute.path}" cannot be compared as a whole; name a sub-attribute.')
    return attribute.subs["value"]


def _refuse_secret(attribute: Attribute) -> None:
    """A password cannot be filtered by, in any form: each answer would tell something of it."""
    if attribute.mutability == "writeOnly" or attribute.returned == "never":
        raise InvalidFilter(detail=f'"{attribute.path}" cannot be used in a filter.')


def comparison(attribute: Attribute, op: str, value: Any) -> Node:
    """Bind one comparison of a single value: check operator and literal, fold the literal."""
    if op == "ne":
        return Not(comparison(attribute, "eq", value))
    if value is None:
        return Not(Present(attribute)) if op == "eq" else Constant(False)
    if attribute.type == "boolean":
        truth = _boolean(attribute, value)
        return Compare(attribute, _equality(attribute, op), truth, truth)
    if attribute.type in ("integer", "decimal"):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise _unfit(attribute, "a number")
        return Compare(attribute, op, value, value) if op not in ("co", "sw", "ew") else Constant(False)
    if not isinstance(value, str):
        raise _unfit(attribute, "text in double quotes")
    if "\x00" in value or not _encodable(value):
        raise _unfit(attribute, "text without NUL and lone surrogates")
    if attribute.type == "dateTime":
        return _moment(attribute, op, value)
    if attribute.type == "binary" and op in ("gt", "ge", "lt", "le"):
        raise InvalidFilter(detail=f'"{attribute.path}" has no order; use eq or ne.')
    return Compare(attribute, op, fold(attribute, value), value)


def _equality(attribute: Attribute, op: str) -> str:
    if op != "eq":
        raise InvalidFilter(detail=f'"{attribute.path}" is true or false; use eq, ne or pr.')
    return op


def _boolean(attribute: Attribute, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise _unfit(attribute, "true or false")


def _moment(attribute: Attribute, op: str, value: str) -> Node:
    if op in ("co", "sw", "ew"):
        return Constant(False)
    try:
        return Compare(attribute, op, instant(datetime.fromisoformat(value)), value)
    except (ValueError, OverflowError):
        raise _unfit(attribute, "a date and time such as 2026-01-31T09:30:00Z") from None


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unfit(attribute: Attribute, wanted: str) -> InvalidFilter:
    return InvalidFilter(detail=f'In a filter "{attribute.path}" is compared with {wanted}.')


# --------------------------------------------------------------------------------------------- evaluation


def matches(node: Node, values: Mapping[str, Any] | Any) -> bool:
    """Evaluate a resolved filter on a document, or on one entry of a multi-valued attribute."""
    match node:
        case Constant(value):
            return value
        case Not(inner):
            return not matches(inner, values)
        case Every(terms):
            return all(matches(term, values) for term in terms)
        case Either(terms):
            return any(matches(term, values) for term in terms)
        case Some(attribute, where):
            return any(matches(where, entry) for entry in _read(attribute, values) or ())
        case Present(attribute):
            return _present(_read(attribute, values))
        case Compare(attribute, op, value):
            found = _read(attribute, values)
            return found is not None and _holds(op, comparable(attribute, found), value)


def _read(attribute: Attribute, values: Mapping[str, Any] | Any) -> Any:
    """The value of an attribute; a sub-attribute of a single complex one is looked for in its parent."""
    if not isinstance(values, Mapping):
        return values
    parent = attribute.parent
    if parent is not None and not parent.multi_valued:
        values = _read(parent, values) or {}
    elif attribute.in_extension and parent is None:
        values = values.get(attribute.schema) or {}
    return values.get(attribute.name)


def _present(value: Any) -> bool:
    """A value is there: false and 0 are values, an empty text or an object without values is not."""
    if isinstance(value, Mapping):
        return any(_present(each) for each in value.values())
    if isinstance(value, list):
        return any(_present(each) for each in value)
    return value is not None and value != ""


def _holds(op: str, found: Any, wanted: Any) -> bool:
    match op:
        case "eq":
            return type(found) is type(wanted) and bool(found == wanted)
        case "co":
            return wanted in found
        case "sw":
            return bool(found.startswith(wanted))
        case "ew":
            return bool(found.endswith(wanted))
        case "gt":
            return bool(found > wanted)
        case "ge":
            return bool(found >= wanted)
        case "lt":
            return bool(found < wanted)
        case _:
            return bool(found <= wanted)


def size(node: Node) -> int:
    """How many tests a tree holds, comparisons and presences alike."""
    match node:
        case Not(inner) | Some(_, inner):
            return size(inner)
        case Every(terms) | Either(terms):
            return sum(size(term) for term in terms)
        case _:
            return 1


def comparisons(node: Node) -> Iterator[Compare]:
    """All comparisons of a tree, in the order in which they are written."""
    match node:
        case Compare():
            yield node
        case Not(inner) | Some(_, inner):
            yield from comparisons(inner)
        case Every(terms) | Either(terms):
            for term in terms:
                yield from comparisons(term)
