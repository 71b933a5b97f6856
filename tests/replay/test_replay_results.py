from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from p4cats.replay import (
    ClientReport,
    Outcome,
    PolicyResult,
    ResultError,
    demo_json,
    p99_ratio,
    percentile,
    ratio_line,
    read_report,
    results_table,
    summarise,
    write_demo_json,
)
from p4cats.replay.histogram import Histogram

LATENCIES = st.lists(st.floats(0.02, 1e5), min_size=1, max_size=200)


def outcome(latency_s: float, status: str = "ok", site: str | None = "edge1") -> Outcome:
    return Outcome(1.0, 1.001, 1.0 + latency_s, "udp", 1.0, status, 1, site, 0, 1000)


def report(*outcomes: Outcome, planned: int | None = None, timeout_s: float = 2.0) -> ClientReport:
    return ClientReport("c", timeout_s, planned or len(outcomes), True, 0.1, outcomes)


@settings(deadline=None)  # the machine may be busy
@given(LATENCIES, st.floats(0.1, 100))
def test_percentile_is_the_least_value_with_enough_at_or_below(values: list[float], percent: float) -> None:
    found = percentile(values, percent)
    assert found in values
    least = percent / 100 * len(values) - 1e-6
    assert sum(value <= found for value in values) >= least
    assert sum(value < found for value in values) < least + 1e-5


def test_percentiles_of_one_to_a_thousand() -> None:
    values = list(range(1000, 0, -1))
    assert [percentile(values, at) for at in (0.01, 50, 99, 99.9, 100)] == [1, 500, 990, 999, 1000]


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_percentile_of_nothing_is_refused(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, percent)


@settings(deadline=None)  # the machine may be busy
@given(LATENCIES, st.sampled_from([50.0, 90.0, 99.0]))
def test_histogram_is_near_the_true_percentile(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    assert histogram.percentile_ms(percent) == pytest.approx(percentile(values, percent), rel=0.03)


@settings(deadline=None)  # the machine may be busy
@given(LATENCIES, LATENCIES)
def test_merged_histograms_are_the_histogram_of_all(left: list[float], right: list[float]) -> None:
    parts = Histogram(), Histogram(), Histogram()
    for part, values in zip(parts, (left, right, left + right), strict=True):
        for value in values:
            part.add(value)
    parts[0].merge(parts[1])
    assert parts[0].counts == parts[2].counts


def test_empty_histogram_has_no_percentile() -> None:
    assert Histogram().percentile_ms(99) is None


def test_clients_are_merged() -> None:
    first = report(*[outcome(0.010)] * 6, *[outcome(0.030, site="cloud")] * 2)
    second = report(outcome(2.0, "timeout", None), outcome(0.001, "refused", None), planned=5)
    result = summarise([first, second], sites=["edge2"])
    assert (result.requests, result.errors, result.unsent) == (10, 2, 3)
    assert result.error_kinds == {"timeout": 1, "refused": 1}
    assert result.share == {"cloud": 0.25, "edge1": 0.75, "edge2": 0.0}
    assert result.p50_ms == pytest.approx(10)
    assert result.late_p99_ms == pytest.approx(1)


def test_unanswered_requests_count_as_the_timeout_or_longer() -> None:
    fast = summarise([report(outcome(0.01), outcome(0.001, "http_503", None))])
    assert fast.p99_ms == pytest.approx(2000)
    late = summarise([report(outcome(2.5, "timeout", None))])
    assert late.p99_ms == pytest.approx(2500)
    assert late.share == {}


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.sampled_from(["ok", "timeout", "refused", "error", "http_503"]), min_size=1))
def test_no_request_is_lost_in_the_merge(kinds: list[str]) -> None:
    result = summarise([report(outcome(0.01, kind)) for kind in kinds])
    assert result.requests == len(kinds)
    assert result.errors == sum(result.error_kinds.values()) == sum(kind != "ok" for kind in kinds)
    assert sum(result.share.values()) == pytest.approx(float("ok" in kinds))


def test_nothing_sent_is_an_error() -> None:
    with pytest.raises(ResultError, match="no client sent a request"):
        summarise([report()])


@pytest.mark.parametrize(
    "content", [None, "", "[]", '{"client": {}}', '{"client": {"name": "a"}, "requests": []}']
)
def test_damaged_report_is_one_clear_line(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "out.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ResultError, match=f"^{path}: .*client"):
        read_report(path)


RESULTS = {
    "nearest": PolicyResult(
        1500, 300, 800.0, 2000.0, {"edge1": 1.0, "edge2": 0.0}, error_kinds={"timeout": 300}
    ),
    "least": PolicyResult(1500, 0, 20.12345, 100.0, {"edge1": 0.41234, "edge2": 0.58766}),
}


def test_demo_json_has_the_fields_of_the_contract_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "build" / "demo.json"
    write_demo_json(path, "model", RESULTS)
    assert json.loads(path.read_text()) == demo_json("model", RESULTS)
    least = {"requests": 1500, "errors": 0, "p50_ms": 20.123, "p99_ms": 100.0}
    assert demo_json("model", {"least": RESULTS["least"]}) == {
        "target": "model",
        "policies": {"least": {**least, "share": {"edge1": 0.4123, "edge2": 0.5877}}},
    }


def test_table_shows_policies_side_by_side() -> None:
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(results_table(RESULTS))
    text = console.export_text()
    for shown in ("nearest", "least", "300", "2000.0", "20.1", "41%", "59%", "edge2"):
        assert shown in text


def test_ratio_says_which_is_better() -> None:
    assert p99_ratio(RESULTS) == pytest.approx(20)
    assert ratio_line(RESULTS) == "p99 latency under least is 20.0 times lower than under nearest"
    turned = ratio_line(RESULTS, base="least", other="nearest")
    assert turned == "p99 latency under nearest is 20.0 times higher than under least"
