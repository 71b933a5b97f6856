"""In-band telemetry through edge.p4 and transit.p4, on both targets at once (docs/protocol.md, 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import closing
from ipaddress import IPv6Address

import pytest
import xdp_packets as pk
from hypothesis import given, settings
from hypothesis import strategies as st
from int_network import (
    ALL,
    CLIENT,
    INSTANCE,
    KEY,
    KEY_ID,
    MTU,
    SERVER,
    SERVICE,
    USUAL,
    Network,
    Sampling,
)
from measure_xdp import LOOPBACK, as_port
from xdp_differential import shipped

from p4cats import protocol
from p4cats.controller.reports import Decision, Report, decode, without_int
from p4cats.halfsiphash import tag
from p4cats.switch.dataplane import CounterData

RESULTS = 8
"""Cells of the counter `metrics`."""
pytestmark = pytest.mark.root


@pytest.fixture(scope="module", params=[False, True], ids=["straight", "via"])
def network(request: pytest.FixtureRequest) -> Iterator[Network]:
    found = Network(shipped("edge"), shipped("transit"), via=request.param)
    yield found
    found.close()


def tcp(options: bytes = bytes(12), payload: bytes = b"data") -> bytes:
    offset = (20 + len(options)) // 4 << 4
    return struct.pack("!HHIIBBHHH", 4000, 80, 1, 2, offset, 0x18, 100, 0x1234, 0) + options + payload


def stamped(body: bytes, next_header: int, *, wait_us: int, sequence: int, mac: bytes | None = None) -> bytes:
    """A response of INSTANCE to the host behind the sink, authenticated by KEY unless `mac` is given."""
    values = (
        protocol.MAGIC,
        protocol.VERSION << 4,
        KEY_ID,
        INSTANCE,
        5,
        6,
        7,
        8,
        9,
        0,
        3,
        wait_us,
        1000,
        sequence,
        0,
    )
    data = protocol.OPTION_DATA.pack(*values)
    mac = tag(KEY, protocol.metric_message(data, IPv6Address(SERVER))) if mac is None else mac
    header = bytes([next_header, 4, protocol.OPTION_TYPE, protocol.OPTION_LENGTH]) + data[:-8] + mac
    return pk.ethernet(pk.ipv6(header + body, SERVICE, SERVER, 0))


def frame(body: bytes, destination: int = SERVER, next_header: int = 17) -> bytes:
    return pk.ethernet(pk.ipv6(body, CLIENT, destination, next_header))


def report_of(packet: bytes) -> Report:
    """Decode what the collector's socket would read."""
    length = struct.unpack_from("!H", packet, 18)[0]
    assert len(packet) == 54 + length
    assert struct.unpack_from("!HHHH", packet, 54)[1:] == (protocol.REPORT_PORT, length, 0)
    return decode(packet[62:])


def checked_lengths(packet: bytes) -> None:
    assert len(packet) == 54 + struct.unpack_from("!H", packet, 18)[0]


def as_routed(sent: bytes, hops: int) -> bytes:
    """What a host gets of a frame that was routed, but for its Ethernet addresses."""
    return sent[14:21] + bytes([sent[21] - hops]) + sent[22:]


KINDS = {
    "udp": frame(pk.udp(bytes(200))),
    "short udp": frame(pk.udp(b"")),
    "udp to the INT port": frame(struct.pack("!HHHH", 4000, protocol.INT_PORT, 12, 0x1111) + b"data"),
    "tcp with options": frame(tcp(), next_header=6),
    "steered udp": frame(pk.udp(bytes(200)), SERVICE),
    "steered tcp": frame(tcp(), SERVICE, 6),
}


@pytest.mark.parametrize("instructions", [USUAL, ALL, 0x8000, 0x0001])
@pytest.mark.parametrize("kind", KINDS)
def test_a_sampled_packet_arrives_as_it_was_sent_and_its_way_is_reported(network, kind, instructions):
    network.sample(Sampling(instructions))
    sent, steered = KINDS[kind], kind.startswith("steered")
    passage = network.pass_through(sent)
    for packet in (passage.after_source, passage.after_transit):
        checked_lengths(packet)
    # In a tunnel the inner hop limit counts at both its ends.
    hops = sent[21] - passage.delivered[21]
    assert passage.delivered[14:] == as_routed(sent, hops)
    assert len(passage.after_transit) > len(passage.after_source) > len(sent)
    report = report_of(passage.report)
    assert report.sink == 3
    assert len(report.hops) == 3
    if instructions & 0x8000:
        assert [hop.node for hop in report.hops] == [1, 2, 3]
    if instructions & 0x4000:
        assert [(hop.ingress_port, hop.egress_port) for hop in report.hops] == [(1, 2), (1, 2), (2, 1)]
    assert (report.source, report.destination) == (
        IPv6Address(CLIENT), IPv6Address(SERVICE if steered else SERVER),
    )  # fmt: skip
    if steered:
        assert report.decision is not None
        assert report.decision == Decision(
            INSTANCE, protocol.POLICIES["hash"], report.decision.placed, None, None
        )
    else:
        assert report.decision is None


