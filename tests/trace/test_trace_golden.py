"""Traces of edge.p4, as text and as JSON, against golden files (P4CATS_GOLDEN=write writes them anew)."""

from __future__ import annotations

import io
import json
import os
import struct
from pathlib import Path

import pytest
import trace_edge
from rich.console import Console

from p4cats.switch.trace import PacketTrace, TracePlane
from p4cats.switch.trace.render import render

GOLDEN = Path(__file__).parent / "golden"
PACKETS = {
    "request": (1, trace_edge.request()),
    "response": (2, trace_edge.response()),
    "drop": (1, trace_edge.unroutable()),
}


@pytest.fixture(autouse=True)
def in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trace_edge.ROOT)


def traced(name: str) -> PacketTrace:
    clock_ns = 5_000_000_000
    started = [0]
    plane = TracePlane(trace_edge.edge().ir, clock=lambda: started[0])
    started[0] = clock_ns
    trace_edge.fill(plane)
    return plane.trace(*PACKETS[name])


def as_text(trace: PacketTrace) -> str:
    out = io.StringIO()
    Console(file=out, soft_wrap=True, highlight=False).print(render(trace, "edge1"))
    return out.getvalue()


def compare(path: Path, text: str) -> None:
    if os.environ.get("P4CATS_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "P4CATS_GOLDEN=write rewrites golden files"


@pytest.mark.parametrize("name", PACKETS)
def test_text_equals_its_golden_file(name: str) -> None:
    compare(GOLDEN / f"{name}.txt", as_text(traced(name)))


@pytest.mark.parametrize("name", PACKETS)
def test_json_equals_its_golden_file(name: str) -> None:
    whole = traced(name).as_json()
    steps = ",\n".join(json.dumps(step, ensure_ascii=False) for step in whole.pop("steps"))
    compare(GOLDEN / f"{name}.json", f'{json.dumps(whole)[:-1]}, "steps": [\n{steps}\n]}}\n')


def test_steered_request_shows_table_hit_action_and_encapsulation() -> None:
    trace = traced("request")
    tables = {s.data["table"]: s.data for s in trace.steps if s.kind == "table"}
    services = tables["EdgeIngress.services"]
    assert services["hit"]
    assert services["key"] == [{"field": "address", "match": "exact", "value": trace_edge.SERVICE}]
    assert services["entry"] == {"match": {"address": trace_edge.SERVICE}}
    steer = tables["EdgeIngress.steering.instances"]["action"]
    assert steer["name"] == "EdgeIngress.steering.steer"
    assert steer["arguments"]["headend"] == "5f00:0:1::1"
    (outcome,) = trace.outcome
    assert (outcome["sent"], outcome["port"]) == ("transmit", 2)


def test_response_shows_the_metric_learned_and_blanked() -> None:
    trace = traced("response")
    writes = {
        s.data["instance"]: (s.data["index"], s.data["old"], s.data["new"])
        for s in trace.steps
        if s.kind == "extern" and s.data["extern"] == "register.write"
    }
    assert writes == {
        "load_wait_us": (1, 0, 1500),
        "load_sequence": (1, 0, 0x01_01_00000007),
        "load_time_us": (1, 0, 5_000_000),
    }
    changes = [c for s in trace.steps for c in s.data.get("changes", ())]
    assert {"field": "hdr.metric.expected_wait_us", "old": 1500, "new": 0} in changes


def test_a_trace_shows_neither_the_key_nor_what_is_computed_with_it() -> None:
    trace = traced("response")
    shown = as_text(trace) + json.dumps(trace.as_json())
    for word in struct.unpack("<2I", trace_edge.KEY):
        assert str(word) not in shown
        assert f"{word:x}" not in shown
    assert "halfsiphash" not in shown


def test_drop_names_the_statement_and_its_place() -> None:
    (outcome,) = traced("drop").outcome
    assert outcome["dropped"] == "ingress"
    assert outcome["statement"] == "mark_to_drop(standard_metadata)"
    path, _, line = outcome["at"].rpartition(":")
    assert "mark_to_drop" in Path(path).read_text().splitlines()[int(line) - 1]


def test_every_step_of_the_program_has_a_place() -> None:
    for name in PACKETS:
        for step in traced(name).steps:
            assert bool(step.at) == bool(step.context) or step.kind == "drop"
