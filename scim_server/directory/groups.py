"""Groups: the same verbs as for people, with members as a set.

Members are rows and are changed by set statements: adding one to a group of a hundred thousand costs what
adding the first did, and two requests at once never lose one another's changes. Groups may contain groups,
in a circle too; whoever walks them does so once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..protocol import patch as patching
from ..protocol.documents import Document
from ..protocol.errors import InvalidValue
from ..protocol.operations import Operation
from ..protocol.patch import MemberChange, Members
from ..protocol.render import Stored
from ..protocol.schemas import GROUP
from ..protocol.senders import Deviation, Sender
from . import audit, events, guards
from .errors import AlreadyTaken
from .store import documents, members, search
from .store.documents import IfMatch
from .store.transaction import Tx

_MOST_RECORDED = 10_000
"""So many ids stand in one audit record or event at most; above it their number is kept."""


@dataclass(slots=True)
class _Changed:
    """Who came and who went."""

    added: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.added or self.removed)

    def told(self) -> dict[str, object]:
        lists = {"added": self.added, "removed": self.removed}
        return {name: ids if len(ids) <= _MOST_RECORDED else len(ids) for name, ids in lists.items() if ids}


def create(tx: Tx, document: Document, sender: Sender) -> Stored:
    """Create a group with its members. Raises AlreadyTaken; InvalidValue when no member is known."""
    listed = _listed(document, sender)
    made = documents.insert(tx, "Group", _without_members(document))
    changed = _change_members(tx, made.id, [MemberChange(add=listed)] if listed else [], sender)
    after = {**made.document, **({"members": changed.told()} if changed else {})}
    documents.count(tx, "Group", 1)
    audit.record(tx, "group.created", "Group", made.id, after=after)
    events.append(tx, {"group.created": {"after": made.document}, **_membership_events(changed)}, made.id)
    return made


def replace(tx: Tx, group_id: str, document: Document, sender: Sender, if_match: IfMatch | None = None) -> Stored:
    """Replace a group: members not listed leave. Raises NotFound, VersionMismatch, AlreadyTaken, InvalidValue."""
    held = documents.lock(tx, "Group", group_id, if_match)
    change = MemberChange(clear=True, add=_listed(document, sender))
    return _save(tx, held, _without_members(document), [change], sender)


def patch(
    tx: Tx, group_id: str, operations: Sequence[Operation], sender: Sender, if_match: IfMatch | None = None
) -> Stored:
    """Apply PATCH operations, all or none. Raises NotFound, VersionMismatch, AlreadyTaken, ScimError."""
    held = documents.lock(tx, "Group", group_id, if_match)
    patched = patching.apply(GROUP, held.document, operations, sender)
    return _save(tx, held, patched.document, patched.members, sender)


def delete(tx: Tx, group_id: str, if_match: IfMatch | None = None) -> None:
    """Delete a group: absent from then on, its name free, restorable inside. Raises NotFound."""
    held = documents.lock_alone(tx, "Group", group_id, if_match)
    members.touch_groups_of(tx, group_id)
    gave_access = guards.gives_access(tx, group_id)
    documents.delete(tx, held)
    if gave_access:
        guards.end_outsiders(tx, [group_id])
    documents.count(tx, "Group", -1)
    audit.record(tx, "group.deleted", "Group", group_id, before=held.document)
    events.append(tx, {"group.deleted": {"before": held.document}}, group_id)


def restore(tx: Tx, group_id: str) -> Stored:
    """Bring a deleted group back with its members. Raises NotFound, AlreadyTaken."""
    held = documents.lock_alone(tx, "Group", group_id, deleted=True)
    try:
        restored = documents.restore(tx, held)
    except AlreadyTaken as error:
        name = held.document["displayName"]
        raise AlreadyTaken("displayName", f"{name} is another group by now; rename that one first.") from error
    members.touch_groups_of(tx, group_id)
    documents.count(tx, "Group", 1)
    audit.record(tx, "group.restored", "Group", group_id, after=restored.document)
    events.append(tx, {"group.restored": {"after": restored.document}}, group_id)
    return restored


def get(tx: Tx, group_id: str, *, related: bool = True) -> Stored:
    """One group, with its members unless they are not wanted. Raises NotFound."""
    found = documents.get(tx, "Group", group_id)
    return with_related(tx, [found])[0] if related else found


def with_related(tx: Tx, groups: Sequence[Stored]) -> Sequence[Stored]:
    """The same groups, each with its members: one statement for all of them."""
    if groups:
        found = members.members_of(tx, [group.id for group in groups])
        for group in groups:
            group.related = found[group.id]
    return groups


def _listed(document: Document, sender: Sender) -> Members:
    listed = document.get("members") or []
    return patching.members_named(GROUP.attributes["members"], listed, sender)


def _without_members(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "members"}


def _save(tx: Tx, held: Stored, document: Document, changes: Sequence[MemberChange], sender: Sender) -> Stored:
    changed = _change_members(tx, held.id, changes, sender)
    if changed.removed and guards.gives_access(tx, held.id):
        guards.end_outsiders(tx, changed.removed)
    saved = documents.save(tx, held, document)
    if saved is held and not changed:
        return held
    happened: dict[str, object] = _membership_events(changed)
    before, after = dict(held.document), dict(saved.document)
    if saved is held:
        saved = documents.touch(tx, held)
    else:
        happened = {"group.updated": {"before": before, "after": after}, **happened}
    audit.record(tx, "group.updated", "Group", saved.id, before=before, after={**after, "members": changed.told()})
    events.append(tx, happened, saved.id)
    return saved


def _change_members(tx: Tx, group_id: str, changes: Sequence[MemberChange], sender: Sender) -> _Changed:
    """Carry out changes in order, each as one statement for those who leave and one for those who come."""
    before_and_after: dict[str, bool] = {}  # id -> is in now; for ids whose membership flipped an odd number of times
    for change in changes:
        gone: list[str] = []
        if change.clear:
            gone = members.retain(tx, group_id, change.add)
        elif change.where is not None:
            gone = members.remove(tx, group_id, search.member_ids(tx, group_id, change.where))
        elif change.remove:
            gone = members.remove(tx, group_id, change.remove)
        come = _add(tx, group_id, change.add, sender) if change.add else []
        for each, is_in in [*((one, False) for one in gone), *((one, True) for one in come)]:
            if each in before_and_after:
                del before_and_after[each]
            else:
                before_and_after[each] = is_in
    added = [each for each, is_in in before_and_after.items() if is_in]
    removed = [each for each, is_in in before_and_after.items() if not is_in]
    return _Changed(added, removed)


def _add(tx: Tx, group_id: str, named: Members, sender: Sender) -> list[str]:
    """Add the members that exist; refuse when none does, note those that do not."""
    if len(named) > sender.limits.members:
        raise InvalidValue(detail=f"A request names at most {sender.limits.members} members.")
    added = members.add(tx, group_id, named)
    if len(added) == len(named):
        return added
    missing = members.unknown(tx, named)
    if missing and len(missing) == len(named):
        raise _unknown_member()
    for each in missing:
        sender.note(Deviation.UNKNOWN_MEMBER, each, _unknown_member)
    return added


def _unknown_member() -> InvalidValue:
    return InvalidValue(detail='"members" names a user or group that does not exist. Create it first, then add it.')


def _membership_events(changed: _Changed) -> dict[str, object]:
    told = changed.told()
    happened: dict[str, object] = {}
    if "added" in told:
        happened["membership.added"] = {"members": told["added"]}
    if "removed" in told:
        happened["membership.removed"] = {"members": told["removed"]}
    return happened
