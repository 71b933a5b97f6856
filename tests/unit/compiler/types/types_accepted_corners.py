"""Right pieces of P4 for the frame of `types_harness`: corners of the language and of v1model programs."""

from types_harness import DECLARATIONS

CORNERS: dict[str, dict[str, str]] = {
    "inplace": {
        "locals": """
            action a() {}
            @name("x") table t { key = { meta.a: exact; } actions = { a; }
                @name("ap") implementation = action_profile(32w128); }
            table t2 { key = { meta.a: exact; meta.b: selector; } actions = { a; }
                @name("as") implementation = action_selector(HashAlgorithm.identity, 32w1024,
                32w10); @name("dc") counters = direct_counter(CounterType.packets); }
            """,
        "apply": """
            t.apply();
            t2.apply();
            """,
    },
    "prioann": {
        "locals": """
            action a(bit<8> x) {}
            table t { key = { meta.w : ternary; } actions = { a; } const entries = {
                0x1111 &&& 0xF : a(1) @priority(3); 0x1181 : a(2);
                0x1181 &&& 0xF00F : a(3) @priority(1); } }
            """,
        "apply": "t.apply();",
    },
    "fieldlist": {
        "declarations": "enum bit<8> FL { NONE = 0, A = 1 }"
        + DECLARATIONS.replace(
            "    bit<8> a; bit<8> b;", "    @field_list(FL.A, 8w2) bit<8> a; @field_list(1) bit<8> b;"
        ),
        "apply": "clone_preserving_field_list(CloneType.I2E, 32w1, FL.A);",
    },
    "defctl": {
        "top": """
            control E(inout bit<8> y, in bit<8> x = 3) { apply { y = x; } }
            parser PP(packet_in p, out h_t h, in bit<8> k = 1) { state start { p.extract(h);
                h.a = k; transition accept; } }
            """,
        "parser": """
            PP() pp;
            state start { pp.apply(packet, hdr.h); transition accept; }
            """,
        "locals": "E() e;",
        "apply": """
            e.apply(meta.a);
            e.apply(y = meta.b, x = 9);
            """,
    },
    "pvsnest": {
        "top": """
            struct in_t { bit<8> a; }
            struct vs_t { in_t i; @match(ternary) bit<16> b; }
            """,
        "parser": """
            value_set<vs_t>(4) pvs;
            state start { transition select(meta.a, meta.w) { pvs: accept; _: reject; } }
            """,
    },
    "hashscalar": {
        "apply": """
            hash(meta.w, HashAlgorithm.crc16, 16w0, meta.d, 16w10);
            hash(meta.w, HashAlgorithm.crc32, 16w0, meta.p, 16w10);
            hash(meta.w, HashAlgorithm.identity, 16w0, hdr.h, 16w10);
            """,
    },
    "newnew": {
        "top": """
            type bit<32> A_t;
            type A_t B_t;
            typedef B_t C_t;
            typedef bit<32> D_t;
            type D_t E_t;
            """,
        "locals": """
            action a(C_t x) {}
            table t { key = { meta.d : exact; } actions = { a; } }
            """,
        "apply": """
            B_t b = (B_t)(A_t)32w3;
            bit<32> x = (bit<32>)(A_t)b;
            C_t c = b;
            E_t e = (E_t)x;
            if (c == b) { meta.d = x; meta.d = (D_t)e; }
            t.apply();
            """,
    },
    "keyexpr": {
        "locals": """
            table t { key = { meta.a + meta.a : exact @name("e");
                meta.flag ? meta.a : meta.b : ternary @name("m"); (bit<16>)meta.a : lpm @name("c");
                8w5 : exact @name("k"); true : exact @name("t");
                hdr.st[0].isValid() : exact @name("v"); meta.a == 3 : exact @name("q"); }
                actions = { NoAction; } }
            """,
        "apply": "t.apply();",
    },
    "runtimeidx": {
        "apply": """
            hdr.st[meta.a].a = 1;
            hdr.st[hdr.h.a].setValid();
            hdr.st[(bit<32>)hdr.st[0].a].b = 3;
            if (hdr.st[meta.a & 3].isValid()) { hdr.st[meta.a + 1] = hdr.st[meta.a]; }
            """,
    },
    "fnstruct": {
        "top": """
            pair_t mk(in bit<8> a) { pair_t p = {a, a}; return p; }
            h_t mh() { return {1,2,3,true,0}; }
            h_t inv() { h_t h; return h; }
            headers_t hs(in headers_t h) { return h; }
            """,
        "apply": """
            meta.p = mk(3);
            meta.a = mk(4).x;
            hdr.h = mh();
            hdr.g = inv();
            hdr = hs(hdr);
            hdr.st[0] = mh();
            meta.a = mh().a;
            bool v = mh().isValid();
            """,
    },
    "idxfn": {
        "top": "bit<3> f(inout bit<8> a) { a = a + 1; return 2; }",
        "apply": """
            hdr.st[f(meta.a)].a = meta.a;
            hdr.st[f(meta.a)].b = hdr.st[f(meta.a)].b;
            hdr.st[f(meta.a)].setValid();
            """,
    },
    "mux2": {
        "top": "bit<8> f(inout bit<8> a) { a = a + 1; return 2; }",
        "apply": """
            meta.a = meta.flag ? f(meta.a) : f(meta.b);
            hdr.h = meta.flag ? hdr.g : hdr.st[0];
            meta.p = meta.flag ? meta.q : (pair_t){1,2} ;
            bool x = (meta.flag ? f(meta.a) : 8w1) == 3 && f(meta.b) == 2;
            meta.flag = x;
            """,
    },
    "exitslice": {
        "locals": "action a(inout bit<4> x, in bool b) { x = 3; if (b) exit; x = 4; }",
        "apply": """
            a(meta.a[3:0], meta.flag);
            meta.b = 1;
            """,
    },
    "constants": {
        "top": """
            const bit<32> A = 5;
            const bit<32> B = A + 3;
            const bit<16> C = (bit<16>)B;
            const int D = 1 << 15;
            const bool E = A == B;
            const pair_t F = {1, (bit<8>)A} ;
            const int G = F.x == 1 ? 3 : 4;
            """,
        "locals": """
            register<bit<8>>(D) r;
            register<bit<8>>((bit<32>)G) q;
            register<bit<8>>(1 << 15) s;
            """,
        "apply": """
            meta.a = F.y;
            bit<(G)> z = 1;
            meta.d = B;
            meta.d = G;
            """,
    },
    "pininfo": {
        "top": """
            @p4runtime_translation("", string) type bit<10> vrf_id_t;
            @p4runtime_translation("", 32) type bit<9> port_id_t;
            const vrf_id_t kDef = (vrf_id_t)0;
            const port_id_t PP = (port_id_t)9w5;
            """,
        "locals": """
            @id(0x01000005) @sai_action(SAI_X) action set_vrf(@sai_action_param(SAI_Y) @id(1)
                @refers_to(vrf_table, vrf_id) vrf_id_t vrf_id) { }
            @p4runtime_role("x") @id(0x02000033)
                @entry_restriction("a != 0; b::mask == -1") table t { key = {
                meta.a : ternary @id(1) @name("aa") @format(IPV4_ADDRESS);
                hdr.h.isValid() || hdr.g.isValid() : optional @id(2) @name("is_ip");
                (port_id_t)meta.port : optional @id(3) @name("in_port"); } actions = {
                @proto_id(1) set_vrf; @proto_id(2) @defaultonly NoAction; }
                const default_action = NoAction; size = 10; }
            """,
        "apply": "t.apply();",
    },
    "emptyparserstate": {
        "parser": """
            state start { transition s2; }
            @name(".s2") state s2 { packet.extract(hdr.h); transition select(hdr.h.b) {
                16w0x800 : accept; 16w0x0806 &&& 16w0xff00: accept; default : reject; } }
            """,
    },
    "returnapply": {
        "locals": """
            action drop() { mark_to_drop(sm); }
            table t { key = { hdr.h.b : lpm; } actions = { drop; NoAction; } }
            """,
        "apply": """
            if (!hdr.h.isValid()) { drop(); return; }
            t.apply();
            if (t.apply().hit && meta.a == 1 || meta.flag) { exit; }
            """,
    },
    "unionif": {
        "apply": """
            if (hdr.u.h.isValid()) { meta.a = hdr.u.h.a; } else if (hdr.u.v.isValid()) {
                meta.a = hdr.u.v.len; }
            u_t x;
            x.h = hdr.h;
            x = hdr.u;
            hdr.u = x;
            x.h.setInvalid();
            hdr.u.v = hdr.v;
            hdr.u = {#} ;
            """,
    },
    "bigstruct": {
        "top": """
            struct n1 { bit<8> a; pair_t p; }
            struct n2 { n1 x; n1 y; h_t h; h_t[2] s; }
            """,
        "apply": """
            n2 n;
            n.x = {1, {2,3}} ;
            n.y = n.x;
            n = {n.y, n.x, hdr.h, {hdr.h, hdr.g}} ;
            if (n.x == n.y) { meta.a = n.x.p.y; }
            n2 m = {...} ;
            m = {x = {1,{2,3}}, ...} ;
            if (n == m) { meta.b = 1; }
            """,
    },
    "loopret": {
        "top": """
            bit<8> f(in bit<8> n) { bit<8> s = 0; for (bit<8> i in 0..n) { if (i == 7) { return s;
                } s = s + i; } return s; }
            """,
        "apply": "meta.a = f(meta.b);",
    },
    "strconst": {
        "apply": """
            log_msg("a");
            log_msg("{} {}", {meta.a, hdr.h.isValid()});
            assert(hdr.h.isValid() == true);
            assume(meta.a != 0);
            """,
    },
    "externfn": {
        "top": """
            extern void foo(in bit<8> x, out bit<16> y);
            extern bit<8> bar<T>(in T x);
            extern Ext { Ext(bit<8> a); bit<8> m(in bit<8> x); void n(); }
            """,
        "locals": "Ext(3) e;",
        "apply": """
            foo(meta.a, meta.w);
            meta.b = bar(meta.d);
            meta.a = e.m(3) + e.m(meta.b);
            e.n();
            """,
    },
    "namedmain": {},
    "ternnest": {
        "apply": """
            meta.a = meta.flag ? (meta.a == 1 ? 8w3 : 4) : meta.a;
            meta.w = meta.a == 1 ? 16w1 : meta.a == 2 ? 16w2 : 3;
            bit<8> q = (meta.a == 0) ? meta.b : 1;
            meta.s = meta.flag ? (int<8>)5 : -1;
            meta.b = q;
            """,
    },
    "bitops": {
        "apply": """
            meta.flag = (meta.a & 1) == 1;
            meta.a = (bit<8>)(bit<1>)(meta.a > 3);
            meta.a[7:7] = (bit<1>)meta.flag;
            meta.a[0:0] = 1;
            meta.d[31:16] = meta.w;
            meta.d[15:0][7:0] = meta.a;
            meta.a = meta.d[31:16][9:2];
            """,
    },
    "parserfn": {
        "top": "bit<8> f(in bit<8> x) { return x + 1; }",
        "parser": """
            bit<8> k = f(3);
            state start { packet.extract(hdr.h); bit<8> y = f(hdr.h.a); transition select(f(y)) {
                1 .. 3: s; (bit<8>)300: accept; default: accept; } }
            state s { packet.extract(hdr.st.next); hdr.st.last.a = k; hdr.st[0].b = 1;
                transition select(hdr.st.lastIndex) { 3: accept; default: s; } }
            """,
    },
    "genericext": {
        "locals": """
            register<pair_t>(4) r;
            register<bit<8>>(8) s;
            """,
        "apply": """
            r.read(meta.p, 0);
            r.write(1, meta.p);
            r.write(2, {1,2});
            s.write(0, 5);
            """,
    },
    "verifyerr": {
        "top": "error { BadLen }",
        "parser": """
            state start { packet.extract(hdr.h); verify(hdr.h.a >= 5 && hdr.h.flag, error.BadLen);
                error e = error.NoError; verify(true, e); transition accept; }
            """,
    },
    "tuplehash": {
        "top": "struct L { bit<8> a; bit<16> b; }",
        "apply": """
            tuple<bit<8>,bit<16>> t = {meta.a, meta.w} ;
            hash(meta.w, HashAlgorithm.csum16, 16w0, t, 16w65535);
            L l = {meta.a, meta.w} ;
            hash(meta.w, HashAlgorithm.xor16, 16w0, l, 16w65535);
            digest(0, l);
            digest<L>(1, {meta.a, meta.w});
            digest<L>(1, {a = meta.a, b = meta.w});
            """,
    },
    "emptystructs": {
        "declarations": """
            struct headers_t {}
            struct meta_t {}
            """,
    },
    "instapply": {
        "apply": """
            register<bit<8>>(4) r;
            r.write(0, meta.a);
            bit<8> q;
            r.read(q, 1);
            meta.b = q;
            """,
    },
    "typedefstd": {
        "top": """
            typedef standard_metadata_t std_t;
            control X(inout std_t s) { apply { s.egress_spec = 3; } }
            """,
        "apply": "X.apply(sm);",
    },
    "atomic": {
        "apply": """
            @atomic { meta.a = 1; meta.b = 2; }
            if (meta.a == 1) ; else meta.b = 3;
            """,
    },
    "shadowparam": {
        "locals": """
            bit<8> x = 1;
            action a(bit<8> x) { meta.a = x; }
            action b(bit<8> meta) { hdr.h.a = meta; x = meta; }
            table t { actions = { a; b; } }
            """,
        "apply": """
            t.apply();
            meta.a = x;
            """,
    },
    "lastwrite": {
        "parser": """
            state start { packet.extract(hdr.st.next); hdr.st.last.a = 1; hdr.st.last.setInvalid();
                packet.extract(hdr.st[2]); hdr.st.push_front(1); transition select(hdr.st.last.b) {
                0: start; default: accept; } }
            """,
    },
    "subparserstack": {
        "top": """
            parser S(packet_in p, inout h_t[4] st, out bit<8> n) { state start { n = 0;
                transition loop; } state loop { p.extract(st.next); n = n + 1;
                transition select(st.last.a) { 1: loop; default: accept; } } }
            """,
        "parser": """
            S() s;
            bit<8> n;
            state start { s.apply(packet, hdr.st, n); meta.a = n; transition accept; }
            """,
    },
    "subparsernext": {
        "top": "parser S(packet_in p, out h_t h) { state start { p.extract(h); transition accept; } }",
        "parser": """
            S() s;
            state start { s.apply(packet, hdr.st.next); transition accept; }
            """,
    },
    "ctlhdrs": {
        "top": """
            control Inner(inout h_t h, in bit<8> k, out bool r) { action z() { h.a = k; } table t {
                key = { h.a: exact; k : exact; } actions = { z; NoAction; } } apply {
                r = t.apply().hit; if (r) { exit; } } }
            control Mid(inout headers_t hh) { Inner() i; Inner() j; bool q; apply { i.apply(hh.h,
                hh.g.a, q); if (q) { j.apply(hh.g, hh.h.a, q); } i.apply(hh.st[0], 3, _); } }
            """,
        "locals": "Mid() m;",
        "apply": "m.apply(hdr);",
    },
    "constentriesser": {
        "top": """
            enum bit<16> Et { IP = 0x800, ARP = 0x806 }
            const bit<16> X = 0x900;
            """,
        "locals": """
            action a(Et e) {}
            table t { key = { hdr.h.b : exact; } actions = { a; } const entries = {
                Et.IP : a(Et.IP); Et.ARP : a((Et)0x806); X : a(Et.ARP); 16w5 : a(Et.IP); } }
            """,
        "apply": "t.apply();",
    },
    "eqstack": {
        "apply": """
            if (hdr.st == hdr.st) { meta.a = 1; }
            if (hdr.u == hdr.u) { meta.a = 1; }
            if (hdr.st[0] != hdr.h) { meta.b = 1; }
            if (meta.e != error.NoError) {}
            """,
    },
    "actionname": {
        "locals": """
            @name("a.b.c") action a() {}
            @hidden action h() {}
            table t { actions = { a; h; } }
            @hidden table u { actions = { NoAction; } }
            """,
        "apply": """
            t.apply();
            u.apply();
            """,
    },
    "retfunc": {
        "top": """
            bool f(in bit<8> x) { if (x == 1) return true; else return false; }
            bit<8> g(in bit<8> x) { switch (x) { 1: { return 1; } default: { return 2; } } }
            """,
        "apply": "if (f(meta.a) && !f(meta.b)) { meta.a = g(3); }",
    },
    "inoutstruct": {
        "top": """
            void f(inout pair_t p, in pair_t q) { p.x = q.y; p = q; }
            void h(inout headers_t h, inout meta_t m) { h.h.a = m.a; m.p.x = h.g.a; }
            """,
        "apply": """
            f(meta.p, meta.p);
            f(meta.p, meta.q);
            f(meta.p, {1, meta.p.x});
            h(hdr, meta);
            """,
    },
    "bitslicecall": {
        "top": "void f(inout bit<4> a, out bit<4> b) { b = a; a = 0; }",
        "apply": """
            f(meta.a[3:0], meta.a[7:4]);
            f(meta.a[7:4], meta.b[3:0]);
            f(hdr.st[meta.a].a[3:0], meta.w[15:12]);
            """,
    },
    "dontcareout": {
        "top": "void f(out bit<8> a, out bit<8> b) { a = 1; b = 2; }",
        "apply": """
            f(_, meta.a);
            f(meta.a, _);
            """,
    },
    "intliteral": {
        "apply": """
            meta.a = 0b1010_1010;
            meta.d = 32w0xdead_beef;
            meta.w = 16w1_000;
            meta.s = -8s1;
            meta.s = 8s0x7f;
            meta.a = 0o17;
            meta.d = (bit<32>)1 << 31;
            meta.a = 8w255 + 8w1;
            meta.d = 5 - 3;
            """,
    },
    "boolops": {
        "apply": """
            bool a = true;
            bool b = a == false;
            bool c = a != b;
            meta.flag = (a ? b : c) || !(b && c);
            meta.flag = !a == b;
            """,
    },
    "ifelse": {
        "apply": "if (meta.a == 1) meta.b = 1; else if (meta.a == 2) meta.b = 2; else { meta.b = 3; }",
    },
    "sigs": {
        "apply": """
            int<8> x = -5;
            int<16> y = (int<16>)x;
            bit<16> z = (bit<16>)y;
            x = x - 3;
            x = x * -2;
            meta.flag = x < -1;
            y = y >> 2;
            y = y << 1;
            x = (int<8>)y[7:0];
            meta.w = z;
            x = 8s3 |-| x;
            meta.s = x;
            """,
    },
    "pkg": {
        "top": "package P2(bit<8> x);",
    },
    "parserdecltypes": {
        "top": """
            parser PT<H>(packet_in p, out H h);
            control CT<H>(inout H h);
            """,
    },
    "mixedswitch": {
        "locals": """
            action a() {}
            action b(bit<8> x) {}
            table t { key = { meta.a : exact; } actions = { a; b; @defaultonly NoAction; }
                const default_action = NoAction(); }
            """,
        "apply": """
            switch (t.apply().action_run) { a: { switch (meta.b) { 1: { meta.a = 1; } default: {} }
                } b: NoAction: { meta.a = 3; } }
            if (t.apply().miss) { return; }
            """,
    },
    "structassigncast": {
        "apply": "meta.p = (pair_t){meta.a, 3} ;",
    },
    "randomalgs": {
        "apply": """
            bit<32> r;
            random<bit<32>>(r, 0, 10);
            meta.d = r;
            random(meta.w, (bit<16>)meta.a, 16w5);
            """,
    },
    "counters2": {
        "locals": """
            counter(512, CounterType.packets_and_bytes) c;
            counter(32w4, CounterType.packets) d;
            """,
        "apply": "c.count((bit<32>)sm.ingress_port);",
    },
    "typearg": {
        "top": """
            struct S<T> { T x; }
            void f<T>(inout S<T> s, in T v) { s.x = v; }
            """,
        "apply": """
            S<bit<8>> s = {1} ;
            f(s, 3);
            f<bit<8>>(s, meta.a);
            meta.a = s.x;
            """,
    },
    "lvalueswap": {
        "apply": """
            hdr.st[0] = hdr.st[1];
            hdr.st = hdr.st;
            meta.p = meta.p;
            meta.p.x = meta.p.y;
            """,
    },
    "boundaction": {
        "top": "bit<8> f(inout bit<8> x) { x = x + 1; return x; }",
        "locals": """
            action a(inout bit<4> x, in bit<8> y, bit<8> d) {
                meta.a = d;
                if (y == 1) { exit; }
                x = x + 1;
            }
            action b(bit<8> d) { meta.b = d; }
            table t {
                key = { meta.w : exact; }
                actions = { b; a(meta.a[3:0], f(meta.b)); }
                default_action = a(meta.a[3:0], f(meta.b), 7);
                const entries = { 5 : a(3); 6 : b(4); }
            }
            """,
        "apply": """
            switch (t.apply().action_run) {
                a: { meta.d = 1; }
                b: { meta.d = 2; }
            }
            """,
    },
}
