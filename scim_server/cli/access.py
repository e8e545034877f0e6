"""``scim-server tenant``, ``connection`` and ``token``: who may push, who may log in through whom, and where to."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import click

from ..directory import connections, groups, sso_connections, standing, tenants, tokens
from . import sso
from .commands import as_json, command, in_tenant, opened, reading, settings, show, writing
from .people import id_of


def _name(_context: click.Context, _parameter: click.Parameter | None, value: str) -> str:
    """A name that can be typed and read: not empty, not long, on one line."""
    if not value.strip() or len(value) > 100 or not value.isprintable():
        raise click.BadParameter("must be 1 to 100 printable characters.")
    return value


@click.group()
def tenant() -> None:
    """Tenants: walls inside one installation."""


@tenant.command("create")
@click.argument("name", callback=_name)
@as_json
@command
def create_tenant(name: str, as_json: bool) -> None:
    """Create a tenant."""
    with opened(settings()) as database:
        show(asdict(tenants.create(database, name)), as_json=as_json)


@tenant.command("list")
@as_json
@command
def list_tenants(as_json: bool) -> None:
    """List all tenants."""
    with opened(settings()) as database:
        show([asdict(each) for each in tenants.every(database)], as_json=as_json)


@tenant.command("set")
@in_tenant
@click.option("--access-group", metavar="DISPLAYNAME", help="Only its members may log in; who is not in it is out.")
@click.option("--no-access-group", is_flag=True, help="Everybody may log in.")
@as_json
@command
def set_tenant(tenant_name: str, access_group: str | None, no_access_group: bool, as_json: bool) -> None:
    """Say who of a tenant may log in."""
    if bool(access_group) == no_access_group:
        raise click.UsageError("Give --access-group or --no-access-group.")
    with writing(tenant_name) as tx:
        group_id = None
        if access_group:
            group_id = groups.get(tx, id_of(tx, "Group", access_group), related=False).id
        tenants.set_access_group(tx, group_id)
        kept = standing.access_group(tx)
    show({"tenant": tenant_name, "access_group": kept}, as_json=as_json)


@click.group()
def connection() -> None:
    """Identity providers. They push into a tenant, or its people log in with them, or both."""


_strict = click.option("--strict/--tolerant", default=None, help="Refuse deviations from the RFCs, or accept them.")
_group_patch = click.option(
    "--group-patch-status", type=click.Choice(["204", "200"]), help="Answer to a PATCH of a group."
)


@connection.command("add")
@click.argument("name", required=False)
@click.option("--name", "named", help="Its name, for people to read; the same as the argument.")
@sso.kind
@in_tenant
@_strict
@_group_patch
@sso.options
@as_json
@command
def add_connection(
    name: str | None,
    named: str | None,
    kind: str | None,
    tenant_name: str,
    strict: bool | None,
    group_patch_status: str | None,
    as_json: bool,
    **login: Any,
) -> None:
    """Add a connection, with --kind one that people log in with.

    An existing one gets its login so. It is tolerant towards a sender and answers 204 unless told otherwise.
    """
    if (name is None) == (named is None):
        raise click.UsageError("Give the name of the connection, once.")
    name = _name(click.get_current_context(), None, name or named or "")
    status = int(group_patch_status or 204)
    if kind is None:
        if any(value is not None for value in login.values()):
            raise click.UsageError("Options of the login need --kind.")
        with writing(tenant_name) as tx:
            made = connections.create(tx, name, strict=bool(strict), group_patch_status=status)
        show(asdict(made), as_json=as_json)
        return
    given = sso.read(kind, login)
    with writing(tenant_name) as tx:
        held = connections.ensure(tx, name)
        if strict is not None or group_patch_status is not None:
            held = connections.change(tx, name, strict=strict, group_patch_status=status)
        added = sso_connections.create(tx, held, kind, **given)
    _show(held, added, as_json=as_json)
    if not as_json:
        sso.say_what_the_console_needs(added)


@connection.command("list")
@in_tenant
@as_json
@command
def list_connections(tenant_name: str, as_json: bool) -> None:
    """List the connections of a tenant."""
    with reading(tenant_name) as tx:
        kinds = {each.connection: each.kind for each in sso_connections.every(tx)}
        listed = [asdict(each) | {"login": kinds.get(each.id)} for each in connections.every(tx)]
        show(listed, as_json=as_json)


@connection.command("show")
@click.argument("name")
@in_tenant
@as_json
@command
def show_connection(name: str, tenant_name: str, as_json: bool) -> None:
    """Show one connection."""
    with reading(tenant_name) as tx:
        found = connections.named(tx, name)
        login = sso_connections.of(tx, found)
        _show(found, login, as_json=as_json)


@connection.command("set")
@click.argument("name")
@in_tenant
@_strict
@_group_patch
@sso.options
@as_json
@command
def set_connection(
    name: str,
    tenant_name: str,
    strict: bool | None,
    group_patch_status: str | None,
    as_json: bool,
    **login: Any,
) -> None:
    """Change the settings of a connection.

    They take hold with the next request or login. Another issuer is another provider: its links go, and all that the
    people linked or logged in through it hold ends.
    """
    status = None if group_patch_status is None else int(group_patch_status)
    with writing(tenant_name) as tx:
        changed = connections.change(tx, name, strict=strict, group_patch_status=status)
        held = sso_connections.of(tx, changed)
        if any(value is not None for value in login.values()):
            held = sso_connections.change(tx, sso.login_of(held, name), **sso.changes(sso.login_of(held, name), login))
    _show(changed, held, as_json=as_json)


@connection.command("test")
@click.argument("name")
@in_tenant
@as_json
@command
def check_connection(name: str, tenant_name: str, as_json: bool) -> None:
    """Ask the provider for what a login needs. Says what its console must contain; exit status 4 on a failure."""
    with reading(tenant_name) as tx:
        held = sso.login_of(sso_connections.of(tx, connections.named(tx, name)), name)
        sso.test(tx.database, held, as_json=as_json)


@connection.command("remove")
@click.argument("name")
@in_tenant
@click.option("--login-only", is_flag=True, help="Remove the login and keep the sender.")
@as_json
@command
def remove_connection(name: str, tenant_name: str, login_only: bool, as_json: bool) -> None:
    """Remove a connection. People stay.

    Its tokens end, its links to people go, and all ends that these people hold, or whoever logged in through it.
    """
    ended = {"people_logged_out": 0, "identities": 0, "tokens": 0}
    with writing(tenant_name) as tx:
        held = connections.named(tx, name)
        login = sso_connections.of(tx, held)
        if login is not None:
            removed = sso_connections.remove(tx, login)
            ended |= {"people_logged_out": removed["people"], "identities": removed["identities"]}
        elif login_only:
            sso.login_of(None, name)
        if not login_only:
            ended["tokens"] = connections.remove(tx, held)
    show({"name": name, "removed": True, **ended}, as_json=as_json)


def _show(held: connections.Connection, login: sso_connections.SsoConnection | None, *, as_json: bool) -> None:
    """Both halves of a connection: in JSON the login as an object of its own, for people a line for each fact."""
    described = sso.described(login) if login else None
    if as_json:
        show(asdict(held) | {"login": described}, as_json=True)
        return
    lines = {
        f"login {name}": ", ".join(each) if isinstance(each, list) else each for name, each in (described or {}).items()
    }
    show(asdict(held) | (lines or {"login": None}), as_json=False)


@click.group()
def token() -> None:
    """Bearer tokens of connections. A token is shown once; only a hash of it is kept."""


_days = click.option(
    "--expires-days", type=click.IntRange(0, 3650), default=tokens.DEFAULT_DAYS, show_default=True,
    help="Days until it expires; 0 is never.",
)  # fmt: skip


def _span(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None


@token.command("issue")
@click.option("--name", required=True, callback=_name, help="What the token is for.")
@in_tenant
@click.option(
    "--connection", "connection_name", default=connections.DEFAULT, show_default=True, callback=_name,
    help="The connection that it belongs to; made when it is not there.",
)  # fmt: skip
@_days
@click.option("--read-only", is_flag=True, help="Without the scope scim:write.")
@as_json
@command
def issue(name: str, tenant_name: str, connection_name: str, expires_days: int, read_only: bool, as_json: bool) -> None:
    """Issue a token."""
    scopes = (tokens.READ,) if read_only else tokens.SCOPES
    with writing(tenant_name) as tx:
        owner = connections.ensure(tx, connection_name)
        text, made = tokens.issue(tx, owner, name, expires_in=_span(expires_days), scopes=scopes)
    _shown_once(text, made, as_json=as_json)


def _shown_once(text: str, made: tokens.Token, *, as_json: bool) -> None:
    show({"token": text, "id": made.id, "expires": made.expires}, as_json=as_json)
    if not as_json:
        click.echo("Copy the token now: it cannot be shown again.", err=True)


@token.command("list")
@in_tenant
@as_json
@command
def list_tokens(tenant_name: str, as_json: bool) -> None:
    """List the tokens of a tenant, revoked ones too."""
    with reading(tenant_name) as tx:
        listed = tokens.every(tx)
    names = ("id", "name", "connection", "scopes", "created", "expires", "revoked", "last_used", "replaced_by")
    show([asdict(each) if as_json else {n: getattr(each, n) for n in names} for each in listed], as_json=as_json)


@token.command("rotate")
@click.argument("token_id")
@in_tenant
@click.option(
    "--overlap-days", type=click.IntRange(0, 30), default=7, show_default=True, help="How long the old one still works."
)
@_days
@as_json
@command
def rotate(token_id: str, tenant_name: str, overlap_days: int, expires_days: int, as_json: bool) -> None:
    """Issue a successor; both work until the overlap is over."""
    with writing(tenant_name) as tx:
        text, made = tokens.rotate(tx, token_id, overlap=timedelta(days=overlap_days), expires_in=_span(expires_days))
    _shown_once(text, made, as_json=as_json)


@token.command("revoke")
@click.argument("token_id")
@in_tenant
@as_json
@command
def revoke(token_id: str, tenant_name: str, as_json: bool) -> None:
    """End a token: the next request with it is refused, on every worker."""
    with writing(tenant_name) as tx:
        ended = tokens.revoke(tx, token_id)
    show({"id": ended.id, "revoked": ended.revoked}, as_json=as_json)
