"""Which addresses may be called for a user: those of the public internet, and what the installation allows besides.

Whoever may name an address could otherwise make us talk to what only we can reach: a router, a database, the metadata
of a cloud.
"""

import ipaddress
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

import msgspec

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

URL_MAX: Final = 2000
_LOCAL_NAMES: Final = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa", ".onion")
# Public by their number, and still not of the internet: Azure answers its virtual machines there.
_METADATA: Final = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_LOCAL_NAT64: Final = ipaddress.ip_network("64:ff9b:1::/48")
_COMPATIBLE: Final = ipaddress.ip_network("::/96")


class ForbiddenAddress(Exception):
    """Not to be called for a user. The sentence says why, without the address's secrets."""


class Allowed(msgspec.Struct, frozen=True):
    """What the installation allows. hosts: names, with or without `:port`; http: unencrypted, wherever it goes."""

    hosts: frozenset[str]
    networks: tuple[Network, ...]
    ports: frozenset[int]
    http: bool

    def names(self, host: str, port: int) -> bool:
        """Whether this very host is one of the house."""
        if host in self.hosts or f"{host}:{port}" in self.hosts:
            return True
        address = literal(host)
        return address is not None and self.covers(address)

    def covers(self, address: Address) -> bool:
        """Whether the address lies in a network of the house."""
        plain = _embedded(address) or address
        return any(plain.version == network.version and plain in network for network in self.networks)


def allowed(entries: Iterable[str], ports: Iterable[int], http: bool) -> Allowed:
    """From the settings: an entry is a host, `host:port`, an address, or a network."""
    hosts, networks = set(), []
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry.strip("[]"), strict=False))
        except ValueError:
            hosts.add(entry.lower().rstrip("."))
    return Allowed(frozenset(hosts), tuple(networks), frozenset(ports), http)


def check_url(url: str, house: Allowed) -> None:
    """What can be said without asking where the name leads. Raises ForbiddenAddress."""
    if len(url) > URL_MAX or not url.isascii() or any(not c.isprintable() or c in ' \\"<>' for c in url):
        raise ForbiddenAddress(f"An address has at most {URL_MAX} ASCII characters, and no blanks among them.")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        raise ForbiddenAddress("This is no address.") from None
    if parts.scheme not in ("http", "https") or not host:
        raise ForbiddenAddress("An address begins with https:// and a host.")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenAddress("An address carries no user and password here.")
    check_host(host, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https", house)


def check_host(host: str, port: int, https: bool, house: Allowed) -> None:
    """The host as it is written, lower case. Raises ForbiddenAddress."""
    if house.names(host, port):
        return
    if not https and not house.http:
        raise ForbiddenAddress("Only https:// is called.")
    if port not in house.ports or (https and port == 80):
        raise ForbiddenAddress(f"Port {port} is not called.")
    address = literal(host)
    if address is not None:
        check_address(address, house)
    elif "." not in host or host.endswith(_LOCAL_NAMES) or _looks_numeric(host):
        raise ForbiddenAddress(f"{host} is no host of the public internet.")


def check_address(address: Address, house: Allowed) -> None:
    """Where the host really is. Raises ForbiddenAddress."""
    if not is_public(address) and not house.covers(address):
        raise ForbiddenAddress(f"{address} is no address of the public internet.")


def is_public(address: Address) -> bool:
    """Whether it is one of the internet's, whatever it is wrapped in."""
    if isinstance(address, ipaddress.IPv6Address):
        wrapped = _embedded(address)
        if wrapped is not None:
            return is_public(wrapped)
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
        if address in _LOCAL_NAT64 or address in _COMPATIBLE:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved and address not in _METADATA


def literal(host: str) -> Address | None:
    """The host as an address, if it is written as one."""
    try:
        return ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None


def _embedded(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one stands for: ::ffff:10.0.0.1, and 64:ff9b::10.0.0.1 behind a NAT64."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped


def _looks_numeric(host: str) -> bool:
    # 2130706433, 0x7f.1 and 127.1 are addresses to a resolver.
    last = host.rpartition(".")[2]
    return last.isdigit() or last.startswith("0x")
