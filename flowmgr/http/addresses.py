"""Which addresses an HTTP task may connect to: those of the public internet, and what is allowed.

What is judged is the address that is then connected to, never the text of a URL: a URL has too many
spellings (`127.1`, `0x7f000001`, a name that somebody else's server answers for).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import Final, NoReturn

import idna

from flowmgr.errors import InputError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

EVERYTHING: Final = "*"

_REFUSED_V4: Final[Mapping[IPv4Network, str]] = {
    IPv4Network(network): rule
    for network, rule in {
        "0.0.0.0/8": "unspecified, which is this machine",
        "10.0.0.0/8": "private",
        "100.64.0.0/10": "shared (carrier-grade NAT)",
        "127.0.0.0/8": "loopback, which is this machine",
        "168.63.129.16/32": "the metadata of a cloud",
        "169.254.0.0/16": "link-local, which has the metadata of clouds",
        "172.16.0.0/12": "private",
        "192.0.0.0/24": "reserved for protocols",
        "192.0.2.0/24": "for documentation",
        "192.88.99.0/24": "a relay to IPv6 (6to4)",
        "192.168.0.0/16": "private",
        "198.18.0.0/15": "for benchmarks",
        "198.51.100.0/24": "for documentation",
        "203.0.113.0/24": "for documentation",
        "224.0.0.0/4": "multicast",
        "240.0.0.0/4": "reserved",
    }.items()
}

_REFUSED_V6: Final[Mapping[IPv6Network, str]] = {
    IPv6Network(network): rule
    for network, rule in {
        # The first one that fits is told, so smaller networks stand before larger ones.
        "::/128": "unspecified, which is this machine",
        "::1/128": "loopback, which is this machine",
        "::/96": "an IPv4 address inside IPv6 (compatible)",
        "::ffff:0:0:0/96": "an IPv4 address inside IPv6 (translated)",
        "64:ff9b:1::/48": "an IPv4 address inside IPv6 (local NAT64)",
        "100::/64": "discarded by routers",
        "2001::/32": "an IPv4 address inside IPv6 (Teredo)",
        "2001:2::/48": "for benchmarks",
        "2001::/23": "reserved for protocols",
        "2001:db8::/32": "for documentation",
        "2002::/16": "an IPv4 address inside IPv6 (6to4)",
        "3fff::/20": "for documentation",
        "5f00::/16": "for routing by segments",
        "fc00::/7": "private (unique local)",
        "fe80::/10": "link-local",
        "fec0::/10": "private (site-local)",
        "ff00::/8": "multicast",
    }.items()
}

_GLOBAL_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")
_ISATAP: Final = 0x5EFE
"""The upper half of an interface id that has an IPv4 address below it, but for one bit."""

_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


def refused_as(address: Address) -> str | None:
    """Return what *address* is, as in "is private", if it is not one of the public internet.

    An IPv4 address that is written inside an IPv6 one (mapped, NAT64) is judged in its place, for
    that is where the packets go.
    """
    if isinstance(address, IPv4Address):
        return _first(_REFUSED_V4, address)
    if address.ipv4_mapped is not None:
        return _first(_REFUSED_V4, address.ipv4_mapped)
    if address in _NAT64:
        inside = _first(_REFUSED_V4, _low(address))
        return inside and f"an IPv4 address inside IPv6 (NAT64) that is {inside}"
    if rule := _first(_REFUSED_V6, address):
        return rule
    if (int(address) >> 32) & 0xFDFF_FFFF == _ISATAP and _first(_REFUSED_V4, _low(address)):
        return "an IPv4 address inside IPv6 (ISATAP)"
    return None if address in _GLOBAL_V6 and address.scope_id is None else "reserved"


class AllowList:
    """The addresses that are allowed although they are not public.

    Args:
        entries: addresses and networks ("127.0.0.1", "10.0.0.0/8", "fd00::/8"), names of hosts,
            which are allowed whatever they resolve to ("localhost"), and "*" for everything.

    Raises:
        InputError: an entry cannot be read; the message names it, and says what to write.
    """

    __slots__ = ("_hosts", "_networks", "allows_everything")

    def __init__(self, entries: Iterable[str] = ()) -> None:
        self._hosts: set[str] = set()
        self._networks: list[Network] = []
        self.allows_everything = False
        for entry in entries:
            self._add(entry)

    def refusal(self, host: str, address: Address) -> str | None:
        """Return why *address*, which *host* resolves to, must not be connected to.

        Args:
            host: the host as the URL has it.
            address: the address that would be connected to.

        Returns:
            What the address is, as `refused_as` says it; None if it may be connected to.
        """
        rule = refused_as(address)
        if rule is None or self.allows_everything or plain_host(host) in self._hosts:
            return None
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        allowed = any(_has(network, address) for network in self._networks) or (
            mapped is not None and any(_has(network, mapped) for network in self._networks)
        )
        return None if allowed else rule

    def _add(self, entry: str) -> None:
        if entry == EVERYTHING:
            self.allows_everything = True
        elif network := _network(entry):
            self._networks.append(network)
        else:
            self._hosts.add(_host(entry))


def plain_host(host: str) -> str:
    """Return *host* as hosts are compared: in lower case, without the dot of the root."""
    return host.lower().removesuffix(".")


def _network(entry: str) -> Network | None:
    """Return the network that *entry* names; None if it can only be the name of a host."""
    try:
        return ip_network(entry)
    except ValueError as error:
        if "host bits set" in str(error):
            right = ip_network(entry, strict=False)
            _refuse(entry, f"has bits set behind the network: write {str(right)!r}")
        if ":" in entry or "/" in entry:
            _refuse(entry, "is neither an address nor a network; a port cannot be given")
        return None


def _host(entry: str) -> str:
    host = plain_host(entry)
    if not host.isascii():
        try:
            host = idna.encode(host).decode("ascii")
        except idna.IDNAError as error:
            _refuse(entry, f"is no name of a host: {error}")
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        _refuse(entry, "is a number and no address: write it as four, such as '127.0.0.1'")
    if not all(_LABEL.fullmatch(label) for label in labels):
        _refuse(entry, "is no name of a host, address or network")
    return host


def _refuse(entry: str, why: str) -> NoReturn:
    raise InputError(
        f"Setting refused: http_allow has {entry!r}, which {why}. Entries are names of hosts, "
        "addresses, networks such as '10.0.0.0/8', and '*' for everything"
    )


def _first(
    rules: Mapping[IPv4Network, str] | Mapping[IPv6Network, str], address: Address
) -> str | None:
    return next((rule for network, rule in rules.items() if address in network), None)


def _low(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _has(network: Network, address: Address) -> bool:
    return network.version == address.version and address in network
