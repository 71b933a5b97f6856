"""Programs with a few wrong tokens: the compiler compiles them or says what is wrong, and ends soon.

P4CATS_MUTANTS=10000 tries more of them; every seed names one program.
"""

from __future__ import annotations

import os
import random

import pytest
from types_accepted_corners import CORNERS
from types_accepted_pieces import PIECES
from types_mutants import framed, mutant

from p4cats.compiler import CompileError, compile_text
from p4cats.compiler.backends.model import compile_program
from p4cats.compiler.backends.p4info import p4info
from p4cats.compiler.diagnostics import Diagnostic

BATCH = 50
MUTANTS = int(os.environ.get("P4CATS_MUTANTS", "600"))
PROGRAMS = framed(PIECES | CORNERS)


@pytest.mark.parametrize("batch", range(MUTANTS // BATCH))
def test_mutant_compiles_or_is_refused_with_a_message(batch: int) -> None:
    for seed in range(batch * BATCH, (batch + 1) * BATCH):
        chance = random.Random(seed)
        text = mutant(chance, chance.choice(PROGRAMS))
        try:
            found = _diagnostics(text)
        except Exception as error:
            raise AssertionError(f"seed {seed}: {text}") from error
        assert all(d.render() for d in found)


def _diagnostics(text: str) -> list[Diagnostic]:
    try:
        program = compile_text(text, "mutant")
        compile_program(program)
        p4info(program)
    except CompileError as error:
        return error.diagnostics
    return []
