"""A whole program as one C file: state that calls refer to, then text.

The packet's way is one function: parse, verify checksums, ingress, egress, compute checksums, deparse, send.
What a frame in XDP cannot become (several frames, a frame parsed again) is told to user space with the
state of the packet; user space comes back with a prefix that says where to go on (struct p4_prefix).
"""

from __future__ import annotations

from collections import Counter

from p4cats.compiler.backends.model.module import marked_fields, unit_of
from p4cats.compiler.backends.model.usage import walk
from p4cats.compiler.backends.xdp.layout import (
    CellLayout,
    DigestLayout,
    TableLayout,
    ValueSetLayout,
    XdpSource,
)
from p4cats.compiler.backends.xdp.parsers import ParserEmitter
from p4cats.compiler.backends.xdp.pieces import Pieces
from p4cats.compiler.backends.xdp.storage import AnyPlace, Place, Scratch, StructPlace
from p4cats.compiler.backends.xdp.tables import table_layout
from p4cats.compiler.backends.xdp.values import (
    Names,
    identifier,
    is_composite,
    stored_type,
    unsupported,
    width_of,
    word,
)
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Composite, Header, Stack, Struct, Type, Union
from p4cats.compiler.source import Span

_NAMED_MAPS = 48
"""Tables whose maps a program names. The kernel takes 64 maps (MAX_USED_MAPS), some of them no tables'."""
_EXPLICIT_LISTS = 1000
"""Numbers of field lists that calls of older externs spell out."""


