"""Host hooks: what stamping a packet takes, what clients see of it, and what the agent takes under load.

Per packet by BPF_PROG_TEST_RUN on one core: runs of one packet each, since a stamped packet is not
stamped again, so every figure holds some 30 ns of clock reading. Round trips between two namespaces, with the
agent and without, turn by turn. The agent's share of a CPU while short UDP and TCP requests come, from
its own CPU clock and, for its programs, from kernel.bpf_stats_enabled; both include what other work on
the machine makes of caches and context switches.
"""

from __future__ import annotations

import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from p4cats import netns, protocol
from p4cats.ebpf import build
from p4cats.ebpf.agent import Agent
from p4cats.ebpf.config import AgentConfig
from p4cats.ebpf.keys import Key
from p4cats.ebpf.libbpf import Program, ProgramInfo, program_info

EBPF_TESTS = Path(__file__).resolve().parents[1] / "ebpf"
sys.path.insert(0, str(EBPF_TESTS))
from ebpf_hosts import PORT, SERVICE, Hosts, make_hosts  # noqa: E402

REQUESTS_PER_S = 10_000
TCP_SHARE = 0.2
"""Of the requests; a connection makes ten packets and as many calls, a datagram two."""
LOAD_S = 5.0
LOAD_RUNS = 3
BEACON_S = 3.0
BEACON_RUNS = 3
MANY_FORWARDERS = 50
BEACON_BYTES = 14 + 40 + protocol.HBH_BYTES + 8
"""Ethernet, IPv6, the option, UDP."""
PINGS = 4000
PING_RUNS = 9
PACKET_RUNS = 7
PACKETS = 4000
SWITCHES = 800_000
STORM_RUNS = 5
BPF_STATS = Path("/proc/sys/kernel/bpf_stats_enabled")

Rows = Iterator[tuple[str, str, list[float]]]


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    with make_hosts() as hosts, _requests() as tool:
        _forwarders(hosts)
        yield from per_packet(hosts)
        yield from round_trips(hosts, tool)
        yield from agent_share(hosts, tool)
        yield from beacons(hosts)
        yield from switch_storm(hosts, tool)


def _agent(hosts: Hosts, directory: Path, *, forwarders: int = 1) -> Agent:
    """An agent for one instance at the first server, which tells so many forwarders of it; not started."""
    instance = {
        "instance": 1,
        "address": SERVICE,
        "port": PORT,
        "workers": 64,
        "service_time_us": 50,
        "idle_w": 50,
        "peak_w": 150,
        "beacons": [f"fd00:3::{n + 1:x}" for n in range(forwarders)],
    }
    document = {
        "hosts": [{"netns": str(hosts.servers[1]), "interface": "s1", "instances": [instance]}],
        "pin_dir": f"/sys/fs/bpf/p4cats-bench/{directory.name}",
        "run_dir": str(directory),
        "controller_socket": str(directory / "nobody.sock"),
        "power": "model",
    }
    return Agent(AgentConfig.model_validate(document), report=lambda report: None)


@contextmanager
def _running(hosts: Hosts, *, forwarders: int = 1) -> Iterator[Agent]:
    """An agent that stamps with a key and serves in a thread."""
    with tempfile.TemporaryDirectory() as directory:
        agent = _agent(hosts, Path(directory), forwarders=forwarders)
        agent.start()
        thread = threading.Thread(target=agent.serve)
        thread.start()
        agent.take_keys({1: Key(1, bytes(range(8)))})
        try:
            yield agent
        finally:
            agent.end()
            thread.join()
            agent.stop()


@contextmanager
def _requests() -> Iterator[Path]:
    """The compiled load generator."""
    with tempfile.TemporaryDirectory() as directory:
        tool = Path(directory) / "requests"
        source = Path(__file__).with_name("requests.c")
        subprocess.run([build.clang()[0], "-O2", "-o", tool, source, "-lpthread"], check=True)
        yield tool


def _spawn(namespace: Path, *argv: str | Path) -> subprocess.Popen[str]:
    with netns.entered(namespace):
        return subprocess.Popen([*map(str, argv)], stdout=subprocess.PIPE, text=True)


@contextmanager
def _server(hosts: Hosts, tool: Path) -> Iterator[None]:
    server = _spawn(hosts.servers[1], tool, "serve", SERVICE, str(PORT))
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "ready\n"
        yield
    finally:
        server.kill()
        server.communicate()


