"""``scim-server run``, ``doctor`` and ``config``."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from dataclasses import replace
from pathlib import Path

import click

from .. import __version__, config
from ..directory import checks, tenants
from ..directory.store import migrate
from ..directory.store.engine import Database
from ..directory.vault import Vault
from .commands import REFUSED, USAGE, Stop, as_json, command, settings, show, show_checks


@click.command()
@click.option("--host", help="Address to listen at.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port to listen at.")
@click.option("--workers", type=click.IntRange(1, 256), help="Worker processes.")
@command
def run(host: str | None, port: int | None, workers: int | None) -> None:
    """Serve until told to stop. The database is created or brought up to date first."""
    found = settings()
    found = replace(found, host=host or found.host, port=port or found.port, workers=workers or found.workers)
    _refuse_taken_port(found.host, found.port)
    migrate.upgrade(found.database)
    database = Database(found.database)
    tenants.ensure_default(database)
    database.close()
    _prepare_metrics(found.data_dir / f"metrics-{found.port}")
    _greet(found)
    _serve(found)


def _refuse_taken_port(host: str, port: int) -> None:
    """The HTTP server shares a port with whoever listens there already, and half of the requests would go astray."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise Stop(
                f"Cannot listen at {host} port {port}: {error.strerror}. Choose with --host, --port.", REFUSED
            ) from error


def _prepare_metrics(folder: Path) -> None:
    """A fresh folder in which the worker processes put their counters; set before they are started."""
    folder = folder.absolute()
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Stop(f"The folder {folder} cannot be made: {error.strerror}. See SCIM_SERVER_DATA_DIR.", USAGE) from error
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(folder)


def _greet(found: config.Settings) -> None:
    host = f"[{found.host}]" if ":" in found.host else found.host
    root = found.base_url or f"http://{host}:{found.port}"
    program = os.path.relpath(sys.argv[0]) if os.sep in sys.argv[0] else sys.argv[0]
    for line in (
        f"scim-server {__version__}",
        f"  SCIM base URL   {root}/scim/v2",
        f"  database        {Database(found.database).url.render_as_string(hide_password=True)}",
        f"  a SCIM token    {program} token issue --name my-identity-provider",
        "  stop            Ctrl-C",
    ):
        click.echo(line, err=True)


def _serve(found: config.Settings) -> None:
    from granian import Granian
    from granian.constants import Interfaces

    formatter = {"()": "scim_server.telemetry.JsonFormatter"}
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    logger = {"handlers": ["json"], "level": "INFO", "propagate": False}
    Granian(
        "scim_server.app:wsgi",
        factory=True,
        address=found.host,
        port=found.port,
        interface=Interfaces.WSGI,
        workers=found.workers,
        blocking_threads=found.threads,
        websockets=False,
        respawn_failed_workers=True,
        workers_kill_timeout=30,
        log_dictconfig={
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": formatter},
            "handlers": {"json": handler},
            "loggers": {"_granian": logger, "granian.access": logger},
        },
    ).serve()


@click.command()
@as_json
@command
def doctor(as_json: bool) -> None:
    """Look at settings, database, schema and tokens. Exit status 4 when something needs mending."""
    found = settings()
    results = checks.run(found.database, found.base_url, str(found.data_dir), Vault(config.server_key(found)))
    show_checks(results, as_json=as_json, failed="Something needs mending; see above.")


@click.group("config")
def configuration() -> None:
    """Settings."""


@configuration.command("show")
@click.option("--origin", is_flag=True, help="Tell where each value came from.")
@as_json
@command
def show_configuration(origin: bool, as_json: bool) -> None:
    """Show every setting with its value; secrets are not shown."""
    names = ("name", "value", *(("origin",) if origin else ()), "text")
    show([{name: row[name] for name in names} for row in config.described(settings())], as_json=as_json)