def test_a_packet_that_is_not_sampled_is_not_touched(network):
    network.sample(Sampling(flow_limit=0, packet_limit=0))
    passage = network.pass_through(KINDS["udp"])
    assert passage.delivered[14:] == as_routed(KINDS["udp"], 3)
    assert passage.report is None


def test_a_stamped_packet_carries_telemetry_behind_its_option(network):
    network.sample(Sampling())
    sent = frame(pk.metric(pk.udp(bytes(30)), 1, 1000, 1), SERVER, 0)
    passage = network.pass_through(sent)
    assert len(passage.delivered) == len(sent)
    assert passage.delivered[14 + 40 + 40 :] == sent[14 + 40 + 40 :]
    assert passage.delivered[54:58] == sent[54:58]
    assert [hop.node for hop in report_of(passage.report).hops] == [1, 2, 3]


@pytest.mark.parametrize(("body", "next_header"), [(pk.udp(bytes(30)), 17), (tcp(), 6)], ids=["udp", "tcp"])
def test_the_sink_learns_an_authenticated_load_and_takes_telemetry_and_load_off(network, body, next_header):
    network.sample(Sampling())
    network.sink.both(lambda plane: plane.write_register("load_sequence", INSTANCE, 0))
    for index in range(RESULTS):
        network.sink.both(lambda plane, cell=index: plane.write_counter("metrics", cell, CounterData()))

    def results() -> list[int]:
        planes = network.sink.model, network.sink.xdp
        found = [[p.read_counter("metrics", i).packets for i in range(RESULTS)] for p in planes]
        assert found[0] == found[1]
        return found[0]

    def passed(sent: bytes) -> None:
        passage = network.pass_through(sent)
        blanked = sent[:58] + bytes(protocol.OPTION_LENGTH) + sent[94:]
        assert passage.delivered[14:] == as_routed(blanked, 3)
        assert [hop.node for hop in report_of(passage.report).hops] == [1, 2, 3]

    passed(stamped(body, next_header, wait_us=12_345, sequence=9))
    for plane in (network.sink.model, network.sink.xdp):
        assert plane.read_register("load_wait_us", INSTANCE) == 12_345
        assert plane.read_register("load_time_us", INSTANCE) == network.sink.clock.now // 1000
    assert results() == [1, 0, 0, 0, 0, 0, 0, 0]
    passed(stamped(body, next_header, wait_us=1, sequence=9))
    passed(stamped(body, next_header, wait_us=1, sequence=10, mac=bytes(8)))
    assert results() == [1, 0, 0, 0, 0, 1, 0, 1], "learned, repeated, forged"
    assert network.sink.xdp.read_register("load_wait_us", INSTANCE) == 12_345


def test_a_report_for_which_a_sink_has_no_room_is_counted():
    with closing(Network(shipped("edge"), shipped("transit"))) as network:
        network.sample(Sampling())
        packet = network.pass_through(KINDS["udp"]).after_transit
        plane, burst = network.sink.xdp, 2000
        inports = plane.loaded.memory.view("inports", 2048)
        mine = slice(2 * LOOPBACK, 2 * LOOPBACK + 2)
        injected = inports[mine].tolist()
        as_port(plane, 2)
        for _ in range(burst):
            plane.loaded.object.programs["p4_main"].test_run(packet)
        inports[mine.start], inports[mine.start + 1] = injected
        before = plane.drops().get("lost events", 0)
        plane.injector.work()
        reported = sum(event[:2] == ("port", 3) for event in network.sink.xdp_out.take())
        assert before == plane.drops()["lost events"] == burst - reported
        assert 0 < reported < burst


@pytest.mark.parametrize(("room", "grown"), [(0, 0), (23, 0), (24, 24), (55, 24), (56, 56)])
def test_a_packet_takes_as_much_as_the_mtu_leaves(network, room, grown):
    network.sample(Sampling(decision=0))
    sent = frame(pk.udp(bytes(MTU - 48 - room)))
    passage = network.pass_through(sent)
    assert len(passage.after_source) - len(sent) == grown
    assert len(passage.after_transit) - len(sent) == grown
    assert passage.delivered[14:] == as_routed(sent, 3)
    if grown:
        report = report_of(passage.report)
        assert report.mtu_exceeded
        assert [hop.node for hop in report.hops][:1] == ([1] if grown == 56 else [3])
    else:
        assert passage.report is None


