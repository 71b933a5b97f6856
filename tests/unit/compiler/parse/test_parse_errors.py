"""Exact messages of the parser, recovery, and limits."""

from __future__ import annotations

import sys
import time

import pytest

from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.parse import parse_text


def problems(text: str) -> list[str]:
    reporter = Reporter()
    with pytest.raises(CompileError):
        parse_text(text, "t.p4", reporter=reporter)
    rows = []
    for d in reporter.diagnostics:
        rows.append(d.headline().replace("t.p4:", "").replace("error: ", ""))
        if d.hint:
            rows.append(f"hint: {d.hint}")
    return rows


KEYWORD = "'table' is a keyword of P4; choose another name"

CASES = [
    (
        "const bit<8> x = 1\nconst bit<8> y = 2;",
        ["1:18: expected ';' after the value of the constant, found keyword 'const'"],
    ),
    (
        "header H { bit<8> a bit<8> b; bit<9> table; }\nheader G { bit<X> a; }",
        [
            "1:19: expected ';' after the field, found keyword 'bit'",
            "1:38: expected the name of the field, found keyword 'table'",
            f"hint: {KEYWORD}",
            "2:16: a width is a number or an expression in parentheses, found 'X'",
            "hint: write bit<(X)>",
        ],
    ),
    (
        "control C() { apply { x = ; y = 1 } }",
        ["1:27: expected an expression, found ';'", "1:33: expected ';' after the assignment, found '}'"],
    ),
    (
        "control C() { apply { x = 1;",
        [
            "1:29: expected '}' after the statements of the block, found end of file",
            "hint: the '{' at t.p4:1:21 is not closed",
        ],
    ),
    (
        "control C() { apply { x = 1; }\ncontrol D() { apply { } }",
        [
            "2:1: expected '}' after the parts of the control, found keyword 'control'",
            "hint: the '{' at t.p4:1:13 is not closed",
        ],
    ),
    (
        "control C() { apply { if (x = 1) { } x++; foo; x == 3; f() = 2; else x = 1; } }",
        [
            "1:29: expected ')' after the condition, found '='",
            "hint: to compare, write '=='",
            "1:39: expected '=' or '(' after the name, found '++'",
            "hint: '++' concatenates; to add one write 'x = x + 1'",
            "1:46: expected '=' or '(' after the name, found ';'",
            "hint: a call needs '(' and ')'",
            "1:50: expected '=' or '(' after the name, found '=='",
            "hint: to assign, write '='",
            "1:56: the result of a call cannot be assigned to",
            "1:65: expected a statement, found keyword 'else'",
            "hint: this 'else' belongs to no 'if'",
        ],
    ),
    (
        "control C() { apply { x = { 1, ; 2 }; y = ; } }",
        ["1:32: expected an expression, found ';'", "1:43: expected an expression, found ';'"],
    ),
    (
        "bit<8> x = 1;",
        [
            "1:1: a variable cannot be declared at the top level",
            "hint: make it a 'const', or declare it in a control or parser",
        ],
    ),
    (
        "parser P() { state a { return; transition b } state b { transition a; x = 1; } }",
        [
            "1:24: 'return' cannot stand in a parser state",
            "1:43: expected ';' after the transition, found '}'",
            "1:71: expected '}' after the transition, found 'x'",
            "hint: a transition is the last statement of a state",
        ],
    ),
    (
        "parser P() { state a { transition select(x) { 1 accept; 2: b; _: } } bit<8> x; }",
        [
            "1:49: expected ':' after the key set, found 'accept'",
            "1:66: expected the name of a state, found '}'",
            "1:70: expected a state, found keyword 'bit'",
            "hint: declarations stand before the first state",
        ],
    ),
    (
        "struct S { bit<8> x; } }\nconst int a = 1;",
        ["1:24: expected a declaration, found '}'", "hint: there is one '}' too many"],
    ),
    (
        "control C() { table t { key = { a exact; b: lpm } actions = { a; b } } apply { } }",
        [
            "1:35: expected ':' after the key, found 'exact'",
            "1:47: expected ';' after the key, found '}'",
            "1:66: expected ';' after the action, found '}'",
        ],
    ),
    (
        "control C() { table t { size = 1; size = 2; const key = { } } apply { } }",
        ["1:35: property 'size' is given twice", "1:45: 'key' cannot be 'const'"],
    ),
    (
        'const int x = 8w;\nconst string s = "abc;\nconst int z = $1 + é;\n/* open',
        [
            "1:15: malformed number '8w'",
            "hint: examples: 10, 0xFF, 0b1010, 8w255, 4s7",
            "2:18: string is not closed on its line",
            'hint: strings end with " on the same line',
            "3:15: invalid character '$'",
            "3:20: invalid character 'é'",
            "4:1: comment is not closed",
            "hint: add '*/'",
        ],
    ),
    (
        "control C() { a = 1; apply { } }",
        [
            "1:15: expected a declaration or 'apply', found 'a'",
            "hint: statements belong in the 'apply' block",
        ],
    ),
    ("control C() { }", ["1:9: control 'C' has no 'apply' block", "hint: add: apply { }"]),
    (
        "control C() { apply { } bit<8> y; } const int z = ;",
        [
            "1:25: expected '}' after the 'apply' block, found keyword 'bit'",
            "hint: the 'apply' block is the last part of a control",
            "1:51: expected an expression, found ';'",
        ],
    ),
    (
        "extern E { foo(); }",
        ["1:12: a method needs a result type", "hint: only the constructor 'E' has none"],
    ),
    (
        "enum E { A = 1 }",
        [
            "1:12: expected ',' after the member, found '='",
            "hint: values need a type: enum bit<8> Name { A = 1 }",
        ],
    ),
    ("extern void f(in bit<8>> x);", ["1:24: expected the name of the parameter, found '>'"]),
    (
        "control C() { apply { switch (x) { 1: x = 1; 2: { y = ; } } } }",
        [
            "1:39: expected '{' after the label, found 'x'",
            "hint: the body of a case is a block: label: { … }",
            "1:55: expected an expression, found ';'",
        ],
    ),
    (
        "control C() { apply { if (a) bit<8> x; } }",
        ["1:30: a declaration cannot be the body of 'if'", "hint: put it in a block: { … }"],
    ),
    (
        "V1Switch(1);",
        ["1:12: expected the name of the instance, found ';'", "hint: write: Type(arguments) name;"],
    ),
    (
        "table t { }",
        ["1:1: expected a declaration, found keyword 'table'", "hint: 'table' belongs in a control"],
    ),
    ('@name("x" const int a = 1;', ["1:6: the body of the annotation is not closed", "hint: add ')'"]),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=range(len(CASES)))
