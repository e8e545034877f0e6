"""``scim-server user`` and ``group``: look at accounts and bring deleted ones back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
import orjson

from ..directory import audit, groups, lookup, users
from ..directory.lookup import Search
from ..directory.store import deleted
from ..directory.store.transaction import Tx
from ..limits import Limits
from ..protocol import render
from ..protocol.schemas import GROUP, RESOURCE_TYPES, USER, ResourceType
from .commands import as_json, command, in_tenant, reading, show, writing

_VERBS: Mapping[str, Any] = {"User": users, "Group": groups}


def _group_of_commands(kind: ResourceType) -> click.Group:
    """The same commands for people and for groups."""
    noun = kind.name.lower()
    name = "userName" if kind is USER else "displayName"
    by = f"ID-OR-{name.upper()}"
    commands = click.Group(noun, help=f"{'People' if kind is USER else 'Groups'} of a tenant.")

    @commands.command("list", help=f"List {noun}s; --deleted lists those that can be restored.")
    @in_tenant
    @click.option("--filter", "text", help="A SCIM filter.")
    @click.option("--count", default=100, show_default=True, type=click.IntRange(1, 10_000))
    @click.option("--deleted", "only_deleted", is_flag=True)
    @as_json
    @command
    def listed(tenant_name: str, text: str | None, count: int, only_deleted: bool, as_json: bool) -> None:
        if only_deleted and text:
            raise click.UsageError("--deleted cannot be filtered.")
        with reading(tenant_name) as tx:
            if only_deleted:
                show(deleted.listed(tx, kind.name, count), as_json=as_json)
                return
            page = lookup.find(tx, [kind], Search(filter=text, count=count), Limits(), lambda _: False)
        documents = [(each, each.document) for each in page.resources]
        show(
            [
                {"id": each.id, name: document[name], "display": document.get("displayName", ""),
                 "active": document.get("active"), "modified": each.modified}
                for each, document in documents
            ],
            as_json=as_json,
        )  # fmt: skip
        if page.total > len(page.resources) and not as_json:
            click.echo(f"{len(page.resources)} of {page.total}", err=True)

    @commands.command("show", help=f"Show a {noun} as a sender sees it, and its latest changes.")
    @click.argument("key", metavar=by)
    @in_tenant
    @as_json
    @command
    def shown(key: str, tenant_name: str, as_json: bool) -> None:
        with reading(tenant_name) as tx:
            found = _VERBS[kind.name].get(tx, id_of(tx, kind.name, key))
            resource = orjson.loads(render.serve(found, ""))
            changes = audit.of(tx, found.id, 10)
        if as_json:
            show({"resource": resource, "changes": changes}, as_json=True)
            return
        click.echo(orjson.dumps(resource, option=orjson.OPT_INDENT_2).decode())
        show([{n: each[n] for n in ("at", "action", "door", "actor", "request_id")} for each in changes], as_json=False)

    @commands.command("restore", help=f"Bring a deleted {noun} back, with memberships.")
    @click.argument("key", metavar=by)
    @in_tenant
    @as_json
    @command
    def restored(key: str, tenant_name: str, as_json: bool) -> None:
        with writing(tenant_name) as tx:
            found = _VERBS[kind.name].restore(tx, deleted.id_of(tx, kind.name, key))
        show({"id": found.id, name: found.document[name], "restored": True}, as_json=as_json)

    return commands


def id_of(tx: Tx, kind_name: str, key: str) -> str:
    """The id that a key stands for: itself, or that of the resource with this name."""
    kind = RESOURCE_TYPES[kind_name]
    attribute = kind.attributes["username" if kind is USER else "displayname"]
    text = f"{attribute.name} eq {orjson.dumps(key).decode()}"
    page = lookup.find(tx, [kind], Search(filter=text, count=1), Limits(filter_length=len(text)), lambda _: False)
    return page.resources[0].id if page.resources else key


user = _group_of_commands(USER)
group = _group_of_commands(GROUP)
