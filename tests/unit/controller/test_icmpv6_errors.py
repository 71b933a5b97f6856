"""ICMPv6 errors, decoded by scapy."""

from ipaddress import IPv6Address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrSegmentRouting,
)
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import p4cats.topologies
from p4cats.controller.exceptions import ERROR_BURST, PUNT_HOP_LIMIT, PUNT_TOO_BIG, Responder, answer
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

TOPOLOGY = load(Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml")
PLAN = Plan(TOPOLOGY)
ROUTER = IPv6Address("5f00:0:3::1")
CLIENT, SERVER = str(PLAN.hosts["clients1"].address), str(PLAN.hosts["chat-cloud"].address)
CHAT = "2001:db8:ca75::53"


def client_packet(size=1400, **fields):
    return IPv6(src=CLIENT, dst=CHAT, **fields) / UDP(sport=1, dport=8080) / Raw(b"x" * size)


def frame(packet):
    return bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)


def check(error, kind):
    """Decode an error and verify its checksum by having scapy compute it again."""
    decoded = IPv6(error)
    assert isinstance(decoded.payload, kind)
    assert len(error) == 40 + decoded.plen <= 1280
    found = decoded.payload.cksum
    again = IPv6(error)
    del again.payload.cksum
    assert IPv6(bytes(again)).payload.cksum == found
    return decoded


def quoted(error):
    return error[48:]


def test_time_exceeded_goes_to_the_sender_and_quotes_the_packet():
    packet = client_packet(100, hlim=1)
    error = answer(frame(packet), PUNT_HOP_LIMIT, 0, ROUTER)
    decoded = check(error, ICMPv6TimeExceeded)
    assert (decoded.src, decoded.dst, decoded.payload.code) == (str(ROUTER), CLIENT, 0)
    assert quoted(error) == bytes(packet)


def test_packet_too_big_tells_the_mtu_and_quotes_as_much_as_fits_1280():
    packet = client_packet(1500)
    error = answer(frame(packet), PUNT_TOO_BIG, 1300, ROUTER)
    assert check(error, ICMPv6PacketTooBig).payload.mtu == 1300
    assert quoted(error) == bytes(packet)[:1232]


@pytest.mark.parametrize("segments", [0, 1, 2])
def test_of_a_tunnel_the_inner_sender_is_told_the_mtu_inside(segments):
    outer = IPv6(src="5f00:0:1::1", dst="5f00:0:6:1003::")
    if segments:
        outer = outer / IPv6ExtHdrSegmentRouting(addresses=["5f00:0:6:1003::"] * segments, segleft=1)
    inner = client_packet(1400)
    overhead = 40 + (8 + 16 * segments if segments else 0)
    error = answer(frame(outer / inner), PUNT_TOO_BIG, 1400, ROUTER)
    decoded = check(error, ICMPv6PacketTooBig)
    assert (decoded.dst, decoded.payload.mtu) == (CLIENT, 1400 - overhead)
    assert quoted(error) == bytes(inner)[:1232]


def test_no_mtu_below_the_smallest_of_ipv6_and_none_that_would_not_help():
    outer = IPv6(src="5f00:0:1::1", dst="5f00:0:6:1003::")
    too_big = answer(frame(outer / client_packet(1400)), PUNT_TOO_BIG, 1280, ROUTER)
    assert check(too_big, ICMPv6PacketTooBig).payload.mtu == 1280
    assert answer(frame(outer / client_packet(1200)), PUNT_TOO_BIG, 1280, ROUTER) is None


def test_padding_of_short_frames_is_not_quoted():
    packet = IPv6(src=CLIENT, dst=CHAT, hlim=1) / UDP(sport=1, dport=2)
    error = answer(frame(packet) + bytes(20), PUNT_HOP_LIMIT, 0, ROUTER)
    check(error, ICMPv6TimeExceeded)
    assert quoted(error) == bytes(packet)


