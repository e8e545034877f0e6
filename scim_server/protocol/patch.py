"""Operations applied to a document (RFC 7644 §3.5.2), membership changes parted from it.

Members never travel through the document: they are rows, and a change to them is handed on as
``MemberChange`` for the store to carry out as set statements. Everything else is applied here, on the
small document, in the order sent. Nothing is changed in place: on any error the caller still holds the
document it came with.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .documents import (
    Document,
    arranged,
    assign,
    check_required,
    immutable,
    normalise,
    qualified,
    several_primaries,
    single,
    too_many,
    unknown,
)
from .errors import Immutable, InvalidPath, InvalidSyntax, InvalidValue, NoTarget
from .filters import Compare, Every, Node, comparable, matches
from .operations import Operation, Target, resolve
from .schemas import Attribute, Extension, ResourceType
from .senders import Deviation, Sender

_MOST_SELECTIONS = 20  # each looks at every member of the group

Members = dict[str, str | None]
"""Ids of members, each with the ``display`` that was sent with it."""


@dataclass(slots=True)
class MemberChange:
    """One change to the set of members: what leaves, then what comes.

    ``clear`` empties the set first; ``where`` removes those that a filter selects. ``remove`` and ``add``
    hold ids and never the same one: the last word on an id counts. ``add`` has the ``display`` sent with each.
    """

    clear: bool = False
    where: Node | None = None
    remove: dict[str, None] = field(default_factory=dict)
    add: Members = field(default_factory=dict)

    def adds(self, members: Members) -> None:
        for each, display in members.items():
            self.remove.pop(each, None)
            self.add[each] = display

    def removes(self, ids: Iterable[str]) -> None:
        for each in ids:
            self.add.pop(each, None)
            self.remove[each] = None


@dataclass(slots=True)
class Patched:
    """What a PATCH makes of a resource: the new document, and the changes to its members in order."""

    document: Document
    members: list[MemberChange]


def apply(kind: ResourceType, document: Document, operations: Iterable[Operation], sender: Sender) -> Patched:
    """Apply all operations or raise; the given document stays as it was."""
    work = _Work(kind, copy.deepcopy(document), sender)
    for operation in operations:
        work.apply(operation)
    check_required(kind, work.document)
    return Patched(arranged(kind, work.document), work.members)


class _Work:
    """The document in the course of one PATCH."""

    def __init__(self, kind: ResourceType, document: Document, sender: Sender) -> None:
        self.kind, self.document, self.sender = kind, document, sender
        self.members: list[MemberChange] = []

    def apply(self, operation: Operation) -> None:
        target = operation.target
        if target is None:
            for key, value in operation.value.items():
                self.write_key(operation.op, key, value)
        elif isinstance(target, Extension):
            self.write_extension(operation.op, target, operation.value)
        elif target.leaf.read_only or target.attribute.read_only:
            raise immutable(target.leaf)
        elif target.attribute.name == "schemas":
            self.write_schemas(operation)
        elif target.attribute.name == "password":
            pass  # accepted and dropped, as in POST and PUT
        elif target.attribute.name == "members":
            self.write_members(operation, target)
        elif operation.op == "remove":
            self.remove(target, operation.value)
        else:
            self.write(operation.op, target, operation.value)

    # ------------------------------------------------------------------------------ without a path

    def write_key(self, op: str, key: str, value: Any) -> None:
        """One key of a value without path: an attribute, an extension, or (Entra) a path."""
        extension = self.kind.extensions.get(key.lower())
        if extension is not None:
            self.write_extension(op, extension, value)
            return
        attribute = self.kind.attributes.get(key.lower())
        target: Target | None
        if attribute is not None:
            target = Target(attribute)
        elif "[" in key:
            resolved = resolve(self.kind, key, self.sender)
            target = resolved if isinstance(resolved, Target) else None
            self.sender.note(Deviation.PATH_AS_KEY, key, lambda: InvalidSyntax(detail="A key must be a name."))
        else:
            found = qualified(self.kind, key, self.sender)
            target = None if found is None else Target(found.parent or found, found if found.parent else None)
        if target is None:
            unknown(key, self.sender)
        elif not target.leaf.read_only and not target.attribute.read_only and target.attribute.name != "schemas":
            self.apply(Operation(op, target, value))

    def write_extension(self, op: str, extension: Extension, value: Any) -> None:
        """An extension is merged into, or removed whole by its URN."""
        if op == "remove" or (value is None and op == "replace"):
            self.document.pop(extension.urn, None)
            return
        if not isinstance(value, dict):
            raise InvalidValue(detail=f'"{extension.urn}" must be an object.')
        for key, item in value.items():
            attribute = extension.attributes.get(key.lower())
            if attribute is not None:
                if not attribute.read_only:
                    self.apply(Operation(op, Target(attribute), item))
            else:
                self.write_key(op, f"{extension.urn}:{key}", item)

    def write_schemas(self, operation: Operation) -> None:
        """``schemas`` follows from the attributes present (RFC 7643 §3): a write is checked, and changes nothing."""
        if operation.op == "remove":
            raise Immutable(detail='"schemas" is required and follows from the attributes present.')

    # ------------------------------------------------------------------------------------- writing

    def write(self, op: str, target: Target, value: Any) -> None:
        """Add or replace (RFC 7644 §3.5.2.1, §3.5.2.3)."""
        attribute = target.attribute
        if target.where is not None:
            self.write_selected(op, target, value)
        elif target.sub is not None:
            self.write_sub(op, attribute, target.sub, value)
        elif attribute.multi_valued:
            self.write_list(op, attribute, value)
        elif attribute.complex:
            self.merge(op, attribute, value)
        elif value is None or value == "":
            if op == "replace":
                self.unassign(attribute)
        else:
            assign(self.document, attribute, normalise(attribute, value, self.sender))

    def merge(self, op: str, attribute: Attribute, value: Any) -> None:
        """A partial object keeps the sub-attributes that it does not name (§3.5.2.3); nothing added is nothing done."""
        if value is None and op == "replace":
            self.unassign(attribute)
        if value is None:
            return
        incoming = normalise(attribute, value, self.sender) or {}
        incoming = {name: item for name, item in incoming.items() if item != ""}  # cleared below
        held = dict(self.held(attribute) or {})
        if isinstance(value, dict) and op == "replace":
            for key, item in value.items():
                sub = attribute.subs.get(key.lower())
                if sub is not None and not sub.read_only and item in (None, ""):
                    held.pop(sub.name, None)
        elif not incoming and op == "replace":
            held = {}  # "" or [] for a manager: none
        assign(self.document, attribute, {**held, **incoming} or None)

    def write_list(self, op: str, attribute: Attribute, value: Any) -> None:
        incoming = [] if value is None else normalise(attribute, value, self.sender) or []
        held = self.held(attribute) or []
        if op == "replace":
            assign(self.document, attribute, incoming or None)
            return
        known = [_folded(attribute, entry) for entry in held]
        fresh = [entry for entry in incoming if _folded(attribute, entry) not in known]
        if not fresh:
            return
        merged = self.grown(attribute, [*held, *fresh])
        assign(self.document, attribute, merged)
        self.settle_primary(attribute, merged, fresh)

    def grown(self, attribute: Attribute, entries: list[Any]) -> list[Any]:
        """A list that has grown, and keeps to the limit however many requests it took."""
        most = self.sender.limits.values
        if len(entries) > most:
            raise InvalidValue(detail=f'"{attribute.path}" holds at most {most} values.')
        return entries

    def write_sub(self, op: str, attribute: Attribute, sub: Attribute, value: Any) -> None:
        """A sub-attribute of a complex attribute, or of every entry where there are several."""
        if attribute.multi_valued:
            entries = self.held(attribute) or []
            for entry in entries:
                self.write_into(op, entry, {sub.name: value}, attribute)
            self.settle_primary(attribute, entries, entries if sub.name == "primary" else [])
            return
        if op == "replace" or value not in (None, ""):
            self.merge(op, attribute, {sub.name: value})

    def write_selected(self, op: str, target: Target, value: Any) -> None:
        """The entries that a filter selects; where it selects none, the one it describes is made."""
        attribute, where = target.attribute, target.where
        assert where is not None
        if not attribute.complex:
            raise InvalidPath(detail=f'"{attribute.path}" holds plain values; replace the list.')
        entries = self.held(attribute) or []
        chosen = [entry for entry in entries if matches(where, entry)]
        made = not chosen
        if made:
            chosen = [self.described(attribute, where)]
            entries = self.grown(attribute, [*entries, *chosen])
        written = {target.sub.name: value} if target.sub else value
        if not isinstance(written, dict):
            raise InvalidValue(detail=f'A value for entries of "{attribute.path}" must be an object.')
        for entry in chosen:
            self.write_into(op, entry, written, attribute)
        if made and not matches(where, chosen[0]):  # it would be made anew each time the request is repeated
            raise _no_match(attribute)
        names_primary = any(key.lower() == "primary" for key in written)
        fresh = [entry for entry in chosen if names_primary or entry not in (self.held(attribute) or [])]
        assign(self.document, attribute, [entry for entry in entries if entry] or None)
        self.settle_primary(attribute, entries, fresh)

    def write_into(self, op: str, entry: dict[str, Any], values: dict[str, Any], attribute: Attribute) -> None:
        for key, item in values.items():
            sub = attribute.subs.get(key.lower())
            if sub is None:
                unknown(f"{attribute.path}.{key}", self.sender)
            elif sub.read_only:
                continue
            elif item is None or item == "":
                if op == "replace":
                    entry.pop(sub.name, None)
            else:
                entry[sub.name] = normalise(sub, item, self.sender)

    def settle_primary(self, attribute: Attribute, entries: list[dict[str, Any]], fresh: list[dict[str, Any]]) -> None:
        """A value just marked primary unmarks the others (§3.5.2); of several marked at once the first stays."""
        marked = [entry for entry in fresh if entry.get("primary") is True]
        if len(marked) > 1:
            self.sender.note(Deviation.SEVERAL_PRIMARIES, attribute.path, lambda: several_primaries(attribute))
        for entry in entries if marked else ():
            if entry is not marked[0] and entry.get("primary") is True:
                entry["primary"] = False

    def described(self, attribute: Attribute, where: Node) -> dict[str, Any]:
        """The entry that ``type eq "work"`` describes (Entra); RFC 7644 §3.5.2.3 asks for noTarget."""
        terms = where.terms if isinstance(where, Every) else (where,)
        entry: dict[str, Any] = {}
        for term in terms:
            if not isinstance(term, Compare) or term.op != "eq" or not attribute.complex:
                raise _no_match(attribute)
            entry[term.attribute.name] = term.literal
        self.sender.note(Deviation.CREATED_BY_FILTER, attribute.path, lambda: _no_match(attribute))
        return entry

    # ------------------------------------------------------------------------------------ removing

    def remove(self, target: Target, value: Any) -> None:
        """Remove (§3.5.2.2); what is not there is removed already."""
        attribute = target.attribute
        if attribute.multi_valued and (target.where is not None or target.sub is not None):
            self.remove_selected(target)
        elif target.sub is not None:
            held = self.held(attribute)
            if held:
                assign(self.document, attribute, {k: v for k, v in held.items() if k != target.sub.name} or None)
        elif attribute.multi_valued and value not in (None, ""):
            self.remove_listed(attribute, value)
        else:
            self.unassign(attribute)

    def remove_selected(self, target: Target) -> None:
        attribute, where = target.attribute, target.where
        kept = []
        for entry in self.held(attribute) or []:
            if where is not None and not matches(where, entry):
                kept.append(entry)
            elif target.sub is not None:
                kept.append({name: item for name, item in entry.items() if name != target.sub.name})
        assign(self.document, attribute, [entry for entry in kept if entry] or None)

    def remove_listed(self, attribute: Attribute, value: Any) -> None:
        """Entra and JumpCloud list in ``value`` what is to go."""
        self.note_listed(attribute)
        listed = value if isinstance(value, list) else [value]
        if len(listed) > self.sender.limits.values:
            raise too_many(attribute, self.sender.limits.values)
        selectors = [_folded(attribute, single(attribute, each, self.sender)) for each in listed]
        wanted: dict[Any, list[Any]] = {}  # selectors by the `value` they name, so that each entry meets few of them
        for selector in selectors:
            wanted.setdefault(_value_of(selector), []).append(selector)
        kept = []
        for entry in self.held(attribute) or []:
            folded = _folded(attribute, entry)
            candidates = [*wanted.get(_value_of(folded), ()), *wanted.get(None, ())]
            if not any(_selects(selector, folded) for selector in candidates):
                kept.append(entry)
        assign(self.document, attribute, kept or None)

    def note_listed(self, attribute: Attribute) -> None:
        self.sender.note(
            Deviation.REMOVE_WITH_VALUE,
            attribute.path,
            lambda: InvalidValue(detail='A "remove" takes no "value"; select with a filter in "path".'),
        )

    def unassign(self, attribute: Attribute) -> None:
        if attribute.required:
            raise Immutable(detail=f'"{attribute.path}" is required and cannot be removed.')
        assign(self.document, attribute, None)

    def held(self, attribute: Attribute) -> Any:
        holder = self.document.get(attribute.schema) or {} if attribute.in_extension else self.document
        return holder.get(attribute.name)

    # ------------------------------------------------------------------------------------- members

    def write_members(self, operation: Operation, target: Target) -> None:
        """Part a change to the members from the document."""
        op, value = operation.op, operation.value
        if target.where is not None:
            self.write_selected_members(op, target)
        elif target.sub is not None:
            raise Immutable(detail=f'"{target.sub.path}" cannot be changed; add or remove the member.')
        elif op == "remove" and value is None:
            self.members.append(MemberChange(clear=True))
        elif op == "remove":
            self.note_listed(target.attribute)
            self.change().removes(self.named(target.attribute, value))
        elif op == "replace":
            change = MemberChange(clear=True)
            self.members.append(change)
            change.adds(self.named(target.attribute, value))
        else:
            self.change().adds(self.named(target.attribute, value))

    def write_selected_members(self, op: str, target: Target) -> None:
        where = target.where
        if op != "remove":
            raise Immutable(detail='A member cannot be changed; use "add" and "remove".')
        if target.sub is not None:
            raise Immutable(detail=f'"{target.sub.path}" cannot be removed; remove the member.')
        if isinstance(where, Compare) and where.attribute.name == "value" and where.op == "eq":
            self.change().removes([where.literal])
        elif sum(1 for change in self.members if change.where) >= _MOST_SELECTIONS:
            raise InvalidValue(detail=f"A PATCH selects members by at most {_MOST_SELECTIONS} filters; name their ids.")
        else:
            self.members.append(MemberChange(where=where))

    def change(self) -> MemberChange:
        """The change that plain adds and removes are collected in."""
        if not self.members or self.members[-1].where is not None:
            self.members.append(MemberChange())
        return self.members[-1]

    def named(self, attribute: Attribute, value: Any) -> Members:
        return members_named(attribute, value, self.sender)


def members_named(attribute: Attribute, value: Any, sender: Sender) -> Members:
    """The members that a list names; a bare id is forgiven. Raises InvalidValue without an id."""
    if isinstance(value, str):
        value = [value]
    named: Members = {}
    for member in normalise(attribute, value, sender) or []:
        if not member.get("value"):
            raise InvalidValue(detail='Each member needs a "value": the id of a user or group.')
        named[member["value"]] = member.get("display")
    return named


def _no_match(attribute: Attribute) -> NoTarget:
    return NoTarget(detail=f'No value of "{attribute.path}" matches the filter in "path".')


def _folded(attribute: Attribute, entry: Any) -> Any:
    """An entry in the form in which entries are compared: text folded as its attribute says."""
    if not isinstance(entry, dict):
        return comparable(attribute, entry)
    return {name: comparable(attribute.subs[name.lower()], item) for name, item in entry.items()}


def _value_of(entry: Any) -> Any:
    return entry.get("value") if isinstance(entry, dict) else entry


def _selects(selector: Any, entry: Any) -> bool:
    if isinstance(selector, dict) and isinstance(entry, dict):
        return bool(selector) and all(entry.get(name) == item for name, item in selector.items())
    return bool(selector == entry)
