"""``scim-server db``: the schema of the database."""

from __future__ import annotations

import click

from ..directory.store import migrate
from .commands import CHECK_FAILED, Stop, as_json, command, settings, show


@click.group()
def db() -> None:
    """The database and its schema."""


@db.command()
@command
def upgrade() -> None:
    """Bring the schema to the one this program knows. Where there is none it is created."""
    url = settings().database
    before = migrate.current(url)
    migrate.upgrade(url)
    click.echo(f"The database is at revision {migrate.head()}" + (" already." if before == migrate.head() else "."))


@db.command()
@as_json
@command
def check(as_json: bool) -> None:
    """Tell whether the schema is the one this program knows. Exit status 4 when it is not."""
    url = settings().database
    found, known = migrate.current(url), migrate.head()
    show({"revision": found, "known": known, "ok": found == known}, as_json=as_json)
    if found != known:
        migrate.refuse_newer(url)
        raise Stop("Bring it up with: scim-server db upgrade", CHECK_FAILED)
