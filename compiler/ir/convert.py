"""Semantic types to IR types: generics applied, tuples named, enums and newtypes reduced to bits."""

from __future__ import annotations

from p4cats.compiler.ir import types as ir
from p4cats.compiler.parse import ast
from p4cats.compiler.types import model
from p4cats.compiler.types.annotations import find, p4_annotations

Composite = ir.Header | ir.Union | ir.Struct

INT = ir.Bits(-1, True)
"""Marks `int` while constants are folded; never left in a finished program."""


class TypeConverter:
    """One IR type per semantic type."""

    def __init__(self) -> None:
        self._composites: dict[model.Composite, Composite] = {}
        self._tuples: dict[tuple[ir.Type, ...], ir.Struct] = {}
        self._enums: dict[model.Enum, ir.Enum] = {}
        self._written: dict[model.New | model.SerEnum, ir.WrittenType] = {}

    @property
    def composites(self) -> list[ir.Composite]:
        """All composites so far, in order of conversion."""
        return [*self._composites.values()]

    @property
    def enums(self) -> list[ir.Enum]:
        """All enums so far."""
        return list(self._enums.values())

    @property
    def written_types(self) -> list[ir.WrittenType]:
        """All newtypes and serialisable enums so far."""
        return list(self._written.values())

    def convert(self, type_: model.Type) -> ir.Type:
        """The IR type; type variables must have been replaced."""
        match type_:
            case ir.Bits() | ir.Bool() | ir.Varbit() | ir.Error() | ir.String() | ir.Void():
                return type_
            case model.Int():
                return INT
            case model.SerEnum() | model.New():
                return self.convert(model.representation(type_))
            case model.Enum():
                return self._enum(type_)
            case model.Composite():
                return self._composite(type_)
            case model.Stack():
                element = self.convert(type_.element)
                assert isinstance(element, ir.Header | ir.Union)
                return ir.Stack(element, type_.size)
            case model.Tuple():
                return self._tuple(type_)
            case model.MatchKind():
                return ir.STRING
            case _:
                raise TypeError(f"no IR type for {type_!r}")

    def written(self, type_: model.Type) -> ir.WrittenType | None:
        """What P4Info wants to know of a newtype or serialisable enum."""
        if not isinstance(type_, model.New | model.SerEnum):
            return None
        found = self._written.get(type_)
        if found is None:
            found = self._written[type_] = self._make_written(type_)
        return found

    def _make_written(self, type_: model.New | model.SerEnum) -> ir.WrittenType:
        annotations = p4_annotations(type_.annotations)
        underlying = self.convert(type_)
        if isinstance(type_, model.SerEnum):
            members = tuple(type_.values.items())
            return ir.WrittenType("serializable_enum", type_.name, underlying, None, members, annotations)
        return ir.WrittenType(
            "newtype", type_.name, underlying, _translation(type_.annotations), (), annotations
        )

    def _enum(self, type_: model.Enum) -> ir.Enum:
        found = self._enums.get(type_)
        if found is None:
            found = self._enums[type_] = ir.Enum(type_.name, tuple(type_.members))
        return found

    def _composite(self, type_: model.Composite) -> Composite:
        found = self._composites.get(type_)
        if found is not None:
            return found
        fields = tuple(
            ir.Field(f.name, self.convert(f.type), p4_annotations(f.annotations), self.written(f.type))
            for f in type_.fields.values()
        )
        name, annotations = str(type_), p4_annotations(type_.annotations)
        made: Composite
        if type_.kind == "header":
            made = ir.Header(name, fields, annotations)
        elif type_.kind == "header_union":
            made = ir.Union(name, fields, annotations)
        else:
            made = ir.Struct(name or f"anonymous_{len(self._composites)}", fields, annotations)
        self._composites[type_] = made
        return made

    def _tuple(self, type_: model.Tuple) -> ir.Struct:
        elements = tuple(self.convert(t) for t in type_.elements)
        found = self._tuples.get(elements)
        if found is None:
            fields = tuple(ir.Field(f"f{i}", t) for i, t in enumerate(elements))
            found = self._tuples[elements] = ir.Struct(f"tuple_{len(self._tuples)}", fields, (), True)
        return found


def _translation(annotations: list[ast.Annotation]) -> tuple[str, int | None] | None:
    """`@p4runtime_translation("uri", string | bit<W> | W)`."""
    found = find(annotations, "p4runtime_translation")
    if found is None:
        return None
    body = found.body or ""
    uri, _, kind = body.rpartition(",")
    kind = kind.strip()
    if kind.startswith("bit<"):
        kind = kind[4:].rstrip(">")
    width = int(kind, 0) if kind[:1].isdigit() else None
    return uri.strip().strip('"'), width


__all__ = ["INT", "TypeConverter"]
