"""Tables from the control plane's side: slots, and what finds them (see compiler/backends/xdp/tables.py).

A slot that packets may use is never changed: an update fills a free one, then exchanges the number that
leads to it. A slot that was given up is left alone for as long as any packet could take.
"""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from p4cats.compiler.backends.xdp import ActionLayout, TableLayout
from p4cats.compiler.backends.xdp.layout import ParameterLayout
from p4cats.ebpf.errors import EbpfError
from p4cats.ebpf.libbpf import Map
from p4cats.switch.dataplane import CounterData, Exact, Key, Lpm, Match, TableEntry
from p4cats.switch.xdp.loader import Loaded
from p4cats.switch.xdp.ternary import TernaryFinder

GROUP = 0xFFFFFFFE
NO_ACTION = 0xFFFFFFFF
_IDLE_SLOT = 1
"""The slot of empty groups: no action."""
_QUARANTINE_S = 0.002
"""Far more than the kernel lets a packet run in one go."""
_U32 = struct.Struct("=I")
_CODES = {1: "B", 2: "H", 4: "I", 8: "Q"}
METER_WORDS = 8
"""Of struct p4_meter: four of configuration, three of state, the lock."""


@dataclass(slots=True)
class Row:
    """An entry as it was written."""

    key: Key
    priority: int
    slot: int
    order: int
    idle_timeout: int = 0
    reported_ns: int = 0
    """When it was last told that the entry is idle."""
    packets: int = 0
    bytes: int = 0
    """To be added to what the cells say: they stand at anything when a slot is taken."""


