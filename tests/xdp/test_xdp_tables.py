"""Tables of every kind under random writes: the kernel finds the entry that the model finds."""

from __future__ import annotations

import errno
import os
import random
from typing import Any

import pytest
from xdp_differential import Pair
from xdp_network import HERE

from p4cats.compiler.driver import compile_file, compile_text
from p4cats.ebpf.errors import LibbpfError
from p4cats.ebpf.libbpf import Map
from p4cats.switch.dataplane import (
    ActionCall,
    Exact,
    GroupRef,
    Lpm,
    MemberRef,
    Optional,
    Range,
    TableEntry,
    Ternary,
)

pytestmark = pytest.mark.root

WIDTHS = {"mac": 48, "small": 4, "vlan": 12, "label": 20, "odd": 12, "wide": 128, "sign": 8, "kind": 8}
TABLES = {
    "exacts": [("mac", "exact"), ("kind", "exact")],
    "indexed": [("small", "exact"), ("sign", "exact")],
    "prefixes": [("odd", "exact"), ("label", "lpm")],
    "ternaries": [("mac", "ternary"), ("label", "lpm"), ("sign", "ternary"), ("kind", "exact")],
    "ranges": [("vlan", "range"), ("small", "optional"), ("wide", "ternary")],
    "wides": [("wide", "lpm")],
    "members": [("small", "exact")],
}
ACTIONS = {"exacts": "exact", "prefixes": "lpm", "ternaries": "ternary", "ranges": "range"}
PRIORITISED = ("ternaries", "ranges")
COUNTED = ("exacts", "prefixes", "ternaries")


class Script:
    """Random writes and packets over few values, so that they meet."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.values = {
            n: [self.rng.getrandbits(w) for _ in range(2)] + [0, (1 << w) - 1] for n, w in WIDTHS.items()
        }
        self.entries: dict[str, list[TableEntry]] = {t: [] for t in TABLES}
        self.members: list[int] = []
        self.groups: list[int] = []

    def match(self, field: str, kind: str) -> Any:
        width = WIDTHS[field]
        full = (1 << width) - 1
        value = self.rng.choice(self.values[field])
        match kind:
            case "exact":
                return Exact(value)
            case "lpm":
                length = self.rng.choice([0, 1, width // 2, width - 1, width])
                return Lpm(value & (full ^ full >> length), length)
            case "ternary":
                mask = self.rng.choice([0, full, full >> 1, full ^ 1, self.rng.getrandbits(width)])
                return Ternary(value & mask, mask)
            case "range":
                ends = sorted([value, self.rng.choice(self.values[field])])
                return Range(*ends)
            case _:
                return Optional(self.rng.choice([None, value]))

    def call(self, table: str) -> ActionCall:
        kind = self.rng.choice(["set", "set", "other", "none"])
        if kind == "none":
            return ActionCall("NoAction")
        if kind == "other":
            return ActionCall("Lookup.other", (self.rng.randrange(256),))
        if table == "wides":
            return ActionCall("Lookup.set_wide", (self.rng.getrandbits(128),))
        if table == "indexed":
            return ActionCall("Lookup.set_index", (self.rng.getrandbits(16),))
        if table == "members":
            return ActionCall("Lookup.set_member", (self.rng.getrandbits(16),))
        if table == "prefixes":
            return ActionCall("Lookup.set_lpm", (self.rng.getrandbits(16), self.rng.getrandbits(8)))
        return ActionCall(f"Lookup.set_{ACTIONS[table]}", (self.rng.getrandbits(16),))

    def target(self, table: str) -> Any:
        if table != "members":
            return self.call(table)
        if self.groups and self.rng.random() < 0.7:
            return GroupRef(self.rng.choice(self.groups))
        return MemberRef(self.rng.choice(self.members))

    def write(self, pair: Pair) -> None:
        table = self.rng.choice(list(TABLES))
        if table == "members" and self.change_members(pair):
            return
        known, name = self.entries[table], f"Lookup.{table}"
        kind = self.rng.choice(["insert", "insert", "insert", "modify", "delete", "default"])
        if kind == "insert" and len(known) < 40:
            key = tuple(self.match(*k) for k in TABLES[table])
            priority = self.rng.randrange(1, 1000) if table in PRIORITISED else 0
            if any(e.key == key and e.priority == priority for e in known):
                return
            if table in PRIORITISED and any(e.priority == priority for e in known):
                return  # equal priorities: which one wins is not defined
            entry = TableEntry(key, priority, self.target(table))
            known.append(entry)
            pair.both(lambda p: p.insert_entry(name, entry))
        elif kind == "modify" and known:
            at = self.rng.randrange(len(known))
            known[at] = entry = TableEntry(known[at].key, known[at].priority, self.target(table))
            pair.both(lambda p: p.modify_entry(name, entry))
        elif kind == "delete" and known:
            gone = known.pop(self.rng.randrange(len(known)))
            pair.both(lambda p: p.delete_entry(name, gone.key, gone.priority))
        elif kind == "default" and table != "members":
            call = self.rng.choice([None, self.call(table)])
            pair.both(lambda p: p.set_default(name, call))

    def change_members(self, pair: Pair) -> bool:
        """Change members and groups now and then; there must be some first."""
        if len(self.members) < 3 or self.rng.random() < 0.2:
            member = self.rng.choice([*self.members, len(self.members) + 1])
            call = self.call("members")
            pair.both(lambda p: p.set_member("Lookup.selector", member, call))
            if member not in self.members:
                self.members.append(member)
            return True
        if self.rng.random() < 0.3:
            group = self.rng.randrange(1, 5)
            members = [self.rng.choice(self.members) for _ in range(self.rng.randrange(0, 8))]
            pair.both(lambda p: p.set_group("Lookup.selector", group, members))
            if group not in self.groups:
                self.groups.append(group)
            return True
        return False

    def packet(self) -> bytes:
        value = 0
        for field, width in WIDTHS.items():
            part = self.rng.choice(self.values[field])
            if self.rng.random() < 0.3:
                part ^= 1 << self.rng.randrange(width)
            value = value << width | part
        return value.to_bytes(30, "big") + b"payload"


_TIMED = """
#include <core.p4>
#include <v1model.p4>
header h_t { bit<8> a; }
struct headers_t { h_t h; }
struct meta_t {}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.h); transition accept; }
}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    table timed { key = { hdr.h.a: exact; } actions = { NoAction; } support_timeout = true; }
    apply { timed.apply(); sm.egress_spec = 1; }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(P(), C(), I(), E(), C(), D()) main;
