"""How many telemetry reports a second a sink on xdp makes, and a collector reads, each on one core.

A report is of a steered request with three hops and its decision. The sink's are made in user space: timed is
what it does between the event of the program and the frame that leaves, not the sending. More packets than
that lose events, which `p4cats status` shows as drops `lost events` of the switch; more reports than the
collector reads are dropped at its socket, which `p4cats collect` counts.

    int.reports_per_s    reports that a sink makes
    int.reports_at_once  packets whose reports a sink has room for while it has other work, on each processor
    int.collect_per_s    reports that a collector reads, decodes and writes as JSON
"""

from __future__ import annotations

import socket
import struct
import sys
import tempfile
import time
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
RUNS = 9
BATCH = 50
BURST = 4000
REPORTS = 5000
_REPORT_AT, _SEQUENCE_BITS = 62, 22

Rows = Iterator[tuple[str, str, list[float]]]


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    sys.path.insert(0, str(TESTS / "xdp"))
    import int_network as i
    import xdp_packets as pk
    from measure_xdp import LOOPBACK, as_port
    from xdp_differential import shipped

    network = i.Network(shipped("edge"), shipped("transit"))
    try:
        network.sample(i.Sampling())
        request = pk.ethernet(pk.ipv6(pk.udp(bytes(200)), i.CLIENT, i.SERVICE, 17))
        passage = network.pass_through(request)
        assert passage.after_transit is not None
        assert passage.report is not None
        plane = network.sink.xdp
        inports = plane.loaded.memory.view("inports", 2048)
        injected = inports[2 * LOOPBACK], inports[2 * LOOPBACK + 1]
        program = plane.loaded.object.programs["p4_main"]

        def burst(size: int) -> tuple[int, float]:
            """Reports made of a burst, and seconds that they took."""
            network.sink.xdp_out.take()
            as_port(plane, 2)
            for _ in range(size):
                program.test_run(passage.after_transit)
            inports[2 * LOOPBACK], inports[2 * LOOPBACK + 1] = injected
            begin = time.perf_counter()
            plane.injector.work()
            taken = time.perf_counter() - begin
            return sum(event[1] == 3 for event in network.sink.xdp_out.take()), taken

        burst(BATCH)
        rates = []
        for _ in range(RUNS):
            made, taken = burst(BATCH)
            assert made == BATCH, (made, plane.drops())
            rates.append(made / taken)
        yield "int.reports_per_s", "1/s", rates
        before = plane.drops().get("lost events", 0)
        made, _ = burst(BURST)
        assert made + plane.drops().get("lost events", 0) - before == BURST, "a loss that nobody counted"
        yield "int.reports_at_once", "packets", [float(made)]
        yield from _collector(passage.report[_REPORT_AT:])
    finally:
        network.close()


def _collector(report: bytes) -> Rows:
    from p4cats.controller.collector import Findings, Receiver, listen_socket

    head = struct.unpack_from("!I", report)[0] >> _SEQUENCE_BITS << _SEQUENCE_BITS
    rates = []
    with (
        tempfile.TemporaryFile("w+") as file,
        listen_socket(IPv6Address("::1"), 0) as sock,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender,
    ):
        sender.connect(sock.getsockname())
        findings = Findings()
        receiver = Receiver(sock, findings, file)

        for run in range(RUNS):
            for number in range(run * REPORTS, (run + 1) * REPORTS):
                sender.send(struct.pack("!I", head | number) + report[4:])
            begin = time.perf_counter()
            while findings.received < (run + 1) * REPORTS:
                receiver.drain()
            rates.append(REPORTS / (time.perf_counter() - begin))
            receiver.count_overflow()
            assert not findings.overflow
    yield "int.collect_per_s", "1/s", rates
