"""A flow as the edge program sees it."""

import zlib
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from p4cats.controller.desired import Candidate
from p4cats.controller.flows import Flow, by_cost, by_hash, by_weight

addresses = st.integers(0, (1 << 128) - 1).map(IPv6Address)
ports = st.integers(0, 65535)
some_flows = st.builds(Flow, addresses, addresses, st.sampled_from([6, 17]), ports, ports)


def candidates(weights):
    return [Candidate(slot, slot + 1, weight, 0, 0, 0) for slot, weight in enumerate(weights)]


def test_hash_covers_37_octets_in_header_order():
    flow = Flow(IPv6Address("::1"), IPv6Address("::2"), 17, 0x1234, 0x5678)
    octets = bytes(15) + b"\1" + bytes(15) + b"\2" + b"\x11\x12\x34\x56\x78"
    assert flow.hash == zlib.crc32(octets)


def test_ports_of_other_protocols_count_as_zero():
    flow = Flow(IPv6Address("::1"), IPv6Address("::2"), 58, 5, 6)
    assert flow.hash == Flow(IPv6Address("::1"), IPv6Address("::2"), 58).hash


@given(some_flows, st.lists(st.integers(0, 9), min_size=2, max_size=8), st.data())
def test_hash_moves_no_flow_of_others_when_one_leaves(flow, weights, data):
    everyone = candidates(weights)
    chosen = by_hash(flow, everyone)
    gone = data.draw(st.sampled_from([item for item in everyone if item.instance != chosen]))
    assert by_hash(flow, [item for item in everyone if item is not gone]) == chosen


@given(some_flows, st.lists(st.integers(0, 9), max_size=8))
def test_weights_choose_someone_whenever_there_is_weight(flow, weights):
    chosen = by_weight(flow, candidates(weights))
    assert (chosen is not None) == any(weights)
    assert chosen is None or weights[chosen - 1]


@given(some_flows, st.dictionaries(st.integers(1, 8), st.integers(0, 3), min_size=1))
def test_cost_chooses_the_cheapest(flow, costs):
    assert costs[by_cost(flow, costs)] == min(costs.values())


def test_nobody_is_chosen_among_nobody():
    flow = Flow(IPv6Address("::1"), IPv6Address("::2"))
    assert (by_hash(flow, []), by_weight(flow, []), by_cost(flow, {})) == (None, None, None)
