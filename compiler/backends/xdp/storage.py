"""Where values live: scalars in the scratch area or in C locals, headers as their octets on the wire.

The scratch area is one struct per CPU in a global array. A header is kept as it came, a field is taken out
of it where it is read: what is never read costs nothing, and the deparser copies octets. `at_…` is the
place in the packet where the header's octets stand unchanged, so that only what changed is written back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.backends.xdp.values import (
    Names,
    identifier,
    is_long,
    is_signed,
    mask,
    stored_type,
    width_of,
    word,
    words_of,
)
from p4cats.compiler.ir.types import Composite, Header, Stack, Struct, Type, Union, Varbit

_LOADS = (1, 2, 4, 8)


@dataclass(slots=True)
class Place:
    """A scalar: C text to read, and to assign where it is an l-value."""

    type: Type
    code: str
    whole: Type | None = None
    """With a slice high:low: the type of what `code` holds."""
    high: int = -1
    low: int = 0


@dataclass(slots=True)
class HeaderPlace:
    """A header: its octets, validity, place in the packet ("" if it is never emitted), varbit's bits."""

    type: Header
    bytes: str
    valid: str
    at: str = ""
    varbits: str = ""


@dataclass(slots=True)
class FieldPlace:
    """Bits of a header, counted from its first; a varbit field stands for itself."""

    type: Type
    header: HeaderPlace
    first: int


@dataclass(slots=True)
class StructPlace:
    """A struct, union or group of header fields: places by name."""

    type: Composite
    fields: dict[str, AnyPlace]


@dataclass(slots=True)
class StackPlace:
    """A stack: element 0 … size, the last standing for all that are outside."""

    type: Stack
    element: AnyPlace
    """With `{i}` where the index goes."""
    next: str
    size: int
    parts: list[AnyPlace] = field(default_factory=list)
    """A constant list: its elements."""


Leaf = Place | FieldPlace
AnyPlace = Place | HeaderPlace | FieldPlace | StructPlace | StackPlace


def fixed_bits(type_: Composite) -> int:
    """Bits of a header without its varbit."""
    total = 0
    for f in type_.fields:
        if isinstance(f.type, Composite):
            total += fixed_bits(f.type)
        elif not isinstance(f.type, Varbit):
            total += width_of(f.type)
    return total


def varbit_field(type_: Composite) -> tuple[int, Varbit] | None:
    """First bit and type of a header's varbit."""
    first = 0
    for f in type_.fields:
        if isinstance(f.type, Varbit):
            return first, f.type
        first += fixed_bits(f.type) if isinstance(f.type, Composite) else width_of(f.type)
    return None


