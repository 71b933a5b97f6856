"""Pieces of P4 that the checker accepts, and pieces that it rejects with exactly this first error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from types_accepted_corners import CORNERS
from types_accepted_pieces import PIECES
from types_harness import compiled, errors
from types_rejected_pieces import REJECTED
from types_rejected_rules import RULES

from p4cats.compiler.ir.text import program_text

ACCEPTED = PIECES | CORNERS
WRONG = REJECTED | RULES
GOLDEN = Path(__file__).parent / "golden"
LOWERED = sorted(p.stem for p in GOLDEN.glob("*.ir"))


@pytest.mark.parametrize("name", ACCEPTED)
def test_right_piece_compiles_and_its_ir_obeys_the_rules(name: str) -> None:
    compiled(**ACCEPTED[name])  # verified within


@pytest.mark.parametrize("name", WRONG)
def test_wrong_piece_is_rejected_with_one_clear_message(name: str) -> None:
    piece, message = WRONG[name]
    found = errors(**piece)
    assert found[0].message == message
    assert len(found) == 1


@pytest.mark.parametrize("name", LOWERED)
def test_lowered_piece_equals_its_golden_file(name: str) -> None:
    text = program_text(compiled(**ACCEPTED[name]))
    path = GOLDEN / f"{name}.ir"
    if os.environ.get("P4CATS_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text(), "P4CATS_GOLDEN=1 rewrites golden files"


def test_golden_files_exist() -> None:
    assert len(LOWERED) >= 15
