"""Ports of the model target: AF_PACKET sockets (packet(7)) drained by the event loop.

An interface may go down, vanish and come back: its port stays, is down meanwhile, and tells so. Frames
that cannot be sent are dropped and counted, as a switch does. The switch's own ports speak no IPv6 of
their own (otherwise the kernel sends router solicitations into the program).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from p4cats.errors import EnvironmentLacksError, UserError
from p4cats.netns import call_in
from p4cats.switch.frames import (
    CONTROL_BYTES,
    NO_VNET_HEADER,
    PACKET_AUXDATA,
    SOL_PACKET,
    SegmentedError,
    complete,
)
from p4cats.switch.links import Link, LinkTable, LinkWatch, Statistics

logger = logging.getLogger("p4cats.switch.ports")

_ETH_P_ALL = 0x0003
_PACKET_ADD_MEMBERSHIP, _PACKET_MR_PROMISC = 1, 1
_PACKET_STATISTICS = 6
_TPACKET_STATS = struct.Struct("=II")
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23  # Linux 4.20
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33
_RECEIVE_BUFFER_BYTES = 4 << 20
_LARGEST_FRAME = (1 << 16) + 64
"""A jumbo or segmented frame of up to 64 KiB with its headers."""
_BATCH = 64
"""Frames taken from one port before the others, timers and P4Runtime get their turn."""
MAX_PORT = 510
"""bit<9>, and 511 is drop."""

Receive = Callable[[int, bytes], None]


@dataclass(frozen=True)
class PortSpec:
    """`NUMBER@INTERFACE`."""

    number: int
    interface: str

    @classmethod
    def parse(cls, text: str) -> PortSpec:
        """Read `1@eth1`."""
        match = re.fullmatch(r"(\d+)@(\S+)", text)
        if match is None:
            raise UserError(f"port {text!r}: write NUMBER@INTERFACE, for instance 1@eth1")
        number, interface = int(match[1]), match[2]
        if number > MAX_PORT:
            raise UserError(f"port {text!r}: port numbers are 0 to {MAX_PORT}")
        if len(interface.encode()) > 15:
            raise UserError(f"port {text!r}: interface names have at most 15 characters")
        return cls(number, interface)


def parse_ports(texts: Sequence[str], cpu_port: int) -> list[PortSpec]:
    """Read all ports of a switch; numbers and interfaces are used once."""
    specs = [PortSpec.parse(t) for t in texts]
    for what, values in (
        ("port number", [s.number for s in specs]),
        ("interface", [s.interface for s in specs]),
    ):
        twice = [v for v, n in Counter(values).items() if n > 1]
        if twice:
            raise UserError(f"{what} {twice[0]} is given twice")
    if any(s.number == cpu_port for s in specs):
        raise UserError(f"port {cpu_port} is the CPU port; choose another number, or another --cpu-port")
    return specs


class Port:
    """One port; its socket is None while the interface is away."""

    def __init__(self, spec: PortSpec) -> None:
        self.number = spec.number
        self.interface = spec.interface
        self.drops: Counter[str] = Counter()
        """Frames lost here, by reason; the kernel counts those that pass."""
        self.up = False
        self.index = 0
        self.socket: socket.socket | None = None
        self.ipv6_was_off: str | None = None
        self._told_segmented = False
        self._buffer = bytearray(_LARGEST_FRAME)
        self._view = memoryview(self._buffer)

    def open(self) -> None:
        """Open the socket, in the namespace of the calling thread."""
        try:
            self.index = socket.if_nametoindex(self.interface)
        except OSError:  # it comes without an errno
            raise OSError(errno.ENODEV, "no such interface") from None
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: silent until bound
        try:
            raw.setblocking(False)
            with contextlib.suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER_BYTES)
            raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            raw.setsockopt(SOL_PACKET, _PACKET_VNET_HDR, 1)
            with contextlib.suppress(OSError):
                raw.setsockopt(SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
            promiscuous = struct.pack("=iHH8x", self.index, _PACKET_MR_PROMISC, 0)
            raw.setsockopt(SOL_PACKET, _PACKET_ADD_MEMBERSHIP, promiscuous)
            self._disable_ipv6()
            raw.bind((self.interface, _ETH_P_ALL))
        except BaseException:
            raw.close()
            raise
        self.socket = raw

    def _disable_ipv6(self) -> None:
        # /proc/sys/net shows the namespace of the thread that opens it.
        setting = Path(f"/proc/sys/net/ipv6/conf/{self.interface}/disable_ipv6")
        with contextlib.suppress(OSError):
            if self.ipv6_was_off is None:
                self.ipv6_was_off = setting.read_text().strip()
            setting.write_text("1\n")

    def restore_ipv6(self) -> None:
        """Leave the interface as it was found."""
        if self.ipv6_was_off == "0":
            with contextlib.suppress(OSError):
                Path(f"/proc/sys/net/ipv6/conf/{self.interface}/disable_ipv6").write_text("0\n")

    def drain(self, receive: Receive) -> None:
        """Take a batch of frames."""
        raw, view = self.socket, self._view
        if raw is None:
            return
        for _ in range(_BATCH):
            try:
                size, ancillary, flags, address = raw.recvmsg_into([self._buffer], CONTROL_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in (errno.ENETDOWN, errno.EINTR):
                    logger.warning("port %d (%s): %s", self.number, self.interface, error.strerror)
                return
            if address[2] == _PACKET_OUTGOING:
                continue
            if flags & socket.MSG_TRUNC:
                self.drops["oversize"] += 1
                continue
            try:
                frame = complete(view[:size], ancillary)
            except SegmentedError:
                self._segmented()
                continue
            receive(self.number, frame)

    def _segmented(self) -> None:
        self.drops["segmentation offload"] += 1
        if not self._told_segmented:
            self._told_segmented = True
            logger.warning(
                "port %d (%s): dropped a frame of many segments; turn offloads off on the host behind it: "
                "ethtool -K IFACE tx off tso off gso off",
                self.number,
                self.interface,
            )

    def send(self, frame: bytes) -> None:
        """Send a frame, or count why not."""
        raw = self.socket
        if raw is None:
            self.drops["interface away"] += 1
            return
        try:
            raw.send(NO_VNET_HEADER + frame)
        except OSError as error:
            self.drops[_REASONS.get(error.errno or 0, error.strerror or "error")] += 1

    def count_overflow(self) -> None:
        """Count the frames that the kernel dropped as nobody took them in time (packet(7))."""
        if self.socket is not None:
            counted = self.socket.getsockopt(SOL_PACKET, _PACKET_STATISTICS, _TPACKET_STATS.size)
            dropped = _TPACKET_STATS.unpack(counted)[1]  # read and set to 0
            if dropped:
                self.drops["receive queue full"] += dropped

    def close(self) -> None:
        """Close the socket."""
        self.count_overflow()
        if self.socket is not None:
            self.socket.close()
            self.socket = None


_REASONS = {
    errno.EMSGSIZE: "oversize",
    errno.ENETDOWN: "interface down",
    errno.ENXIO: "interface away",
    errno.ENODEV: "interface away",
    errno.ENOBUFS: "queue full",
    errno.EAGAIN: "queue full",
    errno.EINVAL: "malformed",
}


class Ports:
    """All ports of a switch; knows which exist and are up (PortState)."""

    def __init__(self, specs: Sequence[PortSpec], netns: str | None = None) -> None:
        self.ports = {s.number: Port(s) for s in specs}
        self.unknown_port_drops = 0
        self._by_interface = {p.interface: p for p in self.ports.values()}
        self._netns = netns
        self._receive: Receive | None = None
        self._changed: Callable[[int], None] | None = None
        self._watch: LinkWatch | None = None
        self._table: LinkTable | None = None

    def open(self) -> None:
        """Open every port; UserError or EnvironmentLacksError says which one and why."""
        if self.ports:
            self._watch, self._table = call_in(self._netns, self._open)

    def _open(self) -> tuple[LinkWatch, LinkTable]:
        where = f" in network namespace {self._netns}" if self._netns else ""
        for port in self.ports.values():
            name = f"port {port.number}@{port.interface}"
            try:
                port.open()
            except PermissionError as error:
                raise EnvironmentLacksError(f"{name}: raw sockets need root: run it with sudo") from error
            except OSError as error:
                if error.errno in (errno.ENODEV, errno.ENXIO):
                    raise UserError(
                        f"{name}: there is no interface {port.interface}{where} (see `ip link`)"
                    ) from error
                raise UserError(f"{name}: {error.strerror}") from error
        watch = LinkWatch()
        watch.ask()
        return watch, LinkTable()

    def start(self, receive: Receive, changed: Callable[[int], None]) -> None:
        """Deliver frames and changes of state from now on, in the running event loop."""
        self._receive, self._changed = receive, changed
        loop = asyncio.get_running_loop()
        for port in self.ports.values():
            if port.socket is not None:
                loop.add_reader(port.socket, port.drain, receive)
        if self._watch is not None:
            loop.add_reader(self._watch.socket, self._links_changed)
            self._links_changed()

    def send(self, number: int, frame: bytes) -> None:
        """Send a frame by a port; frames for ports that do not exist are dropped."""
        port = self.ports.get(number)
        if port is None:
            self.unknown_port_drops += 1
        else:
            port.send(frame)

    def exists(self, port: int) -> bool:
        """Whether the switch has such a port."""
        return port in self.ports

    def is_up(self, port: int) -> bool:
        """Whether packets can leave by it now."""
        found = self.ports.get(port)
        return found is not None and found.up

    def statistics(self) -> dict[int, Statistics]:
        """What the kernel counted at the interfaces that are there, by port."""
        links = self._table.read() if self._table is not None else ()
        found = {link.index: link.statistics for link in links if link.statistics is not None}
        return {
            number: found[port.index]
            for number, port in self.ports.items()
            if port.socket is not None and port.index in found
        }

    def close(self) -> None:
        """Close every port."""
        loop = None
        with contextlib.suppress(RuntimeError):
            loop = asyncio.get_running_loop()
        sockets = [p.socket for p in self.ports.values() if p.socket is not None]
        if loop is not None:
            for raw in sockets:
                loop.remove_reader(raw)
            if self._watch is not None:
                loop.remove_reader(self._watch.socket)
        if self._watch is not None and self._table is not None:
            self._watch.close()
            self._table.close()
            self._watch = self._table = None
        for port in self.ports.values():
            port.close()
        with contextlib.suppress(UserError, OSError):  # the namespace may be gone
            call_in(self._netns, self._restore_ipv6)

    def _restore_ipv6(self) -> None:
        for port in self.ports.values():
            port.restore_ipv6()

    # -- links ---------------------------------------------------------------------------------

    def _links_changed(self) -> None:
        if self._watch is not None:
            for link in self._watch.read():
                port = self._by_interface.get(link.name)
                if port is not None:
                    self._link(port, link)

    def _link(self, port: Port, link: Link) -> None:
        if link.gone:
            if link.index == port.index:
                self._detach(port)
                self._set_up(port, False)
            return
        if port.socket is None or link.index != port.index:
            self._detach(port)
            if not self._attach(port):
                return
        self._set_up(port, link.up)

    def _detach(self, port: Port) -> None:
        if port.socket is not None:
            asyncio.get_running_loop().remove_reader(port.socket)
            port.close()

    def _attach(self, port: Port) -> bool:
        try:
            call_in(self._netns, port.open)
        except (OSError, UserError) as error:
            logger.warning("port %d (%s) cannot be opened again: %s", port.number, port.interface, error)
            return False
        if port.socket is not None and self._receive is not None:
            asyncio.get_running_loop().add_reader(port.socket, port.drain, self._receive)
        return True

    def _set_up(self, port: Port, up: bool) -> None:
        if port.up != up:
            port.up = up
            logger.info("port %d (%s) is %s", port.number, port.interface, "up" if up else "down")
            if self._changed is not None:
                self._changed(port.number)


__all__ = ["MAX_PORT", "Port", "PortSpec", "Ports", "parse_ports"]
