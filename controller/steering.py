"""Hosts that steer for themselves: what they choose from, whether they hold it, what they count.

To such a host the controller tells what it writes into the tables of an ingress switch (`desired`): its
view. It goes with the answer to a report of the host's agent that says that the host holds another one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from p4cats import protocol
from p4cats.controller.desired import Desired, State
from p4cats.controller.flows import Told
from p4cats.controller.keys import Key

SILENT_S = 2.0
"""A host that has not reported for so long is waited for no more."""
_POLICIES = {code: name for name, code in protocol.POLICIES.items()}


@dataclass
class SteeringHost:
    """One host that steers."""

    switch: str
    """That it is attached to: paths begin there."""
    heard_s: float
    """When it reported last, or the controller's start."""
    view: dict[str, Any] = field(default_factory=dict, repr=False)
    revision: int = 0
    """Of the view; 0: there is none yet."""
    held: str = ""
    """Revision that it says it holds."""
    reported: bool = False
    counts: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    """Packets steered to each instance and flows placed there."""
    stats: Mapping[str, int] = field(default_factory=dict)
    """Other packets and options, by what became of them."""
    loads: Mapping[int, Told] = field(default_factory=dict)
    """What packets told it of instances."""


class SteeringHosts:
    """All hosts of a topology that steer."""

    def __init__(self, desired: Desired, now_s: float):
        self._desired = desired
        self._epoch = secrets.token_hex(4)
        hosts = desired.topology.hosts.items()
        self.hosts = {name: SteeringHost(host.switch, now_s) for name, host in hosts if host.steer}

    def tell(self, state: State) -> None:
        """Let hosts choose from what follows from the state."""
        for host in self.hosts.values():
            view = self._view(host, state)
            if view != host.view:
                host.view, host.revision = view, host.revision + 1

    def hear(self, name: str, held: str, now_s: float) -> SteeringHost | None:
        """Take a host's report in; None if there is no such host."""
        host = self.hosts.get(name)
        if host is not None:
            host.held, host.heard_s, host.reported = held, now_s, True
        return host

    def news(self, name: str) -> dict[str, Any] | None:
        """Return the view that a host should hold, with its revision, None if it does."""
        host = self.hosts[name]
        if not host.revision or self.synced(host):
            return None
        return {"revision": self._revision(host), **host.view}

    def synced(self, host: SteeringHost) -> bool:
        """Whether a host holds what it should."""
        return host.held == self._revision(host)

    def _revision(self, host: SteeringHost) -> str:
        return f"{self._epoch}.{host.revision}"

    def connected(self, host: SteeringHost, now_s: float) -> bool:
        """Whether a host reports."""
        return host.reported and now_s - host.heard_s < SILENT_S

    def all_synced(self, now_s: float) -> bool:
        """Whether all hosts that report hold what they should."""
        return all(self.synced(host) for host in self.hosts.values() if self.connected(host, now_s))

    def hold(self, key: Key, site: str, now_s: float) -> bool:
        """Whether all hosts hold a site's key, but for those that have been silent for `SILENT_S`."""
        wanted = {(item.id, key.id) for item in self._desired.topology.sites[site]}
        waited_for = [host for host in self.hosts.values() if now_s - host.heard_s < SILENT_S]
        return all(
            self.synced(host) and wanted <= {(k["instance"], k["key_id"]) for k in host.view["keys"]}
            for host in waited_for
        )

    def _view(self, host: SteeringHost, state: State) -> dict[str, Any]:
        services = [self._service(host, state, name) for name in self._desired.topology.services]
        return {
            "services": services,
            "instances": list(self._instances(host, state)),
            "keys": list(self._keys(state)),
        }

    def _service(self, host: SteeringHost, state: State, name: str) -> dict[str, Any]:
        desired, spec = self._desired, self._desired.topology.services[name]
        found = desired.candidates(state, host.switch, name)
        code, compute_weight, network_weight = desired.cost(state, name)
        return {
            "address": str(spec.address),
            "id": desired.service_ids[name],
            "policy": _POLICIES[code],
            "compute_weight": compute_weight,
            "network_weight": network_weight,
            "load_ttl_us": spec.load_ttl_us,
            "dead_after_us": desired.dead_after_us(name),
            "affinity_timeout_us": spec.affinity_timeout_us,
            "spread_us": desired.spread_us(found),
            "candidates": [
                {
                    "instance": item.instance,
                    "weight": item.weight,
                    "path_delay_us": item.path_delay_us,
                    "fallback_wait_us": item.wait_us,
                    "wait_step_us": item.wait_step_us,
                }
                for item in found
            ],
        }

    def _instances(self, host: SteeringHost, state: State) -> Iterator[dict[str, Any]]:
        plan = self._desired.plan
        for item in self._desired.living(state):
            via = state.segments.get((host.switch, item.id))
            segment = str(plan.switches[via].end_sid) if via else None
            yield {"instance": item.id, "sid": str(plan.dx6_sid(item)), "via": segment}

    def _keys(self, state: State) -> Iterator[dict[str, Any]]:
        topology = self._desired.topology
        for site, items in topology.sites.items():
            for item in items:
                source = {"instance": item.id, "source": str(topology.services[item.service].address)}
                if topology.authentication == "none":
                    yield {**source, "key_id": 0}
                for key in state.keys.get(site, ()):
                    yield {**source, "key_id": key.id, "key": key.octets.hex()}
