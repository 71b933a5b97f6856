"""Ternary tables: many masks, ranges and deletions against the model; changes while packets look up."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import pytest
from xdp_differential import Pair

from p4cats.compiler.driver import compile_text
from p4cats.switch.dataplane import ActionCall, Exact, Lpm, Optional, Range, TableEntry, Ternary
from p4cats.switch.xdp import XdpDataPlane

pytestmark = pytest.mark.root

_PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header h_t { bit<128> address; bit<32> id; bit<16> port; bit<8> kind; bit<8> found; }
struct headers_t { h_t h; }
struct metadata_t {}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {
    state start { p.extract(hdr.h); transition accept; }
}
control V(inout headers_t hdr, inout metadata_t m) { apply {} }
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {
    action found(bit<8> value) { hdr.h.found = value; sm.egress_spec = 1; }
    action lost() { mark_to_drop(sm); }
    table t {
        key = {
            hdr.h.address: lpm; hdr.h.id: ternary; hdr.h.port: range; hdr.h.kind: optional;
        }
        actions = { found; lost; }
        default_action = lost;
        size = 600;
    }
    apply { t.apply(); }
}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) { apply {} }
control D(packet_out p, in headers_t hdr) { apply { p.emit(hdr.h); } }
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""
TABLE = "I.t"


def packet(address: int, number: int, port: int, kind: int) -> bytes:
    return (address << 64 | number << 32 | port << 16 | kind << 8).to_bytes(24, "big")


class Entries:
    """Random entries over few values, so that several match a packet."""

    def __init__(self, seed: int) -> None:
        self.rng = rng = random.Random(seed)
        self.addresses = [rng.getrandbits(128) for _ in range(6)]
        self.numbers = [rng.getrandbits(32) for _ in range(6)]

    def key(self) -> tuple[Any, ...]:
        rng = self.rng
        length = rng.choice([0, 0, 8, 48, 64, rng.randrange(129)])
        mask = rng.choice([0, 0xFFFFFFFF, 0xFFFF0000, rng.getrandbits(32)])
        low, high = sorted(rng.choice([0, 1, 80, 443, 1024, 65535, rng.getrandbits(16)]) for _ in range(2))
        full = (1 << 128) - 1
        address = rng.choice(self.addresses) & (full ^ full >> length)
        kind = rng.choice([None, None, 6, 17])
        return (
            Lpm(address, length),
            Ternary(rng.choice(self.numbers) & mask, mask),
            Range(low, high),
            Optional(kind),
        )

    def packet(self) -> bytes:
        rng = self.rng
        flip = 1 << rng.randrange(256) & (1 << 128) - 1
        port = rng.choice([0, 1, 79, 80, 81, 443, 2000, 65535])
        return packet(
            rng.choice(self.addresses) ^ flip, rng.choice(self.numbers), port, rng.choice([6, 17, 1])
        )


@pytest.mark.parametrize("seed", range(int(os.environ.get("P4CATS_FUZZ_TABLES", "3"))))
def test_large_ternary_tables_agree_with_the_model(seed: int) -> None:
    pair, made = Pair(compile_text(_PROGRAM, "ternary.p4")), Entries(seed)
    rng, known = made.rng, []
    try:
        for number in range(900):
            if len(known) == 600 or (known and rng.random() < 0.25):
                gone = known.pop(rng.randrange(len(known)))
                pair.both(lambda p, e=gone: p.delete_entry(TABLE, e.key, e.priority))
            call = ActionCall("I.found", (rng.randrange(256),))
            entry = TableEntry(made.key(), 1 + number * 7919 % 1000, call)
            known.append(entry)
            pair.both(lambda p, e=entry: p.insert_entry(TABLE, e))
            if number % 3 == 0:
                pair.send(0, made.packet())
        for _ in range(300):
            pair.send(0, made.packet())
        for entry in known:
            pair.both(lambda p, e=entry: p.delete_entry(TABLE, e.key, e.priority))
        assert pair.send(0, made.packet()) == []
    finally:
        pair.close()


_WIDE = """
#include <core.p4>
#include <v1model.p4>
header h_t { bit<128> a; bit<100> b; bit<28> c; bit<8> found; }
struct headers_t { h_t h; }
struct metadata_t {}
struct member_t { bit<8> f; @match(range) bit<128> a; @match(ternary) bit<100> b; }
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {
    value_set<member_t>(8) members;
    state start {
        p.extract(hdr.h);
        transition select(hdr.h.found, hdr.h.a, hdr.h.b) { members: member; default: accept; }
    }
    state member { hdr.h.c = 1; transition accept; }
}
control V(inout headers_t hdr, inout metadata_t m) { apply {} }
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {
    action found(bit<8> value) { hdr.h.found = hdr.h.found + value; }
    table ranges {
        key = { hdr.h.a: range; hdr.h.c: exact; hdr.h.b: range; }
        actions = { found; NoAction; }
        size = 64;
    }
    table prefixes {
        key = { hdr.h.a: lpm; hdr.h.b: lpm; hdr.h.c: exact; }
        actions = { found; NoAction; }
        size = 64;
    }
    apply { sm.egress_spec = 1; ranges.apply(); prefixes.apply(); }
}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) { apply {} }
control D(packet_out p, in headers_t hdr) { apply { p.emit(hdr.h); } }
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""


