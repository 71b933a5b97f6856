"""P4Info of a program: what a P4Runtime controller must know (P4Runtime specification section 6).

Ids, names, aliases and contents are those that p4c writes for the same source, so that a controller
and entries made for bmv2 work on our targets and the other way round.
"""

from __future__ import annotations

import re
from pathlib import Path

from finsy.proto import p4i
from google.protobuf import json_format, text_format

from p4cats.compiler.backends.p4info_ids import IdError, Prefix, aliases, assign_ids, number_fields
from p4cats.compiler.backends.p4info_reachable import applied_tables, used_actions
from p4cats.compiler.backends.p4info_types import TypeSpecs, padded, put_annotations, sdn_bitwidth
from p4cats.compiler.diagnostics import CompileError, Diagnostic, Severity
from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir import types as irt

_HEADER = "# proto-file: p4/config/v1/p4info.proto\n# proto-message: p4.config.v1.P4Info\n\n"

_MATCH_TYPES = {
    "exact": p4i.MatchField.EXACT,
    "lpm": p4i.MatchField.LPM,
    "ternary": p4i.MatchField.TERNARY,
    "range": p4i.MatchField.RANGE,
    "optional": p4i.MatchField.OPTIONAL,
}

_EXTERN_PREFIXES = {
    "action_profile": Prefix.ACTION_PROFILE,
    "action_selector": Prefix.ACTION_PROFILE,
    "counter": Prefix.COUNTER,
    "direct_counter": Prefix.DIRECT_COUNTER,
    "meter": Prefix.METER,
    "direct_meter": Prefix.DIRECT_METER,
    "register": Prefix.REGISTER,
}

_DEFAULT_SIZE = 1024
"""Of a table without `size`, or with size 0."""


def p4info(program: ir.Program) -> p4i.P4Info:
    """Describe a program to controllers; CompileError where an `@id` or a name is unusable."""
    return _Builder(program).build()


def write_p4info(info: p4i.P4Info, path: Path) -> None:
    """Write P4Info in the format of the path's suffix: .txt or .txtpb (text), .json, .bin."""
    match path.suffix:
        case ".json":
            path.write_text(json_format.MessageToJson(info) + "\n")
        case ".bin":
            path.write_bytes(info.SerializeToString(deterministic=True))
        case ".txt" | ".txtpb":
            path.write_text(p4info_text(info))
        case other:
            raise ValueError(f"P4Info file {path}: unknown suffix {other!r}, use .txtpb, .txt, .json or .bin")


def p4info_text(info: p4i.P4Info) -> str:
    """The protobuf text form, with the two header lines that name the message."""
    return _HEADER + text_format.MessageToString(info)


def read_p4info(path: Path) -> p4i.P4Info:
    """Read a file that `write_p4info` or p4c wrote."""
    info = p4i.P4Info()
    if path.suffix == ".bin":
        info.ParseFromString(path.read_bytes())
    elif path.suffix == ".json":
        json_format.Parse(path.read_text(), info)
    else:
        text_format.Parse(path.read_text(), info)
    return info


