"""`p4cats trace` on running switches: what a copy holds, live frames, and errors in one line."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import trace_edge
from finsy.proto import p4r, p4r_grpc
from google.protobuf import text_format

from p4cats.netns import call_in
from p4cats.switch.trace import SwitchCopy, SwitchReader, TraceError
from p4cats.switch.trace.live import find_process

HOLDS = Path(__file__).with_name("holds.p4")
EDGE = trace_edge.ROOT / "p4src" / "edge.p4"


@contextlib.contextmanager
def switch(*arguments: object) -> Iterator[str]:
    """A `p4cats switch` on a free port; its address."""
    argv = [sys.executable, "-m", "p4cats", "switch", "--p4runtime", "127.0.0.1:0", *map(str, arguments)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.match(r"ready p4runtime=(\S+)", process.stdout.readline())
        assert found, process.stderr and process.stderr.read()
        yield found[1]
    finally:
        process.terminate()
        process.communicate(timeout=20)


def command(*arguments: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "p4cats", "trace", *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


class Controller:
    """Writes entities given in protobuf's text format; @name@ stands for an id."""

    def __init__(self, address: str, info: Any) -> None:
        self._stub: Any = p4r_grpc.P4RuntimeStub(grpc.insecure_channel(address))
        lists = (info.tables, info.actions, info.registers, info.value_sets, info.action_profiles)
        self._ids = {o.preamble.alias: o.preamble.id for objects in lists for o in objects}
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        update = p4r.MasterArbitrationUpdate(device_id=1, election_id=p4r.Uint128(low=1))
        requests.put(p4r.StreamMessageRequest(arbitration=update))
        self._stream = self._stub.StreamChannel(iter(requests.get, None))
        next(self._stream)

    def write(self, kind: str, text: str) -> None:
        text = re.sub(r"@(\w+)@", lambda m: str(self._ids[m[1]]), text)
        entity = text_format.Parse(text, p4r.Entity())
        updates = [p4r.Update(type=p4r.Update.Type.Value(kind), entity=entity)]
        self._stub.Write(
            p4r.WriteRequest(device_id=1, election_id=p4r.Uint128(low=1), updates=updates), timeout=10
        )


STATE = r"""
INSERT action_profile_member { action_profile_id: @ways@ member_id: 1 action { action_id: @leave@ params { param_id: 1 value: "\x07" } } }
INSERT action_profile_member { action_profile_id: @ways@ member_id: 2 action { action_id: @flood@ params { param_id: 1 value: "\x03" } } }
INSERT action_profile_group { action_profile_id: @ways@ group_id: 1 max_size: 4 members { member_id: 1 weight: 1 } }
INSERT table_entry { table_id: @spread@ match { field_id: 1 exact { value: "\x01" } } action { action_profile_group_id: 1 } }
INSERT table_entry { table_id: @spread@ match { field_id: 1 exact { value: "\x09" } } action { action_profile_member_id: 2 } }
INSERT table_entry { table_id: @masks@ priority: 7 match { field_id: 1 ternary { value: "\x01" mask: "\x01" } } match { field_id: 2 range { low: "\x05" high: "\x09" } } action { action { action_id: @result@ params { param_id: 1 value: "\x77" } } } }
MODIFY table_entry { table_id: @masks@ is_default_action: true action { action { action_id: @result@ params { param_id: 1 value: "\x55" } } } }
DELETE table_entry { table_id: @presets@ match { field_id: 1 exact { value: "\x01" } } }
MODIFY table_entry { table_id: @presets@ match { field_id: 1 exact { value: "\x02" } } action { action { action_id: @result@ params { param_id: 1 value: "\x99" } } } }
MODIFY value_set_entry { value_set_id: @long_kinds@ members { match { field_id: 1 exact { value: "\x09" } } } }
MODIFY register_entry { register_id: @plain@ index { index: 3 } data { bitstring: "\x04\xd2" } }
MODIFY register_entry { register_id: @pairs@ index { index: 1 } data { struct { members { bitstring: "\x00" } members { bitstring: "\x2a" } } } }
INSERT packet_replication_engine_entry { multicast_group_entry { multicast_group_id: 3 replicas { egress_port: 1 instance: 1 } replicas { egress_port: 2 instance: 2 } } }
INSERT packet_replication_engine_entry { clone_session_entry { session_id: 5 replicas { egress_port: 4 instance: 0 } } }
"""  # noqa: E501


TARGETS = [pytest.param("xdp", marks=pytest.mark.root), "model"]


