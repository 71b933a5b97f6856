"""Hashes and checksums: the listed fields joined to 64-bit words, most significant bit first.

Fields of invalid headers are left out (as BMv2 does): where all headers are valid, which is the usual case,
the words are known when compiling; else the bits are appended one field after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from p4cats.compiler.backends.xdp.statements import StatementEmitter
from p4cats.compiler.backends.xdp.storage import (
    AnyPlace,
    FieldPlace,
    HeaderPlace,
    Place,
    StackPlace,
    StructPlace,
    header_fields,
    read_bits,
)
from p4cats.compiler.backends.xdp.values import (
    is_long,
    is_wide,
    mask,
    unsigned,
    unsupported,
    width_of,
    word,
    words_of,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Enum, Header, String, Type, Varbit
from p4cats.compiler.source import Span

if TYPE_CHECKING:
    from p4cats.compiler.backends.xdp.module import Module

ALGORITHMS = {
    "crc32": "crc32", "crc32_custom": "crc32", "crc16": "crc16", "crc16_custom": "crc16", "csum16": "csum16",
    "xor16": "xor16", "identity": "identity",
}  # fmt: skip
"""The custom ones keep the standard parameters: P4Runtime has no way to change them."""


@dataclass(slots=True)
class Piece:
    """Bits to hash: of header octets (`base` and `first`), or of a value."""

    guard: str
    width: int
    base: str = ""
    first: int = 0
    code: str = ""
    wide: bool = False
    varbits: str = ""

    def bits(self, first: int, count: int) -> str:
        """`count` (at most 64) of the bits, as a u64."""
        if self.base:
            return read_bits(self.base, self.first + first, count)
        shift = self.width - first - count
        code = f"({self.code} >> {shift})" if shift else self.code
        if self.wide:
            code = f"((u64){code})"
        return code if first == 0 and not self.wide else f"({code} & {word(mask(count))})"


class HashEmitter(StatementEmitter):
    """Adds hashes to statements."""

    module: Module

    def algorithm(self, e: nodes.Expr) -> str:
        """The name of a HashAlgorithm constant."""
        if not isinstance(e, nodes.Const) or not isinstance(e.type, Enum):
            raise unsupported(e.span, "the hash algorithm must be a constant")
        name = e.type.members[e.value]
        if name not in ALGORITHMS:
            raise unsupported(e.span, f"hash algorithm {name}", "simple_switch has no such hash either")
        return ALGORITHMS[name]

    def selector_algorithm(self, instance: nodes.ExternInstance) -> str:
        """The hash function of an action selector."""
        first = instance.arguments[0]
        return self.algorithm(first) if isinstance(first.type, Enum) else "crc16"

    def hash_value(
        self, function: str, values: Sequence[nodes.Expr], span: Span, payload: bool = False
    ) -> str:
        """A local that holds the hash of the values' bits (and of the payload)."""
        pieces: list[Piece] = []
        for value in values:
            self._pieces(value, "", pieces)
        result = self.word_local("hash")
        guards = list(dict.fromkeys(p.guard for p in pieces if p.guard))
        varbit = any(p.varbits for p in pieces)
        if not varbit and not payload:
            if guards:
                self.line(f"if ({' && '.join(guards)}) {{")
                self.depth += 1
            self._by_words(function, _merged(pieces), result)
            if not guards:
                return result
            self.depth -= 1
            self.line("} else {")
            self.depth += 1
        self.module.slow_hashes.add(function)
        self._appended(pieces)
        if payload:
            self.module.slow_hashes.add("payload")
            self.line(f"{result} = {function}_payload(ctx, s);")
        else:
            self.line(f"{result} = {function}_slow(s);")
        if not varbit and not payload:
            self.depth -= 1
            self.line("}")
        return result

    # -- the list of bits ---------------------------------------------------------------------

    def _pieces(self, e: nodes.Expr, guard: str, found: list[Piece]) -> None:
        if isinstance(e, nodes.Make) and not isinstance(e.type, Header):
            for value in e.values:
                self._pieces(value, guard, found)
        elif isinstance(e.type, String):
            return
        else:
            self._place_pieces(self.place(e), guard, found)

    def _value_piece(self, code: str, type_: Type, guard: str, found: list[Piece]) -> None:
        if is_long(type_):
            for i in reversed(range(words_of(type_))):
                found.append(Piece(guard, min(64, width_of(type_) - 64 * i), code=f"{code}[{i}]"))
        elif width_of(type_):
            held = self.held(unsigned(code, type_), type_)
            if not held.isidentifier():
                held = f"({held})"
            found.append(Piece(guard, width_of(type_), code=held, wide=is_wide(type_)))

    def _place_pieces(self, place: AnyPlace, guard: str, found: list[Piece]) -> None:
        match place:
            case HeaderPlace():
                inner = StructPlace(place.type, header_fields(place, place.type))
                self._place_pieces(inner, place.valid, found)
            case StructPlace():
                for part in place.fields.values():
                    self._place_pieces(part, guard, found)
            case StackPlace():
                for index in range(place.size):
                    self._place_pieces(self.stack_item(place, index), guard, found)
            case FieldPlace(type=Varbit(max_width=width)):
                header = place.header
                found.append(Piece(header.valid, width, header.bytes, place.first, varbits=header.varbits))
            case FieldPlace():
                found.append(Piece(place.header.valid, width_of(place.type), place.header.bytes, place.first))
            case Place():
                self._value_piece(self.read(place), place.type, guard, found)

    # -- known words --------------------------------------------------------------------------

    def _words(self, pieces: list[Piece]) -> tuple[list[str], int]:
        """The joined bits as words, the last one zero-padded at the right; and how many bits there are."""
        words: list[list[str]] = []
        at = 0
        for piece in pieces:
            done = 0
            while done < piece.width:
                if at % 64 == 0:
                    words.append([])
                room = 64 - at % 64
                count = min(room, piece.width - done)
                text = piece.bits(done, count)
                words[-1].append(f"{text} << {room - count}" if room > count else text)
                done += count
                at += count
        return [" | ".join(terms) for terms in words], at

    def _by_words(self, function: str, pieces: list[Piece], result: str) -> None:
        words, bits = self._words(pieces)
        octets = (bits + 7) // 8
        match function:
            case "csum16":
                self.line(f"{result} = 0;")
                for text in words:
                    self.line(f"{result} = sum_add({result}, {text});")
                self.line(f"{result} = sum_fold({result}) ^ 0xffff;")
            case "xor16":
                self.line(f"{result} = xor_fold({' ^ '.join(f'({w})' for w in words) or '0ULL'});")
            case "identity":
                shift = 64 - 8 * min(octets, 8)
                self.line(f"{result} = {f'({words[0]}) >> {shift}' if words else '0ULL'};")
            case _:
                self.module.tables_needed.add(function)
                start = "0xffffffff" if function == "crc32" else "0"
                self.line(f"{result} = {start};")
                for index, text in enumerate(words):
                    rest = octets - 8 * index
                    if rest >= 8:
                        self.line(f"{result} = {function}_8({result}, {text});")
                    else:
                        self.line(f"{result} = {function}_n({result}, {text}, {rest});")
                if function == "crc32":
                    self.line(f"{result} ^= 0xffffffff;")

    # -- bits appended at run time ------------------------------------------------------------

    def _appended(self, pieces: list[Piece]) -> None:
        self.line("s->hashed_bits = 0;")
        for piece in pieces:
            self.line(f"if ({piece.guard or '1'}) {{")
            done = 0
            while done < piece.width:
                count = min(64, piece.width - done)
                if piece.varbits:
                    # The varbit's bits are multiples of eight and begin at an octet.
                    text = piece.bits(done, min(8, count))
                    self.line(f"\tif ({piece.varbits} > {done})")
                    self.line(f"\t\tput_bits(s, {text}, 8);")
                    done += 8
                    continue
                self.line(f"\tput_bits(s, {piece.bits(done, count)}, {count});")
                done += count
            self.line("}")


def _merged(pieces: list[Piece]) -> list[Piece]:
    """Neighbouring fields of one header as one run of bits."""
    merged: list[Piece] = []
    for piece in pieces:
        last = merged[-1] if merged else None
        if last and last.base and last.base == piece.base and last.first + last.width == piece.first:
            merged[-1] = Piece(last.guard, last.width + piece.width, last.base, last.first)
        else:
            merged.append(piece)
    return merged
