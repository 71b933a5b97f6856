"""Every programs/NAME.p4 behaves as its NAME.stf says, on every target."""

from pathlib import Path

import pytest

from p4cats.switch.stf import run_stf

PROGRAMS = Path(__file__).parent / "programs"
TARGETS = ["model"]
STF_FILES = sorted(PROGRAMS.glob("*.stf"))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("stf", STF_FILES, ids=lambda path: path.stem)
def test_program_behaves_as_its_stf_file_says(stf, target):
    # arithmetic.stf and arithmetic-signed.stf may both test arithmetic.p4
    program = next(
        p for p in (stf.with_suffix(".p4"), PROGRAMS / f"{stf.stem.split('-')[0]}.p4") if p.exists()
    )
    result = run_stf(program, stf, target)
    assert result.passed, f"\n{result}"
    assert result.packets_sent, "an STF file without packets tests nothing"


def test_every_program_has_a_packet_test():
    tested = {path.stem for path in STF_FILES} | {path.stem.split("-")[0] for path in STF_FILES}
    assert {path.stem for path in PROGRAMS.glob("*.p4")} <= tested
