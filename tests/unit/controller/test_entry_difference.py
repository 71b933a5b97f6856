"""Differences: they lead to the goal, and every moment on the way is safe."""

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

import p4cats.topologies
from p4cats.controller import entries as tables
from p4cats.controller.desired import Desired, ServiceSettings, State
from p4cats.controller.difference import apply, difference
from p4cats.controller.entries import Entry, by_key
from p4cats.topologies.addressing import Plan
from p4cats.topologies.schema import load

TOPOLOGY = load(Path(p4cats.topologies.__file__).parent / "edge-cloud.yaml")
DESIRED = Desired(TOPOLOGY, Plan(TOPOLOGY))

numbers = st.sampled_from([1, 2, 3])
states = st.builds(
    State,
    services=st.dictionaries(
        st.just("chat"),
        st.builds(
            ServiceSettings,
            st.sampled_from(["static", "least", "nearest"]),
            st.integers(0, 9),
            st.integers(0, 9),
        ),
    ),
    availability=st.dictionaries(numbers, st.sampled_from(["up", "drained", "down"])),
    weights=st.dictionaries(numbers, st.integers(0, 20)),
    waits=st.dictionaries(numbers, st.integers(0, 1000)),
    segments=st.dictionaries(st.tuples(st.just("access1"), numbers), st.just("access2")),
)
anything = st.builds(
    lambda table, key, value: Entry(table, (("k", key),), "act", (("a", value),)),
    st.sampled_from(tables.EDGE_TABLES),
    st.integers(0, 5),
    st.integers(0, 3),
)


def entry_sets(items):
    return st.lists(items, unique_by=lambda item: item.key).map(by_key)


@settings(deadline=None)
@given(entry_sets(anything), entry_sets(anything))
def test_difference_applied_to_actual_gives_desired(actual, desired):
    held = dict(actual)
    for phase in difference(actual, desired):
        assert phase
        assert len({update.entry.key for update in phase}) == len(phase)
        held = apply(held, phase)
    assert held == desired


@given(entry_sets(anything))
def test_equal_entries_give_no_difference(actual):
    assert difference(actual, dict(reversed(actual.items()))) == []


def assert_safe(held):
    """What packets rely on: see the module text of `difference`."""
    by_table = {}
    for item in held.values():
        by_table.setdefault(item.table, []).append(item)
    reachable = {dict(item.match)["instance"] for item in by_table.get(tables.INSTANCES, [])}
    living = {dict(item.match)["instance"] for item in by_table.get(tables.LIVING, [])}
    candidates = [item for slot in tables.SLOTS for item in by_table.get(slot, [])]
    assert living <= reachable
    assert {item.arg("instance_id") for item in candidates} <= living
    for service in by_table.get(tables.SERVICES, []):
        if service.action == "classify":
            weights = sum(item.arg("static_weight") for item in candidates)
            assert service.arg("total_weight") <= weights


@settings(max_examples=60, deadline=None)
@given(states, states, st.randoms(use_true_random=False), st.sampled_from(["access1", "edge1", "core"]))
def test_every_moment_between_two_states_is_safe_in_any_order_within_a_phase(old, new, random, switch):
    held = dict(DESIRED.entries(old)[switch])
    assert_safe(held)
    for phase in difference(held, DESIRED.entries(new)[switch]):
        updates = list(phase)
        random.shuffle(updates)
        for update in updates:
            held = apply(held, [update])
            assert_safe(held)
    assert held == DESIRED.entries(new)[switch]


def test_a_switch_is_filled_and_emptied_safely():
    full = DESIRED.entries(State())["access1"]
    for start, goal in (({}, full), (full, {})):
        held = dict(start)
        for phase in difference(start, goal):
            for update in phase:
                held = apply(held, [update])
                assert_safe(held)
        assert held == goal


def test_a_changed_wait_writes_one_entry():
    old, new = (DESIRED.entries(State(waits={1: wait}))["access1"] for wait in (100, 200))
    [[update]] = difference(old, new)
    assert (update.kind, update.entry.table, update.entry.arg("wait_us")) == ("MODIFY", "c0.candidates", 200)
