"""Elaboration: instances, control-plane names, what the control plane sees, and the verifier of the IR."""

from __future__ import annotations

import time

import pytest
from types_harness import DECLARATIONS, compiled, errors, frame, refused, warnings

from p4cats.compiler import CompileError, compile_text
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir.verify import MalformedIR, verify

SUB = """
control Sub(inout bit<8> x)(bit<8> k) {
    action inc() { x = x + k; }
    table t { actions = { inc; } default_action = inc(); }
    apply { t.apply(); }
}
"""


def test_names_begin_with_the_type_of_the_top_block_and_the_names_of_instances() -> None:
    program = compiled(
        "c.apply(meta.a); d.apply(meta.b);", top=SUB, locals='Sub(1) c; @name("x.y") Sub(2) d;'
    )
    assert [t.name for t in program.tables] == ["MyIngress.c.t", "MyIngress.x.y.t"]
    assert [a.name for a in program.actions] == ["MyIngress.c.inc", "MyIngress.x.y.inc"]


def test_name_with_a_leading_dot_is_absolute() -> None:
    program = compiled(
        "t.apply();", locals='@name(".far") action a() {} @name(".away") table t { actions = { a; } }'
    )
    assert [t.name for t in program.tables] == ["away"]
    assert [a.name for a in program.actions] == ["far", "NoAction"]


def test_direct_application_makes_instances_named_after_the_type() -> None:
    top = "control D(inout bit<8> x) { table t { actions = { NoAction; } } apply { t.apply(); } }"
    program = compiled("D.apply(meta.a); D.apply(meta.b);", top=top)
    assert [t.name for t in program.tables] == ["MyIngress.D.t", "MyIngress.D_1.t"]


def test_each_instance_has_its_constructor_arguments_folded_in() -> None:
    program = compiled("c.apply(meta.a); d.apply(meta.b);", top=SUB, locals="Sub(1) c; Sub(2) d;")
    constants = []
    for action in program.actions:
        (statement,) = action.body
        assert isinstance(statement, ir.Assign)
        assert isinstance(statement.value, ir.Binary)
        assert isinstance(statement.value.right, ir.Const)
        constants.append(statement.value.right.value)
    assert constants == [1, 2]


def test_table_that_is_never_applied_and_its_actions_do_not_exist_for_the_control_plane() -> None:
    source = "action a() {} action b() {} table t { actions = { a; } } table u { actions = { b; } }"
    program = compiled("u.apply();", locals=source)
    assert [t.name for t in program.tables] == ["MyIngress.u"]
    assert [a.name for a in program.actions] == ["MyIngress.b", "NoAction"]
    assert warnings("u.apply();", locals=source) == ["table 't' is never used"]


def test_table_without_default_action_gets_no_action_as_default_only() -> None:
    program = compiled("t.apply();", locals="action a() {} table t { actions = { a; } }")
    (table,) = program.tables
    assert table.default.action.name == "NoAction"
    assert not table.default_written
    assert [(r.action.name, r.default_only) for r in table.actions] == [
        ("MyIngress.a", False),
        ("NoAction", True),
    ]
    assert table.size == 1024


def test_const_entries_rank_in_source_order_and_written_priorities_count() -> None:
    keys = "key = { meta.a : ternary; } actions = { NoAction; }"
    program = compiled(
        "t.apply(); u.apply(); v.apply();",
        locals=f"table t {{ {keys} const entries = {{ 1 : NoAction; 2 : NoAction; _ : NoAction; }} }}"
        f"table u {{ {keys} entries = {{ priority = 7: 1 : NoAction; const priority = 9: 2 : NoAction; }} }}"
        "table v { key = { meta.a : exact; } actions = { NoAction; } const entries = { 1 : NoAction; } }",
    )
    assert [[(e.priority, e.const) for e in t.entries] for t in program.tables] == [
        [(3, True), (2, True), (1, True)],
        [(7, False), (9, True)],
        [(0, True)],
    ]


