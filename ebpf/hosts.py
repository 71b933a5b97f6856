"""Hosts and instances of a running agent: what is open for each, and when its next beacon is due."""

from __future__ import annotations

import logging
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address
from pathlib import Path
from typing import NamedTuple

from p4cats import netns
from p4cats.ebpf.config import HostConfig, InstanceConfig
from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.meter import InstanceMeter, Network, NetworkUse
from p4cats.ebpf.normalise import Scores
from p4cats.ebpf.sockets import Listening, Processes, Sockets
from p4cats.ebpf.stamp import Attachment, service_key
from p4cats.ebpf.steer import Steering
from p4cats.protocol import BEACON_PORT

_log = logging.getLogger(__name__)
_ANY = IPv6Address("::")


class Stamped(NamedTuple):
    """What is written for an instance's stamps."""

    scores: Scores
    power_mw: int
    config: InstanceConfig
    draining: bool

    def is_nearly(self, other: Stamped) -> bool:
        """Whether another differs by less than 1/64 in power, and not in the rest."""
        return abs(self.power_mw - other.power_mw) * 64 <= other.power_mw and self == other._replace(
            power_mw=self.power_mw
        )


@dataclass(eq=False)
class Instance:
    """One instance. Its meter outlives it: what the kernel has counted goes on if it comes back."""

    config: InstanceConfig
    host: Host
    service: bytes
    """Key of the map `instances`."""
    meter: InstanceMeter
    beacon: socket.socket
    processes: Processes = field(default_factory=Processes)
    last_beacon_s: float = 0.0
    """CLOCK_MONOTONIC, as is the next one's due time."""
    beacon_due_s: float = 0.0
    valid_until_ns: int = 0
    stamped: Stamped | None = None
    """What the kernel holds of it; None: it is known, but not stamped."""
    _forwarders: tuple[str, ...] = ()
    _forwarders_of: InstanceConfig | None = None
    """The configuration that they are of."""
    _unreachable: set[str] = field(default_factory=set)

    @property
    def id(self) -> int:
        """The instance's number."""
        return self.config.instance

    def serves(self, listening: Listening) -> bool:
        """Whether requests for the service arrive at a socket."""
        return listening.port == (self.config.port or listening.port) and (
            listening.address in {self.config.address, _ANY}
        )

    def send_beacon(self) -> None:
        """Send a datagram without data to each ingress forwarder; the stamp is its content."""
        if self._forwarders_of is not self.config:
            self._forwarders_of = self.config
            self._forwarders = tuple(str(address) for address in self.config.beacons)
        for forwarder in self._forwarders:
            try:
                self.beacon.sendto(b"", (forwarder, BEACON_PORT))
                self._unreachable.discard(forwarder)
            except OSError as error:  # no route yet, link down, buffer full: the next may get through
                if forwarder not in self._unreachable:
                    self._unreachable.add(forwarder)
                    _log.warning("beacon of instance %d to %s: %s", self.id, forwarder, error)

    def close(self) -> None:
        """Close the socket."""
        self.beacon.close()


@dataclass
class Host:
    """One host: a network namespace, its interface, and the instances there."""

    config: HostConfig
    inode: int
    """Of the namespace."""
    network: Network
    sockets: Sockets
    instances: dict[int, Instance] = field(default_factory=dict)
    network_use: NetworkUse = field(default_factory=NetworkUse)
    attachment: Attachment | None = None
    """Of stamp."""
    steering: Steering | None = None
    _read_s: float = 0.0

    @classmethod
    def open(cls, config: HostConfig) -> Host:
        """Enter the namespace and open what reads of the interface need; UserError if there is none."""
        inode = netns.inode(config.netns)
        with netns.entered(config.netns):
            return cls(
                config,
                inode,
                Network(config, open("/proc/thread-self/net/dev", "rb", buffering=0)),
                Sockets(),
            )

    def open_instance(self, config: InstanceConfig, meters: Mapping[int, InstanceMeter]) -> Instance:
        """Open an instance's socket; it is not yet one of the host's. ConfigError for a wrong address."""
        with netns.entered(self.config.netns):
            beacon = _beacon_socket(self.config, config)
        service = service_key(self.inode, config.address)
        meter = meters.get(config.instance) or InstanceMeter(config)
        return Instance(config, self, service, meter, beacon)

    def read(self, now_s: float) -> None:
        """Read the interface, the accept queues and the service processes' CPU time."""
        self.network_use = self.network.read(now_s)
        passed_s, self._read_s = now_s - self._read_s, now_s
        if not self.instances:
            return
        self._read_sockets(now_s)
        for instance in self.instances.values():
            instance.meter.learn_cpu(instance.processes.cpu_s(), passed_s)

    def _read_sockets(self, now_s: float) -> None:
        """Read the accept queues, and from time to time whose sockets they are.

        Nobody waits in them while no connection is in flight: then the kernel is not asked.
        """
        searching = [i for i in self.instances.values() if i.processes.wants(now_s)]
        asked = searching or any(i.meter.tcp_in_flight for i in self.instances.values())
        listening = self.sockets.tcp() if asked else []
        udp = self.sockets.udp() if searching else []
        for instance in self.instances.values():
            own = [s for s in listening if instance.serves(s)]
            if asked:
                instance.meter.accept_backlog = sum(s.queued for s in own) if own else None
            elif instance.meter.accept_backlog:
                instance.meter.accept_backlog = 0
            if instance in searching:
                own += [s for s in udp if instance.serves(s)]
                instance.processes.search([s.inode for s in own], now_s)

    def configure(self, config: HostConfig) -> None:
        """Take another configuration over, of the instances that are here too."""
        self.config = self.network.host = config
        for item in config.instances:
            known = self.instances.get(item.instance)
            if known is not None:
                known.config = known.meter.config = item

    def close(self) -> None:
        """Close everything of the host's; it steers no more."""
        if self.steering is not None:
            self.steering.close()
        for instance in self.instances.values():
            instance.close()
        self.network.close()
        self.sockets.close()


def place(config: HostConfig) -> tuple[Path | None, str]:
    """Return what makes a host of a configuration the same as one of another."""
    return config.netns, config.interface


def _beacon_socket(host: HostConfig, config: InstanceConfig) -> socket.socket:
    """Open a socket in the current namespace that sends from the service address."""
    beacon = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    beacon.setblocking(False)
    try:
        beacon.bind((str(config.address), 0))
    except OSError as error:
        beacon.close()
        raise ConfigError(
            f"instance {config.instance}: {config.address} is not an address of its host"
            f" ({host.netns or 'this namespace'}): ip -6 addr add {config.address}/128 dev lo"
        ) from error
    return beacon
