"""A steering host decides as edge.p4 does: same services, loads and packets, same SIDs and counters."""

from __future__ import annotations

import os
import random
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import cache, partial
from ipaddress import IPv6Address
from pathlib import Path

import pytest
from ingress import (
    CLIENT,
    CLIENT_PORT,
    CORE_PORT,
    SERVICE,
    Ingress,
    Metric,
    beacon,
    ipv6,
    response,
    udp,
    words,
)

from p4cats import protocol
from p4cats.controller.desired import NEVER_US
from p4cats.ebpf import build
from p4cats.ebpf.libbpf import Map
from p4cats.ebpf.steer import Steering
from p4cats.ebpf.view import Candidate, MetricKey, Reach, Service, View
from p4cats.switch.dataplane import Exact, Lpm

pytestmark = pytest.mark.root

HEADEND = IPv6Address("::1")
"""An address that every namespace has; edge.p4 is told to use it too."""
SITES = IPv6Address("5f00:0:2::")
VIA = IPv6Address("5f00:0:9:1::")
KEYS = {(number, key_id): bytes([number, key_id] * 4) for number in range(1, 8) for key_id in (1, 2)}
DROPPED, PASSED = 2, 0xFFFFFFFF
TCP_FLAGS = {"syn": 0x02, "data": 0x18}
COUNTERS = (
    "learned",
    "malformed",
    "unknown_instance",
    "no_key",
    "misdirected",
    "repeated",
    "stale",
    "forged",
)


def sid(instance: int) -> IPv6Address:
    return SITES + (0x1000 + instance << 64)


class Switch:
    """edge.p4 on the model."""

    def __init__(self) -> None:
        self._ingress = Ingress("model")
        for instance, key_id in ((1, 1), (2, 1), (1, 2)):
            self._ingress.delete("learn_metric.metric_keys", (Exact(instance), Exact(key_id)))
        self._ingress.insert("services", (Exact(int(HEADEND)),), "own_address")
        for prefix in (SITES, VIA):
            self._ingress.insert("forwarding.routes", (Lpm(int(prefix), 48),), "forwarding.forward",
                                 port=CORE_PORT, source=1, neighbor=2, mtu=9000)  # fmt: skip
        self._entries: list[tuple[str, tuple[Exact, ...]]] = []

    def at(self, now_us: int) -> None:
        self._ingress.clock.now_ns = now_us * 1000

    def _insert(self, table: str, key: tuple[Exact, ...], action: str, **data: int | IPv6Address) -> None:
        self._ingress.insert(table, key, action, **data)
        self._entries.append((table, key))

    def apply(self, view: View) -> None:
        for table, key in self._entries:
            self._ingress.delete(table, key)
        self._entries.clear()
        for service in view.services:
            chosen = service.model_dump(exclude={"address", "policy", "candidates"})
            total = sum(c.weight for c in service.candidates)
            self._insert(
                "services", (Exact(int(service.address)),), "classify", **chosen,
                policy=protocol.POLICIES[service.policy], total_weight=total,
            )  # fmt: skip
            for slot, item in enumerate(service.candidates):
                name = f"steering.selection.c{slot}"
                self._insert(
                    f"{name}.candidates", (Exact(service.id),), f"{name}.consider",
                    instance_id=item.instance, static_weight=item.weight, delay_us=item.path_delay_us,
                    wait_us=item.fallback_wait_us, step_us=item.wait_step_us,
                )  # fmt: skip
        for reach in view.instances:
            key = (Exact(reach.instance),)
            if reach.living:
                self._insert("steering.living", key, "NoAction")
            if reach.via is None:
                self._insert("steering.instances", key, "steering.steer", headend=HEADEND, sid=reach.sid)
            else:
                self._insert("steering.instances", key, "steering.steer_via",
                             headend=HEADEND, via=reach.via, sid=reach.sid)  # fmt: skip
        for item in view.keys:
            match = (Exact(item.instance), Exact(item.key_id))
            if item.key_id:
                self._insert("learn_metric.metric_keys", match, "learn_metric.authenticate",
                             **words(item.value.octets), source=item.source)  # fmt: skip
            else:
                self._insert("learn_metric.metric_keys", match, "learn_metric.trust", source=item.source)

    def request(self, packet: bytes) -> bytes | None:
        """What leaves for an instance, from the IPv6 header on; the inner hop limit as it came."""
        sent: list[tuple[int, bytes]] = []
        self._ingress.sent = sent
        self._ingress.plane.process(CLIENT_PORT, packet)
        if not sent:
            return None
        [(port, found)] = sent
        assert port == CORE_PORT
        inner = len(found) - (len(packet) - 14)
        return found[14 : inner + 7] + bytes([found[inner + 7] + 1]) + found[inner + 8 :]

    def receive(self, packet: bytes) -> bytes | None:
        """What reaches the client, the hop limit as it came."""
        sent: list[tuple[int, bytes]] = []
        self._ingress.sent = sent
        self._ingress.plane.process(CORE_PORT, packet)
        return sent[0][1][14:21] + bytes([sent[0][1][21] + 1]) + sent[0][1][22:] if sent else None

    def results(self) -> dict[str, int]:
        found = self._ingress.results()
        return {name: found.get(name, 0) for name in COUNTERS}

    def loads(self) -> list[tuple[int, ...]]:
        names = ("load_wait_us", "load_time_us", "load_sequence")
        return [tuple(int(self._ingress.plane.read_register(n, i)) for n in names) for i in range(1, 8)]

    def bucket(self, number: int) -> list[int]:
        return [int(self._ingress.plane.read_register("flow_entries", 4 * number + i)) for i in range(4)]

    def counted(self, instances: Iterable[int]) -> dict[int, dict[str, int]]:
        def read(name: str, instance: int) -> int:
            packets: int = self._ingress.plane.read_counter(f"EdgeIngress.steering.{name}", instance).packets
            return packets

        return {i: {name: read(name, i) for name in ("steered", "placed")} for i in instances}


