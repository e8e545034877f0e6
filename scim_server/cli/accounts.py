"""``scim-server user`` and ``admin``: how people get in, by hand. Added to the commands of ``people``."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import click

from ..directory import (
    accounts,
    connections,
    ending,
    identities,
    linking,
    links,
    logins,
    personal_tokens,
    sessions,
    sso_connections,
    standing,
    users,
)
from ..directory.errors import NotFound
from ..directory.guards import ADMINS, ROLES
from ..directory.ids import is_id
from ..directory.sessions import Lifetimes
from ..directory.store.transaction import Tx
from ..protocol import documents, operations
from ..protocol.filters import instant
from ..protocol.schemas import USER
from ..protocol.senders import Sender
from .commands import as_json, command, in_tenant, reading, settings, show, writing
from .people import id_of, user
from .sso import root

_who = click.argument("key", metavar="ID-OR-USERNAME")
_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@user.command("create")
@click.argument("username")
@in_tenant
@click.option("--display-name", help="The name to show.")
@click.option("--email", help="The address; the username where it is one.")
@click.option("--inactive", is_flag=True, help="Born inactive.")
@as_json
@command
def create(
    username: str, tenant_name: str, display_name: str | None, email: str | None, inactive: bool, as_json: bool
) -> None:
    """Create an account by hand. No identity provider will ever end it."""
    body: dict[str, Any] = {"schemas": [_SCHEMA], "userName": username, "active": not inactive}
    address = email or (username if "@" in username else None)
    if address:
        body["emails"] = [{"value": address, "type": "work", "primary": True}]
    if display_name:
        body["displayName"] = display_name
    document = documents.read(USER, body, Sender(strict=True))
    with writing(tenant_name) as tx:
        made = users.create(tx, document)
    show({"id": made.id, "userName": username}, as_json=as_json)


def _switch(tenant_name: str, key: str, *, active: bool, as_json: bool) -> None:
    body = {"schemas": [_PATCH], "Operations": [{"op": "replace", "path": "active", "value": active}]}
    sender = Sender(strict=True)
    with writing(tenant_name) as tx:
        changed = users.patch(tx, id_of(tx, "User", key), operations.read(USER, body, sender), sender)
    show({"id": changed.id, "active": active}, as_json=as_json)


@user.command("activate")
@_who
@in_tenant
@as_json
@command
def activate(key: str, tenant_name: str, as_json: bool) -> None:
    """Set an account as active; it has to log in anew."""
    _switch(tenant_name, key, active=True, as_json=as_json)


@user.command("deactivate")
@_who
@in_tenant
@as_json
@command
def deactivate(key: str, tenant_name: str, as_json: bool) -> None:
    """Set an account as inactive. All that it holds ends at once."""
    _switch(tenant_name, key, active=False, as_json=as_json)


@user.command("delete")
@_who
@in_tenant
@as_json
@command
def delete(key: str, tenant_name: str, as_json: bool) -> None:
    """Delete an account, restorable. All that it holds ends at once."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        users.delete(tx, user_id)
    show({"id": user_id, "deleted": True}, as_json=as_json)


class _Moment(click.ParamType[str]):
    name = "MOMENT"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        try:
            return instant(datetime.fromisoformat(value))
        except ValueError:
            self.fail("must be a moment such as 2026-12-31 or 2026-12-31T18:00+01:00; without a zone it is UTC.")


@user.command("lock")
@_who
@in_tenant
@click.option("--reason", required=True, help="Why; admins read it.")
@click.option("--from", "since", type=_Moment(), help="When it begins; now.")
@click.option("--until", type=_Moment(), help="When it ends by itself; never.")
@as_json
@command
def lock(key: str, tenant_name: str, reason: str, since: str | None, until: str | None, as_json: bool) -> None:
    """Keep a person out, whatever the provider says of them. All that they hold ends."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.lock(tx, user_id, reason, since=since, until=until)
    show({"id": user_id, "locked": True, "from": since, "until": until, "reason": reason}, as_json=as_json)


@user.command("unlock")
@_who
@in_tenant
@as_json
@command
def unlock(key: str, tenant_name: str, as_json: bool) -> None:
    """Take a lock away; what it ended stays ended."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.unlock(tx, user_id)
    show({"id": user_id, "locked": False}, as_json=as_json)


