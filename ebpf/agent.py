"""The host agent: stamp and sense on every host of this kernel, beacons, reports.

    agent = Agent(AgentConfig.read(path))
    agent.start()            # programs attached, connections counted from here on
    agent.serve(stop_event)  # refresh, beacons, reports, until the event is set
    agent.stop()             # nothing left behind

The agent stays in its mount namespace (pins live there) and enters a host's network
namespace only to attach and to open a beacon socket. While it runs, stamping needs no help:
it only refreshes scores, service times and power, and proves to be alive. What it leaves when
killed, the next start removes.
"""

import logging
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from p4cats import netns
from p4cats.ebpf import normalise, power, system
from p4cats.ebpf.config import AgentConfig, HostConfig, InstanceConfig
from p4cats.ebpf.errors import ConfigError, EbpfError
from p4cats.ebpf.meter import Average, CpuUse, InstanceMeter, Metrics, Network, NetworkUse
from p4cats.ebpf.ownership import Ownership
from p4cats.ebpf.reporter import HttpReporter
from p4cats.ebpf.sense import Sense
from p4cats.ebpf.stamp import Stamp
from p4cats.errors import UserError
from p4cats.protocol import BEACON_PORT

_log = logging.getLogger(__name__)

Report = Callable[[Sequence[Metrics]], None]


@dataclass
class _Instance:
    config: InstanceConfig
    key: bytes
    meter: InstanceMeter
    beacon: socket.socket
    unreachable: set[str] = field(default_factory=set)


@dataclass
class _Host:
    config: HostConfig
    network: Network
    instances: list[_Instance]
    network_use: NetworkUse