class Host:
    """steer.bpf.c by BPF_PROG_TEST_RUN, with a clock of the test's own."""

    def __init__(self, steering: Steering) -> None:
        self._steering = steering
        loaded = steering._object
        assert loaded is not None
        self._programs = loaded.programs
        self._clock = next(m for name, m in loaded.maps.items() if name.endswith(".data"))

    def at(self, now_us: int) -> None:
        self._clock.update(bytes(4), struct.pack("=Q", now_us))

    def apply(self, view: View) -> None:
        self._steering.apply(view)

    def _run(self, program: str, packet: bytes) -> bytes | None:
        done = self._programs[program].test_run(packet)
        assert done.retval in (DROPPED, PASSED)
        return None if done.retval == DROPPED else done.data[14:]

    def request(self, packet: bytes) -> bytes | None:
        return self._run("steer", packet)

    def receive(self, packet: bytes) -> bytes | None:
        return self._run("metrics", packet)

    def results(self) -> dict[str, int]:
        return {name: self._steering.stats()[name] for name in COUNTERS}

    def _map(self, name: str) -> Map:
        return self._steering._maps[name]

    def loads(self) -> list[tuple[int, ...]]:
        rows = [self._map("loads").value_layout.decode(self._map("loads").lookup(struct.pack("=I", i)) or b"")
                for i in range(1, 8)]  # fmt: skip
        return [(int(row["wait_us"]), int(row["learned_us"]), int(row["last"])) for row in rows]

    def bucket(self, number: int) -> list[int]:
        return list(struct.unpack("=4Q", self._map("flows").lookup(struct.pack("=I", number)) or b""))

    def counted(self) -> dict[int, dict[str, int]]:
        return self._steering.counts()


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    clock = tmp_path / "clock.h"
    clock.write_text("static volatile unsigned long long clock_us = 1;\n")
    flags = ["-DSTEER_NOW_US=clock_us", "-include", str(clock)]
    monkeypatch.setattr(build, "compile_bpf", partial(build.compile_bpf, flags=flags))
    pins = Path(f"/sys/fs/bpf/p4cats-test-{os.getpid()}")
    steering = Steering(None, "lo", HEADEND, pins)
    yield Host(steering)
    steering.close()
    pins.rmdir()


@cache
def crowded() -> list[tuple[int, int]]:
    """Ports of flows to the service that share a bucket of the flow table, of TCP."""
    flows: list[tuple[int, int]] = []
    head = zlib.crc32(CLIENT.packed + SERVICE.packed + bytes([6]))
    for ports in range(1 << 26):
        if zlib.crc32(ports.to_bytes(4, "big"), head) % (1 << 17) == 5:
            flows.append(divmod(ports, 1 << 16))
            if len(flows) == 8:
                return flows
    raise AssertionError("no such flows")


def request(chance: random.Random) -> bytes:
    """A packet to the service: of one of the flows that share a bucket, or of some other."""
    source, port = chance.choice(crowded())
    kind = chance.choice(["syn", "data", "data", "udp", "other", "stamped"])
    if chance.random() < 0.4:
        source, port = chance.randrange(40), 8080
    if kind == "udp":
        return ipv6(udp(source, port), CLIENT, SERVICE, 17)
    if kind == "other":
        return ipv6(bytes(8), CLIENT, SERVICE, 132)
    segment = struct.pack("!HHIIBBHHH", source, port, 1, 0, 0x50, TCP_FLAGS.get(kind, 0x02), 100, 0, 0)
    if kind == "stamped":
        return ipv6(Metric(instance=9).header(SERVICE, 6) + segment, CLIENT, SERVICE, 0)
    return ipv6(segment, CLIENT, SERVICE, 6)


