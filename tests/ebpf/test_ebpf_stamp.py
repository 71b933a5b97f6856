"""stamp packet by packet, run by the kernel (BPF_PROG_TEST_RUN): what goes in, what must come out."""

import os
import random
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from ipaddress import IPv6Address
from pathlib import Path
from typing import Any

import pytest
from ebpf_hosts import PORT, SERVICE, decode_option
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from p4cats import halfsiphash, netns, protocol
from p4cats.ebpf import normalise, stamp, system
from p4cats.ebpf.libbpf import Program, RingBuffer
from p4cats.ebpf.stamp import Stamp
from p4cats.protocol import BEACON_PORT, FLAG_DRAINING, HBH_BYTES, MAGIC, OPTION_LENGTH, OPTION_TYPE, VERSION

pytestmark = pytest.mark.root

CLIENT = "fd00::9"
SECOND_NS = 1_000_000_000
INSTANCE: dict[str, Any] = {
    "instance": 1023,
    "service_time_us": 10_000,
    "workers": 2,
    "power_mw": 123_456,
    "port": PORT,
    "norm_fi": 9,
    "compute": 8,
    "communication": 7,
    "service": 6,
    "composed": 5,
}
NUMBER = struct.pack("=I", INSTANCE["instance"])
KEY = bytes(range(8))


class Bench:
    """The programs with one service in their maps, and no interface."""

    def __init__(self, loaded: Stamp) -> None:
        self._stamp = loaded
        self._programs = loaded._load(netns.inode(None)).programs
        self._key = stamp.service_key(netns.inode(None), IPv6Address(SERVICE))
        self._before = loaded.stats()
        self.set_instance()
        self.set_counters()
        self.set_key()

    def set_instance(self, **changes: int) -> None:
        fields = {**INSTANCE, "valid_until_ns": time.monotonic_ns() + 600 * SECOND_NS, **changes}
        self._stamp.instances.update(self._key, self._stamp.instances.value_layout.encode(fields))

    def set_counters(self, **fields: int) -> None:
        self._stamp.counters.update(NUMBER, self._stamp.counters.value_layout.encode(fields))

    def set_key(self, key_id: int = 0, key: bytes = bytes(8), sequence: int = 0) -> None:
        fields = {"key_id": key_id, "key": key, "sequence": sequence}
        self._stamp.keys.update(NUMBER, self._stamp.keys.value_layout.encode(fields))

    def remove_key(self) -> None:
        self._stamp.keys.delete(NUMBER)

    def counters(self) -> dict[str, Any]:
        raw = self._stamp.counters.lookup(NUMBER)
        assert raw is not None
        return self._stamp.counters.value_layout.decode(raw)

    def egress(self, packet: Packet) -> bytes:
        return self._run(self._programs["stamp"], packet)

    def egress_octets(self, frame: bytes) -> bytes:
        return self._programs["stamp"].test_run(frame).data

    def ingress_octets(self, frame: bytes) -> bytes:
        return self._programs["requests"].test_run(frame).data

    def ingress(self, packet: Packet) -> bytes:
        return self._run(self._programs["requests"], packet)

    def woken(self) -> list[int]:
        """The instances that user space was woken for since the last call."""
        found: list[int] = []
        ring = RingBuffer(self._stamp.changes, lambda record: found.append(*struct.unpack("=I", record)))
        ring.consume()
        ring.close()
        return found

    def reasons(self) -> dict[str, int]:
        """What was counted since the bench was set up, without zeros."""
        now = self._stamp.stats()
        return {name: now[name] - self._before[name] for name in now if now[name] != self._before[name]}

    @staticmethod
    def _run(program: Program, packet: Packet) -> bytes:
        result = program.test_run(bytes(packet))
        assert result.retval == 0xFFFFFFFF  # TC_ACT_UNSPEC: other filters have their turn
        return result.data