class Agent:
    """The agent, from `start` to `stop`. `report` gets all instances' metrics at every report interval."""

    def __init__(self, config: AgentConfig, report: Report | None = None) -> None:
        self.config = config
        self._report = report
        self._cleanup = ExitStack()
        self._hosts: list[_Host] = []
        self._metrics: list[Metrics] = []
        self._cpu = CpuUse()
        self._cpu_use = Average()
        self._run_queue_us = Average()
        self._watts: float | None = None

    def start(self) -> None:
        """Attach everything; on any failure undo all of it and raise EbpfError."""
        system.require_root()
        with ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()

    def _start(self, stack: ExitStack) -> None:
        config = self.config
        owner = Ownership(config.run_dir, config.pin_dir)
        stack.callback(owner.release)
        if owner.clean_leftovers():
            _log.warning("removed what an agent that was killed had left")
        system.ensure_bpffs(config.pin_dir)
        owner.begin()
        self._stamp = Stamp(config.pin_dir)
        stack.callback(self._stamp.close)
        stack.callback(lambda: owner.sequences.update(self._sequences()))
        for host in config.hosts:
            self._hosts.append(self._add_host(host, owner, stack))
        self._sense = Sense(config.pin_dir)
        stack.callback(self._sense.close)
        self._sense.count_established({host.netns for host in config.hosts})
        self._last_run_queue = self._sense.run_queue()
        self._rapl = power.Rapl()
        self._use_rapl = self._rapl.readable and (
            config.power == "rapl" or (config.power == "auto" and len(config.hosts) == 1)
        )
        if config.power == "rapl" and not self._rapl.readable:
            raise ConfigError('power "rapl": no RAPL counters in /sys/class/powercap; use "model"')
        if self._report is None and config.controller_socket is not None:
            reporter = HttpReporter(config.controller_socket)
            stack.callback(reporter.close)
            self._report = reporter
        self.refresh()
        stack.callback(owner.detach)  # last in, first out: nothing is stamped while the rest goes
        for host in config.hosts:
            owner.add(self._stamp.attach(host.netns, host.interface))

    def _add_host(self, host: HostConfig, owner: Ownership, stack: ExitStack) -> _Host:
        inode = netns.inode(host.netns)
        with netns.entered(host.netns):
            network = Network(host, open("/proc/thread-self/net/dev"))  # noqa: SIM115  closed at the end
            stack.callback(network.close)
            instances = []
            for config in host.instances:
                beacon = _beacon_socket(host, config)
                stack.callback(beacon.close)
                key = self._stamp.key(inode, config.address)
                instances.append(_Instance(config, key, InstanceMeter(config), beacon))
        layout = self._stamp.counters.value_layout
        for instance in instances:
            sequence = owner.sequences.get(instance.config.instance, 0)
            self._stamp.counters.update(instance.key, layout.encode({"sequence": sequence}))
            self._write(host, instance, None)
        return _Host(host, network, instances, NetworkUse(0.0, 0.0))

    def serve(self, stop: threading.Event) -> None:
        """Refresh, send beacons and report, each at its interval, until `stop` is set."""
        ttl = self.config.udp_request_ttl_ms
        duties: list[tuple[float, Callable[[], None]]] = [
            (self.config.refresh_interval_ms / 1000, self.refresh),
            (self.config.beacon_interval_ms / 1000, self.send_beacons),
            (self.config.report_interval_ms / 1000, self.report),
            (min(ttl / 4, 1000) / 1000, self.age_udp_requests),
        ]
        start = time.monotonic()
        due = [start + interval for interval, _ in duties]
        while not stop.wait(max(0.0, min(due) - time.monotonic())):
            for i, (interval, duty) in enumerate(duties):
                now = time.monotonic()
                if now >= due[i]:
                    duty()
                    # After a stall go on from now: a burst of old beacons helps nobody.
                    due[i] = max(due[i] + interval, now)

    def stop(self) -> None:
        """Detach, unpin and close everything."""
        self._cleanup.close()

    # -- duties

    def refresh(self) -> None:
        """Read the node's metrics and the kernel's counters; write what the stamps need of them."""
        now = time.monotonic()
        run_queue = self._sense.run_queue()
        self._run_queue_us.add(run_queue.mean_us_since(self._last_run_queue))
        self._last_run_queue = run_queue
        self._cpu_use.add(self._cpu.read())
        if self._use_rapl:
            self._watts = self._rapl.power_w() or self._watts
        for host in self._hosts:
            host.network_use = host.network.read(now)
            for instance in host.instances:
                instance.meter.learn(self._counters(instance))
        self._publish()

    def _publish(self) -> None:
        """Write scores, service time and power of every instance for the stamps."""
        compute = normalise.compute(self._cpu_use.value, self._run_queue_us.value)
        everything = []
        for host in self._hosts:
            for instance in host.instances:
                metrics = instance.meter.metrics(
                    self._counters(instance),
                    compute=compute,
                    network=host.network_use,
                    run_queue_us=self._run_queue_us.value,
                    measured_w=self._watts,
                )
                self._write(host.config, instance, metrics)
                everything.append(metrics)
        self._metrics = everything

    def send_beacons(self) -> None:
        """Send a datagram from every instance to each of its forwarders; stamp adds the metrics."""
        for host in self._hosts:
            for instance in host.instances:
                for forwarder in instance.config.beacons:
                    self._send_beacon(instance, str(forwarder))

    def report(self) -> None:
        """Hand the latest metrics to the report callback."""
        if self._report is not None:
            self._report(self._metrics)

    def age_udp_requests(self) -> None:
        """Give up UDP requests of client sockets that got no answer for the time-to-live.

        A flow (client socket and service) counts its requests and answers. What is
        still waiting when a flow has had no answer, and no first request, for the time-to-live was
        lost: it leaves the count. A client that keeps one socket busy and loses some of its
        requests keeps that surplus until it pauses for so long.
        """
        limit = time.monotonic_ns() - self.config.udp_request_ttl_ms * 1_000_000
        flows = self._stamp.udp_flows
        value, size = flows.value_layout, self._stamp.instances.info.key_size
        idle = [key for key, raw in flows.items_batch() if int(value.decode(raw)["active_ns"]) < limit]
        by_key = {i.key: (host.config, i) for host in self._hosts for i in host.instances}
        for key in idle:
            raw = flows.pop(key)
            owner = by_key.get(key[:size])
            if raw is None or owner is None:
                continue
            owner[1].meter.udp_aged += max(0, int(value.decode(raw)["waiting"]))
        if idle:
            self._publish()

    # -- what it knows

    def metrics(self) -> list[Metrics]:
        """Return all instances' metrics as of the last refresh."""
        return self._metrics

    def stats(self) -> dict[str, int]:
        """Return what stamp did with packets, by reason."""
        return self._stamp.stats()

    # -- details

    def _counters(self, instance: _Instance) -> dict[str, Any]:
        raw = self._stamp.counters.lookup(instance.key)
        if raw is None:
            raise EbpfError(
                f"the entry of instance {instance.config.instance} vanished from the counters map"
            )
        return self._stamp.counters.value_layout.decode(raw)

    def _write(self, host: HostConfig, instance: _Instance, metrics: Metrics | None) -> None:
        """Write a struct p4cats_instance; without metrics it is known but not stamped yet."""
        config, meter = instance.config, instance.meter
        fields: dict[str, int | bytes] = {
            "udp_aged": meter.udp_aged,
            "instance": config.instance,
            "service_time_us": meter.service_time_us,
            "workers": config.workers,
            "path_mtu": host.path_mtu,
            "port": config.port,
        }
        if metrics is not None:
            lifetime = self.config.stale_after_ms * 1_000_000
            fields |= metrics.scores.as_dict()
            fields |= {"valid_until_ns": time.monotonic_ns() + lifetime, "power_mw": metrics.power_mw}
        self._stamp.instances.update(instance.key, self._stamp.instances.value_layout.encode(fields))

    def _send_beacon(self, instance: _Instance, forwarder: str) -> None:
        try:
            instance.beacon.sendto(b"", (forwarder, BEACON_PORT))
            instance.unreachable.discard(forwarder)
        except OSError as error:  # no route yet, link down, buffer full: the next one may get through
            if forwarder not in instance.unreachable:
                instance.unreachable.add(forwarder)
                _log.warning("beacon of instance %d to %s: %s", instance.config.instance, forwarder, error)

    def _sequences(self) -> dict[int, int]:
        everything = [i for host in self._hosts for i in host.instances]
        return {i.config.instance: int(self._counters(i)["sequence"]) for i in everything}


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


