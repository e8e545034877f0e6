"""The login half of a connection at the command line: its options, what is shown of it, and its test."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from sso import discovery, jose
from sso.errors import LoginRefused
from sso.network import Network, ProviderUnreachable
from sso.providers import kinds

from .. import config
from ..directory import sso_connections
from ..directory.errors import NotFound, Refused
from ..directory.sso_connections import SsoConnection, SsoSettings
from ..directory.store.engine import Database
from ..directory.vault import Vault
from .commands import CHECK_FAILED, Stop, settings, show

F = TypeVar("F", bound=Callable[..., Any])

_SKEW = 60  # seconds

kind = click.option("--kind", type=click.Choice(sso_connections.KINDS), help="The provider that people log in with.")
_on_off = click.Choice(["on", "off"])
_OPTIONS = (
    click.option("--client-id", help="Our id at the provider."),
    click.option(
        "--client-secret-file", type=click.Path(exists=True, dir_okay=False, allow_dash=True),
        help="A file that holds our secret at the provider; - is standard input.",
    ),
    click.option("--issuer", help="The provider's issuer, exactly as it writes it (oidc)."),
    click.option("--base-url", help="A self-managed GitHub Enterprise Server or GitLab."),
    click.option("--entra-tenant", help="The directory's GUID (entra)."),
    click.option("--domains", help="Domains of addresses that may be matched, by comma; none is any."),
    click.option(
        "--email-trust", type=click.Choice(sso_connections.TRUSTS),
        help="When the provider's word for an address counts.",
    ),
    click.option("--jit", type=_on_off, help="Make an account at the first login, in the domains named."),
    click.option("--enforced", type=_on_off, help="Passwords are for break-glass accounts from then on."),
    click.option("--max-age", type=click.IntRange(0, 31_536_000), help="Seconds since the person's last proof there."),
    click.option("--extra-audiences", type=_on_off, help="Excuse ID tokens that are also for others."),
    click.option("--text-email-verified", type=_on_off, help='Excuse email_verified being the text "true".'),
)  # fmt: skip


def options(function: F) -> F:
    """The options of the login half, for add and set alike."""
    for each in reversed(_OPTIONS):
        function = each(function)
    return function


def read(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """What ``sso_connections.create`` takes, from the options of ``add``. Raises UsageError, Refused."""
    missing = [f"--{name.replace('_', '-')}" for name in ("client_id", "client_secret_file") if not given[name]]
    if missing:
        raise click.UsageError(f"A login needs {' and '.join(missing)}.")
    values = _values(given)
    if "email_trust" not in values:
        values["email_trust"] = _default_trust(kind, values)
    found = SsoSettings(**{name: value for name, value in values.items() if name in SsoSettings.__slots__})
    _check(found)
    return {
        "issuer": kinds.issuer_of(kind, found, given["issuer"] or ""),
        "client_id": values["client_id"],
        "client_secret": values["client_secret"],
        "settings": found,
    }


def changes(held: SsoConnection, given: Mapping[str, Any]) -> dict[str, Any]:
    """What ``sso_connections.change`` takes, from the options of ``set``. Raises Refused."""
    values = _values(given)
    merged = {name: values.get(name, getattr(held.settings, name)) for name in SsoSettings.__slots__}
    _check(SsoSettings(**merged))
    if given["issuer"] or given["base_url"] is not None or given["entra_tenant"]:
        issuer = given["issuer"] or (held.issuer if held.kind == "oidc" else "")
        values["issuer"] = kinds.issuer_of(held.kind, SsoSettings(**merged), issuer)
    return values


def login_of(found: SsoConnection | None, name: str) -> SsoConnection:
    """The login of a connection. Raises NotFound where it has none."""
    if found is None:
        raise NotFound(f"The connection {name} has no login. Add one with: scim-server connection add {name} --kind …")
    return found


def described(held: SsoConnection) -> dict[str, Any]:
    """What may be told of a login connection, with the addresses that the provider's console needs."""
    here = f"{root(settings())}/sso/{held.id}"
    told = sso_connections.told(held)
    told["domains"] = list(told["domains"])
    addresses = {"redirect_uri": f"{here}/callback"}
    if held.kind not in ("github", "bitbucket"):
        addresses["backchannel_logout_uri"] = f"{here}/backchannel-logout"
    return told | addresses


def say_what_the_console_needs(held: SsoConnection) -> None:
    """One paragraph for whoever sits at the provider's console."""
    click.echo(f"\nEnter at the provider ({kinds.CONSOLES[held.kind]}):", err=True)
    click.echo(f"  {described(held)['redirect_uri']}", err=True)
    if not held.settings.domains:
        click.echo("No --domains: any address that the provider has proven may be matched.", err=True)


def test(database: Database, held: SsoConnection, *, as_json: bool) -> None:
    """Look at everything that a login needs; raises Stop with exit status 4 when something fails."""
    results = list(_checks(database, held))
    show([{"check": name, "ok": ok, "says": says} for name, ok, says in results], as_json=as_json)
    if not all(ok for _, ok, _ in results):
        raise Stop("The connection cannot be used like this; see above.", CHECK_FAILED)


