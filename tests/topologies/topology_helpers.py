"""Help for the tests of topologies: sockets in nodes, and switches that are plain Linux routers."""

from __future__ import annotations

import socket
import struct
import textwrap
import time
from collections.abc import Callable, Mapping
from typing import TypeVar

from ruamel.yaml import YAML

from p4cats.netns import call_in
from p4cats.topologies import namespaces
from p4cats.topologies.addressing import GATEWAY, Plan
from p4cats.topologies.network import Network
from p4cats.topologies.schema import Topology

T = TypeVar("T")


def topology(text: str) -> Topology:
    """Return the topology that a YAML text describes."""
    return Topology.model_validate(YAML(typ="safe").load(textwrap.dedent(text)))


def wire(link: str = "") -> Topology:
    """Return two switches, each with a host, and one link between them with these attributes."""
    return topology(f"""
        name: wire
        switches: {{a: {{role: edge}}, b: {{role: edge}}}}
        hosts: {{ha: {{switch: a}}, hb: {{switch: b}}}}
        links: [{{ends: [a, b]{link and ", " + link}}}]
    """)


def wait_for(condition: Callable[[], T], what: str, timeout_s: float = 20.0) -> T:
    """Return the first true value of a condition; fail with what it was about if none comes."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"timed out: {what}"
        time.sleep(0.01)


def raw_socket(network: Network, switch: str, port: int) -> socket.socket:
    """Return a packet socket on a port of a switch."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.setsockopt(263, 23, 1)  # SOL_PACKET, PACKET_IGNORE_OUTGOING
        made.setsockopt(socket.SOL_SOCKET, 33, 16 << 20)  # SO_RCVBUFFORCE
        made.bind((network.plan.switches[switch].ports[port].interface, 3))
        made.settimeout(5)
        return made

    return call_in(network.netns(switch), make)


def frame(number: int, size: int = 100, vlan: int | None = None) -> bytes:
    """Return an Ethernet frame of the experimental type 0x88b5 that carries a number."""
    header = b"\x02\0\0\0\0\x02" + b"\x02\0\0\0\0\x01"
    if vlan is not None:
        header += struct.pack("!HH", 0x8100, vlan)
    return (header + struct.pack("!HI", 0x88B5, number)).ljust(size, b"\xa5")


def numbers(receiver: socket.socket, until: float | None = None, count: int | None = None) -> list[int]:
    """Return the numbers of the frames that come, until a time (monotonic) or so many of them."""
    found: list[int] = []
    while count is None or len(found) < count:
        if until is not None:
            left = until - time.monotonic()
            if left <= 0:
                break
            receiver.settimeout(left)
        try:
            data = receiver.recv(65536)
        except TimeoutError:
            break
        if data[12:14] == b"\x88\xb5":
            found.append(struct.unpack_from("!I", data, 14)[0])
    return found


def udp(network: Network, host: str, address: str | None = None, port: int = 0) -> socket.socket:
    """Return a UDP socket in a host, bound to an address of it."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.bind((address or "::", port))
        made.settimeout(5)
        return made

    return call_in(network.netns(host), make)


def tcp_listener(network: Network, host: str) -> socket.socket:
    """Return a listening TCP socket in a host."""
    return call_in(network.netns(host), lambda: socket.create_server(("::", 0), family=socket.AF_INET6))


def tcp_connect(network: Network, host: str, address: tuple[str, int]) -> socket.socket:
    """Return a TCP connection from a host."""

    def make() -> socket.socket:
        made = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        made.settimeout(20)
        return made

    made = call_in(network.netns(host), make)
    made.connect(address)
    return made


class KernelRouters:
    """A SwitchRunner whose data plane is Linux's own IPv6 forwarding, by the plan's shortest paths."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.running: set[str] = set()

    def start(self, name: str, netns: str, ports: Mapping[int, str]) -> None:
        """Turn a namespace into a router."""
        here = self.plan.switches[name]
        lines = []
        for number, interface in ports.items():
            port = here.ports[number]
            if port.peer.is_host:
                prefix = self.plan.hosts[port.peer.node].prefix
                lines += [
                    f"addr replace {GATEWAY}/64 dev {interface} nodad",
                    f"route replace {prefix} dev {interface}",
                ]
            else:
                lines.append(f"addr replace fe80::{here.number:x}/64 dev {interface} nodad")
        for other, path in self.plan.paths_from(name).items():
            peer = self.plan.switches[here.ports[path.port].peer.node]
            for host in self.plan.hosts.values():
                if host.switch == other:
                    hop = f"via fe80::{peer.number:x} dev {ports[path.port]}"
                    lines += [f"route replace {host.prefix} {hop}"]
        settings = {"ipv6/conf/all/disable_ipv6": 0, "ipv6/conf/all/forwarding": 1}
        settings |= {f"ipv6/conf/{interface}/accept_dad": 0 for interface in ports.values()}

        def configure() -> None:
            namespaces.set_sysctls(settings)
            namespaces.run(["ip", "-6", "-batch", "-"], "\n".join(lines) + "\n")

        call_in(netns, configure)
        self.running.add(name)

    def stop(self, name: str) -> None:
        """Forget the router; it goes with its namespace."""
        self.running.remove(name)