def run(
    config: AgentConfig,
    report: Report | None = None,
    stop: threading.Event | None = None,
    ready: Callable[[Agent], None] | None = None,
) -> None:
    """Run an agent until `stop` is set; `ready` is called when everything is attached."""
    agent = Agent(config, report)
    agent.start()
    try:
        if ready is not None:
            ready(agent)
        agent.serve(stop or threading.Event())
    finally:
        agent.stop()


def run_agent(config_path: Path) -> int:
    """Run the agent of a configuration file until SIGTERM or SIGINT; return the exit code."""
    logging.basicConfig(level=logging.WARNING, format="p4cats agent: %(message)s", stream=sys.stderr)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    began = time.monotonic()

    def ready(agent: Agent) -> None:
        hosts = len(agent.config.hosts)
        instances = sum(len(host.instances) for host in agent.config.hosts)
        print(
            f"agent ready: {instances} instances at {hosts} hosts ({time.monotonic() - began:.1f} s)",
            flush=True,
        )

    try:
        run(AgentConfig.read(config_path), stop=stop, ready=ready)
    except UserError as error:
        print(f"p4cats agent: {error}", file=sys.stderr)
        return 1
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m p4cats.ebpf.agent CONFIG`."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    if len(arguments) != 1:
        print("usage: python -m p4cats.ebpf.agent CONFIG.json", file=sys.stderr)
        return 2
    return run_agent(Path(arguments[0]))


if __name__ == "__main__":
    sys.exit(main())