class XdpTable:
    """Entries of one table."""

    def __init__(self, layout: TableLayout, loaded: Loaded) -> None:
        self.layout = layout
        memory, c = loaded.memory, layout.cname
        self._cpus = loaded.cpus
        self._size = layout.entry_bytes
        self._slots = memory.view(f"t_{c}", layout.slots * self._size, "B")
        self._default = memory.view(f"d_{c}", 1)
        self._cells = memory.view(f"c_{c}", 2 * layout.slots * loaded.cpus, "Q") if layout.counter else None
        self.meters = memory.view(f"m_{c}", METER_WORDS * layout.slots, "Q") if layout.meter else None
        self.last_hit = memory.view(f"last_{c}", layout.slots, "Q") if layout.timeout else None
        self.actions = {a.name: n for n, a in reversed(list(enumerate(layout.actions)))}
        self.rows: dict[tuple[Key, int], Row] = {}
        self.default = Row((), 0, 0, 0)
        self._free: deque[tuple[int, float]] = deque((n, 0.0) for n in range(2, layout.slots))
        self._order = 0
        self._prioritised = layout.kind == "ternary"
        self._finder = _finder(layout, loaded)
        self._bare = struct.Struct(f"=II{self._size - 8}x")
        self._contents = [_content(action, self._size) for action in layout.actions]
        self._write(_IDLE_SLOT, NO_ACTION, ())

    # -- slots --------------------------------------------------------------------------------

    def take(self) -> int:
        """A slot that no packet uses any more."""
        slot, freed = self._free.popleft()
        wait = freed + _QUARANTINE_S - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        return slot

    def free(self, slot: int) -> None:
        """Give a slot back."""
        if slot > _IDLE_SLOT:
            self._free.append((slot, time.monotonic()))

    def filled(self, action: str, data: Sequence[int]) -> int:
        """A slot with an action and its data."""
        slot = self.take()
        self._write(slot, self.actions[action], data)
        return slot

    def grouped(self, group: int) -> int:
        """A slot that points to a group."""
        slot = self.take()
        self._write(slot, GROUP, (), group)
        return slot

    def _write(self, slot: int, action: int, data: Sequence[int], group: int = 0) -> None:
        if data:
            content, pack = self._contents[action]
            content.pack_into(self._slots, slot * self._size, action, group, *pack(data))
        else:
            self._bare.pack_into(self._slots, slot * self._size, action, group)

    # -- entries ------------------------------------------------------------------------------

    def name(self, key: Key, priority: int) -> tuple[Key, int]:
        """How an entry is known here."""
        return key, priority if self._prioritised else 0

    def row(self, key: Key | None, priority: int) -> Row:
        """An entry; None is the default."""
        return self.default if key is None else self.rows[self.name(key, priority)]

    def insert(self, entries: Sequence[TableEntry], slots: Sequence[int]) -> None:
        """Add entries, whose actions are in these slots; an error leaves things as they were."""
        rows = []
        for entry, slot in zip(entries, slots, strict=True):
            name = self.name(entry.key, entry.priority)
            if name in self.rows:
                raise KeyError(f"{self.layout.name}: entry is there already")
            self._order += 1
            row = Row(entry.key, name[1], slot, self._order, entry.idle_timeout_ns)
            self.rows[name] = row
            self._fresh(row)
            rows.append(row)
        try:
            self._finder.add(rows)
        except EbpfError:
            for row in rows:
                self.delete(row.key, row.priority)
            raise

    def exchange(self, row: Row, slot: int, key: bool = True) -> None:
        """Let an entry (or, without key, the default) have another slot; its counter and meter stay."""
        old = row.slot
        counted = self.counter(row)
        row.slot = slot
        if self.meters is not None:
            to, of = METER_WORDS * slot, METER_WORDS * old
            self.meters[to : to + 7] = self.meters[of : of + 7]
        base = self._cell(slot)
        if key:
            self._finder.set(row)
        else:
            self._default[0] = slot
        late = self._cell(old)
        row.packets = counted.packets + late[0] - base[0] - self._told[0]
        row.bytes = counted.bytes + late[1] - base[1] - self._told[1]
        self.free(old)

    _told = (0, 0)

    def delete(self, key: Key, priority: int) -> None:
        """Remove an entry."""
        row = self.rows.pop(self.name(key, priority))
        self._finder.remove(row)
        self.free(row.slot)

    def set_default(self, slot: int) -> None:
        """Set the default action."""
        if self.default.slot:
            self.exchange(self.default, slot, key=False)
        else:
            self.default.slot = slot
            self._default[0] = slot

    # -- counters -----------------------------------------------------------------------------

    def _fresh(self, row: Row) -> None:
        packets, octets = self._cell(row.slot)
        row.packets, row.bytes = -packets, -octets
        if self.meters is not None:
            at = METER_WORDS * row.slot
            self.meters[at : at + 7] = memoryview(bytes(56)).cast("Q")

    def _cell(self, slot: int) -> tuple[int, int]:
        if self._cells is None:
            return 0, 0
        at = [2 * (cpu * self.layout.slots + slot) for cpu in range(self._cpus)]
        return sum(self._cells[a] for a in at), sum(self._cells[a + 1] for a in at)

    def counter(self, row: Row) -> CounterData:
        """The direct counter of an entry."""
        packets, octets = self._cell(row.slot)
        self._told = (packets, octets)
        return CounterData(row.packets + packets, row.bytes + octets)

    def set_counter(self, row: Row, data: CounterData) -> None:
        """Set it."""
        packets, octets = self._cell(row.slot)
        row.packets, row.bytes = data.packets - packets, data.bytes - octets


def _content(
    action: ActionLayout, size: int
) -> tuple[struct.Struct, Callable[[Sequence[int]], Iterable[Any]]]:
    """The form of a slot of `size` octets with an action's data, and what fits values into it."""
    form, at = "=II", 8
    for part in action.parameters:
        form += f"{8 + part.offset - at}x"
        form += _CODES[part.size] if not part.signed and part.size in _CODES else f"{part.size}s"
        at = 8 + part.offset + part.size
    form += f"{size - at}x"
    if "s" not in form:
        return struct.Struct(form), iter
    return struct.Struct(form), lambda data: map(_octets_of, action.parameters, data)


