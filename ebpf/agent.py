"""The host agent: stamp and sense on every host of this kernel, beacons, reports.

    agent = Agent(AgentConfig.read(path))
    agent.start()      # programs attached, connections counted from here on
    agent.serve()      # refresh, beacons, reports, until `end` is called
    agent.stop()       # nothing left behind

The agent stays in its mount namespace (pins live there) and enters a host's network
namespace only to attach and to open a beacon socket. While it runs, stamping needs no help:
it only refreshes scores, service times and power, and proves to be alive. What it leaves when
killed, the next start removes. `end`, `reload` and `take_keys` may be called from other threads and
from signal handlers; everything else happens in the thread of `serve`.
"""

import logging
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from p4cats.ebpf import power, system
from p4cats.ebpf.config import AgentConfig, HostConfig
from p4cats.ebpf.counters import Counters
from p4cats.ebpf.errors import ConfigError
from p4cats.ebpf.hosts import Host, Instance, Stamped, place
from p4cats.ebpf.keys import Key, Keyring
from p4cats.ebpf.libbpf import RingBuffer
from p4cats.ebpf.meter import InstanceMeter, Metrics, NodeUse
from p4cats.ebpf.ownership import Ownership
from p4cats.ebpf.reporter import HttpReporter, Report, Stamping, Steered, Told
from p4cats.ebpf.sense import Sense
from p4cats.ebpf.stamp import Stamp
from p4cats.ebpf.steer import Steering
from p4cats.ebpf.view import View
from p4cats.errors import UserError
from p4cats.protocol import FLAG_DRAINING

_log = logging.getLogger(__name__)

LAST_BEACONS = 3
"""With flag D, when an instance is taken out of service (docs/protocol.md, 5)."""
STAMPING_TOLD_S = 1.0
"""Reports tell what became of packets not more often than that."""
_FIXED = (
    *("pin_dir", "run_dir", "controller_socket", "authentication", "power"),
    *("refresh_min_ms", "flows", "tcp_connections"),
)
"""What a reload cannot change."""