def stamp_with_room(flows: int) -> Iterator[Stamp]:
    pins = Path(f"/sys/fs/bpf/p4cats-test-stamp-{os.getpid()}-{flows}")
    system.ensure_bpffs(pins)
    made = Stamp(pins, flows)
    yield made
    made.close()
    assert not pins.exists()


@pytest.fixture(scope="module")
def loaded() -> Iterator[Stamp]:
    yield from stamp_with_room(8192)


@pytest.fixture
def bench(loaded: Stamp) -> Bench:
    return Bench(loaded)


FRAME_HEAD = bytes(12) + struct.pack("!HIHBB16s", 0x86DD, 6 << 28, 8, 17, 64, IPv6Address(SERVICE).packed)
"""Ethernet and IPv6 of a datagram without data from the service, but for the destination."""


def ethernet() -> Ether:
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def response(payload: Packet, **fields: Any) -> Packet:
    return ethernet() / IPv6(**{"src": SERVICE, "dst": CLIENT, **fields}) / payload


def udp_response(size: int = 5, **fields: Any) -> Packet:
    return response(UDP(sport=PORT, dport=5000, **fields) / Raw(bytes(size)))


def udp_request(client: str = CLIENT, sport: int = 5000, dport: int = PORT) -> Packet:
    return ethernet() / IPv6(src=client, dst=SERVICE) / UDP(sport=sport, dport=dport) / Raw(b"ask")


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(TCP(sport=PORT, dport=5000, flags="A") / Raw(b"hello"), id="TCP with data"),
        pytest.param(TCP(sport=PORT, dport=5000, flags="SA"), id="TCP without data"),
        pytest.param(UDP(sport=PORT, dport=5000) / Raw(b"hello"), id="UDP with data"),
        pytest.param(UDP(sport=PORT, dport=5000), id="UDP without data"),
    ],
)
def test_a_response_gets_the_option_and_nothing_else_changes(bench: Bench, payload: Packet):
    before = bytes(response(payload))
    after = bench.egress(response(payload))
    assert len(after) == len(before) + HBH_BYTES
    # Ethernet; version, class and flow; hop limit and addresses; all behind: as they were.
    assert after[:18] == before[:18]
    assert after[21:54] == before[21:54]
    assert after[54 + HBH_BYTES :] == before[54:]
    assert struct.unpack("!H", after[18:20])[0] == len(before) - 54 + HBH_BYTES
    assert after[20] == 0  # next header: Hop-by-Hop
    assert after[54] == before[20]  # whose next header is the transport
    assert bench.reasons() == {"stamped": 1}


def test_the_option_is_laid_out_to_the_bit(bench: Bench):
    bench.set_counters(tcp_opened=10, tcp_closed=4, udp_requests=7, udp_responses=5, udp_aged=1)
    bench.set_instance(flags=FLAG_DRAINING)
    bench.set_key(7, KEY, sequence=0x01020304)
    option = bench.egress(udp_response())[54:94]
    golden = bytes.fromhex(
        "11 04 3e 24"  # UDP, 8 * (4 + 1) octets; type, 36 octets of data
        "ca75 11 07"  # magic, version 1, flag D, key id
        "000003ff"  # instance
        "09 08 07 06 05 00"  # scores, reserved
        "0007"  # in flight: 6 connections, 2 datagrams less one given up
        "00007530"  # wait: (7 + 1 - 2) * 10 ms / 2
        "0001e240"  # power
        "01020305"  # sequence
    )
    assert option == golden + halfsiphash.tag(KEY, golden[4:] + IPv6Address(CLIENT).packed)


def test_scapy_reads_the_option_and_the_checksum_holds(bench: Bench):
    packet = Ether(bench.egress(udp_response()))
    header = packet[IPv6ExtHdrHopByHop]
    (option,) = header.options
    assert (header.len, header.nh) == (4, 17)
    assert (option.option_type, option.option_length) == (OPTION_TYPE, OPTION_LENGTH)
    fields = decode_option(bytes(option)[2:])
    assert fields["magic"] == MAGIC
    assert fields["version_flags"] == VERSION << 4
    assert fields["instance"] == INSTANCE["instance"]
    sent = packet[UDP].chksum
    del packet[UDP].chksum
    assert Ether(bytes(packet))[UDP].chksum == sent


