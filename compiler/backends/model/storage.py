"""Storage: where variables live, and how values are put there.

Parameters that are composites are Python objects; references to the headers inside them are taken once,
at the head of the function. A local struct has no object: each of its members is a local of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from p4cats.compiler.backends.model.composites import Composites, is_composite
from p4cats.compiler.backends.model.expressions import ExpressionEmitter, bits_of
from p4cats.compiler.backends.model.names import Names, Place, atom, attribute, is_signed, mask, zero
from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Composite, Header, Stack, Struct, Type, Union


class StorageEmitter(ExpressionEmitter):
    """Adds places to expressions: variables, fields, elements, slices, and assignment to them."""

    def __init__(self, composites: Composites, names: Names) -> None:
        super().__init__()
        self.composites = composites
        self.names = names
        self.places: dict[nodes.Variable, Place] = {}
        self.prologue: list[str] = []
        """Statements at the head of the function: references to the headers inside its parameters."""
        self._stable: dict[str, str] = {}
        """Paths of composites that never change identity, and the local name that holds each."""
        self._held_names: set[str] = set()

    def temporary(self, wanted: str) -> str:
        """A new local name."""
        return self.names.fresh(wanted)

    def root(self, name: str) -> None:
        """Declare that the objects below the parameter `name` keep their identity."""
        self._stable[name] = name
        self._held_names.add(name)

    # -- places -------------------------------------------------------------------------------

    def place(self, e: nodes.Expr) -> Place:
        """Where an l-value (or any stored value) lives."""
        match e:
            case nodes.VarRef(variable=variable):
                return self.places[variable]
            case nodes.FieldRef(base=base, field=name):
                return self.member(self.place(base), name, e.type)
            case nodes.SliceRef(base=base, high=high, low=low):
                inner = self.place(base)
                offset = inner.low if inner.high >= 0 else 0
                whole = inner.whole if inner.high >= 0 else inner.type
                return Place(e.type, inner.code, inner.owner, None, high + offset, low + offset, whole)
            case nodes.IndexRef(base=base, index=index):
                stack = self.place(base)
                if stack.parts:
                    return Place(e.type, f"element({self._parts(stack)}, {self.bare(index)})")
                assert isinstance(stack.type, Stack)
                if isinstance(index, nodes.Const) and 0 <= index.value < stack.type.size:
                    return Place(e.type, f"{stack.code}.items[{index.value}]")
                return Place(e.type, f"{stack.code}.at({self.bare(index)})")
            case nodes.StackNext(base=base):
                stack = self.place(base)
                return Place(e.type, f"{stack.code}.at({stack.code}.next)")
            case nodes.StackLast(base=base):
                stack = self.place(base)
                return Place(e.type, f"{stack.code}.at({stack.code}.next - 1)")
            case _:
                return self.value_place(e)

    def member(self, base: Place, name: str, type_: Type) -> Place:
        """The place of a field."""
        if base.fields is not None:
            return base.fields[name]
        code = f"{base.code}.{attribute(name)}"
        if is_composite(type_):
            return Place(type_, self._held(code))
        owner = base.code if self.composites.keeps_raw(base.type) else None
        return Place(type_, code, owner)

    def _held(self, code: str) -> str:
        """A local name for a composite below a parameter, taken at the head of the function."""
        base, _, last = code.rpartition(".")
        if base not in self._held_names:
            return code
        if code not in self._stable:
            name = self.names.fresh(f"{base}_{last}")
            self._stable[code] = name
            self._held_names.add(name)
            self.prologue.append(f"{name} = {code}")
        return self._stable[code]

    def value_place(self, e: nodes.Expr) -> Place:
        """A place that holds the value of a composite expression that is no l-value."""
        match e:
            case nodes.Make(values=values, type=Struct() as type_):
                parts = {f.name: self.argument(v) for f, v in zip(type_.fields, values, strict=True)}
                return Place(type_, "", fields=parts)
            case nodes.Make(values=values, type=Stack()):
                return Place(e.type, "", parts=[self.place(v) for v in values])
            case nodes.Make() | nodes.MakeInvalid() if is_composite(e.type):
                name = self.temporary("made")
                self.line(f"{name} = {self.composites.new(e.type)}")
                made = Place(e.type, name)
                if isinstance(e, nodes.Make):
                    self.store(made, e)
                return made
            case nodes.Mux(condition=condition, then=then, other=other) if is_composite(e.type):
                first, second = self.object(then), self.object(other)
                return Place(e.type, f"({first} if {self.atom(condition)} else {second})")
            case _:
                return Place(e.type, self.atom(e))

    def argument(self, e: nodes.Expr) -> Place:
        """A place for an `in` value: the value's own place where it has one."""
        return self.place(e) if is_composite(e.type) else Place(e.type, self.bare(e))

    def object(self, e: nodes.Expr) -> str:
        """A reference to a composite value; a local struct is put together first."""
        place = self.place(e)
        if place.fields is None and not place.parts:
            return place.code
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(e.type)}")
        self.copy(Place(e.type, name), place)
        return name

    def _parts(self, place: Place) -> str:
        return "(" + "".join(f"{self._as_object(p)}, " for p in place.parts) + ")"

    def _as_object(self, place: Place) -> str:
        if place.fields is None:
            return place.code
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(place.type)}")
        self.copy(Place(place.type, name), place)
        return name

    # -- storing ------------------------------------------------------------------------------

    def set(self, place: Place, code: str) -> None:
        """Assign scalar text to a place."""
        if place.high < 0:
            if place.code != code:
                self.line(f"{place.code} = {code}")
        else:
            self.line(f"{place.code} = {self._patched(place, code)}")
        if place.owner:
            self.line(f"{place.owner}.raw = None")

    def _patched(self, place: Place, code: str) -> str:
        assert place.whole is not None
        width = bits_of(place.whole)
        hole = mask(width) ^ (mask(place.high - place.low + 1) << place.low)
        value = f"{atom(code)} << {place.low}" if place.low else atom(code)
        old = f"{place.code} & {hex(hole)}"
        text = f"{old} | {value}" if hole else value
        return self.wrap(f"({text})", place.whole) if is_signed(place.whole) else text

    def store(self, target: Place, value: nodes.Expr) -> None:
        """Assign any value; composites are copied into place."""
        if not is_composite(target.type):
            self.set(target, self.bare(value))
            return
        match value:
            case nodes.MakeInvalid():
                self.reset(target)
            case nodes.Make(values=values, type=Composite() as type_) if not isinstance(type_, Union):
                self._store_fields(target, type_, values)
            case nodes.Make(values=values, type=Stack(element=element)):
                sources = [self._safe_source(v) for v in values]
                for number_, source in enumerate(sources):
                    self.copy(Place(element, f"{target.code}.items[{number_}]"), source)
                self.line(f"{target.code}.next = {len(values)}")
            case nodes.Mux(condition=condition, then=then, other=other):
                self.line(f"if {self.bare(condition)}:")
                self._nested(lambda: self.store(target, then))
                self.line("else:")
                self._nested(lambda: self.store(target, other))
            case _:
                self.copy(target, self._settled(self.place(value)))

    def _settled(self, place: Place) -> Place:
        """The same place with a dynamic stack index evaluated now: what is written must not move it."""
        if place.fields is not None or ".at(" not in place.code:
            return place
        name = self.temporary("element_")
        if is_composite(place.type):
            self.line(f"{name} = {place.code}")
            return Place(place.type, name)
        base, _, last = place.code.rpartition(".")
        self.line(f"{name} = {base}")
        owner = name if place.owner else None
        return Place(place.type, f"{name}.{last}", owner, None, place.high, place.low, place.whole)

    def _nested(self, emit: Callable[[], None]) -> None:
        """Emit one level deeper; `pass` where nothing came."""
        self.depth += 1
        before = len(self.lines)
        emit()
        if len(self.lines) == before:
            self.line("pass")
        self.depth -= 1

    def _safe_source(self, value: nodes.Expr) -> Place:
        """A composite source that a later copy cannot overwrite."""
        if not isinstance(value.type, Composite) or isinstance(value, nodes.Make | nodes.MakeInvalid):
            return self.place(value)
        if isinstance(value, nodes.VarRef) and self.places[value.variable].fields is None:
            return self.place(value)
        name = self.temporary("kept")
        self.line(f"{name} = {self.composites.duplicate(value.type)}({self.object(value)})")
        return Place(value.type, name)

    def _store_fields(self, target: Place, type_: Composite, values: list[nodes.Expr]) -> None:
        """Assign a list of values field by field; all are evaluated before the first is assigned."""
        scalars: list[tuple[Place, str]] = []
        copies: list[tuple[Place, Place]] = []
        nested: list[tuple[Place, nodes.Expr]] = []
        for field, value in zip(type_.fields, values, strict=True):
            place = self.member(target, field.name, field.type)
            if not is_composite(field.type):
                scalars.append((place, self.bare(value)))
            elif isinstance(value, nodes.Make | nodes.MakeInvalid):
                nested.append((place, value))
            else:
                copies.append((place, self._safe_source(value)))
        if nested and (len(values) > 1):
            # A nested list may read what the others overwrite: build it apart.
            for place, value in nested:
                copies.append((place, Place(value.type, self._built(value))))
            nested = []
        if scalars:
            left = ", ".join(place.code for place, _ in scalars)
            if len(scalars) == 1 or all(code.isalnum() for _, code in scalars):
                for place, code in scalars:
                    self.line(f"{place.code} = {code}")
            else:
                self.line(f"{left} = {', '.join(code for _, code in scalars)}")
        for place, source in copies:
            self.copy(place, source)
        for place, value in nested:
            self.store(place, value)
        if isinstance(type_, Header):
            self.line(f"{target.code}.raw = None")
            self.line(f"{target.code}.valid = True")

    def _built(self, value: nodes.Expr) -> str:
        name = self.temporary("made")
        self.line(f"{name} = {self.composites.new(value.type)}")
        self.store(Place(value.type, name), value)
        return name

    def copy(self, target: Place, source: Place) -> None:
        """Copy a composite (or a scalar) from place to place."""
        type_ = target.type
        if not is_composite(type_):
            self.set(target, self.read(source))
        elif target.fields is None and source.fields is None and not source.parts:
            for text in self.composites.copy(type_, target.code, source.code):
                self.line(text)
        elif source.parts:
            assert isinstance(type_, Stack)
            for index, part in enumerate(source.parts):
                self.copy(Place(type_.element, f"{target.code}.items[{index}]"), part)
            self.line(f"{target.code}.next = {len(source.parts)}")
        else:
            assert isinstance(type_, Composite)
            for field in type_.fields:
                self.copy(
                    self.member(target, field.name, field.type), self.member(source, field.name, field.type)
                )

    def reset(self, place: Place) -> None:
        """Make a place zero."""
        if place.fields is not None:
            for part in place.fields.values():
                self.reset(part)
        elif is_composite(place.type):
            for text in self.composites.reset(place.type, place.code):
                self.line(text)
        else:
            self.set(place, zero(place.type))
