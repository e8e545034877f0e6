"""How a second terminal finds the demo that runs: a small file of this user's own, which goes when the demo goes."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..directory.errors import NotFound


@dataclass(frozen=True, slots=True)
class Running:
    """A demo that runs; ``token`` is its SCIM token."""

    pid: int
    server: str
    provider: str
    desk: str
    data_dir: str
    database_url: str
    token: str = field(repr=False)


@contextmanager
def noted(running: Running) -> Iterator[None]:
    """Let a demo be found inside the block; of several of one user, the last that was started is."""
    path = _path()
    fresh = path.with_name(f"{path.name}.{running.pid}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(asdict(running), file)
    fresh.replace(path)
    try:
        yield
    finally:
        with suppress(OSError, ValueError, NotFound):
            if find() == running:
                path.unlink()


def find() -> Running:
    """The demo that runs. Raises NotFound."""
    try:
        with os.fdopen(os.open(_path(), os.O_RDONLY | os.O_NOFOLLOW)) as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                raise NotFound(f"The file {_path()} is somebody else's.")
            found = Running(**json.load(file))
        os.kill(found.pid, 0)
    except (OSError, ValueError, TypeError):
        raise NotFound("No demo is running. Start one with: scim-server demo") from None
    return found


def _path() -> Path:
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"scim-server-demo-{os.getuid()}.json"
