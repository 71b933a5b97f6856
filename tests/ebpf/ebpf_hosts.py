"""Two servers and a client, each a network namespace, for the tests of the host hooks.

Both servers hold the same service address, as anycast instances do:

    server 1 (s1) fd00:1::1 ──── fd00:1::2 (c1) client (c2) fd00:2::2 ──── fd00:2::1 (s2) server 2
"""

import array
import fcntl
import itertools
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from p4cats import netns
from p4cats.packets.layers import metric_of
from p4cats.protocol import OPTION_DATA

SERVICE = "fd00:cafe::1"
PORT = 8080
MTU = 1500
_numbers = itertools.count()

OPTION_FIELDS = (
    *("magic", "version_flags", "key_id", "instance"),
    *("norm_fi", "compute", "communication", "service", "composed", "reserved"),
    *("in_flight", "expected_wait_us", "power_mw", "sequence", "mac"),
)


def eventually(condition: Callable[[], Any], what: str, seconds: float = 10.0) -> Any:
    """Wait for a condition to hold and return its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.005)
    return value


def decode_option(data: bytes) -> dict[str, int]:
    return dict(zip(OPTION_FIELDS, OPTION_DATA.unpack(data), strict=True))


def option_of(packet: IPv6) -> dict[str, int] | None:
    """Return the fields of a packet's metric option, or None."""
    option = metric_of(packet)
    return decode_option(bytes(option)[2:]) if option is not None else None


@dataclass(frozen=True)
class Hosts:
    """The namespaces; servers are 1 and 2."""

    servers: dict[int, Path]
    client: Path

    def server_socket(self, number: int, kind: socket.SocketKind) -> socket.socket:
        with netns.entered(self.servers[number]):
            server = socket.socket(socket.AF_INET6, kind)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.settimeout(10)
        server.bind((SERVICE, PORT))
        if kind == socket.SOCK_STREAM:
            server.listen(64)
        return server

    def client_socket(self, number: int, kind: socket.SocketKind) -> socket.socket:
        with netns.entered(self.client):
            client = socket.socket(socket.AF_INET6, kind)
        client.settimeout(10)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, f"c{number}".encode())
        client.connect((SERVICE, PORT)) if kind == socket.SOCK_DGRAM else None
        return client

    def connect(self, number: int, server: socket.socket) -> tuple[socket.socket, socket.socket]:
        """Open a connection and return both ends."""
        client = self.client_socket(number, socket.SOCK_STREAM)
        client.connect((SERVICE, PORT))
        accepted, _ = server.accept()
        accepted.settimeout(10)
        return client, accepted

    def offload(self, number: int, on: bool) -> None:
        """Switch transmit checksums, TSO and GSO of a server and the client's end."""
        for path, name in ((self.servers[number], f"s{number}"), (self.client, f"c{number}")):
            with netns.entered(path), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as control:
                for command in (0x17, 0x1F, 0x24):  # ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO
                    value = array.array("I", [command, int(on)])
                    request = struct.pack("16sP16x", name.encode(), value.buffer_info()[0])
                    fcntl.ioctl(control, 0x8946, request)  # SIOCETHTOOL

    def set_mtu(self, number: int, mtu: int) -> None:
        """Set the MTU of both ends of a link."""
        _ip(f"-n {self.servers[number].name} link set s{number} mtu {mtu}")
        _ip(f"-n {self.client.name} link set c{number} mtu {mtu}")

    @contextmanager
    def capture(self, number: int) -> Iterator["Capture"]:
        """Record the IPv6 packets that arrive at the client."""
        with netns.entered(self.client):
            raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x86DD))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
        raw.bind((f"c{number}", 0x86DD))
        raw.setblocking(False)
        with raw:
            yield Capture(raw)


class Capture:
    """Packets from the service address that arrived at the client so far."""

    def __init__(self, raw: socket.socket) -> None:
        self._raw = raw
        self.packets: list[IPv6] = []

    def read(self) -> list[IPv6]:
        while True:
            try:
                data = self._raw.recv(1 << 17)
            except BlockingIOError:
                return self.packets
            packet = Ether(data)
            if IPv6 in packet and packet[IPv6].src == SERVICE:
                self.packets.append(packet[IPv6])

    def wait(self, wanted: Callable[[IPv6], bool], what: str) -> IPv6:
        """Return the first packet that is wanted."""
        return eventually(lambda: next((p for p in self.read() if wanted(p)), None), what)


@contextmanager
def make_hosts() -> Iterator[Hosts]:
    """Make the namespaces; remove them afterwards whatever happens."""
    tag = f"p4cats-t{os.getpid()}-{next(_numbers)}"
    names = {kind: f"{tag}{kind}" for kind in ("s1", "s2", "c")}
    try:
        for name in names.values():
            _ip(f"netns add {name}")
            with netns.entered(Path("/run/netns") / name):
                # No duplicate address detection: nothing to wait for.
                Path("/proc/sys/net/ipv6/conf/default/accept_dad").write_text("0")
            _ip(f"-n {name} link set lo up")
        for number in (1, 2):
            server, client = names[f"s{number}"], names["c"]
            _ip(
                f"link add s{number} mtu {MTU} netns {server} type veth"
                f" peer name c{number} mtu {MTU} netns {client}"
            )
            _ip(f"-n {server} addr add fd00:{number}::1/64 dev s{number} nodad")
            _ip(f"-n {client} addr add fd00:{number}::2/64 dev c{number} nodad")
            _ip(f"-n {server} addr add {SERVICE}/128 dev lo nodad")
            _ip(f"-n {server} link set s{number} up")
            _ip(f"-n {client} link set c{number} up")
            _ip(f"-n {client} route add {SERVICE}/128 via fd00:{number}::1 dev c{number} metric {number}")
        path = Path("/run/netns")
        yield Hosts({1: path / names["s1"], 2: path / names["s2"]}, path / names["c"])
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


def _ip(arguments: str) -> None:
    subprocess.run(["ip", *arguments.split()], check=True)
