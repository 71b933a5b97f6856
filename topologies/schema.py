"""The topology file: its schema, and `load`, which reads one and names every mistake by line and field.

The models say what one key may hold; what concerns several of them (missing nodes, duplicate
addresses, disconnected switches) is in `checks`. Addresses, ports and paths follow from a
topology by `addressing`. Keys carry their unit in the value (`delay: 1ms`), attributes in the
name (`delay_us`).

    TopologyError       a topology file that cannot be used; one problem a line
"""

from __future__ import annotations

from functools import cached_property
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from p4cats import protocol
from p4cats.errors import UserError
from p4cats.normalisation import DEFAULT, Normalisation
from p4cats.topologies import checks, diagnostics, units

SHORTEST_KEY_LIFETIME_US = 2_000_000
LONGEST_AFFINITY_US = 32_400_000_000
"""Nine hours: the times in the flow table come round after nine and a half."""
DEFAULT_MTU = 1500
"""Octets of an IPv6 packet that a link carries unless its `mtu` says otherwise."""


def _address(value: object) -> IPv6Address:
    try:
        return IPv6Address(value)
    except ValueError:
        raise ValueError(f"must be an IPv6 address such as 2001:db8::1 (got {value})") from None


def _lifetime_us(value: object) -> int:
    if (found := units.duration_us(value)) < SHORTEST_KEY_LIFETIME_US:
        raise ValueError(f"must be at least {SHORTEST_KEY_LIFETIME_US // 1_000_000}s (got {value})")
    return found


