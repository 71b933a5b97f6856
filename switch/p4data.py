"""Values of registers and digests: `P4Data` messages to data-plane values and back (P4Runtime section 8.4.3).

In the data plane a scalar is an unsigned bit pattern (an enum or error: an index), a struct, tuple or
header a tuple of values; an invalid header is None.
"""

from __future__ import annotations

from collections.abc import Callable

from finsy.proto import p4d, p4i, p4t

from p4cats.switch import bytestrings
from p4cats.switch.errors import invalid, out_of_range
from p4cats.switch.values import ValueTypes

Decode = Callable[[p4d.P4Data], object]
Encode = Callable[[object], p4d.P4Data]


class Codec:
    """Converts values of one type; `zero` is the type's initial value."""

    def __init__(self, decode: Decode, encode: Encode, zero: object) -> None:
        self.decode = decode
        self.encode = encode
        self.zero = zero


class Codecs:
    """Makes codecs of types as P4Info describes them."""

    def __init__(self, info: p4i.P4Info, types: ValueTypes) -> None:
        self._types = info.type_info
        self._values = types

    def codec(self, spec: p4t.P4DataTypeSpec, what: str) -> Codec:
        """The codec of a type; `what` names the value in errors."""
        match spec.WhichOneof("type_spec"):
            case "bitstring":
                return _bitstring(spec.bitstring, what)
            case "bool":
                return _bool(what)
            case "struct":
                members = [
                    (m.name, self.codec(m.type_spec, f"{what}.{m.name}"))
                    for m in self._types.structs[spec.struct.name].members
                ]
                return _struct_like("struct", [c for _, c in members], what)
            case "tuple":
                return _struct_like("tuple", [self.codec(m, what) for m in spec.tuple.members], what)
            case "header":
                fields = self._types.headers[spec.header.name].members
                return _header([_bitstring(f.type_spec, f"{what}.{f.name}") for f in fields], what)
            case "enum":
                names = [m.name for m in self._types.enums[spec.enum.name].members]
                return _named("enum", names, what)
            case "error":
                return _named("error", list(self._types.error.members), what)
            case "serializable_enum":
                width = self._types.serializable_enums[spec.serializable_enum.name].underlying_type.bitwidth
                return _enum_value(width, what)
            case "new_type":
                return self._new_type(spec.new_type.name, what)
            case other:
                raise ValueError(f"{what}: values of kind {other} are not exchanged with controllers")

    def _new_type(self, name: str, what: str) -> Codec:
        new = self._types.new_types[name]
        if new.HasField("original_type"):
            return self.codec(new.original_type, what)
        width = new.translated_type.sdn_bitwidth
        value = self._values.value(width or 64, width, name, new.translated_type.HasField("sdn_string"))

        def decode(data: p4d.P4Data) -> object:
            _expect(data, "bitstring", what)
            return value.decode(data.bitstring, what)

        return Codec(decode, lambda v: p4d.P4Data(bitstring=value.encode(_int(v))), 0)


def _expect(data: p4d.P4Data, kind: str, what: str) -> None:
    given = data.WhichOneof("data")
    if given != kind:
        raise invalid(f"{what}: needs a {kind}, not {given or 'nothing'}")


