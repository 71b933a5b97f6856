"""Who can send any packet from a client's place can neither attract, repel nor move a flow.

The same requests and the same loads pass a forwarder twice, once with an attacker in between: what
becomes of the requests must be the same, packet by packet (docs/protocol.md, 9).
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv6Address

import pytest
from ingress import (
    CLIENT,
    CLIENT_PORT,
    CORE_PORT,
    ETHERNET,
    KEYS,
    ROUTER,
    SERVICE,
    SIDS,
    Ingress,
    Metric,
    beacon,
    ipv6,
    option,
    response,
    udp,
)

from p4cats import protocol

ROUNDS = 12
ATTACKER = IPv6Address(int(CLIENT) + 0xBAD)
OTHER_ROUTER = IPv6Address("5f00:0:9::1")
LEAST = {"policy": protocol.POLICIES["least"], "compute_weight": 1, "network_weight": 1,
         "load_ttl_us": 500_000, "affinity_timeout_us": 30_000_000}  # fmt: skip
SCORES = (0, 1, 0xFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


def request(port: int, client: IPv6Address = CLIENT) -> bytes:
    return ipv6(udp(port, 8080, b"request"), client, SERVICE, 17)


def truth(number: int) -> list[bytes]:
    """What the instances say in a round: now the one is idle, now the other."""
    waits = (0, 40_000) if number % 2 else (40_000, 0)
    metrics = [
        Metric(instance=i, sequence=10 + number, wait_us=w) for i, w in zip((1, 2), waits, strict=True)
    ]
    return [response(metrics[0]), beacon(metrics[1])]


def forged() -> Iterator[bytes]:
    """Metrics with a guessed MAC, under every kind of key id, from the service's address and from others."""
    guess = random.Random(4)
    for instance in (1, 2):
        for key_id in (0, 1, 2, 3, 255):
            for wait_us in SCORES:
                for flags in (0, 1):
                    metric = Metric(instance=instance, key_id=key_id, wait_us=wait_us, flags=flags,
                                    sequence=guess.getrandbits(32), mac=guess.randbytes(8))  # fmt: skip
                    yield response(metric)
                    yield response(metric.but(mac=bytes(8)), client=ATTACKER)
                    yield response(metric, source=ATTACKER)
                    yield beacon(metric)
                    yield beacon(metric, router=OTHER_ROUTER)


def replayed(number: int) -> Iterator[bytes]:
    """What instances have said until this round: as it was, elsewhere, as beacons, from another source."""
    for old in range(number + 1):
        for packet in truth(old):
            yield packet
            header, destination = packet[54:94], IPv6Address(packet[38:54])
            yield ipv6(header + udp(), SERVICE, ATTACKER, 0)
            yield ipv6(header + udp(), ATTACKER, destination, 0)
            for port in (protocol.BEACON_PORT, 40_000):
                yield ipv6(header + udp(1, port), SERVICE, ROUTER if destination == CLIENT else CLIENT, 0)


def of_another_site() -> Iterator[bytes]:
    """A compromised host of instance 2's site speaks for instance 1, with its own key."""
    for wait_us in SCORES:
        for key_id in (1, 2):
            metric = Metric(key_id=key_id, key=KEYS[2, 1], wait_us=wait_us, sequence=1 << 30)
            yield from (response(metric), beacon(metric))


def malformed() -> Iterator[bytes]:
    noise = random.Random(5)
    for magic, version in ((0xCA75, 0), (0xCA75, 15), (0, 1), (0xFFFF, 1)):
        yield response(Metric(magic=magic, version=version, sequence=1 << 20))
    for instance in (0, 1024, 0x10001, 0xFFFFFFFF):
        yield response(Metric(instance=instance, mac=bytes(8)))
    for _ in range(200):
        data = noise.randbytes(protocol.OPTION_LENGTH)
        yield ipv6(option(data, noise.choice((6, 17, 41, 43, 58, 59, 0))) + udp(), SERVICE, CLIENT, 0)
        yield ipv6(noise.randbytes(8 * noise.randrange(1, 8)), SERVICE, noise.choice((CLIENT, ROUTER)), 0)
    for other in (
        b"\x11\x00\x01\x04\0\0\0\0",
        b"\x11\x04\x3e\x23" + bytes(36),
        b"\x11\x05\x3e\x24" + bytes(44),
    ):
        yield ipv6(other + udp(), SERVICE, CLIENT, 0)
    whole = response(Metric(sequence=1 << 20, mac=bytes(8)))
    yield from (whole[:length] for length in range(14, len(whole), 3))


