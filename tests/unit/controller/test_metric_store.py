"""C-SMA: smoothing, thresholds, silence."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4cats.controller.metrics import STALE_WAIT_US, MetricStore, Report, Timing

SERVICES = {1: "chat", 2: "chat", 9: "other"}


def report_both(store, now_s, wait_us=100, seq=0):
    return store.add([Report(1, wait_us, seq=seq), Report(2, wait_us, seq=seq)], now_s)


def test_instances_that_never_reported_are_unknown_and_up():
    view = MetricStore(SERVICES).view(1e9)
    assert (view.waits, view.silent) == ({}, {})


def test_metrics_that_are_not_understood_are_ignored():
    report = Report.of({"instance": 1, "wait_us": 5, "scores": {"norm_fi": 3}, "gpu_mood": 7})
    assert report == Report(1, 5, scores={"norm_fi": 3})


def test_first_report_counts_at_once():
    store = MetricStore(SERVICES)
    assert store.add([Report(1, 5000)], 0) == 1
    assert store.view(0).waits == {1: 5000}


def test_reports_of_unknown_instances_are_ignored():
    assert MetricStore(SERVICES).add([Report(77, 5)], 0) == 0


def test_small_changes_are_not_published():
    store = MetricStore(SERVICES)
    for step in range(20):
        store.add([Report(1, 10_000 + 900 * (step % 2), seq=step)], step * 0.2)
        assert store.view(step * 0.2).waits == {1: 10_000}


def test_a_lasting_step_is_published_within_a_second():
    store = MetricStore(SERVICES)
    store.add([Report(1, 1000)], 0)
    for step in range(1, 5):
        store.add([Report(1, 50_000, seq=step)], step * 0.2)
    assert store.view(0.8).waits[1] > 40_000


def test_late_reports_are_dropped_and_a_restarted_agent_is_believed():
    store = MetricStore(SERVICES)
    store.add([Report(1, 1000, seq=50)], 0)
    assert store.add([Report(1, 9999, seq=49)], 0.1) == 0
    assert store.add([Report(1, 9000, seq=1)], 1.2) == 1
    assert store.view(1.2).waits == {1: 9000}


def test_sequence_numbers_wrap():
    store = MetricStore(SERVICES)
    store.add([Report(1, 1000, seq=0xFFFFFFFF)], 0)
    assert store.add([Report(1, 1000, seq=0)], 0.1) == 1


@pytest.mark.parametrize(("age_s", "state"), [(0.9, None), (1.1, "drained"), (2.9, "drained"), (3.1, "down")])
def test_a_silent_instance_first_takes_no_flows_then_goes_down(age_s, state):
    store = MetricStore(SERVICES)
    report_both(store, 0)
    store.add([Report(2, 100, seq=1)], age_s)
    assert store.view(age_s).silent.get(1) == state


def test_a_stale_load_is_assumed_to_be_high():
    store = MetricStore(SERVICES)
    report_both(store, 0)
    assert store.view(0.7).waits == {1: STALE_WAIT_US, 2: STALE_WAIT_US}


def test_when_all_instances_of_a_service_fall_silent_all_stay():
    store = MetricStore(SERVICES)
    report_both(store, 0)
    store.add([Report(9, 100)], 100)
    assert store.view(100).silent == {}


def test_an_instance_that_speaks_again_is_up_with_its_new_load():
    store = MetricStore(SERVICES)
    report_both(store, 0, 100)
    report_both(store, 10, 7000)
    assert store.view(10) == type(store.view(10))({1: 7000, 2: 7000}, {})


def test_silence_can_be_made_to_mean_nothing():
    store = MetricStore(SERVICES, Timing(math.inf, math.inf, math.inf))
    report_both(store, 0)
    store.add([Report(2, 100)], 1000)
    assert store.view(1000).silent == {}


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 1 << 32)), min_size=1))
def test_published_waits_stay_within_what_was_reported(steps):
    store, now_s = MetricStore(SERVICES), 0.0
    for number, (pause_s, wait_us) in enumerate(steps):
        now_s += pause_s
        store.add([Report(1, wait_us, seq=number)], now_s)
    limit = (1 << 24) - 1
    waits = [min(wait, limit) for _, wait in steps]
    assert min(waits) <= store.view(now_s).waits[1] <= max(waits)
