"""Whatever the input, parsing ends in a tree or in CompileError, and soon."""

from __future__ import annotations

import random
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.parse import parse_text
from p4cats.compiler.parse.lexer import KEYWORDS, lex
from p4cats.compiler.source import Source

SAMPLES = Path(__file__).parent / "samples"
SAMPLE_TOKENS = [t.text for p in sorted(SAMPLES.glob("*.p4")) for t in lex(Source("", p.read_text()))]
WORDS = sorted(
    {*KEYWORDS, *(t for t in SAMPLE_TOKENS if not t.startswith("#"))}
    | {"#if 1\n", "\n#endif\n", '\n# 3 "f"\n'}
)


def parses_or_complains(text: str) -> bool:
    reporter = Reporter()
    try:
        parse_text(text, reporter=reporter)
    except CompileError:
        assert reporter.error_count
        for diagnostic in reporter.diagnostics:
            assert diagnostic.render()
        return False
    assert not reporter.error_count
    return True


@given(st.text(max_size=200))
def test_random_text(text: str) -> None:
    parses_or_complains(text)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=60))
def test_random_tokens(words: list[str]) -> None:
    parses_or_complains(" ".join(words))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=30))
def test_random_tokens_in_a_control(words: list[str]) -> None:
    parses_or_complains("header T { } control C(inout T x) { apply { " + " ".join(words) + " } }")


@settings(max_examples=100, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 5))
def test_mutated_sample(chance: random.Random, changes: int) -> None:
    tokens = list(SAMPLE_TOKENS)
    begin = chance.randrange(len(tokens))
    tokens = [t for t in tokens[begin : begin + 400] if not t.startswith("#")]
    for _ in range(changes):
        at = chance.randrange(len(tokens) + 1)
        match chance.randrange(3):
            case 0:
                tokens.insert(at, chance.choice(WORDS))
            case 1:
                del tokens[at : at + 3]
            case _:
                tokens[at : at + 1] = [chance.choice(SAMPLE_TOKENS)]
    parses_or_complains("\n".join(tokens))