def per_packet(hosts: Hosts) -> Rows:
    """The stamp program on a datagram of 64 octets: stamped, without a MAC, from another source."""
    from scapy.layers.inet import UDP
    from scapy.layers.inet6 import IPv6
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    def frame(source: str) -> bytes:
        return bytes(
            Ether(dst="02:00:00:00:00:01")
            / IPv6(src=source, dst="fd00::9")
            / UDP(sport=PORT, dport=9)
            / Raw(bytes(64))
        )

    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        agent = _agent(hosts, Path(directory), forwarders=0)
        agent.start()
        try:
            host = next(iter(agent._hosts.values()))
            program = agent._stamp._load(host.inode).programs["stamp"]
            cases: dict[str, tuple[Callable[[], object], str]] = {
                "stamp.other_ns": (lambda: None, "fd00::1"),
                "stamp.unstamped_ns": (lambda: None, SERVICE),
                "stamp.no_mac_ns": (lambda: _key(agent, 0), SERVICE),
                "packet.stamp_ns": (lambda: _key(agent, 1), SERVICE),
            }
            for _ in range(PACKET_RUNS):
                for name, (prepare, source) in cases.items():
                    agent._keyring.remove(1)
                    prepare()
                    agent.refresh()
                    found.setdefault(name, []).append(_one_by_one(program, frame(source)))
        finally:
            agent.stop()
    for name, samples in found.items():
        yield name, "ns/packet", samples
    yield "stamp.mac_ns", "ns", _differences(found["packet.stamp_ns"], found["stamp.no_mac_ns"])


def _key(agent: Agent, key_id: int) -> None:
    agent._keyring.add(1, None, authenticated=key_id > 0)
    if key_id:
        agent._keyring.give(1, Key(key_id, bytes(range(8))))


def _one_by_one(program: Program, frame: bytes) -> float:
    """Median nanoseconds of single runs."""
    return statistics.median(program.test_run(frame).duration_ns for _ in range(PACKETS))


def round_trips(hosts: Hosts, tool: Path) -> Rows:
    """Medians of UDP round trips between two namespaces, with the agent and without."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    with _server(hosts, tool):
        for number in range(PING_RUNS):
            for name in ("with", "without") if number % 2 else ("without", "with"):
                with ExitStack() as stack:
                    if name == "with":
                        stack.enter_context(_running(hosts))
                    _ping(hosts, tool, PINGS // 10)
                    found[name].append(_ping(hosts, tool, PINGS))
    yield "stamp.rtt_us", "µs", found["with"]
    yield "stamp.rtt_without_us", "µs", found["without"]
    yield "stamp.rtt_added_us", "µs", _differences(found["with"], found["without"])


def _ping(hosts: Hosts, tool: Path, count: int) -> float:
    said = _spawn(hosts.client, tool, "ping", SERVICE, str(PORT), str(count)).communicate()[0]
    return statistics.median(map(int, said.split())) / 1000


def agent_share(hosts: Hosts, tool: Path) -> Rows:
    """Shares of one CPU, in percent, at rest and under load; and how often the agent looked."""
    before = BPF_STATS.read_text()
    BPF_STATS.write_text("1")
    found: dict[str, list[float]] = {}
    try:
        with _server(hosts, tool), _running(hosts) as agent:
            time.sleep(1.0)
            for _ in range(LOAD_RUNS):
                for name, value in _share(agent, lambda: time.sleep(LOAD_S)).items():
                    found.setdefault(f"idle_{name}", []).append(value)
                for name, value in _share(agent, lambda: _load(hosts, tool)).items():
                    found.setdefault(name, []).append(value)
    finally:
        BPF_STATS.write_text(before)
    yield "sense.cpu_percent", "% of a CPU", _sums(found["agent"], found["ebpf"])
    yield "sense.agent_percent", "% of a CPU", found["agent"]
    yield "sense.agent_user_percent", "% of a CPU", found["user"]
    yield "sense.ebpf_percent", "% of a CPU", found["ebpf"]
    yield "sense.idle_agent_percent", "% of a CPU", found["idle_agent"]
    yield "sense.idle_ebpf_percent", "% of a CPU", found["idle_ebpf"]
    yield "sense.resolution_ms", "ms", found["resolution_ms"]
    for name in ("stamp", "requests", "tcp", "sched"):
        yield f"sense.{name}_ns", "ns/run", found[name]
        yield f"sense.{name}_per_s", "runs/s", found[f"{name}_per_s"]


def beacons(hosts: Hosts) -> Rows:
    """What beacons cost per forwarder at rest: octets on the link, and the agent's time for one."""
    rates: list[float] = []
    taken: list[float] = []
    for _ in range(BEACON_RUNS):
        cpu_s, sent = {}, {}
        for forwarders in (1, MANY_FORWARDERS):
            with _running(hosts, forwarders=forwarders) as agent:
                time.sleep(0.5)
                before = agent._stamp.stats()["stamped"]
                share = _share(agent, lambda: time.sleep(BEACON_S))
                sent[forwarders] = agent._stamp.stats()["stamped"] - before
                cpu_s[forwarders] = BEACON_S * share["agent"] / 100
        rates.append(sent[1] * BEACON_BYTES / BEACON_S)
        more = sent[MANY_FORWARDERS] - sent[1]
        taken.append(1e6 * (cpu_s[MANY_FORWARDERS] - cpu_s[1]) / more)
    yield "beacon.octets_per_s", "octets/s", rates
    yield "beacon.agent_us", "µs/beacon", taken


