"""What every switch should hold: the decisions of the C-PS and C-TC (RFC 10053, 3.4 and 4.4), pure.

`desired` maps a topology, its addressing plan and the run-time state to the complete set of table
entries of every switch. The same input gives the same entries, so that a restarted controller
finds nothing to change. It does not talk to switches, and it does not choose instances: the data
plane does that, among the candidates given here.

    routes       locators of the other switches, prefixes of all hosts. Service addresses are anycast
                 and never routed: requests are steered, by SID.
    local_sids   End of the switch; End.DX6 of every attached instance, whatever its state: packets
                 under way to a drained instance still arrive, and no order among switches is needed.
    candidates   an instance has the slot of its place in the service (a service takes no more
                 instances than there are slots): it keeps it when others come and go.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv6Network
from itertools import pairwise
from typing import Literal, get_args

from p4cats import protocol
from p4cats.controller import entries as tables
from p4cats.controller import telemetry
from p4cats.controller.entries import Entries, Entry, by_key, entry
from p4cats.controller.keys import Key
from p4cats.topologies.addressing import GATEWAY, HostPlan, Plan, SwitchPlan
from p4cats.topologies.schema import Instance, Topology

Availability = Literal["up", "drained", "down"]
"""What an operator asks for. up: takes new flows; drained: keeps those it has; down: loses them."""
Standing = Literal["up", "drained", "gone", "down"]
"""What an instance is; gone: it was drained and has no flow left."""
STANDINGS: tuple[Standing, ...] = get_args(Standing)

Policy = Literal["static", "hash", "least", "nearest", "p2c", "joint"]
WEIGHED: tuple[Policy, ...] = ("p2c", "joint")
"""Policies whose costs have the weights of the service, measured delays and the costs of links."""

MAX_24 = (1 << 24) - 1
"""Microseconds that the data plane can weigh (16.8 s): waits, steps and delays are cut to it."""


NEVER_US = (1 << 47) - 1
"""Microseconds after which the data plane would call an instance silent that shall never be."""


@dataclass(frozen=True)
class ServiceSettings:
    """How the instances of a service are chosen (set by the operator, 5.1 of RFC 10053)."""

    policy: Policy
    compute_weight: int
    network_weight: int


@dataclass(frozen=True)
class State:
    """What may change while the network runs; what is missing is as the topology says."""

    services: Mapping[str, ServiceSettings] = field(default_factory=dict)
    availability: Mapping[int, Standing] = field(default_factory=dict)
    weights: Mapping[int, int] = field(default_factory=dict)
    """Weight of an instance under `static`; 0 takes no new flow."""
    waits: Mapping[int, int] = field(default_factory=dict)
    """Expected wait of an instance in microseconds, from the C-SMA."""
    delays: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Delay (microseconds, one way) from one switch to another, from the C-NMA."""
    segments: Mapping[tuple[str, int], str] = field(default_factory=dict)
    """Switch by way of which an ingress switch reaches an instance."""
    keys: Mapping[str, tuple[Key, ...]] = field(default_factory=dict)
    """Keys of the metrics of each site's instances."""
    sampling: telemetry.Sampling | None = None
    """What telemetry samples, where the topology has a collector."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One instance that an ingress switch may choose for new flows of a service."""

    slot: int
    instance: int
    weight: int
    path_delay_us: int
    wait_us: int
    """Expected wait while the switch knows no fresh one from packets."""
    wait_step_us: int
    """By how much one more request lengthens the wait."""


def default_wait_us(instance: Instance) -> int:
    """Return the wait assumed of an instance that has never reported: one service time."""
    return min(instance.service_time.mean_us, MAX_24)


def keys_held(entries: Entries) -> Iterator[tuple[int, Key]]:
    """Yield the keys among the entries that a switch holds, each with the instance that it is for."""
    for item in entries.values():
        if item.table == tables.METRIC_KEYS and item.action == "authenticate":
            match = dict(item.match)
            instance, number = match["instance"], match["key_id"]
            assert isinstance(instance, int)
            assert isinstance(number, int)
            yield instance, Key.of_words(number, (item.arg("key_0"), item.arg("key_1")))


