"""Table entries: rules and state of one table (P4Runtime specification section 9.1).

An entry is kept as the bytes in which it is read back, so that reading a hundred thousand entries
builds no messages. What lives in the data plane (counters, time since the last hit) is fetched on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from finsy.proto import p4i, p4r

from p4cats.switch import dataplane as dp
from p4cats.switch.errors import denied, exhausted, exists, invalid, not_found, unimplemented
from p4cats.switch.meters import check_config
from p4cats.switch.plain import ENTITY, PlainInserts
from p4cats.switch.profiles import OneShot, ProfileStore
from p4cats.switch.schema import TableSchema
from p4cats.switch.table_codec import table_codecs
from p4cats.switch.table_record import EntryKey, Record, entry_filter
from p4cats.switch.wire import frame_measured, frame_table_entry, unframe_table_entry

_INSERT, _MODIFY = p4r.Update.INSERT, p4r.Update.MODIFY
"""Looked up once: attributes of generated classes are slow."""


class TableStore:
    """The entries of one table, its default entry, and their direct resources."""

    def __init__(
        self,
        schema: TableSchema,
        meter_type: p4i.MeterSpec.Type.ValueType,
        dataplane: dp.DataPlane,
        profile: ProfileStore | None,
    ) -> None:
        self.schema = schema
        self.name = schema.name
        self._what = f"table {schema.name}"
        self._meter_type = meter_type
        self._dataplane = dataplane
        self._profile = profile
        self._keys, self._actions = table_codecs(schema)
        self.entries: dict[EntryKey, Record] = {}
        self._plain = PlainInserts(schema, self._keys, self._actions)
        self._default = self._initial_default()
        self.default_changed = False
        for entry, const in schema.initial_entries:
            self._add_initial(entry, const)

    # -- writes --------------------------------------------------------------------------------

    def write(self, kind: p4r.Update.Type.ValueType, entry: p4r.TableEntry) -> None:
        """INSERT, MODIFY or DELETE an entry."""
        if entry.is_const:
            raise invalid(f"{self._what}: is_const is set by the program only")
        if entry.HasField("time_since_last_hit"):
            raise invalid(f"{self._what}: time_since_last_hit can only be read")
        if entry.is_default_action:
            self._write_default(kind, entry)
        elif kind == _INSERT:
            self._insert(entry)
        elif kind == _MODIFY:
            self._modify(entry)
        else:
            self._delete(entry)

    def insert_plain(self, updates: Sequence[bytes]) -> int:
        """Carry out the serialised INSERTs in plain form that these updates begin with; how many they are.

        At the first that is not in plain form, not for this table or not right it stops: `write` shall look.
        """
        entries: list[dp.TableEntry] = []
        records: dict[EntryKey, Record] = {}
        room = self.schema.size - len(self.entries)
        for update in updates:
            entry = self._plain.read(update)
            if entry is None:
                break
            name = entry.key, entry.priority
            if name in self.entries or name in records or len(records) >= room:
                break
            entries.append(entry)
            wire = frame_measured(update[ENTITY:])
            records[name] = Record(entry.key, entry.priority, entry.target, wire)
        if entries:
            self._dataplane.insert_entries(self.name, entries)
            self.entries.update(records)
        return len(entries)

    def _insert(self, entry: p4r.TableEntry) -> None:
        schema = self.schema
        if schema.is_const:
            raise denied(f"{self._what}: its entries are const")
        if not schema.fields:
            raise invalid(f"{self._what} has no match fields: only its default entry can be modified")
        self._keys.canonical = self._actions.canonical = True
        key = self._keys.decode(entry.match)
        priority = self._priority(entry)
        if (key, priority) in self.entries:
            raise exists(f"{self._what}: the entry exists")
        if len(self.entries) >= schema.size:
            raise exhausted(f"{self._what} is full: size {schema.size}")
        if not entry.HasField("action"):
            raise invalid(f"{self._what}: an entry needs an action")
        idle_ns = self._idle(entry)
        meter, counter = self._direct(entry)
        target, one_shot, release = self._target(entry.action)
        self._dataplane.insert_entry(self.name, dp.TableEntry(key, priority, target, idle_ns))
        record = Record(key, priority, target, self._wire(entry, key, target))
        record.idle_ns, record.one_shot, record.release = idle_ns, one_shot, release
        self.entries[key, priority] = record
        if meter is not None:
            self._set_meter(record, entry.meter_config, meter)
        if counter is not None:
            self._dataplane.write_direct_counter(self.name, key, priority, counter)

    def _modify(self, entry: p4r.TableEntry) -> None:
        self._keys.canonical = self._actions.canonical = True
        record = self._find(entry)
        fixed = self.schema.is_const or record.const
        has_action = entry.HasField("action")
        if fixed and (has_action or entry.metadata or entry.idle_timeout_ns or entry.controller_metadata):
            raise denied(f"{self._what}: const entries accept only counter and meter data")
        idle_ns = self._idle(entry)
        meter, counter = self._direct(entry)
        old_release = None
        if has_action:
            target, one_shot, release = self._target(entry.action)
            old_release = record.release
        else:
            target, one_shot, release = record.target, record.one_shot, record.release
        if not fixed and (target != record.target or idle_ns != record.idle_ns or has_action):
            self._dataplane.modify_entry(
                self.name, dp.TableEntry(record.key, record.priority, target, idle_ns)
            )
        if not fixed:
            if has_action:
                wire = self._wire(entry, record.key, target)
            else:
                full = p4r.TableEntry()
                full.CopyFrom(entry)
                full.action.CopyFrom(unframe_table_entry(record.wire).action)
                self._keys.canonical = False
                wire = self._wire(full, record.key, target)
            record.wire, record.idle_ns = wire, idle_ns
        record.target, record.one_shot, record.release = target, one_shot, release
        if old_release is not None:
            old_release()
        if self.schema.direct_meter:
            self._set_meter(record, entry.meter_config, meter)
        if counter is not None:
            self._dataplane.write_direct_counter(self.name, record.key, record.priority, counter)

    def _delete(self, entry: p4r.TableEntry) -> None:
        record = self._find(entry)
        if self.schema.is_const or record.const:
            raise denied(f"{self._what}: const entries cannot be deleted")
        self._dataplane.delete_entry(self.name, record.key, record.priority)
        del self.entries[record.key, record.priority]
        if record.release is not None:
            record.release()

    def _write_default(self, kind: p4r.Update.Type.ValueType, entry: p4r.TableEntry) -> None:
        what = f"{self._what}, default entry"
        if kind != p4r.Update.MODIFY:
            raise invalid(f"{what}: it can only be modified")
        if entry.match or entry.priority or entry.idle_timeout_ns:
            raise invalid(f"{what}: match, priority and idle timeout must be unset")
        meter, counter = self._direct(entry)
        if entry.HasField("action"):
            if self.schema.const_default:
                raise denied(f"{what}: the program declares it const")
            if self.schema.profile is not None:
                raise denied(f"{what}: const for tables with an action profile or selector")
            if entry.action.WhichOneof("type") != "action":
                raise invalid(
                    f"{what}: needs an action, not {entry.action.WhichOneof('type') or 'an empty one'}"
                )
            call = self._actions.decode(entry.action.action)
            if entry.action.action.action_id in self.schema.table_only:
                raise denied(f"{what}: action {call.action} is for entries only (@tableonly)")
            self._dataplane.set_default(self.name, call)
            record = Record((), 0, call, self._default_wire(entry, call))
        else:
            if not self.schema.const_default:
                self._dataplane.set_default(self.name, None)
            record = self._initial_default()
            counter = counter or (dp.CounterData() if self.schema.direct_counter else None)
        record.meter = self._default.meter
        self._default = record
        self.default_changed = entry.HasField("action") or meter is not None
        if self.schema.direct_meter:
            self._set_meter(record, entry.meter_config, meter, default=True)
        if counter is not None:
            self._dataplane.write_direct_counter(self.name, None, 0, counter)

    # -- parts of an entry -----------------------------------------------------------------------

    def _priority(self, entry: p4r.TableEntry) -> int:
        priority = entry.priority
        if self.schema.needs_priority:
            if priority <= 0:
                raise invalid(
                    f"{self._what}: priority {priority}; ternary, range and optional keys need one above 0"
                )
        elif priority:
            raise invalid(
                f"{self._what}: priority {priority}; tables without ternary, range or optional keys take 0"
            )
        return priority

    def _find(self, entry: p4r.TableEntry) -> Record:
        """The record that an entry's match and priority name."""
        key = self._keys.decode(entry.match)
        record = self.entries.get((key, self._priority(entry)))
        if record is None:
            raise not_found(f"{self._what}: no such entry")
        return record

    def _idle(self, entry: p4r.TableEntry) -> int:
        idle_ns = entry.idle_timeout_ns
        if idle_ns:
            if idle_ns < 0:
                raise invalid(f"{self._what}: idle_timeout_ns is negative")
            if not self.schema.notify_idle:
                raise invalid(f"{self._what}: idle_timeout_ns, but the table has no support_timeout")
        return idle_ns

    def _direct(self, entry: p4r.TableEntry) -> tuple[dp.MeterConfig | None, dp.CounterData | None]:
        """Meter configuration and counter value of an entry, None where unset."""
        if not _has_direct(entry):
            return None, None
        meter = counter = None
        if entry.HasField("meter_config"):
            if not self.schema.direct_meter:
                raise invalid(f"{self._what} has no direct meter, but meter_config is set")
            meter = check_config(entry.meter_config, self._meter_type, self._what)
        if entry.HasField("counter_data"):
            if not self.schema.direct_counter:
                raise invalid(f"{self._what} has no direct counter, but counter_data is set")
            counter = counter_data(entry.counter_data, self._what)
        if entry.HasField("meter_counter_data"):
            if not self.schema.direct_meter:
                raise invalid(f"{self._what} has no direct meter, but meter_counter_data is set")
            data = entry.meter_counter_data
            if any(c.byte_count or c.packet_count for c in (data.green, data.yellow, data.red)):
                raise invalid(f"{self._what}: meter_counter_data can only be written as zeros")
        return meter, counter

    def _target(self, action: p4r.TableAction) -> tuple[dp.Target, OneShot | None, Callable[[], None] | None]:
        """The data plane's target, the one-shot set, and what to call when the entry lets go of it."""
        kind = action.WhichOneof("type")
        profile = self._profile
        if profile is None:
            if kind != "action":
                raise invalid(f"{self._what} takes actions, not {kind or 'an empty action'}")
            call = self._actions.decode(action.action)
            if self.schema.default_only and action.action.action_id in self.schema.default_only:
                raise denied(
                    f"{self._what}: action {call.action} is for the default entry only (@defaultonly)"
                )
            return call, None, None
        match kind:
            case "action_profile_member_id":
                member = profile.use_member(action.action_profile_member_id)
                member.uses += 1
                return dp.MemberRef(action.action_profile_member_id), None, lambda: _less(member)
            case "action_profile_group_id":
                id_ = action.action_profile_group_id
                profile.use_group(id_).uses += 1
                return dp.GroupRef(id_), None, lambda: _less(profile.groups[id_])
            case "action_profile_action_set":
                for item in action.action_profile_action_set.action_profile_actions:
                    if item.action.action_id in self.schema.default_only:
                        name = self.schema.actions[item.action.action_id].name
                        raise denied(
                            f"{self._what}: action {name} is for the default entry only (@defaultonly)"
                        )
                one_shot = profile.add_one_shot(action.action_profile_action_set)
                return dp.GroupRef(one_shot.group_id), one_shot, lambda: profile.drop_one_shot(one_shot)
            case _:
                raise invalid(
                    f"{self._what} is implemented by {profile.schema.name}: "
                    f"it takes members, groups or action sets, not {kind or 'an empty action'}"
                )

    def _set_meter(
        self, record: Record, config: p4r.MeterConfig, meter: dp.MeterConfig | None, default: bool = False
    ) -> None:
        if meter is None and record.meter is None:
            return
        key = None if default else record.key
        self._dataplane.set_direct_meter(self.name, key, record.priority, meter)
        record.meter = None if meter is None else config.SerializeToString()

    # -- read form -------------------------------------------------------------------------------

    def _wire(self, entry: p4r.TableEntry, key: dp.Key, target: dp.Target) -> bytes:
        """The framed read form. Messages that are canonical already are taken as they are."""
        plain = isinstance(target, dp.ActionCall) and self._keys.canonical and self._actions.canonical
        if plain and not _has_direct(entry):
            return frame_table_entry(entry.SerializeToString())
        message = p4r.TableEntry(
            table_id=entry.table_id,
            match=self._keys.encode(key),
            priority=entry.priority,
            controller_metadata=entry.controller_metadata,
            metadata=entry.metadata,
            idle_timeout_ns=entry.idle_timeout_ns,
        )
        if isinstance(target, dp.ActionCall):
            message.action.action.CopyFrom(self._actions.encode(target))
        else:
            message.action.CopyFrom(entry.action)
            for item in (
                message.action.action_profile_action_set.action_profile_actions
                if entry.action.HasField("action_profile_action_set")
                else ()
            ):
                item.action.CopyFrom(self._actions.encode(self._actions.decode(item.action)))
        return frame_table_entry(message.SerializeToString())

    def _default_wire(self, entry: p4r.TableEntry, call: dp.ActionCall) -> bytes:
        message = p4r.TableEntry(
            table_id=self.schema.id,
            is_default_action=True,
            controller_metadata=entry.controller_metadata,
            metadata=entry.metadata,
        )
        message.action.action.CopyFrom(self._actions.encode(call))
        return frame_table_entry(message.SerializeToString())

    def _initial_default(self) -> Record:
        call = self.schema.initial_default
        if call is None or call.action not in self.schema.action_ids:
            message = p4r.TableEntry(table_id=self.schema.id, is_default_action=True)
            return Record((), 0, dp.ActionCall("NoAction"), frame_table_entry(message.SerializeToString()))
        return Record((), 0, call, self._default_wire(p4r.TableEntry(), call))

    def _add_initial(self, entry: dp.TableEntry, const: bool) -> None:
        if (entry.key, entry.priority) in self.entries:
            return  # the first of equal entries wins
        if not isinstance(entry.target, dp.ActionCall):
            raise TypeError(f"{self._what}: entries of the program have actions")
        message = p4r.TableEntry(
            table_id=self.schema.id,
            match=self._keys.encode(entry.key),
            priority=entry.priority,
            is_const=const,
        )
        message.action.action.CopyFrom(self._actions.encode(entry.target))
        record = Record(
            entry.key, entry.priority, entry.target, frame_table_entry(message.SerializeToString())
        )
        record.const = const
        self.entries[entry.key, entry.priority] = record

    # -- reads -----------------------------------------------------------------------------------

    def read(self, request: p4r.TableEntry) -> Iterator[bytes]:
        """Framed entries that pass the request's filters (section 9.1.4 on wildcard reads)."""
        self._check_read(request)
        if request.is_default_action:
            if request.match or request.priority:
                raise invalid(f"{self._what}, default entry: match and priority must be unset")
            yield self._shown(self._default, request, default=True)
            return
        enrich = (
            (request.HasField("counter_data") and self.schema.direct_counter)
            or (request.HasField("meter_config") and self.schema.direct_meter)
            or request.HasField("time_since_last_hit")
        )  # fmt: skip
        accept = entry_filter(self.schema, request)
        for record in self._candidates(request):
            if accept is None or accept(record):
                yield self._shown(record, request) if enrich else record.wire

    def _check_read(self, request: p4r.TableEntry) -> None:
        if request.HasField("time_since_last_hit") and not self.schema.notify_idle and request.table_id:
            raise invalid(f"{self._what}: time_since_last_hit, but the table has no support_timeout")
        if request.HasField("meter_counter_data") and self.schema.direct_meter:
            raise unimplemented(f"{self._what}: this target does not count packets per meter color")

    def _candidates(self, request: p4r.TableEntry) -> Iterator[Record]:
        if not request.match:
            return iter(list(self.entries.values()))
        key = self._keys.decode(request.match)
        if request.priority or not self.schema.needs_priority:
            record = self.entries.get((key, request.priority))
            return iter(() if record is None else (record,))
        return iter([r for (k, _), r in self.entries.items() if k == key])

    def _shown(self, record: Record, request: p4r.TableEntry, default: bool = False) -> bytes:
        """An entry with what the request asks for besides."""
        entry = unframe_table_entry(record.wire)
        key = None if default else record.key
        if request.HasField("counter_data") and self.schema.direct_counter:
            data = self._dataplane.read_direct_counter(self.name, key, record.priority)
            entry.counter_data.packet_count, entry.counter_data.byte_count = data.packets, data.bytes
            entry.counter_data.SetInParent()
        if request.HasField("meter_config") and record.meter is not None:
            entry.meter_config.MergeFromString(record.meter)
        if request.HasField("time_since_last_hit") and self.schema.notify_idle and not default:
            entry.time_since_last_hit.elapsed_ns = self._dataplane.time_since_hit_ns(
                self.name, record.key, record.priority
            )
        return frame_table_entry(entry.SerializeToString())

    def images(self, entry: p4r.TableEntry) -> list[p4r.Entity]:
        """The entry with this match and priority as an update that brings it back; empty if it is not there.

        What the program fixes is left out, so that the update is not refused.
        """
        wanted = p4r.TableEntry(counter_data=p4r.CounterData(), meter_config=p4r.MeterConfig())
        default = entry.is_default_action
        record = (
            self._default if default else self.entries.get((self._keys.decode(entry.match), entry.priority))
        )
        if record is None:
            return []
        image = unframe_table_entry(self._shown(record, wanted, default=default))
        if self.schema.is_const or record.const or (default and not self._default_has_action):
            for name in ("action", "metadata", "controller_metadata", "idle_timeout_ns", "is_const"):
                image.ClearField(name)
        return [p4r.Entity(table_entry=image)]

    @property
    def _default_has_action(self) -> bool:
        """Whether a controller gave the default entry its action."""
        return self.default_changed and not self.schema.const_default and self.schema.profile is None

    def has(self, entry: p4r.TableEntry) -> bool:
        """Whether there is an entry with this match and priority."""
        return (self._keys.decode(entry.match), entry.priority) in self.entries

    def records(self, request: p4r.TableEntry) -> list[tuple[Record, bool]]:
        """Records for a direct counter or meter: one entry, the default entry, or all (section 9.4)."""
        if request.is_default_action:
            return [(self._default, True)]
        if not request.match:
            return [(r, False) for r in self.entries.values()]
        return [(self._find(request), False)]

    def record_to_write(self, request: p4r.TableEntry) -> tuple[Record, bool]:
        """The record that a direct counter or meter update names."""
        if request.is_default_action:
            return self._default, True
        return self._find(request), False

    def key_message(self, record: Record, default: bool = False) -> p4r.TableEntry:
        """The part of an entry that identifies it."""
        if default:
            return p4r.TableEntry(table_id=self.schema.id, is_default_action=True)
        return p4r.TableEntry(
            table_id=self.schema.id, match=self._keys.encode(record.key), priority=record.priority
        )

    def idle_message(self, key: dp.Key, priority: int) -> p4r.TableEntry | None:
        """What an idle-timeout notification shows of an entry; None where it is gone."""
        record = self.entries.get((key, priority))
        if record is None:
            return None
        entry = unframe_table_entry(record.wire)
        entry.ClearField("action")
        return entry

    def write_meter(self, request: p4r.DirectMeterEntry) -> None:
        """Configure an entry's meter; no configuration: always green."""
        record, default = self.record_to_write(request.table_entry)
        meter = None
        if request.HasField("config"):
            meter = check_config(request.config, self._meter_type, self._what)
        self._set_meter(record, request.config, meter, default)


def _has_direct(entry: p4r.TableEntry) -> bool:
    return (
        entry.HasField("meter_config")
        or entry.HasField("counter_data")
        or entry.HasField("meter_counter_data")
    )


def _less(used: object) -> None:
    used.uses -= 1  # type: ignore[attr-defined]  # a Member or a Group


def counter_data(data: p4r.CounterData, what: str) -> dp.CounterData:
    """Counter data that a controller writes."""
    if data.packet_count < 0 or data.byte_count < 0:
        raise invalid(f"{what}: counter values cannot be negative")
    return dp.CounterData(data.packet_count, data.byte_count)


__all__ = ["TableStore", "counter_data"]
