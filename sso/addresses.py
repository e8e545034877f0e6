"""Which addresses an identity provider may have: public ones, and those in networks that the operator names."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from scim_server.config import AnyNetwork, networks

_SETTING = "SCIM_SERVER_PROVIDER_NETWORKS"


class ProviderUnreachable(Exception):
    """A call came to nothing.

    ``category`` is one of a few words that a tenant admin may see: address, timeout, too_large, redirect, tls,
    unreachable, status, not_json. The message is for the operator; no part of an answer is in either.
    """

    def __init__(self, category: str, message: str) -> None:
        super().__init__(message)
        self.category = category


def admit(text: str, allowed: Sequence[AnyNetwork], *, secure: bool) -> None:
    """Refuse an address that is not public, unless the operator allows it; only there may a call be plain http."""
    address = _destination(ip_address(text))
    if _in(address, _NEVER):
        raise ProviderUnreachable("address", f"{address} is no identity provider; it serves the machine itself.")
    if _in(address, allowed):
        return
    if not _is_public(address):
        message = f"{address} is not a public address; an operator can allow its network in {_SETTING}."
        raise ProviderUnreachable("address", message)
    if not secure:
        message = f"Plain http is for networks in {_SETTING} only; enter an https:// address."
        raise ProviderUnreachable("address", message)


_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# Where clouds hand out the machine's own credentials: no setting opens them, not even 0.0.0.0/0.
_NEVER = networks(
    "169.254.169.254, 169.254.170.2, 169.254.170.23, fd00:ec2::254, fd00:ec2::23, 100.100.100.200, 168.63.129.16"
)
_UNKNOWN_TO_PYTHON_3_11 = networks("192.0.0.0/24, 192.88.99.0/24, 3fff::/20")


def _destination(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Where packets go in the end: mapped, 6to4 and NAT64 addresses carry an IPv4 address."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    return address.is_global and not (address.is_multicast or _in(address, _UNKNOWN_TO_PYTHON_3_11))


def _in(address: IPv4Address | IPv6Address, those: Sequence[AnyNetwork]) -> bool:
    return any(address in network for network in those)
