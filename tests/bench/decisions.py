"""How old loads are when flows are placed by them, and how soon a load step changes where flows go.

On edge-cloud.yaml. Freshness: Poisson requests at 1.5 times what the nearest site can carry, as in the demo;
ages are those that the ingress switches write into telemetry (docs/protocol.md, 7.3). Reaction: instances
with four workers and 1 ms a request; connections from the server's own host make its load jump. The time
runs from the first packet of the server that tells of it (a response or a beacon, seen as it leaves) to the
sending of the first request that another site answers, and is divided by the round trip of requests before
the step. A request is sent every 2 ms: by so much a time may be too long.
"""

from __future__ import annotations

import json
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from p4cats import protocol
from p4cats.emulation.deployment import Deployment
from p4cats.emulation.experiment import Experiment, nearest_instances, run_policy
from p4cats.netns import call_in
from p4cats.replay.results import Outcome, read_report
from p4cats.replay.schedule import Request, write_schedule
from p4cats.topologies.schema import Instance, ServiceTime, Telemetry, Topology, load

REPOSITORY = Path(__file__).resolve().parents[2]
RUNS = 5
SECONDS = 4.0
COLLECTOR = "clients2"
STEPS = 10
HOLD_S = 0.6
"""How long a step lasts, and the pause after it."""
INTERVAL_S = 0.002
WORKERS, SERVICE_US, CONNECTIONS = 4, 1000, 80
TOLD_US = 1000
"""A wait that the requests under way do not make by themselves."""
SO_TIMESTAMPNS = 35
Rows = Iterator[tuple[str, str, list[float]]]


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    yield "packet.option_octets", "octets", [float(protocol.HBH_BYTES)]
    yield from freshness()
    yield "packet.reaction_rtt", "round trips", reactions()


def _topology() -> Topology:
    return load(REPOSITORY / "topologies/edge-cloud.yaml")


def freshness() -> Rows:
    """Ages of the load at decisions that placed a flow, median and 99th percentile of each run."""
    topology = _topology().model_copy(update={"telemetry": Telemetry(collector=COLLECTOR)})
    percentiles: list[tuple[float, float]] = []
    with Deployment(topology) as deployment:
        experiment = Experiment(topology, SECONDS, 1)
        plan = experiment.plan(nearest_instances(deployment, experiment.clients))
        for _ in range(RUNS):
            begin = time.time()
            run_policy(deployment, "least", plan)
            time.sleep(2.0)  # the collector writes each second
            ages = sorted(_ages_ms(deployment.reports, begin))
            if not ages:
                raise RuntimeError("no decision was reported")
            percentiles.append((statistics.median(ages), ages[int(0.99 * (len(ages) - 1))]))
    yield "packet.freshness_p50_ms", "ms", [p50 for p50, _ in percentiles]
    yield "packet.freshness_p99_ms", "ms", [p99 for _, p99 in percentiles]


def _ages_ms(reports: Path, begin: float) -> Iterator[float]:
    for line in reports.read_text().splitlines():
        report = json.loads(line)
        decision = report["decision"]
        if (
            report["received_s"] >= begin
            and decision
            and decision["placed"]
            and decision["age_us"] is not None
        ):
            yield decision["age_us"] / 1000


def _client(
    deployment: Deployment, name: str, requests: list[Request], begin: float
) -> tuple[Path, subprocess.Popen[bytes]]:
    """Start a client of the first service; return where its report will be, and its process."""
    service = next(iter(deployment.topology.services.values()))
    directory = deployment.network.directory
    schedule, out = directory / f"{name}.jsonl", directory / f"{name}.json"
    write_schedule(schedule, requests)
    argv = [sys.executable, "-m", "p4cats.replay.client", "--target", str(service.address)]
    argv += ["--port", str(service.port), "--schedule", str(schedule), "--out", str(out)]
    argv += ["--start-at", str(begin)]
    return out, deployment.network.popen(name, argv, stdout=subprocess.DEVNULL)


