"""The preprocessor: macros as in C, conditions, includes, positions."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4cats.compiler.diagnostics import CompileError, Reporter
from p4cats.compiler.parse import parse_file, parse_text, preprocess_to_text
from p4cats.compiler.parse.__main__ import dump
from p4cats.compiler.parse.preprocessor import Preprocessor, preprocess_file
from p4cats.compiler.source import Source

SAMPLES = Path(__file__).parent / "samples"


def expand(text: str, **options: object) -> str:
    tokens = Preprocessor(Reporter(), **options).run(Source("t.p4", text))  # type: ignore[arg-type]
    return " ".join(token.text for token in tokens[:-1])


def problems(text: str) -> list[str]:
    reporter = Reporter()
    with pytest.raises(CompileError):
        Preprocessor(reporter).run(Source("t.p4", text))
    return [d.headline() for d in reporter.diagnostics]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#define A 1\nA B", "1 B"),
        ("#define A B\n#define B A\nA B", "A B"),
        ("#define A 1\n#undef A\nA", "A"),
        ("#define F(x) x + x\nF(1) F (2) F", "1 + 1 2 + 2 F"),
        ("#define F(x) [x]\nF((1,2)) F()", "[ ( 1 , 2 ) ] [ ]"),
        ("#define F() f\nF() F( )", "f f"),
        ("#define F(x) x\nF(\n1\n)", "1"),
        ('#define S(x) #x\nS( a  +b ) S("x\\n")', '"a +b" "\\"x\\\\n\\""'),
        ("#define J(a, b) a ## b\nJ(x, 1) J(<, <) J(, y)", "x1 << y"),
        ("#define G(a, b) J(a, b)\n#define J(a, b) a ## b\n#define N 3\nG(x, N) J(x, N)", "x3 xN"),
        ("#define V(a, ...) f(a, ## __VA_ARGS__)\nV(1) V(1, 2, 3)", "f ( 1 ) f ( 1 , 2 , 3 )"),
        ("#define V(r...) f(r)\nV(1, 2)", "f ( 1 , 2 )"),
        ("#define f(a) f(x * (a))\nf(f(1))", "f ( x * ( f ( x * ( 1 ) ) ) )"),
        ("#define A 1 /* c */ // d\nA;", "1 ;"),
        ("#define A \\\n  1 \\\n  2\nA", "1 2"),
        ("#define W (8)\nbit<W>", "bit < ( 8 ) >"),
        ("#define EMPTY\nEMPTY a EMPTY", "a"),
        ("#define table action\ntable", "action"),
        ("__LINE__\n__LINE__ __FILE__", '1 2 "t.p4"'),
        ('#pragma x\n# \n#ident "y"\na', "a"),
    ],
)
def test_macros(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("1", True),
        ("0", False),
        ("UNKNOWN", False),
        ("defined(A) && defined B && !defined(C)", True),
        ("A == 2 && B >= A", True),
        ("F(3) == 4", True),
        ("1 + 2 * 3 == 7 && (1 + 2) * 3 == 9", True),
        ("-1 < 0 && ~0 == -1 && !0", True),
        ("7 / -2 == -3 && -7 % 3 == -1", True),
        ("1 << 4 == 16 && 0x10 == 020 && 0b11 == 3 && 10UL == 10", True),
        ("0 && 1 / 0", False),
        ("1 || 1 / 0", True),
        ("0 ? 1 / 0 : 5", True),
        ("1 ? 0 ? 2 : 0 : 3", False),
        ("'A' == 65", True),
        ("5 & 3 ^ 1 | 8", True),
        ("20200408 <= VERSION", True),
    ],
)
def test_conditions(condition: str, holds: bool) -> None:
    macros = "#define A 2\n#define B A\n#define F(x) (x+1)\n#define VERSION 20200408\n"
    text = f"{macros}#if {condition}\nyes\n#else\nno\n#endif"
    assert expand(text) == ("yes" if holds else "no")


def test_branches_and_what_they_skip() -> None:
    text = """
