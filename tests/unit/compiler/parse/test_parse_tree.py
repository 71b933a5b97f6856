"""What the parser builds: the sample with every construct, and the grammar's ambiguities."""

from __future__ import annotations

from pathlib import Path

import pytest

from p4cats.compiler.diagnostics import Reporter
from p4cats.compiler.parse import ast, parse_file, parse_text

SAMPLES = Path(__file__).parent / "samples"


def parse(text: str) -> list[ast.Declaration]:
    return parse_text(text, "t.p4", reporter=Reporter()).declarations


def show(node: ast.Node) -> str:
    """An expression or type with all its parentheses."""
    match node:
        case ast.IntLiteral():
            return node.text
        case ast.BoolLiteral():
            return str(node.value).lower()
        case ast.StringLiteral():
            return repr(node.value)
        case ast.Name():
            return "." * node.dotted + node.name
        case ast.TypeExpression():
            return f"type {show(node.type)}"
        case ast.Member():
            return f"{show(node.base)}.{node.name}"
        case ast.Index():
            return f"{show(node.base)}[{show(node.index)}]"
        case ast.Slice():
            return f"{show(node.base)}[{show(node.high)}:{show(node.low)}]"
        case ast.PartSelect():
            return f"{show(node.base)}[{show(node.low)}+:{show(node.width)}]"
        case ast.Call():
            types = f"<{', '.join(map(show, node.type_arguments))}>" if node.type_arguments else ""
            return f"{show(node.callee)}{types}({', '.join(map(show, node.arguments))})"
        case ast.Argument():
            return (f"{node.name}=" if node.name else "") + show(node.value)
        case ast.NamedValue():
            return f"{node.name}={show(node.value)}"
        case ast.Unary():
            return f"({node.op}{show(node.operand)})"
        case ast.Binary():
            return f"({show(node.left)} {node.op} {show(node.right)})"
        case ast.Ternary():
            return f"({show(node.condition)} ? {show(node.then)} : {show(node.other)})"
        case ast.Cast():
            return f"cast<{show(node.type)}>({show(node.operand)})"
        case ast.ListExpression():
            return "{" + ", ".join([*map(show, node.elements), *["..."] * node.rest]) + "}"
        case ast.StructExpression():
            return "{" + ", ".join([*map(show, node.fields), *["..."] * node.rest]) + "}"
        case ast.InvalidHeader():
            return "{#}"
        case ast.Rest():
            return "..."
        case ast.DontCare() | ast.DontCareType():
            return "_"
        case ast.DefaultKeyset():
            return "default"
        case ast.Mask():
            return f"{show(node.value)} &&& {show(node.mask)}"
        case ast.Range():
            return f"{show(node.low)} .. {show(node.high)}"
        case ast.TupleKeyset():
            return f"<{', '.join(map(show, node.elements))}>"
        case ast.BaseType():
            return node.name + (f"<{show(node.width)}>" if node.width else "")
        case ast.NamedType():
            arguments = f"<{', '.join(map(show, node.arguments))}>" if node.arguments else ""
            return "." * node.dotted + node.name + arguments
        case ast.StackTypeRef():
            return f"{show(node.element)}[{show(node.size)}]"
        case ast.TupleTypeRef():
            return f"tuple<{', '.join(map(show, node.elements))}>"
        case ast.ListTypeRef():
            return f"list<{show(node.element)}>"
    raise AssertionError(node)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 + 2 * 3 - 4", "((1 + (2 * 3)) - 4)"),
        ("a & b == c | d", "((a & b) == (c | d))"),
        ("a < b & c", "(a < (b & c))"),
        ("a || b && c == d", "(a || (b && (c == d)))"),
        ("a << 1 + b >> 2", "((a << (1 + b)) >> 2)"),
        ("a ++ b + c |+| d", "(((a ++ b) + c) |+| d)"),
        ("a ^ b & c | d", "((a ^ (b & c)) | d)"),
        ("-a.b[1] + ~!c", "((-a.b[1]) + (~(!c)))"),
        ("a ? b : c ? d : e", "(a ? b : (c ? d : e))"),
        ("a ? b ? c : d : e", "(a ? (b ? c : d) : e)"),
        ("a == b ? 1 : 2 + 3", "((a == b) ? 1 : (2 + 3))"),
        ("(bit<8>) a + b", "(cast<bit<8>>(a) + b)"),
        ("(bit<8>) -a.b", "cast<bit<8>>((-a.b))"),
        ("(T) a", "cast<T>(a)"),
        ("(T) (a)", "cast<T>(a)"),
        ("(T) {1}", "cast<T>({1})"),
        ("(G<bit<8>>) a", "cast<G<bit<8>>>(a)"),
        ("(.T) a", "cast<.T>(a)"),
        ("(T[2]) a", "cast<T[2]>(a)"),
        ("(a) - b", "(a - b)"),
        ("(T.x) - b", "(type T.x - b)"),
        ("(a)(b)", "a(b)"),
        ("(unknown) x", "cast<unknown>(x)"),
        ("(error) x", "cast<error>(x)"),
        ("error.x", "type error.x"),
        ("f<T>(x)", "f<T>(x)"),
        ("f<bit<8>>(x)", "f<bit<8>>(x)"),
        ("f<G<G<bit<8>>>>(x)", "f<G<G<bit<8>>>>(x)"),
        ("f<_, T[3]>(x)", "f<_, T[3]>(x)"),
        ("f<bit<(a + 1)>>(x)", "f<bit<(a + 1)>>(x)"),
        ("a.b<T>(x).c", "a.b<T>(x).c"),
        ("a < b", "(a < b)"),
        ("(a < b) > c", "((a < b) > c)"),
        ("a < b > (c)", "((a < b) > c)"),
        ("f(a < b, c > (d))", "f((a < b), (c > d))"),
        ("a < (b) && c > (d)", "((a < b) && (c > d))"),
        ("a >> b >= c", "((a >> b) >= c)"),
        ("G<bit<8>>(x)", "type G<bit<8>>(x)"),
        ("T(x).y", "type T(x).y"),
        ("T.apply(x)", "type T.apply(x)"),
        (".f(.x)", ".f(.x)"),
        ("f(a = 1, b = _, c = d == e)", "f(a=1, b=_, c=(d == e))"),
        ("a[7:0][b+:2]", "a[7:0][b+:2]"),
        ("a[b ? 1 : 2 : 0]", "a[(b ? 1 : 2):0]"),
        ("{}", "{}"),
        ("{1, {2}, }", "{1, {2}}"),
        ("{1, ...}", "{1, ...}"),
        ("{...}", "{...}"),
        ("{a = 1, key = {b = 2}, ...}", "{a=1, key={b=2}, ...}"),
        ("{#}", "{#}"),
        ("...", "..."),
        ("key + list - priority.state", "((key + list) - priority.state)"),
        ("this.f()", "this.f()"),
        ('"a" ++ "b"', "('a' ++ 'b')"),
        ("(list<bit<8>>){1}", "cast<list<bit<8>>>({1})"),
    ],
)
def test_expressions(text: str, expected: str) -> None:
    constant = parse(f"struct T {{}} struct G<A> {{}} const int c = {text};")[-1]
    assert isinstance(constant, ast.Constant)
    assert show(constant.value) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "1"),
        ("default", "default"),
        ("_", "_"),
        ("1 &&& 2 + 1", "1 &&& (2 + 1)"),
        ("1 .. 2", "1 .. 2"),
        ("(1)", "1"),
        ("(1, _)", "<1, _>"),
        ("(1 &&& 2)", "1 &&& 2"),
        ("(1 &&& 2, 3 .. 4, default)", "<1 &&& 2, 3 .. 4, default>"),
        ("(1) + 2", "(1 + 2)"),
        ("(1 + 2) * 3 &&& (4)", "((1 + 2) * 3) &&& 4"),
        ("(bit<8>) 4", "cast<bit<8>>(4)"),
        ("((1 + 2) * 3, (4))", "<((1 + 2) * 3), 4>"),
        ("((1, 2), 3)", "<<1, 2>, 3>"),
        ("f(1, 2)", "f(1, 2)"),
    ],
)
def test_key_sets(text: str, expected: str) -> None:
    parser = parse(f"parser P() {{ state s {{ transition select(x) {{ {text}: accept; }} }} }}")[0]
    assert isinstance(parser, ast.ParserDeclaration)
    assert parser.states is not None
    select = parser.states[0].transition
    assert isinstance(select, ast.Select)
    assert show(select.cases[0].keyset) == expected


