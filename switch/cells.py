"""Indirect counters, meters and registers: arrays of cells (P4Runtime sections 9.3, 9.5 and 9.8).

All accept MODIFY only; without an index an update or a read means every cell.
"""

from __future__ import annotations

from collections.abc import Iterator

from finsy.proto import p4i, p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import invalid, out_of_range
from p4cats.switch.meters import check_config, no_counters
from p4cats.switch.p4data import Codec
from p4cats.switch.tables import counter_data

_Cell = p4r.CounterEntry | p4r.MeterEntry | p4r.RegisterEntry


def only_modify(kind: p4r.Update.Type.ValueType, what: str) -> None:
    """Refuse INSERT and DELETE of objects that always exist."""
    if kind != p4r.Update.MODIFY:
        raise invalid(
            f"{what}: it always exists, so only MODIFY is possible, not {p4r.Update.Type.Name(kind)}"
        )


def _cells(message: _Cell, size: int, what: str) -> range:
    """The cells that a message means."""
    if not message.HasField("index"):
        return range(size)
    index = message.index.index
    if index < 0:
        raise invalid(f"{what}: index {index} is negative")
    if index >= size:
        raise out_of_range(f"{what}: index {index}, but the size is {size}")
    return range(index, index + 1)


class CounterStore:
    """One indirect counter."""

    def __init__(self, info: p4i.Counter, dataplane: dp.DataPlane) -> None:
        self.id = info.preamble.id
        self.name = info.preamble.name
        self._size = info.size
        self._what = f"counter {self.name}"
        self._dataplane = dataplane

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.CounterEntry) -> None:
        """Set cells; without data nothing changes."""
        only_modify(kind, self._what)
        cells = _cells(entry, self._size, self._what)
        if entry.HasField("data"):
            data = counter_data(entry.data, self._what)
            for index in cells:
                self._dataplane.write_counter(self.name, index, data)

    def read(self, entry: p4r.CounterEntry) -> Iterator[p4r.Entity]:
        """Cells with their values."""
        for index in _cells(entry, self._size, self._what):
            data = self._dataplane.read_counter(self.name, index)
            reply = p4r.Entity()
            reply.counter_entry.counter_id = self.id
            reply.counter_entry.index.index = index
            reply.counter_entry.data.packet_count = data.packets
            reply.counter_entry.data.byte_count = data.bytes
            yield reply


class MeterStore:
    """One indirect meter; configurations are kept here, an absent one is the default (always green)."""

    def __init__(self, info: p4i.Meter, dataplane: dp.DataPlane) -> None:
        self.id = info.preamble.id
        self.name = info.preamble.name
        self._size = info.size
        self._type = info.spec.type
        self._what = f"meter {self.name}"
        self._dataplane = dataplane
        self._configs: dict[int, p4r.MeterConfig] = {}

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.MeterEntry) -> None:
        """Configure cells; without configuration: back to always green."""
        only_modify(kind, self._what)
        no_counters(entry, self._what)
        cells = _cells(entry, self._size, self._what)
        if not entry.HasField("config"):
            for index in cells:
                self._dataplane.set_meter(self.name, index, None)
                self._configs.pop(index, None)
            return
        config = check_config(entry.config, self._type, self._what)
        kept = p4r.MeterConfig()
        kept.CopyFrom(entry.config)
        for index in cells:
            self._dataplane.set_meter(self.name, index, config)
            self._configs[index] = kept

    def read(self, entry: p4r.MeterEntry) -> Iterator[p4r.Entity]:
        """Cells with their configurations; unset where default."""
        no_counters(entry, self._what)
        for index in _cells(entry, self._size, self._what):
            reply = p4r.Entity()
            reply.meter_entry.meter_id = self.id
            reply.meter_entry.index.index = index
            if index in self._configs:
                reply.meter_entry.config.CopyFrom(self._configs[index])
            yield reply


class RegisterStore:
    """One register array."""

    def __init__(self, info: p4i.Register, codec: Codec, dataplane: dp.DataPlane) -> None:
        self.id = info.preamble.id
        self.name = info.preamble.name
        self._size = info.size
        self._codec = codec
        self._what = f"register {self.name}"
        self._dataplane = dataplane

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.RegisterEntry) -> None:
        """Set cells."""
        only_modify(kind, self._what)
        cells = _cells(entry, self._size, self._what)
        if not entry.HasField("data"):
            raise invalid(f"{self._what}: an update needs data")
        value = self._codec.decode(entry.data)
        for index in cells:
            self._dataplane.write_register(self.name, index, value)

    def read(self, entry: p4r.RegisterEntry) -> Iterator[p4r.Entity]:
        """Cells with their values."""
        for index in _cells(entry, self._size, self._what):
            reply = p4r.Entity()
            reply.register_entry.register_id = self.id
            reply.register_entry.index.index = index
            value = self._dataplane.read_register(self.name, index)
            reply.register_entry.data.CopyFrom(self._codec.encode(value))
            yield reply


__all__ = ["CounterStore", "MeterStore", "RegisterStore", "only_modify"]