class Agent:
    """The agent, from `start` to `stop`. `report` gets all instances' metrics at every report interval."""

    def __init__(self, config: AgentConfig, report: Callable[[Report], None] | None = None) -> None:
        self.config = config
        self._report = report
        self._cleanup = ExitStack()
        self._hosts: dict[tuple[Path | None, str], Host] = {}
        self._meters: dict[int, InstanceMeter] = {}
        self._node = NodeUse(0.0, 0.0)
        self._ended = threading.Event()
        self._reload_from: Path | None = None
        self._told: deque[Told] = deque()
        self._stamping_due_s = 0.0
        self.looks = 0
        """So far: how fine the agent's own view is."""

    def start(self) -> None:
        """Attach everything; on any failure undo all of it and raise EbpfError."""
        system.require_root()
        with ExitStack() as stack:
            self._start(stack)
            self._cleanup = stack.pop_all()

    def _start(self, stack: ExitStack) -> None:
        config = self.config
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        stack.callback(os.close, self._wake)
        self._owner = Ownership(config.run_dir, config.pin_dir)
        stack.callback(self._owner.release)
        stack.callback(self._owner.clean_left_steering)
        if self._owner.clean_leftovers():
            _log.warning("removed what an agent that was killed had left")
        system.ensure_bpffs(config.pin_dir)
        self._owner.begin()
        self._stamp = Stamp(config.pin_dir, config.flows, config.tcp_connections)
        stack.callback(self._stamp.close)
        self._counters = Counters(self._stamp.counters)
        stack.callback(self._counters.close)
        self._keyring = Keyring(self._stamp.keys, self._owner.used)
        stack.callback(self._remember_keys)
        self._changes = RingBuffer(self._stamp.changes, self._changed)
        stack.callback(self._changes.close)
        stack.callback(self._close_hosts)
        for item in config.hosts:
            self._add_host(item)
        self._sense = Sense(config.pin_dir, self._stamp.tcp_sets, config.refresh_min_ms)
        stack.callback(self._sense.close)
        self._sense.count_established({host.netns for host in config.hosts if host.instances})
        self._rapl = power.Rapl()
        self._use_rapl = self._rapl.readable and (
            config.power == "rapl" or (config.power == "auto" and len(config.hosts) == 1)
        )
        if config.power == "rapl" and not self._rapl.readable:
            raise ConfigError('power "rapl": no RAPL counters in /sys/class/powercap; use "model"')
        if self._report is None and config.controller_socket is not None:
            reporter = HttpReporter(config.controller_socket, self.take)
            stack.callback(reporter.close)
            self._report = reporter
        self.refresh()
        stack.callback(self._owner.detach)  # last in, first out: nothing is stamped while the rest goes
        self._keys_change()
        for host in self._hosts.values():
            self._attach(host, host.config)
            self._steer(host, host.config)
        self._owner.clean_left_steering()
        stack.callback(lambda: self._retire(self._instances()))

    def stop(self) -> None:
        """Tell the forwarders that the instances take no new flows; detach, unpin and close everything."""
        self._cleanup.close()

    # -- from other threads and signal handlers

    def end(self) -> None:
        """Let `serve` return."""
        self._ended.set()
        os.eventfd_write(self._wake, 1)

    def reload_from(self, path: Path) -> None:
        """Let `serve` read the configuration again."""
        self._reload_from = path
        os.eventfd_write(self._wake, 1)

    def take_keys(self, keys: Mapping[int, Key]) -> None:
        """Let `serve` stamp with new keys, by instance."""
        self.take(Told(dict(keys), {}))

    def take(self, told: Told) -> None:
        """Let `serve` do what the controller wants."""
        self._told.append(told)
        os.eventfd_write(self._wake, 1)

    # -- the loop

    def serve(self) -> None:
        """Refresh, send beacons and report, each in its time, until `end`."""
        poll = select.epoll()
        poll.register(self._wake, select.EPOLLIN)
        poll.register(self._changes.fileno(), select.EPOLLIN)
        now = time.monotonic()
        duties: list[Callable[[float], float]] = [
            self._look, self._report_all, self._age, self._send_due_beacons
        ]  # fmt: skip
        due = [now] * len(duties)
        with poll:
            while not self._ended.is_set():
                for fd, _ in poll.poll(max(0.0, min(due) - time.monotonic())):
                    if fd == self._wake:
                        if self._woken():
                            due = [0.0] * len(duties)
                    else:
                        self._changes.consume()
                        due[-1] = self._beacons_due()
                        due[0] = min(due[0], _after(time.monotonic(), self.config.refresh_min_ms))
                for i, duty in enumerate(duties):
                    now = time.monotonic()
                    if now >= due[i]:
                        # After a stall go on from now: a burst of old beacons helps nobody.
                        due[i] = max(duty(now), now)

    def _woken(self) -> bool:
        """Do what others have asked for; return whether anything has changed."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        changes = []
        told = [self._told.popleft() for _ in range(len(self._told))]
        for item in told:
            changes += [self._keyring.give(*pair) for pair in item.keys.items()]
        if any(changes):
            self._keys_change()
        for item in told:
            changes += [self._take_view(name, *view) for name, view in item.views.items()]
        path, self._reload_from = self._reload_from, None
        if path is not None:
            try:
                self.reload(AgentConfig.read(path))
                changes.append(True)
            except UserError as error:
                _log.warning("%s (not reloaded)", error)
        return any(changes)

    def _look(self, now: float) -> float:
        """Look seldom while nothing changes, and soon when something has (see `serve`).

        In flight, service time and expected wait need no look: the programs know them at every packet. They,
        and the timer that reads the scheduler, say when one has moved.
        """
        self.looks += 1
        self.refresh()
        return _after(now, self.config.refresh_interval_ms)

    def _report_all(self, now: float) -> float:
        self.report()
        return _after(now, self.config.report_interval_ms)

    def _age(self, now: float) -> float:
        if any(instance.meter.in_flight for instance in self._instances()):
            self.age_requests()
        return _after(now, min(self.config.request_ttl_ms / 4, 1000))

    # -- duties

    def refresh(self) -> None:
        """Read the node's metrics and the programs' counters; write what stamps need of them."""
        now = time.monotonic()
        self._read_node()
        for host in self._hosts.values():
            host.read(now)
            for instance in host.instances.values():
                instance.meter.learn(self._counters.of(instance.id), now)
                self._publish(instance)

    def _read_node(self) -> None:
        load = self._sense.node()
        watts = (self._rapl.power_w() or self._node.measured_w) if self._use_rapl else None
        self._node = NodeUse(load.cpu_use, load.run_queue_us, watts)

    def send_beacons(self) -> None:
        """Send a beacon from every instance."""
        for instance in self._instances():
            instance.send_beacon()

    def _send_due_beacons(self, now: float) -> float:
        for instance in self._instances():
            if now >= instance.beacon_due_s:
                instance.send_beacon()
                instance.last_beacon_s = now
                earliest = now + self.config.beacon_min_ms / 1000
                instance.beacon_due_s = max(earliest, _after(now, self.config.beacon_interval_ms))
        return self._beacons_due()

    def _beacons_due(self) -> float:
        never = time.monotonic() + 3600.0
        return min((i.beacon_due_s for i in self._instances() if i.config.beacons), default=never)

    def _changed(self, record: bytes) -> None:
        """Let an instance's beacon be early: its expected wait is not what the last one told.

        No instance has the number 0, which stands for the node.
        """
        number = int.from_bytes(record[:4], sys.byteorder)
        earliest = self.config.beacon_min_ms / 1000
        for host in self._hosts.values():
            if (instance := host.instances.get(number)) is not None:
                instance.beacon_due_s = min(instance.beacon_due_s, instance.last_beacon_s + earliest)

    def report(self) -> None:
        """Hand the latest metrics to the report callback."""
        if self._report is not None:
            key_ids = self._keyring.key_ids()
            fresh = self._keyring.fresh() if key_ids else ()
            steered = dict(self._steered())
            self._report(Report(self.metrics(), key_ids, fresh, steered, self._stamping()))

    def _stamping(self) -> Stamping | None:
        """What became of packets, once in a while: reading it takes a system call and a row of every CPU."""
        now = time.monotonic()
        if now < self._stamping_due_s:
            return None
        self._stamping_due_s = now + STAMPING_TOLD_S
        return Stamping(str(self.config.run_dir), self.stats())

    def age_requests(self) -> None:
        """Give up datagrams and exchanges of client sockets that got no answer for the time-to-live.

        A flow (client socket and service) counts the requests that wait. What still waits when
        the flow has been silent for the time-to-live was lost: it leaves the count. A client that keeps one
        socket busy and loses some of its requests keeps that surplus until it pauses for so long.
        """
        self._stamp.give_up_before(time.monotonic_ns() - self.config.request_ttl_ms * 1_000_000)

    # -- what it knows

    def metrics(self) -> list[Metrics]:
        """Return all instances' metrics as of the last refresh, by instance id."""
        instances = sorted(self._instances(), key=lambda instance: instance.id)
        return [i.meter.metrics(self._node, i.host.network_use) for i in instances]

    def stats(self) -> dict[str, int]:
        """Return what stamp did with packets, by reason."""
        return self._stamp.stats()

    # -- hosts and instances

    def reload(self, config: AgentConfig) -> None:
        """Change to another configuration: what it has in common with the old goes on undisturbed.

        UserError if it cannot be used; then nothing has changed, but for a host that cannot steer as the
        configuration says (it has no route to a service, say): it steers no more.
        """
        for name in _FIXED:
            if getattr(config, name) != getattr(self.config, name):
                raise ConfigError(f"{name} cannot change while the agent runs: start it anew")
        wanted = {place(host): host for host in config.hosts}
        with ExitStack() as undo:
            added = {at: self._prepare(host, undo) for at, host in wanted.items()}
            undo.pop_all()
        gone = [i for i in self._instances() if not _stays(i, wanted)]
        self._retire(gone)
        for instance in gone:
            self._forget(instance)
        for at in self._hosts.keys() - wanted.keys():
            self._close_host(self._hosts.pop(at))
        self.config = config
        for at, (host, instances) in added.items():
            self._hosts[at] = host
            host.configure(wanted[at])
            for instance in instances:
                self._enter(host, instance)
        self._keys_change()
        self._sense.count_established({host.config.netns for host, instances in added.values() if instances})
        self.refresh()
        for host in self._hosts.values():
            self._steer(host, host.config)

    def _prepare(self, config: HostConfig, undo: ExitStack) -> tuple[Host, list[Instance]]:
        """Open what a host of a new configuration needs and does not have yet; `undo` closes it."""
        host = self._hosts.get(place(config))
        if host is None:
            host = Host.open(config)
            undo.callback(self._close_host, host)
        if host.attachment is None:
            undo.callback(self._detach, host)
            self._attach(host, config)
        if config.steer is not None:
            Steering.check(config.netns, config.steer.address)
        instances = []
        for item in config.instances:
            known = host.instances.get(item.instance)
            if known is not None and known.config.address == item.address:
                continue
            self._keyring.check(item.instance, item.configured_key())
            instance = host.open_instance(item, self._meters)
            undo.callback(instance.close)
            instances.append(instance)
        return host, instances

    def _add_host(self, config: HostConfig) -> None:
        host = Host.open(config)
        self._hosts[place(config)] = host
        for item in config.instances:
            self._keyring.check(item.instance, item.configured_key())
            self._enter(host, host.open_instance(item, self._meters))

    def _enter(self, host: Host, instance: Instance) -> None:
        """Make an opened instance one of a host's: it is counted from here on, and stamps when refreshed."""
        self._meters[instance.id] = instance.meter
        host.instances[instance.id] = instance
        authenticated = self.config.authentication == "mac"
        self._keyring.add(instance.id, instance.config.configured_key(), authenticated=authenticated)
        self._write(instance, None)

    def _attach(self, host: Host, config: HostConfig) -> None:
        """Let stamp see a host's packets, if that is needed and not so yet."""
        if config.instances and host.attachment is None:
            host.attachment = self._stamp.attach(config.netns, config.interface, self._owner.made_qdisc)
            self._owner.add(host.attachment)

    def _steer(self, host: Host, config: HostConfig) -> None:
        """Let a host steer as its configuration says, or no more; flows that it has placed stay."""
        if config.steer is None:
            self._steer_no_more(host)
            return
        if host.steering is None:
            host.steering = Steering(
                config.netns, config.interface, config.steer.address, self.config.pin_dir
            )
        elif host.steering.headend == config.steer.address:
            if config.steer.view is not None:
                host.steering.apply(config.steer.view)
            return
        else:
            host.steering.load(config.steer.address)
        if config.steer.view is not None:
            host.steering.apply(config.steer.view)
        try:
            self._owner.add_steering(host.steering.attach(self._owner.made_qdisc), host.steering.pins)
        except UserError:
            self._steer_no_more(host)
            raise

    def _steer_no_more(self, host: Host) -> None:
        if host.steering is not None:
            host.steering.close()
            self._owner.remove_steering(host.steering.pins)
            host.steering = None

    def _take_view(self, name: str, revision: str, view: View) -> bool:
        """Let a host choose from what the controller says; return whether it does."""
        for host in self._hosts.values():
            if host.steering is None or host.config.steer is None or host.config.steer.host != name:
                continue
            try:
                host.steering.apply(view)
            except UserError as error:
                if str(error) != host.steering.complaint:
                    _log.warning("%s: %s", name, error)
                host.steering.complaint = str(error)
            else:
                host.steering.revision, host.steering.complaint = revision, ""
                return True
        return False

    def _steered(self) -> Iterator[tuple[str, Steered]]:
        """Yield what hosts say that steer as the controller wants."""
        for host in self._hosts.values():
            if host.steering is None or host.config.steer is None or host.config.steer.host is None:
                continue
            host.steering.look()
            steering = host.steering
            found = Steered(steering.revision, steering.counts(), steering.stats(), steering.loads())
            yield host.config.steer.host, found

    def _retire(self, instances: Sequence[Instance]) -> None:
        """Tell the forwarders that no new flow may come."""
        for instance in instances:
            self._publish(instance, draining=True)
            for _ in range(LAST_BEACONS):
                instance.send_beacon()

    def _forget(self, instance: Instance) -> None:
        self._stamp.instances.delete(instance.service)
        self._keyring.remove(instance.id)
        for host in self._hosts.values():
            if host.instances.get(instance.id) is instance:
                del host.instances[instance.id]
        instance.close()

    def _close_host(self, host: Host) -> None:
        self._detach(host)
        self._steer_no_more(host)
        host.close()

    def _detach(self, host: Host) -> None:
        if host.attachment is not None:
            self._owner.remove(host.attachment)
            host.attachment = None

    def _close_hosts(self) -> None:
        for host in self._hosts.values():
            host.close()

    # -- details

    def _instances(self) -> list[Instance]:
        return [i for host in self._hosts.values() for i in host.instances.values()]

    def _keys_change(self) -> None:
        """Write down which keys are in use, before they are: see Ownership.running."""
        self._owner.running(self._keyring.used(), (i.id for i in self._instances()))

    def _remember_keys(self) -> None:
        self._owner.used = self._keyring.used()

    def _publish(self, instance: Instance, *, draining: bool = False) -> None:
        """Write scores and power for an instance's stamps, where the kernel does not hold them for long."""
        config, meter = instance.config, instance.meter
        wanted = Stamped(
            meter.scores(self._node, instance.host.network_use),
            meter.power_mw(self._node.measured_w),
            config,
            draining or config.draining,
        )
        now, lifetime = time.monotonic_ns(), self.config.stale_after_ms * 1_000_000
        held = instance.stamped is not None and wanted.is_nearly(instance.stamped)
        if not held or instance.valid_until_ns - now < lifetime // 2:
            instance.stamped, instance.valid_until_ns = wanted, now + lifetime
            self._write(instance, wanted)

    def _write(self, instance: Instance, stamped: Stamped | None) -> None:
        """Write a struct p4cats_instance; None: the instance is known but not stamped yet."""
        config = instance.config
        fields: dict[str, int | bytes] = {
            "instance": config.instance,
            "service_time_us": config.service_time_us,
            "measure": int(config.measure_service_time),
            "workers": config.workers,
            "path_mtu": instance.host.config.path_mtu,
            "port": config.port,
            "exchanges": int(config.tcp_request == "exchange"),
        }
        if stamped is not None:
            fields |= {
                **stamped.scores.as_dict(),
                "power_mw": stamped.power_mw,
                "flags": FLAG_DRAINING if stamped.draining else 0,
                "valid_until_ns": instance.valid_until_ns,
            }
        self._stamp.instances.update(instance.service, self._stamp.instances.value_layout.encode(fields))