@pytest.fixture(scope="module", params=TARGETS)
def held(request: pytest.FixtureRequest) -> Iterator[SwitchCopy]:
    """A copy of a switch that holds one of everything."""
    with switch("--pipeline", HOLDS, "--target", request.param) as address:
        reader = SwitchReader(address, 1)
        program = reader.program()
        controller = Controller(address, program.info)
        for line in STATE.strip().splitlines():
            controller.write(*line.split(" ", 1))
        yield SwitchCopy(reader, program)
        assert reader.warnings == []
        reader.close()


def step(copy: SwitchCopy, packet: bytes, kind: str, **data: object) -> list[dict[str, Any]]:
    steps = [s.data for s in copy.run(1, packet).steps if s.kind == kind]
    return [s for s in steps if all(s.get(k) == v for k, v in data.items())]


def test_group_of_a_selector_leads_to_its_member(held: SwitchCopy) -> None:
    (found,) = step(held, bytes([1, 0, 0, 0]), "table", table="I.spread")
    assert found["action"]["name"] == "I.leave"
    assert found["action"]["arguments"] == {"port": 7}
    assert found["profile"] == "I.ways"


def test_entry_with_priority_and_its_match(held: SwitchCopy) -> None:
    (found,) = step(held, bytes([3, 6, 0, 0]), "table", table="I.masks")
    assert found["entry"] == {
        "match": {"hdr.data.kind": "1 &&& 0x1", "hdr.data.value": "5..9"},
        "priority": 7,
    }


def test_default_entry_that_a_controller_has_set(held: SwitchCopy) -> None:
    (found,) = step(held, bytes([2, 6, 0, 0]), "table", table="I.masks")
    assert not found["hit"]
    assert found["action"]["arguments"] == {"value": 0x55}


def test_entries_of_the_program_that_were_deleted_or_changed(held: SwitchCopy) -> None:
    (deleted,) = step(held, bytes([2, 1, 0, 0]), "table", table="I.presets")
    (changed,) = step(held, bytes([2, 2, 0, 0]), "table", table="I.presets")
    assert not deleted["hit"]
    assert changed["action"]["arguments"] == {"value": 0x99}


def test_registers_of_scalars_and_of_structs(held: SwitchCopy) -> None:
    reads = step(held, bytes([2, 1, 0, 0]), "extern", extern="register.read")
    assert [(r["instance"], r["index"], r["value"]) for r in reads] == [
        ("I.plain", 3, 1234),
        ("I.pairs", 1, {"low": 0, "high": 42}),
    ]


def test_time_of_a_packet_is_not_before_that_of_the_cells_it_reads(
    held: SwitchCopy, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    reader = held.reader
    some_cells, now_us = reader.some_cells, reader.now_us
    monkeypatch.setattr(reader, "some_cells", lambda wanted: order.append("cells") or some_cells(wanted))
    monkeypatch.setattr(reader, "now_us", lambda: order.append("time") or now_us())
    held.refresh()
    held.run(1, bytes([2, 1, 0, 0]))
    assert order[-2:] == ["cells", "time"]


def test_value_set_multicast_group_and_clone_session(held: SwitchCopy) -> None:
    trace = held.run(1, bytes([9, 1, 0, 0, 9, 9, 9, 9]))
    assert {s.data["header"] for s in trace.steps if s.kind == "extract"} == {"hdr.data", "hdr.more"}
    assert sorted(o["port"] for o in trace.outcome) == [1, 2, 4]


@pytest.mark.parametrize("target", TARGETS)
def test_tracing_a_copy_leaves_the_switch_as_it_is(target: str) -> None:
    with switch("--pipeline", EDGE, "--target", target) as address:
        reader = SwitchReader(address, 1)
        copy = SwitchCopy(reader, reader.program())
        drops = next(c for c in copy.program.info.counters if c.preamble.alias == "drops")
        copy.run(1, trace_edge.unroutable())
        entity = p4r.Entity()
        entity.counter_entry.counter_id = drops.preamble.id
        assert not any(e.counter_entry.data.packet_count for e in reader.read(entity))
        reader.close()


@pytest.mark.parametrize("target", TARGETS)
def test_time_of_the_copy_is_that_of_the_switch(target: str) -> None:
    with switch("--pipeline", EDGE, "--target", target) as address:
        reader = SwitchReader(address, 1)
        reader.program()
        first = reader.now_us()
        reader.program()
        second = reader.now_us()
        reader.close()
    assert first is not None
    assert second is not None
    assert 0 < first < second


# -- the command ------------------------------------------------------------------------------


def test_command_prints_text_and_json() -> None:
    with switch("--pipeline", EDGE) as address:
        arguments = (address, "--packet", trace_edge.unroutable().hex(), "--port", 1)
        text = command(*arguments)
        found = json.loads(command(*arguments, "--json").stdout)
    assert text.returncode == 0, text.stderr
    assert "mark_to_drop(standard_metadata)" in text.stdout
    assert found["packets"][0]["outcome"][0]["dropped"] == "ingress"
    assert "edge.p4:" in found["packets"][0]["steps"][1]["at"]


def test_command_traces_an_stf_file_without_a_switch() -> None:
    test = trace_edge.ROOT / "tests" / "conformance" / "programs" / "clone_egress.stf"
    done = command("--program", test.with_suffix(".p4"), "--stf", test)
    assert done.returncode == 0, done.stderr
    assert "cloned as it is now, session 1" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("{}", "--packet", "zz", "--port", 1), "neither hexadecimal"),
        (("{}", "--packet", "00"), "--port N"),
        (("{}", "--port", 1), "say which packets"),
        (("{}", "--packet", "00", "--port", 1, "--filter", "nonsense"), "'nonsense' is unknown"),
        (("{}", "--packet", "00" * 14, "--port", 1), "has no pipeline yet"),
        (("{}", "--packet", "00" * 14, "--port", 1, "--device-id", 9), "--device-id N"),
        (("127.0.0.1:1", "--packet", "00", "--port", 1), "no switch answers"),
        (("nobody", "--packet", "00", "--port", 1, "--network", "none"), "network none is not running"),
        ((), "name a switch"),
        (("--stf", "x.stf"), "--program"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: tuple[object, ...], message: str, bare: str) -> None:
    done = command(*(str(a).format(bare) for a in arguments))
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""


