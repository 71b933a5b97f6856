"""What the programs count of instances (struct p4cats_counters), read without system calls."""

from __future__ import annotations

from typing import Any

from p4cats.ebpf.libbpf import Map


class Counters:
    """The memory of the map `counters`, an array by instance id."""

    def __init__(self, counters: Map) -> None:
        self._layout = counters.value_layout
        self._step = (self._layout.size + 7) // 8 * 8
        self._memory = counters.memory()

    def of(self, instance: int) -> dict[str, Any]:
        """Return an instance's counters by name."""
        start = instance * self._step
        return self._layout.decode(self._memory[start : start + self._layout.size])

    def close(self) -> None:
        """Unmap."""
        self._memory.close()