def _int(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError(f"the data plane gave {value!r} where a number was due")
    return value


def _values(value: object) -> tuple[object, ...]:
    if not isinstance(value, tuple):
        raise TypeError(f"the data plane gave {value!r} where a tuple was due")
    return value


def _bitstring(spec: p4t.P4BitstringLikeTypeSpec, what: str) -> Codec:
    kind = spec.WhichOneof("type_spec")
    if kind == "int":
        width = spec.int.bitwidth

        def decode_int(data: p4d.P4Data) -> object:
            _expect(data, "bitstring", what)
            return bytestrings.decode_signed(data.bitstring, width, what)

        return Codec(decode_int, lambda v: p4d.P4Data(bitstring=bytestrings.encode_signed(_int(v), width)), 0)
    if kind == "varbit":
        return _varbit(spec.varbit.max_bitwidth, what)
    width = spec.bit.bitwidth

    def decode_bit(data: p4d.P4Data) -> object:
        _expect(data, "bitstring", what)
        return bytestrings.decode(data.bitstring, width, what)

    return Codec(decode_bit, lambda v: p4d.P4Data(bitstring=bytestrings.encode(_int(v))), 0)


def _varbit(max_width: int, what: str) -> Codec:
    """A varbit is (value, bits) in the data plane."""

    def decode(data: p4d.P4Data) -> object:
        _expect(data, "varbit", what)
        bits = data.varbit.bitwidth
        if not 0 <= bits <= max_width:
            raise out_of_range(f"{what}: varbit of {bits} bits, at most {max_width}")
        return bytestrings.decode(data.varbit.bitstring, bits, what), bits

    def encode(value: object) -> p4d.P4Data:
        pattern, bits = _values(value)
        return p4d.P4Data(
            varbit=p4d.P4Varbit(bitstring=bytestrings.encode(_int(pattern)), bitwidth=_int(bits))
        )

    return Codec(decode, encode, (0, 0))


def _bool(what: str) -> Codec:
    def decode(data: p4d.P4Data) -> object:
        _expect(data, "bool", what)
        return int(data.bool)

    return Codec(decode, lambda v: p4d.P4Data(bool=bool(v)), 0)


def _struct_like(kind: str, members: list[Codec], what: str) -> Codec:
    def decode(data: p4d.P4Data) -> object:
        _expect(data, kind, what)
        given = (data.struct if kind == "struct" else data.tuple).members
        if len(given) != len(members):
            raise invalid(f"{what}: {len(given)} members given, the {kind} has {len(members)}")
        return tuple(c.decode(m) for c, m in zip(members, given, strict=True))

    def encode(value: object) -> p4d.P4Data:
        parts = p4d.P4StructLike(members=[c.encode(v) for c, v in zip(members, _values(value), strict=True)])
        return p4d.P4Data(struct=parts) if kind == "struct" else p4d.P4Data(tuple=parts)

    return Codec(decode, encode, tuple(c.zero for c in members))


def _header(fields: list[Codec], what: str) -> Codec:
    def decode(data: p4d.P4Data) -> object:
        _expect(data, "header", what)
        if not data.header.is_valid:
            if data.header.bitstrings:
                raise invalid(f"{what}: an invalid header has no fields")
            return None
        if len(data.header.bitstrings) != len(fields):
            raise invalid(f"{what}: {len(data.header.bitstrings)} fields given, the header has {len(fields)}")
        pairs = zip(fields, data.header.bitstrings, strict=True)
        return tuple(c.decode(p4d.P4Data(bitstring=b)) for c, b in pairs)

    def encode(value: object) -> p4d.P4Data:
        if value is None:
            return p4d.P4Data(header=p4d.P4Header(is_valid=False))
        strings = [c.encode(v).bitstring for c, v in zip(fields, _values(value), strict=True)]
        return p4d.P4Data(header=p4d.P4Header(is_valid=True, bitstrings=strings))

    return Codec(decode, encode, None)


def _named(kind: str, names: list[str], what: str) -> Codec:
    def decode(data: p4d.P4Data) -> object:
        _expect(data, kind, what)
        name = data.enum if kind == "enum" else data.error
        if name not in names:
            raise invalid(f"{what}: {kind} has no member {name!r}")
        return names.index(name)

    def encode(value: object) -> p4d.P4Data:
        name = names[_int(value)]
        return p4d.P4Data(enum=name) if kind == "enum" else p4d.P4Data(error=name)

    return Codec(decode, encode, 0)


def _enum_value(width: int, what: str) -> Codec:
    def decode(data: p4d.P4Data) -> object:
        _expect(data, "enum_value", what)
        return bytestrings.decode(data.enum_value, width, what)

    return Codec(decode, lambda v: p4d.P4Data(enum_value=bytestrings.encode(_int(v))), 0)


__all__ = ["Codec", "Codecs"]
