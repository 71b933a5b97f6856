"""Random expressions of every width and sign: the kernel computes what the model computes."""

from __future__ import annotations

import os
import random

import pytest
from xdp_differential import Pair

from p4cats.compiler.backends.xdp.storage import fixed_bits
from p4cats.compiler.driver import compile_text
from p4cats.compiler.ir.types import Header
from p4cats.switch.xdp import loader

pytestmark = pytest.mark.root

WIDTHS = [
    1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40, 47, 48, 56, 63, 64, 65, 72, 96, 100, 127, 128,
    129, 160, 191, 192, 300,
]  # fmt: skip
LONG_WIDTHS = [129, 160, 191, 192, 256, 300, 512]
FIELDS = 6


class Expressions:
    """Grows P4 expressions over the fields of one header; `widths` are those of what is sliced, too."""

    def __init__(self, rng: random.Random, types: list[str], widths: list[int]) -> None:
        self.rng, self.types, self.widths = rng, types, widths

    def width(self, type_: str) -> int:
        return int(type_[4:-1])

    def leaf(self, type_: str) -> str:
        same = [f"hdr.h.f{i}" for i, t in enumerate(self.types) if t == type_]
        if same and self.rng.random() < 0.8:
            return self.rng.choice(same)
        width = self.width(type_)
        other = self.rng.randrange(len(self.types))
        if self.rng.random() < 0.5:
            source = self.types[other]
            text = f"hdr.h.f{other}"
            if source.startswith("int"):
                text = f"(bit<{self.width(source)}>){text}"
            text = f"(bit<{width}>)({text})"
            return f"(int<{width}>)({text})" if type_.startswith("int") else text
        value = self.rng.getrandbits(width)
        if type_.startswith("int"):
            value -= 1 << (width - 1)
            return (
                f"({width}s{value})"
                if value >= 0
                else f"(-{width}s{-value})"
                if -value < 1 << (width - 1)
                else f"{width}s0"
            )
        return f"{width}w{value}"

    def grow(self, type_: str, depth: int) -> str:
        if depth <= 0:
            return self.leaf(type_)
        signed = type_.startswith("int")
        kinds = ["+", "-", "*", "&", "|", "^", "~", "neg", "mux", "shift", "cast", "sat", "slice"]
        width = self.width(type_)
        if not signed:
            kinds += ["++", "/", "%"] if width <= 128 else ["++"]
        kind = self.rng.choice(kinds)
        a = lambda: self.grow(type_, depth - 1)  # noqa: E731
        if kind in ("+", "-", "*", "&", "|", "^"):
            return f"({a()} {kind} {a()})"
        if kind in ("/", "%"):
            # Division by zero is undefined in P4: or-ing 1 avoids it.
            return f"({a()} {kind} ({a()} | {width}w1))"
        if kind == "~":
            return f"(~{a()})"
        if kind == "neg":
            return f"(-{a()})"
        if kind == "sat":
            return f"({a()} {self.rng.choice(['|+|', '|-|'])} {a()})"
        if kind == "mux":
            other = self.rng.choice(self.types)
            compare = self.rng.choice(["==", "!=", "<", "<=", ">", ">="])
            test = f"{self.grow(other, depth - 1)} {compare} {self.leaf(other)}"
            return f"(({test}) ? {a()} : {a()})"
        if kind == "shift":
            count = self.rng.choice([str(self.rng.randrange(width + 3)), self.grow("bit<8>", 0)])
            return f"({a()} {self.rng.choice(['<<', '>>'])} {count})"
        if kind == "++" and width > 1:
            left = self.rng.randrange(1, width)
            return f"({self.grow(f'bit<{left}>', 0)} ++ {self.grow(f'bit<{width - left}>', 0)})"
        if kind == "slice":
            wide = self.rng.choice([w for w in self.widths if w >= width])
            low = self.rng.randrange(wide - width + 1)
            text = f"({self.grow(f'bit<{wide}>', depth - 1)})[{low + width - 1}:{low}]"
            return f"((int<{width}>)({text}))" if signed else f"({text})"
        other = self.rng.choice(self.types)
        text, signed_source = self.grow(other, depth - 1), other.startswith("int")
        if self.width(other) == width:
            return f"(({type_})({text}))"
        same_sign = f"{'int' if signed_source else 'bit'}<{width}>"
        text = f"(({same_sign})({text}))"
        return text if signed_source == signed else f"(({type_})({text}))"


def program(rng: random.Random, widths: list[int]) -> str:
    types = [f"{rng.choice(['bit', 'bit', 'int'])}<{rng.choice(widths)}>" for _ in range(FIELDS)]
    grow = Expressions(rng, types, widths)
    lines = []
    for _ in range(5):
        i = rng.randrange(FIELDS)
        width = int(types[i][4:-1])
        if rng.random() < 0.2 and width > 2:
            high = rng.randrange(1, width)
            low = rng.randrange(high)
            lines.append(f"hdr.h.f{i}[{high}:{low}] = {grow.grow(f'bit<{high - low + 1}>', 2)};")
        else:
            lines.append(f"hdr.h.f{i} = {grow.grow(types[i], 3)};")
    return program_of(types, lines)


def program_of(types: list[str], lines: list[str]) -> str:
    """A program that carries out statements on one header with fields f0, f1 and so on."""
    bits = sum(int(t[4:-1]) for t in types)
    pad = -bits % 8 or 8
    fields = "\n".join(f"    {t} f{i};" for i, t in enumerate(types))
    body = "\n        ".join(lines)
    return f"""
#include <core.p4>
#include <v1model.p4>
header h_t {{
{fields}
    bit<{pad}> pad;
}}
struct headers_t {{ h_t h; }}
struct metadata_t {{}}
parser P(packet_in p, out headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    state start {{ p.extract(hdr.h); transition accept; }}
}}
control V(inout headers_t hdr, inout metadata_t m) {{ apply {{}} }}
control I(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{
    apply {{
        sm.egress_spec = 1;
        {body}
    }}
}}
control E(inout headers_t hdr, inout metadata_t m, inout standard_metadata_t sm) {{ apply {{}} }}
control D(packet_out p, in headers_t hdr) {{ apply {{ p.emit(hdr.h); }} }}
V1Switch(P(), V(), I(), E(), V(), D()) main;
"""


