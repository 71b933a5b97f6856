"""A real `p4cats switch` process, and namespaces with veth pairs around it, for the tests of this folder."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from p4cats.netns import call_in

EVERYTHING = Path(__file__).parent.parent / "unit" / "switch" / "everything.p4"


@dataclass
class Running:
    """A switch that serves."""

    address: str
    process: subprocess.Popen[str]


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "p4cats", "switch", *map(str, arguments)]


@contextlib.contextmanager
def running_switch(*arguments: str | Path) -> Iterator[Running]:
    """Run `p4cats switch` on a free port; wait for its ready line.

    It is ended by SIGTERM, expecting status 0, unless the test has killed it.
    """
    args = command("--p4runtime", "127.0.0.1:0", *arguments)
    process = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline()
        found = re.search(r"^ready p4runtime=(\S+)", line)
        assert found, process.stderr.read()
        yield Running(found[1], process)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=20)
    assert process.returncode in (0, -signal.SIGKILL), errors


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def silence() -> None:
    """No neighbour discovery of the kernel's own between the frames of a test."""
    Path("/proc/sys/net/ipv6/conf/default/disable_ipv6").write_text("1")


class Host:
    """A namespace with one end of a veth pair, seen as raw frames."""

    def __init__(self, netns: str, interface: str) -> None:
        self.netns = netns
        self.interface = interface
        self.socket = call_in(netns, self._open)

    def _open(self) -> socket.socket:
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        raw.bind((self.interface, 3))
        raw.setblocking(False)
        return raw

    def send(self, frame: bytes) -> None:
        self.socket.send(frame)

    def receive(self, ethertype: int, timeout_s: float = 10) -> bytes:
        """The next frame of a type that came in; other traffic (neighbour discovery) is passed over."""
        end = time.monotonic() + timeout_s
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                frame, address = self.socket.recvfrom(65536)
                if address[2] != socket.PACKET_OUTGOING and int.from_bytes(frame[12:14], "big") == ethertype:
                    return frame
        raise AssertionError(f"no frame of type {ethertype:#06x} within {timeout_s} s")


@dataclass
class Network:
    """A namespace for the switch and one per host."""

    switch: str
    hosts: list[Host]

    @property
    def ports(self) -> list[str]:
        """Command-line options for all ports."""
        options = [("--port", f"{n}@p{n}") for n in range(1, len(self.hosts) + 1)]
        return ["--netns", self.switch, *(word for option in options for word in option)]


@contextlib.contextmanager
def network(hosts: int) -> Iterator[Network]:
    """Namespaces with unique names, so that tests can run side by side; removed afterwards."""
    prefix = f"p4sw{os.getpid()}x{time.monotonic_ns() % 10**6}"
    names = [f"{prefix}s", *(f"{prefix}h{n}" for n in range(1, hosts + 1))]
    made: list[Host] = []
    try:
        for name in names:
            ip("netns", "add", name)
            if name != names[0]:
                call_in(name, silence)
        for n in range(1, hosts + 1):
            netns = names[n]
            ip("-n", names[0], "link", "add", f"p{n}", "type", "veth", "peer", "name", "eth0", "netns", netns)
            ip("-n", names[0], "link", "set", f"p{n}", "up")
            ip("-n", netns, "link", "set", "eth0", "up")
            made.append(Host(netns, "eth0"))
        yield Network(names[0], made)
    finally:
        for host in made:
            host.socket.close()
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