class _Builder:
    """Fills one P4Info message."""

    def __init__(self, program: ir.Program) -> None:
        self._program = program
        self._info = p4i.P4Info()
        self._info.type_info.SetInParent()
        self._types = TypeSpecs(self._info.type_info, program.errors)
        applied = applied_tables(program)
        live = [t for t in program.tables if id(t) in applied]
        self._tables = [t for t in live if not t.control_plane.hidden]
        self._actions = [a for a in used_actions(program, live) if not a.control_plane.hidden]
        self._externs = [e for e in program.externs if e.kind in _EXTERN_PREFIXES and self._visible(e)]
        self._value_sets = [v for v in program.value_sets if not v.control_plane.hidden]
        self._ids: dict[tuple[Prefix, str], int] = {}
        self._aliases: dict[str, str] = {}

    def _visible(self, extern: ir.ExternInstance) -> bool:
        if extern.control_plane.hidden:
            return False
        if extern.kind in ("direct_counter", "direct_meter"):
            return any(t in self._tables for t in extern.tables)
        return True

    def build(self) -> p4i.P4Info:
        """Number every object first: they refer to each other by id."""
        self._number()
        self._pkg_info()
        for table in self._tables:
            self._at(table.span, self._table, table)
        for action in self._actions:
            self._at(action.span, self._action, action)
        for extern in self._externs:
            self._at(extern.span, self._extern, extern)
        for value_set in self._value_sets:
            self._at(value_set.span, self._value_set, value_set)
        for header in self._program.controller_headers:
            self._at(self._program.span, self._controller_header, header)
        for digest in self._program.digests:
            self._at(self._program.span, self._digest, digest)
        return self._info

    def _at(self, span: object, build: object, item: object) -> None:
        try:
            build(item)  # type: ignore[operator]  # one of the bound methods above
        except (IdError, ValueError) as error:
            raise CompileError([Diagnostic(Severity.ERROR, span, str(error))]) from error  # type: ignore[arg-type]

    # -- ids -----------------------------------------------------------------------------------

    def _number(self) -> None:
        objects: dict[Prefix, list[tuple[str, int | None]]] = {}
        spans = {}

        def add(prefix: Prefix, name: str, given: int | None, span: object) -> None:
            objects.setdefault(prefix, []).append((name, given))
            spans[name] = span

        for table in self._tables:
            add(Prefix.TABLE, table.name, table.control_plane.id, table.span)
        for action in self._actions:
            add(Prefix.ACTION, action.name, action.control_plane.id, action.span)
        for extern in self._externs:
            add(_EXTERN_PREFIXES[extern.kind], extern.name, extern.control_plane.id, extern.span)
        for value_set in self._value_sets:
            add(Prefix.VALUE_SET, value_set.name, value_set.control_plane.id, value_set.span)
        for header in self._program.controller_headers:
            add(Prefix.CONTROLLER_HEADER, header.header.name, header.id, self._program.span)
        for digest in self._program.digests:
            add(Prefix.DIGEST, digest.name, _id_of(digest.annotations), self._program.span)
        for prefix, named in objects.items():
            try:
                ids = assign_ids(prefix, named)
            except IdError as error:
                span = next((spans[n] for n, _ in named if repr(n) in str(error)), self._program.span)
                raise CompileError([Diagnostic(Severity.ERROR, span, str(error))]) from error  # type: ignore[arg-type]
            self._ids.update(((prefix, name), id_) for name, id_ in ids.items())
        self._aliases = aliases(name for _, name in self._ids)

    def _preamble(
        self,
        preamble: p4i.Preamble,
        prefix: Prefix,
        control_plane: ir.ControlPlane,
        leave_out: frozenset[str] = frozenset(),
    ) -> None:
        name = control_plane.name
        preamble.id = self._ids[prefix, name]
        preamble.name = name
        preamble.alias = self._aliases[name]
        put_annotations(preamble, control_plane.annotations, leave_out)
        _document(preamble, control_plane.doc_brief, control_plane.doc_description)

    # -- objects -------------------------------------------------------------------------------

    def _pkg_info(self) -> None:
        pkg = self._info.pkg_info
        pkg.arch = "v1model"
        for annotation in self._program.annotations:
            pairs = _pairs(annotation)
            match annotation.name:
                case "pkginfo":
                    for key in ("name", "version", "organization", "contact", "url"):
                        if key in pairs:
                            setattr(pkg, key, str(pairs[key]))
                case "platform_property":
                    for key in pairs:
                        if key in pkg.platform_properties.DESCRIPTOR.fields_by_name:
                            setattr(pkg.platform_properties, key, int(pairs[key]))
                case "brief":
                    pkg.doc.brief = _unquoted(annotation)
                case "description":
                    pkg.doc.description = _unquoted(annotation)
                case _:
                    put_annotations(pkg, (annotation,))

    def _table(self, table: ir.Table) -> None:
        message = self._info.tables.add()
        self._preamble(message.preamble, Prefix.TABLE, table.control_plane)
        numbers = number_fields([_id_of(k.annotations) for k in table.keys])
        for key, number in zip(table.keys, numbers, strict=True):
            if key.match_kind != "selector":
                self._match_field(message.match_fields.add(), key, number)
        for ref in table.actions:
            if not ref.action.control_plane.hidden:
                self._action_ref(message.action_refs.add(), ref)
        self._default_action(message, table)
        if table.implementation is not None:
            message.implementation_id = self._ids[Prefix.ACTION_PROFILE, table.implementation.name]
        if (
            table.direct_counter is not None
            and (Prefix.DIRECT_COUNTER, table.direct_counter.name) in self._ids
        ):
            message.direct_resource_ids.append(self._ids[Prefix.DIRECT_COUNTER, table.direct_counter.name])
        if table.direct_meter is not None and (Prefix.DIRECT_METER, table.direct_meter.name) in self._ids:
            message.direct_resource_ids.append(self._ids[Prefix.DIRECT_METER, table.direct_meter.name])
        message.size = table.size or _DEFAULT_SIZE
        if table.support_timeout:
            message.idle_timeout_behavior = p4i.Table.NOTIFY_CONTROL
        message.is_const_table = table.const_entries
        message.has_initial_entries = bool(table.entries)

    def _match_field(self, message: p4i.MatchField, key: ir.Key, number: int) -> None:
        message.id = number
        message.name = key.name
        put_annotations(message, key.annotations)
        message.bitwidth = sdn_bitwidth(key.expression.type, key.written)
        kind = _MATCH_TYPES.get(key.match_kind)
        if kind is None:
            message.other_match_type = key.match_kind
        else:
            message.match_type = kind
        self._name_type(message, key.written)

    def _name_type(
        self,
        message: p4i.MatchField | p4i.Action.Param | p4i.ControllerPacketMetadata.Metadata,
        written: irt.WrittenType | None,
    ) -> None:
        if name := self._types.name_newtype(written):
            message.type_name.name = name

    def _action_ref(self, message: p4i.ActionRef, ref: ir.ActionRef) -> None:
        message.id = self._ids[Prefix.ACTION, ref.action.name]
        put_annotations(message, ref.annotations)
        if ref.table_only:
            message.scope = p4i.ActionRef.TABLE_ONLY
        elif ref.default_only:
            message.scope = p4i.ActionRef.DEFAULT_ONLY

    def _default_action(self, message: p4i.Table, table: ir.Table) -> None:
        action = table.default.action
        id_ = self._ids.get((Prefix.ACTION, action.name))
        if id_ is None:
            return  # hidden
        if table.const_default:
            message.const_default_action_id = id_
        message.initial_default_action.action_id = id_
        numbers = number_fields([_id_of(p.annotations) for p in action.data])
        for parameter, number, value in zip(action.data, numbers, table.default.data, strict=True):
            width = irt.width_bits(parameter.variable.type)
            message.initial_default_action.arguments.add(param_id=number, value=padded(value, width))

    def _action(self, action: ir.Action) -> None:
        message = self._info.actions.add()
        self._preamble(message.preamble, Prefix.ACTION, action.control_plane)
        numbers = number_fields([_id_of(p.annotations) for p in action.data])
        for parameter, number in zip(action.data, numbers, strict=True):
            param = message.params.add(id=number, name=parameter.name)
            put_annotations(param, parameter.annotations)
            param.bitwidth = sdn_bitwidth(parameter.variable.type, parameter.written)
            for annotation in parameter.annotations:
                if annotation.name == "brief":
                    param.doc.brief = _unquoted(annotation)
                elif annotation.name == "description":
                    param.doc.description = _unquoted(annotation)
            self._name_type(param, parameter.written)

    def _extern(self, extern: ir.ExternInstance) -> None:
        arguments = [a.value for a in extern.arguments]
        prefix = _EXTERN_PREFIXES[extern.kind]
        match extern.kind:
            case "counter":
                counter = self._info.counters.add(size=int(arguments[0]))
                self._preamble(counter.preamble, prefix, extern.control_plane)
                counter.spec.unit = _counter_unit(extern, 1)
            case "direct_counter":
                direct = self._info.direct_counters.add()
                self._preamble(direct.preamble, prefix, extern.control_plane)
                direct.spec.unit = _counter_unit(extern, 0)
                direct.direct_table_id = self._ids[Prefix.TABLE, extern.tables[0].name]
            case "meter":
                meter = self._info.meters.add(size=int(arguments[0]))
                self._preamble(meter.preamble, prefix, extern.control_plane)
                meter.spec.unit = _meter_unit(extern, 1)
            case "direct_meter":
                direct_meter = self._info.direct_meters.add()
                self._preamble(direct_meter.preamble, prefix, extern.control_plane)
                direct_meter.spec.unit = _meter_unit(extern, 0)
                direct_meter.direct_table_id = self._ids[Prefix.TABLE, extern.tables[0].name]
            case "register":
                register = self._info.registers.add(size=int(arguments[0]))
                self._preamble(register.preamble, prefix, extern.control_plane)
                register.type_spec.CopyFrom(self._types.spec(extern.type_arguments[0], extern.written))
            case _:
                self._action_profile(extern)

    def _action_profile(self, extern: ir.ExternInstance) -> None:
        selector = extern.kind == "action_selector"
        message = self._info.action_profiles.add(with_selector=selector)
        self._preamble(
            message.preamble,
            Prefix.ACTION_PROFILE,
            extern.control_plane,
            frozenset({"max_group_size", "selector_size_semantics", "max_member_weight"}),
        )
        message.size = int(extern.arguments[1 if selector else 0].value)
        for table in extern.tables:
            if table in self._tables:
                message.table_ids.append(self._ids[Prefix.TABLE, table.name])
        if not selector:
            return
        if size := extern.control_plane.annotation("max_group_size"):
            message.max_group_size = _integer(size)
        semantics = extern.control_plane.annotation("selector_size_semantics")
        if semantics is not None and _unquoted(semantics) == "sum_of_members":
            message.sum_of_members.SetInParent()
            if weight := extern.control_plane.annotation("max_member_weight"):
                message.sum_of_members.max_member_weight = _integer(weight)
        elif semantics is not None:
            message.sum_of_weights.SetInParent()

    def _value_set(self, value_set: ir.ValueSet) -> None:
        message = self._info.value_sets.add(size=value_set.size)
        self._preamble(message.preamble, Prefix.VALUE_SET, value_set.control_plane)
        if not isinstance(value_set.element, irt.Struct):
            width = sdn_bitwidth(value_set.element, None)
            message.match.add(id=1, bitwidth=width, match_type=p4i.MatchField.EXACT)
            return
        fields = value_set.element.fields
        numbers = number_fields([_id_of(f.annotations) for f in fields])
        for field, number in zip(fields, numbers, strict=True):
            match = message.match.add(id=number, name=field.name)
            match.bitwidth = sdn_bitwidth(field.type, field.written)
            kind = field.annotation("match")
            match.match_type = _MATCH_TYPES.get(
                kind.text or "exact" if kind else "exact", p4i.MatchField.EXACT
            )
            put_annotations(match, field.annotations, frozenset({"match"}))
            self._name_type(match, field.written)

    def _controller_header(self, header: ir.ControllerHeader) -> None:
        message = self._info.controller_packet_metadata.add()
        message.preamble.id = self._ids[Prefix.CONTROLLER_HEADER, header.header.name]
        message.preamble.name = message.preamble.alias = header.name
        put_annotations(message.preamble, header.annotations)
        fields = [f for f in header.header.fields if f.annotation("hidden") is None]
        numbers = number_fields([_id_of(f.annotations) for f in fields])
        for field, number in zip(fields, numbers, strict=True):
            metadata = message.metadata.add(id=number, name=field.name)
            put_annotations(metadata, field.annotations)
            metadata.bitwidth = sdn_bitwidth(field.type, field.written)
            self._name_type(metadata, field.written)

    def _digest(self, digest: ir.Digest) -> None:
        message = self._info.digests.add()
        message.preamble.id = self._ids[Prefix.DIGEST, digest.name]
        message.preamble.name = digest.name
        message.preamble.alias = self._aliases[digest.name]
        put_annotations(message.preamble, digest.annotations)
        message.type_spec.CopyFrom(self._types.spec(digest.type))