"""


def test_idle_entries_are_reported_each_time_their_timer_runs_out_as_on_the_model() -> None:
    pair = Pair(compile_text(_TIMED, "timed.p4"))
    entries = [
        TableEntry((Exact(a),), 0, ActionCall("NoAction"), idle_timeout_ns=seconds * 1_000_000_000)
        for a, seconds in ((1, 3), (2, 5), (3, 0))
    ]
    told = 0
    try:
        for entry in entries:
            pair.both(lambda p, entry=entry: p.insert_entry("I.timed", entry))
        for second in range(20):
            if second in (4, 11):
                pair.send(0, b"\1")
            if second == 15:
                pair.both(lambda p: p.modify_entry("I.timed", entries[1]))
            pair.clock.now += 1_000_000_000
            pair.both(lambda p: p.tick())
            expected = pair.model_out.take()
            assert pair.xdp_out.take() == expected, f"second {second}"
            told += len(expected)
    finally:
        pair.close()
    assert told > 4, "each timer ran out more than once"


@pytest.mark.parametrize("seed", range(int(os.environ.get("P4CATS_FUZZ_TABLES", "6"))))
def test_tables_agree_with_the_model(seed: int) -> None:
    pair, script = Pair(compile_file(HERE / "tables.p4")), Script(seed)
    try:
        for _ in range(300):
            script.write(pair)
            for _ in range(5):
                pair.send(0, script.packet())
        for table in COUNTED:
            for entry in script.entries[table]:
                name = f"Lookup.{table}"
                expected = pair.model.read_direct_counter(name, entry.key, entry.priority)
                assert pair.xdp.read_direct_counter(name, entry.key, entry.priority) == expected, (
                    name,
                    entry,
                )
    finally:
        pair.close()


def test_entries_that_the_kernel_refuses_are_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    pair = Pair(compile_file(HERE / "tables.p4"))
    try:
        name, script = "Lookup.prefixes", Script(0)
        entries = [
            TableEntry((Exact(odd), Lpm(0, 0)), 0, ActionCall("Lookup.set_lpm", (odd, 1))) for odd in range(3)
        ]
        with monkeypatch.context() as patch:

            def refuse(*_: object) -> None:
                raise LibbpfError("update map", errno.ENOMEM)

            patch.setattr(Map, "update_batch", refuse)
            with pytest.raises(LibbpfError):
                pair.xdp.insert_entries(name, entries)
        pair.send(0, script.packet())
        pair.both(lambda p: p.insert_entries(name, entries))
        script.values["odd"] = [0, 1, 2, 3]
        for _ in range(20):
            pair.send(0, script.packet())
    finally:
        pair.close()