@pytest.mark.parametrize(
    ("reason", "packet"),
    [
        pytest.param("not_service", response(UDP(), src="fd00::1"), id="another source"),
        pytest.param("not_service", udp_request(), id="a request on its way out"),
        pytest.param("not_service", ethernet() / IP() / UDP(), id="IPv4 UDP"),
        pytest.param("not_service", ethernet() / IP() / ICMP(), id="IPv4 ICMP"),
        pytest.param("not_transport", response(ICMPv6EchoRequest()), id="ICMPv6"),
        pytest.param("fragment", response(IPv6ExtHdrFragment(nh=17) / Raw(bytes(40))), id="fragment"),
        pytest.param(
            "has_extension", response(IPv6ExtHdrDestOpt() / UDP(sport=PORT)), id="destination options"
        ),
        pytest.param("has_extension", response(IPv6ExtHdrRouting() / TCP(sport=PORT)), id="routing header"),
        pytest.param("not_transport", response(Raw(bytes(40)), nh=59), id="no next header"),
        pytest.param("not_transport", response(Raw(b"abc"), nh=17), id="UDP cut short"),
        pytest.param(
            "has_hbh",
            response(IPv6ExtHdrHopByHop(options=[PadN(optdata=bytes(4))]) / UDP(sport=PORT)),
            id="Hop-by-Hop header there already",
        ),
    ],
)
def test_other_packets_pass_unchanged_and_are_counted(bench: Bench, reason: str, packet: Packet):
    assert bench.egress(packet) == bytes(packet)
    assert bench.reasons() == {reason: 1}


def test_a_packet_without_room_to_the_path_mtu_is_not_stamped(bench: Bench):
    bench.set_instance(path_mtu=1280)
    room = 1280 - 40 - 8 - HBH_BYTES
    assert len(bench.egress(udp_response(room))) == 14 + 1280
    assert bench.egress(udp_response(room + 1)) == bytes(udp_response(room + 1))
    assert bench.reasons() == {"stamped": 1, "no_room": 1}


def test_a_router_that_says_packet_too_big_is_believed_for_that_client(bench: Bench):
    full = udp_response(1500 - 40 - 8 - HBH_BYTES)
    other = response(UDP(sport=PORT, dport=5000) / Raw(bytes(1500 - 40 - 8 - HBH_BYTES)), dst="fd00::8")
    assert len(bench.egress(full)) == 14 + 1500
    too_big = IPv6(src="fd00::fe", dst=SERVICE) / ICMPv6PacketTooBig(mtu=1400) / bytes(full)[14:1200]
    bench.ingress(ethernet() / too_big)
    assert bench.egress(full) == bytes(full)
    assert len(bench.egress(udp_response(1400 - 40 - 8 - HBH_BYTES))) == 14 + 1400
    assert len(bench.egress(other)) == 14 + 1500
    assert bench.reasons() == {"stamped": 3, "no_room": 1}


def test_a_packet_too_big_about_others_packets_is_ignored(bench: Bench):
    quoted = IPv6(src="fd00::77", dst="fd00::7") / UDP() / Raw(bytes(1000))
    bench.ingress(ethernet() / IPv6(dst=SERVICE) / ICMPv6PacketTooBig(mtu=1300) / quoted)
    assert len(bench.egress(udp_response(1300))) == 14 + 40 + 8 + 1300 + HBH_BYTES


def test_nothing_is_stamped_once_the_agent_is_silent(bench: Bench):
    bench.set_instance(valid_until_ns=time.monotonic_ns() - SECOND_NS)
    assert bench.egress(udp_response()) == bytes(udp_response())
    assert bench.reasons() == {"stale": 1}


