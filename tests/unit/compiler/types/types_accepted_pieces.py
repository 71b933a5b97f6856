"""Right pieces of P4 for the frame of `types_harness`, one per feature."""

from types_harness import DECLARATIONS

PIECES: dict[str, dict[str, str]] = {
    "arith": {
        "apply": """
            meta.a = meta.a + 1;
            meta.a = 2 * meta.b;
            meta.s = meta.s |+| 100;
            meta.w = meta.a ++ meta.b;
            meta.a = meta.a << 3;
            meta.s = meta.s >> meta.a;
            meta.w[3:0] = 5;
            meta.w[7:4] = meta.a[3:0];
            meta.d = (bit<32>)meta.a;
            meta.flag = meta.a > 3 && !meta.flag;
            meta.a = meta.flag ? 8w1 : 2;
            meta.w = ~meta.w;
            meta.s = -meta.s;
            meta.w = meta.w / 3 % 5;
            """,
    },
    "intconst": {
        "top": """
            const int N = 5 * 4 - 3;
            const bit<(N)> X = N;
            const bit<8> Y = X[7:0];
            typedef bit<(N-1)> t;
            """,
        "apply": """
            t x = 3;
            meta.w = x;
            meta.a = Y;
            """,
    },
    "struct": {
        "apply": """
            pair_t p = {1, 2} ;
            meta.p = p;
            meta.p = {x=3, y=meta.a} ;
            meta.q = {...} ;
            meta.q = {x = 4, ...} ;
            if (meta.p == meta.q) { meta.a = 1; }
            if (meta.p == {1,2}) { meta.b = 3; }
            hdr.h = {1,2,3,true,0} ;
            hdr.h = {#} ;
            if (hdr.h == hdr.g) {meta.a = 2;}
            hdr.g = hdr.h;
            tuple<bit<8>, bit<16>> t = {1, 2} ;
            meta.a = t[0];
            meta.p = {meta.p.y, meta.p.x} ;
            """,
    },
    "enum": {
        "top": """
            enum E {A, B}
            enum bit<8> S { X = 1, Y = 2, Z = X + 5 }
            """,
        "apply": """
            E e = E.A;
            if (e == E.B) { meta.a = S.Y; }
            S s = S.Z;
            meta.a = s;
            meta.a = s + 1;
            s = (S)meta.a;
            switch (e) { E.A: { meta.a = 1; } E.B: { meta.a = 2; } }
            switch (meta.a) { 1: 2: { meta.b = 1; } default: { meta.b = 2; } }
            """,
    },
    "newtype": {
        "top": """
            type bit<9> P_t;
            @p4runtime_translation("a.b/c", 32) type bit<9> Q_t;
            """,
        "apply": """
            P_t p = (P_t)meta.port;
            if (p == (P_t)9w3) { meta.port = (bit<9>)p; }
            """,
    },
    "function": {
        "top": """
            bit<8> f(in bit<8> x, inout bit<8> y) { y = y + 1; return x + y; }
            T id<T>(in T x) { return x; }
            bit<8> g(in bit<8> a, in bit<8> b = 7) { return a + b; }
            """,
        "apply": """
            meta.a = meta.b + f(meta.a, meta.b) + meta.b;
            meta.a = id(meta.b);
            meta.w = id<bit<16>>(4);
            meta.a = g(1) + g(b = 3, a = meta.a);
            if (meta.a == 1 && f(meta.a, meta.b) == 2) { meta.a = 3; }
            meta.p = id(meta.q);
            meta.a = f(meta.a, meta.a);
            meta.w[7:0] = f(meta.a, meta.w[15:8]);
            """,
    },
    "action": {
        "locals": """
            action a1(inout bit<8> x, bit<8> d) { x = d + meta.a; }
            action a2(bit<8> d) { a1(meta.b, d); a1(meta.a, 3); }
            @name("zz") action a3() {}
            table t { key = { meta.a : exact; hdr.h.b : ternary @name("bb");
                hdr.h.isValid() : exact; meta.w[3:0] : ternary; meta.d & 0xff : lpm;
                hdr.st[1].b : range; } actions = { a1(meta.b); a2; a3; @defaultonly NoAction; }
                default_action = a2(3); size = 100; const entries = { (1, 2 &&& 3, true, _, _,
                1..5) : a2(4); (2, _, false, 1, 2, _) : a1(5); } }
            """,
        "apply": "if (t.apply().hit) { meta.a = 1; } else { meta.b = 1; }",
    },
    "switch": {
        "locals": """
            action a1() {}
            action a2() {}
            action a3(bit<8> x) {meta.a = x;}
            table t { actions = { a1; a2; a3; } const default_action = a3(5); }
            """,
        "apply": """
            switch (t.apply().action_run) { a1: a2: { meta.a = 1; } a3: { return; } default: {
                exit; } }
            """,
    },
    "loops": {
        "apply": """
            for (bit<8> i = 0; i < 10; i = i + 1) { if (i == 5) { break; } if (i == 3) continue;
                meta.a = meta.a + i; }
            for (bit<8> j in 1..5) { meta.a += j; }
            for (bit<8> j in 1..255) { meta.a = meta.a |+| j; }
            for (h_t x in hdr.st) { meta.a += x.a; }
            for (bit<8> k in (list<bit<8>>){1,5,9}) { meta.b += k; }
            bit<8> z;
            for (z in 8w3..meta.a) { meta.b = z; }
            """,
    },
    "parser": {
        "parser": """
            value_set<bit<8>>(4) vs;
            value_set<pair_t>(4) vp;
            bit<8> n = 3;
            state start { packet.extract(hdr.h); bit<8> l; l = packet.lookahead<bit<8>>();
                transition select(hdr.h.a, l) { (1, 2) : s1; (3 &&& 0xf, 4..6) : s2; vp : s2; (_,
                default) : accept; } }
            state s1 { packet.extract(hdr.st.next); n = n - 1; verify(n != 0, error.NoMatch);
                meta.a = hdr.st.last.a; meta.d = hdr.st.lastIndex;
                transition select(packet.lookahead<bit<8>>()) { vs : s1; 8: s2; default: reject; } }
            state s2 { packet.extract(hdr.v, (bit<32>)hdr.h.a * 8); packet.advance(8);
                packet.extract(hdr.u.h); meta.w = (bit<16>)packet.length(); transition accept; }
            """,
    },
    "subparser": {
        "top": """
            parser Sub(packet_in p, out h_t h)(bit<8> c) { state start { p.extract(h); h.a = c;
                transition accept; } }
            """,
        "parser": """
            Sub(3) s;
            Sub(4) s2;
            state start { s.apply(packet, hdr.h); s2.apply(packet, hdr.g); transition accept; }
            """,
    },
    "subcontrol": {
        "top": """
            control C(inout bit<8> x)(bit<8> k, bool b) { action inc() { x = x + k; } table t {
                actions = { inc; } default_action = inc(); } apply { if (b) t.apply(); } }
            control D(inout meta_t m) { register<bit<8>>(10) r; apply { bit<8> v; r.read(v, 0);
                r.write(1, v + m.a); } }
            """,
        "locals": """
            C(3, true) c1;
            @name("foo") C(4, false) c2;
            """,
        "apply": """
            c1.apply(meta.a);
            c2.apply(meta.b);
            D.apply(meta);
            """,
    },
    "externs": {
        "locals": """
            counter(16, CounterType.bytes) c;
            direct_counter(CounterType.packets) dc;
            meter(4, MeterType.bytes) m;
            direct_meter<bit<8>>(MeterType.packets) dm;
            register<bit<32>>(1024) r;
            action_profile(32) ap;
            action_selector(HashAlgorithm.crc16, 32, 10) as;
            action x() { dc.count(); }
            action y(bit<8> q) { dm.read(meta.a); }
            table t1 { key = { meta.a : exact; } actions = { x; NoAction; } counters = dc;
                default_action = NoAction(); }
            table t2 { key = { meta.a : exact; } actions = { y; } meters = dm; }
            table t3 { key = { meta.a : exact; } actions = { y; } implementation = ap; }
            table t4 { key = { meta.a : exact; meta.b : selector; } actions = { y; NoAction; }
                implementation = as; support_timeout = true; }
            """,
        "apply": """
            c.count((bit<32>)meta.a);
            m.execute_meter((bit<32>)0, meta.a);
            r.read(meta.d, 3);
            r.write(3, meta.d + 1);
            t1.apply();
            t2.apply();
            t3.apply();
            t4.apply();
            hash(meta.w, HashAlgorithm.crc16, 16w0, { meta.a, meta.b, hdr.h.b }, 16w100);
            digest<pair_t>(1, meta.p);
            digest(1, {meta.a, meta.b});
            mark_to_drop(sm);
            random(meta.a, 0, 10);
            clone(CloneType.I2E, 32w5);
            clone_preserving_field_list(CloneType.I2E, 32w5, 1);
            resubmit_preserving_field_list(0);
            truncate(32w100);
            log_msg("x {} {}", {meta.a, meta.b});
            assert(meta.a > 0);
            assume(meta.b > 0);
            """,
        "compute": "update_checksum(hdr.h.isValid(), { hdr.h.a, hdr.h.s }, hdr.h.b, HashAlgorithm.csum16);",
        "verify": """
            verify_checksum(true, { hdr.h.a, 8w0 }, hdr.h.b, HashAlgorithm.csum16);
            verify_checksum_with_payload(hdr.h.isValid(), {hdr.h.a}, hdr.h.b, HashAlgorithm.csum16);
            """,
        "egress": "recirculate_preserving_field_list(1);",
    },
    "compound": {
        "apply": """
            meta.a += 1;
            meta.a -= meta.b;
            meta.w <<= 2;
            meta.a |= 0xf;
            meta.s |+|= 3;
            meta.w[7:4] += 1;
            hdr.st[meta.d].a ^= 3;
            meta.a &= 8w3;
            meta.w *= 2;
            meta.w /= 2;
            meta.w %= 7;
            """,
    },
    "slices": {
        "apply": """
            meta.w = meta.d[8+:16];
            meta.d[4+:8] = 3;
            bit<5> i = 3;
            meta.a = meta.d[i+:8];
            meta.d[i+:8] = meta.a;
            meta.d[i+:8] += 1;
            """,
    },
    "stack": {
        "apply": """
            hdr.st.push_front(1);
            hdr.st.pop_front(2);
            hdr.st[0].setValid();
            hdr.st[meta.d].a = 3;
            meta.d = hdr.st.size;
            hdr.st = {{1,2,3,true,0}, ...} ;
            h_t[4] tmp;
            tmp = hdr.st;
            if (hdr.st == tmp) { meta.a = 1; }
            meta.a = hdr.st[meta.a].a;
            """,
    },
    "union": {
        "apply": """
            hdr.u.h.setValid();
            if (hdr.u.isValid()) { hdr.u.h.a = 2; }
            hdr.u.h = hdr.g;
            u_t u2 = hdr.u;
            if (u2 == hdr.u) { meta.a = 3; }
            hdr.u.v.setInvalid();
            """,
    },
    "generic": {
        "top": """
            struct G<T> { T x; bit<8> y; }
            header H<T> { T v; }
            struct Two<A,B> { G<A> a; G<B> b; }
            """,
        "apply": """
            G<bit<16>> g = {1, 2} ;
            meta.w = g.x;
            Two<bit<8>, bit<16>> t;
            t.a.x = 3; t = {{1,2},{3,4}} ;
            meta.w = t.b.x;
            H<bit<8>> h;
            h.setValid();
            h.v = 3;
            meta.a = h.v;
            """,
    },
    "shadow": {
        "apply": """
            bit<8> a = 1;
            { bit<16> a = 2; meta.w = a; }
            meta.a = a;
            if (meta.flag) { bit<8> a = 4; meta.b = a; } else { bit<8> a = 5; meta.b = a; }
            """,
    },
    "casts": {
        "apply": """
            meta.flag = (bool)meta.a[0:0];
            meta.a = 7w0 ++ (bit<1>)meta.flag;
            meta.s = (int<8>)meta.a;
            meta.d = (bit<32>)(bit<8>)meta.s;
            meta.a = (bit<8>)-1;
            hdr.h = (h_t){1,2,3,true,0} ;
            meta.p = (pair_t){x=1,y=2} ;
            meta.d = (bit<32>)(int<32>)meta.s;
            """,
    },
    "errors": {
        "top": "error { MyErr, Other }",
        "apply": """
            meta.e = error.MyErr;
            if (sm.parser_error == error.NoError) { meta.a = 1; }
            switch (meta.e) { error.MyErr: {} default: {} }
            """,
    },
    "sizes": {
        "apply": """
            meta.d = (bit<32>)hdr.h.minSizeInBits();
            meta.d = (bit<32>)h_t.minSizeInBytes();
            meta.d = hdr.v.maxSizeInBits();
            """,
    },
    "optparam": {
        "top": "bit<8> f(in bit<8> x, @optional in bit<8> y) { return x; }",
        "apply": "meta.a = f(1, 2);",
    },
    "toplevel": {
        "top": """
            counter(10, CounterType.packets) cc;
            register<bit<9>>(2) rr;
            action act(inout meta_t m, bit<8> d) { m.a = d; cc.count(0); }
            """,
        "locals": "table t { actions = { act(meta); } }",
        "apply": """
            t.apply();
            act(meta, 4);
            bit<9> v;
            rr.read(v, 0);
            """,
    },
    "keyfx": {
        "top": "bit<8> f(inout bit<8> y) { y = y + 1; return y; }",
        "locals": """
            action a(){}
            table t { key = { f(meta.a) : exact @name("k"); } actions = { a; } }
            """,
        "apply": "t.apply();",
    },
    "constlist": {
        "top": """
            const list<bit<8>> L = {1,2,3} ;
            struct pr { bit<8> k; bit<16> v; }
            const list<pr> M = {{1,2},{3,4}} ;
            const pr K = {5,6} ;
            const tuple<bit<8>,bool> T = {1,true} ;
            """,
        "apply": """
            meta.a = L[1];
            meta.w = M[1].v;
            meta.a = K.k;
            meta.flag = T[1];
            for (pr p in M) { meta.w += p.v; }
            """,
    },
    "emptyif": {
        "apply": "if (meta.a == 0) {} else if (meta.b == 1) { meta.a = 1; } ;",
    },
    "entriesprio": {
        "locals": """
            action a(bit<8> d){}
            table t { key = { meta.a : ternary; } actions = { a; } largest_priority_wins = false;
                priority_delta = 10; entries = { const priority = 10: 1 &&& 1 : a(1); 2 : a(2);
                priority = 50: _ : a(3); } }
            """,
        "apply": "t.apply();",
    },
    "varbitassign": {
        "apply": """
            hdr.v = hdr.v;
            if (hdr.v == hdr.v) { meta.a = 1; }
            v_t x = hdr.v;
            varbit<64> vb = x.data;
            x.data = vb;
            """,
    },
    "headerexpr": {
        "apply": """
            h_t x = hdr.h;
            hdr.g = meta.flag ? hdr.h : x;
            meta.a = (meta.flag ? hdr.h : x).a;
            if ((meta.flag ? hdr.h : x) == hdr.g) { meta.a = 1; }
            """,
    },
    "staticassert": {
        "top": """
            const bool b = static_assert(1 < 2, "ok");
            """,
        "apply": """

            """,
    },
    "pktfn": {
        "top": "void ex(packet_in p, inout h_t h) { p.extract(h); }",
        "parser": "state start { ex(packet, hdr.h); transition accept; }",
    },
    "exit": {
        "locals": """
            action a() { exit; }
            action b(inout bit<8> x) { if (x == 1) { return; } x = 2; }
            """,
        "apply": """
            a();
            b(meta.a);
            if (meta.a == 1) return;
            meta.b = 1;
            """,
    },
    "deparse": {
        "deparser": """
            packet.emit(hdr.h);
            packet.emit(hdr.st);
            packet.emit(hdr.u);
            packet.emit(hdr.st[0]);
            """,
    },
    "strings": {
        "top": """
            const string S = "a" ++ "b";
            """,
        "apply": """
            log_msg(S);
            log_msg("x {}", {meta.a});
            """,
    },
    "isvalidkeys": {
        "locals": """
            table t { key = { hdr.st[0].isValid() : exact; hdr.u.h.isValid() : ternary;
                sm.ingress_port : exact; hdr.h.flag : exact; meta.e : exact; } actions = {
                NoAction; } }
            """,
        "apply": "t.apply();",
    },
    "nestedtable": {
        "locals": """
            table t1 { key = { 48w1 : exact @name("K"); } actions = { NoAction(); } }
            table t2 { key = { (t1.apply().hit ? 8w1 : 8w2) : exact @name("key"); } actions = {
                NoAction(); } }
            """,
        "apply": "if (t2.apply().hit) { meta.a = 1; }",
    },
    "explicit": {
        "parser": """
            state start { packet.extract<h_t>(hdr.h); transition select(hdr.h.a,
                packet.lookahead<bit<16>>()) { (8w1 &&& 8w3, 16w5): accept; default: reject; } }
            """,
        "deparser": """
            packet.emit<h_t>(hdr.h);
            packet.emit<headers_t>(hdr);
            """,
        "compute": """
            update_checksum<tuple<bit<8>, bit<16>>, bit<16>>(true, { hdr.h.a, hdr.h.b }, hdr.h.b,
                HashAlgorithm.csum16);
            """,
        "apply": """
            hash<bit<16>, bit<10>, tuple<bit<8>, bit<8>>, bit<20>>(meta.w, HashAlgorithm.crc32,
                10w0, { meta.a, meta.b }, 20w1024);
            """,
    },
    "isvalideq": {
        "apply": "if (hdr.h.isValid() == false) { meta.a = 1; }",
    },
    "lookahdr": {
        "parser": """
            state start { h_t x = packet.lookahead<h_t>(); hdr.h = x;
                tuple<bit<8>,bit<8>> t = packet.lookahead<tuple<bit<8>,bit<8>>>(); meta.a = t[1];
                pair_t p = packet.lookahead<pair_t>(); transition accept; }
            """,
    },
    "serkey": {
        "top": "enum bit<8> E { A = 1, B = 2 }",
        "parser": """
            state start { transition select((E)meta.a) { E.A : s; E.B: accept; _: reject; } }
            state s { transition select(meta.a) { E.A : accept; } }
            """,
        "locals": """
            E e = E.A;
            table t { key = { e : exact; } actions = { NoAction; } const entries = {
                E.A : NoAction(); E.B : NoAction(); } }
            """,
        "apply": """
            t.apply();
            switch (e) { E.A: { meta.a = 1; } }
            bit<8> x = E.B;
            meta.flag = e == E.B;
            meta.flag = e == 1;
            """,
    },
    "valueset": {
        "top": "struct vs_t { @match(ternary) bit<8> a; @match(exact) bit<16> b; }",
        "parser": """
            @id(1) value_set<vs_t>(4) pvs;
            value_set<tuple<bit<8>, bit<16>>>(4) pv2;
            state start { transition select(meta.a, meta.w) { pvs: accept; pv2: reject; (_,
                _): accept; } }
            """,
    },
    "directtwice": {
        "top": """
            control C(inout bit<8> x) { action a() { x = 1; } table t { actions = { a; } } apply {
                t.apply(); } }
            """,
        "apply": """
            C.apply(meta.a);
            C.apply(meta.b);
            """,
    },
    "typedefext": {
        "top": "typedef register<bit<32>> R;",
        "locals": """
            R(10) r;
            register<bit<8>>(32w10) r2;
            """,
        "apply": "r.read(meta.d, 0);",
    },
    "emptytuple": {
        "apply": """
            digest(1, {meta.a});
            log_msg("x", {});
            """,
    },
    "unionstack": {
        "declarations": DECLARATIONS.replace("u_t u; }", "u_t u; u_t[2] us; }"),
        "parser": """
            state start { packet.extract(hdr.us.next.h); packet.extract(hdr.us[1].v, 8);
                transition accept; }
            """,
        "apply": """
            hdr.us[0].h.setValid();
            if (hdr.us[1].isValid()) {meta.a = 1;}
            hdr.us.pop_front(1);
            """,
    },
    "stringlog": {
        "apply": """
            log_msg("v = {}", {meta.a});
            log_msg("v = {} {}", {hdr.h.a, meta.w});
            """,
    },
    "actionparams": {
        "top": "action drop2(inout standard_metadata_t s) { mark_to_drop(s); }",
        "locals": """
            action set(bit<9> port) { sm.egress_spec = port; }
            table t { key = { hdr.h.b : lpm; } actions = { set; drop2(sm); NoAction; }
                const default_action = drop2(sm); const entries = { 0x800 &&& 0xff00 : set(3);
                0x900 : drop2(sm); 0xa00: drop2; } }
            """,
        "apply": "t.apply();",
    },
    "parenparser": {
        "parser": """
            state start { { bit<8> x = 1; meta.a = x; } if (meta.a == 1) { meta.b = 2; } else {
                meta.b = 3; } transition select(meta.a == 1, meta.flag) { (true, false): accept;
                (false, _): reject; } }
            """,
    },
    "meter": {
        "top": "enum bit<8> Color { G = 0, Y = 1, R = 2 }",
        "locals": """
            meter(10, MeterType.packets) m;
            Color c = Color.G;
            """,
        "apply": """
            m.execute_meter<bit<8>>(32w1, meta.a);
            m.execute_meter(0, c);
            if (c == Color.R) { mark_to_drop(sm); }
            """,
    },
    "nestedfn": {
        "top": """
            bit<8> f(in bit<8> a) { return a + 1; }
            bit<8> g(in bit<8> a) { return f(f(a)) + f(a); }
            void h(out pair_t p, inout h_t hh) { p = {1,2}; hh.setInvalid();
                if (hh.isValid()) return; p.x = g(p.y); }
            """,
        "apply": """
            h(meta.p, hdr.h);
            h(meta.q, hdr.st[meta.d]);
            meta.a = g(f(meta.b));
            """,
    },
    "exprs": {
        "apply": """
            meta.a = (meta.a + meta.b) * 2 - 1;
            meta.flag = (meta.a & 0xf) == 3 || meta.b < 4 && !(meta.w >= 100);
            meta.w = (bit<16>)meta.a << 8 | (bit<16>)meta.b;
            meta.s = (int<8>)(meta.a) - 1;
            meta.d = 32w1 << (meta.a & 0x1f);
            meta.w = 0xFFFF ^ meta.w;
            meta.a = meta.w[15:8] + meta.w[7:0];
            meta.w = meta.a[3:0] ++ meta.b[7:4] ++ meta.a;
            meta.a = 255;
            meta.a = -1;
            meta.s = -128;
            meta.a = ~8w0;
            meta.d = 0 - meta.d;
            """,
    },
    "init": {
        "apply": """
            bit<8> x;
            bit<8> y = x;
            meta.a = y;
            h_t hh;
            hh.setValid();
            hh.a = 1;
            hdr.h = hh;
            h_t h2 = {1, 2, 3, false, 0} ;
            hdr.g = h2;
            headers_t hs;
            hs.h = h2;
            hs = hdr;
            meta_t mm = meta;
            meta = mm;
            """,
    },
    "constcond": {
        "apply": """
            if (true) { meta.a = 1; } else { meta.a = 2; }
            if (1 == 2) { meta.b = 1; }
            const bool DBG = false;
            if (DBG && meta.a == 1) { meta.b = 5; }
            """,
    },
    "named": {
        "locals": """
            action a(bit<8> x, bit<8> y) { meta.a = x + y; }
            table t { key = { meta.a : exact; } actions = { a; } default_action = a(y = 1, x = 2);
                const entries = { 1 : a(x = 3, y = 4); } }
            register<bit<8>>(size = 32w4) r;
            """,
        "apply": """
            t.apply();
            r.write(value = 3, index = 0);
            hash(result = meta.w, algo = HashAlgorithm.crc16, base = 16w0, data = {meta.a},
                max = 16w8);
            """,
    },
    "swhit": {
        "locals": "table t { actions = { NoAction; } }",
        "apply": """
            bool h = t.apply().hit;
            if (!t.apply().hit) { meta.a = 1; }
            if (t.apply().miss && meta.a == 1) { meta.a = 2; }
            switch (t.apply().action_run) { NoAction: { meta.a = 1; } }
            """,
    },
    "swhit2": {
        "locals": "table t { key = {meta.a: exact;} actions = { NoAction; } }",
        "apply": """
            bool h = t.apply().hit;
            if (h) { meta.a = 3; }
            """,
    },
    "dotname": {
        "top": """
            const bit<8> K = 3;
            action act() {}
            """,
        "locals": """
            @name(".foo") action K2() { meta.a = .K; }
            table t { actions = { K2; .act; } }
            """,
        "apply": "t.apply();",
    },
    "genfn": {
        "top": """
            T pick<T>(in bool b, in T x, in T y) { if (b) return x; return y; }
            void swap<T>(inout T a, inout T b) { T t = a; a = b; b = t; }
            """,
        "apply": """
            meta.p = pick(meta.flag, meta.p, meta.q);
            meta.a = pick(meta.flag, meta.a, 3);
            swap(meta.a, meta.b);
            swap(hdr.h, hdr.g);
            meta.p = pick(true, {1,2}, meta.q);
            """,
    },
    "forstack": {
        "apply": "for (bit<32> i = 0, bit<8> j = 2; i < 4; i = i + 1, j = j * 2) { hdr.st[i].a = j; }",
    },
    "switchfall": {
        "apply": """
            switch (meta.a) { 0x1: 2: 3: { meta.b = 1; } 4: { } default: { meta.b = 9; } }
            switch (hdr.h.isValid()) { true: { meta.a = 1; } false: { meta.a = 2; } }
            """,
    },
    "bigwidth": {
        "apply": """
            bit<512> x = 1;
            x = x << 500;
            bit<1024> y = x ++ x;
            meta.a = y[7:0];
            bit<0> z;
            meta.a = meta.a ++ z;
            """,
    },
    "tuplecmp": {
        "apply": """
            tuple<bit<8>, bit<16>> t = {1, meta.w} ;
            tuple<bit<8>, bit<16>> u = t;
            if (t == u) { meta.a = 1; }
            if (t == {1, 2}) {meta.a = 2;}
            """,
    },
    "ctorstruct": {
        "top": """
            struct cfg { bit<8> a; bool b; }
            control C(inout meta_t m)(cfg c) { apply { if (c.b) { m.a = c.a; } } }
            const cfg K = {5, true} ;
            """,
        "locals": """
            C({3, true}) c1;
            C(K) c2;
            """,
        "apply": """
            c1.apply(meta);
            c2.apply(meta);
            """,
    },
    "externctor": {
        "top": """
            control C(inout meta_t m)(register<bit<8>> r) { apply { r.write(0, m.a); } }
            register<bit<8>>(4) top_r;
            """,
        "locals": """
            register<bit<8>>(4) rr;
            C(rr) c1;
            C(top_r) c2;
            """,
        "apply": """
            c1.apply(meta);
            c2.apply(meta);
            """,
    },
    "structhdr": {
        "declarations": """
            struct in_t { bit<4> x; bit<4> y; }
            header h_t { bit<8> a; in_t i; }
            struct headers_t { h_t h; }
            struct meta_t { bit<8> a; }
            """,
        "parser": "state start { packet.extract(hdr.h); transition select(hdr.h.i.x) { 1: accept; } }",
        "apply": """
            hdr.h.i.x = 3;
            hdr.h.i = {1,2} ;
            hdr.h = {1, {2,3}} ;
            """,
    },
    "bitbool": {
        "apply": """
            bool b = (bool)1w1;
            bit<1> c = (bit<1>)b;
            meta.flag = b;
            meta.a = (bit<8>)c;
            meta.flag = (bool)meta.a[0:0];
            bit<1> q = (bit<1>)(meta.a == 3);
            """,
    },
    "setops": {
        "parser": """
            state start { transition select(meta.a, meta.s, meta.flag) { (1..5, -3, true): accept;
                (8 &&& 0xc, _, false): accept; (_, -10..5, _): accept; } }
            """,
    },
}