def _after(now: float, interval_ms: float) -> float:
    """Return the next multiple of an interval, in seconds: duties with intervals alike share a wake-up."""
    interval = interval_ms / 1000
    return (now // interval + 1) * interval


def _stays(instance: Instance, wanted: Mapping[tuple[Path | None, str], HostConfig]) -> bool:
    """Whether an instance is the same in a new configuration: host and address are what makes it so."""
    host = wanted.get(place(instance.host.config))
    return host is not None and any(
        (i.instance, i.address) == (instance.id, instance.config.address) for i in host.instances
    )


def run(
    config: AgentConfig,
    report: Callable[[Report], None] | None = None,
    ready: Callable[[Agent], None] | None = None,
) -> None:
    """Run an agent until its `end` is called; `ready` is called when everything is attached."""
    agent = Agent(config, report)
    agent.start()
    try:
        if ready is not None:
            ready(agent)
        agent.serve()
    finally:
        agent.stop()


def run_agent(config_path: Path) -> int:
    """Run the agent of a configuration file until SIGTERM or SIGINT; SIGHUP: read the file again."""
    logging.basicConfig(level=logging.WARNING, format="p4cats agent: %(message)s", stream=sys.stderr)
    began = time.monotonic()
    ended = threading.Event()
    running: list[Agent] = []

    def end(*_: object) -> None:
        ended.set()
        for agent in running:
            agent.end()

    def read_again(*_: object) -> None:
        for agent in running:
            agent.reload_from(config_path)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    signal.signal(signal.SIGHUP, read_again)

    def ready(agent: Agent) -> None:
        running.append(agent)
        if ended.is_set():
            agent.end()
        hosts = len(agent.config.hosts)
        instances = sum(len(host.instances) for host in agent.config.hosts)
        print(
            f"agent ready: {instances} instances at {hosts} hosts ({time.monotonic() - began:.1f} s)",
            flush=True,
        )

    try:
        run(AgentConfig.read(config_path), ready=ready)
    except UserError as error:
        print(f"p4cats agent: {error}", file=sys.stderr)
        return 1
    finally:
        running.clear()  # a late signal finds nothing to wake
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
