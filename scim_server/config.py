"""Settings: the environment read once, checked, frozen. Imports nothing of the house but the limits.

Every setting is ``SCIM_SERVER_<NAME>``; a secret may instead be ``SCIM_SERVER_<NAME>_FILE``, a file that holds
it. An unknown ``SCIM_SERVER_*`` name is an error: a mistyped setting must not pass unnoticed.
"""

from __future__ import annotations

import difflib
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .limits import Limits

AnyNetwork = IPv4Network | IPv6Network

PREFIX = "SCIM_SERVER_"
_SHORTEST_KEY = 32
_DIGITS = 20  # Python itself refuses to read thousands of them


class ConfigError(Exception):
    """A setting is wrong; the message says which, why and what would do."""


def networks(text: str) -> tuple[AnyNetwork, ...]:
    """Read ``10.0.0.0/8, ::1/128``. Raises ValueError that says which part is no network, and what one looks like."""
    return tuple(_network(part) for part in text.replace(",", " ").split())


def _network(text: str) -> AnyNetwork:
    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not a network; write it like 10.0.0.0/8 or ::1/128.") from None
    if "/" in text and ip_address(text.partition("/")[0]) != meant.network_address:
        raise ValueError(f"{text!r} is an address inside a network; the network is {meant}.")
    return meant


def _text(value: str) -> str:
    return value


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or len(value) > _DIGITS or not least <= int(value) <= most:
            raise ConfigError(f"must be a whole number from {least} to {most}")
        return int(value)

    return parse


def _base_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
        usable = usable and parts.port != 0  # reading it raises ValueError for what is no port
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("must be a URL such as https://accounts.example.com")
    return value.rstrip("/")


