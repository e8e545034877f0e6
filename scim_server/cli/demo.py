"""``scim-server demo``: the whole of it on this machine, with invented people; and ``demo deactivate`` beside it."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from ..directory.store.engine import Database
from .commands import REFUSED, Stop, as_json, command, show

if TYPE_CHECKING:
    from ..demo.acting import Outcome
    from ..demo.finding import Running

_EXTRA = ("oidc_provider_mock", "scim2_client")


@click.group(invoke_without_command=True)
@click.option(
    "--port", type=click.IntRange(0, 65533), default=8000, show_default=True,
    help="Port of the server; the provider and the HR desk take the next two. 0 is three free ones.",
)  # fmt: skip
@click.option(
    "--data-dir", type=click.Path(file_okay=False, path_type=Path),
    help="A folder that stays; else a temporary one that goes.",
)  # fmt: skip
@click.pass_context
@command
def demo(context: click.Context, port: int, data_dir: Path | None) -> None:
    """Show it all on this machine, with invented people.

    A provider to log in with, an HR desk to end accounts at. Ctrl-C ends it.
    """
    if context.invoked_subcommand is not None:
        return
    with _extra():
        from ..demo import stage
    stage.play(port, data_dir, lambda line: click.echo(line, err=True), _announce)


@demo.command("deactivate")
@click.argument("username")
@click.option("--active", is_flag=True, help="The other way round: reactivate.")
@as_json
@command
def deactivate(username: str, active: bool, as_json: bool) -> None:
    """End an account of the running demo through SCIM, as HR does."""
    with _extra():
        from ..demo import acting, finding, sender
    running = finding.find()
    with (
        closing(sender.Sender(running.server, running.token)) as speaker,
        closing(Database(running.database_url)) as at,
    ):
        outcome = acting.Actor(speaker, at).switch(username, active=active)
    if as_json:
        show(asdict(outcome), as_json=True)
    else:
        _tell(outcome)
    if not outcome.done:
        raise Stop(outcome.says, REFUSED)


@contextmanager
def _extra() -> Iterator[None]:
    """The demo stands on packages that the product does without."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        fix = "pip install 'scim-server[demo]'"
        raise Stop(f"The demo needs the package {error.name}. Install it with: {fix}", REFUSED) from None


def _announce(running: Running) -> None:
    from ..demo import company

    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else "scim-server"
    personas = [f"  {each.name:<16} {each.role:<23} {each.expected}" for each in company.PERSONAS]
    folder = shlex.quote(running.data_dir)
    lines = (
        "",
        f"The demo runs: {company.NAME}, a company of invented people.",
        "",
        f"  Log in             {running.server}/login",
        f"  HR desk            {running.desk}/",
        f"  Identity provider  {running.provider}/  (where you choose who you are)",
        "",
        *personas,
        "",
        "Try it in this order:",
        f"  1. Log in, as {company.GRACE.name}. You see her page: who she is, where she is logged in.",
        "  2. At the HR desk, in another tab, press Deactivate beside her name.",
        "  3. Load her page again. She is out, and cannot log in any more.",
        "  4. Press Reactivate. She can log in; her old session stays dead.",
        "  5. Try the others. The desk shows why somebody was refused; the visitor never learns it.",
        "",
        "The same from a second terminal:",
        f"  {program} demo deactivate {company.GRACE.username}",
        f"  {program} demo deactivate {company.GRACE.username} --active",
        f"  SCIM_SERVER_DATA_DIR={folder} {program} logins",
        "",
        "Ctrl-C ends the demo.",
    )
    for line in lines:
        click.echo(line)


def _tell(outcome: Outcome) -> None:
    exchange = outcome.exchange
    click.echo(f"{exchange.method} {exchange.url}\n{_json(exchange.sent)}\n")
    click.echo(f"{exchange.status} {exchange.reason}, after {exchange.milliseconds} ms\n{_json(exchange.answered)}\n")
    if outcome.done:
        click.echo(outcome.says)


def _json(body: Any) -> str:
    return orjson.dumps(body, option=orjson.OPT_INDENT_2).decode()
