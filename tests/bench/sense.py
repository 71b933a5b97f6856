"""Host hooks: what measuring takes of a CPU under load and at rest, and beacons and reports besides.

The agent's share is its threads' CPU clocks. That of its programs comes from kernel.bpf_stats_enabled,
less what empty programs show at the same hooks at the same time: reading the clock twice. Both hold what
other work on the machine makes of caches. Clients and server share the machine, so that the tracepoints see
both ends of each connection.
"""

from __future__ import annotations

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from host_bed import (
    PORT,
    SERVICE,
    Hosts,
    Rows,
    agent_cpu_s,
    differences,
    forwarders_at,
    make_hosts,
    requests_tool,
    running,
    services_at,
    serving,
    spawn,
)

from p4cats import netns, protocol
from p4cats.ebpf import build
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.libbpf import Object, ProgramInfo, TcHook, program_info
from p4cats.ebpf.sense import compile_with_bcc

REQUESTS_PER_S = 10_000
TCP_SHARE = 0.2
"""Of the requests; a connection makes ten packets and as many calls, a datagram two."""
STEP_S = 1.5
"""Of a load step, until averages over a second have followed."""
LOAD_S = 4.0
LOAD_RUNS = 5
BEACON_S = 3.0
BEACON_RUNS = 3
MANY_FORWARDERS = 50
MANY_INSTANCES = 50
BEACON_BYTES = 14 + 40 + protocol.HBH_BYTES + 8
"""Ethernet, IPv6, the option, UDP."""
SWITCHES = 800_000
STORM_RUNS = 5
BPF_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")
HOOKS = ("requests", "tcp", "sched")
"""Of sense: datagrams in, states of connections, context switches."""


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    with make_hosts() as hosts, requests_tool() as tool:
        forwarders_at(hosts)
        yield from sensing(hosts, tool)
        yield from whole_host(hosts, tool)
        yield from instances(hosts)
        yield from beacons(hosts)
        yield from switch_storm(hosts, tool)


def sensing(hosts: Hosts, tool: Path) -> Rows:
    """Shares of one CPU of what measures, with neither beacons nor reports; how often the agent looks."""
    found = _shares(hosts, tool, forwarders=0, reports=False)
    yield "sense.cpu_percent", "% of a CPU", [s.sense for s in found.load]
    yield "sense.agent_percent", "% of a CPU", [s.agent for s in found.load]
    yield "sense.hooks_percent", "% of a CPU", [s.hooks(*HOOKS) for s in found.load]
    yield "sense.timer_percent", "% of a CPU", [s.timer for s in found.load]
    yield "sense.step_percent", "% of a CPU", [s.sense for s in found.step]
    yield "sense.idle_percent", "% of a CPU", [s.sense for s in found.idle]
    yield "sense.reading_ms", "ms", [s.reading_ms for s in found.load]
    yield "sense.look_ms", "ms", [s.look_ms for s in found.load]
    yield "sense.clock_ns", "ns/run", [s.clock_ns for s in found.load]
    for name in HOOKS:
        yield f"sense.{name}_ns", "ns/run", [s.ns[name] for s in found.load]
        yield f"sense.{name}_per_s", "runs/s", [s.per_s[name] for s in found.load]


def whole_host(hosts: Hosts, tool: Path) -> Rows:
    """Shares of one CPU of everything at a host: sensing, stamping, beacons to a forwarder, reports."""
    found = _shares(hosts, tool, forwarders=1, reports=True)
    yield "host.cpu_percent", "% of a CPU", [s.sense + s.hooks("stamp") for s in found.load]
    yield "host.agent_percent", "% of a CPU", [s.agent for s in found.load]
    yield "host.stamp_percent", "% of a CPU", [s.hooks("stamp") for s in found.load]
    yield "host.idle_percent", "% of a CPU", [s.sense + s.hooks("stamp") for s in found.idle]


