"""Frames that arrive at the ports of a running switch, seen beside it with packet sockets.

The process that serves P4Runtime at the switch's address tells by its command line which interfaces are
ports and in which network namespace. An XDP program takes frames before packet sockets see them: there the
other end of a veth pair is listened to, where the frame leaves.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute

from p4cats.errors import EnvironmentLacksError
from p4cats.netns import call_in
from p4cats.switch.frames import CONTROL_BYTES, PACKET_AUXDATA, SOL_PACKET, SegmentedError, complete
from p4cats.switch.ports import PortSpec
from p4cats.switch.trace.remote import TraceError

_ETH_P_ALL = 0x0003
_PACKET_VNET_HDR = 15
_OUTGOING = socket.PACKET_OUTGOING
_LARGEST_FRAME = (1 << 16) + 64
_LISTEN = "0A"
"""TCP_LISTEN in /proc/net/tcp."""


@dataclass(frozen=True, slots=True)
class SwitchProcess:
    """What the command line of a `p4cats switch` on this machine says."""

    pid: int
    ports: tuple[PortSpec, ...]
    netns: str
    cpu_port: int


@dataclass(frozen=True, slots=True)
class _Ear:
    """Where the frames that arrive at a port can be heard."""

    port: int
    netns: str
    interface: str
    leaving: bool
    """They are heard where they leave the other end of the link."""


def find_process(address: str) -> SwitchProcess:
    """The `p4cats switch` on this machine that serves at an address; TraceError where there is none."""
    port = address.rpartition(":")[2]
    inodes = _listening(int(port)) if port.isdigit() else set()
    for pid in _owners(inodes):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
        if "switch" not in words:
            continue
        specs = tuple(PortSpec.parse(word) for word in _options(words, "--port"))
        netns = next(iter(_options(words, "--netns")), f"/proc/{pid}/ns/net")
        cpu_port = int(next(iter(_options(words, "--cpu-port")), 510))
        return SwitchProcess(pid, specs, netns, cpu_port)
    raise TraceError(
        f"--live listens beside the switch, but no `p4cats switch` of this machine serves {address}; "
        "run it where the switch is, or trace a capture: --packet FILE.pcap --port N"
    )


def _options(words: Sequence[str], name: str) -> list[str]:
    found = [after for word, after in pairwise(words) if word == name]
    return found + [word.partition("=")[2] for word in words if word.startswith(name + "=")]


def _listening(port: int) -> set[str]:
    """Inodes of the sockets that listen on a TCP port of this namespace."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                parts = line.split()
                if parts[3] == _LISTEN and int(parts[1].rpartition(":")[2], 16) == port:
                    found.add(f"socket:[{parts[9]}]")
    return found


def _owners(inodes: set[str]) -> Iterator[int]:
    for directory in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if any(os.readlink(link) in inodes for link in (directory / "fd").iterdir()):
                yield int(directory.name)


class Capture:
    """Packet sockets at the ports of a switch. Needs root."""

    def __init__(self, process: SwitchProcess) -> None:
        if os.geteuid() != 0:
            raise EnvironmentLacksError("--live needs root (packet sockets): run it with sudo")
        if not process.ports:
            raise TraceError("the switch has no ports: it was started without --port")
        self._sockets: dict[socket.socket, _Ear] = {}
        self.segmented = 0
        """Frames of many segments, which no wire carries (segmentation offload of a host)."""
        try:
            for ear in _ears(process):
                raw = call_in(ear.netns, lambda e=ear: _open(e.interface))  # type: ignore[misc]
                self._sockets[raw] = ear
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Stop listening."""
        for raw in self._sockets:
            raw.close()

    @property
    def places(self) -> str:
        """Where it listens, for people."""
        return ", ".join(f"{ear.port}@{ear.interface}" for ear in self._sockets.values())

    def forget(self) -> None:
        """Throw away what has arrived so far."""
        for raw in self._sockets:
            for _ in self._drain(raw):
                pass

    def frames(
        self, wanted: Callable[[bytes], bool], idle: Callable[[], None], idle_s: float = 1.0
    ) -> Iterator[tuple[int, bytes]]:
        """Frames as they arrive, with their port; `idle` is called when none came for a while."""
        while True:
            ready, _, _ = select.select(list(self._sockets), [], [], idle_s)
            if not ready:
                idle()
            for raw in ready:
                for port, frame in self._drain(raw):
                    if wanted(frame):
                        yield port, frame

    def _drain(self, raw: socket.socket) -> Iterator[tuple[int, bytes]]:
        ear = self._sockets[raw]
        buffer = bytearray(_LARGEST_FRAME)
        while True:
            try:
                size, ancillary, _, address = raw.recvmsg_into([buffer], CONTROL_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno == errno.ENETDOWN:
                    return
                raise TraceError(f"port {ear.port} ({ear.interface}): {error.strerror}") from None
            if (address[2] == _OUTGOING) != ear.leaving:
                continue
            try:
                yield ear.port, complete(memoryview(buffer)[:size], ancillary)
            except SegmentedError:
                self.segmented += 1


def _open(interface: str) -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        raw.setblocking(False)
        raw.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        raw.setsockopt(SOL_PACKET, _PACKET_VNET_HDR, 1)
        raw.bind((interface, _ETH_P_ALL))
    except OSError as error:
        raw.close()
        raise TraceError(f"interface {interface}: {error.strerror}") from None
    return raw


def _ears(process: SwitchProcess) -> Iterator[_Ear]:
    links = {link["ifname"]: link for link in _links(process.netns)}
    for spec in process.ports:
        link = links.get(spec.interface)
        if link is None:
            continue  # the interface is away
        if "xdp" not in link and "xdpgeneric" not in link:
            yield _Ear(spec.number, process.netns, spec.interface, leaving=False)
            continue
        peer = _peer(process.netns, link)
        if peer is None:
            raise TraceError(
                f"port {spec}: an XDP program takes its frames, and the other end of the link is not on this "
                "machine; capture there, and trace the capture: --packet FILE.pcap --port N"
            )
        yield _Ear(spec.number, *peer, leaving=True)


def _links(netns: str) -> list[dict[str, Any]]:
    def ask() -> bytes:
        return subprocess.run(["ip", "-json", "link"], check=True, capture_output=True).stdout

    found = json.loads(call_in(netns, ask))
    return [link for link in found if link]


def _peer(netns: str, link: dict[str, Any]) -> tuple[str, str] | None:
    """Namespace and name of the other end of a veth pair."""
    if "link_netnsid" not in link:
        return (netns, str(link["link"])) if "link" in link else None
    for path in _namespaces():
        with contextlib.suppress(OSError):
            if _namespace_id(netns, path) == link["link_netnsid"]:
                names = [x["ifname"] for x in _links(str(path)) if x.get("ifindex") == link["link_index"]]
                if names:
                    return str(path), names[0]
    return None


def _namespaces() -> Iterator[Path]:
    """Every network namespace that a name or a process holds, once."""
    seen: set[int] = set()
    for path in (*Path("/run/netns").glob("*"), *Path("/proc").glob("[0-9]*/ns/net")):
        with contextlib.suppress(OSError):
            inode = path.stat().st_ino
            if inode not in seen:
                seen.add(inode)
                yield path


def _namespace_id(netns: str, other: Path) -> int:
    """The number by which one namespace knows another."""

    def ask() -> int:
        with other.open("rb") as file, IPRoute() as route:
            return int(route.get_netnsid(fd=file.fileno())["nsid"])

    return call_in(netns, ask)


__all__ = ["Capture", "SwitchProcess", "find_process"]
