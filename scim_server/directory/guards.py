"""Rules that hold through every door: a tenant keeps an admin, and leaving the access group ends an account's stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import orjson

from . import ending, standing
from .errors import Refused
from .store.engine import Statement
from .store.transaction import Tx

ROLES = ("system_admin", "admin", "user_manager", "auditor", "member")
"""From the highest to the lowest; who has none is a member."""
ADMINS = ROLES[:2]

_ADMINS = "('system_admin', 'admin')"
_LEAVING = Statement(f"""
    SELECT a.id FROM accounts a WHERE a.tenant = :tenant AND a.id IN ({{ids}}) AND a.role IN {_ADMINS}""")
_LOCK_TENANT = Statement("SELECT t.id FROM tenants t WHERE t.id = :tenant {lock t}")
_STAYING = Statement(f"""
    SELECT a.id, r.guarded FROM accounts a CROSS JOIN resources r
    WHERE a.tenant = :tenant AND a.role IN {_ADMINS} AND (a.locked_from IS NULL OR a.locked_until <= :now)
      AND r.tenant = a.tenant AND r.id = a.id AND r.deleted IS NULL AND r.active""")
_BELOW = Statement("""
    WITH RECURSIVE down (id) AS (
      SELECT r.id FROM resources r WHERE r.tenant = :tenant AND r.id IN ({ids})
      UNION
      SELECT m.member_id FROM down CROSS JOIN memberships m WHERE m.tenant = :tenant AND m.group_id = down.id
    )
    SELECT r.id FROM down CROSS JOIN resources r
    WHERE r.tenant = :tenant AND r.id = down.id AND r.kind = 'User' AND r.deleted IS NULL AND NOT r.guarded""")


def keep_an_admin(tx: Tx, leaving: Sequence[str]) -> None:
    """Refuse to end, lock or demote the last admin who can still come in. Raises Refused."""
    ids = _ids(leaving)
    if not tx.all(_LEAVING, ids=ids):
        return
    tx.one(_LOCK_TENANT)  # or two admins could each rely on the other while both are ended
    staying = {row[0]: row[1] for row in tx.all(_STAYING, now=tx.now) if row[0] not in leaving}
    gate = standing.access_group(tx)
    if not (staying if gate is None else any(staying.values()) or standing.inside(tx, staying, gate)):
        raise Refused(
            "This is the last active admin of the tenant, who cannot be deactivated, locked, deleted, demoted or taken "
            "out of the access group. Make another admin first: scim-server admin grant USERNAME"
        )


def gives_access(tx: Tx, group_id: str) -> bool:
    """Whether being in this group, directly or by nesting, is what lets people in."""
    gate = standing.access_group(tx)
    return gate is not None and (gate == group_id or standing.is_inside(tx, group_id))


def end_outsiders(tx: Tx, gone: Iterable[str]) -> None:
    """End those among people and members of groups who are outside the access group by now.

    Raises Refused when the last admin would be among them.
    """
    tx.one(_LOCK_TENANT)  # or two who close one of two ways in could each rely on the other's
    gate = standing.access_group(tx)
    people = [row[0] for row in tx.all(_BELOW, ids=_ids(gone))]
    outside = sorted(set(people) - standing.inside(tx, people, gate))
    keep_an_admin(tx, outside)
    ending.end(tx, outside, "left the access group")


def _ids(ids: Iterable[str]) -> str:
    return orjson.dumps(list(ids)).decode()