def test_wide_ranges_and_several_prefixes_agree_with_the_model() -> None:
    pair, rng = Pair(compile_text(_WIDE, "wide.p4")), random.Random(7)
    a, b = [[rng.getrandbits(w) for _ in range(4)] + [0, (1 << w) - 1] for w in (128, 100)]
    try:
        members = [
            (Exact(n), Range(*sorted(rng.sample(a, 2))), Ternary(rng.choice(b) & mask, mask))
            for n in range(3)
            for mask in (0, (1 << 100) - (1 << 36))
        ]
        pair.both(lambda p: p.set_value_set("P.members", members))
        sums, seen = set(), set()
        for number in range(1, 60):
            ends = Range(*sorted(rng.sample(a, 2))), Exact(number % 2), Range(*sorted(rng.sample(b, 2)))
            call = ActionCall("I.found", (number,))
            entry = TableEntry(ends, number, call)
            pair.both(lambda p, e=entry: p.insert_entry("I.ranges", e))
            first, second = rng.randrange(129), rng.randrange(101)
            if first + second in sums:
                continue  # the longest together wins; of equal ones, any
            sums.add(first + second)
            prefixes = (
                Lpm(rng.choice(a) & ~((1 << 128 - first) - 1), first),
                Lpm(rng.choice(b) & ~((1 << 100 - second) - 1), second),
                Exact(number % 2),
            )
            entry = TableEntry(prefixes, 0, call)
            pair.both(lambda p, e=entry: p.insert_entry("I.prefixes", e))
        for _ in range(400):
            x = rng.choice(a) ^ rng.choice([0, 0, 1, 1 << rng.randrange(128)])
            y = rng.choice(b) ^ rng.choice([0, 0, 1, 1 << rng.randrange(100)])
            value = ((x << 100 | y) << 28 | rng.randrange(2)) << 8 | rng.randrange(4)
            seen.update(str(sent[2])[-2:] for sent in pair.send(0, value.to_bytes(33, "big")))
        assert len(seen) > 30, "too few entries were found to show anything"
    finally:
        pair.close()


def test_packets_never_see_a_half_made_table() -> None:
    """One entry at least matches the packet all the time, wherever it lies and moves.

    Whoever replaces it adds the new one before the old goes. Others, which share its bucket or make a mask
    worth while, come and go beside it.
    """
    plane, made = XdpDataPlane(compile_text(_PROGRAM, "ternary.p4")), Entries(1)
    inports = plane.loaded.memory.view("inports", 2048)
    inports[2], inports[3] = 1, 1  # test runs come in by the loopback interface, as port 1
    address, number = made.addresses[0], made.numbers[0]
    frame, full = packet(address, number, 80, 6) + bytes(40), (1 << 128) - 1
    program = plane.loaded.object.programs["p4_main"]
    stop, runs = threading.Event(), []

    def look_up() -> None:
        while not stop.is_set():
            program.test_run(frame, repeat=100_000)
            runs.append(100_000)

    def entry(priority: int, round_: int, ports: Range) -> TableEntry:
        """One that matches the packet in all but the port perhaps, below a mask of the round's."""
        length, mask = (128, 64, 0, 48)[round_ % 4], 0xFF << round_ % 24
        prefix = Lpm(address & (full ^ full >> length), length)
        key = (prefix, Ternary(number & mask, mask), ports, Optional(None))
        return TableEntry(key, priority, ActionCall("I.found", (1,)))

    def covering(round_: int) -> TableEntry:
        """Before the others, so that a bucket takes it, or behind them, so that it stays in the list."""
        return entry(round_ % 2 * 5000 + round_, round_, Range(round_ % 80, 90))

    plane.insert_entry(TABLE, covering(1))
    readers = [threading.Thread(target=look_up) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for round_ in range(2, 300):
            plane.insert_entry(TABLE, covering(round_))
            old = covering(round_ - 1)
            plane.delete_entry(TABLE, old.key, old.priority)
            others = [entry(1000 + n, round_ + n // 10, Range(100, 200 + n)) for n in range(14)]
            for other in others:
                plane.insert_entry(TABLE, other)
            for other in others:
                plane.delete_entry(TABLE, other.key, other.priority)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
        drops = plane.drops()
        plane.close()
    assert runs
    assert "ingress" not in drops, "a packet found no entry"