@pytest.mark.parametrize(
    "packet",
    [
        IPv6(src=CLIENT, dst=SERVER) / ICMPv6DestUnreach(),
        IPv6(src=CLIENT, dst=SERVER) / ICMPv6ND_Redirect(),
        IPv6(src=CLIENT, dst=SERVER) / IPv6ExtHdrDestOpt() / ICMPv6PacketTooBig(),
        IPv6(src=CLIENT, dst=SERVER) / IPv6ExtHdrFragment(offset=9, nh=58) / Raw(b"tail of something"),
        IPv6(src=CLIENT, dst="ff02::1") / UDP(),
        IPv6(src="::", dst=SERVER) / UDP(),
        IPv6(src="ff02::1", dst=SERVER) / UDP(),
        IPv6(src="fe80::1", dst=SERVER) / UDP(),
    ],
    ids=lambda packet: packet.summary(),
)
def test_never_in_answer_to(packet):
    assert answer(frame(packet), PUNT_HOP_LIMIT, 0, ROUTER) is None


def test_echo_requests_are_answered():
    packet = IPv6(src=CLIENT, dst=SERVER, hlim=1) / IPv6ExtHdrDestOpt() / ICMPv6EchoRequest()
    check(answer(frame(packet), PUNT_HOP_LIMIT, 0, ROUTER), ICMPv6TimeExceeded)


def test_other_protocols_and_reasons_are_ignored():
    assert answer(bytes(Ether(type=0x0800)) + b"E" * 60, PUNT_HOP_LIMIT, 0, ROUTER) is None
    assert answer(frame(client_packet()), 99, 0, ROUTER) is None


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([PUNT_HOP_LIMIT, PUNT_TOO_BIG]), st.integers(0, 65535))
def test_garbage_is_answered_correctly_or_not_at_all(data, reason, mtu):
    error = answer(bytes(12) + b"\x86\xdd\x60" + data, reason, mtu, ROUTER)
    if error is not None:
        check(error, (ICMPv6TimeExceeded, ICMPv6PacketTooBig))


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1400))
def test_checksum_holds_for_odd_and_even_lengths(size):
    check(answer(frame(client_packet(size)), PUNT_HOP_LIMIT, 0, ROUTER), ICMPv6TimeExceeded)


def test_switch_routes_the_answer_to_a_client():
    [out] = Responder(TOPOLOGY, PLAN).respond("core", 1, PUNT_HOP_LIMIT, 0, frame(client_packet()))
    assert (out.switch, out.egress_port) == ("core", 0)
    assert Ether(out.frame).type == 0x86DD
    assert Ether(out.frame)[IPv6].dst == CLIENT


def response(size=1400):
    return frame(IPv6(src=CHAT, dst=CLIENT) / TCP(sport=8080) / Raw(b"x" * size))


def test_too_big_response_of_an_anycast_address_is_told_to_every_instance_by_its_own_link():
    outs = Responder(TOPOLOGY, PLAN).respond("core", 4, PUNT_TOO_BIG, 1400, response())
    assert [(out.switch, out.egress_port) for out in outs] == [("edge1", 1), ("edge2", 1), ("cloud", 1)]
    assert [Ether(out.frame).dst for out in outs] == [
        PLAN.hosts[name].mac for name in ("chat-edge1", "chat-edge2", "chat-cloud")
    ]


def test_too_big_response_straight_from_a_host_is_told_to_it_alone():
    outs = Responder(TOPOLOGY, PLAN).respond("edge2", 1, PUNT_TOO_BIG, 1400, response())
    assert [(out.switch, out.egress_port) for out in outs] == [("edge2", 1)]


def test_other_errors_to_anycast_addresses_are_not_sent():
    assert Responder(TOPOLOGY, PLAN).respond("core", 4, PUNT_HOP_LIMIT, 0, response()) == []


def test_rate_is_limited_per_switch():
    now = [0.0]
    responder = Responder(TOPOLOGY, PLAN, clock=lambda: now[0])
    punted = frame(client_packet(hlim=1))
    sent = sum(len(responder.respond("core", 1, PUNT_HOP_LIMIT, 0, punted)) for _ in range(200))
    assert sent == ERROR_BURST
    assert len(responder.respond("access1", 1, PUNT_HOP_LIMIT, 0, punted)) == 1
    now[0] += 0.1
    sent = sum(len(responder.respond("core", 1, PUNT_HOP_LIMIT, 0, punted)) for _ in range(200))
    assert sent == 10
    assert responder.limited["core"] == 150 + 190
