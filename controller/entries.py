"""Table entries as plain values: what `desired` computes, `difference` compares and `switches` writes.

Independent of P4Runtime messages, so that the decisions can be computed and tested without a
switch. Names are P4Info aliases (the shortest suffix that is unique in the program), values are
unsigned integers; a longest-prefix match is a pair of value and prefix length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv6Address, IPv6Network

from p4cats import protocol

Value = int | tuple[int, int]
Match = tuple[tuple[str, Value], ...]
Key = tuple[str, Match]

ROUTES = "routes"
LOCAL_SIDS = "local_sids"
ADDRESSES = "addresses"
HOST_PORTS = "host_ports"
SERVICES = "services"
INSTANCES = "instances"
LIVING = "living"
INT_NODES = "int_nodes"
INT_WATCHLIST = "int_watchlist"
INT_COLLECTOR = "int_collector"
CLONE_SESSIONS = "clone sessions"
"""No table: an entry of the packet replication engine that is treated as one."""
METRIC_KEYS = "metric_keys"
METRIC_OPTIONS = "metric_options"
SLOTS = tuple(f"c{slot}.candidates" for slot in range(protocol.CANDIDATES))
"""Tables of the candidates: slot `n` of every service is an entry of `c<n>.candidates`."""

TERNARY_TABLES = frozenset({INT_WATCHLIST})
"""Tables whose entries have priorities; that of ours is 1."""

TRANSIT_TABLES = (ROUTES, LOCAL_SIDS, INT_NODES)
EDGE_TABLES = (
    *TRANSIT_TABLES,
    *(ADDRESSES, HOST_PORTS, SERVICES, INSTANCES, LIVING),
    *(METRIC_KEYS, METRIC_OPTIONS),
    *(INT_WATCHLIST, INT_COLLECTOR, CLONE_SESSIONS),
    *SLOTS,
)

SECRET_TABLES = frozenset({METRIC_KEYS})
"""Tables whose action data is never shown."""


@dataclass(frozen=True, slots=True, repr=False)
class Entry:
    """One table entry: key fields and action data, each sorted by name."""

    table: str
    match: Match
    action: str
    args: tuple[tuple[str, int], ...] = ()

    def __repr__(self) -> str:
        data = "…" if self.table in SECRET_TABLES else self.args
        return f"Entry({self.table}, {self.match}, {self.action}, {data})"

    @property
    def key(self) -> Key:
        """What no two entries of a switch share (all of ours have one priority)."""
        return self.table, self.match

    def arg(self, name: str) -> int:
        """Return the action data of that name; KeyError if the action has none."""
        return dict(self.args)[name]


Entries = Mapping[Key, Entry]


def plain(value: object) -> Value:
    """Return the integer, or pair of integers, behind an address, a network or a MAC address."""
    match value:
        case int():
            return value
        case IPv6Network():
            return int(value.network_address), value.prefixlen
        case IPv6Address():
            return int(value)
        case str():
            return mac(value)
        case (first, int(length)):
            inner = plain(first)
            assert isinstance(inner, int)
            return inner, length
    return int(value)  # type: ignore[call-overload, no-any-return]


def mac(text: str) -> int:
    """Return a MAC address (`02:ca:00:01:00:01`) as an integer."""
    return int(text.replace(":", ""), 16)


def entry(table: str, match: Mapping[str, object], action: str, **args: object) -> Entry:
    """Return an entry, values in any form that `plain` takes."""
    keys = tuple(sorted((name, plain(value)) for name, value in match.items()))
    data: list[tuple[str, int]] = []
    for name, value in sorted(args.items()):
        number = plain(value)
        assert isinstance(number, int)
        data.append((name, number))
    return Entry(table, keys, action, tuple(data))


def by_key(entries: Iterable[Entry]) -> dict[Key, Entry]:
    """Return entries by key; two with the same key are a programmer's error."""
    found: dict[Key, Entry] = {}
    for item in entries:
        if item.key in found:
            raise ValueError(f"two entries for {item.key}: {found[item.key]} and {item}")
        found[item.key] = item
    return found
