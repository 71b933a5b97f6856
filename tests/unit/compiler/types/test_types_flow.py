"""Warnings about likely mistakes: each where it belongs, none where the program may be right."""

from __future__ import annotations

import pytest
from types_harness import warnings

UNSET = "variable 'x' is read before it has a value"
UNREACHED = "this statement is never reached"
TOP = """
    void fill(out bit<8> v) { v = 1; }
    void bump(inout bit<8> v) { v = v + 1; }
    """


@pytest.mark.parametrize(
    "body",
    [
        "bit<8> x; bump(x);",
        "bit<8> x; x = x + 1;",
        "bit<8> x; x += 1;",
        "bit<8> x; if (x == 1) { meta.a = 2; }",
        "bit<8> x; if (meta.flag) { x = 1; return; } meta.a = x;",
        "bit<8> x; for (bit<8> i in 0..3) { meta.a = x; }",
        "bit<8> x; switch (meta.a) { 1: { x = 2; exit; } default: { meta.b = x; } }",
        "bool x; meta.flag = x && meta.flag;",
        "bit<8> x; hdr.st[x].a = 1;",
    ],
)
def test_variable_that_no_path_has_written_is_warned_of_once(body: str) -> None:
    assert warnings(body, top=TOP) == [UNSET]


@pytest.mark.parametrize(
    "body",
    [
        "bit<8> x; fill(x); meta.a = x;",
        "bit<8> x; if (meta.flag) { x = 1; } meta.a = x;",
        "bit<8> x; if (meta.flag) { x = 1; } else { return; } meta.a = x;",
        "bit<8> x; x[3:0] = 1; meta.a = x;",
        "bit<8> x; for (bit<8> i in 0..3) { if (i > 0) { meta.a = x; } x = i; }",
        "bit<8> x; for (x in 8w0..3) { meta.a = x; }",
        "bit<8> x; switch (meta.a) { 1: { x = 2; } default: { x = 3; } } meta.b = x;",
        "pair_t x; meta.p = x;",
        "if (meta.flag) { return; } else { exit; }",
        "for (bit<8> i in 0..3) { if (i == 2) { break; } meta.a = i; }",
    ],
)
def test_what_may_be_right_is_not_warned_of(body: str) -> None:
    assert warnings(body, top=TOP) == []


@pytest.mark.parametrize(
    "body",
    [
        "return; meta.a = 1;",
        "exit; meta.a = 1; meta.b = 2;",
        "if (meta.flag) { return; } else { exit; } meta.a = 1;",
        "for (bit<8> i in 0..3) { continue; meta.a = i; }",
        "switch (meta.a) { 1: { return; } default: { exit; } } meta.a = 1;",
    ],
)
def test_statement_that_nothing_reaches_is_warned_of_once(body: str) -> None:
    assert warnings(body) == [UNREACHED]


@pytest.mark.parametrize(
    ("condition", "answer"),
    [
        ("meta.a >= 0", "true"),
        ("meta.a < 0", "false"),
        ("0 > meta.a", "false"),
        ("meta.a <= 255", "true"),
        ("meta.s > 127", "false"),
        ("meta.s < -128", "false"),
    ],
)
def test_comparison_with_one_answer_is_warned_of(condition: str, answer: str) -> None:
    assert warnings(f"if ({condition}) {{ meta.b = 1; }}") == [f"this comparison is always {answer}"]


def test_comparisons_inside_the_range_are_not_warned_of() -> None:
    assert warnings("if (meta.a > 0 && meta.a < 255 && meta.s >= 0) { meta.b = 1; }") == []


@pytest.mark.parametrize(
    ("cases", "expected"),
    [
        ("1: accept; 2: reject;", ["this select has no default: what matches nothing is an error"]),
        (
            "1: accept; 1: reject; _: accept;",
            ["this case is never reached: an earlier one has the same keys"],
        ),
        ("_: accept; 1: reject;", ["this case is never reached: an earlier one matches everything"]),
        ("1: accept; 1 &&& 3: reject; 1..2: accept; default: accept;", []),
    ],
)
def test_cases_of_select_are_looked_at(cases: str, expected: list[str]) -> None:
    parser = f"state start {{ transition select(meta.a) {{ {cases} }} }}"
    assert warnings(parser=parser) == expected