def reactions() -> list[float]:
    """Round trips from the first word of a load step to the first flow that goes elsewhere, by step."""
    topology = _topology()
    quick = ServiceTime(distribution="constant", mean=f"{SERVICE_US}us")
    instances = tuple(
        i.model_copy(update={"workers": WORKERS, "service_time": quick}) for i in topology.instances
    )
    topology = topology.model_copy(update={"instances": instances})
    with Deployment(topology) as deployment:
        client = next(h for h in topology.hosts if h not in {i.host for i in topology.instances})
        near = nearest_instances(deployment, [client])[0]
        ingress = deployment.plan.switches[topology.hosts[client].switch].router_address
        seconds = (2 * STEPS + 1) * HOLD_S
        begin = time.time() + 1.0
        requests = [Request(i * INTERVAL_S, 1.0, "udp") for i in range(int(seconds / INTERVAL_S))]
        with _watched(deployment, near) as watch:
            out, process = _client(deployment, client, requests, begin)
            steps = _step(deployment, near, begin)
            process.wait(seconds + 30)
        outcomes = sorted(read_report(out).outcomes, key=lambda o: o.sent_s)
        told = watch.told(ingress.packed, deployment.plan.hosts[client].address.packed)
        site = deployment.site(near)
    return list(_quotients(steps, told, begin, outcomes, site))


def _quotients(
    steps: list[float], told: list[float], begin: float, outcomes: list[Outcome], site: str
) -> Iterator[float]:
    for step in steps:
        before = [o for o in outcomes if step - HOLD_S / 2 < begin + o.sent_s < step]
        first_told = next((when for when in told if step <= when < step + HOLD_S), None)
        if first_told is None or not before or any(o.site != site for o in before[-20:]):
            continue  # the last step is not forgotten yet: this one would measure nothing
        round_trip = statistics.median(o.finished_s - o.sent_s for o in before)
        elsewhere = (o for o in outcomes if begin + o.sent_s >= step and o.site not in (None, site))
        first = next(elsewhere, None)
        if first is not None and begin + first.sent_s < step + HOLD_S:
            yield (begin + first.sent_s - first_told) / round_trip


def _step(deployment: Deployment, near: Instance, begin: float) -> list[float]:
    """Raise the load of an instance again and again; return when."""
    service = deployment.topology.services[near.service]
    where = str(service.address), service.port
    steps = []
    for number in range(STEPS):
        _sleep_until(begin + (2 * number + 1) * HOLD_S)
        steps.append(time.time())
        held = call_in(
            deployment.network.netns(near.host),
            lambda: [socket.create_connection(where, timeout=5) for _ in range(CONNECTIONS)],
        )
        _sleep_until(begin + (2 * number + 2) * HOLD_S)
        for connection in held:
            connection.close()
    return steps


def _sleep_until(when: float) -> None:
    time.sleep(max(0.0, when - time.time()))


@dataclass
class _Watch:
    """Stamped packets that left a host: when, to whom, with which wait."""

    seen: list[tuple[float, bytes, int]] = field(default_factory=list)

    def told(self, *destinations: bytes) -> list[float]:
        """When one of these was told of a load."""
        return [
            when for when, to, wait_us in self.seen if to in destinations and TOLD_US < wait_us < 0xFFFFFFFF
        ]


@contextmanager
def _watched(deployment: Deployment, instance: Instance) -> Iterator[_Watch]:
    """Watch the packets of an instance's host as they leave."""
    raw = call_in(deployment.network.netns(instance.host), _raw_socket)
    watch, ended = _Watch(), threading.Event()

    def look() -> None:
        while not ended.is_set():
            try:
                frame, extra, _, _ = raw.recvmsg(256, 64)
            except TimeoutError:
                continue
            if len(frame) >= 94 and frame[20] == 0 and frame[56:58] == bytes([protocol.OPTION_TYPE, 36]):
                seconds, nanoseconds = struct.unpack("qq", extra[0][2])
                fields = protocol.OPTION_DATA.unpack_from(frame, 58)
                watch.seen.append((seconds + nanoseconds / 1e9, frame[38:54], fields[11]))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
        raw.close()


def _raw_socket() -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))  # ETH_P_ALL: what leaves, too
    raw.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 24)
    raw.bind(("eth0", 3))
    raw.settimeout(0.2)
    return raw
