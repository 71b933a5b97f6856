"""The addressing plan: every number, address, MAC, port and path that follows from a topology.

Pure functions of the topology, so that the network builder, the controller and the tests agree
without talking to each other. Nothing here touches the system.

    switch number n         its place in the file, from 1; also its P4Runtime device_id
    SRv6 locator            5f00:0:<n>::/48             (block of RFC 9602)
    End SID                 5f00:0:<n>:1::              (function in bits 48 to 63, RFC 8986)
    End.DX6 SID             5f00:0:<n>:<1000+i>::       (i: instance identifier, hexadecimal sum)
    router address          5f00:0:<n>::1               (source of SRv6 and ICMPv6, beacons go there)
    port MAC                02:ca:00:<n>:<port>         (port on 16 bits, from 1: hosts, then links)
    host MAC                02:ca:01:<h>:01             (h: place of the host in the file, 16 bits)
    host address            2001:db8:<n>:<port>::2/64   (unless the topology gives one)
    default gateway         fe80::1                     (an edge switch answers with the MAC of its port)

Numbers in addresses and MACs are hexadecimal: switch 10 has the locator 5f00:0:a::/48.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import IPv6Address, IPv6Interface, IPv6Network
from itertools import pairwise
from typing import TYPE_CHECKING

from p4cats import protocol

if TYPE_CHECKING:
    from p4cats.topologies.schema import Host, Instance, Link, Topology

SID_BLOCK = IPv6Network("5f00::/16")
"""Prefix that IANA gives to SRv6 SIDs (RFC 9602)."""
GATEWAY = IPv6Address("fe80::1")
"""Default gateway of every host, on every access link."""
HOST_INTERFACE = "eth0"


def locator(node: int) -> IPv6Network:
    """Return the SRv6 locator of a switch."""
    return IPv6Network((0x5F00 << 112 | node << 80, 48))


def sid(node: int, function: int) -> IPv6Address:
    """Return the SID of a function (16 bits) of a switch."""
    return locator(node)[function << 64]


def router_address(node: int) -> IPv6Address:
    """Return the address that a switch itself has."""
    return locator(node)[1]


def port_mac(node: int, port: int) -> str:
    """Return the MAC address of a port of a switch."""
    return f"02:ca:00:{node:02x}:{port >> 8:02x}:{port & 255:02x}"


def host_mac(number: int) -> str:
    """Return the MAC address of the host with this number."""
    return f"02:ca:01:{number >> 8:02x}:{number & 255:02x}:01"


def default_host_address(node: int, port: int) -> IPv6Address:
    """Return the address of the host at a port of a switch, unless the topology gives one."""
    return IPv6Address(0x20010DB8 << 96 | node << 80 | port << 64 | 2)


def interface_name(switch: str, port: int) -> str:
    """Return the name of a switch's port in the switch's network namespace."""
    return f"{switch}-eth{port}"


def host_ports(topology: Topology) -> dict[str, int]:
    """Return the port of its switch that each host is attached to, in the order of the file."""
    count = dict.fromkeys(topology.switches, 0)
    ports: dict[str, int] = {}
    for name, host in topology.hosts.items():
        count[host.switch] += 1
        ports[name] = count[host.switch]
    return ports


def host_addresses(topology: Topology) -> dict[str, IPv6Address]:
    """Return the unicast address of each host."""
    nodes = {name: number for number, name in enumerate(topology.switches, 1)}
    return {
        name: topology.hosts[name].address or default_host_address(nodes[topology.hosts[name].switch], port)
        for name, port in host_ports(topology).items()
    }


def port_counts(topology: Topology) -> dict[str, int]:
    """Return the number of ports of each switch."""
    count = dict.fromkeys(topology.switches, 0)
    for host in topology.hosts.values():
        count[host.switch] += 1
    for link in topology.links:
        for end in link.ends:
            count[end] += 1
    return count


@dataclass(frozen=True)
class Peer:
    """What is at the other end of a port: a host (`port` is 0) or another switch's port."""

    node: str
    port: int
    mac: str
    interface: str

    @property
    def is_host(self) -> bool:
        """True if the port is an access port."""
        return self.port == 0