class Module:
    """Collects what the program uses, and hands out names for it."""

    def __init__(self, program: nodes.Program, most_lines: int = 0) -> None:
        self.program = program
        self.names = Names()
        self.pieces = Pieces(self.names, most_lines)
        self.scratch = Scratch(self.names)
        self.tables: dict[int, TableLayout] = {}
        self.registers: dict[str, CellLayout] = {}
        self.counters: dict[str, CellLayout] = {}
        self.meters: dict[str, CellLayout] = {}
        self.value_sets: dict[str, ValueSetLayout] = {}
        self.messages: list[tuple[str, str]] = []
        self.features: set[str] = set()
        self.slow_hashes: set[str] = set()
        self.tables_needed: set[str] = set()
        self.field_lists: dict[int, list[str]] = {}
        self._wanted_lists: dict[int, Span] = {}
        self.digests: list[DigestLayout] = []
        self.digest_leaves = 0
        self.log_leaves = 0
        self.parser_iterator: list[str] = []
        """The iterator that counts the states of a parser with cycles."""
        self._colours: dict[int, str] = {}
        self.written_standard = _written_fields(program)
        self.writes_multicast = "mcast_grp" in self.written_standard
        self.drops_in_egress = _drops(program.egress) or "egress_spec" in self.written_standard
        self.atomic_registers = self._atomic_registers()
        self._fields_read = {n.field for n in walk(program) if isinstance(n, nodes.FieldRef)}
        self.hdr = self.scratch.place(program.headers, "hdr", in_packet=True)
        self.meta = self.scratch.place(program.metadata, "meta", path="meta")
        self.standard_place = self.scratch.place(program.standard_metadata, "sm", path="sm")

    # -- @atomic ------------------------------------------------------------------------------

    def is_atomic(self, s: nodes.Stmt) -> bool:
        """True for statements under @atomic."""
        at = s.span
        return any(
            a.source is at.source and a.start <= at.start and at.end <= a.end for a in self.program.atomic
        )

    def _atomic_registers(self) -> set[str]:
        """Registers that statements under @atomic use, themselves or by what they call."""
        if not self.program.atomic:
            return set()
        under = [n for n in walk(self.program) if isinstance(n, nodes.Stmt) and self.is_atomic(n)]
        calls = (n for n in walk(under) if isinstance(n, nodes.ExternCall))
        used = (n.instance for n in calls if n.instance is not None)
        return {instance.name for instance in used if instance.kind == "register"}

    # -- objects ------------------------------------------------------------------------------

    def standard(self, name: str) -> AnyPlace:
        """A field of standard metadata."""
        assert isinstance(self.standard_place, StructPlace)
        return self.standard_place.fields[name]

    def scalar(self, name: str) -> str:
        """The C text of a field of standard metadata."""
        place = self.standard(name)
        assert isinstance(place, Place)
        return place.code

    def reads(self, name: str) -> bool:
        """True if the program mentions a field of this name."""
        return name in self._fields_read

    def table(self, table: nodes.Table) -> TableLayout:
        """The layout of a table."""
        if id(table) not in self.tables:
            self.tables[id(table)] = table_layout(table, self.names.fresh(identifier(table.name)))
        return self.tables[id(table)]

    def size(self, call: nodes.ExternCall) -> int:
        """Number of cells of an indirect resource."""
        assert call.instance is not None
        return _size(call.instance)

    def register(self, call: nodes.ExternCall) -> CellLayout:
        """The layout of a register."""
        assert call.instance is not None
        return self._register(call.instance)

    def _register(self, instance: nodes.ExternInstance) -> CellLayout:
        if instance.name not in self.registers:
            layout = CellLayout(instance.name, self.names.fresh(f"r_{instance.name}"), _size(instance))
            layout.shape = self._leaves(instance.type_arguments[0], layout.cname, layout, instance.span)
            self.registers[instance.name] = layout
        return self.registers[instance.name]

    def _leaves(self, type_: Type, cname: str, layout: CellLayout, span: Span) -> object:
        match type_:
            case Struct(fields=fields):
                return [self._leaves(f.type, f"{cname}_{identifier(f.name)}", layout, span) for f in fields]
            case Header() | Union() | Stack():
                raise unsupported(span, f"a register of {type_}", "use a struct of bits")
            case _:
                if width_of(type_) > 128:
                    raise unsupported(span, f"a register of {type_}", "cells may have 128 bits")
                layout.leaves.append((cname, stored_type(type_)[1], width_of(type_)))
                layout.leaf_types.append(stored_type(type_)[0])
                return len(layout.leaves) - 1

    def _cells(
        self, kind: dict[str, CellLayout], instance: nodes.ExternInstance | None, letter: str
    ) -> CellLayout:
        assert instance is not None
        if instance.name not in kind:
            name = self.names.fresh(f"{letter}_{instance.name}")
            kind[instance.name] = CellLayout(instance.name, name, _size(instance))
        return kind[instance.name]

    def counter(self, call: nodes.ExternCall) -> CellLayout:
        """The layout of an indirect counter."""
        return self._cells(self.counters, call.instance, "c")

    def meter(self, call: nodes.ExternCall) -> CellLayout:
        """The layout of an indirect meter."""
        return self._cells(self.meters, call.instance, "m")

    def counts_bytes(self, instance: nodes.ExternInstance) -> bool:
        """True for meters of bytes."""
        return unit_of(instance) == "bytes"

    def direct_colour(self, instance: nodes.ExternInstance, emitter: ParserEmitter | object) -> str:
        """The local that holds the colour a direct meter gave this packet."""
        if id(instance) not in self._colours:
            self._colours[id(instance)] = self.names.fresh("colour")
        return self._colours[id(instance)]

    def value_set(self, value_set: nodes.ValueSet) -> str:
        """The C name of a value set."""
        if value_set.name not in self.value_sets:
            element = value_set.element
            types = [f.type for f in element.fields] if isinstance(element, Composite) else [element]
            cname = self.names.fresh(f"vs_{value_set.name}")
            widths = [width_of(t) for t in types]
            self.value_sets[value_set.name] = ValueSetLayout(
                value_set.name, cname, widths, max(value_set.size, 1)
            )
        return self.value_sets[value_set.name].cname

    def error(self, name: str) -> str:
        """The index of an error."""
        if name not in self.program.errors:
            return word(len(self.program.errors))
        return word(self.program.errors.index(name))

    def message(self, position: str, text: str) -> int:
        """The number of a text that the program can log."""
        self.features.add("log")
        self.messages.append((position, text))
        return len(self.messages) - 1

    def digest(self, call: nodes.ExternCall, type_: Type) -> int:
        """The number (from 1) of a digest."""
        self.features.add("digest")
        for digest in self.program.digests:
            if digest.type is type_:
                for index, known in enumerate(self.digests):
                    if known.name == digest.name:
                        return index + 1
                counter = [0]
                shape = _shape(type_, counter)
                self.digests.append(DigestLayout(digest.name, shape, counter[0]))
                return len(self.digests)
        raise unsupported(call.span, f"digest of {type_}")

    # -- field lists --------------------------------------------------------------------------

    def want_field_list(self, index: int, span: Span) -> None:
        """A field list is used."""
        self._wanted_lists[index] = span

    def explicit_field_list(self, paths: list[str]) -> int:
        """The number of a list that a call spells out."""
        number = _EXPLICIT_LISTS + len(self.field_lists)
        self.field_lists[number] = paths
        return number

    def _collect_field_lists(self) -> None:
        for index, span in self._wanted_lists.items():
            paths = []
            for path, type_ in marked_fields(self.program.metadata, index):
                prefix = f"meta.{path}"
                found = [p for p in self.scratch.scalars if p == prefix or p.startswith(prefix + ".")]
                if not found and is_composite(type_):
                    raise unsupported(
                        span, f"a field list with {type_}", "it may hold scalars and structs of them"
                    )
                paths += found
            self.field_lists[index] = paths

    # -- code ---------------------------------------------------------------------------------

    def emitter(self) -> ParserEmitter:
        """A new emitter that knows the clock."""
        emitter = ParserEmitter(self)
        for name in ("ingress_global_timestamp", "egress_global_timestamp"):
            if name not in self.written_standard:
                emitter.clocks.add(id(self.standard(name)))
        return emitter

    def control(
        self, emitter: ParserEmitter, control: nodes.Control, end: str, places: list[AnyPlace]
    ) -> list[str]:
        """The statements of a top-level control, `end` being the label behind them."""
        composites = [p for p in control.parameters if is_composite(p.type)]
        for place, parameter in zip(places, composites, strict=False):
            emitter.places[parameter] = place
        emitter.exit_label = end
        emitter.lines = []
        emitter.declare(control.locals)
        for table in (n for n in walk(control) if isinstance(n, nodes.Table)):
            if table.direct_meter is not None:
                colour = self.direct_colour(table.direct_meter, emitter)
                if f"u64 {colour};" not in emitter.locals:
                    emitter.locals.append(f"u64 {colour};")
                emitter.line(f"{colour} = 0;")
        emitter.statements(control.body)
        emitter.label(end)
        return emitter.lines

    def _declare_all(self) -> None:
        """The control plane sees also what no packet touches."""
        for table in self.program.tables:
            self.table(table)
        self._group_maps()
        for instance in self.program.externs:
            match instance.kind:
                case "register":
                    self._register(instance)
                case "counter":
                    self._cells(self.counters, instance, "c")
                case "meter":
                    self._cells(self.meters, instance, "m")
                case _:
                    pass

    def _group_maps(self) -> None:
        """Let maps be found by way of maps of maps where they are too many to be named."""
        mapped = [t for t in self.tables.values() if t.map_type]
        if len(mapped) <= _NAMED_MAPS:
            return
        sizes: Counter[str] = Counter()
        for table in mapped:
            table.maps = "maps_{}_{}_{}".format(table.map_type.lower(), *table.map_octets)
            table.place = sizes[table.maps]
            sizes[table.maps] += 1

    def source(self) -> XdpSource:
        """The program."""
        from p4cats.compiler.backends.xdp.text import program_text  # noqa: PLC0415

        self._declare_all()
        text = program_text(self)
        self._collect_field_lists()
        return XdpSource(
            self.program,
            text,
            {t.name: t for t in self.tables.values()},
            self.registers,
            self.counters,
            self.meters,
            self.value_sets,
            self.digests,
            self.messages,
            self.scratch.scalars,
            self.field_lists,
        )