#ifdef A
'unbalanced " text
#if 1
nested
#else
#endif
#elif defined(B)
elif
#elif 1
late
#else
else
#endif
#ifndef A
ifndef
#endif
"""
    assert expand(text) == "late ifndef"
    assert expand(text, defines={"B": "1"}) == "elif ifndef"
    assert expand("#ifdef A\nA\n#endif", defines={"A": "x y"}) == "x y"
    assert expand("#ifdef A\nA\n#endif", defines={"A": "1"}, undefines=["A"]) == ""
    assert expand("F(2)", defines={"F(x)": "x x"}) == "2 2"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#if 1\nx", ["t.p4:1:1: error: #if without #endif"]),
        ("#endif", ["t.p4:1:1: error: #endif without #if"]),
        ("#else", ["t.p4:1:1: error: #else without #if"]),
        ("#if 1\n#else\n#else\n#endif", ["t.p4:3:1: error: #else after #else"]),
        ("#if\n#endif", ["t.p4:1:1: error: #if without a condition"]),
        ("#if 1 +\n#endif", ["t.p4:1:7: error: malformed #if condition: a value is missing"]),
        ("#if 1/0\n#endif", ["t.p4:1:6: error: malformed #if condition: division by zero"]),
        ("#if (1\n#endif", ["t.p4:1:6: error: malformed #if condition: expected ')'"]),
        ("#if 1 2\n#endif", ["t.p4:1:7: error: malformed #if condition: unexpected '2'"]),
        ('#include "no.p4"', ["t.p4:1:1: error: cannot find 'no.p4'"]),
        ("#include", ["t.p4:1:1: error: #include needs a file"]),
        ("#error  do  this", ["t.p4:1:1: error: #error do this"]),
        ("#frob", ["t.p4:1:1: error: unknown preprocessor directive '#frob'"]),
        ("#define", ["t.p4:1:1: error: #define needs a macro name"]),
        ("#define F(x", ["t.p4:1:11: error: malformed parameter list of macro 'F'"]),
        ("#define F(x) x\nF(1", ["t.p4:2:1: error: call of macro 'F' is not closed"]),
        ("#define F(x, y) x\nF(1)", ["t.p4:2:1: error: macro 'F' takes 2 arguments, 1 given"]),
        ("#define A ## b", ["t.p4:1:1: error: '##' cannot stand at an end of a macro's body"]),
        ("#line x", ["t.p4:1:1: error: malformed #line"]),
    ],
)
def test_errors(text: str, expected: list[str]) -> None:
    assert problems(text) == expected


def test_macros_that_double_each_other_end_in_one_error() -> None:
    rows = ["#define A0 x"] + [f"#define A{i} A{i - 1} A{i - 1}" for i in range(1, 50)]
    assert problems("\n".join([*rows, "A49"])) == ["t.p4:51:1: error: macros produce more than 500000 tokens"]


def test_redefinition_warns() -> None:
    reporter = Reporter()
    Preprocessor(reporter).run(Source("t.p4", "#define A 1\n#define A 1\n#define A 2\n#warning look"))
    assert [d.headline() for d in reporter.diagnostics] == [
        "t.p4:3:1: warning: macro 'A' is defined again with another body",
        "t.p4:4:1: warning: #warning look",
    ]


# -- files ------------------------------------------------------------------------------------------


def test_include_searches_beside_the_file_then_the_directories_then_the_built_in(tmp_path: Path) -> None:
    (tmp_path / "inc").mkdir()
    (tmp_path / "inc" / "a.p4").write_text("const int from_inc = 1;\n")
    (tmp_path / "b.p4").write_text('#include "a.p4"\n#include <core.p4>\n')
    (tmp_path / "main.p4").write_text(
        '#include "b.p4"\n#define HERE <a.p4>\n#include HERE\nconst int m = x;\n'
    )
    program = parse_file(tmp_path / "main.p4", include_dirs=[tmp_path / "inc"], reporter=Reporter())
    names = [str(d.span).replace(str(tmp_path), "") for d in program.declarations if d.name != "NoAction"]
    assert names[0] == "/inc/a.p4:1:1"
    assert names[-1] == "/main.p4:4:1"
    assert any(name.startswith("<core.p4>:") for name in names)


def test_a_users_core_replaces_the_built_in_one_even_under_v1model(tmp_path: Path) -> None:
    (tmp_path / "core.p4").write_text("error { Mine }\n")
    reporter = Reporter()
    tokens = Preprocessor(reporter, [tmp_path]).run(Source("t.p4", "#include <v1model.p4>\n"))
    assert {Path(t.source.name).name for t in tokens} >= {"core.p4", "<v1model.p4>"}
    assert "<core.p4>" not in {t.source.name for t in tokens}


def test_an_include_without_guard_that_includes_itself_is_one_error(tmp_path: Path) -> None:
    path = tmp_path / "r.p4"
    path.write_text('#include "r.p4"\n')
    reporter = Reporter()
    with pytest.raises(CompileError):
        preprocess_file(path, reporter=reporter)
    assert [d.message for d in reporter.diagnostics] == ["'r.p4' includes itself"]
    assert reporter.diagnostics[0].hint == "guard it with #ifndef … #define … #endif"


def test_invalid_utf8_is_one_error_at_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.p4"
    path.write_bytes(b"const int x = 1;\n// caf\xe9 \xff\n")
    reporter = Reporter()
    with pytest.raises(CompileError):
        parse_file(path, reporter=reporter)
    assert [d.headline() for d in reporter.diagnostics] == [f"{path}:2:7: error: invalid UTF-8: byte 0xE9"]


def test_a_missing_file_is_one_error(tmp_path: Path) -> None:
    reporter = Reporter()
    with pytest.raises(CompileError, match="cannot read"):
        parse_file(tmp_path / "none.p4", reporter=reporter)


@pytest.mark.parametrize("version", ["20180101", "20200408"])
def test_the_built_in_architecture_parses_in_both_revisions(version: str) -> None:
    program = parse_text(
        "#include <core.p4>\n#include <v1model.p4>\n",
        defines={"V1MODEL_VERSION": version},
        reporter=Reporter(),
    )
    names = {d.name for d in program.declarations}
    assert {"standard_metadata_t", "V1Switch", "register", "clone_preserving_field_list"} <= names
    assert ("PortId_t" in names) == (version == "20200408")
    assert all(d.span.source.system for d in program.declarations)


# -- positions --------------------------------------------------------------------------------------


def test_line_markers_decide_where_tokens_stand() -> None:
    text = 'a\n# 10 "x y.p4" 1\nb\n  c\n#line 30\nd\n# 1 "<core.p4>" 3\ne\n'
    tokens = Preprocessor(Reporter()).run(Source("t.p4", text))
    assert [str(t.span) for t in tokens[:-1]] == [
        "t.p4:1:1", "x y.p4:10:1", "x y.p4:11:3", "x y.p4:30:1", "<core.p4>:1:1"
    ]  # fmt: skip
    assert [t.source.system for t in tokens[:-1]] == [False, False, False, False, True]
    assert tokens[2].source.line(11) == "  c"
    assert tokens[2].source.line(3) == ""


def test_expansions_stand_where_the_macro_is_used() -> None:
    tokens = Preprocessor(Reporter()).run(Source("t.p4", "#define F(x) (x + 1)\ny F(zz) w\n"))
    assert [(t.text, str(t.span)) for t in tokens[:-1]] == [
        ("y", "t.p4:2:1"), ("(", "t.p4:2:3"), ("zz", "t.p4:2:5"), ("+", "t.p4:2:3"),
        ("1", "t.p4:2:3"), (")", "t.p4:2:3"), ("w", "t.p4:2:9"),
    ]  # fmt: skip


@pytest.mark.parametrize("sample", sorted(p.name for p in SAMPLES.glob("*.p4")))
def test_preprocessed_text_parses_to_the_same_tree_at_the_same_positions(sample: str) -> None:
    path = SAMPLES / sample
    text = preprocess_to_text(path, reporter=Reporter())
    direct = parse_file(path, reporter=Reporter())
    again = parse_text(text, "other name", reporter=Reporter())
    assert [dump(d, positions=True) for d in again.declarations] == [
        dump(d, positions=True) for d in direct.declarations
    ]


def test_preprocessed_text_gives_the_same_diagnostics(tmp_path: Path) -> None:
    (tmp_path / "i.p4").write_text("#define X 1 +\nconst int a = X;\n\nheader H { bit<8> x }\n")
    main = tmp_path / "m.p4"
    main.write_text('#include "i.p4"\nconst int b = X X;   const int c = ;\n')
    first, second = Reporter(), Reporter()
    with pytest.raises(CompileError):
        parse_file(main, reporter=first)
    text = preprocess_to_text(main, reporter=Reporter())
    with pytest.raises(CompileError):
        parse_text(text, reporter=second)
    assert [d.headline() for d in second.diagnostics] == [d.headline() for d in first.diagnostics]
    assert len(first.diagnostics) == 4
