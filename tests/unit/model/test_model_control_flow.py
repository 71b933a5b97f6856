"""Generated control flow against a small interpreter: if, loops, break, continue, return, exit, calls."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from p4cats.compiler.driver import RECURSION_LIMIT, compile_text
from p4cats.switch.model import ModelDataPlane

sys.setrecursionlimit(RECURSION_LIMIT)

PROGRAM = """
#include <core.p4>
#include <v1model.p4>
header data_t { bit<8> a; bit<8> b; bit<8> c; }
struct headers_t { data_t data; }
struct meta_t {}
bit<8> function(inout bit<8> a, in bit<8> x) { bit<8> b = x; %(function)s return b; }
parser P(packet_in packet, out headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    state start { packet.extract(hdr.data); transition accept; }
}
control V(inout headers_t hdr, inout meta_t meta) { apply {} }
control Sub(inout bit<8> a, inout bit<8> b) {
    action sub_action() { %(action)s }
    table always { actions = { sub_action; } default_action = sub_action(); }
    apply { %(sub)s }
}
control I(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) {
    Sub() sub;
    apply {
        sm.egress_spec = 1;
        bit<8> a = hdr.data.a;
        bit<8> b = hdr.data.b;
        hdr.data.c = function(a, b);
        hdr.data.a = a;
        sub.apply(hdr.data.a, hdr.data.b);
        hdr.data.c = hdr.data.c + 1;
    }
}
control E(inout headers_t hdr, inout meta_t meta, inout standard_metadata_t sm) { apply {} }
control C(inout headers_t hdr, inout meta_t meta) { apply {} }
control D(packet_out packet, in headers_t hdr) { apply { packet.emit(hdr.data); } }
V1Switch(P(), V(), I(), E(), C(), D()) main;
"""


class Leave(Exception):  # noqa: N818
    def __init__(self, kind, value=None):
        self.kind, self.value = kind, value


class Body:
    """Draws statements as P4 text and as functions of {"a": …, "b": …}."""

    def __init__(self, draw, returns, calls=None, exits=False):
        self.draw, self.returns, self.calls, self.exits = draw, returns, calls, exits
        self.loops = 0

    def block(self, depth, in_loop=False):
        parts = [self.statement(depth, in_loop) for _ in range(self.draw(st.integers(0, 3)))]

        def run(env):
            for _, each in parts:
                each(env)

        return " ".join(text for text, _ in parts), run

    def statement(self, depth, in_loop):
        kinds = ["assign", "assign", "return"]
        kinds += ["if", "if", "else", "loop", "switch"] if depth else []
        kinds += ["break", "continue"] if in_loop else []
        kinds += ["call"] if self.calls else []
        kinds += ["exit"] if self.exits else []
        return getattr(self, f"_{self.draw(st.sampled_from(kinds))}")(depth, in_loop)

    def _assign(self, depth, in_loop):
        x, y = self.draw(st.sampled_from("ab")), self.draw(st.sampled_from("ab"))
        n = self.draw(st.integers(0, 9))

        def run(env):
            env[x] = (env[y] * 3 + n) % 256

        return f"{x} = {y} * 3 + {n};", run

    def _condition(self):
        x, n = self.draw(st.sampled_from("ab")), self.draw(st.integers(0, 255))
        return f"{x} < {n}", lambda env: env[x] < n

    def _if(self, depth, in_loop):
        (test, holds), (text, run) = self._condition(), self.block(depth - 1, in_loop)
        return f"if ({test}) {{ {text} }}", lambda env: run(env) if holds(env) else None

    def _else(self, depth, in_loop):
        (test, holds), (text, run) = self._condition(), self.block(depth - 1, in_loop)
        other, otherwise = self.block(depth - 1, in_loop)
        return (
            f"if ({test}) {{ {text} }} else {{ {other} }}",
            lambda env: run(env) if holds(env) else otherwise(env),
        )

    def _switch(self, depth, in_loop):
        (one, run_one), (two, run_two) = self.block(depth - 1, in_loop), self.block(depth - 1, in_loop)
        low = self.draw(st.sampled_from("ab"))

        def run(env):
            (run_one if env[low] % 2 == 0 else run_two)(env)

        return f"switch ({low}[0:0]) {{ 0: {{ {one} }} default: {{ {two} }} }}", run

    def _loop(self, depth, in_loop):
        count = self.draw(st.integers(0, 4))
        self.loops += 1
        counter = f"i{self.loops}"
        text, body = self.block(depth - 1, True)

        def run(env):
            for _ in range(count):
                try:
                    body(env)
                except Leave as leave:
                    if leave.kind == "break":
                        break
                    if leave.kind != "continue":
                        raise

        loop = f"for (bit<8> {counter} = 0; {counter} < {count}; {counter} = {counter} + 1)"
        return f"{loop} {{ {text} }}", run

    def _raise(self, kind, env=None, value=None):
        raise Leave(kind, value)

    def _break(self, depth, in_loop):
        return "if (a != 1) { break; }", lambda env: self._raise("break") if env["a"] != 1 else None

    def _continue(self, depth, in_loop):
        return "if (b != 1) { continue; }", lambda env: self._raise("continue") if env["b"] != 1 else None

    def _return(self, depth, in_loop):
        # Not as the last word of its block: the statement after it must be left out by the return.
        n = self.draw(st.integers(0, 255))
        value = " b + 1" if self.returns else ""

        def run(env):
            if env["a"] > n:
                raise Leave("return", (env["b"] + 1) % 256)

        return f"if (a > {n}) {{ return{value}; }}", run

    def _exit(self, depth, in_loop):
        return "if (b == 77) { exit; }", lambda env: self._raise("exit") if env["b"] == 77 else None

    def _call(self, depth, in_loop):
        text, run = self.calls

        def call(env):
            try:
                run(env)
            except Leave as leave:
                if leave.kind != "return":
                    raise

        return text, call


@st.composite
def programs(draw):
    function, run_function = Body(draw, returns=True).block(3)
    action, run_action = Body(draw, returns=False, exits=True).block(2)
    calls = draw(st.sampled_from(["sub_action();", "always.apply();"]))
    # A table may be applied once; a direct call as often as one likes.
    if calls.startswith("always"):
        sub, run_sub = Body(draw, returns=False, exits=True).block(2)
        sub, first = f"{sub} {calls}", run_sub

        def run_sub(env):
            first(env)
            Body(draw, False, (calls, run_action))._call(0, False)[1](env)
    else:
        sub, run_sub = Body(draw, returns=False, calls=(calls, run_action), exits=True).block(2)
    return PROGRAM % {"function": function, "action": action, "sub": sub}, run_function, run_sub


def expected(run_function, run_sub, a, b, c):
    env = {"a": a, "b": b}
    try:
        run_function(env)
        c = env["b"]
    except Leave as leave:
        c = leave.value
    env = {"a": env["a"], "b": b}
    try:
        run_sub(env)
    except Leave as leave:
        if leave.kind == "exit":
            return bytes([env["a"], env["b"], c])
    return bytes([env["a"], env["b"], (c + 1) % 256])


@settings(max_examples=150, deadline=None)
@given(programs(), st.lists(st.binary(min_size=3, max_size=3), min_size=1, max_size=8))
def test_generated_control_flow_equals_the_interpreter(program, packets):
    text, run_function, run_sub = program
    sent = []
    plane = ModelDataPlane(compile_text(text, "flow.p4"), lambda _, packet: sent.append(packet))
    for packet in packets:
        plane.process(0, packet)
        assert sent.pop() == expected(run_function, run_sub, *packet)
