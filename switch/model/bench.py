"""Packets per second through one ModelDataPlane, without interfaces: what `make bench` reports."""

from __future__ import annotations

import time
from collections.abc import Sequence

from p4cats.compiler.ir import nodes
from p4cats.switch.dataplane import TableEntry
from p4cats.switch.model.dataplane import ModelDataPlane


def measure(
    program: nodes.Program,
    packets: Sequence[tuple[int, bytes]],
    entries: Sequence[tuple[str, TableEntry]],
    seconds: float = 1.0,
) -> float:
    """Packets per second when `packets` (port, bytes) come in again and again for about `seconds`.

    Entries are (table, entry). The best of five equal parts counts: other work on the machine only
    ever makes a part slower.
    """
    plane = ModelDataPlane(program)
    for table, entry in entries:
        plane.insert_entry(table, entry)
    return measure_plane(plane, packets, seconds)


def measure_plane(plane: ModelDataPlane, packets: Sequence[tuple[int, bytes]], seconds: float = 1.0) -> float:
    """The same for a data plane that is already set up."""
    process = plane.process
    best = 0.0
    for _ in range(5):
        count = 0
        started = time.perf_counter()
        end = started + seconds / 5
        while time.perf_counter() < end:
            for port, data in packets:
                process(port, data)
            count += len(packets)
        best = max(best, count / (time.perf_counter() - started))
    return best