def metric(chance: random.Random, sequences: dict[tuple[int, int], int]) -> Metric:
    """An option: mostly right, else wrong in one of the ways that section 3.3 knows."""
    instance, key_id = chance.choice(list(KEYS))
    sequences[instance, key_id] = sequences.get((instance, key_id), 0) + chance.choice([0, 1, 1, 1, 5])
    found = Metric(
        instance=instance, key_id=key_id, sequence=sequences[instance, key_id], key=KEYS[instance, key_id],
        wait_us=chance.choice([0, 0, 100, 5_000, 40_000, 1 << 25, 0xFFFFFFFF]),
        flags=chance.choice([0] * 9 + [protocol.FLAG_DRAINING]),
    )  # fmt: skip
    wrong = chance.choice(
        [{}] * 8 + [
            {"magic": 1}, {"version": 3}, {"instance": 0}, {"instance": 5000}, {"instance": 900},
            {"key_id": 9}, {"key": b"12345678"}, {"mac": bytes(8)}, {"key_id": 0}, {"sequence": 0},
        ]
    )  # fmt: skip
    return found.but(**wrong)


def view(chance: random.Random, policy: str, authenticated: bool) -> View:
    """Some candidates, some living instances, some of them by way of another switch."""
    candidates = [
        Candidate(
            instance=number, weight=chance.choice([0, 1, 3]), path_delay_us=chance.choice([0, 1000, 5000]),
            fallback_wait_us=chance.choice([0, 20_000]), wait_step_us=chance.choice([0, 2500]),
        )
        for number in chance.sample(range(1, 8), chance.randint(0, 7))
    ]  # fmt: skip
    service = Service(
        address=SERVICE, id=3, policy=policy,  # type: ignore[arg-type]
        compute_weight=chance.choice([0, 1, 255]),
        network_weight=chance.choice([0, 1, 255]), dead_after_us=chance.choice([NEVER_US, 100_000]),
        affinity_timeout_us=chance.choice([2_000_000, 30_000_000]),
        spread_us=chance.choice([0, 1500, 1 << 20]),
        candidates=tuple(candidates),
    )  # fmt: skip
    reaches = [
        Reach(
            instance=number,
            sid=sid(number),
            via=chance.choice([None, None, VIA]),
            living=chance.random() < 0.9,
        )
        for number in range(1, 8)
        if chance.random() < 0.95
    ]
    keys = [
        MetricKey(instance=number, source=SERVICE, key_id=key_id, key=key.hex())  # type: ignore[arg-type]
        for (number, key_id), key in KEYS.items()
    ]
    trusted = [MetricKey(instance=number, source=SERVICE) for number in range(1, 8)]
    return View(services=(service,), instances=tuple(reaches), keys=tuple(keys if authenticated else trusted))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("authenticated", [True, False], ids=["keys", "no_keys"])
@pytest.mark.parametrize("policy", list(protocol.POLICIES))
def test_host_and_switch_do_the_same(host: Host, policy: str, authenticated: bool, seed: int) -> None:
    chance = random.Random(f"{policy} {authenticated} {seed}")
    switch = Switch()
    now_us = 1_000_000_000
    sequences: dict[tuple[int, int], int] = {}
    for step in range(500):
        if step % 60 == 0:
            chosen = view(chance, policy, authenticated)
            switch.apply(chosen)
            host.apply(chosen)
        now_us += chance.choice([1, 1, 200, 3_000, 60_000, 150_000] + [4_000_000] * (step % 10 == 0))
        switch.at(now_us)
        host.at(now_us)
        if chance.random() < 0.5:
            packet = request(chance)
            assert host.request(packet) == switch.request(packet), f"request {step}"
            continue
        option = metric(chance, sequences)
        if not authenticated:
            option = option.but(key_id=0, mac=bytes(8))
        source = chance.choice([SERVICE] * 9 + [CLIENT])
        make = chance.choice([response, lambda m, source: beacon(m, HEADEND, source)])
        assert host.receive(make(option, source=source)) == switch.receive(make(option, source=source))
    assert host.loads() == switch.loads()
    assert host.results() == switch.results()
    assert sum(host.results().values()) > 100
    assert host.bucket(5) == switch.bucket(5)
    assert host.counted() == switch.counted(host.counted())
