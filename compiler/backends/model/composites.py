"""Python classes for headers, unions and structs, with the functions that copy, reset and pack them.

A header has `valid`, `raw` (the bytes it was extracted from, as long as no field was written since) and
one attribute per field. Composites are passed by reference and assigned by copying into place, so an
object keeps its identity for the life of a packet.
"""

from __future__ import annotations

from p4cats.compiler.backends.model.layout import Leaf, Structs, leaves, pack_expression
from p4cats.compiler.backends.model.names import Names, attribute, mask, zero
from p4cats.compiler.backends.model.usage import Usage
from p4cats.compiler.ir.types import Composite, Header, Stack, Struct, Type, Union, Varbit


def is_composite(type_: Type) -> bool:
    """True for what is passed by reference."""
    return isinstance(type_, Composite | Stack)


def varbit_of(type_: Header) -> Leaf | None:
    """The header's varbit field, if it has one."""
    return next((leaf for leaf in leaves(type_) if isinstance(leaf.type, Varbit)), None)


def header_bits(type_: Composite) -> int:
    """Bits of a header's fixed part."""
    return sum(leaf.width for leaf in leaves(type_) if not isinstance(leaf.type, Varbit))


class Composites:
    """Writes each class and helper function once, when it is first asked for."""

    def __init__(self, names: Names, structs: Structs, usage: Usage) -> None:
        self._names = names
        self._structs = structs
        self._usage = usage
        self._classes: dict[Composite, str] = {}
        self._helpers: dict[tuple[str, Composite], str] = {}
        self.lines: list[str] = []

    def keeps_raw(self, type_: Type) -> bool:
        """True for headers whose extracted bytes are kept for the deparser."""
        return isinstance(type_, Header) and not any(
            isinstance(f.type, Struct | Varbit) for f in type_.fields
        )

    def wanted_fields(self, type_: Header) -> set[str] | None:
        """The attributes worth extracting; None: all (a header whose fields are written is packed again)."""
        if not self.keeps_raw(type_) or self._usage.is_written(type_):
            return None
        return {attribute(name) for name in self._usage.fields_read(type_)}

    def class_name(self, type_: Composite) -> str:
        """The class of a composite."""
        if type_ not in self._classes:
            children = [self.new(f.type) if is_composite(f.type) else "" for f in type_.fields]
            name = self._names.fresh(type_.name)
            self._classes[type_] = name
            self._write_class(name, type_, children)
        return self._classes[type_]

    def new(self, type_: Type) -> str:
        """An expression: a new zero value of a composite type."""
        if isinstance(type_, Stack):
            return f"Stack({self.class_name(type_.element)}, {type_.size})"
        assert isinstance(type_, Composite)
        return f"{self.class_name(type_)}()"

    def _write_class(self, name: str, type_: Composite, children: list[str]) -> None:
        slots = [attribute(f.name) for f in type_.fields]
        extra = ["valid", "raw"] if isinstance(type_, Header) else []
        self.lines += ["", "", f"class {name}:", f"    __slots__ = {tuple(extra + slots)!r}", ""]
        self.lines.append("    def __init__(self):")
        body = ["self.valid = False", "self.raw = None"] if extra else []
        zeros: dict[str, list[str]] = {}
        for field, slot, child in zip(type_.fields, slots, children, strict=True):
            if child:
                body.append(f"self.{slot} = {child}")
            else:
                zeros.setdefault(zero(field.type), []).append(slot)
        body += [" = ".join(f"self.{s}" for s in named) + f" = {value}" for value, named in zeros.items()]
        self.lines += [f"        {line}" for line in body or ["pass"]]

    def copy(self, type_: Type, target: str, source: str) -> list[str]:
        """Statements that copy `source` into `target` (composites)."""
        if isinstance(type_, Stack):
            element = self._helper("copy", type_.element)
            return [f"copy_stack({target}, {source}, {element})"]
        assert isinstance(type_, Composite)
        return [f"{self._helper('copy', type_)}({target}, {source})"]

    def reset(self, type_: Type, target: str) -> list[str]:
        """Statements that make a composite zero (headers invalid)."""
        if isinstance(type_, Header):
            return [f"{target}.valid = False"]
        if isinstance(type_, Stack):
            return [f"reset_stack({target}, {self._helper('reset', type_.element)})"]
        assert isinstance(type_, Composite)
        return [f"{self._helper('reset', type_)}({target})"]

    def pack(self, type_: Header, header: str) -> str:
        """An expression: the bytes of a header."""
        packed = f"{self._helper('pack', type_)}({header})"
        return f"{header}.raw or {packed}" if self.keeps_raw(type_) else packed

    def size(self, type_: Composite) -> str:
        """The function that adds up the bytes of the valid headers of a struct."""
        return self._helper("size", type_)

    def duplicate(self, type_: Composite) -> str:
        """The function that makes a copy of a composite."""
        return self._helper("duplicate", type_)

    def _helper(self, kind: str, type_: Composite) -> str:
        key = (kind, type_)
        if key not in self._helpers:
            name = self._names.fresh(f"{kind}_{self.class_name(type_)}")
            self._helpers[key] = name
            body: list[str] = getattr(self, f"_{kind}_body")(type_)
            arguments = {"copy": "to, of", "duplicate": "of"}.get(kind, "h")
            self.lines += ["", "", f"def {name}({arguments}):", *(f"    {line}" for line in body or ["pass"])]
        return self._helpers[key]

    def _copy_body(self, type_: Composite) -> list[str]:
        fields: list[str] = []
        for field in type_.fields:
            slot = attribute(field.name)
            if is_composite(field.type):
                fields += self.copy(field.type, f"to.{slot}", f"of.{slot}")
            else:
                fields.append(f"to.{slot} = of.{slot}")
        if not isinstance(type_, Header):
            return fields
        valid = ["if of.valid:", *(f"    {line}" for line in fields), "    to.raw = of.raw"]
        return [*valid, "to.valid = of.valid"]

    def _reset_body(self, type_: Composite) -> list[str]:
        if isinstance(type_, Header):
            return ["h.valid = False"]
        body: list[str] = []
        for field in type_.fields:
            slot = attribute(field.name)
            if is_composite(field.type):
                body += self.reset(field.type, f"h.{slot}")
            else:
                body.append(f"h.{slot} = {zero(field.type)}")
        return body

    def _duplicate_body(self, type_: Composite) -> list[str]:
        assert isinstance(type_, Header | Struct | Union)
        return [f"to = {self.new(type_)}", *self.copy(type_, "to", "of"), "return to"]

    def _size_body(self, type_: Composite) -> list[str]:
        body = ["n = 0"]
        for field in type_.fields:
            slot = f"h.{attribute(field.name)}"
            if isinstance(field.type, Header):
                body += [f"if {slot}.valid:", f"    n += {self._header_size(field.type, slot)}"]
            elif isinstance(field.type, Stack) and isinstance(field.type.element, Header):
                element = self._header_size(field.type.element, "x")
                body.append(f"n += sum({element} for x in {slot}.items if x.valid)")
            elif isinstance(field.type, Stack):
                body.append(f"n += sum({self.size(field.type.element)}(x) for x in {slot}.items)")
            elif isinstance(field.type, Composite):
                body.append(f"n += {self.size(field.type)}({slot})")
        return [*body, "return n"]

    def _header_size(self, type_: Header, header: str) -> str:
        fixed = header_bits(type_)
        varbit = varbit_of(type_)
        return f"({fixed} + {header}.{varbit.path}[0]) // 8" if varbit else str(fixed // 8)

    def _pack_body(self, type_: Composite) -> list[str]:
        assert isinstance(type_, Header)
        if varbit_of(type_) is None:
            return [f"return {pack_expression('h', type_, self._structs)}"]
        body = ["v, n = 0, 0"]
        for leaf in leaves(type_):
            if isinstance(leaf.type, Varbit):
                body += [f"w, x = h.{leaf.path}", "v, n = v << w | x, n + w"]
            else:
                value = f"h.{leaf.path} & {hex(mask(leaf.width))}" if leaf.signed else f"h.{leaf.path}"
                body.append(f"v, n = v << {leaf.width} | {value}, n + {leaf.width}")
        return [*body, 'return v.to_bytes(n // 8, "big")']


def union_members(type_: Union) -> list[tuple[str, Header]]:
    """Attributes and types of a union's headers."""
    return [(attribute(f.name), f.type) for f in type_.fields if isinstance(f.type, Header)]
