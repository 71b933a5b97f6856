"""Values wider than 128 bits: variables, slices, calls, hashes, parsers; where they cannot stand."""

from __future__ import annotations

import random

import pytest
from xdp_differential import Pair

from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_text

pytestmark = pytest.mark.root

_PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header h_t {{ bit<160> a; int<136> b; bit<32> r; bit<24> c; bit<128> d; bit<8> n; bit<8> m; }}
struct headers_t {{ h_t h; h_t unused; }}
struct in_t {{ bit<200> x; bool flag; }}
struct metadata_t {{ bit<160> kept; in_t inside; @field_list(1) bit<256> again; }}
bit<160> turned(in bit<160> value, inout bit<160> other) {{
    other = other + value;
    return value[79:0] ++ value[159:80];
}}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    state start {{ m.kept = p.lookahead<bit<160>>(); p.extract(hdr.h); transition accept; }}
}}
control V(inout headers_t hdr, inout metadata_t m) {{ apply {{}} }}
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    {locals}
    action with_data(bit<8> value) {{ m.kept = m.kept ^ (bit<160>)value; }}
    apply {{ sm.egress_spec = 1; {body} }}
}}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    apply {{ {egress} }}
}}
control D(packet_out p, in headers_t hdr) {{ apply {{ p.emit(hdr.h); }} }}
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""
CASES = {
    "metadata": "hdr.h.a = m.kept + 1; m.inside.x = (bit<200>)hdr.h.a; hdr.h.d = m.inside.x[140:13];",
    "slices of variables": """
        bit<200> v = (bit<200>)hdr.h.a; v[199:190] = (bit<10>)hdr.h.c; v[150:20] = v[180:50]; v[64:64] = 1;
        v[63:0] = 64w7; hdr.h.a = v[170:11]; hdr.h.c = v[69:46];""",
    "calls": "bit<160> o = 5; hdr.h.a = turned(hdr.h.a, o); hdr.h.a = hdr.h.a |-| o; with_data(hdr.h.n);",
    "structs": "in_t s = { 200w1 << hdr.h.n, true }; in_t t = s; hdr.h.a = t.x[169:10];"
    " if (s == t && s.x != 0) { hdr.h.c = 3; }",
    "branches": """
        if (hdr.h.a > (bit<160>)hdr.h.d && hdr.h.b < 0) { hdr.h.c = 1; }
        if (hdr.h.b >= (int<136>)(bit<136>)hdr.h.a) { hdr.h.c = hdr.h.c + 2; }
        hdr.h.b = hdr.h.b == 0 ? 136s77 : hdr.h.b >> hdr.h.n;""",
    "loops": "bit<160> v = 1;"
    " for (bit<8> i = 0; i < (hdr.h.n & 31); i = i + 1) { v = v * 3 + m.kept; } hdr.h.a = v;",
    "counts": "hdr.h.a = hdr.h.a << hdr.h.b[7:0];"
    " hdr.h.b = hdr.h.b >> ((bit<160>)hdr.h.n << (hdr.h.m & 159));",
    "hash": "hash(hdr.h.r, HashAlgorithm.crc32, 32w0, { hdr.h.a, m.kept + 1, hdr.h.n }, 32w0xffffffff);",
    "a copied header": "hdr.unused = hdr.h; hdr.unused.a = ~hdr.unused.a;"
    " if (hdr.unused != hdr.h) { hdr.h = hdr.unused; }",
    "an absent header": "hdr.h.a = hdr.h.a - 1; if (!hdr.unused.isValid()) { hdr.h.b = -hdr.h.b; }",
}  # fmt: skip
AGAIN = "if (m.again == 0) { m.again = (bit<256>)hdr.h.a * 3 | 1; recirculate_preserving_field_list(1); }"


def packets(seed: int) -> list[bytes]:
    rng = random.Random(seed)
    fixed = [bytes(60), bytes([255] * 60), bytes([128] + 59 * [0]), bytes(range(60))]
    return fixed + [rng.randbytes(60) for _ in range(40)]


def agree(body: str, egress: str = "") -> None:
    pair = Pair(compile_text(_PROGRAM.format(body=body, locals="", egress=egress), "long.p4"))
    try:
        for packet in packets(1):
            assert pair.send(0, packet)
    finally:
        pair.close()


@pytest.mark.parametrize("case", CASES)
def test_long_values_agree_with_the_model(case: str) -> None:
    agree(CASES[case])


def test_long_metadata_is_kept_for_a_second_pass() -> None:
    agree("if (m.again != 0) { hdr.h.a = m.again[255:96] ^ m.again[159:0]; }", AGAIN)


REFUSED = {
    "division": ("", "hdr.h.a = hdr.h.a / (hdr.h.a | 1);", "division of bit<160>"),
    "keys": (
        "table t { key = { hdr.h.a: exact; } actions = { NoAction; } }",
        "t.apply();",
        "bit<160> in this place",
    ),
    "action data": (
        "action set(bit<160> x) { hdr.h.a = x; } table t { actions = { set; } }",
        "t.apply();",
        "bit<160> in this place",
    ),
    "digests": ("", "digest<bit<160>>(1, hdr.h.a);", "bit<160>"),
    "registers": ("register<bit<160>>(4) r;", "r.read(hdr.h.a, 0);", "a register of bit<160>"),
    "a switch": ("", "switch (hdr.h.a) { 1: {} }", "bit<160> in this place"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_where_a_long_value_cannot_stand_it_is_refused_by_name(case: str) -> None:
    declarations, body, reason = REFUSED[case]
    with pytest.raises(CompileError, match=rf"long\.p4:\d+:\d+: error: target xdp: .*{reason}"):
        Pair(compile_text(_PROGRAM.format(body=body, locals=declarations, egress=""), "long.p4"))
