"""The CATS control plane of one network: C-SMA, C-NMA, C-PS and C-TC in one process (RFC 10053, 5.3).

Centralised model: state comes in (operator, agents, switches), desired entries go out. `Controller`
holds the state and runs the loop; what to write is decided in `desired`, how in `switches`.

    controller = Controller(topology, plan, {"access1": "127.0.0.1:9559", ...},
                            {"edge": PipelineFiles(p4info, blob), "transit": ...}, socket)
    task = asyncio.create_task(controller.run())
    await controller.converged()

All methods are called from the thread of the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from finsy import P4PacketIn

from p4cats.controller import entries as tables
from p4cats.controller.desired import (
    STANDINGS,
    Availability,
    Desired,
    Policy,
    ServiceSettings,
    Standing,
    State,
    keys_held,
)
from p4cats.controller.draining import Draining
from p4cats.controller.entries import Entries
from p4cats.controller.errors import PipelineMissing, RequestRefused
from p4cats.controller.exceptions import PacketOut, Responder
from p4cats.controller.flows import Told
from p4cats.controller.keys import Key, KeyStore
from p4cats.controller.metrics import MetricStore, Report, Timing
from p4cats.controller.stamping import Stamping
from p4cats.controller.steering import SteeringHosts
from p4cats.controller.switches import PipelineFiles, SwitchSession
from p4cats.controller.telemetry import Sampling
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import Instance, Topology

logger = logging.getLogger(__name__)

WRITE_INTERVAL_S = 0.2
"""Desired entries are computed anew at most that often (RFC 10053, 6: guards against churn)."""
TICK_S = 0.1
"""How often silence of instances is looked for."""
PACKETS_WAITING = 256


class Controller:
    """The control plane of a topology whose switches serve P4Runtime at `addresses`."""

    def __init__(
        self,
        topology: Topology,
        plan: Plan,
        addresses: Mapping[str, str],
        pipelines: Mapping[str, PipelineFiles],
        socket: Path | None = None,
        *,
        timing: Timing | None = None,
        prometheus: tuple[str, int] | None = None,
    ):
        """`pipelines` has compiled programs by role (`edge`, `transit`) or by a switch's `program`.

        `prometheus` is the address and port where Prometheus may read figures.
        """
        self.topology, self.plan, self.socket = topology, plan, socket
        self._prometheus = prometheus
        self.desired = Desired(topology, plan)
        self.metrics = MetricStore({item.id: item.service for item in topology.instances}, timing)
        keyed = topology.instances if topology.authentication == "mac" else ()
        sites = {item.id: topology.site_of(item) for item in keyed}
        self.keys = KeyStore(sites, topology.key_lifetime_us / 1_000_000)
        self.draining = Draining()
        self.responder = Responder(topology, plan)
        self.started_s = time.monotonic()
        self.steering = SteeringHosts(self.desired, self.started_s)
        self.stamping = Stamping()
        self.converge_s: float | None = None
        self._services: dict[str, ServiceSettings] = {}
        self._availability: dict[int, Availability] = {}
        self._weights: dict[int, int] = {}
        self._delays: dict[tuple[str, str], int] = {}
        self._segments: dict[tuple[str, int], str] = {}
        self._sampling = Sampling.configured(topology)
        self._changed = asyncio.Event()
        self._converged = asyncio.Event()
        self._untold = True
        self._keys_known = False
        """The switches were asked which keys they hold."""
        self._outgoing: asyncio.Queue[PacketOut] = asyncio.Queue(PACKETS_WAITING)
        self.sessions = {name: self._new_session(name, addresses[name], pipelines) for name in plan.switches}

    def _new_session(self, name: str, address: str, files: Mapping[str, PipelineFiles]) -> SwitchSession:
        switch = self.topology.switches[name]
        found = files.get(switch.program or switch.role)
        if found is None:
            raise PipelineMissing(f"switch {name}: no compiled program {switch.program or switch.role}")
        owned = tables.EDGE_TABLES if switch.role == "edge" else tables.TRANSIT_TABLES
        return SwitchSession(
            name, address, self.plan.switches[name].device_id, found, owned,
            on_change=self._look, on_packet=self._handle_packet, on_read=self._adopt_keys,
        )  # fmt: skip

    async def run(self) -> None:
        """Control the network until cancelled; SocketInUse if another controller has the socket."""
        self.started_s = time.monotonic()
        self.converge_s = None
        async with self._api():
            jobs = [session.run() for session in self.sessions.values()]
            tasks = [asyncio.create_task(job) for job in (*jobs, self._steer(), self._send_packets())]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def is_converged(self) -> bool:
        """True while every switch, and every host that steers and reports, holds what the state asks for."""
        switches = all(session.synced for session in self.sessions.values())
        return not self._untold and switches and self.steering.all_synced(time.monotonic())

    async def converged(self) -> None:
        """Wait until every switch holds what the present state asks for."""
        await self._converged.wait()

    def state(self, now_s: float | None = None) -> State:
        """Return the state that entries follow from: the operator's will and the metrics."""
        view = self.metrics.view(time.monotonic() if now_s is None else now_s)
        availability = {number: self._standing(number) for number in self._availability}
        for instance, silent in view.silent.items():
            worse = max(silent, availability.get(instance, "up"), key=STANDINGS.index)
            availability[instance] = worse
        return State(
            dict(self._services), availability, dict(self._weights), view.waits,
            dict(self._delays), dict(self._segments), self.keys.valid(),
            self._sampling,
        )  # fmt: skip

    def report(self, reports: Iterable[Report]) -> int:
        """Take metrics of instances in (C-SMA); return how many were news."""
        found, now_s = list(reports), time.monotonic()
        taken = self.metrics.add(found, now_s)
        self.draining.add(found, now_s)
        if taken:
            self._changed.set()
        return taken

    def hand_keys(self, key_ids: Mapping[int, int], fresh: Iterable[int]) -> dict[int, Key]:
        """Return the keys that instances are to use from now on, from what they say of theirs."""
        answer = self.keys.report(key_ids, fresh)
        self._changed.set()
        return answer

    def hear_steering(
        self,
        name: str,
        held: str,
        counts: Mapping[int, Mapping[str, int]],
        stats: Mapping[str, int],
        loads: Mapping[int, Told],
    ) -> dict[str, Any] | None:
        """Take in what a host that steers says; return what it is to choose from, None if it knows."""
        host = self.steering.hear(name, held, time.monotonic())
        if host is None:
            return None
        host.counts, host.stats, host.loads = counts, stats, loads
        self._look()
        return self.steering.news(name)

    def set_service(
        self,
        name: str,
        policy: Policy | None = None,
        compute_weight: int | None = None,
        network_weight: int | None = None,
    ) -> None:
        """Change how the instances of a service are chosen; flows that are placed stay."""
        self._known_service(name)
        old = self.desired.settings(self.state(), name)
        self._services[name] = ServiceSettings(
            policy or old.policy,
            old.compute_weight if compute_weight is None else compute_weight,
            old.network_weight if network_weight is None else network_weight,
        )
        self._touch()

    def set_instance(
        self, instance: int, state: Availability | None = None, weight: int | None = None
    ) -> None:
        """Change the availability or the weight (for `static`) of an instance."""
        self._instance(instance)
        if state is not None:
            self._availability[instance] = state
            if state == "drained":
                self.draining.begin(instance, time.monotonic())
            else:
                self.draining.end(instance)
        if weight is not None:
            self._weights[instance] = weight
        self._touch()

    def _standing(self, instance: int) -> Standing:
        """Return what the operator made of an instance; one that was drained may be gone by now."""
        asked = self._availability[instance]
        service = self.topology.services[self.metrics.services[instance]]
        gone = asked == "drained" and self.draining.is_gone(instance, service.affinity_timeout_us / 1e6)
        return "gone" if gone else asked

    def operator_state(self, instance: int) -> Availability:
        """Return the availability that the operator asked for."""
        return self._availability.get(instance, "up")

    def set_delay(self, source: str, destination: str, delay_us: int | None) -> None:
        """Set the measured one-way delay between two switches (C-NMA), None: the plan's."""
        if delay_us is None:
            self._delays.pop((source, destination), None)
        else:
            self._delays[source, destination] = delay_us
        self._touch()

    def set_segment(self, ingress: str, instance: int, segment: str | None) -> None:
        """Let an ingress switch reach an instance by way of another switch, None: the shortest way."""
        ends = ingress, self.topology.site_of(self._instance(instance))
        if segment is None:
            self._segments.pop((ingress, instance), None)
        elif segment not in self.plan.switches or segment in ends:
            raise RequestRefused(400, f"{segment} is no switch between {ends[0]} and {ends[1]}")
        else:
            self._segments[ingress, instance] = segment
        self._touch()

    @property
    def sampling(self) -> Sampling:
        """What telemetry samples; RequestRefused if the topology has no collector."""
        if self._sampling is None:
            text = "has no telemetry; its topology must name a collector: `telemetry: {collector: HOST}`"
            raise RequestRefused(404, f"network {self.topology.name} {text}")
        return self._sampling

    def set_sampling(
        self,
        on: bool | None = None,
        flow_share: float | None = None,
        packet_share: float | None = None,
        services: Iterable[str] | None = None,
    ) -> None:
        """Change what telemetry samples."""
        old = self.sampling
        chosen = old.services if services is None else tuple(dict.fromkeys(services))
        for name in chosen:
            self._known_service(name)
        self._sampling = replace(
            old,
            on=old.on if on is None else on,
            flow_share=old.flow_share if flow_share is None else flow_share,
            packet_share=old.packet_share if packet_share is None else packet_share,
            services=chosen,
        )
        self._touch()

    def _known_service(self, name: str) -> None:
        if name not in self.topology.services:
            known = ", ".join(self.topology.services)
            raise RequestRefused(404, f"no service {name} here; there are: {known}")

    def _instance(self, number: int) -> Instance:
        for item in self.topology.instances:
            if item.id == number:
                return item
        known = ", ".join(str(item.id) for item in self.topology.instances)
        raise RequestRefused(404, f"no instance {number} here; there are: {known}")

    def _touch(self) -> None:
        """Note a change that `converged` is to wait for."""
        self._untold = True
        self._changed.set()
        self._converged.clear()

    def _look(self) -> None:
        """Look whether the network has converged."""
        if not self.is_converged:
            self._converged.clear()
        elif not self._converged.is_set():
            self._converged.set()
            if self.converge_s is None:
                self.converge_s = time.monotonic() - self.started_s
                logger.info("%s: converged in %.2f s", self.topology.name, self.converge_s)

    async def _steer(self) -> None:
        """The slow loop: whenever the state has changed, tell the sessions what follows from it."""
        told: State | None = None
        while True:
            self._changed.clear()
            self._untold = False
            self._advance_keys()
            state = self.state()
            changed = state != told
            if changed:
                told = state
                self._tell(state)
            self._look()
            if changed:
                await asyncio.sleep(WRITE_INTERVAL_S)
            with contextlib.suppress(TimeoutError, asyncio.TimeoutError):
                await asyncio.wait_for(self._changed.wait(), TICK_S)

    def _tell(self, state: State) -> None:
        for name, wanted in self.desired.entries(state).items():
            self.sessions[name].want(wanted)
        # Not before the keys in use are known: a host that steers would forget those it has.
        if self._keys_known:
            self.steering.tell(state)

    def _advance_keys(self) -> None:
        """Change keys where that is due."""
        edges = [self.sessions[name] for name, switch in self.plan.switches.items() if switch.role == "edge"]
        reached = [session for session in edges if session.connected]

        def holds(site: str, key: Key) -> bool:
            wanted = list(self.desired.key_entries(site, key))
            switches = all(session.holds(item) for session in reached for item in wanted)
            return switches and self.steering.hold(key, site, now_s)

        # What a switch holds is read before keys are drawn: it may be in use.
        if reached and all(session.synced for session in reached):
            now_s = time.monotonic()
            hosts = self.steering.hosts.values()
            complete = len(reached) == len(edges) and all(self.steering.connected(h, now_s) for h in hosts)
            self.keys.advance(now_s, holds, complete=complete)
            if not self._keys_known:
                self._keys_known = True
                self.steering.tell(self.state())

    def _adopt_keys(self, held: Entries) -> None:
        """Take over the keys that a switch held before this controller came."""
        if self.keys.adopt(keys_held(held), time.monotonic()):
            self._tell(self.state())

    def _handle_packet(self, switch: str, packet: P4PacketIn) -> None:
        try:
            port, reason, mtu = (int(packet[name]) for name in ("ingress_port", "reason", "mtu"))
        except KeyError as error:
            logger.debug("switch %s: packet without %s", switch, error)
            return
        for out in self.responder.respond(switch, port, reason, mtu, packet.payload):
            with contextlib.suppress(asyncio.QueueFull):
                self._outgoing.put_nowait(out)

    async def _send_packets(self) -> None:
        while True:
            out = await self._outgoing.get()
            await self.sessions[out.switch].send_packet(out.egress_port, out.frame)

    @contextlib.asynccontextmanager
    async def _api(self) -> AsyncIterator[None]:
        if self.socket is None and self._prometheus is None:
            yield
            return
        from p4cats.controller import api  # noqa: PLC0415 - takes a third of a second to load

        async with contextlib.AsyncExitStack() as stack:
            if self.socket is not None:
                await stack.enter_async_context(api.serve(self, self.socket))
            if self._prometheus is not None:
                await stack.enter_async_context(api.serve_metrics(self, *self._prometheus))
            yield
