"""What the state store knows of a program: P4Info joined with the IR, by id.

Built once per pipeline, so that an update is checked with dictionary look-ups only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from finsy.proto import p4i

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir import types as irt
from p4cats.switch import dataplane as dp
from p4cats.switch.values import Translated, Value, ValueTypes

_KINDS = {
    p4i.MatchField.EXACT: "exact",
    p4i.MatchField.LPM: "lpm",
    p4i.MatchField.TERNARY: "ternary",
    p4i.MatchField.RANGE: "range",
    p4i.MatchField.OPTIONAL: "optional",
}


@dataclass(slots=True)
class FieldSchema:
    """A match field; `index` is its place in the data plane's key."""

    id: int
    name: str
    kind: str
    value: Value
    index: int

    @property
    def width(self) -> int:
        """Bits in the data plane."""
        return self.value.width


@dataclass(slots=True)
class ParamSchema:
    """An action parameter; `index` is its place in the action's data."""

    id: int
    name: str
    value: Value
    index: int


@dataclass(slots=True)
class ActionSchema:
    """An action."""

    id: int
    name: str
    params: dict[int, ParamSchema]


@dataclass(slots=True)
class ProfileSchema:
    """An action profile or selector."""

    id: int
    name: str
    selector: bool
    size: int
    max_group_size: int
    sum_of_members: bool
    max_member_weight: int
    weights_disallowed: bool
    actions: dict[int, ActionSchema] = field(default_factory=dict)
    """Actions of the tables that use it."""
    tables: tuple[int, ...] = ()


@dataclass(slots=True)
class TableSchema:
    """A table."""

    id: int
    name: str
    fields: list[FieldSchema]
    actions: dict[int, ActionSchema]
    table_only: frozenset[int]
    default_only: frozenset[int]
    size: int
    needs_priority: bool
    is_const: bool
    const_default: bool
    initial_default: dp.ActionCall | None
    notify_idle: bool
    profile: ProfileSchema | None
    direct_counter: int
    """Id, 0 for none."""
    direct_meter: int
    initial_entries: list[tuple[dp.TableEntry, bool]]
    """Entries of the program, each with whether it is const."""
    action_ids: dict[str, int]
    """Ids of `actions` by name."""


@dataclass(slots=True)
class IndexedSchema:
    """An indirect counter, meter or register."""

    id: int
    name: str
    size: int


class Schema:
    """All objects of a program by id."""

    def __init__(self, program: ir.Program, info: p4i.P4Info) -> None:
        self.program = program
        self.info = info
        self.types = ValueTypes()
        ir_actions = {a.name: a for a in program.actions}
        self.actions = {a.preamble.id: self._action(a, ir_actions[a.preamble.name]) for a in info.actions}
        self.profiles = {p.preamble.id: _profile(p) for p in info.action_profiles}
        ir_tables = {t.name: t for t in program.tables}
        self.tables = {t.preamble.id: self._table(t, ir_tables[t.preamble.name]) for t in info.tables}
        for table in self.tables.values():
            _reserve(table)
        self.tables_by_name = {t.name: t for t in self.tables.values()}
        for profile in self.profiles.values():
            profile.tables = tuple(t.id for t in self.tables.values() if t.profile is profile)
            for table_id in profile.tables:
                profile.actions.update(self.tables[table_id].actions)
        self.counters = {c.preamble.id: _indexed(c) for c in info.counters}
        self.meters = {m.preamble.id: _indexed(m) for m in info.meters}
        self.registers = {r.preamble.id: r for r in info.registers}
        self.digests = {d.preamble.id: d for d in info.digests}
        self.value_sets = {v.preamble.id: v for v in info.value_sets}
        self.direct_counters = {c.preamble.id: c.direct_table_id for c in info.direct_counters}
        self.direct_meters = {m.preamble.id: m.direct_table_id for m in info.direct_meters}

    def value(
        self, width: int, place: p4i.MatchField | p4i.Action.Param | p4i.ControllerPacketMetadata.Metadata
    ) -> Value:
        """The Value of a field, parameter or metadata with `width` bits in the data plane."""
        name = place.type_name.name
        translated = (
            self.info.type_info.new_types[name].translated_type
            if name in self.info.type_info.new_types
            else None
        )
        is_string = translated is not None and translated.HasField("sdn_string")
        return self.types.value(width, place.bitwidth or width, name, is_string)

    def _action(self, info: p4i.Action, action: ir.Action) -> ActionSchema:
        params = {
            p.id: ParamSchema(p.id, p.name, self.value(irt.width_bits(d.variable.type), p), i)
            for i, (p, d) in enumerate(zip(info.params, action.data, strict=True))
        }
        return ActionSchema(info.preamble.id, info.preamble.name, params)

    def _table(self, info: p4i.Table, table: ir.Table) -> TableSchema:
        keys = [k for k in table.keys if k.match_kind != "selector"]
        fields = [
            FieldSchema(
                f.id,
                f.name,
                _KINDS.get(f.match_type, ""),
                self.value(irt.width_bits(k.expression.type), f),
                i,
            )
            for i, (f, k) in enumerate(zip(info.match_fields, keys, strict=True))
        ]
        refs = {r.id: r.scope for r in info.action_refs}
        counters = {c.preamble.id for c in self.info.direct_counters}
        resources = list(info.direct_resource_ids)
        default = table.default
        return TableSchema(
            id=info.preamble.id,
            name=info.preamble.name,
            fields=fields,
            actions={id_: self.actions[id_] for id_ in refs},
            table_only=frozenset(i for i, s in refs.items() if s == p4i.ActionRef.TABLE_ONLY),
            default_only=frozenset(i for i, s in refs.items() if s == p4i.ActionRef.DEFAULT_ONLY),
            size=info.size,
            needs_priority=any(f.kind in ("ternary", "range", "optional") for f in fields),
            is_const=info.is_const_table,
            const_default=table.const_default,
            initial_default=dp.ActionCall(default.action.name, _unsigned(default)),
            notify_idle=info.idle_timeout_behavior == p4i.Table.NOTIFY_CONTROL,
            profile=self.profiles.get(info.implementation_id),
            direct_counter=next((r for r in resources if r in counters), 0),
            direct_meter=next((r for r in resources if r not in counters), 0),
            initial_entries=[(_initial_entry(table, e), e.const) for e in table.entries],
            action_ids={self.actions[id_].name: id_ for id_ in refs},
        )