# Tunnel 40, or by way of another switch 64; telemetry 24, of the source 44, of the transit switch 32 octets.
@pytest.mark.parametrize(
    ("room", "nodes"),
    [(23, None), (24, [3]), (55, [3]), (56, [2, 3]), (67, [2, 3]), (68, [1, 3]), (100, [1, 2, 3])],
)
def test_a_decision_is_reported_where_the_mtu_leaves_room_for_it(network, room, nodes):
    network.sample(Sampling())
    tunnel = 64 if network.via else 40
    passage = network.pass_through(frame(pk.udp(bytes(MTU - tunnel - 48 - room)), SERVICE))
    if nodes is None:
        assert passage.report is None
        return
    report = report_of(passage.report)
    assert [hop.node for hop in report.hops] == nodes
    assert report.mtu_exceeded == (len(nodes) < 3)
    assert (report.decision is not None) == (nodes[0] == 1)


@pytest.mark.parametrize("hops", [0, 1])
def test_a_decision_is_reported_where_a_hop_is_left_for_it(network, hops):
    network.sample(Sampling(hops=hops))
    report = report_of(network.pass_through(KINDS["steered udp"]).report)
    assert (report.decision is not None) == bool(hops)
    assert report.exceeded


@pytest.mark.parametrize(("hops", "nodes"), [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3])])
def test_no_more_hops_than_allowed_add_data(network, hops, nodes):
    network.sample(Sampling(hops=hops, decision=0))
    report = report_of(network.pass_through(KINDS["udp"]).report)
    assert [hop.node for hop in report.hops] == nodes
    assert report.exceeded == (hops < 3)


@pytest.mark.parametrize("instructions", [0x8002, 0x8040])
def test_nobody_adds_data_for_instructions_that_are_reserved(network, instructions):
    network.sample(Sampling(instructions))
    passage = network.pass_through(KINDS["udp"])
    assert len(passage.after_transit) == len(KINDS["udp"]) + 24
    assert passage.delivered[14:] == as_routed(KINDS["udp"], 3)


def test_a_probe_is_reported_and_not_delivered(network):
    network.sample(Sampling())
    packet = bytearray(network.pass_through(KINDS["udp"]).after_transit)
    packet[54 + 12] |= 0x08
    left = network.sink.send(2, bytes(packet))
    assert [event[1] for event in left] == [3]


def test_telemetry_of_hosts_is_dropped(network):
    network.sample(Sampling())
    on_its_way = network.pass_through(KINDS["udp"]).after_source
    assert network.source.send(1, on_its_way) == []


def test_an_error_quotes_the_packet_without_telemetry(network):
    network.sample(Sampling())
    for kind in ("udp", "tcp with options"):
        packet = network.pass_through(KINDS[kind]).after_transit
        assert without_int(packet)[14:] == as_routed(KINDS[kind], 2)


@st.composite
def datagrams(draw: st.DrawFn) -> tuple[int, bytes]:
    """UDP to ports that mean something too; without checksum (tunnels, RFC 6935) not to that of INT."""
    port = draw(st.sampled_from([53, 80, protocol.INT_PORT, protocol.BEACON_PORT]))
    body = draw(st.binary(max_size=300))
    checksums = st.integers(1, 65535) if port == protocol.INT_PORT else st.integers(0, 65535) | st.just(0)
    header = (draw(st.integers(0, 65535)), port, 8 + len(body), draw(checksums))
    return 17, struct.pack("!HHHH", *header) + body


@st.composite
def segments(draw: st.DrawFn) -> tuple[int, bytes]:
    """TCP with any options."""
    options = b"".join(draw(st.lists(st.binary(min_size=4, max_size=4), max_size=10)))
    return 6, tcp(options, draw(st.binary(max_size=300)))


@settings(max_examples=100, deadline=None)
@given(
    body=datagrams() | segments(),
    destination=st.sampled_from([SERVER, SERVICE]),
    sampling=st.builds(Sampling, st.integers(0, 0xFFFF), hops=st.integers(0, 4)),
)
def test_what_leaves_is_what_came_whatever_it_was(network, body, destination, sampling):
    network.sample(sampling)
    next_header, octets = body
    sent = frame(octets, destination, next_header)
    passage = network.pass_through(sent)
    assert passage.delivered[14:] == as_routed(sent, sent[21] - passage.delivered[21])