@dataclass(frozen=True)
class Port:
    """A port of a switch."""

    switch: str
    number: int
    interface: str
    mac: str
    mtu: int
    """Octets of the largest IPv6 packet."""
    peer: Peer
    wire: Link | Host
    """What the link behind the port does to packets (delay_us, loss_ppm, rate_bps)."""


@dataclass(frozen=True)
class SwitchPlan:
    """A switch with its numbers and addresses."""

    name: str
    role: str
    number: int
    """From 1; also the P4Runtime device_id and the node part of the locator."""
    locator: IPv6Network
    end_sid: IPv6Address
    router_address: IPv6Address
    ports: dict[int, Port] = field(hash=False)

    @property
    def device_id(self) -> int:
        """P4Runtime device_id: the number of the switch."""
        return self.number


@dataclass(frozen=True)
class HostPlan:
    """A host with its addresses and its attachment."""

    name: str
    number: int
    mac: str
    interface: str
    address: IPv6Address
    switch: str
    port: int
    mtu: int
    """Octets of the largest IPv6 packet on the access link."""
    services: dict[str, IPv6Address] = field(hash=False)
    """Service addresses on `lo`, by name of the service; empty on a client."""
    gateway_mac: str | None
    """MAC address of the gateway where that does not tell it itself: transit switches know no neighbours."""

    @property
    def address_with_prefix(self) -> IPv6Interface:
        """The unicast address and its /64."""
        return IPv6Interface((self.address, 64))

    @property
    def prefix(self) -> IPv6Network:
        """The /64 of the access link."""
        return self.address_with_prefix.network


@dataclass(frozen=True)
class Path:
    """The shortest way from one switch to another."""

    port: int
    """Port to leave by; 0 on the way to itself."""
    delay_us: int
    """One way, sum of the links' delays, in microseconds."""
    hops: int
    """Links on the way."""


