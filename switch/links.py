"""The interfaces of a network namespace, watched and counted: rtnetlink(7) messages about links."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_RTMGRP_LINK = 1
_NLMSGHDR = struct.Struct("=IHHII")
_IFINFOMSG = struct.Struct("=BxHiII")
_RTATTR = struct.Struct("=HH")
_STATISTICS = struct.Struct("=8Q")
"""The beginning of struct rtnl_link_stats64 (linux/if_link.h)."""
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_NLM_F_REQUEST_DUMP = 0x301
_IFLA_IFNAME, _IFLA_STATS64 = 3, 23
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_BUFFER = 1 << 16


@dataclass(frozen=True)
class Statistics:
    """Frames and bytes that passed an interface, and those that were lost there."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_errors: int
    tx_errors: int
    rx_dropped: int
    tx_dropped: int


@dataclass(frozen=True)
class Link:
    """The state of an interface; `gone` when it left the namespace."""

    name: str
    index: int
    up: bool
    """Administratively up and with a carrier."""
    gone: bool = False
    statistics: Statistics | None = None


class LinkWatch:
    """A socket that tells of links; open it in the namespace to watch."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, _RTMGRP_LINK))
        self.socket.setblocking(False)

    def ask(self) -> None:
        """Ask for the present state of all links; the answers come like changes do."""
        self.socket.send(_ask_for_all())

    def read(self) -> list[Link]:
        """Changes since the last call. Where the kernel had to drop some, all links are asked for."""
        links: list[Link] = []
        while True:
            try:
                data = self.socket.recv(_BUFFER)
            except BlockingIOError:
                return links
            except OSError:  # ENOBUFS: messages were lost
                self.ask()
                return links
            links.extend(parse(data))

    def close(self) -> None:
        """Stop."""
        self.socket.close()


class LinkTable:
    """A socket that gives all links at once; open it in the namespace to look at."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)

    def read(self) -> list[Link]:
        """All links with their statistics. The kernel answers at once, in as many datagrams as it takes."""
        self._socket.send(_ask_for_all())
        links: list[Link] = []
        while True:
            data = self._socket.recv(_BUFFER)
            links.extend(parse(data))
            if _NLMSGHDR.unpack_from(data)[1] in (_NLMSG_DONE, _NLMSG_ERROR):
                return links

    def close(self) -> None:
        """Stop."""
        self._socket.close()


def _ask_for_all() -> bytes:
    header = _NLMSGHDR.pack(_NLMSGHDR.size + _IFINFOMSG.size, _RTM_GETLINK, _NLM_F_REQUEST_DUMP, 1, 0)
    return header + _IFINFOMSG.pack(0, 0, 0, 0, 0)


def parse(data: bytes) -> Iterator[Link]:
    """The links in a datagram of netlink messages."""
    offset = 0
    while offset + _NLMSGHDR.size <= len(data):
        length, kind, _, _, _ = _NLMSGHDR.unpack_from(data, offset)
        if length < _NLMSGHDR.size:
            return
        if kind in (_RTM_NEWLINK, _RTM_DELLINK):
            body = offset + _NLMSGHDR.size
            family, _, index, flags, _ = _IFINFOMSG.unpack_from(data, body)
            attributes = dict(_attributes(data[body + _IFINFOMSG.size : offset + length]))
            if _IFLA_IFNAME in attributes and family == 0:  # not a message of a bridge about its port
                name = attributes[_IFLA_IFNAME].split(b"\0")[0].decode()
                counted = attributes.get(_IFLA_STATS64)
                statistics = None if counted is None else Statistics(*_STATISTICS.unpack_from(counted))
                up = bool(flags & _IFF_UP and flags & _IFF_RUNNING)
                yield Link(name, index, up, gone=kind == _RTM_DELLINK, statistics=statistics)
        offset += length + 3 & ~3


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset + _RTATTR.size <= len(data):
        length, kind = _RTATTR.unpack_from(data, offset)
        if length < _RTATTR.size:
            return
        yield kind, data[offset + _RTATTR.size : offset + length]
        offset += length + 3 & ~3


__all__ = ["Link", "LinkTable", "LinkWatch", "Statistics", "parse"]
