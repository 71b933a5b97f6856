"""docs/targets.md says what the conformance programs show, and nothing more."""

import os

import pytest
from targets_page import PAGE, PROGRAMS, ROOT, page, rows, shown

from p4cats.compiler.backends.model import generate
from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_text
from p4cats.switch.stf import parse_stf, run_statements


def test_the_page_is_up_to_date():
    if os.environ.get("P4CATS_GOLDEN"):
        PAGE.write_text(page())
    assert page() == PAGE.read_text(), "write it anew with `make golden`"


def test_every_program_names_its_features_and_every_feature_has_a_row():
    programs = {name for names in shown().values() for name in names}
    assert {path.stem for path in PROGRAMS.glob("*.p4")} == programs
    assert set(shown()) <= {row.feature for row in rows()}


def test_every_yes_is_shown_by_a_test_and_every_no_has_a_reason():
    for row in rows():
        if row.model:
            assert row.model.startswith("no: ")
            assert row.feature not in shown()
        elif row.test:
            path, _, name = row.test.partition("::")
            assert f"def {name}" in (ROOT / path).read_text()
        else:
            assert row.feature in shown(), row.feature


SMALL = """
#include <core.p4>
#include <v1model.p4>
{before}
header byte_t {{ bit<8> x; {field} }}
struct headers_t {{ byte_t b; }}
struct meta_t {{}}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    state start {{ packet.extract(hdr.b); transition accept; }}
}}
control V(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    action increment() {{ hdr.b.x = hdr.b.x + 1; }}
    table t {{ actions = {{ increment; }} default_action = increment; }}
    apply {{ sm.egress_spec = 1; {body} }}
}}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{ apply {{}} }}
control C(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control D(packet_out packet, in headers_t hdr) {{ apply {{ packet.emit(hdr); }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


def small(body="", before="", field=""):
    return compile_text(SMALL.format(body=body, before=before, field=field), "small.p4")


@pytest.mark.parametrize("target", ["model", pytest.param("xdp", marks=pytest.mark.root)])
def test_table_twice(target):
    result = run_statements(
        small("t.apply(); t.apply();"),
        parse_stf("packet 0 07\nexpect 1 09 $"),
        "small.p4",
        "small.stf",
        target,
    )
    assert result.passed, str(result)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"field": "bit<3> odd;"}, r"small\.p4:\d+:\d+: error: .*no multiple of 8 bits"),
        (
            {"body": "hash(hdr.b.x, HashAlgorithm.random, 8w0, { hdr.b.x }, 8w9);"},
            r"small\.p4:\d+:\d+: error: .*hash algorithm random",
        ),
        (
            {"before": "extern void mystery(inout bit<8> x);", "body": "mystery(hdr.b.x);"},
            r"small\.p4:\d+:\d+: error: .*extern mystery is not part of v1model",
        ),
        (
            {"before": "extern Box { Box(); void open(); }", "body": "Box() box; box.open();"},
            r"small\.p4:\d+:\d+: error: .*Box",
        ),
    ],
)
def test_what_the_model_lacks_is_refused_by_name_and_place(parts, message):
    with pytest.raises(CompileError, match=message):
        generate(small(**parts))
