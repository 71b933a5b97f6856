"""Wrong pieces of P4 for the frame of `types_harness`, each with its first error."""

REJECTED: dict[str, tuple[dict[str, str], str]] = {
    "unknown": (
        {
            "apply": "metaa.a = 1;",
        },
        "unknown name 'metaa'",
    ),
    "field": (
        {
            "apply": "meta.aa = 1;",
        },
        "struct 'meta_t' has no field 'aa'",
    ),
    "width": (
        {
            "apply": "meta.a = meta.w;",
        },
        "type 'bit<16>' does not fit 'bit<8>' for the left side",
    ),
    "sign": (
        {
            "apply": "meta.a = meta.s;",
        },
        "type 'int<8>' does not fit 'bit<8>' for the left side",
    ),
    "boolint": (
        {
            "apply": "if (meta.a) {}",
        },
        "the condition of if must be bool, not 'bit<8>'",
    ),
    "intbool": (
        {
            "apply": "meta.flag = 1;",
        },
        "type 'int' does not fit 'bool' for the left side",
    ),
    "addmix": (
        {
            "apply": "meta.a = meta.a + meta.w;",
        },
        "'+' is not defined for 'bit<8>' and 'bit<16>'",
    ),
    "inwrite": (
        {
            "top": "void f(in bit<8> x) { x = 1; }",
        },
        "'x' is an 'in' parameter: it cannot be written",
    ),
    "ret": (
        {
            "top": "bit<8> f() { }",
        },
        "function 'f' does not return a value on every path",
    ),
    "ret2": (
        {
            "top": "bit<8> f(in bool b) { if (b) { return 1; } }",
        },
        "function 'f' does not return a value on every path",
    ),
    "recursion": (
        {
            "top": "bit<8> f(in bit<8> x) { return f(x); }",
        },
        "function 'f' calls itself: P4 has no recursion",
    ),
    "stackidx": (
        {
            "apply": "hdr.st[4].a = 1;",
        },
        "index 4 is outside of the stack's 4 elements",
    ),
    "runtimeint": (
        {
            "apply": "int x = 3;",
        },
        "a variable cannot have type 'int', which exists at compile time only",
    ),
    "nextincontrol": (
        {
            "apply": "hdr.st.next.a = 1;",
        },
        "'next' of a stack can only be used in parsers",
    ),
    "div0": (
        {
            "apply": "meta.a = meta.a / 0;",
        },
        "division by zero",
    ),
    "sdiv": (
        {
            "apply": "meta.s = meta.s / 2;",
        },
        "'/' is not defined for signed 'int<8>'",
    ),
    "negshift": (
        {
            "apply": "meta.a = meta.a << -1;",
        },
        "shift by a negative number -1",
    ),
    "dupvar": (
        {
            "apply": """
                bit<8> x;
                bit<8> x;
                """,
        },
        "'x' is already declared",
    ),
    "concatint": (
        {
            "apply": "meta.w = meta.a ++ 1;",
        },
        "'++' is not defined for 'bit<8>' and 'int'",
    ),
    "mux": (
        {
            "apply": "meta.a = meta.flag ? 1 : 2;",
        },
        "the branches of ?: have no width",
    ),
    "tupleidx": (
        {
            "apply": """
                tuple<bit<8>> t = {1} ;
                meta.a = t[1];
                """,
        },
        "index 1 is outside of the tuple's 1 elements",
    ),
    "listlen": (
        {
            "apply": "meta.p = {1} ;",
        },
        "1 values for struct 'pair_t', which has 2 fields",
    ),
    "listlen2": (
        {
            "apply": "meta.p = {1,2,3} ;",
        },
        "3 values for struct 'pair_t', which has 2 fields",
    ),
    "structmissing": (
        {
            "apply": "meta.p = {x=1} ;",
        },
        "no value for field 'y' of 'pair_t'",
    ),
    "structbad": (
        {
            "apply": "meta.p = {x=1,z=2} ;",
        },
        "struct 'pair_t' has no field 'z'",
    ),
    "cast": (
        {
            "apply": "meta.flag = (bool)meta.a;",
        },
        "'bit<8>' cannot be cast to 'bool'",
    ),
    "cast2": (
        {
            "apply": "meta.s = (int<8>)meta.w;",
        },
        "'bit<16>' cannot be cast to 'int<8>'",
    ),
    "callargs": (
        {
            "apply": "f();",
            "top": "void f(in bit<8> x) {}",
        },
        "function 'f' takes 1 argument, not 0",
    ),
    "callargs2": (
        {
            "apply": "f(1,2);",
            "top": "void f(in bit<8> x) {}",
        },
        "function 'f' takes 1 argument, not 2",
    ),
    "callname": (
        {
            "apply": "f(xy = 1);",
            "top": "void f(in bit<8> xx) {}",
        },
        "function 'f' has no parameter 'xy'",
    ),
    "outlit": (
        {
            "apply": "f(3);",
            "top": "void f(out bit<8> x) {x=1;}",
        },
        "an argument for out parameter 'x' must be a variable, field, element or slice",
    ),
    "outtype": (
        {
            "apply": "f(meta.w);",
            "top": "void f(out bit<8> x) {x=1;}",
        },
        "out parameter 'x' has type 'bit<8>', the argument 'bit<16>'",
    ),
    "applyinaction": (
        {
            "locals": """
                table t { actions = { NoAction; } }
                action a() { t.apply(); }
                """,
        },
        "table 't' can only be applied in the apply block of a control",
    ),
    "defnotlisted": (
        {
            "locals": """
                action a() {}
                table t { actions = { NoAction; } default_action = a; }
                """,
        },
        "action 'a' is not in the actions of table 't'",
    ),
    "defargs": (
        {
            "locals": """
                action a(bit<8> x) {}
                table t { actions = { a; } default_action = a(); }
                """,
        },
        "'a' takes 1 argument, not 0",
    ),
    "noactions": (
        {
            "locals": "table t { key = { meta.a : exact; } }",
        },
        "table 't' has no actions",
    ),
    "matchkind": (
        {
            "locals": "table t { key = { meta.a : exactt; } actions = { NoAction; } }",
        },
        "unknown match kind 'exactt'",
    ),
    "keyname": (
        {
            "locals": "table t { key = { meta.a + 1 : exact; } actions = { NoAction; } }",
        },
        "this key needs a name for the control plane",
    ),
    "nostart": (
        {
            "parser": "state foo { transition accept; }",
        },
        "parser 'MyParser' has no state 'start'",
    ),
    "unkstate": (
        {
            "parser": "state start { transition strat; }",
        },
        "unknown state 'strat'",
    ),
    "selmis": (
        {
            "parser": "state start { transition select(meta.a, meta.b) { 1 : accept; } }",
        },
        "1 key sets for 2 subjects",
    ),
    "seltype": (
        {
            "parser": "state start { transition select(meta.a) { true : accept; } }",
        },
        "type 'bool' does not fit 'bit<8>' for the subject",
    ),
    "extractnon": (
        {
            "parser": "state start { packet.extract(meta.p); transition accept; }",
        },
        "extract fills headers, not 'pair_t'",
    ),
    "extractvar": (
        {
            "parser": "state start { packet.extract(hdr.v); transition accept; }",
        },
        "'v_t' has a varbit field: its length is missing",
    ),
    "extract2": (
        {
            "parser": "state start { packet.extract(hdr.h, 8); transition accept; }",
        },
        "'h_t' has 0 varbit fields, exactly one is needed here",
    ),
    "exitparser": (
        {
            "parser": "state start { exit; }",
        },
        "'exit' cannot stand in a parser state",
    ),
    "setvalidnon": (
        {
            "apply": "meta.p.setValid();",
        },
        "'pair_t' has no method 'setValid'",
    ),
    "nomethod": (
        {
            "apply": "r.foo();",
            "locals": "register<bit<8>>(1) r;",
        },
        "extern 'register<bit<8>>' has no method 'foo'",
    ),
    "ctor": (
        {
            "locals": "register<bit<8>>() r;",
        },
        "constructor of 'register' takes 1 argument, not 0",
    ),
    "ctorrt": (
        {
            "locals": "register<bit<8>>(meta.d) r;",
        },
        "the argument for parameter 'size' must be known at compile time",
    ),
    "noinfer": (
        {
            "apply": "hash(meta.w, HashAlgorithm.crc16, 0, {meta.a}, 10);",
        },
        "'hash' gets a number without width for 'T'",
    ),
    "enumx": (
        {
            "apply": "meta.e = error.Foo;",
        },
        "there is no error 'Foo'",
    ),
    "enumm": (
        {
            "apply": "bit<8> x = HashAlgorithm.crc17;",
        },
        "enum 'HashAlgorithm' has no member 'crc17'",
    ),
    "hdrinhdr": (
        {
            "top": "header x { h_t h; }",
        },
        "a header cannot have a field of type 'h_t'",
    ),
    "stackstruct": (
        {
            "top": "struct q { pair_t[3] s; }",
        },
        "a stack holds headers or header unions, not 'pair_t'",
    ),
    "unionx": (
        {
            "top": "header_union uu { pair_t p; }",
        },
        "a header union holds headers, not 'pair_t'",
    ),
    "switchdup": (
        {
            "apply": "switch (meta.a) { 1: {} 1: {} }",
        },
        "this label is given twice",
    ),
    "switchnonconst": (
        {
            "apply": "switch (meta.a) { meta.b: {} }",
        },
        "a case label must be a compile-time constant",
    ),
    "actionlabel": (
        {
            "apply": "switch (t.apply().action_run) { a: {} }",
            "locals": """
                action a(){}
                table t { actions = { NoAction; } }
                """,
        },
        "action 'a' is not an action of table 't'",
    ),
    "break": (
        {
            "apply": "break;",
        },
        "break outside of a loop",
    ),
    "retval": (
        {
            "apply": "return 1;",
        },
        "a control without result cannot return a value",
    ),
    "externval": (
        {
            "apply": "meta.a = r;",
            "locals": "register<bit<8>>(1) r;",
        },
        "instance 'r' is not a value",
    ),
    "tableval": (
        {
            "apply": "meta.a = t.apply();",
            "locals": "table t { actions = { NoAction; } }",
        },
        "'t.apply() result' is not a value",
    ),
    "calltable": (
        {
            "apply": "t();",
            "locals": "table t { actions = { NoAction; } }",
        },
        "a table is applied by t.apply()",
    ),
    "typeasvalue": (
        {
            "apply": "meta.a = pair_t;",
        },
        "expected '.' or '(' after a type's name, found ';'",
    ),
    "entrymask": (
        {
            "locals": """
                action a(){}
                table t { key = { meta.a : exact; } actions = { a; } const entries = { 1 &&& 2 : a; } }
                """,
        },
        "a mask cannot match a key of kind exact",
    ),
    "entrycnt": (
        {
            "locals": """
                action a(){}
                table t { key = { meta.a : exact; } actions = { a; } const entries = { (1, 2) : a; } }
                """,
        },
        "2 key sets for 1 key",
    ),
    "lpmmask": (
        {
            "locals": """
                action a(){}
                table t { key = { meta.a : lpm; } actions = { a; } const entries = { 1 &&& 5 : a; } }
                """,
        },
        "the mask of an lpm key must be a prefix: ones, then zeros",
    ),
    "dupaction": (
        {
            "locals": """
                action a(){}
                table t { actions = { a; a; } }
                """,
        },
        "action 'a' is listed twice",
    ),
    "serenum": (
        {
            "top": "enum bit<2> E { A = 5 }",
        },
        "5 does not fit 'bit<2>'",
    ),
    "paramtwice": (
        {
            "top": "void f(in bit<8> a, in bit<8> a) {}",
        },
        "parameter 'a' is declared twice",
    ),
    "dirorder": (
        {
            "locals": "action a(bit<8> x, in bit<8> y) {}",
        },
        "parameters with a direction stand before those without (14.1)",
    ),
    "aliasret": (
        {
            "top": "void f() { return 1; }",
        },
        "a function without result cannot return a value",
    ),
    "cmpnew": (
        {
            "apply": """
                N n = (N)3;
                meta.flag = n == 3;
                """,
            "top": "type bit<9> N;",
        },
        "'==' is not defined for 'N' and 'int'",
    ),
    "newassign": (
        {
            "apply": "N n = 9w3;",
            "top": "type bit<9> N;",
        },
        "type 'bit<9>' does not fit 'N' for variable 'n'",
    ),
    "genericnoargs": (
        {
            "apply": "G g;",
            "top": "struct G<T> { T x; }",
        },
        "'G' needs type arguments: G<…>",
    ),
    "targs": (
        {
            "apply": "G<bit<8>, bit<8>> g;",
            "top": "struct G<T> { T x; }",
        },
        "'G' takes 1 type arguments, not 2",
    ),
    "topctl": (
        {
            "top": """
                control X() { apply {} }
                X() x;
                """,
        },
        "a control cannot be instantiated at top level",
    ),
    "widthneg": (
        {
            "top": """
                const int N = -1;
                typedef bit<(N)> t;
                """,
        },
        "a width of -1 is not possible for 'bit'",
    ),
    "constnc": (
        {
            "apply": "const bit<8> Z = meta.a;",
            "top": """
                const bit<8> X = 1;
                const bit<8> Y = X;
                """,
        },
        "the value of constant 'Z' is not known at compile time",
    ),
    "verifyctl": (
        {
            "apply": "verify(true, error.NoMatch);",
        },
        "verify can only be called in parsers",
    ),
    "isvalid": (
        {
            "apply": "if (hdr.h.isvalid()) {}",
        },
        "'h_t' has no method 'isvalid'",
    ),
    "noparen": (
        {
            "apply": "if (hdr.h.isValid) {}",
        },
        "'isValid' is a method: call it as .isValid(…)",
    ),
    "static": (
        {
            "top": """
                const bool b = static_assert(1 > 2, "no");
                """,
        },
        "static_assert failed: no",
    ),
    "emitnon": (
        {
            "deparser": "packet.emit(hdr.h.a);",
        },
        "emit takes headers, 'bit<8>' is none",
    ),
    "subctor": (
        {
            "apply": "C.apply();",
            "top": "control C()(bit<8> x) { apply {} }",
        },
        "'C' has constructor parameters",
    ),
    "subargs": (
        {
            "apply": "C.apply();",
            "top": "control C(inout bit<8> x) { apply {} }",
        },
        "'C.apply' takes 1 argument, not 0",
    ),
    "directaction": (
        {
            "apply": "a();",
            "locals": "action a(bit<8> x){}",
        },
        "'a' takes 1 argument, not 0",
    ),
    "datawrite": (
        {
            "locals": "action a(bit<8> x){ x = 1; }",
        },
        "'x' is action data of the control plane: it cannot be written",
    ),
    "badslice": (
        {
            "apply": "meta.a[8:0] = 1;",
        },
        "slice [8:0] exceeds 'bit<8>'",
    ),
    "badslice2": (
        {
            "apply": "meta.a = meta.w[3:4];",
        },
        "slice [3:4] is empty or negative",
    ),
    "unionassign": (
        {
            "apply": "hdr.u = hdr.h;",
        },
        "type 'h_t' does not fit 'u_t' for the left side",
    ),
    "stringvar": (
        {
            "apply": """
                string s = "a";
                """,
        },
        "a variable cannot have type 'string', which exists at compile time only",
    ),
    "voidval": (
        {
            "apply": "meta.a = f();",
            "top": "void f() {}",
        },
        "a call without result is not a value",
    ),
    "externdir": (
        {
            "top": "void f(in packet_in p) {}",
        },
        "a parameter of type 'packet_in' has no direction",
    ),
    "noargsaction": (
        {
            "locals": """
                action a(inout bit<8> x) {}
                table t { actions = { a; } }
                """,
        },
        "'a' takes 1 argument, not 0",
    ),
    "badimpl": (
        {
            "locals": """
                counter(1, CounterType.bytes) c;
                table t { actions = { NoAction; } implementation = c; }
                """,
        },
        "implementation must be a action_profile or action_selector, 'counter' is not",
    ),
}
