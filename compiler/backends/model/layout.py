"""How the fields of a header lie on the wire, and the struct formats that read and write them."""

from __future__ import annotations

from dataclasses import dataclass

from p4cats.compiler.backends.model.names import attribute, mask
from p4cats.compiler.ir.types import Bits, Bool, Composite, Header, Struct, Type, Varbit

_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
_WIDEST_GROUP_BYTES = 16
"""Groups up to this size are read as machine words; larger ones as a byte string."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A scalar of a header: attribute path below the header, bits, signedness."""

    path: str
    type: Type
    width: int
    signed: bool


@dataclass(frozen=True, slots=True)
class Group:
    """Neighbouring leaves that together fill whole bytes."""

    leaves: tuple[Leaf, ...]
    bytes: int


def scalar_width(type_: Type) -> int:
    """Bits of a scalar on the wire; a varbit's maximum."""
    match type_:
        case Bits(width=width):
            return width
        case Bool():
            return 1
        case Varbit(max_width=width):
            return width
        case _:
            return 32  # error and enum: only ever inside digests and hashes


def leaves(type_: Composite, prefix: str = "") -> list[Leaf]:
    """All scalars of a header or struct in wire order."""
    found: list[Leaf] = []
    for field in type_.fields:
        path = prefix + attribute(field.name)
        if isinstance(field.type, Struct | Header):
            found += leaves(field.type, path + ".")
        else:
            signed = isinstance(field.type, Bits) and field.type.signed
            found.append(Leaf(path, field.type, scalar_width(field.type), signed))
    return found


def groups(fields: list[Leaf]) -> list[Group]:
    """Cut leaves (no varbit among them) into the smallest runs of whole bytes; the end must be aligned."""
    found: list[Group] = []
    run: list[Leaf] = []
    bits = 0
    for leaf in fields:
        run.append(leaf)
        bits += leaf.width
        if bits % 8 == 0:
            if bits:
                found.append(Group(tuple(run), bits // 8))
            run, bits = [], 0
    if bits:
        raise ValueError("a header's width must be a multiple of 8 bits")
    return found


def words(size: int) -> list[int]:
    """Sizes of the machine words that make up `size` bytes, largest last."""
    rest = size
    found: list[int] = []
    while rest:
        word = next(w for w in (8, 4, 2, 1) if w <= rest)
        found.insert(0, word)
        rest -= word
    return found


def unpack_lines(header: str, type_: Composite, wanted: set[str] | None, structs: Structs) -> list[str]:
    """Statements that set the attributes of `header` from `data` at `pos`.

    `wanted` limits them to those attributes (None: all).
    """
    format_, targets, after = ">", [], []
    temporary = 0
    for group in groups(leaves(type_)):
        needed = [leaf for leaf in group.leaves if leaf.width and (wanted is None or leaf.path in wanted)]
        if not needed:
            format_ += f"{group.bytes}x"
            continue
        single = len(group.leaves) == 1 and not group.leaves[0].signed
        if single and group.bytes in _CODES:
            format_ += _CODES[group.bytes]
            targets.append(f"{header}.{group.leaves[0].path}")
            continue
        names = []
        if group.bytes <= _WIDEST_GROUP_BYTES:
            for word in words(group.bytes):
                format_ += _CODES[word]
                names.append(f"w{temporary}")
                temporary += 1
            value = _join_words(names, words(group.bytes))
        else:
            format_ += f"{group.bytes}s"
            names.append(f"w{temporary}")
            temporary += 1
            value = f'from_bytes({names[0]}, "big")'
        targets += names
        after += _split_group(header, group, {leaf.path for leaf in needed}, value, names)
    if not targets:
        return []
    reader = structs.unpacker(format_)
    head = ", ".join(targets) + ("," if len(targets) == 1 else "")
    return [f"{head} = {reader}(data, pos)", *after]


def _join_words(names: list[str], sizes: list[int]) -> str:
    text, below = [], 8 * sum(sizes)
    for name, size in zip(names, sizes, strict=True):
        below -= 8 * size
        text.append(f"{name} << {below}" if below else name)
    return " | ".join(text)


def _split_group(header: str, group: Group, needed: set[str], value: str, names: list[str]) -> list[str]:
    lines = []
    if len(group.leaves) > 1 and len(names) > 1:
        lines.append(f"{names[0]} = {value}")
        value = names[0]
    below = 8 * group.bytes
    for leaf in group.leaves:
        below -= leaf.width
        if leaf.path not in needed:
            continue
        code = value
        if len(group.leaves) > 1:
            if below:
                code = f"{code} >> {below}"
            if below + leaf.width < 8 * group.bytes:
                code = f"{code} & {hex(mask(leaf.width))}"
        if leaf.signed:
            sign = 1 << (leaf.width - 1)
            code = f"(({code}) ^ {hex(sign)}) - {hex(sign)}"
        lines.append(f"{header}.{leaf.path} = {code}")
    return lines


def pack_expression(header: str, type_: Composite, structs: Structs) -> str:
    """An expression: the bytes of `header` from its attributes."""
    format_, values = ">", []
    for group in groups(leaves(type_)):
        terms, below = [], 8 * group.bytes
        for leaf in group.leaves:
            below -= leaf.width
            code = f"{header}.{leaf.path}"
            if leaf.signed:
                code = f"({code} & {hex(mask(leaf.width))})"
            if leaf.width:
                terms.append(f"{code} << {below}" if below else code)
        value = " | ".join(terms)
        if group.bytes in _CODES:
            format_ += _CODES[group.bytes]
            values.append(value)
        elif group.bytes <= _WIDEST_GROUP_BYTES:
            rest = 8 * group.bytes
            for word in words(group.bytes):
                rest -= 8 * word
                format_ += _CODES[word]
                part = f"({value})" if len(terms) > 1 else value
                part = f"{part} >> {rest}" if rest else part
                values.append(
                    f"{part} & {hex(mask(8 * word))}" if rest + 8 * word < 8 * group.bytes else part
                )
        else:
            format_ += f"{group.bytes}s"
            values.append(f'({value}).to_bytes({group.bytes}, "big")')
    if not values:
        return 'b""'
    return f"{structs.packer(format_)}({', '.join(values)})"


class Structs:
    """The struct objects that the generated module needs, one per format."""

    def __init__(self) -> None:
        self._unpack: dict[str, str] = {}
        self._pack: dict[str, str] = {}

    def unpacker(self, format_: str) -> str:
        """The name of the unpack_from function of a format."""
        return self._unpack.setdefault(format_, f"unpack_{format_[1:]}")

    def packer(self, format_: str) -> str:
        """The name of the pack function of a format."""
        return self._pack.setdefault(format_, f"pack_{format_[1:]}")

    def lines(self) -> list[str]:
        """Their definitions."""
        found = [f'{name} = Struct("{format_}").unpack_from' for format_, name in self._unpack.items()]
        return found + [f'{name} = Struct("{format_}").pack' for format_, name in self._pack.items()]
