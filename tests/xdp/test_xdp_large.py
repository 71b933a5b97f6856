"""Programs that the kernel does not take in one piece: they run all the same, and as on the model."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from xdp_differential import Pair, Recorder

from p4cats.compiler.backends.xdp import XdpSource
from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_file, compile_text
from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, TableEntry, Ternary
from p4cats.switch.model import ModelDataPlane
from p4cats.switch.stf import parse_stf, run_statements
from p4cats.switch.xdp import LoadError, XdpDataPlane, loader

pytestmark = pytest.mark.root
_DEEPEST = 127
"""Branches in one another that the parser takes."""
PROGRAMS = Path(__file__).resolve().parents[1] / "conformance" / "programs"

_PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header h_t {{ bit<32> a; bit<32> b; bit<8> e; bit<8> f; }}
struct headers_t {{ {members} }}
struct meta_t {{ bit<32> x; bit<32> y; }}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{ {states} }}
control V(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    {locals}
    apply {{ sm.egress_spec = 1; {body} }}
}}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{ apply {{}} }}
control C(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control D(packet_out packet, in headers_t hdr) {{ apply {{ packet.emit(hdr); }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""
_ONE = "state start { packet.extract(hdr.h0); transition accept; }"


def _branches(count: int) -> str:
    """Branches one after the other, some of which end the control."""
    body = "\n".join(
        f"if (hdr.h0.a[{i % 32}:{i % 32}] == 1) {{ meta.x = meta.x + {i}; }}"
        f" else {{ meta.y = meta.y ^ {i}; }}"
        + (f" if (meta.x == {3 * i}) {{ sm.egress_spec = 2; exit; }}" if i % 10 == 9 else "")
        for i in range(count)
    )
    return _PROGRAM.format(
        members="h_t h0;", states=_ONE, locals="", body=f"{body} hdr.h0.b = meta.x; hdr.h0.a = meta.y;"
    )


def _variables(count: int) -> str:
    """More locals than the stack of eBPF holds."""
    body = "".join(
        f"v{i} = hdr.h0.a + {i}; if (v{i}[0:0] == 1) {{ v{i} = v{i} * 3; }}\n" for i in range(count)
    )
    body += "".join(f"meta.x = meta.x * 5 ^ v{i};\n" for i in reversed(range(count)))
    return _PROGRAM.format(
        members="h_t h0;",
        states=_ONE,
        locals="".join(f"bit<32> v{i};\n" for i in range(count)),
        body=f"{body} hdr.h0.b = meta.x;",
    )


def _deep(count: int) -> str:
    """A parser of many states, each of which may be left out or be the last."""
    states = "state start { transition s0; }\n" + "".join(
        f"state s{i} {{ packet.extract(hdr.h{i}); transition select(hdr.h{i}.e) {{"
        f" 0x10 &&& 0xf0: s{i + 1}; 2: s{min(i + 2, count)}; default: accept; }} }}\n"
        for i in range(count)
    )
    return _PROGRAM.format(
        members=" ".join(f"h_t h{i};" for i in range(count)),
        states=f"{states} state s{count} {{ transition accept; }}",
        locals="",
        body="".join(f"if (hdr.h{i}.isValid()) {{ hdr.h{i}.f = hdr.h{i}.f + {i}; }}\n" for i in range(count)),
    )


@pytest.mark.parametrize(
    "text", [_branches(60), _variables(80), _deep(40)], ids=["branches", "stack", "parser"]
)
def test_what_is_refused_in_one_piece_runs_in_several(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = compile_text(text, "large.p4")
    with monkeypatch.context() as whole:
        whole.setattr(loader, "_MOST_LINES", (0,))
        with pytest.raises(
            LoadError, match=r"large\.p4 is too large.*(more ways|stack).*; use --target model"
        ):
            XdpDataPlane(program)
    pair, rng = Pair(program), random.Random(1)
    try:
        for length in range(60):
            layers = (rng.randbytes(8) + bytes([rng.choice([0x10, 0x11, 2]), 7]) for _ in range(length))
            pair.send(0, rng.randbytes(9) + b"\2" + b"".join(layers))
    finally:
        pair.close()


def _nested(levels: int) -> str:
    """Counts in b how many of the branches in one another a packet with this a takes."""
    body = "".join(f"if (hdr.h0.a > {n}) {{ hdr.h0.b = hdr.h0.b + 1; " for n in range(levels)) + "}" * levels
    return _PROGRAM.format(members="h_t h0;", states=_ONE, locals="", body=body)


@pytest.mark.parametrize("most_lines", [0, 12])
def test_statements_may_be_nested_as_deeply_as_the_compiler_reads_them(
    most_lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "_MOST_LINES", (most_lines,))
    with pytest.raises(CompileError, match="nested too deeply"):
        compile_text(_nested(_DEEPEST + 1), "nested.p4")
    program = compile_text(_nested(_DEEPEST), "nested.p4")
    with pytest.raises(CompileError, match="target model: the program is nested too deeply"):
        ModelDataPlane(program)
    sent = Recorder()
    plane = XdpDataPlane(program, sent.transmit)
    try:
        for a in (0, 1, 90, _DEEPEST - 1, _DEEPEST, 1000):
            plane.process(0, a.to_bytes(4, "big") + bytes(6))
            counted = min(a, _DEEPEST)
            packet = a.to_bytes(4, "big") + counted.to_bytes(4, "big") + bytes(2)
            assert sent.take() == [("port", 1, packet.hex())]
    finally:
        plane.close()


def test_branches_of_sub_controls_add_up() -> None:
    """More brackets in one another than clang reads of itself."""
    branches, closed = "if (h.a == 7) { h.b = h.b + 1; " * 100, "}" * 100
    text = _PROGRAM.format(
        members="h_t h0;", states=_ONE, locals="Third() third;", body="third.apply(hdr.h0);"
    )
    controls = "".join(
        f"control {name}(inout h_t h) {{ {inner} apply {{ {branches} {call} {closed} }} }}\n"
        for name, inner, call in (
            ("First", "", ""),
            ("Second", "First() first;", "first.apply(h);"),
            ("Third", "Second() second;", "second.apply(h);"),
        )
    )
    sent = Recorder()
    plane = XdpDataPlane(
        compile_text(text.replace("control V(", f"{controls}control V("), "deep.p4"), sent.transmit
    )
    try:
        plane.process(0, (7).to_bytes(4, "big") + bytes(6))
    finally:
        plane.close()
    assert sent.take() == [("port", 1, ((7).to_bytes(4, "big") + (300).to_bytes(4, "big") + bytes(2)).hex())]


def test_how_a_program_was_cut_is_remembered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    program = compile_text(_variables(80), "large.p4")
    tried: list[int] = []
    load = loader._load

    def noted(source: XdpSource, cpu_port: int | None) -> loader.Loaded:
        tried.append(source.text.count("int piece"))
        return load(source, cpu_port)

    monkeypatch.setattr(loader, "_load", noted)
    XdpDataPlane(program).close()
    first = list(tried)
    XdpDataPlane(program).close()
    assert len(first) > 1
    assert tried[len(first) :] == first[-1:]


def test_more_tables_than_maps_that_a_program_may_name() -> None:
    tables = range(80)
    text = _PROGRAM.format(
        members="h_t h0;",
        states=_ONE,
        locals="action add(bit<32> n) { meta.x = meta.x + n; }\n"
        + "".join(
            f'table t{i} {{ key = {{ hdr.h0.a + {i}: {("exact", "lpm", "ternary")[i % 3]} @name("a"); }}'
            " actions = { add; NoAction; } default_action = NoAction; size = 16; }\n"
            for i in tables
        ),
        body="".join(f"t{i}.apply();\n" for i in tables) + "hdr.h0.b = meta.x;",
    )
    pair = Pair(compile_text(text, "tables.p4"))
    try:
        for i in tables:
            key = (Exact(2 * i), Lpm(2 * i, 32), Ternary(2 * i, 0xFFFFFFFF))[i % 3]
            priority = 1 if isinstance(key, Ternary) else 0
            entry = TableEntry((key,), priority, ActionCall("I.add", (i + 1,)))
            pair.both(lambda plane, i=i, entry=entry: plane.insert_entry(f"I.t{i}", entry))
        for a in tables:
            assert pair.send(0, a.to_bytes(4, "big") + bytes(6)) == [
                ("port", 1, (a.to_bytes(4, "big") + (a + 1).to_bytes(4, "big") + bytes(2)).hex())
            ]
    finally:
        pair.close()


@pytest.mark.parametrize(
    "name",
    ["checksum_payload", "clone_egress", "exit_return", "loops", "stack_index", "subcontrols", "union_stack"],
)
def test_conformance_programs_in_many_pieces(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jumps out of a piece, indices and positions that pieces share, iterators, calls inside of calls."""
    monkeypatch.setattr(loader, "_MOST_LINES", (6,))
    path, stf = PROGRAMS / f"{name}.p4", PROGRAMS / f"{name}.stf"
    result = run_statements(
        compile_file(path), parse_stf(stf.read_text(), str(stf)), str(path), str(stf), "xdp"
    )
    assert result.passed, f"\n{result}"


def test_a_refusal_names_the_p4_line_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    body = "hdr.h0.a = 1;\nhdr.h0.b = hdr.h0.b + 77;\nhdr.h0.f = 2;"
    text = _PROGRAM.format(members="h_t h0;", states=_ONE, locals="", body=body)
    number = next(n for n, line in enumerate(text.splitlines(), 1) if "77" in line)
    generate = loader.generate

    def broken(program: nodes.Program, most_lines: int = 0) -> XdpSource:
        """The program with an access that the verifier refuses, behind the sum."""
        source = generate(program, most_lines)
        lines = source.text.splitlines()
        at = next(n for n, line in enumerate(lines) if "+ 77ULL" in line)
        lines.insert(at + 1, "\ts->h_hdr_h0[now_ns(s)] = 1;")
        source.text = "\n".join(lines)
        return source

    monkeypatch.setattr(loader, "generate", broken)
    with pytest.raises(LoadError) as refusal:
        XdpDataPlane(compile_text(text, "refused.p4"))
    said = str(refusal.value)
    assert "\n" not in said
    assert said.startswith(
        f"target xdp: refused.p4:{number}: the kernel's verifier refuses what this becomes ("
    )
    assert said.endswith("; write it in another way, or use --target model")
