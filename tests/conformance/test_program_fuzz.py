"""A few hundred mutants of `make fuzz` on every run, and what its first ten thousand found."""

import random
import re

import pytest
from program_fuzz import PROGRAMS, corpus, fuzz, mutant

from p4cats.compiler.backends.model import generate
from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_file, compile_text
from p4cats.switch.stf import StfError, parse_stf, run_statements

MUTANTS = 400


def test_mutants_give_a_program_or_diagnostics():
    outcomes, findings = fuzz(range(MUTANTS))
    assert not findings, "\n".join(f"seed {f.seed}, from {f.program}:\n{f.trace}" for f in findings)
    assert outcomes["ran"] > MUTANTS // 20, f"the mutants are too wild: {outcomes}"
    assert outcomes["refused"] > MUTANTS // 4, f"the mutants are too tame: {outcomes}"


STF_WORDS = (
    "0x*", "$", "-1", "*", "08", "99999999999999999999", "(", ")", ":", '"', "#", "add", "packet", "expect",
    "600", "/33", "&&&", "0x1..0x2", "no_packet", "setdefault", "mc_node_associate 1 0",
    "meter_set_rates x 0 1:1 2:2",
)  # fmt: skip


def test_mutated_stf_files_run_or_name_the_line_that_is_wrong():
    pieces = corpus()
    programs = {piece.name: compile_file(PROGRAMS / f"{piece.name}.p4") for piece in pieces}
    for seed in range(MUTANTS):
        rng = random.Random(seed)
        piece = rng.choice(pieces)
        tokens = re.findall(r"\s+|[\w.$*]+|\S", piece.stf)
        for _ in range(rng.choice((1, 1, 2, 4))):
            at = rng.randrange(len(tokens))
            tokens[at : at + rng.randrange(3)] = [rng.choice((*STF_WORDS, rng.choice(tokens), " "))]
        try:
            run_statements(programs[piece.name], parse_stf("".join(tokens), "x.stf"), piece.name, "x.stf")
        except StfError as error:
            assert re.match(r"x\.stf:\d+: error: ", str(error)), f"seed {seed}"  # noqa: PT017


def test_a_seed_gives_one_mutant():
    pieces = corpus()
    assert mutant(pieces, 7) == mutant(pieces, 7)
    assert len({mutant(pieces, seed)[1] for seed in range(50)}) > 45


PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header byte_t {{ bit<8> x; }}
struct headers_t {{ byte_t b; }}
struct meta_t {{ bit<8> colour; }}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    state start {{ packet.extract(hdr.b); transition {state}; }}
    state endless {{ transition start_again; }}
    state start_again {{ transition endless; }}
}}
control V(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{
    counter(4, CounterType.packets) few;
    direct_meter<bit<8>>(MeterType.packets) unattached;
    apply {{
        sm.egress_spec = 1;
        if (sm.parser_error == error.ParserTimeout) {{ hdr.b.x = 0xff; }}
        {body}
    }}
}}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {{ apply {{}} }}
control C(inout headers_t hdr, inout meta_t meta) {{ apply {{}} }}
control D(packet_out packet, in headers_t hdr) {{ apply {{ packet.emit(hdr); }} }}
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


def test_a_parser_that_goes_round_in_a_circle_ends_with_parser_timeout():
    program = compile_text(PROGRAM.format(state="endless", body=""), "circle.p4")
    result = run_statements(program, parse_stf("packet 0 07\nexpect 1 ff $"), "circle.p4", "circle.stf")
    assert result.passed, str(result)


def test_a_direct_meter_of_no_table_is_refused_where_it_is_read():
    program = compile_text(
        PROGRAM.format(state="accept", body="unattached.read(meta.colour);"), "unattached.p4"
    )
    with pytest.raises(CompileError, match=r"unattached\.p4:\d+:\d+: error: .*direct_meter I\.unattached"):
        generate(program)


def test_a_counter_check_outside_the_counter_names_its_line():
    program = compile_text(PROGRAM.format(state="accept", body=""), "few.p4")
    with pytest.raises(StfError, match=r"few\.stf:2: error: check_counter: .*outside 0\.\.3"):
        run_statements(program, parse_stf("\ncheck_counter few(4)", "few.stf"), "few.p4", "few.stf")
