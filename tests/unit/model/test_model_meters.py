"""Meters: colours by RFC 2698, rates exact to the packet, on a clock that the test moves."""

import pytest

from p4cats.switch.dataplane import MeterConfig
from p4cats.switch.model.meters import GREEN, RED, YELLOW, Meters

SECOND = 1_000_000_000


class Clock:
    def __init__(self):
        self.now = 0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_unconfigured_cell_is_green(clock):
    meters = Meters(4, clock)
    assert [meters.execute(3, 1500) for _ in range(10)] == [GREEN] * 10


def test_burst_is_green_then_yellow_then_red(clock):
    meters = Meters(1, clock)
    meters.configure(0, MeterConfig(cir=1, cburst=2, pir=1, pburst=5))
    assert [meters.execute(0, 1) for _ in range(7)] == [GREEN] * 2 + [YELLOW] * 3 + [RED] * 2


def test_red_packet_takes_no_tokens(clock):
    meters = Meters(1, clock)
    meters.configure(0, MeterConfig(cir=1, cburst=100, pir=1, pburst=100))
    assert meters.execute(0, 101) == RED
    assert meters.execute(0, 100) == GREEN


@pytest.mark.parametrize("rate", [1, 7, 1000, 123_457])
def test_rate_is_accurate_over_ten_seconds(clock, rate):
    meters = Meters(1, clock)
    meters.configure(0, MeterConfig(cir=rate, cburst=8, pir=2 * rate, pburst=8))
    count = min(4 * rate * 10, 100_000)
    colours = []
    for number in range(1, count + 1):
        clock.now = number * 10 * SECOND // (4 * rate * 10)
        colours.append(meters.execute(0, 1))
    seconds = clock.now / SECOND
    assert colours.count(GREEN) == pytest.approx(rate * seconds, abs=9)
    assert colours.count(GREEN) + colours.count(YELLOW) == pytest.approx(2 * rate * seconds, abs=9)


def test_removed_configuration_is_green_again(clock):
    meters = Meters(1, clock)
    meters.configure(0, MeterConfig(0, 0, 0, 0))
    assert meters.execute(0, 1) == RED
    meters.configure(0, None)
    assert meters.execute(0, 1) == GREEN
    with pytest.raises(IndexError, match="outside"):
        meters.configure(1, None)
