"""Which addresses a connection may be made to: none that is only ours, unless the operator named that host."""

from collections.abc import Collection
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from generation_history.urls import as_address

#: Not for everybody, though not every Python's ipaddress says so (IANA's registry of special-purpose addresses): the
#: protocol assignments with Oracle's metadata, 6to4 relays, and what Azure serves its machines at.
_SPECIAL_NETWORKS: Final = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
#: All that is given out on the Internet, and in it the addresses that have another one in them (Teredo, 6to4).
_ALLOCATED = IPv6Network("2000::/3")
_TUNNELS: Final = tuple(map(IPv6Network, ("2001::/32", "2002::/16")))
#: What an IPv6-only network reaches IPv4 by (RFC 6052): judged by the address within.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Metadata services, which hand out credentials of the machine; the other ones are link-local.
_METADATA: Final = frozenset(map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")))


def may_be_reached(address: IPv4Address | IPv6Address, host: str, *, trusted_hosts: Collection[str]) -> bool:
    """Whether a connection to this host, as parse_host writes it, may go to this address of it.

    Public ones may. A trusted host is the operator's own choice: as an address it is reached whatever it is, as a name
    it may have private addresses and loopback, but none that no server is meant to have, such as link-local ones.
    """
    if is_public(address):
        return True
    if host not in trusted_hosts:
        return False
    return as_address(host) == address or not is_no_servers(address)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Whether this is an address that the Internet knows, and the same server to everybody."""
    if isinstance(address, IPv6Address):
        if address in _NAT64:
            return is_public(_within(address))
        return (
            address in _ALLOCATED
            and address.is_global
            and not address.is_multicast
            and not any(address in tunnel for tunnel in _TUNNELS)
        )
    return (
        address.is_global
        and not (address.is_multicast or address.is_reserved)
        and not any(address in network for network in _SPECIAL_NETWORKS)
    )


def is_no_servers(address: IPv4Address | IPv6Address) -> bool:
    """Whether no server is meant to have this address: link-local, metadata, an IPv4 address in disguise, and such."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or address in _NAT64):
        return True
    no_server = address.is_link_local or address.is_multicast or address.is_unspecified or address in _METADATA
    return no_server or (isinstance(address, IPv4Address) and address.is_reserved)


def _within(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
