"""Types as P4Info describes them: `P4DataTypeSpec` and the named types in `type_info`.

P4Runtime specification section 8.4. Only types that a digest, a register or a translated field needs
are listed, as p4c does.
"""

from __future__ import annotations

from finsy.proto import p4i, p4t

from p4cats.compiler.ir import types as irt
from p4cats.compiler.ir.types import WrittenType

_UNPRINTED = frozenset({"name", "id", "brief", "description"})
"""Annotations that P4Info shows in fields of their own."""


def padded(value: int, width: int) -> bytes:
    """The value in as many bytes as its type needs (p4c does not write the canonical, shortest form)."""
    size = max(1, (width + 7) // 8)
    return (value & (1 << max(width, 1)) - 1).to_bytes(size, "big")


def annotation_text(annotation: irt.P4Annotation) -> str:
    """`@name` or `@name(text)`; an empty body is not shown."""
    return f"@{annotation.name}({annotation.text})" if annotation.text else f"@{annotation.name}"


def put_annotations(
    target: p4i.Preamble | p4i.MatchField | p4i.Action.Param | p4i.ActionRef | p4i.PkgInfo
    | p4i.ControllerPacketMetadata.Metadata,
    annotations: tuple[irt.P4Annotation, ...],
    leave_out: frozenset[str] = frozenset(),
) -> None:  # fmt: skip
    """Copy the annotations that have no field of their own."""
    for annotation in annotations:
        if annotation.name in _UNPRINTED or annotation.name in leave_out:
            continue
        if annotation.expressions is None and annotation.pairs is None:
            target.annotations.append(annotation_text(annotation))
            continue
        structured = target.structured_annotations.add(name=annotation.name)
        if annotation.pairs is not None:
            structured.kv_pair_list.SetInParent()
            for key, value in annotation.pairs:
                structured.kv_pair_list.kv_pairs.add(key=key, value=_expression(value))
        else:
            structured.expression_list.SetInParent()
            structured.expression_list.expressions.extend(map(_expression, annotation.expressions or ()))


def _expression(value: int | str | bool) -> p4t.Expression:
    if isinstance(value, bool):
        return p4t.Expression(bool_value=value)
    if isinstance(value, int):
        return p4t.Expression(int64_value=value)
    return p4t.Expression(string_value=value)


def sdn_bitwidth(type_: irt.Type, written: WrittenType | None) -> int:
    """Bits that a controller sees: 1 for bool, the translated width, 0 where translated to a string."""
    if written is not None and written.translation is not None:
        return written.translation[1] or 0
    match type_:
        case irt.Bits(width=width):
            return width
        case irt.Bool():
            return 1
        case irt.Varbit(max_width=width):
            return width
        case _:
            raise ValueError(f"a controller cannot give values of type {type_}")


class TypeSpecs:
    """Converts types and collects the named ones in a P4TypeInfo."""

    def __init__(self, info: p4t.P4TypeInfo, errors: list[str]) -> None:
        self._info = info
        self._errors = errors

    def name_newtype(self, written: WrittenType | None) -> str:
        """The `type_name` of a field whose type is a newtype, "" for others; lists the newtype."""
        if written is None or written.kind != "newtype":
            return ""
        self._add_newtype(written)
        return written.name

    def spec(self, type_: irt.Type, written: WrittenType | None = None) -> p4t.P4DataTypeSpec:
        """Describe a type; what the P4 program calls it is in `written`."""
        spec = p4t.P4DataTypeSpec()
        if written is not None and written.kind == "newtype":
            self._add_newtype(written)
            spec.new_type.name = written.name
            return spec
        if written is not None and written.kind == "serializable_enum":
            self._add_serializable_enum(written)
            spec.serializable_enum.name = written.name
            return spec
        match type_:
            case irt.Bits() | irt.Varbit():
                spec.bitstring.CopyFrom(_bitstring(type_))
            case irt.Bool():
                spec.bool.SetInParent()
            case irt.Error():
                spec.error.SetInParent()
                if not self._info.HasField("error"):
                    self._info.error.members.extend(self._errors)
            case irt.Enum():
                self._add_enum(type_)
                spec.enum.name = type_.name
            case irt.Struct(tuple=True):
                spec.tuple.SetInParent()
                spec.tuple.members.extend(self.spec(f.type, f.written) for f in type_.fields)
            case irt.Struct():
                self._add_struct(type_)
                spec.struct.name = type_.name
            case irt.Header():
                self._add_header(type_)
                spec.header.name = type_.name
            case irt.Union():
                self._add_union(type_)
                spec.header_union.name = type_.name
            case irt.Stack(element=irt.Header() as element, size=size):
                self._add_header(element)
                spec.header_stack.header.name = element.name
                spec.header_stack.size = size
            case irt.Stack(element=irt.Union() as element, size=size):
                self._add_union(element)
                spec.header_union_stack.header_union.name = element.name
                spec.header_union_stack.size = size
            case _:
                raise ValueError(f"type {type_} cannot be shown to a controller")
        return spec

    def _add_newtype(self, written: WrittenType) -> None:
        if written.name in self._info.new_types:
            return
        new = self._info.new_types[written.name]
        if written.translation is not None:
            uri, width = written.translation
            new.translated_type.uri = uri
            if width is None:
                new.translated_type.sdn_string.SetInParent()
            else:
                new.translated_type.sdn_bitwidth = width
            return
        if written.underlying is None:
            raise ValueError(f"newtype {written.name} has no underlying type")
        new.original_type.CopyFrom(self.spec(written.underlying))

    def _add_serializable_enum(self, written: WrittenType) -> None:
        if written.name in self._info.serializable_enums:
            return
        width = written.underlying.width if isinstance(written.underlying, irt.Bits) else 0
        enum = self._info.serializable_enums[written.name]
        enum.underlying_type.bitwidth = width
        for name, value in written.enum_members:
            enum.members.add(name=name, value=padded(value, width))

    def _add_enum(self, type_: irt.Enum) -> None:
        if type_.name not in self._info.enums:
            for member in type_.members:
                self._info.enums[type_.name].members.add(name=member)

    def _add_struct(self, type_: irt.Struct) -> None:
        if type_.name in self._info.structs:
            return
        self._info.structs[type_.name].SetInParent()
        members = [(f.name, self.spec(f.type, f.written)) for f in type_.fields]
        for name, spec in members:
            self._info.structs[type_.name].members.add(name=name, type_spec=spec)

    def _add_header(self, type_: irt.Header) -> None:
        if type_.name in self._info.headers:
            return
        self._info.headers[type_.name].SetInParent()
        for f in type_.fields:
            self._info.headers[type_.name].members.add(name=f.name, type_spec=_bitstring(f.type))

    def _add_union(self, type_: irt.Union) -> None:
        if type_.name in self._info.header_unions:
            return
        self._info.header_unions[type_.name].SetInParent()
        for f in type_.fields:
            if isinstance(f.type, irt.Header):
                self._add_header(f.type)
                member = self._info.header_unions[type_.name].members.add(name=f.name)
                member.header.name = f.type.name


def _bitstring(type_: irt.Type) -> p4t.P4BitstringLikeTypeSpec:
    spec = p4t.P4BitstringLikeTypeSpec()
    match type_:
        case irt.Bits(width=width, signed=True):
            spec.int.bitwidth = width
        case irt.Bits(width=width):
            spec.bit.bitwidth = width
        case irt.Bool():
            spec.bit.bitwidth = 1
        case irt.Varbit(max_width=width):
            spec.varbit.max_bitwidth = width
        case _:
            raise ValueError(f"type {type_} is no bit string")
    return spec


__all__ = ["TypeSpecs", "annotation_text", "padded", "put_annotations", "sdn_bitwidth"]
