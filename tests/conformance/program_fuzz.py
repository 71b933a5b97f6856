"""Mutated programs: the compiler gives a program or diagnostics, in bounded time, never anything else.

A mutant is a conformance program with a few tokens deleted, doubled, exchanged or replaced by tokens of
another program. One that compiles is run on the packets of its STF file: what comes out does not matter, but
the model must not fail either. `python tests/conformance/program_fuzz.py 10000` runs that many; every finding
prints the seed that makes it again.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from p4cats.compiler.backends.model import compile_program
from p4cats.compiler.backends.p4info import p4info
from p4cats.compiler.diagnostics import CompileError
from p4cats.compiler.driver import compile_text
from p4cats.switch.stf import StfError, parse_stf, run_statements

PROGRAMS = Path(__file__).parent / "programs"
SECONDS = 10
"""A mutant that takes longer hangs: the programs take some 30 ms each."""

_TOKEN = re.compile(r'//[^\n]*|"[^"\n]*"|[A-Za-z_]\w*|\d\w*|&&&|[-+*/&|<>=!.]{2,3}|\S|\s+')
_SPICE = (
    "0", "1", "-1", "255w1", "0w0", "8w256", "4s7", "1000000000000000000000000", "0x", "bit<0>", "bit<2048>",
    "int<1>", "int", "varbit<8>", "bool", "error", "tuple<bit<8>>", "void", "{}", "{#}", "...", "_", "(",
    ")", "{", "}", "[", "]", "<", ">", ";", ",", "@", "@name(", "#", "#include", "#if 1", "\\", "'", '"',
    "/*", "this", "exit;", "return;", "in", "out", "inout", "const", "header", "struct", "enum", "\u00e9",
    "\0", "default",
)  # fmt: skip
_OPERATORS = (
    "+", "-", "*", "/", "%", "&", "|", "^", "&&", "||", "==", "!=", "<=", ">=", "<<", ">>", "|+|", "|-|",
    "++", "=", "&&&", "..",
)  # fmt: skip
_KEPT = frozenset(
    [
        "control",
        "apply",
        "struct",
        "header",
        "state",
        "transition",
        "table",
        "key",
        "actions",
        "include",
        "define",
    ]
)
"""Words without which a mutant is only a syntax error."""


class Hang(Exception):  # noqa: N818 - an event, not an error of ours
    """A mutant took too long."""


@dataclass(frozen=True)
class Finding:
    """A mutant that broke the rule."""

    seed: int
    program: str
    text: str
    trace: str


@dataclass(frozen=True)
class Piece:
    """A program of the corpus."""

    name: str
    tokens: tuple[str, ...]
    stf: str


def corpus() -> list[Piece]:
    """The conformance programs with their packet tests."""
    return [
        Piece(path.stem, tuple(_TOKEN.findall(path.read_text())), path.with_suffix(".stf").read_text())
        for path in sorted(PROGRAMS.glob("*.p4"))
        if path.with_suffix(".stf").exists()
    ]


def mutant(pieces: list[Piece], seed: int) -> tuple[Piece, str]:
    """The program of this seed: where it comes from, and its text."""
    rng = random.Random(seed)
    piece = rng.choice(pieces)
    tokens = list(piece.tokens)
    # Two of three mutants keep to the grammar as far as tokens go: they reach the later phases.
    change = rng.choice((_like_for_like, _lines, _rough))
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if tokens:
            change(rng, tokens, pieces)
    return piece, "".join(tokens)


def _like_for_like(rng: random.Random, tokens: list[str], pieces: list[Piece]) -> None:
    """Exchange a name for a name, a number for a number, an operator for an operator."""
    test, spice = rng.choice(
        (
            (str.isidentifier, ("x", "hdr", "meta", "sm", "packet", "main", "NoAction", "isValid", "next")),
            (_is_number, ("0", "1", "2", "8w255", "4s7", "64", "511", "0xffffffff", "1000000000000")),
            (_OPERATORS.__contains__, _OPERATORS),
        )
    )
    places = [i for i, token in enumerate(tokens) if test(token) and token not in _KEPT]
    if places:
        donor = rng.choice((tokens, tokens, rng.choice(pieces).tokens))
        known = [token for token in donor if test(token) and token not in _KEPT] or list(spice)
        tokens[rng.choice(places)] = rng.choice(spice) if rng.random() < 0.2 else rng.choice(known)


def _lines(rng: random.Random, tokens: list[str], pieces: list[Piece]) -> None:
    """Delete, double, move or borrow whole lines."""
    rows = "".join(tokens).splitlines(keepends=True)
    at, to = sorted((rng.randrange(len(rows)), rng.randrange(len(rows))))
    match rng.randrange(4):
        case 0:
            del rows[at]
        case 1:
            rows.insert(to, rows[at])
        case 2:
            rows[at], rows[to] = rows[to], rows[at]
        case _:
            rows.insert(at, rng.choice("".join(rng.choice(pieces).tokens).splitlines(keepends=True)))
    tokens[:] = _TOKEN.findall("".join(rows))


def _rough(rng: random.Random, tokens: list[str], pieces: list[Piece]) -> None:
    """Anything anywhere."""
    at = rng.randrange(len(tokens))
    to = min(len(tokens), at + rng.choice((1, 1, 2, 5, 20)))
    match rng.randrange(6):
        case 0:
            del tokens[at:to]
        case 1:
            tokens[at:at] = tokens[at:to]
        case 2:
            other = rng.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 3:
            tokens[at] = rng.choice(tokens)
        case 4:
            donor = rng.choice(pieces).tokens
            start = rng.randrange(len(donor))
            tokens[at:to] = donor[start : start + rng.choice((1, 3, 10, 40))]
        case _:
            tokens[at] = rng.choice(_SPICE)


def _is_number(token: str) -> bool:
    return token[0].isdigit()


def attempt(piece: Piece, text: str) -> str:
    """Compile a mutant and run its packets; "refused", "ran" or what the STF file lacks."""
    try:
        program = compile_text(text, f"{piece.name}.p4", include_dirs=[PROGRAMS])
        p4info(program)
        compile_program(program)
    except CompileError as error:
        if not error.diagnostics:
            raise
        for diagnostic in error.diagnostics:
            diagnostic.render()
        return "refused"
    try:
        run_statements(program, parse_stf(piece.stf), piece.name, f"{piece.name}.stf")
    except StfError:
        return "other names than its test"
    return "ran"


def _alarm(_number: int, _frame: FrameType | None) -> Any:
    raise Hang(f"took longer than {SECONDS} s")


def fuzz(seeds: range) -> tuple[Counter[str], list[Finding]]:
    """Try every seed: how often each outcome came, and what was found."""
    pieces = corpus()
    outcomes: Counter[str] = Counter()
    findings = []
    before = signal.signal(signal.SIGALRM, _alarm)
    try:
        for seed in seeds:
            piece, text = mutant(pieces, seed)
            signal.alarm(SECONDS)
            try:
                outcomes[attempt(piece, text)] += 1
            except Exception:
                outcomes["FOUND"] += 1
                findings.append(Finding(seed, piece.name, text, traceback.format_exc()))
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, before)
    return outcomes, findings


def main() -> int:
    """Run as many mutants as asked for; exit status 1 if something was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("count", type=int, nargs="?", default=10_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--show", action="store_true", help="print the mutants that broke the rule")
    arguments = parser.parse_args()
    begin = time.monotonic()
    outcomes, findings = fuzz(range(arguments.first, arguments.first + arguments.count))
    for finding in findings:
        print(f"seed {finding.seed}, from {finding.program}:\n{finding.trace}")
        if arguments.show:
            print(finding.text)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    print(f"{arguments.count} mutants in {time.monotonic() - begin:.0f} s: {counts}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
