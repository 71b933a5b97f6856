"""Protobuf messages in part as octets: what comes and goes in thousands is not made into objects.

A `ReadResponse` is a sequence of `entities` fields; the concatenation of framed entities is a reply. The
updates of a `WriteRequest` stay serialised: see `plain`.
"""

from __future__ import annotations

from typing import Any

from finsy.proto import p4r
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from p4cats.switch.errors import invalid

_ENTITIES = 0x0A
"""ReadResponse.entities: field 1, length-delimited."""


def varint(value: int) -> bytes:
    """An unsigned number as protobuf writes it."""
    if value < 0x80:
        return bytes((value,))
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def tag(owner: Any, field: str) -> bytes:
    """What stands before a field of a message class: its number and whether a length follows."""
    descriptor = owner.DESCRIPTOR.fields_by_name[field]
    measured = descriptor.type in (descriptor.TYPE_MESSAGE, descriptor.TYPE_BYTES)
    return varint(descriptor.number << 3 | (2 if measured else 0))


TABLE_ENTRY = tag(p4r.Entity, "table_entry")


def _write_request() -> Any:
    """The class of `WriteRequest` with octets for its updates, which look the same on the wire."""
    file = descriptor_pb2.FileDescriptorProto(
        name="p4cats/write.proto",
        package="p4cats",
        syntax="proto3",
        dependency=[p4r.WriteRequest.DESCRIPTOR.file.name],
    )
    message = file.message_type.add()
    p4r.WriteRequest.DESCRIPTOR.CopyToProto(message)
    updates = next(field for field in message.field if field.name == "updates")
    updates.type = descriptor_pb2.FieldDescriptorProto.TYPE_BYTES
    updates.ClearField("type_name")
    pool = descriptor_pool.Default()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("p4cats.WriteRequest"))


WriteRequest = _write_request()
"""Like p4r.WriteRequest; `updates` are bytes."""


def parse_update(data: bytes) -> p4r.Update:
    """An update of a WriteRequest."""
    try:
        return p4r.Update.FromString(data)
    except DecodeError:
        raise invalid("the update is no message of P4Runtime's") from None


def frame_table_entry(payload: bytes) -> bytes:
    """A serialised TableEntry as one entity of a ReadResponse."""
    size = len(payload)
    if size < 124:
        return b"%c%c%c%c%b" % (_ENTITIES, size + 2, TABLE_ENTRY[0], size, payload)
    return frame_bytes(TABLE_ENTRY + varint(size) + payload)


def frame(entity: p4r.Entity) -> bytes:
    """An Entity as one entity of a ReadResponse."""
    return frame_bytes(entity.SerializeToString())


def frame_bytes(entity: bytes) -> bytes:
    """A serialised Entity as one entity of a ReadResponse."""
    return frame_measured(varint(len(entity)) + entity)


def frame_measured(entity: bytes) -> bytes:
    """The same for an Entity with its length before it."""
    return b"%c%b" % (_ENTITIES, entity)


def unframe_table_entry(framed: bytes) -> p4r.TableEntry:
    """The entry in what `frame_table_entry` returned."""
    return p4r.ReadResponse.FromString(framed).entities[0].table_entry


__all__ = [
    "WriteRequest", "frame", "frame_bytes", "frame_measured", "frame_table_entry", "parse_update", "tag",
    "unframe_table_entry", "varint",
]  # fmt: skip
