"""The difference between what a switch holds and what it should hold, in an order that is safe.

A switch may carry out the updates of one batch in any order (P4Runtime, Write), and packets pass
between any two of them. So the updates come in phases, one batch or more each, such that at every
moment:

- an instance that is a candidate, or that flows may stay with, has an entry that says how to
  reach it: it is entered before it is chosen, and removed after;
- `total_weight` of a service is never above the sum of its candidates' weights: a point beyond
  the last weight would find no instance (p4src/include/selection.p4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from p4cats.controller import entries as tables
from p4cats.controller.entries import Entries, Entry, Key

Kind = Literal["INSERT", "MODIFY", "DELETE"]

_SLOTS = frozenset(tables.SLOTS)
PHASES = 10


@dataclass(frozen=True, slots=True)
class Update:
    """One change of one entry; of a deletion only the entry's key matters."""

    kind: Kind
    entry: Entry


Phase = tuple[Update, ...]


def difference(actual: Entries, desired: Entries) -> list[Phase]:
    """Return the updates that lead from `actual` to `desired`: phases in order, none empty."""
    phases: list[list[Update]] = [[] for _ in range(PHASES)]
    for key, entry in desired.items():
        old = actual.get(key)
        if old is None:
            phases[_phase_of_insert(entry)].append(Update("INSERT", entry))
        elif old != entry:
            phases[_phase_of_modify(old, entry)].append(Update("MODIFY", entry))
    for key, entry in actual.items():
        if key not in desired:
            phases[_phase_of_delete(entry)].append(Update("DELETE", entry))
    return [tuple(phase) for phase in phases if phase]


def apply(actual: Entries, updates: Sequence[Update]) -> dict[Key, Entry]:
    """Return what a switch holds after the updates."""
    held = dict(actual)
    for update in updates:
        if update.kind == "DELETE":
            del held[update.entry.key]
        else:
            held[update.entry.key] = update.entry
    return held


def _phase_of_insert(entry: Entry) -> int:
    if entry.table == tables.LIVING:
        return 1
    if entry.table in _SLOTS:
        return 3
    if entry.table == tables.SERVICES:
        return 5
    return 0


def _phase_of_modify(old: Entry, new: Entry) -> int:
    if new.table == tables.SERVICES:
        return 2 if _data(new, "total_weight") < _data(old, "total_weight") else 5
    if new.table in _SLOTS:
        return 4 if _data(new, "static_weight") < _data(old, "static_weight") else 3
    return 0


def _phase_of_delete(entry: Entry) -> int:
    # The way to an instance goes last, after everything that could choose it.
    if entry.table == tables.SERVICES:
        return 6
    if entry.table in _SLOTS:
        return 7
    if entry.table == tables.LIVING:
        return 8
    return PHASES - 1


def _data(entry: Entry, name: str) -> int:
    """Return action data by name, 0 where the action has none (`own_address`)."""
    return dict(entry.args).get(name, 0)