def _checks(database: Database, held: SsoConnection) -> list[tuple[str, bool, str]]:
    found = settings()
    results: list[tuple[str, bool, str]] = []
    try:
        Vault(config.server_key(found)).open(held.client_secret)
        results.append(("client secret", True, "can be opened with this server's key"))
    except Refused as error:
        results.append(("client secret", False, str(error)))
    network = Network(found.provider_networks)
    if held.kind in ("github", "bitbucket"):
        results.append(_reachable(network, held))
    else:
        results += _openid(network, held)
    uri = described(held)["redirect_uri"]
    console = f"{kinds.CONSOLES[held.kind]}: {uri}"
    results.append(("provider's console must contain", True, f"{console}; scopes {kinds.scope_of(held.kind)}"))
    secure = uri.startswith("https:")
    hint = "" if secure else "; most providers take plain http for localhost only: set SCIM_SERVER_BASE_URL"
    results.append(("redirect URI", True, f"{uri}{hint}"))
    domains = ", ".join(held.settings.domains) or "any: name yours with connection set --domains"
    results.append(("domains", True, domains))
    return results


def _openid(network: Network, held: SsoConnection) -> list[tuple[str, bool, str]]:
    url = discovery.url_of(held.issuer)
    try:
        metadata, headers = network.get_json(url)
    except ProviderUnreachable as error:
        return [("discovery", False, f"{url}: {error}")]
    if not isinstance(metadata, dict):
        return [("discovery", False, f"{url} is no JSON object")]
    try:
        discovery.check(metadata, held.issuer)
    except LoginRefused as error:
        says = f"{error.reason.replace('_', ' ')}: configured {held.issuer}, published {metadata.get('issuer')!r}"
        return [("discovery", False, says)]
    results = [("discovery", True, f"{url}; issuer as configured"), _clock(headers)]
    results.append(("algorithms", True, ", ".join(sorted(jose.algorithms(metadata)))))
    try:
        keys, _ = network.get_json(metadata["jwks_uri"])
        number = len(keys["keys"])
        results.append(("keys", number > 0, f"{number} at {metadata['jwks_uri']}"))
    except (ProviderUnreachable, TypeError, KeyError) as error:
        results.append(("keys", False, f"{metadata['jwks_uri']}: {error}"))
    ends = metadata.get("end_session_endpoint")
    results.append(("logout at the provider", True, str(ends) if ends else "not offered; people are logged out here"))
    return results


def _reachable(network: Network, held: SsoConnection) -> tuple[str, bool, str]:
    """Providers without discovery: whether their API answers at all; 401 is what it should say to nobody."""
    base = held.settings.base_url
    api = {"github": f"{base}/api/v3" if base else "https://api.github.com"}.get(
        held.kind, f"{base}/2.0" if base else "https://api.bitbucket.org/2.0"
    )
    try:
        network.get_json(f"{api}/user")
    except ProviderUnreachable as error:
        return ("API", error.category == "status", f"{api} answers" if error.category == "status" else str(error))
    return ("API", True, f"{api} answers")


def _clock(headers: Mapping[str, str]) -> tuple[str, bool, str]:
    try:
        theirs = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        return ("clock", True, "the provider does not tell its time")
    skew = round(time.time() - theirs)
    says = f"{abs(skew)} seconds {'ahead of' if skew > 0 else 'behind'} the provider" if skew else "as the provider's"
    return ("clock", abs(skew) <= _SKEW, says if abs(skew) <= _SKEW else f"{says}; logins fail: set the clock by NTP")


def _values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options that were given, as settings; the secret read and sealed."""
    values: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or name in ("client_secret_file", "issuer"):
            continue
        if name == "domains":
            listed = (each.strip().lower().lstrip("@") for each in value.split(","))
            values[name] = tuple(sorted({each for each in listed if each}))
        elif value in ("on", "off"):
            values[name] = value == "on"
        else:
            values[name] = value.rstrip("/") if name == "base_url" else value
    if given["client_secret_file"]:
        values["client_secret"] = Vault(config.server_key(settings())).seal(_secret(given["client_secret_file"]))
    return values


def _secret(path: str) -> str:
    try:
        text = sys.stdin.read() if path == "-" else Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"The secret cannot be read: {error}.") from None
    if not text.strip():
        raise click.UsageError("The file of the client secret is empty.")
    return text.strip()


def _default_trust(kind: str, values: Mapping[str, Any]) -> str:
    """Entra proves no address, and of a self-managed GitLab nobody knows how it does: the operator says."""
    if kind == "entra":
        return "authoritative_domains"
    return "none" if kind == "gitlab" and values.get("base_url") else "verified_claim"


def _check(found: SsoSettings) -> None:
    if found.jit and not found.domains:
        raise Refused("Accounts are made at login only in domains that you name: add --domains.")
    for each in found.domains:
        if not each.isascii() or "." not in each or "@" in each or " " in each:
            raise Refused(f"--domains lists domains such as example.com; {each[:60]} is none.")


def root(found: config.Settings) -> str:
    host = f"[{found.host}]" if ":" in found.host else found.host
    return found.base_url or f"http://{host}:{found.port}"
