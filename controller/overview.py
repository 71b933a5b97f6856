"""What a controller knows, as views (RFC 10053, 5.4: what management must be able to read)."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv6Address

from p4cats import __version__
from p4cats.controller import flows
from p4cats.controller.controller import Controller
from p4cats.controller.desired import MAX_24, Candidate, State
from p4cats.controller.errors import RequestRefused
from p4cats.controller.flows import Considered, Flow, Told
from p4cats.controller.switches import SwitchSession
from p4cats.controller.views import (
    CandidateView,
    ExplainView,
    IngressView,
    InstanceView,
    ServiceView,
    StatusView,
    SteeringHostView,
    SwitchView,
    TelemetryView,
)
from p4cats.topologies.addressing import HostPlan
from p4cats.topologies.schema import Instance

_UNTOLD = Told(None, None)


class Overview:
    """Answers questions about a controller; changes nothing."""

    def __init__(self, controller: Controller):
        self.controller = controller
        self.topology, self.plan, self.desired = controller.topology, controller.plan, controller.desired
        self._instances = {item.id: item for item in self.topology.instances}
        self._edges = [name for name, switch in self.plan.switches.items() if switch.role == "edge"]

    async def status(self) -> StatusView:
        """Return the state of the controller and its switches."""
        controller = self.controller
        switches = await asyncio.gather(*(self._switch(session) for session in controller.sessions.values()))
        return {
            "network": self.topology.name,
            "version": __version__,
            "uptime_s": round(time.monotonic() - controller.started_s, 3),
            "converged": controller.is_converged,
            "converge_s": controller.converge_s,
            "switches": switches,
            "steering_hosts": self._steering_hosts(),
            "stamping": controller.stamping.packets(),
        }

    def telemetry(self) -> TelemetryView:
        """Return what telemetry samples; RequestRefused if there is no collector."""
        sampling = self.controller.sampling
        assert self.topology.telemetry is not None
        return {
            "on": sampling.on,
            "services": list(sampling.services),
            "flow_share": sampling.flow_share,
            "packet_share": sampling.packet_share,
            "collector": self.topology.telemetry.collector,
        }

    def _steering_hosts(self) -> list[SteeringHostView]:
        steering, now_s = self.controller.steering, time.monotonic()
        return [
            {
                "name": name,
                "connected": steering.connected(host, now_s),
                "synced": steering.connected(host, now_s) and steering.synced(host),
                "stats": dict(host.stats),
            }
            for name, host in steering.hosts.items()
        ]

    async def _switch(self, session: SwitchSession) -> SwitchView:
        told, dropped, options = await asyncio.gather(
            session.read_status(), session.read_reasons("drops"), session.read_reasons("metrics")
        )
        peers = {number: port.peer.node for number, port in self.plan.switches[session.name].ports.items()}
        return {
            "name": session.name,
            "role": self.plan.switches[session.name].role,
            "address": session.address,
            "device_id": session.arbitration.device_id,
            "connected": session.connected,
            "primary": session.is_primary,
            "synced": session.synced,
            "entries": session.entries,
            "updates_written": session.updates_written,
            "errors_sent": self.controller.responder.sent[session.name],
            "pipeline": f"{session.cookie:#018x}",
            "since_s": round(time.monotonic() - session.since_s, 3),
            "error": session.error,
            "target": told["target"] if told else None,
            "generic_because": told["generic_because"] if told else None,
            "ports": [{**port, "peer": peers.get(port["port"])} for port in told["ports"]] if told else [],
            "switch_drops": told["drops"] if told else {},
            "program_drops": dropped,
            "metric_options": options,
        }

    def services(self) -> list[ServiceView]:
        """Return all services."""
        state = self.controller.state()
        return [self._service(state, name) for name in self.topology.services]

    def _service(self, state: State, name: str) -> ServiceView:
        spec, settings = self.topology.services[name], self.desired.settings(state, name)
        instances = self.topology.instances_of(name)
        return {
            "name": name,
            "id": self.desired.service_ids[name],
            "address": str(spec.address),
            "port": spec.port,
            "policy": settings.policy,
            "compute_weight": settings.compute_weight,
            "network_weight": settings.network_weight,
            "affinity_timeout_ms": spec.affinity_timeout_us / 1000,
            "load_ttl_ms": spec.load_ttl_us / 1000,
            "scores": spec.normalisation.definitions(),
            "instances": len(instances),
            "available": sum(state.availability.get(item.id, "up") == "up" for item in instances),
        }

    async def instances(self) -> list[InstanceView]:
        """Return all instances, with what the ingress switches count."""
        state = self.controller.state()
        numbers = list(self._instances)
        counted: dict[str, tuple[dict[int, int], dict[int, int]]] = {}
        for name in self._edges:
            session = self.controller.sessions[name]
            placed = await session.read_counters("placed", numbers)
            counted[name] = placed, await session.read_counters("steered", numbers) if placed else {}
        return [self._instance(state, item, counted) for item in self._instances.values()]

    def _instance(
        self, state: State, item: Instance, counted: dict[str, tuple[dict[int, int], dict[int, int]]]
    ) -> InstanceView:
        known = self.controller.metrics.known(item.id)
        report = known.report if known else None
        available = state.availability.get(item.id, "up")
        ingress: dict[str, IngressView] = {
            name: {
                "candidate": available == "up",
                "path_delay_us": self.desired.delay_us(state, name, item),
                "flows_placed": placed.get(item.id),
                "packets_steered": steered.get(item.id),
            }
            for name, (placed, steered) in counted.items()
        }
        for name, host in self.controller.steering.hosts.items():
            found = host.counts.get(item.id, {})
            ingress[name] = {
                "candidate": available == "up",
                "path_delay_us": self.desired.delay_us(state, host.switch, item),
                "flows_placed": found.get("placed"),
                "packets_steered": found.get("steered"),
            }
        return {
            "id": item.id,
            "service": item.service,
            "host": item.host,
            "site": self.topology.site_of(item),
            "sid": str(self.plan.dx6_sid(item)),
            "state": available,
            "operator_state": self.controller.operator_state(item.id),
            "weight": self.desired.weight(state, item),
            "workers": item.workers,
            "wait_us": self.desired.wait_us(state, item),
            "age_ms": round((time.monotonic() - known.at_s) * 1000, 1) if known else None,
            "in_flight": report.in_flight if report else None,
            "reported_wait_us": report.wait_us if report else None,
            "run_queue_us": report.run_queue_us if report else None,
            "power_mw": report.power_mw if report else None,
            "scores": dict(report.scores) if report else {},
            "raw": dict(report.raw) if report else {},
            "key_id": self.controller.keys.used(item.id),
            "ingress": ingress,
        }

    async def explain(self, flow: Flow) -> ExplainView:
        """Say where a flow goes and why, with what its ingress switch remembers of it."""
        host = self._host(flow.source)
        ingress = host.switch
        steering = self.controller.steering.hosts.get(host.name)
        names = {spec.address: name for name, spec in self.topology.services.items()}
        service = names.get(flow.destination)
        if service is None:
            return self._routed(flow, ingress)
        state = self.controller.state()
        policy = self.desired.settings(state, service).policy
        candidates = self.desired.candidates(state, ingress, service)
        now_us = time.monotonic_ns() // 1000
        told = dict(steering.loads) if steering else await self._told(ingress, candidates, now_us)
        spec = self.topology.services[service]
        considered = [
            flows.consider(
                item, told.get(item.instance, _UNTOLD), spec.load_ttl_us, spec.dead_after_us if told else 0
            )
            for item in candidates
        ]
        code, compute, network = self.desired.cost(state, service)
        weights = compute, network
        views = [self._candidate(item, told.get(item.candidate.instance, _UNTOLD), weights)
                 for item in considered]  # fmt: skip
        placed = None
        if steering is None:
            placed = await self._placed(ingress, flow, now_us, spec.affinity_timeout_us)
        if placed is not None and state.availability.get(placed, "up") not in ("up", "drained"):
            placed = None
        choice: int | None
        if placed is not None:
            choice, reason = placed, "affinity: the flow was placed there and has not been idle since"
        else:
            spread = 0 if steering else await self._spread_us(ingress, service, candidates, now_us)
            choice = flows.choose(flow, code, considered, weights, spread)
            reason = _reason(policy, considered, spread if compute else 0)
            if steering is not None:
                reason += f"; flows that {host.name} has placed itself stay where they are"
        if not choice:
            reason = f"no instance of {service} takes new flows"
        return {
            "flow": str(flow),
            "ingress": host.name if steering else ingress,
            "service": service,
            "policy": policy,
            "candidates": views,
            "placed": placed,
            "choice": choice or None,
            "path": self._path(state, ingress, choice) if choice else [],
            "reason": reason,
        }

    def _candidate(self, considered: Considered, told: Told, weights: tuple[int, int]) -> CandidateView:
        item = considered.candidate
        instance = self._instances[item.instance]
        spec = self.topology.services[instance.service]
        load = "unknown"
        if told.wait_us is not None and told.age_us is not None:
            load = "fresh" if told.age_us <= spec.load_ttl_us else "stale"
        return {
            "instance": item.instance,
            "host": instance.host,
            "site": self.topology.site_of(instance),
            "weight": item.weight,
            "path_delay_us": item.path_delay_us,
            "wait_us": item.wait_us,
            "learned_wait_us": told.wait_us,
            "age_ms": None if told.age_us is None else told.age_us / 1000,
            "load": load,
            "silent": considered.silent,
            "cost": flows.cost(considered, *weights),
        }

    def _host(self, source: IPv6Address) -> HostPlan:
        for host in self.plan.hosts.values():
            if source == host.address or source in self.desired.prefix(host):
                return host
        raise RequestRefused(404, f"no host of this network has the address {source}")

    def _routed(self, flow: Flow, ingress: str) -> ExplainView:
        for host in self.plan.hosts.values():
            if flow.destination in self.desired.prefix(host):
                path = [*self.plan.route(ingress, host.switch), host.name]
                reason = f"{flow.destination} is no service: routed to {host.name}"
                break
        else:
            raise RequestRefused(404, f"{flow.destination} is neither a service nor a host of this network")
        return {
            "flow": str(flow), "ingress": ingress, "service": None, "policy": None, "candidates": [],
            "placed": None, "choice": None, "path": path, "reason": reason,
        }  # fmt: skip

    def _path(self, state: State, ingress: str, number: int) -> list[str]:
        item = self._instances[number]
        site, via = self.topology.site_of(item), state.segments.get((ingress, number))
        legs = self.plan.route(ingress, via)[:-1] + self.plan.route(via, site) if via else None
        return [*(legs or self.plan.route(ingress, site)), item.host]

    async def _told(self, ingress: str, candidates: tuple[Candidate, ...], now_us: int) -> dict[int, Told]:
        """Return what packets told the switch of the candidates; empty if it cannot tell."""
        session, numbers = self.controller.sessions[ingress], [item.instance for item in candidates]
        times = await session.read_registers("load_time_us", numbers)
        waits = await session.read_registers("load_wait_us", numbers) if times else {}
        found = {}
        for number, heard_us in times.items():
            wait_us = waits.get(number, MAX_24 + 1)
            age_us = max(now_us - heard_us, 0) if heard_us else None
            known = heard_us and wait_us <= MAX_24
            found[number] = Told(wait_us if known else None, age_us)
        return found

    async def _spread_us(
        self, ingress: str, service: str, candidates: tuple[Candidate, ...], now_us: int
    ) -> int:
        """Return up to how much the switch blurs the waits of a service; 0 if it cannot tell."""
        number, each_us = self.desired.service_ids[service], self.desired.spread_us(candidates)
        found = await self.controller.sessions[ingress].read_registers("service_flows", [number])
        return flows.spread_us(found[number], now_us, each_us) if found and each_us else 0

    async def _placed(self, ingress: str, flow: Flow, now_us: int, timeout_us: int) -> int | None:
        """Return the instance that the switch remembers for a flow, None if it does not or cannot tell."""
        cells = await self.controller.sessions[ingress].read_registers("flow_entries", flow.cells)
        found = flows.placed(flow, [cells[number] for number in sorted(cells)], now_us, timeout_us)
        return found if found in self._instances else None


_REASONS = {
    "static": "static: the flow's point on the weights",
    "hash": "hash: highest score for the flow",
    "p2c": "p2c: the lower cost of the two highest scores for the flow",
}


def _reason(policy: str, considered: list[Considered], spread_us: int) -> str:
    """Say how a new flow is placed, and who is left out."""
    reason = _REASONS.get(policy, f"{policy}: lowest cost among the candidates")
    if spread_us and policy in ("least", "joint"):
        reason += f", waits blurred by up to {spread_us / 1000:.3g} ms"
    silent = [str(item.candidate.instance) for item in considered if item.silent]
    if silent and len(silent) == len(considered):
        reason += "; all are silent, so that silence says nothing"
    elif silent:
        reason += f"; silent: {', '.join(silent)}"
    return reason
