"""Host hooks: what stamping a packet takes, and what clients see of it.

Per packet by BPF_PROG_TEST_RUN on one core: runs of one packet each, since a stamped packet is not
stamped again, so every figure holds some 30 ns of clock reading. Round trips between two namespaces, with the
agent and without, turn by turn.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from host_bed import (
    PORT,
    SERVICE,
    Hosts,
    Rows,
    agent_of,
    differences,
    forwarders_at,
    make_hosts,
    requests_tool,
    running,
    serving,
    spawn,
)

from p4cats.ebpf.agent import Agent
from p4cats.ebpf.keys import Key
from p4cats.ebpf.libbpf import Program

PINGS = 4000
PING_RUNS = 9
PACKET_RUNS = 7
PACKETS = 4000


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    with make_hosts() as hosts, requests_tool() as tool:
        forwarders_at(hosts)
        yield from per_packet(hosts)
        yield from round_trips(hosts, tool)


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
        agent = agent_of(hosts, Path(directory), forwarders=0)
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
    yield "stamp.mac_ns", "ns", differences(found["packet.stamp_ns"], found["stamp.no_mac_ns"])


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
    with serving(hosts, tool, *_on_cpu(0)):
        for number in range(PING_RUNS):
            for name in ("with", "without") if number % 2 else ("without", "with"):
                with ExitStack() as stack:
                    if name == "with":
                        stack.enter_context(running(hosts))
                    _ping(hosts, tool, PINGS // 10)
                    found[name].append(_ping(hosts, tool, PINGS))
    yield "stamp.rtt_us", "µs", found["with"]
    yield "stamp.rtt_without_us", "µs", found["without"]
    yield "stamp.rtt_added_us", "µs", differences(found["with"], found["without"])


def _on_cpu(number: int) -> tuple[str, ...]:
    """Processes that wander between CPUs have round trips of two kinds."""
    return "taskset", "-c", str(sorted(os.sched_getaffinity(0))[number])


def _ping(hosts: Hosts, tool: Path, count: int) -> float:
    said = spawn(hosts.client, *_on_cpu(-1), tool, "ping", SERVICE, str(PORT), str(count)).communicate()[0]
    return statistics.median(map(int, said.split())) / 1000
