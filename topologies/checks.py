"""Rules of a topology that concern more than one of its keys.

Each check yields the location of the offending value and one sentence. All of them run, so one
reading of the file shows every mistake, except that the graph and the addresses are judged only
when every name resolves.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from p4cats import protocol
from p4cats.topologies import addressing

if TYPE_CHECKING:
    from p4cats.topologies.schema import Topology

Location = tuple[str | int, ...]
Problem = tuple[Location, str]

STEERING_MTU = 1280 + 64
"""Octets: the least of IPv6, and an outer header with one segment."""
IFNAMSIZ = 15
"""Characters of a Linux interface name, without the final NUL."""


def problems(topology: Topology) -> Iterator[Problem]:
    """Yield every problem of a topology whose fields are valid one by one."""
    found = [
        *_names(topology), *_links(topology), *_hosts(topology), *_instances(topology), *_telemetry(topology),
    ]  # fmt: skip
    yield from found
    if not found:
        yield from _connected(topology)
        yield from _addresses(topology)
        yield from _interfaces(topology)


def did_you_mean(name: str, known: list[str]) -> str:
    """Return `; did you mean X?` if a known name is close to this one, else nothing."""
    close = closest(name, known)
    return f"; did you mean {close}?" if close else ""


def closest(name: str, known: list[str]) -> str | None:
    """Return the known name that is most like this one, None if none is."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    return close[0] if close else None


def _unknown(kind: str, name: str, known: list[str]) -> str:
    return f"no {kind} is named {name}{did_you_mean(name, known)}"


def _names(topology: Topology) -> Iterator[Problem]:
    for name in topology.hosts:
        if name in topology.switches:
            yield ("hosts", name), f"{name} is already the name of a switch"


def _telemetry(topology: Topology) -> Iterator[Problem]:
    if topology.telemetry is None:
        return
    if topology.telemetry.collector not in topology.hosts:
        text = _unknown("host", topology.telemetry.collector, list(topology.hosts))
        yield ("telemetry", "collector"), text
    for number, name in enumerate(topology.telemetry.services or ()):
        if name not in topology.services:
            yield ("telemetry", "services", number), _unknown("service", name, list(topology.services))


def _links(topology: Topology) -> Iterator[Problem]:
    seen: dict[frozenset[str], int] = {}
    switches = list(topology.switches)
    for index, link in enumerate(topology.links):
        for end, name in enumerate(link.ends):
            if name in topology.switches:
                continue
            message = _unknown("switch", name, switches)
            if name in topology.hosts:
                message = f"{name} is a host: its access link is described by hosts.{name}"
            yield ("links", index, "ends", end), message
        if link.ends[0] == link.ends[1]:
            yield ("links", index, "ends"), f"joins {link.ends[0]} to itself"
        first = seen.setdefault(frozenset(link.ends), index)
        if first != index:
            message = f"duplicate of links[{first}]: {' and '.join(link.ends)} are joined already"
            yield ("links", index, "ends"), message


def _hosts(topology: Topology) -> Iterator[Problem]:
    for name, host in topology.hosts.items():
        if host.switch not in topology.switches:
            yield ("hosts", name, "switch"), _unknown("switch", host.switch, list(topology.switches))
        elif topology.switches[host.switch].role != "edge" and not host.steer:
            message = f"{host.switch} is a transit switch: only hosts that steer (steer: true) can be there"
            yield ("hosts", name, "switch"), message
        elif topology.switches[host.switch].role == "edge" and host.steer:
            message = f"{host.switch} is an edge switch, which steers: attach the host to a transit switch"
            yield ("hosts", name, "steer"), message
        elif host.steer and topology.telemetry is not None:
            message = "no switch takes telemetry out of packets to a host that steers: have one of the two"
            yield ("hosts", name, "steer"), message
        elif host.steer and host.mtu < STEERING_MTU:
            message = f"a host that steers needs an MTU of {STEERING_MTU}, for IPv6 in a tunnel"
            yield ("hosts", name, "mtu"), message


def _instances(topology: Topology) -> Iterator[Problem]:
    count: dict[str, int] = {}
    placed: dict[tuple[str, str], int] = {}
    numbered: dict[int, int] = {}
    for index, instance in enumerate(topology.instances):
        here: Location = ("instances", index)
        if instance.host not in topology.hosts:
            yield (*here, "host"), _unknown("host", instance.host, list(topology.hosts))
        elif topology.hosts[instance.host].steer:
            yield (*here, "host"), f"{instance.host} steers: it runs no instance"
        if instance.service not in topology.services:
            yield (*here, "service"), _unknown("service", instance.service, list(topology.services))
        first = placed.setdefault((instance.host, instance.service), index)
        if first != index:
            yield (*here, "host"), f"{instance.host} runs {instance.service} already (instances[{first}])"
        first = numbered.setdefault(instance.id, index) if instance.id else index
        if first != index:
            yield (*here, "id"), f"duplicate identifier {instance.id} (also of instances[{first}])"
        if 0 < instance.peak_power_w < instance.idle_power_w:
            yield (*here, "peak_power_w"), f"must be at least idle_power_w ({instance.idle_power_w:g})"
        count[instance.service] = count.get(instance.service, 0) + 1
        if count[instance.service] == protocol.CANDIDATES + 1:
            message = f"a service takes at most {protocol.CANDIDATES} instances, {instance.service} has more"
            yield here, message


def _connected(topology: Topology) -> Iterator[Problem]:
    neighbours: dict[str, set[str]] = {name: set() for name in topology.switches}
    for link in topology.links:
        a, b = link.ends
        neighbours[a].add(b)
        neighbours[b].add(a)
    first = next(iter(topology.switches))
    reached, frontier = {first}, [first]
    while frontier:
        frontier = [item for name in frontier for item in neighbours[name] - reached]
        reached.update(frontier)
    for name in topology.switches:
        if name not in reached:
            yield ("switches", name), f"no path of links joins {name} to {first}"


def _addresses(topology: Topology) -> Iterator[Problem]:
    owners: dict[IPv6Address, str] = {}
    prefixes: dict[int, str] = {}

    def claim(where: Location, address: IPv6Address, what: str) -> Iterator[Problem]:
        owner = owners.setdefault(address, what)
        if owner != what:
            yield where, f"duplicate address {address} (also of {owner})"
        elif address.is_multicast or address.is_link_local or address.is_loopback or not int(address):
            yield where, f"{address} cannot be routed: give a global unicast address"
        elif address in addressing.SID_BLOCK:
            yield where, f"{address} is inside {addressing.SID_BLOCK}, which holds the SRv6 SIDs (RFC 9602)"

    # Planned addresses first: a file may repeat one only for the host that has it anyway.
    planned = addressing.host_addresses(topology)
    for name in sorted(topology.hosts, key=lambda name: topology.hosts[name].address is not None):
        yield from claim(("hosts", name, "address"), planned[name], f"hosts.{name}")
        other = prefixes.setdefault(int(planned[name]) >> 64, name)
        if other != name and owners[planned[name]] == f"hosts.{name}":
            message = f"{planned[name]} is in the /64 of hosts.{other}: each access link has one of its own"
            yield ("hosts", name, "address"), message
    for name, service in topology.services.items():
        yield from claim(("services", name, "address"), service.address, f"services.{name}")


def _interfaces(topology: Topology) -> Iterator[Problem]:
    for name, count in addressing.port_counts(topology).items():
        longest = addressing.interface_name(name, count)
        if len(longest) > IFNAMSIZ:
            message = f"interface name {longest} exceeds Linux's {IFNAMSIZ} characters: shorten the name"
            yield ("switches", name), message
