"""What ``doctor`` looks at: each check says what is wrong and how to mend it."""

from __future__ import annotations

import os
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from ..protocol.filters import instant
from .errors import DirectoryError, Refused
from .store import migrate
from .store.engine import Database, Statement
from .vault import Vault

_VERSION = Statement("SELECT current_setting('server_version_num')")
_EXPIRING = Statement("""
    SELECT t.name, t.expires FROM tokens t
    WHERE t.revoked IS NULL AND t.replaced_by IS NULL AND t.expires > :lately AND t.expires < :soon""")
_SECRETS = Statement("""
    SELECT c.name, o.client_secret FROM sso_connections o
    JOIN connections c ON c.tenant = o.tenant AND c.id = o.connection""")
_SOON = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; ``says`` is the finding, with the way out when it is not ``ok``, or ok with a ``warn``."""

    name: str
    ok: bool
    says: str
    warn: bool = False


def run(url: str, base_url: str, data_dir: str, vault: Vault) -> list[Check]:
    """Run all checks; one that cannot be made because an earlier one failed is left out."""
    results = [_data_dir(data_dir), _base_url(base_url)]
    try:
        at, head = migrate.current(url), migrate.head()
    except DirectoryError as error:
        return [*results, Check("database", ok=False, says=str(error))]
    results.append(Check("database", ok=True, says="reachable"))
    if at != head:
        says = f"at revision {at}, this program knows {head}; run: scim-server db upgrade"
        return [*results, Check("schema", ok=False, says=says)]
    results.append(Check("schema", ok=True, says=f"at revision {head}"))
    database = Database(url)
    try:
        return [*results, _version(database), _tokens(database), _secrets(database, vault), _https(database, base_url)]
    finally:
        database.close()


def _data_dir(folder: str) -> Check:
    path = Path(folder)
    ok = os.access(path if path.exists() else path.absolute().parent, os.W_OK)
    return Check("data folder", ok, f"{folder} can be written" if ok else f"{folder} cannot be written; see DATA_DIR")


def _base_url(base_url: str) -> Check:
    says = base_url or "not set: taken from each request; set SCIM_SERVER_BASE_URL behind a proxy"
    return Check("base URL", ok=True, says=says)


def _version(database: Database) -> Check:
    if database.is_sqlite:
        found, ok = f"SQLite {sqlite3.sqlite_version}", sqlite3.sqlite_version_info >= (3, 40)
        return Check("database version", ok, found if ok else f"{found}; 3.40 or newer is needed")
    row = database.run(_VERSION, {}).fetchone()
    number = int(row[0]) if row else 0
    found, ok = f"PostgreSQL {number // 10000}.{number % 10000}", number >= 150000
    return Check("database version", ok, found if ok else f"{found}; 15 or newer is needed")


def _tokens(database: Database) -> Check:
    now = datetime.now(UTC)
    rows = database.run(_EXPIRING, {"lately": instant(now - _SOON), "soon": instant(now + _SOON)}).fetchall()
    if not rows:
        return Check("tokens", ok=True, says="none expires within 30 days")
    listed = ", ".join(f"{name} on {expires[:10]}" for name, expires in rows)
    return Check("tokens", ok=False, says=f"expiring or just expired: {listed}; run: scim-server token rotate")


def _secrets(database: Database, vault: Vault) -> Check:
    """A server with another key than the one that sealed the secrets cannot log anybody in."""
    closed = []
    for name, sealed in database.run(_SECRETS, {}).rows:
        try:
            vault.open(sealed)
        except Refused:
            closed.append(name)
    if not closed:
        return Check("server key", ok=True, says="opens every stored secret")
    says = f"does not open the secret of {', '.join(closed)}; set SCIM_SERVER_SECRET_KEY back to the one that sealed it"
    return Check("server key", ok=False, says=says)


def _https(database: Database, base_url: str) -> Check:
    """Providers send people to https only, and so do cookies that no other site can set."""
    if base_url.startswith("https:") or not database.run(_SECRETS, {}).rows:
        return Check("login over https", ok=True, says=base_url or "no login is set up")
    if not base_url:
        says = "not known: SCIM_SERVER_BASE_URL is not set; set it to the https address that people use"
        return Check("login over https", ok=True, says=says, warn=True)
    says = "people log in over plain http; set SCIM_SERVER_BASE_URL to the https address that they use"
    return Check("login over https", ok=_is_local(base_url), says=says, warn=_is_local(base_url))


def _is_local(base_url: str) -> bool:
    return urlsplit(base_url).hostname in ("localhost", "127.0.0.1", "::1")