def test_sequence_numbers_increase_and_end(bench: Bench):
    bench.set_key(1, KEY, sequence=0xFFFFFFFD)
    stamps = [decode_option(bench.egress(udp_response())[58:94])["sequence"] for _ in range(2)]
    assert stamps == [0xFFFFFFFE, 0xFFFFFFFF]
    for _ in range(2):
        assert bench.egress(udp_response()) == bytes(udp_response())
    assert bench.reasons() == {"stamped": 2, "exhausted": 2}
    bench.set_key(2, KEY)
    assert decode_option(bench.egress(udp_response())[58:94])["sequence"] == 1


def test_without_a_key_nothing_is_stamped(bench: Bench):
    bench.remove_key()
    assert bench.egress(udp_response()) == bytes(udp_response())
    assert bench.reasons() == {"no_key": 1}


def test_key_id_0_stamps_without_a_mac(bench: Bench):
    bench.set_key(0, KEY)
    option = decode_option(bench.egress(udp_response())[58:94])
    assert (option["key_id"], option["mac"]) == (0, 0)


def test_the_mac_is_that_of_the_reference_whatever_is_stamped(bench: Bench):
    draw = random.Random(4)
    for _ in range(2000):
        key = draw.randbytes(8)
        client = IPv6Address(draw.getrandbits(128))
        bench.set_key(draw.randint(1, 255), key, sequence=draw.getrandbits(31))
        after = bench.egress_octets(
            FRAME_HEAD + client.packed + struct.pack("!4H", PORT, 5000, 8, draw.getrandbits(16))
        )
        data = after[58:94]
        assert data[-8:] == halfsiphash.tag(key, protocol.metric_message(data, client))


@pytest.mark.parametrize(("workers", "service_time"), [(1, 1), (2, 10_000), (7, 333), (64, 4_000_000_000)])
@pytest.mark.parametrize("in_flight", [0, 1, 2, 6, 7, 8, 65_533, 65_534, 65_535, 3_000_000_000])
def test_the_kernels_expected_wait_is_the_documented_one(
    bench: Bench, in_flight: int, workers: int, service_time: int
):
    bench.set_instance(workers=workers, service_time_us=service_time)
    bench.set_counters(tcp_opened=in_flight)
    option = decode_option(bench.egress(udp_response())[58:94])
    assert option["expected_wait_us"] == normalise.expected_wait_us(in_flight, workers, service_time)
    assert option["in_flight"] == min(in_flight, 0xFFFE)


@pytest.mark.parametrize("unknown", ["workers", "service_time_us"])
def test_an_unknown_wait_is_all_ones(bench: Bench, unknown: str):
    bench.set_instance(**{unknown: 0})
    assert decode_option(bench.egress(udp_response())[58:94])["expected_wait_us"] == 0xFFFFFFFF


def test_counts_never_fall_below_zero(bench: Bench):
    bench.set_counters(tcp_closed=3, udp_responses=2)
    assert decode_option(bench.egress(udp_response())[58:94])["in_flight"] == 0


def test_udp_requests_count_until_they_are_answered(bench: Bench):
    bench.ingress(udp_request(sport=6001))
    bench.ingress(udp_request(sport=6001))
    bench.ingress(udp_request(sport=6002))
    assert bench.counters()["udp_requests"] == 3
    answers = [response(UDP(sport=PORT, dport=port)) for port in (6001, 6001, 6001, 6002, 6003)]
    in_flight = [decode_option(bench.egress(answer)[58:94])["in_flight"] for answer in answers]
    # The third datagram to 6001 and the one to 6003 answer nothing.
    assert in_flight == [2, 1, 1, 0, 0]
    assert bench.counters()["udp_responses"] == 3


@pytest.fixture(scope="module")
def crowded() -> Iterator[Stamp]:
    """Room for eight flows."""
    yield from stamp_with_room(8)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.booleans(), st.integers(1, 12)), max_size=60))
