/* Every construct of the P4_16 grammar (spec v1.2.5, appendix "P4 grammar") once.
   The program need not make sense to a type checker. */
#include <core.p4>
#include <v1model.p4>

// -- annotations -------------------------------------------------------------------------------
@pragma vendor 1 "two" three
const bit<8> ANNOTATED = 1;
@empty @unstructured(any ( nested ) tokens, $ even ` these, 4) @list(1, 2 + 3)
@pkginfo(name="everything", version="1")
@structured[] @values[1, "two", true, X.y] @pairs[a=1, b="x",]
@name("const") const int SIZE = 4;

// -- literals ----------------------------------------------------------------------------------
const int L0 = 0;
const int L1 = 1_000_000;
const int L2 = 0xFF_ff;
const int L3 = 0b1010_1010;
const int L4 = 0o777;
const int L5 = 0d99;
const bit<8> L6 = 8w0xFF;
const int<8> L7 = -8s0b0111;
const bool L8 = true || false;
const string L9 = "a \"quoted\" \\ string\n";

// -- types -------------------------------------------------------------------------------------
typedef bit<32> ip4_t;
typedef ip4_t[4] stack_of_t;
type bit<9> Port;
@p4runtime_translation("x", 32) type bit<32> Translated;
typedef struct Inner { bit<8> x; } Inner_t;
typedef tuple<bit<8>, tuple<bit<(SIZE * 2)>, bool>> pair_t;

header Ethernet { bit<48> dst; bit<48> src; bit<16> type; }
header Options { varbit<320> data; varbit<(SIZE*8)> more; }
header Generic<T> { T value; }
header_union Either { Ethernet e; Options o; }
header_union EitherOf<T> { Generic<T> g; Ethernet e; }
struct Pair<T, U> { T first; U second; }
struct Empty {}
struct Fields {
    bit<8> key; bit<8> actions; bit<8> entries; bit<8> priority; bit<8> state; bit<8> list; bit<8> apply;
    @field_list(1, 2) int<7> signed;
    bool flag; error err; Ethernet[SIZE + 1] stack; Generic<bit<8>>[2] generics;
    Pair<bit<8>, Pair<bit<8>, bit<(8)>>> nested; list<bit<8>> values; .Inner inner; tuple<> nothing;
}
enum Suits { Clubs, Diamonds, Hearts, Spades, }
enum bit<8> Codes { Zero = 0, One = 1 + 0, Two = 8w2, }
error { Custom, Another, }
match_kind { fancy, }
;

struct Headers { Ethernet eth; Options[2] opts; Either either; bit<8> value; }
struct Metadata { bit<8> a; bit<16> b; bool c; Fields f; }

// -- externs -----------------------------------------------------------------------------------
extern Box<T> {
    Box(T initial);
    Box();
    T get();
    void set(in T value = 1);
    U convert<U, V>(in V value, out U other);
    @synchronous(get) abstract bit<8> compute(in bit<8> x);
}
extern Forward;
extern void free_function<T>(in T x, @optional in bit<8> y);
extern T identity<T>(T x);
extern Box<bit<8>> make();

// -- functions ---------------------------------------------------------------------------------
bit<8> max(in bit<8> left, in bit<8> right) {
    if (left > right) return left;
    return right;
}
T first<T, U>(in T a, in U b) { return a; }
void nothing() { return; }
tuple<bit<8>, bool> both() { return { 1, true }; }

action top_level(inout bit<8> x, bit<8> y) { x = y; }

// -- parsers -----------------------------------------------------------------------------------
parser SubType<H>(packet_in p, out H h);
parser Sub(packet_in p, out Ethernet e)(bit<8> parameter, bool flag) {
    state start { p.extract(e); transition accept; }
}

parser TheParser(packet_in packet, out Headers hdr, inout Metadata meta, inout standard_metadata_t sm) {
    const bit<16> TYPE = 0x800;
    bit<8> local = 0;
    @name("sub") Sub(8w1, flag = true) sub;
    value_set<bit<16>>(4) types;
    @size(3) value_set<tuple<bit<16>, bit<8>>>(SIZE) pairs;
    value_set<Inner>(2) structs;

    state start {
        sub.apply(packet, hdr.eth);
        Sub.apply(packet, hdr.eth);
        local = packet.lookahead<bit<8>>();
        bit<8> another = local;
        const bit<8> constant = 3;
        { bit<8> inner = 2; local = inner; ; }
        if (local == 1) { packet.advance(8); } else if (local == 2) local = 3; else { }
        verify(local != 0, error.Custom);
        transition select(hdr.eth.type, local, packet.lookahead<Pair<bit<8>, bit<8>>>().first) {
            (0x800, 1, _): by_mask;
            (0x800 &&& 0xFF00, 1 .. 5, default): options;
            (TYPE, _, _): reject;
            (types, 8w1 &&& 8w1, (1 + 2) * 3): options;
            _: accept;
            default: reject;
        }
    }
    @name("mask") state by_mask {
        transition select(local) {
            1: accept;
            (2): accept;
            (3) + 1: accept;
            (bit<8>) 4: accept;
            1 &&& 3: accept;
            (4 &&& 4): accept;
            4 .. 7: accept;
            types: accept;
            default: options;
        }
    }
    state options {
        packet.extract(hdr.opts.next, (bit<32>)(hdr.opts.last.data));
        transition state_without_transition;
    }
    state state_without_transition { }
}

// -- controls ----------------------------------------------------------------------------------
control Checks(inout Headers hdr, inout Metadata meta) { apply { } }
control Generics<T, U>(inout T x, in U y);
control Configured(inout bit<8> x)(bit<8> by = 1) { apply { x = x + by; } }

control TheIngress(inout Headers hdr, inout Metadata meta, inout standard_metadata_t sm) {
    register<bit<32>>(32w1024) reg;
    counter(16, CounterType.packets) ctr;
    direct_counter(CounterType.bytes) direct;
    Configured(2) add_two;
    @name("boxed") Box<bit<8>>(3) box = {
        bit<8> compute(in bit<8> x) { return x + 1; }
        Box<bit<8>>() inner;
    };
    bit<8> x; bit<8> y = 2;
    bit<4> nibble = 4w5;
    Ethernet[2] local_stack;
    Pair<bit<8>, bit<8>> pair = { first = 1, second = 2 };
    Headers copy = { ... };

    action drop() { mark_to_drop(sm); }
    action set(bit<8> value, in bit<8> other) { x = value; exit; }
    action forward(inout bit<8> target, bit<9> port) { sm.egress_spec = port; target = (bit<8>) port; }

    table empty { actions = { } }
    @hidden table all {
        key = {
            hdr.eth.dst : exact @name("destination") @other;
            hdr.eth.type[7:0] : ternary;
            hdr.eth.src & 0xFF : lpm;
            hdr.eth.isValid() : exact;
            meta.f.key : range;
            x + y : optional;
            hdr.value : selector;
        }
        actions = { drop; @tableonly set(y); @defaultonly NoAction; .top_level(x); forward(x); }
        const default_action = NoAction();
        size = 1024;
        support_timeout = true;
        implementation = action_selector(HashAlgorithm.crc16, 32w10, 32w10);
        @custom("property") custom_property = { 1, 2 };
        counters = direct;
        const entries = {
            (1, 2 &&& 3, 0x00 &&& 0xF0, true, 1 .. 2, _) : drop();
            (1, _, default, true, 5, 6) : set(y, 7) @name("entry");
        }
    }
    table with_priorities {
        key = { x : ternary; }
        actions = { drop; set(y); }
        largest_priority_wins = false;
        priority_delta = 10;
        entries = {
            const priority = 10: 1 : drop;
            priority = (SIZE + 1): 2 &&& 3 : set(x, 1);
            const 3 : drop();
            _ : drop;
        }
        default_action = set(y, value = 1);
    }
    table direct_table { key = { x : exact; } actions = { NoAction; } }

    apply {
        // assignments
        x = 1; x += 1; x -= 1; x *= 2; x /= 2; x %= 2; x <<= 1; x >>= 1; x &= 1; x |= 1; x ^= 1;
        x |+|= 1; x |-|= 1;
        x[3:0] = nibble; x[4 +: 2] = 1; hdr.opts[0].data = hdr.opts[x + 1].data;
        local_stack[1].type[3:0] = 4w1; (x) = 2;
        // operators
        x = -x + ~y * 3 / 2 % 7 - (+y); x = x ++ y; x = x |+| y |-| x;
        x = x << 1 >> 2; x = x & y | x ^ y; x = (bit<8>) x.first; x = (int<8>) -1;
        meta.c = x < y && x <= y || x > y && !(x >= y) == (x != y);
        meta.c = (x < y) > meta.c;
        x = x < y ? x : y > 1 ? x : y;
        x = (bit<8>)(bit<16>) x[7:0] ++ y[3:0];
        pair = (Pair<bit<8>, bit<8>>) { 1, 2 };
        copy.eth = (Ethernet) {#}; copy.eth = {#};
        copy = { eth = { 1, 2, 3 }, ... }; copy.either = { ... };
        pair = { first = 1, second = 2, };
        both_are({ 1, 2, }, {}, { 1, ... });
        x = hdr.eth.type == TYPE ? 8w1 : 8w0;
        meta.c = hdr.eth.isValid() && local_stack.lastIndex == 0;
        meta.f.err = error.NoError;
        x = Codes.One; x = (bit<8>) Codes.Two; x = .max(x, y); x = this.value;
        // calls
        free_function<bit<8>>(x); free_function<bit<(SIZE)>>(x, 1); first<bit<8>, _>(x, y);
        x = box.convert<bit<8>, tuple<bit<8>>>({ 1 }, _); x = max(right = x, left = y);
        Configured.apply(x); Generic<bit<8>>.apply(x); add_two.apply(x);
        reg.read(meta.f.signed, 0); nothing();
        // conditions
        if (all.apply().hit) x = 1; else if (!all.apply().miss) { x = 2; } else ;
        switch (all.apply().action_run) {
            drop: { x = 1; }
            set:
            forward: { x = 2; }
            default: { }
        }
        switch (hdr.eth.type) {
            0x800: { return; }
            16w1 + 1: 3: (4): { exit; }
            Codes.One: { }
            default: { x = 1; }
        }
        // loops
        for (bit<8> i in 0 .. 7) { x = x + i; if (x == 3) continue; if (x == 4) break; }
        for (bit<8> i in (list<bit<8>>) { 1, 2 }) x += i;
        for (Options o in hdr.opts) { o.setInvalid(); }
        @unroll for (bit<8> i = 0, bit<8> j = 1; i < 10; i = i + 1, j += 2) { x = i; }
        for (x = 0; x < 3; ) x += 1;
        for (; x < 3; add_two.apply(x)) ;
        // blocks, names
        @atomic { bit<8> x = 1; const bit<8> z = x; { bit<8> Ethernet = z; x = Ethernet; } }
        bit<8> key = 1; bit<8> state = key; bit<8> type = state; bit<8> priority = type; bit<8> list = 1;
        key = list + priority; list = 2; state.apply(key, actions = entries); apply = 2;
        bit<8> Box = 1; Box = Box < y ? Box : y;
        ;
    }
}

control TheEgress(inout Headers hdr, inout Metadata meta, inout standard_metadata_t sm) { apply { } }
control TheDeparser(packet_out packet, in Headers hdr) { apply { packet.emit(hdr); } }

package Custom<T>(Generics<T, _> g, @optional Checks c);

V1Switch<Headers, Metadata>(TheParser(), Checks(), TheIngress(), TheEgress(), Checks(), TheDeparser()) main;
