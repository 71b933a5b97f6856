"""Keys and actions of table entries: P4Runtime messages to data-plane values and back.

P4Runtime specification sections 9.1.1 (match format) and 9.1.2 (action specification). The decoders of a
table are made once; what they return is complete and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter

from finsy.proto import p4r

from p4cats.switch import bytestrings
from p4cats.switch import dataplane as dp
from p4cats.switch.errors import invalid
from p4cats.switch.schema import ActionSchema, FieldSchema, ParamSchema, TableSchema
from p4cats.switch.values import BitString, Value

Decoder = Callable[[p4r.FieldMatch], dp.Match]

MATCH_PARTS = {
    "exact": ("value",),
    "lpm": ("value", "prefix_len"),
    "ternary": ("value", "mask"),
    "range": ("low", "high"),
    "optional": ("value",),
}
"""Fields of each kind of `FieldMatch`, in the order of their numbers."""


class _Codec:
    """What key and action codecs share."""

    canonical = True
    """Cleared by `decode` when it met a value that was not in its shortest form."""


def canonical_bits(value: Value) -> int:
    """Width of a value whose canonical strings can be taken as they are; 0: none can."""
    return min(value.width, value.sdn_width) if isinstance(value, BitString) else 0


def _fast(value: Value, what: str, codec: _Codec) -> Callable[[bytes], int]:
    """A decoder of one place: a canonical string that fits is done in one step, the rest has time."""
    decode = value.decode

    def careful(data: bytes) -> int:
        if data[:1] == b"\0" and len(data) > 1:
            codec.canonical = False
        return decode(data, what)

    width = canonical_bits(value)
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
        self._makers = [self._maker(f) for f in fields]
        self._decoders = {f.id: (f.index, self._decoder(f)) for f in fields}

    def place(self, field: FieldSchema) -> tuple[dp.Match | None, Callable[..., dp.Match]]:
        """The match of a field that is left out (None: it cannot be), and what makes one of its parts."""
        return self._absent[field.index], self._makers[field.index]

    def decode(self, matches: Sequence[p4r.FieldMatch]) -> dp.Key:
        """The complete key; don't-cares are filled in."""
        absent = self._absent
        if len(matches) == 1 == len(absent):
            only = matches[0]  # the iterators of protobuf's lists take twice as long
            found = self._decoders.get(only.field_id)
            if found is not None:
                return (found[1](only),)
        slots = absent.copy()
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
        kind, make = field.kind, self._makers[field.index]
        names = [f"{kind}.{part}" for part in MATCH_PARTS[kind]]
        get = attrgetter(*names)
        single = len(names) == 1

        def decode(match: p4r.FieldMatch) -> dp.Match:
            if not match.HasField(kind):  # type: ignore[arg-type]  # one of its names
                given = match.WhichOneof("field_match_type") or "nothing"
                raise invalid(f"{self.owner}, field {field.name}: needs {_a(kind)} match, not {given}")
            return make(get(match)) if single else make(*get(match))

        return decode

    def _maker(self, field: FieldSchema) -> Callable[..., dp.Match]:
        make: dict[str, Callable[[FieldSchema, Callable[[bytes], int]], Callable[..., dp.Match]]] = {
            "exact": lambda _, value: lambda data: dp.Exact(value(data)),
            "lpm": self._lpm,
            "ternary": self._ternary,
            "range": self._range,
            "optional": lambda _, value: lambda data: dp.Optional(value(data)),
        }
        return make[field.kind](field, _fast(field.value, f"{self.owner}, field {field.name}", self))

    def _lpm(self, field: FieldSchema, value: Callable[[bytes], int]) -> Callable[[bytes, int], dp.Match]:
        width = field.width
        beyond = [(1 << width - length) - 1 for length in range(width + 1)]

        def make(data: bytes, length: int) -> dp.Match:
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
            return dp.Lpm(prefix, length)

        return make

    def _ternary(
        self, field: FieldSchema, value: Callable[[bytes], int]
    ) -> Callable[[bytes, bytes], dp.Match]:
        def make(data: bytes, mask_data: bytes) -> dp.Match:
            bits, mask = value(data), value(mask_data)
            if not mask:
                raise invalid(f"{self.owner}, field {field.name}: mask 0; leave a don't-care field out")
            if bits & ~mask:
                raise invalid(
                    f"{self.owner}, field {field.name}: {bits:#x} has bits set outside mask {mask:#x}"
                )
            return dp.Ternary(bits, mask)

        return make

    def _range(self, field: FieldSchema, value: Callable[[bytes], int]) -> Callable[[bytes, bytes], dp.Match]:
        top = (1 << field.width) - 1

        def make(low_data: bytes, high_data: bytes) -> dp.Match:
            low, high = value(low_data), value(high_data)
            if low > high:
                raise invalid(f"{self.owner}, field {field.name}: range from {low} to {high} is empty")
            if low == 0 and high == top:
                raise invalid(f"{self.owner}, field {field.name}: full range; leave a don't-care field out")
            return dp.Range(low, high)

        return make


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

    def places(self, action_id: int) -> Iterator[tuple[ParamSchema, Callable[[bytes], int]]]:
        """The parameters of an action as its data has them, each with what decodes it."""
        action, _, decoders = self._by_id[action_id]
        for param in sorted(action.params.values(), key=lambda p: p.index):
            yield param, decoders[param.id][1]

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


__all__ = ["MATCH_PARTS", "ActionCodec", "KeyCodec", "canonical_bits", "table_codecs"]