def _smtp_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("smtp", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("must be a URL such as smtp://user:password@mail.example.com:587")
    return value


def _one_of(*values: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in values:
            raise ConfigError(f"must be one of {', '.join(values)}")
        return value

    return parse


def _setting(default: Any, parse: Callable[[str], Any], text: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"parse": parse, "text": text, "secret": secret})


def _key(value: str) -> str:
    if len(value) < _SHORTEST_KEY:
        raise ConfigError(f"must have at least {_SHORTEST_KEY} characters; make one with: openssl rand -hex 32")
    return value


def _networks(value: str) -> tuple[AnyNetwork, ...]:
    try:
        return networks(value)
    except ValueError as error:
        raise ConfigError(f"must list networks by comma: {error}".removesuffix(".")) from None


_LIMITS = Limits()


@dataclass(frozen=True)
class Settings:
    """All settings with their defaults; ``origins`` tells where each value came from."""

    data_dir: Path = _setting(Path("var"), Path, "Folder for the SQLite database and generated keys")
    database_url: str = _setting("", _text, "SQLAlchemy URL; empty is SQLite in DATA_DIR", secret=True)
    base_url: str = _setting("", _base_url, "URL that clients reach us at; empty is taken from each request")
    secret_key: str = _setting(
        "", _key, "Key that seals stored secrets; empty is one made in DATA_DIR at the first start", secret=True
    )
    smtp_url: str = _setting(
        "", _smtp_url, "Mail server, such as smtp://user:password@mail.example.com:587, or smtps://", secret=True
    )
    mail_from: str = _setting("", _text, "Address that mails come from; empty is the user of SMTP_URL")
    host: str = _setting("127.0.0.1", _text, "Address to listen at")
    port: int = _setting(8000, _whole(1, 65535), "Port to listen at")
    workers: int = _setting(2, _whole(1, 256), "Worker processes")
    threads: int = _setting(
        8,
        _whole(1, 256),
        "Threads of a worker: so many slow uploads at once hold it up",
    )
    statement_seconds: int = _setting(
        30, _whole(1, 3600), "Longest that PostgreSQL works at one statement before the request is answered 503"
    )
    sqlite_synchronous: str = _setting(
        "FULL", _one_of("FULL", "NORMAL"), "NORMAL is quicker and may lose the last commits when power fails"
    )
    metrics_token: str = _setting("", _text, "Bearer token for /metrics from other machines", secret=True)
    max_body_bytes: int = _setting(_LIMITS.body_bytes, _whole(1024, 1 << 30), "Largest request body")
    max_filter_length: int = _setting(_LIMITS.filter_length, _whole(64, 65536), "Longest filter or PATCH path")
    max_filter_depth: int = _setting(_LIMITS.filter_depth, _whole(1, 30), "Deepest nesting of a filter")
    max_filter_terms: int = _setting(_LIMITS.filter_terms, _whole(1, 1000), "Most comparisons in a filter")
    max_patch_operations: int = _setting(_LIMITS.patch_operations, _whole(1, 100_000), "Most operations in a PATCH")
    max_members: int = _setting(_LIMITS.members, _whole(1, 1_000_000), "Most members named in one request")
    max_values: int = _setting(_LIMITS.values, _whole(1, 100_000), "Most values of another multi-valued attribute")
    max_name_length: int = _setting(
        _LIMITS.name_length, _whole(64, 600), "Longest userName, externalId and displayName of a group"
    )
    page_default: int = _setting(_LIMITS.page_default, _whole(1, 10_000), "Resources on a page when count is absent")
    page_max: int = _setting(_LIMITS.page_max, _whole(100, 100_000), "Most resources on a page")
    tenancy_mode: str = _setting(
        "single", _one_of("single", "multi"), "multi: a person may have an account in several tenants"
    )
    sso_link: str = _setting(
        "verified_email",
        _one_of("subject_only", "verified_email", "any_email_unsafe"),
        "What binds a provider's subject to an account at the first login",
    )
    password_local_login: str = _setting(
        "break_glass_only",
        _one_of("everyone", "break_glass_only", "off"),
        "Whose passwords work; break_glass_only takes hold once a login connection is enforced",
    )
    session_idle_minutes: int = _setting(120, _whole(1, 525_600), "Minutes without use after which a session ends")
    session_hours: int = _setting(12, _whole(1, 8_760), "Hours after which a session ends in any case")
    invite_expire_hours: int = _setting(72, _whole(1, 72), "Hours that a one-time link works")
    provider_networks: tuple[AnyNetwork, ...] = _setting(
        (), _networks, "Networks in which an identity provider may live though they are not public, by CIDR"
    )
    proxy_hops: int = _setting(0, _whole(0, 10), "Proxies in front whose X-Forwarded headers are believed")
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def limits(self) -> Limits:
        return Limits(
            body_bytes=self.max_body_bytes,
            filter_length=self.max_filter_length,
            filter_depth=self.max_filter_depth,
            filter_terms=self.max_filter_terms,
            patch_operations=self.max_patch_operations,
            members=self.max_members,
            values=self.max_values,
            name_length=self.max_name_length,
            page_default=min(self.page_default, self.page_max),
            page_max=self.page_max,
        )

    @property
    def database(self) -> str:
        """The database's URL."""
        return self.database_url or f"sqlite:///{self.data_dir / 'scim-server.db'}"


_FIELDS = {f"{PREFIX}{each.name.upper()}": each for each in fields(Settings) if "parse" in each.metadata}


def load(environment: Mapping[str, str]) -> Settings:
    """Read and check the settings. Raises ConfigError with one line per setting that is wrong."""
    values: dict[str, Any] = {}
    origins = {each.name: "default" for each in _FIELDS.values()}
    wrong: list[str] = []
    for name in sorted(environment):
        if not name.startswith(PREFIX):
            continue
        try:
            setting, raw, origin = _read(name, environment)
            values[setting.name] = setting.metadata["parse"](raw)
            origins[setting.name] = origin
        except ConfigError as error:
            wrong.append(f"{name} {error}")
    if wrong:
        raise ConfigError("\n".join(wrong))
    return Settings(**values, origins=origins)


def _read(name: str, environment: Mapping[str, str]) -> tuple[Any, str, str]:
    """The setting that a variable stands for, its raw value, and where that came from."""
    if name in _FIELDS:
        return _FIELDS[name], environment[name], f"environment {name}"
    plain = name.removesuffix("_FILE")
    if name.endswith("_FILE") and plain in _FIELDS and _FIELDS[plain].metadata["secret"]:
        if plain in environment:
            raise ConfigError(f"is set beside {plain}; set one of them")
        try:
            return _FIELDS[plain], Path(environment[name]).read_text("utf-8").strip(), f"file {environment[name]}"
        except OSError as error:
            raise ConfigError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ConfigError("is not text in UTF-8") from None
    near = difflib.get_close_matches(name, list(_FIELDS), n=1)
    raise ConfigError(f"is not a setting{f'; did you mean {near[0]}?' if near else ''}")


def server_key(settings: Settings) -> str:
    """The key that seals stored secrets: the setting, or one made in DATA_DIR when it is first asked for.

    Raises ConfigError when the file can be neither read nor made.
    """
    if settings.secret_key:
        return settings.secret_key
    path = settings.data_dir / "secret.key"
    try:
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh = path.with_name(f"secret.key.{os.getpid()}")
            with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_hex(32))
                file.flush()
                os.fsync(file.fileno())  # a power cut must not leave an empty one
            try:
                os.link(fresh, path)  # whole or not at all: of several who start at once, one makes it
            except FileExistsError:
                pass
            finally:
                fresh.unlink()
        key = path.read_text("ascii").strip()
    except OSError as error:
        raise ConfigError(
            f"The key file {path} cannot be used: {error.strerror}. See SCIM_SERVER_SECRET_KEY."
        ) from None
    except UnicodeDecodeError:
        key = ""
    if len(key) < _SHORTEST_KEY:
        raise ConfigError(
            f"The key file {path} holds no key of {_SHORTEST_KEY} characters; bring back the one it held."
        )
    return key


def described(settings: Settings) -> list[dict[str, str]]:
    """Every setting with its value (secrets masked), where that came from, and what it does."""
    rows = []
    for name, each in _FIELDS.items():
        held = getattr(settings, each.name)
        value = ", ".join(map(str, held)) if isinstance(held, tuple) else str(held)
        if each.metadata["secret"] and value:
            value = "(set)"
        rows.append(
            {"name": name, "value": value, "origin": settings.origins.get(each.name, "default"),
             "text": each.metadata["text"]}
        )  # fmt: skip
    return rows
