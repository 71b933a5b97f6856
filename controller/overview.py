"""What a controller knows, as views (RFC 10053, 5.4: what management must be able to read)."""

from __future__ import annotations

import asyncio
import time
from ipaddress import IPv6Address

from p4cats import __version__
from p4cats.controller import flows
from p4cats.controller.controller import Controller
from p4cats.controller.desired import Candidate, State
from p4cats.controller.errors import RequestRefused
from p4cats.controller.flows import Flow
from p4cats.controller.switches import SwitchSession
from p4cats.controller.views import (
    CandidateView,
    ExplainView,
    IngressView,
    InstanceView,
    ServiceView,
    StatusView,
    SwitchView,
)
from p4cats.topologies.schema import Instance


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
        }

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
            "key_id": self.controller.keys.used(item.id),
            "ingress": ingress,
        }

    async def explain(self, flow: Flow) -> ExplainView:
        """Say where a flow goes and why, with what its ingress switch remembers of it."""
        ingress = self._ingress(flow.source)
        names = {spec.address: name for name, spec in self.topology.services.items()}
        service = names.get(flow.destination)
        if service is None:
            return self._routed(flow, ingress)
        state = self.controller.state()
        policy = self.desired.settings(state, service).policy
        candidates = self.desired.candidates(state, ingress, service)
        learned = await self._learned(ingress, candidates)
        views = [self._candidate(state, service, item, learned.get(item.instance)) for item in candidates]
        placed = await self._placed(ingress, flow)
        if placed is not None and state.availability.get(placed, "up") == "down":
            placed = None
        if placed is not None:
            choice, reason = placed, "affinity: the flow was placed there and has not been idle since"
        elif policy == "static":
            choice, reason = flows.by_weight(flow, candidates) or 0, "static: the flow's point on the weights"
        elif policy == "hash":
            choice, reason = flows.by_hash(flow, candidates) or 0, "hash: highest score for the flow"
        else:
            costs = {view["instance"]: view["cost"] for view in views}
            choice, reason = flows.by_cost(flow, costs) or 0, f"{policy}: lowest cost among the candidates"
        if not choice:
            reason = f"no instance of {service} takes new flows"
        return {
            "flow": str(flow),
            "ingress": ingress,
            "service": service,
            "policy": policy,
            "candidates": views,
            "placed": placed,
            "choice": choice or None,
            "path": self._path(state, ingress, choice) if choice else [],
            "reason": reason,
        }

    def _candidate(
        self, state: State, service: str, item: Candidate, learned_us: int | None
    ) -> CandidateView:
        settings, instance = self.desired.settings(state, service), self._instances[item.instance]
        compute = 0 if settings.policy == "nearest" else settings.compute_weight
        network = max(settings.network_weight, 1) if compute == 0 else settings.network_weight
        wait_us = item.wait_us if learned_us is None else learned_us
        return {
            "instance": item.instance,
            "host": instance.host,
            "site": self.topology.site_of(instance),
            "weight": item.weight,
            "path_delay_us": item.path_delay_us,
            "wait_us": item.wait_us,
            "learned_wait_us": learned_us,
            "cost": compute * wait_us + network * item.path_delay_us,
        }

    def _ingress(self, source: IPv6Address) -> str:
        for host in self.plan.hosts.values():
            if source == host.address or source in self.desired.prefix(host):
                return host.switch
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

    async def _learned(self, ingress: str, candidates: tuple[Candidate, ...]) -> dict[int, int]:
        """Return the waits (microseconds) that the switch has learned from packets."""
        session, numbers = self.controller.sessions[ingress], [item.instance for item in candidates]
        times = await session.read_registers("load_time_us", numbers)
        if not times:
            return {}
        waits = await session.read_registers("load_wait_us", numbers)
        return {number: wait for number, wait in waits.items() if times.get(number)}

    async def _placed(self, ingress: str, flow: Flow) -> int | None:
        """Return the instance that the switch remembers for a flow, None if it does not or cannot tell."""
        session, slots = self.controller.sessions[ingress], list(dict.fromkeys(flow.slots))
        tags = await session.read_registers("flow_tag", slots)
        if not tags:
            return None
        states = await session.read_registers("flow_state", slots)
        for slot in slots:
            instance = states.get(slot, 0) >> 48
            if tags.get(slot) == flow.tag and instance in self._instances:
                return instance
        return None
