"""What the controller tells: the JSON of its API, typed. Few imports, so that clients start at once."""

from __future__ import annotations

from typing import TypedDict

from p4cats.switch_status import PortStatus


class PortView(PortStatus):
    """One port of a switch."""

    peer: str | None
    """The switch or host behind it, None for a port that the topology does not have."""


class SwitchView(TypedDict):
    """One switch."""

    name: str
    role: str
    address: str
    device_id: int
    connected: bool
    primary: bool
    synced: bool
    """The switch holds what it should."""
    entries: int
    updates_written: int
    errors_sent: int
    """ICMPv6 errors that the controller has written for the switch."""
    pipeline: str
    """Cookie of the program."""
    since_s: float
    """How long it has been (dis)connected."""
    error: str | None
    target: str | None
    """model or xdp; None, and no ports, where the switch does not tell (bmv2) or is not connected."""
    generic_because: str | None
    """Why XDP is generic there."""
    ports: list[PortView]
    switch_drops: dict[str, int]
    """Packets that did not leave, as the switch itself counts them. `ingress` and `egress` are all that the
    program ended, also beacons that it took."""
    program_drops: dict[str, int]
    """Packets that the program dropped, by its reasons."""
    metric_options: dict[str, int]
    """What became of metric options that came in."""


class SteeringHostView(TypedDict):
    """One host that steers for itself."""

    name: str
    connected: bool
    """Its agent reports."""
    synced: bool
    """It holds what it should choose from."""
    stats: dict[str, int]
    """What became of options that came in, and of requests that it could not send."""


class StatusView(TypedDict):
    """The controller and its switches."""

    network: str
    version: str
    uptime_s: float
    converged: bool
    converge_s: float | None
    """From the controller's start to the first time that all switches held what they should."""
    switches: list[SwitchView]
    steering_hosts: list[SteeringHostView]
    stamping: dict[str, int]
    """Packets that hosts have sent, by what their stamp programs made of them; empty: no agent has told."""


class ServiceView(TypedDict):
    """One service."""

    name: str
    id: int
    address: str
    port: int
    policy: str
    compute_weight: int
    network_weight: int
    affinity_timeout_ms: float
    load_ttl_ms: float
    scores: dict[str, str]
    """What each score of its instances is, in words."""
    instances: int
    available: int
    """Instances that take new flows."""


class CandidateView(TypedDict):
    """An instance as an ingress switch sees it; times in microseconds."""

    instance: int
    host: str
    site: str
    weight: int
    path_delay_us: int
    wait_us: int
    """What the controller assumes (the slow loop)."""
    learned_wait_us: int | None
    """What the switch last learned from packets, None if it never did or cannot tell."""
    age_ms: float | None
    """Since the switch last heard of the instance, None if it never did or cannot tell."""
    load: str
    """Of the learned wait: fresh, stale (older than `load_ttl`) or unknown."""
    silent: bool
    """Not heard for `dead_after`: takes new flows only if all are silent."""
    cost: int
    """By the learned wait if it is fresh, else by the controller's."""


class InstanceView(TypedDict):
    """One instance."""

    id: int
    service: str
    host: str
    site: str
    sid: str
    state: str
    """up, drained, gone (drained, no flow left) or down: the worse of the operator's will and of silence."""
    operator_state: str
    weight: int
    workers: int
    wait_us: int
    """What the switches assume while they know no fresh load from packets."""
    age_ms: float | None
    """Age of the last report."""
    in_flight: int | None
    reported_wait_us: int | None
    run_queue_us: int | None
    power_mw: int | None
    scores: dict[str, int]
    raw: dict[str, float | None]
    """Raw metrics by name, as p4cats.raw_metrics defines them."""
    key_id: int | None
    """Id of the key that its metrics are authenticated by; None: none yet."""
    ingress: dict[str, IngressView]


class IngressView(TypedDict):
    """An instance at one ingress switch, or at one host that steers."""

    candidate: bool
    path_delay_us: int
    flows_placed: int | None
    packets_steered: int | None
    """Counters of the switch, None if it cannot tell."""


class TelemetryView(TypedDict):
    """What telemetry samples."""

    on: bool
    services: list[str]
    flow_share: float
    """Above 0, at most 1; of the packets of these flows `packet_share` are sampled."""
    packet_share: float
    collector: str
    """Host that the reports go to."""


class ExplainView(TypedDict):
    """Why a flow goes where it goes."""

    flow: str
    ingress: str | None
    service: str | None
    policy: str | None
    candidates: list[CandidateView]
    placed: int | None
    """Instance that the switch keeps the flow with (affinity)."""
    choice: int | None
    """Instance that a packet of the flow would go to now."""
    path: list[str]
    reason: str
