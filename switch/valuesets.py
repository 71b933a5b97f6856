"""Parser value sets (P4Runtime section 9.7): MODIFY replaces all members."""

from __future__ import annotations

from finsy.proto import p4i, p4r

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir import types as irt
from p4cats.switch import dataplane as dp
from p4cats.switch.cells import only_modify
from p4cats.switch.errors import exhausted, exists
from p4cats.switch.schema import FieldSchema, Schema
from p4cats.switch.table_codec import KeyCodec


class ValueSetStore:
    """One value set."""

    def __init__(self, schema: Schema, info: p4i.ValueSet, dataplane: dp.DataPlane) -> None:
        self.id = info.preamble.id
        self.name = info.preamble.name
        self._size = info.size
        self._what = f"value set {self.name}"
        self._dataplane = dataplane
        self._keys = KeyCodec(self._what, _fields(schema, info))
        self._members: list[dp.Key] = []

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.ValueSetEntry) -> None:
        """Replace all members."""
        only_modify(kind, self._what)
        if len(entry.members) > self._size:
            raise exhausted(f"{self._what}: {len(entry.members)} members, but its size is {self._size}")
        members = [self._keys.decode(m.match) for m in entry.members]
        if len(set(members)) != len(members):
            raise exists(f"{self._what}: a member is given twice")
        self._dataplane.set_value_set(self.name, members)
        self._members = members

    def read(self) -> p4r.Entity:
        """The set with all its members."""
        reply = p4r.Entity()
        reply.value_set_entry.value_set_id = self.id
        for member in self._members:
            reply.value_set_entry.members.add(match=self._keys.encode(member))
        return reply


_KINDS = {
    p4i.MatchField.EXACT: "exact",
    p4i.MatchField.LPM: "lpm",
    p4i.MatchField.TERNARY: "ternary",
    p4i.MatchField.RANGE: "range",
    p4i.MatchField.OPTIONAL: "optional",
}


def _fields(schema: Schema, info: p4i.ValueSet) -> list[FieldSchema]:
    declared: ir.ValueSet = next(v for v in schema.program.value_sets if v.name == info.preamble.name)
    element = declared.element
    types = [f.type for f in element.fields] if isinstance(element, irt.Struct) else [element]
    return [
        FieldSchema(m.id, m.name or "value", _KINDS[m.match_type], schema.value(irt.width_bits(t), m), i)
        for i, (m, t) in enumerate(zip(info.match, types, strict=True))
    ]


__all__ = ["ValueSetStore"]
