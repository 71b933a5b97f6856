"""The STF runner: syntax, names, values, and what it says when a test does not hold."""

import pytest

from p4cats.compiler.driver import compile_text
from p4cats.switch.dataplane import Exact, Lpm, Optional, Range, Ternary
from p4cats.switch.stf import StfError, parse_stf, run_statements
from p4cats.switch.stf.commands import Add, Command, Expect, NoPacket, Send, SetDefault
from p4cats.switch.stf.names import Resolver

PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header data_t { bit<32> f; bit<16> h; bit<8> b; }
struct headers_t { data_t data; data_t[2] extra; }
struct meta_t {}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.data); transition accept; }
}
control V(inout headers_t hdr, inout meta_t meta) { apply {} }
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    action set(bit<9> port, bit<8> val) { sm.egress_spec = port; hdr.data.b = val; }
    action noop() {}
    table test1 { key = { hdr.data.f: ternary; hdr.extra[0].h: ternary; } actions = { set; noop; } }
    table other_test1 { key = { hdr.data.f: lpm; hdr.extra[1].isValid(): exact; } actions = { set; noop; } }
    table wide { key = { hdr.data.h: range; hdr.data.b: optional; } actions = { set; noop; } }
    apply {
        if (hdr.data.h == 1) { test1.apply(); }
        else if (hdr.data.h == 2) { other_test1.apply(); }
        else { wide.apply(); }
    }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


@pytest.fixture(scope="module")
def program():
    return compile_text(PROGRAM, "runner.p4")


def run(program, text):
    return run_statements(program, parse_stf(text, "t.stf"), "runner.p4", "t.stf")


def test_statements():
    text = """
    # a comment
    ADD test1 10 data.f:0x****0101 extra$0.h:5 I.set(port:2, val:0x7f) = handle
    setdefault "test1" noop()
    Packet 0 00 01 0a0B      # a comment after data
    expect 3 00** 1 $
    expect 4
    no_packet
    mc_node_create 7 1 2
    """
    add, default, send, expect, anything, nothing, command = parse_stf(text)
    keys = (("data.f", "0x****0101"), ("extra$0.h", "5"))
    assert add == Add(3, "test1", 10, keys, "I.set", (("port", "2"), ("val", "0x7f")), "handle")
    assert default == SetDefault(4, "test1", "noop", ())
    assert send == Send(5, 0, b"\x00\x01\x0a\x0b")
    assert expect == Expect(6, 3, "00**1", exact_length=True)
    assert anything == Expect(7, 4, None)
    assert nothing == NoPacket(8)
    assert command == Command(9, "mc_node_create", ("7", "1", "2"))


def test_numbers_may_begin_with_zeros():
    send, add, command = parse_stf("packet 01 00\nadd t 08 k:010 act()\ncheck_counter c(07) packets == 010")
    assert (send.port, add.priority, command.index, command.value) == (1, 8, 7, 10)


def test_tabs_and_spaces_part_words():
    add, packet = parse_stf("add \t t  k : 1  act( a : 2 , b:3 ) \n\tpacket\t0\t00 0a\t0B")
    assert add == Add(1, "t", None, (("k", "1"),), "act", (("a", "2"), ("b", "3")))
    assert packet == Send(2, 0, b"\x00\x0a\x0b")


def test_an_odd_digit_at_the_end_of_a_packet_is_a_byte():
    assert parse_stf("packet 0 0a b") == [Send(1, 0, b"\x0a\x0b")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\npaket 0 00", r't.stf:2: error: no STF statement begins with "paket"'),
        ("packet x 00", "t.stf:1: error: expected a port number"),
        ("packet 0 0x", "hexadecimal digits"),
        ("packet 512 00", "port 512 does not fit"),
        ("expect 0 0g", "hexadecimal digits"),
        ("add test1 f:1", "expected KEY:VALUE or ACTION"),
        ("add test1 f:1 set(port=1)", "expected ARG:VALUE"),
        ("check_counter c(x)", "neither an index"),
    ],
)
def test_bad_syntax_names_file_and_line(text, message):
    with pytest.raises(StfError, match=message):
        parse_stf(text, "t.stf")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("add nowhere data.f:0x1 noop()", "t.stf:1: error: no table nowhere"),
        ("add est1 data.f:0x1 noop()", "ambiguous"),
        ("add I.test1 data.f:0x1 nothing()", "no action of I.test1 nothing"),
        ("add I.test1 1 data.q:0x1 noop()", "no key data.q in table I.test1"),
        ("add I.test1 1 data.f:0x1 set(port:1)", "argument val of action I.set is missing"),
        ("add I.test1 1 data.f:0x1 set(port:1, val:2, x:3)", "has no parameter x"),
        ("add I.test1 1 data.f:0x1 set(port:512, val:2)", "does not fit 9 bits"),
        ("add other_test1 data.f:0x1/33 noop()", "larger than the 32 bits"),
        ("add other_test1 data.f:0xff&&&0xf0f noop()", "no prefix"),
        ("add other_test1 extra[1].$valid$:0x* noop()", "no single value"),
        ("mirroring_add x 1", "mirroring_add: invalid literal"),
        ("mc_node_associate 1 5", "there is no node 5"),
        ("register_read nowhere 1", "no register nowhere"),
    ],
)
def test_bad_names_and_values_name_file_and_line(program, text, message):
    with pytest.raises(StfError, match=message):
        run(program, text)