@user.command("password-link")
@_who
@in_tenant
@as_json
@command
def password_link(key: str, tenant_name: str, as_json: bool) -> None:
    """Make a link by which a person sets a password, once. Earlier links of the account stop working."""
    found = settings()
    with writing(tenant_name) as tx:
        text, expires = links.issue(
            tx, id_of(tx, "User", key), lasts=timedelta(hours=found.invite_expire_hours)
        )  # fmt: skip
    show({"link": f"{root(found)}/password/{text}", "expires": expires}, as_json=as_json)
    if not as_json:
        click.echo("Hand it over now: it cannot be shown again.", err=True)
        if not found.base_url:  # `run --port` is told to the server alone
            click.echo("Its host and port are a guess where SCIM_SERVER_BASE_URL is not set.", err=True)


@user.command("password-clear")
@_who
@in_tenant
@as_json
@command
def password_clear(key: str, tenant_name: str, as_json: bool) -> None:
    """Take a person's password away; everything they hold ends."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.clear_password(tx, user_id)
    show({"id": user_id, "password": False}, as_json=as_json)


@user.command("access")
@_who
@in_tenant
@as_json
@command
def access(key: str, tenant_name: str, as_json: bool) -> None:
    """Tell how a person gets in, and what was ended.

    State, role, identities, sessions, tokens, and a receipt for each time that everything they held ended.
    """
    with reading(tenant_name) as tx:
        user_id = users.get(tx, id_of(tx, "User", key), related=False).id
        told: dict[str, Any] = {
            "id": user_id,
            "account": accounts.described(tx, user_id) | {"in_access_group": standing.is_inside(tx, user_id)},
            "identities": [asdict(each) for each in identities.of(tx, user_id)],
            "sessions": [asdict(each) for each in sessions.of(tx, user_id, _lifetimes())],
            "tokens": [asdict(each) for each in personal_tokens.of(tx, user_id)],
            "receipts": ending.receipts_of(tx, user_id),
        }
    if as_json:
        show(told, as_json=True)
        return
    show({"id": told["id"]} | told["account"], as_json=False)
    for name in ("identities", "sessions", "tokens", "receipts"):
        click.echo(f"\n{name}")
        show(told[name], as_json=False)


@user.command("sessions")
@_who
@in_tenant
@click.option("--revoke", is_flag=True, help="End them all, with personal tokens and links.")
@as_json
@command
def list_sessions(key: str, tenant_name: str, revoke: bool, as_json: bool) -> None:
    """List where a person is logged in, or end it all."""
    if revoke:
        with writing(tenant_name) as tx:
            user_id = users.get(tx, id_of(tx, "User", key), related=False).id
            ending.end(tx, [user_id], "revoked by an admin")
            receipt = ending.receipts_of(tx, user_id, 1)[0]
        show({name: receipt[name] for name in ("sessions", "tokens", "links", "attempts")}, as_json=as_json)
        return
    with reading(tenant_name) as tx:
        user_id = users.get(tx, id_of(tx, "User", key), related=False).id
        show([asdict(each) for each in sessions.of(tx, user_id, _lifetimes())], as_json=as_json)


def _lifetimes() -> Lifetimes:
    found = settings()
    return Lifetimes(timedelta(minutes=found.session_idle_minutes), timedelta(hours=found.session_hours))


@user.command("link")
@_who
@in_tenant
@click.option("--connection", "connection_name", required=True, help="The connection whose subject it is.")
@click.option("--subject", required=True, help="The provider's stable subject: sub, oid of Entra, id of GitHub.")
@as_json
@command
def link(key: str, tenant_name: str, connection_name: str, subject: str, as_json: bool) -> None:
    """Bind a provider's subject to an account by hand. One that belonged to a deleted account is taken over."""
    with writing(tenant_name) as tx:
        held = _login(tx, connection_name)
        user_id = id_of(tx, "User", key)
        linking.by_hand(tx, held, user_id, subject)
    show({"id": user_id, "connection": connection_name, "subject": subject}, as_json=as_json)


@user.command("unlink")
@_who
@in_tenant
@click.option("--connection", "connection_name", required=True, help="The connection whose link is undone.")
@as_json
@command
def unlink(key: str, tenant_name: str, connection_name: str, as_json: bool) -> None:
    """Undo a link. All that the person holds ends, and the next login may bind anew."""
    with writing(tenant_name) as tx:
        held = _login(tx, connection_name)
        user_id = id_of(tx, "User", key)
        found = identities.at_connection(tx, held.id, user_id)
        if found is None:
            raise NotFound(f"The account is not linked to {connection_name}.")
        identities.unlink(tx, found)
    show({"id": user_id, "connection": connection_name, "subject": found.subject, "linked": False}, as_json=as_json)


