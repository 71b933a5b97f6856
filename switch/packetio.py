"""Packet I/O: controller metadata to header bytes and back (P4Runtime section 16.1).

The program's packet_in header stands before a packet that leaves by the CPU port, its packet_out header
before one that enters by it; controllers see their fields as metadata.
"""

from __future__ import annotations

from dataclasses import dataclass

from finsy.proto import p4i, p4r

from p4cats.compiler.ir import nodes as ir
from p4cats.compiler.ir import types as irt
from p4cats.switch.errors import invalid
from p4cats.switch.schema import Schema
from p4cats.switch.values import Value


@dataclass(slots=True)
class _Field:
    """A field of a controller header, in wire order; id 0 is hidden from controllers."""

    id: int
    name: str
    width: int
    value: Value | None
    padding: bool


class ControllerHeader:
    """One of packet_in and packet_out; a program without it has no fields."""

    def __init__(self, schema: Schema, name: str) -> None:
        self.name = name
        info = next((c for c in schema.info.controller_packet_metadata if c.preamble.name == name), None)
        declared = next((h for h in schema.program.controller_headers if h.name == name), None)
        self._fields = [] if info is None or declared is None else _fields(schema, info, declared)
        self._by_id = {f.id: f for f in self._fields if f.id}
        self.bits = sum(f.width for f in self._fields)
        self.bytes = (self.bits + 7) // 8

    def packet_in(self, packet: bytes) -> p4r.PacketIn | None:
        """Split off the header; None where the packet is shorter than it."""
        if len(packet) < self.bytes:
            return None
        message = p4r.PacketIn(payload=packet[self.bytes :])
        header = int.from_bytes(packet[: self.bytes], "big") >> (self.bytes * 8 - self.bits)
        left = self.bits
        for field in self._fields:
            left -= field.width
            if field.value is not None:
                value = header >> left & (1 << field.width) - 1
                message.metadata.add(metadata_id=field.id, value=field.value.encode(value))
        return message

    def packet_out(self, message: p4r.PacketOut) -> bytes:
        """Put the header before the payload; every field exactly once (@padding fields may be left out)."""
        given: dict[int, int] = {}
        for metadata in message.metadata:
            field = self._by_id.get(metadata.metadata_id)
            if field is None or field.value is None:
                raise invalid(f"packet_out has no metadata with id {metadata.metadata_id}")
            if field.id in given:
                raise invalid(f"packet_out metadata {field.name}: given twice")
            given[field.id] = field.value.decode(metadata.value, f"packet_out metadata {field.name}")
        header = 0
        for field in self._fields:
            if field.id and field.id not in given and not field.padding:
                raise invalid(f"packet_out metadata {field.name}: missing")
            header = header << field.width | given.get(field.id, 0)
        header <<= self.bytes * 8 - self.bits
        return header.to_bytes(self.bytes, "big") + message.payload if self.bytes else message.payload


def _fields(
    schema: Schema, info: p4i.ControllerPacketMetadata, declared: ir.ControllerHeader
) -> list[_Field]:
    by_name = {m.name: m for m in info.metadata}
    fields = []
    for field in declared.header.fields:
        width = irt.width_bits(field.type)
        metadata = by_name.get(field.name)
        value = None if metadata is None else schema.value(width, metadata)
        padding = field.annotation("padding") is not None
        fields.append(_Field(0 if metadata is None else metadata.id, field.name, width, value, padding))
    return fields


__all__ = ["ControllerHeader"]
