from __future__ import annotations

import importlib
import itertools
import math
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.replay import (
    Capacity,
    ReplayError,
    Request,
    TraceError,
    mean_rate_rps,
    offered_rps,
    poisson,
    poisson_plan,
    read_schedule,
    read_trace,
    scale_to_rate,
    split,
    trace_plan,
    window,
    write_schedule,
)
from p4cats.replay.load import offered_pps

AZURE = Path(__file__).resolve().parents[3] / "shared" / "data" / "azure-llm-2023-conv.csv"

TRACES = st.lists(
    st.builds(
        Request,
        at_s=st.floats(0, 1e5),
        demand=st.floats(1e-3, 1e3),
        protocol=st.sampled_from(["udp", "http"]),
    ),
    min_size=2,
    max_size=50,
).map(lambda requests: tuple(sorted(requests)))


@settings(deadline=None)  # the machine may be busy
@given(TRACES, st.floats(0.1, 1e4))
def test_scaling_keeps_order_and_reaches_the_rate(trace: tuple[Request, ...], rate_rps: float) -> None:
    if trace[-1].at_s - trace[0].at_s < 1e-6:
        return
    scaled = scale_to_rate(trace, rate_rps)
    assert mean_rate_rps(scaled) == pytest.approx(rate_rps)
    assert [request[1:] for request in scaled] == [request[1:] for request in trace]
    assert [request.at_s for request in scaled] == sorted(request.at_s for request in scaled)


@settings(deadline=None)  # the machine may be busy
@given(TRACES, st.floats(0, 1e5), st.floats(1, 1e5), st.integers(1, 60))
def test_window_begins_at_zero_with_mean_demand_one(
    trace: tuple[Request, ...], start_s: float, duration_s: float, count: int
) -> None:
    inside = [request for request in trace if start_s <= request.at_s < start_s + duration_s][:count]
    if not inside:
        with pytest.raises(ReplayError, match="no request of the trace lies in the window"):
            window(trace, start_s, duration_s, count)
        return
    chosen = window(trace, start_s, duration_s, count)
    assert len(chosen) == len(inside)
    assert chosen[0].at_s == 0
    assert chosen[-1].at_s == pytest.approx(inside[-1].at_s - inside[0].at_s)
    assert sum(request.demand for request in chosen) / len(chosen) == pytest.approx(1)


@settings(deadline=None)  # the machine may be busy
@given(TRACES, st.lists(st.text(min_size=1), min_size=1, max_size=4, unique=True), st.integers())
def test_split_deals_out_every_request_once(
    trace: tuple[Request, ...], clients: list[str], seed: int
) -> None:
    plan = split(trace, clients, None, seed)
    assert list(plan) == clients
    assert sorted(request for share in plan.values() for request in share) == sorted(trace)
    for share in plan.values():
        assert [request.at_s for request in share] == sorted(request.at_s for request in share)
    assert plan == split(trace, clients, None, seed)


