"""Loops and parsers with cycles whose length the packet decides."""

from __future__ import annotations

import random

import pytest
from xdp_differential import Pair

from p4cats.compiler.driver import compile_text

pytestmark = pytest.mark.root

_PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header h_t {{ bit<8> n; bit<32> v; }}
header option_t {{ bit<8> kind; bit<8> size; }}
struct headers_t {{ h_t h; option_t last; }}
struct metadata_t {{}}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    {states}
}}
control V(inout headers_t hdr, inout metadata_t m) {{ apply {{}} }}
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    apply {{
        sm.egress_spec = 1;
        if (sm.parser_error != error.NoError) {{ sm.egress_spec = 2; }}
        {body}
    }}
}}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{ apply {{}} }}
control D(packet_out p, in headers_t hdr) {{ apply {{ p.emit(hdr.h); p.emit(hdr.last); }} }}
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""
_ONE = "state start { p.extract(hdr.h); transition accept; }"
_OPTIONS = """
    state start { p.extract(hdr.h); transition next; }
    state next {
        transition select(p.lookahead<bit<8>>()) { 0: accept; 1: padding; default: option; }
    }
    state padding { p.advance(8); transition next; }
    state option { p.extract(hdr.last); p.advance((bit<32>)hdr.last.size * 8); transition next; }
"""
CASES = {
    "counted": (_ONE, "for (bit<8> i = 0; i < hdr.h.n; i = i + 1) { hdr.h.v = hdr.h.v * 3 + (bit<32>)i; }"),
    "left": (
        _ONE,
        "for (bit<8> i in 0 .. hdr.h.n) { if (hdr.h.v[0:0] == 1) { hdr.h.v = hdr.h.v * 3 + 1; }"
        " else { hdr.h.v = hdr.h.v >> 1; } if (hdr.h.v == 1) { break; } }",
    ),
    "nested": (
        _ONE,
        "for (bit<8> i in 0 .. hdr.h.n & 15) { for (bit<8> j in 0 .. i) {"
        " if (j == 7) { continue; } hdr.h.v = hdr.h.v + (bit<32>)(i ^ j); } }",
    ),
    "exited": (
        _ONE,
        "for (bit<8> i in 0 .. hdr.h.n) { if (hdr.h.v & 0xff == (bit<32>)i) { sm.egress_spec = 3; exit; } }",
    ),
    "options": (_OPTIONS, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_loops_agree_with_the_model(name: str) -> None:
    states, body = CASES[name]
    rng = random.Random(name)
    pair = Pair(compile_text(_PROGRAM.format(states=states, body=body), f"{name}.p4"))
    try:
        for _ in range(200):
            head = bytes([rng.choice([0, 1, 2, 15, 200, 255]), *rng.randbytes(4)])
            options = b"".join(
                rng.choice([b"\1", b"\2\0", b"\3\3abc", b"\4\x20" + bytes(32)])
                for _ in range(rng.randrange(20))
            )
            packet = head + options + rng.choice([b"", b"\0", b"\0rest", b"\5\xff"])
            pair.send(0, packet)
    finally:
        pair.close()