def test_key_names_are_the_source_expressions_as_p4info_wants_them() -> None:
    keys = "hdr.h.b : exact; hdr.st[1].a : exact; meta.w[11:4] : exact;"
    keys += "hdr.g.isValid() : exact; meta.d & 0xff : exact;"
    program = compiled("t.apply();", locals=f"table t {{ key = {{ {keys} }} actions = {{ NoAction; }} }}")
    assert [k.name for k in program.tables[0].keys] == [
        "hdr.h.b", "hdr.st[1].a", "meta.w[11:4]", "hdr.g.$valid$", "meta.d & 0xff",
    ]  # fmt: skip


def test_p4runtime_translation_is_kept_beside_the_lowered_type() -> None:
    top = '@p4runtime_translation("p4cats/port", 32) type bit<9> port_id_t;'
    program = compiled(
        "t.apply();",
        top=top,
        locals="port_id_t p = (port_id_t)9w1; action a(port_id_t x) {}"
        " table t { key = { p : exact; } actions = { a; } }",
    )
    written = program.tables[0].keys[0].written
    assert written is not None
    assert (written.name, written.kind, written.translation) == ("port_id_t", "newtype", ("p4cats/port", 32))
    assert program.actions[0].data[0].written is written


def test_generic_types_are_specialised_once_per_arguments() -> None:
    program = compiled(
        "G<bit<8>> a = {1}; G<bit<8>> b = a; G<bit<16>> c = {2}; meta.a = b.x; meta.w = c.x;",
        top="struct G<T> { T x; }",
    )
    names = [c.name for c in program.composites if c.name.startswith("G")]
    assert names == ["G<bit<8>>", "G<bit<16>>"]


def test_errors_are_reported_together_in_order_each_once() -> None:
    found = errors("meta.a = meta.w; meta.zz = 1; undefined = undefined + meta.zz; meta.b = true;")
    assert [d.message for d in found] == [
        "type 'bit<16>' does not fit 'bit<8>' for the left side",
        "struct 'meta_t' has no field 'zz'",
        "unknown name 'undefined'",
        "struct 'meta_t' has no field 'zz'",
        "type 'bool' does not fit 'bit<8>' for the left side",
    ]


def test_main_must_exist_and_be_a_v1switch() -> None:
    with pytest.raises(CompileError, match="the program has no 'main'"):
        compile_text("#include <core.p4>\n", "none.p4")
    with pytest.raises(CompileError, match="package 'Other' is not supported: main must be a V1Switch"):
        compile_text("package Other(); Other() main;", "other.p4")


def test_block_that_does_not_fit_the_package_is_explained() -> None:
    text = frame().replace(
        "control MyVerify(inout headers_t hdr, inout meta_t meta)", "control MyVerify(in headers_t hdr)"
    )
    with pytest.raises(CompileError) as caught:
        compile_text(text, "fit.p4")
    assert caught.value.diagnostics[0].message == "'MyVerify' has 1 parameters, 'VerifyChecksum' has 2"


def test_digest_without_a_name_is_numbered() -> None:
    program = compiled("digest(1, { meta.a }); digest<pair_t>(1, meta.p); digest(1, { meta.w });")
    assert [d.name for d in program.digests] == ["digest_0", "pair_t", "digest_1"]


def test_deep_nesting_and_long_chains_do_not_exhaust_the_stack() -> None:
    compiled("meta.a = " + "(" * 150 + "meta.b" + ")" * 150 + ";")
    compiled("meta.a = " + " + ".join(["meta.b"] * 900) + ";")
    compiled("if (meta.flag) {" * 100 + "meta.a = 1;" + "}" * 100)


def test_compile_time_grows_linearly() -> None:
    def seconds(count: int) -> float:
        actions = "".join(f"action a_{i}(bit<8> x) {{ meta.a = x + meta.b; }} " for i in range(count))
        tables = "".join(
            f"table t_{i} {{ key = {{ hdr.h.a : exact; }} actions = {{ a_{i}; NoAction; }} }} "
            for i in range(count)
        )
        text = frame("".join(f"t_{i}.apply(); " for i in range(count)), locals=actions + tables)
        begin = time.process_time()
        compile_text(text, "large.p4")
        return time.process_time() - begin

    seconds(20)
    assert seconds(400) < 8 * seconds(100) + 0.2


