"""A host that steers: what a packet takes there, by BPF_PROG_TEST_RUN on one core.

Runs of one packet each, since a steered packet is not steered again: every figure holds some 30 ns of clock
reading. Eight candidates under each policy, with a fresh load of each; datagrams of 64 octets.
"""

from __future__ import annotations

import os
import statistics
import struct
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path

import edge_load

from p4cats import protocol
from p4cats.ebpf.libbpf import Program
from p4cats.ebpf.steer import Steering
from p4cats.ebpf.view import Candidate, MetricKey, Reach, Service, View
from p4cats.halfsiphash import tag
from p4cats.protocol import metric_message
from p4cats.topologies import addressing

ROUNDS = 7
PACKETS = 2000
HEADEND = IPv6Address("::1")
KEY = bytes(range(8))
NEVER_US = (1 << 47) - 1

Rows = Iterator[tuple[str, str, list[float]]]


def measure() -> Rows:
    """Name, unit and samples of each figure."""
    pins = Path(f"/sys/fs/bpf/p4cats-bench-{os.getpid()}")
    steering = Steering(None, "lo", HEADEND, pins)
    try:
        assert steering._object is not None
        steer, metrics = (steering._object.programs[name] for name in ("steer", "metrics"))
        found: dict[str, list[float]] = {}
        for number in range(ROUNDS):
            for name, samples in _round(steering, steer, metrics, number).items():
                found.setdefault(name, []).append(samples)
    finally:
        steering.close()
        pins.rmdir()
    for name, samples in found.items():
        yield name, "ns/packet", samples


def _round(steering: Steering, steer: Program, metrics: Program, number: int) -> dict[str, float]:
    steering.apply(_view("least"))
    found = {"steer.learn_ns": _median(metrics, (_beacon(number * PACKETS + n + 1) for n in range(PACKETS)))}
    found["steer.other_ns"] = _median(steer, [_request(1, "2001:db8::9")] * PACKETS)
    for policy in ("least", "p2c", "hash", "static"):
        steering.apply(_view(policy))
        sources = range(1 + number * PACKETS, 1 + (number + 1) * PACKETS)
        name = "steer.place_ns" if policy == "least" else f"steer.place_{policy}_ns"
        # The destination's port tells the policies' flows apart, so that each is new.
        port = 8000 + protocol.POLICIES[policy]
        found[name] = _median(steer, (_request(source, port=port) for source in sources))
    steering.apply(_view("least"))
    found["steer.flow_ns"] = _median(steer, [_request(1)] * PACKETS)
    return found


def _median(program: Program, packets: Iterator[bytes] | list[bytes]) -> float:
    return statistics.median(program.test_run(packet).duration_ns for packet in packets)


def _view(policy: str) -> View:
    numbers = range(1, protocol.CANDIDATES + 1)
    candidates = (Candidate(instance=n, path_delay_us=1000 * n, fallback_wait_us=20_000) for n in numbers)
    service = Service(
        address=edge_load.SERVICE, id=1, policy=policy,  # type: ignore[arg-type]
        dead_after_us=NEVER_US, load_ttl_us=NEVER_US, candidates=tuple(candidates),
    )  # fmt: skip
    sids = (addressing.sid(n + 1, protocol.FUNCTION_DX6 + n) for n in numbers)
    reaches = tuple(Reach(instance=n, sid=sid) for n, sid in zip(numbers, sids, strict=True))
    key = MetricKey(instance=1, source=edge_load.SERVICE, key_id=1, key=KEY.hex())  # type: ignore[arg-type]
    return View(services=(service,), instances=reaches, keys=(key,))


def _request(source: int, destination: str = str(edge_load.SERVICE), port: int = 8080) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, 72, 17, 64)
    addresses = IPv6Address(edge_load.CLIENT).packed + IPv6Address(destination).packed
    return bytes(12) + b"\x86\xdd" + head + addresses + struct.pack("!HHHH", source, port, 72, 0) + bytes(64)


def _beacon(sequence: int) -> bytes:
    data = protocol.OPTION_DATA.pack(
        protocol.MAGIC, protocol.VERSION << 4, 1, 1, 7, 7, 7, 7, 7, 0, 2, 5000, 40_000, sequence, 0
    )
    data = data[:-8] + tag(KEY, metric_message(data, HEADEND))
    option = bytes([17, protocol.HBH_BYTES // 8 - 1, protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + data
    udp = struct.pack("!HHHH", 9, protocol.BEACON_PORT, 8, 0)
    head = struct.pack("!IHBB", 6 << 28, len(option) + 8, 0, 64)
    return bytes(12) + b"\x86\xdd" + head + edge_load.SERVICE.packed + HEADEND.packed + option + udp
