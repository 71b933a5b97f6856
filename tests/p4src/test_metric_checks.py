"""What an ingress forwarder believes of a metric, and what becomes of the option: docs/protocol.md, 3.3."""

from __future__ import annotations

from ipaddress import IPv6Address

import pytest
from ingress import (
    BLANK,
    CLIENT,
    KEYS,
    OTHER_SERVICE,
    ROUTER,
    SERVICE,
    Ingress,
    Metric,
    beacon,
    ipv6,
    option,
    response,
    udp,
    words,
)

from p4cats.switch.dataplane import Exact

NEXT_KEY = Metric(key_id=2)
UNKNOWN_WAIT = 0xFFFFFFFF


def delivered_blank(packet: bytes) -> bytes:
    """What a client gets of a stamped packet: hop limit one less, zeros instead of metrics."""
    start = 14 + 40 + 4
    blank = packet[:start] + BLANK + packet[start + len(BLANK) :]
    return blank[14:21] + bytes([blank[21] - 1]) + blank[22:]


@pytest.mark.parametrize(
    ("metric", "source", "result"),
    [
        (Metric(), SERVICE, "learned"),
        (Metric(magic=0xCA76), SERVICE, "malformed"),
        (Metric(version=2), SERVICE, "malformed"),
        (Metric(magic=0, version=0), SERVICE, "malformed"),
        (Metric(instance=0), SERVICE, "unknown_instance"),
        (Metric(instance=1024), SERVICE, "unknown_instance"),
        (Metric(instance=0xFFFFFFFF), SERVICE, "unknown_instance"),
        (Metric(instance=3), SERVICE, "no_key"),
        (Metric(key_id=0), SERVICE, "no_key"),
        (Metric(key_id=3), SERVICE, "no_key"),
        (Metric(instance=0x10001), SERVICE, "unknown_instance"),
        (Metric(), OTHER_SERVICE, "misdirected"),
        (Metric(), CLIENT, "misdirected"),
        (Metric(mac=bytes(8)), SERVICE, "forged"),
        (Metric(key=b"anything"), SERVICE, "forged"),
        (Metric(key=KEYS[2, 1]), SERVICE, "forged"),
    ],
    ids=str,
)
def test_every_outcome_is_counted_and_the_packet_goes_on_blank(
    ingress: Ingress, metric: Metric, source: IPv6Address, result: str
) -> None:
    packet = response(metric, source=source)
    assert ingress.delivered(packet) == delivered_blank(packet)
    assert ingress.results() == {result: 1}
    assert (ingress.load() != (0, 0)) == (result == "learned")


def test_a_blank_option_is_not_counted(ingress: Ingress) -> None:
    packet = ipv6(option(BLANK) + udp(), SERVICE, CLIENT, 0)
    assert ingress.delivered(packet) == delivered_blank(packet)
    assert ingress.results() == {}


@pytest.mark.parametrize("at", range(len(BLANK)))
def test_an_option_with_anything_else_than_zeros_is_not_blank(ingress: Ingress, at: int) -> None:
    data = BLANK[:at] + b"\1" + BLANK[at + 1 :]
    packet = ipv6(option(data) + udp(), SERVICE, CLIENT, 0)
    assert ingress.delivered(packet) == delivered_blank(packet)
    assert ingress.results() == {"malformed": 1}


def test_a_response_without_an_option_is_left_as_it_is(ingress: Ingress) -> None:
    packet = response(None)
    assert ingress.delivered(packet)[8:] == packet[14 + 8 :]
    assert ingress.results() == {}


def test_a_beacon_is_learned_and_dropped(ingress: Ingress) -> None:
    assert ingress.send(beacon(Metric(wait_us=777))) == []
    assert ingress.results() == {"learned": 1}
    assert ingress.load()[0] == 777


@pytest.mark.parametrize(
    ("told", "learned"), [(0, 0), (0xFFFFFF, 0xFFFFFF), (0x1000000, 0xFFFFFF), (0xFFFFFFFE, 0xFFFFFF)]
)
def test_waits_are_cut_to_what_can_be_weighed(ingress: Ingress, told: int, learned: int) -> None:
    ingress.send(response(Metric(wait_us=told)))
    assert ingress.load()[0] == learned


def test_an_instance_that_does_not_know_its_wait_is_heard_all_the_same(ingress: Ingress) -> None:
    ingress.send(response(Metric(wait_us=5)))
    before = ingress.load()
    ingress.send(response(Metric(wait_us=UNKNOWN_WAIT, sequence=2)))
    wait, time = ingress.load()
    assert wait == UNKNOWN_WAIT
    assert time > before[1]


def test_an_instance_that_drains_is_silent_until_it_says_otherwise(ingress: Ingress) -> None:
    ingress.send(response(Metric()))
    ingress.send(response(Metric(sequence=2, flags=1)))
    assert ingress.load()[1] == 0
    ingress.send(response(Metric()))
    assert ingress.load()[1] == 0, "a replay does not bring it back"
    ingress.send(response(Metric(sequence=3)))
    assert ingress.load()[1] > 0
    assert ingress.results() == {"learned": 3, "stale": 1}


