"""Match-action tables at run time.

Generated code asks `index` first: it holds every entry of an exact table, and for other tables the
results found so far, so that a repeated key costs one dictionary access whatever the match kinds are.
`find` does the real search: one dictionary per prefix length (lpm) or per combination of masks (tuple
space search, with a list scan inside a bucket where there are ranges). A change clears the results.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from p4cats.compiler.ir import nodes
from p4cats.compiler.ir.types import Bits, Bool, Type
from p4cats.switch.dataplane import Exact, Key, Lpm, Match, Optional, Range, Ternary
from p4cats.switch.model.meters import MeterCell

CACHE_LIMIT = 1 << 16
"""Cached results per table before the cache starts anew (keys come from packets: bound the memory)."""


class Entry:
    """An entry, or the default (`hit` False): action by its place in the table's list, and its state."""

    __slots__ = (
        "action", "bytes", "data", "group", "hit", "idle_timeout", "key", "last_hit", "meter", "order",
        "packets", "priority", "reported_at",
    )  # fmt: skip

    def __init__(
        self, key: Key | None, priority: int, action: int, data: tuple[int, ...], hit: bool = True
    ) -> None:
        self.key = key
        self.priority = priority
        self.action = action
        self.data = data
        self.hit = hit
        self.group: list[Any] | None = None
        self.packets = 0
        self.bytes = 0
        self.last_hit = 0
        self.idle_timeout = 0
        self.reported_at = 0
        self.meter: MeterCell | None = None
        self.order = 0


class Table:
    """Entries of one table; how they are searched depends on the match kinds."""

    def __init__(self, table: nodes.Table) -> None:
        self.ir = table
        self.name = table.name
        kinds = [key.match_kind for key in table.keys if key.match_kind != "selector"]
        self.widths = [_width(key.expression.type) for key in table.keys if key.match_kind != "selector"]
        self.actions: dict[str, int] = {}
        for number, ref in enumerate(table.actions):
            self.actions.setdefault(ref.action.name, number)
        self.signed = [[_sign_bit(p.variable.type) for p in ref.action.data] for ref in table.actions]
        self.entries: dict[tuple[Key, int], Entry] = {}
        """By key and priority, as the control plane names them."""
        self.index: dict[Any, Entry] = {}
        self.exact = all(kind == "exact" for kind in kinds)
        self.prioritised = any(kind in ("range", "ternary", "optional") for kind in kinds)
        self._single = len(kinds) == 1
        self._search: _Prefixes | _Tuples = (
            _Tuples(self.widths) if self.prioritised else _Prefixes(self.widths)
        )
        self._order = 0
        self.miss = Entry(None, 0, 0, (), hit=False)

    # -- actions ------------------------------------------------------------------------------

    def action_number(self, name: str) -> int:
        """The place of an action in the table's list."""
        return self.actions[name]

    def action_data(self, action: int, data: Sequence[int]) -> tuple[int, ...]:
        """Action data as generated code wants it: int<W> as negative numbers."""
        signs = self.signed[action]
        if not any(signs):
            return tuple(data)
        return tuple((v & 2 * s - 1 ^ s) - s if s else v for v, s in zip(data, signs, strict=True))

    def set_default(self, action: int, data: Sequence[int]) -> None:
        """Change the default entry in place (generated code holds it)."""
        self.miss.action = action
        self.miss.data = self.action_data(action, data)

    # -- entries ------------------------------------------------------------------------------

    def insert(self, entry: Entry) -> None:
        """Add an entry that is not there."""
        assert entry.key is not None
        name = (entry.key, entry.priority)
        if name in self.entries:
            raise KeyError(f"{self.name}: entry is there already")
        self.entries[name] = entry
        self._order += 1
        entry.order = self._order
        if self.exact:
            self.index[self._exact_key(entry.key)] = entry
        else:
            self._search.insert(entry)
            self.index.clear()

    def get(self, key: Key, priority: int) -> Entry:
        """The entry of this key and priority."""
        return self.entries[key, priority if self.prioritised else 0]

    def delete(self, key: Key, priority: int) -> Entry:
        """Remove an entry."""
        entry = self.entries.pop((key, priority if self.prioritised else 0))
        if self.exact:
            del self.index[self._exact_key(key)]
        else:
            self._search.delete(entry)
            self.index.clear()
        return entry

    def _exact_key(self, key: Key) -> Any:
        values = tuple(m.value for m in key if isinstance(m, Exact))
        return values[0] if self._single else values

    def find(self, key: Any) -> Entry:
        """Search for the values of a packet and remember the result."""
        entry = self._search.find((key,) if self._single else key) or self.miss
        if len(self.index) >= CACHE_LIMIT:
            self.index.clear()
        self.index[key] = entry
        return entry