def _size(instance: nodes.ExternInstance) -> int:
    first = instance.arguments[0]
    assert isinstance(first, nodes.Const)
    return first.value


def _shape(type_: Type, counter: list[int]) -> object:
    """Nested lists of leaf numbers."""
    if isinstance(type_, Composite):
        return [_shape(f.type, counter) for f in type_.fields]
    counter[0] += 1
    return counter[0] - 1


def _drops(control: nodes.Control) -> bool:
    return any(isinstance(n, nodes.ExternCall) and n.name == "mark_to_drop" for n in walk(control))


def _written_fields(program: nodes.Program) -> set[str]:
    """Names of the standard_metadata fields that the program writes."""
    found: set[str] = set()
    standard = program.standard_metadata

    def target(e: nodes.Expr | None) -> None:
        while isinstance(e, nodes.SliceRef):
            e = e.base
        if isinstance(e, nodes.FieldRef) and e.base.type is standard:
            found.add(e.field)
        elif e is not None and e.type is standard and not isinstance(e, nodes.VarRef):
            found.update(f.name for f in standard.fields)

    for node in walk(program):
        match node:
            case nodes.Assign(target=e):
                target(e)
                if e.type is standard:
                    found.update(f.name for f in standard.fields)
            case nodes.CallFunction(target=e):
                target(e)
            case nodes.Lookahead(target=e):
                target(e)
            case nodes.ExternCall(target=e):
                target(e)
            case nodes.Argument(direction="out" | "inout", value=e):
                target(e)
            case _:
                pass
    return found


__all__ = ["Bits", "Module"]