PROGRAMS = int(os.environ.get("P4CATS_FUZZ_PROGRAMS", "25"))


def agree(text: str, rng: random.Random) -> None:
    """Both data planes do the same to packets of the extreme values and random ones."""
    made = compile_text(text, "expressions.p4")
    (header,) = made.headers.fields
    assert isinstance(header.type, Header)
    size = max(100, fixed_bits(header.type) // 8)
    packets = [
        bytes(size),
        bytes([255] * size),
        bytes([128, 0] * size)[:size],
        bytes([127, 255] * size)[:size],
    ]
    packets += [rng.randbytes(size) for _ in range(60)]
    pair = Pair(made)
    try:
        for packet in packets:
            assert pair.send(0, packet)
    except AssertionError as error:
        raise AssertionError(f"{error}\n{text}") from error
    finally:
        pair.close()


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_expressions_agree_with_the_model(seed: int) -> None:
    rng = random.Random(seed)
    agree(program(rng, WIDTHS), rng)


@pytest.mark.parametrize("seed", range(PROGRAMS // 5))
def test_expressions_over_128_bits_agree_in_one_piece_and_in_many(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if seed % 2:
        monkeypatch.setattr(loader, "_MOST_LINES", (12,))
    rng = random.Random(seed)
    agree(program(rng, LONG_WIDTHS), rng)


@pytest.mark.parametrize("most_lines", [0, 12])
def test_long_values_need_no_stack_of_their_own(most_lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader, "_MOST_LINES", (most_lines,))
    lines = [
        "hdr.h.f1 = hdr.h.f0 > 0 ? (hdr.h.f0 | hdr.h.f1) * (hdr.h.f1 | hdr.h.f0) : -hdr.h.f1;",
        "hdr.h.f0 = ((hdr.h.f0 |+| hdr.h.f1) >> 121) + ((hdr.h.f0 ^ 7) * (hdr.h.f1 * hdr.h.f0));",
        "hdr.h.f2 = hdr.h.f2 * hdr.h.f2 * (bit<512>)(bit<300>)hdr.h.f1;",
        "hdr.h.f3 = (hdr.h.f3 |+| (hdr.h.f3 >> 77)) - (hdr.h.f3 << hdr.h.f0[7:0]);",
        "hdr.h.f3 = hdr.h.f3 > (bit<1024>)hdr.h.f2 ? -hdr.h.f3 : (hdr.h.f3[1022:0] ++ hdr.h.f2[0:0]) >> 77;",
    ]
    agree(program_of(["int<300>", "int<300>", "bit<512>", "bit<1024>"], lines), random.Random(1))


SUMS_THAT_ARE_PRODUCTS = [
    "f0 = (hdr.h.f0 << 49) + (hdr.h.f0 + hdr.h.f0);",
    "f1 = (hdr.h.f1 << 32) - hdr.h.f1;",
    "f2 = -(hdr.h.f2 + hdr.h.f2 + hdr.h.f2) - hdr.h.f2;",
    "f3 = hdr.h.f3[14:0] ++ hdr.h.f3[14:0] ++ hdr.h.f3[14:0] ++ hdr.h.f3[14:0] ++ hdr.h.f3[35:0];",
    "f3 = (hdr.h.f3 |+| hdr.h.f3) + (hdr.h.f3 |-| (hdr.h.f3 << 3));",
]
SHIFTS_THAT_DEPEND = [
    "f0 = hdr.h.f1 > 5 ? hdr.h.f0 >> 58 : hdr.h.f0;",
    "f1 = hdr.h.f0 > 7 ? hdr.h.f1 >> 3 : hdr.h.f1;",
    "f2[63:0] = hdr.h.f0 > 7 ? hdr.h.f2[127:64] : hdr.h.f2[63:0];",
    "f3 = hdr.h.f0 > 7 ? hdr.h.f3 << 30 : hdr.h.f3;",
]


@pytest.mark.parametrize("lines", [SUMS_THAT_ARE_PRODUCTS, SHIFTS_THAT_DEPEND])
def test_wide_values_are_computed_without_products_and_shifts_that_the_kernel_lacks(lines: list[str]) -> None:
    types = ["bit<65>", "int<65>", "int<128>", "bit<96>"]
    agree(program_of(types, [f"hdr.h.{line}" for line in lines]), random.Random(1))


@pytest.mark.parametrize("width", [64, 128])
def test_signed_values_as_wide_as_the_machine_overflow_and_stay_signed(width: int) -> None:
    lines = [
        "hdr.h.f1 = ~((hdr.h.f0 + hdr.h.f2) |+| (hdr.h.f0 - hdr.h.f2));",
        "hdr.h.f3 = (hdr.h.f0 |-| (-hdr.h.f2));",
        "hdr.h.f4 = ((hdr.h.f0 << hdr.h.f6) >= hdr.h.f2) ? (hdr.h.f0 * hdr.h.f2) >> 9 : hdr.h.f4 << 3;",
        "hdr.h.f5 = (hdr.h.f0 * hdr.h.f2 < hdr.h.f5) ? hdr.h.f0 : -hdr.h.f2;",
    ]
    agree(program_of([f"int<{width}>"] * 6 + ["bit<8>"], lines), random.Random(width))
