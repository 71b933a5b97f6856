"""Tracing changes nothing: the same bytes leave, and the plain module is written as without it."""

from __future__ import annotations

from pathlib import Path

import pytest
import trace_edge
from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.compiler.backends.model import generate
from p4cats.compiler.backends.model.trace import TRACER, generate_traced
from p4cats.compiler.driver import compile_file
from p4cats.switch.model import ModelDataPlane
from p4cats.switch.stf import TARGETS, parse_stf, run_statements
from p4cats.switch.trace import TracePlane
from p4cats.switch.trace.offline import tracing_target

PROGRAMS = trace_edge.ROOT / "tests" / "conformance" / "programs"
TESTS = sorted(PROGRAMS.glob("*.stf"))
SOURCES = [trace_edge.ROOT / "p4src" / "edge.p4", trace_edge.ROOT / "p4src" / "transit.p4"]
SOURCES += [path.with_suffix(".p4") for path in TESTS]


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_conformance_test_holds_when_traced(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = path.with_suffix(".p4")
    monkeypatch.setitem(TARGETS, "trace", tracing_target)
    result = run_statements(
        compile_file(program), parse_stf(path.read_text(), str(path)), str(program), str(path), "trace"
    )
    assert result.passed, str(result)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_plain_module_is_the_same_before_and_after_tracing(path: Path) -> None:
    program = compile_file(path)
    before = generate(program)
    traced = generate_traced(program)
    assert generate(program) == before
    assert f"{TRACER}." not in before
    assert f"{TRACER}." in traced.text


@st.composite
def frames(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    """Requests, responses and others, whole, cut, or with bytes changed."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        good = [trace_edge.request(), trace_edge.response(), trace_edge.unroutable()]
        data = bytearray(draw(st.sampled_from(good)))
        for _ in range(draw(st.integers(0, 3))):
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
        found.append((draw(st.sampled_from([1, 2, 510])), bytes(data[: draw(st.integers(14, len(data)))])))
    return found


@given(frames(), st.sampled_from(["static", "hash", "least"]))
@settings(max_examples=150, deadline=None)
def test_bytes_out_of_edge_are_the_same_with_a_trace(
    given_frames: list[tuple[int, bytes]], policy: str
) -> None:
    program = trace_edge.edge().ir
    plain_out: list[tuple[int, bytes]] = []
    plain = ModelDataPlane(program, lambda p, d: plain_out.append((p, d)), cpu_port=510, clock=lambda: 0)
    traced = TracePlane(program, clock=lambda: 0)
    for plane in (plain, traced):
        trace_edge.fill(plane, policy)
    traced_out = []
    for port, frame in given_frames:
        plain.process(port, frame)
        trace = traced.trace(port, frame)
        sent = [o for o in trace.outcome if "sent" in o]
        traced_out += [(o.get("port", 510), bytes.fromhex(o["bytes"])) for o in sent]
    assert traced_out == plain_out
    assert traced.drops == plain.drops


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trace_edge.ROOT)