def into_the_domain() -> Iterator[bytes]:
    """Packets to SIDs, with and without segments, and to router addresses."""
    inner = request(5)[14:]
    for target in (*SIDS.values(), IPv6Address("5f00:0:2:1::"), ROUTER, OTHER_ROUTER):
        yield ipv6(inner, ATTACKER, target, 41)
        yield ipv6(udp(), ATTACKER, target, 17)
        yield ipv6(Metric().header(target) + udp(), SERVICE, target, 0)
        for left in range(3):
            segments = b"".join(sid.packed for sid in SIDS.values())
            routing = struct.pack("!BBBBBBH", 41, 4, 4, left, 1, 0, 0) + segments
            yield ipv6(routing + inner, ATTACKER, target, 43)


def telemetry() -> Iterator[bytes]:
    """In-band telemetry that no switch of the domain has added, around requests and metrics."""
    noise = random.Random(6)
    inner = request(5)[54:]
    for target in (SERVICE, CLIENT, ROUTER, *SIDS.values()):
        for words in range(3, 12):
            shim = bytes([0x18, words, 0, 17]) + b"\x20" + noise.randbytes(4 * words - 1)
            yield ipv6(udp(5, protocol.INT_PORT, shim + inner), ATTACKER, target, 17)
            yield ipv6(udp(5, protocol.INT_PORT, shim[: 4 * noise.randrange(3)]), SERVICE, target, 17)
            stamped = Metric(mac=bytes(8)).header(target)
            yield ipv6(stamped + udp(5, protocol.INT_PORT, shim + inner), SERVICE, target, 0)


def spoofed() -> Iterator[bytes]:
    """Packets of flows that others have opened."""
    for port in range(100, 100 + ROUNDS):
        yield request(port)
        yield ETHERNET[:12] + b"\x08\x00" + request(port)[14:]


ATTACKS: dict[str, Callable[[int], Iterable[bytes]]] = {
    "forged": lambda number: list(forged())[number::ROUNDS],
    "replayed": replayed,
    "of another site": lambda _number: of_another_site(),
    "malformed": lambda number: list(malformed())[number::ROUNDS],
    "into the domain": lambda _number: into_the_domain(),
    "telemetry": lambda _number: telemetry(),
}


def decisions(ingress: Ingress, attack: Callable[[int], Iterable[bytes]]) -> list[list[tuple[int, bytes]]]:
    """Where requests of new and of old flows go, and what is known then, while the attack is under way."""
    found = []
    start_ns = ingress.clock.now_ns
    for number in range(ROUNDS):
        ingress.clock.now_ns = start_ns + number * 20_000_000
        for packet in truth(number):
            ingress.send(packet)
        for packet in attack(number):
            left = ingress.send(packet, CLIENT_PORT)
            assert all(port == CLIENT_PORT or outside_or_beacon(frame) for port, frame in left)
        ingress.clock.now_ns = start_ns + number * 20_000_000 + 10_000_000
        found += [ingress.send(request(port), CLIENT_PORT) for port in range(100, 101 + number)]
        found.append([(i, repr(ingress.load(i)[0]).encode()) for i in (1, 2)])
    return found


def outside_or_beacon(frame: bytes) -> bool:
    """Whether what leaves to the core goes to no switch, but for beacons, which others check."""
    destination = IPv6Address(frame[14 + 24 : 14 + 40])
    return int(destination) >> 112 != protocol.SR_BLOCK or destination == OTHER_ROUTER


@pytest.fixture(scope="module")
def serving(started: Ingress) -> Ingress:
    started.serve(**LEAST)
    return started


@pytest.mark.parametrize("attack", ATTACKS)
def test_decisions_are_those_without_the_attack(serving: Ingress, attack: str) -> None:
    serving.reset()
    serving.clock.pass_s(60)  # flows of the test before are forgotten
    expected = decisions(serving, lambda _number: ())
    steered = {frame[14 + 24 : 14 + 40] for sent in expected for _, frame in sent if len(frame) > 60}
    assert steered == {sid.packed for sid in SIDS.values()}, "loads decide"
    honest = serving.results()
    serving.reset()
    serving.clock.pass_s(60)
    assert decisions(serving, ATTACKS[attack]) == expected
    assert serving.results()["learned"] == honest["learned"]


def test_flows_of_others_stay_where_they_are(serving: Ingress) -> None:
    serving.reset()
    serving.clock.pass_s(60)
    for number in range(ROUNDS):
        for packet in truth(number):
            serving.send(packet)
        serving.clock.pass_s(0.01)
        [(port, before)] = serving.send(request(100 + number), CLIENT_PORT)
        assert port == CORE_PORT
        for packet in spoofed():
            serving.send(packet, CLIENT_PORT)
        assert serving.send(request(100 + number), CLIENT_PORT) == [(port, before)]


def test_a_forwarder_that_has_just_started_believes_only_what_is_signed(serving: Ingress) -> None:
    serving.reset()
    for packet in (*forged(), *of_another_site(), *malformed(), *into_the_domain(), *telemetry()):
        serving.send(packet, CLIENT_PORT)
    assert "learned" not in serving.results()
    assert serving.load(1) == serving.load(2) == (0, 0)
