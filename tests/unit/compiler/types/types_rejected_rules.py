# ruff: noqa: E501 - a piece is easier to read on its line
"""Wrong pieces of P4, one for each rule that the checker knows, with its only error."""

RULES: dict[str, tuple[dict[str, str], str]] = {
    "asgconst": (
        {"apply": "C = 3;", "top": "const bit<8> C = 1;"},
        "the left side must be a variable, field, element or slice",
    ),
    "asgsm": ({"apply": "sm.foo = 1;"}, "struct 'standard_metadata_t' has no field 'foo'"),
    "out_expr": (
        {"apply": "f(meta.a + 1);", "top": "void f(inout bit<8> x) { x = 1; }"},
        "an argument for inout parameter 'x' must be a variable, field, element or slice",
    ),
    "mutual": (
        {"top": "bit<8> f(in bit<8> x) { return g(x); } bit<8> g(in bit<8> x) { return f(x); }"},
        "unknown name 'g'",
    ),
    "recctl": ({"top": "control X(inout bit<8> x) { X() y; apply { y.apply(x); } }"}, "unknown type 'X'"),
    "recact": ({"locals": "action a() { a(); }", "apply": "a();"}, "unknown name 'a'"),
    "duptype": ({"top": "struct A { } header A { bit<8> x; }"}, "'A' is already declared"),
    "dupfield": ({"top": "struct A { bit<8> x; bit<8> x; }"}, "field 'x' is declared twice"),
    "duptab": (
        {"locals": "action a() {} table t { actions = { a; } } table t { actions = { a; } }", "apply": ""},
        "'t' is already declared",
    ),
    "dupact": ({"locals": "action a() {} action a() {}", "apply": ""}, "'a' is already declared"),
    "dupenum": ({"top": "enum E { A, A }"}, "member 'A' is declared twice"),
    "dupstate": (
        {
            "top": "parser X(packet_in p) { state start { transition a; } state a { transition accept; } state a { transition accept; } }"
        },
        "state 'a' is declared twice",
    ),
    "duptp": ({"top": "struct S<T, T> { T x; }"}, "'T' is already declared"),
    "duperr": ({"top": "error { NoMatch }"}, "error 'NoMatch' is already declared"),
    "undef": ({"parser": "state start { transition foo; }"}, "unknown state 'foo'"),
    "defaccept": (
        {"parser": "state start { transition accept; } state accept { transition reject; }"},
        "state 'accept' is built in, it cannot be declared",
    ),
    "varwidth": (
        {"top": "void f(in bit<8> x) { bit<x> y; }"},
        "a width is a number or an expression in parentheses, found 'x'",
    ),
    "int0": ({"top": "struct A { int<0> x; }"}, "a width of 0 is not possible for 'int'"),
    "strw": ({"top": 'struct A { bit<("a")> x; }'}, "a width must be a compile-time constant number"),
    "lpm2key": (
        {
            "locals": "action a() {} table t { key = { meta.p : exact; } actions = { a; } }",
            "apply": "t.apply();",
        },
        "a key cannot have type 'pair_t'",
    ),
    "keyint": (
        {
            "locals": 'table t { key = { 5 : exact @name("x"); } actions = { NoAction; } }',
            "apply": "t.apply();",
        },
        "a key needs a width",
    ),
    "keyhdr": (
        {"locals": "table t { key = { hdr.h : exact; } actions = { NoAction; } }", "apply": "t.apply();"},
        "a key cannot have type 'h_t'",
    ),
    "keyvarbit": (
        {
            "locals": "table t { key = { hdr.v.data : exact; } actions = { NoAction; } }",
            "apply": "t.apply();",
        },
        "a key cannot have type 'varbit<64>'",
    ),
    "keystack": (
        {"locals": "table t { key = { hdr.st : exact; } actions = { NoAction; } }", "apply": "t.apply();"},
        "a key cannot have type 'h_t[4]'",
    ),
    "defnotin": (
        {
            "locals": "action a() {} action b() {} table t { actions = { a; } default_action = b(); }",
            "apply": "t.apply();",
        },
        "action 'b' is not in the actions of table 't'",
    ),
    "defarg2": (
        {
            "locals": "action a(bit<8> x) {} table t { actions = { a; } default_action = a(1, 2); }",
            "apply": "t.apply();",
        },
        "'a' takes 1 argument, not 2",
    ),
    "defarg3": (
        {
            "locals": "action a(bit<8> x) {} table t { actions = { a; } default_action = a(true); }",
            "apply": "t.apply();",
        },
        "type 'bool' does not fit 'bit<8>' for parameter 'x'",
    ),
    "defarg4": (
        {
            "locals": "action a(bit<8> x) {} table t { actions = { a; } default_action = a(meta.a); }",
            "apply": "t.apply();",
        },
        "an argument of default_action must be known at compile time",
    ),
    "defbound": (
        {
            "locals": "action a(in bit<8> x) {} table t { actions = { a(meta.a); } default_action = a(meta.b); }",
            "apply": "t.apply();",
        },
        "the argument for 'x' is not the one in the list of actions",
    ),
    "entkey2": (
        {
            "locals": "action a() {} table t { key = { meta.a : exact; meta.b: exact; } actions = { a; } const entries = { 1 : a(); } }",
            "apply": "t.apply();",
        },
        "1 key sets for 2 keys",
    ),
    "entrange": (
        {
            "locals": "action a() {} table t { key = { meta.a : ternary; } actions = { a; } const entries = { 1..2 : a(); } }",
            "apply": "t.apply();",
        },
        "a range cannot match a key of kind ternary",
    ),
    "entnon": (
        {
            "locals": "action a() {} table t { key = { meta.a : exact; } actions = { a; } const entries = { meta.b : a(); } }",
            "apply": "t.apply();",
        },
        "the keys of an entry must be known at compile time",
    ),
    "entact": (
        {
            "locals": "action a() {} table t { key = { meta.a : exact; } actions = { a; } const entries = { 1 : NoAction(); } }",
            "apply": "t.apply();",
        },
        "action 'NoAction' is not in the actions of table 't'",
    ),
    "tabact": (
        {"locals": "action a() { t.apply(); } table t { actions = { NoAction; } }", "apply": "a();"},
        "unknown name 't'",
    ),
    "inst_in_action": (
        {
            "locals": "control_t() x; action a() { counter(3, CounterType.bytes) c; }",
            "apply": "a();",
            "top": "control control_t() { apply {} }",
        },
        "instances cannot be declared in a action",
    ),
    "fninst": (
        {"top": "void f() { counter(3, CounterType.bytes) c; }"},
        "instances cannot be declared in a function",
    ),
    "toplevelvar": ({"top": "bit<8> x = 3;"}, "a variable cannot be declared at the top level"),
    "constrt": ({"top": "const bit<8> X;"}, "expected '=' after the name of the constant, found ';'"),
    "constrt2": (
        {"apply": "const bit<8> x = meta.a;"},
        "the value of constant 'x' is not known at compile time",
    ),
    "negshift2": (
        {"apply": "meta.a = meta.a >> meta.s;"},
        "the right operand of '>>' must be unsigned, not 'int<8>'",
    ),
    "twovarbit": (
        {"top": "header V { varbit<8> a; varbit<8> b; }"},
        "header 'V' has more than one varbit field",
    ),
    "varbitstruct": (
        {"top": "struct V { varbit<8> a; } header X { V v; }"},
        "a header cannot have a field of type 'V'",
    ),
    "hdrtup": (
        {"top": "header X { tuple<bit<8>> h; }"},
        "a header cannot have a field of type 'tuple<bit<8>>'",
    ),
    "hdrerr": ({"top": "header X { error e; }"}, "a header cannot have a field of type 'error'"),
    "hdrenum": ({"top": "enum E { A } header X { E e; }"}, "a header cannot have a field of type 'E'"),
    "hdrstack": ({"top": "header X { h_t[2] e; }"}, "a header cannot have a field of type 'h_t[2]'"),
    "stacknon": (
        {"top": "struct X { bit<8>[3] e; }"},
        "a stack holds headers or header unions, not 'bit<8>'",
    ),
    "unionnon": ({"top": "header_union X { bit<8> e; }"}, "a header union holds headers, not 'bit<8>'"),
    "unionstk": ({"top": "header_union X { h_t[2] e; }"}, "a header union holds headers, not 'h_t[2]'"),
    "slice1": ({"apply": "meta.a = meta.w[3:8];"}, "slice [3:8] is empty or negative"),
    "slice2": ({"apply": "meta.w = meta.w[16:1];"}, "slice [16:1] exceeds 'bit<16>'"),
    "slice3": (
        {"apply": "meta.a = meta.a[meta.b:0];"},
        "the upper bound of a slice must be a compile-time constant number",
    ),
    "slice4": ({"apply": "meta.p[3:0] = 1;"}, "only bit, int and int<> can be sliced, not 'pair_t'"),
    "slice5": ({"apply": "meta.flag = meta.flag[0:0];"}, "only bit, int and int<> can be sliced, not 'bool'"),
    "slice7": ({"apply": "bit<2> x = meta.a[1:-1];"}, "slice [1:-1] is empty or negative"),
    "cmp1": ({"apply": "meta.flag = meta.a == meta.w;"}, "'==' is not defined for 'bit<8>' and 'bit<16>'"),
    "cmp2": ({"apply": "meta.flag = meta.p == hdr.h;"}, "'==' is not defined for 'pair_t' and 'h_t'"),
    "cmp3": ({"apply": "meta.flag = meta.a == true;"}, "'==' is not defined for 'bit<8>' and 'bool'"),
    "cmp4": ({"apply": "meta.flag = meta.flag < true;"}, "'<' is not defined for 'bool' and 'bool'"),
    "cmp5": ({"apply": "meta.flag = meta.p < meta.q;"}, "'<' is not defined for 'pair_t' and 'pair_t'"),
    "cmp6": (
        {"apply": "meta.flag = hdr.v.data < hdr.v.data;"},
        "'<' is not defined for 'varbit<64>' and 'varbit<64>'",
    ),
    "cmp7": ({"apply": "meta.flag = meta.a == meta.s;"}, "'==' is not defined for 'bit<8>' and 'int<8>'"),
    "cmp8": ({"apply": "meta.flag = meta.e < meta.e;"}, "'<' is not defined for 'error' and 'error'"),
    "cmp9": ({"apply": "meta.flag = 8w1 == 9w1;"}, "'==' is not defined for 'bit<8>' and 'bit<9>'"),
    "cat1": ({"apply": "meta.a = 4 ++ meta.a[3:0];"}, "'++' is not defined for 'int' and 'bit<4>'"),
    "cat2": ({"apply": "bit<9> x = meta.flag ++ meta.a;"}, "'++' is not defined for 'bool' and 'bit<8>'"),
    "swtype": (
        {"apply": "switch (meta.a) { true: {} }"},
        "type 'bool' does not fit 'bit<8>' for a case label",
    ),
    "swstruct": ({"apply": "switch (meta.p) { default: {} }"}, "switch is not possible on 'pair_t'"),
    "swdd": ({"apply": "switch (meta.a) { default: {} default: {} }"}, "default is given twice"),
    "swact": (
        {
            "locals": "action a() {} action b() {} table t { actions = { a; } }",
            "apply": "switch (t.apply().action_run) { b: {} }",
        },
        "action 'b' is not an action of table 't'",
    ),
    "swactd": (
        {
            "locals": "action a() {} table t { actions = { a; } }",
            "apply": "switch (t.apply().action_run) { a: {} a: {} }",
        },
        "action 'a' is given twice",
    ),
    "annot2": ({"top": "@a[x=1, x=2] struct S { }"}, "key 'x' is given twice"),
    "annot3": ({"top": "@a[x=1] @a(y) struct S { }"}, "annotation '@a' is given both ways"),
    "annot4": ({"top": "@a[x=1, 2] struct S { }"}, "expected a field's name, found 2"),
    "cont": ({"apply": "if (meta.flag) continue;"}, "continue outside of a loop"),
    "rett": ({"top": "bit<8> f() { return true; }"}, "type 'bool' does not fit 'bit<8>' for the result"),
    "retpar": (
        {"parser": "state start { return; transition accept; }"},
        "'return' cannot stand in a parser state",
    ),
    "applycp": (
        {"parser": "state start { c.apply(); transition accept; }", "top": "control CC() { apply {} }"},
        "unknown name 'c'",
    ),
    "ctlctype": (
        {"top": "control T(inout bit<8> x); control C() { T() t; apply {} }"},
        "'T' is only a type: it has no body to instantiate",
    ),
    "instint": ({"top": "bit<8>() x;"}, "'bit<8>' cannot be instantiated"),
    "callint": ({"apply": "meta.a();"}, "'meta_t' has no method 'a'"),
    "hdrfld": ({"apply": "meta.a.b = 1;"}, "'bit<8>' has no member 'b'"),
    "validcall": ({"apply": "if (meta.isValid()) {}"}, "'meta_t' has no method 'isValid'"),
    "validarg": ({"apply": "if (hdr.h.isValid(1)) {}"}, "isValid takes no arguments"),
    "setstk": ({"apply": "hdr.st.setValid();"}, "'h_t[4]' has no method 'setValid'"),
    "push": ({"apply": "hdr.h.push_front(1);"}, "'h_t' has no method 'push_front'"),
    "pushrt": (
        {"apply": "hdr.st.push_front(meta.a);"},
        "the argument of push_front must be a compile-time constant number",
    ),
    "pushneg": ({"apply": "hdr.st.push_front(-1);"}, "push_front of a negative number -1"),
    "stkneg": ({"apply": "hdr.st[-1] = hdr.h;"}, "index -1 is outside of the stack's 4 elements"),
    "boolarith": ({"apply": "meta.flag = meta.flag + true;"}, "'+' is not defined for 'bool' and 'bool'"),
    "boolnot": ({"apply": "meta.flag = !meta.a;"}, "the operand of ! must be bool, not 'bit<8>'"),
    "intnot": ({"apply": "meta.flag = ~meta.flag;"}, "'~' needs a number of fixed width: not 'bool'"),
    "smod": ({"apply": "meta.s = meta.s % 2;"}, "'%' is not defined for signed 'int<8>'"),
    "negdiv": ({"apply": "bit<8> x = (bit<8>)(-4 / 2);"}, "-4 / 2 has no value"),
    "castb2": ({"apply": "meta.a = (bit<8>)meta.flag;"}, "'bool' cannot be cast to 'bit<8>'"),
    "castsw": ({"apply": "int<16> x = (int<16>)meta.a;"}, "'bit<8>' cannot be cast to 'int<16>'"),
    "caststr": ({"apply": "pair_t x = (pair_t)meta.a;"}, "'bit<8>' cannot be cast to 'pair_t'"),
    "casterr": ({"apply": "meta.a = (bit<8>)meta.e;"}, "'error' cannot be cast to 'bit<8>'"),
    "castenum": ({"apply": "E e = (E)meta.a;", "top": "enum E { A }"}, "'bit<8>' cannot be cast to 'E'"),
    "castenum2": (
        {"apply": "meta.a = (bit<8>)E.A;", "top": "enum E { A }"},
        "'E' cannot be cast to 'bit<8>'",
    ),
    "enumint": (
        {"apply": "E e = 0;", "top": "enum bit<8> E { A = 0 }"},
        "type 'int' does not fit 'E' for variable 'e'",
    ),
    "enumint2": (
        {"apply": "meta.w = E.A;", "top": "enum bit<8> E { A = 0 }"},
        "type 'E' does not fit 'bit<16>' for the left side",
    ),
    "newt": (
        {"apply": "N x = 8w3;", "top": "type bit<8> N;"},
        "type 'bit<8>' does not fit 'N' for variable 'x'",
    ),
    "newt2": (
        {"apply": "N x = (N)8w3; M y = x;", "top": "type bit<8> N; type bit<8> M;"},
        "type 'N' does not fit 'M' for variable 'y'",
    ),
    "newt3": (
        {"apply": "N x = (N)8w3; meta.flag = x < x + x;", "top": "type bit<8> N;"},
        "'+' is not defined for 'N' and 'N'",
    ),
    "newstruct": ({"top": "type pair_t N;"}, "'type' cannot be based on 'pair_t'"),
    "newhdr": ({"top": "type h_t N;"}, "'type' cannot be based on 'h_t'"),
    "serover": ({"top": "enum bit<2> E { A = 7 }"}, "7 does not fit 'bit<2>'"),
    "sernoval": (
        {"top": "enum bit<2> E { A, B = 1 }"},
        "expected '=' after the name of the member, found ','",
    ),
    "errtype": ({"top": "typedef foo_t bar;"}, "unknown type 'foo_t'"),
    "fnctl": ({"top": "void f() { if (true) { exit; } }"}, "exit cannot be used in a function"),
    "extractctl": ({"apply": "packet.extract(hdr.h);"}, "unknown name 'packet'"),
    "emitpar": (
        {"parser": "state start { packet.emit(hdr.h); transition accept; }"},
        "extern 'packet_in' has no method 'emit'",
    ),
    "undeffn": ({"apply": "foo(3);"}, "unknown name 'foo'"),
    "undefm": ({"apply": "hdr.h.foo();"}, "'h_t' has no method 'foo'"),
    "argname": ({"apply": "f(y = 1);", "top": "void f(in bit<8> x) {}"}, "function 'f' has no parameter 'y'"),
    "argdup": (
        {"apply": "f(x = 1, x = 2);", "top": "void f(in bit<8> x) {}"},
        "arguments of function 'f' are named or positional, or given twice: not both",
    ),
    "argmix": (
        {"apply": "f(1, y = 2);", "top": "void f(in bit<8> x, in bit<8> y) {}"},
        "no argument for parameter 'x' of function 'f'",
    ),
    "gennoarg": ({"apply": "S x = { 1 };", "top": "struct S<T> { T x; }"}, "'S' needs type arguments: S<…>"),
    "gentoomany": (
        {"apply": "S<bit<8>, bool> x = { 1 };", "top": "struct S<T> { T x; }"},
        "'S' takes 1 type arguments, not 2",
    ),
    "structdup": ({"apply": "meta.p = { x = 1, x = 2 };"}, "field 'x' is given twice"),
    "tupidx2": (
        {"apply": "tuple<bit<8>> t = { 1 }; meta.a = t[meta.b];"},
        "the index of a tuple must be a compile-time constant",
    ),
    "tupfld": ({"apply": "tuple<bit<8>> t = { 1 }; meta.a = t.x;"}, "a tuple has no field 'x'"),
    "muxcond": ({"apply": "meta.a = meta.a ? 8w1 : 8w2;"}, "the condition of ?: must be bool, not 'bit<8>'"),
    "muxtypes": (
        {"apply": "meta.a = meta.flag ? 8w1 : 9w2;"},
        "the branches of ?: have types 'bit<8>' and 'bit<9>'",
    ),
    "ifint": ({"apply": "if (1) {}"}, "the condition of if must be bool, not 'int'"),
    "fornb": (
        {"apply": "for (bit<8> i = 0; i; i = i + 1) {}"},
        "the condition of for must be bool, not 'bit<8>'",
    ),
    "forin": ({"apply": "for (bit<8> i in meta.a) {}"}, "for cannot go over 'bit<8>'"),
    "forin2": ({"apply": "for (bool i in 0..3) {}"}, "'i' has type 'bool', the elements 'int'"),
    "dontcare": ({"apply": "meta.a = _;"}, "expected an expression, found '_'"),
    "dontcare2": (
        {"apply": "f(_);", "top": "void f(in bit<8> x) {}"},
        "'_' is only allowed for out parameters, parameter 'x' is not one",
    ),
    "actval": ({"apply": "meta.a = NoAction;"}, "action 'NoAction' is not a value"),
    "voidvar": ({"apply": "void x;"}, "no value has type 'void'"),
    "externvar": ({"apply": "counter c;"}, "'counter' needs an instantiation, with parentheses"),
    "matchvar": ({"apply": "match_kind m;"}, "no value has type 'match_kind'"),
    "retint": (
        {"top": "int f() { return 1; }"},
        "a function cannot return 'int', which exists at compile time only",
    ),
    "outdef": (
        {"top": "void f(out bit<8> x = 3) { x = 1; }"},
        "an out parameter cannot have a default value",
    ),
    "ctordir": ({"top": "control C()(in bit<8> x) { apply {} }"}, "constructor parameters have no direction"),
    "ctortp": (
        {"top": "control C<T>(inout T x) { apply {} }"},
        "a control with a body cannot have type parameters",
    ),
    "partp": (
        {"top": "parser C<T>(packet_in p, out T x) { state start { transition accept; } }"},
        "a parser with a body cannot have type parameters",
    ),
    "selw": (
        {"parser": "state start { transition select(meta.a) { 16w1: accept; } }"},
        "type 'bit<16>' does not fit 'bit<8>' for the subject",
    ),
    "seln": (
        {"parser": "state start { transition select(meta.a) { (1, 2): accept; } }"},
        "2 key sets for 1 subject",
    ),
    "selint": (
        {"parser": "state start { transition select(5) { 1: accept; } }"},
        "the subject of a select needs a width",
    ),
    "selhdr": (
        {"parser": "state start { transition select(hdr.h) { default: accept; } }"},
        "select is not possible on 'h_t'",
    ),
    "selempty": (
        {"parser": "state start { transition select(meta.a) { } }"},
        "a select needs at least one case",
    ),
    "pact": (
        {"parser": "action a() {} state start { transition accept; }"},
        "expected a declaration or a state, found keyword 'action'",
    ),
    "ptab": (
        {"parser": "state start { if (hdr.h.isValid()) { packet.extract(hdr.u); } transition accept; }"},
        "extract fills headers, not 'u_t'",
    ),
    "pvs": (
        {"parser": "value_set<h_t>(4) v; state start { transition select(meta.a) { v: accept; } }"},
        "value set 'v' holds 'h_t', which does not fit the subjects",
    ),
    "pvs2": (
        {"parser": "value_set<bit<16>>(4) v; state start { transition select(meta.a) { v: accept; } }"},
        "value set 'v' holds 'bit<16>', which does not fit the subjects",
    ),
    "verifyw": (
        {"parser": "state start { verify(meta.a, error.NoMatch); transition accept; }"},
        "type 'bit<8>' does not fit 'bool' for parameter 'check'",
    ),
    "verifyw2": (
        {"parser": "state start { verify(true, 3); transition accept; }"},
        "type 'int' does not fit 'error' for parameter 'toSignal'",
    ),
    "extrbit": (
        {"parser": "state start { packet.extract(meta.a); transition accept; }"},
        "extract fills headers, not 'bit<8>'",
    ),
    "advt": (
        {"parser": "state start { packet.advance(true); transition accept; }"},
        "type 'bool' does not fit 'bit<32>' for parameter 'sizeInBits'",
    ),
    "look": (
        {"parser": "state start { meta.a = packet.lookahead(); transition accept; }"},
        "the type argument 'T' of 'lookahead' is not determined",
    ),
    "lookv": (
        {"parser": "state start { v_t v = packet.lookahead<v_t>(); transition accept; }"},
        "lookahead needs a type of fixed width, not 'v_t'",
    ),
    "dirctr": (
        {
            "locals": "direct_counter(CounterType.bytes) d; table t { actions = { NoAction; } counters = d; } table u { actions = { NoAction; } counters = d; }",
            "apply": "t.apply(); u.apply();",
        },
        "direct_counter 'MyIngress.d' already belongs to a table",
    ),
    "badctr": (
        {
            "locals": "counter(4, CounterType.bytes) d; table t { actions = { NoAction; } counters = d; }",
            "apply": "t.apply();",
        },
        "counters must be a direct_counter, 'counter' is not",
    ),
    "ctortype": (
        {"locals": "counter(true, CounterType.bytes) d;", "apply": ""},
        "type 'bool' does not fit 'bit<32>' for parameter 'size'",
    ),
    "ctorenum": (
        {"locals": "counter(4, CounterType.foo) d;", "apply": ""},
        "enum 'CounterType' has no member 'foo'",
    ),
    "ctorargs": (
        {"locals": "counter(4) d;", "apply": ""},
        "constructor of 'counter' takes 2 arguments, not 1",
    ),
    "actret": (
        {"locals": "action a() { return 1; }", "apply": "a();"},
        "a action without result cannot return a value",
    ),
    "actopt": (
        {"locals": "action a(string s) { }", "apply": 'a("x");'},
        "the control plane cannot give a 'string' for 's'",
    ),
    "propdup": (
        {"locals": "table t { actions = { NoAction; } actions = { NoAction; } }", "apply": "t.apply();"},
        "property 'actions' is given twice",
    ),
    "keydup": (
        {
            "locals": "table t { key = { meta.a : exact; } key = { meta.b : exact; } actions = { NoAction; } }",
            "apply": "t.apply();",
        },
        "property 'key' is given twice",
    ),
    "sizeneg": (
        {
            "locals": "table t { key = { meta.a : exact; } actions = { NoAction; } size = -3; }",
            "apply": "t.apply();",
        },
        "size cannot be negative",
    ),
    "sizert": (
        {
            "locals": "table t { key = { meta.a : exact; } actions = { NoAction; } size = meta.a; }",
            "apply": "t.apply();",
        },
        "size must be a compile-time constant number",
    ),
    "tmember": (
        {
            "locals": "table t { key = { meta.a : exact; } actions = { NoAction; } }",
            "apply": "if (t.apply().hitt) {}",
        },
        "the result of a table has no 'hitt'",
    ),
    "tmember2": (
        {"locals": "table t { key = { meta.a : exact; } actions = { NoAction; } }", "apply": "if (t.hit) {}"},
        "table 't' has no member 'hit'",
    ),
    "tapplyarg": (
        {"locals": "table t { key = { meta.a : exact; } actions = { NoAction; } }", "apply": "t.apply(1);"},
        "apply of a table takes no arguments",
    ),
    "ctlargt": (
        {"locals": "C() c;", "apply": "c.apply(meta.w);", "top": "control C(inout bit<8> x) { apply { } }"},
        "inout parameter 'x' has type 'bit<8>', the argument 'bit<16>'",
    ),
    "ctlnoctor": (
        {"locals": "C c;", "apply": "c.apply(meta.a);", "top": "control C(inout bit<8> x) { apply { } }"},
        "'C' needs an instantiation, with parentheses",
    ),
    "useafter": ({"apply": "{ bit<8> x = 1; } meta.a = x;"}, "unknown name 'x'"),
    "fwd": ({"top": "struct A { B b; } struct B { bit<8> x; }"}, "unknown type 'B'"),
    "selfstruct": ({"top": "struct A { A b; }"}, "unknown type 'A'"),
    "serunder": ({"top": "enum bit<8> A { X = 1 } const A a = A.Y;"}, "enum 'A' has no member 'Y'"),
    "externfield": ({"top": "struct A { counter c; }"}, "a struct cannot have a field of type 'counter'"),
    "listvar": (
        {"top": "struct A { list<bit<8>> l; }"},
        "a struct cannot have a field of type 'list<bit<8>>'",
    ),
    "intfield": ({"top": "header A { int l; }"}, "a header cannot have a field of type 'int'"),
    "stringfield": ({"top": "header A { string l; }"}, "a header cannot have a field of type 'string'"),
    "constwidth": (
        {"top": "const bit<8> X = 8; header A { bit<Y> b; }"},
        "a width is a number or an expression in parentheses, found 'Y'",
    ),
    "actiontop": ({"top": "action a() { meta.a = 1; }"}, "unknown name 'meta'"),
    "tabletop": (
        {"top": "table t { actions = { NoAction; } }"},
        "expected a declaration, found keyword 'table'",
    ),
    "statetop": ({"top": "state s { }"}, "expected '(' after the name of the function, found '{'"),
    "ctrapply": ({"top": "control C() { }"}, "control 'C' has no 'apply' block"),
    "tablein": (
        {"apply": "table t { actions = { NoAction; } }"},
        "expected a statement, found keyword 'table'",
    ),
    "actionin": ({"apply": "action a() { }"}, "expected a statement, found keyword 'action'"),
    "structin": (
        {"apply": "struct a { }"},
        "expected '}' after the statements of the block, found keyword 'struct'",
    ),
    "stmt1": ({"apply": "meta.a == 3;"}, "expected '=' or '(' after the name, found '=='"),
    "stmt2": ({"apply": "meta.a + 1;"}, "expected '=' or '(' after the name, found '+'"),
    "stmt3": ({"apply": "3;"}, "expected a statement, found 3"),
    "chain": ({"apply": "meta.a = meta.b = 3;"}, "expected ';' after the assignment, found '='"),
    "noassign": (
        {"apply": "f() = 3;", "top": "bit<8> f() { return 1; }"},
        "the result of a call cannot be assigned to",
    ),
    "lvcast": ({"apply": "(bit<8>)meta.a = 3;"}, "expected a statement, found '('"),
    "lvtern": ({"apply": "(meta.flag ? meta.a : meta.b) = 3;"}, "this expression cannot be assigned to"),
    "hdrassign": ({"apply": "hdr.h = hdr.v;"}, "type 'v_t' does not fit 'h_t' for the left side"),
    "stkassign": ({"apply": "h_t[3] s = hdr.st;"}, "type 'h_t[4]' does not fit 'h_t[3]' for variable 's'"),
    "unionset": ({"apply": "hdr.u.setValid();"}, "'u_t' has no method 'setValid'"),
    "unioninit": (
        {"apply": "hdr.u = { hdr.h, hdr.v };"},
        "type 'tuple<h_t, v_t>' does not fit 'u_t' for the left side",
    ),
    "satint": ({"apply": "int<8> x = 1 |+| 2;"}, "'|+|' is not defined for 'int'"),
    "satbool": (
        {"apply": "meta.flag = meta.flag |+| meta.flag;"},
        "'|+|' is not defined for 'bool' and 'bool'",
    ),
    "bitint": ({"apply": "meta.a = meta.a & true;"}, "'&' is not defined for 'bit<8>' and 'bool'"),
    "badlit": ({"apply": "meta.a = 8w;"}, "malformed number '8w'"),
    "badlit2": ({"apply": "meta.a = 0xG;"}, "malformed number '0xG'"),
    "badlit3": ({"apply": "meta.a = 1s1;"}, "type 'int<1>' does not fit 'bit<8>' for the left side"),
    "badlit4": ({"apply": "meta.w = 8s-1;"}, "malformed number '8s'"),
    "strlit": ({"apply": 'meta.a = "abc";'}, "type 'string' does not fit 'bit<8>' for the left side"),
    "this": (
        {"apply": "this.a = 3;"},
        "'this' is only allowed in extern implementations, which v1model has not",
    ),
    "externcall": ({"apply": "counter.count(3);"}, "type 'counter' has no method 'count'"),
    "hashbad": (
        {"apply": "hash(meta.w, HashAlgorithm.foo, 16w0, { meta.a }, 16w3);"},
        "enum 'HashAlgorithm' has no member 'foo'",
    ),
    "hashint": (
        {"apply": "hash(meta.w, HashAlgorithm.crc16, 16w0, { 1 }, 16w3);"},
        "'hash' gets a number without width for 'D'",
    ),
    "hashout": (
        {"apply": "hash(3, HashAlgorithm.crc16, 16w0, { meta.a }, 16w3);"},
        "an argument for out parameter 'result' must be a variable, field, element or slice",
    ),
    "cloneenum": ({"apply": "clone(I2E, 3);"}, "unknown name 'I2E'"),
    "listint": ({"apply": "meta.a = { 1 };"}, "type 'tuple<int>' does not fit 'bit<8>' for the left side"),
    "lists": (
        {"apply": "const list<bit<8>> l = { 1, true };"},
        "type 'bool' does not fit 'bit<8>' for a list element",
    ),
    "paren": ({"apply": "meta.a = (1;"}, "expected ')' after the expression, found ';'"),
    "semi": ({"apply": "meta.a = 1"}, "expected ';' after the assignment, found '}'"),
    "else": ({"apply": "else { }"}, "expected a statement, found keyword 'else'"),
    "kwname": ({"apply": "bit<8> table = 3;"}, "expected the name of the variable, found keyword 'table'"),
    "kwname2": ({"apply": "bit<8> select = 3;"}, "expected the name of the variable, found keyword 'select'"),
    "ctl_in_parser": (
        {
            "top": "control X() { apply {} } parser P(packet_in p) { X() x; state start { transition accept; } }"
        },
        "a control cannot be instantiated in a parser",
    ),
    "par_in_ctl": (
        {
            "top": "parser X(packet_in p) { state start { transition accept; } } control C() { X() x; apply {} }"
        },
        "a parser cannot be instantiated in a control",
    ),
    "pkg_in_ctl": (
        {"top": "package PK(); control C() { PK() x; apply {} }"},
        "a package cannot be instantiated in a control",
    ),
    "apply_twice": (
        {"top": "control C() { apply {} apply {} }"},
        "expected '}' after the 'apply' block, found keyword 'apply'",
    ),
    "fn_in_ctl": (
        {"top": "control C() { bit<8> f() { return 1; } apply {} }"},
        "expected ';' after the declaration of the variable, found '('",
    ),
    "tab_in_par": (
        {"top": "parser P(packet_in p) { table t { actions = {} } state start { transition accept; } }"},
        "expected a declaration or a state, found keyword 'table'",
    ),
    "fn_dup": (
        {"top": "bit<8> f(in bit<8> a) { return a; } bit<8> f(in bit<8> a) { return a; }"},
        "function 'f' with these parameter names is already declared",
    ),
    "ext_ctorname": ({"top": "extern X { Y(); }"}, "a method needs a result type"),
    "abs_noimpl": (
        {"top": "extern X { X(); abstract void f(in bit<8> a); } X() x;"},
        "'x' does not implement the abstract method 'f'",
    ),
    "abs_badimpl": (
        {"top": "extern X { X(); abstract void f(in bit<8> a); } X() x = { void f(in bit<16> a) { } };"},
        "'f' is not declared like this in 'X'",
    ),
    "abs_unk": (
        {
            "top": "extern X { X(); abstract void f(in bit<8> a); } X() x = { void f(in bit<8> a) { } void g() {} };"
        },
        "'X' has no abstract method 'g'",
    ),
    "ctor_noext": (
        {"top": "extern X { void f(); } X() x;"},
        "no overload of constructor of 'X' takes these 0 arguments",
    ),
    "gen_ctl_arg": (
        {"top": "control C<T>(inout T x); control D(inout bit<8> x)(C c) { apply { } }"},
        "'C' needs type arguments: C<…>",
    ),
    "enumself": ({"top": "enum bit<8> E { A = B, B = 1 }"}, "unknown name 'B'"),
    "hdrneg": ({"top": "typedef h_t[-1] x;"}, "a header stack cannot have -1 elements"),
    "hdr0": ({"top": "typedef h_t[0] x;"}, "a header stack cannot have 0 elements"),
    "hdrrt": (
        {"top": "control C(in bit<8> n) { h_t[n] x; apply {} }"},
        "the size of a header stack must be a compile-time constant number",
    ),
    "str_cmp": ({"top": 'const bool b = "a" < "b";'}, "'<' is not defined for 'string' and 'string'"),
    "str_add": ({"top": 'const string b = "a" + "b";'}, "'+' is not defined for 'string' and 'string'"),
    "sermix": ({"top": "enum bit<8> E { A = 1w1 ++ 3 }"}, "'++' is not defined for 'bit<1>' and 'int'"),
    "ctor_write": (
        {"top": "control C()(bit<8> k) { apply { k = 3; } }"},
        "constructor parameter 'k' cannot be written",
    ),
    "actdefault": ({"top": "action a(in bit<8> x = y) { }"}, "unknown name 'y'"),
    "fn_const_rt": (
        {"apply": "f(meta.a);", "top": "extern void f(bit<8> x);"},
        "the argument for parameter 'x' must be known at compile time",
    ),
    "defarg_missing": (
        {"apply": "f(b = 3);", "top": "void f(in bit<8> a, in bit<8> b = 3) {}"},
        "no argument for parameter 'a' of function 'f'",
    ),
    "castint": (
        {"apply": "bit<8> z = (bit<8>)(int)meta.a;"},
        "only compile-time values can be cast to 'int'",
    ),
    "shiftint": ({"apply": "meta.a = (bit<8>)(1 << meta.a);"}, "an 'int' can be shifted only by a constant"),
    "psel0": ({"apply": "meta.w = meta.d[3 +: 0];"}, "a slice cannot be 0 bits wide"),
    "pselbig": ({"apply": "meta.w = meta.d[30 +: 16];"}, "slice [45:30] exceeds 'bit<32>'"),
    "hdrcmp": ({"apply": "if (hdr.h == hdr.v) {}"}, "'==' is not defined for 'h_t' and 'v_t'"),
    "structcmp": ({"apply": "if (meta.p == hdr) {}"}, "'==' is not defined for 'pair_t' and 'headers_t'"),
    "tupcmp": (
        {"apply": "tuple<bit<8>> t = { 1 }; if (t == { 1, 2 }) {}"},
        "2 values for 'tuple<bit<8>>', which has 1 fields",
    ),
    "invalidnon": ({"apply": "meta.p = {#};"}, "type '_' does not fit 'pair_t' for the left side"),
    "invalidcmp": ({"apply": "if (meta.p == {#}) {}"}, "'==' is not defined for 'pair_t' and '_'"),
    "dots": ({"apply": "hdr.h = { ..., 1 };"}, "expected '}' after the list, found 1"),
    "externassign": (
        {
            "apply": "c1 = c2;",
            "locals": "counter(1, CounterType.bytes) c1; counter(1, CounterType.bytes) c2;",
        },
        "instance 'c2' is not a value",
    ),
    "tabassign": (
        {"apply": "t = t;", "locals": "table t { actions = { NoAction; } }"},
        "table 't' is not a value",
    ),
    "actrunassign": (
        {"apply": "meta.a = t.apply().action_run;", "locals": "table t { actions = { NoAction; } }"},
        "'t.apply() action_run' is not a value",
    ),
    "nestedapply": (
        {"apply": "c.apply(c.apply());", "locals": "C() c;", "top": "control C() { apply {} }"},
        "'C.apply' takes 0 arguments, not 1",
    ),
    "actinctl": (
        {"locals": "action a(C c) {}", "apply": "", "top": "control C() { apply {} }"},
        "the control plane cannot give a 'C' for 'c'",
    ),
    "dupactlisted": (
        {
            "locals": "table t { key = { meta.a : exact; } actions = { NoAction; NoAction; } }",
            "apply": "t.apply();",
        },
        "action 'NoAction' is listed twice",
    ),
    "rangebad": (
        {
            "locals": "action a() {} table t { key = { meta.a : range; } actions = { a; } const entries = { 1 &&& 3 : a(); } }",
            "apply": "t.apply();",
        },
        "a mask cannot match a key of kind range",
    ),
    "optmask": (
        {
            "locals": "action a() {} table t { key = { meta.a : optional; } actions = { a; } const entries = { 1 &&& 3 : a(); } }",
            "apply": "t.apply();",
        },
        "a mask cannot match a key of kind optional",
    ),
    "defconst2": (
        {
            "locals": "action a(bit<8> x) {} table t { key = { meta.a : exact; } actions = { a; } default_action = a(x = 1, y = 2); }",
            "apply": "t.apply();",
        },
        "'a' has no parameter 'y'",
    ),
    "defnon": (
        {
            "locals": "table t { key = { meta.a : exact; } actions = { NoAction; } default_action = 3; }",
            "apply": "t.apply();",
        },
        "default_action must be an action, with its arguments",
    ),
    "selectout": (
        {"parser": "state start { meta.a = select(meta.a) { 1 : 2; }; transition accept; }"},
        "expected an expression, found keyword 'select'",
    ),
    "transconst": (
        {"parser": "state start { transition 3; }"},
        "expected a state or 'select' after 'transition', found 3",
    ),
    "transmid": (
        {"parser": "state start { transition accept; meta.a = 1; }"},
        "expected '}' after the transition, found 'meta'",
    ),
    "nolook": (
        {"parser": "state start { meta.w = packet.lookahead<bit<8>>(); transition accept; }"},
        "type 'bit<8>' does not fit 'bit<16>' for the left side",
    ),
    "subfew": (
        {
            "parser": "S() s; state start { s.apply(packet); transition accept; }",
            "top": "parser S(packet_in p, out h_t h) { state start { transition accept; } }",
        },
        "'S.apply' takes 2 arguments, not 1",
    ),
    "callact": (
        {"parser": "state start { NoAction(); transition accept; }"},
        "action 'NoAction' can only be called in controls and actions",
    ),
    "rangeb": (
        {"parser": "state start { transition select(meta.flag) { false..true: accept; } }"},
        "a range needs two numbers of one type, not 'bool' and 'bool'",
    ),
    "maskb": (
        {"parser": "state start { transition select(meta.flag) { true &&& true: accept; } }"},
        "a mask needs two numbers of one type, not 'bool' and 'bool'",
    ),
    "maskw": (
        {"parser": "state start { transition select(meta.a) { 16w1 &&& 8w1: accept; } }"},
        "a mask needs two numbers of one type, not 'bit<16>' and 'bit<8>'",
    ),
    "enumrange": (
        {"parser": "state start { transition select(meta.e) { error.NoError .. error.NoMatch: accept; } }"},
        "a range needs two numbers of one type, not 'error' and 'error'",
    ),
    "strsel": (
        {"parser": 'state start { transition select("a") { "a": accept; } }'},
        "select is not possible on 'string'",
    ),
    "tupw": (
        {"parser": "state start { transition select(meta.a, meta.b) { (1, 2, 3): accept; } }"},
        "3 key sets for 2 subjects",
    ),
    "nextrd": (
        {"parser": "state start { meta.a = hdr.st.foo; transition accept; }"},
        "a header stack has no 'foo'",
    ),
}