@dataclass(frozen=True)
class Share:
    """What was taken in a while: by the agent in percent of a CPU, by hooks in nanoseconds a run."""

    agent: float
    timer: float
    """The kernel's readings of the scheduler."""
    reading_ms: float
    """Between two readings of the scheduler."""
    look_ms: float
    """Between two looks of the agent."""
    clock_ns: float
    """Of an empty program; taken off from `ns`."""
    ns: dict[str, float]
    per_s: dict[str, float]

    @property
    def sense(self) -> float:
        """In percent of a CPU."""
        return self.agent + self.timer + self.hooks(*HOOKS)

    def hooks(self, *names: str) -> float:
        """In percent of a CPU."""
        return sum(self.ns[n] * self.per_s[n] for n in names) / 1e7


@dataclass(frozen=True)
class Shares:
    """At rest, during a load step and in the steady load after it."""

    idle: list[Share]
    step: list[Share]
    load: list[Share]


def _shares(hosts: Hosts, tool: Path, *, forwarders: int, reports: bool) -> Shares:
    before = BPF_STATS.read_text()
    BPF_STATS.write_text("1")
    found = Shares([], [], [])
    try:
        with (
            serving(hosts, tool),
            running(hosts, forwarders=forwarders, reports=reports) as agent,
            _empty_programs(hosts) as empty,
        ):
            for _ in range(LOAD_RUNS):
                time.sleep(STEP_S)
                found.idle.append(_share(agent, empty, LOAD_S))
                with _load(hosts, tool):
                    found.step.append(_share(agent, empty, STEP_S))
                    found.load.append(_share(agent, empty, LOAD_S))
    finally:
        BPF_STATS.write_text(before)
    return found


@contextmanager
def _empty_programs(hosts: Hosts) -> Iterator[dict[str, int]]:
    """Programs that do nothing, at the hooks of the agent's: their file descriptors."""
    with ExitStack() as stack:
        loaded = stack.enter_context(
            Object.open(build.compile_bpf(Path(__file__).with_name("empty_packet.bpf.c")))
        )
        loaded.load()
        program = loaded.programs["empty"]
        with netns.entered(hosts.servers[1]):
            TcHook(socket.if_nametoindex("s1"), "ingress").attach(program, priority=1)
        traced = compile_with_bcc(Path(__file__).with_name("empty_tracepoints.bpf.c"), [])
        stack.callback(traced.cleanup)
        found = {"requests": program.fd, "stamp": program.fd}
        for name, function in traced.funcs.items():
            found["sched" if b"sched" in name else "tcp"] = function.fd
        yield found
        with netns.entered(hosts.servers[1]):
            TcHook(socket.if_nametoindex("s1"), "ingress").detach(priority=1)


def instances(hosts: Hosts) -> Rows:
    """What a look at rest takes with one instance, and what each further instance adds."""
    services_at(hosts, MANY_INSTANCES)
    one: list[float] = []
    more: list[float] = []
    for _ in range(BEACON_RUNS):
        taken = {}
        for count in (1, MANY_INSTANCES):
            with running(hosts, instances=count, forwarders=0) as agent:
                time.sleep(STEP_S)
                looks, used = agent.looks, agent_cpu_s()
                time.sleep(BEACON_S)
                taken[count] = 1e6 * (agent_cpu_s() - used) / (agent.looks - looks)
        one.append(taken[1])
        more.append((taken[MANY_INSTANCES] - taken[1]) / (MANY_INSTANCES - 1))
    yield "sense.look_us", "µs/look", one
    yield "sense.instance_us", "µs/look", more


def beacons(hosts: Hosts) -> Rows:
    """What beacons cost per forwarder at rest: octets on the link, and the agent's time for one."""
    rates: list[float] = []
    taken: list[float] = []
    for _ in range(BEACON_RUNS):
        cpu_s, sent = {}, {}
        for forwarders in (1, MANY_FORWARDERS):
            with running(hosts, forwarders=forwarders) as agent:
                time.sleep(0.5)
                before = agent._stamp.stats()["stamped"]
                used = agent_cpu_s()
                time.sleep(BEACON_S)
                cpu_s[forwarders] = agent_cpu_s() - used
                sent[forwarders] = agent._stamp.stats()["stamped"] - before
        rates.append(sent[1] * BEACON_BYTES / BEACON_S)
        more = sent[MANY_FORWARDERS] - sent[1]
        taken.append(1e6 * (cpu_s[MANY_FORWARDERS] - cpu_s[1]) / more)
    yield "beacon.octets_per_s", "octets/s", rates
    yield "beacon.agent_us", "µs/beacon", taken