def test_requests_in_flight_are_those_that_found_room_and_have_no_answer(
    crowded: Stamp, steps: list[tuple[bool, int]]
):
    crowded.give_up_before(time.monotonic_ns() + SECOND_NS)
    bench = Bench(crowded)
    waiting: Counter[int] = Counter()

    def ask(port: int) -> None:
        before = bench.reasons().get("untracked", 0)
        bench.ingress(udp_request(sport=port))
        found_room = bench.reasons().get("untracked", 0) == before
        assert found_room or waiting.total() >= 4  # as many as a set has room for
        waiting[port] += found_room

    def answer(port: int) -> None:
        option = decode_option(bench.egress(response(UDP(sport=PORT, dport=port)))[58:94])
        waiting[port] -= waiting[port] > 0
        assert option["in_flight"] == waiting.total()

    for asks, port in steps:
        (ask if asks else answer)(port)
    for port in waiting:
        while waiting[port]:
            answer(port)


def segment_in(flags: str = "A", data: bytes = b"", sport: int = 5000) -> Packet:
    return ethernet() / IPv6(src=CLIENT, dst=SERVICE) / TCP(sport=sport, dport=PORT, flags=flags) / Raw(data)


def segment_out(flags: str = "A", data: bytes = b"", dport: int = 5000) -> Packet:
    return response(TCP(sport=PORT, dport=dport, flags=flags) / Raw(data))


def test_exchanges_count_from_data_to_data_or_the_end_of_the_connection(bench: Bench):
    bench.set_instance(exchanges=1)

    def in_flight() -> int:
        return decode_option(bench.egress(segment_out())[58:94])["in_flight"]

    for packet, expected in (
        (segment_in("S"), 0),
        (segment_in(), 0),
        (segment_in(data=b"GET"), 1),
        (segment_in(data=b"more of it"), 1),
        (segment_in(data=b"of another", sport=5001), 2),
        (udp_request(sport=5000), 3),
        (segment_out(), 3),
        (segment_out(data=b"200"), 2),
        (segment_out(data=b"more of it"), 2),
        (segment_in(data=b"GET"), 3),
        (segment_in("FA"), 3),
        (segment_out("FA"), 2),
        (segment_in("R", sport=5001), 1),
        (segment_in("R", sport=5001), 1),
        (udp_response(), 0),
    ):
        source = packet[IPv6].src
        (bench.egress if source == SERVICE else bench.ingress)(packet)
        assert in_flight() == expected, packet.summary()
    assert bench.counters()["tcp_opened"] == bench.counters()["tcp_closed"] == 3


def test_segments_are_no_requests_where_connections_are(bench: Bench):
    bench.ingress(segment_in(data=b"GET"))
    bench.egress(segment_out(data=b"200"))
    bench.egress(segment_out("R"))
    assert bench.counters()["tcp_opened"] == bench.counters()["tcp_closed"] == 0


def test_datagrams_to_other_ports_and_addresses_are_no_requests(bench: Bench):
    bench.ingress(udp_request(dport=PORT + 1))
    bench.ingress(ethernet() / IPv6(src=CLIENT, dst="fd00::77") / UDP(sport=1, dport=PORT))
    bench.ingress(ethernet() / IPv6(src=CLIENT, dst=SERVICE) / TCP(sport=1, dport=PORT))
    assert bench.counters()["udp_requests"] == 0


def test_fragmented_requests_and_answers_count_once(bench: Bench):
    first = IPv6ExtHdrFragment(nh=17, offset=0, m=1)
    rest = IPv6ExtHdrFragment(nh=17, offset=181, m=0)
    bench.ingress(ethernet() / IPv6(src=CLIENT, dst=SERVICE) / first / UDP(sport=6001, dport=PORT))
    bench.ingress(ethernet() / IPv6(src=CLIENT, dst=SERVICE) / rest / Raw(bytes(40)))
    assert bench.counters()["udp_requests"] == 1
    bench.egress(response(first / UDP(sport=PORT, dport=6001)))
    bench.egress(response(rest / Raw(bytes(40))))
    assert bench.counters()["udp_responses"] == 1
    assert bench.reasons() == {"fragment": 2}


