"""`p4cats compile` and `p4cats stf`: exit codes, where output goes, no traceback for a user's mistake."""

import pytest
from typer.testing import CliRunner

from p4cats import cli

PROGRAM = """
#include <core.p4>
#include <v1model.p4>
#ifndef PORT
#define PORT 1
#endif
extern void unknown_extern(inout bit<8> x);
header byte_t { bit<8> x; }
struct headers_t { byte_t b; }
struct meta_t {}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.b); transition accept; }
}
control V(inout headers_t hdr, inout meta_t meta) { apply {} }
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { sm.egress_spec = PORT; EXTRA }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


class Outcome:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs `p4cats …` in a folder with prog.p4 (EXTRA as given by -D) and test.stf."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "prog.p4").write_text(PROGRAM)
    (tmp_path / "test.stf").write_text("packet 0 07\nexpect 1 07 $\n")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["p4cats", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        text = capsys.readouterr()
        assert "Traceback" not in text.err
        return Outcome(end.value.code or 0, text.out, text.err)

    return run


def test_compile_names_the_files_it_wrote(command, tmp_path):
    outcome = command("compile", "prog.p4", "-o", "out", "-D", "EXTRA=")
    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.split() == ["out/prog.p4info.txtpb", "out/prog.model.p4"]
    assert all((tmp_path / name).exists() for name in outcome.out.split())


def test_an_error_shows_file_line_column_source_and_count(command):
    outcome = command("compile", "prog.p4", "-DEXTRA=hdr.b.x=nothing;hdr.b.x=nowhere;")
    assert outcome.status == 1
    assert "prog.p4:16:36: error: unknown name 'nothing'" in outcome.err
    assert "   16 |     apply { sm.egress_spec = PORT; EXTRA }" in outcome.err
    assert outcome.err.endswith("2 errors\n")


def test_what_the_target_lacks_is_a_warning_unless_that_target_was_asked_for(command):
    outcome = command("compile", "prog.p4", "-DEXTRA=unknown_extern(hdr.b.x);")
    assert outcome.status == 0
    assert "warning: target model: extern unknown_extern is not part of v1model" in outcome.err
    outcome = command("compile", "--target", "model", "prog.p4", "-DEXTRA=unknown_extern(hdr.b.x);")
    assert outcome.status == 1
    assert "error: target model: extern unknown_extern" in outcome.err


def test_stf_passes_and_fails_by_exit_status_and_first_word(command):
    outcome = command("stf", "prog.p4", "test.stf", "-DEXTRA=")
    assert (outcome.status, outcome.out) == (0, "PASS test.stf: 1 packets sent, 1 received\n")
    outcome = command("stf", "prog.p4", "test.stf", "-DEXTRA=hdr.b.x=8;")
    assert outcome.status == 1
    assert outcome.out.startswith("FAIL test.stf\ntest.stf:2: port 1: another packet than expected\n")


def test_macros_can_be_defined_and_taken_back(command):
    assert command("stf", "prog.p4", "test.stf", "-DEXTRA=", "-D", "PORT=2").status == 1
    assert command("stf", "prog.p4", "test.stf", "-DEXTRA=", "-D", "PORT=2", "-U", "PORT").status == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("stf", "no.p4", "test.stf"), "no.p4:1:1: error: cannot read"),
        (("stf", "prog.p4", "no.stf"), "no.stf: cannot be read"),
        (("stf", "prog.p4", "prog.p4", "-DEXTRA="), "prog.p4:7: error: no STF statement begins"),
        (("stf", "prog.p4", "test.stf", "-DEXTRA=unknown_extern(hdr.b.x);"), "unknown_extern"),
        (("stf", "prog.p4", "test.stf", "--target", "bmv2"), "docs/targets.md"),
        (("compile", "no.p4"), "cannot read 'no.p4'"),
        (("compile", "prog.p4", "-DEXTRA=", "-o", "prog.p4"), "cannot be written"),
        (("compile", "."), "Is a directory"),
    ],
)
def test_mistakes_are_told_on_stderr_with_a_status(command, words, message):
    outcome = command(*words)
    assert outcome.status in (1, 2)
    assert message in outcome.err


def test_an_internal_error_is_told_in_one_line(command, monkeypatch):
    def broken(*_, **__):
        raise KeyError("oops")

    monkeypatch.setattr("p4cats.emulation.programs.run_packet_test", broken)
    outcome = command("stf", "prog.p4", "test.stf")
    assert outcome.status == 70
    assert outcome.err.startswith("internal error: KeyError: 'oops'\n")


def test_help_shows_an_example():
    for name in ("compile", "stf"):
        assert "Example: p4cats" in CliRunner().invoke(cli.app, [name, "--help"]).output
