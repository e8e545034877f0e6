"""Memberships as rows: set statements, each one statement whatever the size of the group.

A membership is seen while both its ends live. Deleting a person hides it, restoring brings it back, and
nothing has to be kept in step.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from ...protocol.filters import fold
from ...protocol.render import Related
from ...protocol.schemas import GROUP
from ..ids import is_id
from .engine import Row, Statement
from .transaction import Tx

_DISPLAY = GROUP.attributes["members"].subs["display"]


def _about(sql: str) -> tuple[Statement, Statement]:
    """A statement about one resource and the same about several.

    One id is compared for itself: PostgreSQL then keeps the plan, which costs it more than the look-up.
    """
    return Statement(sql.replace("{whom}", "= :whom")), Statement(sql.replace("{whom}", "IN ({ids})"))


_DIRECT = _about("""
    SELECT m.member_id, m.group_id, g.display, EXISTS (
      SELECT 1 FROM memberships n WHERE n.tenant = m.tenant AND n.member_id = m.group_id)
    FROM memberships m CROSS JOIN resources g
    WHERE m.tenant = :tenant AND m.member_id {whom}
      AND g.tenant = m.tenant AND g.id = m.group_id AND g.deleted IS NULL""")
# UNION (not UNION ALL) ends the walk where groups contain one another in a circle.
_ABOVE = Statement("""
    WITH RECURSIVE up (origin, group_id, display) AS (
      SELECT m.member_id, m.group_id, (
        SELECT g.display FROM resources g WHERE g.tenant = m.tenant AND g.id = m.group_id AND g.deleted IS NULL)
      FROM memberships m WHERE m.tenant = :tenant AND m.member_id IN ({ids})
      UNION
      SELECT up.origin, m.group_id, (
        SELECT g.display FROM resources g WHERE g.tenant = m.tenant AND g.id = m.group_id AND g.deleted IS NULL)
      FROM up CROSS JOIN memberships m
      WHERE {few up.origin} AND up.display IS NOT NULL
        AND m.tenant = :tenant AND m.member_id = up.group_id AND m.member_kind = 'Group'
    )
    SELECT up.origin, up.group_id, up.display FROM up WHERE up.display IS NOT NULL""")
# CROSS JOIN keeps SQLite from starting at the resources.
_MEMBERS_OF = _about("""
    SELECT m.group_id, m.member_id, m.member_kind, coalesce(m.display, r.display)
    FROM memberships m CROSS JOIN resources r
    WHERE m.tenant = :tenant AND m.group_id {whom}
      AND r.tenant = m.tenant AND r.id = m.member_id AND r.deleted IS NULL
    ORDER BY m.group_id, m.member_id""")
_ADD = Statement("""
    INSERT INTO memberships (tenant, group_id, member_id, member_kind, display, display_key, created)
    SELECT r.tenant, :group, r.id, r.kind, n.display, n.display_key, :now FROM {named} n CROSS JOIN resources r
    WHERE r.tenant = :tenant AND r.id = n.id AND r.deleted IS NULL
    ON CONFLICT DO NOTHING
    RETURNING member_id""")
_KNOWN = Statement("""
    SELECT r.id FROM resources r WHERE r.tenant = :tenant AND r.id IN ({ids}) AND r.deleted IS NULL""")
_REMOVE = Statement("""
    DELETE FROM memberships WHERE tenant = :tenant AND group_id = :group AND member_id IN ({ids})
    RETURNING member_id""")
_RETAIN = Statement("""
    DELETE FROM memberships WHERE tenant = :tenant AND group_id = :group AND member_id NOT IN ({ids})
    RETURNING member_id""")
_LOCK_GROUPS_OF = Statement("""
    SELECT g.id FROM memberships m CROSS JOIN resources g
    WHERE m.tenant = :tenant AND m.member_id = :member
      AND g.tenant = m.tenant AND g.id = m.group_id AND g.deleted IS NULL
    ORDER BY g.id {lock g}""")
_TOUCH = Statement("""
    UPDATE resources SET version = version + 1, modified = :now WHERE tenant = :tenant AND id IN ({ids})""")


def groups_of(tx: Tx, users: Sequence[str]) -> dict[str, list[Related]]:
    """The groups of each user, direct and by nesting (RFC 7643 §4.1.2 ``groups``).

    One statement; one more where one of the groups is itself in a group.
    """
    found: dict[str, dict[str, Related]] = {user: {} for user in users}
    nested: dict[str, list[str]] = {}
    for user, group, display, is_member in _asked(tx, _DIRECT, users):
        found[user][group] = Related(group, "direct", display)
        if is_member:
            nested.setdefault(group, []).append(user)
    if nested:
        for origin, group, display in tx.all(_ABOVE, ids=_ids(nested)):
            for user in nested[origin]:
                found[user].setdefault(group, Related(group, "indirect", display))
    return {user: sorted(groups.values()) for user, groups in found.items()}


def _asked(tx: Tx, about: tuple[Statement, Statement], ids: Sequence[str]) -> list[Row]:
    one, several = about
    return tx.all(one, whom=ids[0]) if len(ids) == 1 else tx.all(several, ids=_ids(ids))


def members_of(tx: Tx, groups: Sequence[str]) -> dict[str, list[Related]]:
    """The members of each group."""
    found: dict[str, list[Related]] = {group: [] for group in groups}
    for group, member, kind, display in _asked(tx, _MEMBERS_OF, groups):
        found[group].append(Related(member, kind, display))
    return found


def add(tx: Tx, group: str, named: Mapping[str, str | None]) -> list[str]:
    """Add members, each shown as the sender calls it or else as it calls itself.

    Those who are in already, or do not exist, are left out of the answer.
    """
    rows = [(each, display, None if display is None else fold(_DISPLAY, display)) for each, display in named.items()]
    return [row[0] for row in tx.all(_ADD, group=group, named=orjson.dumps(rows).decode(), now=tx.now)]


def unknown(tx: Tx, ids: Iterable[str]) -> list[str]:
    """Those of the ids that nobody here has."""
    known = {row[0] for row in tx.all(_KNOWN, ids=_ids(ids))}
    return [each for each in ids if each not in known]


def remove(tx: Tx, group: str, ids: Iterable[str]) -> list[str]:
    """Remove members and tell which of them were in."""
    return [row[0] for row in tx.all(_REMOVE, group=group, ids=_ids(ids))]


def retain(tx: Tx, group: str, ids: Iterable[str]) -> list[str]:
    """Remove everybody but these, and tell who went."""
    return [row[0] for row in tx.all(_RETAIN, group=group, ids=_ids(ids))]


def touch_groups_of(tx: Tx, member: str) -> None:
    """A new version for each group that a member has just left by deletion, or rejoined by restoration.

    Locked in the order of ids, so that two such transactions never wait for one another in a circle.
    """
    groups = [row[0] for row in tx.all(_LOCK_GROUPS_OF, member=member)]
    if groups:
        tx.do(_TOUCH, ids=_ids(groups), now=tx.now)


def _ids(ids: Iterable[str]) -> str:
    return orjson.dumps([each for each in ids if is_id(each)]).decode()
