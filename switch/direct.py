"""Direct counters and meters as entities of their own (P4Runtime section 9.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from finsy.proto import p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.cells import only_modify
from p4cats.switch.errors import invalid, not_found
from p4cats.switch.meters import no_counters
from p4cats.switch.schema import Schema
from p4cats.switch.table_record import Record
from p4cats.switch.tables import TableStore, counter_data


class DirectResources:
    """The direct counters and meters of all tables, addressed by table entry."""

    def __init__(self, tables: dict[int, TableStore], schema: Schema, dataplane: dp.DataPlane) -> None:
        self._tables = tables
        self._schema = schema
        self._dataplane = dataplane

    def write_counter(self, kind: p4r.Update.Type.ValueType, entry: p4r.DirectCounterEntry) -> None:
        """Set the counter of an entry; without data nothing changes."""
        table = self._table(entry.table_entry, "counter")
        what = f"direct counter of table {table.name}"
        only_modify(kind, what)
        record, default = table.record_to_write(entry.table_entry)
        if entry.HasField("data"):
            data = counter_data(entry.data, what)
            self._dataplane.write_direct_counter(
                table.name, None if default else record.key, record.priority, data
            )

    def write_meter(self, kind: p4r.Update.Type.ValueType, entry: p4r.DirectMeterEntry) -> None:
        """Configure the meter of an entry; without configuration: always green."""
        table = self._table(entry.table_entry, "meter")
        what = f"direct meter of table {table.name}"
        only_modify(kind, what)
        no_counters(entry, what)
        table.write_meter(entry)

    def read_counter(
        self, request: p4r.DirectCounterEntry, allowed: Callable[[int], bool]
    ) -> Iterator[p4r.Entity]:
        """Counters of one entry, of a table, or (table id 0) of all tables."""
        for table, record, default in self._records(request.table_entry, "counter", allowed):
            data = self._dataplane.read_direct_counter(
                table.name, None if default else record.key, record.priority
            )
            reply = p4r.Entity()
            reply.direct_counter_entry.table_entry.CopyFrom(table.key_message(record, default))
            reply.direct_counter_entry.data.packet_count = data.packets
            reply.direct_counter_entry.data.byte_count = data.bytes
            yield reply

    def read_meter(
        self, request: p4r.DirectMeterEntry, allowed: Callable[[int], bool]
    ) -> Iterator[p4r.Entity]:
        """Meters of one entry, of a table, or (table id 0) of all tables; unset where default."""
        no_counters(request, "direct meter")
        for table, record, default in self._records(request.table_entry, "meter", allowed):
            reply = p4r.Entity()
            reply.direct_meter_entry.table_entry.CopyFrom(table.key_message(record, default))
            if record.meter is not None:
                reply.direct_meter_entry.config.MergeFromString(record.meter)
            yield reply

    def _records(
        self, request: p4r.TableEntry, resource: str, allowed: Callable[[int], bool]
    ) -> Iterator[tuple[TableStore, Record, bool]]:
        if request.table_id:
            tables = [self._table(request, resource)]
        elif request.match:
            raise invalid(f"a read of the direct {resource}s of all tables cannot have a match")
        else:
            tables = [t for i, t in self._tables.items() if self._has(t, resource) and allowed(i)]
        for table in tables:
            for record, default in table.records(request):
                yield table, record, default

    def _has(self, table: TableStore, resource: str) -> bool:
        return bool(table.schema.direct_counter if resource == "counter" else table.schema.direct_meter)

    def _table(self, entry: p4r.TableEntry, resource: str) -> TableStore:
        if not entry.table_id:
            raise invalid(f"direct {resource}: table id 0 is not valid in a write")
        table = self._tables.get(entry.table_id)
        if table is None:
            raise not_found(f"there is no table with id {entry.table_id:#010x}")
        if not self._has(table, resource):
            raise invalid(f"table {table.name} has no direct {resource}")
        return table


__all__ = ["DirectResources"]