@pytest.mark.parametrize(
    ("table", "keys", "expected"),
    [
        ("test1", [("data.f", "0x0123****")], (Ternary(0x01230000, 0xFFFF0000), Ternary(0, 0))),
        ("test1", [("f", "0b1*")], (Ternary(2, 2), Ternary(0, 0))),
        (
            "test1",
            [("hdr.data.f", "7"), ("extra$0.h", "0x12&&&0xff")],
            (Ternary(7, (1 << 32) - 1), Ternary(0x12, 0xFF)),
        ),
        ("test1", [("data.f", "0x12")], (Ternary(0x12, 0xFF), Ternary(0, 0))),
        (
            "other_test1",
            [("data.f", "0x0a01****"), ("extra$1.$valid$", "1")],
            (Lpm(0x0A010000, 16), Exact(1)),
        ),
        ("other_test1", [("data.f", "0x0a010000/8")], (Lpm(0x0A000000, 8), Exact(0))),
        ("other_test1", [("data.f", "10"), ("hdr.extra[1].valid", "1")], (Lpm(10, 32), Exact(1))),
        ("other_test1", [("valid", "1")], (Lpm(0, 0), Exact(1))),
        ("wide", [("h", "1..0x20"), ("b", "*")], (Range(1, 0x20), Optional(None))),
        ("wide", [("h", "0x00**"), ("b", "0x05")], (Range(0, 0xFF), Optional(5))),
        ("wide", [], (Range(0, 0xFFFF), Optional(None))),
    ],
)
def test_keys_as_stf_files_write_them(program, table, keys, expected):
    resolver = Resolver(program, "t.stf")
    name = f"I.{table}"
    assert resolver.key(next(t for t in program.tables if t.name == name), keys) == expected


def test_failure_shows_expected_and_received_and_where_they_differ(program):
    add = "add I.test1 5 data.f:0x0******1 set(port:2, val:9)"
    result = run(program, f"{add}\npacket 0 01000001 0001 00 ee\nexpect 2 0100 0001 0001 0a")
    assert not result.passed
    assert result.failures == [
        "t.stf:3: port 2: another packet than expected",
        "    expected 01 00 00 01 00 01 0a",
        "    received 01 00 00 01 00 01 09 ee",
        "                                ^",
        "    7 and 8 bytes (first difference at byte 6)",
    ]
    assert str(result).startswith("FAIL t.stf\n")


def test_missing_and_unexpected_packets(program):
    result = run(
        program, "packet 1 00000000 0001 00\nexpect 2 00\nexpect 2\nexpect 0 *0000000 0001 $\nno_packet"
    )
    assert result.failures[0] == "t.stf:4: port 0: another packet than expected"
    assert "t.stf:2: port 2: expected packet did not come" in result.failures
    assert "    expected (any)" in result.failures
    assert result.failures[-1] == "t.stf:5: packets came out of port 0, expected none"
    silent = run(program, "packet 0 00000000 0001 00")
    assert silent.failures[0] == "t.stf: port 0: packet that no line expects"


def test_ports_that_the_file_does_not_name_are_not_looked_at(program):
    result = run(program, "setdefault I.test1 set(port:5, val:1)\npacket 0 00000000 0001 00")
    assert result.passed
    assert (result.packets_sent, result.packets_received) == (1, 1)


def test_false_assertion_and_endless_resubmit_fail_the_test():
    change = "if (hdr.data.b == 1) { assert(hdr.data.h == 7); } "
    change += "if (hdr.data.b == 2) { resubmit_preserving_field_list(0); }"
    looping = compile_text(
        PROGRAM.replace("if (hdr.data.h == 1)", change + " if (hdr.data.h == 1)"), "loop.p4"
    )
    result = run(looping, "packet 0 00000000 0001 01\npacket 0 00000000 0001 02")
    assert result.failures == [
        "t.stf: 1 packets dropped: assertion failed",
        "t.stf: 1 packets dropped: recirculation limit",
    ]


def test_entry_that_is_there_is_skipped_with_a_note(program):
    result = run(
        program, "add I.test1 1 data.f:0x1 noop()\nadd I.test1 1 data.f:0x1 noop()\nremove all\nwait"
    )
    assert result.output[0] == "line 2: add: ignored, table I.test1 has an entry with this key already"
