"""Every conformance program behaves in the kernel as its STF file says."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4cats.compiler.driver import compile_file
from p4cats.switch.stf import parse_stf, run_statements

PROGRAMS = Path(__file__).resolve().parents[1] / "conformance" / "programs"
STF_FILES = sorted(PROGRAMS.glob("*.stf"))

pytestmark = pytest.mark.root


def _program(stf: Path) -> Path:
    named = (stf.with_suffix(".p4"), PROGRAMS / f"{stf.stem.split('-')[0]}.p4")
    return next(p for p in named if p.exists())


@pytest.mark.parametrize("stf", STF_FILES, ids=lambda path: path.stem)
def test_program_behaves_in_the_kernel_as_its_stf_file_says(stf: Path) -> None:
    path = _program(stf)
    statements = parse_stf(stf.read_text(), str(stf))
    result = run_statements(compile_file(path), statements, str(path), str(stf), "xdp")
    assert result.passed, f"\n{result}"
