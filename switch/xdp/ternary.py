"""Ternary tables from the control plane's side: under which mask an entry is found (see
compiler/backends/xdp/tables.py for how packets look it up).

An entry goes into a bucket below any probed mask that asks for no bit which the entry leaves open, else
into the list. When the list has grown, the mask is added that empties it most: a full mask where many
entries share it, else one that looks at the head of a field or two. So the probes are few whether masks
are few or many. Only wide ranges that are all an entry asks for have nothing to be told apart by: they stay
in the list, which costs each look-up some 9 ns an entry.

Packets look up while this writes. Each look-up sees the table before a change or after it:

- What a change destroys (a bucket, a mask, the list in use before the last exchange) is destroyed only
  after `changes` has gone up; a packet that finds it changed at its end looks again. So nothing that a
  look-up has read was overwritten meanwhile.
- For look-ups that begin in the middle of a change, the change is one step: one map update, or the
  exchange of list and masks by `generation`. An entry is filled before anything leads to it.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import combinations

from p4cats.compiler.backends.xdp import BUCKET, KeyField, TableLayout
from p4cats.ebpf.libbpf import Map
from p4cats.switch.dataplane import Exact, Lpm, Match, Optional, Range, Ternary
from p4cats.switch.xdp.loader import Loaded

LIST_MOST = 8
"""Entries that the list may hold before a mask is sought: a probe takes as long as some four of them."""
WORTH = 4
"""Entries that a new mask must take."""
_HEADS = (8, 16, 32, 64)
"""Bits of a field that a mask may look at, if not all."""
_BUCKET = struct.Struct(f"={BUCKET}I")


@dataclass(slots=True)
class Entry:
    """An entry: `value` and `mask` are those of the whole key, a range being what its ends have in common."""

    rank: int
    """Priority, and the older first: unique, larger wins."""
    slot: int
    value: int
    mask: int
    cell: bytes
    parts: tuple[tuple[KeyField, int], ...]
    place: Mask | None = None

    def __lt__(self, other: Entry) -> bool:
        return self.rank > other.rank


@dataclass(slots=True)
class Mask:
    """A mask that packets probe, and the buckets below it by value; entries best first."""

    mask: int
    number: int
    buckets: dict[int, list[Entry]] = field(default_factory=dict)
    ranks: list[int] = field(default_factory=list)
    """Of all entries, ascending."""

    def room(self, entry: Entry) -> int:
        """Entries that the entry's bucket still takes."""
        return BUCKET - len(self.buckets.get(entry.value & self.mask, ()))