def storage_bytes(type_: Header) -> int:
    """Octets to keep a header: a field may be read by a word that begins in it and ends behind it."""
    varbit = varbit_field(type_)
    bits = fixed_bits(type_) + (varbit[1].max_width if varbit else 0)
    return (bits // 8 + 7) // 8 * 8 + 8


def with_index(place: AnyPlace, index: str) -> AnyPlace:
    """An element of a stack."""
    match place:
        case Place():
            return Place(place.type, place.code.replace("{i}", index), place.whole, place.high, place.low)
        case HeaderPlace():
            texts = (t.replace("{i}", index) for t in (place.bytes, place.valid, place.at, place.varbits))
            return HeaderPlace(place.type, *texts)
        case StructPlace():
            return StructPlace(place.type, {n: with_index(p, index) for n, p in place.fields.items()})
        case _:
            raise AssertionError("stacks of stacks do not exist")


class Scratch:
    """The per-CPU struct. `state` is what a packet carries from ingress to egress; headers lie behind it."""

    def __init__(self, names: Names) -> None:
        self.names = names
        self.metadata: list[tuple[int, str]] = []
        """Scalars of metadata and standard_metadata, with their alignment: what a clone is given anew."""
        self.state: list[tuple[int, str]] = []
        """Everything else that is zero when a packet comes in."""
        self.headers: list[str] = []
        self.shared: list[str] = []
        """Locals that more than one function uses, and long ones."""
        self.scalars: dict[str, tuple[str, int]] = {}
        """C name and size of every scalar of metadata, by path (meta.x, sm.x)."""
        self.places_in_packet: list[tuple[str, int]] = []
        """`at` members and their array sizes (0: none)."""

    def scalar(self, type_: Type, wanted: str, array: int = 0, path: str = "") -> Place:
        """A scalar member, zero when a packet comes in."""
        name = self.names.fresh(wanted)
        kind, size = stored_type(type_)
        dimensions = f"[{array}]" if array else ""
        if is_long(type_):
            kind, size = "u64", 8 * words_of(type_)
            dimensions += f"[{words_of(type_)}]"
        member = (min(size, 16), f"{kind} {name}{dimensions};")
        if path:
            self.metadata.append(member)
            self.scalars[path] = (name, size)
        else:
            self.state.append(member)
        return Place(type_, f"s->{name}{'[{i}]' if array else ''}")

    def words(self, wanted: str, count: int) -> str:
        """An array of words for a value that no C local holds; packets find in it what was left there."""
        name = self.names.fresh(f"x_{wanted}")
        self.shared.append(f"u64 {name}[{count}];")
        return f"s->{name}"

    def raw(self, kind: str, wanted: str, array: int = 0) -> str:
        """A member of a C type."""
        name = self.names.fresh(wanted)
        self.state.append((int(kind[1:]) // 8, f"{kind} {name}{f'[{array}]' if array else ''};"))
        return f"s->{name}{'[{i}]' if array else ''}"

    def place(
        self, type_: Type, wanted: str, *, array: int = 0, in_packet: bool = False, path: str = ""
    ) -> AnyPlace:
        """Make room for a value of any type."""
        match type_:
            case Header():
                return self._header(type_, wanted, array, in_packet)
            case Struct() | Union():
                fields = {
                    f.name: self.place(
                        f.type, f"{wanted}_{f.name}", array=array, in_packet=in_packet,
                        path=f"{path}.{f.name}" if path else "",
                    )
                    for f in type_.fields
                }  # fmt: skip
                return StructPlace(type_, fields)
            case Stack(element=element, size=size):
                inner = self.place(element, wanted, array=size + 1, in_packet=in_packet)
                return StackPlace(type_, inner, self.raw("u32", f"n_{identifier(wanted)}"), size)
            case _:
                return self.scalar(type_, wanted, array, path)

    def _header(self, type_: Header, wanted: str, array: int, in_packet: bool) -> HeaderPlace:
        name = self.names.fresh(f"h_{wanted}")
        size = storage_bytes(type_)
        self.headers.append(f"u8 {name}{f'[{array}]' if array else ''}[{size}] __attribute__((aligned(8)));")
        index = "[{i}]" if array else ""
        valid = self.raw("u8", f"v_{wanted}", array)
        varbits = self.raw("u16", f"w_{wanted}", array) if varbit_field(type_) else ""
        at = ""
        if in_packet:
            at_name = self.names.fresh(f"at_{wanted}")
            self.headers.append(f"u16 {at_name}{f'[{array}]' if array else ''};")
            self.places_in_packet.append((at_name, array))
            at = f"s->{at_name}{index}"
        return HeaderPlace(type_, f"s->{name}{index}", valid, at, varbits)


def header_fields(place: HeaderPlace, type_: Composite, first: int = 0) -> dict[str, AnyPlace]:
    """The fields of a header (or of a struct inside one) as places."""
    found: dict[str, AnyPlace] = {}
    for f in type_.fields:
        if isinstance(f.type, Composite):
            found[f.name] = StructPlace(f.type, header_fields(place, f.type, first))
            first += fixed_bits(f.type)
        elif isinstance(f.type, Varbit):
            # Kept behind all others, so that they have fixed places.
            found[f.name] = FieldPlace(f.type, place, fixed_bits(place.type))
        else:
            found[f.name] = FieldPlace(f.type, place, first)
            first += width_of(f.type)
    return found


# -- bits in octets ---------------------------------------------------------------------------


def read_bits(base: str, first: int, width: int) -> str:
    """The unsigned value of bits first … first + width - 1 (u64, or u128 above 64 bits)."""
    if width == 0:
        return "0ULL"
    if width > 64:
        low = width - 64
        return f"W128({read_bits(base, first, low)}, {read_bits(base, first + low, 64)})"
    octet, behind = first // 8, (first + width + 7) // 8
    if behind - octet > 8:  # nine octets: the first apart
        head = 8 * (octet + 1) - first
        rest = width - head
        return f"({read_bits(base, first, head)} << {rest} | {read_bits(base, first + head, rest)})"
    size = next(n for n in _LOADS if n >= behind - octet)
    shift = 8 * (octet + size) - first - width
    code = f"LD{8 * size}({base}, {octet})"
    if shift:
        code = f"({code} >> {shift})"
    if first % 8 or width > 8 * size - shift:
        code = f"({code} & {word(mask(width))})"
    return code if width == 8 * size - shift else f"({code} & {word(mask(width))})"


def write_bits(base: str, first: int, width: int, value: str) -> list[str]:
    """Statements that set bits; `value` is unsigned, in range, and cheap to repeat."""
    if width == 0:
        return []
    if width > 64:
        low = width - 64
        return [
            *write_bits(base, first, low, f"(u64)({value} >> 64)"),
            *write_bits(base, first + low, 64, f"(u64)({value})"),
        ]
    octet, behind = first // 8, (first + width + 7) // 8
    span = behind - octet
    if first % 8 == 0 and width % 8 == 0 and span in _LOADS:
        return [f"ST{8 * span}({base}, {octet}, {value});"]
    if span in _LOADS or span < 8:
        # An odd number of octets is written by parts, lest a neighbour's word be rewritten.
        if span not in _LOADS:
            head = 8 * (octet + max(n for n in _LOADS if n < span)) - first
            rest = width - head
            return [
                *write_bits(base, first, head, f"({value} >> {rest})"),
                *write_bits(base, first + head, rest, f"({value} & {word(mask(rest))})"),
            ]
        shift = 8 * behind - first - width
        hole = mask(8 * span) ^ (mask(width) << shift)
        load = f"LD{8 * span}({base}, {octet})"
        return [f"ST{8 * span}({base}, {octet}, ({load} & {word(hole)}) | {value} << {shift});"]
    head = 8 * (octet + 1) - first
    rest = width - head
    return [
        *write_bits(base, first, head, f"({value} >> {rest})"),
        *write_bits(base, first + head, rest, f"({value} & {word(mask(rest))})"),
    ]


def field_read(place: FieldPlace) -> str:
    """The value of a header field."""
    width = width_of(place.type)
    code = read_bits(place.header.bytes, place.first, width)
    if is_signed(place.type):
        return f"sign128({code}, {width})" if width > 64 else f"SIGN64({code}, {width})"
    return code
