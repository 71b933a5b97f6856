"""Scores: the draft's range and direction, and what must hold whatever the formulas are."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from p4cats.ebpf import normalise
from p4cats.ebpf.meter import Average
from p4cats.ebpf.power import Rapl, model_w
from p4cats.normalisation import MinMax, Normalisation, Sigmoid, Weights

share = st.floats(0, 1)
microseconds = st.floats(0, 1e9)
score = st.floats(0, 10)
count = st.integers(0, 2**31)


@given(st.tuples(share, microseconds), st.tuples(share, share), st.tuples(microseconds, microseconds))
def test_every_score_is_an_integer_from_0_to_10(compute, communication, service):
    scores = normalise.scores(
        normalise.compute(*compute),
        normalise.communication(*communication),
        normalise.service(*service),
    )
    for value in scores.as_dict().values():
        assert isinstance(value, int)
        assert 0 <= value <= 10


def test_an_idle_instance_scores_10_everywhere():
    scores = normalise.scores(
        normalise.compute(0, 0), normalise.communication(0, 0), normalise.service(0, 1000)
    )
    assert set(scores.as_dict().values()) == {10}


@given(share, share, microseconds, microseconds)
def test_more_load_never_scores_better(a, b, x, y):
    light, heavy, short, long = min(a, b), max(a, b), min(x, y), max(x, y)
    assert normalise.compute(light, short) >= normalise.compute(heavy, long)
    assert normalise.communication(light, light) >= normalise.communication(heavy, heavy)
    assert normalise.service(short, 1000) >= normalise.service(long, 1000)


@given(st.floats(0.001, 1e9))
def test_sigmoid_is_10_at_zero_5_at_half_and_0_at_infinity(half):
    sigmoid = Sigmoid(half=half)
    assert sigmoid.score(0) == 10
    assert sigmoid.score(half) == 5
    assert sigmoid.score(math.inf) == 0
    assert sigmoid.score(10 * half) < 0.1


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_min_max_keeps_its_bounds(value, best, worst):
    if best == worst:
        return
    scale = MinMax(best=best, worst=worst)
    assert 0 <= scale.score(value) <= 10
    assert scale.score(best) == pytest.approx(10)
    assert scale.score(worst) == 0


@given(score, score, score, st.tuples(share, share, share).filter(lambda w: sum(w) > 0.01))
def test_whatever_the_weights_the_level_2_score_lies_between_the_others(
    compute, communication, service, weights
):
    by = Normalisation(
        weights=Weights(**dict(zip(Weights.model_fields, weights, strict=True))), composed="mean"
    )
    for value in (
        normalise.composed(compute, communication, service, by),
        normalise.norm_fi(compute, communication, service or 10, by),
    ):
        assert min(compute, communication, service) - 1e-9 <= value
        assert value <= max(compute, communication, service or 10) + 1e-9


def test_a_service_may_choose_its_functions():
    by = Normalisation.model_validate(
        {
            "cpu_use": {"function": "sigmoid", "half": 0.5},
            "expected_wait": {"function": "min-max", "worst": 4},
        }
    )
    assert normalise.compute(0.5, 0, by) == 5
    assert normalise.service(2000, 1000, by) == 5
    assert "CPU use (sigmoid, 5 at 0.5)" in by.definitions()["compute"]
    assert by.definitions().keys() == normalise.scores(1, 1, 1, by).as_dict().keys()


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_use": {"function": "sigmoid", "half": 0}},
        {"loss": {"function": "min-max", "best": 1, "worst": 1}},
        {"loss": {"function": "z-score"}},
        {"weights": {"compute": 0, "communication": 0, "service": 0}},
        {"colour": "red"},
    ],
)
def test_functions_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValidationError):
        Normalisation.model_validate(wrong)


@given(score, score, score)
def test_composed_is_the_bottleneck_and_norm_fi_lies_between(compute, communication, service):
    assert normalise.composed(compute, communication, service) == min(compute, communication, service)
    level2 = normalise.norm_fi(compute, communication, service)
    if service == 0:
        assert level2 == 0
    else:
        assert min(compute, communication, service) - 1e-9 <= level2
        assert level2 <= max(compute, communication, service) + 1e-9


def test_an_unhealthy_service_gates_the_level_2_score():
    service = normalise.service(0, 1000, healthy=False)
    assert normalise.scores(10, 10, service).norm_fi == 0


@given(count, st.integers(1, 10_000), st.integers(1, 2**32 - 1))
def test_expected_wait_is_zero_while_a_worker_is_free_and_grows_after(in_flight, workers, service_time):
    wait = normalise.expected_wait_us(in_flight, workers, service_time)
    assert 0 <= wait < normalise.UNKNOWN_U32
    assert (in_flight >= workers) or wait == 0
    assert normalise.expected_wait_us(in_flight + 1, workers, service_time) >= wait
    if workers <= in_flight:
        assert wait == min((in_flight + 1 - workers) * service_time // workers, 2**32 - 2)


@pytest.mark.parametrize(("workers", "service_time"), [(0, 1000), (4, 0), (0, 0)])
def test_expected_wait_is_unknown_without_workers_or_service_time(workers, service_time):
    assert normalise.expected_wait_us(3, workers, service_time) == 0xFFFFFFFF


@given(st.floats(0, 500), st.floats(0, 500), st.floats(-1, 2))
def test_modelled_power_stays_between_idle_and_peak(a, b, utilisation):
    idle, peak = min(a, b), max(a, b)
    assert idle <= model_w(idle, peak, utilisation) <= peak * (1 + 1e-9)


def test_rapl_power_is_energy_over_time_and_survives_the_wrap(tmp_path: Path):
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text("1000000000")
    (zone / "energy_uj").write_text("990000000")
    rapl = Rapl(tmp_path)
    assert rapl.readable
    started = rapl._at
    (zone / "energy_uj").write_text("40000000")  # wrapped: 50 J on
    assert rapl.power_w(started + 2) == pytest.approx(25)


def test_a_machine_without_rapl_says_so(tmp_path: Path):
    rapl = Rapl(tmp_path)
    assert not rapl.readable
    assert rapl.power_w(rapl._at + 1) is None


@given(st.lists(st.floats(0, 100), min_size=1))
def test_an_average_lies_among_its_readings(readings):
    average = Average()
    for reading in readings:
        average.add(reading)
    assert min(readings) - 1e-6 <= average.value <= max(readings) + 1e-6