def _reserve(table: TableSchema) -> None:
    """Keep numbers of translated types that the program uses from the strings of controllers."""
    calls = [e.target for e, _ in table.initial_entries if isinstance(e.target, dp.ActionCall)]
    if table.initial_default is not None:
        calls.append(table.initial_default)
    by_name = {a.name: a for a in table.actions.values()}
    for call in calls:
        for param in by_name[call.action].params.values() if call.action in by_name else ():
            if isinstance(param.value, Translated):
                param.value.reserve(call.data[param.index])
    for entry, _ in table.initial_entries:
        for field_ in table.fields:
            match entry.key[field_.index]:
                case dp.Exact(value=int(number)) | dp.Optional(value=int(number)):
                    if isinstance(field_.value, Translated):
                        field_.value.reserve(number)


def _unsigned(call: ir.ActionCall) -> tuple[int, ...]:
    widths = [irt.width_bits(d.variable.type) for d in call.action.data]
    return tuple(v & (1 << w) - 1 for v, w in zip(call.data, widths, strict=True))


def _profile(info: p4i.ActionProfile) -> ProfileSchema:
    return ProfileSchema(
        id=info.preamble.id,
        name=info.preamble.name,
        selector=info.with_selector,
        size=info.size,
        max_group_size=info.max_group_size,
        sum_of_members=info.HasField("sum_of_members"),
        max_member_weight=info.sum_of_members.max_member_weight,
        weights_disallowed=info.weights_disallowed,
    )


def _indexed(info: p4i.Counter | p4i.Meter) -> IndexedSchema:
    return IndexedSchema(info.preamble.id, info.preamble.name, info.size)


def _initial_entry(table: ir.Table, entry: ir.Entry) -> dp.TableEntry:
    keys = [k for k in table.keys if k.match_kind != "selector"]
    matches = tuple(
        pattern_match(p, k.match_kind, irt.width_bits(k.expression.type))
        for p, k in zip(entry.patterns, keys, strict=True)
    )
    call = dp.ActionCall(entry.call.action.name, _unsigned(entry.call))
    return dp.TableEntry(matches, entry.priority, call)


def pattern_match(pattern: ir.Pattern, kind: str, width: int) -> dp.Match:
    """A key set of an entry in the program as the data plane's match."""
    ones = (1 << width) - 1
    value = _constant(pattern.value) & ones
    mask = _constant(pattern.mask) & ones
    match kind, pattern.kind:
        case "exact", _:
            return dp.Exact(value)
        case "lpm", "any":
            return dp.Lpm(0, 0)
        case "lpm", "exact":
            return dp.Lpm(value, width)
        case "lpm", _:
            return dp.Lpm(value & mask, mask.bit_count())
        case "ternary", "any":
            return dp.Ternary(0, 0)
        case "ternary", "exact":
            return dp.Ternary(value, ones)
        case "ternary", _:
            return dp.Ternary(value & mask, mask)
        case "range", "any":
            return dp.Range(0, ones)
        case "range", "exact":
            return dp.Range(value, value)
        case "range", _:
            return dp.Range(value, mask)
        case "optional", "any":
            return dp.Optional(None)
        case "optional", "mask":
            return dp.Optional(value if mask else None)
        case "optional", _:
            return dp.Optional(value)
    raise ValueError(f"match kind {kind} in an entry")


def _constant(expression: ir.Expr | None) -> int:
    if expression is None:
        return 0
    if not isinstance(expression, ir.Const):
        raise TypeError("key sets of entries are constants")
    return expression.value


__all__ = [
    "ActionSchema", "FieldSchema", "IndexedSchema", "ParamSchema", "ProfileSchema", "Schema", "TableSchema",
    "pattern_match",
]  # fmt: skip