class Desired:
    """The desired entries of a topology's switches, for any state."""

    def __init__(self, topology: Topology, plan: Plan):
        self.topology = topology
        self.plan = plan
        self.service_ids = {name: number for number, name in enumerate(topology.services, 1)}
        self._prefixes = {name: self._prefix(host) for name, host in plan.hosts.items()}
        self._sites = {item.id: topology.site_of(item) for item in topology.instances}
        self._of = {name: topology.instances_of(name) for name in topology.services}
        self._ingresses = len({topology.ingress_of(name) for name in topology.clients})
        self._fixed = {name: by_key(self._fixed_entries(name)) for name in plan.switches}
        self._steering: dict[tuple[str, int, str | None], Entry] = {}

    def entries(self, state: State) -> dict[str, dict[tables.Key, Entry]]:
        """Return the entries of every switch, by key."""
        return {name: self._fixed[name] | self._changing(name, state) for name in self.plan.switches}

    def _changing(self, name: str, state: State) -> dict[tables.Key, Entry]:
        """Return what depends on the state: services and instances, on edge switches."""
        if self.plan.switches[name].role != "edge":
            return {}
        return by_key(
            [
                *self._service_entries(name, state),
                *self._instance_entries(name, state),
                *self._key_entries(state),
                *self._watch_entries(state),
            ]
        )

    def _watch_entries(self, state: State) -> Iterator[Entry]:
        """Yield what is sampled."""
        sampling = state.sampling or telemetry.Sampling.configured(self.topology)
        if self.topology.telemetry is not None and sampling is not None:
            yield from telemetry.watch_entries(self.plan, self.topology.telemetry, sampling)

    def settings(self, state: State, service: str) -> ServiceSettings:
        """Return the settings of a service now."""
        spec = self.topology.services[service]
        default = ServiceSettings(spec.policy, spec.compute_weight, spec.network_weight)
        return state.services.get(service, default)

    def weight(self, state: State, instance: Instance) -> int:
        """Return the weight of an instance under `static` now."""
        return state.weights.get(instance.id, instance.weight)

    def wait_us(self, state: State, instance: Instance) -> int:
        """Return the wait that the controller assumes of an instance."""
        return min(state.waits.get(instance.id, default_wait_us(instance)), MAX_24)

    def delay_us(self, state: State, ingress: str, instance: Instance) -> int:
        """Return the one-way delay from an ingress switch to an instance, as the service's policy counts it.

        By way of the instance's segment if it has one; measured, and with the costs of the links on top,
        where the policy is of `WEIGHED`.
        """
        stops = [ingress, self._sites[instance.id]]
        via = state.segments.get((ingress, instance.id))
        if via:
            stops.insert(1, via)
        weighed = self.settings(state, instance.service).policy in WEIGHED
        delay = sum(self._leg_us(state, leg, weighed) for leg in pairwise(stops))
        return min(delay + self.topology.hosts[instance.host].delay_us, MAX_24)

    def _leg_us(self, state: State, leg: tuple[str, str], weighed: bool) -> int:
        planned = self.plan.path(*leg).delay_us
        return state.delays.get(leg, planned) + self.plan.cost_us(*leg) if weighed else planned

    def candidates(self, state: State, ingress: str, service: str) -> tuple[Candidate, ...]:
        """Return the instances that an ingress switch may choose for new flows of a service."""
        return tuple(
            Candidate(
                slot,
                item.id,
                self.weight(state, item),
                self.delay_us(state, ingress, item),
                self.wait_us(state, item),
                min(item.service_time.mean_us // item.workers, MAX_24),
            )
            for slot, item in enumerate(self._of[service])
            if state.availability.get(item.id, "up") == "up"
        )

    def prefix(self, host: HostPlan) -> IPv6Network:
        """Return what is routed to a host."""
        return self._prefixes[host.name]

    def _prefix(self, host: HostPlan) -> IPv6Network:
        """Return the /64 of a host, or its address alone if a service's is in the /64."""
        services = self.topology.services.values()
        prefix = host.prefix
        shared = any(service.address in prefix for service in services)
        return IPv6Network((host.address, 128)) if shared else prefix

    def _fixed_entries(self, name: str) -> Iterator[Entry]:
        """Yield what follows from the topology alone."""
        switch = self.plan.switches[name]
        for other in self.plan.switches.values():
            if other.name != name:
                yield self._forward(switch, other.name, other.locator)
        for host in self.plan.hosts.values():
            if host.switch == name:
                port = switch.ports[host.port]
                yield entry(
                    tables.ROUTES, {"destination": self.prefix(host)}, "deliver",
                    port=port.number, source=port.mac, neighbor=host.mac, mtu=port.mtu,
                )  # fmt: skip
            else:
                yield self._forward(switch, host.switch, self.prefix(host))
        yield entry(tables.LOCAL_SIDS, {"sid": switch.end_sid}, "end")
        if self.topology.telemetry is not None:
            yield from telemetry.node_entries(self.plan, switch)
        if switch.role == "edge":
            yield from self._attachment_entries(switch)

    def _attachment_entries(self, switch: SwitchPlan) -> Iterator[Entry]:
        for port in switch.ports.values():
            if port.peer.is_host:
                match = {"port": port.number, "target": GATEWAY}
                yield entry(tables.ADDRESSES, match, "advertise", mac=port.mac)
                watched = int(self.topology.telemetry is not None)
                yield entry(tables.HOST_PORTS, {"port": port.number}, "host_port", watched=watched)
        for item in self.topology.sites.get(switch.name, ()):
            sid = {"sid": self.plan.dx6_sid(item)}
            yield entry(tables.LOCAL_SIDS, sid, "end_dx6", **self._adjacency(switch, item))
        yield entry(tables.SERVICES, {"address": switch.router_address}, "own_address")
        if self.topology.telemetry is not None:
            yield from telemetry.sink_entries(self.plan, switch, self.topology.telemetry)
        if (self.topology.switches[switch.name].metric_option or self.topology.metric_option) == "remove":
            yield entry(tables.METRIC_OPTIONS, {"option_type": protocol.OPTION_TYPE}, "remove")

    def _forward(self, switch: SwitchPlan, destination: str, prefix: IPv6Network) -> Entry:
        port = switch.ports[self.plan.path(switch.name, destination).port]
        return entry(
            tables.ROUTES, {"destination": prefix}, "forward",
            port=port.number, source=port.mac, neighbor=port.peer.mac, mtu=port.mtu,
        )  # fmt: skip

    def _adjacency(self, switch: SwitchPlan, instance: Instance) -> dict[str, object]:
        port = switch.ports[self.plan.hosts[instance.host].port]
        return {"port": port.number, "source": port.mac, "neighbor": port.peer.mac}

    def _service_entries(self, ingress: str, state: State) -> Iterator[Entry]:
        """Yield classification (C-TC) and candidates (C-PS) of every service."""
        for name, spec in self.topology.services.items():
            number = self.service_ids[name]
            found = self.candidates(state, ingress, name)
            for item in found:
                table = tables.SLOTS[item.slot]
                yield entry(
                    table, {"service_id": number}, table.replace("candidates", "consider"),
                    instance_id=item.instance, static_weight=item.weight, delay_us=item.path_delay_us,
                    wait_us=item.wait_us, step_us=item.wait_step_us,
                )  # fmt: skip
            policy, compute_weight, network_weight = self.cost(state, name)
            yield entry(
                tables.SERVICES, {"address": spec.address}, "classify",
                id=number, policy=policy, compute_weight=compute_weight, network_weight=network_weight,
                total_weight=sum(item.weight for item in found),
                load_ttl_us=spec.load_ttl_us, dead_after_us=self.dead_after_us(name),
                affinity_timeout_us=spec.affinity_timeout_us, spread_us=self.spread_us(found),
            )  # fmt: skip

    def dead_after_us(self, service: str) -> int:
        """Return the silence after which an instance takes no new flow, as the data plane knows it."""
        return self.topology.services[service].dead_after_us or NEVER_US

    def spread_us(self, candidates: Sequence[Candidate]) -> int:
        """Return what others add to a wait for each flow that one ingress switch places in a window.

        The other ingress switches are taken to place as many flows as this one, none of which it knows of for
        `SPREAD_TIME_US` (docs/protocol.md, 6.3).
        """
        if not candidates:
            return 0
        step_us = sum(item.wait_step_us for item in candidates) // len(candidates)
        added_us = max(self._ingresses - 1, 0) * step_us * protocol.SPREAD_TIME_US
        return min(added_us // protocol.SPREAD_WINDOW_US, MAX_24)

    def cost(self, state: State, service: str) -> tuple[int, int, int]:
        """Return policy code and weights of wait and delay as the data plane knows them."""
        settings = self.settings(state, service)
        match settings.policy:
            case "nearest":
                return protocol.POLICIES["least"], 0, 1
            case "least":
                return protocol.POLICIES["least"], 1, 1
            case "joint":
                return protocol.POLICIES["least"], settings.compute_weight, settings.network_weight
        return protocol.POLICIES[settings.policy], settings.compute_weight, settings.network_weight

    def _instance_entries(self, ingress: str, state: State) -> Iterator[Entry]:
        """Yield how to reach every instance that is not down, and that flows may stay with it."""
        for item in self.living(state):
            yield entry(tables.LIVING, {"instance": item.id}, "NoAction")
            yield self._steer(ingress, item, state)

    def living(self, state: State) -> Iterator[Instance]:
        """Yield the instances that flows may stay with."""
        return (i for i in self.topology.instances if state.availability.get(i.id, "up") in ("up", "drained"))

    def _key_entries(self, state: State) -> Iterator[Entry]:
        """Yield by which keys the metrics of every instance are checked: the same at all ingress switches."""
        for site in self.topology.sites:
            keys = state.keys.get(site, ())
            for key in keys:
                yield from self.key_entries(site, key)
            if self.topology.authentication == "none":
                yield from self._trust_entries(site)

    def key_entries(self, site: str, key: Key) -> Iterator[Entry]:
        """Yield the entries that let a site's instances authenticate their metrics by a key."""
        key_0, key_1 = key.words
        for item in self.topology.sites[site]:
            source = self.topology.services[item.service].address
            match = {"instance": item.id, "key_id": key.id}
            yield entry(tables.METRIC_KEYS, match, "authenticate", key_0=key_0, key_1=key_1, source=source)

    def _trust_entries(self, site: str) -> Iterator[Entry]:
        for item in self.topology.sites[site]:
            source = self.topology.services[item.service].address
            yield entry(tables.METRIC_KEYS, {"instance": item.id, "key_id": 0}, "trust", source=source)

    def _steer(self, ingress: str, instance: Instance, state: State) -> Entry:
        via = state.segments.get((ingress, instance.id))
        key = ingress, instance.id, via
        if key not in self._steering:
            self._steering[key] = self._steer_by(ingress, instance, via)
        return self._steering[key]

    def _steer_by(self, ingress: str, instance: Instance, via: str | None) -> Entry:
        switch = self.plan.switches[ingress]
        match = {"instance": instance.id}
        if self._sites[instance.id] == ingress:
            return entry(tables.INSTANCES, match, "steer_local", **self._adjacency(switch, instance))
        headend, sid = switch.router_address, self.plan.dx6_sid(instance)
        if via:
            segment = self.plan.switches[via].end_sid
            return entry(tables.INSTANCES, match, "steer_via", headend=headend, via=segment, sid=sid)
        return entry(tables.INSTANCES, match, "steer", headend=headend, sid=sid)