def _octets_of(part: ParameterLayout, value: int) -> int | bytes:
    """A value as its place in a slot takes it; int<W> with its sign up to the place's width."""
    bits = value & ((1 << part.width) - 1)
    if not part.signed and part.size in _CODES:
        return bits
    if part.signed and bits >> (part.width - 1):
        bits -= 1 << part.width
    return (bits & (1 << 8 * part.size) - 1).to_bytes(part.size, "little")


# -- what finds a slot ------------------------------------------------------------------------


class _Finder:
    """What leads from a key to a slot; this one is for tables without key."""

    def set(self, row: Row) -> None:
        """Let the key lead to the row's slot."""

    def remove(self, row: Row) -> None:
        """Let the key lead nowhere."""

    def add(self, rows: Sequence[Row]) -> None:
        """`set` for rows that are new."""
        for row in rows:
            self.set(row)


class _Index(_Finder):
    """An array of slot numbers by the key's bits."""

    def __init__(self, layout: TableLayout, loaded: Loaded) -> None:
        self._keys = layout.keys
        self._slots = loaded.memory.view(f"ix_{layout.cname}", 1 << layout.key_bits)

    def _number(self, row: Row) -> int:
        return sum(_value(m) << k.offset for m, k in zip(row.key, self._keys, strict=True))

    def set(self, row: Row) -> None:
        """Enter the slot."""
        self._slots[self._number(row)] = row.slot

    def remove(self, row: Row) -> None:
        """Enter 0."""
        self._slots[self._number(row)] = 0


class _Hash(_Finder):
    """A BPF hash map."""

    def __init__(self, layout: TableLayout, loaded: Loaded) -> None:
        self._layout = layout
        self._map: Map = loaded.object.maps[f"map_{layout.cname}"]

    def _octets(self, row: Row) -> bytes:
        number = 0
        for match, field in zip(row.key, self._layout.keys, strict=True):
            number |= _value(match) << 8 * field.offset
        return number.to_bytes(self._layout.key_bytes, "little")

    def set(self, row: Row) -> None:
        """Enter the slot."""
        self._map.update(self._octets(row), _U32.pack(row.slot))

    def add(self, rows: Sequence[Row]) -> None:
        """Enter all slots, in one system call."""
        self._map.update_batch([self._octets(row) for row in rows], [_U32.pack(row.slot) for row in rows])

    def remove(self, row: Row) -> None:
        """Remove the key."""
        self._map.delete(self._octets(row))


class _Trie(_Hash):
    """A longest-prefix trie: exact fields, then the lpm field, in network order."""

    def _octets(self, row: Row) -> bytes:
        size = self._layout.key_bytes
        number, bits = 0, 8 * (size - 4)
        for match, field in zip(row.key, self._layout.keys, strict=True):
            value = _value(match)
            if isinstance(match, Lpm):
                value <<= 8 * field.size - field.width
                bits -= 8 * field.size - match.prefix_len
            number |= value << 8 * (size - field.offset - field.size)
        return _U32.pack(bits) + number.to_bytes(size - 4, "big")


class _Ternary(_Finder):
    """Masks, buckets and a list. Without priorities the prefixes that are longest together win."""

    def __init__(self, layout: TableLayout, loaded: Loaded) -> None:
        self._finder = TernaryFinder(layout, loaded)

    def _priority(self, row: Row) -> int:
        return row.priority or sum(m.prefix_len for m in row.key if isinstance(m, Lpm))

    def set(self, row: Row) -> None:
        """Enter the slot."""
        self._finder.set(row.key, self._priority(row), row.order, row.slot)

    def remove(self, row: Row) -> None:
        """Take the entry out."""
        self._finder.remove(self._priority(row), row.order)


def _finder(layout: TableLayout, loaded: Loaded) -> _Finder:
    match layout.kind:
        case "index":
            return _Index(layout, loaded)
        case "hash":
            return _Hash(layout, loaded)
        case "lpm":
            return _Trie(layout, loaded)
        case "ternary":
            return _Ternary(layout, loaded)
        case _:
            return _Finder()


def _value(match: Match) -> int:
    assert isinstance(match, Exact | Lpm)
    return match.value


__all__ = ["Row", "XdpTable"]
