"""State that packets on several processors write: registers under @atomic, and meters."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from p4cats.compiler.driver import compile_text
from p4cats.switch.dataplane import MeterConfig
from p4cats.switch.xdp import XdpDataPlane

pytestmark = pytest.mark.root

_PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header h_t {{ bit<8> kind; bit<8> n; }}
struct headers_t {{ h_t h; }}
struct metadata_t {{}}
struct pair_t {{ bit<32> count; bit<64> sum; }}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    state start {{ p.extract(hdr.h); transition accept; }}
}}
control V(inout headers_t hdr, inout metadata_t m) {{ apply {{}} }}
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    register<bit<32>>(4) seen;
    register<pair_t>(2) pairs;
    counter(3, CounterType.packets) colours;
    meter(1, MeterType.packets) limit;
    {locals}
    apply {{ {body} mark_to_drop(sm); }}
}}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{ apply {{}} }}
control D(packet_out p, in headers_t hdr) {{ apply {{}} }}
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""
_ADD = "bit<32> n; seen.read(n, 1); n = n + 1; seen.write(1, n);"
RUNS, REPEAT = 20, 5000
PACKETS = 2 * RUNS * REPEAT


@contextmanager
def plane(body: str, declarations: str = "") -> Iterator[XdpDataPlane]:
    made = XdpDataPlane(compile_text(_PROGRAM.format(body=body, locals=declarations), "atomic.p4"))
    try:
        inports = made.loaded.memory.view("inports", 2048)
        inports[2], inports[3] = 1, 1  # test runs come in by the loopback interface, as port 1
        yield made
    finally:
        made.close()


def send(made: XdpDataPlane, packet: bytes = bytes([1, 3] + 62 * [0])) -> None:
    """PACKETS packets, half of them on each of two processors (or all on one, where there is no second)."""
    program = made.loaded.object.programs["p4_main"]
    allowed = sorted(os.sched_getaffinity(0))
    begin = threading.Barrier(2)

    def work(cpu: int) -> None:
        os.sched_setaffinity(0, {cpu})  # of this thread
        begin.wait()
        for _ in range(RUNS):
            assert program.test_run(packet, repeat=REPEAT).retval == 1

    threads = [threading.Thread(target=work, args=(allowed[i % len(allowed)],)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CASES = {
    "block": (f"@atomic {{ {_ADD} }}", ""),
    "action": ("add();", f"@atomic action add() {{ {_ADD} }}"),
    "called from a block": ("@atomic { if (hdr.h.isValid()) { add(); } }", f"action add() {{ {_ADD} }}"),
    "nested blocks": (f"@atomic {{ @atomic {{ {_ADD} }} }}", ""),
    "left by return": (
        "add();",
        f"action add() {{ @atomic {{ {_ADD} if (hdr.h.kind == 1) {{ return; }} seen.write(2, 7); }} }}",
    ),
    "loop inside": (
        "@atomic { bit<32> n; seen.read(n, 1);"
        " for (bit<8> i = 0; i < hdr.h.n; i = i + 1) { if (i == 1) { n = n + 1; break; } }"
        " seen.write(1, n); }",
        "",
    ),
    "inside a loop": (
        "for (bit<8> i = 0; i < hdr.h.n; i = i + 1) {"
        " @atomic { bit<32> n; seen.read(n, 1); n = n + 1; seen.write(1, n); if (i == 0) { break; } } }",
        "",
    ),
    "beside plain writes": (
        f"if (hdr.h.kind == 2) {{ seen.write(0, 5); }} @atomic {{ {_ADD} }} bit<32> x; seen.read(x, 1);"
        " if (x == 0) { seen.write(3, x + 1); }",
        "",
    ),
    "exit": (f"@atomic {{ {_ADD} if (hdr.h.kind == 1) {{ mark_to_drop(sm); exit; }} }}", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_increment_under_atomic_is_lost(case: str) -> None:
    with plane(*CASES[case]) as made:
        send(made)
        assert made.read_register("I.seen", 1) == PACKETS
        assert made.drops() == {"ingress": PACKETS}


def test_a_parser_leaves_the_lock_whatever_way_it_ends() -> None:
    """A state under @atomic runs a sub-parser with a cycle; packets end it by acceptance and by error."""
    parser = """
parser Skip(packet_in p) {
    state start { transition select(p.lookahead<bit<8>>()) { 0: accept; 9: wrong; default: next; } }
    state next { p.advance(8); transition start; }
    state wrong { verify(false, error.NoMatch); transition accept; }
}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {
    Skip() skip;
    @atomic state start { p.extract(hdr.h); skip.apply(p); transition accept; }
}
control V("""
    head, _, tail = _PROGRAM.format(body=f"@atomic {{ {_ADD} }}", locals="").partition("parser P(")
    text = head + parser.lstrip() + tail.partition("control V(")[2]
    made = XdpDataPlane(compile_text(text, "atomic.p4"))
    try:
        for rest in (b"\1\0", b"\1\x09", b"\1\1", b"\0", b"\x09", bytes(9)):
            made.process(1, bytes(2) + rest)
        assert made.read_register("I.seen", 1) == 6
        assert made.drops() == {"ingress": 6}
    finally:
        made.close()


def test_a_struct_under_atomic_stays_consistent() -> None:
    body = """@atomic {
        pair_t p; pairs.read(p, 0);
        if (p.sum != (bit<64>)p.count * 3) { seen.write(0, 1); }
        p.count = p.count + 1; p.sum = p.sum + (bit<64>)hdr.h.n; pairs.write(0, p);
    }"""
    with plane(body) as made:
        send(made)
        assert made.read_register("I.pairs", 0) == (PACKETS, 3 * PACKETS)
        assert made.read_register("I.seen", 0) == 0


def test_a_meter_keeps_its_rate_on_two_processors() -> None:
    body = "bit<8> colour; limit.execute_meter(0, colour); colours.count((bit<32>)colour);"
    with plane(body) as made:
        # Almost no refill: what passes is the bursts, to the packet.
        made.set_meter("I.limit", 0, MeterConfig(cir=1, cburst=5000, pir=1, pburst=9000))
        send(made)
        green, yellow, red = (made.read_counter("I.colours", i).packets for i in range(3))
        assert green + yellow + red == PACKETS
        assert 5000 <= green <= 5000 + 60
        assert 9000 <= green + yellow <= 9000 + 60
