"""Extern state from the control plane's side: registers, counters, meters, value sets, action profiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from p4cats.compiler.backends.xdp import CellLayout, ValueSetLayout
from p4cats.switch.dataplane import (
    ActionCall,
    CounterData,
    Exact,
    Key,
    Lpm,
    Match,
    MeterConfig,
    Optional,
    Range,
    Ternary,
)
from p4cats.switch.xdp.loader import Loaded
from p4cats.switch.xdp.memory import Code, Memory
from p4cats.switch.xdp.tables import METER_WORDS, XdpTable

_SCALE = 1_000_000_000
_WORD = (1 << 64) - 1
_CODES: dict[int, Code] = {1: "B", 2: "H", 4: "I", 8: "Q"}


def _check(name: str, index: int, size: int) -> None:
    if not 0 <= index < size:
        raise IndexError(f"{name}: index {index} is outside 0..{size - 1}")


class XdpRegister:
    """A register array; one array in memory for each scalar of its type."""

    def __init__(self, layout: CellLayout, loaded: Loaded) -> None:
        self._layout = layout
        self._views = self._in(loaded.memory)

    def _in(self, memory: Memory) -> list[memoryview]:
        return [
            memory.view(cname, self._layout.size * (size // 8 or 1), _CODES[min(size, 8)])
            for cname, size, _ in self._layout.leaves
        ]

    def read(self, index: int) -> object:
        """A cell: an unsigned pattern, or nested tuples of such."""
        _check(self._layout.name, index, self._layout.size)
        return self._nested(self._layout.shape, [self._leaf(n, index) for n in range(len(self._views))])

    @property
    def signature(self) -> str:
        """Size and type of the cells."""
        return f"{self._layout.size} {self._layout.shape} {[width for _, _, width in self._layout.leaves]}"

    def written(self) -> Iterator[tuple[int, object]]:
        """Yield index and value of the cells that are not zero."""
        words = [size // 8 or 1 for _, size, _ in self._layout.leaves]
        found = {
            at // count
            for view, count in zip(self._views, words, strict=True)
            for at, value in enumerate(view)
            if value
        }
        return ((index, self.read(index)) for index in sorted(found))

    def write(self, index: int, value: object) -> None:
        """Set a cell."""
        _check(self._layout.name, index, self._layout.size)
        flat: list[int] = []
        _flatten(value, flat)
        for number, part in enumerate(flat):
            self._set_leaf(number, index, part)

    def copy_from(self, memory: Memory) -> None:
        """Set all cells as they are in another memory of the same object."""
        for view, other in zip(self._views, self._in(memory), strict=True):
            view[:] = other

    def _nested(self, shape: object, leaves: list[int]) -> object:
        if isinstance(shape, list):
            return tuple(self._nested(part, leaves) for part in shape)
        assert isinstance(shape, int)
        return leaves[shape]

    def _leaf(self, number: int, index: int) -> int:
        _, size, width = self._layout.leaves[number]
        view = self._views[number]
        value = view[2 * index] | view[2 * index + 1] << 64 if size == 16 else view[index]
        return value & ((1 << width) - 1)

    def _set_leaf(self, number: int, index: int, value: int) -> None:
        _, size, width = self._layout.leaves[number]
        view = self._views[number]
        value &= (1 << width) - 1
        if self._layout.leaf_types[number].startswith("s") and value >> (width - 1) & 1:
            value |= ((1 << 8 * size) - 1) ^ ((1 << width) - 1)
        if size == 16:
            view[2 * index], view[2 * index + 1] = value & ((1 << 64) - 1), value >> 64
        else:
            view[index] = value


def _flatten(value: object, found: list[int]) -> None:
    if isinstance(value, Sequence):
        for part in value:
            _flatten(part, found)
    else:
        assert isinstance(value, int)
        found.append(value)


class XdpCounter:
    """An indirect counter: a cell per CPU and index. What the control plane sets is kept as a difference."""

    def __init__(self, layout: CellLayout, loaded: Loaded) -> None:
        self._layout = layout
        self._cpus = loaded.cpus
        self._cells = loaded.memory.view(layout.cname, 2 * layout.size * loaded.cpus, "Q")
        self._added: dict[int, tuple[int, int]] = {}

    def _counted(self, index: int) -> tuple[int, int]:
        _check(self._layout.name, index, self._layout.size)
        at = [2 * (cpu * self._layout.size + index) for cpu in range(self._cpus)]
        return sum(self._cells[a] for a in at), sum(self._cells[a + 1] for a in at)

    def read(self, index: int) -> CounterData:
        """One cell."""
        packets, octets = self._counted(index)
        more = self._added.get(index, (0, 0))
        return CounterData(packets + more[0], octets + more[1])

    def write(self, index: int, data: CounterData) -> None:
        """Set one cell."""
        packets, octets = self._counted(index)
        self._added[index] = (data.packets - packets, data.bytes - octets)


def write_meter(cells: memoryview, index: int, config: MeterConfig | None, now_ns: int) -> None:
    """Configure a meter cell (struct p4_meter); None: always green."""
    at = METER_WORDS * index
    # Not green by halves: without rates the program asks no further.
    cells[at : at + 4] = memoryview(bytes(32)).cast("Q")
    if config is not None:
        cells[at + 4 : at + 7] = memoryview(bytearray(24)).cast("Q")
        cells[at + 4] = config.cburst * _SCALE
        cells[at + 5] = config.pburst * _SCALE
        cells[at + 6] = now_ns
        cells[at + 2], cells[at + 3] = config.pir, config.pburst
        cells[at], cells[at + 1] = config.cir, config.cburst


class XdpValueSet:
    """A parser value set, in two copies."""

    def __init__(self, layout: ValueSetLayout, loaded: Loaded) -> None:
        self._layout = layout
        words = sum(layout.words)
        c = layout.cname
        self._members = loaded.memory.view(c, 2 * layout.size * 4 * words, "Q")
        self._counts = loaded.memory.view(f"n_{c}", 2)
        self._generation = loaded.memory.view(f"gen_{c}", 1)

    def replace(self, members: Sequence[Key]) -> None:
        """Set all members."""
        words = sum(self._layout.words)
        other = 1 - self._generation[0]
        for number, member in enumerate(members):
            columns: tuple[list[int], ...] = ([], [], [], [])
            for match, width in zip(member, self._layout.widths, strict=True):
                for column, value in zip(columns, _bounds(match, width), strict=True):
                    column += [value >> at & _WORD for at in range(0, width, 64)]
            at = (other * self._layout.size + number) * 4 * words
            for offset, value in enumerate(v for column in columns for v in column):
                self._members[at + offset] = value
        self._counts[other] = len(members)
        self._generation[0] = other


def _bounds(match: Match, width: int) -> tuple[int, int, int, int]:
    """Value, mask, low, high."""
    full = (1 << width) - 1
    match match:
        case Range(low=low, high=high):
            return 0, 0, low, high
        case Exact(value=value):
            return value, full, 0, full
        case Lpm(value=value, prefix_len=length):
            mask = full ^ (full >> length)
            return value & mask, mask, 0, full
        case Ternary(value=value, mask=mask):
            return value & mask, mask, 0, full
        case Optional(value=value):
            return (0, 0, 0, full) if value is None else (value, full, 0, full)


class XdpProfile:
    """Members and groups of one action profile, as one table sees them."""

    POOL = 1 << 15
    GROUPS = 4096

    def __init__(self, table: XdpTable, loaded: Loaded) -> None:
        self._table = table
        c = table.layout.cname
        self._groups = loaded.memory.view(f"g_{c}", self.GROUPS, "Q")
        self._pool = loaded.memory.view(f"gm_{c}", self.POOL)
        self._members: dict[int, int] = {}
        """Slot of each member."""
        self._handles: dict[tuple[str, int], int] = {}
        """Index into `_groups` of ("group", id) and, as a group of one, ("member", id)."""
        self._lists: dict[tuple[str, int], tuple[int, list[int]]] = {}
        """Place in the pool and member ids."""
        self._free_handles = list(range(self.GROUPS - 1, 0, -1))
        self._free_ranges: dict[int, list[int]] = {}
        self._next = 0

    def set_member(self, member: int, call: ActionCall) -> None:
        """Add or replace a member."""
        slot = self._table.filled(call.action, call.data)
        old = self._members.get(member)
        self._members[member] = slot
        for at, members in self._lists.values():
            for offset, number in enumerate(members):
                if number == member:
                    self._pool[at + offset] = slot
        if old is not None:
            self._table.free(old)

    def delete_member(self, member: int) -> None:
        """Remove a member."""
        self._drop(("member", member))
        self._table.free(self._members.pop(member))

    def set_group(self, group: int, members: Sequence[int]) -> None:
        """Add or replace a group."""
        self._set(("group", group), list(members))

    def delete_group(self, group: int) -> None:
        """Remove a group."""
        self._drop(("group", group))

    def handle(self, kind: str, number: int) -> int:
        """What an entry that points to a member or group holds."""
        if (kind, number) not in self._handles:
            self._set((kind, number), [number])
        return self._handles[kind, number]

    def _set(self, name: tuple[str, int], members: list[int]) -> None:
        old = self._lists.get(name)
        at = self._range(len(members))
        for offset, member in enumerate(members):
            self._pool[at + offset] = self._members[member]
        if name not in self._handles:
            self._handles[name] = self._free_handles.pop()
        self._lists[name] = (at, members)
        self._groups[self._handles[name]] = len(members) << 32 | at
        if old is not None:
            self._free_ranges.setdefault(len(old[1]), []).append(old[0])

    def _drop(self, name: tuple[str, int]) -> None:
        if name in self._handles:
            handle = self._handles.pop(name)
            self._groups[handle] = 0
            self._free_handles.insert(0, handle)
            at, members = self._lists.pop(name)
            self._free_ranges.setdefault(len(members), []).append(at)

    def _range(self, size: int) -> int:
        # The oldest one that was given up: packets have long left it.
        known = self._free_ranges.get(size)
        if known and (len(known) > 1 or self._next + size > self.POOL):
            return known.pop(0)
        if self._next + size > self.POOL:
            raise MemoryError("action profile: the groups have too many members together")
        self._next += size
        return self._next - size


__all__ = ["XdpCounter", "XdpProfile", "XdpRegister", "XdpValueSet", "write_meter"]