@settings(deadline=None)  # the machine may be busy
@given(TRACES)
def test_schedule_file_gives_back_what_was_written(trace: tuple[Request, ...]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "load.jsonl"
        write_schedule(path, trace)
        assert read_schedule(path) == trace


def test_poisson_has_its_rate_and_its_spread() -> None:
    trace = poisson(100, 100, seed=4)
    gaps = [after.at_s - before.at_s for before, after in itertools.pairwise(trace)]
    mean = sum(gaps) / len(gaps)
    deviation = math.sqrt(sum((gap - mean) ** 2 for gap in gaps) / len(gaps))
    assert mean == pytest.approx(0.010, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.05)
    assert trace == poisson(100, 100, seed=4)
    assert trace != poisson(100, 100, seed=5)


def test_plan_offers_the_load_asked_for() -> None:
    edge = Capacity("edge1", workers=2, service_time_s=0.020)
    assert edge.rps == pytest.approx(100)
    rate_rps = offered_rps(1.5, [edge])
    assert rate_rps == pytest.approx(150)
    plan = poisson_plan(rate_rps, 60, ["clients1", "clients2"], udp_share=0.25, seed=1)
    counts = {client: len(share) for client, share in plan.items()}
    assert sum(counts.values()) == pytest.approx(9000, rel=0.05)
    assert counts["clients1"] == pytest.approx(counts["clients2"], rel=0.1)
    udp = sum(request.protocol == "udp" for share in plan.values() for request in share)
    assert udp / sum(counts.values()) == pytest.approx(0.25, rel=0.1)
    assert offered_pps(rate_rps, 0.5) == pytest.approx(150 * 4.5)


def test_trace_plan_fills_the_duration_at_the_rate() -> None:
    trace = tuple(Request(at * 10.0, 1.0 + at % 3) for at in range(10_000))
    plan = trace_plan(trace, 100, 12, ["a", "b"], start_s=500)
    requests = sorted(request for share in plan.values() for request in share)
    assert len(requests) == 1200
    assert mean_rate_rps(requests) == pytest.approx(100)


@pytest.mark.parametrize("rate_rps", [0, -1, math.nan, math.inf])
def test_impossible_rate_is_refused(rate_rps: float) -> None:
    with pytest.raises(ReplayError, match="more than 0 requests per second"):
        poisson(rate_rps, 1, 0)
    with pytest.raises(ReplayError, match="more than 0 requests per second"):
        scale_to_rate(poisson(100, 1, 0), rate_rps)


def test_what_cannot_be_scaled_is_refused() -> None:
    with pytest.raises(ReplayError, match="two requests at different times"):
        scale_to_rate([Request(1.0), Request(1.0)], 10)
    with pytest.raises(ReplayError, match="no demand at all"):
        window([Request(0.0, 0.0)])
    with pytest.raises(ReplayError, match="no client"):
        split([], [])
    with pytest.raises(ReplayError, match="share of UDP"):
        split([], ["a"], 1.5)


def test_token_trace_with_crlf_is_read(tmp_path: Path) -> None:
    path = tmp_path / "llm.csv"
    path.write_bytes(
        b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
        b"2023-11-16 23:59:59.6805900,374,44\r\n"
        b"2023-11-17 00:00:01.1805900,396,109\r\n"
    )
    first, second = read_trace(path, protocol="http")
    assert first == Request(0.0, 374 + 4 * 44, "http")
    assert second.at_s == pytest.approx(1.5)
    assert second.demand == 396 + 4 * 109


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("time,demand,protocol", ["7,2.5,http", "5.5,1,UDP"]),
        ("\ufeffWork , Other,AT_S,Protocol", ["2.5,,7,http", "1,,5.5,udp"]),
        ("timestamp,demand,protocol", ["2024-01-01T00:00:07Z,2.5,http", "2024-01-01T01:00:05.5+01:00,1,udp"]),
    ],
)
def test_generic_trace_is_read_and_sorted(tmp_path: Path, header: str, rows: list[str]) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("\n".join([header, *rows, ""]), encoding="utf-8")
    assert read_trace(path) == (Request(0.0, 1.0, "udp"), Request(1.5, 2.5, "http"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", ":1: needs a time column (its columns: nothing)"),
        (b"when,demand\n1,1\n", ":1: needs a time column (its columns: when, demand)"),
        (b"time,size\n1,1\n", ":1: needs demand, or ContextTokens and GeneratedTokens"),
        (b"time,demand\n", ": holds no requests"),
        (b"time,demand\n1,1\nsoon,1\n", ":3: column time: 'soon' is neither seconds nor a date and time"),
        (b"time,demand\n2023-13-45 00:00:00,1\n", ":2: column time: '2023-13-45 00:00:00' is neither"),
        (b"time,demand\nnan,1\n", ":2: column time: 'nan' is neither"),
        (b"time,demand\n1,1\n2023-11-16 00:00:00,1\n", ":3: column time: mixes numbers and dates"),
        (b"time,demand\n1,-2\n", ":2: column demand: '-2' is not a number from 0"),
        (b"time,demand\n1,inf\n", ":2: column demand: 'inf' is not a number from 0"),
        (b"time,demand\n1\n", ":2: column demand: is empty"),
        (b"TIMESTAMP,ContextTokens,GeneratedTokens\r\n1,2,x\r\n", ":2: column GeneratedTokens: 'x' is not"),
        (b"time,demand,protocol\n1,1,quic\n", ":2: column protocol: must be udp or http (got quic)"),
        (b"time,demand\n1,\xff\xfe\n", "is not UTF-8 text"),
        (None, ": No such file or directory"),
    ],
)
def test_bad_trace_is_one_line_with_its_place(tmp_path: Path, content: bytes | None, told: str) -> None:
    path = tmp_path / "bad.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_trace(path)
    assert str(caught.value).startswith(str(path))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    polars = pytest.importorskip("polars")
    path = tmp_path / "trace.parquet"
    polars.DataFrame({"time": [7.0, 5.5], "demand": [2.5, 1.0]}).write_parquet(path)
    assert read_trace(path) == (Request(0.0, 1.0), Request(1.5, 2.5))
    polars.DataFrame({"time": [1.0, None], "demand": [2.5, 1.0]}).write_parquet(path)
    with pytest.raises(TraceError, match=":2: column time: is empty"):
        read_trace(path)
    path.write_bytes(b"not parquet at all")
    with pytest.raises(TraceError, match=r"trace\.parquet: "):
        read_trace(path)


def test_parquet_without_polars_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(TraceError, match="needs polars: pip install polars"):
        read_trace(tmp_path / "trace.parquet")


@pytest.mark.skipif(not AZURE.exists(), reason=f"real trace {AZURE} is not on this machine")
def test_real_llm_trace_becomes_a_plan() -> None:
    trace = read_trace(AZURE)
    assert len(trace) == 19_366
    assert trace[0] == Request(0.0, 374 + 4 * 44)
    assert trace[-1].at_s == pytest.approx(58 * 60 + 21.7219370)
    plan = trace_plan(trace, 150, 12, ["clients1", "clients2"])
    requests = sorted(request for share in plan.values() for request in share)
    assert len(requests) == 1800
    assert mean_rate_rps(requests) == pytest.approx(150)
    assert sum(request.demand for request in requests) / len(requests) == pytest.approx(1)