class _Prefixes:
    """Exact fields and at most a few lpm ones: a dictionary per combination of prefix lengths."""

    def __init__(self, widths: list[int]) -> None:
        self._widths = widths
        self._levels: dict[tuple[int, ...], dict[tuple[int, ...], Entry]] = {}
        self._ordered: list[tuple[tuple[int, ...], dict[tuple[int, ...], Entry]]] = []

    def insert(self, entry: Entry) -> None:
        masks, values = _masks(entry, self._widths)
        level = self._levels.get(masks)
        if level is None:
            level = self._levels[masks] = {}
            self._order_levels()
        level[values] = entry

    def delete(self, entry: Entry) -> None:
        masks, values = _masks(entry, self._widths)
        level = self._levels[masks]
        del level[values]
        if not level:
            del self._levels[masks]
            self._order_levels()

    def _order_levels(self) -> None:
        self._ordered = sorted(self._levels.items(), key=lambda item: -sum(map(int.bit_count, item[0])))

    def find(self, key: tuple[int, ...]) -> Entry | None:
        for masks, level in self._ordered:
            entry = level.get(tuple([k & m for k, m in zip(key, masks, strict=True)]))
            if entry is not None:
                return entry
        return None


class _Bucket:
    """Entries of equal masks and values: ordered by rank; more than one only with ranges or by priority."""

    __slots__ = ("entries",)

    def __init__(self) -> None:
        self.entries: list[Entry] = []


class _Tuples:
    """Priority decides: a dictionary per combination of masks, searched from the best priority down."""

    def __init__(self, widths: list[int]) -> None:
        self._widths = widths
        self._spaces: dict[tuple[int, ...], dict[tuple[int, ...], _Bucket]] = {}
        self._best: dict[tuple[int, ...], int] = {}
        self._ordered: list[tuple[int, tuple[int, ...], dict[tuple[int, ...], _Bucket]]] | None = None

    def insert(self, entry: Entry) -> None:
        masks, values = _masks(entry, self._widths)
        bucket = self._spaces.setdefault(masks, {}).setdefault(values, _Bucket())
        bucket.entries.append(entry)
        bucket.entries.sort(key=_rank)
        if entry.priority > self._best.get(masks, -1):
            self._best[masks] = entry.priority
            self._ordered = None

    def delete(self, entry: Entry) -> None:
        masks, values = _masks(entry, self._widths)
        space = self._spaces[masks]
        bucket = space[values]
        bucket.entries.remove(entry)
        if not bucket.entries:
            del space[values]
        if not space:
            del self._spaces[masks], self._best[masks]
            self._ordered = None
        # _best may now be too high: the search only looks at more spaces than it must.

    def find(self, key: tuple[int, ...]) -> Entry | None:
        if self._ordered is None:
            spaces = [(self._best[masks], masks, space) for masks, space in self._spaces.items()]
            self._ordered = sorted(spaces, key=lambda item: -item[0])
        found: Entry | None = None
        for best, masks, space in self._ordered:
            if found is not None and found.priority > best:
                break
            bucket = space.get(tuple([k & m for k, m in zip(key, masks, strict=True)]))
            if bucket is None:
                continue
            for entry in bucket.entries:
                if found is not None and _rank(found) < _rank(entry):
                    break
                if _in_ranges(entry, key):
                    found = entry
                    break
        return found


def _rank(entry: Entry) -> tuple[int, int]:
    """Smaller is better: larger priority, then the entry that came first."""
    return (-entry.priority, entry.order)


def _in_ranges(entry: Entry, key: tuple[int, ...]) -> bool:
    assert entry.key is not None
    for match, value in zip(entry.key, key, strict=True):
        if isinstance(match, Range) and not match.low <= value <= match.high:
            return False
    return True


def _masks(entry: Entry, widths: list[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Masks and masked values of an entry; a range is mask 0 (looked at in the bucket)."""
    masks, values = [], []
    assert entry.key is not None
    for match, width in zip(entry.key, widths, strict=True):
        under, value = match_mask(match, width)
        masks.append(under)
        values.append(value & under)
    return tuple(masks), tuple(values)


def match_mask(match: Match, width: int) -> tuple[int, int]:
    """Mask and value of a match field."""
    full = (1 << width) - 1
    match match:
        case Exact(value=value):
            return full, value
        case Lpm(value=value, prefix_len=length):
            return full ^ (full >> length), value
        case Ternary(value=value, mask=under):
            return under, value
        case Optional(value=None):
            return 0, 0
        case Optional(value=value):
            assert value is not None
            return full, value
        case Range():
            return 0, 0


def matches(match: Match, value: int, width: int) -> bool:
    """True if a value satisfies one match field."""
    if isinstance(match, Range):
        return match.low <= value <= match.high
    under, wanted = match_mask(match, width)
    return value & under == wanted & under


class ValueSet:
    """A parser value set."""

    def __init__(self, value_set: nodes.ValueSet) -> None:
        self.name = value_set.name
        element = value_set.element
        fields = getattr(element, "fields", None)
        self.widths = [_width(f.type) for f in fields] if fields is not None else [_width(element)]
        self._members: list[Key] = []

    def replace(self, members: Sequence[Key]) -> None:
        """Set all members."""
        self._members = list(members)

    def contains(self, values: tuple[int, ...]) -> bool:
        """True if some member matches the select's subjects."""
        return any(
            all(matches(m, v, w) for m, v, w in zip(member, values, self.widths, strict=True))
            for member in self._members
        )


def _width(type_: Type) -> int:
    if isinstance(type_, Bits):
        return type_.width
    return 1 if isinstance(type_, Bool) else getattr(type_, "max_width", 32)


def _sign_bit(type_: Type) -> int:
    return 1 << (type_.width - 1) if isinstance(type_, Bits) and type_.signed and type_.width else 0
