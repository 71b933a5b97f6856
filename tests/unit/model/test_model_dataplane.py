"""The control plane's side of ModelDataPlane: profiles, idle timeouts, digests, queues (no STF for them)."""

import pytest

from p4cats.compiler.driver import compile_text
from p4cats.switch.dataplane import (
    ActionCall,
    CounterData,
    Exact,
    GroupRef,
    MemberRef,
    MeterConfig,
    Replica,
    TableEntry,
    Ternary,
)
from p4cats.switch.model import ModelDataPlane

SECOND = 1_000_000_000

PROGRAM = """
#include <core.p4>
#include <v1model.p4>

header data_t { bit<8> key; bit<8> flow; int<8> result; bit<8> colour; }
header packet_in_t { bit<16> reason; }
struct headers_t { packet_in_t packet_in; data_t data; }
struct meta_t {}
struct pair_t { bit<16> first; int<8> second; }
struct news_t { bit<8> key; int<8> flow; }
struct types_t { bit<8> low; @match(ternary) bit<8> high; }

parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    value_set<bit<8>>(4) known;
    value_set<types_t>(4) pairs;
    state start {
        transition select(packet.lookahead<bit<8>>()) {
            known: listed;
            0xfe: two;
            default: plain;
        }
    }
    state two {
        bit<16> both = packet.lookahead<bit<16>>();
        transition select(both[15:8], both[7:0]) {
            pairs: listed;
            default: plain;
        }
    }
    state listed { packet.extract(hdr.data); hdr.data.colour = 0x77; transition accept; }
    state plain { packet.extract(hdr.data); transition accept; }
}

control V(inout headers_t hdr, inout meta_t meta) { apply {} }

control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    direct_counter(CounterType.packets_and_bytes) hits;
    direct_meter<bit<8>>(MeterType.packets) rate;
    action_selector(HashAlgorithm.crc32, 64, 16) choices;
    action_profile(16) profile;
    register<pair_t>(4) pairs;
    register<int<8>>(4) lows;
    counter(4, CounterType.packets) cells;

    action out_of(bit<9> port, int<8> result) { sm.egress_spec = port; hdr.data.result = result; }
    action discard() { mark_to_drop(sm); }
    action metered(bit<9> port) { sm.egress_spec = port; rate.read(hdr.data.colour); }

    table selected {
        key = { hdr.data.key: exact; hdr.data.flow: selector; }
        actions = { out_of; discard; NoAction; }
        implementation = choices;
        default_action = NoAction();
    }
    table profiled {
        key = { hdr.data.key: ternary; }
        actions = { out_of; NoAction; }
        implementation = profile;
        default_action = NoAction();
    }
    table timed {
        key = { hdr.data.key: exact; }
        actions = { metered; discard; NoAction; }
        default_action = NoAction();
        support_timeout = true;
        counters = hits;
        meters = rate;
    }
    apply {
        if (hdr.data.key >= 0xf0) {
            digest<news_t>(1, { hdr.data.key, (int<8>)hdr.data.flow });
            hdr.packet_in.setValid();
            hdr.packet_in.reason = 9;
            sm.egress_spec = 510;
            pair_t p = { 7, -3 };
            pairs.write(2, p);
            pairs.read(p, 1);
            hdr.data.result = p.second;
        } else if (hdr.data.key >= 0x80) {
            timed.apply();
        } else if (hdr.data.key >= 0x40) {
            profiled.apply();
        } else {
            selected.apply();
        }
    }
}

control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply {
        if (sm.egress_port == 5) { hdr.data.flow = sm.deq_qdepth[7:0]; hdr.data.colour = sm.enq_qdepth[7:0]; }
    }
}
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


class Listener:
    def __init__(self):
        self.packets_in, self.digests, self.idle_entries = [], [], []

    def packet_in(self, packet):
        self.packets_in.append(packet)

    def digest(self, name, values):
        self.digests.append((name, values))

    def idle(self, table, entries):
        self.idle_entries.append((table, list(entries)))


class Clock:
    def __init__(self):
        self.now = 5 * SECOND

    def __call__(self):
        return self.now


class Bench:
    """A data plane with everything that it says kept."""

    def __init__(self, program):
        self.sent, self.events, self.clock = [], Listener(), Clock()
        self.plane = ModelDataPlane(
            program, lambda port, packet: self.sent.append((port, packet)), self.events,
            cpu_port=510, clock=self.clock, seed=1,
        )  # fmt: skip

    def run(self, text, port=1):
        self.sent.clear()
        self.plane.process(port, bytes.fromhex(text))
        return [(port, packet.hex()) for port, packet in self.sent]


@pytest.fixture(scope="module")
def program():
    return compile_text(PROGRAM, "dataplane.p4")


@pytest.fixture
def bench(program):
    return Bench(program)


def out_of(port, value):
    return ActionCall("I.out_of", (port, value))


def test_member_changes_reach_the_entries_that_use_it(bench):
    plane = bench.plane
    plane.set_member("I.profile", 1, out_of(3, 0xFF))
    plane.insert_entry("I.profiled", TableEntry((Ternary(0x40, 0xF0),), 5, MemberRef(1)))
    assert bench.run("41000000") == [(3, "4100ff00")]
    plane.set_member("I.profile", 1, out_of(4, 0x01))
    assert bench.run("41000000") == [(4, "41000100")]
    plane.delete_entry("I.profiled", (Ternary(0x40, 0xF0),), 5)
    plane.delete_member("I.profile", 1)
    assert bench.run("41000000") == [(0, "41000000")]


def test_group_spreads_flows_by_the_selector_keys_and_by_weight(bench):
    plane = bench.plane
    for member, port in ((1, 1), (2, 2), (3, 3)):
        plane.set_member("I.choices", member, out_of(port, 0))
    plane.set_group("I.choices", 9, [1, 2, 3, 3])
    plane.insert_entry("I.selected", TableEntry((Exact(7),), 0, GroupRef(9)))
    ports = [bench.run(f"07{flow:02x}0000")[0][0] for flow in range(256)]
    assert ports == [bench.run(f"07{flow:02x}0000")[0][0] for flow in range(256)], "a flow stays"
    assert 40 < ports.count(1) < 90
    assert 100 < ports.count(3) < 160
    plane.set_group("I.choices", 9, [2])
    assert {bench.run(f"07{flow:02x}0000")[0][0] for flow in range(256)} == {2}
    plane.set_group("I.choices", 9, [])
    assert bench.run("07000000") == [(0, "07000000")], "an empty group does nothing"
    plane.modify_entry("I.selected", TableEntry((Exact(7),), 0, MemberRef(3)))
    assert bench.run("07000000") == [(3, "07000000")]


def test_idle_entries_are_reported_each_time_their_timer_runs_out(bench):
    plane, clock = bench.plane, bench.clock
    key = (Exact(0x81),)
    plane.insert_entry(
        "I.timed", TableEntry(key, 0, ActionCall("I.metered", (2,)), idle_timeout_ns=3 * SECOND)
    )
    clock.now += 2 * SECOND
    bench.run("81000000")
    assert plane.time_since_hit_ns("I.timed", key, 0) == 0
    for _ in range(8):
        clock.now += SECOND
        plane.tick()
    assert bench.events.idle_entries == [("I.timed", [(key, 0)])] * 2, "the timer starts anew at each"
    bench.run("81000000")
    for _ in range(5):
        clock.now += SECOND
        plane.tick()
    assert len(bench.events.idle_entries) == 3


def test_direct_counter_and_meter_belong_to_the_entry_and_survive_modify(bench):
    plane = bench.plane
    key = (Exact(0x90),)
    plane.insert_entry("I.timed", TableEntry(key, 0, ActionCall("I.metered", (2,))))
    assert bench.run("90000000") == [(2, "90000000")]
    plane.set_direct_meter("I.timed", key, 0, MeterConfig(1, 1, 1, 2))
    assert [bench.run("900000ff")[0][1][-2:] for _ in range(3)] == ["00", "01", "02"]
    plane.modify_entry("I.timed", TableEntry(key, 0, ActionCall("I.metered", (3,))))
    assert bench.run("900000ff") == [(3, "90000002")]
    assert plane.read_direct_counter("I.timed", key, 0) == CounterData(5, 20)
    plane.write_direct_counter("I.timed", key, 0, CounterData(1, 2))
    assert plane.read_direct_counter("I.timed", key, 0) == CounterData(1, 2)
    bench.run("91000000")
    assert plane.read_direct_counter("I.timed", None, 0) == CounterData(1, 4)


def test_default_action_is_set_and_restored(bench):
    bench.plane.set_default("I.timed", ActionCall("I.metered", (6,)))
    assert bench.run("99000000") == [(6, "99000000")]
    bench.plane.set_default("I.timed", None)
    assert bench.run("99000000") == [(0, "99000000")]


def test_value_sets_take_exact_and_ternary_members(bench):
    assert bench.run("01000000") == [(0, "01000000")]
    bench.plane.set_value_set("P.known", [(Exact(1),), (Exact(2),)])
    assert bench.run("01000000") == [(0, "01000077")]
    bench.plane.set_value_set("P.known", [(Exact(2),)])
    assert bench.run("01000000") == [(0, "01000000")]
    bench.plane.set_value_set("P.pairs", [(Exact(0xFE), Ternary(0x10, 0xF0))])
    assert bench.events.packets_in == []
    bench.run("fe150000")
    bench.run("fe250000")
    assert [p.hex()[-2:] for p in bench.events.packets_in] == ["77", "00"]


def test_digest_and_packet_in_reach_the_listener(bench):
    bench.plane.write_register("I.pairs", 1, (0x1234, 0x80))
    assert bench.run("f3ff0000") == []
    assert bench.events.digests == [("news_t", (0xF3, 0xFF))]
    assert [p.hex() for p in bench.events.packets_in] == ["0009f3ff8000"]
    assert bench.plane.read_register("I.pairs", 2) == (7, 0xFD)
    assert bench.plane.read_register("I.pairs", 1) == (0x1234, 0x80)


def test_packet_out_enters_by_the_cpu_port(bench):
    bench.plane.packet_out(bytes.fromhex("01020304"))
    assert bench.sent == [(0, bytes.fromhex("01020304"))]


def test_signed_registers_are_bit_patterns_to_the_control_plane(bench):
    bench.plane.write_register("I.lows", 3, 0x80)
    assert bench.plane.engine.registers["I.lows"].cells[3] == -128
    assert bench.plane.read_register("I.lows", 3) == 0x80
    with pytest.raises(IndexError, match="outside"):
        bench.plane.read_register("I.lows", 4)


def test_rated_queue_holds_packets_back_and_tells_its_depth(bench):
    plane = bench.plane
    plane.insert_entry("I.timed", TableEntry((Exact(0x80),), 0, ActionCall("I.metered", (5,))))
    plane.queues.configure(5, rate_pps=10, depth=3)
    for _ in range(6):
        plane.process(1, bytes.fromhex("80000000"))
    assert [p.hex() for _, p in bench.sent] == ["80000000"]
    for _ in range(10):
        bench.clock.now += SECOND // 10
        plane.tick()
    assert [(p[1], p[3]) for _, p in bench.sent] == [(0, 0), (2, 0), (1, 1), (0, 2)]
    assert plane.drops["queue full"] == 2


def test_multicast_to_nobody_and_unknown_sessions_are_counted(bench):
    plane = bench.plane
    plane.set_multicast_group(1, [Replica(1, 0)])
    plane.set_multicast_group(1, [])
    assert plane.groups == {}
    plane.set_clone_session(1, [Replica(1, 0)], 10)
    plane.set_clone_session(1, [], 0)
    assert plane.sessions == {}


def test_duplicate_entry_and_unknown_entry_fail_loudly(bench):
    entry = TableEntry((Exact(0x80),), 0, ActionCall("I.metered", (5,)))
    bench.plane.insert_entry("I.timed", entry)
    with pytest.raises(KeyError):
        bench.plane.insert_entry("I.timed", entry)
    with pytest.raises(KeyError):
        bench.plane.delete_entry("I.timed", (Exact(0x81),), 0)
