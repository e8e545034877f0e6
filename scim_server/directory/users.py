"""The life of a person's account (RFC 7644 §3.3-§3.6). One way to change it, whatever the door.

Every verb takes a transaction first and works in its tenant. A change commits together with its version,
its audit record and its events; deactivation and deletion also with the end of all that the account holds.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..protocol import patch as patching
from ..protocol.documents import Document
from ..protocol.operations import Operation
from ..protocol.render import Stored
from ..protocol.schemas import USER
from ..protocol.senders import Sender
from . import audit, ending, events, guards, links
from .errors import AlreadyTaken
from .store import documents, members
from .store.documents import IfMatch
from .store.transaction import Tx


def create(tx: Tx, document: Document) -> Stored:
    """Create an account, active unless it says otherwise. Raises AlreadyTaken."""
    document = {**document, "active": document.get("active", True)}
    made = documents.insert(tx, "User", document)
    made.related = []
    after = made.document
    documents.count(tx, "User", 1)
    audit.record(tx, "user.created", "User", made.id, after=after)
    events.append(tx, {"user.created": {"after": after}}, made.id)
    return made


def replace(tx: Tx, user_id: str, document: Document, if_match: IfMatch | None = None) -> Stored:
    """Replace an account; what the document leaves out is cleared, except ``active``, which stays.

    Leaving ``active`` out is no deactivation, and no reactivation. Raises NotFound, VersionMismatch,
    AlreadyTaken.
    """
    held = documents.lock(tx, "User", user_id, if_match)
    if "active" not in document and "active" in held.document:
        document = {**document, "active": held.document["active"]}
    return _save(tx, held, document)


def patch(
    tx: Tx, user_id: str, operations: Sequence[Operation], sender: Sender, if_match: IfMatch | None = None
) -> Stored:
    """Apply PATCH operations, all or none; an account whose ``active`` is removed stays as usable as it was.

    Raises NotFound, VersionMismatch, AlreadyTaken, ScimError.
    """
    held = documents.lock(tx, "User", user_id, if_match)
    patched = patching.apply(USER, held.document, operations, sender).document
    return _save(tx, held, patched)


def delete(tx: Tx, user_id: str, if_match: IfMatch | None = None) -> None:
    """Delete an account: absent from then on, its name free, restorable inside. Raises NotFound."""
    held = documents.lock_alone(tx, "User", user_id, if_match)
    guards.keep_an_admin(tx, [user_id])
    members.touch_groups_of(tx, user_id)
    documents.delete(tx, held)
    ending.end(tx, [user_id], "deleted")
    documents.count(tx, "User", -1)
    audit.record(tx, "user.deleted", "User", user_id, before=held.document)
    events.append(tx, {"user.deleted": {"before": held.document}}, user_id)


def restore(tx: Tx, user_id: str) -> Stored:
    """Bring a deleted account back with its memberships.

    Raises NotFound when it is not deleted, AlreadyTaken when its name belongs to another by now.
    """
    held = documents.lock_alone(tx, "User", user_id, deleted=True)
    try:
        restored = documents.restore(tx, held)
    except AlreadyTaken as error:
        name = held.document["userName"]
        raise AlreadyTaken("userName", f"{name} belongs to another account by now; rename that one first.") from error
    members.touch_groups_of(tx, user_id)
    documents.count(tx, "User", 1)
    audit.record(tx, "user.restored", "User", user_id, after=restored.document)
    events.append(tx, {"user.restored": {"after": restored.document}}, user_id)
    return restored


def get(tx: Tx, user_id: str, *, related: bool = True) -> Stored:
    """One account, with the groups it is in unless they are not wanted. Raises NotFound."""
    found = documents.get(tx, "User", user_id)
    return with_related(tx, [found])[0] if related else found


def with_related(tx: Tx, users: Sequence[Stored]) -> Sequence[Stored]:
    """The same accounts, each with its groups: one statement for all of them."""
    if users:
        groups = members.groups_of(tx, [user.id for user in users])
        for user in users:
            user.related = groups[user.id]
    return users


def _save(tx: Tx, held: Stored, document: Document) -> Stored:
    saved = documents.save(tx, held, document)
    if saved is held:
        return held
    before, after = held.document, saved.document
    happened = _events(before, after)
    if "user.deactivated" in happened:
        guards.keep_an_admin(tx, [saved.id])
        ending.end(tx, [saved.id], "deactivated")
    elif any(before.get(name) != after.get(name) for name in ("userName", "emails")):
        links.revoke_of(tx, saved.id)  # or a link sent to the old address would open the account of the new one
    audit.record(tx, next(iter(happened)), "User", saved.id, before=before, after=after)
    events.append(tx, {name: {"before": before, "after": after} for name in happened}, saved.id)
    return saved


def _events(before: Document, after: Document) -> list[str]:
    """What a change amounts to, the weightiest first."""
    happened = []
    if after.get("active") not in (None, before.get("active")):
        happened.append("user.activated" if after["active"] else "user.deactivated")
    if before["userName"] != after["userName"]:
        happened.append("user.renamed")
    return happened or ["user.updated"]
