"""In-band telemetry as table entries: what sources watch for, who the nodes are, where reports go.

Pure, as `desired`, of which it is a part (docs/protocol.md, 7).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address

from p4cats.controller import entries as tables
from p4cats.controller.entries import Entry, entry
from p4cats.topologies.addressing import Plan, SwitchPlan
from p4cats.topologies.schema import INSTRUCTIONS, Telemetry, Topology

INT_VERSION = 2
REPORT_SESSION = 1
"""Clone session of the sinks (p4src/include/int_edge.p4)."""
_EXACTLY = (1 << 128) - 1


@dataclass(frozen=True)
class Sampling:
    """What sources sample while the network runs; shares are above 0, at most 1."""

    on: bool
    flow_share: float
    packet_share: float
    services: tuple[str, ...]

    @classmethod
    def configured(cls, topology: Topology) -> Sampling | None:
        """Return what a topology says, None if it has no collector."""
        found = topology.telemetry
        if found is None:
            return None
        services = tuple(topology.services) if found.services is None else found.services
        return cls(True, found.flow_share, found.packet_share, services)


def share_limit(share: float) -> int:
    """Return the greatest of the numbers from 0 to 65535 that fall to a share (above 0, at most 1)."""
    return max(round(share * 65536) - 1, 0)


def bitmap(telemetry: Telemetry) -> int:
    """Return the INT instruction bitmap, bit 0 being the most significant."""
    return sum(0x8000 >> INSTRUCTIONS[name] for name in telemetry.instructions)


def domain_mtu(plan: Plan) -> int:
    """Return the smallest MTU of the links between switches, in octets; 65535 if there are none."""
    ports = (port for switch in plan.switches.values() for port in switch.ports.values())
    return min((port.mtu for port in ports if not port.peer.is_host), default=0xFFFF)


def node_entries(plan: Plan, switch: SwitchPlan) -> Iterator[Entry]:
    """Yield what lets a switch add data of its own."""
    data = {"node_id": switch.number, "domain_mtu": domain_mtu(plan)}
    yield entry(tables.INT_NODES, {"version": INT_VERSION}, "node", **data)


def sink_entries(plan: Plan, switch: SwitchPlan, telemetry: Telemetry) -> Iterator[Entry]:
    """Yield where the reports of an edge switch go."""
    collector = plan.hosts[telemetry.collector]
    if collector.switch == switch.name:
        port = switch.ports[collector.port]
    else:
        port = switch.ports[plan.path(switch.name, collector.switch).port]
    yield entry(tables.CLONE_SESSIONS, {"session": REPORT_SESSION}, "clone", port=port.number)
    yield entry(
        tables.INT_COLLECTOR, {"version": INT_VERSION}, "report",
        source=port.mac, neighbor=port.peer.mac, router=switch.router_address,
        collector=collector.address, node_id=switch.number,
    )  # fmt: skip


def watch_entries(plan: Plan, telemetry: Telemetry, sampling: Sampling) -> Iterator[Entry]:
    """Yield what an edge switch samples of what hosts send: requests to the services, and their responses."""
    action = {
        "instructions": bitmap(telemetry),
        "decision": int(telemetry.decision),
        "hops": telemetry.hops,
        "flow_limit": share_limit(sampling.flow_share),
        "packet_limit": share_limit(sampling.packet_share),
        "domain_mtu": domain_mtu(plan),
    }
    for name in sampling.services if sampling.on else ():
        address = plan.topology.services[name].address
        for end in ("destination", "source"):
            yield entry(tables.INT_WATCHLIST, {end: _exactly(address)}, "sample", **action)


def _exactly(address: IPv6Address) -> tuple[int, int]:
    """Return a ternary match of one address."""
    return int(address), _EXACTLY