class Plan:
    """Everything that follows from a topology; the same topology gives the same plan."""

    def __init__(self, topology: Topology):
        self.topology = topology
        numbers = {name: number for number, name in enumerate(topology.switches, 1)}
        addresses, attached = host_addresses(topology), host_ports(topology)
        self.hosts: dict[str, HostPlan] = {}
        for number, (name, host) in enumerate(topology.hosts.items(), 1):
            services = {i.service: topology.services[i.service].address
                        for i in topology.instances if i.host == name}  # fmt: skip
            self.hosts[name] = HostPlan(
                name, number, host_mac(number), HOST_INTERFACE, addresses[name],
                host.switch, attached[name], host.mtu, services,
                None if topology.switches[host.switch].role == "edge"
                else port_mac(numbers[host.switch], attached[name]),
            )  # fmt: skip
        self._costs_us = {frozenset(link.ends): link.cost_us for link in topology.links}
        ports = self._ports(numbers)
        self.switches: dict[str, SwitchPlan] = {
            name: SwitchPlan(
                name, switch.role, numbers[name], locator(numbers[name]),
                sid(numbers[name], protocol.FUNCTION_END), router_address(numbers[name]), ports[name],
            )
            for name, switch in topology.switches.items()
        }  # fmt: skip

    def _ports(self, numbers: dict[str, int]) -> dict[str, dict[int, Port]]:
        """Number the ports of every switch: hosts first, then links, each in the order of the file."""
        ports: dict[str, dict[int, Port]] = {name: {} for name in numbers}

        def add(switch: str, port: int, peer: Peer, wire: Link | Host) -> None:
            name, mac = interface_name(switch, port), port_mac(numbers[switch], port)
            ports[switch][port] = Port(switch, port, name, mac, wire.mtu, peer, wire)

        for host in self.hosts.values():
            peer = Peer(host.name, 0, host.mac, host.interface)
            add(host.switch, host.port, peer, self.topology.hosts[host.name])
        for link in self.topology.links:
            chosen = {end: len(ports[end]) + 1 for end in link.ends}
            for here, there in (link.ends, link.ends[::-1]):
                port = chosen[there]
                peer = Peer(there, port, port_mac(numbers[there], port), interface_name(there, port))
                add(here, chosen[here], peer, link)
        return ports

    def dx6_sid(self, instance: Instance) -> IPv6Address:
        """Return the End.DX6 SID of an instance, at the egress switch of its host."""
        node = self.switches[self.topology.site_of(instance)].number
        return sid(node, protocol.FUNCTION_DX6 + instance.id)

    def port_to(self, switch: str, neighbour: str) -> Port:
        """Return the port of a switch that leads straight to a neighbour; KeyError if there is none."""
        for port in self.switches[switch].ports.values():
            if port.peer.node == neighbour:
                return port
        raise KeyError(f"{switch} has no link to {neighbour}")

    def path(self, source: str, destination: str) -> Path:
        """Return the shortest path between two switches: by delay, then hops, then the lower port."""
        return self._paths[destination][source]

    def paths_from(self, source: str) -> dict[str, Path]:
        """Return the shortest path from a switch to every other switch."""
        return {there: paths[source] for there, paths in self._paths.items() if there != source}

    def route(self, source: str, destination: str) -> list[str]:
        """Return the switches on the shortest path, both ends included."""
        names = [source]
        while names[-1] != destination:
            here = self.switches[names[-1]]
            names.append(here.ports[self.path(here.name, destination).port].peer.node)
        return names

    def cost_us(self, source: str, destination: str) -> int:
        """Return what the links of the shortest path between two switches are worth, in microseconds."""
        return sum(self._costs_us[frozenset(ends)] for ends in pairwise(self.route(source, destination)))

    def path_mtu(self, source: str, destination: str) -> int | None:
        """Return the smallest MTU (octets) between two switches, None from a switch to itself."""
        names = self.route(source, destination)
        return min((self.port_to(a, b).mtu for a, b in pairwise(names)), default=None)

    def instance_delay_us(self, switch: str, instance: Instance) -> int:
        """Return the delay (one way, microseconds) from a switch to an instance, access link included."""
        return self.path(switch, self.topology.site_of(instance)).delay_us + (
            self.topology.hosts[instance.host].delay_us
        )

    @cached_property
    def _paths(self) -> dict[str, dict[str, Path]]:
        """Paths by destination, then source."""
        return {name: self._paths_to(name) for name in self.switches}

    def _paths_to(self, destination: str) -> dict[str, Path]:
        """Run Dijkstra's algorithm towards one switch (delays are the same in both directions)."""
        distance: dict[str, tuple[int, int]] = {}
        queue: list[tuple[int, int, str]] = [(0, 0, destination)]
        while queue:
            delay, hops, name = heapq.heappop(queue)
            if name in distance:
                continue
            distance[name] = delay, hops
            for port in self._core_ports(name):
                heapq.heappush(queue, (delay + port.wire.delay_us, hops + 1, port.peer.node))
        return {name: self._first_hop(name, distance) for name in distance}

    def _first_hop(self, name: str, distance: dict[str, tuple[int, int]]) -> Path:
        """Return the path of a switch whose distances to the destination are known."""
        delay, hops = distance[name]
        for port in self._core_ports(name):
            # Each hop has fewer hops to go at no more delay, so that the routes have no loop.
            if distance[port.peer.node] == (delay - port.wire.delay_us, hops - 1):
                return Path(port.number, delay, hops)
        return Path(0, 0, 0)

    def _core_ports(self, name: str) -> Iterator[Port]:
        """Yield the ports of a switch that lead to other switches, in order."""
        return (port for port in self.switches[name].ports.values() if not port.peer.is_host)
