"""Who gets a new flow, by the data plane alone: policies, silence, freshness (docs/protocol.md, 6.1, 6.3)."""

from collections import Counter
from itertools import count

import pytest
from deciding_edge import MS, SECOND, packet

POLICIES = ("static", "hash", "least", "p2c")
new_clients = count(1 << 20)


def spread_over(edge, flows=40):
    """Where new flows go."""
    return Counter(edge.send(packet(next(new_clients))) for _ in range(flows))


@pytest.mark.parametrize("policy", POLICIES)
def test_a_silent_instance_gets_no_new_flow_until_its_next_beacon(edge, policy):
    for instance in (1, 2, 3):
        edge.add(instance)
    edge.service(policy, total=3)
    edge.hear(1, 2, 3)
    stays = packet(7)
    home = edge.send(stays)
    others = [instance for instance in (1, 2, 3) if instance != home]
    edge.now_us += 60 * MS
    edge.hear(*others)
    edge.now_us += 41 * MS
    assert set(spread_over(edge)) <= set(others)
    assert edge.send(stays) == home
    edge.hear(1, 2, 3)
    assert home in spread_over(edge)


@pytest.mark.parametrize("policy", POLICIES)
def test_silence_of_all_says_nothing(edge, policy):
    for instance in (1, 2):
        edge.add(instance)
    edge.service(policy, total=2)
    assert set(spread_over(edge)) == {1, 2}


def test_nobody_is_ever_silent_where_dead_after_is_the_longest(edge):
    for instance in (1, 2):
        edge.add(instance)
    edge.service("hash", dead_after_us=(1 << 47) - 1)
    edge.hear(1)
    assert set(spread_over(edge)) == {1, 2}


def test_an_instance_of_weight_zero_takes_no_flow_of_a_silent_one(edge):
    edge.add(1)
    edge.add(2, weight=0)
    edge.add(3)
    edge.service("static", total=2)
    edge.hear(2, 3)
    assert set(spread_over(edge)) == {3}


def test_least_goes_to_the_lowest_sum_of_wait_and_delay(edge):
    edge.add(1, delay_us=1 * MS)
    edge.add(2, delay_us=9 * MS)
    edge.hear(1, 2)
    assert edge.send(packet(next(new_clients))) == 1
    edge.hear(1, wait_us=9 * MS)
    assert edge.send(packet(next(new_clients))) == 2
    edge.now_us += 90 * MS
    edge.hear(2, wait_us=60 * MS)
    assert edge.send(packet(next(new_clients))) == 1


def test_a_stale_load_gives_way_to_the_controllers(edge):
    edge.service(dead_after_us=(1 << 47) - 1)
    edge.add(1)
    edge.add(2, delay_us=30 * MS)
    edge.hear(1, wait_us=SECOND)
    edge.hear(2)
    assert set(spread_over(edge, 5)) == {2}
    edge.now_us += SECOND
    assert set(spread_over(edge, 5)) == {1}


def test_flows_that_arrive_together_are_spread_by_what_they_add(edge):
    for instance in (1, 2, 3, 4):
        edge.add(instance)
    edge.hear(1, 2, 3, 4)
    assert set(spread_over(edge, 40).values()) == {10}


def test_p2c_leaves_the_most_loaded_alone(edge):
    for instance in (1, 2, 3, 4):
        edge.add(instance)
    edge.service("p2c")
    edge.hear(1, 2, 3)
    edge.hear(4, wait_us=SECOND)
    assert set(spread_over(edge)) == {1, 2, 3}
