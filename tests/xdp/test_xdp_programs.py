"""The shipped programs in the kernel against the model: the same bytes, ports and drops."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import xdp_packets as pk
from hypothesis import given, settings
from hypothesis import strategies as st
from xdp_differential import Pair, shipped
from xdp_setups import CLIENT, DX6, END, OWN, SERVICES, SIDS, edge, routes

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def edge_pair() -> Iterator[Pair]:
    pair = Pair(shipped("edge"))
    pair.both(edge)
    yield pair
    pair.close()


@pytest.fixture(scope="module")
def transit_pair() -> Iterator[Pair]:
    pair = Pair(shipped("transit"))
    pair.both(routes)
    yield pair
    pair.close()


EXAMPLES = 60 * int(os.environ.get("P4CATS_FUZZ_PROGRAMS", "25"))
"""Packets through each of the shipped programs; more of them where more programs are generated."""
LIMIT_S = 120 + EXAMPLES // 50
"""A packet takes some ms, for both data planes and their drawing, on a busy machine."""

DESTINATIONS = st.sampled_from(
    [*SERVICES, OWN, CLIENT, DX6, END, *SIDS, pk.address("2001:db8:5::1"), pk.address("ff02::1"), 1]
)
PORTS = st.sampled_from([1, 2, 3, 510])
HOPS = st.sampled_from([0, 1, 2, 64, 255])


@st.composite
def inner(draw: st.DrawFn) -> bytes:
    destination, hops = draw(DESTINATIONS), draw(HOPS)
    source = CLIENT + draw(st.integers(0, 30))
    size = draw(st.sampled_from([0, 1, 5, 100, 300, 1400, 1460]))
    body = pk.udp(
        bytes(i & 255 for i in range(size)), draw(st.integers(1000, 1100)), draw(st.sampled_from([53, 51829]))
    )
    kind = draw(st.sampled_from(["udp", "tcp", "icmp", "metric", "solicit", "other", "tunnel", "segments"]))
    length = draw(st.sampled_from([None, None, None, 0, 9000, 65530]))
    if kind == "metric":
        body = pk.metric(
            body,
            draw(st.integers(0, 1030)),
            draw(st.integers(0, 1 << 25)),
            draw(st.integers(0, (1 << 32) - 1)),
            draw(st.sampled_from([6, 17, 59])),
            magic=draw(st.sampled_from([0xCA75, 0xCA75, 0, 1])),
        )
        return pk.ipv6(body, source, destination, 0, hops, length=length)
    if kind == "solicit":
        return pk.solicitation(
            OWN if draw(st.booleans()) else destination, source, option=draw(st.booleans()), hop_limit=hops
        )
    if kind == "tunnel":
        return pk.ipv6(pk.ipv6(body, source, SERVICES[0], 17, hops), OWN, destination, 41, draw(HOPS))
    if kind == "segments":
        segments = draw(st.lists(st.sampled_from([*SIDS, END, DX6]), min_size=1, max_size=5))
        head = pk.srh(segments, draw(st.integers(0, 5)), draw(st.sampled_from([41, 17])))
        return pk.ipv6(head + pk.ipv6(body, source, SERVICES[0], 17, hops), OWN, destination, 43, draw(HOPS))
    return pk.ipv6(
        body, source, destination, {"udp": 17, "tcp": 6, "icmp": 58, "other": 59}[kind], hops, length=length
    )


@st.composite
def packets(draw: st.DrawFn) -> tuple[int, bytes]:
    port = draw(PORTS)
    packet = pk.ethernet(draw(inner()), draw(st.sampled_from([0x86DD, 0x86DD, 0x86DD, 0x800])))
    if port == 510:
        packet = draw(st.integers(0, 40)).to_bytes(2, "big") + packet
    change = draw(st.sampled_from(["none", "none", "none", "cut", "flip", "grow"]))
    if change == "cut":
        packet = packet[: draw(st.integers(0, len(packet)))]
    elif change == "flip" and packet:
        at = draw(st.integers(0, min(len(packet) - 1, 120)))
        packet = packet[:at] + bytes([packet[at] ^ draw(st.integers(1, 255))]) + packet[at + 1 :]
    elif change == "grow":
        packet += bytes(draw(st.sampled_from([1, 3000, 7000])))
    return port, packet


@pytest.mark.timeout(LIMIT_S)
@settings(max_examples=EXAMPLES, deadline=None)
@given(packet=packets(), passes_ms=st.sampled_from([0, 1, 500, 6000]))
def test_edge_agrees_with_the_model(edge_pair: Pair, packet: tuple[int, bytes], passes_ms: int) -> None:
    edge_pair.send(*packet, passes_ns=passes_ms * 1_000_000)


@pytest.mark.timeout(LIMIT_S)
@settings(max_examples=EXAMPLES // 2, deadline=None)
@given(packet=packets())
def test_transit_agrees_with_the_model(transit_pair: Pair, packet: tuple[int, bytes]) -> None:
    transit_pair.send(*packet)


def test_steered_packets_are_encapsulated(edge_pair: Pair) -> None:
    packet = pk.ethernet(pk.ipv6(pk.udp(), CLIENT, SERVICES[1], 17))
    (found,) = edge_pair.send(1, packet)
    assert found[0] == "port"
    assert len(str(found[2])) // 2 in (len(packet), len(packet) + 40, len(packet) + 64)


def test_counters_and_registers_agree_after_packets(edge_pair: Pair) -> None:
    for client in range(40):
        edge_pair.send(1, pk.ethernet(pk.ipv6(pk.udp(), CLIENT + client, SERVICES[2], 17)))
    program = edge_pair.program
    for instance in program.externs:
        size = getattr(instance.arguments[0], "value", 0) if instance.arguments else 0
        if instance.kind == "counter":
            for index in range(size):
                assert edge_pair.xdp.read_counter(instance.name, index).packets == (
                    edge_pair.model.read_counter(instance.name, index).packets
                )
        if instance.kind == "register":
            for index in range(0, size, 1 if size <= 1024 else 7):
                assert edge_pair.xdp.read_register(instance.name, index) == (
                    edge_pair.model.read_register(instance.name, index)
                )
