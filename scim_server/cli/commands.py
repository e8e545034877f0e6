"""The frame of every command: errors become one line and an exit code, answers a table or JSON."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import click
import orjson

from .. import config
from ..directory import actor, tenants
from ..directory.checks import Check
from ..directory.errors import DirectoryError, NotFound, SchemaMismatch, Unavailable
from ..directory.store import migrate
from ..directory.store.engine import Database
from ..directory.store.transaction import Tx, read, write
from ..protocol.errors import ScimError

REFUSED, USAGE, NOT_FOUND, CHECK_FAILED = 1, 2, 3, 4

F = TypeVar("F", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
in_tenant = click.option("--tenant", "tenant_name", default=tenants.DEFAULT, show_default=True, help="The tenant.")


class Stop(click.ClickException):
    """Ends a command with one line on stderr and an exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code

    def show(self, file: Any = None) -> None:
        click.echo(f"scim-server: {self.message}", err=True, file=file)

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        return self.code


def command(function: F) -> F:
    """Turn what a command raises into a line and an exit code."""

    @functools.wraps(function)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except config.ConfigError as error:
            raise Stop(str(error), USAGE) from error
        except UnicodeEncodeError as error:
            raise Stop("An argument is not text in UTF-8.", USAGE) from error
        except NotFound as error:
            raise Stop(str(error), NOT_FOUND) from error
        except (SchemaMismatch, Unavailable) as error:
            raise Stop(str(error), CHECK_FAILED) from error
        except (DirectoryError, ScimError) as error:
            raise Stop(str(error), REFUSED) from error

    return wrapped  # type: ignore[return-value]


def settings() -> config.Settings:
    """The settings of the environment. Raises ConfigError."""
    return config.load(os.environ)


@contextmanager
def opened(found: config.Settings) -> Iterator[Database]:
    """The database, made when it does not exist yet. Raises SchemaMismatch when it wants an upgrade."""
    at = migrate.current(found.database)
    if at is None:
        migrate.upgrade(found.database)
    elif at != migrate.head():
        migrate.refuse_newer(found.database)
        raise SchemaMismatch(f"The database is at revision {at}; bring it up with: scim-server db upgrade")
    database = Database(found.database, sqlite_synchronous=found.sqlite_synchronous)
    try:
        tenants.ensure_default(database)
        yield database
    finally:
        database.close()


@contextmanager
def reading(tenant_name: str) -> Iterator[Tx]:
    """Look into a tenant."""
    with opened(settings()) as database:
        yield read(database, actor.at_command_line(tenants.named(database, tenant_name).id))


@contextmanager
def writing(tenant_name: str) -> Iterator[Tx]:
    """Change a tenant, all or nothing."""
    with opened(settings()) as database:
        who = actor.at_command_line(tenants.named(database, tenant_name).id)
        with write(database, who) as tx:
            yield tx


def show(value: Mapping[str, Any] | Sequence[Mapping[str, Any]], *, as_json: bool) -> None:
    """Print one thing as lines or several as a table; as JSON when asked for."""
    if as_json:
        click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
    elif isinstance(value, Mapping):
        width = max((len(name) for name in value), default=0)
        for name, item in value.items():
            click.echo(f"{name:<{width}}  {_cell(item)}")
    else:
        _table(value)


def show_checks(results: Sequence[Check], *, as_json: bool, failed: str) -> None:
    """Print what was looked at; raises Stop with exit status 4 when something failed, which a warning does not."""
    rows: list[dict[str, Any]] = []
    for each in results:
        state = {"ok": each.ok, "warn": each.warn} if as_json else {"ok": "warn" if each.warn else each.ok}
        rows.append({"check": each.name, **state, "says": each.says})
    show(rows, as_json=as_json)
    if not all(each.ok for each in results):
        raise Stop(failed, CHECK_FAILED)


def _table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        click.echo("(none)")
        return
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    widths = [max(len(name), *(len(row[n]) for row in cells)) for n, name in enumerate(names)]
    for row in [[name.upper() for name in names], *cells]:
        click.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = orjson.dumps(value).decode() if isinstance(value, dict) else str(value)
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)  # no sender speaks to a terminal