def _login(tx: Tx, name: str) -> sso_connections.SsoConnection:
    found = sso_connections.of(tx, connections.named(tx, name))
    if found is None:
        raise NotFound(f"The connection {name} has no login.")
    return found


@user.group("token")
def token() -> None:
    """Personal API tokens; they end with the account."""


@token.command("issue")
@_who
@in_tenant
@click.option("--name", required=True, help="What the token is for.")
@click.option("--expires-days", type=click.IntRange(0, 3650), default=90, show_default=True, help="0 is never.")
@as_json
@command
def issue_token(key: str, tenant_name: str, name: str, expires_days: int, as_json: bool) -> None:
    """Issue a personal token."""
    lasts = timedelta(days=expires_days) if expires_days else None
    with writing(tenant_name) as tx:
        text, made = personal_tokens.issue(tx, id_of(tx, "User", key), name, expires_in=lasts)
    show({"token": text, "id": made.id, "expires": made.expires}, as_json=as_json)
    if not as_json:
        click.echo("Copy the token now: it cannot be shown again.", err=True)


@token.command("list")
@_who
@in_tenant
@as_json
@command
def list_tokens(key: str, tenant_name: str, as_json: bool) -> None:
    """List the tokens of a person, ended ones too."""
    with reading(tenant_name) as tx:
        user_id = users.get(tx, id_of(tx, "User", key), related=False).id
        show([asdict(each) for each in personal_tokens.of(tx, user_id)], as_json=as_json)


@token.command("revoke")
@_who
@click.argument("token_id")
@in_tenant
@as_json
@command
def revoke_token(key: str, token_id: str, tenant_name: str, as_json: bool) -> None:
    """End a personal token."""
    with writing(tenant_name) as tx:
        personal_tokens.revoke(tx, id_of(tx, "User", key), token_id)
    show({"id": token_id, "revoked": True}, as_json=as_json)


@click.command("logins")
@in_tenant
@click.option("--user", "key", metavar="ID-OR-USERNAME", help="Of one person.")
@click.option("--count", default=50, show_default=True, type=click.IntRange(1, 10_000))
@as_json
@command
def login_log(tenant_name: str, key: str | None, count: int, as_json: bool) -> None:
    """Show who tried to get in, and the step at which it ended."""
    with reading(tenant_name) as tx:
        user_id = id_of(tx, "User", key) if key else None
        if user_id and not is_id(user_id):  # a deleted person's lines are found by id
            raise NotFound("There is no User with this id.")
        lines = logins.latest(tx, user_id=user_id, limit=count)
    names = ("at", "outcome", "connection", "method", "step", "reason", "name", "address", "reference")
    show(lines if as_json else [{name: each[name] for name in names} for each in lines], as_json=as_json)


@click.group("admin")
def admin() -> None:
    """Admins and break-glass accounts."""


@admin.command("grant")
@_who
@in_tenant
@click.option("--role", type=click.Choice(ROLES), default=ADMINS[1], show_default=True)
@as_json
@command
def grant(key: str, tenant_name: str, role: str, as_json: bool) -> None:
    """Give a person a role; their sessions of before end."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.set_role(tx, user_id, role)
    show({"id": user_id, "role": role}, as_json=as_json)


@admin.command("revoke")
@_who
@in_tenant
@as_json
@command
def revoke(key: str, tenant_name: str, as_json: bool) -> None:
    """Make somebody a plain member again."""
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.set_role(tx, user_id, ROLES[-1])
    show({"id": user_id, "role": ROLES[-1]}, as_json=as_json)


@admin.command("break-glass")
@_who
@in_tenant
@click.option("--off", is_flag=True, help="Make it an ordinary account again.")
@as_json
@command
def break_glass(key: str, tenant_name: str, off: bool, as_json: bool) -> None:
    """Mark an account for emergencies.

    No sender can change it, no provider lets it in, and its password works where others' do not. What it holds ends.
    """
    with writing(tenant_name) as tx:
        user_id = id_of(tx, "User", key)
        accounts.set_break_glass(tx, user_id, on=not off)
    show({"id": user_id, "break_glass": not off}, as_json=as_json)