def statements(text: str) -> list[ast.Statement]:
    function = parse(f"struct T {{}} struct G<A> {{}} void f() {{ {text} }}")[-1]
    assert isinstance(function, ast.Function)
    assert function.body is not None
    return function.body.statements


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("T x;", ast.Variable),
        ("unknown x;", ast.Variable),
        ("unknown<bit<8>> x = 1;", ast.Variable),
        ("T[3] x;", ast.Variable),
        (".T x;", ast.Variable),
        ("G<G<bit<8>>> x;", ast.Variable),
        ("T(1) x;", ast.Instantiation),
        ("G<T>(1) x;", ast.Instantiation),
        ("T.apply(1);", ast.CallStatement),
        ("G<T>.apply(1);", ast.CallStatement),
        ("x(1);", ast.CallStatement),
        ("x<T>(1);", ast.CallStatement),
        ("x.y<T, bit<8>>(1);", ast.CallStatement),
        ("x[3] = 1;", ast.Assign),
        ("x[3:1] |+|= 1;", ast.Assign),
        ("(x) = 1;", ast.Assign),
        ("x >>= 1;", ast.Assign),
        ("type = 1;", ast.Assign),
        ("error e;", ast.Variable),
        ("const T x = 1;", ast.Constant),
        ("for (T x in y) ;", ast.ForIn),
        ("for (x in 1 .. 2) ;", ast.ForIn),
        ("for (T x = 1; x < 2; x += 1) ;", ast.For),
        ("for (; true; ) ;", ast.For),
        (";", ast.Empty),
        ("{ }", ast.Block),
    ],
)
def test_statements(text: str, kind: type[ast.Statement]) -> None:
    (statement,) = statements(text)
    assert type(statement) is kind


