"""When a drained instance is gone."""

from p4cats.controller.draining import Draining
from p4cats.controller.metrics import Report


def drained(*reports):
    """Instance 1 drained at 10 s, and reports as (time, requests in flight)."""
    draining = Draining()
    draining.begin(1, 10.0)
    for now_s, in_flight in reports:
        draining.add([Report(1, 0, in_flight), Report(2, 0, 0)], now_s)
    return draining


def test_gone_after_the_affinity_timeout_without_a_request():
    assert not drained((11.0, 0), (39.0, 0)).is_gone(1, 30.0)
    assert drained((11.0, 0), (40.0, 0)).is_gone(1, 30.0)


def test_a_request_begins_the_timeout_anew():
    assert not drained((35.0, 1), (64.0, 0)).is_gone(1, 30.0)
    assert drained((35.0, 1), (65.0, 0)).is_gone(1, 30.0)


def test_one_that_does_not_report_is_not_gone():
    assert not drained().is_gone(1, 0.0)
    assert not drained((99.0, 0)).is_gone(2, 0.0)


def test_an_instance_that_is_up_again_is_not_gone():
    draining = drained((40.0, 0))
    draining.end(1)
    assert not draining.is_gone(1, 30.0)
    draining.begin(1, 50.0)
    draining.add([Report(1, 0, 0)], 51.0)
    assert not draining.is_gone(1, 30.0)
