"""What the programs count of instances (struct p4cats_counters), read without system calls."""

from __future__ import annotations

from typing import Any

from p4cats.ebpf.libbpf import Map


class Counters:
    """The memory of the map `counters`, an array by instance id."""

    def __init__(self, counters: Map) -> None:
        self._layout = counters.value_layout
        self._step = (self._layout.size + 7) // 8 * 8
        self._requests_end = next(f.offset for f in self._layout.fields if f.name == "stamped")
        self._memory = counters.memory()

    def requests(self, instance: int) -> bytes:
        """Return what is counted of an instance's requests as octets, to see whether any has changed."""
        start = instance * self._step
        return self._memory[start : start + self._requests_end]

    def of(self, instance: int) -> dict[str, Any]:
        """Return an instance's counters by name."""
        start = instance * self._step
        return self._layout.decode(self._memory[start : start + self._layout.size])

    def close(self) -> None:
        """Unmap."""
        self._memory.close()