def test_messages(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


N = 100_000
DEEP = [
    "const int x = " + "(" * N,
    "const int x = " + "(" * N + "1" + ")" * N + ";",
    "const int x = " + "-" * N + "1;",
    "const int x = " + "{" * N,
    "const int x = " + "f(" * N,
    "const int x = " + "a[" * N,
    "const int x = " + "(bit<8>)" * N + "1;",
    "const int x = 1" + " + 1" * N + ";",
    "const int x = a" + ".b" * N + ";",
    "const int x = " + "a ? b : " * N + "1;",
    "const int x = " + "a < (b" * N,
    "const " + "T<" * N,
    "header H { H" + "[1]" * N + " x; }",
    "control C() { apply { " + "{" * N,
    "control C() { apply { " + "if (a) " * N,
    "control C() { apply { " + "if (a) b = 1; else " * N,
    "control C() { apply { " + "switch (a) { b: { " * N,
    "parser P() { state s { transition select(a) { " + "(" * N,
    "@a[" + "(" * N,
]


@pytest.mark.parametrize("text", DEEP, ids=[t[:40] for t in DEEP])
def test_deep_nesting_is_one_error(text: str) -> None:
    limit = sys.getrecursionlimit()
    reporter = Reporter()
    with pytest.raises(CompileError):
        parse_text(text, reporter=reporter)
    assert [d.message for d in reporter.diagnostics] == ["nested too deeply"]
    assert sys.getrecursionlimit() == limit


def test_nesting_below_the_limit_is_accepted() -> None:
    parse_text("const int x = " + "(" * 200 + "1" + ")" * 200 + ";", reporter=Reporter())
    parse_text("const int x = 1" + " + 1" * 900 + ";", reporter=Reporter())
    parse_text("void f() " + "{" * 200 + "}" * 200, reporter=Reporter())


def test_time_grows_linearly_with_the_length() -> None:
    """A quadratic rule would take eight times as long per token on eight times the text."""
    body = (
        "bit<8> f{i}(in bit<8> x) {{ if (x < 3 && (x + 1) * 2 > 4) return x[7:0]; "
        "return (bit<8>) f(x, {{1, 2}}); }}\n"
    )

    def per_function(count: int) -> float:
        text = "".join(body.format(i=i) for i in range(count))
        start = time.perf_counter()
        parse_text(text, reporter=Reporter())
        return (time.perf_counter() - start) / count

    short = min(per_function(250) for _ in range(3))
    long = min(per_function(2000) for _ in range(2))
    assert long < 4 * short