def test_a_local_name_hides_a_type_until_its_block_ends() -> None:
    first, inner, last = statements("bit<8> x = (T) - 1; { bit<8> T = 1; x = (T) - 1; } x = (T) - 1;")
    assert isinstance(first, ast.Variable)
    assert isinstance(first.initializer, ast.Cast)
    assert isinstance(inner, ast.Block)
    assert isinstance(inner.statements[1], ast.Assign)
    assert isinstance(inner.statements[1].value, ast.Binary)
    assert isinstance(last, ast.Assign)
    assert isinstance(last.value, ast.Cast)


def test_type_parameters_are_types_in_their_declaration_only() -> None:
    function, constant = parse("T f<T>(in T x) { return (T) - x; } const int c = (T) - x;")
    assert isinstance(function, ast.Function)
    assert function.body is not None
    (back,) = function.body.statements
    assert isinstance(back, ast.Return)
    assert isinstance(back.value, ast.Cast)
    assert isinstance(constant, ast.Constant)
    assert isinstance(constant.value, ast.Binary)


def test_else_belongs_to_the_nearest_if() -> None:
    (outer,) = statements("if (a) if (b) x = 1; else x = 2;")
    assert isinstance(outer, ast.If)
    assert outer.other is None
    assert isinstance(outer.then, ast.If)
    assert isinstance(outer.then.other, ast.Assign)


def test_switch_cases_fall_through_without_a_body() -> None:
    (switch,) = statements("switch (x) { a: b: { } 1 + 2: default: { } }")
    assert isinstance(switch, ast.Switch)
    assert [(show(c.label), c.body is None) for c in switch.cases] == [
        ("a", True), ("b", False), ("(1 + 2)", True), ("default", False)
    ]  # fmt: skip