def test_user_space_is_woken_once_when_the_wait_is_off_by_more_than_an_eighth(bench: Bench):
    bench.woken()
    for told, woken in ((100, []), (112, []), (89, []), (115, [1023]), (88, [1023]), (0, [1023])):
        # Two workers, 10 ms: with 21 in flight the wait is 100 ms.
        bench.set_counters(tcp_opened=21, told_wait_us=told * 1000)
        bench.egress(udp_response())
        bench.egress(udp_response())
        assert bench.woken() == woken
    bench.egress(response(UDP(sport=PORT, dport=BEACON_PORT)))
    assert bench.counters()["told_wait_us"] == 100_000
    bench.ingress(udp_request())
    assert bench.woken() == []
    for port in range(9000, 9003):
        bench.ingress(udp_request(sport=port))
    assert bench.woken() == [1023]


@pytest.fixture
def nimble_threads() -> Iterator[None]:
    """Python's threads take turns every few microseconds."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("nimble_threads")
def test_a_beacon_hides_no_change_that_comes_on_another_cpu_meanwhile(bench: Bench):
    """After each round: what the beacon told is true, or user space was woken again."""
    rounds, ports = 10_000, range(8001, 8005)
    beacon = bytes(response(UDP(sport=PORT, dport=BEACON_PORT)))
    questions = [bytes(udp_request(sport=port)) for port in ports]
    answers = [bytes(response(UDP(sport=PORT, dport=port))) for port in ports]
    both, pick = threading.Barrier(2), random.Random(1)

    def send_beacons() -> None:
        for _ in range(rounds):
            both.wait()
            end = time.perf_counter() + pick.random() * 70e-6
            while time.perf_counter() < end:
                pass
            bench.egress_octets(beacon)
            both.wait()

    sender = threading.Thread(target=send_beacons)
    sender.start()
    found = []
    for _ in range(rounds):
        both.wait()
        for question in questions:
            bench.ingress_octets(question)
        both.wait()
        now = bench.counters()
        found.append((now["told_wait_us"], now["change_told"]))
        for answer in answers:
            bench.egress_octets(answer)
        bench.egress_octets(beacon)
        bench.woken()
    sender.join()
    # Two workers, 10 ms: four in flight make 15 ms.
    assert [pair for pair in found if pair[0] < 13_000 and not pair[1]] == []


def test_a_beacon_answers_no_request(bench: Bench):
    bench.ingress(udp_request(sport=BEACON_PORT))
    beacon = bench.egress(response(UDP(sport=PORT, dport=BEACON_PORT)))
    assert decode_option(beacon[58:94])["in_flight"] == 1


def test_only_requests_that_find_a_free_worker_are_timed(bench: Bench):
    for port in range(7001, 7005):  # two workers
        bench.ingress(udp_request(sport=port))
    for port in range(7001, 7005):
        bench.egress(response(UDP(sport=PORT, dport=port)))
    assert bench.counters()["served"] == 2
    assert bench.counters()["service_time_ns"] > 0


def test_the_measured_service_time_takes_the_place_of_the_configured_one(bench: Bench):
    bench.set_instance(measure=1)
    bench.set_counters(tcp_opened=2, service_time_ns=30_000_999)
    assert decode_option(bench.egress(udp_response())[58:94])["expected_wait_us"] == 15_000


def test_the_service_time_is_a_moving_average_of_ten_requests(bench: Bench):
    bench.set_counters(served=100, service_time_ns=10_000_000_000)
    bench.ingress(udp_request(sport=7101))
    bench.egress(response(UDP(sport=PORT, dport=7101)))
    assert bench.counters()["service_time_ns"] == pytest.approx(9_000_000_000, abs=100_000_000)
