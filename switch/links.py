"""Watch the interfaces of a network namespace: rtnetlink(7) messages about links."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_RTMGRP_LINK = 1
_NLMSGHDR = struct.Struct("=IHHII")
_IFINFOMSG = struct.Struct("=BxHiII")
_RTATTR = struct.Struct("=HH")
_RTM_NEWLINK, _RTM_DELLINK, _RTM_GETLINK = 16, 17, 18
_NLM_F_REQUEST_DUMP = 0x301
_IFLA_IFNAME, _IFLA_MTU = 3, 4
_IFF_UP, _IFF_RUNNING = 0x1, 0x40
_BUFFER = 1 << 16


@dataclass(frozen=True)
class Link:
    """The state of an interface; `gone` when it left the namespace."""

    name: str
    index: int
    up: bool
    """Administratively up and with a carrier."""
    gone: bool = False


class LinkWatch:
    """A socket that tells of links; open it in the namespace to watch."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self.socket.bind((0, _RTMGRP_LINK))
        self.socket.setblocking(False)

    def ask(self) -> None:
        """Ask for the present state of all links; the answers come like changes do."""
        size = _NLMSGHDR.size + _IFINFOMSG.size
        header = _NLMSGHDR.pack(size, _RTM_GETLINK, _NLM_F_REQUEST_DUMP, 1, 0)
        self.socket.send(header + _IFINFOMSG.pack(0, 0, 0, 0, 0))

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
            name = _name(data[body + _IFINFOMSG.size : offset + length])
            if name and family == 0:  # not a message of a bridge about its port
                up = bool(flags & _IFF_UP and flags & _IFF_RUNNING)
                yield Link(name, index, up, gone=kind == _RTM_DELLINK)
        offset += length + 3 & ~3


def _name(attributes: bytes) -> str:
    offset = 0
    while offset + _RTATTR.size <= len(attributes):
        length, kind = _RTATTR.unpack_from(attributes, offset)
        if length < _RTATTR.size:
            return ""
        if kind == _IFLA_IFNAME:
            return attributes[offset + _RTATTR.size : offset + length].split(b"\0")[0].decode()
        offset += length + 3 & ~3
    return ""


__all__ = ["Link", "LinkWatch", "parse"]