def _affinity_us(value: object) -> int:
    if (found := units.duration_us(value)) > LONGEST_AFFINITY_US:
        raise ValueError(f"must not exceed {LONGEST_AFFINITY_US // 1_000_000}s (got {value})")
    return found


Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", max_length=32)]
Address = Annotated[IPv6Address, BeforeValidator(_address)]
Microseconds = Annotated[int, BeforeValidator(units.duration_us)]
BitsPerSecond = Annotated[int, BeforeValidator(units.rate_bps)]
PartsPerMillion = Annotated[int, BeforeValidator(units.loss_ppm)]
Mtu = Annotated[int, Field(strict=True, ge=1280, le=9216)]
Weight = Annotated[int, Field(strict=True, ge=0, le=255)]
Policy = Literal["static", "hash", "least", "nearest", "p2c", "joint"]
MetricOption = Literal["blank", "remove"]
Distribution = Literal["constant", "exponential", "lognormal"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Switch(_Model):
    """A CATS-Forwarder (`edge`), or a router that only carries IPv6 (`transit`)."""

    role: Literal["edge", "transit"]
    program: str | None = None
    """P4 file to run instead of the role's own, relative to the working directory."""
    metric_option: MetricOption | None = None
    """What this switch does with the metric option before a host sees it, None: as the topology says."""


class _Wire(_Model):
    """What a link does to a packet, the same in both directions."""

    delay_us: Microseconds = Field(0, alias="delay")
    """One way, in microseconds, beside the time that `rate` takes."""
    loss_ppm: PartsPerMillion = Field(0, alias="loss")
    """Packets lost, in parts per million (written as a percentage)."""
    rate_bps: BitsPerSecond | None = Field(None, alias="rate")
    """Bits per second, None: as fast as the machine goes."""
    mtu: Mtu = DEFAULT_MTU
    """Octets of the largest IPv6 packet."""

    @property
    def is_plain(self) -> bool:
        """True if the link needs no emulation: no delay, no loss, no rate."""
        return not self.delay_us and not self.loss_ppm and self.rate_bps is None


class Host(_Wire):
    """A client or a server, and its access link to an edge switch; to a transit switch if it steers."""

    switch: Name
    address: Address | None = None
    """Unicast address, None: the one of the addressing plan."""
    steer: bool = False
    """It is an ingress CATS-Forwarder itself (eBPF), for its own requests."""


class Link(_Wire):
    """A link between two switches."""

    ends: tuple[Name, Name]
    cost_us: Microseconds = Field(0, alias="cost")
    """What using the link is worth, as delay in microseconds: `joint` and `p2c` count it."""


class Service(_Model):
    """An anycast service: the address that clients know, and how a request finds an instance."""

    address: Address
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    policy: Policy = "least"
    compute_weight: Weight = 1
    """Factor of the expected wait (microseconds) in the cost of an instance, under `joint` and `p2c`."""
    network_weight: Weight = 1
    """Factor of the path's delay (microseconds) in the cost of an instance, under `joint` and `p2c`."""
    affinity_timeout_us: Annotated[int, BeforeValidator(_affinity_us)] = Field(
        30_000_000, alias="affinity_timeout"
    )
    """A flow idle for that many microseconds may be placed anew."""
    load_ttl_us: Microseconds = Field(500_000, alias="load_ttl")
    """A load older than that many microseconds counts as unknown."""
    normalisation: Normalisation = DEFAULT
    """How raw metrics of its instances become scores."""
    dead_after_us: Microseconds = Field(100_000, alias="dead_after")
    """An instance not heard for that many microseconds takes no new flow; 0: it always does."""
    tcp_request: Literal["connection", "exchange"] = "connection"
    """What of TCP is one request in flight: a connection, or, where connections are kept open for many, data
    from the client that waits for data."""


class ServiceTime(_Model):
    """Time that one request keeps one worker busy."""

    distribution: Distribution
    mean_us: Microseconds = Field(alias="mean")
    """Mean, in microseconds."""
    sigma: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Standard deviation of the logarithm; only `lognormal` reads it."""


class Instance(_Model):
    """A server process of one service on one host."""

    host: Name
    service: Name
    workers: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    service_time: ServiceTime
    weight: Annotated[int, Field(strict=True, ge=1, le=1024)] = 1
    """Share of new flows under `static`, relative to the service's other instances."""
    idle_power_w: Annotated[float, Field(ge=0)] = 0.0
    peak_power_w: Annotated[float, Field(ge=0)] = 0.0
    """Watts with no worker busy and with all busy: the documented power model."""
    id: Annotated[int, Field(strict=True, ge=1, lt=protocol.INSTANCES)] = 0
    """Instance identifier, unique in the topology; those not given are counted from 1 in order."""


INSTRUCTIONS = {
    "node": 0, "ports": 1, "latency": 2, "queue": 3, "ingress_time": 4, "egress_time": 5, "level2_ports": 6,
    "utilisation": 7, "buffer": 8, "checksum": 15,
}  # fmt: skip
"""Bits of the INT instruction bitmap by name (docs/protocol.md, 7.2)."""
Instruction = Literal[
    "node", "ports", "latency", "queue", "ingress_time", "egress_time", "level2_ports", "utilisation",
    "buffer", "checksum",
]  # fmt: skip
Share = Annotated[float, Field(gt=0, le=1)]


class Telemetry(_Model):
    """In-band telemetry: what is sampled, and the host that the reports go to."""

    collector: Name
    services: tuple[Name, ...] | None = None
    """Services whose requests and responses are sampled, None: all."""
    flow_share: Share = 1.0
    """Share of flows that are sampled; a flow is sampled whole or not at all."""
    packet_share: Share = 1.0
    """Share of the packets of those flows."""
    instructions: tuple[Instruction, ...] = (
        "node", "ports", "latency", "queue", "ingress_time", "egress_time",
    )  # fmt: skip
    """What every switch adds."""
    decision: bool = True
    """Let the source add why a request goes where it goes."""
    hops: Annotated[int, Field(strict=True, ge=1, le=255)] = 8
    """Switches that may add data."""


class Topology(_Model):
    """A whole network: switches, hosts, links, services and their instances."""

    name: Name
    switches: Annotated[dict[Name, Switch], Field(min_length=1, max_length=255)]
    hosts: dict[Name, Host] = {}
    links: tuple[Link, ...] = ()
    services: dict[Name, Service] = {}
    instances: tuple[Instance, ...] = ()
    telemetry: Telemetry | None = None
    authentication: Literal["mac", "none"] = "mac"
    """Whether metrics in packets carry a message authentication code under keys of the controller."""
    key_lifetime_us: Annotated[int, BeforeValidator(_lifetime_us)] = Field(600_000_000, alias="key_lifetime")
    """Microseconds after which the key of a site is changed."""
    metric_option: MetricOption = "blank"
    """blank: zeros instead of metrics reach a host; remove: the whole header goes (against RFC 8200, 4)."""

    @model_validator(mode="after")
    def _check(self) -> Topology:
        found = list(checks.problems(self))
        if found:
            text = "; ".join(f"{diagnostics.field(loc)}: {message}" for loc, message in found)
            raise PydanticCustomError("topology", "{text}", {"text": text, "problems": found})
        self._number_instances()
        return self

    def _number_instances(self) -> None:
        taken = {instance.id for instance in self.instances}
        free = (number for number in range(1, protocol.INSTANCES) if number not in taken)
        numbered = tuple(
            instance if instance.id else instance.model_copy(update={"id": next(free)})
            for instance in self.instances
        )
        self.__dict__["instances"] = numbered  # the model is frozen for everybody else

    @cached_property
    def sites(self) -> dict[str, tuple[Instance, ...]]:
        """Edge switches that have instances behind them, by name, in the order of the switches."""
        found: dict[str, tuple[Instance, ...]] = {}
        for switch in self.switches:
            here = tuple(item for item in self.instances if self.hosts[item.host].switch == switch)
            if here:
                found[switch] = here
        return found

    @cached_property
    def clients(self) -> tuple[str, ...]:
        """Names of the hosts that run no instance."""
        servers = {instance.host for instance in self.instances}
        return tuple(name for name in self.hosts if name not in servers)

    def ingress_of(self, host: str) -> str:
        """Return the name of a client's ingress CATS-Forwarder: its switch, or itself."""
        return host if self.hosts[host].steer else self.hosts[host].switch

    def site_of(self, instance: Instance) -> str:
        """Return the name of the site (the egress edge switch) of an instance."""
        return self.hosts[instance.host].switch

    def instances_of(self, service: str) -> tuple[Instance, ...]:
        """Return the instances of a service, in order."""
        return tuple(instance for instance in self.instances if instance.service == service)


class TopologyError(UserError):
    """A topology file that cannot be used.

    `lines` holds one problem each, `FILE:LINE: FIELD: what is wrong`; `str()` joins them.
    """

    def __init__(self, lines: list[str]):
        super().__init__("\n".join(lines))
        self.lines = lines


def load(path: str | Path) -> Topology:
    """Read a topology from a YAML file; TopologyError lists everything wrong with it."""
    try:
        document = diagnostics.read(path)
    except diagnostics.UnreadableError as error:
        raise TopologyError([str(error)]) from None
    try:
        return Topology.model_validate(document)
    except ValidationError as error:
        raise TopologyError(diagnostics.explain(path, document, error, Topology)) from None