@pytest.fixture(scope="module")
def bare() -> Iterator[str]:
    """A switch without a pipeline."""
    with switch() as address:
        yield address


# -- live -------------------------------------------------------------------------------------


@contextlib.contextmanager
def link() -> Iterator[tuple[str, socket.socket]]:
    """A namespace with an interface `p1`, and a socket at its other end in another namespace."""
    prefix = f"p4tr{os.getpid()}x{time.monotonic_ns() % 10**6}"
    names = (f"{prefix}s", f"{prefix}h")
    try:
        for name in names:
            subprocess.run(["ip", "netns", "add", name], check=True)
        add = ["link", "add", "p1", "type", "veth", "peer", "name", "eth0", "netns", names[1]]
        subprocess.run(["ip", "-n", names[0], *add], check=True)
        for name, interface in zip(names, ("p1", "eth0"), strict=True):
            subprocess.run(["ip", "-n", name, "link", "set", interface, "up"], check=True)
        yield names[0], call_in(names[1], _at_eth0)
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False)


def _at_eth0() -> socket.socket:
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind(("eth0", 0))
    return raw


def live(address: str, raw: socket.socket) -> list[dict[str, Any]]:
    """Trace two requests of three, between other frames."""
    argv = [sys.executable, "-m", "p4cats", "trace", address, "--live", "--json", "--count", "2"]
    argv += ["--filter", "udp and dst port 8080"]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert "listening" in said, said
    for frame in (trace_edge.unroutable(), trace_edge.request(), trace_edge.response(), trace_edge.request()):
        raw.send(frame)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    return [json.loads(line) for line in out.splitlines()]


@pytest.mark.root
@pytest.mark.parametrize("target", ["xdp", "model"])
def test_live_frames_that_pass_the_filter_are_traced(target: str) -> None:
    options = ("--pipeline", EDGE, "--target", target, "--port", "1@p1")
    with link() as (netns, raw), switch(*options, "--netns", netns) as address:
        traces = live(address, raw)
    assert [(t["port"], t["packet"]) for t in traces] == [(1, trace_edge.request().hex())] * 2


@pytest.mark.root
def test_live_frames_that_an_xdp_program_takes_are_seen_at_the_other_end(tmp_path: Path) -> None:
    source, program = tmp_path / "take.c", tmp_path / "take.o"
    source.write_text('__attribute__((section("xdp"), used)) int take(void *context) { return 1; }\n')
    subprocess.run(["clang", "-O2", "-target", "bpf", "-c", source, "-o", program], check=True)
    options = ("--pipeline", EDGE, "--target", "model", "--port", "1@p1")
    with link() as (netns, raw), switch(*options, "--netns", netns) as address:
        load = ["ip", "-n", netns, "link", "set", "p1", "xdp", "obj", str(program), "sec", "xdp"]
        subprocess.run(load, check=True)
        traces = live(address, raw)
    assert [(t["port"], t["packet"]) for t in traces] == [(1, trace_edge.request().hex())] * 2


def test_live_needs_the_switch_on_this_machine() -> None:
    with pytest.raises(TraceError, match="no `p4cats switch` of this machine"):
        find_process("127.0.0.1:1")
