"""Generated expressions against the specification: random trees, evaluated here and by the generated code."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.compiler.driver import RECURSION_LIMIT, compile_text
from p4cats.switch.model import ModelDataPlane

sys.setrecursionlimit(
    RECURSION_LIMIT
)  # the compiler sets it too; hypothesis warns where it changes in a test

WIDTHS = (1, 7, 8, 16, 33)

HEAD = """
#include <core.p4>
#include <v1model.p4>
header data_t { %s }
struct headers_t { data_t data; }
struct meta_t {}
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.data); transition accept; }
}
control V(inout headers_t hdr, inout meta_t meta) { apply {} }
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    apply { sm.egress_spec = 1; %s }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.data); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


def wrap(value, width, signed):
    value &= (1 << width) - 1
    return value - (1 << width) if signed and value >> (width - 1) else value


def clamp(value, width, signed):
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    return max(low, min(high, value))


def name(width, signed):
    return f"{'int' if signed else 'bit'}<{width}>"


FIELDS = [(w, s, n) for w in WIDTHS for s in ((False, True) if w > 1 else (False,)) for n in "ab"]


def field(width, signed, letter):
    return f"{'s' if signed else 'u'}{width}{letter}"


@st.composite
def expressions(draw, width, signed, depth=3):
    """P4 text and a function from field values to the value."""
    leaf = depth == 0 or draw(st.integers(0, 5)) == 0
    if leaf:
        if draw(st.booleans()):
            text = field(width, signed, draw(st.sampled_from("ab")))
            return f"hdr.data.{text}", lambda env, text=text: env[text]
        value = wrap(draw(st.integers(0, (1 << width) - 1)), width, signed)
        literal = (
            f"({name(width, signed)}){abs(value)}" if value >= 0 else f"(({name(width, signed)})(-{-value}))"
        )
        return literal, lambda env, value=value: value
    kind = draw(
        st.sampled_from(
            ["arith", "arith", "logic", "sat", "shift", "shift", "unary", "cast", "mux", "slice", "cat"]
        )
    )
    sub = lambda w=width, s=signed: draw(expressions(w, s, depth - 1))  # noqa: E731
    if kind == "arith":
        op = draw(st.sampled_from("+-*"))
        (a, f), (b, g) = sub(), sub()
        run = {"+": lambda x, y: x + y, "-": lambda x, y: x - y, "*": lambda x, y: x * y}[op]
        return f"({a} {op} {b})", lambda env: wrap(run(f(env), g(env)), width, signed)
    if kind == "logic":
        op = draw(st.sampled_from("&|^"))
        (a, f), (b, g) = sub(), sub()
        run = {"&": lambda x, y: x & y, "|": lambda x, y: x | y, "^": lambda x, y: x ^ y}[op]
        return f"({a} {op} {b})", lambda env: run(f(env), g(env))
    if kind == "sat" and width > 1:
        op = draw(st.sampled_from(["|+|", "|-|"]))
        (a, f), (b, g) = sub(), sub()
        sign = 1 if op == "|+|" else -1
        return f"({a} {op} {b})", lambda env: clamp(f(env) + sign * g(env), width, signed)
    if kind == "shift":
        op = draw(st.sampled_from(["<<", ">>"]))
        (a, f) = sub()
        if draw(st.booleans()):
            count = draw(st.integers(0, width + 2))
            b, g = str(count), lambda env: count
        else:
            b, g = sub(8, False)
        if op == "<<":
            return f"({a} << {b})", lambda env: wrap(f(env) << g(env), width, signed)
        return f"({a} >> {b})", lambda env: f(env) >> g(env)
    if kind == "unary":
        op = draw(st.sampled_from("-~"))
        (a, f) = sub()
        return f"({op}{a})", lambda env: wrap(-f(env) if op == "-" else ~f(env), width, signed)
    if kind == "cast":
        other = draw(st.sampled_from(WIDTHS))
        if signed and other > 1 and draw(st.booleans()):
            a, f = sub(other, True)
            return f"(({name(width, True)}){a})", lambda env: wrap(f(env), width, True)
        if not signed:
            a, f = sub(other, False)
            return f"(({name(width, False)}){a})", lambda env: wrap(f(env), width, False)
        a, f = sub(width, False)
        return f"(({name(width, True)}){a})", lambda env: wrap(f(env), width, True)
    if kind == "mux":
        op = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!="]))
        (a, f), (b, g) = sub(), sub()
        other = draw(st.sampled_from(WIDTHS[1:]))
        (c, h), (d, i) = sub(other, True), sub(other, True)
        compare = {
            "<": lambda x, y: x < y, "<=": lambda x, y: x <= y, ">": lambda x, y: x > y,
            ">=": lambda x, y: x >= y, "==": lambda x, y: x == y, "!=": lambda x, y: x != y,
        }[op]  # fmt: skip
        return f"({c} {op} {d} ? {a} : {b})", lambda env: f(env) if compare(h(env), i(env)) else g(env)
    if kind == "slice" and not signed:
        other = draw(st.sampled_from([w for w in WIDTHS if w >= width]))
        low = draw(st.integers(0, other - width))
        a, f = sub(other, draw(st.booleans()) if other > 1 else False)
        return f"({a})[{low + width - 1}:{low}]", lambda env: (f(env) >> low) & ((1 << width) - 1)
    if kind == "cat" and not signed and width in (8, 16):
        left = 1 if width == 8 else 8
        (a, f), (b, g) = sub(left, False), sub(width - left, False)
        return f"({a} ++ {b})", lambda env: f(env) << (width - left) | g(env)
    return sub()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_generated_arithmetic_equals_the_specification(data):
    tested = [
        (w, s, *data.draw(expressions(w, s)))
        for w, s in data.draw(
            st.lists(st.sampled_from([(f[0], f[1]) for f in FIELDS]), min_size=1, max_size=5)
        )
    ]
    declared = [f"{name(w, s)} {field(w, s, n)};" for w, s, n in FIELDS]
    declared += [f"{name(w, s)} r{i};" for i, (w, s, _, _) in enumerate(tested)]
    bits = sum(w for w, _, _ in FIELDS) + sum(w for w, _, _, _ in tested)
    padding = -bits % 8
    if padding:
        declared.append(f"bit<{padding}> padding;")
    body = " ".join(f"hdr.data.r{i} = {text};" for i, (_, _, text, _) in enumerate(tested))
    sent = []
    plane = ModelDataPlane(
        compile_text(HEAD % (" ".join(declared), body), "expression.p4"), lambda _, p: sent.append(p)
    )
    size = (bits + padding) // 8
    for packet in data.draw(st.lists(st.binary(min_size=size, max_size=size), min_size=1, max_size=6)):
        sent.clear()
        plane.process(0, packet)
        env, rest = {}, int.from_bytes(packet, "big")
        below = 8 * size
        for w, s, n in FIELDS:
            below -= w
            env[field(w, s, n)] = wrap(rest >> below, w, s)
        got = int.from_bytes(sent[0], "big")
        for w, s, text, run in tested:
            below -= w
            assert wrap(got >> below, w, s) == run(env), text
