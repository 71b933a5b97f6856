"""A v1model program around the piece under test, and short ways to compile it."""

from __future__ import annotations

import pytest

from p4cats.compiler import CompileError, Reporter, compile_text
from p4cats.compiler.diagnostics import Diagnostic, Severity
from p4cats.compiler.ir import nodes as ir

DECLARATIONS = """
header h_t { bit<8> a; bit<16> b; int<8> s; bool flag; bit<7> pad; }
header v_t { bit<8> len; varbit<64> data; }
header_union u_t { h_t h; v_t v; }
struct pair_t { bit<8> x; bit<8> y; }
struct headers_t { h_t h; h_t g; v_t v; h_t[4] st; u_t u; }
struct meta_t {
    bit<8> a; bit<8> b; bit<16> w; bit<32> d; int<8> s; bool flag; pair_t p; pair_t q; error e; bit<9> port;
}
"""

FRAME = """#include <core.p4>
#include <v1model.p4>
{declarations}
{top}
parser MyParser(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
{parser}
}}
control MyVerify(inout headers_t hdr, inout meta_t meta) {{ apply {{ {verify} }} }}
control MyIngress(
    inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm
) {{
{locals}
apply {{
{apply}
}} }}
control MyEgress(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    apply {{ {egress} }}
}}
control MyCompute(inout headers_t hdr, inout meta_t meta) {{ apply {{ {compute} }} }}
control MyDeparser(packet_out packet, in headers_t hdr) {{ apply {{ {deparser} }} }}
V1Switch(MyParser(), MyVerify(), MyIngress(), MyEgress(), MyCompute(), MyDeparser()) main;
"""

PARSER = "state start { transition accept; }"


def frame(
    apply: str = "",
    *,
    locals: str = "",
    top: str = "",
    parser: str = PARSER,
    deparser: str = "packet.emit(hdr);",
    egress: str = "",
    verify: str = "",
    compute: str = "",
    declarations: str = DECLARATIONS,
) -> str:
    """The whole program."""
    return FRAME.format(
        apply=apply, locals=locals, top=top, parser=parser, deparser=deparser, egress=egress, verify=verify,
        compute=compute, declarations=declarations,
    )  # fmt: skip


def compiled(apply: str = "", **parts: str) -> ir.Program:
    """Compile a piece, which must be right."""
    return compile_text(frame(apply, **parts), "test.p4")


def refused(apply: str = "", **parts: str) -> str:
    """The first error of a piece, which must be wrong: its message."""
    return errors(apply, **parts)[0].message


def errors(apply: str = "", **parts: str) -> list[Diagnostic]:
    """All errors of a piece, which must be wrong."""
    reporter = Reporter()
    with pytest.raises(CompileError):
        compile_text(frame(apply, **parts), "test.p4", reporter=reporter)
    return [d for d in reporter.diagnostics if d.severity is Severity.ERROR]


def warnings(apply: str = "", **parts: str) -> list[str]:
    """Messages of all warnings of a right piece."""
    reporter = Reporter()
    compile_text(frame(apply, **parts), "test.p4", reporter=reporter)
    return [d.message for d in reporter.diagnostics if d.severity is Severity.WARNING]
