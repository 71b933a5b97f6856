"""What the loader must know of a generated program: where tables, registers and counters lie.

Offsets inside entries are computed here and written into the C text as structs; names of C variables lead
to their offsets in memory by the object's BTF.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from p4cats.compiler.ir import nodes

BUCKET = 8
"""Slots that one probe of a ternary table may find."""


@dataclass(slots=True)
class KeyField:
    """One key field: its place in the key (bits for an index, octets otherwise)."""

    width: int
    match_kind: str
    offset: int
    size: int


@dataclass(slots=True)
class ParameterLayout:
    """A parameter in an action's data."""

    cname: str
    ctype: str
    offset: int
    size: int
    signed: bool
    width: int


@dataclass(slots=True)
class ActionLayout:
    """An action's data in a slot."""

    name: str
    cname: str
    parameters: list[ParameterLayout] = field(default_factory=list)
    bytes: int = 0


@dataclass(slots=True)
class TableLayout:
    """A table."""

    name: str
    cname: str
    kind: str
    """none, index, hash, lpm or ternary."""
    size: int
    keys: list[KeyField] = field(default_factory=list)
    key_bits: int = 0
    key_bytes: int = 0
    key_pad: int = 0
    slots: int = 0
    actions: list[ActionLayout] = field(default_factory=list)
    counter: bool = False
    meter: bool = False
    timeout: bool = False
    profile: str = ""
    maps: str = ""
    """The map of maps by which the table's map is found, "" where the program names it directly."""
    place: int = 0
    """Its place in there."""

    @property
    def map_type(self) -> str:
        """The type of the table's BPF map; "" if it has none."""
        return {"hash": "HASH", "lpm": "LPM_TRIE", "ternary": "HASH"}.get(self.kind, "")

    @property
    def map_octets(self) -> tuple[int, int]:
        """Octets of a key and of a value in the map."""
        return (8 + self.key_bytes, 4 * BUCKET) if self.kind == "ternary" else (self.key_bytes, 4)

    def look_up(self, key: str) -> str:
        """C text that looks a key up in the map."""
        if self.maps:
            return f"look_up_in(&{self.maps}, {self.place}, {key})"
        return f"bpf_map_lookup_elem(&map_{self.cname}, {key})"

    @property
    def masks(self) -> int:
        """How many masks a ternary table may probe."""
        return min(max(self.size // 4, 1), 256)

    @property
    def entry_bytes(self) -> int:
        """Octets of a slot: action and group, then the largest data."""
        data = max((a.bytes for a in self.actions), default=0)
        return 8 + (data + 7) // 8 * 8


@dataclass(slots=True)
class CellLayout:
    """A register, counter or meter array; for a register the C names, sizes and widths of its leaves."""

    name: str
    cname: str
    size: int
    leaves: list[tuple[str, int, int]] = field(default_factory=list)
    leaf_types: list[str] = field(default_factory=list)
    shape: object = None
    """None for a scalar, else nested lists of leaf numbers."""


@dataclass(slots=True)
class ValueSetLayout:
    """A parser value set: widths of its fields in bits."""

    name: str
    cname: str
    widths: list[int]
    size: int

    @property
    def words(self) -> list[int]:
        """Words of each field: one or two."""
        return [1 if width <= 64 else 2 for width in self.widths]


@dataclass(slots=True)
class DigestLayout:
    """Leaves of a digest, two words each, and their nesting."""

    name: str
    shape: object
    leaves: int


@dataclass(slots=True)
class XdpSource:
    """A generated program: C text and what the loader needs to run it."""

    program: nodes.Program
    text: str
    tables: dict[str, TableLayout]
    registers: dict[str, CellLayout]
    counters: dict[str, CellLayout]
    meters: dict[str, CellLayout]
    value_sets: dict[str, ValueSetLayout]
    digests: list[DigestLayout]
    messages: list[tuple[str, str]]
    """Texts of log_msg and failed assertions: position and text."""
    scalars: dict[str, tuple[str, int]]
    """Members of the scratch area that hold metadata, by path."""
    field_lists: dict[int, list[str]]
    """Paths that a field list keeps."""
