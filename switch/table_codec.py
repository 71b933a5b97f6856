"""Keys and actions of table entries: P4Runtime messages to data-plane values and back.

P4Runtime specification sections 9.1.1 (match format) and 9.1.2 (action specification). The decoders of a
table are made once; what they return is complete and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finsy.proto import p4r

from p4cats.switch import bytestrings
from p4cats.switch import dataplane as dp
from p4cats.switch.errors import invalid
from p4cats.switch.schema import ActionSchema, FieldSchema, TableSchema
from p4cats.switch.values import BitString, Value

Decoder = Callable[[p4r.FieldMatch], dp.Match]


class _Codec:
    """What key and action codecs share."""

    canonical = True
    """Cleared by `decode` when it met a value that was not in its shortest form."""


def _bits(value: Value) -> int:
    """Width of a value whose canonical strings can be taken as they are; 0: none can."""
    return min(value.width, value.sdn_width) if isinstance(value, BitString) else 0


def _fast(value: Value, what: str, codec: _Codec) -> Callable[[bytes], int]:
    """A decoder of one place: a canonical string that fits is done in one step, the rest has time."""
    decode = value.decode

    def careful(data: bytes) -> int:
        if data[:1] == b"\0" and len(data) > 1:
            codec.canonical = False
        return decode(data, what)

    width = _bits(value)
    if not width:
        return careful
    from_bytes = int.from_bytes

    def fast(data: bytes) -> int:
        number = from_bytes(data, "big")
        if not data or not data[0] or number >> width:
            return careful(data)
        return number

    return fast


class KeyCodec(_Codec):
    """Converts the match fields of one table (or of a value set)."""

    def __init__(self, owner: str, fields: Sequence[FieldSchema]) -> None:
        self.owner = owner
        self.fields = fields
        self._absent = [_absent(f) for f in fields]
        self._decoders: dict[int, tuple[int, Decoder]] = {f.id: (f.index, self._decoder(f)) for f in fields}

    def decode(self, matches: Sequence[p4r.FieldMatch]) -> dp.Key:
        """The complete key; don't-cares are filled in."""
        absent = self._absent
        slots = absent.copy()
        if len(matches) == 1 == len(slots):
            match = matches[0]  # the iterators of protobuf's lists take twice as long
            found = self._decoders.get(match.field_id)
            if found is not None:
                return (found[1](match),)
        for match in matches:
            try:
                index, decoder = self._decoders[match.field_id]
            except KeyError:
                raise invalid(f"{self.owner} has no match field with id {match.field_id}") from None
            if slots[index] is not absent[index]:
                raise invalid(f"{self.owner}, field {self.fields[index].name}: given twice")
            slots[index] = decoder(match)
        if None in slots:
            missing = self.fields[slots.index(None)]
            raise invalid(f"{self.owner}, field {missing.name}: an exact match field cannot be left out")
        return tuple(slots)  # type: ignore[arg-type]  # no None is left

    def encode(self, key: dp.Key) -> list[p4r.FieldMatch]:
        """The match fields of a key in canonical form, don't-cares left out."""
        found = []
        for field, match in zip(self.fields, key, strict=True):
            message = _encode(field, match)
            if message is not None:
                found.append(message)
        return found

    def _decoder(self, field: FieldSchema) -> Decoder:
        make: dict[str, Callable[[FieldSchema], Decoder]] = {
            "exact": self._exact,
            "lpm": self._lpm,
            "ternary": self._ternary,
            "range": self._range,
            "optional": self._optional,
        }
        return make[field.kind](field)

    def _value(self, field: FieldSchema) -> Callable[[bytes], int]:
        return _fast(field.value, f"{self.owner}, field {field.name}", self)

    def _kind(self, field: FieldSchema, match: p4r.FieldMatch) -> str:
        given = match.WhichOneof("field_match_type")
        return f"{self.owner}, field {field.name}: needs {_a(field.kind)} match, not {given or 'nothing'}"

    def _exact(self, field: FieldSchema) -> Decoder:
        value, bits, from_bytes, exact = self._value(field), _bits(field.value), int.from_bytes, dp.Exact

        def decode(match: p4r.FieldMatch) -> dp.Match:
            data = match.exact.value
            number = from_bytes(data, "big")
            if data and data[0] and not number >> bits:
                return exact(number)
            if not match.HasField("exact"):
                raise invalid(self._kind(field, match))
            return exact(value(data))

        return decode

    def _lpm(self, field: FieldSchema) -> Decoder:
        value, width, bits, from_bytes = self._value(field), field.width, _bits(field.value), int.from_bytes
        beyond = [(1 << width - length) - 1 for length in range(width + 1)]
        make = dp.Lpm

        def decode(match: p4r.FieldMatch) -> dp.Match:
            lpm = match.lpm
            length = lpm.prefix_len
            data = lpm.value
            prefix = from_bytes(data, "big")
            if (
                data
                and data[0]
                and not prefix >> bits
                and 0 < length <= width
                and not prefix & beyond[length]
            ):
                return make(prefix, length)
            if not match.HasField("lpm"):
                raise invalid(self._kind(field, match))
            prefix = value(data)
            if not 0 < length <= width:
                hint = (
                    "leave the field out for the zero-length prefix" if length == 0 else f"it is 1 to {width}"
                )
                raise invalid(f"{self.owner}, field {field.name}: prefix length {length}; {hint}")
            if prefix & beyond[length]:
                raise invalid(
                    f"{self.owner}, field {field.name}: {prefix:#x} has bits set beyond prefix /{length}"
                )
            return make(prefix, length)

        return decode

    def _ternary(self, field: FieldSchema) -> Decoder:
        value = self._value(field)

        def decode(match: p4r.FieldMatch) -> dp.Match:
            if not match.HasField("ternary"):
                raise invalid(self._kind(field, match))
            ternary = match.ternary
            bits, mask = value(ternary.value), value(ternary.mask)
            if not mask:
                raise invalid(f"{self.owner}, field {field.name}: mask 0; leave a don't-care field out")
            if bits & ~mask:
                raise invalid(
                    f"{self.owner}, field {field.name}: {bits:#x} has bits set outside mask {mask:#x}"
                )
            return dp.Ternary(bits, mask)

        return decode

    def _range(self, field: FieldSchema) -> Decoder:
        value, top = self._value(field), (1 << field.width) - 1

        def decode(match: p4r.FieldMatch) -> dp.Match:
            if not match.HasField("range"):
                raise invalid(self._kind(field, match))
            low, high = value(match.range.low), value(match.range.high)
            if low > high:
                raise invalid(f"{self.owner}, field {field.name}: range from {low} to {high} is empty")
            if low == 0 and high == top:
                raise invalid(f"{self.owner}, field {field.name}: full range; leave a don't-care field out")
            return dp.Range(low, high)

        return decode

    def _optional(self, field: FieldSchema) -> Decoder:
        value = self._value(field)

        def decode(match: p4r.FieldMatch) -> dp.Match:
            if not match.HasField("optional"):
                raise invalid(self._kind(field, match))
            return dp.Optional(value(match.optional.value))

        return decode


