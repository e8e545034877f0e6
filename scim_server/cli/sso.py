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
from ..directory.checks import Check
from ..directory.errors import NotFound, Refused
from ..directory.sso_connections import SsoConnection, SsoSettings
from ..directory.store.engine import Database
from ..directory.vault import Vault
from .commands import settings, show_checks

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
    if not settings().base_url:
        click.echo(
            "SCIM_SERVER_BASE_URL is not set: at login the address in the browser stands in place of "
            f"{root(settings())}.", err=True,
        )  # fmt: skip
    if not held.settings.domains:
        click.echo("No --domains: any address that the provider has proven may be matched.", err=True)


def test(database: Database, held: SsoConnection, *, as_json: bool) -> None:
    """Look at everything that a login needs; raises Stop with exit status 4 when something fails."""
    failed = "The connection cannot be used like this; see above."
    show_checks(_checks(database, held), as_json=as_json, failed=failed)


def _checks(database: Database, held: SsoConnection) -> list[Check]:
    found = settings()
    results: list[Check] = []
    try:
        Vault(config.server_key(found)).open(held.client_secret)
        results.append(Check("client secret", ok=True, says="can be opened with this server's key"))
    except Refused as error:
        results.append(Check("client secret", ok=False, says=str(error)))
    network = Network(found.provider_networks)
    if held.kind in ("github", "bitbucket"):
        results.append(_reachable(network, held))
    else:
        results += _openid(network, held)
    uri = described(held)["redirect_uri"]
    console = f"{kinds.CONSOLES[held.kind]}: {uri}; scopes {kinds.scope_of(held.kind)}"
    results.append(Check("provider's console must contain", ok=True, says=console))
    results.append(_redirect_uri(found, uri))
    domains = ", ".join(held.settings.domains) or "any: name yours with connection set --domains"
    results.append(Check("domains", ok=True, says=domains))
    return results


def _redirect_uri(found: config.Settings, uri: str) -> Check:
    """What the provider sends people back to: made of the address in their browser, unless a setting says it."""
    if not found.base_url:
        says = f"{uri}, if that is the address in the browser: the login goes by that; set SCIM_SERVER_BASE_URL to it"
    elif uri.startswith("https:"):
        return Check("redirect URI", ok=True, says=uri)
    else:
        says = f"{uri}; most providers take plain http for localhost only: set SCIM_SERVER_BASE_URL to an https address"
    return Check("redirect URI", ok=True, says=says, warn=True)


def _openid(network: Network, held: SsoConnection) -> list[Check]:
    url = discovery.url_of(held.issuer)
    try:
        metadata, headers = network.get_json(url)
    except ProviderUnreachable as error:
        return [Check("discovery", ok=False, says=f"{url}: {error}")]
    if not isinstance(metadata, dict):
        return [Check("discovery", ok=False, says=f"{url} is no JSON object")]
    try:
        discovery.check(metadata, held.issuer)
    except LoginRefused as error:
        says = f"{error.reason.replace('_', ' ')}: configured {held.issuer}, published {metadata.get('issuer')!r}"
        return [Check("discovery", ok=False, says=says)]
    results = [Check("discovery", ok=True, says=f"{url}; issuer as configured"), _clock(headers)]
    results.append(Check("algorithms", ok=True, says=", ".join(sorted(jose.algorithms(metadata)))))
    try:
        keys, _ = network.get_json(metadata["jwks_uri"])
        number = len(keys["keys"])
        results.append(Check("keys", ok=number > 0, says=f"{number} at {metadata['jwks_uri']}"))
    except (ProviderUnreachable, TypeError, KeyError) as error:
        results.append(Check("keys", ok=False, says=f"{metadata['jwks_uri']}: {error}"))
    ends = metadata.get("end_session_endpoint")
    says = str(ends) if ends else "not offered; people are logged out here"
    results.append(Check("logout at the provider", ok=True, says=says))
    return results


def _reachable(network: Network, held: SsoConnection) -> Check:
    """Providers without discovery: whether their API answers at all; 401 is what it should say to nobody."""
    base = held.settings.base_url
    api = {"github": f"{base}/api/v3" if base else "https://api.github.com"}.get(
        held.kind, f"{base}/2.0" if base else "https://api.bitbucket.org/2.0"
    )
    try:
        network.get_json(f"{api}/user")
    except ProviderUnreachable as error:
        answers = error.category == "status"
        return Check("API", ok=answers, says=f"{api} answers" if answers else str(error))
    return Check("API", ok=True, says=f"{api} answers")


def _clock(headers: Mapping[str, str]) -> Check:
    try:
        theirs = parsedate_to_datetime(headers["Date"]).timestamp()
    except (KeyError, ValueError, TypeError):
        says = "not compared: the provider does not tell its time; keep this machine's by NTP"
        return Check("clock", ok=True, says=says, warn=True)
    skew = round(time.time() - theirs)
    says = f"{abs(skew)} seconds {'ahead of' if skew > 0 else 'behind'} the provider" if skew else "as the provider's"
    ok = abs(skew) <= _SKEW
    return Check("clock", ok, says if ok else f"{says}; logins fail: set the clock by NTP")


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
