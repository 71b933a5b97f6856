"""The sockets that a service listens on: accept backlog, and the processes behind them (sock_diag(7)).

A netlink socket stays bound to the network namespace that it was opened in, so an agent in another one
can ask. Nothing here is counted per packet: it is read at the refresh interval.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv6Address

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_REQUEST_DUMP = 0x301
_ERROR, _DONE = 2, 3
_LISTEN, _ALL = 1 << 10, 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBBI48x")
_ANSWER = struct.Struct("=4x2s2x16s28x4xIIII")
"""inet_diag_msg: port, address, receive queue, send queue, user, inode."""
SCAN_S = 10.0
"""Shortest time between two searches through /proc, in seconds."""


@dataclass(frozen=True)
class Listening:
    """A socket that waits for requests."""

    address: IPv6Address
    port: int
    queued: int
    """Connections that wait for accept(2); octets that wait, for UDP."""
    limit: int
    """Connections that may wait."""
    inode: int


class Sockets:
    """The listening sockets of the network namespace that the constructor is called in."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG)

    def tcp(self) -> list[Listening]:
        """Return the TCP sockets that listen, over IPv6."""
        return list(self._dump(socket.IPPROTO_TCP, _LISTEN))

    def udp(self) -> list[Listening]:
        """Return all UDP sockets over IPv6."""
        return list(self._dump(socket.IPPROTO_UDP, _ALL))

    def close(self) -> None:
        """Close the netlink socket."""
        self._netlink.close()

    def _dump(self, protocol: int, states: int) -> Iterator[Listening]:
        body = _REQUEST.pack(socket.AF_INET6, protocol, 0, 0, states)
        size = _HEADER.size + len(body)
        self._netlink.send(_HEADER.pack(size, _SOCK_DIAG_BY_FAMILY, _REQUEST_DUMP, 0, 0) + body)
        while True:
            data, at = self._netlink.recv(1 << 16), 0
            while at < len(data):
                length, kind, _, _, _ = _HEADER.unpack_from(data, at)
                if kind in {_DONE, _ERROR}:  # an error: this kernel has no diagnosis for the protocol
                    return
                port, address, queued, limit, _, inode = _ANSWER.unpack_from(data, at + _HEADER.size)
                yield Listening(IPv6Address(address), int.from_bytes(port, "big"), queued, limit, inode)
                at += (length + 3) // 4 * 4


class Processes:
    """CPU time of the processes that hold a service's sockets, found by inode under /proc."""

    def __init__(self) -> None:
        self._inodes: frozenset[int] = frozenset()
        self._pids: frozenset[int] = frozenset()
        self._searched_s = -SCAN_S
        self._last: dict[int, float] = {}

    def wants(self, now_s: float) -> bool:
        """Whether it is time to look for processes again."""
        return now_s - self._searched_s >= SCAN_S

    def search(self, inodes: Collection[int], now_s: float) -> None:
        """Look for the processes that hold sockets; nothing to do while the same sockets are held."""
        wanted = frozenset(inodes)
        self._searched_s = now_s
        if wanted == self._inodes and self._pids and all(map(_alive, self._pids)):
            return
        self._inodes, self._pids = wanted, frozenset(_holders(wanted)) if wanted else frozenset()

    def cpu_s(self) -> float | None:
        """Return the CPU time spent since the last call in seconds, None where no process is known."""
        if not self._pids:
            return None
        now: dict[int, float] = {}
        for pid in self._pids:
            with suppress(OSError):  # it has ended
                now[pid] = time.clock_gettime((~pid << 3) | 2)  # as clock_getcpuclockid(3) makes it
        spent = sum(value - self._last.get(pid, value) for pid, value in now.items())
        self._last = now
        return spent


def _alive(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def _holders(inodes: frozenset[int]) -> Iterator[int]:
    names = {f"socket:[{inode}]" for inode in inodes}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with suppress(OSError):  # it has ended
                fds = f"/proc/{entry.name}/fd"
                if any(os.readlink(f"{fds}/{fd}") in names for fd in os.listdir(fds)):
                    yield int(entry.name)