def _forwarders(hosts: Hosts) -> None:
    """Let the client's host be any number of forwarders."""
    for namespace, route in (
        (hosts.client, "local fd00:3::/64 dev lo"),
        (hosts.servers[1], "fd00:3::/64 via fd00:1::2"),
    ):
        subprocess.run(["ip", "-n", namespace.name, "-6", "route", "add", *route.split()], check=True)


def _load(hosts: Hosts, tool: Path) -> None:
    udp, tcp = (round(REQUESTS_PER_S * share) for share in (1 - TCP_SHARE, TCP_SHARE))
    client = _spawn(hosts.client, tool, "ask", SERVICE, str(PORT), str(udp), str(tcp), str(LOAD_S))
    answers = [int(word) for word in client.communicate()[0].split()]
    if sum(answers) < 0.9 * REQUESTS_PER_S * LOAD_S:
        print(f"answers: {answers}, less than was asked for: the machine is too busy", file=sys.stderr)


def _share(agent: Agent, work: Callable[[], None]) -> dict[str, float]:
    """What the agent and its programs take, in percent of a CPU, while `work` lasts."""
    programs, looks = _programs(agent), agent.looks
    began, used, user = time.monotonic(), time.process_time(), _user_s()
    work()
    seconds = time.monotonic() - began
    found = {
        "agent": 100 * (time.process_time() - used) / seconds,
        "user": 100 * (_user_s() - user) / seconds,
        "resolution_ms": 1000 * seconds / max(1, agent.looks - looks),
        "ebpf": 0.0,
    }
    for name, now in _programs(agent).items():
        ns, runs = (now[i] - programs[name][i] for i in range(2))
        found[name], found[f"{name}_per_s"] = ns / max(1, runs), runs / seconds
        found["ebpf"] += 100 * ns / 1e9 / seconds
    return found


def _user_s() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_utime


def _programs(agent: Agent) -> dict[str, tuple[int, int]]:
    """Nanoseconds and runs of the agent's programs so far, by what they are for."""
    found: dict[str, list[ProgramInfo]] = {"stamp": [], "requests": [], "tcp": [], "sched": []}
    for loaded in agent._stamp._objects:
        for name in ("stamp", "requests"):
            found[name].append(loaded.programs[name].info())
    for name, function in agent._sense._bpf.funcs.items():
        found["sched" if b"sched" in name else "tcp"].append(program_info(function.fd))
    return {
        name: (sum(i.run_time_ns for i in infos), sum(i.run_count for i in infos))
        for name, infos in found.items()
    }


def switch_storm(hosts: Hosts, tool: Path) -> Rows:
    """Two processes on one CPU that do nothing but wake each other, with the agent and without."""
    found: dict[str, list[float]] = {"with": [], "without": []}
    for number in range(STORM_RUNS):
        for name in ("with", "without") if number % 2 else ("without", "with"):
            with ExitStack() as stack:
                if name == "with":
                    stack.enter_context(_running(hosts))
                    _storm(tool)  # until the share of sampled tasks has followed the rate
                found[name].append(_storm(tool))
    yield "sense.switch_without_ns", "ns/switch", found["without"]
    yield "sense.switch_added_ns", "ns/switch", _differences(found["with"], found["without"])


def _storm(tool: Path) -> float:
    said = subprocess.run([tool, "switch", str(SWITCHES)], capture_output=True, text=True, check=True)
    return float(said.stdout)


def _differences(ours: list[float], others: list[float]) -> list[float]:
    return [a - b for a, b in zip(ours, others, strict=True)]


def _sums(ours: list[float], others: list[float]) -> list[float]:
    return [a + b for a, b in zip(ours, others, strict=True)]


def main() -> None:
    """Print the figures of this module alone."""
    for name, unit, samples in measure():
        spread = f"{min(samples):.4g} to {max(samples):.4g}"
        print(f"{name:30} {statistics.median(samples):10.4g} {unit:12} {spread}", flush=True)


if __name__ == "__main__":
    main()