def test_size_of_a_type_that_no_machine_can_hold_is_refused() -> None:
    assert refused("bit<100000000> x;") == "a width of 100000000 bits is not supported"


def test_verifier_finds_a_type_error_in_the_ir() -> None:
    program = compiled("meta.a = meta.b;")
    (statement,) = program.ingress.body
    assert isinstance(statement, ir.Assign)
    statement.value.type = ir.Const(statement.span, program.metadata.by_name["w"].type, 0).type
    with pytest.raises(MalformedIR):
        verify(program)


def test_verifier_finds_a_variable_of_another_block() -> None:
    program = compiled("meta.a = meta.b;", egress="meta.a = meta.b;")
    program.egress.body = program.ingress.body
    with pytest.raises(MalformedIR, match="is not of this block"):
        verify(program)


def test_verifier_finds_overlapping_arguments() -> None:
    program = compiled("f(meta.a, meta.b);", top="void f(inout bit<8> x, in bit<8> y) { x = y; }")
    (statement,) = program.ingress.body
    assert isinstance(statement, ir.CallFunction)
    statement.arguments[1].value = statement.arguments[0].value
    with pytest.raises(MalformedIR, match="overlap"):
        verify(program)


BLOCKS = "MyParser(), MyVerify(), MyIngress(), MyEgress(), MyCompute(), MyDeparser()"


@pytest.mark.parametrize(
    "main",
    [
        f"V1Switch<headers_t, meta_t>({BLOCKS})",
        f"V1Switch<_, meta_t>({BLOCKS})",
        "V1Switch(dep = MyDeparser(), p = MyParser(), vr = MyVerify(), ig = MyIngress(), eg = MyEgress(),"
        " ck = MyCompute())",
    ],
)
def test_main_may_name_its_types_and_its_blocks(main: str) -> None:
    compile_text(frame("meta.a = 1;").replace(f"V1Switch({BLOCKS})", main), "main.p4")


@pytest.mark.parametrize(
    ("main", "message"),
    [
        (
            f"V1Switch<headers_t, pair_t>({BLOCKS})",
            "parameter 'meta' of 'MyParser' has type 'meta_t', expected 'pair_t'",
        ),
        (f"V1Switch({BLOCKS.replace('MyCompute(), ', '')})", "'V1Switch' takes 6 arguments, not 5"),
        (f"V1Switch({BLOCKS.replace('MyParser', 'MyVerify')})", "'MyVerify' is a control, not a parser"),
    ],
)
def test_main_that_does_not_fit_is_one_error(main: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_text(frame().replace(f"V1Switch({BLOCKS})", main), "main.p4")
    assert [d.message for d in caught.value.diagnostics] == [message]


def test_field_lists_may_use_names_of_constants() -> None:
    declarations = DECLARATIONS.replace("    bit<8> a;", "    @field_list(F.ONE, 2) bit<8> a;")
    program = compiled(declarations="enum bit<8> F { ONE = 1 }" + declarations)
    annotation = program.metadata.by_name["a"].annotation("field_list")
    assert annotation is not None
    assert annotation.text == "1, 2"


def test_likely_mistakes_are_warned_of() -> None:
    assert warnings("bit<8> x; meta.a = x;") == ["variable 'x' is read before it has a value"]
    assert warnings("a();", locals="bit<8> x; action a() { meta.a = x; }") == [
        "variable 'x' is read but never given a value"
    ]
    assert warnings("bit<8> x = 1;") == ["variable 'x' is never used"]
    assert warnings('@noWarn("unused") bit<8> x = 1;') == []
    assert warnings(locals="action a() {}") == ["action 'a' is never used"]
    assert warnings("meta.a = 256;") == ["value 256 does not fit 'bit<8>', it is truncated"]
    assert warnings("mark_to_drop();") == ["'mark_to_drop' is deprecated"]


def test_unknown_name_is_reported_once_with_what_was_meant() -> None:
    (found,) = errors("meta.a = mta.a; meta.b = mta.b;")
    assert (found.message, found.hint) == ("unknown name 'mta'", "did you mean 'meta'?")
