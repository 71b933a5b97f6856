"""Flows stay with their instance, whatever happens around them (docs/protocol.md, 6.4 and 6.6)."""

from collections import Counter
from ipaddress import IPv6Address
from itertools import count

import pytest
from deciding_edge import ACK, MS, SECOND, SERVICE, SYN, TCP, UDP, Edge, packet

from p4cats.controller.flows import Flow
from p4cats.switch.kept import Kept

FLOWS = 10_000


def opened(edge, flows):
    """Open flows, TCP and UDP by turns; return the instance of each, by its next packet."""
    found = {}
    for client in flows:
        kind = TCP if client % 2 else UDP
        first = edge.send(packet(client, protocol_number=kind, flags=SYN))
        following = packet(client, protocol_number=kind, flags=ACK)
        assert edge.send(following) == first
        found[following] = first
    return found


def moved(edge, placed, every=1, offset=0):
    """How many of the flows (one in `every`) go elsewhere now."""
    return sum(edge.send(frame) != instance for frame, instance in list(placed.items())[offset::every])


def test_no_flow_of_a_living_instance_moves_whatever_is_changed(edge, tmp_path):
    for instance in (1, 2, 3, 4):
        edge.add(instance, weight=instance)
    edge.hear(1, 2, 3, 4)
    edge.service("p2c")
    placed = opened(edge, range(FLOWS))
    assert len(Counter(placed.values())) == 4
    share = (10, iter(range(10)).__next__)

    def check():
        edge.now_us += SECOND
        assert moved(edge, placed, share[0], share[1]()) == 0

    edge.add(5)
    edge.hear(5)
    check()
    edge.drain(1)
    check()
    edge.hear(2, wait_us=5 * SECOND)
    check()
    for policy in ("static", "hash", "least"):
        edge.service(policy, total=14)
        check()
    edge.now_us += 20 * SECOND  # everybody is silent
    check()
    edge.drain(3)
    edge.add(3, weight=0, delay_us=10 * SECOND)
    check()
    kept = Kept(tmp_path / "registers")
    kept.save(edge.registers)
    restarted = Edge(edge.target)
    try:
        restarted.now_us = edge.now_us
        kept.restore(restarted.registers)
        for instance in (2, 4, 5):
            restarted.add(instance)
        assert moved(restarted, placed) == 0
    finally:
        restarted.close()


def test_a_flow_of_a_dead_instance_is_placed_anew_and_stays_there(edge):
    edge.add(1)
    frame = packet(1)
    assert edge.send(frame) == 1
    edge.drain(1)
    edge.add(2)
    assert edge.send(frame) == 1
    edge.down(1)
    assert edge.send(frame) == 2
    edge.add(3)
    assert edge.send(frame) == 2


def test_a_flow_is_forgotten_when_it_has_been_idle_for_too_long(edge):
    edge.add(1)
    frame = packet(1)
    edge.send(frame)
    edge.send(frame)
    edge.drain(1)
    edge.add(2)
    edge.now_us += 29 * SECOND
    assert edge.send(frame) == 1
    edge.now_us += 31 * SECOND
    assert edge.send(frame) == 2


def same_bucket(number, kind=UDP):
    """Clients whose flows share a bucket of the flow table."""
    buckets, clients, found = {}, count(), []
    while len(found) < number:
        client = next(clients)
        source = IPv6Address(0x20010DB8 << 96 | 1 << 80 | client)
        found = buckets.setdefault(Flow(source, SERVICE, kind, 4000, 80).cells[0], [])
        found.append(client)
    return found


@pytest.fixture(scope="module")
def crowd():
    """Six clients whose UDP flows share a bucket."""
    return same_bucket(6)


def test_a_full_bucket_gives_up_its_oldest_unconfirmed_flow_and_no_confirmed_one(edge, crowd):
    edge.add(1)
    for client in crowd[:4]:
        edge.now_us += 100 * MS
        edge.send(packet(client))
    for client in (crowd[0], crowd[3]):
        edge.send(packet(client))  # confirmed
    edge.drain(1)
    edge.add(2)
    assert edge.send(packet(crowd[4])) == 2
    kept = [edge.send(packet(client)) for client in (crowd[0], crowd[2], crowd[3], crowd[4])]
    assert kept == [1, 1, 1, 2]
    assert edge.send(packet(crowd[1])) == 2, "the oldest one was given up"


def test_a_flow_without_an_entry_is_placed_by_hash_whatever_the_loads_are(edge, crowd):
    edge.add(1)
    edge.add(2)
    for client in crowd[:4]:
        edge.send(packet(client))
        edge.send(packet(client))
    untracked = packet(crowd[4])
    first = edge.send(untracked)
    edge.hear(first, wait_us=SECOND)
    edge.hear(3 - first)
    assert edge.send(untracked) == first
    edge.now_us += 20 * SECOND
    edge.hear(3 - first)
    assert edge.send(untracked) == first


def test_an_unconfirmed_entry_is_free_after_three_seconds_but_still_its_flows(edge, crowd):
    edge.add(1)
    for client in crowd[:4]:
        edge.send(packet(client))
    edge.now_us += 4 * SECOND
    edge.drain(1)
    edge.add(2)
    assert edge.send(packet(crowd[0])) == 1
    assert edge.send(packet(crowd[4])) == 2


def test_syn_flood_and_address_scan_move_no_established_flow(edge):
    for instance in (1, 2):
        edge.add(instance)
    placed = opened(edge, range(500))
    edge.drain(1)
    for number in range(5000):
        edge.now_us += 100
        kind = TCP if number % 2 else UDP
        edge.send(packet(1 << 32 | number, port=number, protocol_number=kind, flags=SYN))
    assert moved(edge, placed) == 0


def test_tcp_flows_in_their_midst_are_found_by_hash_where_the_table_was_lost(edge):
    for instance in (1, 2, 3):
        edge.add(instance)
    edge.service("hash")
    frames = [
        packet(client, protocol_number=TCP, flags=flags) for client in range(60) for flags in (SYN, ACK)
    ]
    placed = [edge.send(frame) for frame in frames]
    lost = Edge(edge.target)
    try:
        for instance in (1, 2, 3):
            lost.add(instance)
        lost.service("least")
        lost.hear(2)
        assert [lost.send(frame) for frame in frames[1::2]] == placed[1::2]
    finally:
        lost.close()
