"""Tokens: literals, operators, comments, what is no token."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p4cats.compiler.parse.lexer import (
    BAD,
    DIRECTIVE,
    ID,
    INT,
    PRAGMA,
    STRING,
    lex,
    literal_value,
    quote,
    string_value,
)
from p4cats.compiler.source import Source


def texts(text: str) -> list[str]:
    return [token.text for token in lex(Source("t", text))]


def kinds(text: str) -> list[str]:
    return [token.kind for token in lex(Source("t", text))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", (0, None, False)),
        ("1_000", (1000, None, False)),
        ("0xFF_ff", (0xFFFF, None, False)),
        ("0b1010", (10, None, False)),
        ("0o17", (15, None, False)),
        ("0d19", (19, None, False)),
        ("010", (10, None, False)),
        ("8w255", (255, 8, False)),
        ("8w0xFF", (255, 8, False)),
        ("4s0b0111", (7, 4, True)),
        ("16s1_0", (10, 16, True)),
    ],
)
def test_integer_literals(text: str, expected: tuple[int, int | None, bool]) -> None:
    assert kinds(text) == [INT]
    assert literal_value(text) == expected


@given(
    value=st.integers(0, 2**130),
    width=st.none() | st.integers(1, 2048),
    signed=st.booleans(),
    base=st.sampled_from(["x", "X", "b", "o", "d", ""]),
    gap=st.integers(0, 3),
)
def test_integer_literals_round_trip(
    value: int, width: int | None, signed: bool, base: str, gap: int
) -> None:
    digits = format(value, {"": "d", "d": "d", "x": "x", "X": "X", "b": "b", "o": "o"}[base])
    digits = digits[0] + "_" * gap + digits[1:]
    prefix = "" if width is None else f"{width}{'s' if signed else 'w'}"
    text = prefix + (f"0{base}" if base else "") + digits
    assert kinds(text) == [INT]
    assert literal_value(text) == (value, width, signed and width is not None)


@pytest.mark.parametrize("text", ["0x", "8w", "12abc", "0b2", "0o9", "8w0x", "1w2w3"])
def test_malformed_numbers_are_one_bad_token(text: str) -> None:
    assert kinds(text) == [BAD]


@pytest.mark.parametrize("text", ["0x_", "9" * 5000])
def test_numbers_without_value_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"digits|too long"):
        literal_value(text)


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"])))
def test_strings_round_trip(value: str) -> None:
    tokens = lex(Source("t", quote(value)))
    assert [t.kind for t in tokens] == [STRING]
    assert string_value(tokens[0].text) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a>>b", ["a", ">>", "b"]),
        ("a>>=b>=c", ["a", ">>=", "b", ">=", "c"]),
        ("a|+|=b|-|c|+|d||e|=f", ["a", "|+|=", "b", "|-|", "c", "|+|", "d", "||", "e", "|=", "f"]),
        ("1..2 ... a.b", ["1", "..", "2", "...", "a", ".", "b"]),
        ("a&&&b&&c&d", ["a", "&&&", "b", "&&", "c", "&", "d"]),
        ("x[1+:2]++y", ["x", "[", "1", "+:", "2", "]", "++", "y"]),
        ("{#}{ }", ["{#}", "{", "}"]),
        ("a/*/**/b//c\nd/e", ["a", "b", "d", "/", "e"]),
        ("a\\\nb", ["a", "b"]),
    ],
)
def test_operators_and_comments(text: str, expected: list[str]) -> None:
    assert texts(text) == expected


def test_lines_of_the_preprocessor_are_one_token_with_their_continuations() -> None:
    assert kinds("#a\n x\n /* c */ # b \\\n c /* d\n e */ f\n y # z") == [
        DIRECTIVE, ID, DIRECTIVE, ID, "#", ID
    ]  # fmt: skip


def test_pragma_takes_its_line() -> None:
    tokens = lex(Source("t", "x @pragma a b\ny"))
    assert [(t.kind, t.text) for t in tokens] == [(ID, "x"), (PRAGMA, "@pragma a b"), (ID, "y")]


@given(st.text())
def test_every_token_is_the_text_at_its_position(text: str) -> None:
    source = Source("t", text)
    end = 0
    for token in lex(source):
        assert token.start >= end
        assert text[token.start : token.end] == token.text
        end = token.end