def test_a_sequence_goes_up_and_never_back(ingress: Ingress) -> None:
    for sequence, result in (
        (100, "learned"), (100, "repeated"), (99, "stale"), (1, "stale"), (101, "learned"),
        (0x80000065, "learned"), (101, "stale"), (0xFFFFFFFF, "learned"), (0, "stale"), (1, "stale"),
    ):  # fmt: skip
        before = ingress.results().get(result, 0)
        ingress.clock.pass_s(3600)
        ingress.send(response(Metric(sequence=sequence)))
        assert ingress.results()[result] == before + 1, sequence


def test_a_replayed_packet_changes_nothing(ingress: Ingress) -> None:
    recorded = [response(Metric(sequence=n, wait_us=1_000_000 * n)) for n in range(1, 6)]
    for packet in recorded:
        ingress.send(packet)
    load = ingress.load()
    ingress.clock.pass_s(5)
    for packet in recorded:
        ingress.send(packet)
    assert ingress.load() == load
    assert ingress.results() == {"learned": 5, "stale": 4, "repeated": 1}


def test_the_next_key_begins_at_1_and_the_old_one_is_behind(ingress: Ingress) -> None:
    ingress.send(response(Metric(sequence=1000)))
    ingress.send(response(NEXT_KEY.but(sequence=1, wait_us=7)))
    assert ingress.load()[0] == 7
    ingress.send(response(Metric(sequence=2000)))
    assert ingress.load()[0] == 7
    assert ingress.results() == {"learned": 2, "stale": 1}


@pytest.mark.parametrize(
    ("last", "key_id", "result"),
    [(255, 1, "learned"), (1, 255, "stale"), (1, 200, "learned"), (200, 1, "learned"), (0, 1, "learned")],
)
def test_key_ids_come_round(ingress: Ingress, last: int, key_id: int, result: str) -> None:
    key = KEYS[1, 1]
    ingress.plane.write_register("load_sequence", 1, 1 << 40 | last << 32 | 500)
    table, match = "learn_metric.metric_keys", (Exact(1), Exact(key_id))
    if (1, key_id) not in KEYS:
        ingress.insert(table, match, "learn_metric.authenticate", **words(key), source=SERVICE)
    ingress.send(response(Metric(key_id=key_id, key=key, sequence=1)))
    assert ingress.results() == {result: 1}
    if (1, key_id) not in KEYS:
        ingress.delete(table, match)


def test_a_metric_cannot_be_moved_to_another_destination(ingress: Ingress) -> None:
    neighbour = IPv6Address(int(CLIENT) + 1)
    moved = ipv6(Metric().header(CLIENT) + udp(), SERVICE, neighbour, 0)
    assert len(ingress.send(moved)) == 1
    as_beacon = ipv6(Metric().header(CLIENT) + udp(1, 51829, b""), SERVICE, ROUTER, 0)
    assert ingress.send(as_beacon) == []
    assert ingress.results() == {"forged": 2}


@pytest.mark.parametrize("octet", range(4, 40))
def test_every_octet_of_the_option_is_protected(ingress: Ingress, octet: int) -> None:
    packet = bytearray(response(Metric(sequence=1 << 16)))
    packet[14 + 40 + octet] ^= 1
    ingress.send(bytes(packet))
    assert "learned" not in ingress.results()
    assert ingress.load() == (0, 0)


def test_without_authentication_key_0_is_believed_from_the_service_alone(ingress: Ingress) -> None:
    table, key = "learn_metric.metric_keys", (Exact(9), Exact(0))
    ingress.insert(table, key, "learn_metric.trust", source=SERVICE)
    trusted = Metric(instance=9, key_id=0)
    try:
        ingress.send(response(trusted.but(sequence=50)))
        ingress.send(response(trusted.but(sequence=49)))
        ingress.send(response(trusted.but(sequence=60), source=CLIENT))
        assert ingress.results() == {"learned": 1, "stale": 1, "misdirected": 1}
        ingress.clock.pass_s(1.1)
        ingress.send(response(trusted.but(sequence=1)))
        assert ingress.results()["learned"] == 2
    finally:
        ingress.delete(table, key)


def test_an_edge_that_removes_the_option_delivers_the_packet_as_the_server_wrote_it(ingress: Ingress) -> None:
    table, key = "learn_metric.metric_options", (Exact(0x3E),)
    ingress.insert(table, key, "learn_metric.remove")
    try:
        found = ingress.delivered(response(Metric(wait_us=9)))
        plain = response(None)[14:]
        assert found == plain[:7] + bytes([plain[7] - 1]) + plain[8:]
        assert ingress.load()[0] == 9
    finally:
        ingress.delete(table, key)


def test_another_hop_by_hop_header_is_left_alone(ingress: Ingress) -> None:
    for data in (
        bytes([17, 0, 1, 4, 0, 0, 0, 0]),  # PadN
        bytes([17, 4, 0x3E, 35]) + bytes(36),  # our type, another length
        bytes([17, 4, 0x1E, 36]) + bytes(36),  # our length, another type
        bytes([17, 5, 0x3E, 36]) + bytes(44),  # with more options
    ):
        packet = ipv6(data + udp(), SERVICE, CLIENT, 0)
        assert ingress.delivered(packet)[40:] == data + udp()
    assert ingress.results() == {}