def test_annotations_keep_text_and_values() -> None:
    (constant,) = parse(
        '@a @b( x  ( y ) $ ) @c(1, "s") @d(k = 1, l = "v") @e[1, 2] @f[k=1]\n'
        '@pragma g h 1 // no\n@pragma i 2 3\n@deprecated("x")\nconst int n = 1;'
    )
    found = [
        (a.name, a.body, a.values and [show(v) for v in a.values], a.pairs and [show(p) for p in a.pairs])
        for a in constant.annotations
    ]
    assert found == [
        ("a", None, None, None),
        ("b", "x ( y ) $", None, None),
        ("c", '1 , "s"', ["1", "'s'"], None),
        ("d", 'k = 1 , l = "v"', None, ["k=1", "l='v'"]),
        ("e", None, None, None),
        ("f", None, None, None),
        ("g", "h 1", None, None),
        ("i", "2 3", ["2", "3"], None),
        ("deprecated", '"x"', ["'x'"], None),
    ]
    assert [show(v) for v in constant.annotations[4].structured or []] == ["1", "2"]
    assert [show(v) for v in constant.annotations[5].structured or []] == ["k=1"]


def test_table_entries_and_properties() -> None:
    (control,) = parse("""control C() {
        table t {
            key = { a.b : exact @name("n"); c : ternary; }
            actions = { x; @tableonly y(1); .z; }
            const default_action = x();
            size = 10;
            entries = { const priority = 5: (1, _): x @e; priority = (A): 2 : .z(); priority + 1 : x; }
        }
        apply { } }""")
    assert isinstance(control, ast.ControlDeclaration)
    (table,) = control.locals
    assert isinstance(table, ast.Table)
    assert [(show(k.expression), k.match_kind, len(k.annotations)) for k in table.keys] == [
        ("a.b", "exact", 1), ("c", "ternary", 0)
    ]  # fmt: skip
    assert [(show(a.name), a.arguments is None) for a in table.actions] == [
        ("x", True),
        ("y", False),
        (".z", True),
    ]
    assert [(p.name, p.const, show(p.value)) for p in table.properties] == [
        ("default_action", True, "x()"), ("size", False, "10")
    ]  # fmt: skip
    assert table.entries is not None
    assert [
        (e.const, e.priority and show(e.priority), show(e.keyset), show(e.action.name), len(e.annotations))
        for e in table.entries
    ] == [
        (True, "5", "<1, _>", "x", 1), (False, "A", "2", ".z", 0), (False, None, "(priority + 1)", "x", 0)
    ]  # fmt: skip


def test_spans_cover_exactly_what_was_written() -> None:
    text = "header H { bit<8> a; }\nconst  tuple<H, bit<8>> c = { a, f<bit<8>>(1) + 2 } ;"
    header, constant = parse(text)
    assert isinstance(constant, ast.Constant)

    def written(node: ast.Node) -> str:
        return text[node.span.start : node.span.end]

    assert written(header) == "header H { bit<8> a; }"
    assert written(constant) == text[23:]
    assert written(constant.type) == "tuple<H, bit<8>>"
    assert isinstance(constant.value, ast.ListExpression)
    assert written(constant.value) == "{ a, f<bit<8>>(1) + 2 }"
    assert written(constant.value.elements[1]) == "f<bit<8>>(1) + 2"
    assert text[constant.name_span.start : constant.name_span.end] == "c"


def test_the_sample_with_every_construct_parses() -> None:
    program = parse_file(SAMPLES / "everything.p4", reporter=Reporter())
    kinds = {type(d) for d in program.declarations}
    assert kinds >= {
        ast.Constant, ast.Typedef, ast.NewType, ast.Header, ast.HeaderUnion, ast.Struct, ast.EnumDeclaration,
        ast.ErrorDeclaration, ast.MatchKindDeclaration, ast.ExternObject, ast.Function, ast.Action,
        ast.ParserDeclaration, ast.ControlDeclaration, ast.PackageDeclaration, ast.Instantiation,
    }  # fmt: skip
    assert program.declarations[-1].name == "main"