def _document(preamble: p4i.Preamble, brief: str | None, description: str | None) -> None:
    if brief is not None:
        preamble.doc.brief = brief
    if description is not None:
        preamble.doc.description = description


def _unquoted(annotation: irt.P4Annotation) -> str:
    return (annotation.text or "").strip().strip('"')


def _integer(annotation: irt.P4Annotation) -> int:
    text = (annotation.text or "").strip()
    literal = re.fullmatch(r"(?:\d+w)?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*)", text)
    if literal is None:
        raise IdError(f"@{annotation.name}({text}): a number is needed")
    return int(literal[1].replace("_", ""), 0)


def _id_of(annotations: tuple[irt.P4Annotation, ...]) -> int | None:
    annotation = next((a for a in annotations if a.name == "id"), None)
    return None if annotation is None else _integer(annotation)


def _pairs(annotation: irt.P4Annotation) -> dict[str, int | str | bool]:
    """Key-value pairs of `@name[k=v]`, or of the text of `@name(k = v, …)`."""
    if annotation.pairs is not None:
        return dict(annotation.pairs)
    found = re.findall(r'(\w+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|(\w+))', annotation.text or "")
    return {key: text or word for key, text, word in found}


_UNITS = {
    "packets": p4i.CounterSpec.PACKETS,
    "bytes": p4i.CounterSpec.BYTES,
    "packets_and_bytes": p4i.CounterSpec.BOTH,
}


def _unit_name(extern: ir.ExternInstance, index: int) -> str:
    argument = extern.arguments[index]
    if isinstance(argument.type, irt.Enum) and isinstance(argument.value, int):
        return argument.type.members[argument.value]
    raise ValueError(f"{extern.kind} {extern.name}: its type must be a constant enum value")


def _counter_unit(extern: ir.ExternInstance, index: int) -> p4i.CounterSpec.Unit.ValueType:
    return _UNITS[_unit_name(extern, index)]


def _meter_unit(extern: ir.ExternInstance, index: int) -> p4i.MeterSpec.Unit.ValueType:
    return p4i.MeterSpec.PACKETS if _unit_name(extern, index) == "packets" else p4i.MeterSpec.BYTES


__all__ = ["p4info", "p4info_text", "read_p4info", "write_p4info"]