class TernaryFinder:
    """Finds the slot of the best entry: buckets below masks, and a list."""

    def __init__(self, layout: TableLayout, loaded: Loaded) -> None:
        c, memory = layout.cname, loaded.memory
        self._keys, self._octets, self._size = layout.keys, layout.key_bytes, layout.size
        self._most_masks = layout.masks
        self._map: Map = loaded.object.maps[f"map_{c}"]
        self._cell_size = 2 * self._octets + 8
        self._cells = memory.view(f"e_{c}", layout.slots * self._cell_size, "B")
        self._mask_size = self._octets + 16
        self._masks = memory.view(f"masks_{c}", 2 * layout.masks * self._mask_size, "B")
        self._list = memory.view(f"list_{c}", 2 * layout.size)
        self._mask_counts = memory.view(f"n_masks_{c}", 2)
        self._list_counts = memory.view(f"n_list_{c}", 2)
        self._generation = memory.view(f"generation_{c}", 1)
        self._changes = memory.view(f"changes_{c}", 1)
        self._entries: dict[int, Entry] = {}
        """By rank."""
        self._probed: list[Mask] = []
        self._listed: list[Entry] = []
        self._numbers = iter(range(1, 1 << 32))
        self._list_most = LIST_MOST

    # -- changes ------------------------------------------------------------------------------

    def set(self, key: tuple[Match, ...], priority: int, order: int, slot: int) -> None:
        """Enter an entry, or give it another slot; `order` is its age."""
        rank = priority << 32 | 0xFFFFFFFF - order
        known = self._entries.get(rank)
        if known is not None:
            self._write(slot, known.cell)
            known.slot = slot
            self._show(known)
            return
        entry = self._entry(key, rank, slot)
        self._entries[rank] = entry
        self._write(slot, entry.cell)
        fitting = [m for m in self._probed if m.mask & entry.mask == m.mask and m.room(entry)]
        if fitting:
            mask = max(fitting, key=lambda m: m.room(entry))
            self._put(mask, entry)
            if mask.ranks[-1] == rank:
                self._publish()
            self._show(entry)
            return
        insort(self._listed, entry)
        if len(self._listed) > self._list_most:
            self._shorten()
        self._publish()

    def remove(self, priority: int, order: int) -> None:
        """Take an entry out."""
        entry = self._entries.pop(priority << 32 | 0xFFFFFFFF - order)
        mask = entry.place
        if mask is None:
            del self._listed[bisect_left(self._listed, entry)]
            self._publish()
            return
        value = entry.value & mask.mask
        mask.buckets[value].remove(entry)
        best = mask.ranks[-1]
        del mask.ranks[bisect_left(mask.ranks, entry.rank)]
        self._show_bucket(mask, value)
        if not mask.ranks:
            self._probed.remove(mask)
        if best == entry.rank:
            self._publish()

    def _show(self, entry: Entry) -> None:
        if entry.place is None:
            self._publish()
        else:
            self._show_bucket(entry.place, entry.value & entry.place.mask)

    def _put(self, mask: Mask, entry: Entry) -> None:
        entry.place = mask
        insort(mask.buckets.setdefault(entry.value & mask.mask, []), entry)
        insort(mask.ranks, entry.rank)

    # -- choosing masks -----------------------------------------------------------------------

    def _shorten(self) -> None:
        """Add the mask that takes most of the list; where none is worth it, ask again at twice the length."""
        self._list_most = 2 * len(self._listed)
        if len(self._probed) >= self._most_masks:
            return
        counts: Counter[int] = Counter()
        for entry in self._listed:
            counts.update(_candidates(entry))
        best: list[Entry] = []
        chosen = 0
        for candidate, _ in sorted(counts.items(), key=lambda i: (-i[1], -i[0].bit_count()))[:8]:
            taken = list(_that_fit(self._listed, candidate))
            if len(taken) > len(best):
                best, chosen = taken, candidate
        if len(best) < WORTH:
            return
        mask = Mask(chosen, next(self._numbers))
        for entry in best:
            self._put(mask, entry)
        self._listed = [e for e in self._listed if e.place is None]
        self._list_most = max(LIST_MOST, 2 * len(self._listed))
        for value in mask.buckets:
            self._show_bucket(mask, value)
        self._probed.append(mask)

    # -- writing ------------------------------------------------------------------------------

    def _write(self, slot: int, cell: bytes) -> None:
        self._cells[slot * self._cell_size : (slot + 1) * self._cell_size] = cell

    def _show_bucket(self, mask: Mask, value: int) -> None:
        """Let packets see a bucket as it is now."""
        self._changes[0] = self._changes[0] + 1 & 0xFFFFFFFF
        key = struct.pack("=Q", mask.number) + value.to_bytes(self._octets, "little")
        entries = mask.buckets[value]
        if entries:
            slots = [e.slot for e in entries]
            self._map.update(key, _BUCKET.pack(*slots, *[0] * (BUCKET - len(slots))))
        else:
            del mask.buckets[value]
            self._map.delete(key)

    def _publish(self) -> None:
        """Let packets see list and masks as they are now."""
        self._changes[0] = self._changes[0] + 1 & 0xFFFFFFFF
        other = 1 - (self._generation[0] & 1)
        slots = array("I", [e.slot for e in self._listed])
        self._list[other * self._size : other * self._size + len(slots)] = memoryview(slots)
        self._list_counts[other] = len(slots)
        ordered = sorted(self._probed, key=lambda m: -m.ranks[-1])
        content = b"".join(
            m.mask.to_bytes(self._octets, "little") + struct.pack("=QQ", m.ranks[-1], m.number)
            for m in ordered
        )
        begin = other * self._most_masks * self._mask_size
        self._masks[begin : begin + len(content)] = content
        self._mask_counts[other] = len(ordered)
        self._generation[0] = other

    def _entry(self, key: tuple[Match, ...], rank: int, slot: int) -> Entry:
        value = mask = low = high = 0
        parts = []
        for match, part in zip(key, self._keys, strict=True):
            v, m = _masked(match, part)
            a, b = (match.low, match.high) if isinstance(match, Range) else (v, m)
            shift = 8 * part.offset
            value, mask, low, high = (
                value | v << shift,
                mask | m << shift,
                low | a << shift,
                high | b << shift,
            )
            parts.append((part, m))
        octets = self._octets
        cell = low.to_bytes(octets, "little") + high.to_bytes(octets, "little") + struct.pack("=Q", rank)
        return Entry(rank, slot, value, mask, cell, tuple(parts))


def _candidates(entry: Entry) -> set[int]:
    """Masks below which the entry might lie: its own, heads of one of its fields, heads of two."""
    heads: list[list[int]] = []
    for part, mask in entry.parts:
        prefix = part.width - (mask ^ (1 << part.width) - 1).bit_length()
        lengths = {n for n in (*_HEADS, part.width) if n <= prefix}
        heads.append([_head(part, n) for n in lengths])
    single = [mask for group in heads for mask in group]
    double = [a | b for one, other in combinations(heads, 2) for a in one for b in other]
    return {entry.mask, *single, *double} - {0}


def _head(part: KeyField, length: int) -> int:
    return ((1 << length) - 1 << part.width - length) << 8 * part.offset


def _that_fit(entries: Iterable[Entry], mask: int) -> Iterator[Entry]:
    """Those that buckets below a new mask would take."""
    used: Counter[int] = Counter()
    for entry in entries:
        if entry.mask & mask == mask:
            value = entry.value & mask
            if used[value] < BUCKET:
                used[value] += 1
                yield entry


def _masked(match: Match, part: KeyField) -> tuple[int, int]:
    """Value and mask of a match; of a range, the bits that all its numbers share."""
    full = (1 << part.width) - 1
    match match:
        case Exact(value=value):
            return value, full
        case Lpm(value=value, prefix_len=length):
            mask = full ^ (full >> length)
        case Ternary(value=value, mask=mask):
            pass
        case Optional(value=None):
            return 0, 0
        case Optional(value=value):
            assert value is not None
            return value, full
        case Range(low=value, high=high):
            mask = full >> (value ^ high).bit_length() << (value ^ high).bit_length()
    return value & mask, mask


__all__ = ["TernaryFinder"]
