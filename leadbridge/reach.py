"""Where calls may go: an address is looked at when the connection stands, before the first byte is sent (G29).

What a name leads to is the name server's word, and may change between two looks; the peer of a connection does not. A
vendor is out on the internet, so a peer inside a private network, on this machine or on a link is refused, unless the
configuration itself names that host. Proxies that the environment names are not used: the peer would be the proxy, and
where it goes nobody sees. A company's gateway can be named as the vendor's `base_url`.
"""

import ipaddress
import socket
from collections.abc import Collection
from typing import Any
from urllib.parse import urlsplit

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection


class InsideAddress(OSError):
    """The name leads to an address that is not on the internet. Nothing was sent."""


_HOLD_IPV4 = [ipaddress.IPv6Network(one) for one in ("::/96", "::ffff:0:0/96", "64:ff9b::/96")]
_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")


def is_outside(address: str) -> bool:
    """Is this IP address one of the public internet? One of IPv6 that leads to one of IPv4 is what that is: mapped,
    compatible, by 6to4, or by a NAT64 gateway (RFC 6052), which may reach its own inside."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _LOCAL_NAT64:  # what it leads to is the network's own affair (RFC 8215)
            return False
        held = any(ip in network for network in _HOLD_IPV4)
        ip = ipaddress.IPv4Address(ip.packed[-4:]) if held else ip.sixtofour or ip
    return ip.is_global and not ip.is_multicast


def named(*addresses: str | None) -> frozenset[str]:
    """The hosts of addresses that the configuration names."""
    whole = (one if "//" in one else f"//{one}" for one in addresses if one)
    return frozenset(host for one in whole if (host := urlsplit(one).hostname))


def outside(host: str, port: int) -> list[str]:
    """The IP addresses of a host, for what connects by itself: give it these, not the name. Those of one family, since
    not everything takes both. Raises InsideAddress when one is not on the internet, and OSError as `getaddrinfo`.
    """
    found = dict.fromkeys(
        (family, str(address[0]))
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    )
    if not all(is_outside(address) for _, address in found):
        raise InsideAddress(f"{host} leads to an address that is not on the internet")
    return [address for family, address in found if family == next(iter(found))[0]]


def guard(manager: PoolManager, trusted: Collection[str]) -> None:
    """Have every connection of this manager looked at; `trusted` hosts may be anywhere."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> Any:
            return _looked_at(super()._new_conn(), self.host, trusted)

    class Tls(HTTPSConnection):
        def _new_conn(self) -> Any:
            return _looked_at(super()._new_conn(), self.host, trusted)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    manager.pool_classes_by_scheme = {"http": PlainPool, "https": TlsPool}


def _looked_at(connection: Any, host: str, trusted: Collection[str]) -> Any:
    peer = connection.getpeername()[0]
    if host.strip("[]") in trusted or is_outside(peer):
        return connection
    connection.close()
    raise InsideAddress(f"{host} leads to an address that is not on the internet")