def _a(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeo" else f"a {kind}"


def _absent(field: FieldSchema) -> dp.Match | None:
    match field.kind:
        case "lpm":
            return dp.Lpm(0, 0)
        case "ternary":
            return dp.Ternary(0, 0)
        case "range":
            return dp.Range(0, (1 << field.width) - 1)
        case "optional":
            return dp.Optional(None)
        case _:
            return None


def _encode(field: FieldSchema, match: dp.Match) -> p4r.FieldMatch | None:
    message = p4r.FieldMatch(field_id=field.id)
    encode = field.value.encode
    match match:
        case dp.Exact(value=value):
            message.exact.value = encode(value)
        case dp.Lpm(value=value, prefix_len=length):
            if not length:
                return None
            message.lpm.value, message.lpm.prefix_len = encode(value), length
        case dp.Ternary(value=value, mask=mask):
            if not mask:
                return None
            message.ternary.value, message.ternary.mask = encode(value), bytestrings.encode(mask)
        case dp.Range(low=low, high=high):
            if low == 0 and high == (1 << field.width) - 1:
                return None
            message.range.low, message.range.high = encode(low), encode(high)
        case dp.Optional(value=None):
            return None
        case dp.Optional(value=value):
            message.optional.value = encode(value or 0)
    return message


class ActionCodec(_Codec):
    """Converts actions and their parameters; `owner` (a table or profile) restricts which."""

    def __init__(self, owner: str, actions: dict[int, ActionSchema]) -> None:
        self.owner = owner
        self._by_id = {
            a.id: (
                a,
                len(a.params),
                {
                    p.id: (p.index, _fast(p.value, f"action {a.name}, parameter {p.name}", self))
                    for p in a.params.values()
                },
            )
            for a in actions.values()
        }
        self._by_name = {a.name: a for a in actions.values()}
        self._plain = {
            a.id: (a.name, [(p.id, _bits(p.value)) for p in in_order])
            for a in actions.values()
            for in_order in [sorted(a.params.values(), key=lambda p: p.index)]
            if all(_bits(p.value) for p in in_order)
        }

    def plain(self, message: p4r.Action) -> tuple[int, dp.ActionCall] | None:
        """Id and call where all parameters are there, in order and canonical; None: `decode` shall look."""
        id_ = message.action_id
        found = self._plain.get(id_)
        if found is None:
            return None
        name, places = found
        params = message.params
        if len(params) != len(places):
            return None
        data = []
        from_bytes = int.from_bytes
        for number, (param_id, bits) in enumerate(places):
            param = params[number]  # the iterators of protobuf's lists take twice as long
            value = param.value
            if param.param_id != param_id or not value or (not value[0] and len(value) > 1):
                return None
            decoded = from_bytes(value, "big")
            if decoded >> bits:
                return None
            data.append(decoded)
        return id_, dp.ActionCall(name, tuple(data))

    def decode(self, message: p4r.Action) -> dp.ActionCall:
        """The call; every parameter exactly once."""
        try:
            action, count, params = self._by_id[message.action_id]
        except KeyError:
            raise invalid(f"{self.owner} has no action with id {message.action_id:#010x}") from None
        if not count and not message.params:
            return dp.ActionCall(action.name)
        data: list[int | None] = [None] * count
        for param in message.params:
            try:
                index, decode = params[param.param_id]
            except KeyError:
                raise invalid(f"action {action.name} has no parameter with id {param.param_id}") from None
            if data[index] is not None:
                name = next(p.name for p in action.params.values() if p.index == index)
                raise invalid(f"action {action.name}, parameter {name}: given twice")
            data[index] = decode(param.value)
        if None in data:
            missing = next(p for p in action.params.values() if data[p.index] is None)
            raise invalid(f"action {action.name}, parameter {missing.name}: missing")
        return dp.ActionCall(action.name, tuple(data))  # type: ignore[arg-type]  # no None is left

    def encode(self, call: dp.ActionCall) -> p4r.Action:
        """The action in canonical form."""
        action = self._by_name[call.action]
        message = p4r.Action(action_id=action.id)
        for param in action.params.values():
            value: Value = param.value
            message.params.add(param_id=param.id, value=value.encode(call.data[param.index]))
        return message


def table_codecs(table: TableSchema) -> tuple[KeyCodec, ActionCodec]:
    """Both codecs of a table."""
    owner = f"table {table.name}"
    return KeyCodec(owner, table.fields), ActionCodec(owner, table.actions)


__all__ = ["ActionCodec", "KeyCodec", "table_codecs"]