@contextmanager
def _load(hosts: Hosts, tool: Path) -> Iterator[None]:
    """Requests for STEP_S and LOAD_S."""
    udp, tcp = (round(REQUESTS_PER_S * share) for share in (1 - TCP_SHARE, TCP_SHARE))
    seconds = STEP_S + LOAD_S
    client = spawn(hosts.client, tool, "ask", SERVICE, str(PORT), str(udp), str(tcp), str(seconds))
    yield
    answers = [int(word) for word in client.communicate()[0].split()]
    if sum(answers) < 0.9 * REQUESTS_PER_S * seconds:
        print(f"answers: {answers}, less than was asked for: the machine is too busy", file=sys.stderr)


def _share(agent: Agent, empty: dict[str, int], seconds: float) -> Share:
    """What the agent and its programs take meanwhile."""
    before, before_empty = _programs(agent), _runs(empty)
    looks, node = agent.looks, agent._sense.node()
    began, used = time.monotonic(), agent_cpu_s()
    time.sleep(seconds)
    seconds = time.monotonic() - began
    used = agent_cpu_s() - used
    ours = {name: now.since(before[name]) for name, now in _programs(agent).items()}
    clock = {name: now.since(before_empty[name]).mean_ns for name, now in _runs(empty).items()}
    return Share(
        agent=100 * used / seconds,
        timer=100 * (agent._sense.node().spent_s - node.spent_s) / seconds,
        reading_ms=1000 * seconds / max(1, agent._sense.node().readings - node.readings),
        look_ms=1000 * seconds / max(1, agent.looks - looks),
        clock_ns=statistics.fmean(clock.values()),
        ns={name: runs.mean_ns - clock[name] for name, runs in ours.items()},
        per_s={name: runs.count / seconds for name, runs in ours.items()},
    )


@dataclass(frozen=True)
class Runs:
    """Of a program, so far."""

    ns: int
    count: int

    @property
    def mean_ns(self) -> float:
        return self.ns / max(1, self.count)

    def since(self, earlier: Runs) -> Runs:
        return Runs(self.ns - earlier.ns, self.count - earlier.count)


def _programs(agent: Agent) -> dict[str, Runs]:
    """The agent's programs, by what they are for."""
    found: dict[str, list[int]] = {"stamp": [], "requests": [], "tcp": [], "sched": []}
    for loaded in agent._stamp._objects:
        for name in ("stamp", "requests"):
            found[name].append(loaded.programs[name].fd)
    for name, function in agent._sense._bpf.funcs.items():
        found["sched" if b"sched" in name else "tcp"].append(function.fd)
    return {name: _sum(program_info(fd) for fd in fds) for name, fds in found.items()}


def _runs(programs: dict[str, int]) -> dict[str, Runs]:
    return {name: _sum([program_info(fd)]) for name, fd in programs.items()}


def _sum(infos: Iterable[ProgramInfo]) -> Runs:
    infos = list(infos)
    return Runs(sum(i.run_time_ns for i in infos), sum(i.run_count for i in infos))


def switch_storm(hosts: Hosts, tool: Path) -> Rows:
    """Two processes on one CPU that do nothing but wake each other, with the agent and without."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(STORM_RUNS):
        for name in ("with", "without") if number % 2 else ("without", "with"):
            with ExitStack() as stack:
                if name == "with":
                    stack.enter_context(running(hosts))
                found[name].append(_storm(tool))
    yield "sense.switch_without_ns", "ns/switch", found["without"]
    yield "sense.switch_added_ns", "ns/switch", differences(found["with"], found["without"])


def _storm(tool: Path) -> float:
    said = subprocess.run([tool, "switch", str(SWITCHES)], capture_output=True, text=True, check=True)
    return float(said.stdout)
