"""P4Info of whole programs: golden files, formats, and what p4c puts where.

Rewrite the golden files with `P4CATS_GOLDEN=write pytest tests/unit/p4info` and review the difference.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from finsy.proto import p4i

from p4cats.compiler.backends.p4info import p4info, p4info_text, read_p4info, write_p4info
from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_file, compile_text
from p4cats.switch.programs import compile_config, compile_pipeline

HERE = Path(__file__).parent
ROOT = HERE.parent.parent.parent
PROGRAMS = {
    "everything": HERE.parent / "switch" / "everything.p4",
    "edge": ROOT / "p4src" / "edge.p4",
    "transit": ROOT / "p4src" / "transit.p4",
}
CONFORMANCE = (
    "digests",
    "direct_meters",
    "index_types",
    "packet_io",
    "table_default",
    "table_key_types",
    "table_priorities",
    "table_range_optional",
    "value_sets",
)
PROGRAMS.update({name: ROOT / "tests" / "conformance" / "programs" / f"{name}.p4" for name in CONFORMANCE})


def golden(name: str, text: str) -> None:
    path = HERE / f"{name}.p4info.txtpb"
    if os.environ.get("P4CATS_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_p4info_is_stable(name: str) -> None:
    golden(name, p4info_text(p4info(compile_file(PROGRAMS[name]))))


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_preprocessed_text_gives_the_same_p4info(name: str) -> None:
    program = compile_pipeline(PROGRAMS[name])
    assert compile_config(program.config).info == program.info


@pytest.mark.parametrize("suffix", [".txtpb", ".txt", ".json", ".bin"])
def test_every_format_reads_back(tmp_path: Path, suffix: str) -> None:
    info = p4info(compile_file(PROGRAMS["everything"]))
    path = tmp_path / f"x.p4info{suffix}"
    write_p4info(info, path)
    assert read_p4info(path) == info


def test_text_names_its_message_first_and_ends_with_type_info(tmp_path: Path) -> None:
    text = p4info_text(p4info(compile_file(PROGRAMS["transit"])))
    assert text.startswith(
        "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n"
    )
    assert text.endswith("type_info {\n}\n")


def test_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown suffix"):
        write_p4info(p4i.P4Info(), tmp_path / "x.yaml")


SKELETON = """
#include <v1model.p4>
header h_t {{ bit<8> f; bit<8> g; }}
struct headers {{ h_t h; h_t[2] s; }}
struct meta {{ bit<8> x; }}
parser P(packet_in p, out headers hdr, inout meta m, inout standard_metadata_t sm) {{
    state start {{ p.extract(hdr.h); transition accept; }}
}}
control V(inout headers hdr, inout meta m) {{ apply {{ }} }}
control I(inout headers hdr, inout meta m, inout standard_metadata_t sm) {{
    {locals}
    apply {{ {body} }}
}}
control E(inout headers hdr, inout meta m, inout standard_metadata_t sm) {{ apply {{ }} }}
control C(inout headers hdr, inout meta m) {{ apply {{ }} }}
control D(packet_out p, in headers hdr) {{ apply {{ p.emit(hdr.h); }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


def info_of(locals_: str, body: str = "t.apply();") -> p4i.P4Info:
    return p4info(compile_text(SKELETON.format(locals=locals_, body=body), "test.p4"))


def test_table_without_size_or_default_gets_1024_and_noaction_for_default_only() -> None:
    [table] = info_of("action a() {} table t { key = { hdr.h.f: exact; } actions = { a; } }").tables
    assert table.size == 1024
    assert table.match_fields[0].name == "hdr.h.f"
    assert table.action_refs[1].scope == p4i.ActionRef.DEFAULT_ONLY
    assert table.action_refs[1].annotations == ["@defaultonly"]
    assert table.initial_default_action.action_id == 21257015
    assert table.const_default_action_id == 0


def test_default_action_shows_its_arguments_padded_to_their_width() -> None:
    [table] = info_of(
        "action a(bit<16> x) { m.x = x[7:0]; } table t { actions = { a; } const default_action = a(5); }"
    ).tables
    assert [(a.param_id, a.value) for a in table.initial_default_action.arguments] == [(1, b"\0\x05")]
    assert table.const_default_action_id == table.initial_default_action.action_id


def test_hidden_objects_and_tables_never_applied_are_left_out() -> None:
    info = info_of(
        "action a() {} action b() {}"
        "table t { actions = { a; } default_action = a(); }"
        "@hidden table hidden { actions = { a; } default_action = a(); }"
        "table unused { actions = { b; } default_action = b(); }",
        "t.apply(); hidden.apply();",
    )
    assert [t.preamble.name for t in info.tables] == ["I.t"]
    assert [a.preamble.name for a in info.actions] == ["I.a"]


def test_validity_key_is_named_valid_and_one_bit_wide() -> None:
    [table] = info_of("table t { key = { hdr.h.isValid(): exact; } actions = { NoAction; } }").tables
    assert (table.match_fields[0].name, table.match_fields[0].bitwidth) == ("hdr.h.$valid$", 1)


def test_global_name_of_a_field_leaves_out_what_holds_it() -> None:
    # Programs translated from P4_14 name their headers so: @name(".ipv4") ipv4_t ipv4;
    text = SKELETON.replace("h_t h;", '@name(".outer") h_t h;').format(
        locals="table t { key = { hdr.h.f: exact; hdr.h.isValid(): exact; m.x: exact; }"
        " actions = { NoAction; } }",
        body="t.apply();",
    )
    [table] = p4info(compile_text(text, "test.p4")).tables
    assert [f.name for f in table.match_fields] == ["outer.f", "outer.$valid$", "m.x"]


def test_annotations_are_kept_except_those_with_fields_of_their_own() -> None:
    [table] = info_of(
        '@name(".global") @id(9) @brief("what") @mine("x") @flag table t { actions = { NoAction; } }'
    ).tables
    assert table.preamble.name == "global"
    assert table.preamble.id == 0x02000009
    assert table.preamble.doc.brief == "what"
    assert list(table.preamble.annotations) == ['@mine("x")', "@flag"]


def test_annotation_bodies_are_tokens_with_a_space_between() -> None:
    # As p4c prints bodies that it does not know: controllers match on this text.
    info = info_of('@refers_to(a.b,"k") @empty() @nested(@f(A), @f(B)) table t { actions = { NoAction; } }')
    assert list(info.tables[0].preamble.annotations) == [
        '@refers_to(a . b , "k")',
        "@empty",
        "@nested(@ f ( A ) , @ f ( B ))",
    ]


def test_two_actions_with_one_control_plane_name_are_a_compile_error() -> None:
    locals_ = """@name("x") action a() {} @name("x") action b() {}
    table t { key = { hdr.h.f: exact; } actions = { a; b; } }"""
    with pytest.raises(CompileError, match=r"two actions have the control-plane name 'I\.x'"):
        info_of(locals_)


def test_parameter_keeps_its_written_name_where_two_actions_share_it() -> None:
    info = info_of(
        "action a(bit<8> port) { m.x = port; } action b(bit<8> port) { m.x = port; }"
        "table t { actions = { a; b; } default_action = a(1); }"
    )
    assert [a.params[0].name for a in info.actions] == ["port", "port"]


def test_id_of_another_kind_is_a_compile_error_at_the_object() -> None:
    with pytest.raises(CompileError, match=r"test\.p4:\d+:\d+: error: @id\(0x1000009\)"):
        info_of("@id(0x01000009) table t { actions = { NoAction; } }")


def test_two_objects_of_one_name_are_a_compile_error() -> None:
    with pytest.raises(CompileError, match="two tables have the control-plane name"):
        info_of(
            '@name(".x") table t { actions = { NoAction; } } @name(".x") table u { actions = { NoAction; } }',
            "t.apply(); u.apply();",
        )


def test_every_id_has_the_prefix_of_its_kind_and_every_alias_ends_its_name() -> None:
    info = p4info(compile_file(PROGRAMS["everything"]))
    prefixes = {
        "tables": 0x02, "actions": 0x01, "action_profiles": 0x11, "counters": 0x12, "direct_counters": 0x13,
        "meters": 0x14, "direct_meters": 0x15, "registers": 0x16, "digests": 0x17, "value_sets": 0x03,
        "controller_packet_metadata": 0x04,
    }  # fmt: skip
    seen: set[str] = set()
    for name, prefix in prefixes.items():
        objects = getattr(info, name)
        assert objects, name
        for item in objects:
            assert item.preamble.id >> 24 == prefix
            assert item.preamble.name.endswith(item.preamble.alias)
            assert item.preamble.alias not in seen
            seen.add(item.preamble.alias)
