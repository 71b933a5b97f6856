"""A flow as the edge program sees it."""

import zlib
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from p4cats import protocol
from p4cats.controller.desired import Candidate
from p4cats.controller.flows import Considered, Flow, Told, choose, consider, placed, spread_us

addresses = st.integers(0, (1 << 128) - 1).map(IPv6Address)
ports = st.integers(0, 65535)
some_flows = st.builds(Flow, addresses, addresses, st.sampled_from([6, 17]), ports, ports)


STATIC, HASH, LEAST, P2C = (protocol.POLICIES[name] for name in ("static", "hash", "least", "p2c"))


def candidates(weights, silent=()):
    return [
        Considered(Candidate(slot, slot + 1, weight, 0, 0, 0), slot + 1 in silent, weight)
        for slot, weight in enumerate(weights)
    ]


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
    chosen = choose(flow, HASH, everyone)
    gone = data.draw(st.sampled_from([item for item in everyone if item.candidate.instance != chosen]))
    assert choose(flow, HASH, [item for item in everyone if item is not gone]) == chosen


@given(some_flows, st.lists(st.integers(0, 9), max_size=8))
def test_weights_choose_someone_whenever_there_is_weight(flow, weights):
    chosen = choose(flow, STATIC, candidates(weights))
    assert (chosen is not None) == any(weights)
    assert chosen is None or weights[chosen - 1]


@given(some_flows, st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_cost_chooses_the_cheapest(flow, waits):
    assert waits[choose(flow, LEAST, candidates(waits)) - 1] == min(waits)


@given(some_flows, st.lists(st.integers(0, 60_000), min_size=1, max_size=8), st.integers(0, 60_000))
def test_a_blurred_cost_is_off_by_no_more_than_the_blur(flow, waits, spread):
    assert waits[choose(flow, LEAST, candidates(waits), (1, 1), spread) - 1] <= min(waits) + spread


@given(some_flows, st.lists(st.integers(0, 3), min_size=3, max_size=8))
def test_p2c_never_takes_the_dearest_of_three(flow, waits):
    assert waits[choose(flow, P2C, candidates(waits)) - 1] < max(waits) or sorted(waits)[-2] == max(waits)


@given(
    some_flows,
    st.lists(st.integers(1, 9), min_size=2, max_size=8),
    st.sets(st.integers(1, 8)),
    st.sampled_from([STATIC, HASH, LEAST, P2C]),
)
def test_a_silent_candidate_is_chosen_only_if_all_are(flow, weights, silent, code):
    chosen = choose(flow, code, candidates(weights, silent))
    assert chosen not in silent or len(silent & set(range(1, len(weights) + 1))) == len(weights)


def test_nobody_is_chosen_among_nobody():
    flow = Flow(IPv6Address("::1"), IPv6Address("::2"))
    assert [choose(flow, code, []) for code in (STATIC, HASH, LEAST, P2C)] == [None] * 4


def test_a_told_wait_counts_while_it_is_fresh_and_the_controllers_after():
    candidate = Candidate(0, 1, 1, 0, 20_000, 0)
    assert consider(candidate, Told(7, 500), 500, 100) == Considered(candidate, True, 7)
    assert consider(candidate, Told(7, 501), 500, 1000) == Considered(candidate, False, 20_000)
    assert consider(candidate, Told(None, None), 500, 0) == Considered(candidate, False, 20_000)


def test_waits_are_blurred_by_what_others_add_beyond_what_is_served():
    window = protocol.SPREAD_WINDOW_US
    cell = 7 << 36 | 100 << 18 | 300
    assert spread_us(cell, 7 * window, 200) == 300 * 200 - protocol.SPREAD_TIME_US
    assert spread_us(cell, 8 * window, 400) == 100 * 400 - protocol.SPREAD_TIME_US
    assert spread_us(cell, 9 * window, 400) == 0


def test_an_entry_is_the_flows_by_its_tag_until_it_has_been_idle_for_too_long():
    flow = Flow(IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"), 17, 1, 2)
    second = 1_000_000
    entry = flow.tag << 32 | 5 << 22 | 40 * second >> 14
    assert placed(flow, [0, entry], 69 * second, 30 * second) == 5
    assert placed(flow, [0, entry], 71 * second, 30 * second) is None
    assert placed(flow, [entry ^ 1 << 32], 41 * second, 30 * second) is None
