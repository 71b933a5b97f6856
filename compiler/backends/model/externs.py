"""Calls of v1model's externs, inlined where they are short (registers, counters, hashes, checksums).

State is created by the run-time side from the same IR, in the order of Program.externs:
`EXTERNS[n]` of a register has `cells`, of a counter `packets` and `bytes`, of a meter `execute`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from p4cats.compiler.backends.model.composites import Composites, is_composite
from p4cats.compiler.backends.model.expressions import largest, unsupported
from p4cats.compiler.backends.model.layout import scalar_width
from p4cats.compiler.backends.model.names import Names, Place, atom, attribute, is_signed, mask
from p4cats.compiler.backends.model.statements import Frame, StatementEmitter
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Composite, Enum, Header, Stack, String, Type, Varbit

if TYPE_CHECKING:
    from p4cats.compiler.backends.model.module import Module

DROP_PORT = 511
ALGORITHMS = {
    "crc32": "crc32", "crc32_custom": "crc32_custom", "crc16": "crc16", "crc16_custom": "crc16_custom",
    "csum16": "csum16", "xor16": "xor16", "identity": "identity", "random": "random_hash",
}  # fmt: skip
_CLONE_KINDS = ("I2E", "E2E")


class ExternEmitter(StatementEmitter):
    """Adds externs to statements."""

    def __init__(self, module: Module, composites: Composites, names: Names) -> None:
        super().__init__(composites, names)
        self.module = module
        self.frames: list[Frame] = []
        self.updates: list[list[nodes.Stmt]] = []
        self.uses_packet = False

    def special(self, s: nodes.Stmt) -> None:
        """Extern calls."""
        if not isinstance(s, nodes.ExternCall):
            super().special(s)
            return
        handler: Callable[[nodes.ExternCall], None] | None
        handler = getattr(self, "_x_" + s.name.replace(".", "_"), None)
        if handler is None:
            raise unsupported(s.span, f"extern {s.name} is not part of v1model")
        handler(s)

    # -- hashes and checksums -----------------------------------------------------------------

    def algorithm(self, e: nodes.Expr) -> str:
        """The run-time function of a HashAlgorithm constant."""
        if not isinstance(e, nodes.Const) or not isinstance(e.type, Enum):
            raise unsupported(e.span, "the hash algorithm must be a constant")
        name = e.type.members[e.value]
        if name not in ALGORITHMS or name == "random":
            raise unsupported(e.span, f"hash algorithm {name}", "simple_switch has no such hash either")
        return ALGORITHMS[name]

    def selector_algorithm(self, instance: nodes.ExternInstance) -> str:
        """The hash function of an action selector."""
        first = instance.arguments[0]
        return self.algorithm(first) if isinstance(first.type, Enum) else "crc16"

    def hash_call(self, function: str, values: Sequence[nodes.Expr], payload: bool = False) -> str:
        """An expression: the hash of the values' bits. Fields of invalid headers are left out."""
        pieces: list[tuple[str | None, str, Type]] = []
        for value in values:
            self._pieces(value, None, pieces)
        guards = list(dict.fromkeys(guard for guard, _, _ in pieces if guard))
        tail = " + packet.payload" if payload else ""
        if any(isinstance(t, Varbit) for _, _, t in pieces):
            return self._guarded_hash(function, pieces, tail)
        if not guards:
            return self._plain_hash(function, pieces, payload, tail)
        result = self.temporary("hashed")
        self.line(f"if {' and '.join(guards)}:")
        self.line(f"    {result} = {self._plain_hash(function, pieces, payload, tail)}")
        self.line("else:")
        self.depth += 1
        self.line(f"{result} = {self._guarded_hash(function, pieces, tail)}")
        self.depth -= 1
        return result

    def _plain_hash(
        self, function: str, pieces: Sequence[tuple[str | None, str, Type]], payload: bool, tail: str
    ) -> str:
        """The hash of all pieces."""
        value, width = self._joined(pieces)
        if function == "csum16" and not payload:
            return f"csum16_of({self._aligned(value, width)})"
        return f"{function}({self._bytes(value, width)}{tail})"

    def _aligned(self, value: str, width: int) -> str:
        shift = -width % 16
        return f"({value}) << {shift}" if shift else value

    def _bytes(self, value: str, width: int) -> str:
        shift = -width % 8
        if shift:
            value = f"(({value}) << {shift})"
        return f'({value}).to_bytes({(width + 7) // 8}, "big")' if width else 'b""'

    def _joined(self, pieces: Sequence[tuple[str | None, str, Type]]) -> tuple[str, int]:
        terms, below = [], sum(scalar_width(type_) for _, _, type_ in pieces)
        total = below
        for _, code, type_ in pieces:
            below -= scalar_width(type_)
            terms.append(f"{atom(code)} << {below}" if below else code)
        return " | ".join(terms) or "0", total

    def _guarded_hash(self, function: str, pieces: list[tuple[str | None, str, Type]], tail: str) -> str:
        """The hash where the input depends on which headers are valid."""
        fixed = not any(isinstance(type_, Varbit) for _, _, type_ in pieces)
        if fixed and len({guard for guard, _, _ in pieces}) == 1:
            return f'{function}(b""{tail})'
        value, width = self.temporary("joined"), self.temporary("bits")
        self.line(f"{value} = {width} = 0")
        run: list[tuple[str | None, str, Type]] = []

        def flush() -> None:
            if not run:
                return
            code, bits = self._joined(run)
            guard = run[0][0]
            indent = ""
            if guard:
                self.line(f"if {guard}:")
                indent = "    "
            shifted = f"{value} << {bits} | {code}" if bits else value
            self.line(f"{indent}{value} = {shifted}")
            self.line(f"{indent}{width} += {bits}")
            run.clear()

        for piece in pieces:
            guard, code, type_ = piece
            if isinstance(type_, Varbit):
                flush()
                self.line(f"if {guard or True}:")
                self.line(f"    {value} = {value} << {code}[0] | {code}[1]")
                self.line(f"    {width} += {code}[0]")
                continue
            if run and run[0][0] != guard:
                flush()
            run.append(piece)
        flush()
        return f"{function}(padded({value}, {width}){tail})"

    def _pieces(self, e: nodes.Expr, guard: str | None, found: list[tuple[str | None, str, Type]]) -> None:
        """Scalars of a (nested) list with the validity that each depends on."""
        if isinstance(e, nodes.Make) and not isinstance(e.type, Header):
            for value in e.values:
                self._pieces(value, guard, found)
        elif is_composite(e.type):
            self._place_pieces(self._settled(self.place(e)), guard, found)
        elif not isinstance(e.type, String):
            self._scalar_piece(e, self._guard(e) or guard, found)

    def _scalar_piece(
        self, e: nodes.Expr, guard: str | None, found: list[tuple[str | None, str, Type]]
    ) -> None:
        code = self.atom(e)
        if is_signed(e.type):
            code = f"({code} & {hex(mask(scalar_width(e.type)))})"
        found.append((guard, code, e.type))

    def _guard(self, e: nodes.Expr) -> str | None:
        while isinstance(e, nodes.SliceRef | nodes.FieldRef):
            if isinstance(e, nodes.FieldRef) and isinstance(e.base.type, Header):
                place = self.place(e.base)
                return f"{place.code}.valid" if place.code else None
            e = e.base
        return None

    def _place_pieces(
        self, place: Place, guard: str | None, found: list[tuple[str | None, str, Type]]
    ) -> None:
        type_ = place.type
        if isinstance(type_, Stack):
            for index in range(type_.size):
                element = (
                    place.parts[index]
                    if place.parts
                    else Place(type_.element, f"{place.code}.items[{index}]")
                )
                self._place_pieces(element, guard, found)
        elif isinstance(type_, Composite):
            if isinstance(type_, Header):
                guard = f"{place.code}.valid"
            for field in type_.fields:
                self._place_pieces(self.member(place, field.name, field.type), guard, found)
        else:
            code = self.read(place)
            if is_signed(type_):
                code = f"({code} & {hex(mask(scalar_width(type_)))})"
            found.append((guard, code, type_))

    def _x_hash(self, s: nodes.ExternCall) -> None:
        result, algorithm, base, data, top = (a.value for a in s.arguments)
        target = self._settled(self.place(result))
        hashed = self.hash_call(self.algorithm(algorithm), [data])
        if isinstance(top, nodes.Const):
            high = top.value
            value = f"{self.atom(base)} + {hashed} % {high}" if high else self.atom(base)
        else:
            limit = self.atom(top)
            value = f"{self.atom(base)} + {hashed} % {limit} if {limit} else {self.atom(base)}"
        if isinstance(base, nodes.Const) and base.value == 0:
            value = value.removeprefix("0 + ")
        assert isinstance(result.type, Bits)
        fits = isinstance(top, nodes.Const) and top.value > 0 and largest(base) >= 0
        if not (fits and largest(base) + largest(top) - 1 <= mask(result.type.width)) or result.type.signed:
            value = self.wrap(f"({value})", result.type)
        self.set(target, value)

    def _checksum(self, s: nodes.ExternCall, payload: bool) -> tuple[str, Place]:
        condition, data, total, algorithm = (a.value for a in s.arguments)
        self.line(f"if {self.bare(condition)}:")
        self.depth += 1
        place = self._settled(self.place(total))
        hashed = self.hash_call(self.algorithm(algorithm), [data], payload)
        width = total.type.width if isinstance(total.type, Bits) else 16
        if width < 64 and not (width >= 16 and "16" in self.algorithm(algorithm)):
            hashed = f"{hashed} & {hex(mask(width))}"
        return hashed, place

    def _x_update_checksum(self, s: nodes.ExternCall, payload: bool = False) -> None:
        hashed, place = self._checksum(s, payload)
        self.set(place, hashed)
        self.depth -= 1

    def _x_verify_checksum(self, s: nodes.ExternCall, payload: bool = False) -> None:
        hashed, place = self._checksum(s, payload)
        guard = self._guard(s.arguments[2].value)
        valid = f"{guard} and " if guard else ""
        self.line(f"if {valid}({hashed}) != {atom(self.read(place))}:")
        self.line("    sm.checksum_error = 1")
        self.depth -= 1

    def _x_update_checksum_with_payload(self, s: nodes.ExternCall) -> None:
        self._x_update_checksum(s, payload=True)

    def _x_verify_checksum_with_payload(self, s: nodes.ExternCall) -> None:
        self._x_verify_checksum(s, payload=True)

    def _x_Checksum16_get(self, s: nodes.ExternCall) -> None:  # noqa: N802
        if s.target is not None:
            self.set(self.place(s.target), self.hash_call("csum16", [s.arguments[0].value]))

    # -- state --------------------------------------------------------------------------------

    def _index(self, s: nodes.ExternCall, position: int) -> tuple[str, bool]:
        """Index text and whether it needs a check against the size; emits `if` where it does."""
        e = s.arguments[position].value
        size = self.module.size(s)
        code = self.bare(e)
        if 0 <= largest(e) < size or (code.isdigit() and int(code) < size):
            return code, False
        if not code.isidentifier() and not isinstance(e, nodes.Const):
            name = self.temporary("index")
            self.line(f"{name} = {code}")
            code = name
        self.line(f"if {code} < {size}:")
        return code, True

    def _x_register_read(self, s: nodes.ExternCall) -> None:
        cells = self.module.extern(s)
        index, checked = self._index(s, 1)
        self.depth += checked
        place = self._settled(self.place(s.arguments[0].value))
        if is_composite(place.type):
            self.copy(place, Place(place.type, f"{cells}[{index}]"))
        else:
            self.set(place, f"{cells}[{index}]")
        self.depth -= checked

    def _x_register_write(self, s: nodes.ExternCall) -> None:
        cells = self.module.extern(s)
        index, checked = self._index(s, 0)
        self.depth += checked
        value = s.arguments[1].value
        if is_composite(value.type):
            self.store(Place(value.type, f"{cells}[{index}]"), value)
        else:
            self.line(f"{cells}[{index}] = {self.bare(value)}")
        self.depth -= checked

    def _x_counter_count(self, s: nodes.ExternCall) -> None:
        counter = self.module.extern(s)
        index, checked = self._index(s, 0)
        self.depth += checked
        self.line(f"{counter}.packets[{index}] += 1")
        self.line(f"{counter}.bytes[{index}] += packet.length")
        self.depth -= checked

    def _x_direct_counter_count(self, _: nodes.ExternCall) -> None:
        """Applying the table has counted already."""

    def _x_meter_execute_meter(self, s: nodes.ExternCall) -> None:
        meter = self.module.extern(s)
        index, checked = self._index(s, 0)
        self.depth += checked
        assert s.instance is not None
        unit = "packet.length" if self.module.counts_bytes(s.instance) else "1"
        self.set(self._settled(self.place(s.arguments[1].value)), f"{meter}.execute({index}, {unit})")
        self.depth -= checked

    def _x_direct_meter_read(self, s: nodes.ExternCall) -> None:
        assert s.instance is not None
        if not self.module.has_colour(s.instance):
            hint = "name it in `meters = …` of a table that is applied here"
            raise unsupported(s.span, f"direct_meter {s.instance.name} meters no table of this control", hint)
        self.set(self._settled(self.place(s.arguments[0].value)), self.module.direct_colour(s.instance))

    # -- packet fate --------------------------------------------------------------------------

    def _x_mark_to_drop(self, s: nodes.ExternCall) -> None:
        standard = Place(self.module.program.standard_metadata, "sm")
        place = self.place(s.arguments[0].value) if s.arguments else standard
        for name, value in (("egress_spec", DROP_PORT), ("mcast_grp", 0)):
            self.set(self.member(place, name, Bits(16)), str(value))

    def _x_clone(self, s: nodes.ExternCall, fields: str = "None") -> None:
        kind, session = s.arguments[0].value, s.arguments[1].value
        if not isinstance(kind, nodes.Const) or not isinstance(kind.type, Enum):
            raise unsupported(kind.span, "the clone type must be a constant")
        slot = "clone_ingress" if kind.type.members[kind.value] == "I2E" else "clone_egress"
        self.line(f"packet.{slot} = ({self.bare(session)}, {fields})")

    def _x_clone_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self._x_clone(s, self._field_list(s.arguments[2].value))

    def _x_clone3(self, s: nodes.ExternCall) -> None:
        self._x_clone(s, self._data_list(s.arguments[2].value))

    def _x_resubmit_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self.line(f"packet.resubmit = {self._field_list(s.arguments[0].value)}")

    def _x_resubmit(self, s: nodes.ExternCall) -> None:
        self.line(f"packet.resubmit = {self._data_list(s.arguments[0].value)}")

    def _x_recirculate_preserving_field_list(self, s: nodes.ExternCall) -> None:
        self.line(f"packet.recirculate = {self._field_list(s.arguments[0].value)}")

    def _x_recirculate(self, s: nodes.ExternCall) -> None:
        self.line(f"packet.recirculate = {self._data_list(s.arguments[0].value)}")

    def _field_list(self, index: nodes.Expr) -> str:
        if not isinstance(index, nodes.Const):
            raise unsupported(index.span, "a field list index must be a constant")
        return self.module.field_list(index.value)

    def _data_list(self, data: nodes.Expr) -> str:
        """The older externs name the metadata to keep by a list of fields."""
        values = data.values if isinstance(data, nodes.Make) else [data]
        paths = [self._metadata_path(value) for value in values]
        return self.module.explicit_field_list([p for p in paths if p is not None])

    def _metadata_path(self, e: nodes.Expr) -> tuple[str, Type] | None:
        place = self.place(e)
        root = {"meta": "meta", "sm": "sm"}
        code = place.code
        for path, name in self._stable.items():
            if code == name or code.startswith(name + "."):
                code = path + code[len(name) :]
        return (code, place.type) if code.split(".")[0] in root else None

    def _x_truncate(self, s: nodes.ExternCall) -> None:
        self.line(f"packet.payload = packet.payload[:{self.bare(s.arguments[0].value)}]")

    def _x_digest(self, s: nodes.ExternCall) -> None:
        data = s.arguments[1].value
        name = self.module.digest_name(s, data.type)
        self.line(f"packet.digest = ({name!r}, {self._tuple(self.argument(data))})")

    def _tuple(self, place: Place) -> str:
        """Values of a composite as (nested) tuples of unsigned patterns."""
        if not isinstance(place.type, Composite):
            code = self.read(place)
            if is_signed(place.type):
                return f"{atom(code)} & {hex(mask(scalar_width(place.type)))}"
            return f"int({code})" if isinstance(place.type, Bits) is False else code
        parts = [self._tuple(self.member(place, f.name, f.type)) for f in place.type.fields]
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"

    # -- the rest -----------------------------------------------------------------------------

    def _x_random(self, s: nodes.ExternCall) -> None:
        result, low, high = (a.value for a in s.arguments)
        a, b = self.bare(low), self.bare(high)
        self.line(f"if {atom(a)} <= {atom(b)}:")
        self.depth += 1
        self.set(self._settled(self.place(result)), f"randint({a}, {b})")
        self.depth -= 1

    def _x_assert(self, s: nodes.ExternCall) -> None:
        self.line(f"if not {self.atom(s.arguments[0].value)}:")
        self.line(f"    raise AssertionFailed({str(s.span)!r}, {s.name!r})")

    def _x_assume(self, s: nodes.ExternCall) -> None:
        self._x_assert(s)

    def _x_log_msg(self, s: nodes.ExternCall) -> None:
        values = "()"
        if len(s.arguments) > 1:
            data = s.arguments[1].value
            place = self.argument(data)
            values = self._tuple(place) if is_composite(data.type) else f"({self._tuple(place)},)"
        self.line(f"log_msg({self.bare(s.arguments[0].value)}, {values})")

    def _x_static_assert(self, _: nodes.ExternCall) -> None:
        """Checked by the compiler."""


def attribute_path(path: Sequence[str]) -> str:
    """`a.b.c` of P4 names as Python attributes."""
    return ".".join(attribute(name) for name in path)
