"""Protobuf framing of read replies, so that stored entries are sent without building messages again.

A `ReadResponse` is a sequence of `entities` fields; the concatenation of framed entities is a reply.
"""

from __future__ import annotations

from finsy.proto import p4r

_ENTITIES = 0x0A
"""ReadResponse.entities: field 1, length-delimited."""


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _tag(entity: str) -> bytes:
    return _varint(p4r.Entity.DESCRIPTOR.fields_by_name[entity].number << 3 | 2)


TABLE_ENTRY = _tag("table_entry")


def frame_table_entry(payload: bytes) -> bytes:
    """A serialised TableEntry as one entity of a ReadResponse."""
    size = len(payload)
    if size < 124:
        return b"%c%c%c%c%b" % (_ENTITIES, size + 2, TABLE_ENTRY[0], size, payload)
    return frame_bytes(TABLE_ENTRY + _varint(size) + payload)


def frame(entity: p4r.Entity) -> bytes:
    """An Entity as one entity of a ReadResponse."""
    return frame_bytes(entity.SerializeToString())


def frame_bytes(entity: bytes) -> bytes:
    """A serialised Entity as one entity of a ReadResponse."""
    return b"%c%b%b" % (_ENTITIES, _varint(len(entity)), entity)


def unframe_table_entry(framed: bytes) -> p4r.TableEntry:
    """The entry in what `frame_table_entry` returned."""
    return p4r.ReadResponse.FromString(framed).entities[0].table_entry


__all__ = ["frame", "frame_bytes", "frame_table_entry", "unframe_table_entry"]
